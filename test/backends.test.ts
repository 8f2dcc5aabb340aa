// All three backends give the same bytes for the same input, and refuse the same inputs.
// `npm run test:differential -- --cases 1000000` runs more of the same random cases.
import { backend, portableBackend } from './platforms.ts'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type Backend } from '../src/primitives/backend.ts'
import { useBackend } from '../src/primitives/choice.ts'
import { CASES, Random } from './differential/cases.ts'
import { backends, expectSame, hex, isNode, sample, unhex } from './fixtures.ts'

const named = (name: Backend['name']) => backends.find((each) => each.name === name)
const [node, web, portable] = [named('node'), named('web')!, portableBackend]
const slow = process.env['SLOW'] === '1'

afterEach(() => {
  useBackend(undefined)
  vi.restoreAllMocks()
})

describe('the backends', () => {
  it('are all present, and the fastest one is chosen', () => {
    const own = 'document' in globalThis ? [] : ['node']
    expect(backends.map((each) => each.name)).toEqual([...own, 'web', 'portable'])
    expect(backend().name).toBe(own[0] ?? 'web')
    useBackend(portable)
    expect(backend().name).toBe('portable')
  })

  it('use the primitives that the runtime provides', () => {
    expect(web.providers).toMatchObject({ 'AES-GCM': 'crypto.subtle', X25519: '@noble/curves' })
    expect(new Set(Object.values(portable.providers).map((name) => name.split('/')[0]))).toEqual(
      new Set(['@noble', 'crypto.getRandomValues']),
    )
  })

  it.runIf(isNode)('use the primitives that this Node release provides', () => {
    const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
    const native = major > 24 || (major === 24 && minor >= 7) ? 'node:crypto' : undefined
    expect(node!.providers).toMatchObject({ X25519: 'node:crypto', 'AES-GCM': 'node:crypto', Poly1305: 'node:crypto' })
    expect(node!.providers['ML-KEM-1024']).toBe(native ?? '@noble/post-quantum')
    expect(node!.providers.Argon2id).toBe(native ?? '@noble/hashes')
  })
})

describe('random cases', () => {
  it.each(Object.entries(CASES))('of %s give the same result on every backend', async (_, { weight, make }) => {
    const seed = Date.now() % 1e6
    const runs = (weight >= 100 ? 300 : weight >= 20 ? 60 : 20) * (slow ? 50 : 1)
    for (let run = 0; run < runs; run++) {
      const results = await Promise.all(backends.map(make(new Random(seed + run))))
      expect(new Set(results).size, `seed ${seed + run}`).toBe(1)
    }
  })
})

// Lengths around one AES block, around the smallest size that uses WebCrypto, and around one chunk of node:crypto.
const KIB = 1024
const around = [16, 8 * KIB, 128 * KIB].flatMap((size) => [size - 17, size - 16, size - 1, size, size + 1])
describe.each([0, 1, ...around.filter((size) => size > 1), 3 * 128 * KIB + 5])('content of %i bytes', (length) => {
  const content = sample(length, 7)

  it('gives the same result on every backend', async () => {
    const [key, iv, counter, aad] = [sample(32), sample(12), new Uint8Array(16).fill(0xff), sample(20)]
    const digests = [{ hash: 'sha256' }, { hash: 'sha256', suffix: sample(32) }, { hash: 'sha3-256' }] as const
    const results = []
    for (const each of backends) {
      const buffer = new Uint8Array(length + 16)
      const copied = await each.copyAndDigest(content, buffer.subarray(0, length), digests)
      expectSame(buffer.subarray(0, length), content)
      expect(await each.digestContent(content, digests)).toEqual(copied)
      await each.gcmSealContent(key, iv, aad, buffer)
      expectSame((await each.gcmOpenContent(key, iv, aad, buffer))!, content)
      const stream = new Uint8Array(content)
      await each.ctr(key, counter, stream)
      const chained = await each.cbcEncrypt(key, counter, content)
      expectSame((await each.cbcDecrypt(key, counter, chained))!, content)
      const tag = await each.chachaPolyTag(key, [content.subarray(0, length >> 1), content.subarray(length >> 1)])
      results.push([...copied, buffer, stream, chained, tag].map(hex).join())
    }
    expect(new Set(results).size).toBe(1)
  })

  it('is read before the call first yields, and so are the keys', async () => {
    for (const each of backends) {
      const [key, iv, aad] = [sample(32), sample(12), sample(20)]
      const sealed = each.gcmSeal(key, iv, aad, content)
      const [opening, digesting, encrypting] = [
        each.gcmOpenContent(key, iv, aad, sealed),
        each.copyAndDigest(content, new Uint8Array(length), [{ hash: 'sha256' }]),
        each.cbcEncrypt(key, sample(16), content),
      ]
      const [password, salt] = [sample(40, 3), sample(16, 4)]
      const derived = each.pbkdf2Sha512(password, salt, 1000, 32, {})
      const hashed = each.argon2id(password, salt, { iterations: 1, memoryKiB: 64, lanes: 1 }, 32, {})
      for (const bytes of [key, iv, aad, sealed, password, salt]) bytes.fill(0)
      expect(hex(await derived)).toBe(hex(await portable.pbkdf2Sha512(sample(40, 3), sample(16, 4), 1000, 32, {})))
      const again = portable.argon2id(sample(40, 3), sample(16, 4), { iterations: 1, memoryKiB: 64, lanes: 1 }, 32, {})
      expect(hex(await hashed)).toBe(hex(await again))
      expectSame((await opening)!, content)
      expect(hex((await digesting)[0]!)).toBe(hex(portable.hash('sha256', [content])))
      expect(hex(await encrypting)).toBe(hex(await portable.cbcEncrypt(sample(32), sample(16), content)))
    }
  })
})

