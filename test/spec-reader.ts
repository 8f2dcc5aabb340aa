// A second reader of the format. Its author wrote it from SPEC.md alone, without seeing src/. Tests compare the two:
// both must open the same objects, and refuse the others with the same error name. Read it beside the spec; each §
// names a section there. It is not a library: it trusts its caller, wipes nothing and caches nothing.
// The other parts are spec-reader-pack.ts (§10.6), spec-reader-record.ts and spec-reader-log.ts (§7),
// spec-reader-vault.ts (§5 to §15), spec-reader-profile.ts (§12.2 and §13), spec-reader-share.ts (§11),
// spec-reader-client.ts (§16 to §8), spec-reader-custody.ts (§18 and §19), spec-reader-recovery.ts (§20),
// spec-reader-fleet.ts (§21 and §10.5), spec-reader-hedge.ts (random values) and spec-reader-revision.ts (the revisions
// of §9.2).
import * as crypto from 'node:crypto'
import { gcm } from '@noble/ciphers/aes.js'
import { argon2id } from './remembered.ts'
import { ml_kem1024 } from '@noble/post-quantum/ml-kem.js'
import { checkFloor, type Placed, readHistory, type Revision } from './spec-reader-revision.ts'
import { passwordBytes } from './spec-reader-text.ts'

export interface PublicHalf {
  minimum: number
  pkX: Buffer
  pkM: Buffer
}
export interface PrivateHalf {
  skX: Buffer
  seedM: Buffer
}
export type Pair = PublicHalf & PrivateHalf
export type Keys = Omit<Pair, 'minimum'>
type Share = { id: Buffer } & PublicHalf & Partial<PrivateHalf>
export interface Signing {
  seed: Buffer
  publicKey: Buffer
}
interface Secrets {
  pairs: Pair[] // the block pair first, then the retired ones
  blockSalt: Buffer
  dedupKey: Buffer
  sourceSigning: Signing
  sharing?: Pair
  cardSigning?: Signing | Pick<Signing, 'publicKey'> // a definition has the public key alone
  shares: Share[]
  revoked: Buffer[]
  adopted: Adopted[]
}
/** §9.3 What a keyset has of a source that it adopted. A definition has its first three fields alone. */
export interface Adopted {
  id: Buffer
  blockSalt: Buffer
  dedupKey: Buffer
  sourceSigning?: Buffer // the public key
  sharing?: Pair
  cardSigning?: Signing
}
export interface OpenedKeyset extends Secrets, Placed {
  id: Buffer
  destination: number
  encryption: number
  dedup: number
  contents: Buffer // of the revision (§9.2); only a storage export has all of them
}

export const EMPTY: Buffer = Buffer.alloc(0)
export const MIB: number = 1024 * 1024

/** §1.7 Errors: the message is the error name. */
export function check(ok: boolean, name: string): asserts ok {
  if (!ok) throw new Error(name)
}

/** §1.7: every error inside becomes authentication-failed, without details. */
export function authentic<T>(body: () => T): T {
  try {
    return body()
  } catch {
    throw new Error('authentication-failed')
  }
}

// §1.1 Bytes
export const cat = (...x: Uint8Array[]): Buffer => Buffer.concat(x)
export const u8 = (n: number): Buffer => Buffer.from([n])
const u16 = (n: number) => Buffer.from([n >> 8, n & 255])
export const LP = (x: Uint8Array): Buffer => cat(u16(x.length >>> 16), u16(x.length & 0xffff), x)
export const D = (label: string): Buffer => LP(Buffer.from('keystrata/v1/' + label, 'ascii'))

