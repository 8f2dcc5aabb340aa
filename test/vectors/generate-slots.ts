// Adds the vectors of recovery slots below to their file, unless they are there already. Run `npm run vectors`.
import { type Bytes, concat, domain, lengthPrefixed, u16, u64 } from '../../src/core/bytes.ts'
import { fingerprintBytes } from '../../src/core/card.ts'
import { encode } from '../../src/core/codec.ts'
import { Recipient } from '../../src/core/key-pairs.ts'
import { recipientOf } from '../../src/core/recovery-holder.ts'
import { withBytes } from '../../src/core/secret.ts'
import { macUnder } from '../../src/core/trailer.ts'
import { sealSecret, type SecretPlace } from '../../src/core/wrap.ts'
import { changeKeyset, createKeyset, type Keyset, saveKeyset } from '../../src/index.ts'
import { encodeKeyset } from '../../src/keyset/exports.ts'
import { insidesOf, unlocked } from '../../src/keyset/keyset.ts'
import { addSlot, deriveRecoveryKey, renewSlots, splitRecoveryCode } from '../../src/recovery.ts'
import { slotFacts, type SlotFacts } from '../../src/recovery/layout.ts'
import {
  encodeSlots,
  ownershipMessage,
  sealSlot,
  slotId,
  slotPlace,
  type SlotsOwner,
} from '../../src/recovery/stored-slots.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import { CHEAP, fieldAt, flipped, hex, patched, PASSWORD, resummed } from '../fixtures.ts'
import { plantedContents, plantedMaster } from '../keyset/planted.ts'
import { append } from './append.ts'
import { unreduced } from './make-by-hand.ts'
import { adminCard, adoptedCard, otherCard, signer } from './make-profile.ts'
import {
  codeOf,
  factsOf,
  holderOf,
  keyTarget,
  listed as listedOf,
  masterText,
  signedBy,
  slotBytes,
  slotsAround,
  slotsOwnerOf,
  slotsRemacked,
  slotsResigned,
  slotsWith,
  splitTarget,
} from './make-slots.ts'
import type { ListedSlot, SlotOpener, SlotsVector } from './vectors.ts'

const CODE = codeOf('0123456789ABCDEFGHJKMNPQRS')
const SPLIT = codeOf('ZYXWVTSRQPNMKJHGFEDCBA9876')
const UNKNOWN = codeOf('A'.repeat(26))
const byCode: SlotOpener = { kind: 'code', code: CODE }
const bySecret: SlotOpener = { kind: 'secret', secret: hex(new Uint8Array(32).fill(0x17)) }
const parts = await splitRecoveryCode(SPLIT, { parts: 5, needed: 3 })
const byParts: SlotOpener = { kind: 'parts', parts: parts.slice(2) }

// Whose slots these are, and somebody else.
const keyset = await createKeyset(PASSWORD, { costs: CHEAP })
const stranger = await createKeyset(PASSWORD, { costs: CHEAP })
const owner = slotsOwnerOf(keyset)
const other = slotsOwnerOf(stranger)
const stored = keyset.export('storage')
const ownCard = keyset.card()
// The holder of cards is the planted keyset.
const byCard: SlotOpener = { kind: 'card', from: hex(ownCard.bytes) }

const [code, split, secret, strange] = [
  await holderOf(CODE),
  await holderOf(SPLIT),
  await holderOf(0x17),
  await holderOf(UNKNOWN),
]
const codeFacts = factsOf(keyTarget('code', code, owner))
const splitFacts = factsOf(splitTarget(split, owner, 3, 5), 'Three of the family')
const secretFacts = factsOf(keyTarget('secret', secret, owner), 'Passkey')
const cardFacts = factsOf({ kind: 'card', value: adminCard }, 'Admin')

const listed = (facts: SlotFacts, label?: string) => listedOf(owner.id, facts, label)

const vectors: SlotsVector[] = []
interface Given {
  slots?: readonly Uint8Array[]
  keysets?: readonly Uint8Array[]
  by?: SlotOpener
}
function add(id: string, comment: string, given: Given, more: Partial<SlotsVector>): void {
  const { slots = [], keysets = [], by = byCode } = given
  const objects = { slots: slots.map(hex), keyset: keysets.map(hex), by }
  const nothing = { floor: '', keysetId: '', form: 'ok', slot: '', master: '', revision: '', expect: 'ok' } as const
  vectors.push({ id, section: '20.5', comment, ...objects, ...nothing, listed: [], ...more })
}
/** What opening gives, and what the list of slots shows. */
const opens = (facts: SlotFacts, list: readonly ListedSlot[] = [listed(facts)], of: Keyset = keyset) => ({
  ...{ listed: [...list], slot: hex(slotId(owner.id, facts)), master: masterText(insidesOf(of, 'keyset').master) },
  revision: of.revision,
})
function good(id: string, comment: string, facts: SlotFacts, given: Given, more: Partial<SlotsVector> = {}): void {
  add(id, comment, { slots: [slotsWith(owner, facts)], keysets: [stored], ...given }, { ...opens(facts), ...more })
}

