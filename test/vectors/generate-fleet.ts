// Adds the vectors of delegations below to their files, unless they are there already. Run `npm run vectors`.
import { type Bytes, concat, lengthPrefixed, u16, u32, u64 } from '../../src/core/bytes.ts'
import { fingerprintBytes } from '../../src/core/card.ts'
import { type KeyPair, publicKeyId, Recipient } from '../../src/core/key-pairs.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { Strength, Suite } from '../../src/core/suite.ts'
import type { DelegatedKeys } from '../../src/fleet/delegation.ts'
import { delegate } from '../../src/fleet.ts'
import { unlocked } from '../../src/keyset/keyset.ts'
import { Mode } from '../../src/keyset/mask.ts'
import { parseCard } from '../../src/index.ts'
import { flipped, hex, patched, resummed, sample } from '../fixtures.ts'
import { plantedContents, plantedMaster } from '../keyset/planted.ts'
import { append } from './append.ts'
import { unreduced } from './make-by-hand.ts'
import { type Made, make, type Making } from './make-block.ts'
import {
  adoptedId,
  cardSigning,
  contextOf,
  current,
  delegated,
  delegationOf,
  headerWith,
  hybridPair,
  keysWith,
  laxPair,
  owner,
  ownerCard,
  ownerId,
  pairOf,
  privateHex,
  REVISION,
  sealOf,
  sharing,
  signedAgain,
  sourceSigning,
  UNTIL,
  withMinimum,
  x25519Pair,
} from './make-delegation.ts'
import { admin, adminCard, adminSigning, adoptedAdmin, otherAdmin, otherSigning, run, signer } from './make-profile.ts'
import type { DelegatedHeadVector, DelegationVector } from './vectors.ts'

const NOW = UNTIL - 86_400_000
const LAST = 8_640_000_000_000_000
const card = ownerCard()
const NOTHING = { keysetId: '', revision: '', until: 0, encryption: 0, minimum: 0, pairs: [], adopted: [] }

const delegations: DelegationVector[] = []
const keys: Map<string, DelegatedKeys> = new Map()
function add(id: string, comment: string, bytes: Uint8Array, more: Partial<DelegationVector>): void {
  const given = { delegation: hex(bytes), card: hex(card.bytes), now: NOW }
  delegations.push({ id, section: '21', comment, ...given, ...NOTHING, expect: 'ok', ...more })
}
/** One that opens. `making` is what differs from the usual one, `more` what differs in the vector. */
function good(
  id: string,
  comment: string,
  contents: Partial<DelegatedKeys> = {},
  making: Parameters<typeof delegationOf>[0] & { bytes?: Uint8Array } = {},
  more: Partial<DelegationVector> = {},
): void {
  const { encryption, blockPair, retired, adopted } = keysWith(contents)
  const { version = 7, until = UNTIL, bytes = delegationOf({ P: delegated(contents), ...making }) } = making
  keys.set(id, keysWith(contents))
  add(id, comment, bytes, {
    ...{ keysetId: hex(ownerId), revision: `${version}-${hex(REVISION)}`, until, encryption },
    minimum: blockPair.minimum,
    pairs: [blockPair, ...retired.map(({ publicHalves }) => publicHalves)].map((half) => hex(publicKeyId(half))),
    adopted: adopted.map(hex),
    ...more,
  })
}
type Code = DelegationVector['expect']
const refused = (id: string, comment: string, bytes: Uint8Array, expect: Code, more: Partial<DelegationVector> = {}) =>
  add(id, comment, bytes, { expect, ...more })
const failed = (id: string, comment: string, bytes: Uint8Array, more: Partial<DelegationVector> = {}) =>
  refused(id, comment, bytes, 'authentication-failed', more)

