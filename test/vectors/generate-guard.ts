// Adds the vectors of resets, of what a server checks, and of verifiers below to their files, unless they are there
// already. Run `npm run vectors`.
import { type Bytes, concat, domain, lengthPrefixed, u16, u32, u64, utf8 } from '../../src/core/bytes.ts'
import { recipientOf } from '../../src/core/recovery-holder.ts'
import type { SlotKey } from '../../src/vault/keyring.ts'
import { HandoverBy, NOBODY_RESETS } from '../../src/vault/layout.ts'
import type { HandoverSigner, ProfileContents } from '../../src/vault/profile-record.ts'
import { flipped, hex, patched, resummed, unhex } from '../fixtures.ts'
import { append } from './append.ts'
import { unreduced } from './make-by-hand.ts'
import {
  adminCard,
  adminSigning,
  AT,
  both,
  adminSource,
  adoptedAdmin,
  adoptedCard,
  behind,
  handedBy,
  RING,
  CARD,
  cardOf,
  handedByKey,
  identity,
  KEY,
  KEY_AT,
  keyOf,
  keyRecovery,
  keyring,
  keyringResigned,
  NAMES,
  nextIdentity,
  otherAdmin,
  otherCard,
  otherRecoveryKey,
  otherRootKey,
  otherSigning,
  profileId,
  record,
  RECOVERY_CODE,
  recoverable,
  recoveryKey,
  recoverySlot,
  remacked,
  resigned,
  run,
  sealedToKey,
  signs,
  slotVectors,
  stranger,
  unsignedKey,
  vaultId,
  vaultWith,
  withAdmin,
  withKey,
} from './make-profile.ts'
import {
  ownedRecordVectors,
  recordVectors,
  type CountsVector,
  type FollowsVector,
  type GuardVector,
  type ResetVector,
  type VerifierVector,
  type VersionsVector,
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
  const place = {
    id,
    section: '13.2',
    comment,
    record: hex(bytes),
    ...NAMES,
    pinned: hex(identity.publicKey),
    floor: 0,
  }
  resets.push({ ...place, keys: [], recovery: [], expect: 'ok', ...more })
}
const resetOf = (keys: readonly SlotKey[]) => ({
  keys: slotVectors(keys),
  recovery: keys.map(({ generation }) => generation),
})
const withVaults = (...vaults: ProfileContents['vaults']) => record({ ...withAdmin, vaults })
const sealedBoth = (to: typeof otherAdmin) =>
  vaultWith(both, { recoverySlots: both.map((key) => recoverySlot(key, to)) })
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
const renamed = record({ ...withAdmin, recovery: { kind: 'card', value: cardOf(run(0xdd, 16)) } })
reset('card-owner-id', 'the card of the admin with another owner id: the same fingerprint', renamed, resetOf(both))
const adopted = record({
  ...withAdmin,
  recovery: { kind: 'card', value: adoptedCard },
  vaults: [sealedBoth(adoptedAdmin)],
})
reset('adopted-card', 'the card of a source that the admin has adopted', adopted, resetOf(both))
const adoptedOwn = record({ ...withAdmin, recovery: { kind: 'card', value: adoptedCard } })
reset('adopted-card-own-slots', 'the same, with recovery slots to the own card', adoptedOwn, resetOf(both))
const ownAdopted = record({ ...withAdmin, vaults: [sealedBoth(adoptedAdmin)] })
reset('own-card-adopted-slots', 'the own card, with recovery slots to the adopted one', ownAdopted, resetOf(both))
reset('floor', 'the version of the floor', full, { floor: 9, ...resetOf(both) })
reset('last-but-one', 'one version is left', record({ ...withAdmin, version: 2 ** 53 - 2 }), resetOf(both))
const toOther = record({ ...withAdmin, recovery: { kind: 'card', value: otherCard } })
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

// Resets by a recovery key.
const keyed = record(withKey) // version 9
function keyReset(id: string, comment: string, bytes: Uint8Array, more: Partial<ResetVector>): void {
  reset(`key-${id}`, comment, bytes, { code: RECOVERY_CODE, pinned: '', ...more })
}
const keyVaults = (...vaults: ProfileContents['vaults']) => record({ ...withKey, vaults })
const keyWith = (recovery: ProfileContents['recovery'], more: Partial<ProfileContents> = {}) =>
  record({ ...withKey, recovery, ...more })
const toKey = (key: SlotKey, user?: string, id?: Bytes, by = recoveryKey) =>
  recoverySlot(key, recipientOf(by.keys), user, id)
const keySealed = (...slots: Parameters<typeof toKey>) =>
  keyVaults(vaultWith([keyOf(3)], { recoverySlots: [toKey(...slots)] }))
keyReset('good', 'by the recovery key', keyed, resetOf(both))
keyReset('no-vaults', 'no vaults', keyVaults(), {})
keyReset('user-capitals', 'the user in capitals', keyed, { user: 'USER@Example.COM', ...resetOf(both) })
keyReset('due', 'an E-key that is due stays so', keyVaults(sealedToKey(dueKeys)), resetOf(dueKeys))
const keySpare = { ...sealedToKey(both), keys: [keyOf(4)] }
keyReset('spare-slot', 'a recovery slot that no slot needs is dropped', keyVaults(keySpare), resetOf([keyOf(4)]))
const keySecond = { ...second, recoverySlots: [toKey(keyOf(7), undefined, vault2)] }
keyReset('two-vaults', 'two vaults', keyVaults(sealedToKey(both), keySecond), resetOf([...both, keyOf(7)]))
const keyNext = { ...withKey, version: 10, identity: nextIdentity, recovery: keyRecovery(nextIdentity) }
const keyAgain = behind(keyed, keyNext, handedByKey)
keyReset('again', 'another reset behind the first', keyAgain, resetOf(both))
keyReset(
  'mac',
  'a wrong mac: nobody without R can check it',
  resummed(flipped(keyed, keyed.length - 10)),
  resetOf(both),
)
const keyNoSlots = resigned(patched(keyed, AT.slot + KEY + 5, run(0, 144)))
keyReset('slot', 'a slot that does not open: nobody without R can check it', keyNoSlots, resetOf(both))
keyReset('floor', 'the version of the floor', keyed, { floor: 9, ...resetOf(both) })
keyReset(
  'signature-again',
  'the signature of the recovery key made piece by piece',
  keyWith({
    kind: 'recoveryKey',
    value: { keys: recoveryKey.keys, signature: recoveryKey.sign(acceptance()) },
  }),
  resetOf(both),
)
/** What a recovery key signs, with one field changed. */
function acceptance({
  id = profileId,
  user = NAMES.user,
  by = identity.publicKey,
  realm = NAMES.realm,
  label = 'sign/recovery-identity',
} = {}): Bytes {
  return concat(domain(label), ...[id, utf8(realm), utf8(user), by].map((part) => lengthPrefixed(part)))
}
const acceptedAs = (message: Bytes, by = recoveryKey) =>
  keyWith({ kind: 'recoveryKey', value: { keys: recoveryKey.keys, signature: by.sign(message) } })
