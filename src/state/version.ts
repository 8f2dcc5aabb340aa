// Versions of stored objects. A writer counts them up; a reader compares them with the lowest version that it accepts.
import { KeystrataError } from '../core/errors.ts'

/** @throws KeystrataError `rollback` */
export function assertNotOlder({ version }: { readonly version: number }, atLeast: number, object: string): void {
  if (version >= atLeast) return
  throw new KeystrataError('rollback', `${object} version ${version} is older than ${atLeast}`, { version, atLeast })
}

/** The lowest version that a caller accepts. @throws RangeError if it is not a version number */
export function parseFloor(atLeast = 0): number {
  if (!Number.isSafeInteger(atLeast) || atLeast < 0) throw new RangeError('atLeast must be a version number')
  return atLeast
}

/** @throws KeystrataError `limit-exceeded` after the last version */
export function nextVersion(version: number): number {
  if (version < Number.MAX_SAFE_INTEGER) return version + 1
  throw new KeystrataError('limit-exceeded', 'no version can follow', { version })
}
