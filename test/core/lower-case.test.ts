import { describe, expect, it, vi } from 'vitest'
import { isAssigned } from '../../src/core/assigned.ts'
import { lowerCase } from '../../src/core/lower-case.ts'

describe('lower case', () => {
  it.each([
    ['ΟΔΥΣΣΕΥΣ', 'οδυσσευς'],
    ['ΟΔΥΣΣΕΥΣ@EXAMPLE.COM', 'οδυσσευς@example.com'],
    ['ΟΔΥΣΣΕΥΣ.K', 'οδυσσευσ.k'],
    ['ΟΔΥΣΣΕΥΣ-1', 'οδυσσευς-1'],
    ['Σ', 'σ'],
    ['1Σ', '1σ'],
    ["A'Σ'", "a'ς'"],
    ['\u0130', 'i\u0307'],
    ['STRASSE \u1e9e', 'strasse \u00df'],
  ])('of %s', (text, expected) => {
    expect(lowerCase(text)).toBe(expected)
  })

  it('takes ʕ for a letter with case, as Unicode 16.0 does; in 17.0 it has none', () => {
    // Node 20.19.0: 'Aʕ\u03a3'.toLowerCase() and '\u03a3ʕ'.toLowerCase(). Node 26 gives 'aʕσ' for the first.
    expect(lowerCase('\u0295\u03a3')).toBe('\u0295\u03c2')
    expect(lowerCase('A\u03a3\u0295')).toBe('a\u03c3\u0295')
  })

  it('does not take a small letter that is newer than Unicode 16.0', () => {
    // As if a later Unicode gave U+A7C5 a new small form.
    vi.spyOn(String.prototype, 'toLowerCase').mockImplementation(function (this: string) {
      return this.toLocaleLowerCase('en').replaceAll('\u0282', '\u{20c1}')
    })
    try {
      expect(lowerCase('A\ua7c5B')).toBe('a\ua7c5b')
    } finally {
      vi.restoreAllMocks()
    }
  })

  it('is what the runtime gives for Latin, Greek and Cyrillic around a Σ, but for ʕ', () => {
    const ranges = [
      [0x20, 0x530],
      [0x1d00, 0x2100],
    ] as const
    const letters = ranges.flatMap(([from, to]) =>
      Array.from({ length: to - from }, (_, index) => from + index)
        .filter((point) => isAssigned(point) && point !== 0x295)
        .map((point) => String.fromCodePoint(point)),
    )
    const different = letters.flatMap((letter) =>
      [
        `${letter}\u03a3`,
        `A${letter}\u03a3`,
        `A\u03a3${letter}`,
        `A\u03a3${letter}B`,
        `A\u03a3.${letter}`,
        `${letter}.\u03a3`,
        `\u03a3${letter}\u03a3`,
      ].filter((text) => lowerCase(text) !== text.toLowerCase()),
    )
    expect(letters.length).toBeGreaterThan(2000)
    expect(different).toEqual([])
  })
})
