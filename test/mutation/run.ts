// npm run mutation [-- --room fleet,state/log.ts] [--near] [--retry] [--totals] [other options of stryker run]
//
// Runs the mutants of all rooms, or of some rooms or files, and prints a table of the results. The results of each room
// are kept in coverage/mutation/ROOM.json. The next run of the room runs only mutants that are new, or that new tests
// reach, and it leaves out tests that did not reach the room, or are too slow. To begin anew, delete the folder.
//
// --near runs only the tests of the room itself (test/ROOM), which is much quicker. What an earlier run with all tests
// detected stays detected.
//
// --retry runs mutants again that no test noticed, against four times as many tests (runner.mjs), or with --near against
// the tests of the room. Stronger tests of the same name may notice them now, too. --totals only prints the table.
import { spawn } from 'node:child_process'
import { createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, relative, sep } from 'node:path'
import { FOLDER, NOT_MUTATED, SCORE, SLOWEST_MS } from './stryker.config.mjs'

const root = join(import.meta.dirname, '../..')

interface Mutant {
  readonly location: { readonly start: unknown; readonly end: unknown }
  readonly replacement?: string
  readonly status: string
  readonly statusReason?: string
  readonly coveredBy?: readonly string[]
}

/** The report of Stryker. */
interface Results {
  readonly files: Record<string, { readonly source: string; mutants: Mutant[] }>
  readonly testFiles?: Record<string, { readonly source?: string; readonly tests: readonly { readonly id: string }[] }>
}

/** How a test ran without a mutant (in-thread.ts). */
interface TestRun {
  readonly id: string
  readonly name: string
  readonly processor: number
  readonly failure?: string
}

const textOf = (file: string): string | undefined =>
  existsSync(join(root, file)) ? readFileSync(join(root, file), 'utf8') : undefined
function read<T>(file: string, otherwise: T): T {
  const text = textOf(file)
  return text === undefined ? otherwise : (JSON.parse(text) as T)
}
const write = (file: string, value: unknown): void => writeFileSync(join(root, file), JSON.stringify(value))

const fileOf = (room: string, kind: string): string => `${FOLDER}/${room}${kind}`
const resultsOf = (room: string): Results => read(fileOf(room, '.json'), { files: {} })
const testsOf = (room: string): readonly TestRun[] => read(fileOf(room, '.tests.json'), [])

const sources: readonly string[] = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .map((file) => `src/${file.replaceAll(sep, '/')}`)
  .filter((file) => file.endsWith('.ts') && !NOT_MUTATED.includes(file))
  .sort()
const roomOf = (file: string): string => relative('src', dirname(file))
const rooms: readonly string[] = [...new Set(sources.map(roomOf))]
const sourcesOf = (room: string): string[] => sources.filter((file) => roomOf(file) === room)

const isDetected = ({ status }: Mutant): boolean => status === 'Killed' || status === 'Timeout'
const isUndetected = ({ status }: Mutant): boolean => status === 'Survived' || status === 'NoCoverage'

/** Removes the results of undetected mutants, so that Stryker runs them again. */
function forgetUndetected(room: string, mutated: readonly string[]): void {
  const results = resultsOf(room)
  for (const [file, result] of Object.entries(results.files))
    if (mutated.includes(file)) result.mutants = result.mutants.filter((each) => !isUndetected(each))
  write(fileOf(room, '.json'), results)
}

/** Keeps what an earlier run detected, by tests that a run with --near leaves out. */
function keepDetected(room: string, before: Results): void {
  const results = resultsOf(room)
  const keyOf = ({ location, replacement }: Mutant) => JSON.stringify([location.start, location.end, replacement])
  for (const [file, result] of Object.entries(results.files)) {
    const former = before.files[file]
    if (former?.source !== result.source) continue
    const detected = new Map(former.mutants.filter(isDetected).map((each) => [keyOf(each), each.status]))
    result.mutants = result.mutants.map((each) =>
      isUndetected(each) ? { ...each, status: detected.get(keyOf(each)) ?? each.status } : each,
    )
  }
  write(fileOf(room, '.json'), results)
}

