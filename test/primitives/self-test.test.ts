import { afterEach, describe, expect, it, vi } from 'vitest'
import { selfTest } from '../../src/index.ts'
import { type Backend, useBackend } from '../../src/primitives/backend.ts'
import { webBackend } from '../../src/primitives/backend-web.ts'
import { isHealthy } from '../../src/primitives/self-test.ts'
import { backends } from '../fixtures.ts'

afterEach(() => useBackend(undefined))

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
  it('finds every primitive right, and names who computes it', async () => {
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
    ['SHA-2', { digestContent: async () => [new Uint8Array(32)] }],
    [
      'SHA-3',
      {
        hash: (hash, parts) =>
          (hash === 'sha3-256' ? wrongByABit : (same: Uint8Array) => same)(backend.hash(hash, parts)) as never,
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
  it.each(broken)('finds a broken %s, and only that', async (primitive, change) => {
    useBackend({ ...backend, ...change })
    const { ok, checks } = await selfTest()
    expect(ok).toBe(false)
    const failed = checks.filter((check) => !check.ok).map((check) => check.primitive)
    // The answer of ML-KEM is compared by its hash.
    expect(failed).toEqual([primitive])
  })
})

describe('selfTest on a WebCrypto that refuses everything', () => {
  it('finds each primitive that it is called for', async () => {
    const refuse = () => Promise.reject(new Error('refused'))
    for (const name of ['encrypt', 'decrypt', 'digest', 'deriveBits'] as const) {
      vi.spyOn(crypto.subtle, name).mockImplementation(refuse)
    }
    useBackend(webBackend())
    const { checks } = await selfTest()
    vi.restoreAllMocks()
    const failed = checks.filter((check) => !check.ok).map((check) => check.primitive)
    expect(failed).toEqual(['SHA-2', 'PBKDF2', 'AES-GCM', 'AES-CTR', 'AES-CBC'])
  })
})

describe('the health of randomness', () => {
  it('is seen, and its gross failure too', () => {
    for (let round = 0; round < 100; round++) expect(isHealthy(crypto.getRandomValues(new Uint8Array(4096)))).toBe(true)
    expect(isHealthy(new Uint8Array(4096))).toBe(false)
    expect(isHealthy(new Uint8Array(4096).map((_, index) => index % 7))).toBe(false)
    expect(isHealthy(Uint8Array.of(1, 1, 1, 1, 1))).toBe(true)
    expect(isHealthy(Uint8Array.of(1, 1, 1, 1, 1, 1))).toBe(false)
  })
})
