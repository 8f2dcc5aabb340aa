// Which epoch a log goes on in, and which records count there, where reads are late, writes arrive late, and markers are
// damaged or were made by somebody who has the keys (SPEC §7.4).
import { describe, expect, it } from 'vitest'
import { encodeClose } from '../../src/state/marker.ts'
import { openWriter } from '../../src/index.ts'
import { failure, sample } from '../fixtures.ts'
import { withoutPauses } from '../pauses.ts'
import {
  appendAll,
  bytesOf,
  cheap,
  epochName,
  filled,
  forgeRecord,
  LOG_ID,
  logIn,
  OpenStore,
  POINTER,
  quickKeyset,
  sha256,
  textsIn,
} from './log-fixtures.ts'

withoutPauses()

const ZEROS = '0'.repeat(32)

/** Reads a log to its end. Returns the texts, and the positions of what is damaged. */
async function readAll(store: OpenStore, keys = cheap) {
  const damaged: string[] = []
  const texts = await textsIn(logIn(store, keys), { onDamaged: (_, position) => damaged.push(position) })
  return { texts, damaged }
}

/** A log whose epoch 1 has the records 2 and 3 and then its close. Of epoch 0 only the seal-off is left. */
async function resealed() {
  const { store, log, positions } = await filled(['1', '2', '3'])
  await log.reseal({ atLeast: positions[2]!, leaveOut: [positions[0]!] })
  return { store, log, positions }
}

describe('a new epoch', () => {
  it('that a store reads late is read again', async () => {
    const { store } = await resealed()
    const read = store.read.bind(store)
    for (const late of [2, 5]) {
      let left = late
      store.read = async (name) => (name === epochName(1) && left-- > 0 ? undefined : read(name))
      expect(await textsIn(logIn(store))).toEqual(['2', '3'])
    }
  })

  it('that the store lost is missing, and the log is not an older one', async () => {
    const { store } = await resealed()
    store.objects.delete(epochName(1))
    for (const call of [
      () => logIn(store).last(),
      () => textsIn(logIn(store)),
      () => logIn(store).append(bytesOf('4')),
    ]) {
      const { detail } = await failure(call, 'missing')
      expect(detail).toEqual({ object: epochName(1), log: LOG_ID, epoch: 1 })
    }
  })

  it('is not one with a close that cannot be parsed', async () => {
    const { store } = await filled(['1', '2', '3'])
    store.rot(epochName(0), 3)
    store.set(epochName(1), 1, await forgeRecord(cheap, { kind: 'close', epoch: 1, number: 3 }, bytesOf('not a close')))
    store.set(POINTER, 1, Uint8Array.of(0, 0, 0, 1))
    expect(await readAll(store)).toEqual({ texts: ['1', '2'], damaged: [`3-${ZEROS}`] })
    await logIn(store).append(bytesOf('4'))
    expect(store.newest(epochName(0))).toBe(4)
  })

  it('is the one that the pointer names, if two were closed and the seal-off between them is damaged', async () => {
    const { store, log, positions } = await filled(['1', '2', '3'])
    store.beforeWrite = (name) => {
      if (name === epochName(0)) throw new TypeError('stopped')
    }
    await expect(log.reseal({ atLeast: positions[2]!, leaveOut: [positions[1]!] })).rejects.toThrow('stopped')
    store.beforeWrite = () => undefined
    await logIn(store).reseal({ atLeast: positions[2]!, leaveOut: [positions[0]!] })
    expect(store.newest(epochName(2))).toBe(3)
    store.set(epochName(0), 4, bytesOf('garbage'))
    store.set(POINTER, 9, Uint8Array.of(0, 0, 0, 2))
    await logIn(store).append(bytesOf('4'))
    expect(await textsIn(logIn(store))).toEqual(['2', '3', '4'])
    expect(store.newest(epochName(2))).toBe(4)
  })

  it('is found from the first one on, though the close of the one between was damaged when it was resealed', async () => {
    const { store, log, positions } = await resealed()
    const fourth = await log.append(bytesOf('4'))
    store.rot(epochName(1), 3)
    await logIn(store).reseal({ atLeast: fourth, leaveOut: [positions[1]!, `3-${ZEROS}`] })
    // Only closes say where the log goes on: that of epoch 2 names the epochs before it.
    store.rot(epochName(0), 4)
    store.objects.delete(POINTER)
    expect(await textsIn(logIn(store), { atLeast: fourth })).toEqual(['3', '4'])
    await logIn(store).append(bytesOf('5'))
    expect(store.newest(epochName(2))).toBe(4)
  })
})

describe('a read', () => {
  it('that returns something else every time is no end of a log', async () => {
    const { store } = await filled(['1', '2'])
    let reads = 0
    store.read = async (name) => (name === epochName(0) ? { version: 2, bytes: sample(99, ++reads) } : undefined)
    const { detail } = await failure(() => logIn(store).last(), 'missing')
    expect(detail).toEqual({ object: epochName(0), log: LOG_ID, epoch: 0 })
    expect(reads).toBeGreaterThan(16)
    expect(reads).toBeLessThan(60)
  })

  it('that returns junk, and one behind it that finds nothing, are read again', async () => {
    const { store } = await filled(['1', '2'])
    const read = store.read.bind(store)
    const answers = [{ version: 2, bytes: sample(99) }, undefined]
    store.read = async (name) => (name === epochName(0) && answers.length > 0 ? answers.shift() : read(name))
    expect(await textsIn(logIn(store))).toEqual(['1', '2'])
  })
})

