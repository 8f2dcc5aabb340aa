// Password → master key: Argon2id hash ⊕ nonce (SPEC §5.1). The nonce is stored and the hash is not, so that a new
// password can give the same master key by a new nonce.
import { type Bytes, EMPTY, equalBytes, wipe, xor } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { type Argon2Costs, assertWritableCosts, type HashOptions, hashPassword } from '../core/password.ts'
import { SecretKey, withBytes } from '../core/secret.ts'
import { derive } from '../primitives/kdf.ts'
import { randomBytes } from '../primitives/random.ts'
import type { Argon2Record } from './layout.ts'

/** A fresh master key, and the record from which the password gives it again. */
export async function createMaster(
  password: string,
  { iterations, memoryKiB, lanes }: Argon2Costs,
  options: HashOptions,
): Promise<{ master: SecretKey<'master'>; record: Argon2Record }> {
  // These very numbers are checked, hashed with and stored: the caller's object may change while the hash runs.
  const costs = { iterations, memoryKiB, lanes }
  assertWritableCosts(costs)
  const unverified = { ...costs, salt: randomBytes(32), nonce: randomBytes(32) }
  const master = await hashToMaster(password, unverified, options)
  return { master, record: { ...unverified, verify: verifierOf(master) } }
}

/** A new record, by which another password gives the same master key: N′ = M ⊕ H′ with a fresh salt. */
export async function rewrapMaster(
  master: SecretKey<'master'>,
  password: string,
  { iterations, memoryKiB, lanes }: Argon2Costs,
  options: HashOptions,
): Promise<Argon2Record> {
  const costs = { iterations, memoryKiB, lanes }
  assertWritableCosts(costs)
  const salt = randomBytes(32)
  const hash = await hashPassword(password, salt, costs, options)
  try {
    const nonce = withBytes(master, (bytes) => xor(bytes, hash))
    return { ...costs, salt, nonce, verify: verifierOf(master) }
  } finally {
    wipe(hash)
  }
}

/** @throws KeystrataError `wrong-password`, `limit-exceeded`, `aborted` */
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

/** What is stored to tell a wrong password from damage. It costs a guesser the same Argon2 hash as opening would. */
function verifierOf(master: SecretKey<'master'>): Bytes {
  return derive(master, EMPTY, 'master-verify', [], 32)
}

async function hashToMaster(
  password: string,
  record: Omit<Argon2Record, 'verify'>,
  options: HashOptions,
): Promise<SecretKey<'master'>> {
  const hash = await hashPassword(password, record.salt, record, options)
  try {
    return SecretKey.take('master', xor(hash, record.nonce))
  } finally {
    wipe(hash)
  }
}
