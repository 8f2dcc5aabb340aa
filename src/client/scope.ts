// One scope of a client (SPEC §16.2): the blocks under its private key, under its account key, or the public ones.
import {
  type PreparedBlock,
  PreparedOnce,
  type SealedBlock,
  type SealOptions,
  sealPrepared,
  type StoredBlock,
} from '../core/block.ts'
import type { Bytes } from '../core/bytes.ts'
import {
  KeyedCipher,
  notOwned,
  parseClientBlock,
  type PreparedClientContent,
  PublicCipher,
  type ScopeCipher,
} from './block.ts'
import type { Pack } from '../core/pack.ts'
import type { Keys } from '../state/keys.ts'
import {
  openRecord,
  type RecordKeys,
  type RecordPlace,
  type SealedRecord,
  sealRecord,
  setRecordKeys,
} from '../state/record.ts'
import type { ClientKey } from './typed-key.ts'

/** The scopes of a client and their numbers. Blocks of `public` are not encrypted. */
export const SCOPES = { private: 1, account: 2, public: 3 } as const
export type ClientScope = keyof typeof SCOPES

/** What a scope is created from. The scope `public` has no key. */
export type ScopeKeys =
  | { readonly scope: 'private' | 'account'; readonly account: string; readonly key: ClientKey }
  | { readonly scope: 'public'; readonly realm: string }

/** Creates the cipher of a scope. Copies the key. */
export function cipherOf(keys: ScopeKeys): ScopeCipher {
  switch (keys.scope) {
    case 'private':
    case 'account':
      return new KeyedCipher(keys.scope, keys.key, keys.account)
    case 'public':
      return new PublicCipher(keys.realm)
  }
}

export class OpenScope implements Keys {
  readonly #cipher: ScopeCipher
  readonly #reader: { readonly des: boolean }
  readonly #assertUsable: () => void

  constructor(cipher: ScopeCipher, reader: { readonly des: boolean }, assertUsable: () => void) {
    this.#cipher = cipher
    this.#reader = reader
    this.#assertUsable = assertUsable
    setRecordKeys(this, () => this.#records())
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

  async seal(content: Uint8Array, options?: SealOptions): Promise<SealedBlock> {
    return sealPrepared(this, content, options)
  }

  async open(block: StoredBlock): Promise<Bytes> {
    this.#assertUsable()
    const parsed = parseClientBlock(block, this.#reader)
    if (!this.#cipher.owns(parsed)) throw notOwned(parsed)
    return this.#cipher.open(parsed)
  }

  async pack(files: readonly Uint8Array[]): Promise<Pack> {
    this.#assertUsable()
    return this.#cipher.pack(files)
  }

  async sealRecord(content: Uint8Array, place: RecordPlace): Promise<SealedRecord> {
    return sealRecord(this.#records(), content, place)
  }

  async openRecord(
    record: Uint8Array,
    place: RecordPlace | { log: string; after: 'unchecked' },
  ): Promise<SealedRecord & { content: Bytes }> {
    return openRecord(this.#records(), record, place)
  }

  #records(): RecordKeys {
    this.#assertUsable()
    return this.#cipher.records()
  }
}
