// A new keyring key for a vault, in an order that survives a crash between any two writes, and other devices that do the
// same at the same time (SPEC §10.3). At every moment some keyring key is live: in a slot of the profile and over a wrap of
// the keyring. Not undone: who kept an old keyring and an old keyring key keeps the data key.
import { type Bytes, equalBytes } from '../bytes.ts'
import { authenticationFailed } from '../errors.ts'
import { equalKeys, generateKeyringKey, type KeyringKey } from './hierarchy.ts'
import type { ProfileOwner } from './login.ts'
import { encodeProfile, type ProfileContents, type VaultEntry } from './profile-record.ts'
import {
  disposeState,
  lost,
  putKeyring,
  readVault,
  RETRIES,
  type VaultState,
  type VaultStore,
  withRecoverySlots,
} from './vault-store.ts'

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
  async #introduce({ profile, vault, keyring }: VaultState, keys: readonly [KeyringKey, KeyringKey]): Promise<boolean> {
    if (!(await putKeyring(this.#store, vault.id, keyring.version + 1, keyring.dataKey, keys))) return false
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

  /** Steps 6 to 8: the newest key alone. Both versions follow from one reading. */
  async #finish({ profile, vault, keyring }: VaultState): Promise<Bytes | undefined> {
    const key = keyring.live.at(-1) ?? keyring.live[0]
    const version = keyring.version + 1
    if (!(await putKeyring(this.#store, vault.id, version, keyring.dataKey, [key]))) return undefined
    const isRotated = key.generation > vault.rotationDue
    const rotationDue = isRotated ? 0 : vault.rotationDue
    const record = await this.#writeProfile(profile, { ...vault, keys: [key], rotationDue })
    if (record === undefined) return undefined
    await this.#store.dropKeyrings(this.#vaultId, version)
    // A key from before the recovery was changed may be known to the former admin: the next run replaces it.
    return isRotated ? record : undefined
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

/** Over every key that was seen, live or not: so none of another rotation that was given up has the same. */
function highestGeneration({ vault, keyring }: VaultState): number {
  return Math.max(keyring.highest, ...vault.keys.map(({ generation }) => generation))
}
