// Blocks as a backup tool uses them: a writer seals, a reader opens.
import { encodeBlock, type Keyset, openWriter, parseBlock, type SealedBlock } from '../../src/index.ts'
import { describe, expect, it } from 'vitest'
import { backends, expectSame, failure, flipped, hex, makeKeyset, sample, withBackend } from '../fixtures.ts'

const MIB = 1024 * 1024
const dedups = ['scoped', 'global', 'off'] as const
const overhead = { scoped: 48, global: 16, off: 80 }
const keyset = await makeKeyset()
const large = sample(300_000)
const classic = await makeKeyset({ encryption: 'x25519' })
const open = await makeKeyset({ encryption: 'none' })

describe.each(dedups)('a block with dedup %s', (dedup) => {
  const writer = openWriter(keyset.export('host'), { dedup })

  it.each([0, 1, 15, 16, 17, 1000, 131_071, 131_072, 131_073, MIB])('holds %i bytes', async (size) => {
    const content = sample(size)
    const block = await writer.seal(content)
    expect(block.label).toMatch(/^[0-9a-f]{64}$/)
    expect(block.envelope.length).toBe(1713)
    expect(block.ciphertext.length).toBe(size + overhead[dedup])
    const stored = encodeBlock(block)
    expect(stored.length).toBe(block.envelope.length + block.ciphertext.length)
    expectSame(await keyset.open(parseBlock(stored, block.label)), content)
  })

  it('has its label before it is sealed, and can be sealed only once', async () => {
    const prepared = await writer.prepare(sample(100))
    const block = await prepared.seal()
    expect(block.label).toBe(prepared.label)
    expect(await keyset.open(block)).toEqual(sample(100))
    await failure(() => prepared.seal(), 'disposed')
  })

  it('has a fresh envelope every time', async () => {
    const [first, second] = [await writer.seal(sample(10)), await writer.seal(sample(10))]
    expect(first.label).toBe(second.label)
    expect(hex(first.envelope)).not.toBe(hex(second.envelope))
    expect(hex(first.ciphertext) === hex(second.ciphertext)).toBe(dedup !== 'off')
  })

  it('opens with the ciphertext of another block only if both ciphertexts are equal', async () => {
    const [first, second] = [await writer.seal(sample(10)), await writer.seal(sample(10))]
    const mixed = { ...first, ciphertext: second.ciphertext }
    if (dedup === 'off') await failure(() => keyset.open(mixed), 'authentication-failed')
    else expect(await keyset.open(mixed)).toEqual(sample(10))
  })

  it('opens on every backend, also if another backend sealed it', async () => {
    for (const sealing of backends) {
      const block = await withBackend(sealing, async () => (await makeWriter(keyset, dedup)).seal(large))
      for (const opening of backends) {
        const content = await withBackend(opening, () => keyset.open(block))
        expectSame(content, large)
      }
    }
  })
})

const makeWriter = async (from: Keyset, dedup: (typeof dedups)[number]) => openWriter(from.export('host'), { dedup })

describe('encryption', () => {
  it('x25519 makes envelopes of 145 bytes', async () => {
    const block = await openWriter(classic.export('host')).seal(sample(50))
    expect(block.envelope.length).toBe(145)
    expect(await classic.open(block)).toEqual(sample(50))
  })

  it('none stores the content as it is, under a label', async () => {
    const block = await openWriter(open.export('host'), { encryption: 'none' }).seal(sample(50))
    expect(block.envelope.length).toBe(49)
    expect(block.ciphertext).toEqual(sample(50))
    expect(await open.open(block)).toEqual(sample(50))
    await failure(() => open.open({ ...block, ciphertext: flipped(block.ciphertext, 3) }), 'authentication-failed')
  })
})

describe('equal contents', () => {
  const ciphertext = async (from: Keyset, dedup: (typeof dedups)[number]) =>
    (await makeWriter(from, dedup)).seal(sample(999))

  it.each([
    ['scoped', false],
    ['global', true],
    ['off', false],
  ] as const)('in two keysets with dedup %s: equal ciphertexts %s, never equal labels', async (dedup, equal) => {
    const other = await makeKeyset()
    const [a, b] = [await ciphertext(keyset, dedup), await ciphertext(other, dedup)]
    expect(hex(a.ciphertext) === hex(b.ciphertext)).toBe(equal)
    expect(a.label).not.toBe(b.label)
  })

  it.each([
    ['scoped', true],
    ['global', true],
    ['off', false],
  ] as const)(
    'in keysets that share a dedup key, with dedup %s: equal ciphertexts %s, never equal labels',
    async (dedup, equal) => {
      const related = await makeKeyset({ dedupWith: keyset })
      const [a, b] = [await ciphertext(keyset, dedup), await ciphertext(related, dedup)]
      expect(hex(a.ciphertext) === hex(b.ciphertext)).toBe(equal)
      expect(a.label).not.toBe(b.label)
      expect(await related.open(b)).toEqual(sample(999))
    },
  )

  it('in one keyset have a different label in each dedup mode', async () => {
    const labels = await Promise.all(dedups.map(async (dedup) => (await ciphertext(keyset, dedup)).label))
    expect(new Set(labels).size).toBe(3)
  })
})

