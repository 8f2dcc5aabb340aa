// The second reader, continued: one record of a log (SPEC §7.1 to §7.3). Like spec-reader.ts, it was written from
// SPEC.md alone, and the notes there apply. Whole logs are in spec-reader-log.ts.
import { agree, authentic, cat, check, D, EMPTY, equal, Fields, hash, hmac, type Header, KDF } from './spec-reader.ts'
import { LP, MIB, openLock, type Pair, pairId, readHeader, recomputePair, same } from './spec-reader.ts'
import { text } from './spec-reader-text.ts'
import { isSigned, keyIdOf } from './spec-reader-vault.ts'

/** Who signs the records of one ownerId. A definition has neither key of a source that it adopted. */
interface Signers {
  sourceSigning?: Buffer
  cardSigning?: Buffer
}

/** What a keyset or a share (§11.2) reads records with */
export interface SignedKeys {
  pairs: Pair[]
  signersOf: (ownerId: Buffer) => Signers | undefined
}
/** What a vault or a scope of a client reads records with: A or K */
export interface SharedKey {
  ownerId: Buffer
  key: Buffer
  suite: number
}
export type RecordKeys = SignedKeys | SharedKey

interface SigningPublic {
  publicKey: Buffer
}
interface KeysetLike {
  id: Buffer
  pairs: Pair[]
  sourceSigning: SigningPublic
  cardSigning?: SigningPublic
  adopted: { id: Buffer; sourceSigning?: Buffer; cardSigning?: SigningPublic }[]
}
/** The keys of a keyset. Its own id takes precedence over the adopted ones, and then the first entry does (§9.3). */
export function keysetKeys({ id, pairs, sourceSigning, cardSigning, adopted }: KeysetLike): SignedKeys {
  const own = { id, sourceSigning: sourceSigning.publicKey, cardSigning }
  const signersOf = (ownerId: Buffer) => {
    const found = [own, ...adopted].find((one) => equal(one.id, ownerId))
    if (found === undefined) return undefined
    return {
      ...(found.sourceSigning && { sourceSigning: found.sourceSigning }),
      ...(found.cardSigning && { cardSigning: found.cardSigning.publicKey }),
    }
  }
  return { pairs, signersOf }
}

/** The keys of a scope. `public` and those under DES-56 have no records. */
export const scopeKeys = (ownerId: Buffer, key: Buffer): SharedKey => ({
  ...{ ownerId, key },
  suite: { 16: 0x0311, 24: 0x0312, 32: 0x0313 }[key.length]!,
})
export const vaultKeys = (ownerId: Buffer, key: Buffer): SharedKey => ({ ownerId, key, suite: 0x0202 })

/** §7.4 An epoch that a close names */
export interface Former {
  epoch: number
  count: number
  last: { number: number; id: Buffer }
  leftOut: { first: number; last: number }[]
}
export interface Close {
  former: Former[]
  last: { number: number; id: Buffer }
}
export interface SealOff {
  epoch: number
  sequence: number
}

export interface ParsedRecord {
  bytes: Buffer
  header: Header
  kind: 'content' | 'close' | 'seal-off'
  epoch: number
  sequence: number
  number: number
  id: Buffer
  position: string
  previous: Buffer
  predecessorDamaged: boolean
}

/** §7.1 */
export function logIdOf(name: string): Buffer {
  const encoded = Buffer.from(text(name), 'utf8')
  check(encoded.length <= 255, 'invalid-text') // the empty text was refused
  return hash('sha256', D('log-name'), LP(encoded)).subarray(0, 16)
}

/** §7.1 The id of a record, from 32 random bytes. S is the source signing seed, A or K. */
export const hedgedId = (S: Buffer, random: Buffer, logId: Buffer, P: Buffer): Buffer =>
  hmac('sha256', KDF(S, EMPTY, 'record-id', [], 32), random, logId, hash('sha256', P)).subarray(0, 16)

