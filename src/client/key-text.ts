// Texts of typed keys that the library generates (SPEC §13.1), and a check for forms that take them back from paper.
// Deriving a key does not depend on either: a customer may choose any text.
import { stripped } from '../core/typed-form.ts'
import { drawUntil, randomLetters } from '../primitives/random.ts'
import { KEY_TYPES } from './layout.ts'
import { knownType, type TypedKey } from './typed-key.ts'

/** 31 capital letters and digits that nobody confuses: without 0 and O, without 1, I and L. */
const ALPHABET = '23456789ABCDEFGHJKMNPQRSTUVWXYZ'

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
 * accepts either text.
 * @returns false if the text looks generated and has a slip, or has spaces, hyphens or small letters that the generated
 *   text does not have; true for any other text
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
  const folded = plain.toUpperCase()
  if (isGenerated(folded, characters)) return text === folded
  // Small letters are odd enough: a text that has them must have no other letter that a generated text never has.
  return !resembles(folded, characters, plain === folded ? 2 : 0)
}

/** No slip makes a generated text this long. */
const MAX_CHECKED = 256

const isGenerated = (text: string, characters: number): boolean =>
  text.length === characters && isInAlphabet(text) && digitsIn(text) >= 2 && sumsToZero(text)

const isInAlphabet = (text: string): boolean => Array.from(text).every((letter) => ALPHABET.includes(letter))

/**
 * Returns whether a text looks like a generated one with a slip.
 * @param mostForeign how many characters may be outside the alphabet, such as a 0 that was read for a Q
 */
function resembles(text: string, characters: number, mostForeign: number): boolean {
  const letters = Array.from(text)
  const foreign = letters.filter((letter) => !ALPHABET.includes(letter))
  return Math.abs(letters.length - characters) <= 1 && foreign.length <= mostForeign && digitsIn(text) > 0
}

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
