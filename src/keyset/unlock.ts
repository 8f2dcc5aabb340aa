// The ways to get a keyset: create it with a password, unlock it with the password, or open it on a device that saved
// it (SPEC §9, §8).
import { bytesFrom, toHex } from '../core/bytes.ts'
import { decode } from '../core/codec.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { generateKeyPair, generateSigningPair } from '../core/key-pairs.ts'
import { fieldsFrom, optionsFrom, type Rules } from '../core/options.ts'
import { type Argon2Costs, costsFrom, DEFAULT_ARGON2_COSTS, type HashOptions } from '../core/password.ts'
import { disposeKeys, SecretKey, wiping } from '../core/secret.ts'
import { Strength } from '../core/suite.ts'
import { numberOf } from '../core/text.ts'
import type { DeviceKey } from '../device/device-key.ts'
import { assertExpected, openHandle } from '../device/saved.ts'
import { randomBytes } from '../primitives/random.ts'
import { EncryptedMode } from './mask.ts'
import { type KeysetContents, type KeysetKeys, openKeyset, type ParsedKeyset, parseKeyset } from './exports.ts'
import { insidesOf, type Keyset, unlocked, unlockedNext } from './keyset.ts'
import { savedKeyset } from './layout.ts'
import { createMaster, openMaster, PASSWORD_OPTIONS, type PasswordOptions } from './master.ts'
import { assertDescends, parseRevision, type Revision } from './revision.ts'
import { type Encryption, parseWriterOptions, WRITER_OPTIONS, type WriterOptions } from './writer.ts'

/**
 * Creates a keyset with fresh keys, under a password. If you lose the password or all exports, nobody can recover what
 * was sealed with the keyset.
 * @param password any text that is not empty; it is normalised to NFC, and every kind of space becomes a plain space
 * @param options `encryption` and `dedup`: the defaults of its writers. `encryption` is also the weakest that the
 *   keyset accepts when it opens blocks. `dedupWith`: copies the dedup key of another keyset, so that equal contents of
 *   both give equal ciphertexts. A holder of either keyset can then confirm and open contents of the other that they
 *   can guess
 * @throws KeystrataError `invalid-text` if the password is empty, or has a character that no password may have, such as a
 *   line end; `detail` says which
 * @throws KeystrataError `limit-exceeded` if the costs are outside 19,456 KiB–1 GiB, 2–64 iterations or 1–16 lanes, or if
 *   all iterations together take more than 4 GiB
 * @throws KeystrataError `unsupported` if the runtime has no Unicode data
 * @throws KeystrataError `aborted` if the signal was aborted
 * @throws TypeError if the password is not a string, an option is unknown, or `dedupWith` is from another copy
 *   of this library
 * @example
 * ```ts
 * import { createKeyset } from 'keystrata'
 *
 * using keyset = await createKeyset('correct horse battery staple', { dedup: 'off' })
 * const onHost = keyset.export('host')
 * const inStorage = keyset.export('storage')
 * console.log(keyset.revision.startsWith("1-")) // true
 * ```
 */
export async function createKeyset(
  password: string,
  options?: PasswordOptions & WriterOptions & { dedupWith?: Keyset | undefined },
): Promise<Keyset> {
  const rules = { ...PASSWORD_OPTIONS, ...WRITER_OPTIONS, dedupWith: 'optional' } as const
  const given = optionsFrom(options, rules, 'createKeyset')
  const { costs = DEFAULT_ARGON2_COSTS, dedupWith } = given
  const defaults = parseWriterOptions(given, { encryption: Strength.hybrid, dedup: EncryptedMode.scoped })
  using dedupKey = dedupWith === undefined ? SecretKey.take('dedup', randomBytes(32)) : copyOfDedupKey(dedupWith)
  const { master, record } = await createMaster(password, costsFrom(costs), given)
  const keys = generateKeys(defaults.encryption, dedupKey.copy())
  const first = { id: randomBytes(16), version: 1, history: [], ...defaults, argon2: record, ...keys }
  return unlockedNext(first, master, undefined)
}

const copyOfDedupKey = (keyset: Keyset): SecretKey<'dedup'> => insidesOf(keyset, 'dedupWith').contents.dedupKey.copy()

