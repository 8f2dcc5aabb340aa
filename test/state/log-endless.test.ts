// Stores that say that a log has almost endlessly many versions or epochs, as an attacker may (SPEC §7.4). Whatever they
// answer, every operation ends.
import { describe, expect, it } from 'vitest'
import { changeKeyset, checkRetired, loadKeyset, saveKeyset } from '../../src/index.ts'
import { blocksIn, memoryBlobStore, memoryStateStore, type StateStore } from '../../src/stores.ts'
import { CHEAP, failure, all, makeKeyset, PASSWORD, sample } from '../fixtures.ts'
import { withoutPauses } from '../pauses.ts'
import { appendAll, bytesOf, epochName, filled, LOG_ID, logIn, OpenStore, owner, textsIn } from './log-fixtures.ts'

withoutPauses()

const LAST = Number.MAX_SAFE_INTEGER
/** How many damaged versions in a row a reader passes by. */
const IN_A_ROW = 1024

/** What an endless store answers for a version that it does not have. */
const answers: [string, Uint8Array | undefined][] = [
  ['it has none of them', undefined],
  ['all of them are junk', sample(300)],
  ['all of them are copies of a record', undefined],
]

/** Returns a store in which an epoch seems to end at a version, with what is there. */
function endless(store: OpenStore, epoch: number, newest: number, junk: Uint8Array | undefined): StateStore {
  const name = epochName(epoch)
  return {
    read: async (asked) => (asked === name ? { version: newest, bytes: junk ?? sample(200) } : store.read(asked)),
    readVersion: async (asked, version) =>
      (await store.readVersion(asked, version)) ?? (asked === name ? junk : undefined),
    write: async (asked, version, bytes) =>
      version > LAST ? Promise.reject(new Error('too high')) : store.write(asked, version, bytes),
    drop: (asked, below) => store.drop(asked, below),
  }
}

describe.each(answers)('a log whose newest version is said to be the last possible one, and %s', (title, given) => {
  const made = async () => {
    const { store, positions } = await filled(['1', '2', '3'])
    const junk = title.includes('copies') ? store.at(epochName(0), 2) : given
    return { store, positions, log: logIn(endless(store, 0, LAST, junk)) }
  }

  it('ends every operation with an error', async () => {
    const { log, store, positions } = await made()
    const [first = '', , last = ''] = positions
    const error = await failure(() => log.last(), 'limit-exceeded')
    expect(error.detail).toMatchObject({ object: 'log', log: LOG_ID, epoch: 0 })
    await failure(() => log.last({ atLeast: last }), 'limit-exceeded')
    await failure(() => log.append(bytesOf('4')), 'limit-exceeded')
    await failure(() => log.reseal({ atLeast: last, upTo: first }), 'limit-exceeded')
    // Without a rotation, nothing is to be done: but first everything is looked through.
    await failure(() => log.reseal({ atLeast: last }), 'limit-exceeded')
    expect(store.newest(epochName(0))).toBe(3)
  })

  it('is read up to the damage, and then some of the damage', async () => {
    const { log } = await made()
    const damaged: string[] = []
    const texts: string[] = []
    const read = async () => {
      const onDamaged = (_: unknown, position: string) => void damaged.push(position)
      for await (const { content } of log.read({ onDamaged })) texts.push(new TextDecoder().decode(content))
    }
    const error = await failure(read, 'limit-exceeded')
    expect(texts).toEqual(['1', '2', '3'])
    expect(damaged).toHaveLength(IN_A_ROW)
    expect(error.detail).toEqual({ object: 'log', log: LOG_ID, epoch: 0, version: 3 + IN_A_ROW + 1 })
    expect(
      (await failure(() => all(log.read()), 'missing', 'malformed', 'authentication-failed')).detail['version'],
    ).toBe(4)
  })
})

