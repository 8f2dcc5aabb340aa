// The second reader, continued: escrow and registration files, and data under DES-56 (SPEC §18 and §19). Like
// spec-reader.ts, it was written from SPEC.md alone, and the notes there apply.
import * as crypto from 'node:crypto'
import { ed25519 } from '@noble/curves/ed25519.js'
import { authentic, cat, check, D, EMPTY, equal, Fields, hash, hmac, KDF, LP, MIB } from './spec-reader.ts'
import { openWrap, pairId, readHeader, same, u8 } from './spec-reader.ts'
import { ascii, readName, readOptional, readProven, readSaved, ROLES, typeName, ZERO16 } from './spec-reader-client.ts'
import type { Proven, Saved, Signed, TypedKey } from './spec-reader-client.ts'
import { plain } from './spec-reader-text.ts'
import { digits } from './spec-reader-share.ts'
import { isSigned, keyIdOf, nameBytes, readCard } from './spec-reader-vault.ts'

export type Opened = Extract<Saved, { kind: 2 }>['fields']
export interface Registration {
  server: string
  expires: number
  opened: Opened
}
interface Escrow extends Signed {
  keyId: Buffer
  realm: string
}

export const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ' // §18.1

const LAST = 8_640_000_000_000_000n // §18.2, §18.3: the latest valid time

/** §18.1 and §20.2 A code, as a person typed it; the label is that of its check */
export function parseCode(typed: string, label: string): string {
  const code = plain(typed).toUpperCase()
  check(/^[0-9A-HJKMNP-TV-Z]{30}$/.test(code), 'invalid-text')
  const bits = hash('sha256', D(label), ascii(code.slice(0, 26))).readUIntBE(0, 3) >> 4
  const last = [15, 10, 5, 0].map((shift) => ALPHABET[(bits >> shift) & 31])
  check(code.slice(26) === last.join(''), 'invalid-text')
  return code
}

export const parseActivationCode = (typed: string): string => parseCode(typed, 'activation-code')

function isStoredCode(code: string): boolean {
  try {
    return parseActivationCode(code) === code
  } catch {
    return false
  }
}

/** §17.1 The hash of the public key that is derived from a typed key, as in a proof */
function proofHash({ type, key }: TypedKey, role: number, account: string, client: string): Buffer {
  const names = [account, role === 1 ? client : ''].map((name) => Buffer.from(name, 'utf8'))
  const seed = KDF(key, EMPTY, 'key-check', [...names, ascii(ROLES[role - 1]!), typeName(type)], 32)
  return hash('sha256', ed25519.getPublicKey(seed))
}

/** §18.2 Escrow, without verifying its signatures. The WRAP stays unparsed bytes here. */
function readEscrowForm(bytes: Uint8Array): Escrow {
  check(bytes.length <= 4096, 'limit-exceeded')
  const fields = new Fields(Buffer.from(bytes))
  const { keyId, ownerId } = readHeader(fields, 9, [0x0000])
  check(equal(ownerId, ZERO16), 'malformed')
  const { name } = readName(fields)
  const readNested = () => {
    check(fields.take(8).readBigUInt64BE() <= LAST, 'malformed') // issuedAt
    return fields.take(fields.take(2).readUInt16BE())
  }
  return { keyId, realm: name, ...readProven(fields, readNested) }
}

/** §18.2 Reading: first the form, then the signatures */
function readSignedEscrow(bytes: Uint8Array): Escrow {
  const escrow = readEscrowForm(bytes)
  escrow.verify(() => cat(D('sign/escrow'), escrow.before))
  check(escrow.proven.keys[0]!.type !== 4, 'malformed')
  return escrow
}

/** §18.2 Whether the keys in the escrow are the keys that signed it. */
function follows(opened: Opened, { realm, proven }: Escrow): boolean {
  const { account, client, platform, privateKey, accountKey } = opened
  const keys = accountKey ? [privateKey, accountKey] : [privateKey]
  return (
    realm === opened.realm &&
    proven.account === account &&
    proven.client === client &&
    proven.platform === platform &&
    proven.keys.length === keys.length &&
    keys.every((key, i) => {
      const proof = proven.keys[i]!
      const hashed = proofHash(key, proof.role, account, client)
      return key.type === proof.type && equal(hashed, proof.hash)
    })
  )
}

/** §18.2 Opening, with the 30 characters of a code */
function openWithCode(escrow: Escrow, code: string): Opened {
  const W = KDF(ascii(code), EMPTY, 'registration', [Buffer.from(escrow.proven.account, 'utf8')], 32)
  same(keyIdOf(W), escrow.keyId)
  return authentic(() => {
    const saved = readSaved(openWrap(escrow.nested, 9, W, ZERO16, EMPTY), 2)
    check(saved.kind === 2 && follows(saved.fields, escrow), 'authentication-failed')
    return saved.fields
  })
}

/** §18.2 Escrow, as a server reads it. The caller compares the realm. */
export function readEscrow(bytes: Uint8Array): { realm: string } & Proven {
  const { realm, proven } = readSignedEscrow(bytes)
  return { realm, ...proven }
}

/** §18.2 Escrow, opened with a typed code */
export function openEscrow(bytes: Uint8Array, typedCode: string): Opened {
  const escrow = readSignedEscrow(bytes)
  return openWithCode(escrow, parseActivationCode(typedCode))
}

