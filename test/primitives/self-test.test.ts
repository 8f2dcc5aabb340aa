import { disposable } from '../../src/core/secret.ts'
import { webBackend } from '../platforms.ts'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { selfTest } from '../../src/index.ts'
import { type Backend, type Kem } from '../../src/primitives/backend.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { isHealthy } from '../../src/primitives/self-test.ts'
import { backends, sample } from '../fixtures.ts'

afterEach(() => {
  useBackend(undefined)
  vi.restoreAllMocks()
})

/** Makes the random bytes of this platform the same in every run: the health check refuses good ones once in a while. */
function fixRandomness(): void {
  let seed = 1
  vi.spyOn(crypto, 'getRandomValues').mockImplementation((array) => {
    if (array instanceof Uint8Array) array.set(sample(array.length, seed++))
    return array
  })
}

const PRIMITIVES = [
  'SHA-2',
  'SHA-3',
  'HMAC',
  'HKDF',
  'PBKDF2',
  'Argon2id',
  'AES-GCM',
  'AES-CTR',
  'AES-CBC',
  'Poly1305',
  'X25519',
  'ML-KEM-1024',
  'Ed25519',
  'randomness',
]

describe.each(backends)('selfTest on $name', (backend) => {
  it('finds that every primitive works, and names its provider', async () => {
    useBackend(backend)
    const result = await selfTest()
    expect(result).toMatchObject({ ok: true, backend: backend.name, fips: false })
    expect(result.checks.map((check) => check.primitive)).toEqual(PRIMITIVES)
    for (const { provider, ok } of result.checks) {
      expect(ok).toBe(true)
      expect(provider).toMatch(/^(node:crypto|crypto\.subtle|crypto\.getRandomValues|@noble\/[a-z-]+)$/)
    }
  })

  const wrongByABit = (bytes: Uint8Array) => Uint8Array.from(bytes, (byte, index) => (index === 0 ? byte ^ 1 : byte))
  const broken: [string, Partial<Backend>][] = [
    [
      'SHA-2',
      {
        digestContent: async (content, wanted) => {
          const digests = await backend.digestContent(content, wanted)
          return wanted[0]?.hash === 'sha3-256' ? digests : digests.map(wrongByABit)
        },
      },
    ],
    [
      'SHA-3',
      {
        digestContent: async (content, wanted) => {
          const digests = await backend.digestContent(content, wanted)
          return wanted[0]?.hash === 'sha3-256' ? digests.map(wrongByABit) : digests
        },
      },
    ],
    ['HMAC', { hmac: (...input) => wrongByABit(backend.hmac(...input)) }],
    ['HKDF', { hkdf: (...input) => wrongByABit(backend.hkdf(...input)) }],
    ['PBKDF2', { pbkdf2Sha512: async (...input) => wrongByABit(await backend.pbkdf2Sha512(...input)) }],
    ['Argon2id', { argon2id: () => Promise.reject(new Error('broken')) }],
    ['AES-GCM', { gcmOpen: (_key, _iv, _aad, sealed) => new Uint8Array(sealed.subarray(16)) }],
    ['AES-CTR', { ctr: async () => undefined }],
    ['AES-CBC', { cbcDecrypt: async () => undefined }],
    ['Poly1305', { chachaPolyTag: async (key) => backend.chachaPolyTag(key, []) }],
    ['X25519', { x25519: backend.mlKem1024 }],
    ['ML-KEM-1024', { mlKem1024: backend.x25519 }],
  ]
  it.each(broken)('reports a broken %s, and nothing else', async (primitive, change) => {
    fixRandomness()
    useBackend({ ...backend, ...change })
    const { ok, checks } = await selfTest()
    expect(ok).toBe(false)
    const failed = checks.filter((check) => !check.ok).map((check) => check.primitive)
    // Only the broken primitive fails, although the answer of ML-KEM is compared by its SHA-256.
    expect(failed).toEqual([primitive])
  })
})

