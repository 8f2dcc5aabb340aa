// A pool of worker threads for whole blocks. It runs writers, readers and rekeyers in its threads. Each thread gets the
// keys of a handle once, and wipes them when the pool is closed. Not protected: a thread that dies or is killed does not
// wipe its keys.
import {
  type BlockHead,
  type BlockReader,
  type BlockWriter,
  type PreparedBlock,
  type Rekeyer,
  type SealedBlock,
  sharesOf,
  type StoredBlock,
} from '../core/block.ts'
import { type Bytes, bytesFrom, copyOf, wipe } from '../core/bytes.ts'
import { contentFrom, movable, ownCiphertext } from '../core/content.ts'
import { optionsFrom } from '../core/options.ts'
import { copiesOf, type Pack } from '../core/pack.ts'
import { needsPins, setNeedsPins } from '../core/pins.ts'
import { recipeOf, setRecipe } from '../core/recipe.ts'
import { disposeKeys } from '../core/secret.ts'
import { type AnyWorker, processorCount } from '../core/threads.ts'
import { setVerify } from '../core/verify.ts'
import { closed, lostWithIt, Member, notStarted } from './member.ts'
import { arrivedError, type MovedBlock, type MovedHead, type Recipe, type Rekeyed, type Task } from './messages.ts'
import { PooledBlock } from './pooled-block.ts'

/**
 * Worker threads that seal, open and rekey behind the same door. Give their writers and readers to the streams
 * (`sealInto`, `openFrom`, `verifyBlocks`, `rekeyBlocks`), with `ahead` of at least twice the number of threads. Each
 * thread has at most two tasks at once. A task is one block, or up to 32 envelopes to rekey. Other tasks wait, but tasks
 * on a prepared block go directly to the thread that holds it. If a thread dies, its tasks reject with an Error that
 * says so, and a new thread takes its place.
 * @example
 * ```ts
 * import { cut, type Keyset, sealInto } from 'keystrata'
 * import type { Pool } from 'keystrata/pool'
 * import type { Blocks } from 'keystrata/stores'
 *
 * function backUp(blocks: Blocks, keyset: Keyset, file: ReadableStream<Uint8Array>, pool: Pool) {
 *   return sealInto(blocks, pool.writer(keyset), cut(file), { ahead: 8 })
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
   * Returns a rekeyer that rekeys in the threads. Heads that are waiting travel together, up to 32 in one message, so
   * call `rekey` for many at once. It has its own copies of the keys, until the pool is closed. Only `isCurrent` still
   * asks the rekeyer that was given, in the calling thread.
   * @param rekeyer a keyset, or a delegation (`keystrata/fleet`)
   * @throws KeystrataError `disposed` if the rekeyer was disposed of or the pool was closed
   * @throws TypeError as in {@link Pool.writer}
   */
  rekeyer(rekeyer: Rekeyer): Rekeyer
}

const TASKS_PER_THREAD = 2

/** Heads are small. One message for each head would add a third to the time of rekeying. */
const HEADS_PER_TASK = 32

const MAX_THREADS = 64

/**
 * Creates a pool of worker threads. Each thread starts when it is first needed. If it cannot start, its tasks reject
 * with a TypeError that says where the pool looked for the worker's file.
 * @param options `threads`: 1 to 64; by default the number of processors, at most 64. `worker`: the URL of the worker's
 *   file (`keystrata/pool/worker`), or a function that returns a new Worker that runs it, for bundlers and content
 *   security policies; by default the file beside this one
 * @throws RangeError if `threads` is not an integer from 1 to 64
 * @throws TypeError if `worker` is neither a URL nor a function, or is absent where a bundle does not know its own URL
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
export function createPool(options?: {
  threads?: number | undefined
  worker?: URL | (() => { postMessage(message: unknown): void }) | undefined
}): Pool {
  const given = optionsFrom(options, { threads: 'optional', worker: 'optional' }, 'createPool')
  const { threads = Math.min(processorCount(), MAX_THREADS), worker = besideThisFile() } = given
  if (!Number.isSafeInteger(threads) || threads < 1 || threads > MAX_THREADS) {
    throw new RangeError(`threads must be an integer from 1 to ${MAX_THREADS}`)
  }
  // A URL of another realm is not an instance of this realm's class.
  if (typeof worker !== 'function' && typeof (worker as Partial<URL> | null)?.href !== 'string')
    throw new TypeError('worker must be a URL, or a function that returns a new Worker')
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

/** A head that waits to be rekeyed, together with others of the same handle. */
interface WaitingHead {
  readonly head: MovedHead
  readonly resolve: (envelope: Bytes) => void
  readonly reject: (error: Error) => void
}

class WorkerPool implements Pool {
  readonly #members: readonly Member[]
  readonly #recipes: Map<number, Recipe> = new Map()
  readonly #numbers: WeakMap<object, number> = new WeakMap()
  readonly #waiting: Waiting[] = []
  readonly #running: Set<Promise<unknown>> = new Set()
  #lastNumber = 0
  #closing: Promise<void> | undefined

  constructor(threads: number, worker: URL | (() => AnyWorker)) {
    this.#members = Array.from({ length: threads }, () => new Member(worker, this.#recipes))
  }

