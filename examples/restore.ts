// Restores a snapshot from a store, with a reader and nothing else. A file that cannot be opened costs one line and
// that file; the rest is restored.
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chmod, link, lstat, lutimes, mkdir, open, readdir, readlink, rm, symlink, utimes } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { BlockReader } from 'keystrata'
import { type Entry, getContent, getFolder, Kind, newTally, type Snapshot, type Tally } from './snapshot.ts'
import type { FolderStore } from './store.ts'

export interface RestoreOptions {
  reader: BlockReader
  store: FolderStore
  /** Gets one line for whatever could not be restored. */
  onProblem: (line: string) => void
  onBytes?: (bytes: number) => void
}

/** Restores a snapshot into `target`, which must be empty or not there. */
export async function restore(target: string, snapshot: Snapshot, options: RestoreOptions): Promise<Tally> {
  await assertEmpty(target)
  await mkdir(target, { recursive: true })
  const tally = newTally()
  await restoreFolder(target, snapshot.folder, options, tally)
  return tally
}

/** Restoring is never overwriting. */
export async function assertEmpty(target: string): Promise<void> {
  const names = await readdir(target).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  })
  if (names.length > 0) throw new Error(`${target} is not empty; nothing was restored`)
}

async function restoreFolder(path: string, label: string, options: RestoreOptions, tally: Tally): Promise<void> {
  for (const entry of await getFolder(label, options.reader, options.store, tally)) {
    const child = join(path, entry.name)
    try {
      assertPlainName(entry.name)
      await restoreEntry(child, entry, options, tally)
    } catch (error) {
      options.onProblem(`cannot restore ${child}: ${(error as Error).message}`)
    }
  }
}

/** A name is one step down and nothing else: no path, no parent, no drive. */
function assertPlainName(name: string): void {
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name) || name.includes(sep)) {
    throw new Error('its name leads elsewhere')
  }
}

/**
 * Everything here is created, never opened: a folder by a mkdir that fails if the name is taken, a file by a hard link that
 * does. So no entry can be written through a link that another entry made.
 */
async function restoreEntry(path: string, entry: Entry, options: RestoreOptions, tally: Tally): Promise<void> {
  const modified = entry.mtimeMs / 1000
  if (entry.type === 'link') {
    await symlink(entry.target, path)
    await lutimes(path, modified, modified)
  } else if (entry.type === 'folder') {
    await mkdir(path)
    try {
      await restoreFolder(path, entry.folder, options, tally)
    } finally {
      await chmod(path, entry.mode)
      await utimes(path, modified, modified)
    }
  } else {
    await restoreFile(path, entry, options, tally)
  }
}

async function restoreFile(
  path: string,
  entry: Extract<Entry, { type: 'file' }>,
  { reader, store, onBytes }: RestoreOptions,
  tally: Tally,
): Promise<void> {
  const modified = entry.mtimeMs / 1000
  // Under another name until it is whole: half a file under the file's own name would be taken for the file.
  const partial = join(dirname(path), `.restoring-${randomUUID()}`)
  const file = await open(partial, 'wx', 0o600)
  try {
    for (const label of entry.pieces) {
      const piece = await getContent(Kind.piece, label, reader, store, tally)
      await file.writeFile(piece)
      onBytes?.(piece.length)
    }
    await file.chmod(entry.mode)
    await file.utimes(modified, modified)
    await link(partial, path)
    tally.files++
    tally.bytes += entry.size
  } finally {
    await file.close()
    await rm(partial)
  }
}

/** Compares two folder trees, every file by SHA-256; each difference is one line. */
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
    if (was !== is) onDifference(`${left} differs from what was restored`)
    else if (was === 'folder') await compareFolders(left, right, exclude, onDifference)
  }
}

/** What is at a path: two equal descriptions mean equal things. */
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
