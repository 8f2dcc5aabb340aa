// What several of the attack tests need: keysets, and access to what is inside them.
import type { Keyset, SealedBlock } from '../../src/index.ts'
import { type MaskedEnvelope, parseEnvelope, unmaskKey } from '../../src/keyset/mask.ts'
import { insidesOf } from '../../src/keyset/keyset.ts'
import { Identity } from '../../src/core/key-pairs.ts'
import { type KeysetContents } from '../../src/keyset/exports.ts'
import { type SecretKey } from '../../src/core/secret.ts'
import { makeKeyset, quickly, unhex } from '../fixtures.ts'

/** Creates a keyset with a fast password hash; unlock it inside `quickly` too. */
export const quickKeyset = (options?: Parameters<typeof makeKeyset>[0]): Promise<Keyset> =>
  quickly(() => makeKeyset(options))

/** Returns all contents of a keyset, as the owner's own code sees them. */
export const insides = (of: Keyset): KeysetContents => insidesOf(of, 'keyset').contents

/** Returns the block key of a block, which a share's recipient or another holder of the dedup key may know. */
export function blockKeyOf(block: SealedBlock, owner: Keyset): SecretKey<'block'> {
  const envelope = parseEnvelope(block.envelope) as MaskedEnvelope
  return unmaskKey(envelope, new Identity(insides(owner).blockPair), unhex(block.label))
}
