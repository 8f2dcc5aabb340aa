// Vaults and their blocks (SPEC §15). A block is encrypted with AES-256-CTR, then authenticated with Poly1305
// (encrypt-then-MAC). Every block has fresh keys, and its envelope holds a commitment to the data key beside the tag.
// The tag is a ChaCha20-Poly1305 tag (RFC 8439) over an empty plaintext with the block as associated data. That is
// Poly1305 under a one-time key, in a form that platforms have natively. Not protected: the length of the content.
import { Suite } from '../core/suite.ts'
import {
  partsOf,
  type PreparedBlock,
  PreparedOnce,
  type SealedBlock,
  type SealOptions,
  sealPrepared,
  type StoredBlock,
} from '../core/block.ts'
import { type Bytes, copyOf, EMPTY, equalBytes, toHex, u64, u8, wipe } from '../core/bytes.ts'
import { encode } from '../core/codec.ts'
import { assertContentBytes, assertNamed, copyIdentified, ownCiphertext } from '../core/content.ts'
import { type CipherKeys, cipherKind, type CipherKind, deriveCipherKeys } from '../core/encrypt-then-mac.ts'
import { authenticationFailed } from '../core/errors.ts'
import { encodeHeader, ObjectType } from '../core/header.ts'
import { deriveHedgeKey, HEDGE, hedgedNonceUnder } from '../core/hedge.ts'
import { keyedNaming, type Naming } from '../core/label.ts'
import { setRecipe } from '../core/recipe.ts'
import { derivePackKey, type Pack, packFiles } from '../core/pack.ts'
import { type Handle, SecretHolder, type SecretKey } from '../core/secret.ts'
import { aadStart, keyIdOf, lockedData } from '../core/wrap.ts'
import { chachaPolyTag, ctrInPlace } from '../primitives/cipher.ts'
import { KeyedRecords } from '../state/keyed-record.ts'
import type { Keys } from '../state/keys.ts'
import {
  openRecord,
  type RecordKeys,
  type RecordPlace,
  type SealedRecord,
  sealRecord,
  setRecordKeys,
} from '../state/record.ts'
import { parseVaultEnvelope, vaultEnvelope } from './layout.ts'

/** Content in the buffer that becomes its ciphertext. */
export interface PreparedVaultContent {
  readonly buffer: Bytes
  /** 32 bytes. */
  readonly label: Bytes
  /** 32 bytes. */
  readonly nonce: Bytes
}

/** Seals and opens the blocks of one vault. It owns the data key and disposes of it. */
export class VaultCipher {
  readonly #vaultId: Uint8Array
  readonly #dataKey: SecretKey<'data'>
  readonly #keyId: Bytes
  /** The header of every envelope, and the start of its associated data. */
  readonly #headerBytes: Bytes
  readonly #aadStart: Bytes
  readonly #naming: Naming
  readonly #hedgeKey: SecretKey<'hedge'>
  readonly #kind: CipherKind

