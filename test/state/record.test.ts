// Records one by one, in every key model (SPEC §7.1 to §7.3).
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createProfile, deriveLogin } from '../../src/vault.ts'
import { deriveLegacyClient } from '../../src/legacy.ts'
import {
  createKeyset,
  openWriter,
  type RecordReader,
  type RecordWriter,
  type SealedRecord,
  unlockKeyset,
} from '../../src/index.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { type Backend } from '../../src/primitives/backend.ts'
import {
  ALICE,
  backends,
  CHEAP,
  expectSame,
  failure,
  flipped,
  hex,
  PASSWORD,
  patched,
  quickly,
  sample,
  withBackend,
} from '../fixtures.ts'
import {
  clientOf,
  doors,
  fieldsOf,
  forgeRecord,
  LOG,
  owner,
  quickKeyset,
  sha256,
  sharedOwner,
  shareId,
  stranger,
  vaultOf,
} from './log-fixtures.ts'

const START = { log: LOG, after: 'start' } as const
const UNCHECKED = { log: LOG, after: 'unchecked' } as const
const behind = (after: Uint8Array) => ({ log: LOG, after })
const HASH_0 = '0'.repeat(64)

/** Seals records of different contents, each behind the one before. */
async function chain(writer: RecordWriter, count: number): Promise<SealedRecord[]> {
  const records: SealedRecord[] = []
  for (let index = 0; index < count; index++) {
    const after = records.at(-1)?.record ?? 'start'
    records.push(await writer.sealRecord(sample(50 + index, index + 1), { log: LOG, after }))
  }
  return records
}

/** Lets the platform's generator return the same bytes again and again, as in a cloned machine. */
function repeatRandomness(): void {
  vi.spyOn(globalThis.crypto, 'getRandomValues').mockImplementation((array) => {
    const target = array as unknown as Uint8Array
    target.set(sample(target.length, 5))
    return array
  })
}
afterEach(() => void vi.restoreAllMocks())