/** §1.1: a cursor over exactly the bytes of a table. Too few or too many bytes are malformed. */
export class Fields {
  readonly bytes: Buffer
  at = 0
  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }
  take(size: number): Buffer {
    check(size <= this.bytes.length - this.at, 'malformed')
    return this.bytes.subarray(this.at, (this.at += size))
  }
  u8 = (): number => this.take(1).readUInt8()
  u32 = (): number => this.take(4).readUInt32BE()
  /** §9.3 LIST, and the most that it may have */
  list<T>(item: () => T, most = 0xffff): T[] {
    const count = this.take(2).readUInt16BE()
    check(count <= most, 'malformed')
    return Array.from({ length: count }, item)
  }
  rest = (): Buffer => this.take(this.bytes.length - this.at)
  end = (): void => check(this.at === this.bytes.length, 'malformed')
}

// §1.5 Primitives
export const hash = (name: string, ...x: Uint8Array[]): Buffer =>
  crypto
    .createHash(name)
    .update(cat(...x))
    .digest()
export const hmac = (name: string, k: Uint8Array, ...x: Uint8Array[]): Buffer =>
  crypto
    .createHmac(name, k)
    .update(cat(...x))
    .digest()
export const equal = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && crypto.timingSafeEqual(a, b)
export const same = (a: Uint8Array, b: Uint8Array): void => check(equal(a, b), 'authentication-failed')
export const xor = (a: Uint8Array, b: Uint8Array): Buffer => Buffer.from(a.map((byte, i) => byte ^ b[i]!))
const DER = {
  // RFC 8410: the bytes before the 32 raw bytes
  x25519: Buffer.from('302e020100300506032b656e04220420', 'hex'),
  x25519Public: Buffer.from('302a300506032b656e032100', 'hex'),
  ed25519: Buffer.from('302e020100300506032b657004220420', 'hex'),
}
const privateKey = (prefix: Buffer, raw: Buffer) =>
  crypto.createPrivateKey({ key: cat(prefix, raw), format: 'der', type: 'pkcs8' })
const publicOf = (prefix: Buffer, raw: Buffer) =>
  crypto.createPublicKey(privateKey(prefix, raw)).export({ format: 'der', type: 'spki' }).subarray(-32)
export function x25519(sk: Buffer, pk: Buffer): Buffer {
  const publicKey = crypto.createPublicKey({ key: cat(DER.x25519Public, pk), format: 'der', type: 'spki' })
  const secret = crypto.diffieHellman({ privateKey: privateKey(DER.x25519, sk), publicKey })
  check(!equal(secret, Buffer.alloc(32)), 'authentication-failed')
  return secret
}
/** AES-GCM, with a key of 16, 24 or 32 bytes */
function gcmOpen(key: Buffer, iv: Buffer, sealed: Buffer, aad: Buffer): Buffer {
  // Deno's node:crypto does not have AES-192.
  if (key.length === 24 && process.versions['deno'] !== undefined)
    return authentic(() => Buffer.from(gcm(key, iv, aad).decrypt(sealed)))
  const cipher = `aes-${8 * key.length}-gcm` as crypto.CipherGCMTypes
  const decipher = crypto.createDecipheriv(cipher, key, iv, { authTagLength: 16 })
  decipher.setAAD(aad).setAuthTag(sealed.subarray(-16))
  return authentic(() => cat(decipher.update(sealed.subarray(0, -16)), decipher.final()))
}
/**
 * FIPS 203 §7.2: the 1,024 coefficients of 12 bits, little-endian, must be below q = 3,329. The last 32 bytes are ρ.
 */
export function modulusCheck(pkM: Buffer): boolean {
  const pairs = Array.from({ length: 512 }, (_, i) => pkM.readUIntLE(3 * i, 3))
  return pairs.every((two) => (two & 0xfff) < 3329 && two >> 12 < 3329)
}

/** §1.5: whether a point is safe: an agreement with a low-order point gives all zeros for every scalar */
export function isContributory(pkX: Buffer): boolean {
  try {
    return x25519(Buffer.alloc(32, 9), pkX).length === 32
  } catch {
    return false
  }
}

