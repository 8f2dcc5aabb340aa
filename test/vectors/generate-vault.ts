// Adds the vectors of logins, cards, recovery slots and blocks of a vault below to their files, unless they are there already.
// Run `npm run vectors`.
import * as crypto from 'node:crypto'
import { type Bytes } from '../../src/index.ts'
import { deriveLogin } from '../../src/vault.ts'
import { VaultCipher } from '../../src/vault/block.ts'
import { concat } from '../../src/core/bytes.ts'
import { encodeCard } from '../../src/core/card.ts'
import { sealRecoverySlot } from '../../src/vault/keyring.ts'
import { ownerOf } from '../../src/vault/login.ts'
import { withBytes } from '../../src/core/secret.ts'
import { flipped, hex, patched, sample } from '../fixtures.ts'
import { plantedContents } from '../keyset/planted.ts'
import { cat, D, EMPTY, hash, hmac, KDF, LP, pairId, u8 } from '../spec-reader.ts'
import { keyIdOf, polyTag, readCard, u64 } from '../spec-reader-vault.ts'
import { append } from './append.ts'
import { header, publicKeyOf, signedBy } from './make-by-hand.ts'
import { ODD_KEYS, oddSigner } from './odd-keys.ts'
import { admin, dataKey, keyOf, keyVectors, NAMES, profileId, run, vaultId } from './make-profile.ts'
import type { CardVector, LoginVector, RecoveryVector, VaultBlockVector } from './vectors.ts'

// ── logins ───────────────────────────────────────────────────────────────────────────────────────────────────────────
const logins: LoginVector[] = []
async function login(id: string, comment: string, password: string, realm: string, user: string): Promise<void> {
  const owner = ownerOf(await deriveLogin(password, { realm, user }))
  const { credential } = await deriveLogin(password, { realm, user })
  logins.push({
    id,
    section: '12.1',
    comment,
    password,
    realm,
    user,
    credential,
    rootKey: withBytes(owner.rootKey, hex),
    expect: 'ok',
  })
}
await login('ascii', 'plain texts', 'correct horse battery staple', NAMES.realm, NAMES.user)
await login('capitals', 'the same user in capitals', 'correct horse battery staple', NAMES.realm, 'USER@Example.COM')
await login(
  'realm-capitals',
  'capitals count in a realm',
  'correct horse battery staple',
  'COM.example.backup',
  NAMES.user,
)
await login('decomposed', 'NFD and an ideographic space', 'a\u030angstro\u0308m\u3000\u{1f511}', 'réalm', 'u\u0308ser')
await login('final-sigma', 'a Σ at the end of a word becomes ς', 'password', NAMES.realm, 'ΟΔΥΣΣΕΥΣ')
await login('dotted-i', 'İ becomes i and U+0307', 'password', NAMES.realm, 'İSTANBUL')
await login('boundary', 'one name cannot take from the other', 'password', 'com.example.backupu', 'ser@example.com')
await login(
  'flag',
  'a password that ends with the flag of Scotland, and a joiner inside',
  'a\u200db\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}',
  NAMES.realm,
  NAMES.user,
)
await login(
  'sigma-case',
  'a Σ behind ʕ, which has case in Unicode 16.0 and none in 17.0',
  'password',
  NAMES.realm,
  'Aʕ\u03a3',
)
await login('sigma-skipped', 'a Σ between marks that are skipped', 'password', NAMES.realm, "A\u0301'Σ.-B")
await login('sigma-armenian', 'a Σ behind a letter of another script', 'password', NAMES.realm, 'ԱΣ')
await login('selector-end', 'an emoji with its variation selector, then a space', '\u2764\ufe0f ', NAMES.realm, 'anna')
const noLogin = { section: '1.2', realm: NAMES.realm, user: NAMES.user, credential: '', rootKey: '' }
logins.push({ id: 'empty-password', comment: 'no password', ...noLogin, password: '', expect: 'invalid-text' })
logins.push({ id: 'empty-user', comment: 'no user', ...noLogin, password: 'x', user: '', expect: 'invalid-text' })
logins.push({
  id: 'long-user',
  comment: '256 bytes, in 128 characters',
  ...noLogin,
  password: 'x',
  user: 'ü'.repeat(128),
  expect: 'invalid-text',
})
/** @param more what is wrong: the password, the user or the realm */
function refusedLogin(id: string, comment: string, more: Partial<LoginVector>): void {
  logins.push({ id, comment, ...noLogin, password: 'password', ...more, expect: 'invalid-text' })
}
refusedLogin('line-end', 'a line end at the end of the password', { password: 'password\r\n' })
refusedLogin('tab', 'a tab in the password', { password: 'pass\tword' })
refusedLogin('delete', 'U+007F in the password', { password: 'pass\x7fword' })
refusedLogin('replacement', 'a character that a decoder lost', { password: 'gr\ufffdn' })
refusedLogin('object', 'the place of a lost picture', { password: 'pass\ufffcword' })
refusedLogin('filler-end', 'a Hangul filler at the end', { password: 'password\u3164' })
refusedLogin('blank-note-end', 'a note without a head at the end', { password: 'password\u{1d159}' })
refusedLogin('hidden-space', 'a zero width space, then a space', { password: 'password\u200b ' })
refusedLogin('selector-start', 'a variation selector at the start', { password: '\ufe0fpassword' })
refusedLogin('selector-twice', 'two variation selectors at the end', { password: '\u2764\ufe0f\ufe0f' })
refusedLogin('flag-end-alone', 'the end of a flag without its flag', { password: 'password\u{e007f}' })
refusedLogin('hidden-user', 'an empty Braille cell at the end of the user', { user: 'user\u2800' })
refusedLogin('next-line', 'U+0085 in the password', { password: 'pass\x85word' })
refusedLogin('line-separator', 'U+2028 in the password', { password: 'pass\u2028word' })
refusedLogin('byte-order-mark', 'U+FEFF before the password', { password: '\ufeffpassword' })
refusedLogin('invisible-end', 'U+200B behind the password', { password: 'password\u200b' })
refusedLogin('invisible-start', 'U+200E before the password', { password: '\u200epassword' })
refusedLogin('cut-emoji', 'a joiner at the end of the password', { password: 'pass\u{1f468}\u200d' })
refusedLogin('cut-flag', 'a flag without its end', { password: 'pass\u{1f3f4}\u{e0067}' })
refusedLogin('half-emoji', 'a lone surrogate in the password', { password: 'pass\ud83d' })
refusedLogin('noncharacter', 'U+FFFF in the password', { password: 'pass\uffffword' })
refusedLogin('blank', 'a password of spaces', { password: ' \u00a0 ' })
refusedLogin('blank-marks', 'a password of fillers and variation selectors', { password: '\u3164\ufe0f' })
refusedLogin('user-line-end', 'a line end behind the user', { user: 'user\n' })
refusedLogin('realm-invisible', 'U+FEFF before the realm', { realm: '\ufeffcom.example.backup' })
refusedLogin('long-realm', '256 bytes', { realm: 'x'.repeat(256) })

