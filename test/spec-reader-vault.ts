// The second reader, continued: cards, the keys of a login, keyrings and the blocks of a vault (SPEC §5, §12.1, §14, §15).
// Like spec-reader.ts, it was written from SPEC.md alone, and the notes there apply. spec-reader-profile.ts has §12.2 and
// §13.
import * as crypto from 'node:crypto'
import { chacha20poly1305 } from '@noble/ciphers/chacha.js'
import { ed25519 } from '@noble/curves/ed25519.js'
import { agree, authentic, cat, check, D, EMPTY, equal, Fields, hash, hmac, KDF, LP, MIB } from './spec-reader.ts'
import { modulusCheck, openLock, openWrap, pairId, readChecksummed, readHeader } from './spec-reader.ts'
import { isContributory, same, u8 } from './spec-reader.ts'
import { passwordBytes, text, userName } from './spec-reader-text.ts'

export interface Login {
  credential: string
  rootKey: Buffer
}
export interface Card {
  pkX: Buffer
  pkM: Buffer
  cardSigning: Buffer
  sourceSigning: Buffer
  ownerId: Buffer
  fingerprint: string
}
export interface EKey {
  generation: number
  key: Buffer
}
export interface AdminPair {
  skX: Buffer
  seedM: Buffer
  pkX: Buffer
  pkM: Buffer
}
/** §14.2 What a keyring holds, as read without a key */
export interface ParsedKeyring {
  all: Buffer
  vaultId: Buffer
  dataKeyId: Buffer
  version: number
  previous: Buffer
  wraps: { generation: number; object: Buffer }[]
  signed: Buffer // what the signature covers
  signature: Buffer
  maced: Buffer // what the mac covers
  mac: Buffer
}
export interface Keyring {
  version: number
  dataKey: Buffer
  live: number[]
}

export const WRAP = (P: number): number => 48 + 32 + 32 + P + 16 // §4.2
export const SEAL = (P: number): number => 48 + 32 + 1568 + 32 + P + 16 // §4.3

// §1.1 Bytes
export const u32 = (n: number): Buffer => cat(u8(n >>> 24), u8((n >>> 16) & 255), u8((n >>> 8) & 255), u8(n & 255))
export const u64 = (n: number): Buffer => cat(u32(Math.floor(n / 2 ** 32)), u32(n >>> 0))

/** §1.2 Text: the name of a realm, or of a user (in lower case) */
export function nameBytes(name: string, of: 'realm' | 'user'): Buffer {
  const encoded = Buffer.from(of === 'user' ? userName(name) : text(name), 'utf8')
  check(encoded.length <= 255, 'invalid-text') // the empty text was refused
  return encoded
}

/** §15: the tag of ChaCha20-Poly1305 for an empty text and a zero nonce */
export function polyTag(key: Uint8Array, aad: Uint8Array): Buffer {
  // Bun's node:crypto has no ChaCha20-Poly1305.
  if (process.versions['bun'] !== undefined)
    return Buffer.from(chacha20poly1305(key, Buffer.alloc(12), aad).encrypt(EMPTY))
  const poly = crypto.createCipheriv('chacha20-poly1305', key, Buffer.alloc(12), { authTagLength: 16 })
  poly.setAAD(aad, { plaintextLength: 0 })
  poly.final()
  return poly.getAuthTag()
}

/** §1.3 The key id of a symmetric key */
export const keyIdOf = (K: Buffer): Buffer => KDF(K, EMPTY, 'key-id', [], 16)

/** §1.5 Whether an Ed25519 public key is canonical, in the prime-order group, and not the neutral element. */
function isEd25519(publicKey: Buffer): boolean {
  try {
    const point = ed25519.Point.fromBytes(publicKey, false)
    return !point.isSmallOrder() && point.isTorsionFree()
  } catch {
    return false
  }
}

/** §1.5 Verifies a signature as RFC 8032 §5.1.7 says. OpenSSL verifies without the cofactor and requires S < L. */
export function isSigned(publicKey: Buffer, message: Buffer, signature: Buffer): boolean {
  const der = cat(Buffer.from('302a300506032b6570032100', 'hex'), publicKey) // RFC 8410
  const key = crypto.createPublicKey({ key: der, format: 'der', type: 'spki' })
  return isEd25519(publicKey) && crypto.verify(null, message, key, signature)
}