good('code', 'a recovery code', codeFacts, {})
good('code-typed', 'a recovery code as somebody typed it', codeFacts, {
  by: { kind: 'code', code: CODE.toLowerCase().replaceAll(/(.{5})/g, '$1 ') },
})
good('split', 'parts of a code', splitFacts, { by: byParts })
good('split-code', 'the code itself, in the place of its parts', splitFacts, { by: { kind: 'code', code: SPLIT } })
good('secret', 'a secret of a device', secretFacts, { by: bySecret })
good('card', 'a card, with the card of the owner', cardFacts, { by: byCard })
const adoptedFacts = factsOf({ kind: 'card', value: adoptedCard }, 'Admin')
good('card-adopted', 'the card of a keyset that the holder has adopted', adoptedFacts, { by: byCard })
const ownContents = insidesOf(keyset, 'keyset').contents
const renamed = unlocked({ ...ownContents, id: new Uint8Array(16).fill(0x77) }, owner.master.copy(), undefined).card()
good('card-other-id', 'the card of the owner with another owner id: the same fingerprint', cardFacts, {
  by: { kind: 'card', from: hex(renamed.bytes) },
})
const allFacts = [codeFacts, splitFacts, secretFacts, cardFacts]
const all = slotsWith(owner, ...allFacts)
const list = allFacts.map((facts) => listed(facts))
good('several-code', 'the first of four', codeFacts, { slots: [all] }, { listed: list })
good('several-split', 'the second of four', splitFacts, { slots: [all], by: byParts }, { listed: list })
good('several-secret', 'the third of four', secretFacts, { slots: [all], by: bySecret }, { listed: list })
good('several-card', 'the last of four', cardFacts, { slots: [all], by: byCard }, { listed: list })
const sameKey = factsOf(keyTarget('secret', code, owner), 'Again')
good(
  'same-key',
  'two slots for one key: the first opens',
  codeFacts,
  { slots: [slotsWith(owner, codeFacts, sameKey)] },
  {
    listed: [listed(codeFacts), listed(sameKey)],
  },
)
const most = factsOf(splitTarget(split, owner, 31, 31))
good('split-31', '31 of 31 parts', most, { by: { kind: 'code', code: SPLIT } })
const least = factsOf(splitTarget(split, owner, 2, 2))
good('split-2', '2 of 2 parts', least, { by: { kind: 'code', code: SPLIT } })

const labelled = (label: Uint8Array | string) => factsOf(keyTarget('code', code, owner), label)
const utf8 = (text: string) => new TextEncoder().encode(text)
for (const [id, comment, label, shown] of [
  ['unicode', 'in another script, and with an emoji', 'Лист в сейфе 🗝️', undefined],
  ['one', 'of one character', 'x', undefined],
  ['255', 'of 255 bytes', 'x'.repeat(255), undefined],
  ['nfd', 'not in NFC: shown as empty', 'Cafe\u0301', ''],
  ['control', 'with a control character: shown as empty', 'Sheet\n', ''],
  ['bidi', 'with an override of the direction inside', 'a\u202eb', undefined],
  ['space', 'of a space: shown as empty', ' ', ''],
  ['wide-space', 'with U+3000, which is no stored space: shown as empty', 'a\u3000b', ''],
  ['unassigned', 'with a noncharacter: shown as empty', 'a\ufdd0', ''],
  ['mark', 'with a byte order mark in front: shown as empty', '\ufeffa', ''],
] as const) {
  const facts = labelled(label)
  good(`label-${id}`, `a label ${comment}`, facts, {}, { listed: [listed(facts, shown)] })
}
const broken = labelled(Uint8Array.of(0x61, 0xff))
good('label-bytes', 'a label that is not UTF-8: shown as empty', broken, {}, { listed: [listed(broken, '')] })
const timed = (created: number): SlotFacts => ({ ...labelled('x'), created })
const [earliest, latest] = [timed(0), timed(8_640_000_000_000_000)]
good('created-0', 'created in 1970', earliest, {})
good('created-latest', 'created at the latest time', latest, {})

// ── the form ─────────────────────────────────────────────────────────────────────────────────────────────────────────
const whole = slotsWith(owner, codeFacts)
type Code = SlotsVector['expect']
const malformed = (id: string, comment: string, bytes: Uint8Array, expect: Code = 'malformed') =>
  add(id, comment, { slots: [bytes], keysets: [] }, { section: '20.4', form: expect, expect })
const again = (bytes: Uint8Array) => slotsResigned(bytes, owner)
malformed('empty', 'no bytes at all', new Uint8Array(0))
malformed('too-short', '55 bytes', whole.subarray(0, 55))
malformed('header-alone', 'a header and its checksum', resummed(concat(whole.subarray(0, 48), new Uint8Array(8))))
malformed('no-count', 'no count', again(concat(whole.subarray(0, 48), new Uint8Array(136))))
malformed('half-count', 'half of a count', again(concat(whole.subarray(0, 49), new Uint8Array(136))))
malformed('checksum', 'one bit, by accident', flipped(whole, 100))
malformed('checksum-itself', 'one bit of the checksum', flipped(whole, whole.length - 1))
malformed('key-id-damaged', 'one bit of the key id, by accident', flipped(whole, 20))
malformed('magic', 'kSTR', resummed(patched(whole, 0, [0x6b])))
const header = (id: string, comment: string, at: number, ...bytes: number[]) =>
  malformed(id, comment, again(patched(whole, at, bytes)), 'unsupported')
