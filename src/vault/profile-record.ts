// A profile as bytes (SPEC §9). The server stores it for the user. It cannot read the keys in it, and cannot change it
// without being noticed. Not protected: a reset. The MAC is under the user's root key, so an admin cannot check it and
// must trust the record that the server returns.
import { Suite } from '../core/suite.ts'
import { type Bytes, bytesFrom, equalBytes } from '../core/bytes.ts'
import { readCard } from '../core/card.ts'
import { decode, encode } from '../core/codec.ts'
import { answeredAlike, authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, type Header, ObjectType, parseHeader } from '../core/header.ts'
import { Recipient } from '../core/key-pairs.ts'
import { disposeKeys, type SecretKey } from '../core/secret.ts'
import { authenticatedPart, CHECKSUM_BYTES, copySummed, fillTrailer, MAC_BYTES, macUnder } from '../core/trailer.ts'
import { keyIdOf } from '../core/wrap.ts'
import { sealRecoverySlot, type SlotKey, unwrapSlot, type UserNames, type VaultIds, wrapSlot } from './keyring.ts'
import {
  type Generation,
  MAX_PROFILE_BYTES,
  MAX_VAULTS,
  storedProfile,
  type StoredProfile,
  vaultCount,
} from './layout.ts'

/** The decrypted contents of a profile. */
export interface ProfileContents {
  /** The id of the profile: 16 random bytes, never changes. */
  readonly id: Uint8Array
  readonly version: number
  /** The card of the admin who may reset the password; undefined under zero trust. */
  readonly admin: Uint8Array | undefined
  readonly vaults: readonly VaultEntry[]
}

export interface VaultEntry extends VaultIds {
  readonly keys: readonly SlotKey[]
  readonly recoverySlots: readonly Generation[]
}

/** A record whose form was checked. Its MAC was not. */
export interface ParsedProfile extends StoredProfile {
  readonly header: Header
  /** A copy of the record. All fields are views of it. */
  readonly bytes: Bytes
  /** All bytes before the MAC. */
  readonly authenticated: Uint8Array
}

/**
 * Copies a record and checks its form. The checksum comes first, so accidental damage is always `malformed`.
 * @throws KeystrataError `limit-exceeded` over 1 MiB, or beyond 256 vaults
 * @throws KeystrataError `malformed` if the record is damaged or contradicts itself
 * @throws KeystrataError `unsupported` if it is another kind of object, or needs a later release
 * @throws TypeError if it is not a Uint8Array
 */
export function parseProfile(stored: Uint8Array): ParsedProfile {
  const bytes = copySummed(bytesFrom(stored, 'profile'), 'profile', MAX_PROFILE_BYTES)
  const header = parseHeader(bytes, 'profile', ObjectType.profile, [Suite.none])
  // Check the count before decoding: decoded lists of very small vaults take many times the memory of their bytes.
  assertVaults(vaultCount(bytes))
  const fields = decode(storedProfile, bytes, 'profile')
  assertConsistent(fields)
  return { ...fields, header, bytes, authenticated: authenticatedPart(bytes) }
}

/**
 * Checks the number of vaults in a profile.
 * @throws KeystrataError `limit-exceeded` beyond 256 vaults
 */
function assertVaults(vaults: number): void {
  if (vaults > MAX_VAULTS) throw new KeystrataError('limit-exceeded', 'a profile has at most 256 vaults', { vaults })
}

/**
 * Checks rules between fields, which a server can check without a key. An honest writer never breaks them.
 * @throws KeystrataError `malformed` if a rule is broken; `limit-exceeded` beyond 256 vaults
 */
function assertConsistent({ zeroTrust, admin, vaults }: StoredProfile): void {
  assertVaults(vaults.length)
  const names = new Set(vaults.map(({ id }) => id.join()))
  const holds =
    zeroTrust === (admin === undefined) &&
    names.size === vaults.length &&
    vaults.every(({ slots }) => slots.length > 0) &&
    (!zeroTrust || vaults.every(({ recoverySlots }) => recoverySlots.length === 0))
  if (!holds) throw new KeystrataError('malformed', 'the fields of this profile contradict each other')
}

/**
 * Encodes a profile and computes its MAC under the root key.
 * @throws KeystrataError `limit-exceeded` beyond 256 vaults
 */
export function encodeProfile({ id, version, admin, vaults }: ProfileContents, rootKey: SecretKey<'root'>): Bytes {
  const header = { type: ObjectType.profile, suite: Suite.none, keyId: keyIdOf(rootKey), ownerId: id }
  const fields: StoredProfile = {
    headerBytes: encodeHeader(header),
    version,
    zeroTrust: admin === undefined,
    admin,
    vaults: vaults.map((vault) => ({
      id: vault.id,
      dataKeyId: vault.dataKeyId,
      slots: vault.keys.map((key) => wrapSlot(rootKey, id, vault.id, key)),
      recoverySlots: vault.recoverySlots,
    })),
    mac: new Uint8Array(MAC_BYTES),
    checksum: new Uint8Array(CHECKSUM_BYTES),
  }
  assertConsistent(fields)
  const whole = encode(storedProfile, fields)
  fillTrailer(whole, (authenticated) => macUnder(rootKey, 'profile-mac', [], authenticated))
  return whole
}

/**
 * Opens a record with its root key. The caller disposes of the keys in the result.
 * @throws KeystrataError `wrong-password` if the record is under another root key
 * @throws KeystrataError `authentication-failed` if it was altered
 */
export function openProfileRecord(parsed: ParsedProfile, rootKey: SecretKey<'root'>): ProfileContents {
  if (!equalBytes(keyIdOf(rootKey), parsed.header.keyId))
    throw new KeystrataError('wrong-password', 'this profile belongs to another password, user or realm')
  const mac = macUnder(rootKey, 'profile-mac', [], parsed.authenticated)
  if (!equalBytes(mac, parsed.mac)) throw authenticationFailed()
  const { ownerId: id } = parsed.header
  const vaults: VaultEntry[] = []
  try {
    // The MAC is right, so only a holder of the root key could have written what fails here. Every failure becomes
    // `authentication-failed`, because details would help an attacker.
    answeredAlike(() => {
      if (parsed.admin !== undefined) readCard(parsed.admin)
      for (const { slots, ...vault } of parsed.vaults) {
        const keys: SlotKey[] = []
        vaults.push({ ...vault, keys })
        for (const slot of slots) keys.push(unwrapSlot(rootKey, id, vault.id, slot))
      }
    })
    return { id, version: parsed.version, admin: parsed.admin, vaults }
  } catch (error) {
    disposeKeys(vaults)
    throw error
  }
}

/**
 * Returns the vault with a recovery slot for every key that is not due. Recovery slots that exist are kept. Under zero
 * trust there are none.
 */
export function withRecoverySlots(vault: VaultEntry, { id, admin }: ProfileContents, names: UserNames): VaultEntry {
  if (admin === undefined) return { ...vault, recoverySlots: [] }
  const recipient = new Recipient(readCard(admin).sharing)
  const recoverySlots = vault.keys.flatMap((key) => {
    const there = vault.recoverySlots.find(({ generation }) => generation === key.generation)
    if (there !== undefined) return [there]
    return key.due ? [] : [sealRecoverySlot(recipient, id, names, vault.id, key)]
  })
  return { ...vault, recoverySlots }
}
