// Records one by one: what a key model can do with them, and the two doors for products that keep records in stores of
// their own. Logs in a StateStore are in log.ts.
import { type Bytes, bytesFrom, concat, copyOf, equalBytes } from '../core/bytes.ts'
import { wiping } from '../core/secret.ts'
import { MAX_CONTENT_BYTES } from '../core/envelope.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { fieldsFrom } from '../core/options.ts'
import type { RecordSuite } from '../core/suite.ts'
import { sha256 } from '../primitives/hash.ts'
import { logIdOf, NO_HASH, type ParsedRecord, parseRecord, positionText, type RecordFields } from './record-layout.ts'
import { nextVersion } from './version.ts'

/** What one owner's keys can do with records. Each key model implements it. */
export interface RecordKeys {
  /** The keyset, share, vault or scope whose records these keys write. */
  readonly ownerId: Uint8Array
  /** Returns whether a keyset has adopted the source with this id. */
  isAdopted(ownerId: Uint8Array): boolean
  /**
   * Checks the form of the body, and that the owner in the header made the record.
   * @throws KeystrataError `key-not-found` if the owner is neither these keys' own nor adopted
   * @throws KeystrataError `policy` if a definition lacks the keys to check it
   * @throws KeystrataError `malformed`, `authentication-failed`
   */
  verify(record: ParsedRecord): void
  /** Returns the content of a close or a seal-off that was verified. */
  markerContent(record: ParsedRecord): Uint8Array
  /** Returns whether a record is under the key that new records are sealed to. */
  isCurrent(record: ParsedRecord): boolean
  /** Undefined if these keys cannot write. */
  readonly write: RecordSealer | undefined
  /** Opens a record that was verified. Undefined if these keys cannot read. */
  readonly open: ((record: ParsedRecord) => Promise<Bytes>) | undefined
  /**
   * Returns what encodes and signs a close or a seal-off. Undefined if these keys never reseal.
   * @throws KeystrataError `policy` if a definition lacks the keys for it
   */
  readonly marker: (() => Marker) | undefined
}

/** Encodes and signs a close or a seal-off. */
export type Marker = (fields: RecordFields, logId: Uint8Array, content: Uint8Array) => Bytes

export interface RecordSealer {
  /** Returns a fresh id, 16 bytes, for a record with this content. */
  createId(logId: Uint8Array, digest: Uint8Array): Bytes
  /**
   * Seals content. All of it is read before the promise is returned.
   * @param digest the SHA-256 of the content
   * @param was the suite of the record that is resealed: the new one is not weaker
   */
  seal(
    fields: RecordFields,
    logId: Uint8Array,
    content: Uint8Array,
    digest: Uint8Array,
    was?: RecordSuite,
  ): Promise<Bytes>
}

const keysOfHandles: WeakMap<object, () => RecordKeys> = /* @__PURE__ */ new WeakMap()

/** Registers what a handle can do with records. `keys` throws `disposed` once the handle was disposed of. */
export function setRecordKeys(handle: object, keys: () => RecordKeys): void {
  keysOfHandles.set(handle, keys)
}

/**
 * Returns what a handle can do with records.
 * @throws TypeError if it is not a handle from this copy of the library
 */
export function recordKeysOf(handle: object): () => RecordKeys {
  const keys = keysOfHandles.get(handle)
  if (keys === undefined) {
    throw new TypeError('keys must be a keyset, its writer, a share, a vault or a scope from this copy of the library')
  }
  return keys
}

/**
 * Where a record stands in a log.
 * @example
 * ```ts
 * import type { RecordPlace } from 'keystrata'
 *
 * const behind = (last: Uint8Array | undefined): RecordPlace => ({ log: 'backups', after: last ?? 'start' })
 * ```
 */
export interface RecordPlace {
  /** The name of the log: 1 to 255 bytes of text. A record of one log never opens in another. */
  readonly log: string
  /** The bytes of the record before it, or 'start' for the first. */
  readonly after: Uint8Array | 'start'
}