header('header-version', 'version 2 of this document', 4, 2)
header('type', 'type 3', 5, 3)
header('type-21', 'type 21', 5, 21)
header('suite', 'suite 0x0402', 6, 4, 2)
header('generation', 'generation 1', 11, 1)
header('flags', 'flag 1', 15, 1)
header('flags-high', 'the highest flag', 12, 0x80)
const at = { created: 50, length: 58, label: 60 } as const
const kindAt = at.label + codeFacts.label.length
const bare = slotBytes({ facts: codeFacts, sealed: sealSlot(owner, codeFacts).sealed })
const around = (slots: readonly Uint8Array[], count?: number) => slotsAround(whole, owner, slots, count)
malformed('count-0', 'a slot, and a count of 0', around([bare], 0))
malformed('count-2', 'a slot, and a count of 2', around([bare], 2))
malformed('count-65', 'a count of 65, and one slot', around([bare], 65))
malformed('facts-twice', 'one slot twice', around([bare, bare]))
const resealed = slotBytes({ facts: codeFacts, sealed: sealSlot(owner, codeFacts).sealed })
malformed('facts-twice-sealed', 'the same FACTS twice, with two SEALs', around([bare, resealed]))
const between = slotBytes({ facts: secretFacts, sealed: sealSlot(owner, secretFacts).sealed })
malformed('facts-twice-apart', 'the same FACTS twice, with another slot between', around([bare, between, resealed]))
const late = around([patched(bare, 0, u64(8_640_000_000_000_001))])
malformed('created-later', 'a millisecond behind the latest time', late)
malformed('created-huge', 'the highest number as time', around([patched(bare, 0, new Uint8Array(8).fill(0xff))]))
/** The slot with a label of any length. */
const withLabel = (label: Uint8Array) =>
  around([concat(bare.subarray(0, 8), u16(label.length), label, bare.subarray(10 + codeFacts.label.length))])
malformed('label-none', 'a label of no bytes', withLabel(new Uint8Array(0)))
malformed('label-256', 'a label of 256 bytes', withLabel(utf8('x'.repeat(256))))
malformed('label-cut', 'a label that is longer than what follows', again(patched(whole, at.length, [0x7f, 0xff])))
for (const kind of [0, 5, 255]) malformed(`kind-${kind}`, `kind ${kind}`, again(patched(whole, kindAt, [kind])))
malformed('kind-split', 'a code that is called split: two bytes are missing', again(patched(whole, kindAt, [2])))
malformed('kind-card', 'a code that is called a card: bytes are missing', again(patched(whole, kindAt, [3])))
const splitWhole = slotsWith(owner, splitFacts)
const splitAt = at.label + splitFacts.label.length + 1
for (const [id, k, n] of [
  ['k-0', 0, 5],
  ['k-1', 1, 5],
  ['k-above-n', 6, 5],
  ['n-32', 3, 32],
  ['n-0', 0, 0],
  ['k-n-1', 1, 1],
  ['k-n-255', 255, 255],
] as const)
  malformed(id, `${k} of ${n} parts`, again(patched(splitWhole, splitAt, [k, n])))
malformed('trailing', 'a byte behind the slots', around([bare, new Uint8Array(1)], 1))
malformed('cut', 'a byte short', around([bare.subarray(0, -1)]))
malformed(
  'no-signature',
  'without the signature',
  slotsRemacked(concat(whole.subarray(0, -136), whole.subarray(-72)), owner.master),
)
malformed('behind-mac', 'a byte between mac and checksum', resummed(concat(whole.subarray(0, -8), new Uint8Array(9))))
malformed('order-checksum-type', 'a wrong checksum, and type 3', patched(whole, 5, [3]))
malformed(
  'order-magic-version',
  'another magic, and version 2',
  resummed(patched(whole, 0, [0x6b, 0x53, 0x54, 0x52, 2])),
)
malformed('order-type-fields', 'type 3, and kind 9', again(patched(patched(whole, kindAt, [9]), 5, [3])), 'unsupported')
malformed(
  'order-flags-fields',
  'flag 1, and kind 9',
  again(patched(patched(whole, kindAt, [9]), 15, [1])),
  'unsupported',
)
malformed('order-flags-count', 'flag 1, and a count of 65', again(patched(around([bare], 65), 15, [1])), 'unsupported')

