// Adds the vectors of clients and devices below to their files, unless they are there already. Run `npm run vectors`.
import { createHash, createHmac } from 'node:crypto'
import {
  type KeyHash,
  type ProvenKey,
  storedChallenge,
  type StoredChallenge,
  storedEnrolment,
  type StoredEnrolment,
} from '../../src/client/layout.ts'
import { accountRow, type AccountRow, type KnownClient } from '../../src/server/account-row.ts'
import { flipped, hex, openKeyOf, patched, resummed, sample } from '../fixtures.ts'
import { deriveLogin } from '../../src/vault.ts'
import { sealHandle } from '../../src/device/saved.ts'
import { type DeviceKey, openDeviceKey } from '../../src/device.ts'
import { type Bytes } from '../../src/index.ts'
import { type TypedKey } from '../../src/client.ts'
import { KeyedCipher, PublicCipher, type ScopeCipher } from '../../src/client/block.ts'
import { concat, domain, lengthPrefixed, utf8 } from '../../src/core/bytes.ts'
import { encode } from '../../src/core/codec.ts'
import { ObjectType } from '../../src/core/header.ts'
import { type Claimant, claimHeader, encodeEnrolment, encodeProof } from '../../src/client/proof.ts'
import { deriveTypedKey } from '../../src/client/typed-key.ts'
import { sign, signingPublicKey } from '../../src/primitives/signature.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { openedClient } from '../../src/client/client.ts'
import { unlocked } from '../../src/keyset/keyset.ts'
import { plantedContents, plantedMaster } from '../keyset/planted.ts'
import { append } from './append.ts'
import type { AccountVector, ClientBlockVector, DeviceVector, ProofVector, TypedKeyVector } from './vectors.ts'

const NAMES = { realm: 'com.example.backup', account: 'acme' }
const refused = { expect: 'authentication-failed' } as const
const malformed = { expect: 'malformed' } as const
const unsupported = { expect: 'unsupported' } as const

// ── typed keys ───────────────────────────────────────────────────────────────────────────────────────────────────────
const typedKeys: TypedKeyVector[] = []
async function typed(id: string, comment: string, key: TypedKey, role: 'private' | 'account', names = NAMES) {
  const { key: derived } = await deriveTypedKey(key, role, names, {})
  typedKeys.push({ id, section: '16.1', comment, ...key, role, ...names, key: withBytes(derived, hex), expect: 'ok' })
}
const text = 'a key of 32 characters, all told'
await typed('aes-256', 'the longest text', { type: 'AES-256', text }, 'private')
await typed('aes-192', 'the longest text', { type: 'AES-192', text: text.slice(0, 24) }, 'private')
await typed('aes-128', 'the longest text', { type: 'AES-128', text: text.slice(0, 16) }, 'private')
await typed('role', 'the same for the account', { type: 'AES-128', text: text.slice(0, 16) }, 'account')
await typed('account', 'of another account', { type: 'AES-128', text: 'x' }, 'private', { ...NAMES, account: 'acme2' })
await typed('realm', 'of another realm', { type: 'AES-128', text: 'x' }, 'private', { ...NAMES, realm: 'elsewhere' })
await typed(
  'decomposed',
  'NFD and an ideographic space',
  { type: 'AES-256', text: 'a\u030ange\u3000\u{1f511}' },
  'private',
)
await typed('code-points', '16 keys of one code point', { type: 'AES-128', text: '🔑'.repeat(16) }, 'private')
const long = { section: '16.1', role: 'private', ...NAMES, key: '', expect: 'invalid-text' } as const
typedKeys.push({ id: 'empty', comment: 'no text', type: 'AES-128', text: '', ...long })
typedKeys.push({ id: 'too-long', comment: '17 characters', type: 'AES-128', text: text.slice(0, 17), ...long })
typedKeys.push({ id: 'too-long-256', comment: '33 characters', type: 'AES-256', text: text + 'x', ...long })

