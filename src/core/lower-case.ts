// Lower case that is the same on every runtime (SPEC §1.2). `toLowerCase` is not: which letters make a Σ final, and which
// letters have a small form, changes with the runtime's Unicode version, and so would a user's keys.
import { isAssigned } from './assigned.ts'

/** Letters with case in Latin, Greek and Cyrillic, as in Unicode 16.0. Modifier letters are among {@link SKIPPED}. */
const CASED =
  'A-Za-z\xaa\xb5\xba\xc0-\xd6\xd8-\xf6\xf8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377' +
  '\u037b-\u037d\u037f\u0386\u0388-\u03f5\u03f7-\u0481\u048a-\u052f\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a' +
  '\u1e00-\u1fbc\u1fbe\u1fc2-\u1fcc\u1fd0-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ffc'

/** What may stand between a Σ and a letter: accents, apostrophes, full stops and the like. */
const SKIPPED =
  "\u0483-\u0489\u20d0-\u20f0'.:^`\xa8\xad\xaf\xb4\xb7\xb8\u02b0-\u036f\u0374\u0375\u037a\u0384\u0385\u0387" +
  '\u1d2c-\u1d6a\u1d78\u1d9b-\u1dff\u1fbd\u1fbf-\u1fc1\u1fcd-\u1fcf\u1fdd-\u1fdf\u1fed-\u1fef\u1ffd\u1ffe' +
  '\u200b-\u200f\u2018\u2019\u2024\u2027\u202a-\u202e\u2060-\u206f\u2071\u207f\u2090-\u209c'

/**
 * Turns text into lower case. A Σ with a letter before it and none after it becomes ς, any other Σ becomes σ. A letter
 * whose small form is newer than Unicode 16.0 stays.
 */
export function lowerCase(text: string): string {
  const finalSigma = new RegExp(`(?<=[${CASED}][${SKIPPED}]*)\u03a3(?![${SKIPPED}]*[${CASED}])`, 'gu')
  return Array.from(text.replace(finalSigma, '\u03c2'), (letter) => {
    // One letter at a time, so that its neighbours do not matter.
    const small = letter.toLowerCase()
    return Array.from(small).every((each) => isAssigned(each.codePointAt(0) ?? 0)) ? small : letter
  }).join('')
}