/** §1.3 Key derivation */
export function KDF(ikm: Buffer, salt: Buffer, label: string, context: Buffer[], L: number): Buffer {
  return Buffer.from(crypto.hkdfSync('sha512', ikm, salt, cat(D(label), ...context.map(LP), u16(L)), L))
}

/** §2 Header */
export interface Header {
  bytes: Buffer
  suite: number
  generation: number
  flags: number
  keyId: Buffer
  ownerId: Buffer
}
/**
 * In a record (type 5), the generation is the epoch, and the flags are those of §7.1. The generation of a keyring (11),
 * a profile (12) and a keyset (13) is 1. A profile may have flag 1.
 */
export function readHeader(fields: Fields, type: number, suites: number[]): Header {
  const bytes = fields.take(48)
  check(bytes.toString('latin1', 0, 4) === 'KSTR', 'malformed')
  const suite = bytes.readUInt16BE(6)
  check(bytes[4] === 1 && bytes[5] === type && suites.includes(suite), 'unsupported')
  const [generation, flags] = [bytes.readUInt32BE(8), bytes.readUInt32BE(12)]
  const isRecord = (flags & 8) === 8 && flags < 16 && (flags & 3) !== 3
  const isOther = generation === ([11, 12, 13, 17, 18].includes(type) ? 1 : 0) && flags <= (type === 12 ? 1 : 0)
  check(type === 5 ? isRecord : isOther, 'unsupported')
  return { bytes, suite, generation, flags, keyId: bytes.subarray(16, 32), ownerId: bytes.subarray(32) }
}

/** §3.1 Key id of a key pair set */
export const pairId = (pair: Omit<PublicHalf, 'minimum'>): Buffer =>
  hash('sha256', D('pk-id'), LP(pair.pkX), LP(pair.pkM)).subarray(0, 16)

/** §3.2 Agreement, as the recipient. Returns F(X, ·). A SEAL (§4.3) always has both methods. */
export function agree(
  header: Header,
  pair: Keys,
  epk: Buffer,
  ctM: Buffer,
  context: Buffer,
): (label: string) => Buffer {
  const hybrid = header.suite !== 0x0101
  const ssX = x25519(pair.skX, epk)
  const parts = [header.bytes, epk, pair.pkX, ctM, hybrid ? pair.pkM : EMPTY, context]
  const T = hash('sha512', D('kem-transcript'), ...parts.map(LP))
  const F = (k: Uint8Array, label: string) => hmac('sha512', k, D(label), LP(T)).subarray(0, 32)
  const kX = F(ssX, 'kem/x25519')
  if (!hybrid) return (label) => F(kX, label)
  const ssM = ml_kem1024.decapsulate(ctM, ml_kem1024.keygen(pair.seedM).secretKey)
  const X = xor(kX, F(ssM, 'kem/ml-kem-1024'))
  return (label) => F(X, label)
}

/** §4.1 Opens a LOCK; sealed = ct ‖ tag. k has 32 bytes, but where §16 and §7 name another size. */
export function openLock(
  key: Buffer,
  n: Buffer,
  label: string,
  context: Buffer[],
  c: Buffer,
  sealed: Buffer,
  aad: Buffer,
  size = 32,
): Buffer {
  const keys = KDF(key, n, label, context, size + 32)
  same(keys.subarray(size), c) // before anything is decrypted
  return gcmOpen(keys.subarray(0, size), n.length > 0 ? n.subarray(0, 12) : Buffer.alloc(12), sealed, aad)
}

/** §4.2 Opens a WRAP, with the AAD of §1.4 */
export function openWrap(bytes: Buffer, type: number, W: Buffer, ownerId: Buffer, context: Buffer): Buffer {
  const fields = new Fields(bytes)
  const header = readHeader(fields, type, [0x0401])
  same(header.ownerId, ownerId)
  const [n, c] = [fields.take(32), fields.take(32)]
  return openLock(W, n, 'wrap', [u8(type)], c, fields.rest(), cat(D('aad'), header.bytes, LP(cat(n, c)), LP(context)))
}

