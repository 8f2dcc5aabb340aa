// Records: logs and configuration (SPEC §6.7). The combined key of a fresh agreement is used directly, without a mask. Anybody
// who has a public key could seal one, so each is signed by the source; and each names the one before it, so that none can be
// dropped, moved or repeated unseen. A tail that was cut is seen by comparing the last sequence.
import { type Bytes, bytesFrom, EMPTY, equalBytes, wipe } from '../bytes.ts'
import { authenticationFailed, KeystrataError } from '../errors.ts'
import { SIGNATURE_BYTES } from '../format/card.ts'
import { MAX_CONTENT_BYTES } from '../format/envelope.ts'
import { encodeHeader, ObjectType, Suite } from '../format/header.ts'
import type { SigningPair } from '../format/keyset.ts'
import {
  encodeRecord,
  END_FLAG,
  parseRecord,
  parseRecordHead,
  recordMessage,
  recordParameters,
  type StoredRecord,
} from '../format/record.ts'
import { agreeWith, reachAgreement } from '../keys/agreement.ts'
import type { Recipient } from '../keys/key-pairs.ts'
import { agreedLock, associatedData, NONCE_BYTES } from '../keys/lock.ts'
import { nextVersion } from '../keys/version.ts'
import { gcmOpenContent, gcmSealContent } from '../primitives/aead.ts'
import { sha256 } from '../primitives/hash.ts'
import { randomBytes } from '../primitives/random.ts'
import { isSignatureOf, sign } from '../primitives/signature.ts'
import type { EnvelopeKeys } from './envelope-keys.ts'

/**
 * A record by its place in the chain.
 * @example
 * ```ts
 * import type { SealedRecord } from 'keystrata'
 *
 * const pathOf = ({ epoch, sequence }: SealedRecord) => `log/${epoch}/${sequence}`
 * ```
 */
export interface SealedRecord {
  /** 1 for the first of an epoch, and then one more each. */
  readonly sequence: number
  /** What to store: create-only, under its epoch and its sequence. */
  readonly record: Bytes
  /** 0, and one more with every resealing of the whole chain. */
  readonly epoch: number
  /** Whether it is the record that closes its epoch: the last that resealing gives. */
  readonly closes: boolean
}

/** Whose records these are: what every record of a chain has in common. */
export interface RecordOwner {
  readonly ownerId: Uint8Array
  readonly recipient: Recipient
  readonly hybrid: boolean
  readonly signing: SigningPair
}

/** Where in a chain a record stands. */
interface Place {
  readonly epoch: number
  readonly sequence: number
  readonly previous: Uint8Array
}

const START = new Uint8Array(32)

/**
 * Seals the record after another one, or the first one.
 * @throws KeystrataError `authentication-failed` if `after` is not a record of this owner
 */
export async function sealRecord(
  given: Uint8Array,
  after: Uint8Array | 'start',
  owner: RecordOwner,
): Promise<SealedRecord> {
  const content = bytesFrom(given, 'content')
  if (content.length > MAX_CONTENT_BYTES) {
    throw new KeystrataError('limit-exceeded', 'a record holds at most 64 MiB', { bytes: content.length })
  }
  const place = after === 'start' ? { epoch: 0, sequence: 1, previous: START } : placeAfter(after, owner)
  return sealAt(content, place, owner, false)
}

function placeAfter(after: Uint8Array, owner: RecordOwner): Place {
  const last = parseRecord(bytesFrom(after, "after, where it is not 'start',"))
  assertFrom(last, owner.ownerId, owner.signing.publicKey)
  return { epoch: last.header.generation, sequence: nextVersion(last.sequence), previous: sha256(last.bytes) }
}

/** @throws KeystrataError `authentication-failed` if somebody else made this record */
function assertFrom({ header, message, signature }: StoredRecord, ownerId: Uint8Array, publicKey: Uint8Array): void {
  const holds = equalBytes(header.ownerId, ownerId) && isSignatureOf(publicKey, message, signature)
  if (!holds) throw authenticationFailed()
}

/** Seals in a buffer of the record's own, into which the content is copied before this first yields. */
async function sealAt(content: Uint8Array, place: Place, owner: RecordOwner, closes: boolean): Promise<SealedRecord> {
  const { ownerId, recipient, hybrid, signing } = owner
  const suite = hybrid ? Suite.hybrid : Suite.x25519
  const headerBytes = encodeHeader({
    type: ObjectType.record,
    suite,
    keyId: recipient.keyId,
    ownerId,
    generation: place.epoch,
    flags: closes ? END_FLAG : 0,
  })
  const { parts, agreement } = agreeWith(recipient, { headerBytes, hybrid, context: EMPTY })
  const nonce = randomBytes(NONCE_BYTES)
  const lock = agreedLock(agreement, 'combined', nonce, 'record')
  try {
    const { sequence, previous, epoch } = place
    const { commitment } = lock
    const record = encodeRecord(hybrid, { headerBytes, sequence, previous, ...parts, nonce, commitment }, content)
    try {
      const aad = associatedData(headerBytes, recordParameters(record, hybrid), EMPTY)
      const end = record.length - SIGNATURE_BYTES
      await gcmSealContent(lock.key, lock.iv, aad, record.subarray(end - content.length - 16, end))
      record.set(sign(signing.seed, recordMessage(record)), end)
    } catch (error) {
      wipe(record)
      throw error
    }
    return { sequence, record, epoch, closes }
  } finally {
    lock.dispose()
  }
}

