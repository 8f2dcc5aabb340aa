// Resealing logs beside hosts that append, other owners and kills (SPEC §7.4).
import { describe, expect, it } from 'vitest'
import { openLog, openWriter } from '../../src/index.ts'
import { readClose } from '../../src/state/marker.ts'
import { withoutPauses } from '../pauses.ts'
import { all, failure, sample } from '../fixtures.ts'
import {
  appendAll,
  bytesOf,
  cheap,
  epochName,
  fieldsOf,
  filled,
  LOG,
  LOG_ID,
  logIn,
  OpenStore,
  POINTER,
  quickKeyset,
  textOf,
  textsIn,
} from './log-fixtures.ts'

withoutPauses()

class Killed extends Error {}

const closeOf = async (store: OpenStore, epoch: number, version: number) =>
  readClose((await cheap.openRecord(store.at(epochName(epoch), version), { log: LOG, after: 'unchecked' })).content)

describe('upTo', () => {
  it('takes over nothing behind it, whoever wrote it, and keeps what is appended later', async () => {
    const { store, log, positions } = await filled(['1', '2', 'late', 'later'])
    const upTo = positions[1]!
    const done = await log.reseal({ atLeast: upTo, upTo })
    expect(done).toEqual({ position: upTo, copied: 2 })
    expect(await textsIn(logIn(store))).toEqual(['1', '2'])
    const fifth = await log.append(bytesOf('5'))
    expect(fifth.split('-')[0]).toBe('5')
    // The same call again, after a crash or by another machine, keeps what was appended since.
    const before = store.written.length
    for (const each of [log, logIn(store)])
      expect(await each.reseal({ atLeast: upTo, upTo })).toEqual({ position: fifth, copied: 0 })
    expect(store.written.length).toBe(before)
    await log.reseal({ atLeast: upTo, upTo, leaveOut: [positions[0]!] })
    expect(await textsIn(logIn(store), { atLeast: fifth })).toEqual(['2', '5'])
    // Also if there was something else to leave out.
    for (const each of [log, logIn(store)]) await each.reseal({ atLeast: upTo, upTo, leaveOut: [positions[0]!] })
    expect(await textsIn(logIn(store), { atLeast: fifth })).toEqual(['2', '5'])
    // Positions that were left out are still known, also as the next upTo: then they cut at their place.
    for (const position of positions) await log.last({ atLeast: position })
    await log.reseal({ atLeast: fifth, upTo: positions[2]! })
    expect(await textsIn(logIn(store))).toEqual(['2', '5'])
  })

  it('keeps out what a thief appends while the log is resealed', async () => {
    const { store, log, positions } = await filled(['1', '2'])
    const thief = logIn(store)
    let late = 0
    store.beforeWrite = async (name) => {
      const isDue = late < 3 ? name === epochName(1) : late === 3 && name === epochName(0)
      if (!isDue) return
      const { beforeWrite } = store
      store.beforeWrite = () => undefined
      await thief.append(bytesOf(`late ${++late}`))
      store.beforeWrite = beforeWrite
    }
    await log.reseal({ atLeast: positions[1]!, upTo: positions[1]!, leaveOut: [positions[0]!] })
    expect(late).toBe(4)
    expect(await textsIn(logIn(store))).toEqual(['2'])
    const position = await log.append(bytesOf('7'))
    expect(position.split('-')[0]).toBe('7')
    expect(await textsIn(logIn(store), { after: positions[1]! })).toEqual(['7'])
  })

  it('and leaveOut may leave out everything', async () => {
    const { store, log, positions } = await filled(['1', '2'])
    await log.reseal({ atLeast: positions[1]!, leaveOut: positions })
    expect(await logIn(store).last()).toBeUndefined()
    expect(await textsIn(logIn(store), { atLeast: positions[1]! })).toEqual([])
    const position = await logIn(store).append(bytesOf('3'))
    expect(position.split('-')[0]).toBe('3')
    await log.reseal({ atLeast: position, leaveOut: [position] })
    expect(await log.last({ atLeast: position })).toBeUndefined()
  })
})

