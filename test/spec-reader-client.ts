// The second reader, continued: clients, their validation, and what one device keeps (SPEC §16 to §8). Like
// spec-reader.ts, it was written from SPEC.md alone, and the notes there apply. Escrow and DES-56 are in
// spec-reader-custody.ts.
import { argon2id } from './remembered.ts'
import {
  authentic,
  cat,
  check,
  D,
  EMPTY,
  equal,
  Fields,
  hash,
  hmac,
  KDF,
  LP,
  MIB,
  type OpenedKeyset,
  openLock,
  openParsed,
  openWrap,
  parseKeyset,
  readChecksummed,
  readHeader,
  same,
  u8,
} from './spec-reader.ts'
import { passwordBytes, text } from './spec-reader-text.ts'
import { isSigned, keyIdOf, nameBytes, u64 } from './spec-reader-vault.ts'

export type Role = 'private' | 'account'
export interface TypedKey {
  type: number
  key: Buffer
}
export interface Client {
  realm: string
  account: string
  privateKey: TypedKey
  accountKey?: TypedKey
}
export interface ProvenKey {
  role: number // 1 private, 2 account
  type: number
  hash: Buffer
}
export interface Proven {
  account: string
  client: string
  platform: number
  keys: ProvenKey[]
}
/** §17.1 Keys with their signatures, parsed. `nested` holds the bytes between the two in an escrow (§18.2). */
export interface Signed {
  proven: Proven
  nested: Buffer
  before: Buffer // everything before the count of signatures
  names: Buffer
  verify: (message: (role: Buffer) => Buffer) => void
}
export type Saved =
  | { kind: 1; fields: { realm: string; user: string; loginKey: Buffer; rootKey: Buffer } }
  | { kind: 2; fields: Client & { client: string; platform: number } }
  | { kind: 3; fields: { masterKey: Buffer; accepted?: number; keyset: OpenedKeyset } }
export interface TextPlace {
  table: string
  row: string
  column: string
  version: number
}

export const ZERO16: Buffer = Buffer.alloc(16)
const SMALL = 4096 // §1.6: enrolment, challenge, proof, device key
const TEXT = 64 * 1024 // §1.6
const WRAP = 48 + 32 + 32 + 16 // §4.2: a WRAP without P
export const ROLES: Role[] = ['private', 'account'] // numbered from 1 in §17.1

export const ascii = (x: string): Buffer => Buffer.from(x, 'ascii')

// §16.1 For each type, the size of K in bytes is also the maximum number of characters, except for DES-56, type 4
// (§19)
const sizeOf = (type: number) => [16, 24, 32, 16][type - 1]!
export const typeName = (type: number): Buffer => ascii(type === 4 ? 'DES-56' : `AES-${8 * sizeOf(type)}`)
const suiteOf = (type: number) => 0x0300 + type

/** §16.1 Typed keys */
export function typedKey(given: string, type: number, role: Role, realm: string, account: string): Buffer {
  const characters = Array.from(text(given)).length // code points
  check(characters <= (type === 4 ? 8 : sizeOf(type)), 'invalid-text')
  const names = [nameBytes(realm, 'realm'), nameBytes(account, 'realm')]
  const salt = hash('sha256', D('typed-key'), ...[...names, ascii(role), typeName(type)].map(LP))
  return Buffer.from(
    argon2id(passwordBytes(given), salt, { t: 3, m: 65_536, p: 4, dkLen: sizeOf(type), version: 0x13 }),
  )
}

/** §16.2 The ownerId of an encrypted scope */
export const scopeOwner = (key: Buffer, account: string, role: Role): Buffer =>
  KDF(key, EMPTY, 'owner-id', [nameBytes(account, 'realm'), ascii(role)], 16)

/**
 * §16.2 Opens a block, and reports errors in the order given there; bytes = envelope ‖ ciphertext. The keyId selects
 * the scope.
 */
