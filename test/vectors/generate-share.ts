// Adds the vectors of shares below to their files, unless they are there already. Run `npm run vectors`.
import {
  generateKeyPair,
  generateSigningPair,
  keyPairOf,
  Recipient,
  type SigningPair,
  signingPairOf,
} from '../../src/core/key-pairs.ts'
import { type EncryptedSuite, Strength, Suite } from '../../src/core/suite.ts'
import { type Bytes, createKeyset, encodeBlock, openLog, type SealedBlock } from '../../src/index.ts'
import { maskKey, Mode } from '../../src/keyset/mask.ts'
import { createHash } from 'node:crypto'
import { encryptContent } from '../../src/keyset/seal.ts'
import { concat, domain, lengthPrefixed, u64, u8 } from '../../src/core/bytes.ts'
import { ObjectType } from '../../src/core/header.ts'
import { type ActiveShare } from '../../src/keyset/layout.ts'
import { unlocked } from '../../src/keyset/keyset.ts'
import { encodeCard, fingerprintBytes, keysOfCard, type PinnedKeys } from '../../src/core/card.ts'
import { type KeysetContents, openKeyset, parseKeyset } from '../../src/keyset/exports.ts'
import { sha256 } from '../../src/primitives/hash.ts'
import { encodeClose, encodeSealOff } from '../../src/state/marker.ts'
import { logIdOf } from '../../src/state/record-layout.ts'
import { sealSecret } from '../../src/core/wrap.ts'
import { openMaster } from '../../src/keyset/master.ts'
import { randomBytes } from '../../src/primitives/random.ts'
import { sign } from '../../src/primitives/signature.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { sealInvite, type Sharer } from '../../src/keyset/invite.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { CHEAP, flipped, hex, patched, sample, unhex } from '../fixtures.ts'
import { plantedContents, plantedMaster } from '../keyset/planted.ts'
import { append } from './append.ts'
import { ODD_KEYS, oddSigner } from './odd-keys.ts'
import { keysFor, LOG, logId, marked, recordVectors, resigned, sealed } from './make-record.ts'
import type { InviteVector, LogVector, SharedBlockVector } from './vectors.ts'

// The sharer is a new keyset. The invited reader is the planted keyset, the vector `host` of keyset.json.
const plain = await createKeyset('sharer', { costs: CHEAP, encryption: 'x25519' })
const ownerCard = plain.card()
const from = keysOfCard(ownerCard)
const parsed = parseKeyset(plain.export('storage'))
const { additional, sourceSigning } = openKeyset(parsed, await openMaster('sharer', parsed.argon2, {}))
const { cardSigning } = additional!
const sharer: Sharer = { card: from, cardSigning, sourceSigning }
const recipient = plantedContents()
const bob = unlocked(plantedContents(), plantedMaster.copy(), undefined)
const bobCard = bob.card()
const to = keysOfCard(bobCard)
const stranger = await createKeyset('stranger', { costs: CHEAP })
const AT = Date.UTC(2026, 10, 21)

const id = randomBytes(16)
const own: ActiveShare = { id, ...generateKeyPair(Strength.x25519) }
const straight: ActiveShare = { id, publicHalves: { ...to.sharing, minimum: Strength.x25519 } }
const strict: ActiveShare = { id, ...generateKeyPair(Strength.hybrid) }

