// Key pair sets (SPEC §3.1): an X25519 pair and an ML-KEM-1024 pair that share one key id. A Recipient holds the public
// halves and can be sealed to; an Identity holds the private halves and opens.
import { type Codec, optional, ownBytes, secret, struct, uint8, validated } from './codec.ts'
import type { Decapsulator, Encapsulator, X25519Encapsulator } from '../primitives/backend.ts'
import { sha256 } from '../primitives/hash.ts'
import { importPrivateKey, importPublicKey, KEM_BYTES } from '../primitives/kem.ts'
import { randomBytes } from '../primitives/random.ts'
import { signingPublicKey } from '../primitives/signature.ts'
import { type Bytes, copyOf, domain, equalBytes, lengthPrefixed } from './bytes.ts'
import { authenticationFailed } from './errors.ts'
import { SecretHolder, SecretKey } from './secret.ts'
import { type Method, Strength } from './suite.ts'

/** The public halves of a key pair set, and the weakest blocks that its reader accepts. */
export interface PublicHalves {
  readonly minimum: Strength
  readonly x25519: Bytes
  readonly mlKem1024: Bytes
}

export interface PrivateHalves {
  readonly x25519: SecretKey<'x25519'>
  /** The 64-byte seed d ‖ z of FIPS 203, never the expanded key. */
  readonly mlKem1024: SecretKey<'ml-kem-1024'>
}

export interface KeyPair {
  readonly publicHalves: PublicHalves
  readonly privateHalves: PrivateHalves
}

/** An Ed25519 key pair. */
export interface SigningPair {
  readonly seed: SecretKey<'signing'>
  readonly publicKey: Bytes
}

export const strength: Codec<Strength> = validated(uint8, (value) =>
  Object.values<number>(Strength).includes(value),
) as Codec<Strength>

export const publicHalves: Codec<PublicHalves> = struct({
  minimum: strength,
  x25519: ownBytes(32),
  mlKem1024: ownBytes(1568),
})

export const privateHalves: Codec<PrivateHalves> = struct({
  x25519: secret('x25519', 32),
  mlKem1024: secret('ml-kem-1024', 64),
})

export const optionalPrivateHalves: Codec<PrivateHalves | undefined> = optional(privateHalves)

export const keyPair: Codec<KeyPair> = struct({ publicHalves, privateHalves })

export const signingPair: Codec<SigningPair> = struct({ seed: secret('signing', 32), publicKey: ownBytes(32) })

/** Returns the key id of a key pair set, 16 bytes. It covers both public keys, so neither can be swapped alone. */
export function publicKeyId({ x25519, mlKem1024 }: PublicHalves): Bytes {
  return copyOf(sha256(domain('pk-id'), lengthPrefixed(x25519), lengthPrefixed(mlKem1024)).subarray(0, 16))
}

/** Returns whether two sets of public halves have the same keys. */
export function samePair(a: PublicHalves, b: PublicHalves): boolean {
  return equalBytes(a.x25519, b.x25519) && equalBytes(a.mlKem1024, b.mlKem1024)
}

/** Generates fresh key pairs. */
export function generateKeyPair(minimum: Strength): KeyPair {
  return keyPairOf(minimum, {
    x25519: SecretKey.take('x25519', randomBytes(KEM_BYTES.x25519.privateKey)),
    mlKem1024: SecretKey.take('ml-kem-1024', randomBytes(KEM_BYTES.mlKem1024.privateKey)),
  })
}

/** Derives the key pairs of these private halves, which become part of the result. */
export function keyPairOf(minimum: Strength, privateHalves: PrivateHalves): KeyPair {
  using x25519 = importPrivateKey('x25519', privateHalves.x25519)
  using mlKem1024 = importPrivateKey('mlKem1024', privateHalves.mlKem1024)
  return { publicHalves: { minimum, x25519: x25519.publicKey, mlKem1024: mlKem1024.publicKey }, privateHalves }
}

/** Public halves, imported once. Only the matching {@link Identity} opens what is sealed to them. */
export class Recipient implements Readonly<Record<Method, Encapsulator>> {
  readonly keyId: Bytes
  readonly publicHalves: PublicHalves
  readonly x25519: X25519Encapsulator
  readonly mlKem1024: Encapsulator

  /**
   * Imports the public halves.
   * @throws KeystrataError `malformed` if the public keys are invalid
   */
  constructor(publicHalves: PublicHalves) {
    this.publicHalves = publicHalves
    this.keyId = publicKeyId(publicHalves)
    this.x25519 = importPublicKey('x25519', publicHalves.x25519)
    this.mlKem1024 = importPublicKey('mlKem1024', publicHalves.mlKem1024)
  }
}

/** Private halves, imported once. They open what is sealed to the matching {@link Recipient}. */
export class Identity extends SecretHolder implements Readonly<Record<Method, Decapsulator>> {
  readonly keyId: Bytes
  readonly publicHalves: PublicHalves
  readonly #x25519: Decapsulator
  readonly #mlKem1024: Decapsulator

  /**
   * Imports the private halves, and compares them with the public halves.
   * @throws KeystrataError `authentication-failed` if the public and private halves do not match
   */
  constructor({ publicHalves, privateHalves }: KeyPair) {
    const x25519 = importPrivateKey('x25519', privateHalves.x25519)
    const mlKem1024 = importPrivateKey('mlKem1024', privateHalves.mlKem1024)
    super('identity', () => {
      x25519.dispose()
      mlKem1024.dispose()
    })
    this.#x25519 = x25519
    this.#mlKem1024 = mlKem1024
    this.publicHalves = publicHalves
    this.keyId = publicKeyId(publicHalves)
    const { minimum } = publicHalves
    if (!samePair({ minimum, x25519: x25519.publicKey, mlKem1024: mlKem1024.publicKey }, publicHalves)) {
      this.dispose()
      throw authenticationFailed()
    }
  }

  get x25519(): Decapsulator {
    this.assertUsable()
    return this.#x25519
  }

  get mlKem1024(): Decapsulator {
    this.assertUsable()
    return this.#mlKem1024
  }
}

/** Generates a fresh Ed25519 key pair. */
export function generateSigningPair(): SigningPair {
  return signingPairOf(SecretKey.take('signing', randomBytes(32)))
}

/** Derives the key pair of this seed, which becomes part of the result. */
export function signingPairOf(seed: SecretKey<'signing'>): SigningPair {
  return { seed, publicKey: signingPublicKey(seed) }
}
