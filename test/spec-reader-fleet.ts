// The second reader, continued: delegations, and rekeying under them (SPEC §21, §10.5). Like spec-reader.ts, it was written
// from SPEC.md alone, and the notes there apply.
import { ml_kem1024 } from '@noble/post-quantum/ml-kem.js'
import { agree, authentic, cat, check, D, EMPTY, equal, Fields, type Header, hash, hmac, LP } from './spec-reader.ts'
import {
  MIB,
  type OpenedKeyset,
  type Pair,
  pairId,
  type PublicHalf,
  readChecksummed,
  readHeader,
} from './spec-reader.ts'
import { isContributory, readPair, readPublic, recomputePair, same, u8, useCard, x25519, xor } from './spec-reader.ts'
import type { Revision } from './spec-reader-revision.ts'
import { digits } from './spec-reader-share.ts'
import { isSigned, openSeal, readCard, readVersion, SEAL } from './spec-reader-vault.ts'

/** §21 What a machine has that opened a delegation */
export interface Delegation extends Revision {
  keysetId: Buffer
  until: number
  encryption: number
  block: PublicHalf
  retired: Pair[]
  adopted: Buffer[]
}

/** §21 Steps 1 to 4: what anybody can read */
export function parseDelegation(bytes: Uint8Array): Revision & {
  all: Buffer
  header: Header
  until: number
  sealed: Buffer
} {
  const all = readChecksummed(bytes, MIB) // 1, 2
  const header = readHeader(new Fields(all), 21, [0x0000]) // 3
  const fields = new Fields(all.subarray(0, -8)) // 4
  fields.take(48)
  const [version, revision] = [readVersion(fields), fields.take(16)]
  const until = fields.take(8).readBigUInt64BE()
  const sealed = fields.take(fields.u32())
  fields.take(64)
  fields.end()
  check(until <= 8_640_000_000_000_000n, 'malformed')
  return { all, header, version, revision, until: Number(until), sealed }
}

/** §21 DELEGATED */
function readDelegated(P: Buffer): Pick<Delegation, 'encryption' | 'block' | 'retired' | 'adopted'> {
  const fields = new Fields(P)
  const encryption = fields.u8()
  check(encryption <= 2, 'malformed')
  const block = readPublic(fields)
  check(isContributory(block.pkX), 'malformed')
  const retired = fields.list(() => readPair(fields))
  const adopted = fields.list(() => fields.take(16), 16)
  fields.end()
  return { encryption, block, retired, adopted }
}

/** §21 Opens a delegation from the owner of a card, and reports errors in the order given there */
export function openDelegation(bytes: Uint8Array, from: Uint8Array, fleet: OpenedKeyset, now: number): Delegation {
  const card = readCard(from)
  useCard(fleet)
  const { all, header, version, revision, until, sealed } = parseDelegation(bytes) // 1 to 4
  const to60 = LP(digits(card.fingerprint))
  same(header.keyId, pairId(card)) // 5
  same(header.ownerId, card.ownerId)
  const signed = cat(D('sign/delegation'), to60, all.subarray(0, -72))
  check(isSigned(card.cardSigning, signed, all.subarray(-72, -8)), 'authentication-failed')
  check(until > now, 'expired') // 6
  check(sealed.length >= SEAL(0), 'authentication-failed') // 7
  const { keyId } = authentic(() => readHeader(new Fields(sealed), 21, [0x0402]))
  const cards = [fleet.sharing, ...fleet.adopted.map(({ sharing }) => sharing)]
  const pair = cards.find((one) => one !== undefined && equal(pairId(one), keyId))
  check(pair !== undefined, 'key-not-found') // 8
  recomputePair(pair) // §9.3: before its first use, if it is that of an adopted keyset
  const context = cat(to60, all.subarray(0, 80))
  const delegated = authentic(() => readDelegated(openSeal(sealed, 21, pair, card.ownerId, context))) // 9
  return { keysetId: card.ownerId, version, revision, until, ...delegated }
}

