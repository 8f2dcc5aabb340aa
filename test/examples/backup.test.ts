// Tests the backup and restore of the demo, with all kinds of files and with damaged stores.
import { copyFileSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { backUp } from '../../examples/backup.ts'
import { BackupLog, BACKUPS, readBackups } from '../../examples/backup-log.ts'
import { compareFolders, restore } from '../../examples/restore.ts'
import { type FolderStore, folderStore, writeNext } from '../../examples/backup-store.ts'
import { type Entry, type Folder, type Listing, refsOf, type Snapshot, toListing } from '../../examples/listing.ts'
import { labelOf, openLog, openWriter, packInto, sealInto, unlockKeyset } from '../../src/index.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { all, failure, flipped, makeKeyset, PASSWORD, quick, quickly, sample } from '../fixtures.ts'
import { makeTree, NAMES, newFolder } from './tree.ts'

beforeAll(() => useBackend(quick))
afterAll(() => useBackend(undefined))

const keyset = await quickly(makeKeyset)
const tree = makeTree()

/** Opens the writer of a host that has no password. */
const newWriter = () => openWriter(keyset.export('host'))

const newStore = () => folderStore(join(newFolder(), 'store'))
const readIndex = ({ state }: FolderStore, snapshot?: number) =>
  readBackups(openLog(state, BACKUPS, keyset), { snapshot })
const openIndex = ({ state }: FolderStore) => new BackupLog(openLog(state, BACKUPS, newWriter()))
const recordsIn = async ({ state }: FolderStore) => (await all(openLog(state, BACKUPS, keyset).read())).length

async function backedUp(folder = tree, store = newStore()) {
  const problems: string[] = []
  const writer = newWriter()
  const index = openIndex(store)
  const options = {
    writer,
    index,
    blocks: store.blocks,
    pack: true,
    exclude: [store.address],
    onProblem: (line: string) => problems.push(line),
  }
  const tally = await backUp(folder, options)
  return { store, problems, tally, position: index.position }
}

async function listingOf(store: FolderStore, wanted?: number): Promise<Listing> {
  return (await readIndex(store, wanted)).listing!
}

async function restored(store: FolderStore, listing?: Listing) {
  const reader = await unlockKeyset(keyset.export('storage'), PASSWORD)
  const target = join(newFolder(), 'restored')
  const problems: string[] = []
  const from = listing ?? (await listingOf(store))
  const tally = await restore(target, from, { reader, store, onProblem: (line) => problems.push(line) })
  return { target, problems, tally }
}

async function differences(target: string): Promise<string[]> {
  const lines: string[] = []
  await compareFolders(tree, target, [], (line) => lines.push(line))
  return lines
}

/** Returns the paths of all objects in a folder of a store. */
const pathsIn = (store: FolderStore, folder: string) =>
  readdirSync(join(store.address, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => join(store.address, folder, name))
    .filter((path) => statSync(path).isFile())

/** Returns the path of the file that holds a blob. */
function fileOf(blob: string): string {
  const files = readdirSync(blob)
  expect(files).toHaveLength(1)
  return join(blob, files[0]!)
}

/** Returns the paths of the head and of the ciphertext of a block. */
function pathsOf(store: FolderStore, label: string): { head: string; data: string } {
  const head = fileOf(join(store.address, 'head', label))
  const hash = readFileSync(head).subarray(-32).toString('hex')
  return { head, data: fileOf(join(store.address, 'data', hash)) }
}

describe('backup and restore', () => {
  it('restore contents, names, links, modes and times', async () => {
    const { store, problems, tally } = await backedUp()
    expect(problems).toEqual([])
    const back = await restored(store)
    expect(back.problems).toEqual([])
    expect(await differences(back.target)).toEqual([])
    expect(back.tally.files).toBe(tally.files)
    expect(readdirSync(join(back.target, 'deep')).sort()).toEqual([...NAMES, 'deeper', 'medium'].sort())
    const every = readdirSync(tree, { recursive: true, encoding: 'utf8' })
    expect(every.length).toBeGreaterThan(20)
    for (const name of every) {
      const [was, is] = [lstatSync(join(tree, name)), lstatSync(join(back.target, name))]
      expect([name, is.mode]).toEqual([name, was.mode])
      // Deno stores times in whole milliseconds.
      expect(Math.abs(is.mtimeMs - was.mtimeMs), name).toBeLessThan(1.5)
    }
  })

  it('split large files into blocks of 8 MiB, store identical blocks once, and pack small files', async () => {
    const { store, tally } = await backedUp()
    // Both pieces of the copy.
    expect(tally.deduplicated).toBe(2)
    expect(tally.packed).toBe(NAMES.length + 1)
    expect(tally.blocks).toBe(2 + 2 + 1 + 1)
    expect(tally.newBytes).toBe(tally.bytes - statSync(join(tree, 'large copy')).size)
    const sizes = pathsIn(store, 'data').map((path) => statSync(path).size)
    expect(sizes).toHaveLength(4)
    expect(Math.max(...sizes)).toBe(8 * 1024 * 1024 + 48)
    expect(pathsIn(store, 'head').every((path) => statSync(path).size === 4 + 1713 + 32)).toBe(true)
  })

  it('store only new content when they run again', async () => {
    const { store, tally } = await backedUp()
    const again = await backedUp(tree, store)
    expect(again.tally.deduplicated).toBe(again.tally.blocks)
    expect(again.tally.newBytes).toBe(0)
    expect(again.tally.files).toBe(tally.files)
    expect([(await readIndex(store)).snapshots, await recordsIn(store)]).toEqual([2, 4])
    expect(await listingOf(store, 1)).toEqual({ ...(await listingOf(store)), snapshot: expect.anything() as Snapshot })
    expect(await listingOf(store, 3)).toBeUndefined()
  })

  it('fill several packs, few of which change when one file changes', async () => {
    const folder = join(newFolder(), 'many')
    mkdirSync(folder)
    for (let file = 0; file < 400; file++) writeFileSync(join(folder, `${file}`), sample(60_000, file))
    const { store, tally } = await backedUp(folder)
    expect(tally.packed).toBe(400)
    expect(tally.blocks).toBeGreaterThan(3)
    writeFileSync(join(folder, '0'), sample(61_000, 1234))
    const again = await backedUp(folder, store)
    expect(again.tally.blocks - again.tally.deduplicated).toBeLessThan(again.tally.blocks / 2)
    const { target, problems } = await restored(store)
    expect(problems).toEqual([])
    const lines: string[] = []
    await compareFolders(folder, target, [], (line) => lines.push(line))
    expect(lines).toEqual([])
  })

  it('ignore what an interrupted run has listed', async () => {
    const { store } = await backedUp()
    const evil: Folder = { path: '', entries: [{ name: 'evil', mode: 0, mtimeMs: 0, type: 'link', target: '/' }] }
    await openIndex(store).add([evil])
    await backedUp(tree, store)
    const { target } = await restored(store)
    expect(await differences(target)).toEqual([])
  })

  it('leave no partly written object in the store', async () => {
    const { store } = await backedUp()
    expect(readdirSync(join(store.address, '_tmp'))).toEqual([])
  })

  it('leave out the store if it is inside the folder', async () => {
    const folder = join(newFolder(), 'home')
    mkdirSync(folder)
    writeFileSync(join(folder, 'file'), 'x')
    const store = folderStore(join(folder, 'store'))
    await backedUp(folder, store)
    expect((await backedUp(folder, store)).tally.files).toBe(1)
  })

  it('refuse a target that is not empty', async () => {
    const { store } = await backedUp()
    const reader = await unlockKeyset(keyset.export('host'), PASSWORD)
    const listing = await listingOf(store)
    await expect(restore(tree, listing, { reader, store, onProblem: () => undefined })).rejects.toThrow('not empty')
  })

  it('refuse an index with a changed, missing or foreign record', async () => {
    const { store } = await backedUp()
    const { position } = await backedUp(tree, store)
    const [id] = readdirSync(join(store.address, 'log')) as [string]
    const at = (version: number) => join(store.address, 'log', id, '0', `_${version}`)
    const [second, third] = [readFileSync(at(2)), readFileSync(at(3))]
    const elsewhere = memoryStateStore()
    const stranger = await makeKeyset()
    for (let record = 0; record < 2; record++) await openLog(elsewhere, BACKUPS, stranger).append(sample(10))
    const foreign = (await elsewhere.readVersion(`log/${id}/0`, 2))!
    for (const wrong of [flipped(second, 1850), third, foreign]) {
      writeFileSync(at(2), wrong)
      await expect(listingOf(store)).rejects.toThrow(/^record 2-0{32} of this log \(epoch 0, version 2\) is damaged: /)
    }
    rmSync(at(2))
    const reader = openLog(store.state, BACKUPS, keyset)
    await failure(() => readBackups(reader, { atLeast: position }), 'rollback', 'missing')
    writeFileSync(at(2), second)
    expect((await readBackups(reader, { atLeast: position })).snapshots).toBe(2)
  })

  it('can run twice at the same time: each adds its own backup to the index', async () => {
    const store = newStore()
    const [one, other] = [join(newFolder(), 'one'), join(newFolder(), 'other')]
    for (const folder of [one, other]) {
      mkdirSync(folder)
      for (let file = 0; file < 20; file++) writeFileSync(join(folder, `${file}`), `${folder} ${file}`)
    }
    const runs = await Promise.all([backedUp(one, store), backedUp(other, store)])
    expect(runs.map(({ tally }) => tally.files)).toEqual([20, 20])
    expect([(await readIndex(store)).snapshots, await recordsIn(store)]).toEqual([2, 4])
    const found = await Promise.all(
      [1, 2].map(async (wanted) => (await restored(store, await listingOf(store, wanted))).target),
    )
    const texts = found.map((target) => readFileSync(join(target, '7'), 'utf8'))
    expect(texts.sort()).toEqual([`${one} 7`, `${other} 7`].sort())
  })
})

describe('the index', () => {
  it('goes on behind a resealing, and keeps the positions of its records', async () => {
    const { store, position } = await backedUp()
    using regenerated = keyset.regenerate()
    const index = openLog(store.state, BACKUPS, regenerated)
    expect(await index.reseal({ atLeast: position! })).toEqual({ position, copied: 2 })
    using last = regenerated.forgetRetired('unchecked')
    using writer = openWriter(last.export('host'))
    await new BackupLog(openLog(store.state, BACKUPS, writer)).finish({ created: '', files: 0, bytes: 0 })
    const reader = openLog(store.state, BACKUPS, last)
    expect((await readBackups(reader, { atLeast: position })).snapshots).toBe(2)
    await failure(() => readIndex(store), 'key-not-found')
  })

  it('that lost its end is refused by whoever knows the position', async () => {
    const { store } = await backedUp()
    const { position } = await backedUp(tree, store)
    const cut = newStore()
    for (const version of [1, 2, 3]) {
      const [name, record] = await recordAt(store, version)
      await cut.state.write(name, version, record)
    }
    expect((await readIndex(cut)).snapshots).toBe(1)
    const error = await failure(
      () => readBackups(openLog(cut.state, BACKUPS, keyset), { atLeast: position }),
      'rollback',
    )
    expect(error.message).toContain('this log ends at record 3')
  })

  /** Returns the name and the bytes of a record. */
  async function recordAt({ address, state }: FolderStore, version: number): Promise<[string, Uint8Array]> {
    const [id] = readdirSync(join(address, 'log'))
    return [`log/${id}/0`, (await state.readVersion(`log/${id}/0`, version))!]
  }
})

describe('writing the next version of an object', () => {
  const add = (value: number) => (newest: Uint8Array | undefined) => Buffer.from([...(newest ?? []), value])

  it('loses nothing that others write at the same time', async () => {
    const state = memoryStateStore()
    const versions = await Promise.all(Array.from({ length: 20 }, (_, value) => writeNext(state, 'all', add(value))))
    expect(versions.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
    expect([...(await state.read('all'))!.bytes].sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, v) => v))
  })

  it('recognises its own write if the store answers false', async () => {
    const state = memoryStateStore()
    const repeating = {
      ...state,
      write: async (...args: Parameters<typeof state.write>) => (await state.write(...args), false),
    }
    expect(await writeNext(repeating, 'all', add(7))).toBe(1)
    expect([...(await state.read('all'))!.bytes]).toEqual([7])
  })

  it('gives up with an error on a store that refuses everything', async () => {
    const refusing = { ...memoryStateStore(), write: async () => false }
    await expect(writeNext(refusing, 'all', add(7))).rejects.toThrow('other writers changed all first')
  })
})

describe('a damaged store', () => {
  type Damage = (path: string) => void
  const cut: Damage = (path) => writeFileSync(path, readFileSync(path).subarray(0, -1))
  const swap: Damage = (path) => {
    const folder = join(path, '../..')
    const other = readdirSync(folder).find((name) => name !== basename(join(path, '..')))!
    copyFileSync(fileOf(join(folder, other)), path)
  }
  const damages: [string, RegExp, 'head' | 'data', Damage][] = [
    ['a ciphertext cut short', /altered/, 'data', cut],
    ['a ciphertext cut to nothing', /cut short/, 'data', (path) => writeFileSync(path, '')],
    ['a missing ciphertext', /not its ciphertext/, 'data', (path) => rmSync(path)],
    ['a changed byte', /altered/, 'data', (path) => writeFileSync(path, flipped(readFileSync(path), 3000))],
    ['another ciphertext under its name', /altered/, 'data', swap],
    ['an envelope cut short', /not its ciphertext/, 'head', cut],
    ['a missing envelope', /no block with this label/, 'head', (path) => rmSync(path)],
    ['another envelope under its name', /altered/, 'head', swap],
  ]

  it.each(damages)('with %s loses one file, and reports it in one line', async (_, message, folder, damage) => {
    const { store } = await backedUp()
    // Find the block of one file by its label.
    const { label } = await newWriter().prepare(readFileSync(join(tree, 'deep', 'medium')))
    damage(pathsOf(store, label)[folder])
    const { target, problems } = await restored(store)
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(message)
    expect(problems[0]).toMatch(/^cannot restore .*medium: [^\n]*$/)
    expect(await differences(target)).toEqual([expect.stringContaining('medium')])
    expect(readdirSync(join(target, 'deep'))).not.toContain('medium')
  })

  it('with a damaged pack loses only the files in the pack', async () => {
    const { store } = await backedUp()
    const listing = await listingOf(store)
    const packed = refsOf(listing).find((ref) => ref.length > labelOf(ref).length)!
    const path = pathsOf(store, labelOf(packed)).data
    writeFileSync(path, flipped(readFileSync(path), 100))
    const { target, problems } = await restored(store)
    expect(problems).toHaveLength(NAMES.length + 1)
    for (const line of problems) expect(line).toMatch(/^cannot restore [^]*altered/)
    expect(readdirSync(target)).toContain('large')
  })
})

describe('a hostile listing', () => {
  /** Restores a made-up listing. */
  async function restoring(entries: Entry[], more: Folder[] = [], store = newStore()) {
    return restored(store, toListing({ created: '', files: 0, bytes: 0 }, [{ path: '', entries }, ...more]))
  }
  const common = { mode: 0o644, mtimeMs: 0 }
  const file = (name: string): Entry => ({ ...common, name, type: 'file', size: 0, refs: [] })

  it.each(['..', '.', '', '../escaped', '/absolute', 'a/b', 'nul\0byte'])(
    'cannot use a name that leads outside the folder: %j',
    async (name) => {
      const { problems, target } = await restoring([file(name), file('good')])
      expect(problems).toHaveLength(1)
      expect(problems[0]).toMatch('leads outside')
      expect(readdirSync(target)).toEqual(['good'])
      expect(readdirSync(join(target, '..'))).toEqual(['restored'])
    },
  )

  it('cannot write through a link that it created before', async () => {
    const outside = newFolder()
    writeFileSync(join(outside, 'mine'), 'precious')
    const entries: Entry[] = [
      { ...common, name: 'door', type: 'link', target: outside },
      { ...common, name: 'door', type: 'folder' },
      { ...common, name: 'window', type: 'link', target: join(outside, 'mine') },
      file('window'),
    ]
    const { problems } = await restoring(entries, [
      { path: 'door', entries: [file('planted')] },
      { path: '../../elsewhere', entries: [file('planted')] },
    ])
    expect(problems).toHaveLength(2)
    expect(readdirSync(outside)).toEqual(['mine'])
    expect(readFileSync(join(outside, 'mine'), 'utf8')).toBe('precious')
  })

  it('cannot pass a piece off as a pack, a pack as a piece, or one file as another', async () => {
    const store = newStore()
    const writer = newWriter()
    const files = [Buffer.from('packed'), Buffer.from('another one')]
    const [packed, another] = (await all(packInto(store.blocks, writer, files))).map(({ ref }) => ref) as [
      string,
      string,
    ]
    const piece = (await all(sealInto(store.blocks, writer, [Buffer.from('a piece')])))[0]!.ref
    const memberOf = (ref: string) => ref.slice(labelOf(ref).length)
    const wrong = {
      'pack as piece': labelOf(packed),
      'piece as pack': piece + memberOf(packed),
      'another file': another,
      'the key of another file': memberOf(another).replace('.1.', '.0.').replace(/^/, labelOf(packed)),
      'no such file': packed.replace('.0.', '.2.'),
      'no ref': `${packed}x`,
    }
    const entries = Object.entries({ ...wrong, good: packed, 'good, too': another }).map(([name, ref]): Entry => ({
      ...file(name),
      type: 'file',
      size: name === 'good, too' ? 11 : 6,
      refs: [ref],
    }))
    const { problems, target } = await restoring(entries, [], store)
    expect(problems).toHaveLength(6)
    expect(problems[0]).toMatch(/it has \d+ bytes, and not 6$/)
    expect(problems[2]).toMatch('it has 11 bytes, and not 6')
    expect(readdirSync(target).sort()).toEqual(['good', 'good, too'])
    expect(readFileSync(join(target, 'good'), 'utf8')).toBe('packed')
  })
})
