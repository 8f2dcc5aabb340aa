// The index of a keyset's backups: a log of signed and chained records. Nobody can forge, drop or move a record without
// being detected. Only cutting off the end goes unnoticed; to detect that, compare the number of records. The log of a
// share works the same way.
import type { RecordReader, RecordWriter } from 'keystrata'
import { type Folder, type IndexWriter, type Listing, type Snapshot, toListing } from './listing.ts'
import { type FolderStore, versionName } from './store.ts'

/** The content of a record. */
type Line =
  | { folders: readonly Folder[] }
  /** Completes a backup. It consists of the last `lines` lines; any lines before them come from an interrupted run. */
  | { snapshot: Snapshot; lines: number }
  /** In the log of a share: the hash of the head of each shared block, by label. */
  | { pinned: Record<string, string> }

/** Appends to a log, after the last stored record. */
export class LogWriter implements IndexWriter {
  readonly #writer: RecordWriter
  readonly #store: FolderStore
  readonly #folder: string
  #last: Uint8Array | 'start'
  #lines = 0

  constructor(writer: RecordWriter, store: FolderStore, folder: string, last: Uint8Array | 'start') {
    this.#writer = writer
    this.#store = store
    this.#folder = folder
    this.#last = last
  }

  add(folders: readonly Folder[]): Promise<void> {
    this.#lines++
    return this.append({ folders })
  }

  async finish(snapshot: Snapshot): Promise<void> {
    await this.append({ snapshot, lines: this.#lines })
    this.#lines = 0
  }

  async append(line: Line): Promise<void> {
    const { sequence, record } = await this.#writer.sealRecord(Buffer.from(JSON.stringify(line)), this.#last)
    await putRecord(this.#store, this.#folder, sequence, record)
    this.#last = record
  }
}

/** Stores a record, but never over another one: two writers must not continue the same log in different ways. */
export async function putRecord(
  store: FolderStore,
  folder: string,
  sequence: number,
  record: Uint8Array,
): Promise<void> {
  if (await store.put(versionName(folder, sequence), record)) return
  throw new Error(`${folder} has a new record from another writer: check whether another backup is running`)
}

export interface OpenedLog {
  folder: string
  /** The last record, which a new one must follow. */
  last: Uint8Array | 'start'
  /** The number of records. Keep it: only this number shows whether the end of the log was cut off. */
  sequence: number
  /** Whether the log contains all records of the previous epoch, resealed. */
  isClosed: boolean
  snapshots: number
  /** The requested backup, by default the newest. Undefined if the log has no such backup. */
  listing?: Listing
  pinned: Map<string, string>
}

/** Reads a log from its start and verifies every record. */
export async function readLog(
  store: FolderStore,
  folder: string,
  reader: RecordReader,
  wanted?: number,
): Promise<OpenedLog> {
  const log: OpenedLog = { folder, last: 'start', sequence: 0, isClosed: false, snapshots: 0, pinned: new Map() }
  let pending: Folder[][] = []
  for (const name of await store.versions(folder)) {
    const record = (await store.get(name)) ?? new Uint8Array(0)
    const { content, closes, sequence } = await opened(reader, record, log.last, name)
    log.last = record
    log.sequence = sequence
    log.isClosed ||= closes
    if (closes) continue
    const line = JSON.parse(Buffer.from(content).toString()) as Line
    if ('folders' in line) pending.push([...line.folders])
    else if ('pinned' in line) for (const [label, hash] of Object.entries(line.pinned)) log.pinned.set(label, hash)
    else {
      log.snapshots++
      if (wanted === undefined || wanted === log.snapshots) {
        const lines = line.lines === 0 ? [] : pending.slice(-line.lines)
        log.listing = toListing(line.snapshot, lines.flat())
      }
      pending = []
    }
  }
  return log
}

async function opened(reader: RecordReader, record: Uint8Array, after: Uint8Array | 'start', name: string) {
  try {
    return await reader.openRecord(record, { after })
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`, { cause: error })
  }
}

/** Returns the folder for one epoch of the index. */
export const indexFolder = (epoch: number): string => `log-${String(epoch).padStart(8, '0')}`

/** Reads the index. If there are several epochs, it reads the highest one that is complete. */
export async function readIndex(store: FolderStore, reader: RecordReader, wanted?: number): Promise<OpenedLog> {
  for (const folder of (await store.folders('log-')).reverse()) {
    const log = await readLog(store, folder, reader, wanted)
    if (log.isClosed || folder === indexFolder(0)) return log
  }
  return readLog(store, indexFolder(0), reader, wanted)
}
