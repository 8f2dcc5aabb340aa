// The primitives of node:crypto, each probed once; what the runtime lacks (Bun, Deno, Electron and older Nodes lack
// different ones) stays with the portable backend. Imported keys live in OpenSSL's memory, which it wipes when they are
// collected; where Node has no raw key formats, an X25519 private key passes through a JWK, a string that cannot be wiped.
import type * as NodeCrypto from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { type Bytes, concat, wipe } from '../bytes.ts'
import type { Argon2Parameters, Backend, ContentDigest, HashName, Kem, Wait } from './backend.ts'
import { portableBackend } from './backend-portable.ts'
import { randomBytes } from './random.ts'

type Crypto = typeof NodeCrypto

/** What newer releases have: ML-KEM and Argon2 from 24.7 on. */
interface NewerCrypto {
  encapsulate?(this: void, publicKey: KeyObject): { sharedKey: Buffer; ciphertext: Buffer }
  decapsulate?(this: void, privateKey: KeyObject, ciphertext: Uint8Array): Buffer
  argon2?(
    this: void,
    algorithm: 'argon2id',
    parameters: {
      message: Uint8Array
      nonce: Uint8Array
      parallelism: number
      tagLength: number
      memory: number
      passes: number
    },
    done: (error: Error | null, tag: Buffer) => void,
  ): void
}

/**
 * Content passes the cipher and the hash in chunks of this size: one update over a whole block allocates as much again
 * and is half as fast, and a chunk that was just copied is hashed out of the cache.
 */
const CHUNK = 128 * 1024

/** The bytes of a Buffer in memory of their own, without a second copy where it owns its memory already. */
function own(buffer: Buffer): Bytes {
  if (buffer.buffer instanceof ArrayBuffer && buffer.buffer.byteLength === buffer.length) {
    return new Uint8Array(buffer.buffer)
  }
  const copy = new Uint8Array(buffer)
  buffer.fill(0)
  return copy
}

function works(probe: () => unknown): boolean {
  try {
    probe()
    return true
  } catch {
    return false
  }
}

export function nodeBackend(): Backend | undefined {
  const platform = globalThis as { process?: { getBuiltinModule?: (id: string) => unknown } }
  const crypto = platform.process?.getBuiltinModule?.('node:crypto') as (Crypto & NewerCrypto) | undefined
  if (crypto === undefined) return undefined
  const zeros = new Uint8Array(32)
  const found = { ...portableBackend, name: 'node' } as const satisfies Backend
  return {
    ...found,
    ...(works(() => crypto.createCipheriv('aes-256-gcm', zeros, zeros.subarray(0, 12))) && nodeGcm(crypto)),
    ...((['sha256', 'sha512', 'sha3-256'] as const).every((hash) => works(() => crypto.createHash(hash))) &&
      nodeHashes(crypto)),
    ...(works(() => nodeX25519(crypto).decapsulator(zeros)) && { x25519: nodeX25519(crypto) }),
    ...(works(() => nodeMlKem1024(crypto).decapsulator(new Uint8Array(64))) && { mlKem1024: nodeMlKem1024(crypto) }),
    ...(crypto.argon2 !== undefined && { argon2Provider: 'node:crypto', argon2id: nodeArgon2id(crypto.argon2) }),
  }
}

function nodeHashes(crypto: Crypto): Pick<Backend, 'hash' | 'hmac' | 'hkdfSha512' | 'copyAndDigest' | 'digestContent'> {
  function finish(states: NodeCrypto.Hash[], digests: readonly ContentDigest[]): Bytes[] {
    return states.map((state, index) => {
      const suffix = digests[index]?.suffix
      if (suffix !== undefined) state.update(suffix)
      return own(state.digest())
    })
  }
  return {
    hash(hash: HashName, parts) {
      const state = crypto.createHash(hash)
      for (const part of parts) state.update(part)
      return own(state.digest())
    },
    hmac(hash, key, parts) {
      const state = crypto.createHmac(hash, key)
      for (const part of parts) state.update(part)
      return own(state.digest())
    },
    hkdfSha512: (ikm, salt, info, length) => new Uint8Array(crypto.hkdfSync('sha512', ikm, salt, info, length)),
    async copyAndDigest(content, copy, digests) {
      const states = digests.map(({ hash }) => crypto.createHash(hash))
      for (let start = 0; start < content.length; start += CHUNK) {
        copy.set(content.subarray(start, start + CHUNK), start)
        const chunk = copy.subarray(start, Math.min(start + CHUNK, content.length))
        for (const state of states) state.update(chunk)
      }
      return finish(states, digests)
    },
    async digestContent(content, digests) {
      return finish(
        digests.map(({ hash }) => crypto.createHash(hash).update(content)),
        digests,
      )
    },
  }
}

