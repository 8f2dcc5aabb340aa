// Backs up a folder tree with a writer only. It needs no password and holds no key that could restore.
import type { Stats } from 'node:fs'
import { type FileHandle, lstat, open, readdir, readlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { BlockWriter } from 'keystrata'
import { type BackupStore, sha256 } from './backup-store.ts'
import { Kind, newTally, putContent, type Tally, withKind } from './blocks.ts'
import { type Entry, type Folder, type IndexWriter, joinPath, type Packed } from './listing.ts'

/** The size of one piece of a file: 8 MiB with its kind byte in front. */
const PIECE_BYTES = 8 * 1024 * 1024 - 1
/** How many pieces of a file are sealed at once, if the writer can do that. */
const PIECES_AT_ONCE = 4
/** Smaller files share a block with others, if packing is on. */
const SMALL_BYTES = 1024 * 1024
const PACK_BYTES = 8 * 1024 * 1024
const PACK_FILES = 1024
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
  const run = new BackupRun(options)
  await run.folder(folder, '')
  await run.list()
  const { files, bytes } = run.tally
  await options.index.finish({ created: new Date().toISOString(), files, bytes })
  return run.tally
}

class BackupRun {
  readonly tally = newTally()
  readonly #options: BackupOptions
  readonly #excluded: ReadonlySet<string>
  /** One buffer for all files. Preparing content copies it, so the next read may overwrite the buffer. */
  readonly #buffer = withKind(Kind.piece, Buffer.alloc(PIECE_BYTES))
  /** Small files that wait to be packed, with the entries that will name their pack. */
  #waiting: { file: Uint8Array; entry: Packed }[] = []
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
    const file = await open(path)
    try {
      const room = this.#buffer.subarray(1)
      const pieces: Promise<string>[] = []
      let size = 0
      let entry: Entry | undefined
      for (;;) {
        const length = await fill(file, room)
        if (length === 0) break
        size += length
        if (size === length && length < SMALL_BYTES && this.#options.pack === true) {
          const packed = { ...common, type: 'file', size, pack: '', member: '' } as const
          await this.#wait(new Uint8Array(room.subarray(0, length)), (entry = packed), inside)
        } else {
          // The content is copied in this call, before the buffer is filled again. Promise.all below reports a failure.
          const putting = this.#put(this.#buffer.subarray(0, 1 + length))
          putting.catch(() => undefined)
          pieces.push(putting)
          await pieces.at(-PIECES_AT_ONCE)
        }
        this.#options.onBytes?.(length)
        if (length < room.length) break
      }
      const after = await file.stat()
      if (size !== before.size || after.mtimeMs !== before.mtimeMs) {
        this.#options.onProblem(`${path} changed while it was read; the backup holds the bytes that were read`)
      }
      const labels = await Promise.all(pieces)
      this.tally.files++
      this.tally.bytes += size
      return entry ?? ({ ...common, type: 'file', size, pieces: labels } as const)
    } finally {
      await file.close()
    }
  }

  #put(content: Uint8Array): Promise<string> {
    return putContent(content, this.#options.writer, this.#options.blocks, this.tally)
  }

  /**
   * Adds a small file to the pack that is being filled. A pack also ends after certain files, chosen by a hash of their
   * path. So when the length of a file changes, only its own pack changes, and later packs stay as they are.
   */
  async #wait(file: Uint8Array, entry: Packed, inside: string): Promise<void> {
    if (this.#waitingBytes + file.length > PACK_BYTES) await this.#pack()
    this.#waiting.push({ file, entry })
    this.#waitingBytes += file.length
    const isChosen = this.#waitingBytes > PACK_BYTES / 4 && sha256(inside).startsWith('0')
    if (isChosen || this.#waiting.length === PACK_FILES) await this.#pack()
  }

  async #pack(): Promise<void> {
    if (this.#waiting.length === 0) return
    const { content, members } = await this.#options.writer.pack(this.#waiting.map(({ file }) => file))
    const label = await this.#put(withKind(Kind.pack, content))
    this.#waiting.forEach(({ entry }, index) => Object.assign(entry, { pack: label, member: members[index] }))
    this.tally.packed += this.#waiting.length
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
