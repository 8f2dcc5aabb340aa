// Byte strings: joining, comparing, writing integers and prefixed fields (SPEC §1.1). Big-endian throughout.
//
// V8 keeps a typed array of up to 64 bytes inside its heap, together with its object. The garbage collector moves such
// an array and leaves the old copy behind, which nobody can wipe. An ArrayBuffer lies outside the heap and never moves.
// So every array that may hold a secret is made by `allocate` or `copyOf`. A lint rule of this project enforces that.
// Only constants and integers are made in other ways.
import { withoutMemory } from './errors.ts'
import { isBytes, isPromise } from './realms.ts'

/**
 * Bytes that own their memory, as all bytes that this library returns do. They may be a part of a larger `buffer`: pass
 * the bytes to others, not their `buffer`.
 * @example
 * ```ts
 * import { type Bytes, createKeyset } from 'keystrata'
 *
 * using keyset = await createKeyset('correct horse battery staple')
 * const onHost: Bytes = keyset.export('host')
 * console.log(new Blob([onHost]).size === onHost.length) // true
 * ```
 */
export type Bytes = Uint8Array<ArrayBuffer>

/**
 * Returns zeros in memory that the garbage collector does not move.
 * @throws KeystrataError `limit-exceeded` if this device does not have the memory
 */
export function allocate(length: number): Bytes {
  try {
    return new Uint8Array(new ArrayBuffer(length))
  } catch (error) {
    throw withoutMemory(error, `${length} bytes`, { bytes: length })
  }
}

/** Returns a copy of bytes, in memory that the garbage collector does not move. */
export function copyOf(bytes: Uint8Array): Bytes {
  const copy = allocate(bytes.length)
  copy.set(bytes)
  return copy
}

/** Makes `length` bytes, each from its index. */
export function filled(length: number, byteAt: (index: number) => number): Bytes {
  const bytes = allocate(length)
  for (let index = 0; index < length; index++) bytes[index] = byteAt(index)
  return bytes
}

/** The longest array that V8 keeps inside its heap. */
const MOST_IN_HEAP = 64

/**
 * Returns the result of another library in memory that the garbage collector does not move. A short result is copied
 * and wiped. A long one is already in such memory. The result must own its memory.
 */
export function adopt(result: Uint8Array): Bytes {
  if (result.length > MOST_IN_HEAP) return result as Bytes
  const copy = copyOf(result)
  wipe(result)
  return copy
}

export const EMPTY: Bytes = /* @__PURE__ */ allocate(0)

/**
 * Returns the same memory as a plain Uint8Array of this realm. All bytes that a caller passes go through here before
 * use.
 * @throws TypeError if it is not a Uint8Array (a Buffer is one), or its memory was transferred
 * @throws RangeError if its length is not `length`
 */
export function bytesFrom(value: unknown, what: string, length?: number): Uint8Array {
  if (!isBytes(value)) {
    throw new TypeError(`${what} must be a Uint8Array${hintFor(value, what)}`)
  }
  const given = value
  // A buffer that was transferred or shrunk would look like empty content. Copying from one throws.
  if (given.length === 0) copyOf(given)
  if (length !== undefined && given.length !== length) {
    throw new RangeError(`${what} must have ${length} bytes, not ${given.length}`)
  }
  return new Uint8Array(given.buffer, given.byteOffset, given.length)
}

/** Guesses what the caller passed by mistake, and says what to do. */
function hintFor(value: unknown, what: string): string {
  if (isPromise(value)) return ', not a promise: await it'
  if (Object.prototype.toString.call(value) === '[object ArrayBuffer]') {
    return ', not an ArrayBuffer: use new Uint8Array(buffer)'
  }
  if (typeof value !== 'string') return ''
  // Content may be text. Everything else is bytes of this library, which somebody has encoded to store or send them.
  return what === 'content' || what === 'file'
    ? ', not a string: use new TextEncoder().encode(text)'
    : ", not a string: check the order of the arguments, or decode the string first, by Buffer.from(text, 'base64') or Buffer.from(text, 'hex')"
}

export function concat(...parts: readonly Uint8Array[]): Bytes {
  let total = 0
  for (const part of parts) total += part.length
  const whole = allocate(total)
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}

/** Returns `a ⊕ b`. A shorter operand is never padded: a mask of the wrong length is a bug. */
export function xor(a: Uint8Array, b: Uint8Array): Bytes {
  const result = copyOf(a)
  xorInto(result, b)
  return result
}

/** Computes `target ⊕ b` in place. Both must have the same length, as in {@link xor}. */
export function xorInto(target: Uint8Array, b: Uint8Array): void {
  const { length } = target
  if (length !== b.length) throw new RangeError(`cannot XOR ${length} bytes with ${b.length}`)
  for (let index = 0; index < length; index++) target[index] = (target[index] ?? 0) ^ (b[index] ?? 0)
}

/** Compares bytes in a time that depends only on their lengths. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let index = 0; index < a.length; index++) difference |= (a[index] ?? 0) ^ (b[index] ?? 0)
  return difference === 0
}

/** Overwrites secrets with zeros. Best effort: an engine may have copied them elsewhere. */
export function wipe(...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0)
}

/** The two hex digits of each byte. */
const HEX: readonly string[] = /* @__PURE__ */ Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, '0'),
)