const notFound = { expect: 'key-not-found' } as const
keyReset('checksum', 'one bit, by accident', flipped(keyed, 100), { expect: 'malformed' })
keyReset('flag-1', 'flag 1, with a recovery key', resigned(patched(keyed, 15, [1])), { expect: 'malformed' })
keyReset('flag-2', 'flag 2', resigned(patched(keyed, 15, [2])), { expect: 'unsupported' })
const keyForged = remacked(flipped(keyed, keyed.length - 100))
keyReset('signature', 'one bit of the signature', keyForged, bad)
keyReset('rollback', 'one below the floor', keyed, { floor: 10, expect: 'rollback' })
keyReset('zero-trust', 'under zero trust, without a recovery key', bare, policy)
keyReset('admin', 'with an admin', full, notFound)
keyReset('other', 'another recovery key', keyWith(keyRecovery(identity, otherRecoveryKey)), notFound)
const signingOnly = resigned(patched(keyed, KEY_AT.signing, otherRecoveryKey.keys.signing))
keyReset('other-signing', 'KEYS with another Ed25519 key alone', signingOnly, notFound)
keyReset('other-sealing', 'KEYS with another pk_x alone', resigned(flipped(keyed, KEY_AT.x25519)), notFound)
keyReset('identity-none', 'the recovery key has not signed the identity', unsignedKey, bad)
keyReset('identity-bit', 'one bit of its signature', resigned(flipped(keyed, KEY_AT.signature + 40)), bad)
keyReset('last-but-one', 'one version is left', record({ ...withKey, version: 2 ** 53 - 2 }), resetOf(both))
keyReset(
  'identity-unreduced',
  's + L for the scalar s',
  resigned(patched(keyed, KEY_AT.signature, unreduced(keyed.subarray(KEY_AT.signature, KEY_AT.signature + 64)))),
  bad,
)
keyReset('identity-stranger', 'another key has signed the identity', acceptedAs(acceptance(), otherRecoveryKey), bad)
keyReset('identity-other', 'it has signed another identity', acceptedAs(acceptance({ by: stranger.publicKey })), bad)
keyReset(
  'identity-former',
  'it has signed the former identity alone',
  behind(
    keyed,
    {
      ...{ ...keyNext, recovery: withKey.recovery },
    },
    handedByKey,
  ),
  bad,
)
keyReset('identity-user', 'it has signed for another user', acceptedAs(acceptance({ user: 'other@example.com' })), bad)
keyReset(
  'identity-realm',
  'it has signed for another realm',
  acceptedAs(acceptance({ realm: 'com.example.other' })),
  bad,
)
keyReset('identity-profile', 'it has signed for another profile', acceptedAs(acceptance({ id: run(0xa2, 16) })), bad)
keyReset(
  'identity-label',
  'it has signed for another purpose',
  acceptedAs(acceptance({ label: 'sign/recovery-keyset' })),
  bad,
)
keyReset('other-user', 'reset for another user', keyed, { user: 'other@example.com', ...bad })
keyReset('other-realm', 'reset for another realm', keyed, { realm: 'com.example.other', ...bad })
keyReset('profile-id', 'another profile id', resigned(flipped(keyed, 40)), bad)
keyReset('last-version', 'no version is left', record({ ...withKey, version: 2 ** 53 - 1 }), {
  expect: 'limit-exceeded',
})
const keyMissing = { ...sealedToKey([keyOf(4)]), keys: both }
keyReset('no-recovery-slot', 'a slot without a recovery slot', keyVaults(keyMissing), notFound)
keyReset(
  'slot-other-key',
  'a recovery slot to another recovery key',
  keySealed(keyOf(3), undefined, undefined, otherRecoveryKey),
  notFound,
)
keyReset('slot-card', 'a recovery slot to the card of an admin', keyVaults(recoverable(both)), notFound)
keyReset('slot-other-user', 'a recovery slot of another user', keySealed(keyOf(3), 'other@example.com'), bad)
keyReset('slot-other-vault', 'a recovery slot of another vault', keySealed(keyOf(3), undefined, vault2), bad)
const keySealAt = AT.slot + KEY + 2 * 149 + 2 + 4
keyReset('slot-suite', 'suite 0x0401 in a recovery slot', resigned(patched(keyed, keySealAt + 6, [4, 1])), {
  expect: 'unsupported',
})
keyReset('slot-text', 'one bit of a recovery slot', resigned(flipped(keyed, keySealAt + 1690)), bad)
keyReset('order-signature-floor', 'a wrong signature, below the floor', keyForged, { floor: 10, ...bad })
// A pin, which nobody needs.
const keyPinned = { pinned: hex(identity.publicKey), ...resetOf(both) }
keyReset('pinned', 'by the recovery key, of the pinned identity', keyed, keyPinned)
const keyChanged = { pinned: hex(stranger.publicKey), expect: 'key-changed' } as const
keyReset('other-pinned', 'another identity than the pinned one', keyed, keyChanged)
keyReset('former-pinned', 'the identity before the pinned one, which the recovery key has signed too', keyed, {
  ...{ pinned: hex(nextIdentity.publicKey), expect: 'key-changed' },
})
keyReset('order-signature-pin', 'a wrong signature, and another identity than the pinned one', keyForged, {
  ...{ ...keyChanged, ...bad },
})
keyReset('order-floor-pin', 'below the floor, and another identity than the pinned one', keyed, {
  ...{ ...keyChanged, floor: 10, expect: 'rollback' },
})
keyReset('order-pin-zero-trust', 'another identity than the pinned one, under zero trust', bare, keyChanged)
keyReset('order-pin-admin', 'another identity than the pinned one, with an admin', full, keyChanged)
keyReset(
  'order-pin-other',
  'another identity than the pinned one, and another recovery key',
  keyWith(keyRecovery(identity, otherRecoveryKey)),
  keyChanged,
)
keyReset(
  'order-pin-identity',
  'another identity than the pinned one, which the recovery key has not signed',
  unsignedKey,
  keyChanged,
)
keyReset('order-floor-zero-trust', 'below the floor, under zero trust', bare, { floor: 6, expect: 'rollback' })
keyReset(
  'order-floor-other',
  'below the floor, and another recovery key',
  keyWith(keyRecovery(identity, otherRecoveryKey)),
  {
    ...{ floor: 10, expect: 'rollback' },
  },
)
keyReset(
  'order-other-identity',
  'another recovery key, which has not signed the identity',
  keyWith({
    kind: 'recoveryKey',
    value: { keys: otherRecoveryKey.keys, signature: run(0, 64) },
  }),
  notFound,
)
keyReset(
  'order-zero-trust-version',
  'under zero trust, and no version is left',
  record({ version: 2 ** 53 - 1 }),
  policy,
)
keyReset(
  'order-other-version',
  'another recovery key, and no version is left',
  keyWith(keyRecovery(identity, otherRecoveryKey), { version: 2 ** 53 - 1 }),
  notFound,
)
keyReset(
  'order-identity-version',
  'for another user, and no version is left',
  record({ ...withKey, version: 2 ** 53 - 1 }),
  {
    ...{ user: 'other@example.com', ...bad },
  },
)
keyReset('order-identity-slot', 'for another user, and a slot without a recovery slot', keyVaults(keyMissing), {
  ...{ user: 'other@example.com', ...bad },
})
keyReset(
  'order-version-slot',
  'no version is left, and a slot without a recovery slot',
  record({
    ...{ ...withKey, version: 2 ** 53 - 1, vaults: [keyMissing] },
  }),
  { expect: 'limit-exceeded' },
)
reset('recovery-key', 'by an admin, where only the recovery key may', keyed, policy)
append('reset.json', resets)

