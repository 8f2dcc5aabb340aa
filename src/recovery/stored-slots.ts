// The recovery slots of a keyset as an object in a store (SPEC §20.4). A MAC under the master key covers them, and a
// signature by the card signing key: after a new master key, the signature is all that shows whose slots these are. Not
// protected: former holders of a master key also have the card signing key, so they can sign slots until `renewSlots`
// has sealed them under a new one.
import {
  allocate,
  type Bytes,
  bytesFrom,
  concat,
  copyOf,
  domain,
  equalBytes,
  lengthPrefixed,
  toHex,
} from '../core/bytes.ts'
import { type CardKeys, fingerprintBytes, readCard } from '../core/card.ts'
import { decode, encode } from '../core/codec.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, type Header, ObjectType, parseHeader } from '../core/header.ts'
import { Recipient } from '../core/key-pairs.ts'
import { recipientOf } from '../core/recovery-holder.ts'
import { type SecretKey, withBytes } from '../core/secret.ts'
import { Suite } from '../core/suite.ts'
import { authenticatedPart, CHECKSUM_BYTES, copySummed, fillTrailer, MAC_BYTES, macUnder } from '../core/trailer.ts'
import { keyIdOf, sealSecret, type SecretPlace } from '../core/wrap.ts'
import { sha256 } from '../primitives/hash.ts'
import { isSignatureOf, SIGNATURE_BYTES } from '../primitives/signature.ts'
import type { CheckedStore } from '../state/checked.ts'
import { SLOTS_NAME } from '../state/name.ts'
import {
  MAX_SLOTS_BYTES,
  slotFacts,
  type SlotFacts,
  type SlotTarget,
  type StoredSlot,
  type StoredSlots,
  storedSlots,
} from './layout.ts'

const OBJECT = 'slot list'

/** Slots whose form was checked. Their MAC and their signature were not. */
export interface ParsedSlots extends StoredSlots {
  readonly header: Header
  /** A copy of the object. All fields are views of it. */
  readonly bytes: Bytes
}

/**
 * Copies slots and checks their form. The checksum comes first, so accidental damage is always `malformed`.
 * @throws KeystrataError `limit-exceeded` over 256 KiB; `malformed`, `unsupported`
 */
export function parseSlots(stored: Uint8Array): ParsedSlots {
  const bytes = copySummed(bytesFrom(stored, OBJECT), OBJECT, MAX_SLOTS_BYTES)
  const header = parseHeader(bytes, OBJECT, ObjectType.slotList, [Suite.none])
  const fields = decode(storedSlots, bytes, OBJECT)
  const ids = new Set(fields.slots.map(({ facts }) => toHex(slotId(header.ownerId, facts))))
  if (ids.size === fields.slots.length) return { ...fields, header, bytes }
  throw new KeystrataError('malformed', `this ${OBJECT} has a slot twice`, { object: OBJECT })
}

/**
 * Computes the id of a slot, 16 bytes. It follows from everything that the slot says, so nobody can put other keys under the
 * id of a slot that somebody knows.
 */
export const slotId = (keysetId: Uint8Array, facts: SlotFacts): Bytes =>
  copyOf(sha256(domain('slot-id'), lengthPrefixed(keysetId), encode(slotFacts, facts)).subarray(0, 16))

/** What signs and authenticates the slots of a keyset. */
export interface SlotsOwner {
  /** 16 bytes. */
  readonly id: Uint8Array
  readonly card: CardKeys
  /** The ids of the keysets that it has adopted. */
  readonly adopted: readonly Uint8Array[]
  readonly master: SecretKey<'master'>
  sign(message: Uint8Array): Bytes
}

/** Encodes slots, signs them, and computes their MAC. */
export function encodeSlots(owner: SlotsOwner, slots: readonly StoredSlot[]): Bytes {
  const { id, master } = owner
  const whole = encode(storedSlots, {
    headerBytes: encodeHeader({ type: ObjectType.slotList, suite: Suite.none, keyId: keyIdOf(master), ownerId: id }),
    slots,
    signature: allocate(SIGNATURE_BYTES),
    mac: allocate(MAC_BYTES),
    checksum: allocate(CHECKSUM_BYTES),
  })
  const authenticated = authenticatedPart(whole)
  authenticated.set(owner.sign(signedMessage(authenticated)), authenticated.length - SIGNATURE_BYTES)
  fillTrailer(whole, (part) => macUnder(master, 'slots-mac', [id], part))
  return whole
}

