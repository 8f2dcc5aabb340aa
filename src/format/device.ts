// What one device keeps in its own database (SPEC §15): its device key, and what is sealed under it.
import * as P from 'micro-packed'
import { type Bytes } from '../bytes.ts'
import type { SecretKey } from '../secret.ts'
import { KEY_BYTES, name } from './client.ts'
import { ownBytes, secret, within } from './codec.ts'
import { HEADER_BYTES } from './header.ts'
import { CHECKSUM_BYTES, MAX_KEYSET_BYTES } from './keyset.ts'
import { wrappedBytes } from './wrap.ts'

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

export interface SavedKeyset {
  readonly master: SecretKey<'master'>
  /** A strength that is taken although the keyset demands more; absent where none is. */
  readonly accept?: number | undefined
  /** An export with all the keys that there are. */
  readonly keyset: Uint8Array
}

export const keysetKeys: P.CoderType<SavedKeyset> = P.struct({
  master: secret('master', 32),
  accept: P.optional(P.bool, within(P.U8, 0, 2)),
  keyset: P.bytes(P.U32BE),
})
