// Shares (SPEC §11): the key of a block is masked again, for a key pair that other users hold. The ciphertext stays as
// it is. The share's readers learn the keys of the blocks that were added, and no others.
import { assertKeyPair } from './exports.ts'
import type { BlockHead, BlockReader, StoredBlock } from '../core/block.ts'
import { type Bytes, equalBytes, toHex, wipe } from '../core/bytes.ts'
import { type Card, keysOfCard, type PinnedKeys } from '../core/card.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { generateKeyPair, type PublicHalves, Recipient, type SigningPair } from '../core/key-pairs.ts'
import { setNeedsPins } from '../core/pins.ts'
import { setRecipe } from '../core/recipe.ts'
import { copyKeys, disposeKeys, equalKeys, type Handle, SecretHolder, SecretKey } from '../core/secret.ts'
import { type EncryptedSuite, recordSuiteOf, rekeySuiteOf, Strength, strongestSuite } from '../core/suite.ts'
import { setVerifyForShare } from '../core/verify.ts'
import { digestContent } from '../primitives/hash.ts'
import { drawUntil, randomBytes } from '../primitives/random.ts'
import {
  openRecord,
  type RecordKeys,
  type RecordPlace,
  type RecordReader,
  type RecordWriter,
  type SealedRecord,
  sealRecord,
  setRecordKeys,
} from '../state/record.ts'
import { maskKey, Mode, parseEnvelope } from './mask.ts'
import { OwnerBlocks, type OwnerKeys } from './owner.ts'
import { type InvitedShare, sealInvite, type Sharer } from './invite.ts'
import type { ActiveShare, PublicShare } from './layout.ts'
import { EnvelopeKeys, openBlock, type OpenedContent } from './open.ts'
import { recordKeysFrom } from './signed-record.ts'
import { type EnvelopeTarget, rekeyBlock } from './rekey.ts'
import type { PreparedContent } from './seal.ts'

/**
 * Creates a share with its own key pairs, or a direct share to the key pairs of a card.
 * @param least the weakest blocks that the keyset accepts
 * @param taken the ids of the keyset's shares, revoked ones too. A cloned machine could draw one of them again
 */
export function createActiveShare(
  least: Strength,
  card: PublicHalves | undefined,
  taken: readonly Uint8Array[],
): ActiveShare {
  // Unencrypted blocks need no share, and its readers could not check them.
  const minimum = least === Strength.none ? Strength.x25519 : least
  const id = drawUntil(() => {
    const drawn = randomBytes(16)
    return taken.some((each) => equalBytes(each, drawn)) ? undefined : drawn
  })
  return card === undefined ? { id, ...generateKeyPair(minimum) } : { id, publicHalves: { ...card, minimum } }
}

/** The recipient of an active share's envelopes and records. */
export class ShareRecipient implements EnvelopeTarget {
  readonly ownerId: Bytes
  readonly recipient: Recipient
  /** The weakest suite that readers of the share accept. */
  readonly weakest: EncryptedSuite
  readonly sharer: Uint8Array

  /**
   * Imports the public keys of a share.
   * @param sharer the source signing key of the keyset
   * @throws KeystrataError `malformed` for invalid public keys
   */
  constructor({ id, publicHalves }: PublicShare, sharer: Uint8Array) {
    this.sharer = sharer
    this.ownerId = id
    this.recipient = new Recipient(publicHalves)
    this.weakest = rekeySuiteOf(publicHalves.minimum)
  }
}

/** The active shares of a keyset. Each is imported at first use. */
export class ShareRecipients {
  readonly ids: readonly string[]
  readonly #shares: ReadonlyMap<string, PublicShare>
  readonly #imported: Map<string, ShareRecipient> = new Map()
  readonly #sharer: () => Uint8Array

