// The stored layout of a keyset (SPEC §9): one outer layout, and the sections for each destination. These lists of
// fields alone decide what is stored where: a field that a list does not name is not written.
import type { Bytes } from '../core/bytes.ts'
import {
  bytes,
  type Codec,
  list,
  optional,
  ownBytes,
  sized,
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
import { history, type Revision, revisionId } from './revision.ts'

export const MAX_KEYSET_BYTES: number = 1024 * 1024

/** Where an export is kept. */
export const Destination = { host: 1, definition: 2, storage: 3 } as const
export type Destination = keyof typeof Destination

export interface StoredKeyset {
  readonly headerBytes: Uint8Array
  readonly version: number
  /** 16 bytes that no other version has. */
  readonly revision: Bytes
  /** The revisions that this one descends from, the newest first. */
  readonly history: readonly Revision[]
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

export const argon2Record: Codec<Argon2Record> = struct({
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
  revision: revisionId,
  history,
  destination: uint8,
  encryption: uint8,
  dedup: uint8,
  argon2: argon2Record,
  plain: sized(uint32),
  sealed: sized(uint32),
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

/** How many revoked shares a keyset remembers. */
export const MAX_REVOKED = 255
/** How many adopted sources a keyset holds. */
export const MAX_ADOPTED = 16

const revokedShares = list(shareId, MAX_REVOKED)

/** The keys of an adopted source that no definition contains. */
export interface AdoptedKeys {
  /** The public half of its source signing key. The private half was on the host, and is not kept. */
  readonly sourceSigning: Bytes
  readonly sharing: KeyPair
  readonly cardSigning: SigningPair
}

/** The source of a keyset that was adopted: what opens and checks the blocks under its id. */
export interface AdoptedSource {
  /** The id of the keyset, 16 bytes. */
  readonly id: Bytes
  readonly blockSalt: SecretKey<'block-salt'>
  readonly dedupKey: SecretKey<'dedup'>
  /** Undefined in a definition, and in a keyset that was unlocked from one. */
  readonly keys?: AdoptedKeys | undefined
}

/** An adopted source with all of its keys. */
export interface CompleteSource extends AdoptedSource {
  readonly keys: AdoptedKeys
}

/** What a host knows about an adopted source: it recognises its blocks, and reads its log. */
export interface PublicSource {
  readonly id: Bytes
  readonly sourceSigning: Bytes
  readonly cardSigning: Bytes
}

/** The rest of an adopted source, in the host's sealed section. */
interface SealedSource {
  readonly blockSalt: SecretKey<'block-salt'>
  readonly dedupKey: SecretKey<'dedup'>
  readonly sharing: KeyPair
  readonly cardSigning: SecretKey<'signing'>
}

const sourceId = ownBytes(16)
const dedupFields = { blockSalt: secret('block-salt', 32), dedupKey: secret('dedup', 32) }
const publicKey = ownBytes(32)

/** The host's section that needs no password. It is enough to back up, but not to restore. */
export interface HostPlain {
  readonly blockPair: PublicHalves
  readonly blockSalt: SecretKey<'block-salt'>
  readonly dedupKey: SecretKey<'dedup'>
  readonly sourceSigning: SecretKey<'signing'>
  /** The public half of the card signing key. */
  readonly cardSigning: Bytes
  readonly retired: readonly PublicHalves[]
  readonly shares: readonly PublicShare[]
  readonly adopted: readonly PublicSource[]
}
export const hostPlain: Codec<HostPlain> = struct({
  blockPair: publicHalves,
  ...dedupFields,
  sourceSigning: secret('signing', 32),
  cardSigning: publicKey,
  retired: list(publicHalves),
  shares: list(struct<PublicShare>({ id: shareId, publicHalves })),
  adopted: list(struct<PublicSource>({ id: sourceId, sourceSigning: publicKey, cardSigning: publicKey }), MAX_ADOPTED),
})

/** The maximum number of key pairs in the plain section. The public halves of each take 1,601 bytes there. */
const MOST_PAIRS = Math.floor(MAX_KEYSET_BYTES / 1601)

/** The host's section under the master key. Its lists have the same order and length as those in the plain section. */
export interface HostSealed {
  readonly blockPair: PrivateHalves
  readonly sourceSigningPublic: Bytes
  readonly sharing: KeyPair
  readonly cardSigning: SecretKey<'signing'>
  readonly retired: readonly PrivateHalves[]
  readonly shares: readonly (PrivateHalves | undefined)[]
  readonly revoked: readonly Bytes[]
  readonly adopted: readonly SealedSource[]
}
export const hostSealed: Codec<HostSealed> = struct({
  blockPair: privateHalves,
  sourceSigningPublic: publicKey,
  sharing: keyPair,
  cardSigning: secret('signing', 32),
  retired: list(privateHalves, MOST_PAIRS),
  shares: list(optionalPrivateHalves, MOST_PAIRS),
  revoked: revokedShares,
  adopted: list(
    struct<SealedSource>({ ...dedupFields, sharing: keyPair, cardSigning: secret('signing', 32) }),
    MAX_ADOPTED,
  ),
})

/** The section of a source definition: what is needed to restore this source, without the keys for sharing. */
export interface DefinitionSealed {
  readonly blockPair: KeyPair
  readonly blockSalt: SecretKey<'block-salt'>
  readonly dedupKey: SecretKey<'dedup'>
  readonly sourceSigning: SigningPair
  /** The public half of the card signing key. */
  readonly cardSigning: Bytes
  readonly adopted: readonly Omit<AdoptedSource, 'keys'>[]
}
const sourceFields = { blockPair: keyPair, ...dedupFields, sourceSigning: signingPair }
export const definitionSealed: Codec<DefinitionSealed> = struct({
  ...sourceFields,
  cardSigning: publicKey,
  adopted: list(struct<Omit<AdoptedSource, 'keys'>>({ id: sourceId, ...dedupFields }), MAX_ADOPTED),
})

/** The section of a storage export: all keys. */
export interface StorageSealed extends Omit<DefinitionSealed, 'cardSigning'> {
  readonly sharing: KeyPair
  readonly cardSigning: SigningPair
  readonly retired: readonly KeyPair[]
  readonly shares: readonly ActiveShare[]
  readonly revoked: readonly Bytes[]
  readonly adopted: readonly CompleteSource[]
}
export const storageSealed: Codec<StorageSealed> = struct({
  ...sourceFields,
  sharing: keyPair,
  cardSigning: signingPair,
  retired: list(keyPair),
  shares: list(struct<ActiveShare>({ id: shareId, publicHalves, privateHalves: optionalPrivateHalves })),
  revoked: revokedShares,
  adopted: list(
    struct<CompleteSource>({
      id: sourceId,
      ...dedupFields,
      keys: struct<AdoptedKeys>({ sourceSigning: publicKey, sharing: keyPair, cardSigning: signingPair }),
    }),
    MAX_ADOPTED,
  ),
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
  keyset: sized(uint32),
})
