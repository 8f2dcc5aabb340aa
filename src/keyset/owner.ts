// The blocks of a keyset in the hands of its owner (SPEC §6): they open with every check that an owner can make, and can be rekeyed.
import type { BlockHead, BlockReader, StoredBlock } from '../core/block.ts'
import { type Bytes, bytesFrom } from '../core/bytes.ts'
import { Recipient } from '../core/key-pairs.ts'
import { rekeySuiteOf, type Strength } from '../core/suite.ts'
import { ContentScheme, type DedupSecrets } from './dedup.ts'
import type { Mode } from './mask.ts'
import { type EnvelopeKeys, envelopeKeysOf, openBlock, type OwnerPairs } from './open.ts'
import { isAddressedTo, rekeyBlock } from './rekey.ts'

/** What opening and rekeying the blocks of a keyset need of it. */
export interface OwnerKeys extends OwnerPairs, DedupSecrets {
  /** The strength of new envelopes. */
  readonly encryption: Strength
}

export class OwnerBlocks implements BlockReader {
  readonly keys: EnvelopeKeys
  readonly #owner: OwnerKeys
  readonly #schemes: Map<Mode, ContentScheme> = new Map()
  #imported: Recipient | undefined

  /** The keys stay the caller's, and must live as long as this does. */
  constructor(owner: OwnerKeys) {
    this.keys = envelopeKeysOf(owner)
    this.#owner = owner
  }

  dispose(): void {
    this.keys.dispose()
    for (const scheme of this.#schemes.values()) scheme.dispose()
  }

  /** The public halves of today's key pair, imported at first use: whoever only reads never needs them. */
  get recipient(): Recipient {
    return (this.#imported ??= new Recipient(this.#owner.blockPair.publicHalves))
  }

  async open(block: StoredBlock): Promise<Bytes> {
    return openBlock(block, this.keys, (mode, content, label, blockKey) =>
      this.#scheme(mode).verify(content, label, blockKey),
    )
  }

  isCurrent(envelope: Uint8Array): boolean {
    return isAddressedTo(this.recipient, this.#owner.id, envelope)
  }

  rekey(head: BlockHead): Bytes {
    const { id: ownerId, encryption } = this.#owner
    const today = { ownerId, recipient: this.recipient, weakest: rekeySuiteOf(encryption) }
    // Each property is read once, so that what was checked is what is returned.
    const { label, envelope: stored } = head
    const envelope = bytesFrom(stored, 'envelope')
    // An unencrypted block has no key that could be replaced.
    return rekeyBlock({ label, envelope }, this.keys, today) ?? new Uint8Array(envelope)
  }

  #scheme(mode: Mode): ContentScheme {
    let scheme = this.#schemes.get(mode)
    if (scheme === undefined) {
      scheme = new ContentScheme(mode, this.#owner)
      this.#schemes.set(mode, scheme)
    }
    return scheme
  }
}
