// The primitives of node:crypto, each probed once; what the runtime lacks (Bun, Deno, Electron and older Nodes lack
// different ones) stays with the portable backend.
import { type Bytes, concat, wipe } from '../bytes.ts'
import type { Argon2Parameters, Backend, Wait } from './backend.ts'
import { createPortableHash, portableBackend, portableHashNames } from './backend-portable.ts'
import { type CreateHash, digestInChunks } from './digest.ts'
import { type Argon2Input, type Crypto, own } from './node-crypto.ts'
import { nodeMlKem1024, nodeX25519 } from './node-kem.ts'

/** Content passes the cipher in chunks of this size: one update over a whole block allocates as much again, at half speed. */
const CHUNK = 128 * 1024

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
  const crypto = platform.process?.getBuiltinModule?.('node:crypto') as Crypto | undefined
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

const LEAST_COSTS = { iterations: 1, memoryKiB: 8, lanes: 1 }

function argon2Parameters(
  message: Uint8Array,
  nonce: Uint8Array,
  { iterations, memoryKiB, lanes }: Argon2Parameters,
  tagLength: number,
): Argon2Input {
  return { message, nonce, parallelism: lanes, tagLength, memory: memoryKiB, passes: iterations }
}

function nodeArgon2id(argon2: NonNullable<Crypto['argon2']>): Backend['argon2id'] {
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
