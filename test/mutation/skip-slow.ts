// The first run, without a mutant, notes what each test takes; the runs with one leave out the slow: a mutant that only they would
// notice counts as survived.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeEach, inject } from 'vitest'

const SLOW_MS = 250
const file = 'durations.json'
const durations: Record<string, number> = existsSync(file)
  ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, number>)
  : {}
const isMutant = (inject as (key: string) => unknown)('mode') === 'mutant'

beforeEach(({ task, skip, onTestFinished }) => {
  if (isMutant && (durations[task.id] ?? 0) > SLOW_MS) skip()
  const start = performance.now()
  onTestFinished(() => {
    durations[task.id] = performance.now() - start
  })
})

afterAll(() => {
  if (!isMutant) writeFileSync(file, JSON.stringify(durations))
})
