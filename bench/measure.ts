// Times pieces of work side by side. They take turns in one process, and each sample is compared with the one next to
// it, so that noise on the machine affects both in the same way.

export interface Comparison {
  /** The median time of one run, in milliseconds. */
  readonly ours: number
  readonly bare: number
  /** The bare time divided by ours: the median of the rounds, rounded to hundredths. */
  readonly ratio: number
}

export type Work = () => Promise<unknown>

/** A piece of work and how many times it runs in one sample. */
type Turn = readonly [work: Work, times: number]

/** How long one sample should take, so that the overhead of clock and call does not matter. */
const SAMPLE_MS = 20

export async function compare(ours: Work, bare: Work, rounds: number): Promise<Comparison> {
  const [oursBatch, bareBatch] = [await batchSize(ours), await batchSize(bare)]
  return takeTurns([ours, oursBatch], [bare, bareBatch], rounds)
}

/** Compares two pieces of work like {@link compare}, but runs each only once in a sample. Use it for long work. */
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

/** Returns the median time of one run, in milliseconds, for each of several pieces of work that take turns. */
export async function timeEach(works: readonly Work[], rounds: number): Promise<number[]> {
  const turns: Turn[] = []
  for (const work of works) turns.push([work, await batchSize(work)])
  return (await samplesOf(turns, rounds)).map(median)
}

/** Returns the milliseconds of one run, for each piece of work in each round. */
async function samplesOf(turns: readonly Turn[], rounds: number): Promise<number[][]> {
  const samples = turns.map((): number[] => [])
  for (let round = 0; round < rounds; round++) {
    for (const [index, [work, times]] of turns.entries()) samples[index]!.push(await time(work, times))
  }
  return samples
}

async function batchSize(work: Work): Promise<number> {
  // Long work is warmed up after one run.
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
