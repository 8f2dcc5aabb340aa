// Adds the vectors of escrows, registrations and data under DES below to their files, unless they are there already.
// Run `npm run vectors`.
import * as crypto from 'node:crypto'
import { Suite } from '../../src/core/suite.ts'
import { DES_56, LEGACY_KEY_TYPES, storedEscrow, type StoredEscrow } from '../../src/client/layout.ts'
import { cardHolderOf } from '../../src/core/card.ts'
import { encodeClient } from '../../src/client/saved-client.ts'
import { armRegistration } from '../../src/client.ts'
import { type Bytes } from '../../src/index.ts'
import { signRegistration } from '../../src/client/registration-file.ts'
import { deriveActivationKey, sealEscrow } from '../../src/client/escrow.ts'
import { concat, domain, utf8 } from '../../src/core/bytes.ts'
import { encode } from '../../src/core/codec.ts'
import { encodeHeader, NOBODY } from '../../src/core/header.ts'
import { keyIdOf, wrappedBytes, wrapSecret } from '../../src/core/wrap.ts'
import { unlocked } from '../../src/keyset/keyset.ts'
import { type Claimant, encodeEnrolment, fieldsOf, provenBy } from '../../src/client/proof.ts'
import { deriveTextKey } from '../../src/client/typed-key.ts'
import { nativeDes } from '../../src/legacy/des.ts'
import { DesScope } from '../../src/legacy/des-scope.ts'
import { sign } from '../../src/primitives/signature.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { flipped, hex, patched, sample } from '../fixtures.ts'
import { plantedContents, plantedMaster } from '../keyset/planted.ts'
import { cat, D, EMPTY, hash, hmac, KDF, LP, u8 } from '../spec-reader.ts'
import { desKey } from '../spec-reader-custody.ts'
import { keyIdOf as vaultKeyId, readCard } from '../spec-reader-vault.ts'
import { append } from './append.ts'
import { header, named, publicKeyOf, signedBy, u16, wrap } from './make-by-hand.ts'
import { ODD_KEYS, oddSigner } from './odd-keys.ts'
import type { EscrowVector, LegacyBlockVector, ProofVector, RegistrationVector, TypedKeyVector } from './vectors.ts'

const refused = { expect: 'authentication-failed' } as const
const malformed = { expect: 'malformed' } as const
const invalidText = { expect: 'invalid-text' } as const
const unsupported = { expect: 'unsupported' } as const
const keyOf = (bytes: Uint8Array) => new SecretKey('client', bytes)
const NAMES = { realm: 'com.example.backup', account: 'acme' }
const PRIVATE = sample(32, 3)
const ACCOUNT_KEY = sample(16, 5)
const claimant = (more: Partial<Claimant> = {}): Claimant => ({
  ...NAMES,
  ...{ client: 'desktop', platform: 3, privateKey: { type: 3, key: keyOf(PRIVATE) }, accountKey: undefined },
  ...more,
})
const both = claimant({ accountKey: { type: 1, key: keyOf(ACCOUNT_KEY) } })

