// Logs with many damaged or dropped versions. Readers skip them without a limit: with one, anybody who can write to a
// log could make it unreadable.
import { expect, it } from 'vitest'
import { failure, sample } from '../fixtures.ts'
import { withoutPauses } from '../pauses.ts'
import { appendAll, epochName, filled, LOG_ID, logIn, textsIn } from './log-fixtures.ts'

withoutPauses()

const MANY = 3000

it('a log is read over thousands of damaged versions, and from behind them', async () => {
  const { store, log } = await filled(['1'])
  for (let version = 2; version <= MANY; version++) store.set(epochName(0), version, sample(3))
  await failure(() => textsIn(logIn(store)), 'malformed')
  const [after = ''] = await appendAll(log, '2', '3')
  const damaged: string[] = []
  const onDamaged = (_: unknown, position: string) => void damaged.push(position)
  expect(await textsIn(logIn(store), { onDamaged })).toEqual(['1', '2', '3'])
  expect(damaged).toHaveLength(MANY - 1)
  expect(await textsIn(logIn(store), { after })).toEqual(['3'])
})

it('the last record is found before thousands of damaged versions', async () => {
  const { store, positions } = await filled(['1'])
  for (let version = 2; version <= MANY; version++) store.set(epochName(0), version, sample(3))
  expect((await logIn(store).last())?.position).toBe(positions[0])
})

/** A log that was resealed, with many records in its new epoch. */
async function resealedLong() {
  const { store, log, positions } = await filled(['1', '2'])
  await log.reseal({ atLeast: positions[1]!, leaveOut: [positions[0]!] })
  const later: string[] = []
  for (let record = 0; record < 1000; record++) later.push(...(await appendAll(log, 'x')))
  return { store, log, later }
}

it('a damaged seal-off is followed over an epoch in which a thousand versions were dropped', async () => {
  const { store, log, later } = await resealedLong()
  await log.reseal({ atLeast: later.at(-1)!, leaveOut: [later[0]!] })
  store.rot(epochName(0), store.newest(epochName(0)))
  store.lose(`log/${LOG_ID}`, 1, 2)
  expect(await textsIn(logIn(store))).toHaveLength(1000)
})

it('a damaged seal-off is followed to an epoch with a thousand records behind its close', async () => {
  const { store } = await resealedLong()
  store.rot(epochName(0), store.newest(epochName(0)))
  store.lose(`log/${LOG_ID}`, 1, 2)
  expect(await textsIn(logIn(store))).toHaveLength(1001)
})