describe('the same upTo again, after the close of the first call was damaged', () => {
  /** Records 1 and 2 are kept, 3 is left out, and 4 is acknowledged after that. */
  async function cut() {
    const { store, log, positions } = await filled(['1', '2', 'late'])
    const options = { atLeast: positions[1]!, upTo: positions[1]! }
    await log.reseal(options)
    const fourth = await logIn(store).append(bytesOf('4'))
    return { store, positions, options, fourth }
  }

  const closePosition = `3-${'0'.repeat(32)}`
  const damages: [string, (store: OpenStore) => void, code: 'missing' | 'authentication-failed'][] = [
    ['rotten', (store) => store.rot(epochName(1), 3), 'authentication-failed'],
    ['lost', (store) => store.lose(epochName(1), 3), 'missing'],
  ]

  it.each(damages)('is refused if the close is %s, and no record is lost', async (_, damage, code) => {
    const { store, options, fourth } = await cut()
    damage(store)
    const error = await failure(() => logIn(store).reseal(options), code)
    expect(error.detail).toEqual({ position: closePosition, epoch: 1, version: 3, log: LOG_ID })
    const confirmed = { leaveOut: [closePosition] }
    const refused = await failure(() => logIn(store).reseal({ ...options, ...confirmed }), 'policy')
    expect(refused.detail).toEqual({ rule: 'up-to', upTo: options.upTo })
    expect(await textsIn(logIn(store), { atLeast: fourth, onDamaged: () => undefined })).toEqual(['1', '2', '4'])
    await logIn(store).reseal({ atLeast: fourth, ...confirmed })
    expect(await textsIn(logIn(store), { atLeast: fourth })).toEqual(['1', '2', '4'])
  })

  it('is refused if the log was resealed without upTo since, and no record is lost', async () => {
    const { store, options, fourth } = await cut()
    store.rot(epochName(1), 3)
    await logIn(store).reseal({ atLeast: fourth, leaveOut: [closePosition] })
    const error = await failure(() => logIn(store).reseal(options), 'policy')
    expect(error.detail).toEqual({ rule: 'up-to', upTo: options.upTo })
    expect(await textsIn(logIn(store), { atLeast: fourth })).toEqual(['1', '2', '4'])
    // A position whose next number was never left out is an upTo as any other, and so is a later one.
    const fifth = await logIn(store).append(bytesOf('5'))
    await logIn(store).reseal({ atLeast: fifth, upTo: fourth })
    expect(await textsIn(logIn(store))).toEqual(['1', '2', '4'])
  })

  it('is known from the new close if nothing was appended before that was written', async () => {
    const { store, log, positions } = await filled(['1', '2', 'late'])
    const options = { atLeast: positions[1]!, upTo: positions[1]! }
    await log.reseal(options)
    store.rot(epochName(1), 3)
    await logIn(store).reseal({ atLeast: positions[1]!, leaveOut: [closePosition] })
    const fourth = await logIn(store).append(bytesOf('4'))
    await logIn(store).reseal(options)
    expect(await textsIn(logIn(store), { atLeast: fourth })).toEqual(['1', '2', '4'])
  })

  it('cuts off what was never left out, although the close is damaged', async () => {
    const { store, log, positions } = await filled(['1', '2', '3'])
    await log.reseal({ atLeast: positions[2]!, leaveOut: [positions[0]!] })
    const [fourth = ''] = await appendAll(logIn(store), '4', 'late')
    store.rot(epochName(1), 3)
    for (const upTo of [fourth, positions[2]!])
      await logIn(store).reseal({ atLeast: upTo, upTo, leaveOut: [closePosition] })
    expect(await textsIn(logIn(store))).toEqual(['2', '3'])
  })
})

