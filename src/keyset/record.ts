// A record of a log or a configuration (SPEC §6.7): sealed, signed, and chained to the one before it.
// Records: logs and configuration (SPEC §6.7). The combined key of a fresh agreement is used directly, without a mask. Anybody
// who has a public key could seal one, so each is signed by the source; and each names the one before it, so that none can be
// dropped, moved or repeated unseen. A tail that was cut is seen by comparing the last sequence.
// Logs and configuration (SPEC §6.7): who seals their records, and who opens them.
import * as P from 'micro-packed'
import { type AgreementParts, agreeWith, reachAgreement } from '../core/agreement.ts'
import type { BlockReader } from '../core/block.ts'
import { type Bytes, bytesFrom, concat, domain, EMPTY, equalBytes, wipe } from '../core/bytes.ts'
import { decode, encode, version } from '../core/codec.ts'
import { MAX_CONTENT_BYTES } from '../core/envelope.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, type Header, HEADER_BYTES, ObjectType, parseHeader, Suite } from '../core/header.ts'
import type { Recipient, SigningPair } from '../core/key-pairs.ts'
import type { Handle } from '../core/secret.ts'
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
  /** SHA-256 of the record before; zeros for the first. */
  readonly previous: Uint8Array
  /** n, 32 random bytes. */
  readonly nonce: Uint8Array
  /** c, 32 bytes that commit to the key. */
  readonly commitment: Uint8Array
}

const recordHead = (encapsulatedBytes: number): P.CoderType<RecordHead> =>
  P.struct({
    headerBytes: P.bytes(HEADER_BYTES),
    sequence: version,
    previous: P.bytes(32),
    ephemeral: P.bytes(32),
    encapsulated: P.bytes(encapsulatedBytes),
    nonce: P.bytes(32),
    commitment: P.bytes(32),
  })

const x25519 = { coder: recordHead(0), bytes: 184 } as const

const hybrid = { coder: recordHead(1568), bytes: 1752 } as const

const MAX_HEAD_BYTES = hybrid.bytes + TAG_BYTES + SIGNATURE_BYTES

const RECORD_DOMAIN = domain('sign/record')