// ── invites ──────────────────────────────────────────────────────────────────────────────────────────────────────────
const invites: InviteVector[] = []
function invite(name: string, comment: string, bytes: Uint8Array, more: Partial<InviteVector> = {}): void {
  const place = { keyset: 'host', card: hex(ownerCard.bytes), shareId: hex(id), issuedAt: AT }
  invites.push({ id: name, section: '11.3', comment, ...place, invite: hex(bytes), expect: 'ok', ...more })
}
const refused = { expect: 'authentication-failed' } as const
const good = sealInvite(own, sharer, to, AT)
invite('own', 'a share with key pairs of its own', good)
invite('straight', 'a share straight to the card', sealInvite(straight, sharer, to, AT))
invite('strict', 'a share that demands both agreements', sealInvite(strict, sharer, to, AT))
invite('storage', 'opened by the export of the storage', good, { keyset: 'storage' })
invite('epoch', 'issued in 1970', sealInvite(own, sharer, to, 0), { issuedAt: 0 })
invite('last', 'issued at the end of time', sealInvite(own, sharer, to, 8.64e15), { issuedAt: 8.64e15 })
invite('definition', 'opened by a definition', good, { keyset: 'definition', expect: 'policy' })
invite('other-sharer', 'expected from somebody else', good, { card: hex(stranger.card().bytes), ...refused })
invite('forwarded', 'to somebody else', sealInvite(own, sharer, keysOfCard(stranger.card()), AT), {
  expect: 'key-not-found',
})
invite('type', 'type 5', patched(good, 5, [5]), { expect: 'unsupported' })
invite('suite', 'suite 0x0401', patched(good, 6, [4, 1]), { expect: 'unsupported' })
invite('flag', 'an unknown flag', flipped(good, 15), { expect: 'unsupported' })
invite('key-id', 'one bit of the key id', flipped(good, 16), refused)
invite('share-id', 'one bit of the share id', flipped(good, 40), refused)
invite('ephemeral', 'one bit of epk', flipped(good, 50), refused)
invite('text', 'one bit of ct', flipped(good, 1700), refused)
invite('issued-at', 'one bit of issuedAt', flipped(good, good.length - 129), refused)
invite('card-signature', 'one bit of the last signature', flipped(good, good.length - 1), refused)
invite('source-signature', 'one bit of the one before', flipped(good, good.length - 70), refused)
invite('cut', 'a byte short', good.subarray(0, -1), { expect: 'malformed' })
invite('extended', 'a byte long', concat(good, new Uint8Array(1)), { expect: 'malformed' })
invite('far-future', 'an issuedAt beyond all dates', patched(good, good.length - 136, u64(8.64e15 + 1)), {
  expect: 'malformed',
})

/** Builds an invite around any bytes as its keys. It is sealed and signed correctly, except for the options. */
function signed(
  keys: Uint8Array,
  { issuedAt = AT, byCard = cardSigning, bySource = sourceSigning, place = { from, to }, as = from } = {},
): Bytes {
  const names = [id, fingerprintBytes(place.from), fingerprintBytes(place.to)].map(lengthPrefixed)
  const context = concat(...names, u64(AT))
  const sealed = sealSecret(new Recipient(to.sharing), keys, { type: ObjectType.invite, ownerId: id, context })
  const message = concat(lengthPrefixed(fingerprintBytes(as)), sealed, u64(issuedAt))
  return concat(
    sealed,
    u64(issuedAt),
    sign(bySource.seed, concat(domain('sign/invite-source'), message)),
    sign(byCard.seed, concat(domain('sign/invite-card'), message)),
  )
}
const { x25519, mlKem1024 } = own.publicHalves
const halves = concat(Uint8Array.of(1), x25519, mlKem1024)
const ownPrivate = concat(sample(32, 3), sample(64, 4))
const pair = keyPairOf(Strength.x25519, {
  x25519: new SecretKey('x25519', sample(32, 3)),
  mlKem1024: new SecretKey('ml-kem-1024', sample(64, 4)),
}).publicHalves
const rightHalves = concat(Uint8Array.of(1), pair.x25519, pair.mlKem1024)
const whole = concat(rightHalves, Uint8Array.of(1), ownPrivate)
invite('by-hand', 'the same, made piece by piece', signed(whole))
invite('other-date', 'signed for another date than it was sealed for', signed(whole, { issuedAt: AT + 1 }), refused)
invite('other-card-key', 'signed by another card', signed(whole, { byCard: generateSigningPair() }), refused)
invite('other-source', 'signed by another source', signed(whole, { bySource: generateSigningPair() }), refused)
invite('signed-as-other', 'signed in the name of another card', signed(whole, { as: to }), refused)
invite('from-other', 'sealed in the name of somebody else', signed(whole, { place: { from: to, to } }), refused)
invite('to-other', 'sealed for another card', signed(whole, { place: { from, to: from } }), refused)
invite('mixed', 'public halves of another pair', signed(concat(halves, Uint8Array.of(1), ownPrivate)), refused)
invite('minimum-0', 'a share that takes what is not encrypted', signed(patched(whole, 0, [0])), refused)
invite('minimum-3', 'a minimum that nobody has', signed(patched(whole, 0, [3])), refused)
invite('flag-2', 'neither with private halves nor without', signed(patched(whole, 1601, [2])), refused)
invite('flag-0', 'private halves where none should be', signed(patched(whole, 1601, [0])), refused)
invite('without', 'straight, to another pair', signed(concat(rightHalves, Uint8Array.of(0))), refused)

