// Loading and saving a profile, and going back to an older record (SPEC §13.2, §13.4).
import { type Bytes, copyOf, equalBytes, toHex } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { optionsFrom } from '../core/options.ts'
import { disposing } from '../core/secret.ts'
import { CheckedStore } from '../state/checked.ts'
import { pauseBeforeRetry, TRIES } from '../state/compare-and-set.ts'
import { keyringName } from '../state/name.ts'
import { READS } from '../state/settle.ts'
import type { StateStore } from '../state/store.ts'
import { FLOOR, nextVersion, parseFloor } from '../state/version.ts'
import { type Login, ownerOf } from './login.ts'
import { previousOf } from './keyring.ts'
import { insidesOf, openedProfile, type Profile, sealedProfile } from './profile.ts'
import {
  anotherProfile,
  assertFollows,
  openProfileRecord,
  type ParsedProfile,
  type ProfileContents,
  type VaultEntry,
} from './profile-record.ts'
import { presentRecord, readRecordAgain, readStoredRecord, type StoredRecord, writeRecord } from './stored-profile.ts'
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
 * await saveProfile(store, createProfile(login, { zeroTrust: true }))
 * using profile = await loadProfile(store, login, { atLeast: '1' })
 * console.log(profile.revision) // 1
 * ```
 */
export async function loadProfile(store: StateStore, login: Login, options?: { atLeast?: string }): Promise<Profile> {
  const atLeast = parseFloor(optionsFrom(options, FLOOR, 'loadProfile'))
  // Checked before the reads, so that a mistake of the program does not look like an empty store.
  ownerOf(login).rootKey.dispose()
  const find = (stored: StoredRecord | undefined) => presentRecord(stored, atLeast)
  const { record } = await readRecordAgain(new CheckedStore(store), find, atLeast > 0)
  return openedProfile(record, ownerOf(login))
}

/**
 * Reads the record of the profile in a store, without a key, and checks that its identity signed it. A damaged newest
 * version is skipped. For a server, which binds sessions to its `passwordId`, and for an admin's console: pass the record to
 * `parseProfile` and {@link resetProfile}.
 * @param store the store of one user; use `prefixed` if it holds the profiles of several
 * @returns undefined if the store has no profile
 * @throws KeystrataError `malformed`, `authentication-failed`, `unsupported`, `limit-exceeded` if what is stored is not a
 *   profile
 * @throws TypeError if the store returns an invalid answer; the store's own errors
 * @example
 * ```ts
 * import type { StateStore } from 'keystrata/stores'
 * import { loadRecord, parseProfile } from 'keystrata/vault'
 *
 * async function isStillLoggedIn(store: StateStore, session: { passwordId: string }) {
 *   const record = await loadRecord(store)
 *   return record !== undefined && parseProfile(record).passwordId === session.passwordId
 * }
 * ```
 */
export async function loadRecord(store: StateStore): Promise<Bytes | undefined> {
  const stored = await readStoredRecord(new CheckedStore(store))
  return stored && copyOf(stored.record.bytes)
}

/**
 * Stores a profile: if there is none, or behind the record that it was made from. Does nothing if it is stored already.
 * After a change of the password, save the credential first (`saveCredential` of `keystrata/server`). If the answer to this
 * gets lost, and the server has ended the session, log in with the new credential: if it is valid, the profile is stored.
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
 * import { type Profile, saveProfile } from 'keystrata/vault'
 *
 * // `changed` is what changePassword returned. The server has saved the credential.
 * async function saveChanged(store: StateStore, changed: Profile) {
 *   await saveProfile(store, changed)
 *   return changed.revision // to be kept, for `atLeast`
 * }
 * ```
 */
export async function saveProfile(store: StateStore, profile: Profile): Promise<void> {
  const checked = new CheckedStore(store)
  const { parsed } = insidesOf(profile)
  for (let tries = 1; ; tries++) {
    const started = Date.now()
    const stored = await readStoredRecord(checked)
    if (stored !== undefined && isStored(parsed, stored.record)) return
    if (isBehind(stored, parsed, tries) && (await writeRecord(checked, stored, parsed.bytes))) return
    if (tries === TRIES) throw overtaken(stored, parsed)
    await pauseBeforeRetry(tries, Date.now() - started)
  }
}

/** Returns whether a record is the effective one, or the one before it: then another device has built on it already. */
function isStored({ bytes }: ParsedProfile, { bytes: counting, previous }: ParsedProfile): boolean {
  return equalBytes(bytes, counting) || equalBytes(previousOf(bytes), previous)
}

