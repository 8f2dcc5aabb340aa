// The plots of a report. Each is a Vega-Lite specification, rendered as SVG.
import * as vega from 'vega'
import * as vegaLite from 'vega-lite'
import { PARTS } from '../costs.ts'
import type { Run } from './measured.ts'

export interface Figure {
  readonly name: string
  readonly title: string
  /** What the plot shows, in one or two sentences of plain text. */
  readonly caption: string
  readonly svg: string
}

const OURS = { hybrid: '#0b5fa5', x25519: '#58a6d6', vault: '#3a9d5d', client: '#8a5fbf' }
const LIMIT = '#222222'
/** The lines of the throughput plot in the order of the legend, with their colours. */
const LINES: readonly [series: string, colour: string][] = [
  ['limit: bare primitives', LIMIT],
  ['keystrata hybrid', OURS.hybrid],
  ['keystrata x25519', OURS.x25519],
  ['libsodium secretstream', '#b8860b'],
  ['HPKE (@hpke/core)', '#e08214'],
  ['libsodium sealed box', '#c7a252'],
  ['openpgp.js', '#c0392b'],
  ['age (typage)', '#8c8c8c'],
  ['age hybrid', '#5c5c5c'],
]
/** Older releases have lighter colours. */
const RUNTIME = { field: 'runtime', scale: { range: ['#9ecae9', '#3f8fcb', '#06345c'] }, legend: { title: null } }
const LINE = { type: 'line', point: { size: 28 }, strokeWidth: 2 }
const FONT = 'system-ui, "Segoe UI", Helvetica, Arial, sans-serif'

export async function throughput(runs: readonly Run[], work: 'seal' | 'open'): Promise<Figure> {
  const values = runs.flatMap(({ results, peers }) => {
    const runtime = runtimeOf(results)
    const limit = (results.sizes ?? []).filter((row) => row.model === 'hybrid scoped' && row.work === work)
    return [
      ...limit.map(({ bytes, bareMbPerSecond }) => ({ runtime, bytes, series: LINES[0]![0], speed: bareMbPerSecond })),
      ...peers.rows
        .filter(({ peer }) => peer !== 'keystrata hybrid off')
        .map((row) => ({ runtime, bytes: row.bytes, series: row.peer.replace(' scoped', ''), speed: row[work] })),
    ]
  })
  const svg = await render({
    data: { values },
    facet: { column: { field: 'runtime', title: null } },
    spec: {
      width: runs.length === 1 ? 620 : 330,
      height: 320,
      mark: LINE,
      encoding: {
        x: sizeAxis('bytes'),
        y: logAxis('speed', 'MB/s, one thread'),
        color: {
          field: 'series',
          scale: { domain: LINES.map(([series]) => series), range: LINES.map(([, colour]) => colour) },
          legend: { title: null, symbolType: 'stroke', symbolStrokeWidth: 3 },
        },
        strokeDash: {
          condition: { test: `datum.series === '${LINES[0]![0]}'`, value: [5, 4] },
          value: [1, 0],
        },
      },
    },
  })
  return {
    name: `throughput-${work}`,
    title: work === 'seal' ? 'Sealing a block to a public key' : 'Opening a block',
    caption:
      'By size of the content; higher is better. The limit is the speed of the primitives of one hybrid block, run one after ' +
      'the other on this runtime: SHA-256, AES-256-GCM, X25519 and ML-KEM-1024. Above 8 MiB, keystrata seals several blocks, as a ' +
      'backup tool would. Of the other libraries, only age hybrid has a post-quantum key agreement. secretstream has none.',
    svg,
  }
}

export async function costs(runs: readonly Run[]): Promise<Figure> {
  const values = runs.flatMap(({ results }) =>
    (results.costs ?? []).map((row) => ({
      ...row,
      runtime: runtimeOf(results),
      row: `${row.work} ${sizeName(row.bytes)}`,
    })),
  )
  const named = (wanted: 'seal' | 'open') => values.filter(({ work }) => work === wanted).map(({ row }) => row)
  const rows = [...new Set([...named('seal'), ...named('open')])]
  const svg = await render({
    data: { values },
    facet: { field: 'row', type: 'nominal', title: null, sort: rows },
    columns: 3,
    resolve: { scale: { x: 'independent' } },
    spec: {
      width: 300,
      height: 26 * runs.length,
      mark: 'bar',
      encoding: {
        y: { field: 'runtime', type: 'nominal', title: null },
        x: {
          field: 'microseconds',
          type: 'quantitative',
          title: 'µs per block',
          stack: 'zero',
          axis: { tickCount: 5 },
        },
        color: {
          field: 'part',
          scale: { domain: PARTS, range: ['#3a9d5d', '#0b5fa5', '#e0a030', '#b3541e', '#c9ccd1'] },
          legend: { title: null },
        },
        order: { field: 'order', type: 'quantitative' },
      },
    },
    transform: [{ calculate: `indexof(${JSON.stringify(PARTS)}, datum.part)`, as: 'order' }],
  })
  return {
    name: 'costs',
    title: 'Where the time of one hybrid block goes',
    caption:
      'The rest is the total minus the primitives: deriving the keys and the label, writing and checking the envelope, and ' +
      'allocating memory for the copy and the result, which the bare primitives reuse.',
    svg,
  }
}

