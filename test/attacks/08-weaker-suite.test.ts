// Row 8. The envelope says in plain text how a block is protected, and the writer can change it.
import { Suite } from '../../src/core/suite.ts'
import { type ErrorCode, openWriter, type SealedBlock, unlockKeyset } from '../../src/index.ts'
import { maskKey, Mode } from '../../src/keyset/mask.ts'
import { describe, it } from 'vitest'
import { concat } from '../../src/core/bytes.ts'
import { Recipient } from '../../src/core/key-pairs.ts'
import { expectSame, failure, PASSWORD, patched, quickly, sample, unhex } from '../fixtures.ts'
import { blockKeyOf, insides, quickKeyset } from './known.ts'

const keyset = await quickKeyset()
const { keyset: owner, share } = keyset.createShare()
const block = await openWriter(owner.export('host')).seal(sample(64))
/** The same keyset, unlocked by an owner who accepts every suite. */
const trusting = await quickly(() => unlockKeyset(owner.export('storage'), PASSWORD, { allowWeaker: 'none' }))

const [SUITE_AT, MODE_AT] = [6, 1648]
const x25519 = concat(patched(block.envelope, SUITE_AT, [1, 1]).subarray(0, 80), block.envelope.subarray(MODE_AT))
const none = concat(patched(block.envelope, SUITE_AT, [0, 0]).subarray(0, 48), Uint8Array.of(Mode.none))

/** Expects that opening, rekeying and sharing all refuse the envelope. */
async function expectRefused(by: typeof owner, envelope: Uint8Array, ...codes: readonly ErrorCode[]) {
  await failure(() => by.open({ ...block, envelope }), ...codes)
  await failure(() => by.rekey({ ...block, envelope }), ...codes)
  await failure(() => by.share(share.id).add({ ...block, envelope }), ...codes)
}

describe('a writer of storage wants a weaker suite', () => {
  it('rewrites the suite and removes the fields that it lacks: refused by policy, before any key is used', async () => {
    await expectRefused(owner, x25519, 'policy')
    await expectRefused(owner, none, 'policy')
    // Also a valid envelope of the weaker suite, sealed to the owner's own keys.
    const { id: ownerId, blockPair } = insides(owner)
    const place = { ownerId, suite: Suite.x25519, mode: Mode.scoped, label: unhex(block.label) } as const
    const honest = maskKey(blockKeyOf(block, owner), new Recipient(blockPair.publicHalves), place)
    await expectRefused(owner, honest, 'policy')
    expectSame(await trusting.open({ ...block, envelope: honest }), sample(64))
  })

  it('is refused even where policy allows it: the header is part of the transcript', async () => {
    await expectRefused(trusting, x25519, 'authentication-failed')
    await failure(() => trusting.open({ ...block, envelope: none }), 'authentication-failed')
  })

  it('rewrites only the suite, to every other value: refused', async () => {
    const refused = ['malformed', 'unsupported', 'policy'] as const
    for (const suite of [0x0000, 0x0101, 0x0201, 0x0301, 0x0302, 0x0303, 0x0304, 0x0401, 0x0402, 0xffff]) {
      const envelope = patched(block.envelope, SUITE_AT, [suite >> 8, suite & 0xff])
      for (const by of [owner, trusting]) await expectRefused(by, envelope, ...refused)
    }
  })

  it.each(['scoped', 'global', 'off'] as const)('rewrites the mode of a block in mode %s: refused', async (dedup) => {
    const sealed: SealedBlock = await openWriter(owner.export('host'), { dedup }).seal(sample(64))
    for (const mode of [Mode.scoped, Mode.global, Mode.off, Mode.none, 0, 5, 255]) {
      if (mode === Mode[dedup]) continue
      const envelope = patched(sealed.envelope, MODE_AT, [mode])
      const known = mode === Mode.scoped || mode === Mode.global || mode === Mode.off
      const codes: ErrorCode[] = known ? ['authentication-failed'] : ['malformed', 'unsupported']
      await failure(() => owner.open({ ...sealed, envelope }), ...codes)
      await failure(() => owner.rekey({ ...sealed, envelope }), ...codes)
    }
  })
})
