// An open profile of a user. It opens and creates vaults, and changes the password, the keys and the recovery that
// protect them (SPEC §9, §10). Not protected: old records open with the old password until the vaults are rotated.
import { type Bytes, fromHex, toHex } from '../core/bytes.ts'
import { type Card, cardFrom, parseCard } from '../core/card.ts'
import { KeystrataError } from '../core/errors.ts'
import { disposable, disposeKeys, disposing, type Handle, SecretHolder } from '../core/secret.ts'
import { randomBytes } from '../primitives/random.ts'
import { assertNotOlder, nextVersion, parseFloor } from '../state/version.ts'
import { OpenedVault, type Vault } from './block.ts'
import { type Login, ownerOf, type ProfileOwner } from './login.ts'
import {
  encodeProfile,
  openProfileRecord,
  type ParsedProfile,
  parseProfile,
  type ProfileContents,
  type VaultEntry,
} from './profile-record.ts'
import { rotateVault } from './rotation.ts'
import {
  changeProfile,
  createVaultIn,
  openDataKey,
  type ProfileView,
  readNewestRecord,
  type VaultStore,
} from './vault-store.ts'

/**
 * Who may set a new password if the user forgets theirs: the admin with this card, or nobody. The admin's keyset can
 * read all of the user's data.
 * @example
 * ```ts
 * import { parseCard } from 'keystrata'
 * import type { Recovery } from 'keystrata/vault'
 *
 * function byAdmin(card: Uint8Array, comparedFingerprint: string): Recovery {
 *   return { admin: parseCard(card, { fingerprint: comparedFingerprint }) }
 * }
 * ```
 */
export type Recovery = { admin: Card } | { zeroTrust: true }

/**
 * Returns the checked card of the admin, or undefined for zero trust.
 * @throws KeystrataError `key-changed` if the card's bytes and fingerprint do not belong together
 * @throws KeystrataError `malformed`, `unsupported`, `authentication-failed` if it is not a valid card
 * @throws TypeError if `recovery` is not exactly one of the two
 */
export function parseRecovery(recovery: Recovery | undefined): Bytes | undefined {
  const { admin, zeroTrust } = (recovery ?? {}) as { admin?: Card; zeroTrust?: unknown }
  if (zeroTrust === true && admin === undefined) return undefined
  if (zeroTrust !== undefined || admin === undefined) {
    throw new TypeError('recovery must be either { admin: card } or { zeroTrust: true }')
  }
  // Check the bytes again: the fingerprint beside them is the one that somebody compared.
  const { bytes, fingerprint } = cardFrom(admin)
  return parseCard(bytes, { fingerprint }).bytes
}

/**
 * A profile that was opened with its user's password. Every change returns a new handle with a higher version. Use the
 * new handle and dispose of the old one. Methods that take a store also store the new record; after
 * {@link Profile.changePassword}, the caller stores it.
 * @example
 * ```ts
 * import type { Profile, VaultStore } from 'keystrata/vault'
 *
 * async function rotateAll(profile: Profile, store: VaultStore) {
 *   using rotated = await profile.rotate(store)
 *   return rotated.version // to be kept, for `atLeast`
 * }
 * ```
 */