/**
 * Returns whether a record goes behind what was read. Returns false if the read may have been late.
 * @throws KeystrataError `conflict` if it does not; `policy` for another profile
 */
function isBehind(stored: StoredRecord | undefined, parsed: ParsedProfile, reads: number): boolean {
  if (stored === undefined) return parsed.version === 1 || reads >= READS
  const isOlder = stored.record.version < parsed.version - 1
  if (isOlder && reads < READS) return false
  assertFollows(parsed, stored.record)
  return true
}

function overtaken(stored: StoredRecord | undefined, { version }: ParsedProfile): KeystrataError {
  const message =
    'other devices wrote first on every try, or the store does not say what became of the profile: load it'
  return new KeystrataError('conflict', message, { object: 'profile', version, stored: stored?.record.version ?? 0 })
}

/**
 * Goes back to an older record: returns its contents as a profile that follows what is stored. Save it as after a new
 * password: the credential first, if the record is under another password, and then the profile. Use it after a database
 * was restored, or to undo a change. The other devices refuse the result as `rollback` until they accept its revision.
 * @param profile the older record, opened with `openProfile`. It may also be newer than what is stored
 * @throws KeystrataError `policy` if a vault's keyring does not open with the keys in the record: it was rotated since, or
 *   is being rotated.
 *   `detail.vaultId` says which
 * @throws KeystrataError `policy` if the stored profile has a vault that the older one lacks
 * @throws KeystrataError `policy` if the stored profile has another identity, or is another profile
 * @throws KeystrataError `missing` if the store has no profile. Then save the old one as it is. An operator can also bring
 *   back a newer record, of another identity, in this way: by deleting the object `profile` first
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
 *   using restored = await restoreProfile(store, openProfile(kept, login))
 *   await saveProfile(store, restored)
 *   return restored.revision // the new floor of every device
 * }
 * ```
 */
export async function restoreProfile(store: StateStore, profile: Profile): Promise<Profile> {
  const checked = new CheckedStore(store)
  const { parsed, owner } = insidesOf(profile)
  // Copies, because the handle may be disposed of meanwhile.
  using rootKey = owner.rootKey.copy()
  const contents = openProfileRecord(parsed, rootKey)
  using _ = disposing(contents)
  const { record } = await readRecordAgain(checked, (found) => presentRecord(found, 0), true)
  if (!equalBytes(record.header.ownerId, contents.id)) throw anotherProfile()
  if (!equalBytes(record.identity, parsed.identity)) {
    const message = 'the stored profile has another identity: an older one cannot be put behind it'
    throw new KeystrataError('policy', message, { rule: 'identity' })
  }
  assertForgetsNone(contents, record)
  for (const vault of contents.vaults) await assertOpens(checked, vault)
  const version = nextVersion(record.version)
  return sealedProfile({ ...contents, version }, { ...owner, rootKey: rootKey.copy() }, { record: record.bytes })
}

/** @throws KeystrataError `policy` if the stored profile has a vault that the older one lacks: its keys would be lost */
function assertForgetsNone({ vaults }: ProfileContents, stored: ParsedProfile): void {
  const forgotten = stored.vaults.find(({ id }) => !vaults.some((vault) => equalBytes(vault.id, id)))
  if (forgotten === undefined) return
  const message = 'the stored profile has a vault that this one lacks: going back would lose its keys'
  throw new KeystrataError('policy', message, { rule: 'vaults', vaultId: toHex(forgotten.id) })
}

/**
 * Checks that these keys open a vault, and go on opening it. While a rotation is under way, the keyring also has a key that
 * this profile may lack, and may soon have that one alone.
 * @throws KeystrataError `policy` if they do not open every wrap of the keyring
 */
async function assertOpens(store: CheckedStore, vault: VaultEntry): Promise<void> {
  const keyring = await openWith(store, vault)
  using _ = disposing(keyring?.dataKey)
  if (keyring?.live.length === keyring?.wraps && keyring !== undefined) return
  const vaultId = toHex(vault.id)
  const message =
    keyring === undefined
      ? `the keys in this profile do not open ${keyringName(vaultId)}: restore that keyring too`
      : `${keyringName(vaultId)} is being rotated: rotate the stored profile first`
  throw new KeystrataError('policy', message, { rule: 'keyring', vaultId })
}
