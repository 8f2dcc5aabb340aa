// The memory of streams: it serves again only where nobody else can read it, and is wiped at the end.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cut, openFrom, sealInto, type StoredBlock } from '../../src/index.ts'
import { bytesWithRoom, contentIn } from '../../src/core/content.ts'
import { createPool, type Pool } from '../../src/pool.ts'
import { lentMemory } from '../../src/state/lent-memory.ts'
import { type Blocks, blocksIn, memoryBlobStore } from '../../src/stores.ts'
import { all, backends, expectSame, failure, makeKeyset, sample, streamOf } from '../fixtures.ts'
import { mortalWorker, worker } from '../pool/source-pool.ts'
import { KeepingBlocks } from './stream-fixtures.ts'

let pool: Pool
beforeAll(() => {
  pool = createPool({ threads: 2, worker })
})
afterAll(() => pool.close())

const keyset = await makeKeyset()
const isZero = (bytes: ArrayBuffer) => new Uint8Array(bytes).every((byte) => byte === 0)

/** A store that says that it copies, and remembers the memory that it was given. */
class CopyingBlocks extends KeepingBlocks {
  readonly copiesBytes = true
  readonly given: ArrayBuffer[] = []

  override async put({ label, envelope, ciphertext }: StoredBlock): Promise<boolean> {
    this.given.push(ciphertext.buffer as ArrayBuffer)
    return super.put({ label, envelope: new Uint8Array(envelope), ciphertext: new Uint8Array(ciphertext) })
  }

  override async get(label: string): ReturnType<Blocks['get']> {
    const block = await super.get(label)
    return block && { ...block, ciphertext: new Uint8Array(block.ciphertext) }
  }
}

describe('the memory of a stream', () => {
  it('serves again once the store has copied it, and is wiped at the end', async () => {
    const blocks = new CopyingBlocks()
    const parts = Array.from({ length: 60 }, (_, index) => sample(1000, index + 1))
    for (const source of [parts, cut(streamOf(parts), { size: 1000 })]) {
      blocks.given.length = 0
      blocks.blocks.clear()
      const refs = (await all(sealInto(blocks, keyset, source, { ahead: 3 }))).map(({ ref }) => ref)
      expect(blocks.given.length).toBe(60)
      expect(new Set(blocks.given).size).toBeLessThanOrEqual(4)
      for (const each of blocks.given) expect(isZero(each)).toBe(true)
      const opened = await all(openFrom(blocks, keyset, refs))
      for (const [index, part] of parts.entries()) expectSame(opened[index]!, part)
    }
  })

  it('is never that of a block which a store keeps', async () => {
    const blocks = new KeepingBlocks()
    await all(sealInto(blocks, keyset, cut(streamOf([sample(60_000)]), { size: 1000 })))
    const buffers = [...blocks.blocks.values()].map(({ ciphertext }) => ciphertext.buffer)
    expect(new Set(buffers).size).toBe(60)
    expect(buffers.some((each) => isZero(each as ArrayBuffer))).toBe(false)
  })

  it('serves again for a block that is stored already, and is wiped at the end', async () => {
    const blocks = new KeepingBlocks()
    const contents = Array.from({ length: 20 }, (_, index) => sample(500, index + 1))
    const refs = (await all(sealInto(blocks, keyset, contents))).map(({ ref }) => ref)
    for (const writer of [keyset, pool.writer(keyset)]) {
      const again = await all(sealInto(blocks, writer, cut(streamOf(contents), { size: 500 })))
      expect(again.map(({ ref, isNew }) => [ref, isNew])).toEqual(refs.map((ref) => [ref, false]))
    }
    const opened = await all(openFrom(blocks, keyset, refs))
    for (const [index, content] of contents.entries()) expectSame(opened[index]!, content)
  })

  it('never shows a store the content of an earlier block', async () => {
    const blocks = new KeepingBlocks()
    const secret = sample(5000)
    await all(sealInto(blocks, keyset, [secret]))
    for (const [index, writer] of [keyset, pool.writer(keyset)].entries()) {
      // The first block is stored already, so its buffer serves again at once, for a content that is shorter.
      const [, sealed] = await all(sealInto(blocks, writer, [secret, sample(10, index + 2)], { ahead: 1 }))
      const { ciphertext } = blocks.blocks.get(sealed!.ref)!
      expect(ciphertext.buffer.byteLength).toBeGreaterThan(5000)
      expect(Buffer.from(ciphertext.buffer).includes(Buffer.from(secret.subarray(2000, 2100)))).toBe(false)
    }
  })

  it('is wiped when the stream ends early', async () => {
    const blocks = new CopyingBlocks()
    async function* endless() {
      for (let seed = 1; ; seed++) yield sample(1000, seed)
    }
    for await (const { size } of sealInto(blocks, keyset, endless())) if (size > 0 && blocks.given.length > 9) break
    for (const each of blocks.given) expect(isZero(each)).toBe(true)
  })

  // WebCrypto returns memory of its own.
  it.runIf(backends[0]?.name === 'node')(
    'of ciphertexts that a store gave away becomes the content of the caller',
    async () => {
      const blocks = new CopyingBlocks()
      const [sealed] = await all(sealInto(blocks, keyset, [sample(5000)]))
      const given: ArrayBufferLike[] = []
      const watched = {
        copiesBytes: true,
        get: async (label: string) => {
          const block = (await blocks.get(label))!
          given.push(block.ciphertext.buffer)
          return block
        },
      }
      const [content] = await all(openFrom(watched, keyset, [sealed!.ref]))
      expectSame(content!, sample(5000))
      expect(content!.buffer === given[0]).toBe(true)
      // Not where the store says nothing, and not where the bytes are a part of something larger.
      const [kept] = await all(openFrom({ get: watched.get }, keyset, [sealed!.ref]))
      expect(kept!.buffer === given[1]).toBe(false)
      const larger = {
        copiesBytes: true,
        get: async (label: string) => {
          const { ciphertext, ...head } = (await blocks.get(label))!
          const whole = new Uint8Array(ciphertext.length + 7)
          whole.set(ciphertext, 7)
          return { ...head, ciphertext: whole.subarray(7) }
        },
      }
      expectSame((await all(openFrom(larger, pool.reader(keyset), [sealed!.ref])))[0]!, sample(5000))
      expectSame((await all(openFrom(larger, keyset, [sealed!.ref])))[0]!, sample(5000))
    },
  )

  it.runIf(backends[0]?.name === 'node')(
    'of contents that were opened ahead is wiped when nobody takes them',
    async () => {
      const blocks = new CopyingBlocks()
      const sealed = await all(
        sealInto(
          blocks,
          keyset,
          [1, 2, 3, 4].map((seed) => sample(5000, seed)),
        ),
      )
      const given: ArrayBufferLike[] = []
      const watched = {
        copiesBytes: true,
        async get(label: string) {
          const block = (await blocks.get(label))!
          given.push(block.ciphertext.buffer)
          return block
        },
      }
      const refs = sealed.map(({ ref }) => ref)
      for await (const content of openFrom(watched, keyset, refs)) {
        expectSame(content, sample(5000))
        break
      }
      expect(given.length).toBeGreaterThan(1)
      for (const buffer of given.slice(1))
        expect(new Uint8Array(buffer).subarray(32, 5032).every((byte) => byte === 0)).toBe(true)
    },
  )

  it('keeps a few of the largest buffers, and wipes the others', () => {
    using memory = lentMemory(2)
    const buffers = [100, 300, 200].map((length) => memory.takeWhole(length))
    for (const buffer of buffers) buffer.fill(7)
    for (const { buffer } of buffers) memory.give(buffer)
    expect(buffers.map(({ buffer }) => isZero(buffer))).toEqual([true, false, false])
    const again = memory.takeWhole(250)
    expect(again.buffer === buffers[1]!.buffer).toBe(true)
    expect(bytesWithRoom(again.length)).toBe(300)
    expect(contentIn(again).length).toBe(300)
    memory.dispose()
    expect(isZero(buffers[2]!.buffer)).toBe(true)
    memory.give(again.buffer)
    expect(isZero(again.buffer)).toBe(true)
  })
})

