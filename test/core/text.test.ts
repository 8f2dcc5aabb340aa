import fc from 'fast-check'
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
import { text as secondReader } from '../spec-reader-text.ts'

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
    ['spaces at both ends', '  secret '],
    ['a heart with a variation selector, and spaces', ' \u2764\ufe0f '],
    ['a key cap', '#\ufe0f\u20e3'],
    ['a Han character with the selector of a variant', '\u845b\u{e0100}'],
    ['an accent and a variation selector', 'x\u0323\ufe0f'],
    ['the flag of England and a space', `${england} `],
    ['a blank between letters', 'a\u3164\u2800b'],
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
    ['a family emoji that was cut behind a joiner', '\u{1f468}\u200d', 'U+200D', 1],
    ['a flag that was cut', england.slice(0, -2), 'U+E0067', 1],
    ['an end of a flag alone', 'secret\u{e007f}', 'U+E007F', 6],
    ['an end of a flag without tags', '\u{1f3f4}\u{e007f}', 'U+E007F', 1],
    ['an end of a flag behind tags of nothing', 'secret\u{e0067}\u{e007f}', 'U+E0067', 6],
    ['a variation selector behind the end of a flag', `${england}\ufe0f`, 'U+FE0F', 7],
    ['two ends of a flag', `${england}\u{e007f}`, 'U+E007F', 7],
    ['a Hangul filler at the end', 'secret\u3164', 'U+3164', 6],
    ['a half-width filler at the start', '\uffa0secret', 'U+FFA0', 0],
    ['an empty Braille cell at the end', 'secret\u2800', 'U+2800', 6],
    ['a grapheme joiner at the end', 'secret\u034f', 'U+034F', 6],
    ['a Khmer vowel without a form at the end', 'secret\u17b4', 'U+17B4', 6],
    ['a filler of Khitan at the end', 'secret\u{16fe4}', 'U+16FE4', 6],
    ['a note without a head at the end', 'secret\u{1d159}', 'U+1D159', 6],
    ['a blank hieroglyph at the end', 'secret\u{13441}', 'U+13441', 6],
    ['a variation selector at the start', '\ufe0fsecret', 'U+FE0F', 0],
    ['a variation selector behind a space', 'secret \ufe0f', 'U+FE0F', 7],
    ['a second variation selector', '\u2764\ufe0f\ufe0f', 'U+FE0F', 2],
    ['a zero width space between the text and a space', 'secret\u200b ', 'U+200B', 6],
    ['a zero width space behind a space at the start', ' \u200bsecret', 'U+200B', 1],
    ['the place of a picture inside', 'a\ufffcb', 'U+FFFC', 1],
  ])('refuses %s', (_, text, codePoint, position) => {
    const { code, detail } = errorOf(() => encodeText(text, 'password'))
    expect(code).toBe('invalid-text')
    expect(detail).toEqual({ reason: 'control-character', field: 'password', codePoint, position })
  })

  it.each([
    ['nothing', ''],
    ['spaces alone', ' \u00a0\u3000'],
    ['spaces alone, in ASCII', '   '],
    ['zero width spaces alone', '\u200b\u200b'],
    ['a variation selector alone', '\ufe0f'],
    ['Hangul fillers', '\u3164\u115f'],
    ['blanks of music and hieroglyphs', ' \u{1d159}\u{16fe4}\u{13442}'],
    ['tags of a flag alone', '\u{e0067}\u{e0062}\u{e007f}'],
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

  it('refuses what a wrong decoder leaves, because many texts give the same', () => {
    const latin1 = (text: string) => new TextDecoder().decode(Uint8Array.from(text, (letter) => letter.charCodeAt(0)))
    // In ISO 8859-1, read as UTF-8.
    expect(latin1('gr\xfcn')).toBe(latin1('gr\xe4n'))
    const { code, detail, message } = errorOf(() => encodeText(latin1('gr\xfcn'), 'password'))
    expect([code, detail]).toEqual([
      'invalid-text',
      { reason: 'lone-surrogate', field: 'password', codePoint: 'U+FFFD', position: 2 },
    ])
    expect(message).toBe(
      'a character of the password was lost when this text was decoded (U+FFFD) after 2 characters: type it again',
    )
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
      'the password has a line end (U+000D) at its end: remove it: it is invisible, and with it the keys would be different',
    )
    expect(message('hunt\ner2')).toContain('a line end (U+000A) after 4 characters')
    expect(message('hunter2\u{20c1}')).toContain('(U+20C1) at its end that Unicode 16.0 does not have')
    expect(message('hunter2\u200b ')).toContain('an invisible character (U+200B) at its end: remove it')
    expect(message('a\tb')).toContain('a tab (U+0009) after 1 character: remove it')
    expect(message('hunter2\ud83d')).toBe(
      'the last character of the password is incomplete (U+D83D): it was cut, perhaps by a maximum length; type it again',
    )
    expect(message('\udd11hunter2')).toContain('an incomplete character (U+DD11) at its start')
    expect(message('  ')).toBe('the password has no character that can be seen: type it again')
    for (const text of ['hunter2\n', 'hunter2\u{20c1}', 'hunter2\ud83d']) expect(message(text)).not.toContain('hunter2')
  })

  it.each([
    ['Malayalam', '\u0d05\u0d35\u0d28\u0d4d\u200d', 'U+200D'],
    ['Bengali', '\u09b9\u09a0\u09be\u09ce\u09cd\u200c', 'U+200C'],
    ['Persian', '\u062e\u0627\u0646\u0647\u200c', 'U+200C'],
    ['Mongolian', '\u182a\u1822\u1834\u180e', 'U+180E'],
    ['Mongolian with a form selector', '\u182a\u1822\u1834\u180b', 'U+180B'],
  ])('does not tell somebody who writes %s to remove what shapes the last letter', (_, text, codePoint) => {
    const { detail, message } = errorOf(() => encodeText(text, 'password'))
    expect(detail).toMatchObject({ reason: 'control-character', codePoint })
    expect(message).toBe(
      `the password has an invisible character (${codePoint}) at its end, where it is invisible. ` +
        'In some languages it changes the letter before it: use another spelling or another text',
    )
  })

  it('is accepted and encoded as the second reader does', () => {
    const special = [
      ...['a', ' ', '\xa0', '\u200b', '\u200d', '\ufe0f', '\u{e0100}', '\u3164', '\u034f', '\u{1d159}', '\u{13441}'],
      ...['\u{1f3f4}', '\u{e0067}', '\u{e007f}', '\ufffc', '\ufffd', '\u0301', '\n', '\ud83d', '\u{1d173}'],
    ]
    const texts = fc.array(fc.constantFrom(...special), { maxLength: 8 }).map((letters) => letters.join(''))
    const resultOf = (run: () => string) => {
      try {
        return run()
      } catch {
        return undefined
      }
    }
    fc.assert(
      fc.property(texts, (text) => {
        expect(resultOf(() => normalizeText(text, 'text'))).toBe(resultOf(() => secondReader(text)))
      }),
      { numRuns: 20_000 },
    )
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
