import { backends, flipped, hex, unhex, withRandomness } from '../fixtures.ts'
import { nodeBackend } from '../platforms.ts'
import { createPublicKey, verify } from 'node:crypto'
// Checks every primitive on every backend against answers from its standard, or from another implementation if the
// standard has none. Each test says which.
import { poly1305 } from '@noble/ciphers/_poly1305.js'
import { chacha20 } from '@noble/ciphers/chacha.js'
import { ed25519 } from '@noble/curves/ed25519.js'
import { argon2id } from '@noble/hashes/argon2.js'
import { describe, expect, it } from 'vitest'
import { type Backend } from '../../src/primitives/backend.ts'
import { isSignatureOf, sign, signingPublicKey } from '../../src/primitives/signature.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { HONEST_R, signatureFor, TORSION } from '../odd-signatures.ts'

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
      if (hash !== 'sha3-256') expect(hex(backend.hash(hash, [ascii('a'), ascii('bc')]))).toBe(answer)
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

  it('HKDF-SHA-256 (RFC 5869, test case 1)', () => {
    const [salt, info] = [unhex('000102030405060708090a0b0c'), unhex('f0f1f2f3f4f5f6f7f8f9')]
    expect(hex(backend.hkdf('sha256', new Uint8Array(22).fill(0x0b), salt, info, 42))).toBe(
      '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
    )
  })

  it('PBKDF2-HMAC-SHA-512 (Python, hashlib.pbkdf2_hmac)', async () => {
    expect(hex(await backend.pbkdf2Sha512(ascii('password'), ascii('salt'), 2, 64, {}))).toBe(
      'e1d9c16aa681708a45f5c7c4e215ceb66e011a2e9f0040713f18aefdb866d53cf76cab2868a39b9f7840edce4fef5a82be67335c77a6068e04112754f27ccf4e',
    )
  })

  // SP 800-38A, appendix F: four blocks under AES-128, -192 and -256.
  const blocks = unhex(
    '6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710',
  )
  it.each([
    [
      'F.5.1',
      '2b7e151628aed2a6abf7158809cf4f3c',
      '874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee',
    ],
    [
      'F.5.3',
      '8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b',
      '1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e941e36b26bd1ebc670d1bd1d665620abf74f78a7f6d29809585a97daec58c6b050',
    ],
    [
      'F.5.5',
      '603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4',
      '601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c52b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6',
    ],
  ])('AES-CTR (SP 800-38A %s)', async (_, key, answer) => {
    const buffer = new Uint8Array(blocks)
    await backend.ctr(unhex(key), unhex('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff'), buffer)
    expect(hex(buffer)).toBe(answer)
  })
  it.each([
    [
      'F.2.1',
      '2b7e151628aed2a6abf7158809cf4f3c',
      '7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b273bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7',
    ],
    [
      'F.2.3',
      '8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b',
      '4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd',
    ],
    [
      'F.2.5',
      '603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4',
      'f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b',
    ],
  ])('AES-CBC (SP 800-38A %s; its blocks, then one of padding)', async (_, key, answer) => {
    const [secret, iv] = [unhex(key), unhex('000102030405060708090a0b0c0d0e0f')]
    const sealed = await backend.cbcEncrypt(secret, iv, blocks)
    expect(hex(sealed.subarray(0, 64))).toBe(answer)
    expect(sealed.length).toBe(80)
    expect(await backend.cbcDecrypt(secret, iv, sealed)).toEqual(blocks)
  })

  it('the tag of ChaCha20-Poly1305 for an empty text (OpenSSL 3.0.19), with its data in any pieces', async () => {
    const key = Uint8Array.from({ length: 32 }, (_, index) => 0x80 + index)
    for (const parts of [['Cryptographic Forum Research Group'], ['Cryptographic', '', ' Forum Research', ' Group']]) {
      expect(hex(await backend.chachaPolyTag(key, parts.map(ascii)))).toBe('d89e3e3ccc1fbd8af9bea3c2e8cb3260')
    }
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

  it('AES-256-GCM returns undefined if key, IV, associated data, text or tag is wrong', async () => {
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

  it.runIf(backend.name !== 'node')('X25519 as the sender', () => {
    const sent = withRandomness([alice], () => backend.x25519.encapsulator(bobPublic).encapsulate())
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

  it('X25519, iterated a thousand times (RFC 7748 §5.2)', () => {
    let [k, u] = [new Uint8Array([9, ...new Uint8Array(31)]), new Uint8Array([9, ...new Uint8Array(31)])]
    const next = () => void ([k, u] = [backend.x25519.decapsulator(k).decapsulate(u), k])
    next()
    expect(hex(k)).toBe('422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079')
    // Portable code takes two seconds for these.
    if (backend !== backends[0] && process.env['SLOW'] !== '1') return
    for (let round = 2; round <= 1000; round++) next()
    expect(hex(k)).toBe('684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51')
  })

  // OpenSSL 3.5.8, with node:crypto of Node 26.10: seed 00…3f, and an invalid ciphertext, so the secret is that of
  // implicit rejection.
  it('ML-KEM-1024: key generation and decapsulation', () => {
    const own = backend.mlKem1024.decapsulator(Uint8Array.from({ length: 64 }, (_, index) => index))
    expect(hex(backend.hash('sha256', [own.publicKey]))).toBe(
      'c7b8fa0aa471d5ae18922d6ccad5b31e1d84f92ae723abfd13747018740a8530',
    )
    const none = Uint8Array.from({ length: 1568 }, (_, index) => index * 7 + 3)
    expect(hex(own.decapsulate(none))).toBe('6037e70a4e52e1935f11e06cdcdbed2f52d1cf93f6dfe0923cb8025c8780beb7')
  })

  it('ML-KEM-1024: decapsulation gives the encapsulated secret, which is fresh every time', () => {
    const own = backend.mlKem1024.decapsulator(new Uint8Array(64).fill(9))
    const sender = backend.mlKem1024.encapsulator(own.publicKey)
    const [first, second] = [sender.encapsulate(), sender.encapsulate()]
    expect(own.decapsulate(first.ciphertext)).toEqual(first.shared)
    expect(own.decapsulate(second.ciphertext)).toEqual(second.shared)
    expect(first.shared).not.toEqual(second.shared)
  })

  // The reference implementation's test.c (phc-winner-argon2), Argon2id version 0x13, password "password", salt
  // "somesalt".
  it.each([
    [2, 256, 1, '9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe'],
    [2, 256, 2, '6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037'],
    [2, 65_536, 1, '09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7'],
  ])('Argon2id with t = %i, m = %i KiB, p = %i', async (iterations, memoryKiB, lanes, answer) => {
    const costs = { iterations, memoryKiB, lanes }
    expect(hex(await backend.argon2id(ascii('password'), ascii('somesalt'), costs, 32, {}))).toBe(answer)
  })
})

describe('the code of the portable backend, with inputs of the standards that this library does not use', () => {
  it('Argon2id (RFC 9106 §5.3, with a secret and associated data)', () => {
    const run = (byte: number, length: number) => new Uint8Array(length).fill(byte)
    const options = { t: 3, m: 32, p: 4, dkLen: 32, version: 0x13, key: run(3, 8), personalization: run(4, 12) }
    expect(hex(argon2id(run(1, 32), run(2, 16), options))).toBe(
      '0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659',
    )
  })

  it('Poly1305 (RFC 8439 §2.5.2)', () => {
    const key = unhex('85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b')
    expect(hex(poly1305(ascii('Cryptographic Forum Research Group'), key))).toBe('a8061dc1305136c6c22b8baf0c0127a9')
  })

  // Bernstein, "The Poly1305-AES message-authentication code", appendix B: r, AES_k(n), m, tag.
  it.each([
    [
      '851fc40c3467ac0be05cc20404f3f700',
      '580b3b0f9447bb1e69d095b5928b6dbc',
      'f3f6',
      'f4c633c3044fc145f84f335cb81953de',
    ],
    ['a0f3080000f46400d0c7e9076c834403', 'dd3fab2251f11ac759f0887129cc2ee7', '', 'dd3fab2251f11ac759f0887129cc2ee7'],
  ])('Poly1305-AES under r = %s', (r, pad, message, tag) => {
    expect(hex(poly1305(unhex(message), unhex(r + pad)))).toBe(tag)
  })

  it('the one-time key of ChaCha20-Poly1305 (RFC 8439 §2.6.2)', () => {
    const key = Uint8Array.from({ length: 32 }, (_, index) => 0x80 + index)
    expect(hex(chacha20(key, unhex('000000000001020304050607'), new Uint8Array(32)))).toBe(
      '8ad5a08b905f81cc815040274ab29471a833b637e3fd0da508dbb8e2fdd1a646',
    )
  })
})

describe('Ed25519', () => {
  const SEED = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60'
  const seed = new SecretKey('signing', unhex(SEED))
  const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
  const publicKey = unhex('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a')

  it('keys and signatures (RFC 8032 §7.1, test 1)', () => {
    expect(signingPublicKey(seed)).toEqual(publicKey)
    const signature = sign(seed, new Uint8Array(0))
    expect(hex(signature)).toBe(
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    )
    expect(isSignatureOf(publicKey, new Uint8Array(0), signature)).toBe(true)
    expect(isSignatureOf(publicKey, ascii('x'), signature)).toBe(false)
    for (let index = 0; index < 64; index++) {
      expect(isSignatureOf(publicKey, new Uint8Array(0), flipped(signature, index))).toBe(false)
    }
    for (const length of [0, 63, 65])
      expect(isSignatureOf(publicKey, new Uint8Array(0), new Uint8Array(length))).toBe(false)
  })

  it('checks each key anew, also one in the memory of the last one', () => {
    const other = signingPublicKey(new SecretKey('signing', new Uint8Array(32).fill(9)))
    const mixed = ed25519.Point.fromBytes(publicKey).add(TORSION).toBytes()
    const message = ascii('x')
    const signature = sign(new SecretKey('signing', unhex(SEED)), message)
    const key = new Uint8Array(publicKey)
    for (const next of [publicKey, other, publicKey, mixed, publicKey, new Uint8Array(31), publicKey]) {
      if (next.length === 32) key.set(next)
      const given = next.length === 32 ? key : next
      expect(isSignatureOf(given, message, signature)).toBe(next === publicKey)
    }
    expect(isSignatureOf(mixed, message, signatureFor(unhex(SEED), mixed, message))).toBe(false)
  })

  it('refuses an S that is not reduced', () => {
    const signature = sign(new SecretKey('signing', unhex(SEED)), ascii('x'))
    const S = BigInt(`0x${hex(signature.slice(32).reverse())}`) + ed25519.Point.Fn.ORDER
    const larger = unhex(S.toString(16).padStart(64, '0')).reverse()
    expect(isSignatureOf(publicKey, ascii('x'), signature)).toBe(true)
    expect(isSignatureOf(publicKey, ascii('x'), new Uint8Array([...signature.slice(0, 32), ...larger]))).toBe(false)
  })

  // Under a key of small order, R = identity and S = 0 is a valid signature of many messages.
  const anything = new Uint8Array([1, ...new Uint8Array(63)])
  const order8 = 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'
  it.each([
    ['order 1', `01${'00'.repeat(31)}`],
    ['order 2', `ec${'ff'.repeat(30)}7f`],
    ['order 4', '00'.repeat(32)],
    ['order 8', order8],
    ['order 1, not canonical', `ee${'ff'.repeat(30)}7f`],
    ['order 4, not canonical', `ed${'ff'.repeat(30)}7f`],
  ])('refuses a public key of %s', (_, key) => {
    for (const message of [ascii(''), ascii('a'), ascii('b'), ascii('c')]) {
      expect(isSignatureOf(unhex(key), message, anything)).toBe(false)
    }
  })

  it('refuses an R with a part of small order, as OpenSSL does, even with an S that fits it', () => {
    const message = ascii('signed by somebody who has the key')
    for (const R of [HONEST_R, HONEST_R.add(TORSION)]) {
      const signature = signatureFor(unhex(SEED), publicKey, message, R)
      expect(isSignatureOf(publicKey, message, signature)).toBe(R.isTorsionFree())
      // The check is needed because the cofactor hides such an R.
      expect(ed25519.verify(signature, message, publicKey, { zip215: false })).toBe(true)
      if (nodeBackend() !== undefined) {
        const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: base64url(publicKey) }, format: 'jwk' })
        expect(verify(null, message, key, signature)).toBe(R.isTorsionFree())
      }
    }
  })

  it('refuses a public key with a part of small order, although signatures are valid under it', () => {
    const mixed = ed25519.Point.fromBytes(publicKey).add(TORSION).toBytes()
    for (const text of ['', 'a', 'b', 'c']) {
      const message = ascii(text)
      const signature = signatureFor(unhex(SEED), mixed, message)
      expect(ed25519.verify(signature, message, mixed, { zip215: false })).toBe(true)
      expect(isSignatureOf(mixed, message, signature)).toBe(false)
      expect(isSignatureOf(publicKey, message, signatureFor(unhex(SEED), publicKey, message))).toBe(true)
    }
  })
})
