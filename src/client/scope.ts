// One scope of a client: blocks under its private key, under the key of its account, or under none (SPEC §13).
import {
  type BlockReader,
  type BlockWriter,
  type PreparedBlock,
  PreparedOnce,
  type SealedBlock,
  type SealOptions,
  sealPrepared,
} from '../core/block.ts'
import type { Bytes } from '../core/bytes.ts'
import {
  KeyedScope,
  notOwned,
  parseClientBlock,
  type PreparedClientContent,
  PublicScope,
  type ScopeCipher,
} from './block.ts'
import type { ClientKey } from './typed-key.ts'

/**
 * Under which of a client's keys something is. `public` is not encrypted at all.
 * @example
 * ```ts
 * import type { ClientScope } from 'keystrata'
 *
 * const scopeOf = (path: string): ClientScope => (path.startsWith('/home/') ? 'private' : 'account')
 * ```
 */
export type ClientScope = 'private' | 'account' | 'public'

export const SCOPES = { private: 1, account: 2, public: 3 } as const

/** What one scope is made of. */
export interface ScopeKeys {
  readonly scope: ClientScope
  readonly realm: string
  readonly account: string
  /** None in the scope `public`. */
  readonly key: ClientKey | undefined
}

/** The cipher of a scope. Borrows the key. */
export const cipherOf = ({ scope, realm, account, key }: ScopeKeys): ScopeCipher =>
  scope === 'public' || key === undefined ? new PublicScope(realm) : new KeyedScope(scope, key, account)

export class OpenScope implements BlockWriter, BlockReader {
  readonly #cipher: ScopeCipher
  readonly #reader: { readonly des: boolean }
  readonly #assertUsable: () => void

  constructor(cipher: ScopeCipher, reader: { readonly des: boolean }, assertUsable: () => void) {
    this.#cipher = cipher
    this.#reader = reader
    this.#assertUsable = assertUsable
  }

  async prepare(content: Uint8Array): Promise<PreparedBlock> {
    this.#assertUsable()
    const prepared: PreparedClientContent = await this.#cipher.prepare(content)
    const seal = async () => {
      this.#assertUsable()
      return this.#cipher.seal(prepared)
    }
    return new PreparedOnce(prepared, { seal, dispose: () => undefined })
  }

  async seal(content: Uint8Array, options: SealOptions = {}): Promise<SealedBlock> {
    return sealPrepared(this, content, options)
  }

  async open(block: SealedBlock): Promise<Bytes> {
    this.#assertUsable()
    const parsed = parseClientBlock(block, this.#reader)
    if (!this.#cipher.owns(parsed)) throw notOwned()
    return this.#cipher.open(parsed)
  }
}
