// Verifiers of login credentials: bcrypt over the SHA-512 hash of the login key (SPEC §12.2). A server never stores a key.
// A wrong credential and an unknown user get the same answer at the same cost. Not protected: the text that bcrypt gets
// is as secret as the password, and it cannot be wiped.
import { fromBase64Url, toBase64, wipe } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import type { Rules } from '../core/options.ts'
import { sha512 } from '../primitives/hash.ts'
import { compareHere, hashHere } from './bcrypt-here.ts'
import { hashQueue, ifThereIsRoom } from './hash-queue.ts'

/**
 * An implementation of bcrypt that the product supplies, because a native one is faster. The packages `bcrypt` 6 and
 * `@node-rs/bcrypt` 1 are such implementations as they are. `@node-rs/bcrypt` 2 takes the cost in an object: pass
 * `{ compare, hash: (password, cost) => hash(password, { cost }) }`. Both compute in libuv's threads (4, or
 * `UV_THREADPOOL_SIZE`), for which files and DNS wait too.
 * @example
 * ```ts
 * import { type Bcrypt, verifyCredential } from 'keystrata/server'
 * import type { StateStore } from 'keystrata/stores'
 *
 * // `bcrypt` is the package of that name: import bcrypt from 'bcrypt'
 * const logIn = (bcrypt: Bcrypt, store: StateStore, credential: string) =>
 *   verifyCredential(store, credential, { bcrypt })
 * ```
 */
export interface Bcrypt {
  /** Hashes with a random salt. The prefix `$2b$`, `$2a$` or `$2y$` makes no difference for the texts of this library. */
  hash(password: string, cost: number): Promise<string>
  /** Returns whether a hash is of this password. */
  compare(password: string, hash: string): Promise<boolean>
}

/**
 * How verifiers are computed.
 * @example
 * ```ts
 * import type { BcryptOptions } from 'keystrata/server'
 *
 * const options: BcryptOptions = { cost: 12 }
 * console.log(options.cost) // 12
 * ```
 */
export interface BcryptOptions {
  /** The bcrypt cost, 10 to 15, default 12. Each step doubles the time of a login, and of a thief's guess. */
  cost?: number | undefined
  /** Replaces bcryptjs, which computes in worker threads. */
  bcrypt?: Bcrypt | undefined
}

export const BCRYPT_OPTIONS: Rules<BcryptOptions> = { cost: 'optional', bcrypt: 'optional' }

/** The length of a credential: the 24 bytes of a login key in base64url. */
const CREDENTIAL_CHARACTERS = 32

const COST = { least: 10, most: 15, default: 12 }

/** bcrypt ignores everything after 72 characters. */
const BCRYPT_CHARACTERS = 72

/** What is hashed instead of an invalid credential. It is as long as the text of a credential, and not base64. */
const NOBODY = '.'.repeat(72)

/**
 * Creates the verifier of a credential: bcrypt over the SHA-512 hash of the login key. An attacker who steals it can guess
 * passwords; each guess costs PBKDF2 with 600,000 iterations, to which bcrypt adds little.
 * @param credential the `credential` of the client's login, as the client sends it, 32 characters
 * @returns 60 characters, `$2b$…`
 * @throws KeystrataError `malformed` if `credential` is not a credential
 * @throws KeystrataError `limit-exceeded` if the cost is not 10 to 15, or if 100 hashes of this process are not finished
 * @throws TypeError if `credential` is not a string, or if `bcrypt` is not such an implementation or returns no hash of
 *   this cost
 */
export async function createVerifier(credential: string, options: BcryptOptions = {}): Promise<string> {
  const { cost = COST.default } = options
  assertCost(cost)
  const bcrypt = bcryptOf(options)
  const password = assertCredential(credential)
  const hash: unknown = await ifThereIsRoom(() => bcrypt.hash(password, cost))
  return verifierOf(hash, cost)
}

