// The queue with real threads. What it computes has known answers from other implementations.
import { compare, hash } from 'bcryptjs'
import { describe, expect, it, vi } from 'vitest'
import { startThread, type Thread } from '../../src/core/threads.ts'
import { HashQueue, type HashTask } from '../../src/server/hash-queue.ts'
import { hex } from '../fixtures.ts'

/** Deno runs TypeScript directly. It loses messages that arrive while a worker waits for a dynamic import. */
const isDeno = process.versions['deno'] !== undefined
const at = (path: string) => () => startThread(new URL(path, import.meta.url))
const healthy = at(isDeno ? '../../src/server/hash-thread.ts' : 'hash-thread.mjs')
const mortal = at('mortal-hash-thread.mjs')
const nowhere = at('nowhere.mjs')

// From jBCrypt's TestBCrypt.java, made with OpenBSD's bcrypt.
const OPENBSD = [
  ['', '$2a$10$k1wbIrmNyFAPwPVPSVa/zecw2BCEnBwVS2GbrmgzxFUOqW9dk4TCW'],
  ['abcdefghijklmnopqrstuvwxyz', '$2a$10$fVH8e28OQRj9tqiDXs1e1uxpsjN0c7II7YPKXua2NAKYvM6iQk7dq'],
  ['~!@#$%^&*()      ~!@#$%^&*()PNBFRD', '$2a$10$LgfYWkbzEvQ4JakH7rOvHe0y8pHKF9OaFgwUZ2q7W2FFZmZzJYlfS'],
] as const
const [PASSWORD, HASH] = OPENBSD[1]

const comparison = (password: string = PASSWORD): HashTask => ({ task: 'compare', password, hash: HASH })
const never = () => Promise.reject(new Error('the calling thread must not compute this'))

/** Starts the given threads one after the other, and the last one again and again. */
function starting(...starts: (() => Thread)[]) {
  let next = 0
  return vi.fn(() => starts[Math.min(next++, starts.length - 1)]!())
}

describe('a queue of password hashes', () => {
  it.each(OPENBSD)('compares %j with a hash by OpenBSD in a thread', async (password, known) => {
    const queue = new HashQueue(healthy, 1)
    expect(await queue.run({ task: 'compare', password, hash: known }, never)).toBe(true)
    expect(await queue.run({ task: 'compare', password: `${password}x`, hash: known }, never)).toBe(false)
  })

  it('hashes with bcrypt in a thread, with random salts', async () => {
    const queue = new HashQueue(healthy, 1)
    const task: HashTask = { task: 'hash', password: PASSWORD, cost: 10 }
    const hashes = [await queue.run<string>(task, never), await queue.run<string>(task, never)]
    expect(new Set(hashes).size).toBe(2)
    for (const each of hashes) {
      expect(each).toMatch(/^\$2b\$10\$.{53}$/)
      expect(await compare(PASSWORD, each)).toBe(true)
    }
  })

  it('hashes with Argon2id in a thread, and leaves the bytes of the caller alone', async () => {
    const [password, salt] = [Buffer.from('password'), Buffer.from('somesalt')]
    const task: HashTask = {
      ...{ task: 'argon2', password, salt, length: 32 },
      costs: { iterations: 2, memoryKiB: 256, lanes: 2 },
    }
    // From test.c of the reference implementation.
    expect(hex(await new HashQueue(healthy, 1).run<Uint8Array>(task, never))).toBe(
      '6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037',
    )
    expect(password.toString()).toBe('password')
  })

  it('lets the event loop turn while ten hashes are compared', async () => {
    const queue = new HashQueue(healthy, 2)
    await queue.run(comparison(), never)
    let turns = 0
    let isOver = false
    const turn = () => {
      turns++
      if (!isOver) setImmediate(turn)
    }
    setImmediate(turn)
    const strong = await hash(PASSWORD, 12)
    turns = 0
    const checks = Array.from({ length: 10 }, () =>
      queue.run({ task: 'compare', password: PASSWORD, hash: strong }, never).then((matches) => [matches, turns]),
    )
    const answers = await Promise.all(checks)
    isOver = true
    expect(answers.map(([matches]) => matches)).toEqual(Array.from({ length: 10 }, () => true))
    // In the calling thread, bcryptjs lets the loop turn every 0.1 seconds: about forty times for all ten.
    expect(answers[0]![1]).toBeGreaterThan(1000)
  })

  it('starts threads one by one, no more than it may, and uses them again', async () => {
    const start = starting(healthy)
    const queue = new HashQueue(start, 2)
    for (let count = 0; count < 3; count++) await queue.run(comparison(), never)
    expect(start).toHaveBeenCalledTimes(1)
    await Promise.all(Array.from({ length: 7 }, () => queue.run(comparison(), never)))
    expect(start).toHaveBeenCalledTimes(2)
  })

  it('computes in the order in which the tasks came', async () => {
    const queue = new HashQueue(healthy, 1)
    const ended: number[] = []
    const tasks = Array.from({ length: 6 }, (_, index) => {
      const task: HashTask = index % 2 === 0 ? comparison() : { task: 'hash', password: PASSWORD, cost: 4 }
      return queue.run(task, never).then(() => ended.push(index))
    })
    await Promise.all(tasks)
    expect(ended).toEqual([0, 1, 2, 3, 4, 5])
  })

  it('reports an error of the thread, and goes on', async () => {
    const queue = new HashQueue(healthy, 1)
    const wrong = queue.run({ task: 'compare', password: PASSWORD, hash: 7 as never }, never)
    await expect(wrong).rejects.toThrow('Illegal arguments')
    expect(await queue.run(comparison(), never)).toBe(true)
  })
})

