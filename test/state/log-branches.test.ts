// Nobody is led into an epoch that others do not follow, so no acknowledged record ends up where nobody reads it: after
// one bad read, after an owner was stopped, and if somebody writes garbage, forged pointers or records of an old keyset.
import { describe, expect, it } from 'vitest'
import { openLog, openWriter, unlockKeyset } from '../../src/index.ts'
import { PASSWORD, quickly, sample } from '../fixtures.ts'
import { withoutPauses } from '../pauses.ts'
import {
  appendAll,
  bytesOf,
  epochName,
  filled,
  LOG,
  logIn,
  type OpenStore,
  POINTER,
  quickKeyset,
  textsIn,
} from './log-fixtures.ts'

withoutPauses()

/** Reseals, and is stopped before the seal-off of epoch 0. */
async function stopped(store: OpenStore, atLeast: string, upTo = atLeast): Promise<void> {
  store.beforeWrite = (name) => {
    if (name === epochName(0)) throw new TypeError('stopped')
  }
  await expect(logIn(store).reseal({ atLeast, upTo, leaveOut: [] })).rejects.toThrow('stopped')
  store.beforeWrite = () => undefined
}

describe('behind a reseal that was stopped before the seal-off', () => {
  it('one bad read leads nobody into the new epoch, even if the pointer names it', async () => {
    const { store, log, positions } = await filled(['1', '2', '3'])
    await stopped(store, positions[0]!)
    await log.append(bytesOf('4'))
    store.set(POINTER, 1, Uint8Array.of(0, 0, 0, 1))
    const read = store.read.bind(store)
    // The pointer is followed first, so the epoch is read twice.
    let bad = 2
    store.read = async (name) => {
      const stored = await read(name)
      if (stored === undefined || name !== epochName(0) || bad-- <= 0) return stored
      return { ...stored, bytes: stored.bytes.subarray(0, -1) }
    }
    const position = await logIn(store).append(bytesOf('5'))
    expect(bad).toBeLessThanOrEqual(0)
    expect(await textsIn(logIn(store), { atLeast: position })).toEqual(['1', '2', '3', '4', '5'])
  })

  it('garbage ends nothing, and does not finish what the owner had begun', async () => {
    for (const stops of [1, 2]) {
      const { store, log, positions } = await filled(['1', '2', '3'])
      for (let stop = 0; stop < stops; stop++) await stopped(store, positions[0]!)
      await store.write(epochName(0), 4, bytesOf('garbage'))
      const appended = await appendAll(log, '5')
      appended.push(...(await appendAll(logIn(store), '6')))
      const seen: string[] = []
      const onDamaged = (_: unknown, position: string) => void seen.push(position.split('-')[0]!)
      expect(await textsIn(logIn(store), { atLeast: appended[1]!, onDamaged })).toEqual(['1', '2', '3', '5', '6'])
      expect(seen).toEqual(['4'])
      await logIn(store).reseal({ atLeast: appended[1]!, leaveOut: [`4-${'0'.repeat(32)}`] })
      expect(await textsIn(logIn(store))).toEqual(['1', '2', '3', '5', '6'])
    }
  })

  it('garbage and a forged pointer split nothing where hosts have appended since', async () => {
    const { store, log, positions } = await filled(['1', '2', '3'])
    await stopped(store, positions[0]!)
    await store.write(epochName(0), 4, bytesOf('garbage'))
    await log.append(bytesOf('5'))
    store.set(POINTER, 1, Uint8Array.of(0, 0, 0, 1))
    const appended = await appendAll(logIn(store), '6')
    appended.push(...(await appendAll(log, '7')))
    for (const each of [log, logIn(store)]) {
      const texts = await textsIn(each, { atLeast: appended[1]!, onDamaged: () => undefined })
      expect(texts).toEqual(['1', '2', '3', '5', '6', '7'])
    }
  })

  it('an owner can go on where nothing decides between several new epochs', async () => {
    const { store, positions } = await filled(['1', '2', '3'])
    for (let stop = 0; stop < 2; stop++) await stopped(store, positions[0]!)
    await store.write(epochName(0), 4, bytesOf('garbage'))
    store.set(POINTER, 1, Uint8Array.of(0, 0, 0, 9))
    await expect(logIn(store).append(bytesOf('5'))).rejects.toMatchObject({
      code: 'authentication-failed',
      detail: { epoch: 0, version: 4 },
    })
    await logIn(store).reseal({ atLeast: positions[2]!, leaveOut: [`4-${'0'.repeat(32)}`] })
    expect(await textsIn(logIn(store), { atLeast: positions[2]! })).toEqual(['1', '2', '3'])
  })
})