  constructor(vaultId: Uint8Array, dataKey: SecretKey<'data'>) {
    this.#vaultId = vaultId
    this.#dataKey = dataKey
    this.#keyId = keyIdOf(dataKey)
    const header = { type: ObjectType.envelope, suite: Suite.vault, keyId: this.#keyId, ownerId: vaultId }
    this.#headerBytes = encodeHeader(header)
    this.#aadStart = aadStart(this.#headerBytes)
    this.#naming = keyedNaming(dataKey, vaultId)
    this.#hedgeKey = deriveHedgeKey(dataKey, HEDGE)
    this.#kind = cipherKind('ctr-poly1305', [u8(ObjectType.envelope), vaultId], 32)
  }

  dispose(): void {
    this.#dataKey.dispose()
    this.#naming.dispose()
    this.#hedgeKey.dispose()
  }

  /**
   * Copies content, and computes its label and its nonce. All of the content is read before this first yields.
   * @throws KeystrataError `limit-exceeded` if the content is over 64 MiB
   */
  prepare(given: Uint8Array): Promise<PreparedVaultContent> {
    const headerBytes = this.#headerBytes
    return copyIdentified(given, 0, (digest) => {
      const label = this.#naming.label(digest)
      const nonce = hedgedNonceUnder(this.#hedgeKey, { digest, headerBytes, parameters: EMPTY, context: label })
      return { label, nonce }
    })
  }

  /** Encrypts in place and returns the envelope. */
  async seal({ buffer, label, nonce }: PreparedVaultContent): Promise<Bytes> {
    const headerBytes = this.#headerBytes
    using keys = this.#keysOf(nonce)
    await ctrInPlace(keys.cipher, buffer)
    const { commitment } = keys
    const tag = await tagOf(keys.mac, lockedData(this.#aadStart, nonce, commitment, label), buffer)
    return encode(vaultEnvelope, { headerBytes, nonce, commitment, tag })
  }

  /**
   * Opens a block. Checks the commitment, then the tag, decrypts, and then checks the label.
   * @throws KeystrataError `authentication-failed` if the block belongs to another vault or was altered
   * @throws KeystrataError `malformed`, `unsupported` or `limit-exceeded` if it is not a vault's block
   */
  async open(block: StoredBlock): Promise<Bytes> {
    const { ciphertext, envelope, label } = partsOf(block)
    const { header, headerBytes, nonce, commitment, tag } = parseVaultEnvelope(envelope)
    assertContentBytes(ciphertext)
    if (!equalBytes(header.keyId, this.#keyId) || !equalBytes(header.ownerId, this.#vaultId)) {
      throw authenticationFailed()
    }
    using keys = this.#keysOf(nonce)
    // No longer the caller's, who could change the bytes between the check and the decryption. It becomes the content.
    const content = ownCiphertext(ciphertext)
    try {
      if (!equalBytes(commitment, keys.commitment)) throw authenticationFailed()
      const aad = lockedData(aadStart(headerBytes), nonce, commitment, label)
      if (!equalBytes(await tagOf(keys.mac, aad, content), tag)) throw authenticationFailed()
      await ctrInPlace(keys.cipher, content)
    } catch (error) {
      wipe(content)
      throw error
    }
    return await assertNamed(content, label, (digest) => this.#naming.label(digest))
  }

  /** Derives `ke ‖ km ‖ c` for one block. */
  #keysOf(nonce: Uint8Array): CipherKeys {
    return deriveCipherKeys(this.#dataKey, nonce, this.#kind)
  }
}

/** Computes the tag of a block. The two lengths at the end make the split between `aad` and ciphertext unambiguous. */
function tagOf(key: SecretKey<'mac'>, aad: Uint8Array, ciphertext: Uint8Array): Promise<Bytes> {
  return chachaPolyTag(key, [aad, ciphertext, u64(aad.length, ciphertext.length)])
}

/**
 * An open vault. It seals and opens blocks and records. It stays usable after a rotation, because rotating keeps its data key.
 * @example
 * ```ts
 * import type { StateStore } from 'keystrata/stores'
 * import type { Profile, Vault } from 'keystrata/vault'
 *
 * async function openAll(profile: Profile, store: StateStore): Promise<Vault[]> {
 *   return await Promise.all(profile.vaults.map((id) => profile.openVault(store, id)))
 * }
 * ```
 */
export interface Vault extends Keys, Handle {
  /** The id of the vault: 32 hex digits, random, never changes. */
  readonly id: string
}

/** What a worker thread needs to seal and open the blocks of a vault. */
export interface VaultRecipe {
  readonly kind: 'vault'
  readonly id: Bytes
  readonly dataKey: SecretKey<'data'>
}

export class OpenedVault extends SecretHolder implements Vault {
  readonly id: string
  readonly #vaultId: Bytes
  readonly #dataKey: SecretKey<'data'>
  readonly #cipher: VaultCipher
  /** Created at first use: most programs only seal and open blocks. */
  readonly #lazy: { records?: KeyedRecords }

  /** Takes ownership of the data key. */
  constructor(vaultId: Uint8Array, dataKey: SecretKey<'data'>) {
    const id = copyOf(vaultId)
    const cipher = new VaultCipher(id, dataKey)
    const lazy: { records?: KeyedRecords } = {}
    super('vault', () => {
      lazy.records?.dispose()
      cipher.dispose()
    })
    this.id = toHex(id)
    this.#vaultId = id
    this.#dataKey = dataKey
    this.#lazy = lazy
    setRecordKeys(this, () => this.#records)
    setRecipe(this, (): VaultRecipe => ({ kind: 'vault', id: copyOf(vaultId), dataKey }))
    this.#cipher = cipher
  }

  async prepare(content: Uint8Array): Promise<PreparedBlock> {
    this.assertUsable()
    const prepared = await this.#cipher.prepare(content)
    return new PreparedOnce(prepared, { seal: () => this.#cipher.seal(prepared), dispose: () => undefined })
  }

  async seal(content: Uint8Array, options?: SealOptions): Promise<SealedBlock> {
    return sealPrepared(this, content, options)
  }

  async open(block: StoredBlock): Promise<Bytes> {
    this.assertUsable()
    return this.#cipher.open(block)
  }

  async pack(files: readonly Uint8Array[]): Promise<Pack> {
    this.assertUsable()
    using packKey = derivePackKey(this.#dataKey, this.#vaultId)
    return await packFiles(files, packKey)
  }

  async sealRecord(content: Uint8Array, place: RecordPlace): Promise<SealedRecord> {
    return sealRecord(this.#records, content, place)
  }

  async openRecord(
    record: Uint8Array,
    place: RecordPlace | { log: string; after: 'unchecked' },
  ): Promise<SealedRecord & { content: Bytes }> {
    return openRecord(this.#records, record, place)
  }

  get #records(): RecordKeys {
    this.assertUsable()
    return (this.#lazy.records ??= new KeyedRecords(this.#dataKey, Suite.vaultRecord, this.#vaultId))
  }
}
