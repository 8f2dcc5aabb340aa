// What a server puts between its users' sessions and their stores (SPEC §13.3). It needs no key: a profile's identity signs
// records and keyrings, so a session with a stolen credential can neither forge nor destroy them. Logs are protected less.
// A server cannot verify the MACs of their records, so a thief can add records that do not open. Readers report those as
// damage. Keyrings that lie in another place, with credentials of its own, are not protected.
import { bytesFrom, copyOf, equalBytes, toHex } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { Suite } from '../core/suite.ts'
import { CheckedStore, StoreMistake } from '../state/checked.ts'
import { assertVersion, KEYRING_NAME, PROFILE_NAME } from '../state/name.ts'
import { NO_ID, parseRecord } from '../state/record-layout.ts'
import { repeatedly } from '../state/settle.ts'
import type { StateStore } from '../state/store.ts'
import { isSignedBy, type ParsedKeyring, parseKeyring, previousOf } from '../vault/keyring.ts'
import { assertFollows, type ParsedProfile, readProfileRecord } from '../vault/profile-record.ts'
import { dropBelow, readRecordBelow, readStoredRecord, type StoredRecord } from '../vault/stored-profile.ts'
import { readKeyring } from '../vault/stored-vault.ts'
import { clearFormerVerifiers, hasVerifierFor } from './credential.ts'

/**
 * Guards the store of one user. Put it between every session and the store, on the server. Sessions may read and write
 * the profile, the keyrings and the logs; every other name is refused, the verifiers of passwords above all. A profile or
 * a keyring is taken only if its owner, or the admin in the stored profile, has signed it as the next one. A profile
 * under another password is taken only once the verifier of that password is there (`saveCredential`). A record of a log
 * is taken only if it names a vault of the stored profile. Nothing can be dropped: the guard itself drops what is not
 * needed any more.
 *
 * So anyone who stole a credential can log in and read what the server stores, but cannot lose or change what the user, or
 * the admin, can see. They can add records that do not open to logs, which readers report. Let a new login be confirmed by a
 * second factor if you can, and limit how much a session may write.
 * @param store the store of that user; use `prefixed` if it holds several
 * @returns a store that does nothing when it is asked to drop. Its `write` throws KeystrataErrors: `policy` for a name
 *   that is refused, a record that nobody was entitled to sign, a missing verifier, or a log of another vault; `conflict` for a record or keyring
 *   that is not the next one; `malformed`, `unsupported`, `limit-exceeded`, `authentication-failed` for one that is invalid;
 *   `missing` for a keyring or a log without a profile
 * @throws TypeError if `store` is not a StateStore
 * @example
 * ```ts
 * import { guardProfiles } from 'keystrata/server'
 * import { prefixed, type StateStore } from 'keystrata/stores'
 * import { serveStateStore } from 'keystrata/stores/http'
 *
 * // `user` is the id of the user who is logged in.
 * function answer(store: StateStore, user: string, request: Request) {
 *   return serveStateStore(guardProfiles(prefixed(store, `user/${user}/`)), request)
 * }
 * ```
 */
export function guardProfiles(store: StateStore): StateStore {
  const checked = new CheckedStore(store)
  return {
    async read(name) {
      assertAllowed(name)
      return checked.read(name)
    },
    async readVersion(name, version) {
      assertAllowed(name)
      return checked.readVersion(name, version)
    },
    ...(store.readVersions !== undefined && {
      readVersions(name: string, from: number) {
        assertAllowed(name)
        return checked.readVersions(name, from) as AsyncGenerator<{ version: number; bytes: Uint8Array }>
      },
    }),
    async write(name, version, bytes) {
      assertAllowed(name)
      assertVersion(version)
      if (name === PROFILE_NAME) return writeProfile(checked, version, bytes)
      if (name.startsWith(KEYRING_NAME)) return writeKeyring(checked, name, version, bytes)
      return writeLog(checked, name, version, bytesFrom(bytes, 'record'))
    },
    async drop(name) {
      assertAllowed(name)
    },
  }
}

/** The names of keyrings and logs (SPEC §6.1). */
const ALLOWED = /^(?:keyring\/[\da-f]{32}|log\/[\da-f]{32}(?:\/\d{1,10})?)$/
/** The name of the pointer of a log. The names of its records have a number behind it. */
const POINTER = /^log\/[\da-f]{32}$/

/**
 * Checks that sessions may use an object of this name.
 * @throws KeystrataError `policy`. It does not repeat the name, because the name of a verifier is a secret
 */
function assertAllowed(name: string): void {
  if (name === PROFILE_NAME || ALLOWED.test(name)) return
  throw new KeystrataError('policy', 'sessions may only use the objects profile, keyring/<vault id> and log/<log id>', {
    rule: 'guarded-name',
  })
}

/** Writes a record if it may follow the effective one, and then tidies up. */
async function writeProfile(store: CheckedStore, version: number, bytes: Uint8Array): Promise<boolean> {
  const next = readProfileRecord(bytes)
  const stored = await untilNotRefused(() => readAllowing(store, version, next))
  if ((stored?.version ?? 0) !== version - 1) {
    // A repeated request may be the answer to a lost one. Then the tidying may have been lost too.
    if (stored?.version === version) await tidy(store, stored)
    return false
  }
  if (!(await store.write(PROFILE_NAME, version, next.bytes))) return false
  await tidy(store, { version, at: version, record: next })
  return true
}

