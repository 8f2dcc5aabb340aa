// Parts of a recovery code (SPEC §20.3): some of them give the code back, fewer say nothing about it (Shamir, "How to share
// a secret", CACM 1979). Too few shares combine to wrong bytes without an error, so each part says how many are needed,
// and the check in the code proves the result. Not protected: the secret passes through the memory of
// shamir-secret-sharing, which does not wipe it.
import { combine, split } from 'shamir-secret-sharing'
import { allocate, type Bytes, EMPTY, equalBytes, wipe } from '../core/bytes.ts'
import {
  CODE_ALPHABET,
  CODE_CHARACTERS,
  codeCheck,
  fromLetters,
  inGroups,
  isCode,
  isInCodeAlphabet,
  notThisCode,
  parseCode,
  toLetters,
} from '../core/code.ts'
import type { KeystrataError } from '../core/errors.ts'
import { invalidText } from '../core/invalid-text.ts'
import { optionsFrom } from '../core/options.ts'
import { disposable, wiping } from '../core/secret.ts'
import { plainForm } from '../core/typed-form.ts'
import { randomLetters } from '../primitives/random.ts'

/** The characters of a part: its set, its number, how many there are, how many are needed, its share, its check. */
const SET_CHARACTERS = 5
const HEAD_CHARACTERS = SET_CHARACTERS + 3
const CHECKED_CHARACTERS = HEAD_CHARACTERS + 32
const CHECK_CHARACTERS = 5
export const PART_CHARACTERS: number = CHECKED_CHARACTERS + CHECK_CHARACTERS

/** The bytes of a code: five bits for each of its characters, and two zeros. */
const SECRET_BYTES = 19

/** The bytes of a share: one for each byte of the code, and its coordinate. */
const SHARE_BYTES = 20

const MAX_PARTS = 31

/** A part of a code, read from its text. */
interface Part {
  /** The characters that are the same in all parts of a set: the set, how many there are, and how many are needed. */
  readonly set: string
  readonly number: number
  readonly parts: number
  readonly needed: number
  readonly share: Bytes
}

/** A code that was put together, and how it had been split. */
interface Combined {
  readonly code: string
  readonly parts: number
  readonly needed: number
}

/**
 * Splits a recovery code into parts for several people. Any `needed` of them give the code back; fewer reveal nothing about
 * it. Each part is 45 characters in nine groups. All parts of a set begin with the same group, and each names its number and
 * how many are needed. Splitting a code again gives another set, and the parts of two sets do not fit together. Add the slot with a recovery
 * key that was derived from parts: then the list of slots shows that the code was split, and how.
 * @param code a recovery code, as {@link generateRecoveryCode} returned it or as somebody typed it
 * @param options `parts`: how many, 2 to 31; `needed`: how many of them give the code back, at least 2
 * @throws KeystrataError `invalid-text` if `code` is not a recovery code
 * @throws RangeError if `parts` or `needed` is out of range
 * @throws TypeError if one of them is not a number, for an unknown option, or if `code` is not a string
 * @example
 * ```ts
 * import { deriveRecoveryKey, generateRecoveryCode, splitRecoveryCode } from 'keystrata/recovery'
 *
 * const parts = await splitRecoveryCode(generateRecoveryCode(), { parts: 5, needed: 3 })
 * using key = await deriveRecoveryKey({ parts: parts.slice(2) })
 * console.log(parts.length, key.kind) // 5 split
 * ```
 */
export async function splitRecoveryCode(code: string, options: { parts: number; needed: number }): Promise<string[]> {
  const { parts, needed } = optionsFrom(options, { parts: 'required', needed: 'required' }, 'splitRecoveryCode')
  assertWhole(parts, 'parts', 2, MAX_PARTS)
  assertWhole(needed, 'needed', 2, parts)
  const secret = fromLetters(parseCode(code, 'recovery code'), allocate(SECRET_BYTES))
  using _ = wiping(secret)
  const shares = await split(secret, parts, needed)
  using _shares = wiping(...shares)
  await assertCombine(shares, needed, secret)
  const set = randomLetters(CODE_ALPHABET, SET_CHARACTERS)
  return shares.map((share, index) => {
    const numbers = [index + 1, parts, needed].map((each) => CODE_ALPHABET.charAt(each)).join('')
    const checked = set + numbers + toLetters(share)
    return inGroups(checked + checkOf(checked))
  })
}

