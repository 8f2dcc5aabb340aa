// Backs up made-up files with any kind of key, and reads them back. Each record of a log has an id, and the hash of every
// file, so that a reader can tell what is missing, what is there twice, and what has changed.
import { createHash, randomUUID } from 'node:crypto'
import {
  type BlockReader,
  type BlockWriter,
  openFrom,
  openLog,
  packInto,
  type RecordReader,
  type RecordWriter,
  sealInto,
  verifyBlocks,
} from 'keystrata'
import type { Blocks, StateStore } from 'keystrata/stores'
import { type Journal, now } from './journal.ts'
import type { Random } from './random.ts'
import type { ArchiveGiven, Task } from './tasks.ts'

interface Content {
  readonly id: string
  /** The ref and the hash of each file. */
  readonly items: readonly (readonly [string, string])[]
}

export interface Where {
  readonly blocks: Blocks
  readonly state: StateStore
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex').slice(0, 32)

/** Contents that many backups have, so that blocks are deduplicated. */
const COMMON = 16

/** Makes one to four files of up to 12 KiB. */
export function makeFiles(random: Random, salt: string): Uint8Array[] {
  return Array.from({ length: 1 + random.below(4) }, () => {
    const text = random.happens(0.3) ? `common ${random.below(COMMON)}` : `${salt} ${randomUUID()}`
    const seed = createHash('sha256').update(text).digest()
    const length = 100 + (seed.readUInt16BE(0) % 12_000)
    return Buffer.concat(
      Array.from({ length: Math.ceil(length / 32) }, (_, n) =>
        createHash('sha256').update(seed).update(String(n)).digest(),
      ),
    ).subarray(0, length)
  })
}

/** Seals files. Returns what a record says of them: `refOf` chooses the ref. */
export async function sealFiles(
  blocks: Pick<Blocks, 'has' | 'put'>,
  writer: BlockWriter,
  files: readonly Uint8Array[],
  { isPacked, share }: { isPacked: boolean; share?: string },
): Promise<[string, string][]> {
  const items: [string, string][] = []
  const options = share === undefined ? {} : { shares: [share] }
  const stream = isPacked ? packInto(blocks, writer, files, options) : sealInto(blocks, writer, files, options)
  for await (const { ref, shared } of stream)
    items.push([share === undefined ? ref : shared!.get(share)!, sha256(files[items.length]!)])
  if (items.length !== files.length) throw new TypeError(`${items.length} of ${files.length} files were sealed`)
  return items
}

/** Appends a record that names these files. */
export async function appendRecord(
  journal: Journal,
  task: Task,
  archive: ArchiveGiven,
  state: StateStore,
  writer: RecordWriter,
  items: [string, string][],
): Promise<void> {
  const id = randomUUID()
  const content = Buffer.from(JSON.stringify({ id, items } satisfies Content))
  const facts = { archive: archive.key, record: id, sha: sha256(content), blocks: items.length }
  await journaled(journal, task, 'append', facts, async () => ({
    position: await openLog(state, archive.log, writer).append(content),
  }))
}

/** Writes into the journal what is about to happen, and that it has. What throws is left without an end. */
export async function journaled(
  journal: Journal,
  task: Task,
  what: string,
  facts: Readonly<Record<string, string | number | boolean | undefined>>,
  act: () => Promise<Readonly<Record<string, string | number | boolean | undefined>>>,
): Promise<void> {
  const intent = journal.intend(task.id, what, facts)
  const answer = await act()
  journal.acknowledge(intent, answer)
}

/** Reads a log from its floor on, and opens its blocks. */
export async function readArchive(
  journal: Journal,
  task: Task,
  archive: ArchiveGiven,
  { blocks, state }: { blocks: Pick<Blocks, 'get'>; state: StateStore },
  keys: BlockReader & RecordReader,
  opens: boolean,
): Promise<void> {
  const since = now()
  const records: [string, string, string][] = []
  const items: [string, string][] = []
  const options = archive.floor === undefined ? {} : { atLeast: archive.floor }
  for await (const { position, content } of openLog(state, archive.log, keys).read(options)) {
    const { id, items: named } = JSON.parse(Buffer.from(content).toString()) as Content
    records.push([position, id, sha256(content)])
    if (opens) for (const [ref, sha] of named) items.push([ref, sha])
  }
  let opened = 0
  const refs = items.map(([ref]) => ref)
  for await (const content of openFrom(blocks, keys, refs)) {
    if (sha256(content) !== items[opened]![1])
      journal.write({
        kind: 'wrong',
        task: task.id,
        what: `a file of ${archive.key} has another content than was backed up`,
      })
    opened++
  }
  for await (const { error } of verifyBlocks(blocks, keys, refs.slice(-4))) if (error !== undefined) throw error
  if (opened !== items.length)
    journal.write({
      kind: 'wrong',
      task: task.id,
      what: `${opened} of ${items.length} files of ${archive.key} were opened`,
    })
  journal.write({ kind: 'reading', task: task.id, archive: archive.key, since, records, opened: opens })
}
