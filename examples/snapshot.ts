// What is inside the blocks: pieces of files, folders, and one snapshot at the top. The first byte of each content says
// which, so that a file which happens to look like a folder is never read as one.
import { join } from 'node:path'
import { type BlockReader, type BlockWriter, encodeBlock, parseBlock } from 'keystrata'
import type { FolderStore } from './store.ts'

export const Kind = { piece: 0, folder: 1, snapshot: 2 } as const
export type Kind = (typeof Kind)[keyof typeof Kind]

/** A piece of a file, so that with its leading byte it fills 8 MiB. */
export const PIECE_BYTES: number = 8 * 1024 * 1024 - 1

export type Entry = { name: string; mode: number; mtimeMs: number } & (
  | { type: 'file'; size: number; pieces: string[] }
  | { type: 'folder'; folder: string }
  | { type: 'link'; target: string }
)

export interface Snapshot {
  created: string
  files: number
  bytes: number
  /** The label of the top folder. */
  folder: string
}

export interface Tally {
  files: number
  bytes: number
  blocks: number
  deduplicated: number
  storedBytes: number
  /** Content that was sealed or opened, and the time that it took. */
  contentBytes: number
  cryptoMs: number
}

export function newTally(): Tally {
  return { files: 0, bytes: 0, blocks: 0, deduplicated: 0, storedBytes: 0, contentBytes: 0, cryptoMs: 0 }
}

export function encodeContent(kind: Kind, value: Entry[] | Snapshot): Uint8Array {
  return Buffer.concat([Uint8Array.of(kind), Buffer.from(JSON.stringify(value))])
}

/** Seals one content, unless the store has it already; returns its label. */
export async function putContent(
  content: Uint8Array,
  writer: BlockWriter,
  store: FolderStore,
  tally: Tally,
): Promise<string> {
  const started = performance.now()
  const prepared = await writer.prepare(content)
  const preparing = performance.now() - started
  const name = `blocks/${prepared.label}`
  tally.blocks++
  if (await store.has(name)) {
    prepared.dispose()
    tally.deduplicated++
    return prepared.label
  }
  const sealing = performance.now()
  const object = encodeBlock(await prepared.seal())
  tally.cryptoMs += preparing + performance.now() - sealing
  tally.contentBytes += content.length
  tally.storedBytes += object.length
  await store.put(name, object)
  return prepared.label
}

/** Opens one content; an error names its block. */
export async function getContent(
  kind: Kind,
  label: string,
  reader: BlockReader,
  store: FolderStore,
  tally: Tally,
): Promise<Uint8Array> {
  try {
    const object = /^[0-9a-f]{64}$/.test(label) ? await store.get(`blocks/${label}`) : undefined
    if (object === undefined) throw new Error('it is missing')
    const started = performance.now()
    const content = await reader.open(parseBlock(object, label))
    tally.cryptoMs += performance.now() - started
    tally.contentBytes += content.length
    tally.blocks++
    if (content[0] !== kind) throw new Error('it holds something else')
    return content.subarray(1)
  } catch (error) {
    throw new Error(`block ${label.slice(0, 12)}…: ${(error as Error).message}`, { cause: error })
  }
}

export async function getFolder(
  label: string,
  reader: BlockReader,
  store: FolderStore,
  tally: Tally,
): Promise<Entry[]> {
  return JSON.parse(Buffer.from(await getContent(Kind.folder, label, reader, store, tally)).toString()) as Entry[]
}

/**
 * A snapshot by its name, or the newest. Which one is the newest, the store says: it can offer an older one, but no other.
 * A real tool keeps the name of the last one where it keeps the host export.
 */
export async function getSnapshot(reader: BlockReader, store: FolderStore, wanted?: string): Promise<Snapshot> {
  const names = await store.versions('snapshots')
  const name = wanted === undefined ? names.at(-1) : names.find((each) => Number(each.slice(-8)) === Number(wanted))
  if (name === undefined) throw new Error(`${store.root} holds no such backup`)
  const label = Buffer.from((await store.get(name)) ?? []).toString()
  try {
    const content = await getContent(Kind.snapshot, label, reader, store, newTally())
    return JSON.parse(Buffer.from(content).toString()) as Snapshot
  } catch (error) {
    throw new Error(`${join(store.root, name)}: ${(error as Error).message}; --snapshot N takes an older one`, {
      cause: error,
    })
  }
}
