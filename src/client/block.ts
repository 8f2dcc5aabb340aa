// Blocks of a client (SPEC §13.2): under its private key, under its account's key, or public. Equal private blocks are stored once only within
// one client (and clients with the same key text); equal account blocks once for all clients of the account. Public blocks are not encrypted
// at all, only labelled by their content.
import {
  type ClientEncryption,
  clientEnvelope,
  type KeyRole,
  type KeyTypeNumber,
  keyTypeOf,
  parseClientEnvelope,
} from './layout.ts'
import { Suite } from '../core/suite.ts'
import { partsOf, type StoredBlock } from '../core/block.ts'
import { type Bytes, concat, domain, equalBytes, lengthPrefixed, utf8 } from '../core/bytes.ts'
import { encode } from '../core/codec.ts'
import { assertContentBytes, assertNamed, copyIdentified } from '../core/content.ts'
import { encodePlainEnvelope } from '../core/envelope.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, NOBODY, ObjectType } from '../core/header.ts'
import { keyedNaming, type Naming } from '../core/label.ts'
import type { SecretKey } from '../core/secret.ts'
import { associatedData, deriveLock, keyIdOf, NONCE_BYTES } from '../core/wrap.ts'
import { gcmOpenContent, gcmSealContent } from '../primitives/aead.ts'
import { hmacSha256, sha256 } from '../primitives/hash.ts'
import { deriveKey } from '../primitives/kdf.ts'
import { randomBytes } from '../primitives/random.ts'
import { type ClientKey, deriveScopeId } from './typed-key.ts'

const TAG_BYTES = 16
export const DES_BLOCK_BYTES = 8

/** Content in the buffer that becomes its ciphertext. */
export interface PreparedClientContent {
  readonly buffer: Bytes
  /** 32 bytes. */
  readonly label: Bytes
  /** n of the block, in a scope in which it follows from the content. */
  readonly nonce?: Bytes
}

/** A block whose form was checked, and nothing else. */
export type ParsedClientBlock = ReturnType<typeof parseClientEnvelope> & {
  readonly label: Bytes
  readonly ciphertext: Uint8Array
}

/** @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded` */
export function parseClientBlock(block: StoredBlock, reader: { readonly des: boolean }): ParsedClientBlock {
  const { ciphertext, envelope, label } = partsOf(block)
  const parsed = parseClientEnvelope(envelope, reader)
  const least = leastBytes(parsed.kind)
  if (ciphertext.length < least || (parsed.kind === 'des' && ciphertext.length % DES_BLOCK_BYTES !== 0)) {
    throw new KeystrataError('malformed', 'a ciphertext cut short', { bytes: ciphertext.length })
  }
  assertContentBytes(ciphertext.subarray(least))
  return { label, ciphertext, ...parsed }
}

/** The length of the shortest ciphertext. */
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

/** How a scope seals and opens. */
export interface ScopeCipher {
  /** Whether a block is one of this scope. */
  owns(block: ParsedClientBlock): boolean
  /** Copies and names content; all of it is read before this first yields. */
  prepare(given: Uint8Array): Promise<PreparedClientContent>
  /** Encrypts in place, and returns the envelope. */
  seal(prepared: PreparedClientContent): Promise<Bytes>
  /** @throws KeystrataError `authentication-failed` */
  open(block: ParsedClientBlock): Promise<Bytes>
  dispose(): void
}

/** One encrypted scope: the key of one role. */
export class KeyedScope implements ScopeCipher {
  readonly #role: KeyRole
  readonly #suite: AesSuite
  readonly #key: SecretKey<'client'>
  readonly #keyId: Bytes
  readonly #ownerId: Bytes
  readonly #naming: Naming
  /** Makes n from content; in the private scope n is random. */
  readonly #dedup: SecretKey<'mac'> | undefined

  /** Borrows the key. */
  constructor(role: KeyRole, { type, key }: ClientKey, account: string) {
    this.#role = role
    this.#suite = aesSuiteOf(type)
    this.#key = key.copy()
    this.#keyId = keyIdOf(key)
    this.#ownerId = deriveScopeId(key, account, role)
    this.#naming = keyedNaming(key, utf8(account), utf8(role))
    this.#dedup = role === 'account' ? deriveKey('mac', key, 'account-dedup', [utf8(account)], 32) : undefined
  }

