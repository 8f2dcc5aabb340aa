// Portable code computes each primitive that a runtime lacks, and only those.
import { nodeBackend, portableBackend } from '../platforms.ts'
import * as crypto from 'node:crypto'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { processorCount } from '../../src/core/threads.ts'
import { hex, isNode, sample } from '../fixtures.ts'

afterEach(() => vi.restoreAllMocks())

const [major = 0] = isNode ? process.versions.node.split('.').map(Number) : []

const builtin = process.getBuiltinModule

/** Replaces node:crypto by a copy with some functions replaced. */
function lacking(changes: Record<string, unknown>) {
  vi.spyOn(process, 'getBuiltinModule').mockImplementation((name: string) =>
    name === 'node:crypto' ? { ...crypto, ...changes } : builtin(name),
  )
  return nodeBackend()!
}
const refuse = () => {
  throw new Error('not in this runtime')
}

describe('probing', () => {
  it('finds no node backend without node:crypto', () => {
    vi.spyOn(process, 'getBuiltinModule').mockReturnValue(undefined)
    expect(nodeBackend()).toBeUndefined()
  })

  it('finds no node backend, and no more threads than a browser tells, where looking for modules throws', () => {
    // Next's edge runtime has the function, which throws. Other platforms throw as soon as somebody looks.
    const looking = vi.spyOn(process, 'getBuiltinModule').mockImplementation(refuse)
    expect(nodeBackend()).toBeUndefined()
    const { navigator } = globalThis as { navigator?: { hardwareConcurrency: number } }
    expect(processorCount()).toBe(navigator?.hardwareConcurrency ?? 2)
    looking.mockRestore()
    const descriptor = Object.getOwnPropertyDescriptor(globalThis, 'process')!
    try {
      Object.defineProperty(globalThis, 'process', { configurable: true, get: refuse })
      expect(nodeBackend()).toBeUndefined()
    } finally {
      Object.defineProperty(globalThis, 'process', descriptor)
    }
  })

  it('uses portable code for X25519 if node:crypto comes without Buffers', () => {
    vi.spyOn(process, 'getBuiltinModule').mockImplementation((name: string) =>
      name === 'node:crypto' ? { ...crypto, diffieHellman: refuse } : undefined,
    )
    expect(nodeBackend()!.x25519).toBe(portableBackend.x25519)
  })

  it('uses portable code only for SHA-3 if SHA-3 is missing', async () => {
    const backend = lacking({
      createHash: (name: string) => (name === 'sha3-256' ? refuse() : crypto.createHash(name)),
    })
    for (const hash of ['sha256', 'sha3-256'] as const) {
      const [mine, theirs] = [backend, portableBackend].map((on) => on.digestContent(sample(5), [{ hash }]))
      expect(await mine).toEqual(await theirs)
    }
    expect(backend.hmac).not.toBe(portableBackend.hmac)
  })

  it('uses portable code for everything that needs SHA-2 if SHA-2 is missing', () => {
    const backend = lacking({ createHash: refuse })
    expect(backend.hmac).toBe(portableBackend.hmac)
    expect(hex(backend.hash('sha512', [sample(5)]))).toBe(hex(portableBackend.hash('sha512', [sample(5)])))
  })

  it('uses portable code for a missing cipher, key agreement, KEM or Argon2', () => {
    expect(lacking({ createCipheriv: refuse }).gcmSeal).toBe(portableBackend.gcmSeal)
    expect(lacking({ createPrivateKey: refuse }).x25519).toBe(portableBackend.x25519)
    expect(lacking({ encapsulate: refuse, decapsulate: refuse }).mlKem1024).toBe(portableBackend.mlKem1024)
    expect(lacking({ argon2: refuse, argon2Sync: refuse }).argon2id).toBe(portableBackend.argon2id)
    expect(lacking({ argon2: undefined }).argon2id).toBe(portableBackend.argon2id)
  })

  it('uses portable code for Poly1305 if node:crypto returns no tag, or another one, for no text', async () => {
    const given = [sample(32), [sample(5), sample(20)]] as const
    const expected = await portableBackend.chachaPolyTag(...given)
    for (const tag of [Buffer.alloc(0), Buffer.alloc(16), Buffer.alloc(15)]) {
      const backend = lacking({
        createCipheriv: (...from: Parameters<typeof crypto.createCipheriv>) =>
          Object.assign(crypto.createCipheriv(...from), from[0].startsWith('chacha20') && { getAuthTag: () => tag }),
      })
      expect(backend.chachaPolyTag, `${tag.length} bytes`).toBe(portableBackend.chachaPolyTag)
      expect(await backend.chachaPolyTag(...given)).toEqual(expected)
    }
  })

  it('opens an empty text where node:crypto takes no empty update', () => {
    const createDecipheriv = (...from: Parameters<typeof crypto.createDecipheriv>) => {
      const decipher = crypto.createDecipheriv(...from)
      const update = decipher.update.bind(decipher)
      const whole = (chunk: Uint8Array) => (chunk.length === 0 ? refuse() : update(chunk))
      return Object.assign(decipher, { update: whole })
    }
    const backend = lacking({ createDecipheriv })
    const [key, iv, aad] = [sample(32), sample(12), sample(3)]
    const sealed = portableBackend.gcmSeal(key, iv, aad, new Uint8Array(0))
    expect(backend.gcmOpen(key, iv, aad, sealed)).toEqual(new Uint8Array(0))
    expect(backend.gcmOpen(key, iv, sample(4), sealed)).toBeUndefined()
    expect(backend.gcmOpen(key, iv, aad, portableBackend.gcmSeal(key, iv, aad, sample(9)))).toEqual(sample(9))
  })

  it('uses portable code for a primitive if one of its functions fails', () => {
    const primitives = (changes: Record<string, unknown>) =>
      Object.entries(lacking(changes).providers).flatMap(([name, provider]) =>
        provider === 'node:crypto' ? [name] : [],
      )
    const all = primitives({})
    const missing = (changes: Record<string, unknown>) => all.filter((name) => !primitives(changes).includes(name))
    expect(missing({ createHmac: refuse })).toEqual(['HMAC'])
    expect(missing({ hkdfSync: refuse })).toEqual(['HKDF'])
    expect(missing({ pbkdf2Sync: refuse })).toEqual(['PBKDF2'])
    expect(missing({ createDecipheriv: refuse })).toEqual(['AES-GCM', 'AES-CTR', 'AES-CBC'])
    expect(missing({ diffieHellman: refuse })).toEqual(['X25519'])
    expect(missing({ argon2Sync: undefined })).toEqual(all.filter((name) => name === 'Argon2id'))
    expect(missing({ decapsulate: refuse })).toEqual(all.filter((name) => name === 'ML-KEM-1024'))
    expect(missing({ getFips: undefined })).toEqual([])
  })

  // Not on Node 26, which has raw keys: it reads the public half of a JWK, which is left empty here.
  it.runIf(isNode && major < 26)('imports X25519 keys as JWK without raw formats, with the same results', () => {
    const raw = (key: unknown) => String((key as { format?: string }).format).startsWith('raw')
    const { x25519, providers } = lacking({
      createPrivateKey: (key: never) => (raw(key) ? refuse() : crypto.createPrivateKey(key)),
      createPublicKey: (key: never) => (raw(key) ? refuse() : crypto.createPublicKey(key)),
    })
    expect(providers.X25519).toBe('node:crypto')
    const [mine, theirs] = [x25519.decapsulator(sample(32)), portableBackend.x25519.decapsulator(sample(32))]
    expect(hex(mine.publicKey)).toBe(hex(theirs.publicKey))
    const { ciphertext, shared } = x25519.encapsulator(mine.publicKey).encapsulate()
    expect(ciphertext).toHaveLength(32)
    expect([mine, theirs].map((each) => hex(each.decapsulate(ciphertext)))).toEqual([hex(shared), hex(shared)])
    mine.dispose()
    expect(() => mine.decapsulate(theirs.publicKey)).toThrow()
  })

  it('uses portable code only for the missing key size of AES', async () => {
    const backend = lacking({
      createCipheriv: (name: string, ...rest: [never, never]) =>
        name.startsWith('aes-192') ? refuse() : crypto.createCipheriv(name as never, ...rest),
    })
    expect(backend.providers['AES-GCM']).toBe('node:crypto')
    for (const size of [16, 24, 32]) {
      const [key, iv] = [sample(size), sample(12)]
      expect(hex(backend.gcmSeal(key, iv, iv, sample(50)))).toBe(hex(portableBackend.gcmSeal(key, iv, iv, sample(50))))
      const [mine, theirs] = [sample(50), sample(50)]
      await backend.ctr(key, sample(16), mine)
      await portableBackend.ctr(key, sample(16), theirs)
      expect(mine).toEqual(theirs)
      const sealed = await backend.cbcEncrypt(key, sample(16), sample(50))
      expect(sealed).toEqual(await portableBackend.cbcEncrypt(key, sample(16), sample(50)))
      expect(await backend.cbcDecrypt(key, sample(16), sealed)).toEqual(sample(50))
    }
  })

  it.runIf(isNode)('uses raw X25519 keys if the runtime has them, and JWKs otherwise', () => {
    const createPrivateKey = vi.fn(crypto.createPrivateKey)
    const { x25519 } = lacking({ createPrivateKey })
    x25519.encapsulator(x25519.decapsulator(sample(32)).publicKey).encapsulate()
    const formats = createPrivateKey.mock.calls.map(([key]) => (key as { format: string }).format)
    expect(formats.includes('jwk')).toBe(major < 24)
  })
})
