// X25519 and ML-KEM-1024 with node:crypto. Imported keys live in OpenSSL's memory, and OpenSSL wipes them when they are
// garbage-collected. On releases without raw key formats, an ephemeral X25519 key passes through a JWK, which contains
// it as a string that cannot be wiped.
import { type Crypto, ifThere, nodeBuffer, nodeCrypto, own, PROVIDER, works } from './node-crypto.ts'
import type * as NodeCrypto from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { allocate, type Bytes, bytesFrom, concat, copyOf, EMPTY, fromBase64Url } from '../core/bytes.ts'
import { disposable, wiping } from '../core/secret.ts'
import type { Decapsulator, Kem, MlKem1024, X25519 } from './backend.ts'
import type { Provided } from './choice.ts'
import { randomBytes } from './random.ts'

/** How X25519 keys are imported and exported: in raw formats if the release has them, otherwise as JWK and DER. */
interface X25519Keys {
  importPrivate(scalar: Uint8Array): KeyObject
  importPublic(point: Uint8Array): KeyObject
  exportPublic(key: KeyObject): Bytes
  /** Generates a pair for one use, in the fastest way that the release has. */
  generate(): EphemeralPair
}

interface EphemeralPair {
  readonly privateKey: KeyObject
  readonly point: Bytes
}

function rawX25519Keys(crypto: Crypto): X25519Keys {
  // The type declarations of the oldest supported Node release lack these formats.
  const raw = (key: Uint8Array, format: 'raw-private' | 'raw-public') =>
    ({ key, format, asymmetricKeyType: 'x25519' }) as unknown as NodeCrypto.JsonWebKeyInput
  const encoding = { format: 'raw-public' }
  const generate = crypto.generateKeyPairSync as unknown as (
    type: 'x25519',
    options: { publicKeyEncoding: object },
  ) => { publicKey: Buffer; privateKey: KeyObject }
  return {
    importPrivate: (scalar) => crypto.createPrivateKey(raw(scalar, 'raw-private')),
    importPublic: (point) => crypto.createPublicKey(raw(point, 'raw-public')),
    exportPublic: (key) => own((key.export as (options: object) => Buffer)(encoding)),
    generate() {
      const { publicKey, privateKey } = generate('x25519', { publicKeyEncoding: encoding })
      return { privateKey, point: own(publicKey) }
    },
  }
}

/** The DER before an X25519 private key (RFC 8410). */
const X25519_PKCS8_PREFIX = /* @__PURE__ */ Uint8Array.of(48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 110, 4, 34, 4, 32)

function jwkX25519Keys(crypto: Crypto): X25519Keys {
  const Buffer = nodeBuffer()
  // Use a view, because a small copied Buffer would lie in the pool that all small Buffers share.
  const base64url = (bytes: Uint8Array) =>
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url')
  const jwk = { kty: 'OKP', crv: 'X25519' }
  const exportPublic = (key: KeyObject) => fromBase64Url(key.export({ format: 'jwk' }).x ?? '') ?? EMPTY
  return {
    // DER is ten times slower than a JWK here, but leaves no copy of the key behind.
    importPrivate: (scalar) => importPkcs8(crypto, X25519_PKCS8_PREFIX, scalar),
    importPublic: (point) => crypto.createPublicKey({ format: 'jwk', key: { ...jwk, x: base64url(point) } }),
    exportPublic,
    // Import random bytes, because the export of a generated pair can hang Node 20 forever. `x` must be a string here,
    // but is not read.
    generate() {
      const scalar = randomBytes(32)
      using _ = wiping(scalar)
      const before = bufferPool()
      const privateKey = crypto.createPrivateKey({ format: 'jwk', key: { ...jwk, d: base64url(scalar), x: '' } })
      // The pool may have been full, so that the copy is in the next one.
      for (const pool of [before, bufferPool()]) wipeFrom(pool, scalar)
      return { privateKey, point: exportPublic(crypto.createPublicKey(privateKey)) }
    },
  }
}

/** Returns the memory of which Node makes small Buffers. */
function bufferPool(): Buffer {
  const Buffer = nodeBuffer()
  return Buffer.from(Buffer.allocUnsafe(1).buffer)
}

/** Wipes the copy of a secret that Node leaves in the pool of small Buffers when it decodes a JWK. */
function wipeFrom(pool: Buffer, secret: Uint8Array): void {
  const at = pool.indexOf(secret)
  if (at >= 0) pool.fill(0, at, at + secret.length)
}

function importPkcs8(crypto: Crypto, prefix: Uint8Array, secret: Uint8Array): KeyObject {
  const key = concat(prefix, secret) as Buffer
  using _ = wiping(key)
  return crypto.createPrivateKey({ key, format: 'der', type: 'pkcs8' })
}

