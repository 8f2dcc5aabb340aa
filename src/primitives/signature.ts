// A card (SPEC §7): the public keys by which others seal to a user and recognise what he signs.
// Ed25519 (RFC 8032), the portable code on every backend: they disagree about odd keys, and one judge is enough.
import { ed25519 } from '@noble/curves/ed25519.js'
import type { Bytes } from '../core/bytes.ts'
import { type SecretKey, withBytes } from '../core/secret.ts'

export const SIGNATURE_BYTES = 64

/** The public half (32 bytes) of a signing key, whose private half is its 32-byte seed. */
export function signingPublicKey(seed: SecretKey<'signing'>): Bytes {
  return withBytes(seed, (bytes) => ed25519.getPublicKey(bytes) as Bytes)
}

/** A signature, 64 bytes. */
export function sign(seed: SecretKey<'signing'>, message: Uint8Array): Bytes {
  return withBytes(seed, (bytes) => ed25519.sign(message, bytes) as Bytes)
}

/**
 * Whether a signature holds, strictly: public keys that are not canonical, of small order or with a part of small order are
 * refused before the signature is looked at, because one signature could hold for several messages or keys under them. So is
 * an R with a part of small order: then noble's equation with the cofactor and RFC 8032's without it say the same.
 */
export function isSignatureOf(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    const key = ed25519.Point.fromBytes(publicKey, false)
    const commitment = ed25519.Point.fromBytes(signature.subarray(0, 32), false)
    if (key.isSmallOrder() || !key.isTorsionFree() || !commitment.isTorsionFree()) return false
    return ed25519.verify(signature, message, publicKey, { zip215: false })
  } catch {
    return false
  }
}
