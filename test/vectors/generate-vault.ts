// Adds the vectors of logins, cards, profiles and vaults below to their files, unless they are there already.
// Run `npm run vectors`.
import { type Bytes } from '../../src/index.ts'
import { deriveLogin } from '../../src/vault.ts'
import { VaultCipher } from '../../src/vault/block.ts'
import { concat, u16, u32 } from '../../src/core/bytes.ts'
import { encodeCard } from '../../src/core/card.ts'
import { encodeKeyring, type KeyringKey, sealRecoverySlot, type SlotKey } from '../../src/vault/keyring.ts'
import { Recipient } from '../../src/core/key-pairs.ts'
import { ownerOf } from '../../src/vault/login.ts'
import { encodeProfile, type ProfileContents, type VaultEntry } from '../../src/vault/profile-record.ts'
import { keyIdOf } from '../../src/core/wrap.ts'
import { macUnder } from '../../src/core/trailer.ts'
import { type Role, SecretKey, withBytes } from '../../src/core/secret.ts'
import { flipped, hex, patched, resummed, sample } from '../fixtures.ts'
import { plantedContents } from '../keyset/planted.ts'
import { append } from './append.ts'
import type {
  CardVector,
  KeyringVector,
  LoginVector,
  ProfileVector,
  RecoveryVector,
  VaultBlockVector,
} from './vectors.ts'

const run = (byte: number, length: number) => new Uint8Array(length).fill(byte)
const NAMES = { realm: 'com.example.backup', user: 'user@example.com' }

