// Wraps and seals secrets (SPEC §4). LOCK is the only symmetric construction: AES-GCM under a key that is derived for
// one object, with a commitment to the key beside it. The commitment is compared before the cipher runs, so no
// ciphertext opens under two keys. WRAP wraps a secret under a symmetric key. SEAL seals it to a recipient's public
// keys.
import { gcmOpen, gcmSeal } from '../primitives/aead.ts'
import { sha256 } from '../primitives/hash.ts'
import { derive, deriveFor, kdfInfo } from '../primitives/kdf.ts'
import { type Agreement, type AgreementParts, agreeWith, partFields, reachAgreement } from './agreement.ts'
import { allocate, type Bytes, concat, domain, EMPTY, equalBytes, u32, u8, wipe, withFields } from './bytes.ts'
import { bytes, type Codec, decode, encode, rest, struct } from './codec.ts'
import { authenticationFailed } from './errors.ts'
import { encodeHeader, HEADER_BYTES, keyNotFound, parseHeader } from './header.ts'
import { hedgedEphemeral, hedgedNonce } from './hedge.ts'
import type { Identity, Recipient } from './key-pairs.ts'
import { disposable, type Handle, type Role, SecretKey, wiping } from './secret.ts'
import { Suite } from './suite.ts'

interface Wrapped {
  readonly headerBytes: Uint8Array
  /** n, 32 random bytes, hedged. */
  readonly nonce: Uint8Array
  /** c, 32 bytes that commit to the key. */
  readonly commitment: Uint8Array
  /** ct ‖ tag of AES-GCM. */
  readonly sealed: Uint8Array
}

export const wrapped: Codec<Wrapped> = struct({
  headerBytes: bytes(HEADER_BYTES),
  nonce: bytes(32),
  commitment: bytes(32),
  sealed: rest,
})

interface Sealed extends AgreementParts {
  readonly headerBytes: Uint8Array
  readonly commitment: Uint8Array
  readonly sealed: Uint8Array
}

export const sealedTo: Codec<Sealed> = struct({
  headerBytes: bytes(HEADER_BYTES),
  ...partFields(Suite.seal),
  commitment: bytes(32),
  sealed: rest,
})

/** Returns the length of a WRAP of a secret of this length. */
export const wrappedBytes = (secret: number): number => HEADER_BYTES + 64 + secret + 16

/** Returns the length of a SEAL of a secret of this length. */
export const sealedToBytes = (secret: number): number => HEADER_BYTES + 1632 + secret + 16

const COMMITMENT_BYTES = 32

export const NONCE_BYTES = 32

/** What LOCK derives: the key and IV of one AES-GCM, and the commitment that is stored beside its ciphertext. */
export interface Lock extends Handle {
  readonly key: SecretKey<'lock'>
  readonly iv: Uint8Array
  /** It is wiped together with the key, so use it before. */
  readonly commitment: Bytes
}

/** What all locks of one kind are derived with. {@link lockKind} makes it once. */
export interface LockKind {
  readonly info: Bytes
  readonly keyBytes: 16 | 24 | 32
}

/**
 * Makes a kind of lock.
 * @param keyBytes the length of the AES key: 16, 24 or 32
 */
export function lockKind(label: string, context: readonly Uint8Array[], keyBytes: LockKind['keyBytes']): LockKind {
  return { info: kdfInfo(label, context, keyBytes + COMMITMENT_BYTES), keyBytes }
}

/**
 * Derives the lock of `LOCK(key, nonce, label, [context…])`. With an empty nonce the IV is zero, and `key` must encrypt
 * only one plaintext.
 * @param keyBytes the length of the AES key: 16, 24 or 32
 */
export function deriveLock(
  key: SecretKey<Role>,
  nonce: Uint8Array,
  label: string,
  context: readonly Uint8Array[],
  keyBytes: LockKind['keyBytes'],
): Lock {
  return lockOf(key, nonce, lockKind(label, context, keyBytes))
}

const ZERO_IV = /* @__PURE__ */ allocate(12)

/** Does the same as {@link deriveLock}, for a kind that was made before. `nonce` must not change while the lock is used. */
export function lockOf(key: SecretKey<Role>, nonce: Uint8Array, { info, keyBytes }: LockKind): Lock {
  const derived = deriveFor(key, nonce, info, keyBytes + COMMITMENT_BYTES)
  const lockKey = SecretKey.adopt('lock', derived.subarray(0, keyBytes))
  const commitment = derived.subarray(keyBytes)
  const iv = nonce.length === 0 ? ZERO_IV : nonce.subarray(0, 12)
  return disposable({ key: lockKey, iv, commitment }, () => {
    lockKey.dispose()
    wipe(commitment)
  })
}

/** Derives the lock under a key of an agreement, and disposes of the agreement. */
export function agreedLock(
  agreement: Agreement,
  purpose: 'combined' | 'seal',
  nonce: Uint8Array,
  label: string,
  context: readonly Uint8Array[],
): Lock {
  using _ = agreement
  using key = agreement.key(purpose)
  return deriveLock(key, nonce, label, context, 32)
}

