// The door to every key model: what a backup tool needs of its keys.
import type { BlockReader, BlockWriter } from '../core/block.ts'
import type { RecordReader, RecordWriter } from './record.ts'

/**
 * Seals and opens blocks and records: a keyset, a vault, or a scope of a client. A backup tool that is written against
 * this works with every key model.
 * @example
 * ```ts
 * import { type Keys, openLog } from 'keystrata'
 * import type { Blocks, StateStore } from 'keystrata/stores'
 *
 * async function backUp(content: Uint8Array, keys: Keys, blocks: Blocks, store: StateStore) {
 *   using prepared = await keys.prepare(content)
 *   if (!(await blocks.has(prepared.label))) await blocks.put(await prepared.seal())
 *   return await openLog(store, 'backups', keys).append(new TextEncoder().encode(prepared.label))
 * }
 * ```
 */
export interface Keys extends BlockWriter, BlockReader, RecordWriter, RecordReader {}
