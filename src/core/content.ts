// Content buffers. Content is copied into the buffer that becomes its ciphertext, with room before and after it for
// what a cipher adds. So a block is never in memory twice. After opening, content is compared with its label.
import { copyAndDigest, digestContent } from '../primitives/hash.ts'
import { allocate, type Bytes, bytesFrom, copyOf, equalBytes, wipe } from './bytes.ts'
import { MAX_CONTENT_BYTES } from './envelope.ts'
import { authenticationFailed, KeystrataError } from './errors.ts'
import { wiping } from './secret.ts'

/** The most that any cipher adds on either side. */
const ROOM_BYTES = 64

/** Buffers in which this library has already copied content, with room around it. */
const roomy: WeakSet<ArrayBufferLike> = /* @__PURE__ */ new WeakSet()

/**
 * Returns content after checking its type and size.
 * @throws TypeError if it is not a Uint8Array
 * @throws KeystrataError `limit-exceeded`
 */
export function contentFrom(given: Uint8Array): Uint8Array {
  const content = bytesFrom(given, 'content')
  assertContentBytes(content)
  return content
}

/**
 * Checks the size of content.
 * @throws KeystrataError `limit-exceeded` if it is over 64 MiB
 */
export function assertContentBytes({ length }: Uint8Array): void {
  if (length <= MAX_CONTENT_BYTES) return
  throw new KeystrataError('limit-exceeded', 'this content is too large: a block holds at most 64 MiB', {
    object: 'block',
    bytes: length,
  })
}

/**
 * Returns the buffer in which content will be encrypted, and the part of it to copy the content to. Content that
 * already has room around it stays where it is. This works once for each buffer.
 */
export function roomFor(content: Uint8Array, before: number, after: number): { buffer: Bytes; copy: Uint8Array } {
  if (roomy.delete(content.buffer)) {
    const { buffer, byteOffset, length } = content as Bytes
    return { buffer: new Uint8Array(buffer, byteOffset - before, before + length + after), copy: content }
  }
  const buffer = allocate(before + content.length + after)
  return { buffer, copy: buffer.subarray(before, before + content.length) }
}

/** Returns a buffer for content of this length, with room around it. */
export const allocateWithRoom = (length: number): Bytes => allocate(ROOM_BYTES + length + ROOM_BYTES)

/** Returns the part of a buffer with room in which its content lies. */
export const contentIn = (buffer: Bytes): Bytes => buffer.subarray(ROOM_BYTES, buffer.length - ROOM_BYTES)

/** Returns how many bytes of content fit into memory of this size, with room around them. */
export const bytesWithRoom = (memory: number): number => memory - 2 * ROOM_BYTES

/** Copies content into a buffer with room around it. */
export function withRoom(content: Uint8Array): Bytes {
  const buffer = allocateWithRoom(content.length)
  contentIn(buffer).set(content)
  return buffer
}

/**
 * Returns the content in a buffer with room, and lends the buffer: the first {@link roomFor} or {@link takeRoom} for it
 * uses the room. Lend it only to writers that seal content where it lies.
 */
export function contentWithRoom(buffer: Bytes): Bytes {
  roomy.add(buffer.buffer)
  return contentIn(buffer)
}

/** Returns the whole buffer of content that was lent, or undefined if the content belongs to the caller. */
export function takeRoom(content: Uint8Array): Bytes | undefined {
  if (!roomy.delete(content.buffer)) return undefined
  const { buffer, byteOffset, length } = content as Bytes
  return new Uint8Array(buffer, byteOffset - ROOM_BYTES, ROOM_BYTES + length + ROOM_BYTES)
}

/** Buffers of ciphertexts that only this library holds. */
const given: WeakSet<ArrayBufferLike> = /* @__PURE__ */ new WeakSet()

/** Lets the reader that gets these bytes use their memory, if the bytes are all that lies in it. */
export function giveCiphertext(ciphertext: Uint8Array): void {
  const { buffer, length } = ciphertext
  const isWhole = buffer.byteLength === length && Object.prototype.toString.call(buffer) === '[object ArrayBuffer]'
  if (isWhole) given.add(buffer)
}

/** Returns whether the memory of a ciphertext was given to whoever opens it. True once. */
export const takeCiphertext = (ciphertext: Uint8Array): ciphertext is Bytes => given.delete(ciphertext.buffer)

/** Returns bytes that nobody else holds: the ciphertext itself if it was given, otherwise a copy. */
export const ownCiphertext = (ciphertext: Uint8Array): Bytes =>
  takeCiphertext(ciphertext) ? ciphertext : copyOf(ciphertext)

const SHA256 = [{ hash: 'sha256' }] as const

/**
 * Copies content into the front of a buffer, with `more` bytes of room after it, and identifies the copy by its
 * SHA-256. All of the content is read before the promise is returned.
 * @throws KeystrataError `limit-exceeded`
 */
export async function copyIdentified<T extends object>(
  given: Uint8Array,
  more: number,
  identify: (digest: Bytes) => T,
): Promise<T & { buffer: Bytes }> {
  const content = contentFrom(given)
  const { buffer, copy } = roomFor(content, 0, more)
  try {
    const [digest] = (await copyAndDigest(content, copy, SHA256)) as [Bytes]
    using _ = wiping(digest)
    return { buffer, ...identify(digest) }
  } catch (error) {
    wipe(buffer)
    throw error
  }
}

/**
 * Returns content if it matches its label, and wipes it otherwise.
 * @throws KeystrataError `authentication-failed`
 */
export async function assertNamed(
  content: Bytes,
  label: Uint8Array,
  labelOf: (digest: Bytes) => Uint8Array,
): Promise<Bytes> {
  try {
    const [digest] = (await digestContent(content, SHA256)) as [Bytes]
    using _ = wiping(digest)
    if (!equalBytes(labelOf(digest), label)) throw authenticationFailed()
    return content
  } catch (error) {
    wipe(content)
    throw error
  }
}