/**
 * Checks a credential against a verifier. At most 4 checks run at once in one process, and the others wait in line.
 * @param verifier the stored verifier; undefined for an unknown user, which takes the same time and returns false
 * @param credential what the client sent. An invalid credential takes the same time and returns false
 * @param options `cost`: the cost for an unknown user
 * @returns whether the credential matches
 * @throws KeystrataError `malformed` if `verifier` is not a verifier
 * @throws KeystrataError `limit-exceeded` if a cost is not 10 to 15, or if 100 hashes of this process are not finished
 * @throws TypeError if `verifier` or `credential` is not a string, or if `bcrypt` is not such an implementation or
 *   returns no boolean
 */
export async function matchesVerifier(
  verifier: string | undefined,
  credential: string,
  options: BcryptOptions = {},
): Promise<boolean> {
  const { cost = COST.default } = options
  assertCost(cost)
  const bcrypt = bcryptOf(options)
  // Databases return null for a missing row.
  const known = verifier ?? undefined
  const compared = known ?? `$2b$${cost}$${'.'.repeat(53)}`
  assertVerifier(compared)
  const password = bcryptPassword(credential)
  const matches: unknown = await ifThereIsRoom(() => bcrypt.compare(password ?? NOBODY, compared))
  if (typeof matches !== 'boolean') throw new TypeError('bcrypt.compare must return a promise of true or false')
  return matches && password !== undefined && known !== undefined
}

/**
 * Checks the form of a credential, and returns what bcrypt gets.
 * @throws KeystrataError `malformed` if it is not a credential
 * @throws TypeError if it is not a string
 */
export function assertCredential(credential: string): string {
  const password = bcryptPassword(credential)
  if (password !== undefined) return password
  throw new KeystrataError('malformed', 'invalid credential: it must be 32 characters of base64url', {
    object: 'credential',
    characters: credential.length,
  })
}

/** bcryptjs in worker threads. */
const inThreads: Bcrypt = {
  hash: (password, cost) => hashQueue().run({ task: 'hash', password, cost }, () => hashHere(password, cost)),
  compare: (password, hash) => hashQueue().run({ task: 'compare', password, hash }, () => compareHere(password, hash)),
}

function bcryptOf({ bcrypt = inThreads }: BcryptOptions): Bcrypt {
  const given = bcrypt as Partial<Bcrypt> | null
  if (typeof given?.hash === 'function' && typeof given.compare === 'function') return bcrypt
  throw new TypeError('bcrypt must have the methods hash and compare')
}

/**
 * Returns what an implementation answered as a verifier. The prefixes `$2a$`, `$2b$` and `$2y$` name the same algorithm
 * for texts of at most 72 ASCII characters, but some implementations refuse `$2y$`.
 */
function verifierOf(hash: unknown, cost: number): string {
  const found = typeof hash === 'string' ? /^\$2[aby](\$(\d\d)\$[./A-Za-z\d]{53})$/.exec(hash) : null
  if (found !== null && Number(found[2]) === cost) return `$2b${found[1]}`
  throw new TypeError(`bcrypt.hash must return a promise of a bcrypt hash of 60 characters, of cost ${cost}`)
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

/**
 * Checks the form of a verifier.
 * @throws KeystrataError `malformed`, or `limit-exceeded` if its cost is not 10 to 15
 */
export function assertVerifier(verifier: string): void {
  if (typeof verifier !== 'string') throw new TypeError('verifier must be a string')
  const found = /^\$2b\$(\d\d)\$[./A-Za-z\d]{53}$/.exec(verifier)
  if (found === null)
    throw new KeystrataError('malformed', 'invalid verifier: it must be 60 characters of bcrypt, `$2b$…`', {
      object: 'verifier',
      characters: verifier.length,
    })
  assertCost(Number(found[1]))
}

function assertCost(cost: number): void {
  if (Number.isInteger(cost) && cost >= COST.least && cost <= COST.most) return
  throw new KeystrataError('limit-exceeded', `the bcrypt cost of a verifier must be ${COST.least} to ${COST.most}`, {
    cost,
  })
}