// ── escrow ───────────────────────────────────────────────────────────────────────────────────────────────────────────
const ISSUED = Date.UTC(2030, 0, 1)
const escrows: EscrowVector[] = []
function escrow(id: string, comment: string, bytes: Uint8Array, code: string, more: Partial<EscrowVector> = {}) {
  const names = { ...NAMES, client: 'desktop', platform: 3, privateKey: hex(PRIVATE), accountKey: hex(ACCOUNT_KEY) }
  escrows.push({ id, section: '18.2', comment, bytes: hex(bytes), code, ...names, expect: 'ok', ...more })
}
const { escrow: deposit, activationCode: code } = sealEscrow(both, ISSUED)
const other = sealEscrow(both, ISSUED)
const alone = sealEscrow(claimant(), ISSUED)
escrow('both', 'with both keys', deposit, code)
escrow('alone', 'with a private key', alone.escrow, alone.activationCode, { accountKey: '' })
escrow('typed', 'in small letters and with spaces', deposit, ` ${code.toLowerCase().replaceAll('-', ' ')} `)
const misread = code.replaceAll('0', 'o').replaceAll('1', 'l').replaceAll('-', '\u2013')
escrow('misread', 'with o for 0, l for 1, and dashes', deposit, misread)
escrow(
  'wide',
  'in full-width letters',
  deposit,
  code.replaceAll(/[0-9A-Z]/g, (x) => String.fromCharCode(x.charCodeAt(0) + 0xfee0)),
)
escrow('soft', 'with a soft hyphen and a zero-width space', deposit, `\u00ad${code}\u200b`)
escrow('comma', 'with brackets, and a comma behind them', deposit, `(${code}),`)
escrow(
  'dots',
  'with full stops, slashes and underscores',
  deposit,
  code.replace('-', '.').replace('-', '/').replaceAll('-', '_'),
)
const persian = code.replaceAll(/\d/g, (digit) => String.fromCharCode(0x6f0 + Number(digit)))
escrow('persian', 'in Persian digits', deposit, persian)
const mistyped = code.slice(0, 3) + (code[3] === 'Z' ? 'Y' : 'Z') + code.slice(4)
escrow('quoted', 'out of a quoted mail', deposit, `> \u201c${code.slice(0, 18)}\r\n> ${code.slice(18)}\u201d`)
escrow('mistyped', 'with one other letter', deposit, mistyped, invalidText)
escrow('short', 'without the last character', deposit, code.slice(0, -1), invalidText)
escrow('twice', 'with a character twice', deposit, code + code.slice(-1), invalidText)
escrow('letter-u', 'with a U', deposit, 'U' + code.slice(1), invalidText)
escrow('endless', '257 characters, most of them spaces', deposit, code + ' '.repeat(222), invalidText)
escrow('none', 'an empty code', deposit, '', invalidText)
escrow('half', 'with half an emoji', deposit, code + '\ud83d', invalidText)
escrow('other', 'the code of another deposit', deposit, other.activationCode, refused)
escrow('type', 'type 17', patched(deposit, 5, [17]), code, unsupported)
escrow('suite', 'the suite of a WRAP', patched(deposit, 6, [4, 1]), code, unsupported)
escrow('owner', 'with an owner id', flipped(deposit, 40), code, malformed)
escrow('key-id', 'one bit of the key id', flipped(deposit, 20), code, refused)
escrow('platform', 'another platform than was signed', patched(deposit, 48 + 20 + 6 + 9, [4]), code, refused)
escrow('wrapped', 'one bit of the keys', flipped(deposit, deposit.length - 140), code, refused)
escrow('signature', 'one bit of the second signature', flipped(deposit, deposit.length - 1), code, refused)
escrow('cut', 'a byte short', deposit.subarray(0, -1), code, malformed)
escrow('extended', 'a byte long', concat(deposit, new Uint8Array(1)), code, malformed)
escrow('long', 'beyond the limit', concat(deposit, new Uint8Array(4096)), code, { expect: 'limit-exceeded' })

/** Builds an escrow around any bytes (`holding`) that a client claims and signs. All but `place` is valid. */
function claimed(claiming: Claimant, holding: Bytes, place: { ownerId?: Uint8Array; type?: number } = {}) {
  const plain = code.replaceAll('-', '')
  const over = deriveActivationKey(plain, NAMES.account)
  const headerBytes = encodeHeader({ type: 9, suite: Suite.none, keyId: keyIdOf(over), ownerId: NOBODY })
  const wrapped = wrapSecret(over, holding, { type: 9, ownerId: NOBODY, context: new Uint8Array(0), ...place })
  return provenBy(claiming, (proven) => {
    const body: Omit<StoredEscrow, 'signatures'> = {
      headerBytes,
      ...fieldsOf(claiming, proven),
      issuedAt: ISSUED,
      wrapped,
    }
    const message = concat(domain('sign/escrow'), encode(storedEscrow, { ...body, signatures: [] }).subarray(0, -2))
    return encode(storedEscrow, { ...body, signatures: proven.map(({ seed }) => sign(seed, message)) })
  })
}
escrow('made', 'the same, made piece by piece', claimed(both, encodeClient(both)), code)
escrow(
  'claims-account',
  'signed with an account key that is not in it',
  claimed(both, encodeClient(claimant())),
  code,
  refused,
)
escrow(
  'claims-other',
  'with the keys of another client',
  claimed(both, encodeClient({ ...both, client: 'laptop' })),
  code,
  refused,
)
escrow(
  'claims-platform',
  'of another platform inside',
  claimed(both, encodeClient({ ...both, platform: 4 })),
  code,
  refused,
)
escrow('holds-nothing', 'with no keys in it', claimed(both, new Uint8Array(3)), code, refused)
const wrappedLength = wrappedBytes(encodeClient(both).length)
const des = { ...both, privateKey: { type: DES_56, key: keyOf(sample(16, 4)) } }
escrow('des', 'of a client under DES-56', claimed(des, encodeClient(both)), code, malformed)
escrow(
  'issued',
  'another time than was signed',
  flipped(deposit, deposit.length - 2 * 64 - 2 - wrappedLength - 2 - 1),
  code,
  refused,
)
escrow('wrap-type', 'with a WRAP of type 7', claimed(both, encodeClient(both), { type: 7 }), code, refused)
escrow(
  'wrap-owner',
  'with an owner in the WRAP',
  claimed(both, encodeClient(both), { ownerId: sample(16) }),
  code,
  refused,
)

