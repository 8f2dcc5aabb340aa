// Seals contents into a store of blocks: one block for each, or many small files in one. What the store has already is
// skipped. Contents are copied into memory of the stream, are sealed there, and the memory serves again.
import type { BlockWriter, PreparedBlock, OwnPreparedBlock, SealOptions } from '../core/block.ts'
import { sharesOf } from '../core/block.ts'
import { type Bytes, bytesFrom, copyOf, wipe } from '../core/bytes.ts'
import { contentFrom, contentIn, withLent } from '../core/content.ts'
import { inOrder } from '../core/in-order.ts'
import { optionsFrom, type Rules } from '../core/options.ts'
import { MAX_MEMBER_BYTES, MAX_MEMBERS } from '../core/pack.ts'
import { isOwnHandle } from '../core/recipe.ts'
import { wiping } from '../core/secret.ts'
import { type Blocks, hashOf, type SharedBlocks } from './blocks.ts'
import { hasBlock, putBlock } from './checked-blocks.ts'
import { readCut } from './cut.ts'
import { type LentMemory, lentMemory } from './lent-memory.ts'
import { type Ahead, AHEAD, type Each, paceFrom, sourceFrom } from './pace.ts'
import { encodeRef } from './ref.ts'
import { isRepeatable, type SharedHashes, SharedHeads, sharedRefs, shareStored } from './shared-heads.ts'

/**
 * Where one content is. Keep `ref` in a log: it is as secret as the content.
 * @example
 * ```ts
 * import type { SealedContent } from 'keystrata'
 *
 * const toLine = ({ ref, size, isNew }: SealedContent) => `${ref} ${size} ${isNew ? 'new' : 'stored already'}`
 * ```
 */
export interface SealedContent {
  /** What `openFrom` takes: the label of the block, and for a packed file its member string. */
  readonly ref: string
  /** The bytes of the content. */
  readonly size: number
  /** Whether its block was written. False if the store has it already. */
  readonly isNew: boolean
  /** The ref for the log of each share that was asked for, by the share's id. It also has the hash of the ciphertext. */
  readonly shared?: ReadonlyMap<string, string>
}

/** What sealing needs of a store. */
type WritableBlocks = Pick<Blocks, 'has' | 'put' | 'copiesBytes'>

const OPTIONS: Rules<Ahead & SealOptions> = { ...AHEAD, shares: 'optional' }

/**
 * Seals each content as a block of its own, into a store. What the store has already is skipped.
 * @param blocks `blocksIn` of a store, or a product's own. For `shares` it must have the blocks of shares too
 * @param writer seals the blocks: a keyset, its writer, a vault, a scope of a client, or one of these in a pool
 * @param contents at most 64 MiB each. `cut` makes them of a stream; a content that is in memory goes into an array
 * @param options `ahead`, `signal`; `shares`: the ids of shares whose readers may open the blocks too
 * @returns where each content is, in their order. Nothing is read or sealed before you iterate. After an error, repeat
 *   the whole: what was stored is skipped
 * @throws KeystrataError as {@link BlockWriter.prepare} and {@link PreparedBlock.seal}
 * @throws KeystrataError `aborted` if the signal was aborted
 * @throws RangeError if `ahead` is not an integer from 1 to 1,024
 * @throws TypeError if the contents are not a source of Uint8Arrays, or `shares` are given to a store without shares
 * @throws TypeError for an unknown option
 * @example
 * ```ts
 * import { createKeyset, cut, openFrom, sealInto } from 'keystrata'
 * import { blocksIn, memoryBlobStore } from 'keystrata/stores'
 *
 * using keyset = await createKeyset('correct horse battery staple')
 * const blocks = blocksIn(memoryBlobStore())
 * const refs: string[] = []
 * for await (const { ref } of sealInto(blocks, keyset, cut(new Blob(['my file']).stream()))) refs.push(ref)
 * for await (const content of openFrom(blocks, keyset, refs)) console.log(new TextDecoder().decode(content)) // my file
 * ```
 */
