// The examples of docs/keyset.md run, and what it says is true.
import { describe, expect, it } from 'vitest'
import {
  type BlockReader,
  type BlockWriter,
  changeKeyset,
  checkWriter,
  createKeyset,
  type Keys,
  type Keyset,
  type KeysetWriter,
  loadKeyset,
  openFrom,
  openLog,
  openWriter,
  type PreparedBlock,
  type rekeyBlocks,
  saveKeyset,
  unlockKeyset,
} from '../../src/index.ts'
import type { Destination } from '../../src/keyset/layout.ts'
import { type Blocks, blocksIn, memoryBlobStore, memoryStateStore, type StateStore } from '../../src/stores.ts'
import { all, failure, makeKeyset, PASSWORD, sample } from '../fixtures.ts'
import { functionsOf, noting, printed, quietly, textOf, writeExamples } from './guide.ts'

const { paths } = writeExamples(['keyset.md'])
const guide = textOf('keyset.md')

interface KeysetGuide {
  backUp(content: Uint8Array, writer: BlockWriter, store: Map<string, Uint8Array>): Promise<string>
  restore(label: string, reader: BlockReader, store: Map<string, Uint8Array>): Promise<Uint8Array | undefined>
  backUpSmall(files: Uint8Array[], keys: KeysetWriter, blocks: Blocks, state: StateStore): Promise<string>
  restoreSmall(keys: Keys, blocks: Blocks, state: StateStore, atLeast: string): Promise<Uint8Array[]>
  newPassword(state: StateStore, password: string, next: string): Promise<{ hostExport: Uint8Array; revision: string }>
  regenerate(state: StateStore, password: string): Promise<Uint8Array>
  moveToNewPairs(
    state: StateStore,
    blocks: Blocks,
    keyset: Keyset,
    atLeast: string,
  ): Promise<{ keyset: Keyset; position: string; failed: Awaited<ReturnType<typeof rekeyBlocks>>['failed'] }>
  startAgain(state: StateStore, old: Keyset, password: string, lastGood: string): Promise<Keyset>
}

const guideFunctions = () => quietly(() => functionsOf<KeysetGuide>(paths))

