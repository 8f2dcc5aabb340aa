// Hedged randomness: a machine that was cloned draws the same random bytes, and still no nonce and no id twice for
// different things.
import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  deriveHedgeKey,
  HEDGE,
  hedgedEphemeral,
  hedgedId,
  hedgedNonce,
  hedgedNonceUnder,
} from '../../src/core/hedge.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { expectSame, hex, sample, withRandomness } from '../fixtures.ts'
import { KDF } from '../spec-reader.ts'

const key = new SecretKey('data', sample(32, 1))
const [digest, headerBytes, parameters, context] = [sample(32, 2), sample(48, 3), sample(64, 4), sample(16, 5)]
const inputs = { digest, headerBytes, parameters, context }
const random = sample(32, 6)

const u32 = (value: number) => Buffer.from([0, 0, value >>> 8, value & 0xff])
const LP = (bytes: Uint8Array) => Buffer.concat([u32(bytes.length), bytes])

describe('a hedged nonce', () => {
  it('is the HMAC that SPEC §4.4 says, computed here by another implementation', () => {
    const hedgeKey = KDF(Buffer.from(sample(32, 1)), Buffer.alloc(0), 'hedge', [], 32)
    const expected = createHmac('sha256', hedgeKey)
      .update(Buffer.concat([random, ...[digest, headerBytes, parameters, context].map(LP)]))
      .digest()
    expectSame(
      withRandomness([random], () => hedgedNonce(key, inputs)),
      expected,
    )
  })

  it('differs with the content, the header, the parameters, the context and the key, if the randomness repeats', () => {
    const nonce = (changed: Partial<typeof inputs> = {}, by = key) =>
      hex(withRandomness([random], () => hedgedNonce(by, { ...inputs, ...changed })))
    const others = Object.entries(inputs).map(([name, part]) => nonce({ [name]: sample(part.length, 99) }))
    const nonces = [nonce(), ...others, nonce({}, new SecretKey('data', sample(32, 7)))]
    expect(new Set(nonces).size).toBe(6)
    expect(nonce()).toBe(nonces[0])
  })

  it('is random where the randomness is', () => {
    const nonces = Array.from({ length: 20 }, () => hex(hedgedNonce(key, inputs)))
    expect(new Set(nonces).size).toBe(20)
  })
})

describe('a hedged nonce under a key that was derived before', () => {
  it('is the same', () => {
    const hedgeKey = deriveHedgeKey(key, HEDGE)
    expectSame(
      withRandomness([random], () => hedgedNonceUnder(hedgeKey, inputs)),
      withRandomness([random], () => hedgedNonce(key, inputs)),
    )
  })
})

describe('the ephemeral key of a SEAL', () => {
  const [secret, header, place] = [sample(96, 8), sample(48, 3), sample(200, 5)]
  const draw = (...parts: Parameters<typeof hedgedEphemeral>) =>
    withRandomness([random], () => withBytes(hedgedEphemeral(...parts), hex))

  it('is the HKDF that SPEC §4.3 says, computed here by another implementation', () => {
    const expected = KDF(
      Buffer.concat([random, secret]),
      Buffer.alloc(0),
      'hedge-seal',
      [header, place].map(Buffer.from),
      32,
    )
    expect(draw(secret, header, place)).toBe(hex(expected))
  })

  it('differs with the secret, the header and the context, if the randomness repeats', () => {
    const keys = [
      draw(secret, header, place),
      draw(sample(96, 99), header, place),
      draw(secret, sample(48, 99), place),
      draw(secret, header, sample(200, 99)),
    ]
    expect(new Set(keys).size).toBe(4)
  })
})

describe('a hedged id', () => {
  it('has 16 bytes, and depends on its label', () => {
    const id = (label: string) => withRandomness([random], () => hedgedId(key, label, digest))
    expect(id('record-id')).toHaveLength(16)
    expect(hex(id('record-id'))).not.toBe(hex(id('revision')))
  })
})
