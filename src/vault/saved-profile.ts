// Loading and saving a profile, and going back to an older record (SPEC §9.2, §9.4).
import { equalBytes, toHex } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { disposing } from '../core/secret.ts'
import { CheckedStore } from '../state/checked.ts'
import { pauseBeforeRetry } from '../state/compare-and-set.ts'
import { keyringName, PROFILE_NAME } from '../state/name.ts'
import { READS } from '../state/settle.ts'
import type { StateStore } from '../state/store.ts'
import { nextVersion, parseFloor } from '../state/version.ts'
import { type Login, ownerOf } from './login.ts'
import { insidesOf, openedProfile, type Profile, type ProfileInsides, sealedProfile } from './profile.ts'
import { anotherProfile, assertFollows, openProfileRecord, type VaultEntry } from './profile-record.ts'
import {
  dropBelow,
  presentRecord,
  readRecordAgain,
  readStoredRecord,
  type StoredRecord,
  TRIES,
  writeRecord,
} from './stored-profile.ts'
import { openWith } from './stored-vault.ts'

/**
 * Reads and opens the profile in a store: the object `profile`. A damaged newest version is skipped.
 * @param store the store of one user; use `prefixed` if it holds the profiles of several
 * @param options `atLeast`: the lowest revision to accept
 * @throws KeystrataError `missing` if the store has no profile
 * @throws KeystrataError `rollback` if the store still returns one that is older than `atLeast` after several reads
 * @throws KeystrataError `wrong-password`, `malformed`, `authentication-failed`, `unsupported`, `limit-exceeded`,
 *   `disposed` as for {@link openProfile}
 * @throws TypeError if `atLeast` is not a revision, `login` is not a login of this copy of the library, or the store
 *   returns an invalid answer; the store's own errors
 * @example
 * ```ts
 * import { memoryStateStore } from 'keystrata/stores'
 * import { createProfile, deriveLogin, loadProfile, saveProfile } from 'keystrata/vault'
 *
 * const store = memoryStateStore()
 * using login = await deriveLogin('correct horse', { realm: 'com.example.backup', user: 'user-4711' })
 * using created = createProfile(login, { zeroTrust: true })
 * await saveProfile(store, created)
 * using profile = await loadProfile(store, login, { atLeast: created.revision })
 * console.log(profile.revision) // 1
 * ```
 */
export async function loadProfile(
  store: StateStore,
  login: Login,
  options: { atLeast?: string } = {},
): Promise<Profile> {
  const atLeast = parseFloor(options)
  // Checked before the reads, so that a mistake of the program does not look like an empty store.
  ownerOf(login).rootKey.dispose()
  const find = (stored: StoredRecord | undefined) => presentRecord(stored, atLeast)
  const { record } = await readRecordAgain(new CheckedStore(store), find, atLeast > 0)
  return openedProfile(record, ownerOf(login))
}

/**
 * Stores a profile: if there is none, or behind the record that it was made from. Does nothing if it is stored already.
 * After a change of the password, save the credential first (`saveCredential` of `keystrata/server`).
 * @throws KeystrataError `conflict` if another device has stored something else meanwhile: load the profile and make the
 *   change again
 * @throws KeystrataError `policy` if the store has another profile, or a server refuses the record
 * @throws KeystrataError `malformed`, `unsupported`, `authentication-failed` if what is stored is not a profile
 * @throws KeystrataError `disposed` if this profile was disposed of
 * @throws TypeError if `profile` is not a profile from this copy of the library, or the store returns an invalid answer;
 *   the store's own errors. If it never answered a write, the message says that it may have happened: call this again
 * @example
 * ```ts
 * import type { StateStore } from 'keystrata/stores'
 * import { type Login, type Profile, saveProfile } from 'keystrata/vault'
 *
 * async function newPassword(
 *   store: StateStore,
 *   profile: Profile,
 *   next: Login,
 *   sendCredential: (record: Uint8Array, credential: string) => Promise<void>,
 * ) {
 *   using changed = profile.changePassword(next)
 *   await sendCredential(changed.record, next.credential) // the server calls saveCredential
 *   await saveProfile(store, changed)
 *   return changed.revision // to be kept, for `atLeast`
 * }
 * ```
 */
