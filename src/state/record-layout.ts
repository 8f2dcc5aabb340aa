// Records as bytes (SPEC §7.1): the fields that all key models share, in front of a body that each key model lays out
// itself.
import { allocate, type Bytes, concat, copyOf, domain, fromHex, lengthPrefixed, toHex, utf8 } from '../core/bytes.ts'
import { bytes, type Codec, decode, encode, struct, uint64, version } from '../core/codec.ts'
import { KeystrataError } from '../core/errors.ts'
import { encodeHeader, type Header, HEADER_BYTES, ObjectType, parseHeader } from '../core/header.ts'
import { RECORD_SUITES, type RecordSuite, Suite } from '../core/suite.ts'
import { parseName } from '../core/text.ts'
import { sha256 } from '../primitives/hash.ts'

/** The size limit of a record: the longest content (64 MiB), and 4,096 bytes, which is more than the rest needs. */
export const MAX_RECORD_BYTES = 67_112_960

/** The length of the fields that all records share: the header, and 64 bytes. */
export const FRAME_BYTES = 112

/** What `previous` is in the first record of an epoch, and the id of a record that cannot be read. */
export const NO_HASH: Uint8Array = /* @__PURE__ */ allocate(32)
export const NO_ID: Uint8Array = /* @__PURE__ */ allocate(16)

const Flag = { close: 1, sealOff: 2, afterDamage: 4, always: 8 } as const
const FLAGS: readonly number[] = /* @__PURE__ */ [0, Flag.close, Flag.sealOff].flatMap((kind) => [
  Flag.always | kind,
  Flag.always | kind | Flag.afterDamage,
])

/** What a record is: one that holds content, one that closes the copies in an epoch, or the last one of an epoch. */
export type RecordKind = 'content' | 'close' | 'seal-off'

/** The place of a record in its log, and what it is. */
export interface RecordFields {
  readonly kind: RecordKind
  readonly epoch: number
  /** The version in its epoch, from 1. */
  readonly sequence: number
  /** Counts the contents of the log. A marker has the highest number that it accounts for. */
  readonly number: number
  /** 16 bytes. */
  readonly id: Uint8Array
  /** The SHA-256 of the record before it, or zeros. */
  readonly previous: Uint8Array
  /** Whether the record before it was damaged when this one was written. */
  readonly isAfterDamage: boolean
}

/** Who a record belongs to, as its header says. */
export type RecordOwner = Pick<Header<RecordSuite>, 'suite' | 'keyId' | 'ownerId'>

interface Frame extends Pick<RecordFields, 'sequence' | 'number' | 'id' | 'previous'> {
  readonly headerBytes: Uint8Array
}

const frame: Codec<Frame> = struct({
  headerBytes: bytes(HEADER_BYTES),
  sequence: version,
  number: uint64,
  id: bytes(16),
  previous: bytes(32),
})

/** A record as bytes, with the beginning of the signed message in front of them, so that signing needs no copy. */
export class RecordBytes {
  readonly logId: Uint8Array
  /** The whole record. */
  readonly bytes: Bytes
  readonly #whole: Bytes

  constructor(whole: Bytes, logId: Uint8Array) {
    this.#whole = whole
    this.logId = logId
    this.bytes = whole.subarray(prefixOf(logId).length)
  }

  get headerBytes(): Bytes {
    return this.bytes.subarray(0, HEADER_BYTES)
  }

  /** The bytes after the fields that all records share. */
  get body(): Bytes {
    return this.bytes.subarray(FRAME_BYTES)
  }

  /** Returns the fields between the header and the sealed content, of which `more` bytes are in the body. */
  parameters(more: number): Bytes {
    return this.bytes.subarray(HEADER_BYTES, FRAME_BYTES + more)
  }

  /** Returns the message that authenticates the record: everything before its last `tail` bytes. */
  message(tail: number): Uint8Array {
    return this.#whole.subarray(0, this.#whole.length - tail)
  }
}

const prefixOf = (logId: Uint8Array): Bytes => concat(domain('sign/record'), logId)

/** A record whose form was checked, and nothing else. */
export interface ParsedRecord extends RecordFields {
  readonly header: Header<RecordSuite>
  readonly encoded: RecordBytes
}

/**
 * Parses a copy of a record. Of its body, only the length is checked.
 * @throws KeystrataError `limit-exceeded`, `malformed`, `unsupported`
 */
