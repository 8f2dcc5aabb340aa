// Opens and rekeys blocks for the owner of a keyset (SPEC §6). Opening includes the checks that need the keyset's
// secrets, such as the check of the label.
import { incompleteFor, type KeysetContents } from './exports.ts'
import { type BlockHead, type BlockReader, headOf, type StoredBlock } from '../core/block.ts'
import { type Bytes, bytesFrom, equalBytes, toHex } from '../core/bytes.ts'
import { encodePlainEnvelope } from '../core/envelope.ts'
import { KeystrataError } from '../core/errors.ts'
import { encodeHeader, ObjectType } from '../core/header.ts'
import { Recipient } from '../core/key-pairs.ts'
import { recordSuiteOf, rekeySuiteOf, Strength, Suite } from '../core/suite.ts'
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
    const plain = this.#rekeyPlain({ label, envelope })
    if (plain !== undefined) return plain
    const rekeyed = rekeyBlock({ label, envelope }, this.keys, today)
    if (rekeyed === undefined) throw new Error('an unencrypted block was taken for an encrypted one')
    return rekeyed
  }

  /**
   * Writes a new envelope for an unencrypted block. The block has no key, but the envelope names the key pair that allows
   * it. If the keyset no longer allows such blocks, no envelope helps: once the pair that did is forgotten, the block would
   * not open any more.
   * @returns undefined for an encrypted block
   * @throws KeystrataError `policy` if the block must be sealed again
   */
  #rekeyPlain(head: BlockHead): Bytes | undefined {
    const { header, mode } = parseEnvelope(headOf(head).envelope)
    if (mode !== Mode.none) return undefined
    this.keys.assertOwner(header)
    const { id: ownerId, blockPair } = this.#owner
    const isOwn = equalBytes(header.ownerId, ownerId)
    if (!isOwn || blockPair.publicHalves.minimum > Strength.none) throw mustReseal(isOwn)
    // The pair that the block names may require more.
    this.keys.identityFor(header, false)
    const { keyId } = this.recipient
    return encodePlainEnvelope(encodeHeader({ type: ObjectType.envelope, suite: Suite.none, keyId, ownerId }))
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

function mustReseal(isOwn: boolean): KeystrataError {
  const message = isOwn
    ? 'this block is not encrypted, but the keyset requires encryption today: open it (with allowWeaker if needed), seal its content again, write the new label into your log, then delete this block'
    : "this block of an adopted keyset is not encrypted, so anybody with an old host export may have made it: open it with allowWeaker: 'none', check it, seal its content again, write the new label into your log, then delete this block"
  return new KeystrataError('policy', message, { rule: 'minimum-encryption', reseal: true })
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
