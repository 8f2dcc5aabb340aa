// The second reader, continued: recovery keys, codes, parts and slots, and the text form (SPEC §20). Like spec-reader.ts,
// it was written from SPEC.md alone, and the notes there apply.
import { ed25519, x25519 } from '@noble/curves/ed25519.js'
import { ml_kem1024 } from '@noble/post-quantum/ml-kem.js'
import { cat, check, D, EMPTY, equal, Fields, hash, hmac, KDF, LP, MIB, type Keys } from './spec-reader.ts'
import { type OpenedKeyset, openParsed, pairId, parseKeyset, readChecksummed, readHeader } from './spec-reader.ts'
import { same, type Signing, u8, useCard } from './spec-reader.ts'
import { ascii } from './spec-reader-client.ts'
import { ALPHABET, parseCode } from './spec-reader-custody.ts'
import { checkFloor, type Revision, textOf } from './spec-reader-revision.ts'
import { digits } from './spec-reader-share.ts'
import { plain, text as nameText } from './spec-reader-text.ts'
import { fingerprintOf, isSigned, keyIdOf, openSeal, readVersion, SEAL } from './spec-reader-vault.ts'

/** §20.1 A recovery key */
export interface RecoveryKey {
  pair: Keys
  signing: Signing
  keys: Buffer // KEYS
}

/** §20.1 The key pairs that follow from a secret: a code as ASCII, or the 32 bytes of a device */
export function recoveryKeyOf(secret: Buffer, source: 'code' | 'secret'): RecoveryKey {
  const derive = (label: string, L: number) => KDF(secret, EMPTY, label, [ascii(source)], L)
  const [skX, seedM] = [derive('recovery-x25519', 32), derive('recovery-ml-kem-1024', 64)]
  const seed = derive('recovery-signing', 32)
  const [pkX, pkM] = [Buffer.from(x25519.getPublicKey(skX)), Buffer.from(ml_kem1024.keygen(seedM).publicKey)]
  const publicKey = Buffer.from(ed25519.getPublicKey(seed))
  return { pair: { skX, seedM, pkX, pkM }, signing: { seed, publicKey }, keys: cat(pkX, pkM, publicKey) }
}
/** §20.2 Recovery code, as a person typed it */
export const parseRecoveryCode = (typed: string): string => parseCode(typed, 'recovery-code')
export const recoveryKeyOfCode = (typed: string): RecoveryKey => recoveryKeyOf(ascii(parseRecoveryCode(typed)), 'code')

// §20.3: numbers as characters, five bits each, the highest first
const valueOf = (character: string): number => ALPHABET.indexOf(character)
function toBits(characters: string): string {
  return Array.from(characters, (one) => valueOf(one).toString(2).padStart(5, '0')).join('')
}
const toCharacters = (bits: string) => (bits.match(/.{5}/g) ?? []).map((five) => ALPHABET[parseInt(five, 2)]).join('')
const bitsOf = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('')
const bytesOf = (bits: string) => Buffer.from((bits.match(/.{8}/g) ?? []).map((eight) => parseInt(eight, 2)))

/** §20.3 GF(2⁸) with the polynomial x⁸ + x⁴ + x³ + x + 1 */
export function times(a: number, b: number): number {
  let product = 0
  for (let bit = 0; bit < 8; bit++) {
    if ((b >> bit) & 1) product ^= a
    a = a & 0x80 ? ((a << 1) ^ 0x11b) & 0xff : a << 1
  }
  return product
}
/** The inverse of a is a²⁵⁴. */
export function inverse(a: number): number {
  let power = 1
  for (let i = 0; i < 254; i++) power = times(power, a)
  return power
}

interface Part {
  set: string
  number: number
  n: number
  k: number
  share: Buffer
}

/** §20.3 The five characters of the check */
const partCheck = (before: string) =>
  toCharacters(bitsOf(hash('sha256', D('recovery-part'), ascii(before))).slice(0, 25))

/** §20.3 One part, as a person typed it */
function parsePart(typed: string): Part {
  const characters = plain(typed).toUpperCase()
  check(/^[0-9A-HJKMNP-TV-Z]{45}$/.test(characters), 'invalid-text')
  check(characters.slice(40) === partCheck(characters.slice(0, 40)), 'invalid-text')
  const [number, n, k] = [valueOf(characters[5]!), valueOf(characters[6]!), valueOf(characters[7]!)]
  check(k >= 2 && k <= n && number >= 1 && number <= n, 'invalid-text')
  const share = bytesOf(toBits(characters.slice(8, 40)))
  check(share[19] !== 0, 'invalid-text')
  return { set: characters.slice(0, 5), number, n, k, share }
}

