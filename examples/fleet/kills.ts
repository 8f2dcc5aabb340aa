// Kills what may be killed while the fleet works: workers, the coordinator and Redis, each at least once.

export type Target = 'worker' | 'coordinator' | 'Redis'

const AT_LEAST: readonly Target[] = ['worker', 'coordinator', 'Redis', 'worker']

/** One more kill for so many jobs. */
const JOBS_PER_KILL = 64

/** A job is under way for some time when the kill comes: at most for so long, and not longer than jobs take. */
const MOST_DELAY_MS = 500

export class Kills {
  /** What was killed so far. */
  readonly done: Target[] = []
  readonly #kill: (target: Target) => Promise<boolean>
  #left: { target: Target; atJob: number }[] = []
  #isPlanned = false
  #begun = 0
  #lastBegun = Date.now()

  /** @param kill returns false if the target is down already. Then it is killed during a later job */
  constructor(kill: (target: Target) => Promise<boolean>) {
    this.#kill = kill
  }

  /** Chooses the moments, once. A job that has begun counts, so that each moment comes in a short run too. */
  plan(jobs: number): void {
    if (this.#isPlanned) return
    this.#isPlanned = true
    const more = Array.from({ length: Math.floor(jobs / JOBS_PER_KILL) }, () => AT_LEAST[randomBelow(AT_LEAST.length)]!)
    this.#left = [...AT_LEAST, ...more]
      .map((target) => ({ target, atJob: 1 + randomBelow(jobs - 4) }))
      .sort((a, b) => a.atJob - b.atJob)
  }

  /** A worker has begun a job. */
  begun(): void {
    const delay = Math.min(Date.now() - this.#lastBegun, MOST_DELAY_MS)
    this.#lastBegun = Date.now()
    this.#begun++
    const due = this.#left.filter(({ atJob }) => atJob <= this.#begun)
    this.#left = this.#left.filter(({ atJob }) => atJob > this.#begun)
    for (const { target } of due) setTimeout(() => void this.#do(target), Math.random() * delay)
  }

  async #do(target: Target): Promise<void> {
    if (await this.#kill(target)) this.done.push(target)
    else this.#left.unshift({ target, atJob: 0 })
  }
}

const randomBelow = (limit: number): number => Math.floor(Math.random() * limit)
