// The index of a keyset's backups: a log of records, signed and chained, so that nothing in it can be forged, dropped or
// moved, and no older one passes for the newest but by cutting its end. A share's log is one too.
import type { RecordReader, RecordWriter } from 'keystrata'
import { type Folder, type IndexWriter, type Listing, type Snapshot, toListing } from './listing.ts'
import { type FolderStore, versionName } from './store.ts'

/** What is in a record. */
type Line =
  | { folders: readonly Folder[] }
  /** Ends a backup, which is so many lines before this one: others were left by a run that did not come to its end. */
  | { snapshot: Snapshot; lines: number }
  /** Of a share: what its blocks are known by, by their labels. */
  | { pinned: Record<string, string> }

/** Appends to a log, behind the last record that is stored. */
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

/** Create-only, so that a log never goes two ways. */
export async function putRecord(
  store: FolderStore,
  folder: string,
  sequence: number,
  record: Uint8Array,
): Promise<void> {
  if (await store.put(versionName(folder, sequence), record)) return
  throw new Error(`${folder} grew meanwhile: is another backup running?`)
}

export interface OpenedLog {
  folder: string
  /** What a new record goes behind. */
  last: Uint8Array | 'start'
  /** How many records there are: keep it, because a cut end shows by it alone. */
  sequence: number
  /** Whether all records of the epoch before are here, sealed anew. */
  isClosed: boolean
  snapshots: number
  /** The backup that was asked for, by default the newest. */
  listing?: Listing
  pinned: Map<string, string>
}

/** Reads a log from its start, and verifies every record of it. */
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

/** The folder of one epoch of the index. */
export const indexFolder = (epoch: number): string => `log-${String(epoch).padStart(8, '0')}`

/** Reads the index: of several epochs the highest that is complete. */
export async function readIndex(store: FolderStore, reader: RecordReader, wanted?: number): Promise<OpenedLog> {
  for (const folder of (await store.folders('log-')).reverse()) {
    const log = await readLog(store, folder, reader, wanted)
    if (log.isClosed || folder === indexFolder(0)) return log
  }
  return readLog(store, indexFolder(0), reader, wanted)
}
