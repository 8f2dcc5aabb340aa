// The layout of blocks in a BlobStore (SPEC §6.2). Keys are replaced by replacing heads, so the library owns it: the
// ciphertext under its own hash, written first and never replaced by another; the head under the label, replaced only
// by compare-and-set; a share's heads under the share's id.
import { type BlockHead, headOf, partsOf, type SealedBlock, shareIdFrom, type StoredBlock } from '../core/block.ts'
import { hasRandomKey } from '../core/envelope.ts'
import { type Bytes, bytesFrom, concat, EMPTY, equalBytes, fromHex, toHex, u32 } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { parseLabel } from '../core/label.ts'
import { optionsFrom } from '../core/options.ts'
import { digestContent } from '../primitives/hash.ts'
import { sizeOfBlob } from './blob-size.ts'
import { checkedFlag, listBlobs, readBlob } from './checked.ts'
import type { BlobStore } from './store.ts'

const HASH_BYTES = 32
const LENGTH_BYTES = 4

/** How many heads are read at once. */
const HEADS_AHEAD = 16

/** How often to try to repair a head that others change meanwhile. */
const REPAIRS = 4

/** A head as it is stored. */
export interface HeadParts {
  /** The length of the ciphertext, so that a cut one is noticed without reading it. */
  readonly length: number
  readonly envelope: Uint8Array
  /** The SHA-256 of the ciphertext, which is its name. */
  readonly hash: Uint8Array
}

/**
 * Parses a head.
 * @throws KeystrataError `malformed` if it is too short
 */
export function parseHead(stored: Uint8Array): HeadParts {
  const end = stored.length - HASH_BYTES
  if (end < LENGTH_BYTES)
    throw new KeystrataError('malformed', 'this head is cut short', { object: 'head', bytes: stored.length })
  const { buffer, byteOffset } = stored
  return {
    length: new DataView(buffer, byteOffset).getUint32(0),
    envelope: stored.subarray(LENGTH_BYTES, end),
    hash: stored.subarray(end),
  }
}

const encodeHead = ({ length, envelope, hash }: HeadParts): Bytes => concat(u32(length), envelope, hash)

/**
 * The head of a block whose ciphertext the store has, with the right length.
 * @example
 * ```ts
 * import type { StoredHead } from 'keystrata/stores'
 *
 * const nameOf = ({ hash }: StoredHead) => `data/${hash}`
 * ```
 */
export interface StoredHead extends BlockHead {
  /** The SHA-256 of the ciphertext, 64 hex digits. */
  readonly hash: string
  /** The bytes of the ciphertext. */
  readonly size: number
}

/**
 * A store of blocks: what backups and restores need. {@link blocksIn} makes one of a {@link BlobStore}. A product that
 * keeps its blocks elsewhere, such as in a database, implements this itself.
 * @example
 * ```ts
 * import type { BlockWriter } from 'keystrata'
 * import type { Blocks } from 'keystrata/stores'
 *
 * async function backUp(content: Uint8Array, writer: BlockWriter, blocks: Blocks) {
 *   using prepared = await writer.prepare(content)
 *   if (!(await blocks.has(prepared.label))) await blocks.put(await prepared.seal())
 *   return prepared.label
 * }
 * ```
 */
