import { describe, expect, it } from 'vitest'
import { decapsulate, importPrivateKey, importPublicKey } from '../../src/primitives/kem.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { backends, failure, sample, withBackend } from '../fixtures.ts'

describe.each(backends)('kem on $name', (backend) => {
  it('refuses public keys of low order or out of range when they are imported', async () => {
    await withBackend(backend, async () => {
      const error = await failure(() => importPublicKey('x25519', new Uint8Array(32)), 'malformed')
      expect(error.detail).toEqual({ object: 'public key', field: 'x25519' })
      await failure(() => importPublicKey('mlKem1024', new Uint8Array(1568).fill(0xff)), 'malformed')
    })
  })

  it('refuses low-order ciphertexts as not authentic', async () => {
    await withBackend(backend, async () => {
      const own = importPrivateKey('x25519', new SecretKey('x25519', sample(32)))
      await failure(() => decapsulate(own, new Uint8Array(32)), 'authentication-failed')
    })
  })

  it('throws RangeError for keys of a wrong length', () => {
    expect(() => importPublicKey('x25519', new Uint8Array(31))).toThrow(RangeError)
    expect(() => importPublicKey('mlKem1024', new Uint8Array(1184))).toThrow(RangeError)
    expect(() => importPrivateKey('mlKem1024', new SecretKey('ml-kem-1024', new Uint8Array(32)))).toThrow(RangeError)
  })
})
