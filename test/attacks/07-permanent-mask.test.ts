// Row 7. The mask is the block key under XOR, so a flipped bit in the mask flips a bit of the key. If rekeying
// carried that into a new envelope, the block would be lost for good once the old envelope is gone.
import { type ErrorCode, openWriter, type SealedBlock } from '../../src/index.ts'
import { describe, expect, it } from 'vitest'
import { expectSame, failure, flipped, sample } from '../fixtures.ts'
import { quickKeyset } from './known.ts'

const keyset = await quickKeyset()
const { keyset: sharing, share } = keyset.createShare()
/** Rekeys from the retired key pair to the current one. */
const owner = sharing.regenerate()
const shareOfOwner = owner.share(share.id)
const writers = {
  scoped: openWriter(sharing.export('host')),
  global: openWriter(sharing.export('host'), { dedup: 'global' }),
  off: openWriter(sharing.export('host'), { dedup: 'off' }),
}
const CODES: readonly ErrorCode[] = ['authentication-failed', 'malformed', 'unsupported', 'key-not-found', 'policy']

/** Every operation that carries the key of a stored block into another envelope. */
const ways = [
  ['rekey', (block: SealedBlock) => owner.rekey(block), 1],
  // `add` reads the envelope with the same code as `rekey`, so one in nine bytes of the ML-KEM ciphertext is enough.
  ['add', (block: SealedBlock) => shareOfOwner.add(block), 9],
] as const

describe.each(ways)('a writer of storage wants a mask that rekeying makes permanent, by %s', (_, way, step) => {
  it('flips every byte of an envelope: no new envelope is written', async () => {
    const block = await writers.scoped.seal(sample(64))
    for (let index = 0; index < block.envelope.length; index += index > 80 && index < 1640 ? step : 1) {
      await failure(() => way({ ...block, envelope: flipped(block.envelope, index, index % 8) }), ...CODES)
    }
  })

  it.each(['global', 'off'] as const)('flips the mask, the mode and the tag of a block in mode %s', async (mode) => {
    const block = await writers[mode].seal(sample(64))
    // The envelope ends with u8 mode ‖ mask 32 ‖ tag 32.
    for (let index = block.envelope.length - 65; index < block.envelope.length; index++) {
      const altered = { ...block, envelope: flipped(block.envelope, index, index % 8) }
      await failure(() => way(altered), 'authentication-failed', 'unsupported', 'malformed')
    }
  })

  it('offers the block under another label: refused', async () => {
    const [one, other] = [await writers.scoped.seal(sample(64)), await writers.scoped.seal(sample(64, 2))]
    await failure(() => way({ ...one, label: other.label }), 'authentication-failed')
  })
})

it('unchanged envelopes are rekeyed and shared, and open', async () => {
  const card = keyset.card()
  const reader = keyset.acceptShare(share.invite(card), card)
  for (const writer of Object.values(writers)) {
    const block = await writer.seal(sample(64))
    const rekeyed = owner.rekey(block)
    expect(owner.isCurrent(rekeyed)).toBe(true)
    expectSame(await owner.open({ ...block, envelope: rekeyed }), sample(64))
    expectSame(await reader.open({ ...block, envelope: shareOfOwner.add(block) }), sample(64))
    expectSame(await reader.open({ ...block, envelope: shareOfOwner.add({ ...block, envelope: rekeyed }) }), sample(64))
  }
})
