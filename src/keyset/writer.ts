// The writing side of a keyset: public halves and dedup secrets, which back up and cannot restore.
import {
  type BlockWriter,
  type PreparedBlock,
  PreparedOnce,
  type SealedBlock,
  type SealOptions,
  sealPrepared,
  shareIdFrom,
} from '../core/block.ts'
import { type Bytes, bytesFrom, toHex, wipe } from '../core/bytes.ts'
import { encodePlainEnvelope, Mode } from '../core/envelope.ts'
import { KeystrataError } from '../core/errors.ts'
import { encodeHeader, ObjectType, Suite } from '../core/header.ts'
import { type PublicHalves, Recipient, type SigningPair, Strength } from '../core/key-pairs.ts'
import { setRecipe } from '../core/recipe.ts'
import { disposeKeys, type Handle, SecretHolder, SecretKey } from '../core/secret.ts'
import { numberOf } from '../core/text.ts'
import { signingPublicKey } from '../primitives/signature.ts'
import { ContentScheme } from './dedup.ts'
import { maskKey } from './envelope.ts'
import { parseKeyset, readHostPlain } from './exports.ts'
import { Destination, type PublicShare } from './layout.ts'
import { type Pack, packFiles } from './pack.ts'
import { type RecordWriter, type SealedRecord, sealRecord } from './record.ts'
import { isAddressedTo } from './rekey.ts'
import { encryptContent, prepareContent, type PreparedContent } from './seal.ts'
import { maskForShare, ShareRecipients } from './share.ts'

/**
 * What protects a block. `hybrid`: X25519 and ML-KEM-1024, either of which must hold. `x25519`: X25519 alone, open to a
 * future quantum computer. `none`: not encrypted, only named and checked.
 * @example
 * ```ts
 * import type { Encryption } from 'keystrata'
 *
 * const fromFlag = (isClassic: boolean): Encryption => (isClassic ? 'x25519' : 'hybrid')
 * ```
 */
export type Encryption = 'hybrid' | 'x25519' | 'none'

/**
 * How a writer seals; what is not given is the keyset's own.
 * @example
 * ```ts
 * import { openWriter, type WriterOptions } from 'keystrata'
 *
 * const options: WriterOptions = { encryption: 'hybrid', dedup: 'off' }
 * const openOnHost = (hostExport: Uint8Array) => openWriter(hostExport, options)
 * ```
 */
export interface WriterOptions {
  /** At least what the keyset was created with, or its key pairs were regenerated with. */
  encryption?: Encryption
  /**
   * Which equal contents give equal blocks. `scoped`: those of keysets with one dedup key. `global`: everybody's, so that
   * anybody can confirm a file that they know. `off`: none; in one keyset they have one label nevertheless. Without
   * encryption this has no bearing: equal contents of one keyset are one block.
   */
  dedup?: 'scoped' | 'global' | 'off'
}

/**
 * Seals blocks without the password: it backs up and cannot restore. Opened by {@link openWriter}.
 * @example
 * ```ts
 * import type { KeysetWriter } from 'keystrata'
 *
 * const isBehind = (envelope: Uint8Array, writer: KeysetWriter) => !writer.isCurrent(envelope) // not rekeyed yet
 * ```
 */
export interface KeysetWriter extends BlockWriter, RecordWriter, Handle {
  /** 32 hex digits: the id of the keyset. */
  readonly id: string
  /** The version of the keyset. */
  readonly version: number
  /**
   * The ids of the shares that are active, 32 hex digits each: what `seal` and `envelopesFor` take. None if the keyset was
   * unlocked from a `source-definition`, which does not know them.
   */
  readonly shares: readonly string[]
  /**
   * As {@link RecordWriter.sealRecord}.
   * @param options `share`: the id of an active share, whose own log this is then; it names what its readers need to know
   * @throws KeystrataError `key-not-found` for the id of no active share, `malformed` for one with keys that are none,
   *   besides
   */
  sealRecord(content: Uint8Array, after: Uint8Array | 'start', options?: { share?: string }): Promise<SealedRecord>
  /**
   * Whether a block is under today's key pairs, those of this export. Unencrypted ones are; another owner's are not.
   * @throws KeystrataError `malformed`, `unsupported` if it is no envelope of a keyset; `disposed`
   */
  isCurrent(envelope: Uint8Array): boolean
  /**
   * Puts small files together into one content, so that they share the cost of a block: at most 1,024 of at most 8 MiB, 64
   * MiB in all. Each has a key of its own, so some can be disclosed without the others. All are read before this returns.
   * With `global` dedup the keys are the hashes of the files; otherwise nobody can test guesses about the others by one.
   * @returns the content to seal, and the strings that open each file with {@link openPackMember}: as secret as the files
   * @throws KeystrataError `limit-exceeded`, `disposed`
   * @throws TypeError for files that are no Uint8Arrays
   */
  pack(files: readonly Uint8Array[]): Promise<Pack>
}

