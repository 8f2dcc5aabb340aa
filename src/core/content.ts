// Content buffers. Content is copied into the buffer that becomes its ciphertext, with room before and after it for
// what a cipher adds. So a block is never in memory twice. After opening, content is compared with its label.
import { copyAndDigest, digestContent } from '../primitives/hash.ts'
import { allocate, type Bytes, bytesFrom, copyOf, equalBytes, wipe } from './bytes.ts'
import { MAX_CONTENT_BYTES } from './envelope.ts'
import { authenticationFailed, KeystrataError } from './errors.ts'
import { wiping } from './secret.ts'

/** The most that any cipher adds on either side. */
const ROOM_BYTES = 64

/** A buffer with room that is lent for a content, while somebody begins to prepare that content. */
let lent: { readonly content: Uint8Array; readonly room: Bytes } | undefined

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
 * Returns the buffer in which content will be encrypted, and the part of it to copy the content to. The buffer is the
 * one that was lent for the content, or a new one. Content that lies in a lent buffer already stays where it is.
 */
export function roomFor(content: Uint8Array, before: number, after: number): { buffer: Bytes; copy: Uint8Array } {
  const room = lentFor(content)
  if (room === undefined) {
    const buffer = allocate(before + content.length + after)
    return { buffer, copy: buffer.subarray(before, before + content.length) }
  }
  const start = ROOM_BYTES - before
  const buffer = room.subarray(start, start + before + content.length + after)
  return { buffer, copy: isIn(content, room) ? content : contentIn(room).subarray(0, content.length) }
}

/** Returns whether content lies in a buffer with room. It then begins behind the room. */
const isIn = (content: Uint8Array, room: Bytes): boolean => content.buffer === room.buffer

/** Returns a buffer for content of this length, with room around it. */
export const allocateWithRoom = (length: number): Bytes => allocate(ROOM_BYTES + length + ROOM_BYTES)

/** Returns the part of a buffer with room in which its content lies. */
export const contentIn = (buffer: Bytes): Bytes => buffer.subarray(ROOM_BYTES, buffer.length - ROOM_BYTES)

/** Returns how many bytes of content fit into memory of this size, with room around them. */
export const bytesWithRoom = (memory: number): number => memory - 2 * ROOM_BYTES

/**
 * Lends a buffer with room while `use` begins to prepare this content. A writer of this library seals the content there,
 * and the lender gets the buffer back as the ciphertext. The content may lie in it already.
 */
export function withLent<T>(content: Uint8Array, room: Bytes, use: () => T): T {
  lent = { content, room }
  try {
    return use()
  } finally {
    lent = undefined
  }
}

/** Returns the buffer that is lent for these bytes. They may be another view of the same memory. */
function lentFor({ buffer, byteOffset, length }: Uint8Array): Bytes | undefined {
  const { content, room } = lent ?? {}
  const isSame = content?.buffer === buffer && content.byteOffset === byteOffset && content.length === length
  return isSame ? room : undefined
}

/** Returns content in a buffer with room that can move to another thread: a lent one, or a new one. */
export function movable(content: Uint8Array): Bytes {
  const room = lentFor(content) ?? allocateWithRoom(content.length)
  const buffer = room.subarray(0, ROOM_BYTES + content.length + ROOM_BYTES)
  if (!isIn(content, room)) contentIn(buffer).set(content)
  return buffer
}

/** Buffers of ciphertexts that only this library holds. */
const given: WeakSet<ArrayBufferLike> = /* @__PURE__ */ new WeakSet()

/** Lets the reader that gets these bytes use their memory, if the bytes are all that lies in it. */
export function giveCiphertext(ciphertext: Uint8Array): void {
  const { buffer, length } = ciphertext
  const isWhole = buffer.byteLength === length && Object.prototype.toString.call(buffer) === '[object ArrayBuffer]'
  if (isWhole) given.add(buffer)
}

/** Returns whether the memory of a ciphertext was given to its reader. True once. */
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