// ── records that follow ──────────────────────────────────────────────────────────────────────────────────────────────
const allFollows: FollowsVector[] = []
const follows = (id: string, comment: string, stored: Bytes, next: Bytes, more: Partial<FollowsVector> = {}) => {
  allFollows.push({ id, section: '13.3', comment, stored: hex(stored), next: hex(next), expect: 'ok', ...more })
}
type Next = Partial<ProfileContents>
type More = [handover?: HandoverSigner, key?: typeof otherRootKey]
/** The record behind `bare`, and the one behind `full`. */
const six = (contents: Next = {}, ...more: More) => behind(bare, { version: 6, ...contents }, ...more)
const ten = (contents: Next = {}, ...more: More) => behind(full, { ...withAdmin, version: 10, ...contents }, ...more)
const replaced = { identity: nextIdentity }
/** What a handover by the card has. */
const marked = { identity: nextIdentity, identityDue: true }
const own = handedBy(byIdentity, identity)
const reseter = handedBy(byCard, adminSigning)

follows('same-identity', 'the same identity', bare, six())
follows('new-password', 'under another root key', bare, six({}, undefined, otherRootKey))
const oneMore = { vaults: [vaultWith([keyOf(1)]), { ...second, recoverySlots: [] }] }
follows('vault', 'a vault more', bare, six(oneMore))
follows('by-identity', 'another identity, handed over by the stored one', bare, six(replaced, own))
follows('by-identity-admin', 'the same, with an admin', full, ten(replaced, own))
follows('by-card', 'reset by the admin', full, ten(marked, reseter, otherRootKey))
const known = record({ identityDue: true })
follows('flag-stays', 'an admin still knows the identity', known, behind(known, { version: 6, identityDue: true }))
follows(
  'flag-cleared',
  'another identity, which no admin knows',
  known,
  behind(known, { version: 6, ...replaced }, own),
)
follows('flag-kept', 'another identity, to be replaced too', known, behind(known, { version: 6, ...marked }, own))
follows('flag-set', 'another identity, to be replaced', bare, six(marked, own))
const nobody: Next = { recovery: NOBODY_RESETS, vaults: [vaultWith(both)] }
follows('zero-trust-on', 'the admin is no admin any more', full, ten({ ...nobody, ...replaced }, own))
follows('zero-trust-by-card', 'a reset that leaves nobody: the admin may', full, ten({ ...nobody, ...marked }, reseter))
const toAnother: Next = { recovery: { kind: 'card', value: otherCard }, vaults: [vaultWith(both)] }
follows('other-admin', 'another admin', full, ten({ ...toAnother, ...replaced }, own))
follows('other-admin-same-identity', 'another admin, and the same identity', full, ten(toAnother))
const lastButOne = record({ version: 2 ** 53 - 2 })
follows('last-version', 'the last version', lastButOne, behind(lastButOne, { version: 2 ** 53 - 1 }))
const wrongMac = resummed(flipped(bare, bare.length - 10))
const behindWrongMac = behind(wrongMac, { version: 6 })
follows(
  'mac',
  'wrong macs: a server cannot check them',
  wrongMac,
  resummed(flipped(behindWrongMac, behindWrongMac.length - 10)),
)
follows('other-id', 'another profile', bare, six({ id: run(0xa2, 16) }), policy)
follows('version-same', 'the same version', bare, six({ version: 5 }), conflict)
follows('version-less', 'a version less', bare, six({ version: 4 }), conflict)
follows('version-skipped', 'a version too far', bare, six({ version: 7 }), conflict)
follows('previous-none', 'a first record of the next version', bare, record({ version: 6 }), conflict)
const sibling = record({ vaults: [] })
follows('previous-sibling', 'behind another record of that version', bare, behind(sibling, { version: 6 }), conflict)
follows('previous-mac', 'behind the same record with another mac', bare, behindWrongMac, conflict)
const previousBit = (index: number) => resigned(flipped(six(), AT.previous + index))
follows('previous-first-bit', 'one bit of previous', bare, previousBit(0), conflict)
follows('previous-last-bit', 'one bit of its last byte', bare, previousBit(31), conflict)
follows('zero-trust-off', 'an admin behind zero trust', bare, six({ ...withAdmin, version: 6 }), policy)
const withAdminSix = { ...withAdmin, version: 6 }
follows(
  'zero-trust-off-handover',
  'the same, handed over by the identity',
  bare,
  six({ ...withAdminSix, ...replaced }, own),
  policy,
)
follows('no-handover', 'another identity, and no handover', bare, six(replaced), policy)
follows('no-handover-admin', 'the same, with an admin', full, ten(replaced), policy)
follows('same-identity-handover', 'the same identity, handed over by itself', bare, six({}, own), policy)
const byItself = behind(
  known,
  { ...withAdmin, version: 6, recovery: NOBODY_RESETS, vaults: [], identityDue: true },
  own,
)
follows('same-identity-due', 'the same, with flag 1 in both', known, byItself, policy)
const knownFull = record({ ...withAdmin, identityDue: true })
const byCardItself = behind(knownFull, { ...withAdmin, version: 10, identityDue: true }, reseter)
follows('same-identity-card', 'the same identity, handed over by the card', knownFull, byCardItself, policy)
follows('same-identity-marked', 'the same identity, and flag 1 is new', bare, six({ identityDue: true }), policy)
follows('same-identity-unmarked', 'the same identity, and flag 1 is gone', known, behind(known, { version: 6 }), policy)
follows('card-unknown', 'by a card, where the stored record has none', bare, six(marked, reseter), policy)
const byOther = ten({ ...toAnother, ...marked }, handedBy(byCard, otherSigning))
follows('card-own', 'by the card of an admin who is in the next record alone', full, byOther, bad)
follows(
  'by-new-identity',
  'handed over by the new identity',
  bare,
  six(replaced, handedBy(byIdentity, nextIdentity)),
  bad,
)
follows('by-stranger', 'handed over by somebody else', bare, six(replaced, handedBy(byIdentity, stranger)), bad)
follows('card-stranger', 'by another card signing key', full, ten(marked, handedBy(byCard, stranger)), bad)
const sourceSigner = handedBy(byCard, adminSource)
follows('card-source-key', 'by the source signing key of the card', full, ten(marked, sourceSigner), bad)
follows(
  'identity-as-card',
  'the identity has signed, and it says the card',
  full,
  ten(marked, handedBy(byCard, identity)),
  bad,
)
const cardAsIdentity = handedBy(byIdentity, adminSigning)
follows('card-as-identity', 'the card has signed, and it says the identity', full, ten(replaced, cardAsIdentity), bad)
const handedOver = six(replaced, own)
const bySelf = signs(nextIdentity)
const handoverAt = handedOver.length - 136 - 64
const changed = (id: string, comment: string, bytes: Bytes, stored = bare) =>
  follows(id, comment, stored, resigned(bytes, bySelf), bad)
