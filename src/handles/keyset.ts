// A keyset in the hand of its owner: created, unlocked with the password, exported (SPEC §5).
import type { BlockReader, SealedBlock } from '../blocks/block.ts'
import { ContentScheme } from '../blocks/content-key.ts'
import { openBlock } from '../blocks/open.ts'
import { type Bytes, bytesFrom, toHex, wipe } from '../bytes.ts'
import { KeystrataError } from '../errors.ts'
import { Mode } from '../format/envelope.ts'
import { Destination, Strength } from '../format/keyset.ts'
import { generateKeyPair, generateSigningPair, Identity } from '../keys/key-pairs.ts'
import { type Card, encodeCard } from '../keys/card.ts'
import {
  type AdditionalKeys,
  disposeKeys,
  incompleteFor,
  type KeysetContents,
  type KeysetDestination,
  type KeysetKeys,
} from '../keys/keyset-contents.ts'
import { encodeKeyset, openKeyset, parseKeyset } from '../keys/keyset-record.ts'
import { createMaster, openMaster } from '../keys/master.ts'
import { assertNotOlder, parseFloor } from '../keys/trailer.ts'
import { type Argon2Costs, DEFAULT_ARGON2_COSTS, type Wait } from '../primitives/password.ts'
import { randomBytes } from '../primitives/random.ts'
import { type Handle, SecretHolder, SecretKey } from '../secret.ts'
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
   * A writer with a life of its own.
   * @throws KeystrataError `policy` for weaker encryption than the keyset's minimum
   */
  writer(options?: WriterOptions): KeysetWriter
}

class UnlockedKeyset extends SecretHolder implements KeysetReader {
  readonly id: string
  readonly version: number
  readonly #contents: KeysetContents
  readonly #exports: ReadonlyMap<string, Bytes>
  readonly #identities: ReadonlyMap<string, Identity>
  readonly #schemes: Map<Mode, ContentScheme> = new Map()
  readonly #accept: number | undefined

  /** Takes the contents over; needs the master key for the exports alone. */
  constructor(contents: KeysetContents, master: SecretKey<'master'>, accept?: number) {
    const { blockPair, additional } = contents
    const identities = [blockPair, ...(additional?.retired ?? [])].map((pair) => new Identity(pair))
    const destinations = Object.keys(Destination) as KeysetDestination[]
    const exports = new Map(
      destinations
        .filter((destination) => additional !== undefined || destination === 'source-definition')
        .map((destination) => [destination, encodeKeyset(contents, master, destination)]),
    )
    super('keyset reader', () => {
      disposeKeys(contents)
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
  }

  async open(block: SealedBlock): Promise<Bytes> {
    this.assertUsable()
    return openBlock(block, {
      ownerId: this.#contents.id,
      accept: this.#accept,
      identity: (keyId) => this.#identities.get(toHex(keyId)),
      scheme: (mode) => this.#scheme(mode),
    })
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

/**
 * Creates a keyset with fresh keys, under a password. Without the password and at least one export, whatever is sealed
 * with it is lost for good: nobody can recover it.
 * @param password any text but the empty one; taken as NFC, with every kind of space as a space
 * @param options `encryption` and `dedup` become the defaults of its writers, and `encryption` the least that its reader
 *   takes; `dedupWith` copies the dedup key of another keyset, so that equal contents of both give equal ciphertexts, and
 *   whoever holds either can confirm and open contents of the other that they can guess
 * @throws KeystrataError `limit-exceeded` for an empty password or costs outside 19,456 KiB–1 GiB, 2–64 iterations, 1–16
 *   lanes; `aborted`
 * @throws TypeError for a password that is not well-formed text, for values that are no option, for a `dedupWith` of another
 *   copy of this library
 */
export async function createKeyset(
  password: string,
  options: PasswordOptions & WriterOptions & { dedupWith?: KeysetReader } = {},
): Promise<KeysetReader> {
  const { costs = DEFAULT_ARGON2_COSTS, dedupWith } = options
  const { encryption, dedup } = parseWriterOptions(options, { encryption: Strength.hybrid, dedup: Mode.scoped })
  const dedupKey =
    dedupWith === undefined ? SecretKey.take('dedup', randomBytes(32)) : UnlockedKeyset.dedupKeyOf(dedupWith)
  try {
    const { master, record } = await createMaster(password, costs, options)
    try {
      const keys = generateKeys(encryption, dedupKey.copy())
      return unlocked({ id: randomBytes(16), version: 1, encryption, dedup, argon2: record, ...keys }, master)
    } finally {
      master.dispose()
    }
  } finally {
    dedupKey.dispose()
  }
}

function generateKeys(minimum: number, dedupKey: SecretKey<'dedup'>): KeysetKeys {
  return {
    blockPair: generateKeyPair(minimum),
    blockSalt: SecretKey.take('block-salt', randomBytes(32)),
    dedupKey,
    sourceSigning: generateSigningPair(),
    additional: {
      sharing: generateKeyPair(Strength.hybrid),
      cardSigning: generateSigningPair(),
      retired: [],
      shares: [],
    },
  }
}

/** The handle of these contents, which takes them over. */
function unlocked(contents: KeysetContents, master: SecretKey<'master'>, accept?: number): KeysetReader {
  try {
    return new UnlockedKeyset(contents, master, accept)
  } catch (error) {
    disposeKeys(contents)
    throw error
  }
}

/**
 * Unlocks any export of a keyset with its password.
 * @param anyExport the bytes of an export, at most 1 MiB
 * @param options `atLeast`: the lowest version to take; `accept`: knowingly open blocks protected more weakly than the
 *   keyset demands, down to this
 * @throws KeystrataError `wrong-password`; `malformed` for damaged bytes, which never look like a wrong password;
 *   `authentication-failed` for altered ones; `rollback` below `atLeast`; `unsupported`, `limit-exceeded`, `aborted`
 */
export async function unlockKeyset(
  anyExport: Uint8Array,
  password: string,
  options: PasswordOptions & { atLeast?: number; accept?: Encryption } = {},
): Promise<KeysetReader> {
  const { accept, costs } = options
  const atLeast = parseFloor(options.atLeast)
  const accepted = accept === undefined ? undefined : numberOf(Strength, accept, 'accept')
  const parsed = parseKeyset(bytesFrom(anyExport, 'export'))
  try {
    assertNotOlder(parsed, atLeast, 'keyset')
    if (costs !== undefined) assertWithin(parsed.argon2, costs)
    const master = await openMaster(password, parsed.argon2, options)
    try {
      return unlocked(openKeyset(parsed, master), master, accepted)
    } finally {
      master.dispose()
    }
  } finally {
    wipe(parsed.bytes)
  }
}

/** @throws KeystrataError `limit-exceeded` */
function assertWithin({ iterations, memoryKiB, lanes }: Argon2Costs, ceiling: Argon2Costs): void {
  for (const most of [ceiling.iterations, ceiling.memoryKiB, ceiling.lanes]) {
    if (typeof most !== 'number') throw new TypeError('costs are three numbers: iterations, memoryKiB, lanes')
  }
  if (iterations <= ceiling.iterations && memoryKiB <= ceiling.memoryKiB && lanes <= ceiling.lanes) return
  throw new KeystrataError('limit-exceeded', 'the keyset asks for more than the given costs', {
    iterations,
    memoryKiB,
    lanes,
  })
}

/** The private half of the card of a keyset, which must be a handle of this very library. The caller disposes of it. */
export const cardIdentityOf = (reader: KeysetReader): Identity => UnlockedKeyset.cardIdentityOf(reader)
