// Hashes and password hashing with node:crypto. Each function probes what the runtime has, and returns undefined if
// portable code must do it: Bun, Deno, Electron and older releases of Node lack different primitives.
import { type Argon2Input, type Crypto, keyInput, nodeCrypto, release, own, PROVIDER, works } from './node-crypto.ts'
import { hkdfOfHashes } from './node-hkdf.ts'
import { allocate, type Bytes, copyOf } from '../core/bytes.ts'
import { wiping } from '../core/secret.ts'
import type { Argon2id, Argon2Parameters, ContentHashes, Hashes, Hkdf, Hmac, Pbkdf2 } from './backend.ts'
import type { Provided } from './choice.ts'
import { type CreateHash, digestInChunks, digestParts } from './digest.ts'
import { createPortableContentHash } from './portable.ts'

const createNodeHash =
  (crypto: Crypto): CreateHash<'sha256' | 'sha512' | 'sha3-256'> =>
  (hash) => {
    const state = crypto.createHash(hash)
    return { update: (chunk) => state.update(chunk), digest: () => own(state.digest()) }
  }

/** Returns node:crypto if it has SHA-2, which everything here needs. */
function cryptoWithSha2(): Crypto | undefined {
  const crypto = nodeCrypto()
  if (crypto === undefined) return undefined
  return works(() => crypto.createHash('sha256')) && works(() => crypto.createHash('sha512')) ? crypto : undefined
}

export function nodeHashes(): Provided<Hashes> | undefined {
  const crypto = cryptoWithSha2()
  if (crypto === undefined) return undefined
  const create = createNodeHash(crypto)
  return {
    primitives: ['SHA-2'],
    provider: PROVIDER,
    part: { hash: (hash, parts) => digestParts(create, hash, parts) },
  }
}

export function nodeContentHashes(): Provided<ContentHashes> | undefined {
  const crypto = cryptoWithSha2()
  if (crypto === undefined) return undefined
  const native = createNodeHash(crypto)
  const hasSha3 = works(() => crypto.createHash('sha3-256'))
  const create: typeof native = (hash) =>
    hash === 'sha3-256' && !hasSha3 ? createPortableContentHash(hash) : native(hash)
  return {
    primitives: hasSha3 ? ['SHA-2', 'SHA-3'] : ['SHA-2'],
    provider: PROVIDER,
    part: {
      copyAndDigest: async (content, copy, wanted) => digestInChunks(create, content, wanted, copy),
      digestContent: async (content, wanted) => digestInChunks(create, content, wanted),
    },
  }
}

const key = (): Uint8Array => allocate(32)

export function nodeHmac(): Provided<Hmac> | undefined {
  const crypto = cryptoWithSha2()
  if (crypto === undefined || !works(() => crypto.createHmac('sha256', keyInput(crypto, key())))) return undefined
  const hmac: Hmac['hmac'] = (hash, secret, parts) => {
    const state = crypto.createHmac(hash, keyInput(crypto, secret))
    for (const part of parts) state.update(part)
    return own(state.digest())
  }
  return { primitives: ['HMAC'], provider: PROVIDER, part: { hmac } }
}

export function nodeHkdf(): Provided<Hkdf> | undefined {
  const crypto = cryptoWithSha2()
  if (crypto === undefined) return undefined
  if (!works(() => crypto.hkdfSync('sha512', keyInput(crypto, key()), key(), key(), 32))) return undefined
  const native: Hkdf['hkdf'] = (hash, ikm, salt, info, length) =>
    new Uint8Array(crypto.hkdfSync(hash, keyInput(crypto, ikm), salt, info, length))
  const isFaster = release() < 24_000 && works(() => crypto.hash('sha512', key(), 'buffer'))
  const ofHashes = isFaster ? hkdfOfHashes(crypto) : undefined
  const hkdf: Hkdf['hkdf'] = (hash, ...input) =>
    (hash === 'sha512' ? ofHashes?.(...input) : undefined) ?? native(hash, ...input)
  return { primitives: ['HKDF'], provider: PROVIDER, part: { hkdf } }
}

export function nodePbkdf2(): Provided<Pbkdf2> | undefined {
  const crypto = cryptoWithSha2()
  if (crypto === undefined || !works(() => crypto.pbkdf2Sync(key(), key(), 1, 32, 'sha512'))) return undefined
  const pbkdf2Sha512: Pbkdf2['pbkdf2Sha512'] = async (password, salt, iterations, length, { onProgress }) => {
    // Pass copies, because Deno reads them after it has returned.
    const [ownPassword, ownSalt] = [copyOf(password), copyOf(salt)]
    using _ = wiping(ownPassword)
    onProgress?.(0)
    const derived = await new Promise<Bytes>((resolve, reject) => {
      crypto.pbkdf2(ownPassword, ownSalt, iterations, length, 'sha512', (error, result) => {
        if (error !== null) reject(error)
        else resolve(own(result))
      })
    })
    onProgress?.(1)
    return derived
  }
  return { primitives: ['PBKDF2'], provider: PROVIDER, part: { pbkdf2Sha512 } }
}

function argon2Parameters(
  message: Uint8Array,
  nonce: Uint8Array,
  { iterations, memoryKiB, lanes }: Argon2Parameters,
  tagLength: number,
): Argon2Input {
  return { message, nonce, parallelism: lanes, tagLength, memory: memoryKiB, passes: iterations }
}

const LEAST_COSTS = { iterations: 1, memoryKiB: 8, lanes: 1 }

export function nodeArgon2id(): Provided<Argon2id> | undefined {
  const { argon2, argon2Sync } = nodeCrypto() ?? {}
  if (argon2 === undefined || argon2Sync === undefined) return undefined
  if (!works(() => argon2Sync('argon2id', argon2Parameters(key(), key(), LEAST_COSTS, 32)))) return undefined
  const argon2id: Argon2id['argon2id'] = async (password, salt, costs, length, { onProgress }) => {
    onProgress?.(0)
    const tag = await new Promise<Bytes>((resolve, reject) => {
      argon2('argon2id', argon2Parameters(password, salt, costs, length), (error, result) => {
        if (error === null) resolve(own(result))
        else reject(new RangeError(`Argon2 could not allocate ${costs.memoryKiB} KiB of memory`, { cause: error }))
      })
    })
    onProgress?.(1)
    return tag
  }
  return { primitives: ['Argon2id'], provider: PROVIDER, part: { argon2id } }
}
