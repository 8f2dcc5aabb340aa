// Adds the vectors of resets, of what a server checks, and of verifiers below to their files, unless they are there
// already. Run `npm run vectors`.
import { type Bytes, concat, u16, u32, u64, utf8 } from '../../src/core/bytes.ts'
import type { SlotKey } from '../../src/vault/keyring.ts'
import { HandoverBy } from '../../src/vault/layout.ts'
import { type ProfileContents } from '../../src/vault/profile-record.ts'
import { flipped, hex, patched, resummed } from '../fixtures.ts'
import { append } from './append.ts'
import {
  adminCard,
  adminSigning,
  AT,
  both,
  bySigner,
  CARD,
  cardOf,
  identity,
  keyOf,
  keyring,
  keyringResigned,
  NAMES,
  nextIdentity,
  otherAdmin,
  otherCard,
  otherRootKey,
  otherSigning,
  record,
  recoverable,
  recoverySlot,
  remacked,
  resigned,
  run,
  signs,
  slotVectors,
  stranger,
  unreduced,
  vaultId,
  vaultWith,
  withAdmin,
} from './make-profile.ts'
import type {
  CountsVector,
  FollowsVector,
  GuardVector,
  ResetVector,
  VerifierVector,
  VersionsVector,
} from './vectors.ts'

const { identity: byIdentity, card: byCard } = HandoverBy
const bare = record() // version 5, under zero trust
const full = record(withAdmin) // version 9
const bad = { expect: 'authentication-failed' } as const
const policy = { expect: 'policy' } as const
const conflict = { expect: 'conflict' } as const

// ── resets ───────────────────────────────────────────────────────────────────────────────────────────────────────────
const resets: ResetVector[] = []
function reset(id: string, comment: string, bytes: Uint8Array, more: Partial<ResetVector>): void {
  const place = { id, section: '9.2', comment, record: hex(bytes), ...NAMES, pinned: hex(identity.publicKey), floor: 0 }
  resets.push({ ...place, keys: [], recovery: [], expect: 'ok', ...more })
}
const resetOf = (keys: readonly SlotKey[]) => ({
  keys: slotVectors(keys),
  recovery: keys.map(({ generation }) => generation),
})
const withVaults = (...vaults: ProfileContents['vaults']) => record({ ...withAdmin, vaults })
const vault2 = run(0xb2, 16)
reset('pinned', 'of the identity that the admin has pinned', full, resetOf(both))
reset('unpinned', 'no pin', full, { pinned: '', ...resetOf(both) })
reset('no-vaults', 'no vaults', withVaults(), {})
reset('user-capitals', 'the user in capitals', full, { user: 'USER@Example.COM', ...resetOf(both) })
const dueKeys = [keyOf(3, true), keyOf(4)]
reset('due', 'an E-key that is due stays so', withVaults(recoverable(dueKeys)), resetOf(dueKeys))
const spare = { ...recoverable(both), keys: [keyOf(4)] }
reset('spare-slot', 'a recovery slot that no slot needs is dropped', withVaults(spare), resetOf([keyOf(4)]))
const second = vaultWith([keyOf(7)], {
  id: vault2,
  recoverySlots: [recoverySlot(keyOf(7), undefined, undefined, vault2)],
})
reset('two-vaults', 'two vaults', withVaults(recoverable(both), second), resetOf([...both, keyOf(7)]))
const again = record({ ...withAdmin, identityDue: true })
reset('identity-due', 'another reset before the password was changed', again, resetOf(both))
reset('mac', 'a wrong mac: the admin cannot check it', resummed(flipped(full, full.length - 10)), resetOf(both))
const noSlots = resigned(patched(full, AT.slot + CARD + 5, run(0, 144)))
reset('slot', 'a slot that does not open: the admin cannot check it', noSlots, resetOf(both))
const renamed = record({ ...withAdmin, admin: cardOf(run(0xdd, 16)) })
reset('card-owner-id', 'the card of the admin with another owner id: the same fingerprint', renamed, resetOf(both))
reset('floor', 'the version of the floor', full, { floor: 9, ...resetOf(both) })
const toOther = record({ ...withAdmin, admin: otherCard })
const unsigned = remacked(flipped(full, full.length - 100))
reset('checksum', 'one bit, by accident', flipped(full, 100), { expect: 'malformed' })
reset('flag-2', 'flag 2', resigned(patched(full, 15, [2])), { expect: 'unsupported' })
reset('signature', 'one bit of the signature', unsigned, bad)
reset('rollback', 'one below the floor', full, { floor: 10, expect: 'rollback' })
reset('other-identity', 'another identity than the pinned one', full, {
  ...{ pinned: hex(stranger.publicKey), expect: 'key-changed' },
})
reset('zero-trust', 'under zero trust', bare, policy)
reset('other-admin', 'the card of another admin', toOther, { expect: 'key-not-found' })
reset('card', 'a card whose signature does not hold', resigned(flipped(full, AT.recovery + 1 + 100)), bad)
reset('card-type', 'type 13 in the card', resigned(patched(full, AT.recovery + 1 + 5, [13])), bad)
reset('last-version', 'no version is left', record({ ...withAdmin, version: 2 ** 53 - 1 }), {
  expect: 'limit-exceeded',
})
const missing = { ...recoverable([keyOf(4)]), keys: both }
reset('no-recovery-slot', 'a slot without a recovery slot', withVaults(missing), { expect: 'key-not-found' })
const sealedTo = (...args: Parameters<typeof recoverySlot>) =>
  withVaults(vaultWith([keyOf(3)], { recoverySlots: [recoverySlot(...args)] }))
