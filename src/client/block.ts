// The blocks of a client (SPEC §16.2). A block is sealed under the private key, sealed under the account key, or
// public. Equal private blocks are stored once per client (clients with the same key text count as one). Equal account
// blocks are stored once for all clients of the account. Public blocks are not encrypted, only labelled by their
// content.
import {
  type ClientEncryption,
  clientEnvelope,
  type KeyRole,
  type KeyTypeNumber,
  keyTypeOf,
  parseClientEnvelope,
} from './layout.ts'
import { type KeyedRecordSuite, Suite } from '../core/suite.ts'
import { partsOf, type StoredBlock } from '../core/block.ts'
import { type Bytes, domain, EMPTY, equalBytes, lengthPrefixed, utf8 } from '../core/bytes.ts'
import { encode } from '../core/codec.ts'
import { assertContentBytes, assertNamed, copyIdentified, ownCiphertext, takeCiphertext } from '../core/content.ts'
import { encodePlainEnvelope } from '../core/envelope.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, keyNotFound, NOBODY, ObjectType } from '../core/header.ts'
import { deriveHedgeKey, HEDGE, hedgedNonceUnder, type NonceInputs } from '../core/hedge.ts'
import { keyedNaming, type Naming } from '../core/label.ts'
import { derivePackKey, type Pack, packFiles } from '../core/pack.ts'
import { disposable, type Handle, type SecretKey } from '../core/secret.ts'
import { aadStart, keyIdOf, lockedData, lockKind, type LockKind, lockOf } from '../core/wrap.ts'
import { gcmOpenContent, gcmSealContent } from '../primitives/aead.ts'
import { hmacSha256, sha256 } from '../primitives/hash.ts'
import { deriveKey } from '../primitives/kdf.ts'
import { KeyedRecords, noRecords } from '../state/keyed-record.ts'
import type { RecordKeys } from '../state/record.ts'
import { type ClientKey, deriveScopeId } from './typed-key.ts'

const TAG_BYTES = 16
export const DES_BLOCK_BYTES = 8

/** Content that was copied and labelled, but is not encrypted yet. */
export interface PreparedClientContent {
  /** The content; sealing turns it into the ciphertext in place. */
  readonly buffer: Bytes
  /** 32 bytes. */
  readonly label: Bytes
  /** n, 32 bytes. The scope public has none. */
  readonly nonce: Bytes
}

/** A block whose format was checked, but nothing was verified yet. */
export type ParsedClientBlock = ReturnType<typeof parseClientEnvelope> & {
  readonly label: Bytes
  readonly ciphertext: Uint8Array
}

/**
 * Parses a block of a client.
 * @param reader `des`: whether the client's private key is of type DES-56
 * @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded`
 */
export function parseClientBlock(block: StoredBlock, reader: { readonly des: boolean }): ParsedClientBlock {
  const { ciphertext, envelope, label } = partsOf(block)
  const parsed = parseClientEnvelope(envelope, reader)
  const least = leastBytes(parsed.kind)
  if (ciphertext.length < least || (parsed.kind === 'des' && ciphertext.length % DES_BLOCK_BYTES !== 0)) {
    throw new KeystrataError('malformed', 'the ciphertext is too short or cut off', {
      object: 'block',
      bytes: ciphertext.length,
    })
  }
  assertContentBytes(ciphertext.subarray(least))
  return { label, ciphertext, ...parsed }
}

/** Returns the length of the shortest valid ciphertext, in bytes. */
function leastBytes(kind: ClientEncryption['kind']): number {
  switch (kind) {
    case 'public':
      return 0
    case 'keyed':
      return TAG_BYTES
    case 'des':
      return DES_BLOCK_BYTES
  }
}

