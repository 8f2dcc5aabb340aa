// Texts of generated keys, and what a form says about typing mistakes in them.
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { checkTypedKey, generateTypedKey, type TypedKey } from '../../src/client.ts'

const ALPHABET = '23456789ABCDEFGHJKMNPQRSTUVWXYZ'
const TYPES = [
  ['AES-128', 16],
  ['AES-192', 24],
  ['AES-256', 32],
] as const

const isRight = (type: TypedKey['type'], text: string) => checkTypedKey({ type, text })

/** Replaces letters with those of another alphabet that look alike, and at least one: the last letter becomes a B. */
function inOther(text: string, others: string, latin: string): string {
  const changed = Array.from(text, (letter) => others.charAt(latin.indexOf(letter)) || letter)
  const { length } = changed.filter((letter) => others.includes(letter))
  return length > 0 ? changed.join('') : `${text.slice(0, -1)}${others.charAt(1)}`
}

/** Replaces the first letter of a generated text with one that it never has. */
const misread = (text: string, letter: string) => text.replace(/[A-Z]/, letter)

/** Returns a generated text with at least two letters that are not hex digits. So no single slip makes it a hex key. */
function someText(type: TypedKey['type']): string {
  for (;;) {
    const { text } = generateTypedKey(type)
    if (text.replaceAll(/[\dA-F]/g, '').length >= 2) return text
  }
}

afterEach(() => {
  vi.restoreAllMocks()
})

describe.each(TYPES)('a generated text of type %s', (type, length) => {
  const texts = Array.from({ length: 200 }, () => someText(type))

  it('has the maximum length, letters that nobody confuses, and at least two digits', () => {
    expect(new Set(texts).size).toBe(texts.length)
    for (const text of texts) {
      expect(text).toMatch(new RegExp(`^[2-9A-HJKMNP-Z]{${length}}$`))
      expect(text).toMatch(/\d.*\d/)
    }
    expect(new Set(texts.join('')).size).toBe(ALPHABET.length)
  })

  it('sums to zero modulo 31, with weights that are powers of 3', () => {
    for (const text of texts) {
      const sum = Array.from(text).reduce(
        (all, letter, i) => all + 3n ** BigInt(i) * BigInt(ALPHABET.indexOf(letter)),
        0n,
      )
      expect(sum % 31n).toBe(0n)
    }
  })

  it('is right as it is', () => {
    for (const text of texts) expect(isRight(type, text)).toBe(true)
  })

  it('is noticed with any one other character, or a character too many or too few', () => {
    for (const text of texts.slice(0, 8)) {
      for (const [index, letter] of Array.from(text).entries()) {
        const [before, after] = [text.slice(0, index), text.slice(index + 1)]
        for (const other of `${ALPHABET}01ILO?`)
          if (other !== letter) expect([before + other + after, isRight(type, before + other + after)]).toContain(false)
        expect(isRight(type, before + after)).toBe(false)
        expect(isRight(type, before + letter + letter + after)).toBe(false)
      }
    }
  })

  it('is noticed with any two neighbours swapped', () => {
    for (const text of texts) {
      for (let index = 1; index < length; index++) {
        const [a, b] = [text.charAt(index - 1), text.charAt(index)]
        const swapped = text.slice(0, index - 1) + b + a + text.slice(index + 1)
        expect(isRight(type, swapped)).toBe(a === b)
      }
    }
  })

  it.each<[string, (text: string) => string]>([
    ['small letters', (text) => text.toLowerCase()],
    ['spaces', (text) => text.replaceAll(/.{4}/g, '$& ')],
    ['hyphens', (text) => text.replaceAll(/.{4}/g, '$&-')],
    ['a line end', (text) => `${text}\r\n`],
    ['full-width letters', (text) => text.replaceAll(/./g, (x) => String.fromCharCode(x.charCodeAt(0) + 0xfee0))],
    [
      'look-alikes of Cyrillic capitals',
      (text) => inOther(text, '\u0410\u0412\u0421\u0415\u041d\u041a\u041c\u0420\u0422\u0425\u0423', 'ABCEHKMPTXY'),
    ],
    [
      'look-alikes of Greek capitals',
      (text) =>
        inOther(text, '\u0391\u0392\u0395\u0396\u0397\u039a\u039c\u039d\u03a1\u03a4\u03a5\u03a7', 'ABEZHKMNPTYX'),
    ],
    ['full stops', (text) => text.replaceAll(/.{4}/g, '$&.')],
    ['underscores', (text) => text.replaceAll(/.{4}/g, '$&_')],
    ['slashes', (text) => text.replaceAll(/.{4}/g, '$&/')],
    ['Arabic digits', (text) => text.replaceAll(/\d/g, (digit) => String.fromCharCode(0x660 + Number(digit)))],
    ['small letters and a misread one', (text) => misread(text, 'o').toLowerCase()],
    ['small letters, hyphens and a misread one', (text) => misread(text, '1').toLowerCase().replaceAll(/.{8}/g, '$&-')],
    ['small letters and a slip', (text) => (text.startsWith('A') ? 'b' : 'a') + text.slice(1).toLowerCase()],
    ['hyphens and a slip', (text) => `${text.startsWith('A') ? 'B' : 'A'}${text.slice(1, 8)}-${text.slice(8)}`],
  ])('is noticed if it is typed with %s', (_, change) => {
    for (const text of texts) expect([text, isRight(type, change(text))]).toEqual([text, false])
  })
})

