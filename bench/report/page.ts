// Builds one HTML page with the plots, their tables, the machines and the raw measurements.
import { exponent } from '../growth.ts'
import type { Run } from './measured.ts'
import { type Figure, runtimeOf, sizeName } from './plots.ts'

const STYLE = `
body { font: 16px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; background: #fff }
h1 { margin-bottom: 0 } figure { margin: 2.5rem 0 } figure svg { max-width: 100%; height: auto } figcaption { max-width: 46rem; color: #57606a }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; margin: 1rem 0 }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #e4e7eb } td.n, th.n { text-align: right }
details { margin: 1rem 0 } summary { cursor: pointer }
`

export function page(runs: readonly Run[], figures: readonly Figure[]): string {
  const [{ results: first }] = runs as [Run]
  const { commit, date, cpu, cores, memoryGiB, system } = first.machine
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>keystrata ${escape(commit)}: benchmarks</title>
<style>${STYLE}</style>
</head>
<body>
<h1>keystrata: benchmarks</h1>
<p>Commit ${escape(commit)}, ${escape(date)}; ${cores} × ${escape(cpu)}, ${memoryGiB} GiB, ${escape(system)}. The machine is shared with other work, so compare ratios rather than absolute times.
All figures are medians. keystrata and the bare primitives took turns in one process; keystrata and the other libraries took turns in a second process. Each sealed result was opened and compared before it was timed.
Password hashes and streams of envelopes did not take turns: they ran one after the other.</p>
${table(
  ['runtime', 'OpenSSL', 'ML-KEM-1024 by', 'Argon2id by', 'rounds'],
  runs.map(({ results: { machine, rounds } }) => [
    machine.node,
    machine.openssl,
    machine.providers['ML-KEM-1024'] ?? '',
    machine.providers['Argon2id'] ?? '',
    rounds,
  ]),
)}
${figures
  .map(
    ({ name, title, caption, svg }) =>
      `<figure id="${name}">\n<h2>${escape(title)}</h2>\n${svg}\n<figcaption>${escape(caption)}</figcaption>\n</figure>`,
  )
  .join('\n')}
<h2>Compared with the bare primitives</h2>
<p>Ratio: the time of the same primitives, run one after the other in buffers that are already allocated, divided by ours.</p>
${beside(runs)}
<h2>How the cost grows</h2>
<p>The power of n with which the cost grows. 1 is linear.</p>
${powers(runs)}
<h2>Streams of envelopes</h2>
${table(
  ['runtime', 'envelopes', 'per second', 'peak MiB since the start', 'peak MiB, first tenth'],
  runs.flatMap(({ results }) =>
    (results.envelopes ?? []).map(({ envelopes, perSecond, peak, peakOfFirstTenth }) => [
      runtimeOf(results),
      envelopes,
      perSecond,
      peak,
      peakOfFirstTenth,
    ]),
  ),
)}
<h2>Importing and bundling</h2>
${table(
  ['runtime', ...(first.package?.imports ?? []).map(({ entry }) => `import ${entry}, ms`)],
  runs.map(({ results }) => [runtimeOf(results), ...(results.package?.imports ?? []).map((row) => row.milliseconds)]),
)}
${table(
  ['bundled for a browser', 'bytes, gzipped', 'budget'],
  (first.package?.sizes ?? []).map(({ what, bytes, budget }) => [what, bytes, budget]),
)}
<details><summary>The measurements, as JSON</summary>
<pre id="json">${escape(JSON.stringify(runs, undefined, 1))}</pre>
</details>
</body>
</html>
`
}

/** Builds the table with one row for each size, model and work, and two columns for each runtime. */
function beside(runs: readonly Run[]): string {
  const rows = (runs[0]?.results.blocks ?? []).map(({ bytes, model, work }) => [
    sizeName(bytes),
    model,
    work,
    ...runs.flatMap(({ results }) => {
      const row = results.blocks?.find((each) => each.bytes === bytes && each.model === model && each.work === work)
      return row === undefined ? ['', ''] : [row.mbPerSecond, row.ratio.toFixed(2)]
    }),
  ])
  const envelopes = (runs[0]?.results.rekey ?? []).map(({ work, encryption }) => [
    'envelope',
    encryption,
    work,
    ...runs.flatMap(({ results }) => {
      const row = results.rekey?.find((each) => each.work === work && each.encryption === encryption)
      return row === undefined ? ['', ''] : [`${row.perSecond}/s`, row.ratio.toFixed(2)]
    }),
  ])
  const heads = runs.flatMap(({ results }) => [`${runtimeOf(results)}, MB/s`, 'ratio'])
  return table(['block', 'model', 'work', ...heads], [...rows, ...envelopes])
}

function powers(runs: readonly Run[]): string {
  const rows = runs.flatMap(({ results }): Cell[][] => {
    const runtime = runtimeOf(results)
    const bySize = ['hybrid scoped', 'vault', 'client'].flatMap((model) =>
      (['seal', 'open'] as const).map((work) => {
        const points = (results.sizes ?? []).filter((row) => row.model === model && row.work === work)
        const power = exponent(
          points.map(({ bytes, microseconds }) => ({ n: bytes, cost: microseconds })),
          2 ** 20,
          2 ** 26,
        )
        return [runtime, `${work} ${model}, 1 MiB to 64 MiB`, power.toFixed(2)]
      }),
    )
    const shares = (results.recipients ?? []).map(({ shares: n, microseconds }) => ({ n, cost: microseconds }))
    const envelopes = (results.envelopes ?? []).map(({ envelopes: n, perSecond }) => ({ n, cost: n / perSecond }))
    const most = envelopes.at(-1)?.n ?? 0
    return [
      ...bySize,
      [runtime, 'seal for 1 to 64 shares', exponent(shares, 1, 64).toFixed(2)],
      [runtime, `rekey 1,000 to ${most.toLocaleString('en')} envelopes`, exponent(envelopes, 1000, most).toFixed(2)],
    ]
  })
  return table(['runtime', 'work', 'power'], rows)
}

type Cell = string | number

function table(heads: readonly string[], rows: readonly Cell[][]): string {
  const isNumber = heads.map((_, column) => rows.every((row) => /^[\d.]+(\/s)?$|^$/.test(String(row[column] ?? ''))))
  const cells = (tag: 'th' | 'td', row: readonly Cell[]) =>
    row
      .map(
        (cell, column) =>
          `<${tag}${isNumber[column] ? ' class="n"' : ''}>${escape(cell.toLocaleString('en'))}</${tag}>`,
      )
      .join('')
  return `<table>\n<tr>${cells('th', heads)}</tr>\n${rows.map((row) => `<tr>${cells('td', row)}</tr>`).join('\n')}\n</table>`
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
