// A profile as bytes (SPEC §13.1). The server stores it for the user. It cannot read the keys in it, and cannot change it
// without being noticed. The profile's identity signs every record, so that servers and admins can check it without the
// root key. Not protected: a record that its user has signed while someone else knew their password.
import { Suite } from '../core/suite.ts'
import {
  allocate,
  type Bytes,
  bytesFrom,
  concat,
  domain,
  equalBytes,
  lengthPrefixed,
  utf8,
  withFields,
} from '../core/bytes.ts'
import { readCard } from '../core/card.ts'
import { decode, encode } from '../core/codec.ts'
import { answeredAlike, authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, type Header, ObjectType, parseHeader } from '../core/header.ts'
import { Recipient, type SigningPair, signingPairOf } from '../core/key-pairs.ts'
import { recipientOf } from '../core/recovery-holder.ts'
import { disposeKeys, SecretKey, withBytes } from '../core/secret.ts'
import { authenticatedPart, CHECKSUM_BYTES, copySummed, fillTrailer, MAC_BYTES, macUnder } from '../core/trailer.ts'
import { keyIdOf, type SecretPlace, unwrapSecret, wrapSecret } from '../core/wrap.ts'
import { isSignatureOf, sign, SIGNATURE_BYTES } from '../primitives/signature.ts'
import {
  previousOf,
  sealRecoverySlot,
  type SlotKey,
  unwrapSlot,
  type UserNames,
  type VaultIds,
  wrapSlot,
} from './keyring.ts'
import {
  type Generation,
  HandoverBy,
  MAX_PROFILE_BYTES,
  MAX_VAULTS,
  storedProfile,
  type StoredProfile,
  type StoredRecovery,
  vaultCount,
} from './layout.ts'

/** The header flag of a profile whose identity is known to an admin. It is replaced with the next new password. */
const IDENTITY_DUE = 1

/** The decrypted contents of a profile. */
export interface ProfileContents {
  /** The id of the profile: 16 random bytes, never changes. */
  readonly id: Uint8Array
  readonly version: number
  /** Signs the records and the keyrings. */
  readonly identity: SigningPair
  /** Whether an admin knows the identity, so that the next new password must come with a new one. */
  readonly identityDue: boolean
  readonly recovery: StoredRecovery
  readonly vaults: readonly VaultEntry[]
}

export interface VaultEntry extends VaultIds {
  readonly keys: readonly SlotKey[]
  readonly recoverySlots: readonly Generation[]
}

/** A record whose form was checked. Its signature and its MAC were not. */
export interface ParsedProfile extends StoredProfile {
  readonly header: Header
  readonly identityDue: boolean
  /** A copy of the record. All fields are views of it. */
  readonly bytes: Bytes
}

/** Signs a handover to a new identity: the identity, the card or the recovery key in the record that the new one follows. */
export interface HandoverSigner {
  readonly by: HandoverBy
  sign(message: Uint8Array): Bytes
}

/** What a record follows. */
export interface Predecessor {
  /** The whole record. */
  readonly record: Uint8Array
  /** Hands the profile over, if the new record has another identity. */
  readonly handover?: HandoverSigner
}

/**
 * Copies a record and checks its form. The checksum comes first, so accidental damage is always `malformed`.
 * @throws KeystrataError `limit-exceeded` over 1 MiB, or beyond 256 vaults
 * @throws KeystrataError `malformed` if the record is damaged or contradicts itself
 * @throws KeystrataError `unsupported` if it is another kind of object, or needs a later release
 * @throws TypeError if it is not a Uint8Array
 */
export function parseProfileRecord(stored: Uint8Array): ParsedProfile {
  const bytes = copySummed(bytesFrom(stored, 'profile'), 'profile', MAX_PROFILE_BYTES)
  const header = parseHeader(bytes, 'profile', ObjectType.profile, [Suite.none], {
    generation: 1,
    flags: [0, IDENTITY_DUE],
  })
  // Check the count before decoding: decoded lists of very small vaults take many times the memory of their bytes.
  assertVaults(vaultCount(bytes))
  const fields = decode(storedProfile, bytes, 'profile')
  const identityDue = header.flags === IDENTITY_DUE
  assertConsistent(fields, identityDue)
  return { ...fields, header, identityDue, bytes }
}

