// X25519 and ML-KEM-1024 of node:crypto. Imported keys live in OpenSSL's memory, which it wipes when they are collected;
// where Node has no raw key formats, an ephemeral X25519 key passes through a JWK, a string that nobody can wipe.
import type * as NodeCrypto from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { type Bytes, bytesFrom, concat, wipe } from '../core/bytes.ts'
import type { Kem } from './backend.ts'
import { type Crypto, own } from './node-crypto.ts'
import { portableBackend } from './portable.ts'
import { randomBytes } from './random.ts'

/** How X25519 keys go in and out: by raw formats where there are any, else by JWK and DER. */
interface X25519Keys {
  importPrivate(scalar: Uint8Array): KeyObject
  importPublic(point: Uint8Array): KeyObject
  exportPublic(key: KeyObject): Bytes
  /** A fresh pair to be used once, as fast as there is. */
  generate(): EphemeralPair
}

interface EphemeralPair {
  readonly privateKey: KeyObject
  readonly point: Bytes
}

function rawX25519Keys(crypto: Crypto): X25519Keys {
  // The types of the oldest supported release do not know these formats.
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

/** DER in front of an X25519 private key, RFC 8410. */
const X25519_PKCS8_PREFIX = Uint8Array.of(48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 110, 4, 34, 4, 32)

function jwkX25519Keys(crypto: Crypto): X25519Keys {
  // A view, because a copied Buffer of this size would lie in the pool that all small Buffers share.
  const base64url = (bytes: Uint8Array) =>
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url')
  const jwk = { kty: 'OKP', crv: 'X25519' }
  const exportPublic = (key: KeyObject) =>
    new Uint8Array(Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url'))
  return {
    // Ten times slower than a JWK here, and no copy of the key is left behind.
    importPrivate: (scalar) => importPkcs8(crypto, X25519_PKCS8_PREFIX, scalar),
    importPublic: (point) => crypto.createPublicKey({ format: 'jwk', key: { ...jwk, x: base64url(point) } }),
    exportPublic,
    // Imported, because the export of a generated pair can hang Node 20 for ever. `x` must be a string here and is not read.
    generate() {
      const scalar = randomBytes(32)
      try {
        const privateKey = crypto.createPrivateKey({ format: 'jwk', key: { ...jwk, d: base64url(scalar), x: '' } })
        wipeFromPool(scalar)
        return { privateKey, point: exportPublic(crypto.createPublicKey(privateKey)) }
      } finally {
        wipe(scalar)
      }
    },
  }
}

/** Node decodes a JWK into the pool of small Buffers and leaves it there; this finds it and wipes it. */
function wipeFromPool(secret: Uint8Array): void {
  const pool = Buffer.from(Buffer.allocUnsafe(1).buffer)
  const at = pool.indexOf(secret)
  if (at >= 0) pool.fill(0, at, at + secret.length)
}

function importPkcs8(crypto: Crypto, prefix: Uint8Array, secret: Uint8Array): KeyObject {
  const key = concat(prefix, secret) as Buffer
  try {
    return crypto.createPrivateKey({ key, format: 'der', type: 'pkcs8' })
  } finally {
    wipe(key)
  }
}

function x25519Keys(crypto: Crypto): X25519Keys {
  const raw = rawX25519Keys(crypto)
  try {
    raw.exportPublic(raw.importPublic(raw.generate().point))
    raw.importPrivate(new Uint8Array(32))
    return raw
  } catch {
    return jwkX25519Keys(crypto)
  }
}

export function nodeX25519(crypto: Crypto): Kem {
  const keys = x25519Keys(crypto)
  const exportPublic = (privateKey: KeyObject) => keys.exportPublic(crypto.createPublicKey(privateKey))
  const pairOf = (scalar: Uint8Array): EphemeralPair => {
    const privateKey = keys.importPrivate(scalar)
    return { privateKey, point: exportPublic(privateKey) }
  }
  return {
    encapsulator(publicKey) {
      const recipient = keys.importPublic(bytesFrom(publicKey, 'X25519 public key', 32))
      return {
        encapsulate(randomness) {
          const { privateKey, point } = randomness === undefined ? keys.generate() : pairOf(randomness)
          return { ciphertext: point, shared: own(crypto.diffieHellman({ privateKey, publicKey: recipient })) }
        },
      }
    },
    decapsulator(privateKey) {
      let imported: KeyObject | undefined = keys.importPrivate(bytesFrom(privateKey, 'X25519 private key', 32))
      return {
        publicKey: exportPublic(imported),
        decapsulate(ciphertext) {
          if (imported === undefined) throw new Error('disposed')
          return own(
            crypto.diffieHellman({
              privateKey: imported,
              publicKey: keys.importPublic(bytesFrom(ciphertext, 'point', 32)),
            }),
          )
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

export function nodeMlKem1024(crypto: Crypto): Kem {
  return {
    encapsulator(publicKey) {
      // OpenSSL passes over bytes behind the DER; the length says that there are none.
      const key = concat(SPKI_PREFIX, bytesFrom(publicKey, 'ML-KEM-1024 public key', 1568)) as Buffer
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
      let imported: KeyObject | undefined = importPkcs8(crypto, PKCS8_PREFIX, bytesFrom(seed, 'ML-KEM-1024 seed', 64))
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
