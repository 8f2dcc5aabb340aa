// Makes profiles and keyrings for the vectors: good ones, and ones with a fault under right signatures and MACs.
import { type Bytes, concat, domain, u16 } from '../../src/core/bytes.ts'
import { encodeCard } from '../../src/core/card.ts'
import { generateKeyPair, Recipient, type SigningPair, signingPairOf } from '../../src/core/key-pairs.ts'
import { type RecoveryHolder, recipientOf } from '../../src/core/recovery-holder.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { macUnder } from '../../src/core/trailer.ts'
import { Strength } from '../../src/core/suite.ts'
import { keyIdOf } from '../../src/core/wrap.ts'
import { sign } from '../../src/primitives/signature.ts'
import { encodeKeyring, type KeyringKey, sealRecoverySlot, type SlotKey } from '../../src/vault/keyring.ts'
import {
  encodeProfile,
  identityMessage,
  type HandoverSigner,
  type ProfileContents,
  type VaultEntry,
} from '../../src/vault/profile-record.ts'
import { hex, patched, resummed } from '../fixtures.ts'
import { plantedContents } from '../keyset/planted.ts'
import { type Generation, HandoverBy, type StoredRecovery } from '../../src/vault/layout.ts'
import { codeOf, holderOf } from './make-slots.ts'
import type { GenerationVector, SlotVector } from './vectors.ts'

export const run = (byte: number, length: number): Bytes => new Uint8Array(length).fill(byte)
export const NAMES = { realm: 'com.example.backup', user: 'user@example.com' }

/** A signing key pair whose seed is one byte repeated. */
export const signer = (byte: number): SigningPair => signingPairOf(new SecretKey('signing', run(byte, 32)))
export const identity: SigningPair = signer(0xd1)
export const nextIdentity: SigningPair = signer(0xd2)
export const stranger: SigningPair = signer(0xd3)

export const dataKey: SecretKey<'data'> = new SecretKey('data', run(0x21, 32))
export const rootKey: SecretKey<'root'> = new SecretKey('root', run(0x31, 24))
export const otherRootKey: SecretKey<'root'> = new SecretKey('root', run(0x32, 24))
export const profileId: Bytes = run(0xa1, 16)
export const vaultId: Bytes = run(0xb1, 16)

// The admin is the planted keyset.
const planted = plantedContents()
const additional = planted.additional!
export const adminSigning: SigningPair = additional.cardSigning
export const adminSource: SigningPair = planted.sourceSigning
export const admin: Recipient = new Recipient(additional.sharing.publicHalves)
export const cardOf = (ownerId: Uint8Array = planted.id, cardSigning: SigningPair = adminSigning): Bytes =>
  encodeCard(
    { ownerId, sharing: additional.sharing.publicHalves, sourceSigning: planted.sourceSigning.publicKey },
    cardSigning,
  ).bytes
export const adminCard: Bytes = cardOf()
// The card of the source that the planted keyset has adopted.
const source = planted.adopted[0]!.keys!
export const adoptedAdmin: Recipient = new Recipient(source.sharing.publicHalves)
export const adoptedCard: Bytes = encodeCard(
  { ownerId: planted.adopted[0]!.id, sharing: source.sharing.publicHalves, sourceSigning: source.sourceSigning },
  source.cardSigning,
).bytes
// Another admin.
export const otherSigning: SigningPair = signer(0xd4)
const otherSharing = generateKeyPair(Strength.hybrid).publicHalves
export const otherAdmin: Recipient = new Recipient(otherSharing)
export const otherCard: Bytes = encodeCard(
  { ownerId: run(0xcc, 16), sharing: otherSharing, sourceSigning: signer(0xd5).publicKey },
  otherSigning,
).bytes

export const keyOf = (generation: number, due = false): SlotKey => ({
  generation,
  due,
  key: new SecretKey('keyring', run(0x40 + (generation % 64), 16)),
})
export const both: readonly SlotKey[] = [keyOf(3), keyOf(4)]
export const keyVectors = (keys: readonly KeyringKey[]): GenerationVector[] =>
  keys.map(({ generation, key }) => ({ generation, key: withBytes(key, hex) }))
export const slotVectors = (keys: readonly SlotKey[]): SlotVector[] =>
  keys.map(({ generation, key, due }) => ({ generation, key: withBytes(key, hex), due }))

export const recoverySlot = (
  key: KeyringKey,
  to: Recipient = admin,
  user: string = NAMES.user,
  id: Bytes = vaultId,
): Generation => sealRecoverySlot(to, profileId, { ...NAMES, user }, id, key)
export const vaultWith = (keys: readonly SlotKey[], more: Partial<VaultEntry> = {}): VaultEntry => ({
  id: vaultId,
  dataKeyId: keyIdOf(dataKey),
  keys,
  recoverySlots: [],
  ...more,
})
export const recoverable = (keys: readonly SlotKey[]): VaultEntry =>
  vaultWith(keys, { recoverySlots: keys.map((key) => recoverySlot(key)) })

/** Under zero trust, one vault with one slot. */
export const zeroTrust: ProfileContents = {
  ...{ id: profileId, version: 5, identity, identityDue: false, recovery: { kind: 'nobody', value: {} } },
  vaults: [vaultWith([keyOf(1)])],
}
/** With an admin, in the middle of a rotation. */
export const withAdmin: ProfileContents = {
  ...zeroTrust,
  version: 9,
  recovery: { kind: 'card', value: adminCard },
  vaults: [recoverable(both)],
}

