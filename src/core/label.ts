// Labels: what a block is called in the store (SPEC §6.3, §11, §13.2). Keyed by a secret, so that equal contents have different
// names in different backups, and nobody who lists a store can look for a known file.
import type { ContentDigest } from '../primitives/backend.ts'
import { hmacSha256 } from '../primitives/hash.ts'
import { deriveKey } from '../primitives/kdf.ts'
import { type Bytes, fromHex } from './bytes.ts'
import { KeystrataError } from './errors.ts'
import type { SecretKey } from './secret.ts'

const LABEL_BYTES = 32

/** @throws KeystrataError `malformed` for what is not 64 lower-case hex digits */
export function parseLabel(label: string): Bytes {
  if (typeof label !== 'string') throw new TypeError('label must be a string')
  const bytes = fromHex(label, LABEL_BYTES)
  if (bytes === undefined) throw new KeystrataError('malformed', 'a label is 64 lower-case hex digits')
  return bytes
}

/** How one mode names its blocks. */
export interface Naming {
  /** What is hashed. The suffix, where there is one, is a copy of a secret, which the caller wipes. */
  digest(): ContentDigest
  /** The label, 32 bytes, of content with this digest. */
  label(digest: Uint8Array): Bytes
  dispose(): void
}

/** Labels that are HMACs of the content's SHA-256. */
export function keyedNaming(
  secret: SecretKey<'block-salt' | 'data' | 'client'>,
  ...context: readonly Uint8Array[]
): Naming {
  const key = deriveKey('label', secret, 'block-label', context, 32)
  return {
    digest: () => ({ hash: 'sha256' }),
    label: (digest) => hmacSha256(key, digest),
    dispose: () => key.dispose(),
  }
}
