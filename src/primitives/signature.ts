// Ed25519 (RFC 8032), with the portable code on every backend: implementations disagree about unusual keys, so only one
// decides.
import { ed25519 } from '@noble/curves/ed25519.js'
import { type Bytes, equalBytes, toHex } from '../core/bytes.ts'
import { type SecretKey, withBytes } from '../core/secret.ts'
import { sha512 } from './hash.ts'

export const SIGNATURE_BYTES = 64

/** Derives the public half (32 bytes) of a signing key, whose private half is its 32-byte seed. */
export function signingPublicKey(seed: SecretKey<'signing'>): Bytes {
  return withBytes(seed, (bytes) => ed25519.getPublicKey(bytes) as Bytes)
}

/** Signs a message. The signature has 64 bytes. */
export function sign(seed: SecretKey<'signing'>, message: Uint8Array): Bytes {
  return withBytes(seed, (bytes) => ed25519.sign(message, bytes) as Bytes)
}

type Point = InstanceType<typeof ed25519.Point>

/**
 * Returns whether a signature is valid, by strict rules. Public keys that are not canonical, of small order, or with a
 * part of small order are refused before the signature is looked at: under such keys one signature could be valid for
 * several messages or keys. The equation is the one without the cofactor (RFC 8032, section 5.1.7, at the end). Under such
 * a key it holds for no R with a part of small order, and for all others it gives the same answer as the one with the
 * cofactor.
 */
export function isSignatureOf(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    const key = acceptedKey(publicKey)
    if (key === undefined || signature.length !== SIGNATURE_BYTES) return false
    const { BASE, Fn } = ed25519.Point
    const [R, S] = [signature.subarray(0, 32), littleEndian(signature.subarray(32))]
    if (S >= Fn.ORDER) return false
    const challenge = littleEndian(sha512(R, publicKey, message)) % Fn.ORDER
    const expected = BASE.multiplyUnsafe(S).subtract(key.multiplyUnsafe(challenge))
    return expected.equals(ed25519.Point.fromBytes(R, false))
  } catch {
    return false
  }
}

/** The key that was accepted last. Records of a log are verified one after the other, and the checks take long. */
let accepted: { readonly bytes: Uint8Array; readonly point: Point } | undefined

/** Returns a public key as a point, or undefined if it must not be used. */
function acceptedKey(publicKey: Uint8Array): Point | undefined {
  if (accepted !== undefined && equalBytes(accepted.bytes, publicKey)) return accepted.point
  const point = ed25519.Point.fromBytes(publicKey, false)
  if (point.isSmallOrder() || !point.isTorsionFree()) return undefined
  accepted = { bytes: new Uint8Array(publicKey), point }
  return point
}

const littleEndian = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(new Uint8Array(bytes).reverse())}`)
