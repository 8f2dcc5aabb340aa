// Invites (SPEC §11.3) carry the keys of a share to another user, over any channel. An invite is sealed to the
// recipient's card and signed by the user who shares. It is bound to the fingerprints of both cards.
import { type Bytes, bytesFrom, concat, copyOf, domain, lengthPrefixed, u64 } from '../core/bytes.ts'
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

/** The fields after the SEAL. */
export interface InviteTail {
  /** Milliseconds since 1970, UTC. */
  readonly issuedAt: number
  /** The signature by the source signing key. It covers every byte before the two signatures. */
  readonly sourceSignature: Uint8Array
  /** The signature by the card signing key. It covers the same bytes. */
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
  /** The share's keys, as a SEAL. */
  readonly sealed: Uint8Array
  /** Every byte before the two signatures. */
  readonly signed: Uint8Array
}

const LENGTHS = [0, PRIVATE_BYTES].map((keys) => sealedToBytes(PUBLIC_BYTES + 1 + keys) + TAIL_BYTES)

/**
 * Parses a copy of an invite, cut one byte past the longest valid invite, so that oversized input is rejected cheaply.
 * @throws KeystrataError `malformed`, `unsupported`
 */
export function parseInvite(stored: Uint8Array): StoredInvite {
  const copy = copyOf(stored.subarray(0, Math.max(...LENGTHS) + 1))
  const header = parseHeader(copy, 'invite', ObjectType.invite, [Suite.seal])
  if (!LENGTHS.includes(copy.length)) {
    throw new KeystrataError('malformed', 'this is not an invite: its length is wrong', {
      object: 'invite',
      bytes: copy.length,
    })
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
 * Seals the keys of a share to a card, and signs them.
 * @param issuedAt milliseconds since 1970
 * @throws KeystrataError `policy` if this is a direct share to another card
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

/** A share, as an invited user receives it. */
export interface InvitedShare {
  readonly id: Bytes
  /** The key pairs that open the share. Whether their halves match was not checked yet. The caller disposes of them. */
  readonly pair: KeyPair
  readonly issuedAt: number
}

/**
 * Opens an invite with the key pairs of the card that it was sealed to.
 * @param identity those key pairs, imported
 * @throws KeystrataError `malformed`, `unsupported`
 * @throws KeystrataError `authentication-failed` if it was not signed by `from`, or was altered
 * @throws KeystrataError `key-not-found` if it is sealed to another card
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
  const id = copyOf(header.ownerId)
  const keys = openSealedSecret(identity, sealed, 'invite', placeOf(id, from, to, issuedAt))
  using _ = wiping(keys)
  return { id, pair: readKeys(keys, own), issuedAt }
}

/**
 * Decodes the keys of an opened invite. Only the signer could have written invalid bytes, so every failure gives the
 * same error.
 */
function readKeys(opened: Bytes, own: KeyPair): KeyPair {
  let keys: ShareKeys | undefined
  try {
    return answeredAlike(() => {
      keys = decode(shareKeys, opened, 'invite')
      // Readers of a share cannot check unencrypted blocks, so no share may accept them.
      if (keys.publicHalves.minimum < Strength.x25519) throw authenticationFailed()
      return pairOf(keys, own)
    })
  } catch (error) {
    disposeKeys(keys)
    throw error
  }
}

/** Returns the share's own key pairs. In a direct share, returns copies of those of the recipient's card. */
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
 * Returns the message that a key of the sharer signs. The card's key signs because invites come from cards. The
 * source's key signs to prove that the sharer holds it: anyone can put another person's public key into a card, and
 * would then seem to be the author of the share's log.
 */
function signedMessage(by: 'card' | 'source', from: PinnedKeys, signed: Uint8Array): Bytes {
  return concat(domain(`sign/invite-${by}`), lengthPrefixed(fingerprintBytes(from)), signed)
}