export interface Profile extends Handle {
  /**
   * The bytes that the server stores; each read returns a new copy. The server sees the ids of the vaults, the admin's
   * card and some numbers, but no keys. It cannot change the record without being noticed.
   */
  readonly record: Bytes
  /**
   * Grows with every change. Keep the latest version and pass it to {@link openProfile}, which refuses older ones.
   */
  readonly version: number
  /**
   * Whether only the user can set a new password. If there was an admin before, only people who know the password
   * can read the data once {@link Profile.rotationDue} is empty and the old keyrings are deleted.
   */
  readonly zeroTrust: boolean
  /** The ids of the vaults, 32 hex digits each. */
  readonly vaults: readonly string[]
  /**
   * The ids of the vaults with a key that a former admin may still have, because a change of recovery was interrupted.
   * Call {@link Profile.rotate} if it is not empty.
   */
  readonly rotationDue: readonly string[]
  /**
   * Puts the same vaults under a new password. The server must replace the verifier and the record in one transaction,
   * and only if the stored version is one lower. An old record still opens with the old password, and the keys in it
   * still open the vaults: call {@link Profile.rotate} if the old password may be known.
   * @param next the login that was derived from the new password
   * @throws KeystrataError `disposed` if this profile or `next` was disposed of
   * @throws KeystrataError `limit-exceeded` if no higher version is left
   * @throws RangeError if `next` is the login of another user or realm
   * @throws TypeError if `next` is not a login of this copy of the library
   */
  changePassword(next: Login): Profile
  /**
   * Creates a vault with fresh keys, and stores its keyring and the new profile. If the store has no profile yet, this
   * method, `rotate` and `changeRecovery` store this profile first. A service stores it at sign-up, with the verifier.
   * @returns the new profile and the vault; disposing of the result disposes of both
   * @throws KeystrataError `conflict` if other devices write first on every try: wait a random time and call again
   * @throws KeystrataError `rollback` if the store returns an older profile than this one
   * @throws KeystrataError `wrong-password` if the password was changed on another device
   * @throws KeystrataError `authentication-failed` if the store does not return what was written, or returns another or
   *   an altered profile
   * @throws KeystrataError `malformed`, `unsupported` if the store returns bytes that are not a profile
   * @throws KeystrataError `limit-exceeded` beyond 256 vaults, or if no higher version is left
   * @throws KeystrataError `key-not-found` if the store returns no profile even then
   * @throws KeystrataError `disposed` if this profile was disposed of
   */
  createVault(store: VaultStore): Promise<{ profile: Profile; vault: Vault } & Disposable>
  /**
   * Opens a vault. If another device has rotated the vault since, this reads the new keys from the store.
   * @param vaultId one of {@link Profile.vaults}: 32 lower-case hex digits
   * @throws KeystrataError `key-not-found` if the profile has no such vault, or the store holds no keyring of it
   * @throws KeystrataError `authentication-failed` if the profile and the keyring do not belong together, or were
   *   altered
   * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded` if the store returns bytes that are not a
   *   profile or not a keyring
   * @throws KeystrataError `rollback` if the store returns an older profile than this one
   * @throws KeystrataError `wrong-password` if the password was changed on another device
   * @throws KeystrataError `disposed` if this profile was disposed of
   * @throws RangeError if `vaultId` is not 32 lower-case hex digits
   */
  openVault(store: VaultStore, vaultId: string): Promise<Vault>
  /**
   * Replaces the E-key of one vault, or of every vault, and finishes rotations that a crash interrupted. The new E-key
   * is created after this call starts. The A-key stays, so no block changes. Anyone who kept an old keyring and its
   * E-key still has the A-key. To lock them out, seal the contents into a new vault.
   * @param vaultId the vault to rotate; every vault if it is omitted
   * @throws KeystrataError `conflict` if other devices write first on every try: wait a random time and call again
   * @throws KeystrataError and RangeError as in {@link Profile.openVault}
   */
  rotate(store: VaultStore, vaultId?: string): Promise<Profile>
  /**
   * Sets another admin, or zero trust, which is permanent. Drops every recovery slot and rotates every vault, so that
   * the former admin's E-keys open no current keyring. This takes effect once the old keyrings are deleted. A former
   * admin who kept one still has that vault's A-key (see {@link Profile.rotate}). If the change is interrupted,
   * {@link Profile.rotationDue} lists the vaults that are left, and `rotate` finishes it.
   * @throws KeystrataError `policy` if `recovery` sets an admin and the profile is under zero trust
   * @throws KeystrataError as in {@link Profile.rotate}, and as in {@link createProfile} for an invalid card
   * @throws TypeError if `recovery` is invalid
   */
  changeRecovery(store: VaultStore, recovery: Recovery): Promise<Profile>
}

class OpenedProfile extends SecretHolder implements Profile {
  readonly version: number
  readonly zeroTrust: boolean
  readonly vaults: readonly string[]
  readonly rotationDue: readonly string[]
  readonly #parsed: ParsedProfile
  readonly #owner: ProfileOwner

  /** Takes ownership of the root key if the key opens the record. Otherwise it throws, and the caller keeps the key. */
  constructor(parsed: ParsedProfile, owner: ProfileOwner) {
    disposeKeys(openProfileRecord(parsed, owner.rootKey))
    super('profile', () => owner.rootKey.dispose())
    this.version = parsed.version
    this.zeroTrust = parsed.zeroTrust
    this.vaults = Object.freeze(vaultNames(parsed))
    this.rotationDue = Object.freeze(
      parsed.vaults.filter(({ slots }) => slots.some(({ due }) => due)).map(({ id }) => toHex(id)),
    )
    this.#parsed = parsed
    this.#owner = owner
  }

