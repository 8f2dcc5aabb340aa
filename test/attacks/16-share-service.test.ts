// Row 16. The service carries cards and invites between users and can do anything with them, and so can anyone else
// that an owner deals with. (For blocks of shares see 06-planted-content and 10-poisoned-duplicates.)
import { Identity } from '../../src/core/key-pairs.ts'
import { Strength } from '../../src/core/suite.ts'
import { describe, expect, it } from 'vitest'
import { concat, domain, lengthPrefixed } from '../../src/core/bytes.ts'
import { openWriter, parseCard, type SealedBlock, unlockKeyset } from '../../src/index.ts'
import { encodeCard, fingerprintBytes, keysOfCard } from '../../src/core/card.ts'
import { sign } from '../../src/primitives/signature.ts'
import { withBytes } from '../../src/core/secret.ts'
import { openInvite, sealInvite } from '../../src/keyset/invite.ts'
import {
  anywhere,
  atStart,
  expectSame,
  failure,
  flipped,
  PASSWORD,
  patched,
  quickly,
  sample,
  unhex,
} from '../fixtures.ts'
import { insides, quickKeyset } from './known.ts'

const alice = await quickKeyset()
const bob = await quickKeyset()
const mallory = await quickKeyset()
const [aliceCard, bobCard, malloryCard] = [alice.card(), bob.card(), mallory.card()]
const { keyset: owner, share } = alice.createShare()
const invite = share.invite(bobCard)
const reader = bob.acceptShare(invite, aliceCard)
const block = await openWriter(owner.export('host')).seal(sample(100))
const shared: SealedBlock = { ...block, envelope: share.add(block) }

describe('a share service wants the share key', () => {
  it('a substituted card is refused if the fingerprint was compared', async () => {
    await failure(() => parseCard(malloryCard.bytes, { fingerprint: bobCard.fingerprint }), 'key-changed')
    // Bob's card with Mallory's sharing key pair in it.
    const keys = malloryCard.bytes.subarray(48, 1648)
    await failure(() => parseCard(patched(bobCard.bytes, 48, keys)), 'authentication-failed')
    await failure(() => share.invite({ ...malloryCard, fingerprint: bobCard.fingerprint }), 'key-changed')
  })

  it('a forwarded invite is refused', async () => {
    // Forwarded unchanged to another recipient, and presented as if it came from another sharer.
    await failure(() => mallory.acceptShare(invite, aliceCard), 'key-not-found')
    await failure(() => bob.acceptShare(invite, malloryCard), 'authentication-failed')
  })

  it('an invite that another keyset signs again is bound to its original sharer', async () => {
    const { additional, sourceSigning } = insides(mallory)
    const signed = invite.subarray(0, -128)
    const name = lengthPrefixed(fingerprintBytes(keysOfCard(malloryCard)))
    const forged = concat(
      signed,
      sign(sourceSigning.seed, concat(domain('sign/invite-source'), name, signed)),
      sign(additional!.cardSigning.seed, concat(domain('sign/invite-card'), name, signed)),
    )
    await failure(() => bob.acceptShare(forged, malloryCard), 'authentication-failed')
    await failure(() => bob.acceptShare(forged, aliceCard), 'authentication-failed')
  })

  it('a recipient cannot pass a share on in the name of its owner', async () => {
    const inner = insides(bob)
    const sharer = {
      card: keysOfCard(bobCard),
      cardSigning: inner.additional!.cardSigning,
      sourceSigning: inner.sourceSigning,
    }
    const own = inner.additional!.sharing
    const { id, pair } = openInvite(invite, keysOfCard(aliceCard), new Identity(own), own, sharer.card)
    const passedOn = sealInvite({ id, ...pair }, sharer, keysOfCard(malloryCard), 0)
    await failure(() => mallory.acceptShare(passedOn, aliceCard), 'authentication-failed')
    // In their own name they can: they have the keys. But the log and the blocks are signed by the owner, so they do
    // not open.
    const inHisName = mallory.acceptShare(passedOn, bobCard)
    const { record } = await share.sealRecord(sample(10), atStart)
    await failure(() => inHisName.openRecord(record, anywhere), 'authentication-failed')
    await failure(() => inHisName.open(shared), 'authentication-failed')
  })

  it('nobody can invite to another keyset’s direct share, even with its id and public keys', async () => {
    const straight = alice.createShare({ to: bobCard }).share
    const [inner, source] = [insides(mallory), insides(alice).sourceSigning]
    const { cardSigning } = inner.additional!
    const { sourceSigning } = inner
    const stolen = {
      id: unhex(straight.id),
      publicHalves: { ...keysOfCard(bobCard).sharing, minimum: Strength.hybrid },
    }
    // In Mallory's own name: the blocks are Alice's, so they do not open.
    const hers = { card: keysOfCard(malloryCard), cardSigning, sourceSigning }
    const reader = bob.acceptShare(sealInvite(stolen, hers, keysOfCard(bobCard), 0), malloryCard)
    await failure(() => reader.open({ ...block, envelope: straight.add(block) }), 'authentication-failed')
    // With Alice's source signing key in a card of Mallory's own, which anybody can create. She cannot sign with that
    // key.
    const { ownerId, sharing } = hers.card
    const mixedCard = encodeCard({ ownerId, sharing, sourceSigning: source.publicKey }, cardSigning)
    const mixed = { ...hers, card: keysOfCard(mixedCard) }
    const claimed = sealInvite(stolen, mixed, keysOfCard(bobCard), 0)
    await failure(() => bob.acceptShare(claimed, mixedCard), 'authentication-failed')
  })

  it('an invite with a flipped byte is refused', async () => {
    const straight = alice.createShare({ to: bobCard }).share.invite(bobCard)
    for (const bytes of [invite, straight]) {
      for (let index = 0; index < bytes.length; index += index > 60 && index < bytes.length - 80 ? 61 : 5) {
        const open = () => bob.acceptShare(flipped(bytes, index, index % 8), aliceCard)
        await failure(open, 'authentication-failed', 'malformed', 'unsupported')
      }
      await failure(() => bob.acceptShare(bytes.subarray(0, -1), aliceCard), 'malformed')
      await failure(() => bob.acceptShare(concat(bytes, Uint8Array.of(0)), aliceCard), 'malformed')
    }
  })
})