/**
 * Parses a record and checks that its identity signed it. This needs no key.
 * @throws KeystrataError `authentication-failed` if the signature does not hold; otherwise as {@link parseProfileRecord}
 */
export function readProfileRecord(stored: Uint8Array): ParsedProfile {
  const parsed = parseProfileRecord(stored)
  assertSigned(parsed)
  return parsed
}

/** @throws KeystrataError `authentication-failed` if the identity in a record did not sign it */
export function assertSigned(parsed: ParsedProfile): void {
  const message = signedMessage(parsed.bytes)
  if (!isSignatureOf(parsed.identity, message, parsed.signature)) throw authenticationFailed()
}

const beforeSignature = (record: Bytes): Bytes => authenticatedPart(record).subarray(0, -SIGNATURE_BYTES)

const signedMessage = (record: Bytes): Bytes => concat(domain('sign/profile'), beforeSignature(record))

const handoverMessage = (record: Bytes): Bytes =>
  concat(domain('sign/handover'), beforeSignature(record).subarray(0, -SIGNATURE_BYTES))

/**
 * Checks that a record may follow another one: the rules that a server can check without a key (SPEC §13.3).
 * @throws KeystrataError `policy` if it is another profile, turns zero trust off, or has another identity that nobody
 *   handed the profile over to
 * @throws KeystrataError `conflict` if its version is not one higher, or it was made from another record
 * @throws KeystrataError `authentication-failed` if the handover does not hold
 */
export function assertFollows(next: ParsedProfile, stored: ParsedProfile): void {
  if (!equalBytes(next.header.ownerId, stored.header.ownerId)) throw anotherProfile()
  const expected = stored.version + 1
  if (next.version !== expected) {
    const message = `profile version ${next.version} is not the next one, ${expected}: read the stored profile again`
    throw new KeystrataError('conflict', message, { object: 'profile', version: next.version, expected })
  }
  if (!equalBytes(next.previous, previousOf(stored.bytes))) {
    throw new KeystrataError('conflict', 'this profile was made from another one than the stored one: load it again', {
      object: 'profile',
      version: next.version,
    })
  }
  assertAllowed(next, stored)
}

/**
 * Checks that a record may come after another one, although the record between them is damaged.
 * @throws KeystrataError as in {@link assertFollows}, but other records may lie between the two
 */
export function assertComesAfter(next: ParsedProfile, stored: ParsedProfile): void {
  if (!equalBytes(next.header.ownerId, stored.header.ownerId)) throw anotherProfile()
  if (next.version <= stored.version) {
    const message = `the stored profile has version ${stored.version} already: read it again`
    throw new KeystrataError('conflict', message, { object: 'profile', version: next.version, stored: stored.version })
  }
  assertAllowed(next, stored)
}

function assertAllowed(next: ParsedProfile, stored: ParsedProfile): void {
  if (stored.recovery.kind !== 'card' && next.recovery.kind === 'card') throw zeroTrustIsPermanent()
  assertHandedOver(next, stored)
}

export const anotherProfile = (): KeystrataError =>
  new KeystrataError('policy', 'this is not the stored profile: it has another id', { rule: 'same-profile' })

export const zeroTrustIsPermanent = (): KeystrataError =>
  new KeystrataError('policy', 'this profile is under zero trust, which cannot be turned off', { rule: 'zero-trust' })