// ── those that open ──────────────────────────────────────────────────────────────────────────────────────────────────
const three = [hybridPair, x25519Pair, laxPair]
const x25519 = { encryption: Strength.x25519, blockPair: withMinimum(current, Strength.x25519).publicHalves }
const unencrypted = { encryption: Strength.none, blockPair: withMinimum(current, Strength.none).publicHalves }
good('one', 'one retired pair')
good('none', 'no retired pair', { retired: [] })
good('three', 'three retired pairs, and the id of an adopted keyset', { retired: three, adopted: [adoptedId] })
good('adopted-16', 'the ids of 16 adopted keysets', {
  adopted: Array.from({ length: 16 }, (_, i) => run(0xd0 + i, 16)),
})
good('adopted-twice', 'one id twice', { adopted: [adoptedId, adoptedId] })
good('adopted-own', 'the keyset’s own id among the adopted ones', {
  ...unencrypted,
  retired: three,
  adopted: [ownerId],
})
good('x25519', 'encryption 1', { ...x25519, retired: three })
good('unencrypted', 'encryption 0', { ...unencrypted, retired: three, adopted: [adoptedId] })
good('encryption-above-minimum', 'encryption 2, and a minimum of 0', {
  ...{ ...unencrypted, encryption: Strength.hybrid, retired: three },
})
good('encryption-below-minimum', 'encryption 0, and a minimum of 2', { encryption: Strength.none, retired: three })
good('version-1', 'version 1', {}, { version: 1 })
good('version-last', 'version 2⁵³ − 1', {}, { version: 2 ** 53 - 1 })
good('until-last', 'the latest time', {}, { until: LAST })
good('until-last-now', 'a millisecond before the latest time', {}, { until: LAST }, { now: LAST - 1 })
good('until-1', 'a millisecond before the first one', {}, { until: 1 }, { now: 0 })
good('until-next', 'a millisecond before until', {}, {}, { now: UNTIL - 1 })
good('adopted-card', 'sealed to the card of a keyset that the fleet has adopted', {}, { to: adoptedAdmin })
good('retired-twice', 'one retired pair twice, with two minimums', {
  ...{ ...unencrypted, retired: [withMinimum(hybridPair, Strength.x25519), withMinimum(hybridPair, Strength.none)] },
})
good('retired-current', 'the current pair among the retired ones', {
  retired: [withMinimum(current, Strength.none), hybridPair],
})
const apart: KeyPair = { publicHalves: hybridPair.publicHalves, privateHalves: pairOf(0x27, 2).privateHalves }
const laxApart = withMinimum(apart, Strength.none)
good('retired-apart', 'a retired pair whose halves do not belong together: found when it is used', {
  ...{ ...unencrypted, retired: [laxApart, laxPair] },
})
const invalidX: KeyPair = { ...hybridPair, publicHalves: { ...hybridPair.publicHalves, x25519: run(0, 32) } }
const invalidM: KeyPair = {
  ...hybridPair,
  publicHalves: { ...hybridPair.publicHalves, mlKem1024: patched(hybridPair.publicHalves.mlKem1024, 0, [0xff, 0xff]) },
}
good('retired-apart-strict', 'the same, where the current pair demands encryption', { retired: [apart, laxPair] })
good('retired-low-order', 'a retired pair of low order: found when it is used', { retired: [invalidX] })
good('retired-modulus', 'a retired pair whose ML-KEM half has a coefficient above q: found when it is used', {
  retired: [invalidM],
})
const contents = plantedContents()
const complete = contents.additional!
const delegating = unlocked(
  {
    ...contents,
    ...{ id: ownerId, version: 7, revision: REVISION, encryption: 2, blockPair: current, sourceSigning },
    ...{ cardSigningKey: cardSigning.publicKey, adopted: [{ ...contents.adopted[0]!, id: adoptedId }] },
    additional: { ...complete, sharing, cardSigning, retired: three },
  },
  plantedMaster.copy(),
  undefined,
)
good(
  'by-delegate',
  'as the library makes it',
  { retired: three, adopted: [adoptedId] },
  { bytes: delegate(delegating, parseCard(adminCard), { until: new Date(UNTIL) }) },
)

// ── the form ─────────────────────────────────────────────────────────────────────────────────────────────────────────
const whole = delegationOf()
const SEAL_AT = 84
const seal = whole.subarray(SEAL_AT, -72)
const malformed = (id: string, comment: string, bytes: Uint8Array) => refused(id, comment, bytes, 'malformed')
const unsupported = (id: string, comment: string, bytes: Uint8Array) => refused(id, comment, bytes, 'unsupported')
/** The first bytes, and a right checksum. */
const summed = (bytes: Uint8Array) => resummed(concat(bytes, new Uint8Array(8)))
malformed('empty', 'no bytes at all', new Uint8Array(0))
malformed('too-short', '55 bytes', whole.subarray(0, 55))
malformed('too-short-summed', '47 bytes and a checksum', summed(whole.subarray(0, 47)))
malformed('magic', 'another magic', signedAgain(patched(whole, 0, [0x6b])))
malformed('checksum', 'one bit, by accident', flipped(whole, 100))
malformed('checksum-itself', 'one bit of the checksum', flipped(whole, whole.length - 1))
for (const [id, comment, length] of [
  ['header-alone', 'a header alone', 48],
  ['cut-version', 'half of a version', 52],
  ['cut-revision', 'half of a revision', 64],
  ['cut-until', 'half of a time', 76],
  ['cut-length', 'half of the length of the SEAL', 82],
  ['cut-seal', 'half of the SEAL', 2000],
  ['no-signature', 'no signature', whole.length - 72],
  ['cut-signature', 'a signature without its last byte', whole.length - 9],
] as const)
  malformed(id, comment, summed(whole.subarray(0, length)))
