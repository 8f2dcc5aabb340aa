// npm run bench:report -- [--node PATH]… [--quick] [--envelopes N,…] [--gib N] [--out DIR] [--from report.json]
// Measures each named Node (by default this one), and writes report.json, report.html and throughput.svg to DIR.
// --out: DIR, by default `bench/results`.
// --from: draws the measurements of an earlier report again, without measuring.
// --envelopes: how many envelopes to rekey, one number for each runtime; by default 10,000.
// --gib: how long the streams are whose memory is measured, as in bench/run.ts
// A full run takes eight minutes for each runtime, plus the time to rekey the envelopes.
import { execFileSync, type ExecFileSyncOptionsWithStringEncoding } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Run } from './measured.ts'
import { page } from './page.ts'
import { costs, gains, growth, passwords, rekeying, streamMemory, sustained, throughput } from './plots.ts'

const { values } = parseArgs({
  options: {
    node: { type: 'string', multiple: true },
    quick: { type: 'boolean' },
    envelopes: { type: 'string' },
    gib: { type: 'string' },
    out: { type: 'string' },
    from: { type: 'string' },
  },
})
const envelopes = (values.envelopes ?? '10000').split(',')
if (!envelopes.every((count) => /^10{4,6}$/.test(count)))
  throw new RangeError('--envelopes must be 10000, 100000 or 1000000')
const bench = join(import.meta.dirname, '..')
const folder = values.out ?? join(bench, 'results')

mkdirSync(folder, { recursive: true })
const runs = values.from === undefined ? [] : (JSON.parse(readFileSync(values.from, 'utf8')) as Run[])
if (values.from === undefined) {
  for (const [index, node] of (values.node ?? [process.execPath]).entries()) {
    runs.push(measure(node, envelopes[index] ?? envelopes[0]!))
    // Written after each runtime, so that a later failure does not lose these measurements.
    writeFileSync(join(folder, 'report.json'), `${JSON.stringify(runs, undefined, 1)}\n`)
  }
}

const figures = [
  await throughput(runs, 'seal'),
  await throughput(runs, 'open'),
  await costs(runs),
  await rekeying(runs),
  await passwords(runs),
  await growth(runs),
  await sustained(runs),
  await gains(runs),
  await streamMemory(runs),
]
writeFileSync(join(folder, 'report.html'), page(runs, figures))
writeFileSync(join(folder, 'throughput.svg'), (await throughput(runs.slice(-1), 'seal')).svg)
console.log(`report.html, report.json and throughput.svg are in ${folder}`)

function measure(node: string, envelopes: string): Run {
  const run = (script: string, ...args: string[]): unknown => {
    console.error(`${node}: ${script}`)
    const quick = values.quick === true ? ['--quick'] : []
    const command = ['--import', 'tsx', join(bench, script), '--json', ...quick, ...args]
    const options: ExecFileSyncOptionsWithStringEncoding = {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      maxBuffer: 2 ** 26,
    }
    return JSON.parse(execFileSync(node, command, options))
  }
  const sizes = Array.from({ length: 8 }, (_, index) => 4 * 4 ** index).join()
  return {
    results: run(
      'run.ts',
      '--envelopes',
      envelopes,
      ...(values.gib === undefined ? [] : ['--gib', values.gib]),
    ) as Run['results'],
    peers: run('peers/run.ts', '--sizes', sizes) as Run['peers'],
  }
}
