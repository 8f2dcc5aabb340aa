import { Suite } from '../../src/core/suite.ts'
import { createKeyset, type Keyset, openWriter, unlockKeyset } from '../../src/index.ts'
import { describe, expect, it } from 'vitest'
import { sealRecord } from '../../src/keyset/record.ts'
import { generateSigningPair, Recipient } from '../../src/core/key-pairs.ts'
import { type Backend } from '../../src/primitives/backend.ts'
import { plantedContents } from './planted.ts'
import {
  backends,
  CHEAP,
  expectSame,
  failure,
  flipped,
  hex,
  makeKeyset,
  PASSWORD,
  patched,
  sample,
  streamOf,
  withBackend,
} from '../fixtures.ts'

const keyset = await makeKeyset({ encryption: 'x25519' })
const writer = openWriter(keyset.export('host'), { encryption: 'hybrid' })

/** Seals a log of `count` records, each with different content. */
async function makeLog(count: number, by = writer): Promise<Uint8Array[]> {
  const log: Uint8Array[] = []
  for (let index = 0; index < count; index++) {
    const { sequence, record } = await by.sealRecord(sample(50 + index, index + 1), log.at(-1) ?? 'start')
    expect(sequence).toBe(index + 1)
    log.push(record)
  }
  return log
}
const log = await makeLog(4)

async function read(reader: Keyset, records: readonly Uint8Array[]): Promise<Uint8Array[]> {
  const contents: Uint8Array[] = []
  for (const [index, record] of records.entries()) {
    const { sequence, content } = await reader.openRecord(record, { after: records[index - 1] ?? 'start' })
    expect(sequence).toBe(index + 1)
    contents.push(content)
  }
  return contents
}

describe('records', () => {
  it('open in order, from every export, on every backend', async () => {
    const contents = [0, 1, 2, 3].map((index) => sample(50 + index, index + 1))
    for (const destination of ['host', 'definition', 'storage'] as const) {
      expect(await read(await unlockKeyset(keyset.export(destination), PASSWORD), log)).toEqual(contents)
    }
    for (const sealing of backends) {
      const record = await withBackend(sealing, () => writer.sealRecord(sample(20_000), log[3]!))
      for (const opening of backends) {
        await withBackend(opening, async () => {
          expectSame((await keyset.openRecord(record.record, { after: log[3]! })).content, sample(20_000))
        })
      }
    }
  })

  it('open without a check of the chain if the caller passes no `after`', async () => {
    expect(await keyset.openRecord(log[2]!)).toEqual({ sequence: 3, content: sample(52, 3), epoch: 0, closes: false })
  })

  it('are always encrypted, even if blocks are not', async () => {
    const lengths: Map<string, number> = new Map()
    const lax = await makeKeyset({ encryption: 'none' })
    for (const encryption of ['hybrid', 'x25519', 'none'] as const) {
      const { record } = await openWriter(lax.export('host'), { encryption }).sealRecord(sample(10), 'start')
      lengths.set(encryption, record.length)
      expect((await lax.openRecord(record, { after: 'start' })).content).toEqual(sample(10))
      expect(Buffer.from(record).includes(Buffer.from(sample(10)))).toBe(false)
    }
    expect(Object.fromEntries(lengths)).toEqual({ hybrid: 1842, x25519: 274, none: 1842 })
  })

  it('are refused if one is missing, moved, repeated or put at the start', async () => {
    const [one, two, three, four] = log as [Uint8Array, Uint8Array, Uint8Array, Uint8Array]
    const refused: [Uint8Array, Uint8Array | 'start'][] = [
      [two, 'start'],
      [three, one],
      [four, two],
      [two, three],
      [two, two],
      [one, one],
      [one, four],
    ]
    for (const [record, after] of refused) {
      await failure(() => keyset.openRecord(record, { after }), 'authentication-failed')
    }
    // A fork: another second record after the same first one.
    const { record: fork } = await writer.sealRecord(sample(5), one)
    expect((await keyset.openRecord(fork, { after: one })).sequence).toBe(2)
    await failure(() => keyset.openRecord(three, { after: fork }), 'authentication-failed')
  })

  it('are refused if any byte is altered', async () => {
    const record = log[1]!
    for (let index = 0; index < record.length; index += index > 190 && index < 1700 ? 61 : 1) {
      await failure(
        () => keyset.openRecord(flipped(record, index, index % 8), { after: log[0]! }),
        'authentication-failed',
        'malformed',
        'unsupported',
        'key-not-found',
        'policy',
      )
    }
    for (const length of [0, 47, 48, 1800, record.length - 1]) {
      await failure(() => keyset.openRecord(record.subarray(0, length)), 'malformed', 'authentication-failed')
    }
    await failure(() => keyset.openRecord(Buffer.concat([record, Buffer.alloc(1)])), 'authentication-failed')
    await failure(() => keyset.openRecord(new Uint8Array(65 * 2 ** 20)), 'limit-exceeded')
    await failure(() => keyset.openRecord(record, { after: new Uint8Array(7) }), 'malformed')
    await failure(() => keyset.openRecord(patched(record, 12, [0, 0, 0, 2])), 'unsupported')
    await expect(keyset.openRecord('x' as never)).rejects.toThrow(TypeError)
  })

  it('are refused if forged by someone who has only the public keys', async () => {
    const { id, blockPair, sourceSigning, additional } = plantedContents()
    const owner = { ownerId: id, recipient: new Recipient(blockPair.publicHalves), suite: Suite.hybrid }
    const honest = await sealRecord(sample(5), 'start', { ...owner, signing: sourceSigning })
    for (const signing of [generateSigningPair(), additional!.cardSigning]) {
      const forged = await sealRecord(sample(5), 'start', { ...owner, signing })
      await failure(
        () => sealRecord(sample(5), forged.record, { ...owner, signing: sourceSigning }),
        'authentication-failed',
      )
    }
    // A valid signature, but with the owner id of another keyset that has the same key pair.
    await failure(
      () => sealRecord(sample(5), honest.record, { ...owner, ownerId: sample(16), signing: sourceSigning }),
      'authentication-failed',
    )
  })

  it('of another keyset are refused, by readers and as the previous record of a writer', async () => {
    const other = await createKeyset('x', { costs: CHEAP })
    const [theirs] = await makeLog(1, openWriter(other.export('host')))
    await failure(() => keyset.openRecord(theirs!), 'key-not-found')
    await failure(() => writer.sealRecord(sample(5), theirs!), 'authentication-failed')
    await failure(() => writer.sealRecord(sample(5), new Uint8Array(3)), 'malformed')
    await failure(() => writer.sealRecord(new Uint8Array(64 * 2 ** 20 + 1), 'start'), 'limit-exceeded')
  })

  it('follow the record that was verified, even if another thread changes its memory meanwhile', async () => {
    const [record] = await makeLog(1)
    const shared = new Uint8Array(new SharedArrayBuffer(record!.length))
    shared.set(record!)
    const backend = backends[0]!
    const racing: Backend = {
      ...backend,
      hash(hash, parts) {
        shared.fill(0)
        return backend.hash(hash, parts)
      },
    }
    const next = await withBackend(racing, () => writer.sealRecord(sample(5), shared))
    expect((await keyset.openRecord(next.record, { after: record! })).sequence).toBe(2)
  })

  it('are refused if weaker than the minimum of the keyset', async () => {
    const strict = await makeKeyset()
    const { record } = await openWriter(strict.export('host')).sealRecord(sample(5), 'start')
    const weakened = Buffer.concat([record.subarray(0, 120), record.subarray(1688)])
    weakened[7] = 1
    await failure(() => strict.openRecord(weakened), 'policy')
  })

  it('copy their input before the call returns', async () => {
    const [content, after] = [sample(300_000), new Uint8Array(log[3]!)]
    const sealing = writer.sealRecord(content, after)
    content.fill(0)
    after.fill(0)
    const { record } = await sealing
    const given = new Uint8Array(record)
    const opening = keyset.openRecord(given, { after: log[3]! })
    given.fill(0)
    expectSame((await opening).content, sample(300_000))
    const short = openWriter(keyset.export('host'))
    short.dispose()
    await failure(() => short.sealRecord(sample(5), 'start'), 'disposed')
  })
})

