// The records of a keyset and of its shares (SPEC §7.2). The combined key of a fresh agreement is used directly, without
// a mask. Anybody who has the public keys could seal a record, so the source signs each one. A close or a seal-off has a
// second signature, by the card signing key, which no host has: a host can append to a log and can never shorten one.
import { ENCRYPTED_SUITES, type EncryptedSuite, type RecordSuite, strongestSuite, Suite } from '../core/suite.ts'
import { type AgreementParts, agreeWith, partFields, reachAgreement } from '../core/agreement.ts'
import { allocate, type Bytes, concat, copyOf, domain, EMPTY, equalBytes } from '../core/bytes.ts'
import { bytes, type Codec, decode, encode, struct } from '../core/codec.ts'
import { authenticationFailed } from '../core/errors.ts'
import { keyNotFound, NOBODY } from '../core/header.ts'
import { hedgedId, hedgedNonce } from '../core/hedge.ts'
import type { Recipient, SigningPair } from '../core/key-pairs.ts'
import { associatedData, deriveLock } from '../core/wrap.ts'
import { gcmOpenContent, gcmSealContent } from '../primitives/aead.ts'
import { isSignatureOf, sign, SIGNATURE_BYTES } from '../primitives/signature.ts'
import type { RecordKeys, RecordSealer } from '../state/record.ts'
import { draftRecord, type ParsedRecord, type RecordBytes, type RecordFields } from '../state/record-layout.ts'
import type { EnvelopeKeys } from './open.ts'

/** The fields of the body before the sealed content. */
interface BodyHead extends AgreementParts {
  /** n, 32 bytes. */
  readonly nonce: Uint8Array
  /** c, 32 bytes that commit to the key. */
  readonly commitment: Uint8Array
}

interface BodyLayout {
  readonly codec: Codec<BodyHead>
  /** The length of the fields of the key agreement. */
  readonly agreementBytes: number
}

/* @__NO_SIDE_EFFECTS__ */
const headOf = (suite: EncryptedSuite): Codec<BodyHead> =>
  struct({ ...partFields(suite), nonce: bytes(32), commitment: bytes(32) })

const layouts: Readonly<Record<EncryptedSuite['id'], BodyLayout>> = {
  [Suite.x25519.id]: { codec: headOf(Suite.x25519), agreementBytes: 32 },
  [Suite.hybrid.id]: { codec: headOf(Suite.hybrid), agreementBytes: 1600 },
}

const LOCK_BYTES = 64
const TAG_BYTES = 16

/** Whose signatures a reader expects under one owner id. */
export interface Signers {
  readonly sourceSigning: Uint8Array
  /** The public half of the card signing key. */
  readonly cardSigning: Uint8Array
}

/** What one handle can do with the records of one keyset or share. */
export interface RecordParts {
  readonly ownerId: Uint8Array
  /** The keys that verify the owner's own records. */
  readonly signers: () => Signers
  /**
   * Returns the keys that verify the records of an adopted source, or undefined if there is no such source.
   * @throws KeystrataError `policy` if a definition lacks them
   */
  readonly adopted: (ownerId: Uint8Array) => Signers | undefined
  readonly isAdopted: (ownerId: Uint8Array) => boolean
  /** To whom and how records are sealed. Undefined if the handle can only read, like the one of a share's recipient. */
  readonly writer?: {
    readonly recipient: Recipient
    readonly suite: EncryptedSuite
    readonly signing: () => SigningPair
  }
  /** The key pairs that open records. Undefined without them, as on a host. */
  readonly keys?: EnvelopeKeys | undefined
  /** Returns what signs with the card signing key. Undefined where there is nothing to reseal. */
  readonly cardSigner?: (() => (message: Uint8Array) => Bytes) | undefined
}

/** Returns what the parts can do. They stay with the caller, and must live as long as the result. */
export function recordKeysFrom(parts: RecordParts): RecordKeys {
  const { ownerId, keys, writer, cardSigner, isAdopted } = parts
  return {
    ownerId,
    isAdopted,
    verify: (record) => assertMadeByOwner(record, parts),
    markerContent: ({ encoded }) => encoded.body.subarray(0, -2 * SIGNATURE_BYTES),
    isCurrent: ({ header }) =>
      writer !== undefined && equalBytes(header.ownerId, ownerId) && equalBytes(header.keyId, writer.recipient.keyId),
    write: writer && sealerOf(ownerId, writer),
    open: keys && ((record) => openRecord(record, keys)),
    marker:
      writer &&
      cardSigner &&
      (() => {
        const signByCard = cardSigner()
        return (fields, logId, content) => {
          return encodeMarker(fields, logId, content, ownerId, writer.signing(), signByCard)
        }
      }),
  }
}

