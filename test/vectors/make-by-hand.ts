// Makes objects byte by byte, as SPEC.md says, also such as no writer makes: with one fault under right MACs, signatures and
// checksums, so that nothing but the check of that fault can reject them.
import * as crypto from 'node:crypto'
import { ed25519 } from '@noble/curves/ed25519.js'
import { cat, D, EMPTY, hash, KDF, LP, u8 } from '../spec-reader.ts'
import { keyIdOf, u32 } from '../spec-reader-vault.ts'

export const u16 = (value: number): Buffer => u32(value).subarray(2)
export const NOBODY: Buffer = Buffer.alloc(16)
export const text = (value: string): Buffer => Buffer.from(value, 'utf8')
/** A name, with the length before it. */
export const named = (value: string | Uint8Array): Buffer => {
  const bytes = typeof value === 'string' ? text(value) : value
  return cat(u16(bytes.length), bytes)
}

export interface HeaderFields {
  magic?: string
  version?: number
  generation?: number
  flags?: number
  keyId?: Uint8Array
  ownerId?: Uint8Array
}

/** SPEC §2 */
export function header(type: number, suite: number, fields: HeaderFields = {}): Buffer {
  const { magic = 'KSTR', version = 1, generation = 0, flags = 0, keyId = NOBODY, ownerId = NOBODY } = fields
  return cat(text(magic), u8(version), u8(type), u16(suite), u32(generation), u32(flags), keyId, ownerId)
}

/** Puts the checksum of §9.2 behind an object. */
export const summed = (...parts: Uint8Array[]): Buffer => cat(...parts, hash('sha256', ...parts).subarray(0, 8))

export function gcm(key: Uint8Array, iv: Uint8Array, P: Uint8Array, aad: Uint8Array): Buffer {
  const cipher = crypto.createCipheriv(`aes-${8 * key.length}-gcm` as crypto.CipherGCMTypes, key, iv)
  cipher.setAAD(aad)
  return cat(cipher.update(P), cipher.final(), cipher.getAuthTag())
}

/** SPEC §4.1: c, and ct ‖ tag. `aad` is made from c. */
export function lock(
  key: Buffer,
  n: Buffer,
  label: string,
  context: Buffer[],
  P: Uint8Array,
  aad: (c: Buffer) => Buffer,
  size = 32,
): { c: Buffer; sealed: Buffer } {
  const keys = KDF(key, n, label, context, size + 32)
  const c = keys.subarray(size)
  const iv = n.length > 0 ? n.subarray(0, 12) : Buffer.alloc(12)
  return { c, sealed: gcm(keys.subarray(0, size), iv, P, aad(c)) }
}

const N: Buffer = Buffer.alloc(32, 0x6e)

/** SPEC §4.2: a WRAP. Its header is authentic, whatever it says. */
export function wrap(
  W: Buffer,
  type: number,
  P: Uint8Array,
  { context = EMPTY, suite = 0x0401, ...fields }: HeaderFields & { context?: Buffer; suite?: number } = {},
): Buffer {
  const head = header(type, suite, { keyId: keyIdOf(W), ...fields })
  const aad = (c: Buffer) => cat(D('aad'), head, LP(cat(N, c)), LP(context))
  const { c, sealed } = lock(W, N, 'wrap', [u8(type)], P, aad)
  return cat(head, N, c, sealed)
}

export const signedBy = (seed: Uint8Array, ...message: Uint8Array[]): Buffer =>
  Buffer.from(ed25519.sign(cat(...message), seed))
export const publicKeyOf = (seed: Uint8Array): Buffer => Buffer.from(ed25519.getPublicKey(seed))

const ORDER = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n
const numberOf = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
const bytesOf = (value: bigint) => Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse()

/** The same signature with the scalar s + L: RFC 8032 refuses it, and a verifier that reduces s does not. */
export function unreduced(signature: Uint8Array): Buffer {
  return cat(signature.subarray(0, 32), bytesOf(numberOf(signature.subarray(32)) + ORDER))
}