// Escrows that are right but for one field. Each KEY is derived and signs, whatever the escrow says.
interface ByHand {
  realm?: string
  account?: string
  client?: string
  platform?: number
  keyId?: Uint8Array
  issuedAt?: bigint
  /** The names and the type that the public keys are derived with. */
  derived?: { account?: string; client?: string; type?: number }
  types?: number[]
  keys?: Uint8Array[]
  holding?: Uint8Array
  wrapped?: (W: Buffer, P: Uint8Array) => Uint8Array
}
const TYPE_NAMES = ['AES-128', 'AES-192', 'AES-256', 'DES-56']
function escrowByHand(of: ByHand = {}): Bytes {
  const { realm = NAMES.realm, account = 'acme', client = 'desktop', platform = 3, derived = {} } = of
  const { types = [3, 1], keys = [PRIVATE, ACCOUNT_KEY], holding = encodeClient(both) } = of
  const { wrapped = (W: Buffer, P: Uint8Array) => wrap(W, 9, P) } = of
  const W = KDF(Buffer.from(code.replaceAll('-', '')), EMPTY, 'registration', [Buffer.from(account)], 32)
  const seeds = keys.map((key, i) => {
    const names = [derived.account ?? account, i === 0 ? (derived.client ?? client) : '']
    const type = i === 0 ? (derived.type ?? types[i]!) : types[i]!
    const context = [...names, ['private', 'account'][i]!, TYPE_NAMES[type - 1]!].map((name) => Buffer.from(name))
    return KDF(Buffer.from(key), EMPTY, 'key-check', context, 32)
  })
  const time = Buffer.alloc(8)
  time.writeBigUInt64BE(of.issuedAt ?? BigInt(ISSUED))
  const proven = seeds.map((seed, i) => cat(u8(i + 1), u8(types[i]!), publicKeyOf(seed)))
  const sealed = wrapped(W, holding)
  const before = cat(
    ...[header(9, 0, { keyId: of.keyId ?? vaultKeyId(W) }), named(realm), named(account), named(client), u8(platform)],
    ...[u16(seeds.length), ...proven, time, named(sealed)],
  )
  const signatures = seeds.map((seed) => signedBy(seed, D('sign/escrow'), before))
  return new Uint8Array(cat(before, u16(seeds.length), ...signatures))
}
const byHand = (id: string, comment: string, of: ByHand, more: Partial<EscrowVector> = {}) =>
  escrow(id, comment, escrowByHand(of), code, more)
