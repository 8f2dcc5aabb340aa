// The primitives of node:crypto, each probed once; what the runtime lacks (Bun, Deno, Electron and older Nodes lack
// different ones) stays with the portable backend. Imported keys live in OpenSSL's memory, which it wipes when they are
// collected; where Node has no raw key formats, an X25519 private key passes through a JWK, a string that cannot be wiped.
import type * as NodeCrypto from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { type Bytes, concat, wipe } from '../bytes.ts'
import type { Argon2Parameters, Backend, Kem, Wait } from './backend.ts'
import { createPortableHash, portableBackend, portableHashNames } from './backend-portable.ts'
import { type CreateHash, digestInChunks } from './digest.ts'
import { randomBytes } from './random.ts'

type Crypto = typeof NodeCrypto

/** What newer releases have: ML-KEM and Argon2 from 24.7 on. */
interface NewerCrypto {
  encapsulate?(this: void, publicKey: KeyObject): { sharedKey: Buffer; ciphertext: Buffer }
  decapsulate?(this: void, privateKey: KeyObject, ciphertext: Uint8Array): Buffer
  argon2?(
    this: void,
    algorithm: 'argon2id',
    parameters: Argon2Input,
    done: (error: Error | null, tag: Buffer) => void,
  ): void
  argon2Sync?(this: void, algorithm: 'argon2id', parameters: Argon2Input): Buffer
}

interface Argon2Input {
  message: Uint8Array
  nonce: Uint8Array
  parallelism: number
  tagLength: number
  memory: number
  passes: number
}

/** Content passes the cipher in chunks of this size: one update over a whole block allocates as much again, at half speed. */
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
  const zeros = new Uint8Array(64)
  const gcmWorks = () => crypto.createCipheriv('aes-256-gcm', zeros.subarray(32), zeros.subarray(52))
  const x25519Works = () => nodeX25519(crypto).decapsulator(zeros.subarray(32))
  const mlKemWorks = () => {
    const kem = nodeMlKem1024(crypto)
    kem.encapsulator(kem.decapsulator(zeros).publicKey).encapsulate()
  }
  const argon2Works = () => crypto.argon2Sync?.('argon2id', argon2Parameters(zeros, zeros, LEAST_COSTS, 32)).fill(0)
  return {
    ...portableBackend,
    name: 'node',
    ...nodeHashes(crypto),
    ...(works(gcmWorks) && nodeGcm(crypto)),
    ...(works(x25519Works) && { x25519: nodeX25519(crypto) }),
    ...(works(mlKemWorks) && { mlKem1024: nodeMlKem1024(crypto) }),
    ...(crypto.argon2 !== undefined &&
      works(argon2Works) && { argon2Provider: 'node:crypto', argon2id: nodeArgon2id(crypto.argon2) }),
  }
}

function nodeHashes(crypto: Crypto): Partial<Backend> {
  const native = new Set(portableHashNames.filter((hash) => works(() => crypto.createHash(hash))))
  const create: CreateHash = (hash) => {
    if (!native.has(hash)) return createPortableHash(hash)
    const state = crypto.createHash(hash)
    return { update: (chunk) => state.update(chunk), digest: () => own(state.digest()) }
  }
  const digests: Partial<Backend> = {
    hash(hash, parts) {
      const state = create(hash)
      for (const part of parts) state.update(part)
      return state.digest()
    },
    copyAndDigest: async (content, copy, wanted) => digestInChunks(create, content, wanted, copy),
    digestContent: async (content, wanted) => digestInChunks(create, content, wanted),
  }
  if (!native.has('sha256') || !native.has('sha512')) return digests
  return {
    ...digests,
    hmac(hash, key, parts) {
      const state = crypto.createHmac(hash, key)
      for (const part of parts) state.update(part)
      return own(state.digest())
    },
    hkdfSha512: (ikm, salt, info, length) => new Uint8Array(crypto.hkdfSync('sha512', ikm, salt, info, length)),
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
  // A view, because a copied Buffer of this size would lie in the pool that all small Buffers share.
  const base64url = (bytes: Uint8Array) =>
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url')
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
const SPKI_PREFIX = Uint8Array.of(48, 130, 6, 50, 48, 11, 6, 9, 96, 134, 72, 1, 101, 3, 4, 4, 3, 3, 130, 6, 33, 0)
const PKCS8_PREFIX = Uint8Array.of(48, 84, 2, 1, 0, 48, 11, 6, 9, 96, 134, 72, 1, 101, 3, 4, 4, 3, 4, 66, 128, 64)

function nodeMlKem1024(crypto: Crypto & NewerCrypto): Kem {
  return {
    provider: 'node:crypto',
    encapsulator(publicKey) {
      const key = concat(SPKI_PREFIX, publicKey) as Buffer
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
      const key = concat(PKCS8_PREFIX, seed) as Buffer
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

const LEAST_COSTS = { iterations: 1, memoryKiB: 8, lanes: 1 }

function argon2Parameters(
  message: Uint8Array,
  nonce: Uint8Array,
  { iterations, memoryKiB, lanes }: Argon2Parameters,
  tagLength: number,
): Argon2Input {
  return { message, nonce, parallelism: lanes, tagLength, memory: memoryKiB, passes: iterations }
}

function nodeArgon2id(argon2: NonNullable<NewerCrypto['argon2']>): Backend['argon2id'] {
  return async (password, salt, costs, length, { onProgress, signal }: Wait) => {
    onProgress?.(0)
    const tag = await new Promise<Bytes>((resolve, reject) => {
      const stop = () => reject(signal?.reason as Error)
      signal?.addEventListener('abort', stop, { once: true })
      argon2('argon2id', argon2Parameters(password, salt, costs, length), (error, result) => {
        signal?.removeEventListener('abort', stop)
        if (error !== null) reject(new RangeError(`Argon2 found no ${costs.memoryKiB} KiB of memory`, { cause: error }))
        else if (signal?.aborted === true) result.fill(0)
        else resolve(own(result))
      })
    })
    onProgress?.(1)
    return tag
  }
}
