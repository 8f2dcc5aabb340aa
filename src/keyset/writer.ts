// The writing side of a keyset. It has public halves, the dedup secrets and the source signing key: it can back up, but
// not restore.
import {
  ENCRYPTED_SUITES,
  type KeysetSuite,
  recordSuiteOf,
  rekeySuiteOf,
  Strength,
  strongestSuite,
  Suite,
  suiteOf,
} from '../core/suite.ts'
import { type KeysetContents, parseKeyset, readHostPlain, type WritingDefaults } from './exports.ts'
import {
  type BlockWriter,
  type PreparedBlock,
  PreparedOnce,
  type SealedBlock,
  type SealOptions,
  sealPrepared,
  shareIdFrom,
} from '../core/block.ts'
import { type Bytes, bytesFrom, copyOf, toHex } from '../core/bytes.ts'
import { encodePlainEnvelope } from '../core/envelope.ts'
import { KeystrataError } from '../core/errors.ts'
import { encodeHeader, ObjectType } from '../core/header.ts'
import { type PublicHalves, Recipient } from '../core/key-pairs.ts'
import { optionsFrom, type Rules } from '../core/options.ts'
import { type Pack, packFiles } from '../core/pack.ts'
import { setRecipe } from '../core/recipe.ts'
import { disposeKeys, type Handle, SecretHolder, type SecretKey, wiping } from '../core/secret.ts'
import { numberOf } from '../core/text.ts'
import { signingPublicKey } from '../primitives/signature.ts'
import {
  type RecordKeys,
  type RecordPlace,
  type RecordWriter,
  type SealedRecord,
  sealRecord,
  setRecordKeys,
} from '../state/record.ts'
import { ContentScheme } from './dedup.ts'
import { EncryptedMode, maskKey, Mode } from './mask.ts'
import { sourceIn } from './open.ts'
import { signersIn } from './owner.ts'
import type { PublicShare, PublicSource } from './layout.ts'
import { recordKeysFrom, type Signers } from './signed-record.ts'
import { isCurrentFor } from './rekey.ts'
import { type Descent, revisionText } from './revision.ts'
import { encryptContent, prepareContent, type PreparedContent } from './seal.ts'
import { maskForShare, shareRecords, ShareRecipients } from './share.ts'

/**
 * What protects a block. `hybrid`: X25519 and ML-KEM-1024 combined, so blocks stay confidential even if one of them is
 * broken. `x25519`: X25519 alone, which a future quantum computer could break. `none`: not encrypted, only labelled and
 * checked.
 * @example
 * ```ts
 * import type { Encryption } from 'keystrata'
 *
 * const fromFlag = (isClassic: boolean): Encryption => (isClassic ? 'x25519' : 'hybrid')
 * ```
 */
export type Encryption = 'none' | 'x25519' | 'hybrid'

/**
 * How a writer seals. An option that is not given takes the keyset's default, but {@link openWriter} never leaves blocks
 * unencrypted by default.
 * @example
 * ```ts
 * import { openWriter, type WriterOptions } from 'keystrata'
 *
 * const options: WriterOptions = { encryption: 'hybrid', dedup: 'off' }
 * const openOnHost = (hostExport: Uint8Array) => openWriter(hostExport, options)
 * ```
 */
export interface WriterOptions {
  /** Must be at least as strong as the encryption that the keyset was created or last regenerated with. */
  encryption?: Encryption | undefined
  /**
   * Which equal contents give equal blocks. `scoped`: those of keysets that share a dedup key. `global`: those of
   * everybody, so anybody can test whether you hold a known file. `off`: none, but equal contents of one keyset still
   * have equal labels. Without encryption this option has no effect: equal contents of one keyset give one block.
   */
  dedup?: 'scoped' | 'global' | 'off' | undefined
}

export const WRITER_OPTIONS: Rules<WriterOptions> = { encryption: 'optional', dedup: 'optional' }

/**
 * Seals blocks without the password: it can back up, but not restore. {@link openWriter} opens one.
 * @example
 * ```ts
 * import type { KeysetWriter } from 'keystrata'
 *
 * const needsRekeying = (envelope: Uint8Array, writer: KeysetWriter) => !writer.isCurrent(envelope)
 * ```
 */
