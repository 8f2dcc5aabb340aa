// What tests expect of the explorer's reports.
import { expect, it } from 'vitest'
import { numRuns } from '../fixtures.ts'
import type { Report } from './explorer.ts'
import { nameOf, type Scenario } from './scenario.ts'

/** How long a test may take. The machine may be busy, and SLOW=1 tries a lot. */
export const TIMEOUT = 1_800_000

/** Adds a test for each scenario that has one. */
export function testScenarios(scenarios: readonly Scenario[]): void {
  for (const scenario of scenarios) {
    const { test, bounds, reached, sentence } = scenario
    if (test === undefined) continue
    const { slow = test.runs, atLeast = test.runs, slowBounds, isExhaustive = false, ...seed } = test
    it(sentence, { timeout: TIMEOUT }, async () => {
      const isSlow = process.env['SLOW'] === '1' && slowBounds !== undefined
      const runs = numRuns(test.runs, slow)
      const report = await scenario.explore(isSlow ? { ...bounds, ...slowBounds, runs } : { ...bounds, ...seed, runs })
      show(scenario, report)
      expectSound(report, { runs: atLeast, reached })
      if (isExhaustive) expect(report.isExhaustive).toBe(true)
    })
  }
}

function show(scenario: Scenario, { runs, isExhaustive, outcomes, seconds, violations }: Report): void {
  const shown = [...outcomes].sort(([, a], [, b]) => b - a).map(([outcome, count]) => `${outcome} ${count}`)
  const bad = violations > 0 ? [`VIOLATIONS ${violations}`] : []
  const how = isExhaustive ? 'exhaustive, ' : ''
  console.log(`${nameOf(scenario)}: ${runs} runs, ${how}${seconds.toFixed(1)} s CPU: ${[...shown, ...bad].join(', ')}`)
}

const traceOf = ({ shortest }: Report) => (shortest ? [shortest.message, ...shortest.trace].join('\n  ') : '')

/** Expects a report without violations, that has tried enough. Each pattern must match an outcome that occurred. */
export function expectSound(report: Report, { runs, reached }: { runs: number; reached: readonly RegExp[] }): void {
  if (report.violations > 0)
    throw new Error(`${report.name}: ${report.violations} violations, such as\n${traceOf(report)}`)
  // Mutation tests make a tenth of the runs.
  if ('__stryker__' in globalThis) return
  expect(report.runs).toBeGreaterThanOrEqual(runs)
  const outcomes = [...report.outcomes.keys()]
  expect(reached.filter((pattern) => !outcomes.some((each) => pattern.test(each)))).toEqual([])
}

/** Expects that the explorer has found a fault which was built in. */
export function expectCaught(report: Report, message: RegExp): void {
  expect(report.shortest?.message ?? 'no violation').toMatch(message)
  expect(report.shortest?.trace.length).toBeGreaterThan(0)
}