// ── blocks ───────────────────────────────────────────────────────────────────────────────────────────────────────────
const keyOf = (bytes: Uint8Array) => new SecretKey('client', bytes)
const ACCOUNT_KEY = sample(16, 5)
const blocks: ClientBlockVector[] = []
const sealedBy = async (cipher: ScopeCipher, content: Uint8Array) => {
  const prepared = await cipher.prepare(content)
  const envelope = await cipher.seal(prepared)
  return { label: hex(prepared.label), bytes: concat(envelope, prepared.buffer), content }
}
type Sealed = Awaited<ReturnType<typeof sealedBy>>
function block(
  id: string,
  comment: string,
  type: number,
  { label, bytes, content }: Sealed,
  more: Partial<ClientBlockVector> = {},
) {
  blocks.push({
    ...{ id, section: '16.2', comment, ...NAMES },
    ...{ privateType: type, privateKey: hex(sample([16, 24, 32][type - 1]!, type)), accountKey: hex(ACCOUNT_KEY) },
    ...{ label, block: hex(bytes), content: hex(content), expect: 'ok', ...more },
  })
}
const account = new KeyedCipher('account', { type: 1, key: keyOf(ACCOUNT_KEY) }, NAMES.account)
const open = new PublicCipher(NAMES.realm)
for (const type of [1, 2, 3] as const) {
  const own = new KeyedCipher('private', { type, key: keyOf(sample([16, 24, 32][type - 1]!, type)) }, NAMES.account)
  const sealed = await sealedBy(own, sample(100))
  block(`private-${type}`, 'under the private key', type, sealed)
  if (type !== 3) continue
  const { bytes } = sealed
  const with_ = (changed: Bytes) => ({ ...sealed, bytes: changed })
  block('empty', 'no content', 3, await sealedBy(own, new Uint8Array(0)))
  block('suite', 'a suite of another type', 3, with_(patched(bytes, 6, [3, 1])), refused)
  block('des', 'a suite of later', 3, with_(patched(bytes, 6, [3, 4])), unsupported)
  block('key-id', 'one bit of the key id', 3, with_(flipped(bytes, 16)), { expect: 'key-not-found' })
  block('owner-id', 'one bit of the owner id', 3, with_(flipped(bytes, 40)), refused)
  block('nonce', 'one bit of n', 3, with_(flipped(bytes, 50)), refused)
  block('commitment', 'one bit of c', 3, with_(flipped(bytes, 90)), refused)
  block('text', 'one bit of ct', 3, with_(flipped(bytes, 120)), refused)
  block('label', 'the label of another block', 3, { ...sealed, label: hex(sample(32)) }, refused)
  block('label-capitals', 'the label in capitals', 3, { ...sealed, label: sealed.label.toUpperCase() }, malformed)
  block('cut-envelope', '111 bytes', 3, with_(bytes.subarray(0, 111)), malformed)
  block('cut', 'no tag', 3, with_(bytes.subarray(0, 127)), malformed)
  const stranger = new KeyedCipher('private', { type: 3, key: keyOf(sample(32, 3)) }, 'acme2')
  block('account', 'the same key, of another account', 3, await sealedBy(stranger, sample(100)), refused)
}
block('account-scope', 'under the account’s key', 3, await sealedBy(account, sample(100)))
block('account-other', 'another content, under the account’s key', 2, await sealedBy(account, sample(99)))
const plain = await sealedBy(open, sample(100))
block('public', 'not encrypted', 3, plain)
block('public-text', 'one bit of a public content', 3, { ...plain, bytes: flipped(plain.bytes, 60) }, refused)
block(
  'public-key-id',
  'a public one with a key id',
  3,
  { ...plain, bytes: flipped(plain.bytes, 20) },
  { expect: 'key-not-found' },
)
block('public-owner', 'a public one with an owner', 3, { ...plain, bytes: flipped(plain.bytes, 40) }, refused)
block('public-mode', 'a public one of mode 3', 3, { ...plain, bytes: patched(plain.bytes, 48, [3]) }, unsupported)
block(
  'public-realm',
  'a public one of another realm',
  3,
  await sealedBy(new PublicCipher('elsewhere'), sample(100)),
  refused,
)