function assertHandedOver(next: ParsedProfile, stored: ParsedProfile): void {
  const { identity, identityDue, handover, bytes } = next
  const isSame = equalBytes(identity, stored.identity)
  if (isSame && handover === undefined && identityDue === stored.identityDue) return
  const signer = isSame || handover === undefined ? undefined : signerOf(handover.by, stored)
  if (handover === undefined || signer === undefined) {
    const message = isSame
      ? 'this record keeps its identity, but hands the profile over, or changes the mark that it is to be replaced'
      : 'this record has another identity than the stored one, which has not handed the profile over to it'
    throw new KeystrataError('policy', message, { rule: 'identity' })
  }
  if (!isSignatureOf(signer, handoverMessage(bytes), handover.signature)) throw authenticationFailed()
}

/** Returns the public key that signs such a handover behind this record. Undefined if there is none. */
function signerOf(by: HandoverBy, { identity, recovery }: ParsedProfile): Uint8Array | undefined {
  switch (by) {
    case HandoverBy.identity:
      return identity
    case HandoverBy.card:
      // Only the record's owner could have written an invalid card. No handover by it holds.
      return recovery.kind === 'card' ? answeredAlike(() => readCard(recovery.value)).cardSigning : undefined
    case HandoverBy.recoveryKey:
      return recovery.kind === 'recoveryKey' ? recovery.value.keys.signing : undefined
  }
}

/**
 * Checks the number of vaults in a profile.
 * @throws KeystrataError `limit-exceeded` beyond 256 vaults
 */
function assertVaults(vaults: number): void {
  if (vaults > MAX_VAULTS)
    throw new KeystrataError('limit-exceeded', 'a profile has at most 256 vaults', { object: 'profile', vaults })
}

/**
 * Checks rules between fields, which a server can check without a key. An honest writer never breaks them.
 * @throws KeystrataError `malformed` if a rule is broken; `limit-exceeded` beyond 256 vaults
 */
function assertConsistent({ recovery, vaults, handover }: StoredProfile, identityDue: boolean): void {
  assertVaults(vaults.length)
  const names = new Set(vaults.map(({ id }) => id.join()))
  const holds =
    names.size === vaults.length &&
    vaults.every(({ slots }) => slots.length > 0) &&
    (handover?.by !== HandoverBy.card || identityDue) &&
    // Nobody else knows the identity of a profile with a recovery key. A new password could not sign another one.
    (recovery.kind !== 'recoveryKey' || !identityDue) &&
    (handover?.by !== HandoverBy.recoveryKey || recovery.kind === 'recoveryKey') &&
    (recovery.kind !== 'nobody' || vaults.every(({ recoverySlots }) => recoverySlots.length === 0))
  if (!holds)
    throw new KeystrataError('malformed', 'the fields of this profile contradict each other', { object: 'profile' })
}

const seedPlace = (profileId: Uint8Array, identity: Uint8Array): SecretPlace => ({
  type: ObjectType.identity,
  ownerId: profileId,
  context: lengthPrefixed(identity),
})

/**
 * Encodes a profile, signs it by its identity, and computes its MAC under the root key.
 * @param predecessor the record that this one follows; undefined for the first
 * @throws KeystrataError `limit-exceeded` beyond 256 vaults
 */