// ── opening the slot ─────────────────────────────────────────────────────────────────────────────────────────────────
/** Refused, but the list shows the slots. Nothing of the keyset is read, unless it is given. */
function refused(
  id: string,
  comment: string,
  slots: readonly Uint8Array[],
  facts: readonly SlotFacts[],
  given: Given & { expect?: Code; floor?: string } = {},
): void {
  const { expect = 'authentication-failed', floor = '', ...objects } = given
  add(id, comment, { slots, ...objects }, { listed: facts.map((one) => listed(one)), floor, expect })
}
const one = [codeFacts]
const withKeyset = { keysets: [stored] }
const notFound = { expect: 'key-not-found', ...withKeyset } as const
add('no-slots-object', 'a store without slots', withKeyset, { form: 'missing', expect: 'missing' })
refused('no-slots', 'slots, and none among them', [encodeSlots(owner, [])], [], notFound)
refused('other-code', 'another code', [whole], one, { ...notFound, by: { kind: 'code', code: UNKNOWN } })
const otherFacts = factsOf({ kind: 'card', value: otherCard }, 'Admin')
const toOther = [slotsWith(owner, otherFacts)]
refused('other-card', 'a slot to the card of somebody else', toOther, [otherFacts], { ...notFound, by: byCard })
refused('code-for-card', 'a slot for a code, and the holder of a card', [whole], one, { ...notFound, by: byCard })
refused('mac', 'one bit of the mac', [resummed(flipped(whole, whole.length - 10))], one, withKeyset)
refused('mac-other', 'the mac of another master key', [slotsRemacked(whole, other.master)], one, withKeyset)
refused(
  'created-altered',
  'another time, under a right checksum',
  [resummed(patched(whole, at.created, u64(codeFacts.created + 1)))],
  [{ ...codeFacts, created: codeFacts.created + 1 }],
  withKeyset,
)
const relabelled = resummed(patched(whole, at.label, utf8('H')))
const asRelabelled = { ...codeFacts, label: patched(codeFacts.label, 0, utf8('H')) }
refused('label-altered', 'another label, under a right checksum', [relabelled], [asRelabelled], withKeyset)
refused(
  'label-resigned',
  'another label, which the SEAL does not have',
  [again(relabelled)],
  [asRelabelled],
  withKeyset,
)
refused('key-id', 'another key id in the header', [again(flipped(whole, 20))], one, withKeyset)
add(
  'owner-id',
  'another keyset id in the header: the ids of the slots are others, too',
  { slots: [again(flipped(whole, 40))], ...withKeyset },
  { listed: [listedOf(flipped(owner.id, 8), codeFacts)], expect: 'authentication-failed' },
)

/** The SEAL of a slot, made in another place. */
function sealed(facts: SlotFacts, place: Partial<SecretPlace> & { secret?: Uint8Array; to?: Recipient }): Bytes {
  const { secret: P, to, ...where } = place
  const recipient = to ?? recipientOf((facts.to as Extract<SlotFacts['to'], { kind: 'code' }>).value.keys)
  const given = (bytes: Uint8Array) => sealSecret(recipient, bytes, { ...slotPlace(owner.id, facts), ...where })
  return slotBytes({ facts, sealed: P === undefined ? withBytes(owner.master, given) : given(P) })
}
good('seal-again', 'the SEAL made piece by piece', codeFacts, { slots: [around([sealed(codeFacts, {})])] })
const sealOf = (id: string, comment: string, ...place: Parameters<typeof sealed>) =>
  refused(id, comment, [around([sealed(...place)])], one, withKeyset)
sealOf('seal-other-slot', 'the SEAL of another slot for the same key', codeFacts, {
  context: slotPlace(owner.id, sameKey).context,
})
sealOf('seal-other-keyset', 'the SEAL of another keyset', codeFacts, { ownerId: other.id })
sealOf('seal-no-context', 'a SEAL without a context', codeFacts, { context: new Uint8Array(0) })
sealOf('seal-other-secret', 'another master key in the SEAL', codeFacts, { secret: new Uint8Array(32).fill(7) })
const sealAt = whole.length - 136 - 1728
const sealBit = (id: string, comment: string, ...bytes: Parameters<typeof patched>) =>
  refused(id, comment, [again(patched(...bytes))], one, withKeyset)
const sealHeader = (id: string, comment: string, from: number, ...bytes: number[]) =>
  refused(id, comment, [again(patched(whole, sealAt + from, bytes))], one, { ...withKeyset, expect: 'unsupported' })
