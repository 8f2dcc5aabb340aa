// What the owner of a keyset can do with it.
// A keyset in the hand of its owner: it opens, exports, and changes its keys (SPEC §5, §6).
import { type BlockHead, type SealedBlock, shareIdFrom } from '../core/block.ts'
import { type Bytes, toHex, wipe } from '../core/bytes.ts'
import { type Card, type CardKeys, encodeCard, keysOfCard } from '../core/card.ts'
import { generateKeyPair, Strength } from '../core/key-pairs.ts'
import { type Argon2Costs, DEFAULT_ARGON2_COSTS, type HashOptions, isWritable } from '../core/password.ts'
import { setRecipe } from '../core/recipe.ts'
import { disposeKeys, SecretHolder, type SecretKey } from '../core/secret.ts'
import { numberOf } from '../core/text.ts'
import {
  assertComplete,
  type CompleteContents,
  nextContents,
  withBlockPair,
  withoutRetired,
  withoutShare,
  withShare,
} from './changes.ts'
import { encodeExports, incompleteFor, type KeysetContents, type KeysetDestination } from './exports.ts'
import { openInvite } from './invite.ts'
import { type ActiveShare, Destination } from './layout.ts'
import { createMaster, rewrapMaster } from './master.ts'
import { OwnerBlocks, type OwnerKeys } from './open.ts'
import { type OpenedRecord, openRecord, type RecordReader, resealRecords, type SealedRecord } from './record.ts'
import { AcceptedShare, createActiveShare, noSuchShare, OwnedShare, type Share, type SharedReader } from './share.ts'
import { type Encryption, HostWriter, type KeysetWriter, parseWriterOptions, type WriterOptions } from './writer.ts'

/**
 * How a password is hashed, and how to follow or end the wait.
 * @example
 * ```ts
 * import { createKeyset, type PasswordOptions } from 'keystrata'
 *
 * const costs = { iterations: 2, memoryKiB: 131_072, lanes: 4 }
 * const options: PasswordOptions = { costs, signal: AbortSignal.timeout(60_000) }
 * using keyset = await createKeyset('correct horse battery staple', options)
 * const inStorage = keyset.export('source-storage')
 * ```
 */
export interface PasswordOptions extends HashOptions {
  /**
   * Creating: what a guess shall cost; by default 64 MiB, 3 iterations, 4 lanes. Unlocking: the most that this device is
   * ready to spend; an export that asks for more is `limit-exceeded`.
   */
  costs?: Argon2Costs
}

/**
 * A keyset with its private halves: opens every block, and gives the exports and the writers.
 * @example
 * ```ts
 * import type { KeysetReader } from 'keystrata'
 *
 * async function newPassword(keyset: KeysetReader, next: string) {
 *   using changed = await keyset.changePassword(next)
 *   return { host: changed.export('host'), storage: changed.export('source-storage') } // in the place of the old ones
 * }
 * ```
 */