/** Seals and opens the blocks of one scope. */
export interface ScopeCipher {
  /** Returns whether a block belongs to this scope. */
  owns(block: ParsedClientBlock): boolean
  /** Copies and labels the content. Reads all of it before the promise is returned. */
  prepare(given: Uint8Array): Promise<PreparedClientContent>
  /** Encrypts the buffer in place and returns the envelope. */
  seal(prepared: PreparedClientContent): Promise<Bytes>
  /**
   * Verifies a block and returns its content.
   * @throws KeystrataError `authentication-failed` if the block was altered or is under another key
   */
  open(block: ParsedClientBlock): Promise<Bytes>
  /** Packs files. All of them are copied before the promise is returned. */
  pack(files: readonly Uint8Array[]): Promise<Pack>
  /**
   * Returns what the scope can do with records. They live as long as the cipher.
   * @throws KeystrataError `policy` in scopes without records
   */
  records(): RecordKeys
  dispose(): void
}

/** An encrypted scope: the blocks under the private key or under the account key. */
export class KeyedCipher implements ScopeCipher {
  readonly #suite: AesSuite
  readonly #key: SecretKey<'client'>
  readonly #keyId: Bytes
  readonly #ownerId: Bytes
  /** The header of every envelope, and the start of its associated data. */
  readonly #headerBytes: Bytes
  readonly #aadStart: Bytes
  readonly #naming: Naming
  readonly #nonces: Nonces
  readonly #lockKind: LockKind
  /** Created at first use: most programs only seal and open blocks. */
  #records: KeyedRecords | undefined

