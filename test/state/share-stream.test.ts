// Sharing by streams: refs with hashes, heads that are never replaced, and readers that open only what they name.
import { describe, expect, it } from 'vitest'
import {
  type Encryption,
  type KeysetWriter,
  labelOf,
  openFrom,
  openWriter,
  packInto,
  sealInto,
  shareFrom,
  verifyBlocks,
} from '../../src/index.ts'
import { createPool } from '../../src/pool.ts'
import { type BlobStore, blocksIn, memoryBlobStore, type SharedBlocks } from '../../src/stores.ts'
import { all, expectSame, failure, makeKeyset, sample } from '../fixtures.ts'
import { worker } from '../pool/source-pool.ts'
import { KeepingBlocks } from './stream-fixtures.ts'

const created = (await makeKeyset()).createShare()
const { share } = created
const second = created.keyset.createShare()
const owner = second.keyset
const reader = owner.acceptShare(share.invite(owner.card()), owner.card())
const contents = [sample(1000), sample(20, 2), sample(50_000, 3)]
const writerWith = (dedup: 'scoped' | 'global' | 'off', encryption: Encryption = 'hybrid'): KeysetWriter =>
  openWriter(owner.export('host'), { dedup, encryption })

/** The same blocks by a store that has neither `head` nor `putHead`. */
function withoutHeads(blocks: SharedBlocks): SharedBlocks {
  const plain = (
    { has, get, put, heads, replaceEnvelope, delete: remove }: Omit<SharedBlocks, 'shared'>,
    own: object,
  ) => ({
    has: has.bind(own),
    get: get.bind(own),
    put: put.bind(own),
    heads: heads.bind(own),
    replaceEnvelope: replaceEnvelope.bind(own),
    delete: remove.bind(own),
  })
  return {
    ...plain(blocks, blocks),
    shared: (id) => plain(blocks.shared(id), blocks.shared(id)),
  }
}

const stores: [string, (blobs: BlobStore) => SharedBlocks][] = [
  ['the layout of the library', (blobs) => blocksIn(blobs)],
  ['a store without heads', (blobs) => withoutHeads(blocksIn(blobs))],
]

