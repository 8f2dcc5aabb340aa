// Versions of stored objects. A writer increments them. A reader compares them with the lowest version that it accepts.
import { KeystrataError } from '../core/errors.ts'
import type { Rules } from '../core/options.ts'

/**
 * Refuses an object that is too old.
 * @param object what the object is, for the error message
 * @throws KeystrataError `rollback` if `version` is below `atLeast`
 */
export function assertNotOlder({ version }: { readonly version: number }, atLeast: number, object: string): void {
  if (version >= atLeast) return
  throw new KeystrataError('rollback', `${object} version ${version} is older than ${atLeast}`, { version, atLeast })
}

/** The option that {@link parseFloor} reads. */
export const FLOOR: Rules<{ atLeast?: string }> = { atLeast: 'defined' }

/**
 * Checks the lowest revision that a caller accepts: a version in decimal, as text. Returns 0 if it was left out.
 * @throws TypeError if it is something else
 */
export function parseFloor({ atLeast }: { readonly atLeast?: string }): number {
  if (atLeast === undefined) return 0
  const version = typeof atLeast === 'string' && /^[1-9]\d*$/.test(atLeast) ? Number(atLeast) : Number.NaN
  if (Number.isSafeInteger(version)) return version
  throw new TypeError(
    'atLeast must be a revision of this object, a text such as "3": leave it out, or pass one that you kept',
  )
}

/**
 * Returns the next version.
 * @throws KeystrataError `limit-exceeded` if `version` is the last one, 2⁵³ − 1
 */
export function nextVersion(version: number): number {
  if (version < Number.MAX_SAFE_INTEGER) return version + 1
  throw new KeystrataError('limit-exceeded', 'this object has the last possible version and cannot be changed', {
    version,
  })
}
