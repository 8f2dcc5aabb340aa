// A share in two hands: its owner adds blocks and invites, its recipient opens what was added (SPEC §12).
import type { BlockHead, SealedBlock } from '../blocks/block.ts'
import { EnvelopeKeys } from '../blocks/envelope-keys.ts'
import { envelopeKeysOf, type OwnerPairs } from '../blocks/owner-blocks.ts'
import { openBlock } from '../blocks/open.ts'
import { type OpenedRecord, openRecord, type SealedRecord, sealRecord } from '../blocks/record.ts'
import { type Bytes, toHex } from '../bytes.ts'
import { type ActiveShare, Strength } from '../format/keyset.ts'
import { type Card, keysOfCard, type PinnedKeys } from '../keys/card.ts'
import { copyKeys, disposeKeys, type Handle, SecretHolder } from '../secret.ts'
import { type InvitedShare, sealInvite, type Sharer } from '../sharing/invite.ts'
import { addToShare, checkSharedContent, ShareRecipient } from '../sharing/share.ts'
import { setRecipe } from './recipe.ts'
import type { RecordReader, RecordWriter } from './records.ts'

/**
 * A share in the hand of its owner, with a life of its own: what is added, its readers can open from then on, for good. To
 * read its log, accept an invite to the own card; that of a straight share its recipient alone can read.
 * @example
 * ```ts
 * import type { BlockHead, Share } from 'keystrata'
 *
 * function addFolder(heads: BlockHead[], share: Share) {
 *   return heads.map((head) => ({ label: head.label, envelope: share.add(head) }))
 * }
 * ```
 */
export interface Share extends RecordWriter, Handle {
  /** 32 hex digits: random, and the same for the whole life of the share. */
  readonly id: string
  /**
   * The envelope by which the share's readers open a block; its ciphertext stays as it is, and is not needed. Name the
   * block in the share's log, with the SHA-256 of this envelope and of the ciphertext: that is how readers know it from
   * what somebody else made.
   * @throws KeystrataError `policy` for an unencrypted block, which has no key, and for one that is weaker than its key pair
   *   demands; `key-not-found` if it is addressed to a key pair that is not held here; `authentication-failed`, `malformed`,
   *   `unsupported`, `disposed`
   */
  add(head: BlockHead): Bytes
  /**
   * The keys of the share, sealed to somebody's card and signed: about 3.5 kB, to be carried by whoever. One for each card.
   * It can be made again at any time.
   * @param to a card whose fingerprint was compared: who has its private half opens the share
   * @throws KeystrataError `policy` if the share goes straight to another card; `key-changed` if card and fingerprint do not
   *   belong together; `malformed`, `unsupported`, `authentication-failed` for what is no card; `disposed`
   * @throws TypeError, RangeError for what is no card, and no fingerprint
   */
  invite(to: Card): Bytes
}

/**
 * A share in the hand of a recipient: opens the blocks and records of the share, and nothing else. A block is that of the
 * store with the share's envelope: `{ ...parseBlock(stored, label), envelope }`.
 * @example
 * ```ts
 * import { parseBlock, type SharedReader } from 'keystrata'
 *
 * function openShared(stored: Uint8Array, label: string, envelope: Uint8Array, reader: SharedReader) {
 *   return reader.open({ ...parseBlock(stored, label), envelope }) // compared with the share's log before
 * }
 * ```
 */
export interface SharedReader extends RecordReader {
  /** 32 hex digits: the id of the share. */
  readonly id: string
  /** When the invite was made, as the clock of its maker says. */
  readonly issuedAt: Date
  /**
   * As {@link BlockReader.open}, but the label cannot be computed again here, and whoever has the keys of the share, or the
   * card that it goes straight to, can make an envelope; other readers of the share know the key of the block besides. So
   * compare the SHA-256 of envelope and ciphertext with the share's log first: then the content is what the owner shared.
   * @throws KeystrataError `key-not-found` for envelopes of the owner's reader, and of other shares; `policy` for
   *   unencrypted blocks; else as there
   */
  open(block: SealedBlock): Promise<Bytes>
  /**
   * Opens a record of the share's log, which the owner of the card has signed.
   * @throws KeystrataError as {@link RecordReader.openRecord}
   */
  openRecord(record: Uint8Array, options?: { after?: Uint8Array | 'start' }): Promise<OpenedRecord>
}

