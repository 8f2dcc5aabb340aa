// Rotating a vault: replacing its keyring key (SPEC §10.3). The order of the writes survives a crash between any two of
// them, and other devices that rotate at the same time. At every moment some keyring key is live: a slot of the profile
// holds it, and it opens a wrap of the keyring. Not protected: anyone who kept an old keyring and its keyring key still
// has the data key.
import { equalBytes } from '../core/bytes.ts'
import { authenticationFailed } from '../core/errors.ts'
import { disposing, equalKeys } from '../core/secret.ts'
import { generateKeyringKey, type KeyringKey, type SlotKey } from './keyring.ts'
import { type ParsedProfile, type ProfileContents, type VaultEntry, withRecoverySlots } from './profile-record.ts'
import { lost, type ProfileView, putKeyring, readVault, RETRIES, type VaultState, writeNext } from './vault-store.ts'

/**
 * Replaces a vault's keyring key with one that is created after this call starts.
 * @returns the newest record that was written
 * @throws KeystrataError `conflict` if other devices write first on every try
 * @throws KeystrataError `authentication-failed` if the profile and the keyring do not belong together, were altered,
 *   or the store does not return what was written
 * @throws KeystrataError `key-not-found` if the store holds no profile or no keyring, or the profile has no such vault
 * @throws KeystrataError `rollback` if the store returns an older profile
 * @throws KeystrataError `wrong-password` if the password was changed on another device
 */
export async function rotateVault(view: ProfileView, vaultId: string): Promise<ParsedProfile> {
  const rotation = new Rotation(view, vaultId)
  for (let restarts = 0; restarts <= RETRIES; restarts++) {
    const rotated = await rotation.run()
    if (rotated !== undefined) return rotated
  }
  throw lost()
}

/** A record that has one key for the vault, and the generation of that key. */
interface Finished {
  readonly record: ParsedProfile
  readonly generation: number
}

class Rotation {
  readonly #view: ProfileView
  readonly #vaultId: string
  /** The highest generation when this rotation began; 0 until the keyring was read. */
  #old = 0

  constructor(view: ProfileView, vaultId: string) {
    this.#view = view
    this.#vaultId = vaultId
  }

  /** Runs the steps once. Returns undefined if another device wrote first, so that the rotation must start again. */
  async run(): Promise<ParsedProfile | undefined> {
    // Step 1. Only a verified keyring tells which keyrings are old.
    await this.#withState(({ keyring }) => this.#view.store.dropKeyrings(this.#vaultId, keyring.version))
    // Two live keys mean that a rotation was interrupted. The higher one is the new key: finish that rotation.
    const finished = await this.#withState((state) => (isBegun(state) ? this.#finish(state) : this.#replace(state)))
    if (finished === undefined || finished.generation > this.#old) return finished?.record
    // That only finished an interrupted rotation. Its key existed before this call, so it may be known. Rotate again.
    const next = await this.#withState(async (state) => (isBegun(state) ? undefined : this.#replace(state)))
    return next?.record
  }

  /** Reads a profile and a keyring that belong together, runs `work` with them, and disposes of their keys. */
  async #withState<T>(work: (state: VaultState) => Promise<T>): Promise<T> {
    const state = await readVault(this.#view, this.#vaultId)
    using _ = disposing(state.profile, state.keyring.dataKey)
    if (this.#old === 0) this.#old = state.keyring.highest
    return await work(state)
  }

  /** Steps 2 to 8, with a fresh key. */
  async #replace(state: VaultState): Promise<Finished | undefined> {
    const fresh = generateKeyringKey(state.keyring.highest + 1)
    using _ = fresh.key
    if (!(await this.#introduce(state, { ...fresh, due: false }))) return undefined
    return await this.#takeOver(state, fresh)
  }

  /** Steps 2 to 4: adds the new key beside the current one, first to the keyring and then to the profile. */
  async #introduce({ profile, vault, keyring }: VaultState, fresh: SlotKey): Promise<boolean> {
    const [current] = keyring.live
    const keys = [current, fresh]
    if (!(await putKeyring(this.#view.store, vault.id, keyring.version + 1, keyring.dataKey, keys))) return false
    return (await this.#write(profile, vault, keys)) !== undefined
  }

  /** Step 5: checks that the new key opens what the store holds now, then runs steps 6 to 8. */
  async #takeOver({ keyring }: VaultState, fresh: KeyringKey): Promise<Finished | undefined> {
    return this.#withState(async (state) => {
      const isLive = state.keyring.live.some(
        ({ generation, key }) => generation === fresh.generation && equalKeys(key, fresh.key),
      )
      if (!isLive) return undefined
      if (!equalKeys(state.keyring.dataKey, keyring.dataKey)) throw authenticationFailed()
      return this.#finish(state)
    })
  }

  /** Steps 6 to 8: keeps only the newest key. Both new versions are counted from the same `state`. */
  async #finish({ profile, vault, keyring }: VaultState): Promise<Finished | undefined> {
    const key = keyring.live.at(-1) ?? keyring.live[0]
    const version = keyring.version + 1
    const { store } = this.#view
    if (!(await putKeyring(store, vault.id, version, keyring.dataKey, [key]))) return undefined
    const record = await this.#write(profile, vault, [key])
    if (record === undefined) return undefined
    await store.dropKeyrings(this.#vaultId, version)
    return { record, generation: key.generation }
  }

  /** Writes the profile with these keys for the vault. Returns undefined if the version is taken. */
  async #write(
    profile: ProfileContents,
    vault: VaultEntry,
    keys: readonly SlotKey[],
  ): Promise<ParsedProfile | undefined> {
    // Drop the recovery slots of keys that are dropped. Otherwise a new key with the same generation would inherit one.
    const [current] = keys
    const recoverySlots = vault.recoverySlots.filter(({ generation }) => generation === current?.generation)
    const changed = withRecoverySlots({ ...vault, keys, recoverySlots }, profile, this.#view.owner)
    const vaults = profile.vaults.map((each) => (equalBytes(each.id, vault.id) ? changed : each))
    return writeNext(this.#view, { ...profile, vaults })
  }
}

const isBegun = ({ keyring }: VaultState): boolean => keyring.live.length > 1
