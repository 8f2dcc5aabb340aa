// Texts of typed keys that the library generates (SPEC §16.1), and a check for forms that take them back from paper.
// Deriving a key does not depend on either: a customer may choose any text.
import { stripped } from '../core/typed-form.ts'
import { drawUntil, randomLetters } from '../primitives/random.ts'
import { KEY_TYPES } from './layout.ts'
import { knownType, type TypedKey } from './typed-key.ts'

/** 31 capital letters and digits that nobody confuses: without 0 and O, without 1, I and L. */
const ALPHABET = '23456789ABCDEFGHJKMNPQRSTUVWXYZ'

/** Capitals of Cyrillic and Greek that look like capitals of the alphabet, and what they look like. */
const LOOKALIKES: ReadonlyMap<string, string> = /* @__PURE__ */ new Map(
  [
    // Cyrillic, and Ѕ Ј Ү Ԛ Ԝ of other languages than Russian.
    ['\u0410\u0412\u0421\u0415\u041d\u041a\u041c\u0420\u0422\u0425\u0423', 'ABCEHKMPTXY'],
    ['\u0405\u0408\u04ae\u051a\u051c', 'SJYQW'],
    // Greek.
    ['\u0391\u0392\u0395\u0396\u0397\u039a\u039c\u039d\u03a1\u03a4\u03a5\u03a7', 'ABEZHKMNPTYX'],
  ].flatMap(([others = '', latin = '']) =>
    Array.from(others, (other, at): [string, string] => [other, latin.charAt(at)]),
  ),
)

/** What people read for another character: none is in the alphabet. */
const MISREAD = '01ILO'

/** The powers of 3 run through all numbers from 1 to 30 modulo 31, so no two places of a text have the same weight. */
const BASE = 3

/**
 * Generates a key text of the maximum length for its type. Its last character checks the others, see
 * {@link checkTypedKey}; the others have 153 random bits for AES-256, 113 for AES-192 and 74 for AES-128. Each guess costs
 * an attacker one Argon2id hash (64 MiB, 3 passes). Write the text down: without it, everything sealed under the key is
 * lost.
 * @throws TypeError for an unknown type
 * @example
 * ```ts
 * import { generateTypedKey } from 'keystrata/client'
 *
 * const accountKey = generateTypedKey('AES-256')
 * console.log(accountKey.type, accountKey.text.length) // AES-256 32
 * ```
 */
export function generateTypedKey(type: TypedKey['type']): TypedKey {
  const { characters } = knownType(KEY_TYPES, type)
  return drawUntil(() => {
    const random = randomLetters(ALPHABET, characters - 1)
    const text = Array.from(ALPHABET, (last) => random + last).find(sumsToZero)
    // Two digits, so that the texts of customers are rarely taken for generated ones.
    return text !== undefined && digitsIn(text) >= 2 ? { type, text } : undefined
  })
}

/**
 * Checks a key text that somebody typed into a form. It finds every slip of one character, and every swap of two
 * neighbours, in a text that {@link generateTypedKey} made. It knows those texts by their letters and their length, so
 * a customer's own text of capitals and digits may look like one: warn, and let the customer continue. Deriving a key
 * accepts either text. It does not notice that two or more characters are missing: show in the form how many characters
 * the text must have.
 * @returns false if the text looks generated and has a slip; if it has spaces, punctuation, small letters, or letters of
 *   another alphabet that the generated text does not have; and if it was generated for another type. Returns true for
 *   any other text, such as hex digits
 * @throws TypeError for an unknown type, and for a text that is not a string
 * @example
 * ```ts
 * import { checkTypedKey, type TypedKey } from 'keystrata/client'
 *
 * function warningFor(key: TypedKey) {
 *   return checkTypedKey(key) ? '' : 'This looks like a generated key with a typing mistake. Compare it with your paper.'
 * }
 *
 * console.log(checkTypedKey({ type: 'AES-128', text: 'my own 16 letter' })) // true
 * ```
 */
export function checkTypedKey({ type, text }: TypedKey): boolean {
  const { characters } = knownType(KEY_TYPES, type)
  if (typeof text !== 'string') throw new TypeError('text must be a string')
  if (text.length > MAX_CHECKED) return true
  const plain = stripped(text)
  const capitals = plain.toUpperCase()
  const folded = Array.from(capitals, (letter) => LOOKALIKES.get(letter) ?? letter).join('')
  const lengths = Object.values(KEY_TYPES).map((row) => row.characters)
  if (lengths.some((length) => isGenerated(folded, length))) return text === folded && folded.length === characters
  if (isHex(plain, capitals)) return true
  return !(plain === capitals ? resembles(folded, characters) : resemblesSmall(folded, characters))
}

/** A generated text with a typing mistake is always shorter. */
const MAX_CHECKED = 256

const isGenerated = (text: string, characters: number): boolean =>
  text.length === characters && isInAlphabet(text) && digitsIn(text) >= 2 && sumsToZero(text)

const isInAlphabet = (text: string): boolean => Array.from(text).every((letter) => ALPHABET.includes(letter))

/** Returns whether a text consists of hex digits of one case. Customers use such texts; almost no generated text is one. */
function isHex(text: string, capitals: string): boolean {
  const isOneCase = text === capitals || text === text.toLowerCase()
  return isOneCase && Array.from(capitals).every((letter) => '0123456789ABCDEF'.includes(letter))
}

const foreignIn = (text: string): readonly string[] => Array.from(text).filter((letter) => !ALPHABET.includes(letter))

/** Returns whether a text looks like a generated one with a slip. It may have a 0 that was read for a Q, for example. */
const resembles = (text: string, characters: number): boolean =>
  isLong(text, characters, 1) && foreignIn(text).length <= 2 && digitsIn(text) > 0

/** Does the same as {@link resembles} for a text with small letters. Allow no other unusual letters, or one misread one. */
function resemblesSmall(text: string, characters: number): boolean {
  const [misread = '', ...others] = foreignIn(text)
  if (misread === '') return isLong(text, characters, 1) && digitsIn(text) > 0
  const digits = digitsIn(text) - digitsIn(misread)
  return MISREAD.includes(misread) && others.length === 0 && isLong(text, characters, 0) && digits >= 2
}

const isLong = (text: string, characters: number, tolerance: number): boolean =>
  Math.abs(Array.from(text).length - characters) <= tolerance

// Without a regular expression, which would keep the text (see forgetLastMatch).
const digitsIn = (text: string): number => Array.from(text).filter((letter) => letter >= '0' && letter <= '9').length

/** The sum of 3^i · v_i modulo 31, where v_i is the place of the i-th character in the alphabet, from 0. */
function sumsToZero(text: string): boolean {
  const { sum } = Array.from(text).reduce(
    (before, letter) => ({
      sum: (before.sum + before.weight * ALPHABET.indexOf(letter)) % ALPHABET.length,
      weight: (before.weight * BASE) % ALPHABET.length,
    }),
    { sum: 0, weight: 1 },
  )
  return sum === 0
}
