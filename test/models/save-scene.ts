// Machines that went apart save their keysets to one store, stop, and save again. What was acknowledged must stay: in
// what is stored, or in its history. `forked` and `conflict` must be true.
import { type Keyset, saveKeyset } from '../../src/index.ts'
import { parseKeyset } from '../../src/keyset/exports.ts'
import { insidesOf } from '../../src/keyset/keyset.ts'
import { descendsFrom, revisionOf } from '../../src/keyset/revision.ts'
import type { StateStore } from '../../src/stores.ts'
import { hex, makeKeyset, quickly } from '../fixtures.ts'
import { type Bounds, explore, type Report, type Run } from './explorer.ts'
import { type Scenario, scenariosOf } from './scenario.ts'
import { ModelState } from './stores.ts'

const first = await quickly(() => makeKeyset({ encryption: 'x25519' }))
const left = first.forgetRetired('unchecked')
const right = first.forgetRetired('unchecked')
export type Name = 'first' | 'left' | 'right' | 'left and on' | 'both'
const KEYSETS: Record<Name, Keyset> = {
  first,
  left,
  right,
  'left and on': left.forgetRetired('unchecked'),
  both: left.adopt(right),
}

const contentsOf = (keyset: Keyset) => insidesOf(keyset, '').contents
const isAfter = (later: Keyset, earlier: Keyset) => descendsFrom(contentsOf(later), revisionOf(contentsOf(earlier)))

const named: Map<string, Name> = new Map(
  Object.entries(KEYSETS).map(([name, keyset]) => [hex(contentsOf(keyset).revision), name as Name]),
)
const shown = (bytes: Uint8Array) => named.get(hex(parseKeyset(bytes).revision)) ?? 'unknown'

export type Save = (store: StateStore, keyset: Keyset) => Promise<void>

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

export const exploreSave = (
  name: string,
  bounds: Bounds,
  names: readonly Name[],
  { stored, save = saveKeyset, make = ModelState }: { stored?: Name; save?: Save; make?: typeof ModelState } = {},
): Promise<Report> => explore(`saveKeyset, ${name}`, bounds, saving(save, stored, names, make))

interface Scene {
  readonly names: readonly Name[]
  readonly stored?: Name
}

const scenario = scenariosOf('save', (name, bounds, { names, ...more }: Scene) =>
  exploreSave(name, bounds, names, more),
)

export const SAVE: readonly Scenario[] = [
  scenario(
    { names: ['left', 'right'] },
    {
      name: 'two branches',
      sentence: 'into an empty store, two branches, and one thing goes wrong',
      bounds: { faults: 1 },
      reached: [/done/, /forked/, /no answer/],
      test: { runs: 10_000, atLeast: 100 },
    },
  ),
  scenario(
    { names: ['left', 'right'], stored: 'first' },
    {
      name: 'behind the first',
      sentence: 'behind what both descend from, with two faults, crashes and late reads',
      bounds: { faults: 2, late: { back: 2, reads: 2 } },
      reached: [/done/, /forked/, /no answer/, /crashed/],
      isRandom: true,
      test: { runs: 400, slow: 10_000, seed: 1 },
    },
  ),
  scenario(
    { names: ['left', 'left and on', 'both'], stored: 'first' },
    {
      name: 'older and newer',
      sentence: 'an older one, a newer one, and one that adopted the other branch',
      bounds: { faults: 2, late: { back: 1, reads: 1 } },
      reached: [/done/, /forked/, /conflict/],
      isRandom: true,
      test: { runs: 400, slow: 10_000, seed: 2 },
    },
  ),
  scenario(
    { names: ['left', 'right', 'left and on', 'both'], stored: 'first' },
    {
      name: 'four machines',
      sentence: 'all branches at once',
      bounds: { faults: 1 },
      reached: [/done/, /forked/],
      isRandom: true,
    },
  ),
]
