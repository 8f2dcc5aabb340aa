// Rotating a vault: replacing its keyring key (SPEC §14.3). The order of the writes survives a crash between any two of
// them, and other devices that rotate at the same time. At every moment some keyring key is live: a slot of the profile
// holds it, and it opens a wrap of the keyring. Not protected: anyone who kept an old keyring and its keyring key still
// has the data key.
import { equalBytes } from '../core/bytes.ts'
import { disposing } from '../core/secret.ts'
import { keyringName } from '../state/name.ts'
import { generateKeyringKey, type SlotKey } from './keyring.ts'
import { type ParsedProfile, withRecoverySlots } from './profile-record.ts'
import { dropBelow, type ProfileState, type ProfileView, untilWritten, writeNext } from './stored-profile.ts'
import { readVault, type KeyringState, type VaultState, writeKeyring } from './stored-vault.ts'

/**
 * Replaces a vault's keyring key with one that is created after this call starts.
 * @returns the newest record that was written or read
 * @throws KeystrataError `conflict` if other devices write first on every try
 * @throws KeystrataError as in {@link readVault}
 */
export async function rotateVault(view: ProfileView, vaultId: string): Promise<ParsedProfile> {
  const rotation = new Rotation(view, vaultId)
  return untilWritten(() => rotation.attempt())
}

class Rotation {
  readonly #view: ProfileView
  readonly #vaultId: string
  /** The generation of the first key that this rotation has put into the keyring. Higher ones are as new. */
  #fresh = Infinity

  constructor(view: ProfileView, vaultId: string) {
    this.#view = view
    this.#vaultId = vaultId
  }

  /** Runs the steps once. Returns undefined if another device wrote first, or its key was not new enough. */
  async attempt(): Promise<ParsedProfile | undefined> {
    const state = await readVault(this.#view, this.#vaultId)
    using _ = disposing(state.profile.contents, state.keyring.dataKey)
    // Two live keys mean that somebody has begun a rotation. The higher one is the new key: finish that rotation.
    const [current, begun] = state.keyring.live
    if (begun !== undefined) return await this.#finish(state, state.profile, state.stored, begun)
    if (current.generation >= this.#fresh) return await this.#complete(state, current)
    return await this.#replace(state, current)
  }

  /** Steps 2 and 3: adds a new key beside the current one, first to the keyring and then to the profile. */
  async #replace(state: VaultState, current: SlotKey): Promise<ParsedProfile | undefined> {
    const fresh = { ...generateKeyringKey(state.keyring.highest + 1), due: false }
    using _ = fresh.key
    const keyring = await this.#writeKeyring(state, state.profile, state.stored, [current, fresh])
    if (keyring === undefined) return undefined
    this.#fresh = Math.min(this.#fresh, fresh.generation)
    const profile = await this.#writeProfile(state, state.profile, [current, fresh])
    return profile && (await this.#finish(state, profile, keyring, fresh))
  }

  /** Steps 4 and 5: keeps only the newest key. Both versions are counted from one reading. */
  async #finish(
    state: VaultState,
    profile: ProfileState,
    before: KeyringState,
    key: SlotKey,
  ): Promise<ParsedProfile | undefined> {
    const keyring = await this.#writeKeyring(state, profile, before, [key])
    if (keyring === undefined) return undefined
    const written = await this.#writeProfile(state, profile, [key])
    if (written === undefined) return undefined
    await dropBelow(this.#view.store, keyringName(this.#vaultId), keyring.version)
    return key.generation >= this.#fresh ? written.record : undefined
  }

  /**
   * Steps 4 and 5, if another machine was interrupted before step 5. Otherwise the other slots, and the admin's, would stay.
   * The keyring is written again, because it may have been read late: a slot that is dropped here may be live in a newer
   * one.
   */
  async #complete(state: VaultState, current: SlotKey): Promise<ParsedProfile | undefined> {
    const { profile, vault, stored } = state
    if (vault.keys.length > 1) return await this.#finish(state, profile, stored, current)
    await dropBelow(this.#view.store, keyringName(this.#vaultId), stored.version)
    return profile.record
  }

  #writeKeyring(
    { vault, keyring }: VaultState,
    profile: ProfileState,
    before: KeyringState,
    keys: readonly SlotKey[],
  ): Promise<KeyringState | undefined> {
    return writeKeyring(this.#view, profile, vault.id, before, keyring.dataKey, keys)
  }

  /** Writes the profile with these keys for the vault. */
  #writeProfile(
    { vault }: VaultState,
    profile: ProfileState,
    keys: readonly SlotKey[],
  ): Promise<ProfileState | undefined> {
    const { contents } = profile
    // Drop the recovery slots of keys that are dropped. Otherwise a new key with the same generation would inherit one.
    const now = contents.vaults.find(({ id }) => equalBytes(id, vault.id)) ?? vault
    const kept = now.recoverySlots.filter((slot) =>
      keys.some((key) => key.generation === slot.generation && now.keys.includes(key)),
    )
    const changed = withRecoverySlots({ ...now, keys, recoverySlots: kept }, contents, this.#view.owner)
    const vaults = contents.vaults.map((each) => (each === now ? changed : each))
    return writeNext(this.#view, profile, { ...contents, vaults })
  }
}
