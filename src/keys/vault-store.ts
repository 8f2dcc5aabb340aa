// Profiles and keyrings in a store that several devices use at once (SPEC §10.3): reading what belongs together, writing what
// nobody else has written meanwhile, and creating a vault.
import { type Bytes, bytesFrom, equalBytes, toHex } from '../bytes.ts'
import { authenticationFailed, KeystrataError } from '../errors.ts'
import { randomBytes } from '../primitives/random.ts'
import type { SecretKey } from '../secret.ts'
import { readCard } from './card.ts'
import {
  encodeKeyring,
  equalKeys,
  generateDataKey,
  generateKeyringKey,
  type KeyringKey,
  type OpenedKeyring,
  openKeyring,
  parseKeyring,
  sealRecoverySlot,
  type UserNames,
} from './hierarchy.ts'
import { Recipient } from './key-pairs.ts'
import type { ProfileOwner } from './login.ts'
import {
  disposeVaults,
  encodeProfile,
  openProfileRecord,
  type ParsedProfile,
  parseProfile,
  type ProfileContents,
  type VaultEntry,
} from './profile-record.ts'
import { assertNotOlder } from './trailer.ts'

/**
 * Where a user's profile and the keyrings of his vaults are kept; the product's own. Both writes are create-only per
 * version: they never replace what is there (a unique key in SQL, `If-None-Match` in S3, a hard link in a file system), are
 * durable and whole when they answer true, and answer false if the version is taken.
 */
export interface VaultStore {
  /** The newest profile; undefined if there is none. */
  readProfile(): Promise<Uint8Array | undefined>
  /** False: the version is taken. */
  writeProfile(record: Uint8Array, version: number): Promise<boolean>
  /** The newest keyring of a vault; undefined if there is none. */
  readKeyring(vaultId: string): Promise<Uint8Array | undefined>
  /** False: the version is taken. */
  writeKeyring(vaultId: string, keyring: Uint8Array, version: number): Promise<boolean>
  /** Removes the keyrings of a vault below a version; nothing is lost if it fails, but old keys keep opening them. */
  dropKeyrings(vaultId: string, below: number): Promise<void>
}

/** Reading twice is not reading at once: while others rotate, a profile and a keyring may not belong together. */
const READS = 10
/** How often a refused write starts again. */
export const RETRIES = 3

/**
 * The newest record of a store.
 * @throws KeystrataError `rollback` if it is older than `atLeast`; `key-not-found` if there is none
 */
export async function readNewestRecord(store: VaultStore, atLeast: number): Promise<ParsedProfile> {
  const stored = await store.readProfile()
  if (stored === undefined) throw new KeystrataError('key-not-found', 'the store holds no profile')
  const parsed = parseProfile(stored)
  assertNotOlder(parsed, atLeast, 'profile')
  return parsed
}

/** As {@link readNewestRecord}, opened. @throws KeystrataError `wrong-password` if somebody changed the password */
async function readNewestProfile(
  store: VaultStore,
  { rootKey }: ProfileOwner,
  atLeast: number,
): Promise<ProfileContents> {
  return openProfileRecord(await readNewestRecord(store, atLeast), rootKey)
}

/** A profile and a keyring that belong together: every key in `keyring.live` is in both. */
export interface VaultState {
  readonly profile: ProfileContents
  readonly vault: VaultEntry
  readonly keyring: OpenedKeyring
}

export function disposeState({ profile, keyring }: VaultState): void {
  disposeVaults(profile.vaults)
  keyring.dataKey.dispose()
}

/**
 * Reads both until they belong together.
 * @throws KeystrataError `key-not-found` if the profile knows no such vault; `authentication-failed` if they never do
 */
export async function readVault(
  store: VaultStore,
  owner: ProfileOwner,
  vaultId: string,
  atLeast: number,
): Promise<VaultState> {
  for (let read = 0; read < READS; read++) {
    const profile = await readNewestProfile(store, owner, atLeast)
    try {
      const vault = findVault(profile, vaultId)
      const keyring = await readKeyring(store, vault)
      if (keyring !== undefined) return { profile, vault, keyring }
      disposeVaults(profile.vaults)
    } catch (error) {
      disposeVaults(profile.vaults)
      throw error
    }
  }
  throw authenticationFailed()
}

function findVault({ vaults }: ProfileContents, vaultId: string): VaultEntry {
  const vault = vaults.find(({ id }) => toHex(id) === vaultId)
  if (vault === undefined) throw new KeystrataError('key-not-found', 'the profile holds no such vault', { vaultId })
  return vault
}