  /** Copies the key. */
  constructor(role: KeyRole, { type, key }: ClientKey, account: string) {
    this.#suite = aesSuiteOf(type)
    this.#key = key.copy()
    this.#keyId = keyIdOf(key)
    this.#ownerId = deriveScopeId(key, account, role)
    const header = { type: ObjectType.envelope, suite: this.#suite, keyId: this.#keyId, ownerId: this.#ownerId }
    this.#headerBytes = encodeHeader(header)
    this.#aadStart = aadStart(this.#headerBytes)
    this.#naming = keyedNaming(key, utf8(account), utf8(role))
    this.#nonces = noncesOf(role, key, account)
    this.#lockKind = lockKind('client-block', [utf8(role), this.#ownerId], this.#suite.keyBytes)
  }

  dispose(): void {
    this.#key.dispose()
    this.#naming.dispose()
    this.#nonces.dispose()
    this.#records?.dispose()
  }

  async pack(files: readonly Uint8Array[]): Promise<Pack> {
    using packKey = derivePackKey(this.#key, this.#ownerId)
    return await packFiles(files, packKey)
  }

  records(): RecordKeys {
    return (this.#records ??= new KeyedRecords(this.#key, recordSuiteOf(this.#suite), this.#ownerId))
  }

  owns({ kind, header }: ParsedClientBlock): boolean {
    return kind !== 'public' && equalBytes(header.keyId, this.#keyId)
  }

  prepare(given: Uint8Array): Promise<PreparedClientContent> {
    const headerBytes = this.#headerBytes
    return copyIdentified(given, TAG_BYTES, (digest) => {
      const label = this.#naming.label(digest)
      const nonce = this.#nonces.nonce({ digest, headerBytes, parameters: EMPTY, context: label })
      return { label, nonce }
    })
  }

  async seal({ buffer, label, nonce }: PreparedClientContent): Promise<Bytes> {
    const headerBytes = this.#headerBytes
    using lock = this.#lock(nonce)
    const { commitment } = lock
    const aad = lockedData(this.#aadStart, nonce, commitment, label)
    await gcmSealContent(lock.key, lock.iv, aad, buffer)
    return encode(clientEnvelope, { headerBytes, nonce, commitment })
  }

  /** Checks the commitment before it decrypts, and the label last. Returns nothing whose tag was not verified. */
  async open(block: ParsedClientBlock): Promise<Bytes> {
    const { header, label, ciphertext } = block
    const holds = header.suite === this.#suite && equalBytes(header.ownerId, this.#ownerId)
    if (block.kind !== 'keyed' || !holds) throw authenticationFailed()
    const { headerBytes, nonce, commitment } = block.encrypted
    using lock = this.#lock(nonce)
    if (!equalBytes(commitment, lock.commitment)) throw authenticationFailed()
    const aad = lockedData(aadStart(headerBytes), nonce, commitment, label)
    const into = takeCiphertext(ciphertext) ? ciphertext.subarray(0, ciphertext.length - TAG_BYTES) : undefined
    const content = await gcmOpenContent(lock.key, lock.iv, aad, ciphertext, into)
    return await assertNamed(content, label, (digest) => this.#naming.label(digest))
  }

  #lock(nonce: Uint8Array) {
    return lockOf(this.#key, nonce, this.#lockKind)
  }
}

/** How a scope gets the nonces of its blocks. */
interface Nonces extends Handle {
  nonce(inputs: NonceInputs): Bytes
}

/** Nonces that depend on the content alone, so that equal contents give equal blocks, or random ones. */
function noncesOf(role: KeyRole, key: SecretKey<'client'>, account: string): Nonces {
  switch (role) {
    case 'account': {
      const dedupKey = deriveKey('mac', key, 'account-dedup', [utf8(account)], 32)
      return disposable({ nonce: ({ digest }: NonceInputs) => hmacSha256(dedupKey, digest) }, () => dedupKey.dispose())
    }
    case 'private': {
      const hedgeKey = deriveHedgeKey(key, HEDGE)
      return disposable({ nonce: (inputs: NonceInputs) => hedgedNonceUnder(hedgeKey, inputs) }, () =>
        hedgeKey.dispose(),
      )
    }
  }
}

type AesSuite = typeof Suite.aes128 | typeof Suite.aes192 | typeof Suite.aes256

/**
 * Returns the AES suite of blocks under a key of this type.
 * @throws TypeError if the type is DES-56, which has its own scope
 */
function aesSuiteOf(type: KeyTypeNumber): AesSuite {
  const { suite } = keyTypeOf(type)
  if (suite.id === Suite.des56.id) throw new TypeError('a key of type DES-56 cannot be used with AES')
  return suite
}

/** Returns the suite of records under a key that seals blocks in this suite. */
function recordSuiteOf(suite: AesSuite): KeyedRecordSuite {
  switch (suite.id) {
    case Suite.aes128.id:
      return Suite.recordAes128
    case Suite.aes192.id:
      return Suite.recordAes192
    case Suite.aes256.id:
      return Suite.recordAes256
  }
}

/** The public scope: unencrypted blocks, which anybody can read and create. Only the label protects their integrity. */
export class PublicCipher implements ScopeCipher {
  readonly #realm: Bytes

  constructor(realm: string) {
    this.#realm = lengthPrefixed(utf8(realm))
  }

  dispose(): void {
    // A public scope has no keys.
  }

  pack(files: readonly Uint8Array[]): Promise<Pack> {
    return packFiles(files, undefined)
  }

  records(): never {
    throw noRecords('the scope public')
  }

  owns({ kind, header }: ParsedClientBlock): boolean {
    return kind === 'public' && equalBytes(header.keyId, NOBODY)
  }

  prepare(given: Uint8Array): Promise<PreparedClientContent> {
    return copyIdentified(given, 0, (digest) => ({ label: this.#label(digest), nonce: EMPTY }))
  }

  async seal(): Promise<Bytes> {
    const header = { type: ObjectType.envelope, suite: Suite.none, keyId: NOBODY, ownerId: NOBODY }
    return encodePlainEnvelope(encodeHeader(header))
  }

  async open({ kind, header, label, ciphertext }: ParsedClientBlock): Promise<Bytes> {
    if (kind !== 'public' || !equalBytes(header.ownerId, NOBODY)) throw authenticationFailed()
    return assertNamed(ownCiphertext(ciphertext), label, (digest) => this.#label(digest))
  }

  #label(digest: Uint8Array): Bytes {
    return sha256(domain('public-label'), this.#realm, digest)
  }
}

/** Returns the error for a block of another client, account or key model. */
export const notOwned = ({ header }: ParsedClientBlock): KeystrataError =>
  keyNotFound('block', header, 'this block belongs to another client or account, or is not a client block')
