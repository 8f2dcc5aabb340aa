// An open profile of a user. It opens and creates vaults, and changes the password, the keys and the recovery that
// protect them (SPEC §13, §14). Not protected: old records open with the old password until the vaults are rotated.
import { type Bytes, copyOf, equalBytes, fromHex, toHex } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { generateSigningPair, type SigningPair } from '../core/key-pairs.ts'
import { optionsFrom } from '../core/options.ts'
import { disposable, disposeKeys, disposing, type Handle, SecretHolder } from '../core/secret.ts'
import { keyIdOf } from '../core/wrap.ts'
import { randomBytes } from '../primitives/random.ts'
import { sign } from '../primitives/signature.ts'
import { CheckedStore } from '../state/checked.ts'
import type { StateStore } from '../state/store.ts'
import { assertNotOlder, FLOOR, nextVersion, parseFloor } from '../state/version.ts'
import { OpenedVault, type Vault } from './block.ts'
import { HandoverBy } from './layout.ts'
import type { UserNames } from './keyring.ts'
import { type Login, ownerOf, type ProfileOwner } from './login.ts'
import { factsOf, type ProfileFacts } from './profile-facts.ts'
import {
  encodeProfile,
  type HandoverSigner,
  openProfileRecord,
  type ParsedProfile,
  parseProfileRecord,
  type Predecessor,
  type ProfileContents,
  withRecoverySlots,
  zeroTrustIsPermanent,
} from './profile-record.ts'
import { parseRecovery, type Recovery, storedRecovery } from './profile-recovery.ts'
import { rotateVault } from './rotation.ts'
import { changeProfile, type ProfileView, readStoredRecord, readVerifiedRecord, writeRecord } from './stored-profile.ts'
import { createVaultIn, openDataKey } from './stored-vault.ts'

/**
 * A profile that was opened with its user's password. Every change returns a new handle with a higher revision. Use the
 * new handle and dispose of the old one. Methods that take a store also store the new record. After
 * {@link Profile.changePassword}, the caller stores it with `saveProfile`.
 *
 * The store has the object `profile`, and an object `keyring/<vault id>` for each vault. Use `prefixed` if it holds the
 * profiles of several users, and `routed` if the keyrings lie in another place. On a server, put `guardProfiles` of
 * `keystrata/server` in front of it. Back up both places at one moment: a profile and keyrings of different times may not
 * open each other.
 * @example
 * ```ts
 * import type { StateStore } from 'keystrata/stores'
 * import type { Profile } from 'keystrata/vault'
 *
 * async function rotateAll(profile: Profile, store: StateStore) {
 *   using rotated = await profile.rotate(store)
 *   return rotated.revision // to be kept, for `atLeast`
 * }
 * ```
 */
