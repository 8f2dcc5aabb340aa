// Backs up a folder tree with a writer only. It needs no password and holds no key that could restore.
import type { Stats } from 'node:fs'
import { lstat, open, readdir, readlink } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { type BlockWriter, cut, packInto, type SealedContent, sealInto } from 'keystrata'
import { type BackupStore, sha256 } from './backup-store.ts'
import { type Entry, type File, type Folder, type IndexWriter, joinPath } from './listing.ts'
import { newTally, type Tally } from './tally.ts'

/** Smaller files share a block with others, if packing is on. */
const SMALL_BYTES = 1024 * 1024
const PACK_BYTES = 8 * 1024 * 1024
const PACK_FILES = 1024
/** How much of a file is read at a time. */
const CHUNK_BYTES = 1024 * 1024
/** How many pieces of a file are sealed at once, if the writer can do that. */
const PIECES_AT_ONCE = Math.min(2 * availableParallelism(), 16)
/** How many entries go into the index at a time. */
const LISTED_AT_ONCE = 5000

export interface BackupOptions {
  writer: BlockWriter
  index: IndexWriter
  blocks: BackupStore['blocks']
  /**
   * Packs small files into one block. Without it, each file is a block of its own, which other clients of an account may
   * have too.
   */
  pack?: boolean
  /** Folders to leave out, such as the store itself. */
  exclude?: readonly string[]
  /** Called with one line for each thing that could not be backed up. */
  onProblem: (line: string) => void
  onBytes?: (bytes: number) => void
}

/** Backs up everything in `folder` as the newest snapshot of the store. */
export async function backUp(folder: string, options: BackupOptions): Promise<Tally> {
  const started = performance.now()
  const run = new BackupRun(options)
  await run.folder(folder, '')
  await run.list()
  run.tally.ms = performance.now() - started
  const { files, bytes } = run.tally
  await options.index.finish({ created: new Date().toISOString(), files, bytes })
  return run.tally
}

class BackupRun {
  readonly tally = newTally()
  readonly #options: BackupOptions
  readonly #excluded: ReadonlySet<string>
  /** Small files that wait to be packed, with their entries, which get the refs. */
  #waiting: { content: Uint8Array; entry: File }[] = []
  #waitingBytes = 0
  /** Folders that wait to be listed. */
  #folders: Folder[] = []
  #entries = 0

  constructor(options: BackupOptions) {
    this.#options = options
    this.#excluded = new Set((options.exclude ?? []).map((path) => resolve(path)))
  }

  async folder(path: string, inside: string): Promise<void> {
    let entries: Entry[] = []
    for (const name of (await readdir(path)).sort()) {
      const child = join(path, name)
      if (this.#excluded.has(resolve(child))) continue
      try {
        const entry = await this.#entry(name, child, joinPath(inside, name))
        if (entry !== undefined) entries.push(entry)
      } catch (error) {
        this.#options.onProblem(`cannot back up ${child}: ${(error as Error).message}`)
      }
      if (entries.length < LISTED_AT_ONCE) continue
      await this.#listed({ path: inside, entries })
      entries = []
    }
    await this.#listed({ path: inside, entries })
  }

  async #entry(name: string, path: string, inside: string): Promise<Entry | undefined> {
    const stats = await lstat(path)
    const { mtimeMs } = stats
    const common = { name, mode: stats.mode & 0o7777, mtimeMs }
    if (stats.isSymbolicLink()) return { ...common, type: 'link', target: await readlink(path) }
    if (stats.isDirectory()) {
      await this.folder(path, inside)
      return { ...common, type: 'folder' }
    }
    if (stats.isFile()) return this.#file(path, inside, common, stats)
    this.#options.onProblem(`left out ${path}: it is not a file, a folder or a link`)
    return undefined
  }

  async #file(path: string, inside: string, common: { name: string; mode: number; mtimeMs: number }, before: Stats) {
    const { writer, blocks, pack, onBytes } = this.#options
    const entry: File = { ...common, type: 'file', size: 0, refs: [] }
    const file = await open(path)
    try {
      if (pack === true && before.size > 0 && before.size < SMALL_BYTES) {
        const content = await buffer(file.createReadStream({ autoClose: false, end: SMALL_BYTES - 1 }))
        entry.size = content.length
        await this.#wait(content, entry, inside)
        onBytes?.(content.length)
      } else {
        const pieces = cut(file.createReadStream({ autoClose: false, highWaterMark: CHUNK_BYTES }))
        for await (const piece of sealInto(blocks, writer, pieces, { ahead: PIECES_AT_ONCE })) {
          entry.refs.push(piece.ref)
          entry.size += piece.size
          this.#count(piece, piece.size)
          onBytes?.(piece.size)
        }
      }
      const after = await file.stat()
      if (entry.size !== before.size || after.size !== before.size || after.mtimeMs !== before.mtimeMs) {
        this.#options.onProblem(`${path} changed while it was read; the backup holds the bytes that were read`)
      }
      this.tally.files++
      this.tally.bytes += entry.size
      return entry
    } finally {
      await file.close()
    }
  }

  /** Counts a block. */
  #count({ isNew }: SealedContent, bytes: number): void {
    this.tally.blocks++
    if (isNew) this.tally.newBytes += bytes
    else this.tally.deduplicated++
  }

  /**
   * Adds a small file to the pack that is being filled. A pack also ends after certain files, chosen by a hash of their
   * path. So when the length of a file changes, only its own pack changes, and later packs stay as they are.
   */
  async #wait(content: Uint8Array, entry: File, inside: string): Promise<void> {
    if (this.#waitingBytes + content.length > PACK_BYTES) await this.#pack()
    this.#waiting.push({ content, entry })
    this.#waitingBytes += content.length
    const isChosen = this.#waitingBytes > PACK_BYTES / 4 && sha256(inside).startsWith('0')
    if (isChosen || this.#waiting.length === PACK_FILES) await this.#pack()
  }

  /** Packs the files that wait. They fit into one block. */
  async #pack(): Promise<void> {
    const { writer, blocks } = this.#options
    let packed = 0
    for await (const sealed of packInto(
      blocks,
      writer,
      this.#waiting.map(({ content }) => content),
    )) {
      if (packed === 0) this.#count(sealed, this.#waitingBytes)
      this.#waiting[packed++]!.entry.refs = [sealed.ref]
    }
    this.tally.packed += packed
    this.#waiting = []
    this.#waitingBytes = 0
  }

  async #listed(folder: Folder): Promise<void> {
    this.#folders.push(folder)
    this.#entries += folder.entries.length
    if (this.#entries >= LISTED_AT_ONCE) await this.list()
  }

  /** Adds the folders backed up so far to the index. It packs the waiting small files first. */
  async list(): Promise<void> {
    await this.#pack()
    if (this.#folders.length > 0) await this.#options.index.add(this.#folders)
    this.#folders = []
    this.#entries = 0
  }
}