it('a seal-off whose answer says false, and that arrives late, is not followed by another close', async () => {
  const { store, positions } = await filled(['1', '2', '3'])
  let held: Uint8Array | undefined
  store.beforeWrite = (name, version, bytes) => {
    if (name !== epochName(0) || held !== undefined) {
      if (name === epochName(0) && held !== undefined && store.newest(name) === 3) store.set(name, version, held)
      return undefined
    }
    held = new Uint8Array(bytes)
    return false
  }
  await logIn(store).reseal({ atLeast: positions[2]!, leaveOut: [positions[0]!] })
  store.beforeWrite = () => undefined
  expect(store.newest(epochName(1))).toBe(3)
  await logIn(store).append(bytesOf('4'))
  expect(await textsIn(logIn(store))).toEqual(['2', '3', '4'])
})

it('garbage behind a seal-off hides it from nobody, even if nothing was dropped and the pointer is gone', async () => {
  const { store, log, positions } = await filled(['1', '2', '3'])
  store.drop = async () => undefined
  await logIn(store).reseal({ atLeast: positions[2]!, leaveOut: [positions[0]!] })
  for (let index = 0; index < 40; index++) await store.write(epochName(0), 5 + index, sample(50, index + 1))
  store.objects.delete(POINTER)
  // This handle knew the old epoch.
  const position = await log.append(bytesOf('4'))
  store.objects.delete(POINTER)
  expect(await textsIn(logIn(store), { atLeast: position })).toEqual(['2', '3', '4'])
})

it('a floor in an epoch that has ended is looked for again in the next one', async () => {
  const { store, log, positions } = await filled(['1', '2', '3'])
  const reading = log.read({ atLeast: positions[2]! })
  await reading.next()
  const other = await filled(['1', '2'])
  await logIn(other.store).reseal({ atLeast: other.positions[0]!, leaveOut: [other.positions[0]!] })
  // The store offers a shorter log from here on.
  store.objects.clear()
  for (const [name, versions] of other.store.objects) store.objects.set(name, versions)
  await expect(reading.next().then(() => reading.next())).rejects.toMatchObject({ code: 'rollback' })
})

it('garbage behind a seal-off does not take the seal-off away when the close behind it is damaged', async () => {
  const { store, log, positions } = await filled(['1', '2', '3'])
  await log.reseal({ atLeast: positions[2]!, leaveOut: [positions[0]!] })
  const drop = store.drop.bind(store)
  store.drop = async () => undefined
  await log.reseal({ atLeast: positions[2]!, leaveOut: [positions[1]!] })
  store.drop = drop
  await store.write(epochName(1), 5, bytesOf('garbage'))
  store.rot(epochName(2), 2)
  await logIn(store).reseal({ atLeast: positions[2]!, leaveOut: [`3-${'0'.repeat(32)}`] })
  expect(store.versionsOf(epochName(1)).has(4)).toBe(true)
  store.objects.delete(POINTER)
  await logIn(store).append(bytesOf('4'))
  expect(await textsIn(logIn(store))).toEqual(['3', '4'])
})

