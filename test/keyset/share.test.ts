// Sharing between two users: one adds blocks and invites, the other opens.
import {
  type Card,
  type Keyset,
  openPackMember,
  openWriter,
  type SealedBlock,
  type Share,
  type SharedReader,
  type StoredBlock,
  unlockKeyset,
  type WriterOptions,
} from '../../src/index.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { createProfile, deriveLogin } from '../../src/vault.ts'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { unlocked } from '../../src/keyset/keyset.ts'
import { encodeKeyset } from '../../src/keyset/exports.ts'
import { planted, plantedContents, plantedMaster } from './planted.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import {
  ALICE,
  anywhere,
  atStart,
  following,
  expectSame,
  failure,
  flipped,
  makeKeyset,
  PASSWORD,
  quick,
  quickly,
  sample,
} from '../fixtures.ts'

beforeAll(() => useBackend(quick))
afterAll(() => useBackend(undefined))
afterEach(() => void vi.useRealTimers())

const MODES: Required<WriterOptions>[] = (['hybrid', 'x25519'] as const).flatMap((encryption) =>
  (['scoped', 'global', 'off'] as const).map((dedup) => ({ encryption, dedup })),
)
const [alice, bob, carol] = await quickly(() =>
  Promise.all([makeKeyset({ encryption: 'x25519' }), makeKeyset(), makeKeyset()]),
)
const aliceCard = alice.card()
const content = sample(500)
const blocks = await Promise.all(MODES.map((mode) => openWriter(alice.export('host'), mode).seal(content)))
const unshared = await openWriter(alice.export('host')).seal(sample(500, 2))

const own = alice.createShare()
const straight = alice.createShare({ to: bob.card() })
const kinds: [string, { keyset: Keyset; share: Share }][] = [
  ['with its own key pairs', own],
  ['sealed directly to a card', straight],
]
const accepted = (share: Share, by: Keyset = bob): SharedReader => by.acceptShare(share.invite(by.card()), aliceCard)

/** Returns the block that a share's reader gets: the envelope for the share, and the owner's ciphertext. */
const forReader = (block: SealedBlock, envelope: Uint8Array | undefined): StoredBlock => ({
  label: block.label,
  envelope: envelope!,
  ciphertext: block.ciphertext,
})

