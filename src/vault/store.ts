// Profiles and keyrings in a store that several devices use at once (SPEC §10.3): reading what belongs together, writing what
// nobody else has written meanwhile, and creating a vault.
import { wasWritten } from '../state/compare-and-set.ts'
import { type Bytes, bytesFrom, equalBytes, toHex } from '../core/bytes.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { disposeKeys, disposing, equalKeys, type SecretKey } from '../core/secret.ts'
import { keyIdOf } from '../core/wrap.ts'
import { randomBytes } from '../primitives/random.ts'
import { assertNotOlder, nextVersion } from '../state/version.ts'
import {
  encodeKeyring,
  generateDataKey,
  generateKeyringKey,
  type KeyringKey,
  type OpenedKeyring,
  openKeyring,
  parseKeyring,
  type SlotKey,
} from './keyring.ts'
import type { ProfileOwner } from './login.ts'
import {
  encodeProfile,
  openProfileRecord,
  type ParsedProfile,
  parseProfile,
  type ProfileContents,
  type VaultEntry,
  withRecoverySlots,
} from './profile-record.ts'

/**
 * Where a user's profile and the keyrings of his vaults are kept; the product's own. Both writes are create-only per
 * version: they never replace what is there (a unique key in SQL, `If-None-Match` in S3, a hard link in a file system), are
 * durable and whole when they answer true, and answer false if the version is taken. A store that repeats a request of which
 * the answer was lost may find its own write there and answer false: nothing is lost by that.
 * @example
 * ```ts
 * import type { VaultStore } from 'keystrata/vault'
 *
 * type Query = (sql: string, values: unknown[]) => Promise<{ rowCount: number | null }>
 * const insert = 'INSERT INTO profiles (user_id, version, record) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING'
 * const profilesOf = (user: string, query: Query): Pick<VaultStore, 'writeProfile'> => ({
 *   writeProfile: async (record, version) => (await query(insert, [user, version, record])).rowCount === 1,
 * })
 * ```
 */
export interface VaultStore {
  /** The newest profile; undefined if there is none. */
  readProfile(): Promise<Uint8Array | undefined>
  /**
   * False: the version is taken. Check records by `checkProfile` of `keystrata/server` where they are kept. Only the newest
   * is needed, and an old one opens to who knows its password: a store that deletes old records must never give their
   * versions out again.
   */
  writeProfile(record: Uint8Array, version: number): Promise<boolean>
  /** The newest keyring of a vault; undefined if there is none. */
  readKeyring(vaultId: string): Promise<Uint8Array | undefined>
  /**
   * False: the version is taken. Refuse versions below the newest too, if the store can: one that was dropped must not come
   * back by a late write, because the keys of its time open it.
   */
  writeKeyring(vaultId: string, keyring: Uint8Array, version: number): Promise<boolean>
  /**
   * Removes the keyrings of a vault below a version, never the newest. A store that cannot delete does nothing; then
   * whoever has an old key can open the keyring of its time for ever.
   */
  dropKeyrings(vaultId: string, below: number): Promise<void>
}

/** A store as the handle of one profile sees it. */
export interface ProfileView {
  readonly store: VaultStore
  readonly owner: ProfileOwner
  /** 16 bytes: a store cannot offer another profile of the same password. */
  readonly profileId: Uint8Array
  /** The version of the handle: nothing older is taken. */
  readonly atLeast: number
}

/** Reading twice is not reading at once: while others rotate, a profile and a keyring may not belong together. */
const READS = 10

/** How often a refused write starts again. */
export const RETRIES = 3

/**
 * The newest record of a store, and what it says; the caller disposes of the keys in that.
 * @throws KeystrataError `rollback` if it is older than the handle; `authentication-failed` if it is another profile, or
 *   altered; `key-not-found` if there is none; `wrong-password` if somebody changed the password
 */
