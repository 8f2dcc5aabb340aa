// Streams between stores, readers and writers of a product that keep what passes through them.
import { describe, expect, it } from 'vitest'
import {
  type BlockReader,
  type Bytes,
  cut,
  openFrom,
  packInto,
  sealInto,
  type StoredBlock,
  verifyBlocks,
} from '../../src/index.ts'
import { allocateWithRoom, contentIn, withLent } from '../../src/core/content.ts'
import { createPool } from '../../src/pool.ts'
import { type BlobStore, blocksIn, memoryBlobStore } from '../../src/stores.ts'
import { all, expectSame, failure, makeKeyset, sample, streamOf } from '../fixtures.ts'
import { mortalWorker, worker } from '../pool/source-pool.ts'
import { KeepingBlocks } from './stream-fixtures.ts'

const { keyset, share } = (await makeKeyset()).createShare()
const shared = keyset.acceptShare(share.invite(keyset.card()), keyset.card())
const contents = Array.from({ length: 10 }, (_, index) => sample(5000, index + 1))

function expectContents(found: readonly Uint8Array[], expected: readonly Uint8Array[] = contents): void {
  expect(found.length).toBe(expected.length)
  for (const [index, content] of expected.entries()) expectSame(found[index]!, content)
}

/** A reader that keeps every content that it has opened. */
function cachingReader(): BlockReader {
  const cache: Map<string, Bytes> = new Map()
  return {
    async open(block) {
      const content = cache.get(block.label) ?? (await keyset.open(block))
      cache.set(block.label, content)
      return content
    },
  }
}

describe('a reader of a product', () => {
  it('can try again with the same block', async () => {
    await using pool = createPool({ threads: 1, worker })
    const blocks = blocksIn(memoryBlobStore())
    const [sealed] = await all(sealInto(blocks, keyset, [sample(5000)]))
    const others = pool.reader(await makeKeyset())
    const ours = pool.reader(keyset)
    const both: BlockReader = { open: (block) => others.open(block).catch(() => ours.open(block)) }
    expectSame((await all(openFrom(blocks, both, [sealed!.ref])))[0]!, sample(5000))
  })

  it('can keep the contents and packs that it returned', async () => {
    const blocks = blocksIn(memoryBlobStore())
    const [single] = await all(sealInto(blocks, keyset, [sample(50)]))
    const [packed] = await all(packInto(blocks, keyset, [sample(50), sample(60, 2)]))
    const reader = cachingReader()
    for (let round = 0; round < 2; round++) {
      for (const { ref } of [single!, packed!]) {
        expect(await all(verifyBlocks(blocks, reader, [ref]))).toEqual([{ ref }])
        expectSame((await all(openFrom(blocks, reader, [ref])))[0]!, sample(50))
      }
    }
  })
})

describe('a store of a product', () => {
  it('that keeps bytes does not inherit the mark of the store that it is made of', async () => {
    const inner = memoryBlobStore()
    const cache: Map<string, Uint8Array> = new Map()
    const caching: Pick<BlobStore, 'get' | 'put'> = {
      async put(name, bytes) {
        cache.set(name, bytes)
        return inner.put(name, bytes)
      },
      get: async (name) => cache.get(name) ?? inner.get(name),
    }
    const proxy = new Proxy(inner, {
      get: (store, name, receiver) => Reflect.get(name in caching ? caching : store, name, receiver) as unknown,
    })
    for (const blobs of [{ ...inner, ...caching }, Object.assign(Object.create(inner) as BlobStore, caching), proxy]) {
      const blocks = blocksIn(blobs)
      const refs = (await all(sealInto(blocks, keyset, contents))).map(({ ref }) => ref)
      for (let round = 0; round < 2; round++) expectContents(await all(openFrom(blocks, keyset, refs)))
      expect(blocks.copiesBytes).toBe(false)
      for await (const { name } of inner.list('')) await inner.delete(name)
      cache.clear()
    }
    const blocks = blocksIn(inner)
    expect([inner.copiesBytes, blocks.copiesBytes]).toEqual([true, true])
    expect((Object.create(blocks) as typeof blocks).copiesBytes).toBe(false)
  })

  it('can keep the blocks of shares where it copies its own', async () => {
    const keeping = new KeepingBlocks()
    class Copying extends KeepingBlocks {
      readonly copiesBytes = true
      readonly shared = () => keeping

      override async put(block: StoredBlock): Promise<boolean> {
        return super.put({ ...block, ciphertext: new Uint8Array(block.ciphertext) })
      }
    }
    const sealed = await all(sealInto(new Copying(), keyset, contents, { shares: [share.id] }))
    const refs = sealed.map((each) => each.shared!.get(share.id)!)
    expectContents(await all(openFrom(keeping, shared, refs)))
  })
})

describe('a pool that closes', () => {
  it('wipes content that waits for a thread', async () => {
    const pool = createPool({ threads: 1, worker })
    const writer = pool.writer(keyset)
    const rooms = contents.map(() => allocateWithRoom(5000))
    const preparing = contents.map((content, index) => withLent(content, rooms[index]!, () => writer.prepare(content)))
    expectContents(rooms.slice(2).map(contentIn), contents.slice(2))
    const closing = pool.close()
    const late = allocateWithRoom(5000)
    await failure(() => withLent(contents[0]!, late, () => writer.prepare(contents[0]!)), 'disposed')
    const ended = await Promise.allSettled(preparing)
    expect(ended.filter(({ status }) => status === 'rejected').length).toBeGreaterThanOrEqual(8)
    // The others have moved to the thread.
    const unmoved = [...rooms, late].filter(({ length }) => length > 0)
    expect(unmoved.length).toBeGreaterThanOrEqual(9)
    for (const room of unmoved) expect(room.every((byte) => byte === 0)).toBe(true)
    await closing
  })
})

describe('a thread that takes memory with it', () => {
  it('does not matter for a block that is stored already', async () => {
    await using pool = createPool({ threads: 1, worker: mortalWorker })
    const stored = new KeepingBlocks()
    const [first] = await all(sealInto(stored, keyset, [sample(100)]))
    const writer = pool.writer(keyset)
    class Deadly extends KeepingBlocks {
      override async has(label: string): Promise<boolean> {
        await expect(writer.prepare(sample(666))).rejects.toThrow('a worker of the pool died')
        return stored.has(label)
      }
    }
    const again = await all(sealInto(new Deadly(), writer, [sample(100)]))
    expect(again).toEqual([{ ...first!, isNew: false }])
  })

  it('is named by the error', async () => {
    await using pool = createPool({ threads: 1, worker: mortalWorker })
    const blocks = blocksIn(memoryBlobStore())
    // Content of 666 bytes makes this worker exit.
    const run = () => all(sealInto(blocks, pool.writer(keyset), cut(streamOf([sample(666)]), { size: 666 })))
    await expect(run()).rejects.toThrow('a worker of the pool died')
  })
})
