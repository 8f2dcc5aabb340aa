// A new keyring key for a vault, in an order that survives a crash between any two writes, and other devices that do the
// same at the same time (SPEC §10.3). At every moment some keyring key is live: in a slot of the profile and over a wrap of
// the keyring. Not undone: who kept an old keyring and an old keyring key keeps the data key.
import { equalBytes } from '../core/bytes.ts'
import { authenticationFailed } from '../core/errors.ts'
import { disposing, equalKeys } from '../core/secret.ts'
import { generateKeyringKey, type KeyringKey, type SlotKey } from './keyring.ts'
import { type ParsedProfile, type ProfileContents, type VaultEntry, withRecoverySlots } from './profile-record.ts'
import { lost, type ProfileView, putKeyring, readVault, RETRIES, type VaultState, writeNext } from './store.ts'

/**
 * Gives a vault a keyring key that nobody had when this was called, and returns the newest record that was written.
 * @throws KeystrataError `conflict` if other devices write first, every time; `authentication-failed` if profile and keyring
 *   never belong together, or the store lies; `key-not-found`, `rollback`, `wrong-password`
 */
export async function rotateVault(view: ProfileView, vaultId: string): Promise<ParsedProfile> {
  const rotation = new Rotation(view, vaultId)
  for (let restarts = 0; restarts <= RETRIES; restarts++) {
    const rotated = await rotation.run()
    if (rotated !== undefined) return rotated
  }
  throw lost()
}

/** A record that has one key for the vault, with that key's generation. */
interface Finished {
  readonly record: ParsedProfile
  readonly generation: number
}

class Rotation {
  readonly #view: ProfileView
  readonly #vaultId: string
  /** The highest generation that there was when this began; 0 before it was seen. */
  #old = 0

  constructor(view: ProfileView, vaultId: string) {
    this.#view = view
    this.#vaultId = vaultId
  }

  /** One run through the steps; undefined where another device was quicker, and the rotation must start again. */
  async run(): Promise<ParsedProfile | undefined> {
    // Step 1. Only a keyring that was verified says which ones are old.
    await this.#withState(({ keyring }) => this.#view.store.dropKeyrings(this.#vaultId, keyring.version))
    // Two live keys: somebody began. The higher one is new, and what is left to do starts from what was just read.
    const finished = await this.#withState((state) => (isBegun(state) ? this.#finish(state) : this.#replace(state)))
    if (finished === undefined || finished.generation > this.#old) return finished?.record
    // That was a rotation from before, which a crash had interrupted; its key may be known as the one before it may.
    const next = await this.#withState(async (state) => (isBegun(state) ? undefined : this.#replace(state)))
    return next?.record
  }

  /** Lends a profile and a keyring that belong together, as the store has them now. */
  async #withState<T>(work: (state: VaultState) => Promise<T>): Promise<T> {
    const state = await readVault(this.#view, this.#vaultId)
    using _ = disposing(state.profile, state.keyring.dataKey)
    if (this.#old === 0) this.#old = state.keyring.highest
    return await work(state)
  }

  /** Steps 2 to 8 for a fresh key. */
  async #replace(state: VaultState): Promise<Finished | undefined> {
    const fresh = generateKeyringKey(state.keyring.highest + 1)
    using _ = fresh.key
    if (!(await this.#introduce(state, { ...fresh, due: false }))) return undefined
    return await this.#takeOver(state, fresh)
  }

  /** Steps 2 to 4: the new key beside the current one, in the keyring and then in the profile. */
  async #introduce({ profile, vault, keyring }: VaultState, fresh: SlotKey): Promise<boolean> {
    const [current] = keyring.live
    const keys = [current, fresh]
    if (!(await putKeyring(this.#view.store, vault.id, keyring.version + 1, keyring.dataKey, keys))) return false
    return (await this.#write(profile, vault, keys)) !== undefined
  }

  /** Step 5: the new key, through what the store holds now. */
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

  /** Steps 6 to 8: the newest key alone. Both versions follow from one reading. */
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

  /** Writes the profile with these keys for the vault; undefined if the version is taken. */
  async #write(
    profile: ProfileContents,
    vault: VaultEntry,
    keys: readonly SlotKey[],
  ): Promise<ParsedProfile | undefined> {
    // Slots of keys that are dropped go with them, before a new key gets the number of one of them.
    const [current] = keys
    const recoverySlots = vault.recoverySlots.filter(({ generation }) => generation === current?.generation)
    const changed = withRecoverySlots({ ...vault, keys, recoverySlots }, profile, this.#view.owner)
    const vaults = profile.vaults.map((each) => (equalBytes(each.id, vault.id) ? changed : each))
    return writeNext(this.#view, { ...profile, vaults })
  }
}

const isBegun = ({ keyring }: VaultState): boolean => keyring.live.length > 1
