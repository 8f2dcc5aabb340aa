// The keyset as it is stored (SPEC §5): one outer layout, and for each destination the sections that may be in it. What is
// stored where is decided by these lists of fields alone: what a list does not name is not written there.
import * as P from 'micro-packed'
import type { Bytes } from '../bytes.ts'
import type { SecretKey } from '../secret.ts'
import { list, ownBytes, secret, version, within } from './codec.ts'
import { HEADER_BYTES } from './header.ts'

export const MAX_KEYSET_BYTES: number = 1024 * 1024
export const CHECKSUM_BYTES = 8
export const MAC_BYTES = 64

/** Where an export is kept. */
export const Destination = { host: 1, 'source-definition': 2, 'source-storage': 3 } as const
/** Which key agreements protect a block, in order of strength. */
export const Strength = { none: 0, x25519: 1, hybrid: 2 } as const

export interface StoredKeyset {
  readonly headerBytes: Uint8Array
  readonly version: number
  readonly destination: number
  /** Default of writers, a {@link Strength}. */
  readonly encryption: number
  /** Default of writers, a dedup mode. */
  readonly dedup: number
  readonly argon2: Argon2Record
  readonly plain: Uint8Array
  /** A WRAP under the master key. */
  readonly sealed: Uint8Array
  readonly mac: Uint8Array
  readonly checksum: Uint8Array
}

/** How the password gives the master key; the hash H itself is never stored. */
export interface Argon2Record {
  readonly iterations: number
  readonly memoryKiB: number
  readonly lanes: number
  readonly salt: Bytes
  /** N = master key ⊕ H. */
  readonly nonce: Bytes
  /** Tells a wrong password from damage. */
  readonly verify: Bytes
}

const argon2Record: P.CoderType<Argon2Record> = P.struct({
  iterations: P.U32BE,
  memoryKiB: P.U32BE,
  lanes: P.U32BE,
  salt: ownBytes(32),
  nonce: ownBytes(32),
  verify: ownBytes(32),
})

export const storedKeyset: P.CoderType<StoredKeyset> = P.struct({
  headerBytes: P.bytes(HEADER_BYTES),
  version,
  destination: P.U8,
  encryption: P.U8,
  dedup: P.U8,
  argon2: argon2Record,
  plain: P.bytes(P.U32BE),
  sealed: P.bytes(P.U32BE),
  mac: P.bytes(MAC_BYTES),
  checksum: P.bytes(CHECKSUM_BYTES),
})

/** The public halves of a key pair set, and the weakest blocks that its reader takes (a {@link Strength}). */
export interface PublicHalves {
  readonly minimum: number
  readonly x25519: Bytes
  readonly mlKem1024: Bytes
}

export interface PrivateHalves {
  readonly x25519: SecretKey<'x25519'>
  /** The 64-byte seed d ‖ z of FIPS 203, never the expanded key. */
  readonly mlKem1024: SecretKey<'ml-kem-1024'>
}

export interface KeyPair {
  readonly publicHalves: PublicHalves
  readonly privateHalves: PrivateHalves
}

/** An Ed25519 key pair. */
export interface SigningPair {
  readonly seed: SecretKey<'signing'>
  readonly publicKey: Bytes
}

/** The key pairs of a share. */
export interface ShareKeys {
  readonly publicHalves: PublicHalves
  /** Absent where the share goes straight to a key pair that somebody else holds. */
  readonly privateHalves?: PrivateHalves | undefined
}

/** A share that is active: blocks are masked for it as they are written. */
export interface ActiveShare extends ShareKeys {
  readonly id: Bytes
}
/** What a host knows of it. */
export type PublicShare = Pick<ActiveShare, 'id' | 'publicHalves'>

const publicHalves: P.CoderType<PublicHalves> = P.struct({
  minimum: within(P.U8, Strength.none, Strength.hybrid),
  x25519: ownBytes(32),
  mlKem1024: ownBytes(1568),
})
const privateHalves: P.CoderType<PrivateHalves> = P.struct({
  x25519: secret('x25519', 32),
  mlKem1024: secret('ml-kem-1024', 64),
})
const keyPair: P.CoderType<KeyPair> = P.struct({ publicHalves, privateHalves })
const signingPair: P.CoderType<SigningPair> = P.struct({ seed: secret('signing', 32), publicKey: ownBytes(32) })
const optionalPrivateHalves: P.CoderType<PrivateHalves | undefined> = P.optional(P.bool, privateHalves)
export const shareKeys: P.CoderType<ShareKeys> = P.struct({ publicHalves, privateHalves: optionalPrivateHalves })
const shareId = ownBytes(16)

/** On the host, readable without the password: enough to back up, not to restore. */
export interface HostPlain {
  readonly blockPair: PublicHalves
  readonly blockSalt: SecretKey<'block-salt'>
  readonly dedupKey: SecretKey<'dedup'>
  readonly sourceSigning: SecretKey<'signing'>
  readonly retired: readonly PublicHalves[]
  readonly shares: readonly PublicShare[]
}
export const hostPlain: P.CoderType<HostPlain> = P.struct({
  blockPair: publicHalves,
  blockSalt: secret('block-salt', 32),
  dedupKey: secret('dedup', 32),
  sourceSigning: secret('signing', 32),
  retired: list(publicHalves),
  shares: list(P.struct({ id: shareId, publicHalves })),
})

/** More have no room in the plain section, where each has public halves of 1,601 bytes. */
const MOST_PAIRS = Math.floor(MAX_KEYSET_BYTES / 1601)

/** On the host, under the master key. Lists are in the order of the plain section, and as long. */
export interface HostSealed {
  readonly blockPair: PrivateHalves
  readonly sourceSigningPublic: Bytes
  readonly sharing: KeyPair
  readonly cardSigning: SigningPair
  readonly retired: readonly PrivateHalves[]
  readonly shares: readonly (PrivateHalves | undefined)[]
}
export const hostSealed: P.CoderType<HostSealed> = P.struct({
  blockPair: privateHalves,
  sourceSigningPublic: ownBytes(32),
  sharing: keyPair,
  cardSigning: signingPair,
  retired: list(privateHalves, MOST_PAIRS),
  shares: list(optionalPrivateHalves, MOST_PAIRS),
})

/** In a source definition: what restores this source, and nothing that concerns other people. */
export interface DefinitionSealed {
  readonly blockPair: KeyPair
  readonly blockSalt: SecretKey<'block-salt'>
  readonly dedupKey: SecretKey<'dedup'>
  readonly sourceSigning: SigningPair
}
const definitionFields = {
  blockPair: keyPair,
  blockSalt: secret('block-salt', 32),
  dedupKey: secret('dedup', 32),
  sourceSigning: signingPair,
}
export const definitionSealed: P.CoderType<DefinitionSealed> = P.struct(definitionFields)

/** In the source's storage: everything. */
export interface StorageSealed extends DefinitionSealed {
  readonly sharing: KeyPair
  readonly cardSigning: SigningPair
  readonly retired: readonly KeyPair[]
  readonly shares: readonly ActiveShare[]
}
export const storageSealed: P.CoderType<StorageSealed> = P.struct({
  ...definitionFields,
  sharing: keyPair,
  cardSigning: signingPair,
  retired: list(keyPair),
  shares: list(P.struct({ id: shareId, publicHalves, privateHalves: optionalPrivateHalves })),
})
