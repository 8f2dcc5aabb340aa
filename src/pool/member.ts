// One thread of a pool: it is started when it is first needed, and again after it died.
import { KeystrataError } from '../core/errors.ts'
import { arrivedError, moveKeys, type Reply, type Request, type Task } from './messages.ts'
import type { Recipe } from './messages.ts'
import { startThread, type Thread } from './threads.ts'

interface Pending {
  resolve: (value: unknown) => void
  reject: (error: Error) => void
}

export class Member {
  readonly #url: URL
  readonly #recipes: ReadonlyMap<number, Recipe>
  readonly #pending: Map<number, Pending> = new Map()
  readonly #attached: Set<number> = new Set()
  #thread: Thread | undefined
  #lastId = 0
  /** Grows with every death: what a thread had prepared is gone with it. */
  life = 0

  /** @param recipes of all handles that tasks may name, by their numbers */
  constructor(url: URL, recipes: ReadonlyMap<number, Recipe>) {
    this.#url = url
    this.#recipes = recipes
  }

  /** How many tasks it has. */
  get load(): number {
    return this.#pending.size
  }

  /** Sends the keys of a handle, once in the life of a thread, and then the task. */
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
    // Whoever uses the handle is told.
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
    const thread = startThread(this.#url)
    const isOwn = () => this.#thread === thread
    thread.onDeath((cause) => {
      if (!isOwn()) return
      this.#die(cause)
      // A worker of a browser outlives its errors.
      void thread.terminate()
    })
    thread.listen((message) => {
      if (isOwn()) this.#settle(thread, message as Reply)
    })
    return thread
  }

  #settle(thread: Thread, reply: Reply): void {
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
    this.#thread = undefined
    this.life++
    this.#attached.clear()
    const lost = [...this.#pending.values()]
    this.#pending.clear()
    for (const { reject } of lost) reject(died(cause))
  }

  /** Wipes what the thread has, and ends it. */
  async close(): Promise<void> {
    const thread = this.#thread
    if (thread === undefined) return
    try {
      await this.#send(thread, { task: 'close' }, [])
    } catch {
      // It is dead already.
    }
    this.#thread = undefined
    await thread.terminate()
  }
}

const died = (cause: unknown): Error => new Error('a worker of the pool died; another one takes its place', { cause })

/** The answer where a thread is gone that had something. */
export const lostWithIt = (): Error => died(new KeystrataError('disposed'))

export const closed = (): KeystrataError => new KeystrataError('disposed', 'this pool was closed')
