// What a process uses, and whether that grows.
import { readdirSync } from 'node:fs'
import type { Figures } from './tasks.ts'

/** Measures this process after a full garbage collection: start it with `--expose-gc`. */
export function measured(connections: number): Figures {
  // What finalizers free is collected by the second run.
  globalThis.gc?.()
  globalThis.gc?.()
  const { heapUsed, external, rss } = process.memoryUsage()
  const countIn = (folder: string) => readdirSync(folder).length
  return {
    heap: heapUsed + external,
    rss,
    files: countIn('/proc/self/fd'),
    threads: countIn('/proc/self/task'),
    connections,
  }
}

export interface Sample extends Figures {
  /** Milliseconds since the beginning of the run. */
  readonly at: number
}

const MIB = 1_048_576

/** How much a figure may grow over the second half of a run: an amount, or a part of its mean, whichever is more. */
export const BOUNDS: Readonly<Record<keyof Figures, { readonly amount: number; readonly part: number }>> = {
  heap: { amount: 4 * MIB, part: 0.1 },
  rss: { amount: 64 * MIB, part: 0.2 },
  // The SDK for S3 keeps up to 50 connections, and `fetch` some more.
  files: { amount: 30, part: 0.1 },
  threads: { amount: 2, part: 0 },
  connections: { amount: 4, part: 0.1 },
}

/** With fewer samples in the second half, chance decides. */
export const FEWEST_SAMPLES = 6

export interface Growth {
  readonly figure: keyof Figures
  readonly first: number
  readonly mean: number
  readonly last: number
  /** The growth over the second half, by the line of least squares. */
  readonly growth: number
  readonly bound: number
  readonly grows: boolean
}

/** Returns the slope of the line with the least squares of errors, in units of y for one of x. */
export function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (index: 0 | 1) => points.reduce((sum, point) => sum + point[index], 0) / points.length
  const [meanX, meanY] = [mean(0), mean(1)]
  const squares = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
  return squares === 0 ? 0 : points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / squares
}

/** Judges the second half of the samples. Returns undefined if there are too few. */
export function growthOf(samples: readonly Sample[]): Growth[] | undefined {
  const half = samples.slice(Math.floor(samples.length / 2))
  if (half.length < FEWEST_SAMPLES) return undefined
  const duration = half.at(-1)!.at - half[0]!.at
  return (Object.keys(BOUNDS) as (keyof Figures)[]).map((figure) => {
    const values = half.map((sample) => sample[figure])
    const mean = values.reduce((sum, each) => sum + each, 0) / values.length
    const growth = slope(half.map((sample) => [sample.at, sample[figure]] as const)) * duration
    const bound = Math.max(BOUNDS[figure].amount, BOUNDS[figure].part * mean)
    return { figure, first: values[0]!, mean, last: values.at(-1)!, growth, bound, grows: growth > bound }
  })
}