describe.each(kinds)('a share %s', (kind, { keyset: owner, share }) => {
  const isStraight = kind.startsWith('sealed directly')

  it('is part of the next version of the keyset and of its host export', async () => {
    expect(share.id).toMatch(/^[0-9a-f]{32}$/)
    expect([owner.id, owner.revision.slice(0, 2), owner.shares]).toEqual([alice.id, '2-', [share.id]])
    expect([alice.shares, openWriter(alice.export('host')).shares]).toEqual([[], []])
    expect(openWriter(owner.export('host')).shares).toEqual([share.id])
    for (const destination of ['host', 'storage'] as const) {
      const again = await unlockKeyset(owner.export(destination), PASSWORD)
      expect(again.shares).toEqual([share.id])
      // Blocks added before and after a restart both open.
      const reader = accepted(again.share(share.id))
      for (const envelope of [share.add(blocks[0]!), again.share(share.id).add(blocks[0]!)]) {
        expectSame(await reader.open(forReader(blocks[0]!, envelope)), content)
      }
    }
    const definition = await unlockKeyset(owner.export('definition'), PASSWORD)
    expect(definition.shares).toEqual([])
  })

  it('opens the blocks that were added, in every mode, and no others', async () => {
    const reader = accepted(share)
    expect(reader.id).toBe(share.id)
    for (const block of blocks) {
      const envelope = share.add({ label: block.label, envelope: block.envelope })
      // The envelope for the share is as strong as the owner's.
      expect(envelope.length).toBe(block.envelope.length)
      expectSame(await reader.open(forReader(block, envelope)), content)
      await failure(() => reader.open(block), 'key-not-found')
      await failure(() => reader.open(forReader(unshared, envelope)), 'authentication-failed')
      await failure(() => owner.open(forReader(block, envelope)), 'key-not-found')
    }
    await failure(() => reader.open(unshared), 'key-not-found')
  })

  it('opens blocks that a writer sealed for it', async () => {
    const reader = accepted(share)
    for (const mode of MODES) {
      const writer = openWriter(owner.export('host'), mode)
      const sealed = await writer.seal(content, { shares: [share.id, share.id] })
      expect([...sealed.shared!.keys()]).toEqual([share.id])
      expectSame(await reader.open(forReader(sealed, sealed.shared!.get(share.id))), content)
      expectSame(await owner.open(sealed), content)
      expect((await writer.seal(content)).shared).toBeUndefined()
      expect((await writer.seal(content, { shares: [] })).shared!.size).toBe(0)
    }
  })

  it('opens blocks that were already stored, except with dedup off, because their keys are unknown', async () => {
    const reader = accepted(share)
    for (const [index, mode] of MODES.entries()) {
      const stored = blocks[index]!
      const prepared = await openWriter(owner.export('host'), mode).prepare(content)
      if (mode.dedup === 'off') {
        expect((await failure(() => prepared.envelopesFor([share.id]), 'policy')).detail['rule']).toBe('dedup-off')
        await failure(() => prepared.envelopesFor([share.id, '0'.repeat(32)]), 'key-not-found')
      } else {
        expect(prepared.label).toBe(stored.label)
        const envelopes = await prepared.envelopesFor([share.id])
        expectSame(await reader.open(forReader(stored, envelopes.get(share.id))), content)
      }
      // The prepared block can still be sealed.
      expectSame(await owner.open(await prepared.seal()), content)
      await failure(() => prepared.envelopesFor([share.id]), 'disposed')
    }
  })

  it('gets envelopes as strong as the writer’s, and hybrid ones for blocks that are already stored', async () => {
    const host = owner.export('host')
    const expected = { x25519: 145, hybrid: 1713 }
    for (const encryption of ['x25519', 'hybrid'] as const) {
      const writer = openWriter(host, { encryption })
      const { shared } = await writer.seal(content, { shares: [share.id] })
      expect(shared!.get(share.id)!.length).toBe(expected[encryption])
      // The stored envelope may be hybrid, and this one must not be weaker.
      const prepared = await writer.prepare(content)
      expect((await prepared.envelopesFor([share.id])).get(share.id)!.length).toBe(expected.hybrid)
    }
  })

  it('has its own log, which owner and host write', async () => {
    const reader = accepted(share)
    const first = await share.sealRecord(sample(10), atStart)
    const writer = openWriter(owner.export('host'))
    const second = await writer.share(share.id).sealRecord(sample(20), following(first.record))
    const third = await share.sealRecord(sample(30), following(second.record))
    const { position, kind, content } = await reader.openRecord(first.record, atStart)
    expect({ position, kind, content }).toEqual({ position: first.position, kind: 'content', content: sample(10) })
    expect((await reader.openRecord(second.record, following(first.record))).content).toEqual(sample(20))
    expect((await reader.openRecord(third.record, following(second.record))).position).toMatch(/^3-/)
    await failure(() => reader.openRecord(third.record, following(first.record)), 'authentication-failed')
    await failure(() => owner.openRecord(first.record, anywhere), 'key-not-found')
    const ownLog = await writer.sealRecord(sample(10), atStart)
    await failure(() => reader.openRecord(ownLog.record, anywhere), 'key-not-found')
    await failure(() => share.sealRecord(sample(1), following(ownLog.record)), 'key-not-found')
    await failure(() => writer.share('0'.repeat(32)).sealRecord(sample(1), atStart), 'key-not-found')
  })

  it('opens only for the holder of the card that it was sent to', async () => {
    const now = Date.UTC(2030, 0, 1, 2, 3, 4, 567)
    vi.useFakeTimers({ now, toFake: ['Date'] })
    const invite = share.invite(bob.card())
    vi.useRealTimers()
    expect(invite.length).toBe(isStraight ? 3434 : 3530)
    const reader = bob.acceptShare(invite, aliceCard)
    expect(reader.issuedAt).toEqual(new Date(now))
    await failure(() => carol.acceptShare(invite, aliceCard), 'key-not-found')
    await failure(() => bob.acceptShare(invite, carol.card()), 'authentication-failed')
    if (isStraight) {
      expect((await failure(() => share.invite(carol.card()), 'policy')).detail['rule']).toBe('share-of-one-card')
    } else {
      // Each card needs its own invite, and each invite opens the share.
      const block = forReader(blocks[0]!, share.add(blocks[0]!))
      for (const each of [bob, carol]) expectSame(await accepted(share, each).open(block), content)
    }
  })

  it('keeps working for blocks that were rekeyed', async () => {
    const next = owner.regenerate({ encryption: 'hybrid' })
    const later = next.share(share.id)
    const reader = accepted(later)
    for (const block of [blocks[1]!, { ...blocks[1]!, envelope: next.rekey(blocks[1]!) }]) {
      expectSame(await reader.open(forReader(block, later.add(block))), content)
    }
    const forgotten = next.forgetRetired('unchecked')
    expect(forgotten.shares).toEqual([share.id])
    await failure(() => forgotten.share(share.id).add(blocks[1]!), 'key-not-found')
  })

  it('is independent of the handle that it came from', async () => {
    const short = await unlockKeyset(owner.export('host'), PASSWORD)
    const mine = short.share(share.id)
    short.dispose()
    const reader = accepted(mine)
    expectSame(await reader.open(forReader(blocks[0]!, mine.add(blocks[0]!))), content)
    mine.dispose()
    for (const action of [
      () => mine.add(blocks[0]!),
      () => mine.invite(bob.card()),
      () => mine.sealRecord(content, atStart),
    ]) {
      await failure(action, 'disposed')
    }
    reader.dispose()
    await failure(() => reader.open(blocks[0]!), 'disposed')
    await failure(() => reader.openRecord(content, anywhere), 'disposed')
  })
})