/** §7.1 The n of a LOCK, from 32 random bytes; params without n and c */
export function hedgedNonce(
  K: Buffer,
  random: Buffer,
  P: Buffer,
  header: Buffer,
  params: Buffer,
  context: Buffer,
): Buffer {
  const parts = [hash('sha256', P), header, params, context].map(LP)
  return hmac('sha256', KDF(K, EMPTY, 'hedge', [], 32), random, ...parts)
}

function readU64(fields: Fields, least: bigint): number {
  const value = fields.take(8).readBigUInt64BE()
  check(value >= least && value < 1n << 53n, 'malformed')
  return Number(value)
}
const readLast = (fields: Fields) => ({ number: readU64(fields, 0n), id: fields.take(16) })

/** §7.4 What a close says. The ranges of one epoch ascend. */
export function readClose(P: Buffer): Close {
  const fields = new Fields(P)
  const former = fields.list(() => {
    const [epoch, count, last] = [fields.u32(), readU64(fields, 0n), readLast(fields)]
    const leftOut: Former['leftOut'] = []
    for (let ranges = fields.u32(); ranges > 0; ranges--) {
      const range = { first: readU64(fields, 1n), last: readU64(fields, 1n) }
      check(range.first > (leftOut.at(-1)?.last ?? 0) && range.last >= range.first, 'malformed')
      leftOut.push(range)
    }
    return { epoch, count, last, leftOut }
  })
  const last = readLast(fields)
  fields.end()
  return { former, last }
}

/** §7.4 What a seal-off says: which epoch follows its own */
export function readSealOff(P: Buffer, own: number): SealOff {
  const fields = new Fields(P)
  const sealOff = { epoch: fields.u32(), sequence: readU64(fields, 1n) }
  fields.end()
  check(sealOff.epoch > own, 'malformed')
  return sealOff
}

const FIXED = 48 + 8 + 8 + 16 + 32 // §7.1: everything before the body
const signed = (suite: number) => suite <= 0x0102
const agreement = (suite: number) => ({ 0x0101: 32, 0x0102: 32 + 1568 })[suite] ?? 0
/** §7.2: what stands before ct (or P) and behind it */
function bodyOf(suite: number, kind: ParsedRecord['kind']): { before: number; behind: number } {
  if (kind === 'content') return { before: agreement(suite) + 64, behind: 16 + (signed(suite) ? 64 : 32) }
  return { before: 0, behind: signed(suite) ? 128 : 32 }
}

/** §7.1 and §7.2: the fields of a record, of which nothing is authentic yet */
export function parseRecord(bytes: Uint8Array): ParsedRecord {
  check(bytes.length <= 64 * MIB + 4096, 'limit-exceeded')
  const fields = new Fields(bytes)
  const header = readHeader(fields, 5, [0x0000, 0x0101, 0x0102, 0x0202, 0x0311, 0x0312, 0x0313])
  const kind = header.flags & 1 ? 'close' : header.flags & 2 ? 'seal-off' : 'content'
  if (signed(header.suite)) check((kind === 'content') === (header.suite !== 0), 'unsupported')
  const { before, behind } = bodyOf(header.suite, kind)
  check(bytes.length >= FIXED + before + behind, 'malformed')
  const sequence = readU64(fields, 1n)
  const number = readU64(fields, kind === 'content' ? 1n : 0n)
  const [id, previous] = [fields.take(16), fields.take(32)]
  return {
    ...{ bytes: fields.bytes, header, kind, epoch: header.generation, sequence, number, id, previous },
    ...{ position: `${number}-${id.toString('hex')}`, predecessorDamaged: (header.flags & 4) === 4 },
  }
}

const macKey = ({ key, ownerId }: SharedKey) => KDF(key, EMPTY, 'record-mac', [ownerId], 32)