malformed('trailing', 'a byte between signature and checksum', summed(concat(whole.subarray(0, -8), run(0, 1))))
malformed('trailing-checksum', 'a byte behind the checksum', concat(whole, run(0, 1)))
malformed('length-short', 'a length that is a byte short', signedAgain(patched(whole, 80, u32(seal.length - 1))))
malformed('length-long', 'a length that is a byte long', signedAgain(patched(whole, 80, u32(seal.length + 1))))
malformed('length-huge', 'the highest length', signedAgain(patched(whole, 80, run(0xff, 4))))
malformed('version-0', 'version 0', delegationOf({ version: 0 }))
malformed('version-high', 'version 2⁵³', signedAgain(patched(whole, 48, [0, 0x20, 0, 0, 0, 0, 0, 0])))
malformed('version-highest', 'the highest version', signedAgain(patched(whole, 48, run(0xff, 8))))
malformed('until-late', 'a millisecond behind the latest time', delegationOf({ until: LAST + 1 }))
malformed('until-highest', 'the highest time', signedAgain(patched(whole, 72, run(0xff, 8))))
const header = (id: string, comment: string, at: number, ...bytes: number[]) =>
  unsupported(id, comment, delegationOf({ header: patched(headerWith(), at, bytes) }))
header('header-version', 'version 2 of this document', 4, 2)
header('type', 'type 20', 5, 20)
header('type-keyset', 'type 13', 5, 13)
header('suite', 'suite 0x0402', 6, 4, 2)
header('generation', 'generation 1', 11, 1)
header('flags', 'flag 1', 15, 1)
header('flags-high', 'the highest flag', 12, 0x80)
malformed(
  'order-magic-version',
  'another magic, and version 2',
  signedAgain(patched(whole, 0, [0x6b, 0x53, 0x54, 0x52, 2])),
)
malformed('order-checksum-type', 'a wrong checksum, and type 20', patched(whole, 5, [20]))
unsupported('order-type-fields', 'type 20, and version 0', signedAgain(patched(patched(whole, 5, [20]), 48, u64(0))))
unsupported('order-flags-cut', 'flag 1, and half of a version', summed(patched(whole, 15, [1]).subarray(0, 52)))

// ── the owner ────────────────────────────────────────────────────────────────────────────────────────────────────────
const otherKeyId = headerWith({ keyId: flipped(publicKeyId(sharing.publicHalves), 3) })
const otherOwner = headerWith({ ownerId: flipped(ownerId, 3) })
failed('key-id', 'another key id, signed and sealed', delegationOf({ header: otherKeyId }))
failed('owner-id', 'the id of another keyset, signed and sealed', delegationOf({ header: otherOwner }))
failed(
  'owner-id-all',
  'the same, and in the SEAL too',
  delegationOf({ header: otherOwner, place: { ownerId: flipped(ownerId, 3) } }),
)
failed('card-owner', 'the card of another keyset id with the same keys', whole, {
  card: hex(ownerCard({ ownerId: flipped(ownerId, 3) }).bytes),
})
failed('card-sharing', 'the card of other keys for sealing', whole, {
  card: hex(ownerCard({ sharing: hybridPair.publicHalves }).bytes),
})
failed('card-signing', 'a card with another signing key', whole, { card: hex(ownerCard({}, otherSigning).bytes) })
failed('card-source', 'a card with another source signing key', whole, {
  card: hex(ownerCard({ sourceSigning: signer(0x1d).publicKey }).bytes),
})
failed('card-fleet', 'the card of the fleet itself', whole, { card: hex(adminCard) })
refused('card-altered', 'a card with a wrong signature', whole, 'authentication-failed', {
  card: hex(flipped(card.bytes, 1770)),
})
failed('signature', 'one bit of the signature', resummed(flipped(whole, whole.length - 20)))
failed('signature-fleet', 'signed by the fleet', delegationOf({ signature: { by: adminSigning } }))
failed('signature-source', 'signed by the source signing key', delegationOf({ signature: { by: sourceSigning } }))
failed('signature-label', 'signed as slots', delegationOf({ signature: { label: 'sign/slots' } }))
failed('signature-no-fingerprint', 'signed without the fingerprint', delegationOf({ signature: { to: run(0, 0) } }))
const bareFingerprint = delegationOf({ signature: { to: fingerprintBytes(owner) } })
failed('signature-bare', 'signed with the fingerprint and without its length', bareFingerprint)
const otherFingerprint = { ...owner, sourceSigning: signer(0x1d).publicKey }
const toOther = delegationOf({ signature: { to: lengthPrefixed(fingerprintBytes(otherFingerprint)) } })
failed('signature-other', 'signed with another fingerprint', toOther)
const signedOnce = delegationOf()
const withS = concat(signedOnce.slice(0, -72), new Uint8Array(unreduced(signedOnce.slice(-72, -8))), run(0, 8))
failed('signature-unreduced', 's + L for the scalar s', resummed(withS))
for (const [id, comment, at] of [
  ['version', 'version', 55],
  ['revision', 'revision', 60],
  ['until', 'time', 79],
  ['seal', 'ciphertext', 2000],
] as const)
  failed(`altered-${id}`, `one bit of the ${comment}, under a right checksum`, resummed(flipped(whole, at)))

// ── until ────────────────────────────────────────────────────────────────────────────────────────────────────────────
const expired = (id: string, comment: string, bytes: Uint8Array, now: number) =>
  refused(id, comment, bytes, 'expired', { now })
