// Envelopes of blocks: small, stored in front of a ciphertext that never changes. A keyset's (SPEC §6.1) is replaced by
// rekeying; a vault's (SPEC §11) and a client's (SPEC §13) stay.
import * as P from 'micro-packed'
import { type Bytes, concat } from '../bytes.ts'
import { KeystrataError } from '../errors.ts'
import { decode, encode } from './codec.ts'
import { assertKnown, type Header, HEADER_BYTES, ObjectType, parseHeader, Suite } from './header.ts'

/** How the key of a block came about, and with it how equal contents meet. */
export const Mode = { scoped: 1, global: 2, off: 3, none: 4 } as const
export type Mode = (typeof Mode)[keyof typeof Mode]
export type EncryptedMode = Exclude<Mode, typeof Mode.none>

export const MAX_CONTENT_BYTES: number = 64 * 1024 * 1024

/** What stands before and after the encrypted content in the ciphertext of each mode (SPEC §6.2). */
export const FRAME_BYTES: Readonly<Record<Mode, { before: number; after: number }>> = {
  [Mode.scoped]: { before: 32, after: 16 },
  [Mode.global]: { before: 0, after: 16 },
  [Mode.off]: { before: 64, after: 16 },
  [Mode.none]: { before: 0, after: 0 },
}
export const MAX_CIPHERTEXT_BYTES: number = MAX_CONTENT_BYTES + 80

const TAG_BYTES = 32

/** What a key agreement leaves in the object that it opens. */
export interface AgreementParts {
  /** The ephemeral X25519 public key, 32 bytes. */
  readonly ephemeral: Uint8Array
  /** The ML-KEM-1024 ciphertext, 1,568 bytes; empty with X25519 alone. */
  readonly encapsulated: Uint8Array
}

interface EncryptedEnvelope extends AgreementParts {
  readonly headerBytes: Uint8Array
  readonly mode: EncryptedMode
  readonly mask: Uint8Array
  readonly tag: Uint8Array
}

/** An envelope as it is stored; `encrypted` is absent where the content is not. */
export interface Envelope {
  readonly header: Header
  readonly encrypted?: EncryptedEnvelope & {
    /** Every byte in front of the tag. */
    readonly tagged: Uint8Array
  }
}

const KEYSET_SUITES = [Suite.none, Suite.x25519, Suite.hybrid]
const LENGTHS: Readonly<Record<number, number>> = {
  [Suite.none]: 49,
  [Suite.x25519]: 145,
  [Suite.hybrid]: 1713,
  [Suite.vault]: 128,
  [Suite.aes128]: 112,
  [Suite.aes192]: 112,
  [Suite.aes256]: 112,
  [Suite.des56]: 88,
}
const CLIENT_SUITES = [Suite.aes128, Suite.aes192, Suite.aes256]
const MAX_ENVELOPE_BYTES = 1713

const encryptedEnvelope = (encapsulatedBytes: number): P.CoderType<EncryptedEnvelope> =>
  P.struct({
    headerBytes: P.bytes(HEADER_BYTES),
    ephemeral: P.bytes(32),
    encapsulated: P.bytes(encapsulatedBytes),
    mode: P.U8 as P.CoderType<EncryptedMode>,
    mask: P.bytes(32),
    tag: P.bytes(TAG_BYTES),
  })

const layouts: Readonly<Record<number, P.CoderType<EncryptedEnvelope>>> = {
  [Suite.x25519]: encryptedEnvelope(0),
  [Suite.hybrid]: encryptedEnvelope(1568),
}

const plainEnvelope = P.struct({ headerBytes: P.bytes(HEADER_BYTES), mode: P.U8 })

/** The length of the envelope, of whatever key model, that `bytes` begin with. */
export function envelopeLength(bytes: Uint8Array): number {
  const { suite } = parseHeader(bytes, 'envelope', ObjectType.envelope, [
    ...KEYSET_SUITES,
    Suite.vault,
    ...CLIENT_SUITES,
    Suite.des56,
  ])
  return LENGTHS[suite] ?? MAX_ENVELOPE_BYTES
}

/**
 * Reads from a copy, which is made once the length is known to be one.
 * @throws KeystrataError `malformed`, `unsupported`
 */
export function parseEnvelope(stored: Uint8Array): Envelope {
  const bytes = copyOfEnvelope(stored)
  const header = parseHeader(bytes, 'envelope', ObjectType.envelope, KEYSET_SUITES)
  const layout = layouts[header.suite]
  if (layout === undefined) return { header: parsePlain(bytes, header) }
  const encrypted = decode(layout, bytes, 'envelope')
  assertKnown('mode', encrypted.mode, [Mode.scoped, Mode.global, Mode.off], 'envelope')
  return { header, encrypted: { ...encrypted, tagged: bytes.subarray(0, -TAG_BYTES) } }
}