describe('WebCrypto', () => {
  const WORTH_A_CALL = 8 * KIB
  type Call = (key: Uint8Array, iv: Uint8Array, bytes: Uint8Array) => Promise<unknown>
  const ciphers: [string, number, Call][] = [
    ['gcmSealContent', 12, (key, iv, bytes) => web.gcmSealContent(key, iv, sample(9), bytes)],
    ['gcmOpenContent', 12, (key, iv, bytes) => web.gcmOpenContent(key, iv, sample(9), bytes)],
    ['ctr', 16, web.ctr],
    ['cbcEncrypt', 16, web.cbcEncrypt],
    ['cbcDecrypt', 16, web.cbcDecrypt],
  ]

  async function callsDuring(action: () => Promise<unknown>): Promise<number> {
    const spies = (['encrypt', 'decrypt', 'digest'] as const).map((name) => vi.spyOn(crypto.subtle, name))
    // Portable code throws for an IV of the wrong length. Only the number of calls matters here.
    await action().catch(() => undefined)
    const calls = spies.reduce((sum, spy) => sum + spy.mock.calls.length, 0)
    vi.restoreAllMocks()
    return calls
  }

  it.each(ciphers)(
    'does %s if the input is large enough, and if all browsers support the key and the IV',
    async (_, ivBytes, run) => {
      const calls = (keyBytes: number, iv: number, length: number) =>
        callsDuring(() => run(sample(keyBytes), sample(iv), sample(length)))
      expect([await calls(32, ivBytes, WORTH_A_CALL), await calls(16, ivBytes, 2 * WORTH_A_CALL)]).toEqual([1, 1])
      expect(await calls(32, ivBytes, WORTH_A_CALL - 1)).toBe(0)
      expect(await calls(24, ivBytes, WORTH_A_CALL)).toBe(0)
      expect(await calls(32, ivBytes + 1, WORTH_A_CALL)).toBe(0)
    },
  )

  it('hashes large inputs, but not by SHA-3, and not if there is a suffix', async () => {
    const calls = (length: number, hash: 'sha256' | 'sha512' | 'sha3-256', suffix?: Uint8Array) =>
      callsDuring(() => web.digestContent(sample(length), [{ hash, ...(suffix && { suffix }) }]))
    expect([await calls(WORTH_A_CALL, 'sha256'), await calls(WORTH_A_CALL, 'sha512')]).toEqual([1, 1])
    expect(await calls(WORTH_A_CALL - 1, 'sha256')).toBe(0)
    expect(await calls(WORTH_A_CALL, 'sha3-256')).toBe(0)
    expect(await calls(WORTH_A_CALL, 'sha256', sample(32))).toBe(0)
  })

  it('gets keys that cannot be exported', async () => {
    const importing = vi.spyOn(crypto.subtle, 'importKey')
    for (const [, ivBytes, run] of ciphers) await run(sample(32), sample(ivBytes), sample(WORTH_A_CALL))
    await web.pbkdf2Sha512(sample(9), sample(16), 1, 32, {})
    expect(importing.mock.calls.map(([, , , isExtractable]) => isExtractable)).toEqual(Array(6).fill(false))
  })

  it('gets a copy of the plaintext that is wiped afterwards', async () => {
    const encrypting = vi.spyOn(crypto.subtle, 'encrypt')
    await web.cbcEncrypt(sample(32), sample(16), sample(WORTH_A_CALL))
    const [, , copy] = encrypting.mock.calls[0]!
    expectSame(copy as Uint8Array, new Uint8Array(WORTH_A_CALL))
  })

  it('errors are thrown, and not mistaken for damaged bytes', async () => {
    const sealed = sample(WORTH_A_CALL)
    const [open, decrypt] = [ciphers[1]![2], ciphers[4]![2]]
    vi.spyOn(crypto.subtle, 'decrypt').mockRejectedValue(new Error('broken'))
    await expect(open(sample(32), sample(12), sealed)).rejects.toThrow('broken')
    await expect(decrypt(sample(32), sample(16), sealed)).rejects.toThrow('broken')
    vi.restoreAllMocks()
    expect(await open(sample(32), sample(12), sealed)).toBeUndefined()
  })
})

