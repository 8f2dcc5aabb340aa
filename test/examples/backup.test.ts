// The demo's backup and restore: any tree, any damage.
import { copyFileSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { backUp } from '../../examples/backup.ts'
import { compareFolders, restore } from '../../examples/restore.ts'
import {
  encodeContent,
  type Entry,
  getSnapshot,
  Kind,
  newTally,
  putContent,
  type Snapshot,
} from '../../examples/snapshot.ts'
import { FolderStore } from '../../examples/store.ts'
import { openWriter, unlockKeyset } from '../../src/index.ts'
import { flipped, makeKeyset, PASSWORD } from '../fixtures.ts'
import { makeTree, NAMES, newFolder } from './tree.ts'

const keyset = await makeKeyset()
const tree = makeTree()

async function backedUp(folder = tree) {
  const store = new FolderStore(join(newFolder(), 'store'))
  const problems: string[] = []
  const writer = openWriter(keyset.export('host'))
  const tally = await backUp(folder, { writer, store, onProblem: (line) => problems.push(line) })
  return { store, problems, tally }
}

async function restored(store: FolderStore, snapshot?: Snapshot) {
  const reader = await unlockKeyset(keyset.export('source-storage'), PASSWORD)
  const target = join(newFolder(), 'restored')
  const problems: string[] = []
  const from = snapshot ?? (await getSnapshot(reader, store))
  const tally = await restore(target, from, { reader, store, onProblem: (line) => problems.push(line) })
  return { target, problems, tally }
}

async function differences(target: string): Promise<string[]> {
  const lines: string[] = []
  await compareFolders(tree, target, [], (line) => lines.push(line))
  return lines
}

/** The paths of all blocks in a store. */
const blockPaths = (store: FolderStore) =>
  readdirSync(join(store.root, 'blocks'), { recursive: true, encoding: 'utf8' })
    .map((name) => join(store.root, 'blocks', name))
    .filter((path) => statSync(path).isFile())

describe('backup and restore', () => {
  it('bring everything back: contents, names, links, modes, times', async () => {
    const { store, problems, tally } = await backedUp()
    expect(problems).toEqual([])
    const back = await restored(store)
    expect(back.problems).toEqual([])
    expect(await differences(back.target)).toEqual([])
    expect(back.tally.files).toBe(tally.files)
    expect(readdirSync(join(back.target, 'deep')).sort()).toEqual([...NAMES, 'deeper'].sort())
    const every = readdirSync(tree, { recursive: true, encoding: 'utf8' })
    expect(every.length).toBeGreaterThan(20)
    for (const name of every) {
      const [was, is] = [lstatSync(join(tree, name)), lstatSync(join(back.target, name))]
      expect([name, is.mode, Math.round(is.mtimeMs)]).toEqual([name, was.mode, Math.round(was.mtimeMs)])
    }
  })

  it('cut large files into blocks of 8 MiB, and store equal ones once', async () => {
    const { store, tally } = await backedUp()
    expect(tally.deduplicated).toBeGreaterThanOrEqual(2)
    const sizes = blockPaths(store).map((path) => statSync(path).size)
    expect(Math.max(...sizes)).toBe(8 * 1024 * 1024 + 1713 + 48)
  })

  it('store only what is new when they run again', async () => {
    const { store, tally } = await backedUp()
    const before = blockPaths(store).length
    const writer = openWriter(keyset.export('host'))
    const again = await backUp(tree, { writer, store, onProblem: () => undefined })
    expect(again.deduplicated).toBe(again.blocks - 1)
    expect(blockPaths(store).length).toBe(before + 1)
    expect(again.storedBytes).toBeLessThan(3000)
    expect(again.files).toBe(tally.files)
    expect(readdirSync(join(store.root, 'snapshots'))).toHaveLength(2)
  })

  it('leave nothing half written in the store', async () => {
    const { store } = await backedUp()
    expect(readdirSync(join(store.root, 'tmp'))).toEqual([])
  })

  it('leave out the store where it lies in the folder', async () => {
    const folder = join(newFolder(), 'home')
    mkdirSync(folder)
    writeFileSync(join(folder, 'file'), 'x')
    const store = new FolderStore(join(folder, 'store'))
    const writer = openWriter(keyset.export('host'))
    const options = { writer, store, exclude: [store.root], onProblem: () => undefined }
    await backUp(folder, options)
    expect((await backUp(folder, options)).files).toBe(1)
  })

  it('refuse a target that is not empty', async () => {
    const { store } = await backedUp()
    const reader = await unlockKeyset(keyset.export('host'), PASSWORD)
    const snapshot = await getSnapshot(reader, store)
    await expect(restore(tree, snapshot, { reader, store, onProblem: () => undefined })).rejects.toThrow('not empty')
  })
})

describe('a store never overwrites', () => {
  it('an object that is there', async () => {
    const store = new FolderStore(newFolder())
    expect(await store.put('blocks/aa', Uint8Array.of(1))).toBe(true)
    expect(await store.put('blocks/aa', Uint8Array.of(2))).toBe(false)
    expect(await store.get('blocks/aa')).toEqual(Buffer.from([1]))
    expect(await store.get('blocks/bb')).toBeUndefined()
  })
})

describe('a damaged store', () => {
  const damages: [string, RegExp, (path: string) => void][] = [
    ['a block cut short', /altered|cut short/, (path) => writeFileSync(path, readFileSync(path).subarray(0, -1))],
    ['a block cut to nothing', /not a well-formed envelope/, (path) => writeFileSync(path, '')],
    ['a missing block', /missing/, (path) => rmSync(path)],
    ['a changed byte', /altered/, (path) => writeFileSync(path, flipped(readFileSync(path), 3000))],
    [
      'another block under its name',
      /altered/,
      (path) => {
        const paths = blockPaths(new FolderStore(join(path, '../../..')))
        copyFileSync(
          paths.find((other) => other !== path)!,
          path,
        )
      },
    ],
  ]

  it.each(damages)('%s costs one line that names the file, and that file alone', async (_, message, damage) => {
    const { store } = await backedUp()
    const reader = await unlockKeyset(keyset.export('host'), PASSWORD)
    const writer = openWriter(keyset.export('host'))
    // The block of one file, found by its label.
    const content = Buffer.concat([Uint8Array.of(Kind.piece), readFileSync(join(tree, 'deep', '数据.bin'))])
    const { label } = await writer.prepare(content)
    const snapshot = await getSnapshot(reader, store)
    const path = join(store.root, 'blocks', label.slice(0, 2), label)
    damage(path)
    const { target, problems } = await restored(store, snapshot)
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(message)
    expect(problems[0]).toMatch(/^cannot restore .*数据\.bin: [^\n]*$/)
    expect(await differences(target)).toEqual([expect.stringContaining('数据.bin')])
    expect(readdirSync(join(target, 'deep'))).not.toContain('数据.bin')
  })
})

describe('a hostile snapshot', () => {
  async function restoring(entries: Entry[]) {
    const store = new FolderStore(join(newFolder(), 'store'))
    const writer = openWriter(keyset.export('host'))
    const folder = await putContent(encodeContent(Kind.folder, entries), writer, store, newTally())
    const piece = await putContent(Buffer.from('\0evil'), writer, store, newTally())
    return { writer, store, folder, piece, back: await restored(store, { created: '', files: 0, bytes: 0, folder }) }
  }
  const common = { mode: 0o644, mtimeMs: 0 }
  const file = (name: string): Entry => ({ ...common, name, type: 'file', size: 0, pieces: [] })

  it.each(['..', '.', '', '../escaped', '/absolute', 'a/b', 'nul\0byte'])(
    'a name that leads elsewhere is refused: %j',
    async (name) => {
      const { back } = await restoring([file(name), file('good')])
      expect(back.problems).toHaveLength(1)
      expect(back.problems[0]).toMatch('leads elsewhere')
      expect(readdirSync(back.target)).toEqual(['good'])
      expect(readdirSync(join(back.target, '..'))).toEqual(['restored'])
    },
  )

  it('nothing is written through a link that came before it', async () => {
    const outside = newFolder()
    writeFileSync(join(outside, 'mine'), 'precious')
    const inner: Entry[] = [file('planted')]
    const store = new FolderStore(join(newFolder(), 'store'))
    const writer = openWriter(keyset.export('host'))
    const innerLabel = await putContent(encodeContent(Kind.folder, inner), writer, store, newTally())
    const entries: Entry[] = [
      { ...common, name: 'door', type: 'link', target: outside },
      { ...common, name: 'door', type: 'folder', folder: innerLabel },
      { ...common, name: 'window', type: 'link', target: join(outside, 'mine') },
      file('window'),
    ]
    const folder = await putContent(encodeContent(Kind.folder, entries), writer, store, newTally())
    const { problems } = await restored(store, { created: '', files: 0, bytes: 0, folder })
    expect(problems).toHaveLength(2)
    expect(readdirSync(outside)).toEqual(['mine'])
    expect(readFileSync(join(outside, 'mine'), 'utf8')).toBe('precious')
  })

  it('a file is never read as a folder, nor a folder as a file', async () => {
    const store = new FolderStore(join(newFolder(), 'store'))
    const writer = openWriter(keyset.export('host'))
    const looksLikeFolder = Buffer.concat([Uint8Array.of(Kind.piece), encodeContent(Kind.folder, [file('evil')])])
    const label = await putContent(looksLikeFolder, writer, store, newTally())
    await expect(restored(store, { created: '', files: 0, bytes: 0, folder: label })).rejects.toThrow('something else')
  })
})