expired('expired', 'until is now', whole, UNTIL)
expired('expired-since', 'until was a millisecond ago', whole, UNTIL + 1)
expired('until-0', 'until and now are 0', delegationOf({ until: 0 }), 0)
const late = { now: UNTIL }
refused('order-fields-expired', 'version 0, and expired', delegationOf({ version: 0 }), 'malformed', late)
refused(
  'order-fields-key-id',
  'version 0, and another key id',
  delegationOf({ version: 0, header: otherKeyId }),
  'malformed',
)
failed('order-key-id-expired', 'another key id, and expired', delegationOf({ header: otherKeyId }), late)
failed('order-owner-id-expired', 'another keyset id, and expired', delegationOf({ header: otherOwner }), late)
failed('order-signature-expired', 'a wrong signature, and expired', resummed(flipped(whole, whole.length - 20)), late)
expired('order-expired-seal', 'expired, and no SEAL', delegationOf({ sealed: run(0, 0) }), UNTIL)
expired('order-expired-other', 'expired, and sealed to another card', delegationOf({ to: otherAdmin }), UNTIL)

// ── the SEAL ─────────────────────────────────────────────────────────────────────────────────────────────────────────
good('seal-again', 'the SEAL made piece by piece', {}, { sealed: sealOf() })
const sealed = (bytes: Bytes) => delegationOf({ sealed: bytes })
const other = sealOf({ to: otherAdmin })
failed('seal-empty', 'a SEAL of no bytes', sealed(run(0, 0)))
failed('seal-47', 'a SEAL of 47 bytes', sealed(sealOf().slice(0, 47)))
failed('seal-48', 'a SEAL of 48 bytes', sealed(sealOf().slice(0, 48)))
failed('seal-1695', 'a SEAL of 1,695 bytes', sealed(sealOf().slice(0, 1695)))
failed('seal-cut', 'a SEAL without its last byte', sealed(sealOf().slice(0, -1)))
failed('seal-trailing', 'a byte behind the SEAL', sealed(concat(sealOf(), run(0, 1))))
failed('seal-magic', 'a SEAL without a magic', sealed(patched(sealOf(), 0, [0x6b])))
const sealHeader = (id: string, comment: string, at: number, ...bytes: number[]) =>
  failed(`seal-${id}`, `a SEAL with ${comment}`, sealed(patched(sealOf(), at, bytes)))
sealHeader('version', 'version 2', 4, 2)
sealHeader('suite', 'suite 0x0401', 6, 4, 1)
sealHeader('generation', 'generation 1', 11, 1)
sealHeader('flags', 'flag 1', 15, 1)
failed('seal-type', 'a SEAL of type 20', delegationOf({ place: { type: 20 } }))
const notFound = (id: string, comment: string, bytes: Uint8Array) => refused(id, comment, bytes, 'key-not-found')
notFound('other-card', 'sealed to another card', delegationOf({ to: otherAdmin }))
notFound('own-card', 'sealed to the card of the owner', delegationOf({ to: new Recipient(sharing.publicHalves) }))
notFound('seal-key-id', 'a SEAL that names another key', sealed(flipped(sealOf(), 20)))
failed('order-seal-short-other', 'a SEAL of 1,695 bytes to another card', sealed(other.slice(0, 1695)))
failed('order-seal-48-other', 'a SEAL of 48 bytes to another card', sealed(other.slice(0, 48)))
failed('order-seal-magic-other', 'a SEAL without a magic to another card', sealed(patched(other, 0, [0x6b])))
failed('order-seal-version-other', 'a SEAL of version 2 to another card', sealed(patched(other, 4, [2])))
failed('order-seal-type-other', 'a SEAL of type 20 to another card', sealed(patched(other, 5, [20])))
failed('order-seal-flags-other', 'a SEAL with flag 1 to another card', sealed(patched(other, 15, [1])))
notFound('order-other-owner', 'a SEAL of another keyset to another card', sealed(flipped(other, 40)))
notFound('order-other-1696', 'a SEAL of 1,696 bytes to another card', sealed(other.slice(0, 1696)))
failed('seal-owner', 'a SEAL of another keyset', delegationOf({ place: { ownerId: flipped(ownerId, 3) } }))
const bound = (id: string, comment: string, context: Bytes) =>
  failed(`seal-${id}`, `a SEAL that is bound to ${comment}`, delegationOf({ place: { context } }))
bound('other-version', 'another version', contextOf({ version: 8 }))
bound('other-revision', 'another revision', contextOf({ revision: flipped(REVISION, 15) }))
bound('other-until', 'another time', contextOf({ until: UNTIL + 1 }))
bound('other-header', 'a header with another key id', contextOf({ header: otherKeyId }))
bound('other-header-owner', 'a header with another keyset id', contextOf({ header: otherOwner }))
bound('other-fingerprint', 'another fingerprint', contextOf({}, otherFingerprint))
bound('no-context', 'nothing', run(0, 0))
bound('no-facts', 'the fingerprint alone', contextOf().slice(0, -80))
bound('no-fingerprint', 'the facts alone', contextOf().slice(-80))
bound('no-length', 'the fingerprint without its length', contextOf().slice(4))
failed('seal-ephemeral', 'zeros for the ephemeral key', sealed(patched(sealOf(), 48, run(0, 32))))
failed('seal-ephemeral-bit', 'another ephemeral key', sealed(flipped(sealOf(), 50)))
failed('seal-encapsulated', 'one bit of ct_m', sealed(flipped(sealOf(), 900)))
failed('seal-commitment', 'one bit of c', sealed(flipped(sealOf(), 1660)))
failed('seal-text', 'one bit of ct', sealed(flipped(sealOf(), 1700)))
failed('seal-tag', 'one bit of the tag', sealed(flipped(sealOf(), seal.length - 1)))

