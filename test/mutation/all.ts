// All tests that mutants meet, in one file: they are loaded once, and run in-thread.ts runs what it is told of them.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe } from 'vitest'

const tests = join(import.meta.dirname, '..')

const LEFT_OUT = [
  // Of programs and documents, not of the source; or longer than a mutant may take.
  /^(conformance|crash|examples|fuzz|mutation|package|runtimes)\//,
  /^attacks\/(01|04|21|22)-/,
  /^(docstrings|readme|layers|surface)\.test/,
  /^properties\/r/,
]
const files = readdirSync(tests, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts') && !LEFT_OUT.some((pattern) => pattern.test(file)))
  .sort()

for (const file of files)
  describe(file, async () => {
    await import(join(tests, file))
  })