// ── blocks ───────────────────────────────────────────────────────────────────────────────────────────────────────────
const blocks: SharedBlockVector[] = []
function block(name: string, comment: string, sealed: SealedBlock, more: Partial<SharedBlockVector> = {}): void {
  const { label } = sealed
  const common = { id: name, section: '11.2', comment, invite: 'own', label, content: hex(sample(100)) }
  blocks.push({ ...common, block: hex(encodeBlock(sealed)), expect: 'ok', ...more })
}
const shares = { own, straight, strict }
/** Builds the envelope of a block for a share, with the same code as the owner. */
function shared(
  sealed: SealedBlock,
  share: ActiveShare,
  mode: 1 | 2 | 3,
  blockKey: SecretKey<'block'>,
  suite: EncryptedSuite = Suite.x25519,
) {
  const place = { ownerId: share.id, suite, mode, label: unhex(sealed.label), sharer: from.sourceSigning }
  return { ...sealed, envelope: maskKey(blockKey, new Recipient(share.publicHalves), place) }
}
async function sealedUnder(mode: 1 | 2 | 3, blockKey: SecretKey<'block'>, label = sample(32, 8)): Promise<SealedBlock> {
  const before = { 1: 32, 2: 0, 3: 64 }[mode]
  const buffer = concat(new Uint8Array(before), sample(100), new Uint8Array(16))
  await encryptContent({ mode, buffer, blockKey, label, nonce: crypto.getRandomValues(new Uint8Array(32)) })
  return { label: hex(label), envelope: new Uint8Array(0), ciphertext: buffer }
}
const blockKey = new SecretKey('block', sample(32, 9))
const contentKey = new SecretKey('block', createHash('sha3-256').update(sample(100)).digest())
const scoped = await sealedUnder(Mode.scoped, blockKey)
for (const [name, share] of Object.entries(shares)) {
  const suite = share === strict ? Suite.hybrid : Suite.x25519
  const inviteId = { invite: name }
  block(`${name}-scoped`, 'a block of mode 1', shared(scoped, share, 1, blockKey, suite), inviteId)
  const global = await sealedUnder(Mode.global, contentKey)
  block(`${name}-global`, 'a block of mode 2', shared(global, share, 2, contentKey, suite), inviteId)
  const off = await sealedUnder(Mode.off, blockKey)
  block(`${name}-off`, 'a block of mode 3', shared(off, share, 3, blockKey, suite), inviteId)
}
block('hybrid', 'both agreements where one would do', shared(scoped, own, 1, blockKey, Suite.hybrid))
block('weaker', 'X25519 alone, where both are due', shared(scoped, strict, 1, blockKey), {
  invite: 'strict',
  expect: 'policy',
})
const right = shared(scoped, own, 1, blockKey)
const uncommitted = await sealedUnder(Mode.global, blockKey)
block('not-its-hash', 'mode 2 under another key than its hash', shared(uncommitted, own, 2, blockKey), refused)
block('label', 'another label', { ...right, label: hex(sample(32, 7)) }, refused)
block('owner-id', 'another owner id', { ...right, envelope: flipped(right.envelope, 40) }, refused)
const plainContext = { ownerId: own.id, suite: Suite.x25519, mode: 1, label: unhex(scoped.label) } as const
const unbound = maskKey(blockKey, new Recipient(own.publicHalves), plainContext)
block('unbound', 'without the owner’s key in the context', { ...scoped, envelope: unbound }, refused)
block('other-pair', 'another pair', shared(scoped, strict, 1, blockKey), { expect: 'key-not-found' })
block('mask', 'one bit of the mask', { ...right, envelope: flipped(right.envelope, 90) }, refused)
block('tag', 'one bit of the tag', { ...right, envelope: flipped(right.envelope, 140) }, refused)
block('text', 'one bit of the ciphertext', { ...right, ciphertext: flipped(right.ciphertext, 50) }, refused)
const unencrypted = concat(patched(right.envelope, 6, [0, 0]).subarray(0, 48), Uint8Array.of(4))
block('none', 'not encrypted', { ...right, envelope: unencrypted, ciphertext: sample(100) }, { expect: 'policy' })

// ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────────
// The sharer above is a new one each time. This one is always the same, so that vectors can be added.
const constant = (byte: number, length = 32) => new Uint8Array(length).fill(byte)
const signingOf = (byte: number) => signingPairOf(new SecretKey('signing', constant(byte)))
const pairOf = (byte: number, minimum: Strength = Strength.hybrid) =>
  keyPairOf(minimum, {
    x25519: new SecretKey('x25519', constant(byte)),
    mlKem1024: new SecretKey('ml-kem-1024', constant(byte, 64)),
  })
const recorder: KeysetContents = {
  ...plantedContents(),
  ...{ id: constant(0xb0, 16), sourceSigning: signingOf(0xb1), cardSigningKey: signingOf(0xb2).publicKey, adopted: [] },
  additional: {
    ...{ sharing: pairOf(0xb3), cardSigning: signingOf(0xb2), retired: [], revoked: [] },
    shares: [
      { id: constant(0xb4, 16), ...pairOf(0xb4, Strength.x25519) },
      { id: constant(0xb5, 16), ...pairOf(0xb5) },
      { id: constant(0xb6, 16), publicHalves: { ...to.sharing, minimum: Strength.x25519 }, privateHalves: undefined },
    ],
  },
}
const recorderKeyset = unlocked(recorder, plantedMaster.copy(), undefined)
const lenient = unlocked({ ...recorder, encryption: Strength.x25519 }, plantedMaster.copy(), undefined)
const recorderCard = recorderKeyset.card()
const signers = { source: recorder.sourceSigning, card: recorder.additional!.cardSigning }
const [lax, hybrid, direct] = recorder.additional!.shares as [ActiveShare, ActiveShare, ActiveShare]
const recorded: Sharer = { card: keysOfCard(recorderCard), cardSigning: signers.card, sourceSigning: signers.source }
for (const [name, share] of Object.entries({ own: lax, strict: hybrid, straight: direct })) {
  invite(`records-${name}`, 'to a share whose log has vectors', sealInvite(share, recorded, to, AT), {
    ...{ card: hex(recorderCard.bytes), shareId: hex(share.id) },
  })
}
const keysOf = (share: ActiveShare, keyset = recorderKeyset) => keysFor(keyset.share(hex(share.id)))
const { records, record } = recordVectors({ invite: 'records-own' })
for (const [name, share] of Object.entries({ own: lax, strict: hybrid, straight: direct })) {
  const place = { invite: `records-${name}` }
  const start = await sealed(keysOf(share), sample(100))
  record(`${name}-first`, 'the start of the log', start, 'start', place)
  const next = await sealed(keysOf(share), sample(100), { sequence: 2, previous: sha256(start) })
  record(`${name}-second`, 'behind it', next, start, place)
  const alone = await sealed(keysOf(share, lenient), sample(100))
  if (share !== hybrid) record(`${name}-x25519`, 'X25519 alone, where it may be', alone, 'start', place)
}
const weak = resigned(await sealed(keysOf(lax, lenient), sample(100)), { source: signers.source })
record(
  'other-pair',
  'X25519 alone, to the pair of another share, under the id of this one',
  patched(weak, 32, hybrid.id),
  'start',
  {
    ...{ invite: 'records-strict', ...refused },
  },
)
const first = await sealed(keysOf(lax), sample(100))
const bySource = { source: signers.source }
/** Encodes a marker of the log of a share, which the library never does. */
function marker(kind: 'close' | 'seal-off', content: Uint8Array): Uint8Array {
  const bytes = marked(keysFor(recorderKeyset), kind, content, { previous: sha256(first) })
  return resigned(patched(bytes, 32, lax.id), signers)
}
const sealing = encodeSealOff({ epoch: 1, sequence: 1 })
const closing = encodeClose({ former: [], last: { number: 1, id: sample(16) } })
record('close', 'a close', marker('close', closing), first, { content: hex(closing) })
record('seal-off', 'a seal-off', marker('seal-off', sealing), first, { content: hex(sealing) })
const twice = { source: signers.source, card: signers.source }
record(
  'second-by-source',
  'a seal-off that the source has signed twice',
  resigned(marker('seal-off', sealing), twice),
  null,
  refused,
)
const byReader = resigned(first, { source: recipient.sourceSigning })
record('by-the-recipient', 'signed by the recipient', byReader, 'start', refused)
record('card-key', 'signed by the card signing key', resigned(first, { source: signers.card }), 'start', refused)
record('owner', 'of another share, signed rightly', resigned(patched(first, 32, hybrid.id), bySource), 'start', {
  expect: 'key-not-found',
})
record('of-the-keyset', 'of the log of the keyset', await sealed(keysFor(recorderKeyset), sample(100)), 'start', {
  expect: 'key-not-found',
})
record('other-log', 'of another log', await sealed(keysOf(lax), sample(100), {}, logIdOf('other')), 'start', refused)
record('flag-missing', 'no flag 8', resigned(patched(first, 15, [0]), bySource), 'start', { expect: 'unsupported' })
record('text', 'one bit of ct', flipped(first, 1780), 'start', refused)
record(
  'tag-signed',
  'one bit of the tag, signed again',
  resigned(flipped(first, first.length - 65), bySource),
  'start',
  refused,
)

