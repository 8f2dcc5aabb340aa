// Logs in stores that hold damaged, forged or missing records (SPEC §7.4). Whatever is wrong, a log goes on, or says
// what is wrong and where; and nothing that was acknowledged is lost.
import { describe, expect, it } from 'vitest'
import { type Log, openWriter } from '../../src/index.ts'
import { withoutPauses } from '../pauses.ts'
import { all, failure, sample } from '../fixtures.ts'
import {
  bytesOf,
  closedTwice,
  epochName,
  fieldsOf,
  filled,
  forgeRecord,
  LOG_ID,
  logIn,
  OpenStore,
  owner,
  POINTER,
  sha256,
  textOf,
  textsIn,
} from './log-fixtures.ts'

withoutPauses()

const ZEROS = '0'.repeat(32)

/** Reads a log to its end. Returns the texts, and what was said about damaged records. */
async function readAll(log: Log, options: Parameters<Log['read']>[0] = {}) {
  const damaged: unknown[] = []
  const onDamaged: NonNullable<typeof options.onDamaged> = (error, position) => {
    expect(error.detail['position']).toBe(position)
    expect(error.detail['log']).toBe(LOG_ID)
    damaged.push([error.code, position, error.detail['epoch'], error.detail['version']])
  }
  return { texts: await textsIn(log, { ...options, onDamaged }), damaged }
}

/** What can stand at a version instead of its record. */
const spoilings: [string, (store: OpenStore, name: string, version: number) => void, code: string][] = [
  ['is empty', (store, name, version) => store.set(name, version, new Uint8Array(0)), 'malformed'],
  ['is rotten', (store, name, version) => store.rot(name, version), 'authentication-failed'],
  ['is cut', (store, name, version) => store.set(name, version, store.at(name, version).subarray(0, 200)), 'malformed'],
  ['is something else', (store, name, version) => store.set(name, version, sample(300)), 'malformed'],
  [
    'is another record of the log',
    (store, name, version) => store.set(name, version, store.at(name, version === 1 ? 2 : 1)),
    'authentication-failed',
  ],
]

describe.each(spoilings)('a record that %s', (_, spoil, code) => {
  it.each([1, 2, 3])('at version %d is named, and everything else is read', async (version) => {
    const { store, positions } = await filled(['1', '2', '3'])
    spoil(store, epochName(0), version)
    const log = logIn(store)
    const rest = ['1', '2', '3'].toSpliced(version - 1, 1)
    const { texts, damaged } = await readAll(log)
    expect(texts).toEqual(rest)
    expect(damaged).toEqual([[code, `${version}-${ZEROS}`, 0, version]])
    const error = await failure(() => all(log.read()), 'malformed', 'authentication-failed')
    expect(error.detail).toEqual({ position: `${version}-${ZEROS}`, epoch: 0, version, log: LOG_ID })
    expect(textOf((await log.last())!.content)).toBe(version === 3 ? '2' : '3')

    // Appending goes on behind it, and says so.
    const position = await log.append(bytesOf('4'))
    expect(position.split('-')[0]).toBe('4')
    expect(fieldsOf(store.at(epochName(0), 4))).toMatchObject({ sequence: 4, flags: version === 3 ? 12 : 8 })
    expect((await readAll(log, { after: position })).texts).toEqual([])
    expect((await readAll(logIn(store), { atLeast: position })).texts).toEqual([...rest, '4'])
    for (const [index, each] of positions.entries()) {
      const floor = () => logIn(store).last({ atLeast: each })
      if (index + 1 !== version) await floor()
      else expect((await failure(floor, 'malformed', 'authentication-failed')).detail['version']).toBe(version)
    }

    // Resealing asks what to do about it.
    const stuck = () => log.reseal({ atLeast: position, leaveOut: [position] })
    const why = await failure(stuck, 'malformed', 'authentication-failed')
    expect(why.detail).toEqual({ position: `${version}-${ZEROS}`, epoch: 0, version, log: LOG_ID })
    expect(store.newest(POINTER)).toBe(0)
    const { copied } = await log.reseal({ atLeast: position, leaveOut: [String(why.detail['position'])] })
    expect(copied).toBe(3)
    for (const reader of [log, logIn(store)]) expect(await textsIn(reader)).toEqual([...rest, '4'])
    for (const each of positions) if (each !== positions[version - 1]) await log.last({ atLeast: each })
  })
})

