// Rekeying (SPEC §10.5) writes a new envelope for a block, under the current key pair. It needs neither the ciphertext
// nor the content, so millions of blocks can be rekeyed by their heads alone. Anybody who held the key of the old
// envelope can still open the block.
import { type BlockHead, headOf } from '../core/block.ts'
import { type Bytes, bytesFrom, equalBytes } from '../core/bytes.ts'
import { encodePlainEnvelope } from '../core/envelope.ts'
import { KeystrataError } from '../core/errors.ts'
import { encodeHeader, keyNotFound, ObjectType } from '../core/header.ts'
import { Recipient } from '../core/key-pairs.ts'
import { type EncryptedSuite, rekeySuiteOf, Strength, strongestSuite, Suite } from '../core/suite.ts'
import { isMasked, type MaskedEnvelope, maskKey, parseEnvelope, type PlainEnvelope, unmaskKey } from './mask.ts'
import type { EnvelopeKeys, OwnerPairs } from './open.ts'

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

/** The keys and rules that rekeying needs. */
export interface RekeyKeys extends OwnerPairs {
  /** The strength of new envelopes. */
  readonly encryption: Strength
  /** Only in a delegation: when it expires, in milliseconds since 1970. */
  readonly until?: number | undefined
}

/** What a worker thread needs of a handle that can only rekey. */
export interface RekeyRecipe {
  readonly kind: 'rekeyer'
  readonly owner: RekeyKeys
}

/** Rekeys the blocks of a keyset, for its owner or under a delegation. */
export class BlockRekeyer {
  readonly #owner: RekeyKeys
  readonly #keys: EnvelopeKeys
  #imported: Recipient | undefined

  /** The caller keeps the keys, which must live as long as this object. */
  constructor(owner: RekeyKeys, keys: EnvelopeKeys) {
    this.#owner = owner
    this.#keys = keys
  }

  /** The public halves of the current key pair, imported at first use: a program that only reads never needs them. */
  get recipient(): Recipient {
    return (this.#imported ??= new Recipient(this.#owner.blockPair.publicHalves))
  }

  isCurrent(envelope: Uint8Array): boolean {
    assertNotExpired(this.#owner.until)
    return isCurrentFor(this.recipient, this.#owner, envelope)
  }

  /** Writes a new envelope for a block, under the current key pair. */
  rekey(head: BlockHead): Bytes {
    assertNotExpired(this.#owner.until)
    const today = { recipient: this.recipient, weakest: rekeySuiteOf(this.#owner.encryption) }
    const { label, envelope: stored } = headOf(head)
    const envelope = parseEnvelope(stored)
    return isMasked(envelope) ? rekeyMasked(envelope, label, this.#keys, today) : this.#rekeyPlain(envelope)
  }

  /**
   * Writes a new envelope for an unencrypted block. The block has no key, but the envelope names the key pair that allows
   * it. If the keyset no longer allows such blocks, no envelope helps: once the pair that did is forgotten, the block would
   * not open any more.
   * @throws KeystrataError `policy` if the block must be sealed again
   */
  #rekeyPlain({ header }: PlainEnvelope): Bytes {
    this.#keys.assertPlainKnown(header)
    const { id: ownerId, blockPair } = this.#owner
    const isOwn = equalBytes(header.ownerId, ownerId)
    if (!isOwn || blockPair.publicHalves.minimum > Strength.none) throw mustReseal(isOwn)
    // A stale delegation must not take a block back from a newer pair. It would not notice: the block needs no key.
    if (blockPair.privateHalves === undefined && !this.#keys.isKnown(header)) throw keyNotFound('envelope', header)
    // The pair that the block names may require more.
    this.#keys.assertPlainAllowed(header)
    const { keyId } = this.recipient
    return encodePlainEnvelope(encodeHeader({ type: ObjectType.envelope, suite: Suite.none, keyId, ownerId }))
  }
}

/**
 * Checks the date of a delegation.
 * @param until milliseconds since 1970; undefined for a keyset, which has no such date
 * @throws KeystrataError `expired`
 */
export function assertNotExpired(until: number | undefined): void {
  if (until === undefined || Date.now() < until) return
  throw new KeystrataError('expired', 'this delegation has expired: ask the owner of the keyset for a new one', {
    object: 'delegation',
    until: new Date(until).toISOString(),
  })
}

function mustReseal(isOwn: boolean): KeystrataError {
  const message = isOwn
    ? 'this block is not encrypted, but the keyset requires encryption today: open it (with allowWeaker if needed), seal its content again, write the new label into your log, then delete this block'
    : "this block of an adopted keyset is not encrypted, so anybody with an old host export may have made it: open it with allowWeaker: 'none', check it, seal its content again, write the new label into your log, then delete this block"
  return new KeystrataError('policy', message, { rule: 'minimum-encryption', reseal: true })
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
export function rekeyBlock(head: BlockHead, keys: EnvelopeKeys, target: EnvelopeTarget): Bytes | undefined {
  const { label, envelope: stored } = headOf(head)
  const envelope = parseEnvelope(stored)
  if (isMasked(envelope)) return rekeyMasked(envelope, label, keys, target)
  keys.assertPlainAllowed(envelope.header)
  return undefined
}

function rekeyMasked(
  envelope: MaskedEnvelope,
  label: Bytes,
  keys: EnvelopeKeys,
  { weakest, recipient, sharer, ownerId }: EnvelopeTarget,
): Bytes {
  const identity = keys.identityFor(envelope.header)
  using blockKey = unmaskKey(envelope, identity, label, keys.sharer)
  const { header, mode } = envelope
  const suite = strongestSuite(weakest, header.suite)
  const place = { ownerId: ownerId ?? header.ownerId, suite, mode, label }
  return maskKey(blockKey, recipient, sharer === undefined ? place : { ...place, sharer })
}