/** What of a keyset its writer needs; the writer takes the keys over. */
export interface WritingKeys {
  readonly id: Uint8Array
  readonly version: number
  readonly blockPair: PublicHalves
  readonly blockSalt: SecretKey<'block-salt'>
  readonly dedupKey: SecretKey<'dedup'>
  readonly shares: readonly PublicShare[]
  /** Where only blocks are sealed the public half, which shares name. */
  readonly sourceSigning: SecretKey<'signing'> | Bytes
}

/** {@link WriterOptions} as the format numbers them. */
export interface WritingDefaults {
  readonly encryption: number
  readonly dedup: number
}

const modeOf = { scoped: Mode.scoped, global: Mode.global, off: Mode.off } as const

/** @throws TypeError for names that are none */
export function parseWriterOptions({ encryption, dedup }: WriterOptions, defaults: WritingDefaults): WritingDefaults {
  return {
    encryption: encryption === undefined ? defaults.encryption : numberOf(Strength, encryption, 'encryption'),
    dedup: dedup === undefined ? defaults.dedup : numberOf(modeOf, dedup, 'dedup'),
  }
}

export class HostWriter extends SecretHolder implements KeysetWriter {
  readonly id: string
  readonly version: number
  readonly shares: readonly string[]
  readonly #ownerId: Bytes
  readonly #recipient: Recipient
  readonly #strength: number
  readonly #scheme: ContentScheme
  readonly #dedupKey: SecretKey<'dedup'>
  readonly #sourceSigning: SecretKey<'signing'> | Bytes
  readonly #shareRecipients: ShareRecipients
  #signingKey: Bytes | undefined