/** Encodes the `AAD` of SPEC §1.4: what an object is, and what is known about it but not stored in it. */
export function associatedData(header: Uint8Array, parameters: Uint8Array, context: Uint8Array): Bytes {
  return withFields(aadStart(header), parameters, context)
}

/** The start of all associated data with this header. Make it once for headers that are used often. */
export const aadStart = (header: Uint8Array): Bytes => concat(domain('aad'), header)

/** Does the same as {@link associatedData}, for a start that was made before. The parameters are a nonce and a commitment, 32 bytes each. */
export function lockedData(start: Uint8Array, nonce: Uint8Array, commitment: Uint8Array, context: Uint8Array): Bytes {
  return concat(start, u32(64), nonce, commitment, u32(context.length), context)
}

/** Derives the key id of a symmetric key, 16 bytes. */
export function keyIdOf(key: SecretKey<Role>): Bytes {
  return derive(key, EMPTY, 'key-id', [], 16)
}

/** The type and place of an object that holds a secret: everything that must be the same when it is opened. */
export interface SecretPlace {
  readonly type: number
  readonly ownerId: Uint8Array
  readonly context: Uint8Array
}

/** Wraps `secret` under `key` (`WRAP`). */
export function wrapSecret(key: SecretKey<Role>, secret: Uint8Array, { type, ownerId, context }: SecretPlace): Bytes {
  const headerBytes = encodeHeader({ type, suite: Suite.wrap, keyId: keyIdOf(key), ownerId })
  const digest = sha256(secret)
  using _ = wiping(digest)
  const nonce = hedgedNonce(key, { digest, headerBytes, parameters: EMPTY, context })
  using lock = deriveLock(key, nonce, 'wrap', [u8(type)], 32)
  const { commitment } = lock
  const aad = associatedData(headerBytes, concat(nonce, commitment), context)
  return encode(wrapped, { headerBytes, nonce, commitment, sealed: gcmSeal(lock.key, lock.iv, aad, secret) })
}

/**
 * Opens a WRAP. The caller wipes the result.
 * @throws KeystrataError `malformed`, `unsupported`, `authentication-failed`
 */
export function unwrapSecret(
  key: SecretKey<Role>,
  stored: Uint8Array,
  object: string,
  { type, ownerId, context }: SecretPlace,
): Bytes {
  const header = parseHeader(stored, object, type, [Suite.wrap])
  const { headerBytes, nonce, commitment, sealed } = decode(wrapped, stored, object)
  if (!equalBytes(header.ownerId, ownerId)) throw authenticationFailed()
  using lock = deriveLock(key, nonce, 'wrap', [u8(type)], 32)
  if (!equalBytes(commitment, lock.commitment)) throw authenticationFailed()
  return gcmOpen(lock.key, lock.iv, associatedData(headerBytes, concat(nonce, commitment), context), sealed)
}

/** Seals `secret` to public keys (`SEAL`), always with both key agreements. */
export function sealSecret(recipient: Recipient, secret: Uint8Array, { type, ownerId, context }: SecretPlace): Bytes {
  const headerBytes = encodeHeader({ type, suite: Suite.seal, keyId: recipient.keyId, ownerId })
  using esk = hedgedEphemeral(secret, headerBytes, context)
  const { parts, agreement } = agreeWith(recipient, { headerBytes, suite: Suite.seal, context }, esk)
  using lock = agreedLock(agreement, 'seal', EMPTY, 'seal', [u8(type)])
  const { ephemeral, encapsulated } = parts
  const { commitment } = lock
  const aad = associatedData(headerBytes, concat(ephemeral, encapsulated, commitment), context)
  const sealed = gcmSeal(lock.key, lock.iv, aad, secret)
  return encode(sealedTo, { headerBytes, ephemeral, encapsulated, commitment, sealed })
}

/**
 * Opens a SEAL. The caller wipes the result.
 * @throws KeystrataError `malformed`, `unsupported`
 * @throws KeystrataError `key-not-found` if it is sealed to other keys
 * @throws KeystrataError `authentication-failed`
 */
export function openSealedSecret(
  identity: Identity,
  stored: Uint8Array,
  object: string,
  { type, ownerId, context }: SecretPlace,
): Bytes {
  const header = parseHeader(stored, object, type, [Suite.seal])
  const { headerBytes, ephemeral, encapsulated, commitment, sealed } = decode(sealedTo, stored, object)
  if (!equalBytes(header.keyId, identity.keyId)) throw keyNotFound(object, header)
  if (!equalBytes(header.ownerId, ownerId)) throw authenticationFailed()
  const place = { headerBytes, suite: Suite.seal, context }
  using lock = agreedLock(reachAgreement(identity, place, { ephemeral, encapsulated }), 'seal', EMPTY, 'seal', [
    u8(type),
  ])
  if (!equalBytes(commitment, lock.commitment)) throw authenticationFailed()
  const parameters = concat(ephemeral, encapsulated, commitment)
  return gcmOpen(lock.key, lock.iv, associatedData(headerBytes, parameters, context), sealed)
}