export function toHex(bytes: Uint8Array): string {
  let hex = ''
  for (const byte of bytes) hex += HEX[byte] ?? ''
  return hex
}

/** Returns the value of a lower-case hex digit, given by its code, or -1. */
function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  return code >= 97 && code <= 102 ? code - 87 : -1
}

/** Decodes lower-case hex digits. Returns undefined if `hex` is anything else, or not `length` bytes. */
export function fromHex(hex: string, length: number): Bytes | undefined {
  if (hex.length !== 2 * length) return undefined
  const bytes = allocate(length)
  for (let index = 0; index < length; index++) {
    const [high, low] = [hexDigit(hex.charCodeAt(2 * index)), hexDigit(hex.charCodeAt(2 * index + 1))]
    if (high < 0 || low < 0) return undefined
    bytes[index] = 16 * high + low
  }
  return bytes
}

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

const decoder = /* @__PURE__ */ new TextDecoder()

/** Encodes as base64 (RFC 4648 §4) without padding. */
export function toBase64(bytes: Uint8Array): string {
  return inLetters(bytes, BASE64)
}

/** Encodes as base64url (RFC 4648 §5) without padding. */
export function toBase64Url(bytes: Uint8Array): string {
  return inLetters(bytes, BASE64URL)
}

/** Decodes unpadded base64. Returns undefined if `text` is not what {@link toBase64} writes. */
export function fromBase64(text: string): Bytes | undefined {
  return fromLetters(text, BASE64)
}

/** Decodes unpadded base64url. Returns undefined if `text` is not what {@link toBase64Url} writes. */
export function fromBase64Url(text: string): Bytes | undefined {
  return fromLetters(text, BASE64URL)
}

// A string cannot be wiped, so these two functions make no other string than the result. btoa and atob go through a
// string of bytes, every joined string is one more copy, and a regular expression keeps the last text that it saw.

function inLetters(bytes: Uint8Array, letters: string): string {
  const codes = allocate(Math.ceil((8 * bytes.length) / 6))
  for (let at = 0; at < codes.length; at++) {
    const bit = 6 * at
    const pair = ((bytes[bit >>> 3] ?? 0) << 8) | (bytes[(bit >>> 3) + 1] ?? 0)
    codes[at] = letters.charCodeAt((pair >>> (10 - (bit & 7))) & 63)
  }
  const text = decoder.decode(codes)
  wipe(codes)
  return text
}

function fromLetters(text: string, letters: string): Bytes | undefined {
  if (text.length % 4 === 1) return undefined
  const bytes = allocate(Math.floor((6 * text.length) / 8))
  let pending = 0
  let bits = 0
  let at = 0
  for (const letter of text) {
    const value = letters.indexOf(letter)
    if (value < 0) return undefined
    pending = ((pending << 6) | value) & 0xffff
    bits += 6
    if (bits < 8) continue
    bits -= 8
    bytes[at++] = pending >>> bits
  }
  // The bits behind the last byte must be zero: nothing else is written there.
  return (pending & ((1 << bits) - 1)) === 0 ? bytes : undefined
}

// Integers are not secrets, so they may lie in the heap, where they are made faster.
/* eslint-disable keystrata/off-heap */
export function u8(value: number): Bytes {
  return Uint8Array.of(value)
}

export function u16(value: number): Bytes {
  return Uint8Array.of(value >>> 8, value)
}

export function u32(value: number): Bytes {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)
}
/* eslint-enable keystrata/off-heap */

/** Encodes numbers in 64 bits each. */
export function u64(...values: readonly number[]): Bytes {
  const bytes = allocate(8 * values.length)
  const view = new DataView(bytes.buffer)
  for (const [index, value] of values.entries()) {
    view.setUint32(8 * index, Math.floor(value / 2 ** 32))
    view.setUint32(8 * index + 4, value)
  }
  return bytes
}

/**
 * Returns `LP(x)`: the length in 32 bits, then the bytes. Two different sequences of such fields never have the same
 * encoding.
 */
export function lengthPrefixed(bytes: Uint8Array): Bytes {
  return withFields(EMPTY, bytes)
}

/** Returns `start ‖ LP(field) ‖ LP(field) ‖ …`, in one piece of memory. */
export function withFields(start: Uint8Array, ...fields: readonly Uint8Array[]): Bytes {
  let total = start.length
  for (const field of fields) total += 4 + field.length
  const whole = allocate(total)
  const view = new DataView(whole.buffer)
  whole.set(start)
  let at = start.length
  for (const field of fields) {
    view.setUint32(at, field.length)
    whole.set(field, at + 4)
    at += 4 + field.length
  }
  return whole
}

const encoder = /* @__PURE__ */ new TextEncoder()

export function utf8(text: string): Bytes {
  // A UTF-16 code unit takes at most 3 bytes of UTF-8.
  const room = allocate(3 * text.length)
  const { written } = encoder.encodeInto(text, room)
  const bytes = copyOf(room.subarray(0, written))
  wipe(room)
  return bytes
}

const domains: Map<string, Bytes> = new Map()

/**
 * Returns `LP("keystrata/v1/" + label)`. It separates domains: a value computed for one purpose cannot be used for
 * another. The caller must not change the bytes.
 */
export function domain(label: string): Bytes {
  let bytes = domains.get(label)
  if (bytes === undefined) domains.set(label, (bytes = lengthPrefixed(utf8(`keystrata/v1/${label}`))))
  return bytes
}
