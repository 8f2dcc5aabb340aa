// Invites (SPEC §12.3): the keys of a share on their way to another user, through hands that need not be trusted. An invite is sealed to
// the recipient's card and signed by the user who shares. Both cards are pinned by their fingerprints.
import { type Bytes, bytesFrom, concat, domain, lengthPrefixed, u64 } from '../core/bytes.ts'
import { fingerprintBytes, type PinnedKeys } from '../core/card.ts'
import { bytes, type Codec, decode, encode, struct, time } from '../core/codec.ts'
import { answeredAlike, authenticationFailed, KeystrataError } from '../core/errors.ts'
import { type Header, ObjectType, parseHeader } from '../core/header.ts'
import { type Identity, type KeyPair, Recipient, samePair, type SigningPair } from '../core/key-pairs.ts'
import { disposeKeys, wiping } from '../core/secret.ts'
import { Strength, Suite } from '../core/suite.ts'
import { openSealedSecret, sealedToBytes, sealSecret, type SecretPlace } from '../core/wrap.ts'
import { isSignatureOf, sign, SIGNATURE_BYTES } from '../primitives/signature.ts'
import { type ActiveShare, type ShareKeys, shareKeys } from './layout.ts'

const PUBLIC_BYTES = 1601

const PRIVATE_BYTES = 96

/** What follows the SEAL. */
export interface InviteTail {
  /** A {@link time}. */
  readonly issuedAt: number
  /** By the source signing key, over everything before. */
  readonly sourceSignature: Uint8Array
  /** By the card signing key, over everything before. */
  readonly signature: Uint8Array
}

export const inviteTail: Codec<InviteTail> = struct({
  issuedAt: time,
  sourceSignature: bytes(SIGNATURE_BYTES),
  signature: bytes(SIGNATURE_BYTES),
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
 * Parses a copy, cut one byte past the longest valid invite, so that oversized input is refused cheaply.
 * @throws KeystrataError `malformed`, `unsupported`
 */
export function parseInvite(stored: Uint8Array): StoredInvite {
  const copy = new Uint8Array(stored.subarray(0, Math.max(...LENGTHS) + 1))
  const header = parseHeader(copy, 'invite', ObjectType.invite, [Suite.seal])
  if (!LENGTHS.includes(copy.length)) {
    throw new KeystrataError('malformed', 'not the length of an invite', { bytes: copy.length })
  }
  const tail = decode(inviteTail, copy.subarray(-TAIL_BYTES), 'invite')
  return {
    ...tail,
    header,
    sealed: copy.subarray(0, -TAIL_BYTES),
    signed: copy.subarray(0, -2 * SIGNATURE_BYTES),
  }
}

/** The user who shares: the keys of their card, and the private halves of its two signing keys. */
export interface Sharer {
  readonly card: PinnedKeys
  readonly cardSigning: SigningPair
  readonly sourceSigning: SigningPair
}

/**
 * @param issuedAt milliseconds since 1970
 * @throws KeystrataError `policy` for a direct share to another card
 */
export function sealInvite(
  share: ActiveShare,
  { card: from, cardSigning, sourceSigning }: Sharer,
  to: PinnedKeys,
  issuedAt: number,
): Bytes {
  const { id, publicHalves, privateHalves } = share
  if (privateHalves === undefined && !samePair(publicHalves, to.sharing)) {
    throw new KeystrataError(
      'policy',
      'this is a direct share to another card; only the owner of that card can be invited',
      {
        rule: 'share-of-one-card',
      },
    )
  }
  const keys = encode(shareKeys, { publicHalves, privateHalves })
  using _ = wiping(keys)
  const sealed = sealSecret(new Recipient(to.sharing), keys, placeOf(id, from, to, issuedAt))
  const signed = concat(sealed, u64(issuedAt))
  return concat(
    signed,
    sign(sourceSigning.seed, signedMessage('source', from, signed)),
    sign(cardSigning.seed, signedMessage('card', from, signed)),
  )
}

/** A share, as an invited user gets it. */
export interface InvitedShare {
  readonly id: Bytes
  /** The key pairs that open it. Their halves were not compared yet. The caller disposes of them. */
  readonly pair: KeyPair
  readonly issuedAt: number
}

/**
 * Opens an invite with the key pairs of the card that it was sealed to.
 * @param identity those key pairs, imported
 * @throws KeystrataError `malformed`, `unsupported`; `authentication-failed` if it was not signed by `from`, or was altered;
 *   `key-not-found` if it is sealed to another card
 */
export function openInvite(
  given: Uint8Array,
  from: PinnedKeys,
  identity: Identity,
  own: KeyPair,
  to: PinnedKeys,
): InvitedShare {
  const { header, sealed, signed, sourceSignature, signature, issuedAt } = parseInvite(bytesFrom(given, 'invite'))
  const holds =
    isSignatureOf(from.cardSigning, signedMessage('card', from, signed), signature) &&
    isSignatureOf(from.sourceSigning, signedMessage('source', from, signed), sourceSignature)
  if (!holds) throw authenticationFailed()
  const id = new Uint8Array(header.ownerId)
  const keys = openSealedSecret(identity, sealed, 'invite', placeOf(id, from, to, issuedAt))
  using _ = wiping(keys)
  return { id, pair: readKeys(keys, own), issuedAt }
}

/** Only the signer could have made these bytes wrong, so every failure gives the same error. */
function readKeys(opened: Bytes, own: KeyPair): KeyPair {
  let keys: ShareKeys | undefined
  try {
    return answeredAlike(() => {
      keys = decode(shareKeys, opened, 'invite')
      // A reader that accepted unencrypted blocks could not check them.
      if (keys.publicHalves.minimum < Strength.x25519) throw authenticationFailed()
      return pairOf(keys, own)
    })
  } catch (error) {
    disposeKeys(keys)
    throw error
  }
}

/** The share's own key pairs; in a direct share, those of the recipient's card. */
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
 * What both keys of the sharer sign: the card's key, because invites come from cards; the source's key, because anybody can put
 * somebody else's public key into a card, and would then be taken for the author of the share's log.
 */
function signedMessage(by: 'card' | 'source', from: PinnedKeys, signed: Uint8Array): Bytes {
  return concat(domain(`sign/invite-${by}`), lengthPrefixed(fingerprintBytes(from)), signed)
}
