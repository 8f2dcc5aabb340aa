// Two machines settle writes of one object, with everything that can go wrong. `written` must be true exactly if the
// bytes are stored at that version, and `taken` exactly if others are.
import { CheckedStore } from '../../src/state/checked.ts'
import { type Outcome, writeSettled } from '../../src/state/settle.ts'
import type { StateStore } from '../../src/stores.ts'
import { ALL_FAULTS, type Bounds, explore, type Report, type Run } from './explorer.ts'
import { type Scenario, scenariosOf } from './scenario.ts'
import { ModelState } from './stores.ts'

export const textOf: (bytes: Uint8Array) => string = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const bytesOf = (text: string) => new TextEncoder().encode(text)

export type Settle = (store: StateStore, name: string, version: number, bytes: Uint8Array) => Promise<Outcome>

export const real: Settle = (store, name, version, bytes) => writeSettled(new CheckedStore(store), name, version, bytes)

/** Each machine writes its versions one after the other. */
const settling =
  (settle: Settle, versions: Readonly<Record<string, readonly number[]>>, state: () => ModelState) =>
  async (run: Run): Promise<readonly string[]> => {
    const store = state()
    const told: [string, number, Outcome][] = []
    const machines = Object.entries(versions).map(([name, each]) =>
      run.add(name, async (machine) => {
        const seen = store.as(machine)
        for (const version of each) {
          const outcome = await settle(seen, 'x', version, bytesOf(`${name}${version}`))
          told.push([name, version, outcome])
          if (outcome === 'written' && version > 1) await seen.drop('x', version)
        }
      }),
    )
    await run.play()
    for (const [name, version, outcome] of told) {
      const stored = store.at('x', version)
      const isOwn = stored !== undefined && textOf(stored.bytes) === `${name}${version}`
      if (outcome === 'written' && !isOwn) run.violation(`${name} was told that v${version} is written, but it is not`)
      if (outcome === 'taken' && (stored === undefined || isOwn))
        run.violation(`${name} was told that v${version} is taken, but it is not`)
    }
    const stopped = machines.flatMap(({ outcome }) => (outcome === 'done' ? [] : [String(outcome)]))
    return [...told.map(([, , outcome]) => outcome), ...stopped]
  }

export const exploreSettle = (
  name: string,
  bounds: Bounds,
  settle: Settle = real,
  versions: Readonly<Record<string, readonly number[]>> = TWO,
  state: () => ModelState = () => new ModelState(textOf),
): Promise<Report> => explore(`settle, ${name}`, bounds, settling(settle, versions, state))

export const TWO: Readonly<Record<string, readonly number[]>> = { A: [1, 2], B: [1, 2] }

const scenario = scenariosOf('settle', (name, bounds, versions: typeof TWO) =>
  exploreSettle(name, bounds, real, versions),
)

export const SETTLE: readonly Scenario[] = [
  scenario(TWO, {
    name: 'two machines',
    sentence: 'tell the truth whatever goes wrong once, or twice with SLOW=1',
    bounds: { faults: 1, kinds: ALL_FAULTS },
    harder: { faults: 4, late: { back: 2, reads: 3 }, oneIn: 8 },
    reached: [/written/, /taken/, /crashed/, /no answer/],
    test: { runs: 6000, slow: 400_000, slowBounds: { faults: 2, kinds: ALL_FAULTS }, atLeast: 2500 },
  }),
  scenario(TWO, {
    name: 'three faults',
    sentence: 'tell the truth whatever goes wrong three times, with late reads',
    bounds: { faults: 3, late: { back: 2, reads: 2 } },
    reached: [/unknown/, /taken/, /no answer/],
    isRandom: true,
    test: { runs: 6000, slow: 100_000, seed: 1 },
  }),
  scenario(
    { A: [1], B: [1, 2, 3] },
    {
      name: 'drops',
      sentence: 'tell the truth to a machine that is slow, while another goes on and drops versions',
      bounds: { faults: 2, late: { back: 1, reads: 1 } },
      reached: [/unknown/, /taken/],
      isRandom: true,
      test: { runs: 4000, slow: 100_000, seed: 2 },
    },
  ),
  scenario(
    { A: [1, 2], B: [1, 2], C: [1, 2] },
    {
      name: 'three machines',
      sentence: 'tell the truth to three machines',
      bounds: { faults: 1, kinds: ['repeated', 'late'] },
      reached: [/written/, /taken/],
    },
  ),
]