describe.each(doors)('records of $name', ({ writer, reader, stranger: other, suite, extra }) => {
  const sealed = chain(writer, 4)
  const bytes = async () => (await sealed).map(({ record }) => record)
  /** n: it stands in front of c, the content, the tag and what authenticates the record. */
  const nonceOf = ({ record }: SealedRecord, length: number) =>
    hex(record.subarray(record.length - length - extra + (extra - (suite < 0x200 ? 144 : 112))).subarray(0, 32))

  it('have the fields and sizes of the format', async () => {
    const records = await bytes()
    const ids = new Set(records.map((record) => fieldsOf(record).id))
    expect(ids.size).toBe(4)
    for (const [index, record] of records.entries()) {
      const previous = index === 0 ? HASH_0 : hex(sha256(records[index - 1]!))
      const place = { sequence: index + 1, number: index + 1, previous }
      expect(fieldsOf(record)).toMatchObject({ type: 5, suite, epoch: 0, flags: 8, ...place })
      expect(record.length).toBe(112 + extra + 50 + index)
      expect(Buffer.from(record).includes(Buffer.from(sample(50 + index, index + 1)))).toBe(false)
    }
  })

  it('open in order, and each says its position and kind', async () => {
    const records = await sealed
    for (const [index, { record, position, kind }] of records.entries()) {
      expect(position).toBe(`${index + 1}-${fieldsOf(record).id}`)
      expect(kind).toBe('content')
      const after = records[index - 1]?.record ?? 'start'
      const expected = { record, position, kind, content: sample(50 + index, index + 1) }
      expect(await reader.openRecord(record, { log: LOG, after })).toEqual(expected)
      expect(await reader.openRecord(record, UNCHECKED)).toEqual(expected)
    }
  })

  it('open on every backend, sealed on any', async () => {
    const [first] = await bytes()
    for (const sealing of backends) {
      for (const length of [0, 20_000]) {
        const { record } = await withBackend(sealing, () => writer.sealRecord(sample(length), behind(first!)))
        for (const opening of backends) {
          const { content } = await withBackend(opening, () => reader.openRecord(record, behind(first!)))
          expectSame(content, sample(length))
        }
      }
    }
  })

  it('are refused if one is missing, moved, repeated or put at the start', async () => {
    const [one, two, three, four] = (await bytes()) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array]
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
      await failure(() => reader.openRecord(record, { log: LOG, after }), 'authentication-failed')
    }
    // Another second record behind the same first one.
    const { record: fork } = await writer.sealRecord(sample(5), behind(one))
    expectSame((await reader.openRecord(fork, behind(one))).content, sample(5))
    await failure(() => reader.openRecord(three, behind(fork)), 'authentication-failed')
  })

  it('are refused in another log, whatever stands before them', async () => {
    const [one, two] = (await bytes()) as [Uint8Array, Uint8Array]
    const others = [{ after: 'start' }, { after: 'unchecked' }, { after: two }] as const
    for (const place of others) {
      await failure(() => reader.openRecord(one, { log: 'backup', ...place }), 'authentication-failed')
    }
    await failure(() => writer.sealRecord(sample(5), { log: 'Backups', after: one }), 'authentication-failed')
    // One name that is typed in two ways is one log.
    const { record } = await writer.sealRecord(sample(5), { log: 'caf\u00e9', after: 'start' })
    expectSame((await reader.openRecord(record, { log: 'cafe\u0301', after: 'start' })).content, sample(5))
  })

  it('are refused if any byte is altered, if bytes are cut off, or if there are more', async () => {
    const [one, two] = (await bytes()) as [Uint8Array, Uint8Array]
    const codes = ['authentication-failed', 'malformed', 'unsupported', 'key-not-found', 'policy'] as const
    // Every byte of the fields that all records share, and some of the rest.
    for (let index = 0; index < two.length; index += index < 112 ? 1 : Math.ceil(extra / 30)) {
      const place = index % 2 === 0 ? behind(one) : UNCHECKED
      await failure(() => reader.openRecord(flipped(two, index, index % 8), place), ...codes)
    }
    for (const length of [0, 47, 48, 111, 112, 111 + extra, 112 + extra, two.length - 1]) {
      const cut = two.subarray(0, length)
      await failure(() => reader.openRecord(cut, UNCHECKED), 'malformed', 'authentication-failed')
      await failure(() => writer.sealRecord(sample(5), behind(cut)), 'malformed', 'authentication-failed')
    }
    await failure(() => reader.openRecord(new Uint8Array([...two, 0]), UNCHECKED), 'authentication-failed')
  })

  it('are refused by readers and writers with other keys', async () => {
    const [one] = (await bytes()) as [Uint8Array]
    const { record: theirs } = await other.sealRecord(sample(50), START)
    await failure(() => reader.openRecord(theirs, UNCHECKED), 'key-not-found')
    await failure(() => writer.sealRecord(sample(5), behind(theirs)), 'key-not-found')
    await failure(() => other.sealRecord(sample(5), behind(one)), 'key-not-found')
    // Their record, with this owner's id written into it.
    const renamed = patched(theirs, 32, one.subarray(32, 48))
    await failure(() => reader.openRecord(renamed, UNCHECKED), 'authentication-failed', 'malformed')
    await failure(() => writer.sealRecord(sample(5), behind(renamed)), 'authentication-failed', 'malformed')
  })

  it('keep what they were given before the promise is returned', async () => {
    const [first] = (await bytes()) as [Uint8Array]
    const [content, after] = [sample(300_000), new Uint8Array(first)]
    const place = { log: LOG, after }
    const sealing = writer.sealRecord(content, place)
    content.fill(0)
    after.fill(0)
    place.log = 'another'
    const { record } = await sealing
    const [given, before] = [new Uint8Array(record), new Uint8Array(first)]
    const opening = reader.openRecord(given, behind(before))
    given.fill(0)
    before.fill(0)
    const opened = await opening
    expectSame(opened.content, sample(300_000))
    expectSame(opened.record, record)
  })

  it('differ each time, even of equal content at one place', async () => {
    const [first] = (await bytes()) as [Uint8Array]
    const [one, two] = [
      await writer.sealRecord(sample(50), behind(first)),
      await writer.sealRecord(sample(50), behind(first)),
    ]
    expect(one.position).not.toBe(two.position)
    expect(nonceOf(one, 50)).not.toBe(nonceOf(two, 50))
    expect(hex(one.record.subarray(112))).not.toBe(hex(two.record.subarray(112)))
  })

  it('never share an id or a nonce between contents, logs or places, even if randomness repeats', async () => {
    const [first] = (await bytes()) as [Uint8Array]
    repeatRandomness()
    const seal = (content: Uint8Array, after: Uint8Array | 'start' = 'start', log = LOG) =>
      writer.sealRecord(content, { log, after })
    const base = await seal(sample(50))
    const again = await seal(sample(50))
    const otherContent = await seal(flipped(sample(50), 3))
    const otherLog = await seal(sample(50), 'start', 'other')
    const otherPlace = await seal(sample(50), first)
    // The same in every way: then the whole record repeats, and shows nothing but that. Some platforms draw the ephemeral
    // key by themselves.
    const ephemeral = ({ record }: { record: Uint8Array }) => (extra === 112 ? '' : hex(record.subarray(112, 144)))
    if (ephemeral(again) === ephemeral(base)) expect(nonceOf(again, 50)).toBe(nonceOf(base, 50))
    expect(again.position).toBe(base.position)
    const records = [base, otherContent, otherLog, otherPlace]
    expect(new Set(records.map((record) => nonceOf(record, 50))).size).toBe(4)
    // Even if somebody gives two contents one id at one place.
    const forged = [await forgeRecord(writer, {}, sample(50)), await forgeRecord(writer, {}, sample(50, 2))]
    expect(new Set(forged.map((record) => nonceOf({ ...base, record }, 50))).size).toBe(2)
    expect(new Set([base, otherContent, otherLog].map(({ record }) => fieldsOf(record).id)).size).toBe(3)
  })

  it('belong to a log whose name has 1 to 255 bytes', async () => {
    const [one] = (await bytes()) as [Uint8Array]
    for (const log of ['', 'é'.repeat(128)]) {
      await failure(() => writer.sealRecord(sample(5), { log, after: 'start' }), 'invalid-text')
      await failure(() => reader.openRecord(one, { log, after: 'start' }), 'invalid-text')
    }
    const log = 'x'.repeat(255)
    const { record } = await writer.sealRecord(sample(5), { log, after: 'start' })
    expectSame((await reader.openRecord(record, { log, after: 'start' })).content, sample(5))
  })

  it('need a place', async () => {
    const [one] = (await bytes()) as [Uint8Array]
    const wrong: unknown[] = [undefined, null, {}, { log: LOG }, { after: 'start' }, { log: 5, after: 'start' }]
    wrong.push({ log: LOG, after: 'end' }, { log: LOG, after: [1, 2] })
    for (const place of wrong) {
      await expect(writer.sealRecord(sample(5), place as never)).rejects.toThrow(TypeError)
      await expect(reader.openRecord(one, place as never)).rejects.toThrow(TypeError)
    }
    await failure(() => writer.sealRecord(sample(5), { log: '\ud800', after: 'start' }), 'invalid-text')
    await failure(() => reader.openRecord(one, { log: `${LOG}\n`, after: 'start' }), 'invalid-text')
    // To seal, somebody must know what stands before.
    await expect(writer.sealRecord(sample(5), UNCHECKED as never)).rejects.toThrow(TypeError)
    await expect(writer.sealRecord('text' as never, START)).rejects.toThrow(TypeError)
    await expect(reader.openRecord('text' as never, START)).rejects.toThrow(TypeError)
    await failure(() => reader.openRecord(one, behind(new Uint8Array(7))), 'malformed')
    await failure(() => reader.openRecord(one, behind(new Uint8Array(300))), 'malformed')
    await failure(() => writer.sealRecord(sample(5), behind(new Uint8Array(7))), 'malformed')
  })

  it('follow the flag of a damaged record, whose hash is not checked', async () => {
    const [one] = (await bytes()) as [Uint8Array]
    const place = { sequence: 2, number: 2, previous: sample(32) }
    const past = await forgeRecord(writer, { ...place, isAfterDamage: true }, sample(5))
    expect(fieldsOf(past).flags).toBe(12)
    expectSame((await reader.openRecord(past, behind(one))).content, sample(5))
    await failure(() => reader.openRecord(past, START), 'authentication-failed')
    // Everything else is checked as ever.
    const elsewhere = [{ epoch: 1 }, { sequence: 3 }, { number: 3 }]
    for (const other of elsewhere) {
      const moved = await forgeRecord(writer, { ...place, isAfterDamage: true, ...other }, sample(5))
      await failure(() => reader.openRecord(moved, behind(one)), 'authentication-failed')
    }
    const without = await forgeRecord(writer, place, sample(5))
    await failure(() => reader.openRecord(without, behind(one)), 'authentication-failed')
  })

  it('have a last possible number, behind which there is no other', async () => {
    const last = Number.MAX_SAFE_INTEGER
    for (const place of [{ number: last }, { number: 7, sequence: last }]) {
      const record = await forgeRecord(writer, place, sample(5))
      await failure(() => writer.sealRecord(sample(5), behind(record)), 'limit-exceeded')
    }
    const [, two] = (await bytes()) as [Uint8Array, Uint8Array]
    for (const [offset, field] of [
      [48, [0, 0, 0, 0, 0, 0, 0, 0]],
      [48, [0, 32, 0, 0, 0, 0, 0, 0]],
      [56, [0, 0, 0, 0, 0, 0, 0, 0]],
      [56, [0, 32, 0, 0, 0, 0, 0, 0]],
    ] as const) {
      await failure(() => reader.openRecord(patched(two, offset, field), UNCHECKED), 'malformed')
    }
  })

  it('of a later release or of 0.2 are unsupported', async () => {
    const [one] = (await bytes()) as [Uint8Array]
    const changes: [offset: number, patch: number[]][] = [
      [4, [2]],
      [5, [4]],
      [6, [2, 1]],
      [12, [0, 0, 0, 0]],
      [12, [0, 0, 0, 9 + 2]],
      [12, [0, 0, 0, 24]],
      [12, [1, 0, 0, 8]],
    ]
    for (const [offset, patch] of changes) {
      await failure(() => reader.openRecord(patched(one, offset, patch), UNCHECKED), 'unsupported')
    }
  })
})