describe('a record that the store lost', () => {
  it.each([1, 2])('at version %d is named, and everything else is read', async (version) => {
    const { store, positions } = await filled(['1', '2', '3'])
    store.lose(epochName(0), version)
    const log = logIn(store)
    const rest = ['1', '2', '3'].toSpliced(version - 1, 1)
    const { texts, damaged } = await readAll(log)
    expect(texts).toEqual(rest)
    expect(damaged).toEqual([['missing', `${version}-${ZEROS}`, 0, version]])
    await failure(() => all(log.read()), 'missing')
    expect(textOf((await log.last())!.content)).toBe('3')
    await log.append(bytesOf('4'))
    expect((await readAll(logIn(store))).texts).toEqual([...rest, '4'])
    const atLeast = positions[2]!
    await failure(() => log.reseal({ atLeast, leaveOut: [positions[2]!] }), 'missing')
    await log.reseal({ atLeast, leaveOut: [`${version}-${ZEROS}`] })
    expect(await textsIn(logIn(store))).toEqual([...rest, '4'])
  })

  it('with others at the beginning of an epoch is named, and everything else is read', async () => {
    for (const epoch of [0, 1]) {
      const { store, log, positions } = await filled(['1', '2', '3', '4'])
      if (epoch === 1) await log.reseal({ atLeast: positions[3]!, leaveOut: [positions[0]!] })
      store.lose(epochName(epoch), 1, 2)
      const first = epoch === 0 ? ['1', '2'] : ['2', '3']
      const rest = epoch === 0 ? ['3', '4'] : ['4']
      const { texts, damaged } = await readAll(logIn(store))
      expect(texts).toEqual(rest)
      expect(damaged).toEqual(first.map((text, index) => ['missing', `${text}-${ZEROS}`, epoch, index + 1]))
      const position = await logIn(store).append(bytesOf('5'))
      expect((await readAll(logIn(store), { atLeast: position })).texts).toEqual([...rest, '5'])
      const leaveOut = first.map((text) => `${text}-${ZEROS}`)
      await logIn(store).reseal({ atLeast: position, leaveOut })
      expect(await textsIn(logIn(store))).toEqual([...rest, '5'])
    }
  })

  it('at the end is noticed by whoever knows its position', async () => {
    const { store, log, positions } = await filled(['1', '2', '3'])
    store.lose(epochName(0), 3)
    for (const each of [log, logIn(store)]) {
      const error = await failure(() => each.last({ atLeast: positions[2]! }), 'rollback')
      expect(error.detail).toEqual({ object: 'log', atLeast: positions[2]!, last: 2, log: LOG_ID })
      await failure(() => all(each.read({ after: positions[2]! })), 'rollback')
      await failure(() => all(each.read({ atLeast: positions[2]! })), 'rollback')
      await failure(() => each.reseal({ atLeast: positions[2]! }), 'rollback')
    }
    await logIn(store).append(bytesOf('another'))
    const error = await failure(() => log.last({ atLeast: positions[2]! }), 'forked')
    expect(error.detail).toEqual({ object: 'log', position: positions[2]! })
    await failure(() => log.reseal({ atLeast: positions[2]! }), 'forked')
    expect(store.written.length).toBe(4)
  })

  it('with all others of its epoch is missing, not an empty log', async () => {
    const { store, log, positions } = await filled(['1', '2'])
    await log.reseal({ atLeast: positions[1]!, leaveOut: [positions[0]!] })
    store.objects.delete(epochName(1))
    for (const each of [log, logIn(store)]) {
      for (const call of [() => each.last(), () => each.append(bytesOf('3')), () => all(each.read())]) {
        expect((await failure(call, 'missing')).detail).toEqual({ object: `log/${LOG_ID}/1`, log: LOG_ID, epoch: 1 })
      }
    }
    expect(store.written.filter(([name]) => name === epochName(1))).toHaveLength(2)
  })
})

