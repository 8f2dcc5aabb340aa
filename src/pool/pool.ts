// What a program has of a pool: the same writers and readers in its threads, and streams of blocks that are rekeyed or verified.
// Worker threads for whole blocks: what a program seals and opens goes on beside it, on as many cores as there are. Keys are
// handed to a thread once, and wiped when the pool is closed; contents and blocks move without being copied back.
import type { Keyset } from '../keyset/keyset.ts'
import {
  type BlockHead,
  type BlockReader,
  type BlockWriter,
  type PreparedBlock,
  type SealedBlock,
  sharesOf,
  type StoredBlock,
} from '../core/block.ts'
import { type Bytes, bytesFrom, equalBytes } from '../core/bytes.ts'
import { contentFrom, withRoom } from '../core/content.ts'
import { KeystrataError } from '../core/errors.ts'
import { borrowedRecipe, recipeOf } from '../core/recipe.ts'
import { disposeKeys } from '../core/secret.ts'
import type { Share } from '../keyset/share.ts'
import { inOrder } from './in-order.ts'
import { closed, lostWithIt, Member } from './member.ts'
import { arrivedError, type Moved, type MovedBlock, type MovedHead, type Rekeyed, type Task } from './messages.ts'
import { PooledBlock } from './pooled-block.ts'
import type { Recipe } from './messages.ts'
import { processorCount } from './threads.ts'

/**
 * What became of one envelope.
 * @example
 * ```ts
 * import type { RekeyedHead } from 'keystrata/pool'
 *
 * const stateOf = ({ envelope, error }: RekeyedHead) => error?.code ?? (envelope ? 'rekeyed' : 'current')
 * ```
 */
export interface RekeyedHead {
  readonly label: string
  /** The new envelope; absent where the old one is current already. */
  readonly envelope?: Bytes
  /** Why there is none. */
  readonly error?: KeystrataError
}

/**
 * What is wrong with one block, if anything.
 * @example
 * ```ts
 * import type { VerifiedBlock } from 'keystrata/pool'
 *
 * const toLine = ({ label, error }: VerifiedBlock) => `${label}: ${error?.message ?? 'ok'}`
 * ```
 */
export interface VerifiedBlock {
  readonly label: string
  readonly error?: KeystrataError
}

/**
 * Threads that seal, open, verify and rekey. At most two blocks, or two lots of 32 envelopes, for each thread are under way
 * at once; the rest waits, a prepared block in the thread that has it. If a thread dies, its tasks reject with an Error
 * that says so, and another thread takes its place.
 * @example
 * ```ts
 * import type { BlockReader, StoredBlock } from 'keystrata'
 * import type { Pool } from 'keystrata/pool'
 *
 * async function findDamaged(blocks: AsyncIterable<StoredBlock>, reader: BlockReader, pool: Pool) {
 *   const damaged: string[] = []
 *   for await (const { label, error } of pool.verify(reader, blocks)) if (error) damaged.push(label)
 *   return damaged
 * }
 * ```
 */
export interface Pool extends AsyncDisposable {
  /** Lets what runs come to its end, refuses what waits (`disposed`), wipes the keys in all threads, and ends them. */
  close(): Promise<void>
  /**
   * The same writer, in the threads: of a keyset, of a vault, or a scope of a client. It has copies of the keys until the
   * pool is closed. Content is copied before the call returns.
   * @throws KeystrataError `disposed`
   * @throws TypeError for a writer of another library copy, and of clients under DES-56
   */
  writer(writer: BlockWriter): BlockWriter
  /**
   * The same reader, in the threads: of a keyset, a share, a vault, a client or a scope of it.
   * @throws KeystrataError `disposed`
   * @throws TypeError as {@link Pool.writer}
   */
  reader(reader: BlockReader): BlockReader
  /**
   * New envelopes for a stream of blocks, in the order of the stream; what cannot be rekeyed is told in its place, and the
   * rest goes on.
   * @param options `to`: a share of this reader's keyset that all blocks are added to, in the place of today's key pairs; `signal`: ends it
   * @throws KeystrataError `aborted`, `disposed`
   * @throws TypeError for a share of another keyset
   */
  rekey(
    reader: Keyset,
    heads: AsyncIterable<BlockHead>,
    options?: { to?: Share; signal?: AbortSignal },
  ): AsyncGenerator<RekeyedHead>
  /**
   * Opens a stream of blocks, and tells of each whether it does, in the order of the stream.
   * @param options `signal`: ends it
   * @throws KeystrataError `aborted`, `disposed`
   */
  verify(
    reader: BlockReader,
    blocks: AsyncIterable<StoredBlock>,
    options?: { signal?: AbortSignal },
  ): AsyncGenerator<VerifiedBlock>
}

