// Two machines settle writes of one object, with everything that can go wrong. `written` must be true exactly if the
// bytes are stored at that version, and `taken` exactly if others are.
import { describe, it } from 'vitest'
import { CheckedStore } from '../../src/state/checked.ts'
import { writeSettled } from '../../src/state/settle.ts'
import { expectCaught, testScenarios, TIMEOUT } from './expecting.ts'
import { exploreSettle, real, type Settle, SETTLE, textOf, TWO } from './settle-scene.ts'
import { ModelState } from './stores.ts'

describe('machines that settle writes', () => testScenarios(SETTLE))
describe('the explorer notices', { timeout: TIMEOUT }, () => {
  const bounds = { faults: 1, runs: 20_000, violations: 20 }

  it('a writer that takes false for an answer', async () => {
    const trusting: Settle = async (store, name, version, bytes) =>
      (await store.write(name, version, bytes)) ? 'written' : 'taken'
    expectCaught(await exploreSettle('false is an answer', bounds, trusting), /taken, but it is not/)
  })

  it('a writer that takes an exception for an answer', async () => {
    const trusting: Settle = (store, name, version, bytes) =>
      writeSettled(
        new CheckedStore({ ...store, write: (...call) => store.write(...call).catch(() => true) }),
        name,
        version,
        bytes,
      )
    expectCaught(await exploreSettle('an exception is an answer', bounds, trusting), /written, but it is not/)
  })

  it('a writer that compares with the newest version', async () => {
    const trusting: Settle = async (store, name, version, bytes) => {
      if (await store.write(name, version, bytes)) return 'written'
      const newest = await store.read(name)
      return newest !== undefined && textOf(newest.bytes) === textOf(bytes) ? 'written' : 'taken'
    }
    const found = await exploreSettle('the newest version', { ...bounds, kinds: ['repeated'] }, trusting, {
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
      await exploreSettle('a store that always says true', { runs: 1000 }, real, TWO, () => new Twice(textOf)),
      /written, but it is not/,
    )
  })
})
