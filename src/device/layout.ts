// What one device keeps in its own database (SPEC §15): its device key, and what is sealed under it.
import * as P from 'micro-packed'
import type { Bytes } from '../core/bytes.ts'
import { ownBytes, secret } from '../core/codec.ts'
import { HEADER_BYTES } from '../core/header.ts'
import { MAX_KEYSET_BYTES } from '../core/limits.ts'
import type { SecretKey } from '../core/secret.ts'
import { CHECKSUM_BYTES } from '../core/trailer.ts'
import { wrappedBytes } from '../core/wrap.ts'

/** A keyset, and some more around it. */
export const MAX_SAVED_BYTES: number = MAX_KEYSET_BYTES + 4096

export const MAX_TEXT_BYTES: number = 64 * 1024

export const TEXT_BLOCK_BYTES = 32

/** A WRAP of the longest text, padded. */
export const MAX_TEXT_VALUE_BYTES: number = wrappedBytes(MAX_TEXT_BYTES + TEXT_BLOCK_BYTES)

/** How the passphrase gives the key over the device key. */
export interface Protection {
  readonly iterations: number
  readonly memoryKiB: number
  readonly lanes: number
  readonly salt: Bytes
  /** A WRAP of the device key. */
  readonly wrapped: Uint8Array
}

export interface StoredDeviceKey {
  readonly headerBytes: Uint8Array
  /** One of the two: the key itself, or the key under a passphrase. */
  readonly content:
    | { readonly TAG: 'open'; readonly data: SecretKey<'device'> }
    | { readonly TAG: 'protected'; readonly data: Protection }
  readonly checksum: Uint8Array
}

const headerBytes = P.bytes(HEADER_BYTES) as P.CoderType<Uint8Array>

const checksum = P.bytes(CHECKSUM_BYTES) as P.CoderType<Uint8Array>

const protection: P.CoderType<Protection> = P.struct({
  iterations: P.U32BE,
  memoryKiB: P.U32BE,
  lanes: P.U32BE,
  salt: ownBytes(32),
  wrapped: P.bytes(wrappedBytes(32)),
})

export const storedDeviceKey: P.CoderType<StoredDeviceKey> = P.struct({
  headerBytes,
  content: P.mappedTag(P.U8, {
    open: [0, secret('device', 32)],
    protected: [1, protection],
  }),
  checksum,
})

/** What a saved handle is. */
export const SavedKind = { login: 1, client: 2, keyset: 3 } as const

export interface StoredHandle {
  readonly headerBytes: Uint8Array
  /** A {@link SavedKind}. */
  readonly kind: number
  /** A WRAP of its keys under the device key. */
  readonly wrapped: Uint8Array
  readonly checksum: Uint8Array
}

export const storedHandle: P.CoderType<StoredHandle> = P.struct({
  headerBytes,
  kind: P.U8,
  wrapped: P.bytes(P.U32BE),
  checksum,
})