  /**
   * Prepares the shares. It imports none of them yet.
   * @param sharer returns the source signing key of the keyset; called only when it is needed
   */
  constructor(shares: readonly PublicShare[], sharer: () => Uint8Array) {
    this.#sharer = sharer
    // Of shares with one id, the first counts (SPEC §9.3).
    this.#shares = new Map([...shares].reverse().map((share) => [toHex(share.id), share]))
    this.ids = Object.freeze([...new Set(shares.map(({ id }) => toHex(id)))])
  }

  /**
   * Returns a share, and imports its keys at first use.
   * @throws KeystrataError `key-not-found` if no active share has this id
   * @throws KeystrataError `malformed` if its public keys are invalid
   */
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
  const message = 'no active share has this id; it was revoked, or this handle or export is older than the share'
  return new KeystrataError('key-not-found', message, { object: 'share', share: id.slice(0, 32) })
}

/**
 * Writes an envelope for a prepared block, so that readers of a share can open it.
 * @param weakest the weakest suite that the envelope may have
 * @throws KeystrataError `policy` for an unencrypted block
 */
export function maskForShare(
  { mode, blockKey, label }: PreparedContent,
  share: ShareRecipient,
  weakest: EncryptedSuite,
): Bytes {
  if (mode === Mode.none) throw unencrypted()
  const { ownerId, recipient, sharer } = share
  return maskKey(blockKey, recipient, { ownerId, suite: strongestSuite(weakest, share.weakest), mode, label, sharer })
}

/**
 * Writes the same for a stored block, from its own envelope, which is verified first.
 * @throws KeystrataError `policy` for an unencrypted block
 * @throws KeystrataError as {@link rekeyBlock} otherwise
 */
export function addToShare(head: BlockHead, keys: EnvelopeKeys, share: ShareRecipient, weakest: EncryptedSuite): Bytes {
  const { ownerId, recipient, sharer } = share
  const target = { ownerId, recipient, sharer, weakest: strongestSuite(weakest, share.weakest) }
  const envelope = rekeyBlock(head, keys, target)
  if (envelope === undefined) throw unencrypted()
  return envelope
}

function unencrypted(): KeystrataError {
  return new KeystrataError('policy', 'an unencrypted block has no key to share; anybody who has it can read it', {
    rule: 'encrypted-blocks',
  })
}

/**
 * Checks content as far as the reader of a share can. Labels are keyed by secrets that this reader does not have. In
 * the mode `global` the cipher does not commit to its key, which is the hash of the content, so this compares the hash.
 * In the other modes the cipher commits to its key.
 * @throws KeystrataError `authentication-failed`
 */
async function checkSharedContent({ mode, content, blockKey }: OpenedContent): Promise<void> {
  // Envelopes of unencrypted blocks are refused before this, because no share accepts them.
  if (blockKey === undefined) throw authenticationFailed()
  switch (mode) {
    case Mode.scoped:
    case Mode.off:
      return
    case Mode.none:
      throw authenticationFailed()
    case Mode.global: {
      const [digest] = (await digestContent(content, [{ hash: 'sha3-256' }])) as [Bytes]
      using found = SecretKey.take('block', digest)
      if (!equalKeys(found, blockKey)) throw authenticationFailed()
    }
  }
}

