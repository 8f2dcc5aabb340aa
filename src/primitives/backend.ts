// The types of the primitives that a platform provides. Each primitive has one meaning, so all platforms give the same
// bytes. choice.ts chooses among implementations. Callers outside this folder use aead.ts, cipher.ts, hash.ts, kdf.ts,
// kem.ts and password-hash.ts.
import type { Bytes } from '../core/bytes.ts'

export type HashName = 'sha256' | 'sha512'

/** A digest of content, or of content ‖ suffix. */
export interface ContentDigest {
  readonly hash: HashName | 'sha3-256'
  readonly suffix?: Uint8Array
}

/** A recipient's public key, imported once. */
export interface Encapsulator {
  /** Creates a fresh shared secret, and the ciphertext for the recipient. */
  encapsulate(): { ciphertext: Bytes; shared: Bytes }
}

/** A recipient's X25519 public key. */
export interface X25519Encapsulator extends Encapsulator {
  /** @param ephemeral the ephemeral private key, 32 bytes. Without it, a fresh one is generated */
  encapsulate(ephemeral?: Uint8Array): { ciphertext: Bytes; shared: Bytes }
}

/** A private key, imported once. */
export interface Decapsulator extends Disposable {
  readonly publicKey: Bytes
  /** Throws if the bytes cannot be a ciphertext. A wrong key gives a wrong secret, never an error. */
  decapsulate(ciphertext: Uint8Array): Bytes
  /** Wipes or drops the imported key. */
  dispose(): void
}

/** A key encapsulation mechanism. X25519 is also used as one: its ciphertext is the ephemeral public key. */
export interface Kem<E extends Encapsulator = Encapsulator> {
  encapsulator(publicKey: Uint8Array): E
  decapsulator(privateKey: Uint8Array): Decapsulator
}

export interface Argon2Parameters {
  readonly iterations: number
  readonly memoryKiB: number
  readonly lanes: number
}

/**
 * How a caller follows the progress of a long derivation, or cancels it.
 * @example
 * ```ts
 * import type { Wait } from 'keystrata'
 * import { deriveLogin } from 'keystrata/vault'
 *
 * const wait: Wait = { signal: AbortSignal.timeout(60_000) }
 * using login = await deriveLogin('correct horse', { realm: 'com.example.backup', user: 'user-4711' }, wait)
 * console.log(login.user) // user-4711
 * ```
 */
export interface Wait {
  /**
   * Called with a fraction from 0 to 1, as often as the platform reports progress. Native code calls it only at start
   * and end.
   */
  onProgress?: ((fraction: number) => void) | undefined
  /** Cancels the derivation, which then throws `aborted`. */
  signal?: AbortSignal | undefined
}

/** The names of the primitives, as a self-test reports them. */
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

// A function that returns a promise may be slow, or is asynchronous on some platform. It reads its keys and its content
// before it returns the promise. Do not touch a buffer that it writes in place until the promise settles.

export interface Hashes {
  hash(hash: HashName, parts: readonly Uint8Array[]): Bytes
}

export interface ContentHashes {
  /** Copies `content` into `copy` and digests the copy. */
  copyAndDigest(content: Uint8Array, copy: Uint8Array, digests: readonly ContentDigest[]): Promise<Bytes[]>
  digestContent(content: Uint8Array, digests: readonly ContentDigest[]): Promise<Bytes[]>
}

export interface Hmac {
  hmac(hash: HashName, key: Uint8Array, parts: readonly Uint8Array[]): Bytes
}

export interface Hkdf {
  hkdf(hash: HashName, ikm: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Bytes
}

/** AES-GCM with tags of 16 bytes. */
export interface Gcm {
  /** Seals a short text. Returns text ‖ tag. */
  gcmSeal(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, text: Uint8Array): Bytes
  /** Returns undefined if the tag is wrong. */
  gcmOpen(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Bytes | undefined
  /** Encrypts in place: `buffer` is the text, followed by 16 bytes that receive the tag. */
  gcmSealContent(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, buffer: Uint8Array): Promise<void>
  /**
   * Resolves to undefined if the tag is wrong.
   * @param into memory that the text may be written to, instead of new memory; it may be that of `sealed`
   */
  gcmOpenContent(
    key: Uint8Array,
    iv: Uint8Array,
    aad: Uint8Array,
    sealed: Uint8Array,
    into?: Bytes,
  ): Promise<Bytes | undefined>
}

export interface Ctr {
  /**
   * Encrypts or decrypts in place with AES-CTR. `counter` is the first counter block, 16 bytes. All of its 128 bits
   * count.
   */
  ctr(key: Uint8Array, counter: Uint8Array, buffer: Uint8Array): Promise<void>
}

/** AES-CBC with PKCS #7 padding. */
export interface Cbc {
  cbcEncrypt(key: Uint8Array, iv: Uint8Array, text: Uint8Array): Promise<Bytes>
  /** Resolves to undefined if the padding is wrong. The caller has checked a MAC, or compares a hash afterwards. */
  cbcDecrypt(key: Uint8Array, iv: Uint8Array, sealed: Uint8Array): Promise<Bytes | undefined>
}

export interface Poly1305 {
  /**
   * Computes the tag of ChaCha20-Poly1305 (RFC 8439 §2.8) for an empty text, a zero nonce, and the joined parts as
   * associated data.
   */
  chachaPolyTag(key: Uint8Array, parts: readonly Uint8Array[]): Promise<Bytes>
}

export interface X25519 {
  readonly x25519: Kem<X25519Encapsulator>
}

export interface MlKem1024 {
  readonly mlKem1024: Kem
}

export interface Pbkdf2 {
  pbkdf2Sha512(password: Uint8Array, salt: Uint8Array, iterations: number, length: number, wait: Wait): Promise<Bytes>
}

export interface Argon2id {
  argon2id(password: Uint8Array, salt: Uint8Array, costs: Argon2Parameters, length: number, wait: Wait): Promise<Bytes>
}

/** All primitives. */
export interface Primitives
  extends Hashes, ContentHashes, Hmac, Hkdf, Gcm, Ctr, Cbc, Poly1305, X25519, MlKem1024, Pbkdf2, Argon2id {}

/** All primitives, and whose code computes them. */
export interface Backend extends Primitives {
  readonly name: 'node' | 'web' | 'portable'
  readonly providers: Readonly<Record<Primitive, string>>
  /** Whether that code runs in its FIPS mode, which allows only approved algorithms. */
  readonly fips: boolean
}
