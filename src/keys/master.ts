// Password → master key: Argon2id hash ⊕ nonce (SPEC §5.1). The nonce is stored and the hash is not, so that a new
// password can give the same master key by a new nonce.
import { type Bytes, EMPTY, equalBytes, wipe, xor } from '../bytes.ts'
import { KeystrataError } from '../errors.ts'
import type { Argon2Record } from '../format/keyset.ts'
import { derive } from '../primitives/kdf.ts'
import { type Argon2Costs, assertWritableCosts, hashPassword, type Wait } from '../primitives/password.ts'
import { randomBytes } from '../primitives/random.ts'
import { SecretKey } from '../secret.ts'

/** Salt and nonce, 32 bytes each; given by tests alone. */
export interface MasterRandomness {
  readonly salt: Bytes
  readonly nonce: Bytes
}

/** A fresh master key, and the record from which the password gives it again. */
export async function createMaster(
  password: string,
  costs: Argon2Costs,
  wait: Wait,
  { salt, nonce }: MasterRandomness = { salt: randomBytes(32), nonce: randomBytes(32) },
): Promise<{ master: SecretKey<'master'>; record: Argon2Record }> {
  assertWritableCosts(costs)
  const master = await hashToMaster(password, { ...costs, salt, nonce }, wait)
  const { iterations, memoryKiB, lanes } = costs
  return { master, record: { iterations, memoryKiB, lanes, salt, nonce, verify: verifierOf(master) } }
}

/** @throws KeystrataError `wrong-password`, `limit-exceeded`, `aborted` */
export async function openMaster(password: string, record: Argon2Record, wait: Wait): Promise<SecretKey<'master'>> {
  const master = await hashToMaster(password, record, wait)
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
  wait: Wait,
): Promise<SecretKey<'master'>> {
  const hash = await hashPassword(password, record.salt, record, wait)
  try {
    return SecretKey.take('master', xor(hash, record.nonce))
  } finally {
    wipe(hash)
  }
}
