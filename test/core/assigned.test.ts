// The library's list of the characters of Unicode 16.0.
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { isAssigned } from '../../src/core/assigned.ts'

const LAST = 0x10ffff
const inTable: readonly number[] = Array.from({ length: LAST + 1 }, (_, point) => point).filter(isAssigned)

describe('the characters of Unicode 16.0', () => {
  it('are as many as the Unicode Consortium has counted', () => {
    // Unicode 16.0, https://www.unicode.org/versions/Unicode16.0.0/: 154,998 characters (graphic and format), and, as in
    // every version, 65 controls, 137,468 for private use and 2,048 surrogates.
    expect(inTable).toHaveLength(154_998 + 65 + 137_468 + 2048)
  })

  it('are those of Node 20.19.0', () => {
    // Node 20.19.0, over all code points: createHash('sha256') of Uint32Array.from(those that /\p{Cn}/u does not match).
    const digest = createHash('sha256')
      .update(new Uint8Array(Uint32Array.from(inTable).buffer))
      .digest('hex')
    expect(digest).toBe('05caa4881ce4c5ad910c188c7e52d07cb6ab2066eeffe5ce3053488c8f27cd9f')
  })

  it('are those of the runtime, or fewer where its Unicode is newer', () => {
    const unknown = inTable.filter((point) => /\p{Cn}/u.test(String.fromCodePoint(point)))
    expect(unknown).toEqual([])
    // The riyal sign came with Unicode 17.0.
    const isNewer = !/\p{Cn}/u.test('\u{20c1}')
    const inRuntime = Array.from({ length: LAST + 1 }, (_, point) => point).filter(
      (point) => !/\p{Cn}/u.test(String.fromCodePoint(point)),
    )
    if (isNewer) expect(inRuntime.length).toBeGreaterThan(inTable.length)
    else expect(inRuntime).toHaveLength(inTable.length)
  })

  it.each([
    ['U+0378, a gap in Greek', 0x378, false],
    ['U+1C89, a capital that is new in 16.0', 0x1c89, true],
    ['U+20C0, the som sign of 14.0', 0x20c0, true],
    ['U+20C1, the riyal sign of 17.0', 0x20c1, false],
    ['U+FFFF, a noncharacter', 0xffff, false],
    ['U+10FFFD, the last for private use', 0x10fffd, true],
    ['U+10FFFF, the last of all', LAST, false],
  ])('%s', (_, point, expected) => {
    expect(isAssigned(point)).toBe(expected)
  })
})
