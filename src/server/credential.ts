// Logging users in (SPEC §12.2). The verifier of a password lies under the key id of its root key, as the profile's record
// names it. So a verifier is written before its record, and the effective record says which verifier is valid: no
// transaction is needed, and no moment exists in which neither password works. Not protected: weak passwords. A key id
// lets anyone test passwords at the cost of PBKDF2 alone, so the names of these objects must not get into URLs or logs.
import { type Bytes, EMPTY, equalBytes, toHex, utf8 } from '../core/bytes.ts'
import { bytes, type Codec, decode, encode, struct, version } from '../core/codec.ts'
import { KeystrataError } from '../core/errors.ts'
import { generateSigningPair } from '../core/key-pairs.ts'
import { optionsFrom } from '../core/options.ts'
import { randomBytes } from '../primitives/random.ts'
import { isSignatureOf, sign } from '../primitives/signature.ts'
import { CheckedStore, StoreMistake } from '../state/checked.ts'
import { loginName, PROFILE_NAME } from '../state/name.ts'
import { repeatedly, writeSettled } from '../state/settle.ts'
import type { StateStore } from '../state/store.ts'
import { previousOf } from '../vault/keyring.ts'
import { assertFollows, type ParsedProfile, readProfileRecord } from '../vault/profile-record.ts'
import {
  dropBelow,
  readRecordBelow,
  readStoredRecord,
  type StoredRecord,
  untilWritten,
} from '../vault/stored-profile.ts'
import {
  assertCredential,
  assertVerifier,
  BCRYPT_OPTIONS,
  type BcryptOptions,
  createVerifier,
  matchesVerifier,
} from './bcrypt.ts'

/** The object of a password. It is empty once the password is a former one. */
interface StoredLogin {
  /** The version of the record that the verifier was written for. */
  readonly record: number
  /** 60 ASCII characters. */
  readonly verifier: Uint8Array
}

const storedLogin: Codec<StoredLogin> = struct({ record: version, verifier: bytes(60) })

/** The object of a password as it was read, and its version in the store; 0 if there is none. */
interface FoundLogin {
  readonly version: number
  readonly record: number
  /** Undefined if there is none, or it was cleared. */
  readonly verifier: string | undefined
}

async function readLogin(store: CheckedStore, keyId: Uint8Array): Promise<FoundLogin> {
  const found = await store.read(loginName(toHex(keyId)))
  if (found === undefined || found.bytes.length === 0) {
    return { version: found?.version ?? 0, record: 0, verifier: undefined }
  }
  try {
    const { record, verifier } = decode(storedLogin, found.bytes, 'verifier')
    const text = String.fromCharCode(...verifier)
    assertVerifier(text)
    return { version: found.version, record, verifier: text }
  } catch (error) {
    // Damage in the server's own database is not a client's error.
    throw new Error('the verifier of a password is damaged: restore it from a backup of the database', { cause: error })
  }
}

/** Writes the next version of a password's object. Returns whether it is stored. */
async function writeLogin(store: CheckedStore, keyId: Uint8Array, after: number, login: Bytes): Promise<boolean> {
  return (await writeSettled(store, loginName(toHex(keyId)), after + 1, login)) === 'written'
}

/**
 * Saves the credential of a new password: its verifier, which is bcrypt over the SHA-512 hash of the L-key. Call it on
 * the server, before the profile with the new password is saved, and again if that was a `conflict`. Until the profile is
 * saved, the old password stays valid. The session that sends the record must be logged in as this user, or as the admin
 * who resets the password; at sign-up, the product decides who may.
 * @param store the store of this user, not the guarded one; use `prefixed` if it holds several
 * @param record the record of the profile that is to be saved next, or the first one
 * @param credential the `credential` of the login that the record is under, 32 characters, as the client sends it
 * @param options `cost`: the bcrypt cost, 10 to 15, default 12. Use one cost for all users, because response times would
 *   otherwise show which users exist. `bcrypt`: a native implementation, see {@link Bcrypt}
 * @throws KeystrataError `conflict` if the record is not the next one, or another credential is stored for its password
 * @throws KeystrataError `policy` if nobody was entitled to sign the record, it is another profile, or it turns zero trust
 *   off
 * @throws KeystrataError `malformed` if `credential` is not a credential
 * @throws KeystrataError `malformed`, `unsupported`, `authentication-failed` if `record` is not a profile that its
 *   identity signed
 * @throws KeystrataError `limit-exceeded` if the record is too large, the cost is not 10 to 15, or too many hashes of this
 *   process are not finished
 * @throws TypeError if an argument has another type, or the store returns an invalid answer; the store's own errors
 * @throws TypeError for an unknown option
 * @example
 * ```ts
 * import { guardProfiles, saveCredential } from 'keystrata/server'
 * import type { StateStore } from 'keystrata/stores'
 *
 * // `store` is the store of the user who signs up.
 * async function signUp(store: StateStore, record: Uint8Array, credential: string) {
 *   await saveCredential(store, record, credential)
 *   return guardProfiles(store).write('profile', 1, record) // false: another request was quicker
 * }
 * ```
 */