describe('revoking a share', () => {
  it('ends it for later blocks, while blocks already shared still open', async () => {
    const { keyset: owner, share } = alice.createShare()
    const reader = accepted(share)
    const before = forReader(blocks[0]!, share.add(blocks[0]!))
    const revoked = owner.revokeShare(share.id)
    expect([revoked.revision.slice(0, 2), revoked.shares]).toEqual(['3-', []])
    const writer = openWriter(revoked.export('host'))
    expect(writer.shares).toEqual([])
    await failure(() => revoked.share(share.id), 'key-not-found')
    await failure(() => revoked.revokeShare(share.id), 'key-not-found')
    await failure(() => writer.seal(content, { shares: [share.id] }), 'key-not-found')
    const prepared = await writer.prepare(content)
    await failure(() => prepared.envelopesFor([share.id]), 'key-not-found')
    await failure(() => reader.open(unshared), 'key-not-found')
    expectSame(await reader.open(before), content)
    expectSame(await revoked.open(blocks[0]!), content)
    expect(alice.createShare().share.id).not.toBe(share.id)
  })

  it('keeps the other shares in their order', async () => {
    let keyset = alice
    for (let number = 0; number < 3; number++) keyset = keyset.createShare().keyset
    const [first, second, third] = keyset.shares as [string, string, string]
    const left = await unlockKeyset(keyset.revokeShare(second).export('host'), PASSWORD)
    expect(left.shares).toEqual([first, third])
    const share = left.share(third)
    expectSame(await accepted(share).open(forReader(blocks[0]!, share.add(blocks[0]!))), content)
  })
})

