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
import { hashPassword } from '../../src/core/password.ts'
import { encodeKeyset } from '../../src/keyset/exports.ts'
import { cat, D, EMPTY, KDF, LP, u8 } from '../spec-reader.ts'
import { ObjectType } from '../../src/core/header.ts'
import { type Claimant, claimHeader, encodeEnrolment, encodeProof } from '../../src/client/proof.ts'
import { deriveTypedKey } from '../../src/client/typed-key.ts'
import { sign, signingPublicKey } from '../../src/primitives/signature.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { openedClient } from '../../src/client/client.ts'
import { unlocked } from '../../src/keyset/keyset.ts'
import { plantedContents, plantedMaster } from '../keyset/planted.ts'
import { append } from './append.ts'
import { header, type HeaderFields, lock, named, summed, u16, wrap } from './make-by-hand.ts'
import { keyIdOf, u32, u64 } from '../spec-reader-vault.ts'
import { ODD_KEYS, oddSigner, type Signer } from './odd-keys.ts'
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

/** Makes a block under the private key of type 3 by hand, for any header and label. */
function blockByHand(content: Uint8Array, more: { suite?: number; ownerId?: Uint8Array; label?: Uint8Array } = {}) {
  const K = Buffer.from(sample(32, 3))
  const context = [Buffer.from(NAMES.account), Buffer.from('private')]
  const { suite = 0x0303, ownerId = KDF(K, EMPTY, 'owner-id', context, 16) } = more
  const digest = createHash('sha256').update(content).digest()
  const {
    label = createHmac('sha256', KDF(K, EMPTY, 'block-label', context, 32))
      .update(digest)
      .digest(),
  } = more
  const [head, n] = [header(4, suite, { keyId: keyIdOf(K), ownerId }), Buffer.from(sample(32, 6))]
  const aad = (c: Buffer) => cat(D('aad'), head, LP(cat(n, c)), LP(label))
  const { c, sealed } = lock(K, n, 'client-block', [Buffer.from('private'), Buffer.from(ownerId)], content, aad)
  return { label: hex(label), bytes: new Uint8Array(cat(head, n, c, sealed)), content }
}
block('by-hand', 'made piece by piece', 3, blockByHand(sample(100)))
block('suite-sealed', 'sealed with the suite of another type', 3, blockByHand(sample(100), { suite: 0x0301 }), refused)
block('owner-id-sealed', 'sealed for another owner id', 3, blockByHand(sample(100), { ownerId: sample(16) }), refused)
block(
  'label-sealed',
  'sealed under the label of another block',
  3,
  blockByHand(sample(100), { label: sample(32) }),
  refused,
)
block('magic', 'kSTR', 3, { ...plain, bytes: patched(plain.bytes, 0, [0x6b]) }, malformed)
block('no-tag', 'no room for the tag', 3, { ...plain, bytes: blockByHand(sample(9)).bytes.subarray(0, 127) }, malformed)
block('empty-by-hand', 'the tag alone', 3, blockByHand(new Uint8Array(0)))

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