/** A log that was resealed once. 2 was left out. Nothing was dropped if `dropped` is false. */
async function resealed(dropped: boolean) {
  const { store, log, positions } = await filled(['1', '2', '3'])
  if (!dropped) store.drop = async () => undefined
  await log.reseal({ atLeast: positions[2]!, leaveOut: [positions[1]!] })
  expect(store.versionsOf(epochName(0)).has(1)).toBe(!dropped)
  return { store, log, positions }
}

const pointers: [string, (store: OpenStore) => void][] = [
  ['right', () => undefined],
  ['lost', (store) => store.objects.delete(POINTER)],
  ['empty', (store) => store.set(POINTER, store.newest(POINTER) + 1, new Uint8Array(0))],
  ['too low', (store) => store.set(POINTER, store.newest(POINTER) + 1, Uint8Array.of(0, 0, 0, 0))],
  ['too high', (store) => store.set(POINTER, store.newest(POINTER) + 1, Uint8Array.of(0, 0, 0, 9))],
  ['as high as possible', (store) => store.set(POINTER, store.newest(POINTER) + 1, Uint8Array.of(255, 255, 255, 255))],
  ['too long', (store) => store.set(POINTER, store.newest(POINTER) + 1, Uint8Array.of(0, 0, 0, 1, 0))],
]

describe.each([
  ['dropped', true],
  ['still there', false],
] as const)('a resealed log whose old epoch is %s', (_, dropped) => {
  describe.each(pointers)('and whose pointer is %s', (name, point) => {
    // If nothing was dropped and no pointer names the new epoch, its owner may have been stopped before the seal-off.
    const isTold = dropped || ['right', 'too high', 'as high as possible'].includes(name)

    it('goes on in the new epoch', async () => {
      const { store, positions } = await resealed(dropped)
      point(store)
      expect(textOf((await logIn(store).last())!.content)).toBe('3')
      expect(await textsIn(logIn(store), { after: positions[0]!, atLeast: positions[2]! })).toEqual(['3'])
      const position = await logIn(store).append(bytesOf('4'))
      expect(position.split('-')[0]).toBe('4')
      expect(fieldsOf(store.at(epochName(1), 4))).toMatchObject({ number: 4, sequence: 4 })
      const { copied } = await logIn(store).reseal({ atLeast: position, leaveOut: [positions[0]!] })
      expect(copied).toBe(2)
      for (let each = 0; each < 2; each++) expect(await textsIn(logIn(store))).toEqual(['3', '4'])
      for (const each of [...positions, position]) await logIn(store).last({ atLeast: each })
    })

    if (isTold) {
      it('goes on in the new epoch if the seal-off is damaged', async () => {
        const { store, positions } = await resealed(dropped)
        point(store)
        store.rot(epochName(0), 4)
        for (const read of [() => logIn(store).last(), () => logIn(store).last({ atLeast: positions[1]! })])
          expect(textOf((await read())!.content)).toBe('3')
        const position = await logIn(store).append(bytesOf('4'))
        expect(fieldsOf(store.at(epochName(1), 4))).toMatchObject({ number: 4, sequence: 4 })
        expect(await textsIn(logIn(store), { atLeast: position })).toEqual(['1', '3', '4'])
        await logIn(store).reseal({ atLeast: position, leaveOut: [positions[0]!] })
        expect(await textsIn(logIn(store))).toEqual(['3', '4'])
        for (const each of [...positions, position]) await logIn(store).last({ atLeast: each })
      })
    } else {
      it('goes on in the old epoch, which has everything, if the seal-off is damaged', async () => {
        const { store } = await resealed(dropped)
        point(store)
        store.rot(epochName(0), 4)
        const damaged: string[] = []
        expect(await textsIn(logIn(store), { onDamaged: (_error, position) => damaged.push(position) })).toEqual([
          '1',
          '2',
          '3',
        ])
        expect(damaged).toEqual([`4-${ZEROS}`])
        const position = await logIn(store).append(bytesOf('4'))
        expect(textOf((await logIn(store).last({ atLeast: position }))!.content)).toBe('4')
        await logIn(store).reseal({ atLeast: position, leaveOut: [`4-${ZEROS}`] })
        expect(await textsIn(logIn(store))).toEqual(['1', '2', '3', '4'])
      })
    }

    it('goes on in the new epoch if the seal-off is damaged and somebody has appended since', async () => {
      const { store } = await resealed(dropped)
      await logIn(store).append(bytesOf('4'))
      point(store)
      store.rot(epochName(0), 4)
      const position = await logIn(store).append(bytesOf('5'))
      expect(await textsIn(logIn(store), { atLeast: position })).toEqual(['1', '3', '4', '5'])
    })

    it('goes on in the new epoch if there is garbage behind the seal-off', async () => {
      const { store, positions } = await resealed(dropped)
      point(store)
      for (const [index, garbage] of [new Uint8Array(0), sample(300), store.at(epochName(1), 1)].entries())
        await store.write(epochName(0), 5 + index, garbage)
      for (const isRotten of isTold ? [false, true] : [false]) {
        if (isRotten) store.rot(epochName(0), 4)
        expect(textOf((await logIn(store).last())!.content)).toBe('3')
        expect(await textsIn(logIn(store), { atLeast: positions[2]! })).toEqual(['1', '3'])
      }
      const position = await logIn(store).append(bytesOf('4'))
      expect(await textsIn(logIn(store), { atLeast: position })).toEqual(['1', '3', '4'])
    })

    it('goes on without its close, except for what only the close knows', async () => {
      const { store, positions } = await resealed(dropped)
      point(store)
      store.rot(epochName(1), 3)
      const damage = ['authentication-failed', `3-${ZEROS}`, 1, 3]
      expect(await readAll(logIn(store))).toEqual({ texts: ['1', '3'], damaged: [damage] })
      await failure(() => all(logIn(store).read()), 'authentication-failed')
      expect(textOf((await logIn(store).last())!.content)).toBe('3')
      const detail = { position: `3-${ZEROS}`, epoch: 1, version: 3, log: LOG_ID }
      for (const atLeast of positions.slice(1)) {
        const error = await failure(() => logIn(store).last({ atLeast }), 'authentication-failed')
        expect(error.detail).toEqual(detail)
      }
      const position = await logIn(store).append(bytesOf('4'))
      expect(textOf((await logIn(store).last({ atLeast: positions[2]! }))!.content)).toBe('4')
      expect(await readAll(logIn(store), { atLeast: position })).toEqual({ texts: ['1', '3', '4'], damaged: [damage] })
      const log = logIn(store)
      const refused = () => log.reseal({ atLeast: position, leaveOut: [positions[0]!] })
      expect((await failure(refused, 'authentication-failed')).detail).toEqual(detail)
      await log.reseal({ atLeast: position, leaveOut: [positions[0]!, detail.position] })
      expect(await textsIn(logIn(store))).toEqual(['3', '4'])
      for (const each of [...positions, position]) await logIn(store).last({ atLeast: each })
    })
  })
})