/** §7.2 and §7.3: parses a record, and checks who wrote it and that it belongs to this log */
export function verifyRecord(bytes: Uint8Array, logId: Buffer, keys: RecordKeys): ParsedRecord {
  const record = parseRecord(bytes)
  const { header, kind, bytes: all } = record
  if (!('signersOf' in keys)) {
    check(equal(header.ownerId, keys.ownerId), 'key-not-found')
    check(header.suite === keys.suite, 'authentication-failed')
    same(header.keyId, keyIdOf(keys.key))
    same(hmac('sha256', macKey(keys), D('sign/record'), logId, all.subarray(0, -32)), all.subarray(-32))
    return record
  }
  const signers = keys.signersOf(header.ownerId)
  check(signers !== undefined, 'key-not-found')
  const { sourceSigning, cardSigning } = signers
  check(sourceSigning !== undefined && cardSigning !== undefined, 'policy')
  check(signed(header.suite), 'authentication-failed')
  if (kind === 'content') {
    const message = cat(D('sign/record'), logId, all.subarray(0, -64))
    check(isSigned(sourceSigning, message, all.subarray(-64)), 'authentication-failed')
    return record
  }
  same(header.keyId, Buffer.alloc(16))
  const first = cat(D('sign/record'), logId, all.subarray(0, -128))
  const second = cat(D('sign/record-owner'), logId, all.subarray(0, -64))
  const both =
    isSigned(sourceSigning, first, all.subarray(-128, -64)) && isSigned(cardSigning, second, all.subarray(-64))
  check(both, 'authentication-failed')
  return record
}

/** §7.3 What comes before a record: 'start', or the bytes of a record, which are not verified */
export function checkPlace(record: ParsedRecord, after: Uint8Array | 'start'): void {
  const { sequence, number, kind, epoch, previous, header, predecessorDamaged } = record
  if (after === 'start') {
    check(sequence === 1 && (kind !== 'content' || epoch > 0 || number === 1), 'authentication-failed')
    same(previous, Buffer.alloc(32))
    return
  }
  const before = parseRecord(after)
  check(before.kind !== 'seal-off' && epoch === before.epoch, 'authentication-failed')
  same(header.ownerId, before.header.ownerId)
  check(sequence === before.sequence + 1, 'authentication-failed')
  check(kind !== 'content' || number === before.number + 1, 'authentication-failed')
  if (!predecessorDamaged) same(previous, hash('sha256', after))
}

/** §7.2 The content of a verified record. A close and a seal-off are not encrypted. */
export function decryptRecord({ header, kind, bytes }: ParsedRecord, logId: Buffer, keys: RecordKeys): Buffer {
  const { before, behind } = bodyOf(header.suite, kind)
  const body = new Fields(bytes.subarray(FIXED, bytes.length))
  const [epk, ctM] = [body.take(agreement(header.suite) > 0 ? 32 : 0), body.take(header.suite === 0x0102 ? 1568 : 0)]
  if (kind !== 'content') return bytes.subarray(FIXED, bytes.length - behind)
  const [n, c] = [body.take(32), body.take(32)]
  const sealed = bytes.subarray(FIXED + before, bytes.length - behind + 16)
  const aad = cat(D('aad'), header.bytes, LP(bytes.subarray(48, FIXED + before)), LP(logId))
  if (!('signersOf' in keys)) return openLock(keys.key, n, 'record', [keys.ownerId], c, sealed, aad, keys.key.length)
  const pair = keys.pairs.find((one) => equal(pairId(one), header.keyId)) // §10.4, steps 2 and 3
  check(pair !== undefined, 'key-not-found')
  recomputePair(pair)
  check((header.suite === 0x0102 ? 2 : 1) >= pair.minimum, 'policy')
  const F = authentic(() => agree(header, pair, epk, ctM, EMPTY))
  return openLock(F('kem/combined'), n, 'record', [], c, sealed, aad)
}

/**
 * §7.3 Opens a record, and reports errors in the order given there. Nothing below the minimum is accepted. `after` is
 * undefined if the caller does not say what comes before.
 */
export function openRecord(
  bytes: Uint8Array,
  log: string,
  after: Uint8Array | 'start' | undefined,
  keys: RecordKeys,
): ParsedRecord & { content: Buffer } {
  const logId = logIdOf(log)
  const record = verifyRecord(bytes, logId, keys)
  if (after !== undefined) checkPlace(record, after)
  return { ...record, content: decryptRecord(record, logId, keys) }
}