/** The newest keyring of a vault; undefined if there is none that the profile's keys open. */
async function readKeyring(store: VaultStore, { id, keys }: VaultEntry): Promise<OpenedKeyring | undefined> {
  const stored = await store.readKeyring(toHex(id))
  return stored === undefined ? undefined : openKeyring(bytesFrom(stored, 'keyring'), id, keys)
}

/**
 * The data key of a vault, by the keys that are at hand if they still open its keyring, and by those of the store if not.
 * @throws KeystrataError `key-not-found`, `authentication-failed`
 */
export async function openDataKey(
  store: VaultStore,
  owner: ProfileOwner,
  known: ProfileContents,
  vaultId: string,
): Promise<SecretKey<'data'>> {
  const vault = known.vaults.find(({ id }) => toHex(id) === vaultId)
  const keyring = vault === undefined ? undefined : await readKeyring(store, vault)
  if (keyring !== undefined) return keyring.dataKey
  const state = await readVault(store, owner, vaultId, known.version)
  disposeVaults(state.profile.vaults)
  return state.keyring.dataKey
}

/** Changes the newest profile, again if another device was quicker; returns the record that was written. */
export async function changeProfile(
  store: VaultStore,
  owner: ProfileOwner,
  atLeast: number,
  change: (profile: ProfileContents) => ProfileContents,
): Promise<Bytes> {
  for (let refusals = 0; refusals <= RETRIES; refusals++) {
    const profile = await readNewestProfile(store, owner, atLeast)
    try {
      const record = encodeProfile({ ...change(profile), version: profile.version + 1 }, owner.rootKey)
      if (await store.writeProfile(new Uint8Array(record), profile.version + 1)) return record
    } finally {
      disposeVaults(profile.vaults)
    }
  }
  throw lost()
}

export function lost(): KeystrataError {
  return new KeystrataError('conflict', 'other devices wrote first, every time; try again')
}

/**
 * A new vault: its keyring first, read back, and then the profile, so that no profile names a vault that is not there.
 * @returns the record that was written, and the data key, which is the caller's to dispose of
 */
export async function createVaultIn(
  store: VaultStore,
  owner: ProfileOwner,
  atLeast: number,
): Promise<{ record: Bytes; id: Bytes; dataKey: SecretKey<'data'> }> {
  const id = randomBytes(16)
  const dataKey = generateDataKey()
  const first = generateKeyringKey(1)
  try {
    if (!(await putKeyring(store, id, 1, dataKey, [first]))) throw lost()
    const record = await changeProfile(store, owner, atLeast, (profile) => {
      const vault = withRecoverySlots({ id, rotationDue: 0, keys: [first], recoverySlots: [] }, profile, owner)
      return { ...profile, vaults: [...profile.vaults, vault] }
    })
    return { record, id, dataKey }
  } catch (error) {
    dataKey.dispose()
    throw error
  } finally {
    first.key.dispose()
  }
}

/** The recovery slots that a vault shall have: those that are there, and new ones for keys that no former admin can have. */
export function withRecoverySlots(vault: VaultEntry, { id, admin }: ProfileContents, names: UserNames): VaultEntry {
  if (admin === undefined) return { ...vault, recoverySlots: [] }
  const recipient = new Recipient(readCard(admin).sharing)
  const recoverySlots = vault.keys.flatMap((key) => {
    const there = vault.recoverySlots.find(({ generation }) => generation === key.generation)
    if (there !== undefined) return [there]
    return key.generation > vault.rotationDue ? [sealRecoverySlot(recipient, id, names, vault.id, key)] : []
  })
  return { ...vault, recoverySlots }
}

/**
 * Writes a keyring and reads it back before anything relies on it: a store may say that it wrote and not have, and the version
 * of a keyring that was dropped is free again, so that a late write seems to succeed.
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
  if (!(await store.writeKeyring(toHex(id), new Uint8Array(written), version))) return false
  const stored = await store.readKeyring(toHex(id))
  if (stored === undefined) throw authenticationFailed()
  const bytes = new Uint8Array(bytesFrom(stored, 'keyring'))
  if (!equalBytes(bytes, written)) {
    if (parseKeyring(bytes).version > version) return false
    throw authenticationFailed()
  }
  const keyring = openKeyring(bytes, id, keys)
  const holds = keyring?.live.length === keys.length && equalKeys(keyring.dataKey, dataKey)
  keyring?.dataKey.dispose()
  if (!holds) throw authenticationFailed()
  return true
}
