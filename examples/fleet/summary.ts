// The figures at the end of a run.
import type { Target } from './kills.ts'
import type { Settings } from './place.ts'
import type { Results } from './results.ts'

export interface Ended {
  readonly results: Results
  readonly killed: readonly Target[]
  readonly seconds: number
}

export function printSummary(
  { blocks, workers }: Pick<Settings, 'blocks'> & { workers: number },
  { results, killed, seconds }: Ended,
): void {
  const { jobs, rekeyed, current, retries, repeated, headsPerSecond, overhead, memory } = results
  const number = (value: number) => value.toLocaleString('en', { maximumFractionDigits: 1 })
  const MB = (bytes: number) => Math.round(bytes / 1e6)
  const kills = killed.length === 0 ? 'none' : `${killed.length} (${killed.join(', ')})`
  const rows = {
    blocks: number(blocks),
    'of them rekeyed by jobs that ended': `${number(rekeyed)}, and ${number(current)} by jobs that were killed or lost`,
    jobs: `${number(jobs)}, ${number(retries)} started again, ${number(repeated)} repeated by the check`,
    'kills survived': kills,
    time: `${number(seconds)} s with ${workers} workers, ${number(headsPerSecond)} heads per second`,
    'between two jobs': `${number(100 * overhead)} % of the time`,
    'memory of the workers': memory.map(({ begin, end }) => `${MB(begin)} → ${MB(end)} MB`).join(', '),
  }
  console.log()
  for (const [name, value] of Object.entries(rows)) console.log(`  ${name.padEnd(36)}${value}`)
  console.log('\nEvery block is under the new key pair, and none is lost.')
}
