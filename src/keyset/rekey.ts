// Rekeying (SPEC §6.5) writes a new envelope for a block, under the current key pair. It needs neither the ciphertext
// nor the content, so millions of blocks can be rekeyed by their heads alone. Anybody who held the key of the old
// envelope can still open the block.
import { type BlockHead, headOf } from '../core/block.ts'
import { type Bytes, bytesFrom, equalBytes } from '../core/bytes.ts'
import type { Recipient } from '../core/key-pairs.ts'
import { type EncryptedSuite, strongestSuite } from '../core/suite.ts'
import { isMasked, maskKey, parseEnvelope, unmaskKey } from './mask.ts'
import type { EnvelopeKeys } from './open.ts'

/**
 * Returns whether an envelope belongs to this owner and is addressed to this recipient. The owner's unencrypted blocks
 * are always current: they have no key that could be replaced.
 */
export function isAddressedTo(recipient: Recipient, ownerId: Uint8Array, given: Uint8Array): boolean {
  const envelope = parseEnvelope(bytesFrom(given, 'envelope'))
  if (!equalBytes(envelope.header.ownerId, ownerId)) return false
  return !isMasked(envelope) || equalBytes(envelope.header.keyId, recipient.keyId)
}

/** The recipient of a new envelope. */
export interface EnvelopeTarget {
  readonly ownerId: Uint8Array
  readonly recipient: Recipient
  /** The weakest suite that the envelope may have. */
  readonly weakest: EncryptedSuite
  /** For a share: the source signing key of the keyset that shares. */
  readonly sharer?: Uint8Array
}

/**
 * Writes a new envelope for a block, after verifying the old one. The new one is never weaker than the old one.
 * @returns undefined for an unencrypted block, which has no key
 * @throws KeystrataError `malformed`, `unsupported`, `key-not-found`, `policy`, `authentication-failed`
 */
export function rekeyBlock(
  head: BlockHead,
  keys: EnvelopeKeys,
  { weakest, recipient, ...to }: EnvelopeTarget,
): Bytes | undefined {
  const { label, envelope: stored } = headOf(head)
  const envelope = parseEnvelope(stored)
  const identity = keys.identityFor(envelope.header, isMasked(envelope))
  if (!isMasked(envelope)) return undefined
  using blockKey = unmaskKey(envelope, identity, label, keys.sharer)
  const suite = strongestSuite(weakest, envelope.header.suite)
  return maskKey(blockKey, recipient, { ...to, suite, mode: envelope.mode, label })
}
