// Opens contents from a store of blocks, or verifies them.
import { type BlockReader, type StoredBlock } from '../core/block.ts'
import { type Bytes, equalBytes, wipe } from '../core/bytes.ts'
import { giveCiphertext } from '../core/content.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { inOrder } from '../core/in-order.ts'
import { optionsFrom } from '../core/options.ts'
import { openPackMember } from '../core/pack.ts'
import { needsPins } from '../core/pins.ts'
import { isOwnHandle } from '../core/recipe.ts'
import { disposable, type Handle } from '../core/secret.ts'
import { verifyBlock } from '../core/verify.ts'
import { type Blocks, hashOf } from './blocks.ts'
import { readBlock } from './checked-blocks.ts'
import { type Ahead, AHEAD, type Each, paceFrom, sourceFrom } from './pace.ts'
import { parseRef, type Ref } from './ref.ts'
import { missingBlock } from './shared-heads.ts'

/** What opening needs of a store. */
type ReadableBlocks = Pick<Blocks, 'get' | 'copiesBytes'>

/**
 * Opens contents from a store, in the order of their refs. Packed files that follow each other in one pack are opened
 * from one block, which is read once.
 * @param blocks where the refs were sealed; for refs of a share, `blocks.shared(id)`
 * @param reader opens the blocks; also one in a pool
 * @param refs from `sealInto`, `packInto` or `shareFrom`
 * @returns the contents. Each is the caller's own
 * @throws KeystrataError `missing` if the store has no such block, or only its head
 * @throws KeystrataError `malformed` if a text is not a ref, or lacks the hash that a reader of a share needs
 * @throws KeystrataError `authentication-failed` if a block is not the one that the ref of a share names
 * @throws KeystrataError as {@link BlockReader.open} and `openPackMember`; `detail.label` names the block
 * @throws KeystrataError `aborted` if the signal was aborted
 * @throws RangeError if `ahead` is not an integer from 1 to 1,024
 * @throws TypeError if the refs are not a source of strings
 * @throws TypeError for an unknown option
 * @example
 * ```ts
 * import { type BlockReader, openFrom } from 'keystrata'
 * import type { Blocks } from 'keystrata/stores'
 *
 * async function restore(refs: string[], blocks: Blocks, reader: BlockReader, write: (part: Uint8Array) => Promise<void>) {
 *   for await (const content of openFrom(blocks, reader, refs)) await write(content)
 * }
 * ```
 */
export function openFrom(
  blocks: Pick<Blocks, 'get'>,
  reader: BlockReader,
  refs: Each<string>,
  options?: Ahead,
): AsyncGenerator<Bytes> {
  const pace = paceFrom(optionsFrom(options, AHEAD, 'openFrom'))
  const source = sourceFrom(refs, 'refs')
  return (async function* () {
    using opening = openingOf(blocks, reader)
    yield* inOrder(source, (ref) => opening.open(ref), { ...pace, dropResult: (content) => opening.drop(content) })
  })()
}

/**
 * Opens contents and wipes them, to find out whether they can be restored. The reading is done in full, so this takes
 * as long as a restore.
 * @param blocks as for {@link openFrom}
 * @returns each ref, with the error if its content does not open. A block that is not there is `missing`
 * @throws KeystrataError `disposed` if the reader was disposed of or its pool was closed
 * @throws KeystrataError `aborted`, RangeError, TypeError as {@link openFrom}
 * @example
 * ```ts
 * import { type BlockReader, verifyBlocks } from 'keystrata'
 * import type { Blocks } from 'keystrata/stores'
 *
 * async function report(refs: string[], blocks: Blocks, reader: BlockReader) {
 *   for await (const { ref, error } of verifyBlocks(blocks, reader, refs)) if (error) console.log(ref, error.message)
 * }
 * ```
 */
export function verifyBlocks(
  blocks: Pick<Blocks, 'get'>,
  reader: BlockReader,
  refs: Each<string>,
  options?: Ahead,
): AsyncGenerator<{ ref: string; error?: KeystrataError }> {
  const pace = paceFrom(optionsFrom(options, AHEAD, 'verifyBlocks'))
  const source = sourceFrom(refs, 'refs')
  return (async function* () {
    using opening = openingOf(blocks, reader)
    const verify = async (ref: string): Promise<{ ref: string; error?: KeystrataError }> => {
      try {
        await opening.verify(ref)
        return { ref }
      } catch (error) {
        return { ref, error: aboutBlock(error) }
      }
    }
    yield* inOrder(source, verify, pace)
  })()
}

