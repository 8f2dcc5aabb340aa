// Two or three branches of a keyset change, split, and adopt each other in random orders. A model of sets says which
// blocks each must open, which shares it must have, and which revisions it must accept as a floor.
import { describe, it } from 'vitest'
import { withAdopted } from '../../src/keyset/adopt.ts'
import { assertComplete, type CompleteContents } from '../../src/keyset/changes.ts'
import type { DraftContents } from '../../src/keyset/exports.ts'
import { insidesOf, unlockedNext } from '../../src/keyset/keyset.ts'
import { historyAfter } from '../../src/keyset/revision.ts'
import { ADOPT, type Adopt, exploreAdopt } from './adopt-scene.ts'
import { expectCaught, testScenarios, TIMEOUT } from './expecting.ts'

describe('adopt', () => testScenarios(ADOPT))

describe('the explorer notices', { timeout: TIMEOUT }, () => {
  /** An adopt that leaves something out of the other keyset, or spoils the result. */
  const lacking =
    (
      other: (contents: CompleteContents) => CompleteContents,
      result: (draft: DraftContents, own: CompleteContents) => DraftContents = (draft) => draft,
    ): Adopt =>
    (own, given) => {
      const { contents, master, allowWeaker } = insidesOf(own, '')
      const complete = assertComplete(contents, '')
      const draft = withAdopted(complete, other(assertComplete(insidesOf(given, '').contents, '')))
      return unlockedNext(result(draft, complete), master.copy(), allowWeaker)
    }

  it.each<[string, Adopt, RegExp]>([
    [
      'a share that comes back',
      lacking((other) => ({ ...other, additional: { ...other.additional, revoked: [] } })),
      /other shares|other revoked/,
    ],
    [
      'a share that is lost',
      lacking((other) => ({ ...other, additional: { ...other.additional, shares: [] } })),
      /other shares/,
    ],
    [
      'a pair that is lost',
      lacking((other) => ({ ...other, additional: { ...other.additional, retired: [] } })),
      /cannot open a block|another key pair/,
    ],
    [
      'a history of one branch alone',
      lacking(
        (other) => other,
        (draft, own) => ({ ...draft, history: historyAfter(own) }),
      ),
      /does not descend/,
    ],
  ])('%s', async (name, adopt, message) => {
    expectCaught(await exploreAdopt(name, { seed: 2, runs: 40, violations: 3 }, { branches: 2, adopt }), message)
  })
})