// ── cards ────────────────────────────────────────────────────────────────────────────────────────────────────────────
const keyset = plantedContents()
const additional = keyset.additional!
const cardOf = (sharing = additional.sharing.publicHalves) =>
  encodeCard({ ownerId: keyset.id, sharing, sourceSigning: keyset.sourceSigning.publicKey }, additional.cardSigning)
const { bytes: cardBytes, fingerprint } = cardOf()

const cards: CardVector[] = []
function card(id: string, comment: string, bytes: Uint8Array, expect: CardVector['expect'] = 'ok'): void {
  cards.push({ id, section: '5', comment, card: hex(bytes), fingerprint: expect === 'ok' ? fingerprint : '', expect })
}
card('good', 'of the planted keyset', cardBytes)
card('type', 'type 13', patched(cardBytes, 5, [13]), 'unsupported')
card('short', 'a byte short', cardBytes.subarray(0, -1), 'malformed')
card('long', 'a byte long', concat(cardBytes, run(0, 1)), 'malformed')
card('key-id', 'another key id', flipped(cardBytes, 16), 'authentication-failed')
card('owner-id', 'another owner id', flipped(cardBytes, 40), 'authentication-failed')
card('public-key', 'one bit of pk_m', flipped(cardBytes, 100), 'authentication-failed')
card('signature', 'one bit of the signature', flipped(cardBytes, 1775), 'authentication-failed')
card(
  'small-order',
  'a card signing key of small order',
  patched(cardBytes, 1648, [1, ...run(0, 31)]),
  'authentication-failed',
)
const { publicHalves } = additional.sharing
card(
  'low-order',
  'rightly signed, pk_x is the point 0',
  cardOf({ ...publicHalves, x25519: run(0, 32) }).bytes,
  'malformed',
)
card(
  'modulus',
  'rightly signed, pk_m is out of range',
  cardOf({ ...publicHalves, mlKem1024: run(255, 1568) }).bytes,
  'malformed',
)

