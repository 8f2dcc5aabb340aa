// The envelope of a keyset's block (SPEC §10.1). It holds the mask: the block key XORed with the key of a fresh
// agreement. An envelope can be rewritten without the content and without the ciphertext.
import { type EncryptedSuite, KEYSET_SUITES, Suite } from '../core/suite.ts'
import { type Agreement, type AgreementParts, agreeWith, partFields, reachAgreement } from '../core/agreement.ts'
import { allocate, type Bytes, concat, EMPTY, equalBytes, xor } from '../core/bytes.ts'
import { bytes, type Codec, decode, encode, struct, uint8 } from '../core/codec.ts'
import { assertPlainEnvelope, copyOfEnvelope, PLAIN_MODE, RANDOM_MODE } from '../core/envelope.ts'
import { authenticationFailed } from '../core/errors.ts'
import { encodeHeader, type Header, HEADER_BYTES, known, ObjectType, parseHeader } from '../core/header.ts'
import type { Identity, Recipient } from '../core/key-pairs.ts'
import { SecretKey, withBytes } from '../core/secret.ts'
import { hmacSha256 } from '../primitives/hash.ts'

/** How a block gets its key. This decides which equal contents give equal blocks. */
export const Mode: {
  readonly scoped: 1
  readonly global: 2
  readonly off: typeof RANDOM_MODE
  readonly none: typeof PLAIN_MODE
} = { scoped: 1, global: 2, off: RANDOM_MODE, none: PLAIN_MODE }
export type Mode = (typeof Mode)[keyof typeof Mode]
/** The modes of encrypted blocks, by the names that callers use. */
export const EncryptedMode: Omit<typeof Mode, 'none'> = {
  scoped: Mode.scoped,
  global: Mode.global,
  off: Mode.off,
} as const
export type EncryptedMode = (typeof EncryptedMode)[keyof typeof EncryptedMode]

/** How many bytes each mode adds before and after the encrypted content in the ciphertext (SPEC §10.2). */
export const FRAME_BYTES: Readonly<Record<Mode, { before: number; after: number }>> = {
  [Mode.scoped]: { before: 32, after: 16 },
  [Mode.global]: { before: 0, after: 16 },
  [Mode.off]: { before: 64, after: 16 },
  [Mode.none]: { before: 0, after: 0 },
}

const TAG_BYTES = 32

interface StoredEnvelope extends AgreementParts {
  readonly headerBytes: Uint8Array
  readonly mode: number
  readonly mask: Uint8Array
  readonly tag: Uint8Array
}

export interface PlainEnvelope {
  readonly header: Header<typeof Suite.none>
  readonly mode: typeof Mode.none
}

export interface MaskedEnvelope extends Omit<StoredEnvelope, 'mode'> {
  readonly header: Header<EncryptedSuite>
  readonly mode: EncryptedMode
  /** Every byte before the tag. */
  readonly tagged: Uint8Array
}

/** A parsed envelope: that of an unencrypted block, or one with the mask of an encrypted block. */
export type Envelope = PlainEnvelope | MaskedEnvelope

/* @__NO_SIDE_EFFECTS__ */
const layoutOf = (suite: EncryptedSuite): Codec<StoredEnvelope> =>
  struct({
    headerBytes: bytes(HEADER_BYTES),
    ...partFields(suite),
    mode: uint8,
    mask: bytes(32),
    tag: bytes(TAG_BYTES),
  })

const layouts: Readonly<Record<EncryptedSuite['id'], Codec<StoredEnvelope>>> = {
  [Suite.x25519.id]: layoutOf(Suite.x25519),
  [Suite.hybrid.id]: layoutOf(Suite.hybrid),
}

/** Returns whether an envelope belongs to an encrypted block. */
export const isMasked = (envelope: Envelope): envelope is MaskedEnvelope => envelope.mode !== Mode.none

/**
 * Parses a copy of an envelope.
 * @throws KeystrataError `malformed`, `unsupported`
 */
export function parseEnvelope(stored: Uint8Array): Envelope {
  const copy = copyOfEnvelope(stored)
  const header = parseHeader(copy, 'envelope', ObjectType.envelope, KEYSET_SUITES)
  const { suite } = header
  switch (suite.id) {
    case Suite.none.id:
      assertPlainEnvelope(copy)
      return { header: { ...header, suite }, mode: Mode.none }
    case Suite.x25519.id:
    case Suite.hybrid.id: {
      const fields = decode(layouts[suite.id], copy, 'envelope')
      const mode = known('mode', fields.mode, EncryptedMode, 'envelope')
      return { ...fields, mode, header: { ...header, suite }, tagged: copy.subarray(0, -TAG_BYTES) }
    }
  }
}

const NO_TAG = /* @__PURE__ */ allocate(TAG_BYTES)

/** Encodes an envelope with zeros in place of its tag. The tag covers every byte before it. */
export function encodeEnvelope(
  headerBytes: Uint8Array,
  suite: EncryptedSuite,
  fields: Omit<StoredEnvelope, 'headerBytes' | 'tag'>,
): Bytes {
  return encode(layouts[suite.id], { headerBytes, ...fields, tag: NO_TAG })
}

/** Which block an envelope is for. */
export interface EnvelopePlace {
  readonly ownerId: Uint8Array
  readonly suite: EncryptedSuite
  readonly mode: EncryptedMode
  /** 32 bytes. */
  readonly label: Uint8Array
  /** For a share: the source signing key of the keyset that shares. */
  readonly sharer?: Uint8Array
}

/** Writes the envelope from which `recipient` can recover `blockKey`. */
export function maskKey(
  blockKey: SecretKey<'block'>,
  recipient: Recipient,
  { ownerId, suite, mode, label, sharer = EMPTY }: EnvelopePlace,
): Bytes {
  const headerBytes = encodeHeader({ type: ObjectType.envelope, suite, keyId: recipient.keyId, ownerId })
  const context = sharer.length === 0 ? label : concat(label, sharer)
  const { parts, agreement } = agreeWith(recipient, { headerBytes, suite, context })
  using _ = agreement
  const { ephemeral, encapsulated } = parts
  const mask = withBytes(blockKey, (key) => underAgreement(agreement, key))
  const envelope = encodeEnvelope(headerBytes, suite, { ephemeral, encapsulated, mask, mode })
  const tagAt = envelope.length - TAG_BYTES
  envelope.set(tagOf(agreement, envelope.subarray(0, tagAt)), tagAt)
  return envelope
}

/**
 * Recovers the block key that an envelope masks, after verifying the envelope's tag.
 * @throws KeystrataError `authentication-failed` if the envelope was altered, or is for another label, key pair or
 *   sharer
 */
export function unmaskKey(
  envelope: MaskedEnvelope,
  identity: Identity,
  label: Uint8Array,
  sharer: Uint8Array = EMPTY,
): SecretKey<'block'> {
  const { header, headerBytes, mask, tagged, tag } = envelope
  const place = { headerBytes, suite: header.suite, context: concat(label, sharer) }
  using agreement = reachAgreement(identity, place, envelope)
  if (!equalBytes(tagOf(agreement, tagged), tag)) throw authenticationFailed()
  return SecretKey.adopt('block', underAgreement(agreement, mask))
}

/** XORs with the agreed key: this masks a block key, and unmasks a mask. */
function underAgreement(agreement: Agreement, given: Uint8Array): Bytes {
  using combined = agreement.key('combined')
  return withBytes(combined, (key) => xor(given, key))
}

function tagOf(agreement: Agreement, tagged: Uint8Array): Bytes {
  using key = agreement.key('envelope')
  return hmacSha256(key, tagged)
}
