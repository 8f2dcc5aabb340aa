// The same text gives the same key on every runtime. The digests below are those of Node 20.19.0 (Unicode 16.0), and
// every runtime that runs this suite must give them, whatever its Unicode version.
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { isAssigned } from '../../src/core/assigned.ts'
import { lowerCase } from '../../src/core/lower-case.ts'
import { normalizeText, parseUserName } from '../../src/core/text.ts'

const isSurrogateOrPrivate = (point: number) => (point >= 0xd800 && point < 0xf900) || point >= 0xf0000

// All characters of Unicode 16.0 that a text may have inside: no control characters, line separators, byte order mark,
// and nothing that stands for what was lost.
const letters = Array.from({ length: 0x110000 }, (_, point) => point)
  .filter((point) => isAssigned(point) && !isSurrogateOrPrivate(point))
  .map((point) => String.fromCodePoint(point))
  .filter((letter) => !/[\p{Cc}\u2028\u2029\ufeff\ufffc\ufffd]/u.test(letter))

/** Hashes what `use` makes of each text, several texts at a time. */
function digestOf(texts: readonly string[], use: (text: string) => string): string {
  const hash = createHash('sha256')
  for (let at = 0; at < texts.length; at += 16) hash.update(use(`(${texts.slice(at, at + 16).join(') (')})`))
  return hash.digest('hex')
}

/** Accents of several classes, letters that compose with what follows or precedes, and the parts of Hangul syllables. */
const around = (letter: string) =>
  [
    letter,
    `e\u0301${letter}\u0323`,
    `a\u0323${letter}\u0301`,
    `\u1100${letter}\u11a8`,
    `\u1100\u1161${letter}`,
    `\u1161${letter}\u1161`,
    `${letter}\u0300`,
    `${letter}\u0345\u0301`,
    `\u0b47${letter}`,
    `\u0bc6${letter}\u0bbe`,
  ].join('|')

const isNearGreek = (letter: string) => letter < '\u0530' || (letter >= '\u1d00' && letter < '\u2100')

const aroundSigma = (letter: string) =>
  [`${letter}\u03a3`, `A${letter}\u03a3`, `A\u03a3${letter}`, `A\u03a3${letter}B`, `A\u03a3.${letter}`]
    .map((text) => `1 ${text} 1`)
    .join('|')

describe('on every runtime', () => {
  it('there are as many characters to test', () => {
    // 154,998 of Unicode 16.0, without U+2028, U+2029, U+FEFF, U+FFFC and U+FFFD.
    expect(letters).toHaveLength(154_993)
  })

  it('a password gives the same bytes', () => {
    // Node 20.19.0, with text.replace(/\p{Zs}/gu, ' ').normalize('NFC').
    const normalized = digestOf(letters.map(around), (text) => normalizeText(text, 'password'))
    expect(normalized).toBe('9c2430ae4ff311f70a05f20d3bbf896f2c335620384fc0d13bd8af351f8e00a1')
  })

  it('a user name gives the same bytes', () => {
    // Node 20.19.0, with text.replace(/\p{Zs}/gu, ' ').normalize('NFC').toLowerCase().normalize('NFC'). Each text has at
    // most 255 bytes.
    const small = digestOf(
      letters.map((letter) => `A${letter}B`),
      (text) => parseUserName(text, 'user'),
    )
    expect(small).toBe('ceee3d5071b454517bacf3374734db5b0422ed911d7c000d404f47688b11dc4e')
  })

  it('a user name with a Σ beside a letter of Latin, Greek or Cyrillic gives the same bytes', () => {
    // As above. ʕ (U+0295) is among the letters: Node 26 takes it for a letter without case.
    const nearGreek = letters.filter(isNearGreek).map(aroundSigma)
    const hash = createHash('sha256')
    for (const text of nearGreek) hash.update(parseUserName(text, 'user'))
    expect(hash.digest('hex')).toBe('53286c3c684a23a1385540923a8f850aa0b707c77ccb618bedac2ca6e5b04d22')
  })

  it('a Σ beside any other character is as beside a hyphen', () => {
    const expected = lowerCase(aroundSigma('-'))
    const others = letters.filter((letter) => !isNearGreek(letter))
    const batches = Array.from({ length: Math.ceil(others.length / 64) }, (_, at) =>
      others.slice(64 * at, 64 * at + 64),
    )
    const different = batches.filter((batch) => {
      const expectedOnes = batch.map((letter) => expected.replaceAll('-', lowerCase(letter)))
      return lowerCase(batch.map(aroundSigma).join('\n')) !== expectedOnes.join('\n')
    })
    expect(different).toEqual([])
  })
})
