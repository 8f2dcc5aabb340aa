// The stored layout of a keyset (SPEC §5): one outer layout, and the sections for each destination. These lists of
// fields alone decide what is stored where: a field that a list does not name is not written.
import type { Bytes } from '../core/bytes.ts'
import {
  bytes,
  type Codec,
  list,
  optional,
  ownBytes,
  prefixed,
  secret,
  struct,
  uint32,
  uint8,
  version,
} from '../core/codec.ts'
import { HEADER_BYTES } from '../core/header.ts'
import {
  type KeyPair,
  keyPair,
  optionalPrivateHalves,
  type PrivateHalves,
  privateHalves,
  type PublicHalves,
  publicHalves,
  type SigningPair,
  signingPair,
  strength,
} from '../core/key-pairs.ts'
import type { SecretKey } from '../core/secret.ts'
import type { Strength } from '../core/suite.ts'
import { CHECKSUM_BYTES, MAC_BYTES } from '../core/trailer.ts'

export const MAX_KEYSET_BYTES: number = 1024 * 1024

/** Where an export is kept. */
export const Destination = { host: 1, definition: 2, storage: 3 } as const
export type Destination = keyof typeof Destination

export interface StoredKeyset {
  readonly headerBytes: Uint8Array
  readonly version: number
  readonly destination: number
  /** The default encryption of writers, a {@link Strength}. */
  readonly encryption: number
  /** The default dedup mode of writers. */
  readonly dedup: number
  readonly argon2: Argon2Record
  readonly plain: Uint8Array
  /** A WRAP under the master key. */
  readonly sealed: Uint8Array
  readonly mac: Uint8Array
  readonly checksum: Uint8Array
}

/** What is needed, besides the password, to derive the master key. The hash H itself is never stored. */
export interface Argon2Record {
  readonly iterations: number
  readonly memoryKiB: number
  readonly lanes: number
  readonly salt: Bytes
  /** N = master key ⊕ H. */
  readonly nonce: Bytes
  /** Distinguishes a wrong password from damage. */
  readonly verify: Bytes
}

const argon2Record: Codec<Argon2Record> = struct({
  iterations: uint32,
  memoryKiB: uint32,
  lanes: uint32,
  salt: ownBytes(32),
  nonce: ownBytes(32),
  verify: ownBytes(32),
})

export const storedKeyset: Codec<StoredKeyset> = struct({
  headerBytes: bytes(HEADER_BYTES),
  version,
  destination: uint8,
  encryption: uint8,
  dedup: uint8,
  argon2: argon2Record,
  plain: prefixed(uint32),
  sealed: prefixed(uint32),
  mac: bytes(MAC_BYTES),
  checksum: bytes(CHECKSUM_BYTES),
})

/** The key pairs of a share. */
export interface ShareKeys {
  readonly publicHalves: PublicHalves
  /** Absent in a direct share, whose private halves belong to the recipient's card. */
  readonly privateHalves?: PrivateHalves | undefined
}

/** An active share: new blocks can be masked for it. */
export interface ActiveShare extends ShareKeys {
  readonly id: Bytes
}
/** What a host knows about a share. */
export type PublicShare = Pick<ActiveShare, 'id' | 'publicHalves'>

const shareId = ownBytes(16)
export const shareKeys: Codec<ShareKeys> = struct({ publicHalves, privateHalves: optionalPrivateHalves })

/** The host's section that needs no password. It is enough to back up, but not to restore. */
export interface HostPlain {
  readonly blockPair: PublicHalves
  readonly blockSalt: SecretKey<'block-salt'>
  readonly dedupKey: SecretKey<'dedup'>
  readonly sourceSigning: SecretKey<'signing'>
  readonly retired: readonly PublicHalves[]
  readonly shares: readonly PublicShare[]
}
export const hostPlain: Codec<HostPlain> = struct({
  blockPair: publicHalves,
  blockSalt: secret('block-salt', 32),
  dedupKey: secret('dedup', 32),
  sourceSigning: secret('signing', 32),
  retired: list(publicHalves),
  shares: list(struct<PublicShare>({ id: shareId, publicHalves })),
})

/** The maximum number of key pairs in the plain section. The public halves of each take 1,601 bytes there. */
const MOST_PAIRS = Math.floor(MAX_KEYSET_BYTES / 1601)

/** The host's section under the master key. Its lists have the same order and length as those in the plain section. */
export interface HostSealed {
  readonly blockPair: PrivateHalves
  readonly sourceSigningPublic: Bytes
  readonly sharing: KeyPair
  readonly cardSigning: SigningPair
  readonly retired: readonly PrivateHalves[]
  readonly shares: readonly (PrivateHalves | undefined)[]
}
export const hostSealed: Codec<HostSealed> = struct({
  blockPair: privateHalves,
  sourceSigningPublic: ownBytes(32),
  sharing: keyPair,
  cardSigning: signingPair,
  retired: list(privateHalves, MOST_PAIRS),
  shares: list(optionalPrivateHalves, MOST_PAIRS),
})

/** The section of a source definition: what is needed to restore this source, without the keys for sharing. */
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
export const definitionSealed: Codec<DefinitionSealed> = struct(definitionFields)

/** The section of a storage export: all keys. */
export interface StorageSealed extends DefinitionSealed {
  readonly sharing: KeyPair
  readonly cardSigning: SigningPair
  readonly retired: readonly KeyPair[]
  readonly shares: readonly ActiveShare[]
}
export const storageSealed: Codec<StorageSealed> = struct({
  ...definitionFields,
  sharing: keyPair,
  cardSigning: signingPair,
  retired: list(keyPair),
  shares: list(struct<ActiveShare>({ id: shareId, publicHalves, privateHalves: optionalPrivateHalves })),
})

/** A keyset as a device saves it. */
export interface SavedKeyset {
  readonly master: SecretKey<'master'>
  /** The `allowWeaker` of the saved handle. Current releases neither write nor use it. */
  readonly accept?: Strength | undefined
  /** An export with all the keys that the handle has. */
  readonly keyset: Uint8Array
}

export const savedKeyset: Codec<SavedKeyset> = struct({
  master: secret('master', 32),
  accept: optional(strength),
  keyset: prefixed(uint32),
})
