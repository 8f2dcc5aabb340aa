// Every primitive with the noble libraries. This code works everywhere, and tests compare the other implementations
// with it.
import { cbc, ctr, gcm } from '@noble/ciphers/aes.js'
import { poly1305 } from '@noble/ciphers/_poly1305.js'
import { chacha20 } from '@noble/ciphers/chacha.js'
import { x25519 } from '@noble/curves/ed25519.js'
import { argon2idAsync } from '@noble/hashes/argon2.js'
import { expand, extract } from '@noble/hashes/hkdf.js'
import { hmac } from '@noble/hashes/hmac.js'
import { pbkdf2Async } from '@noble/hashes/pbkdf2.js'
import { sha256, sha512 } from '@noble/hashes/sha2.js'
import { sha3_256 } from '@noble/hashes/sha3.js'
import { ml_kem1024 } from '@noble/post-quantum/ml-kem.js'
import { adopt, allocate, type Bytes, copyOf, wipe } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { nameOf } from '../core/realms.ts'
import { disposable, wiping } from '../core/secret.ts'
import type {
  Argon2id,
  Cbc,
  ContentHashes,
  Ctr,
  Gcm,
  Hashes,
  HashName,
  Hkdf,
  Hmac,
  Kem,
  MlKem1024,
  Pbkdf2,
  Poly1305,
  Primitive,
  Primitives,
  Wait,
  X25519,
} from './backend.ts'
import type { Provided } from './choice.ts'
import { type CreateHash, digestInChunks, digestParts, type HashState } from './digest.ts'
import { randomBytes } from './random.ts'

/* @__NO_SIDE_EFFECTS__ */
function provided<T extends Partial<Primitives>>(primitives: readonly Primitive[], provider: string, part: T) {
  return (): Provided<T> => ({ primitives, provider, part })
}

const sha2 = { sha256, sha512 } as const

const stateOf = (state: { update(chunk: Uint8Array): unknown; digest(): Uint8Array }): HashState => ({
  update: (chunk) => state.update(chunk),
  digest: () => adopt(state.digest()),
})

export const createPortableHash: CreateHash<HashName> = (hash) => stateOf(sha2[hash].create())

export const createPortableContentHash: CreateHash<HashName | 'sha3-256'> = (hash) =>
  hash === 'sha3-256' ? stateOf(sha3_256.create()) : createPortableHash(hash)

export const portableHashes: () => Provided<Hashes> = provided(['SHA-2'], '@noble/hashes', {
  hash: (hash, parts) => digestParts(createPortableHash, hash, parts),
})

export const portableContentHashes: () => Provided<ContentHashes> = provided(['SHA-2', 'SHA-3'], '@noble/hashes', {
  copyAndDigest: async (content, copy, wanted) => digestInChunks(createPortableContentHash, content, wanted, copy),
  digestContent: async (content, wanted) => digestInChunks(createPortableContentHash, content, wanted),
})

export const portableHmac: () => Provided<Hmac> = provided(['HMAC'], '@noble/hashes', {
  hmac(hash, key, parts) {
    const state = hmac.create(sha2[hash], key)
    for (const part of parts) state.update(part)
    return adopt(state.digest())
  },
})

export const portableHkdf: () => Provided<Hkdf> = provided(['HKDF'], '@noble/hashes', {
  hkdf(hash, ikm, salt, info, length) {
    const pseudorandomKey = extract(sha2[hash], ikm, salt)
    using _ = wiping(pseudorandomKey)
    return adopt(expand(sha2[hash], pseudorandomKey, info, length))
  },
})

const x25519Kem: X25519['x25519'] = {
  encapsulator(publicKey) {
    const recipient = copyOf(publicKey)
    return {
      encapsulate(ephemeral) {
        const scalar = ephemeral === undefined ? randomBytes(32) : copyOf(ephemeral)
        using _ = wiping(scalar)
        return {
          ciphertext: adopt(x25519.getPublicKey(scalar)),
          shared: adopt(x25519.getSharedSecret(scalar, recipient)),
        }
      },
    }
  },
  decapsulator(privateKey) {
    const scalar = copyOf(privateKey)
    const imported = {
      publicKey: adopt(x25519.getPublicKey(scalar)),
      decapsulate: (ciphertext: Uint8Array) => adopt(x25519.getSharedSecret(scalar, ciphertext)),
    }
    return disposable(imported, () => wipe(scalar))
  },
}

/** The operations on one public key. */
interface PreparedMlKem {
  encapsulate(): { cipherText: Uint8Array; sharedSecret: Uint8Array }
  decapsulate(ciphertext: Uint8Array, secretKey: Uint8Array): Uint8Array
}

/**
 * Expands the matrix of a public key once, if noble can. `prepare` is experimental: if noble drops it, this only gets
 * slower.
 */
function prepareMlKem(publicKey: Uint8Array): PreparedMlKem {
  const { prepare } = ml_kem1024 as Partial<typeof ml_kem1024>
  if (prepare !== undefined) return prepare(publicKey)
  return {
    encapsulate: () => ml_kem1024.encapsulate(publicKey),
    decapsulate: (ciphertext, secretKey) => ml_kem1024.decapsulate(ciphertext, secretKey),
  }
}

