// Resetting a profile when the user has forgotten the password, by the admin or by the user's recovery key (SPEC §13.2).
// They cannot check the MAC of the record, but they can check its signature. A recovery key has signed the identity, too.
// Not protected: a reset by an admin without a pinned identity. Then anyone who runs the server can hand over a record of
// their own making.
import { equalBytes, fromHex, toHex } from '../core/bytes.ts'
import { answeredAlike, authenticationFailed, KeystrataError } from '../core/errors.ts'
import { invalidText } from '../core/invalid-text.ts'
import { plainForm } from '../core/typed-form.ts'
import { type Card, type CardHolder, cardHolderOf, readCard } from '../core/card.ts'
import { keyNotFound } from '../core/header.ts'
import { generateSigningPair, publicKeyId } from '../core/key-pairs.ts'
import { optionsFrom } from '../core/options.ts'
import {
  otherRecoveryKey,
  type RecoveryHolder,
  recoveryHolderIn,
  type RecoveryKey,
  sameRecoveryKeys,
} from '../core/recovery-holder.ts'
import { disposeKeys, disposing } from '../core/secret.ts'
import { isSignatureOf } from '../primitives/signature.ts'
import { assertNotOlder, FLOOR, nextVersion, parseFloor } from '../state/version.ts'
import { openRecoverySlot, type SlotKey, type UserNames } from './keyring.ts'
import { HandoverBy, type StoredRecovery, type StoredVault } from './layout.ts'
import { type Login, ownerOf } from './login.ts'
import { sealedProfile, type Profile } from './profile.ts'
import {
  type HandoverSigner,
  identityMessage,
  type ParsedProfile,
  readProfileRecord,
  type VaultEntry,
} from './profile-record.ts'
import { storedRecovery } from './profile-recovery.ts'

/**
 * Resets the password of a user who forgot it. It opens the recovery slots that were sealed to the admin's card, and
 * puts the same vaults under the new password. Save the credential of the new login (`saveCredential` of
 * `keystrata/server`), then the profile (`saveProfile`). The E-keys stay, so rotate if the old password may be known. The
 * result has a new identity, whose seed the admin knows. If the admin chose the new password, let the user change it: that
 * makes another identity.
 * @param record the bytes that the server returned
 * @param admin the keyset that the admin's card belongs to, or one that has adopted it
 * @param next the login of the same user, derived from the new password
 * @param options `identity`: the identity that the admin has pinned for this user (`parseProfile` shows it), 64 hex
 *   digits, or `'unpinned'`. Without a pin, anyone who runs the server could return a record with vaults that they created
 *   themselves. No old block opens in those. So open an old block of every vault before anything new is backed up.
 *   `atLeast`: the lowest revision to accept. Pass that of the latest record that the admin knows
 * @throws KeystrataError `key-changed` if the record has another identity than the pinned one. The user may have changed
 *   the recovery: compare the new identity with the user's device
 * @throws KeystrataError `policy` if the profile is under zero trust, or `admin` was unlocked from a source definition
 * @throws KeystrataError `key-not-found` if the profile has another admin, or a vault has no recovery slot because a
 *   change of recovery was interrupted
 * @throws KeystrataError `authentication-failed` if a signature does not hold, or a recovery slot belongs to another user
 *   or vault
 * @throws KeystrataError `rollback` if the record is older than `atLeast`
 * @throws KeystrataError `malformed`, `unsupported` if the record is damaged or not a profile
 * @throws KeystrataError `limit-exceeded` over 1 MiB, beyond 256 vaults, or if no higher version is left
 * @throws KeystrataError `disposed` if the keyset or the login was disposed of
 * @throws KeystrataError `invalid-text` if `identity` is neither 64 hex digits, perhaps with spaces or hyphens, nor
 *   `'unpinned'`
 * @throws TypeError if `admin` or `next` is not a handle of this copy of the library, `identity` is not a string, or
 *   `atLeast` is not a revision
 * @example
 * ```ts
 * import type { Keyset } from 'keystrata'
 * import { type Login, resetProfile } from 'keystrata/vault'
 *
 * function reset(record: Uint8Array, admin: Keyset, next: Login, pinned: string) {
 *   using profile = resetProfile(record, admin, next, { identity: pinned })
 *   return { record: profile.record, credential: next.credential, pin: profile.identity } // pin this one from now on
 * }
 * ```
 */
