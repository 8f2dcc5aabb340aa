// The hashes of passwords that belong to the service itself: Argon2id as PHC strings. A wrong password and an unknown
// user get the same answer at the same cost. Each hash takes 64 MiB of memory.
import { allocate, equalBytes, fromBase64, toBase64 } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { invalidText } from '../core/invalid-text.ts'
import {
  type Argon2Costs,
  assertReadableCosts,
  DEFAULT_ARGON2_COSTS,
  withinMemory,
  withPassword,
} from '../core/password.ts'
import { flawOf } from '../core/text.ts'
import { providerOf } from '../primitives/choice.ts'
import { PROVIDER } from '../primitives/node-crypto.ts'
import { argon2 } from '../primitives/password-hash.ts'
import { randomBytes } from '../primitives/random.ts'
import { hashQueue, ifThereIsRoom } from './hash-queue.ts'

const SALT_BYTES = 16

const HASH_BYTES = 32

const MAX_PASSWORD_CHARACTERS = 1024

/** A parsed Argon2id hash of a password. The stored form is the PHC string format. */
interface StoredHash extends Argon2Costs {
  readonly salt: Uint8Array
  readonly hash: Uint8Array
}

/**
 * Hashes a password that belongs to the service itself, for {@link verifyPassword}: Argon2id, 64 MiB, 3 iterations, 4
 * lanes.
 * @param password 1 to 1,024 characters
 * @returns a PHC string, `$argon2id$v=19$m=65536,t=3,p=4$…`
 * @throws KeystrataError `invalid-text` if the password is empty or over 1,024 characters, or has a character that no
 *   password may have
 * @throws KeystrataError `limit-exceeded` if too many hashes of this process are unfinished
 * @throws TypeError if the password is not a string
 * @example
 * ```ts
 * import { hashPassword } from 'keystrata/server'
 *
 * const stored = await hashPassword('a password of the service itself')
 * console.log(stored.startsWith('$argon2id$v=19$')) // true
 * ```
 */
export async function hashPassword(password: string): Promise<string> {
  if (typeof password === 'string' && isTooLong(password)) {
    const message = 'the password is longer than 1,024 characters: choose a shorter one'
    throw invalidText('too-long', 'password', message, {
      characters: Array.from(password).length,
      most: MAX_PASSWORD_CHARACTERS,
    })
  }
  const salt = randomBytes(SALT_BYTES)
  const { iterations, memoryKiB, lanes } = DEFAULT_ARGON2_COSTS
  const hash = await argon2id(password, salt, DEFAULT_ARGON2_COSTS, HASH_BYTES)
  const costs = `m=${memoryKiB},t=${iterations},p=${lanes}`
  return `$argon2id$v=19$${costs}$${toBase64(salt)}$${toBase64(hash)}`
}

/**
 * Checks a password against a hash from {@link hashPassword} or from any other software that writes Argon2id PHC
 * strings. This normalises the password first (NFC, plain spaces) and other software may not, so a foreign hash matches
 * only if the password was already in that form.
 * @param hash the stored hash; undefined for an unknown user, which takes the time of a hash at the default costs and
 *   returns false
 * @param password what the user typed. A password that {@link hashPassword} refuses returns false
 * @returns whether the password matches
 * @throws KeystrataError `malformed` if `hash` is not such a hash
 * @throws KeystrataError `unsupported` if it is of another algorithm or version
 * @throws KeystrataError `limit-exceeded` if its costs are beyond SPEC §1.6, its salt is not 8 to 64 bytes or its hash
 *   not 16 to 64 bytes
 * @throws TypeError if `hash` or `password` is not a string
 * @example
 * ```ts
 * import { hashPassword, verifyPassword } from 'keystrata/server'
 *
 * const stored = await hashPassword('a password of the service itself')
 * console.log(await verifyPassword(stored, 'a password of the service itself')) // true
 * console.log(await verifyPassword(undefined, 'of an unknown user')) // false
 * ```
 */
export async function verifyPassword(hash: string | undefined, password: string): Promise<boolean> {
  const known = hash ?? undefined
  const stored = known === undefined ? nobody() : parseHash(known)
  if (typeof password !== 'string') throw new TypeError('password must be a string')
  // hashPassword accepts none of these. The password comes from the network, so reject them before the expensive hash.
  if (isTooLong(password) || flawOf(password) !== undefined) return false
  const found = await argon2id(password, stored.salt, stored, stored.hash.length)
  return equalBytes(found, stored.hash) && known !== undefined
}

/** Counts whole characters, and counts no further than a long text is. */
const isTooLong = (password: string): boolean =>
  password.length > 2 * MAX_PASSWORD_CHARACTERS || Array.from(password).length > MAX_PASSWORD_CHARACTERS

/** Hashes a password. Native code has threads of its own, and portable code runs in those of this room. */
function argon2id(password: string, salt: Uint8Array, costs: Argon2Costs, length: number): Promise<Uint8Array> {
  return withPassword(password, (bytes) => {
    assertReadableCosts(costs)
    const here = () => argon2().argon2id(bytes, salt, costs, length, {})
    argon2()
    const isNative = providerOf('Argon2id') === PROVIDER
    const { iterations, memoryKiB, lanes } = costs
    const task = { task: 'argon2', password: bytes, salt, costs: { iterations, memoryKiB, lanes }, length } as const
    return ifThereIsRoom(() => withinMemory(costs, () => (isNative ? here() : hashQueue().run(task, here))))
  })
}

const nobody = (): StoredHash => ({
  ...DEFAULT_ARGON2_COSTS,
  salt: allocate(SALT_BYTES),
  hash: allocate(HASH_BYTES),
})

function parseHash(text: string): StoredHash {
  if (typeof text !== 'string') throw new TypeError('hash must be a string')
  const found = /^\$([a-z\d-]{1,32})\$v=(\d+)\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z\d+/]+)\$([A-Za-z\d+/]+)$/.exec(text)
  if (found === null)
    throw new KeystrataError('malformed', 'invalid password hash: it must be an Argon2 hash in the PHC string format', {
      object: 'password hash',
      characters: text.length,
    })
  const [, algorithm, version, memory, iterations, lanes, saltText = '', hashText = ''] = found
  if (algorithm !== 'argon2id' || version !== '19') {
    throw new KeystrataError('unsupported', 'unsupported password hash: it must be Argon2id version 19 (0x13)', {
      object: 'password hash',
      field: algorithm === 'argon2id' ? 'version' : 'algorithm',
    })
  }
  const [salt, hash] = [fromBase64(saltText), fromBase64(hashText)]
  if (salt === undefined || hash === undefined)
    throw new KeystrataError('malformed', 'invalid password hash: its salt or hash is not base64', {
      object: 'password hash',
    })
  if (salt.length < 8 || salt.length > 64 || hash.length < 16 || hash.length > 64) {
    throw new KeystrataError(
      'limit-exceeded',
      'invalid password hash: the salt must have 8 to 64 bytes and the hash 16 to 64',
      { object: 'password hash', salt: salt.length, hash: hash.length },
    )
  }
  return { iterations: Number(iterations), memoryKiB: Number(memory), lanes: Number(lanes), salt, hash }
}
