// Opens and rekeys blocks for the owner of a keyset (SPEC §6). Opening includes the checks that need the keyset's
// secrets, such as the check of the label.
import { incompleteFor, type KeysetContents } from './exports.ts'
import { type BlockHead, type BlockReader, headOf, type StoredBlock } from '../core/block.ts'
import { type Bytes, bytesFrom, copyOf, toHex } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { Recipient } from '../core/key-pairs.ts'
import { recordSuiteOf, rekeySuiteOf, type Strength } from '../core/suite.ts'
import { ContentScheme, type DedupSecrets } from './dedup.ts'
import { Mode, parseEnvelope } from './mask.ts'
import { type EnvelopeKeys, envelopeKeysOf, type KnownSource, openBlock, type OwnerPairs, sourceIn } from './open.ts'
import { recordKeysFrom, type Signers } from './signed-record.ts'
import type { RecordKeys } from '../state/record.ts'
import { isCurrentFor, rekeyBlock } from './rekey.ts'

/** The keys and rules that opening and rekeying need. */
export interface OwnerKeys extends OwnerPairs, DedupSecrets {
  /** The adopted sources, with the secrets that check their blocks. */
  readonly adopted: readonly (KnownSource & DedupSecrets)[]
  /** The strength of new envelopes. */
  readonly encryption: Strength
}

export class OwnerBlocks implements BlockReader {
  readonly keys: EnvelopeKeys
  readonly #owner: OwnerKeys
  readonly #schemes: Map<string, ContentScheme> = new Map()
  #imported: Recipient | undefined

  /** The caller keeps the keys, which must live as long as this object. */
  constructor(owner: OwnerKeys) {
    this.keys = envelopeKeysOf(owner)
    this.#owner = owner
  }

  dispose(): void {
    this.keys.dispose()
    for (const scheme of this.#schemes.values()) scheme.dispose()
  }

  /** The public halves of the current key pair, imported at first use: a program that only reads never needs them. */
  get recipient(): Recipient {
    return (this.#imported ??= new Recipient(this.#owner.blockPair.publicHalves))
  }

  async open(block: StoredBlock): Promise<Bytes> {
    return openBlock(block, this.keys, ({ ownerId, mode, content, label, blockKey }) =>
      this.#scheme(mode, ownerId).verify(content, label, blockKey),
    )
  }

  isCurrent(envelope: Uint8Array): boolean {
    return isCurrentFor(this.recipient, this.#owner, envelope)
  }

  rekey(head: BlockHead): Bytes {
    const today = { recipient: this.recipient, weakest: rekeySuiteOf(this.#owner.encryption) }
    // Read each property once, so that the value that was checked is the one that is used.
    const { label, envelope: stored } = head
    const envelope = bytesFrom(stored, 'envelope')
    this.#assertKeepable({ label, envelope })
    // An unencrypted block has no key that could be replaced.
    return rekeyBlock({ label, envelope }, this.keys, today) ?? copyOf(envelope)
  }

  /**
   * Refuses unencrypted blocks that this keyset no longer allows. No new envelope helps them, and once the key pair that
   * allowed them is forgotten, they would not open any more.
   * @throws KeystrataError `policy`
   */
  #assertKeepable(head: BlockHead): void {
    const { envelope } = headOf(head)
    const { header, mode } = parseEnvelope(envelope)
    if (mode !== Mode.none) return
    this.keys.assertOwner(header)
    if (this.isCurrent(envelope)) return
    throw new KeystrataError(
      'policy',
      'this block is not encrypted, but the keyset requires encryption today: open it, and seal its content again',
      { rule: 'minimum-encryption', reseal: true },
    )
  }

  /** Returns the scheme of the source that sealed the block: this keyset's own, or an adopted one. */
  #scheme(mode: Mode, ownerId: Uint8Array): ContentScheme {
    const name = `${mode} ${toHex(ownerId)}`
    let scheme = this.#schemes.get(name)
    if (scheme === undefined) {
      scheme = new ContentScheme(mode, sourceIn(this.#owner, ownerId) ?? this.#owner)
      this.#schemes.set(name, scheme)
    }
    return scheme
  }
}

/** Returns what a keyset can do with records. It keeps the keys. */
export function keysetRecords(
  contents: KeysetContents,
  { keys, recipient }: OwnerBlocks,
  cardSigner: () => (message: Uint8Array) => Bytes,
): RecordKeys {
  const { id: ownerId, encryption, sourceSigning, cardSigningKey: cardSigning } = contents
  return recordKeysFrom({
    ownerId,
    signers: () => ({ sourceSigning: sourceSigning.publicKey, cardSigning }),
    adopted: (id) => signersIn(contents, id),
    isAdopted: (id) => sourceIn(contents, id) !== undefined,
    writer: { recipient, suite: recordSuiteOf(encryption), signing: () => sourceSigning },
    keys,
    cardSigner,
  })
}

/**
 * Returns the keys that verify the records of an adopted source.
 * @throws KeystrataError `policy` if a definition does not have them
 */
export function signersIn(contents: KeysetContents, ownerId: Uint8Array): Signers | undefined {
  const source = sourceIn(contents, ownerId)
  if (source === undefined) return undefined
  if (source.keys === undefined) throw incompleteFor('the records of an adopted keyset')
  return { sourceSigning: source.keys.sourceSigning, cardSigning: source.keys.cardSigning.publicKey }
}

/** Selects the keys that {@link OwnerBlocks} needs. The keyset still owns them. */
export function ownerKeysOf(contents: KeysetContents, allowWeaker: Strength | undefined): OwnerKeys {
  const { id, encryption, blockPair, blockSalt, dedupKey, adopted, additional } = contents
  return {
    ...{ id, encryption, blockPair, blockSalt, dedupKey, allowWeaker },
    retired: additional?.retired ?? [],
    adopted: adopted.map(({ id, blockSalt, dedupKey }) => ({ id, blockSalt, dedupKey })),
  }
}
