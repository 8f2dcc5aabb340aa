// A log that was resealed twice, of which the pointer is lost and the seal-off of epoch 0 is damaged.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createKeyset, type Keyset, openLog } from '../../src/index.ts'
import { logIdOf } from '../../src/state/record-layout.ts'
import type { StateStore } from '../../src/state/store.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { all, CHEAP, failure, flipped, hex, sample } from '../fixtures.ts'
import { withoutPauses } from '../pauses.ts'

withoutPauses()

let keyset: Keyset
const store = memoryStateStore()
const positions: string[] = []
const nameOf = (epoch: number) => `log/${hex(logIdOf('l'))}/${epoch}`

beforeAll(async () => {
  keyset = await createKeyset('password', { costs: CHEAP })
  const log = openLog(store, 'l', keyset)
  for (const leftOut of [0, 1]) {
    for (let i = 0; i < 3; i++) positions.push(await log.append(sample(i)))
    await log.reseal({ atLeast: positions.at(-1)!, leaveOut: [positions[leftOut]!] })
  }
})
afterAll(() => keyset.dispose())

/** Returns a copy of some epochs, without the pointer. Everything in epoch 0 is damaged. */
async function damaged(...epochs: readonly number[]): Promise<StateStore> {
  const copy = memoryStateStore()
  for (const epoch of epochs) {
    const newest = (await store.read(nameOf(epoch)))!.version
    let lowest = newest
    for (let version = newest; version >= 1; version--)
      if ((await store.readVersion(nameOf(epoch), version)) !== undefined) lowest = version
    for (let version = 1; version <= newest; version++) {
      const bytes = (await store.readVersion(nameOf(epoch), version)) ?? sample(1)
      await copy.write(nameOf(epoch), version, epoch === 0 ? flipped(bytes, 0) : bytes)
    }
    await copy.drop(nameOf(epoch), lowest)
  }
  return copy
}

it('a close further on tells where the log goes on', async () => {
  const copy = await damaged(0, 1, 2)
  const log = openLog(copy, 'l', keyset)
  expect((await all(log.read())).map(({ position }) => position)).toEqual(positions.slice(2))
  expect(await openLog(copy, 'l', keyset).append(sample(9))).toMatch(/^7-/)
  expect((await copy.read(nameOf(2)))?.version).toBe(6)
})

it('if nothing tells it, nothing is appended', async () => {
  const copy = await damaged(0)
  await failure(() => openLog(copy, 'l', keyset).append(sample(9)), 'authentication-failed')
  await failure(() => openLog(copy, 'l', keyset).last(), 'authentication-failed')
})