describe('misuse', () => {
  it('an unknown or invalid share id is refused, and the prepared block can still be sealed', async () => {
    const writer = openWriter(own.keyset.export('host'))
    const prepared = await writer.prepare(content)
    await failure(() => prepared.seal({ shares: [own.share.id, 'x'] }), 'key-not-found')
    await expect(prepared.seal({ shares: own.share.id as never })).rejects.toThrow(TypeError)
    await expect(prepared.seal({ shares: [7 as never] })).rejects.toThrow(TypeError)
    await expect(prepared.envelopesFor(undefined as never)).rejects.toThrow(TypeError)
    expectSame(await own.keyset.open(await prepared.seal({ shares: [own.share.id] })), content)
    await failure(() => writer.seal(content, { shares: ['x'] }), 'key-not-found')
    expect(() => own.keyset.share(7 as never)).toThrow(TypeError)
  })

  it('a list of shares that changes during sealing has no effect', async () => {
    const shares = [own.share.id]
    const sealing = openWriter(own.keyset.export('host')).seal(content, { shares })
    shares[0] = 'another'
    expect([...(await sealing).shared!.keys()]).toEqual([own.share.id])
  })

  it('a vault has no shares', async () => {
    const profile = createProfile(await deriveLogin(PASSWORD, ALICE), { zeroTrust: true })
    const { vault } = await profile.createVault(memoryStateStore())
    await expect(vault.seal(content, { shares: [] })).rejects.toThrow(TypeError)
    const prepared = await vault.prepare(content)
    await expect(prepared.envelopesFor([])).rejects.toThrow(TypeError)
    await expect(prepared.seal({ shares: ['x'] })).rejects.toThrow(TypeError)
    expectSame(await vault.open(await prepared.seal()), content)
  })

  it('an unencrypted block cannot be shared, because anyone who has it can read it', async () => {
    const open = await makeKeyset({ encryption: 'none' })
    const { keyset: owner, share } = open.createShare()
    const block = await openWriter(owner.export('host'), { encryption: 'none' }).seal(content)
    expect((await failure(() => share.add(block), 'policy')).detail['rule']).toBe('encrypted-blocks')
    await failure(() => owner.seal(content, { shares: [share.id] }), 'policy')
    const prepared = await owner.prepare(content)
    await failure(() => prepared.envelopesFor([share.id]), 'policy')
    // The share's reader cannot check a block that claims to be unencrypted, so it refuses one.
    const reader = bob.acceptShare(share.invite(bob.card()), open.card())
    const claimed = new Uint8Array(block.envelope)
    claimed.set(Buffer.from(share.id, 'hex'), 32)
    await failure(() => reader.open({ ...block, envelope: claimed }), 'policy')
    const classic = await openWriter(owner.export('host'), { encryption: 'x25519' }).seal(content)
    expectSame(await reader.open(forReader(classic, share.add(classic))), content)
  })

  it('a definition refuses every share operation, because it does not have all keys', async () => {
    const definition = await unlockKeyset(own.keyset.export('definition'), PASSWORD)
    for (const action of [
      () => definition.createShare(),
      () => definition.share(own.share.id),
      () => definition.revokeShare(own.share.id),
      () => definition.acceptShare(own.share.invite(bob.card()), aliceCard),
    ]) {
      expect((await failure(action, 'policy')).detail['rule']).toBe('all-keys')
    }
  })

  it('an invalid card is refused, and so is a card other than the one that was compared', async () => {
    const invite = own.share.invite(bob.card())
    const mixed: Card = { bytes: carol.card().bytes, fingerprint: bob.card().fingerprint }
    const damaged: Card = { ...aliceCard, bytes: flipped(aliceCard.bytes, 60) }
    await failure(() => own.share.invite(mixed), 'key-changed')
    await failure(() => alice.createShare({ to: mixed }), 'key-changed')
    await failure(() => bob.acceptShare(invite, { ...aliceCard, fingerprint: bob.card().fingerprint }), 'key-changed')
    await failure(() => bob.acceptShare(invite, damaged), 'authentication-failed')
    expect(() => alice.createShare({ to: {} as never })).toThrow(TypeError)
    expect(() => own.share.invite(undefined as never)).toThrow(TypeError)
    expect(() => bob.acceptShare('x' as never, aliceCard)).toThrow(TypeError)
  })
})

