// The second reader, continued: the verifiers of a login, profiles, and what a server checks (SPEC §12.2 and §13). Like
// spec-reader.ts, it was written from SPEC.md alone, and the notes there apply.
import bcrypt from 'bcryptjs'
import { authentic, cat, check, D, EMPTY, equal, Fields, hash, hmac, KDF, LP, type Header } from './spec-reader.ts'
import {
  isContributory,
  modulusCheck,
  openWrap,
  pairId,
  readChecksummed,
  readHeader,
  recomputeSigning,
  same,
} from './spec-reader.ts'
import { parseRecord } from './spec-reader-record.ts'
import type { RecoveryKey } from './spec-reader-recovery.ts'
import {
  type AdminPair,
  type EKey,
  generationContext,
  isKeyringOf,
  isSigned,
  keyIdOf,
  nameBytes,
  openRecoverySlot,
  parseKeyring,
  type ParsedKeyring,
  readCard,
  readGenerations,
  readVersion,
  SEAL,
  WRAP,
} from './spec-reader-vault.ts'

/** §13.1 VAULT, as read without R */
interface ParsedVault {
  id: Buffer
  dataKeyId: Buffer
  slots: { generation: number; object: Buffer }[] // object: due ‖ WRAP
  recovery: { generation: number; object: Buffer }[]
}
/** §13.1 A record, as read without R */
export interface ParsedProfile {
  all: Buffer
  header: Header
  version: number
  previous: Buffer
  identity: Buffer
  seed: Buffer // a WRAP
  admin?: Buffer // a card
  recoveryKey?: { keys: Buffer; signature: Buffer } // KEYS
  vaults: ParsedVault[]
  handover?: { by: number; message: Buffer; signature: Buffer } // the message ends before the signature
}
export interface Profile {
  id: Buffer
  version: number
  identityDue: boolean // flag 1
  identity: Buffer
  seed: Buffer
  admin?: Buffer
  recoveryKey?: Buffer // KEYS
  vaults: { id: Buffer; dataKeyId: Buffer; keys: (EKey & { due: boolean })[] }[]
}

/** §13.1 VAULT: only its form */
function readVault(fields: Fields): ParsedVault {
  const [id, dataKeyId] = [fields.take(16), fields.take(16)]
  const [slots, recovery] = [readGenerations(fields, 1 + WRAP(16)), readGenerations(fields, SEAL(16))]
  check(slots.length >= 1 && slots.every(({ object }) => object[0]! <= 1), 'malformed')
  return { id, dataKeyId, slots, recovery }
}

/** §13.1 Steps 1 to 4 */
export function parseProfile(bytes: Uint8Array): ParsedProfile {
  const all = readChecksummed(bytes) // 1 and 2
  const header = readHeader(new Fields(all), 12, [0x0000]) // 3
  const recoveryAt = 48 + 8 + 32 + 32 + WRAP(32) // 4
  const countAt = recoveryAt + ([1, 1777, 1697][all[recoveryAt] ?? 3] ?? Infinity)
  check(all.length < countAt + 2 || all.readUInt16BE(countAt) <= 256, 'limit-exceeded')
  const body = new Fields(all.subarray(48, -136))
  const [version, previous] = [readVersion(body), body.take(32)]
  const [identity, seed] = [body.take(32), body.take(WRAP(32))]
  const recovery = body.u8()
  check(recovery <= 2, 'malformed')
  const admin = recovery === 1 ? { admin: body.take(1776) } : {}
  const key = recovery === 2 ? { recoveryKey: { keys: body.take(1632), signature: body.take(64) } } : {}
  const vaults = body.list(() => readVault(body))
  const by = body.u8()
  check(by <= 3, 'malformed')
  const message = all.subarray(0, 48 + body.at)
  const signature = body.take(by === 0 ? 0 : 64)
  body.end()
  check(recovery !== 0 || vaults.every((vault) => vault.recovery.length === 0), 'malformed')
  check(new Set(vaults.map(({ id }) => id.toString('hex'))).size === vaults.length, 'malformed')
  check(by !== 2 || header.flags === 1, 'malformed')
  check(by !== 3 || recovery === 2, 'malformed')
  check(recovery !== 2 || header.flags === 0, 'malformed')
  const handover = by === 0 ? {} : { handover: { by, message, signature } }
  return { all, header, version, previous, identity, seed, ...admin, ...key, vaults, ...handover }
}