export function sealInto(
  blocks: Pick<Blocks, 'has' | 'put'>,
  writer: BlockWriter,
  contents: Each<Uint8Array>,
  options?: Ahead & SealOptions,
): AsyncGenerator<SealedContent> {
  const { shares, ...pace } = optionsFrom(options, OPTIONS, 'sealInto')
  const { most, signal } = paceFrom(pace)
  const source = sourceFrom(contents, 'contents')
  const heads = sharedHeadsOf(blocks, shares)
  return (async function* () {
    using memory = lentMemory(most + 1)
    const sealing = new Sealing(blocks, writer, heads, memory)
    const cut = readCut(source, memory)
    const pace = { most, signal }
    if (cut === undefined) yield* inOrder(source, (content) => sealing.refFor(contentFrom(content)), pace)
    else yield* inOrder(cut, (room) => sealing.refFor(contentIn(room), room), { ...pace, dropItem: wipe })
  })()
}

/** Returns the heads of each share, or undefined if there are no shares. */
function sharedHeadsOf(
  blocks: WritableBlocks,
  shares: readonly string[] | undefined,
): ReadonlyMap<string, SharedHeads> | undefined {
  const ids = sharesOf({ shares })
  return ids && new Map(ids.map((id) => [id, new SharedHeads(blocks as SharedBlocks, id)]))
}

/** A block that is in the store. */
interface Stored {
  readonly label: string
  readonly isNew: boolean
  readonly hashes: SharedHashes | undefined
}

/** Seals contents, one call for each. */
class Sealing {
  readonly #blocks: WritableBlocks
  readonly #writer: BlockWriter
  readonly #shares: ReadonlyMap<string, SharedHeads> | undefined
  readonly #memory: LentMemory
  /** Whether the writer seals content where it lies. A third-party writer may still read the content afterwards. */
  readonly #sealsInPlace: boolean
  /** Whether neither the writer nor the store keeps a ciphertext's memory once it is stored. */
  readonly #isCopied: boolean

  constructor(
    blocks: WritableBlocks,
    writer: BlockWriter,
    shares: ReadonlyMap<string, SharedHeads> | undefined,
    memory: LentMemory,
  ) {
    this.#blocks = blocks
    this.#writer = writer
    this.#shares = shares
    this.#memory = memory
    this.#sealsInPlace = isOwnHandle(writer)
    this.#isCopied = [blocks, ...(shares?.values() ?? [])].every(({ copiesBytes }) => copiesBytes === true)
  }

  /** Seals one content, and returns where it is. */
  async refFor(content: Uint8Array, room?: Bytes): Promise<SealedContent> {
    // Read first: a thread may take the buffer away.
    const { length } = content
    return this.refOf(await this.seal(content, room), length)
  }

