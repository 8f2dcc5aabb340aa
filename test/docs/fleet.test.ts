// The examples of docs/fleet.md run, and what it says is true.
import { describe, expect, it } from 'vitest'
import type { Delegation } from '../../src/fleet.ts'
import { type Card, type Keyset, openLog, type rekeyBlocks, saveKeyset } from '../../src/index.ts'
import { type Blocks, blocksIn, memoryBlobStore, memoryStateStore, type StateStore } from '../../src/stores.ts'
import { failure, makeKeyset, sample } from '../fixtures.ts'
import { functionsOf, noting, writeExamples } from './guide.ts'

const { paths } = writeExamples(['fleet.md'])

interface FleetGuide {
  begin(state: StateStore, keyset: Keyset, fleet: Card): Promise<{ regenerated: Keyset; delegation: Uint8Array }>
  startWorker(delegation: Uint8Array, fleet: Keyset, owner: Card): Delegation
  work(state: StateStore, blocks: Blocks, delegation: Delegation, prefix: string): ReturnType<typeof rekeyBlocks>
  finish(state: StateStore, blocks: Blocks, regenerated: Keyset, atLeast: string): Promise<Keyset>
}

describe('docs/fleet.md', () => {
  it('says what is true, from the delegation to forgetting', async () => {
    const { of, called } = noting(await functionsOf<FleetGuide>(paths))
    const state = memoryStateStore()
    const blocks = blocksIn(memoryBlobStore())
    const [keyset, fleet] = await Promise.all([makeKeyset(), makeKeyset()])
    await saveKeyset(state, keyset)
    const content = sample(100)
    const block = await keyset.seal(content)
    await blocks.put(block)
    const position = await openLog(state, 'backups', keyset).append(new TextEncoder().encode(block.label))

    const { regenerated, delegation } = await of.begin(state, keyset, fleet.card())
    using worker = of.startWorker(delegation, fleet, regenerated.card())
    await failure(() => of.finish(state, blocks, regenerated, position), 'policy')
    expect(await of.work(state, blocks, worker, block.label[0]!)).toEqual({ rekeyed: 1, current: 0, failed: [] })
    expect(await of.work(state, blocks, worker, '')).toEqual({ rekeyed: 0, current: 1, failed: [] })
    using last = await of.finish(state, blocks, regenerated, position)
    expect(last.retired).toBe(0)
    expect(await last.open((await blocks.get(block.label))!)).toEqual(content)
    await failure(() => of.work(state, blocks, worker, ''), 'stale-export')
    expect(called).toEqual(new Set(['begin', 'startWorker', 'work', 'finish']))
  })
})