const mlKem1024Kem: Kem = {
  encapsulator(publicKey) {
    const prepared = prepareMlKem(copyOf(publicKey))
    return {
      encapsulate() {
        const { cipherText, sharedSecret } = prepared.encapsulate()
        return { ciphertext: adopt(cipherText), shared: adopt(sharedSecret) }
      },
    }
  },
  decapsulator(seed) {
    const { publicKey, secretKey } = ml_kem1024.keygen(seed)
    const prepared = prepareMlKem(publicKey)
    const imported = {
      publicKey: adopt(publicKey),
      decapsulate: (ciphertext: Uint8Array) => adopt(prepared.decapsulate(ciphertext, secretKey)),
    }
    return disposable(imported, () => wipe(secretKey))
  },
}

/**
 * Returns undefined if noble refuses the bytes, for which noble throws a plain Error. Other errors, such as running out
 * of memory, say nothing about the bytes, so this function throws them again. A caller who mistook them for damage
 * might delete a good block.
 */
function opened(open: () => Uint8Array): Bytes | undefined {
  try {
    return adopt(open())
  } catch (error) {
    // Not by its class: in Next's edge runtime, the constructor of an Error is not the global one.
    if (nameOf(error) !== 'Error') throw error
    return undefined
  }
}

const gcmOpen: Gcm['gcmOpen'] = (key, iv, aad, sealed) => opened(() => gcm(key, iv, aad).decrypt(sealed))

/**
 * Computes the tag of RFC 8439 §2.8 for an empty text: Poly1305 under a one-time key from ChaCha20's first block
 * (§2.6).
 */
function chachaPolyTag(key: Uint8Array, parts: readonly Uint8Array[]): Bytes {
  const oneTimeKey = chacha20(key, allocate(12), allocate(32))
  using _ = wiping(oneTimeKey)
  const mac = poly1305.create(oneTimeKey)
  let length = 0
  for (const part of parts) {
    mac.update(part)
    length += part.length
  }
  const padding = allocate(-length & 15)
  const lengths = new DataView(new ArrayBuffer(16))
  lengths.setBigUint64(0, BigInt(length), true)
  return adopt(mac.update(padding).update(new Uint8Array(lengths.buffer)).digest())
}

/** Signals of React Native have no throwIfAborted. */
function assertWanted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new KeystrataError('aborted')
}

/**
 * Returns a progress callback that throws if the signal was aborted. There is no other way to stop a noble derivation.
 */
function ending({ onProgress, signal }: Wait): (fraction: number) => void {
  return (fraction) => {
    assertWanted(signal)
    onProgress?.(fraction)
  }
}

interface Scheduler {
  postTask?<T>(work: () => Promise<T>, options: { priority: 'background' }): Promise<T>
}

/** Runs a derivation, in browsers at the lowest priority, so that timers, which may abort it, run in its pauses. */
async function behindTimers(
  password: Uint8Array,
  salt: Uint8Array,
  derive: (password: Uint8Array, salt: Uint8Array) => Promise<Uint8Array>,
): Promise<Bytes> {
  const { scheduler } = globalThis as { scheduler?: Scheduler }
  if (scheduler?.postTask === undefined) return adopt(await derive(password, salt))
  const copies = [copyOf(password), copyOf(salt)] as const
  using _ = wiping(...copies)
  return adopt(await scheduler.postTask(() => derive(...copies), { priority: 'background' }))
}

export const portableGcm: () => Provided<Gcm> = provided(['AES-GCM'], '@noble/ciphers', {
  gcmSeal: (key, iv, aad, text) => adopt(gcm(key, iv, aad).encrypt(text)),
  gcmOpen,
  async gcmSealContent(key, iv, aad, buffer) {
    buffer.set(gcm(key, iv, aad).encrypt(buffer.subarray(0, -16)))
  },
  gcmOpenContent: async (key, iv, aad, sealed) => gcmOpen(key, iv, aad, sealed),
})

export const portableCtr: () => Provided<Ctr> = provided(['AES-CTR'], '@noble/ciphers', {
  async ctr(key, counter, buffer) {
    const result = ctr(key, counter).encrypt(buffer)
    using _ = wiping(result)
    buffer.set(result)
  },
})

export const portableCbc: () => Provided<Cbc> = provided(['AES-CBC'], '@noble/ciphers', {
  cbcEncrypt: async (key, iv, text) => adopt(cbc(key, iv).encrypt(text)),
  cbcDecrypt: async (key, iv, sealed) => opened(() => cbc(key, iv).decrypt(sealed)),
})

export const portablePoly1305: () => Provided<Poly1305> = provided(['Poly1305'], '@noble/ciphers', {
  chachaPolyTag: async (key, parts) => chachaPolyTag(key, parts),
})

export const portableX25519: () => Provided<X25519> = provided(['X25519'], '@noble/curves', { x25519: x25519Kem })

export const portableMlKem1024: () => Provided<MlKem1024> = provided(['ML-KEM-1024'], '@noble/post-quantum', {
  mlKem1024: mlKem1024Kem,
})

export const portablePbkdf2: () => Provided<Pbkdf2> = provided(['PBKDF2'], '@noble/hashes', {
  async pbkdf2Sha512(password, salt, iterations, length, { onProgress, signal }) {
    onProgress?.(0)
    assertWanted(signal)
    const key = await behindTimers(password, salt, (...from) =>
      pbkdf2Async(sha512, ...from, { c: iterations, dkLen: length }),
    )
    onProgress?.(1)
    return key
  },
})

export const portableArgon2id: () => Provided<Argon2id> = provided(['Argon2id'], '@noble/hashes', {
  async argon2id(password, salt, { iterations, memoryKiB, lanes }, length, wait) {
    const costs = { t: iterations, m: memoryKiB, p: lanes }
    const options = { ...costs, dkLen: length, onProgress: ending(wait) }
    return behindTimers(password, salt, (...from) => argon2idAsync(...from, options))
  },
})
