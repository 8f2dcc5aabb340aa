// The only key derivation: HKDF-SHA-512 (RFC 5869), with a label for every purpose (SPEC §1.3).
import { type Bytes, concat, domain, EMPTY, u16, withFields } from '../core/bytes.ts'
import { type Role, SecretKey, withBytes } from '../core/secret.ts'
import type { Hkdf } from './backend.ts'
import { choose } from './choice.ts'
import { nodeHkdf } from './node.ts'
import { portableHkdf } from './portable.ts'

export const hkdf: () => Hkdf = choose(nodeHkdf, portableHkdf)

const MAX_INFO_BYTES = 1024

/**
 * Computes `KDF(key, salt, label, [context…], length)`. The caller wipes the result, or turns it into a
 * {@link SecretKey}.
 */
export function derive(
  key: SecretKey<Role>,
  salt: Uint8Array,
  label: string,
  context: readonly Uint8Array[],
  length: number,
): Bytes {
  return deriveFor(key, salt, kdfInfo(label, context, length), length)
}

/** Returns the `info` that {@link derive} uses. It is not secret. Make it once for keys that are derived often. */
export function kdfInfo(label: string, context: readonly Uint8Array[], length: number): Bytes {
  const info = concat(withFields(domain(label), ...context), u16(length))
  // Node accepts no more than this, and every platform must derive the same keys.
  if (info.length > MAX_INFO_BYTES) throw new RangeError(`too much context to derive a key: ${info.length} bytes`)
  return info
}

/** Does the same as {@link derive}, with an `info` that {@link kdfInfo} made for this length. */
export function deriveFor(key: SecretKey<Role>, salt: Uint8Array, info: Uint8Array, length: number): Bytes {
  return withBytes(key, (bytes) => hkdf().hkdf('sha512', bytes, salt, info, length))
}

/** Derives a key with the given role. Otherwise the same as {@link derive}. */
export function deriveKey<R extends Role>(
  role: R,
  key: SecretKey<Role>,
  label: string,
  context: readonly Uint8Array[],
  length: number,
): SecretKey<R> {
  return SecretKey.adopt(role, derive(key, EMPTY, label, context, length))
}
