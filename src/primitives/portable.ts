// Everything by the noble libraries: the base that runs anywhere, and the judge of the other backends in tests.
import { poly1305 } from '@noble/ciphers/_poly1305.js'
import { cbc, ctr, gcm } from '@noble/ciphers/aes.js'
import { chacha20 } from '@noble/ciphers/chacha.js'
import { x25519 } from '@noble/curves/ed25519.js'
import { argon2idAsync } from '@noble/hashes/argon2.js'
import { expand, extract } from '@noble/hashes/hkdf.js'
import { hmac } from '@noble/hashes/hmac.js'
import { pbkdf2Async } from '@noble/hashes/pbkdf2.js'
import { sha256, sha512 } from '@noble/hashes/sha2.js'
import { sha3_256 } from '@noble/hashes/sha3.js'
import { ml_kem1024 } from '@noble/post-quantum/ml-kem.js'
import { type Bytes, wipe } from '../core/bytes.ts'
import type { Backend, HashName, Kem, Wait } from './backend.ts'
import { type CreateHash, digestInChunks, digestParts } from './digest.ts'
import { randomBytes } from './random.ts'

const hashes = { sha256, sha512, 'sha3-256': sha3_256 } as const

export const portableHashNames: readonly HashName[] = ['sha256', 'sha512', 'sha3-256']

export const createPortableHash: CreateHash = (hash) => {
  const state = hashes[hash].create()
  return { update: (chunk) => state.update(chunk), digest: () => own(state.digest()) }
}

/** noble types its results loosely; what it returns is always memory of its own. */
function own(bytes: Uint8Array): Bytes {
  return bytes as Bytes
}

const portableX25519: Kem = {
  encapsulator(publicKey) {
    const recipient = new Uint8Array(publicKey)
    return {
      encapsulate(randomness) {
        const ephemeral = randomness ?? randomBytes(32)
        try {
          return {
            ciphertext: own(x25519.getPublicKey(ephemeral)),
            shared: own(x25519.getSharedSecret(ephemeral, recipient)),
          }
        } finally {
          if (randomness === undefined) wipe(ephemeral)
        }
      },
    }
  },
  decapsulator(privateKey) {
    const scalar = new Uint8Array(privateKey)
    return {
      publicKey: own(x25519.getPublicKey(scalar)),
      decapsulate: (ciphertext) => own(x25519.getSharedSecret(scalar, ciphertext)),
      dispose: () => wipe(scalar),
    }
  },
}

/** The operations on one public key. */
interface PreparedMlKem {
  encapsulate(randomness?: Uint8Array): { cipherText: Uint8Array; sharedSecret: Uint8Array }
  decapsulate(ciphertext: Uint8Array, secretKey: Uint8Array): Uint8Array
}

/**
 * Expands the matrix of a public key once, where noble can: `prepare` is marked experimental there, so its absence may
 * cost speed and nothing else.
 */
function prepareMlKem(publicKey: Uint8Array): PreparedMlKem {
  const { prepare } = ml_kem1024 as Partial<typeof ml_kem1024>
  if (prepare !== undefined) return prepare(publicKey)
  return {
    encapsulate: (randomness) => ml_kem1024.encapsulate(publicKey, randomness),
    decapsulate: (ciphertext, secretKey) => ml_kem1024.decapsulate(ciphertext, secretKey),
  }
}

const portableMlKem1024: Kem = {
  encapsulator(publicKey) {
    const prepared = prepareMlKem(new Uint8Array(publicKey))
    return {
      encapsulate(randomness) {
        const { cipherText, sharedSecret } = prepared.encapsulate(randomness)
        return { ciphertext: own(cipherText), shared: own(sharedSecret) }
      },
    }
  },
  decapsulator(seed) {
    const { publicKey, secretKey } = ml_kem1024.keygen(seed)
    const prepared = prepareMlKem(publicKey)
    return {
      publicKey: own(publicKey),
      decapsulate: (ciphertext) => own(prepared.decapsulate(ciphertext, secretKey)),
      dispose: () => wipe(secretKey),
    }
  },
}

/**
 * Undefined where noble refuses the bytes, which it says by an Error of no other class; shapes are checked by the caller. What
 * the engine throws, out of memory say, is no answer about the bytes: whoever took it for one would delete a good block.
 */
function opened(open: () => Uint8Array): Bytes | undefined {
  try {
    return own(open())
  } catch (error) {
    if (error instanceof Error && error.constructor !== Error) throw error
    return undefined
  }
}

const gcmOpen: Backend['gcmOpen'] = (key, iv, aad, sealed) => opened(() => gcm(key, iv, aad).decrypt(sealed))