/**
 * A share, as its owner uses it. Readers of the share can open what the owner adds from then on, and permanently. To
 * read the share's log, accept an invite to your own card. Only the recipient of a direct share can read its log.
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
   * Creates the envelope with which the share's readers open a block. The ciphertext stays as it is, and is not needed.
   * `shareFrom` adds many blocks, and gives the refs for the share's log. Without it, write the block's label there, with
   * the SHA-256 of the ciphertext, after you opened the block: readers compare the hash before they open it.
   * @throws KeystrataError `policy` if the block is unencrypted, and so has no key, or is weaker than its key pair
   *   requires
   * @throws KeystrataError `key-not-found` if it is addressed to a key pair that this handle does not have
   * @throws KeystrataError `authentication-failed`, `malformed`, `unsupported`, `disposed`
   */
  add(head: BlockHead): Bytes
  /**
   * Seals the keys of the share to a user's card, and signs them. The invite has about 3.5 kB and can travel over any
   * channel. Create one for each recipient, at any time.
   * @param to a card whose fingerprint you compared with its owner. Anybody who has its private half can open the share
   * @throws KeystrataError `policy` for a direct share to another card
   * @throws KeystrataError `key-changed` if card and fingerprint do not match
   * @throws KeystrataError `invalid-text` if its fingerprint is not 60 digits
   * @throws KeystrataError `malformed`, `unsupported` or `authentication-failed` if it is not a card
   * @throws KeystrataError `disposed` if this handle was disposed of
   * @throws TypeError if it is not a card
   */
  invite(to: Card): Bytes
}

/**
 * A share, as a recipient uses it. It opens the blocks and records of the share, and nothing else. Take the block from
 * the store and the envelope from the share: `{ ...parseBlock(stored, label), envelope }`.
 * @example
 * ```ts
 * import { parseBlock, type SharedReader } from 'keystrata'
 *
 * function openShared(stored: Uint8Array, label: string, envelope: Uint8Array, reader: SharedReader) {
 *   return reader.open({ ...parseBlock(stored, label), envelope }) // compare both with the share's log first
 * }
 * ```
 */
export interface SharedReader extends BlockReader, RecordReader, Handle {
  /** 32 hex digits: the id of the share. */
  readonly id: string
  /** When the invite was created, by the clock of the user who created it. */
  readonly issuedAt: Date
  /**
   * Opens a block of the share. This cannot check the label, and everybody who has the keys of the share can create an
   * envelope. So first compare the SHA-256 of the ciphertext with the share's log: if it matches, the content is what the
   * owner shared. `openFrom` does this, with the refs of the log.
   * @throws KeystrataError `key-not-found` for envelopes of the owner and of other shares
   * @throws KeystrataError `policy` for unencrypted blocks
   * @throws KeystrataError as {@link BlockReader.open} otherwise
   */
  open(block: StoredBlock): Promise<Bytes>
  /**
   * Opens a record of the share's log, which the owner of the share signed.
   * @throws KeystrataError as {@link RecordReader.openRecord}
   */
  openRecord(
    record: Uint8Array,
    place: RecordPlace | { log: string; after: 'unchecked' },
  ): Promise<SealedRecord & { content: Bytes }>
}

/** The keys that an {@link OwnedShare} holds. */
interface OwnedKeys {
  readonly share: ActiveShare
  readonly sharer: Sharer
  readonly owner: OwnerKeys
}

export class OwnedShare extends SecretHolder implements Share {
  readonly id: string
  readonly #share: ActiveShare
  readonly #sharer: Sharer
  readonly #encryption: Strength
  readonly #blocks: OwnerBlocks
  readonly #recipient: ShareRecipient
  readonly #records: RecordKeys

