// Opening and verifying streams of refs: what goes wrong, and what is not read twice.
import { describe, expect, it } from 'vitest'
import {
  type BlockReader,
  cut,
  openFrom,
  packInto,
  type SealedContent,
  sealInto,
  verifyBlocks,
} from '../../src/index.ts'
import { setRecipe } from '../../src/core/recipe.ts'
import { createPool } from '../../src/pool.ts'
import { type Blocks, blocksIn, memoryBlobStore } from '../../src/stores.ts'
import { all, expectSame, failure, flipped, makeKeyset, sample, streamOf } from '../fixtures.ts'
import { worker } from '../pool/source-pool.ts'
import { KeepingBlocks } from './stream-fixtures.ts'

const keyset = await makeKeyset()
const refsOf = (sealed: readonly SealedContent[]) => sealed.map(({ ref }) => ref)

/** A reader that counts as one of this library, which keeps nothing. It shows what it opened. */
function watchedReader() {
  const opened: Uint8Array[] = []
  const reader: BlockReader = {
    async open(block) {
      const content = await keyset.open(block)
      opened.push(content)
      return content
    },
  }
  setRecipe(reader, () => ({ kind: 'watched' }))
  return { reader, opened }
}

/** A store of blocks that counts what is read. */
class CountingBlocks extends KeepingBlocks {
  readonly read: string[] = []

  override async get(label: string): ReturnType<Blocks['get']> {
    this.read.push(label)
    return super.get(label)
  }
}

/** Three good blocks, one damaged, one missing, and one good. */
async function withDamage() {
  const blocks = new KeepingBlocks()
  const sealed = await all(
    sealInto(
      blocks,
      keyset,
      [1, 2, 3, 4, 5, 6].map((seed) => sample(30_000, seed)),
    ),
  )
  const refs = refsOf(sealed)
  const damaged = blocks.blocks.get(refs[3]!)!
  blocks.blocks.set(refs[3]!, { ...damaged, ciphertext: flipped(damaged.ciphertext, 20_000) })
  blocks.blocks.delete(refs[4]!)
  return { blocks, refs }
}

describe('opening', () => {
  it('gives every content before the one that does not open', async () => {
    const { blocks, refs } = await withDamage()
    for (const [list, code] of [
      [refs, 'authentication-failed'],
      [[...refs.slice(0, 3), refs[4]!], 'missing'],
      [[...refs.slice(0, 3), 'no ref'], 'malformed'],
    ] as const) {
      let seen = 0
      await failure(async () => {
        for await (const content of openFrom(blocks, keyset, streamOf(list)))
          expectSame(content, sample(30_000, ++seen))
      }, code)
      expect(seen).toBe(3)
    }
    const { detail } = await failure(() => all(openFrom(blocks, keyset, [refs[4]!])), 'missing')
    expect(detail).toEqual({ object: 'block', label: refs[4] })
    const damaged = await failure(() => all(openFrom(blocks, keyset, [refs[3]!])), 'authentication-failed')
    expect(damaged.detail['label']).toBe(refs[3])
  })

  it('says which ciphertext is missing, if the head is there', async () => {
    const blobs = memoryBlobStore()
    const [sealed] = await all(sealInto(blocksIn(blobs), keyset, [sample(10)]))
    for await (const { name } of blobs.list('data/')) await blobs.delete(name)
    const { detail } = await failure(() => all(openFrom(blocksIn(blobs), keyset, [sealed!.ref])), 'missing')
    expect(detail['object']).toBe('ciphertext')
  })

  it('reads a pack once for files that follow each other, and wipes it', async () => {
    const blocks = new CountingBlocks()
    const files = [1, 2, 3, 4].map((seed) => sample(100, seed))
    const first = refsOf(await all(packInto(blocks, keyset, files)))
    const second = refsOf(await all(packInto(blocks, keyset, files.slice(2))))
    const { reader, opened } = watchedReader()
    const refs = [...first, ...second, first[1]!]
    const contents = await all(openFrom(blocks, reader, refs))
    for (const [index, seed] of [1, 2, 3, 4, 3, 4, 2].entries()) expectSame(contents[index]!, sample(100, seed))
    expect(blocks.read.length).toBe(3)
    for (const pack of opened) expect(pack.every((byte) => byte === 0)).toBe(true)
  })

  it('leaves what the store holds as it is, and gives contents of its own', async () => {
    const { blocks, refs } = await withDamage()
    for (let round = 0; round < 2; round++) {
      for await (const content of openFrom(blocks, keyset, [refs[0]!, refs[0]!])) {
        expectSame(content, sample(30_000))
        content.fill(0)
      }
    }
  })

  it('of a member that its pack does not have is an error', async () => {
    const blocks = new KeepingBlocks()
    const [one] = refsOf(await all(packInto(blocks, keyset, [sample(10)])))
    const [two] = refsOf(await all(packInto(blocks, keyset, [sample(20, 2), sample(30, 3)])))
    const crossed = `${one!.slice(0, 64)}${two!.slice(64)}`
    await failure(() => all(openFrom(blocks, keyset, [crossed])), 'authentication-failed')
    const beyond = one!.replace('.0.', '.7.')
    await failure(() => all(openFrom(blocks, keyset, [beyond])), 'authentication-failed')
  })

  it('refuses one ref that is not in an array', () => {
    expect(() => openFrom(new KeepingBlocks(), keyset, 'ab'.repeat(32))).toThrow('pass [refs]')
    expect(() => verifyBlocks(new KeepingBlocks(), keyset, 'ab'.repeat(32))).toThrow('pass [refs]')
  })
})