export interface StoredRecord extends RecordHead {
  readonly header: Header
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

/** A record by its place alone. */
export interface RecordFacts extends RecordHead {
  readonly header: Header
  /** Bytes of the head. */
  readonly headBytes: number
}

/**
 * Reads from a copy, in front of which its signing domain stands: what is signed is not put together again, tens of megabytes
 * at a time.
 * @throws KeystrataError `limit-exceeded`, `malformed`, `unsupported`
 */
export function parseRecord(stored: Uint8Array): StoredRecord {
  assertWithinLimit(stored)
  const whole = concat(RECORD_DOMAIN, stored)
  const bytes = whole.subarray(RECORD_DOMAIN.length)
  const { headBytes, ...facts } = readRecordFacts(bytes)
  return {
    ...facts,
    closes: facts.header.flags === END_FLAG,
    sealed: bytes.subarray(headBytes, -SIGNATURE_BYTES),
    signature: bytes.subarray(-SIGNATURE_BYTES),
    message: whole.subarray(0, -SIGNATURE_BYTES),
    bytes,
  }
}

/** Where a record stands. */
export interface ReadHead extends RecordFacts {
  /** What was read, in a copy. */
  readonly head: Uint8Array
  /** What is behind it, which was not looked at. */
  readonly rest: Uint8Array
}

/**
 * Reads where a record stands, from a copy of its head.
 * @throws KeystrataError `limit-exceeded`, `malformed`, `unsupported`
 */
export function parseRecordHead(stored: Uint8Array): ReadHead {
  assertWithinLimit(stored)
  const head = new Uint8Array(stored.subarray(0, MAX_HEAD_BYTES))
  return { ...readRecordFacts(head), head, rest: stored.subarray(MAX_HEAD_BYTES) }
}

function assertWithinLimit({ length }: Uint8Array): void {
  if (length > MAX_RECORD_BYTES) throw new KeystrataError('limit-exceeded', 'a record over 64 MiB', { bytes: length })
}

/** @throws KeystrataError `malformed`, `unsupported` */
function readRecordFacts(bytes: Uint8Array): RecordFacts {
  const header = parseHeader(bytes, 'record', ObjectType.record, [Suite.x25519, Suite.hybrid], {
    generations: true,
    flag: END_FLAG,
  })
  const { coder, bytes: headBytes } = header.suite === Suite.hybrid ? hybrid : x25519
  if (bytes.length < headBytes + TAG_BYTES + SIGNATURE_BYTES) {
    throw new KeystrataError('malformed', 'a record cut short', { bytes: bytes.length })
  }
  return { ...decode(coder, bytes.subarray(0, headBytes), 'record'), header, headBytes }
}

/** The head, and room behind it for content, tag and signature. */
export function encodeRecord(isHybrid: boolean, head: RecordHead, content: Uint8Array): Bytes {
  const { coder } = isHybrid ? hybrid : x25519
  return concat(encode(coder, head), content, new Uint8Array(TAG_BYTES + SIGNATURE_BYTES))
}

/** What is signed of a record with room for its signature. */
export function recordMessage(record: Uint8Array): Bytes {
  return concat(RECORD_DOMAIN, record.subarray(0, -SIGNATURE_BYTES))
}

/** Everything between the header and the content: what the associated data covers. */
export function recordParameters(record: Uint8Array, isHybrid: boolean): Uint8Array {
  return record.subarray(HEADER_BYTES, (isHybrid ? hybrid : x25519).bytes)
}

/**
 * A record by its place in the chain.
 * @example
 * ```ts
 * import type { SealedRecord } from 'keystrata'
 *
 * const pathOf = ({ epoch, sequence }: SealedRecord) => `log/${epoch}/${sequence}`
 * ```
 */
export interface SealedRecord {
  /** 1 for the first of an epoch, and then one more each. */
  readonly sequence: number
  /** What to store: create-only, under its epoch and its sequence. */
  readonly record: Bytes
  /** 0, and one more with every resealing of the whole chain. */
  readonly epoch: number
  /** Whether it is the record that closes its epoch: the last that resealing gives. */
  readonly closes: boolean
}

/** Whose records these are: what every record of a chain has in common. */
export interface RecordOwner {
  readonly ownerId: Uint8Array
  readonly recipient: Recipient
  readonly hybrid: boolean
  readonly signing: SigningPair
}

/** Where in a chain a record stands. */
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
  const { ownerId, recipient, hybrid, signing } = owner
  const suite = hybrid ? Suite.hybrid : Suite.x25519
  const headerBytes = encodeHeader({
    type: ObjectType.record,
    suite,
    keyId: recipient.keyId,
    ownerId,
    generation: place.epoch,
    flags: closes ? END_FLAG : 0,
  })
  const { parts, agreement } = agreeWith(recipient, { headerBytes, hybrid, context: EMPTY })
  const nonce = randomBytes(NONCE_BYTES)
  const lock = agreedLock(agreement, 'combined', nonce, 'record')
  try {
    const { sequence, previous, epoch } = place
    const { commitment } = lock
    const record = encodeRecord(hybrid, { headerBytes, sequence, previous, ...parts, nonce, commitment }, content)
    try {
      const aad = associatedData(headerBytes, recordParameters(record, hybrid), EMPTY)
      const end = record.length - SIGNATURE_BYTES
      await gcmSealContent(lock.key, lock.iv, aad, record.subarray(end - content.length - 16, end))
      record.set(sign(signing.seed, recordMessage(record)), end)
    } catch (error) {
      wipe(record)
      throw error
    }
    return { sequence, record, epoch, closes }
  } finally {
    lock.dispose()
  }
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
  /** 1 for the first of an epoch, and then one more each. */
  readonly sequence: number
  readonly content: Bytes
  /** 0, and one more with every resealing of the whole chain. */
  readonly epoch: number
  /** Whether this record says that its epoch is complete: all later ones are new. It has no content. */
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
  const hybrid = header.suite === Suite.hybrid
  const place = { headerBytes, hybrid, context: EMPTY }
  const lock = agreedLock(reachAgreement(identity, place, record), 'combined', record.nonce, 'record')
  try {
    if (!equalBytes(lock.commitment, record.commitment)) throw authenticationFailed()
    const aad = associatedData(headerBytes, recordParameters(record.bytes, hybrid), EMPTY)
    const content = await gcmOpenContent(lock.key, lock.iv, aad, record.sealed)
    return { sequence, content, epoch: header.generation, closes }
  } finally {
    lock.dispose()
  }
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
 * Seals a whole chain anew, in the next epoch, and closes that with a record of its own. The chain is verified on the way:
 * it must begin at the start and be without a gap. No record gets weaker than it was.
 */
export async function* resealRecords(
  records: AsyncIterable<Uint8Array>,
  owner: RecordOwner,
  keys: EnvelopeKeys,
): AsyncGenerator<SealedRecord> {
  let before: Uint8Array | 'start' = 'start'
  let next: Place | undefined
  let { hybrid } = owner
  for await (const stored of records) {
    const record = parseRecord(bytesFrom(stored, 'record'))
    const { content, closes } = await openParsed(record, before, keys, owner.signing.publicKey)
    before = record.bytes
    next ??= { epoch: nextEpoch(record.header.generation), sequence: 1, previous: START }
    // What closed the old epoch says nothing in the new one.
    if (closes) continue
    hybrid ||= record.header.suite === Suite.hybrid
    let sealed: SealedRecord
    try {
      sealed = await sealAt(content, next, { ...owner, hybrid }, false)
    } finally {
      wipe(content)
    }
    next = { ...next, sequence: nextVersion(sealed.sequence), previous: sha256(sealed.record) }
    yield sealed
  }
  if (next !== undefined) yield await sealAt(new Uint8Array(0), next, { ...owner, hybrid }, true)
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
   * Seals the record that follows another one. All of the content is read before this returns.
   * @param content at most 64 MiB
   * @param after the bytes of the last stored record, or 'start' for the first: a store that is create-only per epoch
   *   and sequence keeps two writers from going two ways
   * @throws KeystrataError `authentication-failed` if `after` is not a record of this keyset; `malformed`, `unsupported` if
   *   it is none; `limit-exceeded`, `disposed`
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
   * Opens a record of the writer's `sealRecord`, after its signature and its place were checked.
   * @param options `after`: the bytes of the record before, 'start' for the first of an epoch: then what was dropped, moved
   *   or repeated is refused. Without it the chain is not looked at
   * @throws KeystrataError `authentication-failed` for a record that somebody else made, was altered, or does not follow;
   *   `key-not-found`, `policy`, `malformed`, `unsupported`, `limit-exceeded`, `disposed`
   */
  openRecord(record: Uint8Array, options?: { after?: Uint8Array | 'start' }): Promise<OpenedRecord>
}
