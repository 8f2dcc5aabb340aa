// What a soak prints at its end, as Markdown.
import { type Growth, growthOf, type Sample } from './figures.ts'
import type { Options } from './options.ts'
import type { Tally } from './tally.ts'
import type { Figures } from './tasks.ts'

export interface Result {
  readonly options: Options
  readonly minutes: number
  readonly tally: Tally
  readonly records: number
  readonly blocks: number
  readonly violations: readonly string[]
  /** The samples of each process that is never killed. */
  readonly samples: ReadonlyMap<string, readonly Sample[]>
  readonly folder: string
}

const shown = (figure: keyof Figures, value: number): string =>
  figure === 'heap' || figure === 'rss' ? `${(value / 1_048_576).toFixed(1)} MiB` : value.toFixed(1)

/** Returns what grows, of the processes that are never killed. */
export function growing(samples: Result['samples']): string[] {
  return [...samples].flatMap(([name, each]) =>
    (growthOf(each) ?? [])
      .filter(({ grows }) => grows)
      .map(
        ({ figure, growth, bound }) =>
          `${name}: ${figure} grew by ${shown(figure, growth)} (bound ${shown(figure, bound)})`,
      ),
  )
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')

const counts = (title: string, map: ReadonlyMap<string, number>): string =>
  table(
    [title, 'count'],
    [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([what, count]) => [what.replaceAll('|', '/'), String(count)]),
  )

function figures(name: string, samples: readonly Sample[]): string[][] {
  const growths = growthOf(samples)
  if (growths === undefined) return [[name, `${samples.length} samples`, '', '', '', '', 'too few to judge']]
  return growths.map(({ figure, first, mean, last, growth, bound, grows }: Growth) => [
    name,
    figure,
    ...[first, mean, last, growth, bound].map((value) => shown(figure, value)),
    grows ? '**grows**' : 'flat',
  ])
}

export function reportOf(result: Result): string {
  const { options, minutes, tally, violations, samples } = result
  const sum = (map: ReadonlyMap<string, number>) => [...map.values()].reduce((total, each) => total + each, 0)
  const facts: [string, string][] = [
    ['minutes', minutes.toFixed(1)],
    ['seed', String(options.seed)],
    ['workers, pace', `${options.workers}, ${options.pace} ms`],
    ...(options.sabotage === undefined ? [] : ([['sabotage', options.sabotage]] as [string, string][])),
    ['operations', String(tally.total)],
    ['records and files acknowledged', `${result.records} and ${result.blocks}`],
    ['faults', String(sum(tally.faults))],
    ['processes killed', String(tally.kills)],
    ['audits', `${tally.audits}, of ${tally.audited} logs`],
    ['violations', String(violations.length)],
  ]
  const ops = [...tally.ops]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([op, { ok, refused, lost, killed, ms }]) => [
      ...[op, String(ok), String(refused), String(lost), String(killed)],
      String(Math.round(ms / Math.max(1, ok + refused + lost))),
    ])
  return [
    '# Soak',
    table(['what', 'result'], facts),
    table(['operation', 'ok', 'refused', 'lost', 'killed', 'mean ms'], ops),
    counts('fault', tally.faults),
    counts('error seen', tally.errors),
    table(
      ['process', 'figure', 'first of second half', 'mean', 'last', 'growth', 'bound', 'verdict'],
      [...samples].flatMap(([name, each]) => figures(name, each)),
    ),
    violations.length === 0
      ? 'Nothing was lost, nothing was there twice, and nothing opened that must not.'
      : `**${violations.length} violations.** The journals are in ${result.folder}.\n\n${violations
          .slice(0, 50)
          .map((each) => `- ${each}`)
          .join('\n')}`,
  ].join('\n\n')
}
