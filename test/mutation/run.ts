// npm run mutation [-- --room fleet] [--retry] [--totals] [other options of stryker run]
//
// Runs the mutants of the whole source, or of one room, and prints a table of all rooms. The results of all runs
// accumulate in coverage/mutation-incremental.json: later runs only run mutants that are new, or that new tests reach.
// A room's later runs leave out tests that did not reach it, and tests that are too slow. --retry runs mutants again
// that no test noticed, against four times as many tests (runner.mjs). Stronger tests of the same name may notice them
// now, too. --totals prints only the table. To begin anew, delete the coverage folder.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import config, { NOT_MUTATED } from './stryker.config.mjs'

const root = join(import.meta.dirname, '../..')
const RESULTS = join(root, config.incrementalFile)
const TIMES = join(root, 'coverage/mutation-times.json')
/** The tests of the last run, with their processor time. */
const TESTS = join(root, 'coverage/mutation-tests.json')
const PLAN = join(root, 'coverage/mutation-plan.json')
/** Tests that took longer did not run against mutants (runner.mjs). They need not run to find what they reach. */
const SLOWEST_MS = 2000
const ALL_ROOMS = 'all'

interface Mutant {
  readonly status: string
  readonly statusReason?: string
  readonly coveredBy?: readonly string[]
}

interface Results {
  readonly files: Record<string, { readonly source: string; mutants: Mutant[] }>
  readonly testFiles?: Record<string, { readonly source?: string; readonly tests: readonly { readonly id: string }[] }>
}

interface TestTime {
  readonly id: string
  readonly name: string
  readonly processor: number
  readonly failure?: string
}

const read = <T>(path: string, otherwise: T): T =>
  existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as T) : otherwise
const textOf = (file: string): string | undefined =>
  existsSync(join(root, file)) ? readFileSync(join(root, file), 'utf8') : undefined
const readResults = (): Results => read(RESULTS, { files: {} })

const sources: readonly string[] = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .map((file) => `src/${file.replaceAll(sep, '/')}`)
  .filter((file) => file.endsWith('.ts') && !NOT_MUTATED.includes(file))
  .sort()
const roomOf = (file: string): string => relative('src', dirname(file))
const rooms: readonly string[] = [...new Set(sources.map(roomOf))]

const isDetected = ({ status }: Mutant): boolean => status === 'Killed' || status === 'Timeout'
const isUndetected = ({ status }: Mutant): boolean => status === 'Survived' || status === 'NoCoverage'

/** Removes the results of undetected mutants, so that Stryker runs them again. */
function forgetUndetected(room: string | undefined): void {
  const results = readResults()
  for (const [file, result] of Object.entries(results.files))
    if (room === undefined || roomOf(file) === room)
      result.mutants = result.mutants.filter((each) => !isUndetected(each))
  if (existsSync(RESULTS)) writeFileSync(RESULTS, JSON.stringify(results))
}

/** Returns the test files that reached no mutant of a room in its last run, and have not changed since. */
function unneededFor(room: string): string[] {
  const { files, testFiles = {} } = readResults()
  const own = Object.entries(files).filter(([file]) => roomOf(file) === room)
  if (own.length < sources.filter((file) => roomOf(file) === room).length) return []
  const reaching = new Set(own.flatMap(([, { mutants }]) => mutants.flatMap(({ coveredBy = [] }) => coveredBy)))
  return Object.entries(testFiles)
    .filter(([file, { source, tests }]) => {
      const now = textOf(file)
      return now === source && !tests.some(({ id }) => reaching.has(id))
    })
    .map(([file]) => file)
}

/** Writes what the run need not do, from what earlier runs showed. */
function plan(room: string | undefined): void {
  const times = read<TestTime[]>(TESTS, [])
  const { slow: before } = read<{ slow: string[] }>(PLAN, { slow: [] })
  const now = times.filter(({ id, processor }) => !id.startsWith('loading ') && processor > SLOWEST_MS)
  const slow = [...new Set([...before, ...now.map(({ name }) => name)])]
  mkdirSync(dirname(PLAN), { recursive: true })
  writeFileSync(PLAN, JSON.stringify({ room, slow, unneeded: room === undefined ? [] : unneededFor(room) }))
}