describe('copies that are damaged', () => {
  it('are named by their own numbers, also behind numbers that were left out', async () => {
    const { store, log, positions } = await filled(['1', '2', '3', '4', '5', '6'])
    await log.reseal({ atLeast: positions[5]!, leaveOut: [positions[1]!, positions[2]!] })
    // Copies: 1, 4, 5, 6; then the close.
    store.rot(epochName(1), 2)
    store.rot(epochName(1), 3)
    const fresh = logIn(store)
    const { texts, damaged } = await readAll(fresh)
    expect(texts).toEqual(['1', '6'])
    expect(damaged).toEqual([
      ['authentication-failed', `4-${ZEROS}`, 1, 2],
      ['authentication-failed', `5-${ZEROS}`, 1, 3],
    ])
    const error = await failure(
      () => fresh.reseal({ atLeast: positions[5]!, leaveOut: [`4-${ZEROS}`] }),
      'authentication-failed',
    )
    expect(error.detail).toEqual({ position: `5-${ZEROS}`, epoch: 1, version: 3, log: LOG_ID })
    await fresh.reseal({ atLeast: positions[5]!, leaveOut: [`4-${ZEROS}`, `5-${ZEROS}`] })
    expect(await textsIn(logIn(store))).toEqual(['1', '6'])
    for (const position of positions) expect(await textsIn(log, { atLeast: position })).toEqual(['1', '6'])
  })

  it.each([1, 2, 3])('at version %d are noticed by whoever begins right in front of them', async (version) => {
    const { store, log, positions } = await filled(['1', '2', '3', '4', '5'])
    await log.reseal({ atLeast: positions[4]!, leaveOut: [positions[0]!, positions[2]!] })
    // Copies: 2, 4, 5; then the close.
    store.rot(epochName(1), version)
    const number = [2, 4, 5][version - 1]!
    const rest = ['2', '4', '5'].filter((text) => text !== String(number))
    const damage = ['authentication-failed', `${number}-${ZEROS}`, 1, version]
    for (const [index, after] of [undefined, ...positions].entries()) {
      const options = after === undefined ? {} : { after }
      if (index === number) {
        const error = await failure(() => logIn(store).last({ atLeast: after! }), 'authentication-failed')
        expect(error.detail).toEqual({ position: `${number}-${ZEROS}`, epoch: 1, version, log: LOG_ID })
        await failure(() => all(logIn(store).read(options)), 'authentication-failed')
        continue
      }
      const { texts, damaged } = await readAll(logIn(store), options)
      expect(texts).toEqual(rest.filter((text) => Number(text) > index))
      expect(damaged).toEqual(index < number ? [damage] : [])
      // Only the chain from the last copy to the close shows that nobody has replaced that copy.
      const last = () => logIn(store).last({ atLeast: after ?? positions[0]! })
      if (version === 3) expect((await failure(last, 'authentication-failed')).detail['version']).toBe(3)
      else expect(textOf((await last())!.content)).toBe('5')
    }
  })

  it.each([3, 5])('are not closed any more if the close at version %d is damaged', async (version) => {
    const { store, positions } = await closedTwice(['1', '2', '3'])
    expect([1, 2, 3, 4, 5].map((each) => fieldsOf(store.at(epochName(1), each)).flags)).toEqual([8, 8, 9, 8, 9])
    store.rot(epochName(1), version)
    const fresh = logIn(store)
    // The last close says which copies there are. But through a damaged version it does not show that they are whole.
    const where = `${version === 3 ? 3 : 4}-${ZEROS}`
    const damaged = [['authentication-failed', where, 1, version]]
    expect(await readAll(fresh)).toEqual({ texts: ['2', '3', '4'], damaged })
    await fresh.append(bytesOf('5'))
    const leaveOut = [positions[1]!]
    const error = await failure(() => fresh.reseal({ atLeast: positions[2]!, leaveOut }), 'authentication-failed')
    expect(error.detail).toEqual({ position: where, epoch: 1, version, log: LOG_ID })
    await fresh.reseal({ atLeast: positions[2]!, leaveOut: [...leaveOut, where] })
    expect(await textsIn(logIn(store))).toEqual(['3', '4', '5'])
    expect(await textsIn(logIn(store), { after: positions[2]! })).toEqual(['4', '5'])
    await logIn(store).last({ atLeast: positions[1]! })
    // What the rotten close said is known from the gaps between the copies.
    await logIn(store).last({ atLeast: positions[0]! })
  })

  it('are passed by if a close of an earlier attempt and version 1 are lost too', async () => {
    const { store, positions, last } = await closedTwice(['1', '2', '3'])
    store.lose(epochName(1), 1, 3)
    let reads = 0
    const { readVersion } = store
    // Without pauses, a read without end would also keep the time limit of this test from running out.
    store.readVersion = async (name, version) => {
      if (++reads > 1000) throw new Error('a read never ends')
      return readVersion.call(store, name, version)
    }
    const close = ['missing', `3-${ZEROS}`, 1, 3]
    const damaged = [['missing', `2-${ZEROS}`, 1, 1], close]
    expect(await readAll(logIn(store))).toEqual({ texts: ['3', '4'], damaged })
    const options = { after: positions[1]!, atLeast: last }
    expect(await readAll(logIn(store), options)).toEqual({ texts: ['3', '4'], damaged: [close] })
  })

  it('do not hide that a store cuts off the log while it is read', async () => {
    const { store, log, positions } = await filled(['1', '2', '3', '4'])
    store.lose(epochName(0), 1, 3)
    const damaged: string[] = []
    const onDamaged = (_: unknown, position: string) => {
      damaged.push(position)
      store.lose(epochName(0), 4)
    }
    expect(await textsIn(log, { atLeast: positions[3]!, onDamaged })).toEqual(['2'])
    expect(damaged).toEqual([`1-${ZEROS}`, `3-${ZEROS}`, `4-${ZEROS}`])
  })
})