const TASKS_PER_THREAD = 2

/** Heads are small: a message for each would cost a third of what rekeying does. */
const HEADS_PER_TASK = 32

const MAX_THREADS = 64

/**
 * A pool of worker threads, each of which starts when it is first needed.
 * @param options `threads`: as many as there are processors unless said, at most 64; `worker`: where the worker's file is,
 *   for bundlers and content-security policies; that of `keystrata/pool/worker`
 * @throws RangeError for a number of threads that is none
 * @example
 * ```ts
 * import { createKeyset } from 'keystrata'
 * import { createPool } from 'keystrata/pool'
 *
 * using keyset = await createKeyset('correct horse battery staple')
 * await using pool = createPool()
 * const block = await pool.writer(keyset).seal(new TextEncoder().encode('my file'))
 * console.log(new TextDecoder().decode(await pool.reader(keyset).open(block))) // my file
 * ```
 */
export function createPool(options: { threads?: number; worker?: URL } = {}): Pool {
  const { threads = Math.min(processorCount(), MAX_THREADS), worker = new URL('./worker.js', import.meta.url) } =
    options
  if (!Number.isSafeInteger(threads) || threads < 1 || threads > MAX_THREADS) {
    throw new RangeError(`threads must be 1 to ${MAX_THREADS}`)
  }
  return new WorkerPool(threads, worker)
}

interface Waiting {
  start: (member: Member) => void
  refuse: (error: Error) => void
}

class WorkerPool implements Pool {
  readonly #members: readonly Member[]
  readonly #recipes: Map<number, Recipe> = new Map()
  readonly #numbers: WeakMap<object, number> = new WeakMap()
  readonly #waiting: Waiting[] = []
  readonly #running: Set<Promise<unknown>> = new Set()
  #lastNumber = 0
  #closing: Promise<void> | undefined

  constructor(threads: number, worker: URL) {
    this.#members = Array.from({ length: threads }, () => new Member(worker, this.#recipes))
  }

