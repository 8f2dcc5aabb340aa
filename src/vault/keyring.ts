// The keys of a vault (SPEC §14). The data key (A-key) never changes. The keyring, stored beside the vault's blocks,
// holds it wrapped under the keyring key (E-key). A slot of the profile holds the keyring key, wrapped under the root
// key (R-key). The keyring key can be replaced without touching a block. Not protected: anyone who kept an old keyring
// and its keyring key still has the data key.
import type { CardHolder } from '../core/card.ts'
import { disposing, equalKeys, SecretKey, withBytes } from '../core/secret.ts'
import { Suite } from '../core/suite.ts'
import { allocate, type Bytes, concat, domain, equalBytes, lengthPrefixed, u32, utf8 } from '../core/bytes.ts'
import { decode, encode } from '../core/codec.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, type Header, ObjectType, parseHeader } from '../core/header.ts'
import type { Recipient, SigningPair } from '../core/key-pairs.ts'
import { authenticatedPart, CHECKSUM_BYTES, copySummed, fillTrailer, MAC_BYTES, macUnder } from '../core/trailer.ts'
import { keyIdOf, sealSecret, type SecretPlace, unwrapSecret, wrapSecret } from '../core/wrap.ts'
import { sha256 } from '../primitives/hash.ts'
import { randomBytes } from '../primitives/random.ts'
import { isSignatureOf, sign, SIGNATURE_BYTES } from '../primitives/signature.ts'
import {
  DATA_KEY_BYTES,
  type Generation,
  HASH_BYTES,
  KEYRING_KEY_BYTES,
  MAX_KEYRING_BYTES,
  type Slot,
  storedKeyring,
  type StoredKeyring,
} from './layout.ts'

const MAX_GENERATION = 0xffff_ffff

/** A keyring key (E-key) and its generation: 1 when the vault is created, higher after every rotation. */
export interface KeyringKey {
  readonly generation: number
  readonly key: SecretKey<'keyring'>
}

/** A keyring key from a slot of the profile. */
export interface SlotKey extends KeyringKey {
  /** Whether the key must be replaced, because a former admin may have kept it. */
  readonly due: boolean
}

export function generateKeyringKey(generation: number): KeyringKey {
  if (generation > MAX_GENERATION)
    throw new KeystrataError('limit-exceeded', 'this vault was rotated too often: create a new vault', {
      object: 'keyring',
      generation,
    })
  return { generation, key: SecretKey.take('keyring', randomBytes(KEYRING_KEY_BYTES)) }
}

export function generateDataKey(): SecretKey<'data'> {
  return SecretKey.take('data', randomBytes(DATA_KEY_BYTES))
}

/** The user that a recovery slot is bound to. A recovery slot does not open in the profile of another user. */
export interface UserNames {
  readonly realm: string
  readonly user: string
}

const contextOf = (vaultId: Uint8Array, generation: number): Bytes => concat(lengthPrefixed(vaultId), u32(generation))

const slotPlace = (profileId: Uint8Array, vaultId: Uint8Array, generation: number): SecretPlace => ({
  type: ObjectType.slot,
  ownerId: profileId,
  context: contextOf(vaultId, generation),
})

const recoveryPlace = (
  profileId: Uint8Array,
  { realm, user }: UserNames,
  vaultId: Uint8Array,
  generation: number,
): SecretPlace => ({
  type: ObjectType.recoverySlot,
  ownerId: profileId,
  context: concat(lengthPrefixed(utf8(realm)), lengthPrefixed(utf8(user)), contextOf(vaultId, generation)),
})

const wrapPlace = (vaultId: Uint8Array, generation: number): SecretPlace => ({
  type: ObjectType.dataKeyWrap,
  ownerId: vaultId,
  context: contextOf(vaultId, generation),
})

/** Wraps the keyring key under the root key, as a slot of the profile. */
export function wrapSlot(
  rootKey: SecretKey<'root'>,
  profileId: Uint8Array,
  vaultId: Uint8Array,
  { generation, due, key }: SlotKey,
): Slot {
  const place = slotPlace(profileId, vaultId, generation)
  return { generation, due, bytes: withBytes(key, (secret) => wrapSecret(rootKey, secret, place)) }
}