describe('a thread that dies', () => {
  it('loses no task: another thread computes it', async () => {
    const start = starting(mortal, healthy)
    const queue = new HashQueue(start, 1)
    const tasks = [queue.run(comparison(), never), queue.run(comparison('another'), never)]
    expect(await Promise.all(tasks)).toEqual([true, false])
    expect(start).toHaveBeenCalledTimes(2)
  })

  it('keeps the order of the tasks', async () => {
    const queue = new HashQueue(starting(mortal, healthy), 1)
    const ended: number[] = []
    await Promise.all([0, 1, 2].map((index) => queue.run(comparison(), never).then(() => ended.push(index))))
    expect(ended).toEqual([0, 1, 2])
  })

  it('twice with the same task: the calling thread computes it, and other tasks still get threads', async () => {
    const start = starting(mortal, mortal, healthy)
    const queue = new HashQueue(start, 1)
    const here = vi.fn(async () => 'here')
    expect(await Promise.all([queue.run(comparison(), here), queue.run(comparison(), never)])).toEqual(['here', true])
    expect(here).toHaveBeenCalledTimes(1)
    expect(start).toHaveBeenCalledTimes(3)
  })

  it('while it is idle: the next task gets another one', async () => {
    const threads: Thread[] = []
    const start = vi.fn(() => {
      threads.push(healthy())
      return threads.at(-1)!
    })
    const queue = new HashQueue(start, 1)
    expect(await queue.run(comparison(), never)).toBe(true)
    const dead = new Promise((resolve) => threads[0]!.onDeath(resolve))
    await threads[0]!.terminate()
    await dead
    expect(await queue.run(comparison(), never)).toBe(true)
    expect(start).toHaveBeenCalledTimes(2)
  })
})

describe('without threads', () => {
  const impossible = () => {
    throw new Error('this runtime has no threads')
  }

  it.each([
    ['the file is missing', nowhere, 2],
    ['the runtime has none', impossible, 1],
  ])('(%s) the calling thread computes all tasks in order, one at a time', async (_, begin, starts) => {
    const start = starting(begin)
    const queue = new HashQueue(start, 2)
    const events: string[] = []
    const here = (name: number) => async () => {
      events.push(`begin ${name}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
      events.push(`end ${name}`)
      if (name === 2) throw new Error('wrong')
      return name
    }
    const ended = await Promise.allSettled([1, 2, 3].map((name) => queue.run(comparison(), here(name))))
    expect(ended.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(events).toEqual([1, 2, 3].flatMap((name) => [`begin ${name}`, `end ${name}`]))
    expect(start).toHaveBeenCalledTimes(starts)
    // Later tasks do not look for threads again.
    expect(await queue.run(comparison(), here(4))).toBe(4)
    expect(start).toHaveBeenCalledTimes(starts)
  })

  it('that start any more, after one has run, each task tries again', async () => {
    const start = starting(mortal, nowhere, impossible, healthy)
    const queue = new HashQueue(start, 1)
    expect(await queue.run(comparison(), async () => 'here')).toBe('here')
    expect(await queue.run(comparison(), async () => 'here')).toBe('here')
    expect(await queue.run(comparison(), never)).toBe(true)
    expect(start).toHaveBeenCalledTimes(4)
  })
})
