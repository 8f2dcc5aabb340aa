// Delegations through the library's own interface: what they are for, every documented error, and use in a pool.
import { afterEach, describe, expect, it, vi } from 'vitest'
import { delegate, openDelegation } from '../../src/fleet.ts'
import {
  type Card,
  checkRetired,
  checkWriter,
  type Keyset,
  parseCard,
  rekeyBlocks,
  type SealedBlock,
  saveKeyset,
  unlockKeyset,
} from '../../src/index.ts'
import { insidesOf, unlocked } from '../../src/keyset/keyset.ts'
import { blocksIn, memoryBlobStore, memoryStateStore } from '../../src/stores.ts'
import { CHEAP, failure, flipped, hex, makeKeyset, PASSWORD, sample, unhex } from '../fixtures.ts'
import { createPool } from '../pool/source-pool.ts'
import { delegationVectors } from '../vectors/vectors.ts'
import { plantedContents, plantedMaster } from '../keyset/planted.ts'

const until = new Date(Date.now() + 86_400_000)
const [first, fleet] = [await makeKeyset(), await makeKeyset()]
const old = await Promise.all([10, 20, 30].map((size) => first.seal(sample(size, size))))
const owner = first.regenerate()
const from = owner.card()
const bytes = delegate(owner, fleet.card(), { until })
const open = (delegation: Uint8Array = bytes, by: Keyset = fleet, card: Card = from) =>
  openDelegation(delegation, by, { from: card })

afterEach(() => void vi.useRealTimers())

async function storeOf(blocks: readonly SealedBlock[]) {
  const store = blocksIn(memoryBlobStore())
  for (const block of blocks) await store.put(block)
  return store
}

describe('a delegation', () => {
  it('rekeys the blocks of a keyset for a fleet that has neither its password nor its master key', async () => {
    const blocks = await storeOf(old)
    using delegation = open()
    expect(delegation).toMatchObject({ id: owner.id, revision: owner.revision, until })
    expect(await rekeyBlocks(blocks, delegation)).toEqual({ rekeyed: 3, current: 0, failed: [] })
    expect(await rekeyBlocks(blocks, delegation)).toEqual({ rekeyed: 0, current: 3, failed: [] })
    using forgetful = owner.forgetRetired(await checkRetired(blocks, owner, { logs: [] }))
    expect(forgetful.retired).toBe(0)
    for (const { label } of old) {
      const block = (await blocks.get(label))!
      expect(forgetful.isCurrent(block.envelope)).toBe(true)
      await forgetful.open(block)
    }
  })

  it('of the frozen vectors opens', () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 0 })
    const planted = unlocked(plantedContents(), plantedMaster.copy(), undefined)
    const { delegation, card, revision } = delegationVectors().find(({ id }) => id === 'three')!
    using opened = openDelegation(unhex(delegation), planted, { from: parseCard(unhex(card)) })
    expect(opened.revision).toBe(revision)
  })

  it('has 3,458 bytes and 1,697 for each retired pair, and no secret of the keyset in plain', () => {
    expect(delegate(first, fleet.card(), { until })).toHaveLength(3458)
    expect(bytes).toHaveLength(3458 + 1697)
    expect(delegate(owner.regenerate(), fleet.card(), { until })).toHaveLength(3458 + 2 * 1697)
  })

  it('before the keyset has regenerated has nothing to rekey', async () => {
    using delegation = open(delegate(first, fleet.card(), { until }), fleet, first.card())
    expect(await rekeyBlocks(await storeOf(old), delegation)).toEqual({ rekeyed: 0, current: 3, failed: [] })
    await failure(() => delegation.rekey(old[0]!), 'key-not-found')
  })

  it('has the adopted sources of its keyset', async () => {
    const other = await makeKeyset()
    const theirs = await other.seal(sample(40))
    const adopter = owner.adopt(other)
    using delegation = open(delegate(adopter, fleet.card(), { until }))
    const blocks = await storeOf([...old, theirs])
    expect(await rekeyBlocks(blocks, delegation)).toEqual({ rekeyed: 4, current: 0, failed: [] })
    expect(await adopter.open((await blocks.get(theirs.label))!)).toEqual(sample(40))
    expect((await rekeyBlocks(await storeOf([theirs]), open())).failed).toMatchObject([
      { label: theirs.label, error: { code: 'key-not-found' } },
    ])
  })

  it('to the card of a keyset that the fleet has adopted opens', async () => {
    const successor = (await makeKeyset()).adopt(fleet)
    using delegation = open(bytes, successor)
    expect(delegation.isCurrent(delegation.rekey(old[0]!))).toBe(true)
  })

  it('works with 600 retired pairs', async () => {
    const { contents, master } = insidesOf(owner, 'keyset')
    const additional = contents.additional!
    const [retired] = additional.retired
    const filler = (await makeKeyset()).regenerate()
    const [other] = insidesOf(filler, 'keyset').contents.additional!.retired
    const many = unlocked(
      { ...contents, additional: { ...additional, retired: [...Array.from({ length: 599 }, () => other!), retired!] } },
      master.copy(),
      undefined,
    )
    const large = delegate(many, fleet.card(), { until })
    expect(large).toHaveLength(3458 + 600 * 1697)
    using delegation = open(large)
    expect(owner.isCurrent(delegation.rekey(old[0]!))).toBe(true)
  })

  it('leaves the checks of the stored keyset to checkWriter', async () => {
    const state = memoryStateStore()
    for (const keyset of [first, owner]) await saveKeyset(state, keyset)
    using delegation = open()
    await checkWriter(state, delegation)
    await saveKeyset(state, await owner.changePassword('another password', { costs: CHEAP }))
    await failure(() => checkWriter(state, delegation), 'stale-export')
    expect(delegation.isCurrent(delegation.rekey(old[0]!))).toBe(true)
  })

  it('cannot be used after it was disposed of; its fleet and its owner may be', async () => {
    const [own, theirs] = [await makeKeyset(), await makeKeyset()]
    const block = await own.seal(sample(10))
    const regenerated = own.regenerate()
    const made = delegate(regenerated, theirs.card(), { until })
    const delegation = openDelegation(made, theirs, { from: regenerated.card() })
    const card = regenerated.card()
    for (const keyset of [own, regenerated, theirs]) keyset.dispose()
    const head = delegation.rekey(block)
    expect(delegation.isCurrent(head)).toBe(true)
    const running = rekeyBlocks(await storeOf([block]), delegation)
    delegation.dispose()
    delegation.dispose()
    expect((await failure(() => running, 'disposed')).code).toBe('disposed')
    await failure(() => delegation.isCurrent(head), 'disposed')
    await failure(() => delegation.rekey(block), 'disposed')
    await failure(() => openDelegation(made, theirs, { from: card }), 'disposed')
    await failure(() => delegate(regenerated, from, { until }), 'disposed')
  })
})

