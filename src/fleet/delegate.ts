// Delegations (SPEC §21): what machines without the keyset need to rekey its blocks, sealed to the card of a fleet and
// signed by the owner. The object may lie anywhere: only the holder of that card opens it. Not protected: anyone who opens it
// can open every block under the retired key pairs. It never contains the master key, the private halves of the current
// pair, dedup secrets, or keys that sign.
import { allocate, type Bytes, bytesFrom, concat, copyOf, domain, equalBytes, lengthPrefixed } from '../core/bytes.ts'
import {
  type Card,
  type CardHolder,
  type CardKeys,
  cardHolderOf,
  fingerprintBytes,
  keysOfCard,
  type PinnedKeys,
} from '../core/card.ts'
import { bytes, type Codec, decode, encode, sized, struct, time, uint32, version } from '../core/codec.ts'
import { answeredAlike, authenticationFailed, KeystrataError } from '../core/errors.ts'
import { encodeHeader, type Header, HEADER_BYTES, ObjectType, parseHeader } from '../core/header.ts'
import { publicKeyId, Recipient } from '../core/key-pairs.ts'
import { optionsFrom } from '../core/options.ts'
import { timeOf } from '../core/realms.ts'
import { disposeKeys, wiping } from '../core/secret.ts'
import { Suite } from '../core/suite.ts'
import { CHECKSUM_BYTES, copySummed, fillChecksum } from '../core/trailer.ts'
import { sealedToBytes, sealSecret, type SecretPlace } from '../core/wrap.ts'
import { assertComplete } from '../keyset/changes.ts'
import { insidesOf, type Keyset } from '../keyset/keyset.ts'
import { MAX_KEYSET_BYTES } from '../keyset/layout.ts'
import { assertNotExpired } from '../keyset/rekey.ts'
import { revisionId, revisionText } from '../keyset/revision.ts'
import { isSignatureOf, SIGNATURE_BYTES } from '../primitives/signature.ts'
import { type DelegatedKeys, delegatedKeys, type Delegation, OpenedDelegation } from './delegation.ts'

const OBJECT = 'delegation'

/** The fields in front of the sealed keys. */
interface DelegationFacts {
  readonly headerBytes: Uint8Array
  /** The version of the keyset. */
  readonly version: number
  /** The random part of its revision. */
  readonly revision: Bytes
  /** Milliseconds since 1970. */
  readonly until: number
}

interface SignedDelegation extends DelegationFacts {
  /** The keys, as a SEAL. It is bound to the facts. */
  readonly sealed: Uint8Array
}

interface StoredDelegation extends SignedDelegation {
  /** By the card signing key of the keyset. */
  readonly signature: Uint8Array
  readonly checksum: Uint8Array
}

const facts = { headerBytes: bytes(HEADER_BYTES), version, revision: revisionId, until: time }
const delegationFacts: Codec<DelegationFacts> = struct(facts)
const signedDelegation: Codec<SignedDelegation> = struct({ ...facts, sealed: sized(uint32) })
const storedDelegation: Codec<StoredDelegation> = struct({
  ...facts,
  sealed: sized(uint32),
  signature: bytes(SIGNATURE_BYTES),
  checksum: bytes(CHECKSUM_BYTES),
})