// ── proofs ───────────────────────────────────────────────────────────────────────────────────────────────────────────
const proofs: ProofVector[] = []
const claimant = (more: Partial<Claimant> = {}): Claimant => ({
  ...NAMES,
  ...{ client: 'desktop', platform: 3, privateKey: { type: 3, key: keyOf(sample(32, 3)) }, accountKey: undefined },
  ...more,
})
const both = claimant({ accountKey: { type: 1, key: keyOf(ACCOUNT_KEY) } })
const place = { realm: NAMES.realm, server: 'storage-1', registryKey: '', now: 0 }
function enrolment(id: string, comment: string, bytes: Uint8Array, more: Partial<ProofVector> = {}) {
  const about = { id, section: '17.1', comment, kind: 'enrolment' } as const
  proofs.push({ ...about, bytes: hex(bytes), ...place, expect: 'ok', ...more })
}
const REGISTRY_KEY = sample(32, 70)
const ISSUED = Date.UTC(2030, 0, 1)
/** Issues a challenge as a server of this registry would. */
function issued(more: Partial<StoredChallenge> = {}, key = REGISTRY_KEY): Bytes {
  const body = {
    headerBytes: claimHeader(ObjectType.challenge),
    ...{ realm: utf8(NAMES.realm), server: utf8('storage-1'), random: sample(32, 71), date: ISSUED },
    ...more,
  }
  const message = encode(storedChallenge, { ...body, mac: new Uint8Array(32) }).subarray(0, -32)
  return encode(storedChallenge, { ...body, mac: createHmac('sha256', key).update(message).digest() })
}
const challenge = issued()
const one = encodeEnrolment(claimant(), challenge)
const two = encodeEnrolment(both, challenge)
enrolment('enrolment', 'with a private key', one)
enrolment('enrolment-both', 'with both keys', two)
enrolment('enrolment-realm', 'of another realm', one, { realm: 'elsewhere', ...refused })
enrolment('enrolment-type', 'type 18', patched(one, 5, [18]), unsupported)
enrolment('enrolment-generation', 'generation 0', patched(one, 8, [0, 0, 0, 0]), unsupported)
enrolment('enrolment-ids', 'with a key id', flipped(one, 16), malformed)
enrolment('enrolment-cut', 'a byte short', one.subarray(0, -1), malformed)
enrolment('enrolment-extended', 'a byte long', concat(one, new Uint8Array(1)), malformed)
enrolment('enrolment-long', 'beyond the limit', concat(one, new Uint8Array(4096)), { expect: 'limit-exceeded' })
enrolment('enrolment-signature', 'one bit of the signature', flipped(one, one.length - 1), refused)
enrolment('enrolment-second', 'one bit of the first of two signatures', flipped(two, two.length - 65), refused)
const platformAt = 48 + 2 + challenge.length + 2 + NAMES.realm.length + 2 + NAMES.account.length + 2 + 'desktop'.length
enrolment('enrolment-platform', 'another platform than was signed', patched(one, platformAt, [4]), refused)
enrolment('enrolment-amiga', 'a platform that nobody has', patched(one, platformAt, [6]), malformed)
enrolment('enrolment-role', 'a role that nobody has', patched(one, platformAt + 3, [3]), malformed)
enrolment('enrolment-account-only', 'the account key alone', patched(one, platformAt + 3, [2]), malformed)
const seed = new SecretKey('signing', sample(32, 8))
/** Builds an enrolment with any fields and valid signatures. */
function made(more: Partial<StoredEnrolment>, keys = 1) {
  const key: ProvenKey = { role: 1, type: 3, publicKey: signingPublicKey(seed) }
  const body = {
    headerBytes: claimHeader(ObjectType.enrolment),
    ...{ challenge, realm: utf8(NAMES.realm), account: utf8('acme'), client: utf8('desktop'), platform: 3 },
    ...{ keys: Array.from({ length: keys }, () => key), ...more },
  }
  const message = concat(domain('sign/enrolment'), encode(storedEnrolment, { ...body, signatures: [] }).subarray(0, -2))
  const signatures = more.signatures ?? body.keys.map(() => sign(seed, message))
  return encode(storedEnrolment, { ...body, signatures })
}
enrolment('enrolment-challenge', 'one bit of the challenge, which is signed', flipped(one, 150), refused)
enrolment('enrolment-challenge-long', 'a challenge longer than what is left', patched(one, 48, [255]), malformed)
enrolment('made', 'the same, made piece by piece', made({}))
enrolment('private-twice', 'two private keys', made({}, 2), malformed)
enrolment('no-key', 'no key', made({}, 0), malformed)
enrolment('no-signature', 'a key without signature', made({ signatures: [] }), malformed)
enrolment('name-spaces', 'a name with a no-break space', made({ client: utf8('my\u00a0desk') }), malformed)
enrolment('name-nfd', 'a name in NFD', made({ account: utf8('e\u0301') }), malformed)
enrolment('name-utf8', 'a name that is not UTF-8', made({ account: Uint8Array.of(0xff) }), malformed)
const identity = concat(Uint8Array.of(1), new Uint8Array(31))
const nothing = concat(identity, new Uint8Array(32))
enrolment(
  'small-order',
  'the identity as a key',
  made({ keys: [{ role: 1, type: 3, publicKey: identity }], signatures: [nothing] }),
  refused,
)

