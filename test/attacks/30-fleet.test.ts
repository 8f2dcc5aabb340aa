// Row 30. Somebody offers a fleet a delegation that its owner did not make for it, or for this time. A machine of the fleet
// is broken into, or lies about its work. A worker goes on with an old delegation while the owner forgets keys.
import { afterEach, describe, expect, it, vi } from 'vitest'
import { concat, copyOf, u64 } from '../../src/core/bytes.ts'
import { cardHolderOf } from '../../src/core/card.ts'
import { decode } from '../../src/core/codec.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { type DelegatedKeys, delegatedKeys } from '../../src/fleet/delegation.ts'
import { delegate, type Delegation, openDelegation } from '../../src/fleet.ts'
import {
  type BlockHead,
  changeKeyset,
  checkRetired,
  checkWriter,
  type Keyset,
  openWriter,
  rekeyBlocks,
  saveKeyset,
  type SealedBlock,
  verifyBlocks,
} from '../../src/index.ts'
import { insidesOf } from '../../src/keyset/keyset.ts'
import { maskKey, Mode } from '../../src/keyset/mask.ts'
import { envelopeKeysOf, openBlock } from '../../src/keyset/open.ts'
import { Recipient } from '../../src/core/key-pairs.ts'
import { Suite } from '../../src/core/suite.ts'
import { type Blocks, blocksIn, memoryBlobStore, memoryStateStore } from '../../src/stores.ts'
import { all, failure, hex, quickly, resummed, sample, unhex } from '../fixtures.ts'
import { quickKeyset } from './known.ts'

const UNTIL = new Date(Date.now() + 3_600_000)
const [old, fleet, stranger, evil] = await Promise.all([quickKeyset(), quickKeyset(), quickKeyset(), quickKeyset()])
const keyset = old.regenerate()
const second = keyset.regenerate()
const card = keyset.card()
const delegation = delegate(keyset, fleet.card(), { until: UNTIL })
const content = sample(3000, 1)
const later = sample(3000, 2)

const opened = (bytes: Uint8Array = delegation, by: Keyset = fleet): Delegation =>
  openDelegation(bytes, by, { from: card })

/** Returns a store with some blocks under the retired key pair. */
async function storeWithBlocks(count = 4): Promise<Blocks & { refs: string[] }> {
  const blocks = blocksIn(memoryBlobStore())
  const refs: string[] = []
  for (let index = 0; index < count; index++) {
    const block = await old.seal(sample(200, index))
    await blocks.put(block)
    refs.push(block.label)
  }
  return Object.assign(blocks, { refs })
}

/** What somebody who opened the delegation finds in it. */
function insideOf(bytes: Uint8Array, by: Keyset): Uint8Array {
  // The header, the version, the revision and the date have 80 bytes; then comes the length of what is sealed.
  const sealed = bytes.subarray(84, -72)
  const { keys } = cardHolderOf(keyset, 'keyset', 'an attack')
  const fingerprint = Buffer.from(card.fingerprint.replaceAll(/\D/g, ''))
  const length = Buffer.from([0, 0, 0, fingerprint.length])
  return cardHolderOf(by, 'fleet', 'an attack').openSealed(sealed, 'delegation', {
    type: 21,
    ownerId: keys.ownerId,
    context: concat(length, fingerprint, bytes.subarray(0, 80)),
  })
}

/** Returns the bytes of every key in an object. */
function secretsIn(value: unknown): string[] {
  if (value instanceof SecretKey) return [withBytes(value as SecretKey<'master'>, (bytes) => hex(bytes))]
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return []
  return Object.values(value).flatMap(secretsIn)
}

afterEach(() => {
  vi.useRealTimers()
})

