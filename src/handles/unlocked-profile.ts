// What a user can do with a profile that is open.
import type { Bytes } from '../bytes.ts'
import type { Login } from '../keys/login.ts'
import type { VaultStore } from '../keys/vault-store.ts'
import type { Handle } from '../secret.ts'
import type { Recovery } from './recovery.ts'
import type { Vault } from './vault.ts'

/**
 * A profile that was opened with its user's password. What changes it gives a new handle with a higher version: store its
 * record if the call did not, use it, and dispose of the old one.
 * @example
 * ```ts
 * import type { UnlockedProfile, VaultStore } from 'keystrata'
 *
 * async function rotateAll(profile: UnlockedProfile, store: VaultStore) {
 *   using rotated = await profile.rotate(store)
 *   return rotated.version // to be kept, for `atLeast`
 * }
 * ```
 */
export interface UnlockedProfile extends Handle {
  /**
   * What the server keeps. It sees the ids of the vaults, the admin's card and some numbers, no keys, and cannot change it
   * unseen. A copy at every reading.
   */
  readonly record: Bytes
  /** Grows by one with every change. Keep the last one: {@link openProfile} refuses older ones by it. */
  readonly version: number
  /**
   * Whether nobody can set a new password. That nobody but who knows it can read holds from the moment on that
   * {@link UnlockedProfile.rotationDue} is empty and the old keyrings are gone.
   */
  readonly zeroTrust: boolean
  /** The ids of the vaults, 32 hex digits each. */
  readonly vaults: readonly string[]
  /** The vaults with a key that a former admin can have still, because a change of recovery was interrupted: rotate. */
  readonly rotationDue: readonly string[]
  /**
   * The same vaults under another password. The server must replace the verifier and the record in one transaction, on
   * condition that its version was one lower. An old record still opens with the old password: rotate if that matters.
   * @throws KeystrataError `disposed`; `limit-exceeded` past the last version
   * @throws RangeError for the login of another user, or of another realm
   * @throws TypeError for what is no login of this library
   */
  changePassword(next: Login): UnlockedProfile
  /**
   * Creates a vault with fresh keys, and stores its keyring and the profile. Into a store that has no profile at all, this
   * one goes first, here and in `rotate` and `changeRecovery`; a service stores it at sign-up, with the verifier.
   * @throws KeystrataError `conflict` if other devices write first, every time: wait a random moment and call again;
   *   `rollback` if the store offers an older profile than this one; `wrong-password` if the password was changed meanwhile;
   *   `authentication-failed` if the store does not give back what was written, or offers another profile; `malformed`,
   *   `unsupported` for what it gives that is no profile; `limit-exceeded` beyond 256 vaults; `key-not-found` if it holds
   *   no profile; `disposed`
   */
  createVault(store: VaultStore): Promise<{ profile: UnlockedProfile; vault: Vault }>
  /**
   * Opens a vault, with newer keys from the store if those of this profile were rotated away.
   * @throws KeystrataError `key-not-found` if the profile knows no such vault or the store has no keyring of it;
   *   `authentication-failed` if profile and keyring do not belong together, or were altered; `malformed`, `unsupported`,
   *   `limit-exceeded` for what is neither; `rollback`, `disposed`; `wrong-password` if the password was changed on another
   *   device
   * @throws RangeError for what is no id of a vault
   */
  openVault(vaultId: string, store: VaultStore): Promise<Vault>
  /**
   * Gives one vault, or every one, a new E-key over the same A-key, which nobody had when this was called, and finishes
   * what a crash left. No block is touched. Whoever kept an old keyring and its E-key keeps the A-key: to take that away,
   * seal the contents into a new vault.
   * @throws KeystrataError `conflict` if other devices write first, every time: wait a random moment and call again;
   *   otherwise as `openVault`
   */
  rotate(store: VaultStore, vaultId?: string): Promise<UnlockedProfile>
  /**
   * Sets another admin, or zero trust for good: drops every recovery slot, and rotates every vault, so that the E-keys of
   * the former admin open no keyring any more. It counts from the moment the old keyrings are gone: whoever kept one keeps
   * what {@link UnlockedProfile.rotate} cannot take away. If it is interrupted, `rotationDue` says so; `rotate` finishes.
   * @throws KeystrataError `policy` for an admin after zero trust; otherwise as `rotate`
   */
  changeRecovery(recovery: Recovery, store: VaultStore): Promise<UnlockedProfile>
}