function proof(
  id: string,
  comment: string,
  kind: ProofVector['kind'],
  bytes: Uint8Array,
  more: Partial<ProofVector> = {},
) {
  proofs.push({ id, section: '17.1', comment, kind, bytes: hex(bytes), ...place, expect: 'ok', ...more })
}
const answer = encodeProof(both, challenge)
const lastDate = issued({ date: 8_640_000_000_000_000 })
proof('challenge', 'of this server', 'challenge', challenge)
proof('challenge-server', 'of another server', 'challenge', challenge, { server: 'storage-2', ...refused })
proof('challenge-realm', 'of another realm', 'challenge', challenge, { realm: 'elsewhere', ...refused })
proof('challenge-type', 'type 17', 'challenge', patched(challenge, 5, [17]), unsupported)
proof('challenge-generation', 'generation 0', 'challenge', patched(challenge, 8, [0, 0, 0, 0]), unsupported)
proof('challenge-cut', 'a byte short', 'challenge', challenge.subarray(0, -1), malformed)
proof(
  'challenge-mac',
  'one bit of the MAC, which a client cannot check',
  'challenge',
  flipped(challenge, challenge.length - 1),
)
proof('challenge-last', 'the last date', 'challenge', lastDate)
proof('challenge-date', 'beyond the last date', 'challenge', flipped(lastDate, lastDate.length - 33), malformed)
proof('proof', 'of both keys', 'proof', answer)
proof('proof-private', 'of the private key', 'proof', encodeProof(claimant(), challenge))
proof('proof-signature', 'one bit of the signature', 'proof', flipped(answer, answer.length - 1), refused)
proof('proof-challenge', 'of another challenge', 'proof', flipped(answer, 50 + challenge.length - 1), refused)
proof('proof-cut', 'a byte short', 'proof', answer.subarray(0, -1), malformed)
proof('proof-ids', 'with an owner id', 'proof', flipped(answer, 40), malformed)
proof('proof-generation', 'generation 1', 'proof', patched(answer, 11, [1]), unsupported)

