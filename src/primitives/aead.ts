// AES-GCM (SP 800-38D) with 96-bit IVs and 128-bit tags. It does not commit to its key: core/wrap.ts adds a commitment.
import type { Bytes } from '../core/bytes.ts'
import { authenticationFailed } from '../core/errors.ts'
import { type Role, type SecretKey, withBytes } from '../core/secret.ts'
import type { Gcm } from './backend.ts'
import { choose } from './choice.ts'
import { nodeGcm } from './node-ciphers.ts'
import { portableGcm } from './portable.ts'
import { webGcm } from './web.ts'

export const gcm: () => Gcm = choose(nodeGcm, webGcm, portableGcm)

const GCM_TAG_BYTES = 16

export function gcmSeal(key: SecretKey<Role>, iv: Uint8Array, aad: Uint8Array, text: Uint8Array): Bytes {
  return withBytes(key, (bytes) => gcm().gcmSeal(bytes, iv, aad, text))
}

/**
 * Opens a short text.
 * @throws KeystrataError `authentication-failed` if the tag is wrong
 */
export function gcmOpen(key: SecretKey<Role>, iv: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Bytes {
  if (sealed.length < GCM_TAG_BYTES) throw authenticationFailed()
  const text = withBytes(key, (bytes) => gcm().gcmOpen(bytes, iv, aad, sealed))
  if (text === undefined) throw authenticationFailed()
  return text
}

/** Encrypts content in place: `buffer` holds the text, then 16 bytes of room for the tag. */
export function gcmSealContent(
  key: SecretKey<Role>,
  iv: Uint8Array,
  aad: Uint8Array,
  buffer: Uint8Array,
): Promise<void> {
  return withBytes(key, (bytes) => gcm().gcmSealContent(bytes, iv, aad, buffer))
}

/**
 * Decrypts content after checking its tag.
 * @param into memory of the length of the text, for platforms that can use it; it may be that of `sealed`
 * @throws KeystrataError `authentication-failed` if the tag is wrong
 */
export async function gcmOpenContent(
  key: SecretKey<Role>,
  iv: Uint8Array,
  aad: Uint8Array,
  sealed: Uint8Array,
  into?: Bytes,
): Promise<Bytes> {
  if (sealed.length < GCM_TAG_BYTES) throw authenticationFailed()
  const text = await withBytes(key, (bytes) => gcm().gcmOpenContent(bytes, iv, aad, sealed, into))
  if (text === undefined) throw authenticationFailed()
  return text
}