it('a share that requires hybrid gets hybrid envelopes, even from an x25519 writer', async () => {
  const lax = await makeKeyset({ encryption: 'x25519' })
  const { keyset: strict, share } = lax.regenerate({ encryption: 'hybrid' }).createShare()
  const weak = strict.regenerate({ encryption: 'x25519' })
  const sealed = await openWriter(weak.export('host')).seal(content, { shares: [share.id] })
  expect([sealed.envelope.length, sealed.shared!.get(share.id)!.length]).toEqual([145, 1713])
  const reader = bob.acceptShare(share.invite(bob.card()), lax.card())
  expectSame(await reader.open(forReader(sealed, sealed.shared!.get(share.id))), content)
  const { record } = await openWriter(weak.export('host')).share(share.id).sealRecord(content, atStart)
  expectSame((await reader.openRecord(record, anywhere)).content, content)
  const { record: other } = await weak.share(share.id).sealRecord(content, atStart)
  expectSame((await reader.openRecord(other, anywhere)).content, content)
  const isHybrid = async (share: Share) => (await share.sealRecord(content, atStart)).record.length > 1700
  const open = await makeKeyset({ encryption: 'none' })
  const shares = [share, weak.share(share.id), lax.createShare().share, open.createShare().share]
  expect(await Promise.all(shares.map(isHybrid))).toEqual([true, true, false, true])
})

it('part of a pack is shared as the block and the member strings of some files', async () => {
  const files = [sample(100), sample(200), sample(300)]
  const { keyset: owner, share } = alice.createShare()
  const { content: packed, members } = await openWriter(owner.export('host')).pack(files)
  const block = await openWriter(owner.export('host')).seal(packed)
  const { record } = await share.sealRecord(Buffer.from(JSON.stringify({ [block.label]: [members[1]] })), atStart)
  const reader = accepted(share)
  const told = JSON.parse(Buffer.from((await reader.openRecord(record, anywhere)).content).toString()) as Record<
    string,
    string[]
  >
  const pack = await reader.open(forReader(block, share.add(block)))
  expectSame(await openPackMember(pack, told[block.label]![0]!), files[1]!)
  for (const index of [0, 2]) {
    const member = told[block.label]![0]!.replace('k.1.', `k.${index}.`)
    await failure(() => openPackMember(pack, member), 'authentication-failed')
  }
})

it('an export too large for any reader is not written', () => {
  const contents = plantedContents()
  const [share] = contents.additional!.shares
  const many = (count: number) => ({
    ...contents,
    additional: { ...contents.additional!, shares: Array.from({ length: count }, () => share!) },
  })
  expect(encodeKeyset(many(600), plantedMaster, 'storage').length).toBeLessThan(2 ** 20)
  expect(() => encodeKeyset(many(700), plantedMaster, 'storage')).toThrow('too many')
})

it('an invite reveals no secret of the keyset and no key of the share', () => {
  const keyset = unlocked(plantedContents(), plantedMaster.copy(), undefined)
  const invites = keyset.shares.slice(0, 1).map((id) => Buffer.from(keyset.share(id).invite(bob.card())))
  expect(invites.map((invite) => invite.length)).toEqual([3530])
  for (const byte of Object.values(planted)) {
    for (const invite of invites) expect(invite.includes(Buffer.alloc(8, byte))).toBe(false)
  }
  const publicHalf = Buffer.from(plantedContents().additional!.shares[0]!.publicHalves.x25519)
  expect(invites[0]!.includes(publicHalf.subarray(0, 8))).toBe(false)
})

it('of two shares with one id, the first gets the envelopes', async () => {
  const contents = plantedContents()
  const [first, second] = contents.additional!.shares
  const shares = [first!, { ...second!, id: first!.id }]
  const keyset = unlocked(
    { ...contents, additional: { ...contents.additional!, shares } },
    plantedMaster.copy(),
    undefined,
  )
  const id = keyset.shares[0]!
  const { shared, ...block } = await keyset.seal(content, { shares: [id] })
  const reader = bob.acceptShare(keyset.share(id).invite(bob.card()), keyset.card())
  expect(openWriter(keyset.export('host')).shares).toEqual([id])
  expectSame(await reader.open({ ...block, envelope: shared!.get(id)! }), content)
})

it("an invite to a sharing pair that the keyset and an adopted one have is for the keyset's own card", () => {
  const contents = plantedContents()
  const { sharing } = contents.additional!
  const adopted = contents.adopted.map((source) => ({ ...source, keys: { ...source.keys!, sharing } }))
  const keyset = unlocked({ ...contents, adopted }, plantedMaster.copy(), undefined)
  expect(keyset.acceptShare(own.share.invite(keyset.card()), aliceCard).id).toBe(own.share.id)
})