// A whole log.
const store = memoryStateStore()
const shareLog = openLog(store, LOG, recorderKeyset.share(hex(lax.id)))
const written: LogVector['records'] = []
const versions: Record<string, string> = {}
const objectName = `log/${hex(logId)}/0`
for (const content of [sample(3), sample(100)]) {
  written.push({ position: await shareLog.append(content), content: hex(content) })
  versions[written.length] = hex((await store.read(objectName))!.bytes)
}
const ofShare: LogVector = {
  ...{ id: 'share', section: '7.4', comment: 'two records, by a reader of the share' },
  ...{ owner: { kind: 'share', invite: 'records-own' }, log: LOG, objects: { [objectName]: versions } },
  ...{ epoch: 0, records: written, expect: 'ok' },
}
const ofAnother: LogVector = {
  ...{ ...ofShare, id: 'share-of-another', comment: 'the same, by a reader of another share' },
  ...{ owner: { kind: 'share', invite: 'records-strict' }, records: [], expect: 'policy' },
}
// Invites and records with one fault, by the sharer of these records.
const place = { card: hex(recorderCard.bytes), shareId: hex(lax.id) }
const seedOf = ({ seed }: SigningPair): Bytes => withBytes(seed, (bytes) => new Uint8Array(bytes))
const recorderSeed = seedOf(signers.card)
const sourceSeed = seedOf(signers.source)
interface InviteByHand {
  as?: PinnedKeys
  recipient?: PinnedKeys
  bySource?: (message: Uint8Array) => Uint8Array
  byCard?: (message: Uint8Array) => Uint8Array
}
function inviteByHand(keys: Uint8Array, { as = recorded.card, recipient = to, ...more }: InviteByHand = {}): Bytes {
  const { bySource = (message: Uint8Array) => sign(signers.source.seed, message) } = more
  const { byCard = (message: Uint8Array) => sign(signers.card.seed, message) } = more
  const names = [lax.id, fingerprintBytes(as), fingerprintBytes(recipient)].map(lengthPrefixed)
  const context = concat(...names, u64(AT))
  const sealed = sealSecret(new Recipient(to.sharing), keys, { type: ObjectType.invite, ownerId: lax.id, context })
  const message = concat(lengthPrefixed(fingerprintBytes(as)), sealed, u64(AT))
  const signatures = [
    bySource(concat(domain('sign/invite-source'), message)),
    byCard(concat(domain('sign/invite-card'), message)),
  ]
  return concat(sealed, u64(AT), ...signatures)
}
const straightKeys = concat(u8(1), to.sharing.x25519, to.sharing.mlKem1024)
const straightInvite = inviteByHand(concat(straightKeys, u8(0)))
const [, unreducedSource] = oddSigner('s', sourceSeed)
const [, unreducedCard] = oddSigner('s', recorderSeed)
invite('straight-by-hand', 'straight, made piece by piece', straightInvite, place)
invite('straight-more', 'straight, with 96 bytes behind', inviteByHand(concat(straightKeys, u8(0), sample(96))), {
  ...place,
  ...refused,
})
invite('straight-flag-2', 'straight, with a flag of 2', inviteByHand(concat(straightKeys, u8(2))), {
  ...place,
  ...refused,
})
invite(
  'unreduced-source',
  's + L for the scalar s of the first signature',
  inviteByHand(whole, { bySource: unreducedSource }),
  { ...place, ...refused },
)
invite(
  'unreduced-card',
  's + L for the scalar s of the last signature',
  inviteByHand(whole, { byCard: unreducedCard }),
  { ...place, ...refused },
)
invite('magic', 'kSTR', patched(straightInvite, 0, [0x6b]), { ...place, expect: 'malformed' })
invite('header-alone', 'a header', straightInvite.subarray(0, 48), { ...place, expect: 'malformed' })
invite('header-cut', '47 bytes, of type 5', patched(straightInvite, 5, [5]).subarray(0, 47), {
  ...place,
  expect: 'malformed',
})
invite('minimum-2', 'a minimum of 2', inviteByHand(patched(concat(straightKeys, u8(0)), 0, [2])), place)
invite('modulus', 'a pk_m that is out of range', inviteByHand(patched(whole, 33, [255, 255, 255])), {
  ...place,
  ...refused,
})
invite('between', '3,435 bytes', concat(straightInvite, new Uint8Array(1)), { ...place, expect: 'malformed' })
const apartKeys = { ...to, cardSigning: signingPairOf(new SecretKey('signing', sample(32, 31))).publicKey }
const toApart = inviteByHand(whole, { recipient: apartKeys })
invite('card-apart', 'to a card whose signing key is not that of its seed', toApart, {
  ...place,
  keyset: 'host-card-key-apart',
  ...refused,
})
invite('sharing-apart', 'to a card whose halves differ', straightInvite, {
  ...place,
  keyset: 'storage-sharing-apart',
  ...refused,
})
const badCard = patched(recorderCard.bytes, 5, [13])
invite('order-card-definition', 'a card of type 13, by a definition', straightInvite, {
  ...{ ...place, card: hex(badCard), keyset: 'source-definition', expect: 'unsupported' },
})
invite('order-definition-invite', 'an invite of type 5, by a definition', patched(straightInvite, 5, [5]), {
  ...{ ...place, keyset: 'source-definition', expect: 'policy' },
})
invite('order-card-invite', 'a card and an invite of another type', patched(straightInvite, 5, [6]).subarray(0, 47), {
  ...{ ...place, card: hex(badCard), expect: 'unsupported' },
})
invite(
  'order-date-signature',
  'an issuedAt beyond all dates, and another signature',
  flipped(patched(good, good.length - 136, u64(8.64e15 + 1)), good.length - 1),
  {
    expect: 'malformed',
  },
)
invite(
  'order-signature-key-id',
  'to another card, and another signature',
  flipped(flipped(straightInvite, 16), straightInvite.length - 1),
  {
    ...{ ...place, ...refused },
  },
)
// A sharer whose card has a source signing key that §1.5 refuses. The card is right: nobody looks at that key there (§5).
for (const [name, comment, odd] of ODD_KEYS.slice(0, 2)) {
  const [publicKey, signer] = oddSigner(odd, sourceSeed)
  const { sharing } = recorder.additional!
  const oddCard = encodeCard(
    { ownerId: recorder.id, sharing: sharing.publicHalves, sourceSigning: publicKey },
    signers.card,
  )
  const oddPlace = { card: hex(oddCard.bytes), shareId: hex(lax.id), ...refused }
  const as = { ...recorded.card, sourceSigning: publicKey }
  invite(`source-${name}`, comment, inviteByHand(concat(straightKeys, u8(0)), { as, bySource: signer }), oddPlace)
}

append('log.json', [ofShare, ofAnother])

append('invite.json', invites)
append('shared-block.json', blocks)
append('shared-record.json', records)
