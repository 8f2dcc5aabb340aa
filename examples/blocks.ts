// Stores blocks. A ciphertext is stored under its own hash and never changes. The head (the envelope and that hash) is
// stored under the label of the block, where a new envelope can replace it. A share has its own envelopes in its own
// folder.
import type { BlockReader, BlockWriter, StoredBlock } from 'keystrata'
import { createHash } from 'node:crypto'
import type { FolderStore, Store } from './store.ts'

/** The first byte of each content. It says what the content is, so that a file is never read as an index. */
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

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Seals and stores one content, unless the store already has it. Returns its label. */
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
  // The head goes last: if a head exists, its ciphertext exists too.
  if (await putHead(store, BLOCKS, { label, envelope, hash })) tally.storedBytes += envelope.length + HASH_BYTES
  return label
}

/** What is stored under the label of a block. */
export interface Head {
  label: string
  envelope: Uint8Array
  /** The SHA-256 of the ciphertext, in hex. */
  hash: string
}

const encodeHead = ({ envelope, hash }: Head): Uint8Array => Buffer.concat([envelope, Buffer.from(hash, 'hex')])

/** Stores a head. Returns false if the label already has one. */
export const putHead = (store: Store, folder: string, head: Head): Promise<boolean> =>
  store.put(`${folder}/${head.label}`, encodeHead(head))

export const replaceHead = (store: FolderStore, folder: string, head: Head): Promise<void> =>
  store.replace(`${folder}/${head.label}`, encodeHead(head))

export async function getHead(store: Store, folder: string, label: string): Promise<Head> {
  const stored = /^[0-9a-f]{64}$/.test(label) ? await store.get(`${folder}/${label}`) : undefined
  if (stored === undefined) throw new Error('the block is missing')
  return {
    label,
    envelope: stored.subarray(0, -HASH_BYTES),
    hash: Buffer.from(stored.subarray(-HASH_BYTES)).toString('hex'),
  }
}

/** Where to read blocks from, and which reader opens them. */
export interface Source {
  reader: BlockReader
  store: Store
  /** The folder of the heads; by default the owner's. */
  heads?: string
  /** For a share: the SHA-256 of each head by label, from the share's log. It pins the envelope and the ciphertext. */
  pinned?: ReadonlyMap<string, string>
}

/** Reads and opens one block. Returns its content without the kind byte; an error names the block. */
export async function getContent(kind: Kind, label: string, source: Source, tally: Tally): Promise<Uint8Array> {
  try {
    const block = await getBlock(label, source)
    const content = await tally.crypto.time(source.reader.open(block))
    tally.contentBytes += content.length
    tally.blocks++
    if (content[0] !== kind) throw new Error('the block holds another kind of content')
    return content.subarray(1)
  } catch (error) {
    throw new Error(`block ${label.slice(0, 12)}…: ${(error as Error).message}`, { cause: error })
  }
}

async function getBlock(label: string, { store, heads = BLOCKS, pinned }: Source): Promise<StoredBlock> {
  const head = await getHead(store, heads, label)
  if (pinned !== undefined && pinned.get(label) !== pinOf(head))
    throw new Error('the block is not the one that was shared')
  const ciphertext = await store.get(`${CIPHERTEXTS}/${head.hash}`)
  if (ciphertext === undefined) throw new Error('the ciphertext is missing')
  if (pinned !== undefined && sha256(ciphertext) !== head.hash)
    throw new Error('the block is not the one that was shared')
  return { label, envelope: head.envelope, ciphertext }
}

/**
 * Returns the hash of a head, which the log of a share records. Without it, anyone who has the keys of the share could
 * put another content in the place of the block.
 */
export const pinOf = (head: Head): string => sha256(encodeHead(head))

/** Puts the kind byte in front of a content. */
export const withKind = (kind: Kind, content: Uint8Array): Uint8Array => Buffer.concat([Uint8Array.of(kind), content])
