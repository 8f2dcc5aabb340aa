// The two key agreements of a keyset: X25519 (RFC 7748) and ML-KEM-1024 (FIPS 203, the standardised Kyber-1024). Both
// have the interface of a KEM. Their secrets are never used raw: core/agreement.ts combines them.
import { type Bytes, bytesFrom, wipe } from '../core/bytes.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { type SecretKey, withBytes } from '../core/secret.ts'
import type { Decapsulator, Encapsulator, Kem, MlKem1024, X25519, X25519Encapsulator } from './backend.ts'
import { choose } from './choice.ts'
import { nodeMlKem1024, nodeX25519 } from './node-kem.ts'
import { portableMlKem1024, portableX25519 } from './portable.ts'

export const x25519: () => X25519 = choose(nodeX25519, portableX25519)
export const mlKem1024: () => MlKem1024 = choose(nodeMlKem1024, portableMlKem1024)

/** Sizes in bytes. A private key of ML-KEM-1024 is its seed d ‖ z, never the expanded key. */
export const KEM_BYTES = {
  x25519: { publicKey: 32, privateKey: 32, ciphertext: 32 },
  mlKem1024: { publicKey: 1568, privateKey: 64, ciphertext: 1568 },
} as const

interface Encapsulators {
  readonly x25519: X25519Encapsulator
  readonly mlKem1024: Encapsulator
}

type KemName = keyof Encapsulators

const kems: { readonly [Name in KemName]: () => Kem<Encapsulators[Name]> } = {
  x25519: () => x25519().x25519,
  mlKem1024: () => mlKem1024().mlKem1024,
}

/**
 * Returns whether the other side contributed to the secret. If the secret is all zero, it sent a point of low order and
 * contributed nothing (RFC 7748 §6.1).
 */
function isContributory(shared: Uint8Array): boolean {
  return shared.reduce((all, byte) => all | byte, 0) !== 0
}

/**
 * Imports a recipient's public key.
 * @throws KeystrataError `malformed` if the key is invalid: out of range (FIPS 203 §7.2) or of low order
 */
export function importPublicKey<Name extends KemName>(kem: Name, publicKey: Uint8Array): Encapsulators[Name] {
  bytesFrom(publicKey, `${kem} public key`, KEM_BYTES[kem].publicKey)
  try {
    const encapsulator = kems[kem]().encapsulator(publicKey)
    // Only an agreement reveals a key of low order. Compute one now, so that the error does not come in the middle of a
    // backup.
    if (kem === 'x25519') {
      const { shared } = encapsulator.encapsulate()
      if (!isContributory(shared)) throw new RangeError('low order')
      wipe(shared)
    }
    return encapsulator
  } catch {
    throw new KeystrataError('malformed', `this is not a valid ${kem} public key`, { object: 'public key', field: kem })
  }
}

export function importPrivateKey(kem: KemName, key: SecretKey<'x25519' | 'ml-kem-1024'>): Decapsulator {
  return withBytes(key, (bytes) => {
    bytesFrom(bytes, `${kem} private key`, KEM_BYTES[kem].privateKey)
    return kems[kem]().decapsulator(bytes)
  })
}

/**
 * Recovers the shared secret from a ciphertext. A wrong key gives a wrong secret, never an error.
 * @throws KeystrataError `authentication-failed` if the ciphertext is one that no honest sender writes
 */
export function decapsulate(decapsulator: Decapsulator, ciphertext: Uint8Array): Bytes {
  let shared: Bytes
  try {
    shared = decapsulator.decapsulate(ciphertext)
  } catch {
    throw authenticationFailed()
  }
  if (!isContributory(shared)) throw authenticationFailed()
  return shared
}
