// Runs sustained.mjs, which measures long streams, threads and memory in processes of their own, with the built package.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** A long stream of blocks beside the hash and the cipher alone, which write into memory that is reused. */
export interface SustainedRow {
  work: 'seal' | 'open'
  /** The size of a block's content. */
  bytes: number
  encryption: 'hybrid' | 'x25519'
  totalMiB: number
  /** The time for one block, ours and the bare one's: medians of the turns. */
  milliseconds: number
  bareMilliseconds: number
  /** The bare time divided by ours: the median of the turns. */
  ratio: number
  /** The part of the time that the garbage collector took, in percent. */
  collections: number
  bareCollections: number
}

/** A pool beside the calling thread. */
export interface PoolRow {
  work: 'seal' | 'rekey'
  /** The size of a block's content. Absent for rekeying, where it does not matter. */
  bytes?: number
  threads: number
  /** The time on one thread divided by the time in the pool. */
  gain: number
}

/** The memory of one long stream that repeats one content. */
export interface StreamMemoryRow {
  bytes: number
  threads: number
  totalGiB: number
  /** The size of the process before the stream. */
  rssMiB: number
  /** `ahead` blocks and two for each thread, and 64 MiB. */
  allowedMiB: number
  /** By how much the process was larger at most, in each tenth of the stream. */
  grownMiBInEachTenth: number[]
}

const KIB = 1024
const MIB = 1024 * KIB

function run(task: string, ...numbers: (number | string)[]): unknown {
  const script = fileURLToPath(new URL('sustained.mjs', import.meta.url))
  return JSON.parse(execFileSync(process.execPath, [script, task, ...numbers.map(String)], { encoding: 'utf8' }))
}

/** @param totalMiB how much goes through each side, for each row */
export const benchSustained = (totalMiB: number): SustainedRow[] => [
  ...[8 * MIB, MIB].flatMap((bytes) => run('stream', bytes, totalMiB) as SustainedRow[]),
  ...(run('stream', MIB, totalMiB, 'x25519') as SustainedRow[]),
]

export const benchPool = (threads: number, totalMiB: number): PoolRow[] => [
  ...[8 * MIB, MIB, 64 * KIB].map((bytes) => run('threads', bytes, totalMiB, threads) as PoolRow),
  run('rekey', 2000, threads) as PoolRow,
]

/** @param gib how long each stream is */
export const benchStreamMemory = (gib: number): StreamMemoryRow[] =>
  [0, 2].map((threads) => run('memory', 8 * MIB, gib * KIB, threads) as StreamMemoryRow)
