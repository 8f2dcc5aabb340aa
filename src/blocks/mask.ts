// The envelope of an encrypted block: its key under a fresh agreement, as a mask (SPEC §6.1). Rewriting one needs neither
// the content nor the ciphertext.
import { type Bytes, concat, EMPTY, equalBytes, xor } from '../bytes.ts'
import { authenticationFailed } from '../errors.ts'
import { encodeEnvelope, type EncryptedMode, type Envelope } from '../format/envelope.ts'
import { encodeHeader, ObjectType, Suite } from '../format/header.ts'
import { type Agreement, agreeWith, reachAgreement } from '../keys/agreement.ts'
import type { Identity, Recipient } from '../keys/key-pairs.ts'
import { hmacSha256 } from '../primitives/hash.ts'
import { SecretKey, withBytes } from '../secret.ts'

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