// §9.3 The parts
function readHalf(fields: Fields): PublicHalf {
  const half = { minimum: fields.u8(), pkX: fields.take(32), pkM: fields.take(1568) }
  check(half.minimum <= 2, 'malformed')
  return half
}
export function readPublic(fields: Fields): PublicHalf {
  const half = readHalf(fields)
  check(modulusCheck(half.pkM), 'malformed')
  return half
}
const readPrivate = (fields: Fields): PrivateHalf => ({ skX: fields.take(32), seedM: fields.take(64) })
export const readPair = (fields: Fields): Pair => ({ ...readHalf(fields), ...readPrivate(fields) })
const readSigning = (fields: Fields): Signing => ({ seed: fields.take(32), publicKey: fields.take(32) })
const readShare = (fields: Fields): Share => ({ id: fields.take(16), ...readHalf(fields) })
export function readOptionalPrivate(fields: Fields): Partial<PrivateHalf> {
  const present = fields.u8()
  check(present <= 1, 'malformed')
  return present === 1 ? readPrivate(fields) : {}
}

const readRevoked = (fields: Fields): Buffer[] => fields.list(() => fields.take(16), 255) // §9.3

/** §9.3 The host's plain section */
interface HostPlain {
  block: PublicHalf
  blockSalt: Buffer
  dedupKey: Buffer
  seed: Buffer
  cardSigning: Buffer
  retired: PublicHalf[]
  shares: (PublicHalf & { id: Buffer })[]
  adopted: { id: Buffer; sourceSigning: Buffer; cardSigning: Buffer }[]
}

/** §9.3 Reads it; it is not authentic until the MAC is verified */
function readHostPlain(fields: Fields): HostPlain {
  const [block, blockSalt, dedupKey, seed] = [readHalf(fields), fields.take(32), fields.take(32), fields.take(32)]
  const cardSigning = fields.take(32)
  const [retired, shares] = [fields.list(() => readHalf(fields)), fields.list(() => readShare(fields))]
  const adopted = fields.list(
    () => ({
      id: fields.take(16),
      sourceSigning: fields.take(32),
      cardSigning: fields.take(32),
    }),
    16,
  )
  fields.end()
  return { block, blockSalt, dedupKey, seed, cardSigning, retired, shares, adopted }
}

/** §9.3 The host's sealed section, combined with its plain one */
function readHostSealed(fields: Fields, plain: HostPlain): Secrets {
  const block = { ...plain.block, ...readPrivate(fields) }
  const sourceSigning = { seed: plain.seed, publicKey: fields.take(32) }
  const [sharing, cardSigning] = [readPair(fields), { seed: fields.take(32), publicKey: plain.cardSigning }]
  const [retired, shares] = [fields.list(() => readPrivate(fields)), fields.list(() => readOptionalPrivate(fields))]
  const revoked = readRevoked(fields)
  const adopted = fields.list(
    () => ({
      blockSalt: fields.take(32),
      dedupKey: fields.take(32),
      sharing: readPair(fields),
      seed: fields.take(32),
    }),
    16,
  )
  check(retired.length === plain.retired.length && shares.length === plain.shares.length, 'malformed')
  check(adopted.length === plain.adopted.length, 'malformed')
  return {
    pairs: [block, ...plain.retired.map((half, i) => ({ ...half, ...retired[i]! }))],
    blockSalt: plain.blockSalt,
    dedupKey: plain.dedupKey,
    sourceSigning,
    sharing,
    cardSigning,
    shares: plain.shares.map((share, i) => ({ ...share, ...shares[i] })),
    revoked,
    adopted: plain.adopted.map(({ id, sourceSigning: signing, cardSigning: publicKey }, i) => {
      const { seed, ...secrets } = adopted[i]!
      return { id, sourceSigning: signing, cardSigning: { seed, publicKey }, ...secrets }
    }),
  }
}

