// Login checks on a server (SPEC §8.2). The server never stores a key, only a verifier of the login key or the hash of
// a password that belongs to the service itself. A wrong secret and an unknown user get the same answer at the same
// cost. Each call is expensive for the server too, so limit how many run at once: bcrypt takes 0.3 s of the event loop,
// Argon2 takes 64 MiB of memory.
import { hash as bcryptHash, compare, genSalt, getRounds } from 'bcryptjs'
import { equalBytes, fromBase64, fromBase64Url, toBase64, wipe } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { type Argon2Costs, hashPassword as argon2id, DEFAULT_ARGON2_COSTS } from '../core/password.ts'
import { sha512 } from '../primitives/hash.ts'
import { randomBytes } from '../primitives/random.ts'

/** The length of a credential: the 24 bytes of a login key in base64url. */
const CREDENTIAL_CHARACTERS = 32

const COST = { least: 10, most: 15, default: 12 }

/** bcrypt ignores everything after 72 characters. */
const BCRYPT_CHARACTERS = 72

/** A verifier that no credential matches. It makes a login of an unknown user cost the same as one of a known user. */
const DUMMY_VERIFIER = `$2b$${COST.default}$${'.'.repeat(53)}`

/**
 * Creates the verifier of a credential: bcrypt over the SHA-512 hash of the login key. Store it with the user. An
 * attacker who steals it can guess passwords; each guess costs PBKDF2 with 600,000 iterations, to which bcrypt adds
 * little.
 * @param credential the `credential` of the client's login, as the client sends it, 32 characters
 * @param options `cost`: the bcrypt cost, 10 to 15, default 12. Use one cost for all users, because response times
 *   would otherwise show which users exist
 * @returns 60 characters, `$2b$…`
 * @throws KeystrataError `malformed` if `credential` is not a credential
 * @throws KeystrataError `limit-exceeded` if the cost is not 10 to 15
 * @throws TypeError if `credential` is not a string
 * @example
 * ```ts
 * import { createVerifier } from 'keystrata/server'
 *
 * const credential = 'bm90IGEgcmVhbCBjcmVkZW50aWFsIDE3' // what the client sent
 * const verifier = await createVerifier(credential)
 * console.log(verifier.length) // 60
 * ```
 */
export async function createVerifier(credential: string, options: { cost?: number } = {}): Promise<string> {
  const { cost = COST.default } = options
  assertCost(cost)
  const password = bcryptPassword(credential)
  if (password === undefined)
    throw new KeystrataError('malformed', 'invalid credential: it must be 32 characters of base64url')
  return bcryptHash(password, await genSalt(cost))
}

/**
 * Checks a credential against a verifier.
 * @param verifier the stored verifier; undefined for an unknown user, which takes the same time and returns false
 * @param credential what the client sent. An invalid credential returns false
 * @returns whether the credential matches
 * @throws KeystrataError `malformed` if `verifier` is not a verifier
 * @throws KeystrataError `limit-exceeded` if its cost is not 10 to 15
 * @throws TypeError if `verifier` or `credential` is not a string
 * @example
 * ```ts
 * import { verifyLogin } from 'keystrata/server'
 *
 * async function logIn(verifier: string | undefined, credential: string) {
 *   return (await verifyLogin(verifier, credential)) ? 200 : 401 // of an unknown user there is no verifier
 * }
 * ```
 */
export async function verifyLogin(verifier: string | undefined, credential: string): Promise<boolean> {
  // Databases return null for a missing row.
  const known = verifier ?? undefined
  const compared = known ?? DUMMY_VERIFIER
  assertVerifier(compared)
  const password = bcryptPassword(credential)
  const matches = await compare(password ?? '', compared)
  return matches && password !== undefined && known !== undefined
}

/**
 * Returns base64(SHA-512(L)), cut to 72 characters. It is base64, because bcrypt would stop at a NUL byte in the raw
 * digest.
 */
function bcryptPassword(credential: string): string | undefined {
  if (typeof credential !== 'string') throw new TypeError('credential must be a string')
  // Check the length first: a credential comes from the network and may be huge.
  const loginKey = credential.length === CREDENTIAL_CHARACTERS ? fromBase64Url(credential) : undefined
  if (loginKey === undefined) return undefined
  const digest = sha512(loginKey)
  const password = toBase64(digest).slice(0, BCRYPT_CHARACTERS)
  wipe(loginKey, digest)
  return password
}

