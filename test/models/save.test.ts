// Machines that went apart save their keysets to one store, stop, and save again. What was acknowledged must stay: in
// what is stored, or in its history. `forked` and `conflict` must be true.
import { afterAll, beforeAll, describe, it } from 'vitest'
import { type Keyset, KeystrataError, saveKeyset } from '../../src/index.ts'
import { parseKeyset } from '../../src/keyset/exports.ts'
import { insidesOf } from '../../src/keyset/keyset.ts'
import { descendsFrom, revisionOf } from '../../src/keyset/revision.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import type { StateStore } from '../../src/stores.ts'
import { hex, makeKeyset, numRuns, quickly } from '../fixtures.ts'
import { type Bounds, expectCaught, expectSound, explore, type Run, TIMEOUT } from './explorer.ts'
import { remembering } from './remembering.ts'
import { ModelState } from './stores.ts'

beforeAll(() => useBackend(remembering))
afterAll(() => useBackend(undefined))

const first = await quickly(() => makeKeyset({ encryption: 'x25519' }))
const left = first.forgetRetired('unchecked')
const right = first.forgetRetired('unchecked')
const KEYSETS = { first, left, right, 'left and on': left.forgetRetired('unchecked'), both: left.adopt(right) }
type Name = keyof typeof KEYSETS

const contentsOf = (keyset: Keyset) => insidesOf(keyset, '').contents
const isAfter = (later: Keyset, earlier: Keyset) => descendsFrom(contentsOf(later), revisionOf(contentsOf(earlier)))

const named: Map<string, Name> = new Map(
  Object.entries(KEYSETS).map(([name, keyset]) => [hex(contentsOf(keyset).revision), name as Name]),
)
const shown = (bytes: Uint8Array) => named.get(hex(parseKeyset(bytes).revision)) ?? 'unknown'

type Save = (store: StateStore, keyset: Keyset) => Promise<void>

/** Each machine saves one keyset, and does it again after a crash. */
const saving =
  (save: Save, stored: Name | undefined, names: readonly Name[], make: typeof ModelState) =>
  async (run: Run): Promise<readonly string[]> => {
    const state = new make(shown)
    if (stored !== undefined) state.write('keyset', 1, KEYSETS[stored].export('storage'))
    const machines = names.map((name) => ({
      name,
      actor: run.add(`the machine with ${name}`, (machine) => save(state.as(machine), KEYSETS[name]), { restarts: 1 }),
    }))
    await run.play()
    const newest = state.read('keyset')
    const final = newest && KEYSETS[named.get(hex(parseKeyset(newest.bytes).revision))!]
    const versions = state.object('keyset').versions.map((bytes) => shown(bytes))
    if (new Set(versions).size !== versions.length) run.violation(`a keyset is stored twice: ${versions.join(', ')}`)
    for (const { name, actor } of machines) {
      const own = KEYSETS[name]
      switch (actor.outcome) {
        case 'done':
          if (final === undefined || !isAfter(final, own)) run.violation(`${name} is acknowledged, and lost`)
          break
        case 'conflict':
          if (final === undefined || !isAfter(final, own) || final === own)
            run.violation(`${name} was told conflict, but nothing newer is stored`)
          break
        case 'forked':
          // What is stored may have gone on since, and have taken in this keyset.
          if (!versions.some((each) => !isAfter(own, KEYSETS[each as Name]) && !isAfter(KEYSETS[each as Name], own)))
            run.violation(`${name} was told forked, but everything stored is on its branch`)
          break
        case 'crashed':
        case 'no answer':
          break
        default:
          run.violation(`${name} got ${String(actor.outcome)}`)
      }
    }
    return machines.map(({ actor }) => actor.outcome!)
  }

const explored = (
  name: string,
  bounds: Bounds,
  names: readonly Name[],
  { stored, save = saveKeyset, make = ModelState }: { stored?: Name; save?: Save; make?: typeof ModelState } = {},
) => explore(`saveKeyset, ${name}`, bounds, saving(save, stored, names, make))

describe('saveKeyset by several machines', { timeout: TIMEOUT }, () => {
  it('into an empty store, two branches, and one thing goes wrong', async () => {
    const report = await explored('two branches', { faults: 1, runs: 10_000 }, ['left', 'right'])
    expectSound(report, { runs: 100, reached: [/done/, /forked/, /no answer/] })
  })

  it('behind what both descend from, with two faults, crashes and late reads', async () => {
    const bounds = { faults: 2, late: { back: 2, reads: 2 }, seed: 1, runs: numRuns(400, 10_000) }
    const report = await explored('behind the first', bounds, ['left', 'right'], { stored: 'first' })
    expectSound(report, { runs: 400, reached: [/done/, /forked/, /no answer/, /crashed/] })
  })

  it('an older one, a newer one, and one that adopted the other branch', async () => {
    const bounds = { faults: 2, late: { back: 1, reads: 1 }, seed: 2, runs: numRuns(400, 10_000) }
    const names: readonly Name[] = ['left', 'left and on', 'both']
    const report = await explored('older and newer', bounds, names, { stored: 'first' })
    expectSound(report, { runs: 400, reached: [/done/, /forked/, /conflict/] })
  })
})

describe('the explorer notices', { timeout: TIMEOUT }, () => {
  const bounds = { faults: 1, runs: 1000, violations: 5 }

  it('a machine that writes behind whatever is stored', async () => {
    const save: Save = async (store, keyset) => {
      const version = ((await store.read('keyset'))?.version ?? 0) + 1
      if (!(await store.write('keyset', version, keyset.export('storage')))) throw new KeystrataError('conflict')
    }
    const report = await explored('a machine that does not look', bounds, ['left', 'right'], { save })
    expectCaught(report, /is acknowledged, and lost|nothing newer is stored/)
  })

  it('a machine that saves again without a look', async () => {
    const save: Save = async (store, keyset) => {
      for (let time = 0; time < 2; time++) {
        const version = ((await store.read('keyset'))?.version ?? 0) + 1
        const isWritten = await store.write('keyset', version, keyset.export('storage')).catch(() => false)
        if (isWritten) return
      }
      throw new KeystrataError('conflict')
    }
    const report = await explored('a machine that repeats itself', { ...bounds, kinds: ['lost'] }, ['left'], { save })
    expectCaught(report, /stored twice/)
  })

  it('a store that writes without a look at the version', async () => {
    class Blind extends ModelState {
      override succeeds(): boolean {
        return true
      }
    }
    const report = await explored('a blind store', { runs: 1000, violations: 5 }, ['left', 'right'], { make: Blind })
    expectCaught(report, /is acknowledged, and lost/)
  })
})
