// Row 24. The thief broke into a host and has its export, with which it appends to logs as the host does; it also writes
// to the store whatever it likes, and hides what is there. It wants a log to lose records, or to hold its own in places
// where the owner would believe them.
import { describe, expect, it } from 'vitest'
import { Suite } from '../../src/core/suite.ts'
import { Recipient } from '../../src/core/key-pairs.ts'
import { openLog, openWriter } from '../../src/index.ts'
import { recordKeysFrom } from '../../src/keyset/signed-record.ts'
import { sign } from '../../src/primitives/signature.ts'
import { encodeClose, encodeSealOff } from '../../src/state/marker.ts'
import { logIdOf, type RecordFields } from '../../src/state/record-layout.ts'
import { withoutPauses } from '../pauses.ts'
import { all, failure, sample } from '../fixtures.ts'
import {
  appendAll,
  bytesOf,
  epochName,
  fieldsOf,
  filled,
  forgeRecord,
  LOG,
  LOG_ID,
  logIn,
  OpenStore,
  owner,
  POINTER,
  sha256,
  stranger,
  textOf,
  textsIn,
} from '../state/log-fixtures.ts'
import { insides, quickKeyset } from './known.ts'

withoutPauses()

const thief = openWriter(owner.export('host'))
const log = (store: OpenStore, keys = owner) => logIn(store, keys)
const honest = (texts: readonly string[], keys = owner) => filled(texts, keys)
const last = Number.MAX_SAFE_INTEGER

/** Reads everything that can be read. */
const readable = (store: OpenStore) => textsIn(log(store), { onDamaged: () => undefined })

/** Appends bytes as a host can, whatever they are. */
const put = (store: OpenStore, bytes: Uint8Array, name = epochName(0)) =>
  store.write(name, store.newest(name) + 1, bytes)

/** Signs a close or a seal-off with all keys of the host export, and a card key of the thief's own. */
function forgeMarker(fields: Partial<RecordFields>, content: Uint8Array): Uint8Array {
  const { id, sourceSigning, blockPair, cardSigningKey } = insides(owner)
  const keys = recordKeysFrom({
    ownerId: id,
    signers: () => ({ sourceSigning: sourceSigning.publicKey, cardSigning: cardSigningKey }),
    adopted: () => undefined,
    isAdopted: () => false,
    writer: { recipient: new Recipient(blockPair.publicHalves), suite: Suite.hybrid, signing: () => sourceSigning },
    cardSigner: () => (message) => sign(insides(stranger).additional!.cardSigning.seed, message),
  })
  const whole = { kind: 'seal-off', epoch: 0, id: sample(16), isAfterDamage: false, ...fields } as RecordFields
  return keys.marker!()(whole, logIdOf(LOG), content)
}

