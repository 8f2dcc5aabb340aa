// Derives a block's key and label from its content, in each mode (SPEC §10.2, §10.3). This decides which equal contents
// give equal blocks.
import { type Bytes, copyOf, domain, EMPTY, equalBytes, u8, wipe } from '../core/bytes.ts'
import { authenticationFailed } from '../core/errors.ts'
import { deriveHedgeKey, hedgedNonce, hedgedUnder } from '../core/hedge.ts'
import { keyedNaming, type Naming } from '../core/label.ts'
import { disposable, equalKeys, type Handle, SecretKey, withBytes } from '../core/secret.ts'
import type { ContentDigest } from '../primitives/backend.ts'
import { copyAndDigest, digestContent, hmacSha256 } from '../primitives/hash.ts'
import { deriveKey } from '../primitives/kdf.ts'
import { Mode } from './mask.ts'

/** The secrets of a keyset that decide which contents give equal blocks, and how blocks are labelled. */
export interface DedupSecrets {
  readonly dedupKey: SecretKey<'dedup'>
  readonly blockSalt: SecretKey<'block-salt'>
}

/** The key of content that is to be sealed. In `off` it is random, and has a nonce of 32 bytes. `none` has no keys. */
export type ContentKey =
  | { readonly mode: typeof Mode.scoped | typeof Mode.global; readonly blockKey: SecretKey<'block'> }
  | { readonly mode: typeof Mode.off; readonly blockKey: SecretKey<'block'>; readonly nonce: Bytes }
  | { readonly mode: typeof Mode.none; readonly blockKey?: undefined }

/** What identifies content that is to be sealed. The label has 32 bytes. */
type ContentIdentity = { readonly label: Bytes } & ContentKey

function namingOf(mode: Mode, blockSalt: SecretKey<'block-salt'>): Naming {
  switch (mode) {
    case Mode.global: {
      const salt = deriveKey('label', blockSalt, 'global-salt', [], 32)
      const naming: Omit<Naming, keyof Handle> = {
        digest: () => ({ hash: 'sha256', suffix: withBytes(salt, (suffix) => copyOf(suffix)) }),
        label: (digest) => copyOf(digest),
      }
      return disposable(naming, () => salt.dispose())
    }
    case Mode.scoped:
    case Mode.off:
    case Mode.none:
      return keyedNaming(blockSalt, u8(mode))
  }
}

/**
 * Identifies content in one mode, under the secrets of one keyset. The caller keeps the dedup key, which must live as
 * long as this object.
 */
export class ContentScheme {
  readonly mode: Mode
  readonly #dedupKey: SecretKey<'dedup'>
  readonly #naming: Naming
  /** Hedges the keys of `off`. Derived at first use: readers never need it. */
  #hedgeKey: SecretKey<'hedge'> | undefined

  constructor(mode: Mode, { dedupKey, blockSalt }: DedupSecrets) {
    this.mode = mode
    this.#dedupKey = dedupKey
    this.#naming = namingOf(mode, blockSalt)
  }

  /** Copies `content` into `copy`, and gives the copy its label and its key. */
  async copyAndIdentify(content: Uint8Array, copy: Uint8Array): Promise<ContentIdentity> {
    return this.#withDigests(
      (digests) => copyAndDigest(content, copy, digests),
      (first, second) => {
        const label = this.#naming.label(first)
        return { label, ...this.#keyFor(first, second, label) }
      },
    )
  }

  /**
   * Checks that content matches its label and the key that it was encrypted under. A valid tag proves only that
   * somebody knew the block key. Recipients of shares and other holders of the dedup key know it too.
   * @throws KeystrataError `authentication-failed` if it does not match
   */
  async verify(content: Uint8Array, label: Uint8Array, blockKey: SecretKey<'block'> | undefined): Promise<void> {
    const holds = await this.#withDigests(
      (digests) => digestContent(content, digests),
      (first, second) => {
        if (!equalBytes(this.#naming.label(first), label)) return false
        const { mode } = this
        if (mode === Mode.off || mode === Mode.none) return true
        using derived = this.#derivedKey(mode, first, second)
        return blockKey !== undefined && equalKeys(derived, blockKey)
      },
    )
    if (!holds) throw authenticationFailed()
  }

  /** Digests content as this mode needs it, and wipes the digests after `use`. Only `global` has a second one. */
  async #withDigests<T>(
    digest: (wanted: readonly ContentDigest[]) => Promise<Bytes[]>,
    use: (first: Bytes, second: Bytes) => T,
  ): Promise<T> {
    const named = this.#naming.digest()
    let digests: Bytes[] = []
    using _ = disposable({}, () => wipe(...digests, ...(named.suffix === undefined ? [] : [named.suffix])))
    digests = await digest(this.mode === Mode.global ? [named, { hash: 'sha3-256' }] : [named])
    const [first, second] = digests as [Bytes, Bytes]
    return use(first, second)
  }

  #derivedKey(mode: typeof Mode.scoped | typeof Mode.global, first: Bytes, second: Bytes): SecretKey<'block'> {
    switch (mode) {
      case Mode.scoped:
        return SecretKey.adopt('block', hmacSha256(this.#dedupKey, domain('scoped-key'), first))
      case Mode.global:
        return SecretKey.take('block', second)
    }
  }

  #keyFor(first: Bytes, second: Bytes, label: Bytes): ContentKey {
    const { mode } = this
    switch (mode) {
      case Mode.scoped:
      case Mode.global:
        return { mode, blockKey: this.#derivedKey(mode, first, second) }
      case Mode.off:
        return { mode, ...this.#randomKey(first, label) }
      case Mode.none:
        return { mode }
    }
  }

  /** Generates a key that does not depend on the content, and the nonce for it. Both are hedged (SPEC §4.4, §10.2). */
  #randomKey(digest: Bytes, label: Bytes): { blockKey: SecretKey<'block'>; nonce: Bytes } {
    const hedgeKey = (this.#hedgeKey ??= deriveHedgeKey(this.#dedupKey, 'hedge-block'))
    const blockKey = SecretKey.adopt('block', hedgedUnder(hedgeKey, digest, label))
    const nonce = hedgedNonce(blockKey, { digest, headerBytes: EMPTY, parameters: EMPTY, context: label })
    return { blockKey, nonce }
  }

  dispose(): void {
    this.#naming.dispose()
    this.#hedgeKey?.dispose()
  }
}
