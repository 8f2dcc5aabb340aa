// Rekeying the heads of stores: alone, beside others, interrupted, in a pool.
import { describe, expect, it } from 'vitest'
import { type BlockHead, openFrom, openWriter, rekeyBlocks, sealInto } from '../../src/index.ts'
import { createPool } from '../../src/pool.ts'
import { blocksIn, memoryBlobStore, type SharedBlocks } from '../../src/stores.ts'
import { all, expectSame, failure, makeKeyset, sample, streamOf } from '../fixtures.ts'
import { worker } from '../pool/source-pool.ts'

const keyset = await makeKeyset()
const next = keyset.regenerate()
const contents = Array.from({ length: 70 }, (_, index) => sample(30, index + 1))

async function filled(): Promise<{ blocks: SharedBlocks; refs: string[] }> {
  const blocks = blocksIn(memoryBlobStore())
  const refs: string[] = []
  for await (const { ref } of sealInto(blocks, keyset, contents)) refs.push(ref)
  return { blocks, refs }
}

async function assertAllOpen(blocks: SharedBlocks, refs: string[]): Promise<void> {
  for await (const { envelope } of blocks.heads()) expect(next.isCurrent(envelope)).toBe(true)
  const opened = await all(openFrom(blocks, next, refs))
  for (const [index, content] of contents.entries()) expectSame(opened[index]!, content)
}

describe('rekeying', () => {
  it('replaces every head once, and finds them current the next time', async () => {
    const { blocks, refs } = await filled()
    expect(await rekeyBlocks(blocks, next)).toEqual({ rekeyed: 70, current: 0, failed: [] })
    await assertAllOpen(blocks, refs)
    expect(await rekeyBlocks(blocks, next, { ahead: 1 })).toEqual({ rekeyed: 0, current: 70, failed: [] })
  })

  it('runs in a pool, with the same result', async () => {
    const { blocks, refs } = await filled()
    await using pool = createPool({ threads: 2, worker })
    expect(await rekeyBlocks(blocks, pool.rekeyer(next))).toEqual({ rekeyed: 70, current: 0, failed: [] })
    await assertAllOpen(blocks, refs)
  })

  it('by prefixes does the same in parts', async () => {
    const { blocks, refs } = await filled()
    const counts = await Promise.all(
      Array.from('0123456789abcdef', async (prefix) => rekeyBlocks(blocks, next, { prefix })),
    )
    expect(counts.reduce((sum, { rekeyed }) => sum + rekeyed, 0)).toBe(70)
    await assertAllOpen(blocks, refs)
    for (const prefix of ['x', 'A', '0'.repeat(65), 5 as never])
      await expect(rekeyBlocks(blocks, next, { prefix })).rejects.toBeInstanceOf(TypeError)
  })

  it('in many places at once rekeys each head once and loses none', async () => {
    const { blocks, refs } = await filled()
    const counts = await Promise.all([1, 2, 3, 4].map(async () => rekeyBlocks(blocks, next)))
    expect(counts.flatMap(({ failed }) => failed)).toEqual([])
    expect(counts.reduce((sum, { rekeyed }) => sum + rekeyed, 0)).toBe(70)
    for (const { rekeyed, current } of counts) expect(rekeyed + current).toBe(70)
    await assertAllOpen(blocks, refs)
  })

  it('goes on where it was aborted', async () => {
    const { blocks, refs } = await filled()
    const controller = new AbortController()
    let replaced = 0
    const watched = Object.assign(Object.create(blocks) as SharedBlocks, {
      heads: blocks.heads.bind(blocks),
      replaceEnvelope: async (head: BlockHead, envelope: Uint8Array) => {
        if (++replaced === 9) controller.abort()
        return blocks.replaceEnvelope(head, envelope)
      },
    })
    await failure(() => rekeyBlocks(watched, next, { ahead: 1, signal: controller.signal }), 'aborted')
    const { rekeyed, current } = await rekeyBlocks(blocks, next)
    expect(rekeyed + current).toBe(70)
    expect(current).toBeGreaterThan(0)
    await assertAllOpen(blocks, refs)
  })

  it('lists what fails with its label, and rekeys the rest', async () => {
    const { blocks } = await filled()
    const other = await makeKeyset()
    const foreign = await other.seal(sample(9))
    await blocks.put(foreign)
    const broken = await keyset.seal(sample(8))
    await blocks.put({ ...broken, envelope: broken.envelope.subarray(0, 100) })
    const { rekeyed, failed } = await rekeyBlocks(blocks, next)
    expect(rekeyed).toBe(70)
    const codes = new Map(failed.map(({ label, error }) => [label, error.code]))
    expect(codes).toEqual(
      new Map([
        [foreign.label, 'key-not-found'],
        [broken.label, 'malformed'],
      ]),
    )
  })

  it('passes over a block that was deleted, and gives up on a head that always changes', async () => {
    const block = await openWriter(keyset.export('host')).seal(sample(5))
    const store = (heads: () => AsyncIterable<BlockHead>) => ({ heads, replaceEnvelope: async () => false })
    let isDeleted = false
    const deleted = store(() => {
      const found = isDeleted ? [] : [block]
      isDeleted = true
      return streamOf(found)
    })
    expect(await rekeyBlocks(deleted, next)).toEqual({ rekeyed: 0, current: 0, failed: [] })
    const { failed } = await rekeyBlocks(
      store(() => streamOf([block])),
      next,
    )
    expect(failed.map(({ error }) => error.code)).toEqual(['conflict'])
  })

  it('ends with an error that is not about one head', async () => {
    const { blocks } = await filled()
    const failing = { heads: () => blocks.heads(), replaceEnvelope: async () => Promise.reject(new Error('read-only')) }
    await expect(rekeyBlocks(failing, next)).rejects.toThrow('read-only')
    const gone = keyset.regenerate()
    gone.dispose()
    await failure(() => rekeyBlocks(blocks, gone), 'disposed')
    await failure(() => rekeyBlocks(blocks, next, { signal: AbortSignal.abort() }), 'aborted')
  })
})
