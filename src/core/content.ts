// Content buffers. Content is copied into the buffer that becomes its ciphertext, with room before and after it for
// what a cipher adds. So a block is never in memory twice. After opening, content is compared with its label.
import { copyAndDigest, digestContent } from '../primitives/hash.ts'
import { allocate, type Bytes, bytesFrom, equalBytes, wipe } from './bytes.ts'
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

/** Copies content into a buffer with room around it, to send it to another thread. */
export function withRoom(content: Uint8Array): Bytes {
  const buffer = allocate(ROOM_BYTES + content.length + ROOM_BYTES)
  buffer.set(content, ROOM_BYTES)
  return buffer
}

/** Returns the content in a buffer that {@link withRoom} made. The first {@link roomFor} for it uses the room. */
export function contentWithRoom(buffer: Bytes): Bytes {
  roomy.add(buffer.buffer)
  return buffer.subarray(ROOM_BYTES, buffer.length - ROOM_BYTES)
}

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
