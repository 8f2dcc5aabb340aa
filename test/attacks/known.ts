// What the adversaries of several rows have: keysets, and what is inside them.
import { parseEnvelope, unmaskKey } from '../../src/keyset/envelope.ts'
import { insidesOf } from '../../src/keyset/keyset.ts'
import type { SealedBlock } from '../../src/index.ts'
import { Identity } from '../../src/core/key-pairs.ts'
import { type KeysetContents } from '../../src/keyset/exports.ts'
import { type SecretKey } from '../../src/core/secret.ts'
import { makeKeyset, quickly, unhex } from '../fixtures.ts'

/** A keyset whose password costs nothing; unlock it `quickly` too. */
export const quickKeyset = (options?: Parameters<typeof makeKeyset>[0]): Promise<KeysetReader> =>
  quickly(() => makeKeyset(options))

/** Everything in a keyset, as its owner's own code sees it. */
export const insides = (of: KeysetReader): KeysetContents => insidesOf(of, 'keyset').contents

/** The block key of a block, as a share's recipient, or another holder of the dedup key, may hold it. */
export function blockKeyOf(block: SealedBlock, owner: KeysetReader): SecretKey<'block'> {
  const { header, encrypted } = parseEnvelope(block.envelope)
  return unmaskKey({ header, encrypted: encrypted! }, new Identity(insides(owner).blockPair), unhex(block.label))
}
