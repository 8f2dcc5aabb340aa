// Laws of blocks, for any content and any change to the stored bytes.
import { encodeBlock, type Keyset, openWriter, parseBlock, type WriterOptions } from '../../src/index.ts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { failure, flipped, hex, makeKeyset, numRuns } from '../fixtures.ts'

const runs = { numRuns: numRuns(80, 3000) }

const strict = await makeKeyset()
const lax = await makeKeyset({ encryption: 'none' })
const related = await makeKeyset({ encryption: 'none', dedupWith: lax })

const content = fc.uint8Array({ maxLength: 500 })
const dedup = fc.constantFrom('scoped', 'global', 'off')
const encryption = fc.constantFrom('hybrid', 'x25519', 'none')
const options = fc.record({ dedup, encryption })

const seal = (keyset: Keyset, bytes: Uint8Array, chosen: WriterOptions) =>
  openWriter(keyset.export('host'), chosen).seal(bytes)

describe('blocks', () => {
  it('open to the content that was sealed, after encoding and parsing', async () => {
    await fc.assert(
      fc.asyncProperty(content, options, async (bytes, chosen) => {
        const block = await seal(lax, bytes, chosen)
        expect(await lax.open(parseBlock(encodeBlock(block), block.label))).toEqual(new Uint8Array(bytes))
      }),
      runs,
    )
  })

  it('with any bit flipped fail to open, and never give other content', async () => {
    await fc.assert(
      fc.asyncProperty(content, dedup, fc.nat(), fc.nat(7), async (bytes, chosen, position, bit) => {
        const block = await seal(strict, bytes, { dedup: chosen })
        const stored = encodeBlock(block)
        const index = position % stored.length
        const open = () => strict.open(parseBlock(flipped(stored, index, bit), block.label))
        await failure(open, 'authentication-failed', 'malformed', 'unsupported', 'key-not-found', 'policy')
      }),
      runs,
    )
  })

  it('with any bit flipped fail to open, even where weaker blocks are accepted', async () => {
    await fc.assert(
      fc.asyncProperty(content, options, fc.nat(), fc.nat(7), async (bytes, chosen, position, bit) => {
        const block = await seal(lax, bytes, chosen)
        const stored = encodeBlock(block)
        const index = position % stored.length
        const open = () => lax.open(parseBlock(flipped(stored, index, bit), block.label))
        if (chosen.encryption === 'none' && index >= 16 && index < 32) {
          // In an unencrypted block the key id selects the rule that allows it, and no key (SPEC §10.4).
          expect(await open()).toEqual(Uint8Array.from(bytes))
          return
        }
        await failure(open, 'authentication-failed', 'malformed', 'unsupported', 'key-not-found')
      }),
      runs,
    )
  })

  it('truncated or extended anywhere fail to open', async () => {
    await fc.assert(
      fc.asyncProperty(
        content,
        options,
        fc.nat(),
        fc.uint8Array({ minLength: 1 }),
        async (bytes, chosen, position, tail) => {
          const block = await seal(lax, bytes, chosen)
          const stored = encodeBlock(block)
          const cut = stored.subarray(0, position % stored.length)
          await failure(() => lax.open(parseBlock(cut, block.label)), 'authentication-failed', 'malformed')
          const extended = new Uint8Array([...stored, ...tail])
          await failure(() => lax.open(parseBlock(extended, block.label)), 'authentication-failed', 'malformed')
        },
      ),
      runs,
    )
  })

  it('do not open under another label', async () => {
    await fc.assert(
      fc.asyncProperty(content, content, options, options, async (bytes, others, chosen, chosenToo) => {
        const [one, other] = [await seal(lax, bytes, chosen), await seal(lax, others, chosenToo)]
        fc.pre(one.label !== other.label)
        await failure(() => lax.open({ ...one, label: other.label }), 'authentication-failed')
      }),
      runs,
    )
  })

  it('with equal content deduplicate exactly where the table of SPEC §10.2 says', async () => {
    const keysets = { lax, related, strict }
    const name = fc.constantFrom('lax', 'related', 'strict')
    const encrypted = fc.constantFrom('scoped', 'global', 'off')
    await fc.assert(
      fc.asyncProperty(content, name, name, encrypted, encrypted, async (bytes, first, second, one, two) => {
        const [a, b] = [
          await seal(keysets[first], bytes, { dedup: one, encryption: 'hybrid' }),
          await seal(keysets[second], bytes, { dedup: two, encryption: 'hybrid' }),
        ]
        const oneDedupKey = first === second || (first !== 'strict' && second !== 'strict')
        const meet = one === two && (one === 'global' || (one === 'scoped' && oneDedupKey))
        expect(hex(a.ciphertext) === hex(b.ciphertext)).toBe(meet)
        expect(a.label === b.label).toBe(first === second && one === two)
      }),
      runs,
    )
  })

  it('of one keyset do not open in another', async () => {
    await fc.assert(
      fc.asyncProperty(content, options, async (bytes, chosen) => {
        const block = await seal(lax, bytes, chosen)
        await failure(() => related.open(block), 'key-not-found', 'authentication-failed')
      }),
      runs,
    )
  })
})
