// The queue of jobs, in BullMQ. Redis may lose any of it, at any time: a job that runs again finds its heads current.
import { type ConnectionOptions, type Job, Queue } from 'bullmq'
import type { Redis } from 'ioredis'

/** The job of rekeying all heads whose labels begin with `prefix`. Nobody can add it twice: its id says the prefix. */
export interface RekeyJob {
  readonly prefix: string
}

/** What a worker returns. It stays in Redis, and the report is made of it. */
export interface RekeyResult {
  readonly rekeyed: number
  readonly current: number
  /** How many heads could not be rekeyed, and the reason for the first ones. */
  readonly failed: number
  readonly reasons: readonly string[]
  readonly startedAt: number
  readonly workMs: number
  readonly worker: number
  /** The memory of the worker, in bytes. */
  readonly rss: number
}

export type RekeyQueue = Queue<RekeyJob, RekeyResult, 'rekey'>

/** A worker tries again after 0.2 seconds, 0.4, 0.8 …: for about three minutes, when the database is away. */
const ATTEMPTS = 10
const FIRST_PAUSE_MS = 200

const JOBS_AT_ONCE = 1000

/** BullMQ takes no numbers as ids. */
const idOf = (prefix: string): string => `prefix-${prefix}`

/** A delegation of another revision has another queue: nobody runs its old jobs by mistake. */
export const queueName = (revision: string): string => `rekey-${revision}`

/** BullMQ has types of its own for the client. */
export const connectionOf = (redis: Redis): ConnectionOptions => redis

export function openQueue(redis: Redis, revision: string): RekeyQueue {
  const queue: RekeyQueue = new Queue(queueName(revision), {
    connection: connectionOf(redis),
    defaultJobOptions: {
      attempts: ATTEMPTS,
      backoff: { type: 'exponential', delay: FIRST_PAUSE_MS },
    },
  })
  // The client of Redis says that it is away. Here, the same is said again for each command.
  queue.on('error', () => undefined)
  return queue
}

/** Adds a job for each prefix. Those that are there stay as they are. */
export async function addJobs(queue: RekeyQueue, prefixes: readonly string[]): Promise<void> {
  for (let start = 0; start < prefixes.length; start += JOBS_AT_ONCE) {
    await queue.addBulk(
      prefixes
        .slice(start, start + JOBS_AT_ONCE)
        .map((prefix) => ({ name: 'rekey' as const, data: { prefix }, opts: { jobId: idOf(prefix) } })),
    )
  }
}

/** Puts jobs in the queue again that are done, or have failed. */
export async function repeatJobs(queue: RekeyQueue, prefixes: readonly string[]): Promise<void> {
  for (const prefix of prefixes) {
    const job = await queue.getJob(idOf(prefix))
    if (job === undefined) await addJobs(queue, [prefix])
    else if (await job.isCompleted()) await job.retry('completed', { resetAttemptsMade: true })
    else if (await job.isFailed()) await job.retry('failed', { resetAttemptsMade: true })
  }
}

/** Yields jobs in this state. */
export async function* jobsIn(
  queue: RekeyQueue,
  state: 'completed' | 'failed',
): AsyncGenerator<Job<RekeyJob, RekeyResult>> {
  for (let start = 0; ; start += JOBS_AT_ONCE) {
    const page = await queue.getJobs([state], start, start + JOBS_AT_ONCE - 1, true)
    // A job that is removed meanwhile is missing.
    for (const job of page as (Job<RekeyJob, RekeyResult> | undefined)[]) if (job !== undefined) yield job
    if (page.length < JOBS_AT_ONCE) return
  }
}
