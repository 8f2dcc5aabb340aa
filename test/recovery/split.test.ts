import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CODE_ALPHABET, codeCheck, fromLetters, toLetters } from '../../src/core/code.ts'
import { allocate } from '../../src/core/bytes.ts'
import { combineParts } from '../../src/recovery/split.ts'
import { generateRecoveryCode, splitRecoveryCode } from '../../src/recovery.ts'
import { failure, numRuns } from '../fixtures.ts'

// Frozen, from a run of generateRecoveryCode and splitRecoveryCode. Parts that are mistyped or forged on purpose pass a
// check of 20 bits once in a million times, so a test with fresh ones would fail by chance.
const code = '62PAG-8QEZ0-A5Q0W-V6A7S-1BZ7J-8Y8RV'
const plain = code.replaceAll('-', '')
const five = [
  '5YD1N-15397-B4GF9-MCW69-13H84-HQRVQ-7QCJ2-35TDV-S4EM0',
  '5YD1N-253A6-69YYE-G7V76-1V3B2-NSQPE-KHJEH-02JA0-3YYDQ',
  '5YD1N-353YJ-JCRDF-RPRKW-677C8-300XA-MB0V9-GJJ0R-X63RB',
  '5YD1N-453RC-8TM5V-P6VJ8-7796W-Q25QH-WHMQR-8SGNK-3H02E',
  '5YD1N-553VT-YD9YV-1FMWF-CC77E-AC24E-0PKJ9-B74KP-P9A1E',
]

const withCheck = (checked: string) => checked + codeCheck('recovery-part', checked, 5)
const plainPart = (part: string) => part.replaceAll('-', '')

/** Splits the code until the set is another one. Once in 33 million times, two splits draw the same five letters. */
async function splitOfAnotherSet(parts: readonly string[]): Promise<string[]> {
  for (let tries = 0; tries < 3; tries++) {
    const others = await splitRecoveryCode(code, { parts: 5, needed: 3 })
    if (others[0]!.slice(0, 5) !== parts[0]!.slice(0, 5)) return others
  }
  throw new Error('every split has the same set')
}

describe('splitRecoveryCode', () => {
  it('writes nine groups of five, and says set, number, parts and needed parts in plain', async () => {
    const fresh = await splitRecoveryCode(generateRecoveryCode(), { parts: 5, needed: 3 })
    expect(new Set(fresh.map((part) => part.slice(0, 5))).size).toBe(1)
    for (const [index, part] of fresh.entries()) {
      expect(part).toMatch(/^(?:[0-9A-HJKMNP-TV-Z]{5}-){8}[0-9A-HJKMNP-TV-Z]{5}$/)
      expect(part.slice(6, 9)).toBe(`${index + 1}53`)
    }
  })

  it('splits anew each time: another set, and no share of the former one', async () => {
    const one = await splitRecoveryCode(code, { parts: 5, needed: 3 })
    const another = await splitOfAnotherSet(one)
    expect(another[0]!.slice(0, 5)).not.toBe(one[0]!.slice(0, 5))
    expect(another[0]!.slice(9)).not.toBe(one[0]!.slice(9))
  })

  it('accepts a code as somebody typed it', async () => {
    const parts = await splitRecoveryCode(` ${code.toLowerCase()} `, { parts: 2, needed: 2 })
    expect((await combineParts(parts)).code).toBe(plain)
  })

  it.each([
    [1, 1],
    [3, 1],
    [2, 3],
    [32, 2],
    [2.5, 2],
    [3, NaN],
    [3, -2],
    [0, 0],
  ])('refuses %d parts of which %d are needed', async (parts, needed) => {
    await expect(splitRecoveryCode(code, { parts, needed })).rejects.toThrow(
      /^(parts|needed) must be a whole number from 2 to/,
    )
    await expect(splitRecoveryCode(code, { parts, needed })).rejects.toBeInstanceOf(RangeError)
  })

  it('refuses what is not a number, an unknown option, and what is not a code', async () => {
    await expect(splitRecoveryCode(code, { parts: '5' as never, needed: 3 })).rejects.toThrow(TypeError)
    await expect(splitRecoveryCode(code, { parts: 5, needed: 3, of: 1 } as never)).rejects.toThrow(/no option/)
    await expect(splitRecoveryCode(code, { parts: 5 } as never)).rejects.toThrow(TypeError)
    await expect(splitRecoveryCode(code, { needed: 2 } as never)).rejects.toThrow(TypeError)
    await failure(() => splitRecoveryCode('not a code', { parts: 5, needed: 3 }), 'invalid-text')
  })
})

