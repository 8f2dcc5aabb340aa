// Row 31. Somebody writes to the store of blocks, or the store itself lies about what it has. They want a backup to leave
// out what it should store, a restore to give other contents, and an audit to find nothing.
import { describe, expect, it } from 'vitest'
import {
  type KeystrataError,
  labelOf,
  openFrom,
  openWriter,
  packInto,
  sealInto,
  type StoredBlock,
  verifyBlocks,
} from '../../src/index.ts'
import { type BlobStore, blocksIn, checkBlocks, memoryBlobStore } from '../../src/stores.ts'
import { all, expectSame, failure, flipped, sample } from '../fixtures.ts'
import { quickKeyset } from './known.ts'

const [owner, other, friend] = await Promise.all([quickKeyset(), quickKeyset(), quickKeyset()])
const { keyset, share } = owner.createShare()
const writer = openWriter(keyset.export('host'))
const contents = [1, 2, 3].map((seed) => sample(500, seed))

/** Stores three contents, and returns their refs, and those of a share. */
async function backedUp(blobs: BlobStore = memoryBlobStore()) {
  const blocks = blocksIn(blobs)
  const sealed = await all(sealInto(blocks, writer, contents, { shares: [share.id] }))
  const refs = sealed.map(({ ref }) => ref)
  return { blobs, blocks, refs, shared: sealed.map((each) => each.shared!.get(share.id)!) }
}

async function overwrite(blobs: BlobStore, name: string, bytes: Uint8Array): Promise<void> {
  await blobs.delete(name)
  await blobs.put(name, bytes)
}

/** The name of the ciphertext that the head of a block names. */
async function dataOf(blobs: BlobStore, label: string): Promise<string> {
  const head = (await blobs.get(`head/${label}`))!
  return `data/${Buffer.from(head.subarray(-32)).toString('hex')}`
}

const codesIn = async (verified: AsyncIterable<{ error?: KeystrataError }>) =>
  (await all(verified)).map(({ error }) => error?.code)

describe('a writer of storage wants a restore to give other contents', () => {
  it('swaps heads, ciphertexts, or both: neither opens under the label of the other', async () => {
    const forms: readonly ((blobs: BlobStore, one: string, two: string) => Promise<void>)[] = [
      async (blobs, one, two) => {
        const [first, second] = [(await blobs.get(`head/${one}`))!, (await blobs.get(`head/${two}`))!]
        await overwrite(blobs, `head/${one}`, second)
        await overwrite(blobs, `head/${two}`, first)
      },
      async (blobs, one, two) => {
        const [first, second] = [await dataOf(blobs, one), await dataOf(blobs, two)]
        const [a, b] = [(await blobs.get(first))!, (await blobs.get(second))!]
        await overwrite(blobs, first, b)
        await overwrite(blobs, second, a)
      },
      async (blobs, one, two) => {
        // The envelopes stay, and each names the ciphertext of the other.
        const [first, second] = [(await blobs.get(`head/${one}`))!, (await blobs.get(`head/${two}`))!]
        await overwrite(blobs, `head/${one}`, Uint8Array.of(...first.subarray(0, -32), ...second.subarray(-32)))
        await overwrite(blobs, `head/${two}`, Uint8Array.of(...second.subarray(0, -32), ...first.subarray(-32)))
      },
    ]
    for (const swap of forms) {
      const { blobs, blocks, refs } = await backedUp()
      await swap(blobs, refs[0]!, refs[1]!)
      for (const ref of refs.slice(0, 2)) {
        await failure(() => all(openFrom(blocks, keyset, [ref])), 'authentication-failed')
      }
      expect(await codesIn(verifyBlocks(blocks, keyset, refs))).toEqual([
        'authentication-failed',
        'authentication-failed',
        undefined,
      ])
    }
  })

  it('offers blocks of another keyset under its labels', async () => {
    const { blobs, blocks, refs } = await backedUp()
    const theirs = blocksIn(memoryBlobStore())
    const [foreign] = await all(sealInto(theirs, other, [contents[0]!]))
    const planted = (await theirs.get(foreign!.ref))!
    await blobs.delete(`head/${refs[0]!}`)
    await blocks.put({ ...planted, label: refs[0]! })
    await failure(() => all(openFrom(blocks, keyset, [refs[0]!])), 'key-not-found')
  })

  it('changes refs: a ref of a share opens only the ciphertext that it names', async () => {
    const { blocks, refs, shared } = await backedUp()
    using reader = friend.acceptShare(share.invite(friend.card()), keyset.card())
    const inShare = blocks.shared(share.id)
    const [one, two] = shared.map((ref) => ref.split('.')[1]!)
    expectSame((await all(openFrom(inShare, reader, [shared[0]!])))[0]!, contents[0]!)
    await failure(() => all(openFrom(inShare, reader, [`${refs[0]!}.${two!}`])), 'authentication-failed')
    await failure(() => all(openFrom(inShare, reader, [`${refs[1]!}.${one!}`])), 'authentication-failed')
    await failure(() => all(openFrom(inShare, reader, [refs[0]!])), 'malformed')
    // Where a ref has a hash, the owner's own reader compares it too.
    await failure(() => all(openFrom(blocks, keyset, [`${refs[0]!}.${two!}`])), 'authentication-failed')
  })

  it('changes refs: a member opens only in its pack, at its place', async () => {
    const blocks = blocksIn(memoryBlobStore())
    const [first, second] = await all(packInto(blocks, writer, contents.slice(0, 2)))
    const [elsewhere] = await all(packInto(blocks, writer, [contents[2]!]))
    const [label, form, index, key] = first!.ref.split('.') as [string, string, string, string]
    expect([form, index]).toEqual(['k', '0'])
    const otherKey = second!.ref.split('.')[3]!
    for (const ref of [
      [labelOf(elsewhere!.ref), form, index, key],
      [label, form, '1', key],
      [label, form, '0', otherKey],
      [label, 'g', index, key],
    ]) {
      await failure(() => all(openFrom(blocks, keyset, [ref.join('.')])), 'authentication-failed', 'malformed')
    }
  })
})

