// A worker of the fleet, in a process of its own. It may be killed at any moment: what it has not finished, another one
// does. It has no key that opens new blocks, and stops for good when the owner's keyset has changed.
import { performance } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { DelayedError, type Job, UnrecoverableError, Worker } from 'bullmq'
import { checkWriter, rekeyBlocks } from 'keystrata'
import { openOurs } from './fleet-keys.ts'
import { endWithParent, refuse, tell, whyOver } from './messages.ts'
import { redisOf, settingsFrom, storesOf } from './place.ts'
import { connectionOf, queueName, type RekeyJob, type RekeyResult } from './queue.ts'

/** A job may be silent as often as workers are killed or lose their network. That is no fault of the job. */
const STALLS = 1_000_000

/** How many reasons a job tells. */
const REASONS = 3

endWithParent()
const { folder, store, lock } = settingsFrom(process.argv.slice(2))
const say = (line: string) => void tell({ say: `worker ${process.pid}: ${line}` })
const delegation = await openOurs(folder).catch(async (error: unknown) =>
  refuse(`worker ${process.pid} cannot open the delegation: ${whyOver(error) ?? (error as Error).message}`),
)
const { state, blocks } = storesOf({ folder, store })
const ending = new AbortController()

/** Rekeys the heads of a job. The keyset must not have changed before, nor meanwhile. */
async function rekey({ data: { prefix } }: Job<RekeyJob>): Promise<RekeyResult> {
  void tell({ began: prefix })
  await checkWriter(state, delegation)
  const [startedAt, started] = [Date.now(), performance.now()]
  const { rekeyed, current, failed } = await rekeyBlocks(blocks, delegation, { prefix, signal: ending.signal })
  const workMs = performance.now() - started
  await checkWriter(state, delegation)
  const reasons = failed.slice(0, REASONS).map(({ label, error }) => `${label.slice(0, 12)}…: ${error.message}`)
  return {
    ...{ rekeyed, current, failed: failed.length, reasons },
    ...{ startedAt, workMs, worker: process.pid, rss: process.memoryUsage.rss() },
  }
}

const worker: Worker<RekeyJob, RekeyResult> = new Worker(
  queueName(delegation.revision),
  async (job, token) => {
    try {
      return await rekey(job)
    } catch (error) {
      const over = whyOver(error)
      if (over !== undefined) {
        stopForGood(over)
        throw new UnrecoverableError(over)
      }
      if (!ending.signal.aborted) throw error
      // Another worker can take it at once.
      await job.moveToDelayed(Date.now(), token)
      throw new DelayedError()
    }
  },
  {
    connection: connectionOf(redisOf(folder, say)),
    lockDuration: lock,
    stalledInterval: lock / 2,
    maxStalledCount: STALLS,
  },
)
worker.on('failed', (job, error) => say(`job ${job?.data.prefix ?? ''} failed: ${error.message}`))
worker.on('error', ({ message }) => {
  // It was silent for too long. The other one finds the heads current that this one has rekeyed.
  if (message.includes('lock')) say(`another worker has taken a job of this one (${message})`)
  else if (!/ECONN|ENOENT|closed/.test(message)) say(message)
})
process.on('SIGTERM', () => {
  ending.abort()
  void worker.close().then(() => {
    delegation.dispose()
    process.exit(0)
  })
})

function stopForGood(over: string): void {
  const reason = `worker ${process.pid} stops: ${over}`
  // The job must be marked as failed first. If Redis is away, the worker stops anyway.
  setImmediate(() => void Promise.race([worker.close(), pause(2 * lock)]).finally(() => void refuse(reason)))
}
