// Every primitive on every backend against answers from its standard, or from another implementation where the standard
// has none; each says which.
import { describe, expect, it } from 'vitest'
import type { Backend } from '../../src/primitives/backend.ts'
import { signingPublicKey } from '../../src/primitives/signature.ts'
import { SecretKey } from '../../src/secret.ts'
import { backends, hex, unhex } from '../fixtures.ts'

const ascii = (text: string) => new Uint8Array(Buffer.from(text))

describe.each(backends)('$name', (backend: Backend) => {
  it('SHA-256, SHA-512 (FIPS 180-4 examples) and SHA3-256 (FIPS 202 example) of "abc"', async () => {
    const answers = {
      sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
      sha512:
        'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
      'sha3-256': '3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532',
    } as const
    for (const [hash, answer] of Object.entries(answers) as [keyof typeof answers, string][]) {
      expect(hex(backend.hash(hash, [ascii('a'), ascii('bc')]))).toBe(answer)
      const [digest] = await backend.digestContent(ascii('ab'), [{ hash, suffix: ascii('c') }])
      expect(hex(digest!)).toBe(answer)
      const copy = new Uint8Array(3)
      const [copied] = await backend.copyAndDigest(ascii('abc'), copy, [{ hash }])
      expect(hex(copied!)).toBe(answer)
      expect(copy).toEqual(ascii('abc'))
    }
  })

  it('HMAC-SHA-256 and HMAC-SHA-512 (RFC 4231, test case 2)', () => {
    const parts = [ascii('what do ya want '), ascii('for nothing?')]
    expect(hex(backend.hmac('sha256', ascii('Jefe'), parts))).toBe(
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    )
    expect(hex(backend.hmac('sha512', ascii('Jefe'), parts))).toBe(
      '164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737',
    )
  })

  it('HKDF-SHA-512 (OpenSSL 3.0.19, `openssl kdf … HKDF`, inputs of RFC 5869 test case 1)', () => {
    const ikm = new Uint8Array(22).fill(0x0b)
    const salt = unhex('000102030405060708090a0b0c')
    expect(hex(backend.hkdf('sha512', ikm, salt, unhex('f0f1f2f3f4f5f6f7f8f9'), 42))).toBe(
      '832390086cda71fb47625bb5ceb168e4c8e26a1a16ed34d9fc7fe92c1481579338da362cb8d9f925d7cb',
    )
    expect(hex(backend.hkdf('sha512', ikm, new Uint8Array(0), unhex('f0f1'), 64))).toBe(
      'eec33ff5defed208a4d2ca9d2604ae74a5aab1c06185af6b27af672140382e22e5c13575eb90a28eb9d7f9dedfa12df6e97f3a668f4966776a54c850cd5c4e3c',
    )
  })

  // McGrew and Viega, "The Galois/Counter Mode of Operation", test case 16.
  const gcm = {
    key: unhex('feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308'),
    iv: unhex('cafebabefacedbaddecaf888'),
    aad: unhex('feedfacedeadbeeffeedfacedeadbeefabaddad2'),
    text: unhex(
      'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
    ),
    sealed:
      '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662' +
      '76fc6ece0f4e1768cddf8853bb2d551b',
  }

  it('AES-256-GCM', async () => {
    expect(hex(backend.gcmSeal(gcm.key, gcm.iv, gcm.aad, gcm.text))).toBe(gcm.sealed)
    expect(backend.gcmOpen(gcm.key, gcm.iv, gcm.aad, unhex(gcm.sealed))).toEqual(gcm.text)
    const buffer = new Uint8Array([...gcm.text, ...new Uint8Array(16)])
    await backend.gcmSealContent(gcm.key, gcm.iv, gcm.aad, buffer)
    expect(hex(buffer)).toBe(gcm.sealed)
    expect(await backend.gcmOpenContent(gcm.key, gcm.iv, gcm.aad, buffer)).toEqual(gcm.text)
  })

  it('AES-256-GCM gives nothing where key, IV, associated data, text or tag is another', async () => {
    const sealed = unhex(gcm.sealed)
    const wrong = (bytes: Uint8Array, at: number) => bytes.map((byte, index) => (index === at ? byte ^ 1 : byte))
    for (const [key, iv, aad, bytes] of [
      [wrong(gcm.key, 0), gcm.iv, gcm.aad, sealed],
      [gcm.key, wrong(gcm.iv, 11), gcm.aad, sealed],
      [gcm.key, gcm.iv, wrong(gcm.aad, 3), sealed],
      [gcm.key, gcm.iv, gcm.aad, wrong(sealed, 0)],
      [gcm.key, gcm.iv, gcm.aad, wrong(sealed, sealed.length - 1)],
      [gcm.key, gcm.iv, gcm.aad, sealed.subarray(1)],
    ] as const) {
      expect(backend.gcmOpen(key, iv, aad, bytes)).toBeUndefined()
      expect(await backend.gcmOpenContent(key, iv, aad, bytes)).toBeUndefined()
    }
  })

  // RFC 7748 §6.1.
  const alice = unhex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a')
  const alicePublic = unhex('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a')
  const bobPublic = unhex('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f')
  const shared = '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742'

  it('X25519 as the sender', () => {
    const sent = backend.x25519.encapsulator(bobPublic).encapsulate(alice)
    expect(hex(sent.ciphertext)).toBe(hex(alicePublic))
    expect(hex(sent.shared)).toBe(shared)
  })

  it('X25519 as the recipient', () => {
    const own = backend.x25519.decapsulator(alice)
    expect(own.publicKey).toEqual(alicePublic)
    expect(hex(own.decapsulate(bobPublic))).toBe(shared)
  })

  it('X25519 of a scalar and a point (RFC 7748 §5.2)', () => {
    const own = backend.x25519.decapsulator(unhex('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4'))
    expect(hex(own.decapsulate(unhex('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c')))).toBe(
      'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552',
    )
  })

  // OpenSSL 3.5.8, by node:crypto of Node 26.10: seed 00…3f, and a ciphertext that is none, so the secret is the one of
  // implicit rejection.
  it('ML-KEM-1024: key generation and decapsulation', () => {
    const own = backend.mlKem1024.decapsulator(Uint8Array.from({ length: 64 }, (_, index) => index))
    expect(hex(backend.hash('sha256', [own.publicKey]))).toBe(
      'c7b8fa0aa471d5ae18922d6ccad5b31e1d84f92ae723abfd13747018740a8530',
    )
    const none = Uint8Array.from({ length: 1568 }, (_, index) => index * 7 + 3)
    expect(hex(own.decapsulate(none))).toBe('6037e70a4e52e1935f11e06cdcdbed2f52d1cf93f6dfe0923cb8025c8780beb7')
  })

  it('ML-KEM-1024: what is encapsulated is decapsulated, afresh every time', () => {
    const own = backend.mlKem1024.decapsulator(new Uint8Array(64).fill(9))
    const sender = backend.mlKem1024.encapsulator(own.publicKey)
    const [first, second] = [sender.encapsulate(), sender.encapsulate()]
    expect(own.decapsulate(first.ciphertext)).toEqual(first.shared)
    expect(own.decapsulate(second.ciphertext)).toEqual(second.shared)
    expect(first.shared).not.toEqual(second.shared)
  })

  // The reference implementation's test.c (phc-winner-argon2), Argon2id version 0x13, password "password", salt "somesalt".
  it.each([
    [2, 256, 1, '9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe'],
    [2, 256, 2, '6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037'],
    [2, 65_536, 1, '09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7'],
  ])('Argon2id with t = %i, m = %i KiB, p = %i', async (iterations, memoryKiB, lanes, answer) => {
    const costs = { iterations, memoryKiB, lanes }
    expect(hex(await backend.argon2id(ascii('password'), ascii('somesalt'), costs, 32, {}))).toBe(answer)
  })
})

describe('Ed25519', () => {
  it('public key of a seed (RFC 8032 §7.1, test 1)', () => {
    const seed = new SecretKey('signing', unhex('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60'))
    expect(hex(signingPublicKey(seed))).toBe('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a')
  })
})