export function resetProfile(
  record: Uint8Array,
  admin: { card(): Card },
  next: Login,
  options: { identity: string; atLeast?: string },
): Profile
/**
 * Resets the password of a user by their own recovery key, under zero trust. It needs no pin, because the recovery key has
 * signed the identity. The result has a new identity, which the recovery key signs; the recovery key stays the same. Save the
 * credential of the new login, then the profile. Nothing changes before that, so this is also the drill: call it, and dispose
 * of the result. The E-keys stay, so rotate if the old password may be known.
 * @param record the bytes that the server returned
 * @param recoveryKey the recovery key that the user gave to `createProfile` or `changeRecovery`
 * @param next the login of the same user, derived from the new password
 * @param options `atLeast`: the lowest revision to accept. `identity`: the identity that the user has seen last, 64 hex digits.
 *   Somebody who once knew a password of the user has the identity of that time, which the recovery key has signed too. With the
 *   server, they could hand over vaults of their own. So after a password was known, use a new recovery key, or pass this
 * @throws KeystrataError `key-not-found` if the profile has another recovery key, or an admin; or if a vault has no recovery slot
 *   because a change of recovery was interrupted
 * @throws KeystrataError `policy` if the profile is under zero trust without a recovery key
 * @throws KeystrataError `authentication-failed` if a signature does not hold, or if `next` is the login of another user
 * @throws KeystrataError `key-changed` if the profile has another identity than `identity`; `invalid-text` if that is not 64 hex
 *   digits
 * @throws KeystrataError `rollback`, `malformed`, `unsupported`, `limit-exceeded`, `disposed` as above
 * @throws TypeError if `recoveryKey` or `next` is not a handle of this copy of the library, or for an unknown option
 */
export function resetProfile(
  record: Uint8Array,
  recoveryKey: RecoveryKey,
  next: Login,
  options?: { identity?: string; atLeast?: string },
): Profile
export function resetProfile(
  record: Uint8Array,
  by: { card(): Card } | RecoveryKey,
  next: Login,
  options?: { identity?: string; atLeast?: string },
): Profile {
  const recovery = recoveryHolderIn(by)
  if (recovery !== undefined) return resetByKey(record, recovery, next, options)
  return resetByAdmin(record, by as { card(): Card }, next, options as { identity: string; atLeast?: string })
}

function resetByAdmin(
  record: Uint8Array,
  admin: { card(): Card },
  next: Login,
  options: { identity: string; atLeast?: string },
): Profile {
  const given = optionsFrom(options, { identity: 'required', ...FLOOR }, 'resetProfile', IDENTITY_HINT)
  const parsed = recordToReset(record, given)
  const holder = cardHolderOf(admin, 'admin', 'resetting a profile')
  const handover = { by: HandoverBy.card, sign: signerOf(parsed, holder) }
  return reset(parsed, holder, next, handover, () => parsed.recovery)
}

function resetByKey(
  record: Uint8Array,
  holder: RecoveryHolder,
  next: Login,
  options: { identity?: string; atLeast?: string } | undefined,
): Profile {
  const given = optionsFrom(options, { identity: 'defined', ...FLOOR }, 'resetProfile')
  const parsed = recordToReset(record, given)
  const { recovery, identity } = parsed
  const { ownerId: id } = parsed.header
  if (recovery.kind === 'nobody') throw nobodyElseResets(false)
  if (recovery.kind === 'card') {
    const message = 'this profile has an admin, and no recovery key: the admin can reset the password'
    throw keyNotFound('profile', parsed.header, message)
  }
  const { keys, signature } = recovery.value
  if (!sameRecoveryKeys(keys, holder.keys)) throw otherRecoveryKey('profile', id, keys)
  const handover = { by: HandoverBy.recoveryKey, sign: (message: Uint8Array) => holder.sign(message) }
  return reset(parsed, holder, next, handover, (names, identityNow) => {
    if (!isSignatureOf(keys.signing, identityMessage(id, names, identity), signature)) throw authenticationFailed()
    return storedRecovery({ kind: 'recoveryKey', value: holder }, id, names, identityNow)
  })
}

/** Reads a record that is to be reset, and checks it against the pin and the floor of the caller. */
function recordToReset(record: Uint8Array, given: { identity?: string; atLeast?: string }): ParsedProfile {
  const pinned = given.identity === undefined ? undefined : parsePin(given.identity)
  const atLeast = parseFloor(given)
  const parsed = readProfileRecord(record)
  assertNotOlder(parsed, atLeast, 'profile')
  assertPinned(parsed, pinned)
  return parsed
}

