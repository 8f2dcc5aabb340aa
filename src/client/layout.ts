// Byte layouts of the key model client (SPEC §16–§18): the messages between a client and its server, the envelopes of
// its blocks, saved clients and escrows.
import { assertPlainEnvelope, copyOfEnvelope } from '../core/envelope.ts'
import { Suite } from '../core/suite.ts'
import {
  bytes,
  type Codec,
  decode,
  list,
  name,
  optional,
  ownBytes,
  sized,
  secret,
  struct,
  time,
  uint16,
  uint8,
  within,
} from '../core/codec.ts'
import type { Bytes } from '../core/bytes.ts'
import { type Header, HEADER_BYTES, ObjectType, parseHeader } from '../core/header.ts'
import type { SecretKey } from '../core/secret.ts'
import { SIGNATURE_BYTES } from '../primitives/signature.ts'

export type KeyType = 'AES-128' | 'AES-192' | 'AES-256'
export type LegacyKeyType = 'DES-56'
/** The name of a key type. Key derivation includes it. */
export type KeyTypeName = KeyType | LegacyKeyType
/** The number of a key type in stored objects. */
export type KeyTypeNumber = 1 | 2 | 3 | 4

/** The properties of a key type. */
export interface KeyTypeRow {
  /** Its number in stored objects. */
  readonly number: KeyTypeNumber
  /** The suite of blocks under a key of this type. */
  readonly suite: typeof Suite.aes128 | typeof Suite.aes192 | typeof Suite.aes256 | typeof Suite.des56
  /** The length of the derived key, in bytes. */
  readonly keyBytes: number
  /** The maximum length of a key text, which is also the length of a generated one. */
  readonly characters: number
}

/** The types of typed keys, by name. */
export const KEY_TYPES: Readonly<Record<KeyType, KeyTypeRow>> = {
  'AES-128': { number: 1, suite: Suite.aes128, keyBytes: 16, characters: 16 },
  'AES-192': { number: 2, suite: Suite.aes192, keyBytes: 24, characters: 24 },
  'AES-256': { number: 3, suite: Suite.aes256, keyBytes: 32, characters: 32 },
}
/** The key type that only `keystrata/legacy` accepts. */
export const LEGACY_KEY_TYPES: Readonly<Record<LegacyKeyType, KeyTypeRow>> = {
  'DES-56': { number: 4, suite: Suite.des56, keyBytes: 16, characters: 8 },
}

export const DES_56: KeyTypeNumber = LEGACY_KEY_TYPES['DES-56'].number

/** Returns the name of the type with this number. */
export function keyTypeName(number: KeyTypeNumber): KeyTypeName {
  switch (number) {
    case 1:
      return 'AES-128'
    case 2:
      return 'AES-192'
    case 3:
      return 'AES-256'
    case 4:
      return 'DES-56'
  }
}

/** Returns the properties of the type with this number. */
export function keyTypeOf(number: KeyTypeNumber): KeyTypeRow {
  const name = keyTypeName(number)
  return name === 'DES-56' ? LEGACY_KEY_TYPES[name] : KEY_TYPES[name]
}

/** What a key is for, with its number in stored objects. */
export const KeyRole = { private: 1, account: 2 } as const

export type KeyRole = keyof typeof KeyRole
type KeyRoleNumber = (typeof KeyRole)[KeyRole]

/** Returns the name of the role with this number. */
export function roleOf(number: KeyRoleNumber): KeyRole {
  switch (number) {
    case KeyRole.private:
      return 'private'
    case KeyRole.account:
      return 'account'
  }
}

/**
 * The operating system of a client.
 * @example
 * ```ts
 * import type { Platform } from 'keystrata/client'
 *
 * const platforms: Partial<Record<NodeJS.Platform, Platform>> = { win32: 'windows', darwin: 'mac', linux: 'linux' }
 * ```
 */
export type Platform = 'windows' | 'mac' | 'linux' | 'ios' | 'android'

