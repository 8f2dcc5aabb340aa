// Stored blocks that are damaged, and stores that answer with values of wrong types (SPEC §6.2).
import { describe, expect, it } from 'vitest'
import { type BlobStore, blocksIn, memoryBlobStore } from '../../src/stores.ts'
import { all, failure, sample } from '../fixtures.ts'
import {
  block,
  content,
  damage,
  dataOf,
  filled,
  headBytes,
  headOf,
  opened,
  owner,
  sha256,
  share,
  shared,
} from './block-fixtures.ts'

describe('a block whose ciphertext is damaged', () => {
  const cases: [string, Uint8Array | undefined][] = [
    ['missing', undefined],
    ['empty', new Uint8Array(0)],
    ['cut', block.ciphertext.subarray(0, 100)],
    ['too long', new Uint8Array([...block.ciphertext, 0])],
  ]

  it.each(cases)('because it is %s, is not there for `has`, and heals at the next put', async (_, bytes) => {
    const { blobs, blocks } = await filled()
    await blobs.delete(dataOf(shared))
    if (bytes !== undefined) await blobs.put(dataOf(shared), bytes)
    expect(await blocks.has(shared.label)).toBe(false)
    expect(await blocks.shared(share.id).has(shared.label)).toBe(false)
    expect(await blocks.put(shared)).toBe(true)
    expect(await blobs.get(dataOf(shared))).toEqual(shared.ciphertext)
    expect(await blocks.has(shared.label)).toBe(true)
    expect(await blocks.shared(share.id).has(shared.label)).toBe(true)
    expect(await blocks.put(shared)).toBe(false)
    expect(await opened(blocks)).toEqual(content)
  })

  it('because it is missing, is an error that names it', async () => {
    const { blobs, blocks } = await filled()
    await blobs.delete(dataOf(shared))
    const error = await failure(() => blocks.get(shared.label), 'missing')
    expect(error.detail).toEqual({ object: 'ciphertext', label: shared.label, hash: sha256(shared.ciphertext) })
    expect(error.message).toMatch(/the head of this block, but not its ciphertext/)
  })

  it('because it was cut, does not open', async () => {
    const { blobs, blocks } = await filled()
    await damage(blobs, dataOf(shared), shared.ciphertext.subarray(0, 200))
    await failure(() => opened(blocks), 'authentication-failed', 'malformed')
  })

  it('with another one of the right length, keeps that one: data/ is never replaced by something as long', async () => {
    const { blobs, blocks } = await filled()
    const other = sample(shared.ciphertext.length, 9)
    await damage(blobs, dataOf(shared), other)
    expect(await blocks.put(shared)).toBe(false)
    expect(await blobs.get(dataOf(shared))).toEqual(other)
  })

  it('with as many bytes as before, is replaced once its head was put aside', async () => {
    const { blobs, blocks } = await filled()
    await damage(blobs, dataOf(shared), sample(shared.ciphertext.length, 9))
    await failure(() => opened(blocks), 'authentication-failed')
    // What docs/operations.md says.
    await blocks.delete(shared.label)
    expect(await blocks.has(shared.label)).toBe(false)
    expect(await blocks.put(shared)).toBe(true)
    expect(await blobs.get(dataOf(shared))).toEqual(shared.ciphertext)
    expect(await opened(blocks)).toEqual(content)
  })
})

describe('a block whose head is damaged', () => {
  const bytes = headBytes(shared)
  const damages: [string, Uint8Array][] = [
    ['empty', new Uint8Array(0)],
    ['one byte', Uint8Array.of(7)],
    ['shorter than a hash', bytes.subarray(0, 35)],
  ]

  it.each(damages)('so that it is %s, is malformed to get, and heals at the next put', async (_, damaged) => {
    const { blobs, blocks } = await filled()
    await damage(blobs, headOf(shared), damaged)
    const error = await failure(() => blocks.get(shared.label), 'malformed')
    expect(error.detail).toEqual({ object: 'head', bytes: damaged.length })
    expect(await blocks.has(shared.label)).toBe(false)
    expect(await blocks.put(shared)).toBe(true)
    expect(await blobs.get(headOf(shared))).toEqual(bytes)
    expect(await blocks.put(shared)).toBe(false)
  })

  it.each(damages)('so that it is %s, does not hide the other heads', async (_, damaged) => {
    const { blobs, blocks } = await filled()
    const others = await Promise.all(Array.from({ length: 3 }, (_each, index) => owner.seal(sample(100, index + 2))))
    for (const other of others) await blocks.put(other)
    await damage(blobs, headOf(shared), damaged)
    const heads = await all(blocks.heads())
    expect(heads.map(({ label }) => label)).toEqual([shared, ...others].map(({ label }) => label).sort())
    const [damagedHead] = heads.filter(({ label }) => label === shared.label)
    expect(damagedHead!.envelope).toEqual(new Uint8Array(0))
    await failure(() => owner.rekey(damagedHead!), 'malformed')
  })

  it('by a wrong length or a wrong hash, heals at the next put', async () => {
    for (const index of [3, bytes.length - 1]) {
      const { blobs, blocks } = await filled()
      const damaged = new Uint8Array(bytes)
      damaged[index]! ^= 1
      await damage(blobs, headOf(shared), damaged)
      expect(await blocks.has(shared.label)).toBe(false)
      expect(await blocks.put(shared)).toBe(true)
      expect(await blobs.get(headOf(shared))).toEqual(bytes)
    }
  })

  it('cannot be given a new envelope, because its ciphertext is unknown', async () => {
    const { blobs, blocks } = await filled()
    const [head] = await all(blocks.heads())
    await damage(blobs, headOf(shared), new Uint8Array(3))
    await failure(() => blocks.replaceEnvelope(head!, sample(145)), 'malformed')
  })
})