/**
 * Seals what rekeying needs to the card of a fleet, and signs it. The fleet opens it with {@link openDelegation}.
 *
 * Call this with the keyset that `saveKeyset` or `changeKeyset` returned after `regenerate`, never before the keyset is
 * stored and never inside the callback of `changeKeyset`, which may run more than once: the fleet would rekey to a key pair
 * that nobody has. A delegation is valid only for the revision that it was made from.
 *
 * Anyone who can rekey a block can also open it. So the fleet, and everybody who gets its keys, can open every block and
 * every record under a retired key pair, if they can read it, and also after it was rekeyed, if they kept a copy. The next
 * delegation gives them what was sealed in between. They learn today's public keys too, which writers alone have
 * otherwise. They get nothing that signs, seals into shares, or unlocks the keyset.
 *
 * A machine that can write heads can also destroy blocks. If you do not trust the fleet, first take away its write access,
 * then open every block once (`verifyBlocks`), and only then check and forget the retired pairs.
 * @param keyset the keyset as it is stored. If it has no retired key pairs, there is nothing to rekey
 * @param to the card of the fleet's own keyset, whose fingerprint you compared. Make a new one for each rekeying, and
 *   delete it afterwards: it opens every delegation that was ever sealed to it
 * @param options `until`: when the fleet should stop. It is a request: a machine that keeps the keys can ignore it, and a
 *   delegation cannot be recalled. To stop workers earlier, change the keyset
 * @returns 3,458 bytes, and 1,697 for each retired key pair. It may lie anywhere, as long as the fleet's keyset is safe
 * @throws KeystrataError `policy` if the keyset was unlocked from a `definition`
 * @throws KeystrataError `key-changed` if card and fingerprint do not match, `invalid-text` if that is not 60 digits
 * @throws KeystrataError `malformed`, `unsupported` or `authentication-failed` if `to` has invalid bytes
 * @throws KeystrataError `disposed` if the keyset was disposed of
 * @throws RangeError if `until` is not a valid Date in 1970 or later
 * @throws TypeError if `keyset` is not a keyset from this copy of the library, or `to` is not a card
 * @throws TypeError for an unknown option
 * @example
 * ```ts
 * import { type Card, changeKeyset, type Keyset } from 'keystrata'
 * import { delegate } from 'keystrata/fleet'
 * import type { StateStore } from 'keystrata/stores'
 *
 * async function regenerateWith(fleet: Card, state: StateStore, keyset: Keyset) {
 *   using regenerated = await changeKeyset(state, keyset, (newest) => newest.regenerate())
 *   return delegate(regenerated, fleet, { until: new Date(Date.now() + 7 * 86_400_000) })
 * }
 * ```
 */
export function delegate(keyset: Keyset, to: Card, options: { until: Date }): Bytes {
  const until = timeOf(optionsFrom(options, { until: 'required' }, 'delegate').until)
  if (!Number.isFinite(until) || until < 0) throw new RangeError('until must be a valid Date in 1970 or later')
  const contents = assertComplete(insidesOf(keyset, 'keyset').contents, 'a delegation')
  const holder = cardHolderOf(keyset, 'keyset', 'a delegation')
  const recipient = new Recipient(keysOfCard(to).sharing)
  const { id: ownerId, version, revision, encryption, blockPair, adopted, additional } = contents
  const { keys: owner } = holder
  const keyId = publicKeyId(owner.sharing)
  const headerBytes = encodeHeader({ type: ObjectType.delegation, suite: Suite.none, keyId, ownerId })
  const facts = { headerBytes, version, revision, until }
  const keys = encode(delegatedKeys, {
    encryption,
    blockPair: blockPair.publicHalves,
    retired: additional.retired,
    adopted: adopted.map(({ id }) => id),
  })
  using _ = wiping(keys)
  const signed = { ...facts, sealed: sealSecret(recipient, keys, placeOf(owner, facts)) }
  const signature = holder.sign(signedMessage(owner, signed))
  const whole = encode(storedDelegation, { ...signed, signature, checksum: allocate(CHECKSUM_BYTES) })
  fillChecksum(whole)
  return whole
}

/**
 * Opens a delegation with the keyset of a fleet. The result rekeys blocks until the date that the owner has set. Call
 * `checkWriter` before and after each piece of work, and stop if it throws.
 * @param fleet the unlocked keyset whose card the owner has sealed it to. The result does not need it any more
 * @param options `from`: the card of the owner, whose fingerprint you compared
 * @throws KeystrataError `authentication-failed` if the owner of that card did not make it for this keyset, or it was
 *   altered
 * @throws KeystrataError `expired` from `until` on
 * @throws KeystrataError `key-not-found` if it is sealed to another card
 * @throws KeystrataError `policy` if `fleet` was unlocked from a `definition`, `disposed` if it was disposed of
 * @throws KeystrataError `key-changed` if card and fingerprint do not match, `invalid-text` if that is not 60 digits
 * @throws KeystrataError `limit-exceeded` if it is over 1 MiB
 * @throws KeystrataError `malformed` or `unsupported` if it is not a delegation of this release, or `from` has invalid bytes
 * @throws TypeError if `fleet` is not a keyset from this copy of the library, `from` is not a card, or `delegation` is not a
 *   Uint8Array
 * @throws TypeError for an unknown option
 * @example
 * ```ts
 * import type { Card, Keyset } from 'keystrata'
 * import { openDelegation } from 'keystrata/fleet'
 *
 * function startWorker(stored: Uint8Array, fleet: Keyset, owner: Card) {
 *   return openDelegation(stored, fleet, { from: owner }) // pass it to checkWriter, and then to rekeyBlocks
 * }
 * ```
 */