  dispose(): void {
    this.#key.dispose()
    this.#naming.dispose()
    this.#dedup?.dispose()
  }

  owns({ kind, header }: ParsedClientBlock): boolean {
    return kind !== 'public' && equalBytes(header.keyId, this.#keyId)
  }

  prepare(given: Uint8Array): Promise<PreparedClientContent> {
    return copyIdentified(given, TAG_BYTES, (digest) => ({
      label: this.#naming.label(digest),
      ...(this.#dedup !== undefined && { nonce: hmacSha256(this.#dedup, digest) }),
    }))
  }

  async seal({ buffer, label, nonce = randomBytes(NONCE_BYTES) }: PreparedClientContent): Promise<Bytes> {
    const header = { type: ObjectType.envelope, suite: this.#suite, keyId: this.#keyId, ownerId: this.#ownerId }
    const headerBytes = encodeHeader(header)
    using lock = this.#lock(nonce)
    const { commitment } = lock
    const aad = associatedData(headerBytes, concat(nonce, commitment), label)
    await gcmSealContent(lock.key, lock.iv, aad, buffer)
    return encode(clientEnvelope, { headerBytes, nonce, commitment })
  }

  /** Checks the commitment before the cipher, and the label last. Nothing is returned before its tag was verified. */
  async open(block: ParsedClientBlock): Promise<Bytes> {
    const { header, label, ciphertext } = block
    const holds = header.suite === this.#suite && equalBytes(header.ownerId, this.#ownerId)
    if (block.kind !== 'keyed' || !holds) throw authenticationFailed()
    const { headerBytes, nonce, commitment } = block.encrypted
    using lock = this.#lock(nonce)
    if (!equalBytes(commitment, lock.commitment)) throw authenticationFailed()
    const aad = associatedData(headerBytes, concat(nonce, commitment), label)
    const content = await gcmOpenContent(lock.key, lock.iv, aad, ciphertext)
    return await assertNamed(content, label, (digest) => this.#naming.label(digest))
  }

  #lock(nonce: Uint8Array) {
    const context = [utf8(this.#role), this.#ownerId]
    return deriveLock(this.#key, nonce, 'client-block', context, this.#suite.keyBytes)
  }
}

type AesSuite = typeof Suite.aes128 | typeof Suite.aes192 | typeof Suite.aes256

/** The suite of blocks under a key of this type. @throws TypeError for a key of type DES-56, which has a scope of its own */
function aesSuiteOf(type: KeyTypeNumber): AesSuite {
  const { suite } = keyTypeOf(type)
  if (suite.id === Suite.des56.id) throw new TypeError('a key of type DES-56 cannot be used with AES')
  return suite
}

/** What everybody may read: integrity by the name alone. */
export class PublicScope implements ScopeCipher {
  readonly #realm: Bytes

  constructor(realm: string) {
    this.#realm = lengthPrefixed(utf8(realm))
  }

  dispose(): void {
    // It has no keys.
  }

  owns({ kind, header }: ParsedClientBlock): boolean {
    return kind === 'public' && equalBytes(header.keyId, NOBODY)
  }

  prepare(given: Uint8Array): Promise<PreparedClientContent> {
    return copyIdentified(given, 0, (digest) => ({ label: this.#label(digest) }))
  }

  async seal(): Promise<Bytes> {
    const header = { type: ObjectType.envelope, suite: Suite.none, keyId: NOBODY, ownerId: NOBODY }
    return encodePlainEnvelope(encodeHeader(header))
  }

  async open({ kind, header, label, ciphertext }: ParsedClientBlock): Promise<Bytes> {
    if (kind !== 'public' || !equalBytes(header.ownerId, NOBODY)) throw authenticationFailed()
    return assertNamed(new Uint8Array(ciphertext), label, (digest) => this.#label(digest))
  }

  #label(digest: Uint8Array): Bytes {
    return sha256(domain('public-label'), this.#realm, digest)
  }
}

/** The answer for a block of another client, another account, another key model. */
export function notOwned(): KeystrataError {
  return new KeystrataError('key-not-found', 'a block of another client, or of another kind')
}