it('a record has at most 64 MiB', async () => {
  for (const keys of [owner, vaultOf(1)]) {
    const { record } = await keys.sealRecord(sample(5), START)
    const large = await failure(() => keys.sealRecord(new Uint8Array(64 * 2 ** 20 + 1), START), 'limit-exceeded')
    expect(large.detail).toEqual({ object: 'record', bytes: 64 * 2 ** 20 + 1 })
    const stored = new Uint8Array(64 * 2 ** 20 + 4097)
    stored.set(record)
    expect((await failure(() => keys.openRecord(stored, UNCHECKED), 'limit-exceeded')).detail).toEqual({
      object: 'record',
      bytes: stored.length,
    })
    await failure(() => keys.openRecord(stored.subarray(1), UNCHECKED), 'malformed')
  }
})

describe('records of a keyset', () => {
  it('open from every export', async () => {
    const [one, two] = (await chain(owner, 2)) as [SealedRecord, SealedRecord]
    for (const destination of ['host', 'definition', 'storage'] as const) {
      using keyset = await quickly(() => unlockKeyset(owner.export(destination), PASSWORD))
      expectSame((await keyset.openRecord(one.record, START)).content, sample(50, 1))
      expectSame((await keyset.openRecord(two.record, behind(one.record))).content, sample(51, 2))
    }
  })

  it('are always encrypted, even if blocks are not', async () => {
    const plain = await quickKeyset({ encryption: 'none' })
    const suites: Record<string, unknown> = {}
    for (const encryption of ['hybrid', 'x25519', 'none'] as const) {
      const { record } = await openWriter(plain.export('host'), { encryption }).sealRecord(sample(10), START)
      suites[encryption] = fieldsOf(record).suite
      expect((await plain.openRecord(record, START)).content).toEqual(sample(10))
      expect(Buffer.from(record).includes(Buffer.from(sample(10)))).toBe(false)
    }
    expect(suites).toEqual({ hybrid: 0x0102, x25519: 0x0101, none: 0x0102 })
  })

  it('are refused if weaker than the minimum of the keyset, unless the caller accepts that', async () => {
    const weak = await quickKeyset({ encryption: 'x25519' })
    const { record } = await openWriter(weak.export('host'), { encryption: 'x25519' }).sealRecord(sample(5), START)
    expectSame((await weak.openRecord(record, START)).content, sample(5))
    const strict = weak.regenerate({ encryption: 'hybrid' })
    // Under the old pair, whose minimum it meets, it still opens.
    expectSame((await strict.openRecord(record, START)).content, sample(5))
    const host = openWriter(strict.export('host'))
    // A writer refuses to be weaker, so another program chooses the suite.
    expect(() => openWriter(strict.export('host'), { encryption: 'x25519' })).toThrow()
    const { record: strong } = await host.sealRecord(sample(5), START)
    const weakened = patched(Buffer.concat([strong.subarray(0, 144), strong.subarray(144 + 1568)]), 7, [1])
    await failure(() => strict.openRecord(weakened, UNCHECKED), 'authentication-failed', 'policy')
  })

  it('follow the record that was verified, even if another thread changes its memory meanwhile', async () => {
    const [{ record }] = (await chain(owner, 1)) as [SealedRecord]
    const shared = new Uint8Array(new SharedArrayBuffer(record.length))
    shared.set(record)
    const backend = backends[0]!
    const racing: Backend = {
      ...backend,
      hash(hash, parts) {
        // The first two are of the log's name and of the content, before the other record is read.
        if (hashes++ === 2) shared.fill(0)
        return backend.hash(hash, parts)
      },
    }
    let hashes = 0
    const next = await withBackend(racing, () => owner.sealRecord(sample(5), behind(shared)))
    expect(shared[0]).toBe(0)
    expectSame((await owner.openRecord(next.record, behind(record))).content, sample(5))
  })

  it('are not those of its shares, and the other way round', async () => {
    const share = sharedOwner.share(shareId)
    const own = await sharedOwner.sealRecord(sample(5), START)
    const shared = await share.sealRecord(sample(5), START)
    await failure(() => share.sealRecord(sample(5), behind(own.record)), 'key-not-found')
    await failure(() => sharedOwner.sealRecord(sample(5), behind(shared.record)), 'key-not-found')
    await failure(() => sharedOwner.openRecord(shared.record, UNCHECKED), 'key-not-found')
    const { reader } = doors.find(({ writer }) => 'invite' in writer)!
    await failure(() => reader.openRecord(own.record, UNCHECKED), 'key-not-found')
    await failure(
      () => openWriter(sharedOwner.export('host')).share('0'.repeat(32)).sealRecord(sample(1), START),
      'key-not-found',
    )
  })

  it('that are forged by somebody who has the card alone are refused', async () => {
    // The public keys are in the keyset's own halves; the signature is of another keyset's source.
    const forger = stranger
    const honest = (await owner.sealRecord(sample(5), START)).record
    const theirs = (await forger.sealRecord(sample(5), START)).record
    const pasted = Buffer.concat([honest.subarray(0, -64), theirs.subarray(-64)])
    await failure(() => owner.openRecord(pasted, UNCHECKED), 'authentication-failed')
    await failure(() => owner.sealRecord(sample(5), behind(pasted)), 'authentication-failed')
  })
})

