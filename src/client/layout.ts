// What a client and its server tell each other, and what the server keeps of it (SPEC §14).
// What one device keeps in its own database (SPEC §15): its device key, and what is sealed under it.
// Envelopes of blocks: small, stored in front of a ciphertext that never changes. A keyset's (SPEC §6.1) is replaced by
// rekeying; a vault's (SPEC §11) and a client's (SPEC §13) stay.
import * as P from 'micro-packed'
import type { Bytes } from '../core/bytes.ts'
import { decode, list, name, ownBytes, secret, time, within } from '../core/codec.ts'
import { CLIENT_SUITES, copyOfEnvelope, parsePlain } from '../core/envelope.ts'
import { type Header, HEADER_BYTES, ObjectType, parseHeader, Suite } from '../core/header.ts'
import type { SecretKey } from '../core/secret.ts'
import { SIGNATURE_BYTES } from '../primitives/signature.ts'

/**
 * The type of a typed key: AES with a key of so many bits.
 * @example
 * ```ts
 * import { generateTypedKey, type KeyType } from 'keystrata'
 *
 * const type: KeyType = 'AES-128' // of an account that may have phones
 * console.log(generateTypedKey(type).text.length) // 16
 * ```
 */
export type KeyType = 'AES-128' | 'AES-192' | 'AES-256'

/** Numbered as in suites. */
export const KEY_TYPES: Readonly<Record<KeyType, number>> = { 'AES-128': 1, 'AES-192': 2, 'AES-256': 3 }

/** The type of keys that only `keystrata/legacy` still makes. */
export const LegacyKeyType = { 'DES-56': 4 } as const

/** Sizes of the keys in bytes. */
export const KEY_BYTES: Readonly<Record<number, number>> = { 1: 16, 2: 24, 3: 32, 4: 16 }

/** The most characters of their texts. */
export const KEY_CHARACTERS: Readonly<Record<number, number>> = { 1: 16, 2: 24, 3: 32, 4: 8 }

/** What a key is for. */
export const KeyRole = { private: 1, account: 2 } as const

export type KeyRole = keyof typeof KeyRole

/**
 * What a client runs on.
 * @example
 * ```ts
 * import type { Platform } from 'keystrata'
 *
 * const platforms: Partial<Record<NodeJS.Platform, Platform>> = { win32: 'windows', darwin: 'mac', linux: 'linux' }
 * ```
 */
export type Platform = 'windows' | 'mac' | 'linux' | 'ios' | 'android'

export const PLATFORMS: Readonly<Record<Platform, number>> = { windows: 1, mac: 2, linux: 3, ios: 4, android: 5 }

const headerBytes = P.bytes(HEADER_BYTES) as P.CoderType<Uint8Array>

const keyType = within(P.U8, 1, 4)

const role = within(P.U8, 1, 2)

export const platform: P.CoderType<number> = within(P.U8, 1, 5)

/** A key that its holder proves: by the signature of the Ed25519 key that was derived from it. */
export interface ProvenKey {
  readonly role: number
  readonly type: number
  readonly publicKey: Bytes
}

const provenKey: P.CoderType<ProvenKey> = P.struct({ role, type: keyType, publicKey: ownBytes(32) })

/** What an enrolment, a proof and an escrow have in common. */
export interface StoredClaim {
  readonly headerBytes: Uint8Array
  readonly account: Uint8Array
  readonly client: Uint8Array
  readonly platform: number
  /** The private key, and the account key if there is one, in this order. */
  readonly keys: readonly ProvenKey[]
  /** Of each key, in their order. */
  readonly signatures: readonly Uint8Array[]
}

export interface StoredEnrolment extends StoredClaim {
  readonly realm: Uint8Array
}

const claimed = { account: name, client: name, platform, keys: list(provenKey) }

const signatures = list(P.bytes(SIGNATURE_BYTES) as P.CoderType<Uint8Array>)

export const storedEnrolment: P.CoderType<StoredEnrolment> = P.struct({
  headerBytes,
  realm: name,
  ...claimed,
  signatures,
})

export interface StoredProof extends StoredClaim {
  readonly challenge: Uint8Array
}

export const storedProof: P.CoderType<StoredProof> = P.struct({
  headerBytes,
  challenge: P.bytes(P.U16BE),
  ...claimed,
  signatures,
})

export interface StoredChallenge {
  readonly headerBytes: Uint8Array
  readonly realm: Uint8Array
  readonly server: Uint8Array
  readonly random: Uint8Array
}