async function readNewestProfile({
  store,
  owner,
  profileId,
  atLeast,
}: ProfileView): Promise<{ record: ParsedProfile; contents: ProfileContents }> {
  const stored = await store.readProfile()
  if (stored === undefined) throw new KeystrataError('key-not-found', 'the store holds no profile')
  const record = parseProfile(stored)
  if (!equalBytes(record.header.ownerId, profileId)) throw authenticationFailed()
  assertNotOlder(record, atLeast, 'the profile in the store, or this one was never stored:')
  return { record, contents: openProfileRecord(record, owner.rootKey) }
}

/** The newest record of a store, verified. @throws KeystrataError as {@link readNewestProfile} */
export async function readNewestRecord(view: ProfileView): Promise<ParsedProfile> {
  const { record, contents } = await readNewestProfile(view)
  disposeKeys(contents)
  return record
}

/** A profile and a keyring that belong together: every key in `keyring.live` is in both. */
export interface VaultState {
  readonly profile: ProfileContents
  readonly vault: VaultEntry
  readonly keyring: OpenedKeyring<SlotKey>
}

/**
 * Reads both until they belong together.
 * @throws KeystrataError `key-not-found` if the profile knows no such vault, or the store has no keyring of it;
 *   `authentication-failed` if they never do
 */
export async function readVault(view: ProfileView, vaultId: string): Promise<VaultState> {
  let isThere = true
  for (let read = 0; read < READS; read++) {
    const { contents: profile } = await readNewestProfile(view)
    try {
      const vault = findVault(profile, vaultId)
      if (vault === undefined) {
        throw new KeystrataError('key-not-found', 'the profile holds no such vault', { vaultId })
      }
      const stored = await view.store.readKeyring(vaultId)
      isThere = stored !== undefined
      const keyring = openStored(stored, vault)
      if (keyring !== undefined) return { profile, vault, keyring }
      disposeKeys(profile)
    } catch (error) {
      disposeKeys(profile)
      throw error
    }
  }
  if (isThere) throw authenticationFailed()
  throw new KeystrataError('key-not-found', 'the store holds no keyring of this vault', { vaultId })
}

function findVault({ vaults }: ProfileContents, vaultId: string): VaultEntry | undefined {
  return vaults.find(({ id }) => toHex(id) === vaultId)
}

/** A stored keyring; undefined if there is none, or none that the profile's keys open. */
function openStored(stored: Uint8Array | undefined, vault: VaultEntry): OpenedKeyring<SlotKey> | undefined {
  return stored === undefined ? undefined : openKeyring(bytesFrom(stored, 'keyring'), vault, vault.keys)
}

/**
 * The data key of a vault, by the keys that are at hand if they still open its keyring, and by those of the store if not.
 * @throws KeystrataError `key-not-found`, `authentication-failed`
 */
export async function openDataKey(
  view: ProfileView,
  known: ProfileContents,
  vaultId: string,
): Promise<SecretKey<'data'>> {
  const vault = findVault(known, vaultId)
  const keyring = vault === undefined ? undefined : openStored(await view.store.readKeyring(vaultId), vault)
  if (keyring !== undefined) return keyring.dataKey
  const state = await readVault(view, vaultId)
  disposeKeys(state.profile)
  return state.keyring.dataKey
}

/** Writes the next version of a profile; undefined if the version is taken. */
export async function writeNext(
  { store, owner }: ProfileView,
  profile: ProfileContents,
): Promise<ParsedProfile | undefined> {
  const version = nextVersion(profile.version)
  const record = encodeProfile({ ...profile, version }, owner.rootKey)
  const answer = await store.writeProfile(new Uint8Array(record), version)
  return wasWritten(answer, 'writeProfile') ? parseProfile(record) : undefined
}

/** Changes the newest profile, again if another device was quicker; returns the record that was written. */
export async function changeProfile(
  view: ProfileView,
  change: (profile: ProfileContents) => ProfileContents,
): Promise<ParsedProfile> {
  for (let refusals = 0; refusals <= RETRIES; refusals++) {
    const { contents: profile } = await readNewestProfile(view)
    using _ = disposing(profile)
    const written = await writeNext(view, change(profile))
    if (written !== undefined) return written
  }
  throw lost()
}

