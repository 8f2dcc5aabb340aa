// Invites (SPEC §12.3): how the keys of a share come to another user, through hands that need not be trusted. An invite is
// sealed to the card of one recipient and signed by the one who shares; both cards are pinned by their fingerprints.
import { type Bytes, bytesFrom, concat, domain, lengthPrefixed, u64, wipe } from '../bytes.ts'
import { authenticationFailed, KeystrataError } from '../errors.ts'
import { SIGNATURE_BYTES } from '../format/card.ts'
import { decode, encode } from '../format/codec.ts'
import { ObjectType } from '../format/header.ts'
import { inviteTail, parseInvite } from '../format/invite.ts'
import {
  type ActiveShare,
  type KeyPair,
  type ShareKeys,
  shareKeys,
  type SigningPair,
  Strength,
} from '../format/keyset.ts'
import { type CardKeys, fingerprintBytes } from '../keys/card.ts'
import { Identity, Recipient } from '../keys/key-pairs.ts'
import { disposeKeys } from '../keys/keyset-contents.ts'
import { openSealedSecret, sealSecret, type SecretPlace } from '../keys/lock.ts'
import { isSignatureOf, sign } from '../primitives/signature.ts'
import { samePair } from './share.ts'

/** The public keys of a card, as a fingerprint covers them. */
export type PinnedCard = Omit<CardKeys, 'ownerId'>

/**
 * @param from the card of the one who shares, whose signing key this is
 * @param issuedAt milliseconds since 1970
 * @throws KeystrataError `policy` if the share goes straight to another card
 */
export function sealInvite(
  share: ActiveShare,
  from: PinnedCard,
  signing: SigningPair,
  to: PinnedCard,
  issuedAt: number,
): Bytes {
  const { id, publicHalves, privateHalves } = share
  if (privateHalves === undefined && !samePair(publicHalves, to.sharing)) {
    throw new KeystrataError('policy', 'this share goes straight to another card: its recipient alone can be invited', {
      rule: 'share-of-one-card',
    })
  }
  const keys = encode(shareKeys, { publicHalves, privateHalves })
  try {
    const sealed = sealSecret(new Recipient(to.sharing), keys, placeOf(id, from, to, issuedAt))
    const tail = encode(inviteTail, { issuedAt, signature: new Uint8Array(SIGNATURE_BYTES) })
    const bytes = concat(sealed, tail)
    const signed = bytes.subarray(0, -SIGNATURE_BYTES)
    bytes.set(sign(signing.seed, signedMessage(signed)), signed.length)
    return bytes
  } finally {
    wipe(keys)
  }
}

/** A share, as the one who was invited gets it. */
export interface InvitedShare {
  readonly id: Bytes
  /** The key pairs that open it; the caller disposes of them. */
  readonly pair: KeyPair
  readonly issuedAt: number
}

/**
 * Opens an invite with the private half of the card that it was sealed to, which it borrows.
 * @throws KeystrataError `malformed`, `unsupported`; `authentication-failed` if it is not signed by `from`, or was altered;
 *   `key-not-found` if it is sealed to another card
 */
export function openInvite(given: Uint8Array, from: PinnedCard, own: KeyPair, to: PinnedCard): InvitedShare {
  const { header, sealed, signed, signature, issuedAt } = parseInvite(new Uint8Array(bytesFrom(given, 'invite')))
  if (!isSignatureOf(from.cardSigning, signedMessage(signed), signature)) throw authenticationFailed()
  const id = new Uint8Array(header.ownerId)
  const identity = new Identity(own)
  let keys: Bytes
  try {
    keys = openSealedSecret(identity, sealed, 'invite', placeOf(id, from, to, issuedAt))
  } finally {
    identity.dispose()
  }
  return { id, pair: readKeys(keys, own), issuedAt }
}

/** What was sealed and signed is told apart no further: who made it wrong did so on purpose. */
function readKeys(bytes: Bytes, own: KeyPair): KeyPair {
  let keys: ShareKeys | undefined
  try {
    keys = decode(shareKeys, bytes, 'invite')
    // A reader that took unencrypted blocks could not check them.
    if (keys.publicHalves.minimum < Strength.x25519) throw authenticationFailed()
    return pairOf(keys, own)
  } catch {
    disposeKeys(keys)
    throw authenticationFailed()
  } finally {
    wipe(bytes)
  }
}

/** The share's own key pairs, or those of the card that it goes straight to. */
function pairOf({ publicHalves, privateHalves }: ShareKeys, own: KeyPair): KeyPair {
  if (privateHalves !== undefined) {
    const pair = { publicHalves, privateHalves }
    // Recomputes the public halves.
    new Identity(pair).dispose()
    return pair
  }
  if (!samePair(publicHalves, own.publicHalves)) throw authenticationFailed()
  const { x25519, mlKem1024 } = own.privateHalves
  return { publicHalves, privateHalves: { x25519: x25519.copy(), mlKem1024: mlKem1024.copy() } }
}

function placeOf(shareId: Uint8Array, from: PinnedCard, to: PinnedCard, issuedAt: number): SecretPlace {
  const names = [shareId, fingerprintBytes(from), fingerprintBytes(to)].map(lengthPrefixed)
  return { type: ObjectType.invite, ownerId: shareId, context: concat(...names, u64(issuedAt)) }
}

const signedMessage = (signed: Uint8Array): Bytes => concat(domain('sign/invite'), signed)
