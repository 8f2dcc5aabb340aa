// A card (SPEC §7): the public keys by which others seal to a user and recognise what he signs.
// Cards (SPEC §7): a user's public keys, signed by himself. Who receives one out of band compares its fingerprint.
import * as P from 'micro-packed'
import { sha512 } from '../primitives/hash.ts'
import { isSignatureOf, sign, SIGNATURE_BYTES } from '../primitives/signature.ts'
import { type Bytes, bytesFrom, concat, domain, equalBytes, lengthPrefixed, utf8 } from './bytes.ts'
import { decode, encode, ownBytes } from './codec.ts'
import { authenticationFailed, KeystrataError } from './errors.ts'
import { encodeHeader, HEADER_BYTES, ObjectType, parseHeader, Suite } from './header.ts'
import { type PublicHalves, publicKeyId, Recipient, type SigningPair, Strength } from './key-pairs.ts'

export const CARD_BYTES = 1776

export interface StoredCard {
  readonly headerBytes: Uint8Array
  readonly x25519: Bytes
  readonly mlKem1024: Bytes
  /** Verifies cards and invites. */
  readonly cardSigning: Bytes
  /** Verifies records. */
  readonly sourceSigning: Bytes
  readonly signature: Uint8Array
}

export const storedCard: P.CoderType<StoredCard> = P.struct({
  headerBytes: P.bytes(HEADER_BYTES),
  x25519: ownBytes(32),
  mlKem1024: ownBytes(1568),
  cardSigning: ownBytes(32),
  sourceSigning: ownBytes(32),
  signature: P.bytes(SIGNATURE_BYTES),
})

/**
 * A user's public keys, as others get them: not secret, and worth nothing until its fingerprint was compared.
 * @example
 * ```ts
 * import type { Card } from 'keystrata'
 *
 * const toShow = ({ fingerprint }: Card) => `Read this to whoever shares with you: ${fingerprint}`
 * ```
 */
export interface Card {
  /** What to hand out: 1,776 bytes, signed by the card's own key. */
  readonly bytes: Bytes
  /** 60 digits in 12 groups of 5, to be compared by people over a way that nobody else controls. */
  readonly fingerprint: string
}

/** The keys of a card: what its fingerprint covers. */
export interface PinnedKeys {
  readonly sharing: PublicHalves
  readonly cardSigning: Bytes
  readonly sourceSigning: Bytes
}

/** The same, and the id of its owner's keyset. */
export interface CardKeys extends PinnedKeys {
  readonly ownerId: Uint8Array
}

export function encodeCard(keys: Omit<CardKeys, 'cardSigning'>, cardSigning: SigningPair): Card {
  const { ownerId, sharing, sourceSigning } = keys
  const bytes = encode(storedCard, {
    headerBytes: encodeHeader({ type: ObjectType.card, suite: Suite.none, keyId: publicKeyId(sharing), ownerId }),
    x25519: sharing.x25519,
    mlKem1024: sharing.mlKem1024,
    cardSigning: cardSigning.publicKey,
    sourceSigning,
    signature: new Uint8Array(SIGNATURE_BYTES),
  })
  const signed = bytes.subarray(0, -SIGNATURE_BYTES)
  bytes.set(sign(cardSigning.seed, signedMessage(signed)), signed.length)
  return { bytes, fingerprint: fingerprintOf({ ...keys, cardSigning: cardSigning.publicKey }) }
}

/**
 * Checks a card that somebody gave: its form, its keys, its signature, and its fingerprint if one is expected.
 * @param bytes a copy of it is what the result holds
 * @param options `expect`: the fingerprint that was compared or pinned before; spaces do not matter
 * @throws KeystrataError `malformed`, `unsupported` if it is no card; `authentication-failed` if its signature does not
 *   hold; `key-changed` if it is not the expected one
 * @throws RangeError for an `expect` that is not 60 digits
 * @example
 * ```ts
 * import { createKeyset, parseCard } from 'keystrata'
 *
 * using theirs = await createKeyset('a password of somebody else')
 * const { bytes, fingerprint } = theirs.card() // the bytes came by mail, the fingerprint by telephone
 * const card = parseCard(bytes, { expect: fingerprint })
 * console.log(card.bytes.length) // 1776
 * ```
 */
