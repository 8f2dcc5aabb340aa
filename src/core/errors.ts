// Every error that bad bytes, wrong keys or broken rules can cause. Callers switch on `code`; messages are for people
// and may change. A mistake of the programmer, such as an argument of a wrong type or length, is a TypeError or
// RangeError instead.

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
  /** The bytes are not an object of this format: they were cut, extended, or damaged by accident. */
  | 'malformed'
  /** The object has a version, type, suite or flag that this release does not know. */
  | 'unsupported'
  /**
   * Bytes or costs are beyond the limits of SPEC §1.6, or this device does not have the memory that was asked for
   * (`detail.memoryKiB` of a password hash, `detail.bytes` of content).
   */
  | 'limit-exceeded'
  /**
   * A person typed or pasted a text that is not usable as it is: a password, a key, a name, a code or a fingerprint. Ask
   * for it again. `detail.field` names the text; `detail.reason` is `empty`, `too-long`, `control-character`,
   * `unassigned`, `lone-surrogate`, or `check` if it has a typing mistake.
   */
  | 'invalid-text'
  /**
   * A cryptographic check failed: the object was altered, swapped, or created without the key. The error does not say
   * which check failed.
   */
  | 'authentication-failed'
  /** The password is wrong. Damage by accident is never reported as this. */
  | 'wrong-password'
  /** The object is addressed to a key that this handle does not hold. */
  | 'key-not-found'
  /** The request, or the object, breaks a rule of the keys. `detail` names the rule. */
  | 'policy'
  /** The store has no such object. */
  | 'missing'
  /** The object is older than the caller accepts. */
  | 'rollback'
  /** The object is on another branch: two machines changed it, and neither knew of the other's change. */
  | 'forked'
  /** Another writer changed the stored object first. */
  | 'conflict'
  /** The export on this host is older than the stored keyset, or belongs to another one. Replace it. */
  | 'stale-export'
  /** The object has expired, or was already used. */
  | 'expired'
  /** A key, or a card, that must not change has changed. */
  | 'key-changed'
  /** The account needs an account key for this. */
  | 'account-key-required'
  /** The server requires that the keys are safeguarded first. */
  | 'safeguarding-required'
  /** The handle was disposed of. */
  | 'disposed'
  /** The caller aborted the operation by its signal. */
  | 'aborted'

const messages: Readonly<Record<ErrorCode, string>> = {
  malformed: 'these bytes are not an object of this format',
  unsupported: 'this object needs another release of keystrata',
  'limit-exceeded': 'this is beyond the limits of the format',
  'invalid-text': 'this text cannot be used: type it again',
  'authentication-failed': 'this object was altered or swapped, or was not created with these keys',
  'wrong-password': 'the password is wrong',
  'key-not-found': 'this object is addressed to a key that this handle does not have',
  policy: 'the rules of these keys do not allow this',
  missing: 'the store has no such object',
  rollback: 'this object is older than the caller accepts',
  forked: 'this object is on another branch: two machines changed it independently',
  conflict: 'another writer changed this first; read it again',
  'stale-export': 'this export is out of date: replace it',
  expired: 'this has expired, or was already used',
  'key-changed': 'the key has changed',
  'account-key-required': 'this needs an account key',
  'safeguarding-required': 'the keys must be safeguarded first',
  disposed: 'this handle was disposed of',
  aborted: 'the operation was aborted by its signal',
}

/** Limits for what another machine says about an error. */
const MOST_DETAILS = 64
const MOST_CHARACTERS = 1024

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
  /**
   * Facts about it: sizes, ids, names of fields; never secrets. A flag, such as `reseal`, is there and true, or absent:
   * test it by `if (error.detail.reseal)`. The type leaves it out, so that no program has to expect a flag where it reads
   * a size.
   */
  readonly detail: Readonly<Record<string, string | number>>

  constructor(
    code: ErrorCode,
    message: string = messages[code],
    detail: Readonly<Record<string, string | number | true>> = {},
  ) {
    super(message)
    this.code = code
    this.detail = Object.freeze({ ...detail }) as KeystrataError['detail']
  }

  /**
   * Returns the error as data, for a response of a server, or for another thread: structured cloning (`postMessage`) loses
   * the code of an error. {@link KeystrataError.from} recreates it.
   */
  toJSON(): { name: 'KeystrataError'; code: ErrorCode; message: string; detail: KeystrataError['detail'] } {
    const { name, code, message, detail } = this
    return { name, code, message, detail }
  }

  /**
   * Recreates an error from what {@link KeystrataError.toJSON} returned on another machine. It also takes an error of
   * another copy of this library, or of another realm. It keeps the first 64 details, and 1,024 characters of each text:
   * the other machine may be hostile.
   * @returns undefined if it is something else, or has a code that this release does not know
   */
  static from(json: unknown): KeystrataError | undefined {
    if (typeof json !== 'object' || json === null) return undefined
    const { name, code, message, detail } = json as Record<string, unknown>
    if (name !== 'KeystrataError' || typeof code !== 'string' || !Object.hasOwn(messages, code)) return undefined
    if (typeof message !== 'string' || typeof detail !== 'object' || detail === null) return undefined
    const facts: [string, string | number | true][] = []
    for (const [key, value] of Object.entries(detail).slice(0, MOST_DETAILS)) {
      if (key.length > MOST_CHARACTERS) continue
      if (value === true) facts.push([key, true])
      else if (typeof value === 'string') facts.push([key, value.slice(0, MOST_CHARACTERS)])
      // NaN and infinite numbers become null in JSON.
      else if (Number.isFinite(value)) facts.push([key, value as number])
    }
    return new KeystrataError(code as ErrorCode, message.slice(0, MOST_CHARACTERS), Object.fromEntries(facts))
  }
}

/**
 * Returns the error for every failed cryptographic check after parsing. It has one message, no cause and no detail, so
 * that an attacker who feeds objects to a reader does not learn which check failed.
 */
export function authenticationFailed(): KeystrataError {
  return new KeystrataError('authentication-failed')
}

/**
 * Returns what to throw when something that needs much memory fails: `limit-exceeded` if this device did not have the
 * memory, and otherwise the error itself. Engines report missing memory by a RangeError, which elsewhere is a mistake of
 * the program.
 * @param detail how much was asked for
 */
export function withoutMemory(cause: unknown, what: string, detail: KeystrataError['detail']): unknown {
  const { name, message } = Object(cause) as { name?: unknown; message?: unknown }
  // Firefox has an InternalError for it. Both may come from another thread, or another realm.
  const isShortage = (name === 'RangeError' || name === 'InternalError') && /alloc|memory/i.test(String(message))
  if (!isShortage) return cause
  const error = new KeystrataError('limit-exceeded', `this device does not have the memory for ${what}`, detail)
  error.cause = cause
  return error
}

/**
 * Turns every KeystrataError that `open` throws into `authentication-failed`. Use it after an outer MAC or signature
 * was verified: only a key holder could then have caused an inner failure, and details would help an attacker.
 */
export function answeredAlike<T>(open: () => T): T {
  try {
    return open()
  } catch (error) {
    throw error instanceof KeystrataError ? authenticationFailed() : error
  }
}