byHand('by-hand', 'made byte by byte', {})
byHand('key-id-signed', 'another key id, signed', { keyId: sample(16) }, refused)
byHand('claims-realm', 'of another realm inside', { holding: encodeClient({ ...both, realm: 'elsewhere' }) }, refused)
const inAcme2 = encodeClient({ ...both, account: 'acme2' })
byHand('claims-account-name', 'of another account inside', { derived: { account: 'acme2' }, holding: inAcme2 }, refused)
const laptop = encodeClient({ ...both, client: 'laptop' })
byHand('claims-client', 'of another client inside', { derived: { client: 'laptop' }, holding: laptop }, refused)
byHand('claims-key', 'with another private key inside', { keys: [sample(32, 33), ACCOUNT_KEY] }, refused)
byHand('claims-account-key', 'with another account key inside', { keys: [PRIVATE, sample(16, 33)] }, refused)
byHand('claims-type', 'of another type than the key inside', { types: [2, 1], derived: { type: 3 } }, refused)
byHand('holds-account', 'holds an account key that has not signed', { keys: [PRIVATE], types: [3] }, refused)
const desNames = [NAMES.realm, 'acme', 'desktop'].map(named)
const ofDes = cat(...desNames, u8(3), u8(DES_56), sample(16, 4), u8(1), u8(1), ACCOUNT_KEY)
const underDes = { keys: [sample(16, 4), ACCOUNT_KEY], derived: { type: DES_56 }, holding: ofDes }
byHand('holds-des', 'holds a key of type DES-56', underDes, refused)
byHand('holds-more', 'a byte behind what it holds', { holding: cat(encodeClient(both), u8(0)) }, refused)
byHand('last', 'made at the last date', { issuedAt: 8_640_000_000_000_000n })
byHand('late', 'made after the last date', { issuedAt: 8_640_000_000_000_001n }, malformed)
const wrappedAs = (more: Parameters<typeof wrap>[3]) => ({ wrapped: (W: Buffer, P: Uint8Array) => wrap(W, 9, P, more) })
byHand('wrap-magic', 'a WRAP that begins with kSTR', wrappedAs({ magic: 'kSTR' }), refused)
byHand('wrap-suite', 'a WRAP of suite 0x0402', wrappedAs({ suite: 0x0402 }), refused)
byHand('wrap-context', 'a WRAP with a context', wrappedAs({ context: u8(1) }), refused)
byHand('wrap-key-id', 'a WRAP with another key id: it is not compared', wrappedAs({ keyId: sample(16) }))
const around = escrowByHand({ wrapped: () => EMPTY }).length
const sized = (length: number) => ({ wrapped: () => sample(length - around) })
byHand('longest', '4,096 bytes', sized(4096), refused)
byHand('too-long', '4,097 bytes', sized(4097), { expect: 'limit-exceeded' })
escrow('magic', 'kSTR', patched(deposit, 0, [0x6b]), code, malformed)
escrow('header-cut', '47 bytes, of type 17', patched(deposit, 5, [17]).subarray(0, 47), code, malformed)
escrow('header-alone', 'a header', deposit.subarray(0, 48), code, malformed)
escrow(
  'order-signature-code',
  'one bit of a signature, and a mistyped code',
  flipped(deposit, deposit.length - 1),
  mistyped,
  refused,
)
escrow('order-cut-code', 'a byte short, and a mistyped code', deposit.subarray(0, -1), mistyped, malformed)
escrow(
  'order-des-code',
  'of a client under DES-56, and a mistyped code',
  claimed(des, encodeClient(both)),
  mistyped,
  malformed,
)
escrow(
  'order-des-signature',
  'of a client under DES-56, and one bit of a signature',
  flipped(claimed(des, encodeClient(both)), -1 + claimed(des, encodeClient(both)).length),
  code,
  refused,
)
// A private KEY that §1.5 refuses, although its signature holds.
for (const [id, comment, odd] of ODD_KEYS) {
  const [publicKey, signer] = oddSigner(odd, sample(32, 34))
  const start = escrowByHand({ keys: [PRIVATE], types: [3], holding: encodeClient(claimant()) })
  const keyAt = 48 + 2 + NAMES.realm.length + 2 + 4 + 2 + 'desktop'.length + 1 + 2 + 2
  const before = patched(start, keyAt, publicKey).subarray(0, -66)
  escrow(id, comment, concat(before, u16(1), signer(concat(domain('sign/escrow'), before))), code, refused)
}