/**
 * A record and its place.
 * @example
 * ```ts
 * import type { SealedRecord } from 'keystrata'
 *
 * const nameOf = ({ position }: SealedRecord) => `records/${position.split('-')[0]}`
 * ```
 */
export interface SealedRecord {
  /** The bytes to store. Never replace a stored record. */
  readonly record: Bytes
  /** The number and the id of the record, as text: `<number>-<32 hex digits>`. They stay when a log is resealed. */
  readonly position: string
  /** `close` and `seal-off` are markers that resealing a log in a store leaves behind. */
  readonly kind: 'content' | 'close' | 'seal-off'
}

/**
 * Seals records one by one, for products that keep them in a store of their own. In a
 * `StateStore`, `openLog` does the rest too.
 * @example
 * ```ts
 * import type { RecordWriter } from 'keystrata'
 *
 * function sealLine(line: string, writer: RecordWriter, last?: Uint8Array) {
 *   return writer.sealRecord(new TextEncoder().encode(line), { log: 'backups', after: last ?? 'start' })
 * }
 * ```
 */
export interface RecordWriter {
  /**
   * Seals the record that follows another one. All of the content is read before the promise is returned. If the store
   * never replaces a record, two writers cannot continue the log in two ways. To seal a log under new keys, seal all
   * contents again, in a log with another name.
   * @param content at most 64 MiB
   * @throws KeystrataError `authentication-failed` if `after` is not a record of this owner in this log
   * @throws KeystrataError `key-not-found` if it belongs to another owner
   * @throws KeystrataError `malformed` or `unsupported` if it is not a record
   * @throws KeystrataError `policy` if it is a seal-off; in the scope `public` and under DES-56
   * @throws KeystrataError `limit-exceeded` if the content is too large
   * @throws KeystrataError `invalid-text` if the name of the log is empty or over 255 bytes, or has a character that no
   *   name may have
   * @throws KeystrataError `disposed` if this handle was disposed of
   */
  sealRecord(content: Uint8Array, place: RecordPlace): Promise<SealedRecord>
}

/**
 * Opens records one by one, for products that keep them in a store of their own.
 * @example
 * ```ts
 * import type { RecordReader } from 'keystrata'
 *
 * async function positionOf(record: Uint8Array, before: Uint8Array | 'start', reader: RecordReader) {
 *   return (await reader.openRecord(record, { log: 'backups', after: before })).position
 * }
 * ```
 */
export interface RecordReader {
  /**
   * Opens a record after checking who made it, and its place in the log.
   * @param place `after`: the bytes of the previous record, or 'start' for the first. With it, a record that was dropped,
   *   moved or repeated is an error. With 'unchecked' only the log is checked
   * @throws KeystrataError `authentication-failed` if another owner created the record, it was altered, it belongs to
   *   another log, or it does not follow `after`
   * @throws KeystrataError `key-not-found` if it belongs to another owner, or is under a key pair that was forgotten
   * @throws KeystrataError `policy`, `malformed`, `unsupported`, `limit-exceeded`, `disposed`
   */
  openRecord(
    record: Uint8Array,
    place: RecordPlace | { log: string; after: 'unchecked' },
  ): Promise<SealedRecord & { content: Bytes }>
}

/** Returns content after checking its type and size. */
export function recordContentFrom(given: Uint8Array): Uint8Array {
  const content = bytesFrom(given, 'content')
  if (content.length <= MAX_CONTENT_BYTES) return content
  throw new KeystrataError('limit-exceeded', 'this content is too large: a record holds at most 64 MiB', {
    object: 'record',
    bytes: content.length,
  })
}

/** Seals the record that follows another one. */
export async function sealRecord(keys: RecordKeys, given: Uint8Array, place: RecordPlace): Promise<SealedRecord> {
  const content = recordContentFrom(given)
  const { logId, after } = placeFrom(place)
  const writer = writerOf(keys)
  const digest = sha256(content)
  using _ = wiping(digest)
  const id = writer.createId(logId, digest)
  const fields: RecordFields = { kind: 'content', id, isAfterDamage: false, ...fieldsAfter(after, logId, keys) }
  const record = await writer.seal(fields, logId, content, digest)
  return { record, position: positionText(fields), kind: 'content' }
}

