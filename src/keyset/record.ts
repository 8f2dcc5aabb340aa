// Records: logs and configuration (SPEC §6.7). The combined key of a fresh agreement is used directly, without a mask.
// Anybody who has the public keys could seal a record, so the source signs each one. Each record also names the one
// before it, so that dropping, moving or repeating a record is noticed. Only the loss of the newest records is not: to
// notice it, remember the last sequence number.
import { ENCRYPTED_SUITES, type EncryptedSuite, strongestSuite, Suite } from '../core/suite.ts'
import { type AgreementParts, agreeWith, partFields, reachAgreement } from '../core/agreement.ts'
import type { BlockReader } from '../core/block.ts'
import { type Bytes, bytesFrom, concat, domain, EMPTY, equalBytes, wipe } from '../core/bytes.ts'
import { bytes, type Codec, decode, encode, struct, version } from '../core/codec.ts'
import { MAX_CONTENT_BYTES } from '../core/envelope.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, type Header, HEADER_BYTES, ObjectType, parseHeader } from '../core/header.ts'
import type { Recipient, SigningPair } from '../core/key-pairs.ts'
import { type Handle, wiping } from '../core/secret.ts'
import { agreedLock, associatedData, NONCE_BYTES } from '../core/wrap.ts'
import { gcmOpenContent, gcmSealContent } from '../primitives/aead.ts'
import { sha256 } from '../primitives/hash.ts'
import { randomBytes } from '../primitives/random.ts'
import { isSignatureOf, sign, SIGNATURE_BYTES } from '../primitives/signature.ts'
import { nextVersion } from '../state/version.ts'
import { incompleteFor } from './exports.ts'
import type { EnvelopeKeys } from './open.ts'

/** The size limit of a record: the longest content, and more room than a record needs for the rest. */
const MAX_RECORD_BYTES = MAX_CONTENT_BYTES + 4096

/** A flag in the header: this record closes its epoch. */
export const END_FLAG = 1

const TAG_BYTES = 16

/** The fields before the sealed content. */
export interface RecordHead extends AgreementParts {
  readonly headerBytes: Uint8Array
  /** 1 for the first record of an epoch. */
  readonly sequence: number
  /** SHA-256 of the previous record; zeros for the first. */
  readonly previous: Uint8Array
  /** n, 32 random bytes. */
  readonly nonce: Uint8Array
  /** c, 32 bytes that commit to the key. */
  readonly commitment: Uint8Array
}

/* @__NO_SIDE_EFFECTS__ */
const headOf = (suite: EncryptedSuite): Codec<RecordHead> =>
  struct({
    headerBytes: bytes(HEADER_BYTES),
    sequence: version,
    previous: bytes(32),
    ...partFields(suite),
    nonce: bytes(32),
    commitment: bytes(32),
  })

interface HeadLayout {
  readonly codec: Codec<RecordHead>
  readonly bytes: number
}

const layouts: Readonly<Record<EncryptedSuite['id'], HeadLayout>> = {
  [Suite.x25519.id]: { codec: headOf(Suite.x25519), bytes: 184 },
  [Suite.hybrid.id]: { codec: headOf(Suite.hybrid), bytes: 1752 },
}

const MAX_HEAD_BYTES = /* @__PURE__ */ longestHead()

function longestHead(): number {
  return Math.max(...Object.values(layouts).map(({ bytes }) => bytes)) + TAG_BYTES + SIGNATURE_BYTES
}

const RECORD_DOMAIN = 'sign/record'

export interface StoredRecord extends RecordFacts {
  /** Whether it closes its epoch. */
  readonly closes: boolean
  /** ct ‖ tag. */
  readonly sealed: Bytes
  readonly signature: Uint8Array
  /** The message that is signed: the domain, and every byte before the signature. */
  readonly message: Uint8Array
  /** The whole record. */
  readonly bytes: Bytes
}

/** The parsed head of a record, which gives its place in the chain. */
export interface RecordFacts extends RecordHead {
  readonly header: Header<EncryptedSuite>
  /** The length of the head in bytes. */
  readonly headBytes: number
}

/**
 * Parses a copy of a record. The copy has the signing domain in front of it, so that verifying the signature needs no
 * second copy of up to 64 MiB.
 * @throws KeystrataError `limit-exceeded`, `malformed`, `unsupported`
 */
export function parseRecord(stored: Uint8Array): StoredRecord {
  assertWithinLimit(stored)
  const prefix = domain(RECORD_DOMAIN)
  const whole = concat(prefix, stored)
  const record = whole.subarray(prefix.length)
  const facts = readFacts(record)
  return {
    ...facts,
    closes: facts.header.flags === END_FLAG,
    sealed: record.subarray(facts.headBytes, -SIGNATURE_BYTES),
    signature: record.subarray(-SIGNATURE_BYTES),
    message: whole.subarray(0, -SIGNATURE_BYTES),
    bytes: record,
  }
}