/** §20.3 The code that parts give */
export function combineParts(texts: readonly string[]): string {
  const given = texts.map(parsePart)
  const first = given[0]
  check(first !== undefined, 'invalid-text')
  check(
    given.every(({ set, n, k }) => set === first.set && n === first.n && k === first.k),
    'invalid-text',
  )
  const byNumber = new Map(given.map((part) => [part.number, part])) // the last one
  check(byNumber.size >= first.k, 'invalid-text')
  const shares = [...byNumber.values()].map(({ share }) => share)
  const xs = shares.map((share) => share[19]!)
  check(new Set(xs).size === xs.length, 'invalid-text')
  // Lagrange: the value at 0 is the sum of y · ∏ x' / (x' − x), and − is ⊕.
  const S = Buffer.alloc(19)
  for (const [i, share] of shares.entries()) {
    const others = xs.filter((_, at) => at !== i)
    const weight = others.reduce((product, x) => times(product, times(x, inverse(x ^ xs[i]!))), 1)
    for (let at = 0; at < 19; at++) S[at]! ^= times(share[at]!, weight)
  }
  const bits = bitsOf(S)
  check(bits.endsWith('00'), 'invalid-text')
  return parseRecoveryCode(toCharacters(bits.slice(0, 150)))
}

/** §20.3 Splits a code. `random`: k − 1 coefficients for each of the 19 bytes, those of x first. */
export function splitCode(code: string, set: string, xs: readonly number[], k: number, random: Uint8Array): string[] {
  const S = bytesOf(`${toBits(code)}00`)
  return xs.map((x, i) => {
    const y = S.map((byte, at) => {
      const coefficients = random.subarray(at * (k - 1), (at + 1) * (k - 1))
      return (
        byte ^
        times(
          x,
          coefficients.reduceRight((sum, coefficient) => times(sum, x) ^ coefficient, 0),
        )
      )
    })
    const before = [set, ALPHABET[i + 1], ALPHABET[xs.length], ALPHABET[k], toCharacters(bitsOf(cat(y, u8(x))))].join(
      '',
    )
    return (before + partCheck(before)).match(/.{5}/g)!.join('-')
  })
}

/** §20.4 FACTS, the id that follows from them, and the SEAL behind them */
export interface Slot {
  facts: Buffer
  id: Buffer
  created: number
  label: string
  kind: number
  k?: number
  n?: number
  keys?: Buffer // KEYS
  signature?: Buffer
  card?: Buffer
  seal: Buffer
}
interface ParsedSlots {
  all: Buffer
  keyId: Buffer
  ownerId: Buffer
  slots: Slot[]
}

/** §20.4: what is shown of a label */
function shownLabel(bytes: Buffer): string {
  try {
    const label = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    return nameText(label) === label ? label : ''
  } catch {
    return ''
  }
}

function readSlot(fields: Fields, keysetId: Buffer): Slot {
  const from = fields.at
  const created = fields.take(8).readBigUInt64BE()
  const label = fields.take(fields.take(2).readUInt16BE())
  const kind = fields.u8()
  check(created <= 8_640_000_000_000_000n && label.length >= 1 && label.length <= 255, 'malformed')
  check(kind >= 1 && kind <= 4, 'malformed')
  const [k, n] = kind === 2 ? [fields.u8(), fields.u8()] : []
  check(k === undefined || n === undefined || (k >= 2 && k <= n && n <= 31), 'malformed')
  const held = kind === 3 ? { card: fields.take(1776) } : { keys: fields.take(1632), signature: fields.take(64) }
  const facts = fields.bytes.subarray(from, fields.at)
  const id = hash('sha256', D('slot-id'), LP(keysetId), facts).subarray(0, 16)
  const parts = k === undefined || n === undefined ? {} : { k, n }
  const seal = fields.take(SEAL(32))
  return { facts, id, created: Number(created), label: shownLabel(label), kind, ...parts, ...held, seal }
}

/** §20.4 Steps 1 to 4 */
export function parseSlots(bytes: Uint8Array): ParsedSlots {
  const all = readChecksummed(bytes, 256 * 1024)
  const { keyId, ownerId } = readHeader(new Fields(all), 20, [0x0000])
  const body = new Fields(all.subarray(48, -136))
  const slots = body.list(() => readSlot(body, ownerId), 64)
  body.end()
  check(new Set(slots.map(({ facts }) => facts.toString('hex'))).size === slots.length, 'malformed')
  return { all, keyId, ownerId, slots }
}

