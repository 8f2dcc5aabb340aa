// Two machines settle writes of one object, with everything that can go wrong. `written` must be true exactly if the
// bytes are stored at that version, and `taken` exactly if others are.
import { describe, it } from 'vitest'
import { CheckedStore } from '../../src/state/checked.ts'
import { type Outcome, writeSettled } from '../../src/state/settle.ts'
import type { StateStore } from '../../src/stores.ts'
import { numRuns } from '../fixtures.ts'
import {
  ALL_FAULTS,
  type Bounds,
  expectCaught,
  expectSound,
  explore,
  type Report,
  type Run,
  TIMEOUT,
} from './explorer.ts'
import { ModelState } from './stores.ts'

const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const bytesOf = (text: string) => new TextEncoder().encode(text)

type Settle = (store: StateStore, name: string, version: number, bytes: Uint8Array) => Promise<Outcome>

const real: Settle = (store, name, version, bytes) => writeSettled(new CheckedStore(store), name, version, bytes)

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

const explored = (
  name: string,
  bounds: Bounds,
  settle = real,
  versions = TWO,
  state = () => new ModelState(textOf),
): Promise<Report> => explore(`settle, ${name}`, bounds, settling(settle, versions, state))

const TWO = { A: [1, 2], B: [1, 2] }

describe('writeSettled by two machines', { timeout: TIMEOUT }, () => {
  it('tells the truth whatever goes wrong once, or twice with SLOW=1', async () => {
    const faults = numRuns(1, 2)
    const bounds = { faults, kinds: ALL_FAULTS, runs: numRuns(6000, 400_000) }
    const report = await explored(`${faults} faults at most`, bounds)
    expectSound(report, { runs: 2500, reached: [/written/, /taken/, /crashed/, /no answer/] })
  })

  it('tells the truth whatever goes wrong three times, with late reads', async () => {
    const bounds = { faults: 3, late: { back: 2, reads: 2 }, seed: 1, runs: numRuns(6000, 100_000) }
    const report = await explored('three faults', bounds)
    expectSound(report, { runs: 6000, reached: [/unknown/, /taken/, /no answer/] })
  })

  it('tells the truth to a machine that is slow, while another goes on and drops versions', async () => {
    const bounds = { faults: 2, late: { back: 1, reads: 1 }, seed: 2, runs: numRuns(4000, 100_000) }
    const report = await explored('drops', bounds, real, { A: [1], B: [1, 2, 3] })
    expectSound(report, { runs: 4000, reached: [/unknown/, /taken/] })
  })
})

describe('the explorer notices', { timeout: TIMEOUT }, () => {
  const bounds = { faults: 1, runs: 20_000, violations: 20 }

  it('a writer that takes false for an answer', async () => {
    const trusting: Settle = async (store, name, version, bytes) =>
      (await store.write(name, version, bytes)) ? 'written' : 'taken'
    expectCaught(await explored('false is an answer', bounds, trusting), /taken, but it is not/)
  })

  it('a writer that takes an exception for an answer', async () => {
    const trusting: Settle = (store, name, version, bytes) =>
      writeSettled(
        new CheckedStore({ ...store, write: (...call) => store.write(...call).catch(() => true) }),
        name,
        version,
        bytes,
      )
    expectCaught(await explored('an exception is an answer', bounds, trusting), /written, but it is not/)
  })

  it('a writer that compares with the newest version', async () => {
    const trusting: Settle = async (store, name, version, bytes) => {
      if (await store.write(name, version, bytes)) return 'written'
      const newest = await store.read(name)
      return newest !== undefined && textOf(newest.bytes) === textOf(bytes) ? 'written' : 'taken'
    }
    const found = await explored('the newest version', { ...bounds, kinds: ['repeated'] }, trusting, {
      A: [1],
      B: [1, 2],
    })
    expectCaught(found, /taken, but it is not/)
  })

  it('a store in which two writers get true', async () => {
    class Twice extends ModelState {
      override write(name: string, version: number, bytes: Uint8Array): boolean {
        super.write(name, version, bytes)
        return true
      }
    }
    expectCaught(
      await explored('a store that always says true', { runs: 1000 }, real, TWO, () => new Twice(textOf)),
      /written, but it is not/,
    )
  })
})
