// The admin's way into a profile whose password was forgotten (SPEC §9.2).
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
 * Gives a user who forgot the password his vaults back under a new one, by the recovery slots that were sealed to the
 * admin's card. Store the record and the verifier of the new login in one transaction. The E-keys stay: rotate if the old
 * password may be known; and let the user change a password that the admin chose.
 *
 * The admin cannot check the record's MAC, which is under the key that was lost. A server could offer a record with vaults
 * of its own making, in which nothing old opens: before anything is backed up, open an old block of every vault.
 * @param record what the server gave
 * @param admin the keyset that the card came from
 * @param next the login of the same user, by the new password
 * @param options `atLeast`: the lowest version to take, that of the last record that the admin knows of
 * @throws KeystrataError `policy` under zero trust, or for a keyset unlocked from a source definition; `key-not-found` if
 *   a vault has no recovery slot for this admin (the card was another one, or its change was interrupted);
 *   `authentication-failed` for slots of another user or another vault; `rollback` below `atLeast`; `malformed`,
 *   `unsupported`, `limit-exceeded`, `disposed`
 * @throws TypeError for handles of another copy of this library
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
    throw new KeystrataError('policy', 'under zero trust nobody can set a new password', { rule: 'zero-trust' })
  }
  const holder = cardHolderOf(admin, 'admin', 'resetting a profile')
  // The admin's own card, never the one in the record, which the server could have put there.
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
    // Those that were opened, and no others: nobody vouches for what else is there.
    return { id, dataKeyId, keys, recoverySlots: opened }
  } catch (error) {
    disposeKeys(keys)
    throw error
  }
}

function noRecoverySlot(vaultId: Uint8Array): KeystrataError {
  return new KeystrataError('key-not-found', 'a vault without a recovery slot for every key', {
    vaultId: toHex(vaultId),
  })
}