/** The head of a record, and the bytes after it. */
export interface ReadHead extends RecordFacts {
  /** The bytes that were read, as a copy. */
  readonly head: Uint8Array
  /** The bytes after it, which were not read. */
  readonly rest: Uint8Array
}

/**
 * Parses a copy of a record's head, without reading the rest.
 * @throws KeystrataError `limit-exceeded`, `malformed`, `unsupported`
 */
export function parseRecordHead(stored: Uint8Array): ReadHead {
  assertWithinLimit(stored)
  const head = new Uint8Array(stored.subarray(0, MAX_HEAD_BYTES))
  return { ...readFacts(head), head, rest: stored.subarray(MAX_HEAD_BYTES) }
}

function assertWithinLimit({ length }: Uint8Array): void {
  if (length > MAX_RECORD_BYTES)
    throw new KeystrataError('limit-exceeded', 'this record is too large: a record holds at most 64 MiB', {
      bytes: length,
    })
}

/**
 * Reads the head of a record.
 * @throws KeystrataError `malformed`, `unsupported` if it is not a record
 */
function readFacts(record: Uint8Array): RecordFacts {
  const header = parseHeader(record, 'record', ObjectType.record, ENCRYPTED_SUITES, {
    generation: 'any',
    flag: END_FLAG,
  })
  const { codec, bytes: headBytes } = layouts[header.suite.id]
  if (record.length < headBytes + TAG_BYTES + SIGNATURE_BYTES) {
    throw new KeystrataError('malformed', 'this record is cut short', { bytes: record.length })
  }
  return { ...decode(codec, record.subarray(0, headBytes), 'record'), header, headBytes }
}

/** Joins the head and the content, and leaves room for tag and signature after them. */
export function encodeRecord(suite: EncryptedSuite, head: RecordHead, content: Uint8Array): Bytes {
  return concat(encode(layouts[suite.id].codec, head), content, new Uint8Array(TAG_BYTES + SIGNATURE_BYTES))
}

/** Returns the message to sign for a record that already has room for its signature. */
export function recordMessage(record: Uint8Array): Bytes {
  return concat(domain(RECORD_DOMAIN), record.subarray(0, -SIGNATURE_BYTES))
}

/** Returns everything between the header and the content. The associated data covers it. */
export function recordParameters(record: Uint8Array, suite: EncryptedSuite): Uint8Array {
  return record.subarray(HEADER_BYTES, layouts[suite.id].bytes)
}

/**
 * A record that was just sealed, and its place in the chain.
 * @example
 * ```ts
 * import type { SealedRecord } from 'keystrata'
 *
 * const pathOf = ({ epoch, sequence }: SealedRecord) => `log/${epoch}/${sequence}`
 * ```
 */
export interface SealedRecord {
  /** 1 for the first record of an epoch, then 2, 3 and so on. */
  readonly sequence: number
  /** The bytes to store under this epoch and sequence. Never replace a stored record. */
  readonly record: Bytes
  /** 0 at first. Every resealing of the chain begins the next epoch. */
  readonly epoch: number
  /** Whether this record closes its epoch. It is then the last record that resealing yields. */
  readonly closes: boolean
}

/** What all records of a chain have in common. */
export interface RecordOwner {
  readonly ownerId: Uint8Array
  readonly recipient: Recipient
  readonly suite: EncryptedSuite
  readonly signing: SigningPair
}

/** The place of a record in its chain. */
interface Place {
  readonly epoch: number
  readonly sequence: number
  readonly previous: Uint8Array
}

const START = new Uint8Array(32)

/**
 * Seals the record after another one, or the first one.
 * @throws KeystrataError `authentication-failed` if `after` is not a record of this owner
 */
export async function sealRecord(
  given: Uint8Array,
  after: Uint8Array | 'start',
  owner: RecordOwner,
): Promise<SealedRecord> {
  const content = bytesFrom(given, 'content')
  if (content.length > MAX_CONTENT_BYTES) {
    throw new KeystrataError('limit-exceeded', 'this content is too large: a record holds at most 64 MiB', {
      bytes: content.length,
    })
  }
  const place = after === 'start' ? { epoch: 0, sequence: 1, previous: START } : placeAfter(after, owner)
  return sealAt(content, place, owner, false)
}

