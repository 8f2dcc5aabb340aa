// Records: logs and configuration (SPEC §6.7). The combined key of a fresh agreement is used directly, without a mask. Anybody who has
// the public keys could seal a record, so each is signed by the source; and each names the one before it, so that none can be dropped,
// moved or repeated unnoticed. To notice that the newest records are missing, remember the last sequence.
import { type AgreementParts, agreeWith, partFields, reachAgreement } from '../core/agreement.ts'
import type { BlockReader } from '../core/block.ts'
import { type Bytes, bytesFrom, concat, domain, EMPTY, equalBytes, wipe } from '../core/bytes.ts'
import { bytes, type Codec, decode, encode, struct, version } from '../core/codec.ts'
import { MAX_CONTENT_BYTES } from '../core/envelope.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, type Header, HEADER_BYTES, ObjectType, parseHeader } from '../core/header.ts'
import type { Recipient, SigningPair } from '../core/key-pairs.ts'
import { type Handle, wiping } from '../core/secret.ts'
import { type EncryptedSuite, strongestSuite, Suite } from '../core/suite.ts'
import { agreedLock, associatedData, NONCE_BYTES } from '../core/wrap.ts'
import { gcmOpenContent, gcmSealContent } from '../primitives/aead.ts'
import { sha256 } from '../primitives/hash.ts'
import { randomBytes } from '../primitives/random.ts'
import { isSignatureOf, sign, SIGNATURE_BYTES } from '../primitives/signature.ts'
import { nextVersion } from '../state/version.ts'
import type { EnvelopeKeys } from './open.ts'

/** Content, and more than everything around it. */
const MAX_RECORD_BYTES = MAX_CONTENT_BYTES + 4096

/** In the flags of the header: this record closes its epoch. */
export const END_FLAG = 1

const TAG_BYTES = 16

/** What stands in front of the sealed content. */
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

const RECORD_SUITES: readonly EncryptedSuite[] = [Suite.x25519, Suite.hybrid]
const MAX_HEAD_BYTES = layouts[Suite.hybrid.id].bytes + TAG_BYTES + SIGNATURE_BYTES
const RECORD_DOMAIN = 'sign/record'

export interface StoredRecord extends RecordFacts {
  /** Whether it closes its epoch. */
  readonly closes: boolean
  /** ct ‖ tag. */
  readonly sealed: Bytes
  readonly signature: Uint8Array
  /** What is signed: the domain, and every byte in front of the signature. */
  readonly message: Uint8Array
  /** The whole record. */
  readonly bytes: Bytes
}

/** What a record says about its place. */
export interface RecordFacts extends RecordHead {
  readonly header: Header<EncryptedSuite>
  /** The length of the head. */
  readonly headBytes: number
}

/**
 * Reads a record from a copy that has the signing domain in front of it, so that what is signed need not be joined again from tens
 * of megabytes.
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

/** The head of a record, and what is behind it. */
export interface ReadHead extends RecordFacts {
  /** What was read, as a copy. */
  readonly head: Uint8Array
  /** What is behind it, which was not read. */
  readonly rest: Uint8Array
}

/**
 * Reads what a record says about its place, from a copy of its head.
 * @throws KeystrataError `limit-exceeded`, `malformed`, `unsupported`
 */
export function parseRecordHead(stored: Uint8Array): ReadHead {
  assertWithinLimit(stored)
  const head = new Uint8Array(stored.subarray(0, MAX_HEAD_BYTES))
  return { ...readFacts(head), head, rest: stored.subarray(MAX_HEAD_BYTES) }
}

function assertWithinLimit({ length }: Uint8Array): void {
  if (length > MAX_RECORD_BYTES) throw new KeystrataError('limit-exceeded', 'a record over 64 MiB', { bytes: length })
}

/** @throws KeystrataError `malformed`, `unsupported` */
function readFacts(record: Uint8Array): RecordFacts {
  const header = parseHeader(record, 'record', ObjectType.record, RECORD_SUITES, { generations: true, flag: END_FLAG })
  const { codec, bytes: headBytes } = layouts[header.suite.id]
  if (record.length < headBytes + TAG_BYTES + SIGNATURE_BYTES) {
    throw new KeystrataError('malformed', 'a record cut short', { bytes: record.length })
  }
  return { ...decode(codec, record.subarray(0, headBytes), 'record'), header, headBytes }
}

/** The head and the content, with room for tag and signature behind them. */
export function encodeRecord(suite: EncryptedSuite, head: RecordHead, content: Uint8Array): Bytes {
  return concat(encode(layouts[suite.id].codec, head), content, new Uint8Array(TAG_BYTES + SIGNATURE_BYTES))
}

