// An unlocked keyset: it seals and opens blocks, encodes exports, and changes its keys (SPEC §5, §6).
import {
  type Encryption,
  HostWriter,
  type KeysetWriter,
  parseWriterOptions,
  publicShares,
  type SealingKeys,
  writerOf,
} from './writer.ts'
import {
  type BlockHead,
  type BlockReader,
  type PreparedBlock,
  type SealedBlock,
  type SealOptions,
  shareIdFrom,
  type StoredBlock,
} from '../core/block.ts'
import { type Bytes, toHex, wipe } from '../core/bytes.ts'
import { type Card, type CardHolder, type CardKeys, encodeCard, keysOfCard, setCardHolder } from '../core/card.ts'
import { encode } from '../core/codec.ts'
import { generateKeyPair, Identity } from '../core/key-pairs.ts'
import { type Argon2Costs, DEFAULT_ARGON2_COSTS, type HashOptions, isWritable } from '../core/password.ts'
import { setRecipe } from '../core/recipe.ts'
import { disposable, disposeKeys, disposing, SecretHolder, type SecretKey } from '../core/secret.ts'
import { recordSuiteOf, type Strength } from '../core/suite.ts'
import { numberOf } from '../core/text.ts'
import { openSealedSecret } from '../core/wrap.ts'
import type { DeviceKey } from '../device/device-key.ts'
import { sealHandle } from '../device/saved.ts'
import { sign } from '../primitives/signature.ts'
import {
  assertComplete,
  type CompleteContents,
  nextContents,
  withBlockPair,
  withoutRetired,
  withoutShare,
  withShare,
} from './changes.ts'
import { assertExportsFit, assertSigningPair, encodeKeyset, incompleteFor, type KeysetContents } from './exports.ts'
import { openInvite } from './invite.ts'
import { type ActiveShare, Destination, savedKeyset } from './layout.ts'
import { createMaster, rewrapMaster } from './master.ts'
import { OwnerBlocks, type OwnerKeys, ownerKeysOf } from './owner.ts'
import type { Pack } from './pack.ts'
import { type OpenedRecord, openRecord, type RecordReader, resealRecords, type SealedRecord } from './record.ts'
import { AcceptedShare, createActiveShare, noSuchShare, OwnedShare, type Share, type SharedReader } from './share.ts'

/**
 * How to hash a password, and how to follow the progress or cancel.
 * @example
 * ```ts
 * import { createKeyset, type PasswordOptions } from 'keystrata'
 *
 * const costs = { iterations: 2, memoryKiB: 131_072, lanes: 4 }
 * const options: PasswordOptions = { costs, signal: AbortSignal.timeout(60_000) }
 * using keyset = await createKeyset('correct horse battery staple', options)
 * const inStorage = keyset.export('storage')
 * ```
 */
export interface PasswordOptions extends HashOptions {
  /**
   * When creating a keyset: the costs of the password hash, and so of each guess. The default is 64 MiB, 3 iterations
   * and 4 lanes. When unlocking one: the most that this device may spend. An export that needs more throws
   * `limit-exceeded`.
   */
  costs?: Argon2Costs
}

/**
 * An unlocked keyset. It seals and opens blocks and records, and encodes the exports.
 * @example
 * ```ts
 * import type { Keyset } from 'keystrata'
 *
 * async function newPassword(keyset: Keyset, next: string) {
 *   using changed = await keyset.changePassword(next)
 *   return { host: changed.export('host'), storage: changed.export('storage') } // replace the old ones
 * }
 * ```
 */
