// Logs and configuration (SPEC §6.7): who seals their records, and who opens them.
import type { BlockReader } from '../blocks/block.ts'
import type { OpenedRecord, SealedRecord } from '../blocks/record.ts'
import type { Handle } from '../secret.ts'

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
