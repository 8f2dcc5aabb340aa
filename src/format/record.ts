// A record of a log or a configuration (SPEC §6.7): sealed, signed, and chained to the one before it.
import * as P from 'micro-packed'
import { type Bytes, concat } from '../bytes.ts'
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

const layouts: Readonly<Record<number, { readonly coder: P.CoderType<RecordHead>; readonly bytes: number }>> = {
  [Suite.x25519]: { coder: recordHead(0), bytes: 184 },
  [Suite.hybrid]: { coder: recordHead(1568), bytes: 1752 },
}

export interface StoredRecord extends RecordHead {
  readonly header: Header
  /** Whether it closes its epoch. */
  readonly closes: boolean
  /** ct ‖ tag. */
  readonly sealed: Bytes
  readonly signature: Uint8Array
  /** Every byte in front of the signature. */
  readonly signed: Uint8Array
}

/**
 * Reads from a copy.
 * @throws KeystrataError `limit-exceeded`, `malformed`, `unsupported`
 */
export function parseRecord(stored: Uint8Array): StoredRecord {
  if (stored.length > MAX_RECORD_BYTES) {
    throw new KeystrataError('limit-exceeded', 'a record over 64 MiB', { bytes: stored.length })
  }
  const bytes = new Uint8Array(stored)
  const header = parseHeader(bytes, 'record', ObjectType.record, [Suite.x25519, Suite.hybrid], {
    generations: true,
    flag: END_FLAG,
  })
  const layout = layouts[header.suite]
  const least = (layout?.bytes ?? 0) + TAG_BYTES + SIGNATURE_BYTES
  if (layout === undefined || bytes.length < least) {
    throw new KeystrataError('malformed', 'a record cut short', { bytes: bytes.length })
  }
  return {
    ...decode(layout.coder, bytes.subarray(0, layout.bytes), 'record'),
    header,
    closes: header.flags === END_FLAG,
    sealed: bytes.subarray(layout.bytes, -SIGNATURE_BYTES),
    signature: bytes.subarray(-SIGNATURE_BYTES),
    signed: bytes.subarray(0, -SIGNATURE_BYTES),
  }
}

/** The head, and room behind it for content, tag and signature. */
export function encodeRecord(suite: number, head: RecordHead, content: Uint8Array): Bytes {
  const layout = layouts[suite]
  if (layout === undefined) throw new KeystrataError('unsupported', `no record of suite ${suite}`)
  return concat(encode(layout.coder, head), content, new Uint8Array(TAG_BYTES + SIGNATURE_BYTES))
}

/** Everything between the header and the content: what the associated data covers. */
export function recordParameters(record: Uint8Array, suite: number): Uint8Array {
  return record.subarray(HEADER_BYTES, layouts[suite]?.bytes)
}
