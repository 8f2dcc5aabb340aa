// AES-CTR and AES-CBC (SP 800-38A) and the Poly1305 of ChaCha20-Poly1305 (RFC 8439): parts of the encrypt-then-MAC
// schemes in vault/block.ts and keyset/pack.ts. None of them may be used alone.
import { allocate, type Bytes } from '../core/bytes.ts'
import { type SecretKey, withBytes } from '../core/secret.ts'
import type { Cbc, Ctr, Poly1305 } from './backend.ts'
import { choose } from './choice.ts'
import { nodeCbc, nodeCtr, nodePoly1305 } from './node-ciphers.ts'
import { portableCbc, portableCtr, portablePoly1305 } from './portable.ts'
import { webCbc, webCtr } from './web.ts'

export const ctr: () => Ctr = choose(nodeCtr, webCtr, portableCtr)
export const cbc: () => Cbc = choose(nodeCbc, webCbc, portableCbc)
export const poly1305: () => Poly1305 = choose(nodePoly1305, portablePoly1305)

/** The first counter block. Every implementation copies it. */
const ZERO_BLOCK = /* @__PURE__ */ allocate(16)

/** Encrypts or decrypts in place, from counter block 0. So `key` must encrypt only one text. */
export function ctrInPlace(key: SecretKey<'cipher'>, buffer: Uint8Array): Promise<void> {
  return withBytes(key, (bytes) => ctr().ctr(bytes, ZERO_BLOCK, buffer))
}

/** Computes the tag over the joined parts, 16 bytes. `key` must authenticate only one message. */
export function chachaPolyTag(key: SecretKey<'mac'>, parts: readonly Uint8Array[]): Promise<Bytes> {
  return withBytes(key, (bytes) => poly1305().chachaPolyTag(bytes, parts))
}

/** Encrypts with PKCS #7 padding and a zero IV. So `key` must encrypt only one text. */
export function cbcEncrypt(key: SecretKey<'cipher' | 'member'>, text: Uint8Array): Promise<Bytes> {
  return withBytes(key, (bytes) => cbc().cbcEncrypt(bytes, allocate(16), text))
}

/** Resolves to undefined if the padding is wrong. The caller must report it like any other fault. */
export function cbcDecrypt(key: SecretKey<'cipher' | 'member'>, sealed: Uint8Array): Promise<Bytes | undefined> {
  return withBytes(key, (bytes) => cbc().cbcDecrypt(bytes, allocate(16), sealed))
}