  private constructor(keys: WritingKeys, { encryption, dedup }: WritingDefaults) {
    const { id, version, blockPair, blockSalt, dedupKey, sourceSigning, shares } = keys
    assertNotWeaker(encryption, blockPair.minimum)
    const recipient = new Recipient(blockPair)
    const mode = encryption === Strength.none ? Mode.none : (dedup as Mode)
    const scheme = new ContentScheme(mode, { dedupKey, blockSalt })
    super('keyset writer', () => {
      scheme.dispose()
      disposeKeys(keys)
    })
    this.id = toHex(id)
    this.version = version
    this.#ownerId = new Uint8Array(id)
    this.#recipient = recipient
    this.#strength = encryption
    this.#scheme = scheme
    this.#dedupKey = dedupKey
    this.#sourceSigning = sourceSigning
    this.#shareRecipients = new ShareRecipients(shares, () => this.#publicSigningKey)
    this.shares = this.#shareRecipients.ids
    setRecipe(this, () => ({
      kind: 'writer',
      keys: { ...keys, id: this.#ownerId, sourceSigning: this.#publicSigningKey },
      defaults: { encryption, dedup },
    }))
  }

  /**
   * The writer of these keys, which it takes over whatever happens.
   * @throws KeystrataError `policy` below the minimum of the key pairs, `malformed` for key pairs that are none
   */
  static of(keys: WritingKeys, defaults: WritingDefaults): KeysetWriter {
    try {
      return new HostWriter(keys, defaults)
    } catch (error) {
      disposeKeys(keys)
      throw error
    }
  }

  async prepare(content: Uint8Array): Promise<PreparedBlock> {
    this.assertUsable()
    const prepared = await prepareContent(content, this.#scheme)
    return new PreparedOnce(prepared, {
      seal: async () => {
        const envelope = this.#envelopeFor(prepared)
        await encryptContent(prepared)
        return envelope
      },
      shared: (shares, isStored) => this.#maskFor(prepared, shares, isStored),
      dispose: () => prepared.blockKey?.dispose(),
    })
  }

  async seal(content: Uint8Array, options: SealOptions = {}): Promise<SealedBlock> {
    return sealPrepared(this, content, options)
  }

  isCurrent(envelope: Uint8Array): boolean {
    this.assertUsable()
    return isAddressedTo(this.#recipient, this.#ownerId, envelope)
  }

  async sealRecord(
    content: Uint8Array,
    after: Uint8Array | 'start',
    { share }: { share?: string } = {},
  ): Promise<SealedRecord> {
    this.assertUsable()
    const signing = this.#signingPair
    const own = { ownerId: this.#ownerId, recipient: this.#recipient, isHybrid: false }
    const { ownerId, recipient, isHybrid } = share === undefined ? own : this.#shareRecipients.of(shareIdFrom(share))
    // Records are always encrypted: they hold labels and names.
    const hybrid = isHybrid || this.#strength !== Strength.x25519
    return sealRecord(content, after, { ownerId, recipient, hybrid, signing })
  }

  async pack(files: readonly Uint8Array[]): Promise<Pack> {
    this.assertUsable()
    return packFiles(files, this.#scheme.mode === Mode.global ? undefined : this.#dedupKey)
  }

  #maskFor(prepared: PreparedContent, shares: readonly string[], isStored: boolean): ReadonlyMap<string, Bytes> {
    this.assertUsable()
    if (isStored && prepared.mode === Mode.off) {
      throw new KeystrataError('policy', 'without dedup a stored block has a key of its own: use Share.add', {
        rule: 'dedup-off',
      })
    }
    const recipients = new Map(shares.map((id) => [id, this.#shareRecipients.of(id)]))
    // The envelope that is stored already may have both agreements: this one must not be weaker.
    const hybrid = isStored || this.#strength === Strength.hybrid
    return new Map([...recipients].map(([id, share]) => [id, maskForShare(prepared, share, hybrid)]))
  }

  /** Made when it is first needed: most writers seal blocks alone. */
  get #publicSigningKey(): Bytes {
    const key = this.#sourceSigning
    return (this.#signingKey ??= key instanceof SecretKey ? signingPublicKey(key) : key)
  }

  /** A pool's writer has no seed; it seals blocks alone. */
  get #signingPair(): SigningPair {
    return { seed: this.#sourceSigning as SecretKey<'signing'>, publicKey: this.#publicSigningKey }
  }

  #envelopeFor({ mode, blockKey, label }: PreparedContent): Bytes {
    this.assertUsable()
    const ownerId = this.#ownerId
    if (mode === Mode.none) {
      const { keyId } = this.#recipient
      return encodePlainEnvelope(encodeHeader({ type: ObjectType.envelope, suite: Suite.none, keyId, ownerId }))
    }
    const hybrid = this.#strength === Strength.hybrid
    return maskKey(blockKey, this.#recipient, { ownerId, hybrid, mode, label })
  }
}

function assertNotWeaker(encryption: number, minimum: number): void {
  if (encryption >= minimum) return
  throw new KeystrataError('policy', 'weaker encryption than the minimum of this keyset', {
    rule: 'minimum-encryption',
    strength: encryption,
    minimum,
  })
}

/**
 * Opens the host export of a keyset for backing up. No password is needed, so its authenticity cannot be checked: whoever
 * can write the file that holds it decides to whom the backup is sealed, and whether it is encrypted at all. Keep it as you
 * keep the backup program itself, and name the `encryption` that you count on.
 * @param hostExport the bytes of `export('host')`, at most 1 MiB
 * @throws KeystrataError `policy` for another export than `host` and for weaker encryption than the keyset's minimum;
 *   `malformed`, `unsupported`, `limit-exceeded` for what is no keyset
 * @example
 * ```ts
 * import { createKeyset, openWriter } from 'keystrata'
 *
 * using keyset = await createKeyset('correct horse battery staple')
 * using writer = openWriter(keyset.export('host'), { encryption: 'hybrid' }) // without the password
 * const block = await writer.seal(new TextEncoder().encode('my file'))
 * console.log(new TextDecoder().decode(await keyset.open(block))) // my file
 * ```
 */
export function openWriter(hostExport: Uint8Array, options: WriterOptions = {}): KeysetWriter {
  const parsed = parseKeyset(bytesFrom(hostExport, 'host export'))
  try {
    const defaults = parseWriterOptions(options, parsed)
    if (parsed.destination !== Destination.host) {
      throw new KeystrataError('policy', 'only the host export opens without the password', { rule: 'host-export' })
    }
    const { blockPair, blockSalt, dedupKey, sourceSigning, shares } = readHostPlain(parsed)
    const { header, version } = parsed
    const keys = { id: header.ownerId, version, blockPair, blockSalt, dedupKey, sourceSigning, shares }
    return HostWriter.of(keys, defaults)
  } finally {
    wipe(parsed.bytes)
  }
}