// ── DELEGATED ────────────────────────────────────────────────────────────────────────────────────────────────────────
const P = delegated({ adopted: [adoptedId] })
const [RETIRED_AT, PAIR, ADOPTED_AT] = [1602, 1697, 1602 + 2 + 1697]
const inside = (id: string, comment: string, bytes: Bytes) =>
  failed(`delegated-${id}`, `DELEGATED ${comment}`, delegationOf({ P: bytes }))
inside('empty', 'of no bytes', run(0, 0))
for (const [id, comment, length] of [
  ['cut-block', 'that ends in the current pair', 1000],
  ['no-lists', 'without lists', RETIRED_AT],
  ['cut-count', 'with half of a count', RETIRED_AT + 1],
  ['cut-retired', 'that ends in a retired pair', RETIRED_AT + 2 + 1000],
  ['no-adopted', 'without the list of adopted keysets', ADOPTED_AT],
  ['cut-adopted', 'without its last byte', P.length - 1],
] as const)
  inside(id, comment, P.slice(0, length))
inside('trailing', 'with a byte behind it', concat(P, run(0, 1)))
inside('encryption-3', 'with encryption 3', patched(P, 0, [3]))
inside('minimum-3', 'with a minimum of 3', patched(P, 1, [3]))
inside('retired-minimum-3', 'with a retired pair with a minimum of 3', patched(P, RETIRED_AT + 2, [3]))
inside('retired-0', 'with a retired pair, and a count of 0', patched(P, RETIRED_AT, u16(0)))
inside('retired-2', 'with a retired pair, and a count of 2', patched(P, RETIRED_AT, u16(2)))
inside('retired-65535', 'with the highest count of retired pairs', patched(P, RETIRED_AT, u16(0xffff)))
inside('adopted-0', 'with an adopted id, and a count of 0', patched(P, ADOPTED_AT, u16(0)))
inside('adopted-2', 'with an adopted id, and a count of 2', patched(P, ADOPTED_AT, u16(2)))
inside('adopted-17', 'with 17 adopted ids', concat(P.slice(0, ADOPTED_AT), u16(17), sample(17 * 16, 5)))
inside('low-order', 'with a current pair of low order', patched(P, 2, run(0, 32)))
inside('low-order-1', 'with another one of low order', patched(P, 2, [1, ...run(0, 31)]))
inside('modulus', 'with a coefficient above q in the current pair', patched(P, 34, [0xff, 0xff]))
inside(
  'retired-public',
  'with a retired pair without its private halves',
  concat(P.slice(0, RETIRED_AT + 2 + PAIR - 96), P.slice(ADOPTED_AT)),
)
const byOther = (
  id: string,
  comment: string,
  keyset: string,
  expect: Code,
  making: Parameters<typeof delegationOf>[0] = {},
) => add(id, comment, delegationOf(making), { fleet: keyset, expect })
byOther('fleet-definition', 'opened by a definition', 'definition-full', 'policy')
byOther(
  'fleet-sharing-apart',
  'opened by a keyset whose sharing pair has other halves',
  'storage-sharing-apart',
  'authentication-failed',
)
byOther(
  'fleet-card-apart',
  'opened by a keyset whose card signing key has other halves',
  'host-card-key-apart',
  'authentication-failed',
)
byOther(
  'fleet-adopted-apart',
  'sealed to an adopted card whose halves differ',
  'storage-adopted-apart',
  'authentication-failed',
  { to: new Recipient({ ...adoptedAdmin.publicHalves, x25519: admin.publicHalves.x25519 }) },
)
good(
  'fleet-beside-apart',
  'sealed to the own card, beside an adopted one whose halves differ',
  {},
  {},
  {
    fleet: 'storage-adopted-apart',
  },
)
append('delegation.json', delegations)

// ── rekeying ─────────────────────────────────────────────────────────────────────────────────────────────────────────
const secrets = {
  blockSalt: new SecretKey('block-salt', run(0x2b, 32)),
  dedupKey: new SecretKey('dedup', run(0x2c, 32)),
}
const heads: DelegatedHeadVector[] = []
function head(
  id: string,
  comment: string,
  delegation: string,
  { label, envelope, ciphertext, content }: Made,
  more: Partial<DelegatedHeadVector> = {},
): void {
  if (!keys.has(delegation)) throw new Error(`no delegation ${delegation}`)
  const block = { label: hex(label), envelope: hex(envelope), ciphertext: hex(ciphertext), content: hex(content) }
  const { expect = 'ok' } = more
  const result = expect === 'ok' ? { current: privateHex(current), suite: Suite.hybrid.id } : { current: '', suite: 0 }
  heads.push({
    ...{ id, section: '10.5', comment, delegation, now: NOW, ...block, isCurrent: 'not current', ...result, expect },
    ...more,
  })
}
const of = (pair: KeyPair, id: Bytes = ownerId) => ({ id, blockPair: pair, ...secrets })
const made = (pair: KeyPair, making: Making = {}, mode: (typeof Mode)[keyof typeof Mode] = Mode.scoped) =>
  make(mode, sample(20), { of: of(pair), ...making })