export function lost(): KeystrataError {
  return new KeystrataError('conflict', 'other devices wrote first, every time; try again')
}

/** A vault that was created: the record that names it, and its data key, which is the caller's to dispose of. */
export interface CreatedVault {
  readonly record: ParsedProfile
  readonly id: Bytes
  readonly dataKey: SecretKey<'data'>
}

/**
 * A new vault: its keyring first, read back, and then the profile, so that no profile names a vault that is not there. What
 * was refused is not tried again with the same keys: an admin who is none any more may have seen them.
 */
export async function createVaultIn(view: ProfileView): Promise<CreatedVault> {
  for (let refusals = 0; refusals <= RETRIES; refusals++) {
    const dataKey = generateDataKey()
    try {
      const id = randomBytes(16)
      const record = await addVault(view, id, dataKey)
      if (record !== undefined) return { record, id, dataKey }
    } catch (error) {
      dataKey.dispose()
      throw error
    }
    dataKey.dispose()
  }
  throw lost()
}

/** The record with the new vault; undefined if another device wrote first. */
async function addVault(view: ProfileView, id: Bytes, dataKey: SecretKey<'data'>): Promise<ParsedProfile | undefined> {
  const first = generateKeyringKey(1)
  using _ = first.key
  if (!(await putKeyring(view.store, id, 1, dataKey, [first]))) return undefined
  const written = await writeVault(view, id, dataKey, { ...first, due: false })
  if (written !== undefined) return written
  const newest = await readNewestRecord(view)
  return newest.vaults.some((vault) => equalBytes(vault.id, id)) ? newest : undefined
}

/** Writes the profile with a new vault that has this one key; undefined if another device wrote first. */
async function writeVault(
  view: ProfileView,
  id: Bytes,
  dataKey: SecretKey<'data'>,
  key: SlotKey,
): Promise<ParsedProfile | undefined> {
  const { contents: profile } = await readNewestProfile(view)
  using _ = disposing(profile)
  const entry = { id, dataKeyId: keyIdOf(dataKey), keys: [key], recoverySlots: [] }
  const vault = withRecoverySlots(entry, profile, view.owner)
  return await writeNext(view, { ...profile, vaults: [...profile.vaults, vault] })
}

/**
 * Writes a keyring and reads it back before anything relies on it: a store may say that it wrote and not have, and the
 * version of a keyring that was dropped may be free again, so that a late write seems to succeed.
 * @returns false if another device was quicker
 * @throws KeystrataError `authentication-failed` if what is there is not what was written
 */
export async function putKeyring(
  store: VaultStore,
  id: Uint8Array,
  version: number,
  dataKey: SecretKey<'data'>,
  keys: readonly KeyringKey[],
): Promise<boolean> {
  const written = encodeKeyring(id, version, dataKey, keys)
  const answer = await store.writeKeyring(toHex(id), new Uint8Array(written), version)
  if (!wasWritten(answer, 'writeKeyring')) return false
  const stored = await store.readKeyring(toHex(id))
  if (stored === undefined) throw authenticationFailed()
  const bytes = new Uint8Array(bytesFrom(stored, 'keyring'))
  if (!equalBytes(bytes, written)) {
    if (isNewerKeyring(bytes, version)) return false
    throw authenticationFailed()
  }
  const keyring = openKeyring(bytes, { id, dataKeyId: keyIdOf(dataKey) }, keys)
  using _ = keyring?.dataKey
  const holds = keyring?.live.length === keys.length && equalKeys(keyring.dataKey, dataKey)
  if (!holds) throw authenticationFailed()
  return true
}

function isNewerKeyring(bytes: Uint8Array, version: number): boolean {
  try {
    return parseKeyring(bytes).version > version
  } catch (error) {
    if (error instanceof KeystrataError) return false
    throw error
  }
}