const checked = { section: '17.2', registryKey: hex(REGISTRY_KEY), now: ISSUED + 30_000 }
const late = { expect: 'expired' } as const
proof('issued', 'by this registry', 'issued', challenge, checked)
proof('issued-last', 'the last millisecond', 'issued', challenge, { ...checked, now: ISSUED + 59_999 })
proof('issued-late', '60 seconds later', 'issued', challenge, { ...checked, now: ISSUED + 60_000, ...late })
proof('issued-ahead', '5 minutes before its date', 'issued', challenge, { ...checked, now: ISSUED - 300_000 })
proof('issued-early', 'more than that', 'issued', challenge, { ...checked, now: ISSUED - 300_001, ...late })
proof('issued-mac', 'one bit of the MAC', 'issued', flipped(challenge, challenge.length - 1), {
  ...checked,
  ...refused,
})
proof('issued-random', 'one bit of the random bytes', 'issued', flipped(challenge, challenge.length - 50), {
  ...checked,
  ...refused,
})
proof('issued-redated', 'another date under the old MAC', 'issued', patched(challenge, challenge.length - 33, [1]), {
  ...checked,
  ...refused,
})
proof('issued-key', 'by another registry', 'issued', issued({}, sample(32, 72)), { ...checked, ...refused })
proof('issued-server', 'by another server of the registry', 'issued', issued({ server: utf8('storage-2') }), {
  ...checked,
  ...refused,
})
proof('issued-realm', 'for another realm of the registry', 'issued', issued({ realm: utf8('elsewhere') }), {
  ...checked,
  ...refused,
})
proof(
  'issued-late-elsewhere',
  'late, and of another server',
  'issued',
  issued({ server: utf8('storage-2'), date: 0 }),
  {
    ...checked,
    ...refused,
  },
)
const minted = encodeProof(both, issued({}, sample(32, 72)))
const ofNothing = encodeProof(both, sample(100))
proof('proof-answer', 'in time', 'proof', answer, checked)
proof('proof-late', 'too late', 'proof', answer, { ...checked, now: ISSUED + 60_000, ...late })
proof('proof-minted', 'of a challenge under another key', 'proof', minted, { ...checked, ...refused })
proof('proof-nothing', 'of bytes that are no challenge', 'proof', ofNothing, { ...checked, ...malformed })
proof('proof-nothing-unsigned', 'the same, not signed', 'proof', flipped(ofNothing, ofNothing.length - 1), {
  ...checked,
  ...refused,
})
enrolment('enrolment-answer', 'in time', one, checked)
enrolment('enrolment-late', 'too late', one, { ...checked, now: ISSUED + 60_000, ...late })
enrolment('enrolment-late-elsewhere', 'too late, and of another realm', one, {
  ...checked,
  now: ISSUED + 60_000,
  realm: 'elsewhere',
  ...refused,
})
enrolment('enrolment-minted', 'of a challenge under another key', encodeEnrolment(both, issued({}, sample(32, 72))), {
  ...checked,
  ...refused,
})
const elsewhere = { realm: utf8('elsewhere') }
enrolment('enrolment-realms', 'of this realm, with a challenge of another', made({ challenge: issued(elsewhere) }), {
  ...checked,
  ...refused,
})

// ── accounts ─────────────────────────────────────────────────────────────────────────────────────────────────────────
const accounts: AccountVector[] = []
const rowOf =
  'account/' +
  createHash('sha256')
    .update(concat(domain('account-row'), lengthPrefixed(utf8(NAMES.realm)), lengthPrefixed(utf8('acme'))))
    .digest('hex')
