// What the adversaries of several rows have: keysets, and what is inside them.
import type { Keyset, SealedBlock } from '../../src/index.ts'
import { type MaskedEnvelope, parseEnvelope, unmaskKey } from '../../src/keyset/mask.ts'
import { insidesOf } from '../../src/keyset/keyset.ts'
import { Identity } from '../../src/core/key-pairs.ts'
import { type KeysetContents } from '../../src/keyset/exports.ts'
import { type SecretKey } from '../../src/core/secret.ts'
import { makeKeyset, quickly, unhex } from '../fixtures.ts'

/** A keyset whose password costs nothing; unlock it `quickly` too. */
export const quickKeyset = (options?: Parameters<typeof makeKeyset>[0]): Promise<Keyset> =>
  quickly(() => makeKeyset(options))

/** Everything in a keyset, as its owner's own code sees it. */
export const insides = (of: Keyset): KeysetContents => insidesOf(of, 'keyset').contents

/** The block key of a block, as a share's recipient, or another holder of the dedup key, may hold it. */
export function blockKeyOf(block: SealedBlock, owner: Keyset): SecretKey<'block'> {
  const envelope = parseEnvelope(block.envelope) as MaskedEnvelope
  return unmaskKey(envelope, new Identity(insides(owner).blockPair), unhex(block.label))
}