/** The keys of a share in the hand of its owner. */
interface ShareKeys {
  readonly share: ActiveShare
  readonly sharer: Sharer
  readonly owner: OwnerPairs
}

export class OwnedShare extends SecretHolder implements Share {
  readonly id: string
  readonly #share: ActiveShare
  readonly #sharer: Sharer
  readonly #encryption: number
  readonly #keys: EnvelopeKeys
  readonly #recipient: ShareRecipient

  private constructor(held: ShareKeys, encryption: number, recipient: ShareRecipient, keys: EnvelopeKeys) {
    const { share, sharer, owner } = held
    super('share', () => {
      disposeKeys(held)
      keys.dispose()
    })
    this.id = toHex(share.id)
    this.#share = share
    this.#sharer = sharer
    this.#encryption = encryption
    this.#keys = keys
    this.#recipient = recipient
    const { id, publicHalves } = share
    const added = { share: { id, publicHalves }, sharer: recipient.sharer, encryption }
    setRecipe(this, () => ({ kind: 'share', ...added, owner }))
  }

  /**
   * Borrows the keys.
   * @param encryption a {@link Strength}: what writers of the keyset do by default
   */
  static of(share: ActiveShare, sharer: Sharer, encryption: number, owner: OwnerPairs): Share {
    const { id, blockPair, retired, accept } = owner
    const recipient = new ShareRecipient(share, sharer.sourceSigning.publicKey)
    const held = copyKeys({ share, sharer, owner: { id, blockPair, retired, accept } })
    try {
      return new OwnedShare(held, encryption, recipient, envelopeKeysOf(owner))
    } catch (error) {
      disposeKeys(held)
      throw error
    }
  }

  add(head: BlockHead): Bytes {
    this.assertUsable()
    return addToShare(head, this.#keys, this.#recipient, this.#encryption === Strength.hybrid)
  }

  async sealRecord(content: Uint8Array, after: Uint8Array | 'start'): Promise<SealedRecord> {
    this.assertUsable()
    const { ownerId, recipient, isHybrid } = this.#recipient
    const hybrid = isHybrid || this.#encryption !== Strength.x25519
    return sealRecord(content, after, { ownerId, recipient, hybrid, signing: this.#sharer.sourceSigning })
  }

  invite(to: Card): Bytes {
    this.assertUsable()
    // Before 1970 a clock is wrong, and an invite no worse for it.
    return sealInvite(this.#share, this.#sharer, keysOfCard(to), Math.max(0, Date.now()))
  }
}

export class AcceptedShare extends SecretHolder implements SharedReader {
  readonly id: string
  readonly #issuedAt: number
  readonly #keys: EnvelopeKeys
  readonly #sourceSigning: Bytes

  /** Borrows the keys. */
  constructor({ id, pair, issuedAt }: InvitedShare, { sourceSigning }: Pick<PinnedKeys, 'sourceSigning'>) {
    const keys = new EnvelopeKeys(id, pair, { sharer: sourceSigning })
    const invited = copyKeys({ id, pair, issuedAt })
    super('shared reader', () => {
      keys.dispose()
      disposeKeys(invited)
    })
    this.id = toHex(id)
    this.#issuedAt = issuedAt
    this.#keys = keys
    this.#sourceSigning = sourceSigning
    setRecipe(this, () => ({ kind: 'shared', invited, sourceSigning }))
  }

  get issuedAt(): Date {
    return new Date(this.#issuedAt)
  }

  async open(block: SealedBlock): Promise<Bytes> {
    this.assertUsable()
    return openBlock(block, this.#keys, checkSharedContent)
  }

  async openRecord(record: Uint8Array, options: { after?: Uint8Array | 'start' } = {}): Promise<OpenedRecord> {
    this.assertUsable()
    return openRecord(record, options.after, this.#keys, this.#sourceSigning)
  }
}
