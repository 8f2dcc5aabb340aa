// The index of a keyset's backups: a log of signed and chained records. Nobody can forge, drop or move a record without
// being detected. Only cutting off the end goes unnoticed; to detect that, compare the number of records. The log of a
// share works the same way. Each record is a version of the object `log/<id>/<epoch>`. Resealing begins the next epoch,
// and `log/<id>` says which one is complete.
import { randomUUID } from 'node:crypto'
import type { Keyset, RecordReader, RecordWriter } from 'keystrata'
import type { StateStore } from 'keystrata/stores'
import { writeNext } from './backup-store.ts'
import { type Folder, type IndexWriter, type Listing, type Snapshot, toListing } from './listing.ts'

/** The content of a record. */
type Line =
  | { run: string; folders: readonly Folder[] }
  /** Completes a backup: it consists of all folders of this run. */
  | { run: string; snapshot: Snapshot }
  /** In the log of a share: the pin of each shared block, by label. */
  | { pinned: Record<string, string> }

/** Appends to a log. Several of these may append at the same time. */
export class LogWriter implements IndexWriter {
  readonly #writer: RecordWriter
  readonly #state: StateStore
  readonly #name: string
  #run: string = randomUUID()

  private constructor(writer: RecordWriter, state: StateStore, name: string) {
    this.#writer = writer
    this.#state = state
    this.#name = name
  }

  /**
   * Opens the current epoch of a log. Call `checkWriter` after this and after the run: it throws if the log may have been
   * resealed meanwhile, and what this appends would be lost.
   */
  static async open(writer: RecordWriter, state: StateStore, id: string): Promise<LogWriter> {
    return new LogWriter(writer, state, (await currentEpoch(state, id)).name)
  }

  add(folders: readonly Folder[]): Promise<void> {
    return this.append({ run: this.#run, folders })
  }

  async finish(snapshot: Snapshot): Promise<void> {
    await this.append({ run: this.#run, snapshot })
    this.#run = randomUUID()
  }

  async append(line: Line): Promise<void> {
    const content = Buffer.from(JSON.stringify(line))
    await writeNext(this.#state, this.#name, async (last) => {
      return (await this.#writer.sealRecord(content, last ?? 'start')).record
    })
  }
}

export interface OpenedLog {
  /** The name of the object that holds the records. */
  name: string
  /** The number of records. Keep it: only this number shows whether the end of the log was cut off. */
  records: number
  snapshots: number
  /** The requested backup, by default the newest. Undefined if the log has no such backup. */
  listing?: Listing
  pinned: Map<string, string>
}

/** Reads a log from its start and verifies every record. */
export async function readLog(
  state: StateStore,
  id: string,
  reader: RecordReader,
  wanted?: number,
): Promise<OpenedLog> {
  const { name, epoch } = await currentEpoch(state, id)
  const log: OpenedLog = { name, records: 0, snapshots: 0, pinned: new Map() }
  const runs: Map<string, Folder[]> = new Map()
  let last: Uint8Array | 'start' = 'start'
  let isComplete = epoch === 0
  for await (const record of recordsIn(state, name)) {
    const place = `${name}, record ${++log.records}`
    const { content, closes } = await opened(reader, record, last, place)
    last = record
    isComplete ||= closes
    if (closes) continue
    const line = JSON.parse(Buffer.from(content).toString()) as Line
    if ('folders' in line) runs.set(line.run, [...(runs.get(line.run) ?? []), ...line.folders])
    else if ('pinned' in line) for (const [label, pin] of Object.entries(line.pinned)) log.pinned.set(label, pin)
    else {
      log.snapshots++
      if (wanted === undefined || wanted === log.snapshots) {
        log.listing = toListing(line.snapshot, runs.get(line.run) ?? [])
      }
      runs.delete(line.run)
    }
  }
  if (!isComplete) throw new Error(`${name} lacks records: it was not resealed to the end`)
  return log
}

async function opened(reader: RecordReader, record: Uint8Array, after: Uint8Array | 'start', place: string) {
  try {
    return await reader.openRecord(record, { after })
  } catch (error) {
    throw new Error(`${place}: ${(error as Error).message}`, { cause: error })
  }
}

/**
 * Reseals a log for the current key pair of a keyset. It may be stopped at any point and called again.
 * @returns the number of records
 */
export async function resealLog(keyset: Keyset, state: StateStore, id: string): Promise<number> {
  const { name, epoch, pointer } = await currentEpoch(state, id)
  let next = epoch + 1
  // An interrupted run may have left an incomplete epoch behind.
  while ((await state.read(nameOf(id, next))) !== undefined) next++
  let records = 0
  for await (const { sequence, record } of keyset.resealRecords(recordsIn(state, name))) {
    if (!(await state.write(nameOf(id, next), sequence, record))) throw resealedElsewhere(id)
    records++
  }
  if (records === 0) return 0
  if (!(await state.write(`log/${id}`, pointer + 1, Buffer.from(String(next))))) throw resealedElsewhere(id)
  // Nobody reads the old epoch any more.
  await state.drop(name, Number.MAX_SAFE_INTEGER)
  return records
}

const resealedElsewhere = (id: string): Error =>
  new Error(`log/${id}: another machine reseals this log: check which one, and try again later`)

const nameOf = (id: string, epoch: number): string => `log/${id}/${epoch}`

/** Returns the complete epoch of a log, and the version of the pointer that says so; 0 if there is none yet. */
async function currentEpoch(state: StateStore, id: string): Promise<{ name: string; epoch: number; pointer: number }> {
  const pointer = await state.read(`log/${id}`)
  const epoch = pointer === undefined ? 0 : Number(Buffer.from(pointer.bytes).toString())
  if (!Number.isSafeInteger(epoch)) throw new Error(`log/${id} is damaged: it does not contain a number`)
  return { name: nameOf(id, epoch), epoch, pointer: pointer?.version ?? 0 }
}

async function* recordsIn(state: StateStore, name: string): AsyncGenerator<Uint8Array> {
  const newest = (await state.read(name))?.version ?? 0
  for (let version = 1; version <= newest; version++) {
    const record = await state.readVersion(name, version)
    if (record === undefined) throw new Error(`${name}: record ${version} is missing`)
    yield record
  }
}