describe('combineParts', () => {
  it('gives the code back for every choice of enough parts, in any order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc
          .integer({ min: 2, max: 31 })
          .chain((parts) => fc.tuple(fc.constant(parts), fc.integer({ min: 2, max: parts }))),
        fc.infiniteStream(fc.nat()),
        async ([parts, needed], numbers) => {
          const all = await splitRecoveryCode(code, { parts, needed })
          const shuffled = all.map((part) => ({ part, at: Number(numbers.next().value) })).sort((a, b) => a.at - b.at)
          const chosen = shuffled.slice(0, needed).map(({ part }) => part)
          expect(await combineParts(chosen)).toEqual({ code: plain, parts, needed })
          if (needed > 2) {
            const { detail } = await failure(() => combineParts(chosen.slice(1)), 'invalid-text')
            expect(detail).toMatchObject({ reason: 'too-few', given: needed - 1, needed })
          }
        },
      ),
      { numRuns: numRuns(20, 500) },
    )
  })

  it('tests all parts that are given, not only as many as are needed', async () => {
    expect((await combineParts(five)).code).toBe(plain)
    const wrong = withCheck(
      plainPart(five[4]!).slice(0, 9) +
        (plainPart(five[4]!)[9] === '7' ? '8' : '7') +
        plainPart(five[4]!).slice(10, 40),
    )
    expect((await failure(() => combineParts([...five.slice(0, 4), wrong]), 'invalid-text')).detail).toMatchObject({
      part: 5,
    })
  })

  it('counts a part that is given twice once', async () => {
    expect((await combineParts([...five, ...five])).code).toBe(plain)
    const twice = await failure(() => combineParts([five[0]!, five[1]!, five[0]!]), 'invalid-text')
    expect(twice.detail).toMatchObject({ reason: 'too-few', given: 2, needed: 3 })
  })

  it('names the part with a slip of the pen: every single character, and every swap of two neighbours', async () => {
    const letters = plainPart(five[1]!)
    const slips = Array.from(letters, (letter, at) => {
      const other = CODE_ALPHABET[(CODE_ALPHABET.indexOf(letter) + 7) % 32]!
      return letters.slice(0, at) + other + letters.slice(at + 1)
    })
    const swaps = Array.from(letters.slice(1), (letter, at) =>
      letter === letters[at] ? undefined : letters.slice(0, at) + letter + letters[at]! + letters.slice(at + 2),
    ).filter((each) => each !== undefined)
    for (const mistyped of [...slips, ...swaps, letters.slice(1), `${letters}0`]) {
      const { detail, message } = await failure(() => combineParts([five[0]!, mistyped, five[2]!]), 'invalid-text')
      expect(detail).toMatchObject({ part: 2, field: 'recovery code part 2' })
      expect(message).toContain('part 2 of these 3')
    }
  })

  it('refuses parts of two sets, and names the odd one', async () => {
    const [other = ''] = await splitOfAnotherSet(five)
    const { detail } = await failure(() => combineParts([five[0]!, five[1]!, other]), 'invalid-text')
    expect(detail).toMatchObject({ reason: 'mixed', part: 3, field: 'parts of a recovery code' })
  })

  it('proves the result: a share that is wrong, under a right check, gives no code', async () => {
    const letters = plainPart(five[2]!)
    const forged = withCheck(letters.slice(0, 20) + (letters[20] === '7' ? '8' : '7') + letters.slice(21, 40))
    const { detail, message } = await failure(() => combineParts([five[0]!, five[1]!, forged]), 'invalid-text')
    expect(detail).toMatchObject({ reason: 'check', given: 3, needed: 3 })
    expect(message).toContain('other parts')
    // With one part more than is needed, it can say which one is wrong, wherever that stands.
    const more = await failure(() => combineParts([...five.slice(0, 2), five[3]!, forged]), 'invalid-text')
    expect(more.detail).toEqual({ field: 'parts of a recovery code', reason: 'check', part: 4, given: 4, needed: 3 })
    expect(more.message).toBe('part 4 is wrong: leave it out')
    const both = [0, 1].map((at) =>
      withCheck(plainPart(five[at]!).slice(0, 30) + (at === 0 ? 'ABCDEFGHJK' : 'KJHGFEDCBA')),
    )
    const two = await failure(() => combineParts([...both, ...five.slice(2)]), 'invalid-text')
    expect(two.message).toContain('leave out one part at a time')
    // The same coordinate under two numbers: the package would throw its own error.
    const doubled = withCheck(letters.slice(0, 5) + '4' + letters.slice(6, 40))
    await failure(() => combineParts([five[0]!, five[2]!, doubled]), 'invalid-text')
  })

  it('says what is wrong with a part', async () => {
    const [first = ''] = five
    const wrong = async (typed: readonly string[]) => {
      const { message, detail } = await failure(() => combineParts(typed), 'invalid-text')
      return { message, ...detail }
    }
    const mistyped = first.replace('MCW69', 'MCW68')
    const most = 45
    expect(await wrong([mistyped])).toMatchObject({
      message: 'the part is mistyped: compare its nine groups of five characters with the paper',
      ...{ reason: 'check', field: 'recovery code part 1', part: 1, characters: 45, most },
    })
    expect(await wrong([first, `${first}0`])).toMatchObject({
      message: 'part 2 of these 2 is mistyped: it has 46 characters, and needs 45; pass its nine groups as one text',
      ...{ reason: 'too-long', field: 'recovery code part 2', part: 2, characters: 46, most },
    })
    expect(await wrong([first.slice(0, -1)])).toMatchObject({
      message: 'the part is mistyped: it has 44 characters, and needs 45; pass its nine groups as one text',
      ...{ reason: 'check', characters: 44 },
    })
    expect(await wrong([code])).toMatchObject({
      message: 'the part is a whole recovery code: pass it as `code`',
      ...{ reason: 'check', part: 1, characters: 30, most },
    })
  })

  it('says how many parts are missing', async () => {
    const tooFew = (typed: readonly string[]) => failure(() => combineParts(typed), 'invalid-text')
    const [none, one, two] = [await tooFew([]), await tooFew(five.slice(0, 1)), await tooFew(five.slice(0, 2))]
    const field = 'parts of a recovery code'
    expect([none.message, none.detail]).toEqual([
      'no part of a recovery code was given',
      { field, reason: 'too-few', given: 0 },
    ])
    expect(none.detail).not.toHaveProperty('needed')
    expect([one.message, one.detail]).toEqual([
      '3 different parts of this recovery code are needed, and 1 was given',
      { field, reason: 'too-few', given: 1, needed: 3 },
    ])
    expect(two.message).toBe('3 different parts of this recovery code are needed, and 2 were given')
  })

  it('refuses numbers that contradict each other', async () => {
    const share = plainPart(five[0]!).slice(8, 40)
    const zero = toLetters(Buffer.concat([fromLetters(share, allocate(20)).subarray(0, 19), Buffer.from([0])]))
    await failure(() => combineParts([withCheck(`AAAAA153${zero}`)]), 'invalid-text')
    for (const head of ['053', '653', '151', '156', '111'])
      expect(
        (await failure(() => combineParts([withCheck(`AAAAA${head}${share}`)]), 'invalid-text')).detail,
      ).toMatchObject({
        ...{ part: 1, reason: 'check' },
      })
  })

  it('says so if a whole code is among the parts, and if there are none', async () => {
    const { message } = await failure(() => combineParts([five[0]!, code, five[1]!]), 'invalid-text')
    expect(message).toContain('part 2 of these 3 is a whole recovery code')
    expect((await failure(() => combineParts([]), 'invalid-text')).detail).toMatchObject({ reason: 'too-few' })
    await failure(() => combineParts(['']), 'invalid-text')
  })

  it('refuses what is not a list of texts', async () => {
    await expect(combineParts(five[0] as never)).rejects.toThrow(TypeError)
    await expect(combineParts([5] as never)).rejects.toThrow(TypeError)
    await expect(combineParts(new Array(3) as never)).rejects.toThrow(TypeError)
  })
})

describe('letters', () => {
  it('hold every bit of the bytes, five in each', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const letters = toLetters(bytes)
        expect(letters).toHaveLength(Math.ceil((8 * bytes.length) / 5))
        expect(fromLetters(letters, allocate(bytes.length))).toEqual(new Uint8Array(bytes))
      }),
    )
  })

  it('are those of RFC 4648 with the alphabet of Crockford', () => {
    // RFC 4648 §10: BASE32("foobar") = "MZXW6YTBOI======".
    const rfc = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
    const letters = Array.from(toLetters(Buffer.from('foobar')), (letter) => rfc[CODE_ALPHABET.indexOf(letter)])
    expect(letters.join('')).toBe('MZXW6YTBOI')
  })
})
