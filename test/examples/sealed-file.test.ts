// Tests the module behind the page in examples/browser: it opens what it sealed, and refuses a file that was changed.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Parts,
  encodeListing,
  isSealed,
  joinParts,
  parseListing,
  plainName,
  splitParts,
} from '../../examples/browser/container.ts'
import { openFile, type Options, sealFile } from '../../examples/browser/sealed-file.ts'
import { createKeyset, openWriter, unlockKeyset } from '../../src/index.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { CHEAP, expectSame, failure, flipped, PASSWORD, quick, sample } from '../fixtures.ts'

const CHUNK = 1000
const PLACE = { log: 'sealed file', after: 'start' } as const
const options: Options = { costs: CHEAP, chunkBytes: CHUNK }
const NAME = 'notes of today.txt'

const seal = (content: Uint8Array<ArrayBuffer>, name = NAME) => sealFile(new File([content], name), PASSWORD, options)
const bytesOf = async (blob: Blob) => new Uint8Array(await blob.arrayBuffer())
const joined = (parts: Parts, blocks: Blob[]) =>
  joinParts(new Uint8Array(parts.keyset), new Uint8Array(parts.listing), blocks)

/** A file of three full chunks, two of them identical, and a short last chunk. */
const first = sample(CHUNK, 1)
const content = new Uint8Array([...first, ...sample(CHUNK, 2), ...first, ...sample(10, 3)])
let sealed = new Blob([])
let parts: Parts
let blocks: Blob[] = []

beforeAll(async () => {
  useBackend(quick)
  sealed = await seal(content)
  parts = await splitParts(sealed)
  // Blocks of equally long chunks have the same length. The last one is shorter.
  const whole = (parts.blocks.size + (CHUNK - 10)) / 4
  blocks = [0, 1, 2, 3].map((index) => parts.blocks.slice(index * whole, (index + 1) * whole))
})
afterAll(() => useBackend(undefined))

/** Seals any listing, as an attacker who knows the password could. */
async function withListing(listing: unknown, stored: Blob[] = blocks): Promise<Blob> {
  const keyset = await unlockKeyset(parts.keyset, PASSWORD)
  const text = typeof listing === 'string' ? new TextEncoder().encode(listing) : encodeListing(listing as never)
  const { record } = await openWriter(keyset.export('host')).sealRecord(text, PLACE)
  return joined({ ...parts, listing: record }, stored)
}

describe('a sealed file', () => {
  it.each([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 4 * CHUNK])('of %i bytes opens again', async (length) => {
    const bytes = sample(length)
    const opened = await openFile(await seal(bytes), PASSWORD)
    expect(opened.name).toBe(NAME)
    expectSame(await bytesOf(opened.content), bytes)
  })

  it('does not reveal its name, its content, or that two chunks are identical', async () => {
    const bytes = Buffer.from(await bytesOf(sealed))
    expect(bytes.toString('latin1')).toMatch(/^keystrata sealed file 1\n/)
    expect(bytes.includes('notes of today')).toBe(false)
    expect(bytes.includes(Buffer.from(first.subarray(0, 16)))).toBe(false)
    const [one, , two] = await Promise.all(blocks.map(bytesOf))
    // Skip the header, which is the same in both because it names the keyset.
    for (let at = 64; at + 16 <= one!.length; at += 16) {
      expect(Buffer.from(two!).includes(Buffer.from(one!.subarray(at, at + 16)))).toBe(false)
    }
  })

  it('holds no usable key without the password: the export in it is not a host export', async () => {
    await failure(() => openWriter(parts.keyset), 'policy')
  })

  it('is recognised by its first line', async () => {
    expect(await isSealed(sealed)).toBe(true)
    expect(await isSealed(new Blob(['keystrata sealed file 2\n and more']))).toBe(false)
    expect(await isSealed(new Blob(['keystrata']))).toBe(false)
    expect(await isSealed(new Blob([]))).toBe(false)
  })

  it('reports progress while it is sealed and opened', async () => {
    const told: [string, number][] = []
    const onProgress = (step: string, fraction: number) => void told.push([step, fraction])
    await openFile(await sealFile(new File([content], NAME), PASSWORD, { ...options, onProgress }), PASSWORD, {
      onProgress,
    })
    const steps = told.map(([step]) => step).filter((step, index, all) => step !== all[index - 1])
    expect(steps).toEqual(['password', 'content', 'password', 'content'])
    const fractions = told.filter(([step]) => step === 'content').map(([, fraction]) => fraction)
    expect(fractions).toHaveLength(8)
    expect([fractions[3], fractions[7]]).toEqual([1, 1])
    for (const half of [fractions.slice(0, 4), fractions.slice(4)]) expect(half).toEqual([...half].sort())
  })

  it('can be cancelled by a signal, before the first chunk and between chunks', async () => {
    await failure(() => openFile(sealed, PASSWORD, { signal: AbortSignal.abort() }), 'aborted')
    for (const work of [sealFile, openFile] as const) {
      const controller = new AbortController()
      let chunks = 0
      const onProgress = (step: string) => {
        if (step === 'content' && ++chunks === 2) controller.abort()
      }
      const given = work === sealFile ? new File([content], NAME) : new File([sealed], NAME)
      await failure(() => work(given, PASSWORD, { ...options, onProgress, signal: controller.signal }), 'aborted')
      expect(chunks).toBe(2)
    }
  })
})

