// The primitives of node:crypto, each probed once; what the runtime lacks (Bun, Deno, Electron and older Nodes lack
// different ones) stays with the portable backend.
import { type Bytes, wipe } from '../core/bytes.ts'
import type { Argon2Parameters, Backend, HashName, Kem, Primitive } from './backend.ts'
import { type CreateHash, digestInChunks, digestParts } from './digest.ts'
import { aesKeySizes, nodeCbc, nodeChachaPoly, nodeCtr, nodeGcm } from './node-ciphers.ts'
import { type Argon2Input, type Crypto, keyInput, nodeCrypto, own } from './node-crypto.ts'
import { nodeMlKem1024, nodeX25519 } from './node-kem.ts'
import { createPortableHash, portableBackend, portableHashNames } from './portable.ts'

function works(probe: () => unknown): boolean {
  try {
    probe()
    return true
  } catch {
    return false
  }
}

export function nodeBackend(): Backend | undefined {
  const crypto = nodeCrypto()
  if (crypto === undefined) return undefined
  const native = probe(crypto)
  const providers = { ...portableBackend.providers }
  const parts = native.map(([primitives, part]) => {
    for (const primitive of primitives) providers[primitive] = 'node:crypto'
    return part
  })
  return Object.assign({}, portableBackend, ...parts, {
    name: 'node',
    providers,
    fips: (crypto as Partial<Crypto>).getFips?.() === 1,
  }) as Backend
}

type NativePart = readonly [primitives: readonly Primitive[], part: Partial<Backend>]

/** The parts that this runtime has: each was used once, on nothing, in every way in which it will be. */
function probe(crypto: Crypto): NativePart[] {
  const key = new Uint8Array(32)
  const iv = new Uint8Array(12)
  const hashes = portableHashNames.filter((hash) => works(() => crypto.createHash(hash)))
  const [gcm, ctr, cbc] = [aesKeySizes(crypto, 'gcm'), aesKeySizes(crypto, 'ctr'), aesKeySizes(crypto, 'cbc')]
  const secret = () => keyInput(crypto, key)
  const chachaTag = (...parts: Uint8Array[]) => {
    const cipher = crypto.createCipheriv('chacha20-poly1305', secret(), iv, { authTagLength: 16 })
    for (const part of parts) cipher.setAAD(part, { plaintextLength: 0 })
    cipher.final()
    return cipher.getAuthTag()
  }
  // In pieces too: a runtime that took the last piece alone would authenticate hardly anything.
  const hasChacha = works(() => {
    if (!chachaTag(key, iv).equals(chachaTag(new Uint8Array(44)))) throw new Error('associated data in pieces')
  })
  const { argon2, argon2Sync } = crypto
  const hasArgon2 =
    argon2 !== undefined &&
    argon2Sync !== undefined &&
    works(() => argon2Sync('argon2id', argon2Parameters(key, key, LEAST_COSTS, 32)))
  const [x25519, mlKem1024] = [nodeX25519(crypto), nodeMlKem1024(crypto)]
  const kemWorks = (kem: Kem, privateKey: Uint8Array) =>
    works(() => {
      const own = kem.decapsulator(privateKey)
      own.decapsulate(kem.encapsulator(own.publicKey).encapsulate().ciphertext)
    })
  const sha2 = hashes.includes('sha256') && hashes.includes('sha512')
  const found: (NativePart | false)[] = [
    [sha2 ? ['SHA-2'] : [], nodeHashes(crypto, hashes)],
    hashes.includes('sha3-256') && [['SHA-3'], {}],
    sha2 && works(() => crypto.createHmac('sha256', secret())) && [['HMAC'], nodeHmac(crypto, hashes)],
    sha2 && works(() => crypto.hkdfSync('sha512', secret(), iv, iv, 32)) && [['HKDF'], nodeHkdf(crypto)],
    sha2 && works(() => crypto.pbkdf2Sync(key, iv, 1, 32, 'sha512')) && [['PBKDF2'], nodePbkdf2(crypto)],
    gcm.includes(32) && [['AES-GCM'], nodeGcm(crypto, gcm)],
    ctr.includes(32) && [['AES-CTR'], nodeCtr(crypto, ctr)],
    cbc.includes(32) && [['AES-CBC'], nodeCbc(crypto, cbc)],
    hasChacha && [['Poly1305'], nodeChachaPoly(crypto)],
    kemWorks(x25519, key) && [['X25519'], { x25519 }],
    kemWorks(mlKem1024, new Uint8Array(64)) && [['ML-KEM-1024'], { mlKem1024 }],
    hasArgon2 && [['Argon2id'], { argon2id: nodeArgon2id(argon2) }],
  ]
  return found.filter((part) => part !== false)
}

function nodeHashes(crypto: Crypto, native: readonly HashName[]): Partial<Backend> {
  const create: CreateHash = (hash) => {
    if (!native.includes(hash)) return createPortableHash(hash)
    const state = crypto.createHash(hash)
    return { update: (chunk) => state.update(chunk), digest: () => own(state.digest()) }
  }
  return {
    hash: (hash, parts) => digestParts(create, hash, parts),
    copyAndDigest: async (content, copy, wanted) => digestInChunks(create, content, wanted, copy),
    digestContent: async (content, wanted) => digestInChunks(create, content, wanted),
  }
}

function nodeHmac(crypto: Crypto, native: readonly HashName[]): Partial<Backend> {
  return {
    hmac(hash, key, parts) {
      if (!native.includes(hash)) return portableBackend.hmac(hash, key, parts)
      const state = crypto.createHmac(hash, keyInput(crypto, key))
      for (const part of parts) state.update(part)
      return own(state.digest())
    },
  }
}

function nodeHkdf(crypto: Crypto): Partial<Backend> {
  return {
    hkdf: (hash, ikm, salt, info, length) =>
      new Uint8Array(crypto.hkdfSync(hash, keyInput(crypto, ikm), salt, info, length)),
  }
}

function nodePbkdf2(crypto: Crypto): Partial<Backend> {
  return {
    async pbkdf2Sha512(password, salt, iterations, length, { onProgress }) {
      // Deno reads them after it has returned.
      const [ownPassword, ownSalt] = [new Uint8Array(password), new Uint8Array(salt)]
      try {
        onProgress?.(0)
        const key = await new Promise<Bytes>((resolve, reject) => {
          crypto.pbkdf2(ownPassword, ownSalt, iterations, length, 'sha512', (error, result) => {
            if (error !== null) reject(error)
            else resolve(own(result))
          })
        })
        onProgress?.(1)
        return key
      } finally {
        wipe(ownPassword)
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

function nodeArgon2id(argon2: NonNullable<Crypto['argon2']>): Backend['argon2id'] {
  return async (password, salt, costs, length, { onProgress }) => {
    onProgress?.(0)
    const tag = await new Promise<Bytes>((resolve, reject) => {
      argon2('argon2id', argon2Parameters(password, salt, costs, length), (error, result) => {
        if (error === null) resolve(own(result))
        else reject(new RangeError(`Argon2 found no ${costs.memoryKiB} KiB of memory`, { cause: error }))
      })
    })
    onProgress?.(1)
    return tag
  }
}