describe.each(stores)('in %s', (_, blocksOf) => {
  it.each(['scoped', 'global', 'off'] as const)(
    'a backup with dedup %s shares new blocks, and blocks that are stored already',
    async (dedup) => {
      const blobs = memoryBlobStore()
      const blocks = blocksOf(blobs)
      const writer = writerWith(dedup)
      await all(sealInto(blocks, writer, contents.slice(1)))
      const nights: string[][] = []
      for (let night = 0; night < 3; night++) {
        const sealed = await all(sealInto(blocks, writer, contents, { shares: [share.id, second.share.id] }))
        expect(sealed.map(({ isNew }) => isNew)).toEqual([night === 0, false, false])
        for (const each of sealed) expect([...each.shared!.keys()]).toEqual([share.id, second.share.id])
        nights.push(sealed.map((each) => each.shared!.get(share.id)!))
        const opened = await all(
          openFrom(
            blocks,
            owner,
            sealed.map(({ ref }) => ref),
          ),
        )
        for (const [index, content] of contents.entries()) expectSame(opened[index]!, content)
      }
      // Every ref of every night stays good, because no head of a share is replaced.
      expect(nights[1]).toEqual(nights[0])
      expect(nights[2]).toEqual(nights[0])
      const opened = await all(openFrom(blocks.shared(share.id), reader, nights.flat()))
      expect(opened.length).toBe(9)
      for (const [index, content] of opened.entries()) expectSame(content, contents[index % 3]!)
    },
  )

  it('packed files are shared with the refs of each file', async () => {
    const blocks = blocksOf(memoryBlobStore())
    const sealed = await all(packInto(blocks, owner, contents, { shares: [share.id] }))
    const refs = sealed.map(({ shared }) => shared!.get(share.id)!)
    expect(new Set(refs.map(labelOf)).size).toBe(1)
    const opened = await all(openFrom(blocks.shared(share.id), reader, refs))
    for (const [index, content] of contents.entries()) expectSame(opened[index]!, content)
  })

  it('stored blocks and packed files are added later, and again without a change', async () => {
    const blobs = memoryBlobStore()
    const blocks = blocksOf(blobs)
    const sealed = [
      ...(await all(sealInto(blocks, owner, contents))),
      ...(await all(packInto(blocks, owner, contents))),
    ]
    const refs = sealed.map(({ ref }) => ref)
    const shared = await all(shareFrom(blocks, share, refs))
    expect(shared.map(labelOf)).toEqual(refs.map(labelOf))
    const opened = await all(openFrom(blocks.shared(share.id), reader, shared))
    for (const [index, content] of [...contents, ...contents].entries()) expectSame(opened[index]!, content)
    expect(await all(shareFrom(blocks, share, refs))).toEqual(shared)
    // A ref of the share names the same block to its owner.
    expect(await all(shareFrom(blocks, share, shared))).toEqual(shared)
    expect((await all(verifyBlocks(blocks.shared(share.id), reader, shared))).every(({ error }) => !error)).toBe(true)
  })

  it('without dedup, another ciphertext in the share stays, because an older ref may name it', async () => {
    const blocks = blocksOf(memoryBlobStore())
    const writer = writerWith('off')
    const [own] = await all(sealInto(blocks, writer, [sample(500)]))
    const [sealed] = await all(sealInto(blocks, writer, [sample(500)], { shares: [share.id] }))
    await failure(() => all(shareFrom(blocks, share, [own!.ref])), 'conflict')
    const ref = sealed!.shared!.get(share.id)!
    expectSame((await all(openFrom(blocks.shared(share.id), reader, [ref])))[0]!, sample(500))
  })

  it('two hosts that share the same block at once name the same head', async () => {
    for (const dedup of ['scoped', 'off'] as const) {
      const blocks = blocksOf(memoryBlobStore())
      const writers = [writerWith(dedup), writerWith(dedup), writerWith(dedup)]
      const sealed = await Promise.all(
        writers.map(async (writer) => (await all(sealInto(blocks, writer, [sample(500)], { shares: [share.id] })))[0]!),
      )
      for (const { ref, shared } of sealed) {
        const [own] = await all(openFrom(blocks, owner, [ref]))
        const [theirs] = await all(openFrom(blocks.shared(share.id), reader, [shared!.get(share.id)!]))
        expectSame(own!, sample(500))
        expectSame(theirs!, sample(500))
      }
    }
  })

  it('a ciphertext that was lost comes back, and the refs of before and after it open', async () => {
    const blobs = memoryBlobStore()
    const blocks = blocksOf(blobs)
    const refs: string[] = []
    for (let night = 0; night < 2; night++) {
      const sealed = await all(sealInto(blocks, owner, contents, { shares: [share.id] }))
      refs.push(...sealed.map(({ shared }) => shared!.get(share.id)!))
      if (night === 0) for await (const { name } of blobs.list('data/')) await blobs.delete(name)
    }
    const opened = await all(openFrom(blocks.shared(share.id), reader, refs))
    for (const [index, content] of opened.entries()) expectSame(content, contents[index % 3]!)
  })

  it('a block that the store lacks is missing', async () => {
    const blobs = memoryBlobStore()
    const blocks = blocksOf(blobs)
    const [sealed] = await all(sealInto(blocks, owner, [sample(10)]))
    await failure(() => all(shareFrom(blocks, share, ['0'.repeat(64)])), 'missing')
    for await (const { name } of blobs.list('data/')) await blobs.delete(name)
    await failure(() => all(shareFrom(blocks, share, [sealed!.ref])), 'missing')
    await failure(() => all(shareFrom(blocks, share, ['x'])), 'malformed')
  })

  it('a head of a share that is damaged is written again', async () => {
    const blobs = memoryBlobStore()
    const blocks = blocksOf(blobs)
    const [sealed] = await all(sealInto(blocks, owner, [sample(10)], { shares: [share.id] }))
    const name = `share/${share.id}/${sealed!.ref}`
    await blobs.replace(name, (await blobs.get(name))!, sample(5))
    const [again] = await all(sealInto(blocks, owner, [sample(10)], { shares: [share.id] }))
    const [opened] = await all(openFrom(blocks.shared(share.id), reader, [again!.shared!.get(share.id)!]))
    expectSame(opened!, sample(10))
  })
})