describe('one wrong answer of a primitive', () => {
  const backend = backends[0]!
  const IN_PLACE = ['gcmSealContent', 'ctr']
  const flip = (bytes: Uint8Array) => {
    bytes[0] = (bytes[0] ?? 0) ^ 1
    return bytes
  }
  /** Returns a wrong answer: something instead of nothing, or one flipped bit. */
  const otherThan = (answer: unknown): unknown => {
    if (answer === undefined) return new Uint8Array(1)
    if (answer instanceof Uint8Array) return flip(new Uint8Array(answer))
    if (Array.isArray(answer)) return answer.map(otherThan)
    return { ...(answer as object), shared: otherThan((answer as { shared: unknown }).shared) }
  }

  /** Returns the backend with a wrong answer to the nth call of one function, and a counter of these calls. */
  function wrongAt(name: string, nth: number) {
    let calls = 0
    const spoiled = (called: string, answer: unknown, args: readonly unknown[]): unknown => {
      if (called !== name || ++calls !== nth) return answer
      const spoil = (right: unknown) =>
        IN_PLACE.includes(name) ? void flip(args.at(-1) as Uint8Array) : otherThan(right)
      return answer instanceof Promise ? answer.then(spoil) : spoil(answer)
    }
    const kem = (which: 'x25519' | 'mlKem1024'): Kem => ({
      encapsulator(publicKey) {
        const { encapsulate } = backend[which].encapsulator(publicKey)
        return { encapsulate: () => spoiled(`${which}.encapsulate`, encapsulate(), []) as never }
      },
      decapsulator(privateKey) {
        const own = backend[which].decapsulator(privateKey)
        const watched = {
          publicKey: spoiled(`${which}.publicKey`, own.publicKey, []) as never,
          decapsulate: (text: Uint8Array) => spoiled(`${which}.decapsulate`, own.decapsulate(text), []) as never,
        }
        return disposable(watched, () => own.dispose())
      },
    })
    const watched = Object.entries(backend).map(([key, value]) => [
      key,
      typeof value === 'function'
        ? (...args: unknown[]) => spoiled(key, (value as (...all: unknown[]) => unknown)(...args), args)
        : (value as unknown),
    ])
    const kems = { x25519: kem('x25519'), mlKem1024: kem('mlKem1024') }
    return { backend: { ...Object.fromEntries(watched), ...kems } as Backend, calls: () => calls }
  }

  const names = Object.entries(backend).flatMap(([name, value]) =>
    typeof value === 'function' && !name.startsWith('copy') ? [name] : [],
  )
  const ofKems = ['x25519', 'mlKem1024'].flatMap((kem) =>
    ['encapsulate', 'publicKey', 'decapsulate'].map((part) => `${kem}.${part}`),
  )
  it.each([...names, ...ofKems])('of %s is found, for every call in the self-test', async (name) => {
    fixRandomness()
    for (let nth = 1; ; nth++) {
      const wrong = wrongAt(name, nth)
      useBackend(wrong.backend)
      const { ok } = await selfTest()
      expect([nth, ok]).toEqual([nth, wrong.calls() < nth])
      if (ok) {
        expect(nth).toBeGreaterThan(1)
        return
      }
    }
  })
})

describe('selfTest on a WebCrypto that refuses everything', () => {
  it('reports every primitive that uses it', async () => {
    const refuse = () => Promise.reject(new Error('refused'))
    for (const name of ['encrypt', 'decrypt', 'digest', 'deriveBits'] as const) {
      vi.spyOn(crypto.subtle, name).mockImplementation(refuse)
    }
    fixRandomness()
    useBackend(webBackend())
    const { checks } = await selfTest()
    const failed = checks.filter((check) => !check.ok).map((check) => check.primitive)
    expect(failed).toEqual(['SHA-2', 'PBKDF2', 'AES-GCM', 'AES-CTR', 'AES-CBC'])
  })
})

describe('the health check of randomness', () => {
  it('accepts good randomness, and detects gross failure', () => {
    for (let seed = 1; seed <= 100; seed++) expect(isHealthy(sample(4096, seed))).toBe(true)
    expect(isHealthy(new Uint8Array(4096))).toBe(false)
    expect(isHealthy(new Uint8Array(4096).map((_, index) => index % 7))).toBe(false)
    expect(isHealthy(Uint8Array.of(1, 1, 1, 1, 1))).toBe(true)
    expect(isHealthy(Uint8Array.of(1, 1, 1, 1, 1, 1))).toBe(false)
  })
})
