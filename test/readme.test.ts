// Every example of the README type-checks and runs.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createKeyset, type KeysetReader } from '../src/index.ts'
import { CHEAP, PASSWORD } from './fixtures.ts'

const root = join(import.meta.dirname, '..')
const folder = join(import.meta.dirname, '.readme')
const examples = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/```ts\n(.*?)```/gs)].map(
  (match) => match[1]!,
)
// What an example declares, so that it can be called.
const exported = ['', 'export { backUp, restore }', 'export { unlock }']
const paths = examples.map((_, index) => join(folder, `${index}.ts`))

beforeAll(() => {
  mkdirSync(folder, { recursive: true })
  examples.forEach((code, index) => writeFileSync(paths[index]!, `${code}${exported[index] ?? ''}\n`))
})
afterAll(() => rmSync(folder, { recursive: true }))

const run = <T>(index: number) => import(paths[index]!) as Promise<T>

describe('README', () => {
  it('has three examples, each of at most twelve lines of code or so', () => {
    expect(examples).toHaveLength(3)
    for (const code of examples) expect(code.split('\n').filter((line) => line !== '').length).toBeLessThanOrEqual(14)
  })

  it('type-checks', () => {
    const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
      config: object
    }
    const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
    const program = ts.createProgram(paths, { ...options, isolatedDeclarations: false, declaration: false })
    const messages = ts
      .getPreEmitDiagnostics(program)
      .map((each) => ts.flattenDiagnosticMessageText(each.messageText, '\n'))
    expect(messages).toEqual([])
  })

  it('seals and opens', async () => {
    const log = vi.spyOn(console, 'log').mockReturnValue()
    await run(0)
    expect(log).toHaveBeenCalledExactlyOnceWith('my file')
    log.mockRestore()
  })

  it('backs up and restores', async () => {
    const { backUp, restore } = await run<{
      backUp: (content: Uint8Array, hostExport: Uint8Array, store: Map<string, Uint8Array>) => Promise<string>
      restore: (label: string, reader: KeysetReader, store: Map<string, Uint8Array>) => Promise<Uint8Array | undefined>
    }>(1)
    const keyset = await createKeyset(PASSWORD, { costs: CHEAP })
    const store: Map<string, Uint8Array> = new Map()
    const label = await backUp(Buffer.from('content'), keyset.export('host'), store)
    expect(await backUp(Buffer.from('content'), keyset.export('host'), store)).toBe(label)
    expect(store.size).toBe(1)
    expect(Buffer.from((await restore(label, keyset, store))!).toString()).toBe('content')
    expect(await restore('0'.repeat(64), keyset, store)).toBeUndefined()
  })

  it('tells errors apart', async () => {
    const { unlock } = await run<{ unlock: (stored: Uint8Array, password: string, last: number) => Promise<unknown> }>(
      2,
    )
    const stored = (await createKeyset(PASSWORD, { costs: CHEAP })).export('source-storage')
    expect(await unlock(stored, PASSWORD, 1)).toHaveProperty('version', 1)
    expect(await unlock(stored, 'wrong', 1)).toBe('ask again')
    expect(await unlock(stored, PASSWORD, 2)).toMatch('old keyset')
    expect(await unlock(stored.subarray(1), PASSWORD, 1)).toMatch('damaged')
  })
})
