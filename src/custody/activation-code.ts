// Activation codes (SPEC §16.1): what opens the keys that a provider keeps in escrow. The customer alone has it, on paper, so it
// is made to be typed: 26 random characters that are told apart in print, and 4 that tell a mistake.
import { domain, utf8 } from '../bytes.ts'
import { KeystrataError } from '../errors.ts'
import { sha256 } from '../primitives/hash.ts'
import { deriveKey } from '../primitives/kdf.ts'
import { randomLetters } from '../primitives/random.ts'
import { SecretKey } from '../secret.ts'
import { assertText } from '../text.ts'

/** Crockford's base32: without I, L, O and U. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const RANDOM_CHARACTERS = 26
const MAX_TYPED = 256

/** A fresh code of 130 random bits, in six groups of five. */
export function generateActivationCode(): string {
  const random = randomLetters(ALPHABET, RANDOM_CHARACTERS)
  const code = random + checkOf(random)
  return code.match(/.{5}/g)?.join('-') ?? code
}

/**
 * The 30 characters of a code as somebody typed it: capitals or not, with any spaces and hyphens or none, O for 0, I or L
 * for 1.
 * @throws KeystrataError `malformed` for what is no code: one wrong character in a million is missed here, and opens nothing
 * @throws TypeError for what is not a string
 */
export function parseActivationCode(typed: string): string {
  assertText(typed, 'activation code')
  const code = typed.slice(0, MAX_TYPED).normalize('NFKC').toUpperCase()
  const plain = code
    .replaceAll(/[\p{White_Space}\p{Pd}\p{Cf}\u2212]/gu, '')
    .replaceAll('O', '0')
    .replaceAll(/[IL]/g, '1')
  const random = plain.slice(0, RANDOM_CHARACTERS)
  const isInAlphabet = Array.from(plain).every((letter) => ALPHABET.includes(letter))
  if (isInAlphabet && typed.length <= MAX_TYPED && plain === random + checkOf(random)) return plain
  throw mistyped(plain.length)
}

const mistyped = (characters: number): KeystrataError =>
  new KeystrataError('malformed', 'mistyped: an activation code has six groups of five letters and digits', {
    characters,
  })

/** The 30 characters of a code that was stored. @throws KeystrataError `malformed` unless they are as `parse` gives them */
export function readActivationCode(stored: Uint8Array): string {
  const code = String.fromCharCode(...stored)
  if (parseActivationCode(code) === code) return code
  throw mistyped(stored.length)
}

/** Four characters: 20 bits of a hash over the others. */
function checkOf(random: string): string {
  const [first = 0, second = 0, third = 0] = sha256(domain('activation-code'), utf8(random))
  const bits = (first << 12) | (second << 4) | (third >> 4)
  return [15, 10, 5, 0].map((shift) => ALPHABET[(bits >> shift) & 31]).join('')
}

/** W: the key over what is in escrow for an account. @param code its 30 characters */
export function deriveActivationKey(code: string, account: string): SecretKey<'activation'> {
  const secret = SecretKey.take('activation', utf8(code))
  try {
    return deriveKey('activation', secret, 'registration', [utf8(account)], 32)
  } finally {
    secret.dispose()
  }
}
