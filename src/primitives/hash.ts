// Hashes and MACs: SHA-2 and SHA-3 (FIPS 180-4, 202), HMAC (RFC 2104).
import type { Bytes } from '../core/bytes.ts'
import { type Role, type SecretKey, withBytes } from '../core/secret.ts'
import type { ContentDigest, ContentHashes, Hashes, Hmac } from './backend.ts'
import { choose } from './choice.ts'
import { nodeContentHashes, nodeHashes, nodeHmac } from './node.ts'
import { portableContentHashes, portableHashes, portableHmac } from './portable.ts'
import { webContentHashes } from './web.ts'

export const hashes: () => Hashes = choose(nodeHashes, portableHashes)
export const contentHashes: () => ContentHashes = choose(nodeContentHashes, webContentHashes, portableContentHashes)
export const hmac: () => Hmac = choose(nodeHmac, portableHmac)

export function sha256(...parts: readonly Uint8Array[]): Bytes {
  return hashes().hash('sha256', parts)
}

export function sha512(...parts: readonly Uint8Array[]): Bytes {
  return hashes().hash('sha512', parts)
}

export function hmacSha256(key: SecretKey<Role>, ...parts: readonly Uint8Array[]): Bytes {
  return withBytes(key, (bytes) => hmac().hmac('sha256', bytes, parts))
}

export function hmacSha512(key: SecretKey<Role>, ...parts: readonly Uint8Array[]): Bytes {
  return withBytes(key, (bytes) => hmac().hmac('sha512', bytes, parts))
}

/** Computes digests of content, which may be large. */
export function digestContent(content: Uint8Array, digests: readonly ContentDigest[]): Promise<Bytes[]> {
  return contentHashes().digestContent(content, digests)
}

/**
 * Copies `content` into `copy`, which has the same length, and digests the copy. All of `content` is read before the
 * promise is returned, so later changes by its owner cannot make the digest and the copy differ.
 */
export function copyAndDigest(
  content: Uint8Array,
  copy: Uint8Array,
  digests: readonly ContentDigest[],
): Promise<Bytes[]> {
  // Content that is already in place needs no copy.
  return content === copy ? digestContent(content, digests) : contentHashes().copyAndDigest(content, copy, digests)
}
