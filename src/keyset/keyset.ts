// A keyset in the hands of its owner: it seals and opens, exports, and changes its keys (SPEC §5, §6).
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
import { disposable, disposeKeys, SecretHolder, type SecretKey } from '../core/secret.ts'
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
import { OwnerBlocks, type OwnerKeys } from './owner.ts'
import type { Pack } from './pack.ts'
import { type OpenedRecord, openRecord, type RecordReader, resealRecords, type SealedRecord } from './record.ts'
import { AcceptedShare, createActiveShare, noSuchShare, OwnedShare, type Share, type SharedReader } from './share.ts'
import { type Encryption, HostWriter, type KeysetWriter, parseWriterOptions, type SealingKeys } from './writer.ts'

/**
 * How a password is hashed, and how to follow or end the wait.
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
   * When creating: what each guess costs an attacker; 64 MiB, 3 iterations and 4 lanes unless given. When unlocking: the most that
   * this device may spend; an export that asks for more is `limit-exceeded`.
   */
  costs?: Argon2Costs
}

/**
 * A keyset with all of its keys: seals and opens blocks, and makes the exports.
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
  /** The ids of the active shares, 32 hex digits each; none if this was unlocked from a `definition`. */
  readonly shares: readonly string[]
  /** How many retired key pairs it has. Above 0, stored blocks may still need rekeying after a {@link Keyset.regenerate}. */
  readonly retired: number
  /**
   * The bytes to keep in one of three places; the same at every call. `host`: on the machine that backs up, where
   * {@link openWriter} needs no password; keep it private, because it holds the dedup secrets openly. `storage`: beside the backup,
   * with all secrets sealed. `definition`: sealed too, without the retired keys and those for sharing.
   * @throws KeystrataError `policy` for `host` and `storage` if this was unlocked from a `definition`; `disposed`
   */
  export(to: 'host' | 'definition' | 'storage'): Bytes
  /**
   * Everything in this handle, sealed under the key of this device, so that `openSavedKeyset` needs no password.
   * @throws KeystrataError `disposed`
   * @throws TypeError if it is no device key of this copy of the library
   */
  save(device: DeviceKey): Bytes
  /**
   * The public keys that others need to seal something to the owner of this keyset; the same at every call.
   * @throws KeystrataError `policy` if this was unlocked from a `definition`; `disposed`
   */
  card(): Card
  /**
   * The same keys under another password. Only the Argon2 record changes, so replace every export that you keep: an old copy still
   * opens with the old password.
   * @param options `costs`: those of the old password unless given; `newMaster`: also makes a fresh master key, so that whoever
   *   kept the old one opens no later export
   * @throws KeystrataError `limit-exceeded`, `aborted` as {@link createKeyset}; `policy` for `newMaster` if this was unlocked from a
   *   `definition`; `disposed`
   */
  changePassword(next: string, options?: PasswordOptions & { newMaster?: boolean }): Promise<Keyset>
  /**
   * New key pairs for blocks. The old ones are retired, so what is stored still opens. Proceed in an order that survives a crash:
   * store the exports and unlock one, replace the host export, {@link Keyset.rekey} every block and
   * {@link Keyset.resealRecords} every log, then `forgetRetired`. Get new handles of shares too: an old one cannot add rekeyed
   * blocks.
   * @param options `encryption`: the minimum of the new key pairs and what writers use; unchanged unless given
   * @throws KeystrataError `policy` if this was unlocked from a `definition`; `limit-exceeded` beyond about 600 retired key pairs
   *   and shares; `disposed`
   */
  regenerate(options?: { encryption?: Encryption }): Keyset
  /**
   * A new envelope under today's key pair; the ciphertext stays as it is, and is not needed. A block that is current gets a fresh
   * envelope, an unencrypted one the same envelope. Keep the old envelope until the new one is stored. Whoever held the old
   * envelope's key can still open the block: to take that away, seal the content again.
   * @throws KeystrataError `key-not-found` if it is addressed to a key pair that this handle does not have; `policy` if it is weaker
   *   than that pair demands; `authentication-failed`, `malformed`, `unsupported`, `disposed`
   */
  rekey(head: BlockHead): Bytes
  /**
   * Seals all records of a log again, under today's key pair and in the next epoch. The last record closes the epoch. Store them
   * beside the old ones, which may go when the last is stored: of several epochs the highest closed one counts, or 0. New records
   * follow the closing one. The chain is verified on the way, from its start. If this stops, delete the epoch that is not closed and
   * begin again; let nobody append to the old epoch meanwhile.
   * @param records all records of one epoch, in order
   * @throws KeystrataError as `openRecord`, at the record in question
   */
  resealRecords(records: AsyncIterable<Uint8Array>): AsyncGenerator<SealedRecord>
  /**
   * Drops the retired key pairs. Blocks that were not rekeyed, and records that were not resealed, can never be opened again.
   * @param done both must be true, as your written confirmation
   * @throws KeystrataError `policy` if this was unlocked from a `definition`; `disposed`
   * @throws TypeError unless both are true
   */
  forgetRetired(done: { blocksRekeyed: true; recordsResealed: true }): Keyset
  /**
   * Creates a share with key pairs of its own, for any number of recipients; or a direct share to the key pairs of one card, whose
   * owner then needs no keys from you. The share is part of the new keyset: store its exports. Writers of its host export mask new
   * blocks for it.
   * @param options `to`: a card whose fingerprint was compared; everything in a direct share shows openly whose card it is
   * @returns two handles: dispose of both, or of the result
   * @throws KeystrataError `policy` if this was unlocked from a `definition`; `key-changed` if card and fingerprint do not belong
   *   together; `malformed`, `unsupported` or `authentication-failed` if it is not a card; `limit-exceeded` beyond about 600 shares;
   *   `disposed`
   */
  createShare(options?: { to?: Card }): { keyset: Keyset; share: Share } & Disposable
  /**
   * An active share, as an independent handle.
   * @throws KeystrataError `key-not-found` if no active share has this id; `policy` if this was unlocked from a `definition`;
   *   `disposed`
   */
  share(id: string): Share
  /**
   * Ends a share: keysets and writers of the new exports write nothing more for it. Older ones still do, so replace every host
   * export, and dispose of older handles. What was added stays open to the share's readers; to take it away, seal the content again.
   * @throws KeystrataError `key-not-found`, `policy`, `disposed` as {@link Keyset.share}
   */
  revokeShare(id: string): Keyset
  /**
   * Opens an invite to this keyset's card, as an independent handle. Keep the invite: it is what survives a restart.
   * @param from the card of the user who shares, whose fingerprint was compared
   * @throws KeystrataError `authentication-failed` if the owner of that card did not make it, or it was altered; `key-not-found` if
   *   it is to another card; `policy` if this was unlocked from a `definition`; `key-changed` if card and fingerprint do not belong
   *   together; `malformed`, `unsupported`, `disposed`
   */
  acceptShare(invite: Uint8Array, from: Card): SharedReader
}

