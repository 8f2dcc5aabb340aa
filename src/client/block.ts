// Blocks of a client (SPEC §13.2): under its private key, under its account's key, or public. Private ones meet nobody's (but
// those of a client with the same text); those of the account do, for all of its clients and nobody else; public ones are not
// encrypted at all, only named by their content.
import { partsOf, type SealedBlock } from '../core/block.ts'
import { type Bytes, concat, domain, equalBytes, lengthPrefixed, utf8 } from '../core/bytes.ts'
import { encode } from '../core/codec.ts'
import { assertContentBytes, assertNamed, copyIdentified } from '../core/content.ts'
import { encodePlainEnvelope } from '../core/envelope.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, type Header, NOBODY, ObjectType, Suite } from '../core/header.ts'
import { keyedNaming, type Naming } from '../core/label.ts'
import type { SecretKey } from '../core/secret.ts'
import { associatedData, deriveLock, keyIdOf, NONCE_BYTES } from '../core/wrap.ts'
import { gcmOpenContent, gcmSealContent } from '../primitives/aead.ts'
import { hmacSha256, sha256 } from '../primitives/hash.ts'
import { deriveKey } from '../primitives/kdf.ts'
import { randomBytes } from '../primitives/random.ts'
import { type ClientEncryption, clientEnvelope, KEY_BYTES, type KeyRole, parseClientEnvelope } from './layout.ts'
import { type ClientKey, deriveScopeId } from './typed-key.ts'

const TAG_BYTES = 16

export const DES_BLOCK_BYTES = 8

const suiteOf: Readonly<Record<number, number>> = { 1: Suite.aes128, 2: Suite.aes192, 3: Suite.aes256 }

/** Content in the buffer that will be its ciphertext. */
export interface PreparedClientContent {
  readonly buffer: Bytes
  /** 32 bytes. */
  readonly label: Bytes
  /** n of the block where the content decides it. */
  readonly nonce?: Bytes
}

/** A block whose parts were read, and nothing of it checked but its form. */
export interface ParsedClientBlock extends ClientEncryption {
  readonly label: Bytes
  readonly header: Header
  readonly ciphertext: Uint8Array
}

/** @throws KeystrataError `malformed`, `unsupported`, `limit-exceeded` */
export function parseClientBlock(block: SealedBlock, reader: { readonly des: boolean }): ParsedClientBlock {
  const { ciphertext, envelope, label } = partsOf(block)
  const parsed = parseClientEnvelope(envelope, reader)
  const least = parsed.encrypted !== undefined ? TAG_BYTES : parsed.legacy !== undefined ? DES_BLOCK_BYTES : 0
  if (ciphertext.length < least || (parsed.legacy !== undefined && ciphertext.length % DES_BLOCK_BYTES !== 0)) {
    throw new KeystrataError('malformed', 'a ciphertext cut short', { bytes: ciphertext.length })
  }
  assertContentBytes(ciphertext.subarray(least))
  return { label, ciphertext, ...parsed }
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
  readonly #type: number
  readonly #key: SecretKey<'client'>
  readonly #keyId: Bytes
  readonly #ownerId: Bytes
  readonly #naming: Naming
  /** Makes n from content; in the private scope n is random. */
  readonly #dedup: SecretKey<'mac'> | undefined

  /** Borrows the key. */
  constructor(role: KeyRole, { type, key }: ClientKey, account: string) {
    this.#role = role
    this.#type = type
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

  owns({ header }: ParsedClientBlock): boolean {
    return header.suite !== Suite.none && equalBytes(header.keyId, this.#keyId)
  }

  prepare(given: Uint8Array): Promise<PreparedClientContent> {
    return copyIdentified(given, TAG_BYTES, (digest) => ({
      label: this.#naming.label(digest),
      ...(this.#dedup !== undefined && { nonce: hmacSha256(this.#dedup, digest) }),
    }))
  }

  async seal({ buffer, label, nonce = randomBytes(NONCE_BYTES) }: PreparedClientContent): Promise<Bytes> {
    const suite = suiteOf[this.#type] ?? 0
    const headerBytes = encodeHeader({ type: ObjectType.envelope, suite, keyId: this.#keyId, ownerId: this.#ownerId })
    const lock = this.#lock(nonce)
    try {
      const { commitment } = lock
      const aad = associatedData(headerBytes, concat(nonce, commitment), label)
      await gcmSealContent(lock.key, lock.iv, aad, buffer)
      return encode(clientEnvelope, { headerBytes, nonce, commitment })
    } finally {
      lock.dispose()
    }
  }

  /** The commitment before the cipher, and the label last: nothing goes out before its tag holds. */
  async open({ header, encrypted, label, ciphertext }: ParsedClientBlock): Promise<Bytes> {
    const holds = header.suite === suiteOf[this.#type] && equalBytes(header.ownerId, this.#ownerId)
    if (encrypted === undefined || !holds) throw authenticationFailed()
    const { headerBytes, nonce, commitment } = encrypted
    const lock = this.#lock(nonce)
    try {
      if (!equalBytes(commitment, lock.commitment)) throw authenticationFailed()
      const aad = associatedData(headerBytes, concat(nonce, commitment), label)
      const content = await gcmOpenContent(lock.key, lock.iv, aad, ciphertext)
      return await assertNamed(content, label, (digest) => this.#naming.label(digest))
    } finally {
      lock.dispose()
    }
  }

  #lock(nonce: Uint8Array) {
    const context = [utf8(this.#role), this.#ownerId]
    return deriveLock(this.#key, nonce, 'client-block', context, KEY_BYTES[this.#type])
  }
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

  owns({ header }: ParsedClientBlock): boolean {
    return header.suite === Suite.none && equalBytes(header.keyId, NOBODY)
  }

  prepare(given: Uint8Array): Promise<PreparedClientContent> {
    return copyIdentified(given, 0, (digest) => ({ label: this.#label(digest) }))
  }

  async seal(): Promise<Bytes> {
    const header = { type: ObjectType.envelope, suite: Suite.none, keyId: NOBODY, ownerId: NOBODY }
    return encodePlainEnvelope(encodeHeader(header))
  }

  async open({ header, label, ciphertext }: ParsedClientBlock): Promise<Bytes> {
    if (!equalBytes(header.ownerId, NOBODY)) throw authenticationFailed()
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
