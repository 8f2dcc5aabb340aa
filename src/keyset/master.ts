// Derives the master key from the password: Argon2id hash ⊕ nonce (SPEC §9.1). The nonce is stored and the hash is not,
// so a new nonce can give the same master key for a new password.
import { type Bytes, EMPTY, equalBytes, xor } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import type { Rules } from '../core/options.ts'
import {
  type Argon2Costs,
  assertWritableCosts,
  DEFAULT_ARGON2_COSTS,
  type HashOptions,
  hashPassword,
  isWritable,
} from '../core/password.ts'
import { SecretKey, wiping, withBytes } from '../core/secret.ts'
import { derive } from '../primitives/kdf.ts'
import { randomBytes } from '../primitives/random.ts'
import type { Argon2Record } from './layout.ts'

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
  costs?: Argon2Costs | undefined
}

export const PASSWORD_OPTIONS: Rules<PasswordOptions> = {
  onProgress: 'optional',
  signal: 'optional',
  argon2: 'optional',
  costs: 'optional',
}

/** Creates a master key, and the record that is needed to derive it from the password again. */
export async function createMaster(
  password: string,
  { iterations, memoryKiB, lanes }: Argon2Costs,
  options: HashOptions,
): Promise<{ master: SecretKey<'master'>; record: Argon2Record }> {
  // Check, use and store a copy, because the caller's object may change while the hash runs.
  const costs = { iterations, memoryKiB, lanes }
  assertWritableCosts(costs)
  const unverified = { ...costs, salt: randomBytes(32), nonce: randomBytes(32) }
  const master = await hashToMaster(password, unverified, options)
  return { master, record: { ...unverified, verify: verifierOf(master) } }
}

/** Creates a record that derives the same master key from another password: N′ = M ⊕ H′ with a fresh salt. */
export async function rewrapMaster(
  master: SecretKey<'master'>,
  password: string,
  { iterations, memoryKiB, lanes }: Argon2Costs,
  options: HashOptions,
): Promise<Argon2Record> {
  const costs = { iterations, memoryKiB, lanes }
  assertWritableCosts(costs)
  const salt = randomBytes(32)
  const hash = await hashPassword(password, salt, costs, options, 32)
  using _ = wiping(hash)
  const nonce = withBytes(master, (bytes) => xor(bytes, hash))
  return { ...costs, salt, nonce, verify: verifierOf(master) }
}

/**
 * Derives the master key from the password, and checks that it is the right one.
 * @throws KeystrataError `wrong-password` if it is not
 * @throws KeystrataError `invalid-text` if no key can be derived from the password
 * @throws KeystrataError `limit-exceeded` if the record's costs are beyond the limits
 * @throws KeystrataError `aborted` if the signal was aborted
 */
export async function openMaster(
  password: string,
  record: Argon2Record,
  options: HashOptions,
): Promise<SecretKey<'master'>> {
  const master = await hashToMaster(password, record, options)
  if (equalBytes(verifierOf(master), record.verify)) return master
  master.dispose()
  throw new KeystrataError('wrong-password')
}

/**
 * Derives the stored value that distinguishes a wrong password from damage. Testing a guess against it costs one Argon2
 * hash, the same as opening.
 */
function verifierOf(master: SecretKey<'master'>): Bytes {
  return derive(master, EMPTY, 'master-verify', [], 32)
}

async function hashToMaster(
  password: string,
  record: Omit<Argon2Record, 'verify'>,
  options: HashOptions,
): Promise<SecretKey<'master'>> {
  const hash = await hashPassword(password, record.salt, record, options, 32)
  using _ = wiping(hash)
  return SecretKey.take('master', xor(hash, record.nonce))
}

/**
 * Returns the default costs of a new password: those of the old one, or the library's default if those are too low
 * today.
 */
export function writableCosts(costs: Argon2Costs): Argon2Costs {
  return isWritable(costs) ? costs : DEFAULT_ARGON2_COSTS
}