export interface Profile extends ProfileFacts, Handle {
  /**
   * The bytes that the server stores; each read returns a new copy. The server sees the ids of the vaults, the admin's
   * card, the identity and some numbers, but no secrets. It cannot change the record without being noticed.
   */
  readonly record: Bytes
  /**
   * The ids of the vaults with a key that a former admin may still have, because a change of recovery was interrupted.
   * Call {@link Profile.rotate} if it is not empty.
   */
  readonly rotationDue: readonly string[]
  /**
   * Puts the same vaults under a new password. Save the credential first (`saveCredential` of `keystrata/server`), then
   * the profile (`saveProfile`). If something fails in between, the old password keeps working. After a reset by an admin,
   * this also makes a new identity, because the admin knew the seed of the old one.
   *
   * If someone else may know the old password, this is not enough: an old record opens with it, and holds the identity and
   * the keys of the vaults. Then end all sessions of the user, and call {@link Profile.changeRecovery} with the same
   * recovery. It makes a new identity and new keys.
   * @param next the login that was derived from the new password
   * @throws KeystrataError `disposed` if this profile or `next` was disposed of
   * @throws KeystrataError `limit-exceeded` if no higher version is left
   * @throws RangeError if `next` is the login of another user or realm
   * @throws TypeError if `next` is not a login of this copy of the library
   */
  changePassword(next: Login): Profile
  /**
   * Creates a vault with fresh keys, and stores its keyring and then the new profile. A profile that was created and not
   * saved yet is saved first.
   * @returns the new profile and the vault; disposing of the result disposes of both
   * @throws KeystrataError `conflict` if other devices write first on every try: wait a random time and call again
   * @throws KeystrataError `rollback` if the store still returns an older profile than this one after several reads, or
   *   this one was never saved
   * @throws KeystrataError `wrong-password` if the password was changed on another device
   * @throws KeystrataError `policy` if the store has another profile, or a server refuses the write
   * @throws KeystrataError `missing` if the store has no profile
   * @throws KeystrataError `authentication-failed` if the store has an altered profile
   * @throws KeystrataError `malformed`, `unsupported` if it has something that is not a profile
   * @throws KeystrataError `limit-exceeded` beyond 256 vaults, or if no higher version is left
   * @throws KeystrataError `disposed` if this profile was disposed of
   * @throws TypeError if the store returns an invalid answer; the store's own errors
   */
  createVault(store: StateStore): Promise<{ profile: Profile; vault: Vault } & Disposable>
  /**
   * Opens a vault. If another device has rotated the vault since, this reads the new keys from the store.
   * @param vaultId one of {@link ProfileFacts.vaults}: 32 lower-case hex digits
   * @throws KeystrataError `key-not-found` if the profile has no such vault
   * @throws KeystrataError `missing` if the store has no keyring of the vault, or no profile
   * @throws KeystrataError `authentication-failed` if the profile and the keyring do not belong together, or were
   *   altered
   * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded` if the store has something that is not a profile
   *   or not a keyring
   * @throws KeystrataError `rollback` if the store still returns an older profile than this one after several reads
   * @throws KeystrataError `wrong-password` if the password was changed on another device
   * @throws KeystrataError `policy` if the store has another profile
   * @throws KeystrataError `disposed` if this profile was disposed of
   * @throws RangeError if `vaultId` is not 32 lower-case hex digits
   * @throws TypeError if the store returns an invalid answer; the store's own errors
   */
  openVault(store: StateStore, vaultId: string): Promise<Vault>
  /**
   * Replaces the E-key of one vault, or of every vault, and finishes rotations that a crash interrupted. The new E-key
   * is created after this call starts. The A-key stays, so no block changes. The identity stays too; a change of recovery
   * replaces both. Anyone who kept an old keyring and its
   * E-key still has the A-key. To lock them out, seal the contents into a new vault.
   * @param vaultId the vault to rotate; every vault if it is omitted
   * @throws KeystrataError `conflict` if other devices write first on every try: wait a random time and call again
   * @throws KeystrataError, RangeError and TypeError as in {@link Profile.openVault}
   */
  rotate(store: StateStore, vaultId?: string): Promise<Profile>
  /**
   * Sets another admin, the same one again, or zero trust, which is permanent, with or without a recovery key. To keep a
   * recovery key, pass it again: without it, nobody can reset the profile any more. Makes a new identity, drops every recovery slot and rotates
   * every vault, so that the former admin's E-keys open no current keyring. This takes effect once the old keyrings are
   * deleted. A former admin who kept one still has that vault's A-key (see {@link Profile.rotate}). If an admin has chosen
   * the password, change it too. If the change is interrupted, {@link Profile.rotationDue} lists the vaults that are left,
   * and `rotate` finishes it.
   * @throws KeystrataError `policy` if `recovery` sets an admin and the profile is under zero trust; or if it sets a recovery
   *   key while an admin knows the password, after a reset: change the password first
   * @throws KeystrataError as in {@link Profile.rotate}, and as in {@link createProfile} for an invalid card
   * @throws TypeError if `recovery` is invalid
   */
  changeRecovery(store: StateStore, recovery: Recovery): Promise<Profile>
}

/** What the rest of this room needs of a profile handle. */
export interface ProfileInsides {
  readonly parsed: ParsedProfile
  readonly owner: ProfileOwner
}

class OpenedProfile extends SecretHolder implements Profile {
  readonly revision: string
  readonly identity: string
  readonly zeroTrust: boolean
  readonly hasRecoveryKey: boolean
  readonly vaults: readonly string[]
  readonly passwordId: string
  readonly rotationDue: readonly string[]
  readonly #parsed: ParsedProfile
  readonly #owner: ProfileOwner

  /** Takes ownership of the root key if the key opens the record. Otherwise it throws, and the caller keeps the key. */
  constructor(parsed: ParsedProfile, owner: ProfileOwner) {
    disposeKeys(openProfileRecord(parsed, owner.rootKey))
    super('profile', () => owner.rootKey.dispose())
    const { revision, identity, zeroTrust, hasRecoveryKey, vaults, passwordId } = factsOf(parsed)
    this.revision = revision
    this.identity = identity
    this.zeroTrust = zeroTrust
    this.hasRecoveryKey = hasRecoveryKey
    this.vaults = vaults
    this.passwordId = passwordId
    this.rotationDue = Object.freeze(
      parsed.vaults.filter(({ slots }) => slots.some(({ due }) => due)).map(({ id }) => toHex(id)),
    )
    this.#parsed = parsed
    this.#owner = owner
  }