/** §9.2, §13.1, §14.2: a version is 1 to 2⁵³ − 1, and so is the sequence of a record (§10.7). */
export function readVersion(fields: Fields): number {
  const version = fields.take(8).readBigUInt64BE()
  check(version >= 1n && version < 1n << 53n, 'malformed')
  return Number(version)
}

/** §13.1, §14.2: a list of objects with generations; each is at least 1 and above the previous one */
export function readGenerations(fields: Fields, size: number): { generation: number; object: Buffer }[] {
  const list = fields.list(() => ({ generation: fields.u32(), object: fields.take(size) }))
  check(
    list.every(({ generation }, i) => generation > (i > 0 ? list[i - 1]!.generation : 0)),
    'malformed',
  )
  return list
}

/** §13.1, §14.2: the context of the WRAP of an E-key or A-key; the context of a recovery slot ends with it */
export const generationContext = (vaultId: Buffer, generation: number): Buffer => cat(LP(vaultId), u32(generation))

/** §5 Fingerprint, as it is displayed */
export function fingerprintOf(sharing: Pick<Card, 'pkX' | 'pkM'>, cardSigning: Buffer, sourceSigning: Buffer): string {
  const h = hash('sha512', D('fingerprint'), ...[sharing.pkX, sharing.pkM, cardSigning, sourceSigning].map(LP))
  const groups = Array.from({ length: 12 }, (_, i) => String(h.readUIntBE(5 * i, 5) % 100_000).padStart(5, '0'))
  return groups.join(' ')
}

/** §5 Card. Reports errors in the order given there. */
export function readCard(bytes: Uint8Array): Card {
  const fields = new Fields(Buffer.from(bytes))
  const header = readHeader(fields, 14, [0x0000])
  const [pkX, pkM, cardSigning, sourceSigning] = [fields.take(32), fields.take(1568), fields.take(32), fields.take(32)]
  const message = cat(D('sign/card'), fields.bytes.subarray(0, fields.at))
  const signature = fields.take(64)
  fields.end()
  check(isSigned(cardSigning, message, signature), 'authentication-failed')
  same(pairId({ pkX, pkM }), header.keyId)
  check(isContributory(pkX) && modulusCheck(pkM), 'malformed')
  const fingerprint = fingerprintOf({ pkX, pkM }, cardSigning, sourceSigning)
  return { pkX, pkM, cardSigning, sourceSigning, ownerId: header.ownerId, fingerprint }
}

/** §12.1 The keys that are derived from the password */
export function login(password: string, realm: string, user: string): Login {
  const secret = passwordBytes(password)
  const names = cat(LP(nameBytes(realm, 'realm')), LP(nameBytes(user, 'user')))
  const salt = hash('sha512', D('login-salt'), names).subarray(0, 32)
  const out = crypto.pbkdf2Sync(secret, salt, 600_000, 48, 'sha512')
  return { credential: out.subarray(0, 24).toString('base64url'), rootKey: out.subarray(24) }
}

/** §4.3 Opens a SEAL. How long it is, the object says that it is in. */
export function openSeal(bytes: Buffer, type: number, pair: AdminPair, ownerId: Buffer, context: Buffer): Buffer {
  const fields = new Fields(bytes)
  const header = readHeader(fields, type, [0x0402])
  const [epk, ctM, c] = [fields.take(32), fields.take(1568), fields.take(32)]
  check(equal(pairId(pair), header.keyId), 'key-not-found')
  same(header.ownerId, ownerId)
  const F = authentic(() => agree(header, pair, epk, ctM, context))
  const aad = cat(D('aad'), header.bytes, LP(cat(epk, ctM, c)), LP(context))
  return openLock(F('kem/seal'), EMPTY, 'seal', [u8(type)], c, fields.rest(), aad)
}