function placeAfter(after: Uint8Array, owner: RecordOwner): Place {
  const last = parseRecord(bytesFrom(after, "after, where it is not 'start',"))
  assertFrom(last, owner.ownerId, owner.signing.publicKey)
  return { epoch: last.header.generation, sequence: nextVersion(last.sequence), previous: sha256(last.bytes) }
}

/**
 * Checks that this owner signed the record.
 * @throws KeystrataError `authentication-failed` if somebody else made this record
 */
function assertFrom({ header, message, signature }: StoredRecord, ownerId: Uint8Array, publicKey: Uint8Array): void {
  const holds = equalBytes(header.ownerId, ownerId) && isSignatureOf(publicKey, message, signature)
  if (!holds) throw authenticationFailed()
}

/** Seals a record in a buffer of its own. The content is copied into it before the promise is returned. */
async function sealAt(content: Uint8Array, place: Place, owner: RecordOwner, closes: boolean): Promise<SealedRecord> {
  const { ownerId, recipient, suite, signing } = owner
  const { sequence, previous, epoch } = place
  const headerBytes = encodeHeader({
    type: ObjectType.record,
    suite,
    keyId: recipient.keyId,
    ownerId,
    generation: epoch,
    flags: closes ? END_FLAG : 0,
  })
  const { parts, agreement } = agreeWith(recipient, { headerBytes, suite, context: EMPTY })
  const nonce = randomBytes(NONCE_BYTES)
  using lock = agreedLock(agreement, 'combined', nonce, 'record', [])
  const { commitment } = lock
  const record = encodeRecord(suite, { headerBytes, sequence, previous, ...parts, nonce, commitment }, content)
  try {
    const aad = associatedData(headerBytes, recordParameters(record, suite), EMPTY)
    const end = record.length - SIGNATURE_BYTES
    await gcmSealContent(lock.key, lock.iv, aad, record.subarray(end - content.length - TAG_BYTES, end))
    record.set(sign(signing.seed, recordMessage(record)), end)
  } catch (error) {
    wipe(record)
    throw error
  }
  return { sequence, record, epoch, closes }
}

/**
 * A record that was opened.
 * @example
 * ```ts
 * import type { OpenedRecord } from 'keystrata'
 *
 * const textOf = ({ content, closes }: OpenedRecord) => (closes ? undefined : new TextDecoder().decode(content))
 * ```
 */
export interface OpenedRecord {
  /** 1 for the first record of an epoch, then 2, 3 and so on. */
  readonly sequence: number
  readonly content: Bytes
  /** 0 at first. Every resealing of the chain begins the next epoch. */
  readonly epoch: number
  /**
   * Whether this record closes its epoch. It then has no content. Earlier records of the epoch were resealed, later
   * ones are new.
   */
  readonly closes: boolean
}

/**
 * Opens a record. It checks the caller's rules before it uses any key, and the signature and the chain before the
 * cipher.
 * @param after the bytes of the previous record, or 'start' for the first; undefined to skip the check of the chain
 */
export async function openRecord(
  stored: Uint8Array,
  after: Uint8Array | 'start' | undefined,
  keys: EnvelopeKeys,
  publicKey: Uint8Array,
): Promise<OpenedRecord> {
  return openParsed(parseRecord(bytesFrom(stored, 'record')), after, keys, publicKey)
}

/**
 * Returns the key that signs the records of an owner.
 * @param own the key of the reader's own source
 * @throws KeystrataError `policy` if a definition does not have it
 */
function signerOf(ownerId: Uint8Array, keys: EnvelopeKeys, own: Uint8Array): Uint8Array {
  const source = keys.sourceOf(ownerId)
  if (source === undefined) return own
  if (source.sourceSigning === undefined) throw incompleteFor('the records of an adopted keyset')
  return source.sourceSigning
}

async function openParsed(
  record: StoredRecord,
  after: Uint8Array | 'start' | undefined,
  keys: EnvelopeKeys,
  publicKey: Uint8Array,
): Promise<OpenedRecord> {
  const identity = keys.identityFor(record.header, true)
  const { ownerId } = record.header
  assertFrom(record, ownerId, signerOf(ownerId, keys, publicKey))
  if (after !== undefined) assertFollows(record, after)
  const { header, headerBytes, sequence, closes } = record
  const { suite } = header
  const agreement = reachAgreement(identity, { headerBytes, suite, context: EMPTY }, record)
  using lock = agreedLock(agreement, 'combined', record.nonce, 'record', [])
  if (!equalBytes(lock.commitment, record.commitment)) throw authenticationFailed()
  const aad = associatedData(headerBytes, recordParameters(record.bytes, suite), EMPTY)
  const content = await gcmOpenContent(lock.key, lock.iv, aad, record.sealed)
  return { sequence, content, epoch: header.generation, closes }
}