describe('a record', () => {
  it('that is damaged does not make a log somebody else’s', async () => {
    for (const count of [1, 2]) {
      const { store } = await filled(['1', '2'].slice(0, count))
      for (let version = 1; version <= count; version++) store.rot(epochName(0), version)
      await logIn(store).append(bytesOf('new'))
      expect((await readAll(store)).texts).toEqual(['new'])
    }
  })

  it('behind a damaged first one shows whose the log is', async () => {
    const old = await quickKeyset()
    const adopter = (await quickKeyset()).adopt(old)
    const { store } = await filled(['1', '2', '3'], old)
    store.rot(epochName(0), 1)
    // A host of the adopter cannot write into an epoch of the adopted keyset.
    const host = openWriter(adopter.export('host'))
    const place = { sequence: 4, number: 4, previous: sha256(store.at(epochName(0), 3)) }
    store.set(epochName(0), 4, await forgeRecord(host, place, bytesOf('planted')))
    const damaged: string[] = []
    const options = { onDamaged: (_: unknown, position: string) => void damaged.push(position) }
    expect(await textsIn(logIn(store, adopter), options)).toEqual(['2', '3'])
    expect(damaged.map((each) => each.split('-')[0])).toEqual(['1', '4'])
  })

  it('that says it is a close, behind the copies, is damaged', async () => {
    const { store } = await resealed()
    const content = encodeClose({ former: [], last: { number: 3, id: sample(16) } })
    const place = { epoch: 1, sequence: 4, number: 4, previous: sha256(store.at(epochName(1), 3)) }
    store.set(epochName(1), 4, await forgeRecord(cheap, { ...place, kind: 'close' }, content))
    const position = await logIn(store).append(bytesOf('5'))
    expect(position.split('-')[0]).toBe('5')
    expect(await readAll(store)).toEqual({ texts: ['2', '3', '5'], damaged: [`4-${ZEROS}`] })
  })
})

describe('a reseal over a damaged close', () => {
  it('leaves out the damaged copy that is named, and not the last copy, whose number the close has', async () => {
    const { store, positions } = await resealed()
    store.rot(epochName(1), 1)
    store.rot(epochName(1), 3)
    // Without the close, nothing says that number 1 was left out. So the damaged copy seems to be number 1.
    const { texts, damaged } = await readAll(store)
    expect([texts, damaged]).toEqual([['3'], [`1-${ZEROS}`, `3-${ZEROS}`]])
    await logIn(store).reseal({ atLeast: positions[2]!, leaveOut: damaged })
    expect(await textsIn(logIn(store), { atLeast: positions[2]! })).toEqual(['3'])
  })

  it('leaves out the last copy, if its own position is named', async () => {
    const { store, positions } = await resealed()
    store.rot(epochName(1), 3)
    await logIn(store).reseal({ atLeast: positions[2]!, leaveOut: [positions[2]!, `3-${ZEROS}`] })
    expect(await textsIn(logIn(store))).toEqual(['2'])
  })

  it('leaves out nothing for a close without copies', async () => {
    const { store, log, positions } = await filled(['1', '2'])
    await log.reseal({ atLeast: positions[1]!, leaveOut: positions })
    const third = await log.append(bytesOf('3'))
    store.rot(epochName(1), 1)
    const { texts, damaged } = await readAll(store)
    expect([texts, damaged]).toEqual([['3'], [`2-${ZEROS}`]])
    expect(await logIn(store).reseal({ atLeast: third, leaveOut: damaged })).toEqual({ position: third, copied: 1 })
    expect(await textsIn(logIn(store), { atLeast: third })).toEqual(['3'])
  })
})

describe('an append that loses every race', () => {
  /** A log whose other appender is always quicker. The first write answers false, and nobody can tell what became of it. */
  async function raced(atLast: (store: OpenStore, first: Uint8Array) => void | Promise<void>) {
    const store = new OpenStore()
    const rival = logIn(store)
    await rival.append(bytesOf('rival'))
    let isOpen = true
    let tries = 0
    let first: Uint8Array | undefined
    store.beforeWrite = async (name, version, bytes) => {
      if (name !== epochName(0) || !isOpen) return undefined
      isOpen = false
      tries++
      first ??= new Uint8Array(bytes)
      await appendAll(rival, 'rival', 'rival')
      if (tries === 1) store.lose(name, version)
      if (tries === 100) await atLast(store, first)
      isOpen = true
      return false
    }
    return { store, append: () => logIn(store).append(bytesOf('mine')) }
  }

  it('names the position that may still arrive', async () => {
    const { store, append } = await raced(() => undefined)
    const error = await failure(append, 'conflict')
    expect(error.detail).toMatchObject({ object: 'log', tries: 100 })
    const unsettled = String(error.detail['unsettled'])
    expect(unsettled).toMatch(/^2-[\da-f]{32}$/)
    expect(error.message).toContain(unsettled)
    store.beforeWrite = () => undefined
    await failure(() => logIn(store).last({ atLeast: unsettled }), 'missing')
  })

  it('is done if its first write arrived before its last look', async () => {
    const { store, append } = await raced((open, first) => open.set(epochName(0), 2, first))
    const position = await append()
    expect(position.split('-')[0]).toBe('2')
    store.beforeWrite = () => undefined
    const texts = (await readAll(store)).texts
    expect(texts.filter((text) => text === 'mine')).toHaveLength(1)
    await logIn(store).last({ atLeast: position })
  })

  it('is not done by a record of somebody else who took its id', async () => {
    const { append } = await raced(async (open, first) => {
      const fields = { sequence: 2, number: 2, id: first.subarray(64, 80) }
      open.set(epochName(0), 2, await forgeRecord(cheap, fields, bytesOf('theirs')))
    })
    await failure(append, 'conflict')
  })
})
