// A keyset in the hand of its owner: it opens, exports, and changes its keys (SPEC §5, §6).
import type { BlockHead, SealedBlock } from '../blocks/block.ts'
import { ContentScheme } from '../blocks/content-key.ts'
import { type BlockKeys, openBlock } from '../blocks/open.ts'
import { type OpenedRecord, openRecord, resealRecords, type SealedRecord } from '../blocks/record.ts'
import { isAddressedTo, rekeyBlock } from '../blocks/rekey.ts'
import { type Bytes, toHex, wipe } from '../bytes.ts'
import type { Mode } from '../format/envelope.ts'
import { Destination, Strength } from '../format/keyset.ts'
import { type Card, encodeCard } from '../keys/card.ts'
import { generateKeyPair, Identity, Recipient } from '../keys/key-pairs.ts'
import {
  type AdditionalKeys,
  copyKeys,
  disposeKeys,
  incompleteFor,
  type KeysetContents,
  type KeysetDestination,
} from '../keys/keyset-contents.ts'
import { encodeKeyset } from '../keys/keyset-record.ts'
import { createMaster, rewrapMaster } from '../keys/master.ts'
import { nextVersion } from '../keys/trailer.ts'
import { type Argon2Costs, DEFAULT_ARGON2_COSTS, isWritable } from '../primitives/password.ts'
import { SecretHolder, type SecretKey } from '../secret.ts'
import type { KeysetReader, PasswordOptions } from './keyset-reader.ts'
import {
  type Encryption,
  HostWriter,
  type KeysetWriter,
  numberOf,
  parseWriterOptions,
  type WriterOptions,
} from './keyset-writer.ts'

class UnlockedKeyset extends SecretHolder implements KeysetReader {
  readonly id: string
  readonly version: number
  readonly #contents: KeysetContents
  readonly #master: SecretKey<'master'>
  readonly #current: Identity
  #prepared: Recipient | undefined
  readonly #exports: ReadonlyMap<string, Bytes>
  readonly #identities: ReadonlyMap<string, Identity>
  readonly #schemes: Map<Mode, ContentScheme> = new Map()
  readonly #accept: number | undefined

