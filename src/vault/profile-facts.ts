// What anyone can see of a profile, without a key.
import { domain, toHex } from '../core/bytes.ts'
import { sha256 } from '../primitives/hash.ts'
import { type ParsedProfile, readProfileRecord } from './profile-record.ts'

/**
 * What anyone can see of a profile, without a key.
 * @example
 * ```ts
 * import type { ProfileFacts } from 'keystrata/vault'
 *
 * // For an admin's console: what to compare with the user, and to pin.
 * const shown = ({ identity }: ProfileFacts) => `identity ${identity}`
 * ```
 */
export interface ProfileFacts {
  /** The version of the record, in decimal. Keep the latest one and pass it as `atLeast`; older records are refused. */
  readonly revision: string
  /**
   * The public key that signs the profile's records and keyrings, 64 hex digits. It changes only with a change of
   * recovery, with a reset, and with the first new password after a reset. An admin pins it for {@link resetProfile}.
   */
  readonly identity: string
  /**
   * Whether only the user can set a new password, by the old one or by a recovery key. If there was an admin before, only people who know the password
   * can read the data once {@link Profile.rotationDue} is empty and the old keyrings are deleted.
   */
  readonly zeroTrust: boolean
  /** Whether a recovery key of the user can set a new password. If neither it nor an admin can, nobody can. */
  readonly hasRecoveryKey: boolean
  /** The ids of the vaults, 32 hex digits each. */
  readonly vaults: readonly string[]
  /**
   * Changes with every new password, 32 hex digits. A server keeps it in each session, and ends the session when the
   * stored profile has another one. Keep it as secret as a verifier: it lets anyone test passwords.
   */
  readonly passwordId: string
}

export function factsOf({ version, identity, recovery, vaults, header }: ParsedProfile): ProfileFacts {
  return Object.freeze({
    revision: String(version),
    identity: toHex(identity),
    zeroTrust: recovery.kind !== 'card',
    hasRecoveryKey: recovery.kind === 'recoveryKey',
    vaults: Object.freeze(vaults.map(({ id }) => toHex(id))),
    // A hash, so that nobody takes it for the name of the verifier's object.
    passwordId: toHex(sha256(domain('password-id'), header.keyId).subarray(0, 16)),
  })
}

/**
 * Shows what anyone can see of a profile, and checks that its identity signed it. It needs no key. An admin's console
 * shows the identity, compares it with what the user's device shows, and pins it for a later reset.
 * @throws KeystrataError `malformed` if the bytes are damaged
 * @throws KeystrataError `authentication-failed` if the record was altered
 * @throws KeystrataError `unsupported` if it is another kind of object, or needs a later release
 * @throws KeystrataError `limit-exceeded` over 1 MiB or beyond 256 vaults
 * @throws TypeError if `record` is not a Uint8Array
 * @example
 * ```ts
 * import { createProfile, deriveLogin, parseProfile } from 'keystrata/vault'
 *
 * using login = await deriveLogin('correct horse', { realm: 'com.example.backup', user: 'user-4711' })
 * using profile = createProfile(login, { zeroTrust: true })
 * console.log(parseProfile(profile.record).identity === profile.identity) // true
 * ```
 */
export function parseProfile(record: Uint8Array): ProfileFacts {
  return factsOf(readProfileRecord(record))
}