describe('what is refused', () => {
  it('a wrong password', async () => {
    await failure(() => openFile(sealed, 'another'), 'wrong-password')
  })

  it('a flipped bit anywhere, never reported as a wrong password', async () => {
    const bytes = await bytesOf(sealed)
    for (let index = 0; index < bytes.length; index += 211) {
      const codes = ['malformed', 'authentication-failed', 'unsupported', 'key-not-found'] as const
      await failure(() => openFile(new Blob([flipped(bytes, index, index % 8)]), PASSWORD), ...codes)
    }
  })

  it('a file that was cut short anywhere', async () => {
    const ends = [0, 10, 24, 26, 28, 1000, sealed.size - parts.blocks.size - 1, sealed.size - parts.blocks.size]
    for (const end of [...ends, sealed.size - blocks[3]!.size, sealed.size - 1]) {
      await failure(() => openFile(sealed.slice(0, end), PASSWORD), 'malformed')
    }
  })

  it('extra bytes or an extra chunk after the end', async () => {
    await failure(() => openFile(new Blob([sealed, 'x']), PASSWORD), 'malformed')
    await failure(() => openFile(joined(parts, [...blocks, blocks[0]!]), PASSWORD), 'malformed')
  })

  it('chunks that were swapped, repeated or left out', async () => {
    const [a, b, c, d] = blocks as [Blob, Blob, Blob, Blob]
    for (const order of [
      [b, a, c, d],
      [a, a, c, d],
      [a, c, c, d],
    ]) {
      await failure(() => openFile(joined(parts, order), PASSWORD), 'authentication-failed')
    }
    await failure(() => openFile(joined(parts, [d, a, b, c]), PASSWORD), 'authentication-failed', 'malformed')
    await failure(() => openFile(joined(parts, [a, b, d]), PASSWORD), 'malformed')
    // Identical chunks have the same label, so each can take the place of the other.
    expectSame(await bytesOf((await openFile(joined(parts, [c, b, a, d]), PASSWORD)).content), content)
  })

  it('chunks, listing or keyset of another file under the same password', async () => {
    const other = await splitParts(await seal(content))
    const codes = ['key-not-found', 'authentication-failed'] as const
    const otherFirst = other.blocks.slice(0, blocks[0]!.size)
    await failure(() => openFile(joined(parts, [otherFirst, ...blocks.slice(1)]), PASSWORD), ...codes)
    await failure(() => openFile(joined({ ...parts, listing: other.listing }, blocks), PASSWORD), ...codes)
    await failure(() => openFile(joined({ ...parts, keyset: other.keyset }, blocks), PASSWORD), ...codes)
  })

  it('an invalid listing, even if it was sealed with the password', async () => {
    const labels = await listed()
    const honest = { name: NAME, size: content.length, blocks: labels }
    expect((await openFile(await withListing(honest), PASSWORD)).content.size).toBe(content.length)
    for (const wrong of [
      { ...honest, size: content.length - 1 },
      { ...honest, size: '3010' },
      { ...honest, name: 7 },
      { ...honest, blocks: {} },
      { ...honest, blocks: labels.slice(1) },
      { ...honest, blocks: [...labels, { label: labels[0]!.label, bytes: -1 }] },
      { ...honest, blocks: [...labels, { label: labels[0]!.label, bytes: 1e15 }] },
      { ...honest, blocks: [...labels, { label: labels[0]!.label, bytes: 0 }] },
      { ...honest, blocks: labels.map(({ bytes }) => ({ label: '../etc/passwd', bytes })) },
      { ...honest, blocks: [null] },
      [],
      null,
      '{"name":',
      '',
    ]) {
      await failure(async () => openFile(await withListing(wrong), PASSWORD), 'malformed')
    }
  })

  it('impossible block lengths, before any block is read', async () => {
    const label = '0'.repeat(64)
    for (const lengths of [[-1, 11], [5.5, 4.5], [64 * 1024 * 1024 + 4097]]) {
      const blocks = lengths.map((bytes) => ({ label, bytes }))
      const stored = { size: lengths.reduce((sum, bytes) => sum + bytes) }
      await failure(() => parseListing(encodeListing({ name: NAME, size: 10, blocks }), stored), 'malformed')
    }
  })

  it('lengths beyond the file or the largest keyset, without reading that much', async () => {
    const large = new Uint8Array(1024 * 1024 + 1)
    await failure(() => openFile(joined({ ...parts, keyset: large }, blocks), PASSWORD), 'malformed')
    const head = 'keystrata sealed file 1\n'
    for (const length of [0, 1, 1024 * 1024, 1024 * 1024 + 1, 0xffff_ffff]) {
      const prefix = new Uint8Array(4)
      new DataView(prefix.buffer).setUint32(0, length)
      await failure(() => openFile(new Blob([head, prefix, 'x']), PASSWORD), 'malformed')
    }
  })

  it('Argon2id costs above the limit of the page', async () => {
    const dear = { costs: { iterations: 4, memoryKiB: 65_536, lanes: 4 } }
    const keyset = (await createKeyset(PASSWORD, dear)).export('storage')
    await failure(() => openFile(joined({ ...parts, keyset }, blocks), PASSWORD), 'limit-exceeded')
  })

  it('an empty password', async () => {
    await failure(() => sealFile(new File([content], NAME), '', options), 'invalid-text')
  })
})

