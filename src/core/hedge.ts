// Hedged randomness (SPEC §19.1). A cloned machine, or one that resumes from a snapshot, may draw the same random bytes
// again. So a value that must be unique also depends on a secret key and on everything that it is used with. Where the
// random bytes are good, the value is random.
import { hmacSha256 } from '../primitives/hash.ts'
import { deriveKey } from '../primitives/kdf.ts'
import { randomBytes } from '../primitives/random.ts'
import { type Bytes, copyOf, lengthPrefixed } from './bytes.ts'
import { type Role, type SecretKey, wiping } from './secret.ts'

/** Returns 32 random bytes, hedged with a key and with the other inputs. */
export function hedged(key: SecretKey<Role>, label: string, ...parts: readonly Uint8Array[]): Bytes {
  using hedgeKey = deriveKey('mac', key, label, [], 32)
  const random = randomBytes(32)
  using _ = wiping(random)
  return hmacSha256(hedgeKey, random, ...parts)
}

/**
 * Returns the nonce, 32 bytes, of one LOCK under `key`.
 * @param digest the SHA-256 of the content
 * @param parameters the stored fields that the associated data covers, without the nonce and the commitment
 */
export function hedgedNonce(
  key: SecretKey<Role>,
  digest: Uint8Array,
  headerBytes: Uint8Array,
  parameters: Uint8Array,
  context: Uint8Array,
): Bytes {
  return hedged(key, 'hedge', ...[digest, headerBytes, parameters, context].map(lengthPrefixed))
}

/** Returns an id of 16 bytes for something that is made once, hedged with what it is for. */
export function hedgedId(key: SecretKey<Role>, label: string, ...parts: readonly Uint8Array[]): Bytes {
  return copyOf(hedged(key, label, ...parts).subarray(0, 16))
}
