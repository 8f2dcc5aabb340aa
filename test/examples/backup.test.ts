// Tests the backup and restore of the demo, with all kinds of files and with damaged stores.
import { copyFileSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { backUp } from '../../examples/backup.ts'
import { compareFolders, restore } from '../../examples/restore.ts'
import { BLOCKS, CIPHERTEXTS, getHead, Kind, newTally, putContent, withKind } from '../../examples/blocks.ts'
import {
  type Entry,
  type Folder,
  type Listing,
  type Packed,
  packedIn,
  type Snapshot,
  toListing,
} from '../../examples/listing.ts'
import { indexFolder, LogWriter, readIndex } from '../../examples/log.ts'
import { FolderStore } from '../../examples/store.ts'
import { openWriter, unlockKeyset } from '../../src/index.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { failure, flipped, makeKeyset, PASSWORD, quick, quickly, sample } from '../fixtures.ts'
import { makeTree, NAMES, newFolder } from './tree.ts'

beforeAll(() => useBackend(quick))
afterAll(() => useBackend(undefined))

const keyset = await quickly(makeKeyset)
const tree = makeTree()

/** Opens the writer of a host that has no password. */
const newWriter = () => openWriter(keyset.export('host'))

async function backedUp(folder = tree, store = new FolderStore(join(newFolder(), 'store'))) {
  const problems: string[] = []
  const writer = newWriter()
  const { folder: log, last } = await readIndex(store, keyset)
  const index = new LogWriter(writer, store, log, last)
  const pack = (files: readonly Uint8Array[]) => writer.pack(files)
  const options = {
    writer,
    index,
    store,
    pack,
    exclude: [store.root],
    onProblem: (line: string) => problems.push(line),
  }
  const tally = await backUp(folder, options)
  return { store, problems, tally }
}

async function listingOf(store: FolderStore, wanted?: number): Promise<Listing> {
  return (await readIndex(store, keyset, wanted)).listing!
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
const pathsIn = (store: FolderStore, folder = CIPHERTEXTS) =>
  readdirSync(join(store.root, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => join(store.root, folder, name))
    .filter((path) => statSync(path).isFile())

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
    const sizes = pathsIn(store).map((path) => statSync(path).size)
    expect(sizes).toHaveLength(4)
    expect(Math.max(...sizes)).toBe(8 * 1024 * 1024 + 48)
    expect(pathsIn(store, BLOCKS).every((path) => statSync(path).size === 1713 + 32)).toBe(true)
  })

  it('store only new content when they run again', async () => {
    const { store, tally } = await backedUp()
    const again = await backedUp(tree, store)
    expect(again.tally.deduplicated).toBe(again.tally.blocks)
    expect(again.tally.storedBytes).toBe(0)
    expect(again.tally.files).toBe(tally.files)
    const { snapshots, sequence } = await readIndex(store, keyset)
    expect([snapshots, sequence]).toEqual([2, 4])
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
    const writer = newWriter()
    const { folder, last } = await readIndex(store, keyset)
    const evil: Folder = { path: '', entries: [{ name: 'evil', mode: 0, mtimeMs: 0, type: 'link', target: '/' }] }
    await new LogWriter(writer, store, folder, last).add([evil])
    await backedUp(tree, store)
    const { target } = await restored(store)
    expect(await differences(target)).toEqual([])
  })

  it('leave no partly written object in the store', async () => {
    const { store } = await backedUp()
    expect(readdirSync(join(store.root, 'tmp'))).toEqual([])
  })

  it('leave out the store if it is inside the folder', async () => {
    const folder = join(newFolder(), 'home')
    mkdirSync(folder)
    writeFileSync(join(folder, 'file'), 'x')
    const store = new FolderStore(join(folder, 'store'))
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
    await backedUp(tree, store)
    const at = (sequence: number) => join(store.root, indexFolder(0), String(sequence).padStart(8, '0'))
    const [second, third] = [readFileSync(at(2)), readFileSync(at(3))]
    writeFileSync(at(2), flipped(second, 1850))
    await expect(listingOf(store)).rejects.toThrow(/log-00000000\/00000002: this object was altered/)
    writeFileSync(at(2), third)
    await expect(listingOf(store)).rejects.toThrow('altered')
    writeFileSync(at(2), second)
    rmSync(at(3))
    await expect(listingOf(store)).rejects.toThrow('00000004: this object was altered')
    const stranger = openWriter((await makeKeyset()).export('host'))
    await failure(() => stranger.sealRecord(third, second), 'authentication-failed')
  })

  it('stop if another backup is running', async () => {
    const { store } = await backedUp()
    const { folder, last } = await readIndex(store, keyset)
    const [one, other] = [newWriter(), newWriter()].map((writer) => new LogWriter(writer, store, folder, last))
    await one!.add([])
    await expect(other!.add([])).rejects.toThrow('another backup')
  })
})