/** §9.3 The sealed section of a source definition (2) or a source storage (3) */
function readSourceSealed(fields: Fields, destination: number): Secrets {
  const block = readPair(fields)
  const common = { blockSalt: fields.take(32), dedupKey: fields.take(32), sourceSigning: readSigning(fields) }
  const readAdopted = () => ({ id: fields.take(16), blockSalt: fields.take(32), dedupKey: fields.take(32) })
  if (destination === 2) {
    const cardSigning = { publicKey: fields.take(32) }
    return { pairs: [block], ...common, cardSigning, shares: [], revoked: [], adopted: fields.list(readAdopted, 16) }
  }
  const [sharing, cardSigning] = [readPair(fields), readSigning(fields)]
  const pairs = [block, ...fields.list(() => readPair(fields))]
  const shares = fields.list(() => ({ ...readShare(fields), ...readOptionalPrivate(fields) }))
  const revoked = readRevoked(fields)
  const adopted = fields.list(
    () => ({
      ...readAdopted(),
      sourceSigning: fields.take(32),
      sharing: readPair(fields),
      cardSigning: readSigning(fields),
    }),
    16,
  )
  return { pairs, ...common, sharing, cardSigning, shares, revoked, adopted }
}

/** §9.3 Checks that the public half of a set belongs to its private half. */
export function recomputePair({ skX, seedM, pkX, pkM }: Keys): void {
  same(publicOf(DER.x25519, skX), pkX)
  same(ml_kem1024.keygen(seedM).publicKey, pkM)
}
/** §9.3 The same for a signing key */
export function recomputeSigning({ seed, publicKey }: Signing): void {
  same(publicOf(DER.ed25519, seed), publicKey)
}

/** §9.2, §13.1 and §14.2: checks the size, the magic and the checksum before anything else */
export function readChecksummed(bytes: Uint8Array, most: number = MIB): Buffer {
  check(bytes.length <= most, 'limit-exceeded')
  const all = Buffer.from(bytes)
  check(all.length >= 56, 'malformed') // the magic is that of the header
  check(equal(hash('sha256', all.subarray(0, -8)).subarray(0, 8), all.subarray(-8)), 'malformed')
  return all
}

interface Parsed extends Placed {
  all: Buffer
  header: Header
  destination: number
  encryption: number
  dedup: number
  argon2: Buffer // the record
  plain: Buffer
  sealed: Buffer
}

/** §9.2 Steps 1 to 4 */
export function parseKeyset(bytes: Uint8Array): Parsed {
  const all = readChecksummed(bytes)
  const header = readHeader(new Fields(all), 13, [0x0000])
  const body = new Fields(all.subarray(48, -72))
  const [version, revision] = [body.take(8).readBigUInt64BE(), body.take(16)]
  const history = readHistory(body, version)
  const [destination, encryption, dedup] = [body.u8(), body.u8(), body.u8()]
  const argon2 = body.take(108)
  const [plain, sealed] = [body.take(body.u32()), body.take(body.u32())]
  body.end()
  check(version >= 1n && version < 1n << 53n, 'malformed')
  check(destination >= 1 && destination <= 3 && encryption <= 2 && dedup >= 1 && dedup <= 3, 'unsupported')
  const placed = { version: Number(version), revision, history }
  return { all, header, ...placed, destination, encryption, dedup, argon2, plain, sealed }
}