/**
 * Unwraps the keyring key in a slot of the profile.
 * @throws KeystrataError `malformed`, `unsupported` if the slot is not a wrapped key
 * @throws KeystrataError `authentication-failed` if it was altered or belongs to another vault or profile
 */
export function unwrapSlot(
  rootKey: SecretKey<'root'>,
  profileId: Uint8Array,
  vaultId: Uint8Array,
  { generation, due, bytes }: Slot,
): SlotKey {
  const secret = unwrapSecret(rootKey, bytes, 'slot', slotPlace(profileId, vaultId, generation))
  return { generation, due, key: SecretKey.take('keyring', secret) }
}

/** Seals the keyring key to the admin's card. The admin never gets a password, or a key derived from one. */
export function sealRecoverySlot(
  admin: Recipient,
  profileId: Uint8Array,
  names: UserNames,
  vaultId: Uint8Array,
  { generation, key }: KeyringKey,
): Generation {
  const place = recoveryPlace(profileId, names, vaultId, generation)
  return { generation, bytes: withBytes(key, (secret) => sealSecret(admin, secret, place)) }
}

/**
 * Opens a recovery slot with the admin's private keys.
 * @throws KeystrataError `key-not-found` if it is sealed to another admin
 * @throws KeystrataError `malformed`, `unsupported` if it is not a sealed key
 * @throws KeystrataError `authentication-failed` if it was altered or belongs to another user, vault or profile
 */
export function openRecoverySlot(
  admin: Pick<CardHolder, 'openSealed'>,
  profileId: Uint8Array,
  names: UserNames,
  vaultId: Uint8Array,
  { generation, bytes }: Generation,
): KeyringKey {
  const place = recoveryPlace(profileId, names, vaultId, generation)
  const secret = admin.openSealed(bytes, 'recovery slot', place)
  return { generation, key: SecretKey.take('keyring', secret) }
}

/**
 * Encodes a keyring: the data key wrapped under each of `keys`, which are in ascending order of generation.
 * @param identity signs it, so that a server can check who wrote it
 * @param previous the keyring that this one follows; undefined for the first
 */
export function encodeKeyring(
  vaultId: Uint8Array,
  version: number,
  dataKey: SecretKey<'data'>,
  keys: readonly KeyringKey[],
  identity: SigningPair,
  previous: Uint8Array | undefined,
): Bytes {
  const ids = { keyId: keyIdOf(dataKey), ownerId: vaultId }
  const whole = encode(storedKeyring, {
    headerBytes: encodeHeader({ type: ObjectType.keyring, suite: Suite.none, generation: 1, ...ids }),
    version,
    previous: previousOf(previous),
    wraps: keys.map(({ generation, key }) => ({
      generation,
      bytes: withBytes(dataKey, (secret) => wrapSecret(key, secret, wrapPlace(vaultId, generation))),
    })),
    signature: allocate(SIGNATURE_BYTES),
    mac: allocate(MAC_BYTES),
    checksum: allocate(CHECKSUM_BYTES),
  })
  const authenticated = authenticatedPart(whole)
  authenticated.set(sign(identity.seed, signedMessage(authenticated)), authenticated.length - SIGNATURE_BYTES)
  fillTrailer(whole, (part) => macUnder(dataKey, 'keyring-mac', [vaultId], part))
  return whole
}

const signedMessage = (authenticated: Uint8Array): Bytes =>
  concat(domain('sign/keyring'), authenticated.subarray(0, -SIGNATURE_BYTES))

/** Returns what an object says about the one that it follows: its hash, or zeros if it is the first. */
export const previousOf = (object: Uint8Array | undefined): Bytes =>
  object === undefined ? allocate(HASH_BYTES) : sha256(object)

/** Returns whether this identity has signed a keyring. */
export function isSignedBy(identity: Uint8Array, { authenticated, signature }: ParsedKeyring): boolean {
  return isSignatureOf(identity, signedMessage(authenticated), signature)
}

