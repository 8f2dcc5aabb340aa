// What a server keeps to recognise who logs in (SPEC §8.2), and never a key: a verifier of the login key, or the hash of a
// password of its own. One answer and one cost for a wrong secret and for a user who does not exist. Each call costs the
// server what it would cost a guesser, so limit how many run at once: bcrypt 0.3 s of the event loop's time, Argon2 64 MiB.
import { hash as bcryptHash, compare, genSalt, getRounds } from 'bcryptjs'
import { equalBytes, fromBase64, fromBase64Url, toBase64, wipe } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { type Argon2Costs, hashPassword as argon2id, DEFAULT_ARGON2_COSTS } from '../core/password.ts'
import { sha512 } from '../primitives/hash.ts'
import { randomBytes } from '../primitives/random.ts'

/** base64url of the 24 bytes of a login key. */
const CREDENTIAL_CHARACTERS = 32

const COST = { least: 10, most: 15, default: 12 }

/** What bcrypt takes. */
const BCRYPT_CHARACTERS = 72

/** A verifier that nobody has the credential of: an unknown user costs what a known one does. */
const DUMMY_VERIFIER = `$2b$${COST.default}$${'.'.repeat(53)}`

/**
 * The verifier of a credential: bcrypt over SHA-512 of the login key. Store it with the user; who steals it guesses
 * passwords at the cost of PBKDF2 with 600,000 iterations, to which bcrypt adds little.
 * @param credential as the client sends it: the `credential` of its login, 32 characters
 * @param options `cost`: bcrypt's, 10 to 15, by default 12. Keep one for all users: it shows who exists
 * @returns 60 characters, `$2b$…`
 * @throws KeystrataError `malformed` for a credential that is none; `limit-exceeded` for another cost
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
  if (password === undefined) throw new KeystrataError('malformed', 'not a credential')
  return bcryptHash(password, await genSalt(cost))
}

/**
 * Whether a credential is the one of a verifier.
 * @param verifier undefined for an unknown user: the same time, and false
 * @throws KeystrataError `malformed` for a verifier that is none; `limit-exceeded` for one of a cost outside 10 to 15
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
  // Databases say null.
  const known = verifier ?? undefined
  const compared = known ?? DUMMY_VERIFIER
  assertVerifier(compared)
  const password = bcryptPassword(credential)
  const matches = await compare(password ?? '', compared)
  return matches && password !== undefined && known !== undefined
}

/** base64(SHA-512(L)), cut to what bcrypt takes: the raw digest could hold a NUL, at which bcrypt would stop. */
function bcryptPassword(credential: string): string | undefined {
  if (typeof credential !== 'string') throw new TypeError('credential must be a string')
  // By its length first: it comes from the network, and may be of any.
  const loginKey = credential.length === CREDENTIAL_CHARACTERS ? fromBase64Url(credential) : undefined
  if (loginKey === undefined) return undefined
  const digest = sha512(loginKey)
  const password = toBase64(digest).slice(0, BCRYPT_CHARACTERS)
  wipe(loginKey, digest)
  return password
}

function assertVerifier(verifier: string): void {
  if (typeof verifier !== 'string') throw new TypeError('verifier must be a string')
  if (!/^\$2b\$\d\d\$[./A-Za-z\d]{53}$/.test(verifier)) throw new KeystrataError('malformed', 'not a verifier')
  assertCost(getRounds(verifier))
}

function assertCost(cost: number): void {
  if (Number.isInteger(cost) && cost >= COST.least && cost <= COST.most) return
  throw new KeystrataError('limit-exceeded', `the cost of a verifier is ${COST.least} to ${COST.most}`, { cost })
}

const SALT_BYTES = 16

const HASH_BYTES = 32

const MAX_PASSWORD_CHARACTERS = 1024

/** Argon2id of a password as it is stored: the PHC string format. */
interface StoredHash extends Argon2Costs {
  readonly salt: Uint8Array
  readonly hash: Uint8Array
}

/**
 * The hash of a service's own password, for {@link verifyPassword}: Argon2id, 64 MiB, 3 iterations, 4 lanes.
 * @param password 1 to 1,024 characters
 * @returns a PHC string, `$argon2id$v=19$m=65536,t=3,p=4$…`
 * @throws KeystrataError `limit-exceeded` for an empty or longer password
 * @throws TypeError for a password that is not well-formed text
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
    throw new KeystrataError('limit-exceeded', 'the password is too long', { characters: password.length })
  }
  const salt = randomBytes(SALT_BYTES)
  const { iterations, memoryKiB, lanes } = DEFAULT_ARGON2_COSTS
  const hash = await argon2id(password, salt, DEFAULT_ARGON2_COSTS, {}, HASH_BYTES)
  const costs = `m=${memoryKiB},t=${iterations},p=${lanes}`
  return `$argon2id$v=19$${costs}$${toBase64(salt)}$${toBase64(hash)}`
}

/**
 * Whether a password is the one of a hash, by {@link hashPassword} or any other writer of Argon2id PHC strings: of
 * passwords in NFC with plain spaces only, because others hash what they are given, and this what it becomes in that form.
 * @param hash undefined for an unknown user: the time of a hash at the default costs, and false
 * @throws KeystrataError `malformed` for what is no such hash; `unsupported` for another algorithm or version;
 *   `limit-exceeded` for costs beyond those of SPEC §1.6
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
  // What no hash was ever made of: it comes from the network too.
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
  if (found === null) throw new KeystrataError('malformed', 'not a PHC string of Argon2')
  const [, algorithm, version, memory, iterations, lanes, saltText = '', hashText = ''] = found
  if (algorithm !== 'argon2id' || version !== '19') {
    throw new KeystrataError('unsupported', 'only Argon2id version 19 (0x13) is known here')
  }
  const [salt, hash] = [fromBase64(saltText), fromBase64(hashText)]
  if (salt === undefined || hash === undefined) throw new KeystrataError('malformed', 'not base64')
  if (salt.length < 8 || salt.length > 64 || hash.length < 16 || hash.length > 64) {
    throw new KeystrataError('limit-exceeded', 'salts have 8 to 64 bytes here, hashes 16 to 64')
  }
  return { iterations: Number(iterations), memoryKiB: Number(memory), lanes: Number(lanes), salt, hash }
}
