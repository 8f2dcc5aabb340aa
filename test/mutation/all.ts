// The tests that run against mutants, and the modules of the source. in-thread.ts loads them.
import { readdirSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'

export const tests: string = join(import.meta.dirname, '..')

export const LEFT_OUT: readonly RegExp[] = [
  // Tests of programs and documents.
  /^(crash|docs|examples|fuzz|mutation|package|runtimes)\//,
  /^attacks\/(01|04|21|22)-/,
  // Tests that read the source files, which are full of mutants, or compile them.
  /^(docstrings|documents|every-error|exhaustive|layers|readme|spec-appendix|surface)\.test/,
  // Tests that start programs and threads, or measure their memory.
  /^core\/missing-memory/,
  /^pool\/starting/,
  /^server\/hash-(process|queue)/,
  // This one needs a browser, this one the vectors of others, and this one does not run the library.
  /^stores\/indexeddb/,
  /^conformance\//,
  /^vectors\/second-reader/,
  // Loads the library again in another realm, where no mutant is on.
  /^realms/,
  // These take minutes, in tests of which each is too slow for a mutant.
  /^properties\/registry/,
  /^models\/(profile|profile-notices|registry)\.test/,
]

/**
 * The folders of tests that reach a room, if not all of them do. They are those of the room, and of the rooms that
 * import it. The tests outside rooms (attacks, models, properties, vectors) reach every room.
 */
const REACHING: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(['server', 'pool', 'recovery', 'fleet', 'legacy'].map((room) => [room, [room]])),
  ...Object.fromEntries(
    ['keyset', 'vault', 'client'].map((room) => [room, [room, 'server', 'pool', 'recovery', 'fleet', 'legacy']]),
  ),
  stores: ['stores', 'state'],
}
const ROOMS = readdirSync(join(tests, '../src'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)

/** Returns the test files that run against the mutants of a room, or of all rooms. */
export function reached(room: string | undefined): string[] {
  const folders = room === undefined ? ROOMS : (REACHING[room] ?? ROOMS)
  return readdirSync(tests, { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll(sep, '/'))
    .filter((file) => file.endsWith('.test.ts') && !LEFT_OUT.some((pattern) => pattern.test(file)))
    .filter((file) => !ROOMS.includes(file.split('/')[0]!) || folders.includes(file.split('/')[0]!))
    .sort()
}

/** What run.ts knows from earlier runs. */
interface Plan {
  readonly room?: string
  /** The test files that reached no mutant of the room. */
  readonly unneeded: readonly string[]
  /** The names of tests that are too slow for mutants. */
  readonly slow: readonly string[]
}

const planFile = process.env['MUTATION_PLAN']
const plan: Plan =
  planFile === undefined ? { unneeded: [], slow: [] } : (JSON.parse(readFileSync(planFile, 'utf8')) as Plan)

export const files: readonly string[] = reached(plan.room)
  .filter((file) => !plan.unneeded.includes(`test/${file}`))
  .map((file) => join(tests, file))
export const slow: ReadonlySet<string> = new Set(plan.slow)

/** The test files whose servers keep running from mutant to mutant, because they take seconds to start. */
export const keptOpen: ReadonlySet<string> = new Set(
  ['postgres', 's3'].map((name) => join(tests, 'stores', `${name}.test.ts`)),
)

const source = join(tests, '../src')
export const modules: readonly string[] = readdirSync(source, { recursive: true, encoding: 'utf8' })
  // worker.ts and hash-thread.ts would treat the thread that loads them as a worker.
  .filter((file) => file.endsWith('.ts') && !/(^|[/\\])(worker|hash-thread)\.ts$/.test(file))
  .map((file) => join(source, file))
