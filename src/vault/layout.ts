// The stored form of profiles, keyrings, envelopes of vault blocks, and saved logins (SPEC §13–§15, §8).
import { Suite } from '../core/suite.ts'
import {
  bool,
  bytes,
  type Codec,
  decode,
  list,
  name,
  secret,
  struct,
  uint32,
  uint8,
  validated,
  type Variant,
  variant,
  version,
  within,
} from '../core/codec.ts'
import { CARD_BYTES } from '../core/card.ts'
import { copyOfEnvelope } from '../core/envelope.ts'
import { type Header, HEADER_BYTES, ObjectType, parseHeader } from '../core/header.ts'
import { SIGNED_RECOVERY_KEYS_BYTES, type SignedRecoveryKeys, signedRecoveryKeys } from '../core/recovery-holder.ts'
import type { SecretKey } from '../core/secret.ts'
import { CHECKSUM_BYTES, MAC_BYTES } from '../core/trailer.ts'
import { sealedToBytes, wrappedBytes } from '../core/wrap.ts'
import { SIGNATURE_BYTES } from '../primitives/signature.ts'

export const MAX_PROFILE_BYTES: number = 1024 * 1024

/** The maximum number of vaults. They fit into a profile with an admin, even if every rotation was interrupted. */
export const MAX_VAULTS = 256

export const MAX_KEYRING_BYTES: number = 64 * 1024

export const DATA_KEY_BYTES = 32

export const KEYRING_KEY_BYTES = 16

/** The length of a SHA-256 hash. */
export const HASH_BYTES = 32

/** The length of an Ed25519 public key, and of its seed. */
const SIGNING_KEY_BYTES = 32

/** A wrapped key. The generation is that of the E-key, which is either the key inside or the key that wraps it. */
export interface Generation {
  readonly generation: number
  readonly bytes: Uint8Array
}

/** A slot of the profile: an E-key wrapped under the root key. */
export interface Slot extends Generation {
  /** Whether the E-key must be replaced, because a former admin may have kept it. */
  readonly due: boolean
}

/** A list with strictly ascending generations, the first at least 1. */
/* @__NO_SIDE_EFFECTS__ */
function ascending<T extends { readonly generation: number }>(element: Codec<T>): Codec<readonly T[]> {
  return validated(list(element), (all) => {
    return all.every(({ generation }, index) => generation > (all[index - 1]?.generation ?? 0))
  })
}

/* @__NO_SIDE_EFFECTS__ */
const keyOfGeneration = (size: number): Codec<Generation> => struct({ generation: uint32, bytes: bytes(size) })

const slot: Codec<Slot> = struct({
  generation: uint32,
  due: bool,
  bytes: bytes(wrappedBytes(KEYRING_KEY_BYTES)),
})

export interface StoredVault {
  readonly id: Uint8Array
  /** The key id of the A-key. It detects a keyring that was swapped for another. */
  readonly dataKeyId: Uint8Array
  /** E-keys wrapped under the root key, at least one. */
  readonly slots: readonly Slot[]
  /** E-keys sealed to the admin's card. */
  readonly recoverySlots: readonly Generation[]
}

/** Who has allowed that the identity of a profile was replaced. */
export const HandoverBy = { identity: 1, card: 2, recoveryKey: 3 } as const
export type HandoverBy = (typeof HandoverBy)[keyof typeof HandoverBy]

export interface Handover {
  readonly by: HandoverBy
  readonly signature: Uint8Array
}

const handoverBy = within<HandoverBy | 0>(uint8, 0, 3)
const signature = bytes(SIGNATURE_BYTES)

/** A byte that is 0 for none, or says who signed, and then the signature. */
const handover: Codec<Handover | undefined> = {
  size: (value) => (value === undefined ? 1 : 1 + SIGNATURE_BYTES),
  write(to, value) {
    uint8.write(to, value?.by ?? 0)
    if (value !== undefined) signature.write(to, value.signature)
  },
  read(from) {
    const by = handoverBy.read(from)
    return by === 0 ? undefined : { by, signature: signature.read(from) }
  },
}

interface Recoveries {
  readonly nobody: object
  /** The admin's card. */
  readonly card: Uint8Array
  /** The user's own recovery key, which has signed the identity. */
  readonly recoveryKey: SignedRecoveryKeys
}

/** Who may set a new password if the user has forgotten theirs. */
export type StoredRecovery = Variant<Recoveries>

const recovery: Codec<StoredRecovery> = variant<Recoveries>({
  nobody: { tag: 0, layout: struct<object>({}) },
  card: { tag: 1, layout: bytes(CARD_BYTES) },
  recoveryKey: { tag: 2, layout: signedRecoveryKeys },
})