describe('in a log of an adopter', async () => {
  const old = await quickKeyset({ encryption: 'x25519' })
  const adopter = (await quickKeyset({ encryption: 'x25519' })).adopt(old)
  const [oldHost, host] = [openWriter(old.export('host')), openWriter(adopter.export('host'))]

  it('a record of the old host does not take the log away from the handle that began it', async () => {
    const { store } = await filled([])
    const log = openLog(store, LOG, host)
    await log.append(bytesOf('1'))
    const thief = await filled([])
    await appendAll(openLog(thief.store, LOG, oldHost), 'x', 'y')
    await store.write(epochName(0), 2, thief.store.at(epochName(0), 2))
    await log.append(bytesOf('3'))
    await openLog(store, LOG, host).append(bytesOf('4'))
    const texts = await textsIn(openLog(store, LOG, adopter), { onDamaged: () => undefined })
    expect(texts).toEqual(['1', '3', '4'])
  })

  it('an epoch that the old keyset has closed follows none of the adopter', async () => {
    const { store } = await filled([])
    const [position = ''] = await appendAll(openLog(store, LOG, host), 'true')
    const false_ = await filled([])
    const [atLeast = ''] = await appendAll(openLog(false_.store, LOG, oldHost), 'false')
    await openLog(false_.store, LOG, old.regenerate()).reseal({ atLeast })
    for (const version of [1, 2]) store.set(epochName(1), version, false_.store.at(epochName(1), version))
    await store.write(epochName(0), 2, bytesOf('garbage'))
    store.set(POINTER, 1, Uint8Array.of(0, 0, 0, 1))
    const texts = await textsIn(openLog(store, LOG, adopter), { atLeast: position, onDamaged: () => undefined })
    expect(texts).toEqual(['true'])
    expect((await openLog(store, LOG, host).append(bytesOf('2'))).split('-')[0]).toBe('3')
  })

  it('an old cut of the adopted keyset does not let in what came behind it', async () => {
    const { store } = await filled([])
    const [first = '', second = ''] = await appendAll(openLog(store, LOG, oldHost), '1', '2')
    const regenerated = old.regenerate()
    await openLog(store, LOG, regenerated).reseal({ atLeast: second, upTo: first })
    await openLog(store, LOG, openWriter(regenerated.export('host'))).append(bytesOf('of a thief'))
    const log = openLog(store, LOG, adopter.adopt(regenerated))
    for (let call = 0; call < 2; call++) await log.reseal({ atLeast: first, upTo: first })
    expect(await textsIn(log)).toEqual(['1'])
  })

  it('a record that names the adopted keyset does not stop a definition', async () => {
    const { store } = await filled([])
    await appendAll(openLog(store, LOG, host), '1', '2')
    const forged = new Uint8Array(store.at(epochName(0), 2))
    forged.set(Buffer.from(old.id, 'hex'), 32)
    await store.write(epochName(0), 3, forged)
    using definition = await quickly(() => unlockKeyset(adopter.export('definition'), PASSWORD))
    expect(await textsIn(openLog(store, LOG, definition), { onDamaged: () => undefined })).toEqual(['1', '2'])
  })

  it('a host of the old keyset is refused, before and after the old epoch is dropped', async () => {
    for (const isDropped of [false, true]) {
      const { store } = await filled([])
      const log = openLog(store, LOG, oldHost)
      const [atLeast = ''] = await appendAll(log, '1')
      if (!isDropped) store.drop = async () => undefined
      await openLog(store, LOG, adopter).reseal({ atLeast })
      for (const each of [log, openLog(store, LOG, oldHost)])
        await expect(each.append(bytesOf('lost'))).rejects.toMatchObject({
          code: 'policy',
          detail: { rule: 'log-owner' },
        })
    }
  })
})

it('a record that follows another one than it says is named by its own position, and can be left out', async () => {
  const { store, log, positions } = await filled(['1', '2', '3'])
  const other = await filled(['1', '2', 'another'])
  await other.log.append(bytesOf('hostile'))
  await store.write(epochName(0), 4, other.store.at(epochName(0), 4))
  await log.append(bytesOf('5'))
  const error: unknown = await textsIn(logIn(store)).catch((thrown: unknown) => thrown)
  const { position } = (error as { detail: { position: string } }).detail
  expect(position).toMatch(/^4-(?!0{32})/)
  await logIn(store).reseal({ atLeast: positions[2]!, leaveOut: [position] })
  expect(await textsIn(logIn(store))).toEqual(['1', '2', '3', '5'])
})
