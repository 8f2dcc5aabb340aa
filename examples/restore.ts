// Restores a snapshot from a store with only a reader. If a file cannot be opened, it is reported in one line and left
// out; everything else is restored.
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chmod, link, lstat, lutimes, mkdir, open, readdir, readlink, rm, symlink, utimes } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { openPackMember } from 'keystrata'
import { getContent, Kind, newTally, type Source, type Tally } from './blocks.ts'
import { type Entry, joinPath, type Listing } from './listing.ts'

export interface RestoreOptions extends Source {
  /** Called with one line for each thing that could not be restored. */
  onProblem: (line: string) => void
  onBytes?: (bytes: number) => void
}

/** Restores a backup into `target`, which must be empty or must not exist. */
export async function restore(target: string, listing: Listing, options: RestoreOptions): Promise<Tally> {
  await assertEmpty(target)
  await mkdir(target, { recursive: true })
  const run = new RestoreRun(listing, options)
  await run.folder(target, '')
  return run.tally
}

/** Throws unless `target` is empty or does not exist: a restore never overwrites anything. */
export async function assertEmpty(target: string): Promise<void> {
  const names = await readdir(target).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  })
  if (names.length > 0) throw new Error(`${target} is not empty, so nothing was restored: choose another folder`)
}

/** Throws unless `name` is a plain name: it must not be a path, a parent folder or a drive. */
function assertPlainName(name: string): void {
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name) || name.includes(sep)) {
    throw new Error('its name leads outside the folder')
  }
}

type File = Extract<Entry, { type: 'file' }>

class RestoreRun {
  readonly tally = newTally()
  readonly #listing: Listing
  readonly #options: RestoreOptions
  /** The pack that was opened last, because the next file is probably in it too. */
  #pack: { label: string; content: Uint8Array } | undefined

  constructor(listing: Listing, options: RestoreOptions) {
    this.#listing = listing
    this.#options = options
  }

  async folder(target: string, inside: string): Promise<void> {
    for (const entry of this.#listing.folders.get(inside) ?? []) {
      const child = join(target, entry.name)
      try {
        assertPlainName(entry.name)
        await this.#entry(child, joinPath(inside, entry.name), entry)
      } catch (error) {
        this.#options.onProblem(`cannot restore ${child}: ${(error as Error).message}`)
      }
    }
  }

  /**
   * Restores one entry. It only creates, and never opens what exists: mkdir and hard link fail if the name is taken. So
   * no entry can be written through a link that another entry created.
   */
  async #entry(path: string, inside: string, entry: Entry): Promise<void> {
    const modified = entry.mtimeMs / 1000
    if (entry.type === 'link') {
      await symlink(entry.target, path)
      await lutimes(path, modified, modified)
    } else if (entry.type === 'folder') {
      await mkdir(path)
      try {
        await this.folder(path, inside)
      } finally {
        await chmod(path, entry.mode)
        await utimes(path, modified, modified)
      }
    } else {
      await this.#file(path, entry)
    }
  }

  async #file(path: string, entry: File): Promise<void> {
    const modified = entry.mtimeMs / 1000
    // Written under another name until it is complete, so that nobody mistakes half a file for the whole one.
    const partial = join(dirname(path), `.restoring-${randomUUID()}`)
    const file = await open(partial, 'wx', 0o600)
    try {
      for await (const piece of this.#pieces(entry)) {
        await file.writeFile(piece)
        this.#options.onBytes?.(piece.length)
      }
      await file.chmod(entry.mode)
      await file.utimes(modified, modified)
      await link(partial, path)
      this.tally.files++
      this.tally.bytes += entry.size
    } finally {
      await file.close()
      await rm(partial)
    }
  }

  async *#pieces(entry: File): AsyncGenerator<Uint8Array> {
    if ('pack' in entry) {
      const { pack: label, member } = entry
      if (this.#pack?.label !== label) {
        this.#pack = { label, content: await getContent(Kind.pack, label, this.#options, this.tally) }
      }
      this.tally.packed++
      yield await openPackMember(this.#pack.content, member)
    } else {
      for (const label of entry.pieces) yield await getContent(Kind.piece, label, this.#options, this.tally)
    }
  }
}

/** Compares two folder trees, every file by its SHA-256. Reports each difference in one line. */
export async function compareFolders(
  original: string,
  restored: string,
  exclude: readonly string[],
  onDifference: (line: string) => void,
): Promise<void> {
  const excluded = exclude.map((path) => resolve(path))
  const names = new Set([...(await readdir(original)), ...(await readdir(restored))])
  for (const name of names) {
    const [left, right] = [join(original, name), join(restored, name)]
    if (excluded.includes(resolve(left))) continue
    const [was, is] = await Promise.all([describe(left), describe(right)])
    if (was !== is) onDifference(`${left} differs from its restored copy`)
    else if (was === 'folder') await compareFolders(left, right, exclude, onDifference)
  }
}

/** Describes what is at a path. Equal descriptions mean equal content. */
async function describe(path: string): Promise<string> {
  const stats = await lstat(path).catch(() => undefined)
  if (stats === undefined) return 'nothing'
  if (stats.isDirectory()) return 'folder'
  if (stats.isSymbolicLink()) return `link to ${await readlink(path)}`
  if (!stats.isFile()) return 'nothing'
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return `file ${hash.digest('hex')}`
}
