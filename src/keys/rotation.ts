// A new keyring key for a vault, in an order that survives a crash between any two writes, and other devices that do the
// same at the same time (SPEC §10.3). At every moment some keyring key is live: in a slot of the profile and over a wrap of
// the keyring. Not undone: who kept an old keyring and an old keyring key keeps the data key.
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

/** Whose profile it is, and what opens it. */
export interface ProfileOwner extends UserNames {
  readonly rootKey: SecretKey<'root'>
}

/** Reading twice is not reading at once: while others rotate, a profile and a keyring may not belong together. */
const READS = 10
/** How often a refused write starts again. */
const RETRIES = 3

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
interface VaultState {
  readonly profile: ProfileContents
  readonly vault: VaultEntry
  readonly keyring: OpenedKeyring
}

function disposeState({ profile, keyring }: VaultState): void {
  disposeVaults(profile.vaults)
  keyring.dataKey.dispose()
}

/**
 * Reads both until they belong together.
 * @throws KeystrataError `key-not-found` if the profile knows no such vault; `authentication-failed` if they never do
 */
async function readVault(
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

function lost(): KeystrataError {
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
    if (!(await store.writeKeyring(toHex(id), encodeKeyring(id, 1, dataKey, [first]), 1))) throw lost()
    if (!(await readsBack(store, { id, version: 1, dataKey, key: first }))) throw lost()
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
function withRecoverySlots(vault: VaultEntry, { id, admin }: ProfileContents, names: UserNames): VaultEntry {
  if (admin === undefined) return { ...vault, recoverySlots: [] }
  const recipient = new Recipient(readCard(admin).sharing)
  const recoverySlots = vault.keys.flatMap((key) => {
    const there = vault.recoverySlots.find(({ generation }) => generation === key.generation)
    if (there !== undefined) return [there]
    return key.generation > vault.rotationDue ? [sealRecoverySlot(recipient, id, names, vault.id, key)] : []
  })
  return { ...vault, recoverySlots }
}

/** A keyring that was just written, and one of its keys. */
interface WrittenKeyring {
  readonly id: Uint8Array
  readonly version: number
  readonly dataKey: SecretKey<'data'>
  readonly key: KeyringKey
}

/**
 * Reads a keyring back before anything relies on it: a store may say that it wrote and not have.
 * @returns false if another device has written since
 * @throws KeystrataError `authentication-failed` if what is there is not what was written
 */
async function readsBack(store: VaultStore, { id, version, dataKey, key }: WrittenKeyring): Promise<boolean> {
  const stored = await store.readKeyring(toHex(id))
  const keyring = stored === undefined ? undefined : openKeyring(bytesFrom(stored, 'keyring'), id, [key])
  const isSame = keyring !== undefined && equalKeys(keyring.dataKey, dataKey)
  keyring?.dataKey.dispose()
  if (isSame) return true
  if (stored !== undefined && parseKeyring(stored).version > version) return false
  throw authenticationFailed()
}

/**
 * Gives a vault a new keyring key and returns the newest record that was written.
 * @throws KeystrataError `conflict` if other devices write first, every time; `authentication-failed` if profile and keyring
 *   never belong together, or the store lies; `key-not-found`, `rollback`, `wrong-password`
 */
export async function rotateVault(
  store: VaultStore,
  owner: ProfileOwner,
  vaultId: string,
  atLeast: number,
): Promise<Bytes> {
  for (let restarts = 0; restarts <= RETRIES; restarts++) {
    const rotated = await new Rotation(store, owner, vaultId, atLeast).run()
    if (rotated !== undefined) return rotated
  }
  throw lost()
}

/** One run through the steps of SPEC §10.3; it ends where another device was quicker. */
class Rotation {
  readonly #store: VaultStore
  readonly #owner: ProfileOwner
  readonly #vaultId: string
  readonly #atLeast: number

  constructor(store: VaultStore, owner: ProfileOwner, vaultId: string, atLeast: number) {
    this.#store = store
    this.#owner = owner
    this.#vaultId = vaultId
    this.#atLeast = atLeast
  }

  /** The new record; undefined where the rotation must start again. */
  async run(): Promise<Bytes | undefined> {
    await this.#dropOldKeyrings() // step 1
    const state = await this.#read()
    try {
      const [current, next] = state.keyring.live
      if (current === undefined) throw authenticationFailed()
      // Two live keys: somebody began. The higher one is new, and what is left to do starts from what was just read.
      if (next !== undefined) return await this.#finish(state)
      const fresh = generateKeyringKey(highestGeneration(state) + 1)
      try {
        if (!(await this.#introduce(state, [current, fresh]))) return undefined
        return await this.#takeOver(state, fresh)
      } finally {
        fresh.key.dispose()
      }
    } finally {
      disposeState(state)
    }
  }

  #read(): Promise<VaultState> {
    return readVault(this.#store, this.#owner, this.#vaultId, this.#atLeast)
  }

  /** Only a keyring that was verified says which ones are old. */
  async #dropOldKeyrings(): Promise<void> {
    const state = await this.#read()
    disposeState(state)
    await this.#store.dropKeyrings(this.#vaultId, state.keyring.version)
  }

  /** Steps 2 to 4: the new key beside the current one, in the keyring and then in the profile. */
  async #introduce(state: VaultState, keys: readonly [KeyringKey, KeyringKey]): Promise<boolean> {
    const { profile, vault, keyring } = state
    const version = keyring.version + 1
    const { dataKey } = keyring
    if (!(await this.#writeKeyring(vault, version, dataKey, keys))) return false
    if (!(await readsBack(this.#store, { id: vault.id, version, dataKey, key: keys[1] }))) return false
    return (await this.#writeProfile(profile, { ...vault, keys })) !== undefined
  }

  /** Step 5: the new key, through what the store holds now. */
  async #takeOver({ keyring }: VaultState, fresh: KeyringKey): Promise<Bytes | undefined> {
    const state = await this.#read()
    try {
      const isLive = state.keyring.live.some(
        ({ generation, key }) => generation === fresh.generation && equalKeys(key, fresh.key),
      )
      if (!isLive) return undefined
      if (!equalKeys(state.keyring.dataKey, keyring.dataKey)) throw authenticationFailed()
      return await this.#finish(state)
    } finally {
      disposeState(state)
    }
  }

  /** Steps 6 to 8: the newest key alone. Nothing is read in between, so both versions follow from one reading. */
  async #finish({ profile, vault, keyring }: VaultState): Promise<Bytes | undefined> {
    const keys = keyring.live.slice(-1)
    const version = keyring.version + 1
    if (!(await this.#writeKeyring(vault, version, keyring.dataKey, keys))) return undefined
    const isRotated = keys.every(({ generation }) => generation > vault.rotationDue)
    const record = await this.#writeProfile(profile, { ...vault, keys, ...(isRotated && { rotationDue: 0 }) })
    if (record === undefined) return undefined
    await this.#store.dropKeyrings(this.#vaultId, version)
    // A key from before the recovery was changed may be known to the former admin: the next run replaces it.
    return isRotated ? record : undefined
  }

  #writeKeyring(
    { id }: VaultEntry,
    version: number,
    dataKey: SecretKey<'data'>,
    keys: readonly KeyringKey[],
  ): Promise<boolean> {
    return this.#store.writeKeyring(this.#vaultId, encodeKeyring(id, version, dataKey, keys), version)
  }

  /** Writes the profile with this vault changed; undefined if the version is taken. */
  async #writeProfile(profile: ProfileContents, changed: VaultEntry): Promise<Bytes | undefined> {
    const version = profile.version + 1
    const vault = withRecoverySlots(changed, profile, this.#owner)
    const vaults = profile.vaults.map((each) => (equalBytes(each.id, vault.id) ? vault : each))
    const record = encodeProfile({ ...profile, version, vaults }, this.#owner.rootKey)
    return (await this.#store.writeProfile(new Uint8Array(record), version)) ? record : undefined
  }
}

/** Over every key that was seen, live or not, and every one that is to be replaced. */
function highestGeneration({ vault, keyring }: VaultState): number {
  return Math.max(keyring.highest, vault.rotationDue, ...vault.keys.map(({ generation }) => generation))
}