const shownHash = ({ type, hash }: KeyHash) => ({ type, hash: hex(hash) })
function row(
  id: string,
  comment: string,
  of: AccountRow,
  bytes = encode(accountRow, of),
  expect: AccountVector['expect'] = 'ok',
) {
  accounts.push({
    ...{ id, section: '17.2', comment, ...NAMES, name: rowOf, row: hex(bytes) },
    accountKey: of.accountKey === undefined ? null : shownHash(of.accountKey),
    clients: of.clients.map(({ client, state, platform, privateKey, escrow, issuedAt }) => ({
      ...{ client: hex(client), state, platform, key: shownHash(privateKey) },
      escrow: escrow === undefined ? null : hex(escrow),
      issuedAt,
    })),
    expect,
  })
}
const known = (name: string, more: Partial<KnownClient> = {}): KnownClient => ({
  ...{ client: utf8(name), state: 0, platform: 3, privateKey: { type: 3, hash: sample(32, 80) }, issuedAt: 0 },
  ...more,
})
const sealedKeys = sample(200, 81)
const full: AccountRow = {
  version: 1,
  accountKey: { type: 1, hash: sample(32, 82) },
  clients: [
    known('desktop', { state: 1, escrow: sealedKeys, issuedAt: ISSUED }),
    known('handy 📱', { platform: 4, privateKey: { type: 4, hash: sample(32, 83) }, issuedAt: ISSUED + 1 }),
  ],
}
const fullBytes = encode(accountRow, full)
row('empty', 'no client', { version: 1, clients: [] })
row('alone', 'one client without an account key', { version: 1, clients: [known('desktop')] })
row('full', 'an account key, an escrow, a locked client, a phone', full)
const clientAt = 1 + 1 + 33 + 2
const stateAt = clientAt + 2 + 'desktop'.length
for (const [id, comment, bytes] of [
  ['version', 'version 2', patched(fullBytes, 0, [2])],
  ['flag', 'a flag of 2', patched(fullBytes, 1, [2])],
  ['type', 'a type that no key has', patched(fullBytes, 2, [5])],
  ['state', 'a state of 2', patched(fullBytes, stateAt, [2])],
  ['platform', 'a platform that nobody has', patched(fullBytes, stateAt + 1, [0])],
  ['nameless', 'an empty name', patched(fullBytes, clientAt, [0, 0])],
  ['cut', 'a byte short', fullBytes.subarray(0, -1)],
  ['extended', 'a byte long', concat(fullBytes, new Uint8Array(1))],
  ['count', 'one client more than there are', patched(fullBytes, clientAt - 1, [3])],
  ['none', 'no bytes', new Uint8Array(0)],
] as const) {
  row(id, comment, full, new Uint8Array(bytes), 'malformed')
}

// ── devices ──────────────────────────────────────────────────────────────────────────────────────────────────────────
const devices: DeviceVector[] = []
const DEVICE = sample(32, 77)
const device: DeviceKey = await openDeviceKey(openKeyOf(DEVICE))
const PLACE = { table: 'source', row: 'host-7', column: 'password', version: 3 }
function kept(
  id: string,
  comment: string,
  kind: DeviceVector['kind'],
  bytes: Uint8Array,
  more: Partial<DeviceVector> = {},
) {
  const common = { id, section: '8', comment, kind, deviceKey: hex(DEVICE), bytes: hex(bytes), place: PLACE, text: '' }
  devices.push({ ...common, passphrase: null, expect: 'ok', ...more })
}
const openKey = openKeyOf(DEVICE)
const protectedKey = await device.export('a passphrase')
const pass = { passphrase: 'a passphrase' }
kept('key', 'the key itself', 'key', openKey)
kept('key-protected', 'under a passphrase', 'key', protectedKey, pass)
kept('key-wrong', 'another passphrase', 'key', protectedKey, { passphrase: 'another', expect: 'wrong-password' })
kept('key-none', 'no passphrase', 'key', protectedKey, { expect: 'wrong-password' })
kept('key-unasked', 'a passphrase for an open one', 'key', openKey, { ...pass, expect: 'policy' })
kept('key-damaged', 'a flipped bit', 'key', flipped(protectedKey, 100), { ...pass, ...malformed })
kept('key-id', 'another key id, rightly summed', 'key', resummed(flipped(openKey, 20)), refused)
kept('key-owner', 'an owner id, rightly summed', 'key', resummed(flipped(openKey, 40)), refused)
kept('key-costs', 'costs beyond the limits', 'key', resummed(patched(protectedKey, 53, [0xff])), {
  ...pass,
  expect: 'limit-exceeded',
})
kept('key-wrap', 'a bit of the WRAP, rightly summed', 'key', resummed(flipped(protectedKey, 220)), {
  ...pass,
  ...refused,
})
kept('key-kind', 'neither open nor protected', 'key', resummed(patched(openKey, 48, [2])), malformed)
kept('key-type', 'type 15', 'key', resummed(patched(openKey, 5, [15])), unsupported)

