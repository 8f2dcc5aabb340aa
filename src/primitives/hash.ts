// Hashes and MACs: SHA-2 and SHA-3 (FIPS 180-4, 202), HMAC (RFC 2104).
import type { Bytes } from '../core/bytes.ts'
import { type Role, type SecretKey, withBytes } from '../core/secret.ts'
import type { ContentDigest } from './backend.ts'
import { backend } from './choice.ts'

export function sha256(...parts: readonly Uint8Array[]): Bytes {
  return backend().hash('sha256', parts)
}

export function sha512(...parts: readonly Uint8Array[]): Bytes {
  return backend().hash('sha512', parts)
}

export function hmacSha256(key: SecretKey<Role>, ...parts: readonly Uint8Array[]): Bytes {
  return withBytes(key, (bytes) => backend().hmac('sha256', bytes, parts))
}

export function hmacSha512(key: SecretKey<Role>, ...parts: readonly Uint8Array[]): Bytes {
  return withBytes(key, (bytes) => backend().hmac('sha512', bytes, parts))
}

/** Digests of content, which may be large. */
export function digestContent(content: Uint8Array, digests: readonly ContentDigest[]): Promise<Bytes[]> {
  return backend().digestContent(content, digests)
}

/**
 * Copies `content` into `copy`, which is as long, and digests the copy. All of `content` is read before this first
 * yields, so that nothing its owner does afterwards can make the digest and the copy differ.
 */
export function copyAndDigest(
  content: Uint8Array,
  copy: Uint8Array,
  digests: readonly ContentDigest[],
): Promise<Bytes[]> {
  // What was copied before needs no copy.
  return content === copy ? backend().digestContent(content, digests) : backend().copyAndDigest(content, copy, digests)
}