describe('the close at the start of an epoch', () => {
  const host = openWriter(owner.export('host'))
  const START = 4

  /** Copies with the numbers 2 to 4, in versions 1 to 3 of epoch 1, then the close, and a record behind it. */
  async function closed() {
    const { store, log, positions } = await filled(['1', '2', '3', '4'], owner)
    await log.reseal({ atLeast: positions[3]!, leaveOut: [positions[0]!] })
    const last = await log.append(bytesOf('5'))
    return { store, positions, last }
  }

  const lost: typeof spoilings = [['is lost', (store, name, version) => store.lose(name, version), 'missing']]
  it.each([...spoilings, ...lost])('that %s is reported, and the log stays readable', async (_, spoil, code) => {
    const { store, positions, last } = await closed()
    spoil(store, epochName(1), START)
    const where = `4-${ZEROS}`
    const fresh = () => logIn(store, owner)
    for (const options of [{}, { atLeast: last }, { after: positions[2]! }]) {
      const error = await failure(() => all(fresh().read(options)), code as 'missing')
      expect(error.detail).toEqual({ position: where, epoch: 1, version: START, log: LOG_ID })
    }
    // Whoever begins behind it does not need it.
    expect(await textsIn(fresh(), { after: positions[3]! })).toEqual(['5'])
    expect(await readAll(fresh())).toEqual({ texts: ['2', '3', '4', '5'], damaged: [[code, where, 1, START]] })
    expect((await fresh().last({ atLeast: last }))!.position).toBe(last)
    const next = await fresh().append(bytesOf('6'))

    // Resealing repairs it if it is told about what the reader has reported. Nothing is left out for it.
    const error = await failure(() => fresh().reseal({ atLeast: next }), code as 'missing')
    expect(error.detail).toEqual({ position: where, epoch: 1, version: START, log: LOG_ID })
    // The second call finds nothing to do.
    for (const copied of [5, 0]) {
      expect(await fresh().reseal({ atLeast: next, leaveOut: [where] })).toEqual({ position: next, copied })
      expect(await textsIn(fresh(), { atLeast: next })).toEqual(['2', '3', '4', '5', '6'])
      for (const position of positions) await fresh().last({ atLeast: position })
    }
  })

  it('is reported if it is damaged and there are no copies', async () => {
    const { store, log, positions } = await filled(['1', '2'], owner)
    await log.reseal({ atLeast: positions[1]!, leaveOut: positions })
    const last = await log.append(bytesOf('3'))
    store.rot(epochName(1), 1)
    const { texts, damaged } = await readAll(logIn(store, owner))
    expect([texts, damaged]).toEqual([['3'], [['authentication-failed', `2-${ZEROS}`, 1, 1]]])
    await logIn(store, owner).reseal({ atLeast: last, leaveOut: [`2-${ZEROS}`] })
    expect(await textsIn(logIn(store, owner), { atLeast: last })).toEqual(['3'])
  })

  it('cannot be replaced by a record of a host, before which the copies are replaced too', async () => {
    const { store, last } = await closed()
    for (let sequence = 1; sequence <= START; sequence++) {
      const previous = sequence === 1 ? new Uint8Array(32) : sha256(store.at(epochName(1), sequence - 1))
      const fields = { epoch: 1, sequence, number: Math.min(sequence + 1, 4), id: sample(16, sequence), previous }
      store.set(epochName(1), sequence, await forgeRecord(host, fields, bytesOf('planted')))
    }
    await failure(() => all(logIn(store, owner).read({ atLeast: last })), 'authentication-failed')
    const { texts, damaged } = await readAll(logIn(store, owner))
    expect(texts).toEqual(['planted', 'planted', 'planted', '5'])
    expect(damaged[0]).toEqual(['authentication-failed', `4-${ZEROS}`, 1, START])
  })
})