/** §13.1: whether the identity of a record signed it */
function isSignedProfile({ all, identity }: ParsedProfile): boolean {
  return isSigned(identity, cat(D('sign/profile'), all.subarray(0, -136)), all.subarray(-136, -72))
}

/** §13.1 Reads a record without R: steps 1 to 4, and the signature */
export function readWithoutKey(bytes: Uint8Array): ParsedProfile {
  const record = parseProfile(bytes)
  check(isSignedProfile(record), 'authentication-failed')
  return record
}

/** §13.1 Object. Reports errors in the order given there. The recovery slots stay sealed. */
export function readProfile(bytes: Uint8Array, rootKey: Uint8Array, floor = 0): Profile {
  const R = Buffer.from(rootKey)
  const record = parseProfile(bytes)
  const { all, header, version, identity, admin, recoveryKey, vaults } = record
  check(version >= floor, 'rollback') // 5
  check(equal(keyIdOf(R), header.keyId), 'wrong-password') // 6
  same(hmac('sha512', KDF(R, EMPTY, 'profile-mac', [], 64), all.subarray(0, -72)), all.subarray(-72, -8)) // 7
  check(isSignedProfile(record), 'authentication-failed')
  return authentic(() => {
    if (admin) readCard(admin)
    if (recoveryKey) checkPublic(recoveryKey.keys)
    const seed = openWrap(record.seed, 22, R, header.ownerId, LP(identity))
    recomputeSigning({ seed, publicKey: identity })
    const opened = vaults.map(({ id, dataKeyId, slots }) => ({
      id,
      dataKeyId,
      keys: slots.map(({ generation, object }) => {
        const key = openWrap(object.subarray(1), 2, R, header.ownerId, generationContext(id, generation))
        return { generation, due: object[0] === 1, key }
      }),
    }))
    const who = { identityDue: header.flags === 1, identity, seed }
    const recovery = { ...(admin ? { admin } : {}), ...(recoveryKey ? { recoveryKey: recoveryKey.keys } : {}) }
    return { id: header.ownerId, version, ...who, ...recovery, vaults: opened }
  })
}

/** §13.1 Step 7: the public keys of KEYS are valid */
function checkPublic(keys: Buffer): void {
  check(isContributory(keys.subarray(0, 32)) && modulusCheck(keys.subarray(32, 1600)), 'authentication-failed')
}

/**
 * §13.2 What an admin gets from a record for a reset. `cards` are their own and those of the sources that their keyset has
 * adopted. `identity` is the one that they pinned, if they did.
 */
export function readForReset(
  bytes: Uint8Array,
  cards: { fingerprint: string; pair: AdminPair }[],
  names: Names,
  identity?: Buffer,
  floor = 0,
): ResetVault[] {
  checkNames(names)
  const record = readWithoutKey(bytes)
  check(record.version >= floor, 'rollback')
  check(identity === undefined || equal(record.identity, identity), 'key-changed')
  check(record.admin !== undefined, 'policy')
  const card = record.admin
  const { fingerprint } = authentic(() => readCard(card))
  const isOurs = cards.some((one) => one.fingerprint === fingerprint)
  check(isOurs, 'key-not-found')
  check(record.version < 2 ** 53 - 1, 'limit-exceeded') // there is no next one
  return openForReset(
    record,
    cards.map(({ pair }) => pair),
    names,
  )
}

interface Names {
  realm: string
  user: string
}
/** §13.2 The names of the new login are encoded before anything else. */
function checkNames({ realm, user }: Names): void {
  nameBytes(realm, 'realm')
  nameBytes(user, 'user')
}

interface ResetVault {
  id: Buffer
  keys: (EKey & { due: boolean })[]
}

