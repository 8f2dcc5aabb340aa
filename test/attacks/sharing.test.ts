// Who stands between two users, and who has a share: rows of the attack table in SECURITY.md.
import { describe, expect, it } from 'vitest'
import { maskKey, unmaskKey } from '../../src/blocks/mask.ts'
import { encryptContent } from '../../src/blocks/seal.ts'
import { concat, domain, lengthPrefixed } from '../../src/bytes.ts'
import { Mode, parseEnvelope } from '../../src/format/envelope.ts'
import { openPackMember, openWriter, parseCard, type SealedBlock, unlockKeyset } from '../../src/index.ts'
import { encodeCard, fingerprintBytes, keysOfCard } from '../../src/keys/card.ts'
import { Identity, Recipient } from '../../src/keys/key-pairs.ts'
import { openKeyset, parseKeyset } from '../../src/keys/keyset-record.ts'
import { openMaster } from '../../src/keys/master.ts'
import { sign } from '../../src/primitives/signature.ts'
import { SecretKey, withBytes } from '../../src/secret.ts'
import { openInvite, sealInvite } from '../../src/sharing/invite.ts'
import { expectSame, failure, flipped, makeKeyset, PASSWORD, patched, sample, unhex } from '../fixtures.ts'

const alice = await makeKeyset()
const bob = await makeKeyset()
const mallory = await makeKeyset()
const [aliceCard, bobCard, malloryCard] = [alice.card(), bob.card(), mallory.card()]
const { reader: owner, share } = alice.createShare()
const invite = share.invite(bobCard)
const reader = bob.acceptShare(invite, aliceCard)
const modes = ['scoped', 'global', 'off'] as const
const blocks = await Promise.all(modes.map((dedup) => owner.writer({ dedup }).seal(sample(100))))
const shared = blocks.map((block) => ({ ...block, envelope: share.add(block) }))

/** Everything in a keyset, as its owner's own code sees it. */
async function insides(of: typeof alice) {
  const parsed = parseKeyset(of.export('source-storage'))
  return openKeyset(parsed, await openMaster(PASSWORD, parsed.argon2, {}))
}

describe('a share service wants the share key', () => {
  it('a substituted card is refused, where the fingerprint was compared', async () => {
    await failure(() => parseCard(malloryCard.bytes, { expect: bobCard.fingerprint }), 'key-changed')
    // Mallory's keys under Bob's name: the card of Bob, with another sharing pair in it.
    const keys = malloryCard.bytes.subarray(48, 1648)
    await failure(() => parseCard(patched(bobCard.bytes, 48, keys)), 'authentication-failed')
    await failure(() => share.invite({ ...malloryCard, fingerprint: bobCard.fingerprint }), 'key-changed')
  })

  it('a forwarded invite is refused', async () => {
    // To somebody else as it is, and as if it came from somebody else.
    await failure(() => mallory.acceptShare(invite, aliceCard), 'key-not-found')
    await failure(() => bob.acceptShare(invite, malloryCard), 'authentication-failed')
  })

  it('an invite signed anew by somebody else is bound to who made it', async () => {
    const { additional, sourceSigning } = await insides(mallory)
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
    const inner = await insides(bob)
    const sharer = {
      card: keysOfCard(bobCard),
      cardSigning: inner.additional!.cardSigning,
      sourceSigning: inner.sourceSigning,
    }
    const { id, pair } = openInvite(invite, keysOfCard(aliceCard), inner.additional!.sharing, sharer.card)
    const passedOn = sealInvite({ id, ...pair }, sharer, keysOfCard(malloryCard), 0)
    await failure(() => mallory.acceptShare(passedOn, aliceCard), 'authentication-failed')
    // In his own name he can: he has the keys. The log and the blocks are not his, and say so.
    const inHisName = mallory.acceptShare(passedOn, bobCard)
    const { record } = await share.sealRecord(sample(10), 'start')
    await failure(() => inHisName.openRecord(record), 'authentication-failed')
    await failure(() => inHisName.open(shared[0]!), 'authentication-failed')
  })

  it('nobody can invite to a straight share of somebody else, whose id and keys are known', async () => {
    const straight = alice.createShare({ to: bobCard }).share
    const [inner, source] = [await insides(mallory), (await insides(alice)).sourceSigning]
    const { cardSigning } = inner.additional!
    const { sourceSigning } = inner
    const stolen = { id: unhex(straight.id), publicHalves: { ...keysOfCard(bobCard).sharing, minimum: 2 } }
    // In her own name: what she lists are Alice's blocks, and they do not open.
    const hers = { card: keysOfCard(malloryCard), cardSigning, sourceSigning }
    const reader = bob.acceptShare(sealInvite(stolen, hers, keysOfCard(bobCard), 0), malloryCard)
    const [block] = blocks as [SealedBlock]
    await failure(() => reader.open({ ...block, envelope: straight.add(block) }), 'authentication-failed')
    // With Alice's source signing key in a card of her own, which anybody can make: she cannot sign with it.
    const { ownerId, sharing } = hers.card
    const mixedCard = encodeCard({ ownerId, sharing, sourceSigning: source.publicKey }, cardSigning)
    const mixed = { ...hers, card: keysOfCard(mixedCard) }
    const claimed = sealInvite(stolen, mixed, keysOfCard(bobCard), 0)
    await failure(() => bob.acceptShare(claimed, mixedCard), 'authentication-failed')
  })

  it('an invite with a flipped byte is refused', async () => {
    const straight = alice.createShare({ to: bobCard }).share.invite(bobCard)
    for (const bytes of [invite, straight]) {
      for (let index = 0; index < bytes.length; index += index > 60 && index < bytes.length - 80 ? 61 : 3) {
        const open = () => bob.acceptShare(flipped(bytes, index, index % 8), aliceCard)
        await failure(open, 'authentication-failed', 'malformed', 'unsupported')
      }
      await failure(() => bob.acceptShare(bytes.subarray(0, -1), aliceCard), 'malformed')
      await failure(() => bob.acceptShare(concat(bytes, Uint8Array.of(0)), aliceCard), 'malformed')
    }
  })
})

