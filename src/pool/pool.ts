// A pool of worker threads for whole blocks. It runs writers and readers in its threads, and rekeys or verifies streams
// of blocks. Each thread gets the keys of a handle once, and wipes them when the pool is closed. Not protected: a
// thread that dies or is killed does not wipe its keys.
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
import { type Bytes, bytesFrom, copyOf, equalBytes } from '../core/bytes.ts'
import { contentFrom, withRoom } from '../core/content.ts'
import { KeystrataError } from '../core/errors.ts'
import { optionsFrom } from '../core/options.ts'
import { copiesOf, type Pack } from '../core/pack.ts'
import { borrowedRecipe, recipeOf } from '../core/recipe.ts'
import { disposeKeys } from '../core/secret.ts'
import type { Share } from '../keyset/share.ts'
import { inOrder } from './in-order.ts'
import { closed, lostWithIt, Member, notStarted } from './member.ts'
import { arrivedError, type Moved, type MovedBlock, type MovedHead, type Rekeyed, type Task } from './messages.ts'
import { PooledBlock } from './pooled-block.ts'
import type { Recipe } from './messages.ts'
import { processorCount } from '../core/threads.ts'

/**
 * The result of rekeying one block. Without `envelope` and `error`, the old envelope is current.
 * @example
 * ```ts
 * import type { RekeyedHead } from 'keystrata/pool'
 *
 * const stateOf = ({ envelope, error }: RekeyedHead) => error?.code ?? (envelope ? 'rekeyed' : 'current')
 * ```
 */
export interface RekeyedHead {
  readonly label: string
  /** The new envelope. Absent if the old one is already current, or if there is an error. */
  readonly envelope?: Bytes
  /** Why the block could not be rekeyed. */
  readonly error?: KeystrataError
}

/**
 * The result of verifying one block. Without `error`, the block opens.
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
 * Worker threads that seal, open, verify and rekey. Each thread has at most two tasks at once. A task is one block, or
 * up to 32 envelopes to rekey. Other tasks wait, but tasks on a prepared block go directly to the thread that holds it.
 * If a thread dies, its tasks reject with an Error that says so, and a new thread takes its place.
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
  /**
   * Closes the pool. Tasks that run are finished, and tasks that wait reject with `disposed`. Then the keys in all
   * threads are wiped and the threads end. Closing again does nothing.
   */
  close(): Promise<void>
  /**
   * Returns a writer that seals in the threads. It has its own copies of the keys, until the pool is closed. Content is
   * copied before a call returns.
   * @param writer the writer of a keyset or a vault, or a scope of a client
   * @throws KeystrataError `disposed` if the writer was disposed of or the pool was closed
   * @throws TypeError if it is a writer of another copy of the library, or of a client under DES-56
   */
  writer(writer: BlockWriter): BlockWriter
  /**
   * Returns a reader that opens in the threads. It has its own copies of the keys, until the pool is closed. Blocks are
   * copied before a call returns.
   * @param reader the reader of a keyset, an accepted share, a vault, a client, or a scope of a client
   * @throws KeystrataError `disposed` if the reader was disposed of or the pool was closed
   * @throws TypeError as in {@link Pool.writer}
   */
  reader(reader: BlockReader): BlockReader
  /**
   * Rekeys a stream of blocks and yields the results in the order of the stream. If a block cannot be rekeyed, its
   * result holds the error, and the stream goes on.
   * @param options `to`: a share of this keyset. The new envelopes then add the blocks to the share, instead of moving
   *   them to the current key pairs. `signal`: ends the stream
   * @throws KeystrataError `aborted` if the signal was aborted
   * @throws KeystrataError `disposed` if a handle was disposed of or the pool was closed
   * @throws TypeError if `to` is a share of another keyset
   */
  rekey(
    reader: Keyset,
    heads: AsyncIterable<BlockHead>,
    options?: { to?: Share; signal?: AbortSignal | undefined },
  ): AsyncGenerator<RekeyedHead>
  /**
   * Opens a stream of blocks and yields for each whether it opens, in the order of the stream.
   * @param options `signal`: ends the stream
   * @throws KeystrataError `aborted` if the signal was aborted
   * @throws KeystrataError `disposed` if the reader was disposed of or the pool was closed
   */
  verify(
    reader: BlockReader,
    blocks: AsyncIterable<StoredBlock>,
    options?: { signal?: AbortSignal | undefined },
  ): AsyncGenerator<VerifiedBlock>
}

const TASKS_PER_THREAD = 2

/** Heads are small. One message for each head would add a third to the time of rekeying. */
const HEADS_PER_TASK = 32

const MAX_THREADS = 64