const sealTyped = [around([sealed(codeFacts, { type: 3 })])]
refused('seal-type', 'a SEAL of type 3', sealTyped, one, { ...withKeyset, expect: 'unsupported' })
sealBit('seal-magic', 'no magic in the SEAL', whole, sealAt, [0x6b])
sealHeader('seal-version', 'version 2 in the SEAL', 4, 2)
sealHeader('seal-suite', 'suite 0x0401 in the SEAL', 6, 4, 1)
sealHeader('seal-generation', 'generation 1 in the SEAL', 11, 1)
sealHeader('seal-flags', 'flag 1 in the SEAL', 15, 1)
sealBit('seal-ephemeral', 'zeros for the ephemeral key', whole, sealAt + 48, new Uint8Array(32))
sealBit('seal-text', 'another first byte of the ciphertext', whole, sealAt + 1680, [whole[sealAt + 1680]! ^ 1])
const keyIdTo = (bytes: Uint8Array, from: number, id: Uint8Array) => again(patched(bytes, from + 16, id))
refused('seal-key-id', 'a SEAL that names another key', [keyIdTo(whole, sealAt, new Uint8Array(16))], one, notFound)
const two = slotsWith(owner, codeFacts, secretFacts)
const both = [codeFacts, secretFacts]
const listBoth = both.map((facts) => listed(facts))
const secretSealAt = two.length - 136 - 1728
const firstSealAt = two.length - 136 - 2 * 1728 - encode(slotFacts, secretFacts).length
good(
  'first-seal-bad',
  'a SEAL for another key that does not open',
  secretFacts,
  {
    ...{ slots: [again(flipped(two, firstSealAt + 1700))], by: bySecret },
  },
  { listed: listBoth },
)
good(
  'later-seal-bad',
  'a SEAL behind that one without a magic: it is not looked at',
  codeFacts,
  {
    slots: [again(flipped(two, secretSealAt))],
  },
  { listed: listBoth },
)
const firstMagic = [again(flipped(two, firstSealAt))]
refused('first-seal-magic', 'a SEAL in front of that one without a magic', firstMagic, both, {
  ...{ ...withKeyset, by: bySecret },
})
const firstLater = again(patched(two, firstSealAt + 4, [2]))
const later = { ...withKeyset, expect: 'unsupported', by: bySecret } as const
refused('first-seal-version', 'a SEAL of a later document in front of that one', [firstLater], both, later)
refused('first-seal-below', 'the same: the version below is not looked at', [two, firstLater], both, later)
good(
  'first-seal-magic-below',
  'the version below one with a SEAL without a magic',
  secretFacts,
  { slots: [two, firstMagic[0]!], by: bySecret },
  { listed: listBoth },
)
good(
  'later-seal-version',
  'a SEAL of a later document behind that one: it is not looked at',
  codeFacts,
  { slots: [again(patched(two, secretSealAt + 4, [2]))] },
  { listed: listBoth },
)
refused(
  'order-seal-magic-version',
  'a SEAL without a magic, and with version 2',
  [again(patched(whole, sealAt, [0x6b, 0x53, 0x54, 0x52, 2]))],
  one,
  withKeyset,
)
refused(
  'order-seal-version-key',
  'a SEAL of a later document to another key',
  [keyIdTo(patched(whole, sealAt + 4, [2]), sealAt, new Uint8Array(16))],
  one,
  { ...withKeyset, expect: 'unsupported' },
)
const firstBad = slotsWith(owner, codeFacts, sameKey)
const firstBadAt = firstBad.length - 136 - 2 * 1728 - encode(slotFacts, sameKey).length
refused(
  'same-key-first-bad',
  'two slots for one key, of which the first does not open',
  [again(flipped(firstBad, firstBadAt + 1700))],
  [codeFacts, sameKey],
  withKeyset,
)

// Versions.
const damaged = flipped(whole, 100)
const altered = resummed(flipped(whole, whole.length - 10))
good(
  'below-damaged',
  'the version below a damaged one',
  codeFacts,
  { slots: [whole, damaged] },
  {
    ...{ form: 'malformed', listed: [] },
  },
)
good('below-altered', 'the version below one with a wrong mac', codeFacts, { slots: [whole, altered] })
good('below-two', 'the version below two that do not pass', codeFacts, { slots: [whole, damaged, altered] })
good('newest', 'the newest of two', codeFacts, { slots: [slotsWith(owner, sameKey), whole] })
refused('below-other', 'a slot that only the version below has', [two, whole], one, { ...notFound, by: bySecret })
add(
  'below-unsupported',
  'a version of a later document: the one below is not looked at',
  {
    ...{ slots: [whole, again(patched(whole, 4, [2]))], keysets: [stored] },
  },
  { form: 'unsupported', expect: 'unsupported' },
)
add(
  'all-damaged',
  'nothing passes: the error of the newest',
  { slots: [altered, damaged], keysets: [stored] },
  {
    ...{ form: 'malformed', expect: 'malformed' },
  },
)
refused('all-altered', 'nothing passes: the error of the newest', [damaged, altered], one, withKeyset)
add(
  'damaged-above-unsupported',
  'a damaged one above one of a later document',
  {
    ...{ slots: [again(patched(whole, 4, [2])), damaged], keysets: [stored] },
  },
  { form: 'malformed', expect: 'unsupported' },
)
refused(
  'altered-above-other',
  'one with a wrong mac above one without a slot for this key',
  [...[slotsWith(owner, secretFacts), altered]],
  one,
  notFound,
)

// ── the keyset ───────────────────────────────────────────────────────────────────────────────────────────────────────
const failing = (id: string, comment: string, keysets: readonly Uint8Array[], expect: Code, floor = '') =>
  refused(`keyset-${id}`, comment, [whole], one, { keysets, expect, floor })
failing('missing', 'no keyset', [], 'missing')
failing('damaged', 'a damaged keyset', [flipped(stored, 200)], 'malformed')
failing('damaged-above', 'a damaged keyset above a good one', [stored, flipped(stored, 200)], 'malformed')
failing('unsupported', 'a keyset of a later document', [resummed(patched(stored, 4, [2]))], 'unsupported')
failing('host', 'the export of a host', [keyset.export('host')], 'policy')
failing('definition', 'the export of a definition', [keyset.export('definition')], 'policy')
failing('mac', 'one bit of its mac', [resummed(flipped(stored, stored.length - 10))], 'authentication-failed')
failing(
  'sealed',
  'one bit of its sealed section',
  [resummed(flipped(stored, stored.length - 100))],
  'authentication-failed',
)
/** Recomputes the MAC of an export to storage. */
const keysetRemacked = (bytes: Uint8Array) =>
  resummed(
    patched(bytes, bytes.length - 72, macUnder(owner.master, 'keyset-mac', [Uint8Array.of(3)], bytes.subarray(0, -72))),
  )