  writer(writer: BlockWriter): BlockWriter {
    const handle = this.#numberOf(writer)
    return {
      prepare: (content) => this.#prepare(handle, content),
      seal: async (content, options = {}) => {
        const shares = sharesOf(options)
        const copy = withRoom(contentFrom(content))
        const task: Task = { task: 'seal', handle, content: copy, shares }
        return (await this.#anywhere(task, [copy.buffer], [handle])) as SealedBlock
      },
    }
  }

  reader(reader: BlockReader): BlockReader {
    const handle = this.#numberOf(reader)
    return {
      open: async (block) => {
        const copy = copyOfBlock(block)
        return (await this.#anywhere({ task: 'open', handle, block: copy }, buffersOf(copy), [handle])) as Bytes
      },
    }
  }

  rekey(
    reader: Keyset,
    heads: AsyncIterable<BlockHead>,
    options: { to?: Share; signal?: AbortSignal } = {},
  ): AsyncGenerator<RekeyedHead> {
    const { to: share, signal } = options
    if (share !== undefined)
      assertShareOf(borrowedRecipe(reader) as Recipe | undefined, borrowedRecipe(share) as Recipe | undefined)
    const handle = this.#numberOf(share ?? reader)
    const rekeyAll = async (arrived: MovedHead[]): Promise<RekeyedHead[]> => {
      const task: Task = { task: share === undefined ? 'rekey' : 'add', handle, heads: arrived }
      // Not moved: copies of so few bytes cost less.
      const rekeyed = (await this.#anywhere(task, [], [handle])) as Rekeyed[]
      return rekeyed.map(({ error, ...head }) =>
        error === undefined ? head : { ...head, error: asKeystrataError(arrivedError(error)) },
      )
    }
    return inOrder(heads, { arrive: copyOfHead, task: rekeyAll, most: this.#most, lot: HEADS_PER_TASK, signal })
  }

  verify(
    reader: BlockReader,
    blocks: AsyncIterable<StoredBlock>,
    options: { signal?: AbortSignal } = {},
  ): AsyncGenerator<VerifiedBlock> {
    const handle = this.#numberOf(reader)
    const verifyOne = async (block: MovedBlock): Promise<VerifiedBlock> => {
      const { label } = block
      try {
        await this.#anywhere({ task: 'verify', handle, block }, buffersOf(block), [handle])
        return { label }
      } catch (error) {
        return { label, error: asKeystrataError(error) }
      }
    }
    const task = (arrived: MovedBlock[]) => Promise.all(arrived.map(verifyOne))
    return inOrder(blocks, { arrive: copyOfBlock, task, most: this.#most, lot: 1, signal: options.signal })
  }

  async #prepare(handle: number, content: Uint8Array): Promise<PreparedBlock> {
    const copy = withRoom(contentFrom(content))
    const prepared = ++this.#lastNumber
    const owner: { member?: Member; life?: number } = {}
    const task: Task = { task: 'prepare', handle, prepared, content: copy }
    const label = (await this.#anywhere(task, [copy.buffer], [handle], (member) => {
      owner.member = member
      owner.life = member.life
    })) as string
    const { member, life } = owner as { member: Member; life: number }
    return new PooledBlock(label, prepared, async (next) => {
      if (this.#closing !== undefined) throw closed()
      if (member.life !== life) throw lostWithIt()
      return this.#watch(member.ask(next))
    })
  }

  get #most(): number {
    return this.#members.length * TASKS_PER_THREAD
  }

  /** One number for each handle; its keys are copied now, and sent to each thread when it first needs them. */
  #numberOf(handle: object): number {
    if (this.#closing !== undefined) throw closed()
    const known = this.#numbers.get(handle)
    if (known !== undefined) return known
    const number = ++this.#lastNumber
    // Every handle registers one of these kinds.
    this.#recipes.set(number, recipeOf(handle) as Recipe)
    this.#numbers.set(handle, number)
    return number
  }

  /** Gives a task to the thread that has least to do, when one has room. */
  #anywhere(
    task: Task,
    moved: ArrayBuffer[],
    handles: readonly number[],
    onStart: (member: Member) => void = () => undefined,
  ): Promise<unknown> {
    if (this.#closing !== undefined) return Promise.reject(closed())
    const done = new Promise((resolve, reject) => {
      const start = (member: Member) => {
        onStart(member)
        member.ask(task, moved, handles).then(resolve, reject)
      }
      this.#waiting.push({ start, refuse: reject })
    })
    this.#handOut()
    return this.#watch(done)
  }

  #handOut(): void {
    for (;;) {
      const member = this.#members.reduce((least, each) => (each.load < least.load ? each : least))
      if (member.load >= TASKS_PER_THREAD) return
      const waiting = this.#waiting.shift()
      if (waiting === undefined) return
      waiting.start(member)
    }
  }

  /** Hears when a task is done: then there is room for another one. */
  #watch<T>(running: Promise<T>): Promise<T> {
    this.#running.add(running)
    const done = () => {
      this.#running.delete(running)
      this.#handOut()
    }
    running.then(done, done)
    return running
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    for (const { refuse } of this.#waiting.splice(0)) refuse(closed())
    await Promise.allSettled(this.#running)
    await Promise.all(this.#members.map((member) => member.close()))
    for (const recipe of this.#recipes.values()) disposeKeys(recipe)
    this.#recipes.clear()
  }
}

/** @throws TypeError for what is no share in the hand of its owner, and no reader of that owner */
function assertShareOf(reader: Recipe | undefined, share: Recipe | undefined): void {
  const isShareOf = reader?.kind === 'keyset' && share?.kind === 'share' && equalBytes(reader.owner.id, share.owner.id)
  if (!isShareOf) throw new TypeError('to must be a share of the keyset that the reader is of')
}

/** Copies: what moves is gone where it came from, and the caller's buffers are the caller's. */
function copyOfHead({ label, envelope }: BlockHead): MovedHead {
  if (typeof label !== 'string') throw new TypeError('label must be a string')
  return { label, envelope: new Uint8Array(bytesFrom(envelope, 'envelope')) }
}

function copyOfBlock(block: StoredBlock): MovedBlock {
  const { ciphertext } = block
  return { ...copyOfHead(block), ciphertext: new Uint8Array(bytesFrom(ciphertext, 'ciphertext')) }
}

const buffersOf = ({ envelope, ciphertext }: { envelope: Moved; ciphertext: Moved }): ArrayBuffer[] => [
  envelope.buffer,
  ciphertext.buffer,
]

/** Of one block: what is wrong with it. Anything else ends the stream. */
function asKeystrataError(error: unknown): KeystrataError {
  if (error instanceof KeystrataError && error.code !== 'disposed') return error
  throw error
}
