// Turns text that people type into bytes, the same on every operating system and runtime (SPEC §1.2). Text that could
// give another key elsewhere, or that nobody can type again, is refused.
import { isAssigned } from './assigned.ts'
import { type Bytes, utf8 } from './bytes.ts'
import { authenticationFailed, KeystrataError } from './errors.ts'
import { badCharacter, type BadCharacter, emptyText, invalidText } from './invalid-text.ts'
import { lowerCase } from './lower-case.ts'

/** The longest name. Two such names fit into the context of one key derivation. */
export const MAX_NAME_BYTES = 255

/** Text that needs no normalisation. */
const PRINTABLE_ASCII = /^[ -~]*$/

/** The spaces that become U+0020: the class Zs, as a list, because that of runtimes may change. */
const SPACES = /[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]/g

/** Characters that nobody sees, and that come in by pasting. Inside a text, some languages and emoji need them. */
const INVISIBLE =
  /[\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufff9-\ufffb\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0001}\u{e0020}-\u{e007f}]/u

/** What else leaves no mark: joiners, fillers, blanks and variation selectors. */
const BLANK =
  /[\u034f\u17b4\u17b5\u180b-\u180d\u180f\ufe00-\ufe0f\u{e0100}-\u{e01ef}\u{16fe4}\u115f\u1160\u2800\u3164\uffa0\u{13441}\u{13442}\u{1d159}]/u