describe('whoever offers a delegation to a fleet', () => {
  it('cannot offer one for another card', async () => {
    const forStranger = delegate(keyset, stranger.card(), { until: UNTIL })
    await failure(() => opened(forStranger), 'key-not-found')
    await failure(() => opened(delegation, stranger), 'key-not-found')
  })

  it('cannot seal what is in it to another card, or make one with keys of their own', async () => {
    const inside = insideOf(delegation, fleet)
    const resealed = delegate(evil.regenerate(), stranger.card(), { until: UNTIL })
    await failure(() => opened(resealed, stranger), 'authentication-failed')
    // Another fleet machine knows what is inside, and signs it itself, under the name of the owner's keyset.
    const asOwner = concat(resealed.subarray(0, 16), delegation.subarray(16, 48), resealed.subarray(48))
    await failure(() => opened(resummed(asOwner), stranger), 'authentication-failed')
    expect(inside.length).toBe(1 + 1601 + 2 + 1697 + 2)
  })

  it('cannot offer one of another keyset of the same owner, nor one that the adopted keyset made', async () => {
    const other = (await quickKeyset()).regenerate()
    await failure(() => opened(delegate(other, fleet.card(), { until: UNTIL })), 'authentication-failed')
    const adopter = other.adopt(keyset)
    await failure(() => openDelegation(delegation, fleet, { from: adopter.card() }), 'authentication-failed')
    const both = openDelegation(delegate(adopter, fleet.card(), { until: UNTIL }), fleet, { from: adopter.card() })
    const block = await old.seal(content)
    const envelope = both.rekey(block)
    expect(await adopter.open({ ...block, envelope })).toEqual(content)
  })

  it('cannot change its date, its revision, its id or its length', async () => {
    const changes: readonly [number, Uint8Array][] = [
      [16, unhex('00'.repeat(16))],
      [32, unhex('00'.repeat(16))],
      [48, u64(9)],
      [56, unhex('00'.repeat(16))],
      [72, u64(UNTIL.getTime() + 1)],
    ]
    for (const [at, bytes] of changes) {
      const changed = copyOf(delegation)
      changed.set(bytes, at)
      await failure(() => opened(resummed(changed)), 'authentication-failed')
      await failure(() => opened(changed), 'malformed')
    }
    // The tail of one behind the keys of another, from the same owner for the same fleet.
    const another = delegate(keyset, fleet.card(), { until: new Date(UNTIL.getTime() + 1) })
    const mixed = concat(another.subarray(0, 80), delegation.subarray(80, -72), another.subarray(-72))
    await failure(() => opened(resummed(mixed)), 'authentication-failed')
  })

  it('cannot offer one after its date, and a machine that has it open stops then', async () => {
    using kept = opened()
    const blocks = await storeWithBlocks()
    vi.useFakeTimers({ now: UNTIL.getTime() - 1, toFake: ['Date'] })
    expect((await rekeyBlocks(blocks, kept, { prefix: blocks.refs[0]!.slice(0, 8) })).rekeyed).toBe(1)
    vi.setSystemTime(UNTIL)
    await failure(() => opened(), 'expired')
    await failure(() => rekeyBlocks(blocks, kept), 'expired')
    expect((await all(blocks.heads())).filter(({ envelope }) => keyset.isCurrent(envelope))).toHaveLength(1)
  })

  it('can offer an old one, and the stored keyset shows that it is old', async () => {
    const state = memoryStateStore()
    await saveKeyset(state, keyset)
    using worker = opened()
    await checkWriter(state, worker)
    await saveKeyset(state, second)
    await failure(() => checkWriter(state, worker), 'stale-export')
    // It may also be old because of a new password, which changes nothing for heads.
    const renamed = memoryStateStore()
    await saveKeyset(renamed, keyset)
    using _ = await quickly(() => changeKeyset(renamed, keyset, (newest) => newest.changePassword('next')))
    await failure(() => checkWriter(renamed, worker), 'stale-export')
  })
})