describe('resealRecords', () => {
  async function reseal(by: Keyset, records: readonly Uint8Array[]): Promise<Uint8Array[]> {
    const sealed: Uint8Array[] = []
    for await (const { sequence, record } of by.resealRecords(streamOf(records))) {
      sealed.push(record)
      expect(sequence).toBe(sealed.length)
    }
    return sealed
  }
  const regenerated = keyset.regenerate()

  it('seals a log under the current keys, in the next epoch, and adds a closing record', async () => {
    const resealed = await reseal(regenerated, log)
    expect(resealed).toHaveLength(5)
    // Hybrid records stay hybrid, although the keyset's minimum is lower.
    for (const record of resealed) expect(record[7]).toBe(2)
    const forgotten = regenerated.forgetRetired('unchecked')
    expect((await read(forgotten, resealed)).slice(0, 4)).toEqual(await read(keyset, log))
    expect(await forgotten.openRecord(resealed[4]!, { after: resealed[3]! })).toEqual({
      sequence: 5,
      content: new Uint8Array(0),
      epoch: 1,
      closes: true,
    })
    await failure(() => forgotten.openRecord(log[0]!), 'key-not-found')
    // New records follow the closing record. The next epoch keeps them, but not that closing record.
    const next = await openWriter(forgotten.export('host')).sealRecord(sample(9), resealed[4]!)
    expect(next.sequence).toBe(6)
    expect(await forgotten.openRecord(next.record, { after: resealed[4]! })).toMatchObject({ epoch: 1, closes: false })
    const again = await reseal(forgotten.regenerate(), [...resealed, next.record])
    expect(again).toHaveLength(6)
  })

  it('refuses a log that is incomplete, out of order or altered', async () => {
    const [one, two, three, four] = log as [Uint8Array, Uint8Array, Uint8Array, Uint8Array]
    for (const records of [
      [two, three],
      [one, three],
      [two, one],
      [one, one],
      [one, two, four],
      [one, flipped(two, 1800)],
    ]) {
      await failure(() => reseal(regenerated, records), 'authentication-failed', 'malformed')
    }
    expect(await reseal(regenerated, [])).toEqual([])
  })

  it('does not let a record follow a record of another epoch', async () => {
    const resealed = await reseal(regenerated, log)
    await failure(() => regenerated.openRecord(resealed[1]!, { after: log[0]! }), 'authentication-failed')
    await failure(() => regenerated.openRecord(log[1]!, { after: resealed[0]! }), 'authentication-failed')
    expect(hex(resealed[0]!.subarray(8, 12))).toBe('00000001')
  })

  it('leaves the old log readable until its keys are forgotten, so that a crash midway loses nothing', async () => {
    const partial: Uint8Array[] = []
    for await (const { record } of regenerated.resealRecords(streamOf(log))) {
      partial.push(record)
      if (partial.length === 2) break
    }
    // No record closes epoch 1, so readers stay with epoch 0.
    const closes = await Promise.all(partial.map(async (record) => (await regenerated.openRecord(record)).closes))
    expect(closes).toEqual([false, false])
    expect(await read(regenerated, log)).toHaveLength(4)
    expect(await reseal(regenerated, log)).toHaveLength(5)
  })
})
