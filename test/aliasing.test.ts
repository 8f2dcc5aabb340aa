// Callers own their buffers: changing one after a call starts has no effect, and results are never views of them.
// test/attacks/11-caller-race.test.ts covers content that is overwritten while it is sealed.
import { describe, expect, it } from 'vitest'
import { decode, secret } from '../src/core/codec.ts'
import { SecretKey, withBytes } from '../src/core/secret.ts'
import { openWriter, unlockKeyset } from '../src/index.ts'
import { delegate, openDelegation } from '../src/fleet.ts'
import { backends, expectSame, makeKeyset, PASSWORD, sample, withBackend } from './fixtures.ts'

const keyset = await makeKeyset()
const large = sample(300_000)

describe.each(backends)('on $name', (backend) => {
  it('overwriting the envelope and the ciphertext right after open has no effect', () =>
    withBackend(backend, async () => {
      const block = await openWriter(keyset.export('host')).seal(large)
      const opening = keyset.open(block)
      block.envelope.fill(0)
      block.ciphertext.fill(0)
      expectSame(await opening, large)
    }))
})

describe('exports', () => {
  it('can be overwritten right after a call', async () => {
    const host = keyset.export('host')
    const unlocking = unlockKeyset(host, PASSWORD)
    host.fill(0)
    expect((await unlocking).id).toBe(keyset.id)
  })

  it('of delegations can be overwritten right after a call, and so can their cards', async () => {
    const block = await keyset.seal(large)
    const regenerated = keyset.regenerate()
    const [to, from] = [keyset.card(), regenerated.card()]
    const bytes = delegate(regenerated, to, { until: new Date(2 ** 42) })
    expect(bytes.buffer.byteLength).toBe(bytes.length)
    using delegation = openDelegation(bytes, keyset, { from })
    for (const given of [bytes, to.bytes, from.bytes]) given.fill(0)
    expectSame(await regenerated.open({ ...block, envelope: delegation.rekey(block) }), large)
  })
})

describe('other kinds of byte arrays', () => {
  it('are accepted: Buffers, shared memory, views into larger buffers', async () => {
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

  it('are never kept: each key has memory of its own, however it was made', () => {
    const wide = sample(96)
    const keys = [
      new SecretKey('block', wide.subarray(32, 64)),
      SecretKey.take('block', wide.subarray(64)),
      new SecretKey('block', Buffer.from(sample(32))),
      decode(secret('block', 32), sample(32), 'key'),
    ]
    for (const key of [...keys, ...keys.map((each) => each.copy())]) {
      withBytes(key, (bytes) => {
        expect(bytes.byteOffset).toBe(0)
        expect(bytes.buffer.byteLength).toBe(32)
      })
    }
    expect(new Set(keys.map((key) => withBytes(key, ({ buffer }) => buffer))).size).toBe(keys.length)
  })

  it('are never returned: results are Uint8Arrays with their own memory', async () => {
    const block = await openWriter(keyset.export('host')).seal(sample(10))
    const content = await keyset.open(block)
    expect(content.constructor).toBe(Uint8Array)
    expect(content.buffer.byteLength).toBe(10)
    expect(keyset.export('host').buffer.byteLength).toBe(keyset.export('host').length)
  })
})
