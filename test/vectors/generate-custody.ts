// Adds the vectors of escrows, registrations and data under DES below to their files, unless they are there already.
// Run `npm run vectors`.
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
import { append } from './append.ts'
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
