// Hedged randomness (SPEC §4.4). A cloned machine, or one that resumes from a snapshot, may draw the same random bytes
// again. So a value that must be unique also depends on a secret key and on everything that it is used with. Where the
// random bytes are good, the value is random.
import { hmacSha256 } from '../primitives/hash.ts'
import { deriveKey } from '../primitives/kdf.ts'
import { fillRandomly, randomBytes } from '../primitives/random.ts'
import { allocate, type Bytes, concat, copyOf, withFields } from './bytes.ts'
import { type Role, SecretKey, wiping } from './secret.ts'

/** Returns 32 random bytes, hedged with a key that {@link deriveHedgeKey} derived, and with the other inputs. */
export function hedgedUnder(hedgeKey: SecretKey<'hedge'>, ...parts: readonly Uint8Array[]): Bytes {
  return hedgedInputs(hedgeKey, concat(ROOM, ...parts))
}

/** The room for the random bytes before the other inputs. */
const ROOM = /* @__PURE__ */ allocate(32)

/** Fills the room before the inputs with random bytes, computes the hedged value, and wipes all of them. */
function hedgedInputs(hedgeKey: SecretKey<'hedge'>, inputs: Bytes): Bytes {
  // The digest of a short content is almost as secret as the content.
  using _ = wiping(inputs)
  fillRandomly(inputs.subarray(0, ROOM.length))
  return hmacSha256(hedgeKey, inputs)
}

/** Derives the key that hedges values with this label. */
export function deriveHedgeKey(key: SecretKey<Role>, label: string): SecretKey<'hedge'> {
  return deriveKey('hedge', key, label, [], 32)
}

/** What a nonce is used with. */
export interface NonceInputs {
  /** The SHA-256 of the content. */
  readonly digest: Uint8Array
  readonly headerBytes: Uint8Array
  /** The stored fields that the associated data covers, without the nonce and the commitment. */
  readonly parameters: Uint8Array
  readonly context: Uint8Array
}

/** The label of the key that hedges nonces. */
export const HEDGE = 'hedge'

/** Returns the nonce, 32 bytes, of one LOCK under `key`. */
export function hedgedNonce(key: SecretKey<Role>, inputs: NonceInputs): Bytes {
  using hedgeKey = deriveHedgeKey(key, HEDGE)
  return hedgedNonceUnder(hedgeKey, inputs)
}

/** Does the same as {@link hedgedNonce}, under a key that was derived before with the label {@link HEDGE}. */
export function hedgedNonceUnder(
  hedgeKey: SecretKey<'hedge'>,
  { digest, headerBytes, parameters, context }: NonceInputs,
): Bytes {
  return hedgedInputs(hedgeKey, withFields(ROOM, digest, headerBytes, parameters, context))
}

/** Returns an id of 16 bytes for something that is made once, hedged with what it is for. */
export function hedgedId(key: SecretKey<Role>, label: string, ...parts: readonly Uint8Array[]): Bytes {
  using hedgeKey = deriveHedgeKey(key, label)
  return copyOf(hedgedUnder(hedgeKey, ...parts).subarray(0, 16))
}

/** Returns the ephemeral X25519 key for sealing one secret (SPEC §4.3). */
export function hedgedEphemeral(secret: Uint8Array, headerBytes: Uint8Array, context: Uint8Array): SecretKey<'x25519'> {
  const random = randomBytes(32)
  using _ = wiping(random)
  using material = SecretKey.take('hedge', concat(random, secret))
  return deriveKey('x25519', material, 'hedge-seal', [headerBytes, context], 32)
}
