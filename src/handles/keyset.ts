// A keyset in the hand of its owner: it opens, exports, and changes its keys (SPEC §5, §6).
import type { BlockHead, BlockReader, SealedBlock } from '../blocks/block.ts'
import { ContentScheme } from '../blocks/content-key.ts'
import { type BlockKeys, openBlock } from '../blocks/open.ts'
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
import { type Argon2Costs, isWritable, DEFAULT_ARGON2_COSTS, type Wait } from '../primitives/password.ts'
import { type Handle, SecretHolder, type SecretKey } from '../secret.ts'
import {
  type Encryption,
  HostWriter,
  type KeysetWriter,
  numberOf,
  parseWriterOptions,
  type WriterOptions,
} from './keyset-writer.ts'

/** How a password is hashed, and how to follow or end the wait. */
export interface PasswordOptions extends Wait {
  /**
   * Creating: what a guess shall cost; by default 64 MiB, 3 iterations, 4 lanes. Unlocking: the most that this device is
   * ready to spend; an export that asks for more is `limit-exceeded`.
   */
  costs?: Argon2Costs
}

/** A keyset with its private halves: opens every block, and gives the exports and the writers. */
export interface KeysetReader extends BlockReader, Handle {
  /** 32 hex digits: random, and the same for the whole life of the keyset. */
  readonly id: string
  /** Grows by one with every change of the keys. */
  readonly version: number
  /**
   * The bytes to keep in one of three places, the same at every call. `host`: on the machine that backs up, where
   * {@link openWriter} needs no password; keep it private, it holds the dedup secrets openly. `source-storage`: beside the
   * backup, all secrets sealed. `source-definition`: sealed too, without the keys for sharing and those of the past.
   * @throws KeystrataError `policy` for `host` and `source-storage` if this was unlocked from a `source-definition`
   */
  export(to: KeysetDestination): Bytes
  /**
   * The public keys that others need to seal something to the owner of this keyset; the same at every call.
   * @throws KeystrataError `policy` if this was unlocked from a `source-definition`
   */
  card(): Card
  /**
   * The same keys under another password: only the Argon2 record changes, so every export that is kept must be replaced. An
   * old copy still opens with the old password.
   * @param options `costs`: by default those of the old password; `newMaster`: a fresh master key too, so that who kept the
   *   old one opens no later export
   * @throws KeystrataError `limit-exceeded`, `aborted` as {@link createKeyset}; `policy` for `newMaster` if this was unlocked
   *   from a `source-definition`; `disposed`
   */
  changePassword(next: string, options?: PasswordOptions & { newMaster?: boolean }): Promise<KeysetReader>
  /**
   * New key pairs for blocks; the old ones are kept, so what is stored still opens. In an order that survives a crash: store
   * the exports and unlock one, replace the host export, {@link KeysetReader.rekey} every block, then `forgetRetired`.
   * @param options `encryption`: what the new key pairs demand and writers do by default; by default as before
   * @throws KeystrataError `policy` if this was unlocked from a `source-definition`; `disposed`
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
   * Drops the key pairs of the past: blocks that were not rekeyed do not open any more, for good.
   * @param done both must be true, in writing
   * @throws KeystrataError `policy` if this was unlocked from a `source-definition`; `disposed`
   * @throws TypeError unless both are true
   */
  forgetRetired(done: { blocksRekeyed: true; recordsResealed: true }): KeysetReader
  /**
   * A writer with a life of its own.
   * @throws KeystrataError `policy` for weaker encryption than the keyset's minimum
   */
  writer(options?: WriterOptions): KeysetWriter
}

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
      const changed = newMaster
        ? await createMaster(next, costs, options)
        : { master: master.copy(), record: await rewrapMaster(master, next, costs, options) }
      return unlocked({ ...contents, argon2: changed.record }, changed.master, this.#accept)
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
