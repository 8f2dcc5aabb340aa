// The order of streams that run tasks ahead.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { inOrder } from '../../src/core/in-order.ts'
import { failure } from '../fixtures.ts'
import { collect, memoryInUse } from '../memory.ts'

async function* numbers(count: number): AsyncGenerator<number> {
  for (let number = 0; number < count; number++) yield number
}

const turn = () => new Promise((resolve) => setImmediate(resolve))
const echo = async (item: number) => item
const one = { most: 1, signal: undefined }
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index)

describe('tasks of a stream', () => {
  it('give their results in the order of the stream, and no more of them run than may', async () => {
    const most = fc.integer({ min: 1, max: 5 })
    await fc.assert(
      fc.asyncProperty(most, fc.array(fc.nat(3), { maxLength: 40 }), async (most, delays) => {
        let running = 0
        const task = async (item: number): Promise<number> => {
          expect(++running).toBeLessThanOrEqual(most)
          for (let turns = delays[item]!; turns > 0; turns--) await turn()
          running--
          return item
        }
        const seen: number[] = []
        for await (const number of inOrder(numbers(delays.length), task, { ...one, most })) seen.push(number)
        expect(seen).toEqual(upTo(delays.length))
      }),
    )
  })

  it('run while a slow consumer holds a result, as many as may and no more', async () => {
    let taken = 0
    const counted = async function* () {
      for await (const number of numbers(30)) {
        taken++
        yield number
      }
    }
    for await (const number of inOrder(counted(), echo, { ...one, most: 3 })) {
      for (let turns = 0; turns < 5; turns++) await turn()
      // The one that the consumer holds, and three behind it.
      expect(taken).toBe(Math.min(number + 1 + 3, 30))
    }
    expect(taken).toBe(30)
  })

  it('read each item before the source goes on and reuses its memory', async () => {
    const buffer = new Uint8Array(1)
    const reused = async function* () {
      for await (const number of numbers(60)) {
        buffer[0] = number
        yield buffer
      }
    }
    const task = async (bytes: Uint8Array) => {
      const [own] = bytes
      await turn()
      return own!
    }
    const seen: number[] = []
    for await (const number of inOrder(reused(), task, { ...one, most: 8 })) seen.push(number)
    expect(seen).toEqual(upTo(60))
  })

  it('give all earlier results before they throw an error', async () => {
    const seenBefore = async (task: (item: number) => Promise<number>, source = numbers(20), most = 4) => {
      const seen: number[] = []
      const run = async () => {
        for await (const number of inOrder(source, task, { ...one, most })) seen.push(number)
      }
      await expect(run()).rejects.toThrow('no more')
      return seen
    }
    const refuse = async (number: number) => {
      if (number === 12) throw new Error('no more')
      return number
    }
    // First a task rejects, then one throws at once, then the source throws.
    expect(await seenBefore(refuse)).toEqual(upTo(12))
    const atOnce = (number: number) => {
      if (number === 12) throw new Error('no more')
      return echo(number)
    }
    expect(await seenBefore(atOnce)).toEqual(upTo(12))
    const failing = async function* () {
      yield* numbers(7)
      throw new Error('no more')
    }
    expect(await seenBefore(echo, failing())).toEqual(upTo(7))
  })

  it('are not running any more when the stream ends early', async () => {
    let running = 0
    const task = async (item: number) => {
      running++
      for (let turns = 0; turns < 9; turns++) await turn()
      running--
      return item
    }
    for await (const number of inOrder(numbers(50), task, { ...one, most: 4 })) if (number === 3) break
    expect(running).toBe(0)
    const failing = async (item: number) => {
      if (item === 2) throw new Error('no more')
      return task(item)
    }
    const run = async () => {
      for await (const number of inOrder(numbers(50), failing, { ...one, most: 4 })) expect(number).toBeLessThan(2)
    }
    await expect(run()).rejects.toThrow('no more')
    expect(running).toBe(0)
  })

  it('are aborted by a signal: between items, while the source hangs, and while a task hangs', async () => {
    const controller = new AbortController()
    await failure(async () => {
      const pace = { most: 8, signal: controller.signal }
      for await (const number of inOrder(numbers(50), echo, pace)) if (number === 4) controller.abort()
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
    await failure(() => inOrder(hanging, echo, { most: 1, signal: within.signal }).next(), 'aborted')
    const during = new AbortController()
    const stuck = async () => {
      during.abort()
      return new Promise<number>(() => undefined)
    }
    await failure(() => inOrder(numbers(5), stuck, { most: 2, signal: during.signal }).next(), 'aborted')
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
      for await (const number of inOrder(source(), echo, { ...one, signal: controller.signal })) {
        if (number === 2) controller.abort()
      }
    }, 'aborted')
  })

  it('read at most one more item after the consumer stops, from a source without a return method', async () => {
    let read = 0
    const source = { [Symbol.asyncIterator]: () => ({ next: async () => ({ value: read++, done: false }) }) }
    for await (const number of inOrder(source, echo, { ...one, most: 2 })) if (number === 3) break
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
    const results = inOrder<number, number>({ [Symbol.asyncIterator]: () => iterator }, echo, one)
    await expect(results.next()).rejects.toThrow('the disk is gone')
  })

  it('can be aborted while the stream ends and one of them hangs', { timeout: 5000 }, async () => {
    const hangs = (after: number) => async (item: number) => (item < after ? item : new Promise<never>(() => undefined))
    const abortSoon = () => {
      const controller = new AbortController()
      setTimeout(() => controller.abort(), 20)
      return { most: 3, signal: controller.signal }
    }
    for await (const number of inOrder(numbers(9), hangs(1), abortSoon())) if (number === 0) break
    const fails = async (item: number) => {
      if (item === 0) throw new Error('the network is gone')
      return hangs(1)(item)
    }
    await expect(inOrder(numbers(9), fails, abortSoon()).next()).rejects.toThrow('the network is gone')
  })

  it('drop each result that nobody took, and the item that came too late', async () => {
    for (const isAborted of [false, true]) {
      const controller = new AbortController()
      const dropped: string[] = []
      const endings: (() => void)[] = []
      const source = async function* () {
        for (let number = 0; number < 3; number++) yield number
        await new Promise<void>((resolve) => endings.push(resolve))
        yield 3
      }
      const task = async (item: number): Promise<string> => {
        await turn()
        if (item === 2) throw new Error('not there')
        return `result ${item}`
      }
      const pace = { most: 5, signal: controller.signal, dropItem: (item: number) => dropped.push(`item ${item}`) }
      const results = inOrder(source(), task, { ...pace, dropResult: (result) => dropped.push(result) })
      expect((await results.next()).value).toBe('result 0')
      if (isAborted) controller.abort()
      const ended = results.return(undefined)
      for (let turns = 0; turns < 5; turns++) await turn()
      for (const end of endings) end()
      await ended
      for (let turns = 0; turns < 5; turns++) await turn()
      expect(dropped).toEqual(['result 1', 'item 3'])
    }
  })

  it('do not leak memory over many items', async () => {
    const growths: number[] = []
    // The least of three: other parts of this process may use memory meanwhile, but a leak is in each of them.
    for (let run = 0; run < 3; run++) {
      const heap: number[] = []
      const { signal } = new AbortController()
      for await (const number of inOrder(numbers(40_001), echo, { most: 4, signal })) {
        if (number % 20_000 !== 0) continue
        await collect()
        heap.push(memoryInUse())
      }
      growths.push(heap[2]! - heap[1]!)
    }
    // A leak of 100 bytes for each of 20,000 items would be 2,000,000 bytes.
    expect(Math.min(...growths)).toBeLessThan(1_000_000)
  })
})