export const PLATFORMS: Readonly<Record<Platform, number>> = { windows: 1, mac: 2, linux: 3, ios: 4, android: 5 }

const headerBytes = bytes(HEADER_BYTES)

export const keyType: Codec<KeyTypeNumber> = within<KeyTypeNumber>(uint8, 1, 4)

const role: Codec<KeyRoleNumber> = within<KeyRoleNumber>(uint8, 1, 2)

export const platform: Codec<number> = within(uint8, 1, 5)

/** A key as its holder proves it to a server: by a signature with the Ed25519 key pair that is derived from it. */
export interface ProvenKey {
  readonly role: KeyRoleNumber
  readonly type: KeyTypeNumber
  readonly publicKey: Bytes
}

const provenKey: Codec<ProvenKey> = struct({ role, type: keyType, publicKey: ownBytes(32) })

/** The fields that an enrolment, a proof and an escrow have in common. */
export interface StoredClaim {
  readonly headerBytes: Uint8Array
  readonly account: Uint8Array
  readonly client: Uint8Array
  readonly platform: number
  /** The private key, then the account key if there is one. */
  readonly keys: readonly ProvenKey[]
  /** One signature by each key, in the order of `keys`. */
  readonly signatures: readonly Uint8Array[]
}

/** The fields by which an enrolment and an escrow identify a client. */
export interface ClaimedIdentity extends Omit<StoredClaim, 'signatures'> {
  readonly realm: Uint8Array
}

const claimed = { account: name, client: name, platform, keys: list(provenKey) }

const signatures = list(bytes(SIGNATURE_BYTES))

export const claimedIdentity: Codec<ClaimedIdentity> = struct({ headerBytes, realm: name, ...claimed })

export interface StoredEnrolment extends StoredClaim, ClaimedIdentity {
  readonly challenge: Uint8Array
}

export const storedEnrolment: Codec<StoredEnrolment> = struct({
  headerBytes,
  challenge: sized(uint16),
  realm: name,
  ...claimed,
  signatures,
})

export interface StoredProof extends StoredClaim {
  readonly challenge: Uint8Array
}

export const storedProof: Codec<StoredProof> = struct({
  headerBytes,
  challenge: sized(uint16),
  ...claimed,
  signatures,
})

export interface StoredChallenge {
  readonly headerBytes: Uint8Array
  readonly realm: Uint8Array
  readonly server: Uint8Array
  readonly random: Uint8Array
  /** When the server issued it, in milliseconds since 1970. */
  readonly date: number
  /** HMAC-SHA-256 under the registry's key, over all bytes before it. */
  readonly mac: Uint8Array
}

export const storedChallenge: Codec<StoredChallenge> = struct({
  headerBytes,
  realm: name,
  server: name,
  random: bytes(32),
  date: time,
  mac: bytes(32),
})

/** The fields of an escrow: who claims to deposit, and the wrapped keys. */
export interface StoredEscrow extends StoredClaim, ClaimedIdentity {
  /** Milliseconds since 1970, a {@link time}. */
  readonly issuedAt: number
  /** The keys: a WRAP of a {@link SavedClient} under a key that is derived from the activation code. */
  readonly wrapped: Uint8Array
}

export const storedEscrow: Codec<StoredEscrow> = struct({
  headerBytes,
  realm: name,
  ...claimed,
  issuedAt: time,
  wrapped: sized(uint16),
  signatures,
})

/**
 * The size limit of a claim. The longest valid one has three names, a challenge or wrapped keys, and two signed keys.
 */
export const MAX_CLAIM_BYTES = 4096

/** The one-way hash of a key. A server uses it to recognise the key. */
export interface KeyHash {
  readonly type: KeyTypeNumber
  /** SHA-256 of the Ed25519 public key. */
  readonly hash: Bytes
}

export const keyHash: Codec<KeyHash> = struct({ type: keyType, hash: ownBytes(32) })

interface TypedKeyField {
  readonly type: KeyTypeNumber
  readonly key: SecretKey<'client'>
}

