// Frozen vectors are never changed or removed. These are their counts: raise them when you add vectors. Three
// changes were made on purpose. In the first two, no input changed. When the error `invalid-text` came, 15 vectors of texts that people
// type got it as what they expect, instead of `limit-exceeded` or `malformed`. When recovery keys came, 7 vectors of
// profiles that have half of one got `malformed` instead of `unsupported`, and comments that say what they are now.
// When delegations came, two armor vectors of an unknown type took 24 (as `type-24`) and 23 instead of 21.
import { describe, expect, it } from 'vitest'
import * as vectors from './vectors.ts'

const FILES: readonly [number, () => readonly { readonly id: string }[]][] = [
  [146, vectors.keysetVectors],
  [2, vectors.revisionVectors],
  [10, vectors.hedgeVectors],
  [22, vectors.refVectors],
  [106, vectors.blockVectors],
  [42, vectors.packVectors],
  [139, vectors.recordVectors],
  [129, vectors.ownedRecordVectors],
  [81, vectors.logVectors],
  [8, vectors.ownedPackVectors],
  [58, vectors.inviteVectors],
  [20, vectors.sharedBlockVectors],
  [20, vectors.sharedRecordVectors],
  [42, vectors.loginVectors],
  [28, vectors.cardVectors],
  [152, vectors.profileVectors],
  [18, vectors.recoveryVectors],
  [105, vectors.resetVectors],
  [102, vectors.followsVectors],
  [60, vectors.countsVectors],
  [97, vectors.guardVectors],
  [23, vectors.verifierVectors],
  [61, vectors.keyringVectors],
  [30, vectors.vaultBlockVectors],
  [13, vectors.typedKeyVectors],
  [31, vectors.clientBlockVectors],
  [99, vectors.proofVectors],
  [28, vectors.accountVectors],
  [126, vectors.deviceVectors],
  [66, vectors.escrowVectors],
  [57, vectors.registrationVectors],
  [30, vectors.legacyBlockVectors],
  [8, vectors.recoveryKeyVectors],
  [36, vectors.codeVectors],
  [72, vectors.partsVectors],
  [198, vectors.slotsVectors],
  [131, vectors.armorVectors],
  [157, vectors.delegationVectors],
  [104, vectors.delegatedHeadVectors],
]

describe('each vector file', () => {
  it.each(FILES)('has %i vectors with unique ids', (count, read) => {
    const ids = read().map(({ id }) => id)
    expect(ids).toHaveLength(count)
    expect(new Set(ids).size).toBe(count)
  })
})