// ── logins ───────────────────────────────────────────────────────────────────────────────────────────────────────────
const logins: LoginVector[] = []
async function login(id: string, comment: string, password: string, realm: string, user: string): Promise<void> {
  const owner = ownerOf(await deriveLogin(password, { realm, user }))
  const { credential } = await deriveLogin(password, { realm, user })
  logins.push({
    id,
    section: '8.1',
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
const noLogin = { section: '1.2', realm: NAMES.realm, user: NAMES.user, credential: '', rootKey: '' }
logins.push({ id: 'empty-password', comment: 'no password', ...noLogin, password: '', expect: 'limit-exceeded' })
logins.push({ id: 'empty-user', comment: 'no user', ...noLogin, password: 'x', user: '', expect: 'limit-exceeded' })
logins.push({
  id: 'long-user',
  comment: '256 bytes, in 128 characters',
  ...noLogin,
  password: 'x',
  user: 'ü'.repeat(128),
  expect: 'limit-exceeded',
})

// ── cards ────────────────────────────────────────────────────────────────────────────────────────────────────────────
const keyset = plantedContents()
const additional = keyset.additional!
const cardOf = (sharing = additional.sharing.publicHalves) =>
  encodeCard({ ownerId: keyset.id, sharing, sourceSigning: keyset.sourceSigning.publicKey }, additional.cardSigning)
const { bytes: cardBytes, fingerprint } = cardOf()

const cards: CardVector[] = []
function card(id: string, comment: string, bytes: Uint8Array, expect: CardVector['expect'] = 'ok'): void {
  cards.push({ id, section: '7', comment, card: hex(bytes), fingerprint: expect === 'ok' ? fingerprint : '', expect })
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

// ── profiles ─────────────────────────────────────────────────────────────────────────────────────────────────────────
const dataKey = new SecretKey('data', run(0x21, 32))
const rootKey = new SecretKey('root', run(0x31, 24))
const profileId = run(0xa1, 16)
const vaultId = run(0xb1, 16)
const keyOf = (generation: number, due = false): SlotKey => ({
  generation,
  due,
  key: new SecretKey('keyring', run(0x40 + generation, 16)),
})
const vectorsOf = (keys: readonly KeyringKey[]) =>
  keys.map(({ generation, key }) => ({ generation, key: withBytes(key, hex) }))

const admin = new Recipient(publicHalves)
const vaultWith = (keys: readonly SlotKey[], more: Partial<VaultEntry> = {}): VaultEntry => ({
  id: vaultId,
  dataKeyId: keyIdOf(dataKey),
  keys,
  recoverySlots: [],
  ...more,
})
const recoverable = (keys: readonly KeyringKey[]) => ({
  recoverySlots: keys.map((key) => sealRecoverySlot(admin, profileId, NAMES, vaultId, key)),
})
const zeroTrust: ProfileContents = { id: profileId, version: 5, admin: undefined, vaults: [vaultWith([keyOf(1)])] }
const both = [keyOf(3), keyOf(4)]
const withAdmin: ProfileContents = {
  id: profileId,
  version: 9,
  admin: cardBytes,
  vaults: [vaultWith(both, recoverable(both))],
}
const bare = encodeProfile(zeroTrust, rootKey)
const full = encodeProfile(withAdmin, rootKey)

const profiles: ProfileVector[] = []
function profile(
  id: string,
  comment: string,
  bytes: Uint8Array,
  expect: ProfileVector['expect'],
  keys: readonly KeyringKey[] = [],
  key = rootKey,
): void {
  const root = withBytes(key, hex)
  profiles.push({ id, section: '9.1', comment, rootKey: root, profile: hex(bytes), keys: vectorsOf(keys), expect })
}
/** Recomputes mac and checksum of a changed profile, as someone who has the root key could. */
function remacked(bytes: Uint8Array): Uint8Array {
  const mac = macUnder(rootKey, 'profile-mac', [], bytes.subarray(0, -72))
  return resummed(patched(bytes, bytes.length - 72, mac))
}
profile('zero-trust', 'one vault, one slot', bare, 'ok', [keyOf(1)])
profile('admin', 'two slots and their recovery slots, in the middle of a rotation', full, 'ok', both)
profile('no-vaults', 'as createProfile makes it', encodeProfile({ ...zeroTrust, vaults: [] }, rootKey), 'ok')
const due = { ...withAdmin, vaults: [vaultWith([keyOf(2, true), keyOf(3)], recoverable([keyOf(3)]))] }
profile('rotation-due', 'the admin was changed, in the middle of the rotation', encodeProfile(due, rootKey), 'ok', [
  keyOf(2),
  keyOf(3),
])
profile('wrong-password', 'another root key', bare, 'wrong-password', [], new SecretKey('root', run(0x32, 24)))
profile('too-short', '55 bytes', bare.subarray(0, 55), 'malformed')
profile('checksum', 'one bit, by accident', flipped(bare, 100), 'malformed')
profile('key-id-damaged', 'one bit of the key id, by accident: not a wrong password', flipped(bare, 20), 'malformed')
profile('magic', 'kSTR', resummed(patched(bare, 0, [0x6b])), 'malformed')
profile('type', 'type 13', resummed(patched(bare, 5, [13])), 'unsupported')
profile('flag', 'an unknown flag', resummed(patched(bare, 15, [1])), 'unsupported')
profile('version-zero', 'profile version 0', resummed(patched(bare, 48, run(0, 8))), 'malformed')
profile('version-huge', 'profile version 2⁵³', resummed(patched(bare, 48, [0, 0x20, 0, 0, 0, 0, 0, 0])), 'malformed')
profile('zero-trust-byte', 'zero trust 2', resummed(patched(bare, 56, [2])), 'malformed')
profile('zero-trust-off', 'zero trust 0, and no card', resummed(patched(bare, 56, [0])), 'malformed')
profile('zero-trust-on', 'zero trust 1, with a card', resummed(patched(full, 56, [1])), 'malformed')
profile('generation-zero', 'a slot of generation 0', resummed(patched(bare, 94, [0, 0, 0, 0])), 'malformed')
const swapped = concat(
  full.subarray(0, 1870),
  full.subarray(2019, 2168),
  full.subarray(1870, 2019),
  full.subarray(2168),
)
profile('generations-descending', 'the slots in the other order', remacked(swapped), 'malformed')
profile('trailing', 'a byte too many', resummed(concat(bare.subarray(0, -8), run(0, 9))), 'malformed')
profile('due-byte', 'due 2', resummed(patched(bare, 98, [2])), 'malformed')
const [start, vault, end] = [bare.subarray(0, 58), bare.subarray(60, 245), bare.subarray(245)]
const noSlot = remacked(concat(start, u16(1), vault.subarray(0, 32), u16(0), u16(0), end))
profile('no-slot', 'a vault without a slot', noSlot, 'malformed')
const twice = remacked(concat(start, u16(2), vault, vault, end))
profile('vault-twice', 'one vault id twice', twice, 'malformed')
const recoverySlot = recoverable([keyOf(1)]).recoverySlots[0]!.bytes
const hidden = remacked(concat(start, u16(1), vault.subarray(0, -2), u16(1), u32(1), recoverySlot, end))
profile('hidden-recovery', 'a recovery slot under zero trust', hidden, 'malformed')
profile(
  'mac',
  'one bit of the mac, the checksum made right',
  resummed(flipped(bare, bare.length - 10)),
  'authentication-failed',
)
profile('profile-id', 'another profile id', resummed(flipped(bare, 40)), 'authentication-failed')
profile('slot', 'one bit of a slot, under a right mac', remacked(flipped(bare, 200)), 'authentication-failed')
profile(
  'slot-generation',
  'another generation of a slot, under a right mac',
  remacked(patched(bare, 97, [9])),
  'authentication-failed',
)
profile('slot-vault', 'another vault id, under a right mac', remacked(flipped(bare, 60)), 'authentication-failed')
profile('card', 'a broken card, under a right mac', remacked(flipped(full, 58 + 100)), 'authentication-failed')

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
    ...vectorsOf([keyOf(6)])[0]!,
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

// ── keyrings ─────────────────────────────────────────────────────────────────────────────────────────────────────────
const one = encodeKeyring(vaultId, 4, dataKey, [keyOf(1)])
const two = encodeKeyring(vaultId, 5, dataKey, both)
const keyrings: KeyringVector[] = []
function keyring(
  id: string,
  comment: string,
  bytes: Uint8Array,
  keys: readonly KeyringKey[],
  more: Partial<KeyringVector> = {},
): void {
  keyrings.push({
    id,
    section: '10.2',
    comment,
    keyring: hex(bytes),
    vaultId: hex(vaultId),
    keys: vectorsOf(keys),
    dataKey: withBytes(dataKey, hex),
    live: [],
    expect: 'ok',
    ...more,
  })
}
const refused = { expect: 'authentication-failed' } as const
const macked = (bytes: Uint8Array, key: SecretKey<Role> = dataKey) =>
  patched(bytes, bytes.length - 64, macUnder(key, 'keyring-mac', [vaultId], bytes.subarray(0, -64)))
keyring('one', 'one wrap', one, [keyOf(1)], { live: [1] })
keyring('two', 'two wraps, both live', two, both, { live: [3, 4] })
keyring('lower-live', 'the profile has the lower key alone', two, [keyOf(3)], { live: [3] })
keyring('higher-live', 'the profile has the higher key, and one that is gone', two, [keyOf(2), keyOf(4)], { live: [4] })
keyring(
  'other-key',
  'a key of the right generation that opens nothing',
  one,
  [{ generation: 1, key: new SecretKey('keyring', run(9, 16)) }],
  refused,
)
keyring('none-live', 'no key of a generation that is there', one, [keyOf(2)], refused)
keyring('no-wraps', 'rightly macked, and no wrap', encodeKeyring(vaultId, 4, dataKey, []), [keyOf(1)], refused)
keyring('other-vault', 'another vault', one, [keyOf(1)], { vaultId: hex(run(0xb2, 16)), ...refused })
keyring('mac', 'one bit of the mac', flipped(one, one.length - 1), [keyOf(1)], refused)
keyring('version', 'another version', flipped(one, 55), [keyOf(1)], refused)
keyring('version-zero', 'keyring version 0', macked(patched(one, 48, run(0, 8))), [keyOf(1)], { expect: 'malformed' })
keyring('key-id', 'another key id, under a right mac', macked(flipped(one, 20)), [keyOf(1)], refused)
keyring('wrap', 'one bit of a wrap, under a right mac', macked(flipped(one, 200)), [keyOf(1)], refused)
const foreign = encodeKeyring(vaultId, 5, new SecretKey('data', run(0x22, 32)), both)
const mixed = macked(concat(two.subarray(0, 222), foreign.subarray(222, 386), two.subarray(386)))
keyring('two-data-keys', 'wraps of two A-keys, under a right mac', mixed, both, refused)
keyring('type', 'type 12', patched(one, 5, [12]), [keyOf(1)], { expect: 'unsupported' })
keyring('suite', 'suite 0x0201', patched(one, 6, [2, 1]), [keyOf(1)], { expect: 'unsupported' })
keyring('trailing', 'a byte too many', concat(one, run(0, 1)), [keyOf(1)], { expect: 'malformed' })
keyring('cut', 'a byte short', one.subarray(0, -1), [keyOf(1)], { expect: 'malformed' })
const reversed = macked(concat(two.subarray(0, 58), two.subarray(222, 386), two.subarray(58, 222), two.subarray(386)))
keyring('generations-descending', 'the wraps in the other order', reversed, both, { expect: 'malformed' })

// ── blocks ───────────────────────────────────────────────────────────────────────────────────────────────────────────
const cipher = new VaultCipher(vaultId, dataKey.copy())
const blocks: VaultBlockVector[] = []
interface Made {
  label: Uint8Array
  bytes: Uint8Array
  content: Uint8Array
}
async function seal(content: Uint8Array, label?: Bytes): Promise<Made> {
  const prepared = await cipher.prepare(content)
  const named = { buffer: prepared.buffer, label: label ?? prepared.label }
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
    section: '11',
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

append('login.json', logins)
append('card.json', cards)
append('profile.json', profiles)
append('recovery.json', recoveries)
append('keyring.json', keyrings)
append('vault-block.json', blocks)