describe('a text that was generated for another type', () => {
  it.each(TYPES.flatMap(([made]) => TYPES.filter(([type]) => type !== made).map(([type]) => [made, type] as const)))(
    'of type %s is noticed in a form for %s, in small letters and groups too',
    (made, type) => {
      for (let count = 0; count < 50; count++) {
        const { text } = generateTypedKey(made)
        expect([text, isRight(type, text)]).toEqual([text, false])
        expect(isRight(type, text.toLowerCase().replaceAll(/.{4}/g, '$& '))).toBe(false)
      }
    },
  )
})

describe('a text of hex digits', () => {
  it.each<[TypedKey['type'], string]>([
    // The first is MD5 of nothing, the second the id of RFC 9562, the third the first digits of π in hex.
    ['AES-256', 'd41d8cd98f00b204e9800998ecf8427e'],
    ['AES-256', 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'],
    ['AES-128', '243F6A8885A308D3'],
    ['AES-192', '243f6a8885a308d313198a2e'],
    // Of the alphabet alone, but the sum is not 0.
    ['AES-128', '2345abcd6789efab'],
  ])('of type %s may be %s', (type, text) => {
    expect(isRight(type, text)).toBe(true)
  })

  it('may be a generated text with a slip, one in about 20,000 of the shortest', () => {
    const text = '8W32FBE43A2F458A'
    expect(isRight('AES-128', text)).toBe(true)
    for (const digit of '0123456789ABCDEF') expect(isRight('AES-128', text.replace('W', digit))).toBe(true)
    for (const letter of 'GHZO') expect(isRight('AES-128', text.replace('W', letter))).toBe(false)
  })

  it('is noticed if it is a generated text in small letters', () => {
    // The sum over 15 digits, and the one last character that makes it 0, computed here.
    const start = '2345ABCDEF67892'
    const sum = (text: string) =>
      Array.from(text).reduce((all, letter, i) => all + 3n ** BigInt(i) * BigInt(ALPHABET.indexOf(letter)), 0n) % 31n
    const texts = Array.from('23456789ABCDEF', (first) => Array.from(ALPHABET, (last) => first + start.slice(1) + last))
      .flat()
      .filter((text) => sum(text) === 0n && /^[\dA-F]+$/.test(text))
    expect(texts.length).toBeGreaterThan(0)
    for (const text of texts) {
      expect(isRight('AES-128', text)).toBe(true)
      expect(isRight('AES-128', text.toLowerCase())).toBe(false)
      expect(isRight('AES-128', text.replaceAll(/.{4}/g, '$&-'))).toBe(false)
    }
  })
})

describe('a text that a customer chose', () => {
  it.each<[TypedKey['type'], string]>([
    ['AES-128', 'my own 16 letter'],
    ['AES-128', 'correcthorse2024'],
    ['AES-128', 'ABCDEFGHJKMNPQRS'],
    ['AES-128', 'SOMMER-1999!'],
    ['AES-128', '1234567890123456'],
    ['AES-128', 'mypassword-1999'],
    ['AES-128', '\u041f\u0430\u0440\u043e\u043b\u044c\u0434\u043b\u044f\u0434\u043e\u043c\u043020'],
    ['AES-256', 'Mein Schl\u00fcssel f\u00fcr B\u00fcro 3'],
    ['AES-256', '\u{1f511}'.repeat(32)],
    ['AES-192', ''],
    ['AES-192', '\ud83d'],
    ['AES-192', 'x'.repeat(100_000)],
  ])('of type %s may be %j', (type, text) => {
    expect(isRight(type, text)).toBe(true)
  })

  it('is almost never taken for a generated one if it has other letters, or another length', () => {
    const own = fc.string({ unit: 'grapheme', maxLength: 40 })
    fc.assert(
      fc.property(fc.constantFrom(...TYPES), own, ([type, length], text) => {
        fc.pre(Math.abs(text.replaceAll(/[^\dA-Za-z]/g, '').length - length) > 4)
        return isRight(type, text)
      }),
    )
  })
})

describe('a key', () => {
  it('must have a known type and a text', () => {
    expect(() => generateTypedKey('DES-56' as never)).toThrow(TypeError)
    for (const type of ['DES-56', 'AES-512', ['AES-128'], undefined])
      expect(() => checkTypedKey({ type: type as never, text: 'x' })).toThrow(TypeError)
    for (const text of [5, undefined, null, ['a']])
      expect(() => checkTypedKey({ type: 'AES-128', text: text as never })).toThrow(TypeError)
  })

  it('uses each letter equally often', () => {
    // 31 does not divide 256, so bytes from 248 on must not count: if they did, eight letters would come 1,078 times too
    // often. 31 letters in each of 12,000 texts: each letter comes 12,000 times on average, with a standard deviation of
    // 108. The bound is more than seven of those.
    const counts: Map<string, number> = new Map()
    for (let text = 0; text < 12_000; text++)
      for (const letter of generateTypedKey('AES-256').text.slice(0, 31))
        counts.set(letter, (counts.get(letter) ?? 0) + 1)
    for (const letter of ALPHABET) expect(Math.abs((counts.get(letter) ?? 0) - 12_000)).toBeLessThan(800)
  })

  it('is not generated from a generator that repeats itself for ever', () => {
    vi.spyOn(crypto, 'getRandomValues').mockImplementation((array) => {
      if (array instanceof Uint8Array) array.fill(255)
      return array
    })
    expect(() => generateTypedKey('AES-128')).toThrow('broken')
  })
})
