// Logs in stores that answer late, wrongly or not at all (SPEC §7.4).
import { describe, expect, it } from 'vitest'
import { withoutPauses } from '../pauses.ts'
import { all, sample } from '../fixtures.ts'
import { bytesOf, epochName, filled, logIn, OpenStore, textsIn } from './log-fixtures.ts'

withoutPauses()

describe('a store', () => {
  const listings: [string, (store: OpenStore) => OpenStore][] = [
    ['misses records', (store) => listing(store, (version) => version % 2 === 0)],
    ['ends early', (store) => listing(store, (version) => version <= 2)],
    ['is empty', (store) => listing(store, () => false)],
    ['is complete', (store) => listing(store, () => true)],
  ]

  function listing(store: OpenStore, shows: (version: number) => boolean) {
    return Object.assign(store, {
      async *readVersions(name: string, from: number) {
        for (const [version, bytes] of [...store.versionsOf(name)].toSorted(([a], [b]) => a - b))
          if (version >= from && shows(version)) yield { version, bytes }
      },
    })
  }

  it.each(listings)('whose listing %s gives the whole log', async (_, change) => {
    const { store, positions } = await filled(['1', '2', '3', '4', '5'])
    change(store)
    const texts = ['1', '2', '3', '4', '5']
    expect(await textsIn(logIn(store))).toEqual(texts)
    expect(await textsIn(logIn(store), { after: positions[1]! })).toEqual(texts.slice(2))
    await logIn(store).reseal({ atLeast: positions[4]!, leaveOut: [positions[0]!] })
    expect(await textsIn(logIn(store), { atLeast: positions[4]! })).toEqual(texts.slice(1))
  })

  it('whose listing is out of order, or whose answers make no sense, is a TypeError', async () => {
    const wrong: [string, object][] = [
      ['read', { read: async () => null }],
      ['read', { read: async () => ({ version: '3', bytes: sample(5) }) }],
      ['read', { read: async () => ({ version: 3 }) }],
      ['write', { write: async () => ({ rowCount: 1 }) }],
      ['readVersion', { readVersion: async () => 'bytes' }],
      ['readVersion', { readVersion: async () => null }],
    ]
    for (const [method, fault] of wrong) {
      const { store, positions } = await filled(['1', '2'])
      const log = logIn(Object.assign(store, fault))
      const call = async () => {
        await log.append(bytesOf('3'))
        await all(log.read())
      }
      await expect(call()).rejects.toThrow(TypeError)
      await expect(call()).rejects.toThrow(method)
      expect(positions).toHaveLength(2)
    }
    for (const versions of [
      [2, 1],
      [1, 1],
      ['1', '2'],
    ]) {
      const { store } = await filled(['1', '2', '3'])
      const log = logIn(
        Object.assign(store, {
          async *readVersions() {
            for (const version of versions) yield { version: version as number, bytes: sample(5) }
          },
        }),
      )
      await expect(all(log.read({ onDamaged: () => undefined }))).rejects.toThrow('readVersions')
    }
  })

  it('that loses answers, or repeats writes, loses no record and appends none twice', async () => {
    for (const isWritten of [true, false]) {
      for (const answer of [false, new Error('timeout')]) {
        const { store, log } = await filled(['1'])
        let faults = 0
        store.beforeWrite = (name, version, bytes) => {
          if (faults++ > 0) return undefined
          if (isWritten) store.set(name, version, bytes)
          if (answer instanceof Error) throw answer
          return answer
        }
        const position = await log.append(bytesOf('2'))
        expect(await textsIn(logIn(store), { atLeast: position })).toEqual(['1', '2'])
      }
    }
  })

  it('that never answers gives its own error, which says that the write may have happened', async () => {
    const { store, log } = await filled(['1'])
    store.beforeWrite = () => {
      throw new Error('no route to host')
    }
    await expect(log.append(bytesOf('2'))).rejects.toThrow(/no route to host.*may have been written/)
    store.beforeWrite = () => undefined
    // The handle goes on.
    await log.append(bytesOf('3'))
    expect(await textsIn(logIn(store))).toEqual(['1', '3'])
  })

  it('that reads late for a while is read again', async () => {
    const { store, log, positions } = await filled(['1', '2', '3'])
    const read = store.read.bind(store)
    let late = 3
    store.read = async (name) => {
      if (name !== epochName(0) || late-- <= 0) return read(name)
      return { version: 2, bytes: store.at(name, 2) }
    }
    expect((await logIn(store).last({ atLeast: positions[2]! }))!.position).toBe(positions[2])
    late = 3
    expect(await textsIn(log, { after: positions[2]! })).toEqual([])
    late = 3
    await log.append(bytesOf('4'))
    expect(await textsIn(logIn(store))).toEqual(['1', '2', '3', '4'])
  })
})
