// The two ways to a keyset: made with a password, or unlocked with it (SPEC §5).
import { bytesFrom, wipe } from '../core/bytes.ts'
import { Mode } from '../core/envelope.ts'
import { KeystrataError } from '../core/errors.ts'
import { generateKeyPair, generateSigningPair, Strength } from '../core/key-pairs.ts'
import { type Argon2Costs, DEFAULT_ARGON2_COSTS } from '../core/password.ts'
import { SecretKey } from '../core/secret.ts'
import { numberOf } from '../core/text.ts'
import { randomBytes } from '../primitives/random.ts'
import { assertNotOlder, parseFloor } from '../state/version.ts'
import { type KeysetKeys, openKeyset, parseKeyset } from './exports.ts'
import { insidesOf, type KeysetReader, type PasswordOptions, unlocked } from './keyset.ts'
import { createMaster, openMaster } from './master.ts'
import { type Encryption, parseWriterOptions, type WriterOptions } from './writer.ts'

/**
 * Creates a keyset with fresh keys, under a password. Without the password and at least one export, whatever is sealed
 * with it is lost for good: nobody can recover it.
 * @param password any text but the empty one; taken as NFC, with every kind of space as a space
 * @param options `encryption` and `dedup` become the defaults of its writers, and `encryption` the least that its reader
 *   takes; `dedupWith` copies the dedup key of another keyset, so that equal contents of both give equal ciphertexts, and
 *   whoever holds either can confirm and open contents of the other that they can guess
 * @throws KeystrataError `limit-exceeded` for an empty password or costs outside 19,456 KiB–1 GiB, 2–64 iterations, 1–16
 *   lanes, and for more than 4 GiB in all iterations; `aborted`
 * @throws TypeError for a password that is not well-formed text, for values that are no option, for a `dedupWith` of another
 *   copy of this library
 * @example
 * ```ts
 * import { createKeyset } from 'keystrata'
 *
 * using keyset = await createKeyset('correct horse battery staple', { dedup: 'off' })
 * const onHost = keyset.export('host')
 * const inStorage = keyset.export('source-storage')
 * console.log(keyset.version) // 1
 * ```
 */
export async function createKeyset(
  password: string,
  options: PasswordOptions & WriterOptions & { dedupWith?: KeysetReader } = {},
): Promise<KeysetReader> {
  const { costs = DEFAULT_ARGON2_COSTS, dedupWith } = options
  const { encryption, dedup } = parseWriterOptions(options, { encryption: Strength.hybrid, dedup: Mode.scoped })
  const dedupKey = dedupWith === undefined ? SecretKey.take('dedup', randomBytes(32)) : copyOfDedupKey(dedupWith)
  try {
    const { master, record } = await createMaster(password, costs, options)
    const keys = generateKeys(encryption, dedupKey.copy())
    return unlocked({ id: randomBytes(16), version: 1, encryption, dedup, argon2: record, ...keys }, master)
  } finally {
    dedupKey.dispose()
  }
}

const copyOfDedupKey = (reader: KeysetReader): SecretKey<'dedup'> =>
  insidesOf(reader, 'dedupWith').contents.dedupKey.copy()

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

/**
 * Unlocks any export of a keyset with its password.
 * @param anyExport the bytes of an export, at most 1 MiB
 * @param options `atLeast`: the lowest version to take; `accept`: knowingly open blocks protected more weakly than the
 *   keyset demands, down to this
 * @throws KeystrataError `wrong-password`; `malformed` for damaged bytes, which never look like a wrong password;
 *   `authentication-failed` for altered ones; `rollback` below `atLeast`; `unsupported`, `limit-exceeded`, `aborted`
 * @example
 * ```ts
 * import { createKeyset, unlockKeyset } from 'keystrata'
 *
 * using created = await createKeyset('correct horse battery staple')
 * const inStorage = created.export('source-storage')
 * using keyset = await unlockKeyset(inStorage, 'correct horse battery staple', { atLeast: created.version })
 * console.log(keyset.id === created.id) // true
 * ```
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
    } catch (error) {
      master.dispose()
      throw error
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
