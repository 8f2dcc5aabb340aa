// Codes that people keep on paper and type (SPEC §18.1, §20.2): 26 random characters and 4 check characters. The check of
// each kind of code has a label of its own, so nobody takes an activation code for a recovery code.
import { sha256 } from '../primitives/hash.ts'
import { randomLetters } from '../primitives/random.ts'
import { type Bytes, domain, utf8 } from './bytes.ts'
import type { KeystrataError } from './errors.ts'
import { invalidText } from './invalid-text.ts'
import { plainForm } from './typed-form.ts'

/** Crockford's base32 alphabet: no I, L, O or U. */
export const CODE_ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

const RANDOM_CHARACTERS = 26

/** The length of a code without hyphens. */
export const CODE_CHARACTERS = 30

/** The kinds of codes, and the label of the check of each. */
const CHECKS = {
  'activation code': 'activation-code',
  'recovery code': 'recovery-code',
} as const
export type CodeKind = keyof typeof CHECKS

/** Generates a code: 26 random characters (130 bits) and 4 check characters, in six groups of five. */
export function generateCode(kind: CodeKind): string {
  const random = randomLetters(CODE_ALPHABET, RANDOM_CHARACTERS)
  return inGroups(random + checkOf(random, kind))
}

/**
 * Writes a code as people read it: in groups of five characters, with hyphens between. Without a regular expression, which
 * would keep the code (see forgetLastMatch).
 */
export const inGroups = (code: string): string =>
  Array.from(code, (letter, at) => (at > 0 && at % 5 === 0 ? `-${letter}` : letter)).join('')

/**
 * Parses a code as somebody typed it. Ignores case, spaces, hyphens, quotes and punctuation; reads O as 0, I and L as 1,
 * and the digits of every script.
 * @returns the 30 characters
 * @throws KeystrataError `invalid-text` if it is not a code of this kind. The check misses one typing mistake in a
 *   million; such a code opens nothing
 * @throws TypeError if it is not a string
 */
export function parseCode(typed: string, kind: CodeKind): string {
  const code = plainForm(typed, kind).toUpperCase()
  if (isCode(code, kind)) return code
  throw notThisCode(code, kind)
}

/** Returns the error for a text that is not a code of this kind, in its plain form. */
export function notThisCode(code: string, kind: CodeKind): KeystrataError {
  const other = (Object.keys(CHECKS) as CodeKind[]).find((each) => isCode(code, each))
  const reason = code.length > CODE_CHARACTERS ? 'too-long' : 'check'
  const message =
    other === undefined
      ? `the ${kind} is mistyped: ${slipIn(code)}`
      : `this is ${article(other)} ${other}: type the ${kind}`
  return invalidText(reason, kind, message, { characters: code.length, most: CODE_CHARACTERS })
}

/** Says what is probably wrong with the plain form of a mistyped code. */
function slipIn(code: string): string {
  const { length } = code
  const groups = 'type all six groups of five letters and digits'
  if (length === CODE_CHARACTERS) return 'one character is wrong, or two are swapped; compare it with the paper'
  return `it has ${length} ${length === 1 ? 'character' : 'characters'}, and needs ${CODE_CHARACTERS}; ${groups}, and nothing else`
}

const article = (kind: CodeKind): string => (kind === 'activation code' ? 'an' : 'a')

/** Returns whether this is exactly the 30 characters of a code of this kind. */
export function isCode(code: string, kind: CodeKind): boolean {
  const random = code.slice(0, RANDOM_CHARACTERS)
  return isInCodeAlphabet(code) && code === random + checkOf(random, kind)
}

const checkOf = (random: string, kind: CodeKind): string =>
  codeCheck(CHECKS[kind], random, CODE_CHARACTERS - RANDOM_CHARACTERS)

export const isInCodeAlphabet = (text: string): boolean =>
  Array.from(text).every((letter) => CODE_ALPHABET.includes(letter))

/**
 * Computes check characters: the first bits of a hash of the characters that they check, five bits each.
 * @param characters how many, at most 8
 */
export function codeCheck(label: string, checked: string, characters: number): string {
  return toLetters(sha256(domain(label), utf8(checked))).slice(0, characters)
}

/** Encodes bytes five bits a character, the highest bits first. Zeros fill up the last character. */
export function toLetters(bytes: Uint8Array): string {
  let letters = ''
  for (let bit = 0; bit < 8 * bytes.length; bit += 5) {
    const [high = 0, low = 0] = bytes.subarray(bit >> 3)
    letters += CODE_ALPHABET[(((high << 8) | low) >> (11 - (bit & 7))) & 31] ?? ''
  }
  return letters
}

/**
 * Decodes characters of the alphabet into these bytes. Bits that do not fill a byte are left out, and bytes for which there
 * are no bits stay zero.
 */
export function fromLetters(letters: string, into: Bytes): Bytes {
  for (const [index, letter] of Array.from(letters).entries()) {
    const at = 5 * index
    const bits = CODE_ALPHABET.indexOf(letter) << (11 - (at & 7))
    const byte = at >> 3
    into[byte] = (into[byte] ?? 0) | (bits >> 8)
    if (byte + 1 < into.length) into[byte + 1] = (into[byte + 1] ?? 0) | (bits & 255)
  }
  return into
}
