// What a client and its server tell each other, and what the server keeps of it (SPEC §14).
import * as P from 'micro-packed'
import { type Bytes } from '../bytes.ts'
import { list, ownBytes, time, within } from './codec.ts'
import { SIGNATURE_BYTES } from './card.ts'
import { MAX_NAME_BYTES } from '../text.ts'
import { HEADER_BYTES } from './header.ts'

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

/** A name of 1 to 255 bytes, in UTF-8; its form is checked where it is used. */
export const name: P.CoderType<Uint8Array> = P.validate(P.bytes(P.U16BE), (bytes) => {
  if (bytes.length < 1 || bytes.length > MAX_NAME_BYTES) throw new RangeError('not the length of a name')
  return bytes
})

const headerBytes = P.bytes(HEADER_BYTES) as P.CoderType<Uint8Array>
const keyType = within(P.U8, 1, 4)
const role = within(P.U8, 1, 2)
const platform = within(P.U8, 1, 5)

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

const keyHash: P.CoderType<KeyHash> = P.struct({ type: keyType, hash: ownBytes(32) })

export const ClientState = { provisional: 0, locked: 1 } as const

/** What a server knows of one client. */
export interface KnownClient {
  readonly client: Uint8Array
  /** A {@link ClientState}. */
  readonly state: number
  readonly platform: number
  readonly privateKey: KeyHash
  /** Its keys, under an activation code that the server does not have. */
  readonly escrow?: Uint8Array | undefined
  /** When its last escrow was made, also when that was cleared: an older one does not come back. */
  readonly issuedAt: number
}

/** A server's row for one account: all of it in one, so that whatever changes changes as a whole. */
export interface AccountRow {
  readonly version: number
  readonly accountKey?: KeyHash | undefined
  /** In the order in which they came. */
  readonly clients: readonly KnownClient[]
}

export const MAX_CLIENTS = 4096

export const accountRow: P.CoderType<AccountRow> = P.struct({
  version: within(P.U8, 1, 1),
  accountKey: P.optional(P.bool, keyHash),
  clients: list(
    P.struct({
      client: name,
      state: within(P.U8, 0, 1),
      platform,
      privateKey: keyHash,
      escrow: P.optional(P.bool, P.bytes(P.U16BE)),
      issuedAt: time,
    }),
  ),
})
