// Every error that bad bytes, wrong keys or broken rules can cause. Callers switch on `code`; messages are for people and
// may change. Misuse by the programmer (wrong types, wrong lengths of arguments) is a TypeError or RangeError instead.

/**
 * What went wrong, in a form that programs can switch on. The set only ever grows.
 * @example
 * ```ts
 * import type { ErrorCode } from 'keystrata'
 *
 * const exitCodes: Partial<Record<ErrorCode, number>> = { 'wrong-password': 2, rollback: 3, conflict: 75 }
 * ```
 */
export type ErrorCode =
  /** Bytes that are not an object of this format: cut, extended, damaged by accident. */
  | 'malformed'
  /** An object of a version, type, suite or flag that this release does not know. */
  | 'unsupported'
  /** Bytes or costs beyond the limits of SPEC §1.6, and empty passwords. */
  | 'limit-exceeded'
  /** A cryptographic check failed: altered, swapped, or made by somebody without the key. Never says which check. */
  | 'authentication-failed'
  /** The password is not the one; damage by accident never looks like this. */
  | 'wrong-password'
  /** The object is addressed to a key that this handle does not hold. */
  | 'key-not-found'
  /** The request, or the object, breaks a rule that the keys carry; `detail` names it. */
  | 'policy'
  /** An older version than the caller's floor. */
  | 'rollback'
  /** Somebody else wrote first. */
  | 'conflict'
  /** Past its date, or used before. */
  | 'expired'
  /** A key, or a card, that must not change has changed. */
  | 'key-changed'
  /** The account needs an account key for this. */
  | 'account-key-required'
  /** The server demands that the keys are safeguarded first. */
  | 'safeguarding-required'
  /** The handle was disposed of. */
  | 'disposed'
  /** The caller's signal ended it. */
  | 'aborted'

const messages: Readonly<Record<ErrorCode, string>> = {
  malformed: 'these bytes are not an object of this format',
  unsupported: 'this object needs another release',
  'limit-exceeded': 'beyond the limits of the format',
  'authentication-failed': 'altered, swapped, or not made with these keys',
  'wrong-password': 'the password is not the right one',
  'key-not-found': 'addressed to a key that is not held here',
  policy: 'not allowed by the rules that these keys carry',
  rollback: 'an older version than expected',
  conflict: 'somebody else wrote first',
  expired: 'past its date',
  'key-changed': 'the key is not the one it was',
  'account-key-required': 'this needs an account key',
  'safeguarding-required': 'the keys must be safeguarded first',
  disposed: 'this handle was disposed of',
  aborted: 'ended by the caller',
}

/**
 * Facts about an error: sizes, ids and names of fields; never bytes of a secret.
 * @example
 * ```ts
 * import type { ErrorDetail, KeystrataError } from 'keystrata'
 *
 * const toLog = ({ code, detail }: KeystrataError): ErrorDetail => ({ ...detail, code })
 * ```
 */
export type ErrorDetail = Readonly<Record<string, string | number>>

/**
 * The one error class of this library. Switch on {@link KeystrataError.code}; show `message` to people.
 * @example
 * ```ts
 * import { KeystrataError, parseCard } from 'keystrata'
 *
 * try {
 *   parseCard(new Uint8Array(1776))
 * } catch (error) {
 *   if (error instanceof KeystrataError) console.log(error.code) // malformed
 * }
 * ```
 */
export class KeystrataError extends Error {
  // A literal, because minifiers rename classes.
  override readonly name = 'KeystrataError'
  /** What went wrong. */
  readonly code: ErrorCode
  /** Facts about it: sizes, ids, names of fields; never secrets. */
  readonly detail: ErrorDetail

  constructor(code: ErrorCode, message: string = messages[code], detail: ErrorDetail = {}) {
    super(message)
    this.code = code
    this.detail = Object.freeze({ ...detail })
  }
}

/**
 * The answer to every failed cryptographic check after parsing: one message, no cause, no detail, so that nobody who
 * feeds objects to a reader learns which check refused them.
 */
export function authenticationFailed(): KeystrataError {
  return new KeystrataError('authentication-failed')
}

/**
 * What is wrong in something that was authentic on the outside is told apart no further: whoever made it did so on purpose.
 */
export function answeredAlike<T>(open: () => T): T {
  try {
    return open()
  } catch (error) {
    throw error instanceof KeystrataError ? authenticationFailed() : error
  }
}