export function encodeProfile(
  { id, version, identity, identityDue, recovery, vaults }: ProfileContents,
  rootKey: SecretKey<'root'>,
  predecessor?: Predecessor,
): Bytes {
  const handover = predecessor?.handover
  const ids = { keyId: keyIdOf(rootKey), ownerId: id }
  const flags = identityDue ? IDENTITY_DUE : 0
  const noSignature = allocate(SIGNATURE_BYTES)
  const fields: StoredProfile = {
    headerBytes: encodeHeader({ type: ObjectType.profile, suite: Suite.none, generation: 1, flags, ...ids }),
    version,
    previous: previousOf(predecessor?.record),
    identity: identity.publicKey,
    seed: withBytes(identity.seed, (seed) => wrapSecret(rootKey, seed, seedPlace(id, identity.publicKey))),
    recovery,
    vaults: vaults.map((vault) => ({
      id: vault.id,
      dataKeyId: vault.dataKeyId,
      slots: vault.keys.map((key) => wrapSlot(rootKey, id, vault.id, key)),
      recoverySlots: vault.recoverySlots,
    })),
    handover: handover && { by: handover.by, signature: noSignature },
    signature: noSignature,
    mac: allocate(MAC_BYTES),
    checksum: allocate(CHECKSUM_BYTES),
  }
  assertConsistent(fields, identityDue)
  const whole = encode(storedProfile, fields)
  const signed = beforeSignature(whole)
  if (handover !== undefined) signed.set(handover.sign(handoverMessage(whole)), signed.length - SIGNATURE_BYTES)
  whole.set(sign(identity.seed, signedMessage(whole)), signed.length)
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
  const mac = macUnder(rootKey, 'profile-mac', [], authenticatedPart(parsed.bytes))
  if (!equalBytes(mac, parsed.mac)) throw authenticationFailed()
  assertSigned(parsed)
  const { ownerId: id } = parsed.header
  const { version, recovery, identityDue } = parsed
  const opened: { identity?: SigningPair; vaults: VaultEntry[] } = { vaults: [] }
  try {
    // The MAC is right, so only a holder of the root key could have written what fails here. Every failure becomes
    // `authentication-failed`, because details would help an attacker.
    const identity = answeredAlike(() => {
      recipientFor(recovery)
      opened.identity = openIdentity(parsed, rootKey)
      for (const { slots, ...vault } of parsed.vaults) {
        const keys: SlotKey[] = []
        opened.vaults.push({ ...vault, keys })
        for (const slot of slots) keys.push(unwrapSlot(rootKey, id, vault.id, slot))
      }
      return opened.identity
    })
    return { id, version, identity, identityDue, recovery, vaults: opened.vaults }
  } catch (error) {
    disposeKeys(opened)
    throw error
  }
}

/** @throws KeystrataError if the seed does not open, or is not that of the identity */
function openIdentity({ header, identity, seed }: ParsedProfile, rootKey: SecretKey<'root'>): SigningPair {
  const place = seedPlace(header.ownerId, identity)
  const pair = signingPairOf(SecretKey.take('signing', unwrapSecret(rootKey, seed, 'identity', place)))
  if (equalBytes(pair.publicKey, identity)) return pair
  pair.seed.dispose()
  throw authenticationFailed()
}

/**
 * Returns the keys that recovery slots are sealed to, or undefined if nobody can reset the profile.
 * @throws KeystrataError if they are invalid
 */
function recipientFor(recovery: StoredRecovery): Recipient | undefined {
  switch (recovery.kind) {
    case 'nobody':
      return undefined
    case 'card':
      return new Recipient(readCard(recovery.value).sharing)
    case 'recoveryKey':
      return recipientOf(recovery.value.keys)
  }
}

/**
 * Returns the vault with a recovery slot for every key. An admin gets none for a key that is due, because it belongs to the
 * time of another one. Recovery slots that exist are kept. If nobody can reset the profile, there are none.
 */
export function withRecoverySlots(vault: VaultEntry, { id, recovery }: ProfileContents, names: UserNames): VaultEntry {
  const recipient = recipientFor(recovery)
  if (recipient === undefined) return { ...vault, recoverySlots: [] }
  const recoverySlots = vault.keys.flatMap((key) => {
    const there = vault.recoverySlots.find(({ generation }) => generation === key.generation)
    if (there !== undefined) return [there]
    return key.due && recovery.kind === 'card' ? [] : [sealRecoverySlot(recipient, id, names, vault.id, key)]
  })
  return { ...vault, recoverySlots }
}

/** What a recovery key signs: whose profile it may reset, and the identity that signs its records. */
export const identityMessage = (profileId: Uint8Array, { realm, user }: UserNames, identity: Uint8Array): Bytes =>
  withFields(domain('sign/recovery-identity'), profileId, utf8(realm), utf8(user), identity)