const login = await deriveLogin('a password', { realm: 'com.example.backup', user: 'user-4711' })
const client = openedClient(both)
const saved = {
  login: login.save(device),
  client: client.save(device),
  keyset: unlocked(plantedContents(), plantedMaster.copy(), undefined).save(device),
}
for (const kind of ['login', 'client', 'keyset'] as const) {
  kept(kind, `a saved ${kind}`, kind, saved[kind])
  kept(`${kind}-damaged`, 'a flipped bit', kind, flipped(saved[kind], 150), malformed)
  kept(`${kind}-altered`, 'a flipped bit, rightly summed', kind, resummed(flipped(saved[kind], 180)), refused)
  kept(`${kind}-other`, 'of another device', kind, saved[kind], {
    deviceKey: hex(sample(32, 78)),
    expect: 'key-not-found',
  })
}
kept('client-alone', 'a client without account key', 'client', openedClient(claimant()).save(device))
kept('login-as-client', 'a login where a client is wanted', 'client', saved.login, unsupported)
kept(
  'kind',
  'a login that says it is a client, rightly summed',
  'client',
  resummed(patched(saved.login, 48, [2])),
  refused,
)
kept('kind-4', 'a kind that nobody has, rightly summed', 'login', resummed(patched(saved.login, 48, [4])), unsupported)
kept(
  'user-capitals',
  'a user name in capitals',
  'login',
  sealHandle(device, 'login', concat(Uint8Array.of(0, 1), utf8('r'), Uint8Array.of(0, 1), utf8('U'), sample(48))),
  refused,
)
kept('login-short', 'a login of too few bytes', 'login', sealHandle(device, 'login', sample(10)), refused)

const value = device.sealText('hunter2 \u00a0e\u0301', PLACE)
kept('text', 'a password', 'text', value, { text: 'hunter2 \u00a0e\u0301' })
kept('text-empty', 'an empty text', 'text', device.sealText('', PLACE))
kept('text-28', '28 bytes, which need no zeros', 'text', device.sealText('x'.repeat(28), PLACE), {
  text: 'x'.repeat(28),
})
kept('text-row', 'in another row', 'text', value, { place: { ...PLACE, row: 'host-8' }, ...refused })
kept('text-version', 'of another version', 'text', value, { place: { ...PLACE, version: 4 }, ...refused })
kept('text-device', 'of another device', 'text', value, { deviceKey: hex(sample(32, 78)), expect: 'key-not-found' })
kept('text-altered', 'one bit of ct', 'text', flipped(value, 130), refused)
kept('text-type', 'type 7', 'text', patched(value, 5, [7]), unsupported)
kept('text-cut', '127 bytes', 'text', value.subarray(0, 127), malformed)
kept('text-long', 'beyond the limit', 'text', new Uint8Array(65_697), { expect: 'limit-exceeded' })

append('typed-key.json', typedKeys)
append('client-block.json', blocks)
append('proof.json', proofs)
append('account.json', accounts)
append('device.json', devices)