/** §13.1 RECOVERY: the E-key, opened by the admin whose card it was sealed to */
export function openRecoverySlot(
  sealed: Buffer,
  admin: AdminPair,
  profileId: Buffer,
  realm: string,
  user: string,
  vaultId: Buffer,
  generation: number,
): Buffer {
  const names = cat(LP(nameBytes(realm, 'realm')), LP(nameBytes(user, 'user')))
  return openSeal(sealed, 3, admin, profileId, cat(names, generationContext(vaultId, generation)))
}

/** §14.2 Steps 1 and 2 */
export function parseKeyring(bytes: Uint8Array): ParsedKeyring {
  const all = readChecksummed(bytes, 64 * 1024)
  const fields = new Fields(all.subarray(0, -8))
  const header = readHeader(new Fields(all), 11, [0x0000])
  fields.take(48)
  const [version, previous] = [readVersion(fields), fields.take(32)]
  const wraps = readGenerations(fields, WRAP(32))
  check(wraps.length >= 1, 'malformed')
  const before = () => fields.bytes.subarray(0, fields.at)
  const [signed, signature] = [before(), fields.take(64)]
  const [maced, mac] = [before(), fields.take(64)]
  fields.end()
  const ids = { vaultId: header.ownerId, dataKeyId: header.keyId }
  return { all, ...ids, version, previous, wraps, signed, signature, maced, mac }
}

/**
 * §14.2 Keyring. Reports errors in the order given there. `keys` are the E-keys of the vault in the profile; the
 * profile is not read again. The signature is for the server.
 */
export function readKeyring(bytes: Uint8Array, vaultId: Buffer, dataKeyId: Buffer, keys: EKey[]): Keyring {
  const keyring = parseKeyring(bytes)
  same(keyring.vaultId, vaultId)
  same(keyring.dataKeyId, dataKeyId)
  const live = keyring.wraps.flatMap(({ generation, object }) => {
    const E = keys.find((one) => one.generation === generation)
    try {
      return E ? [{ generation, A: openWrap(object, 1, E.key, vaultId, generationContext(vaultId, generation)) }] : []
    } catch {
      return [] // not live, for any reason
    }
  })
  check(live.length > 0, 'authentication-failed')
  const A = live[0]!.A
  for (const one of live) same(one.A, A)
  same(keyIdOf(A), dataKeyId)
  same(hmac('sha512', KDF(A, EMPTY, 'keyring-mac', [vaultId], 64), keyring.maced), keyring.mac)
  return { version: keyring.version, dataKey: A, live: live.map(({ generation }) => generation) }
}

/** §14.2: whether an identity signed a keyring */
export const isKeyringOf = ({ signed, signature }: ParsedKeyring, identity: Buffer): boolean =>
  isSigned(identity, cat(D('sign/keyring'), signed), signature)

/** §15 Opens a block of a vault, and reports errors in the order given there; bytes = envelope ‖ ciphertext */
export function openVaultBlock(bytes: Uint8Array, label: string, vaultId: Buffer, dataKey: Buffer): Buffer {
  check(/^[0-9a-f]{64}$/.test(label), 'malformed')
  const labelBytes = Buffer.from(label, 'hex')
  const fields = new Fields(bytes)
  const header = readHeader(fields, 4, [0x0201])
  const [n, c, tag] = [fields.take(32), fields.take(32), fields.take(16)]
  const ciphertext = fields.rest()
  check(ciphertext.length <= 64 * MIB, 'limit-exceeded')
  same(header.keyId, keyIdOf(dataKey))
  same(header.ownerId, vaultId)
  const keys = KDF(dataKey, n, 'ctr-poly1305', [u8(4), vaultId], 96)
  same(keys.subarray(64), c)
  const aad = cat(D('aad'), header.bytes, LP(cat(n, c)), LP(labelBytes))
  same(polyTag(keys.subarray(32, 64), cat(aad, ciphertext, u64(aad.length), u64(ciphertext.length))), tag)
  const P = crypto.createDecipheriv('aes-256-ctr', keys.subarray(0, 32), Buffer.alloc(16)).update(ciphertext)
  same(hmac('sha256', KDF(dataKey, EMPTY, 'block-label', [vaultId], 32), hash('sha256', P)), labelBytes)
  return P
}