const signedMessage = (authenticated: Uint8Array): Bytes =>
  concat(domain('sign/slots'), authenticated.subarray(0, -SIGNATURE_BYTES))

/**
 * Checks that the holder of this master key wrote the slots.
 * @throws KeystrataError `authentication-failed`
 */
export function assertUnder(master: SecretKey<'master'>, { header, bytes, mac }: ParsedSlots): void {
  const holds =
    equalBytes(keyIdOf(master), header.keyId) &&
    equalBytes(macUnder(master, 'slots-mac', [header.ownerId], authenticatedPart(bytes)), mac)
  if (!holds) throw authenticationFailed()
}

/**
 * Checks that the owner of this card wrote the slots, for the keyset that the card belongs to.
 * @throws KeystrataError `authentication-failed`
 */
export function assertSignedBy({ ownerId, cardSigning }: CardKeys, { header, bytes, signature }: ParsedSlots): void {
  const message = signedMessage(authenticatedPart(bytes))
  if (!equalBytes(ownerId, header.ownerId) || !isSignatureOf(cardSigning, message, signature)) {
    throw authenticationFailed()
  }
}

/** Returns what a recovery key signs: the id of the keyset that it opens, and its card. */
export const ownershipMessage = (keyset: CardKeys): Bytes =>
  concat(domain('sign/recovery-keyset'), lengthPrefixed(keyset.ownerId), lengthPrefixed(fingerprintBytes(keyset)))

/** The place of a sealed master key: the keyset, and everything that stands in front of it in plain. */
export const slotPlace = (keysetId: Uint8Array, facts: SlotFacts): SecretPlace => ({
  type: ObjectType.slotList,
  ownerId: keysetId,
  context: sha256(encode(slotFacts, facts)),
})

/** Seals the master key into a slot. */
export function sealSlot({ id, master }: SlotsOwner, facts: SlotFacts): StoredSlot {
  const recipient = recipientFor(facts.to, () => toHex(slotId(id, facts)))
  const sealed = withBytes(master, (secret) => sealSecret(recipient, secret, slotPlace(id, facts)))
  return { facts, sealed }
}

/** @throws KeystrataError `malformed` if the keys are invalid; it names the slot */
function recipientFor(to: SlotTarget, id: () => string): Recipient {
  try {
    return to.kind === 'card' ? new Recipient(readCard(to.value).sharing) : recipientOf(to.value.keys)
  } catch (error) {
    if (!(error instanceof KeystrataError)) throw error
    throw new KeystrataError('malformed', 'a slot has invalid keys: leave it out, by naming the others in `only`', {
      object: OBJECT,
      slotId: id(),
    })
  }
}

/** What was found in a store. */
export interface FoundSlots<T> {
  /** The newest version of the object. 0 if the store has none. */
  readonly version: number
  /** What `use` made of the newest undamaged version. Undefined if there is none. */
  readonly value: T | undefined
  /** What is wrong with the newest version, if anything. */
  readonly damage: KeystrataError | undefined
}

/**
 * Passes the newest version of the slots to `use`. If it is damaged, or `use` finds that it was altered, passes the version
 * before it, so that one damaged version locks nobody out.
 * @throws KeystrataError whatever else `use` throws, and `unsupported` if the slots need a later release
 */
export async function readSlots<T>(store: CheckedStore, use: (slots: ParsedSlots) => T): Promise<FoundSlots<T>> {
  const newest = await store.read(SLOTS_NAME)
  if (newest === undefined) return { version: 0, value: undefined, damage: undefined }
  const { version } = newest
  let damage: KeystrataError | undefined
  let bytes: Uint8Array | undefined = newest.bytes
  for (let at = version; bytes !== undefined; at--) {
    try {
      return { version, value: use(parseSlots(bytes)), damage }
    } catch (error) {
      if (!isDamage(error)) throw error
      damage ??= error
    }
    bytes = at === 1 ? undefined : await store.readVersion(SLOTS_NAME, at - 1)
  }
  return { version, value: undefined, damage }
}

/** Returns whether an error means that slots are damaged or were altered. */
const isDamage = (error: unknown): error is KeystrataError =>
  error instanceof KeystrataError && ['malformed', 'limit-exceeded', 'authentication-failed'].includes(error.code)