/** Checks that the first shares and the last ones give the secret back: nobody else could before it is needed. */
async function assertCombine(shares: readonly Uint8Array[], needed: number, secret: Uint8Array): Promise<void> {
  for (const some of [shares.slice(0, needed), shares.slice(-needed)]) {
    const again = await combine(some)
    using _ = wiping(again)
    if (!equalBytes(again, secret)) throw new Error('the parts do not give the code back')
  }
}

const checkOf = (checked: string): string => codeCheck('recovery-part', checked, CHECK_CHARACTERS)

function assertWhole(value: number, what: string, least: number, most: number): void {
  if (typeof value !== 'number') throw new TypeError(`${what} must be a number`)
  if (Number.isInteger(value) && value >= least && value <= most) return
  throw new RangeError(`${what} must be a whole number from ${least} to ${most}`)
}

/** Returns whether this is a part of a recovery code, in its plain form. */
function isPart(plain: string): boolean {
  const part = parsePart(plain)
  using _ = wiping(part?.share ?? EMPTY)
  return part !== undefined
}

function parsePart(plain: string): Part | undefined {
  const checked = plain.slice(0, CHECKED_CHARACTERS)
  if (plain.length !== PART_CHARACTERS || !isInCodeAlphabet(plain) || plain !== checked + checkOf(checked))
    return undefined
  const [number = 0, parts = 0, needed = 0] = Array.from(checked.slice(SET_CHARACTERS, HEAD_CHARACTERS), (letter) =>
    CODE_ALPHABET.indexOf(letter),
  )
  const share = fromLetters(checked.slice(HEAD_CHARACTERS), allocate(SHARE_BYTES))
  // A share at 0 would be the whole code: anyone who made such a part could choose the code alone.
  const holds = number >= 1 && number <= parts && needed >= 2 && needed <= parts && share[SECRET_BYTES] !== 0
  const set = checked.slice(0, SET_CHARACTERS) + checked.slice(SET_CHARACTERS + 1, HEAD_CHARACTERS)
  return holds ? { set, number, parts, needed, share } : undefined
}

/**
 * Puts the parts of a code together, in any order. All parts that are given must fit together, so a drill with all of them
 * tests all of them. Parts that are given twice count once.
 * @throws KeystrataError `invalid-text` if a part is mistyped (`detail.part` is its place in the list, from 1), if there are
 *   too few, if they come from different sets, or if one of them is wrong
 * @throws TypeError if `typed` is not a list of strings
 */
export async function combineParts(typed: readonly string[]): Promise<Combined> {
  if (!Array.isArray(typed)) throw new TypeError('parts must be a list of strings')
  const all: Part[] = []
  using _ = disposable({}, () => wipe(...all.map(({ share }) => share)))
  const texts: readonly string[] = Array.from(typed)
  for (const [index, text] of texts.entries()) all.push(readPart(text, index + 1, texts.length))
  const [first] = all
  if (first === undefined) throw tooFew(0, undefined)
  const odd = all.findIndex(({ set }) => set !== first.set)
  if (odd > 0) throw mixed(odd + 1)
  const { parts, needed } = first
  const distinct = [...new Map(all.map((part) => [part.number, part])).values()]
  if (distinct.length < needed) throw tooFew(distinct.length, needed)
  const code = await codeOf(distinct)
  if (code === undefined) throw await wrongTogether(distinct, all)
  return { code, parts, needed }
}

