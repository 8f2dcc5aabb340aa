// A whole backup program for every key model: pass a keyset, a vault, or a scope of a client. Small files share a block.
// The log has a line for each file, so the files, the blocks and their order cannot be changed without being noticed.
// This is a program to copy and to start from; backup.ts and restore.ts do the same with links, modes and times.
import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { appendFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { type BlockReader, type BlockWriter, cut, type Keys, openFrom, openLog, packInto, sealInto } from 'keystrata'
import type { RecordReader, RecordWriter } from 'keystrata'
import type { Blocks, StateStore } from 'keystrata/stores'

export interface Store {
  blocks: Blocks
  /** The part of a store that belongs to these keys: see `prefixed`. */
  state: StateStore
  /** The name of the log, `backups` if omitted. Each vault of a profile needs its own, because they share `state`. */
  log?: string
}

/** One line of the log. The refs of a file name its pieces, in order. A small file is one piece of a pack. */
interface FileLine {
  file: string
  refs: string[]
}

/** A record of the log. The last one of a backup says how many files it has in total, and so that it is complete. */
interface Lines {
  backup: string
  files: FileLine[]
  total?: number
}

const LOG = 'backups'
const SMALL_BYTES = 1024 * 1024
/** How many files a record lists at most. */
const LISTED_AT_ONCE = 1000

/**
 * Backs up all files in a folder. The writer of a keyset is enough: it needs no password, and cannot restore.
 * @returns a position. Keep it where the store cannot change it, and pass it to `restore` and `reseal`
 */
export async function backUp(folder: string, keys: BlockWriter & RecordWriter, store: Store): Promise<string> {
  const log = openLog(store.state, store.log ?? LOG, keys)
  const backup = randomUUID()
  const append = (lines: Omit<Lines, 'backup'>) => log.append(Buffer.from(JSON.stringify({ backup, ...lines })))

  const files = await filesIn(folder)
  const small: string[] = []
  for (const file of files) {
    const path = join(folder, file)
    if ((await stat(path)).size < SMALL_BYTES) small.push(file)
    else {
      const refs: string[] = []
      for await (const { ref } of sealInto(store.blocks, keys, cut(createReadStream(path)))) refs.push(ref)
      await append({ files: [{ file, refs }] })
    }
  }
  async function* contents() {
    for (const file of small) yield await readFile(join(folder, file))
  }
  let lines: FileLine[] = []
  let packed = 0
  for await (const { ref } of packInto(store.blocks, keys, contents())) {
    lines.push({ file: small[packed++]!, refs: [ref] })
    if (lines.length < LISTED_AT_ONCE) continue
    await append({ files: lines })
    lines = []
  }
  return append({ files: lines, total: files.length })
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(folder, join(parentPath, name)))
}

/**
 * Restores the newest complete backup into a new folder.
 * @param atLeast a position that the log must have: without it, the store can offer an older backup
 * @returns the records of the log that do not open. If one of them ended the newest backup, an older one was restored
 */
export async function restore(
  folder: string,
  keys: BlockReader & RecordReader,
  store: Store,
  atLeast?: string,
): Promise<Error[]> {
  const backups: Map<string, FileLine[]> = new Map()
  let newest: { files: FileLine[]; total: number } | undefined
  // Anyone who may write to the store can add records that do not open. They must not keep anyone from restoring.
  const damaged: Error[] = []
  const options = { ...(atLeast !== undefined && { atLeast }), onDamaged: (error: Error) => damaged.push(error) }
  for await (const { content } of openLog(store.state, store.log ?? LOG, keys).read(options)) {
    const { backup, files, total } = JSON.parse(Buffer.from(content).toString()) as Lines
    backups.set(backup, (backups.get(backup) ?? []).concat(files))
    if (total !== undefined) newest = { files: backups.get(backup)!, total }
  }
  if (newest === undefined || newest.files.length !== newest.total)
    throw damaged[0] ?? new Error('the log has no complete backup of this program')
  const root = resolve(folder)
  await mkdir(root)
  const parts: { path: string; ref: string }[] = []
  for (const { file, refs } of newest.files) {
    const path = resolve(root, file)
    if (!path.startsWith(root + sep)) throw new Error(`${file} leads outside the folder`)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, '', { flag: 'wx' })
    for (const ref of refs) parts.push({ path, ref })
  }
  // One stream for all files: those that are in one pack are opened from one block.
  const refs = parts.map(({ ref }) => ref)
  let restored = 0
  for await (const content of openFrom(store.blocks, keys, refs)) await appendFile(parts[restored++]!.path, content)
  return damaged
}

/**
 * Seals the log under the newest keys, for example after a keyset was regenerated. Hosts may back up meanwhile.
 * @returns the last position, to keep from now on
 */
export async function reseal(keys: Keys, store: Store, atLeast: string): Promise<string> {
  return (await openLog(store.state, store.log ?? LOG, keys).reseal({ atLeast })).position
}
