// Ed25519 (RFC 8032), the portable code on every backend: they disagree about odd keys, and one judge is enough.
import { ed25519 } from '@noble/curves/ed25519.js'
import type { Bytes } from '../bytes.ts'
import { type SecretKey, withBytes } from '../secret.ts'

/** The public half (32 bytes) of a signing key, whose private half is its 32-byte seed. */
export function signingPublicKey(seed: SecretKey<'signing'>): Bytes {
  return withBytes(seed, (bytes) => ed25519.getPublicKey(bytes) as Bytes)
}