function x25519Keys(crypto: Crypto): X25519Keys {
  const raw = rawX25519Keys(crypto)
  try {
    raw.exportPublic(raw.importPublic(raw.generate().point))
    raw.importPrivate(allocate(32))
    return raw
  } catch {
    return jwkX25519Keys(crypto)
  }
}

function x25519Of(crypto: Crypto): X25519['x25519'] {
  const keys = x25519Keys(crypto)
  const pairOf = (scalar: Uint8Array): EphemeralPair => {
    const privateKey = keys.importPrivate(bytesFrom(scalar, 'X25519 private key', 32))
    return { privateKey, point: keys.exportPublic(crypto.createPublicKey(privateKey)) }
  }
  return {
    encapsulator(publicKey) {
      const recipient = keys.importPublic(bytesFrom(publicKey, 'X25519 public key', 32))
      return {
        encapsulate(ephemeral) {
          const { privateKey, point } = ephemeral === undefined ? keys.generate() : pairOf(ephemeral)
          return { ciphertext: point, shared: own(crypto.diffieHellman({ privateKey, publicKey: recipient })) }
        },
      }
    },
    decapsulator(privateKey) {
      const { privateKey: imported, point } = pairOf(privateKey)
      return droppable(imported, point, (own25519, ciphertext) =>
        crypto.diffieHellman({
          privateKey: own25519,
          publicKey: keys.importPublic(bytesFrom(ciphertext, 'point', 32)),
        }),
      )
    },
  }
}

/** Wraps a private key that OpenSSL holds. OpenSSL wipes it when it is garbage-collected, so disposing drops it. */
function droppable(
  key: KeyObject,
  publicKey: Bytes,
  decapsulate: (key: KeyObject, ciphertext: Uint8Array) => Buffer,
): Decapsulator {
  let imported: KeyObject | undefined = key
  const decapsulator = {
    publicKey,
    decapsulate(ciphertext: Uint8Array) {
      if (imported === undefined) throw new Error('disposed')
      return own(decapsulate(imported, ciphertext))
    },
  }
  return disposable(decapsulator, () => {
    imported = undefined
  })
}

/** The DER before an ML-KEM-1024 public key (SubjectPublicKeyInfo) and before its seed (PKCS #8), from RFC 9935. */
const SPKI_PREFIX = /* @__PURE__ */ Uint8Array.of(
  48,
  130,
  6,
  50,
  48,
  11,
  6,
  9,
  96,
  134,
  72,
  1,
  101,
  3,
  4,
  4,
  3,
  3,
  130,
  6,
  33,
  0,
)
const PKCS8_PREFIX = /* @__PURE__ */ Uint8Array.of(
  48,
  84,
  2,
  1,
  0,
  48,
  11,
  6,
  9,
  96,
  134,
  72,
  1,
  101,
  3,
  4,
  4,
  3,
  4,
  66,
  128,
  64,
)

function mlKem1024Of(crypto: Crypto): Kem | undefined {
  const { encapsulate, decapsulate } = crypto
  if (encapsulate === undefined || decapsulate === undefined) return undefined
  return {
    encapsulator(publicKey) {
      // OpenSSL ignores bytes after the DER, so the length is checked here.
      const key = concat(SPKI_PREFIX, bytesFrom(publicKey, 'ML-KEM-1024 public key', 1568)) as Buffer
      const recipient = crypto.createPublicKey({ key, format: 'der', type: 'spki' })
      return {
        encapsulate() {
          const { ciphertext, sharedKey } = encapsulate(recipient)
          return { ciphertext: own(ciphertext), shared: own(sharedKey) }
        },
      }
    },
    decapsulator(seed) {
      const imported = importPkcs8(crypto, PKCS8_PREFIX, bytesFrom(seed, 'ML-KEM-1024 seed', 64))
      const spki = crypto.createPublicKey(imported).export({ format: 'der', type: 'spki' })
      return droppable(imported, copyOf(spki.subarray(SPKI_PREFIX.length)), decapsulate)
    },
  }
}

const kemWorks = (kem: Kem, privateKey: Uint8Array): boolean =>
  works(() => {
    const own = kem.decapsulator(privateKey)
    own.decapsulate(kem.encapsulator(own.publicKey).encapsulate().ciphertext)
  })

export function nodeX25519(): Provided<X25519> | undefined {
  const crypto = nodeCrypto()
  const x25519 = crypto && ifThere(() => x25519Of(crypto))
  if (x25519 === undefined || !kemWorks(x25519, allocate(32).fill(1))) return undefined
  return { primitives: ['X25519'], provider: PROVIDER, part: { x25519 } }
}

export function nodeMlKem1024(): Provided<MlKem1024> | undefined {
  const crypto = nodeCrypto()
  const mlKem1024 = crypto && mlKem1024Of(crypto)
  if (mlKem1024 === undefined || !kemWorks(mlKem1024, allocate(64))) return undefined
  return { primitives: ['ML-KEM-1024'], provider: PROVIDER, part: { mlKem1024 } }
}
