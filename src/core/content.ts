// Buffers in which content becomes ciphertext: with room in front and behind for what a cipher adds, so that a block is never
// twice in memory.
// Content whose SHA-256 decides its label (SPEC §11, §13.2): copied into the buffer that becomes its ciphertext when it is
// sealed, and held against the label when it was opened.
import { copyAndDigest, digestContent } from '../primitives/hash.ts'
import { type Bytes, bytesFrom, equalBytes, wipe } from './bytes.ts'
import { MAX_CONTENT_BYTES } from './envelope.ts'
import { authenticationFailed, KeystrataError } from './errors.ts'

/** As much as any cipher adds, on either side. */
const ROOM_BYTES = 64

/** Buffers that hold content which this library has copied already, with room around it. */
const roomy: WeakSet<ArrayBufferLike> = new WeakSet()

/** @throws KeystrataError `limit-exceeded` */
export function contentFrom(given: Uint8Array): Uint8Array {
  const content = bytesFrom(given, 'content')
  assertContentBytes(content)
  return content
}

/** @throws KeystrataError `limit-exceeded` */
export function assertContentBytes({ length }: Uint8Array): void {
  if (length <= MAX_CONTENT_BYTES) return
  throw new KeystrataError('limit-exceeded', 'a block holds at most 64 MiB', { bytes: length })
}

/**
 * The buffer that content will be encrypted in, and the place in it that content is to be copied to; content that has room
 * around it stays where it is, once.
 */
export function roomFor(content: Uint8Array, before: number, after: number): { buffer: Bytes; copy: Uint8Array } {
  if (roomy.delete(content.buffer)) {
    const { buffer, byteOffset, length } = content as Bytes
    return { buffer: new Uint8Array(buffer, byteOffset - before, before + length + after), copy: content }
  }
  const buffer = new Uint8Array(before + content.length + after)
  return { buffer, copy: buffer.subarray(before, before + content.length) }
}

/** A copy of content with room around it, to be sent to another thread. */
export function withRoom(content: Uint8Array): Bytes {
  const buffer = new Uint8Array(ROOM_BYTES + content.length + ROOM_BYTES)
  buffer.set(content, ROOM_BYTES)
  return buffer
}

/** The content in what {@link withRoom} gave, which is taken over by whoever prepares it first. */
export function contentWithRoom(buffer: Bytes): Bytes {
  roomy.add(buffer.buffer)
  return buffer.subarray(ROOM_BYTES, buffer.length - ROOM_BYTES)
}

const SHA256 = [{ hash: 'sha256' }] as const

/**
 * Copies content into the front of a buffer, with room for `more` bytes behind it, and identifies the copy; all of it is
 * read before this first yields.
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
    return { buffer, ...withDigest(digest, identify) }
  } catch (error) {
    wipe(buffer)
    throw error
  }
}

/**
 * Content goes out only if it is what its label says; else it is wiped.
 * @throws KeystrataError `authentication-failed`
 */
export async function assertNamed(
  content: Bytes,
  label: Uint8Array,
  labelOf: (digest: Bytes) => Uint8Array,
): Promise<Bytes> {
  try {
    const [digest] = (await digestContent(content, SHA256)) as [Bytes]
    if (!equalBytes(withDigest(digest, labelOf), label)) throw authenticationFailed()
    return content
  } catch (error) {
    wipe(content)
    throw error
  }
}

function withDigest<T>(digest: Bytes, use: (digest: Bytes) => T): T {
  try {
    return use(digest)
  } finally {
    wipe(digest)
  }
}