  /**
   * Seals content, unless the store has it. All of it is read before the promise is returned.
   * @param room the buffer with room in which the content lies, if it does. The buffer goes to the memory
   */
  async seal(content: Uint8Array, room?: Bytes): Promise<Stored> {
    using prepared = await this.#prepare(content, room)
    const { label } = prepared
    if (await hasBlock(this.#blocks, label)) {
      const hashes = this.#shares && (await shareStored(prepared, this.#shares))
      if (this.#sealsInPlace) await this.#takeBack(prepared as OwnPreparedBlock)
      return { label, isNew: false, hashes }
    }
    const shares = this.#shares && [...this.#shares.keys()]
    const other = shares === undefined || (await isRepeatable(prepared)) ? 'replace' : 'believe'
    const block = await prepared.seal(shares && { shares })
    const { envelope, ciphertext } = block
    const hashes = this.#shares && new Map<string, Uint8Array>()
    // The heads of shares come first: once the block's own head is there, an interrupted backup does not come back.
    if (this.#shares !== undefined) {
      const hash = await hashOf(ciphertext)
      for (const [share, heads] of this.#shares) {
        const forShare = block.shared?.get(share) as Uint8Array
        hashes?.set(share, await heads.put(block, hash, forShare, { isStored: false, other }))
      }
    }
    const isNew = await putBlock(this.#blocks, { label, envelope, ciphertext })
    if (this.#sealsInPlace && this.#isCopied) this.#memory.give(ciphertext.buffer)
    return { label, isNew, hashes }
  }

  /** Takes back the buffer of a block that is not sealed. If its thread has died, only the buffer is lost. */
  async #takeBack(prepared: OwnPreparedBlock): Promise<void> {
    this.#memory.give(await prepared.discard().catch(() => undefined))
  }

  async #prepare(content: Uint8Array, room: Bytes | undefined): Promise<PreparedBlock> {
    const writer = this.#writer
    try {
      if (this.#sealsInPlace) {
        const lent = room ?? this.#memory.takeWhole(content.length)
        return await withLent(content, lent, () => writer.prepare(content))
      }
      const prepared = await writer.prepare(content)
      this.#memory.give(room?.buffer)
      return prepared
    } catch (error) {
      // A buffer that has moved to a thread is empty, and cannot be wiped.
      if (room !== undefined && room.length > 0) wipe(room)
      throw error
    }
  }

  /** Returns where a content of a stored block is. */
  refOf({ label, isNew, hashes }: Stored, size: number, member?: string): SealedContent {
    const ref = encodeRef({ label, hash: undefined, member })
    return hashes === undefined ? { ref, size, isNew } : { ref, size, isNew, shared: sharedRefs(label, hashes, member) }
  }
}

/** How many bytes of files make a pack: 8 MiB. */
const PACK_BYTES = MAX_MEMBER_BYTES

/**
 * Packs small files and seals the packs into a store, so that many files share the cost of a block. A pack takes up to
 * 8 MiB or 1,024 files, whichever comes first, and is sealed when it is full or the source ends. A file over 8 MiB gets
 * a block of its own. Equal files are stored once only if their whole packs are equal, so pass files in the same order
 * each time.
 * @param files at most 64 MiB each; `cut` larger ones for `sealInto`
 * @returns where each file is, in their order
 * @throws KeystrataError, RangeError, TypeError as {@link sealInto}
 * @example
 * ```ts
 * import { type BlockWriter, packInto } from 'keystrata'
 * import type { Blocks } from 'keystrata/stores'
 *
 * async function backUpSmall(files: Iterable<Uint8Array>, writer: BlockWriter, blocks: Blocks) {
 *   const refs: string[] = []
 *   for await (const { ref } of packInto(blocks, writer, files)) refs.push(ref)
 *   return refs
 * }
 * ```
 */
export function packInto(
  blocks: Pick<Blocks, 'has' | 'put'>,
  writer: BlockWriter,
  files: Each<Uint8Array>,
  options?: Ahead & SealOptions,
): AsyncGenerator<SealedContent> {
  const { shares, ...pace } = optionsFrom(options, OPTIONS, 'packInto')
  const { most, signal } = paceFrom(pace)
  const source = sourceFrom(files, 'files')
  const heads = sharedHeadsOf(blocks, shares)
  return (async function* () {
    using memory = lentMemory(most + 1)
    const sealing = new Sealing(blocks, writer, heads, memory)
    const pack = async (group: readonly Bytes[]): Promise<SealedContent[]> => {
      using _ = wiping(...group)
      const [first] = group
      if (group.length === 1 && first !== undefined && first.length > MAX_MEMBER_BYTES) {
        return [await sealing.refFor(first)]
      }
      const { content, members } = await writer.pack(group)
      const stored = await sealing.seal(content)
      return group.map(({ length }, index) => sealing.refOf(stored, length, members[index]))
    }
    const dropItem = (group: readonly Bytes[]) => wipe(...group)
    for await (const packed of inOrder(groupsOf(source), pack, { most, signal, dropItem })) yield* packed
  })()
}

/** Gathers files for packs. Copies each before the source goes on. */
async function* groupsOf(files: AsyncIterable<Uint8Array>): AsyncGenerator<Bytes[]> {
  let group: Bytes[] = []
  let bytes = 0
  const taken = () => {
    const full = group
    group = []
    bytes = 0
    return full
  }
  try {
    for await (const given of files) {
      const file = contentFrom(bytesFrom(given, 'file'))
      if (group.length > 0 && (bytes + file.length > PACK_BYTES || group.length === MAX_MEMBERS)) {
        yield taken()
      }
      group.push(copyOf(file))
      bytes += file.length
    }
    if (group.length > 0) yield taken()
  } finally {
    wipe(...group)
  }
}