failing('key-id', 'a keyset with another key id', [keysetRemacked(flipped(stored, 20))], 'key-not-found')
const noVerify = keysetRemacked(flipped(stored, fieldAt(stored, 'verify')))
good('keyset-verify', 'a keyset whose verify is another: it is not compared', codeFacts, { keysets: [noVerify] })
failing('stranger', 'the keyset of somebody else', [stranger.export('storage')], 'key-not-found')
good('keyset-below-stranger', 'the version below one under another master key', codeFacts, {
  keysets: [stored, stranger.export('storage')],
})
const above = stranger.export('storage')
for (const [id, comment, between] of [
  ['damaged', 'a damaged version', flipped(stored, 200)],
  ['damaged-key', 'a version with a damaged key id', flipped(stranger.export('storage'), 20)],
  ['host', 'the export of a host', keyset.export('host')],
  ['unsupported', 'a version of a later document', resummed(patched(stored, 4, [2]))],
] as const) {
  good(`keyset-below-${id}`, `${comment} between: it is passed over`, codeFacts, { keysets: [stored, between, above] })
  failing(`lowest-${id}`, `${comment} below one under another master key`, [between, above], 'key-not-found')
}
const second = await keyset.changePassword('another password', { costs: CHEAP })
const belowSecond = { slots: [whole], keysets: [stored, second.export('storage'), above] }
const ofSecond = opens(codeFacts, [listed(codeFacts)], second)
add('keyset-below-newest', 'the newest of the older versions under this master key', belowSecond, ofSecond)
failing(
  'below-mac',
  'the newest of the older versions under this master key has a wrong mac: those below are not looked at',
  [stored, resummed(flipped(stored, stored.length - 10)), above],
  'authentication-failed',
)
failing('rollback', 'below the floor', [stored], 'rollback', `2-${'00'.repeat(16)}`)
failing('forked', 'another revision of its version', [stored], 'forked', `1-${'00'.repeat(16)}`)
good('keyset-floor', 'the floor is the keyset itself', codeFacts, {}, { floor: keyset.revision })
failing(
  'order-floor-mac',
  'below the floor, and a wrong mac',
  [resummed(flipped(stored, stored.length - 10))],
  'rollback',
  `2-${'00'.repeat(16)}`,
)
failing(
  'order-floor-key',
  'below the floor, and under another master key',
  [stranger.export('storage')],
  'rollback',
  `2-${'00'.repeat(16)}`,
)
failing(
  'order-host-floor',
  'the export of a host, below the floor',
  [keyset.export('host')],
  'policy',
  `2-${'00'.repeat(16)}`,
)
failing(
  'order-unsupported-floor',
  'a keyset of a later document, below the floor',
  [resummed(patched(stored, 4, [2]))],
  'unsupported',
  `2-${'00'.repeat(16)}`,
)
refused('order-key-keyset', 'another code, and no keyset', [whole], one, {
  ...{ by: { kind: 'code', code: UNKNOWN }, expect: 'key-not-found' },
})
refused('order-mac-keyset', 'a wrong mac, and no keyset', [altered], one)

// The same master key under the id of another keyset.
const elsewhere: SlotsOwner = { ...owner, id: other.id }
add(
  'other-keyset',
  'slots of another keyset id, right in themselves',
  { slots: [slotsWith(elsewhere, codeFacts)], ...withKeyset },
  { listed: [listedOf(other.id, codeFacts)], expect: 'authentication-failed' },
)
const unsigned = { ...owner, sign: signedBy(signer(0xd3)) }
refused('signature', 'slots that another key has signed', [slotsResigned(whole, unsigned)], one, withKeyset)
refused(
  'signature-source',
  'slots that the source signing key has signed',
  [slotsResigned(whole, { ...owner, sign: signedBy(ownContents.sourceSigning) })],
  one,
  withKeyset,
)
refused(
  'signature-unreduced',
  's + L for the scalar s',
  [slotsRemacked(patched(whole, whole.length - 136, unreduced(whole.slice(-136, -72))), owner.master)],
  one,
  withKeyset,
)
refused(
  'signature-bit',
  'one bit of the signature',
  [slotsRemacked(flipped(whole, whole.length - 130), owner.master)],
  one,
  withKeyset,
)
refused(
  'signature-label',
  'slots that were signed for another purpose',
  [slotsResigned(whole, owner, 'sign/card')],
  one,
  withKeyset,
)
refused(
  'signature-none',
  'slots that nobody has signed',
  [slotsResigned(whole, { ...owner, sign: () => new Uint8Array(64) })],
  one,
  withKeyset,
)
refused(
  'signature-card',
  'slots to a card that another key has signed',
  [slotsResigned(slotsWith(owner, cardFacts), unsigned)],
  [cardFacts],
  { ...withKeyset, by: byCard },
)

const accepted = (id: string, comment: string, to: SlotFacts['to'], by?: SlotOpener) => {
  const facts = factsOf(to)
  refused(id, comment, [slotsWith(owner, facts)], [facts], { ...withKeyset, ...(by && { by }) })
}
accepted(
  'recovery-keyset',
  'a recovery key that has signed another keyset',
  keyTarget('code', code, owner, ownershipMessage(other.card)),
)
const digits = fingerprintBytes(owner.card)
const ownership = (keysetId: Uint8Array, fingerprint: Uint8Array, label = 'sign/recovery-keyset') =>
  concat(domain(label), lengthPrefixed(keysetId), lengthPrefixed(fingerprint))
