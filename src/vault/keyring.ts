// The keys of a vault (SPEC §10): the data key (A-key) never changes and is under the keyring key (E-key), in the keyring
// beside the vault's blocks; the keyring key is under the root key (R-key), in a slot of the profile, and can be replaced
// without touching a block. Not protected: who kept an old keyring and its keyring key keeps the data key.
import type { CardHolder } from '../core/card.ts'
import { disposing, equalKeys, SecretKey, withBytes } from '../core/secret.ts'
import { Suite } from '../core/suite.ts'
import { type Bytes, concat, equalBytes, lengthPrefixed, u32, utf8 } from '../core/bytes.ts'
import { decode, encode } from '../core/codec.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, type Header, ObjectType, parseHeader } from '../core/header.ts'
import type { Recipient } from '../core/key-pairs.ts'
import { MAC_BYTES, macUnder } from '../core/trailer.ts'
import { keyIdOf, sealSecret, type SecretPlace, unwrapSecret, wrapSecret } from '../core/wrap.ts'
import { randomBytes } from '../primitives/random.ts'
import {
  DATA_KEY_BYTES,
  type Generation,
  KEYRING_KEY_BYTES,
  MAX_KEYRING_BYTES,
  type Slot,
  storedKeyring,
  type StoredKeyring,
} from './layout.ts'

const MAX_GENERATION = 0xffff_ffff

/** A keyring key (E-key) with its number: 1 when the vault is created, higher with every rotation. */
export interface KeyringKey {
  readonly generation: number
  readonly key: SecretKey<'keyring'>
}

/** A keyring key as a slot of the profile holds it. */
export interface SlotKey extends KeyringKey {
  /** Whether it is to be replaced: somebody who may no longer have it could have kept it. */
  readonly due: boolean
}

export function generateKeyringKey(generation: number): KeyringKey {
  if (generation > MAX_GENERATION) throw new KeystrataError('limit-exceeded', 'too many rotations', { generation })
  return { generation, key: SecretKey.take('keyring', randomBytes(KEYRING_KEY_BYTES)) }
}

export function generateDataKey(): SecretKey<'data'> {
  return SecretKey.take('data', randomBytes(DATA_KEY_BYTES))
}

/** Whose slots these are: what a recovery slot is bound to, so that no user's can be put into another's profile. */
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

/** A slot: the keyring key under the root key. */
export function wrapSlot(
  rootKey: SecretKey<'root'>,
  profileId: Uint8Array,
  vaultId: Uint8Array,
  { generation, due, key }: SlotKey,
): Slot {
  const place = slotPlace(profileId, vaultId, generation)
  return { generation, due, bytes: withBytes(key, (secret) => wrapSecret(rootKey, secret, place)) }
}

/** @throws KeystrataError `malformed`, `unsupported`, `authentication-failed` */
export function unwrapSlot(
  rootKey: SecretKey<'root'>,
  profileId: Uint8Array,
  vaultId: Uint8Array,
  { generation, due, bytes }: Slot,
): SlotKey {
  const secret = unwrapSecret(rootKey, bytes, 'slot', slotPlace(profileId, vaultId, generation))
  return { generation, due, key: SecretKey.take('keyring', secret) }
}

/** A recovery slot: the keyring key, and never a password or a key made from one, to the admin's card. */
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

/** @throws KeystrataError `key-not-found` if it is another admin's; `malformed`, `unsupported`, `authentication-failed` */
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

/** The keyring: the data key under each of the keys, which stand in the order of their generations. */
export function encodeKeyring(
  vaultId: Uint8Array,
  version: number,
  dataKey: SecretKey<'data'>,
  keys: readonly KeyringKey[],
): Bytes {
  const header = { type: ObjectType.keyring, suite: Suite.none, keyId: keyIdOf(dataKey), ownerId: vaultId }
  const whole = encode(storedKeyring, {
    headerBytes: encodeHeader(header),
    version,
    wraps: keys.map(({ generation, key }) => ({
      generation,
      bytes: withBytes(dataKey, (secret) => wrapSecret(key, secret, wrapPlace(vaultId, generation))),
    })),
    mac: new Uint8Array(MAC_BYTES),
  })
  const authenticated = whole.subarray(0, -MAC_BYTES)
  whole.set(macUnder(dataKey, 'keyring-mac', [vaultId], authenticated), authenticated.length)
  return whole
}

/** Which vault a keyring belongs to, and which data key must be in it. */
export interface VaultIds {
  readonly id: Uint8Array
  readonly dataKeyId: Uint8Array
}

/** A keyring that opened: the keys that open it are the live ones, in the order of their generations. */
export interface OpenedKeyring<K extends KeyringKey = KeyringKey> {
  readonly version: number
  /** The highest generation in it, live or not. */
  readonly highest: number
  readonly dataKey: SecretKey<'data'>
  readonly live: readonly [K, ...K[]]
}

/**
 * Opens a keyring with those of `keys` that open it; undefined if none does, because the profile with the keys and the
 * keyring were not stored together. The keys stay the caller's.
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded` if it is no keyring; `authentication-failed` if it is
 *   another vault's, or altered
 */
export function openKeyring<K extends KeyringKey>(
  stored: Uint8Array,
  { id: vaultId, dataKeyId }: VaultIds,
  keys: readonly K[],
): OpenedKeyring<K> | undefined {
  const keyring = parseKeyring(stored)
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
    version: keyring.version,
    highest: keyring.wraps.at(-1)?.generation ?? 0,
    dataKey: first.copy(),
    live: [lowest.own, ...others.map(({ own }) => own)],
  }
}

interface ParsedKeyring extends StoredKeyring {
  readonly header: Header
  /** Every byte in front of the MAC. */
  readonly authenticated: Uint8Array
}

/** Reads from a copy. @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded` */
export function parseKeyring(stored: Uint8Array): ParsedKeyring {
  if (stored.length > MAX_KEYRING_BYTES) {
    throw new KeystrataError('limit-exceeded', 'too large for a keyring', { bytes: stored.length })
  }
  const bytes = new Uint8Array(stored)
  const header = parseHeader(bytes, 'keyring', ObjectType.keyring, [Suite.none])
  return { ...decode(storedKeyring, bytes, 'keyring'), header, authenticated: bytes.subarray(0, -MAC_BYTES) }
}

/** The data key in the wrap of this generation, or undefined if that is under another key. */
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
    // Two devices that rotate at once give one number to two keys. What was altered fails the mac, or leaves no live key.
    if (error instanceof KeystrataError && error.code !== 'disposed') return undefined
    throw error
  }
}
