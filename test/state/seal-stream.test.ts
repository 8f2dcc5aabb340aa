// Sealing streams of contents into stores, and opening them again.
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type BlockReader,
  type BlockWriter,
  cut,
  type Keys,
  labelOf,
  openFrom,
  openWriter,
  packInto,
  type SealedContent,
  sealInto,
} from '../../src/index.ts'
import { deriveClient } from '../../src/client.ts'
import { deriveLegacyClient } from '../../src/legacy.ts'
import { createPool, type Pool } from '../../src/pool.ts'
import { type Blocks, blocksIn, memoryBlobStore, memoryStateStore } from '../../src/stores.ts'
import { createProfile, deriveLogin } from '../../src/vault.ts'
import {
  ALICE,
  all,
  DESKTOP,
  expectSame,
  failure,
  makeKeyset,
  numRuns,
  PASSWORD,
  quickly,
  sample,
  streamOf,
} from '../fixtures.ts'
import { worker } from '../pool/source-pool.ts'
import { KeepingBlocks, turn } from './stream-fixtures.ts'

let pool: Pool
beforeAll(() => {
  pool = createPool({ threads: 2, worker })
})
afterAll(() => pool.close())

const keyset = await makeKeyset()
const MIB = 1024 * 1024

const stores: [string, () => Blocks][] = [
  ['the layout of the library', () => blocksIn(memoryBlobStore())],
  ['a store that keeps what it is given', () => new KeepingBlocks()],
]

/** What seals and opens: each key model, and a third-party writer, which reads its content late. */
const doors: [string, () => [BlockWriter, BlockReader]][] = [
  ['a keyset', () => [keyset, keyset]],
  ['a keyset in a pool', () => [pool.writer(keyset), pool.reader(keyset)]],
  ['a third-party writer', () => [new Decorated(keyset), keyset]],
]

/** A writer that looks at the content again after it was sealed. */
class Decorated implements BlockWriter {
  readonly #inner: BlockWriter

  constructor(inner: BlockWriter) {
    this.#inner = inner
  }

