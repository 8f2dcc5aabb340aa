// Derives a block's key and label from its content, in each mode (SPEC §6.2, §6.3). This decides which equal contents
// give equal blocks.
import { type Bytes, copyOf, domain, equalBytes, u8, wipe } from '../core/bytes.ts'
import { authenticationFailed } from '../core/errors.ts'
import { keyedNaming, type Naming } from '../core/label.ts'
import { disposable, disposing, equalKeys, type Handle, SecretKey, withBytes } from '../core/secret.ts'
import type { ContentDigest } from '../primitives/backend.ts'
import { copyAndDigest, digestContent, hmacSha256 } from '../primitives/hash.ts'
import { deriveKey } from '../primitives/kdf.ts'
import { randomBytes } from '../primitives/random.ts'
import { Mode } from './mask.ts'

/** The secrets of a keyset that decide which contents give equal blocks, and how blocks are labelled. */
export interface DedupSecrets {
  readonly dedupKey: SecretKey<'dedup'>
  readonly blockSalt: SecretKey<'block-salt'>
}

/** The key that a mode derives from the content. The keys of `off` are random, and `none` has no keys. */
type DerivedKey =
  | { readonly mode: typeof Mode.scoped | typeof Mode.global; readonly blockKey: SecretKey<'block'> }
  | { readonly mode: typeof Mode.off | typeof Mode.none; readonly blockKey?: undefined }

/** What a mode derives from the content. The label has 32 bytes. */
type ContentIdentity = { readonly label: Bytes } & DerivedKey

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

  constructor(mode: Mode, { dedupKey, blockSalt }: DedupSecrets) {
    this.mode = mode
    this.#dedupKey = dedupKey
    this.#naming = namingOf(mode, blockSalt)
  }

  /** Copies `content` into `copy`, and derives the label and key of the copy. */
  async copyAndIdentify(content: Uint8Array, copy: Uint8Array): Promise<ContentIdentity> {
    return this.#identify((digests) => copyAndDigest(content, copy, digests))
  }

  /**
   * Checks that content matches its label and the key that it was encrypted under. A valid tag proves only that
   * somebody knew the block key. Recipients of shares and other holders of the dedup key know it too.
   * @throws KeystrataError `authentication-failed` if it does not match
   */
  async verify(content: Uint8Array, label: Uint8Array, blockKey: SecretKey<'block'> | undefined): Promise<void> {
    const found = await this.#identify((digests) => digestContent(content, digests))
    using _ = disposing(found)
    const holds =
      equalBytes(found.label, label) &&
      (found.blockKey === undefined || (blockKey !== undefined && equalKeys(found.blockKey, blockKey)))
    if (!holds) throw authenticationFailed()
  }

  async #identify(digest: (wanted: readonly ContentDigest[]) => Promise<Bytes[]>): Promise<ContentIdentity> {
    const named = this.#naming.digest()
    let digests: Bytes[] = []
    using _ = disposable({}, () => wipe(...digests, ...(named.suffix === undefined ? [] : [named.suffix])))
    digests = await digest(this.mode === Mode.global ? [named, { hash: 'sha3-256' }] : [named])
    const [first, second] = digests as [Bytes, Bytes]
    return { label: this.#naming.label(first), ...this.#derivedKey(first, second) }
  }

  #derivedKey(first: Bytes, second: Bytes): DerivedKey {
    const { mode } = this
    switch (mode) {
      case Mode.scoped:
        return { mode, blockKey: SecretKey.take('block', hmacSha256(this.#dedupKey, domain('scoped-key'), first)) }
      case Mode.global:
        return { mode, blockKey: SecretKey.take('block', second) }
      case Mode.off:
      case Mode.none:
        return { mode }
    }
  }

  dispose(): void {
    this.#naming.dispose()
  }
}

/** Generates a random key, for a block whose key does not depend on its content. */
export function generateBlockKey(): SecretKey<'block'> {
  return SecretKey.take('block', randomBytes(32))
}
