// Profiles and keyrings in a store that several devices use at once (SPEC §10.3): reading a profile and a keyring that
// belong together, writing without overwriting another device, and creating a vault.
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
 * Where a product keeps a user's profile and the keyrings of their vaults. The product implements it. Both writes are
 * create-only for each version: they never replace what is there (use a unique key in SQL, `If-None-Match` in S3, a
 * hard link in a file system). They return true once the write is complete and durable, and false if the version is
 * taken. A store that repeats a request after it lost the response may find its own write and return false. That is
 * harmless.
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
  /** Reads the newest profile. Returns undefined if there is none. */
  readProfile(): Promise<Uint8Array | undefined>
  /**
   * Writes a profile. A server checks the record with `checkProfile` of `keystrata/server` first. Only the newest
   * record is needed, and an old one still opens with its old password. A store may delete old records, but must never
   * accept their versions again.
   * @returns false if the version is taken
   */
  writeProfile(record: Uint8Array, version: number): Promise<boolean>
  /** Reads the newest keyring of a vault. Returns undefined if there is none. */
  readKeyring(vaultId: string): Promise<Uint8Array | undefined>
  /**
   * Writes a keyring. Refuse versions below the newest too, if the store can: a late write must not bring back a
   * version that was dropped, because old keys open it.
   * @returns false if the version is taken
   */
  writeKeyring(vaultId: string, keyring: Uint8Array, version: number): Promise<boolean>
  /**
   * Deletes the keyrings of a vault with versions below `below`, but never the newest. A store that cannot delete does
   * nothing. Then anyone with an old key can still open the old keyring that fits it.
   */
  dropKeyrings(vaultId: string, below: number): Promise<void>
}

/** A store, and what one profile handle requires of the profiles in it. */
export interface ProfileView {
  readonly store: VaultStore
  readonly owner: ProfileOwner
  /** The id of the handle's profile, 16 bytes. It detects another profile under the same password. */
  readonly profileId: Uint8Array
  /** The version of the handle. Older profiles are refused. */
  readonly atLeast: number
}

/**
 * How often to read a profile and a keyring that do not belong together. Another device may rotate between the two
 * reads.
 */
const READS = 10

/** How often to start again after a refused write. */
export const RETRIES = 3

/**
 * Reads and opens the newest profile in a store. The caller disposes of the keys in the result.
 * @throws KeystrataError `rollback` if it is older than the handle
 * @throws KeystrataError `authentication-failed` if it is another profile, or was altered
 * @throws KeystrataError `key-not-found` if the store holds no profile
 * @throws KeystrataError `wrong-password` if the password was changed on another device
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
  assertNotOlder(record, atLeast, 'this profile was never stored, or the store returned an old one:')
  return { record, contents: openProfileRecord(record, owner.rootKey) }
}

/**
 * Reads and verifies the newest profile in a store.
 * @throws KeystrataError as in {@link readNewestProfile}
 */
export async function readNewestRecord(view: ProfileView): Promise<ParsedProfile> {
  const { record, contents } = await readNewestProfile(view)
  disposeKeys(contents)
  return record
}

/** A profile and a keyring that belong together. Every key in `keyring.live` is in both. */
export interface VaultState {
  readonly profile: ProfileContents
  readonly vault: VaultEntry
  readonly keyring: OpenedKeyring<SlotKey>
}

/**
 * Reads a profile and a vault's keyring until they belong together, at most ten times. The caller disposes of the keys.
 * @throws KeystrataError `key-not-found` if the profile has no such vault, or the store holds no keyring of it
 * @throws KeystrataError `authentication-failed` if they do not belong together, or were altered
 * @throws KeystrataError as in {@link readNewestProfile}
 */
export async function readVault(view: ProfileView, vaultId: string): Promise<VaultState> {
  let isThere = true
  for (let read = 0; read < READS; read++) {
    const { contents: profile } = await readNewestProfile(view)
    try {
      const vault = findVault(profile, vaultId)
      if (vault === undefined) {
        throw new KeystrataError('key-not-found', 'the profile has no vault with this id: use one of its `vaults`', {
          vaultId,
        })
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

/** Opens a stored keyring. Returns undefined if there is none, or if no key of the profile opens it. */
function openStored(stored: Uint8Array | undefined, vault: VaultEntry): OpenedKeyring<SlotKey> | undefined {
  return stored === undefined ? undefined : openKeyring(bytesFrom(stored, 'keyring'), vault, vault.keys)
}

/**
 * Unwraps the data key of a vault. Uses the keys in `known` if they still open the keyring, otherwise those of the
 * newest profile in the store.
 * @throws KeystrataError as in {@link readVault}
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

/** Writes the next version of a profile. Returns undefined if the version is taken. */
export async function writeNext(
  { store, owner }: ProfileView,
  profile: ProfileContents,
): Promise<ParsedProfile | undefined> {
  const version = nextVersion(profile.version)
  const record = encodeProfile({ ...profile, version }, owner.rootKey)
  const answer = await store.writeProfile(new Uint8Array(record), version)
  return wasWritten(answer, 'writeProfile') ? parseProfile(record) : undefined
}

/**
 * Changes the newest profile, and tries again if another device wrote first.
 * @returns the record that was written
 * @throws KeystrataError `conflict` if other devices write first on every try
 */
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
  return new KeystrataError('conflict', 'other devices wrote first on every try: wait a random time and try again')
}

/** A new vault: the record that lists it, and its data key, which the caller disposes of. */
export interface CreatedVault {
  readonly record: ParsedProfile
  readonly id: Bytes
  readonly dataKey: SecretKey<'data'>
}

/**
 * Creates a vault. Writes its keyring, reads it back, and then writes the profile, so that no profile lists a vault
 * without a keyring. After a refused write this starts again with new keys, because a former admin may have seen the
 * old ones.
 * @throws KeystrataError `conflict` if other devices write first on every try
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

/**
 * Writes the keyring and the profile. Returns the record with the new vault, or undefined if another device wrote
 * first.
 */
async function addVault(view: ProfileView, id: Bytes, dataKey: SecretKey<'data'>): Promise<ParsedProfile | undefined> {
  const first = generateKeyringKey(1)
  using _ = first.key
  if (!(await putKeyring(view.store, id, 1, dataKey, [first]))) return undefined
  const written = await writeVault(view, id, dataKey, { ...first, due: false })
  if (written !== undefined) return written
  const newest = await readNewestRecord(view)
  return newest.vaults.some((vault) => equalBytes(vault.id, id)) ? newest : undefined
}

/** Writes the profile with a new vault that has one key. Returns undefined if another device wrote first. */
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
 * Writes a keyring and reads it back before anything relies on it. A store may claim a write that it did not do. Also,
 * the version of a dropped keyring may be free again, so that a late write seems to succeed.
 * @returns false if another device wrote first
 * @throws KeystrataError `authentication-failed` if the store does not return what was written
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