reset('recovery-other-admin', 'a recovery slot to another card', sealedTo(keyOf(3), otherAdmin), {
  expect: 'key-not-found',
})
reset('recovery-other-user', 'a recovery slot of another user', sealedTo(keyOf(3), undefined, 'other@example.com'), bad)
reset('recovery-other-vault', 'a recovery slot of another vault', sealedTo(keyOf(3), undefined, undefined, vault2), bad)
reset('other-user', 'reset for another user', full, { user: 'other@example.com', ...bad })
reset('other-realm', 'reset for another realm', full, { realm: 'com.example.other', ...bad })
reset('profile-id', 'another profile id', resigned(flipped(full, 40)), bad)
const sealAt = AT.slot + CARD + 2 * 149 + 2 + 4
reset('recovery-suite', 'suite 0x0401 in a recovery slot', resigned(patched(full, sealAt + 6, [4, 1])), {
  expect: 'unsupported',
})
reset('recovery-magic', 'a recovery slot without a magic', resigned(flipped(full, sealAt)), { expect: 'malformed' })
reset('recovery-text', 'one bit of a recovery slot', resigned(flipped(full, sealAt + 1690)), bad)
reset(
  'recovery-generation',
  'another generation of both slots',
  resigned(patched(patched(full, AT.slot + CARD, u32(2)), sealAt - 4, u32(2))),
  bad,
)
reset('order-signature-floor', 'a wrong signature, below the floor', unsigned, { floor: 10, ...bad })
reset('order-floor-pin', 'below the floor, and another identity', full, {
  ...{ floor: 10, pinned: hex(stranger.publicKey), expect: 'rollback' },
})
reset('order-pin-zero-trust', 'another identity, and zero trust', bare, {
  ...{ pinned: hex(stranger.publicKey), expect: 'key-changed' },
})
reset('order-pin-card', 'another identity, and a broken card', resigned(flipped(full, AT.recovery + 1 + 100)), {
  ...{ pinned: hex(stranger.publicKey), expect: 'key-changed' },
})
reset(
  'order-card-slot',
  'a broken card, and a slot without a recovery slot',
  resigned(flipped(withVaults(missing), AT.recovery + 1 + 100)),
  bad,
)
const broken = resigned(flipped(withVaults(recoverable(both), { ...second, recoverySlots: [] }), sealAt + 1690))
reset('order-vaults', 'a recovery slot that does not open, and in the next vault none', broken, bad)
append('reset.json', resets)

// ── records that follow ──────────────────────────────────────────────────────────────────────────────────────────────
const allFollows: FollowsVector[] = []
const follows = (id: string, comment: string, stored: Bytes, next: Bytes, more: Partial<FollowsVector> = {}) => {
  allFollows.push({ id, section: '9.3', comment, stored: hex(stored), next: hex(next), expect: 'ok', ...more })
}
/** The next record behind `stored`, which is `bare` unless it is told. */
type Next = Partial<ProfileContents>
const six = (contents: Next = {}, ...more: [ReturnType<typeof bySigner>?, typeof otherRootKey?]) =>
  record({ version: 6, ...contents }, ...more)
