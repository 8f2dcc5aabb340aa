// Turns text that people type into bytes, the same on every keyboard and operating system (SPEC §1.2).
import { type Bytes, utf8 } from './bytes.ts'
import { authenticationFailed, KeystrataError } from './errors.ts'

/** The longest name. Two such names fit into the context of one key derivation. */
export const MAX_NAME_BYTES = 255

/**
 * Encodes text: every space of Unicode class Zs becomes U+0020, then NFC, then UTF-8.
 * @throws TypeError if it is not a string, or has lone surrogates, which have no UTF-8 form
 */
export function encodeText(text: string, what: string): Bytes {
  return utf8(normalizeText(text, what))
}

/**
 * Checks that a value is well-formed text.
 * @throws TypeError if it is not a string, or has lone surrogates
 */
export function assertText(text: string, what: string): void {
  if (typeof text !== 'string') throw new TypeError(`${what} must be a string`)
  // Hermes has no String.prototype.isWellFormed.
  if (/\p{Surrogate}/u.test(text)) throw new TypeError(`${what} is not well-formed Unicode`)
}

export function normalizeText(text: string, what: string): string {
  assertText(text, what)
  const normal = text.replace(/\p{Zs}/gu, ' ').normalize('NFC')
  forgetLastMatch()
  return normal
}

/**
 * Makes the engine forget the last text that a regular expression matched. It keeps that text until the next match, so
 * a password would stay in memory.
 */
export function forgetLastMatch(): void {
  ;/(?:)/.test('')
}

/**
 * Returns a name in the one form that keys are derived from.
 * @throws KeystrataError `limit-exceeded` if it is empty, or over 255 bytes of UTF-8
 * @throws TypeError as {@link encodeText}
 */
export function parseName(text: string, what: string): string {
  return withinLimit(normalizeText(text, what), what)
}

/** Does the same as {@link parseName}, and turns the name into lower case: people do not remember how they wrote it. */
export function parseUserName(text: string, what: string): string {
  return withinLimit(normalizeText(text, what).toLowerCase().normalize('NFC'), what)
}

const decoder = /* @__PURE__ */ new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Decodes UTF-8 without changing the text. Returns undefined if the bytes are not UTF-8. */
export function decodeText(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

/** Decodes a name. Returns undefined unless it is in the one form that `parse` gives. */
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
 * Reads a name from an object that was sealed, where it must have its normal form.
 * @throws KeystrataError `authentication-failed` if it has not
 */
export function readSavedName(bytes: Uint8Array, parse: typeof parseName = parseName): string {
  const name = decodeName(bytes, parse)
  if (name === undefined) throw authenticationFailed()
  return name
}

/**
 * Looks up the number that a name stands for.
 * @throws TypeError if the name is unknown
 */
export function numberOf<N extends number>(numbers: Readonly<Record<string, N>>, name: string, what: string): N {
  const number = typeof name === 'string' && Object.hasOwn(numbers, name) ? numbers[name] : undefined
  if (number === undefined) throw new TypeError(`${what} must be one of ${Object.keys(numbers).join(', ')}`)
  return number
}
