// Real processes that append to one log, read it and reseal it, in a folder and in PostgreSQL. They are killed at random
// moments, and after each single call of the store. Nothing that was acknowledged may be lost, be there twice, or move.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Log, openLog } from '../../src/index.ts'
import { postgresSchema } from '../../src/stores/postgres.ts'
import { CHEAP } from '../fixtures.ts'
import type { StateStore } from '../../src/stores.ts'
import { Reports } from '../stores/adding.ts'
import { type Server, startPostgres } from '../stores/postgres-server.ts'
import { mayStart } from '../stores/servers.ts'
import { bundled } from './bundle.ts'
import {
  hostKeys,
  type Job,
  keysetKeys,
  ownerKeys,
  type Place,
  storeAt,
  type StoredKeys,
  vaultKeys,
} from './log-job.ts'

const IS_SLOW = process.env['SLOW'] === '1'
/** How many logs each test uses up, and for how long each of them. */
const [LOGS, SECONDS] = IS_SLOW ? [10, 6] : [1, 2]
const GENERATIONS = 6

/** How many owners are killed one after the other in one log, each after the same number of calls. */
const LIVES = IS_SLOW ? 3 : 1
/** The calls of one reseal: three copies, the close, the seal-off, the pointer, and the drop. */
const CALLS = 7

// A killed process loses no bytes of a file, synced or not, so the faster place shows more.
const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'keystrata-log-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const program = await bundled('log-process', root)

const kinds: readonly [string, () => Promise<StoredKeys>][] = [
  ['a keyset', () => keysetKeys(GENERATIONS, { costs: CHEAP })],
  ['a vault', async () => vaultKeys()],
]

/** The processes of a keyset take seconds to start. */
const often = IS_SLOW ? kinds : kinds.slice(1)

const bytes = (text: string) => new TextEncoder().encode(text)

/** Opens a log as a process that knows nothing of it. */
const freshLog = async (store: StateStore, name: string, keys: StoredKeys): Promise<Log> =>
  openLog(store, name, await ownerKeys(keys))

/** Reads a whole log: position → content, in order. */
async function contentsOf(log: Log): Promise<Map<string, string>> {
  const found: Map<string, string> = new Map()
  for await (const { position, content } of log.read()) found.set(position, new TextDecoder().decode(content))
  return found
}

const numberOf = (position: string) => Number(position.split('-')[0])

/** Lets processes work on one log, and kills them at random moments. Returns how often it did. */
async function killAtRandom(reports: Reports, job: Pick<Job, 'log' | 'place' | 'keys'>): Promise<number> {
  const started = Date.now()
  const reseals = () => reports.counted.get('reseals') ?? 0
  // On a busy machine it takes longer until something has happened.
  const isOver = () => {
    const milliseconds = Date.now() - started
    const hasHappened = reports.total > 10 * SECONDS && reseals() > 0
    return (milliseconds > 1000 * SECONDS && hasHappened) || milliseconds > 30_000 || reports.wrong.length > 0
  }
  let kills = 0
  // A life is measured by what happens in it: on a busy machine a process needs seconds until it has done anything.
  const lives = async (work: Job['work'], isEnough: () => () => boolean) => {
    for (let life = 0; !isOver(); life++) {
      const own: Job = { ...job, work, generation: Math.floor(life / 2), calls: 0 }
      const running = reports.start(program, [JSON.stringify(own)])
      await running.spoken
      const isDue = isEnough()
      while (!isDue() && !isOver()) await new Promise((resolve) => setTimeout(resolve, 20 * Math.random()))
      await running.kill()
      kills++
    }
  }
  const host = () => {
    const goal = reports.total + 10 * Math.random()
    return () => reports.total > goal
  }
  // An owner that was killed before it got through lives longer the next time, or a long log would never be resealed.
  let [resealed, patience] = [0, 200]
  const owner = () => {
    patience = reseals() > resealed ? 200 : patience * 1.5
    resealed = reseals()
    const end = Date.now() + patience * Math.random()
    return () => Date.now() > end
  }
  await Promise.all([
    lives('append', host),
    lives('append', host),
    lives('reseal', owner),
    lives('reseal', owner),
    lives('read', () => () => false),
  ])
  return kills
}

/** Checks that a log holds exactly what was acknowledged, and perhaps what was being appended when a process was killed. */
async function assertNothingLost(store: StateStore, name: string, keys: StoredKeys, reports: Reports) {
  const stored = await contentsOf(await freshLog(store, name, keys))
  const positions = [...stored.keys()]
  expect(new Set(stored.values()).size).toBe(stored.size)
  expect(positions.map(numberOf)).toEqual(positions.map(numberOf).toSorted((a, b) => a - b))
  const lost: string[] = []
  let acknowledged = 0
  for (const line of reports.acknowledged.keys()) {
    const [log, position = '', content] = line.split(' ')
    if (log !== name) continue
    acknowledged++
    if (stored.get(position) !== (content === 'left-out' ? undefined : content)) lost.push(line)
  }
  expect(lost).toEqual([])

  const last = positions.at(-1)!
  const newest = await (await freshLog(store, name, keys)).last({ atLeast: last })
  expect([newest?.position, newest && new TextDecoder().decode(newest.content)]).toEqual([last, stored.get(last)])

  const dropped = [...stored].filter(([, content]) => content.startsWith('drop')).map(([position]) => position)
  const owner = await freshLog(store, name, keys)
  const atLeast = await owner.append(bytes('drop-at-the-end'))
  const { copied } = await owner.reseal({ atLeast, leaveOut: [...dropped, atLeast] })
  expect(copied).toBe(stored.size - dropped.length)
  for (const position of dropped) stored.delete(position)
  expect([...(await contentsOf(await freshLog(store, name, keys)))]).toEqual([...stored])
  return { acknowledged, kept: stored.size }
}