describe('a store that lies about what it has wants a backup to leave out blocks', () => {
  it('claims to have blocks: they are not stored, and verifyBlocks finds each of them', async () => {
    const blocks = blocksIn(memoryBlobStore())
    const lying = { has: async () => true, put: (block: StoredBlock) => blocks.put(block) }
    const sealed = await all(sealInto(lying, writer, contents))
    expect(sealed.map(({ isNew }) => isNew)).toEqual([false, false, false])
    const refs = sealed.map(({ ref }) => ref)
    expect(await codesIn(verifyBlocks(blocks, keyset, refs))).toEqual(['missing', 'missing', 'missing'])
    await failure(() => all(openFrom(blocks, keyset, refs)), 'missing')
    // The next backup to an honest store writes the same blocks.
    const again = await all(sealInto(blocks, writer, contents))
    expect(again.map(({ ref, isNew }) => [ref, isNew])).toEqual(refs.map((ref) => [ref, true]))
    expect(await codesIn(verifyBlocks(blocks, keyset, refs))).toEqual([undefined, undefined, undefined])
  })

  it('claims to have stored what it threw away: verifyBlocks finds it, and checkBlocks finds lost ciphertexts', async () => {
    for (const lost of ['head/', 'data/']) {
      const blobs = memoryBlobStore()
      const forgetful: BlobStore = {
        ...blobs,
        put: async (name, bytes) => name.startsWith(lost) || blobs.put(name, bytes),
      }
      const sealed = await all(sealInto(blocksIn(forgetful), writer, contents))
      const refs = sealed.map(({ ref }) => ref)
      expect(await codesIn(verifyBlocks(blocksIn(blobs), keyset, refs))).toEqual(['missing', 'missing', 'missing'])
      const problems = (await all(checkBlocks(blobs))).map(({ problem }) => problem)
      expect(problems).toEqual(lost === 'data/' ? ['missing', 'missing', 'missing'] : [])
    }
  })

  it('denies to have blocks: a backup replaces no ciphertext that an old ref names', async () => {
    const { blobs, blocks, refs, shared } = await backedUp()
    const before = await Promise.all(refs.map(async (ref) => (await blobs.get(await dataOf(blobs, ref)))!))
    const forgetful = {
      has: async () => false,
      put: (block: StoredBlock) => blocks.put(block),
      shared: (id: string) => blocks.shared(id),
    }
    const again = await all(sealInto(forgetful, writer, contents, { shares: [share.id] }))
    expect(again.map(({ shared: heads }) => heads!.get(share.id))).toEqual(shared)
    for (const [index, ref] of refs.entries()) {
      expectSame((await blobs.get(await dataOf(blobs, ref)))!, before[index]!)
    }
    using reader = friend.acceptShare(share.invite(friend.card()), keyset.card())
    const opened = await all(openFrom(blocks.shared(share.id), reader, shared))
    for (const [index, content] of opened.entries()) expectSame(content, contents[index]!)
  })
})

describe('a writer of storage wants an audit to find nothing', () => {
  it('replaces ciphertexts: checkBlocks finds another length at once, and other bytes if it reads them', async () => {
    const { blobs, refs } = await backedUp()
    const [first, second, third] = refs as [string, string, string]
    const [one, two] = [await dataOf(blobs, first), await dataOf(blobs, second)]
    await overwrite(blobs, one, (await blobs.get(one))!.subarray(1))
    await overwrite(blobs, two, flipped((await blobs.get(two))!, 40))
    const found = async (readData: boolean) =>
      new Map((await all(checkBlocks(blobs, { readData }))).map(({ label, problem }) => [label, problem]))
    expect(await found(false)).toEqual(new Map([[first, 'length']]))
    expect(await found(true)).toEqual(
      new Map([
        [first, 'length'],
        [second, 'hash'],
      ]),
    )
    // Whoever has no key cannot tell that a head and its ciphertext were replaced together. Its owner can.
    const planted = flipped((await blobs.get(await dataOf(blobs, third)))!, 40)
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', planted))
    const head = (await blobs.get(`head/${third}`))!
    await blobs.put(`data/${Buffer.from(hash).toString('hex')}`, planted)
    await overwrite(blobs, `head/${third}`, Uint8Array.of(...head.subarray(0, -32), ...hash))
    expect((await found(true)).has(third)).toBe(false)
    expect(await codesIn(verifyBlocks(blocksIn(blobs), keyset, [third]))).toEqual(['authentication-failed'])
  })

  it('hides blocks from the list: checkBlocks cannot miss what it is not shown, and verifyBlocks does', async () => {
    const { blobs, blocks, refs } = await backedUp()
    await blobs.delete(`head/${refs[0]!}`)
    await blobs.delete(`share/${share.id}/${refs[0]!}`)
    expect(await all(checkBlocks(blobs, { readData: true }))).toEqual([])
    expect(await codesIn(verifyBlocks(blocks, keyset, refs))).toEqual(['missing', undefined, undefined])
  })
})