export interface KeysetReader extends RecordReader {
  /** 32 hex digits: random, and the same for the whole life of the keyset. */
  readonly id: string
  /** Grows by one with every change of the keys. */
  readonly version: number
  /** The ids of the shares that are active, 32 hex digits each; none if this was unlocked from a `source-definition`. */
  readonly shares: readonly string[]
  /**
   * The bytes to keep in one of three places, the same at every call. `host`: on the machine that backs up, where
   * {@link openWriter} needs no password; keep it private, it holds the dedup secrets openly. `source-storage`: beside the
   * backup, all secrets sealed. `source-definition`: sealed too, without the keys for sharing and those of the past.
   * @throws KeystrataError `policy` for `host` and `source-storage` if this was unlocked from a `source-definition`; `disposed`
   */
  export(to: KeysetDestination): Bytes
  /**
   * The public keys that others need to seal something to the owner of this keyset; the same at every call.
   * @throws KeystrataError `policy` if this was unlocked from a `source-definition`; `disposed`
   */
  card(): Card
  /**
   * The same keys under another password: only the Argon2 record changes, so every export that is kept must be replaced. An
   * old copy still opens with the old password.
   * @param options `costs`: by default those of the old password; `newMaster`: a fresh master key too, so that who kept the
   *   old one opens no later export
   * @throws KeystrataError `limit-exceeded`, `aborted` as {@link createKeyset}; `policy` for `newMaster` if this was
   *   unlocked from a `source-definition`; `disposed`
   */
  changePassword(next: string, options?: PasswordOptions & { newMaster?: boolean }): Promise<KeysetReader>
  /**
   * New key pairs for blocks; the old ones are kept, so what is stored still opens. In an order that survives a crash: store
   * the exports and unlock one, replace the host export, {@link KeysetReader.rekey} every block and
   * {@link KeysetReader.resealRecords} every log, then `forgetRetired`. Of a share get a new handle too: an old one cannot add what was rekeyed.
   * @param options `encryption`: what the new key pairs demand and writers do by default; by default as before
   * @throws KeystrataError `policy` if this was unlocked from a `source-definition`; `limit-exceeded` beyond about 600 key
   *   pairs of the past and shares; `disposed`
   */
  regenerate(options?: { encryption?: Encryption }): KeysetReader
  /**
   * Whether a block is under today's key pairs. Unencrypted ones are; those of another owner are not.
   * @throws KeystrataError `malformed`, `unsupported` if it is no envelope of a keyset; `disposed`
   */
  isCurrent(envelope: Uint8Array): boolean
  /**
   * A new envelope under today's key pairs; the ciphertext stays as it is, and is not needed. A current block gets a fresh
   * envelope, an unencrypted one the same. Keep the old envelope until the new one is stored. Whoever held the old
   * envelope's key can still open the block: to take that away, seal the content anew.
   * @throws KeystrataError `key-not-found` if it is addressed to a key pair that is not held here; `policy` if it is weaker
   *   than that pair demands; `authentication-failed`, `malformed`, `unsupported`, `disposed`
   */
  rekey(head: BlockHead): Bytes
  /**
   * Seals all records of a log anew, under today's key pairs and in the next epoch; the last one that this gives closes the
   * epoch. Store them beside the old ones, which may go when the last is stored: of several epochs take the highest that is
   * closed, or 0. New records follow the closing one. The chain is verified on the way, from its start. If it stopped, delete
   * the epoch that is not closed, and begin again; let nobody append to the old one meanwhile.
   * @param records all records of one epoch, in order
   * @throws KeystrataError as `openRecord`, at the record in question
   */
  resealRecords(records: AsyncIterable<Uint8Array>): AsyncGenerator<SealedRecord>
  /**
   * Drops the key pairs of the past: blocks that were not rekeyed and records that were not resealed do not open any more, for
   * good.
   * @param done both must be true, in writing
   * @throws KeystrataError `policy` if this was unlocked from a `source-definition`; `disposed`
   * @throws TypeError unless both are true
   */
  forgetRetired(done: { blocksRekeyed: true; recordsResealed: true }): KeysetReader
  /**
   * A share with key pairs of its own, for any number of recipients; or straight to the key pairs of one card, whose owner
   * then needs no keys from here. It is part of the new handle: store its exports. Writers of its host export mask new
   * blocks for it.
   * @param options `to`: a card whose fingerprint was compared; everything in a straight share says openly whose card it is
   * @throws KeystrataError `policy` if this was unlocked from a `source-definition`; `key-changed` if card and fingerprint
   *   do not belong together; `malformed`, `unsupported`, `authentication-failed` for what is no card; `limit-exceeded`
   *   beyond about 600 shares; `disposed`
   */
  createShare(options?: { to?: Card }): { reader: KeysetReader; share: Share }
  /**
   * An active share, with a life of its own.
   * @throws KeystrataError `key-not-found` if there is none with that id; `policy` if this was unlocked from a
   *   `source-definition`; `disposed`
   */
  share(id: string): Share
  /**
   * Ends a share: writers and readers of the new exports write nothing more for it. Older ones still do, so replace every
   * host export, and dispose of older readers, of their writers and of the `Share`. What was added stays open to its
   * readers; to take it away, seal the content anew.
   * @throws KeystrataError `key-not-found`, `policy`, `disposed` as {@link KeysetReader.share}
   */
  revokeShare(id: string): KeysetReader
  /**
   * Opens an invite to this keyset's card. The reader has a life of its own. Keep the invite: it is what survives a restart.
   * @param from the card of the one who shares, whose fingerprint was compared
   * @throws KeystrataError `authentication-failed` if it is not from the owner of that card, or was altered;
   *   `key-not-found` if it is to another card; `policy` if this was unlocked from a `source-definition`; `key-changed` if
   *   card and fingerprint do not belong together; `malformed`, `unsupported`, `disposed`
   */
  acceptShare(invite: Uint8Array, from: Card): SharedReader
  /**
   * A writer with a life of its own.
   * @throws KeystrataError `policy` for weaker encryption than the keyset's minimum; `disposed`
   */
  writer(options?: WriterOptions): KeysetWriter
}