describe('one who shares wants the recipient to take what he should not', () => {
  const made = async (publicHalves: object, privateHalves: object | undefined) => {
    const { id, additional, sourceSigning } = await insides(alice)
    const keys = { id, publicHalves, privateHalves } as never
    const sharer = { card: keysOfCard(aliceCard), cardSigning: additional!.cardSigning, sourceSigning }
    return sealInvite(keys, sharer, keysOfCard(bobCard), 0)
  }

  it('halves that do not belong together, a card that is not the recipient’s, no encryption at all', async () => {
    const [{ blockPair }, { additional }] = [await insides(alice), await insides(mallory)]
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

describe('a writer of storage wants another’s envelope taken', () => {
  it('a share’s envelope offered to the owner’s reader', async () => {
    for (const block of shared) await failure(() => owner.open(block), 'key-not-found')
    // Even if the share were straight to the owner's own card, and the key at hand.
    const mine = alice.createShare({ to: aliceCard })
    const [block] = blocks as [SealedBlock]
    await failure(() => mine.reader.open({ ...block, envelope: mine.share.add(block) }), 'key-not-found')
  })

  it('an owner’s envelope, another share’s, and foreign owner ids offered to a share’s reader', async () => {
    const other = owner.createShare()
    for (const [index, block] of blocks.entries()) {
      await failure(() => reader.open(block), 'key-not-found')
      await failure(() => reader.open({ ...block, envelope: other.share.add(block) }), 'key-not-found')
      const envelope = patched(shared[index]!.envelope, 32, unhex(alice.id))
      await failure(() => reader.open({ ...block, envelope }), 'authentication-failed')
    }
    // Two shares straight to one card have one key pair, and not one id.
    const [one, two] = [alice.createShare({ to: bobCard }).share, alice.createShare({ to: bobCard }).share]
    const ofOne = bob.acceptShare(one.invite(bobCard), aliceCard)
    const [block] = blocks as [SealedBlock]
    expectSame(await ofOne.open({ ...block, envelope: one.add(block) }), sample(100))
    await failure(() => ofOne.open({ ...block, envelope: two.add(block) }), 'authentication-failed')
    await failure(() => bob.open({ ...block, envelope: one.add(block) }), 'key-not-found')
  })

  it('an envelope with a flipped byte is refused by add and by the share’s reader', async () => {
    for (const [index, block] of blocks.entries()) {
      for (let at = 0; at < block.envelope.length; at += at > 60 && at < 1640 ? 97 : 2) {
        const refused = ['authentication-failed', 'key-not-found', 'malformed', 'unsupported', 'policy'] as const
        await failure(() => share.add({ ...block, envelope: flipped(block.envelope, at, at % 8) }), ...refused)
        const { envelope } = shared[index]!
        await failure(() => reader.open({ ...block, envelope: flipped(envelope, at, at % 8) }), ...refused)
      }
      await failure(() => share.add({ ...block, label: 'a'.repeat(64) }), 'authentication-failed')
    }
  })
})

describe('a recipient of a share wants more', () => {
  it('the key of a share opens no record and no other block of the keyset, and no other version of the share', async () => {
    const unshared = await owner.writer().seal(sample(100, 7))
    await failure(() => reader.open(unshared), 'key-not-found')
    const { record } = await owner.writer().sealRecord(sample(10), 'start')
    await failure(() => reader.openRecord(record), 'key-not-found')
  })

  it('poisoned duplicates: content planted under a key that the share gave is refused by the owner', async () => {
    const inner = await insides(owner)
    const [block] = blocks as [SealedBlock]
    const envelope = parseEnvelope(shared[0]!.envelope)
    const pair = inner.additional!.shares[0]! as never
    const blockKey = unmaskKey(
      { header: envelope.header, encrypted: envelope.encrypted! },
      new Identity(pair),
      unhex(block.label),
      inner.sourceSigning.publicKey,
    )
    const buffer = concat(new Uint8Array(32), sample(100, 9), new Uint8Array(16))
    await encryptContent({ mode: Mode.scoped, buffer, blockKey, label: unhex(block.label) })
    await failure(() => owner.open({ ...block, ciphertext: buffer }), 'authentication-failed')
    // Another recipient of the same share is deceived: documented, the share's log tells.
    expectSame(await reader.open({ ...shared[0]!, ciphertext: buffer }), sample(100, 9))
  })

  it('in global mode, where the cipher commits to nothing, content that is not what its key says is refused', async () => {
    const victim = blocks[1]!
    const { additional, sourceSigning } = await insides(owner)
    const { publicHalves } = additional!.shares[0]!
    const sharer = sourceSigning.publicKey
    const blockKey = new SecretKey('block', sample(32))
    const buffer = concat(sample(100), new Uint8Array(16))
    await encryptContent({ mode: Mode.global, buffer, blockKey, label: unhex(victim.label) })
    const place = {
      ownerId: unhex(share.id),
      hybrid: true,
      mode: Mode.global,
      label: unhex(victim.label),
      sharer,
    } as const
    const envelope = maskKey(blockKey, new Recipient(publicHalves), place)
    await failure(() => reader.open({ label: victim.label, envelope, ciphertext: buffer }), 'authentication-failed')
  })
})

describe('a recipient of some pack members wants the others', () => {
  it('cannot open them, confirm a guess of them, or alter them unseen', async () => {
    const files = [sample(64), sample(64, 2), sample(64, 3)]
    const { content, members } = await owner.writer().pack(files)
    const block = await owner.writer().seal(content)
    const pack = await reader.open({ ...block, envelope: share.add(block) })
    const [mine] = members as [string]
    expectSame(await openPackMember(pack, mine), files[0]!)
    // His key, and that of his guess under a dedup key of his own, at every place.
    const guess = await mallory.writer().pack(files)
    const hashed = await owner.writer({ dedup: 'global' }).pack(files)
    for (const member of [mine, guess.members[1]!, hashed.members[1]!]) {
      for (const form of ['g', 'k']) {
        const tried = `${form}.1.${member.slice(4)}`
        await failure(() => openPackMember(pack, tried), 'authentication-failed')
      }
    }
    // A neighbour that he altered: its owner sees it by the block, and whoever else has its string by its MAC.
    const altered = flipped(pack, pack.length - 1)
    await failure(() => openPackMember(altered, members[2]!), 'authentication-failed')
    expectSame(await openPackMember(altered, mine), files[0]!)
  })
})

describe('a host without the password', () => {
  it('masks for shares, and opens nothing of them', async () => {
    const host = openWriter(owner.export('host'))
    const block = await host.seal(sample(50), { shares: [share.id] })
    expectSame(await reader.open({ ...block, envelope: block.shared!.get(share.id)! }), sample(50))
    // The private half of the share's pair is sealed there, as everywhere.
    const { privateHalves } = (await insides(owner)).additional!.shares[0]!
    for (const key of [privateHalves!.x25519, privateHalves!.mlKem1024]) {
      const secret = withBytes(key, (bytes) => Buffer.from(bytes))
      for (const to of ['host', 'source-storage', 'source-definition'] as const) {
        expect(Buffer.from(owner.export(to)).includes(secret.subarray(0, 8))).toBe(false)
      }
    }
    expect((await unlockKeyset(owner.export('host'), PASSWORD)).shares).toEqual([share.id])
  })
})
