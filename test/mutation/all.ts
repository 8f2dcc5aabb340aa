// The tests that run against mutants, and the modules of the source. in-thread.ts loads them.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'

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

const source = join(tests, '../src')

const known: Map<string, readonly string[]> = new Map()

/** Returns the files of this project that a file imports, apart from types. */
function importsOf(file: string): readonly string[] {
  const before = known.get(file)
  if (before !== undefined) return before
  const imports = readFileSync(file, 'utf8').matchAll(
    /^(?:import|export) (?!type )[^']*from '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm,
  )
  const found = [...imports]
    .map(([, from, plain, dynamic]) => (from ?? plain ?? dynamic)!)
    .map((target) => (target.startsWith('.') ? join(dirname(file), target) : aliased(target)))
    .filter((target) => target.endsWith('.ts') && existsSync(target))
  // The workers of a pool run in the same thread.
  if (file === join(source, 'core/threads.ts')) found.push(join(import.meta.dirname, 'same-thread.ts'))
  known.set(file, found)
  return found
}

/** The entries of the package are files of the source (vitest.config.ts). */
const aliased = (target: string): string =>
  target.replace(/^keystrata(?:\/(.+))?$/, (_, entry: string | undefined) => join(source, `${entry ?? 'index'}.ts`))

const closures: Map<string, ReadonlySet<string>> = new Map()

/** Returns a file and everything that it imports, however indirectly, but not what only the fixtures import. */
function closureOf(file: string): ReadonlySet<string> {
  const before = closures.get(file)
  if (before !== undefined) return before
  const found = new Set([file])
  // A set also visits what is added to it meanwhile.
  for (const each of found)
    if (each !== join(tests, 'fixtures.ts')) for (const target of importsOf(each)) found.add(target)
  closures.set(file, found)
  return found
}

/**
 * Returns the test files that run against the mutants of some files: those that import one of them.
 * @param files paths in the source
 */
export function reaching(files: readonly string[]): string[] {
  const paths = files.map((file) => join(source, file))
  return readdirSync(tests, { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll(sep, '/'))
    .filter((file) => file.endsWith('.test.ts') && !LEFT_OUT.some((pattern) => pattern.test(file)))
    .filter((file) => paths.some((path) => closureOf(join(tests, file)).has(path)))
    .sort()
}

/** What run.ts asks for, and what it knows from earlier runs. */
interface Plan {
  /** The mutated files. */
  readonly mutated: readonly string[]
  /** The folder of tests to run, with a slash behind it. Empty for all. */
  readonly folder: string
  /** The test files that reached none of their mutants. */
  readonly unneeded: readonly string[]
  /** The names of tests that are too slow for mutants. */
  readonly slow: readonly string[]
}

const planFile = process.env['MUTATION_PLAN']
const plan: Plan =
  planFile === undefined
    ? { mutated: [], folder: '', unneeded: [], slow: [] }
    : (JSON.parse(readFileSync(planFile, 'utf8')) as Plan)

export const files: readonly string[] = reaching(plan.mutated)
  .filter((file) => file.startsWith(plan.folder) && !plan.unneeded.includes(`test/${file}`))
  .map((file) => join(tests, file))
export const slow: ReadonlySet<string> = new Set(plan.slow)

/** The test files whose databases stay open from mutant to mutant, because they take seconds to start. */
export const keptOpen: ReadonlySet<string> = new Set([join(tests, 'stores', 'pglite.test.ts')])

export const modules: readonly string[] = readdirSync(source, { recursive: true, encoding: 'utf8' })
  // worker.ts and hash-thread.ts would treat the thread that loads them as a worker.
  .filter((file) => file.endsWith('.ts') && !/(^|[/\\])(worker|hash-thread)\.ts$/.test(file))
  .map((file) => join(source, file))