function runStryker(room: string | undefined, isRetry: boolean, options: readonly string[]): number {
  const chosen = room === undefined ? [] : ['--mutate', sources.filter((file) => roomOf(file) === room).join(',')]
  plan(room)
  const start = Date.now()
  const env = { MUTATION_PLAN: PLAN, MUTATION_TESTS: TESTS, MUTATION_PATIENCE: isRetry ? '4' : '1' }
  const { status } = spawnSync(
    process.execPath,
    [
      join(root, 'node_modules/@stryker-mutator/core/bin/stryker.js'),
      ...['run', 'test/mutation/stryker.config.mjs', ...chosen, ...options],
    ],
    { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } },
  )
  const minutes = Math.round((Date.now() - start) / 6000) / 10
  for (const { name, failure } of read<TestTime[]>(TESTS, []))
    if (failure !== undefined)
      console.log(`Left out, because it fails without a mutant: ${name}: ${failure.slice(0, 100)}`)
  if (status === 0 && !isRetry) {
    const times = read<Record<string, number>>(TIMES, {})
    writeFileSync(TIMES, JSON.stringify({ ...times, [room ?? ALL_ROOMS]: minutes }))
  }
  return status ?? 1
}

const count = (mutants: readonly Mutant[], ...statuses: string[]): number =>
  mutants.filter(({ status }) => statuses.includes(status)).length

function row(name: string, mutants: readonly Mutant[], minutes: number | undefined) {
  const [detected, undetected] = [mutants.filter(isDetected).length, mutants.filter(isUndetected).length]
  return {
    room: name,
    mutants: mutants.length,
    killed: count(mutants, 'Killed'),
    timeout: count(mutants, 'Timeout'),
    survived: count(mutants, 'Survived'),
    'no coverage': count(mutants, 'NoCoverage'),
    ignored: count(mutants, 'Ignored'),
    errors: count(mutants, 'RuntimeError', 'CompileError'),
    'score %': Math.round((10_000 * detected) / (detected + undetected)) / 100,
    minutes,
  }
}

/** Prints the results by room, and returns the score of all. */
function printTotals(): number {
  const { files } = readResults()
  const times = read<Record<string, number>>(TIMES, {})
  const mutantsOf = (chosen: readonly string[]) => chosen.flatMap((file) => files[file]?.mutants ?? [])
  const hasRun = (room: string): boolean => sources.some((file) => roomOf(file) === room && files[file] !== undefined)
  const rows = rooms.filter(hasRun).map((room) => {
    const own = sources.filter((file) => roomOf(file) === room)
    return row(room, mutantsOf(own), times[room])
  })
  const total = row('all', mutantsOf(sources), times[ALL_ROOMS])
  console.table([...rows, total])
  const ignored = mutantsOf(sources).filter(({ status }) => status === 'Ignored')
  for (const reason of new Set(ignored.map(({ statusReason }) => statusReason)))
    console.log(`Ignored: ${ignored.filter((each) => each.statusReason === reason).length}: ${reason}`)
  const missing = rooms.filter((room) => !hasRun(room))
  if (missing.length > 0) console.log(`Rooms that have not run: ${missing.join(', ')}`)
  const empty = sources.filter((file) => hasRun(roomOf(file)) && files[file] === undefined)
  if (empty.length > 0) console.log(`Without mutants: ${empty.join(', ')}`)
  const changed = sources.filter((file) => files[file] !== undefined && files[file].source !== textOf(file))
  if (changed.length > 0) console.log(`Changed since their mutants ran: ${changed.join(', ')}`)
  console.log(`Never mutated: ${NOT_MUTATED.join(', ')}`)
  return total['score %']
}

const given = process.argv.slice(2)
const take = (name: string): boolean => {
  const at = given.indexOf(name)
  if (at >= 0) given.splice(at, 1)
  return at >= 0
}
const at = given.indexOf('--room')
const room = at < 0 ? undefined : given.splice(at, 2)[1]
if (at >= 0 && !rooms.includes(room!)) throw new Error(`--room takes one of ${rooms.join(', ')}`)
const isRetry = take('--retry')
let status = 0
if (!take('--totals')) {
  if (isRetry) forgetUndetected(room)
  status = runStryker(room, isRetry, given)
}
const score = printTotals()
process.exitCode = status || Number(!(score >= config.thresholds.break))
