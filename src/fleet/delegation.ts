// An opened delegation: it rekeys the blocks of a keyset, on machines that have neither its password nor its other keys.
// Not protected: anyone with the delegation who can read the ciphertexts can open every block that is still under a
// retired key pair of the keyset. `until` binds only machines that follow the rules.
import type { BlockHead, Rekeyer } from '../core/block.ts'
import { type Bytes, toHex } from '../core/bytes.ts'
import { type Codec, list, ownBytes, struct } from '../core/codec.ts'
import { type KeyPair, keyPair, type PublicHalves, publicHalves, strength } from '../core/key-pairs.ts'
import { setRecipe } from '../core/recipe.ts'
import { disposeKeys, type Handle, SecretHolder } from '../core/secret.ts'
import type { Strength } from '../core/suite.ts'
import { MAX_ADOPTED } from '../keyset/layout.ts'
import { envelopeKeysOf } from '../keyset/open.ts'
import { BlockRekeyer, type RekeyKeys, type RekeyRecipe } from '../keyset/rekey.ts'

/** What a delegation contains: what rekeying needs, and nothing else. */
export interface DelegatedKeys {
  /** The strength of new envelopes. */
  readonly encryption: Strength
  /** The current key pair. Its private halves stay with the keyset. */
  readonly blockPair: PublicHalves
  readonly retired: readonly KeyPair[]
  /** The ids of adopted keysets, 16 bytes each. Their key pairs are among the retired ones. */
  readonly adopted: readonly Bytes[]
}

export const delegatedKeys: Codec<DelegatedKeys> = struct({
  encryption: strength,
  blockPair: publicHalves,
  retired: list(keyPair),
  adopted: list(ownBytes(16), MAX_ADOPTED),
})

/**
 * What a machine of a fleet needs to rekey the blocks of a keyset. `rekeyBlocks` takes it, also in a pool, whose threads
 * keep their copies of the keys until it is closed. `isCurrent` and `rekey` throw `expired` from `until` on.
 * @example
 * ```ts
 * import { checkWriter, rekeyBlocks } from 'keystrata'
 * import type { Delegation } from 'keystrata/fleet'
 * import type { Blocks, StateStore } from 'keystrata/stores'
 *
 * async function rekeyPart(state: StateStore, blocks: Blocks, delegation: Delegation, prefix: string) {
 *   await checkWriter(state, delegation) // throws stale-export if the keyset has changed
 *   return rekeyBlocks(blocks, delegation, { prefix })
 * }
 * ```
 */
export interface Delegation extends Rekeyer, Handle {
  /** The id of the keyset, 32 hex digits. */
  readonly id: string
  /** The revision of the keyset when it delegated. If the stored keyset is newer, stop: `checkWriter` tells. */
  readonly revision: string
  /** When the owner wants the work to end. */
  readonly until: Date
  rekey(head: BlockHead): Bytes
}

/** Whose delegation it is, and until when it counts. */
interface Origin {
  /** The id of the keyset, 16 bytes. */
  readonly id: Bytes
  readonly revision: string
  /** Milliseconds since 1970. */
  readonly until: number
}

export class OpenedDelegation extends SecretHolder implements Delegation {
  readonly id: string
  readonly revision: string
  readonly #until: number
  readonly #rekeyer: BlockRekeyer

  /** Takes ownership of the keys. */
  constructor({ id, revision, until }: Origin, keys: DelegatedKeys) {
    const { encryption, blockPair, retired, adopted } = keys
    const owner: RekeyKeys = {
      ...{ id, until, encryption, retired, allowWeaker: undefined },
      blockPair: { publicHalves: blockPair },
      adopted: adopted.map((each) => ({ id: each })),
    }
    const pairs = envelopeKeysOf(owner)
    super('delegation', () => {
      pairs.dispose()
      disposeKeys(keys)
    })
    this.id = toHex(id)
    this.revision = revision
    this.#until = until
    this.#rekeyer = new BlockRekeyer(owner, pairs)
    setRecipe(this, (): RekeyRecipe => {
      this.assertUsable()
      return { kind: 'rekeyer', owner }
    })
  }

  get until(): Date {
    return new Date(this.#until)
  }

  isCurrent(envelope: Uint8Array): boolean {
    this.assertUsable()
    return this.#rekeyer.isCurrent(envelope)
  }

  rekey(head: BlockHead): Bytes {
    this.assertUsable()
    return this.#rekeyer.rekey(head)
  }
}