describe('the name of an opened file', () => {
  it.each([
    ['report.pdf', 'report.pdf'],
    ['.profile', '.profile'],
    ['naïve – 日本語 🔑.txt', 'naïve – 日本語 🔑.txt'],
    ['../../etc/passwd', 'passwd'],
    ['C:\\Windows\\notepad.exe', 'notepad.exe'],
    ['a/b\\..', 'file'],
    ['..', 'file'],
    ['', 'file'],
    ['  spaces. . ', 'spaces'],
    ['with\nline\0feed<&>"|?*:x', 'with_line_feed_&______x'],
    ['invoice\u202efdp.exe', 'invoice_fdp.exe'],
    ['lone \ud800 half', 'lone \ufffd half'],
    [`${'x'.repeat(300)}.txt`, `${'x'.repeat(116)}.txt`],
  ])('is a plain name without a path: %j', async (name, expected) => {
    expect(plainName(name)).toBe(expected)
    expect((await openFile(await seal(new Uint8Array(0), name), PASSWORD)).name).toBe(expected)
  })
})

/** Returns the blocks that the listing of the sealed file names. */
async function listed(): Promise<{ label: string; bytes: number }[]> {
  const keyset = await unlockKeyset(parts.keyset, PASSWORD)
  const { content } = await keyset.openRecord(parts.listing, PLACE)
  return (JSON.parse(Buffer.from(content).toString()) as { blocks: { label: string; bytes: number }[] }).blocks
}
