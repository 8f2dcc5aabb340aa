// Every example in the guides type-checks. That each one runs is tested in a file of its own for each guide.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { errorsIn, programOf } from '../type-check.ts'
import { codeIn, guides, textOf, writeExamples } from './guide.ts'

const { paths } = writeExamples(guides)

describe('the guides', () => {
  it('are short: 12 kB for a guide with code, 32 kB for a page that only explains', () => {
    for (const guide of guides) {
      const hasCode = ['ts', 'js', 'sh'].some((language) => codeIn(guide, language).length > 0)
      const limit = hasCode ? 12 : 32
      expect(Buffer.byteLength(textOf(guide)), guide).toBeLessThanOrEqual(limit * 1024)
    }
  })

  it.each(guides)('%s has short examples', (guide) => {
    for (const code of codeIn(guide)) {
      expect(code.split('\n').filter((line) => line !== '').length, code).toBeLessThanOrEqual(20)
    }
  })

  it.each(guides.filter((guide) => codeIn(guide).length > 0))('%s has a test that runs its examples', (guide) => {
    expect(existsSync(join(import.meta.dirname, guide.replace('.md', '.test.ts')))).toBe(true)
  })

  it('have examples that type-check', () => {
    expect(paths.length).toBeGreaterThan(7)
    expect(errorsIn(programOf(paths), paths)).toEqual([])
  })
})
