// Rekeys the same blocks by a fleet of one worker and of two, in turns, and prints medians: heads per second, the ratio of
// the two, the overhead of a job beside its work, the processor time of each server for a head, and memory. Then it counts
// the requests that one head takes in a bucket, and prints what 10⁹ blocks would take. What is calculated says so.
//
//   npm run bench:fleet -- [blocks] [rounds]
//
// Everything is real: PostgreSQL, Redis, worker processes, and Ceph's gateway for the bucket. Linux only.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateBucketCommand } from '@aws-sdk/client-s3'
import { changeKeyset, createKeyset, type Keyset, rekeyBlocks, saveKeyset } from 'keystrata'
import { blocksIn, type StateStore } from 'keystrata/stores'
import { postgresSchema } from 'keystrata/stores/postgres'
import { s3BlobStore } from 'keystrata/stores/s3'
import { runCrew } from '../examples/fleet/crew.ts'
import { delegateTo } from '../examples/fleet/fleet-keys.ts'
import { KeptRedis } from '../examples/fleet/kept-redis.ts'
import { openAll, sealBlocks } from '../examples/fleet/owner.ts'
import { databaseOf, filesIn, type Stores, storesOf } from '../examples/fleet/place.ts'
import { blocksSchema } from '../examples/fleet/postgres-blocks.ts'
import type { Results } from '../examples/fleet/results.ts'
import { startPostgres } from '../examples/fleet/servers.ts'
import { s3ClientOf, startRadosGateway } from '../test/stores/rados-gateway.ts'
import { median } from './measure.ts'

const [blocks = 20_000, rounds = 3] = process.argv.slice(2).map(Number)

/** Linux counts processor time in hundredths of a second. */
const TICK_MS = 10