export const NOBODY_RESETS: Extract<StoredRecovery, { readonly kind: 'nobody' }> = { kind: 'nobody', value: {} }

export interface StoredProfile {
  readonly headerBytes: Uint8Array
  readonly version: number
  /** SHA-256 of the record that this one follows; zeros for the first. */
  readonly previous: Uint8Array
  /** The Ed25519 public key that signs records and keyrings. */
  readonly identity: Uint8Array
  /** The seed of the identity, wrapped under the root key. */
  readonly seed: Uint8Array
  readonly recovery: StoredRecovery
  readonly vaults: readonly StoredVault[]
  readonly handover?: Handover | undefined
  readonly signature: Uint8Array
  readonly mac: Uint8Array
  readonly checksum: Uint8Array
}

export const storedProfile: Codec<StoredProfile> = struct({
  headerBytes: bytes(HEADER_BYTES),
  version,
  previous: bytes(HASH_BYTES),
  identity: bytes(SIGNING_KEY_BYTES),
  seed: bytes(wrappedBytes(SIGNING_KEY_BYTES)),
  recovery,
  vaults: list(
    struct({
      id: bytes(16),
      dataKeyId: bytes(16),
      slots: ascending(slot),
      recoverySlots: ascending(keyOfGeneration(sealedToBytes(KEYRING_KEY_BYTES))),
    }),
  ),
  handover,
  signature,
  mac: bytes(MAC_BYTES),
  checksum: bytes(CHECKSUM_BYTES),
})

/** Where a record says who may reset it: behind its header, version, predecessor, identity and seed. */
const RECOVERY_AT = 280

/** The length of what follows that byte, by its value. */
const RECOVERY_BYTES: readonly number[] = [0, CARD_BYTES, SIGNED_RECOVERY_KEYS_BYTES]

/**
 * Reads the number of vaults that a record claims to have. Returns 0 if the record ends before that field, or has a
 * recovery whose length nobody knows.
 */
export function vaultCount(profile: Uint8Array): number {
  const length = RECOVERY_BYTES[profile[RECOVERY_AT] ?? RECOVERY_BYTES.length]
  const count = profile.subarray(RECOVERY_AT + 1 + (length ?? 0))
  if (length === undefined || count.length < 2) return 0
  return new DataView(count.buffer, count.byteOffset).getUint16(0)
}

export interface StoredKeyring {
  readonly headerBytes: Uint8Array
  readonly version: number
  /** SHA-256 of the keyring that this one follows; zeros for the first. */
  readonly previous: Uint8Array
  /** The A-key wrapped under E-keys, at least one. */
  readonly wraps: readonly Generation[]
  /** By the identity of the profile. */
  readonly signature: Uint8Array
  readonly mac: Uint8Array
  readonly checksum: Uint8Array
}

export const storedKeyring: Codec<StoredKeyring> = struct({
  headerBytes: bytes(HEADER_BYTES),
  version,
  previous: bytes(HASH_BYTES),
  wraps: validated(ascending(keyOfGeneration(wrappedBytes(DATA_KEY_BYTES))), ({ length }) => length > 0),
  signature,
  mac: bytes(MAC_BYTES),
  checksum: bytes(CHECKSUM_BYTES),
})

/** The envelope of a vault's block. */
export interface VaultEnvelope {
  readonly headerBytes: Uint8Array
  /** n, 32 random bytes. */
  readonly nonce: Uint8Array
  /** c, 32 bytes that commit to the key. */
  readonly commitment: Uint8Array
  readonly tag: Uint8Array
}

export const vaultEnvelope: Codec<VaultEnvelope> = struct({
  headerBytes: bytes(HEADER_BYTES),
  nonce: bytes(32),
  commitment: bytes(32),
  tag: bytes(16),
})

/**
 * Parses a copy of a vault block's envelope.
 * @throws KeystrataError `malformed` if it is not an envelope
 * @throws KeystrataError `unsupported` if it is another kind of envelope, or needs a later release
 */
export function parseVaultEnvelope(stored: Uint8Array): VaultEnvelope & { readonly header: Header } {
  const bytes = copyOfEnvelope(stored)
  const header = parseHeader(bytes, 'envelope', ObjectType.envelope, [Suite.vault])
  return { ...decode(vaultEnvelope, bytes, 'envelope'), header }
}

/** A login that was saved on a device. */
export interface SavedLogin {
  readonly realm: Uint8Array
  readonly user: Uint8Array
  /** L-key. */
  readonly loginKey: SecretKey<'login'>
  /** R-key. */
  readonly rootKey: SecretKey<'root'>
}

export const savedLogin: Codec<SavedLogin> = struct({
  realm: name,
  user: name,
  loginKey: secret('login', 24),
  rootKey: secret('root', 24),
})
