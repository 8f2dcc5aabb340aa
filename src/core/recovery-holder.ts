// What key models know of recovery keys (SPEC §20.1): their public keys as bytes, and what a handle can do with the private
// ones. `recovery/` derives the handles, and registers them here.
import type { KeystrataError } from './errors.ts'
import { type Bytes, equalBytes } from './bytes.ts'
import { SIGNATURE_BYTES } from '../primitives/signature.ts'
import { bytes, type Codec, ownBytes, struct } from './codec.ts'
import { keyNotFound } from './header.ts'
import { type PublicHalves, publicKeyId, Recipient } from './key-pairs.ts'
import type { Handle } from './secret.ts'
import { Strength } from './suite.ts'
import type { SecretPlace } from './wrap.ts'

/**
 * Key pairs that follow from a secret: from a recovery code, from parts of one, or from 32 bytes that a device keeps. Only this
 * secret opens what is sealed to them.
 * @example
 * ```ts
 * import type { Keyset } from 'keystrata'
 * import { addSlot, type RecoveryKey } from 'keystrata/recovery'
 * import type { StateStore } from 'keystrata/stores'
 *
 * function addSheet(store: StateStore, keyset: Keyset, key: RecoveryKey) {
 *   return addSlot(store, keyset, key, { label: 'Sheet in the safe' })
 * }
 * ```
 */
export interface RecoveryKey extends Handle {
  /** What it was derived from. The same code gives the same keys as `code` and as `split`. */
  readonly kind: 'code' | 'split' | 'secret'
}

/** The public keys of a recovery key, 1,632 bytes when encoded. */
export interface RecoveryPublicKeys {
  readonly x25519: Bytes
  readonly mlKem1024: Bytes
  /** An Ed25519 public key. */
  readonly signing: Bytes
}

export const recoveryPublicKeys: Codec<RecoveryPublicKeys> = struct({
  x25519: ownBytes(32),
  mlKem1024: ownBytes(1568),
  signing: ownBytes(32),
})

/** Public keys of a recovery key, and its signature over what it may open. */
export interface SignedRecoveryKeys {
  readonly keys: RecoveryPublicKeys
  readonly signature: Uint8Array
}

export const signedRecoveryKeys: Codec<SignedRecoveryKeys> = struct({
  keys: recoveryPublicKeys,
  signature: bytes(SIGNATURE_BYTES),
})

export const SIGNED_RECOVERY_KEYS_BYTES: number = 1632 + SIGNATURE_BYTES

/** Returns the public halves to seal to. */
export const halvesOf = ({ x25519, mlKem1024 }: RecoveryPublicKeys): PublicHalves => ({
  minimum: Strength.hybrid,
  x25519,
  mlKem1024,
})

/**
 * Imports the keys to seal to.
 * @throws KeystrataError `malformed` if they are invalid
 */
export const recipientOf = (keys: RecoveryPublicKeys): Recipient => new Recipient(halvesOf(keys))

export const sameRecoveryKeys = (a: RecoveryPublicKeys, b: RecoveryPublicKeys): boolean =>
  equalBytes(a.x25519, b.x25519) && equalBytes(a.mlKem1024, b.mlKem1024) && equalBytes(a.signing, b.signing)

/** Returns the error for an object of this owner that is sealed to another recovery key. */
export function otherRecoveryKey(object: string, ownerId: Uint8Array, keys: RecoveryPublicKeys): KeystrataError {
  const message = `this ${object} has another recovery key: use the code, the parts or the device that belong to it`
  return keyNotFound(object, { ownerId, keyId: publicKeyId(halvesOf(keys)) }, message)
}

/** What a handle that holds a recovery key offers to the rest of the library. */
export interface RecoveryHolder {
  readonly keys: RecoveryPublicKeys
  /**
   * Opens what was sealed to the recovery key. The caller wipes the result.
   * @throws KeystrataError as {@link openSealedSecret}
   */
  openSealed(stored: Uint8Array, object: string, place: SecretPlace): Bytes
  sign(message: Uint8Array): Bytes
}

const holders: WeakMap<object, () => RecoveryHolder> = /* @__PURE__ */ new WeakMap()

/** Registers a handle as the holder of a recovery key. */
export function setRecoveryHolder(handle: object, holder: () => RecoveryHolder): void {
  holders.set(handle, holder)
}

/**
 * Returns the holder of a recovery key, or undefined if this is another handle.
 * @throws KeystrataError `disposed` if this handle was disposed of
 */
export function recoveryHolderIn(handle: object): RecoveryHolder | undefined {
  return holders.get(handle)?.()
}

/**
 * Returns the holder of a recovery key.
 * @param what the name of the parameter, for the error
 * @throws TypeError if it is not a recovery key from this copy of the library
 * @throws KeystrataError `disposed` if this handle was disposed of
 */
export function recoveryHolderOf(handle: RecoveryKey, what: string): RecoveryHolder {
  const holder = recoveryHolderIn(handle)
  if (holder === undefined) throw new TypeError(`${what} must be a RecoveryKey from this copy of the library`)
  return holder
}
