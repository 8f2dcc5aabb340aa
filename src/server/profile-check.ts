// What a server checks of a profile before it stores it, without a key (SPEC §9.3).
import { equalBytes } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { parseProfile } from '../vault/profile-record.ts'

/**
 * Checks that a record may follow the stored one. Call it in the transaction that reads the stored record and writes the
 * next; when a password changes, the verifier belongs into the same transaction. What is inside the record only its user
 * can check.
 * @param next the record to store, at most 1 MiB
 * @param stored the newest record; undefined if there is none
 * @throws KeystrataError `conflict` unless `next` is one version higher, or 1 where none is stored; `policy` if it turns
 *   zero trust off, or is another profile; `malformed`, `unsupported`, `limit-exceeded` if it is no profile
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
    throw new KeystrataError('conflict', `profile version ${version}, where ${expected} is due`, { version, expected })
  }
  if (before?.zeroTrust === true && !zeroTrust) {
    throw new KeystrataError('policy', 'zero trust cannot be turned off', { rule: 'zero-trust' })
  }
  if (before !== undefined && !equalBytes(before.header.ownerId, header.ownerId)) {
    throw new KeystrataError('policy', 'another profile than the stored one', { rule: 'same-profile' })
  }
  return { version, zeroTrust }
}
