// An unlocked keyset: it seals and opens blocks, encodes exports, and changes its keys (SPEC §9, §10).
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
  type Rekeyer,
  type SealedBlock,
  type SealOptions,
  shareIdFrom,
  type StoredBlock,
} from '../core/block.ts'
import { type Bytes, bytesFrom, copyOf, toHex, wipe } from '../core/bytes.ts'
import { type Card, keysOfCard, setCardHolder } from '../core/card.ts'
import { encode } from '../core/codec.ts'
import { optionsFrom } from '../core/options.ts'
import { costsFrom } from '../core/password.ts'
import type { Pack } from '../core/pack.ts'
import { setRecipe } from '../core/recipe.ts'
import { disposable, disposeKeys, disposing, type Handle, SecretHolder, type SecretKey } from '../core/secret.ts'
import type { Strength } from '../core/suite.ts'
import { numberOf } from '../core/text.ts'
import type { DeviceKey } from '../device/device-key.ts'
import { sealHandle } from '../device/saved.ts'
import {
  openRecord,
  type RecordKeys,
  type RecordPlace,
  type RecordReader,
  type SealedRecord,
  sealRecord,
  setRecordKeys,
} from '../state/record.ts'
import { withAdopted } from './adopt.ts'
import {
  assertCheckOf,
  assertComplete,
  type CompleteContents,
  findShare,
  nextContents,
  type RetiredCheck,
  shareIds,
  withNewBlockPair,
  withoutRetired,
  withoutShare,
  withShare,
} from './changes.ts'
import {
  assertExportsFit,
  type DraftContents,
  encodeKeyset,
  incompleteFor,
  type KeysetContents,
  withRevision,
} from './exports.ts'
import { Destination, savedKeyset } from './layout.ts'
import { createMaster, PASSWORD_OPTIONS, type PasswordOptions, rewrapMaster, writableCosts } from './master.ts'
import { keysetRecords, OwnerBlocks, type OwnerKeys, ownerKeysOf } from './owner.ts'
import { HeldCards } from './own-card.ts'
import { revisionOf, revisionText } from './revision.ts'
import { AcceptedShare, createActiveShare, OwnedShare, type Share, type SharedReader } from './share.ts'

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
export interface Keyset extends Omit<KeysetWriter, 'share'>, BlockReader, Rekeyer, RecordReader, Handle {
  /** 32 hex digits: random, and the same for the whole life of the keyset. */
  readonly id: string
  /**
   * The revision of these keys, as text: `<version>-<32 hex digits>`. Every change gives a new one. Keep it on the
   * device, and pass it as `atLeast`: then nobody can put back an older keyset, or one from another branch of the last
   * 255 versions.
   */
  readonly revision: string
  /** The ids of the active shares, 32 hex digits each. Empty if this was unlocked from a `definition`. */
  readonly shares: readonly string[]
  /** The number of retired key pairs. Above 0, stored blocks may still need rekeying after {@link Keyset.regenerate}. */
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
   *   cannot open later exports. If the keyset has recovery slots, call `renewSlots` of `keystrata/recovery` once it is
   *   stored: until then they open only the version before it
   * @throws KeystrataError `invalid-text`, `limit-exceeded`, `aborted` as {@link createKeyset}
   * @throws KeystrataError `policy` if this was unlocked from a `definition`, because its other exports could not follow
   * @throws KeystrataError `disposed` if this handle was disposed of
   * @throws TypeError for an unknown option
   */
  changePassword(next: string, options?: PasswordOptions & { newMaster?: boolean | undefined }): Promise<Keyset>
  /**
   * Creates new key pairs for blocks. The old ones are retired, so stored blocks and records still open. Follow this
   * order, which survives a crash: store the new exports and unlock one, replace the host export, {@link Keyset.rekey}
   * every block and reseal every log (`openLog`), then `forgetRetired`. Get new handles of shares too: an old
   * one cannot add rekeyed blocks. If the new key pairs require encryption and the old ones did not, `rekey` refuses
   * blocks that are not encrypted: open each of them, seal its content again, and keep the new label.
   * @param options `encryption`: the minimum of the new key pairs and the default of writers; unchanged if not given
   * @throws KeystrataError `policy` if this was unlocked from a `definition`
   * @throws KeystrataError `limit-exceeded` beyond about 600 retired key pairs and shares
   * @throws KeystrataError `disposed` if this handle was disposed of
   */
  regenerate(options?: { encryption?: Encryption | undefined }): Keyset
  /**
   * Writes a new envelope for a block, under the current key pair. The ciphertext stays as it is, and is not needed. A
   * block that is already current gets a fresh envelope. An unencrypted block gets a new envelope too, if the keyset
   * still allows such blocks. Keep the old envelope until the new one is stored. Anybody who held the key of the old envelope can still open the block: to
   * take that away, seal the content again.
   * @throws KeystrataError `key-not-found` if it is addressed to a key pair that this handle does not have
   * @throws KeystrataError `policy` if it is weaker than that pair requires. If `detail.reseal` is true, it is an
   *   unencrypted block that the keyset no longer allows: open it, and seal its content again, under a new label
   * @throws KeystrataError `authentication-failed`, `malformed`, `unsupported`, `disposed`
   */
  rekey(head: BlockHead): Bytes
  /**
   * Drops the retired key pairs. What is still under one of them can never be opened again. A host that still has an old
   * export goes on sealing to them, so before the check replace every host export, and wait until each running backup has
   * ended (see `checkWriter`).
   * @param checked what `checkRetired` returned for this revision, or `'unchecked'` if you have made sure yourself that
   *   every block is rekeyed and every record resealed
   * @throws KeystrataError `policy` if the keyset has changed since the check, or this was unlocked from a `definition`
   * @throws KeystrataError `disposed` if this handle was disposed of
   * @throws TypeError if `checked` is anything else
   */
  forgetRetired(checked: RetiredCheck | 'unchecked'): Keyset
  /**
   * Takes in another keyset, and returns one that opens what either opens. It descends from both, so it can be stored
   * behind either. Password and defaults are those of this keyset. Key pairs that only one of them had forgotten are
   * there again, so check and forget again afterwards.
   *
   * If the other has the same id, it is the other branch of a fork: key pairs and shares of both are kept, and a share
   * that either branch revoked stays revoked. A pair that one branch has retired is not used again. If the branches have
   * no pair in common, because one has regenerated and forgotten, the result has a new one.
   *
   * If it has another id, its key pairs become retired ones, and its blocks and records count as this keyset's own. They
   * keep its id when they are rekeyed. Its shares stay behind. This is the way back after a host was broken into: create
   * a new keyset, adopt the old one, store the result, reseal the logs, replace the host export, rekey everything, and
   * {@link Keyset.forgetRetired}. Anyone with the old host export can plant blocks under the old id until then. They can
   * add to the old shares for good, so their recipients must dispose of those, and no longer trust the old card.
   * @param other an unlocked keyset; dispose of it afterwards
   * @throws KeystrataError `policy` if one of them was unlocked from a `definition`
   * @throws KeystrataError `limit-exceeded` beyond 16 adopted keysets, about 600 retired key pairs and shares, or a version
   *   of 2⁴⁸
   * @throws KeystrataError `disposed` if one of them was disposed of
   * @throws TypeError if `other` is not a keyset from this copy of the library
   */
  adopt(other: Keyset): Keyset
  /**
   * Creates a share with its own key pairs, for any number of recipients. With `to`, creates a direct share to the key
   * pairs of one card, whose owner then needs no keys from you. The share is part of the new keyset: store its exports.
   * Writers of the new host export can seal blocks for the share.
   * @param options `to`: a card whose fingerprint you compared with its owner. Everything in a direct share reveals
   *   whose card it is
   * @returns two handles: dispose of both, or of the whole result
   * @throws KeystrataError `policy` if this was unlocked from a `definition`
   * @throws KeystrataError `key-changed` if card and fingerprint do not match, `invalid-text` if that is not 60 digits
   * @throws KeystrataError `malformed`, `unsupported` or `authentication-failed` if it is not a card
   * @throws KeystrataError `limit-exceeded` beyond about 600 shares
   * @throws KeystrataError `disposed` if this handle was disposed of
   * @throws TypeError for an unknown option, or an explicit `undefined` for `to`
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
   * @throws KeystrataError `key-changed` if card and fingerprint do not match, `invalid-text` if that is not 60 digits
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
  readonly revision: string
  readonly shares: readonly string[]
  readonly retired: number
  readonly #contents: KeysetContents
  readonly #master: SecretKey<'master'>
  readonly #exports: Map<Destination, Bytes>
  readonly #blocks: OwnerBlocks
  readonly #owner: OwnerKeys
  /** Created at first use: a program that only restores never needs them. */
  readonly #lazy: { writer?: HostWriter; cards?: HeldCards; records?: RecordKeys }