export function openDelegation(delegation: Uint8Array, fleet: Keyset, options: { from: Card }): Delegation {
  const { from } = optionsFrom(options, { from: 'required' }, 'openDelegation')
  const owner = keysOfCard(from)
  const holder = cardHolderOf(fleet, 'fleet', 'opening a delegation')
  const stored = readDelegation(delegation)
  assertSignedBy(owner, stored)
  const { version, revision, until, sealed } = stored
  assertNotExpired(until)
  const opened = openKeys(holder, sealed, placeOf(owner, stored))
  using _ = wiping(opened)
  const keys = answeredAlike(() => keysIn(opened))
  const facts = { id: copyOf(owner.ownerId), revision: revisionText({ version, id: revision }), until }
  return new OpenedDelegation(facts, keys)
}

/**
 * Opens the sealed keys. The owner has signed them, so every failure but another card gives the same error.
 * @throws KeystrataError `key-not-found`, `authentication-failed`
 */
function openKeys(holder: CardHolder, sealed: Uint8Array, place: SecretPlace): Bytes {
  // Without this check, one that is cut in its tag could be taken for one to another card.
  if (sealed.length < sealedToBytes(0)) throw authenticationFailed()
  try {
    return holder.openSealed(sealed, OBJECT, place)
  } catch (error) {
    const isMalformed = error instanceof KeystrataError && ['malformed', 'unsupported'].includes(error.code)
    throw isMalformed ? authenticationFailed() : error
  }
}

/** Decodes the keys, and checks those that are not compared at first use. */
function keysIn(opened: Uint8Array): DelegatedKeys {
  const keys = decode(delegatedKeys, opened, OBJECT)
  try {
    new Recipient(keys.blockPair)
    return keys
  } catch (error) {
    disposeKeys(keys)
    throw error
  }
}

/**
 * Copies a delegation and checks its form. The checksum comes first, so accidental damage is always `malformed`.
 * @throws KeystrataError `limit-exceeded` over 1 MiB; `malformed`, `unsupported`
 */
function readDelegation(given: Uint8Array): StoredDelegation & { readonly header: Header } {
  const bytes = copySummed(bytesFrom(given, OBJECT), OBJECT, MAX_KEYSET_BYTES)
  const header = parseHeader(bytes, OBJECT, ObjectType.delegation, [Suite.none])
  return { ...decode(storedDelegation, bytes, OBJECT), header }
}

/**
 * Checks that the owner of this card has signed a delegation, for the keyset that the card belongs to.
 * @throws KeystrataError `authentication-failed`
 */
function assertSignedBy(owner: CardKeys, stored: StoredDelegation & { readonly header: Header }): void {
  const { header, signature } = stored
  const holds =
    equalBytes(header.keyId, publicKeyId(owner.sharing)) &&
    equalBytes(header.ownerId, owner.ownerId) &&
    isSignatureOf(owner.cardSigning, signedMessage(owner, stored), signature)
  if (!holds) throw authenticationFailed()
}

function signedMessage(owner: PinnedKeys, { headerBytes, version, revision, until, sealed }: SignedDelegation): Bytes {
  const signed = encode(signedDelegation, { headerBytes, version, revision, until, sealed })
  return concat(domain('sign/delegation'), lengthPrefixed(fingerprintBytes(owner)), signed)
}

/** The place of the sealed keys: the card of the owner, and everything in front of the keys in plain. */
function placeOf(owner: CardKeys, { headerBytes, version, revision, until }: DelegationFacts): SecretPlace {
  const facts = encode(delegationFacts, { headerBytes, version, revision, until })
  return {
    type: ObjectType.delegation,
    ownerId: owner.ownerId,
    context: concat(lengthPrefixed(fingerprintBytes(owner)), facts),
  }
}
