// The caller's buffers are the caller's: what happens to them after a call changes nothing, and results are no views of them.
// Content that is overwritten while it is sealed: test/attacks/11-caller-race.test.ts.
import { describe, expect, it } from 'vitest'
import { openWriter, unlockKeyset } from '../src/index.ts'
import { backends, expectSame, makeKeyset, PASSWORD, sample, withBackend } from './fixtures.ts'

const keyset = await makeKeyset()
const large = sample(300_000)

describe.each(backends)('on $name', (backend) => {
  it('an envelope and a ciphertext overwritten right after open change nothing', () =>
    withBackend(backend, async () => {
      const block = await openWriter(keyset.export('host')).seal(large)
      const opening = keyset.open(block)
      block.envelope.fill(0)
      block.ciphertext.fill(0)
      expectSame(await opening, large)
    }))
})

describe('exports', () => {
  it('overwritten right after a call change nothing', async () => {
    const host = keyset.export('host')
    const unlocking = unlockKeyset(host, PASSWORD)
    host.fill(0)
    expect((await unlocking).id).toBe(keyset.id)
  })
})

describe('bytes of other kinds', () => {
  it('are taken as bytes: views into larger buffers, Buffers, shared memory', async () => {
    const writer = openWriter(Buffer.from(keyset.export('host')))
    const content = sample(1000)
    const shared = new Uint8Array(new SharedArrayBuffer(1000))
    shared.set(content)
    const wide = new Uint8Array(3000)
    wide.set(content, 1001)
    for (const same of [Buffer.from(content), shared, wide.subarray(1001, 2001)]) {
      const block = await writer.seal(same)
      expect(
        await keyset.open({
          ...block,
          envelope: Buffer.from(block.envelope),
          ciphertext: Buffer.from(block.ciphertext),
        }),
      ).toEqual(content)
    }
  })

  it('come back in memory of their own', async () => {
    const block = await openWriter(keyset.export('host')).seal(sample(10))
    const content = await keyset.open(block)
    expect(content.constructor).toBe(Uint8Array)
    expect(content.buffer.byteLength).toBe(10)
    expect(keyset.export('host').buffer.byteLength).toBe(keyset.export('host').length)
  })
})