export interface KeysetWriter extends BlockWriter, RecordWriter, Handle {
  /** 32 hex digits: the id of the keyset. */
  readonly id: string
  /**
   * The revision of the keyset in this export, as text. Pass it to `checkWriter` before and after a backup: a host whose
   * export is out of date may seal to key pairs that are about to be forgotten.
   */
  readonly revision: string
  /** The ids of the active shares, 32 hex digits each: what `seal`, `envelopesFor` and `share` take. */
  readonly shares: readonly string[]
  /**
   * Returns whether a block is sealed to the current key pair, the one in this export, and is not weaker than that pair
   * requires. An unencrypted block is current if this pair allows such blocks, and the envelope names it. A block that is
   * not current needs {@link Keyset.rekey}. Returns false for unencrypted blocks of adopted keysets, and for all blocks of others.
   * @throws KeystrataError `malformed` or `unsupported` if it is not an envelope of a keyset
   * @throws KeystrataError `disposed` if this handle was disposed of
   */
  isCurrent(envelope: Uint8Array): boolean
  /**
   * Returns a writer for the log of a share, which tells its readers what was shared.
   * @throws KeystrataError `key-not-found` if no active share has this id
   * @throws KeystrataError `malformed` if its public keys are invalid
   * @throws KeystrataError `disposed` if this handle was disposed of
   */
  share(id: string): RecordWriter
}

/** The keys that sealing blocks needs. */
export interface SealingKeys {
  readonly id: Uint8Array
  readonly blockPair: PublicHalves
  readonly blockSalt: SecretKey<'block-salt'>
  readonly dedupKey: SecretKey<'dedup'>
  readonly shares: readonly PublicShare[]
  /** The sources whose blocks count as this keyset's own. */
  readonly adopted: readonly Pick<PublicSource, 'id'>[]
}

/**
 * Reads the options of a writer, with defaults for those that are not given.
 * @throws TypeError for unknown names
 */
export function parseWriterOptions({ encryption, dedup }: WriterOptions, defaults: WritingDefaults): WritingDefaults {
  return {
    encryption: encryption === undefined ? defaults.encryption : numberOf(Strength, encryption, 'encryption'),
    dedup: dedup === undefined ? defaults.dedup : numberOf(EncryptedMode, dedup, 'dedup'),
  }
}

/** Seals the blocks of a keyset. It has no signing key. */
export class BlockSealer implements BlockWriter {
  readonly ownerId: Bytes
  readonly recipient: Recipient
  readonly shareRecipients: ShareRecipients
  readonly #suite: KeysetSuite
  readonly #scheme: ContentScheme
  readonly #keys: SealingKeys
  readonly #assertUsable: () => void

  /**
   * @param keys the caller keeps them; they must live as long as this object
   * @param sourceSigning returns the public half of the source signing key; called only when a share needs it
   * @param assertUsable throws if the handle was disposed of
   * @throws KeystrataError `policy` if `encryption` is below the minimum of the key pairs
   * @throws KeystrataError `malformed` if public keys are invalid
   */
  constructor(
    keys: SealingKeys,
    { encryption, dedup }: WritingDefaults,
    sourceSigning: () => Uint8Array,
    assertUsable: () => void,
  ) {
    assertNotWeaker(encryption, keys.blockPair.minimum)
    this.ownerId = copyOf(keys.id)
    this.recipient = new Recipient(keys.blockPair)
    this.shareRecipients = new ShareRecipients(keys.shares, sourceSigning)
    this.#suite = suiteOf(encryption)
    this.#scheme = new ContentScheme(this.#suite === Suite.none ? Mode.none : dedup, keys)
    this.#keys = keys
    this.#assertUsable = assertUsable
  }

  dispose(): void {
    this.#scheme.dispose()
  }