/** The code of the recovery key that may reset the profiles below. */
export const RECOVERY_CODE: string = codeOf('0123456789ABCDEFGHJKMNPQRS')
export const recoveryKey: RecoveryHolder = await holderOf(RECOVERY_CODE)
export const otherRecoveryKey: RecoveryHolder = await holderOf(0x17)
/** A recovery key that accepts an identity of a profile. */
export const keyRecovery = (
  { publicKey }: SigningPair,
  by: RecoveryHolder = recoveryKey,
  names: typeof NAMES = NAMES,
  id: Bytes = profileId,
): StoredRecovery => ({
  kind: 'recoveryKey',
  value: { keys: by.keys, signature: by.sign(identityMessage(id, names, publicKey)) },
})
export const sealedToKey = (keys: readonly SlotKey[], by: RecoveryHolder = recoveryKey): VaultEntry =>
  vaultWith(keys, { recoverySlots: keys.map((key) => recoverySlot(key, recipientOf(by.keys))) })
/** With a recovery key, in the middle of a rotation. */
export const withKey: ProfileContents = {
  ...zeroTrust,
  version: 9,
  recovery: keyRecovery(identity),
  vaults: [sealedToKey(both)],
}

/** A first record. */
export const record = (contents: Partial<ProfileContents> = {}, key: SecretKey<'root'> = rootKey): Bytes =>
  encodeProfile({ ...zeroTrust, ...contents }, key)

/** The record behind another one, with the same contents unless it is told. */
export function behind(
  stored: Uint8Array,
  contents: Partial<ProfileContents>,
  handover?: HandoverSigner,
  key: SecretKey<'root'> = rootKey,
): Bytes {
  return encodeProfile({ ...zeroTrust, ...contents }, key, { record: stored, ...(handover && { handover }) })
}

export const handedBy = (by: HandoverSigner['by'], { seed }: SigningPair): HandoverSigner => ({
  by,
  sign: (message) => sign(seed, message),
})

export const handedByKey: HandoverSigner = { by: HandoverBy.recoveryKey, sign: (message) => recoveryKey.sign(message) }

export type Sign = (message: Uint8Array) => Uint8Array
export const signs =
  ({ seed }: SigningPair): Sign =>
  (message) =>
    sign(seed, message)

/** Recomputes the MAC and the checksum of a changed record, as someone who has the root key could. */
export function remacked(bytes: Uint8Array, key: SecretKey<'root'> = rootKey): Bytes {
  return resummed(patched(bytes, bytes.length - 72, macUnder(key, 'profile-mac', [], bytes.subarray(0, -72))))
}

/** Recomputes the signature too, as the user could. */
export function resigned(
  bytes: Uint8Array,
  by: Sign = signs(identity),
  key: typeof rootKey = rootKey,
  label = 'sign/profile',
): Bytes {
  const signature = by(concat(domain(label), bytes.subarray(0, -136)))
  return remacked(patched(bytes, bytes.length - 136, signature), key)
}

/** The offsets in a record (SPEC §13.1). Those behind the recovery hold for records without an admin. */
export const AT = {
  version: 48,
  previous: 56,
  identity: 88,
  seed: 120,
  recovery: 280,
  vaults: 281,
  vault: 283,
  slot: 317,
  /** The end of the first vault, if it has one slot and no recovery slot. */
  handover: 468,
} as const
/** How much further they are in a record with an admin. */
export const CARD = 1776
/** How much further they are in a record with a recovery key. */
export const KEY = 1696
/** The offsets of the fields of KEYS. */
export const KEY_AT = { x25519: 281, mlKem1024: 313, signing: 1881, signature: 1913 } as const
/** The offsets in a keyring (SPEC §14.2): of the count, and of the first wrap with its generation. */
export const RING = { version: 48, previous: 56, count: 88, wrap: 90 } as const

/** Replaces bytes from one offset to another, and signs the record again. */
export const spliced = (bytes: Uint8Array, from: number, to: number, ...parts: Uint8Array[]): Bytes =>
  resigned(concat(bytes.subarray(0, from), ...parts, bytes.subarray(to)))

/** A record whose recovery key has not signed its identity. */
export const unsignedKey: Bytes = resigned(patched(record(withKey), KEY_AT.signature, run(0, 64)))

/** A record with this many vaults, each with a slot of its own. */
export const manyVaults = (count: number): Bytes =>
  record({
    vaults: Array.from({ length: count }, (_, i) => vaultWith([keyOf(1)], { id: concat(u16(i), run(0xb3, 14)) })),
  })

/** A keyring behind another one, or the first. */
export const keyring = (
  version: number,
  keys: readonly KeyringKey[],
  by: SigningPair = identity,
  previous?: Uint8Array,
  id: Bytes = vaultId,
): Bytes => encodeKeyring(id, version, dataKey, keys, by, previous)

/** Recomputes the MAC and the checksum of a changed keyring, as someone who has the A-key could. */
export const keyringRemacked = (bytes: Uint8Array, key: SecretKey<'data'> = dataKey): Bytes =>
  resummed(patched(bytes, bytes.length - 72, macUnder(key, 'keyring-mac', [vaultId], bytes.subarray(0, -72))))

/** Recomputes the signature too. */
export const keyringResigned = (bytes: Uint8Array, by: Sign = signs(identity)): Bytes =>
  keyringRemacked(patched(bytes, bytes.length - 136, by(concat(domain('sign/keyring'), bytes.subarray(0, -136)))))
