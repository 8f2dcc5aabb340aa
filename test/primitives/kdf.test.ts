import { describe, expect, it } from 'vitest'
import { keyIdOf } from '../../src/core/wrap.ts'
import { derive, deriveKey } from '../../src/primitives/kdf.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { hex, unhex } from '../fixtures.ts'

const key = new SecretKey(
  'block',
  Uint8Array.from({ length: 32 }, (_, index) => index),
)
const salt = Uint8Array.from({ length: 32 }, (_, index) => 100 + index)

describe('KDF', () => {
  it('gives the answer of test/reference.py (SPEC §1.3)', () => {
    expect(hex(derive(key, salt, 'wrap', [Uint8Array.of(7)], 64))).toBe(
      '3f089d1e1dedf941d33d8aff9cfaff248fd261cb92f5f5e86f9dd8d16e09b31c350fea28a5c701b425dc28d8b0b9d88896b70c8484290e493cad7beac28add10',
    )
    expect(hex(keyIdOf(key))).toBe('ca7cb4bca3b6fc6cd5ba4aaa8ad8473e')
  })

  it('gives a different key for a different label, context, salt or length', () => {
    const outputs = [
      derive(key, salt, 'a', [], 32),
      derive(key, salt, 'b', [], 32),
      derive(key, salt, 'a', [new Uint8Array(0)], 32),
      derive(key, salt, 'a', [Uint8Array.of(1, 2)], 32),
      derive(key, salt, 'a', [Uint8Array.of(1), Uint8Array.of(2)], 32),
      derive(key, new Uint8Array(0), 'a', [], 32),
      derive(key, salt, 'a', [], 33).subarray(0, 32),
    ]
    expect(new Set(outputs.map(hex)).size).toBe(outputs.length)
  })

  it('gives a key the requested role', () => {
    const derived = deriveKey('label', key, 'key-id', [], 16)
    expect(derived.role).toBe('label')
    expect(withBytes(derived, (bytes) => new Uint8Array(bytes))).toEqual(unhex('ca7cb4bca3b6fc6cd5ba4aaa8ad8473e'))
  })
})