/** §13.2 The E-keys in the recovery slots, which may be sealed to any of these */
function openForReset(record: ParsedProfile, pairs: AdminPair[], names: Names): ResetVault[] {
  return record.vaults.map(({ id, slots, recovery }) => ({
    id,
    keys: slots.map(({ generation, object }) => {
      const sealed = recovery.find((one) => one.generation === generation)
      check(sealed !== undefined, 'key-not-found')
      // A SEAL to none of them is key-not-found with any (§4.3).
      const named = pairs.find((pair) => equal(pairId(pair), sealed.object.subarray(16, 32)))
      const place = [named ?? pairs[0]!, record.header.ownerId, names.realm, names.user, id, generation] as const
      return { generation, due: object[0] === 1, key: openRecoverySlot(sealed.object, ...place) }
    }),
  }))
}

/** §13.1: whether a recovery key signed the identity of a profile */
export function isSignedIdentity(publicKey: Buffer, record: ParsedProfile, names: Names): boolean {
  const [id, identity] = [record.header.ownerId, record.identity]
  const signed = [id, nameBytes(names.realm, 'realm'), nameBytes(names.user, 'user'), identity].map(LP)
  return isSigned(publicKey, cat(D('sign/recovery-identity'), ...signed), record.recoveryKey!.signature)
}

/** §13.2 What the holder of a recovery key gets from a record for a reset. `identity` is one that they pinned, if they did. */
export function readForResetByKey(
  bytes: Uint8Array,
  by: RecoveryKey,
  names: Names,
  identity?: Buffer,
  floor = 0,
): ResetVault[] {
  checkNames(names)
  const record = readWithoutKey(bytes)
  check(record.version >= floor, 'rollback')
  check(identity === undefined || equal(record.identity, identity), 'key-changed')
  check(record.admin !== undefined || record.recoveryKey !== undefined, 'policy')
  check(record.recoveryKey !== undefined && equal(record.recoveryKey.keys, by.keys), 'key-not-found')
  check(isSignedIdentity(by.signing.publicKey, record, names), 'authentication-failed')
  check(record.version < 2 ** 53 - 1, 'limit-exceeded')
  return openForReset(record, [by.pair], names)
}

/** §13.3 Steps 2 to 5: whether a record may follow the one that counts; without the verifier */
export function checkFollows(counting: ParsedProfile, next: ParsedProfile): void {
  check(equal(next.header.ownerId, counting.header.ownerId), 'policy') // 2
  check(next.version === counting.version + 1, 'conflict') // 3
  check(equal(next.previous, hash('sha256', counting.all)), 'conflict')
  checkAllowed(counting, next)
}

/** §13.4 Whether a record may come after one, if the version between them is damaged */
function checkComesAfter(c: ParsedProfile, next: ParsedProfile): void {
  check(equal(next.header.ownerId, c.header.ownerId), 'policy')
  check(next.version > c.version, 'conflict')
  checkAllowed(c, next)
}

/** §13.3 Steps 4 and 5 */
function checkAllowed(counting: ParsedProfile, next: ParsedProfile): void {
  check(counting.admin !== undefined || next.admin === undefined, 'policy') // zero trust is not turned off
  const { handover } = next
  if (equal(next.identity, counting.identity)) {
    check(handover === undefined && next.header.flags === counting.header.flags, 'policy')
    return
  }
  check(handover !== undefined, 'policy')
  const by = [counting.identity, counting.admin, counting.recoveryKey?.keys][handover.by - 1]
  check(by !== undefined, 'policy')
  const keys = [() => by, () => readCard(by).cardSigning, () => by.subarray(1600)]
  const key = authentic(keys[handover.by - 1]!)
  const message = cat(D('sign/handover'), handover.message)
  check(isSigned(key, message, handover.signature), 'authentication-failed')
}

/** An object of a store (§6.1): the versions that are left, from the number of the first on */
export interface Versions {
  first: number
  versions: Uint8Array[]
}

/** §13.4 The record that counts, and its version in the store */
export function findCounting({ first, versions }: Versions): { record: ParsedProfile; at: number } {
  const at = (v: number) => versions[v - first]
  const parse = (v: number): ParsedProfile | Error => {
    try {
      return readWithoutKey(at(v)!)
    } catch (error) {
      if ((error as Error).message === 'unsupported') throw error // not skipped
      return error as Error
    }
  }
  const holds = (rule: typeof checkFollows, before: ParsedProfile, next: ParsedProfile) => {
    try {
      rule(before, next)
      return true
    } catch {
      return false
    }
  }
  const counting = (v: number): { record: ParsedProfile; at: number } | Error => {
    const record = parse(v)
    if (at(v - 1) === undefined) return record instanceof Error ? record : { record, at: v }
    if (record instanceof Error) return counting(v - 1)
    const below = parse(v - 1)
    if (!(below instanceof Error) && holds(checkFollows, below, record)) return { record, at: v }
    const c = counting(v - 1)
    if (c instanceof Error || holds(checkFollows, c.record, record)) return { record, at: v }
    return below instanceof Error && holds(checkComesAfter, c.record, record) ? { record, at: v } : c
  }
  check(versions.length > 0, 'missing')
  const found = counting(first + versions.length - 1)
  if (found instanceof Error) throw found
  return found
}