export function parseCard(bytes: Uint8Array, options: { expect?: string } = {}): Card {
  const copy = copyOfCard(bytes)
  const { expect } = options
  const fingerprint = fingerprintOf(readCard(copy))
  if (expect !== undefined) assertExpected(fingerprint, expect)
  return { bytes: copy, fingerprint }
}

/** @throws TypeError for what is likely to be given in the place of a card */
export function cardFrom(card: Card): Card {
  if (typeof card === 'object' && (card as Card | null)?.bytes !== undefined) return card
  throw new TypeError('a card is what card() and parseCard give, with bytes and fingerprint')
}

/** A copy of no more than shows that there is too much. */
function copyOfCard(bytes: Uint8Array): Bytes {
  return new Uint8Array(bytesFrom(bytes, 'card').subarray(0, CARD_BYTES + 1))
}

/** @throws KeystrataError `key-changed` */
function assertExpected(fingerprint: string, expected: string): void {
  if (digitsOf(expected) === digitsOf(fingerprint)) return
  throw new KeystrataError('key-changed', 'this card is not the one that was expected', { fingerprint })
}

/**
 * The keys of a card that a caller gives, which is checked again: the fingerprint beside the bytes is the one that somebody
 * compared.
 * @throws KeystrataError `key-changed` if the two do not belong together; `malformed`, `unsupported`,
 *   `authentication-failed`
 * @throws TypeError, RangeError for what is no card, and no fingerprint
 */
export function keysOfCard(card: Card): CardKeys {
  const { bytes, fingerprint } = cardFrom(card)
  const keys = readCard(copyOfCard(bytes))
  assertExpected(fingerprintOf(keys), fingerprint)
  return keys
}

/** The 60 digits of a card's keys as bytes, for what is bound to who made it and whom it is for. */
export function fingerprintBytes(keys: PinnedKeys): Bytes {
  return utf8(digitsOf(fingerprintOf(keys)))
}

/**
 * The keys of a card whose signature holds.
 * @throws KeystrataError `malformed`, `unsupported`, `authentication-failed`
 */
export function readCard(bytes: Uint8Array): CardKeys {
  const header = parseHeader(bytes, 'card', ObjectType.card, [Suite.none])
  const { x25519, mlKem1024, cardSigning, sourceSigning, signature } = decode(storedCard, bytes, 'card')
  const sharing = { minimum: Strength.hybrid, x25519, mlKem1024 }
  const signed = bytes.subarray(0, CARD_BYTES - SIGNATURE_BYTES)
  const holds =
    isSignatureOf(cardSigning, signedMessage(signed), signature) && equalBytes(header.keyId, publicKeyId(sharing))
  if (!holds) throw authenticationFailed()
  new Recipient(sharing)
  return { ownerId: new Uint8Array(header.ownerId), sharing, cardSigning, sourceSigning }
}

function signedMessage(signed: Uint8Array): Bytes {
  return concat(domain('sign/card'), signed)
}

/** 199 bits of SHA-512 over all keys of the card. */
function fingerprintOf({ sharing, cardSigning, sourceSigning }: PinnedKeys): string {
  const keys = [sharing.x25519, sharing.mlKem1024, cardSigning, sourceSigning]
  const hash = sha512(domain('fingerprint'), ...keys.map(lengthPrefixed))
  const groups = Array.from({ length: 12 }, (_, group) => {
    const number = hash.subarray(5 * group, 5 * group + 5).reduce((sum, byte) => sum * 256 + byte, 0)
    return String(number % 100_000).padStart(5, '0')
  })
  return groups.join(' ')
}

function digitsOf(fingerprint: string): string {
  if (typeof fingerprint !== 'string') throw new TypeError('a fingerprint must be a string')
  const digits = fingerprint.replaceAll(/\s/g, '')
  if (!/^\d{60}$/.test(digits)) throw new RangeError('a fingerprint has 60 digits')
  return digits
}
