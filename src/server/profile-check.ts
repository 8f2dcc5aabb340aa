// What a server checks before it stores a profile (SPEC §9.3). It needs no key.
import { equalBytes } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { parseProfile } from '../vault/profile-record.ts'

/**
 * Checks that a profile record may replace the stored one. Call it in the transaction that reads the stored record and
 * writes the next one. If the password changes, write the new verifier in the same transaction. Only the user can check
 * the contents of the record.
 * @param next the record to store, at most 1 MiB
 * @param stored the newest stored record; undefined if there is none
 * @returns `version`: the version of `next`; `zeroTrust`: whether zero trust is on
 * @throws KeystrataError `conflict` if the version of `next` is not one higher than the stored one (1 if none is
 *   stored)
 * @throws KeystrataError `policy` if `next` turns zero trust off or is another profile
 * @throws KeystrataError `malformed`, `unsupported` or `limit-exceeded` if it is not a profile
 * @example
 * ```ts
 * import { checkProfile } from 'keystrata/server'
 *
 * function rowFor(user: string, next: Uint8Array, stored?: Uint8Array) {
 *   const { version } = checkProfile(next, stored)
 *   return { user, version, record: next } // user and version are the key: create-only
 * }
 * ```
 */
export function checkProfile(next: Uint8Array, stored?: Uint8Array): { version: number; zeroTrust: boolean } {
  const { header, version, zeroTrust } = parseProfile(next)
  const before = stored == null ? undefined : parseProfile(stored)
  const expected = (before?.version ?? 0) + 1
  if (version !== expected) {
    throw new KeystrataError(
      'conflict',
      `profile version ${version} is not the next one, ${expected}: read the stored profile again`,
      { version, expected },
    )
  }
  if (before?.zeroTrust === true && !zeroTrust) {
    throw new KeystrataError('policy', 'this profile turns zero trust off, but it is permanent', { rule: 'zero-trust' })
  }
  if (before !== undefined && !equalBytes(before.header.ownerId, header.ownerId)) {
    throw new KeystrataError('policy', 'this is not the stored profile: it has another id', { rule: 'same-profile' })
  }
  return { version, zeroTrust }
}