/** §9.2 Step 7, and the halves that are compared when a keyset is unlocked (§9.3) */
export function openParsed(parsed: Parsed, M: Buffer): OpenedKeyset {
  const { all, header, version, revision, history, destination, encryption, dedup, argon2, plain } = parsed
  same(hmac('sha512', KDF(M, EMPTY, 'keyset-mac', [u8(destination)], 64), all.subarray(0, -72)), all.subarray(-72, -8))
  return authentic(() => {
    check(destination === 1 || plain.length === 0, 'authentication-failed')
    const hostPlain = destination === 1 ? readHostPlain(new Fields(plain)) : undefined
    const P = openWrap(parsed.sealed, 7, M, header.ownerId, u8(destination))
    const fields = new Fields(P)
    const secrets = hostPlain ? readHostSealed(fields, hostPlain) : readSourceSealed(fields, destination)
    fields.end()
    recomputePair(secrets.pairs[0]!)
    recomputeSigning(secrets.sourceSigning)
    const [from, to] = [48 + 8 + 16, 48 + 8 + 16 + 2 + 24 * history.length] // the history in the object
    const before = [all.subarray(48, 56), all.subarray(from, to), u8(encryption), u8(dedup), argon2]
    const place = { version, revision, history, destination, encryption, dedup }
    return { id: header.ownerId, ...place, contents: cat(...before, P), ...secrets }
  })
}

/** §9.1 The master key in an Argon2 record, for a password */
export function openMaster(record: Buffer, password: string): Buffer {
  const fields = new Fields(record)
  const [t, m, p] = [fields.u32(), fields.u32(), fields.u32()]
  const [salt, N, verify] = [fields.take(32), fields.take(32), fields.take(32)]
  const secret = passwordBytes(password)
  check(t >= 1 && t <= 64 && p >= 1 && p <= 16 && m >= 8 * p && m <= MIB && t * m <= 4 * MIB, 'limit-exceeded') // §1.6
  const M = xor(argon2id(secret, salt, { t, m, p, dkLen: 32, version: 0x13 }), N)
  check(equal(KDF(M, EMPTY, 'master-verify', [], 32), verify), 'wrong-password')
  return M
}

/** §9.2 Object, and §9.1 Master key. Reports errors in the order given there. */
export function openKeyset(bytes: Uint8Array, password: string, floor?: Revision): OpenedKeyset {
  const parsed = parseKeyset(bytes)
  if (floor) checkFloor(parsed, floor)
  return openParsed(parsed, openMaster(parsed.argon2, password))
}

/** §9.3 The first use of the card, which compares the halves of its pairs */
export function useCard({ sharing, cardSigning }: OpenedKeyset): void {
  check(sharing !== undefined && cardSigning !== undefined && 'seed' in cardSigning, 'policy')
  recomputePair(sharing)
  recomputeSigning(cardSigning)
}

/** §9.2 The plain section of a host export, as a writer reads it without the password: nothing of it is authentic. */
export function readWriter(bytes: Uint8Array): ReturnType<typeof readHostPlain> & Placed {
  const { destination, plain, encryption, version, revision, history } = parseKeyset(bytes)
  check(destination === 1, 'policy')
  check(encryption > 0, 'policy') // §10.5: nobody has asked for unencrypted blocks
  const section = readHostPlain(new Fields(plain))
  check(encryption >= section.block.minimum, 'policy')
  check(isContributory(section.block.pkX) && modulusCheck(section.block.pkM), 'malformed')
  return { ...section, version, revision, history }
}

export interface Unlabelled {
  mode: number
  P: Buffer
  blockKey: Buffer // K_b; empty in mode 4
  labelBytes: Buffer
  source: Adopted | undefined // whose block it is; undefined: the opener's own
}

/** §10.2 Content: opens the ciphertext of modes 1–3 */
function openContent(mode: number, blockKey: Buffer, ciphertext: Buffer, label: Buffer): Buffer {
  check(ciphertext.length >= [48, 16, 80][mode - 1]!, 'malformed')
  if (mode === 2) return gcmOpen(blockKey, Buffer.alloc(12), ciphertext, D('global-block'))
  const fields = new Fields(ciphertext)
  const [n, c] = [fields.take(mode === 3 ? 32 : 0), fields.take(32)]
  if (mode === 1) return openLock(blockKey, n, 'block-scoped', [], c, fields.rest(), D('scoped-block'))
  return openLock(blockKey, n, 'block-random', [], c, fields.rest(), cat(D('random-block'), label))
}