  async prepare(content: Uint8Array): Promise<PreparedBlock> {
    this.#assertUsable()
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

  async seal(content: Uint8Array, options?: SealOptions): Promise<SealedBlock> {
    return sealPrepared(this, content, options)
  }

  isCurrent(envelope: Uint8Array): boolean {
    this.#assertUsable()
    return isCurrentFor(this.recipient, this.#keys, envelope)
  }

  async pack(files: readonly Uint8Array[]): Promise<Pack> {
    this.#assertUsable()
    return packFiles(files, this.#scheme.mode === Mode.global ? undefined : this.#keys.dedupKey)
  }

  #maskFor(prepared: PreparedContent, shares: readonly string[], isStored: boolean): ReadonlyMap<string, Bytes> {
    this.#assertUsable()
    // A revoked share is an error with dedup off too.
    const recipients = new Map(shares.map((id) => [id, this.shareRecipients.of(id)]))
    if (isStored && prepared.mode === Mode.off) {
      throw new KeystrataError('policy', 'with dedup off, the stored block has a different key: use Share.add', {
        rule: 'dedup-off',
      })
    }
    // The stored envelope may have the strongest suite, and the new one must not be weaker.
    const weakest = isStored ? strongestSuite(Suite.x25519, ...ENCRYPTED_SUITES) : rekeySuiteOf(this.#suite.strength)
    return new Map([...recipients].map(([id, share]) => [id, maskForShare(prepared, share, weakest)]))
  }

  #envelopeFor({ mode, blockKey, label }: PreparedContent): Bytes {
    this.#assertUsable()
    const suite = this.#suite
    const { ownerId } = this
    if (mode !== Mode.none && suite.id !== Suite.none.id)
      return maskKey(blockKey, this.recipient, { ownerId, suite, mode, label })
    if (mode !== Mode.none || suite.id !== Suite.none.id) throw new Error('mode and suite disagree about encryption')
    const { keyId } = this.recipient
    return encodePlainEnvelope(encodeHeader({ type: ObjectType.envelope, suite, keyId, ownerId }))
  }
}

/** The keys that a writer needs. */
export interface WritingKeys extends SealingKeys, Pick<Descent, 'version' | 'revision'> {
  readonly sourceSigning: SecretKey<'signing'>
  /** The public half of the card signing key. It verifies the markers in logs. */
  readonly cardSigning: Uint8Array
  /** Returns the keys that verify the records of an adopted source. */
  readonly signersOf: (ownerId: Uint8Array) => Signers | undefined
}

/** What a worker thread needs to seal blocks of a keyset. It has no signing key. */
export interface WriterRecipe {
  readonly kind: 'writer'
  readonly keys: SealingKeys
  readonly sourceSigning: Bytes
  readonly defaults: WritingDefaults
}

export class HostWriter extends SecretHolder implements KeysetWriter {
  readonly id: string
  readonly revision: string
  readonly shares: readonly string[]
  readonly #blocks: BlockSealer
  readonly #encryption: Strength
  readonly #seed: SecretKey<'signing'>
  readonly #cardSigning: Uint8Array
  readonly #records: RecordKeys
  #publicKey: Bytes | undefined

  private constructor(keys: WritingKeys, defaults: WritingDefaults) {
    const { id, version, revision, blockPair, blockSalt, dedupKey, sourceSigning, shares, adopted } = keys
    const { cardSigning, signersOf } = keys
    const sealing = { id: copyOf(id), blockPair, blockSalt, dedupKey, shares, adopted }
    const blocks = new BlockSealer(
      sealing,
      defaults,
      () => this.#publicSigningKey,
      () => this.assertUsable(),
    )
    super('keyset writer', () => {
      blocks.dispose()
      disposeKeys(keys)
    })
    this.id = toHex(id)
    this.revision = revisionText({ version, id: revision })
    this.#blocks = blocks
    this.#encryption = defaults.encryption
    this.#seed = sourceSigning
    this.shares = blocks.shareRecipients.ids
    this.#cardSigning = cardSigning
    this.#records = recordKeysFrom({
      ownerId: blocks.ownerId,
      signers: () => this.#signers,
      adopted: signersOf,
      isAdopted: (ownerId) => sourceIn(sealing, ownerId) !== undefined,
      writer: {
        recipient: blocks.recipient,
        suite: recordSuiteOf(defaults.encryption),
        signing: () => this.#signing,
      },
    })
    setRecordKeys(this, () => this.records)
    setRecipe(this, (): WriterRecipe => ({
      kind: 'writer',
      keys: sealing,
      sourceSigning: this.#publicSigningKey,
      defaults,
    }))
  }

  /**
   * Returns a writer that takes ownership of these keys. If this throws, they are wiped.
   * @throws KeystrataError `policy` if the default encryption is below the minimum of the key pairs
   * @throws KeystrataError `malformed` if public keys are invalid
   */
  static of(keys: WritingKeys, defaults: WritingDefaults): HostWriter {
    try {
      return new HostWriter(keys, defaults)
    } catch (error) {
      disposeKeys(keys)
      throw error
    }
  }

  prepare(content: Uint8Array): Promise<PreparedBlock> {
    return this.#blocks.prepare(content)
  }

  seal(content: Uint8Array, options?: SealOptions): Promise<SealedBlock> {
    return this.#blocks.seal(content, options)
  }

  isCurrent(envelope: Uint8Array): boolean {
    return this.#blocks.isCurrent(envelope)
  }

  pack(files: readonly Uint8Array[]): Promise<Pack> {
    return this.#blocks.pack(files)
  }

