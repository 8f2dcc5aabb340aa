// Machines change the recovery slots of one keyset, and its master key, at one time. Whatever happens, the sheet in the
// drawer opens something, and once the slots were renewed, what was acknowledged holds.
import { changeKeyset, type Keyset, KeystrataError, loadKeyset } from '../../src/index.ts'
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
import { makeKeyset, PASSWORD, quickly, sample } from '../fixtures.ts'
import { type Bounds, explore, type Report, type Run } from './explorer.ts'
import { type Scenario, scenariosOf } from './scenario.ts'
import { ModelState } from './stores.ts'

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
async function replaceMaster(store: StateStore, renew: typeof renewSlots, handle: Keyset = first): Promise<void> {
  const known = await loadKeyset(store, NEXT, { atLeast: handle.revision }).catch((error: unknown) => {
    if (error instanceof KeystrataError && error.code === 'wrong-password') return undefined
    throw error
  })
  const change = (newest: Keyset) => newest.changePassword(NEXT, { newMaster: true })
  await renew(store, known ?? (await changeKeyset(store, handle, change)))
}

/** A person lost the password but has the sheet. Another person may already have set the same new password. */
async function recover(store: StateStore, renew: typeof renewSlots): Promise<void> {
  await replaceMaster(store, renew, await recoverKeyset(store, sheet!))
}

export interface Scene {
  readonly adds?: boolean
  readonly removes?: boolean
  readonly replaces?: number
  /** How many machines recover the keyset with the sheet meanwhile, set the same new password, and renew the slots. */
  readonly recovers?: number
  readonly make?: new () => ModelState
  readonly renew?: typeof renewSlots
}

const changing =
  ({ adds = false, removes = false, replaces = 0, recovers = 0, renew = renewSlots, make = ModelState }: Scene) =>
  async (run: Run): Promise<readonly string[]> => {
    const state = new make()
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
    const recoverers = Array.from({ length: recovers }, (_, index) =>
      run.add(`recoverer ${index + 1}`, (machine) => recover(state.as(machine), renew), { restarts: 1 }),
    )
    await run.play()
    const store = state.direct()
    // The paper in the drawer opens something, whatever happened.
    await recoverKeyset(store, sheet!).catch((error: unknown) => {
      run.violation(`the sheet opens nothing: ${String(error)}`)
    })
    const isReplaced = [...owners, ...recoverers].some(({ outcome }) => outcome === 'done')
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
    const all = [...Object.values(actors), ...owners, ...recoverers]
    for (const { outcome, name, error } of all) {
      // One that was started again may find that its work is done.
      const known = ['done', 'crashed', 'no answer', 'conflict', 'wrong-password', 'policy', 'key-not-found']
      if (!known.includes(outcome!)) run.violation(`${name} got ${String(outcome)}: ${String(error)}`)
    }
    return all.map(({ outcome }) => outcome!)
  }

export const exploreSlots = (name: string, bounds: Bounds, scene: Scene): Promise<Report> =>
  explore(`slots, ${name}`, bounds, changing(scene))

const scenario = scenariosOf('slots', exploreSlots)

export const SLOTS: readonly Scenario[] = [
  scenario(
    { adds: true, removes: true },
    {
      name: 'add and remove',
      sentence: 'one adds and one removes, and one thing goes wrong',
      bounds: { faults: 1 },
      reached: [/done/, /no answer/],
      test: { runs: 40, slow: 10_000 },
    },
  ),
  scenario(
    { adds: true, replaces: 1 },
    {
      name: 'add and replace',
      sentence: 'one adds while the master key is replaced, with late reads and crashes',
      bounds: { faults: 2, late: { back: 2, reads: 2 } },
      reached: [/done/, /wrong-password/, /crashed/],
      isRandom: true,
      test: { runs: 40, slow: 5000, seed: 1 },
    },
  ),
  scenario(
    { adds: true, removes: true, replaces: 2 },
    {
      name: 'everything',
      sentence: 'all at once, with two owners',
      bounds: { faults: 2, late: { back: 1, reads: 2 } },
      reached: [/done/, /wrong-password/],
      isRandom: true,
      test: { runs: 40, slow: 5000, seed: 2 },
    },
  ),
  scenario(
    { adds: true, recovers: 1, replaces: 1 },
    {
      name: 'recover beside others',
      sentence: 'one recovers with the sheet while others add, and replace the master key',
      bounds: { faults: 2, late: { back: 1, reads: 2 } },
      reached: [/done/, /crashed/],
      isRandom: true,
      test: { runs: 40, slow: 5000, seed: 3 },
    },
  ),
  scenario(
    { removes: true, recovers: 2 },
    {
      name: 'two recover',
      sentence: 'two recover with the same sheet',
      bounds: { faults: 1 },
      reached: [/done/],
    },
  ),
]