/** What chooses the form of the character before it: the second half of many emoji. */
const VARIATION = /[\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/u

/** The characters that name the land of a flag, such as England. A black flag stands before them, the last one behind. */
const TAG = /[\u{e0020}-\u{e007e}]/u
const BLACK_FLAG = '\u{1f3f4}'
const END_OF_FLAG = '\u{e007f}'

/** What a decoder writes for a byte that it cannot read, and what stands for a picture in a copied text. */
const LOST = 0xfffd
const LOST_OBJECT = 0xfffc

/**
 * Encodes text: every space of Unicode class Zs becomes U+0020, then NFC, then UTF-8.
 * @param field what the text is, for the error
 * @throws KeystrataError `invalid-text` if it is empty, or has a character that it must not have (SPEC §1.2)
 * @throws KeystrataError `unsupported` if this runtime cannot normalise it
 * @throws TypeError if it is not a string
 */
export function encodeText(text: string, field: string): Bytes {
  return utf8(normalizeText(text, field))
}

/**
 * Checks that a value is text that has a UTF-8 form. Use it for text that stays as it is.
 * @throws KeystrataError `invalid-text` if it has lone surrogates
 * @throws TypeError if it is not a string
 */
export function assertText(text: string, field: string): void {
  if (typeof text !== 'string') throw new TypeError(`${field} must be a string`)
  // Hermes has no String.prototype.isWellFormed.
  if (!/[\ud800-\udfff]/u.test(text)) return
  const found = firstBad(Array.from(text), (point) => (isSurrogate(point) ? 'lone-surrogate' : undefined))
  if (found !== undefined) throw badCharacter(field, found)
}

/** Does the same as {@link encodeText}, without the encoding. */
export function normalizeText(text: string, field: string): string {
  if (typeof text !== 'string') throw new TypeError(`${field} must be a string`)
  const flaw = flawOf(text)
  if (flaw === 'empty') throw emptyText(field, text !== '')
  if (flaw !== undefined) throw badCharacter(field, flaw)
  const normal = PRINTABLE_ASCII.test(text) ? text : text.replace(SPACES, ' ').normalize('NFC')
  forgetLastMatch()
  return normal
}

/**
 * Makes the engine forget the last text that a regular expression matched. Otherwise it would keep a password until the
 * next match.
 */
export function forgetLastMatch(): void {
  ;/(?:)/.test('')
}

/**
 * Returns what is wrong with a text, or undefined if keys can be derived from it.
 * @throws KeystrataError `unsupported` if this runtime cannot normalise it
 */
export function flawOf(text: string): BadCharacter | 'empty' | undefined {
  try {
    return findFlaw(text)
  } finally {
    forgetLastMatch()
  }
}

function findFlaw(text: string): BadCharacter | 'empty' | undefined {
  if (PRINTABLE_ASCII.test(text)) return text.trim() === '' ? 'empty' : undefined
  const letters = Array.from(text)
  const bad = firstBad(letters, reasonAgainst)
  if (bad !== undefined) return bad
  if (letters.every(leavesNoMark)) return 'empty'
  const hidden = hiddenAtEnds(letters)
  if (hidden !== undefined) return hidden
  const unknown = unknownHere()
  if (!unknown.test(text)) return undefined
  const newHere = firstBad(letters, (point) => (unknown.test(String.fromCodePoint(point)) ? 'unassigned' : undefined))
  return newHere && { ...newHere, isNewHere: true }
}

/** SPEC §1.2: only spaces may stand before the first character that can be seen, and behind the last one. */
function hiddenAtEnds(letters: readonly string[]): BadCharacter | undefined {
  const visible = letters.map((_, position) => isSeen(letters, position))
  const [first, last] = [visible.indexOf(true), visible.lastIndexOf(true)]
  return firstBad(letters, (point, position) => {
    const isOutside = position < first || position > last
    return isOutside && !isSpace(String.fromCodePoint(point)) ? 'control-character' : undefined
  })
}

/** Returns whether a character can be seen, or is the last part of one that can be seen. */
function isSeen(letters: readonly string[], position: number): boolean {
  const [before = ' ', letter = ' '] = [letters[position - 1], letters[position]]
  if (!leavesNoMark(letter)) return true
  if (VARIATION.test(letter)) return !leavesNoMark(before)
  return letter === END_OF_FLAG && endsTags(letters, position)
}

/** Returns whether a black flag and at least one tag stand before a position. */
function endsTags(letters: readonly string[], position: number): boolean {
  let start = position - 1
  while (TAG.test(letters[start] ?? '')) start--
  return start < position - 1 && letters[start] === BLACK_FLAG
}

type Judge = (point: number, position: number) => BadCharacter['reason'] | undefined

function firstBad(letters: readonly string[], judge: Judge): BadCharacter | undefined {
  for (const [position, letter] of letters.entries()) {
    const point = pointOf(letter)
    const reason = judge(point, position)
    if (reason === undefined) continue
    const isAtEnd = letters.slice(position + 1).every((next) => isControl(pointOf(next)) || leavesNoMark(next))
    return { reason, point, position, isAtEnd }
  }
  return undefined
}

/** SPEC §1.2: the characters that no text may have anywhere. */
const reasonAgainst: Judge = (point) => {
  if (point >= 0x20 && point < 0x7f) return undefined
  if (isSurrogate(point) || point === LOST) return 'lone-surrogate'
  if (isControl(point) || point === LOST_OBJECT) return 'control-character'
  return isAssigned(point) ? undefined : 'unassigned'
}

const pointOf = (letter: string): number => letter.codePointAt(0) ?? 0

const isSurrogate = (point: number): boolean => point >= 0xd800 && point <= 0xdfff

/** Class Cc, the separators of lines and paragraphs, and the byte order mark. */
const isControl = (point: number): boolean =>
  point < 0x20 || (point >= 0x7f && point < 0xa0) || point === 0x2028 || point === 0x2029 || point === 0xfeff

const isSpace = (letter: string): boolean => letter === ' ' || letter.search(SPACES) === 0

const leavesNoMark = (letter: string): boolean => isSpace(letter) || INVISIBLE.test(letter) || BLANK.test(letter)

/**
 * Returns what finds a character that this runtime does not know, and so cannot normalise.
 * @throws KeystrataError `unsupported` if it knows none outside ASCII: then it would derive other keys
 */
function unknownHere(): RegExp {
  try {
    // Not a literal: without its data, a runtime refuses to parse one.
    const unknown = new RegExp('\\p{Cn}', 'u')
    if ('e\u0301'.normalize('NFC') === '\xe9') return unknown
  } catch {
    // It is refused below.
  }
  throw new KeystrataError(
    'unsupported',
    'this runtime has no Unicode data (Node built without ICU), so it can only use text in ASCII',
    { object: 'text' },
  )
}

/**
 * Returns a name in the one form that keys are derived from.
 * @throws KeystrataError `invalid-text` if it is empty, over 255 bytes of UTF-8, or as {@link encodeText}
 * @throws KeystrataError `unsupported` as {@link encodeText}
 * @throws TypeError if it is not a string
 */
export function parseName(text: string, field: string): string {
  return withinLimit(normalizeText(boundedName(text, field), field), field)
}

/** Does the same as {@link parseName}, and turns the name into lower case: people do not remember how they wrote it. */
export function parseUserName(text: string, field: string): string {
  return withinLimit(lowerCase(normalizeText(boundedName(text, field), field)).normalize('NFC'), field)
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

/**
 * Decodes a name. Returns undefined unless it is in the one form that `parse` gives.
 * @throws KeystrataError `unsupported` if this runtime cannot normalise it
 */
export function decodeName(bytes: Uint8Array, parse: typeof parseName = parseName): string | undefined {
  const text = decodeText(bytes)
  try {
    return text !== undefined && parse(text, 'name') === text ? text : undefined
  } catch (error) {
    if (error instanceof KeystrataError && error.code === 'invalid-text') return undefined
    throw error
  }
}

function withinLimit(name: string, field: string): string {
  const { length } = utf8(name)
  if (length <= MAX_NAME_BYTES) return name
  throw longName(field, { bytes: length })
}

/** Refuses a name that is too long whatever NFC composes in it, which is at most four UTF-16 code units into one. */
function boundedName(text: string, field: string): string {
  if (typeof text !== 'string' || text.length <= 4 * MAX_NAME_BYTES) return text
  throw longName(field, {})
}

const longName = (field: string, detail: KeystrataError['detail']): KeystrataError => {
  const message = `the ${field} is longer than ${MAX_NAME_BYTES} bytes of UTF-8: use a shorter one`
  return invalidText('too-long', field, message, { ...detail, most: MAX_NAME_BYTES })
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