function assertVerifier(verifier: string): void {
  if (typeof verifier !== 'string') throw new TypeError('verifier must be a string')
  if (!/^\$2b\$\d\d\$[./A-Za-z\d]{53}$/.test(verifier))
    throw new KeystrataError('malformed', 'invalid verifier: it must be a string that createVerifier returned')
  assertCost(getRounds(verifier))
}

function assertCost(cost: number): void {
  if (Number.isInteger(cost) && cost >= COST.least && cost <= COST.most) return
  throw new KeystrataError('limit-exceeded', `the bcrypt cost of a verifier must be ${COST.least} to ${COST.most}`, {
    cost,
  })
}

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
 * @throws KeystrataError `limit-exceeded` if the password is empty or over 1,024 characters
 * @throws TypeError if the password is not well-formed text
 * @example
 * ```ts
 * import { hashPassword } from 'keystrata/server'
 *
 * const stored = await hashPassword('a password of the service itself')
 * console.log(stored.startsWith('$argon2id$v=19$')) // true
 * ```
 */
export async function hashPassword(password: string): Promise<string> {
  if (typeof password === 'string' && password.length > MAX_PASSWORD_CHARACTERS) {
    throw new KeystrataError('limit-exceeded', 'the password is longer than 1,024 characters', {
      characters: password.length,
    })
  }
  const salt = randomBytes(SALT_BYTES)
  const { iterations, memoryKiB, lanes } = DEFAULT_ARGON2_COSTS
  const hash = await argon2id(password, salt, DEFAULT_ARGON2_COSTS, {}, HASH_BYTES)
  const costs = `m=${memoryKiB},t=${iterations},p=${lanes}`
  return `$argon2id$v=19$${costs}$${toBase64(salt)}$${toBase64(hash)}`
}

/**
 * Checks a password against a hash from {@link hashPassword} or from any other software that writes Argon2id PHC
 * strings. This normalises the password first (NFC, plain spaces) and other software may not, so a foreign hash matches
 * only if the password was already in that form.
 * @param hash the stored hash; undefined for an unknown user, which takes the time of a hash at the default costs and
 *   returns false
 * @param password what the user typed. An empty, too long or ill-formed password returns false
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
  if (password === '' || password.length > MAX_PASSWORD_CHARACTERS || !password.isWellFormed()) return false
  const found = await argon2id(password, stored.salt, stored, {}, stored.hash.length)
  return equalBytes(found, stored.hash) && known !== undefined
}

const nobody = (): StoredHash => ({
  ...DEFAULT_ARGON2_COSTS,
  salt: new Uint8Array(SALT_BYTES),
  hash: new Uint8Array(HASH_BYTES),
})

function parseHash(text: string): StoredHash {
  if (typeof text !== 'string') throw new TypeError('hash must be a string')
  const found = /^\$([a-z\d-]{1,32})\$v=(\d+)\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z\d+/]+)\$([A-Za-z\d+/]+)$/.exec(text)
  if (found === null)
    throw new KeystrataError('malformed', 'invalid password hash: it must be an Argon2 hash in the PHC string format')
  const [, algorithm, version, memory, iterations, lanes, saltText = '', hashText = ''] = found
  if (algorithm !== 'argon2id' || version !== '19') {
    throw new KeystrataError('unsupported', 'unsupported password hash: it must be Argon2id version 19 (0x13)')
  }
  const [salt, hash] = [fromBase64(saltText), fromBase64(hashText)]
  if (salt === undefined || hash === undefined)
    throw new KeystrataError('malformed', 'invalid password hash: its salt or hash is not base64')
  if (salt.length < 8 || salt.length > 64 || hash.length < 16 || hash.length > 64) {
    throw new KeystrataError(
      'limit-exceeded',
      'invalid password hash: the salt must have 8 to 64 bytes and the hash 16 to 64',
    )
  }
  return { iterations: Number(iterations), memoryKiB: Number(memory), lanes: Number(lanes), salt, hash }
}