/** §12.2 Verifier: what a server keeps of one */
export interface Verifier {
  version: number
  text: string
}

/** §12.2 The object `login/<key id>`; empty: undefined */
export function readVerifier(bytes: Uint8Array): Verifier | undefined {
  if (bytes.length === 0) return undefined
  const fields = new Fields(Buffer.from(bytes))
  const [version, text] = [readVersion(fields), fields.take(60).toString('latin1')]
  fields.end()
  const cost = /^\$2b\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(text)?.[1]
  check(cost !== undefined && Number(cost) >= 10 && Number(cost) <= 15, 'malformed')
  return { version, text }
}

/** §12.2 Whether a credential belongs to a verifier */
export function matches({ text }: Verifier, credential: string): boolean {
  const L = Buffer.from(credential, 'base64url')
  if (L.length !== 24 || L.toString('base64url') !== credential) return false
  return bcrypt.hashSync(hash('sha512', L).toString('base64').slice(0, 72), text.slice(0, 29)) === text
}

/** §13.3 Whether a server takes a record. `verifier`: the object of the record's keyId (§12.2), if there is one. */
export function checkRecord(records: Versions, next: Uint8Array, verifier: Uint8Array | undefined): void {
  const record = readWithoutKey(next) // 1
  const counting = records.versions.length > 0 ? findCounting(records).record : undefined
  if (counting) checkFollows(counting, record) // 2 to 5
  if (counting && equal(counting.header.keyId, record.header.keyId)) return // 6
  const kept = verifier && readVerifier(verifier)
  check(kept !== undefined && kept.version >= record.version, 'policy')
}

/** §14.2 The keyring that counts */
function findKeyring({ versions }: Versions): ParsedKeyring {
  const [newest, below] = [versions.at(-1)!, versions.at(-2)]
  try {
    return parseKeyring(newest)
  } catch (error) {
    if ((error as Error).message === 'unsupported' || below === undefined) throw error
    return parseKeyring(below)
  }
}

/** §13.3 Whether a server takes a keyring. `keyrings`: what it has under that name. Refused is `refused`: a false. */
export function checkKeyring(records: Versions, keyrings: Versions, vaultId: Buffer, next: Uint8Array): void {
  const keyring = parseKeyring(next) // 1
  check(equal(keyring.vaultId, vaultId), 'policy') // 2
  if (!isKeyringOf(keyring, findCounting(records).record.identity)) {
    // 3 and 4
    const below = records.versions.at(-2)
    check(below !== undefined && isKeyringOf(keyring, identityOf(below)), 'policy')
    throw new Error('refused') // as if another had been quicker
  }
  if (keyrings.versions.length === 0) return // 5
  const stored = findKeyring(keyrings)
  check(keyring.version === stored.version + 1, 'conflict')
  check(equal(keyring.previous, hash('sha256', stored.all)), 'conflict')
}

/** §13.3 Whether a server takes a record of a log. */
export function checkLogRecord(records: Versions, next: Uint8Array): void {
  const { header } = parseRecord(next) // 1
  check(records.versions.length > 0, 'missing') // 2
  const { vaults } = findCounting(records).record
  check(header.suite === 0x0202, 'policy') // 3
  check(
    vaults.some(({ id }) => equal(id, header.ownerId)),
    'policy',
  )
}

/** The identity of a record whose signature holds; otherwise one that signs nothing */
function identityOf(record: Uint8Array): Buffer {
  try {
    return readWithoutKey(record).identity
  } catch {
    return Buffer.alloc(32) // findCounting has thrown `unsupported`
  }
}