changed('changed-flag', 'flag 1 was set behind its handover', patched(handedOver, 15, [1]))
changed('changed-vault', 'a vault was renamed behind its handover', flipped(handedOver, AT.vault))
changed('changed-root-key', 'another root key, behind its handover', flipped(handedOver, 16))
/** A handover that was signed behind another record, so that `previous` was another one then. */
const moved = patched(behind(sibling, { version: 6, ...replaced }, own), AT.previous, six().subarray(56, 88))
changed('changed-previous', 'handed over behind another record of that version', moved)
const kindChanged = patched(ten(marked, cardAsIdentity), full.length - 137, [2])
changed('changed-kind', 'the card has signed that it is the identity, and then it says the card', kindChanged, full)
changed('handover-bit', 'one bit of the handover', flipped(handedOver, handoverAt + 40))
changed('handover-none', 'a handover of zeros', patched(handedOver, handoverAt, run(0, 64)))
const signature = handedOver.subarray(handoverAt, handoverAt + 64)
changed('handover-unreduced', 'S + L for S', patched(handedOver, handoverAt, unreduced(signature)))
const label = concat(domain('sign/profile'), handedOver.subarray(0, handoverAt))
changed('handover-label', 'signed for another purpose', patched(handedOver, handoverAt, signs(identity)(label)))
// The stored record's card is not as §5 says.
const cardAt = AT.recovery + 1
const behindCard = (stored: Bytes) => behind(stored, { ...withAdmin, version: 10, ...marked }, reseter)
const brokenCard = resigned(flipped(full, cardAt + 100))
follows('card-broken', 'a card whose signature does not hold', brokenCard, behindCard(brokenCard), bad)
const wrongCard = resigned(patched(full, cardAt + 5, [13]))
follows('card-type', 'type 13 in the card', wrongCard, behindCard(wrongCard), bad)
const besideCard = behind(brokenCard, { ...withAdmin, version: 10, ...replaced }, own)
follows('card-broken-identity', 'the same card, and a handover by the identity', brokenCard, besideCard)
const brokenItself = behind(brokenCard, { ...withAdmin, version: 10, identityDue: true }, reseter)
follows(
  'order-same-identity-card',
  'the same identity, and a handover by a broken card',
  brokenCard,
  brokenItself,
  policy,
)

