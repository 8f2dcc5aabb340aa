// A keyset in the hand of its owner: it opens, exports, and changes its keys (SPEC §5, §6).
import type { BlockHead, SealedBlock } from '../blocks/block.ts'
import { OwnerBlocks, type OwnerKeys } from '../blocks/owner-blocks.ts'
import { type OpenedRecord, openRecord, resealRecords, type SealedRecord } from '../blocks/record.ts'
import { type Bytes, toHex, wipe } from '../bytes.ts'
import { type ActiveShare, Destination, Strength } from '../format/keyset.ts'
import { type Card, type CardKeys, encodeCard, keysOfCard } from '../keys/card.ts'
import { generateKeyPair } from '../keys/key-pairs.ts'
import {
  assertComplete,
  type CompleteContents,
  nextContents,
  withBlockPair,
  withoutRetired,
  withoutShare,
  withShare,
} from '../keys/keyset-changes.ts'
import { incompleteFor, type KeysetContents, type KeysetDestination } from '../keys/keyset-contents.ts'
import { encodeExports } from '../keys/keyset-record.ts'
import { createMaster, rewrapMaster } from '../keys/master.ts'
import { type Argon2Costs, DEFAULT_ARGON2_COSTS, isWritable } from '../primitives/password.ts'
import { disposeKeys, SecretHolder, type SecretKey } from '../secret.ts'
import { openInvite } from '../sharing/invite.ts'
import { createActiveShare, noSuchShare } from '../sharing/share.ts'
import { numberOf } from '../text.ts'
import type { KeysetReader, PasswordOptions } from './keyset-reader.ts'
import {
  type Encryption,
  HostWriter,
  type KeysetWriter,
  parseWriterOptions,
  type WriterOptions,
} from './keyset-writer.ts'
import { shareIdFrom } from './prepared-block.ts'
import { setRecipe } from './recipe.ts'
import { AcceptedShare, OwnedShare, type Share, type SharedReader } from './share.ts'

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