  get record(): Bytes {
    return copyOf(this.#parsed.bytes)
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
    const { bytes: record, header } = this.#parsed
    // The same password again would keep the admin who chose it in the know.
    const isKnown = contents.identityDue && !equalBytes(keyIdOf(owner.rootKey), header.keyId)
    if (!isKnown) return sealedProfile({ ...contents, version }, owner, { record })
    const identity = generateSigningPair()
    using _identity = identity.seed
    const renewed = { ...contents, version, identity, identityDue: false }
    return sealedProfile(renewed, owner, { record, handover: byIdentity(contents.identity) })
  }

  async createVault(store: StateStore): Promise<{ profile: Profile; vault: Vault } & Disposable> {
    return this.#withView(store, async (view) => {
      const { version, bytes } = this.#parsed
      if (version === 1 && (await readStoredRecord(view.store)) === undefined) {
        await writeRecord(view.store, undefined, bytes)
      }
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

  async openVault(store: StateStore, vaultId: string): Promise<Vault> {
    const id = parseVaultId(vaultId)
    return this.#withView(store, async (view) => {
      const known = this.#contents()
      using _ = disposing(known)
      return new OpenedVault(id, await openDataKey(view, known, vaultId))
    })
  }

  async rotate(store: StateStore, vaultId?: string): Promise<Profile> {
    if (vaultId !== undefined) parseVaultId(vaultId)
    return this.#withView(store, async (view) => {
      const newest = await readVerifiedRecord(view)
      if (vaultId === undefined) return rotateAll(view, newest)
      return nextHandle(await rotateVault({ ...view, atLeast: newest.version }, vaultId), view)
    })
  }

  async changeRecovery(store: StateStore, recovery: Recovery): Promise<Profile> {
    const chosen = parseRecovery(recovery)
    return this.#withView(store, async (view) => {
      const identity = generateSigningPair()
      using _ = identity.seed
      const next = storedRecovery(chosen, view.profileId, view.owner, identity.publicKey)
      const marked = await changeProfile(view, ({ record, contents }) => {
        if (equalBytes(record.identity, identity.publicKey)) return undefined
        if (contents.recovery.kind !== 'card' && next.kind === 'card') throw zeroTrustIsPermanent()
        // The next new password must make another identity, and has no recovery key to sign it.
        if (contents.identityDue && next.kind === 'recoveryKey') throw passwordIsKnown()
        return {
          contents: markedForRotation({ ...contents, identity, recovery: next }, view.owner),
          handover: byIdentity(contents.identity),
        }
      })
      return await rotateAll(view, marked)
    })
  }

  /** Opens the record. The caller disposes of the keys in the result. */
  #contents(): ProfileContents {
    this.assertUsable()
    return openProfileRecord(this.#parsed, this.#owner.rootKey)
  }

  /**
   * Runs `work` with a copy of the root key, so that it can finish even if this handle is disposed of meanwhile.
   */
  async #withView<T>(store: StateStore, work: (view: ProfileView) => Promise<T>): Promise<T> {
    this.assertUsable()
    const checked = new CheckedStore(store)
    using rootKey = this.#owner.rootKey.copy()
    const owner = { ...this.#owner, rootKey }
    const { header, version } = this.#parsed
    return await work({ store: checked, owner, profileId: header.ownerId, atLeast: version })
  }

  static insidesOf(profile: Profile): ProfileInsides {
    if (!(profile instanceof OpenedProfile)) {
      throw new TypeError('profile must be a Profile from this copy of the library')
    }
    profile.assertUsable()
    return { parsed: profile.#parsed, owner: profile.#owner }
  }
}

/**
 * Returns the insides of a profile handle. They still belong to it.
 * @throws KeystrataError `disposed` if it was disposed of
 * @throws TypeError if it is not a profile from this copy of the library
 */
export const insidesOf = (profile: Profile): ProfileInsides => OpenedProfile.insidesOf(profile)

const byIdentity = ({ seed }: SigningPair): HandoverSigner => ({
  by: HandoverBy.identity,
  sign: (message) => sign(seed, message),
})

/**
 * Rotates every vault, one after the other, and returns a handle of the newest record. `from` may have been read late, so
 * this ends only when a record lists no other vault.
 */
async function rotateAll(view: ProfileView, from: ParsedProfile): Promise<Profile> {
  const rotated: Set<string> = new Set()
  for (let newest = from; ;) {
    const vaultId = factsOf(newest).vaults.find((each) => !rotated.has(each))
    if (vaultId === undefined) return nextHandle(newest, view)
    newest = await rotateVault({ ...view, atLeast: newest.version }, vaultId)
    rotated.add(vaultId)
  }
}

/** Opens a newer record as an independent handle, with its own copy of the root key. */
function nextHandle(record: ParsedProfile, { owner }: ProfileView): Profile {
  return openedProfile(record, { ...owner, rootKey: owner.rootKey.copy() })
}

/** Opens a record as a handle. The handle owns the root key; if opening fails, the key is disposed of. */
export function openedProfile(parsed: ParsedProfile, owner: ProfileOwner): Profile {
  try {
    return new OpenedProfile(parsed, owner)
  } catch (error) {
    owner.rootKey.dispose()
    throw error
  }
}