/**
 * Creates a pool of worker threads. Each thread starts when it is first needed. If it cannot start, its tasks reject
 * with a TypeError that says where the pool looked for the worker's file.
 * @param options `threads`: 1 to 64; by default the number of processors, at most 64. `worker`: the URL of the worker's
 *   file (`keystrata/pool/worker`), for bundlers and content security policies
 * @throws RangeError if `threads` is not an integer from 1 to 64
 * @throws TypeError if `worker` is not a URL, or is absent where a bundle does not know its own URL
 * @throws TypeError for an unknown option
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
export function createPool(options?: { threads?: number | undefined; worker?: URL | undefined }): Pool {
  const given = optionsFrom(options, { threads: 'optional', worker: 'optional' }, 'createPool')
  const { threads = Math.min(processorCount(), MAX_THREADS), worker = besideThisFile() } = given
  if (!Number.isSafeInteger(threads) || threads < 1 || threads > MAX_THREADS) {
    throw new RangeError(`threads must be an integer from 1 to ${MAX_THREADS}`)
  }
  // A URL of another realm is not an instance of this realm's class.
  if (typeof (worker as Partial<URL> | null)?.href !== 'string') throw new TypeError('worker must be a URL')
  return new WorkerPool(threads, worker)
}

/** Returns the URL of the worker's file. In the bundles of some tools, this module does not know its own URL. */
function besideThisFile(): URL {
  try {
    return new URL('./worker.js', import.meta.url)
  } catch (cause) {
    throw notStarted(undefined, cause)
  }
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
      pack: async (files) => {
        const copies = copiesOf(files)
        const task: Task = { task: 'pack', handle, files: copies }
        return (await this.#anywhere(
          task,
          copies.map(({ buffer }) => buffer),
          [handle],
        )) as Pack
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
    options?: { to?: Share; signal?: AbortSignal | undefined },
  ): AsyncGenerator<RekeyedHead> {
    const { to: share, signal } = optionsFrom(options, { to: 'defined', signal: 'optional' }, 'rekey')
    if (share !== undefined)
      assertShareOf(borrowedRecipe(reader) as Recipe | undefined, borrowedRecipe(share) as Recipe | undefined)
    const handle = this.#numberOf(share ?? reader)
    const rekeyAll = async (arrived: MovedHead[]): Promise<RekeyedHead[]> => {
      const task: Task = { task: share === undefined ? 'rekey' : 'add', handle, heads: arrived }
      // Not transferred: for so few bytes, copying is faster.
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
    options?: { signal?: AbortSignal | undefined },
  ): AsyncGenerator<VerifiedBlock> {
    const { signal } = optionsFrom(options, { signal: 'optional' }, 'verify')
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
    return inOrder(blocks, { arrive: copyOfBlock, task, most: this.#most, lot: 1, signal })
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

  /** Returns the number of a handle. Its keys are copied on the first call, and sent to each thread that needs them. */
  #numberOf(handle: object): number {
    if (this.#closing !== undefined) throw closed()
    const known = this.#numbers.get(handle)
    if (known !== undefined) return known
    const number = ++this.#lastNumber
    // Handles register only recipes of these kinds.
    this.#recipes.set(number, recipeOf(handle) as Recipe)
    this.#numbers.set(handle, number)
    return number
  }

  /** Queues a task for the thread with the fewest tasks. It starts as soon as a thread has room. */
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

  /** Starts a waiting task when this one is done. */
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

/**
 * Checks that a share belongs to a keyset.
 * @throws TypeError unless `share` is the owner's handle of a share, and `reader` is the keyset of that owner
 */
function assertShareOf(reader: Recipe | undefined, share: Recipe | undefined): void {
  const isShareOf = reader?.kind === 'keyset' && share?.kind === 'share' && equalBytes(reader.owner.id, share.owner.id)
  if (!isShareOf) throw new TypeError('to must be a share that was created by this keyset')
}

/** Copies a head, because transferring a buffer would take it away from the caller. */
function copyOfHead({ label, envelope }: BlockHead): MovedHead {
  if (typeof label !== 'string') throw new TypeError('label must be a string')
  return { label, envelope: copyOf(bytesFrom(envelope, 'envelope')) }
}

function copyOfBlock(block: StoredBlock): MovedBlock {
  const { ciphertext } = block
  return { ...copyOfHead(block), ciphertext: copyOf(bytesFrom(ciphertext, 'ciphertext')) }
}

const buffersOf = ({ envelope, ciphertext }: { envelope: Moved; ciphertext: Moved }): ArrayBuffer[] => [
  envelope.buffer,
  ciphertext.buffer,
]

/** Returns an error that is about one block. Throws `disposed` and every other error, which ends the stream. */
function asKeystrataError(error: unknown): KeystrataError {
  if (error instanceof KeystrataError && error.code !== 'disposed') return error
  throw error
}
