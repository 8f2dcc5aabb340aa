// Computes a hedged value with this library, from given random bytes.
import { deriveHedgeKey, hedgedEphemeral, hedgedNonce, hedgedUnder } from '../../src/core/hedge.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { sha256 } from '../../src/primitives/hash.ts'
import { withRandomness } from '../fixtures.ts'
import type { HedgeVector } from './vectors.ts'

/** What a value is hedged with. */
export type HedgeOf = Readonly<
  Record<'key' | 'random' | 'content' | 'header' | 'params' | 'context', Uint8Array<ArrayBuffer>>
>

export function hedgedValue(kind: HedgeVector['kind'], of: HedgeOf): Uint8Array {
  const { random, content, header, params: parameters, context } = of
  const key = new SecretKey('data', of.key)
  const digest = sha256(content)
  return withRandomness([random], () => {
    switch (kind) {
      case 'nonce':
        return hedgedNonce(key, { digest, headerBytes: header, parameters, context })
      case 'block-key':
        return hedgedUnder(deriveHedgeKey(key, 'hedge-block'), digest, context)
      case 'ephemeral':
        return withBytes(hedgedEphemeral(content, header, context), (bytes) => new Uint8Array(bytes))
    }
  })
}
