// The blocks of a keyset in the hand of its owner (SPEC §6): they open, with everything checked that an owner can check, and
// get new envelopes.
import { type Bytes, bytesFrom } from '../bytes.ts'
import type { Mode } from '../format/envelope.ts'
import { type KeyPair, Strength } from '../format/keyset.ts'
import { Recipient } from '../keys/key-pairs.ts'
import type { SecretKey } from '../secret.ts'
import type { BlockHead, BlockReader, SealedBlock } from './block.ts'
import { ContentScheme } from './content-key.ts'
import { EnvelopeKeys } from './envelope-keys.ts'
import { openBlock } from './open.ts'
import { isAddressedTo, rekeyBlock } from './rekey.ts'

/** What a keyset's envelopes need of it. */
export interface OwnerPairs {
  readonly id: Bytes
  readonly blockPair: KeyPair
  readonly retired: readonly KeyPair[]
  /** A {@link Strength} to take although a key pair demands more. */
  readonly accept: number | undefined
}

/** And what its contents need. */
export interface OwnerKeys extends OwnerPairs {
  /** A {@link Strength}: of new envelopes. */
  readonly encryption: number
  readonly blockSalt: SecretKey<'block-salt'>
  readonly dedupKey: SecretKey<'dedup'>
}

/** The key pairs, imported. */
export const envelopeKeysOf = ({ id, blockPair, retired, accept }: OwnerPairs): EnvelopeKeys =>
  new EnvelopeKeys(id, blockPair, { retired, accept })

export class OwnerBlocks implements BlockReader {
  readonly keys: EnvelopeKeys
  readonly #owner: OwnerKeys
  readonly #schemes: Map<Mode, ContentScheme> = new Map()
  #prepared: Recipient | undefined

  /** Borrows the keys, which have to live as long. */
  constructor(owner: OwnerKeys) {
    this.keys = envelopeKeysOf(owner)
    this.#owner = owner
  }

  dispose(): void {
    this.keys.dispose()
    for (const scheme of this.#schemes.values()) scheme.dispose()
  }

  /** The public halves of today's key pair; prepared at the first use, which a mere reader never needs. */
  get recipient(): Recipient {
    return (this.#prepared ??= new Recipient(this.#owner.blockPair.publicHalves))
  }

  async open(block: SealedBlock): Promise<Bytes> {
    return openBlock(block, this.keys, (mode, content, label, blockKey) =>
      this.#scheme(mode).verify(content, label, blockKey),
    )
  }

  isCurrent(envelope: Uint8Array): boolean {
    return isAddressedTo(this.recipient, this.#owner.id, envelope)
  }

  rekey(head: BlockHead): Bytes {
    const { id: ownerId, encryption } = this.#owner
    const today = { ownerId, recipient: this.recipient, hybrid: encryption === Strength.hybrid }
    // Each property is read once: what was checked is what is given back.
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
