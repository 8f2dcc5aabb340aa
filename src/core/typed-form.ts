// Codes, fingerprints and pins as people type or paste them (SPEC §1.2.2): with spaces, hyphens and quotes, in wide
// letters, out of a quoted mail.
import { emptyText, invalidText } from './invalid-text.ts'
import { assertText, forgetLastMatch } from './text.ts'

/** The longest text that is read at all, in UTF-16 code units. */
const MAX_TYPED = 256

/** White space, hyphens and dashes, quotes and marks of quoted mail, and characters that nobody sees. */
const ADDED = /* @__PURE__ */ new RegExp(
  '[' +
    '\\s\x85' +
    '\\-\u058a\u05be\u1400\u1806\u2010-\u2015\u2212\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u2e5d\u301c\u3030\u30a0\ufe31\ufe32' +
    '\ufe58\ufe63\uff0d\u{10d6e}\u{10ead}' +
    '"\'`>|\xab\xb4\xbb\u2018-\u201f\u2032-\u2037\u2039\u203a\u2e42\u300c-\u300f\u301d-\u301f\ufe41-\ufe44\uff02\uff07' +
    '\uff62\uff63' +
    '\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufff9-\ufffb' +
    ']',
  'gu',
)

/**
 * Takes off what people and mail programs add to a code, and turns wide letters and digits into plain ones.
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
  return plain
}

/** Does the same as {@link plainForm} for any string. */
export function stripped(typed: string): string {
  // Before NFKC too, which turns some quotes into a space and an accent.
  const plain = typed.replace(ADDED, '').normalize('NFKC').replace(ADDED, '')
  forgetLastMatch()
  return plain
}
