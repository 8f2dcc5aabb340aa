// Compares a pool with the calling thread: both seal and rekey the same blocks, taking turns.
import { type BlockHead, type Keyset, openWriter } from '../src/index.ts'
import { strict as assert } from 'node:assert'
import { createPool } from '../src/pool.ts'
import { contentOf } from './bare.ts'
import { compareRuns } from './measure.ts'

export interface PoolRow {
  work: 'seal' | 'rekey'
  /** The size of a block's content; 0 for rekeying, where it does not matter. */
  bytes: number
  threads: number
  /** The time on one thread divided by the time in the pool. */
  gain: number
}

const worker = new URL('../examples/worker.mjs', import.meta.url)

export async function benchPool(keyset: Keyset, threads: number, rounds: number): Promise<PoolRow[]> {
  await using pool = createPool({ threads, worker })
  const rows: PoolRow[] = []
  const writer = openWriter(keyset.export('host'), { encryption: 'hybrid' })
  const inThreads = pool.writer(writer)
  for (const [bytes, blocks] of [
    [64 * 1024, 200],
    [1024 * 1024, 60],
    [8 * 1024 * 1024, 16],
  ] as const) {
    const content = contentOf(bytes)
    const block = await inThreads.seal(content)
    assert.equal(Buffer.compare(await keyset.open(block), content), 0, 'the opened block has the sealed content')
    const alone = async () => {
      for (let count = 0; count < blocks; count++) await writer.seal(content)
    }
    const together = async () => {
      let count = 0
      const lane = async () => {
        while (count++ < blocks) await inThreads.seal(content)
      }
      await Promise.all(Array.from({ length: 2 * threads }, lane))
    }
    rows.push({ work: 'seal', bytes, threads, gain: await gainOf(alone, together, rounds) })
  }

  const regenerated = keyset.regenerate({ encryption: 'hybrid' })
  const few = await Promise.all(Array.from({ length: 100 }, (_, index) => writer.seal(Uint8Array.of(index))))
  const heads = Array.from({ length: 1000 }, (_, index) => few[index % few.length]!)
  const stream = async function* (): AsyncGenerator<BlockHead> {
    yield* heads
  }
  const alone = async () => {
    for (const head of heads) regenerated.rekey(head)
  }
  const together = async () => {
    let rekeyed = 0
    for await (const { envelope } of pool.rekey(regenerated, stream())) if (envelope !== undefined) rekeyed++
    assert.equal(rekeyed, heads.length)
  }
  rows.push({ work: 'rekey', bytes: 0, threads, gain: await gainOf(alone, together, rounds) })
  regenerated.dispose()
  writer.dispose()
  return rows
}

async function gainOf(alone: () => Promise<void>, together: () => Promise<void>, rounds: number): Promise<number> {
  // Each thread compiles the code separately, so each needs its own warm-up.
  await together()
  return (await compareRuns(together, alone, rounds)).ratio
}
