// The program of docs/restore.md restores files, also from a damaged disk, and its messages are those of the page.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { changeKeyset, loadKeyset, openLog, saveKeyset, sealInto } from '../../src/index.ts'
import { addSlot, deriveRecoveryKey, generateRecoveryCode, recoverKeyset } from '../../src/recovery.ts'
import { blocksIn, type StateStore } from '../../src/stores.ts'
import { folderBlobStore, folderStateStore } from '../../src/stores/folder.ts'
import { all, makeKeyset, PASSWORD, sample } from '../fixtures.ts'
import { codeIn, printed, textOf, writeExamples } from './guide.ts'

const { folder } = writeExamples(['restore.md'])
const disk = mkdtempSync(join(tmpdir(), 'keystrata-disk-'))
const [keys, data] = [join(disk, 'keys'), join(disk, 'data')]
const recoveryCode = generateRecoveryCode()
const [one, two] = [Buffer.from(sample(100)), Buffer.from(sample(200, 2))]

let runs = 0

/** Runs the program of the page, which asks for the code. Returns what it prints. */
async function run(keysFolder: string, dataFolder: string, out: string, code = recoveryCode): Promise<string[]> {
  const program = join(folder, `restore-${runs++}.mjs`)
  writeFileSync(program, codeIn('restore.md', 'js').slice(0, 2).join(''))
  vi.doMock('node:readline/promises', () => ({
    createInterface: () => ({ question: async () => code, close: () => undefined }),
  }))
  const { argv } = process
  process.argv = ['node', program, keysFolder, dataFolder, out]
  try {
    return await printed(() => import(program))
  } finally {
    process.argv = argv
    vi.doUnmock('node:readline/promises')
  }
}

beforeAll(async () => {
  const state = folderStateStore(keys)
  using keyset = await makeKeyset()
  await saveKeyset(state, keyset)
  using key = await deriveRecoveryKey({ code: recoveryCode })
  await addSlot(state, keyset, key, { label: 'Sheet' })
  const blocks = blocksIn(folderBlobStore(data))
  const refs = (await all(sealInto(blocks, keyset, [one, two]))).map(({ ref }) => ref)
  const log = openLog(state, 'backups', keyset)
  await log.append(Buffer.from(JSON.stringify({ 'a file': [refs[0]] })))
  await log.append(Buffer.from(JSON.stringify({ 'a file': refs, 'photos/b': [refs[1]], '../../c': [refs[0]] })))
})
const filesIn = (path: string): string[] =>
  readdirSync(path, { recursive: true, encoding: 'utf8' })
    .map((name) => join(path, name))
    .filter((each) => statSync(each).isFile())

function damage(path: string) {
  const bytes = readFileSync(path)
  bytes[bytes.length - 1]! ^= 1
  writeFileSync(path, bytes)
}

/** Checks that the table of messages has this one. */
async function expectMessage(message: string, running: Promise<unknown>) {
  await expect(running).rejects.toThrow(message)
  expect(textOf('restore.md')).toContain(`| \`${message}\``)
}

afterAll(() => rmSync(disk, { recursive: true }))

describe('docs/restore.md', () => {
  it('restores every file of the newest backup, and nothing outside the folder', async () => {
    const out = join(disk, 'out')
    const [restoring, ...lines] = await run(keys, data, out, recoveryCode.toLowerCase())
    expect(restoring).toMatch(/^restoring 3 files of record 2-/)
    expect(lines).toEqual(['3 files restored, 0 lost'])
    expect(readFileSync(join(out, 'a file'))).toEqual(Buffer.concat([one, two]))
    expect(readFileSync(join(out, 'photos/b'))).toEqual(two)
    expect(readFileSync(join(out, 'c'))).toEqual(one)
  })

  it('says what its messages mean', async () => {
    const out = join(disk, 'never')
    const mistyped = (recoveryCode.startsWith('A') ? 'B' : 'A') + recoveryCode.slice(1)
    await expectMessage('the recovery code is mistyped', run(keys, data, out, mistyped))
    await expectMessage('the store has no slots', run(data, data, out))
    await expectMessage('no slot of this keyset is for this key', run(keys, data, out, generateRecoveryCode()))
    await expectMessage('file already exists', run(keys, data, keys))
    for (const wrong of [keys, join(data, 'data')]) {
      const lines = await run(keys, wrong, mkdtempSync(join(disk, 'wrong-')) + '/out')
      expect(lines.filter((line) => line.endsWith(': the store has no block with this label'))).toHaveLength(3)
    }
    const empty = join(disk, 'empty')
    cpSync(keys, empty, { recursive: true })
    rmSync(join(empty, 'log'), { recursive: true })
    await expectMessage('the log is empty', run(empty, data, out))
  })

  it('goes on when blocks and records are damaged', async () => {
    const [damagedKeys, damagedData] = [join(disk, 'damaged-keys'), join(disk, 'damaged-data')]
    cpSync(data, damagedData, { recursive: true })
    for (const path of filesIn(join(damagedData, 'data')).filter((each) => readFileSync(each).length > 200))
      damage(path)
    const lines = await run(keys, damagedData, join(disk, 'some'))
    expect(lines.filter((line) => line.startsWith('not restored: '))).toHaveLength(2)
    expect(lines.at(-1)).toBe('1 files restored, 2 lost')
    expect(filesIn(join(disk, 'some'))).toEqual([join(disk, 'some/c')])

    cpSync(keys, damagedKeys, { recursive: true })
    damage(filesIn(join(damagedKeys, 'log')).find((path) => path.endsWith('_2'))!)
    const [damaged, restoring] = await run(damagedKeys, data, join(disk, 'older'))
    expect(damaged).toMatch(/^damaged record 2-/)
    expect(restoring).toMatch(/^restoring 1 files of record 1-/)
  })

  it('recovers an older version of a damaged keyset', async () => {
    const program = join(folder, 'older.mjs')
    writeFileSync(program, codeIn('restore.md', 'js')[2]!)
    const { withOlderKeyset } = (await import(program)) as {
      withOlderKeyset: (store: StateStore, before: number) => Promise<StateStore>
    }
    const copy = join(disk, 'damaged-keyset')
    cpSync(keys, copy, { recursive: true })
    const store = folderStateStore(copy)
    using key = await deriveRecoveryKey({ code: recoveryCode })
    using first = await recoverKeyset(store, key)
    using _ = await changeKeyset(store, first, (newest) => newest.regenerate())
    damage(join(copy, 'keyset/_2'))
    await expect(recoverKeyset(store, key)).rejects.toMatchObject({ code: 'malformed' })
    await expect(loadKeyset(store, PASSWORD)).rejects.toMatchObject({ code: 'malformed' })
    const older = await withOlderKeyset(store, 1)
    using recovered = await recoverKeyset(older, key)
    using loaded = await loadKeyset(older, PASSWORD)
    expect([recovered.revision, loaded.revision]).toEqual([first.revision, first.revision])
  })
})