describe('what closes say', () => {
  it('is the whole line of former epochs, with every number that was left out', async () => {
    const { store, log, positions } = await filled(['1', '2', '3', '4', '5', '6'])
    await log.reseal({ atLeast: positions[0]!, leaveOut: [positions[1]!, positions[2]!, positions[5]!] })
    const seventh = await log.append(bytesOf('7'))
    await log.reseal({ atLeast: seventh, leaveOut: [positions[0]!] })
    const idOf = (position: string) => new Uint8Array(Buffer.from(position.split('-')[1]!, 'hex'))
    const at = (position: string) => ({ number: Number(position.split('-')[0]), id: idOf(position) })
    const former = [
      {
        epoch: 0,
        count: 6,
        last: at(positions[4]!),
        leftOut: [
          { first: 2, last: 3 },
          { first: 6, last: 6 },
        ],
      },
      { epoch: 1, count: 5, last: at(seventh), leftOut: [{ first: 1, last: 1 }] },
    ]
    expect(await closeOf(store, 2, 4)).toEqual({ former, last: at(seventh) })
    for (const [epoch, count] of [
      [0, 7],
      [1, 6],
    ] as const)
      expect([...store.versionsOf(epochName(epoch)).keys()]).toEqual([count])
  })

  it('a reseal that is given positions which are left out already does nothing', async () => {
    const { store, log, positions } = await filled(['1', '2', '3'])
    const options = { atLeast: positions[2]!, leaveOut: [positions[1]!] }
    await log.reseal(options)
    const before = store.written.length
    for (const each of [log, logIn(store)]) expect((await each.reseal(options)).copied).toBe(0)
    expect(store.written.length).toBe(before)
  })
})

describe('beside hosts that append', () => {
  it('loses nothing that was acknowledged, wherever they append', async () => {
    // The writes of one reseal: two copies, a close, the seal-off, the pointer.
    for (let at = 0; at < 5; at++) {
      const { store, log, positions } = await filled(['1', '2', '3'])
      const host = logIn(store)
      await host.last()
      let writes = 0
      let acknowledged: string | undefined
      store.beforeWrite = async () => {
        if (writes++ === at) acknowledged = await host.append(bytesOf('4'))
      }
      await log.reseal({ atLeast: positions[2]!, leaveOut: [positions[0]!] })
      expect(acknowledged?.split('-')[0]).toBe('4')
      for (const each of [log, host, logIn(store)])
        expect(await textsIn(each, { atLeast: acknowledged! })).toEqual(['2', '3', '4'])
    }
  })

  it('and with many of them at once', async () => {
    const { store, log, positions } = await filled(['start'])
    const hosts = Array.from({ length: 3 }, () => logIn(store))
    const appending = hosts.map(async (host, index) =>
      appendAll(host, ...[1, 2, 3, 4].map((each) => `${index} ${each}`)),
    )
    const resealing = log.reseal({ atLeast: positions[0]!, leaveOut: [positions[0]!] })
    const own = appendAll(log, 'own 1', 'own 2')
    const acknowledged = [...(await Promise.all(appending)).flat(), ...(await own)]
    await resealing
    const entries = await all(logIn(store).read())
    const expected = hosts.flatMap((_, index) => [1, 2, 3, 4].map((each) => `${index} ${each}`))
    expect(entries.map(({ content }) => textOf(content)).toSorted()).toEqual([...expected, 'own 1', 'own 2'].toSorted())
    expect(entries.map(({ position }) => position).toSorted()).toEqual(acknowledged.toSorted())
  })

  it('a reader that is in the old epoch goes on in the new one', async () => {
    const { store, log, positions } = await filled(['1', '2', '3', '4'])
    const reading = logIn(store).read()
    const next = async () => textOf(((await reading.next()).value as { content: Uint8Array }).content)
    const seen = [await next(), await next()]
    await log.reseal({ atLeast: positions[3]!, leaveOut: [positions[2]!] })
    await log.append(bytesOf('5'))
    for await (const { content } of reading) seen.push(textOf(content))
    expect(seen.filter((text) => text !== '3')).toEqual(['1', '2', '4', '5'].slice(0, seen.includes('3') ? 4 : 4))
  })

  it('an append whose answer was lost while the log was resealed is found in the new epoch', async () => {
    for (const answer of ['false', 'error'] as const) {
      const { store, log, positions } = await filled(['1', '2'])
      const host = logIn(store)
      let isLost = false
      store.beforeWrite = async (name, version, bytes) => {
        if (isLost || name !== epochName(0) || version !== 3) return undefined
        isLost = true
        store.set(name, version, bytes)
        await log.reseal({ atLeast: positions[1]!, leaveOut: [positions[0]!] })
        if (answer === 'false') return false
        throw new Error('socket hang up')
      }
      const position = await host.append(bytesOf('3'))
      expect(position.split('-')[0]).toBe('3')
      expect(await textsIn(logIn(store), { atLeast: position })).toEqual(['2', '3'])
    }
  })

  it('an append that was left out before its answer came is appended again', async () => {
    const { store, log, positions } = await filled(['1', '2'])
    let isLost = false
    store.beforeWrite = async (name, version, bytes) => {
      if (isLost || name !== epochName(0) || version !== 3) return undefined
      isLost = true
      store.set(name, version, bytes)
      await log.reseal({ atLeast: positions[1]!, upTo: positions[1]! })
      throw new Error('socket hang up')
    }
    const position = await logIn(store).append(bytesOf('3'))
    expect(position.split('-')[0]).toBe('4')
    expect(await textsIn(logIn(store), { atLeast: position })).toEqual(['1', '2', '3'])
  })
})