export interface Blocks {
  /**
   * Returns whether the block is there, with a ciphertext of the right length. So a block whose ciphertext is missing or
   * was cut is stored again by the next backup.
   */
  has(label: string): Promise<boolean>
  /**
   * Reads a block. Returns undefined if there is none.
   * @throws KeystrataError `missing` if the head is there, but not its ciphertext
   * @throws KeystrataError `malformed` if the head is cut short
   */
  get(label: string): Promise<StoredBlock | undefined>
  /**
   * Stores a block, and its heads for shares: the ciphertext first, then the heads of shares, then its own head. So a
   * backup that was interrupted puts the block again. Repairs a head that is damaged, or whose ciphertext is missing or
   * has the wrong length. A head of a share that names another ciphertext is replaced, except with dedup `off`: there
   * refs in the log of the share may name it, so it stays, and a new ref for the share needs its hash.
   * @returns true if the head was written, or the block repaired; false if the block was there
   */
  put(block: StoredBlock & Pick<SealedBlock, 'shared'>): Promise<boolean>
  /**
   * Reads all heads. A damaged head is yielded with an envelope that is empty or invalid, instead of ending the list.
   * @param options `prefix`: only labels that begin with these hex digits
   */
  heads(options?: { prefix?: string | undefined }): AsyncIterable<BlockHead>
  /**
   * Replaces the envelope of a block by compare-and-set.
   * @param head the head that was read
   * @returns false if the stored envelope has changed, or the block is gone
   */
  replaceEnvelope(head: BlockHead, next: Uint8Array): Promise<boolean>
  /**
   * Deletes the head of a block, so that it can no longer be found. The ciphertext stays, because heads of other shares
   * or of other keysets may name it.
   */
  delete(label: string): Promise<void>
  /**
   * Optional. True if the store keeps no reference to the bytes that it was given once `put` has settled, and if nothing
   * else holds the bytes that `get` returns. Streams then use that memory again.
   */
  readonly copiesBytes?: boolean
  /**
   * Optional, together with `putHead`: with both, blocks are shared without sending their ciphertexts. Reads a head.
   * Returns undefined if there is none.
   * @throws KeystrataError `missing` if its ciphertext is missing or has another length
   * @throws KeystrataError `malformed` if the head is cut short
   */
  head?(label: string): Promise<StoredHead | undefined>
  /**
   * Optional. Writes a head for a ciphertext that the store has, and repairs a damaged one.
   * @returns false if a head is there
   */
  putHead?(head: StoredHead): Promise<boolean>
}

/**
 * A store of blocks, with the heads of shares.
 * @example
 * ```ts
 * import type { SharedReader } from 'keystrata'
 * import type { SharedBlocks } from 'keystrata/stores'
 *
 * async function openShared(label: string, reader: SharedReader, blocks: SharedBlocks) {
 *   const block = await blocks.shared(reader.id).get(label)
 *   return block && (await reader.open(block))
 * }
 * ```
 */
export interface SharedBlocks extends Blocks {
  /**
   * Returns the blocks of a share: the same ciphertexts, with the share's own envelopes. To add a stored block to a
   * share, put it there with another envelope: `{ ...block, envelope: share.add(block) }`.
   */
  shared(share: string): Blocks
}

/** What restoring needs of a store of blocks. */
type ReadableBlocks = Pick<Blocks, 'get'> & { shared(share: string): Pick<Blocks, 'get'> }

/**
 * Returns the blocks in a store of blobs. `data/<SHA-256>` is a ciphertext, `head/<label>` a head, and
 * `share/<id>/<label>` a head for a share.
 * @param blobs a store; a program that only restores may pass an object with `get` alone
 * @example
 * ```ts
 * import { createKeyset } from 'keystrata'
 * import { blocksIn, memoryBlobStore } from 'keystrata/stores'
 *
 * const blocks = blocksIn(memoryBlobStore())
 * using keyset = await createKeyset('correct horse battery staple')
 * const block = await keyset.seal(new TextEncoder().encode('my file'))
 * console.log(await blocks.put(block), await blocks.has(block.label)) // true true
 * ```
 */
export function blocksIn(blobs: BlobStore): SharedBlocks
export function blocksIn(blobs: Pick<BlobStore, 'get'>): ReadableBlocks
export function blocksIn(blobs: BlobStore | Pick<BlobStore, 'get'>): SharedBlocks | ReadableBlocks {
  if (typeof (blobs as Partial<BlobStore> | undefined)?.get !== 'function') {
    throw new TypeError('blocksIn takes a BlobStore: this has no method get')
  }
  // A program that only restores calls nothing but `get`, by its type.
  const all = blobs as BlobStore
  const shared = (share: string) => new BlocksUnder(all, `share/${shareIdFrom(share)}`)
  return Object.assign(new BlocksUnder(all, 'head'), { shared })
}

/** The blocks whose heads lie under one path. */
class BlocksUnder implements Blocks {
  readonly #blobs: BlobStore
  readonly #path: string

  constructor(blobs: BlobStore, path: string) {
    this.#blobs = blobs
    this.#path = path
  }

  /** False for every other object that is made of this one: its methods may keep the bytes. */
  get copiesBytes(): boolean {
    return #blobs in this && this.#blobs.copiesBytes === true
  }