export interface Keyset extends Omit<KeysetWriter, 'share'>, BlockReader, RecordReader {
  /** 32 hex digits: random, and the same for the whole life of the keyset. */
  readonly id: string
  /** Grows by one with every change of the keys. */
  readonly version: number
  /** The ids of the active shares, 32 hex digits each. Empty if this was unlocked from a `definition`. */
  readonly shares: readonly string[]
  /**
   * The number of retired key pairs. If it is above 0, stored blocks may still need rekeying after
   * {@link Keyset.regenerate}.
   */
  readonly retired: number
  /**
   * Returns the bytes to keep in one of three places. Every call returns the same bytes. `host`: for the machine that
   * backs up, where {@link openWriter} needs no password. Keep it private, because the dedup secrets and the source
   * signing key in it are not encrypted. `storage`: to store beside the backup, with all secrets sealed. `definition`:
   * also sealed, but without the retired key pairs and the keys for sharing.
   * @throws KeystrataError `policy` for `host` and `storage` if this was unlocked from a `definition`
   * @throws KeystrataError `disposed` if this handle was disposed of
   */
  export(to: 'host' | 'definition' | 'storage'): Bytes
  /**
   * Seals everything in this handle under the key of this device, so that `openSavedKeyset` needs no password.
   * @throws KeystrataError `disposed` if this handle was disposed of
   * @throws TypeError if `device` is not a device key from this copy of the library
   */
  save(device: DeviceKey): Bytes
  /**
   * Returns the public keys that others need to seal something to the owner of this keyset. Every call returns the same
   * card.
   * @throws KeystrataError `policy` if this was unlocked from a `definition`
   * @throws KeystrataError `disposed` if this handle was disposed of
   */
  card(): Card
  /**
   * Returns the same keys under another password. Only the Argon2 record changes. Replace every export that you keep:
   * an old copy still opens with the old password.
   * @param options `costs`: the costs of the new password; by default those of the old one, or the library's default if
   *   those are too low today. `newMaster`: also creates a fresh master key, so that somebody who kept the old one
   *   cannot open later exports
   * @throws KeystrataError `limit-exceeded`, `aborted` as {@link createKeyset}
   * @throws KeystrataError `policy` for `newMaster` if this was unlocked from a `definition`
   * @throws KeystrataError `disposed` if this handle was disposed of
   */
  changePassword(next: string, options?: PasswordOptions & { newMaster?: boolean }): Promise<Keyset>
  /**
   * Creates new key pairs for blocks. The old ones are retired, so stored blocks and records still open. Follow this
   * order, which survives a crash: store the new exports and unlock one, replace the host export, {@link Keyset.rekey}
   * every block and {@link Keyset.resealRecords} every log, then `forgetRetired`. Get new handles of shares too: an old
   * one cannot add rekeyed blocks.
   * @param options `encryption`: the minimum of the new key pairs and the default of writers; unchanged if not given
   * @throws KeystrataError `policy` if this was unlocked from a `definition`
   * @throws KeystrataError `limit-exceeded` beyond about 600 retired key pairs and shares
   * @throws KeystrataError `disposed` if this handle was disposed of
   */
  regenerate(options?: { encryption?: Encryption }): Keyset
  /**
   * Writes a new envelope for a block, under the current key pair. The ciphertext stays as it is, and is not needed. A
   * block that is already current gets a fresh envelope. An unencrypted block gets a copy of its envelope. Keep the old
   * envelope until the new one is stored. Anybody who held the key of the old envelope can still open the block: to
   * take that away, seal the content again.
   * @throws KeystrataError `key-not-found` if it is addressed to a key pair that this handle does not have
   * @throws KeystrataError `policy` if it is weaker than that pair requires
   * @throws KeystrataError `authentication-failed`, `malformed`, `unsupported`, `disposed`
   */
  rekey(head: BlockHead): Bytes
  /**
   * Seals all records of a log again, under the current key pair and in the next epoch. The last record that it yields
   * closes the epoch. Store the new records beside the old ones. Delete the old ones once the last new one is stored.
   * If several epochs are stored, read the highest closed one, or epoch 0 if none is closed. Add new records after the
   * closing one. The old chain is verified from its start. If this stops early, delete the epoch that is not closed and
   * begin again. Nobody may append to the old epoch meanwhile.
   * @param records all records of one epoch, in order
   * @throws KeystrataError as `openRecord`, at the record that causes it
   */
  resealRecords(records: AsyncIterable<Uint8Array>): AsyncGenerator<SealedRecord>
  /**
   * Drops the retired key pairs. Blocks that were not rekeyed, and records that were not resealed, can never be opened
   * again.
   * @param done confirms that every block was rekeyed and every log resealed; both must be true
   * @throws KeystrataError `policy` if this was unlocked from a `definition`
   * @throws KeystrataError `disposed` if this handle was disposed of
   * @throws TypeError unless both are true
   */
  forgetRetired(done: { blocksRekeyed: true; recordsResealed: true }): Keyset
  /**
   * Creates a share with its own key pairs, for any number of recipients. With `to`, creates a direct share to the key
   * pairs of one card, whose owner then needs no keys from you. The share is part of the new keyset: store its exports.
   * Writers of the new host export can seal blocks for the share.
   * @param options `to`: a card whose fingerprint you compared with its owner. Everything in a direct share reveals
   *   whose card it is
   * @returns two handles: dispose of both, or of the whole result
   * @throws KeystrataError `policy` if this was unlocked from a `definition`
   * @throws KeystrataError `key-changed` if card and fingerprint do not match
   * @throws KeystrataError `malformed`, `unsupported` or `authentication-failed` if it is not a card
   * @throws KeystrataError `limit-exceeded` beyond about 600 shares
   * @throws KeystrataError `disposed` if this handle was disposed of
   */
  createShare(options?: { to?: Card }): { keyset: Keyset; share: Share } & Disposable
  /**
   * Returns an active share as an independent handle.
   * @throws KeystrataError `key-not-found` if no active share has this id
   * @throws KeystrataError `policy` if this was unlocked from a `definition`
   * @throws KeystrataError `disposed` if this handle was disposed of
   */
  share(id: string): Share
  /**
   * Ends a share. The new keyset, and writers of its exports, write nothing more for it. Older handles and exports
   * still do: dispose of the handles, and replace every host export. Readers of the share can still open what was
   * added: to take that away, seal the content again.
   * @throws KeystrataError `key-not-found`, `policy`, `disposed` as {@link Keyset.share}
   */
  revokeShare(id: string): Keyset
  /**
   * Opens an invite to this keyset's card, and returns an independent handle. Keep the invite, to open it again after a
   * restart.
   * @param from the card of the user who shares; you must have compared its fingerprint with them
   * @throws KeystrataError `authentication-failed` if the owner of that card did not create it, or it was altered
   * @throws KeystrataError `key-not-found` if it is sealed to another card
   * @throws KeystrataError `policy` if this was unlocked from a `definition`
   * @throws KeystrataError `key-changed` if card and fingerprint do not match
   * @throws KeystrataError `malformed`, `unsupported`, `disposed`
   */
  acceptShare(invite: Uint8Array, from: Card): SharedReader
}