class UnlockedKeyset extends SecretHolder implements KeysetReader {
  readonly id: string
  readonly version: number
  readonly shares: readonly string[]
  readonly #contents: KeysetContents
  readonly #master: SecretKey<'master'>
  readonly #exports: ReadonlyMap<string, Bytes>
  readonly #blocks: OwnerBlocks
  readonly #owner: OwnerKeys

  /** Takes the contents and the master key over. */
  constructor(contents: KeysetContents, master: SecretKey<'master'>, accept?: number) {
    const { additional } = contents
    const exports = encodeExports(contents, master)
    const owner = ownerKeysOf(contents, accept)
    let blocks: OwnerBlocks
    try {
      blocks = new OwnerBlocks(owner)
    } catch (error) {
      wipe(...exports.values())
      throw error
    }
    super('keyset reader', () => {
      disposeKeys(contents)
      master.dispose()
      blocks.dispose()
      wipe(...exports.values())
    })
    this.id = toHex(contents.id)
    this.version = contents.version
    this.shares = Object.freeze((additional?.shares ?? []).map(({ id }) => toHex(id)))
    this.#contents = contents
    this.#exports = exports
    this.#blocks = blocks
    this.#owner = owner
    this.#master = master
    setRecipe(this, () => ({ kind: 'owner', owner }))
  }

  async open(block: SealedBlock): Promise<Bytes> {
    this.assertUsable()
    return this.#blocks.open(block)
  }

