// Labels: what a block is called in the store (SPEC §6.3, §11, §13.2). Keyed by a secret, so that equal contents have different
// names in different backups, and nobody who lists a store can look for a known file.
// From content to its block key and label, in each mode (SPEC §6.2): which equal contents meet is decided here.
import { type Bytes, domain, equalBytes, u8, wipe } from '../core/bytes.ts'
import { Mode } from '../core/envelope.ts'
import { authenticationFailed } from '../core/errors.ts'
import { keyedNaming, type Naming } from '../core/label.ts'
import { equalKeys, SecretKey, withBytes } from '../core/secret.ts'
import type { ContentDigest } from '../primitives/backend.ts'
import { copyAndDigest, digestContent, hmacSha256 } from '../primitives/hash.ts'
import { deriveKey } from '../primitives/kdf.ts'
import { randomBytes } from '../primitives/random.ts'

export function namingOf(mode: Mode, blockSalt: SecretKey<'block-salt'>): Naming {
  if (mode === Mode.global) {
    const salt = deriveKey('label', blockSalt, 'global-salt', [], 32)
    return {
      digest: () => ({ hash: 'sha256', suffix: withBytes(salt, (suffix) => new Uint8Array(suffix)) }),
      label: (digest) => new Uint8Array(digest),
      dispose: () => salt.dispose(),
    }
  }
  return keyedNaming(blockSalt, u8(mode))
}

/** The secrets of a keyset that decide which contents meet, and what blocks are called. */
export interface DedupSecrets {
  readonly dedupKey: SecretKey<'dedup'>
  readonly blockSalt: SecretKey<'block-salt'>
}

/** What the content itself decides. */
export interface ContentIdentity {
  /** 32 bytes. */
  readonly label: Bytes
  /** Undefined where the content does not decide its key. */
  readonly blockKey: SecretKey<'block'> | undefined
}

/** One mode with the secrets of one keyset; it borrows them and keeps only what it derives. */
export class ContentScheme {
  readonly mode: Mode
  readonly #dedupKey: SecretKey<'dedup'>
  readonly #naming: Naming

  constructor(mode: Mode, { dedupKey, blockSalt }: DedupSecrets) {
    this.mode = mode
    this.#dedupKey = dedupKey
    this.#naming = namingOf(mode, blockSalt)
  }

  /** Copies `content` into `copy` and identifies the copy. */
  async copyAndIdentify(content: Uint8Array, copy: Uint8Array): Promise<ContentIdentity> {
    return this.#identify((digests) => copyAndDigest(content, copy, digests))
  }

  /**
   * Checks that content is what its label, and the key that it came under, say: a valid tag proves only that somebody
   * knew the block key, and share recipients and other holders of the dedup key do.
   * @throws KeystrataError `authentication-failed`
   */
  async verify(content: Uint8Array, label: Uint8Array, blockKey: SecretKey<'block'> | undefined): Promise<void> {
    const found = await this.#identify((digests) => digestContent(content, digests))
    const holds =
      equalBytes(found.label, label) &&
      (found.blockKey === undefined || blockKey === undefined || equalKeys(found.blockKey, blockKey))
    found.blockKey?.dispose()
    if (!holds) throw authenticationFailed()
  }

  async #identify(digest: (wanted: readonly ContentDigest[]) => Promise<Bytes[]>): Promise<ContentIdentity> {
    const named = this.#naming.digest()
    let digests: Bytes[] = []
    try {
      digests = await digest(this.mode === Mode.global ? [named, { hash: 'sha3-256' }] : [named])
      const [first, second] = digests as [Bytes, Bytes]
      return { label: this.#naming.label(first), blockKey: this.#blockKey(first, second) }
    } finally {
      wipe(...digests, ...(named.suffix === undefined ? [] : [named.suffix]))
    }
  }

  #blockKey(first: Bytes, second: Bytes): SecretKey<'block'> | undefined {
    switch (this.mode) {
      case Mode.scoped:
        return SecretKey.take('block', hmacSha256(this.#dedupKey, domain('scoped-key'), first))
      case Mode.global:
        return SecretKey.take('block', second)
      case Mode.off:
      case Mode.none:
        return undefined
    }
  }

  dispose(): void {
    this.#naming.dispose()
  }
}

/** The key of a block whose content does not decide it. */
export function generateBlockKey(): SecretKey<'block'> {
  return SecretKey.take('block', randomBytes(32))
}