export async function rekeying(runs: readonly Run[]): Promise<Figure> {
  const values = runs.flatMap(({ results }) =>
    (results.envelopes ?? []).map((row) => ({ ...row, runtime: runtimeOf(results) })),
  )
  const encoding = (field: string, title: string) => ({
    x: {
      field: 'envelopes',
      type: 'quantitative',
      scale: { type: 'log' },
      title: 'envelopes',
      axis: { format: '~s', tickCount: 4 },
    },
    y: { field, type: 'quantitative', title, scale: { zero: true } },
    color: RUNTIME,
  })
  const svg = await render({
    data: { values },
    hconcat: [
      { width: 380, height: 220, mark: LINE, encoding: encoding('perSecond', 'envelopes per second') },
      { width: 380, height: 220, mark: LINE, encoding: encoding('peak', 'peak MiB since the start') },
    ],
  })
  return {
    name: 'rekeying',
    title: 'Rekeying a stream of hybrid envelopes, one thread',
    caption:
      'The streams ran one after the other in one process, so a later stream starts with memory that an earlier one used and ' +
      'the garbage collector has not freed. The table below shows the peak during the first tenth of each stream.',
    svg,
  }
}

export async function passwords(runs: readonly Run[]): Promise<Figure> {
  const values = runs.flatMap(({ results }) =>
    (results.kdf ?? []).map(({ kdf, by, milliseconds }) => ({
      kdf,
      milliseconds,
      by: `${runtimeOf(results)}, ${by}`,
    })),
  )
  const svg = await render({
    data: { values },
    facet: { field: 'kdf', type: 'nominal', title: null },
    columns: 3,
    resolve: { scale: { x: 'independent', y: 'independent' } },
    spec: {
      width: 230,
      height: { step: 24 },
      layer: [
        { mark: { type: 'bar', color: OURS.hybrid } },
        { mark: { type: 'text', align: 'left', dx: 4 }, encoding: { text: { field: 'milliseconds', format: ',' } } },
      ],
      encoding: {
        y: { field: 'by', type: 'nominal', title: null, axis: { labelLimit: 260 } },
        x: { field: 'milliseconds', type: 'quantitative', title: 'ms', axis: { tickCount: 4 }, scale: { nice: true } },
      },
    },
  })
  return {
    name: 'passwords',
    title: 'From a password to a key',
    caption:
      'One guess costs as much. Argon2id is native since Node 24.7; elsewhere the option argon2 can supply a native one.',
    svg,
  }
}

export async function growth(runs: readonly Run[]): Promise<Figure> {
  const newest = runs.at(-1)!.results
  const sizes = (newest.sizes ?? [])
    .filter(({ work }) => work === 'seal')
    .map(({ bytes, model, microseconds }) => ({ bytes, model, milliseconds: microseconds / 1000 }))
  const recipients = runs.flatMap(({ results }) =>
    (results.recipients ?? []).map(({ shares, microseconds }) => ({
      runtime: runtimeOf(results),
      shares,
      milliseconds: microseconds / 1000,
    })),
  )
  const svg = await render({
    hconcat: [
      {
        data: { values: sizes },
        title: `sealing by size of the block, ${runtimeOf(newest)}`,
        width: 380,
        height: 240,
        mark: LINE,
        encoding: {
          x: sizeAxis('bytes'),
          y: logAxis('milliseconds', 'ms'),
          color: {
            field: 'model',
            scale: { domain: ['hybrid scoped', 'vault', 'client'], range: [OURS.hybrid, OURS.vault, OURS.client] },
            legend: { title: null },
          },
        },
      },
      {
        data: { values: recipients },
        title: 'sealing 4 KiB for many shares',
        width: 380,
        height: 240,
        mark: LINE,
        encoding: {
          x: { field: 'shares', type: 'quantitative', title: 'shares in addition to the owner' },
          y: { field: 'milliseconds', type: 'quantitative', title: 'ms' },
          color: RUNTIME,
        },
      },
    ],
    resolve: { scale: { color: 'independent' } },
  })
  return {
    name: 'growth',
    title: 'How the cost grows',
    caption:
      'Left: with the size of a block. Both axes are logarithmic, so a slope of 1 is linear. Below 64 KiB, the fixed cost of a ' +
      'block dominates. Right: with the number of shares that a block is sealed for. Each share adds one envelope.',
    svg,
  }
}

