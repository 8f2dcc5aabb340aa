// Timing side by side: two pieces of work take turns in one process, and each turn of one is compared with that of the other
// beside it, so that a noisy machine disturbs both alike.

export interface Comparison {
  /** Medians, in milliseconds for one run. */
  readonly ours: number
  readonly bare: number
  /** Bare time to ours: the median of the rounds, in hundredths. */
  readonly ratio: number
}

export type Work = () => Promise<unknown>

/** A piece of work, and how often it runs in one sample. */
type Turn = readonly [work: Work, times: number]

/** How long one sample of a piece of work should take, so that the clock and the call cost nothing beside it. */
const SAMPLE_MS = 20

export async function compare(ours: Work, bare: Work, rounds: number): Promise<Comparison> {
  const [oursBatch, bareBatch] = [await batchSize(ours), await batchSize(bare)]
  return takeTurns([ours, oursBatch], [bare, bareBatch], rounds)
}

/** The same for work that is long enough to be timed once. */
export async function compareRuns(ours: Work, bare: Work, rounds: number): Promise<Comparison> {
  await ours()
  await bare()
  return takeTurns([ours, 1], [bare, 1], rounds)
}

async function takeTurns(ours: Turn, bare: Turn, rounds: number): Promise<Comparison> {
  const [oursTimes, bareTimes] = (await samplesOf([ours, bare], rounds)) as [number[], number[]]
  const ratios = oursTimes.map((time, round) => bareTimes[round]! / time)
  return { ours: median(oursTimes), bare: median(bareTimes), ratio: Math.round(100 * median(ratios)) / 100 }
}

/** The medians, in milliseconds for one run, of several pieces of work that take turns. */
export async function timeEach(works: readonly Work[], rounds: number): Promise<number[]> {
  const turns: Turn[] = []
  for (const work of works) turns.push([work, await batchSize(work)])
  return (await samplesOf(turns, rounds)).map(median)
}

/** Milliseconds for one run, of each piece of work in each round. */
async function samplesOf(turns: readonly Turn[], rounds: number): Promise<number[][]> {
  const samples = turns.map((): number[] => [])
  for (let round = 0; round < rounds; round++) {
    for (const [index, [work, times]] of turns.entries()) samples[index]!.push(await time(work, times))
  }
  return samples
}

async function batchSize(work: Work): Promise<number> {
  // What takes long is warm after one run.
  if ((await time(work, 1)) > 5 * SAMPLE_MS) return 1
  await time(work, 2)
  return Math.max(1, Math.round(SAMPLE_MS / (await time(work, 2))))
}

async function time(work: Work, times: number): Promise<number> {
  const started = performance.now()
  for (let run = 0; run < times; run++) await work()
  return (performance.now() - started) / times
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