export function openClientBlock(bytes: Uint8Array, label: string, client: Client): Buffer {
  check(/^[0-9a-f]{64}$/.test(label), 'malformed')
  const labelBytes = Buffer.from(label, 'hex')
  const fields = new Fields(bytes)
  const header = readHeader(fields, 4, [0x0000, 0x0301, 0x0302, 0x0303])
  if (header.suite === 0x0000) {
    check(fields.u8() === 4, 'unsupported')
    const P = Buffer.from(fields.rest())
    check(P.length <= 64 * MIB, 'limit-exceeded')
    check(equal(header.keyId, ZERO16), 'key-not-found')
    same(header.ownerId, ZERO16)
    same(hash('sha256', D('public-label'), LP(nameBytes(client.realm, 'realm')), hash('sha256', P)), labelBytes)
    return P
  }
  const [n, c, sealed] = [fields.take(32), fields.take(32), fields.rest()]
  check(sealed.length >= 16, 'malformed') // §1.1: too few bytes
  check(sealed.length <= 64 * MIB + 16, 'limit-exceeded')
  const i = [client.privateKey, client.accountKey].findIndex((one) => one && equal(keyIdOf(one.key), header.keyId))
  const [K, role] = [[client.privateKey, client.accountKey][i], ROLES[i]]
  check(K !== undefined && role !== undefined, 'key-not-found')
  check(header.suite === suiteOf(K.type), 'authentication-failed')
  const context = [nameBytes(client.account, 'realm'), ascii(role)]
  same(header.ownerId, scopeOwner(K.key, client.account, role))
  const aad = cat(D('aad'), header.bytes, LP(cat(n, c)), LP(labelBytes))
  const P = openLock(K.key, n, 'client-block', [ascii(role), header.ownerId], c, sealed, aad, sizeOf(K.type))
  same(hmac('sha256', KDF(K.key, EMPTY, 'block-label', context, 32), hash('sha256', P)), labelBytes)
  return P
}

function inForm(name: string, of: 'realm' | 'user'): Buffer | undefined {
  try {
    return nameBytes(name, of)
  } catch {
    return undefined
  }
}

/** §17.1 NAME. It must be in the normal form of §1.2, in lower case for a user; invalid UTF-8 is refused too. */
export function readName(fields: Fields, of: 'realm' | 'user' = 'realm'): { name: string; bytes: Buffer } {
  const bytes = fields.take(fields.take(2).readUInt16BE())
  const name = bytes.toString('utf8')
  const form = inForm(name, of)
  check(form !== undefined && equal(form, bytes), 'malformed')
  return { name, bytes }
}

/** §17.1 platform, §16.1 type: a number that is not listed is malformed */
function readNumber(fields: Fields, last: number): number {
  const number = fields.u8()
  check(number >= 1 && number <= last, 'malformed')
  return number
}

/** §17.1 Messages between client and server: the limit, the header, and its empty ids */
function readTold(bytes: Uint8Array, type: number): Fields {
  check(bytes.length <= SMALL, 'limit-exceeded')
  const fields = new Fields(Buffer.from(bytes))
  const { keyId, ownerId } = readHeader(fields, type, [0x0000])
  check(equal(keyId, ZERO16) && equal(ownerId, ZERO16), 'malformed')
  return fields
}

/** §17.1 The fields from the account to the last signature, which enrolments and proofs share */
export function readProven(fields: Fields, readNested: () => Buffer = () => EMPTY): Signed {
  const [account, client, platform] = [readName(fields), readName(fields), readNumber(fields, 5)]
  const keys = fields.list(() => ({ role: fields.u8(), type: readNumber(fields, 4), publicKey: fields.take(32) }))
  check(keys.length >= 1 && keys.length <= 2 && keys.every(({ role }, i) => role === i + 1), 'malformed')
  check(keys.length === 1 || keys[1]!.type !== 4, 'malformed') // only a private key has type 4
  const nested = readNested()
  const before = fields.bytes.subarray(0, fields.at)
  const signatures = fields.list(() => fields.take(64))
  check(signatures.length === keys.length, 'malformed')
  fields.end()
  const hashes = keys.map(({ role, type, publicKey }) => ({ role, type, hash: hash('sha256', publicKey) }))
  const proven: Proven = { account: account.name, client: client.name, platform, keys: hashes }
  /** Checks that each key has signed its message. */
  const verify = (message: (role: Buffer) => Buffer) => {
    const signed = keys.every((key, i) => isSigned(key.publicKey, message(ascii(ROLES[i]!)), signatures[i]!))
    check(signed, 'authentication-failed')
  }
  return { proven, nested, before, verify, names: cat(LP(account.bytes), LP(client.bytes)) }
}

/**
 * §17.1 Enrolment, and the first checks of §17.2: the signatures are valid and the realm is the server's. The challenge
 * stays unparsed bytes here.
 */
export function readEnrolment(bytes: Uint8Array, realm: string): Proven & { challenge: Buffer } {
  const fields = readTold(bytes, 17)
  const challenge = fields.take(fields.take(2).readUInt16BE())
  const named = readName(fields)
  const { proven, before, verify } = readProven(fields)
  verify(() => cat(D('sign/enrolment'), before))
  same(named.bytes, nameBytes(realm, 'realm'))
  return { challenge, ...proven }
}

