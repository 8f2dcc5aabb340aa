// npm run bench:log -- [--records N] [--store folder,postgres] [--keys vault,keyset] [--rounds N] [--folder PATH] [--json]
// What a log costs beside its bare store: appending, reading, and resealing N records of about 200 bytes (2,000 if
// omitted). Each step runs in its own process, so its peak of memory is its own. Where a step has a counterpart in the
// bare store, the two take turns of 100 records. Every result is checked before its time counts.
import { strict as assert } from 'node:assert'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import pg from 'pg'
import { SecretKey } from '../src/core/secret.ts'
import { createDeviceKey, openDeviceKey } from '../src/device.ts'
import { createKeyset, type Keys, type Log, openLog, openSavedKeyset } from '../src/index.ts'
import { folderStateStore } from '../src/stores/folder.ts'
import { postgresSchema, postgresStateStore } from '../src/stores/postgres.ts'
import type { StateStore } from '../src/stores.ts'
import { OpenedVault } from '../src/vault/block.ts'
import { startPostgres } from '../test/stores/postgres-server.ts'
import { describeMachine } from './machine.ts'
import { median } from './measure.ts'

/** How long a turn is, in records. */
const TURN = 100

/** How many turns the bare store has at least, in a run that has as many. */
const BARE_TURNS = 50

const STEPS = ['append', 'last', 'read', 'behind', 'reseal', 'last again', 'behind again'] as const
type Step = (typeof STEPS)[number]

/** What one step has taken. */
interface StepRow {
  step: Step
  /** How many records it has appended, read or sealed again. */
  records: number
  seconds: number
  /** What the bare store takes for one record with the same bytes: the median over its turns. */
  bareMilliseconds?: number
  /** The median over all turns of the bare time divided by ours. */
  ratio?: number
  /** The highest resident memory of the process, and how much of that was there before the step. */
  peakMiB: number
  beforeMiB: number
  /** The highest use of the heap, sampled every 10 ms. */
  heapMiB: number
}