const ten = (contents: Next = {}, ...more: [ReturnType<typeof bySigner>?, typeof otherRootKey?]) =>
  record({ ...withAdmin, version: 10, ...contents }, ...more)
const replaced = { identity: nextIdentity }
const own = (stored: Bytes) => bySigner(stored, byIdentity, identity)
const reseter = (stored: Bytes) => bySigner(stored, byCard, adminSigning)

follows('same-identity', 'the same identity', bare, six())
follows('new-password', 'under another root key', bare, six({}, undefined, otherRootKey))
follows(
  'first-vault',
  'a vault more',
  bare,
  six({ vaults: [...[vaultWith([keyOf(1)])], second].map((each) => ({ ...each, recoverySlots: [] })) }),
)
follows('by-identity', 'another identity, handed over by the stored one', bare, six(replaced, own(bare)))
follows('by-identity-admin', 'the same, with an admin', full, ten(replaced, own(full)))
follows('by-card', 'reset by the admin', full, ten({ ...replaced, identityDue: true }, reseter(full), otherRootKey))
const nobody = { admin: undefined, vaults: [vaultWith(both)] }
follows('zero-trust-on', 'the admin is no admin any more', full, ten({ ...nobody, ...replaced }, own(full)))
follows(
  'zero-trust-by-card',
  'a reset that leaves nobody: the admin may',
  full,
  ten({ ...nobody, ...replaced }, reseter(full)),
)
const toAnother = { admin: otherCard, vaults: [vaultWith(both)] }
follows('other-admin', 'another admin', full, ten({ ...toAnother, ...replaced }, own(full)))
follows('other-admin-same-identity', 'another admin, and the same identity', full, ten(toAnother))
const lastButOne = record({ version: 2 ** 53 - 2 })
follows('last-version', 'the last version', lastButOne, record({ version: 2 ** 53 - 1 }))
follows(
  'mac',
  'wrong macs: a server cannot check them',
  resummed(flipped(bare, bare.length - 10)),
  resummed(flipped(six(), bare.length - 10)),
)
follows('other-id', 'another profile', bare, six({ id: run(0xa2, 16) }), policy)
follows('version-same', 'the same version', bare, record({ version: 5 }), conflict)
follows('version-less', 'a version less', bare, record({ version: 4 }), conflict)
follows('version-skipped', 'a version too far', bare, record({ version: 7 }), conflict)
follows('zero-trust-off', 'an admin behind zero trust', bare, ten({ version: 6 }), policy)
follows(
  'zero-trust-off-handover',
  'the same, handed over by the identity',
  bare,
  ten({ version: 6, ...replaced }, own(bare)),
  policy,
)
follows('no-handover', 'another identity, and no handover', bare, six(replaced), policy)
follows('no-handover-admin', 'the same, with an admin', full, ten(replaced), policy)
follows('same-identity-handover', 'the same identity, handed over by itself', bare, six({}, own(bare)), policy)
follows('same-identity-card', 'the same identity, handed over by the card', full, ten({}, reseter(full)), policy)
follows('card-unknown', 'by a card, where the stored record has none', bare, six(replaced, reseter(bare)), policy)
follows(
  'card-own',
  'by the card of an admin who is in the next record alone',
  full,
  ten({ ...toAnother, ...replaced }, bySigner(full, byCard, otherSigning)),
  bad,
)
follows(
  'by-new-identity',
  'handed over by the new identity',
  bare,
  six(replaced, bySigner(bare, byIdentity, nextIdentity)),
  bad,
)
follows('by-stranger', 'handed over by somebody else', bare, six(replaced, bySigner(bare, byIdentity, stranger)), bad)
follows('card-stranger', 'by another card signing key', full, ten(replaced, bySigner(full, byCard, stranger)), bad)
follows(
  'identity-as-card',
  'the identity has signed, and it says the card',
  full,
  ten(replaced, bySigner(full, byCard, identity)),
  bad,
)
follows(
  'card-as-identity',
  'the card has signed, and it says the identity',
  full,
  ten(replaced, bySigner(full, byIdentity, adminSigning)),
  bad,
)
const sibling = record({ vaults: [] })
follows('other-record', 'handed over behind another record of that version', bare, six(replaced, own(sibling)), bad)
follows(
  'other-checksum',
  'handed over behind a record with another mac',
  bare,
  six(replaced, own(resummed(flipped(bare, bare.length - 10)))),
  bad,
)
const handedOver = six(replaced, own(bare))
const bySelf = signs(nextIdentity)
follows(
  'changed-behind',
  'a record that was changed behind its handover',
  bare,
  resigned(patched(handedOver, 15, [1]), bySelf),
  bad,
)
follows(
  'changed-before',
  'its first vault was renamed behind its handover',
  bare,
  resigned(flipped(handedOver, AT.vault), bySelf),
  bad,
)
const handoverAt = handedOver.length - 136 - 64
follows(
  'kind-changed',
  'the card has signed that it is the identity, and then it says the card',
  full,
  resigned(patched(ten(replaced, bySigner(full, byIdentity, adminSigning)), full.length - 137, [2]), bySelf),
  bad,
)
follows('handover-bit', 'one bit of the handover', bare, resigned(flipped(handedOver, handoverAt + 40), bySelf), bad)
follows(
  'handover-none',
  'a handover of zeros',
  bare,
  resigned(patched(handedOver, handoverAt, run(0, 64)), bySelf),
  bad,
)
const signature = handedOver.subarray(handoverAt, handoverAt + 64)
follows(
  'handover-unreduced',
  'S + L for S',
  bare,
  resigned(patched(handedOver, handoverAt, unreduced(signature)), bySelf),
  bad,
)
// The stored record's card is not as §7 says.
const cardAt = AT.recovery + 1
const behindCard = (stored: Bytes) => ten(replaced, reseter(stored))
const brokenCard = resigned(flipped(full, cardAt + 100))
follows('card-broken', 'a card whose signature does not hold', brokenCard, behindCard(brokenCard), bad)
const wrongCard = resigned(patched(full, cardAt + 5, [13]))
follows('card-type', 'type 13 in the card', wrongCard, behindCard(wrongCard), bad)
follows(
  'card-broken-identity',
  'the same card, and a handover by the identity',
  brokenCard,
  ten(replaced, own(brokenCard)),
)
const weak = new Uint8Array([1, ...run(0, 31)]) // the neutral element, under which R = itself and S = 0 is a signature
const weakCard = patched(patched(adminCard, 48 + 32 + 1568, weak), 1712, [1, ...run(0, 63)])
const behindWeak = resigned(patched(full, cardAt, weakCard))
const anybody = { record: behindWeak, by: byCard, sign: () => new Uint8Array([1, ...run(0, 63)]) }
follows('card-small-order', 'a card signing key under which anybody signs', behindWeak, ten(replaced, anybody), bad)
// Two faults.
follows(
  'order-id-version',
  'another profile, and a version too far',
  bare,
  record({ id: run(0xa2, 16), version: 7 }),
  policy,
)
follows(
  'order-version-zero-trust',
  'a version too far, and an admin behind zero trust',
  bare,
  ten({ version: 7 }),
  conflict,
)
follows(
  'order-version-identity',
  'a version too far, and no handover',
  bare,
  record({ version: 7, ...replaced }),
  conflict,
)
follows(
  'order-version-handover',
  'a version too far, and a handover that does not hold',
  bare,
  record({ version: 7, ...replaced }, bySigner(bare, byIdentity, stranger)),
  conflict,
)
follows(
  'order-zero-trust-handover',
  'an admin behind zero trust, and a handover that does not hold',
  bare,
  ten({ version: 6, ...replaced }, bySigner(bare, byIdentity, stranger)),
  policy,
)
follows(
  'order-same-identity',
  'the same identity, and a handover that does not hold',
  bare,
  six({}, bySigner(bare, byIdentity, stranger)),
  policy,
)
follows(
  'order-card-unknown',
  'a handover by no card that is there, which does not hold',
  bare,
  six(replaced, bySigner(bare, byCard, stranger)),
  policy,
)
append('follows.json', allFollows)