  async prepare(content: Uint8Array): ReturnType<BlockWriter['prepare']> {
    const [before, prepared] = [new Uint8Array(content), await this.#inner.prepare(content)]
    await turn()
    expectSame(content, before)
    return prepared
  }

  seal(...given: Parameters<BlockWriter['seal']>): ReturnType<BlockWriter['seal']> {
    return this.#inner.seal(...given)
  }

  pack(files: readonly Uint8Array[]): ReturnType<BlockWriter['pack']> {
    return this.#inner.pack(files)
  }
}

const refsOf = (sealed: readonly SealedContent[]) => sealed.map(({ ref }) => ref)

describe.each(stores)('into %s', (_, makeBlocks) => {
  describe.each(doors)('by %s', (_, makeDoor) => {
    it('contents are sealed in order, are found again, and open', async () => {
      const [writer, reader] = makeDoor()
      const blocks = makeBlocks()
      const contents = [0, 1, 70_000, 12, 70_000, 3 * MIB].map((length, index) => sample(length, index + 1))
      const sealed = await all(sealInto(blocks, writer, contents))
      expect(sealed.map(({ size, isNew }) => [size, isNew])).toEqual(contents.map(({ length }) => [length, true]))
      const opened = await all(openFrom(blocks, reader, refsOf(sealed)))
      for (const [index, content] of contents.entries()) expectSame(opened[index]!, content)
      const again = await all(sealInto(blocks, writer, streamOf(contents), { ahead: 1 }))
      expect(again).toEqual(sealed.map((each) => ({ ...each, isNew: false })))
      // Nothing was overwritten by that.
      const later = await all(openFrom(blocks, reader, refsOf(sealed), { ahead: 2 }))
      for (const [index, content] of contents.entries()) expectSame(later[index]!, content)
    })

    it('a cut is sealed without losing a byte', async () => {
      const [writer, reader] = makeDoor()
      const blocks = makeBlocks()
      const parts = Array.from({ length: 40 }, (_, index) => sample(70_001, index + 1))
      const sealed = await all(sealInto(blocks, writer, cut(streamOf(parts), { size: 250_000 }), { ahead: 3 }))
      const opened = await all(openFrom(blocks, reader, refsOf(sealed)))
      expectSame(new Uint8Array(Buffer.concat(opened)), new Uint8Array(Buffer.concat(parts)))
      expect(sealed.slice(0, -1).every(({ size }) => size === 250_000)).toBe(true)
    })

    it('what the source reuses is sealed as it was', async ({ skip }) => {
      const [writer, reader] = makeDoor()
      skip(writer instanceof Decorated, 'it reads its content late')
      const blocks = makeBlocks()
      const memory = new Uint8Array(50_000)
      async function* reused() {
        for (let seed = 1; seed <= 12; seed++) {
          memory.set(sample(50_000, seed))
          yield memory
          memory.fill(0)
        }
      }
      const sealed = await all(sealInto(blocks, writer, reused()))
      let seed = 0
      for await (const content of openFrom(blocks, reader, refsOf(sealed))) expectSame(content, sample(50_000, ++seed))
      expect(seed).toBe(12)
      expect(memory.length).toBe(50_000)
    })

    it('small files are packed into few blocks, and open one by one', async () => {
      const [writer, reader] = makeDoor()
      const blocks = makeBlocks()
      const files = Array.from({ length: 2500 }, (_, index) => sample(index % 90, index + 1))
      const sealed = await all(packInto(blocks, writer, files))
      expect(sealed.map(({ size }) => size)).toEqual(files.map(({ length }) => length))
      expect(new Set(refsOf(sealed).map(labelOf)).size).toBe(3)
      const opened = await all(openFrom(blocks, reader, refsOf(sealed)))
      expect(opened.length).toBe(files.length)
      for (const [index, file] of files.entries()) expectSame(opened[index]!, file)
      const some = [2400, 3, 1024, 4].map((index) => sealed[index]!.ref)
      const [first] = await all(openFrom(blocks, reader, some))
      expectSame(first!, files[2400]!)
      expect((await all(packInto(blocks, writer, streamOf(files)))).some(({ isNew }) => isNew)).toBe(false)
    })
  })
})

describe('a pack', () => {
  it('takes 8 MiB of files, and a larger file gets a block of its own, in its place', async () => {
    const blocks = blocksIn(memoryBlobStore())
    const lengths = [5 * MIB, 3 * MIB, 1, 9 * MIB, 2, 8 * MIB, 0]
    const files = lengths.map((length, index) => new Uint8Array(length).fill(index + 1))
    const sealed = await all(packInto(blocks, keyset, files))
    const labels = [...new Set(refsOf(sealed).map(labelOf))]
    expect(sealed.map(({ ref }) => labels.indexOf(labelOf(ref)))).toEqual([0, 0, 1, 2, 3, 4, 4])
    expect(sealed.map(({ ref }) => ref.split('.')[2])).toEqual(['0', '1', '0', undefined, '0', '0', '1'])
    const opened = await all(openFrom(blocks, keyset, refsOf(sealed)))
    for (const [index, file] of files.entries()) expectSame(opened[index]!, file)
  })

  it('of no files is no block', async () => {
    const blocks = blocksIn(memoryBlobStore())
    expect(await all(packInto(blocks, keyset, []))).toEqual([])
    expect(await all(blocks.heads())).toEqual([])
  })
})

it('every key model seals and opens streams', async () => {
  for (const [, writer, reader] of await everyDoor()) {
    const blocks = blocksIn(memoryBlobStore())
    const contents = [sample(0), sample(1000, 2), sample(100_000, 3)]
    const sealed = await all(sealInto(blocks, writer, contents))
    const packed = await all(packInto(blocks, writer, contents))
    const opened = await all(openFrom(blocks, reader, refsOf([...sealed, ...packed])))
    for (const [index, content] of [...contents, ...contents].entries()) expectSame(opened[index]!, content)
  }
})

async function everyDoor(): Promise<Door[]> {
  const host = keyset.export('host')
  const modes = (['scoped', 'global', 'off'] as const).map((dedup): Door => [
    dedup,
    openWriter(host, { dedup }),
    keyset,
  ])
  const plain = await makeKeyset({ encryption: 'none' })
  const login = await deriveLogin(PASSWORD, ALICE)
  const { vault } = await createProfile(login, { zeroTrust: true }).createVault(memoryStateStore())
  const client = await quickly(() =>
    deriveClient({
      ...{ realm: 'tests', ...DESKTOP, platform: 'linux' },
      ...{ privateKey: { type: 'AES-256', text: 'x' }, accountKey: { type: 'AES-128', text: 'y' } },
    }),
  )
  const legacy = await quickly(() =>
    deriveLegacyClient({
      ...{ realm: 'tests', ...DESKTOP, platform: 'linux', dangerouslyAllowDes: true },
      ...{ privateKey: { type: 'DES-56', text: 'x' } },
    }),
  )
  const keys: [string, Keys][] = [
    ['a vault', vault],
    ...(['private', 'account', 'public'] as const).map((which): [string, Keys] => [which, client.scope(which)]),
    ['DES-56', legacy.scope('private')],
  ]
  return [...modes, ['none', plain, plain], ...keys.map(([name, each]): Door => [name, each, each])]
}

type Door = [string, BlockWriter, BlockReader]

it('any contents, with any pace, come back', async () => {
  const contents = fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 30 })
  const pace = fc.integer({ min: 1, max: 6 })
  await fc.assert(
    fc.asyncProperty(contents, pace, pace, fc.boolean(), fc.boolean(), async (given, ahead, back, isCut, keeps) => {
      const blocks = keeps ? new KeepingBlocks() : blocksIn(memoryBlobStore())
      const source = isCut ? cut(streamOf(given), { size: 256 }) : given
      const sealed = await all(sealInto(blocks, keyset, source, { ahead }))
      const opened = await all(openFrom(blocks, keyset, refsOf(sealed), { ahead: back }))
      expectSame(new Uint8Array(Buffer.concat(opened)), new Uint8Array(Buffer.concat(given)))
      if (!isCut) expect(opened.map(({ length }) => length)).toEqual(given.map(({ length }) => length))
    }),
    { numRuns: numRuns(60, 600) },
  )
}, 120_000)