/** Returns the processor time of a process and its children, in milliseconds, those that have ended included. */
function cpuOf(pid: number | undefined): number {
  if (pid === undefined) throw new Error('the server does not run')
  const fields = (of: number | string): string[] => {
    const text = readFileSync(`/proc/${of}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  }
  const sum = (numbers: readonly (string | undefined)[]) => numbers.reduce((all, each) => all + Number(each), 0)
  const own = sum(fields(pid).slice(11, 15))
  const children = readdirSync('/proc').flatMap((name) => {
    try {
      const found = /^\d+$/.test(name) ? fields(name) : []
      return found[1] === String(pid) ? found.slice(11, 13) : []
    } catch {
      return [] // it has ended
    }
  })
  return TICK_MS * (own + sum(children))
}

interface Sample extends Results {
  readonly seconds: number
  /** Microseconds of processor time for a head. */
  readonly postgres: number
  readonly redis: number
}

async function rekeyed(
  { state }: Stores,
  keyset: Keyset,
  { workers, folder, redis, postgres }: { workers: number; folder: string; redis: KeptRedis; postgres: number },
): Promise<{ sample: Sample; next: Keyset }> {
  const next = await changeKeyset(state, keyset, async (newest) => {
    using forgotten = newest.forgetRetired('unchecked')
    return forgotten.regenerate()
  })
  await delegateTo(folder, next)
  const before = [cpuOf(postgres), cpuOf(redis.pid)] as const
  const started = Date.now()
  const { results } = await runCrew({
    settings: { folder, store: 'postgres', blocks, lock: 30_000 },
    ...{ workers, redis, kill: false },
    say: () => undefined,
    onMessage: () => undefined,
    signal: new AbortController().signal,
  })
  if (results.rekeyed !== blocks) throw new Error(`${results.rekeyed} heads of ${blocks} were rekeyed`)
  const perHead = (after: number, start: number) => (1000 * (after - start)) / blocks
  const sample = {
    ...results,
    seconds: (Date.now() - started) / 1000,
    postgres: perHead(cpuOf(postgres), before[0]),
    redis: perHead(cpuOf(redis.pid), before[1]),
  }
  return { sample, next }
}

/** Returns how many requests one head takes in a bucket, by their kinds. */
async function requestsInBucket(heads: number): Promise<ReadonlyMap<string, number>> {
  const gateway = await startRadosGateway()
  try {
    const client = s3ClientOf(gateway, gateway.endpoint)
    await client.send(new CreateBucketCommand({ Bucket: 'fleet' }))
    const counts: Map<string, number> = new Map()
    client.middlewareStack.add(
      (next, { commandName = '' }) =>
        (given) => {
          counts.set(commandName, (counts.get(commandName) ?? 0) + 1)
          return next(given)
        },
      { step: 'initialize' },
    )
    const stored = blocksIn(s3BlobStore({ client, bucket: 'fleet' }))
    using keyset = await createKeyset('correct horse battery staple')
    for (let index = 0; index < heads; index++)
      await stored.put(await keyset.seal(new TextEncoder().encode(`${index}`)))
    counts.clear()
    using regenerated = keyset.regenerate()
    const { rekeyed } = await rekeyBlocks(stored, regenerated)
    if (rekeyed !== heads) throw new Error(`${rekeyed} heads of ${heads} were rekeyed`)
    return new Map([...counts].map(([name, count]) => [name, count / heads]))
  } finally {
    await gateway.stop()
  }
}

const number = (value: number, digits = 0) => value.toLocaleString('en', { maximumFractionDigits: digits })
const MB = (bytes: number) => Math.round(bytes / 1e6)

const folder = mkdtempSync(join(tmpdir(), 'keystrata-bench-fleet-'))
const samples: Record<1 | 2, Sample[]> = { 1: [], 2: [] }
try {
  const postgres = await startPostgres({ shared_buffers: '256MB' }, filesIn(folder).postgres)
  const redis = await KeptRedis.start(filesIn(folder).redis)
  const database = databaseOf(folder)
  await database.query(postgresSchema() + blocksSchema)
  await database.end()
  const stores = storesOf({ folder, store: 'postgres' })
  let keyset = await createKeyset('correct horse battery staple')
  await saveKeyset(stores.state satisfies StateStore, keyset)
  await sealBlocks(stores.blocks, keyset, { start: 0, end: blocks, onSealed: () => undefined })
  for (let round = 0; round < rounds; round++) {
    for (const workers of [1, 2] as const) {
      const { sample, next } = await rekeyed(stores, keyset, {
        workers,
        folder,
        redis,
        postgres: postgres.process.pid!,
      })
      keyset = next
      samples[workers].push(sample)
      console.log(`${workers} workers: ${number(sample.headsPerSecond)} heads/s, ${sample.seconds} s with their start`)
    }
  }
  await openAll(stores.blocks, keyset, { count: blocks, onOpened: () => undefined })
  await stores.close()
  await Promise.all([redis.stop(), postgres.stop()])
} finally {
  rmSync(folder, { recursive: true, force: true })
}

const middle = (workers: 1 | 2, of: (sample: Sample) => number) => median(samples[workers].map(of))
const ratios = samples[2].map((sample, round) => sample.headsPerSecond / samples[1][round]!.headsPerSecond)
console.log(`
measured on this machine, with node ${process.version}: ${number(blocks)} blocks, medians of ${rounds} rounds

                                        1 worker     2 workers`)
const rows: readonly [string, (sample: Sample) => string | number][] = [
  ['heads per second', ({ headsPerSecond }) => headsPerSecond],
  ['time between two jobs, %', ({ overhead }) => 100 * overhead],
  ['PostgreSQL, µs of a core per head', (sample) => sample.postgres],
  ['Redis, µs of a core per head', (sample) => sample.redis],
  ['memory of a worker at its end, MB', ({ memory }) => MB(Math.max(...memory.map(({ end }) => end)))],
]
for (const [name, of] of rows) {
  const cells = ([1, 2] as const).map((workers) =>
    number(
      middle(workers, (sample) => Number(of(sample))),
      1,
    ),
  )
  console.log(`${name.padEnd(36)}${cells.map((cell) => cell.padStart(12)).join('')}`)
}
console.log(`two workers to one: ${number(median(ratios), 2)} ×`)

const requests = await requestsInBucket(1000)
console.log('\nmeasured: requests for one head in a bucket')
for (const [name, count] of requests) console.log(`  ${name.padEnd(24)}${number(count, 3)}`)

// Amazon S3, us-east-1, dollars for a request. Look up what your provider takes.
const PRICES: Readonly<Record<string, number>> = {
  GetObjectCommand: 0.4e-6,
  PutObjectCommand: 5e-6,
  ListObjectsV2Command: 5e-6,
}
const HEADS = 1e9
const perWorker = middle(1, ({ headsPerSecond }) => headsPerSecond)
const hours = HEADS / perWorker / 3600
const dollars = [...requests].reduce((sum, [name, count]) => sum + HEADS * count * (PRICES[name] ?? NaN), 0)
console.log(`
calculated from that, for 10⁹ blocks, if nothing else is the limit
  one worker                            ${number(hours)} hours
  32 workers                            ${number(hours / 32, 1)} hours, ${number(32 * perWorker)} heads/s
  PostgreSQL beside 32 workers          ${number((32 * perWorker * middle(2, (sample) => sample.postgres)) / 1e6, 1)} cores
  Redis beside 32 workers               ${number((32 * perWorker * middle(2, (sample) => sample.redis)) / 1e6, 3)} cores
  requests to S3                        ${number(HEADS * [...requests.values()].reduce((a, b) => a + b, 0))}, ${number(dollars)} dollars`)