/** §17.1 Challenge: its fields */
function parseChallenge(bytes: Uint8Array) {
  const fields = readTold(bytes, 18)
  const names = [readName(fields), readName(fields)]
  fields.take(32)
  const date = fields.take(8).readBigUInt64BE()
  check(date <= 8_640_000_000_000_000n, 'malformed')
  const signed = fields.bytes.subarray(0, fields.at)
  const mac = fields.take(32)
  fields.end()
  const assertNames = (realm: string, server: string) => {
    same(names[0]!.bytes, nameBytes(realm, 'realm'))
    same(names[1]!.bytes, nameBytes(server, 'realm'))
  }
  return { date: Number(date), signed, mac, assertNames }
}

/** §17.1 Challenge, as a client reads it */
export function readChallenge(bytes: Uint8Array, realm: string, server: string): void {
  parseChallenge(bytes).assertNames(realm, server)
}

/** §17.2 A challenge that comes back, as its server checks it at the time `now` */
export function readIssued(bytes: Uint8Array, realm: string, server: string, key: Uint8Array, now: number): void {
  const { date, signed, mac, assertNames } = parseChallenge(bytes)
  same(hmac('sha256', key, signed), mac)
  assertNames(realm, server)
  check(date - 5 * 60_000 <= now && now < date + 60_000, 'expired')
}

/** §17.2 What a server keeps of an account */
export interface AccountRow {
  accountKey: { type: number; hash: Buffer } | undefined
  clients: {
    client: Buffer
    state: number
    platform: number
    key: { type: number; hash: Buffer }
    escrow: Buffer | undefined
    issuedAt: number
  }[]
}

/** §17.2 The row of an account */
export function readRow(bytes: Uint8Array): AccountRow {
  const fields = new Fields(bytes)
  const flag = (most = 1) => {
    const value = fields.u8()
    check(value <= most, 'malformed')
    return value
  }
  const hashed = () => ({ type: readNumber(fields, 4), hash: fields.take(32) })
  const time = () => {
    const value = fields.take(8).readBigUInt64BE()
    check(value <= 8_640_000_000_000_000n, 'malformed')
    return Number(value)
  }
  check(fields.u8() === 1, 'malformed')
  const accountKey = flag() === 1 ? hashed() : undefined
  const clients = fields.list(() => ({
    client: fields.take(between(fields.take(2).readUInt16BE(), 1, 255)),
    state: flag(),
    platform: readNumber(fields, 5),
    key: hashed(),
    escrow: flag() === 1 ? fields.take(fields.take(2).readUInt16BE()) : undefined,
    issuedAt: time(),
  }))
  fields.end()
  return { accountKey, clients }
}

function between(value: number, least: number, most: number): number {
  check(value >= least && value <= most, 'malformed')
  return value
}

/** §17.2 The name of the object that has the row of an account */
export function rowName(realm: string, account: string): string {
  const names = [nameBytes(realm, 'realm'), nameBytes(account, 'realm')].map(LP)
  return `account/${hash('sha256', D('account-row'), ...names).toString('hex')}`
}

/** §17.1 Proof. The challenge stays unparsed bytes here: §17.2 checks it after the signatures. */
export function readProof(bytes: Uint8Array): Proven & { challenge: Buffer } {
  const fields = readTold(bytes, 19)
  const challenge = fields.take(fields.take(2).readUInt16BE())
  const { proven, verify, names } = readProven(fields)
  verify((role) => cat(D('sign/key-proof'), LP(challenge), names, LP(role)))
  return { challenge, ...proven }
}

/** §8: the limit, the magic, and the checksum of §9.2. Returns the header and the fields after it. */
function readKept(bytes: Uint8Array, type: number, limit: number) {
  const fields = new Fields(readChecksummed(bytes, limit).subarray(0, -8))
  return { header: readHeader(fields, type, [0x0000]), fields }
}

