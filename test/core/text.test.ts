import { describe, expect, it } from 'vitest'
import { encodeText } from '../../src/core/text.ts'
import { hex } from '../fixtures.ts'

describe('text', () => {
  it('gives the same bytes on every keyboard: NFC, and one kind of space', () => {
    const composed = encodeText('\u00e9 x', 'text')
    for (const same of ['e\u0301 x', '\u00e9\u00a0x', 'e\u0301\u3000x'])
      expect(encodeText(same, 'text')).toEqual(composed)
    // UTF-8 of é, space, x, written by hand.
    expect(hex(composed)).toBe('c3a92078')
  })

  it('gives different bytes for texts that only look alike', () => {
    // NFC does not fold compatibility characters: ﬁ stays a ligature.
    expect(encodeText('\ufb01', 'text')).not.toEqual(encodeText('fi', 'text'))
    expect(encodeText('a\tb', 'text')).not.toEqual(encodeText('a b', 'text'))
  })

  it('refuses text without a UTF-8 form, and values that are not strings', () => {
    expect(() => encodeText('\ud800', 'text')).toThrow(TypeError)
    expect(() => encodeText('a\udc00b', 'text')).toThrow(TypeError)
    expect(() => encodeText(5 as unknown as string, 'text')).toThrow(TypeError)
  })
})
