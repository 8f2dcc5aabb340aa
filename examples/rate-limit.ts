// Limits how often something may happen: a token bucket for each key, such as an address or a user. The buckets are in
// the memory of one process, so a service of three processes allows up to three times as much.
import { Refusal } from './http.ts'

export interface Rate {
  /** How many may happen at once. */
  burst: number
  /** How many more may happen each minute. */
  perMinute: number
}

export class RateLimit {
  readonly #rate: Rate
  /** How many tokens a key had left, and when. A key that is not here has all of them. */
  readonly #buckets: Map<string, { tokens: number; at: number }> = new Map()
  #cleaned: number = performance.now()

  constructor(rate: Rate) {
    this.#rate = rate
  }

  /** Takes a token. Throws a {@link Refusal} with status 429 if none is left. */
  take(key: string): void {
    const now = performance.now()
    this.#clean(now)
    const tokens = this.#tokensOf(key, now)
    if (tokens < 1) throw new Refusal(429, 'too many attempts: wait a minute and try again')
    this.#buckets.set(key, { tokens: tokens - 1, at: now })
  }

  #tokensOf(key: string, now: number): number {
    const { burst, perMinute } = this.#rate
    const { tokens, at } = this.#buckets.get(key) ?? { tokens: burst, at: now }
    return Math.min(burst, tokens + ((now - at) / 60_000) * perMinute)
  }

  /** Forgets full buckets once a minute, so that strangers cannot fill the memory with names. */
  #clean(now: number): void {
    if (now - this.#cleaned < 60_000) return
    this.#cleaned = now
    for (const key of this.#buckets.keys()) if (this.#tokensOf(key, now) === this.#rate.burst) this.#buckets.delete(key)
  }
}
