// Password hashes of a server, in worker threads, so that the event loop keeps turning (hash-thread.ts computes them).
// Not protected: a thread gets what it hashes as a copy. A text in it is as secret as the password, and no text can be
// wiped: it stays in memory until the garbage collector reuses the place.
import type { Argon2Costs } from '../core/password.ts'
import { KeystrataError } from '../core/errors.ts'
import { processorCount, startThread, type Thread } from '../core/threads.ts'

/** What a thread computes: a bcrypt hash, a comparison with one, or an Argon2id hash. */
export type HashTask =
  | { readonly task: 'hash'; readonly password: string; readonly cost: number }
  | { readonly task: 'compare'; readonly password: string; readonly hash: string }
  | {
      readonly task: 'argon2'
      readonly password: Uint8Array
      readonly salt: Uint8Array
      readonly costs: Argon2Costs
      readonly length: number
    }

/** What a thread says: once that it runs, and then one answer for each task. */
export type HashReply = { readonly ready: true } | { readonly answer: unknown } | { readonly error: unknown }

const MAX_THREADS = 4

/** More hashes than this in one process are refused: beyond it, callers give up before the answer. */
const MAX_UNFINISHED = 100

let unfinished = 0

/**
 * Runs one expensive check of a password, if there is room for it.
 * @throws KeystrataError `limit-exceeded` if 100 checks in this process are not finished
 */
export async function ifThereIsRoom<T>(check: () => Promise<T>): Promise<T> {
  if (unfinished >= MAX_UNFINISHED) {
    throw new KeystrataError(
      'limit-exceeded',
      `${MAX_UNFINISHED} password checks of this process are not finished: refuse this one (HTTP 429 or 503), and limit how often each user and each address may try`,
      { unfinished },
    )
  }
  unfinished++
  try {
    return await check()
  } finally {
    unfinished--
  }
}

interface Waiting {
  /** Its place in the order of all tasks. */
  readonly turn: number
  readonly task: HashTask
  /** Computes the task in the calling thread. */
  readonly here: () => Promise<unknown>
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: unknown) => void
  /** How many threads have died of it, or with it. */
  deaths: number
}

interface Member {
  readonly thread: Thread
  /** The task that it computes. */
  current: Waiting | undefined
  isDead: boolean
}

/**
 * Computes tasks in threads, in the order in which they came. Each thread has one task at a time. Threads start one by
 * one when they are needed, and stay: an idle one takes about 13 MB. They keep the process running only while they
 * compute. If a thread dies, its task gets a second thread, and then the calling thread. If no thread can be started,
 * the calling thread computes all tasks, one at a time.
 */
export class HashQueue {
  readonly #start: () => Thread
  readonly #most: number
  readonly #waiting: Waiting[] = []
  readonly #idle: Member[] = []
  #lastTurn = 0
  #threads = 0
  /** Whether a thread has ever run. */
  #isProven = false
  /** False if the first threads did not start. The reason (a bundle without the file, a runtime without threads) stays. */
  #canStart = true
  /** The tasks of the calling thread, one behind the other. */
  #here: Promise<void> = Promise.resolve()

  /**
   * Prepares a queue.
   * @param start starts a thread that runs hash-thread.ts
   * @param most the highest number of threads
   */
  constructor(start: () => Thread, most: number) {
    this.#start = start
    this.#most = most
  }

  /**
   * Computes a task when its turn comes.
   * @param here computes the same in the calling thread
   */
  run<T>(task: HashTask, here: () => Promise<T>): Promise<T> {
    const done: Promise<unknown> = new Promise((resolve, reject) => {
      this.#waiting.push({ turn: ++this.#lastTurn, task, here, resolve, reject, deaths: 0 })
    })
    this.#handOut()
    return done as Promise<T>
  }

  #handOut(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const member = this.#idle.pop() ?? this.#startMember()
      if (member !== undefined) this.#send(member, next)
      else if (this.#threads === 0) this.#runHere(next)
      else return
      this.#waiting.shift()
    }
  }

  #startMember(): Member | undefined {
    if (!this.#canStart || this.#threads >= this.#most) return undefined
    try {
      const member: Member = { thread: this.#start(), current: undefined, isDead: false }
      member.thread.listen((message) => this.#hear(member, message as HashReply))
      member.thread.onDeath(() => this.#bury(member))
      this.#threads++
      return member
    } catch {
      this.#canStart = this.#isProven
      return undefined
    }
  }

  #send(member: Member, waiting: Waiting): void {
    member.current = waiting
    member.thread.hold(true)
    member.thread.post(waiting.task, [])
  }

  #hear(member: Member, reply: HashReply): void {
    if (member.isDead) return
    if ('ready' in reply) {
      this.#isProven = this.#canStart = true
      return
    }
    const { current } = member
    member.current = undefined
    member.thread.hold(false)
    this.#idle.push(member)
    if ('error' in reply) current?.reject(reply.error)
    else current?.resolve(reply.answer)
    this.#handOut()
  }

  #bury(member: Member): void {
    if (member.isDead) return
    member.isDead = true
    this.#threads--
    this.#canStart = this.#isProven
    const place = this.#idle.indexOf(member)
    if (place >= 0) this.#idle.splice(place, 1)
    const { current } = member
    if (current !== undefined && ++current.deaths > 1) this.#runHere(current)
    else if (current !== undefined) {
      this.#waiting.push(current)
      this.#waiting.sort((one, other) => one.turn - other.turn)
    }
    // A browser's worker keeps running after an uncaught error.
    void member.thread.terminate()
    this.#handOut()
  }

  #runHere({ here, resolve, reject }: Waiting): void {
    this.#here = this.#here.then(here).then(resolve, reject)
  }
}

let shared: HashQueue | undefined

/** Returns the queue of this process: at most four threads, and one processor is left for the event loop. */
export function hashQueue(): HashQueue {
  return (shared ??= new HashQueue(
    // In some bundles, and in workerd, this is no valid URL. Then no thread starts.
    () => startThread(new URL('./hash-thread.js', import.meta.url)),
    Math.max(1, Math.min(MAX_THREADS, processorCount() - 1)),
  ))
}