// ── the record that counts ───────────────────────────────────────────────────────────────────────────────────────────
const allCounts: CountsVector[] = []
const counts = (
  id: string,
  comment: string,
  versions: Uint8Array[],
  counting: number,
  more: Partial<CountsVector> = {},
) =>
  allCounts.push({
    ...{ id, section: '9.4', comment, first: 1, versions: versions.map(hex), counts: counting, expect: 'ok', ...more },
  })
const seven = record({ version: 7 })
const eight = record({ version: 8 })
const [v5, v6, v7, v8] = [bare, six(), seven, eight]
/** Damaged by accident. */
const damaged = (bytes: Bytes) => flipped(bytes, 100)
/** Signed by nobody. */
const forged = (bytes: Bytes) => remacked(flipped(bytes, bytes.length - 100))
/** May not follow anything: another identity, and no handover. */
const alien = (version: number) => record({ version, identity: stranger })
const later = (bytes: Bytes) => resigned(patched(bytes, 15, [2]))
const malformed = { expect: 'malformed' } as const
const unsupported = { expect: 'unsupported' } as const
counts('none', 'no version at all', [], 0, { expect: 'missing' })
counts('one', 'one record', [v5], 1)
counts('two', 'one behind the other', [v5, v6], 2)
counts('three', 'three, of which a server would have dropped one', [v5, v6, v7], 3)
counts('first-dropped', 'the versions below were dropped', [v5, v6], 9, { first: 8 })
counts('one-left', 'all below were dropped', [v6], 8, { first: 8 })
counts('handed-over', 'by an identity', [v5, six(replaced, own(bare))], 2)
counts('reset', 'by a card', [full, ten(replaced, reseter(full))], 2)
counts('damaged', 'the newest is damaged', [v5, damaged(v6)], 1)
counts('empty', 'the newest is empty', [v5, new Uint8Array(0)], 1)
counts('too-many-vaults', 'the newest is beyond a limit', [v5, resigned(patched(v6, AT.vaults, u16(257)))], 1)
counts('forged', 'nobody has signed the newest', [v5, forged(v6)], 1)
counts('damaged-twice', 'the two newest are damaged', [v5, damaged(v6), forged(v7)], 1)
counts('damaged-one', 'the only one is damaged', [damaged(v5)], 0, malformed)
counts('forged-one', 'nobody has signed the only one', [forged(v5)], 0, bad)
counts('all-damaged', 'all are damaged: the error of the lowest', [forged(v5), damaged(v6)], 0, bad)
counts('all-damaged-dropped', 'the same, below dropped ones', [damaged(v5), forged(v6)], 0, { first: 4, ...malformed })
counts('alien', 'the newest may not follow', [v5, alien(6)], 1)
counts('version-twice', 'the newest has the version of the one below', [v5, record()], 1)
counts('alien-id', 'the newest is another profile', [v5, six({ id: run(0xa2, 16) })], 1)
counts('bad-handover', 'a handover that does not hold', [v5, six(replaced, bySigner(bare, byIdentity, stranger))], 1)
counts('over-damage', 'written behind a damaged one', [v5, damaged(v6), v6], 3)
counts('over-forgery', 'written behind one that nobody has signed', [v5, forged(v6), v6], 3)
counts('over-alien', 'written behind one that may not follow', [v5, alien(6), v6], 3)
counts('over-two', 'written behind two that do not count', [v5, damaged(v6), alien(6), v6], 4)
counts('alien-over-damage', 'behind a damaged one, and may not follow the one below', [v5, damaged(v6), alien(6)], 1)
counts('skipped-over-damage', 'behind a damaged one, and follows that one', [v5, damaged(v6), v7], 1)
counts('damage-below', 'nothing but damage below', [damaged(v5), v6], 2)
counts('damage-below-alien', 'nothing but damage below, whatever it is', [damaged(v5), damaged(v6), alien(9)], 3)
const alienNext = record({ version: 7, identity: stranger })
counts('behind-alien', 'follows one that may not follow: only the one below is looked at', [v5, alien(6), alienNext], 3)
counts('neither', 'follows neither the one below nor the one that counts', [v5, alien(6), v8], 1)
counts('neither-twice', 'two that may not follow', [v5, v6, alien(7), record({ version: 7, id: run(0xa2, 16) })], 2)
counts('counts-below', 'follows the one that counts of the versions below', [v5, v6, alien(9), v7], 4)
counts('unsupported', 'the newest belongs to a later version of this document', [v5, later(v6)], 0, unsupported)
counts('unsupported-one', 'the only one does', [later(v5)], 0, unsupported)
counts('unsupported-below', 'the one below does', [later(v5), v6], 0, unsupported)
counts('unsupported-below-damage', 'the one below a damaged one does', [later(v5), damaged(v6)], 0, unsupported)
counts('unsupported-deep', 'one that need not be looked at does', [later(v5), v6, v7], 3)
counts('unsupported-deep-alien', 'one that has to be looked at does', [later(v5), v6, alien(7)], 0, unsupported)
counts(
  'unsupported-over-damage',
  'one below a damaged one, below one that is right',
  [later(v5), damaged(v6), v7],
  0,
  unsupported,
)
counts('card-type', 'handed over by a card that is no card', [wrongCard, behindCard(wrongCard)], 1)
append('counts.json', allCounts)

