// Two backends, one meaning: the same bytes for the same input, and the same inputs refused.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { backend, useBackend } from '../src/primitives/backend.ts'
import { nodeBackend } from '../src/primitives/backend-node.ts'
import { portableBackend as portable } from '../src/primitives/backend-portable.ts'
import { hex, sample, unhex } from './fixtures.ts'

const node = nodeBackend()!
const CHUNK = 128 * 1024

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const runs = { numRuns: process.env['SLOW'] === '1' ? 2000 : 60 }

describe('node and portable', () => {
  it('are both here, and node is chosen', () => {
    expect(node.name).toBe('node')
    expect(backend().name).toBe('node')
    expect(node.providers.X25519).toBe('node:crypto')
    useBackend(portable)
    expect(backend().name).toBe('portable')
    useBackend(undefined)
  })

  it('use what the runtime has', () => {
    const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
    const native = major > 24 || (major === 24 && minor >= 7) ? 'node:crypto' : undefined
    expect(node.providers['ML-KEM-1024']).toBe(native ?? '@noble/post-quantum')
    expect(node.providers.Argon2id).toBe(native ?? '@noble/hashes')
  })

  it('hash alike', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), fc.uint8Array(), (parts, key) => {
        for (const hash of ['sha256', 'sha512', 'sha3-256'] as const) {
          expect(hex(node.hash(hash, parts))).toBe(hex(portable.hash(hash, parts)))
        }
        for (const hash of ['sha256', 'sha512'] as const) {
          expect(hex(node.hmac(hash, key, parts))).toBe(hex(portable.hmac(hash, key, parts)))
        }
      }),
      runs,
    )
  })

  it('derive alike', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1 }),
        fc.uint8Array(),
        fc.uint8Array(),
        fc.integer({ min: 1, max: 200 }),
        (ikm, salt, info, length) => {
          expect(hex(node.hkdf('sha512', ikm, salt, info, length))).toBe(
            hex(portable.hkdf('sha512', ikm, salt, info, length)),
          )
        },
      ),
      runs,
    )
  })

  it('seal and open alike under AES of every key size', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(16, 24, 32).chain(bytes),
        bytes(12),
        fc.uint8Array(),
        fc.uint8Array({ maxLength: 200 }),
        (key, iv, aad, text) => {
          const sealed = node.gcmSeal(key, iv, aad, text)
          expect(hex(sealed)).toBe(hex(portable.gcmSeal(key, iv, aad, text)))
          expect(node.gcmOpen(key, iv, aad, sealed)).toEqual(new Uint8Array(text))
          expect(portable.gcmOpen(key, iv, aad, sealed)).toEqual(new Uint8Array(text))
        },
      ),
      runs,
    )
  })

  it.each([0, 1, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])(
    'treat content of %i bytes alike',
    async (length) => {
      const [key, iv, aad, content] = [sample(32), sample(12), sample(20), sample(length, 7)]
      const digests = [{ hash: 'sha256', suffix: sample(32) }, { hash: 'sha3-256' }] as const
      const results = []
      for (const each of [node, portable]) {
        const buffer = new Uint8Array(length + 16)
        const copied = await each.copyAndDigest(content, buffer.subarray(0, length), digests)
        expect(buffer.subarray(0, length)).toEqual(content)
        expect(await each.digestContent(content, digests)).toEqual(copied)
        await each.gcmSealContent(key, iv, aad, buffer)
        expect(await each.gcmOpenContent(key, iv, aad, buffer)).toEqual(content)
        results.push([...copied, buffer].map(hex))
      }
      expect(results[0]).toEqual(results[1])
    },
  )

  it('agree by X25519', () => {
    fc.assert(
      fc.property(bytes(32), bytes(32), (mine, yours) => {
        for (const [sender, recipient] of [
          [node, portable],
          [portable, node],
        ] as const) {
          const identity = recipient.x25519.decapsulator(yours)
          expect(identity.publicKey).toEqual(sender.x25519.decapsulator(yours).publicKey)
          const { ciphertext, shared } = sender.x25519.encapsulator(identity.publicKey).encapsulate(mine)
          expect(identity.decapsulate(ciphertext)).toEqual(shared)
        }
      }),
      runs,
    )
  })

  it('agree by ML-KEM-1024', () => {
    fc.assert(
      fc.property(bytes(64), (seed) => {
        for (const [sender, recipient] of [
          [node, portable],
          [portable, node],
        ] as const) {
          const identity = recipient.mlKem1024.decapsulator(seed)
          expect(hex(identity.publicKey)).toBe(hex(sender.mlKem1024.decapsulator(seed).publicKey))
          const { ciphertext, shared } = sender.mlKem1024.encapsulator(identity.publicKey).encapsulate()
          expect(identity.decapsulate(ciphertext)).toEqual(shared)
        }
      }),
      { numRuns: Math.ceil(runs.numRuns / 6) },
    )
  })

  it('encapsulate alike when told the randomness', () => {
    const { publicKey } = portable.mlKem1024.decapsulator(sample(64))
    const [first, second] = [node, portable].map((each) =>
      each.mlKem1024.encapsulator(publicKey).encapsulate(sample(32)),
    )
    expect(first).toEqual(second)
  })

  // RFC 7748 §6.1 and https://cr.yp.to/ecdh.html#validate: points of small order, canonical and not.
  it.each([
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000000',
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  ])('refuse the low-order point %s', (point) => {
    for (const each of [node, portable]) {
      expect(() => each.x25519.decapsulator(sample(32)).decapsulate(unhex(point))).toThrow()
      expect(() => each.x25519.encapsulator(unhex(point)).encapsulate()).toThrow()
    }
  })

  it('refuse ML-KEM keys with a coefficient out of range', () => {
    const { publicKey } = portable.mlKem1024.decapsulator(sample(64))
    const out = new Uint8Array(publicKey)
    out.set([0xff, 0xff], 0)
    for (const each of [node, portable]) expect(() => each.mlKem1024.encapsulator(out).encapsulate()).toThrow()
  })

  it('refuse ML-KEM keys and ciphertexts of a wrong length', () => {
    const { publicKey } = portable.mlKem1024.decapsulator(sample(64))
    for (const each of [node, portable]) {
      expect(() => each.mlKem1024.encapsulator(publicKey.subarray(1))).toThrow()
      expect(() => each.mlKem1024.decapsulator(new Uint8Array(63))).toThrow()
      expect(() => each.mlKem1024.decapsulator(sample(64)).decapsulate(new Uint8Array(1567))).toThrow()
    }
  })

  it('forget a private key that was disposed of', () => {
    const { publicKey } = portable.x25519.decapsulator(sample(32, 5))
    const own = node.x25519.decapsulator(sample(32))
    own.dispose()
    expect(() => own.decapsulate(publicKey)).toThrow()
  })
})