/** What a thread needs to open, rekey and seal the blocks of a keyset. */
export interface KeysetRecipe {
  readonly kind: 'keyset'
  readonly owner: OwnerKeys
  readonly shares: SealingKeys['shares']
  /** The source signing key: its public half. */
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
  /** Made at first use: whoever only restores never needs them. */
  readonly #lazy: { writer?: HostWriter; card?: Identity }

  /** The contents and the master key become part of the handle. */
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
    // Copies, because this handle may be disposed of while the hash runs.
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
      throw new TypeError('confirm that both are done: { blocksRekeyed: true, recordsResealed: true }')
    }
    return this.#next(withoutRetired(this.#complete('forgetting retired keys')))
  }

  /** The handle of changed contents, which become part of it. */
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
    assertSigningPair(additional.cardSigning)
    return encodeCard(this.#cardKeys, additional.cardSigning)
  }

  get #cardKeys(): CardKeys {
    const { id: ownerId, sourceSigning, additional } = this.#complete('a card')
    const { sharing, cardSigning } = additional
    this.#identity(additional.sharing)
    return {
      ownerId,
      sharing: sharing.publicHalves,
      cardSigning: cardSigning.publicKey,
      sourceSigning: sourceSigning.publicKey,
    }
  }

  /** The private half of the card. Its halves are compared when it is imported. */
  #identity(sharing: CompleteContents['additional']['sharing']): Identity {
    return (this.#lazy.card ??= new Identity(sharing))
  }

  #cardHolder(purpose: string): CardHolder {
    const { additional } = this.#complete(purpose)
    const identity = this.#identity(additional.sharing)
    assertSigningPair(additional.cardSigning)
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
    try {
      return new AcceptedShare(invited, sharer)
    } finally {
      disposeKeys(invited)
    }
  }

  /** The contents and the rules of a keyset. The keys stay the keyset's. */
  static insidesOf(keyset: Keyset, what: string): Insides {
    if (!(keyset instanceof UnlockedKeyset)) throw new TypeError(`${what} must be a Keyset of this copy of the library`)
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

/** A writer with copies of the keys. */
function writerOf(contents: KeysetContents): HostWriter {
  const { id, version, blockPair, blockSalt, dedupKey, sourceSigning } = contents
  const keys = {
    id,
    version,
    blockPair: blockPair.publicHalves,
    blockSalt: blockSalt.copy(),
    dedupKey: dedupKey.copy(),
    sourceSigning: sourceSigning.seed.copy(),
    shares: publicShares(contents),
  }
  return HostWriter.of(keys, contents)
}

const publicShares = ({ additional }: KeysetContents): SealingKeys['shares'] =>
  (additional?.shares ?? []).map(({ id, publicHalves }) => ({ id, publicHalves }))

/** @throws KeystrataError `key-not-found` */
function findShare({ additional }: CompleteContents, id: string): ActiveShare {
  const share = additional.shares.find((each) => toHex(each.id) === id)
  if (share === undefined) throw noSuchShare(id)
  return share
}

/** What the blocks of a keyset need of it. The keys stay the keyset's. */
function ownerKeysOf(contents: KeysetContents, allowWeaker: Strength | undefined): OwnerKeys {
  const { id, encryption, blockPair, blockSalt, dedupKey, additional } = contents
  return { id, encryption, blockPair, blockSalt, dedupKey, retired: additional?.retired ?? [], allowWeaker }
}

/** What a new password costs unless the caller says otherwise: what the old one did, if that is enough today. */
function writableCosts(costs: Argon2Costs): Argon2Costs {
  return isWritable(costs) ? costs : DEFAULT_ARGON2_COSTS
}

/** The handle of these contents and this master key, which become part of it or, if this throws, are wiped. */
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
  /** The weakest blocks that it accepts although it demands more. */
  readonly allowWeaker: Strength | undefined
}

/**
 * What is in a keyset; the keys stay the keyset's.
 * @param what the name of the parameter, for the error
 * @throws TypeError if it is no handle of this copy of the library
 */
export const insidesOf = (keyset: Keyset, what: string): Insides => UnlockedKeyset.insidesOf(keyset, what)
