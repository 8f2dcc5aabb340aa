// Ed25519 (RFC 8032), with the portable code on every backend: implementations disagree about unusual keys, so only one
// decides.
import { ed25519 } from '@noble/curves/ed25519.js'
import { type Bytes, copyOf, equalBytes } from '../core/bytes.ts'
import { type SecretKey, withBytes } from '../core/secret.ts'

export const SIGNATURE_BYTES = 64

/** Derives the public half (32 bytes) of a signing key, whose private half is its 32-byte seed. */
export function signingPublicKey(seed: SecretKey<'signing'>): Bytes {
  return withBytes(seed, (bytes) => ed25519.getPublicKey(bytes) as Bytes)
}

/** Signs a message. The signature has 64 bytes. */
export function sign(seed: SecretKey<'signing'>, message: Uint8Array): Bytes {
  return withBytes(seed, (bytes) => ed25519.sign(message, bytes) as Bytes)
}

/**
 * Returns whether a signature is valid, by strict rules. Public keys that are not canonical, of small order, or with a
 * part of small order are refused before the signature is looked at: under such keys one signature could be valid for
 * several messages or keys. An R with a part of small order is refused too. Without such an R, noble's equation (with
 * the cofactor) and RFC 8032's (without it) give the same answer.
 */
export function isSignatureOf(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    if (!isAccepted(publicKey)) return false
    const commitment = ed25519.Point.fromBytes(signature.subarray(0, 32), false)
    return commitment.isTorsionFree() && ed25519.verify(signature, message, publicKey, { zip215: false })
  } catch {
    return false
  }
}

/** The key that was accepted last. Records of a log are verified one after the other, and the check takes long. */
let accepted: Uint8Array | undefined

function isAccepted(publicKey: Uint8Array): boolean {
  if (accepted !== undefined && equalBytes(accepted, publicKey)) return true
  const key = ed25519.Point.fromBytes(publicKey, false)
  if (key.isSmallOrder() || !key.isTorsionFree()) return false
  accepted = copyOf(publicKey)
  return true
}