/**
 * Checks that a record directly follows another one.
 * @throws KeystrataError `authentication-failed` if it does not
 * @throws KeystrataError `malformed` if the other is not a record
 */
function assertFollows({ header, sequence, previous }: StoredRecord, after: Uint8Array | 'start'): void {
  if (after === 'start') {
    if (sequence === 1 && equalBytes(previous, START)) return
    throw authenticationFailed()
  }
  const last = parseRecordHead(bytesFrom(after, "after, where it is not 'start',"))
  const holds =
    equalBytes(last.header.ownerId, header.ownerId) &&
    last.header.generation === header.generation &&
    last.sequence + 1 === sequence &&
    equalBytes(sha256(last.head, last.rest), previous)
  if (!holds) throw authenticationFailed()
}

/**
 * Seals a whole chain again, in the next epoch, and then adds a record that closes that epoch. It verifies the old
 * chain, which must begin at the start and have no gap. No record becomes weaker than it was.
 */
export async function* resealRecords(
  records: AsyncIterable<Uint8Array>,
  owner: RecordOwner,
  keys: EnvelopeKeys,
): AsyncGenerator<SealedRecord> {
  let before: Uint8Array | 'start' = 'start'
  let next: Place | undefined
  let { suite } = owner
  for await (const stored of records) {
    const record = parseRecord(bytesFrom(stored, 'record'))
    const opened = await openParsed(record, before, keys, owner.signing.publicKey)
    before = record.bytes
    next ??= { epoch: nextEpoch(record.header.generation), sequence: 1, previous: START }
    // The record that closed the old epoch has no meaning in the new one.
    if (opened.closes) continue
    suite = strongestSuite(suite, record.header.suite)
    const sealed = await resealed(opened, next, { ...owner, suite })
    next = { ...next, sequence: nextVersion(sealed.sequence), previous: sha256(sealed.record) }
    yield sealed
  }
  if (next !== undefined) yield await sealAt(new Uint8Array(0), next, { ...owner, suite }, true)
}

async function resealed({ content }: OpenedRecord, place: Place, owner: RecordOwner): Promise<SealedRecord> {
  using _ = wiping(content)
  return await sealAt(content, place, owner, false)
}

function nextEpoch(epoch: number): number {
  if (epoch < 0xffff_ffff) return epoch + 1
  throw new KeystrataError('limit-exceeded', 'this log is in its last possible epoch and cannot be resealed', { epoch })
}

/**
 * Seals records, such as logs and configuration. Each is signed, and chained to the one before.
 * @example
 * ```ts
 * import type { RecordWriter } from 'keystrata'
 *
 * function sealLine(line: string, writer: RecordWriter, last?: Uint8Array) {
 *   return writer.sealRecord(new TextEncoder().encode(line), last ?? 'start')
 * }
 * ```
 */
export interface RecordWriter {
  /**
   * Seals the record that follows another one. All of the content is read before the promise is returned.
   * @param content at most 64 MiB
   * @param after the bytes of the last stored record, or 'start' for the first. If the store never replaces the record
   *   of an epoch and a sequence, two writers cannot continue the log in two ways
   * @throws KeystrataError `authentication-failed` if `after` is a record of another keyset
   * @throws KeystrataError `malformed` or `unsupported` if it is not a record
   * @throws KeystrataError `limit-exceeded` if the content is too large
   * @throws KeystrataError `disposed` if this handle was disposed of
   */
  sealRecord(content: Uint8Array, after: Uint8Array | 'start'): Promise<SealedRecord>
}

/**
 * Opens blocks and records.
 * @example
 * ```ts
 * import type { RecordReader } from 'keystrata'
 *
 * async function sequenceOf(record: Uint8Array, before: Uint8Array | 'start', reader: RecordReader) {
 *   return (await reader.openRecord(record, { after: before })).sequence
 * }
 * ```
 */
export interface RecordReader extends BlockReader, Handle {
  /**
   * Opens a record after checking its signature and its place in the chain.
   * @param options `after`: the bytes of the previous record, or 'start' for the first of an epoch. With it, a record
   *   that was dropped, moved or repeated is an error. Without it, the place in the chain is not checked
   * @throws KeystrataError `authentication-failed` if somebody else created the record, it was altered, or it does not
   *   follow `after`
   * @throws KeystrataError `key-not-found`, `policy`, `malformed`, `unsupported`, `limit-exceeded`, `disposed`
   */
  openRecord(record: Uint8Array, options?: { after?: Uint8Array | 'start' }): Promise<OpenedRecord>
}