/** Returns the test files that reached no mutant of these files in the last run, and have not changed since. */
function unneededFor(room: string, mutated: readonly string[]): string[] {
  const { files, testFiles = {} } = resultsOf(room)
  // What has not run yet may be reached by any test.
  if (mutated.some((file) => files[file] === undefined)) return []
  const reaching = new Set(mutated.flatMap((file) => files[file]!.mutants.flatMap(({ coveredBy = [] }) => coveredBy)))
  return Object.entries(testFiles)
    .filter(([file, { source, tests }]) => textOf(file) === source && !tests.some(({ id }) => reaching.has(id)))
    .map(([file]) => file)
}

/** Writes down what the run need not do, from what earlier runs showed. */
function plan(room: string, mutated: readonly string[], isNear: boolean): void {
  const slow = rooms
    .flatMap(testsOf)
    .filter(({ id, processor }) => !id.startsWith('loading ') && processor > SLOWEST_MS)
    .map(({ name }) => name)
  const paths = mutated.map((file) => relative('src', file))
  const unneeded = unneededFor(room, mutated)
  write(fileOf(room, '.plan.json'), {
    mutated: paths,
    folder: isNear ? `${room}/` : '',
    slow: [...new Set(slow)],
    unneeded,
  })
}

/** Runs Stryker for files of one room, with its output in a file. */
async function runRoom(
  room: string,
  mutated: readonly string[],
  { isNear, isRetry }: { readonly isNear: boolean; readonly isRetry: boolean },
  options: readonly string[],
): Promise<void> {
  mkdirSync(join(root, FOLDER), { recursive: true })
  const before = resultsOf(room)
  if (isRetry) forgetUndetected(room, mutated)
  const slowBefore = testsOf(room).filter(({ processor }) => processor > SLOWEST_MS)
  plan(room, mutated, isNear)
  const start = Date.now()
  const stryker = join(root, 'node_modules/@stryker-mutator/core/bin/stryker.js')
  const chosen = ['--mutate', mutated.join(','), ...options]
  const child = spawn(process.execPath, [stryker, 'run', 'test/mutation/stryker.config.mjs', ...chosen], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      MUTATION_ROOM: room,
      MUTATION_PLAN: join(root, fileOf(room, '.plan.json')),
      MUTATION_TESTS: join(root, fileOf(room, '.tests.json')),
      MUTATION_PATIENCE: isRetry && !isNear ? '4' : '1',
    },
  })
  const log = createWriteStream(join(root, fileOf(room, '.log')))
  child.stdout.pipe(log, { end: false })
  child.stderr.pipe(log, { end: false })
  const status = await new Promise((resolve) => child.once('close', resolve))
  log.end()
  if (isNear && status === 0) keepDetected(room, before)
  const minutes = Math.round((Date.now() - start) / 6000) / 10
  // Tests that were left out because they are slow stay in the list.
  const run = testsOf(room)
  write(fileOf(room, '.tests.json'), [
    ...run,
    ...slowBefore.filter(({ name }) => !run.some((one) => one.name === name)),
  ])
  const { 'score %': score } = rowOf(
    room,
    Object.values(resultsOf(room).files).flatMap(({ mutants }) => mutants),
  )
  console.log(
    `${room}: ${score} % after ${minutes} minutes${status === 0 ? '' : `, and an error: see ${fileOf(room, '.log')}`}`,
  )
  for (const { name, failure } of run)
    if (failure !== undefined)
      console.log(`  left out, because it fails without a mutant: ${name}: ${failure.slice(0, 80)}`)
  if (status === 0) write(fileOf(room, isRetry ? '.retry-minutes.json' : '.minutes.json'), minutes)
  else process.exitCode = 1
}

