// A keyset in the hand of its owner: it opens, exports, and changes its keys (SPEC §5, §6).
import type { BlockHead, SealedBlock } from '../blocks/block.ts'
import { ContentScheme } from '../blocks/content-key.ts'
import { openBlock } from '../blocks/open.ts'
import { EnvelopeKeys } from '../blocks/envelope-keys.ts'
import { type OpenedRecord, openRecord, resealRecords, type SealedRecord } from '../blocks/record.ts'
import { isAddressedTo, rekeyBlock } from '../blocks/rekey.ts'
import { type Bytes, bytesFrom, toHex, wipe } from '../bytes.ts'
import type { Mode } from '../format/envelope.ts'
import { type ActiveShare, Destination, Strength } from '../format/keyset.ts'
import { type Card, type CardKeys, encodeCard, keysOfCard } from '../keys/card.ts'
import { generateKeyPair, Recipient } from '../keys/key-pairs.ts'
import {
  assertComplete,
  type CompleteContents,
  nextContents,
  withBlockPair,
  withoutRetired,
  withoutShare,
  withShare,
} from '../keys/keyset-changes.ts'
import { disposeKeys, incompleteFor, type KeysetContents, type KeysetDestination } from '../keys/keyset-contents.ts'
import { encodeExports } from '../keys/keyset-record.ts'
import { createMaster, rewrapMaster } from '../keys/master.ts'
import { type Argon2Costs, DEFAULT_ARGON2_COSTS, isWritable } from '../primitives/password.ts'
import { SecretHolder, type SecretKey } from '../secret.ts'
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
import { AcceptedShare, OwnedShare, type Share, type SharedReader } from './share.ts'

class UnlockedKeyset extends SecretHolder implements KeysetReader {
  readonly id: string
  readonly version: number
  readonly shares: readonly string[]
  readonly #contents: KeysetContents
  readonly #master: SecretKey<'master'>
  #prepared: Recipient | undefined
  readonly #exports: ReadonlyMap<string, Bytes>
  readonly #keys: EnvelopeKeys
  readonly #schemes: Map<Mode, ContentScheme> = new Map()

  /** Takes the contents and the master key over. */
  constructor(contents: KeysetContents, master: SecretKey<'master'>, accept?: number) {
    const { additional } = contents
    const exports = encodeExports(contents, master)
    let keys: EnvelopeKeys
    try {
      keys = ownerKeysOf(contents, accept)
    } catch (error) {
      wipe(...exports.values())
      throw error
    }
    super('keyset reader', () => {
      disposeKeys(contents)
      master.dispose()
      keys.dispose()
      for (const scheme of this.#schemes.values()) scheme.dispose()
      wipe(...exports.values())
    })
    this.id = toHex(contents.id)
    this.version = contents.version
    this.shares = Object.freeze((additional?.shares ?? []).map(({ id }) => toHex(id)))
    this.#contents = contents
    this.#exports = exports
    this.#keys = keys
    this.#master = master
  }

  async open(block: SealedBlock): Promise<Bytes> {
    this.assertUsable()
    return openBlock(block, this.#keys, (mode, content, label, blockKey) =>
      this.#scheme(mode).verify(content, label, blockKey),
    )
  }

  async openRecord(record: Uint8Array, options: { after?: Uint8Array | 'start' } = {}): Promise<OpenedRecord> {
    this.assertUsable()
    return openRecord(record, options.after, this.#keys, this.#contents.sourceSigning.publicKey)
  }

  async *resealRecords(records: AsyncIterable<Uint8Array>): AsyncGenerator<SealedRecord> {
    this.assertUsable()
    const { id: ownerId, encryption, sourceSigning: signing } = this.#contents
    const owner = { ownerId, recipient: this.#recipient, hybrid: encryption !== Strength.x25519, signing }
    yield* resealRecords(records, owner, this.#keys)
  }

  isCurrent(envelope: Uint8Array): boolean {
    this.assertUsable()
    return isAddressedTo(this.#recipient, this.#contents.id, envelope)
  }

  rekey(head: BlockHead): Bytes {
    this.assertUsable()
    const { id: ownerId, encryption } = this.#contents
    const today = { ownerId, recipient: this.#recipient, hybrid: encryption === Strength.hybrid }
    // Each property is read once: what was checked is what is given back.
    const { label, envelope: stored } = head
    const envelope = bytesFrom(stored, 'envelope')
    // An unencrypted block has no key that could be replaced.
    return rekeyBlock({ label, envelope }, this.#keys, today) ?? new Uint8Array(envelope)
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
      return unlocked({ ...contents, argon2 }, fresh?.master ?? master.copy(), this.#keys.accept)
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
    return unlocked(contents, this.#master.copy(), this.#keys.accept)
  }

  /** The public halves of today's key pair; prepared at the first use, which a mere reader never needs. */
  get #recipient(): Recipient {
    return (this.#prepared ??= new Recipient(this.#contents.blockPair.publicHalves))
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
    return OwnedShare.of(share, sharer, encryption, ownerKeysOf(contents, this.#keys.accept))
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
    return { contents: reader.#contents, master: reader.#master, accept: reader.#keys.accept }
  }

  #complete(purpose: string): CompleteContents {
    this.assertUsable()
    return assertComplete(this.#contents, purpose)
  }

  #scheme(mode: Mode): ContentScheme {
    let scheme = this.#schemes.get(mode)
    if (scheme === undefined) {
      scheme = new ContentScheme(mode, this.#contents)
      this.#schemes.set(mode, scheme)
    }
    return scheme
  }
}

/** @throws KeystrataError `key-not-found` */
function findShare({ additional }: CompleteContents, id: string): ActiveShare {
  const share = additional.shares.find((each) => toHex(each.id) === id)
  if (share === undefined) throw noSuchShare(id)
  return share
}

/** The key pairs for blocks, imported. */
function ownerKeysOf({ id, blockPair, additional }: KeysetContents, accept?: number): EnvelopeKeys {
  return new EnvelopeKeys(id, blockPair, { retired: additional?.retired, accept })
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