/** Kills processes on several logs, beginning with one of a kind, and returns the sums. `cut` is called all the time. */
async function run(first: number, placeOf: () => Promise<Place>, cut: () => Promise<void> = async () => undefined) {
  const sum = { acknowledged: 0, kept: 0, kills: 0, reseals: 0 }
  const counted: Map<string, number> = new Map()
  for (let index = 0; index < LOGS; index++) {
    const [kind, create] = kinds[(first + index) % kinds.length]!
    const [log, place, keys] = [`killed-${index}`, await placeOf(), await create()]
    const reports = new Reports()
    const timer = setInterval(() => void cut().catch(() => undefined), 300)
    try {
      sum.kills += await killAtRandom(reports, { log, place, keys })
    } finally {
      clearInterval(timer)
      await reports.killAll()
    }
    expect(reports.wrong, kind).toEqual([])
    const { acknowledged, kept } = await assertNothingLost(storeAt(place), log, keys, reports)
    sum.acknowledged += acknowledged
    sum.kept += kept
    sum.reseals += reports.counted.get('reseals') ?? 0
    for (const [what, times] of reports.counted) counted.set(what, (counted.get(what) ?? 0) + times)
  }
  if (IS_SLOW) console.log({ ...sum, lost: 0, ...Object.fromEntries(counted) })
  return sum
}

/** Runs an owner that kills itself after some calls of the store. Returns whether it got through before. */
async function resealAndDie(job: Pick<Job, 'log' | 'place' | 'keys' | 'calls'>): Promise<boolean> {
  const reports = new Reports()
  await reports.start(program, [JSON.stringify({ ...job, work: 'dying', generation: 1 } satisfies Job)]).ended
  expect(reports.wrong).toEqual([])
  return reports.counted.size > 0
}

/**
 * Kills an owner after its first call of the store, another one, with a log of its own, after its second, and so on, until
 * one gets through. Each time the log must be whole, hosts must be able to go on, and so must the next owner.
 * @returns after how many calls an owner was killed
 */
async function killAfterEachCall(place: Place, keys: StoredKeys): Promise<number> {
  const store = storeAt(place)
  for (let calls = 1; ; calls++) {
    const log = `calls-${calls}`
    const host = openLog(store, log, await hostKeys(keys))
    const expected: Map<string, string> = new Map()
    const append = async (text: string) => expected.set(await host.append(bytes(text)), text)
    for (const text of ['keep-1', 'drop-1', 'keep-2', 'keep-3']) await append(text)
    const dropped = [...expected.keys()][1]!
    const assertWhole = async () => {
      const stored = await contentsOf(await freshLog(store, log, keys))
      // It is left out at one stroke, with the write that ends the old epoch, and never comes back.
      if (!stored.has(dropped)) expected.delete(dropped)
      expect([...stored], `after ${calls} calls`).toEqual([...expected])
      expect((await (await freshLog(store, log, keys)).last())?.position).toBe([...expected.keys()].at(-1))
    }

    let isThrough = false
    for (let life = 1; life <= LIVES && !isThrough; life++) {
      isThrough = await resealAndDie({ log, place, keys, calls })
      await assertWhole()
      await append(`keep-behind-${life}`)
      await assertWhole()
    }
    const atLeast = [...expected.keys()].at(-1)!
    await (await freshLog(store, log, keys)).reseal({ atLeast, leaveOut: [dropped] })
    await assertWhole()
    expect(expected.has(dropped)).toBe(false)
    if (isThrough) return calls - 1
  }
}

describe('a log in a folder', () => {
  const newPlace = async (): Promise<Place> => ({ folder: mkdtempSync(join(root, 'store-')) })

  it('loses nothing when processes that append, read and reseal are killed', { timeout: 900_000 }, async () => {
    const { acknowledged, kills, reseals } = await run(0, newPlace)
    expect(acknowledged).toBeGreaterThan(3 * LOGS * SECONDS)
    expect(kills).toBeGreaterThan(LOGS * SECONDS)
    expect(reseals).toBeGreaterThan(0)
  })

  it.each(often)('of %s loses nothing when an owner is killed after each of its calls', async (_, create) => {
    expect(await killAfterEachCall(await newPlace(), await create())).toBe(CALLS)
  })
})

describe.skipIf(!mayStart('postgres'))('a log in PostgreSQL', () => {
  let server: Server
  let pool: pg.Pool
  beforeAll(async () => {
    server = await startPostgres()
    pool = new pg.Pool(server.config)
    pool.on('error', () => undefined)
  })
  afterAll(async () => {
    await pool.end()
    await server.stop()
  })

  let tables = 0
  const newPlace = async (): Promise<Place> => {
    const table = `log_${tables++}`
    await pool.query(postgresSchema({ table }))
    return { config: server.config, table }
  }

  it(
    'loses nothing when processes that append, read and reseal are killed, and connections are cut',
    { timeout: 900_000 },
    async () => {
      let cut = 0
      const results = await run(1, newPlace, async () => {
        const { rows } = await pool.query(`SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity
          WHERE application_name = 'keystrata-log' ORDER BY random() LIMIT 1) AS chosen`)
        cut += rows.length
      })
      expect(results.acknowledged).toBeGreaterThan(3 * LOGS * SECONDS)
      expect(results.kills).toBeGreaterThan(LOGS * SECONDS)
      expect(results.reseals).toBeGreaterThan(0)
      expect(cut).toBeGreaterThan(LOGS)
      if (IS_SLOW) console.log({ cut })
    },
  )

  it.each(often)('of %s loses nothing when an owner is killed after each of its calls', async (_, create) => {
    expect(await killAfterEachCall(await newPlace(), await create())).toBe(CALLS)
  })
})
