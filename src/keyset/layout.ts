// The keyset as it is stored (SPEC §5): one outer layout, and for each destination the sections that may be in it. What is
// stored where is decided by these lists of fields alone: what a list does not name is not written there.
// What one device keeps in its own database (SPEC §15): its device key, and what is sealed under it.
import * as P from 'micro-packed'
import type { Bytes } from '../core/bytes.ts'
import { list, ownBytes, secret, version, within } from '../core/codec.ts'
import { HEADER_BYTES } from '../core/header.ts'
import {
  keyPair,
  type KeyPair,
  optionalPrivateHalves,
  privateHalves,
  type PrivateHalves,
  publicHalves,
  type PublicHalves,
  signingPair,
  type SigningPair,
  Strength,
} from '../core/key-pairs.ts'
import { MAX_KEYSET_BYTES } from '../core/limits.ts'
import type { SecretKey } from '../core/secret.ts'
import { CHECKSUM_BYTES, MAC_BYTES } from '../core/trailer.ts'
import type { ShareKeys } from './invite.ts'

/** Where an export is kept. */
export const Destination = { host: 1, 'source-definition': 2, 'source-storage': 3 } as const

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

/** A share that is active: blocks are masked for it as they are written. */
export interface ActiveShare extends ShareKeys {
  readonly id: Bytes
}

/** What a host knows of it. */
export type PublicShare = Pick<ActiveShare, 'id' | 'publicHalves'>

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

export interface SavedKeyset {
  readonly master: SecretKey<'master'>
  /** A strength that is taken although the keyset demands more; absent where none is. */
  readonly accept?: number | undefined
  /** An export with all the keys that there are. */
  readonly keyset: Uint8Array
}

export const keysetKeys: P.CoderType<SavedKeyset> = P.struct({
  master: secret('master', 32),
  accept: P.optional(P.bool, within(P.U8, 0, 2)),
  keyset: P.bytes(P.U32BE),
})
