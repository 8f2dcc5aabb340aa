// Rekeying (SPEC §6.5): a new envelope for a block, under today's key pair. Neither the ciphertext nor the content is needed,
// so millions of blocks can be rekeyed by their heads alone. Whoever held the old envelope's key can still open the block.
import { type BlockHead, headOf } from '../core/block.ts'
import { type Bytes, bytesFrom, equalBytes } from '../core/bytes.ts'
import { Suite } from '../core/header.ts'
import type { Recipient } from '../core/key-pairs.ts'
import { maskKey, parseEnvelope, unmaskKey } from './envelope.ts'
import type { EnvelopeKeys } from './open.ts'

/**
 * Whether an envelope is one of this owner, and to this recipient. Unencrypted blocks have no key that could be replaced.
 */
export function isAddressedTo(recipient: Recipient, ownerId: Uint8Array, envelope: Uint8Array): boolean {
  const { header, encrypted } = parseEnvelope(bytesFrom(envelope, 'envelope'))
  if (!equalBytes(header.ownerId, ownerId)) return false
  return encrypted === undefined || equalBytes(header.keyId, recipient.keyId)
}

/** To whom an envelope is written anew, and for which owner's reader. */
export interface EnvelopeTarget {
  readonly ownerId: Uint8Array
  readonly recipient: Recipient
  /** Whether it must have both agreements, whatever the old one has. */
  readonly hybrid: boolean
  /** For a share: the source signing key of who shares. */
  readonly sharer?: Uint8Array
}

/**
 * A new envelope for a block, after the old one was verified. It is never weaker than the old one.
 * @returns undefined for an unencrypted block, which has no key
 * @throws KeystrataError `malformed`, `unsupported`, `key-not-found`, `policy`, `authentication-failed`
 */
export function rekeyBlock(
  head: BlockHead,
  keys: EnvelopeKeys,
  { hybrid, recipient, ...to }: EnvelopeTarget,
): Bytes | undefined {
  const { label, envelope } = headOf(head)
  const { header, encrypted } = parseEnvelope(envelope)
  const identity = keys.identityFor(header, encrypted !== undefined)
  if (encrypted === undefined) return undefined
  const blockKey = unmaskKey({ header, encrypted }, identity, label, keys.sharer)
  try {
    return maskKey(blockKey, recipient, {
      ...to,
      hybrid: hybrid || header.suite === Suite.hybrid,
      mode: encrypted.mode,
      label,
    })
  } finally {
    blockKey.dispose()
  }
}