/** What the processes of one run share. It lies in a file that only this user can read. */
interface Setup {
  records: number
  rounds: number
  database?: pg.ClientConfig
  folder: string
  vaultKey: string
  device: string
  /** A keyset, and what it became when its keys were regenerated. */
  keysets: { id: string; saved: string[] }
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const unhex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'))

/** Returns the content of the nth record: 200 bytes, such as one line of an index. */
function contentOf(n: number): Uint8Array {
  return new TextEncoder().encode(`${n} `.padEnd(200, 'home/user/documents/'))
}

function numberIn(content: Uint8Array): number {
  const number = Number(new TextDecoder().decode(content).split(' ')[0])
  assert.deepEqual(content, contentOf(number))
  return number
}

async function keysFor(setup: Setup, keys: string, step: Step): Promise<Keys> {
  if (keys === 'vault') return new OpenedVault(new Uint8Array(16).fill(1), new SecretKey('data', unhex(setup.vaultKey)))
  const { id, saved } = setup.keysets
  const regenerated = STEPS.indexOf(step) >= STEPS.indexOf('reseal')
  const bytes = unhex(saved[regenerated ? 1 : 0]!)
  using device = await openDeviceKey(unhex(setup.device))
  return openSavedKeyset(bytes, device, { id })
}

const storeFor = (setup: Setup, store: string, keys: string): StateStore =>
  store === 'folder'
    ? folderStateStore(join(setup.folder, keys))
    : postgresStateStore(new pg.Pool({ ...setup.database, max: 2, allowExitOnIdle: true }), { table: `log_${keys}` })

/**
 * Lets two pieces of work take turns. Each handles the next record, and returns whether there was one. In a long run the
 * bare store sits most turns out.
 */
async function inTurns(
  records: number,
  ours: () => Promise<boolean>,
  bare: () => Promise<boolean>,
): Promise<Partial<StepRow>> {
  const each = bareEach(records)
  const [times, bareTimes, ratios]: [number[], number[], number[]] = [[], [], []]
  const turn = async (work: () => Promise<boolean>, count: number): Promise<number> => {
    const started = performance.now()
    for (let handled = 0; handled < count; handled++) assert.ok(await work())
    return (performance.now() - started) / count
  }
  for (let handled = 0; handled < records; handled += TURN) {
    const count = Math.min(TURN, records - handled)
    const time = await turn(ours, count)
    times.push(time * count)
    if ((handled / TURN) % each !== 0) continue
    const bareTime = await turn(bare, count)
    bareTimes.push(bareTime)
    ratios.push(bareTime / time)
  }
  assert.ok(!(await ours()))
  const seconds = times.reduce((total, time) => total + time, 0) / 1000
  return { records, seconds, bareMilliseconds: median(bareTimes), ratio: median(ratios) }
}

/** Returns in which turns the bare store takes part: 1 for each one. */
const bareEach = (records: number): number => Math.max(1, Math.floor(records / TURN / BARE_TURNS))

const nextOf = <T>(iterable: AsyncIterable<T>, use: (value: T) => void): (() => Promise<boolean>) => {
  const iterator = iterable[Symbol.asyncIterator]()
  return async () => {
    const next = await iterator.next()
    if (next.done !== true) use(next.value)
    return next.done !== true
  }
}

/** Returns the work that reads a log, and checks what it reads. */
function reading(log: Log, first: number, after?: string): () => Promise<boolean> {
  let expected = first
  return nextOf(log.read(after === undefined ? {} : { after }), ({ position, content }) => {
    assert.equal(numberIn(content), expected)
    assert.ok(position.startsWith(`${expected++}-`))
  })
}

/** Returns the work that reads the same versions of an object without looking at them. */
const readingBare = (store: StateStore): (() => Promise<boolean>) =>
  nextOf(store.readVersions!('bare', 1), () => undefined)

async function runStep(step: Step, handle: Keys, store: StateStore, setup: Setup): Promise<Partial<StepRow>> {
  const { records, rounds } = setup
  const positions = join(setup.folder, 'position')
  const log = () => openLog(store, 'bench', handle)
  const nth = Math.max(1, records - Math.ceil(records / 10))
  if (step === 'append') {
    const appender = log()
    const { record } = await handle.sealRecord(contentOf(1), { log: 'bench', after: 'start' })
    let [n, version] = [0, 0]
    const append = async () => {
      if (n === records) return false
      const position = await appender.append(contentOf(++n))
      if (n === nth) writeFileSync(positions, position)
      return true
    }
    const write = () => store.write('bare', ++version, record)
    return inTurns(records, append, write)
  }
  if (step === 'read') return inTurns(records, reading(log(), 1), readingBare(store))
  const after = readFileSync(positions, 'utf8')
  if (step === 'behind' || step === 'behind again') {
    return inTurns(records - nth, reading(log(), nth + 1, after), readingBare(store))
  }
  if (step === 'reseal') {
    const leaveOut = [(await first(log())).position]
    const started = performance.now()
    const { copied } = await log().reseal({ atLeast: after, leaveOut })
    assert.equal(copied, records - 1)
    return { records: copied, seconds: (performance.now() - started) / 1000 }
  }
  const times: number[] = []
  for (let round = 0; round < rounds; round++) {
    const started = performance.now()
    const last = await log().last()
    times.push(performance.now() - started)
    assert.equal(last && numberIn(last.content), records)
  }
  return { records: 1, seconds: median(times) / 1000 }
}

async function first(log: Log): Promise<{ position: string }> {
  for await (const record of log.read()) return record
  throw new Error('this log is empty')
}

/** Runs one step in this process, and prints what it took. */
async function child(step: Step, store: string, keys: string, setup: Setup): Promise<void> {
  const handle = await keysFor(setup, keys, step)
  const given = storeFor(setup, store, keys)
  const beforeMiB = process.memoryUsage.rss() / 2 ** 20
  let heap = 0
  const sampling = setInterval(() => (heap = Math.max(heap, process.memoryUsage().heapUsed)), 10)
  const taken = await runStep(step, handle, given, setup)
  clearInterval(sampling)
  const memory = { peakMiB: process.resourceUsage().maxRSS / 1024, beforeMiB, heapMiB: heap / 2 ** 20 }
  console.log(JSON.stringify({ step, ...taken, ...memory }))
}

/** Runs all steps on one store with one kind of keys, each in a process of its own. */
async function* runSteps(store: string, keys: string, setup: string): AsyncGenerator<StepRow> {
  for (const step of STEPS) {
    const program = [...process.execArgv, import.meta.filename, '--step', step, '--store', store, '--keys', keys]
    const { stdout } = await promisify(execFile)(process.execPath, [...program, '--setup', setup])
    yield JSON.parse(stdout) as StepRow
  }
}

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '2000' },
    store: { type: 'string', default: 'folder,postgres' },
    keys: { type: 'string', default: 'vault,keyset' },
    rounds: { type: 'string', default: '15' },
    folder: { type: 'string', default: tmpdir() },
    json: { type: 'boolean', default: false },
    step: { type: 'string' },
    setup: { type: 'string' },
  },
})