/** Returns an error that is about one block. Throws `disposed` and every other error, which ends a stream. */
export function aboutBlock(error: unknown): KeystrataError {
  if (error instanceof KeystrataError && error.code !== 'disposed') return error
  throw error
}

/** Returns an error about a block with its label, so that a caller of many knows which one it is. */
function withLabel(error: unknown, { label }: Ref): unknown {
  if (!(error instanceof KeystrataError) || error.code === 'disposed') return error
  return new KeystrataError(error.code, error.message, { label, ...error.detail })
}

/** The content of a pack, which several files are taken from. */
interface OpenedPack {
  readonly block: string
  readonly content: Promise<Bytes>
  users: number
  isLast: boolean
}

/** Opens the contents of one stream. */
class Opening {
  readonly #blocks: ReadableBlocks
  readonly #reader: BlockReader
  /** Whether nobody else can hold the blocks that the reader gets, and the contents that it returns. */
  readonly #isOwnReader: boolean
  /** The pack of the newest ref. The next ref may be of the same one. */
  #last: OpenedPack | undefined

  constructor(blocks: ReadableBlocks, reader: BlockReader) {
    this.#blocks = blocks
    this.#reader = reader
    this.#isOwnReader = isOwnHandle(reader)
  }

  async open(text: string): Promise<Bytes> {
    const ref = parseRef(text)
    try {
      if (ref.member === undefined) return await this.#reader.open(await this.#read(ref))
      return await this.#openMember(text, ref, ref.member)
    } catch (error) {
      throw withLabel(error, ref)
    }
  }

  /** Wipes a content that nobody took. */
  drop(content: Bytes): void {
    if (this.#isOwnReader) wipe(content)
  }

  async verify(text: string): Promise<void> {
    const ref = parseRef(text)
    try {
      if (ref.member === undefined) await verifyBlock(this.#reader, await this.#read(ref))
      else wipe(await this.#openMember(text, ref, ref.member))
    } catch (error) {
      throw withLabel(error, ref)
    }
  }

  async #openMember(text: string, ref: Ref, member: string): Promise<Bytes> {
    const pack = this.#packOf(text.slice(0, text.length - member.length), ref)
    pack.users++
    try {
      return await openPackMember(await pack.content, member)
    } finally {
      pack.users--
      this.#release(pack)
    }
  }

  /** @param block what the ref says about the block, as text */
  #packOf(block: string, ref: Ref): OpenedPack {
    if (this.#last?.block === block) return this.#last
    this.forgetLast()
    const content = this.#read(ref).then((stored) => this.#reader.open(stored))
    return (this.#last = { block, content, users: 0, isLast: true })
  }

  forgetLast(): void {
    const last = this.#last
    this.#last = undefined
    if (last === undefined) return
    last.isLast = false
    this.#release(last)
  }

  /** Wipes a pack that no file is taken from any more. */
  #release({ users, isLast, content }: OpenedPack): void {
    if (users > 0 || isLast || !this.#isOwnReader) return
    content.then(wipe, () => undefined)
  }

  /** Reads a block, and compares its ciphertext with the hash in the ref. */
  async #read({ label, hash }: Ref): Promise<StoredBlock> {
    if (hash === undefined && needsPins(this.#reader)) {
      throw new KeystrataError(
        'malformed',
        'this ref has no hash, so a reader of a share cannot tell whether the block is the right one: pass a ref of the log of the share',
        { object: 'ref', label },
      )
    }
    const block = await readBlock(this.#blocks, label)
    if (block === undefined) throw missingBlock(label)
    const { ciphertext } = block
    if (hash !== undefined && !equalBytes(await hashOf(ciphertext), hash)) throw authenticationFailed()
    if (this.#isOwnReader && this.#blocks.copiesBytes === true) giveCiphertext(ciphertext)
    return block
  }
}

/** Returns what opens the contents of one stream, and wipes what it holds at the end of a `using` block. */
function openingOf(blocks: ReadableBlocks, reader: BlockReader): Opening & Handle {
  const opening = new Opening(blocks, reader)
  return disposable(opening, () => opening.forgetLast())
}