describe('records of an adopted keyset', () => {
  it('open, and nothing follows them', async () => {
    const old = await quickKeyset()
    const [one, two] = (await chain(old, 2)) as [SealedRecord, SealedRecord]
    using adopter = (await quickKeyset()).adopt(old)
    expectSame((await adopter.openRecord(one.record, START)).content, sample(50, 1))
    expectSame((await adopter.openRecord(two.record, behind(one.record))).content, sample(51, 2))
    await failure(() => adopter.sealRecord(sample(5), behind(two.record)), 'authentication-failed')
    const own = await adopter.sealRecord(sample(5), START)
    await failure(() => adopter.openRecord(two.record, behind(own.record)), 'authentication-failed')
    using forgotten = adopter.forgetRetired('unchecked')
    await failure(() => forgotten.openRecord(one.record, UNCHECKED), 'key-not-found')
  })
})

describe('records of a vault', () => {
  it('open on another device, and after the password has changed', async () => {
    await quickly(async () => {
      const store = memoryStateStore()
      const login = await deriveLogin(PASSWORD, ALICE)
      const { profile, vault } = await createProfile(login, { zeroTrust: true }).createVault(store)
      const { record } = await vault.sealRecord(sample(50), START)
      const again = await profile.openVault(store, vault.id)
      expectSame((await again.openRecord(record, START)).content, sample(50))
    })
  })

  it('of another vault under the same data key are refused', async () => {
    const { record } = await vaultOf(1).sealRecord(sample(5), START)
    await failure(() => vaultOf(2).openRecord(record, UNCHECKED), 'key-not-found')
  })
})