const madeFacts = factsOf(keyTarget('code', code, owner, ownership(owner.id, digits)))
good('recovery-again', 'the signature of the recovery key made piece by piece', madeFacts, {})
accepted(
  'recovery-card',
  'a recovery key that has signed another card',
  keyTarget('code', code, owner, ownership(owner.id, fingerprintBytes(other.card))),
)
accepted(
  'recovery-id',
  'a recovery key that has signed another keyset id',
  keyTarget('code', code, owner, ownership(other.id, digits)),
)
accepted(
  'recovery-label',
  'a recovery key that has signed for another purpose',
  keyTarget('code', code, owner, ownership(owner.id, digits, 'sign/slots')),
)
const spaced = utf8(ownCard.fingerprint)
accepted(
  'recovery-spaces',
  'a recovery key that has signed the fingerprint with spaces',
  keyTarget('code', code, owner, ownership(owner.id, spaced)),
)
accepted('recovery-none', 'no signature of the recovery key', {
  kind: 'code',
  value: { keys: code.keys, signature: new Uint8Array(64) },
})
accepted('recovery-other', 'the signature of another recovery key', {
  kind: 'code',
  value: { keys: code.keys, signature: strange.sign(ownershipMessage(owner.card)) },
})
accepted('recovery-unreduced', 's + L for the scalar s', {
  kind: 'code',
  value: { keys: code.keys, signature: new Uint8Array(unreduced(code.sign(ownershipMessage(owner.card)))) },
})
accepted('recovery-owner', 'the signature of the card signing key', {
  kind: 'code',
  value: { keys: code.keys, signature: owner.sign(ownershipMessage(owner.card)) },
})
const strangeFacts = factsOf(keyTarget('code', strange, owner))
const toCode = { to: recipientOf(code.keys) }
refused(
  'recovery-keys',
  'the KEYS of another recovery key, which has signed, and a SEAL to this one',
  [around([sealed(strangeFacts, toCode)])],
  [strangeFacts],
  withKeyset,
)
const borrowed = factsOf({
  kind: 'code',
  value: { keys: strange.keys, signature: code.sign(ownershipMessage(owner.card)) },
})
refused(
  'recovery-keys-signed',
  'the KEYS of another recovery key, but the signature of this one',
  [around([sealed(borrowed, toCode)])],
  [borrowed],
  withKeyset,
)
refused(
  'recovery-kind',
  'a SEAL to the recovery key in the slot of a card',
  [around([sealed(cardFacts, toCode)])],
  [cardFacts],
  withKeyset,
)
const toAdmin = { to: new Recipient(plantedContents().additional!.sharing.publicHalves) }
good('card-kind', 'a SEAL to a card in the slot of a code: a card looks at no FACTS', codeFacts, {
  ...{ slots: [around([sealed(codeFacts, toAdmin)])], by: byCard },
})
const holder = unlocked(plantedContents(), plantedMaster.copy(), undefined)
// A keyset with halves that do not belong together: nothing but the use of its card shows it.
const additional = ownContents.additional!
function apart(
  id: string,
  comment: string,
  more: Partial<NonNullable<typeof ownContents.additional>>,
  keys: Partial<SlotsOwner['card']>,
  by: SlotsOwner['sign'] = owner.sign,
): void {
  const card = { ...owner.card, ...keys }
  const contents = { ...ownContents, additional: { ...additional, ...more } }
  const facts = factsOf(keyTarget('code', code, owner, ownershipMessage(card)))
  const slots = [slotsWith({ ...owner, sign: by }, facts)]
  refused(id, comment, slots, [facts], { keysets: [encodeKeyset(contents, owner.master, 'storage')] })
}
const { publicHalves } = ownContents.blockPair
apart(
  'keyset-sharing-apart',
  'a keyset whose sharing pair has the public halves of another',
  { sharing: { ...additional.sharing, publicHalves } },
  { sharing: publicHalves },
)
const strangeSigning = insidesOf(stranger, 'keyset').contents.additional!.cardSigning
apart(
  'keyset-card-apart',
  'a keyset whose card signing key has the public key of another, which has signed the slots',
  { cardSigning: { ...additional.cardSigning, publicKey: strangeSigning.publicKey } },
  { cardSigning: strangeSigning.publicKey },
  signedBy(strangeSigning),
)
const changedBy = { keysets: [stored], expect: 'key-changed' } as const
const cardWhole = [slotsWith(owner, cardFacts)]
refused('from-other', 'a card, with the card of another owner', cardWhole, [cardFacts], {
  ...{ ...changedBy, by: { kind: 'card', from: hex(stranger.card().bytes) } },
})
refused('from-own', 'a card, with the card itself as the owner', cardWhole, [cardFacts], {
  ...{ ...changedBy, by: { kind: 'card', from: hex(holder.card().bytes) } },
})
refused(
  'order-signature-from',
  'slots that another key has signed, and the card of another owner',
  [slotsResigned(cardWhole[0]!, unsigned)],
  [cardFacts],
  { ...withKeyset, by: { kind: 'card', from: hex(stranger.card().bytes) } },
)
refused('order-from-floor', 'the card of another owner, below the floor', cardWhole, [cardFacts], {
  ...{ keysets: [stored], expect: 'rollback', floor: `2-${'00'.repeat(16)}` },
  by: { kind: 'card', from: hex(stranger.card().bytes) },
})

