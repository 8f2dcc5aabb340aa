// Cutting streams into contents.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cut } from '../../src/index.ts'
import { all, expectSame, numRuns, sample, streamOf } from '../fixtures.ts'

const joined = (parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts))
const MIB = 1024 * 1024

describe('a cut', () => {
  it('gives the bytes of the stream in contents of one size, whatever its chunks are', async () => {
    const chunks = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(chunks, fc.integer({ min: 1, max: 700 }), async (parts, size) => {
        const contents = await all(cut(streamOf(parts), { size }))
        expectSame(joined(contents), joined(parts))
        for (const content of contents.slice(0, -1)) expect(content.length).toBe(size)
        const last = contents.at(-1)
        if (last !== undefined) expect(last.length > 0 && last.length <= size).toBe(true)
      }),
      { numRuns: numRuns(200, 2000) },
    )
  })

  it('has contents of 8 MiB unless told', async () => {
    const parts = Array.from({ length: 17 }, (_, index) => sample(MIB, index + 1))
    const contents = await all(cut(streamOf(parts)))
    expect(contents.map(({ length }) => length)).toEqual([8 * MIB, 8 * MIB, MIB])
    expectSame(joined(contents), joined(parts))
  })

  it('of a stream without bytes has no contents', async () => {
    expect(await all(cut(streamOf([])))).toEqual([])
    expect(await all(cut(streamOf([new Uint8Array(0), new Uint8Array(0)])))).toEqual([])
  })

  it('gives contents that stay as they are, from a source that reuses its memory', async () => {
    const buffer = new Uint8Array(10)
    async function* reused() {
      for (let round = 0; round < 20; round++) {
        buffer.fill(round)
        yield buffer
      }
    }
    const contents = await all(cut(reused(), { size: 25 }))
    expect(joined(contents)).toEqual(joined(Array.from({ length: 20 }, (_, round) => new Uint8Array(10).fill(round))))
  })

  it('reads streams of the web, also where they are not iterable, and Buffers', async () => {
    const stream = () => new Blob([sample(1000)]).stream()
    expectSame(joined(await all(cut(stream(), { size: 300 }))), sample(1000))
    const inSafari = { getReader: () => stream().getReader() } as ReadableStream<Uint8Array>
    expectSame(joined(await all(cut(inSafari, { size: 300 }))), sample(1000))
    expectSame(joined(await all(cut(streamOf([Buffer.from(sample(10))]), { size: 3 }))), sample(10))
  })

  it('closes its source when it is no longer read, and after an error', async () => {
    for (const isAnError of [false, true]) {
      let isClosed = false
      async function* endless(): AsyncGenerator<Uint8Array> {
        try {
          for (;;) yield (isAnError ? 'text' : sample(5)) as Uint8Array
        } finally {
          isClosed = true
        }
      }
      const reading = (async () => {
        for await (const { length } of cut(endless(), { size: 12 })) if (length === 12) break
      })()
      if (isAnError) await expect(reading).rejects.toThrow('chunk of the stream')
      else await reading
      expect(isClosed).toBe(true)
    }
    let isCancelled = false
    const web: ReadableStream<Uint8Array> = new ReadableStream({
      pull: (controller) => controller.enqueue(sample(5)),
      cancel: () => void (isCancelled = true),
    })
    const inSafari = { getReader: () => web.getReader() } as ReadableStream<Uint8Array>
    for await (const { length } of cut(inSafari, { size: 12 })) if (length === 12) break
    expect(isCancelled).toBe(true)
  })

  it('reads no further than it must', async () => {
    let taken = 0
    async function* counted() {
      for (;;) {
        taken++
        yield sample(10)
      }
    }
    const contents = cut(counted(), { size: 25 })
    expect(taken).toBe(0)
    await contents.next()
    expect(taken).toBe(3)
    await contents.return(undefined)
  })

  it('refuses what is not a stream of bytes, and sizes that no block can have', async () => {
    for (const source of [undefined, null, 5, 'text', [sample(1)], sample(5), Promise.resolve()])
      expect(() => cut(source as never)).toThrow(TypeError)
    expect(() => cut(sample(5) as never)).toThrow('pass [content] to sealInto')
    for (const size of [0, -1, 1.5, NaN, 64 * MIB + 1, '8' as never])
      expect(() => cut(streamOf([]), { size })).toThrow(RangeError)
    expect(await all(cut(streamOf([sample(3)]), { size: undefined }))).toEqual([sample(3)])
  })
})
