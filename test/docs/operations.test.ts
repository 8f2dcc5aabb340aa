// What docs/operations.md says about old heads, a damaged keyset, unused ciphertexts and the floor of a host is true.
import { describe, expect, it } from 'vitest'
import {
  changeKeyset,
  checkRetired,
  type Keyset,
  loadKeyset,
  openFrom,
  openLog,
  openWriter,
  rekeyBlocks,
  saveKeyset,
  sealInto,
  unlockKeyset,
} from '../../src/index.ts'
import {
  type BlobStore,
  blocksIn,
  checkBlocks,
  memoryBlobStore,
  memoryStateStore,
  type StateStore,
} from '../../src/stores.ts'
import { all, failure, flipped, hex, makeKeyset, PASSWORD, sample } from '../fixtures.ts'

const content = sample(1000)

/** Rekeys everything after new key pairs, and forgets the old ones. */
async function rotated(state: StateStore, blobs: BlobStore, keyset: Keyset): Promise<Keyset> {
  const blocks = blocksIn(blobs)
  const regenerated = await changeKeyset(state, keyset, (newest) => newest.regenerate())
  await rekeyBlocks(blocks, regenerated)
  return changeKeyset(state, regenerated, async (newest) =>
    newest.forgetRetired(await checkRetired(blocks, newest, { logs: [] })),
  )
}

describe('docs/operations.md', () => {
  it('a host finds old heads with isCurrent, and an older version of the keyset repairs them', async () => {
    const state = memoryStateStore()
    const blobs = memoryBlobStore()
    const blocks = blocksIn(blobs)
    const first = await makeKeyset()
    await saveKeyset(state, first)
    await all(sealInto(blocks, first, [content]))
    const { name } = (await all(blobs.list('head/')))[0]!
    const old = (await blobs.get(name))!
    const keyset = await rotated(state, blobs, first)
    const writer = openWriter(keyset.export('host'))
    const areCurrent = async () => (await all(blocks.heads())).map(({ envelope }) => writer.isCurrent(envelope))
    expect(await areCurrent()).toEqual([true])

    expect(await blobs.replace(name, (await blobs.get(name))!, old)).toBe(true)
    const [sealed] = await all(sealInto(blocks, writer, [content]))
    expect(sealed!.isNew).toBe(false)
    await failure(() => all(openFrom(blocks, keyset, [sealed!.ref])), 'key-not-found')
    expect(await all(checkBlocks(blobs, { readData: true }))).toEqual([])
    expect(await areCurrent()).toEqual([false])

    const { version } = (await state.read('keyset'))!
    const before = await unlockKeyset((await state.readVersion('keyset', version - 1))!, PASSWORD)
    const repaired = await changeKeyset(state, keyset, (newest) => newest.adopt(before))
    expect(await rekeyBlocks(blocks, repaired)).toEqual({ rekeyed: 1, current: 0, failed: [] })
    expect(await areCurrent()).toEqual([true])
    expect(await all(openFrom(blocks, repaired, [sealed!.ref]))).toEqual([content])
  })

  it('an older version replaces a damaged keyset', async () => {
    const state = memoryStateStore()
    const keyset = await makeKeyset()
    await saveKeyset(state, keyset)
    const { version, bytes } = (await state.read('keyset'))!
    const damaged = version + 1
    await state.write('keyset', damaged, flipped(bytes, 100))
    await failure(() => loadKeyset(state, PASSWORD), 'malformed')
    await failure(() => saveKeyset(state, keyset), 'malformed')
    await failure(() => changeKeyset(state, keyset, (newest) => newest.regenerate()), 'malformed')

    const older = (await state.readVersion('keyset', version))!
    expect((await unlockKeyset(older, PASSWORD)).revision).toBe(keyset.revision)
    expect(await state.write('keyset', damaged + 1, older)).toBe(true)
    expect((await loadKeyset(state, PASSWORD, { atLeast: keyset.revision })).id).toBe(keyset.id)
    const copy = memoryStateStore()
    expect(await copy.write('keyset', 1, older)).toBe(true)
    expect((await loadKeyset(copy, PASSWORD)).id).toBe(keyset.id)
  })

  it('a ciphertext stays after its head is deleted, and the end of each head names a ciphertext in use', async () => {
    const blobs = memoryBlobStore()
    const blocks = blocksIn(blobs)
    const { keyset, share } = (await makeKeyset()).createShare()
    const kept = [sample(500, 2), sample(600, 3)]
    const refs = [
      ...(await all(sealInto(blocks, keyset, [kept[0]!]))),
      ...(await all(sealInto(blocks, keyset, [kept[1]!], { shares: [share.id] }))),
    ].map(({ ref }) => ref)
    const [gone] = await all(sealInto(blocks, keyset, [content]))
    await blocks.delete(gone!.ref)
    expect(await all(blobs.list('data/'))).toHaveLength(3)

    const heads = [...(await all(blobs.list('head/'))), ...(await all(blobs.list('share/')))]
    expect(heads).toHaveLength(3)
    const used = await Promise.all(heads.map(async ({ name }) => hex((await blobs.get(name))!.subarray(-32))))
    for (const { name } of await all(blobs.list('data/'))) {
      if (!used.includes(name.slice('data/'.length))) await blobs.delete(name)
    }
    expect(await all(blobs.list('data/'))).toHaveLength(2)
    expect(await all(openFrom(blocks, keyset, refs))).toEqual(kept)
    expect(await all(checkBlocks(blobs, { readData: true }))).toEqual([])
  })

  it('the number of a new position shows a host that the store returned an older log', async () => {
    const keyset = await makeKeyset()
    const writer = openWriter(keyset.export('host'))
    const numberAfter = async (store: StateStore, times: number) => {
      let position = ''
      for (let time = 0; time < times; time++) position = await openLog(store, 'backups', writer).append(content)
      return Number(position.split('-')[0])
    }
    const store = memoryStateStore()
    const last = await numberAfter(store, 3)
    expect(await numberAfter(store, 1)).toBeGreaterThan(last)
    expect(await numberAfter(memoryStateStore(), 1)).not.toBeGreaterThan(last)
  })
})