describe('a stream', () => {
  it('holds at most `ahead` blocks, and reads nothing before it is iterated', async () => {
    let [reading, held, most] = [0, 0, 0]
    async function* contents() {
      for (let seed = 1; seed <= 12; seed++) {
        reading++
        most = Math.max(most, ++held)
        yield sample(20_000, seed)
      }
    }
    const blocks = new KeepingBlocks()
    const slow: Blocks = Object.assign(Object.create(blocks) as KeepingBlocks, {
      put: async (block: Parameters<Blocks['put']>[0]) => {
        for (let turns = 0; turns < 3; turns++) await turn()
        held--
        return blocks.put(block)
      },
    })
    const sealing = sealInto(slow, keyset, contents(), { ahead: 3 })
    await turn()
    expect(reading).toBe(0)
    expect((await all(sealing)).length).toBe(12)
    expect(most).toBe(3)
  })

  it('stops where its consumer stops, with every block that it gave in the store', async () => {
    let isClosed: boolean
    async function* endless() {
      try {
        for (let seed = 1; ; seed++) yield sample(1000, seed)
      } finally {
        isClosed = true
      }
    }
    for (const writer of [keyset, pool.writer(keyset)]) {
      isClosed = false
      const blocks = new KeepingBlocks()
      const seen: string[] = []
      for await (const { ref } of sealInto(blocks, writer, endless())) {
        seen.push(ref)
        if (seen.length === 7) break
      }
      expect(isClosed).toBe(true)
      for (const ref of seen) expect(blocks.blocks.has(ref)).toBe(true)
      const { size } = blocks.blocks
      for (let turns = 0; turns < 20; turns++) await turn()
      expect(blocks.blocks.size).toBe(size)
    }
  })

  it('gives everything that was sealed before its source, its store or a content fails', async () => {
    async function* failing() {
      yield* [1, 2, 3].map((seed) => sample(100, seed))
      throw new Error('the disk is gone')
    }
    const seenBefore = async (sealing: AsyncGenerator<SealedContent>, message: string) => {
      let seen = 0
      const run = async () => {
        for await (const { ref } of sealing) if (ref !== '') seen++
      }
      await expect(run()).rejects.toThrow(message)
      return seen
    }
    const blocks = blocksIn(memoryBlobStore())
    for (const writer of [keyset, pool.writer(keyset), new Decorated(keyset)]) {
      expect(await seenBefore(sealInto(blocks, writer, failing()), 'the disk is gone')).toBe(3)
      expect(await seenBefore(packInto(blocks, writer, failing()), 'the disk is gone')).toBe(0)
      const wrong = [sample(1), sample(2), 'text' as never, sample(3)]
      expect(await seenBefore(sealInto(blocks, writer, wrong), 'content must be a Uint8Array')).toBe(2)
      const large = [sample(1), new Uint8Array(64 * MIB + 1)]
      expect(await seenBefore(sealInto(blocks, writer, large), 'at most 64 MiB')).toBe(1)
    }
    let puts = 0
    const full = Object.assign(Object.create(blocks) as typeof blocks, {
      has: async () => false,
      put: async () => {
        if (++puts === 4) throw new Error('the disk is full')
        return true
      },
    })
    const contents = Array.from({ length: 9 }, (_, index) => sample(50, index + 50))
    expect(await seenBefore(sealInto(full, keyset, contents, { ahead: 1 }), 'the disk is full')).toBe(3)
  })

  it('is aborted at once, also while the store hangs', async () => {
    const controller = new AbortController()
    const hanging = Object.assign(Object.create(new KeepingBlocks()) as KeepingBlocks, {
      put: () => new Promise<boolean>(() => undefined),
    })
    const sealing = all(sealInto(hanging, keyset, [sample(10)], { signal: controller.signal }))
    setTimeout(() => controller.abort(), 20)
    await failure(() => sealing, 'aborted')
    const signal = AbortSignal.abort()
    await failure(() => all(sealInto(new KeepingBlocks(), keyset, [sample(1)], { signal })), 'aborted')
    await failure(() => all(packInto(new KeepingBlocks(), keyset, [sample(1)], { signal })), 'aborted')
  })

  it('refuses handles that were disposed of, and leaves the contents of its caller alone', async () => {
    const gone = await makeKeyset()
    gone.dispose()
    const content = sample(100)
    await failure(() => all(sealInto(new KeepingBlocks(), gone, [content])), 'disposed')
    await failure(() => all(sealInto(new KeepingBlocks(), gone, cut(streamOf([content])))), 'disposed')
    expectSame(content, sample(100))
    // The memory that was lent for it is not used later.
    const block = await keyset.seal(content)
    await all(sealInto(blocksIn(memoryBlobStore()), keyset, [sample(200, 2), sample(300, 3)]))
    expectSame(await keyset.open(block), content)
  })

  it('refuses an invalid source, a single content, and an invalid pace', () => {
    const blocks = new KeepingBlocks()
    for (const wrong of [undefined, null, 5, {}, 'text', sample(4)]) {
      expect(() => sealInto(blocks, keyset, wrong as never)).toThrow(TypeError)
      expect(() => packInto(blocks, keyset, wrong as never)).toThrow(TypeError)
    }
    expect(() => sealInto(blocks, keyset, sample(4) as never)).toThrow('pass [contents]')
    for (const ahead of [0, -1, 1.5, NaN, 1025, '4' as never])
      expect(() => sealInto(blocks, keyset, [], { ahead })).toThrow(RangeError)
  })

  it('reads a cut that was begun, or is read twice, only as far as it goes', async () => {
    const blocks = blocksIn(memoryBlobStore())
    const begun = cut(streamOf([sample(10), sample(10, 2)]), { size: 10 })
    expectSame((await begun.next()).value as Uint8Array, sample(10))
    const [rest, ...none] = await all(sealInto(blocks, keyset, begun))
    expect(none).toEqual([])
    expectSame((await all(openFrom(blocks, keyset, [rest!.ref])))[0]!, sample(10, 2))
    const once = cut(streamOf([sample(10)]))
    expect((await all(sealInto(blocks, keyset, once))).length).toBe(1)
    expect(await all(sealInto(blocks, keyset, once))).toEqual([])
    expect(await all(once)).toEqual([])
  })

  it('repairs a block whose ciphertext is gone', async () => {
    const blobs = memoryBlobStore()
    const blocks = blocksIn(blobs)
    const [sealed] = await all(sealInto(blocks, keyset, [sample(1000)]))
    for await (const { name } of blobs.list('data/')) await blobs.delete(name)
    const [again] = await all(sealInto(blocks, keyset, [sample(1000)]))
    expect(again).toEqual({ ...sealed, isNew: true })
    expectSame((await all(openFrom(blocks, keyset, [sealed!.ref])))[0]!, sample(1000))
  })
})