// ── what a server takes ──────────────────────────────────────────────────────────────────────────────────────────────
const guards: GuardVector[] = []
const versions = (...bytes: Uint8Array[]): VersionsVector => ({ first: 1, versions: bytes.map(hex) })
const verifierText = '$2b$10$abcdefghijklmnopqrstuu'.padEnd(60, '.')
const verifierOf = (version: number) => concat(u64(version), utf8(verifierText))
function take(id: string, comment: string, stored: VersionsVector, next: Bytes, more: Partial<GuardVector> = {}): void {
  const place = { id, section: '9.3', comment, name: 'profile', next: hex(next), records: stored, verifier: null }
  guards.push({ ...place, keyrings: versions(), expect: 'ok', ...more })
}
const withVerifier = (version: number) => ({ verifier: hex(verifierOf(version)) })
const underOther = six({}, undefined, otherRootKey)
take('next', 'the next record, under the same password', versions(v5), v6)
take('next-dropped', 'the same, with the versions below dropped', { first: 3, versions: [hex(v5)] }, v6)
take('new-password', 'under another password, with its verifier', versions(v5), underOther, withVerifier(6))
take('verifier-later', 'with a verifier that was raised already', versions(v5), underOther, withVerifier(7))
take('verifier-earlier', 'with the verifier of an earlier record', versions(v5), underOther, {
  ...{ ...withVerifier(5), ...policy },
})
take('no-verifier', 'under another password, without its verifier', versions(v5), underOther, policy)
take('empty-verifier', 'under another password, whose verifier was cleared', versions(v5), underOther, {
  ...{ verifier: '', ...policy },
})
take('first', 'the first record', versions(), record({ version: 1 }), withVerifier(1))
take('first-any-version', 'a first record of any version', versions(), bare, withVerifier(5))
take('first-handover', 'a first record with a handover', versions(), handedOver, withVerifier(6))
take('first-no-verifier', 'a first record without its verifier', versions(), record({ version: 1 }), policy)
take('first-earlier', 'a first record with the verifier of an earlier one', versions(), bare, {
  ...{ ...withVerifier(4), ...policy },
})
take(
  'reset',
  'reset by the admin',
  versions(full),
  ten({ ...replaced, identityDue: true }, reseter(full), otherRootKey),
  {
    ...withVerifier(10),
  },
)
take('damaged', 'damaged on the way', versions(v5), damaged(v6), malformed)
take('unsupported', 'of a later version of this document', versions(v5), later(v6), unsupported)
take('forged', 'signed by nobody', versions(v5), forged(v6), bad)
take('other-id', 'another profile', versions(v5), six({ id: run(0xa2, 16) }), policy)
take('skipped', 'a version too far', versions(v5), seven, conflict)
take('alien', 'another identity', versions(v5), alien(6), policy)
take(
  'bad-handover',
  'a handover that does not hold',
  versions(v5),
  six(replaced, bySigner(bare, byIdentity, stranger)),
  bad,
)
take('over-damage', 'behind a damaged one', versions(v5, damaged(v6)), v6)
take('over-alien', 'behind one that does not count', versions(v5, alien(6)), v6)
take('all-damaged', 'behind nothing but damage', versions(damaged(v5)), v6, malformed)
take('stored-unsupported', 'behind one of a later version of this document', versions(later(v5)), v6, unsupported)
take('order-forged-version', 'signed by nobody, and a version too far', versions(v5), forged(seven), bad)
take(
  'order-follows-verifier',
  'a handover that does not hold, and no verifier',
  versions(v5),
  six(replaced, bySigner(bare, byIdentity, stranger), otherRootKey),
  bad,
)
take(
  'order-version-verifier',
  'a version too far, and no verifier',
  versions(v5),
  record({ version: 7 }, undefined, otherRootKey),
  conflict,
)

