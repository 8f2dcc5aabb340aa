// The audit of a store without keys.
import { describe, expect, it } from 'vitest'
import { openWriter, sealInto } from '../../src/index.ts'
import { type BlobStore, blocksIn, checkBlocks, memoryBlobStore } from '../../src/stores.ts'
import { StoreMistake } from '../../src/state/checked.ts'
import { all, failure, flipped, makeKeyset, sample, streamOf } from '../fixtures.ts'
import { damage } from './block-fixtures.ts'

const { keyset: owner, share } = (await makeKeyset()).createShare()

async function filled() {
  const blobs = memoryBlobStore()
  const contents = Array.from({ length: 12 }, (_, index) => sample(500, index + 1))
  const sealed = await all(sealInto(blocksIn(blobs), owner, contents, { shares: [share.id] }))
  const labels = sealed.map(({ ref }) => ref)
  const dataOf = async (label: string): Promise<string> => {
    const head = (await blobs.get(`head/${label}`))!
    return `data/${Buffer.from(head.subarray(-32)).toString('hex')}`
  }
  return { blobs, labels, dataOf }
}

describe('a store', () => {
  it('without faults has no problems, with its shares, and blocks of all key models', async () => {
    const { blobs } = await filled()
    const open = await makeKeyset({ encryption: 'none' })
    await blocksIn(blobs).put(await openWriter(open.export('host'), { encryption: 'none' }).seal(sample(0)))
    expect(await all(checkBlocks(blobs))).toEqual([])
    expect(await all(checkBlocks(blobs, { readData: true }))).toEqual([])
  })

  it('with faults: each head is named once, with what is wrong', async () => {
    const { blobs, labels, dataOf } = await filled()
    const [gone, cut, altered, headCut, headAltered] = labels as [string, string, string, string, string]
    await blobs.delete(await dataOf(gone))
    const bytes = (await blobs.get(await dataOf(cut)))!
    await damage(blobs, await dataOf(cut), bytes.subarray(0, -1))
    const other = (await blobs.get(await dataOf(altered)))!
    await damage(blobs, await dataOf(altered), flipped(other, 100))
    const head = (await blobs.get(`head/${headCut}`))!
    await damage(blobs, `head/${headCut}`, head.subarray(0, 20))
    const whole = (await blobs.get(`head/${headAltered}`))!
    await damage(blobs, `head/${headAltered}`, new Uint8Array([...whole.subarray(0, 60), ...whole.subarray(61)]))
    const quick = await all(checkBlocks(blobs))
    expect(new Set(quick)).toEqual(
      new Set([
        { label: gone, problem: 'missing' },
        { label: cut, problem: 'length' },
        { label: headCut, problem: 'malformed' },
        { label: headAltered, problem: 'malformed' },
      ]),
    )
    const full = await all(checkBlocks(blobs, { readData: true }))
    expect(new Set(full)).toEqual(new Set([...quick, { label: altered, problem: 'hash' }]))
    // The list is in the order of the labels.
    expect(full.map(({ label }) => label)).toEqual(full.map(({ label }) => label).sort())
  })

  it('names the head of a share only if its own fault, or its own ciphertext', async () => {
    const { blobs, labels } = await filled()
    const [label] = labels as [string]
    const name = `share/${share.id}/${label}`
    const head = (await blobs.get(name))!
    await damage(blobs, name, head.subarray(0, 9))
    expect(await all(checkBlocks(blobs))).toEqual([{ label, problem: 'malformed', share: share.id }])
    await damage(blobs, name, new Uint8Array([...head.subarray(0, -32), ...sample(32)]))
    expect(await all(checkBlocks(blobs))).toEqual([{ label, problem: 'missing', share: share.id }])
  })

  it('is checked in parts by a prefix', async () => {
    const { blobs, labels, dataOf } = await filled()
    for (const label of labels) await blobs.delete(await dataOf(label))
    const prefix = labels[0]!.slice(0, 2)
    const found = await all(checkBlocks(blobs, { prefix }))
    expect(found.map(({ label }) => label)).toEqual(labels.filter((label) => label.startsWith(prefix)).sort())
    expect(() => checkBlocks(blobs, { prefix: 'X' })).toThrow(TypeError)
    expect(() => checkBlocks(blobs, { readData: 'yes' as never })).toThrow(TypeError)
  })

  it('ends when it is aborted, and when the store fails', async () => {
    const { blobs } = await filled()
    await failure(() => all(checkBlocks(blobs, { signal: AbortSignal.abort() })), 'aborted')
    const failing: BlobStore = { ...blobs, get: async () => Promise.reject(new Error('the network is gone')) }
    await expect(all(checkBlocks(failing))).rejects.toThrow('the network is gone')
  })

  it('ends if the store breaks its contract, instead of finding nothing', async () => {
    const { blobs, labels } = await filled()
    const answers: readonly Partial<Record<keyof BlobStore, unknown>>[] = [
      { list: () => streamOf([{ name: 5, size: 1 }]) },
      { list: () => streamOf([{ name: labels[0], size: 1 }]) },
      { get: async () => null },
      { get: async () => 'text' },
    ]
    for (const answer of answers) {
      await expect(all(checkBlocks({ ...blobs, ...answer } as BlobStore))).rejects.toThrow(StoreMistake)
    }
  })

  it('passes over heads of a later release, and blobs that are no heads', async () => {
    const { blobs, labels } = await filled()
    const name = `head/${labels[0]!}`
    const head = (await blobs.get(name))!
    // The version of the format.
    await damage(blobs, name, flipped(head, 4 + 4, 6))
    await blobs.put('head/readme', sample(3))
    await blobs.put(`share/${labels[0]!}`, sample(3))
    expect(await all(checkBlocks(blobs))).toEqual([])
  })
})
