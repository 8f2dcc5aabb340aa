// The readers of a keyset's objects: exports, blocks, packs, records, cards, invites, and what a share's reader gets.
import {
  definitionSealed,
  Destination,
  hostPlain,
  hostSealed,
  shareKeys,
  storageSealed,
  storedKeyset,
} from '../../src/keyset/layout.ts'
import {
  type Card,
  encodeBlock,
  openPackMember,
  openWriter,
  parseBlock,
  parseCard,
  type SealedBlock,
  unlockKeyset,
} from '../../src/index.ts'
import { concat, domain, lengthPrefixed, u64, u8 } from '../../src/core/bytes.ts'
import { sign, SIGNATURE_BYTES } from '../../src/primitives/signature.ts'
import { fingerprintBytes, readCard, storedCard } from '../../src/core/card.ts'
import { decode, encode } from '../../src/core/codec.ts'
import { HEADER_BYTES, ObjectType } from '../../src/core/header.ts'
import { inviteTail } from '../../src/keyset/invite.ts'
import { sealedTo, sealSecret, wrapSecret } from '../../src/core/wrap.ts'
import { insidesOf } from '../../src/keyset/keyset.ts'
import { Recipient } from '../../src/core/key-pairs.ts'
import { encodeKeyset, encodeSections } from '../../src/keyset/exports.ts'
import { fillTrailer, macUnder } from '../../src/core/trailer.ts'
import { ALICE, anywhere, atStart, following, fieldAt, makeKeyset, PASSWORD, resummed, sample } from '../fixtures.ts'
import { createProfile, deriveLogin } from '../../src/vault.ts'
import { delegate } from '../../src/fleet.ts'
import { blockTarget, type Target } from './inputs.ts'

const to = await makeKeyset()
const whole = (await makeKeyset({ encryption: 'none' })).regenerate()
const { keyset: withShare, share } = whole.createShare()
const { keyset: keyset, share: straight } = withShare.createShare({ to: to.card() })
const { contents, master } = insidesOf(keyset, 'keyset')
const { additional } = contents
const DESTINATIONS = Object.keys(Destination) as Destination[]
const exported = DESTINATIONS.map((destination) => encodeKeyset(contents, master, destination))
const sections = DESTINATIONS.map((destination) => encodeSections(contents, destination))

const blocks = await Promise.all(
  (['hybrid', 'x25519', 'none'] as const).flatMap((encryption) =>
    (['scoped', 'global', 'off'] as const).map((dedup) =>
      openWriter(keyset.export('host'), { encryption, dedup }).seal(sample(40)),
    ),
  ),
)
const [block] = blocks as [SealedBlock]

/** Recomputes checksum and MAC of an export, as someone who knows the password could. */
function mendedExport(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(bytes)
  const destination = fieldAt(copy, 'destination')
  const code = copy.subarray(destination, destination + 1)
  fillTrailer(copy, (part) => macUnder(master, 'keyset-mac', [code], part))
  return copy
}

/** Builds an export around any bytes as its sealed section. */
function exportAround(section: Uint8Array, index: number): Uint8Array {
  const stored = decode(storedKeyset, exported[index]!, 'keyset')
  const code = u8(stored.destination)
  const place = { type: ObjectType.sealedSection, ownerId: contents.id, context: code }
  return mendedExport(encode(storedKeyset, { ...stored, sealed: wrapSecret(master, section, place) }))
}

const signingOf = (
  bytes: Uint8Array,
  purpose: string,
  seed: Parameters<typeof sign>[0],
  prefix = new Uint8Array(0),
) => {
  const signed = bytes.subarray(0, -SIGNATURE_BYTES)
  return concat(signed, sign(seed, concat(domain(purpose), prefix, signed)))
}

const card = keyset.card()
const signing = contents.sourceSigning.seed
const writer = openWriter(keyset.export('host'), { encryption: 'none' })
const { record } = await writer.sealRecord(sample(40), atStart)
const { record: second } = await writer.sealRecord(sample(40), following(record))

const invite = share.invite(to.card())
const reader = to.acceptShare(invite, card)
const straightInvite = straight.invite(to.card())
const shareSeeds = additional!.shares.map(({ publicHalves, privateHalves }) =>
  encode(shareKeys, { publicHalves, privateHalves }),
)
const from = readCard(card.bytes)
const recipient = readCard(to.card().bytes)

/** Recomputes both signatures of an invite. */
function mendedInvite(bytes: Uint8Array): Uint8Array {
  const signed = bytes.subarray(0, -2 * SIGNATURE_BYTES)
  const by = (key: string) => concat(domain(`sign/invite-${key}`), lengthPrefixed(fingerprintBytes(from)), signed)
  return concat(signed, sign(signing, by('source')), sign(additional!.cardSigning.seed, by('card')))
}

/** Builds an invite by the honest sharer around any bytes as its keys. */
function inviteAround(bytes: Uint8Array): Uint8Array {
  const id = invite.subarray(32, HEADER_BYTES)
  const names = [id, fingerprintBytes(from), fingerprintBytes(recipient)].map(lengthPrefixed)
  const { issuedAt } = decode(inviteTail, invite.subarray(-136), 'invite')
  const place = { type: ObjectType.invite, ownerId: id, context: concat(...names, u64(issuedAt)) }
  const sealed = sealSecret(new Recipient(recipient.sharing), bytes, place)
  return mendedInvite(concat(sealed, invite.subarray(-136)))
}

