// A secret under a symmetric key (SPEC §4.2), and one sealed to a public key (SPEC §4.3).
// The one symmetric construction (SPEC §4): AES-GCM under a key derived for this one object, with a commitment beside it.
// The commitment is compared before the cipher runs, so no ciphertext opens under two keys and no guess is tested cheaply.
import * as P from 'micro-packed'
import { gcmOpen, gcmSeal } from '../primitives/aead.ts'
import { derive } from '../primitives/kdf.ts'
import { randomBytes } from '../primitives/random.ts'
import { type Agreement, agreeWith, reachAgreement } from './agreement.ts'
import { type Bytes, concat, domain, EMPTY, equalBytes, lengthPrefixed, u8, wipe } from './bytes.ts'
import { decode, encode } from './codec.ts'
import { authenticationFailed, KeystrataError } from './errors.ts'
import { encodeHeader, HEADER_BYTES, parseHeader, Suite } from './header.ts'
import type { Identity, Recipient } from './key-pairs.ts'
import { type Role, SecretKey } from './secret.ts'

export interface Wrapped {
  readonly headerBytes: Uint8Array
  /** n, 32 random bytes. */
  readonly nonce: Uint8Array
  /** c, 32 bytes that commit to the key. */
  readonly commitment: Uint8Array
  /** ct ‖ tag of AES-GCM. */
  readonly sealed: Uint8Array
}

export const wrapped: P.CoderType<Wrapped> = P.struct({
  headerBytes: P.bytes(HEADER_BYTES),
  nonce: P.bytes(32),
  commitment: P.bytes(32),
  sealed: P.bytes(null),
})

export interface Sealed {
  readonly headerBytes: Uint8Array
  readonly ephemeral: Uint8Array
  readonly encapsulated: Uint8Array
  readonly commitment: Uint8Array
  readonly sealed: Uint8Array
}

export const sealedTo: P.CoderType<Sealed> = P.struct({
  headerBytes: P.bytes(HEADER_BYTES),
  ephemeral: P.bytes(32),
  encapsulated: P.bytes(1568),
  commitment: P.bytes(32),
  sealed: P.bytes(null),
})

/** Lengths of the objects that hold a secret of so many bytes. */
export const wrappedBytes = (secret: number): number => HEADER_BYTES + 64 + secret + 16

export const sealedToBytes = (secret: number): number => HEADER_BYTES + 1632 + secret + 16

const KEY_BYTES = 32

const COMMITMENT_BYTES = 32

export const NONCE_BYTES = 32

/** What LOCK derives: the key and IV of one AES-GCM, and the commitment that stands beside its ciphertext. */
export interface Lock {
  readonly key: SecretKey<'lock'>
  readonly iv: Uint8Array
  readonly commitment: Bytes
  dispose(): void
}

/**
 * `LOCK(key, nonce, label, [context…])`. With an empty nonce the IV is zero, and `key` must belong to one plaintext alone.
 * @param keyBytes of the AES key: 16, 24 or 32
 */
export function deriveLock(
  key: SecretKey<Role>,
  nonce: Uint8Array,
  label: string,
  context: readonly Uint8Array[] = [],
  keyBytes: number = KEY_BYTES,
): Lock {
  const derived = derive(key, nonce, label, context, keyBytes + COMMITMENT_BYTES)
  try {
    const lockKey = new SecretKey('lock', derived.subarray(0, keyBytes))
    return {
      key: lockKey,
      iv: nonce.length === 0 ? new Uint8Array(12) : new Uint8Array(nonce.subarray(0, 12)),
      commitment: new Uint8Array(derived.subarray(keyBytes)),
      dispose: () => lockKey.dispose(),
    }
  } finally {
    wipe(derived)
  }
}

/** The lock under a key of an agreement, which is used up by it. */
export function agreedLock(
  agreement: Agreement,
  purpose: 'combined' | 'seal',
  nonce: Uint8Array,
  label: string,
  context: readonly Uint8Array[] = [],
): Lock {
  try {
    const key = agreement.key(purpose)
    try {
      return deriveLock(key, nonce, label, context)
    } finally {
      key.dispose()
    }
  } finally {
    agreement.dispose()
  }
}

/** `AAD` of SPEC §1.4: what an object is, and what is known about it but not stored in it. */
export function associatedData(header: Uint8Array, parameters: Uint8Array, context: Uint8Array): Bytes {
  return concat(domain('aad'), header, lengthPrefixed(parameters), lengthPrefixed(context))
}

