// A user's profile in the user's hands: it opens vaults, and changes what protects them (SPEC §9, §10).
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
} from './store.ts'

/**
 * Who may set a new password: the admin with this card, whose keyset can then read everything; or nobody.
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

/** The admin's card, or undefined for zero trust. @throws TypeError for what is neither, or both */
export function parseRecovery(recovery: Recovery | undefined): Bytes | undefined {
  const { admin, zeroTrust } = (recovery ?? {}) as { admin?: Card; zeroTrust?: unknown }
  if (zeroTrust === true && admin === undefined) return undefined
  if (zeroTrust !== undefined || admin === undefined) {
    throw new TypeError('recovery is { admin: card } or { zeroTrust: true }')
  }
  // The fingerprint that stands beside the bytes is the one that somebody compared.
  const { bytes, fingerprint } = cardFrom(admin)
  return parseCard(bytes, { fingerprint }).bytes
}

/**
 * A profile that was opened with its user's password. What changes it gives a new handle with a higher version: store its
 * record if the call did not, use it, and dispose of the old one.
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
   * What the server keeps. It sees the ids of the vaults, the admin's card and some numbers, no keys, and cannot change it
   * unseen. A copy at every reading.
   */
  readonly record: Bytes
  /** Grows by one with every change. Keep the last one: {@link openProfile} refuses older ones by it. */
  readonly version: number
  /**
   * Whether nobody can set a new password. That nobody but who knows it can read holds from the moment on that
   * {@link Profile.rotationDue} is empty and the old keyrings are gone.
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
  changePassword(next: Login): Profile
  /**
   * Creates a vault with fresh keys, and stores its keyring and the profile. Into a store that has no profile at all, this
   * one goes first, here and in `rotate` and `changeRecovery`; a service stores it at sign-up, with the verifier.
   * @throws KeystrataError `conflict` if other devices write first, every time: wait a random moment and call again;
   *   `rollback` if the store offers an older profile than this one; `wrong-password` if the password was changed meanwhile;
   *   `authentication-failed` if the store does not give back what was written, or offers another profile; `malformed`,
   *   `unsupported` for what it gives that is no profile; `limit-exceeded` beyond 256 vaults; `key-not-found` if it holds
   *   no profile; `disposed`
   */
  createVault(store: VaultStore): Promise<{ profile: Profile; vault: Vault } & Disposable>
  /**
   * Opens a vault, with newer keys from the store if those of this profile were rotated away.
   * @throws KeystrataError `key-not-found` if the profile knows no such vault or the store has no keyring of it;
   *   `authentication-failed` if profile and keyring do not belong together, or were altered; `malformed`, `unsupported`,
   *   `limit-exceeded` for what is neither; `rollback`, `disposed`; `wrong-password` if the password was changed on another
   *   device
   * @throws RangeError for what is no id of a vault
   */
  openVault(store: VaultStore, vaultId: string): Promise<Vault>
  /**
   * Gives one vault, or every one, a new E-key over the same A-key, which nobody had when this was called, and finishes
   * what a crash left. No block is touched. Whoever kept an old keyring and its E-key keeps the A-key: to take that away,
   * seal the contents into a new vault.
   * @throws KeystrataError `conflict` if other devices write first, every time: wait a random moment and call again;
   *   otherwise as `openVault`
   */
  rotate(store: VaultStore, vaultId?: string): Promise<Profile>
  /**
   * Sets another admin, or zero trust for good: drops every recovery slot, and rotates every vault, so that the E-keys of
   * the former admin open no keyring any more. It counts from the moment the old keyrings are gone: whoever kept one keeps
   * what {@link Profile.rotate} cannot take away. If it is interrupted, `rotationDue` says so; `rotate` finishes.
   * @throws KeystrataError `policy` for an admin after zero trust; otherwise as `rotate`
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

  /** Takes the root key over, which must open the record. */
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
      throw new RangeError('a new password needs a login of the same user in the same realm')
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
          throw new KeystrataError('policy', 'zero trust cannot be turned off', { rule: 'zero-trust' })
        }
        return { ...profile, admin, vaults: profile.vaults.map(markedForRotation) }
      })
      return rotateEach(view, marked, vaultNames(marked))
    })
  }

  /** A profile that was never stored is stored first, so that the versions of a store have no gap. */
  async #storeIfEmpty(store: VaultStore): Promise<void> {
    if ((await store.readProfile()) === undefined) await store.writeProfile(this.record, this.version)
  }

  /** What the record holds; the caller disposes of the keys in it. */
  #contents(): ProfileContents {
    this.assertUsable()
    return openProfileRecord(this.#parsed, this.#owner.rootKey)
  }

  /** Lends the owner's key to work that takes its time, whatever happens to this handle meanwhile. */
  async #withView<T>(store: VaultStore, work: (view: ProfileView) => Promise<T>): Promise<T> {
    this.assertUsable()
    if (typeof (store as VaultStore | undefined)?.readProfile !== 'function')
      throw new TypeError('store must be a VaultStore')
    using rootKey = this.#owner.rootKey.copy()
    const owner = { ...this.#owner, rootKey }
    return await work({ store, owner, profileId: this.#parsed.header.ownerId, atLeast: this.version })
  }
}

/** Rotates one vault after the other. */
async function rotateEach(view: ProfileView, from: ParsedProfile, vaultIds: readonly string[]): Promise<Profile> {
  let newest = from
  for (const vaultId of vaultIds) newest = await rotateVault({ ...view, atLeast: newest.version }, vaultId)
  return nextHandle(newest, view)
}

/** The handle of a newer record, with a life of its own. */
function nextHandle(record: ParsedProfile, { owner }: ProfileView): Profile {
  return opened(record, { ...owner, rootKey: owner.rootKey.copy() })
}

const vaultNames = ({ vaults }: ParsedProfile): readonly string[] => vaults.map(({ id }) => toHex(id))

/** The handle of a record, which takes the root key over. */
function opened(parsed: ParsedProfile, owner: ProfileOwner): Profile {
  try {
    return new OpenedProfile(parsed, owner)
  } catch (error) {
    owner.rootKey.dispose()
    throw error
  }
}

/** The handle of these contents, written down under the root key, which it takes over. */
export function sealedProfile(contents: ProfileContents, owner: ProfileOwner): Profile {
  try {
    return opened(parseProfile(encodeProfile(contents, owner.rootKey)), owner)
  } catch (error) {
    owner.rootKey.dispose()
    throw error
  }
}

/** Every key that a former admin can have is to be replaced. */
function markedForRotation(vault: VaultEntry): VaultEntry {
  return { ...vault, keys: vault.keys.map((key) => ({ ...key, due: true })), recoverySlots: [] }
}

/** @throws RangeError for what is no id of a vault */
function parseVaultId(vaultId: string): Bytes {
  if (typeof vaultId !== 'string') throw new TypeError('vaultId must be a string')
  const id = fromHex(vaultId, 16)
  if (id === undefined) throw new RangeError('the id of a vault is 32 lower-case hex digits')
  return id
}

/**
 * Creates the profile of a new user; store its record with the first verifier. Under zero trust, who forgets the password
 * has lost the data for good: nobody can recover it. With an admin, whoever holds the admin's keyset can read the data; the
 * server cannot.
 * @param recovery the admin's card, whose fingerprint was compared, or zero trust
 * @throws KeystrataError `key-changed` if card and fingerprint do not belong together; `malformed`, `unsupported`,
 *   `authentication-failed` if it is no card; `disposed`
 * @throws TypeError for a login of another copy of this library, and a recovery that is none
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
 * @param record what the server gave, at most 1 MiB
 * @param options `atLeast`: the lowest version to take
 * @throws KeystrataError `wrong-password`; `malformed` for damaged bytes, which never look like a wrong password;
 *   `authentication-failed` for altered ones; `rollback` below `atLeast`; `unsupported`, `limit-exceeded`, `disposed`
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