describe('a stale worker beside a second regenerate', () => {
  it('changes no head once the owner has checked that none is retired', async () => {
    const blocks = await storeWithBlocks()
    using stale = opened()
    using next = openDelegation(delegate(second, fleet.card(), { until: UNTIL }), fleet, { from: card })
    const half = { prefix: blocks.refs[0]!.slice(0, 1) }
    await rekeyBlocks(blocks, stale, half)
    // It has read the other heads, and goes to sleep.
    const asleep = (await all(blocks.heads())).filter(({ envelope }) => !stale.isCurrent(envelope))
    const prepared = asleep.map((head): [BlockHead, Uint8Array] => [head, stale.rekey(head)])
    expect(prepared.length).toBeGreaterThan(0)

    expect(await rekeyBlocks(blocks, next)).toEqual({ rekeyed: 4, current: 0, failed: [] })
    const checked = await checkRetired(blocks, second, { logs: [] })
    using last = second.forgetRetired(checked)
    for (const [head, envelope] of prepared) expect(await blocks.replaceEnvelope(head, envelope)).toBe(false)
    const { rekeyed, failed } = await rekeyBlocks(blocks, stale)
    expect(rekeyed).toBe(0)
    expect(failed.map(({ error }) => error.code)).toEqual(Array(4).fill('key-not-found'))
    for (const { error } of await all(verifyBlocks(blocks, last, blocks.refs))) expect(error).toBeUndefined()
  })
})

describe('a stale worker with unencrypted blocks', () => {
  it('takes none back from a newer key pair', async () => {
    const plain = await quickKeyset({ encryption: 'none' })
    const [first, next] = [plain.regenerate(), plain.regenerate().regenerate()]
    const blocks = blocksIn(memoryBlobStore())
    await blocks.put(await openWriter(plain.export('host'), { encryption: 'none' }).seal(content))
    const until = { until: UNTIL }
    using stale = openDelegation(delegate(first, fleet.card(), until), fleet, { from: plain.card() })
    using newer = openDelegation(delegate(next, fleet.card(), until), fleet, { from: plain.card() })
    expect((await rekeyBlocks(blocks, newer)).rekeyed).toBe(1)
    const { rekeyed, failed } = await rekeyBlocks(blocks, stale)
    expect([rekeyed, failed[0]?.error.code]).toEqual([0, 'key-not-found'])
    expect((await rekeyBlocks(blocks, newer)).current).toBe(1)
  })
})

describe('a delegation of a revision that was never stored', () => {
  it('is noticed by a worker that compares, and by the check of the owner before anything is forgotten', async () => {
    const state = memoryStateStore()
    await saveKeyset(state, keyset)
    const blocks = await storeWithBlocks(1)
    const [head] = await all(blocks.heads())
    using unstored = openDelegation(delegate(keyset.regenerate(), fleet.card(), { until: UNTIL }), fleet, {
      from: card,
    })
    await failure(() => checkWriter(state, unstored), 'rollback')
    // This one does not compare.
    expect((await rekeyBlocks(blocks, unstored)).rekeyed).toBe(1)
    const { detail } = await failure(() => checkRetired(blocks, keyset, { logs: [] }), 'policy')
    expect(detail).toMatchObject({ retired: 0, unknown: 1, first: blocks.refs[0] })
    const [lost] = await all(blocks.heads())
    await blocks.replaceEnvelope(lost!, head!.envelope)
    expect((await rekeyBlocks(blocks, keyset)).rekeyed).toBe(1)
    expect((await all(verifyBlocks(blocks, keyset, blocks.refs)))[0]!.error).toBeUndefined()
  })
})

