// Several machines change one stored keyset with changeKeyset, and the explorer lets everything go wrong that a store
// may do. No acknowledged change may be lost, none may be made twice, and no machine may get an alarm that is false.
import { describe, it } from 'vitest'
import { changeKeyset, KeystrataError } from '../../src/index.ts'
import { openKeyset, parseKeyset } from '../../src/keyset/exports.ts'
import { insidesOf, unlocked } from '../../src/keyset/keyset.ts'
import { hex } from '../fixtures.ts'
import { expectCaught, testScenarios, TIMEOUT } from './expecting.ts'
import { NoAnswer } from './explorer.ts'
import { type ChangeKeyset, exploreKeyset, keyIdIn, KEYSET, keysetOf } from './keyset-scene.ts'
import { ModelState } from './stores.ts'

describe('machines that change one keyset', () => testScenarios(KEYSET))

describe('the explorer notices', { timeout: TIMEOUT }, () => {
  const bounds = { faults: 1, runs: 200, seed: 4, violations: 3 }

  /** Changes a keyset as a program would that does not remember what it tried, and checks nothing. */
  const forgetful =
    (captured = false): ChangeKeyset =>
    async (store, keyset, change) => {
      for (;;) {
        const { version, bytes } = (await store.read('keyset'))!
        const parsed = parseKeyset(bytes)
        const { master } = insidesOf(keyset, '')
        if (hex(parsed.header.keyId) !== keyIdIn(keyset)) throw new KeystrataError('wrong-password')
        const changed = await change(captured ? keyset : unlocked(openKeyset(parsed, master), master.copy(), undefined))
        try {
          if (await store.write('keyset', version + 1, keysetOf(changed).export('storage'))) {
            await store.drop('keyset', version + 1)
            return changed
          }
        } catch (error) {
          if (!(error instanceof NoAnswer)) throw error
        }
      }
    }

  it('a machine that tries again without a look at the history', async () => {
    const lossy = { ...bounds, kinds: ['lost', 'repeated'] as const }
    expectCaught(
      await exploreKeyset('a forgetful machine', lossy, ['regenerate', 'regenerate'], forgetful()),
      /is in twice/,
    )
  })

  it('a machine that makes its change to a handle from before', async () => {
    const report = await exploreKeyset(
      'a captured handle',
      { ...bounds, faults: 0 },
      ['revoke', 'revoke'],
      forgetful(true),
    )
    expectCaught(report, /acknowledged change is lost/)
  })

  it('a machine that does not say that its change is in', async () => {
    const lossy = { ...bounds, kinds: ['lost'] as const, runs: 1000 }
    expectCaught(
      await exploreKeyset('wrong-password without written', lossy, ['nothing', 'master'], forgetful()),
      /wrong-password, written undefined, but in is/,
    )
  })

  it('a store that writes without a look at the version', async () => {
    class Blind extends ModelState {
      override succeeds(): boolean {
        return true
      }
    }
    const report = await exploreKeyset(
      'a blind store',
      { ...bounds, faults: 0 },
      ['revoke', 'revoke'],
      changeKeyset,
      Blind,
    )
    expectCaught(report, /acknowledged change is lost/)
  })

  it('a store that keeps what it was told to drop', async () => {
    class Hoarding extends ModelState {
      override drop(): void {
        // It says that it dropped the versions, but keeps them.
      }
    }
    const report = await exploreKeyset(
      'a hoarding store',
      { ...bounds, faults: 0 },
      ['nothing', 'master'],
      changeKeyset,
      Hoarding,
    )
    expectCaught(report, /an old version is left/)
  })
})
