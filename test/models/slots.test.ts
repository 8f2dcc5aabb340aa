// Machines change the recovery slots of one keyset, and its master key, at one time. Whatever happens, the sheet in the
// drawer opens something, and once the slots were renewed, what was acknowledged holds.
import { describe, it } from 'vitest'
import { renewSlots } from '../../src/recovery.ts'
import { expectCaught, testScenarios, TIMEOUT } from './expecting.ts'
import { exploreSlots, SLOTS } from './slots-scene.ts'
import { ModelState } from './stores.ts'

describe('recovery slots that several machines change', () => testScenarios(SLOTS))

describe('the explorer notices', { timeout: TIMEOUT }, () => {
  it('an owner who drops the old keysets before the slots are renewed', async () => {
    const renew: typeof renewSlots = async (store, keyset) => {
      const newest = await store.read('keyset')
      await store.drop('keyset', newest!.version)
      return renewSlots(store, keyset)
    }
    const report = await exploreSlots('early drops', { faults: 1, runs: 500, violations: 3 }, { replaces: 1, renew })
    expectCaught(report, /the sheet opens nothing/)
  })

  it('an owner who does not renew the slots', async () => {
    const renew: typeof renewSlots = () => Promise.resolve([])
    const report = await exploreSlots('no renewal', { runs: 20, violations: 1 }, { replaces: 1, renew })
    expectCaught(report, /the slots were renewed, and the sheet is out of date/)
  })

  it('a store that writes without a look at the version', async () => {
    class Blind extends ModelState {
      override succeeds(): boolean {
        return true
      }
    }
    const scene = { adds: true, removes: true, make: Blind }
    expectCaught(
      await exploreSlots('a blind store', { runs: 1000, violations: 3 }, scene),
      /an acknowledged slot is lost|an acknowledged removal is undone/,
    )
  })

  it('a store that keeps what it was told to drop', async () => {
    class Hoarding extends ModelState {
      override drop(): void {
        // It says that it dropped the versions, but keeps them.
      }
    }
    const scene = { replaces: 1, make: Hoarding }
    expectCaught(
      await exploreSlots('a hoarding store', { runs: 20, violations: 1 }, scene),
      /the old password opens a keyset/,
    )
  })
})
