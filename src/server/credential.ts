// Logging users in (SPEC §8.2). The verifier of a password lies under the key id of its root key, as the profile's record
// names it. So a verifier is written before its record, and the record that counts says which verifier is valid: no
// transaction is needed, and no moment exists in which neither password works. Not protected: weak passwords. A key id
// lets anyone test passwords at the cost of PBKDF2 alone, so the names of these objects must not get into URLs or logs.
import { type Bytes, EMPTY, equalBytes, toHex, utf8 } from '../core/bytes.ts'
import { bytes, type Codec, decode, encode, struct, version } from '../core/codec.ts'
import { KeystrataError } from '../core/errors.ts'
import { generateSigningPair } from '../core/key-pairs.ts'
import { SecretKey } from '../core/secret.ts'
import { randomBytes } from '../primitives/random.ts'
import { CheckedStore, StoreMistake } from '../state/checked.ts'
import { loginName, PROFILE_NAME } from '../state/name.ts'
import { writeSettled } from '../state/settle.ts'
import type { StateStore } from '../state/store.ts'
import { assertFollows, encodeProfile, type ParsedProfile, readProfileRecord } from '../vault/profile-record.ts'
import {
  dropBelow,
  readRecordBelow,
  readStoredRecord,
  type StoredRecord,
  untilWritten,
} from '../vault/stored-profile.ts'
import { type BcryptOptions, createVerifier, matchesVerifier } from './bcrypt.ts'

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
    return { version: found.version, record, verifier: String.fromCharCode(...verifier) }
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
 * @example
 * ```ts
 * import { guardProfiles, saveCredential } from 'keystrata/server'
 * import type { StateStore } from 'keystrata/stores'
 *
 * // `store` is the store of the user who is logged in, or signs up.
 * async function setPassword(store: StateStore, record: Uint8Array, credential: string) {
 *   await saveCredential(store, record, credential)
 *   const version = ((await store.read('profile'))?.version ?? 0) + 1
 *   return guardProfiles(store).write('profile', version, record) // false: somebody else was quicker
 * }
 * ```
 */
export async function saveCredential(
  store: StateStore,
  record: Uint8Array,
  credential: string,
  options: BcryptOptions = {},
): Promise<void> {
  const checked = new CheckedStore(store)
  const next = readProfileRecord(record)
  const stored = await readStoredRecord(checked)
  if (stored !== undefined) assertFollows(next, stored.record)
  const { keyId } = next.header
  let verifier: string | undefined
  await untilWritten(async () => {
    const found = await readLogin(checked, keyId)
    if (found.verifier === undefined) {
      verifier ??= await createVerifier(credential, options)
      return (await writeLogin(checked, keyId, found.version, encodeLogin(next.version, verifier))) || undefined
    }
    if (!(await matchesVerifier(found.verifier, credential, options))) {
      throw new KeystrataError('conflict', 'another credential is stored for this password')
    }
    if (found.record >= next.version) return true
    return (await writeLogin(checked, keyId, found.version, encodeLogin(next.version, found.verifier))) || undefined
  })
}

const encodeLogin = (record: number, verifier: string): Bytes =>
  encode(storedLogin, { record, verifier: utf8(verifier) })

/**
 * Checks the credential of a user who logs in. A wrong credential and an unknown user get the same answer after the same
 * time: the same requests to the store, and one bcrypt.
 *
 * Each call costs about 0.3 s of a processor (cost 12). So limit how often each user and each address may try before you
 * call this, for example with a token bucket for each, and answer HTTP 429 beyond it. Do not lock accounts: that lets an
 * attacker lock out the victim.
 * @param store the store of this user, not the guarded one; use `prefixed` if it holds several
 * @param credential what the client sent. Anything that is not a credential takes the same time and returns false
 * @param options `cost`: the bcrypt cost that you pass to {@link saveCredential}. A verifier of another cost is replaced
 *   when its user logs in. `bcrypt`: a native implementation, see {@link Bcrypt}
 * @returns whether the credential is the one of the stored profile's password
 * @throws KeystrataError `limit-exceeded` if the cost is not 10 to 15, or too many hashes of this process are not finished:
 *   then answer HTTP 429 or 503
 * @throws KeystrataError `malformed`, `unsupported`, `authentication-failed` if the stored profile is damaged
 * @throws Error if the stored verifier is damaged
 * @throws TypeError if `credential` is not a string, or the store returns an invalid answer; the store's own errors
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
  options: BcryptOptions = {},
): Promise<boolean> {
  const checked = new CheckedStore(store)
  const stored = await readStoredRecord(checked)
  if (stored === undefined) {
    await pretend(checked)
    return matchesVerifier(undefined, credential, options)
  }
  const { keyId } = stored.record.header
  const found = await readLogin(checked, keyId)
  if (!(await matchesVerifier(found.verifier, credential, options))) return false
  await renewVerifier(checked, keyId, found, credential, options)
  return true
}

/** Reads and computes for an unknown user what is read and computed for a known one. */
async function pretend(store: CheckedStore): Promise<void> {
  const record = (anybody ??= recordOfAnybody())
  await store.readVersion(PROFILE_NAME, 1)
  for (const each of [record, record]) readProfileRecord(each)
  await store.read(loginName('0'.repeat(32)))
}

let anybody: Bytes | undefined

/** Creates a record to verify in the place of one that is not there. */
function recordOfAnybody(): Bytes {
  const identity = generateSigningPair()
  using rootKey = SecretKey.take('root', randomBytes(24))
  using _ = identity.seed
  const id = randomBytes(16)
  return encodeProfile({ id, version: 1, identity, identityDue: false, admin: undefined, vaults: [] }, rootKey)
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

/**
 * Clears the verifiers of the passwords that the record before this one, and the one before that, were under. A verifier
 * that was saved for a later record stays: that record may still be written.
 */
export async function clearFormerVerifiers(store: CheckedStore, { version, record }: StoredRecord): Promise<void> {
  for (const below of [version - 1, version - 2]) {
    const former = await readRecordBelow(store, below)
    if (former !== undefined && !equalBytes(former.header.keyId, record.header.keyId)) {
      await clearVerifier(store, former.header.keyId, record.version)
    }
  }
}

/** Makes the object of a password empty, unless its verifier was saved for a record of a higher version. */
async function clearVerifier(store: CheckedStore, keyId: Uint8Array, newest: number): Promise<void> {
  const { version, record, verifier } = await readLogin(store, keyId)
  if (verifier === undefined || record > newest) return
  if (await writeLogin(store, keyId, version, EMPTY)) await dropBelow(store, loginName(toHex(keyId)), version + 1)
}