const lower = { suite: Suite.x25519 }
const bad = (expect: Code, isCurrent: DelegatedHeadVector['isCurrent'] = 'not current') => ({ expect, isCurrent })
const NAMES = { [Mode.scoped]: 'scoped', [Mode.global]: 'global', [Mode.off]: 'off' }
for (const mode of [Mode.scoped, Mode.global, Mode.off] as const) {
  const name = NAMES[mode]
  head(name, `mode ${mode}, under the first retired pair`, 'three', await made(hybridPair, {}, mode))
  head(`${name}-x25519`, `mode ${mode} in X25519`, 'three', await made(x25519Pair, lower, mode))
}
head('second', 'under the second retired pair, in both methods', 'three', await made(x25519Pair))
head('third', 'under the third retired pair, in X25519', 'three', await made(laxPair, lower))
head('third-hybrid', 'under the third retired pair, in both methods', 'three', await made(laxPair))
head('only', 'under the only retired pair', 'one', await made(hybridPair))
head('by-delegate', 'under a delegation as the library makes it', 'by-delegate', await made(laxPair, lower))
head('adopted-card', 'under a delegation to the card of an adopted keyset', 'adopted-card', await made(hybridPair))
const weak = { suite: Suite.x25519.id }
head('x25519-stays', 'X25519, where encryption is 1', 'x25519', await made(laxPair, lower), weak)
head('x25519-raised', 'both methods, where encryption is 1', 'x25519', await made(laxPair))
head('unencrypted-x25519', 'X25519, where encryption is 0', 'unencrypted', await made(laxPair, lower), weak)
head('unencrypted-raised', 'both methods, where encryption is 0', 'unencrypted', await made(laxPair))
const aboveMinimum = 'encryption-above-minimum'
head('encryption-above', 'X25519, where encryption is 2 and the minimum 0', aboveMinimum, await made(laxPair, lower))
head(
  'encryption-below',
  'X25519, where encryption is 0 and the minimum 2: the new one is not current, either',
  'encryption-below-minimum',
  await made(laxPair, lower),
  weak,
)
const foreign = (pair: KeyPair, making: Making = {}) => made(pair, { of: of(pair, adoptedId), ...making })
head('adopted', 'of an adopted keyset, under a retired pair', 'three', await foreign(x25519Pair, lower))
head(
  'adopted-none',
  'the same, where nothing is adopted',
  'one',
  await foreign(hybridPair),
  bad('authentication-failed'),
)

const currentOf = bad('key-not-found', 'current')
head('current', 'under the current pair', 'three', await made(current), currentOf)
head('current-adopted', 'of an adopted keyset, under the current pair', 'three', await foreign(current), currentOf)
head(
  'current-weaker',
  'under the current pair, and weaker than its minimum',
  'three',
  await made(current, lower),
  bad('key-not-found'),
)
head(
  'current-x25519',
  'X25519 under the current pair, whose minimum is 1',
  'x25519',
  await made(current, lower),
  currentOf,
)
const strangersId = run(0xb9, 16)
const strangers = { ownerId: strangersId }
head(
  'current-owner',
  'of another keyset, under the current pair',
  'three',
  await made(current, strangers),
  bad('key-not-found'),
)
head(
  'current-retired',
  'under the current pair, which is among the retired ones too',
  'retired-current',
  await made(current),
  currentOf,
)
head(
  'current-retired-weaker',
  'the same, and weaker than its minimum',
  'retired-current',
  await made(current, lower),
  bad('key-not-found'),
)
head('behind-current', 'under the pair behind that one', 'retired-current', await made(hybridPair))
const unknown = pairOf(0x2d, Strength.none)
head('unknown', 'under a pair that nobody has', 'three', await made(unknown), bad('key-not-found'))
head(
  'unknown-owner',
  'of another keyset, under such a pair',
  'three',
  await made(unknown, strangers),
  bad('key-not-found'),
)
head('no-retired', 'under a pair, where none is retired', 'none', await made(hybridPair), bad('key-not-found'))
head(
  'owner',
  'of another keyset, under a retired pair',
  'three',
  await made(hybridPair, strangers),
  bad('authentication-failed'),
)
head(
  'order-owner-weaker',
  'of another keyset, and weaker than its pair',
  'three',
  await made(hybridPair, { ...strangers, ...lower }),
  bad('authentication-failed'),
)
head('weaker', 'X25519, weaker than its pair', 'three', await made(hybridPair, lower), bad('policy'))
head('twice', 'under a pair that is there twice, in X25519', 'retired-twice', await made(hybridPair, lower), weak)
const altered = async (
  making: Making,
  change: (envelope: Bytes) => Bytes,
  pair: KeyPair = hybridPair,
): Promise<Made> => {
  const block = await made(pair, making)
  return { ...block, envelope: change(concat(block.envelope)) }
}
const last = 1713 - 1
head(
  'order-weaker-tag',
  'weaker than its pair, and a wrong tag',
  'three',
  await altered(lower, (one) => flipped(one, 144)),
  bad('policy'),
)
const lying: [string, string, (envelope: Bytes) => Bytes][] = [
  ['tag', 'one bit of the tag', (one) => flipped(one, last)],
  ['mask', 'one bit of the mask', (one) => flipped(one, 1650)],
  ['mode', 'mode 3 for mode 1', (one) => patched(one, 1648, [3])],
  ['ephemeral', 'one bit of epk', (one) => flipped(one, 50)],
  ['ephemeral-zero', 'zeros for epk', (one) => patched(one, 48, run(0, 32))],
  ['encapsulated', 'one bit of ct_m', (one) => flipped(one, 900)],
  ['owner-rewritten', 'the id of an adopted keyset written over its own', (one) => patched(one, 32, adoptedId)],
  ['pair-rewritten', 'the id of another retired pair', (one) => patched(one, 16, publicKeyId(x25519Pair.publicHalves))],
]
for (const [id, comment, change] of lying)
  head(id, comment, 'three', await altered({}, change), bad('authentication-failed'))