// Names of each length, and objects of each size, with right signatures.
enrolment('name-255', 'a name of 255 bytes', made({ client: utf8('x'.repeat(255)) }))
const lengthOfRest = one.length - challenge.length
const ofLength = (length: number) => made({ challenge: sample(length - lengthOfRest) })
enrolment('enrolment-longest', '4,096 bytes', ofLength(4096))
enrolment('enrolment-too-long', '4,097 bytes', ofLength(4097), { expect: 'limit-exceeded' })
enrolment('enrolment-magic', 'kSTR', patched(one, 0, [0x6b]), malformed)
enrolment('enrolment-header-alone', 'a header', one.subarray(0, 48), malformed)
enrolment('enrolment-header-cut', '47 bytes, of another version', patched(one, 4, [2]).subarray(0, 47), malformed)
enrolment('enrolment-ids-owner', 'with an owner id', flipped(one, 47), malformed)
enrolment('order-ids-fields', 'with a key id, and a byte short', flipped(one, 16).subarray(0, -1), malformed)
enrolment('order-version-ids', 'version 2 of the format, with a key id', patched(flipped(one, 16), 4, [2]), unsupported)
enrolment(
  'order-fields-signature',
  'a platform that nobody has, and another signature',
  flipped(patched(one, platformAt, [6]), one.length - 1),
  malformed,
)
const publicKey = new Uint8Array(signingPublicKey(seed))
/** Builds an enrolment byte by byte. Each of its keys signs. */
function enrolmentByHand(platform: number, types: readonly number[], client = 'desktop'): Bytes {
  const names = [challenge, utf8(NAMES.realm), utf8('acme'), utf8(client)].map(named)
  const keys = types.map((type, i) => concat(u8(i + 1), u8(type), publicKey))
  const before = concat(header(17, 0, { generation: 1 }), ...names, u8(platform), u16(types.length), ...keys)
  const signature = sign(seed, concat(domain('sign/enrolment'), before))
  return concat(before, u16(types.length), ...types.map(() => signature))
}
enrolment('by-hand', 'made byte by byte', enrolmentByHand(3, [3, 1]))
enrolment('name-256', 'a name of 256 bytes', enrolmentByHand(3, [3], 'x'.repeat(256)), malformed)
enrolment('name-empty', 'an empty name', enrolmentByHand(3, [3], ''), malformed)
enrolment('three-keys', 'a key of a role behind the two', enrolmentByHand(3, [3, 1, 1]), malformed)
enrolment('type-0', 'a key of type 0', enrolmentByHand(3, [0]), malformed)
enrolment('type-5', 'a key of type 5', enrolmentByHand(3, [5]), malformed)
enrolment('platform-0', 'platform 0', enrolmentByHand(0, [3]), malformed)
enrolment('platform-1', 'the first platform', made({ platform: 1 }))
enrolment('platform-5', 'the last platform', made({ platform: 5 }))
enrolment('second-signature', 'two signatures of one key', made({ signatures: [sample(64), sample(64)] }), malformed)
proof('challenge-extended', 'a byte long', 'challenge', concat(challenge, new Uint8Array(1)), malformed)
proof('challenge-magic', 'kSTR', 'challenge', patched(challenge, 0, [0x6b]), malformed)
proof('challenge-ids', 'with a key id', 'challenge', flipped(challenge, 16), malformed)
proof('proof-magic', 'kSTR', 'proof', patched(answer, 0, [0x6b]), malformed)
proof('proof-extended', 'a byte long', 'proof', concat(answer, new Uint8Array(1)), malformed)

// Keys and signatures that RFC 8032 or §1.5 refuse, each where the equation of the signature holds.
const oddKey = (odd: 'mixed' | 'not-canonical' | 's', body: (publicKey: Bytes, sign: Signer) => Bytes) =>
  body(...oddSigner(odd))
for (const [id, comment, odd] of ODD_KEYS) {
  const made_ = oddKey(odd, (publicKey, signer) => {
    const keys = [{ role: 1 as const, type: 3 as const, publicKey }]
    const unsigned = made({ keys, signatures: [new Uint8Array(64)] })
    return patched(unsigned, unsigned.length - 64, signer(concat(domain('sign/enrolment'), unsigned.subarray(0, -66))))
  })
  enrolment(`enrolment-${id}`, comment, made_, refused)
  const answered = oddKey(odd, (publicKey, signer) => {
    const before = [header(19, 0), named(challenge), named('acme'), named('desktop'), u8(3), u16(1)]
    const names = [challenge, utf8('acme'), utf8('desktop'), utf8('private')].map(lengthPrefixed)
    const signature = signer(concat(domain('sign/key-proof'), ...names))
    return concat(...before, u8(1), u8(3), publicKey, u16(1), signature)
  })
  proof(`proof-${id}`, comment, 'proof', answered, refused)
}

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
const elsewhere = { realm: utf8('elsewhere') }
const minted = encodeProof(both, issued({}, sample(32, 72)))
const ofNothing = encodeProof(both, sample(100))
const ofAnother = (more: Partial<StoredChallenge>, key?: Uint8Array<ArrayBuffer>) =>
  encodeProof(both, issued(more, key))
proof('proof-realm', 'of a challenge for another realm', 'proof', ofAnother(elsewhere), { ...checked, ...refused })
proof('proof-server', 'of a challenge for another server', 'proof', ofAnother({ server: utf8('storage-2') }), {
  ...checked,
  ...refused,
})
proof('order-mac-realm-late', 'of a late challenge for another realm', 'proof', ofAnother({ ...elsewhere, date: 0 }), {
  ...checked,
  ...refused,
})
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

