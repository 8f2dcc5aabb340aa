// Seals contents into blocks of a store and opens them again, and counts what that took.
import { createHash } from 'node:crypto'
import type { BlockReader, BlockWriter, StoredBlock } from 'keystrata'
import type { Blocks } from 'keystrata/stores'
import type { BackupStore } from './backup-store.ts'

/** The first byte of each content. It says what the content is, so that a file is never read as an index. */
export const Kind = { piece: 0, pack: 1, listing: 2 } as const
export type Kind = (typeof Kind)[keyof typeof Kind]

export interface Tally {
  files: number
  bytes: number
  blocks: number
  packed: number
  deduplicated: number
  storedBytes: number
  /** How many bytes of content were prepared, sealed or opened. */
  contentBytes: number
  /** How long that took. */
  crypto: Stopwatch
}

/** Measures the time during which at least one of the timed operations runs. */
export class Stopwatch {
  #ms = 0
  #running = 0
  #since = 0

  get ms(): number {
    return this.#ms
  }

  async time<T>(work: Promise<T>): Promise<T> {
    if (this.#running++ === 0) this.#since = performance.now()
    try {
      return await work
    } finally {
      if (--this.#running === 0) this.#ms += performance.now() - this.#since
    }
  }
}

export function newTally(): Tally {
  return {
    files: 0,
    bytes: 0,
    blocks: 0,
    packed: 0,
    deduplicated: 0,
    storedBytes: 0,
    contentBytes: 0,
    crypto: new Stopwatch(),
  }
}

/** Seals and stores one content, unless the store already has it. Returns its label. */
export async function putContent(
  content: Uint8Array,
  writer: BlockWriter,
  blocks: BackupStore['blocks'],
  tally: Tally,
): Promise<string> {
  using prepared = await tally.crypto.time(writer.prepare(content))
  const { label } = prepared
  tally.blocks++
  tally.contentBytes += content.length
  if (await blocks.has(label)) {
    tally.deduplicated++
    return label
  }
  const block = await tally.crypto.time(prepared.seal())
  if (await blocks.put(block)) tally.storedBytes += block.envelope.length + block.ciphertext.length
  return label
}

/** Where to read blocks from, and which reader opens them. */
export interface Source {
  reader: BlockReader
  store: { address: string; blocks: Pick<Blocks, 'get'> }
  /** For a share: the pin of each block by label, from the share's log. */
  pinned?: ReadonlyMap<string, string>
}

/** Reads and opens one block. Returns its content without the kind byte; an error names the block. */
export async function getContent(kind: Kind, label: string, source: Source, tally: Tally): Promise<Uint8Array> {
  try {
    const content = await tally.crypto.time(source.reader.open(await getBlock(label, source)))
    tally.contentBytes += content.length
    tally.blocks++
    if (content[0] !== kind) throw new Error('the block holds another kind of content')
    return content.subarray(1)
  } catch (error) {
    throw new Error(`block ${label.slice(0, 12)}…: ${(error as Error).message}`, { cause: error })
  }
}

async function getBlock(label: string, { store, pinned }: Source): Promise<StoredBlock> {
  const block = await store.blocks.get(label)
  if (block === undefined) throw new Error('the block is missing')
  if (pinned !== undefined && pinned.get(label) !== pinOf(block)) {
    throw new Error('the block is not the one that was shared')
  }
  return block
}

/**
 * Returns the hash of a block, which the log of a share records. Without it, anyone who has the keys of the share could
 * put another content in the place of the block.
 */
export const pinOf = ({ envelope, ciphertext }: StoredBlock): string =>
  createHash('sha256').update(envelope).update(ciphertext).digest('hex')

/** Puts the kind byte in front of a content. */
export const withKind = (kind: Kind, content: Uint8Array): Uint8Array => Buffer.concat([Uint8Array.of(kind), content])
