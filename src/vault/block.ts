// Vaults and their blocks (SPEC §11): AES-256-CTR, then Poly1305 over the ciphertext (encrypt-then-MAC), under keys that are fresh for every
// block, with a commitment to the data key beside the tag. The tag is that of ChaCha20-Poly1305 (RFC 8439) for no text and the block as
// associated data: Poly1305 with a one-time key, which platforms have natively.
import { Suite } from '../core/suite.ts'
import {
  type BlockReader,
  type BlockWriter,
  partsOf,
  type PreparedBlock,
  PreparedOnce,
  type SealedBlock,
  type SealOptions,
  sealPrepared,
  type StoredBlock,
} from '../core/block.ts'
import { type Bytes, concat, equalBytes, toHex, u64, u8, wipe } from '../core/bytes.ts'
import { encode } from '../core/codec.ts'
import { assertContentBytes, assertNamed, copyIdentified } from '../core/content.ts'
import { type CipherKeys, deriveCipherKeys } from '../core/encrypt-then-mac.ts'
import { authenticationFailed } from '../core/errors.ts'
import { encodeHeader, ObjectType } from '../core/header.ts'
import { keyedNaming, type Naming } from '../core/label.ts'
import { setRecipe } from '../core/recipe.ts'
import { type Handle, SecretHolder, type SecretKey } from '../core/secret.ts'
import { associatedData, keyIdOf, NONCE_BYTES } from '../core/wrap.ts'
import { chachaPolyTag, ctrInPlace } from '../primitives/cipher.ts'
import { randomBytes } from '../primitives/random.ts'
import { parseVaultEnvelope, vaultEnvelope } from './layout.ts'

/** Content in the buffer that will be its ciphertext. */
export interface PreparedVaultContent {
  readonly buffer: Bytes
  /** 32 bytes. */
  readonly label: Bytes
}

/** Seals and opens the blocks of one vault; it takes the data key over. */
export class VaultCipher {
  readonly #vaultId: Uint8Array
  readonly #dataKey: SecretKey<'data'>
  readonly #keyId: Bytes
  readonly #naming: Naming

  constructor(vaultId: Uint8Array, dataKey: SecretKey<'data'>) {
    this.#vaultId = vaultId
    this.#dataKey = dataKey
    this.#keyId = keyIdOf(dataKey)
    this.#naming = keyedNaming(dataKey, vaultId)
  }

  dispose(): void {
    this.#dataKey.dispose()
    this.#naming.dispose()
  }

  /**
   * Copies and names content; all of it is read before this first yields.
   * @throws KeystrataError `limit-exceeded`
   */
  prepare(given: Uint8Array): Promise<PreparedVaultContent> {
    return copyIdentified(given, 0, (digest) => ({ label: this.#naming.label(digest) }))
  }

  /** Encrypts in place and returns the envelope. */
  async seal({ buffer, label }: PreparedVaultContent): Promise<Bytes> {
    const nonce = randomBytes(NONCE_BYTES)
    const header = { type: ObjectType.envelope, suite: Suite.vault, keyId: this.#keyId, ownerId: this.#vaultId }
    const headerBytes = encodeHeader(header)
    using keys = this.#keysOf(nonce)
    await ctrInPlace(keys.cipher, buffer)
    const { commitment } = keys
    const tag = await tagOf(keys.mac, associatedData(headerBytes, concat(nonce, commitment), label), buffer)
    return encode(vaultEnvelope, { headerBytes, nonce, commitment, tag })
  }

  /**
   * Checks commitment, tag and label, in this order. Nothing is decrypted before its tag was verified.
   * @throws KeystrataError `authentication-failed`; `malformed`, `unsupported` or `limit-exceeded` if it is no such block
   */
  async open(block: StoredBlock): Promise<Bytes> {
    const { ciphertext, envelope, label } = partsOf(block)
    const { header, headerBytes, nonce, commitment, tag } = parseVaultEnvelope(envelope)
    assertContentBytes(ciphertext)
    if (!equalBytes(header.keyId, this.#keyId) || !equalBytes(header.ownerId, this.#vaultId)) {
      throw authenticationFailed()
    }
    using keys = this.#keysOf(nonce)
    // A copy, so that what was authenticated is what is decrypted. It becomes the content.
    const content = new Uint8Array(ciphertext)
    try {
      if (!equalBytes(commitment, keys.commitment)) throw authenticationFailed()
      const aad = associatedData(headerBytes, concat(nonce, commitment), label)
      if (!equalBytes(await tagOf(keys.mac, aad, content), tag)) throw authenticationFailed()
      await ctrInPlace(keys.cipher, content)
    } catch (error) {
      wipe(content)
      throw error
    }
    return await assertNamed(content, label, (digest) => this.#naming.label(digest))
  }

  /** `ke ‖ km ‖ c`, for one block. */
  #keysOf(nonce: Uint8Array): CipherKeys {
    const context = [u8(ObjectType.envelope), this.#vaultId]
    return deriveCipherKeys(this.#dataKey, nonce, 'ctr-poly1305', context, 32)
  }
}

/** The lengths behind both parts keep every pair of them apart. */
function tagOf(key: SecretKey<'mac'>, aad: Uint8Array, ciphertext: Uint8Array): Promise<Bytes> {
  return chachaPolyTag(key, [aad, ciphertext, u64(aad.length), u64(ciphertext.length)])
}

/**
 * A vault that is open: it seals and opens blocks. Rotations do not concern it, its data key stays.
 * @example
 * ```ts
 * import type { Profile, Vault, VaultStore } from 'keystrata/vault'
 *
 * async function openAll(profile: Profile, store: VaultStore): Promise<Vault[]> {
 *   return await Promise.all(profile.vaults.map((id) => profile.openVault(store, id)))
 * }
 * ```
 */
export interface Vault extends BlockWriter, BlockReader, Handle {
  /** 32 hex digits: random, and the same for the whole life of the vault. */
  readonly id: string
}

/** What a thread needs to seal and open the blocks of a vault. */
export interface VaultRecipe {
  readonly kind: 'vault'
  readonly id: Bytes
  readonly dataKey: SecretKey<'data'>
}

export class OpenedVault extends SecretHolder implements Vault {
  readonly id: string
  readonly #cipher: VaultCipher

  /** Takes the data key over. */
  constructor(vaultId: Uint8Array, dataKey: SecretKey<'data'>) {
    const cipher = new VaultCipher(new Uint8Array(vaultId), dataKey)
    super('vault', () => cipher.dispose())
    this.id = toHex(vaultId)
    setRecipe(this, (): VaultRecipe => ({ kind: 'vault', id: new Uint8Array(vaultId), dataKey }))
    this.#cipher = cipher
  }

  async prepare(content: Uint8Array): Promise<PreparedBlock> {
    this.assertUsable()
    const prepared = await this.#cipher.prepare(content)
    return new PreparedOnce(prepared, { seal: () => this.#cipher.seal(prepared), dispose: () => undefined })
  }

  async seal(content: Uint8Array, options: SealOptions = {}): Promise<SealedBlock> {
    return sealPrepared(this, content, options)
  }

  async open(block: StoredBlock): Promise<Bytes> {
    this.assertUsable()
    return this.#cipher.open(block)
  }
}