  /** Takes the contents and the master key over. */
  constructor(contents: KeysetContents, master: SecretKey<'master'>, accept?: number) {
    const { blockPair, additional } = contents
    const current = new Identity(blockPair)
    const identities = [current, ...(additional?.retired ?? []).map((pair) => new Identity(pair))]
    const destinations = Object.keys(Destination) as KeysetDestination[]
    const exports = new Map(
      destinations
        .filter((destination) => additional !== undefined || destination === 'source-definition')
        .map((destination) => [destination, encodeKeyset(contents, master, destination)]),
    )
    super('keyset reader', () => {
      disposeKeys(contents)
      master.dispose()
      for (const identity of identities) identity.dispose()
      for (const scheme of this.#schemes.values()) scheme.dispose()
      wipe(...exports.values())
    })
    this.id = toHex(contents.id)
    this.version = contents.version
    this.#contents = contents
    this.#exports = exports
    this.#identities = new Map(identities.map((identity) => [toHex(identity.keyId), identity]))
    this.#accept = accept
    this.#master = master
    this.#current = current
  }

  async open(block: SealedBlock): Promise<Bytes> {
    this.assertUsable()
    return openBlock(block, this.#keys)
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
    return rekeyBlock(head, this.#keys, this.#recipient, this.#contents.encryption === Strength.hybrid)
  }

  async changePassword(next: string, options: PasswordOptions & { newMaster?: boolean } = {}): Promise<KeysetReader> {
    const { newMaster = false, costs = writableCosts(this.#contents.argon2) } = options
    if (newMaster) this.#additional('new master key')
    this.assertUsable()
    // With keys of its own, whatever happens to this handle while the hash runs.
    const contents = copyKeys({ ...this.#contents, version: nextVersion(this.version) })
    const master = this.#master.copy()
    try {
      const fresh = newMaster ? await createMaster(next, costs, options) : undefined
      const argon2 = fresh?.record ?? (await rewrapMaster(master, next, costs, options))
      return unlocked({ ...contents, argon2 }, fresh?.master ?? master.copy(), this.#accept)
    } catch (error) {
      disposeKeys(contents)
      throw error
    } finally {
      master.dispose()
    }
  }

  regenerate(options: { encryption?: Encryption } = {}): KeysetReader {
    const { retired, ...others } = this.#additional('new key pairs')
    const { encryption } = parseWriterOptions(options, this.#contents)
    const { blockPair: old, ...contents } = this.#contents
    const additional = { ...others, retired: [...retired, old] }
    // Fresh keys are not copied: they belong to the new handle alone.
    const changed = { ...contents, version: nextVersion(this.version), encryption, additional }
    return this.#next({ ...copyKeys(changed), blockPair: generateKeyPair(encryption) })
  }

  forgetRetired(done: { blocksRekeyed: true; recordsResealed: true }): KeysetReader {
    const { blocksRekeyed, recordsResealed } = done as { blocksRekeyed: unknown; recordsResealed: unknown }
    if (blocksRekeyed !== true || recordsResealed !== true) {
      throw new TypeError('say that it is done: { blocksRekeyed: true, recordsResealed: true }')
    }
    const additional = { ...this.#additional('forgetting of keys'), retired: [] }
    return this.#next(copyKeys({ ...this.#contents, version: nextVersion(this.version), additional }))
  }

  /** The handle of changed contents, which takes them over. */
  #next(contents: KeysetContents): KeysetReader {
    return unlocked(contents, this.#master.copy(), this.#accept)
  }

  get #keys(): BlockKeys {
    return {
      ownerId: this.#contents.id,
      accept: this.#accept,
      current: this.#current,
      identity: (keyId) => this.#identities.get(toHex(keyId)),
      scheme: (mode) => this.#scheme(mode),
    }
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
    const { id, version, blockPair, blockSalt, dedupKey } = this.#contents
    const keys = {
      id,
      version,
      blockPair: blockPair.publicHalves,
      blockSalt: blockSalt.copy(),
      dedupKey: dedupKey.copy(),
      sourceSigning: this.#contents.sourceSigning.seed.copy(),
    }
    return HostWriter.of(keys, defaults)
  }

  card(): Card {
    const { sharing, cardSigning } = this.#additional('card')
    const { id: ownerId, sourceSigning } = this.#contents
    const keys = { ownerId, sharing: sharing.publicHalves, sourceSigning: sourceSigning.publicKey }
    return encodeCard(keys, cardSigning)
  }

  /** The private half of the card: opens what was sealed to it. The caller disposes of it. */
  static cardIdentityOf(reader: KeysetReader): Identity {
    if (!(reader instanceof UnlockedKeyset)) throw new TypeError('admin must be a KeysetReader of this library')
    return new Identity(reader.#additional('card').sharing)
  }

  #additional(purpose: string): AdditionalKeys {
    this.assertUsable()
    const { additional } = this.#contents
    if (additional === undefined) throw incompleteFor(purpose)
    return additional
  }

  /** A copy of the dedup key of a keyset, which must be a handle of this very library. */
  static dedupKeyOf(reader: KeysetReader): SecretKey<'dedup'> {
    if (!(reader instanceof UnlockedKeyset)) throw new TypeError('dedupWith must be a KeysetReader of this library')
    reader.assertUsable()
    return reader.#contents.dedupKey.copy()
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

/** The private half of the card of a keyset, which must be a handle of this very library. The caller disposes of it. */
export const cardIdentityOf = (reader: KeysetReader): Identity => UnlockedKeyset.cardIdentityOf(reader)

/** A copy of the dedup key of a keyset, which must be a handle of this very library. */
export const dedupKeyOf = (reader: KeysetReader): SecretKey<'dedup'> => UnlockedKeyset.dedupKeyOf(reader)