describe('until', () => {
  const soon = delegate(owner, fleet.card(), { until: new Date(1_000_000) })

  it('ends every use', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 999_999 })
    using delegation = open(soon)
    const head = delegation.rekey(old[0]!)
    const blocks = await storeOf(old)
    vi.setSystemTime(1_000_000)
    const { detail } = await failure(() => delegation.isCurrent(head), 'expired')
    expect(detail).toEqual({ object: 'delegation', until: '1970-01-01T00:16:40.000Z' })
    await failure(() => delegation.rekey(old[0]!), 'expired')
    await failure(() => open(soon), 'expired')
    // Not a list of three blocks that failed.
    await failure(() => rekeyBlocks(blocks, delegation), 'expired')
  })

  it('in the middle of the work ends it, and what was rekeyed stays', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 999_999 })
    using delegation = open(soon)
    const blocks = await storeOf(old)
    const watched = {
      ...blocks,
      heads: (options: object) => blocks.heads(options),
      async replaceEnvelope(...args: Parameters<typeof blocks.replaceEnvelope>) {
        const replaced = await blocks.replaceEnvelope(...args)
        vi.setSystemTime(1_000_000)
        return replaced
      },
    }
    await failure(() => rekeyBlocks(watched, delegation, { ahead: 1 }), 'expired')
    vi.setSystemTime(0)
    const { rekeyed, current } = await rekeyBlocks(blocks, delegation)
    expect(rekeyed + current).toBe(3)
    expect(current).toBeGreaterThan(0)
  })

  it('cannot be changed through the handle', () => {
    using delegation = open()
    delegation.until.setTime(0)
    expect(delegation.until).toEqual(until)
  })

  it.each([
    ['no date', NaN],
    ['before 1970', -1],
  ])('must be a date from 1970 on: %s', (_, time) => {
    expect(() => delegate(owner, fleet.card(), { until: new Date(time) })).toThrow(
      new RangeError('until must be a valid Date in 1970 or later'),
    )
  })

  it('may be the first or the last date', async () => {
    await failure(() => open(delegate(owner, fleet.card(), { until: new Date(0) })), 'expired')
    using last = open(delegate(owner, fleet.card(), { until: new Date(8.64e15) }))
    expect(last.until.getTime()).toBe(8.64e15)
  })
})