  async openRecord(record: Uint8Array, options: { after?: Uint8Array | 'start' } = {}): Promise<OpenedRecord> {
    this.assertUsable()
    return openRecord(record, options.after, this.#blocks.keys, this.#contents.sourceSigning.publicKey)
  }

  async *resealRecords(records: AsyncIterable<Uint8Array>): AsyncGenerator<SealedRecord> {
    this.assertUsable()
    const { id: ownerId, encryption, sourceSigning: signing } = this.#contents
    const owner = { ownerId, recipient: this.#blocks.recipient, hybrid: encryption !== Strength.x25519, signing }
    yield* resealRecords(records, owner, this.#blocks.keys)
  }

  isCurrent(envelope: Uint8Array): boolean {
    this.assertUsable()
    return this.#blocks.isCurrent(envelope)
  }

  rekey(head: BlockHead): Bytes {
    this.assertUsable()
    return this.#blocks.rekey(head)
  }

  async changePassword(next: string, options: PasswordOptions & { newMaster?: boolean } = {}): Promise<KeysetReader> {
    const { newMaster = false, costs = writableCosts(this.#contents.argon2) } = options
    if (newMaster) this.#complete('new master key')
    this.assertUsable()
    // With keys of its own, whatever happens to this handle while the hash runs.
    const contents = nextContents(this.#contents)
    const master = this.#master.copy()
    try {
      const fresh = newMaster ? await createMaster(next, costs, options) : undefined
      const argon2 = fresh?.record ?? (await rewrapMaster(master, next, costs, options))
      return unlocked({ ...contents, argon2 }, fresh?.master ?? master.copy(), this.#owner.accept)
    } catch (error) {
      disposeKeys(contents)
      throw error
    } finally {
      master.dispose()
    }
  }

  regenerate(options: { encryption?: Encryption } = {}): KeysetReader {
    const contents = this.#complete('new key pairs')
    const { encryption } = parseWriterOptions(options, contents)
    return this.#next(withBlockPair(contents, generateKeyPair(encryption), encryption))
  }

  forgetRetired(done: { blocksRekeyed: true; recordsResealed: true }): KeysetReader {
    const { blocksRekeyed, recordsResealed } = done as { blocksRekeyed: unknown; recordsResealed: unknown }
    if (blocksRekeyed !== true || recordsResealed !== true) {
      throw new TypeError('say that it is done: { blocksRekeyed: true, recordsResealed: true }')
    }
    return this.#next(withoutRetired(this.#complete('forgetting of keys')))
  }

  /** The handle of changed contents, which takes them over. */
  #next(contents: KeysetContents): KeysetReader {
    return unlocked(contents, this.#master.copy(), this.#owner.accept)
  }

  export(to: KeysetDestination): Bytes {
    this.assertUsable()
    numberOf(Destination, to, 'export')
    const bytes = this.#exports.get(to)
    if (bytes === undefined) throw incompleteFor(`export to ${to}`)
    return new Uint8Array(bytes)
  }

  writer(options: WriterOptions = {}): KeysetWriter {
    this.assertUsable()
    const defaults = parseWriterOptions(options, this.#contents)
    const { id, version, blockPair, blockSalt, dedupKey, additional } = this.#contents
    const keys = {
      id,
      version,
      blockPair: blockPair.publicHalves,
      blockSalt: blockSalt.copy(),
      dedupKey: dedupKey.copy(),
      sourceSigning: this.#contents.sourceSigning.seed.copy(),
      shares: (additional?.shares ?? []).map(({ id, publicHalves }) => ({ id, publicHalves })),
    }
    return HostWriter.of(keys, defaults)
  }

  card(): Card {
    return encodeCard(this.#cardKeys, this.#complete('card').additional.cardSigning)
  }

  get #cardKeys(): CardKeys {
    const { id: ownerId, sourceSigning, additional } = this.#complete('card')
    const { sharing, cardSigning } = additional
    return {
      ownerId,
      sharing: sharing.publicHalves,
      cardSigning: cardSigning.publicKey,
      sourceSigning: sourceSigning.publicKey,
    }
  }

  createShare(options: { to?: Card } = {}): { reader: KeysetReader; share: Share } {
    const contents = this.#complete('share')
    const { to } = options
    const card = to === undefined ? undefined : keysOfCard(to).sharing
    const created = createActiveShare(contents.blockPair.publicHalves.minimum, card)
    const reader = this.#next(withShare(contents, created))
    try {
      return { reader, share: reader.share(toHex(created.id)) }
    } catch (error) {
      reader.dispose()
      throw error
    }
  }

  share(id: string): Share {
    const contents = this.#complete('share')
    const { sourceSigning, encryption, additional } = contents
    const share = findShare(contents, shareIdFrom(id))
    const sharer = { card: this.#cardKeys, cardSigning: additional.cardSigning, sourceSigning }
    return OwnedShare.of(share, sharer, encryption, this.#owner)
  }

  revokeShare(id: string): KeysetReader {
    const contents = this.#complete('share')
    return this.#next(withoutShare(contents, findShare(contents, shareIdFrom(id))))
  }

  acceptShare(invite: Uint8Array, from: Card): SharedReader {
    const { sharing } = this.#complete('share of somebody else').additional
    const sharer = keysOfCard(from)
    const invited = openInvite(invite, sharer, sharing, this.#cardKeys)
    try {
      return new AcceptedShare(invited, sharer)
    } finally {
      disposeKeys(invited)
    }
  }

  /** What is in a keyset, borrowed. */
  static insidesOf(reader: KeysetReader, what: string): Insides {
    if (!(reader instanceof UnlockedKeyset)) throw new TypeError(`${what} must be a KeysetReader of this library`)
    reader.assertUsable()
    return { contents: reader.#contents, master: reader.#master, accept: reader.#owner.accept }
  }

  #complete(purpose: string): CompleteContents {
    this.assertUsable()
    return assertComplete(this.#contents, purpose)
  }
}

/** @throws KeystrataError `key-not-found` */
function findShare({ additional }: CompleteContents, id: string): ActiveShare {
  const share = additional.shares.find((each) => toHex(each.id) === id)
  if (share === undefined) throw noSuchShare(id)
  return share
}

/** What its blocks need of a keyset, borrowed. */
function ownerKeysOf(contents: KeysetContents, accept: number | undefined): OwnerKeys {
  const { id, encryption, blockPair, blockSalt, dedupKey, additional } = contents
  return { id, encryption, blockPair, blockSalt, dedupKey, retired: additional?.retired ?? [], accept }
}

/** What a new password costs, if the caller does not say: what the last one did. */
function writableCosts(costs: Argon2Costs): Argon2Costs {
  return isWritable(costs) ? costs : DEFAULT_ARGON2_COSTS
}

/** The handle of these contents, which takes them and the master key over. */
export function unlocked(contents: KeysetContents, master: SecretKey<'master'>, accept?: number): KeysetReader {
  try {
    return new UnlockedKeyset(contents, master, accept)
  } catch (error) {
    disposeKeys(contents)
    master.dispose()
    throw error
  }
}

/** The keys and the rules of a keyset. */
export interface Insides {
  readonly contents: KeysetContents
  readonly master: SecretKey<'master'>
  /** What it was unlocked to take although it demands more. */
  readonly accept: number | undefined
}

/** What is in a keyset, borrowed; it must be a handle of this very library. `what` is the name that a mistake is told by. */
export const insidesOf = (reader: KeysetReader, what: string): Insides => UnlockedKeyset.insidesOf(reader, what)

export const isKeyset = (handle: object): handle is KeysetReader => handle instanceof UnlockedKeyset
