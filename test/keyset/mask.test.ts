import { encodeEnvelope, isMasked, Mode, parseEnvelope } from '../../src/keyset/mask.ts'
import { Suite } from '../../src/core/suite.ts'
import { describe, expect, it } from 'vitest'
import { encodePlainEnvelope, envelopeLength } from '../../src/core/envelope.ts'
import { encodeHeader, ObjectType } from '../../src/core/header.ts'
import { failure, hex, patched, sample } from '../fixtures.ts'

const ids = { keyId: sample(16), ownerId: sample(16, 2) }
const headerOf = (suite: Suite) => encodeHeader({ type: ObjectType.envelope, suite, ...ids })
const fields = { ephemeral: sample(32, 3), mask: sample(32, 4), mode: Mode.off }
const x25519 = encodeEnvelope(headerOf(Suite.x25519), Suite.x25519, { ...fields, encapsulated: new Uint8Array(0) })
const hybrid = encodeEnvelope(headerOf(Suite.hybrid), Suite.hybrid, { ...fields, encapsulated: sample(1568, 5) })
const plain = encodePlainEnvelope(headerOf(Suite.none))

describe('envelope', () => {
  it('has the lengths of SPEC §10.1', () => {
    expect([plain, x25519, hybrid].map((bytes) => bytes.length)).toEqual([49, 145, 1713])
    for (const bytes of [plain, x25519, hybrid])
      expect(envelopeLength(new Uint8Array([...bytes, 9, 9]))).toBe(bytes.length)
  })

  it('has its fields in the order of SPEC §10.1', () => {
    const order = [
      headerOf(Suite.hybrid),
      fields.ephemeral,
      sample(1568, 5),
      Uint8Array.of(3),
      fields.mask,
      new Uint8Array(32),
    ]
    expect(hex(hybrid)).toBe(order.map(hex).join(''))
    expect(hex(plain)).toBe(hex(headerOf(Suite.none)) + '04')
  })

  it('parses to the fields that were encoded', () => {
    expect(parseEnvelope(hybrid)).toMatchObject({
      ...fields,
      encapsulated: sample(1568, 5),
      tagged: hybrid.subarray(0, 1681),
    })
    expect(parseEnvelope(x25519)).toMatchObject({ encapsulated: new Uint8Array(0) })
    expect(isMasked(parseEnvelope(plain))).toBe(false)
  })

  it('refuses every other length', async () => {
    for (const bytes of [plain, x25519, hybrid]) {
      await failure(() => parseEnvelope(bytes.subarray(0, -1)), 'malformed')
      await failure(() => parseEnvelope(new Uint8Array([...bytes, 0])), 'malformed')
    }
    await failure(() => parseEnvelope(patched(hybrid, 6, [0x01, 0x01])), 'malformed')
  })

  it('refuses modes that its suite does not allow', async () => {
    for (const mode of [0, 4, 5, 255]) {
      const error = await failure(() => parseEnvelope(patched(hybrid, 1648, [mode])), 'unsupported')
      expect(error.detail).toMatchObject({ field: 'mode', found: mode })
    }
    for (const mode of [0, 1, 2, 3, 5]) await failure(() => parseEnvelope(patched(plain, 48, [mode])), 'unsupported')
  })
})