/** Returns the code that these parts give. Returns undefined if one of them is wrong: then they give no code. */
async function codeOf(parts: readonly Part[]): Promise<string | undefined> {
  const shares = parts.map(({ share }) => share)
  // The package throws for two shares with one coordinate, which honest parts never have.
  if (new Set(shares.map((share) => share[SECRET_BYTES])).size < shares.length) return undefined
  const secret = await combine(shares)
  using _ = wiping(secret)
  const letters = toLetters(secret)
  const code = letters.slice(0, CODE_CHARACTERS)
  // The last letter is made of the two zeros behind the code.
  return letters.endsWith('0') && isCode(code, 'recovery code') ? code : undefined
}

function readPart(text: string, place: number, count: number): Part {
  const field = `recovery code part ${place}`
  const plain = plainForm(text, field).toUpperCase()
  const part = parsePart(plain)
  if (part !== undefined) return part
  const { length } = plain
  const detail = { part: place, characters: length, most: PART_CHARACTERS }
  const of = count === 1 ? 'the part' : `part ${place} of these ${count}`
  if (isCode(plain, 'recovery code'))
    throw invalidText('check', field, `${of} is a whole recovery code: pass it as \`code\``, detail)
  const message =
    length === PART_CHARACTERS
      ? `${of} is mistyped: compare its nine groups of five characters with the paper`
      : `${of} is mistyped: it has ${length} characters, and needs ${PART_CHARACTERS}; pass its nine groups as one text`
  throw invalidText(length > PART_CHARACTERS ? 'too-long' : 'check', field, message, detail)
}

const FIELD = 'parts of a recovery code'

function tooFew(given: number, needed: number | undefined): KeystrataError {
  const message =
    needed === undefined
      ? 'no part of a recovery code was given'
      : `${needed} different parts of this recovery code are needed, and ${given} ${given === 1 ? 'was' : 'were'} given`
  return invalidText('too-few', FIELD, message, needed === undefined ? { given } : { given, needed })
}

function mixed(place: number): KeystrataError {
  const message = `part ${place} belongs to another set than part 1: the first group of five characters must be the same`
  return invalidText('mixed', FIELD, message, { part: place })
}

/** Returns the error for parts that give no code. If there are more than are needed, it can say which one is wrong. */
async function wrongTogether(distinct: readonly Part[], all: readonly Part[]): Promise<KeystrataError> {
  const [first] = distinct
  const needed = first?.needed ?? 0
  const detail = { given: distinct.length, needed }
  for (const part of distinct.length > needed ? distinct : []) {
    if ((await codeOf(distinct.filter((each) => each !== part))) === undefined) continue
    const place = all.indexOf(part) + 1
    return invalidText('check', FIELD, `part ${place} is wrong: leave it out`, { ...detail, part: place })
  }
  const next = distinct.length > needed ? 'leave out one part at a time and try again' : 'try again with other parts'
  const message = `these parts do not give a recovery code: at least one of them is wrong; ${next}`
  return invalidText('check', FIELD, message, detail)
}

/**
 * Reads a whole recovery code as somebody typed it.
 * @returns the 30 characters
 * @throws KeystrataError `invalid-text` if it is not one
 */
export function parseRecoveryCode(typed: string): string {
  const plain = plainForm(typed, 'recovery code').toUpperCase()
  if (isCode(plain, 'recovery code')) return plain
  if (!isPart(plain)) throw notThisCode(plain, 'recovery code')
  const message = 'this is one part of a recovery code: pass the parts that are needed as `parts`'
  throw invalidText('too-few', 'recovery code', message, { given: 1 })
}

/**
 * Reads a recovery code, or one part of a split one.
 * @returns its plain characters, 30 or 45
 * @throws KeystrataError `invalid-text` if it is neither
 */
export function readCodeOrPart(typed: string): string {
  const plain = plainForm(typed, 'recovery code').toUpperCase()
  if (isCode(plain, 'recovery code') || isPart(plain)) return plain
  throw notThisCode(plain, 'recovery code')
}