export function parseRecord(stored: Uint8Array, logId: Uint8Array): ParsedRecord {
  if (stored.length > MAX_RECORD_BYTES)
    throw new KeystrataError('limit-exceeded', 'this record is too large: a record holds at most 64 MiB', {
      object: 'record',
      bytes: stored.length,
    })
  // Everything is read from the copy: the caller may share its memory with another thread.
  const encoded = new RecordBytes(concat(prefixOf(logId), stored), logId)
  const { bytes: copy } = encoded
  const options = { generation: 'any', flags: FLAGS } as const
  const header = parseHeader(copy, 'record', ObjectType.record, RECORD_SUITES, options)
  const kind = kindOf(header.flags)
  assertFits(header.suite, kind)
  const { sequence, number, id, previous } = decode(frame, copy.subarray(0, FRAME_BYTES), 'record', copy.length)
  if (encoded.body.length < leastBody(header.suite, kind))
    throw new KeystrataError('malformed', 'this record is cut short', { object: 'record', bytes: copy.length })
  if (kind === 'content' && number === 0)
    throw new KeystrataError('malformed', 'this record has content, but no number', {
      object: 'record',
      bytes: copy.length,
    })
  const { flags, generation: epoch } = header
  return { header, kind, epoch, sequence, number, id, previous, encoded, isAfterDamage: hasFlag(flags, 'afterDamage') }
}

/** Returns a record if it has the form of one, and undefined otherwise. Nothing of it is verified. */
export function wellFormed(stored: Uint8Array, logId: Uint8Array): ParsedRecord | undefined {
  try {
    return parseRecord(stored, logId)
  } catch (error) {
    if (error instanceof KeystrataError) return undefined
    throw error
  }
}

const hasFlag = (flags: number, flag: keyof typeof Flag): boolean => (flags & Flag[flag]) !== 0

function kindOf(flags: number): RecordKind {
  if (hasFlag(flags, 'close')) return 'close'
  return hasFlag(flags, 'sealOff') ? 'seal-off' : 'content'
}

function flagsOf({ kind, isAfterDamage }: RecordFields): number {
  const ofKind = { content: 0, close: Flag.close, 'seal-off': Flag.sealOff }[kind]
  return Flag.always | ofKind | (isAfterDamage ? Flag.afterDamage : 0)
}

/** @throws KeystrataError `unsupported` if records of this kind do not have this suite */
function assertFits({ id, record }: RecordSuite, kind: RecordKind): void {
  if (record === 'mac' || (kind === 'content') === (id !== Suite.none.id)) return
  throw new KeystrataError('unsupported', 'record: a suite and a flag that do not go together; the object is damaged', {
    object: 'record',
    field: 'suite',
    found: id,
  })
}

/** Returns the length of the shortest body of this suite and kind (SPEC §7.2). */
function leastBody({ id, record }: RecordSuite, kind: RecordKind): number {
  if (kind !== 'content') return record === 'mac' ? 32 : 2 * 64
  if (record === 'mac') return 32 + 32 + 16 + 32
  return (id === Suite.hybrid.id ? 32 + 1568 : 32) + 32 + 32 + 16 + 64
}

/** Encodes the fields of a record, with room for a body of this length. */
export function draftRecord(
  fields: RecordFields,
  { suite, keyId, ownerId }: RecordOwner,
  logId: Uint8Array,
  bodyBytes: number,
): RecordBytes {
  const { epoch: generation, sequence, number, id, previous } = fields
  const flags = flagsOf(fields)
  const headerBytes = encodeHeader({ type: ObjectType.record, suite, keyId, ownerId, generation, flags })
  const encoded = encode(frame, { headerBytes, sequence, number, id, previous })
  return new RecordBytes(concat(prefixOf(logId), encoded, allocate(bodyBytes)), logId)
}

/**
 * Returns the id of a log, 16 bytes.
 * @throws KeystrataError `invalid-text` if the name is empty, over 255 bytes of UTF-8, or has a character that no name may
 *   have
 * @throws TypeError if it is not a string
 */
export function logIdOf(name: string): Bytes {
  return copyOf(sha256(domain('log-name'), lengthPrefixed(utf8(parseName(name, 'log name')))).subarray(0, 16))
}

/** The number and the id of a content record. They stay when the log is resealed. */
export type Position = Pick<RecordFields, 'number' | 'id'>

/** The position before the first record. */
export const NOWHERE: Position = { number: 0, id: NO_ID }

/** Returns a position as text: `<number>-<32 hex digits>`. */
export const positionText = ({ number, id }: Position): string => `${number}-${toHex(id)}`

/**
 * Parses the text of a position.
 * @throws TypeError if it is not one
 */
export function parsePosition(text: string, what: string): Position {
  const [digits = '', hex = '', ...more] = typeof text === 'string' ? text.split('-') : []
  const id = fromHex(hex, 16)
  const number = /^[1-9]\d*$/.test(digits) ? Number(digits) : Number.NaN
  if (id === undefined || more.length > 0 || !Number.isSafeInteger(number)) {
    throw new TypeError(`${what} must be the position of a record, a text such as 3-${'0'.repeat(32)}`)
  }
  return { number, id }
}