/** RFC 8439 §2.8 with no text: Poly1305 under a one-time key from ChaCha20's first block (§2.6). */
function chachaPolyTag(key: Uint8Array, parts: readonly Uint8Array[]): Bytes {
  const oneTimeKey = chacha20(key, new Uint8Array(12), new Uint8Array(32))
  try {
    const mac = poly1305.create(oneTimeKey)
    let length = 0
    for (const part of parts) {
      mac.update(part)
      length += part.length
    }
    const padding = new Uint8Array(-length & 15)
    const lengths = new DataView(new ArrayBuffer(16))
    lengths.setBigUint64(0, BigInt(length), true)
    return own(mac.update(padding).update(new Uint8Array(lengths.buffer)).digest())
  } finally {
    wipe(oneTimeKey)
  }
}

/** Ends a noble derivation from inside, where it reports its progress: there is no other way in. */
function ending({ onProgress, signal }: Wait): (fraction: number) => void {
  return (fraction) => {
    signal?.throwIfAborted()
    onProgress?.(fraction)
  }
}

interface Scheduler {
  postTask?<T>(work: () => Promise<T>, options: { priority: 'background' }): Promise<T>
}

/** Browsers go on after a pause at the priority that work began with: at the lowest, timers come in between, and can end it. */
async function behindTimers(
  password: Uint8Array,
  salt: Uint8Array,
  derive: (password: Uint8Array, salt: Uint8Array) => Promise<Uint8Array>,
): Promise<Bytes> {
  const { scheduler } = globalThis as { scheduler?: Scheduler }
  if (scheduler?.postTask === undefined) return own(await derive(password, salt))
  const copies = [new Uint8Array(password), new Uint8Array(salt)] as const
  try {
    return own(await scheduler.postTask(() => derive(...copies), { priority: 'background' }))
  } finally {
    wipe(...copies)
  }
}

export const portableBackend: Backend = {
  name: 'portable',
  fips: false,
  providers: {
    'SHA-2': '@noble/hashes',
    'SHA-3': '@noble/hashes',
    HMAC: '@noble/hashes',
    HKDF: '@noble/hashes',
    PBKDF2: '@noble/hashes',
    Argon2id: '@noble/hashes',
    'AES-GCM': '@noble/ciphers',
    'AES-CTR': '@noble/ciphers',
    'AES-CBC': '@noble/ciphers',
    Poly1305: '@noble/ciphers',
    X25519: '@noble/curves',
    'ML-KEM-1024': '@noble/post-quantum',
    Ed25519: '@noble/curves',
    randomness: 'crypto.getRandomValues',
  },
  hash: (hash, parts) => digestParts(createPortableHash, hash, parts),
  hmac(hash, key, parts) {
    const state = hmac.create(hashes[hash], key)
    for (const part of parts) state.update(part)
    return own(state.digest())
  },
  hkdf(hash, ikm, salt, info, length) {
    const pseudorandomKey = extract(hashes[hash], ikm, salt)
    try {
      return own(expand(hashes[hash], pseudorandomKey, info, length))
    } finally {
      wipe(pseudorandomKey)
    }
  },
  gcmSeal: (key, iv, aad, text) => own(gcm(key, iv, aad).encrypt(text)),
  gcmOpen,
  copyAndDigest: async (content, copy, wanted) => digestInChunks(createPortableHash, content, wanted, copy),
  digestContent: async (content, wanted) => digestInChunks(createPortableHash, content, wanted),
  async gcmSealContent(key, iv, aad, buffer) {
    buffer.set(gcm(key, iv, aad).encrypt(buffer.subarray(0, -16)))
  },
  gcmOpenContent: async (key, iv, aad, sealed) => gcmOpen(key, iv, aad, sealed),
  async ctr(key, counter, buffer) {
    const result = ctr(key, counter).encrypt(buffer)
    buffer.set(result)
    wipe(result)
  },
  cbcEncrypt: async (key, iv, text) => own(cbc(key, iv).encrypt(text)),
  cbcDecrypt: async (key, iv, sealed) => opened(() => cbc(key, iv).decrypt(sealed)),
  chachaPolyTag: async (key, parts) => chachaPolyTag(key, parts),
  x25519: portableX25519,
  mlKem1024: portableMlKem1024,
  async pbkdf2Sha512(password, salt, iterations, length, { onProgress, signal }) {
    onProgress?.(0)
    signal?.throwIfAborted()
    const key = await behindTimers(password, salt, (...from) =>
      pbkdf2Async(sha512, ...from, { c: iterations, dkLen: length }),
    )
    onProgress?.(1)
    return key
  },
  async argon2id(password, salt, { iterations, memoryKiB, lanes }, length, wait) {
    const costs = { t: iterations, m: memoryKiB, p: lanes }
    const options = { ...costs, dkLen: length, onProgress: ending(wait) }
    return behindTimers(password, salt, (...from) => argon2idAsync(...from, options))
  },
}