describe('a thief of a host export, who also writes to the store, wants a log to lose records', () => {
  it('hides the end of the log: whoever kept a position notices', async () => {
    const { store, positions } = await honest(['1', '2', '3'])
    store.lose(epochName(0), 3)
    // Without a position the shorter log is a log: so keep one.
    expect(textOf((await log(store).last())!.content)).toBe('2')
    const atLeast = positions[2]!
    await failure(() => log(store).last({ atLeast }), 'rollback')
    await failure(() => all(log(store).read({ atLeast })), 'rollback')
    await failure(() => log(store).reseal({ atLeast }), 'rollback')
    // Filling the gap with a record of its own does not help.
    await openLog(store, LOG, thief).append(bytesOf('3'))
    await failure(() => log(store).last({ atLeast }), 'forked')
    await failure(() => log(store).reseal({ atLeast }), 'forked')
  })

  it('offers an older copy of a resealed log: whoever kept a position notices', async () => {
    const { store, positions } = await honest(['1', '2'])
    const older = store.copy()
    await log(store).reseal({ atLeast: positions[1]!, leaveOut: [positions[0]!] })
    const third = await log(store).append(bytesOf('3'))
    await failure(() => log(older).last({ atLeast: third }), 'rollback')
    // What the owner left out is in the older copy. A position that came later tells them apart.
    expect(await textsIn(log(older))).toEqual(['1', '2'])
  })

  it('replaces resealed copies, and destroys the close behind them: readers report that', async () => {
    const destroyed: ((store: OpenStore, previous: Uint8Array) => Promise<void> | void)[] = [
      (store) => store.set(epochName(1), 2, sample(200)),
      (store) => store.set(epochName(1), 2, new Uint8Array(0)),
      (store) => store.lose(epochName(1), 2),
      async (store, previous) => {
        const fields = { epoch: 1, sequence: 2, number: 2, previous }
        store.set(epochName(1), 2, await forgeRecord(thief, fields, bytesOf('planted')))
      },
      (store, previous) => {
        const former = [{ epoch: 0, count: 2, last: { number: 2, id: sample(16) }, leftOut: [{ first: 1, last: 1 }] }]
        const payload = encodeClose({ former, last: { number: 2, id: sample(16) } })
        store.set(epochName(1), 2, forgeMarker({ kind: 'close', epoch: 1, sequence: 2, number: 2, previous }, payload))
      },
    ]
    for (const destroy of destroyed) {
      const { store, positions } = await honest(['1', '2'])
      await log(store).reseal({ atLeast: positions[1]!, leaveOut: [positions[0]!] })
      await log(store).append(bytesOf('3'))
      const copy = await forgeRecord(thief, { epoch: 1, number: 2, id: sample(16, 9) }, bytesOf('planted'))
      store.set(epochName(1), 1, copy)
      await destroy(store, sha256(copy))
      const error = await failure(() => all(log(store).read()), 'authentication-failed', 'malformed', 'missing')
      expect(error.detail).toMatchObject({ epoch: 1, version: 2 })
      // A position shows it too, whatever became of the close.
      await failure(() => log(store).last({ atLeast: positions[1]! }), 'forked')
    }
  })

  it('forges a seal-off that leads to an epoch of its own: it is damage, and the log goes on', async () => {
    const { store, positions } = await honest(['1', '2'])
    const previous = sha256(store.at(epochName(0), 2))
    const copy = await forgeRecord(thief, { epoch: 1 }, bytesOf('mine'))
    const former = [{ epoch: 0, count: 2, last: { number: 1, id: sample(16) }, leftOut: [{ first: 2, last: 2 }] }]
    const close = forgeMarker(
      { kind: 'close', epoch: 1, sequence: 2, number: 2, previous: sha256(copy) },
      encodeClose({ former, last: { number: 1, id: sample(16) } }),
    )
    await put(store, copy, epochName(1))
    await put(store, close, epochName(1))
    await put(store, forgeMarker({ sequence: 3, number: 2, previous }, encodeSealOff({ epoch: 1, sequence: 2 })))
    await put(store, Uint8Array.of(0, 0, 0, 1), POINTER)
    for (const keys of [owner, thief]) {
      const position = await openLog(store, LOG, keys).append(bytesOf('more'))
      expect(await textsIn(log(store), { atLeast: position, onDamaged: () => undefined })).toContain('more')
    }
    expect(await readable(store)).toEqual(['1', '2', 'more', 'more'])
    for (const position of positions) await log(store).last({ atLeast: position })
    const bytes = store.at(epochName(0), 3)
    await failure(() => owner.openRecord(bytes, { log: LOG, after: 'unchecked' }), 'authentication-failed')
    await failure(() => owner.openRecord(close, { log: LOG, after: 'unchecked' }), 'authentication-failed')
    // The owner reseals around it.
    await log(store).reseal({ atLeast: positions[1]!, leaveOut: [`3-${'0'.repeat(32)}`] })
    expect(await textsIn(log(store))).toEqual(['1', '2', 'more', 'more'])
  })

  it('writes a close or a seal-off of the owner again elsewhere: they hold in one place', async () => {
    const { store, positions } = await honest(['1', '2'])
    await log(store).reseal({ atLeast: positions[1]!, leaveOut: [positions[0]!] })
    const [sealOff, close] = [store.at(epochName(0), 3), store.at(epochName(1), 2)]
    for (const marker of [sealOff, close]) await put(store, marker, epochName(1))
    const position = await log(store).append(bytesOf('5'))
    expect(position.split('-')[0]).toBe('5')
    expect(await readable(store)).toEqual(['2', '5'])
    // In another log of the same owner, at the same place.
    const other = openLog(store, 'other', owner)
    await appendAll(other, 'a', 'b')
    const [name] = [...store.objects.keys()].filter((each) => each.endsWith('/0') && each !== epochName(0))
    await put(store, sealOff, name)
    expect((await other.append(bytesOf('c'))).split('-')[0]).toBe('4')
    expect(await textsIn(other, { onDamaged: () => undefined })).toEqual(['a', 'b', 'c'])
  })

  it('appends behind a seal-off, where nobody reads: other hosts do not follow it there', async () => {
    for (const isDropped of [true, false]) {
      const { store, positions } = await honest(['1', '2'])
      const host = log(store)
      await host.last()
      // A store that refuses to delete keeps the whole old epoch.
      if (!isDropped) store.drop = async () => undefined
      await log(store).reseal({ atLeast: positions[1]!, leaveOut: [positions[0]!] })
      const previous = sha256(store.at(epochName(0), 3))
      await put(store, await forgeRecord(thief, { sequence: 4, number: 4, previous }, bytesOf('bait')))
      store.objects.delete(POINTER)
      for (const each of [log(store), host]) {
        expect(textOf((await each.last())!.content)).not.toBe('bait')
        const position = await each.append(bytesOf('kept'))
        expect(await textsIn(log(store), { atLeast: position })).toContain('kept')
        store.objects.delete(POINTER)
      }
      for (let each = 0; each < 40; each++) await put(store, sample(10))
      store.objects.delete(POINTER)
      await log(store).append(bytesOf('kept too'))
      expect(await textsIn(log(store))).toEqual(['2', 'kept', 'kept', 'kept too'])
    }
  })

  it('fills the end with garbage: every append goes on behind it', async () => {
    const { store, positions } = await honest(['1'])
    const own = store.at(epochName(0), 1)
    const garbage = [new Uint8Array(0), sample(40), sample(2000), own, own.subarray(0, -1)]
    let kept = positions[0]!
    for (const bytes of garbage) {
      await put(store, bytes)
      kept = await log(store).append(bytesOf('kept'))
    }
    expect(await textsIn(log(store), { atLeast: kept, onDamaged: () => undefined })).toEqual([
      '1',
      ...garbage.map(() => 'kept'),
    ])
    const { position } = (await log(store).last())!
    expect(position).toBe(kept)
  })

  it('moves the pointer wherever it likes', async () => {
    const { store, positions } = await honest(['1', '2'])
    await log(store).reseal({ atLeast: positions[1]!, leaveOut: [positions[0]!] })
    for (const bytes of [[0, 0, 0, 0], [0, 0, 0, 7], [255, 255, 255, 255], [1], []]) {
      await put(store, Uint8Array.from(bytes), POINTER)
      expect(await textsIn(log(store))).toEqual(['2'])
    }
  })
})

