// Who may set a new password if a user forgets theirs (SPEC §13.1): the admin, the user's own recovery key, or nobody.
import { type Card, cardFrom, parseCard } from '../core/card.ts'
import { fieldsFrom } from '../core/options.ts'
import { type RecoveryHolder, recoveryHolderOf, type RecoveryKey } from '../core/recovery-holder.ts'
import type { UserNames } from './keyring.ts'
import { NOBODY_RESETS, type StoredRecovery } from './layout.ts'
import { identityMessage } from './profile-record.ts'

/**
 * Who may set a new password if the user forgets theirs: the admin with this card; under zero trust the user with their own
 * recovery key, such as the code on a sheet of paper; or nobody. The admin's keyset, and the recovery key's holder, can
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
export type Recovery = { admin: Card } | { zeroTrust: true; recoveryKey?: RecoveryKey }

/** The checked form of a {@link Recovery}. */
export type ChosenRecovery =
  | Extract<StoredRecovery, { readonly kind: 'nobody' | 'card' }>
  | { readonly kind: 'recoveryKey'; readonly value: RecoveryHolder }

/**
 * Checks what a caller has chosen.
 * @throws KeystrataError `key-changed` if the card's bytes and fingerprint do not belong together
 * @throws KeystrataError `invalid-text` if the card's fingerprint is not 60 digits
 * @throws KeystrataError `malformed`, `unsupported`, `authentication-failed` if it is not a valid card
 * @throws KeystrataError `disposed` if the recovery key was disposed of
 * @throws TypeError if `recovery` is not exactly one of the two
 */
export function parseRecovery(recovery: Recovery): ChosenRecovery {
  const rules = { admin: 'defined', zeroTrust: 'defined', recoveryKey: 'defined' } as const
  const hint = ': pass { admin: card } or { zeroTrust: true }'
  const given = fieldsFrom<{ admin?: Card; zeroTrust?: true; recoveryKey?: RecoveryKey }>(
    recovery,
    rules,
    'recovery',
    hint,
  )
  const { admin, zeroTrust, recoveryKey } = given
  const isOne = zeroTrust === undefined ? admin !== undefined : (zeroTrust as unknown) === true && admin === undefined
  if (!isOne || (recoveryKey !== undefined && zeroTrust === undefined)) {
    throw new TypeError(
      'recovery must be { admin: card }, { zeroTrust: true } or { zeroTrust: true, recoveryKey }: only one of them',
    )
  }
  if (recoveryKey !== undefined) return { kind: 'recoveryKey', value: recoveryHolderOf(recoveryKey, 'recoveryKey') }
  if (admin === undefined) return NOBODY_RESETS
  // Check the bytes again: the fingerprint beside them is the one that somebody compared.
  const { bytes, fingerprint } = cardFrom(admin)
  return { kind: 'card', value: parseCard(bytes, { fingerprint }).bytes }
}

/**
 * Returns what a record says of a recovery. A recovery key signs the identity, so that a reset by it needs no pin.
 * @param profileId 16 bytes
 * @param identity the public key of the profile's identity
 */
export function storedRecovery(
  chosen: ChosenRecovery,
  profileId: Uint8Array,
  names: UserNames,
  identity: Uint8Array,
): StoredRecovery {
  if (chosen.kind !== 'recoveryKey') return chosen
  const holder = chosen.value
  return {
    kind: 'recoveryKey',
    value: { keys: holder.keys, signature: holder.sign(identityMessage(profileId, names, identity)) },
  }
}