// ── registrations ────────────────────────────────────────────────────────────────────────────────────────────────────
const registrations: RegistrationVector[] = []
const provider = unlocked(plantedContents(), plantedMaster.copy(), undefined)
const card = provider.card()
const expires = Date.UTC(2031, 0, 1)
const facts = { server: 'storage-1', expires }
function registration(id: string, comment: string, bytes: Uint8Array, more: Partial<RegistrationVector> = {}) {
  const common = { id, section: '18.3', comment, bytes: hex(bytes), card: hex(card.bytes), ...facts }
  const asked = { code: null, account: null, now: expires - 1, privateKey: hex(PRIVATE) }
  registrations.push({ ...common, ...asked, armed: bytes.length > unarmed.length, expect: 'ok', ...more })
}
const holder = cardHolderOf(provider, 'provider', 'a registration')
const unarmed = signRegistration(deposit, facts, holder)
const armed = armRegistration(unarmed, code)
registration('unarmed', 'with the code', unarmed, { code })
registration('armed', 'with the code in it', armed)
registration('armed-account', 'of the account that is expected', armed, { account: 'acme' })
registration('no-code', 'unarmed, without a code', unarmed, refused)
registration('other-code', 'with the code of another deposit', unarmed, { code: other.activationCode, ...refused })
registration('other-typed', 'armed, with another code typed', armed, { code: other.activationCode, ...refused })
registration('mistyped', 'with a mistyped code', unarmed, { code: mistyped, ...invalidText })
registration('account', 'of another account', armed, { account: 'acme2', expect: 'policy' })
registration('expired', 'at its date', armed, { now: expires, expect: 'expired' })
registration('expired-unarmed', 'past its date, and without a code', unarmed, { now: expires + 1, expect: 'expired' })
registration('account-expired', 'of another account, past its date', armed, {
  now: expires,
  account: 'x',
  expect: 'policy',
})
const stranger = plantedContents()
const strangerCard = unlocked({ ...stranger, id: sample(16, 9) }, plantedMaster.copy(), undefined).card()
registration('provider', 'of a card with another owner id', armed, { card: hex(strangerCard.bytes), ...refused })
registration('expires', 'with another date than was signed', flipped(armed, 48 + 11 + 7), refused)
registration('server', 'with another server than was signed', flipped(armed, 48 + 5), refused)
registration('owner', 'with another owner id', flipped(armed, 40), refused)
registration('key-id', 'with another key id', flipped(armed, 20), refused)
registration('escrow', 'one bit of the escrow', flipped(armed, 200), refused)
registration('signature', 'one bit of the signature', flipped(unarmed, unarmed.length - 2), { code, ...refused })
registration(
  'stored-code',
  'one letter of the stored code',
  patched(armed, armed.length - 1, [armed.at(-1) === 48 ? 49 : 48]),
  malformed,
)
registration(
  'stored-small',
  'the stored code in small letters',
  patched(armed, armed.length - 30, utf8(Buffer.from(armed.subarray(-30)).toString().toLowerCase())),
  malformed,
)
registration('half-armed', 'armed, and no code', patched(unarmed, unarmed.length - 1, [1]), malformed)
registration('two', 'neither armed nor unarmed', patched(unarmed, unarmed.length - 1, [2]), malformed)
registration('type', 'type 9', patched(armed, 5, [9]), unsupported)
registration('cut', 'a byte short', armed.subarray(0, -1), malformed)
registration('long', 'beyond the limit', concat(armed, new Uint8Array(8192)), { expect: 'limit-exceeded' })
registration('date', 'a date that no clock can show', patched(armed, 48 + 11, [1]), malformed)
registration('no-escrow', 'of an escrow that is none', signRegistration(sample(100), facts, holder), {
  code,
  ...refused,
})
registration(
  'capitals',
  'of a server whose name has another form',
  signRegistration(deposit, { ...facts, server: 'a\u0301' }, holder),
  { code, ...malformed },
)

// Files that the provider signed, with one fault; and how each is armed.
const providerSeed = withBytes(plantedContents().additional!.cardSigning.seed, (seed) => Buffer.from(seed))
const providerCard = readCard(card.bytes)
const sixty = LP(Buffer.from(providerCard.fingerprint.replaceAll(' ', '')))
interface FileByHand {
  keyId?: Uint8Array
  server?: string
  until?: bigint
  escrow?: Uint8Array
  armedWith?: Uint8Array
}
function fileByHand({
  server = 'storage-1',
  until = BigInt(expires),
  armedWith = u8(0),
  ...made
}: FileByHand = {}): Bytes {
  const { keyId = card.bytes.subarray(16, 32), escrow: of = deposit } = made
  const time = Buffer.alloc(8)
  time.writeBigUInt64BE(until)
  const before = cat(header(10, 0, { keyId, ownerId: providerCard.ownerId }), named(server), time, named(of))
  return new Uint8Array(cat(before, signedBy(providerSeed, D('sign/registration'), sixty, before), armedWith))
}
const file = (id: string, comment: string, made: FileByHand, more: Partial<RegistrationVector> = {}) =>
  registration(id, comment, fileByHand(made), { armed: false, code, ...more })
