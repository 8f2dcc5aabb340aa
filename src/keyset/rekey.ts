// Rekeying (SPEC §6.5) writes a new envelope for a block, under the current key pair. It needs neither the ciphertext
// nor the content, so millions of blocks can be rekeyed by their heads alone. Anybody who held the key of the old
// envelope can still open the block.
import { type BlockHead, headOf } from '../core/block.ts'
import { type Bytes, bytesFrom, equalBytes } from '../core/bytes.ts'
import type { Recipient } from '../core/key-pairs.ts'
import { type EncryptedSuite, strongestSuite } from '../core/suite.ts'
import { isMasked, maskKey, parseEnvelope, unmaskKey } from './mask.ts'
import type { EnvelopeKeys } from './open.ts'

/** The ids of a keyset's own source and of those that it adopted. */
export interface Sources {
  readonly id: Uint8Array
  readonly adopted: readonly { readonly id: Uint8Array }[]
}

/**
 * Returns whether an envelope is as a writer of this keyset would write it today: addressed to this recipient, and not
 * weaker than its minimum. Unencrypted blocks of adopted keysets never are: anybody who once had their host export can
 * make them.
 */
export function isCurrentFor(recipient: Recipient, { id, adopted }: Sources, given: Uint8Array): boolean {
  const envelope = parseEnvelope(bytesFrom(given, 'envelope'))
  const { suite, ownerId, keyId } = envelope.header
  if (suite.strength < recipient.publicHalves.minimum) return false
  if (!equalBytes(keyId, recipient.keyId)) return false
  return equalBytes(ownerId, id) || (isMasked(envelope) && adopted.some((source) => equalBytes(ownerId, source.id)))
}

/** The recipient of a new envelope. */
export interface EnvelopeTarget {
  /** The owner in the new envelope. If it is not given, the owner stays. */
  readonly ownerId?: Uint8Array
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
  { weakest, recipient, sharer, ownerId }: EnvelopeTarget,
): Bytes | undefined {
  const { label, envelope: stored } = headOf(head)
  const envelope = parseEnvelope(stored)
  const identity = keys.identityFor(envelope.header, isMasked(envelope))
  if (!isMasked(envelope)) return undefined
  using blockKey = unmaskKey(envelope, identity, label, keys.sharer)
  const { header, mode } = envelope
  const suite = strongestSuite(weakest, header.suite)
  const place = { ownerId: ownerId ?? header.ownerId, suite, mode, label }
  return maskKey(blockKey, recipient, sharer === undefined ? place : { ...place, sharer })
}