const ofLabel = await made(hybridPair)
head('label', 'the label of another block', 'three', { ...ofLabel, label: sample(32, 9) }, bad('authentication-failed'))
const labelled = (id: string, comment: string, label: string) =>
  head(id, comment, 'three', ofLabel, { label, ...bad('malformed') })
labelled('label-capitals', 'a label in capitals', 'AB'.repeat(32))
labelled('label-short', 'a label of 62 digits', hex(ofLabel.label).slice(2))
labelled('label-empty', 'an empty label', '')
head(
  'apart',
  'under a retired pair whose halves do not belong together',
  'retired-apart',
  await made(hybridPair),
  bad('authentication-failed'),
)
head('beside-apart', 'under the pair beside that one', 'retired-apart', await made(laxPair, lower), weak)
head(
  'order-apart-owner',
  'the same, of another keyset',
  'retired-apart',
  await made(hybridPair, strangers),
  bad('authentication-failed'),
)

const shaped: [string, string, Code, (envelope: Bytes) => Bytes][] = [
  ['magic', 'another magic', 'malformed', (one) => patched(one, 0, [0x6b])],
  ['cut', 'a byte short', 'malformed', (one) => one.slice(0, -1)],
  ['trailing', 'a byte long', 'malformed', (one) => concat(one, run(0, 1))],
  ['header-alone', 'a header alone', 'malformed', (one) => one.slice(0, 48)],
  ['short', '47 bytes', 'malformed', (one) => one.slice(0, 47)],
  ['empty', 'no bytes', 'malformed', () => run(0, 0)],
  ['version', 'version 2', 'unsupported', (one) => patched(one, 4, [2])],
  ['type', 'type 5', 'unsupported', (one) => patched(one, 5, [5])],
  ['suite', 'suite 0x0201', 'unsupported', (one) => patched(one, 6, [2, 1])],
  ['generation', 'generation 1', 'unsupported', (one) => patched(one, 11, [1])],
  ['flags', 'flag 1', 'unsupported', (one) => patched(one, 15, [1])],
  ['mode-0', 'mode 0', 'unsupported', (one) => patched(one, 1648, [0])],
  ['mode-4', 'mode 4 in a suite that encrypts', 'unsupported', (one) => patched(one, 1648, [4])],
  ['mode-5', 'mode 5', 'unsupported', (one) => patched(one, 1648, [5])],
  ['order-cut-mode', 'a byte short, and mode 5', 'malformed', (one) => patched(one, 1648, [5]).slice(0, -1)],
  ['order-trailing-mode', 'a byte long, and mode 5', 'malformed', (one) => concat(patched(one, 1648, [5]), run(0, 1))],
  ['order-version-cut', 'version 2, and a byte short', 'unsupported', (one) => patched(one, 4, [2]).slice(0, -1)],
  [
    'order-mode-key',
    'mode 5, and an unknown pair',
    'unsupported',
    (one) => patched(patched(one, 1648, [5]), 16, run(0, 16)),
  ],
]
shaped.push(
  ['long-type', '1,714 bytes, of type 5', 'malformed', (one) => patched(concat(one, run(0, 1)), 5, [5])],
  ['longest-type', '1,713 bytes, of type 5', 'unsupported', (one) => patched(one, 5, [5])],
  ['x25519-long', '1,713 bytes of an envelope of 145', 'malformed', (one) => patched(one, 7, [1])],
  ['x25519-long-type', 'the same, of type 5', 'unsupported', (one) => patched(patched(one, 7, [1]), 5, [5])],
)
for (const [id, comment, expect, change] of shaped)
  head(`envelope-${id}`, comment, 'three', await altered({}, change), { expect, isCurrent: expect as 'malformed' })