const ringName = `keyring/${hex(vaultId)}`
function ring(id: string, comment: string, stored: VersionsVector, next: Bytes, more: Partial<GuardVector> = {}): void {
  take(`keyring-${id}`, comment, versions(bare), next, { name: ringName, keyrings: stored, ...more })
}
const refused = { expect: 'refused' } as const
const one = (version: number, by = identity) => keyring(version, [keyOf(1)], by)
const two = (version: number, by = identity) => keyring(version, both, by)
// The identity was replaced: `former` signs no keyrings any more.
const renewed = { records: versions(bare, six(replaced, own(bare))) }
ring('first', 'the first keyring', versions(), one(1))
ring('first-any-version', 'the first keyring, of any version', versions(), one(8))
ring('next', 'the next keyring', versions(one(4)), two(5))
ring('next-dropped', 'the same, with the versions below dropped', { first: 6, versions: [hex(one(4))] }, two(5))
ring('new-identity', 'signed by the new identity', versions(one(4)), two(5, nextIdentity), renewed)
ring('former-identity', 'signed by the identity before it', versions(one(4)), two(5), { ...renewed, ...refused })
const twice = { records: versions(bare, six(replaced, own(bare)), record({ version: 7, identity: nextIdentity })) }
ring('older-identity', 'signed by an identity that was replaced before', versions(one(4)), two(5), {
  ...twice,
  ...policy,
})
ring('stranger', 'signed by somebody else', versions(one(4)), two(5, stranger), policy)
ring(
  'unsigned',
  'signed by nobody',
  versions(one(4)),
  keyringResigned(two(5), () => run(0, 64)),
  policy,
)
ring(
  'unreduced',
  'S + L for S',
  versions(one(4)),
  keyringResigned(two(5), (m) => unreduced(signs(identity)(m))),
  policy,
)
ring('mac', 'a wrong mac: a server cannot check it', versions(one(4)), flipped(two(5), two(5).length - 1))
ring('other-vault', 'the keyring of another vault', versions(one(4)), keyring(5, both, identity, vault2), policy)
ring('same-version', 'the version of the stored one', versions(one(4)), two(4), conflict)
ring('less', 'a version less', versions(one(4)), two(3), conflict)
ring('skipped', 'a version too far', versions(one(4)), two(6), conflict)
ring('cut', 'a byte short', versions(one(4)), two(5).subarray(0, -1), malformed)
ring(
  'no-wraps',
  'no wrap',
  versions(one(4)),
  keyringResigned(concat(one(5).subarray(0, 56), u16(0), one(5).subarray(-128))),
  malformed,
)
ring(
  'unsupported',
  'generation 2 of the header',
  versions(one(4)),
  keyringResigned(patched(two(5), 8, u32(2))),
  unsupported,
)
ring('no-profile', 'no profile', versions(), one(1), { records: versions(), expect: 'missing' })
ring('profile-damaged', 'a profile that is damaged', versions(), one(1), {
  records: versions(damaged(v5)),
  ...malformed,
})
const cut = one(5).subarray(0, -1)
ring('over-damage', 'behind a damaged one, below which is version 4', versions(one(4), cut), two(5))
ring('over-damage-skipped', 'behind a damaged one, and follows that one', versions(one(4), cut), two(6), conflict)
ring('over-two', 'behind two damaged ones: no third is looked at', versions(one(4), cut, cut), two(5), malformed)
ring('all-damaged', 'behind nothing but damage', versions(cut), two(5), malformed)
const laterRing = keyringResigned(patched(one(4), 8, u32(2)))
ring(
  'stored-unsupported',
  'behind one of a later version of this document',
  versions(one(3), laterRing),
  two(5),
  unsupported,
)
ring('profile-newest-damaged', 'the newest record is damaged, and the one below counts', versions(one(4)), two(5), {
  ...{ records: versions(bare, damaged(v6)) },
})
ring(
  'former-below-damage',
  'signed by the identity below the one that counts, under a damaged one',
  versions(one(4)),
  two(5),
  {
    ...{ records: versions(bare, six(replaced, own(bare)), damaged(v7)), ...policy },
  },
)
ring(
  'below-forged',
  'signed by the identity of a record below, which nobody has signed',
  versions(one(4)),
  two(5, stranger),
  {
    ...{ records: versions(forged(record({ identity: stranger })), v6), ...policy },
  },
)
ring(
  'order-vault-stranger',
  'another vault, and a version too far',
  versions(one(4)),
  keyring(6, both, identity, vault2),
  policy,
)
ring('order-vault-profile', 'another vault, and no profile', versions(), keyring(1, both, identity, vault2), {
  ...{ records: versions(), ...policy },
})
ring(
  'order-stranger-version',
  'signed by somebody else, and a version too far',
  versions(one(4)),
  two(6, stranger),
  policy,
)
ring('order-former-version', 'signed by the identity before, and a version too far', versions(one(4)), two(6), {
  ...{ ...renewed, ...refused },
})
append('guard.json', guards)