/** Who opens a slot: the holder of a recovery key, or of the private keys of cards, who expects a keyset's card */
export type By = { recoveryKey: RecoveryKey } | { cards: Keys[]; from: string }

/** §20.5 Steps 1 to 3, of one version of `slots` */
function openSlots(bytes: Uint8Array, by: By): { parsed: ParsedSlots; slot: Slot; M: Buffer } {
  const parsed = parseSlots(bytes) // 1
  const pairs = 'recoveryKey' in by ? [by.recoveryKey.pair] : by.cards
  const pairOf = ({ seal }: Slot) => pairs.find((pair) => equal(pairId(pair), seal.subarray(16, 32)))
  const slot = parsed.slots.find((one) => {
    check(one.seal.toString('latin1', 0, 4) === 'KSTR', 'authentication-failed') // 2
    readHeader(new Fields(one.seal), 20, [0x0402])
    return pairOf(one) !== undefined
  })
  check(slot !== undefined, 'key-not-found')
  const context = hash('sha256', slot.facts) // 3
  const M = openSeal(slot.seal, 20, pairOf(slot)!, parsed.ownerId, context)
  same(keyIdOf(M), parsed.keyId)
  const { all } = parsed
  same(hmac('sha512', KDF(M, EMPTY, 'slots-mac', [parsed.ownerId], 64), all.subarray(0, -72)), all.subarray(-72, -8))
  return { parsed, slot, M }
}

/** Objects of a store (§6.1): the versions that are left, the newest last */
export interface Stored {
  slots: Uint8Array[]
  keyset: Uint8Array[]
}

/** §20.5 The newest version of `slots` that passes */
function findSlots(versions: Uint8Array[], by: By): ReturnType<typeof openSlots> {
  let error: Error | undefined
  for (const bytes of versions.toReversed()) {
    try {
      return openSlots(bytes, by)
    } catch (caught) {
      const { message } = caught as Error
      if (!['malformed', 'limit-exceeded', 'authentication-failed'].includes(message)) throw caught
      error ??= caught as Error
    }
  }
  throw error ?? new Error('missing')
}

/** §20.5 The newest version of `keyset`, or the newest older one that is under M */
function findKeyset(versions: Uint8Array[], M: Buffer, floor?: Revision): ReturnType<typeof parseKeyset> {
  const read = (bytes: Uint8Array) => {
    const parsed = parseKeyset(bytes)
    check(parsed.destination === 3, 'policy')
    return parsed
  }
  const isUnder = ({ header }: ReturnType<typeof parseKeyset>) => equal(header.keyId, keyIdOf(M))
  const [newest, ...older] = versions.toReversed()
  check(newest !== undefined, 'missing')
  const first = read(newest)
  if (floor) checkFloor(first, floor)
  if (isUnder(first)) return first
  const passing = older.flatMap((bytes) => {
    try {
      return [read(bytes)]
    } catch {
      return []
    }
  })
  const found = passing.find(isUnder)
  check(found !== undefined, 'key-not-found')
  if (floor) checkFloor(found, floor)
  return found
}

/** §20.5 Opening a slot: the keyset, and the slot that opened. `expected`: a keyset id */
export function openByRecovery(
  stored: Stored,
  by: By,
  floor?: Revision,
  expected?: Buffer,
): { keyset: OpenedKeyset; slot: Slot; M: Buffer } {
  const { parsed, slot, M } = findSlots(stored.slots, by)
  const keyset = openParsed(findKeyset(stored.keyset, M, floor), M)
  same(keyset.id, parsed.ownerId)
  useCard(keyset)
  const { sharing, cardSigning, sourceSigning } = keyset
  const { all } = parsed
  const message = cat(D('sign/slots'), all.subarray(0, -136))
  check(isSigned(cardSigning!.publicKey, message, all.subarray(-136, -72)), 'authentication-failed')
  const fingerprint = fingerprintOf(sharing!, cardSigning!.publicKey, sourceSigning.publicKey)
  if ('recoveryKey' in by) {
    const signed = cat(D('sign/recovery-keyset'), LP(keyset.id), LP(digits(fingerprint)))
    const { keys, signing } = by.recoveryKey
    check(slot.keys !== undefined && slot.signature !== undefined && equal(slot.keys, keys), 'authentication-failed')
    check(isSigned(signing.publicKey, signed, slot.signature), 'authentication-failed')
  } else check(fingerprint === by.from, 'key-changed')
  check(expected === undefined || equal(keyset.id, expected), 'policy')
  return { keyset, slot, M }
}