describe('a reseal that is killed', () => {
  it('at any write leaves a log in which everything is, and is finished by the next one', async () => {
    for (const when of ['before', 'after'] as const) {
      for (let at = 0; ; at++) {
        const { store, log, positions } = await filled(['1', '2', '3'])
        let writes = 0
        store.beforeWrite = (name, version, bytes) => {
          if (writes++ !== at) return undefined
          if (when === 'after') store.set(name, version, bytes)
          store.beforeWrite = () => {
            throw new Killed()
          }
          throw new Killed()
        }
        const options = { atLeast: positions[2]!, leaveOut: [positions[0]!] }
        const isKilled = await log.reseal(options).then(
          () => false,
          (error: unknown) => error instanceof Killed,
        )
        store.beforeWrite = () => undefined
        if (!isKilled) {
          expect(at).toBe(5)
          break
        }
        const fourth = await logIn(store).append(bytesOf('4'))
        for (const position of [...positions, fourth]) await logIn(store).last({ atLeast: position })
        expect((await textsIn(logIn(store))).filter((text) => text !== '1')).toEqual(['2', '3', '4'])
        await logIn(store).reseal(options)
        expect(await textsIn(logIn(store), { atLeast: fourth })).toEqual(['2', '3', '4'])
        // Nothing is left of epochs that were given up, and of former ones only their last version.
        const current = Math.max(
          ...[...store.objects.keys()]
            .map((name) => Number(name.split('/')[2] ?? 0))
            .filter((epoch) => store.newest(epochName(epoch)) > 0),
        )
        for (let epoch = 0; epoch < current; epoch++)
          expect(store.versionsOf(epochName(epoch)).size).toBeLessThanOrEqual(1)
      }
    }
  })

  it('at a drop is finished by the next one, even if that has nothing else to do', async () => {
    const { store, log, positions } = await filled(['1', '2', '3'])
    const drop = store.drop.bind(store)
    store.drop = async () => {
      throw new Killed()
    }
    const options = { atLeast: positions[2]!, leaveOut: [positions[0]!] }
    await expect(log.reseal(options)).rejects.toThrow(Killed)
    expect(store.versionsOf(epochName(0)).size).toBe(4)
    store.objects.delete(POINTER)
    store.drop = drop
    expect(await logIn(store).reseal(options)).toEqual({ position: positions[2], copied: 0 })
    expect([...store.versionsOf(epochName(0)).keys()]).toEqual([4])
    expect(store.newest(POINTER)).toBe(1)
  })

  it('leaves half an epoch, with or without a close, that nobody reads even if the pointer names it', async () => {
    for (const isClosed of [false, true]) {
      const { store, log, positions } = await filled(['1', '2', '3'])
      store.beforeWrite = (name, version) => {
        if (isClosed ? name === epochName(0) : version === 2) throw new Killed()
      }
      await expect(log.reseal({ atLeast: positions[2]!, leaveOut: [positions[0]!] })).rejects.toThrow(Killed)
      store.beforeWrite = () => undefined
      expect(store.newest(epochName(1))).toBe(isClosed ? 3 : 1)
      store.set(POINTER, 1, Uint8Array.of(0, 0, 0, 1))
      expect(await textsIn(logIn(store))).toEqual(['1', '2', '3'])
      const fourth = await logIn(store).append(bytesOf('4'))
      expect(fieldsOf(store.at(epochName(0), 4)).number).toBe(4)
      await logIn(store).reseal({ atLeast: fourth, leaveOut: [positions[1]!] })
      expect(fieldsOf(store.at(epochName(2), 1)).epoch).toBe(2)
      expect(await textsIn(logIn(store), { atLeast: fourth })).toEqual(['1', '3', '4'])
      expect(store.versionsOf(epochName(1)).size).toBe(1)
    }
  })
})

