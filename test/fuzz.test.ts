// Every parser and every open, with bytes that no writer made: a KeystrataError comes out, and nothing else.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeBlock, KeystrataError, openWriter, parseBlock, unlockKeyset } from '../src/index.ts'
import { parseEnvelope } from '../src/format/envelope.ts'
import { parseKeyset } from '../src/keys/keyset-record.ts'
import { makeKeyset, PASSWORD, sample } from './fixtures.ts'

const runs = { numRuns: process.env['SLOW'] === '1' ? 20_000 : 400 }
const keyset = await makeKeyset({ encryption: 'none' })
const host = keyset.export('host')
const blocks = await Promise.all(
  (['hybrid', 'x25519', 'none'] as const).map((encryption) => keyset.writer({ encryption }).seal(sample(40))),
)
const seeds = [host, keyset.export('source-storage'), ...blocks.map(encodeBlock)]

/** One of the seeds with parts cut, copied, overwritten; or nothing but noise. */
const damaged = fc.oneof(
  fc.uint8Array({ maxLength: 4000 }),
  fc
    .record({
      seed: fc.constantFrom(...seeds),
      cuts: fc.array(fc.record({ at: fc.nat(5000), remove: fc.nat(50), insert: fc.uint8Array({ maxLength: 20 }) }), {
        maxLength: 4,
      }),
    })
    .map(({ seed, cuts }) => {
      const bytes = [...seed]
      for (const { at, remove, insert } of cuts) bytes.splice(at % bytes.length, remove, ...insert)
      return Uint8Array.from(bytes)
    }),
  // A right header with noise behind it, and lengths as large as they can be.
  fc
    .record({
      seed: fc.constantFrom(...seeds),
      at: fc.nat(400),
      value: fc.constantFrom(0, 0x7f, 0x80, 0xff),
      run: fc.nat(8),
    })
    .map(({ seed, at, value, run }) =>
      Uint8Array.from(seed, (byte, index) => (index >= at && index <= at + run ? value : byte)),
    ),
)

async function onlyKeystrataErrors(action: () => unknown): Promise<void> {
  try {
    await action()
  } catch (error) {
    if (!(error instanceof KeystrataError)) throw error
    expect(error.cause).toBeUndefined()
  }
}

describe('hostile bytes', () => {
  it('in parsers', async () => {
    await fc.assert(
      fc.asyncProperty(damaged, async (bytes) => {
        await onlyKeystrataErrors(() => parseKeyset(bytes))
        await onlyKeystrataErrors(() => parseEnvelope(bytes))
        await onlyKeystrataErrors(() => parseBlock(bytes, blocks[0]!.label))
      }),
      runs,
    )
  })

  it('in openWriter and open', async () => {
    await fc.assert(
      fc.asyncProperty(damaged, fc.string({ maxLength: 70 }), async (bytes, text) => {
        await onlyKeystrataErrors(() => openWriter(bytes))
        await onlyKeystrataErrors(() => keyset.open(parseBlock(bytes, blocks[1]!.label)))
        await onlyKeystrataErrors(() => keyset.open({ ...blocks[2]!, ciphertext: bytes }))
        await onlyKeystrataErrors(() => keyset.open({ ...blocks[0]!, ciphertext: bytes }))
        await onlyKeystrataErrors(() => parseBlock(encodeBlock(blocks[0]!), text))
      }),
      runs,
    )
  })

  it('in unlockKeyset', async () => {
    await fc.assert(
      fc.asyncProperty(damaged, async (bytes) => {
        if (Buffer.compare(bytes, host) === 0) return
        await onlyKeystrataErrors(() => unlockKeyset(bytes, PASSWORD))
      }),
      { numRuns: Math.ceil(runs.numRuns / 4) },
    )
  })
})
