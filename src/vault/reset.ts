// Resetting a profile by the admin, when the user has forgotten the password (SPEC §9.2). Not protected: the admin
// cannot check the MAC of the record, so a server can return a record that it created itself.
import { toHex } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { type Card, type CardHolder, cardHolderOf } from '../core/card.ts'
import { disposeKeys, disposing } from '../core/secret.ts'
import { assertNotOlder, nextVersion, parseFloor } from '../state/version.ts'
import { openRecoverySlot, type SlotKey, type UserNames } from './keyring.ts'
import type { StoredVault } from './layout.ts'
import { type Login, ownerOf } from './login.ts'
import { sealedProfile, type Profile } from './profile.ts'
import { parseProfile, type VaultEntry } from './profile-record.ts'

/**
 * Resets the password of a user who forgot it. It opens the recovery slots that were sealed to the admin's card, and
 * puts the same vaults under the new password. Store the record and the verifier of the new login in one transaction.
 * The E-keys stay, so rotate if the old password may be known. If the admin chose the new password, let the user change
 * it.
 *
 * The admin cannot check the MAC of the record, because it is under the key that was lost. A server could return a
 * record with vaults that it created itself. No old block opens in them. So open an old block of every vault before
 * anything new is backed up.
 * @param record the bytes that the server returned
 * @param admin the keyset that the admin's card belongs to
 * @param next the login of the same user, derived from the new password
 * @param options `atLeast`: the lowest version to accept. Pass the version of the latest record that the admin knows
 * @throws KeystrataError `policy` if the profile is under zero trust, or `admin` was unlocked from a source definition
 * @throws KeystrataError `key-not-found` if a vault has no recovery slot for this admin: the profile has another admin,
 *   or a change of recovery was interrupted
 * @throws KeystrataError `authentication-failed` if a recovery slot belongs to another user or vault, or was altered
 * @throws KeystrataError `rollback` if the version of the record is below `atLeast`
 * @throws KeystrataError `malformed`, `unsupported` if the record is damaged or not a profile
 * @throws KeystrataError `limit-exceeded` over 1 MiB, beyond 256 vaults, or if no higher version is left
 * @throws KeystrataError `disposed` if the keyset or the login was disposed of
 * @throws RangeError if `atLeast` is not a version number
 * @throws TypeError if `admin` or `next` is not a handle of this copy of the library
 * @example
 * ```ts
 * import type { Keyset } from 'keystrata'
 * import { type Login, resetProfile } from 'keystrata/vault'
 *
 * function reset(record: Uint8Array, admin: Keyset, next: Login) {
 *   using profile = resetProfile(record, admin, next)
 *   return { record: profile.record, credential: next.credential } // to the server, in one request
 * }
 * ```
 */
export function resetProfile(
  record: Uint8Array,
  admin: { card(): Card },
  next: Login,
  options: { atLeast?: number } = {},
): Profile {
  const atLeast = parseFloor(options.atLeast)
  const parsed = parseProfile(record)
  assertNotOlder(parsed, atLeast, 'profile')
  if (parsed.zeroTrust) {
    throw new KeystrataError('policy', 'this profile is under zero trust: nobody can reset its password', {
      rule: 'zero-trust',
    })
  }
  const holder = cardHolderOf(admin, 'admin', 'resetting a profile')
  // Use the admin's own card. The server could have replaced the one in the record.
  const card = admin.card().bytes
  const vaults: VaultEntry[] = []
  using _ = disposing(vaults)
  const version = nextVersion(parsed.version)
  const owner = ownerOf(next)
  try {
    for (const vault of parsed.vaults) vaults.push(recoverVault(parsed.header.ownerId, vault, holder, owner))
  } catch (error) {
    owner.rootKey.dispose()
    throw error
  }
  return sealedProfile({ id: parsed.header.ownerId, version, admin: card, vaults }, owner)
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
    vaultId: toHex(vaultId),
  })
}