function nodeGcm(crypto: Crypto): Pick<Backend, 'gcmSeal' | 'gcmOpen' | 'gcmSealContent' | 'gcmOpenContent'> {
  function algorithm(key: Uint8Array): 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm' {
    return `aes-${(8 * key.length) as 128 | 192 | 256}-gcm`
  }
  // A KeyObject, because raw bytes cost five times as much to pass on newer releases.
  function sealInPlace(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, buffer: Uint8Array): void {
    const cipher = crypto.createCipheriv(algorithm(key), crypto.createSecretKey(key), iv)
    cipher.setAAD(aad)
    const text = buffer.subarray(0, -16)
    for (let start = 0; start < text.length; start += CHUNK) {
      buffer.set(cipher.update(text.subarray(start, start + CHUNK)), start)
    }
    cipher.final()
    buffer.set(cipher.getAuthTag(), text.length)
  }
  function open(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Bytes | undefined {
    const text = new Uint8Array(sealed.length - 16)
    try {
      const decipher = crypto.createDecipheriv(algorithm(key), crypto.createSecretKey(key), iv, { authTagLength: 16 })
      decipher.setAAD(aad)
      for (let start = 0; start < text.length; start += CHUNK) {
        const chunk = decipher.update(sealed.subarray(start, Math.min(start + CHUNK, text.length)))
        text.set(chunk, start)
        wipe(chunk)
      }
      decipher.setAuthTag(sealed.subarray(text.length))
      decipher.final()
      return text
    } catch {
      wipe(text)
      return undefined
    }
  }
  return {
    gcmSeal(key, iv, aad, text) {
      const buffer = concat(text, new Uint8Array(16))
      sealInPlace(key, iv, aad, buffer)
      return buffer
    },
    gcmOpen: open,
    gcmSealContent: async (key, iv, aad, buffer) => sealInPlace(key, iv, aad, buffer),
    gcmOpenContent: async (key, iv, aad, sealed) => open(key, iv, aad, sealed),
  }
}

/** How X25519 keys go in and out. Raw formats where there are any; else JWK, in the one order that is safe on Node 20. */
interface X25519Keys {
  importPrivate(scalar: Uint8Array): KeyObject
  importPublic(point: Uint8Array): KeyObject
  exportPublic(key: KeyObject): Bytes
}

function rawX25519Keys(crypto: Crypto): X25519Keys {
  // The types of the oldest supported release do not know these formats.
  const raw = (key: Uint8Array, format: 'raw-private' | 'raw-public') =>
    ({ key, format, asymmetricKeyType: 'x25519' }) as unknown as NodeCrypto.JsonWebKeyInput
  return {
    importPrivate: (scalar) => crypto.createPrivateKey(raw(scalar, 'raw-private')),
    importPublic: (point) => crypto.createPublicKey(raw(point, 'raw-public')),
    exportPublic: (key) => own((key.export as (options: object) => Buffer)({ format: 'raw-public' })),
  }
}