describe('a store never overwrites', () => {
  it('an existing object', async () => {
    const store = new FolderStore(newFolder())
    expect(await store.put('blocks/aa', Uint8Array.of(1))).toBe(true)
    expect(await store.put('blocks/aa', Uint8Array.of(2))).toBe(false)
    expect(await store.get('blocks/aa')).toEqual(Buffer.from([1]))
    expect(await store.get('blocks/bb')).toBeUndefined()
  })
})

describe('a damaged store', () => {
  type Damage = (path: string) => void
  const cut: Damage = (path) => writeFileSync(path, readFileSync(path).subarray(0, -1))
  const swap: Damage = (path) => {
    const paths = pathsIn(new FolderStore(join(path, '../../..')), path.split('/').at(-3))
    copyFileSync(
      paths.find((other) => other !== path)!,
      path,
    )
  }
  const damages: [string, RegExp, string, Damage][] = [
    ['a ciphertext cut short', /altered/, CIPHERTEXTS, cut],
    ['a ciphertext cut to nothing', /cut short/, CIPHERTEXTS, (path) => writeFileSync(path, '')],
    ['a missing ciphertext', /missing/, CIPHERTEXTS, (path) => rmSync(path)],
    ['a changed byte', /altered/, CIPHERTEXTS, (path) => writeFileSync(path, flipped(readFileSync(path), 3000))],
    ['another ciphertext under its name', /altered/, CIPHERTEXTS, swap],
    ['an envelope cut short', /ciphertext is missing/, BLOCKS, cut],
    ['a missing envelope', /missing/, BLOCKS, (path) => rmSync(path)],
    ['another envelope under its name', /altered/, BLOCKS, swap],
  ]

  it.each(damages)('with %s loses one file, and reports it in one line', async (_, message, folder, damage) => {
    const { store } = await backedUp()
    // Find the block of one file by its label.
    const { label } = await newWriter().prepare(withKind(Kind.piece, readFileSync(join(tree, 'deep', 'medium'))))
    const { hash } = await getHead(store, BLOCKS, label)
    const name = folder === BLOCKS ? label : hash
    damage(join(store.root, folder, name.slice(0, 2), name))
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
    const [{ pack }] = packedIn(listing) as [Packed]
    const { hash } = await getHead(store, BLOCKS, pack)
    const path = join(store.root, CIPHERTEXTS, hash.slice(0, 2), hash)
    writeFileSync(path, flipped(readFileSync(path), 100))
    const { target, problems } = await restored(store)
    expect(problems).toHaveLength(NAMES.length + 1)
    for (const line of problems) expect(line).toMatch(/^cannot restore [^]*altered/)
    expect(readdirSync(target)).toContain('large')
  })
})

describe('a hostile listing', () => {
  /** Restores a made-up listing from a store that holds a block. */
  async function restoring(entries: Entry[], more: Folder[] = []) {
    const store = new FolderStore(join(newFolder(), 'store'))
    const label = await putContent(Buffer.from('\0evil'), newWriter(), store, newTally())
    const listing = toListing({ created: '', files: 0, bytes: 0 }, [{ path: '', entries }, ...more])
    return { label, ...(await restored(store, listing)) }
  }
  const common = { mode: 0o644, mtimeMs: 0 }
  const file = (name: string): Entry => ({ ...common, name, type: 'file', size: 0, pieces: [] })

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

  it('cannot pass a piece off as a pack, or a pack as a piece', async () => {
    const store = new FolderStore(join(newFolder(), 'store'))
    const writer = newWriter()
    const { content, members } = await writer.pack([Buffer.from('packed')])
    const pack = await putContent(withKind(Kind.pack, content), writer, store, newTally())
    const piece = await putContent(withKind(Kind.piece, content), writer, store, newTally())
    const entries: Entry[] = [
      { ...file('pack as piece'), type: 'file', size: 0, pieces: [pack] },
      { ...common, name: 'piece as pack', type: 'file', size: 0, pack: piece, member: members[0]! },
      { ...common, name: 'good', type: 'file', size: 6, pack, member: members[0]! },
    ]
    const listing = toListing({ created: '', files: 0, bytes: 0 }, [{ path: '', entries }])
    const { problems, target } = await restored(store, listing)
    expect(problems.map((line) => line.replace(/^.*: /, ''))).toEqual([
      'the block holds another kind of content',
      'the block holds another kind of content',
    ])
    expect(readFileSync(join(target, 'good'), 'utf8')).toBe('packed')
  })
})
