// Workers that cannot start: the error says where the pool looked and what to pass, and the process goes on and ends.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createContext, runInContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { build } from 'esbuild'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { AnyWorker } from '../../src/core/threads.ts'
import { createPool } from '../../src/pool.ts'
import { isNode, makeKeyset, sample } from '../fixtures.ts'
import { mortalWorker, worker } from './source-pool.ts'

const keyset = await makeKeyset()
const block = await keyset.seal(sample(30))
const advice = 'pass createPool({ worker }) the URL of keystrata/pool/worker, or a function that starts it'

afterEach(() => {
  vi.useRealTimers()
})

const run = promisify(execFile)

const scriptOf = (code: string) => new URL(`data:text/javascript,${encodeURIComponent(code)}`)

describe('a worker that cannot start', () => {
  const causes: [string, URL, string][] = [
    ['a file that is not there', new URL('nowhere.mjs', import.meta.url), 'nowhere.mjs'],
    ['a file with a syntax error', scriptOf('this is no code'), 'data:text/javascript'],
    ['a file that throws', scriptOf("throw new Error('not today')"), 'not today'],
    ['a file that does something else and ends', scriptOf('1 + 1'), 'ended with code 0'],
    ['a URL that Node cannot load', new URL('https://example.org/worker.js'), 'https://example.org/worker.js'],
  ]
  it.runIf(isNode).each(causes)('rejects every task with a TypeError: %s', async (_, url, named) => {
    await using pool = createPool({ threads: 2, worker: url })
    const tasks = [pool.writer(keyset).seal(sample(1)), pool.reader(keyset).open(block), pool.writer(keyset).pack([])]
    for (const { reason } of (await Promise.allSettled(tasks)) as PromiseRejectedResult[]) {
      expect(reason).toBeInstanceOf(TypeError)
      expect((reason as Error).message).toContain(named)
      expect((reason as Error).message).toContain(advice)
      expect((reason as Error).message.length).toBeLessThan(750)
      expect((reason as Error).cause).toBeInstanceOf(Error)
    }
    await expect(pool.rekeyer(keyset).rekey(block)).rejects.toThrow(advice)
  })

  it.runIf(isNode)('is given up after a minute if its file does something else and goes on', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const pool = createPool({ threads: 1, worker: scriptOf('setInterval(() => {}, 1000)') })
    const sealing = expect(pool.writer(keyset).seal(sample(1))).rejects.toThrow('60 seconds')
    await vi.advanceTimersByTimeAsync(60_000)
    await sealing
    await pool.close()
  })

  it.runIf(isNode)('is a TypeError of createPool if a bundle does not know its own URL', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'keystrata-starting-'))
    try {
      const outfile = join(folder, 'pool.cjs')
      const options = { bundle: true, platform: 'node', format: 'cjs', target: 'es2022', logLevel: 'error' } as const
      await build({ ...options, entryPoints: ['src/pool.ts'], outfile })
      const program = "try { require('./pool.cjs').createPool() } catch (e) { console.log(`${e.name}: ${e.message}`) }"
      writeFileSync(join(folder, 'program.cjs'), program)
      const { stdout } = await run(process.execPath, [join(folder, 'program.cjs')])
      expect(stdout).toContain('TypeError: the worker of the pool could not start')
      expect(stdout).toContain(advice)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('rejects every task with a TypeError if the function `worker` returns none, or throws', async () => {
    const refuse = () => {
      throw new Error('not in this frame')
    }
    for (const [start, named] of [
      [() => undefined, 'did not return a Worker'],
      [() => ({ postMessage: () => undefined }), 'did not return a Worker'],
      [refuse, 'not in this frame'],
    ] as const) {
      await using pool = createPool({ threads: 1, worker: start as never })
      const sealing = pool.writer(keyset).seal(sample(1))
      await expect(sealing).rejects.toThrow(TypeError)
      await expect(sealing).rejects.toThrow(named)
      await expect(sealing).rejects.toThrow(`in the Worker that your function returned`)
    }
  })

  it.runIf(isNode)('names the reason if the function returns a Worker of another file', async () => {
    await using pool = createPool({ threads: 1, worker: () => new Worker(scriptOf("throw new Error('not today')")) })
    await expect(pool.writer(keyset).seal(sample(1))).rejects.toThrow(/your function returned \(not today\)/)
  })

  it('is a TypeError of createPool if `worker` is not a URL', () => {
    for (const given of ['./worker.js', {}, null])
      expect(() => createPool({ worker: given as never })).toThrow(TypeError)
  })
})

describe('a worker starts', () => {
  it.runIf(isNode)('by a function, once for each thread, and again after a thread died', async () => {
    let started = 0
    const start = () => {
      started++
      return new Worker(mortalWorker)
    }
    await using pool = createPool({ threads: 2, worker: start })
    expect(started).toBe(0)
    const writer = pool.writer(keyset)
    await Promise.all([writer.seal(sample(1)), writer.seal(sample(2))])
    expect(started).toBe(2)
    // Content of 666 bytes makes this worker exit.
    await expect(writer.seal(sample(666))).rejects.toThrow('a worker of the pool died')
    const blocks = await Promise.all([1, 2, 3, 4].map((seed) => writer.seal(sample(40, seed))))
    expect(started).toBe(3)
    expect(await keyset.open(blocks[3]!)).toEqual(sample(40, 4))
  })

  const { Worker: WebWorker } = globalThis as { Worker?: new (url: URL, options: { type: 'module' }) => AnyWorker }
  it.skipIf(WebWorker === undefined)('by a function that returns a Worker of the web', async () => {
    const start = () => new WebWorker!(worker, { type: 'module' })
    await using pool = createPool({ threads: 1, worker: start })
    expect(await pool.reader(keyset).open(block)).toEqual(sample(30))
  })

  it.runIf(isNode)('from a URL of another realm', async () => {
    const theirs = runInContext('({ href })', createContext({ href: worker.href })) as URL
    await using pool = createPool({ threads: 1, worker: theirs })
    expect(await pool.reader(keyset).open(block)).toEqual(sample(30))
  })

  // --max-old-space-size belongs to the whole process: Node refuses it in a list of options for a thread.
  it
    .runIf(isNode)
    .each([['--input-type=module'], ['--input-type', 'module'], ['--input-type=module', '--max-old-space-size=500']])(
    'in a program that node got as text: node %s %s',
    async (...options) => {
      const program = `
      import { createKeyset } from './src/index.ts'
      import { createPool } from './src/pool.ts'
      const keyset = await createKeyset('password', { costs: { iterations: 2, memoryKiB: 19456, lanes: 1 } })
      const pool = createPool({ threads: 1, worker: new URL('${worker.href}') })
      const block = await pool.writer(keyset).seal(new Uint8Array(3))
      console.log((await keyset.open(block)).length)
      await pool.close()`
      const { stdout } = await run(process.execPath, ['--import', 'tsx', ...options, '--eval', program])
      expect(stdout.trim()).toBe('3')
    },
  )

  it.runIf(isNode)('and a program ends whose worker could not start, also without closing the pool', async () => {
    const program = `
      import { createKeyset } from './src/index.ts'
      import { createPool } from './src/pool.ts'
      process.on('unhandledRejection', () => process.exit(9))
      const keyset = await createKeyset('password', { costs: { iterations: 2, memoryKiB: 19456, lanes: 1 } })
      const pool = createPool({ worker: new URL('file:///nowhere/worker.js') })
      await pool.writer(keyset).seal(new Uint8Array(3)).catch(({ name }) => console.log(name))`
    const { stdout } = await run(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', program])
    expect(stdout.trim()).toBe('TypeError')
  })
})