  private constructor(held: OwnedKeys, encryption: Strength, recipient: ShareRecipient, blocks: OwnerBlocks) {
    const { share, sharer } = held
    super('share', () => {
      blocks.dispose()
      disposeKeys(held)
    })
    this.id = toHex(share.id)
    this.#share = share
    this.#sharer = sharer
    this.#encryption = encryption
    this.#blocks = blocks
    this.#recipient = recipient
    setVerifyForShare(this, async (block) => {
      this.assertUsable()
      wipe(await blocks.open(block))
      return parseEnvelope(block.envelope).mode !== Mode.off
    })
    const { sourceSigning, cardSigning } = sharer
    this.#records = shareRecords(recipient, encryption, () => sourceSigning, cardSigning.publicKey)
    setRecordKeys(this, () => this.#usable())
  }

  /**
   * Creates a share with copies of the keys.
   * @param encryption the default of the keyset's writers
   */
  static of(share: ActiveShare, sharer: Sharer, encryption: Strength, owner: OwnerKeys): Share {
    const { publicHalves, privateHalves } = share
    if (privateHalves !== undefined) assertKeyPair({ publicHalves, privateHalves })
    const recipient = new ShareRecipient(share, sharer.sourceSigning.publicKey)
    const held = copyKeys({ share, sharer, owner })
    try {
      return new OwnedShare(held, encryption, recipient, new OwnerBlocks(held.owner))
    } catch (error) {
      disposeKeys(held)
      throw error
    }
  }

  add(head: BlockHead): Bytes {
    this.assertUsable()
    return addToShare(head, this.#blocks.keys, this.#recipient, rekeySuiteOf(this.#encryption))
  }

  async sealRecord(content: Uint8Array, place: RecordPlace): Promise<SealedRecord> {
    return sealRecord(this.#usable(), content, place)
  }

  #usable(): RecordKeys {
    this.assertUsable()
    return this.#records
  }

  invite(to: Card): Bytes {
    this.assertUsable()
    // If the clock is wrong and says a time before 1970, the invite still works.
    return sealInvite(this.#share, this.#sharer, keysOfCard(to), Math.max(0, Date.now()))
  }
}

/**
 * Returns what the owner of a share can do with the records of the share's own log. It never needs resealing, because
 * the keys of the share stay the same.
 */
export function shareRecords(
  { ownerId, recipient, weakest }: ShareRecipient,
  encryption: Strength,
  signing: () => SigningPair,
  cardSigning: Uint8Array,
): RecordKeys {
  return recordKeysFrom({
    ownerId,
    signers: () => ({ sourceSigning: signing().publicKey, cardSigning }),
    ...noneAdopted,
    writer: { recipient, suite: strongestSuite(recordSuiteOf(encryption), weakest), signing },
  })
}

/** A share adopts nothing. */
const noneAdopted = { adopted: () => undefined, isAdopted: () => false }

/** What a worker thread needs to open blocks of a share. */
export interface SharedRecipe {
  readonly kind: 'shared'
  readonly invited: InvitedShare
  readonly sourceSigning: Bytes
  readonly cardSigning: Bytes
}

export class AcceptedShare extends SecretHolder implements SharedReader {
  readonly id: string
  readonly #issuedAt: number
  readonly #keys: EnvelopeKeys
  readonly #records: RecordKeys

  /** Copies the keys. */
  constructor({ id, pair, issuedAt }: InvitedShare, signers: Pick<PinnedKeys, 'sourceSigning' | 'cardSigning'>) {
    const { sourceSigning, cardSigning } = signers
    const keys = new EnvelopeKeys(id, pair, { sharer: sourceSigning })
    const invited = copyKeys({ id, pair, issuedAt })
    super('shared reader', () => {
      keys.dispose()
      disposeKeys(invited)
    })
    this.id = toHex(id)
    this.#issuedAt = issuedAt
    this.#keys = keys
    this.#records = recordKeysFrom({
      ownerId: invited.id,
      signers: () => ({ sourceSigning, cardSigning }),
      ...noneAdopted,
      keys,
    })
    setRecordKeys(this, () => this.#usable())
    setNeedsPins(this)
    setRecipe(this, (): SharedRecipe => ({ kind: 'shared', invited, sourceSigning, cardSigning }))
  }

  get issuedAt(): Date {
    return new Date(this.#issuedAt)
  }

  async open(block: StoredBlock): Promise<Bytes> {
    this.assertUsable()
    return openBlock(block, this.#keys, checkSharedContent)
  }

  async openRecord(
    record: Uint8Array,
    place: RecordPlace | { log: string; after: 'unchecked' },
  ): Promise<SealedRecord & { content: Bytes }> {
    return openRecord(this.#usable(), record, place)
  }

  #usable(): RecordKeys {
    this.assertUsable()
    return this.#records
  }
}