export async function saveCredential(
  store: StateStore,
  record: Uint8Array,
  credential: string,
  options?: BcryptOptions,
): Promise<void> {
  const bcryptOptions = optionsFrom(options, BCRYPT_OPTIONS, 'saveCredential')
  const checked = new CheckedStore(store)
  const next = readProfileRecord(record)
  assertCredential(credential)
  await repeatedly(
    async () => {
      const stored = await readStoredRecord(checked)
      if (stored !== undefined) assertFollows(next, stored.record)
    },
    // The read may have been late: the record follows one that it did not show.
    (error) => error instanceof KeystrataError && error.code === 'conflict',
  )
  const { keyId } = next.header
  let created: string | undefined
  await untilWritten(async () => {
    const { version, record: saved, verifier } = await readLogin(checked, keyId)
    if (verifier !== undefined && !(await matchesVerifier(verifier, credential, bcryptOptions))) {
      throw new KeystrataError('conflict', 'another credential is stored for this password', { object: 'credential' })
    }
    if (verifier !== undefined && saved >= next.version) return true
    const login = encodeLogin(next.version, verifier ?? (created ??= await createVerifier(credential, bcryptOptions)))
    return (await writeLogin(checked, keyId, version, login)) || undefined
  })
}

const encodeLogin = (record: number, verifier: string): Bytes =>
  encode(storedLogin, { record, verifier: utf8(verifier) })

/**
 * Checks the credential of a user who logs in. A wrong credential and an unknown user get the same answer after the same
 * time: the same requests to the store, and one bcrypt. Times still differ by some milliseconds for a profile with many
 * vaults, and for a verifier of another cost until its user logs in.
 *
 * Each call costs about 0.23 s of a processor (cost 12). So limit how often each user and each address may try before you
 * call this, for example with a token bucket for each, and answer HTTP 429 beyond it. Do not lock accounts: that lets an
 * attacker lock out the victim.
 * @param store the store of this user, not the guarded one; use `prefixed` if it holds several. Its reads must be fresh:
 *   while a read is late, the former password is still valid
 * @param credential what the client sent. Anything that is not a credential takes the same time and returns false
 * @param options `cost`: the bcrypt cost that you pass to {@link saveCredential}. A verifier of another cost is replaced
 *   when its user logs in. `bcrypt`: a native implementation, see {@link Bcrypt}
 * @returns whether the credential is the one of the stored profile's password
 * @throws KeystrataError `limit-exceeded` if the cost is not 10 to 15, or too many hashes of this process are not finished:
 *   then answer HTTP 429 or 503
 * @throws KeystrataError `malformed`, `unsupported`, `authentication-failed` if the stored profile is damaged
 * @throws Error if the stored verifier is damaged
 * @throws TypeError if `credential` is not a string, or the store returns an invalid answer; the store's own errors
 * @throws TypeError for an unknown option
 * @example
 * ```ts
 * import { verifyCredential } from 'keystrata/server'
 * import { prefixed, type StateStore } from 'keystrata/stores'
 *
 * // `user` is the product's own id for the name that was typed, or an unused id if there is no such user.
 * async function logIn(store: StateStore, user: string, credential: string) {
 *   return (await verifyCredential(prefixed(store, `user/${user}/`), credential)) ? 200 : 401
 * }
 * ```
 */