/** §20.6 The names of the types */
const TYPES: Record<number, string> = {
  1: 'DATA KEY WRAP',
  2: 'SLOT',
  3: 'RECOVERY SLOT',
  4: 'ENVELOPE',
  5: 'RECORD',
  6: 'INVITE',
  7: 'SEALED SECTION',
  8: 'TEXT VALUE',
  9: 'ESCROW',
  10: 'REGISTRATION',
  11: 'KEYRING',
  12: 'PROFILE',
  13: 'KEYSET',
  14: 'CARD',
  15: 'SAVED HANDLE',
  16: 'DEVICE KEY',
  17: 'ENROLMENT',
  18: 'CHALLENGE',
  19: 'PROOF',
  20: 'SLOT LIST',
  21: 'DELEGATION',
  22: 'IDENTITY',
}
function typeNameOf(object: Buffer): string {
  check(object.length >= 48 && object.toString('latin1', 0, 4) === 'KSTR', 'malformed')
  const name = TYPES[object[5]!]
  check(object[4] === 1 && name !== undefined, 'unsupported')
  return name
}
const armorCheck = (object: Buffer) => hash('sha256', D('armor'), object).subarray(0, 6).toString('base64')

/** §20.6 The text form of an object */
export function armor(bytes: Uint8Array): string {
  const object = Buffer.from(bytes)
  const name = typeNameOf(object)
  const [keyId, ownerId] = [object.subarray(16, 32), object.subarray(32, 48)]
  const lines = [`Id: ${(ownerId.every((byte) => byte === 0) ? keyId : ownerId).toString('hex')}`]
  const body = new Fields(object.subarray(48))
  if (object[5] === 12) lines.push(`Revision: ${body.take(8).readBigUInt64BE()}`)
  if (object[5] === 21) lines.push(`Revision: ${textOf({ version: readVersion(body), revision: body.take(16) })}`)
  if (object[5] === 13) {
    const [version, revision] = [body.take(8).readBigUInt64BE(), body.take(16)]
    body.list(() => body.take(24)) // the history
    lines.push(`Revision: ${textOf({ version: Number(version), revision })}`)
    lines.push(`Export: ${['host', 'definition', 'storage'][body.u8() - 1]}`)
  }
  const data = object
    .toString('base64')
    .replaceAll('=', '')
    .match(/.{1,64}/g)!
  const begin = `-----BEGIN KEYSTRATA ${name}-----`
  return [begin, ...lines, '', ...data, `=${armorCheck(object)}`, `-----END KEYSTRATA ${name}-----`, ''].join('\n')
}

/** §20.6 The object in a text */
export function dearmor(typed: string): Buffer {
  check(typed.isWellFormed() && typed.length <= 4 * MIB, 'invalid-text')
  const left = typed.replace(/[\p{White_Space}\uFEFF>|\u00AD\u061C\u180E\u200B-\u200F\u202A-\u202E\u2060-\u206F]/gu, '')
  const [, ...behind] = left.split('BEGINKEYSTRATA')
  const [object, ...others] = behind.map(objectIn)
  check(object !== undefined && others.every((other) => equal(other, object)), 'invalid-text')
  return object
}
/** §20.6 The object behind one BEGINKEYSTRATA */
function objectIn(behind: string): Buffer {
  const end = behind.indexOf('ENDKEYSTRATA')
  check(end >= 0, 'invalid-text')
  const inside = behind.slice(0, end)
  const [from, to] = [inside.indexOf('S1NUUg'), inside.lastIndexOf('=')]
  check(from >= 0 && to >= from, 'invalid-text')
  const [body, tail] = [inside.slice(from, to), inside.slice(to + 1)]
  const object = Buffer.from(body, 'base64')
  check(object.toString('base64').replaceAll('=', '') === body, 'invalid-text')
  check(tail.slice(0, 8) === armorCheck(object) && !/[A-Za-z0-9_+/]/.test(tail.slice(8)), 'invalid-text')
  const name = typeNameOf(object)
  const fitting = Object.values(TYPES).filter((each) => behind.startsWith(each.replaceAll(' ', '')))
  check(fitting.includes(name) && fitting.every((each) => each.length <= name.length), 'invalid-text')
  return object
}
