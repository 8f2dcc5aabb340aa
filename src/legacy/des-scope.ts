// DES-56 blocks (SPEC §19), encrypt-then-MAC, so that no forged block reaches the cipher. The MAC has full strength.
// DES does not protect confidentiality: an attacker can try all keys.
import { type SecretKey, wiping, withBytes } from '../core/secret.ts'
import { Suite } from '../core/suite.ts'
import {
  DES_BLOCK_BYTES,
  type ParsedClientBlock,
  type PreparedClientContent,
  type ScopeCipher,
} from '../client/block.ts'
import { legacyEnvelope } from '../client/layout.ts'
import type { Claimant } from '../client/proof.ts'
import { deriveScopeId } from '../client/typed-key.ts'
import { type Bytes, copyOf, EMPTY, equalBytes, utf8 } from '../core/bytes.ts'
import { encode } from '../core/codec.ts'
import { assertNamed, contentFrom, copyIdentified } from '../core/content.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, ObjectType } from '../core/header.ts'
import { deriveHedgeKey, HEDGE, hedgedNonceUnder } from '../core/hedge.ts'
import { keyedNaming, type Naming } from '../core/label.ts'
import { derivePackKey, type Pack, packFiles } from '../core/pack.ts'
import { associatedData, keyIdOf } from '../core/wrap.ts'
import { hmacSha256 } from '../primitives/hash.ts'
import { deriveKey } from '../primitives/kdf.ts'
import { noRecords } from '../state/keyed-record.ts'
import { deriveDesKey, type DesCbc } from './des.ts'

export class DesScope implements ScopeCipher {
  readonly #des: DesCbc
  readonly #maySeal: boolean
  readonly #key: SecretKey<'cipher'>
  readonly #mac: SecretKey<'mac'>
  readonly #keyId: Bytes
  readonly #ownerId: Bytes
  readonly #naming: Naming
  readonly #packKey: SecretKey<'dedup'>
  readonly #hedgeKey: SecretKey<'hedge'>
  /** The header of every envelope. */
  readonly #headerBytes: Bytes

  /** Derives its own keys. The private key still belongs to the claimant. */
  constructor({ privateKey: { key }, account }: Claimant, des: DesCbc, maySeal: boolean) {
    this.#des = des
    this.#maySeal = maySeal
    this.#keyId = keyIdOf(key)
    this.#ownerId = deriveScopeId(key, account, 'private')
    this.#naming = keyedNaming(key, utf8(account), utf8('private'))
    this.#mac = deriveKey('mac', key, 'des-mac', [utf8('private'), this.#ownerId], 32)
    this.#packKey = derivePackKey(key, this.#ownerId)
    this.#key = deriveDesKey(key)
    this.#hedgeKey = deriveHedgeKey(key, HEDGE)
    const header = { type: ObjectType.envelope, suite: Suite.des56, keyId: this.#keyId, ownerId: this.#ownerId }
    this.#headerBytes = encodeHeader(header)
  }

  dispose(): void {
    this.#key.dispose()
    this.#mac.dispose()
    this.#naming.dispose()
    this.#packKey.dispose()
    this.#hedgeKey.dispose()
  }

  pack(files: readonly Uint8Array[]): Promise<Pack> {
    return packFiles(files, this.#packKey)
  }

  records(): never {
    throw noRecords('a scope under DES-56')
  }

  owns({ kind, header }: ParsedClientBlock): boolean {
    return kind !== 'public' && equalBytes(header.keyId, this.#keyId)
  }

  async prepare(given: Uint8Array): Promise<PreparedClientContent> {
    if (!this.#maySeal) {
      throw new KeystrataError('policy', 'a DES-56 client does not seal private blocks: seal with an AES-256 client', {
        rule: 'no-des',
      })
    }
    const content = contentFrom(given)
    const padding = DES_BLOCK_BYTES - (content.length % DES_BLOCK_BYTES)
    const headerBytes = this.#headerBytes
    const prepared = await copyIdentified(content, padding, (digest) => {
      const label = this.#naming.label(digest)
      const nonce = hedgedNonceUnder(this.#hedgeKey, { digest, headerBytes, parameters: EMPTY, context: label })
      return { label, nonce }
    })
    prepared.buffer.fill(padding, -padding)
    return prepared
  }

  async seal({ buffer, label, nonce }: PreparedClientContent): Promise<Bytes> {
    const headerBytes = this.#headerBytes
    const iv = copyOf(nonce.subarray(0, DES_BLOCK_BYTES))
    withBytes(this.#key, (key) => this.#des('encrypt', key, iv, buffer))
    return encode(legacyEnvelope, { headerBytes, iv, tag: this.#tag(headerBytes, iv, label, buffer) })
  }

  /** Checks the tag before it decrypts, so that the padding cannot become an oracle. Checks the label last. */
  async open(block: ParsedClientBlock): Promise<Bytes> {
    const { header, label, ciphertext } = block
    if (block.kind !== 'des' || !equalBytes(header.ownerId, this.#ownerId)) throw authenticationFailed()
    // A copy, so that the bytes that were authenticated are the bytes that are decrypted.
    const padded = copyOf(ciphertext)
    using _ = wiping(padded)
    const { headerBytes, iv, tag } = block.encrypted
    if (!equalBytes(this.#tag(headerBytes, iv, label, padded), tag)) throw authenticationFailed()
    withBytes(this.#key, (key) => this.#des('decrypt', key, iv, padded))
    return await assertNamed(withoutPadding(padded), label, (digest) => this.#naming.label(digest))
  }

  #tag(headerBytes: Uint8Array, iv: Uint8Array, label: Uint8Array, ciphertext: Uint8Array): Bytes {
    return hmacSha256(this.#mac, associatedData(headerBytes, iv, label), iv, ciphertext)
  }
}

/**
 * Removes PKCS #7 padding. Returns a copy.
 * @throws KeystrataError `authentication-failed` if the padding is invalid
 */
function withoutPadding(padded: Uint8Array): Bytes {
  const count = padded.at(-1) ?? 0
  const holds = count >= 1 && count <= DES_BLOCK_BYTES && padded.subarray(-count).every((byte) => byte === count)
  if (!holds) throw authenticationFailed()
  return copyOf(padded.subarray(0, -count))
}