/** What a worker thread needs to open, rekey and seal the blocks of a keyset. */
export interface KeysetRecipe {
  readonly kind: 'keyset'
  readonly owner: OwnerKeys
  readonly shares: SealingKeys['shares']
  /** The public half of the source signing key. */
  readonly sourceSigning: Bytes
  readonly dedup: KeysetContents['dedup']
}

class UnlockedKeyset extends SecretHolder implements Keyset {
  readonly id: string
  readonly version: number
  readonly shares: readonly string[]
  readonly retired: number
  readonly #contents: KeysetContents
  readonly #master: SecretKey<'master'>
  readonly #exports: Map<Destination, Bytes>
  readonly #blocks: OwnerBlocks
  readonly #owner: OwnerKeys
  /** Created at first use: a program that only restores never needs them. */
  readonly #lazy: { writer?: HostWriter; card?: Identity }

  /** Takes ownership of the contents and the master key. */
  constructor(contents: KeysetContents, master: SecretKey<'master'>, allowWeaker: Strength | undefined) {
    const { additional } = contents
    assertExportsFit(contents)
    const owner = ownerKeysOf(contents, allowWeaker)
    const blocks = new OwnerBlocks(owner)
    const exports: Map<Destination, Bytes> = new Map()
    const lazy: { writer?: HostWriter; card?: Identity } = {}
    super('keyset', () => {
      lazy.writer?.dispose()
      lazy.card?.dispose()
      blocks.dispose()
      disposeKeys(contents)
      master.dispose()
      wipe(...exports.values())
    })
    this.id = toHex(contents.id)
    this.version = contents.version
    this.shares = Object.freeze((additional?.shares ?? []).map(({ id }) => toHex(id)))
    this.retired = owner.retired.length
    this.#contents = contents
    this.#exports = exports
    this.#blocks = blocks
    this.#owner = owner
    this.#master = master
    this.#lazy = lazy
    setCardHolder(this, (purpose) => this.#cardHolder(purpose))
    setRecipe(this, (): KeysetRecipe => {
      const { sourceSigning, dedup } = contents
      return { kind: 'keyset', owner, shares: publicShares(contents), sourceSigning: sourceSigning.publicKey, dedup }
    })
  }

  async prepare(content: Uint8Array): Promise<PreparedBlock> {
    return this.#writer.prepare(content)
  }

  async seal(content: Uint8Array, options: SealOptions = {}): Promise<SealedBlock> {
    return this.#writer.seal(content, options)
  }

  async pack(files: readonly Uint8Array[]): Promise<Pack> {
    return this.#writer.pack(files)
  }

  async sealRecord(content: Uint8Array, after: Uint8Array | 'start'): Promise<SealedRecord> {
    return this.#writer.sealRecord(content, after)
  }

  async open(block: StoredBlock): Promise<Bytes> {
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
    const owner = { ownerId, recipient: this.#blocks.recipient, suite: recordSuiteOf(encryption), signing }
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

  async changePassword(next: string, options: PasswordOptions & { newMaster?: boolean } = {}): Promise<Keyset> {
    const { newMaster = false, costs = writableCosts(this.#contents.argon2) } = options
    if (newMaster) this.#complete('a new master key')
    this.assertUsable()
    // Use copies, because this handle may be disposed of while the hash runs.
    const contents = nextContents(this.#contents)
    using master = this.#master.copy()
    try {
      const fresh = newMaster ? await createMaster(next, costs, options) : undefined
      const argon2 = fresh?.record ?? (await rewrapMaster(master, next, costs, options))
      return unlocked({ ...contents, argon2 }, fresh?.master ?? master.copy(), this.#owner.allowWeaker)
    } catch (error) {
      disposeKeys(contents)
      throw error
    }
  }

  regenerate(options: { encryption?: Encryption } = {}): Keyset {
    const contents = this.#complete('new key pairs')
    const { encryption } = parseWriterOptions(options, contents)
    return this.#next(withBlockPair(contents, generateKeyPair(encryption), encryption))
  }

  forgetRetired(done: { blocksRekeyed: true; recordsResealed: true }): Keyset {
    const { blocksRekeyed, recordsResealed } = done as { blocksRekeyed: unknown; recordsResealed: unknown }
    if (blocksRekeyed !== true || recordsResealed !== true) {
      throw new TypeError('forgetRetired needs a confirmation: { blocksRekeyed: true, recordsResealed: true }')
    }
    return this.#next(withoutRetired(this.#complete('forgetting retired keys')))
  }

  /** Returns a handle that takes ownership of the changed contents. */
  #next(contents: KeysetContents): Keyset {
    return unlocked(contents, this.#master.copy(), this.#owner.allowWeaker)
  }

  export(to: Destination): Bytes {
    this.assertUsable()
    numberOf(Destination, to, 'export')
    if (to !== 'definition' && this.#contents.additional === undefined) throw incompleteFor(`export to ${to}`)
    let bytes = this.#exports.get(to)
    if (bytes === undefined) this.#exports.set(to, (bytes = encodeKeyset(this.#contents, this.#master, to)))
    return new Uint8Array(bytes)
  }

  save(device: DeviceKey): Bytes {
    const keyset = this.export(this.#contents.additional === undefined ? 'definition' : 'storage')
    return sealHandle(device, 'keyset', encode(savedKeyset, { master: this.#master, keyset }))
  }

  card(): Card {
    const { additional } = this.#complete('a card')
    return encodeCard(this.#cardKeys, additional.cardSigning)
  }

  /** Returns the public halves of the card, after checking that each matches its private half. */
  get #cardKeys(): CardKeys {
    const { id: ownerId, sourceSigning, additional } = this.#complete('a card')
    const { sharing, cardSigning } = additional
    this.#identity(sharing)
    assertSigningPair(cardSigning)
    return {
      ownerId,
      sharing: sharing.publicHalves,
      cardSigning: cardSigning.publicKey,
      sourceSigning: sourceSigning.publicKey,
    }
  }

  /** Returns the private half of the card. Importing it checks that its two halves match. */
  #identity(sharing: CompleteContents['additional']['sharing']): Identity {
    return (this.#lazy.card ??= new Identity(sharing))
  }

  #cardHolder(purpose: string): CardHolder {
    const { additional } = this.#complete(purpose)
    const identity = this.#identity(additional.sharing)
    return {
      keys: this.#cardKeys,
      openSealed: (stored, object, place) => openSealedSecret(identity, stored, object, place),
      sign: (message) => sign(additional.cardSigning.seed, message),
    }
  }

  createShare(options: { to?: Card } = {}): { keyset: Keyset; share: Share } & Disposable {
    const contents = this.#complete('shares')
    const { to } = options
    const card = to === undefined ? undefined : keysOfCard(to).sharing
    const created = createActiveShare(contents.blockPair.publicHalves.minimum, card)
    const keyset = this.#next(withShare(contents, created))
    try {
      const share = keyset.share(toHex(created.id))
      return disposable({ keyset, share }, () => {
        share.dispose()
        keyset.dispose()
      })
    } catch (error) {
      keyset.dispose()
      throw error
    }
  }

  share(id: string): Share {
    const contents = this.#complete('shares')
    const { sourceSigning, encryption, additional } = contents
    const share = findShare(contents, shareIdFrom(id))
    const sharer = { card: this.#cardKeys, cardSigning: additional.cardSigning, sourceSigning }
    return OwnedShare.of(share, sharer, encryption, this.#owner)
  }

  revokeShare(id: string): Keyset {
    const contents = this.#complete('shares')
    return this.#next(withoutShare(contents, findShare(contents, shareIdFrom(id))))
  }

  acceptShare(invite: Uint8Array, from: Card): SharedReader {
    const { sharing } = this.#complete("other people's shares").additional
    const sharer = keysOfCard(from)
    const invited = openInvite(invite, sharer, this.#identity(sharing), sharing, this.#cardKeys)
    using _ = disposing(invited)
    return new AcceptedShare(invited, sharer)
  }

  /** Returns the contents and rules of a keyset, which still owns the keys. */
  static insidesOf(keyset: Keyset, what: string): Insides {
    if (!(keyset instanceof UnlockedKeyset))
      throw new TypeError(`${what} must be a Keyset from this copy of the library`)
    keyset.assertUsable()
    return { contents: keyset.#contents, master: keyset.#master, allowWeaker: keyset.#owner.allowWeaker }
  }

  get #writer(): HostWriter {
    this.assertUsable()
    return (this.#lazy.writer ??= writerOf(this.#contents))
  }

  #complete(purpose: string): CompleteContents {
    this.assertUsable()
    return assertComplete(this.#contents, purpose)
  }
}

/**
 * Returns the active share with this id.
 * @throws KeystrataError `key-not-found` if there is none
 */
function findShare({ additional }: CompleteContents, id: string): ActiveShare {
  const share = additional.shares.find((each) => toHex(each.id) === id)
  if (share === undefined) throw noSuchShare(id)
  return share
}

/**
 * Returns the default costs of a new password: those of the old one, or the library's default if those are too low
 * today.
 */
function writableCosts(costs: Argon2Costs): Argon2Costs {
  return isWritable(costs) ? costs : DEFAULT_ARGON2_COSTS
}

/** Returns a handle that takes ownership of the contents and the master key. If this throws, both are wiped. */
export function unlocked(
  contents: KeysetContents,
  master: SecretKey<'master'>,
  allowWeaker: Strength | undefined,
): Keyset {
  try {
    return new UnlockedKeyset(contents, master, allowWeaker)
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
  /** The weakest blocks to accept, even if a key pair requires stronger ones. Undefined: no exception. */
  readonly allowWeaker: Strength | undefined
}

/**
 * Returns the contents and rules of a keyset, which still owns the keys.
 * @param what the name of the parameter, for the error
 * @throws TypeError if it is not a handle from this copy of the library
 */
export const insidesOf = (keyset: Keyset, what: string): Insides => UnlockedKeyset.insidesOf(keyset, what)
