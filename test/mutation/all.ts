// The tests that run against mutants, and the modules of the source. in-thread.ts loads them.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

export const tests: string = join(import.meta.dirname, '..')

const LEFT_OUT = [
  // These test programs and documents, not the source, or take longer than a mutant may.
  /^(conformance|crash|docs|examples|fuzz|mutation|package|runtimes)\//,
  /^attacks\/(01|04|21|22)-/,
  /^(docstrings|readme|layers|spec-appendix|surface)\.test/,
  /^properties\/registry/,
]
export const files: readonly string[] = readdirSync(tests, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts') && !LEFT_OUT.some((pattern) => pattern.test(file)))
  .sort()
  .map((file) => join(tests, file))

const source = join(tests, '../src')
export const modules: readonly string[] = readdirSync(source, { recursive: true, encoding: 'utf8' })
  // worker.ts would treat the thread that loads it as a worker of a pool.
  .filter((file) => file.endsWith('.ts') && file !== join('pool', 'worker.ts'))
  .map((file) => join(source, file))
