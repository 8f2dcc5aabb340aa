// The examples of docs/keyset.md run, and what it says is true.
import { describe, expect, it } from 'vitest'
import {
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
  parseBlock,
  type PreparedBlock,
  rekeyBlocks,
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
  backUpSmall(files: Uint8Array[], keys: KeysetWriter, blocks: Blocks, state: StateStore): Promise<string>
  restoreSmall(keys: Keys, blocks: Blocks, state: StateStore, atLeast: string): Promise<Uint8Array[]>
  rekeyAndForget(
    state: StateStore,
    blocks: Blocks,
    keyset: Keyset,
    atLeast: string,
  ): Promise<{ keyset: Keyset; position: string; failed: Awaited<ReturnType<typeof rekeyBlocks>>['failed'] }>
  replaceKeyset(state: StateStore, old: Keyset, password: string, lastGood: string): Promise<Keyset>
}

const guideFunctions = () => quietly(() => functionsOf<KeysetGuide>(paths))

/** The first step of "Rotate the key pairs". Returns the new host export. */
async function regenerateIn(state: StateStore): Promise<Uint8Array> {
  using keyset = await loadKeyset(state, PASSWORD)
  using regenerated = await changeKeyset(state, keyset, (newest) => newest.regenerate())
  return regenerated.export('host')
}

describe('docs/keyset.md', () => {
  it('backs up and restores in its first example', async () => {
    expect(await printed(() => import(`${paths[0]!}?again`))).toEqual(['my file'])
  })

  it('has no function that its test does not call', async () => {
    expect(Object.keys(await guideFunctions()).sort()).toEqual(
      ['backUp', 'backUpSmall', 'rekeyAndForget', 'replaceKeyset', 'restoreSmall'].sort(),
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
    const { backUp } = await guideFunctions()
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
    const opened = await keyset.open(parseBlock(store.get(label)!, label))
    expect(Buffer.from(opened).toString()).toBe('content')
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
    const nextHost = await regenerateIn(state)
    await failure(() => checkWriter(state, oldWriter), 'stale-export')
    await checkWriter(state, openWriter(nextHost))
    using regenerated = await loadKeyset(state, PASSWORD)
    const moved = await of.rekeyAndForget(state, blocks, regenerated, position)
    expect([moved.position, moved.keyset.retired, moved.failed]).toEqual([position, 0, []])
    await failure(() => checkWriter(state, openWriter(nextHost)), 'stale-export')
    const later = await backUp(moved.keyset.export('host'), 'four')
    expect(await textsIn(moved.keyset, later)).toEqual(['one', 'two', 'three', 'four'])
    await failure(() => textsIn(keyset, later), 'key-not-found')
    await failure(() => textsIn(moved.keyset, `4${later.slice(1)}`), 'rollback')
    expect(called).toEqual(new Set(['backUpSmall', 'restoreSmall', 'rekeyAndForget']))
  })

  it('is right about a run that ended too late, and how to get its blocks back', async () => {
    const of = await guideFunctions()
    const [blocks, state] = [blocksIn(memoryBlobStore()), memoryStateStore()]
    using keyset = await makeKeyset()
    await saveKeyset(state, keyset)
    const position = await of.backUpSmall([sample(10)], openWriter(keyset.export('host')), blocks, state)
    await regenerateIn(state)
    using regenerated = await loadKeyset(state, PASSWORD)
    const { keyset: last } = await of.rekeyAndForget(state, blocks, regenerated, position)
    const late = await openWriter(keyset.export('host')).seal(sample(20))
    await blocks.put(late)
    await failure(() => last.open(late), 'key-not-found')
    using adopted = await changeKeyset(state, last, (newest) => newest.adopt(regenerated))
    expect(await adopted.open(late)).toEqual(sample(20))
    const again = await of.rekeyAndForget(state, blocks, adopted, position)
    expect(again.keyset.retired).toBe(0)
    expect(await again.keyset.open((await blocks.get(late.label))!)).toEqual(sample(20))
  })

  it('gives a new password, with the versions that still open with the old one', async () => {
    const state = memoryStateStore()
    using keyset = await makeKeyset()
    await saveKeyset(state, keyset)
    using changed = await changeKeyset(state, keyset, (newest) => newest.changePassword('the next'))
    using loaded = await loadKeyset(state, 'the next', { atLeast: changed.revision })
    expect(openWriter(changed.export('host')).revision).toBe(loaded.revision)
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
    using started = await of.replaceKeyset(state, old, 'a new password', lastGood)
    expect(started.id).not.toBe(old.id)
    const planted = await stolen.seal(sample(667))
    expect(await started.open(planted)).toEqual(sample(667))
    const { keyset, failed } = await of.rekeyAndForget(state, blocks, started, lastGood)
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
    const blocks = blocksIn(memoryBlobStore())
    await blocks.put(block)
    const { failed } = await rekeyBlocks(blocks, regenerated)
    expect(failed.map(({ label, error }) => [label, error.detail['reseal']])).toEqual([[block.label, true]])
    expect(await regenerated.open(block)).toEqual(sample(10))
  })

  it('is right about refs: a label is one', async () => {
    const blocks = blocksIn(memoryBlobStore())
    using keyset = await createKeyset(PASSWORD)
    const block = await keyset.seal(sample(50))
    await blocks.put(block)
    expect(await all(openFrom(blocks, keyset, [block.label]))).toEqual([sample(50)])
  })
})
