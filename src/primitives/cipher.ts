// AES-CTR and AES-CBC (SP 800-38A) and the Poly1305 of ChaCha20-Poly1305 (RFC 8439): parts of an encrypt-then-MAC that
// blocks/vault-block.ts and blocks/pack.ts put together. None is of use alone.
import type { Bytes } from '../core/bytes.ts'
import { type SecretKey, withBytes } from '../core/secret.ts'
import { backend } from './choice.ts'

/** Encrypts or decrypts in place, from counter block 0; so `key` must belong to one text alone. */
export function ctrInPlace(key: SecretKey<'cipher'>, buffer: Uint8Array): Promise<void> {
  return withBytes(key, (bytes) => backend().ctr(bytes, new Uint8Array(16), buffer))
}

/** The tag over the parts joined, 16 bytes; `key` must belong to one message alone. */
export function chachaPolyTag(key: SecretKey<'mac'>, parts: readonly Uint8Array[]): Promise<Bytes> {
  return withBytes(key, (bytes) => backend().chachaPolyTag(bytes, parts))
}

/** PKCS #7 padding and a zero IV; so `key` must belong to one text alone. */
export function cbcEncrypt(key: SecretKey<'cipher' | 'member'>, text: Uint8Array): Promise<Bytes> {
  return withBytes(key, (bytes) => backend().cbcEncrypt(bytes, new Uint8Array(16), text))
}

/** Undefined for a padding that does not hold: whoever calls this gives it the same answer as to any other fault. */
export function cbcDecrypt(key: SecretKey<'cipher' | 'member'>, sealed: Uint8Array): Promise<Bytes | undefined> {
  return withBytes(key, (bytes) => backend().cbcDecrypt(bytes, new Uint8Array(16), sealed))
}
