// The demo as a user starts it: a whole life of a keyset on a real folder.
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { makeTree, newFolder } from './tree.ts'

const root = join(import.meta.dirname, '../..')
const run = promisify(execFile)

async function demo(...args: string[]): Promise<{ stdout: string; code: number; stderr: string }> {
  const env = { ...process.env, KEYSTRATA_PASSWORD: 'correct horse' }
  try {
    const { stdout, stderr } = await run('node', ['--import', 'tsx', 'examples/demo.ts', ...args], { cwd: root, env })
    return { stdout, stderr, code: 0 }
  } catch (error) {
    return error as { stdout: string; code: number; stderr: string }
  }
}

const slow = process.env['SLOW'] === '1'
const tree = makeTree()
const folder = newFolder()
const store = join(folder, 'store')
const inside = (name: string) =>
  readdirSync(join(store, name), { recursive: true, encoding: 'utf8' })
    .map((each) => join(store, name, each))
    .filter((path) => statSync(path).isFile())

describe('npm run demo', () => {
  // CI starts these demos by themselves, too: in portable code a derivation takes seconds.
  it.runIf(slow)('backs up, regenerates, restores, and shares one folder', async () => {
    const args = ['--store', store, '--restore', join(folder, 'first'), '--regenerate', '--share', 'deep/deeper']
    const { stdout, stderr, code } = await demo(tree, ...args)
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch('regenerated: 4 envelopes and 3 records are under new key pairs')
    expect(stdout).toMatch('0 ciphertext bytes were rewritten, of 4 ciphertexts')
    expect(stdout.match(/Every file was restored exactly\./g)).toHaveLength(2)
    expect(stdout).toMatch('shared deep/deeper: 1 blocks')
    expect(stdout).toMatch('3 other blocks do not open for him')
    expect(stdout).toMatch('10 other files in the packs that he has do not open either')
    expect(readdirSync(join(folder, 'first shared')).sort()).toEqual(['deepest', 'looks like a folder'])
    // The keyset: created, regenerated, forgotten, shared.
    expect(inside('keyset')).toHaveLength(4)
  })

  it.runIf(slow)('goes on in the same store, and restores an older backup', async () => {
    const before = new Map(inside('data').map((path) => [path, statSync(path).mtimeMs]))
    writeFileSync(join(tree, 'empty file 2'), '')
    const { code } = await demo(tree, '--store', store, '--restore', join(folder, 'second'), '--regenerate')
    expect(code).toBe(0)
    for (const [path, written] of before) expect(statSync(path).mtimeMs).toBe(written)
    const older = join(folder, 'older')
    const { stdout } = await demo('--restore-only', '--store', store, '--restore', older, '--snapshot', '1')
    expect(stdout).toMatch('the index is log-00000002')
    expect(readdirSync(older)).not.toContain('empty file 2')
    expect(readFileSync(join(older, 'deep', 'ascii.txt'))).toEqual(readFileSync(join(tree, 'deep', 'ascii.txt')))
  })

  it.runIf(slow)('plays two clients and a server, and restores from what they left', async () => {
    const [own, target] = [join(newFolder(), 'store'), join(folder, 'client')]
    const played = await demo(tree, '--model', 'client', '--store', own, '--restore', target)
    expect([played.code, played.stderr]).toEqual([0, ''])
    expect(played.stdout).toMatch('desktop is enrolled, and has proven its keys; the server knows it as provisional')
    expect(played.stdout.match(/Every file was restored exactly\./g)).toHaveLength(4)
    expect(played.stdout).toMatch(/\d+ blocks of an old client were opened under DES, and sealed anew under AES-256/)
    expect(played.stdout).toMatch('laptop is refused: its provider demands that keys are deposited')
    expect(played.stdout).toMatch('cannot open it')
    expect(played.stdout).toMatch('it is laptop again, on a new machine; storage-1 knows it as locked')
    expect(readdirSync(`${target} of the laptop that was lost`)).toContain('only on the laptop')
    expect(played.stdout).toMatch('desktop has connected again, from its own database; it is locked')
    expect(played.stdout).toMatch('a desktop with another key is refused')
    expect(readdirSync(`${target} of the laptop`)).toContain('only on the laptop')
    const older = join(folder, 'client older')
    const { stdout } = await demo(
      '--restore-only',
      '--model',
      'client',
      '--store',
      own,
      '--restore',
      older,
      '--snapshot',
      '1',
    )
    expect(stdout).toMatch('files')
    expect(readFileSync(join(older, 'deep', 'medium'))).toEqual(readFileSync(join(tree, 'deep', 'medium')))
  })

  it('says what it does not understand', async () => {
    for (const args of [
      ['--share', 'deep', '--model', 'vault'],
      ['--regenerate', '--restore-only', '--store', store],
      ['--restore-only', '--store', store, '--snapshot', 'x'],
    ]) {
      const { code, stderr } = await demo(...args)
      expect(code).toBe(1)
      expect(stderr).toMatch(/^(--share and --regenerate go with|--snapshot takes)/)
    }
  })
})