// Blocks of mode 4.
const plain = (pair: KeyPair, making: Making = {}) => made(pair, making, Mode.none)
const plainOk = { suite: Suite.none.id }
const policy = bad('policy')
head('plain', 'not encrypted, under a pair with a minimum of 0', 'unencrypted', await plain(laxPair), plainOk)
head('plain-above-minimum', 'the same, where encryption is 2', aboveMinimum, await plain(laxPair), plainOk)
head('plain-current', 'under the current pair', 'unencrypted', await plain(current), {
  ...plainOk,
  isCurrent: 'current',
})
head('plain-unknown', 'under a pair that nobody has', 'unencrypted', await plain(unknown), bad('key-not-found'))
head('plain-strict', 'under a retired pair with a minimum of 1', 'unencrypted', await plain(x25519Pair), policy)
head('plain-adopted', 'of an adopted keyset', 'unencrypted', await plain(laxPair, { ownerId: adoptedId }), policy)
head(
  'plain-adopted-current',
  'of an adopted keyset, under the current pair',
  'unencrypted',
  await plain(current, { ownerId: adoptedId }),
  policy,
)
head('plain-owner', 'of another keyset', 'unencrypted', await plain(laxPair, strangers), bad('authentication-failed'))
head(
  'plain-owner-unknown',
  'of another keyset, under a pair that nobody has',
  'unencrypted',
  await plain(unknown, strangers),
  bad('authentication-failed'),
)
head('plain-minimum', 'where the current pair has a minimum of 2', 'three', await plain(laxPair), policy)
head('plain-minimum-1', 'where the current pair has a minimum of 1', 'x25519', await plain(laxPair), policy)
head('plain-minimum-current', 'the same, under the current pair', 'three', await plain(current), policy)
head('plain-minimum-unknown', 'the same, under a pair that nobody has', 'three', await plain(unknown), policy)
head(
  'plain-own-adopted',
  'the keyset’s own, whose id is among the adopted ones',
  'adopted-own',
  await plain(laxPair),
  plainOk,
)
head('plain-current-own-adopted', 'the same, under the current pair', 'adopted-own', await plain(current), {
  ...plainOk,
  isCurrent: 'current',
})
head(
  'plain-twice',
  'under a pair that is there twice: the first has a minimum of 1',
  'retired-twice',
  await plain(hybridPair),
  policy,
)
head(
  'plain-apart',
  'under a pair whose halves do not belong together',
  'retired-apart',
  await plain(hybridPair),
  bad('authentication-failed'),
)
head(
  'order-plain-apart-minimum',
  'under a pair whose halves do not belong together, where the current pair demands encryption',
  'retired-apart-strict',
  await plain(hybridPair),
  bad('authentication-failed'),
)
head(
  'order-plain-apart-owner',
  'the same, of another owner',
  'retired-apart-strict',
  await plain(hybridPair, { ownerId: run(0xb9, 16) }),
  bad('authentication-failed'),
)
const plainBlock = await plain(laxPair)
const plainShaped = (id: string, comment: string, expect: 'malformed' | 'unsupported', envelope: Bytes) =>
  head(id, comment, 'unencrypted', { ...plainBlock, envelope }, { expect, isCurrent: expect })
const plainBytes = concat(plainBlock.envelope)
plainShaped('plain-mode', 'mode 1 in a suite that does not encrypt', 'unsupported', patched(plainBytes, 48, [1]))
plainShaped('plain-cut', 'a header alone', 'malformed', plainBytes.slice(0, 48))
plainShaped('plain-trailing', 'a byte long', 'malformed', concat(plainBytes, run(0, 1)))
head('plain-label', 'a label of 62 digits', 'unencrypted', plainBlock, { label: 'ab'.repeat(31), ...bad('malformed') })

// until.
const gone = { now: UNTIL, ...bad('expired', 'expired') }
head('until-next', 'a millisecond before until', 'three', await made(hybridPair), { now: UNTIL - 1 })
head('expired', 'until is now', 'three', await made(hybridPair), gone)
head('expired-since', 'until was a millisecond ago', 'three', await made(hybridPair), { ...gone, now: UNTIL + 1 })
head('expired-current', 'until is now, under the current pair', 'three', await made(current), gone)
head('expired-plain', 'until is now, not encrypted', 'unencrypted', plainBlock, gone)
head(
  'order-expired-envelope',
  'until is now, and another magic',
  'three',
  await altered({}, (one) => patched(one, 0, [0])),
  gone,
)
head('order-expired-label', 'until is now, and no label', 'three', ofLabel, { label: '', ...gone })
head(
  'order-label-envelope',
  'a label in capitals, and version 2',
  'three',
  await altered({}, (one) => patched(one, 4, [2])),
  {
    ...{ label: 'AB'.repeat(32), expect: 'malformed', isCurrent: 'unsupported' },
  },
)
append('delegated-head.json', heads)
