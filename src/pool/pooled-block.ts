// A block that a thread of a pool has prepared. Only that thread can seal it.
import { idsFrom, type OwnPreparedBlock, type SealedBlock, type SealOptions, sharesOf } from '../core/block.ts'
import type { Bytes } from '../core/bytes.ts'
import { SecretHolder } from '../core/secret.ts'
import type { Task } from './messages.ts'

export class PooledBlock extends SecretHolder implements OwnPreparedBlock {
  readonly label: string
  readonly #prepared: number
  readonly #ask: (task: Task) => Promise<unknown>
  /** Whether the thread has sealed the block, which also disposes of it there. */
  #isSealed = false

  constructor(label: string, prepared: number, ask: (task: Task) => Promise<unknown>) {
    super('prepared block', () => {
      if (this.#isSealed) return
      // If the thread has ended, it holds nothing to drop.
      ask({ task: 'drop', prepared }).catch(() => undefined)
    })
    this.label = label
    this.#prepared = prepared
    this.#ask = ask
  }

  async discard(): Promise<ArrayBuffer | undefined> {
    if (this.#isSealed) return undefined
    const buffer = await this.#ask({ task: 'discard', prepared: this.#prepared })
    this.#isSealed = true
    this.dispose()
    return buffer as ArrayBuffer | undefined
  }

  async seal(options: SealOptions = {}): Promise<SealedBlock> {
    const shares = sharesOf(options)
    this.assertUsable()
    const block = await this.#ask({ task: 'seal-prepared', prepared: this.#prepared, shares })
    this.#isSealed = true
    this.dispose()
    return block as SealedBlock
  }

  async envelopesFor(shares: readonly string[]): Promise<ReadonlyMap<string, Bytes>> {
    const ids = idsFrom(shares)
    this.assertUsable()
    const task: Task = { task: 'envelopes-for', prepared: this.#prepared, shares: ids }
    return (await this.#ask(task)) as ReadonlyMap<string, Bytes>
  }
}