describe('verifying', () => {
  it('gives every ref in order, with the error of each that does not open', async () => {
    const { blocks, refs } = await withDamage()
    const packed = refsOf(await all(packInto(blocks, keyset, [sample(10), sample(20)])))
    await using pool = createPool({ threads: 2, worker })
    const list = [...refs, ...packed, packed[0]!.replace('.0.', '.9.'), 'no ref']
    for (const reader of [keyset, pool.reader(keyset)]) {
      const found = await all(verifyBlocks(blocks, reader, list))
      expect(found.map(({ ref }) => ref)).toEqual(list)
      expect(found.map(({ error }) => error?.code)).toEqual([
        ...[undefined, undefined, undefined, 'authentication-failed', 'missing', undefined],
        ...[undefined, undefined, 'authentication-failed', 'malformed'],
      ])
    }
  })

  it('ends with an error that is not about one block', async () => {
    const { blocks, refs } = await withDamage()
    const failing = Object.assign(Object.create(blocks) as KeepingBlocks, {
      get: async () => Promise.reject(new Error('the network is gone')),
    })
    await expect(all(verifyBlocks(failing, keyset, refs))).rejects.toThrow('the network is gone')
    const gone = await makeKeyset()
    gone.dispose()
    await failure(() => all(verifyBlocks(blocks, gone, refs)), 'disposed')
    await failure(() => all(verifyBlocks(blocks, keyset, refs, { signal: AbortSignal.abort() })), 'aborted')
  })

  it('wipes what it opened', async () => {
    const { blocks, refs } = await withDamage()
    const { reader, opened } = watchedReader()
    await all(verifyBlocks(blocks, reader, refs.slice(0, 3)))
    expect(opened.length).toBe(3)
    for (const content of opened) expect(content.every((byte) => byte === 0)).toBe(true)
  })
})

it('memory that a stream gave away is not the memory of a store that keeps it', async () => {
  // The flag of a store decides. A store that keeps what it was given must not set it.
  const blocks = new KeepingBlocks()
  const refs = refsOf(await all(sealInto(blocks, keyset, cut(streamOf([sample(90_000)]), { size: 10_000 }))))
  const before = [...blocks.blocks.values()].map(({ ciphertext }) => new Uint8Array(ciphertext))
  await all(openFrom(blocks, keyset, refs))
  await all(sealInto(blocks, keyset, cut(streamOf([sample(90_000, 7)]), { size: 10_000 })))
  for (const [index, { ciphertext }] of [...blocks.blocks.values()].slice(0, 9).entries())
    expectSame(ciphertext, before[index]!)
})
