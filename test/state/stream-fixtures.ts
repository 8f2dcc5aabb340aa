// What the tests of streams share: stores that keep what they are given, that count, and that fail.
import type { SealedBlock, StoredBlock } from '../../src/index.ts'
import type { Blocks } from '../../src/stores.ts'
import { streamOf } from '../fixtures.ts'

/**
 * A product's own store, as simple as one can be: it keeps the very objects that it was given, and returns them. So a
 * stream must not use their memory again.
 */
export class KeepingBlocks implements Blocks {
  readonly blocks: Map<string, StoredBlock> = new Map()

  async has(label: string): Promise<boolean> {
    return this.blocks.has(label)
  }

  async get(label: string): Promise<StoredBlock | undefined> {
    return this.blocks.get(label)
  }

  async put(block: StoredBlock & Pick<SealedBlock, 'shared'>): Promise<boolean> {
    if (this.blocks.has(block.label)) return false
    this.blocks.set(block.label, block)
    return true
  }

  heads({ prefix = '' }: { prefix?: string | undefined } = {}): AsyncGenerator<StoredBlock> {
    return streamOf([...this.blocks.values()].filter(({ label }) => label.startsWith(prefix)))
  }

  async replaceEnvelope({ label, envelope }: StoredBlock, next: Uint8Array): Promise<boolean> {
    const block = this.blocks.get(label)
    if (block === undefined || Buffer.compare(block.envelope, envelope) !== 0) return false
    this.blocks.set(label, { ...block, envelope: next })
    return true
  }

  async delete(label: string): Promise<void> {
    this.blocks.delete(label)
  }
}

export const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve))