function generateKeys(minimum: Strength, dedupKey: SecretKey<'dedup'>): KeysetKeys {
  const cardSigning = generateSigningPair()
  return {
    blockPair: generateKeyPair(minimum),
    blockSalt: SecretKey.take('block-salt', randomBytes(32)),
    dedupKey,
    sourceSigning: generateSigningPair(),
    cardSigningKey: cardSigning.publicKey,
    adopted: [],
    additional: {
      sharing: generateKeyPair(Strength.hybrid),
      cardSigning,
      retired: [],
      shares: [],
      revoked: [],
    },
  }
}

/** What to accept when a keyset is opened. */
export interface OpenOptions {
  /**
   * A revision that you have seen before, as text. An older keyset throws `rollback`, and one that does not descend from
   * it throws `forked`. Beyond 255 versions, only the versions are compared. If you have none yet, leave this out: an
   * explicit `undefined` is a TypeError.
   */
  atLeast?: string
  /** The weakest blocks to accept, even if the keyset requires stronger ones. You take the risk. */
  allowWeaker?: Encryption | undefined
}

export const OPEN_OPTIONS: Rules<OpenOptions> = { atLeast: 'defined', allowWeaker: 'optional' }

/** The checked form of {@link OpenOptions}. */
export interface Acceptance {
  readonly atLeast: Revision | undefined
  readonly allowWeaker: Strength | undefined
}

/** @throws TypeError for anything else than a revision, and for an unknown strength */
export function parseOpenOptions({ atLeast, allowWeaker }: OpenOptions): Acceptance {
  return {
    atLeast: atLeast === undefined ? undefined : parseRevision(atLeast, 'atLeast'),
    allowWeaker: allowWeaker === undefined ? undefined : numberOf(Strength, allowWeaker, 'allowWeaker'),
  }
}

/** The checked form of the options of {@link unlockKeyset}. */
interface UnlockOptions extends Acceptance {
  readonly hashing: HashOptions
  /** The most that unlocking may cost. */
  readonly ceiling: Argon2Costs | undefined
}

/** @throws TypeError for invalid options */
export function parseUnlockOptions(options: (PasswordOptions & OpenOptions) | undefined, what: string): UnlockOptions {
  const hashing = optionsFrom(options, { ...PASSWORD_OPTIONS, ...OPEN_OPTIONS }, what)
  const { costs } = hashing
  return { ...parseOpenOptions(hashing), hashing, ceiling: costs && costsFrom(costs) }
}

/**
 * Unlocks any export of a keyset with its password.
 * @param anyExport the bytes of an export, at most 1 MiB
 * @param options `atLeast`: a revision that you have seen before; the keyset must descend from it. `allowWeaker`: accepts
 *   blocks down to this strength, even if the keyset requires stronger ones; you take the risk
 * @throws KeystrataError `wrong-password` if the password is wrong
 * @throws KeystrataError `malformed` if the bytes are damaged; damage is never reported as a wrong password
 * @throws KeystrataError `authentication-failed` if the export was altered
 * @throws KeystrataError `rollback` if it is older than `atLeast`
 * @throws KeystrataError `forked` if it does not descend from `atLeast`
 * @throws KeystrataError `unsupported` if the export needs a later release
 * @throws KeystrataError `invalid-text` if the password is one that {@link createKeyset} refuses
 * @throws KeystrataError `limit-exceeded` if the export is too large, or its costs are above `costs` or the limits
 * @throws KeystrataError `aborted` if the signal was aborted
 * @throws TypeError for an unknown option, or `costs` that are not three numbers
 * @example
 * ```ts
 * import { createKeyset, unlockKeyset } from 'keystrata'
 *
 * using created = await createKeyset('correct horse battery staple')
 * const inStorage = created.export('storage')
 * using keyset = await unlockKeyset(inStorage, 'correct horse battery staple', { atLeast: created.revision })
 * console.log(keyset.id === created.id) // true
 * ```
 */
