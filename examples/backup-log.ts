// The index of all backups: a log, which every key model has. Nobody can forge, drop or move a record without being
// detected. A store can cut off the end unnoticed, unless the reader knows a position. The log of a share is the same, with
// refs of the share.
import { randomUUID } from 'node:crypto'
import type { LogReader, LogWriter } from 'keystrata'
import { type Folder, type IndexWriter, type Listing, type Snapshot, toListing } from './listing.ts'

/** The name of the log. Each keyset, vault, client and share has its own, in its own part of the store. */
export const BACKUPS = 'backups'

/** The content of a record. The one with the snapshot completes a backup: it consists of all folders of this run. */
type Line = { run: string; folders: readonly Folder[] } | { run: string; snapshot: Snapshot }

/** Writes backups into a log. Several of these may append at the same time. */
export class BackupLog implements IndexWriter {
  position: string | undefined
  readonly #log: LogWriter
  readonly #beforeFinish: () => Promise<void>
  #run: string = randomUUID()

  /** @param beforeFinish runs before the record that completes a backup */
  constructor(log: LogWriter, beforeFinish: () => Promise<void> = async () => undefined) {
    this.#log = log
    this.#beforeFinish = beforeFinish
  }

  add(folders: readonly Folder[]): Promise<void> {
    return this.#append({ run: this.#run, folders })
  }

  async finish(snapshot: Snapshot): Promise<void> {
    await this.#beforeFinish()
    await this.#append({ run: this.#run, snapshot })
    this.#run = randomUUID()
  }

  async #append(line: Line): Promise<void> {
    this.position = await this.#log.append(Buffer.from(JSON.stringify(line)))
  }
}

export interface ReadBackups {
  snapshots: number
  /** The requested backup, by default the newest. Undefined if the log has no such backup. */
  listing?: Listing
}

/**
 * Reads a log from its start and verifies every record.
 * @param options `snapshot`: which backup is wanted. `atLeast`: a position that the log must have
 */
export async function readBackups(
  log: LogReader,
  { snapshot, atLeast }: { snapshot?: number | undefined; atLeast?: string | undefined } = {},
): Promise<ReadBackups> {
  const found: ReadBackups = { snapshots: 0 }
  const runs: Map<string, Folder[]> = new Map()
  for await (const { content } of log.read({ ...(atLeast !== undefined && { atLeast }) })) {
    const line = JSON.parse(Buffer.from(content).toString()) as Line
    if ('folders' in line) runs.set(line.run, [...(runs.get(line.run) ?? []), ...line.folders])
    else {
      found.snapshots++
      if (snapshot === undefined || snapshot === found.snapshots) {
        found.listing = toListing(line.snapshot, runs.get(line.run) ?? [])
      }
      runs.delete(line.run)
    }
  }
  return found
}

/** Reads the listing of one backup. The options are those of {@link readBackups}. */
export async function readListing(...given: Parameters<typeof readBackups>): Promise<Listing> {
  const { listing } = await readBackups(...given)
  if (listing === undefined) throw new Error('the index does not list this backup')
  return listing
}
