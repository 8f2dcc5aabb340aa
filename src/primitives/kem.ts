// The two key agreements of a keyset: X25519 (RFC 7748) and ML-KEM-1024 (FIPS 203, the standardised Kyber-1024).
// Both look like a KEM. Neither is used alone or raw: keys/agreement.ts combines them.
import { type Bytes, bytesFrom, wipe } from '../core/bytes.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { type SecretKey, withBytes } from '../core/secret.ts'
import type { Decapsulator, Encapsulator } from './backend.ts'
import { backend } from './choice.ts'

/** Sizes in bytes. A private key of ML-KEM-1024 is its seed d ‖ z, never the expanded key. */
export const KEM_BYTES = {
  x25519: { publicKey: 32, privateKey: 32, ciphertext: 32 },
  mlKem1024: { publicKey: 1568, privateKey: 64, ciphertext: 1568 },
} as const

type KemName = keyof typeof KEM_BYTES

/** RFC 7748 §6.1: an all-zero secret means a point of low order, to which nobody contributed. */
function isContributory(shared: Uint8Array): boolean {
  return shared.reduce((all, byte) => all | byte, 0) !== 0
}

/**
 * Imports a recipient's public key.
 * @throws KeystrataError `malformed` for a key that is none: out of range (FIPS 203 §7.2) or of low order.
 */
export function importPublicKey(kem: KemName, publicKey: Uint8Array): Encapsulator {
  bytesFrom(publicKey, `${kem} public key`, KEM_BYTES[kem].publicKey)
  try {
    const encapsulator = backend()[kem].encapsulator(publicKey)
    // Low order shows in an agreement only; one made here for nothing keeps it from showing in the middle of a backup.
    if (kem === 'x25519') {
      const { shared } = encapsulator.encapsulate()
      if (!isContributory(shared)) throw new RangeError('low order')
      wipe(shared)
    }
    return encapsulator
  } catch {
    throw new KeystrataError('malformed', `not a public key of ${kem}`, { field: kem })
  }
}

export function importPrivateKey(kem: KemName, key: SecretKey<'x25519' | 'ml-kem-1024'>): Decapsulator {
  return withBytes(key, (bytes) => {
    bytesFrom(bytes, `${kem} private key`, KEM_BYTES[kem].privateKey)
    return backend()[kem].decapsulator(bytes)
  })
}

/** @throws KeystrataError `authentication-failed` for what no honest sender writes; a wrong key shows only later. */
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
