// What all jobs have done, from what they returned.
import type { RekeyResult } from './queue.ts'

export interface Results {
  readonly jobs: number
  readonly rekeyed: number
  /** Heads that were current when their job came to them: an earlier run had rekeyed them. */
  readonly current: number
  /** How often a job was started again after an error, or after its worker was silent. */
  readonly retries: number
  /** Jobs that the check has put in the queue again. */
  readonly repeated: number
  readonly headsPerSecond: number
  /** The time between two jobs of a worker, beside the time that a job works. */
  readonly overhead: number
  readonly memory: readonly { readonly begin: number; readonly end: number }[]
}

/** A job that is done, as BullMQ keeps it. */
interface Done {
  readonly returnvalue: RekeyResult
  readonly attemptsMade: number
  readonly attemptsStarted: number
  readonly finishedOn?: number
}

export async function resultsOf(jobs: AsyncIterable<Done>, repeated: number): Promise<Results> {
  const byWorker: Map<number, { start: number; end: number; work: number; rss: number }[]> = new Map()
  const counts = { jobs: 0, rekeyed: 0, current: 0, retries: 0 }
  for await (const { returnvalue, attemptsStarted, finishedOn } of jobs) {
    const { rekeyed, current, worker, startedAt, workMs, rss } = returnvalue
    counts.jobs++
    counts.rekeyed += rekeyed
    counts.current += current
    counts.retries += Math.max(attemptsStarted - 1, 0)
    const runs = byWorker.get(worker) ?? []
    runs.push({ start: startedAt, end: finishedOn ?? startedAt + workMs, work: workMs, rss })
    byWorker.set(worker, runs)
  }
  const workers = [...byWorker.values()].map((runs) => runs.sort((a, b) => a.start - b.start))
  const all = workers.flat()
  const first = Math.min(...all.map(({ start }) => start))
  const last = Math.max(...all.map(({ end }) => end))
  const gaps = workers.flatMap((runs) =>
    runs.slice(1).map(({ start }, index) => start - (runs[index]!.start + runs[index]!.work)),
  )
  const [work, gap] = [middleOf(all.map((run) => run.work)), middleOf(gaps)]
  return {
    ...counts,
    repeated,
    headsPerSecond: (1000 * counts.rekeyed) / Math.max(last - first, 1),
    overhead: gap / Math.max(work + gap, 1),
    memory: workers.map((runs) => ({ begin: runs[0]!.rss, end: runs.at(-1)!.rss })),
  }
}

/** Returns the median: a worker that was killed leaves a long gap that is not the queue's. */
function middleOf(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0
}
