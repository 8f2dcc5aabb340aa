// Refs: their form, and what is refused.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { labelOf } from '../../src/index.ts'
import { encodeRef, parseRef } from '../../src/state/ref.ts'
import { failure, hex, sample } from '../fixtures.ts'

const label = 'ab'.repeat(32)
const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
const hash = sample(32, 1)
const member = `k.12.${base64url(sample(32, 3))}`

describe('a ref', () => {
  it('is the label of a block, then the hash of a ciphertext of a share, then the member of a pack', () => {
    const named = base64url(hash)
    for (const [ref, text] of [
      [{ label, hash: undefined, member: undefined }, label],
      [{ label, hash: undefined, member }, `${label}.${member}`],
      [{ label, hash, member: undefined }, `${label}.${named}`],
      [{ label, hash, member }, `${label}.${named}.${member}`],
    ] as const) {
      expect(encodeRef(ref)).toBe(text)
      expect(parseRef(text)).toEqual(ref)
      expect(labelOf(text)).toBe(label)
    }
  })

  it('is read again for any content', () => {
    const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 })
    const hashes = fc.option(bytes, { nil: undefined })
    const index = fc.integer({ min: 0, max: 1023 })
    const members = fc.option(
      fc.tuple(fc.constantFrom('g', 'k'), index, bytes).map(([form, at, key]) => `${form}.${at}.${base64url(key)}`),
      { nil: undefined },
    )
    fc.assert(
      fc.property(bytes, hashes, members, (name, named, file) => {
        const read = parseRef(encodeRef({ label: hex(name), hash: named, member: file }))
        expect([read.label, read.hash && hex(read.hash), read.member]).toEqual([hex(name), named && hex(named), file])
      }),
    )
  })

  it('is malformed in every other form', async () => {
    const named = base64url(hash)
    for (const text of [
      '',
      label.slice(1),
      label.toUpperCase(),
      `${label}.`,
      `${label}.${named.slice(1)}`,
      `${label}.${named}.${named}`,
      `${label}.${named}.`,
      // The last letter has bits that no byte has.
      `${label}.${named.slice(0, -1)}_`,
      `${label}.k.1024x.${named}`,
      `${label}.k.01.${named}`,
      `${label}.h.1.${named}`,
      `${label}.${member}.${member}`,
      `${label}\n`,
      ` ${label}`,
    ]) {
      const { detail } = await failure(() => labelOf(text), 'malformed')
      expect(detail).toEqual({ object: 'ref', characters: text.length })
    }
    for (const value of [undefined, null, 5, new String(label), sample(32)])
      expect(() => labelOf(value as never)).toThrow(TypeError)
  })
})