describe('two owners', () => {
  it('who reseal at once lose nothing, and leave out what either left out', async () => {
    for (let at = 0; at < 5; at++) {
      const { store, log, positions } = await filled(['1', '2', '3', '4'])
      let writes = 0
      store.beforeWrite = async () => {
        if (writes++ !== at) return
        await logIn(store).reseal({ atLeast: positions[3]!, leaveOut: [positions[1]!] })
        await logIn(store).append(bytesOf('5'))
      }
      await log.reseal({ atLeast: positions[3]!, leaveOut: [positions[0]!] })
      for (const each of [log, logIn(store)]) {
        const texts = await textsIn(each, { atLeast: positions[3]! })
        expect(texts).toEqual(['3', '4', '5'])
      }
    }
  })

  it('give way to whoever writes into the new epoch, and say so if that happens every time', async () => {
    const { store, log, positions } = await filled(['1', '2'])
    store.beforeWrite = async (name, version) => {
      if (name.startsWith(`${POINTER}/`) && name !== epochName(0) && version === 2) store.set(name, 2, sample(300))
    }
    const before = store.copy()
    await failure(() => log.reseal({ atLeast: positions[1]!, leaveOut: [positions[0]!] }), 'conflict')
    store.beforeWrite = () => undefined
    expect(store.versionsOf(epochName(0))).toEqual(before.versionsOf(epochName(0)))
    expect(await textsIn(logIn(store))).toEqual(['1', '2'])
    await log.reseal({ atLeast: positions[1]!, leaveOut: [positions[0]!] })
    expect(await textsIn(logIn(store))).toEqual(['2'])
  })
})

describe('a keyset', () => {
  it('reseals what is under a retired pair, and no suite gets weaker', async () => {
    const keyset = await quickKeyset({ encryption: 'x25519' })
    const store = new OpenStore()
    const [weak, strong] = (['x25519', 'hybrid'] as const).map((encryption) =>
      openLog(store, LOG, openWriter(keyset.export('host'), { encryption })),
    )
    await weak!.append(bytesOf('weak'))
    const position = await strong!.append(bytesOf('strong'))
    const regenerated = keyset.regenerate()
    const log = logIn(store, regenerated)
    expect((await log.reseal({ atLeast: position })).copied).toBe(2)
    const suitesIn = (epoch: number) => [1, 2].map((version) => fieldsOf(store.at(epochName(epoch), version)).suite)
    expect(suitesIn(1)).toEqual([0x0101, 0x0102])
    using forgotten = regenerated.forgetRetired('unchecked')
    expect(await textsIn(logIn(store, forgotten))).toEqual(['weak', 'strong'])
    const stricter = forgotten.regenerate({ encryption: 'hybrid' })
    expect((await logIn(store, stricter).reseal({ atLeast: position })).copied).toBe(2)
    expect(suitesIn(2)).toEqual([0x0102, 0x0102])
    expect((await logIn(store, stricter).reseal({ atLeast: position })).copied).toBe(0)
    // An old handle still reads the new records' places, and says which key is missing.
    await failure(() => logIn(store, keyset).last(), 'key-not-found')
  })
})