function rowOf(name: string, mutants: readonly Mutant[], minutes?: number) {
  const count = (...statuses: string[]) => mutants.filter(({ status }) => statuses.includes(status)).length
  const [detected, undetected] = [mutants.filter(isDetected).length, mutants.filter(isUndetected).length]
  return {
    room: name,
    mutants: mutants.length,
    killed: count('Killed'),
    timeout: count('Timeout'),
    survived: count('Survived'),
    'no coverage': count('NoCoverage'),
    ignored: count('Ignored'),
    errors: count('RuntimeError', 'CompileError'),
    'score %': Math.round((10_000 * detected) / (detected + undetected)) / 100,
    minutes,
  }
}

/** Prints the results by room, and returns the score of all. */
function printTotals(): number {
  const done = rooms.filter((room) => textOf(fileOf(room, '.json')) !== undefined)
  const mutants: Map<string, Mutant[]> = new Map()
  const [empty, changed]: [string[], string[]] = [[], []]
  for (const room of done) {
    const { files } = resultsOf(room)
    mutants.set(
      room,
      sourcesOf(room).flatMap((file) => files[file]?.mutants ?? []),
    )
    for (const file of sourcesOf(room)) {
      if (files[file] === undefined) empty.push(file)
      else if (files[file].source !== textOf(file)) changed.push(file)
    }
  }
  const all = [...mutants.values()].flat()
  const rows = done.map((room) => {
    const minutes = ['.minutes.json', '.retry-minutes.json'].map((kind) => read(fileOf(room, kind), 0))
    return rowOf(room, mutants.get(room)!, Math.round(minutes.reduce((sum, each) => sum + each)))
  })
  const total = rowOf(
    'all',
    all,
    rows.reduce((sum, { minutes = 0 }) => sum + minutes, 0),
  )
  console.table([...rows, total])
  const ignored = all.filter(({ status }) => status === 'Ignored')
  for (const reason of new Set(ignored.map(({ statusReason }) => statusReason)))
    console.log(`Ignored: ${ignored.filter((each) => each.statusReason === reason).length} × ${reason}`)
  const lists = {
    'Rooms that have not run': rooms.filter((room) => !done.includes(room)),
    'Not run, or without mutants': empty,
  }
  for (const [what, files] of Object.entries({ ...lists, 'Changed since': changed, 'Not mutated': NOT_MUTATED }))
    if (files.length > 0) console.log(`${what}: ${files.join(', ')}`)
  return total['score %']
}

const given = process.argv.slice(2)
function take(name: string): boolean {
  const at = given.indexOf(name)
  if (at >= 0) given.splice(at, 1)
  return at >= 0
}
const [isNear, isRetry, isOnlyTotals] = [take('--near'), take('--retry'), take('--totals')]
const at = given.indexOf('--room')
const wanted = at < 0 ? rooms : (given.splice(at, 2)[1] ?? '').split(',')
const chosen = sources.filter((file) => wanted.some((each) => each === roomOf(file) || `src/${each}` === file))
const isUnknown = (each: string) => !rooms.includes(each) && !sources.includes(`src/${each}`)
if (wanted.some(isUnknown)) throw new Error(`--room takes files of src, and ${rooms.join(', ')}, separated by commas`)
if (!isOnlyTotals) {
  // One process for each room, and one room for each processor. The room with the most code begins.
  const sizeOf = (files: readonly string[]) => files.reduce((sum, file) => sum + (textOf(file)?.length ?? 0), 0)
  const waiting = rooms
    .map((room) => ({ room, files: chosen.filter((file) => roomOf(file) === room) }))
    .filter(({ files }) => files.length > 0)
    .sort((a, b) => sizeOf(b.files) - sizeOf(a.files))
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      await runRoom(next.room, next.files, { isNear, isRetry }, given)
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
}
if (!(printTotals() >= SCORE)) process.exitCode = 1