describe('a stream in a pool', () => {
  it('ends when a thread dies, with what came before, and runs again', async () => {
    await using own = createPool({ threads: 2, worker: mortalWorker })
    const blocks = blocksIn(memoryBlobStore())
    // Content of 666 bytes makes this worker exit.
    const contents = [1, 2, 3, 4, 5, 666, 7, 8].map((length) => sample(length * (length === 666 ? 1 : 1000), length))
    const seen: string[] = []
    const run = async () => {
      for await (const { ref } of sealInto(blocks, own.writer(keyset), contents)) seen.push(ref)
    }
    await expect(run()).rejects.toThrow('a worker of the pool died')
    expect(seen.length).toBeLessThanOrEqual(5)
    const rest = await all(sealInto(blocks, own.writer(keyset), contents.toSpliced(5, 1)))
    const opened = await all(
      openFrom(
        blocks,
        own.reader(keyset),
        rest.map(({ ref }) => ref),
      ),
    )
    expect(opened.map(({ length }) => length)).toEqual([1000, 2000, 3000, 4000, 5000, 7000, 8000])
  })

  it('ends when its pool is closed', async () => {
    const own = createPool({ threads: 1, worker })
    const blocks = blocksIn(memoryBlobStore())
    async function* endless() {
      for (let seed = 1; ; seed++) yield sample(1000, seed)
    }
    let seen = 0
    const run = async () => {
      for await (const { size } of sealInto(blocks, own.writer(keyset), endless())) {
        seen += size
        if (seen === 5000) void own.close()
      }
    }
    await failure(run, 'disposed')
    expect(seen).toBeGreaterThanOrEqual(5000)
  })

  it('is aborted at any point, and the pool goes on', async () => {
    const blocks = blocksIn(memoryBlobStore())
    const contents = Array.from({ length: 12 }, (_, index) => sample(3000, index + 100))
    for (let after = 0; after < 12; after += 3) {
      const controller = new AbortController()
      let seen = 0
      const run = async () => {
        const options = { signal: controller.signal, ahead: 5 }
        if (after === 0) controller.abort()
        for await (const { size } of sealInto(blocks, pool.writer(keyset), contents, options)) {
          if (size > 0 && ++seen === after) controller.abort()
        }
      }
      await failure(run, 'aborted')
      expect(seen).toBe(after)
    }
    const sealed = await all(sealInto(blocks, pool.writer(keyset), contents))
    const opened = await all(
      openFrom(
        blocks,
        pool.reader(keyset),
        sealed.map(({ ref }) => ref),
      ),
    )
    for (const [index, content] of contents.entries()) expectSame(opened[index]!, content)
  })
})
