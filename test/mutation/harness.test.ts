// The mutation run takes hours, so CI does not have it. These tests see what would stop it, or what it would leave out,
// after a change of the source.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import * as threads from '../../src/core/threads.ts'
import { LEFT_OUT, modules, reaching, tests } from './all.ts'
import { NAMES } from './ignore.mjs'
import * as sameThread from './same-thread.ts'
import { NOT_MUTATED } from './stryker.config.mjs'
import { THREADS } from './vitest.config.ts'

const root = join(tests, '..')
const listed = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file.endsWith('.ts'))
const source = listed('src').map((file) => ({ file, text: readFileSync(join(root, 'src', file), 'utf8') }))

it('same-thread.ts exports everything that it replaces', () => {
  expect(Object.keys(sameThread).sort()).toEqual(Object.keys(threads).sort())
  expect(sameThread.startThread).not.toBe(threads.startThread)
})

it('every module of the source gets same-thread.ts instead of threads.ts', () => {
  const imports = source.flatMap(({ text }) =>
    [...text.matchAll(/from '([^']*\/threads\.ts)'/g)].map(([, path]) => path!),
  )
  expect(imports.length).toBeGreaterThan(3)
  expect(imports.filter((path) => path !== THREADS)).toEqual([])
})

it('every module of the source is loaded, except the files of threads', () => {
  const loaded = modules.map((path) => path.slice(join(root, 'src').length + 1).replaceAll('\\', '/'))
  const missing = source.map(({ file }) => file).filter((file) => !loaded.includes(file))
  expect(missing.sort()).toEqual(['pool/worker.ts', 'server/hash-thread.ts'])
})

it('every file that is not mutated exists', () => {
  expect(NOT_MUTATED.filter((file) => !existsSync(join(root, file)))).toEqual([])
})

it('every rule that leaves out tests leaves one out', () => {
  const files = listed('test').filter((file) => file.endsWith('.test.ts'))
  expect(LEFT_OUT.filter((pattern) => !files.some((file) => pattern.test(file)))).toEqual([])
})

it('every mutated file is reached by a test, if possible by its own', () => {
  const mutated = source.map(({ file }) => file).filter((file) => !NOT_MUTATED.includes(`src/${file}`))
  const own = new Set(listed('test').filter((file) => !LEFT_OUT.some((pattern) => pattern.test(file))))
  const missed = mutated
    .filter((file) => {
      const found = reaching([file])
      const test = file.replace(/ts$/, 'test.ts')
      return found.length === 0 || (own.has(test) && !found.includes(test))
    })
    .sort()
  // These declare only types.
  expect(missed).toEqual(['state/keys.ts', 'state/store.ts'])
})

it('every function whose texts are not mutated is in the source', () => {
  const all = source.map(({ text }) => text).join('\n')
  expect(NAMES.filter((name) => !new RegExp(`\\b${name}(<[^(]*>)?\\(`).test(all))).toEqual([])
})