/** §8 Device key. Reports errors in the order given there, but checks costs (§1.6) before it computes W. */
export function openDeviceKey(bytes: Uint8Array, passphrase: string | undefined): Buffer {
  const { header, fields } = readKept(bytes, 16, SMALL)
  const protectedBy = fields.u8()
  check(protectedBy <= 1, 'malformed')
  let key: Buffer
  if (protectedBy === 0) {
    key = fields.take(32)
    fields.end()
    check(passphrase === undefined, 'policy')
  } else {
    const [t, m, p, salt, wrap] = [fields.u32(), fields.u32(), fields.u32(), fields.take(32), fields.take(WRAP + 32)]
    fields.end()
    check(passphrase !== undefined, 'wrong-password')
    const secret = passwordBytes(passphrase)
    check(t >= 1 && t <= 64 && p >= 1 && p <= 16 && m >= 8 * p && m <= MIB && t * m <= 4 * MIB, 'limit-exceeded')
    const W = Buffer.from(argon2id(secret, salt, { t, m, p, dkLen: 32, version: 0x13 }))
    check(equal(wrap.subarray(16, 32), keyIdOf(W)), 'wrong-password')
    key = authentic(() => openWrap(wrap, 16, W, ZERO16, EMPTY))
  }
  same(header.keyId, keyIdOf(key))
  same(header.ownerId, ZERO16)
  return key
}

/** §8 An optional field */
export const readOptional = <T>(fields: Fields, item: () => T): T | undefined => {
  const present = fields.u8()
  check(present <= 1, 'malformed')
  return present === 1 ? item() : undefined
}

/** §8 A key of type DES-56 is never saved or deposited. */
function readTyped(fields: Fields): TypedKey {
  const type = readNumber(fields, 3)
  return { type, key: fields.take(sizeOf(type)) }
}

/** §8 The export in a saved keyset: §9.2 without the password, because M is known */
function openExport(bytes: Buffer, M: Buffer): OpenedKeyset {
  const parsed = parseKeyset(bytes)
  check(parsed.destination !== 1, 'unsupported')
  return openParsed(parsed, M)
}

/** §8 The contents of a saved handle */
export function readSaved(P: Buffer, kind: number): Saved {
  const fields = new Fields(P)
  let saved: Saved
  if (kind === 1) {
    const [realm, user] = [readName(fields).name, readName(fields, 'user').name]
    saved = { kind, fields: { realm, user, loginKey: fields.take(24), rootKey: fields.take(24) } }
  } else if (kind === 2) {
    const [realm, account, client] = [readName(fields).name, readName(fields).name, readName(fields).name]
    const [platform, privateKey] = [readNumber(fields, 5), readTyped(fields)]
    const accountKey = readOptional(fields, () => readTyped(fields))
    saved = { kind, fields: { realm, account, client, platform, privateKey, ...(accountKey ? { accountKey } : {}) } }
  } else {
    const [masterKey, accepted] = [fields.take(32), readOptional(fields, fields.u8)]
    check(accepted === undefined || accepted <= 2, 'malformed')
    const keyset = openExport(fields.take(fields.u32()), masterKey)
    saved = { kind: 3, fields: { masterKey, ...(accepted === undefined ? {} : { accepted }), keyset } }
  }
  fields.end()
  return saved
}

/** §8 Saved handle. Reports errors in the order given there. */
export function openSaved(bytes: Uint8Array, kind: number, deviceKey: Buffer): Saved {
  const { header, fields } = readKept(bytes, 15, MIB + 4096)
  const [stored, wrap] = [fields.u8(), fields.take(fields.u32())]
  fields.end()
  check(stored === kind, 'unsupported')
  check(equal(header.keyId, keyIdOf(deviceKey)), 'key-not-found')
  same(header.ownerId, ZERO16)
  return authentic(() => readSaved(openWrap(wrap, 7, deviceKey, ZERO16, u8(kind)), kind))
}

/** §8 Text value: a WRAP whose keyId is compared. Reports errors in the order given there. */
export function openText(bytes: Uint8Array, place: TextPlace, deviceKey: Buffer): string {
  const padded = (size: number) => Math.ceil((4 + size) / 32) * 32
  check(bytes.length <= WRAP + padded(TEXT), 'limit-exceeded')
  const all = Buffer.from(bytes)
  const { keyId } = readHeader(new Fields(all), 8, [0x0401])
  check(all.length >= WRAP, 'malformed')
  check(equal(keyId, keyIdOf(deviceKey)), 'key-not-found')
  const names = [place.table, place.row, place.column].map((name) => LP(Buffer.from(name, 'utf8')))
  return authentic(() => {
    const P = openWrap(all, 8, deviceKey, ZERO16, cat(...names, u64(place.version)))
    const fields = new Fields(P)
    const stored = fields.take(fields.u32())
    check(stored.length <= TEXT && P.length === padded(stored.length), 'malformed')
    check(
      fields.rest().every((byte) => byte === 0),
      'malformed',
    )
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(stored)
  })
}
