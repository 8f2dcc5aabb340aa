// Opens and rekeys blocks for the owner of a keyset (SPEC §10). Opening includes the checks that need the keyset's
// secrets, such as the check of the label.
import { incompleteFor, type KeysetContents } from './exports.ts'
import type { BlockHead, BlockReader, StoredBlock } from '../core/block.ts'
import { type Bytes, toHex } from '../core/bytes.ts'
import type { Recipient } from '../core/key-pairs.ts'
import { recordSuiteOf, type Strength } from '../core/suite.ts'
import { ContentScheme, type DedupSecrets } from './dedup.ts'
import type { Mode } from './mask.ts'
import { type EnvelopeKeys, envelopeKeysOf, type KnownSource, openBlock, sourceIn } from './open.ts'
import { recordKeysFrom, type Signers } from './signed-record.ts'
import type { RecordKeys } from '../state/record.ts'
import { BlockRekeyer, type RekeyKeys } from './rekey.ts'

/** The keys and rules that opening and rekeying need. */
export interface OwnerKeys extends RekeyKeys, DedupSecrets {
  /** The adopted sources, with the secrets that check their blocks. */
  readonly adopted: readonly (KnownSource & DedupSecrets)[]
}

export class OwnerBlocks implements BlockReader {
  readonly keys: EnvelopeKeys
  readonly #owner: OwnerKeys
  readonly #rekeyer: BlockRekeyer
  readonly #schemes: Map<string, ContentScheme> = new Map()

  /** The caller keeps the keys, which must live as long as this object. */
  constructor(owner: OwnerKeys) {
    this.keys = envelopeKeysOf(owner)
    this.#owner = owner
    this.#rekeyer = new BlockRekeyer(owner, this.keys)
  }

  dispose(): void {
    this.keys.dispose()
    for (const scheme of this.#schemes.values()) scheme.dispose()
  }

  /** The public halves of the current key pair, imported at first use. */
  get recipient(): Recipient {
    return this.#rekeyer.recipient
  }

  async open(block: StoredBlock): Promise<Bytes> {
    return openBlock(block, this.keys, ({ ownerId, mode, content, label, blockKey }) =>
      this.#scheme(mode, ownerId).verify(content, label, blockKey),
    )
  }

  isCurrent(envelope: Uint8Array): boolean {
    return this.#rekeyer.isCurrent(envelope)
  }

  rekey(head: BlockHead): Bytes {
    return this.#rekeyer.rekey(head)
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
