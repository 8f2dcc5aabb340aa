// Machines that went apart save their keysets to one store, stop, and save again. What was acknowledged must stay: in
// what is stored, or in its history. `forked` and `conflict` must be true.
import { describe, it } from 'vitest'
import { KeystrataError } from '../../src/index.ts'
import { expectCaught, testScenarios, TIMEOUT } from './expecting.ts'
import { exploreSave, type Save, SAVE } from './save-scene.ts'
import { ModelState } from './stores.ts'

describe('machines that save their keysets', () => testScenarios(SAVE))
describe('the explorer notices', { timeout: TIMEOUT }, () => {
  const bounds = { faults: 1, runs: 1000, violations: 5 }

  it('a machine that writes behind whatever is stored', async () => {
    const save: Save = async (store, keyset) => {
      const version = ((await store.read('keyset'))?.version ?? 0) + 1
      if (!(await store.write('keyset', version, keyset.export('storage')))) throw new KeystrataError('conflict')
    }
    const report = await exploreSave('a machine that does not look', bounds, ['left', 'right'], { save })
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
    const report = await exploreSave('a machine that repeats itself', { ...bounds, kinds: ['lost'] }, ['left'], {
      save,
    })
    expectCaught(report, /stored twice/)
  })

  it('a store that writes without a look at the version', async () => {
    class Blind extends ModelState {
      override succeeds(): boolean {
        return true
      }
    }
    const report = await exploreSave('a blind store', { runs: 1000, violations: 5 }, ['left', 'right'], { make: Blind })
    expectCaught(report, /is acknowledged, and lost/)
  })
})
