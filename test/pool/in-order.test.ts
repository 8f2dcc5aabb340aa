// What a pool's streams are made of, with tasks that take no thread.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { inOrder } from '../../src/pool/in-order.ts'
import { failure } from '../fixtures.ts'

async function* numbers(count: number): AsyncGenerator<number> {
  for (let number = 0; number < count; number++) yield number
}

describe('tasks of a stream', () => {
  it('give their results in its order, whichever ends first, in lots that are no larger than allowed', async () => {
    const limits = fc.record({ most: fc.integer({ min: 1, max: 5 }), batch: fc.integer({ min: 1, max: 7 }) })
    await fc.assert(
      fc.asyncProperty(limits, fc.array(fc.nat(3), { maxLength: 40 }), async ({ most, batch }, delays) => {
        let running = 0
        const task = async (items: number[]): Promise<number[]> => {
          expect(++running).toBeLessThanOrEqual(most)
          expect(items.length).toBeLessThanOrEqual(batch)
          for (let turn = delays[items[0]!]!; turn > 0; turn--) await new Promise((resolve) => setImmediate(resolve))
          running--
          return items
        }
        const seen: number[] = []
        const limit = { most, batch, signal: undefined }
        for await (const number of inOrder(numbers(delays.length), task, limit)) seen.push(number)
        expect(seen).toEqual(delays.map((_, index) => index))
      }),
    )
  })

  it('take in one item at a time where a lot is one, and no more than there is room for', async () => {
    let taken = 0
    const counted = async function* () {
      for await (const number of numbers(30)) {
        taken++
        yield number
      }
    }
    const task = async (items: number[]) => items
    for await (const number of inOrder(counted(), task, { most: 3, batch: 1, signal: undefined })) {
      expect(taken - number).toBeLessThanOrEqual(1 + 3)
    }
    expect(taken).toBe(30)
  })

  it('end with the first that fails, after what came before it', async () => {
    const task = async (items: number[]) => {
      if (items.includes(5)) throw new Error('a worker died')
      return items
    }
    const seen: number[] = []
    const run = async () => {
      for await (const number of inOrder(numbers(9), task, { most: 1, batch: 1, signal: undefined })) seen.push(number)
    }
    await expect(run()).rejects.toThrow('a worker died')
    expect(seen).toEqual([0, 1, 2, 3, 4])
  })

  it('are ended by a signal in the middle of a lot', async () => {
    const controller = new AbortController()
    const task = async (items: number[]) => {
      await new Promise((resolve) => setTimeout(resolve, 5))
      return items
    }
    const limits = { most: 1, batch: 8, signal: controller.signal }
    await failure(async () => {
      for await (const number of inOrder(numbers(50), task, limits)) if (number === 4) controller.abort()
    }, 'aborted')
  })

  it('leave nothing behind, however many there were', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const heap: number[] = []
    const signal = new AbortController().signal
    const task = async (items: number[]) => items
    for await (const number of inOrder(numbers(40_001), task, { most: 4, batch: 2, signal })) {
      if (number % 20_000 !== 0) continue
      collect()
      heap.push(process.memoryUsage().heapUsed)
    }
    // A hundred bytes for each would be two millions.
    expect(heap[2]! - heap[1]!).toBeLessThan(1_000_000)
  })
})