export const storedChallenge: P.CoderType<StoredChallenge> = P.struct({
  headerBytes,
  realm: name,
  server: name,
  random: P.bytes(32),
})

/** An enrolment, and the keys themselves, which nobody can read without an activation code. */
export interface StoredEscrow extends StoredEnrolment {
  /** A {@link time}. */
  readonly issuedAt: number
  /** A WRAP. */
  readonly wrapped: Uint8Array
}

export const storedEscrow: P.CoderType<StoredEscrow> = P.struct({
  headerBytes,
  realm: name,
  ...claimed,
  issuedAt: time,
  wrapped: P.bytes(P.U16BE),
  signatures,
})

/** No claim is longer: three names, a challenge with two or the keys themselves, two keys with their signatures. */
export const MAX_CLAIM_BYTES = 4096

/** The one-way hash by which a server knows a key again. */
export interface KeyHash {
  readonly type: number
  /** SHA-256 of the Ed25519 public key. */
  readonly hash: Bytes
}

export const keyHash: P.CoderType<KeyHash> = P.struct({ type: keyType, hash: ownBytes(32) })

interface TypedKeyField {
  readonly type: number
  readonly key: SecretKey<'client'>
}

/** A type, then as many bytes as keys of that type have. */
const typedKey: P.CoderType<TypedKeyField> = P.wrap({
  encodeStream(writer, { type, key }: TypedKeyField) {
    P.U8.encodeStream(writer, type)
    secret('client', KEY_BYTES[type] ?? 0).encodeStream(writer, key)
  },
  decodeStream(reader): TypedKeyField {
    const type = within(P.U8, 1, 3).decodeStream(reader)
    return { type, key: secret('client', KEY_BYTES[type] ?? 0).decodeStream(reader) }
  },
})

export interface ClientKeys {
  readonly realm: Uint8Array
  readonly account: Uint8Array
  readonly client: Uint8Array
  readonly platform: number
  readonly privateKey: TypedKeyField
  readonly accountKey?: TypedKeyField | undefined
}

export const clientKeys: P.CoderType<ClientKeys> = P.struct({
  realm: name,
  account: name,
  client: name,
  platform: within(P.U8, 1, 5),
  privateKey: typedKey,
  accountKey: P.optional(P.bool, typedKey),
})

/** The envelope of an encrypted block of a client. */
export interface ClientEnvelope {
  readonly headerBytes: Uint8Array
  /** n, 32 bytes: random, or of the content. */
  readonly nonce: Uint8Array
  /** c, 32 bytes that commit to the key. */
  readonly commitment: Uint8Array
}

export const clientEnvelope: P.CoderType<ClientEnvelope> = P.struct({
  headerBytes: P.bytes(HEADER_BYTES),
  nonce: P.bytes(32),
  commitment: P.bytes(32),
})

/** The envelope of a block under DES-56. */
export interface LegacyEnvelope {
  readonly headerBytes: Uint8Array
  /** 8 random bytes. */
  readonly iv: Uint8Array
  /** HMAC-SHA-256, 32 bytes. */
  readonly tag: Uint8Array
}

export const legacyEnvelope: P.CoderType<LegacyEnvelope> = P.struct({
  headerBytes: P.bytes(HEADER_BYTES),
  iv: P.bytes(8),
  tag: P.bytes(32),
})

/** What encrypts a block of a client: one of the two, or nothing where it is public. */
export interface ClientEncryption {
  readonly encrypted?: ClientEnvelope
  readonly legacy?: LegacyEnvelope
}

/**
 * Reads from a copy.
 * @param reader `des`: whether it is of a client whose key is of type DES-56
 * @throws KeystrataError `malformed`, `unsupported`
 */
export function parseClientEnvelope(
  stored: Uint8Array,
  { des }: { readonly des: boolean },
): ClientEncryption & { readonly header: Header } {
  const bytes = copyOfEnvelope(stored)
  const suites = [Suite.none, ...CLIENT_SUITES, ...(des ? [Suite.des56] : [])]
  const header = parseHeader(bytes, 'envelope', ObjectType.envelope, suites)
  if (header.suite === Suite.none) return { header: parsePlain(bytes, header) }
  if (header.suite === Suite.des56) return { header, legacy: decode(legacyEnvelope, bytes, 'envelope') }
  return { header, encrypted: decode(clientEnvelope, bytes, 'envelope') }
}
