// Refs: their form, and what is refused.
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { labelOf } from '../../src/index.ts'
import { encodeRef, parseRef } from '../../src/state/ref.ts'
import { failure, hex, sample } from '../fixtures.ts'

const label = 'ab'.repeat(32)
const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
const [envelope, ciphertext] = [sample(32, 1), sample(32, 2)]
const member = `k.12.${base64url(sample(32, 3))}`

describe('a ref', () => {
  it('is the label of a block, then the hashes of a share, then the member of a pack', () => {
    const pins = { envelope, ciphertext }
    const hashes = `${base64url(envelope)}.${base64url(ciphertext)}`
    for (const [ref, text] of [
      [{ label, pins: undefined, member: undefined }, label],
      [{ label, pins: undefined, member }, `${label}.${member}`],
      [{ label, pins, member: undefined }, `${label}.${hashes}`],
      [{ label, pins, member }, `${label}.${hashes}.${member}`],
    ] as const) {
      expect(encodeRef(ref)).toBe(text)
      expect(parseRef(text)).toEqual(ref)
      expect(labelOf(text)).toBe(label)
    }
  })

  it('is read again for any content', () => {
    const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 })
    const pins = fc.option(fc.record({ envelope: bytes, ciphertext: bytes }), { nil: undefined })
    const index = fc.integer({ min: 0, max: 1023 })
    const members = fc.option(
      fc.tuple(fc.constantFrom('g', 'k'), index, bytes).map(([form, at, key]) => `${form}.${at}.${base64url(key)}`),
      { nil: undefined },
    )
    fc.assert(
      fc.property(bytes, pins, members, (name, hashes, file) => {
        const ref = { label: hex(name), pins: hashes, member: file }
        const read = parseRef(encodeRef(ref))
        expect([read.label, read.member]).toEqual([ref.label, ref.member])
        expect([hex(read.pins?.envelope ?? name), hex(read.pins?.ciphertext ?? name)]).toEqual([
          hex(hashes?.envelope ?? name),
          hex(hashes?.ciphertext ?? name),
        ])
      }),
    )
  })

  it('is malformed in every other form', async () => {
    const hash = base64url(createHash('sha256').digest())
    for (const text of [
      '',
      label.slice(1),
      label.toUpperCase(),
      `${label}.`,
      `${label}.${hash}`,
      `${label}.${hash}.${hash.slice(1)}`,
      `${label}.${hash}.${hash}.`,
      // The last letter has bits that no byte has.
      `${label}.${hash.slice(0, -1)}x.${hash}`,
      `${label}.k.1024x.${hash}`,
      `${label}.k.01.${hash}`,
      `${label}.h.1.${hash}`,
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
