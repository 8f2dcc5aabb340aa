// Labels: the names of blocks in the store (SPEC §10.3, §15, §16.2). Most are keyed by a secret. So equal contents have
// different names in different backups, and somebody who lists a store cannot look for a known file.
import type { ContentDigest } from '../primitives/backend.ts'
import { hmacSha256 } from '../primitives/hash.ts'
import { deriveKey } from '../primitives/kdf.ts'
import { type Bytes, fromHex } from './bytes.ts'
import { KeystrataError } from './errors.ts'
import { disposable, type Handle, type SecretKey } from './secret.ts'

const LABEL_BYTES = 32

/**
 * Decodes the hex digits of a label into 32 bytes.
 * @throws KeystrataError `malformed` if it is not 64 lower-case hex digits
 */
export function parseLabel(label: string): Bytes {
  if (typeof label !== 'string') throw new TypeError('label must be a string')
  const bytes = fromHex(label, LABEL_BYTES)
  if (bytes === undefined)
    throw new KeystrataError('malformed', 'a label must have 64 lower-case hex digits', {
      object: 'label',
      characters: label.length,
    })
  return bytes
}

/** How the labels of blocks are computed from their content. */
export interface Naming extends Handle {
  /** Returns what to hash. The caller wipes the suffix, if there is one: it is a copy of a secret. */
  digest(): ContentDigest
  /** Returns the label, 32 bytes, of content with this digest. */
  label(digest: Uint8Array): Bytes
}

/** Returns a naming whose labels are HMACs of the content's SHA-256. */
export function keyedNaming(
  secret: SecretKey<'block-salt' | 'data' | 'client'>,
  ...context: readonly Uint8Array[]
): Naming {
  const key = deriveKey('label', secret, 'block-label', context, 32)
  const naming: Omit<Naming, keyof Handle> = {
    digest: () => ({ hash: 'sha256' }),
    label: (digest) => hmacSha256(key, digest),
  }
  return disposable(naming, () => key.dispose())
}