describe('the scopes without records', () => {
  it('say so: anybody can write public blocks, and DES-56 protects nothing', async () => {
    const modern = await clientOf('AES-256', 'modern')
    const legacy = await quickly(() =>
      deriveLegacyClient({
        ...{ realm: 'tests', account: 'acme', name: 'old', platform: 'windows' },
        privateKey: { type: 'DES-56', text: 'asigra56' },
        dangerouslyAllowDes: true,
      }),
    )
    const { record } = await modern.scope('private').sealRecord(sample(5), START)
    for (const scope of [modern.scope('public'), legacy.scope('private'), legacy.scope('public')]) {
      expect((await failure(() => scope.sealRecord(sample(5), START), 'policy')).detail).toEqual({ rule: 'records' })
      expect((await failure(() => scope.openRecord(record, START), 'policy')).detail).toEqual({ rule: 'records' })
    }
  })

  it('are not the private and the account scope, which do not read each other', async () => {
    const client = await clientOf('AES-256', 'modern')
    const [mine, shared] = [client.scope('private'), client.scope('account')]
    const { record } = await mine.sealRecord(sample(5), START)
    await failure(() => shared.openRecord(record, START), 'key-not-found')
    const { record: ours } = await shared.sealRecord(sample(5), START)
    await failure(() => mine.openRecord(ours, START), 'key-not-found')
  })
})

describe('handles', () => {
  it('that were disposed of neither seal nor open', async () => {
    const created = await createKeyset(PASSWORD, { costs: CHEAP })
    const { keyset, share } = created.createShare()
    const host = openWriter(keyset.export('host'))
    const ofHost = host.share(share.id)
    const accepted = stranger.acceptShare(share.invite(stranger.card()), keyset.card())
    const vault = vaultOf(9)
    const client = await clientOf('AES-256', 'short-lived')
    const scopes = [client.scope('private'), client.scope('account')]
    const { record } = await keyset.sealRecord(sample(5), START)
    for (const each of [host, accepted, share, keyset, vault, client]) each.dispose()
    const writers: RecordWriter[] = [keyset, share, host, ofHost, vault, ...scopes]
    for (const writer of writers) await failure(() => writer.sealRecord(sample(5), START), 'disposed')
    const readers: RecordReader[] = [keyset, accepted, vault, ...scopes]
    for (const reader of readers) await failure(() => reader.openRecord(record, START), 'disposed')
  })
})