// Cards that are right but for one field.
const cardSeed = withBytes(additional.cardSigning.seed, (seed) => Buffer.from(seed))
interface CardByHand {
  keyId?: Uint8Array
  pkX?: Uint8Array
  pkM?: Uint8Array
  signing?: Uint8Array
  sourceSigning?: Uint8Array
  sign?: (message: Uint8Array) => Uint8Array
}
function cardByHand({ keyId, signing = publicKeyOf(cardSeed), ...of }: CardByHand = {}): Buffer {
  const { pkX = publicHalves.x25519, pkM = publicHalves.mlKem1024 } = of
  const {
    sourceSigning = keyset.sourceSigning.publicKey,
    sign = (message: Uint8Array) => signedBy(cardSeed, message),
  } = of
  const named = keyId ?? pairId({ pkX: Buffer.from(pkX), pkM: Buffer.from(pkM) })
  const before = cat(header(14, 0, { keyId: named, ownerId: keyset.id }), pkX, pkM, signing, sourceSigning)
  return cat(before, sign(cat(D('sign/card'), before)))
}
card('by-hand', 'made piece by piece', cardByHand())
card('key-id-signed', 'another key id, signed', cardByHand({ keyId: sample(16) }), 'authentication-failed')
card('magic', 'kSTR', patched(cardBytes, 0, [0x6b]), 'malformed')
card('header-alone', 'a header', cardBytes.subarray(0, 48), 'malformed')
card('header-cut', '47 bytes, of type 13', patched(cardBytes, 5, [13]).subarray(0, 47), 'malformed')
card(
  'unreduced',
  's + L for the scalar s',
  cardByHand({ sign: oddSigner('s', new Uint8Array(cardSeed))[1] }),
  'authentication-failed',
)
for (const [id, comment, odd] of ODD_KEYS.slice(0, 2)) {
  const [signing, sign] = oddSigner(odd, new Uint8Array(cardSeed))
  card(id, comment, cardByHand({ signing, sign }), 'authentication-failed')
}
/** A pk_m whose first two coefficients are these. */
const coefficients = (first: number, second: number) =>
  patched(publicHalves.mlKem1024, 0, [first & 255, (first >> 8) | ((second & 15) << 4), second >> 4])
card('modulus-first', 'the first coefficient is 3,329', cardByHand({ pkM: coefficients(3329, 0) }), 'malformed')
card('modulus-second', 'the second coefficient is 3,329', cardByHand({ pkM: coefficients(0, 3329) }), 'malformed')
const highest = cardByHand({ pkM: coefficients(3328, 3328) })
cards.push({
  ...{ id: 'modulus-3328', section: '5', comment: 'the first two coefficients are 3,328', card: hex(highest) },
  ...{ fingerprint: readCard(highest).fingerprint, expect: 'ok' },
})
card('low-order-1', 'pk_x is the point 1', cardByHand({ pkX: patched(run(0, 32), 0, [1]) }), 'malformed')
const strangeSource = cardByHand({ sourceSigning: run(0xff, 32) })
cards.push({
  ...{ id: 'source-signing', section: '5', comment: 'a source signing key that is none: it is not looked at' },
  ...{ card: hex(strangeSource), fingerprint: readCard(strangeSource).fingerprint, expect: 'ok' },
})
card('order-length-signature', 'a byte short, with another key id', flipped(cardBytes, 16).subarray(0, -1), 'malformed')
card('order-type-length', 'type 13, and a byte short', patched(cardBytes, 5, [13]).subarray(0, -1), 'unsupported')
card(
  'order-signature-modulus',
  'another signature, and pk_m out of range',
  flipped(cardByHand({ pkM: coefficients(3329, 0) }), 1775),
  'authentication-failed',
)
card(
  'order-key-id-low-order',
  'another key id, and pk_x is the point 0',
  cardByHand({ keyId: sample(16), pkX: run(0, 32) }),
  'authentication-failed',
)

