// Makes delegations for the vectors: good ones, and ones with a fault under right signatures and checksums.
import { type Bytes, concat, domain, lengthPrefixed, u32, u64 } from '../../src/core/bytes.ts'
import { type Card, type CardKeys, encodeCard, fingerprintBytes, type PinnedKeys } from '../../src/core/card.ts'
import { encode } from '../../src/core/codec.ts'
import { encodeHeader, ObjectType } from '../../src/core/header.ts'
import { type KeyPair, keyPairOf, publicKeyId, Recipient, type SigningPair } from '../../src/core/key-pairs.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { Strength, Suite } from '../../src/core/suite.ts'
import { sealSecret, type SecretPlace } from '../../src/core/wrap.ts'
import { type DelegatedKeys, delegatedKeys } from '../../src/fleet/delegation.ts'
import { sign } from '../../src/primitives/signature.ts'
import { hex, resummed } from '../fixtures.ts'
import { admin, run, signer } from './make-profile.ts'

/** A key pair whose private halves are two bytes repeated. */
export const pairOf = (byte: number, minimum: Strength): KeyPair =>
  keyPairOf(minimum, {
    x25519: new SecretKey('x25519', run(byte, 32)),
    mlKem1024: new SecretKey('ml-kem-1024', run(byte + 1, 64)),
  })
/** The same keys with another minimum. */
export const withMinimum = ({ publicHalves, privateHalves }: KeyPair, minimum: Strength): KeyPair => ({
  publicHalves: { ...publicHalves, minimum },
  privateHalves,
})

// The owner of the delegations. The fleet is the planted keyset, which is the vector `host-full` of keyset.json.
export const ownerId: Bytes = run(0xb7, 16)
export const adoptedId: Bytes = run(0xb8, 16)
export const current: KeyPair = pairOf(0x11, Strength.hybrid)
export const hybridPair: KeyPair = pairOf(0x13, Strength.hybrid)
export const x25519Pair: KeyPair = pairOf(0x15, Strength.x25519)
export const laxPair: KeyPair = pairOf(0x17, Strength.none)
export const privateHex = ({ privateHalves: { x25519, mlKem1024 } }: KeyPair): string =>
  withBytes(x25519, hex) + withBytes(mlKem1024, hex)

export const sharing: KeyPair = pairOf(0x19, Strength.hybrid)
export const cardSigning: SigningPair = signer(0x1b)
export const sourceSigning: SigningPair = signer(0x1c)
/** The card of the owner, or one with other parts. */
export const ownerCard = (
  more: Partial<Omit<CardKeys, 'cardSigning'>> = {},
  signing: SigningPair = cardSigning,
): Card => {
  const keys = { ownerId, sharing: sharing.publicHalves, sourceSigning: sourceSigning.publicKey }
  return encodeCard({ ...keys, ...more }, signing)
}
export const owner: PinnedKeys = {
  sharing: sharing.publicHalves,
  cardSigning: cardSigning.publicKey,
  sourceSigning: sourceSigning.publicKey,
}

export const UNTIL: number = Date.UTC(2026, 11, 31)
export const REVISION: Bytes = run(0xc9, 16)

export const keysWith = (more: Partial<DelegatedKeys> = {}): DelegatedKeys => ({
  ...{ encryption: Strength.hybrid, blockPair: current.publicHalves, retired: [hybridPair], adopted: [] },
  ...more,
})
export const delegated = (more: Partial<DelegatedKeys> = {}): Bytes => encode(delegatedKeys, keysWith(more))

/** The 48 bytes of the header. */
export const headerWith = (more: Partial<{ keyId: Bytes; ownerId: Bytes }> = {}): Bytes =>
  encodeHeader({
    ...{ type: ObjectType.delegation, suite: Suite.none, keyId: publicKeyId(sharing.publicHalves), ownerId },
    ...more,
  })

/** What stands in front of the SEAL: 80 bytes. */
export interface Facts {
  header?: Bytes
  version?: number
  revision?: Bytes
  until?: number
}
export const factsOf = ({ header = headerWith(), version = 7, revision = REVISION, until = UNTIL }: Facts): Bytes =>
  concat(header, u64(version), revision, u64(until))

/** The context of the SEAL. */
export const contextOf = (facts: Facts = {}, of: PinnedKeys = owner): Bytes =>
  concat(lengthPrefixed(fingerprintBytes(of)), factsOf(facts))

interface Making extends Facts {
  /** DELEGATED. */
  P?: Bytes
  to?: Recipient
  /** What differs in the place of the SEAL. */
  place?: Partial<SecretPlace>
  /** The SEAL itself. */
  sealed?: Bytes
  signature?: Signing
}
interface Signing {
  by?: SigningPair
  label?: string
  /** What stands between the label and the bytes that are signed. */
  to?: Bytes
}

export const sealOf = ({ P = delegated(), to = admin, place = {}, ...facts }: Making = {}): Bytes =>
  sealSecret(to, P, { type: ObjectType.delegation, ownerId, context: contextOf(facts), ...place })

const signatureOf = (
  before: Bytes,
  { by = cardSigning, label = 'sign/delegation', to = lengthPrefixed(fingerprintBytes(owner)) }: Signing = {},
): Bytes => sign(by.seed, concat(domain(label), to, before))

/** A delegation. It is right but for what is given. */
export function delegationOf(making: Making = {}): Bytes {
  const { sealed = sealOf(making), signature } = making
  const before = concat(factsOf(making), u32(sealed.length), sealed)
  return resummed(concat(before, signatureOf(before, signature), new Uint8Array(8)))
}

/** Signs altered bytes again, as the owner could, and makes the checksum right. */
export const signedAgain = (bytes: Uint8Array): Bytes => {
  const before = concat(bytes.subarray(0, -72))
  return resummed(concat(before, signatureOf(before), new Uint8Array(8)))
}
