// Blocks in a store: the ciphertext under its own hash, where it stays for good; the envelope and that hash under the block's
// label, where another envelope may take its place. A share has envelopes of its own, in a folder of its own.
import type { BlockReader, BlockWriter, StoredBlock } from 'keystrata'
import { createHash } from 'node:crypto'
import type { FolderStore, Store } from './store.ts'

/** The first byte of each content says what it is, so that a file which looks like an index is never read as one. */
export const Kind = { piece: 0, pack: 1, listing: 2, snapshot: 3 } as const
export type Kind = (typeof Kind)[keyof typeof Kind]

export const BLOCKS = 'blocks'
export const CIPHERTEXTS = 'data'
const HASH_BYTES = 32

export interface Tally {
  files: number
  bytes: number
  blocks: number
  packed: number
  deduplicated: number
  storedBytes: number
  /** Content that was named, sealed or opened, and the time that it took. */
  contentBytes: number
  crypto: Stopwatch
}

/** Runs while anything that it times runs, alone or at once with others. */
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

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Seals one content, unless the store has it already; returns its label. */
export async function putContent(
  content: Uint8Array,
  writer: BlockWriter,
  store: Store,
  tally: Tally,
): Promise<string> {
  const prepared = await tally.crypto.time(writer.prepare(content))
  const { label } = prepared
  tally.blocks++
  tally.contentBytes += content.length
  if (await store.has(`${BLOCKS}/${label}`)) {
    prepared.dispose()
    tally.deduplicated++
    return label
  }
  const { envelope, ciphertext } = await tally.crypto.time(prepared.seal())
  const hash = sha256(ciphertext)
  if (await store.put(`${CIPHERTEXTS}/${hash}`, ciphertext)) tally.storedBytes += ciphertext.length
  // The head last: where it is, the block is there as a whole.
  if (await putHead(store, BLOCKS, { label, envelope, hash })) tally.storedBytes += envelope.length + HASH_BYTES
  return label
}

/** What is stored under the label of a block. */
export interface Head {
  label: string
  envelope: Uint8Array
  /** Of the ciphertext, in hex. */
  hash: string
}

const encodeHead = ({ envelope, hash }: Head): Uint8Array => Buffer.concat([envelope, Buffer.from(hash, 'hex')])

/** False if there is one already. */
export const putHead = (store: Store, folder: string, head: Head): Promise<boolean> =>
  store.put(`${folder}/${head.label}`, encodeHead(head))

export const replaceHead = (store: FolderStore, folder: string, head: Head): Promise<void> =>
  store.replace(`${folder}/${head.label}`, encodeHead(head))

export async function getHead(store: Store, folder: string, label: string): Promise<Head> {
  const stored = /^[0-9a-f]{64}$/.test(label) ? await store.get(`${folder}/${label}`) : undefined
  if (stored === undefined) throw new Error('it is missing')
  return {
    label,
    envelope: stored.subarray(0, -HASH_BYTES),
    hash: Buffer.from(stored.subarray(-HASH_BYTES)).toString('hex'),
  }
}

/** Where contents are read: who opens them, and by which envelopes. */
export interface Source {
  reader: BlockReader
  store: Store
  /** The folder of the envelopes; by default the owner's. */
  heads?: string
  /** Of a share: the SHA-256 of each head by its label, as the share's log says. It pins envelope and ciphertext. */
  pinned?: ReadonlyMap<string, string>
}

/** Opens one content; an error names its block. */
export async function getContent(kind: Kind, label: string, source: Source, tally: Tally): Promise<Uint8Array> {
  try {
    const block = await getBlock(label, source)
    const content = await tally.crypto.time(source.reader.open(block))
    tally.contentBytes += content.length
    tally.blocks++
    if (content[0] !== kind) throw new Error('it holds something else')
    return content.subarray(1)
  } catch (error) {
    throw new Error(`block ${label.slice(0, 12)}…: ${(error as Error).message}`, { cause: error })
  }
}

async function getBlock(label: string, { store, heads = BLOCKS, pinned }: Source): Promise<StoredBlock> {
  const head = await getHead(store, heads, label)
  if (pinned !== undefined && pinned.get(label) !== pinOf(head)) throw new Error('it is not the one that was shared')
  const ciphertext = await store.get(`${CIPHERTEXTS}/${head.hash}`)
  if (ciphertext === undefined) throw new Error('its ciphertext is missing')
  if (pinned !== undefined && sha256(ciphertext) !== head.hash) throw new Error('it is not the one that was shared')
  return { label, envelope: head.envelope, ciphertext }
}

/** What the log of a share names a block by: others who have the share's keys could put another content in its place. */
export const pinOf = (head: Head): string => sha256(encodeHead(head))

/** Content with the byte in front that says what it is. */
export const withKind = (kind: Kind, content: Uint8Array): Uint8Array => Buffer.concat([Uint8Array.of(kind), content])
