// The cards of the planted keyset, as the second reader has them.
import type { KeyPair } from '../../src/core/key-pairs.ts'
import { withBytes } from '../../src/core/secret.ts'
import { hex } from '../fixtures.ts'
import { plantedContents } from '../keyset/planted.ts'
import { type AdminPair, fingerprintOf } from '../spec-reader-vault.ts'

export const pairOf = ({ privateHalves, publicHalves }: KeyPair): AdminPair => ({
  skX: Buffer.from(withBytes(privateHalves.x25519, hex), 'hex'),
  seedM: Buffer.from(withBytes(privateHalves.mlKem1024, hex), 'hex'),
  pkX: Buffer.from(publicHalves.x25519),
  pkM: Buffer.from(publicHalves.mlKem1024),
})

/** Its own card first, and then those of the sources that it has adopted. */
export function plantedCards(): { fingerprint: string; pair: AdminPair }[] {
  const { additional, sourceSigning, adopted } = plantedContents()
  const own = { ...additional!, sourceSigning: sourceSigning.publicKey }
  return [own, ...adopted.map(({ keys }) => keys!)].map((keys) => {
    const [pair, signing] = [pairOf(keys.sharing), Buffer.from(keys.cardSigning.publicKey)]
    return { pair, fingerprint: fingerprintOf(pair, signing, Buffer.from(keys.sourceSigning)) }
  })
}
