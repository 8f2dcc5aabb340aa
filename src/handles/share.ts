// A share in two hands: its owner adds blocks and invites, its recipient opens what was added (SPEC §12).
import type { BlockHead, SealedBlock } from '../blocks/block.ts'
import { openBlock } from '../blocks/open.ts'
import { OwnerKeys } from '../blocks/owner-keys.ts'
import { type OpenedRecord, openRecord, type SealedRecord, sealRecord } from '../blocks/record.ts'
import { type Bytes, toHex } from '../bytes.ts'
import { type ActiveShare, type SigningPair, Strength } from '../format/keyset.ts'
import { type Card, type CardKeys, keysOfCard } from '../keys/card.ts'
import { copyKeys, disposeKeys } from '../keys/keyset-contents.ts'
import { type Handle, SecretHolder } from '../secret.ts'
import { type InvitedShare, type PinnedCard, sealInvite } from '../sharing/invite.ts'
import { addToShare, checkSharedContent, ShareRecipient } from '../sharing/share.ts'
import type { RecordReader } from './keyset-reader.ts'
import type { RecordWriter } from './keyset-writer.ts'

/** A share in the hand of its owner, with a life of its own: what is added, its readers can open from then on, for good. */
export interface Share extends RecordWriter, Handle {
  /** 32 hex digits: random, and the same for the whole life of the share. */
  readonly id: string
  /**
   * The envelope by which the share's readers open a block; its ciphertext stays as it is, and is not needed.
   * @throws KeystrataError `policy` for an unencrypted block, which has no key, and for one that is weaker than its key pair
   *   demands; `key-not-found` if it is addressed to a key pair that is not held here; `authentication-failed`, `malformed`,
   *   `unsupported`, `disposed`
   */
  add(head: BlockHead): Bytes
  /**
   * The keys of the share, sealed to somebody's card and signed: about 3.5 kB, to be carried by whoever. One for each card.
   * @param to a card whose fingerprint was compared: who has its private half opens the share
   * @throws KeystrataError `policy` if the share goes straight to another card; `key-changed` if card and fingerprint do not
   *   belong together; `malformed`, `unsupported`, `authentication-failed` for what is no card; `disposed`
   */
  invite(to: Card): Bytes
}

/** A share in the hand of a recipient: opens the blocks and records of the share, and nothing else. */
export interface SharedReader extends RecordReader {
  /** 32 hex digits: the id of the share. */
  readonly id: string
  /** When the invite was made, as the clock of its maker says. */
  readonly issuedAt: Date
}

/** What of the owner's keyset a share works with. */
export interface Sharer {
  readonly card: PinnedCard
  readonly cardSigning: SigningPair
  readonly sourceSigning: SigningPair
  /** A {@link Strength}: what writers do by default. */
  readonly encryption: number
}

export class OwnedShare extends SecretHolder implements Share {
  readonly id: string
  readonly #share: ActiveShare
  readonly #sharer: Sharer
  readonly #keys: OwnerKeys
  readonly #recipient: ShareRecipient

  private constructor(recipient: ShareRecipient, share: ActiveShare, sharer: Sharer, keys: OwnerKeys) {
    super('share', () => {
      disposeKeys([share, sharer])
      keys.dispose()
    })
    this.id = toHex(share.id)
    this.#share = share
    this.#sharer = sharer
    this.#keys = keys
    this.#recipient = recipient
  }

  /** Takes the keys of the owner over, whatever happens, and borrows the rest. */
  static of(share: ActiveShare, sharer: Sharer, keys: OwnerKeys): Share {
    try {
      return new OwnedShare(new ShareRecipient(share), copyKeys(share), copyKeys(sharer), keys)
    } catch (error) {
      keys.dispose()
      throw error
    }
  }

  add(head: BlockHead): Bytes {
    this.assertUsable()
    return addToShare(head, this.#keys, this.#recipient, this.#sharer.encryption === Strength.hybrid)
  }

  async sealRecord(content: Uint8Array, after: Uint8Array | 'start'): Promise<SealedRecord> {
    this.assertUsable()
    const { sourceSigning: signing, encryption } = this.#sharer
    const { ownerId, recipient, isHybrid } = this.#recipient
    const hybrid = isHybrid || encryption !== Strength.x25519
    return sealRecord(content, after, { ownerId, recipient, hybrid, signing })
  }

  invite(to: Card): Bytes {
    this.assertUsable()
    const { card, cardSigning } = this.#sharer
    return sealInvite(this.#share, card, cardSigning, keysOfCard(to), Date.now())
  }
}

export class AcceptedShare extends SecretHolder implements SharedReader {
  readonly id: string
  readonly issuedAt: Date
  readonly #keys: OwnerKeys
  readonly #sourceSigning: Bytes

  /** Borrows the keys. */
  constructor({ id, pair, issuedAt }: InvitedShare, { sourceSigning }: CardKeys) {
    const keys = new OwnerKeys(id, pair)
    super('shared reader', () => keys.dispose())
    this.id = toHex(id)
    this.issuedAt = new Date(issuedAt)
    this.#keys = keys
    this.#sourceSigning = sourceSigning
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