// Recovery keys.
/** The record behind `keyed`. */
const keyTen = (contents: Next = {}, ...more: More) => behind(keyed, { ...withKey, version: 10, ...contents }, ...more)
/** The new identity, which the recovery key has signed, and the E-keys without recovery slots to anybody else. */
const renewedKey: Next = { identity: nextIdentity, recovery: keyRecovery(nextIdentity) }
const byOtherKey = { by: HandoverBy.recoveryKey, sign: (message: Uint8Array) => otherRecoveryKey.sign(message) }
const toOtherKey: Next = {
  ...{ identity: nextIdentity, recovery: keyRecovery(nextIdentity, otherRecoveryKey), vaults: [vaultWith(both)] },
}
const toKeySix: Next = { recovery: keyRecovery(identity), vaults: [sealedToKey([keyOf(1)])] }
follows('key-same-identity', 'a recovery key, and the same identity', keyed, keyTen())
follows('key-new-password', 'under another root key', keyed, keyTen({}, undefined, otherRootKey))
follows('key-by-identity', 'another identity, handed over by the stored one', keyed, keyTen(renewedKey, own))
follows('key-reset', 'reset by the recovery key', keyed, keyTen(renewedKey, handedByKey, otherRootKey))
follows('key-to-nobody', 'the recovery key is none any more', keyed, keyTen({ ...nobody, ...replaced }, own))
follows('key-to-nobody-same', 'the same, with the same identity', keyed, keyTen(nobody))
follows('key-to-nobody-marked', 'the same, with flag 1', keyed, keyTen({ ...nobody, ...marked }, own))
follows('key-to-other', 'another recovery key', keyed, keyTen(toOtherKey, own))
follows(
  'key-to-other-by-key',
  'another recovery key, by the stored one: it may',
  keyed,
  keyTen(toOtherKey, handedByKey),
)
follows('key-from-nobody', 'a recovery key where nobody was', bare, six(toKeySix))
follows('key-from-nobody-identity', 'the same, with another identity', bare, six({ ...toKeySix, ...renewedKey }, own))
follows(
  'key-from-admin',
  'a recovery key where an admin was',
  full,
  ten({ ...withKey, version: 10, ...renewedKey }, own),
)
follows(
  'key-unmarked',
  'a recovery key, and flag 1 is gone with the identity',
  known,
  behind(
    known,
    {
      ...{ version: 6, ...toKeySix, ...renewedKey },
    },
    own,
  ),
)
const keyUnsigned = keyTen({ ...renewedKey, recovery: withKey.recovery }, handedByKey)
follows(
  'key-identity-unsigned',
  'the recovery key has not signed the new identity: a server has no names',
  keyed,
  keyUnsigned,
)
const keyLowOrder = resigned(patched(keyed, KEY_AT.x25519, run(0, 32)))
const behindLowOrder = behind(keyLowOrder, { ...withKey, version: 10, ...renewedKey }, handedByKey)
follows('key-low-order', 'a recovery key with a pk_x of low order: its signature counts', keyLowOrder, behindLowOrder)
const toAdminTen: Next = { ...withAdmin, version: 10 }
follows('key-to-admin', 'an admin behind a recovery key', keyed, keyTen(toAdminTen), policy)
follows(
  'key-to-admin-identity',
  'the same, handed over by the identity',
  keyed,
  keyTen({ ...toAdminTen, ...replaced }, own),
  policy,
)
follows(
  'key-to-admin-card',
  'the same, handed over by the card',
  keyed,
  keyTen({ ...toAdminTen, ...marked }, reseter),
  policy,
)
follows('key-no-handover', 'another identity, and no handover', keyed, keyTen(renewedKey), policy)
follows(
  'key-same-handover',
  'the same identity, handed over by the recovery key',
  keyed,
  keyTen({}, handedByKey),
  policy,
)
follows(
  'key-same-marked',
  'nobody in its place, the same identity, and flag 1',
  keyed,
  keyTen({ ...nobody, identityDue: true }),
  policy,
)
follows(
  'key-unknown',
  'by a recovery key, where the stored record has none',
  bare,
  six({ ...toKeySix, ...renewedKey }, handedByKey),
  policy,
)
follows(
  'key-unknown-admin',
  'by a recovery key, where the stored record has an admin',
  full,
  ten({ ...withKey, version: 10, ...renewedKey }, handedByKey),
  policy,
)
follows(
  'key-card-unknown',
  'by a card, where the stored record has a recovery key',
  keyed,
  keyTen({ ...nobody, ...marked }, reseter),
  policy,
)
follows('key-other', 'by the recovery key that is in the next record alone', keyed, keyTen(toOtherKey, byOtherKey), bad)
follows('key-stranger', 'by another recovery key', keyed, keyTen(renewedKey, byOtherKey), bad)
follows(
  'key-identity-as-key',
  'the identity has signed, and it says the recovery key',
  keyed,
  keyTen(renewedKey, { ...own, by: HandoverBy.recoveryKey }),
  bad,
)
follows(
  'key-as-identity',
  'the recovery key has signed, and it says the identity',
  keyed,
  keyTen(renewedKey, { ...handedByKey, by: byIdentity }),
  bad,
)
const keyHanded = keyTen(renewedKey, handedByKey)
const keyHandoverAt = keyHanded.length - 136 - 64
changed('key-changed-vault', 'a vault was renamed behind its handover', flipped(keyHanded, AT.vault + KEY), keyed)
changed(
  'key-changed-recovery',
  'the recovery key was changed behind its handover',
  flipped(keyHanded, KEY_AT.signing),
  keyed,
)
changed(
  'key-changed-kind',
  'the recovery key has signed that it is the identity, and then it says the key',
  patched(keyTen(renewedKey, { ...handedByKey, by: byIdentity }), keyHandoverAt - 1, [3]),
  keyed,
)
changed('key-handover-bit', 'one bit of the handover', flipped(keyHanded, keyHandoverAt + 40), keyed)
changed('key-handover-none', 'a handover of zeros', patched(keyHanded, keyHandoverAt, run(0, 64)), keyed)
changed(
  'key-handover-unreduced',
  'S + L for S',
  patched(keyHanded, keyHandoverAt, unreduced(keyHanded.subarray(keyHandoverAt, keyHandoverAt + 64))),
  keyed,
)
const keyLabel = concat(domain('sign/recovery-identity'), keyHanded.subarray(0, keyHandoverAt))
changed(
  'key-handover-label',
  'signed for another purpose',
  patched(keyHanded, keyHandoverAt, recoveryKey.sign(keyLabel)),
  keyed,
)
// The neutral element as the recovery key: R = itself and S = 0 would be a signature of everything.
const keyNeutral = resigned(patched(keyed, KEY_AT.signing, [1, ...run(0, 31)]))
const byNeutral = { by: HandoverBy.recoveryKey, sign: () => patched(run(0, 64), 0, [1]) }
follows(
  'key-small-order',
  'a recovery key that signs with the neutral element',
  keyNeutral,
  behind(
    keyNeutral,
    {
      ...{ ...withKey, version: 10, ...renewedKey },
    },
    byNeutral,
  ),
  bad,
)
const weak = new Uint8Array([1, ...run(0, 31)]) // the neutral element, under which R = itself and S = 0 is a signature
const weakCard = patched(patched(adminCard, 48 + 32 + 1568, weak), 1712, [1, ...run(0, 63)])
const behindWeak = resigned(patched(full, cardAt, weakCard))
const anybody = { by: byCard, sign: () => new Uint8Array([1, ...run(0, 63)]) }
const byAnybody = behind(behindWeak, { ...withAdmin, version: 10, ...marked }, anybody)
follows('card-small-order', 'a card signing key under which anybody signs', behindWeak, byAnybody, bad)
// Two faults.
const byStranger = handedBy(byIdentity, stranger)
follows(
  'order-id-version',
  'another profile, and a version too far',
  bare,
  six({ id: run(0xa2, 16), version: 7 }),
  policy,
)
follows(
  'order-id-previous',
  'another profile, and no previous',
  bare,
  record({ id: run(0xa2, 16), version: 6 }),
  policy,
)
follows(
  'order-version-zero-trust',
  'a version too far, and an admin behind zero trust',
  bare,
  six({ ...withAdmin, version: 7 }),
  conflict,
)
follows(
  'order-previous-zero-trust',
  'no previous, and an admin behind zero trust',
  bare,
  record(withAdminSix),
  conflict,
)
follows(
  'order-version-identity',
  'a version too far, and no handover',
  bare,
  six({ version: 7, ...replaced }),
  conflict,
)
follows('order-previous-identity', 'no previous, and no handover', bare, record({ version: 6, ...replaced }), conflict)
const farAndStrange = six({ version: 7, ...replaced }, byStranger)
follows('order-version-handover', 'a version too far, and a handover that does not hold', bare, farAndStrange, conflict)
const offAndStrange = six({ ...withAdminSix, ...replaced }, byStranger)
follows(
  'order-zero-trust-handover',
  'an admin behind zero trust, and a handover that does not hold',
  bare,
  offAndStrange,
  policy,
)
follows(
  'order-same-identity',
  'the same identity, and a handover that does not hold',
  bare,
  six({}, byStranger),
  policy,
)
const noCard = six(marked, handedBy(byCard, stranger))
follows('order-card-unknown', 'a handover by no card that is there, which does not hold', bare, noCard, policy)
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
    ...{ id, section: '13.4', comment, first: 1, versions: versions.map(hex), counts: counting, expect: 'ok', ...more },
  })
