// The stores in a folder, on a real file system, used by real processes that are killed.
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { CheckedStore, StoreMistake } from '../../src/state/checked.ts'
import { blobStoreLaws, stateStoreLaws } from '../../src/stores/contract.ts'
import { folderBlobStore, folderStateStore } from '../../src/stores/folder.ts'
import { checkStore } from '../../src/stores.ts'
import { all } from '../fixtures.ts'
import { countsIn, Reports } from './adding.ts'
import { withCall } from './interleave.ts'

const root = mkdtempSync(join(tmpdir(), 'keystrata-folder-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const newFolder = () => join(mkdtempSync(join(root, 'store-')), 'new', 'folder')

/** In memory where possible: the laws write thousands of small files, and no law is about disks. */
const inMemory = existsSync('/dev/shm') ? mkdtempSync('/dev/shm/keystrata-folder-') : root
afterAll(() => rmSync(inMemory, { recursive: true, force: true }))
const lawFolder = () => mkdtempSync(join(inMemory, 'law-'))

const bytes = (text: string) => new TextEncoder().encode(text)
const filesIn = (folder: string) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()

describe('a StateStore in a folder', () => {
  it.each(stateStoreLaws(() => folderStateStore(lawFolder())))('keeps the law: $name', ({ check }) => check())

  it('passes checkStore again and again', async () => {
    const store = folderStateStore(newFolder())
    for (let start = 0; start < 3; start++) await checkStore(store)
    await Promise.all([checkStore(store), checkStore(store)])
  })

  it('has the files of the specification, readable by the owner alone, and no others', async () => {
    const folder = newFolder()
    const store = folderStateStore(folder)
    for (let version = 1; version <= 4; version++) await store.write('log/x', version, bytes(String(version)))
    await store.write('log/x/1', 1, bytes('another'))
    await store.drop('log/x', 3)
    expect(filesIn(folder)).toEqual(['log/x/1/_1', 'log/x/_3', 'log/x/_4', 'log/x/_floor'])
    expect(readFileSync(join(folder, 'log/x/_floor'), 'utf8')).toBe('3')
    expect(readFileSync(join(folder, 'log/x/_4'), 'utf8')).toBe('4')
    for (const file of filesIn(folder)) expect(statSync(join(folder, file)).mode & 0o777, file).toBe(0o600)
    for (const path of ['.', '_tmp', 'log', 'log/x'])
      expect(statSync(join(folder, path)).mode & 0o777, path).toBe(0o700)
  })

  it('finishes what a drop that was killed has left', async () => {
    const folder = newFolder()
    const store = folderStateStore(folder)
    for (let version = 1; version <= 5; version++) await store.write('keyset', version, bytes(String(version)))
    writeFileSync(join(folder, 'keyset/_floor'), '4')
    expect((await store.read('keyset'))?.version).toBe(5)
    expect(await store.readVersion('keyset', 3)).toBeUndefined()
    await store.drop('keyset', 4)
    expect(filesIn(join(folder, 'keyset'))).toEqual(['_4', '_5', '_floor'])
  })

  it.each([1, 2, 3, 4, 5, 8])('finds the newest version when the file of version %i is lost', async (lost) => {
    const folder = newFolder()
    const store = folderStateStore(folder)
    for (let version = 1; version <= 9; version++) await store.write('keyset', version, bytes(`${version}`))
    rmSync(join(folder, `keyset/_${lost}`))
    expect(await store.read('keyset')).toEqual({ version: 9, bytes: bytes('9') })
    expect(await store.readVersion('keyset', lost)).toBeUndefined()
    const left = [1, 2, 3, 4, 5, 6, 7, 8, 9].filter((version) => version !== lost)
    expect((await all(store.readVersions!('keyset', 1))).map(({ version }) => version)).toEqual(left)
    // The lost number is not free.
    expect(await store.write('keyset', lost, bytes('new'))).toBe(false)
    expect(await store.write('keyset', 10, bytes('10'))).toBe(true)
    expect((await store.read('keyset'))?.version).toBe(10)
  })

  it('takes no other file for a version', async () => {
    const folder = newFolder()
    const store = folderStateStore(folder)
    await store.write('keyset', 1, bytes('1'))
    for (const name of ['_02', '_x', '3', '_-4', '_99999999999999999999', '_5 (copy)']) {
      writeFileSync(join(folder, 'keyset', name), 'other')
    }
    expect(await store.read('keyset')).toEqual({ version: 1, bytes: bytes('1') })
    expect(await store.write('keyset', 2, bytes('2'))).toBe(true)
  })

  it('says that files are missing instead of starting anew', async () => {
    const folder = newFolder()
    const store = folderStateStore(folder)
    for (let version = 1; version <= 3; version++) await store.write('keyset', version, bytes(String(version)))
    await store.drop('keyset', 3)
    rmSync(join(folder, 'keyset/_3'))
    await expect(store.read('keyset')).rejects.toThrow('_floor says 3, but there is no _3 and no higher version')
    await expect(store.write('keyset', 1, bytes('new'))).rejects.toThrow('files are missing')
    expect(filesIn(join(folder, 'keyset'))).toEqual(['_floor'])
    writeFileSync(join(folder, 'keyset/_floor'), '3 apples')
    await expect(store.read('keyset')).rejects.toThrow('_floor is damaged')
  })

  it.each(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EISDIR', 'EXDEV'])(
    'refuses a file system on which link fails with %s, and leaves nothing there',
    async (code) => {
      const folder = newFolder()
      const refuse = () => Promise.reject(Object.assign(new Error(code), { code }))
      await withCall('link', refuse, async () => {
        await expect(folderStateStore(folder).write('keyset', 1, bytes('1'))).rejects.toThrow(StoreMistake)
      })
      expect(filesIn(folder)).toEqual([])
    },
  )

  it('throws any other error of the file system as it is', async () => {
    const folder = newFolder()
    const full = Object.assign(new Error('no space left'), { code: 'ENOSPC' })
    await withCall(
      'link',
      () => Promise.reject(full),
      async () => {
        await expect(folderStateStore(folder).write('keyset', 1, bytes('1'))).rejects.toBe(full)
      },
    )
    expect(filesIn(folder)).toEqual([])
  })
})

describe('a BlobStore in a folder', () => {
  it.each(blobStoreLaws(() => folderBlobStore(lawFolder())))('keeps the law: $name', ({ check }) => check())

  it('passes checkStore again and again, and keeps nothing of it', async () => {
    const folder = newFolder()
    const store = folderBlobStore(folder)
    for (let start = 0; start < 3; start++) await checkStore(store)
    await Promise.all([checkStore(store), checkStore(store)])
    expect(filesIn(folder)).toEqual([])
    expect(readdirSync(join(folder, 'check'))).toEqual([])
  })

  it('has one file for each blob, readable by the owner alone, and keeps its number when it is replaced', async () => {
    const folder = newFolder()
    const store = folderBlobStore(folder)
    await store.put('head/ab', bytes('1'))
    const before = filesIn(folder)
    await store.replace('head/ab', bytes('1'), bytes('2'))
    expect(filesIn(folder)).toEqual(before)
    expect(before).toEqual([expect.stringMatching(/^head\/ab\/_\d{16}$/)])
    expect(readFileSync(join(folder, before[0]!), 'utf8')).toBe('2')
    expect(statSync(join(folder, before[0]!)).mode & 0o777).toBe(0o600)
  })

  it('never gives a number twice in one process, although the clock stops or goes back', async () => {
    const folder = lawFolder()
    const [one, other] = [folderBlobStore(folder), folderBlobStore(folder)]
    const now = Date.now()
    const clock = vi.spyOn(Date, 'now')
    const numbers: number[] = []
    try {
      // Of 200 random numbers below 1,000, two are equal.
      for (let index = 0; index < 200; index++) {
        clock.mockReturnValue(index < 150 ? now : now - 1000 * index)
        const store = index % 2 === 0 ? one : other
        expect(await store.put('head/ab', bytes('1'))).toBe(true)
        numbers.push(Number(readdirSync(join(folder, 'head/ab'))[0]!.slice(1)))
        await store.delete('head/ab')
      }
    } finally {
      clock.mockRestore()
    }
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    expect(new Set(numbers).size).toBe(200)
  })

  it('reads the highest number, whatever program wrote it', async () => {
    const folder = newFolder()
    const store = folderBlobStore(folder)
    await store.put('head/ab', bytes('old'))
    const [file] = readdirSync(join(folder, 'head/ab'))
    writeFileSync(join(folder, 'head/ab', `_${Number(file!.slice(1)) + 10}`), 'newer')
    writeFileSync(join(folder, 'head/ab', '_9'), 'left behind')
    expect(await store.get('head/ab')).toEqual(bytes('newer'))
    await store.delete('head/ab')
    expect(existsSync(join(folder, 'head/ab'))).toBe(false)
  })

  it('lists names in order, also those between a blob and the blobs below it', async () => {
    const store = folderBlobStore(newFolder())
    const names = ['a', 'a-b', 'a-b/c', 'a/b', 'a/b/c', 'a1', 'b']
    for (const name of names.toReversed()) await store.put(name, bytes(name))
    const found: string[] = []
    for await (const { name } of store.list('')) found.push(name)
    expect(found).toEqual(names)
    expect(names.toSorted()).toEqual(names)
  })
})

describe('both stores in a folder', () => {
  it('refuse a name that would leave the folder, before they touch it', async () => {
    const folder = newFolder()
    const [store, blobs] = [folderStateStore(folder), folderBlobStore(folder)]
    const name = '../outside'
    for (const call of [
      () => store.read(name),
      () => store.readVersion(name, 1),
      () => store.readVersions!(name, 1)[Symbol.asyncIterator]().next(),
      () => store.write(name, 1, bytes('1')),
      () => store.drop(name, 2),
      () => blobs.get(name),
      () => blobs.put(name, bytes('1')),
      () => blobs.replace(name, bytes('1'), bytes('2')),
      () => blobs.delete(name),
      () => blobs.list(name)[Symbol.asyncIterator]().next(),
    ]) {
      await expect(call()).rejects.toThrow(TypeError)
    }
    expect(await store.readVersion('keyset', '/../../secret' as unknown as number)).toBeUndefined()
    expect(existsSync(folder)).toBe(false)
    expect(() => folderStateStore('')).toThrow(TypeError)
  })

  it('delete temporary files of killed processes after a day, and no younger ones', async () => {
    const folder = newFolder()
    await folderStateStore(folder).write('keyset', 1, bytes('1'))
    const [old, young] = [join(folder, '_tmp/old'), join(folder, '_tmp/young')]
    for (const path of [old, young]) writeFileSync(path, 'left behind')
    const yesterday = Date.now() / 1000 - 25 * 3600
    utimesSync(old, yesterday, yesterday)
    await folderBlobStore(folder).put('head/a', bytes('1'))
    expect(readdirSync(join(folder, '_tmp'))).toEqual(['young'])
  })

  it('share a folder', async () => {
    const folder = newFolder()
    await Promise.all([checkStore(folderStateStore(folder)), checkStore(folderBlobStore(folder))])
    const names: string[] = []
    for await (const { name } of folderBlobStore(folder).list('head')) names.push(name)
    expect(names).toEqual([])
  })
})

/** What can have the name of a version or a blob, without being a file that can be read. */
const unreadable: { what: string; make: (path: string) => void; message: string; isPossible: boolean }[] = [
  {
    what: 'a symbolic link to nothing',
    make: (path) => symlinkSync('nowhere', path),
    message: 'is a symbolic link to a file that does not exist',
    isPossible: process.platform !== 'win32',
  },
  {
    what: 'a symbolic link to itself',
    make: (path) => symlinkSync(path, path),
    message: 'ELOOP',
    isPossible: process.platform !== 'win32',
  },
  {
    what: 'a folder',
    make: (path) => mkdirSync(path),
    message: process.platform === 'win32' ? 'E' : 'is not a file',
    isPossible: true,
  },
  {
    what: 'a pipe',
    make: (path) => void execFileSync('mkfifo', [path]),
    message: 'is not a file',
    isPossible: process.platform !== 'win32',
  },
  {
    what: 'a file that may not be read',
    make: (path) => {
      writeFileSync(path, '5')
      chmodSync(path, 0)
    },
    message: 'EACCES',
    isPossible: (process.getuid?.() ?? 0) !== 0,
  },
]

describe.each(unreadable)('$what with the name of a version or a blob', ({ make, message, isPossible }) => {
  it.runIf(isPossible)('is an error of a StateStore, and the other versions stay readable', async () => {
    const folder = newFolder()
    const store = folderStateStore(folder)
    for (let version = 1; version <= 4; version++) await store.write('keyset', version, bytes(`${version}`))
    const path = join(folder, 'keyset/_5')
    make(path)
    await expect(store.read('keyset')).rejects.toThrow(message)
    await expect(store.read('keyset')).rejects.toThrow(path)
    expect(await store.write('keyset', 5, bytes('5'))).toBe(false)
    expect(await store.readVersion('keyset', 4)).toEqual(bytes('4'))
    // Its number counts as used, like that of a file that was lost.
    expect(await store.write('keyset', 6, bytes('6'))).toBe(true)
    expect(await store.read('keyset')).toEqual({ version: 6, bytes: bytes('6') })
    const isMissing = message.includes('does not exist')
    if (isMissing) {
      expect(await store.readVersion('keyset', 5)).toBeUndefined()
      expect((await all(store.readVersions!('keyset', 4))).map(({ version }) => version)).toEqual([4, 6])
    } else {
      await expect(store.readVersion('keyset', 5)).rejects.toThrow(message)
      await expect(all(store.readVersions!('keyset', 4))).rejects.toThrow(message)
    }
  })

  it.runIf(isPossible)('is an error of a BlobStore, and the other blobs stay readable', async () => {
    const folder = newFolder()
    const blobs = folderBlobStore(folder)
    for (const name of ['head/a', 'head/b']) await blobs.put(name, bytes(name))
    const path = join(folder, 'head/a', `_${Number.MAX_SAFE_INTEGER}`)
    make(path)
    await expect(blobs.get('head/a')).rejects.toThrow(message)
    await expect(blobs.get('head/a')).rejects.toThrow(path)
    expect(await blobs.put('head/a', bytes('new'))).toBe(false)
    expect(await blobs.get('head/b')).toEqual(bytes('head/b'))
  })
})

it.runIf(process.platform !== 'win32')('a symbolic link to a file is read like the file', async () => {
  const folder = newFolder()
  const store = folderStateStore(folder)
  await store.write('keyset', 1, bytes('1'))
  writeFileSync(join(folder, 'elsewhere'), '2')
  symlinkSync('../elsewhere', join(folder, 'keyset/_2'))
  expect(await store.read('keyset')).toEqual({ version: 2, bytes: bytes('2') })
})

describe('processes that are killed at random moments', () => {
  const seconds = process.env['SLOW'] === '1' ? 60 : 3

  it('lose nothing that was acknowledged, and block nobody', { timeout: 120_000 }, async () => {
    // A killed process loses no bytes of a file, synced or not, so the faster place shows more.
    const folder = lawFolder()
    const reports = new Reports()
    // Bundled, because a program that loads TypeScript takes a second to start, and this test starts many.
    const program = join(root, 'writer.mjs')
    await build({
      entryPoints: [join(import.meta.dirname, 'folder-writer.ts')],
      outfile: program,
      bundle: true,
      platform: 'node',
      target: 'node20',
      format: 'esm',
      tsconfig: join(import.meta.dirname, '../../tsconfig.json'),
    })
    const end = Date.now() + seconds * 1000
    const latest = end + 45_000
    let kills = 0
    // A slow machine takes longer for what shows anything.
    const isEnough = () => reports.total > 10 * seconds && kills >= seconds
    const isOver = () => Date.now() >= (isEnough() ? end : latest)
    const lives = async (writer: string) => {
      while (!isOver()) {
        const running = reports.start(program, [folder, writer, String(Math.max(latest - Date.now(), 0))])
        const pause = new Promise((resolve) => setTimeout(resolve, 200 + Math.random() * 800))
        await Promise.race([running.ended, pause])
        if (isOver()) break
        kills++
        await running.kill()
      }
    }
    try {
      await Promise.all(['one', 'two', 'three', 'four'].map(lives))
    } finally {
      await reports.killAll()
    }
    expect(reports.wrong).toEqual([])
    const store = new CheckedStore(folderStateStore(folder))
    const stored: Record<string, Uint8Array | undefined> = {
      'log/a': (await store.read('log/a'))?.bytes,
      'log/b': (await store.read('log/b'))?.bytes,
      'head/a': await folderBlobStore(folder).get('head/a'),
    }
    let unanswered = 0
    for (const [name, content] of Object.entries(stored)) {
      const counts = countsIn(content)
      for (const writer of ['one', 'two', 'three', 'four']) {
        const [there, acknowledged] = [counts[writer]?.count ?? 0, reports.acknowledged.get(`${name} ${writer}`) ?? 0]
        expect(there, `${writer} in ${name}`).toBeGreaterThanOrEqual(acknowledged)
        unanswered += there - acknowledged
      }
    }
    // Each kill interrupts one operation, whose answer nobody has read.
    expect(unanswered).toBeLessThanOrEqual(kills + 4)
    expect(reports.total).toBeGreaterThan(10 * seconds)
    expect(kills).toBeGreaterThanOrEqual(seconds)
    if (process.env['SLOW'] === '1')
      console.log({ kills, acknowledged: reports.total, unanswered, ...Object.fromEntries(reports.counted) })
    await store.write('log/a', ((await store.read('log/a'))?.version ?? 0) + 1, bytes('{}'))
    await folderBlobStore(folder).delete('head/b')
    expect(await folderBlobStore(folder).put('head/b', bytes('1'))).toBe(true)
  })
})
