// Cards (SPEC §5): a user's public keys, signed by the user. Others use a card to seal to its owner, and to verify what
// the owner signed. Users who receive a card must compare its fingerprint with the owner.
import { bytes, type Codec, decode, encode, ownBytes, struct } from './codec.ts'
import { sha512 } from '../primitives/hash.ts'
import { isSignatureOf, sign, SIGNATURE_BYTES } from '../primitives/signature.ts'
import { Strength, Suite } from './suite.ts'
import { plainForm } from './typed-form.ts'
import type { SecretPlace } from './wrap.ts'
import { allocate, type Bytes, bytesFrom, concat, copyOf, domain, equalBytes, lengthPrefixed, utf8 } from './bytes.ts'
import { authenticationFailed, KeystrataError } from './errors.ts'
import { invalidText } from './invalid-text.ts'
import { encodeHeader, HEADER_BYTES, ObjectType, parseHeader } from './header.ts'
import { type PublicHalves, publicKeyId, Recipient, type SigningPair } from './key-pairs.ts'
import { optionsFrom } from './options.ts'

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

export const storedCard: Codec<StoredCard> = struct({
  headerBytes: bytes(HEADER_BYTES),
  x25519: ownBytes(32),
  mlKem1024: ownBytes(1568),
  cardSigning: ownBytes(32),
  sourceSigning: ownBytes(32),
  signature: bytes(SIGNATURE_BYTES),
})

/**
 * A user's public keys, for others to seal to. A card is not secret. Do not trust it until you have compared its
 * fingerprint with the owner.
 * @example
 * ```ts
 * import type { Card } from 'keystrata'
 *
 * const toShow = ({ fingerprint }: Card) => `Read this to the person who shares with you: ${fingerprint}`
 * ```
 */
export interface Card {
  /** What to hand out: 1,776 bytes, signed by the card's own key. */
  readonly bytes: Bytes
  /**
   * 60 digits in 12 groups of 5. People compare them over a channel that nobody else controls, such as a telephone
   * call.
   */
  readonly fingerprint: string
}

/** The keys of a card that its fingerprint covers. */
export interface PinnedKeys {
  readonly sharing: PublicHalves
  readonly cardSigning: Bytes
  readonly sourceSigning: Bytes
}

/** All keys of a card, and the id of its owner's keyset. */
export interface CardKeys extends PinnedKeys {
  readonly ownerId: Uint8Array
}

/** What a handle that holds a card's private keys offers to the rest of the library. */
export interface CardHolder {
  readonly keys: CardKeys
  /**
   * Opens what was sealed to the card. The caller wipes the result.
   * @throws KeystrataError as {@link openSealedSecret}
   */
  openSealed(stored: Uint8Array, object: string, place: SecretPlace): Bytes
  /** Signs with the card's signing key. */
  sign(message: Uint8Array): Bytes
  /**
   * Returns what signs as a card of this handle: its own, or that of a keyset that it has adopted. Returns undefined if it
   * does not hold the card's private keys.
   */
  signerOf(card: PinnedKeys): ((message: Uint8Array) => Bytes) | undefined
}

const holders: WeakMap<object, (purpose: string) => CardHolder> = /* @__PURE__ */ new WeakMap()

/** Registers a handle as the holder of a card. */
export function setCardHolder(handle: object, holder: (purpose: string) => CardHolder): void {
  holders.set(handle, holder)
}

/**
 * Returns the holder of a card's private keys.
 * @param what the name of the parameter, for the error
 * @param purpose what the caller needs the keys for; the error names it
 * @throws TypeError if it is not a handle with a card, from this copy of the library
 * @throws KeystrataError `policy` if the handle does not have all of its keys
 * @throws KeystrataError `disposed` if this handle was disposed of
 */
export function cardHolderOf(handle: { card(): Card }, what: string, purpose: string): CardHolder {
  const holder = holders.get(handle)
  if (holder === undefined) throw new TypeError(`${what} must be a Keyset from this copy of the library`)
  return holder(purpose)
}

export function encodeCard(keys: Omit<CardKeys, 'cardSigning'>, cardSigning: SigningPair): Card {
  const { ownerId, sharing, sourceSigning } = keys
  const bytes = encode(storedCard, {
    headerBytes: encodeHeader({ type: ObjectType.card, suite: Suite.none, keyId: publicKeyId(sharing), ownerId }),
    x25519: sharing.x25519,
    mlKem1024: sharing.mlKem1024,
    cardSigning: cardSigning.publicKey,
    sourceSigning,
    signature: allocate(SIGNATURE_BYTES),
  })
  const signed = bytes.subarray(0, -SIGNATURE_BYTES)
  bytes.set(sign(cardSigning.seed, signedMessage(signed)), signed.length)
  return { bytes, fingerprint: fingerprintOf({ ...keys, cardSigning: cardSigning.publicKey }) }
}