describe('a thief of a host export, who also writes to the store, wants records to stand where they do not belong', () => {
  it('swaps two logs: no record of one is a record of the other', async () => {
    const store = new OpenStore()
    const [a, b] = [openLog(store, 'a', owner), openLog(store, 'b', owner)]
    await appendAll(a, 'a1', 'a2')
    const positions = await appendAll(b, 'b1', 'b2')
    const [first, second] = [...store.objects.keys()].filter((name) => name.endsWith('/0')) as [string, string]
    const [versions, others] = [store.versionsOf(first), store.versionsOf(second)]
    store.objects.set(first, others).set(second, versions)
    for (const name of ['a', 'b']) {
      const fresh = openLog(store, name, owner)
      await failure(() => all(fresh.read()), 'authentication-failed')
      expect(await textsIn(fresh, { onDamaged: () => undefined })).toEqual([])
      expect(await fresh.last()).toBeUndefined()
    }
    await failure(() => openLog(store, 'b', owner).last({ atLeast: positions[1]! }), 'authentication-failed')
  })

  it('replays records at another sequence, in another epoch and in another log', async () => {
    const { store, positions } = await honest(['1', '2', '3'])
    const old = [1, 2, 3].map((version) => store.at(epochName(0), version))
    await log(store).reseal({ atLeast: positions[2]!, leaveOut: [positions[0]!] })
    const current = [1, 2].map((version) => store.at(epochName(1), version))
    for (const record of [...old, ...current]) await put(store, record, epochName(1))
    const position = await log(store).append(bytesOf('kept'))
    expect(position.split('-')[0]).toBe('9')
    expect(await readable(store)).toEqual(['2', '3', 'kept'])
    const { store: other } = await honest(['a', 'b'], stranger)
    for (const record of old) await put(other, record)
    expect(await textsIn(log(other, stranger), { onDamaged: () => undefined })).toEqual(['a', 'b'])
  })

  it('lets numbers jump, to lock everybody out: such a record is damage', async () => {
    const jumps: Partial<RecordFields>[] = [
      { number: last },
      { number: 4 },
      { number: 2 },
      { sequence: last, number: last },
      { sequence: 4, number: 4 },
      { epoch: 0xffffffff },
      { epoch: 1 },
    ]
    for (const jump of jumps) {
      const { store, positions } = await honest(['1', '2'])
      const previous = sha256(store.at(epochName(0), 2))
      await put(store, await forgeRecord(thief, { sequence: 3, number: 3, previous, ...jump }, bytesOf('jump')))
      const position = await log(store).append(bytesOf('kept'))
      expect(position.split('-')[0]).toBe('4')
      expect(await readable(store)).toEqual(['1', '2', 'kept'])
      await log(store).reseal({ atLeast: positions[1]!, leaveOut: [`3-${'0'.repeat(32)}`] })
      expect(await textsIn(log(store), { atLeast: position })).toEqual(['1', '2', 'kept'])
    }
  })

  it('takes epochs that the owner would use next: the owner uses another one', async () => {
    const { store, positions } = await honest(['1', '2'])
    for (const epoch of [1, 2]) {
      await put(store, await forgeRecord(thief, { epoch }, bytesOf('mine')), epochName(epoch))
    }
    await log(store).reseal({ atLeast: positions[1]!, leaveOut: [positions[0]!] })
    expect(fieldsOf(store.at(epochName(3), 1)).epoch).toBe(3)
    expect(await textsIn(log(store))).toEqual(['2'])
  })

  it('writes late, while the owner takes the log away from it: upTo keeps that out', async () => {
    const { store, positions } = await honest(['1', '2'])
    const stolen = openLog(store, LOG, thief)
    await stolen.append(bytesOf('late'))
    const fresh = await quickKeyset()
    const adopter = fresh.adopt(owner)
    let late = 0
    store.beforeWrite = async (name) => {
      if (late > 0 || name !== epochName(0)) return
      late++
      await stolen.append(bytesOf('later'))
    }
    await log(store, adopter).reseal({ atLeast: positions[1]!, upTo: positions[1]! })
    expect(late).toBe(1)
    const forgotten = adopter.forgetRetired('unchecked')
    for (const keys of [adopter, forgotten]) expect(await textsIn(log(store, keys))).toEqual(['1', '2'])
    // From now on it cannot append.
    await failure(() => stolen.append(bytesOf('latest')), 'policy')
    await failure(() => openLog(store, LOG, thief).append(bytesOf('latest')), 'policy')
    const position = await log(store, forgotten).append(bytesOf('5'))
    const planted = { epoch: 1, sequence: 5, number: 6, previous: sha256(store.at(epochName(1), 4)) }
    await put(store, await forgeRecord(thief, planted, bytesOf('planted')), epochName(1))
    expect((await log(store, forgotten).last())!.position).toBe(position)
    await failure(() => all(log(store, adopter).read()), 'authentication-failed')
    expect(await textsIn(log(store, adopter), { onDamaged: () => undefined })).toEqual(['1', '2', '5'])
    // The owner reseals around it, and with the same upTo as before: what was appended since then stays.
    const options = { atLeast: position, upTo: positions[1]! }
    const error = await failure(() => log(store, adopter).reseal(options), 'authentication-failed')
    expect(error.detail).toMatchObject({ epoch: 1, version: 5 + 1, position: `6-${'0'.repeat(32)}` })
    const again = await log(store, adopter).reseal({ ...options, leaveOut: [String(error.detail['position'])] })
    expect(again.position).toBe(position)
    expect(await textsIn(log(store, forgotten))).toEqual(['1', '2', '5'])
  })

  it('cannot append to another owner’s log: the error is `policy`', async () => {
    const { store } = await honest(['1'])
    const error = await failure(() => log(store, stranger).append(bytesOf('x')), 'policy')
    expect(error.detail).toEqual({ rule: 'log-owner', log: LOG_ID })
  })
})