describe('a reader of a share', () => {
  it('opens only the block that the ref names by its hash', async () => {
    const blocks = blocksIn(memoryBlobStore())
    const [sealed] = await all(sealInto(blocks, owner, [sample(10)], { shares: [share.id] }))
    const ref = sealed!.shared!.get(share.id)!
    const theirs = blocks.shared(share.id)
    // Whoever has the keys of the share can write an envelope and a ciphertext for any label.
    const forged = await owner.seal(sample(77, 9), { shares: [share.id] })
    const swapped = { get: async (label: string) => ({ ...forged, label, envelope: forged.shared!.get(share.id)! }) }
    await using pool = createPool({ threads: 1, worker })
    for (const by of [reader, pool.reader(reader)]) {
      await failure(() => all(openFrom(swapped, by, [ref])), 'authentication-failed')
      const found = await theirs.get(sealed!.ref)
      for (const change of [{ envelope: forged.envelope }, { ciphertext: forged.ciphertext }]) {
        await failure(
          () => all(openFrom({ get: async () => ({ ...found!, ...change }) }, by, [ref])),
          'authentication-failed',
          'key-not-found',
        )
      }
      const { message } = await failure(() => all(openFrom(theirs, by, [sealed!.ref])), 'malformed')
      expect(message).toContain('no hash')
      expectSame((await all(openFrom(theirs, by, [ref])))[0]!, sample(10))
    }
  })
})

describe('shares', () => {
  it.each(['scoped', 'global', 'off'] as const)(
    'that were revoked are refused with dedup %s, also if they have all the blocks',
    async (dedup) => {
      const blocks = blocksIn(memoryBlobStore())
      const shares = [share.id, second.share.id]
      await all(sealInto(blocks, writerWith(dedup), contents, { shares }))
      await all(packInto(blocks, writerWith(dedup), contents, { shares }))
      const writer = openWriter(owner.revokeShare(second.share.id).export('host'), { dedup })
      for (const seal of [sealInto, packInto]) {
        const error = await failure(() => all(seal(blocks, writer, contents, { shares })), 'key-not-found')
        expect(error.detail['share']).toBe(second.share.id)
        await all(seal(blocks, writer, contents, { shares: [share.id] }))
      }
    },
  )

  it('need a store that has them, an id that is known, and blocks that are encrypted', async () => {
    const plain = new KeepingBlocks()
    expect(() => sealInto(plain, owner, [], { shares: [share.id] })).toThrow('no method shared')
    expect(() => packInto(plain, owner, [], { shares: [share.id] })).toThrow(TypeError)
    expect(() => shareFrom(plain as never, share, [])).toThrow(TypeError)
    expect(() => sealInto(plain, owner, [], { shares: 'x' as never })).toThrow(TypeError)
    const blocks = blocksIn(memoryBlobStore())
    await failure(() => all(sealInto(blocks, owner, [sample(1)], { shares: ['0'.repeat(32)] })), 'key-not-found')
    const open = await makeKeyset({ encryption: 'none' })
    const unencrypted = open.createShare()
    const writer = openWriter(unencrypted.keyset.export('host'), { encryption: 'none' })
    const shares = [unencrypted.share.id]
    await failure(() => all(sealInto(blocks, writer, [sample(1)], { shares })), 'policy')
    // No block was stored by that.
    expect((await all(blocks.heads())).length).toBe(0)
    expect(await all(sealInto(plain, owner, [sample(1)], { shares: undefined }))).toHaveLength(1)
  })

  it('cost no writing of ciphertexts that are stored, and only the owner reads them, to verify them', async () => {
    const blobs = memoryBlobStore()
    const blocks = blocksIn(blobs)
    const refs = (await all(sealInto(blocks, owner, contents))).map(({ ref }) => ref)
    const calls: string[] = []
    const watched: BlobStore = {
      ...blobs,
      get: async (name) => {
        calls.push(name)
        return blobs.get(name)
      },
      put: async (name, bytes) => {
        calls.push(name)
        return blobs.put(name, bytes)
      },
    }
    const data = () => calls.splice(0).filter((name) => name.startsWith('data/'))
    await all(shareFrom(blocksIn(watched), share, refs))
    expect(new Set(data()).size).toBe(refs.length)
    await all(sealInto(blocksIn(watched), owner, contents, { shares: [share.id, second.share.id] }))
    expect(calls.length).toBeGreaterThan(0)
    expect(calls.filter((name) => name.startsWith('data/'))).toEqual([])
  })
})