it('a log with as many damaged versions as a reader passes by is read', async () => {
  for (const [more, isRead] of [
    [0, true],
    [1, false],
  ] as const) {
    const { store, log } = await filled(['1'])
    for (let version = 2; version <= IN_A_ROW + 1 + more; version++) store.set(epochName(0), version, sample(3))
    await log.append(bytesOf('2'))
    const reading = () => textsIn(logIn(store), { onDamaged: () => undefined })
    if (isRead) expect(await reading()).toEqual(['1', '2'])
    else await failure(reading, 'limit-exceeded')
    expect(new TextDecoder().decode((await logIn(store).last())?.content)).toBe('2')
  }
})

it('a reader that is given a later position reads what follows it', async () => {
  const { store, log } = await filled(['1'])
  for (let version = 2; version <= IN_A_ROW + 2; version++) store.set(epochName(0), version, sample(3))
  const [after = ''] = await appendAll(log, '2', '3')
  expect(await textsIn(logIn(store), { after })).toEqual(['3'])
})

it('checkRetired ends, although a store makes up records', async () => {
  const store = new OpenStore()
  const log = logIn(store, owner)
  await log.append(bytesOf('1'))
  const lying = logIn(endless(store, 0, LAST, store.at(epochName(0), 1)), owner)
  await failure(() => checkRetired(blocksIn(memoryBlobStore()), owner, { logs: [lying] }), 'limit-exceeded')
})

it('a store that has every epoch keeps nobody from an error', async () => {
  const { store, positions } = await filled(['1', '2'])
  const everyEpoch: StateStore = {
    read: async (name) =>
      (await store.read(name)) ?? (name.startsWith(`log/${LOG_ID}/`) ? { version: 1, bytes: sample(9) } : undefined),
    readVersion: (name, version) => store.readVersion(name, version),
    write: (name, version, bytes) => store.write(name, version, bytes),
    drop: (name, below) => store.drop(name, below),
  }
  const log = logIn(everyEpoch)
  const position = positions[0]!
  const error = await failure(() => log.reseal({ atLeast: position, upTo: position }), 'limit-exceeded')
  expect(error.detail).toEqual({ object: 'log', log: LOG_ID, epoch: 33 })
  store.rot(epochName(0), 2)
  await failure(() => log.last(), 'limit-exceeded')
})

/** A log that was resealed, with more records in its new epoch than a reader looks through at once. */
async function resealedLong() {
  const { store, log, positions } = await filled(['1', '2'])
  await log.reseal({ atLeast: positions[1]!, leaveOut: [positions[0]!] })
  const later: string[] = []
  for (let record = 0; record < IN_A_ROW + 20; record++) later.push(await log.append(bytesOf('x')))
  return { store, log, later }
}

it('a damaged seal-off is followed over an epoch in which thousands of versions were dropped', async () => {
  const { store, log, later } = await resealedLong()
  await log.reseal({ atLeast: later.at(-1)!, leaveOut: [later[0]!] })
  store.rot(epochName(0), store.newest(epochName(0)))
  store.lose(`log/${LOG_ID}`, 1, 2)
  expect(await textsIn(logIn(store))).toHaveLength(IN_A_ROW + 20)
})

it('a damaged seal-off is followed to an epoch with thousands of records behind its close', async () => {
  const { store } = await resealedLong()
  store.rot(epochName(0), store.newest(epochName(0)))
  store.lose(`log/${LOG_ID}`, 1, 2)
  expect(await textsIn(logIn(store))).toHaveLength(IN_A_ROW + 21)
})

it('a keyset whose newest version is said to be the last possible one cannot be changed, and is dropped nothing of', async () => {
  const store = memoryStateStore()
  const keyset = await makeKeyset()
  await saveKeyset(store, keyset)
  const { bytes } = (await store.read('keyset'))!
  const dropped: number[] = []
  const lying = {
    ...store,
    read: async (name: string) => (name === 'keyset' ? { version: LAST, bytes } : store.read(name)),
    readVersion: async () => bytes,
    drop: async (_: string, below: number) => void dropped.push(below),
  }
  ;(await loadKeyset(lying, PASSWORD)).dispose()
  await failure(
    () => changeKeyset(lying, keyset, (now) => now.changePassword(PASSWORD, { costs: CHEAP })),
    'limit-exceeded',
  )
  expect(dropped).toEqual([])
})