describe('docs/keyset.md', () => {
  it('backs up and restores in its first example', async () => {
    expect(await printed(() => import(`${paths[0]!}?again`))).toEqual(['my file'])
  })

  it('has no function that its test does not call', async () => {
    expect(Object.keys(await guideFunctions()).sort()).toEqual(
      [
        'backUp',
        'backUpSmall',
        'moveToNewPairs',
        'newPassword',
        'regenerate',
        'restore',
        'restoreSmall',
        'startAgain',
      ].sort(),
    )
  })

  it('says what each export can do', async () => {
    using keyset = await makeKeyset()
    const block = await openWriter(keyset.export('host')).seal(Buffer.from('before'))
    using next = keyset.regenerate()
    const later = await openWriter(next.export('host')).seal(Buffer.from('later'))
    const rows = [...guide.matchAll(/^\| `(host|definition|storage)` \|.*$/gm)]
    expect(rows).toHaveLength(3)
    for (const [row, name] of rows as unknown as [string, Destination][]) {
      const bytes = next.export(name)
      using unlocked = await unlockKeyset(bytes, PASSWORD)
      expect(Buffer.from(await unlocked.open(later)).toString()).toBe('later')
      const policy = expect.objectContaining({ code: 'policy' }) as Error
      if (!row.includes('`openWriter`')) expect(() => openWriter(bytes)).toThrow(policy)
      else expect(openWriter(bytes).id).toBe(keyset.id)
      if (row.includes('`policy`')) {
        for (const action of [() => unlocked.card(), () => unlocked.createShare(), () => unlocked.regenerate()]) {
          expect(action).toThrow(policy)
        }
        await failure(() => unlocked.open(block), 'key-not-found')
        const log = openLog(memoryStateStore(), 'backups', unlocked)
        await failure(async () => log.reseal({ atLeast: await log.append(Buffer.from('record')) }), 'policy')
      } else {
        expect(unlocked.card()).toEqual(keyset.card())
        expect(unlocked.createShare().keyset.shares).toHaveLength(1)
        expect(unlocked.regenerate().revision).toMatch(/^3-/)
        expect(Buffer.from(await unlocked.open(block)).toString()).toBe('before')
      }
    }
  })

  it('backs up and restores without a store of keystrata', async () => {
    const { backUp, restore } = await guideFunctions()
    using keyset = await makeKeyset()
    const store: Map<string, Uint8Array> = new Map()
    using writer = openWriter(keyset.export('host'))
    const prepared: PreparedBlock[] = []
    const watched: BlockWriter = {
      seal: (content) => writer.seal(content),
      pack: (files) => writer.pack(files),
      prepare: async (content) => {
        const block = await writer.prepare(content)
        prepared.push(block)
        return block
      },
    }
    const label = await backUp(Buffer.from('content'), watched, store)
    expect(await backUp(Buffer.from('content'), watched, store)).toBe(label)
    expect(store.size).toBe(1)
    // The second block was never sealed, but backUp disposed of it.
    expect(prepared).toHaveLength(2)
    for (const each of prepared) await failure(() => each.seal(), 'disposed')
    expect(Buffer.from((await restore(label, keyset, store))!).toString()).toBe('content')
    expect(await restore('0'.repeat(64), keyset, store)).toBeUndefined()
  })

  it('is right about two sealings with dedup off', async () => {
    using keyset = await makeKeyset({ dedup: 'off' })
    const [first, second] = [await keyset.seal(sample(100)), await keyset.seal(sample(100))]
    expect(first.label).toBe(second.label)
    await failure(() => keyset.open({ ...first, ciphertext: second.ciphertext }), 'authentication-failed')
  })

  it('needs `return await`: without it, `using` disposes of the writer before it seals', async () => {
    using keyset = await makeKeyset()
    const forgotten = async () => {
      using writer = openWriter(keyset.export('host'))
      // eslint-disable-next-line @typescript-eslint/return-await -- the mistake that this test shows
      return writer.seal(Buffer.from('content'))
    }
    const awaited = async () => {
      using writer = openWriter(keyset.export('host'))
      return await writer.seal(Buffer.from('content'))
    }
    await failure(forgotten, 'disposed')
    expect(Buffer.from(await keyset.open(await awaited())).toString()).toBe('content')
  })

  it('packs, logs, rekeys and reseals', async () => {
    const { of, called } = noting(await guideFunctions())
    const [blocks, state] = [blocksIn(memoryBlobStore()), memoryStateStore()]
    using keyset = await makeKeyset()
    await saveKeyset(state, keyset)
    const backUp = (hostExport: Uint8Array, ...texts: string[]) =>
      of.backUpSmall(
        texts.map((text) => Buffer.from(text)),
        openWriter(hostExport),
        blocks,
        state,
      )
    const textsIn = async (by: Keyset, atLeast: string) =>
      (await of.restoreSmall(by, blocks, state, atLeast)).map((file) => Buffer.from(file).toString())
    await backUp(keyset.export('host'), 'one', 'two')
    const position = await backUp(keyset.export('host'), 'three')
    expect(await textsIn(keyset, position)).toEqual(['one', 'two', 'three'])

    using oldWriter = openWriter(keyset.export('host'))
    await checkWriter(state, oldWriter)
    const nextHost = await of.regenerate(state, PASSWORD)
    await failure(() => checkWriter(state, oldWriter), 'stale-export')
    await checkWriter(state, openWriter(nextHost))
    using regenerated = await loadKeyset(state, PASSWORD)
    const moved = await of.moveToNewPairs(state, blocks, regenerated, position)
    expect([moved.position, moved.keyset.retired, moved.failed]).toEqual([position, 0, []])
    await failure(() => checkWriter(state, openWriter(nextHost)), 'stale-export')
    const later = await backUp(moved.keyset.export('host'), 'four')
    expect(await textsIn(moved.keyset, later)).toEqual(['one', 'two', 'three', 'four'])
    await failure(() => textsIn(keyset, later), 'key-not-found')
    await failure(() => textsIn(moved.keyset, `4${later.slice(1)}`), 'rollback')
    expect(called).toEqual(new Set(['backUpSmall', 'restoreSmall', 'regenerate', 'moveToNewPairs']))
  })

  it('is right about a run that ended too late, and how to get its blocks back', async () => {
    const of = await guideFunctions()
    const [blocks, state] = [blocksIn(memoryBlobStore()), memoryStateStore()]
    using keyset = await makeKeyset()
    await saveKeyset(state, keyset)
    const position = await of.backUpSmall([sample(10)], openWriter(keyset.export('host')), blocks, state)
    await of.regenerate(state, PASSWORD)
    using regenerated = await loadKeyset(state, PASSWORD)
    const { keyset: last } = await of.moveToNewPairs(state, blocks, regenerated, position)
    const late = await openWriter(keyset.export('host')).seal(sample(20))
    await blocks.put(late)
    await failure(() => last.open(late), 'key-not-found')
    using adopted = await changeKeyset(state, last, (newest) => newest.adopt(regenerated))
    expect(await adopted.open(late)).toEqual(sample(20))
    const again = await of.moveToNewPairs(state, blocks, adopted, position)
    expect(again.keyset.retired).toBe(0)
    expect(await again.keyset.open((await blocks.get(late.label))!)).toEqual(sample(20))
  })

  it('gives a new password, with the versions that still open with the old one', async () => {
    const of = await guideFunctions()
    const state = memoryStateStore()
    using keyset = await makeKeyset()
    await saveKeyset(state, keyset)
    const { hostExport, revision } = await of.newPassword(state, PASSWORD, 'the next')
    using loaded = await loadKeyset(state, 'the next', { atLeast: revision })
    expect(openWriter(hostExport).revision).toBe(loaded.revision)
    await failure(() => loadKeyset(state, PASSWORD), 'wrong-password')
    expect((await unlockKeyset((await state.readVersion('keyset', 1))!, PASSWORD)).id).toBe(keyset.id)
    let newest = loaded
    for (let change = 3; change <= 12; change++) {
      newest = await changeKeyset(state, newest, (each) => each.regenerate())
    }
    const versions = Array.from({ length: 12 }, (_, index) => state.readVersion('keyset', index + 1))
    expect((await Promise.all(versions)).filter((bytes) => bytes !== undefined)).toHaveLength(8)
    await changeKeyset(state, newest, (each) => each.changePassword('the last', { newMaster: true }))
    expect(await state.readVersion('keyset', 12)).toBeUndefined()
    expect((await state.read('keyset'))!.version).toBe(13)
  })

  it('starts again after a host was broken into', async () => {
    const of = await guideFunctions()
    const [blocks, state] = [blocksIn(memoryBlobStore()), memoryStateStore()]
    using old = await makeKeyset()
    await saveKeyset(state, old)
    using stolen = openWriter(old.export('host'))
    const lastGood = await of.backUpSmall([sample(10)], stolen, blocks, state)
    await of.backUpSmall([sample(666)], stolen, blocks, state)
    using started = await of.startAgain(state, old, 'a new password', lastGood)
    expect(started.id).not.toBe(old.id)
    const planted = await stolen.seal(sample(667))
    expect(await started.open(planted)).toEqual(sample(667))
    const { keyset, failed } = await of.moveToNewPairs(state, blocks, started, lastGood)
    expect([keyset.retired, failed]).toEqual([0, []])
    expect(await of.restoreSmall(keyset, blocks, state, lastGood)).toEqual([sample(10)])
    await failure(() => keyset.open(planted), 'key-not-found')
    using loaded = await loadKeyset(state, 'a new password')
    expect(loaded.id).toBe(started.id)
  })

  it('is right about two machines that change a keyset', async () => {
    const state = memoryStateStore()
    using keyset = await makeKeyset()
    await saveKeyset(state, keyset)
    using here = await keyset.changePassword('here')
    using there = keyset.regenerate()
    await saveKeyset(state, there)
    await failure(() => saveKeyset(state, keyset), 'conflict')
    await failure(() => saveKeyset(state, here), 'forked')
    await failure(() => loadKeyset(state, PASSWORD, { atLeast: here.revision }), 'forked')
    await failure(() => loadKeyset(state, PASSWORD, { atLeast: there.regenerate().revision }), 'rollback')
    using stored = await loadKeyset(state, PASSWORD)
    using merged = stored.adopt(here)
    await saveKeyset(state, merged)
    expect((await loadKeyset(state, PASSWORD, { atLeast: here.revision })).revision).toBe(merged.revision)
  })

  it('says how to go on after a damaged record', async () => {
    const state = memoryStateStore()
    using keyset = await makeKeyset()
    const log = openLog(state, 'backups', keyset)
    await log.append(Buffer.from('first'))
    await log.append(Buffer.from('second'))
    const third = await log.append(Buffer.from('third'))
    const damaging: StateStore = {
      read: (name) => state.read(name),
      write: (...given) => state.write(...given),
      drop: (...given) => state.drop(...given),
      readVersion: async (name, version) => {
        const bytes = await state.readVersion(name, version)
        if (bytes === undefined || !name.includes('/') || version !== 2) return bytes
        const copy = new Uint8Array(bytes)
        copy[copy.length - 1]! ^= 1
        return copy
      },
    }
    const error = await failure(() => all(openLog(damaging, 'backups', keyset).read()), 'authentication-failed')
    const position = String(error.detail['position'])
    expect(position).toMatch(/^2-/)
    const lost: unknown[] = []
    const read = openLog(damaging, 'backups', keyset).read({ onDamaged: (each) => void lost.push(each) })
    expect((await all(read)).map(({ content }) => Buffer.from(content).toString())).toEqual(['first', 'third'])
    expect(lost).toHaveLength(1)
    using regenerated = keyset.regenerate()
    const resealing = openLog(damaging, 'backups', regenerated)
    await failure(() => resealing.reseal({ atLeast: third }), 'authentication-failed')
    expect((await resealing.reseal({ atLeast: third, leaveOut: [position] })).copied).toBe(2)
  })

  it('says what an envelope costs', async () => {
    const sizes = await Promise.all(
      (['hybrid', 'x25519', 'none'] as const).map(async (encryption) => {
        using keyset = await makeKeyset({ encryption })
        return (await keyset.seal(sample(10))).envelope.length
      }),
    )
    expect(sizes).toEqual([1713, 145, 49])
    expect(guide).toContain('1,713 bytes, 145 with `x25519`, and 49 without encryption')
  })

  it('is right about a keyset that began without encryption', async () => {
    using keyset = await makeKeyset({ encryption: 'none' })
    const block = await keyset.seal(sample(10))
    using regenerated = keyset.regenerate({ encryption: 'hybrid' })
    expect((await failure(() => regenerated.rekey(block), 'policy')).detail).toMatchObject({ reseal: true })
    expect(await regenerated.open(block)).toEqual(sample(10))
  })

  it('says what the calls of a log cost', async () => {
    const table = /^\| call \| calls of the store .*\n.*\n((?:\|.*\n)+)/m.exec(guide)![1]!
    const rows = table.trim().split('\n')
    const said = Object.fromEntries(rows.map((row) => row.split(' | ').slice(0, 2) as [string, string]))
    expect(said).toEqual({
      '| `append`': '1 read, 1 write',
      '| `last`': '1 read',
      '| `read` of n records': 'n + 4 reads',
      '| `reseal` of n records': 'about n reads, n + 3 writes, 1 drop',
    })
    const inner = memoryStateStore()
    let calls = { reads: 0, writes: 0, drops: 0 }
    const store: StateStore = {
      read: async (name) => (calls.reads++, inner.read(name)),
      readVersion: async (name, version) => (calls.reads++, inner.readVersion(name, version)),
      write: async (...given) => (calls.writes++, inner.write(...given)),
      drop: async (...given) => (calls.drops++, inner.drop(...given)),
    }
    const during = async (work: () => Promise<unknown>) => {
      calls = { reads: 0, writes: 0, drops: 0 }
      await work()
      return calls
    }
    using keyset = await makeKeyset()
    const log = openLog(store, 'backups', keyset)
    const n = 100
    let position = await log.append(Buffer.from('first'))
    for (let record = 2; record < n; record++) position = await log.append(Buffer.from('content'))
    const appending = await during(async () => (position = await log.append(Buffer.from('last'))))
    expect(appending).toEqual({ reads: 1, writes: 1, drops: 0 })
    expect(await during(() => log.last())).toEqual({ reads: 1, writes: 0, drops: 0 })
    const reading = await during(() => all(openLog(store, 'backups', keyset).read()))
    expect(reading).toEqual({ reads: n + 4, writes: 0, drops: 0 })
    // A new object finds the end of the log first.
    const finding = await during(() => openLog(store, 'backups', keyset).last())
    expect(finding).toEqual({ reads: 4, writes: 0, drops: 0 })
    using regenerated = keyset.regenerate()
    const resealing = await during(() => openLog(store, 'backups', regenerated).reseal({ atLeast: position }))
    expect({ ...resealing, reads: Math.floor(resealing.reads / n) }).toEqual({ reads: 1, writes: n + 3, drops: 1 })
  })

  it('is right about refs: they open what they name', async () => {
    const blocks = blocksIn(memoryBlobStore())
    using keyset = await createKeyset(PASSWORD)
    const block = await keyset.seal(sample(50))
    await blocks.put(block)
    expect(await all(openFrom(blocks, keyset, [block.label]))).toEqual([sample(50)])
  })
})
