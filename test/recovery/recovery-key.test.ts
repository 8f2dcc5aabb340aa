import { describe, expect, it } from 'vitest'
import { ed25519, x25519 } from '@noble/curves/ed25519.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { ml_kem1024 } from '@noble/post-quantum/ml-kem.js'
import { recoveryHolderOf } from '../../src/core/recovery-holder.ts'
import { deriveRecoveryKey, generateRecoveryCode, type RecoveryKey, splitRecoveryCode } from '../../src/recovery.ts'
import { backends, failure, hex, sample, withBackend } from '../fixtures.ts'

const code = generateRecoveryCode()
const publicKeysOf = (key: RecoveryKey) => recoveryHolderOf(key, 'key').keys
const textOf = (key: RecoveryKey) => Object.values(publicKeysOf(key)).map(hex).join(' ')

/** `KDF(ikm, "", label, [source], length)` of SPEC §1.3, by noble and by hand. */
function kdf(ikm: Uint8Array, label: string, source: string, length: number): Uint8Array {
  const prefixed = (text: string) => {
    const bytes = Buffer.from(text)
    const size = Buffer.alloc(4)
    size.writeUInt32BE(bytes.length)
    return Buffer.concat([size, bytes])
  }
  const info = Buffer.concat([prefixed(`keystrata/v1/${label}`), prefixed(source), Buffer.from([0, length])])
  return hkdf(sha512, ikm, undefined, info, length)
}

describe('deriveRecoveryKey', () => {
  it.each([
    ['code', { code }, Buffer.from(code.replaceAll('-', '')), 'code'],
    ['secret', { secret: sample(32) }, sample(32), 'secret'],
  ] as const)('derives the key pairs of a %s as SPEC §20.1 says', async (kind, from, ikm, source) => {
    using key = await deriveRecoveryKey(from)
    expect(key.kind).toBe(kind)
    const keys = publicKeysOf(key)
    expect(hex(keys.x25519)).toBe(hex(x25519.getPublicKey(kdf(ikm, 'recovery-x25519', source, 32))))
    const { publicKey } = ml_kem1024.keygen(kdf(ikm, 'recovery-ml-kem-1024', source, 64))
    expect(hex(keys.mlKem1024)).toBe(hex(publicKey))
    expect(hex(keys.signing)).toBe(hex(ed25519.getPublicKey(kdf(ikm, 'recovery-signing', source, 32))))
  })

  it.each(backends)('gives the same keys on every backend: $name', async (backend) => {
    const expected = await deriveRecoveryKey({ secret: sample(32) })
    await withBackend(backend, async () => {
      expect(textOf(await deriveRecoveryKey({ secret: sample(32) }))).toBe(textOf(expected))
    })
  })

  it('gives the same keys for a code and for its parts, and says what it was given', async () => {
    using whole = await deriveRecoveryKey({ code })
    using combined = await deriveRecoveryKey({ parts: await splitRecoveryCode(code, { parts: 3, needed: 2 }) })
    expect(textOf(combined)).toBe(textOf(whole))
    expect(combined.kind).toBe('split')
  })

  it('reads a code as people type it', async () => {
    using key = await deriveRecoveryKey({ code })
    const typed = `“${code.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'O').replaceAll('1', 'l')}”,`
    using again = await deriveRecoveryKey({ code: typed })
    expect(textOf(again)).toBe(textOf(key))
  })

  it('does not take the characters of a code for a secret', async () => {
    using secret = await deriveRecoveryKey({ secret: Buffer.from(`${code.replaceAll('-', '')}  `) })
    using key = await deriveRecoveryKey({ code })
    expect(textOf(secret)).not.toBe(textOf(key))
  })

  it('refuses a secret that no device draws', async () => {
    for (const length of [0, 31, 33, 64])
      await expect(deriveRecoveryKey({ secret: sample(length) })).rejects.toThrow(RangeError)
    await expect(deriveRecoveryKey({ secret: new Uint8Array(32) })).rejects.toThrow(/32 random bytes/)
  })

  it.each([
    [{}],
    [{ code, secret: sample(32) }],
    [{ code: undefined }],
    [{ secret: 'x'.repeat(32) }],
    [{ parts: code }],
    [{ code: 5 }],
    [{ codes: code }],
    [undefined],
  ])('refuses what is not exactly one secret: %j', async (from) => {
    await expect(deriveRecoveryKey(from as never)).rejects.toThrow(TypeError)
  })

  it('refuses a mistyped code, and says what else it is', async () => {
    const [part = ''] = await splitRecoveryCode(code, { parts: 2, needed: 2 })
    const { detail, message } = await failure(() => deriveRecoveryKey({ code: part }), 'invalid-text')
    expect(detail).toEqual({ reason: 'too-few', field: 'recovery code', given: 1 })
    expect(message).toContain('one part')
    const slip = code.slice(0, -1) + (code.endsWith('2') ? '3' : '2')
    expect((await failure(() => deriveRecoveryKey({ code: slip }), 'invalid-text')).detail).toMatchObject({
      reason: 'check',
      field: 'recovery code',
    })
    await failure(() => deriveRecoveryKey({ code: '' }), 'invalid-text')
    await failure(() => deriveRecoveryKey({ code: code + code }), 'invalid-text')
  })

  it('gives handles that can be disposed of', async () => {
    const key = await deriveRecoveryKey({ code })
    key.dispose()
    await failure(() => recoveryHolderOf(key, 'key'), 'disposed')
    expect(() => structuredClone(key)).toThrow()
    expect(JSON.stringify({ kind: key.kind })).toBe('{"kind":"code"}')
  })
})