describe('content of the largest size', () => {
  it('gives the same result on the two fastest backends', async () => {
    const content = sample(64 * KIB * KIB)
    const results = []
    for (const each of backends.slice(0, 2)) {
      const buffer = new Uint8Array(content.length + 16)
      const [digest] = await each.copyAndDigest(content, buffer.subarray(0, -16), [{ hash: 'sha256' }])
      await each.gcmSealContent(sample(32), sample(12), sample(20), buffer)
      results.push([digest!, buffer.subarray(-16)].map(hex).join())
    }
    expect(results[0]).toBe(results[1])
  })
})

// https://cr.yp.to/ecdh.html#validate: points of low order, in canonical and other encodings.
const lowOrder = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  ...['ec', 'ed', 'ee'].map((low) => `${low}${'ff'.repeat(30)}7f`),
]

describe.each(backends)('$name', (each) => {
  it.each(lowOrder)('refuses the low-order point %s', (point) => {
    expect(() => each.x25519.decapsulator(sample(32)).decapsulate(unhex(point))).toThrow()
    expect(() => each.x25519.encapsulator(unhex(point)).encapsulate()).toThrow()
  })

  it('refuses AES-GCM IVs of fewer than 8 bytes', async () => {
    for (const length of [0, 1, 7]) {
      const iv = new Uint8Array(length)
      expect(() => each.gcmSeal(sample(32), iv, iv, sample(9))).toThrow()
      expect(each.gcmOpen(sample(32), iv, iv, sample(25))).toBeUndefined()
      await expect(each.gcmSealContent(sample(32), iv, iv, sample(20_000))).rejects.toThrow()
      expect(await each.gcmOpenContent(sample(32), iv, iv, sample(20_000))).toBeUndefined()
    }
  })

  it('refuses ML-KEM keys with a coefficient out of range, and invalid lengths', () => {
    const { publicKey } = portable.mlKem1024.decapsulator(sample(64))
    const outOfRange = new Uint8Array(publicKey)
    outOfRange.set([0xff, 0xff], 0)
    expect(() => each.mlKem1024.encapsulator(outOfRange).encapsulate()).toThrow()
    expect(() => each.mlKem1024.encapsulator(publicKey.subarray(1))).toThrow()
    expect(() => each.mlKem1024.decapsulator(new Uint8Array(63))).toThrow()
    expect(() => each.mlKem1024.decapsulator(sample(64)).decapsulate(new Uint8Array(1567))).toThrow()
  })

  it('does not use a private key after it is disposed of', () => {
    const { publicKey } = portable.x25519.decapsulator(sample(32, 5))
    const agreed = portable.x25519.decapsulator(sample(32)).decapsulate(publicKey)
    const own = each.x25519.decapsulator(sample(32))
    expect(own.decapsulate(publicKey)).toEqual(agreed)
    own.dispose()
    let after: Uint8Array | undefined
    try {
      after = own.decapsulate(publicKey)
    } catch {
      // This backend drops the key instead of wiping it, so using it throws.
    }
    expect(after).not.toEqual(agreed)
  })
})