/**
 * A record that was opened.
 * @example
 * ```ts
 * import type { OpenedRecord } from 'keystrata'
 *
 * const textOf = ({ content, closes }: OpenedRecord) => (closes ? undefined : new TextDecoder().decode(content))
 * ```
 */
export interface OpenedRecord {
  /** 1 for the first of an epoch, and then one more each. */
  readonly sequence: number
  readonly content: Bytes
  /** 0, and one more with every resealing of the whole chain. */
  readonly epoch: number
  /** Whether this record says that its epoch is complete: all later ones are new. It has no content. */
  readonly closes: boolean
}

/**
 * Opens a record. The caller's rules come before any key, the signature and the chain before the cipher.
 * @param after the bytes of the record before, or 'start' for the first; undefined not to look at the chain
 */
export async function openRecord(
  stored: Uint8Array,
  after: Uint8Array | 'start' | undefined,
  keys: EnvelopeKeys,
  publicKey: Uint8Array,
): Promise<OpenedRecord> {
  return openParsed(parseRecord(bytesFrom(stored, 'record')), after, keys, publicKey)
}

async function openParsed(
  record: StoredRecord,
  after: Uint8Array | 'start' | undefined,
  keys: EnvelopeKeys,
  publicKey: Uint8Array,
): Promise<OpenedRecord> {
  const identity = keys.identityFor(record.header, true)
  assertFrom(record, keys.ownerId, publicKey)
  if (after !== undefined) assertFollows(record, after)
  const { header, headerBytes, sequence, closes } = record
  const hybrid = header.suite === Suite.hybrid
  const place = { headerBytes, hybrid, context: EMPTY }
  const lock = agreedLock(reachAgreement(identity, place, record), 'combined', record.nonce, 'record')
  try {
    if (!equalBytes(lock.commitment, record.commitment)) throw authenticationFailed()
    const aad = associatedData(headerBytes, recordParameters(record.bytes, hybrid), EMPTY)
    const content = await gcmOpenContent(lock.key, lock.iv, aad, record.sealed)
    return { sequence, content, epoch: header.generation, closes }
  } finally {
    lock.dispose()
  }
}

/** @throws KeystrataError `authentication-failed` if a record does not stand right behind the other; `malformed` */
function assertFollows({ header, sequence, previous }: StoredRecord, after: Uint8Array | 'start'): void {
  if (after === 'start') {
    if (sequence === 1 && equalBytes(previous, START)) return
    throw authenticationFailed()
  }
  const last = parseRecordHead(bytesFrom(after, "after, where it is not 'start',"))
  const holds =
    last.header.generation === header.generation &&
    last.sequence + 1 === sequence &&
    equalBytes(sha256(last.head, last.rest), previous)
  if (!holds) throw authenticationFailed()
}

/**
 * Seals a whole chain anew, in the next epoch, and closes that with a record of its own. The chain is verified on the way:
 * it must begin at the start and be without a gap. No record gets weaker than it was.
 */
export async function* resealRecords(
  records: AsyncIterable<Uint8Array>,
  owner: RecordOwner,
  keys: EnvelopeKeys,
): AsyncGenerator<SealedRecord> {
  let before: Uint8Array | 'start' = 'start'
  let next: Place | undefined
  let { hybrid } = owner
  for await (const stored of records) {
    const record = parseRecord(bytesFrom(stored, 'record'))
    const { content, closes } = await openParsed(record, before, keys, owner.signing.publicKey)
    before = record.bytes
    next ??= { epoch: nextEpoch(record.header.generation), sequence: 1, previous: START }
    // What closed the old epoch says nothing in the new one.
    if (closes) continue
    hybrid ||= record.header.suite === Suite.hybrid
    let sealed: SealedRecord
    try {
      sealed = await sealAt(content, next, { ...owner, hybrid }, false)
    } finally {
      wipe(content)
    }
    next = { ...next, sequence: nextVersion(sealed.sequence), previous: sha256(sealed.record) }
    yield sealed
  }
  if (next !== undefined) yield await sealAt(new Uint8Array(0), next, { ...owner, hybrid }, true)
}

function nextEpoch(epoch: number): number {
  if (epoch < 0xffff_ffff) return epoch + 1
  throw new KeystrataError('limit-exceeded', 'no epoch can follow', { epoch })
}