  writer(writer: BlockWriter): BlockWriter {
    const handle = this.#numberOf(writer)
    const pooled: BlockWriter = {
      prepare: (content) => this.#prepare(handle, content),
      seal: async (content, options = {}) => {
        const shares = sharesOf(options)
        const own = movable(contentFrom(content))
        const task: Task = { task: 'seal', handle, content: own, shares }
        return (await this.#anywhere(task, [own.buffer], [handle])) as SealedBlock
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
    setRecipe(pooled, inPool)
    return pooled
  }

  reader(reader: BlockReader): BlockReader {
    const handle = this.#numberOf(reader)
    const open = async (task: 'open' | 'verify', block: StoredBlock) => {
      const own = movedBlock(block)
      return this.#anywhere({ task, handle, block: own }, buffersOf(own), [handle])
    }
    const pooled: BlockReader = { open: async (block) => (await open('open', block)) as Bytes }
    setRecipe(pooled, inPool)
    if (needsPins(reader)) setNeedsPins(pooled)
    setVerify(pooled, async (block) => {
      await open('verify', block)
    })
    return pooled
  }

  rekeyer(rekeyer: Rekeyer): Rekeyer {
    const handle = this.#numberOf(rekeyer)
    const waiting: WaitingHead[] = []
    let isQueued = false
    const queue = () => {
      isQueued = true
      let heads: WaitingHead[] = []
      // Taken when a thread has room, so that all heads that came meanwhile travel together.
      const task = (): Task => {
        heads = waiting.splice(0, HEADS_PER_TASK)
        isQueued = waiting.length > 0
        // Not at once: the thread that gets this task does not count it yet.
        if (isQueued) void Promise.resolve().then(queue)
        return { task: 'rekey', handle, heads: heads.map(({ head }) => head) }
      }
      const refuse = (error: Error) => {
        const isStarted = heads.length > 0
        if (!isStarted) isQueued = false
        for (const { reject } of isStarted ? heads : waiting.splice(0)) reject(error)
      }
      // Not transferred: for so few bytes, copying is faster.
      this.#anywhere(task, [], [handle])
        .then((answers) => answerAll(heads, answers as Rekeyed[]))
        .catch(refuse)
    }
    return {
      isCurrent: (envelope) => rekeyer.isCurrent(envelope),
      rekey: async (head) => {
        const own = copyOfHead(head)
        return new Promise<Bytes>((resolve, reject) => {
          waiting.push({ head: own, resolve, reject })
          if (!isQueued) queue()
        })
      },
    }
  }

  async #prepare(handle: number, content: Uint8Array): Promise<PreparedBlock> {
    const own = movable(contentFrom(content))
    const prepared = ++this.#lastNumber
    const owner: { member?: Member; life?: number } = {}
    const task: Task = { task: 'prepare', handle, prepared, content: own }
    const label = (await this.#anywhere(task, [own.buffer], [handle], (member) => {
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
    task: Task | (() => Task),
    moved: ArrayBuffer[],
    handles: readonly number[],
    onStart: (member: Member) => void = () => undefined,
  ): Promise<unknown> {
    if (this.#closing !== undefined) {
      wipeUnmoved(moved)
      return Promise.reject(closed())
    }
    const done = new Promise((resolve, reject) => {
      const refuse = (error: Error) => {
        wipeUnmoved(moved)
        reject(error)
      }
      const start = (member: Member) => {
        onStart(member)
        member.ask(typeof task === 'function' ? task() : task, moved, handles).then(resolve, refuse)
      }
      this.#waiting.push({ start, refuse })
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

/** Answers each head of one task. */
function answerAll(heads: readonly WaitingHead[], answers: readonly Rekeyed[]): void {
  for (const [index, { resolve, reject }] of heads.entries()) {
    const { envelope, error } = answers[index] ?? {}
    if (envelope !== undefined) resolve(envelope)
    else reject(error === undefined ? new Error('a worker of the pool gave no answer') : arrivedError(error))
  }
}

/** What a pool answers for a handle that is one of a pool already. */
function inPool(): never {
  throw new TypeError('this handle is one of a worker pool already')
}

/** Wipes the buffers that no thread got. The others are empty. */
function wipeUnmoved(buffers: readonly ArrayBuffer[]): void {
  for (const buffer of buffers) if (buffer.byteLength > 0) wipe(new Uint8Array(buffer))
}

/** Copies a head, because transferring a buffer would take it away from the caller. */
function copyOfHead({ label, envelope }: BlockHead): MovedHead {
  if (typeof label !== 'string') throw new TypeError('label must be a string')
  return { label, envelope: copyOf(bytesFrom(envelope, 'envelope')) }
}

/** Returns a block that can move to a thread. Its ciphertext is copied, unless its memory belongs to the reader. */
function movedBlock(block: StoredBlock): MovedBlock {
  const ciphertext = bytesFrom(block.ciphertext, 'ciphertext')
  return { ...copyOfHead(block), ciphertext: ownCiphertext(ciphertext) }
}

const buffersOf = ({ envelope, ciphertext }: MovedBlock): ArrayBuffer[] => [envelope.buffer, ciphertext.buffer]
