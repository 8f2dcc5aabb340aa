import { createHash } from 'node:crypto'
import { argon2id } from '@noble/hashes/argon2.js'
import { describe, expect, it } from 'vitest'
import { deriveTypedKey, deriveScopeId } from '../../src/client/typed-key.ts'
import { keyIdOf } from '../../src/core/wrap.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { hex } from '../fixtures.ts'

const names = { realm: 'com.example.backup', account: 'acme' }
const key = await deriveTypedKey({ type: 'AES-192', text: 'geheim ✓' }, 'account', names, {})

describe('a typed key', () => {
  it('is the Argon2id hash of its text, with a salt of realm, account, role and type', async () => {
    const LP = (text: string) => {
      const bytes = Buffer.from(text)
      const length = Buffer.alloc(4)
      length.writeUInt32BE(bytes.length)
      return Buffer.concat([length, bytes])
    }
    const fields = ['keystrata/v1/typed-key', names.realm, names.account, 'account', 'AES-192'].map(LP)
    const salt = createHash('sha256').update(Buffer.concat(fields)).digest()
    const expected = argon2id(Buffer.from('geheim ✓'), salt, { t: 3, m: 65_536, p: 4, dkLen: 24 })
    expect(withBytes(key.key, hex)).toBe(hex(expected))
  })

  it('has a key id and an owner id by HKDF-SHA-512', () => {
    // From Python: HKDF with hmac and hashlib, over the bytes 0 to 23.
    const counted = new SecretKey(
      'client',
      Uint8Array.from({ length: 24 }, (_, index) => index),
    )
    expect(hex(keyIdOf(counted))).toBe('6597e077f8ca6597e501d83a5ea82b3d')
    expect(hex(deriveScopeId(counted, 'acme', 'account'))).toBe('f67ab7195e522d2ff46eec734a819191')
  })
})
