// What a platform provides, and nothing else: every primitive with one meaning, so that all backends give the same bytes.
// Callers above this folder use aead.ts, hash.ts, kdf.ts, kem.ts and password.ts, which check what goes in and comes out.
import type { Bytes } from '../core/bytes.ts'

export type HashName = 'sha256' | 'sha512' | 'sha3-256'

/** A digest of content, optionally of content ‖ suffix. */
export interface ContentDigest {
  readonly hash: HashName
  readonly suffix?: Uint8Array
}

/** One recipient's public key, imported and prepared once. */
export interface Encapsulator {
  /** A fresh agreement. `randomness` is for tests alone: 32 bytes that decide the result. */
  encapsulate(randomness?: Uint8Array): { ciphertext: Bytes; shared: Bytes }
}

/** One private key, imported once. */
export interface Decapsulator {
  readonly publicKey: Bytes
  /** Throws for a ciphertext that cannot be one; a wrong key gives a wrong secret, never an error. */
  decapsulate(ciphertext: Uint8Array): Bytes
  /** Wipes or drops the imported key. */
  dispose(): void
}

/** A key encapsulation mechanism. X25519 is one too: the ciphertext is the ephemeral public key. */
export interface Kem {
  encapsulator(publicKey: Uint8Array): Encapsulator
  decapsulator(privateKey: Uint8Array): Decapsulator
}

export interface Argon2Parameters {
  readonly iterations: number
  readonly memoryKiB: number
  readonly lanes: number
}

/**
 * How a caller follows and ends a long derivation.
 * @example
 * ```ts
 * import { deriveLogin, type Wait } from 'keystrata'
 *
 * const wait: Wait = { signal: AbortSignal.timeout(60_000) }
 * using login = await deriveLogin('correct horse', { realm: 'com.example.backup', user: 'user-4711' }, wait)
 * console.log(login.user) // user-4711
 * ```
 */
export interface Wait {
  /** Called with a fraction from 0 to 1, as often as the platform can tell; with native code that is start and end. */
  onProgress?: ((fraction: number) => void) | undefined
  /** Ends the wait with `aborted`. */
  signal?: AbortSignal | undefined
}

/** The primitives by the names that a self-test reports. */
export type Primitive =
  | 'SHA-2'
  | 'SHA-3'
  | 'HMAC'
  | 'HKDF'
  | 'PBKDF2'
  | 'Argon2id'
  | 'AES-GCM'
  | 'AES-CTR'
  | 'AES-CBC'
  | 'Poly1305'
  | 'X25519'
  | 'ML-KEM-1024'
  | 'Ed25519'
  | 'randomness'

/**
 * All primitives of one platform. What returns a promise may be long, or is asynchronous on some platform; it has read
 * its keys and its content before it first yields; a buffer that is written in place is left alone until it is done.
 */
export interface Backend {
  readonly name: 'node' | 'web' | 'portable'
  /** Whose code computes what. */
  readonly providers: Readonly<Record<Primitive, string>>
  /** Whether that code runs in a mode of its own that admits approved algorithms only. */
  readonly fips: boolean

  hash(hash: HashName, parts: readonly Uint8Array[]): Bytes
  hmac(hash: HashName, key: Uint8Array, parts: readonly Uint8Array[]): Bytes
  hkdf(hash: 'sha256' | 'sha512', ikm: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Bytes

  /** AES-GCM of a short text; returns text ‖ tag. */
  gcmSeal(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, text: Uint8Array): Bytes
  /** Undefined if the tag does not hold. */
  gcmOpen(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Bytes | undefined

  /** Copies `content` into `copy` and digests the copy. */
  copyAndDigest(content: Uint8Array, copy: Uint8Array, digests: readonly ContentDigest[]): Promise<Bytes[]>
  digestContent(content: Uint8Array, digests: readonly ContentDigest[]): Promise<Bytes[]>
  /** Encrypts in place: `buffer` is text followed by 16 bytes that receive the tag. */
  gcmSealContent(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, buffer: Uint8Array): Promise<void>
  gcmOpenContent(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Promise<Bytes | undefined>
  /** AES-CTR from the given first counter block of 16 bytes, which counts in all of its 128 bits; in place. */
  ctr(key: Uint8Array, counter: Uint8Array, buffer: Uint8Array): Promise<void>
  /** AES-CBC with PKCS #7 padding. */
  cbcEncrypt(key: Uint8Array, iv: Uint8Array, text: Uint8Array): Promise<Bytes>
  /** Undefined if the padding does not hold; whoever calls this has checked a MAC before. */
  cbcDecrypt(key: Uint8Array, iv: Uint8Array, sealed: Uint8Array): Promise<Bytes | undefined>
  /** The tag of ChaCha20-Poly1305 (RFC 8439 §2.8) for no text, a zero nonce, and the parts joined as associated data. */
  chachaPolyTag(key: Uint8Array, parts: readonly Uint8Array[]): Promise<Bytes>

  readonly x25519: Kem
  readonly mlKem1024: Kem

  pbkdf2Sha512(password: Uint8Array, salt: Uint8Array, iterations: number, length: number, wait: Wait): Promise<Bytes>
  argon2id(password: Uint8Array, salt: Uint8Array, costs: Argon2Parameters, length: number, wait: Wait): Promise<Bytes>
}
