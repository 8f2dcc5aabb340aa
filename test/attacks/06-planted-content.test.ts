// Row 6. The writer can write to the storage and seal to every public key that they know: the card's, and a share's
// if they are its reader. The owner must not accept what they create as the owner's own content.
import { Suite } from '../../src/core/suite.ts'
import { openWriter, type SealedBlock } from '../../src/index.ts'
import { maskKey, Mode } from '../../src/keyset/mask.ts'
import { describe, expect, it } from 'vitest'
import { keysOfCard } from '../../src/core/card.ts'
import { Recipient } from '../../src/core/key-pairs.ts'
import { expectSame, failure, patched, sample, unhex } from '../fixtures.ts'
import { blockKeyOf, insides, quickKeyset } from './known.ts'

const alice = await quickKeyset()
const bob = await quickKeyset()
const [aliceCard, bobCard] = [alice.card(), bob.card()]
const { keyset: owner, share } = alice.createShare()
const reader = bob.acceptShare(share.invite(bobCard), aliceCard)
const modes = ['scoped', 'global', 'off'] as const
const blocks = await Promise.all(modes.map((dedup) => openWriter(owner.export('host'), { dedup }).seal(sample(100))))
const shared = blocks.map((block) => ({ ...block, envelope: share.add(block) }))
const [block] = blocks as [SealedBlock]

describe('a writer of storage with the card wants to plant content as the owner’s own', () => {
  const { id, blockPair, sourceSigning } = insides(owner)
  const place = { suite: Suite.hybrid, mode: Mode.scoped, label: unhex(block.label) } as const
  const planted = (to: Recipient, more: { ownerId: Uint8Array; sharer?: Uint8Array }) => ({
    ...block,
    envelope: maskKey(blockKeyOf(block, owner), to, { ...place, ...more }),
  })

  it('a foreign owner id is refused, even if everything else is valid', async () => {
    const to = new Recipient(blockPair.publicHalves)
    expectSame(await owner.open(planted(to, { ownerId: id })), sample(100))
    for (const ownerId of [sample(16), new Uint8Array(16), unhex(bob.id), unhex(share.id)]) {
      await failure(() => owner.open(planted(to, { ownerId })), 'authentication-failed')
      await failure(() => owner.rekey(planted(to, { ownerId })), 'authentication-failed')
      await failure(() => share.add(planted(to, { ownerId })), 'authentication-failed')
    }
    // The owner also refuses what is sealed for the share's reader, under the share's id or the owner's.
    const { publicKey: sharer } = sourceSigning
    await failure(() => owner.open(planted(to, { ownerId: unhex(share.id), sharer })), 'authentication-failed')
    await failure(() => owner.open(planted(to, { ownerId: id, sharer })), 'authentication-failed')
  })

  it('the card’s keys are separate: a block sealed to them is refused', async () => {
    const to = new Recipient({ ...keysOfCard(aliceCard).sharing, minimum: 2 })
    await failure(() => owner.open(planted(to, { ownerId: id })), 'key-not-found')
    // With the key id of the owner's block key pair.
    const envelope = patched(planted(to, { ownerId: id }).envelope, 16, new Recipient(blockPair.publicHalves).keyId)
    await failure(() => owner.open({ ...block, envelope }), 'authentication-failed')
  })
})

describe('a writer of storage with the card wants an envelope accepted where it does not belong', () => {
  it('the owner’s reader refuses a share’s envelopes', async () => {
    for (const each of shared) {
      await failure(() => owner.open(each), 'key-not-found')
      await failure(() => owner.rekey(each), 'key-not-found')
    }
    // Even for a direct share to the owner's own card, where the owner has the key.
    const mine = alice.createShare({ to: aliceCard })
    await failure(() => mine.keyset.open({ ...block, envelope: mine.share.add(block) }), 'key-not-found')
  })

  it('a share’s reader refuses the owner’s envelopes, another share’s, and foreign owner ids', async () => {
    const other = owner.createShare()
    for (const [index, each] of blocks.entries()) {
      await failure(() => reader.open(each), 'key-not-found')
      await failure(() => reader.open({ ...each, envelope: other.share.add(each) }), 'key-not-found')
      const envelope = patched(shared[index]!.envelope, 32, unhex(alice.id))
      await failure(() => reader.open({ ...each, envelope }), 'authentication-failed')
    }
    // Two direct shares to one card use the same key pair but have different ids.
    const [one, two] = [alice.createShare({ to: bobCard }).share, alice.createShare({ to: bobCard }).share]
    const ofOne = bob.acceptShare(one.invite(bobCard), aliceCard)
    expectSame(await ofOne.open({ ...block, envelope: one.add(block) }), sample(100))
    await failure(() => ofOne.open({ ...block, envelope: two.add(block) }), 'authentication-failed')
    await failure(() => bob.open({ ...block, envelope: one.add(block) }), 'key-not-found')
  })

  it('the owner’s reader refuses a block of another keyset that carries the owner’s id', async () => {
    const own = await openWriter(bob.export('host')).seal(sample(100))
    await failure(() => owner.open(own), 'key-not-found')
    await failure(() => owner.open({ ...own, envelope: patched(own.envelope, 32, unhex(owner.id)) }), 'key-not-found')
    expect(owner.isCurrent(own.envelope)).toBe(false)
  })
})