file('by-hand', 'made byte by byte', {}, { arming: 'ok' })
file('key-id-signed', 'another key id, signed', { keyId: sample(16) }, { ...refused, arming: 'ok' })
file('last', 'until the last date', { until: 8_640_000_000_000_000n }, { expires: 8_640_000_000_000_000 })
file('late', 'until after the last date', { until: 8_640_000_000_000_001n }, { ...malformed, arming: 'malformed' })
const withCode = (flag: number, text: string) => ({ armedWith: cat(u8(flag), Buffer.from(text)) })
const plainCode = code.replaceAll('-', '')
file('armed-2', 'a flag of 2 before the code', withCode(2, plainCode), malformed)
file('armed-shown', 'the stored code with a hyphen', withCode(1, code.slice(0, 30)), malformed)
file('trailing', 'a byte behind', { armedWith: Buffer.alloc(2) }, { ...malformed, arming: 'malformed' })
file('armed-trailing', 'a byte behind the code', withCode(1, `${plainCode}0`), malformed)
file('server-256', 'a server with a name of 256 bytes', { server: 'x'.repeat(256) }, malformed)
file('server-255', 'a server with a name of 255 bytes', { server: 'x'.repeat(255) }, { server: 'x'.repeat(255) })
const withoutEscrow = fileByHand({ escrow: EMPTY }).length
const fileOf = (length: number) => ({ escrow: sample(length - withoutEscrow) })
file('longest', '8,192 bytes', fileOf(8192), refused)
file('too-long', '8,193 bytes', fileOf(8193), { expect: 'limit-exceeded', arming: 'limit-exceeded' })
file('magic', 'kSTR', {}, { ...malformed, bytes: hex(patched(unarmed, 0, [0x6b])), arming: 'malformed' })
file('header-cut', '47 bytes, of type 9', {}, { ...malformed, bytes: hex(patched(unarmed, 5, [9]).subarray(0, 47)) })
const badEscrow = flipped(deposit, deposit.length - 1)
file(
  'escrow-type',
  'an escrow of type 17',
  { escrow: patched(deposit, 5, [17]) },
  { ...refused, arming: 'authentication-failed' },
)
file(
  'order-escrow-code',
  'an escrow that is altered, and a mistyped code',
  { escrow: badEscrow },
  { code: mistyped, ...refused },
)
file(
  'order-escrow-account',
  'an escrow that is altered, of another account',
  { escrow: badEscrow },
  { account: 'x', ...refused },
)
file(
  'order-account-code',
  'of another account, and a mistyped code',
  {},
  { code: mistyped, account: 'x', expect: 'policy' },
)
file(
  'order-expired-code',
  'past its date, and a mistyped code',
  {},
  { code: mistyped, now: expires, expect: 'expired' },
)
file(
  'order-code-escrow',
  'a mistyped code for an escrow of another code',
  {},
  { code: mistyped, ...invalidText, arming: 'invalid-text' },
)
const twiceWrong = {
  bytes: hex(unarmed.subarray(0, -1)),
  code: mistyped,
  ...malformed,
  arming: 'invalid-text' as const,
}
file('order-arming-code', 'a byte short, and a mistyped code: only arming parses the code first', {}, twiceWrong)
file(
  'arming-other',
  'armed with the code of another deposit',
  {},
  {
    ...{ code: other.activationCode, ...refused, arming: 'authentication-failed' },
  },
)
file(
  'arming-unsigned',
  'one bit of the provider’s signature: arming does not look at it',
  {},
  {
    ...{ bytes: hex(flipped(unarmed, unarmed.length - 2)), ...refused, arming: 'ok' },
  },
)
for (const [id, comment, storedCode] of [
  ['arming-stored-code', 'a stored code that is none: arming replaces it', 'X'.repeat(30)],
  ['arming-stored-small', 'a stored code in small letters: arming replaces it', plainCode.toLowerCase()],
] as const)
  file(id, comment, withCode(1, storedCode), { ...malformed, arming: 'ok' })