/**
 * Encodes contents under the owner's root key and opens the result as a handle, which owns that key.
 * @param predecessor the record that this one follows; undefined for the first
 */
export function sealedProfile(contents: ProfileContents, owner: ProfileOwner, predecessor?: Predecessor): Profile {
  try {
    return openedProfile(parseProfileRecord(encodeProfile(contents, owner.rootKey, predecessor)), owner)
  } catch (error) {
    owner.rootKey.dispose()
    throw error
  }
}

const passwordIsKnown = (): KeystrataError =>
  new KeystrataError(
    'policy',
    'an admin has reset this password and may know it: change it before you set a recovery key',
    {
      rule: 'change-password',
    },
  )

/**
 * Marks every key as due, because a former admin may have it, and replaces the recovery slots. A recovery key gets a slot for
 * these keys too, so that the user's sheet is good at once; an admin gets only the next ones.
 */
function markedForRotation(contents: ProfileContents, names: UserNames): ProfileContents {
  const isOwn = contents.recovery.kind === 'recoveryKey'
  const vaults = contents.vaults.map((vault) => {
    const without = { ...vault, recoverySlots: [] }
    const sealed = isOwn ? withRecoverySlots(without, contents, names) : without
    return { ...sealed, keys: vault.keys.map((key) => ({ ...key, due: true })) }
  })
  return { ...contents, vaults }
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
 * Creates the profile of a new user. Save its credential first (`saveCredential` of `keystrata/server`), then the profile
 * (`saveProfile`). Under zero trust without a recovery key, a user who forgets the password loses the data: nobody can
 * recover it. With an admin, anyone who holds the admin's keyset can read the data; the server cannot.
 * @param recovery the admin's card, whose fingerprint was compared with the admin; or zero trust, with a recovery key if the user
 *   wants one. The profile keeps its public keys only
 * @throws KeystrataError `key-changed` if the card's bytes and fingerprint do not belong together
 * @throws KeystrataError `invalid-text` if the card's fingerprint is not 60 digits
 * @throws KeystrataError `malformed`, `unsupported`, `authentication-failed` if the admin's card is not a valid card
 * @throws KeystrataError `disposed` if the login was disposed of
 * @throws TypeError if `login` is not a login of this copy of the library, or `recovery` is invalid
 * @example
 * ```ts
 * import { createProfile, deriveLogin } from 'keystrata/vault'
 *
 * using login = await deriveLogin('correct horse', { realm: 'com.example.backup', user: 'user-4711' })
 * using profile = createProfile(login, { zeroTrust: true })
 * console.log(profile.revision, profile.vaults) // 1 []
 * ```
 */
export function createProfile(login: Login, recovery: Recovery): Profile {
  const chosen = parseRecovery(recovery)
  const owner = ownerOf(login)
  const identity = generateSigningPair()
  using _ = identity.seed
  const id = randomBytes(16)
  const stored = storedRecovery(chosen, id, owner, identity.publicKey)
  return sealedProfile({ id, version: 1, identity, identityDue: false, recovery: stored, vaults: [] }, owner)
}

/**
 * Opens a profile with its user's login.
 * @param record the bytes that the server returned, at most 1 MiB
 * @param options `atLeast`: the lowest revision to accept
 * @throws KeystrataError `wrong-password` if the login is of another password, user or realm
 * @throws KeystrataError `malformed` if the bytes are damaged; accidental damage never looks like a wrong password
 * @throws KeystrataError `authentication-failed` if the record was altered
 * @throws KeystrataError `rollback` if it is older than `atLeast`
 * @throws KeystrataError `unsupported` if it is another kind of object, or needs a later release
 * @throws KeystrataError `limit-exceeded` over 1 MiB or beyond 256 vaults
 * @throws KeystrataError `disposed` if the login was disposed of
 * @throws TypeError if `record` is not a Uint8Array, `atLeast` is not a revision, or `login` is not a login of this copy
 *   of the library
 * @example
 * ```ts
 * import { createProfile, deriveLogin, openProfile } from 'keystrata/vault'
 *
 * using login = await deriveLogin('correct horse', { realm: 'com.example.backup', user: 'user-4711' })
 * using created = createProfile(login, { zeroTrust: true })
 * using profile = openProfile(created.record, login, { atLeast: created.revision })
 * console.log(profile.zeroTrust) // true
 * ```
 */
export function openProfile(record: Uint8Array, login: Login, options?: { atLeast?: string }): Profile {
  const atLeast = parseFloor(optionsFrom(options, FLOOR, 'openProfile'))
  const parsed = parseProfileRecord(record)
  assertNotOlder(parsed, atLeast, 'profile')
  return openedProfile(parsed, ownerOf(login))
}
