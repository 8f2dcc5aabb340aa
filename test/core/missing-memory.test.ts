// What happens when a device does not have the memory. The real shortage is made by the limit of a process on Linux.
import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { afterAll, describe, expect, it } from 'vitest'
import { withoutMemory } from '../../src/core/errors.ts'
import { createKeyset, KeystrataError } from '../../src/index.ts'
import { hashPassword, verifyPassword } from '../../src/server.ts'
import { backends, CHEAP, failure, isNode, PASSWORD, quick, withBackend } from '../fixtures.ts'

const shortage = new RangeError('Array buffer allocation failed')

describe('an error that means missing memory', () => {
  it.each([
    ['Node and Chromium', shortage],
    ['WebAssembly', new RangeError('WebAssembly.Memory(): could not allocate memory')],
    ['Safari and Bun', new RangeError('Out of memory')],
    ['Firefox', Object.assign(new Error('allocation size overflow'), { name: 'InternalError' })],
  ])('of %s becomes `limit-exceeded`, with how much was asked for, and the cause', (_, cause) => {
    const error = withoutMemory(cause, 'x', { bytes: 7 })
    expect(error).toBeInstanceOf(KeystrataError)
    expect(error).toMatchObject({ code: 'limit-exceeded', detail: { bytes: 7 }, cause })
  })

  it('is no other error', () => {
    for (const error of [new RangeError('invalid date'), new Error('out of memory'), undefined, null, 'memory'])
      expect(withoutMemory(error, 'x', {})).toBe(error)
  })
})

describe('a password hash without the memory for it', () => {
  const costs = { ...CHEAP, memoryKiB: 65_536 }

  it('is `limit-exceeded`, whoever computes it', async () => {
    const lacking = { ...quick, argon2id: () => Promise.reject(shortage) }
    const inLibrary = () => withBackend(lacking, () => createKeyset(PASSWORD, { costs }))
    const inProduct = () => createKeyset(PASSWORD, { costs, argon2: () => Promise.reject(shortage) })
    for (const create of [inLibrary, inProduct])
      expect((await failure(create, 'limit-exceeded')).detail).toEqual({ memoryKiB: 65_536 })
    const other = new Error('the module is not loaded')
    await expect(createKeyset(PASSWORD, { argon2: () => Promise.reject(other) })).rejects.toBe(other)
  })

  it('is `limit-exceeded` for the passwords of a service, and never a wrong password', async () => {
    const stored = await hashPassword(PASSWORD)
    const lacking = { ...backends[0]!, argon2id: () => Promise.reject(shortage) }
    await withBackend(lacking, async () => {
      await failure(() => hashPassword(PASSWORD), 'limit-exceeded')
      expect((await failure(() => verifyPassword(stored, PASSWORD), 'limit-exceeded')).detail).toEqual({
        memoryKiB: 65_536,
      })
    })
  })
})

const canLimit = isNode && process.platform === 'linux' && spawnSync('prlimit', ['--version']).status === 0

/**
 * Limits its own memory to 300 MiB more than it has, and then asks for much more at once. An engine that has no memory
 * left for itself ends the process.
 */
const program = `
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createKeyset, encodeBlock } from '${join(import.meta.dirname, '../../src/index.ts')}'

const CHEAP = { iterations: 2, memoryKiB: 19456, lanes: 1 }
await createKeyset('a password', { costs: CHEAP })
const block = { label: '0'.repeat(64), envelope: new Uint8Array(49), ciphertext: new Uint8Array(600 * 1024 * 1024) }
const size = Number(/VmSize:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
execFileSync('prlimit', ['--pid', String(process.pid), '--as=' + (size + 300 * 1024 * 1024)])
const found = []
const record = async (action) => {
  try {
    await action()
    found.push('done')
  } catch (error) {
    found.push({ name: error.name, code: error.code, detail: error.detail, cause: error.cause?.name })
  }
}
await record(() => createKeyset('a password', { costs: { ...CHEAP, memoryKiB: 1048576 } }))
await record(() => encodeBlock(block))
// What needs little goes on.
await record(() => createKeyset('a password', { costs: CHEAP }))
console.log(JSON.stringify(found))
process.exit()
`

describe.runIf(canLimit)('a process that may not have more memory', () => {
  const folder = mkdtempSync(join(tmpdir(), 'keystrata-memory-'))
  afterAll(() => rmSync(folder, { recursive: true }))

  it('gets `limit-exceeded` with what was asked for, and goes on with what it has', async () => {
    const [entry, outfile] = [join(folder, 'program.mjs'), join(folder, 'bundle.mjs')]
    writeFileSync(entry, program)
    await build({
      entryPoints: [entry],
      outfile,
      bundle: true,
      platform: 'node',
      target: 'node20',
      format: 'esm',
      external: ['des.js'],
      nodePaths: [join(import.meta.dirname, '../../node_modules')],
      logLevel: 'error',
    })
    const { stdout } = await promisify(execFile)(process.execPath, [outfile])
    const found = JSON.parse(stdout) as unknown[]
    const refused = (detail: object) =>
      expect.objectContaining({
        name: 'KeystrataError',
        code: 'limit-exceeded',
        detail,
        cause: 'RangeError',
      }) as unknown
    expect(found).toEqual([refused({ memoryKiB: 1_048_576 }), refused({ bytes: 600 * 1024 * 1024 + 49 }), 'done'])
  })
})
