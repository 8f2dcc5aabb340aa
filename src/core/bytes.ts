// Byte strings: joining, comparing, writing integers and prefixed fields (SPEC §1.1). Big-endian throughout.

/**
 * Bytes in memory of their own, as everything that this library returns.
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

export const EMPTY: Bytes = new Uint8Array(0)

const typedArrayPrototype = Object.getPrototypeOf(Uint8Array.prototype) as object

/**
 * The same memory as a plain Uint8Array of this realm: what a caller gives passes through here before it is used.
 * @throws TypeError for what is not a Uint8Array (a Buffer is one), and for one whose memory was taken away
 * @throws RangeError for another length than `length`
 */
export function bytesFrom(value: unknown, what: string, length?: number): Uint8Array {
  // The getter of the language itself: no property passes something else for one, and it knows arrays of other realms.
  if (Reflect.get(typedArrayPrototype, Symbol.toStringTag, value) !== 'Uint8Array') {
    throw new TypeError(`${what} must be a Uint8Array${hintFor(value)}`)
  }
  const given = value as Uint8Array
  // A buffer that was transferred or shrunk would pass for empty content; copying from one throws.
  if (given.length === 0) new Uint8Array(given)
  if (length !== undefined && given.length !== length) {
    throw new RangeError(`${what} must have ${length} bytes, not ${given.length}`)
  }
  return new Uint8Array(given.buffer, given.byteOffset, given.length)
}

/** What a caller most likely meant. */
function hintFor(value: unknown): string {
  if (value instanceof Promise) return ', not a promise: await it'
  return typeof value === 'string' ? ', not a string: new TextEncoder().encode(text) makes one' : ''
}

export function concat(...parts: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}

/** `a ⊕ b`. A shorter operand is never padded: a mask of the wrong length is a defect. */
export function xor(a: Uint8Array, b: Uint8Array): Bytes {
  if (a.length !== b.length) throw new RangeError(`cannot XOR ${a.length} bytes with ${b.length}`)
  const result = new Uint8Array(a)
  for (let index = 0; index < a.length; index++) result[index] = (a[index] ?? 0) ^ (b[index] ?? 0)
  return result
}

/** Compares in a time that depends on the lengths alone. */
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

/** Bytes of lower-case hex digits; undefined if `hex` is not `length` bytes of them. */
export function fromHex(hex: string, length: number): Bytes | undefined {
  if (hex.length !== 2 * length || !/^[0-9a-f]*$/.test(hex)) return undefined
  return Uint8Array.from({ length }, (_, index) => Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16))
}

/** Base64 (RFC 4648 §4) without padding. */
export function toBase64(bytes: Uint8Array): string {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary).replaceAll('=', '')
}

/** Base64url (RFC 4648 §5) without padding. */
export function toBase64Url(bytes: Uint8Array): string {
  return toBase64(bytes).replaceAll('+', '-').replaceAll('/', '_')
}

/** Bytes of unpadded base64; undefined if `text` is not what {@link toBase64} writes. */
export function fromBase64(text: string): Bytes | undefined {
  if (!/^[A-Za-z\d+/]*$/.test(text) || text.length % 4 === 1) return undefined
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  return toBase64(bytes) === text ? bytes : undefined
}

/** Bytes of unpadded base64url; undefined if `text` is not what {@link toBase64Url} writes. */
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

/** `LP(x)`: a length in 32 bits, then the bytes, so that no two sequences of fields read alike. */
export function lengthPrefixed(bytes: Uint8Array): Bytes {
  return concat(u32(bytes.length), bytes)
}

const encoder = /* @__PURE__ */ new TextEncoder()

export function utf8(text: string): Bytes {
  return encoder.encode(text)
}

const domains: Map<string, Bytes> = new Map()

/**
 * `LP("keystrata/v1/" + label)`: keeps what is computed for one purpose from ever standing for another. Not to be changed.
 */
export function domain(label: string): Bytes {
  let bytes = domains.get(label)
  if (bytes === undefined) domains.set(label, (bytes = lengthPrefixed(utf8(`keystrata/v1/${label}`))))
  return bytes
}
