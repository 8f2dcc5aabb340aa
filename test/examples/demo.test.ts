// Runs the demo from the command line, as a user does, on a real folder.
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { makeTree, newFolder } from './tree.ts'

const root = join(import.meta.dirname, '../..')
const run = promisify(execFile)

interface Outcome {
  stdout: string
  code: number
  stderr: string
}

const demo = (...args: string[]): Promise<Outcome> => demoWith('correct horse', ...args)

async function demoWith(password: string, ...args: string[]): Promise<Outcome> {
  const env = { ...process.env, KEYSTRATA_PASSWORD: password }
  try {
    const { stdout, stderr } = await run('node', ['--import', 'tsx', 'examples/demo.ts', ...args], { cwd: root, env })
    return { stdout, stderr, code: 0 }
  } catch (error) {
    return error as Outcome
  }
}

const slow = process.env['SLOW'] === '1'
const tree = makeTree()
const folder = newFolder()
const store = join(folder, 'store')
/** The position that the second backup has named. */
let position = ''
const inside = (name: string) =>
  readdirSync(join(store, name), { recursive: true, encoding: 'utf8' })
    .map((each) => join(store, name, each))
    .filter((path) => statSync(path).isFile())

describe('npm run demo', () => {
  // CI also runs these demos on their own. They are slow: in portable code one key derivation takes seconds.
  it.runIf(slow)('backs up, regenerates, restores, and shares one folder', async () => {
    const args = ['--store', store, '--restore', join(folder, 'first'), '--regenerate', '--share', 'deep/deeper']
    const { stdout, stderr, code } = await demo(tree, ...args)
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch('regenerated the key pairs: 4 envelopes and 2 records are now under the new ones')
    expect(stdout).toMatch('0 bytes of the 4 ciphertexts were rewritten')
    expect(stdout.match(/Every file was restored exactly\./g)).toHaveLength(2)
    expect(stdout).toMatch('shared deep/deeper: 1 blocks')
    expect(stdout).toMatch('3 other blocks do not open for the second user')
    expect(stdout).toMatch('10 other files in the shared packs do not open either')
    expect(readdirSync(join(folder, 'first shared')).sort()).toEqual(['deepest', 'looks like a folder'])
    // One version each for creating, regenerating, forgetting the retired pairs, and sharing.
    expect(
      inside('keyset')
        .map((path) => basename(path))
        .sort(),
    ).toEqual(['_1', '_2', '_3', '_4'])
  })

  it.runIf(slow)('continues in the same store and restores an older backup', async () => {
    const before = new Map(inside('data').map((path) => [path, statSync(path).mtimeMs]))
    writeFileSync(join(tree, 'empty file 2'), '')
    const second = await demo(tree, '--store', store, '--restore', join(folder, 'second'), '--regenerate')
    expect(second.code).toBe(0)
    for (const [path, written] of before) expect(statSync(path).mtimeMs).toBe(written)
    const older = join(folder, 'older')
    position = /the index ends at (4-[0-9a-f]{32});/.exec(second.stdout)![1]!
    const restoring = ['--restore-only', '--store', store, '--restore', older, '--snapshot', '1']
    expect((await demo(...restoring, '--at-least', position)).code).toBe(0)
    expect(readdirSync(older)).not.toContain('empty file 2')
    expect(readFileSync(join(older, 'deep', 'ascii.txt'))).toEqual(readFileSync(join(tree, 'deep', 'ascii.txt')))
  })

  it.runIf(slow)('refuses an index that ends before a position', async () => {
    const restoring = ['--restore-only', '--store', store, '--restore', join(folder, 'none'), '--at-least']
    const { code, stderr } = await demo(...restoring, `5${position.slice(1)}`)
    expect(code).toBe(1)
    expect(stderr).toMatch('this log ends at record 4')
  })

  it.runIf(slow)('runs two clients and a server, and restores from what they stored', async () => {
    const [own, target] = [join(newFolder(), 'store'), join(folder, 'client')]
    const played = await demo(tree, '--model', 'client', '--store', own, '--restore', target)
    expect([played.code, played.stderr]).toEqual([0, ''])
    expect(played.stdout).toMatch('desktop has enrolled and proved its keys; its state on the server is provisional')
    expect(played.stdout.match(/Every file was restored exactly\./g)).toHaveLength(4)
    expect(played.stdout).toMatch(/\d+ blocks of an old client were opened under DES, and sealed again under AES-256/)
    expect(played.stdout).toMatch('laptop is refused: the provider requires that it deposits its keys in escrow')
    expect(played.stdout).toMatch('cannot open it')
    expect(played.stdout).toMatch('a new machine is laptop again; its state on storage-1 is locked')
    expect(readdirSync(`${target} of the laptop that was lost`)).toContain('only on the laptop')
    expect(played.stdout).toMatch(
      'desktop has connected again with the keys from its own database; its state is now locked',
    )
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

  it.runIf(slow)(
    'opens a backup whose password, sheet and second holder are lost, and again with the code',
    async () => {
      const own = join(newFolder(), 'store')
      const args = ['--model', 'recovery', '--store', own]
      const sheet = `${own} recovery sheet.html`
      const codes: string[] = []
      // A second run removes the slots of the first one.
      for (const name of ['recovery', 'recovery again']) {
        const { stdout, stderr, code } = await demo(tree, ...args, '--restore', join(folder, name))
        expect([code, stderr]).toEqual([0, ''])
        expect(stdout.match(/Every file was restored exactly\./g)).toHaveLength(1)
        expect(stdout).toMatch(`the sheet to print is ${sheet}`)
        expect(stdout).toMatch('each of the 3 slots opens the keyset')
        expect(stdout).toMatch('3 different parts of this recovery code are needed, and 2 were given')
        expect(stdout).toMatch('part 2 of these 3 is mistyped')
        expect(stdout).toMatch('renewed the other 2 slots')
        expect(stdout).toMatch('the friend has no way in any more')
        expect(stdout).toMatch('each of the 2 slots opens the keyset')
        expect(statSync(sheet).mode & 0o777).toBe(0o600)
        const groups = [...readFileSync(sheet, 'utf8').matchAll(/<li>([A-Z0-9]{5})<\/li>/g)].map((match) => match[1])
        codes.push(groups.join(' ').toLowerCase())
        // Two groups, because one may come by chance in the hex digits of a position.
        const printed = stdout.replaceAll(/[^\dA-Za-z]/g, '').toUpperCase()
        expect(printed).not.toContain(groups[3]! + groups[4]!)
      }
      const restoring = ['--restore-only', ...args, '--restore']
      for (const [index, typed] of ['correct horse', codes[1]!].entries()) {
        const target = join(folder, `recovery only ${index}`)
        expect((await demoWith(typed, ...restoring, target)).code).toBe(0)
        expect(readFileSync(join(target, 'large'))).toEqual(readFileSync(join(tree, 'large')))
      }
      const of = (typed: string) => demoWith(typed, ...restoring, join(folder, 'none'))
      expect((await of('another password')).stderr).toMatch('the password is wrong')
      expect((await of(codes[0]!)).stderr).toMatch('no slot of this keyset is for this key')
    },
    300_000,
  )

  it('rejects options that it cannot use, with a message', async () => {
    for (const args of [
      ['--share', 'deep', '--model', 'vault'],
      ['--regenerate', '--restore-only', '--store', store],
      ['--share', 'deep', '--model', 'recovery'],
      ['--restore-only', '--store', store, '--snapshot', 'x'],
    ]) {
      const { code, stderr } = await demo(...args)
      expect(code).toBe(1)
      expect(stderr).toMatch(/^(--share and --regenerate go with|--snapshot takes)/)
    }
  })
})