  async has(label: string): Promise<boolean> {
    const head = readable(await this.#get(this.#nameOf(label)))
    return head !== undefined && (await this.#isWhole(head))
  }

  async get(label: string): Promise<StoredBlock | undefined> {
    const stored = await this.#get(this.#nameOf(label))
    if (stored === undefined) return undefined
    const { envelope, hash } = parseHead(stored)
    const ciphertext = await this.#get(ciphertextName(hash))
    if (ciphertext === undefined) {
      throw new KeystrataError('missing', 'the store has the head of this block, but not its ciphertext', {
        object: 'ciphertext',
        label,
        hash: toHex(hash),
      })
    }
    return { label, envelope, ciphertext }
  }

  async head(label: string): Promise<StoredHead | undefined> {
    const stored = await this.#get(this.#nameOf(label))
    if (stored === undefined) return undefined
    const head = parseHead(stored)
    const { envelope, hash, length } = head
    if (await this.#isWhole(head)) return { label, envelope, hash: toHex(hash), size: length }
    throw new KeystrataError('missing', 'the ciphertext of this block is missing or has another length', {
      object: 'ciphertext',
      label,
      hash: toHex(hash),
    })
  }

  async putHead({ label, envelope, hash: name, size }: StoredHead): Promise<boolean> {
    const hash = fromHex(name, HASH_BYTES)
    if (hash === undefined) throw new TypeError('hash must be 64 lower-case hex digits')
    return this.#putHead(
      this.#nameOf(label),
      { length: size, envelope: bytesFrom(envelope, 'envelope'), hash },
      undefined,
    )
  }

  async put(block: StoredBlock & Pick<SealedBlock, 'shared'>): Promise<boolean> {
    const { label, envelope, ciphertext } = partsOf(block)
    const head = { length: ciphertext.length, envelope, hash: await hashOf(ciphertext) }
    const sharedHeads = [...(block.shared ?? [])].map(
      ([share, masked]) =>
        [`share/${shareIdFrom(share)}/${toHex(label)}`, { ...head, envelope: bytesFrom(masked, 'envelope') }] as const,
    )
    // The block's own head comes last. Once it is there, `has` is true, and no backup puts this block again.
    const own = this.#nameOf(toHex(label))
    const before = sharedHeads.length > 0 ? await this.#stateOf(own) : 'whole'
    // A head of a share that names another ciphertext is damaged or planted, where equal content always has the same one.
    // Elsewhere refs in the log of the share may name it, so it stays (SPEC §6.5).
    for (const [name, sharedHead] of sharedHeads)
      await this.#putHead(name, sharedHead, ciphertext, !hasRandomKey(sharedHead.envelope))
    // The head of a share may already have repaired the ciphertext.
    return (await this.#putHead(own, head, ciphertext)) || before === 'broken'
  }

  /** Returns whether a head is there, and whole together with its ciphertext. */
  async #stateOf(name: string): Promise<'missing' | 'broken' | 'whole'> {
    const stored = await this.#get(name)
    if (stored === undefined) return 'missing'
    const head = readable(stored)
    return head !== undefined && (await this.#isWhole(head)) ? 'whole' : 'broken'
  }

  /**
   * Writes a head, after its ciphertext.
   * @param ciphertext undefined if the store has it
   * @param replaces whether to replace a head that is whole, if it names another ciphertext
   * @returns false if a head is there that stays
   */
  async #putHead(
    name: string,
    next: HeadParts,
    ciphertext: Uint8Array | undefined,
    replaces = false,
  ): Promise<boolean> {
    for (let repair = 0; repair < REPAIRS; repair++) {
      const stored = await this.#get(name)
      const head = readable(stored)
      const isWhole = head !== undefined && (await this.#isWhole(head))
      const isSame = head !== undefined && equalBytes(head.hash, next.hash) && head.length === next.length
      if (isWhole && (isSame || !replaces)) return false
      if (ciphertext !== undefined) await this.#putCiphertext(next, ciphertext)
      if (isSame) return true
      const answer =
        stored === undefined
          ? checkedFlag(await this.#blobs.put(name, encodeHead(next)), 'put')
          : checkedFlag(await this.#blobs.replace(name, stored, encodeHead(next)), 'replace')
      if (answer) return true
    }
    throw new KeystrataError('conflict', 'other writers changed the head of this block on every try', { object: name })
  }

  /**
   * Writes a ciphertext under its hash. What lies there already is read and compared: a damaged one is replaced. A block
   * whose head is whole never comes here, so this is rare.
   */
  async #putCiphertext({ hash, length }: HeadParts, ciphertext: Uint8Array): Promise<void> {
    const name = ciphertextName(hash)
    if (checkedFlag(await this.#blobs.put(name, ciphertext), 'put')) return
    const found = await this.#get(name)
    if (found === undefined) checkedFlag(await this.#blobs.put(name, ciphertext), 'put')
    else if (found.length !== length || !equalBytes(await hashOf(found), hash)) {
      checkedFlag(await this.#blobs.replace(name, found, ciphertext), 'replace')
    }
  }

  async *heads(options?: { prefix?: string | undefined }): AsyncGenerator<BlockHead> {
    const { prefix = '' } = optionsFrom(options, { prefix: 'optional' }, 'heads')
    labelPrefixFrom(prefix)
    const waiting: Promise<BlockHead | undefined>[] = []
    for await (const { name } of listBlobs(this.#blobs, `${this.#path}/${prefix}`)) {
      const label = this.#labelIn(name)
      if (label === undefined) continue
      const reading = this.#headAt(label)
      // The error is thrown when its turn comes, even if an earlier read fails first.
      reading.catch(() => undefined)
      waiting.push(reading)
      if (waiting.length >= HEADS_AHEAD) yield* arrived(waiting.splice(0))
    }
    yield* arrived(waiting)
  }

  /** Returns the label in the name of a head, or undefined if it is another blob, which no label can name. */
  #labelIn(name: string): string | undefined {
    const label = name.slice(this.#path.length + 1)
    return /^[\da-f]{64}$/.test(label) ? label : undefined
  }

  /** Reads one head of a list. Returns undefined if it was deleted since. */
  async #headAt(label: string): Promise<BlockHead | undefined> {
    const stored = await this.#get(this.#nameOf(label))
    if (stored === undefined) return undefined
    return { label, envelope: readable(stored)?.envelope ?? EMPTY }
  }

  async replaceEnvelope(head: BlockHead, next: Uint8Array): Promise<boolean> {
    const { label, envelope: expected } = headOf(head)
    const envelope = bytesFrom(next, 'envelope')
    const name = this.#nameOf(toHex(label))
    const stored = await this.#get(name)
    if (stored === undefined) return false
    const { envelope: found, length, hash } = parseHead(stored)
    if (!equalBytes(found, expected)) return false
    return checkedFlag(await this.#blobs.replace(name, stored, encodeHead({ length, envelope, hash })), 'replace')
  }

  async delete(label: string): Promise<void> {
    await this.#blobs.delete(this.#nameOf(label))
  }

  #nameOf(label: string): string {
    parseLabel(label)
    return `${this.#path}/${label}`
  }

  async #get(name: string): Promise<Uint8Array | undefined> {
    return readBlob(this.#blobs, name)
  }

  /** Returns whether the ciphertext of a head is there, and has the right length. */
  async #isWhole({ hash, length }: HeadParts): Promise<boolean> {
    return (await sizeOfBlob(this.#blobs, ciphertextName(hash))) === length
  }
}

/**
 * Returns the beginning of a label.
 * @throws TypeError if it is something else
 */
export function labelPrefixFrom(prefix: string): string {
  if (typeof prefix === 'string' && /^[\da-f]{0,64}$/.test(prefix)) return prefix
  throw new TypeError('prefix must be hex digits, the beginning of a label')
}

/** Yields the heads that are there, in order. */
async function* arrived(readings: readonly Promise<BlockHead | undefined>[]): AsyncGenerator<BlockHead> {
  for (const reading of readings) {
    const head = await reading
    if (head !== undefined) yield head
  }
}

/** Returns the SHA-256 of a ciphertext. Large ones go to the platform's fastest hash. */
export async function hashOf(ciphertext: Uint8Array): Promise<Bytes> {
  const [hash] = (await digestContent(bytesFrom(ciphertext, 'ciphertext'), [{ hash: 'sha256' }])) as [Bytes]
  return hash
}

/** Returns the name of a ciphertext in a store of blobs. */
export const ciphertextName = (hash: Uint8Array): string => `data/${toHex(hash)}`

/** Returns the head, or undefined if there is none, or it is damaged. */
function readable(stored: Uint8Array | undefined): HeadParts | undefined {
  if (stored === undefined) return undefined
  try {
    return parseHead(stored)
  } catch (error) {
    if (error instanceof KeystrataError) return undefined
    throw error
  }
}