/** @throws TypeError if these keys cannot write */
export function writerOf({ write }: RecordKeys): RecordSealer {
  if (write === undefined) throw new TypeError('these keys open records and cannot seal them')
  return write
}

function placeFrom<A>(place: { log: string; after: A }): { logId: Bytes; after: A } {
  const rules = { log: 'required', after: 'required' } as const
  const hint = ": a name, and 'start' or the bytes of the record before it"
  const { log, after } = fieldsFrom<{ log: string; after: unknown }>(place, rules, 'place', hint)
  return { logId: logIdOf(log), after: after as A }
}

const AFTER = "after, where it is not 'start',"

type Place = Pick<RecordFields, 'epoch' | 'sequence' | 'number' | 'previous'>

const START: Place = { epoch: 0, sequence: 1, number: 1, previous: NO_HASH }

function fieldsAfter(after: Uint8Array | 'start', logId: Uint8Array, keys: RecordKeys): Place {
  if (after === 'start') return START
  const last = parseRecord(bytesFrom(after, AFTER), logId)
  keys.verify(last)
  if (!equalBytes(last.header.ownerId, keys.ownerId)) throw authenticationFailed()
  if (last.kind === 'seal-off') {
    throw new KeystrataError('policy', 'this record ends its epoch: nothing follows it', { rule: 'seal-off' })
  }
  const { epoch, sequence, number, encoded } = last
  return {
    epoch,
    sequence: nextVersion(sequence),
    number: nextVersion(number),
    previous: sha256(encoded.bytes),
  }
}

/** Opens a record. It verifies who made it and its place before it decrypts. */
export async function openRecord(
  keys: RecordKeys,
  stored: Uint8Array,
  place: RecordPlace | { log: string; after: 'unchecked' },
): Promise<SealedRecord & { content: Bytes }> {
  const given = bytesFrom(stored, 'record')
  const { logId, after } = placeFrom<Uint8Array | 'start' | 'unchecked'>(place)
  const record = parseRecord(given, logId)
  keys.verify(record)
  if (after !== 'unchecked') assertFollows(record, after)
  const content = record.kind === 'content' ? await openWith(keys, record) : concat(keys.markerContent(record))
  return { record: copyOf(record.encoded.bytes), position: positionText(record), kind: record.kind, content }
}

/**
 * Opens a record that was verified.
 * @throws TypeError if these keys cannot read
 */
export function openWith({ open }: RecordKeys, record: ParsedRecord): Promise<Bytes> {
  if (open === undefined) throw new TypeError('these keys seal records and cannot open them')
  return open(record)
}

/**
 * Checks that a record directly follows another one.
 * @throws KeystrataError `authentication-failed` if it does not
 * @throws KeystrataError `malformed`, `unsupported` or `limit-exceeded` if the other is not a record
 */
function assertFollows(record: ParsedRecord, after: Uint8Array | 'start'): void {
  const { kind, header, epoch, sequence, number, previous, isAfterDamage } = record
  if (after === 'start') {
    if (sequence !== 1 || !equalBytes(previous, NO_HASH) || (kind === 'content' && epoch === 0 && number !== 1))
      throw authenticationFailed()
    return
  }
  const last = parseRecord(bytesFrom(after, AFTER), record.encoded.logId)
  const holds =
    equalBytes(last.header.ownerId, header.ownerId) &&
    last.kind !== 'seal-off' &&
    last.epoch === epoch &&
    last.sequence + 1 === sequence &&
    // The number of a marker counts those that were left out, too.
    (kind !== 'content' || last.number + 1 === number) &&
    (isAfterDamage || equalBytes(sha256(last.encoded.bytes), previous))
  if (!holds) throw authenticationFailed()
}
