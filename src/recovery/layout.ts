// The object `slots` (SPEC §20.4).
import { CARD_BYTES } from '../core/card.ts'
import { type Codec, bytes, list, name, struct, time, uint8, validated, type Variant, variant } from '../core/codec.ts'
import { HEADER_BYTES } from '../core/header.ts'
import { recoveryPublicKeys, type SignedRecoveryKeys, signedRecoveryKeys } from '../core/recovery-holder.ts'
import { CHECKSUM_BYTES, MAC_BYTES } from '../core/trailer.ts'
import { sealedToBytes } from '../core/wrap.ts'
import { SIGNATURE_BYTES } from '../primitives/signature.ts'

export const MAX_SLOTS = 64

/** More than {@link MAX_SLOTS} of the longest slots take. */
export const MAX_SLOTS_BYTES: number = 256 * 1024

const MASTER_BYTES = 32

/** A recovery key whose code was split, and how. It has signed the keyset, as the others have. */
export interface SplitKeys extends SignedRecoveryKeys {
  readonly needed: number
  readonly parts: number
}

const splitKeys: Codec<SplitKeys> = validated(
  struct({ needed: uint8, parts: uint8, keys: recoveryPublicKeys, signature: bytes(SIGNATURE_BYTES) }),
  ({ needed, parts }) => needed >= 2 && needed <= parts && parts <= 31,
)

interface Targets {
  readonly code: SignedRecoveryKeys
  readonly split: SplitKeys
  readonly card: Uint8Array
  readonly secret: SignedRecoveryKeys
}

/** What a slot is sealed to: keys that follow from a code, from parts of one or from a secret; or a card. */
export type SlotTarget = Variant<Targets>

const target: Codec<SlotTarget> = variant<Targets>({
  code: { tag: 1, layout: signedRecoveryKeys },
  split: { tag: 2, layout: splitKeys },
  card: { tag: 3, layout: bytes(CARD_BYTES) },
  secret: { tag: 4, layout: signedRecoveryKeys },
})

/** Everything in a slot before the sealed master key. */
export interface SlotFacts {
  /** Milliseconds since 1970, a {@link time}. */
  readonly created: number
  readonly label: Uint8Array
  readonly to: SlotTarget
}

export interface StoredSlot {
  readonly facts: SlotFacts
  /** The master key, as a SEAL. */
  readonly sealed: Uint8Array
}

export const slotFacts: Codec<SlotFacts> = struct({ created: time, label: name, to: target })

export interface StoredSlots {
  readonly headerBytes: Uint8Array
  readonly slots: readonly StoredSlot[]
  /** By the card signing key of the keyset. */
  readonly signature: Uint8Array
  readonly mac: Uint8Array
  readonly checksum: Uint8Array
}

export const storedSlots: Codec<StoredSlots> = struct({
  headerBytes: bytes(HEADER_BYTES),
  slots: list(struct({ facts: slotFacts, sealed: bytes(sealedToBytes(MASTER_BYTES)) }), MAX_SLOTS),
  signature: bytes(SIGNATURE_BYTES),
  mac: bytes(MAC_BYTES),
  checksum: bytes(CHECKSUM_BYTES),
})