const decomposed = { server: 'a\u0301' }
file('arming-server', 'a server whose name has another form: arming does not look', decomposed, {
  ...malformed,
  arming: 'ok',
})
file('arming-nameless', 'a server without a name', { server: '' }, { ...malformed, arming: 'malformed' })
const seedOfCard = withBytes(plantedContents().additional!.cardSigning.seed, (seed) => new Uint8Array(seed))
const [, reducing] = oddSigner('s', seedOfCard)
const signedPart = unarmed.subarray(0, -65)
const withS = concat(signedPart, reducing(concat(domain('sign/registration'), sixty, signedPart)), u8(0))
file('unreduced', 's + L for the scalar s', {}, { bytes: hex(withS), ...refused })
// The provider's card has a card signing key that is not torsion-free, and signs with it.
const [mixedKey, mixedSigner] = oddSigner('mixed', seedOfCard)
const unsignedCard = patched(card.bytes, 48 + 1600, mixedKey).subarray(0, -64)
const mixedCard = concat(unsignedCard, mixedSigner(concat(domain('sign/card'), unsignedCard)))
file(
  'card-mixed-order',
  'a provider with a card signing key that is not torsion-free',
  {},
  { card: hex(mixedCard), ...refused },
)

// ── data under DES ───────────────────────────────────────────────────────────────────────────────────────────────────
const blocks: LegacyBlockVector[] = []
const DES = sample(16, 4)
const legacy = (account = NAMES.account, key = DES) =>
  new DesScope(claimant({ account, privateKey: { type: 4, key: keyOf(key) } }), nativeDes()!, true)
async function sealed(content: Uint8Array, scope = legacy()) {
  const prepared = await scope.prepare(content)
  const envelope = await scope.seal(prepared)
  return { label: hex(prepared.label), block: concat(envelope, prepared.buffer), content }
}
type Sealed = Awaited<ReturnType<typeof sealed>>
function block(id: string, comment: string, { label, block, content }: Sealed, more: Partial<LegacyBlockVector> = {}) {
  const common = { id, section: '19', comment, account: NAMES.account, key: hex(DES), label }
  blocks.push({ ...common, block: hex(block), content: hex(content), expect: 'ok', ...more })
}
const hundred = await sealed(sample(100))
const with_ = (block: Bytes) => ({ ...hundred, block })
for (const length of [0, 7, 8, 9]) block(`bytes-${length}`, `${length} bytes`, await sealed(sample(length)))
block('bytes-100', '100 bytes', hundred)
block('label', 'the label of another block', { ...hundred, label: hex(sample(32)) }, refused)
block('label-short', 'no label', { ...hundred, label: 'ab' }, malformed)
block('text', 'one bit of the ciphertext', with_(flipped(hundred.block, 120)), refused)
block('iv', 'one bit of the IV', with_(flipped(hundred.block, 50)), refused)
block('tag', 'one bit of the tag', with_(flipped(hundred.block, 87)), refused)
block('key-id', 'one bit of the key id', with_(flipped(hundred.block, 16)), { expect: 'key-not-found' })
block('owner-id', 'one bit of the owner id', with_(flipped(hundred.block, 40)), refused)
block('cut', 'a byte short', with_(hundred.block.subarray(0, -1)), malformed)
block('cut-block', '8 bytes short', with_(hundred.block.subarray(0, -8)), refused)
block('empty', 'no ciphertext', with_(hundred.block.subarray(0, 88)), malformed)
block('account', 'the same key, of another account', await sealed(sample(100), legacy('acme2')), refused)
block('key', 'another key', await sealed(sample(100), legacy(NAMES.account, sample(16, 6))), {
  expect: 'key-not-found',
})

