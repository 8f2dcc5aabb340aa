// Text that people type, as bytes: the same on every keyboard and operating system (SPEC §1.2).
import { type Bytes, utf8 } from './bytes.ts'
import { authenticationFailed, KeystrataError } from './errors.ts'

/** Keeps names short enough that two of them fit beside each other where keys are derived. */
export const MAX_NAME_BYTES = 255

/**
 * Bytes of a text: every space of Unicode class Zs becomes U+0020, then NFC, then UTF-8.
 * @throws TypeError for what is not a string, and for lone surrogates, which have no UTF-8 form.
 */
export function encodeText(text: string, what: string): Bytes {
  return utf8(normalizeText(text, what))
}

/** @throws TypeError for what is not a string, and for lone surrogates */
export function assertText(text: string, what: string): void {
  if (typeof text !== 'string') throw new TypeError(`${what} must be a string`)
  if (!text.isWellFormed()) throw new TypeError(`${what} is not well-formed Unicode`)
}

export function normalizeText(text: string, what: string): string {
  assertText(text, what)
  return text.replace(/\p{Zs}/gu, ' ').normalize('NFC')
}

/**
 * A name in the one form that keys are derived from.
 * @throws KeystrataError `limit-exceeded` for an empty one, or over 255 bytes of UTF-8
 * @throws TypeError as {@link encodeText}
 */
export function parseName(text: string, what: string): string {
  return withinLimit(normalizeText(text, what), what)
}

/** As {@link parseName}, in lower case: people do not remember how they wrote their own. */
export function parseUserName(text: string, what: string): string {
  return withinLimit(normalizeText(text, what).toLowerCase().normalize('NFC'), what)
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** A text from its bytes, letter by letter; undefined for what is not UTF-8. */
export function decodeText(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

/** A name from its bytes; undefined unless it is in the one form that `parse` gives. */
export function decodeName(bytes: Uint8Array, parse: typeof parseName = parseName): string | undefined {
  const text = decodeText(bytes)
  try {
    return text !== undefined && parse(text, 'name') === text ? text : undefined
  } catch {
    return undefined
  }
}

function withinLimit(name: string, what: string): string {
  const { length } = utf8(name)
  if (length > 0 && length <= MAX_NAME_BYTES) return name
  throw new KeystrataError('limit-exceeded', `${what} must have 1 to ${MAX_NAME_BYTES} bytes, not ${length}`, {
    bytes: length,
  })
}

/**
 * A name in an object that was sealed, and so was in its normal form.
 * @throws KeystrataError `authentication-failed`
 */
export function readSavedName(bytes: Uint8Array, parse: typeof parseName = parseName): string {
  const name = decodeName(bytes, parse)
  if (name === undefined) throw authenticationFailed()
  return name
}

/** Looks up the number that a name stands for. @throws TypeError for an unknown name */
export function numberOf<N extends number>(numbers: Readonly<Record<string, N>>, name: string, what: string): N {
  const number = typeof name === 'string' && Object.hasOwn(numbers, name) ? numbers[name] : undefined
  if (number === undefined) throw new TypeError(`${what} must be one of ${Object.keys(numbers).join(', ')}`)
  return number
}
