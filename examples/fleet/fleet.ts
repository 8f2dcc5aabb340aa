// Rekeys all blocks of a keyset by a fleet of processes, while they are killed. `npm run fleet -- --help` prints the usage.
// This process is the owner. It starts the servers, the coordinator and the workers, and starts again what ends.
import { mkdir, readdir } from 'node:fs/promises'
import { changeKeyset, checkRetired, type Keyset } from 'keystrata'
import { ownKeyset } from '../demo-keyset.ts'
import { askPassword, report, say, withProgress } from '../terminal.ts'
import { runCrew } from './crew.ts'
import { delegateTo } from './fleet-keys.ts'
import { optionsFrom, type Options, USAGE, UsageError } from './options.ts'
import { openAll, sealBlocks } from './owner.ts'
import { filesIn, readIfThere, replaceFile, type Settings, storesOf } from './place.ts'
import { withRekeyingBar } from './progress.ts'
import { emptyServers, removeRun, Servers } from './run-servers.ts'
import { printSummary } from './summary.ts'

/** The run as far as it has come. The keyset says the rest. */
interface Run {
  readonly blocks: number
  readonly store: Settings['store']
  readonly sealed: number
  readonly isRegenerated: boolean
  /** Every delegation has a queue of its own. */
  readonly queues: readonly string[]
}

/** After so many blocks it is written down how many are sealed. */
const BLOCKS_PER_NOTE = 20_000

/** Runs everything in its order. Each step may have been done by an earlier run. */
async function main(options: Options, signal: AbortSignal): Promise<void> {
  const { folder } = options
  const files = filesIn(folder)
  await mkdir(folder, { recursive: true })
  const noted = await readIfThere(files.run)
  if (noted === undefined && (await readdir(folder)).length > 0)
    throw new UsageError(`${folder} has files of something else: use another --folder`)
  let run: Run = noted
    ? (JSON.parse(noted.toString()) as Run)
    : { blocks: options.blocks, store: options.store, sealed: 0, isRegenerated: false, queues: [] }
  if (run.blocks !== options.blocks || run.store !== options.store) {
    throw new UsageError(
      `${folder} has a run with --blocks ${run.blocks} --store ${run.store}: go on with these, use another --folder, or delete it`,
    )
  }
  const note = async (change: Partial<Run>) => {
    run = { ...run, ...change }
    await replaceFile(files.run, JSON.stringify(run))
  }
  const password = process.env['KEYSTRATA_PASSWORD'] ?? (await askPassword(noted === undefined))
  await note({})

  await using servers = new Servers(signal)
  await servers.start(options)
  const stores = storesOf(options)
  servers.beforehand(() => stores.close())
  const working = work()
  const stopped: Promise<never> = new Promise((_resolve, reject) => {
    const stop = () => reject(new Error('stopped'))
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop)
  })
  await Promise.race([working, stopped])

  async function work(): Promise<void> {
    using first = await ownKeyset(stores.state, password)
    await sealAll(first)
    using both = await regenerated(first)
    if (run.isRegenerated && both.retired === 0) say('this run is done already')
    else printSummary(options, await rekeyAndCheck(both))
    if (options.keep) say(`everything is still in ${folder}`)
    else await emptyServers(options, run.queues)
  }

  async function sealAll(keyset: Keyset): Promise<void> {
    const { blocks } = run
    if (run.sealed === blocks) return
    const started = Date.now()
    await withProgress('sealing {bar} {value} of {total}, {eta_formatted} left', blocks, async (update) => {
      while (run.sealed < blocks) {
        const end = Math.min(run.sealed + BLOCKS_PER_NOTE, blocks)
        await sealBlocks(stores.blocks, keyset, { start: run.sealed, end, onSealed: update })
        await note({ sealed: end })
      }
    })
    say(`sealed ${blocks.toLocaleString('en')} blocks in ${seconds(started)} s`)
  }

  async function regenerated(keyset: Keyset): Promise<Keyset> {
    if (run.isRegenerated || keyset.retired > 0) return keyset
    const next = await changeKeyset(stores.state, keyset, (newest) => newest.regenerate())
    await note({ isRegenerated: true })
    say('regenerated the key pairs: every block is under a retired pair now')
    return next
  }

  async function rekeyAndCheck(keyset: Keyset) {
    await note({ isRegenerated: true, queues: [...new Set([...run.queues, keyset.revision])] })
    await delegateTo(folder, keyset)
    say(`delegated rekeying to the fleet, at revision ${keyset.revision}`)
    const started = Date.now()
    const { results, killed } = await withRekeyingBar(run.blocks, async (onMessage) =>
      runCrew({
        settings: options,
        workers: options.workers,
        kill: options.kill,
        redis: servers.redis,
        ...{ say, signal, onMessage },
      }),
    )
    const checking = Date.now()
    const checked = await checkRetired(stores.blocks, keyset, { logs: [] })
    await withProgress('opening {bar} {value} of {total}, {eta_formatted} left', run.blocks, async (update) =>
      openAll(stores.blocks, keyset, { count: run.blocks, onOpened: update }),
    )
    say(`opened every block and compared its content, in ${seconds(checking)} s`)
    using last = await changeKeyset(stores.state, keyset, (newest) => newest.forgetRetired(checked))
    say(`forgot the retired key pairs: ${last.retired} are left`)
    return { results, killed, seconds: (checking - started) / 1000 }
  }
}

const seconds = (since: number): string => ((Date.now() - since) / 1000).toFixed(1)

const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopping.abort())
try {
  const options = optionsFrom(process.argv.slice(2))
  if (options === undefined) console.log(USAGE)
  else {
    await main(options, stopping.signal)
    if (!options.keep) await removeRun(options.folder)
  }
} catch (error) {
  const isStopped = stopping.signal.aborted
  report(isStopped ? 'stopped; the same command goes on from here' : (error as Error).message)
  process.exit(isStopped ? 130 : error instanceof UsageError ? 2 : 1)
}
