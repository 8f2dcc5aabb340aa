// Versions of stored objects. A writer increments them. A reader compares them with the lowest version that it accepts.
import { KeystrataError } from '../core/errors.ts'

/**
 * Refuses an object that is too old.
 * @param object what the object is, for the error message
 * @throws KeystrataError `rollback` if `version` is below `atLeast`
 */
export function assertNotOlder({ version }: { readonly version: number }, atLeast: number, object: string): void {
  if (version >= atLeast) return
  throw new KeystrataError('rollback', `${object} version ${version} is older than ${atLeast}`, { version, atLeast })
}

/**
 * Checks the lowest version that a caller accepts. It is 0 if omitted.
 * @throws RangeError if it is not a version number
 */
export function parseFloor(atLeast = 0): number {
  if (!Number.isSafeInteger(atLeast) || atLeast < 0) throw new RangeError('atLeast must be an integer of at least 0')
  return atLeast
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
