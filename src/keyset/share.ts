// Shares (SPEC §12): a block's key, masked again for a key pair that others hold. The ciphertext stays as it is, and the
// share's reader learns the keys of the blocks that were added, and no others.
// A share in two hands: its owner adds blocks and invites, its recipient opens what was added (SPEC §12).
import type { BlockHead, SealedBlock } from '../core/block.ts'
import { type Bytes, equalBytes, toHex } from '../core/bytes.ts'
import { type Card, keysOfCard, type PinnedKeys } from '../core/card.ts'
import { Mode } from '../core/envelope.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { generateKeyPair, type PublicHalves, Recipient, Strength } from '../core/key-pairs.ts'
import { setRecipe } from '../core/recipe.ts'
import { copyKeys, disposeKeys, equalKeys, type Handle, SecretHolder, SecretKey } from '../core/secret.ts'
import { digestContent } from '../primitives/hash.ts'
import { randomBytes } from '../primitives/random.ts'
import { maskKey } from './envelope.ts'
import { type InvitedShare, sealInvite, type Sharer } from './invite.ts'
import type { ActiveShare, PublicShare } from './layout.ts'
import { EnvelopeKeys, envelopeKeysOf, openBlock, type OwnerPairs } from './open.ts'
import {
  type OpenedRecord,
  openRecord,
  type RecordReader,
  type RecordWriter,
  type SealedRecord,
  sealRecord,
} from './record.ts'
import { type EnvelopeTarget, rekeyBlock } from './rekey.ts'
import type { PreparedContent } from './seal.ts'

/**
 * A new share: with key pairs of its own, or straight to those of a card.
 * @param least what the blocks of the keyset are protected with at least (a {@link Strength})
 */
export function createActiveShare(least: number, card?: PublicHalves): ActiveShare {
  // What is not encrypted needs no share, and its reader could not check it.
  const minimum = Math.max(least, Strength.x25519)
  const id = randomBytes(16)
  return card === undefined ? { id, ...generateKeyPair(minimum) } : { id, publicHalves: { ...card, minimum } }
}

/** Whom an active share is sealed to. */
export class ShareRecipient implements Omit<EnvelopeTarget, 'hybrid'> {
  readonly ownerId: Bytes
  readonly recipient: Recipient
  /** Whether its reader takes nothing but both agreements together. */
  readonly isHybrid: boolean
  readonly sharer: Uint8Array

  /**
   * @param sharer the source signing key of the keyset
   * @throws KeystrataError `malformed` for keys that are none
   */
  constructor({ id, publicHalves }: PublicShare, sharer: Uint8Array) {
    this.sharer = sharer
    this.ownerId = id
    this.recipient = new Recipient(publicHalves)
    this.isHybrid = publicHalves.minimum === Strength.hybrid
  }
}

/** The active shares of a keyset, each imported when it is first used. */
export class ShareRecipients {
  readonly ids: readonly string[]
  readonly #shares: ReadonlyMap<string, PublicShare>
  readonly #imported: Map<string, ShareRecipient> = new Map()
  readonly #sharer: () => Uint8Array

  /** @param sharer gives the source signing key of the keyset, once it is needed */
  constructor(shares: readonly PublicShare[], sharer: () => Uint8Array) {
    this.#sharer = sharer
    this.#shares = new Map(shares.map((share) => [toHex(share.id), share]))
    this.ids = Object.freeze([...this.#shares.keys()])
  }

  /** @throws KeystrataError `key-not-found` for an id that is none, or of a share that was revoked; `malformed` */
  of(id: string): ShareRecipient {
    const known = this.#imported.get(id)
    if (known !== undefined) return known
    const share = this.#shares.get(id)
    if (share === undefined) throw noSuchShare(id)
    const recipient = new ShareRecipient(share, this.#sharer())
    this.#imported.set(id, recipient)
    return recipient
  }
}

export function noSuchShare(id: string): KeystrataError {
  return new KeystrataError(
    'key-not-found',
    'no such share, or none any more: is this handle, or export, older than the share?',
    { share: id.slice(0, 32) },
  )
}

/**
 * The envelope by which the reader of a share comes to a block that is being sealed, or was sealed before.
 * @throws KeystrataError `policy` for an unencrypted block
 */
export function maskForShare(
  { mode, blockKey, label }: PreparedContent,
  share: ShareRecipient,
  hybrid: boolean,
): Bytes {
  if (mode === Mode.none) throw unencrypted()
  const { ownerId, recipient, isHybrid, sharer } = share
  return maskKey(blockKey, recipient, { ownerId, hybrid: hybrid || isHybrid, mode, label, sharer })
}

/**
 * The same for a stored block, from its own envelope, which is verified first.
 * @throws KeystrataError `policy` for an unencrypted block, and as {@link rekeyBlock}
 */
export function addToShare(head: BlockHead, keys: EnvelopeKeys, share: ShareRecipient, hybrid: boolean): Bytes {
  const { ownerId, recipient, isHybrid, sharer } = share
  const envelope = rekeyBlock(head, keys, { ownerId, recipient, hybrid: hybrid || isHybrid, sharer })
  if (envelope === undefined) throw unencrypted()
  return envelope
}

function unencrypted(): KeystrataError {
  return new KeystrataError('policy', 'an unencrypted block has no key that could be shared: whoever has it reads it', {
    rule: 'encrypted-blocks',
  })
}

/**
 * What the reader of a share can check of content: the labels are keyed by secrets that it has not. In `global` the cipher
 * does not commit to its key, which is the content's hash; in the other modes it does.
 * @throws KeystrataError `authentication-failed`
 */
export async function checkSharedContent(
  mode: Mode,
  content: Uint8Array,
  _label: Uint8Array,
  blockKey: SecretKey<'block'> | undefined,
): Promise<void> {
  if (mode !== Mode.global || blockKey === undefined) return
  const [digest] = (await digestContent(content, [{ hash: 'sha3-256' }])) as [Bytes]
  const found = SecretKey.take('block', digest)
  const holds = equalKeys(found, blockKey)
  found.dispose()
  if (!holds) throw authenticationFailed()
}

/** Whether two sets of public halves are the same key pairs. */
export function samePair(a: PublicHalves, b: PublicHalves): boolean {
  return equalBytes(a.x25519, b.x25519) && equalBytes(a.mlKem1024, b.mlKem1024)
}

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