// Rows that are right but for one field.
function rowByHand(
  client: Uint8Array,
  { state = 0, platform = 3, type = 3, flag = 0, account = 0, issuedAt = 0n, count = 1 } = {},
): Bytes {
  const time = Buffer.alloc(8)
  time.writeBigUInt64BE(issuedAt)
  const key = concat(u8(type), sample(32, 80))
  const accountKey = account === 0 ? u8(0) : concat(u8(account), key)
  const known = concat(named(client), u8(state), u8(platform), key, u8(flag), time)
  return concat(u8(1), accountKey, u16(count), ...Array.from({ length: count }, () => known))
}
const knownLast = (name: Uint8Array, more: Partial<KnownClient> = {}): AccountRow => ({
  ...{ version: 1, clients: [{ ...known('x'), client: name, ...more }] },
})
const letters = (count: number) => utf8('x'.repeat(count))
row('name-1', 'a name of one byte', knownLast(letters(1)), rowByHand(letters(1)))
row('name-255', 'a name of 255 bytes', knownLast(letters(255)), rowByHand(letters(255)))
const LAST = 8_640_000_000_000_000
row(
  'last',
  'the last date',
  knownLast(letters(1), { issuedAt: LAST }),
  rowByHand(letters(1), { issuedAt: BigInt(LAST) }),
)
const twin = knownLast(letters(1)).clients[0]!
row('name-twice', 'a name twice', { version: 1, clients: [twin, twin] }, rowByHand(letters(1), { count: 2 }))
const decomposed = utf8('e\u0301')
row(
  'name-form',
  'a name in another form: a row is not compared with the form',
  knownLast(decomposed),
  rowByHand(decomposed),
)
for (const [id, comment, bytes] of [
  ['name-256', 'a name of 256 bytes', rowByHand(letters(256))],
  ['name-0', 'a name of no bytes', rowByHand(letters(0))],
  ['late', 'a date beyond the last', rowByHand(letters(1), { issuedAt: BigInt(LAST) + 1n })],
  ['platform-6', 'platform 6', rowByHand(letters(1), { platform: 6 })],
  ['platform-0', 'platform 0', rowByHand(letters(1), { platform: 0 })],
  ['type-0', 'a key of type 0', rowByHand(letters(1), { type: 0 })],
  ['type-5', 'a key of type 5', rowByHand(letters(1), { type: 5 })],
  ['state-2', 'a state of 2', rowByHand(letters(1), { state: 2 })],
  ['escrow-2', 'a flag of 2 for the escrow', rowByHand(letters(1), { flag: 2 })],
  ['account-2', 'a flag of 2 for the account key', rowByHand(letters(1), { account: 2 })],
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

// ── devices, made by hand ────────────────────────────────────────────────────────────────────────────────────────────
const D_KEY = Buffer.from(DEVICE)
const deviceId = keyIdOf(D_KEY)
const openForm = (more: HeaderFields = {}, ...fields: Uint8Array[]) =>
  summed(header(16, 0, { keyId: deviceId, ...more }), ...(fields.length > 0 ? fields : [u8(0), D_KEY]))
kept('key-trailing', 'a byte behind the key', 'key', openForm({}, u8(0), D_KEY, u8(0)), malformed)
kept('key-magic', 'kSTR, rightly summed', 'key', openForm({ magic: 'kSTR' }), malformed)
kept('key-header-type', 'a header alone, of type 15', 'key', summed(header(15, 0)), unsupported)
kept('key-header-alone', 'a header alone', 'key', summed(header(16, 0)), malformed)
kept('key-header-cut', '47 bytes of a header of type 15', 'key', summed(header(15, 0).subarray(0, 47)), malformed)
const zeros = (length: number, start: Uint8Array) => summed(start, new Uint8Array(length - start.length - 8))
kept('key-longest', '4,096 bytes', 'key', zeros(4096, openKey), malformed)
kept('key-too-long', '4,097 bytes', 'key', zeros(4097, openKey), { expect: 'limit-exceeded' })
kept('order-limit-checksum', '4,097 bytes of another kind', 'key', new Uint8Array(4097), { expect: 'limit-exceeded' })
kept('order-checksum-type', 'a wrong checksum, type 15', 'key', patched(openKey, 5, [15]), malformed)
kept(
  'order-type-kind',
  'type 15, neither open nor protected',
  'key',
  resummed(patched(patched(openKey, 48, [2]), 5, [15])),
  {
    ...unsupported,
  },
)

const SALT = Buffer.from(sample(32, 90))
interface Protection {
  t?: number
  m?: number
  p?: number
  kind?: number
  passphrase?: string
  wrapped?: (W: Buffer) => Buffer
  trailing?: Uint8Array
  /** Whether Argon2 is not computed, because a reader must not. */
  unhashed?: boolean
}
async function protectedForm({
  t = 1,
  m = 8,
  p = 1,
  kind = 1,
  trailing = EMPTY,
  ...more
}: Protection): Promise<Buffer> {
  const costs = { iterations: t, memoryKiB: m, lanes: p }
  const hashed = () => hashPassword(more.passphrase ?? 'a passphrase', SALT, costs, {}, 32)
  const W = Buffer.from(more.unhashed === true ? sample(32, 91) : await hashed())
  const { wrapped = (key: Buffer) => wrap(key, 16, D_KEY) } = more
  return openForm({}, u8(kind), ...[t, m, p].map(u32), SALT, wrapped(W), trailing)
}
const tooMuch = { ...pass, expect: 'limit-exceeded' } as const
async function costs(id: string, comment: string, form: Protection, more: Partial<DeviceVector> = {}): Promise<void> {
  kept(`key-${id}`, comment, 'key', await protectedForm(form), { ...pass, ...more })
}
await costs('by-hand', 'the lowest costs', {})
await costs('most-iterations', '64 iterations', { t: 64 })
await costs('most-lanes', '16 lanes, with 8 KiB for each', { m: 128, p: 16 })
const unhashed = true
await costs('no-iterations', 'no iterations', { t: 0, unhashed }, tooMuch)
await costs('iterations', '65 iterations', { t: 65, unhashed }, tooMuch)
await costs('no-lanes', 'no lanes', { p: 0, unhashed }, tooMuch)
await costs('lanes', '17 lanes', { p: 17, m: 8 * 17, unhashed }, tooMuch)
await costs('memory-per-lane', '15 KiB for 2 lanes', { p: 2, m: 15, unhashed }, tooMuch)
await costs('memory', '1 GiB and 1 KiB', { m: 2 ** 20 + 1, unhashed }, tooMuch)
await costs(
  'work',
  '5 iterations over 838,861 KiB: 1 KiB more than 4 GiB in all',
  { t: 5, m: 838_861, unhashed },
  tooMuch,
)
await costs('kind-protected', 'protected, of kind 2', { kind: 2 }, malformed)
await costs('protected-trailing', 'a byte behind the WRAP', { trailing: u8(0) }, malformed)
const wrapped = (more: Parameters<typeof wrap>[3], type = 16) => ({
  wrapped: (W: Buffer) => wrap(W, type, D_KEY, more),
})
await costs('wrap-magic', 'a WRAP that begins with kSTR', wrapped({ magic: 'kSTR' }), refused)
await costs('wrap-type', 'a WRAP of type 7', wrapped({}, 7), refused)
await costs('wrap-suite', 'a WRAP of suite 0x0402', wrapped({ suite: 0x0402 }), refused)
await costs('wrap-owner', 'a WRAP with an owner id', wrapped({ ownerId: sample(16) }), refused)
await costs('wrap-context', 'a WRAP with a context', wrapped({ context: u8(1) }), refused)
await costs('wrap-key-id', 'a WRAP with another key id', wrapped({ keyId: sample(16) }), { expect: 'wrong-password' })
kept('key-empty-unasked', 'an empty passphrase for an open one', 'key', openKey, { passphrase: '', expect: 'policy' })
await costs('empty', 'an empty passphrase', {}, { passphrase: '', expect: 'invalid-text' })
const tooExpensive = await protectedForm({ t: 65, unhashed })
kept('order-key-empty-costs', 'an empty passphrase, and 65 iterations', 'key', tooExpensive, {
  passphrase: '',
  expect: 'invalid-text',
})
kept('order-key-none-costs', 'no passphrase, and 65 iterations', 'key', tooExpensive, { expect: 'wrong-password' })
kept('order-key-costs-wrap', '65 iterations, and a WRAP with another key id', 'key', tooExpensive, tooMuch)
kept(
  'order-key-wrap-id',
  'a WRAP with another key id, and an owner id in the outer header',
  'key',
  resummed(patched(await protectedForm(wrapped({ keyId: sample(16) })), 32, sample(16))),
  { ...pass, expect: 'wrong-password' },
)

/** A saved handle around any bytes, with right checksum and WRAP. */
function savedByHand(
  kind: number,
  P: Uint8Array,
  { inside = {}, outside = {}, asked = kind, trailing = EMPTY }: SavedChange = {},
): Buffer {
  const sealed = wrap(D_KEY, 7, P, { context: u8(asked), ...inside })
  const fields = [u8(kind), u32(sealed.length), sealed, trailing]
  return summed(header(15, 0, { keyId: deviceId, ...outside }), ...fields)
}
interface SavedChange {
  inside?: Parameters<typeof wrap>[3]
  outside?: HeaderFields
  asked?: number
  trailing?: Uint8Array
}
const loginP = (realm = 'com.example.backup', user = 'user-4711') =>
  cat(named(realm), named(user), sample(24, 92), sample(24, 93))
const savedLogin = (change: SavedChange = {}, P = loginP()) => savedByHand(1, P, change)
const clientP = ({ platform = 3, type = 3, accountType = 1, flag = 1, client = 'desktop' } = {}) =>
  cat(
    ...[named(NAMES.realm), named('acme'), named(client), u8(platform), u8(type), sample(32, 3)],
    ...[u8(flag), ...(flag === 1 ? [u8(accountType), ACCOUNT_KEY] : [])],
  )
kept('login-by-hand', 'a saved login, made piece by piece', 'login', savedLogin())
kept('client-by-hand', 'a saved client, made piece by piece', 'client', savedByHand(2, clientP()))
kept(
  'client-key-id',
  'another key id in the outer header',
  'client',
  savedByHand(2, clientP(), { outside: { keyId: sample(16) } }),
  {
    expect: 'key-not-found',
  },
)
kept(
  'client-wrap-key-id',
  'another key id in the WRAP: it is not compared',
  'client',
  savedByHand(2, clientP(), { inside: { keyId: sample(16) } }),
)
kept(
  'login-owner',
  'an owner id in the outer header',
  'login',
  savedLogin({ outside: { ownerId: sample(16) } }),
  refused,
)
kept('login-wrap-owner', 'an owner id in the WRAP', 'login', savedLogin({ inside: { ownerId: sample(16) } }), refused)
kept('login-wrap-suite', 'a WRAP of suite 0x0402', 'login', savedLogin({ inside: { suite: 0x0402 } }), refused)
kept('login-wrap-magic', 'a WRAP that begins with kSTR', 'login', savedLogin({ inside: { magic: 'kSTR' } }), refused)
kept('login-magic', 'kSTR, rightly summed', 'login', savedLogin({ outside: { magic: 'kSTR' } }), malformed)
kept('login-outer-trailing', 'a byte behind the WRAP', 'login', savedLogin({ trailing: u8(0) }), malformed)
kept('login-trailing', 'a byte behind the keys', 'login', savedLogin({}, cat(loginP(), u8(0))), refused)
kept('kind-0', 'kind 0', 'login', savedByHand(0, loginP(), { asked: 1 }), unsupported)
kept('login-realm-empty', 'an empty realm', 'login', savedLogin({}, loginP('')), refused)
for (const [id, comment, P] of [
  ['platform', 'platform 6', clientP({ platform: 6 })],
  ['platform-0', 'platform 0', clientP({ platform: 0 })],
  ['type-0', 'a private key of type 0', clientP({ type: 0 })],
  ['type-5', 'a private key of type 5', clientP({ type: 5 })],
  ['flag-2', 'a flag of 2 for the account key', clientP({ flag: 2 })],
  ['account-des', 'an account key of type DES-56', clientP({ accountType: 4 })],
  ['name', 'a name in another form', clientP({ client: 'e\u0301' })],
] as const)
  kept(`client-inner-${id}`, comment, 'client', savedByHand(2, P), refused)
kept(
  'order-kind-device',
  'a login where a client is wanted, of another device',
  'client',
  savedLogin({ outside: { keyId: sample(16) } }),
  unsupported,
)
kept(
  'order-device-owner',
  'of another device, with an owner id',
  'login',
  savedLogin({ outside: { keyId: sample(16), ownerId: sample(16) } }),
  {
    expect: 'key-not-found',
  },
)

const ofDes = cat(named(NAMES.realm), named('acme'), named('desktop'), u8(3), u8(4), sample(16, 4), u8(0))
kept('client-inner-des', 'a private key of type DES-56', 'client', savedByHand(2, ofDes), refused)

const MASTER = withBytes(plantedMaster, (bytes) => Buffer.from(bytes))
const exported = (destination: 'definition' | 'host') => {
  const found = encodeKeyset({ ...plantedContents(), adopted: [] }, plantedMaster, destination)
  return cat(u32(found.length), found)
}
const keysetP = (optional: Uint8Array, of = exported('definition')) => cat(MASTER, optional, of)
kept('keyset-definition', 'a definition', 'keyset', savedByHand(3, keysetP(u8(0))))
kept(
  'keyset-strength-2',
  'with a strength, as earlier writers stored it',
  'keyset',
  savedByHand(3, keysetP(cat(u8(1), u8(2)))),
)
kept('keyset-strength-3', 'with a strength that is none', 'keyset', savedByHand(3, keysetP(cat(u8(1), u8(3)))), refused)
kept(
  'keyset-strength-flag',
  'a flag of 2 for the strength',
  'keyset',
  savedByHand(3, keysetP(cat(u8(2), u8(2)))),
  refused,
)
kept('keyset-host', 'an export of the host', 'keyset', savedByHand(3, keysetP(u8(0), exported('host'))), refused)
const otherKeyset = cat(u8(0), exported('definition'))
kept('keyset-master', 'another master key', 'keyset', savedByHand(3, cat(sample(32, 94), otherKeyset)), refused)

/** A text value around any padded text, for the place. */
function textByHand(P: Uint8Array, more: Parameters<typeof wrap>[3] = {}): Buffer {
  const names = [PLACE.table, PLACE.row, PLACE.column].map((name) => LP(Buffer.from(name)))
  return wrap(D_KEY, 8, P, { context: cat(...names, u64(PLACE.version)), ...more })
}
const padded = (value: Uint8Array, length = Math.ceil((4 + value.length) / 32) * 32, said = value.length) =>
  cat(u32(said), value, new Uint8Array(length - 4 - value.length))
kept('text-by-hand', 'made piece by piece', 'text', textByHand(padded(utf8('hunter2'))), { text: 'hunter2' })
for (const [id, comment, P] of [
  ['nothing', 'no bytes at all', EMPTY],
  ['no-length', 'three bytes', new Uint8Array(3)],
  ['length-alone', 'the length alone, not padded', new Uint8Array(4)],
  ['no-zeros', 'not padded', padded(utf8('hunter2'), 11)],
  ['odd-zeros', 'padded to 33 bytes', padded(utf8('hunter2'), 33)],
  ['more-zeros', 'padded to 64 bytes', padded(utf8('hunter2'), 64)],
  ['no-more-zeros', '28 bytes padded to 64', padded(utf8('x'.repeat(28)), 64)],
  ['few-zeros', '29 bytes padded to 33', padded(utf8('x'.repeat(29)), 33)],
  ['first-one', 'a 1 at the beginning of the padding', patched(padded(utf8('hunter2')), 11, [1])],
  ['last-one', 'a 1 at the end of the padding', patched(padded(utf8('hunter2')), 31, [1])],
  ['longer', 'a length beyond its end', padded(utf8('hunter2'), 32, 29)],
  ['huge', 'a length of 4 GiB', padded(utf8('hunter2'), 32, 0xffff_ffff)],
  ['latin', 'a text that is not UTF-8', padded(Uint8Array.of(0xe9))],
  ['surrogate', 'a lone surrogate in the way of UTF-8', padded(Uint8Array.of(0xed, 0xa0, 0x80))],
] as const)
  kept(`text-${id}`, comment, 'text', textByHand(P), refused)
kept('text-mark', 'a text that begins with U+FEFF', 'text', textByHand(padded(utf8('\ufeffx'))), { text: '\ufeffx' })
kept('text-magic', 'kSTR', 'text', textByHand(padded(utf8('x')), { magic: 'kSTR' }), malformed)
kept('text-suite', 'suite 0x0402', 'text', textByHand(padded(utf8('x')), { suite: 0x0402 }), unsupported)
kept('text-owner', 'an owner id', 'text', textByHand(padded(utf8('x')), { ownerId: sample(16) }), refused)
kept('text-key-id', 'another key id', 'text', textByHand(padded(utf8('x')), { keyId: sample(16) }), {
  expect: 'key-not-found',
})
kept('text-header-type', '127 bytes, of type 7', 'text', patched(value.subarray(0, 127), 5, [7]), unsupported)
kept('text-header-cut', '47 bytes', 'text', value.subarray(0, 47), malformed)
kept('order-cut-key-id', '127 bytes, with another key id', 'text', flipped(value, 16).subarray(0, 127), malformed)

append('typed-key.json', typedKeys)
append('client-block.json', blocks)
append('proof.json', proofs)
append('account.json', accounts)
append('device.json', devices)