function copyOfEnvelope(stored: Uint8Array): Bytes {
  if (stored.length <= MAX_ENVELOPE_BYTES) return new Uint8Array(stored)
  throw new KeystrataError('malformed', 'too long for an envelope', { bytes: stored.length })
}

/** The envelope with room for its tag, which is computed over everything before it. */
export function encodeEnvelope(
  headerBytes: Uint8Array,
  suite: number,
  fields: Omit<EncryptedEnvelope, 'headerBytes' | 'tag'>,
): Bytes {
  const layout = layouts[suite]
  if (layout === undefined) throw new KeystrataError('unsupported', `no envelope of suite ${suite}`)
  return encode(layout, { headerBytes, ...fields, tag: new Uint8Array(TAG_BYTES) })
}

export function encodePlainEnvelope(headerBytes: Uint8Array): Bytes {
  return concat(headerBytes, Uint8Array.of(Mode.none))
}

/** The envelope of a vault's block. */
export interface VaultEnvelope {
  readonly headerBytes: Uint8Array
  /** n, 32 random bytes. */
  readonly nonce: Uint8Array
  /** c, 32 bytes that commit to the key. */
  readonly commitment: Uint8Array
  readonly tag: Uint8Array
}

export const vaultEnvelope: P.CoderType<VaultEnvelope> = P.struct({
  headerBytes: P.bytes(HEADER_BYTES),
  nonce: P.bytes(32),
  commitment: P.bytes(32),
  tag: P.bytes(16),
})

/**
 * Reads from a copy.
 * @throws KeystrataError `malformed`, `unsupported`
 */
export function parseVaultEnvelope(stored: Uint8Array): VaultEnvelope & { readonly header: Header } {
  const bytes = copyOfEnvelope(stored)
  const header = parseHeader(bytes, 'envelope', ObjectType.envelope, [Suite.vault])
  return { ...decode(vaultEnvelope, bytes, 'envelope'), header }
}

/** The envelope of an encrypted block of a client. */
export interface ClientEnvelope {
  readonly headerBytes: Uint8Array
  /** n, 32 bytes: random, or of the content. */
  readonly nonce: Uint8Array
  /** c, 32 bytes that commit to the key. */
  readonly commitment: Uint8Array
}

export const clientEnvelope: P.CoderType<ClientEnvelope> = P.struct({
  headerBytes: P.bytes(HEADER_BYTES),
  nonce: P.bytes(32),
  commitment: P.bytes(32),
})

/** The envelope of a block under DES-56. */
export interface LegacyEnvelope {
  readonly headerBytes: Uint8Array
  /** 8 random bytes. */
  readonly iv: Uint8Array
  /** HMAC-SHA-256, 32 bytes. */
  readonly tag: Uint8Array
}

export const legacyEnvelope: P.CoderType<LegacyEnvelope> = P.struct({
  headerBytes: P.bytes(HEADER_BYTES),
  iv: P.bytes(8),
  tag: P.bytes(32),
})

/** What encrypts a block of a client: one of the two, or nothing where it is public. */
export interface ClientEncryption {
  readonly encrypted?: ClientEnvelope
  readonly legacy?: LegacyEnvelope
}

/**
 * Reads from a copy.
 * @param reader `des`: whether it is of a client whose key is of type DES-56
 * @throws KeystrataError `malformed`, `unsupported`
 */
export function parseClientEnvelope(
  stored: Uint8Array,
  { des }: { readonly des: boolean },
): ClientEncryption & { readonly header: Header } {
  const bytes = copyOfEnvelope(stored)
  const suites = [Suite.none, ...CLIENT_SUITES, ...(des ? [Suite.des56] : [])]
  const header = parseHeader(bytes, 'envelope', ObjectType.envelope, suites)
  if (header.suite === Suite.none) return { header: parsePlain(bytes, header) }
  if (header.suite === Suite.des56) return { header, legacy: decode(legacyEnvelope, bytes, 'envelope') }
  return { header, encrypted: decode(clientEnvelope, bytes, 'envelope') }
}

function parsePlain(bytes: Uint8Array, header: Header): Header {
  assertKnown('mode', decode(plainEnvelope, bytes, 'envelope').mode, [Mode.none], 'envelope')
  return header
}
