import { describe, expect, it, vi } from 'vitest'
import { KeystrataError } from '../../src/core/errors.ts'
import {
  assertText,
  decodeName,
  encodeText,
  flawOf,
  normalizeText,
  parseName,
  parseUserName,
} from '../../src/core/text.ts'
import { hex } from '../fixtures.ts'

function errorOf(run: () => unknown): KeystrataError {
  try {
    run()
  } catch (error) {
    if (error instanceof KeystrataError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

const england = '\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}'

describe('text', () => {
  it('gives the same bytes on every keyboard: NFC, and one kind of space', () => {
    const composed = encodeText('\u00e9 x', 'text')
    for (const same of ['e\u0301 x', '\u00e9\u00a0x', 'e\u0301\u3000x', '\u00e9\u2003x'])
      expect(encodeText(same, 'text')).toEqual(composed)
    // UTF-8 of é, space, x, written by hand.
    expect(hex(composed)).toBe('c3a92078')
  })

  it('gives different bytes for texts that only look alike', () => {
    // NFC does not fold compatibility characters: ﬁ stays a ligature.
    expect(encodeText('\ufb01', 'text')).not.toEqual(encodeText('fi', 'text'))
  })

  it('is not trimmed', () => {
    expect(hex(encodeText(' a ', 'text'))).toBe('206120')
  })

  it.each([
    ['Persian with a non-joiner', '\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645'],
    ['a family emoji with joiners', '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}'],
    ['a heart with a variation selector', '\u2764\ufe0f'],
    ['the flag of England', england],
    ['an Arabic number sign at the start', '\u0600\u0661'],
    ['a character for private use', '\ue000'],
    ['the newest characters of Unicode 16.0', '\u1c89 \u{1ccd6}'],
  ])('takes %s', (_, text) => {
    expect(normalizeText(text, 'text')).toBe(text)
  })

  it.each([
    ['a line end at the end', 'hunter2\n', 'U+000A', 7],
    ['a Windows line end at the end', 'hunter2\r\n', 'U+000D', 7],
    ['a tab inside', 'a\tb', 'U+0009', 1],
    ['a null', 'ab\0', 'U+0000', 2],
    ['a byte order mark', '\ufeffhunter2', 'U+FEFF', 0],
    ['a byte order mark inside', 'a\ufeffb', 'U+FEFF', 1],
    ['a line separator', 'a\u2028b', 'U+2028', 1],
    ['a next line control', 'a\x85b', 'U+0085', 1],
    ['control characters alone', '\x01\x02', 'U+0001', 0],
    ['a zero width space at the end', 'hunter2\u200b', 'U+200B', 7],
    ['a mark of direction at the start', '\u200ehunter2', 'U+200E', 0],
    ['zero width spaces alone', '\u200b\u200b', 'U+200B', 0],
    ['a family emoji that was cut behind a joiner', '\u{1f468}\u200d', 'U+200D', 1],
    ['a flag that was cut', england.slice(0, -2), 'U+E0067', 5],
  ])('refuses %s', (_, text, codePoint, position) => {
    const { code, detail } = errorOf(() => encodeText(text, 'password'))
    expect(code).toBe('invalid-text')
    expect(detail).toEqual({ reason: 'control-character', field: 'password', codePoint, position })
  })

  it.each([
    ['nothing', ''],
    ['spaces alone', ' \u00a0\u3000'],
    ['spaces alone, in ASCII', '   '],
    ['a variation selector alone', '\ufe0f'],
    ['Hangul fillers', '\u3164\u115f'],
  ])('refuses %s as empty', (_, text) => {
    const { code, detail } = errorOf(() => encodeText(text, 'private key'))
    expect([code, detail]).toEqual(['invalid-text', { reason: 'empty', field: 'private key' }])
  })

  it.each([
    // An emoji of two UTF-16 code units, in a field with maxlength 3.
    ['an emoji cut in half', 'ab\u{1f511}'.slice(0, 3), 'U+D83D', 2],
    ['the second half of an emoji', '\udd11ab', 'U+DD11', 0],
    ['half an emoji inside', 'a\udc00b', 'U+DC00', 1],
  ])('refuses %s, also where text stays as it is', (_, text, codePoint, position) => {
    const expected = { reason: 'lone-surrogate', field: 'text', codePoint, position }
    expect(errorOf(() => encodeText(text, 'text')).detail).toEqual(expected)
    expect(errorOf(() => assertText(text, 'text')).detail).toEqual(expected)
  })

  it.each([
    ['a character of Unicode 17.0', 'a\u{20c1}', 'U+20C1', 1],
    ['a noncharacter', '\u{1f511}\uffff', 'U+FFFF', 1],
    ['a gap in Greek', '\u0378', 'U+0378', 0],
  ])('refuses %s, whatever the runtime knows', (_, text, codePoint, position) => {
    const { detail } = errorOf(() => encodeText(text, 'text'))
    expect(detail).toEqual({ reason: 'unassigned', field: 'text', codePoint, position })
  })

  it('says what is wrong, where, and what to do, and never shows the text', () => {
    const message = (text: string) => errorOf(() => encodeText(text, 'password')).message
    expect(message('hunter2\r\n')).toBe(
      'the password has a line end (U+000D) at its end: remove it, because nobody sees it and it changes the result',
    )
    expect(message('hunt\ner2')).toContain('a line end (U+000A) after 4 characters')
    expect(message('hunter2\u{20c1}')).toContain('(U+20C1) at its end that Unicode 16.0 does not have')
    expect(message('hunter2\ud83d')).toContain('half of a character (U+D83D) at its end')
    expect(message('  ')).toBe('the password has no character that can be seen: type it again')
    for (const text of ['hunter2\n', 'hunter2\u{20c1}', 'hunter2\ud83d']) expect(message(text)).not.toContain('hunter2')
  })

  it('refuses values that are not strings as a mistake of the program', () => {
    for (const value of [5, undefined, null, ['a']]) {
      expect(() => encodeText(value as unknown as string, 'text')).toThrow(TypeError)
      expect(() => assertText(value as unknown as string, 'text')).toThrow(TypeError)
    }
  })

  it('keeps text as it is where only its encoding matters', () => {
    for (const text of ['', 'a\r\nb', '\u200b', 'e\u0301', '\u{20c1}'])
      expect(() => assertText(text, 'text')).not.toThrow()
  })

  it('finds a flaw without throwing, for texts that come from the network', () => {
    expect(flawOf('hunter2')).toBeUndefined()
    expect(flawOf('')).toBe('empty')
    expect(flawOf('hunter2\n')).toMatchObject({ reason: 'control-character', position: 7 })
  })
})

describe('text on a runtime without Unicode data', () => {
  it('is refused outside ASCII, because it would give another key', () => {
    vi.spyOn(String.prototype, 'normalize').mockImplementation(function (this: string) {
      return this.slice()
    })
    try {
      expect(errorOf(() => encodeText('p\u00e4ss', 'password')).code).toBe('unsupported')
      expect(errorOf(() => parseUserName('J\u00d6RG', 'user')).code).toBe('unsupported')
      expect(errorOf(() => decodeName(new TextEncoder().encode('j\u00f6rg'))).code).toBe('unsupported')
      expect(normalizeText('hunter2', 'password')).toBe('hunter2')
    } finally {
      vi.restoreAllMocks()
    }
  })
})

describe('a name', () => {
  it('has 1 to 255 bytes of UTF-8', () => {
    expect(parseName('a'.repeat(255), 'realm')).toHaveLength(255)
    const { code, detail, message } = errorOf(() => parseName('\u00fc'.repeat(128), 'realm'))
    expect(code).toBe('invalid-text')
    expect(detail).toEqual({ reason: 'too-long', field: 'realm', bytes: 256, most: 255 })
    expect(message).toBe('the realm is longer than 255 bytes of UTF-8: use a shorter one')
    expect(errorOf(() => parseName('x'.repeat(1e6), 'realm')).detail).toEqual({
      reason: 'too-long',
      field: 'realm',
      most: 255,
    })
    // The most that NFC composes: four code units into one character of three bytes.
    expect(parseName('\u03b1\u0314\u0300\u0345'.repeat(85), 'realm')).toBe('\u1f83'.repeat(85))
    expect(errorOf(() => parseName('', 'realm')).detail).toEqual({ reason: 'empty', field: 'realm' })
    // İ has two bytes, and its small form three.
    expect(errorOf(() => parseUserName('\u0130'.repeat(100), 'user')).detail).toMatchObject({ bytes: 300 })
  })

  it('is read back only in its one form', () => {
    const decode = (text: string) => decodeName(new TextEncoder().encode(text))
    expect(decode('j\u00f6rg')).toBe('j\u00f6rg')
    for (const other of ['', 'jo\u0308rg', 'a\u00a0b', 'a\n', '\ufeffa', 'a\u200b', '\u{20c1}', 'x'.repeat(256)])
      expect(decode(other)).toBeUndefined()
    expect(decodeName(Uint8Array.of(0xc3))).toBeUndefined()
    expect(decodeName(new TextEncoder().encode('Joe'), parseUserName)).toBeUndefined()
  })
})
