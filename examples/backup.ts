// Backs up a folder tree with a writer alone: no password, nothing that could restore.
import type { Stats } from 'node:fs'
import { type FileHandle, lstat, open, readdir, readlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { BlockWriter } from 'keystrata'
import { encodeContent, type Entry, Kind, newTally, PIECE_BYTES, putContent, type Tally } from './snapshot.ts'
import type { FolderStore } from './store.ts'

export interface BackupOptions {
  writer: BlockWriter
  store: FolderStore
  /** Folders to leave out: the store itself, say. */
  exclude?: readonly string[]
  /** Gets one line for whatever could not be backed up. */
  onProblem: (line: string) => void
  onBytes?: (bytes: number) => void
}

/** Backs up everything in `folder`; the newest snapshot of the store is then this one. */
export async function backUp(folder: string, options: BackupOptions): Promise<Tally> {
  const run = new BackupRun(options)
  const top = await run.folder(folder)
  const { files, bytes } = run.tally
  const snapshot = encodeContent(Kind.snapshot, { created: new Date().toISOString(), files, bytes, folder: top })
  const label = await putContent(snapshot, options.writer, options.store, run.tally)
  await options.store.putVersion('snapshots', Buffer.from(label))
  return run.tally
}

class BackupRun {
  readonly tally = newTally()
  readonly #options: BackupOptions
  readonly #excluded: ReadonlySet<string>
  /** One buffer for every file: what was prepared is a copy, so the next read may overwrite it. */
  readonly #buffer = Buffer.alloc(PIECE_BYTES + 1)

  constructor(options: BackupOptions) {
    this.#options = options
    this.#excluded = new Set((options.exclude ?? []).map((path) => resolve(path)))
    this.#buffer[0] = Kind.piece
  }

  /** The label of a folder, after everything in it. */
  async folder(path: string): Promise<string> {
    const entries: Entry[] = []
    for (const name of (await readdir(path)).sort()) {
      const child = join(path, name)
      if (this.#excluded.has(resolve(child))) continue
      try {
        const entry = await this.#entry(name, child)
        if (entry !== undefined) entries.push(entry)
      } catch (error) {
        this.#options.onProblem(`cannot back up ${child}: ${(error as Error).message}`)
      }
    }
    return putContent(encodeContent(Kind.folder, entries), this.#options.writer, this.#options.store, this.tally)
  }

  async #entry(name: string, path: string): Promise<Entry | undefined> {
    const stats = await lstat(path)
    const { mtimeMs } = stats
    const common = { name, mode: stats.mode & 0o7777, mtimeMs }
    if (stats.isSymbolicLink()) return { ...common, type: 'link', target: await readlink(path) }
    if (stats.isDirectory()) return { ...common, type: 'folder', folder: await this.folder(path) }
    if (stats.isFile()) return { ...common, type: 'file', ...(await this.#file(path, stats)) }
    this.#options.onProblem(`left out ${path}: neither a file nor a folder nor a link`)
    return undefined
  }

  async #file(path: string, before: Stats): Promise<{ size: number; pieces: string[] }> {
    const file = await open(path)
    try {
      const pieces: string[] = []
      let size = 0
      for (;;) {
        const length = await fill(file, this.#buffer.subarray(1))
        if (length === 0) break
        const content = this.#buffer.subarray(0, 1 + length)
        pieces.push(await putContent(content, this.#options.writer, this.#options.store, this.tally))
        size += length
        this.#options.onBytes?.(length)
      }
      const after = await file.stat()
      if (size !== before.size || after.mtimeMs !== before.mtimeMs) {
        this.#options.onProblem(`${path} changed while it was read; what was read is backed up`)
      }
      this.tally.files++
      this.tally.bytes += size
      return { size, pieces }
    } finally {
      await file.close()
    }
  }
}

/** Reads until the buffer is full or the file ends. */
async function fill(file: FileHandle, buffer: Uint8Array): Promise<number> {
  let filled = 0
  while (filled < buffer.length) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return filled
}