describe('answers of wrong types', () => {
  const wrong = async (change: Partial<Record<keyof BlobStore, unknown>>) => {
    const { blobs } = await filled()
    return blocksIn({ ...blobs, ...change } as BlobStore)
  }

  it.each([[null], [''], ['text'], [new ArrayBuffer(40)], [[1, 2]], [{ Body: 'x' }]])(
    'from get: %j is a TypeError',
    async (answer) => {
      const blocks = await wrong({ get: async () => answer })
      await expect(blocks.get(shared.label)).rejects.toThrow(
        /get of the store returned .* must return bytes, or undefined/,
      )
      await expect(blocks.has(shared.label)).rejects.toThrow(TypeError)
      await expect(blocks.put(shared)).rejects.toThrow(TypeError)
      await expect(all(blocks.heads())).rejects.toThrow(TypeError)
      await expect(blocks.replaceEnvelope(shared, sample(9))).rejects.toThrow(TypeError)
    },
  )

  it.each([[undefined], [null], [1], [{ ETag: '"1"' }], ['true']])('from put: %j is a TypeError', async (answer) => {
    const blocks = blocksIn({ ...memoryBlobStore(), put: async () => answer as never })
    await expect(blocks.put(block)).rejects.toThrow(/put of the store returned .* must return true or false/)
  })

  it.each([[undefined], [1], [{ modifiedCount: 0 }]])('from replace: %j is a TypeError', async (answer) => {
    const blocks = await wrong({ replace: async () => answer })
    await expect(blocks.replaceEnvelope(shared, sample(9))).rejects.toThrow(/replace of the store returned/)
  })

  it('from list: a size as text, or a name without its prefix', async () => {
    const { blobs } = await filled()
    const yielding = (change: (name: string, size: number) => object) =>
      blocksIn({
        ...blobs,
        async *list(prefix: string) {
          for await (const { name, size } of blobs.list(prefix)) yield change(name, size)
        },
      } as unknown as BlobStore)
    const text = yielding((name, size) => ({ name, size: String(size) }))
    await expect(text.has(shared.label)).rejects.toThrow(/a size that is not a number, but a string/)
    await expect(text.put(shared)).rejects.toThrow(TypeError)
    for (const name of [shared.label, 7, undefined, `bucket/head/${shared.label}`]) {
      const stripped = yielding(() => ({ name, size: 1 }))
      await expect(all(stripped.heads())).rejects.toThrow(/a name that does not begin with head\//)
    }
  })

  it('from get: a Buffer that is a view of something larger is fine', async () => {
    const { blobs } = await filled()
    const get = async (name: string) => {
      const bytes = await blobs.get(name)
      return bytes && Buffer.concat([Buffer.alloc(13, 1), bytes, Buffer.alloc(5)]).subarray(13, 13 + bytes.length)
    }
    const blocks = blocksIn({ ...blobs, get })
    expect(await blocks.has(shared.label)).toBe(true)
    expect(await opened(blocks)).toEqual(content)
    const [head] = await all(blocks.heads())
    expect(await blocks.replaceEnvelope(head!, sample(145))).toBe(true)
  })
})

describe('arguments of wrong types', () => {
  it('are refused before the store is asked', async () => {
    const untouched = { ...memoryBlobStore(), get: async () => expect.unreachable() }
    const blocks = blocksIn(untouched as unknown as BlobStore)
    for (const label of ['', 'A'.repeat(64), '0'.repeat(63), `../${'0'.repeat(61)}`]) {
      await failure(() => blocks.get(label), 'malformed')
      await failure(() => blocks.has(label), 'malformed')
      await failure(() => blocks.delete(label), 'malformed')
      await failure(() => blocks.put({ ...block, label }), 'malformed')
      await failure(() => blocks.replaceEnvelope({ ...block, label }, sample(9)), 'malformed')
    }
    await expect(blocks.get(7 as never)).rejects.toThrow(TypeError)
    await expect(blocks.put(Promise.resolve(block) as never)).rejects.toThrow(/await it/)
    await expect(blocks.put(block.ciphertext as never)).rejects.toThrow(TypeError)
    await expect(blocks.put({ ...block, ciphertext: 'text' as never })).rejects.toThrow(TypeError)
    const badShare = new Map([[share.id, 'text' as never]])
    await expect(blocks.put({ ...block, shared: badShare })).rejects.toThrow(/envelope must be a Uint8Array/)
    await expect(blocks.put({ ...block, shared: new Map([[7 as never, sample(9)]]) })).rejects.toThrow(/id of a share/)
  })
})
