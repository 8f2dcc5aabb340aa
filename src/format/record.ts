// A record of a log or a configuration (SPEC §6.7): sealed, signed, and chained to the one before it.
import * as P from 'micro-packed'
import { type Bytes, concat, domain } from '../bytes.ts'
import { KeystrataError } from '../errors.ts'
import { SIGNATURE_BYTES } from './card.ts'
import { decode, encode, version } from './codec.ts'
import { type AgreementParts, MAX_CONTENT_BYTES } from './envelope.ts'
import { type Header, HEADER_BYTES, ObjectType, parseHeader, Suite } from './header.ts'

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