// ── recovery slots ───────────────────────────────────────────────────────────────────────────────────────────────────
const recoveries: RecoveryVector[] = []
const slot = sealRecoverySlot(admin, profileId, NAMES, vaultId, keyOf(6)).bytes
function recovery(id: string, comment: string, more: Partial<RecoveryVector>): void {
  recoveries.push({
    id,
    section: '4.3',
    comment,
    slot: hex(slot),
    profileId: hex(profileId),
    ...NAMES,
    vaultId: hex(vaultId),
    ...keyVectors([keyOf(6)])[0]!,
    expect: 'ok',
    ...more,
  })
}
recovery('good', 'to the planted card', {})
recovery('user', 'of another user', { user: 'other@example.com', expect: 'authentication-failed' })
recovery('realm', 'of another realm', { realm: 'com.example.other', expect: 'authentication-failed' })
recovery('vault', 'of another vault', { vaultId: hex(run(0xb2, 16)), expect: 'authentication-failed' })
recovery('generation', 'of another generation', { generation: 7, expect: 'authentication-failed' })
recovery('profile', 'of another profile', { profileId: hex(run(0xa2, 16)), expect: 'authentication-failed' })
recovery('suite', 'suite WRAP', { slot: hex(patched(slot, 6, [4, 1])), expect: 'unsupported' })
recovery('type', 'type 2', { slot: hex(patched(slot, 5, [2])), expect: 'unsupported' })
recovery('key-id', 'to another card', { slot: hex(flipped(slot, 20)), expect: 'key-not-found' })
recovery('ephemeral', 'one bit of epk', { slot: hex(flipped(slot, 50)), expect: 'authentication-failed' })
recovery('ephemeral-alias', 'bit 255 of epk', { slot: hex(flipped(slot, 79, 7)), expect: 'authentication-failed' })
recovery('ephemeral-low-order', 'the point 0 for epk', {
  slot: hex(patched(slot, 48, run(0, 32))),
  expect: 'authentication-failed',
})
recovery('encapsulated', 'one bit of ct_m', { slot: hex(flipped(slot, 800)), expect: 'authentication-failed' })
recovery('commitment', 'one bit of c', { slot: hex(flipped(slot, 1650)), expect: 'authentication-failed' })
recovery('tag', 'one bit of the tag', { slot: hex(flipped(slot, 1711)), expect: 'authentication-failed' })

recovery('magic', 'kSTR', { slot: hex(patched(slot, 0, [0x6b])), expect: 'malformed' })
recovery('generation-1', 'generation 1 in the header', { slot: hex(patched(slot, 11, [1])), expect: 'unsupported' })
recovery('order-key-id-owner', 'to another card, of another profile', {
  slot: hex(flipped(flipped(slot, 20), 40)),
  expect: 'key-not-found',
})

