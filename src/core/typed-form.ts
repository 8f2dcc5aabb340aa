// Codes, fingerprints and pins as people type or paste them (SPEC §1.2): with spaces, hyphens and quotes, with the
// comma behind them, in wide letters, in the digits of another script, out of a quoted mail.
import { emptyText, invalidText } from './invalid-text.ts'
import { assertText, forgetLastMatch } from './text.ts'

/** The longest text that is read at all, in UTF-16 code units. */
const MAX_TYPED = 256

/** White space, hyphens and dashes, quotes and marks of quoted mail, punctuation, and characters that nobody sees. */
const ADDED = /* @__PURE__ */ new RegExp(
  '[' +
    '\ufe0e\ufe0f\\s\x85' +
    '\\-\u058a\u05be\u1400\u1806\u2010-\u2015\u2212\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u2e5d\u301c\u3030\u30a0\ufe31\ufe32' +
    '\ufe58\ufe63\uff0d\u{10d6e}\u{10ead}' +
    '"\'`>|\xab\xb4\xbb\u2018-\u201f\u2032-\u2037\u2039\u203a\u2e42\u300c-\u300f\u301d-\u301f\ufe41-\ufe44\uff02\uff07' +
    '\uff62\uff63' +
    '.,:;/_\xb7\u2022*()[\\]{}<\u060c\u061b\u06d4\u2027\u2219\u22c5\u3001\u3002\u30fb' +
    '\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufff9-\ufffb' +
    ']',
  'gu',
)

/** The zeros of other scripts, each followed by the other nine digits. Full-width digits are not among them. */
const ZEROS: readonly number[] = [
  0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20,
  0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0,
  0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0,
]

/**
 * Takes off what people and mail programs add to a code, and turns wide letters and the digits of every script into plain ones.
 * Reads O as 0, and I and L as 1: no code, fingerprint or identity has these letters.
 * @param field what the text is, for the error
 * @throws KeystrataError `invalid-text` if nothing is left, if it has more than 256 UTF-16 code units, or has lone
 *   surrogates
 * @throws TypeError if it is not a string
 */
export function plainForm(typed: string, field: string): string {
  assertText(typed, field)
  if (typed.length > MAX_TYPED) {
    const message = `the ${field} is too long: type it without any other text`
    throw invalidText('too-long', field, message, { most: MAX_TYPED })
  }
  const plain = stripped(typed)
  if (plain === '') throw emptyText(field, typed !== '')
  return Array.from(plain, readLetter).join('')
}

function readLetter(letter: string): string {
  if ('Oo'.includes(letter)) return '0'
  return 'IiLl\u0130\u0131'.includes(letter) ? '1' : letter
}

/** Does the same as {@link plainForm} for any string, and leaves O, I and L. */
export function stripped(typed: string): string {
  // Before NFKC too, which turns some quotes into a space and an accent.
  const plain = typed.replace(ADDED, '').normalize('NFKC').replace(ADDED, '')
  forgetLastMatch()
  return Array.from(plain, readDigit).join('')
}

function readDigit(letter: string): string {
  const point = letter.codePointAt(0) ?? 0
  const zero = ZEROS.find((each) => point >= each && point < each + 10)
  return zero === undefined ? letter : String(point - zero)
}