describe('a sharer wants a recipient to accept an unsafe share', () => {
  const made = async (publicHalves: object, privateHalves: object | undefined) => {
    const { id, additional, sourceSigning } = insides(alice)
    const keys = { id, publicHalves, privateHalves } as never
    const sharer = { card: keysOfCard(aliceCard), cardSigning: additional!.cardSigning, sourceSigning }
    return sealInvite(keys, sharer, keysOfCard(bobCard), 0)
  }

  it('refuses mismatched key halves, a direct share to a different key, and a share without encryption', async () => {
    const [{ blockPair }, { additional }] = [insides(alice), insides(mallory)]
    const { publicHalves, privateHalves } = blockPair
    const other = additional!.sharing
    const right = await made(publicHalves, privateHalves)
    expect(bob.acceptShare(right, aliceCard).id).toBe(alice.id)
    const mixed = { ...publicHalves, mlKem1024: other.publicHalves.mlKem1024 }
    for (const wrong of [
      await made(other.publicHalves, privateHalves),
      await made(mixed, privateHalves),
      await made({ ...publicHalves, minimum: 0 }, privateHalves),
    ]) {
      await failure(() => bob.acceptShare(wrong, aliceCard), 'authentication-failed')
    }
    await expect(made(other.publicHalves, undefined)).rejects.toHaveProperty('code', 'policy')
  })
})

describe('a host without the password wants the share key', () => {
  it('seals for shares, but opens nothing of them', async () => {
    const host = openWriter(owner.export('host'))
    const block = await host.seal(sample(50), { shares: [share.id] })
    expectSame(await reader.open({ ...block, envelope: block.shared!.get(share.id)! }), sample(50))
    // The private half of the share's key pair is sealed in the host export, as in every export.
    const { privateHalves } = insides(owner).additional!.shares[0]!
    for (const key of [privateHalves!.x25519, privateHalves!.mlKem1024]) {
      const secret = withBytes(key, (bytes) => Buffer.from(bytes))
      for (const to of ['host', 'storage', 'definition'] as const) {
        expect(Buffer.from(owner.export(to)).includes(secret.subarray(0, 8))).toBe(false)
      }
    }
    expect((await quickly(() => unlockKeyset(owner.export('host'), PASSWORD))).shares).toEqual([share.id])
  })
})