// ── blocks ───────────────────────────────────────────────────────────────────────────────────────────────────────────
const cipher = new VaultCipher(vaultId, dataKey.copy())
const blocks: VaultBlockVector[] = []
const refused = { expect: 'authentication-failed' } as const
interface Made {
  label: Uint8Array
  bytes: Uint8Array
  content: Uint8Array
}
async function seal(content: Uint8Array, label?: Bytes): Promise<Made> {
  const prepared = await cipher.prepare(content)
  const named = { ...prepared, label: label ?? prepared.label }
  const envelope = await cipher.seal(named)
  return { label: named.label, bytes: concat(envelope, named.buffer), content }
}
function block(
  id: string,
  comment: string,
  { label, bytes, content }: Made,
  more: Partial<VaultBlockVector> = {},
): void {
  blocks.push({
    id,
    section: '15',
    comment,
    vaultId: hex(vaultId),
    dataKey: withBytes(dataKey, hex),
    label: hex(label),
    block: hex(bytes),
    content: hex(content),
    expect: 'ok',
    ...more,
  })
}
const good = await seal(sample(100))
block('empty', 'no bytes at all', await seal(new Uint8Array(0)))
block('one-byte', 'one byte', await seal(sample(1)))
block('100-bytes', 'not a multiple of a block', good)
block('256-bytes', 'a multiple of a block', await seal(sample(256)))
const with_ = (bytes: Uint8Array) => ({ ...good, bytes })
block('vault', 'another vault', good, { vaultId: hex(run(0xb2, 16)), ...refused })
block('key', 'another A-key', good, { dataKey: hex(run(0x22, 32)), ...refused })
block('label', 'the label of another block', { ...good, label: sample(32) }, refused)
block('label-capitals', 'the label in capitals', good, { label: hex(good.label).toUpperCase(), expect: 'malformed' })
block('type', 'type 5', with_(patched(good.bytes, 5, [5])), { expect: 'unsupported' })
block('suite', 'a suite that nobody has', with_(patched(good.bytes, 6, [2, 2])), { expect: 'unsupported' })
block('flag', 'an unknown flag', with_(patched(good.bytes, 15, [1])), { expect: 'unsupported' })
block('key-id', 'one bit of the key id', with_(flipped(good.bytes, 16)), refused)
block('owner-id', 'one bit of the owner id', with_(flipped(good.bytes, 32)), refused)
block('nonce', 'one bit of n', with_(flipped(good.bytes, 50)), refused)
block('commitment', 'one bit of c', with_(flipped(good.bytes, 90)), refused)
block('tag', 'one bit of the tag', with_(flipped(good.bytes, 120)), refused)
block('text', 'one bit of the ciphertext', with_(flipped(good.bytes, 150)), refused)
block('cut', 'a byte short', with_(good.bytes.subarray(0, -1)), refused)
block('extended', 'a byte long', with_(concat(good.bytes, run(0, 1))), refused)
block('envelope-cut', '127 bytes', with_(good.bytes.subarray(0, 127)), { expect: 'malformed' })
block(
  'misnamed',
  'rightly sealed under the label of another content',
  await seal(sample(90, 5), new Uint8Array(good.label)),
  refused,
)

/** Makes a block by hand, for any ids and with any commitment. */
function blockByHand({ keyId, ownerId = vaultId, c: stated, content = sample(100) }: BlockByHand = {}): Made {
  const A = withBytes(dataKey, (bytes) => Buffer.from(bytes))
  const label = hmac('sha256', KDF(A, EMPTY, 'block-label', [Buffer.from(vaultId)], 32), hash('sha256', content))
  const [head, n] = [header(4, 0x0201, { keyId: keyId ?? keyIdOf(A), ownerId }), Buffer.from(sample(32, 6))]
  const keys = KDF(A, n, 'ctr-poly1305', [u8(4), Buffer.from(vaultId)], 96)
  const c = stated ?? keys.subarray(64)
  const ciphertext = crypto.createCipheriv('aes-256-ctr', keys.subarray(0, 32), Buffer.alloc(16)).update(content)
  const aad = cat(D('aad'), head, LP(cat(n, c)), LP(label))
  const tag = polyTag(keys.subarray(32, 64), cat(aad, ciphertext, u64(aad.length), u64(ciphertext.length)))
  return { label, bytes: cat(head, n, c, tag, ciphertext), content }
}
interface BlockByHand {
  keyId?: Uint8Array
  ownerId?: Uint8Array
  c?: Uint8Array
  content?: Uint8Array
}
block('by-hand', 'made piece by piece', blockByHand())
block('key-id-sealed', 'sealed with another key id', blockByHand({ keyId: sample(16) }), refused)
block('owner-id-sealed', 'sealed with another owner id', blockByHand({ ownerId: sample(16) }), refused)
block('commitment-sealed', 'sealed with another c', blockByHand({ c: sample(32) }), refused)
block('magic', 'kSTR', with_(patched(good.bytes, 0, [0x6b])), { expect: 'malformed' })
block('header-alone', 'a header', with_(good.bytes.subarray(0, 48)), { expect: 'malformed' })
block('header-cut', '47 bytes, of type 5', with_(patched(good.bytes, 5, [5]).subarray(0, 47)), { expect: 'malformed' })
block('order-label-type', 'the label in capitals, and type 5', with_(patched(good.bytes, 5, [5])), {
  ...{ label: hex(good.label).toUpperCase(), expect: 'malformed' },
})
block('order-type-cut', 'type 5, and 127 bytes', with_(patched(good.bytes, 5, [5]).subarray(0, 127)), {
  expect: 'unsupported',
})

const longest = 'x'.repeat(255)
await login('name-255', 'a user and a realm of 255 bytes', 'password', longest, longest)

append('login.json', logins)
append('card.json', cards)
append('recovery.json', recoveries)
append('vault-block.json', blocks)