// ── verifiers ────────────────────────────────────────────────────────────────────────────────────────────────────────
const verifiers: VerifierVector[] = []
// L is 24 bytes of 0x11. The hashes are from test/reference.py, which has the bcrypt of the C library.
const credential = 'ERERERERERERERERERERERERERERERER'
const KNOWN = {
  cost10: '$2b$10$abcdefghijklmnopqrstuum5ZLPrTk9DnQpVd3qbj1Nzp1iqzQ3Wa',
  cost12: '$2b$12$abcdefghijklmnopqrstuuIo5sK6DIzfE6gzb4vsHl6p7vf5EE1g6',
  a: '$2a$10$abcdefghijklmnopqrstuum5ZLPrTk9DnQpVd3qbj1Nzp1iqzQ3Wa',
  longer: '$2b$10$abcdefghijklmnopqrstuuvezAgAXFVfJMoRM.3dtbitTtvlrf5Eu',
  otherText: '$2b$10$abcdefghijklmnopqrstuu16dyn5Z6OFVN/3jW3sYUmjA5HVqGZK2',
} as const
function verifier(id: string, comment: string, object: Uint8Array, more: Partial<VerifierVector> = {}): void {
  const place = { id, section: '8.2', comment, object: hex(object), credential, matches: true }
  verifiers.push({ ...place, expect: 'ok', ...more })
}
const kept = (text: string, version = 5) => concat(u64(version), utf8(text))
const no = { matches: false }
verifier('cost-10', 'cost 10', kept(KNOWN.cost10))
verifier('cost-12', 'cost 12', kept(KNOWN.cost12))
verifier('last-version', 'of the last version', kept(KNOWN.cost10, 2 ** 53 - 1))
verifier('other', 'another credential', kept(KNOWN.cost10), { credential: 'EhISEhISEhISEhISEhISEhISEhISEhIS', ...no })
verifier('hash', 'one bit of the hash', kept(`${KNOWN.cost10.slice(0, -1)}e`), no)
verifier('other-text', 'bcrypt of the credential itself', kept(KNOWN.otherText), no)
for (const [id, comment, given] of [
  ['empty-credential', 'no credential', ''],
  ['short-credential', '31 characters', credential.slice(1)],
  ['long-credential', '33 characters', `${credential}E`],
  ['padded-credential', 'padding', `${credential}=`],
  ['spaced-credential', 'a space', `${credential.slice(1)} `],
  ['base64-credential', 'standard base64 in the place of base64url', `${credential.slice(1)}+`],
] as const)
  verifier(id, `${comment}: not a credential`, kept(KNOWN.cost10), { credential: given, ...no })