export async function unlockKeyset(
  anyExport: Uint8Array,
  password: string,
  options?: PasswordOptions & OpenOptions,
): Promise<Keyset> {
  const accepted = parseUnlockOptions(options, 'unlockKeyset')
  const parsed = parseKeyset(bytesFrom(anyExport, 'export'))
  using _ = wiping(parsed.bytes)
  assertDescends(parsed, accepted.atLeast)
  return await unlockParsed(parsed, password, accepted)
}

/**
 * Unlocks a parsed export with its password. The caller has checked its floor, and wipes it.
 * @throws KeystrataError as {@link unlockKeyset}
 */
export async function unlockParsed(
  parsed: ParsedKeyset,
  password: string,
  { allowWeaker, ceiling, hashing }: UnlockOptions,
): Promise<Keyset> {
  if (ceiling !== undefined) assertWithin(parsed.argon2, ceiling)
  const master = await openMaster(password, parsed.argon2, hashing)
  try {
    return unlocked(openKeyset(parsed, master), master, allowWeaker)
  } catch (error) {
    master.dispose()
    throw error
  }
}

/**
 * Checks the costs of an export against the highest costs that the caller allows.
 * @throws KeystrataError `limit-exceeded` if a cost is higher
 */
function assertWithin({ iterations, memoryKiB, lanes }: Argon2Costs, ceiling: Argon2Costs): void {
  if (iterations <= ceiling.iterations && memoryKiB <= ceiling.memoryKiB && lanes <= ceiling.lanes) return
  throw new KeystrataError('limit-exceeded', 'unlocking this keyset takes more than `costs` allows', {
    object: 'keyset',
    iterations,
    memoryKiB,
    lanes,
  })
}

/**
 * Opens a keyset that `save` sealed on this device. It needs no password.
 * @param saved the bytes that `save` returned
 * @param expected `id`: the id of the keyset that you expect, so that a swapped database row is noticed. `atLeast` and
 *   `allowWeaker` as for {@link unlockKeyset}; `save` does not store them
 * @throws KeystrataError `policy` if it is another keyset
 * @throws KeystrataError `rollback` if it is older than `atLeast`
 * @throws KeystrataError `forked` if it does not descend from `atLeast`
 * @throws KeystrataError `key-not-found` if another device saved it
 * @throws KeystrataError `unsupported` if it is another kind of handle
 * @throws KeystrataError `malformed` if the bytes are damaged
 * @throws KeystrataError `authentication-failed` if they were altered
 * @throws KeystrataError `limit-exceeded`, `disposed`
 * @throws TypeError if `device` is not a device key from this copy of the library
 * @throws TypeError for an unknown property of `expected`, or an explicit `undefined` for `id` or `atLeast`
 * @example
 * ```ts
 * import { createKeyset, openSavedKeyset } from 'keystrata'
 * import { createDeviceKey } from 'keystrata/device'
 *
 * using device = createDeviceKey()
 * using created = await createKeyset('correct horse battery staple')
 * const saved = created.save(device)
 * using keyset = openSavedKeyset(saved, device, { id: created.id })
 * console.log(keyset.revision === created.revision) // true
 * ```
 */
export function openSavedKeyset(saved: Uint8Array, device: DeviceKey, expected: { id: string } & OpenOptions): Keyset {
  const given = fieldsFrom(expected, { id: 'required', ...OPEN_OPTIONS }, 'expected')
  const { id } = given
  const { atLeast, allowWeaker } = parseOpenOptions(given)
  const { contents, master } = openHandle(device, 'keyset', saved, readSaved)
  try {
    assertExpected({ id: toHex(contents.id) }, { id })
    assertDescends(contents, atLeast)
  } catch (error) {
    disposeKeys([contents, master])
    throw error
  }
  return unlocked(contents, master, allowWeaker)
}

function readSaved(bytes: Uint8Array): { contents: KeysetContents; master: SecretKey<'master'> } {
  const { master, keyset } = decode(savedKeyset, bytes, 'saved keyset')
  try {
    const parsed = parseKeyset(keyset)
    using _ = wiping(parsed.bytes)
    if (parsed.destination === 'host') throw authenticationFailed()
    return { contents: openKeyset(parsed, master), master }
  } catch (error) {
    master.dispose()
    throw error
  }
}
