// Collects calls that come at the same time, so that one statement of a database answers all of them. Each caller still
// gets their own answer.

/** A call that waits for its answer. */
interface Waiting<Call, Answer> {
  readonly call: Call
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

/** How many calls one statement answers. More would hold back the answers, and would not be cheaper. */
const CALLS = 256

export class Grouped<Call extends { readonly label: string }, Answer> {
  readonly #run: (calls: readonly Call[]) => Promise<readonly Answer[]>
  #waiting: Waiting<Call, Answer>[] = []
  #isBusy = false

  /** @param run answers calls, in their order. All of them have different labels */
  constructor(run: (calls: readonly Call[]) => Promise<readonly Answer[]>) {
    this.#run = run
  }

  /** Rejects if the statement fails: then nobody knows what it has done, and the caller must read again. */
  async ask(call: Call): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ call, resolve, reject })
      this.#schedule()
    })
  }

  #schedule(): void {
    // While the server works on a statement, the next one fills up.
    if (this.#isBusy || this.#waiting.length === 0) return
    this.#isBusy = true
    // All calls of this turn of the event loop travel together.
    setImmediate(() => void this.#runNext())
  }

  async #runNext(): Promise<void> {
    const group = this.#take()
    try {
      const answers = await this.#run(group.map(({ call }) => call))
      for (const [index, { resolve }] of group.entries()) resolve(answers[index]!)
    } catch (error) {
      for (const { reject } of group) reject(error)
    } finally {
      this.#isBusy = false
      this.#schedule()
    }
  }

  /** Takes the calls that waited longest. A second call for the same label stays for the next statement. */
  #take(): readonly Waiting<Call, Answer>[] {
    const taken: Map<string, Waiting<Call, Answer>> = new Map()
    const left: Waiting<Call, Answer>[] = []
    for (const each of this.#waiting) {
      if (taken.size < CALLS && !taken.has(each.call.label)) taken.set(each.call.label, each)
      else left.push(each)
    }
    this.#waiting = left
    return [...taken.values()]
  }
}