/**
 * Reads the effective record. If `version` is the next one, checks that `next` may be written there.
 * @throws KeystrataError `policy` if the password of `next` is a new one and has no verifier. It may also have been cleared
 *   because another record was written meanwhile, which the next reading shows
 * @throws KeystrataError as {@link assertFollows}
 */
async function readAllowing(
  store: CheckedStore,
  version: number,
  next: ParsedProfile,
): Promise<StoredRecord | undefined> {
  const stored = await readStoredRecord(store)
  if ((stored?.version ?? 0) !== version - 1) return stored
  if (stored !== undefined) assertFollows(next, stored.record)
  const isSame = stored !== undefined && equalBytes(stored.record.header.keyId, next.header.keyId)
  if (isSame || (await hasVerifierFor(store, next))) return stored
  throw new KeystrataError('policy', 'the password of this profile has no verifier: save its credential first', {
    rule: 'verifier',
  })
}

/** Checks something that was read. A read may be late, so while this means a refusal, it reads again. */
async function untilNotRefused<T>(check: () => Promise<T>): Promise<T> {
  return repeatedly(
    check,
    (error) => error instanceof KeystrataError && (error.code === 'policy' || error.code === 'missing'),
  )
}

/**
 * Drops the records below the one that the newest follows, after it has cleared the verifiers of the passwords that they
 * were under. The newest record is stored already, so a store that fails now is no error: the next write tidies up again.
 */
async function tidy(store: CheckedStore, newest: StoredRecord): Promise<void> {
  try {
    const kept = await clearFormerVerifiers(store, newest)
    await dropBelow(store, PROFILE_NAME, kept)
  } catch (error) {
    if (error instanceof StoreMistake) throw error
  }
}

/** Writes a keyring if the identity of the profile has signed it as the next one. */
async function writeKeyring(store: CheckedStore, name: string, version: number, given: Uint8Array): Promise<boolean> {
  const bytes = copyOf(bytesFrom(given, 'keyring'))
  const next = parseKeyring(bytes)
  const vaultId = name.slice(KEYRING_NAME.length)
  if (toHex(next.header.ownerId) !== vaultId) {
    throw new KeystrataError('policy', 'this keyring belongs to another vault than its name says', {
      rule: 'own-vault',
    })
  }
  const before = await readKeyring(store, vaultId)
  if ((before?.version ?? 0) !== version - 1) return false
  if (!(await untilNotRefused(() => isOwners(store, next)))) return false
  assertNextKeyring(next, before?.keyring)
  if (!(await store.write(name, version, bytes))) return false
  if (next.wraps.length === 1) await dropBelow(store, name, version)
  return true
}

/**
 * Writes a record of a log if it names a vault of the profile. Otherwise a thief could begin a log under an id of their
 * own, and the first record of a log decides whose it is. The pointer of a log is only a hint, so it is not checked.
 */
async function writeLog(store: CheckedStore, name: string, version: number, bytes: Uint8Array): Promise<boolean> {
  if (!POINTER.test(name)) {
    // The id of the log only matters for the MAC.
    const { header } = parseRecord(bytes, NO_ID)
    const foreign = () =>
      new KeystrataError('policy', 'this record belongs to no vault of the stored profile', { rule: 'own-vault' })
    // No profile can make this right.
    if (header.suite.id !== Suite.vaultRecord.id) throw foreign()
    await untilNotRefused(async () => {
      const { vaults } = (await storedProfile(store, 'its logs')).record
      if (!vaults.some(({ id }) => equalBytes(id, header.ownerId))) throw foreign()
    })
  }
  return store.write(name, version, bytes)
}

/** @throws KeystrataError `missing` if there is no profile */
async function storedProfile(store: CheckedStore, before: string): Promise<StoredRecord> {
  const stored = await readStoredRecord(store)
  if (stored !== undefined) return stored
  throw new KeystrataError('missing', `there is no profile: save it before ${before}`, { object: PROFILE_NAME })
}

/**
 * Returns whether the identity of the profile has signed a keyring. Returns false if it was the identity of the record
 * below: then a device has read too early, and reads again.
 * @throws KeystrataError `policy` if another identity has signed it; `missing` if there is no profile
 */
async function isOwners(store: CheckedStore, keyring: ParsedKeyring): Promise<boolean> {
  const stored = await storedProfile(store, 'its keyrings')
  if (isSignedBy(stored.record.identity, keyring)) return true
  const below = await readRecordBelow(store, stored.version - 1)
  if (below !== undefined && isSignedBy(below.identity, keyring)) return false
  throw new KeystrataError('policy', 'the identity of the stored profile has not signed this keyring', {
    rule: 'identity',
  })
}

/** @throws KeystrataError `conflict` if a keyring is not the next one, such as an old one that somebody repeats */
function assertNextKeyring({ version, previous }: ParsedKeyring, before: ParsedKeyring | undefined): void {
  if (before === undefined) return
  const expected = before.version + 1
  if (version === expected && equalBytes(previous, previousOf(before.bytes))) return
  const message = `keyring version ${version} does not follow the stored one, ${before.version}: read it again`
  throw new KeystrataError('conflict', message, { object: 'keyring', version, expected })
}
