// The keyset as it is stored (SPEC §5): one outer layout, and for each destination the sections that may be in it. What is
// stored where is decided by these lists of fields alone: what a list does not name is not written there.
// Key pair sets: an X25519 and an ML-KEM-1024 pair that are always used under one key id (SPEC §3.1).
// A Recipient holds the public halves and can be sealed to; an Identity holds the private halves and opens.
import * as P from 'micro-packed'
import type { Decapsulator, Encapsulator } from '../primitives/backend.ts'
import { sha256 } from '../primitives/hash.ts'
import { importPrivateKey, importPublicKey, KEM_BYTES } from '../primitives/kem.ts'
import { randomBytes } from '../primitives/random.ts'
import { signingPublicKey } from '../primitives/signature.ts'
import { type Bytes, domain, equalBytes, lengthPrefixed } from './bytes.ts'
import { ownBytes, secret, within } from './codec.ts'
import { authenticationFailed } from './errors.ts'
import { SecretHolder, SecretKey } from './secret.ts'

/** Which key agreements protect a block, in order of strength. */
export const Strength = { none: 0, x25519: 1, hybrid: 2 } as const

/** The public halves of a key pair set, and the weakest blocks that its reader takes (a {@link Strength}). */
export interface PublicHalves {
  readonly minimum: number
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

export const publicHalves: P.CoderType<PublicHalves> = P.struct({
  minimum: within(P.U8, Strength.none, Strength.hybrid),
  x25519: ownBytes(32),
  mlKem1024: ownBytes(1568),
})

export const privateHalves: P.CoderType<PrivateHalves> = P.struct({
  x25519: secret('x25519', 32),
  mlKem1024: secret('ml-kem-1024', 64),
})

export const keyPair: P.CoderType<KeyPair> = P.struct({ publicHalves, privateHalves })

export const signingPair: P.CoderType<SigningPair> = P.struct({ seed: secret('signing', 32), publicKey: ownBytes(32) })

export const optionalPrivateHalves: P.CoderType<PrivateHalves | undefined> = P.optional(P.bool, privateHalves)

/** The key id of a key pair set, 16 bytes: always over both halves, so that neither can be swapped alone. */
export function publicKeyId({ x25519, mlKem1024 }: PublicHalves): Bytes {
  return sha256(domain('pk-id'), lengthPrefixed(x25519), lengthPrefixed(mlKem1024)).slice(0, 16)
}

/** Fresh key pairs, or those of the given randomness (32 and 64 bytes; for tests alone). */
export function generateKeyPair(
  minimum: number,
  scalar: Uint8Array = randomBytes(KEM_BYTES.x25519.privateKey),
  seed: Uint8Array = randomBytes(KEM_BYTES.mlKem1024.privateKey),
): KeyPair {
  const privateHalves: PrivateHalves = {
    x25519: SecretKey.take('x25519', scalar),
    mlKem1024: SecretKey.take('ml-kem-1024', seed),
  }
  const x25519 = importPrivateKey('x25519', privateHalves.x25519)
  const mlKem1024 = importPrivateKey('mlKem1024', privateHalves.mlKem1024)
  const publicHalves = { minimum, x25519: x25519.publicKey, mlKem1024: mlKem1024.publicKey }
  x25519.dispose()
  mlKem1024.dispose()
  return { publicHalves, privateHalves }
}

/** Public halves, imported and prepared once: what is sealed to them can be opened by their {@link Identity} alone. */
export class Recipient {
  readonly keyId: Bytes
  readonly publicHalves: PublicHalves
  readonly x25519: Encapsulator
  readonly mlKem1024: Encapsulator

  /** @throws KeystrataError `malformed` for keys that are none */
  constructor(publicHalves: PublicHalves) {
    this.publicHalves = publicHalves
    this.keyId = publicKeyId(publicHalves)
    this.x25519 = importPublicKey('x25519', publicHalves.x25519)
    this.mlKem1024 = importPublicKey('mlKem1024', publicHalves.mlKem1024)
  }
}

/** Private halves, imported once. */
export class Identity extends SecretHolder {
  readonly keyId: Bytes
  readonly publicHalves: PublicHalves
  readonly #x25519: Decapsulator
  readonly #mlKem1024: Decapsulator

  /** @throws KeystrataError `authentication-failed` if the halves do not belong together */
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
    const belong =
      equalBytes(x25519.publicKey, publicHalves.x25519) && equalBytes(mlKem1024.publicKey, publicHalves.mlKem1024)
    if (!belong) {
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

/** A fresh Ed25519 key pair, or that of the given seed (32 bytes; for tests alone). */
export function generateSigningPair(seed: Uint8Array = randomBytes(32)): SigningPair {
  const key = SecretKey.take('signing', seed)
  return { seed: key, publicKey: signingPublicKey(key) }
}