describe('limits', () => {
  it('allow 64 MiB and not one byte more', async () => {
    const largest = new Uint8Array(64 * MIB)
    const writer = openWriter(keyset.export('host'), { dedup: 'off' })
    const block = await writer.seal(largest)
    expectSame(await keyset.open(parseBlock(encodeBlock(block), block.label)), largest)
    const error = await failure(() => writer.seal(new Uint8Array(64 * MIB + 1)), 'limit-exceeded')
    expect(error.detail).toEqual({ object: 'block', bytes: 64 * MIB + 1 })
    const tooLong = { ...block, ciphertext: new Uint8Array(64 * MIB + 81) }
    await failure(() => keyset.open(tooLong), 'limit-exceeded')
    await failure(() => parseBlock(encodeBlock(tooLong), block.label), 'limit-exceeded')
  })

  it.each(dedups)('apply to the content, not counting the overhead of the mode (%s)', async (dedup) => {
    const block = await openWriter(keyset.export('host'), { dedup }).seal(sample(5))
    const most = 64 * MIB + overhead[dedup]
    await failure(() => keyset.open({ ...block, ciphertext: new Uint8Array(most) }), 'authentication-failed')
    const tooLong = { ...block, ciphertext: new Uint8Array(most + 1) }
    expect((await failure(() => keyset.open(tooLong), 'limit-exceeded')).detail).toEqual({
      object: 'block',
      bytes: most + 1,
    })
  })

  it('let parseBlock accept the longest ciphertext of any mode, and no more', async () => {
    const { envelope, label } = await openWriter(keyset.export('host')).seal(sample(5))
    const stored = new Uint8Array(envelope.length + 64 * MIB + 80 + 1)
    stored.set(envelope)
    expect(parseBlock(stored.subarray(0, -1), label).ciphertext.length).toBe(64 * MIB + 80)
    await failure(() => parseBlock(stored, label), 'limit-exceeded')
  })
})

describe('an invalid block', () => {
  const writer = openWriter(keyset.export('host'))

  it('is refused by parseBlock', async () => {
    const block = await writer.seal(sample(10))
    const stored = encodeBlock(block)
    await failure(() => parseBlock(new Uint8Array(0), block.label), 'malformed')
    await failure(() => parseBlock(stored.subarray(0, 1712), block.label), 'malformed')
    await failure(() => parseBlock(stored.subarray(1), block.label), 'malformed')
    await failure(() => parseBlock(keyset.export('host'), block.label), 'unsupported')
    for (const label of ['', block.label.slice(1), block.label.toUpperCase(), `${block.label}0`, 'g'.repeat(64)]) {
      await failure(() => parseBlock(stored, label), 'malformed')
    }
  })

  it('is refused by open', async () => {
    const block = await writer.seal(sample(10))
    await failure(() => keyset.open({ ...block, label: 'x' }), 'malformed')
    await failure(() => keyset.open({ ...block, envelope: block.envelope.subarray(1) }), 'malformed')
    await failure(() => keyset.open({ ...block, envelope: new Uint8Array([...block.envelope, 0]) }), 'malformed')
    await failure(() => keyset.open({ ...block, ciphertext: block.ciphertext.subarray(0, 47) }), 'malformed')
    await failure(() => keyset.open({ ...block, ciphertext: new Uint8Array(0) }), 'malformed')
  })

  it('throws TypeError if a field has the wrong type', async () => {
    const block = await writer.seal(sample(10))
    const wrong = [undefined, null, 'text', [1, 2], new ArrayBuffer(8), new Uint16Array(4)] as never[]
    for (const value of wrong) {
      await expect(writer.prepare(value)).rejects.toThrow(TypeError)
      await expect(writer.seal(value)).rejects.toThrow(TypeError)
      await expect(keyset.open({ ...block, envelope: value })).rejects.toThrow(TypeError)
      await expect(keyset.open({ ...block, ciphertext: value })).rejects.toThrow(TypeError)
      expect(() => parseBlock(value, block.label)).toThrow(TypeError)
      expect(() => encodeBlock({ ...block, ciphertext: value })).toThrow(TypeError)
    }
    await expect(keyset.open({ ...block, label: 5 as never })).rejects.toThrow(TypeError)
    await expect(keyset.open(undefined as never)).rejects.toThrow(TypeError)
    expect(() => parseBlock(encodeBlock(block), undefined as never)).toThrow(TypeError)
  })

  it('gives key-not-found if it is addressed to another keyset', async () => {
    const foreign: SealedBlock = await openWriter(classic.export('host')).seal(sample(10))
    await failure(() => keyset.open(foreign), 'key-not-found')
  })
})