/**
 * Puts every vault of a profile under a new password, and makes a new identity.
 * @param holder opens the recovery slots
 * @param recoveryOf returns who may reset the profile from now on
 */
function reset(
  parsed: ParsedProfile,
  holder: Pick<CardHolder, 'openSealed'>,
  next: Login,
  handover: HandoverSigner,
  recoveryOf: (names: UserNames, identity: Uint8Array) => StoredRecovery,
): Profile {
  const { ownerId: id } = parsed.header
  const vaults: VaultEntry[] = []
  const identity = generateSigningPair()
  using _ = disposing(vaults, identity.seed)
  const owner = ownerOf(next)
  try {
    const recovery = recoveryOf(owner, identity.publicKey)
    const version = nextVersion(parsed.version)
    for (const vault of parsed.vaults) vaults.push(recoverVault(id, vault, holder, owner))
    // An admin knows the new identity. Anyone who has the user's recovery key is the user.
    const identityDue = handover.by === HandoverBy.card
    const contents = { id, version, identity, identityDue, recovery, vaults }
    return sealedProfile(contents, owner, { record: parsed.bytes, handover })
  } catch (error) {
    owner.rootKey.dispose()
    throw error
  }
}

const IDENTITY_HINT = ": pass the identity that was pinned for this user, or 'unpinned'"

/** Returns the pinned identity, or undefined for `'unpinned'`. */
function parsePin(identity: string): Uint8Array | undefined {
  if (typeof identity !== 'string') {
    throw new TypeError("identity must be the identity that was pinned for this user, or 'unpinned'")
  }
  if (identity === 'unpinned') return undefined
  const digits = plainForm(identity, 'identity')
  const pinned = fromHex(digits.toLowerCase(), 32)
  if (pinned !== undefined) return pinned
  const { length } = digits
  const message = "the identity is mistyped: type its 64 digits 0-9 and letters a-f, or pass 'unpinned'"
  throw invalidText(length > 64 ? 'too-long' : 'check', 'identity', message, { characters: length, most: 64 })
}

function assertPinned({ identity }: ParsedProfile, pinned: Uint8Array | undefined): void {
  if (pinned === undefined || equalBytes(identity, pinned)) return
  const message = 'this profile has another identity than the pinned one: compare it with what the user sees'
  throw new KeystrataError('key-changed', message, { identity: toHex(identity) })
}

/**
 * Returns what signs as the card in the record: only that hands the profile over. The admin may also have adopted the
 * keyset that the card belongs to.
 * @throws KeystrataError `policy` under zero trust; `key-not-found` if it is another admin
 */
function signerOf({ recovery }: ParsedProfile, holder: CardHolder): HandoverSigner['sign'] {
  if (recovery.kind !== 'card') throw nobodyElseResets(recovery.kind === 'recoveryKey')
  // The record's signature has been checked, so only its owner could have written an invalid card.
  const card = answeredAlike(() => readCard(recovery.value))
  const sign = holder.signerOf(card)
  if (sign !== undefined) return sign
  const header = { ownerId: card.ownerId, keyId: publicKeyId(card.sharing) }
  throw keyNotFound('profile', header, 'this profile has another admin: unlock the keyset that its card belongs to')
}

function nobodyElseResets(hasRecoveryKey: boolean): KeystrataError {
  const who = hasRecoveryKey ? "only the user's recovery key can reset its password" : 'nobody can reset its password'
  return new KeystrataError('policy', `this profile is under zero trust: ${who}`, { rule: 'zero-trust' })
}

function recoverVault(
  profileId: Uint8Array,
  { id, dataKeyId, slots, recoverySlots }: StoredVault,
  holder: Pick<CardHolder, 'openSealed'>,
  names: UserNames,
): VaultEntry {
  const keys: SlotKey[] = []
  try {
    const opened = slots.map(({ generation, due }) => {
      const slot = recoverySlots.find((each) => each.generation === generation)
      if (slot === undefined) throw noRecoverySlot(id)
      keys.push({ ...openRecoverySlot(holder, profileId, names, id, slot), due })
      return slot
    })
    // Keep only the recovery slots that were opened. The server could have added others.
    return { id, dataKeyId, keys, recoverySlots: opened }
  } catch (error) {
    disposeKeys(keys)
    throw error
  }
}

function noRecoverySlot(vaultId: Uint8Array): KeystrataError {
  return new KeystrataError('key-not-found', 'a recovery slot of this vault is missing: its user must rotate it', {
    object: 'recovery slot',
    vaultId: toHex(vaultId),
  })
}
