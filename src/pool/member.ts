// One thread of a pool. It starts when it is first needed, and starts again after it has died.
import { KeystrataError } from '../core/errors.ts'
import { arrivedError, isMovedError, moveKeys, type Reply, type Request, type Task } from './messages.ts'
import type { Recipe } from './messages.ts'
import { type AnyWorker, startThread, type Thread } from '../core/threads.ts'

interface Pending {
  resolve: (value: unknown) => void
  reject: (error: Error) => void
}

/** A worker that has not started after this time never does: a slow network takes less for its files. */
const MAX_START_MS = 60_000

export class Member {
  readonly #source: URL | (() => AnyWorker)
  readonly #recipes: ReadonlyMap<number, Recipe>
  readonly #pending: Map<number, Pending> = new Map()
  readonly #attached: Set<number> = new Set()
  #thread: Thread | undefined
  /** Whether the thread has said that it runs. */
  #isReady = false
  #stopWatching: () => void = () => undefined
  #lastId = 0
  /** Counts the deaths of the thread. The blocks that a dead thread had prepared are lost. */
  life = 0

  /**
   * Prepares a thread. It starts when it gets its first task.
   * @param recipes the recipes of all handles that tasks may use, by handle number
   */
  constructor(source: URL | (() => AnyWorker), recipes: ReadonlyMap<number, Recipe>) {
    this.#source = source
    this.#recipes = recipes
  }

  /** The number of tasks that are not finished. */
  get load(): number {
    return this.#pending.size
  }

  /** Sends a task to the thread, after the keys of each handle that this thread does not have yet. */
  async ask(task: Task, moved: ArrayBuffer[] = [], handles: readonly number[] = []): Promise<unknown> {
    const thread = (this.#thread ??= this.#start())
    for (const handle of handles) this.#attach(thread, handle)
    return this.#send(thread, task, moved)
  }

  #attach(thread: Thread, handle: number): void {
    const recipe = this.#recipes.get(handle)
    if (recipe === undefined || this.#attached.has(handle)) return
    this.#attached.add(handle)
    const moved: ArrayBuffer[] = []
    const task: Task = { task: 'attach', handle, recipe: moveKeys(recipe, moved) }
    // If this fails, the task that uses the handle fails too, and reports it.
    this.#send(thread, task, moved).catch(() => undefined)
  }

  #send(thread: Thread, task: Task, moved: ArrayBuffer[]): Promise<unknown> {
    const id = ++this.#lastId
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject })
      thread.hold(true)
      const request: Request = { id, task }
      try {
        thread.post(request, moved)
      } catch (error) {
        this.#forget(thread, id)
        throw error
      }
    })
  }

  #start(): Thread {
    const thread = this.#startThread()
    const isOwn = () => this.#thread === thread
    const bury = (cause: unknown) => {
      if (!isOwn()) return
      this.#die(cause)
      // A browser's worker keeps running after an uncaught error.
      void thread.terminate()
    }
    thread.onDeath(bury)
    this.#watch(bury)
    thread.listen((message) => {
      if (!isOwn()) return
      if (this.#isReply(message)) this.#settle(thread, message)
      else bury(noReply())
    })
    return thread
  }

  /** Gives up a thread that runs another file than the worker's: it says nothing, and need not end. */
  #watch(bury: (cause: unknown) => void): void {
    const giveUp = () => bury(new Error(`it did not say within ${MAX_START_MS / 1000} seconds that it runs`))
    const timer: unknown = setTimeout(giveUp, MAX_START_MS)
    // Only the thread may keep the process running, while it has tasks.
    ;(timer as { unref?: () => void }).unref?.()
    this.#stopWatching = () => clearTimeout(timer as number)
  }

  #startThread(): Thread {
    this.#isReady = false
    try {
      return startThread(this.#source)
    } catch (cause) {
      throw notStarted(this.#source, cause)
    }
  }

  /** Returns whether a message is one of this library's worker. Other files send other messages. */
  #isReply(message: unknown): message is Reply {
    if (typeof message !== 'object' || message === null) return false
    if ('ready' in message) return true
    if (!('id' in message) || !this.#pending.has(message.id as number)) return false
    return 'error' in message ? isMovedError(message.error) : 'value' in message
  }

  #settle(thread: Thread, reply: Reply): void {
    if ('ready' in reply) {
      this.#isReady = true
      this.#stopWatching()
      return
    }
    const pending = this.#forget(thread, reply.id)
    if ('error' in reply) pending?.reject(arrivedError(reply.error))
    else pending?.resolve(reply.value)
  }

  #forget(thread: Thread, id: number): Pending | undefined {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    if (this.#pending.size === 0) thread.hold(false)
    return pending
  }

  #die(cause: unknown): void {
    this.#stopWatching()
    this.#thread = undefined
    this.life++
    this.#attached.clear()
    const lost = [...this.#pending.values()]
    this.#pending.clear()
    const error = this.#isReady ? died(cause) : notStarted(this.#source, cause)
    for (const { reject } of lost) reject(error)
  }

  /** Wipes the keys in the thread and ends it. */
  async close(): Promise<void> {
    const thread = this.#thread
    if (thread === undefined) return
    try {
      await this.#send(thread, { task: 'close' }, [])
    } catch {
      // The thread is already dead.
    }
    this.#thread = undefined
    this.#stopWatching()
    await thread.terminate()
  }
}

const died = (cause: unknown): Error =>
  new Error('a worker of the pool died and lost this task: see its cause, then try again', { cause })

const noReply = (): KeystrataError =>
  new KeystrataError('malformed', 'it sent a message that is not one of the worker of keystrata', {
    object: 'reply of a worker',
  })

const LONGEST_PLACE = 300

/**
 * Returns the error for a worker that cannot start.
 * @param source where the pool looked for it; undefined if it does not know its own URL
 */
export function notStarted(source: URL | (() => AnyWorker) | undefined, cause: unknown): TypeError {
  const { message = String(cause) } = (cause ?? {}) as Partial<Error>
  const [reason] = message.split('\n')
  const advice = 'pass createPool({ worker }) the URL of keystrata/pool/worker, or a function that starts it'
  return new TypeError(`the worker of the pool could not start: ${placeOf(source)} (${reason}); ${advice}`, { cause })
}

function placeOf(source: URL | (() => AnyWorker) | undefined): string {
  if (typeof source === 'function') return 'it was looked for in the Worker that your function returned'
  if (source === undefined) return 'it was looked for beside its own file'
  return `it was looked for at ${source.href.slice(0, LONGEST_PLACE)}`
}

/** Returns the error for a prepared block whose thread has died. */
export const lostWithIt = (): Error => died(new KeystrataError('disposed'))

export const closed = (): KeystrataError => new KeystrataError('disposed', 'this pool was closed: create a new one')