  get record(): Bytes {
    return new Uint8Array(this.#parsed.bytes)
  }

  changePassword(next: Login): Profile {
    this.assertUsable()
    const contents = this.#contents()
    using _ = disposing(contents)
    const version = nextVersion(contents.version)
    const owner = ownerOf(next)
    const { realm, user } = this.#owner
    if (owner.realm !== realm || owner.user !== user) {
      owner.rootKey.dispose()
      throw new RangeError('next is the login of another user or realm: derive it with the names of this profile')
    }
    return sealedProfile({ ...contents, version }, owner)
  }

  async createVault(store: VaultStore): Promise<{ profile: Profile; vault: Vault } & Disposable> {
    return this.#withView(store, async (view) => {
      await this.#storeIfEmpty(store)
      const { record, id, dataKey } = await createVaultIn(view)
      const vault = new OpenedVault(id, dataKey)
      try {
        const profile = nextHandle(record, view)
        return disposable({ profile, vault }, () => {
          vault.dispose()
          profile.dispose()
        })
      } catch (error) {
        vault.dispose()
        throw error
      }
    })
  }

  async openVault(store: VaultStore, vaultId: string): Promise<Vault> {
    const id = parseVaultId(vaultId)
    return this.#withView(store, async (view) => {
      const known = this.#contents()
      using _ = disposing(known)
      return new OpenedVault(id, await openDataKey(view, known, vaultId))
    })
  }

  async rotate(store: VaultStore, vaultId?: string): Promise<Profile> {
    if (vaultId !== undefined) parseVaultId(vaultId)
    return this.#withView(store, async (view) => {
      await this.#storeIfEmpty(store)
      const newest = await readNewestRecord(view)
      return rotateEach(view, newest, vaultId === undefined ? vaultNames(newest) : [vaultId])
    })
  }

  async changeRecovery(store: VaultStore, recovery: Recovery): Promise<Profile> {
    const admin = parseRecovery(recovery)
    return this.#withView(store, async (view) => {
      await this.#storeIfEmpty(store)
      const marked = await changeProfile(view, (profile) => {
        if (profile.admin === undefined && admin !== undefined) {
          throw new KeystrataError('policy', 'this profile is under zero trust, which cannot be turned off', {
            rule: 'zero-trust',
          })
        }
        return { ...profile, admin, vaults: profile.vaults.map(markedForRotation) }
      })
      return rotateEach(view, marked, vaultNames(marked))
    })
  }

  /** Stores this profile if the store has none yet, so that the versions in the store have no gap. */
  async #storeIfEmpty(store: VaultStore): Promise<void> {
    if ((await store.readProfile()) === undefined) await store.writeProfile(this.record, this.version)
  }

  /** Opens the record. The caller disposes of the keys in the result. */
  #contents(): ProfileContents {
    this.assertUsable()
    return openProfileRecord(this.#parsed, this.#owner.rootKey)
  }

  /** Runs `work` with a copy of the root key, so that it can finish even if this handle is disposed of meanwhile. */
  async #withView<T>(store: VaultStore, work: (view: ProfileView) => Promise<T>): Promise<T> {
    this.assertUsable()
    if (typeof (store as VaultStore | undefined)?.readProfile !== 'function')
      throw new TypeError('store must be a VaultStore')
    using rootKey = this.#owner.rootKey.copy()
    const owner = { ...this.#owner, rootKey }
    return await work({ store, owner, profileId: this.#parsed.header.ownerId, atLeast: this.version })
  }
}

/** Rotates the vaults one after the other, and returns a handle of the newest record. */
async function rotateEach(view: ProfileView, from: ParsedProfile, vaultIds: readonly string[]): Promise<Profile> {
  let newest = from
  for (const vaultId of vaultIds) newest = await rotateVault({ ...view, atLeast: newest.version }, vaultId)
  return nextHandle(newest, view)
}

/** Opens a newer record as an independent handle, with its own copy of the root key. */
function nextHandle(record: ParsedProfile, { owner }: ProfileView): Profile {
  return opened(record, { ...owner, rootKey: owner.rootKey.copy() })
}

const vaultNames = ({ vaults }: ParsedProfile): readonly string[] => vaults.map(({ id }) => toHex(id))

/** Opens a record as a handle. The handle owns the root key; if opening fails, the key is disposed of. */
function opened(parsed: ParsedProfile, owner: ProfileOwner): Profile {
  try {
    return new OpenedProfile(parsed, owner)
  } catch (error) {
    owner.rootKey.dispose()
    throw error
  }
}

/** Encodes contents under the owner's root key and opens the result as a handle, which owns that key. */
export function sealedProfile(contents: ProfileContents, owner: ProfileOwner): Profile {
  try {
    return opened(parseProfile(encodeProfile(contents, owner.rootKey)), owner)
  } catch (error) {
    owner.rootKey.dispose()
    throw error
  }
}

/** Marks every key of a vault as due, because a former admin may have it, and drops the recovery slots. */
function markedForRotation(vault: VaultEntry): VaultEntry {
  return { ...vault, keys: vault.keys.map((key) => ({ ...key, due: true })), recoverySlots: [] }
}

/**
 * Decodes the id of a vault.
 * @throws TypeError if `vaultId` is not a string; RangeError if it is not 32 lower-case hex digits
 */
function parseVaultId(vaultId: string): Bytes {
  if (typeof vaultId !== 'string') throw new TypeError('vaultId must be a string')
  const id = fromHex(vaultId, 16)
  if (id === undefined) throw new RangeError('vaultId must be 32 lower-case hex digits')
  return id
}

/**
 * Creates the profile of a new user. Store its record together with the first verifier. Under zero trust, a user who
 * forgets the password loses the data: nobody can recover it. With an admin, anyone who holds the admin's keyset can
 * read the data; the server cannot.
 * @param recovery the admin's card, whose fingerprint was compared with the admin, or zero trust
 * @throws KeystrataError `key-changed` if the card's bytes and fingerprint do not belong together
 * @throws KeystrataError `malformed`, `unsupported`, `authentication-failed` if the admin's card is not a valid card
 * @throws KeystrataError `disposed` if the login was disposed of
 * @throws TypeError if `login` is not a login of this copy of the library, or `recovery` is invalid
 * @example
 * ```ts
 * import { createProfile, deriveLogin } from 'keystrata/vault'
 *
 * using login = await deriveLogin('correct horse', { realm: 'com.example.backup', user: 'user-4711' })
 * using profile = createProfile(login, { zeroTrust: true })
 * console.log(profile.version, profile.vaults) // 1 []
 * ```
 */
export function createProfile(login: Login, recovery: Recovery): Profile {
  const admin = parseRecovery(recovery)
  return sealedProfile({ id: randomBytes(16), version: 1, admin, vaults: [] }, ownerOf(login))
}

/**
 * Opens a profile with its user's login.
 * @param record the bytes that the server returned, at most 1 MiB
 * @param options `atLeast`: the lowest version to accept
 * @throws KeystrataError `wrong-password` if the login is of another password, user or realm
 * @throws KeystrataError `malformed` if the bytes are damaged; accidental damage never looks like a wrong password
 * @throws KeystrataError `authentication-failed` if the record was altered
 * @throws KeystrataError `rollback` if its version is below `atLeast`
 * @throws KeystrataError `unsupported` if it is another kind of object, or needs a later release
 * @throws KeystrataError `limit-exceeded` over 1 MiB or beyond 256 vaults
 * @throws KeystrataError `disposed` if the login was disposed of
 * @throws RangeError if `atLeast` is not a version number
 * @throws TypeError if `record` is not a Uint8Array, or `login` is not a login of this copy of the library
 * @example
 * ```ts
 * import { createProfile, deriveLogin, openProfile } from 'keystrata/vault'
 *
 * using login = await deriveLogin('correct horse', { realm: 'com.example.backup', user: 'user-4711' })
 * using created = createProfile(login, { zeroTrust: true })
 * using profile = openProfile(created.record, login, { atLeast: 1 })
 * console.log(profile.zeroTrust) // true
 * ```
 */
export function openProfile(record: Uint8Array, login: Login, options: { atLeast?: number } = {}): Profile {
  const atLeast = parseFloor(options.atLeast)
  const parsed = parseProfile(record)
  assertNotOlder(parsed, atLeast, 'profile')
  return opened(parsed, ownerOf(login))
}
