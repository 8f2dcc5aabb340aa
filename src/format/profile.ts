// The profile of a user (SPEC §9) and the keyring of a vault (SPEC §10) as they are stored.
import * as P from 'micro-packed'
import { CARD_BYTES } from './card.ts'
import { list, version, within } from './codec.ts'
import { HEADER_BYTES } from './header.ts'
import { CHECKSUM_BYTES, MAC_BYTES } from './keyset.ts'
import { sealedToBytes, wrappedBytes } from './wrap.ts'

export const MAX_PROFILE_BYTES: number = 1024 * 1024
export const MAX_KEYRING_BYTES: number = 64 * 1024
export const DATA_KEY_BYTES = 32
export const KEYRING_KEY_BYTES = 16

/** A key under another key, with the generation of the E-key in it or over it. */
export interface Generation {
  readonly generation: number
  readonly bytes: Uint8Array
}

/** Every list is in the order of generations, and none occurs twice. */
const generations = (size: number): P.CoderType<readonly Generation[]> =>
  P.validate(list(P.struct({ generation: within(P.U32BE, 1, 0xffff_ffff), bytes: P.bytes(size) })), (all) => {
    const isAscending = all.every(({ generation }, index) => generation > (all[index - 1]?.generation ?? 0))
    if (!isAscending) throw new RangeError('generations out of order')
    return all
  })

export interface StoredVault {
  readonly id: Uint8Array
  /** 0, or the newest generation that is to be replaced. */
  readonly rotationDue: number
  /** E-keys under the root key, at least one. */
  readonly slots: readonly Generation[]
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
      rotationDue: P.U32BE,
      slots: generations(wrappedBytes(KEYRING_KEY_BYTES)),
      recoverySlots: generations(sealedToBytes(KEYRING_KEY_BYTES)),
    }),
  ),
  mac: P.bytes(MAC_BYTES),
  checksum: P.bytes(CHECKSUM_BYTES),
})

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
  wraps: generations(wrappedBytes(DATA_KEY_BYTES)),
  mac: P.bytes(MAC_BYTES),
})