/** §10.1 An envelope without its ciphertext */
interface Envelope {
  header: Header
  strength: number // 0 to 2, numbered as the minimum of §3.1
  mode: number
  epk: Buffer
  ctM: Buffer
  mask: Buffer
  tagged: Buffer
  tag: Buffer
}
function readEnvelope(bytes: Uint8Array): Envelope {
  check(bytes.length <= 48 + 32 + 1568 + 1 + 32 + 32, 'malformed')
  const fields = new Fields(bytes)
  const header = readHeader(fields, 4, [0x0000, 0x0101, 0x0102])
  const strength = [0x0000, 0x0101, 0x0102].indexOf(header.suite)
  const [epk, ctM] = [fields.take(strength > 0 ? 32 : 0), fields.take(strength === 2 ? 1568 : 0)]
  const [mode, mask] = [fields.u8(), fields.take(strength > 0 ? 32 : 0)]
  const tagged = fields.bytes.subarray(0, fields.at)
  const tag = fields.take(strength > 0 ? 32 : 0)
  fields.end()
  check(strength === 0 ? mode === 4 : mode >= 1 && mode <= 3, 'unsupported')
  return { header, strength, mode, epk, ctM, mask, tagged, tag }
}

/** §10.5 Whether an envelope is current */
export function isCurrent(bytes: Uint8Array, by: Delegation, now: number): boolean {
  check(by.until > now, 'expired')
  const { header, strength } = readEnvelope(bytes)
  const isOwn = equal(header.ownerId, by.keysetId)
  const isOwner = isOwn || (strength > 0 && by.adopted.some((id) => equal(id, header.ownerId)))
  return equal(header.keyId, pairId(by.block)) && isOwner && strength >= by.block.minimum
}

/** §10.5 The new envelope of a block under a delegation */
export function rekey(bytes: Uint8Array, label: string, by: Delegation, now: number): Buffer {
  check(by.until > now, 'expired')
  check(/^[0-9a-f]{64}$/.test(label), 'malformed') // §10.4 step 1
  const { header, strength, mode, epk, ctM, mask, tagged, tag } = readEnvelope(bytes)
  const isBlock = equal(header.keyId, pairId(by.block))
  const retired = isBlock ? undefined : by.retired.find((one) => equal(pairId(one), header.keyId)) // 2
  check(strength === 0 || retired !== undefined, 'key-not-found')
  if (retired) recomputePair(retired) // §9.3
  const isOwn = equal(header.ownerId, by.keysetId)
  check(isOwn || by.adopted.some((id) => equal(id, header.ownerId)), 'authentication-failed')
  check(strength >= (retired ?? by.block).minimum, 'policy') // 3
  if (strength === 0) {
    check(isOwn && by.block.minimum === 0, 'policy')
    check(isBlock || retired !== undefined, 'key-not-found') // §21
    return cat(tagged.subarray(0, 16), pairId(by.block), tagged.subarray(32))
  }
  const labelBytes = Buffer.from(label, 'hex')
  const F = authentic(() => agree(header, retired!, epk, ctM, labelBytes)) // 4
  same(hmac('sha256', F('kem/envelope'), tagged), tag)
  const suite = strength === 2 || by.encryption === 2 ? 0x0102 : 0x0101
  const newHeader = cat(tagged.subarray(0, 6), u8(suite >> 8), u8(suite & 255), tagged.subarray(8, 16))
  return sealEnvelope(cat(newHeader, pairId(by.block), header.ownerId), suite, mode, by.block, labelBytes, (K) =>
    xor(xor(mask, F('kem/combined')), K),
  )
}

/** §3.2 and §10.1, as the sender */
function sealEnvelope(
  header: Buffer,
  suite: number,
  mode: number,
  { pkX, pkM }: PublicHalf,
  label: Buffer,
  maskOf: (K: Buffer) => Buffer,
): Buffer {
  const esk = Buffer.from(crypto.getRandomValues(new Uint8Array(32)))
  const epk = x25519(esk, Buffer.concat([Buffer.of(9), Buffer.alloc(31)])) // RFC 7748 §6.1
  const isHybrid = suite === 0x0102
  const encapsulated = isHybrid ? ml_kem1024.encapsulate(pkM) : undefined
  const ctM = Buffer.from(encapsulated?.cipherText ?? EMPTY)
  const parts = [header, epk, pkX, ctM, isHybrid ? pkM : EMPTY, label]
  const T = hash('sha512', D('kem-transcript'), ...parts.map(LP))
  const F = (k: Uint8Array, of: string) => hmac('sha512', k, D(of), LP(T)).subarray(0, 32)
  const kX = F(x25519(esk, pkX), 'kem/x25519')
  const X = encapsulated ? xor(kX, F(encapsulated.sharedSecret, 'kem/ml-kem-1024')) : kX
  const tagged = cat(header, epk, ctM, u8(mode), maskOf(F(X, 'kem/combined')))
  return cat(tagged, hmac('sha256', F(X, 'kem/envelope'), tagged))
}
