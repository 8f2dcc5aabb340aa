// npm run models -- [--minutes N] [--only log,keyset] [--seed N]: explores all protocols, each for the same time. Of each
// it first tries every order within the bounds of its scenarios, and then random orders with more faults and late reads.
// It prints what was covered, and a table of that at the end. If a rule is broken, it prints the shortest trace and a
// command that repeats it, and ends with code 1.
//
// npm run models -- --repeat 'log: everything' --seed N, or --choices 0.1.2: repeats one run, and prints its trace.
import { parseArgs } from 'node:util'
import type { Bounds, Report } from './explorer.ts'
import { installRandomness } from './randomness.ts'
import type { Scenario } from './scenario.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    only: { type: 'string' },
    seed: { type: 'string' },
    repeat: { type: 'string' },
    choices: { type: 'string' },
  },
})

installRandomness()
const { seedOfRun } = await import('./explorer.ts')
const { PROTOCOLS, SCENARIOS } = await import('./protocols.ts')
const { harderOf, nameOf } = await import('./scenario.ts')

const minutes = Number(values.minutes)
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed)
const only = values.only?.split(',') ?? PROTOCOLS
const repeated = SCENARIOS.find((each) => nameOf(each) === values.repeat)
const isUsable =
  minutes > 0 &&
  Number.isSafeInteger(seed) &&
  only.every((each) => PROTOCOLS.includes(each)) &&
  (values.repeat === undefined || repeated !== undefined)
if (!isUsable) {
  console.error('usage: npm run models -- [--minutes N] [--only PROTOCOL,PROTOCOL] [--seed N]')
  console.error("       npm run models -- --repeat 'PROTOCOL: SCENARIO' (--seed N | --choices N.N.N)")
  console.error(`protocols: ${PROTOCOLS.join(', ')}`)
  process.exit(2)
}

/** How many violations of one scenario are enough to look for a short trace. */
const ENOUGH = 3

function boundsText({ faults = 0, kinds, late }: Bounds): string {
  const lateReads = late === undefined ? 'none late' : `${late.reads} late by ${late.back}`
  return `${faults} faults${kinds === undefined ? '' : ` (${kinds.join(', ')})`}, reads: ${lateReads}`
}

const counted = (counts: ReadonlyMap<string, number>): string =>
  [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')

function print(scenario: Scenario, how: string, bounds: Bounds, report: Report): void {
  const { runs, outcomes, faults, seconds, shortest, violations } = report
  console.log(`\n${nameOf(scenario)} | ${how} | ${boundsText(bounds)} | ${runs} runs, ${seconds.toFixed(0)} s`)
  console.log(`  outcomes: ${counted(outcomes)}`)
  if (faults.size > 0) console.log(`  faults: ${counted(faults)}`)
  if (shortest === undefined) return
  const repeats = shortest.seed === undefined ? `--choices ${shortest.choices?.join('.')}` : `--seed ${shortest.seed}`
  console.log(`  VIOLATIONS: ${violations}. ${shortest.message}\n    ${shortest.trace.join('\n    ')}`)
  console.log(`  repeat it: npm run models -- --repeat '${nameOf(scenario)}' ${repeats}`)
}

/** What was explored of one protocol. */
interface Row {
  scenarios: number
  exhaustive: number
  runs: number
  readonly outcomes: Set<string>
  faults: number
  seconds: number
  violations: number
}

const rows: Map<string, Row> = new Map()

function count({ protocol }: Scenario, isRandom: boolean, report: Report): void {
  const row = rows.get(protocol) ?? {
    scenarios: SCENARIOS.filter((each) => each.protocol === protocol).length,
    exhaustive: 0,
    runs: 0,
    outcomes: new Set(),
    faults: 0,
    seconds: 0,
    violations: 0,
  }
  rows.set(protocol, row)
  if (!isRandom && report.isExhaustive) row.exhaustive++
  row.runs += report.runs
  for (const outcome of report.outcomes.keys()) row.outcomes.add(outcome)
  for (const times of report.faults.values()) row.faults += times
  row.seconds += report.seconds
  row.violations += report.violations
}

const isBroken = (): boolean => [...rows.values()].some(({ violations }) => violations > 0)

function printTable(): void {
  const head = ['protocol', 'scenarios', 'exhaustive', 'runs', 'distinct outcomes', 'faults', 'seconds', 'violations']
  const lines = [...rows].map(([protocol, { outcomes, seconds, ...row }]) =>
    [
      protocol,
      row.scenarios,
      row.exhaustive,
      row.runs,
      outcomes.size,
      row.faults,
      Math.round(seconds),
      row.violations,
    ].map(String),
  )
  const table = [head, head.map(() => '---'), ...lines]
  console.log(`\n${table.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}`)
}

async function play(scenario: Scenario, isRandom: boolean, more: Partial<Bounds>): Promise<void> {
  const faults = isRandom ? harderOf(scenario) : scenario.bounds
  const bounds: Bounds = { ...faults, runs: Infinity, violations: ENOUGH, ...more }
  const report = await scenario.explore(bounds)
  count(scenario, isRandom, report)
  const orders = report.isExhaustive ? 'EXHAUSTIVE' : 'every order, cut off'
  print(scenario, isRandom ? 'random' : orders, bounds, report)
}

/** Plays the scenarios of one protocol in turn, and divides the time that is left by those that are left. */
async function playAll(scenarios: readonly Scenario[], isRandom: boolean, until: number, turn: number): Promise<void> {
  for (const [index, scenario] of scenarios.entries()) {
    const seconds = (until - performance.now()) / 1000 / (scenarios.length - index)
    const own = isRandom ? { seed: seedOfRun(seed, 1 + 100 * turn + index) } : {}
    await play(scenario, isRandom, { seconds: Math.max(seconds, 1), ...own })
  }
}

if (repeated !== undefined) {
  const choices = values.choices
    ?.split('.')
    .filter((text) => text !== '')
    .map(Number)
  await play(repeated, choices === undefined, choices === undefined ? { seed, runs: 1 } : { choices, runs: 1 })
} else {
  console.log(`seed ${seed}, ${minutes} minutes: ${only.join(', ')}`)
  const end = performance.now() + minutes * 60_000
  for (const [turn, protocol] of only.entries()) {
    const scenarios = SCENARIOS.filter((each) => each.protocol === protocol)
    const start = performance.now()
    const share = (end - start) / (only.length - turn)
    await playAll(
      scenarios.filter(({ isRandom }) => isRandom !== true),
      false,
      start + share * 0.4,
      turn,
    )
    await playAll(scenarios, true, start + share, turn)
  }
  printTable()
  console.log(`\nSeed ${seed}. ${isBroken() ? 'A RULE IS BROKEN.' : 'No violation.'}`)
}
if (isBroken()) process.exitCode = 1
