// Hedged randomness: a machine that was cloned draws the same random bytes, and still no nonce and no id twice for
// different things.
import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { hedgedId, hedgedNonce } from '../../src/core/hedge.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { expectSame, hex, sample, withRandomness } from '../fixtures.ts'
import { KDF } from '../spec-reader.ts'

const key = new SecretKey('data', sample(32, 1))
const [digest, header, parameters, context] = [sample(32, 2), sample(48, 3), sample(64, 4), sample(16, 5)]
const random = sample(32, 6)

const u32 = (value: number) => Buffer.from([0, 0, value >>> 8, value & 0xff])
const LP = (bytes: Uint8Array) => Buffer.concat([u32(bytes.length), bytes])

describe('a hedged nonce', () => {
  it('is the HMAC that SPEC §19.1 says, computed here by another implementation', () => {
    const hedgeKey = KDF(Buffer.from(sample(32, 1)), Buffer.alloc(0), 'hedge', [], 32)
    const expected = createHmac('sha256', hedgeKey)
      .update(Buffer.concat([random, ...[digest, header, parameters, context].map(LP)]))
      .digest()
    expectSame(
      withRandomness([random], () => hedgedNonce(key, digest, header, parameters, context)),
      expected,
    )
  })

  it('differs with the content, the header, the parameters, the context and the key, if the randomness repeats', () => {
    const nonce = (change: number, by = key) => {
      const parts = [digest, header, parameters, context].map((part, index) =>
        index === change ? sample(part.length, 99) : part,
      ) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array]
      return hex(withRandomness([random], () => hedgedNonce(by, ...parts)))
    }
    const nonces = [-1, 0, 1, 2, 3].map((change) => nonce(change))
    nonces.push(nonce(-1, new SecretKey('data', sample(32, 7))))
    expect(new Set(nonces).size).toBe(6)
    expect(nonce(-1)).toBe(nonces[0])
  })

  it('is random where the randomness is', () => {
    const nonces = Array.from({ length: 20 }, () => hex(hedgedNonce(key, digest, header, parameters, context)))
    expect(new Set(nonces).size).toBe(20)
  })
})

describe('a hedged id', () => {
  it('has 16 bytes, and depends on its label', () => {
    const id = (label: string) => withRandomness([random], () => hedgedId(key, label, digest))
    expect(id('record-id')).toHaveLength(16)
    expect(hex(id('record-id'))).not.toBe(hex(id('revision')))
  })
})
