// A block that a thread of a pool has prepared: only that thread can seal it.
import { DISPOSE } from '../core/secret.ts'
import { idsFrom, type PreparedBlock, type SealedBlock, type SealOptions, sharesOf } from '../core/block.ts'
import type { Bytes } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import type { Task } from './messages.ts'

export class PooledBlock implements PreparedBlock {
  readonly label: string
  readonly #prepared: number
  readonly #ask: (task: Task) => Promise<unknown>
  #isSpent = false

  constructor(label: string, prepared: number, ask: (task: Task) => Promise<unknown>) {
    this.label = label
    this.#prepared = prepared
    this.#ask = ask
  }

  async seal(options: SealOptions = {}): Promise<SealedBlock> {
    const shares = sharesOf(options)
    this.#assertUsable()
    const block = await this.#ask({ task: 'seal-prepared', prepared: this.#prepared, shares })
    // Its thread has let go of it.
    this.#isSpent = true
    return block as SealedBlock
  }

  async envelopesFor(shares: readonly string[]): Promise<ReadonlyMap<string, Bytes>> {
    const ids = idsFrom(shares)
    this.#assertUsable()
    const task: Task = { task: 'envelopes-for', prepared: this.#prepared, shares: ids }
    return (await this.#ask(task)) as ReadonlyMap<string, Bytes>
  }

  dispose(): void {
    if (this.#isSpent) return
    this.#isSpent = true
    try {
      // Where the thread is gone, so is what it had.
      this.#ask({ task: 'drop', prepared: this.#prepared }).catch(() => undefined)
    } catch {
      return
    }
  }

  [DISPOSE](): void {
    this.dispose()
  }

  #assertUsable(): void {
    if (this.#isSpent) throw new KeystrataError('disposed', 'this block was disposed of')
  }
}
