// The card of a keyset, and the cards of the keysets that it adopted: what others sealed to any of them still opens. The
// halves of each card's keys are compared at its first use.
import { type Bytes, equalBytes, toHex } from '../core/bytes.ts'
import {
  type Card,
  type CardHolder,
  type CardKeys,
  encodeCard,
  fingerprintBytes,
  type PinnedKeys,
} from '../core/card.ts'
import { keyIdIn } from '../core/header.ts'
import { Identity, type KeyPair, publicKeyId, type SigningPair } from '../core/key-pairs.ts'
import { openSealedSecret } from '../core/wrap.ts'
import { sign } from '../primitives/signature.ts'
import type { CompleteContents } from './changes.ts'
import { assertSigningPair } from './exports.ts'
import { type InvitedShare, openInvite } from './invite.ts'

/** The private keys of one card. */
interface HeldCard {
  readonly ownerId: Bytes
  readonly sharing: KeyPair
  readonly cardSigning: SigningPair
  /** The public half of the source signing key. */
  readonly sourceSigning: Bytes
}

/** The cards whose private keys a keyset holds. The keyset keeps the keys. */
export class HeldCards {
  readonly #own: HeldCard
  readonly #adopted: readonly HeldCard[]
  readonly #imported: Map<HeldCard, { keys: CardKeys; identity: Identity }> = new Map()

  constructor({ id, sourceSigning, adopted, additional }: CompleteContents) {
    const { sharing, cardSigning } = additional
    this.#own = { ownerId: id, sharing, cardSigning, sourceSigning: sourceSigning.publicKey }
    this.#adopted = adopted.flatMap((source) =>
      source.keys === undefined ? [] : [{ ownerId: source.id, ...source.keys }],
    )
  }

  dispose(): void {
    for (const { identity } of this.#imported.values()) identity.dispose()
  }

  /** Returns the public keys of the keyset's own card. */
  get keys(): CardKeys {
    return this.#use(this.#own).keys
  }

  card(): Card {
    return encodeCard(this.keys, this.#own.cardSigning)
  }

  /** Returns the holder of the keyset's own card. It also opens what was sealed to the other cards. */
  holder(): CardHolder {
    return {
      keys: this.keys,
      openSealed: (stored, object, place) =>
        openSealedSecret(this.#use(this.#cardOf(stored)).identity, stored, object, place),
      sign: (message) => sign(this.#own.cardSigning.seed, message),
      signerOf: (card) => {
        const fingerprint = fingerprintBytes(card)
        const held = [this.#own, ...this.#adopted].find((each) =>
          equalBytes(fingerprintBytes(this.#use(each).keys), fingerprint),
        )
        return held && ((message) => sign(held.cardSigning.seed, message))
      },
    }
  }

  /**
   * Opens an invite to any of these cards.
   * @throws KeystrataError as {@link openInvite}
   */
  openInvite(invite: Uint8Array, from: PinnedKeys): InvitedShare {
    const held = this.#cardOf(invite)
    const { keys, identity } = this.#use(held)
    return openInvite(invite, from, identity, held.sharing, keys)
  }

  /**
   * Returns the card that something is sealed to, by its key id: the own card, or the first adopted one. If it is none of
   * these, returns the own card.
   */
  #cardOf(stored: Uint8Array): HeldCard {
    const keyId = toHex(keyIdIn(stored))
    const held = [this.#own, ...this.#adopted]
    return held.find(({ sharing }) => toHex(publicKeyId(sharing.publicHalves)) === keyId) ?? this.#own
  }

  #use(card: HeldCard): { keys: CardKeys; identity: Identity } {
    let imported = this.#imported.get(card)
    if (imported === undefined) {
      const { ownerId, sharing, cardSigning, sourceSigning } = card
      assertSigningPair(cardSigning)
      const keys = { ownerId, sharing: sharing.publicHalves, cardSigning: cardSigning.publicKey, sourceSigning }
      this.#imported.set(card, (imported = { keys, identity: new Identity(sharing) }))
    }
    return imported
  }
}
