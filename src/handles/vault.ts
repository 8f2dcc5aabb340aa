// A vault in the hand of its user: seals and opens, whatever key opened its keyring (SPEC §11).
import type { BlockReader, BlockWriter, PreparedBlock, SealedBlock, SealOptions } from '../blocks/block.ts'
import { VaultCipher } from '../blocks/vault-block.ts'
import { type Bytes, toHex } from '../bytes.ts'
import { type Handle, SecretHolder, type SecretKey } from '../secret.ts'
import { PreparedOnce, sealPrepared } from './prepared-block.ts'
import { setRecipe } from './recipe.ts'

/**
 * A vault that is open: it seals and opens blocks. Rotations do not concern it, its data key stays.
 * @example
 * ```ts
 * import type { UnlockedProfile, Vault, VaultStore } from 'keystrata'
 *
 * async function openAll(profile: UnlockedProfile, store: VaultStore): Promise<Vault[]> {
 *   return await Promise.all(profile.vaults.map((id) => profile.openVault(id, store)))
 * }
 * ```
 */
export interface Vault extends BlockWriter, BlockReader, Handle {
  /** 32 hex digits: random, and the same for the whole life of the vault. */
  readonly id: string
}

export class OpenedVault extends SecretHolder implements Vault {
  readonly id: string
  readonly #cipher: VaultCipher

  /** Takes the data key over. */
  constructor(vaultId: Uint8Array, dataKey: SecretKey<'data'>) {
    const cipher = new VaultCipher(new Uint8Array(vaultId), dataKey)
    super('vault', () => cipher.dispose())
    this.id = toHex(vaultId)
    setRecipe(this, () => ({ kind: 'vault', id: new Uint8Array(vaultId), dataKey }))
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

  async open(block: SealedBlock): Promise<Bytes> {
    this.assertUsable()
    return this.#cipher.open(block)
  }
}