// Blocks under right MACs.
function desByHand(
  padded: Uint8Array,
  P: Uint8Array,
  more: { ownerId?: Uint8Array; stated?: Uint8Array; label?: Uint8Array } = {},
): Sealed {
  const K = Buffer.from(DES)
  const context = [Buffer.from(NAMES.account), Buffer.from('private')]
  const { ownerId = KDF(K, EMPTY, 'owner-id', context, 16) } = more
  const { label = hmac('sha256', KDF(K, EMPTY, 'block-label', context, 32), hash('sha256', P)) } = more
  const [iv, key] = [Buffer.from(sample(8, 35)), desKey(K)]
  const des = crypto.createCipheriv('des-ede3-cbc', cat(key, key, key), iv).setAutoPadding(false)
  const ciphertext = cat(des.update(padded), des.final())
  const head = header(4, 0x0304, { keyId: vaultKeyId(K), ownerId: more.stated ?? ownerId })
  const aad = cat(D('aad'), head, LP(iv), LP(label))
  const mac = KDF(K, EMPTY, 'des-mac', [Buffer.from('private'), Buffer.from(ownerId)], 32)
  const tag = hmac('sha256', mac, aad, iv, ciphertext)
  return { label: hex(label), block: new Uint8Array(cat(head, iv, tag, ciphertext)), content: new Uint8Array(P) }
}
const nine = sample(9, 36)
block('by-hand', '9 bytes, made piece by piece', desByHand(concat(nine, new Uint8Array(7).fill(7)), nine))
block('padding-0', 'a padding of zeros', desByHand(new Uint8Array(16), EMPTY), refused)
block('padding-0-content', 'a last byte of 0', desByHand(concat(nine, new Uint8Array(7)), nine), refused)
const seven = sample(7, 36)
block('padding-9', 'a padding of 9 bytes', desByHand(concat(seven, new Uint8Array(9).fill(9)), seven), refused)
const uneven = concat(nine, Uint8Array.of(7, 7, 7, 1, 7, 7, 7))
block('padding-uneven', 'one other byte in the padding', desByHand(uneven, nine), refused)
const unevenFirst = concat(nine, Uint8Array.of(1, 7, 7, 7, 7, 7, 7))
block('padding-uneven-first', 'another first byte of the padding', desByHand(unevenFirst, nine), refused)
const padded = concat(nine, new Uint8Array(7).fill(7))
block('owner-id-sealed', 'sealed for another owner id', desByHand(padded, nine, { ownerId: sample(16) }), refused)
block('owner-id-header', 'another owner id in the header', desByHand(padded, nine, { stated: sample(16) }), refused)
block(
  'label-sealed',
  'sealed under the label of another block',
  desByHand(padded, nine, { label: sample(32) }),
  refused,
)
block('magic', 'kSTR', with_(patched(hundred.block, 0, [0x6b])), malformed)
block('header-cut', '47 bytes', with_(hundred.block.subarray(0, 47)), malformed)
block(
  'order-cut-key-id',
  'a byte short, with another key id',
  with_(flipped(hundred.block, 16).subarray(0, -1)),
  malformed,
)
block('order-key-id-owner', 'another key id and another owner id', with_(flipped(flipped(hundred.block, 16), 40)), {
  expect: 'key-not-found',
})

// ── keys of type DES-56, as text and as proof ────────────────────────────────────────────────────────────────────────
const typedKeys: TypedKeyVector[] = []
const text = { type: 'DES-56', text: 'asigra56' } as const
const { key: derived } = await deriveTextKey(LEGACY_KEY_TYPES['DES-56'], text.text, 'private', NAMES, {})
const common = { section: '19', role: 'private', ...NAMES } as const
typedKeys.push({
  id: 'des-56',
  comment: 'the longest text',
  ...common,
  ...text,
  key: withBytes(derived, hex),
  expect: 'ok',
})
const tooLong = { ...common, type: 'DES-56', text: 'asigra567', key: '', expect: 'invalid-text' } as const
typedKeys.push({ id: 'too-long-des', comment: '9 characters', ...tooLong })

const proofs: ProofVector[] = []
function enrolment(id: string, comment: string, of: Claimant, more: Partial<ProofVector> = {}) {
  const bytes = hex(encodeEnrolment(of, sample(300, 9)))
  const about = { id, section: '17.1', comment, kind: 'enrolment', realm: NAMES.realm, server: 'storage-1' } as const
  proofs.push({ ...about, bytes, registryKey: '', now: 0, expect: 'ok', ...more })
}
enrolment('enrolment-des', 'with a key of type DES-56', claimant({ privateKey: { type: 4, key: keyOf(DES) } }))
enrolment(
  'enrolment-des-account',
  'an account key of type DES-56',
  claimant({ accountKey: { type: 4, key: keyOf(DES) } }),
  malformed,
)

append('escrow.json', escrows)
append('registration.json', registrations)
append('legacy-block.json', blocks)
append('typed-key.json', typedKeys)
append('proof.json', proofs)