export async function verifyCredential(
  store: StateStore,
  credential: string,
  options?: BcryptOptions,
): Promise<boolean> {
  const bcryptOptions = optionsFrom(options, BCRYPT_OPTIONS, 'verifyCredential')
  const checked = new CheckedStore(store)
  const stored = await readStoredRecord(checked)
  // A record is verified together with the one below it. If there is none, the same work is done anyway, because the time
  // would tell.
  if (stored === undefined || stored.version === 1) await pretend(checked, stored === undefined ? 2 : 1)
  if (stored === undefined) {
    await checked.read(loginName('0'.repeat(32)))
    return matchesVerifier(undefined, credential, bcryptOptions)
  }
  const { keyId } = stored.record.header
  const found = await readLogin(checked, keyId)
  if (!(await matchesVerifier(found.verifier, credential, bcryptOptions))) return false
  await renewVerifier(checked, keyId, found, credential, bcryptOptions)
  return true
}

/** Reads a record below, and verifies as many signatures of somebody who does not exist as a profile has records. */
async function pretend(store: CheckedStore, records: number): Promise<void> {
  await store.readVersion(PROFILE_NAME, 1)
  // In turn, because verifying with the same key again is faster.
  nobodies ??= [nobody(), nobody()]
  nobodies.reverse()
  for (let record = 0; record < records; record++) nobodies[0]()
}

/** Each verifies a signature. */
let nobodies: [() => boolean, () => boolean] | undefined

function nobody(): () => boolean {
  const { seed, publicKey } = generateSigningPair()
  using _ = seed
  const message = randomBytes(1000)
  const signature = sign(seed, message)
  return () => isSignatureOf(publicKey, message, signature)
}

/** Replaces a verifier that has another cost than the caller asks for. If that fails, the next login tries again. */
async function renewVerifier(
  store: CheckedStore,
  keyId: Uint8Array,
  { version, record, verifier }: FoundLogin,
  credential: string,
  options: BcryptOptions,
): Promise<void> {
  const { cost } = options
  if (cost === undefined || verifier === undefined || Number(verifier.slice(4, 6)) === cost) return
  try {
    await writeLogin(store, keyId, version, encodeLogin(record, await createVerifier(credential, options)))
    await dropBelow(store, loginName(toHex(keyId)), version + 1)
  } catch (error) {
    if (error instanceof StoreMistake) throw error
  }
}

/** Returns whether the password of a record has a verifier that was saved for this record, or for a later one. */
export async function hasVerifierFor(store: CheckedStore, { header, version }: ParsedProfile): Promise<boolean> {
  const { record, verifier } = await readLogin(store, header.keyId)
  return verifier !== undefined && record >= version
}

/** How many versions above the newest record's predecessor may be damaged, or not count. */
const MAX_SKIPPED = 8

/**
 * Clears the verifiers of former passwords: of those that only records below the predecessor of the newest one are under.
 * The predecessor stays, and counts if the newest record is damaged, so its password keeps its verifier. A verifier that
 * was saved for a later record stays too: that record may still be written.
 * @returns the version of the predecessor, below which nothing is needed any more; 1 if it was not found
 */
export async function clearFormerVerifiers(store: CheckedStore, { at, record }: StoredRecord): Promise<number> {
  const lowest = Math.max(1, at - MAX_SKIPPED)
  for (let version = at - 1; version >= lowest; version--) {
    const predecessor = await readRecordBelow(store, version)
    if (predecessor === undefined || !equalBytes(previousOf(predecessor.bytes), record.previous)) continue
    const kept = [record, predecessor].map(({ header }) => header.keyId)
    for (let below = version - 1; below >= lowest; below--) {
      const former = (await readRecordBelow(store, below))?.header.keyId
      if (former === undefined) break
      if (!kept.some((keyId) => equalBytes(keyId, former))) await clearVerifier(store, former, record.version)
    }
    return version
  }
  return 1
}

/** Makes the object of a password empty, unless its verifier was saved for a record of a higher version. */
async function clearVerifier(store: CheckedStore, keyId: Uint8Array, newest: number): Promise<void> {
  const { version, record, verifier } = await readLogin(store, keyId)
  if (verifier === undefined || record > newest) return
  if (await writeLogin(store, keyId, version, EMPTY)) await dropBelow(store, loginName(toHex(keyId)), version + 1)
}
