// Machines change the recovery slots of one keyset, and its master key, at one time. Whatever happens, the sheet in the
// drawer opens something, and once the slots were renewed, what was acknowledged holds.
import { afterAll, beforeAll, describe, it } from 'vitest'
import { changeKeyset, type Keyset, KeystrataError, loadKeyset } from '../../src/index.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import {
  addSlot,
  deriveRecoveryKey,
  type RecoveryKey,
  recoverKeyset,
  removeSlot,
  renewSlots,
  testSlot,
} from '../../src/recovery.ts'
import type { StateStore } from '../../src/stores.ts'
import { makeKeyset, numRuns, PASSWORD, quickly, sample } from '../fixtures.ts'
import { type Bounds, expectCaught, expectSound, explore, type Run, TIMEOUT } from './explorer.ts'
import { remembering } from './remembering.ts'
import { ModelState } from './stores.ts'

beforeAll(() => useBackend(remembering))
afterAll(() => useBackend(undefined))

const NEXT = 'the next password'
const first = await quickly(() => makeKeyset({ encryption: 'x25519' }))
const [sheet, leaving, added] = await Promise.all(
  [1, 2, 3].map((seed) => deriveRecoveryKey({ secret: sample(32, seed) })),
)

/** What the store has at first: the keyset, a slot for the sheet, and one for somebody who leaves. */
const start = new ModelState()
start.write('keyset', 1, first.export('storage'))
await addSlot(start.direct(), first, sheet!, { label: 'Sheet' })
const left = await addSlot(start.direct(), first, leaving!, { label: 'Leaving' })

const opens = async (store: StateStore, key: RecoveryKey): Promise<boolean> => {
  try {
    return (await testSlot(store, key)).isCurrent
  } catch (error) {
    if (error instanceof KeystrataError && ['key-not-found', 'missing'].includes(error.code)) return false
    throw error
  }
}

/** Sets a new master key, and renews the slots. Once the new password opens the keyset, only the second step is left. */
async function replaceMaster(store: StateStore, renew: typeof renewSlots): Promise<void> {
  const known = await loadKeyset(store, NEXT, { atLeast: first.revision }).catch((error: unknown) => {
    if (error instanceof KeystrataError && error.code === 'wrong-password') return undefined
    throw error
  })
  const change = (newest: Keyset) => newest.changePassword(NEXT, { newMaster: true })
  await renew(store, known ?? (await changeKeyset(store, first, change)))
}

interface Scene {
  readonly adds?: boolean
  readonly removes?: boolean
  readonly replaces?: number
  readonly renew?: typeof renewSlots
}

const changing =
  ({ adds = false, removes = false, replaces = 0, renew = renewSlots }: Scene) =>
  async (run: Run): Promise<readonly string[]> => {
    const state = new ModelState()
    for (const name of ['keyset', 'slots']) {
      for (const { version, bytes } of start.kept(name)) state.write(name, version, bytes)
    }
    const actors = {
      ...(adds && {
        adds: run.add('the one that adds', (machine) => addSlot(state.as(machine), first, added!, { label: 'Added' }), {
          restarts: 1,
        }),
      }),
      ...(removes && {
        removes: run.add('the one that removes', (machine) => removeSlot(state.as(machine), first, left.id), {
          restarts: 1,
        }),
      }),
    }
    const owners = Array.from({ length: replaces }, (_, index) =>
      run.add(`owner ${index + 1}`, (machine) => replaceMaster(state.as(machine), renew), { restarts: 1 }),
    )
    await run.play()
    const store = state.direct()
    // The paper in the drawer opens something, whatever happened.
    await recoverKeyset(store, sheet!).catch((error: unknown) => {
      run.violation(`the sheet opens nothing: ${String(error)}`)
    })
    const isReplaced = owners.some(({ outcome }) => outcome === 'done')
    if (isReplaced && !(await opens(store, sheet!)))
      run.violation('the slots were renewed, and the sheet is out of date')
    if (isReplaced && state.readVersion('keyset', 1) !== undefined)
      run.violation('the slots were renewed, and the old password opens a keyset')
    // The owner looks after it, as a program does at its next start.
    const newest = await loadKeyset(store, NEXT).catch(() => loadKeyset(store, PASSWORD))
    await renewSlots(store, newest)
    if (!(await opens(store, sheet!))) run.violation('the sheet does not open what is stored')
    const { adds: adder, removes: remover } = actors
    if (adder?.outcome === 'done' && !(await opens(store, added!))) run.violation('an acknowledged slot is lost')
    if (remover?.outcome === 'done') {
      for (const { bytes } of state.kept('slots')) {
        const one = new ModelState()
        one.write('keyset', 1, state.read('keyset')!.bytes)
        one.write('slots', 1, bytes)
        if (await opens(one.direct(), leaving!)) run.violation('an acknowledged removal is undone')
      }
    } else if (!(await opens(store, leaving!)) && remover === undefined)
      run.violation('a slot that nobody removed is lost')
    const all = [...Object.values(actors), ...owners]
    for (const { outcome, name, error } of all) {
      // One that was started again may find that its work is done.
      const known = ['done', 'crashed', 'no answer', 'conflict', 'wrong-password', 'policy', 'key-not-found']
      if (!known.includes(outcome!)) run.violation(`${name} got ${String(outcome)}: ${String(error)}`)
    }
    return all.map(({ outcome }) => outcome!)
  }

const explored = (name: string, bounds: Bounds, scene: Scene) => explore(`slots, ${name}`, bounds, changing(scene))

describe('recovery slots that several machines change', { timeout: TIMEOUT }, () => {
  it('one adds and one removes, and one thing goes wrong', async () => {
    const report = await explored(
      'add and remove',
      { faults: 1, runs: numRuns(100, 10_000) },
      { adds: true, removes: true },
    )
    expectSound(report, { runs: 100, reached: [/done/, /no answer/] })
  })

  it('one adds while the master key is replaced, with late reads and crashes', async () => {
    const bounds = { faults: 2, late: { back: 2, reads: 2 }, seed: 1, runs: numRuns(120, 5000) }
    const report = await explored('add and replace', bounds, { adds: true, replaces: 1 })
    expectSound(report, { runs: 120, reached: [/done/, /wrong-password/, /crashed/] })
  })

  it('all at once, with two owners', async () => {
    const bounds = { faults: 2, late: { back: 1, reads: 2 }, seed: 2, runs: numRuns(120, 5000) }
    const report = await explored('everything', bounds, { adds: true, removes: true, replaces: 2 })
    expectSound(report, { runs: 120, reached: [/done/, /wrong-password/] })
  })
})

describe('the explorer notices', { timeout: TIMEOUT }, () => {
  it('an owner who drops the old keysets before the slots are renewed', async () => {
    const renew: typeof renewSlots = async (store, keyset) => {
      const newest = await store.read('keyset')
      await store.drop('keyset', newest!.version)
      return renewSlots(store, keyset)
    }
    const report = await explored('early drops', { faults: 1, runs: 500, violations: 3 }, { replaces: 1, renew })
    expectCaught(report, /the sheet opens nothing/)
  })
})