  async sealRecord(content: Uint8Array, place: RecordPlace): Promise<SealedRecord> {
    return sealRecord(this.records, content, place)
  }

  /** What this writer can do with records. */
  get records(): RecordKeys {
    this.assertUsable()
    return this.#records
  }

  share(id: string): RecordWriter {
    this.assertUsable()
    const recipient = this.#blocks.shareRecipients.of(shareIdFrom(id))
    const records = shareRecords(recipient, this.#encryption, () => this.#signing, this.#cardSigning)
    const keys = () => {
      this.assertUsable()
      return records
    }
    const writer: RecordWriter = { sealRecord: async (content, place) => sealRecord(keys(), content, place) }
    setRecordKeys(writer, keys)
    return writer
  }

  get #signing() {
    return { seed: this.#seed, publicKey: this.#publicSigningKey }
  }

  get #signers(): Signers {
    return { sourceSigning: this.#publicSigningKey, cardSigning: this.#cardSigning }
  }

  /** Computed at first use: most writers only seal blocks. */
  get #publicSigningKey(): Bytes {
    return (this.#publicKey ??= signingPublicKey(this.#seed))
  }
}

function assertNotWeaker(encryption: Strength, minimum: Strength): void {
  if (encryption >= minimum) return
  throw new KeystrataError('policy', 'this encryption is weaker than the minimum of the keyset: use a stronger one', {
    rule: 'minimum-encryption',
    strength: encryption,
    minimum,
  })
}

/**
 * Opens the host export of a keyset, to back up. It needs no password, so nothing proves that the export is authentic.
 * Anybody who can write the file decides to whom the backup is sealed, and whether it is encrypted at all. Protect the
 * file as you protect the backup program itself, and pass the `encryption` that you rely on.
 * @param hostExport the bytes of `export('host')`, at most 1 MiB
 * @throws KeystrataError `policy` if it is not a `host` export, or if `encryption` is below the keyset's minimum
 * @throws KeystrataError `malformed`, `unsupported` or `limit-exceeded` if it is not a keyset
 * @throws TypeError for an unknown option, or an unknown name of an encryption or a dedup mode
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
export function openWriter(hostExport: Uint8Array, options?: WriterOptions): KeysetWriter {
  const given = optionsFrom(options, WRITER_OPTIONS, 'openWriter')
  const parsed = parseKeyset(bytesFrom(hostExport, 'host export'))
  using _ = wiping(parsed.bytes)
  const defaults = parseWriterOptions(given, parsed)
  if (parsed.destination !== 'host') {
    throw new KeystrataError('policy', 'this is not a host export; other exports need the password: use unlockKeyset', {
      rule: 'host-export',
    })
  }
  // Nothing authenticates the file. Anyone who changed two of its bytes could otherwise turn every backup into plaintext.
  if (defaults.encryption === Strength.none && given.encryption === undefined) {
    throw new KeystrataError(
      'policy',
      "this host export says that blocks are not encrypted: pass encryption: 'none' if you want that",
      { rule: 'unencrypted' },
    )
  }
  const { blockPair, blockSalt, dedupKey, sourceSigning, cardSigning, shares, adopted } = readHostPlain(parsed)
  const { header, version, revision } = parsed
  const id = header.ownerId
  const signersOf = (ownerId: Uint8Array) => sourceIn({ id, adopted }, ownerId)
  const signing = { sourceSigning, cardSigning, signersOf }
  const keys = { id, version, revision, blockPair, blockSalt, dedupKey, ...signing, shares, adopted }
  return HostWriter.of(keys, defaults)
}

/** Returns a writer with copies of the keys. */
export function writerOf(contents: KeysetContents): HostWriter {
  const { id, version, revision, blockPair, blockSalt, dedupKey, sourceSigning, adopted } = contents
  const keys = {
    cardSigning: contents.cardSigningKey,
    signersOf: (ownerId: Uint8Array) => signersIn(contents, ownerId),
    id,
    version,
    revision,
    adopted: adopted.map((source) => ({ id: source.id })),
    blockPair: blockPair.publicHalves,
    blockSalt: blockSalt.copy(),
    dedupKey: dedupKey.copy(),
    sourceSigning: sourceSigning.seed.copy(),
    shares: publicShares(contents),
  }
  return HostWriter.of(keys, contents)
}

/** Returns the shares that a writer can add blocks to. */
export const publicShares = ({ additional }: KeysetContents): SealingKeys['shares'] =>
  (additional?.shares ?? []).map(({ id, publicHalves }) => ({ id, publicHalves }))