export async function saveProfile(store: StateStore, profile: Profile): Promise<void> {
  const checked = new CheckedStore(store)
  const insides = insidesOf(profile)
  for (let tries = 1; ; tries++) {
    const started = Date.now()
    const stored = await readStoredRecord(checked)
    if (stored !== undefined && equalBytes(stored.record.bytes, insides.parsed.bytes)) {
      await dropBelow(checked, PROFILE_NAME, stored.version - 1)
      return
    }
    if (isBehind(stored, insides, tries)) {
      if ((await writeRecord(checked, (stored?.version ?? 0) + 1, insides.parsed.bytes)) === 'written') return
    }
    if (tries === TRIES) throw overtaken(stored, insides)
    await pauseBeforeRetry(tries, Date.now() - started)
  }
}

/**
 * Returns whether a record goes behind what was read. Returns false if the read may have been late.
 * @throws KeystrataError `conflict` if it does not; `policy` for another profile
 */
function isBehind(stored: StoredRecord | undefined, insides: ProfileInsides, reads: number): boolean {
  const { parsed, follows } = insides
  // A first record can only follow nothing.
  if (stored === undefined) return follows === undefined || reads >= READS
  const { record } = stored
  if (!equalBytes(record.header.ownerId, parsed.header.ownerId)) throw anotherProfile()
  if (record.version < parsed.version - 1) {
    if (reads < READS) return false
    throw overtaken(stored, insides)
  }
  if (record.version >= parsed.version || (follows !== undefined && !equalBytes(record.bytes, follows))) {
    throw overtaken(stored, insides)
  }
  assertFollows(parsed, record)
  return true
}

function overtaken(stored: StoredRecord | undefined, { parsed }: ProfileInsides): KeystrataError {
  const message = 'the store has another profile than the one that this was made from: load it and change it again'
  const detail = { revision: String(parsed.version), stored: String(stored?.record.version ?? 0) }
  return new KeystrataError('conflict', message, detail)
}

/**
 * Goes back to an older record: returns its contents as a profile that follows what is stored. Save it as after a new
 * password: the credential first, if the record is under another password, and then the profile. Use it after a database
 * was restored, or to undo a change. The other devices refuse the result as `rollback` until they accept its revision.
 * @param profile the older record, opened with `openProfile`. It may also be newer than what is stored
 * @throws KeystrataError `policy` if a vault's keyring does not open with the keys in the record: it was rotated since.
 *   `detail.vaultId` says which
 * @throws KeystrataError `policy` if the stored profile has another identity, or is another profile
 * @throws KeystrataError `missing` if the store has no profile. Then save the old one as it is
 * @throws KeystrataError `malformed`, `unsupported`, `authentication-failed`, `limit-exceeded` if the store has something
 *   that is not a profile or not a keyring
 * @throws KeystrataError `disposed` if `profile` was disposed of
 * @throws TypeError if `profile` is not a profile from this copy of the library, or the store returns an invalid answer;
 *   the store's own errors
 * @example
 * ```ts
 * import type { StateStore } from 'keystrata/stores'
 * import { type Login, openProfile, restoreProfile, saveProfile } from 'keystrata/vault'
 *
 * async function goBack(store: StateStore, kept: Uint8Array, login: Login) {
 *   using old = openProfile(kept, login)
 *   using restored = await restoreProfile(store, old)
 *   await saveProfile(store, restored)
 *   return restored.revision // the new floor of every device
 * }
 * ```
 */
export async function restoreProfile(store: StateStore, profile: Profile): Promise<Profile> {
  const checked = new CheckedStore(store)
  const { parsed, owner } = insidesOf(profile)
  const contents = openProfileRecord(parsed, owner.rootKey)
  using _ = disposing(contents)
  const { record } = await readRecordAgain(checked, (found) => presentRecord(found, 0), true)
  if (!equalBytes(record.header.ownerId, contents.id)) throw anotherProfile()
  if (!equalBytes(record.identity, parsed.identity)) {
    const message = 'the stored profile has another identity: an older one cannot be put behind it'
    throw new KeystrataError('policy', message, { rule: 'identity' })
  }
  for (const vault of contents.vaults) await assertOpens(checked, vault)
  const version = nextVersion(record.version)
  const { realm, user, rootKey } = owner
  return sealedProfile({ ...contents, version }, { realm, user, rootKey: rootKey.copy() }, record.bytes)
}

/** @throws KeystrataError `policy` if a vault's keyring does not open with these keys */
async function assertOpens(store: CheckedStore, vault: VaultEntry): Promise<void> {
  const keyring = await openWith(store, vault)
  using _ = disposing(keyring?.dataKey)
  if (keyring !== undefined) return
  const vaultId = toHex(vault.id)
  const message = `the keys in this profile do not open ${keyringName(vaultId)}: restore that keyring too`
  throw new KeystrataError('policy', message, { rule: 'keyring', vaultId })
}