function assertMadeByOwner(record: ParsedRecord, { ownerId, signers, adopted }: RecordParts): void {
  const { header, kind, encoded } = record
  const signer = equalBytes(header.ownerId, ownerId) ? signers() : adopted(header.ownerId)
  if (signer === undefined) throw keyNotFound('record', header)
  // No keyset makes records of another key model.
  if (header.suite.record === 'mac') throw authenticationFailed()
  const holds =
    kind === 'content'
      ? isSigned(encoded, 0, signer.sourceSigning)
      : equalBytes(header.keyId, NOBODY) &&
        isSigned(encoded, SIGNATURE_BYTES, signer.sourceSigning) &&
        isSignatureOf(signer.cardSigning, ownerMessage(encoded), encoded.bytes.subarray(-SIGNATURE_BYTES))
  if (!holds) throw authenticationFailed()
}

/** Returns whether the source has signed a record, with `after` bytes behind the signature. */
function isSigned(encoded: RecordBytes, after: number, publicKey: Uint8Array): boolean {
  const end = encoded.bytes.length - after
  const signature = encoded.bytes.subarray(end - SIGNATURE_BYTES, end)
  return isSignatureOf(publicKey, encoded.message(after + SIGNATURE_BYTES), signature)
}

/** The message of the second signature. It covers the first. */
const ownerMessage = ({ bytes, logId }: RecordBytes): Bytes =>
  concat(domain('sign/record-owner'), logId, bytes.subarray(0, -SIGNATURE_BYTES))

const sealerOf = (ownerId: Uint8Array, writer: NonNullable<RecordParts['writer']>): RecordSealer => ({
  createId: (logId, digest) => hedgedId(writer.signing().seed, 'record-id', logId, digest),
  seal: async (fields, logId, content, digest, was) => {
    const { recipient } = writer
    const suite = strongestOf(writer.suite, was)
    const { codec, agreementBytes } = layouts[suite.id]
    const owner = { suite, keyId: recipient.keyId, ownerId }
    const sealedAt = agreementBytes + LOCK_BYTES
    const draft = draftRecord(fields, owner, logId, sealedAt + content.length + TAG_BYTES + SIGNATURE_BYTES)
    const { body, headerBytes } = draft
    body.set(content, sealedAt)
    try {
      const { parts, agreement } = agreeWith(recipient, { headerBytes, suite, context: EMPTY })
      using _ = agreement
      using key = agreement.key('combined')
      const unlocked = { ...parts, nonce: allocate(32), commitment: allocate(32) }
      body.set(encode(codec, unlocked))
      const nonce = hedgedNonce(key, {
        digest,
        headerBytes,
        parameters: draft.parameters(agreementBytes),
        context: logId,
      })
      using lock = deriveLock(key, nonce, 'record', [], 32)
      body.set(encode(codec, { ...parts, nonce, commitment: lock.commitment }))
      const aad = associatedData(headerBytes, draft.parameters(sealedAt), logId)
      await gcmSealContent(lock.key, lock.iv, aad, body.subarray(sealedAt, -SIGNATURE_BYTES))
      body.set(sign(writer.signing().seed, draft.message(SIGNATURE_BYTES)), body.length - SIGNATURE_BYTES)
      return copyOf(draft.bytes)
    } catch (error) {
      body.fill(0)
      throw error
    }
  },
})

/** Returns the stronger suite: no record becomes weaker than it was. */
function strongestOf(suite: EncryptedSuite, was: RecordSuite | undefined): EncryptedSuite {
  const former = ENCRYPTED_SUITES.find(({ id }) => id === was?.id)
  return former === undefined ? suite : strongestSuite(suite, former)
}

function encodeMarker(
  fields: RecordFields,
  logId: Uint8Array,
  content: Uint8Array,
  ownerId: Uint8Array,
  signing: SigningPair,
  signByCard: (message: Uint8Array) => Bytes,
): Bytes {
  const owner = { suite: Suite.none, keyId: NOBODY, ownerId }
  const draft = draftRecord(fields, owner, logId, content.length + 2 * SIGNATURE_BYTES)
  const { body } = draft
  body.set(content)
  body.set(sign(signing.seed, draft.message(2 * SIGNATURE_BYTES)), content.length)
  body.set(signByCard(ownerMessage(draft)), content.length + SIGNATURE_BYTES)
  return copyOf(draft.bytes)
}

async function openRecord({ header, encoded }: ParsedRecord, keys: EnvelopeKeys): Promise<Bytes> {
  const suite = ENCRYPTED_SUITES.find(({ id }) => id === header.suite.id)
  if (suite === undefined) throw authenticationFailed()
  const { codec, agreementBytes } = layouts[suite.id]
  const sealedAt = agreementBytes + LOCK_BYTES
  const { headerBytes, body, logId } = encoded
  const identity = keys.identityFor({ ...header, suite })
  const { nonce, commitment, ...parts } = decode(codec, body.subarray(0, sealedAt), 'record')
  using agreement = reachAgreement(identity, { headerBytes, suite, context: EMPTY }, parts)
  using key = agreement.key('combined')
  using lock = deriveLock(key, nonce, 'record', [], 32)
  if (!equalBytes(lock.commitment, commitment)) throw authenticationFailed()
  const aad = associatedData(headerBytes, encoded.parameters(sealedAt), logId)
  return await gcmOpenContent(lock.key, lock.iv, aad, body.subarray(sealedAt, -SIGNATURE_BYTES))
}
