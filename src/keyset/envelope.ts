// Envelopes of blocks: small, stored in front of a ciphertext that never changes. A keyset's (SPEC §6.1) is replaced by
// rekeying; a vault's (SPEC §11) and a client's (SPEC §13) stay.
// The envelope of an encrypted block: its key under a fresh agreement, as a mask (SPEC §6.1). Rewriting one needs neither
// the content nor the ciphertext.
import * as P from 'micro-packed'
import { type Agreement, type AgreementParts, agreeWith, reachAgreement } from '../core/agreement.ts'
import { type Bytes, concat, EMPTY, equalBytes, xor } from '../core/bytes.ts'
import { decode, encode } from '../core/codec.ts'
import { copyOfEnvelope, type EncryptedMode, KEYSET_SUITES, Mode, parsePlain } from '../core/envelope.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { assertKnown, encodeHeader, type Header, HEADER_BYTES, ObjectType, parseHeader, Suite } from '../core/header.ts'
import type { Identity, Recipient } from '../core/key-pairs.ts'
import { SecretKey, withBytes } from '../core/secret.ts'
import { hmacSha256 } from '../primitives/hash.ts'

/** What stands before and after the encrypted content in the ciphertext of each mode (SPEC §6.2). */
export const FRAME_BYTES: Readonly<Record<Mode, { before: number; after: number }>> = {
  [Mode.scoped]: { before: 32, after: 16 },
  [Mode.global]: { before: 0, after: 16 },
  [Mode.off]: { before: 64, after: 16 },
  [Mode.none]: { before: 0, after: 0 },
}

const TAG_BYTES = 32

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

/** Which block an envelope is for. */
export interface EnvelopePlace {
  readonly ownerId: Uint8Array
  readonly hybrid: boolean
  readonly mode: EncryptedMode
  /** 32 bytes. */
  readonly label: Uint8Array
  /** For a share: the source signing key of who shares. */
  readonly sharer?: Uint8Array
}

/** Writes the envelope by which `recipient` can come to `blockKey`. */
export function maskKey(
  blockKey: SecretKey<'block'>,
  recipient: Recipient,
  { ownerId, hybrid, mode, label, sharer = EMPTY }: EnvelopePlace,
): Bytes {
  const suite = hybrid ? Suite.hybrid : Suite.x25519
  const headerBytes = encodeHeader({ type: ObjectType.envelope, suite, keyId: recipient.keyId, ownerId })
  const { parts, agreement } = agreeWith(recipient, { headerBytes, hybrid, context: concat(label, sharer) })
  try {
    const { ephemeral, encapsulated } = parts
    const mask = withBytes(blockKey, (key) => underAgreement(agreement, key))
    const envelope = encodeEnvelope(headerBytes, suite, { ephemeral, encapsulated, mode, mask })
    const tagAt = envelope.length - 32
    envelope.set(tagOf(agreement, envelope.subarray(0, tagAt)), tagAt)
    return envelope
  } finally {
    agreement.dispose()
  }
}

/**
 * Comes to the block key that an envelope masks, after its tag was verified.
 * @throws KeystrataError `authentication-failed`
 */
export function unmaskKey(
  { header, encrypted }: Required<Envelope>,
  identity: Identity,
  label: Uint8Array,
  sharer: Uint8Array = EMPTY,
): SecretKey<'block'> {
  const { headerBytes, mask, tagged, tag } = encrypted
  const place = { headerBytes, hybrid: header.suite === Suite.hybrid, context: concat(label, sharer) }
  const agreement = reachAgreement(identity, place, encrypted)
  try {
    if (!equalBytes(tagOf(agreement, tagged), tag)) throw authenticationFailed()
    return SecretKey.take('block', underAgreement(agreement, mask))
  } finally {
    agreement.dispose()
  }
}

/** Block key ⊕ K, or mask ⊕ K. */
function underAgreement(agreement: Agreement, bytes: Uint8Array): Bytes {
  const combined = agreement.key('combined')
  try {
    return withBytes(combined, (key) => xor(bytes, key))
  } finally {
    combined.dispose()
  }
}

function tagOf(agreement: Agreement, tagged: Uint8Array): Bytes {
  const key = agreement.key('envelope')
  try {
    return hmacSha256(key, tagged)
  } finally {
    key.dispose()
  }
}