async function main(): Promise<void> {
  const [stores, kinds] = [values.store.split(','), values.keys.split(',')]
  const folder = mkdtempSync(join(values.folder, 'keystrata-log-'))
  const server = stores.includes('postgres') ? await startPostgres() : undefined
  const all: (StepRow & { store: string; keys: string })[] = []
  try {
    using device = createDeviceKey()
    using keyset = await createKeyset('password', { costs: { iterations: 2, memoryKiB: 19_456, lanes: 1 } })
    const saved = [keyset, keyset.regenerate()].map((each) => hex(each.save(device)))
    const setup: Setup = {
      records: Number(values.records),
      rounds: Number(values.rounds),
      ...(server && { database: server.config }),
      folder,
      vaultKey: hex(crypto.getRandomValues(new Uint8Array(32))),
      device: hex(device.exportUnprotected()),
      keysets: { id: keyset.id, saved },
    }
    const path = join(folder, 'setup')
    writeFileSync(path, JSON.stringify(setup), { mode: 0o600 })
    for (const store of stores) {
      for (const keys of kinds) {
        if (server !== undefined && store === 'postgres') await createTables(server.config, keys)
        for await (const row of runSteps(store, keys, path)) {
          all.push({ store, keys, ...row })
          if (!values.json) print(all.slice(-1))
        }
      }
    }
    if (values.json) console.log(JSON.stringify({ machine: describeMachine(), records: setup.records, rows: all }))
  } finally {
    await server?.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function createTables(config: pg.ClientConfig, keys: string): Promise<void> {
  const client = new pg.Client(config)
  await client.connect()
  await client.query(postgresSchema({ table: `log_${keys}` }))
  await client.end()
}

function print(rows: readonly (StepRow & { store: string; keys: string })[]): void {
  for (const { store, keys, step, records, seconds, bareMilliseconds, ratio = 0, ...memory } of rows) {
    const own = `${records} in ${seconds.toFixed(2)} s, ${((1000 * seconds) / records).toFixed(2)} ms each`
    const bare =
      bareMilliseconds === undefined ? '' : ` (bare ${bareMilliseconds.toFixed(2)}, ratio ${ratio.toFixed(2)})`
    const [peak, before, heap] = [memory.peakMiB, memory.beforeMiB, memory.heapMiB].map(Math.round)
    console.log(`${store} ${keys} ${step}: ${own}${bare}, peak ${peak} MiB (${before} before), heap ${heap} MiB`)
  }
}

if (values.step === undefined) await main()
else {
  const setup = JSON.parse(readFileSync(values.setup!, 'utf8')) as Setup
  await child(values.step as Step, values.store, values.keys, setup)
}
