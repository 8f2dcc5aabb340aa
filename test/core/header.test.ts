import { Suite } from '../../src/core/suite.ts'
import { describe, expect, it } from 'vitest'
import { encodeHeader, ObjectType, parseHeader } from '../../src/core/header.ts'
import { failure, hex, patched } from '../fixtures.ts'

const keyId = new Uint8Array(16).fill(0xaa)
const ownerId = new Uint8Array(16).fill(0xbb)
const header = encodeHeader({ type: ObjectType.envelope, suite: Suite.hybrid, keyId, ownerId })
const parse = (bytes: Uint8Array) => parseHeader(bytes, 'envelope', ObjectType.envelope, [Suite.x25519, Suite.hybrid])

describe('header', () => {
  it('has the bytes of SPEC §2', () => {
    expect(hex(header)).toBe(
      `4b535452 01 04 0102 00000000 00000000 ${'aa'.repeat(16)} ${'bb'.repeat(16)}`.replaceAll(' ', ''),
    )
    expect(parse(header)).toEqual({ type: 4, suite: Suite.hybrid, keyId, ownerId, generation: 0, flags: 0 })
  })

  it('may be followed by the rest of its object', () => {
    expect(parse(new Uint8Array([...header, 1, 2])).suite.id).toBe(0x0102)
  })

  it.each([
    ['nothing', new Uint8Array(0)],
    ['one byte missing', header.subarray(0, 47)],
    ['a wrong magic', patched(header, 0, [0x6b])],
  ])('is malformed: %s', async (_, bytes) => {
    await failure(() => parse(bytes), 'malformed')
  })

  it.each([
    ['version', 4, [2]],
    ['version', 4, [0]],
    ['type', 5, [5]],
    ['type', 5, [99]],
    ['suite', 6, [0x02, 0x01]],
    ['suite', 6, [0, 0]],
    ['generation', 11, [1]],
    ['flags', 12, [0x80]],
    ['flags', 15, [1]],
  ])('with an unknown %s is unsupported, and the error names the field', async (field, offset, patch) => {
    const error = await failure(() => parse(patched(header, offset, patch)), 'unsupported')
    expect(error.detail).toMatchObject({ object: 'envelope', field })
    expect(error.message).not.toContain('undefined')
  })
})
