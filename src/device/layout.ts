// The stored form of what one device keeps in its own database (SPEC §8): its device key, saved handles and text
// values.
import type { Bytes } from '../core/bytes.ts'
import { bytes, type Codec, ownBytes, sized, secret, struct, uint32, uint8, variant } from '../core/codec.ts'
import { HEADER_BYTES } from '../core/header.ts'
import type { SecretKey } from '../core/secret.ts'
import { CHECKSUM_BYTES } from '../core/trailer.ts'
import { wrappedBytes } from '../core/wrap.ts'

export const MAX_DEVICE_KEY_BYTES = 4096
/** The largest keyset is 1 MiB. The rest is room for its wrapping. */
export const MAX_SAVED_BYTES: number = 1024 * 1024 + 4096
export const MAX_TEXT_BYTES: number = 64 * 1024
export const TEXT_BLOCK_BYTES = 32
/** The length of a WRAP of the longest padded text. */
export const MAX_TEXT_VALUE_BYTES: number = wrappedBytes(MAX_TEXT_BYTES + TEXT_BLOCK_BYTES)

/** A device key under a passphrase. */
export interface Protection {
  readonly iterations: number
  readonly memoryKiB: number
  readonly lanes: number
  readonly salt: Bytes
  /** A WRAP of the device key. */
  readonly wrapped: Uint8Array
}

/** Either the key itself, or the key wrapped under a passphrase. */
interface DeviceKeyContent {
  open: SecretKey<'device'>
  protected: Protection
}

export interface StoredDeviceKey {
  readonly headerBytes: Uint8Array
  readonly content: {
    [Kind in keyof DeviceKeyContent]: { readonly kind: Kind; readonly value: DeviceKeyContent[Kind] }
  }[keyof DeviceKeyContent]
  readonly checksum: Uint8Array
}

const protection: Codec<Protection> = struct({
  iterations: uint32,
  memoryKiB: uint32,
  lanes: uint32,
  salt: ownBytes(32),
  wrapped: bytes(wrappedBytes(32)),
})

export const storedDeviceKey: Codec<StoredDeviceKey> = struct({
  headerBytes: bytes(HEADER_BYTES),
  content: variant<DeviceKeyContent>({
    open: { tag: 0, layout: secret('device', 32) },
    protected: { tag: 1, layout: protection },
  }),
  checksum: bytes(CHECKSUM_BYTES),
})

export interface StoredHandle {
  readonly headerBytes: Uint8Array
  /** A {@link SavedKind}. */
  readonly kind: number
  /** A WRAP of the handle's keys under the device key. */
  readonly wrapped: Uint8Array
  readonly checksum: Uint8Array
}

export const storedHandle: Codec<StoredHandle> = struct({
  headerBytes: bytes(HEADER_BYTES),
  kind: uint8,
  wrapped: sized(uint32),
  checksum: bytes(CHECKSUM_BYTES),
})
