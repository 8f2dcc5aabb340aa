// Activation codes, which people keep on paper: they are easy to type, and a mistyped one is detected.
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { generateActivationCode, parseActivationCode, readActivationCode } from '../../src/client/escrow.ts'
import { failure } from '../fixtures.ts'
import { parseActivationCode as secondReader } from '../spec-reader-custody.ts'

const code = generateActivationCode()
const plain = code.replaceAll('-', '')
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** Computes the four check characters with big integers. The library computes them differently. */
function checkOf(random: string): string {
  const label = Buffer.from('keystrata/v1/activation-code')
  const length = Buffer.from([0, 0, 0, label.length])
  const hash = createHash('sha256').update(length).update(label).update(random).digest('hex')
  const bits = BigInt(`0x${hash.slice(0, 5)}`)
  return [15n, 10n, 5n, 0n].map((shift) => ALPHABET[Number((bits >> shift) & 31n)]).join('')
}

describe('an activation code', () => {
  it('has six groups of five characters, none of which look alike', () => {
    expect(code).toMatch(/^([0-9A-HJKMNP-TV-Z]{5}-){5}[0-9A-HJKMNP-TV-Z]{5}$/)
    expect(plain.slice(26)).toBe(checkOf(plain.slice(0, 26)))
    expect(parseActivationCode(code)).toBe(plain)
    expect(readActivationCode(Buffer.from(plain))).toBe(plain)
  })

  it('is different each time, and can have any character in any place', () => {
    const codes = Array.from({ length: 2000 }, generateActivationCode)
    expect(new Set(codes).size).toBe(2000)
    for (const place of [0, 12, 25, 29]) {
      const seen = new Set(codes.map((each) => each.replaceAll('-', '')[place]))
      expect(seen.size, `place ${place}`).toBe(32)
    }
  })

  it('may be typed in lower case, with any spaces and hyphens, and with O for 0 and I or L for 1', () => {
    const typed = fc
      .record({
        case_: fc.array(fc.boolean(), { minLength: 30, maxLength: 30 }),
        gaps: fc.array(
          fc.constantFrom('', '', ' ', '-', ' - ', '\u2013', '\u2212', '\n', '\t', '\u00ad', '\u200b', '\u3000'),
          {
            minLength: 31,
            maxLength: 31,
          },
        ),
        looks: fc.array(fc.nat(2), { minLength: 30, maxLength: 30 }),
      })
      .map(
        ({ case_, gaps, looks }) =>
          Array.from(plain, (letter, index) => {
            const like = letter === '0' ? ['0', 'O', 'o'] : letter === '1' ? ['1', 'I', 'l'] : [letter, letter, letter]
            const chosen = like[looks[index]!]!
            return gaps[index]! + (case_[index]! ? chosen.toLowerCase() : chosen)
          }).join('') + gaps[30]!,
      )
    fc.assert(fc.property(typed, (text) => parseActivationCode(text) === plain))
  })

  it('is refused if any one character is wrong', async () => {
    let refused = 0
    for (const [index, letter] of Array.from(plain).entries()) {
      for (const other of ALPHABET) {
        if (other === letter) continue
        const mistyped = plain.slice(0, index) + other + plain.slice(index + 1)
        const chance = index < 26 && mistyped.slice(26) === checkOf(mistyped.slice(0, 26))
        if (chance) continue
        await failure(() => parseActivationCode(mistyped), 'invalid-text')
        refused++
      }
    }
    // By chance, one mistyped code in a million has a valid checksum. It opens nothing.
    expect(refused).toBeGreaterThanOrEqual(30 * 31 - 2)
  })

  it('may have up to 256 characters as typed', async () => {
    expect(parseActivationCode(plain + ' '.repeat(226))).toBe(plain)
    await failure(() => parseActivationCode(plain + ' '.repeat(227)), 'invalid-text')
  })

  it('has only characters of the alphabet, even if the checksum is right', async () => {
    const random = `${plain.slice(0, 25)}U`
    await failure(() => parseActivationCode(random + checkOf(random)), 'invalid-text')
  })

  it.each([
    ['empty', '', 'empty'],
    ['nothing but hyphens and spaces', ' - - ', 'empty'],
    ['one character too short', plain.slice(1), 'check'],
    ['one character too long', plain + '0', 'too-long'],
    ['with a U', plain.slice(0, -1) + 'U', 'check'],
    ['with an emoji', plain.slice(0, -2) + '😀', 'check'],
    ['too long as typed', plain + ' '.repeat(300), 'too-long'],
    ['with half an emoji', plain + '\ud83d', 'lone-surrogate'],
  ])('is refused if it is %s, and the error does not show it', async (_, typed, reason) => {
    const error = await failure(() => parseActivationCode(typed), 'invalid-text')
    expect(error.detail).toMatchObject({ reason, field: 'activation code' })
    expect(JSON.stringify(error)).not.toContain(plain.slice(0, 8))
  })

  it('is read out of a quoted mail', () => {
    const [first, second] = [code.slice(0, 18), code.slice(18)]
    for (const quoted of [`> "${first}\r\n> ${second}"`, `\u201e${code}\u201c`, `\u00ab ${code} \u00bb`, `\`${code}\``])
      expect(parseActivationCode(quoted)).toBe(plain)
  })

  it.each([
    ['a comma behind it', `${code},`],
    ['a full stop behind it', `${code}.`],
    ['brackets', `[(${code})]`],
    ['a link of a mail program', `<${code}>`],
    ['slashes, dots and underscores', code.replace('-', '/').replace('-', '.').replace('-', '_')],
    ['asterisks and a colon', `: *${code}*;`],
    ['Persian digits', code.replaceAll(/\d/g, (digit) => String.fromCharCode(0x6f0 + Number(digit)))],
    ['a variation selector', `${code}\ufe0f`],
    ['letters of a Turkish keyboard', code.replaceAll('1', '\u0131')],
  ])('may have %s', (_, typed) => {
    expect(parseActivationCode(typed)).toBe(plain)
    expect(secondReader(typed)).toBe(plain)
  })

  it('is read as the second reader does, whatever stands in it', () => {
    const added = fc.constantFrom(
      ...Array.from('.,:;/_*()[]{}<>"|-+&#\xb7\u2022\u3002\uff0c\ufe0f\u2026\u20e3\u0661\u{1d7d8}'),
    )
    const typed = fc.tuple(fc.nat(code.length), added).map(([at, each]) => code.slice(0, at) + each + code.slice(at))
    const resultOf = (run: () => string) => {
      try {
        return run()
      } catch {
        return undefined
      }
    }
    fc.assert(
      fc.property(typed, (text) => {
        expect(resultOf(() => parseActivationCode(text))).toBe(resultOf(() => secondReader(text)))
      }),
      { numRuns: 1000 },
    )
  })

  it('must be a string', () => {
    expect(() => parseActivationCode(5 as unknown as string)).toThrow(TypeError)
  })

  it('is read from storage only in its normal form', async () => {
    await failure(() => readActivationCode(Buffer.from(plain.toLowerCase())), 'malformed')
    await failure(() => readActivationCode(Buffer.from(code)), 'malformed')
  })
})