const shared = { ...block, envelope: share.add(block) }
const log = (await share.sealRecord(sample(40), atStart)).record
const { content: pack, members } = await writer.pack([sample(40), sample(20), sample(0)])
const globalPack = await openWriter(keyset.export('host'), { encryption: 'none', dedup: 'global' }).pack([
  sample(40),
  sample(20),
])

const login = await deriveLogin(PASSWORD, ALICE)
const until = new Date(Date.now() + 86_400_000)
const inviteToSelf = share.invite(card)
const cardUsers: readonly ((card: Card) => unknown)[] = [
  (given) => keyset.createShare({ to: given }).keyset.dispose(),
  (given) => share.invite(given),
  (given) => createProfile(login, { admin: given }).dispose(),
  (given) => delegate(keyset, given, { until }),
  (given) => to.acceptShare(inviteToSelf, given).dispose(),
]

/** Puts layouts of different types into one list. */
const any = (...layouts: readonly unknown[]): never[] => layouts as never[]

export const keysetTargets: readonly Target[] = [
  {
    name: 'keyset-export',
    seeds: exported.slice(0, 1),
    layouts: any(storedKeyset),
    mend: resummed,
    reads: [(bytes) => openWriter(bytes, { encryption: 'none' }).dispose()],
  },
  {
    name: 'keyset-host-plain',
    seeds: [sections[0]!.plain],
    layouts: any(hostPlain),
    around: (plain) => resummed(encode(storedKeyset, { ...decode(storedKeyset, exported[0]!, 'keyset'), plain })),
    reads: [(bytes) => openWriter(bytes, { encryption: 'none' }).dispose()],
  },
  {
    name: 'keyset-unlock',
    seeds: exported,
    layouts: any(storedKeyset),
    mend: mendedExport,
    reads: [async (bytes) => (await unlockKeyset(bytes, PASSWORD)).dispose()],
  },
  ...DESTINATIONS.map((destination, index) => ({
    name: `keyset-sealed-${destination}`,
    seeds: [sections[index]!.sealed],
    layouts: any([hostSealed, definitionSealed, storageSealed][index]),
    around: (section: Uint8Array) => exportAround(section, index),
    reads: [async (bytes: Uint8Array) => (await unlockKeyset(bytes, PASSWORD)).dispose()],
  })),
  ...blocks.map((each: SealedBlock, index): Target => {
    const target = blockTarget(`keyset-block-${index}`, keyset, each)
    const reads: Target['reads'] = [
      (envelope) => keyset.isCurrent(envelope),
      (envelope) => keyset.rekey({ label: each.label, envelope }),
      (envelope) => share.add({ label: each.label, envelope }),
    ]
    return { ...target, reads: [...target.reads, ...reads] }
  }),
  {
    name: 'pack',
    seeds: [pack, globalPack.content],
    reads: [...members, ...globalPack.members].map((member) => (bytes: Uint8Array) => openPackMember(bytes, member)),
  },
  {
    name: 'pack-member-name',
    seeds: [...members, ...globalPack.members].map((member) => new TextEncoder().encode(member)),
    reads: [(bytes) => openPackMember(pack, new TextDecoder().decode(bytes))],
  },
  {
    name: 'record',
    seeds: [record, second],
    mend: (bytes) => signingOf(bytes, 'sign/record', signing),
    reads: [
      (bytes) => keyset.openRecord(bytes, atStart),
      (bytes) => keyset.openRecord(bytes, following(record)),
      (bytes) => keyset.openRecord(second, following(bytes)),
      (bytes) => writer.sealRecord(sample(4), following(bytes)),
    ],
  },
  {
    name: 'card',
    seeds: [card.bytes],
    layouts: any(storedCard),
    mend: (bytes) => signingOf(bytes, 'sign/card', additional!.cardSigning.seed),
    reads: [(bytes) => parseCard(bytes)],
  },
  {
    // A card whose bytes were never parsed, with a fingerprint that another program wrote into it.
    name: 'card-object',
    seeds: [to.card().bytes],
    layouts: any(storedCard),
    mend: (bytes) => signingOf(bytes, 'sign/card', insidesOf(to, 'keyset').contents.additional!.cardSigning.seed),
    reads: cardUsers.map(
      (use) => (bytes: Uint8Array) =>
        use({ bytes: bytes as Uint8Array<ArrayBuffer>, fingerprint: to.card().fingerprint }),
    ),
  },
  {
    name: 'invite',
    seeds: [invite, straightInvite],
    layouts: any(sealedTo),
    mend: mendedInvite,
    reads: [(bytes) => to.acceptShare(bytes, card).dispose()],
  },
  {
    name: 'invite-keys',
    seeds: shareSeeds,
    layouts: any(shareKeys),
    around: inviteAround,
    reads: [(bytes) => to.acceptShare(bytes, card).dispose()],
  },
  {
    name: 'shared-block',
    seeds: [encodeBlock(shared)],
    reads: [(bytes) => reader.open(parseBlock(bytes, shared.label))],
  },
  {
    name: 'shared-record',
    seeds: [log],
    mend: (bytes) => signingOf(bytes, 'sign/record', signing),
    reads: [(bytes) => reader.openRecord(bytes, anywhere)],
  },
]