  /** Takes ownership of the contents and the master key. */
  constructor(contents: KeysetContents, master: SecretKey<'master'>, allowWeaker: Strength | undefined) {
    assertExportsFit(contents)
    const owner = ownerKeysOf(contents, allowWeaker)
    const blocks = new OwnerBlocks(owner)
    const exports: Map<Destination, Bytes> = new Map()
    const lazy: { writer?: HostWriter; cards?: HeldCards; records?: RecordKeys } = {}
    super('keyset', () => {
      lazy.writer?.dispose()
      lazy.cards?.dispose()
      blocks.dispose()
      disposeKeys(contents)
      master.dispose()
      wipe(...exports.values())
    })
    this.id = toHex(contents.id)
    this.revision = revisionText(revisionOf(contents))
    this.shares = Object.freeze((contents.additional?.shares ?? []).map(({ id }) => toHex(id)))
    this.retired = owner.retired.length
    this.#contents = contents
    this.#exports = exports
    this.#blocks = blocks
    this.#owner = owner
    this.#master = master
    this.#lazy = lazy
    setRecordKeys(this, () => this.#records)
    setCardHolder(this, (purpose) => this.#cards(purpose).holder())
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

  async sealRecord(content: Uint8Array, place: RecordPlace): Promise<SealedRecord> {
    return sealRecord(this.#records, content, place)
  }

  async open(block: StoredBlock): Promise<Bytes> {
    this.assertUsable()
    return this.#blocks.open(block)
  }

  async openRecord(
    record: Uint8Array,
    place: RecordPlace | { log: string; after: 'unchecked' },
  ): Promise<SealedRecord & { content: Bytes }> {
    return openRecord(this.#records, record, place)
  }

  isCurrent(envelope: Uint8Array): boolean {
    this.assertUsable()
    return this.#blocks.isCurrent(envelope)
  }

  rekey(head: BlockHead): Bytes {
    this.assertUsable()
    return this.#blocks.rekey(head)
  }

  async changePassword(next: string, options?: PasswordOptions & { newMaster?: boolean | undefined }): Promise<Keyset> {
    const given = optionsFrom(options, { ...PASSWORD_OPTIONS, newMaster: 'optional' }, 'changePassword')
    const { newMaster = false } = given
    const costs = given.costs === undefined ? writableCosts(this.#contents.argon2) : costsFrom(given.costs)
    // Use copies, because this handle may be disposed of while the hash runs.
    const contents = nextContents(this.#complete('a new password'))
    using master = this.#master.copy()
    try {
      const fresh = newMaster ? await createMaster(next, costs, given) : undefined
      const argon2 = fresh?.record ?? (await rewrapMaster(master, next, costs, given))
      return unlockedNext({ ...contents, argon2 }, fresh?.master ?? master.copy(), this.#owner.allowWeaker)
    } catch (error) {
      disposeKeys(contents)
      throw error
    }
  }

  regenerate(options?: { encryption?: Encryption | undefined }): Keyset {
    const contents = this.#complete('new key pairs')
    const given = optionsFrom(options, { encryption: 'optional' }, 'regenerate')
    const { encryption } = parseWriterOptions(given, contents)
    return this.#next(withNewBlockPair(contents, encryption))
  }

  forgetRetired(checked: RetiredCheck | 'unchecked'): Keyset {
    const contents = this.#complete('forgetting retired keys')
    if (checked !== 'unchecked') assertCheckOf(this, checked)
    return this.#next(withoutRetired(contents))
  }

  adopt(other: Keyset): Keyset {
    const contents = this.#complete('adopting another keyset')
    return this.#next(withAdopted(contents, assertComplete(insidesOf(other, 'other').contents, 'being adopted')))
  }

  /** Returns a handle that takes ownership of the changed contents. */
  #next(contents: DraftContents): Keyset {
    return unlockedNext(contents, this.#master.copy(), this.#owner.allowWeaker)
  }

  export(to: Destination): Bytes {
    this.assertUsable()
    numberOf(Destination, to, 'export')
    if (to !== 'definition' && this.#contents.additional === undefined) throw incompleteFor(`export to ${to}`)
    let bytes = this.#exports.get(to)
    if (bytes === undefined) this.#exports.set(to, (bytes = encodeKeyset(this.#contents, this.#master, to)))
    return copyOf(bytes)
  }

  save(device: DeviceKey): Bytes {
    const keyset = this.export(this.#contents.additional === undefined ? 'definition' : 'storage')
    return sealHandle(device, 'keyset', encode(savedKeyset, { master: this.#master, keyset }))
  }

  card(): Card {
    return this.#cards('a card').card()
  }

  createShare(options?: { to?: Card }): { keyset: Keyset; share: Share } & Disposable {
    const contents = this.#complete('shares')
    const { to } = optionsFrom(options, { to: 'defined' }, 'createShare')
    const card = to === undefined ? undefined : keysOfCard(to).sharing
    const created = createActiveShare(contents.blockPair.publicHalves.minimum, card, shareIds(contents))
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
    const sharer = { card: this.#cards('shares').keys, cardSigning: additional.cardSigning, sourceSigning }
    return OwnedShare.of(share, sharer, encryption, this.#owner)
  }

  revokeShare(id: string): Keyset {
    const contents = this.#complete('shares')
    return this.#next(withoutShare(contents, findShare(contents, shareIdFrom(id))))
  }

  acceptShare(invite: Uint8Array, from: Card): SharedReader {
    const sharer = keysOfCard(from)
    const invited = this.#cards("other people's shares").openInvite(bytesFrom(invite, 'invite'), sharer)
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

  get #records(): RecordKeys {
    this.assertUsable()
    return (this.#lazy.records ??= this.#recordKeys())
  }

  #recordKeys(): RecordKeys {
    return keysetRecords(this.#contents, this.#blocks, () => {
      const holder = this.#cards('resealing a log').holder()
      return (message) => holder.sign(message)
    })
  }

  get #writer(): HostWriter {
    this.assertUsable()
    return (this.#lazy.writer ??= writerOf(this.#contents))
  }

  #cards(purpose: string): HeldCards {
    const contents = this.#complete(purpose)
    return (this.#lazy.cards ??= new HeldCards(contents))
  }

  #complete(purpose: string): CompleteContents {
    this.assertUsable()
    return assertComplete(this.#contents, purpose)
  }
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

/** Does the same for the next version of a keyset, and gives it its revision. */
export function unlockedNext(
  draft: DraftContents,
  master: SecretKey<'master'>,
  allowWeaker: Strength | undefined,
): Keyset {
  try {
    return new UnlockedKeyset(withRevision(draft, master), master, allowWeaker)
  } catch (error) {
    disposeKeys(draft)
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