verifier('25-bytes', 'the base64url of 25 bytes, under their verifier: not a credential', kept(KNOWN.longer), {
  ...{ credential: 'EREREREREREREREREREREREREREREREREQ', ...no },
})
verifier('cleared', 'an empty object', new Uint8Array(0), no)
const damage = { ...no, expect: 'malformed' } as const
verifier('short', 'a byte short', kept(KNOWN.cost10).subarray(0, -1), damage)
verifier('long', 'a byte long', concat(kept(KNOWN.cost10), run(0x2e, 1)), damage)
verifier('version-zero', 'version 0', kept(KNOWN.cost10, 0), damage)
verifier('version-huge', 'version 2⁵³', kept(KNOWN.cost10, 2 ** 53), damage)
verifier('prefix', 'the prefix $2a$', kept(KNOWN.a), damage)
verifier('characters', 'a character that bcrypt does not have', kept(`${KNOWN.cost10.slice(0, -1)}+`), damage)
const limit = { ...no, expect: 'limit-exceeded' } as const
verifier('cost-9', 'cost 9', kept(KNOWN.cost10.replace('$10$', '$09$')), limit)
verifier('cost-16', 'cost 16', kept(KNOWN.cost10.replace('$10$', '$16$')), limit)
append('verifier.json', verifiers)
