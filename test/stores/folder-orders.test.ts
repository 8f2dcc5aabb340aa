// Every order of calls to the file system, as far as random numbers reach: several programs use one folder, some are
// killed, and what each of them was answered must be explained by one order of whole operations.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { folderStateStore } from '../../src/stores/folder.ts'
import type { BlobStore } from '../../src/stores.ts'
import { interleave, isLinearizable, randomOf, type Step, withTurns } from './interleave.ts'

const ORDERS = process.env['SLOW'] === '1' ? 5000 : 50

/** In memory where possible: syncs cost time there is no need for here. */
const parent = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

/** Runs `test` with a new folder. */
async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(parent, 'keystrata-orders-'))
  try {
    await test(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What the programs of one run did. */
class History<S> {
  readonly steps: Step<S>[] = []
  #now = 0

  /** Runs an operation and keeps what it answered. `effects` gets that answer, or undefined while there is none. */
  async add<T>(
    what: string,
    run: () => Promise<T>,
    effects: (answer: { value: T } | undefined, state: S) => readonly S[],
  ): Promise<T> {
    const answers: { value: T }[] = []
    const step = {
      what,
      began: this.#now++,
      ended: Number.POSITIVE_INFINITY,
      effects: (state: S) => effects(answers[0], state),
    }
    const index = this.steps.push(step) - 1
    const value = await run()
    answers.push({ value })
    step.ended = this.#now++
    this.steps[index] = { ...step, what: `${what}: ${String(value)}` }
    return value
  }

  toString(): string {
    return this.steps.map(({ what, began, ended }) => `${began}–${ended} ${what}`).join('\n')
  }
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
const decode = (bytes: Uint8Array | undefined): string | undefined => bytes && new TextDecoder().decode(bytes)
const seeds = Array.from({ length: ORDERS }, (_, seed) => seed)

type Blob = string | undefined

/**
 * The module of each program. A process remembers the numbers that it has given to blobs, and programs stand for
 * processes, so each has a copy of its own.
 */
const modules: readonly Pick<typeof import('../../src/stores/folder.ts'), 'folderBlobStore'>[] = await Promise.all(
  ['one', 'two', 'three'].map((program) => {
    const path = `../../src/stores/folder.ts?${program}`
    return import(path)
  }),
)

/**
 * Returns a clock that shows each millisecond once. Programs whose clocks show the same one draw the same number for
 * their blobs once in 1,000 times, and then the orders would fail by chance.
 * @param seed later runs have later clocks, because the processes of the earlier ones are still remembered
 * @param back returns how many seconds to go back
 */
function clockOf(seed: number, back: () => number): () => number {
  let calls = 0
  return () => {
    // From here on a clock that went back by a second would show the same milliseconds again.
    if (++calls === 1000) throw new Error('this run asks for the time too often')
    return Date.UTC(2020, 0) + seed * 1_000_000 + calls - 1000 * back()
  }
}

/** The operations of one run on one blob, chosen at random. Each program has its own store. */
function blobRun(folder: string, random: (limit: number) => number, kinds: readonly string[]) {
  const history: History<Blob> = new History()
  const stores = modules.map((module) => module.folderBlobStore(folder))
  const contents = ['e', 'x', 'y']
  const stepsOf = (store: BlobStore) => ({
    put: async (next: string): Promise<void> => {
      await history.add(
        `put ${next}`,
        () => store.put('head/a', encode(next)),
        (answer, state) => {
          if (answer?.value === false) return state === undefined ? [] : [state]
          return state === undefined ? [next] : []
        },
      )
    },
    replace: async (expected: string, next: string): Promise<void> => {
      await history.add(
        `replace ${expected} by ${next}`,
        () => store.replace('head/a', encode(expected), encode(next)),
        (answer, state) => {
          if (answer?.value === false) return state === expected ? [] : [state]
          return state === expected ? [next] : []
        },
      )
    },
    get: async (): Promise<void> => {
      await history.add(
        'get',
        async () => decode(await store.get('head/a')),
        (answer, state) => (answer === undefined || answer.value === state ? [state] : []),
      )
    },
    delete: () =>
      history.add(
        'delete',
        () => store.delete('head/a'),
        () => [undefined],
      ),
  })
  const steps = stores.map(stepsOf)
  const content = () => contents[random(3)]!
  const programs = steps.map((step) => async () => {
    const operations: Readonly<Record<string, () => Promise<void>>> = {
      put: () => step.put(content()),
      replace: () => step.replace(content(), content()),
      get: step.get,
      delete: step.delete,
    }
    for (let left = 2; left > 0; left--) await operations[kinds[random(kinds.length)]!]!()
  })
  return { history, store: stores[0]!, steps, programs }
}

describe.each([
  ['put, replace and get', ['put', 'replace', 'replace', 'get'], 0],
  ['put, replace, get and delete', ['put', 'replace', 'replace', 'get', 'delete'], 0],
  [
    'put, replace and delete, with programs that are killed and a clock that goes back',
    ['put', 'replace', 'delete'],
    25,
  ],
] as const)('a blob in a folder under %s', (_, kinds, kills) => {
  it(`is linearizable in ${ORDERS} random orders`, { timeout: 1_800_000 }, async () => {
    let trueReplaces = 0
    await withTurns(async () => {
      for (const seed of seeds) {
        await inFolder(async (folder) => {
          const random = randomOf(seed)
          const first = random(4) === 0 ? undefined : 'e'
          // New blobs get their numbers from the clock.
          const clock = vi.spyOn(Date, 'now').mockImplementation(clockOf(seed, () => (kills > 0 ? random(60) : 0)))
          const { history, store, programs } = blobRun(folder, random, kinds)
          if (first !== undefined) await store.put('head/a', encode(first))
          await interleave(programs, random, kills).finally(() => clock.mockRestore())
          const last = decode(await store.get('head/a'))
          const explained = isLinearizable(history.steps, first, (state) => state === last)
          expect(explained, `seed ${seed}, ${String(first)} became ${String(last)}:\n${String(history)}`).toBe(true)
          trueReplaces += history.steps.filter(({ what }) => /^replace.*: true$/.test(what)).length
        })
      }
    })
    // Otherwise this test would show little.
    expect(trueReplaces).toBeGreaterThan(ORDERS / 10)
  })
})

interface Versions {
  readonly floor: number
  readonly all: readonly string[]
}

function versionsRun(folder: string, random: (limit: number) => number) {
  const history: History<Versions> = new History()
  const store = folderStateStore(folder)
  let written = 0
  const write = (version: number) => {
    const bytes = `${version}/${written++}`
    return history.add(
      `write ${bytes}`,
      () => store.write('log/a', version, encode(bytes)),
      (answer, state) => {
        const next = [{ ...state, all: [...state.all, bytes] }]
        // False although it wrote is allowed: it may have been dropped before the writer looked.
        if (answer?.value === false) return state.all.length === version - 1 ? next : [state]
        return state.all.length === version - 1 ? next : []
      },
    )
  }
  const operations: readonly (() => Promise<unknown>)[] = [
    async () => write(((await store.read('log/a'))?.version ?? 0) + 1),
    async () => write(((await store.read('log/a'))?.version ?? 0) + 1),
    () => write(1 + random(6)),
    () => {
      const below = 1 + random(7)
      return history.add(
        `drop ${below}`,
        () => store.drop('log/a', below),
        (_, state) => [{ ...state, floor: Math.max(state.floor, Math.min(below, state.all.length)) }],
      )
    },
    () =>
      history.add(
        'read',
        async () => decode((await store.read('log/a'))?.bytes),
        (answer, state) => (answer === undefined || answer.value === state.all.at(-1) ? [state] : []),
      ),
    () => {
      const version = 1 + random(6)
      return history.add(
        `readVersion ${version}`,
        async () => decode(await store.readVersion('log/a', version)),
        (answer, state) => {
          const there = version >= state.floor ? state.all[version - 1] : undefined
          return answer === undefined || answer.value === there ? [state] : []
        },
      )
    },
  ]
  const program = async () => {
    for (let left = 2; left > 0; left--) await operations[random(operations.length)]!()
  }
  return { history, store, program }
}

describe.each([
  ['a clock that goes on', 0, 0],
  ['a clock that goes back, and programs that are killed', 60, 15],
] as const)('a replace, a delete and a put of one blob in a folder, with %s', (_, jump, kills) => {
  it(`are linearizable in ${10 * ORDERS} random orders`, { timeout: 1_800_000 }, async () => {
    await withTurns(async () => {
      for (const seed of seeds.flatMap((each) => Array.from({ length: 10 }, (__, index) => 10 * each + index))) {
        await inFolder(async (folder) => {
          const random = randomOf(seed)
          const { history, store, steps } = blobRun(folder, random, [])
          let back = 0
          const clock = vi.spyOn(Date, 'now').mockImplementation(clockOf(seed, () => back))
          await store.put('head/a', encode('e'))
          back = jump
          const [one, two, three] = [steps[0]!, steps[1]!, steps[2]!]
          const programs = [() => one.replace('e', 'x'), () => two.delete(), () => three.put('y')]
          await interleave(programs, random, kills).finally(() => clock.mockRestore())
          const last = decode(await store.get('head/a'))
          const explained = isLinearizable(history.steps, 'e', (state: Blob) => state === last)
          expect(explained, `seed ${seed}, e became ${String(last)}:\n${String(history)}`).toBe(true)
        })
      }
    })
  })
})

describe.each([
  ['that all go on', 0],
  ['of which some are killed', 25],
] as const)('versions in a folder, used by programs %s', (_, kills) => {
  it(`are linearizable in ${ORDERS} random orders`, { timeout: 1_800_000 }, async () => {
    let late = 0
    await withTurns(async () => {
      for (const seed of seeds) {
        await inFolder(async (folder) => {
          const random = randomOf(seed)
          const { history, store, program } = versionsRun(folder, random)
          const start = { floor: 1, all: Array.from({ length: random(5) }, (__, index) => `${index + 1}/start`) }
          for (const [index, bytes] of start.all.entries()) await store.write('log/a', index + 1, encode(bytes))
          await interleave([program, program, program], random, kills)
          const last = await store.read('log/a')
          const explained = isLinearizable(
            history.steps,
            start as Versions,
            ({ all }) => all.length === (last?.version ?? 0) && all.at(-1) === decode(last?.bytes),
          )
          expect(explained, `seed ${seed}, the newest is ${String(last?.version)}:\n${String(history)}`).toBe(true)
          // Whatever was killed, the object goes on, and the floor does too.
          const next = (last?.version ?? 0) + 1
          expect(await store.write('log/a', next, encode('end')), `seed ${seed}:\n${String(history)}`).toBe(true)
          await store.drop('log/a', next)
          expect(decode((await store.read('log/a'))?.bytes)).toBe('end')
          expect(await store.write('log/a', Math.max(next - 1, 1), encode('late'))).toBe(false)
          late++
        })
      }
    })
    expect(late).toBe(ORDERS)
  })
})