const v5 = bare
const v6 = six()
const v7 = behind(v6, { version: 7 })
const v8 = behind(v7, { version: 8 })
/** Damaged by accident. */
const damaged = (bytes: Bytes) => flipped(bytes, 100)
/** Signed by nobody. */
const forged = (bytes: Bytes) => remacked(flipped(bytes, bytes.length - 100))
/** May not follow: another identity, and no handover. */
const alien = (stored: Bytes, version: number) => behind(stored, { version, identity: stranger })
const later = (bytes: Bytes) => resigned(patched(bytes, 15, [2]))
const malformed = { expect: 'malformed' } as const
const unsupported = { expect: 'unsupported' } as const
const alien6 = alien(v5, 6)
counts('none', 'no version at all', [], 0, { expect: 'missing' })
counts('one', 'one record', [v5], 1)
counts('two', 'one behind the other', [v5, v6], 2)
counts('three', 'three, of which a server would have dropped one', [v5, v6, v7], 3)
counts('first-dropped', 'the versions below were dropped', [v5, v6], 9, { first: 8 })
counts('one-left', 'all below were dropped', [v6], 8, { first: 8 })
counts('handed-over', 'by an identity', [v5, handedOver], 2)
counts('reset', 'by a card', [full, ten(marked, reseter)], 2)
counts('damaged', 'the newest is damaged', [v5, damaged(v6)], 1)
counts('empty', 'the newest is empty', [v5, new Uint8Array(0)], 1)
counts('too-many-vaults', 'the newest is beyond a limit', [v5, resigned(patched(v6, AT.vaults, u16(257)))], 1)
counts('forged', 'nobody has signed the newest', [v5, forged(v6)], 1)
counts('damaged-twice', 'the two newest are damaged', [v5, damaged(v6), forged(v7)], 1)
counts('damaged-one', 'the only one is damaged', [damaged(v5)], 0, malformed)
counts('forged-one', 'nobody has signed the only one', [forged(v5)], 0, bad)
counts('all-damaged', 'all are damaged: the error of the lowest', [forged(v5), damaged(v6)], 0, bad)
counts('all-damaged-dropped', 'the same, below dropped ones', [damaged(v5), forged(v6)], 0, { first: 4, ...malformed })
counts('alien', 'the newest may not follow', [v5, alien6], 1)
counts('version-twice', 'the newest has the version of the one below', [v5, six({ version: 5 })], 1)
counts('previous', 'the newest was made from another record', [v5, behind(sibling, { version: 6 })], 1)
counts('alien-id', 'the newest is another profile', [v5, six({ id: run(0xa2, 16) })], 1)
counts('bad-handover', 'a handover that does not hold', [v5, six(replaced, byStranger)], 1)
counts('over-damage', 'written behind a damaged one', [v5, damaged(v6), v6], 3)
counts('over-forgery', 'written behind one that nobody has signed', [v5, forged(v6), v6], 3)
counts('over-alien', 'written behind one that may not follow', [v5, alien6, v6], 3)
counts('over-two', 'written behind two that do not count', [v5, damaged(v6), alien6, v6], 4)
counts('alien-over-damage', 'behind a damaged one, and may not follow the one below', [v5, damaged(v6), alien6], 1)
const after = (contents: Next, ...more: More) => [v5, damaged(v6), behind(v6, { version: 7, ...contents }, ...more)]
counts('after-damage', 'behind a damaged one, and follows that one', after({}), 3)
counts('after-next', 'behind a damaged one, and one version above the one that counts', after({ version: 6 }), 3)
counts('after-two', 'behind two damaged ones', [v5, damaged(v6), damaged(v7), v8], 4)
counts('after-far', 'behind a damaged one, with a version much higher', after({ version: 99 }), 3)
counts('after-handover', 'the same, handed over by the identity of the one that counts', after(replaced, own), 3)
counts('after-same-version', 'the same, with the version of the one that counts', after({ version: 5 }), 1)
counts('after-lower', 'the same, with a lower version', after({ version: 4 }), 1)
counts('after-other-id', 'the same, of another profile', after({ id: run(0xa2, 16) }), 1)
counts('after-zero-trust', 'the same, with an admin behind zero trust', after({ ...withAdmin, version: 7 }), 1)
counts('after-no-handover', 'the same, with another identity', after(replaced), 1)
counts('after-bad-handover', 'the same, with a handover that does not hold', after(replaced, byStranger), 1)
counts('after-flag', 'the same, with flag 1', after({ identityDue: true }), 1)
const afterCard = behind(ten(), { ...withAdmin, version: 11, ...marked }, reseter)
counts(
  'after-card',
  'behind a damaged one, reset by the card in the one that counts',
  [full, damaged(ten()), afterCard],
  3,
)
counts('after-alien', 'the one below is not damaged: it must follow the one that counts', [v5, alien6, v7], 1)
const afterForged = [v5, forged(v6), v7]
counts('after-forged', 'behind one that nobody has signed, and follows that one', afterForged, 3)
counts('damage-below', 'nothing but damage below', [damaged(v5), v6], 2)
counts('damage-below-alien', 'nothing but damage below, whatever it is', [damaged(v5), damaged(v6), alien6], 3)
const alienNext = behind(alien6, { version: 7, identity: stranger })
counts('behind-alien', 'follows one that may not follow: only the one below is looked at', [v5, alien6, alienNext], 3)
counts('neither', 'follows neither the one below nor the one that counts', [v5, alien6, v8], 1)
const otherProfile = behind(v6, { version: 7, id: run(0xa2, 16) })
counts('neither-twice', 'two that may not follow', [v5, v6, alien(v6, 7), otherProfile], 2)
counts('counts-below', 'follows the one that counts of the versions below', [v5, v6, alien(v6, 7), v7], 4)
counts('unsupported', 'the newest belongs to a later version of this document', [v5, later(v6)], 0, unsupported)
counts('unsupported-one', 'the only one does', [later(v5)], 0, unsupported)
counts('unsupported-below', 'the one below does', [later(v5), v6], 0, unsupported)
counts('unsupported-below-damage', 'the one below a damaged one does', [later(v5), damaged(v6)], 0, unsupported)
counts('unsupported-deep', 'one that need not be looked at does', [later(v5), v6, v7], 3)
counts('unsupported-deep-alien', 'one that has to be looked at does', [later(v5), v6, alien(v6, 7)], 0, unsupported)
counts(
  'unsupported-over-damage',
  'one below a damaged one, below one that is right',
  [later(v5), damaged(v6), v7],
  0,
  unsupported,
)
counts('card-type', 'handed over by a card that is no card', [wrongCard, behindCard(wrongCard)], 1)
counts('key-reset', 'by a recovery key', [keyed, keyHanded], 2)
counts(
  'key-unknown',
  'by a recovery key that the one below does not have',
  [...[bare, six({ ...toKeySix, ...renewedKey }, handedByKey)]],
  1,
)
counts(
  'key-over-damage',
  'by a recovery key, over a damaged one',
  [
    keyed,
    damaged(keyTen()),
    behind(
      keyTen(),
      {
        ...{ ...withKey, version: 11, ...renewedKey },
      },
      handedByKey,
    ),
  ],
  3,
)
counts(
  'key-malformed',
  'one that says flag 1 and a recovery key is damage',
  [keyed, resigned(patched(keyTen(), 15, [1]))],
  1,
)
append('counts.json', allCounts)