const savedKeyType: Codec<KeyTypeNumber> = within<KeyTypeNumber>(uint8, 1, 3)
const keyField = (type: KeyTypeNumber): Codec<SecretKey<'client'>> => secret('client', keyTypeOf(type).keyBytes)

/** A key type, then a key of the length of that type. Keys of type DES-56 are never saved. */
const typedKey: Codec<TypedKeyField> = {
  size: ({ type }) => 1 + keyTypeOf(type).keyBytes,
  write(to, { type, key }) {
    savedKeyType.write(to, type)
    keyField(type).write(to, key)
  },
  read(from) {
    const type = savedKeyType.read(from)
    return { type, key: keyField(type).read(from) }
  },
}

/** A client as a device saves it, and as an escrow contains it. */
export interface SavedClient {
  readonly realm: Uint8Array
  readonly account: Uint8Array
  readonly client: Uint8Array
  readonly platform: number
  readonly privateKey: TypedKeyField
  readonly accountKey?: TypedKeyField | undefined
}

export const savedClient: Codec<SavedClient> = struct({
  realm: name,
  account: name,
  client: name,
  platform: within(uint8, 1, 5),
  privateKey: typedKey,
  accountKey: optional(typedKey),
})

/** The envelope of an encrypted block of a client. */
export interface ClientEnvelope {
  readonly headerBytes: Uint8Array
  /** n, 32 bytes: random, or derived from the content. */
  readonly nonce: Uint8Array
  /** c, 32 bytes that commit to the key. */
  readonly commitment: Uint8Array
}

export const clientEnvelope: Codec<ClientEnvelope> = struct({
  headerBytes: bytes(HEADER_BYTES),
  nonce: bytes(32),
  commitment: bytes(32),
})

/** The envelope of a DES-56 block. */
export interface LegacyEnvelope {
  readonly headerBytes: Uint8Array
  /** 8 random bytes. */
  readonly iv: Uint8Array
  /** HMAC-SHA-256, 32 bytes. */
  readonly tag: Uint8Array
}

export const legacyEnvelope: Codec<LegacyEnvelope> = struct({
  headerBytes: bytes(HEADER_BYTES),
  iv: bytes(8),
  tag: bytes(32),
})

/** How a block of a client is encrypted. */
export type ClientEncryption =
  | { readonly kind: 'public' }
  | { readonly kind: 'keyed'; readonly encrypted: ClientEnvelope }
  | { readonly kind: 'des'; readonly encrypted: LegacyEnvelope }

type AesSuite = typeof Suite.none | typeof Suite.aes128 | typeof Suite.aes192 | typeof Suite.aes256
/** The suites of a client's blocks. */
export type ClientSuite = AesSuite | typeof Suite.des56
const AES_SUITES: readonly AesSuite[] = [Suite.none, Suite.aes128, Suite.aes192, Suite.aes256]

/**
 * Parses the envelope of a client's block. Parses a copy, so later changes to `stored` have no effect.
 * @param reader `des`: whether the client's private key is of type DES-56
 * @throws KeystrataError `malformed`, `unsupported`
 */
export function parseClientEnvelope(
  stored: Uint8Array,
  { des }: { readonly des: boolean },
): ClientEncryption & { readonly header: Header<ClientSuite> } {
  const copy = copyOfEnvelope(stored)
  const suites: readonly ClientSuite[] = des ? [...AES_SUITES, Suite.des56] : AES_SUITES
  const header = parseHeader(copy, 'envelope', ObjectType.envelope, suites)
  switch (header.suite.id) {
    case Suite.none.id:
      assertPlainEnvelope(copy)
      return { kind: 'public', header }
    case Suite.des56.id:
      return { kind: 'des', header, encrypted: decode(legacyEnvelope, copy, 'envelope') }
    case Suite.aes128.id:
    case Suite.aes192.id:
    case Suite.aes256.id:
      return { kind: 'keyed', header, encrypted: decode(clientEnvelope, copy, 'envelope') }
  }
}
