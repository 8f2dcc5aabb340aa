// Resetting a profile by the admin, when the user has forgotten the password (SPEC §9.2). The admin cannot check the MAC
// of the record, but its signature. Not protected: a reset without a pinned identity. Then whoever runs the server can
// hand over a record of their own making.
import { equalBytes, fromHex, toHex } from '../core/bytes.ts'
import { answeredAlike, KeystrataError } from '../core/errors.ts'
import { invalidText } from '../core/invalid-text.ts'
import { plainForm } from '../core/typed-form.ts'
import { type Card, type CardHolder, cardHolderOf, readCard } from '../core/card.ts'
import { keyNotFound } from '../core/header.ts'
import { generateSigningPair, publicKeyId } from '../core/key-pairs.ts'
import { optionsFrom } from '../core/options.ts'
import { disposeKeys, disposing } from '../core/secret.ts'
import { assertNotOlder, FLOOR, nextVersion, parseFloor } from '../state/version.ts'
import { openRecoverySlot, type SlotKey, type UserNames } from './keyring.ts'
import { HandoverBy, type StoredVault } from './layout.ts'
import { type Login, ownerOf } from './login.ts'
import { sealedProfile, type Profile } from './profile.ts'
import { type HandoverSigner, type ParsedProfile, readProfileRecord, type VaultEntry } from './profile-record.ts'

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
 *   digits, or `'unpinned'`. Without a pin, whoever runs the server could return a record with vaults that they created
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
): Profile {
  const given = optionsFrom(options, { identity: 'required', ...FLOOR }, 'resetProfile', IDENTITY_HINT)
  const pinned = parsePin(given.identity)
  const atLeast = parseFloor(given)
  const parsed = readProfileRecord(record)
  assertNotOlder(parsed, atLeast, 'profile')
  assertPinned(parsed, pinned)
  const holder = cardHolderOf(admin, 'admin', 'resetting a profile')
  const sign = signerOf(parsed, holder)
  const { ownerId: id } = parsed.header
  const vaults: VaultEntry[] = []
  const identity = generateSigningPair()
  using _ = disposing(vaults, identity.seed)
  const version = nextVersion(parsed.version)
  const owner = ownerOf(next)
  try {
    for (const vault of parsed.vaults) vaults.push(recoverVault(id, vault, holder, owner))
  } catch (error) {
    owner.rootKey.dispose()
    throw error
  }
  const contents = { id, version, identity, identityDue: true, admin: parsed.admin, vaults }
  const handover = { by: HandoverBy.card, sign }
  return sealedProfile(contents, owner, { record: parsed.bytes, handover })
}

/** Returns the pinned identity, or undefined for `'unpinned'`. */
const IDENTITY_HINT = ": pass the identity that was pinned for this user, or 'unpinned'"

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
function signerOf({ admin }: ParsedProfile, holder: CardHolder): HandoverSigner['sign'] {
  if (admin === undefined) {
    throw new KeystrataError('policy', 'this profile is under zero trust: nobody can reset its password', {
      rule: 'zero-trust',
    })
  }
  // The record's signature has been checked, so only its owner could have written an invalid card.
  const card = answeredAlike(() => readCard(admin))
  const sign = holder.signerOf(card)
  if (sign !== undefined) return sign
  const header = { ownerId: card.ownerId, keyId: publicKeyId(card.sharing) }
  throw keyNotFound('profile', header, 'this profile has another admin: unlock the keyset that its card belongs to')
}

function recoverVault(
  profileId: Uint8Array,
  { id, dataKeyId, slots, recoverySlots }: StoredVault,
  admin: CardHolder,
  names: UserNames,
): VaultEntry {
  const keys: SlotKey[] = []
  try {
    const opened = slots.map(({ generation, due }) => {
      const slot = recoverySlots.find((each) => each.generation === generation)
      if (slot === undefined) throw noRecoverySlot(id)
      keys.push({ ...openRecoverySlot(admin, profileId, names, id, slot), due })
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
