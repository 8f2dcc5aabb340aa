// The profile of a user (SPEC §9) and the keyring of a vault (SPEC §10) as they are stored.
// Envelopes of blocks: small, stored in front of a ciphertext that never changes. A keyset's (SPEC §6.1) is replaced by
// rekeying; a vault's (SPEC §11) and a client's (SPEC §13) stay.
// What one device keeps in its own database (SPEC §15): its device key, and what is sealed under it.
import * as P from 'micro-packed'
import { CARD_BYTES } from '../core/card.ts'
import { decode, list, name, secret, version } from '../core/codec.ts'
import { copyOfEnvelope } from '../core/envelope.ts'
import { type Header, HEADER_BYTES, ObjectType, parseHeader, Suite } from '../core/header.ts'
import type { SecretKey } from '../core/secret.ts'
import { CHECKSUM_BYTES, MAC_BYTES } from '../core/trailer.ts'
import { sealedToBytes, wrappedBytes } from '../core/wrap.ts'

export const MAX_PROFILE_BYTES: number = 1024 * 1024

/** So many fit into a profile with an admin even if a rotation of each was interrupted. */
export const MAX_VAULTS = 256

export const MAX_KEYRING_BYTES: number = 64 * 1024

export const DATA_KEY_BYTES = 32

export const KEYRING_KEY_BYTES = 16

/** A key under another key, with the generation of the E-key in it or over it. */
export interface Generation {
  readonly generation: number
  readonly bytes: Uint8Array
}

/** A slot of the profile. */
export interface Slot extends Generation {
  /** Whether this key is to be replaced, because somebody who may no longer have it could have kept it. */
  readonly due: boolean
}

/** Every list is in the order of generations, and none occurs twice. */
function ascending<T extends { readonly generation: number }>(element: P.CoderType<T>): P.CoderType<readonly T[]> {
  return P.validate(list(element), (all) => {
    const holds = all.every(({ generation }, index) => generation > (all[index - 1]?.generation ?? 0))
    if (!holds) throw new RangeError('generations out of order')
    return all
  })
}

const keyOfGeneration = (size: number): P.CoderType<Generation> =>
  P.struct({ generation: P.U32BE, bytes: P.bytes(size) })

const slot: P.CoderType<Slot> = P.struct({
  generation: P.U32BE,
  due: P.bool,
  bytes: P.bytes(wrappedBytes(KEYRING_KEY_BYTES)),
})

export interface StoredVault {
  readonly id: Uint8Array
  /** The key id of the A-key: so that no other keyring can be put in its place. */
  readonly dataKeyId: Uint8Array
  /** E-keys under the root key, at least one. */
  readonly slots: readonly Slot[]
  /** E-keys sealed to the admin. */
  readonly recoverySlots: readonly Generation[]
}

export interface StoredProfile {
  readonly headerBytes: Uint8Array
  readonly version: number
  readonly zeroTrust: boolean
  readonly admin?: Uint8Array | undefined
  readonly vaults: readonly StoredVault[]
  readonly mac: Uint8Array
  readonly checksum: Uint8Array
}

export const storedProfile: P.CoderType<StoredProfile> = P.struct({
  headerBytes: P.bytes(HEADER_BYTES),
  version,
  zeroTrust: P.bool,
  admin: P.optional(P.bool, P.bytes(CARD_BYTES)),
  vaults: list(
    P.struct({
      id: P.bytes(16),
      dataKeyId: P.bytes(16),
      slots: ascending(slot),
      recoverySlots: ascending(keyOfGeneration(sealedToBytes(KEYRING_KEY_BYTES))),
    }),
  ),
  mac: P.bytes(MAC_BYTES),
  checksum: P.bytes(CHECKSUM_BYTES),
})

/** How many vaults a record says that it has; 0 if it is cut short before it does. */
export function vaultCount(profile: Uint8Array): number {
  const [, hasAdmin] = profile.subarray(HEADER_BYTES + 8)
  const count = profile.subarray(HEADER_BYTES + 10 + (hasAdmin === 1 ? CARD_BYTES : 0))
  return count.length < 2 ? 0 : new DataView(count.buffer, count.byteOffset).getUint16(0)
}

export interface StoredKeyring {
  readonly headerBytes: Uint8Array
  readonly version: number
  /** The A-key under E-keys, at least one. */
  readonly wraps: readonly Generation[]
  readonly mac: Uint8Array
}

export const storedKeyring: P.CoderType<StoredKeyring> = P.struct({
  headerBytes: P.bytes(HEADER_BYTES),
  version,
  wraps: ascending(keyOfGeneration(wrappedBytes(DATA_KEY_BYTES))),
  mac: P.bytes(MAC_BYTES),
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

export const vaultEnvelope: P.CoderType<VaultEnvelope> = P.struct({
  headerBytes: P.bytes(HEADER_BYTES),
  nonce: P.bytes(32),
  commitment: P.bytes(32),
  tag: P.bytes(16),
})

/**
 * Reads from a copy.
 * @throws KeystrataError `malformed`, `unsupported`
 */
export function parseVaultEnvelope(stored: Uint8Array): VaultEnvelope & { readonly header: Header } {
  const bytes = copyOfEnvelope(stored)
  const header = parseHeader(bytes, 'envelope', ObjectType.envelope, [Suite.vault])
  return { ...decode(vaultEnvelope, bytes, 'envelope'), header }
}

export interface LoginKeys {
  readonly realm: Uint8Array
  readonly user: Uint8Array
  /** L. */
  readonly loginKey: SecretKey<'login'>
  /** R. */
  readonly rootKey: SecretKey<'root'>
}

export const loginKeys: P.CoderType<LoginKeys> = P.struct({
  realm: name,
  user: name,
  loginKey: secret('login', 24),
  rootKey: secret('root', 24),
})
