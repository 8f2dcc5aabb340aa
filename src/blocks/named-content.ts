// Content whose SHA-256 decides its label (SPEC §11, §13.2): copied into the buffer that becomes its ciphertext when it is
// sealed, and held against the label when it was opened.
import { type Bytes, equalBytes, wipe } from '../bytes.ts'
import { authenticationFailed } from '../errors.ts'
import { copyAndDigest, digestContent } from '../primitives/hash.ts'
import { contentFrom, roomFor } from './room.ts'

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