/**
 * Parses a card. Checks its structure, keys and signature, and its fingerprint if you pass the expected one.
 * @param bytes the bytes of the card; the result holds a copy
 * @param options `fingerprint`: the one that you compared with the owner, or pinned before. Spaces, hyphens and punctuation
 *   do not matter, nor does the script of its digits
 * @throws KeystrataError `malformed` or `unsupported` if it is not a card
 * @throws KeystrataError `authentication-failed` if its signature is wrong
 * @throws KeystrataError `key-changed` if it has another fingerprint
 * @throws KeystrataError `invalid-text` if `fingerprint` is not 60 digits
 * @throws TypeError if `fingerprint` is not a string, for an unknown option, or an explicit `undefined` for `fingerprint`
 * @example
 * ```ts
 * import { createKeyset, parseCard } from 'keystrata'
 *
 * using theirs = await createKeyset('their own password')
 * const { bytes, fingerprint } = theirs.card() // the bytes came by mail, the fingerprint by telephone
 * const card = parseCard(bytes, { fingerprint })
 * console.log(card.bytes.length) // 1776
 * ```
 */
export function parseCard(bytes: Uint8Array, options?: { fingerprint?: string }): Card {
  const { fingerprint: expected } = optionsFrom(options, { fingerprint: 'defined' }, 'parseCard')
  const copy = copyOfCard(bytes)
  const fingerprint = fingerprintOf(readCard(copy))
  if (expected !== undefined) assertExpected(fingerprint, expected)
  return { bytes: copy, fingerprint }
}

/**
 * Returns `card` if it looks like a card.
 * @throws TypeError if it does not
 */
export function cardFrom(card: Card): Card {
  if (typeof card === 'object' && (card as Card | null)?.bytes !== undefined) return card
  throw new TypeError('expected a card, with bytes and fingerprint, as card() and parseCard return it')
}

/** Copies the bytes, cut one byte past the length of a card, so that oversized input is rejected cheaply. */
function copyOfCard(bytes: Uint8Array): Bytes {
  return copyOf(bytesFrom(bytes, 'card').subarray(0, CARD_BYTES + 1))
}

/**
 * Checks the fingerprint of a card against the expected one.
 * @throws KeystrataError `key-changed` if they differ
 */
function assertExpected(fingerprint: string, expected: string): void {
  if (digitsOf(expected) === digitsOf(fingerprint)) return
  throw new KeystrataError('key-changed', 'this card does not have the expected fingerprint', { fingerprint })
}

/**
 * Returns the keys of a card that a caller passes. The bytes are checked again, against the card's fingerprint.
 * @throws KeystrataError `key-changed` if bytes and fingerprint do not match
 * @throws KeystrataError `invalid-text` if its fingerprint is not 60 digits
 * @throws KeystrataError `malformed`, `unsupported`, `authentication-failed`
 * @throws TypeError if it is not a card
 */
export function keysOfCard(card: Card): CardKeys {
  const { bytes, fingerprint } = cardFrom(card)
  const keys = readCard(copyOfCard(bytes))
  assertExpected(fingerprintOf(keys), fingerprint)
  return keys
}

/** Returns the 60 digits of a card's fingerprint as bytes, for objects that are bound to a card. */
export function fingerprintBytes(keys: PinnedKeys): Bytes {
  return utf8(digitsOf(fingerprintOf(keys)))
}

/**
 * Parses a card and verifies its signature.
 * @throws KeystrataError `malformed`, `unsupported`, `authentication-failed`
 */
export function readCard(stored: Uint8Array): CardKeys {
  const header = parseHeader(stored, 'card', ObjectType.card, [Suite.none])
  const { x25519, mlKem1024, cardSigning, sourceSigning, signature } = decode(storedCard, stored, 'card')
  const sharing = { minimum: Strength.hybrid, x25519, mlKem1024 }
  const signed = stored.subarray(0, CARD_BYTES - SIGNATURE_BYTES)
  const holds =
    isSignatureOf(cardSigning, signedMessage(signed), signature) && equalBytes(header.keyId, publicKeyId(sharing))
  if (!holds) throw authenticationFailed()
  // Refuse invalid public keys now, not when something is sealed to them.
  new Recipient(sharing)
  return { ownerId: copyOf(header.ownerId), sharing, cardSigning, sourceSigning }
}

function signedMessage(signed: Uint8Array): Bytes {
  return concat(domain('sign/card'), signed)
}

/** Computes the fingerprint: 199 bits of SHA-512 over all keys of the card. */
function fingerprintOf({ sharing, cardSigning, sourceSigning }: PinnedKeys): string {
  const keys = [sharing.x25519, sharing.mlKem1024, cardSigning, sourceSigning]
  const hash = sha512(domain('fingerprint'), ...keys.map(lengthPrefixed))
  const groups = Array.from({ length: 12 }, (_, group) => {
    const number = hash.subarray(5 * group, 5 * group + 5).reduce((sum, byte) => sum * 256 + byte, 0)
    return String(number % 100_000).padStart(5, '0')
  })
  return groups.join(' ')
}

const FINGERPRINT_DIGITS = 60

function digitsOf(fingerprint: string): string {
  const digits = plainForm(fingerprint, 'fingerprint')
  const { length } = digits
  if (length === FINGERPRINT_DIGITS && /^\d+$/.test(digits)) return digits
  const reason = length > FINGERPRINT_DIGITS ? 'too-long' : 'check'
  throw invalidText(reason, 'fingerprint', 'the fingerprint is mistyped: type all twelve groups of five digits', {
    characters: length,
    most: FINGERPRINT_DIGITS,
  })
}