/** What is signed of a record that has room for its signature. */
export function recordMessage(record: Uint8Array): Bytes {
  return concat(domain(RECORD_DOMAIN), record.subarray(0, -SIGNATURE_BYTES))
}

/** Everything between the header and the content: what the associated data covers. */
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
  /** What to store under its epoch and its sequence, without ever replacing a record. */
  readonly record: Bytes
  /** 0 at first. Every resealing of the chain begins the next epoch. */
  readonly epoch: number
  /** Whether this record closes its epoch: it is the last one that resealing yields. */
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
    throw new KeystrataError('limit-exceeded', 'a record holds at most 64 MiB', { bytes: content.length })
  }
  const place = after === 'start' ? { epoch: 0, sequence: 1, previous: START } : placeAfter(after, owner)
  return sealAt(content, place, owner, false)
}

function placeAfter(after: Uint8Array, owner: RecordOwner): Place {
  const last = parseRecord(bytesFrom(after, "after, where it is not 'start',"))
  assertFrom(last, owner.ownerId, owner.signing.publicKey)
  return { epoch: last.header.generation, sequence: nextVersion(last.sequence), previous: sha256(last.bytes) }
}

/** @throws KeystrataError `authentication-failed` if somebody else made this record */
function assertFrom({ header, message, signature }: StoredRecord, ownerId: Uint8Array, publicKey: Uint8Array): void {
  const holds = equalBytes(header.ownerId, ownerId) && isSignatureOf(publicKey, message, signature)
  if (!holds) throw authenticationFailed()
}

/** Seals in a buffer of the record's own, into which the content is copied before this first yields. */
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
  /** Whether this record, which has no content, says that its epoch is complete. Every later record is new. */
  readonly closes: boolean
}

/**
 * Opens a record. The caller's rules come before any key, the signature and the chain before the cipher.
 * @param after the bytes of the record before, or 'start' for the first; undefined not to look at the chain
 */
export async function openRecord(
  stored: Uint8Array,
  after: Uint8Array | 'start' | undefined,
  keys: EnvelopeKeys,
  publicKey: Uint8Array,
): Promise<OpenedRecord> {
  return openParsed(parseRecord(bytesFrom(stored, 'record')), after, keys, publicKey)
}

async function openParsed(
  record: StoredRecord,
  after: Uint8Array | 'start' | undefined,
  keys: EnvelopeKeys,
  publicKey: Uint8Array,
): Promise<OpenedRecord> {
  const identity = keys.identityFor(record.header, true)
  assertFrom(record, keys.ownerId, publicKey)
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

/** @throws KeystrataError `authentication-failed` if a record does not stand right behind the other; `malformed` */
function assertFollows({ header, sequence, previous }: StoredRecord, after: Uint8Array | 'start'): void {
  if (after === 'start') {
    if (sequence === 1 && equalBytes(previous, START)) return
    throw authenticationFailed()
  }
  const last = parseRecordHead(bytesFrom(after, "after, where it is not 'start',"))
  const holds =
    last.header.generation === header.generation &&
    last.sequence + 1 === sequence &&
    equalBytes(sha256(last.head, last.rest), previous)
  if (!holds) throw authenticationFailed()
}

/**
 * Seals a whole chain again, in the next epoch, and closes that epoch with a record of its own. The chain is verified on the way: it
 * must begin at the start and have no gap. No record becomes weaker than it was.
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
    // What closed the old epoch means nothing in the new one.
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
  throw new KeystrataError('limit-exceeded', 'no epoch can follow', { epoch })
}

/**
 * Seals logs and configuration, signed and chained.
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
   * @param after the bytes of the last stored record, or 'start' for the first. A store that never replaces the record of an epoch
   *   and a sequence keeps two writers from continuing in two ways
   * @throws KeystrataError `authentication-failed` if `after` is a record of another keyset; `malformed` or `unsupported` if it is
   *   no record; `limit-exceeded`, `disposed`
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
   * @param options `after`: the bytes of the previous record, or 'start' for the first of an epoch. Then records that were dropped,
   *   moved or repeated are noticed. Without it the place is not checked
   * @throws KeystrataError `authentication-failed` if somebody else made the record, it was altered, or it does not follow `after`;
   *   `key-not-found`, `policy`, `malformed`, `unsupported`, `limit-exceeded`, `disposed`
   */
  openRecord(record: Uint8Array, options?: { after?: Uint8Array | 'start' }): Promise<OpenedRecord>
}