/** §18.3 The limit, the header and the fields */
function readRegistrationForm(bytes: Uint8Array) {
  check(bytes.length <= 8192, 'limit-exceeded')
  const fields = new Fields(Buffer.from(bytes))
  const header = readHeader(fields, 10, [0x0000])
  const [server, expires] = [fields.take(fields.take(2).readUInt16BE()), fields.take(8).readBigUInt64BE()]
  const escrow = fields.take(fields.take(2).readUInt16BE())
  const before = fields.bytes.subarray(0, fields.at)
  const signature = fields.take(64)
  const code = readOptional(fields, () => fields.take(30).toString('latin1'))
  fields.end()
  check(expires <= LAST, 'malformed')
  check(server.length >= 1 && server.length <= 255, 'malformed') // §17.1
  return { header, server, expires: Number(expires), escrow, before, signature, code }
}

/**
 * §18.3 Registration file. Reports errors in the order given there. The card comes first (§5); the caller has
 * compared its fingerprint.
 */
export function openRegistration(
  bytes: Uint8Array,
  card: Uint8Array,
  options: { code?: string; account?: string; now: number },
): Registration {
  const provider = readCard(card)
  const { header, expires, escrow: nested, before, signature, code: stored, ...form } = readRegistrationForm(bytes)
  check(stored === undefined || isStoredCode(stored), 'malformed')
  const { name: server } = readName(new Fields(cat(u8(0), u8(form.server.length), form.server)))
  same(header.keyId, pairId(provider))
  same(header.ownerId, provider.ownerId)
  const message = cat(D('sign/registration'), LP(digits(provider.fingerprint)), before)
  check(isSigned(provider.cardSigning, message, signature), 'authentication-failed')
  const escrow = authentic(() => readSignedEscrow(nested))
  const { account } = options
  const { proven } = escrow
  check(account === undefined || nameBytes(account, 'realm').toString('utf8') === proven.account, 'policy')
  check(options.now < expires, 'expired')
  // A typed code takes precedence over a stored one.
  const code = options.code === undefined ? stored : parseActivationCode(options.code)
  check(code !== undefined, 'authentication-failed')
  return { server, expires, opened: openWithCode(escrow, code) }
}

/** §18.3 Arming: checks the code first, and does not check the provider's signature. A stored code is replaced. */
export function armRegistration(bytes: Uint8Array, typedCode: string): Buffer {
  const code = parseActivationCode(typedCode)
  const { before, signature, escrow } = readRegistrationForm(bytes)
  authentic(() => openWithCode(readSignedEscrow(escrow), code))
  return cat(before, signature, u8(1), ascii(code))
}

// §19 SP 800-67: a weak or semi-weak key is a b a b a' b' a' b', for every pair of these four. Parity bits are 0
// here.
const BYTES = [
  Buffer.from('0000', 'hex'),
  Buffer.from('1e0e', 'hex'),
  Buffer.from('e0f0', 'hex'),
  Buffer.from('fefe', 'hex'),
]
const WEAK = BYTES.flatMap(([a, a2]) => BYTES.map(([b, b2]) => Buffer.from([a!, b!, a!, b!, a2!, b2!, a2!, b2!])))

/** §19 The DES key; its parity bits are arbitrary */
export function desKey(K: Buffer): Buffer {
  for (let counter = 0; ; counter++) {
    const key = KDF(K, EMPTY, 'des-key', [u8(counter)], 8)
    const aside = key.map((byte) => byte & 0xfe)
    if (!WEAK.some((weak) => equal(weak, aside))) return key
  }
}

/** §19 Removes the padding of PKCS #7 */
function unpad(padded: Buffer): Buffer {
  const size = padded.at(-1)!
  const padding = padded.subarray(-size)
  check(size >= 1 && size <= 8 && padding.every((byte) => byte === size), 'authentication-failed')
  return padded.subarray(0, -size)
}

/** §19 Opens a block under DES-56, and reports errors in the order of §16.2; block = envelope ‖ ciphertext */
export function openLegacyBlock(block: Uint8Array, label: string, client: { account: string; key: Buffer }): Buffer {
  check(/^[0-9a-f]{64}$/.test(label), 'malformed')
  const labelBytes = Buffer.from(label, 'hex')
  const fields = new Fields(block)
  const header = readHeader(fields, 4, [0x0304])
  const [iv, tag, ciphertext] = [fields.take(8), fields.take(32), fields.rest()]
  check(ciphertext.length % 8 === 0 && ciphertext.length !== 0, 'malformed')
  check(ciphertext.length <= 64 * MIB + 8, 'limit-exceeded')
  const { key: K } = client
  check(equal(header.keyId, keyIdOf(K)), 'key-not-found')
  const context = [nameBytes(client.account, 'realm'), ascii('private')]
  const ownerId = KDF(K, EMPTY, 'owner-id', context, 16)
  same(header.ownerId, ownerId)
  const aad = cat(D('aad'), header.bytes, LP(iv), LP(labelBytes))
  same(hmac('sha256', KDF(K, EMPTY, 'des-mac', [ascii('private'), ownerId], 32), aad, iv, ciphertext), tag)
  const key = desKey(K)
  // EDE with one key is DES.
  const des = crypto.createDecipheriv('des-ede3-cbc', cat(key, key, key), iv).setAutoPadding(false)
  const P = unpad(cat(des.update(ciphertext), des.final()))
  same(hmac('sha256', KDF(K, EMPTY, 'block-label', context, 32), hash('sha256', P)), labelBytes)
  return P
}