// ── the expected keyset ─────────────────────────────────────────────────────────────────────────────────────────────────────
const [expected, strangerId] = [{ keysetId: hex(owner.id) }, { keysetId: hex(other.id) }]
good('id', 'the expected keyset', codeFacts, {}, expected)
good('id-card', 'the expected keyset, by a card', cardFacts, { by: byCard }, expected)
const unexpected = (
  id: string,
  comment: string,
  bytes: Uint8Array,
  facts: SlotFacts,
  more: Partial<SlotsVector> = {},
) =>
  add(
    id,
    comment,
    { slots: [bytes], keysets: [stored] },
    { listed: [listed(facts)], ...strangerId, expect: 'policy', ...more },
  )
unexpected('id-other', 'another keyset than the expected one', whole, codeFacts)
unexpected('id-other-card', 'the same, by a card', cardWhole[0]!, cardFacts, { by: byCard })
unexpected('id-bit', 'one bit of the expected id', whole, codeFacts, { keysetId: hex(flipped(owner.id, 15)) })
const unsignedOne = slotsResigned(whole, unsigned)
unexpected('order-signature-id', 'another keyset, and slots that another key has signed', unsignedOne, codeFacts, {
  expect: 'authentication-failed',
})
const unacceptedFacts = factsOf(keyTarget('code', code, owner, ownershipMessage(other.card)))
const unaccepted = slotsWith(owner, unacceptedFacts)
unexpected('order-recovery-id', 'another keyset, which the recovery key has not signed', unaccepted, unacceptedFacts, {
  expect: 'authentication-failed',
})
unexpected('order-from-id', 'another keyset, and the card of another owner', cardWhole[0]!, cardFacts, {
  by: { kind: 'card', from: hex(stranger.card().bytes) },
  expect: 'key-changed',
})
unexpected('order-floor-id', 'another keyset, below the floor', whole, codeFacts, {
  floor: `2-${'00'.repeat(16)}`,
  expect: 'rollback',
})
const noMac = resummed(flipped(stored, stored.length - 10))
unexpected('order-mac-id', 'another keyset, with a wrong mac', whole, codeFacts, {
  keyset: [hex(noMac)],
  expect: 'authentication-failed',
})

// ── a new master key ─────────────────────────────────────────────────────────────────────────────────────────────────
async function versionsOf(store: StateStore, name: string): Promise<Uint8Array[]> {
  const { version } = (await store.read(name))!
  const versions = Array.from({ length: version }, (_, i) => store.readVersion(name, i + 1))
  return (await Promise.all(versions)).filter((bytes) => bytes !== undefined)
}
const store = memoryStateStore()
await saveKeyset(store, keyset)
await addSlot(store, keyset, await deriveRecoveryKey({ code: CODE }), { label: 'Sheet' })
await addSlot(store, keyset, await deriveRecoveryKey({ parts: parts.slice(0, 3) }), { label: 'Family' })
const changed = await changeKeyset(store, keyset, (newest) =>
  newest.changePassword('another password', { newMaster: true, costs: CHEAP }),
)
const before = { slots: await versionsOf(store, 'slots'), keyset: await versionsOf(store, 'keyset') }
if (before.keyset.length !== 2) throw new Error('the version under the old master key is not there any more')
const list2 = await renewSlots(store, changed)
const after = { slots: await versionsOf(store, 'slots'), keyset: await versionsOf(store, 'keyset') }
const shownAll = list2.map(({ id, kind, label, created, needed, parts: n }) => ({
  ...{ id, kind, label, created: created.getTime() },
  ...(needed !== undefined && n !== undefined && { needed, parts: n }),
}))
const renewedSlot = (index: number, of: Keyset) => ({
  ...{ listed: shownAll, slot: shownAll[index]!.id, revision: of.revision },
  master: masterText(insidesOf(of, 'keyset').master),
})
add('renewed', 'renewed after a new master key', { slots: after.slots, keysets: after.keyset }, renewedSlot(0, changed))
add(
  'renewed-parts',
  'the same, by parts',
  { slots: after.slots, keysets: after.keyset, by: byParts },
  renewedSlot(1, changed),
)
add(
  'not-renewed',
  'not renewed: the version under the old master key',
  {
    ...{ slots: before.slots, keysets: before.keyset },
  },
  renewedSlot(0, keyset),
)
add(
  'not-renewed-dropped',
  'not renewed, and the version under the old master key was dropped',
  {
    ...{ slots: before.slots, keysets: before.keyset.slice(1) },
  },
  { listed: shownAll, expect: 'key-not-found' },
)
add(
  'not-renewed-floor',
  'not renewed, and the floor is the newest keyset',
  {
    ...{ slots: before.slots, keysets: before.keyset },
  },
  { listed: shownAll, floor: changed.revision, expect: 'rollback' },
)
add(
  'renewed-old-slots',
  'slots of before, put back behind the renewed ones',
  {
    ...{ slots: [after.slots.at(-1)!, before.slots.at(-1)!], keysets: after.keyset },
  },
  { listed: shownAll, expect: 'key-not-found' },
)
add(
  'renewed-floor',
  'renewed, and the floor is the keyset of before',
  {
    ...{ slots: after.slots, keysets: after.keyset },
  },
  { ...renewedSlot(0, changed), floor: keyset.revision },
)
append('slots.json', vectors)