/** The ids that a vault's keyring must carry: the vault's own, and that of its data key. */
export interface VaultIds {
  readonly id: Uint8Array
  readonly dataKeyId: Uint8Array
}

/** An opened keyring. Its live keys are the ones that open it, in ascending order of generation. */
export interface OpenedKeyring<K extends KeyringKey = KeyringKey> {
  /** The highest generation in the keyring, live or not. */
  readonly highest: number
  /** How many keys the data key is wrapped under, live or not. */
  readonly wraps: number
  readonly dataKey: SecretKey<'data'>
  readonly live: readonly [K, ...K[]]
}

/**
 * Opens a keyring with every one of `keys` that fits. The caller still owns `keys`.
 * @returns undefined if no key fits, because the profile and the keyring that were read do not belong together
 * @throws KeystrataError `authentication-failed` if it belongs to another vault or was altered
 */
export function openKeyring<K extends KeyringKey>(
  keyring: ParsedKeyring,
  { id: vaultId, dataKeyId }: VaultIds,
  keys: readonly K[],
): OpenedKeyring<K> | undefined {
  const { ownerId, keyId } = keyring.header
  if (!equalBytes(ownerId, vaultId) || !equalBytes(keyId, dataKeyId)) throw authenticationFailed()
  const opened = keys.flatMap((own) => {
    const dataKey = unwrapDataKey(keyring, vaultId, own)
    return dataKey === undefined ? [] : [{ own, dataKey }]
  })
  const [lowest, ...others] = opened
  if (lowest === undefined) return undefined
  using _ = disposing(opened.map(({ dataKey }) => dataKey))
  const first = lowest.dataKey
  const holds =
    others.every(({ dataKey }) => equalKeys(first, dataKey)) &&
    equalBytes(keyIdOf(first), keyId) &&
    equalBytes(macUnder(first, 'keyring-mac', [vaultId], keyring.authenticated), keyring.mac)
  if (!holds) throw authenticationFailed()
  return {
    highest: keyring.wraps.at(-1)?.generation ?? 0,
    wraps: keyring.wraps.length,
    dataKey: first.copy(),
    live: [lowest.own, ...others.map(({ own }) => own)],
  }
}

export interface ParsedKeyring extends StoredKeyring {
  readonly header: Header
  /** A copy of the keyring. All fields are views of it. */
  readonly bytes: Bytes
  /** All bytes before the MAC. */
  readonly authenticated: Uint8Array
}

/**
 * Parses a copy of a stored keyring. It checks neither the signature nor the MAC.
 * @throws KeystrataError `limit-exceeded` over 64 KiB
 * @throws KeystrataError `malformed`, `unsupported` if it is not a keyring
 */
export function parseKeyring(stored: Uint8Array): ParsedKeyring {
  const bytes = copySummed(stored, 'keyring', MAX_KEYRING_BYTES)
  const header = parseHeader(bytes, 'keyring', ObjectType.keyring, [Suite.none], { generation: 1 })
  return { ...decode(storedKeyring, bytes, 'keyring'), header, bytes, authenticated: authenticatedPart(bytes) }
}

/** Unwraps the data key of this generation. Undefined if there is no such wrap, or it does not open under this key. */
function unwrapDataKey(
  { wraps }: ParsedKeyring,
  vaultId: Uint8Array,
  { generation, key }: KeyringKey,
): SecretKey<'data'> | undefined {
  const wrap = wraps.find((each) => each.generation === generation)
  if (wrap === undefined) return undefined
  try {
    return SecretKey.take('data', unwrapSecret(key, wrap.bytes, 'data key', wrapPlace(vaultId, generation)))
  } catch (error) {
    // Two devices that rotate at once may give the same generation to two keys, so this is no sign of an attack. An
    // altered keyring is caught later: its MAC is wrong, or no live key is left.
    if (error instanceof KeystrataError && error.code !== 'disposed') return undefined
    throw error
  }
}
