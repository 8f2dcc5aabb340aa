// Frozen vectors are never changed or removed. These are their counts: raise them when you add vectors. Three
// changes were made on purpose. In the first two, no input changed. When the error `invalid-text` came, 15 vectors of texts that people
// type got it as what they expect, instead of `limit-exceeded` or `malformed`. When recovery keys came, 7 vectors of
// profiles that have half of one got `malformed` instead of `unsupported`, and comments that say what they are now.
// When delegations came, two armor vectors of an unknown type took 24 (as `type-24`) and 23 instead of 21.
import { describe, expect, it } from 'vitest'
import * as vectors from './vectors.ts'

const FILES: readonly [number, () => readonly { readonly id: string }[]][] = [
  [95, vectors.keysetVectors],
  [2, vectors.revisionVectors],
  [10, vectors.hedgeVectors],
  [21, vectors.refVectors],
  [81, vectors.blockVectors],
  [26, vectors.packVectors],
  [118, vectors.recordVectors],
  [129, vectors.ownedRecordVectors],
  [44, vectors.logVectors],
  [8, vectors.ownedPackVectors],
  [38, vectors.inviteVectors],
  [20, vectors.sharedBlockVectors],
  [20, vectors.sharedRecordVectors],
  [41, vectors.loginVectors],
  [11, vectors.cardVectors],
  [151, vectors.profileVectors],
  [15, vectors.recoveryVectors],
  [102, vectors.resetVectors],
  [102, vectors.followsVectors],
  [59, vectors.countsVectors],
  [81, vectors.guardVectors],
  [22, vectors.verifierVectors],
  [61, vectors.keyringVectors],
  [21, vectors.vaultBlockVectors],
  [13, vectors.typedKeyVectors],
  [24, vectors.clientBlockVectors],
  [65, vectors.proofVectors],
  [13, vectors.accountVectors],
  [40, vectors.deviceVectors],
  [37, vectors.escrowVectors],
  [28, vectors.registrationVectors],
  [17, vectors.legacyBlockVectors],
  [8, vectors.recoveryKeyVectors],
  [34, vectors.codeVectors],
  [72, vectors.partsVectors],
  [196, vectors.slotsVectors],
  [131, vectors.armorVectors],
  [150, vectors.delegationVectors],
  [98, vectors.delegatedHeadVectors],
]

describe('each vector file', () => {
  it.each(FILES)('has %i vectors with unique ids', (count, read) => {
    const ids = read().map(({ id }) => id)
    expect(ids).toHaveLength(count)
    expect(new Set(ids).size).toBe(count)
  })
})
