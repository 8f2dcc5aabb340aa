// A profile as bytes (SPEC §9): what a server keeps for a user, and can neither read nor change unseen. Its MAC is under the
// root key, so it says nothing to an admin who resets it: he must trust the record that he was given.
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

/** What a profile holds, once its root key has opened it. */
export interface ProfileContents {
  /** 16 random bytes, the same for the whole life of the profile. */
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

/** A record whose form was checked, and whose MAC was not. */
export interface ParsedProfile extends StoredProfile {
  readonly header: Header
  /** The copy that all fields are views of. */
  readonly bytes: Bytes
  /** Every byte in front of the MAC. */
  readonly authenticated: Uint8Array
}

/**
 * Checks the form of a record, from a copy, in an order that never takes damage by accident for anything else.
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`
 */
export function parseProfile(stored: Uint8Array): ParsedProfile {
  const bytes = copySummed(bytesFrom(stored, 'profile'), 'profile', MAX_PROFILE_BYTES)
  const header = parseHeader(bytes, 'profile', ObjectType.profile, [Suite.none])
  // Before anything is made of them: lists of the smallest vaults would take many times their bytes.
  assertVaults(vaultCount(bytes))
  const fields = decode(storedProfile, bytes, 'profile')
  assertConsistent(fields)
  return { ...fields, header, bytes, authenticated: authenticatedPart(bytes) }
}

/** @throws KeystrataError `limit-exceeded` */
function assertVaults(vaults: number): void {
  if (vaults > MAX_VAULTS) throw new KeystrataError('limit-exceeded', 'too many vaults for a profile', { vaults })
}

/** Rules that no honest writer breaks, and that a server can check without a key. */
function assertConsistent({ zeroTrust, admin, vaults }: StoredProfile): void {
  assertVaults(vaults.length)
  const names = new Set(vaults.map(({ id }) => id.join()))
  const holds =
    zeroTrust === (admin === undefined) &&
    names.size === vaults.length &&
    vaults.every(({ slots }) => slots.length > 0) &&
    (!zeroTrust || vaults.every(({ recoverySlots }) => recoverySlots.length === 0))
  if (!holds) throw new KeystrataError('malformed', 'a profile that contradicts itself')
}

/** @throws KeystrataError `limit-exceeded` for too many vaults */
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
 * Opens a record under its root key. Whoever calls this disposes of the keys in what it gets.
 * @throws KeystrataError `wrong-password` if it is under another root key; `authentication-failed`
 */
export function openProfileRecord(parsed: ParsedProfile, rootKey: SecretKey<'root'>): ProfileContents {
  if (!equalBytes(keyIdOf(rootKey), parsed.header.keyId))
    throw new KeystrataError('wrong-password', 'another password, user or realm than this profile is of')
  const mac = macUnder(rootKey, 'profile-mac', [], parsed.authenticated)
  if (!equalBytes(mac, parsed.mac)) throw authenticationFailed()
  const { ownerId: id } = parsed.header
  const vaults: VaultEntry[] = []
  try {
    // The MAC held: whoever made wrong what it covers has the root key, and is told apart no further.
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

/** With a recovery slot for every key that no former admin can have: those that are there, and new ones. */
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
