// The keyset as it is stored (SPEC §5): one outer layout, and for each destination the sections that may be in it. What is
// stored where is decided by these lists of fields alone: what a list does not name is not written there.
// An invite (SPEC §12.3): the keys of a share, sealed to the card of its recipient and signed by the one who shares.
// Invites (SPEC §12.3): how the keys of a share come to another user, through hands that need not be trusted. An invite is
// sealed to the card of one recipient and signed by the one who shares; both cards are pinned by their fingerprints.
import * as P from 'micro-packed'
import { type Bytes, bytesFrom, concat, domain, lengthPrefixed, u64, wipe } from '../core/bytes.ts'
import { fingerprintBytes, type PinnedKeys } from '../core/card.ts'
import { decode, encode, time } from '../core/codec.ts'
import { answeredAlike, authenticationFailed, KeystrataError } from '../core/errors.ts'
import { type Header, ObjectType, parseHeader, Suite } from '../core/header.ts'
import {
  Identity,
  type KeyPair,
  optionalPrivateHalves,
  type PrivateHalves,
  publicHalves,
  type PublicHalves,
  Recipient,
  type SigningPair,
  Strength,
} from '../core/key-pairs.ts'
import { disposeKeys } from '../core/secret.ts'
import { openSealedSecret, sealedToBytes, sealSecret, type SecretPlace } from '../core/wrap.ts'
import { isSignatureOf, sign, SIGNATURE_BYTES } from '../primitives/signature.ts'
import type { ActiveShare } from './layout.ts'
import { samePair } from './share.ts'

/** The key pairs of a share. */
export interface ShareKeys {
  readonly publicHalves: PublicHalves
  /** Absent where the share goes straight to a key pair that somebody else holds. */
  readonly privateHalves?: PrivateHalves | undefined
}

export const shareKeys: P.CoderType<ShareKeys> = P.struct({ publicHalves, privateHalves: optionalPrivateHalves })

const PUBLIC_BYTES = 1601

const PRIVATE_BYTES = 96

/** What stands behind the SEAL. */
export interface InviteTail {
  /** A {@link time}. */
  readonly issuedAt: number
  /** By the source signing key, over all before. */
  readonly sourceSignature: Uint8Array
  /** By the card signing key, over all before. */
  readonly signature: Uint8Array
}

export const inviteTail: P.CoderType<InviteTail> = P.struct({
  issuedAt: time,
  sourceSignature: P.bytes(SIGNATURE_BYTES),
  signature: P.bytes(SIGNATURE_BYTES),
})

const TAIL_BYTES = 8 + 2 * SIGNATURE_BYTES

export interface StoredInvite extends InviteTail {
  readonly header: Header
  /** The SEAL. */
  readonly sealed: Uint8Array
  /** Every byte in front of the two signatures. */
  readonly signed: Uint8Array
}

const LENGTHS = [0, PRIVATE_BYTES].map((keys) => sealedToBytes(PUBLIC_BYTES + 1 + keys) + TAIL_BYTES)

/**
 * Reads from a copy, of no more than shows that there is too much.
 * @throws KeystrataError `malformed`, `unsupported`
 */
export function parseInvite(stored: Uint8Array): StoredInvite {
  const bytes = new Uint8Array(stored.subarray(0, Math.max(...LENGTHS) + 1))
  const header = parseHeader(bytes, 'invite', ObjectType.invite, [Suite.seal])
  if (!LENGTHS.includes(bytes.length)) {
    throw new KeystrataError('malformed', 'not the length of an invite', { bytes: bytes.length })
  }
  const tail = decode(inviteTail, bytes.subarray(-TAIL_BYTES), 'invite')
  return {
    ...tail,
    header,
    sealed: bytes.subarray(0, -TAIL_BYTES),
    signed: bytes.subarray(0, -2 * SIGNATURE_BYTES),
  }
}

/** Who shares: the keys of a card, and the private halves of its two signing keys. */
export interface Sharer {
  readonly card: PinnedKeys
  readonly cardSigning: SigningPair
  readonly sourceSigning: SigningPair
}

/**
 * @param issuedAt milliseconds since 1970
 * @throws KeystrataError `policy` if the share goes straight to another card
 */
export function sealInvite(
  share: ActiveShare,
  { card: from, cardSigning, sourceSigning }: Sharer,
  to: PinnedKeys,
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
    const signed = concat(sealed, u64(issuedAt))
    return concat(
      signed,
      sign(sourceSigning.seed, signedMessage('source', from, signed)),
      sign(cardSigning.seed, signedMessage('card', from, signed)),
    )
  } finally {
    wipe(keys)
  }
}

/** A share, as the one who was invited gets it. */
export interface InvitedShare {
  readonly id: Bytes
  /** The key pairs that open it, not yet checked to belong together; the caller disposes of them. */
  readonly pair: KeyPair
  readonly issuedAt: number
}

/**
 * Opens an invite with the private half of the card that it was sealed to, which it borrows.
 * @throws KeystrataError `malformed`, `unsupported`; `authentication-failed` if it is not signed by `from`, or was altered;
 *   `key-not-found` if it is sealed to another card
 */
export function openInvite(given: Uint8Array, from: PinnedKeys, own: KeyPair, to: PinnedKeys): InvitedShare {
  const { header, sealed, signed, sourceSignature, signature, issuedAt } = parseInvite(bytesFrom(given, 'invite'))
  const holds =
    isSignatureOf(from.cardSigning, signedMessage('card', from, signed), signature) &&
    isSignatureOf(from.sourceSigning, signedMessage('source', from, signed), sourceSignature)
  if (!holds) throw authenticationFailed()
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
    return answeredAlike(() => {
      keys = decode(shareKeys, bytes, 'invite')
      // A reader that took unencrypted blocks could not check them.
      if (keys.publicHalves.minimum < Strength.x25519) throw authenticationFailed()
      return pairOf(keys, own)
    })
  } catch (error) {
    disposeKeys(keys)
    throw error
  } finally {
    wipe(bytes)
  }
}

/** The share's own key pairs, or those of the card that it goes straight to. */
function pairOf({ publicHalves, privateHalves }: ShareKeys, own: KeyPair): KeyPair {
  if (privateHalves !== undefined) return { publicHalves, privateHalves }
  if (!samePair(publicHalves, own.publicHalves)) throw authenticationFailed()
  const { x25519, mlKem1024 } = own.privateHalves
  return { publicHalves, privateHalves: { x25519: x25519.copy(), mlKem1024: mlKem1024.copy() } }
}

function placeOf(shareId: Uint8Array, from: PinnedKeys, to: PinnedKeys, issuedAt: number): SecretPlace {
  const names = [shareId, fingerprintBytes(from), fingerprintBytes(to)].map(lengthPrefixed)
  return { type: ObjectType.invite, ownerId: shareId, context: concat(...names, u64(issuedAt)) }
}

/**
 * What the two keys of the sharer sign: the card's key, because invites come from cards; the source's, because anybody can
 * put a public key into a card of his own, and would be taken for who wrote the share's log.
 */
function signedMessage(by: 'card' | 'source', from: PinnedKeys, signed: Uint8Array): Bytes {
  return concat(domain(`sign/invite-${by}`), lengthPrefixed(fingerprintBytes(from)), signed)
}