describe('a machine of the fleet that was broken into', () => {
  const owner = (keys: DelegatedKeys) => ({
    ...{ id: insidesOf(keyset, 'keyset').contents.id, retired: keys.retired, adopted: [], allowWeaker: undefined },
    blockPair: { publicHalves: keys.blockPair },
  })
  const stolen = decode(delegatedKeys, insideOf(delegation, fleet), 'delegation')
  const steal = (block: SealedBlock) => openBlock(block, envelopeKeysOf(owner(stolen)), () => Promise.resolve())

  it('opens blocks under the retired key pair, as the documents say', async () => {
    expect(await steal(await old.seal(content))).toEqual(content)
    const block = await old.seal(content)
    const before = { ...block }
    const after = { ...block, envelope: keyset.rekey(block) }
    await failure(() => steal(after), 'key-not-found')
    // Rekeying does not take away what it could read before.
    expect(await steal(before)).toEqual(content)
  })

  it('opens nothing that is sealed from now on, and no share', async () => {
    await failure(async () => steal(await keyset.seal(later)), 'key-not-found')
    using shared = keyset.createShare()
    const forShare = await openWriter(shared.keyset.export('host')).seal(later, { shares: [shared.share.id] })
    for (const envelope of [forShare.envelope, forShare.shared!.get(shared.share.id)!])
      await failure(() => steal({ ...forShare, envelope }), 'key-not-found', 'authentication-failed')
  })

  it('finds no other secret of the keyset in it', () => {
    const { contents, master } = insidesOf(keyset.createShare().keyset.adopt(evil), 'keyset')
    const { additional, ...others } = contents
    const { retired, ...more } = additional!
    const all = secretsIn([master, others, more])
    // Private halves and seeds of six pairs and four signing keys, three salts and keys twice, the master key.
    expect(all.length).toBeGreaterThanOrEqual(16)
    const inside = hex(insideOf(delegation, fleet))
    const found = new Set(secretsIn(stolen))
    expect(secretsIn(insidesOf(old, 'keyset').contents.blockPair).every((key) => found.has(key))).toBe(true)
    expect([...found]).toHaveLength(2)
    for (const secret of all) expect(inside).not.toContain(secret)
    expect(secretsIn(retired).length).toBeGreaterThan(0)
  })
})

describe('a worker that lies', () => {
  it('about its counts is found by the check of all heads, and the work is done again', async () => {
    const blocks = await storeWithBlocks()
    const report = { rekeyed: 4, current: 0, failed: [] }
    const { detail } = await failure(() => checkRetired(blocks, keyset, { logs: [] }), 'policy')
    expect(detail).toMatchObject({ retired: report.rekeyed, heads: 4 })
    using honest = opened()
    expect(await rekeyBlocks(blocks, honest)).toEqual(report)
    expect(await checkRetired(blocks, keyset, { logs: [] })).toMatchObject({ heads: 4 })
  })

  it('by envelopes of another key is found when the blocks are opened, and only then', async () => {
    const blocks = await storeWithBlocks(2)
    const [first, other] = await all(blocks.heads())
    using wrong = SecretKey.take('block', sample(32, 9))
    const { id, blockPair } = insidesOf(keyset, 'keyset').contents
    const place = { ownerId: id, suite: Suite.hybrid, mode: Mode.scoped, label: unhex(first!.label) }
    await blocks.replaceEnvelope(first!, maskKey(wrong, new Recipient(blockPair.publicHalves), place))
    // An envelope that belongs to another block.
    await blocks.replaceEnvelope(other!, opened().rekey(first!))
    expect(await checkRetired(blocks, keyset, { logs: [] })).toMatchObject({ heads: 2 })
    const verified = await all(verifyBlocks(blocks, keyset, blocks.refs))
    expect(verified.map(({ error }) => error?.code)).toEqual(['authentication-failed', 'authentication-failed'])
    // With the old heads, from a version or a copy of them, nothing is lost while the retired pair is there.
    for (const head of [first!, other!]) {
      const found = (await all(blocks.heads())).find(({ label }) => label === head.label)!
      await blocks.replaceEnvelope(found, head.envelope)
    }
    expect((await rekeyBlocks(blocks, opened())).rekeyed).toBe(2)
    expect((await all(verifyBlocks(blocks, keyset, blocks.refs))).every(({ error }) => error === undefined)).toBe(true)
  })
})