/** §10.3 Label */
function labelOf(mode: number, P: Buffer, blockSalt: Buffer): Buffer {
  if (mode === 2) return hash('sha256', P, KDF(blockSalt, EMPTY, 'global-salt', [], 32))
  return hmac('sha256', KDF(blockSalt, EMPTY, 'block-label', [u8(mode)], 32), hash('sha256', P))
}

/** The opener: a keyset, or a share (§11.2), which adds the owner's source signing key to the context */
type Opener = Pick<OpenedKeyset, 'id' | 'pairs'> & { sharer?: Buffer; adopted?: Adopted[] }

/** §10.4 Step 2: the source that an ownerId names: the keyset's own (undefined), or one that it adopted */
function adoptedOwner(ownerId: Buffer, by: Pick<Opener, 'id' | 'adopted'>): Adopted | undefined {
  if (equal(ownerId, by.id)) return undefined
  const source = by.adopted?.find(({ id }) => equal(id, ownerId))
  check(source !== undefined, 'authentication-failed')
  return source
}

/**
 * §10.4 Opening, steps 1 to 5; the fields are those of §10.1. `accepted` is the weakest strength that the caller accepts,
 * numbered as the minimum of §3.1, whatever step 3 demands.
 */
export function openUnlabelled(bytes: Uint8Array, label: string, by: Opener, accepted = 2): Unlabelled {
  check(/^[0-9a-f]{64}$/.test(label), 'malformed') // 1
  const labelBytes = Buffer.from(label, 'hex')
  const fields = new Fields(bytes)
  const header = readHeader(fields, 4, [0x0000, 0x0101, 0x0102])
  const suite = [0x0000, 0x0101, 0x0102].indexOf(header.suite) // same numbers as the minimum of §3.1
  const [epk, ctM] = [fields.take(suite > 0 ? 32 : 0), fields.take(suite === 2 ? 1568 : 0)]
  const [mode, mask] = [fields.u8(), fields.take(suite > 0 ? 32 : 0)]
  const tagged = fields.bytes.subarray(0, fields.at)
  const tag = fields.take(suite > 0 ? 32 : 0)
  check(suite === 0 ? mode === 4 : mode >= 1 && mode <= 3, 'unsupported')
  const ciphertext = fields.rest()
  check(ciphertext.length <= 64 * MIB + [48, 16, 80, 0][mode - 1]!, 'limit-exceeded')
  const named = by.pairs.find((one) => equal(pairId(one), header.keyId)) // 2
  const pair = suite === 0 ? (named ?? by.pairs[0]) : named
  check(pair !== undefined, 'key-not-found')
  if (named) recomputePair(named) // §9.3
  const source = adoptedOwner(header.ownerId, by)
  check(suite >= Math.min(suite === 0 && source ? 1 : pair.minimum, accepted), 'policy') // 3
  if (suite === 0) return { mode, P: Buffer.from(ciphertext), blockKey: EMPTY, labelBytes, source }
  const F = authentic(() => agree(header, pair, epk, ctM, cat(labelBytes, by.sharer ?? EMPTY))) // 4
  same(hmac('sha256', F('kem/envelope'), tagged), tag)
  const blockKey = xor(mask, F('kem/combined'))
  return { mode, P: openContent(mode, blockKey, ciphertext, labelBytes), blockKey, labelBytes, source } // 5
}

/** §10.4 Opening, all six steps; with the secrets of the adopted source whose block it is (§9.4) */
export function openBlock(bytes: Uint8Array, label: string, keyset: OpenedKeyset, accepted = 2): Buffer {
  const { mode, P, blockKey, labelBytes, source } = openUnlabelled(bytes, label, keyset, accepted)
  const { blockSalt, dedupKey } = source ?? keyset
  same(labelOf(mode, P, blockSalt), labelBytes) // 6
  if (mode === 1) same(hmac('sha256', dedupKey, D('scoped-key'), hash('sha256', P)), blockKey)
  if (mode === 2) same(hash('sha3-256', P), blockKey)
  return P
}
