// Byte strings: joining, comparing, writing integers and prefixed fields (SPEC §1.1). Big-endian throughout.

import { withoutMemory } from './errors.ts'

/**
 * Bytes that own their memory, as all bytes that this library returns do.
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

export const EMPTY: Bytes = /* @__PURE__ */ new Uint8Array(0)

const typedArrayPrototype = /* @__PURE__ */ Object.getPrototypeOf(Uint8Array.prototype) as object

/**
 * Returns the same memory as a plain Uint8Array of this realm. All bytes that a caller passes go through here before
 * use.
 * @throws TypeError if it is not a Uint8Array (a Buffer is one), or its memory was transferred
 * @throws RangeError if its length is not `length`
 */
export function bytesFrom(value: unknown, what: string, length?: number): Uint8Array {
  // Use the built-in getter. Properties cannot deceive it, and it works for arrays of other realms.
  if (Reflect.get(typedArrayPrototype, Symbol.toStringTag, value) !== 'Uint8Array') {
    throw new TypeError(`${what} must be a Uint8Array${hintFor(value, what)}`)
  }
  const given = value as Uint8Array
  // A buffer that was transferred or shrunk would look like empty content. Copying from one throws.
  if (given.length === 0) new Uint8Array(given)
  if (length !== undefined && given.length !== length) {
    throw new RangeError(`${what} must have ${length} bytes, not ${given.length}`)
  }
  return new Uint8Array(given.buffer, given.byteOffset, given.length)
}

/** Guesses what the caller passed by mistake, and says what to do. */
function hintFor(value: unknown, what: string): string {
  const type = Object.prototype.toString.call(value).slice(8, -1)
  if (type === 'Promise') return ', not a promise: await it'
  if (type === 'ArrayBuffer') return ', not an ArrayBuffer: use new Uint8Array(buffer)'
  if (typeof value !== 'string') return ''
  // Content may be text. Everything else is bytes of this library, which somebody has encoded to store or send them.
  return what === 'content' || what === 'file'
    ? ', not a string: use new TextEncoder().encode(text)'
    : ", not a string: decode its base64 or hex digits first, for example with Buffer.from(text, 'base64')"
}

/**
 * Returns zeros. For everything that may be as large as content.
 * @throws KeystrataError `limit-exceeded` if this device does not have the memory
 */
export function zeros(length: number): Bytes {
  try {
    return new Uint8Array(length)
  } catch (error) {
    throw withoutMemory(error, `${length} bytes`, { bytes: length })
  }
}

/**
 * Copies bytes, which may be as large as content.
 * @throws KeystrataError `limit-exceeded` if this device does not have the memory
 */
export function copyOf(bytes: Uint8Array): Bytes {
  const copy = zeros(bytes.length)
  copy.set(bytes)
  return copy
}

export function concat(...parts: readonly Uint8Array[]): Bytes {
  const whole = zeros(parts.reduce((length, part) => length + part.length, 0))
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}

/** Returns `a ⊕ b`. A shorter operand is never padded: a mask of the wrong length is a bug. */
export function xor(a: Uint8Array, b: Uint8Array): Bytes {
  if (a.length !== b.length) throw new RangeError(`cannot XOR ${a.length} bytes with ${b.length}`)
  const result = new Uint8Array(a)
  for (let index = 0; index < a.length; index++) result[index] = (a[index] ?? 0) ^ (b[index] ?? 0)
  return result
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

export function toHex(bytes: Uint8Array): string {
  let hex = ''
  for (const byte of bytes) hex += byte.toString(16).padStart(2, '0')
  return hex
}

/** Decodes lower-case hex digits. Returns undefined if `hex` is anything else, or not `length` bytes. */
export function fromHex(hex: string, length: number): Bytes | undefined {
  if (hex.length !== 2 * length || !/^[0-9a-f]*$/.test(hex)) return undefined
  return Uint8Array.from({ length }, (_, index) => Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16))
}

/** Encodes as base64 (RFC 4648 §4) without padding. */
export function toBase64(bytes: Uint8Array): string {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary).replaceAll('=', '')
}

/** Encodes as base64url (RFC 4648 §5) without padding. */
export function toBase64Url(bytes: Uint8Array): string {
  return toBase64(bytes).replaceAll('+', '-').replaceAll('/', '_')
}

/** Decodes unpadded base64. Returns undefined if `text` is not what {@link toBase64} writes. */
export function fromBase64(text: string): Bytes | undefined {
  if (!/^[A-Za-z\d+/]*$/.test(text) || text.length % 4 === 1) return undefined
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  return toBase64(bytes) === text ? bytes : undefined
}

/** Decodes unpadded base64url. Returns undefined if `text` is not what {@link toBase64Url} writes. */
export function fromBase64Url(text: string): Bytes | undefined {
  return /[+/]/.test(text) ? undefined : fromBase64(text.replaceAll('-', '+').replaceAll('_', '/'))
}

export function u8(value: number): Bytes {
  return Uint8Array.of(value)
}

export function u16(value: number): Bytes {
  return Uint8Array.of(value >>> 8, value)
}

export function u32(value: number): Bytes {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)
}

export function u64(value: number): Bytes {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value))
  return bytes
}

/**
 * Returns `LP(x)`: the length in 32 bits, then the bytes. Two different sequences of such fields never have the same
 * encoding.
 */
export function lengthPrefixed(bytes: Uint8Array): Bytes {
  return concat(u32(bytes.length), bytes)
}

const encoder = /* @__PURE__ */ new TextEncoder()

export function utf8(text: string): Bytes {
  return encoder.encode(text)
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
