// AES-CTR (SP 800-38A) and the Poly1305 of ChaCha20-Poly1305 (RFC 8439): the halves of an encrypt-then-MAC that
// blocks/vault-block.ts puts together. Neither is of use alone.
import type { Bytes } from '../bytes.ts'
import { type SecretKey, withBytes } from '../secret.ts'
import { backend } from './backend.ts'

/** Encrypts or decrypts in place, from counter block 0; so `key` must belong to one text alone. */
export function ctrInPlace(key: SecretKey<'cipher'>, buffer: Uint8Array): Promise<void> {
  return withBytes(key, (bytes) => backend().ctr(bytes, new Uint8Array(16), buffer))
}

/** The tag over the parts joined, 16 bytes; `key` must belong to one message alone. */
export function chachaPolyTag(key: SecretKey<'mac'>, parts: readonly Uint8Array[]): Promise<Bytes> {
  return withBytes(key, (bytes) => backend().chachaPolyTag(bytes, parts))
}
