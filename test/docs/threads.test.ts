// The examples of docs/threads.md run, and its tables name the versions that the tests use.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { type Keyset, type KeysetWriter, openFrom, openWriter, type SealedBlock } from '../../src/index.ts'
import { createPool } from '../../src/pool.ts'
import { type Blocks, blocksIn, memoryBlobStore } from '../../src/stores.ts'
import { PACKAGE_ONLY, RUNTIMES, WORKERD } from '../runtimes/runtimes.ts'
import { all, failure, makeKeyset, sample } from '../fixtures.ts'
import { codeIn, functionsOf, noting, textOf, writeExamples } from './guide.ts'

const { folder, paths } = writeExamples(['threads.md'])

interface ThreadsGuide {
  sealFile(file: ReadableStream<Uint8Array>, writer: KeysetWriter, blocks: Blocks): Promise<string[]>
  rekeyInThreads(regenerated: Keyset, blocks: Blocks): Promise<number>
}

const guide = textOf('threads.md')
const bundlers = join(import.meta.dirname, '../bundlers')
const versionsIn = (name: string) =>
  (JSON.parse(readFileSync(join(bundlers, name, 'package.json'), 'utf8')) as { dependencies: Record<string, string> })
    .dependencies
/** Returns what a table says in the row of a tool or a runtime. */
const rowOf = (name: string) => new RegExp(`^\\| ${name} \\| (.*) \\|$`, 'm').exec(guide)![1]!

describe('docs/threads.md', () => {
  it('seals and rekeys in threads', async () => {
    const functions = await functionsOf<ThreadsGuide>(paths)
    const { of, called } = noting(functions)
    const keyset = await makeKeyset()
    const blocks = blocksIn(memoryBlobStore())
    const [first] = await of.sealFile(new Blob(['one']).stream(), openWriter(keyset.export('host')), blocks)
    await of.sealFile(new Blob(['two']).stream(), openWriter(keyset.export('host')), blocks)
    expect(Buffer.concat(await all(openFrom(blocks, keyset, [first!]))).toString()).toBe('one')
    const next = keyset.regenerate()
    expect(await of.rekeyInThreads(next, blocks)).toBe(2)
    expect((await all(blocks.heads())).every(({ envelope }) => next.isCurrent(envelope))).toBe(true)
    expect(await of.rekeyInThreads(next, blocks)).toBe(0)
    // A head that does not open is reported.
    const other = await (await makeKeyset()).seal(sample(9))
    await blocks.put(other)
    const log = vi.spyOn(console, 'error').mockReturnValue()
    expect(await of.rekeyInThreads(next, blocks)).toBe(0)
    expect(log.mock.calls[0]![0]).toContain(other.label)
    log.mockRestore()
    expect([...called].sort()).toEqual(Object.keys(functions).sort())
  })

  it('says how to do without `using`', async () => {
    const program = join(folder, 'without-using.mjs')
    writeFileSync(
      program,
      codeIn('threads.md', 'js').find((code) => code.includes('sealWith'))!,
    )
    const { sealWith } = (await import(program)) as {
      sealWith: (hostExport: Uint8Array, content: Uint8Array) => Promise<SealedBlock>
    }
    const keyset = await makeKeyset()
    const block = await sealWith(keyset.export('host'), sample(9))
    expect(await keyset.open(block)).toEqual(sample(9))
    // Without `await` it would be disposed of too early.
    const forgotten = async () => {
      using writer = openWriter(keyset.export('host'))
      // eslint-disable-next-line @typescript-eslint/return-await -- the mistake that this test shows
      return writer.seal(sample(9))
    }
    await failure(forgotten, 'disposed')
  })

  it('names the tested versions of the runtimes', () => {
    const names = {
      node20: 'Node 20',
      node22: 'Node 22',
      node24: 'Node 24',
      node26: 'Node 26',
      bun: 'Bun',
      deno: 'Deno',
    }
    expect(Object.keys(RUNTIMES)).toEqual(Object.keys(names))
    for (const [name, title] of Object.entries(names))
      expect(rowOf(title).split(' | ')[0]!.trim()).toContain(RUNTIMES[name]!.version)
    expect(rowOf('workerd').startsWith(`${WORKERD} |`)).toBe(true)
    for (const name of ['Chromium', 'Firefox']) expect(rowOf(name)).not.toContain('packed library only')
    // One runtime has two names: workerd with nodejs_compat, and without.
    expect(PACKAGE_ONLY).toEqual(['webkit', 'workerd', 'workerd-node'])
    for (const name of ['WebKit', 'workerd']) expect(rowOf(name)).toContain('the packed library only')
  })

  it('names the tested versions of the bundlers', () => {
    const web = versionsIn('web')
    const tools = {
      webpack: web['webpack'],
      Rspack: web['@rspack/core'],
      Rollup: web['rollup'],
      esbuild: web['esbuild'],
      Vite: `${web['vite']}, ${web['vite7']!.replace('npm:vite@', '')}`,
      Parcel: versionsIn('parcel')['parcel'],
      Next: versionsIn('next')['next'],
      Bun: RUNTIMES['bun']!.version,
      'Metro, Hermes': versionsIn('metro')['metro'],
      Jest: versionsIn('jest')['jest'],
    }
    const table = guide.split('## Bundlers')[1]!
    for (const [tool, version] of Object.entries(tools)) expect(table).toContain(`| ${tool} | ${version}`)
    expect(rowOf('Metro, Hermes')).toContain(`Hermes ${versionsIn('metro')['hermes-compiler']!.replace(/\.0$/, '')}`)
  })

  it('shows the settings of Jest that are tested', async () => {
    const settings = codeIn('threads.md', 'js').filter((code) => code.startsWith('// jest.config.js'))
    expect(settings).toHaveLength(2)
    for (const [index, name] of ['modules', 'commonjs'].entries()) {
      const path = join(folder, `${name}.config.mjs`)
      writeFileSync(path, settings[index]!.split('// costs.js')[0]!)
      const shown = (await import(path)) as { default: object }
      const tested = (await import(join(bundlers, `jest/${name}.config.js`))) as { default: object }
      expect(shown.default).toEqual(tested.default)
    }
  })

  it('is right about what `worker` takes, and about a handle of a pool', async () => {
    expect(() => createPool({ worker: 'worker.js' as never })).toThrow(TypeError)
    await using pool = createPool()
    const keyset = await makeKeyset()
    const writer = pool.writer(keyset)
    expect(() => pool.writer(writer)).toThrow(TypeError)
    await pool.close()
    await failure(() => writer.seal(sample(9)), 'disposed')
  })
})
