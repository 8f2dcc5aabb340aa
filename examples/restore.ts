// Restores a snapshot from a store with only a reader. If a file cannot be opened, it is reported in one line and left
// out; everything else is restored.
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chmod, link, lstat, lutimes, mkdir, open, readdir, readlink, rm, symlink, utimes } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type BlockReader, labelOf, openFrom } from 'keystrata'
import type { BackupStore } from './backup-store.ts'
import { type Entry, type File, joinPath, type Listing } from './listing.ts'
import { newTally, type Tally } from './tally.ts'

/** Where to read blocks from, and which reader opens them. */
export interface Source {
  reader: BlockReader
  store: { address: string; blocks: Pick<BackupStore['blocks'], 'get'> }
}

export interface RestoreOptions extends Source {
  /** Called with one line for each thing that could not be restored. */
  onProblem: (line: string) => void
  onBytes?: (bytes: number) => void
}

/** Restores a backup into `target`, which must be empty or must not exist. */
export async function restore(target: string, listing: Listing, options: RestoreOptions): Promise<Tally> {
  await assertEmpty(target)
  await mkdir(target, { recursive: true })
  const started = performance.now()
  const run = new RestoreRun(listing, options)
  await run.createIn(target, '')
  await run.fill()
  await run.finish()
  run.tally.ms = performance.now() - started
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

/**
 * Restores in three steps: folders and links, then all files from one stream, then the modes and times of folders. It
 * only creates, and never opens what exists: mkdir and hard link fail if the name is taken. So no entry can be written
 * through a link that another entry created.
 */
class RestoreRun {
  readonly tally = newTally()
  readonly #listing: Listing
  readonly #options: RestoreOptions
  readonly #files: { path: string; entry: File }[] = []
  readonly #folders: { path: string; entry: Entry }[] = []

  constructor(listing: Listing, options: RestoreOptions) {
    this.#listing = listing
    this.#options = options
  }

  /** Creates the folders and links, and notes the files. */
  async createIn(target: string, inside: string): Promise<void> {
    for (const entry of this.#listing.folders.get(inside) ?? []) {
      const path = join(target, entry.name)
      await this.#reporting(path, async () => {
        assertPlainName(entry.name)
        if (entry.type === 'file') this.#files.push({ path, entry })
        else if (entry.type === 'link') {
          await symlink(entry.target, path)
          await lutimes(path, entry.mtimeMs / 1000, entry.mtimeMs / 1000)
        } else {
          await mkdir(path)
          this.#folders.push({ path, entry })
          await this.createIn(path, joinPath(inside, entry.name))
        }
      })
    }
  }

  /** Restores the files. A stream ends with the first error, so the next one begins behind the file that has it. */
  async fill(): Promise<void> {
    const files = this.#files
    let at = 0
    while (at < files.length) {
      const { store, reader } = this.#options
      const contents = openFrom(store.blocks, reader, refsFrom(files, at))
      let isFine = true
      while (isFine && at < files.length) {
        const { path, entry } = files[at++]!
        isFine = await this.#reporting(path, () => this.#file(path, entry, contents))
      }
      await contents.return(undefined)
    }
  }

  async #file(path: string, entry: File, contents: AsyncGenerator<Uint8Array>): Promise<void> {
    const modified = entry.mtimeMs / 1000
    // Written under another name until it is complete, so that nobody mistakes half a file for the whole one.
    const partial = join(dirname(path), `.restoring-${randomUUID()}`)
    const file = await open(partial, 'wx', 0o600)
    try {
      let size = 0
      for (const ref of entry.refs) {
        const content = await nextOf(contents, ref)
        await file.writeFile(content)
        size += content.length
        this.#options.onBytes?.(content.length)
      }
      if (size !== entry.size) throw new Error(`it has ${size} bytes, and not ${entry.size}`)
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

  /** Sets the modes and times of the folders, from the inside out: nothing is written into them any more. */
  async finish(): Promise<void> {
    for (const { path, entry } of this.#folders.reverse()) {
      await this.#reporting(path, async () => {
        await chmod(path, entry.mode)
        await utimes(path, entry.mtimeMs / 1000, entry.mtimeMs / 1000)
      })
    }
  }

  /** Returns false if the work failed, which is reported. */
  async #reporting(path: string, work: () => Promise<void>): Promise<boolean> {
    try {
      await work()
      return true
    } catch (error) {
      this.#options.onProblem(`cannot restore ${path}: ${(error as Error).message}`)
      return false
    }
  }
}

function* refsFrom(files: readonly { entry: File }[], start: number): Generator<string> {
  for (let at = start; at < files.length; at++) yield* files[at]!.entry.refs
}

/** Takes the next content from a stream. An error names its block. */
async function nextOf(contents: AsyncGenerator<Uint8Array>, ref: string): Promise<Uint8Array> {
  try {
    return (await contents.next()).value as Uint8Array
  } catch (error) {
    throw new Error(`block ${labelOf(ref).slice(0, 12)}…: ${(error as Error).message}`, { cause: error })
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