function jwkX25519Keys(crypto: Crypto): X25519Keys {
  const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
  const jwk = { kty: 'OKP', crv: 'X25519' }
  return {
    // Only imported keys are ever exported: the export of a generated pair can hang Node 20 for ever. `x` must be a
    // string here and is not read.
    importPrivate: (scalar) => crypto.createPrivateKey({ format: 'jwk', key: { ...jwk, d: base64url(scalar), x: '' } }),
    importPublic: (point) => crypto.createPublicKey({ format: 'jwk', key: { ...jwk, x: base64url(point) } }),
    exportPublic: (key) => new Uint8Array(Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url')),
  }
}

function nodeX25519(crypto: Crypto): Kem {
  const raw = rawX25519Keys(crypto)
  const keys = works(() => raw.importPrivate(new Uint8Array(32))) ? raw : jwkX25519Keys(crypto)
  return {
    provider: 'node:crypto',
    encapsulator(publicKey) {
      const recipient = keys.importPublic(publicKey)
      return {
        encapsulate(randomness) {
          const scalar = randomness ?? randomBytes(32)
          try {
            const ephemeral = keys.importPrivate(scalar)
            return {
              ciphertext: keys.exportPublic(crypto.createPublicKey(ephemeral)),
              shared: own(crypto.diffieHellman({ privateKey: ephemeral, publicKey: recipient })),
            }
          } finally {
            if (randomness === undefined) wipe(scalar)
          }
        },
      }
    },
    decapsulator(privateKey) {
      let imported: KeyObject | undefined = keys.importPrivate(privateKey)
      return {
        publicKey: keys.exportPublic(crypto.createPublicKey(imported)),
        decapsulate(ciphertext) {
          if (imported === undefined) throw new Error('disposed')
          return own(crypto.diffieHellman({ privateKey: imported, publicKey: keys.importPublic(ciphertext) }))
        },
        dispose() {
          imported = undefined
        },
      }
    },
  }
}

/** DER in front of an ML-KEM-1024 public key (SubjectPublicKeyInfo) and of its seed (PKCS #8), RFC 9935. */
const SPKI_PREFIX = [48, 130, 6, 50, 48, 11, 6, 9, 96, 134, 72, 1, 101, 3, 4, 4, 3, 3, 130, 6, 33, 0]
const PKCS8_PREFIX = [48, 84, 2, 1, 0, 48, 11, 6, 9, 96, 134, 72, 1, 101, 3, 4, 4, 3, 4, 66, 128, 64]

function nodeMlKem1024(crypto: Crypto & NewerCrypto): Kem {
  return {
    provider: 'node:crypto',
    encapsulator(publicKey) {
      const key = Uint8Array.of(...SPKI_PREFIX, ...publicKey) as Buffer
      const recipient = crypto.createPublicKey({ key, format: 'der', type: 'spki' })
      return {
        encapsulate(randomness) {
          // OpenSSL chooses its own randomness; the portable code can be told, for known answers.
          if (randomness !== undefined) return portableBackend.mlKem1024.encapsulator(publicKey).encapsulate(randomness)
          if (crypto.encapsulate === undefined) throw new Error('no ML-KEM')
          const { ciphertext, sharedKey } = crypto.encapsulate(recipient)
          return { ciphertext: own(ciphertext), shared: own(sharedKey) }
        },
      }
    },
    decapsulator(seed) {
      const { decapsulate } = crypto
      if (decapsulate === undefined) throw new Error('no ML-KEM')
      const key = Uint8Array.of(...PKCS8_PREFIX, ...seed) as Buffer
      let imported: KeyObject | undefined
      try {
        imported = crypto.createPrivateKey({ key, format: 'der', type: 'pkcs8' })
      } finally {
        wipe(key)
      }
      const spki = crypto.createPublicKey(imported).export({ format: 'der', type: 'spki' })
      return {
        publicKey: new Uint8Array(spki.subarray(SPKI_PREFIX.length)),
        decapsulate(ciphertext) {
          if (imported === undefined) throw new Error('disposed')
          return own(decapsulate(imported, ciphertext))
        },
        dispose() {
          imported = undefined
        },
      }
    },
  }
}

function nodeArgon2id(argon2: NonNullable<NewerCrypto['argon2']>): Backend['argon2id'] {
  return async (password, salt, costs: Argon2Parameters, length, { onProgress, signal }: Wait) => {
    const parameters = {
      message: password,
      nonce: salt,
      parallelism: costs.lanes,
      tagLength: length,
      memory: costs.memoryKiB,
      passes: costs.iterations,
    }
    onProgress?.(0)
    const tag = await new Promise<Bytes>((resolve, reject) => {
      const stop = () => reject(signal?.reason as Error)
      signal?.addEventListener('abort', stop, { once: true })
      argon2('argon2id', parameters, (error, result) => {
        signal?.removeEventListener('abort', stop)
        if (error !== null) reject(error)
        else if (signal?.aborted === true) result.fill(0)
        else resolve(own(result))
      })
    })
    onProgress?.(1)
    return tag
  }
}
