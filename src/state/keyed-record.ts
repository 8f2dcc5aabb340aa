// The records of a vault, and of a scope of a client (SPEC §7.2): sealed and authenticated under the key of their
// owner. Anyone who can write them can also read them, and there is no second party: such a log can be shortened by
// any of its writers.
import { type Bytes, copyOf, equalBytes } from '../core/bytes.ts'
import { keyNotFound } from '../core/header.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { hedgedId, hedgedNonce } from '../core/hedge.ts'
import { type Role, SecretHolder, type SecretKey } from '../core/secret.ts'
import type { KeyedRecordSuite } from '../core/suite.ts'
import { associatedData, deriveLock, keyIdOf, type Lock, NONCE_BYTES } from '../core/wrap.ts'
import { gcmOpenContent, gcmSealContent } from '../primitives/aead.ts'
import { hmacSha256 } from '../primitives/hash.ts'
import { deriveKey } from '../primitives/kdf.ts'
import type { Marker, RecordKeys, RecordSealer } from './record.ts'
import {
  draftRecord,
  type ParsedRecord,
  type RecordBytes,
  type RecordFields,
  type RecordOwner,
} from './record-layout.ts'

const LOCK_BYTES = NONCE_BYTES + 32
const TAG_BYTES = 16
const MAC_BYTES = 32

/** Returns the error for records of an owner whose records nobody could trust. */
export const noRecords = (owner: string): KeystrataError =>
  new KeystrataError('policy', `${owner} has no records: seal them in another scope`, { rule: 'records' })

export class KeyedRecords extends SecretHolder implements RecordKeys, RecordSealer {
  readonly ownerId: Uint8Array
  readonly #owner: RecordOwner
  readonly #suite: KeyedRecordSuite
  readonly #key: SecretKey<Role>
  readonly #mac: SecretKey<'mac'>

  /** The caller keeps the key, which must live as long as this object. */
  constructor(key: SecretKey<'data' | 'client'>, suite: KeyedRecordSuite, ownerId: Uint8Array) {
    const mac = deriveKey('mac', key, 'record-mac', [ownerId], 32)
    super('record keys', () => mac.dispose())
    this.ownerId = ownerId
    this.#owner = { suite, keyId: keyIdOf(key), ownerId }
    this.#suite = suite
    this.#key = key
    this.#mac = mac
  }

  get write(): RecordSealer {
    return this
  }

  isAdopted(): boolean {
    return false
  }

  isCurrent(): boolean {
    return true
  }

  verify({ header, encoded }: ParsedRecord): void {
    if (!equalBytes(header.ownerId, this.ownerId)) throw keyNotFound('record', header)
    const { suite, keyId } = this.#owner
    const holds =
      header.suite.id === suite.id &&
      equalBytes(header.keyId, keyId) &&
      equalBytes(this.#macOf(encoded), encoded.body.subarray(-MAC_BYTES))
    if (!holds) throw authenticationFailed()
  }

  markerContent({ encoded }: ParsedRecord): Uint8Array {
    return encoded.body.subarray(0, -MAC_BYTES)
  }

  createId(logId: Uint8Array, digest: Uint8Array): Bytes {
    return hedgedId(this.#key, 'record-id', logId, digest)
  }

  async seal(fields: RecordFields, logId: Uint8Array, content: Uint8Array, digest: Uint8Array): Promise<Bytes> {
    const draft = draftRecord(fields, this.#owner, logId, LOCK_BYTES + content.length + TAG_BYTES + MAC_BYTES)
    const { body, headerBytes } = draft
    const nonce = hedgedNonce(this.#key, {
      digest,
      headerBytes,
      parameters: draft.parameters(0),
      context: logId,
    })
    using lock = this.#lock(nonce)
    body.set(nonce)
    body.set(lock.commitment, NONCE_BYTES)
    body.set(content, LOCK_BYTES)
    try {
      const aad = associatedData(headerBytes, draft.parameters(LOCK_BYTES), logId)
      await gcmSealContent(lock.key, lock.iv, aad, body.subarray(LOCK_BYTES, -MAC_BYTES))
      body.set(this.#macOf(draft), body.length - MAC_BYTES)
      return copyOf(draft.bytes)
    } catch (error) {
      body.fill(0)
      throw error
    }
  }

  marker = (): Marker => (fields, logId, content) => {
    const draft = draftRecord(fields, this.#owner, logId, content.length + MAC_BYTES)
    draft.body.set(content)
    draft.body.set(this.#macOf(draft), content.length)
    return copyOf(draft.bytes)
  }

  open = async ({ encoded }: ParsedRecord): Promise<Bytes> => {
    const { body, headerBytes, logId } = encoded
    using lock = this.#lock(body.subarray(0, NONCE_BYTES))
    if (!equalBytes(body.subarray(NONCE_BYTES, LOCK_BYTES), lock.commitment)) throw authenticationFailed()
    const aad = associatedData(headerBytes, encoded.parameters(LOCK_BYTES), logId)
    return await gcmOpenContent(lock.key, lock.iv, aad, body.subarray(LOCK_BYTES, -MAC_BYTES))
  }

  #lock(nonce: Uint8Array): Lock {
    return deriveLock(this.#key, nonce, 'record', [this.ownerId], this.#suite.keyBytes)
  }

  #macOf(record: RecordBytes): Bytes {
    return hmacSha256(this.#mac, record.message(MAC_BYTES))
  }
}