describe('errors', () => {
  const definition = unlockKeyset(owner.export('definition'), PASSWORD)

  it('delegate', async () => {
    await failure(async () => delegate(await definition, fleet.card(), { until }), 'policy')
    const card = fleet.card()
    await failure(() => delegate(owner, { ...card, fingerprint: from.fingerprint }, { until }), 'key-changed')
    await failure(() => delegate(owner, { ...card, fingerprint: '12' }, { until }), 'invalid-text')
    await failure(() => delegate(owner, { ...card, bytes: card.bytes.slice(0, -1) }, { until }), 'malformed')
    await failure(() => delegate(owner, { ...card, bytes: owner.export('host') }, { until }), 'unsupported')
    await failure(
      () => delegate(owner, { ...card, bytes: flipped(card.bytes, 1700) }, { until }),
      'authentication-failed',
    )
    expect(() => delegate({} as never, card, { until })).toThrow(TypeError)
    expect(() => delegate(owner, card, { until, to: 1 } as never)).toThrow(TypeError)
  })

  it('openDelegation', async () => {
    const stranger = await makeKeyset()
    await failure(() => open(bytes, stranger), 'key-not-found')
    await failure(() => open(bytes, fleet, stranger.card()), 'authentication-failed')
    await failure(async () => open(bytes, await definition), 'policy')
    await failure(() => open(flipped(bytes, 300)), 'malformed')
    await failure(() => open(new Uint8Array(1024 * 1024 + 1)), 'limit-exceeded')
    await failure(() => open(owner.export('storage')), 'unsupported')
    await failure(() => open(bytes, fleet, { ...from, fingerprint: stranger.card().fingerprint }), 'key-changed')
    await failure(() => open(bytes, fleet, { ...from, fingerprint: 'x' }), 'invalid-text')
    expect(() => open(bytes, {} as never)).toThrow(TypeError)
    expect(() => open('00' as never)).toThrow(TypeError)
    expect(() => openDelegation(bytes, fleet, { from, to: 1 } as never)).toThrow(TypeError)
  })

  it('isCurrent and rekey', async () => {
    using delegation = open()
    const { label, envelope } = old[0]!
    const bad = (at: number) => flipped(envelope, at)
    await failure(() => delegation.isCurrent(envelope.subarray(1)), 'malformed')
    await failure(() => delegation.isCurrent(bad(4)), 'unsupported')
    await failure(() => delegation.rekey({ label: 'x', envelope }), 'malformed')
    await failure(() => delegation.rekey({ label, envelope: bad(4) }), 'unsupported')
    await failure(() => delegation.rekey({ label, envelope: bad(16) }), 'key-not-found')
    await failure(() => delegation.rekey({ label, envelope: bad(40) }), 'authentication-failed')
    await failure(() => delegation.rekey({ label: hex(sample(32)), envelope }), 'authentication-failed')
    const lax = await makeKeyset({ encryption: 'none' })
    const plain = await lax.seal(sample(10))
    const strict = lax.regenerate({ encryption: 'hybrid' })
    using other = open(delegate(strict, fleet.card(), { until }), fleet, strict.card())
    expect((await failure(() => other.rekey(plain), 'policy')).detail).toMatchObject({ reseal: true })
  })
})

describe('in a pool', () => {
  it('rekeys as it does alone, and nothing else', async () => {
    using delegation = open()
    const pool = createPool()
    try {
      const remote = pool.rekeyer(delegation)
      const blocks = await storeOf(old)
      expect(await rekeyBlocks(blocks, remote)).toEqual({ rekeyed: 3, current: 0, failed: [] })
      for (const { label } of old) await owner.open((await blocks.get(label))!)
    } finally {
      await pool.close()
    }
  })

  it('ends at until, in the worker too', async () => {
    const end = Date.now() + 2500
    using delegation = open(delegate(owner, fleet.card(), { until: new Date(end) }))
    const pool = createPool()
    try {
      const remote = pool.rekeyer(delegation)
      await remote.rekey(old[0]!)
      await new Promise((resolve) => setTimeout(resolve, end - Date.now() + 50))
      const blocks = await storeOf(old)
      await failure(() => rekeyBlocks(blocks, remote), 'expired')
      // This thread believes that there is time; the worker has its own clock.
      vi.useFakeTimers({ toFake: ['Date'], now: end - 1000 })
      await failure(() => remote.rekey(old[0]!), 'expired')
    } finally {
      vi.useRealTimers()
      await pool.close()
    }
  })
})