// ── what a server takes ──────────────────────────────────────────────────────────────────────────────────────────────
const guards: GuardVector[] = []
const versions = (...bytes: Uint8Array[]): VersionsVector => ({ first: 1, versions: bytes.map(hex) })
const verifierText = '$2b$10$abcdefghijklmnopqrstuu'.padEnd(60, '.')
const verifierOf = (version: number) => concat(u64(version), utf8(verifierText))
function take(id: string, comment: string, stored: VersionsVector, next: Bytes, more: Partial<GuardVector> = {}): void {
  const place = { id, section: '13.3', comment, name: 'profile', next: hex(next), records: stored, verifier: null }
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
take(
  'first-previous',
  'a first record that followed another one, as one from a backup',
  versions(),
  v6,
  withVerifier(6),
)
take('first-handover', 'a first record with a handover', versions(), handedOver, withVerifier(6))
take('first-no-verifier', 'a first record without its verifier', versions(), record({ version: 1 }), policy)
take('first-earlier', 'a first record with the verifier of an earlier one', versions(), bare, {
  ...{ ...withVerifier(4), ...policy },
})
take('reset', 'reset by the admin', versions(full), ten(marked, reseter, otherRootKey), withVerifier(10))
take('damaged', 'damaged on the way', versions(v5), damaged(v6), malformed)
take('unsupported', 'of a later version of this document', versions(v5), later(v6), unsupported)
take('forged', 'signed by nobody', versions(v5), forged(v6), bad)
take('other-id', 'another profile', versions(v5), six({ id: run(0xa2, 16) }), policy)
take('skipped', 'a version too far', versions(v5), six({ version: 7 }), conflict)
take('previous', 'made from another record', versions(v5), behind(sibling, { version: 6 }), conflict)
take('alien', 'another identity', versions(v5), alien6, policy)
take('bad-handover', 'a handover that does not hold', versions(v5), six(replaced, byStranger), bad)
take('over-damage', 'behind a damaged one', versions(v5, damaged(v6)), v6)
take('over-alien', 'behind one that does not count', versions(v5, alien6), v6)
take('all-damaged', 'behind nothing but damage', versions(damaged(v5)), v6, malformed)
take('stored-unsupported', 'behind one of a later version of this document', versions(later(v5)), v6, unsupported)
take('order-forged-version', 'signed by nobody, and a version too far', versions(v5), forged(six({ version: 7 })), bad)
const strangeAndOther = six(replaced, byStranger, otherRootKey)
take('order-follows-verifier', 'a handover that does not hold, and no verifier', versions(v5), strangeAndOther, bad)
const farAndOther = six({ version: 7 }, undefined, otherRootKey)
take('order-version-verifier', 'a version too far, and no verifier', versions(v5), farAndOther, conflict)

// Recovery keys.
const keyStored = versions(keyed)
take('key-next', 'with a recovery key, the next record', keyStored, keyTen())
const keyReseted = keyTen(renewedKey, handedByKey, otherRootKey)
take('key-reset', 'reset by the recovery key, with the verifier', keyStored, keyReseted, withVerifier(10))
take('key-reset-no-verifier', 'the same, without the verifier', keyStored, keyReseted, policy)
take('key-reset-same-password', 'reset by the recovery key, under the same root key', keyStored, keyHanded)
take('key-first', 'a first record that a recovery key has handed over', versions(), keyHanded, withVerifier(10))
take('key-from-nobody', 'a recovery key where nobody was', versions(v5), six(toKeySix))
take('key-to-nobody', 'nobody where a recovery key was', keyStored, keyTen({ ...nobody, ...replaced }, own))
take(
  'key-to-admin',
  'an admin where a recovery key was',
  keyStored,
  keyTen({ ...toAdminTen, ...replaced }, own),
  policy,
)
take(
  'key-unknown',
  'by a recovery key that the stored record does not have',
  versions(v5),
  six({ ...toKeySix, ...renewedKey }, handedByKey),
  policy,
)
take('key-stranger', 'by another recovery key', keyStored, keyTen(renewedKey, byOtherKey), bad)
take('key-flag', 'a recovery key, and flag 1', keyStored, resigned(patched(keyTen(), 15, [1])), malformed)
const handedAlone = ten(marked, reseter)
const asKey = patched(patched(handedAlone, 15, [0]), handedAlone.length - 201, [3])
take(
  'handover-3-admin',
  'a handover by a recovery key, with an admin',
  versions(full),
  resigned(asKey, bySelf),
  malformed,
)
const keyFar = behind(keyed, { ...withKey, version: 11, ...renewedKey }, byOtherKey)
take('order-key-version', 'by another recovery key, and a version too far', keyStored, keyFar, conflict)
const keyAdminBad = keyTen({ ...toAdminTen, ...marked }, handedBy(byCard, stranger))
take('order-key-admin-handover', 'an admin, and a handover that does not hold', keyStored, keyAdminBad, policy)

const ringName = `keyring/${hex(vaultId)}`
function ring(id: string, comment: string, stored: VersionsVector, next: Bytes, more: Partial<GuardVector> = {}): void {
  take(`keyring-${id}`, comment, versions(bare), next, { name: ringName, keyrings: stored, ...more })
}
const refused = { expect: 'refused' } as const
const one = keyring(4, [keyOf(1)])
const stored = versions(one)
/** The keyring behind `one`. */
const two = (version = 5, by = identity, previous: Bytes = one) => keyring(version, both, by, previous)
// The identity was replaced: the former one signs no keyrings any more.
const renewed = { records: versions(bare, handedOver) }
ring('first', 'the first keyring', versions(), keyring(1, [keyOf(1)]))
ring('first-any-version', 'the first keyring, of any version', versions(), one)
ring('first-previous', 'a first keyring that followed another one, as one from a backup', versions(), two())
ring('next', 'the next keyring', stored, two())
ring('next-dropped', 'the same, with the versions below dropped', { first: 6, versions: [hex(one)] }, two())
ring('new-identity', 'signed by the new identity', stored, two(5, nextIdentity), renewed)
ring('former-identity', 'signed by the identity before it', stored, two(), { ...renewed, ...refused })
const twice = { records: versions(bare, handedOver, behind(handedOver, { version: 7, identity: nextIdentity })) }
ring('older-identity', 'signed by an identity that was replaced before', stored, two(), { ...twice, ...policy })
ring('stranger', 'signed by somebody else', stored, two(5, stranger), policy)
ring(
  'unsigned',
  'signed by nobody',
  stored,
  keyringResigned(two(), () => run(0, 64)),
  policy,
)
ring(
  'unreduced',
  'S + L for S',
  stored,
  keyringResigned(two(), (m) => unreduced(signs(identity)(m))),
  policy,
)
ring('mac', 'a wrong mac: a server cannot check it', stored, resummed(flipped(two(), two().length - 9)))
ring('other-vault', 'the keyring of another vault', stored, keyring(5, both, identity, one, vault2), policy)
ring('same-version', 'the version of the stored one', stored, two(4), conflict)
ring('less', 'a version less', stored, two(3), conflict)
ring('skipped', 'a version too far', stored, two(6), conflict)
ring('previous-none', 'a first keyring of the next version', stored, keyring(5, both), conflict)
const otherOne = keyring(4, [keyOf(2)])
ring('previous-sibling', 'behind another keyring of that version', stored, two(5, identity, otherOne), conflict)
ring('checksum', 'damaged on the way', stored, flipped(two(), 200), malformed)
ring('cut', 'a byte short', stored, resummed(two().subarray(0, -1)), malformed)
const noWraps = keyringResigned(concat(two().subarray(0, RING.count), u16(0), two().subarray(-136)))
ring('no-wraps', 'no wrap', stored, noWraps, malformed)
ring('unsupported', 'generation 2 of the header', stored, keyringResigned(patched(two(), 8, u32(2))), unsupported)
ring('no-profile', 'no profile', versions(), one, { records: versions(), expect: 'missing' })
ring('profile-damaged', 'a profile that is damaged', versions(), one, { records: versions(damaged(v5)), ...malformed })
const cut = flipped(two(), 200)
ring('over-damage', 'behind a damaged one, below which is version 4', versions(one, cut), two())
ring(
  'over-damage-skipped',
  'behind a damaged one, and follows that one',
  versions(one, cut),
  two(6, identity, cut),
  conflict,
)
ring('over-two', 'behind two damaged ones: no third is looked at', versions(one, cut, cut), two(), malformed)
ring('all-damaged', 'behind nothing but damage', versions(cut), two(), malformed)
const laterRing = keyringResigned(patched(one, 8, u32(2)))
ring(
  'stored-unsupported',
  'behind one of a later version of this document',
  versions(keyring(3, [keyOf(1)]), laterRing),
  two(),
  unsupported,
)
ring('profile-newest-damaged', 'the newest record is damaged, and the one below counts', stored, two(), {
  ...{ records: versions(bare, damaged(v6)) },
})
const underDamage = { records: versions(bare, handedOver, damaged(v7)), ...policy }
ring(
  'former-below-damage',
  'signed by the identity below the one that counts, under a damaged one',
  stored,
  two(),
  underDamage,
)
const belowForged = { records: versions(forged(record({ identity: stranger })), v6), ...policy }
ring(
  'below-forged',
  'signed by the identity of a record below, which nobody has signed',
  stored,
  two(5, stranger),
  belowForged,
)
const newerFormat = { records: versions(resummed(patched(record({ identity: stranger }), 4, [2])), v6) }
ring(
  'below-unsupported',
  'signed by somebody, where the record below is of a later version of the format',
  stored,
  two(5, stranger),
  { ...newerFormat, expect: 'unsupported' },
)
const otherAndFar = keyring(6, both, identity, one, vault2)
ring('order-vault-version', 'another vault, and a version too far', stored, otherAndFar, policy)
ring(
  'order-vault-profile',
  'another vault, and no profile',
  versions(),
  keyring(1, both, identity, undefined, vault2),
  {
    ...{ records: versions(), ...policy },
  },
)
ring('order-stranger-version', 'signed by somebody else, and a version too far', stored, two(6, stranger), policy)
ring('order-former-version', 'signed by the identity before, and a version too far', stored, two(6), {
  ...renewed,
  ...refused,
})
const resetByKey = { records: versions(keyed, keyHanded) }
ring(
  'key-new-identity',
  'signed by the identity behind a reset by the recovery key',
  stored,
  two(5, nextIdentity),
  resetByKey,
)
ring('key-former-identity', 'signed by the identity before that reset', stored, two(), { ...resetByKey, ...refused })
// Records of logs: those of other vectors.
const vaultRecord = (id: string) => unhex(ownedRecordVectors().find((vector) => vector.id === id)!.record)
const firstRecord = vaultRecord('vault-first')
const LOG_EPOCH = 'log/00112233445566778899aabbccddeeff/0'
function logRecord(id: string, comment: string, next: Bytes, more: Partial<GuardVector> = {}): void {
  take(`log-${id}`, comment, versions(bare), next, { name: LOG_EPOCH, ...more })
}
logRecord('first', 'a record of the vault', firstRecord)
logRecord('close', 'a close of the vault', vaultRecord('vault-close'))
logRecord('seal-off', 'a seal-off of the vault', vaultRecord('vault-seal-off'))
logRecord('mac', 'a wrong MAC, which a server cannot verify', flipped(firstRecord, firstRecord.length - 1))
logRecord('other-vault', 'a record of a vault that the profile does not have', patched(firstRecord, 32, vault2), policy)
logRecord('scope', 'a record of a scope', vaultRecord('aes-128-first'), policy)
const scopeAsVault = patched(vaultRecord('aes-128-first'), 32, vaultId)
logRecord('scope-owner', 'a record of a scope, with the id of the vault', scopeAsVault, policy)
const keysetRecord = unhex(recordVectors().find(({ id }) => id === 'first')!.record)
logRecord('keyset', 'a record of a keyset', keysetRecord, policy)
logRecord('no-profile', 'no profile', firstRecord, { records: versions(), expect: 'missing' })
logRecord('order-profile', 'another vault, and no profile', patched(firstRecord, 32, vault2), {
  ...{ records: versions(), expect: 'missing' },
})
logRecord('short', '47 bytes', firstRecord.subarray(0, 47), malformed)
logRecord('cut', 'a byte less than a record without content', firstRecord.subarray(0, 223), malformed)
logRecord('magic', 'kSTR', patched(firstRecord, 0, [0x6b]), malformed)
logRecord('flags', 'flags 0', patched(firstRecord, 12, u32(0)), unsupported)
logRecord(
  'order-flags-vault',
  'flags 0, and another vault',
  patched(patched(firstRecord, 12, u32(0)), 32, vault2),
  unsupported,
)
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
  const place = { id, section: '12.2', comment, object: hex(object), credential, matches: true }
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
verifier('cost-9', 'cost 9', kept(KNOWN.cost10.replace('$10$', '$09$')), damage)
verifier('cost-15', 'cost 15, and no credential', kept(KNOWN.cost10.replace('$10$', '$15$')), { credential: '', ...no })
verifier('cost-16', 'cost 16', kept(KNOWN.cost10.replace('$10$', '$16$')), damage)
append('verifier.json', verifiers)
