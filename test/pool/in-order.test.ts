// The ordering of a pool's streams, tested with tasks that need no thread.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { inOrder } from '../../src/pool/in-order.ts'
import { failure } from '../fixtures.ts'
import { collect, memoryInUse } from '../memory.ts'

async function* numbers(count: number): AsyncGenerator<number> {
  for (let number = 0; number < count; number++) yield number
}

const turn = () => new Promise((resolve) => setImmediate(resolve))
const same = <T>(item: T): T => item
const echo = async (items: number[]) => items
const one = { arrive: same<number>, task: echo, most: 1, lot: 1, signal: undefined }

describe('tasks of a stream', () => {
  it('give their results in the order of the stream, within the limits on tasks and lots', async () => {
    const limits = fc.record({ most: fc.integer({ min: 1, max: 5 }), lot: fc.integer({ min: 1, max: 7 }) })
    await fc.assert(
      fc.asyncProperty(limits, fc.array(fc.nat(3), { maxLength: 40 }), async ({ most, lot }, delays) => {
        let running = 0
        const task = async (items: number[]): Promise<number[]> => {
          expect(++running).toBeLessThanOrEqual(most)
          expect(items.length).toBeLessThanOrEqual(lot)
          for (let turns = delays[items[0]!]!; turns > 0; turns--) await turn()
          running--
          return items
        }
        const seen: number[] = []
        for await (const number of inOrder(numbers(delays.length), { ...one, task, most, lot })) seen.push(number)
        expect(seen).toEqual(delays.map((_, index) => index))
      }),
    )
  })

  it('take all items that arrived meanwhile as one lot, even with a slow consumer', async () => {
    const lots: number[] = []
    const task = async (items: number[]) => {
      lots.push(items.length)
      await turn()
      return items
    }
    for await (const number of inOrder(numbers(100), { ...one, task, lot: 8 })) if (number % 3 === 0) await turn()
    expect(Math.max(...lots)).toBe(8)
    expect(lots.length).toBeLessThan(25)
  })

  it('read no more items ahead than there is room for, if a lot is one item', async () => {
    let taken = 0
    const counted = async function* () {
      for await (const number of numbers(30)) {
        taken++
        yield number
      }
    }
    for await (const number of inOrder(counted(), { ...one, most: 3 })) {
      expect(taken - number).toBeLessThanOrEqual(1 + 3)
    }
    expect(taken).toBe(30)
  })

  it('copy each item before the source goes on and reuses its memory', async () => {
    const buffer = new Uint8Array(1)
    const reused = async function* () {
      for await (const number of numbers(60)) {
        buffer[0] = number
        yield buffer
      }
    }
    const task = async (items: number[]) => {
      await turn()
      return items
    }
    const seen: number[] = []
    for await (const number of inOrder(reused(), { ...one, arrive: (bytes: Uint8Array) => bytes[0]!, task, lot: 8 })) {
      seen.push(number)
    }
    expect(seen).toEqual(Array.from({ length: 60 }, (_, index) => index))
  })

  it('give all earlier results before they throw an error', async () => {
    const seenBefore = async (work: Parameters<typeof inOrder<number, number, number>>[1], source = numbers(20)) => {
      const seen: number[] = []
      const run = async () => {
        for await (const number of inOrder(source, work)) seen.push(number)
      }
      await expect(run()).rejects.toThrow('no more')
      return seen
    }
    const refuse = (number: number) => {
      if (number === 12) throw new Error('no more')
      return number
    }
    const upTo = (count: number) => Array.from({ length: count }, (_, index) => index)
    // First `arrive` throws, then the source, then a task.
    expect(await seenBefore({ ...one, arrive: refuse, lot: 8 })).toEqual(upTo(12))
    const failing = async function* () {
      yield* numbers(7)
      throw new Error('no more')
    }
    expect(await seenBefore({ ...one, lot: 8 }, failing())).toEqual(upTo(7))
    const task = async (items: number[]) => items.map(refuse)
    expect(await seenBefore({ ...one, task })).toEqual(upTo(12))
  })

  it('are aborted by a signal in the middle of a lot, and while the source hangs', async () => {
    const controller = new AbortController()
    const task = async (items: number[]) => {
      await turn()
      return items
    }
    await failure(async () => {
      const work = { ...one, task, lot: 8, signal: controller.signal }
      for await (const number of inOrder(numbers(50), work)) if (number === 4) controller.abort()
    }, 'aborted')
    const within = new AbortController()
    const hanging: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({
        next() {
          within.abort()
          return new Promise(() => undefined)
        },
      }),
    }
    await failure(() => inOrder(hanging, { ...one, signal: within.signal }).next(), 'aborted')
  })

  it('report the abort, even if the source throws while it is closed', async () => {
    const controller = new AbortController()
    const source = async function* () {
      try {
        yield* numbers(9)
      } finally {
        throw new Error('the cursor cannot be closed') // eslint-disable-line no-unsafe-finally
      }
    }
    await failure(async () => {
      for await (const number of inOrder(source(), { ...one, signal: controller.signal })) {
        if (number === 2) controller.abort()
      }
    }, 'aborted')
  })

  it('read at most one more item after the consumer stops, from a source without a return method', async () => {
    let read = 0
    const source = { [Symbol.asyncIterator]: () => ({ next: async () => ({ value: read++, done: false }) }) }
    for await (const number of inOrder(source, { ...one, most: 2, lot: 32 })) if (number === 3) break
    const far = read
    for (let turns = 0; turns < 50; turns++) await turn()
    expect(read).toBeLessThanOrEqual(far + 1)
  })

  it('report the error of the source, even if its return method throws synchronously', async () => {
    const iterator = {
      next: async () => Promise.reject(new Error('the disk is gone')),
      return: () => {
        throw new Error('the cursor cannot be closed')
      },
    }
    const results = inOrder<number, number, number>({ [Symbol.asyncIterator]: () => iterator }, one)
    await expect(results.next()).rejects.toThrow('the disk is gone')
  })

  it('do not leak memory over many items', async () => {
    const heap: number[] = []
    const { signal } = new AbortController()
    for await (const number of inOrder(numbers(40_001), { ...one, most: 4, lot: 2, signal })) {
      if (number % 20_000 !== 0) continue
      collect()
      heap.push(memoryInUse())
    }
    // A leak of 100 bytes for each of 20,000 items would be 2,000,000 bytes.
    expect(heap[2]! - heap[1]!).toBeLessThan(1_000_000)
  })
})
