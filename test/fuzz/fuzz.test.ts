// Gives every parser and every open bytes that no writer made. `npm run fuzz` does the same for as long as you like.
import fc from 'fast-check'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { KeystrataError } from '../../src/index.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { assertAllowedCosts, checkInput } from './bounds.ts'
import { findings } from './corpus.ts'
import { inputsOf, type Target } from './inputs.ts'
import { targets } from './targets.ts'
import { collect } from '../memory.ts'

const RUNS = 12
const FEW_RUNS = 3
const MUCH = 3 * 1024 * 1024

afterAll(() => useBackend(undefined))

describe('hostile bytes', () => {
  it.each(targets.map((target) => [target.name, target] as const))('as %s', async (_, target) => {
    await fc.assert(
      fc.asyncProperty(inputsOf(target), async (bytes) => {
        await checkInput(target, bytes)
      }),
      { numRuns: target.isSlow === true ? FEW_RUNS : RUNS },
    )
  })

  it.each(targets.map((target) => [target.name, target] as const))(
    'honest objects are accepted as %s',
    async (_, target) => {
      for (const seed of target.seeds) expect(await checkInput(target, seed)).toBe('taken')
    },
  )

  it.each(targets.filter(({ isTotal }) => isTotal !== true).map((target) => [target.name, target] as const))(
    'some inputs are refused as %s',
    async (_, target) => {
      const outcomes: Set<string> = new Set()
      for (const bytes of fc.sample(inputsOf(target), { numRuns: 500, seed: 27 })) {
        outcomes.add(await checkInput(target, bytes))
        if (outcomes.size > 1 || !outcomes.has('taken')) return
      }
      expect([...outcomes], 'every input was taken').not.toEqual(['taken'])
    },
  )

  const objects = targets.filter(({ around, isScript }) => around === undefined && isScript !== true)
  it.each(objects.map((target) => [target.name, target] as const))(
    'as %s with megabytes appended',
    async (_, target) => {
      const [seed = new Uint8Array(0)] = target.seeds
      for (const byte of [0, 0xff]) {
        // The more a reader may copy, the less input shows that it copies more.
        const much = MUCH / Math.max(1, (target.copies ?? 1) / 12)
        const long = new Uint8Array(seed.length + Math.ceil(much)).fill(byte)
        long.set(seed)
        await checkInput(target, long)
      }
    },
  )

  it('that the fuzzer found before', async () => {
    for (const { target: name, bytes, file } of findings) {
      const target = targets.find((each) => each.name === name)
      if (target === undefined) throw new Error(`${file}: no such target`)
      await checkInput(target, bytes)
    }
  })
})

describe('the fuzzer itself', () => {
  const target = (read: Target['reads'][number]): Target => ({
    name: `of-a-test-${Math.random()}`,
    seeds: [new Uint8Array(8)],
    reads: [read],
  })

  it('finds an error that is not a KeystrataError, and one with a cause', async () => {
    const raised = (error: Error) =>
      checkInput(
        target(() => Promise.reject(error)),
        new Uint8Array(4),
      )
    await expect(raised(new RangeError('offset'))).rejects.toThrow('offset')
    const caused = Object.assign(new KeystrataError('malformed'), { cause: 'bytes' })
    await expect(raised(caused)).rejects.toThrow('cause')
    expect(await raised(new KeystrataError('malformed'))).toBe('malformed')
  })

  // Bun reports its memory use too late.
  it.skipIf(process.versions['bun'])('finds an input that takes too much memory, or is written to', async () => {
    const kept: Uint8Array[] = []
    const greedy = target((bytes) => void kept.push(new Uint8Array(bytes.length > 8 ? 2 * MUCH : 8)))
    expect(await checkInput(greedy, new Uint8Array(8))).toBe('taken')
    // A collection during the read would hide the memory that it takes. Engines also collect by themselves.
    const check = async () => {
      await collect()
      await expect(checkInput(greedy, new Uint8Array(9))).rejects.toThrow('allocate')
    }
    await vi.waitFor(check, { timeout: 20_000 })
    await expect(
      checkInput(
        target((bytes) => void bytes.fill(1)),
        new Uint8Array(9),
      ),
    ).rejects.toThrow('written')
  })

  it('finds Argon2id costs above the limits', () => {
    const allowed = { iterations: 64, memoryKiB: 65_536, lanes: 16 }
    expect(() => assertAllowedCosts(allowed)).not.toThrow()
    for (const wrong of [{ iterations: 65 }, { memoryKiB: 1024 * 1024 }, { memoryKiB: 127 }, { lanes: 17 }])
      expect(() => assertAllowedCosts({ ...allowed, ...wrong })).toThrow('Argon2id was asked')
  })
})