export async function gains(runs: readonly Run[]): Promise<Figure> {
  const values = runs.flatMap(({ results }) =>
    (results.pool ?? []).map(({ work, bytes, gain }) => ({
      runtime: runtimeOf(results),
      what: bytes === undefined ? work : `${work} ${sizeName(bytes)}`,
      gain,
    })),
  )
  const svg = await render({
    data: { values },
    width: { step: 28 },
    height: 220,
    mark: 'bar',
    encoding: {
      x: { field: 'what', type: 'nominal', title: null, sort: null, axis: { labelAngle: 0 } },
      xOffset: { field: 'runtime' },
      y: { field: 'gain', type: 'quantitative', title: 'speedup over one thread' },
      color: RUNTIME,
    },
  })
  return {
    name: 'gains',
    title: `A pool of ${Math.max(...runs.map(({ results }) => results.pool?.[0]?.threads ?? 0))} threads compared with one thread`,
    caption: 'Streams of blocks: buffers are moved to the threads and back. Envelopes are rekeyed in batches.',
    svg,
  }
}

export async function sustained(runs: readonly Run[]): Promise<Figure> {
  const rows = runs.flatMap(({ results }) =>
    (results.sustained ?? []).map(({ work, bytes, encryption, ratio, collections }) => ({
      runtime: runtimeOf(results),
      what: `${work} ${sizeName(bytes)}${encryption === 'hybrid' ? '' : `, ${encryption}`}`,
      ratio,
      collections,
    })),
  )
  const bars = (field: string, title: string) => ({
    width: { step: 26 },
    height: 220,
    mark: 'bar',
    encoding: {
      x: { field: 'what', type: 'nominal', title: null, sort: null, axis: { labelAngle: -30 } },
      xOffset: { field: 'runtime' },
      y: { field, type: 'quantitative', title },
      color: RUNTIME,
    },
  })
  const svg = await render({
    data: { values: rows },
    hconcat: [bars('ratio', 'bare time divided by ours'), bars('collections', '% of the time in collections')],
  })
  return {
    name: 'sustained',
    title: 'Long streams compared with the bare primitives',
    caption:
      'sealInto and openFrom, block after block, beside SHA-256 and AES-256-GCM alone, which write into memory that is ' +
      'reused. 1 is as fast as the bare primitives. Key agreements are in our time and not in the bare one.',
    svg,
  }
}

export async function streamMemory(runs: readonly Run[]): Promise<Figure> {
  const rows = runs.flatMap(({ results }) =>
    (results.stream ?? []).flatMap(({ threads, totalGiB, grownMiBInEachTenth, allowedMiB }) =>
      grownMiBInEachTenth.map((grown, index) => ({
        line: `${runtimeOf(results)}, ${threads === 0 ? 'no pool' : `${threads} threads`}`,
        read: ((index + 1) * totalGiB) / grownMiBInEachTenth.length,
        grown,
        allowedMiB,
      })),
    ),
  )
  const x = { field: 'read', type: 'quantitative', title: 'GiB of the stream' }
  const svg = await render({
    data: { values: rows },
    width: 620,
    height: 240,
    layer: [
      {
        mark: LINE,
        encoding: {
          x,
          y: { field: 'grown', type: 'quantitative', title: 'MiB more than before the stream' },
          color: { field: 'line', legend: { title: null } },
        },
      },
      {
        mark: { type: 'rule', strokeDash: [5, 4], color: LIMIT },
        encoding: { y: { field: 'allowedMiB', type: 'quantitative', aggregate: 'max' } },
      },
    ],
  })
  return {
    name: 'memory',
    title: 'Memory of one long stream',
    caption:
      'The most that the process grew in each tenth of a stream of 8 MiB blocks, four of them ahead. The dashed line is ' +
      'the goal with two threads: the blocks ahead, two for each thread, and 64 MiB.',
    svg,
  }
}

export function runtimeOf({ machine }: Run['results']): string {
  return `Node ${machine.node.slice(1).split('.').slice(0, 2).join('.')}`
}

export function sizeName(bytes: number): string {
  return bytes < 2 ** 20 ? `${bytes / 1024} KiB` : `${bytes / 2 ** 20} MiB`
}

function logAxis(field: string, title: string): object {
  return { field, type: 'quantitative', scale: { type: 'log' }, title, axis: { tickCount: 5 } }
}

function sizeAxis(field: string): object {
  const label = "datum.value < 1048576 ? datum.value / 1024 + ' KiB' : datum.value / 1048576 + ' MiB'"
  const values = Array.from({ length: 8 }, (_, index) => 4096 * 4 ** index)
  return {
    field,
    type: 'quantitative',
    scale: { type: 'log', base: 2, domain: [4096, 2 ** 26] },
    title: 'block',
    axis: { labelExpr: label, values, labelAngle: -45 },
  }
}

async function render(spec: object): Promise<string> {
  const config = {
    background: 'white',
    font: FONT,
    view: { stroke: '#dddddd' },
    axis: { gridColor: '#eeeeee', labelFontSize: 11, titleFontSize: 12, titleFontWeight: 'normal' },
    legend: { labelFontSize: 12, labelLimit: 260 },
    header: { labelFontSize: 13, labelFontWeight: 'bold' },
  }
  const { spec: compiled } = vegaLite.compile({ ...spec, padding: 12, config } as unknown as vegaLite.TopLevelSpec)
  const view = new vega.View(vega.parse(compiled), { renderer: 'none' })
  const svg = await view.toSVG()
  view.finalize()
  return svg
}
