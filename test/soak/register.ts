// The model of a value that one process at a time changes, such as a password. After a change whose answer was lost, or
// whose process was killed, both values are possible until one of them is seen.

/** So long after its process was killed, a change may still arrive at a server. */
export const SETTLE_MS = 15_000

export class Register {
  #value: string
  #pending: { readonly value: string; lostAt?: number } | undefined
  readonly #past: string[] = []
  #changedAt = -Infinity

  constructor(value: string) {
    this.#value = value
  }

  /** The values that may be in force, the newest first. */
  get possible(): readonly string[] {
    return this.#pending === undefined ? [this.#value] : [this.#pending.value, this.#value]
  }

  /** The values that were in force once, and are not any more. */
  get past(): readonly string[] {
    return this.#past
  }

  get isSure(): boolean {
    return this.#pending === undefined
  }

  /** Whether a change was begun and has not ended, or ended after `since`. */
  changedSince(since: number): boolean {
    return this.#pending !== undefined || this.#changedAt > since
  }

  /** Whether a new change may begin: what became of the last one can be found out. */
  isSettled(at: number): boolean {
    return this.#pending === undefined || (this.#pending.lostAt !== undefined && at > this.#pending.lostAt + SETTLE_MS)
  }

  begin(value: string): void {
    if (this.#pending !== undefined) throw new Error('a change of this register has begun')
    this.#pending = { value }
  }

  acknowledge(at: number): void {
    if (this.#pending === undefined) return
    this.#past.push(this.#value)
    this.#value = this.#pending.value
    this.#pending = undefined
    this.#changedAt = at
  }

  refuse(at: number): void {
    this.#pending = undefined
    this.#changedAt = at
  }

  lose(at: number): void {
    if (this.#pending !== undefined) this.#pending.lostAt = at
  }

  /**
   * Takes note that this value was in force at some time after `since`.
   * @returns what is wrong with that, if anything is
   */
  see(value: string, since: number, at: number): string | undefined {
    if (this.#pending?.value === value) {
      this.acknowledge(at)
      return undefined
    }
    if (value !== this.#value) {
      if (this.changedSince(since)) return undefined
      return `a value is in force that is not the last one (it was number ${this.#past.indexOf(value) + 1} of ${this.#past.length + 1})`
    }
    if (this.#pending?.lostAt !== undefined && since > this.#pending.lostAt + SETTLE_MS) this.refuse(at)
    return undefined
  }
}