/** The keyId of a symmetric key, 16 bytes. */
export function keyIdOf(key: SecretKey<Role>): Bytes {
  return derive(key, EMPTY, 'key-id', [], 16)
}

/** What an object that holds a secret is, and where: everything that must be the same when it is opened. */
export interface SecretPlace {
  readonly type: number
  readonly ownerId: Uint8Array
  readonly context: Uint8Array
}

/** `WRAP`: `secret` under `key`. `nonce` is for tests alone. */
export function wrapSecret(
  key: SecretKey<Role>,
  secret: Uint8Array,
  { type, ownerId, context }: SecretPlace,
  nonce: Uint8Array = randomBytes(NONCE_BYTES),
): Bytes {
  const headerBytes = encodeHeader({ type, suite: Suite.wrap, keyId: keyIdOf(key), ownerId })
  const lock = deriveLock(key, nonce, 'wrap', [u8(type)])
  try {
    const aad = associatedData(headerBytes, concat(nonce, lock.commitment), context)
    const sealed = gcmSeal(lock.key, lock.iv, aad, secret)
    return encode(wrapped, { headerBytes, nonce, commitment: lock.commitment, sealed })
  } finally {
    lock.dispose()
  }
}

/**
 * Opens a WRAP. The caller wipes what it gets.
 * @throws KeystrataError `malformed`, `unsupported`, `authentication-failed`
 */
export function unwrapSecret(
  key: SecretKey<Role>,
  bytes: Uint8Array,
  object: string,
  { type, ownerId, context }: SecretPlace,
): Bytes {
  const header = parseHeader(bytes, object, type, [Suite.wrap])
  const { headerBytes, nonce, commitment, sealed } = decode(wrapped, bytes, object)
  if (!equalBytes(header.ownerId, ownerId)) throw authenticationFailed()
  const lock = deriveLock(key, nonce, 'wrap', [u8(type)])
  try {
    if (!equalBytes(commitment, lock.commitment)) throw authenticationFailed()
    return gcmOpen(lock.key, lock.iv, associatedData(headerBytes, concat(nonce, commitment), context), sealed)
  } finally {
    lock.dispose()
  }
}

/** `SEAL`: `secret` to a public key, always by both agreements. */
export function sealSecret(recipient: Recipient, secret: Uint8Array, { type, ownerId, context }: SecretPlace): Bytes {
  const headerBytes = encodeHeader({ type, suite: Suite.seal, keyId: recipient.keyId, ownerId })
  const { parts, agreement } = agreeWith(recipient, { headerBytes, hybrid: true, context })
  const lock = agreedLock(agreement, 'seal', EMPTY, 'seal', [u8(type)])
  try {
    const { ephemeral, encapsulated } = parts
    const { commitment } = lock
    const aad = associatedData(headerBytes, concat(ephemeral, encapsulated, commitment), context)
    const sealed = gcmSeal(lock.key, lock.iv, aad, secret)
    return encode(sealedTo, { headerBytes, ephemeral, encapsulated, commitment, sealed })
  } finally {
    lock.dispose()
  }
}

/**
 * Opens a SEAL. The caller wipes what it gets.
 * @throws KeystrataError `malformed`, `unsupported`; `key-not-found` if it is sealed to somebody else;
 *   `authentication-failed`
 */
export function openSealedSecret(
  identity: Identity,
  bytes: Uint8Array,
  object: string,
  { type, ownerId, context }: SecretPlace,
): Bytes {
  const header = parseHeader(bytes, object, type, [Suite.seal])
  const { headerBytes, ephemeral, encapsulated, commitment, sealed } = decode(sealedTo, bytes, object)
  if (!equalBytes(header.keyId, identity.keyId)) throw new KeystrataError('key-not-found')
  if (!equalBytes(header.ownerId, ownerId)) throw authenticationFailed()
  const place = { headerBytes, hybrid: true, context }
  const agreement = reachAgreement(identity, place, { ephemeral, encapsulated })
  const lock = agreedLock(agreement, 'seal', EMPTY, 'seal', [u8(type)])
  try {
    if (!equalBytes(commitment, lock.commitment)) throw authenticationFailed()
    const parameters = concat(ephemeral, encapsulated, commitment)
    return gcmOpen(lock.key, lock.iv, associatedData(headerBytes, parameters, context), sealed)
  } finally {
    lock.dispose()
  }
}
