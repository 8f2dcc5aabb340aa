// Row 6. He can write to the storage, and seal to every public key that is not secret: the card's, and a share's, if he is its
// reader. What he makes must not pass for the owner's own.
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

describe('a writer of storage with the card wants content planted as the owner’s own', () => {
  const { id, blockPair, sourceSigning } = insides(owner)
  const place = { suite: Suite.hybrid, mode: Mode.scoped, label: unhex(block.label) } as const
  const planted = (to: Recipient, more: { ownerId: Uint8Array; sharer?: Uint8Array }) => ({
    ...block,
    envelope: maskKey(blockKeyOf(block, owner), to, { ...place, ...more }),
  })

  it('a foreign owner id is refused, whatever else holds', async () => {
    const to = new Recipient(blockPair.publicHalves)
    expectSame(await owner.open(planted(to, { ownerId: id })), sample(100))
    for (const ownerId of [sample(16), new Uint8Array(16), unhex(bob.id), unhex(share.id)]) {
      await failure(() => owner.open(planted(to, { ownerId })), 'authentication-failed')
      await failure(() => owner.rekey(planted(to, { ownerId })), 'authentication-failed')
      await failure(() => share.add(planted(to, { ownerId })), 'authentication-failed')
    }
    // And what is made for the share's reader is not the owner's, by one name or the other.
    const { publicKey: sharer } = sourceSigning
    await failure(() => owner.open(planted(to, { ownerId: unhex(share.id), sharer })), 'authentication-failed')
    await failure(() => owner.open(planted(to, { ownerId: id, sharer })), 'authentication-failed')
  })

  it('the card’s keys are separate: what is sealed to them is no block of the owner’s', async () => {
    const to = new Recipient({ ...keysOfCard(aliceCard).sharing, minimum: 2 })
    await failure(() => owner.open(planted(to, { ownerId: id })), 'key-not-found')
    // Under the name of the key pair that blocks are sealed to.
    const envelope = patched(planted(to, { ownerId: id }).envelope, 16, new Recipient(blockPair.publicHalves).keyId)
    await failure(() => owner.open({ ...block, envelope }), 'authentication-failed')
  })
})

describe('a writer of storage with the card wants another’s envelope taken', () => {
  it('a share’s envelopes offered to the owner’s reader', async () => {
    for (const each of shared) {
      await failure(() => owner.open(each), 'key-not-found')
      await failure(() => owner.rekey(each), 'key-not-found')
    }
    // Even if the share were straight to the owner's own card, and the key at hand.
    const mine = alice.createShare({ to: aliceCard })
    await failure(() => mine.keyset.open({ ...block, envelope: mine.share.add(block) }), 'key-not-found')
  })

  it('an owner’s envelope, another share’s, and foreign owner ids offered to a share’s reader', async () => {
    const other = owner.createShare()
    for (const [index, each] of blocks.entries()) {
      await failure(() => reader.open(each), 'key-not-found')
      await failure(() => reader.open({ ...each, envelope: other.share.add(each) }), 'key-not-found')
      const envelope = patched(shared[index]!.envelope, 32, unhex(alice.id))
      await failure(() => reader.open({ ...each, envelope }), 'authentication-failed')
    }
    // Two shares straight to one card have one key pair, and not one id.
    const [one, two] = [alice.createShare({ to: bobCard }).share, alice.createShare({ to: bobCard }).share]
    const ofOne = bob.acceptShare(one.invite(bobCard), aliceCard)
    expectSame(await ofOne.open({ ...block, envelope: one.add(block) }), sample(100))
    await failure(() => ofOne.open({ ...block, envelope: two.add(block) }), 'authentication-failed')
    await failure(() => bob.open({ ...block, envelope: one.add(block) }), 'key-not-found')
  })

  it('a block of his own keyset, sealed with the owner’s id', async () => {
    const own = await openWriter(bob.export('host')).seal(sample(100))
    await failure(() => owner.open(own), 'key-not-found')
    await failure(() => owner.open({ ...own, envelope: patched(own.envelope, 32, unhex(owner.id)) }), 'key-not-found')
    expect(owner.isCurrent(own.envelope)).toBe(false)
  })
})
