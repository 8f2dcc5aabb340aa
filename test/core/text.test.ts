import { describe, expect, it } from 'vitest'
import { encodeText } from '../../src/core/text.ts'
import { hex } from '../fixtures.ts'

describe('text', () => {
  it('is the same from every keyboard: NFC, and one kind of space', () => {
    const composed = encodeText('\u00e9 x', 'text')
    for (const same of ['e\u0301 x', '\u00e9\u00a0x', 'e\u0301\u3000x'])
      expect(encodeText(same, 'text')).toEqual(composed)
    // UTF-8 of é, space, x, by hand.
    expect(hex(composed)).toBe('c3a92078')
  })

  it('keeps what only looks alike apart', () => {
    // NFC does not fold compatibility characters: ﬁ stays a ligature.
    expect(encodeText('\ufb01', 'text')).not.toEqual(encodeText('fi', 'text'))
    expect(encodeText('a\tb', 'text')).not.toEqual(encodeText('a b', 'text'))
  })

  it('refuses what has no UTF-8 form, and what is no string', () => {
    expect(() => encodeText('\ud800', 'text')).toThrow(TypeError)
    expect(() => encodeText('a\udc00b', 'text')).toThrow(TypeError)
    expect(() => encodeText(5 as unknown as string, 'text')).toThrow(TypeError)
  })
})
