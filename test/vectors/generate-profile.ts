// Adds the vectors of profiles and keyrings below to their files, unless they are there already. Run `npm run vectors`.
import { createHash, createPublicKey, verify } from 'node:crypto'
import { ed25519 } from '@noble/curves/ed25519.js'
import { type Bytes, concat, domain, lengthPrefixed, u16, u32, u64 } from '../../src/core/bytes.ts'
import { encode } from '../../src/core/codec.ts'
import { ObjectType } from '../../src/core/header.ts'
import { recoveryPublicKeys } from '../../src/core/recovery-holder.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { wrapSecret } from '../../src/core/wrap.ts'
import { type KeyringKey, type SlotKey, wrapSlot } from '../../src/vault/keyring.ts'
import { HandoverBy } from '../../src/vault/layout.ts'
import { flipped, hex, patched, resummed } from '../fixtures.ts'
import { HONEST_R, signatureFor, TORSION } from '../odd-signatures.ts'
import { append } from './append.ts'
import {
  adminSigning,
  AT,
  both,
  behind,
  handedBy,
  RING,
  CARD,
  dataKey,
  identity,
  keyOf,
  keyring as keyringOf,
  keyringRemacked,
  keyringResigned,
  keyVectors,
  handedByKey,
  KEY,
  KEY_AT,
  keyRecovery,
  manyVaults,
  nextIdentity,
  recoveryKey,
  unsignedKey,
  withKey,
  otherRootKey,
  profileId,
  record,
  recoverable,
  recoverySlot,
  remacked,
  resigned,
  rootKey,
  run,
  signs,
  slotVectors,
  spliced,
  stranger,
  vaultId,
  vaultWith,
  withAdmin,
} from './make-profile.ts'
import { unreduced } from './make-by-hand.ts'
import type { KeyringVector, ProfileVector } from './vectors.ts'

// ── profiles ─────────────────────────────────────────────────────────────────────────────────────────────────────────
const profiles: ProfileVector[] = []
const bare = record()
const full = record(withAdmin)
type Code = ProfileVector['expect']

function profile(id: string, comment: string, bytes: Uint8Array, more: Partial<ProfileVector>): void {
  const nothing = { seed: '', identityDue: false, keys: [] }
  const rest = { floor: 0, withoutKey: 'ok', expect: 'ok' } as const
  const place = { id, section: '13.1', comment, rootKey: withBytes(rootKey, hex), profile: hex(bytes) }
  profiles.push({ ...place, ...rest, ...nothing, ...more })
}
function good(
  id: string,
  comment: string,
  bytes: Uint8Array,
  keys: readonly SlotKey[],
  by = identity,
  due = false,
): void {
  profile(id, comment, bytes, { seed: withBytes(by.seed, hex), identityDue: due, keys: slotVectors(keys) })
}
/** Refused in steps 1 to 4, with the root key and without it. */
const bad = (id: string, comment: string, bytes: Uint8Array, code: Code, more: Partial<ProfileVector> = {}) =>
  profile(id, comment, bytes, { expect: code, withoutKey: code, ...more })
/** Refused with the root key only. */
const inside = (id: string, comment: string, bytes: Uint8Array, more: Partial<ProfileVector> = {}) =>
  profile(id, comment, bytes, { expect: 'authentication-failed', ...more })

good('zero-trust', 'one vault, one slot', bare, [keyOf(1)])
good('admin', 'two slots and their recovery slots, in the middle of a rotation', full, both)
good('no-vaults', 'as createProfile makes it', record({ vaults: [] }), [])
const due = { ...withAdmin, vaults: [{ ...recoverable([keyOf(3)]), keys: [keyOf(2, true), keyOf(3)] }] }
good('rotation-due', 'the admin was changed, in the middle of the rotation', record(due), [keyOf(2, true), keyOf(3)])
good('identity-due', 'flag 1: an admin knows the identity', record({ identityDue: true }), [keyOf(1)], identity, true)
const byIdentity = handedBy(HandoverBy.identity, identity)
const handedOver = behind(bare, { version: 6, identity: nextIdentity }, byIdentity)
good('handover-identity', 'the former identity has replaced it', handedOver, [keyOf(1)], nextIdentity)
const reset = { ...withAdmin, version: 10, identity: nextIdentity, identityDue: true }
const handedByCard = behind(full, reset, handedBy(HandoverBy.card, adminSigning))
good('handover-card', 'the admin has replaced it', handedByCard, both, nextIdentity, true)
const unchecked = patched(handedOver, handedOver.length - 200, run(0, 64))
good(
  'handover-zeros',
  'a handover that does not hold: readers do not check it',
  resigned(unchecked, signs(nextIdentity)),
  [keyOf(1)],
  nextIdentity,
)
good('next', 'the record behind another one', behind(bare, { version: 6 }), [keyOf(1)])
good('previous', 'another previous: readers do not know the record before', resigned(flipped(bare, AT.previous)), [
  keyOf(1),
])
good('last-version', 'the version 2⁵³ − 1', record({ version: 2 ** 53 - 1 }), [keyOf(1)])
const last = { ...keyOf(1), generation: 2 ** 32 - 1 }
good('last-generation', 'the generation 2³² − 1', record({ vaults: [vaultWith([last])] }), [last])
const many = manyVaults(256)
good(
  '256-vaults',
  'as many vaults as there may be',
  many,
  Array.from({ length: 256 }, () => keyOf(1)),
)
profile('floor', 'the version of the floor', bare, {
  ...{ floor: 5, seed: withBytes(identity.seed, hex), keys: slotVectors([keyOf(1)]) },
})

// Steps 1 and 2.
bad('too-short', '55 bytes', bare.subarray(0, 55), 'malformed')
bad('empty', 'no bytes at all', new Uint8Array(0), 'malformed')
bad('header-alone', 'a header and its checksum', resummed(concat(bare.subarray(0, 48), run(0, 8))), 'malformed')
bad('checksum', 'one bit, by accident', flipped(bare, 100), 'malformed')
bad('key-id-damaged', 'one bit of the key id, by accident: not a wrong password', flipped(bare, 20), 'malformed')
bad('magic', 'kSTR', resummed(patched(bare, 0, [0x6b])), 'malformed')
// Step 3.
bad('header-version', 'version 2 of this document', resigned(patched(bare, 4, [2])), 'unsupported')
bad('type', 'type 13', resigned(patched(bare, 5, [13])), 'unsupported')
bad('suite', 'suite 0x0401', resigned(patched(bare, 6, [4, 1])), 'unsupported')
bad('generation-0', 'generation 0 of the header', resigned(patched(bare, 8, u32(0))), 'unsupported')
bad('generation-2', 'generation 2 of the header', resigned(patched(bare, 8, u32(2))), 'unsupported')
bad('flag-2', 'flag 2', resigned(patched(bare, 12, u32(2))), 'unsupported')
bad('flag-3', 'flags 1 and 2', resigned(patched(bare, 12, u32(3))), 'unsupported')
bad('flag-high', 'the highest flag', resigned(patched(bare, 12, [0x80])), 'unsupported')
bad('recovery-2', 'a recovery key that is not there', resigned(patched(bare, AT.recovery, [2])), 'malformed')
bad('recovery-2-bytes', 'a recovery key of 300 bytes', spliced(bare, AT.recovery, AT.vaults, run(2, 300)), 'malformed')
/** Cuts a record to this length and makes its checksum right, so that the byte at an offset of the checksum is `byte`. */
function cutWith(length: number, offset: number, byte: number): Bytes {
  for (let tries = 0; ; tries++) {
    const cut = resummed(patched(bare.subarray(0, length), 60, u32(tries)))
    if (cut[offset] === byte) return cut
  }
}
bad(
  'recovery-2-cut',
  'the checksum is at the place of the recovery',
  cutWith(AT.recovery + 4, AT.recovery, 2),
  'malformed',
)
bad('recovery-cut', 'no recovery', resummed(bare.subarray(0, AT.recovery)), 'malformed')
// Step 4.
const counted = (count: number) => resigned(patched(bare, AT.vaults, u16(count)))
bad('257-vaults', 'a count of 257 vaults, and one vault', counted(257), 'limit-exceeded')
bad(
  '257-vaults-there',
  '257 vaults',
  spliced(many, AT.vaults, AT.vault, u16(257), many.subarray(AT.vault, AT.handover)),
  'limit-exceeded',
)
bad(
  '257-vaults-admin',
  'a count of 257, with an admin',
  resigned(patched(full, AT.vaults + CARD, u16(257))),
  'limit-exceeded',
)
bad(
  '257-vaults-cut',
  'a count of 257 at the end of a record',
  resummed(concat(bare.subarray(0, AT.vaults), u16(257), run(0, 8))),
  'limit-exceeded',
)
bad(
  '257-vaults-only',
  'a record that ends with a count above 256, which is part of its checksum',
  endingWithCount(),
  'limit-exceeded',
)
/** Returns a record of 283 bytes: the last ones of its checksum are a recovery of 0 and a count above 256. */
function endingWithCount(): Bytes {
  for (let i = 0; ; i++) {
    const bytes = resummed(concat(patched(bare, AT.previous, u16(i)).subarray(0, AT.recovery - 5), run(0, 8)))
    if (bytes[AT.recovery] === 0 && bytes[AT.vaults]! >= 2) return bytes
  }
}
bad(
  'vaults-cut',
  'half of a count',
  resummed(concat(bare.subarray(0, AT.vaults), u16(257).subarray(0, 1), run(0, 0))),
  'malformed',
)
bad('2-vaults', 'a count of 2, and one vault', counted(2), 'malformed')
bad('version-zero', 'profile version 0', resigned(patched(bare, AT.version, run(0, 8))), 'malformed')
bad('version-huge', 'profile version 2⁵³', resigned(patched(bare, AT.version, u64(2 ** 53))), 'malformed')
bad('recovery-3', 'recovery 3', resigned(patched(bare, AT.recovery, [3])), 'malformed')
bad('recovery-255', 'recovery 255', resigned(patched(bare, AT.recovery, [255])), 'malformed')
bad('recovery-1', 'an admin without a card', resigned(patched(bare, AT.recovery, [1])), 'malformed')
bad(
  'recovery-0',
  'nobody, and a card, whose magic is where the count is',
  resigned(patched(full, AT.recovery, [0])),
  'limit-exceeded',
)
bad('slot-generation-zero', 'a slot of generation 0', resigned(patched(bare, AT.slot, u32(0))), 'malformed')
const [first, second] = [AT.slot + CARD, AT.slot + CARD + 149]
const swapped = spliced(full, first, second + 149, full.subarray(second, second + 149), full.subarray(first, second))
bad('generations-descending', 'the slots in the other order', swapped, 'malformed')
bad('generations-equal', 'two slots of one generation', resigned(patched(full, second, u32(3))), 'malformed')
const recovery = second + 149 + 2
const recoveryLength = 1716
bad(
  'recovery-generation-zero',
  'a recovery slot of generation 0',
  resigned(patched(full, recovery, u32(0))),
  'malformed',
)
const recoveryTwice = resigned(patched(full, recovery + recoveryLength, u32(3)))
bad('recovery-generations-equal', 'two recovery slots of one generation', recoveryTwice, 'malformed')
bad(
  'recovery-generations-descending',
  'recovery slots in the other order',
  spliced(
    full,
    recovery,
    recovery + 2 * recoveryLength,
    full.subarray(recovery + recoveryLength, recovery + 2 * recoveryLength),
    full.subarray(recovery, recovery + recoveryLength),
  ),
  'malformed',
)
bad('due-2', 'due 2', resigned(patched(bare, AT.slot + 4, [2])), 'malformed')
const vault = bare.subarray(AT.vault, AT.handover)
const vaults = (count: number, ...parts: Uint8Array[]) => spliced(bare, AT.vaults, AT.handover, u16(count), ...parts)
bad('no-slot', 'a vault without a slot', vaults(1, vault.subarray(0, 32), u16(0), u16(0)), 'malformed')
bad('vault-twice', 'one vault id twice', vaults(2, vault, vault), 'malformed')
const slotOfAdmin = concat(u32(1), recoverySlot(keyOf(1)).bytes)
bad(
  'hidden-recovery',
  'a recovery slot where nobody can reset',
  vaults(1, vault.subarray(0, -2), u16(1), slotOfAdmin),
  'malformed',
)
const handover = (...parts: Uint8Array[]) => spliced(bare, AT.handover, AT.handover + 1, ...parts)
bad('handover-4', 'handover 4', handover(run(4, 1), run(0, 64)), 'malformed')
bad('handover-cut', 'a handover without a signature', handover(run(1, 1)), 'malformed')
bad('handover-card-cut', 'a handover by a card without a signature', handover(run(2, 1)), 'malformed')
bad('handover-none-signed', 'no handover, and its signature', handover(run(0, 65)), 'malformed')
bad('handover-3-cut', 'a handover by a recovery key, a byte short', handover(run(3, 64)), 'malformed')
const notMarked = resigned(patched(handedByCard, 15, [0]), signs(nextIdentity))
bad('handover-card-flag', 'a handover by the card, without flag 1', notMarked, 'malformed')
bad('previous-unsigned', 'another previous, not signed', remacked(flipped(bare, AT.previous)), 'authentication-failed')
bad('trailing', 'a byte too many', handover(run(0, 2)), 'malformed')
bad('cut', 'no handover at all', handover(), 'malformed')
bad(
  'trailing-checksum',
  'a byte between mac and checksum',
  resummed(concat(bare.subarray(0, -8), run(0, 9))),
  'malformed',
)
const byRecoveryKey = handover(run(3, 1), run(0, 64))
bad('handover-3', 'a handover by a recovery key where there is none', byRecoveryKey, 'malformed')
// Steps 5 and 6.
profile('rollback', 'one below the floor', bare, { floor: 6, expect: 'rollback' })
const stolen = { rootKey: withBytes(otherRootKey, hex), expect: 'wrong-password' } as const
profile('wrong-password', 'another root key', bare, stolen)
// Step 7.
inside('mac', 'one bit of the mac', resummed(flipped(bare, bare.length - 10)))
inside('mac-other-key', 'the mac of another root key', remacked(bare, otherRootKey))
bad(
  'signature',
  'one bit of the signature, under a right mac',
  remacked(flipped(bare, bare.length - 100)),
  'authentication-failed',
)
bad('signature-stranger', 'signed by another identity', resigned(bare, signs(stranger)), 'authentication-failed')
bad(
  'signature-label',
  'signed for another purpose',
  resigned(bare, undefined, undefined, 'sign/handover'),
  'authentication-failed',
)
bad('signature-none', 'no signature', remacked(patched(bare, bare.length - 136, run(0, 64))), 'authentication-failed')
bad('identity', 'one bit of the identity', remacked(flipped(bare, AT.identity)), 'authentication-failed')
inside('profile-id', 'another profile id', resigned(flipped(bare, 40)))
const renamed = resigned(patched(bare, AT.identity, nextIdentity.publicKey), signs(nextIdentity))
inside('identity-other', 'another identity has signed it, with the seed of the right one', renamed)
const seedAt = AT.seed
inside('seed-key-id', 'one bit of the key id in the WRAP of the seed', resigned(flipped(bare, seedAt + 20)))
inside('seed-nonce', 'one bit of n in the WRAP of the seed', resigned(flipped(bare, seedAt + 50)))
inside('seed-commitment', 'one bit of c in the WRAP of the seed', resigned(flipped(bare, seedAt + 90)))
inside('seed-text', 'one bit of the seed, encrypted', resigned(flipped(bare, seedAt + 120)))
inside('seed-tag', 'one bit of the tag of the seed', resigned(flipped(bare, seedAt + 159)))
inside('seed-magic', 'the WRAP of the seed has no magic', resigned(flipped(bare, seedAt)))
inside('seed-suite', 'suite 0x0402 in the WRAP of the seed', resigned(patched(bare, seedAt + 6, [4, 2])))
inside('seed-generation', 'generation 1 in the WRAP of the seed', resigned(patched(bare, seedAt + 8, u32(1))))
interface SeedPlace {
  type?: number
  ownerId?: Uint8Array
  context?: Uint8Array
  seed?: SecretKey<'signing'>
  key?: SecretKey<'root'>
}
function seedOf({ type, ownerId, context, seed, key }: SeedPlace): Bytes {
  const place = {
    type: type ?? ObjectType.identity,
    ownerId: ownerId ?? profileId,
    context: context ?? lengthPrefixed(identity.publicKey),
  }
  const wrapped = withBytes(seed ?? identity.seed, (secret) => wrapSecret(key ?? rootKey, secret, place))
  return resigned(patched(bare, seedAt, wrapped))
}
good('seed-again', 'the WRAP of the seed made again', seedOf({}), [keyOf(1)])
inside('seed-type', 'a WRAP of type 2', seedOf({ type: ObjectType.slot }))
inside('seed-owner', 'a WRAP of another profile', seedOf({ ownerId: run(0xa2, 16) }))
inside(
  'seed-context',
  'a WRAP with the context of another identity',
  seedOf({ context: lengthPrefixed(stranger.publicKey) }),
)
inside('seed-context-empty', 'a WRAP without a context', seedOf({ context: new Uint8Array(0) }))
inside('seed-other', 'the seed of another identity, rightly wrapped', seedOf({ seed: stranger.seed }))
inside('seed-other-key', 'a seed under another root key', seedOf({ key: otherRootKey }))
inside('slot', 'one bit of a slot', resigned(flipped(bare, AT.slot + 100)))
inside('slot-generation', 'another generation of a slot', resigned(patched(bare, AT.slot, u32(9))))
inside('slot-vault', 'another vault id', resigned(flipped(bare, AT.vault)))
const slotOf = (ownerId: Uint8Array, key = rootKey, vaultOf: Uint8Array = vaultId) =>
  resigned(patched(bare, AT.slot + 5, wrapSlot(key, ownerId, vaultOf, keyOf(1)).bytes))
inside('slot-owner', 'a slot of another profile', slotOf(run(0xa2, 16)))
inside('slot-other-key', 'a slot under another root key', slotOf(profileId, otherRootKey))
inside('slot-other-vault', 'a slot of another vault', slotOf(profileId, rootKey, run(0xb2, 16)))
inside('slot-type', 'type 3 in a slot', resigned(patched(bare, AT.slot + 5 + 5, [3])))
inside('slot-last', 'one bit of the second slot', resigned(flipped(full, second + 100)))
inside('card', 'a card whose signature does not hold', resigned(flipped(full, AT.recovery + 1 + 100)))
inside('card-type', 'type 13 in the card', resigned(patched(full, AT.recovery + 1 + 5, [13])))

// Signatures that nobody makes by accident (§1.5). Without the key, only the signature can be wrong here.
const odd = (id: string, comment: string, bytes: Uint8Array) => bad(id, comment, bytes, 'authentication-failed')
const seedBytes = withBytes(identity.seed, (seed) => new Uint8Array(seed))
odd(
  'signature-unreduced',
  'S + L for S',
  resigned(bare, (message) => unreduced(signs(identity)(message))),
)
const oddR = (message: Uint8Array) => signatureFor(seedBytes, identity.publicKey, message, HONEST_R.add(TORSION))
odd('signature-mixed-order', 'an R of mixed order, with an S that fits it', resigned(bare, oddR))
const neutral = new Uint8Array(Buffer.from(`ee${'ff'.repeat(30)}7f`, 'hex')) // y = p + 1
odd(
  'signature-r-not-canonical',
  'an R that is not canonical, with an S that fits it',
  resigned(bare, (message) => {
    const { scalar } = ed25519.utils.getExtendedPublicKey(seedBytes)
    const challenge = createHash('sha512')
      .update(concat(neutral, identity.publicKey, message))
      .digest()
    const k = BigInt(`0x${challenge.reverse().toString('hex')}`)
    const S = ed25519.Point.Fn.create(k * scalar)
    return concat(neutral, new Uint8Array(Buffer.from(S.toString(16).padStart(64, '0'), 'hex')).reverse())
  }),
)
const anything = concat(new Uint8Array([1]), run(0, 63)) // R = the neutral element, S = 0
const under = (key: Uint8Array) => resigned(patched(bare, AT.identity, key), () => anything)
odd(
  'identity-small-order',
  'the neutral element, under which this is a signature',
  under(concat(new Uint8Array([1]), run(0, 31))),
)
odd('identity-not-canonical', 'the same, not canonical', under(neutral))
const mixed = ed25519.Point.fromBytes(identity.publicKey).add(TORSION).toBytes()
function mixedOrder(): Bytes {
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), mixed])
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  for (let version = 1; ; version++) {
    const named = patched(patched(bare, AT.identity, mixed), AT.version, u64(version))
    const signed = resigned(named, (message) => signatureFor(seedBytes, mixed, message))
    // It holds without the cofactor, if a reader does not refuse the key.
    const message = concat(domain('sign/profile'), signed.subarray(0, -136))
    if (verify(null, message, key, signed.subarray(-136, -72))) return signed
  }
}
odd('identity-mixed-order', 'an identity of mixed order, and a signature that holds', mixedOrder())

// Two faults: which one is reported.
bad('order-checksum-type', 'a wrong checksum, and type 13', patched(bare, 5, [13]), 'malformed')
bad(
  'order-type-fields',
  'type 13, and version 0',
  resigned(patched(patched(bare, 5, [13]), 48, run(0, 8))),
  'unsupported',
)
bad(
  'order-recovery-version',
  'a recovery key that is not there, and version 0',
  resigned(patched(patched(bare, 48, run(0, 8)), AT.recovery, [2])),
  'malformed',
)
bad(
  'order-vaults-version',
  '257 vaults, and version 0',
  resigned(patched(counted(257), 48, run(0, 8))),
  'limit-exceeded',
)
bad(
  'order-recovery-vaults',
  'recovery 3, and 257 vaults',
  resigned(patched(counted(257), AT.recovery, [3])),
  'malformed',
)
bad(
  'order-recovery-key-vaults',
  'a recovery key that is not there, and 257 vaults where nobody would be',
  resigned(patched(counted(257), AT.recovery, [2])),
  'malformed',
)
bad(
  'order-recovery-card-vaults',
  'recovery 3, and 257 vaults behind a card',
  resigned(patched(patched(full, AT.vaults + CARD, u16(257)), AT.recovery, [3])),
  'malformed',
)
bad(
  'order-version-handover',
  'version 0, and a handover by a recovery key',
  resigned(patched(byRecoveryKey, 48, run(0, 8))),
  'malformed',
)
bad(
  'order-handover-floor',
  'a handover by a recovery key where there is none, below the floor',
  byRecoveryKey,
  'malformed',
  { floor: 6 },
)
bad(
  'order-twice-handover',
  'a vault twice, and a handover by a recovery key',
  spliced(byRecoveryKey, AT.vaults, AT.handover, u16(2), vault, vault),
  'malformed',
)
profile('order-floor-password', 'below the floor, and another root key', bare, {
  ...stolen,
  floor: 6,
  expect: 'rollback',
})
profile(
  'order-floor-signature',
  'below the floor, and no signature',
  remacked(patched(bare, bare.length - 136, run(0, 64))),
  {
    ...{ floor: 6, expect: 'rollback', withoutKey: 'authentication-failed' },
  },
)
profile('order-password-mac', 'another root key, and a wrong mac', resummed(flipped(bare, bare.length - 10)), stolen)
profile(
  'order-password-signature',
  'another root key, and a wrong signature',
  remacked(flipped(bare, bare.length - 100)),
  {
    ...{ ...stolen, withoutKey: 'authentication-failed' },
  },
)

// ── profiles with a recovery key ─────────────────────────────────────────────────────────────────────────────────────
const keyed = record(withKey)
function goodKey(id: string, comment: string, bytes: Uint8Array, by = identity, more: Partial<ProfileVector> = {}) {
  const { keys } = recoveryKey
  const opened = { seed: withBytes(by.seed, hex), keys: slotVectors(both) }
  profile(`key-${id}`, comment, bytes, { recoveryKey: hex(encode(recoveryPublicKeys, keys)), ...opened, ...more })
}
goodKey('created', 'a recovery key, in the middle of a rotation', keyed)
goodKey('no-vaults', 'as createProfile makes it with a recovery key', record({ ...withKey, vaults: [] }), identity, {
  keys: [],
})
goodKey('next', 'the record behind it', behind(keyed, { ...withKey, version: 10 }))
const keyedNext = { ...withKey, version: 10, identity: nextIdentity, recovery: keyRecovery(nextIdentity) }
const resetByKey = behind(keyed, keyedNext, handedByKey)
goodKey('reset', 'the recovery key has replaced the identity', resetByKey, nextIdentity)
const keptByIdentity = behind(keyed, keyedNext, byIdentity)
goodKey('handover-identity', 'the former identity has replaced it', keptByIdentity, nextIdentity)
const noHandover = patched(resetByKey, resetByKey.length - 200, run(0, 64))
goodKey(
  'handover-zeros',
  'a handover by the recovery key that does not hold: readers do not check it',
  resigned(noHandover, signs(nextIdentity)),
  nextIdentity,
)
goodKey('signature', 'the recovery key has not signed the identity: readers do not check it', unsignedKey)
const neutralKey = patched(run(0, 32), 0, [1])
goodKey(
  'signing-odd',
  'the recovery key signs with the neutral element: only what is sealed to is looked at',
  resigned(patched(keyed, KEY_AT.signing, neutralKey)),
  identity,
  { recoveryKey: hex(patched(encode(recoveryPublicKeys, recoveryKey.keys), 1600, neutralKey)) },
)
goodKey('no-recovery-slots', 'no recovery slot for any key', record({ ...withKey, vaults: [vaultWith(both)] }))

const countedKey = (count: number) => resigned(patched(keyed, AT.vaults + KEY, u16(count)))
bad('key-257-vaults', 'a count of 257, with a recovery key', countedKey(257), 'limit-exceeded')
bad(
  'key-257-vaults-cut',
  'the same at the end of a record',
  resummed(concat(keyed.subarray(0, AT.vaults + KEY), u16(257), run(0, 8))),
  'limit-exceeded',
)
bad(
  'key-vaults-cut',
  'half of the same count',
  resummed(concat(keyed.subarray(0, AT.vaults + KEY), u16(257).subarray(0, 1))),
  'malformed',
)
const noVaults = record({ ...withKey, vaults: [] })
const without = (from: number, to: number) => spliced(noVaults, from, to)
bad('key-keys-cut', 'KEYS, a byte short', without(KEY_AT.signing, KEY_AT.signing + 1), 'malformed')
bad(
  'key-signature-cut',
  'the signature of the recovery key, a byte short',
  without(AT.vaults + KEY - 1, AT.vaults + KEY),
  'malformed',
)
bad('key-flag', 'flag 1, with a recovery key', resigned(patched(keyed, 15, [1])), 'malformed')
const handoverKind = (stored: Bytes, kind: number, by = nextIdentity) =>
  resigned(patched(stored, stored.length - 201, [kind]), signs(by))
bad('key-handover-card', 'a handover by a card, with a recovery key', handoverKind(resetByKey, 2), 'malformed')
bad('key-handover-card-flag', 'the same, with flag 1', handoverKind(patched(resetByKey, 15, [1]), 2), 'malformed')
bad(
  'key-handover-flag',
  'a handover by the recovery key, with flag 1',
  resigned(patched(resetByKey, 15, [1]), signs(nextIdentity)),
  'malformed',
)
bad(
  'handover-3-admin',
  'a handover by a recovery key, with an admin',
  handoverKind(patched(handedByCard, 15, [0]), 3),
  'malformed',
)
bad('handover-3-admin-flag', 'the same, with flag 1', handoverKind(handedByCard, 3), 'malformed')
bad(
  'key-handover-cut',
  'a handover by the recovery key, a byte short',
  spliced(resetByKey, resetByKey.length - 137, resetByKey.length - 136),
  'malformed',
)
bad('key-hidden', 'a recovery key, called nobody', resigned(patched(keyed, AT.recovery, [0])), 'limit-exceeded')
inside('key-low-order', 'a recovery key with a pk_x of low order', resigned(patched(keyed, KEY_AT.x25519, run(0, 32))))
inside('key-modulus', 'a recovery key whose pk_m is none', resigned(patched(keyed, KEY_AT.mlKem1024, run(0xff, 3))))
inside(
  'key-modulus-last',
  'the same in its last coefficients',
  resigned(patched(keyed, KEY_AT.mlKem1024 + 1533, run(0xff, 3))),
)
inside('key-mac', 'one bit of the mac, with a recovery key', resummed(flipped(keyed, keyed.length - 10)))
bad('key-altered', 'one bit of KEYS, not signed', remacked(flipped(keyed, KEY_AT.x25519)), 'authentication-failed')
bad(
  'order-key-vaults-version',
  'a recovery key with 257 vaults, and version 0',
  resigned(patched(countedKey(257), AT.version, run(0, 8))),
  'limit-exceeded',
)
bad(
  'order-key-flag-floor',
  'flag 1 with a recovery key, below the floor',
  resigned(patched(keyed, 15, [1])),
  'malformed',
  { floor: 10 },
)
bad('order-key-flag-2', 'flag 2, and a count of 257', resigned(patched(countedKey(257), 15, [2])), 'unsupported')
append('profile.json', profiles)

// ── keyrings ─────────────────────────────────────────────────────────────────────────────────────────────────────────
const one = keyringOf(4, [keyOf(1)])
const two = keyringOf(5, both)
const keyrings: KeyringVector[] = []
function keyring(
  id: string,
  comment: string,
  bytes: Uint8Array,
  keys: readonly KeyringKey[],
  more: Partial<KeyringVector> = {},
): void {
  const place = { id, section: '14.2', comment, keyring: hex(bytes), vaultId: hex(vaultId), keys: keyVectors(keys) }
  keyrings.push({ ...place, dataKey: withBytes(dataKey, hex), live: [], expect: 'ok', ...more })
}
const refused = { expect: 'authentication-failed' } as const
const malformed = { expect: 'malformed' } as const
const unsupported = { expect: 'unsupported' } as const
keyring('one', 'one wrap', one, [keyOf(1)], { live: [1] })
keyring('two', 'two wraps, both live', two, both, { live: [3, 4] })
keyring('lower-live', 'the profile has the lower key alone', two, [keyOf(3)], { live: [3] })
keyring('higher-live', 'the profile has the higher key, and one that is gone', two, [keyOf(2), keyOf(4)], { live: [4] })
const otherKey = [{ generation: 1, key: new SecretKey('keyring', run(9, 16)) }]
keyring('other-key', 'a key of the right generation that opens nothing', one, otherKey, refused)
keyring('none-live', 'no key of a generation that is there', one, [keyOf(2)], refused)
keyring('no-keys', 'no key at all', one, [], refused)
// The signature is for the server.
keyring('former-identity', 'signed by a former identity', keyringOf(4, [keyOf(1)], stranger), [keyOf(1)], { live: [1] })
const unsigned = keyringRemacked(patched(one, one.length - 136, run(0, 64)))
keyring('unsigned', 'signed by nobody', unsigned, [keyOf(1)], { live: [1] })
keyring(
  'signature',
  'one bit of the signature, and the mac of the other',
  resummed(flipped(one, one.length - 100)),
  [keyOf(1)],
  refused,
)
// The form.
const short = resummed(patched(one.subarray(0, 55), 5, [12]))
keyring('short', '55 bytes with a right checksum, and type 12', short, [keyOf(1)], malformed)
keyring('empty', 'no bytes at all', new Uint8Array(0), [keyOf(1)], malformed)
keyring('header-alone', 'a header and its checksum', resummed(one.subarray(0, 56)), [keyOf(1)], malformed)
keyring('checksum', 'one bit, by accident', flipped(one, 200), [keyOf(1)], malformed)
keyring('key-id-damaged', 'one bit of the key id, by accident', flipped(one, 20), [keyOf(1)], malformed)
keyring('magic', 'kSTR', keyringResigned(patched(one, 0, [0x6b])), [keyOf(1)], malformed)
keyring('header-cut', '47 bytes', one.subarray(0, 47), [keyOf(1)], malformed)
keyring('header-version', 'version 2 of this document', keyringResigned(patched(one, 4, [2])), [keyOf(1)], unsupported)
keyring('type', 'type 12', keyringResigned(patched(one, 5, [12])), [keyOf(1)], unsupported)
keyring('suite', 'suite 0x0201', keyringResigned(patched(one, 6, [2, 1])), [keyOf(1)], unsupported)
keyring('generation-0', 'generation 0 of the header', keyringResigned(patched(one, 8, u32(0))), [keyOf(1)], unsupported)
keyring('generation-2', 'generation 2 of the header', keyringResigned(patched(one, 8, u32(2))), [keyOf(1)], unsupported)
keyring('flag', 'flag 1', keyringResigned(patched(one, 15, [1])), [keyOf(1)], unsupported)
keyring(
  'version-zero',
  'keyring version 0',
  keyringResigned(patched(one, RING.version, run(0, 8))),
  [keyOf(1)],
  malformed,
)
keyring(
  'version-huge',
  'keyring version 2⁵³',
  keyringResigned(patched(one, RING.version, u64(2 ** 53))),
  [keyOf(1)],
  malformed,
)
keyring('last-version', 'keyring version 2⁵³ − 1', keyringOf(2 ** 53 - 1, [keyOf(1)]), [keyOf(1)], { live: [1] })
keyring(
  'no-wraps',
  'rightly signed and macked, and no wrap',
  keyringResigned(concat(one.subarray(0, RING.count), u16(0), one.subarray(-136))),
  [keyOf(1)],
  malformed,
)
keyring(
  'generation-zero',
  'a wrap of generation 0',
  keyringResigned(patched(one, RING.wrap, u32(0))),
  [keyOf(1)],
  malformed,
)
const [middle, end] = [RING.wrap + 164, RING.wrap + 2 * 164]
const [lower, higher] = [two.subarray(RING.wrap, middle), two.subarray(middle, end)]
const wraps = (...all: Uint8Array[]) => keyringResigned(concat(two.subarray(0, RING.wrap), ...all, two.subarray(end)))
keyring('generations-descending', 'the wraps in the other order', wraps(higher, lower), both, malformed)
keyring('generations-equal', 'one wrap twice', wraps(lower, lower), both, malformed)
keyring('count', 'a count of 3, and two wraps', keyringResigned(patched(two, RING.count, u16(3))), both, malformed)
keyring('trailing', 'a byte too many', resummed(concat(one, run(0, 1))), [keyOf(1)], malformed)
keyring('trailing-wraps', 'a byte behind the wraps', wraps(lower, higher, run(0, 1)), both, malformed)
keyring('cut', 'a byte short', resummed(one.subarray(0, -1)), [keyOf(1)], malformed)
keyring(
  'cut-signature',
  'no signature',
  resummed(concat(one.subarray(0, -136), one.subarray(-72))),
  [keyOf(1)],
  malformed,
)
// The ids and the mac.
keyring('other-vault', 'another vault', one, [keyOf(1)], { vaultId: hex(run(0xb2, 16)), ...refused })
keyring('owner-id', 'another owner id, under a right mac', keyringResigned(flipped(one, 40)), [keyOf(1)], refused)
keyring('key-id', 'another key id, under a right mac', keyringResigned(flipped(one, 20)), [keyOf(1)], refused)
keyring('other-data-key', 'the key id of another A-key in the profile', one, [keyOf(1)], {
  ...{ dataKey: '22'.repeat(32), ...refused },
})
keyring('mac', 'one bit of the mac', resummed(flipped(one, one.length - 9)), [keyOf(1)], refused)
keyring('version', 'another version', resummed(flipped(one, 55)), [keyOf(1)], refused)
keyring('previous', 'another previous', resummed(flipped(one, RING.previous)), [keyOf(1)], refused)
const otherPrevious = keyringResigned(flipped(one, RING.previous))
keyring('previous-signed', 'another previous, rightly signed: readers do not know it', otherPrevious, [keyOf(1)], {
  live: [1],
})
keyring('next', 'the keyring behind another one', keyringOf(5, both, identity, one), both, { live: [3, 4] })
keyring('wrap', 'one bit of a wrap, under a right mac', keyringResigned(flipped(one, 200)), [keyOf(1)], refused)
// A wrap that does not open is not live, whatever is wrong with it.
const notLive = (id: string, comment: string, bytes: Uint8Array) =>
  keyring(`not-live-${id}`, comment, keyringResigned(bytes), both, { live: [4] })
notLive('text', 'one bit of the first wrap', flipped(two, 200))
notLive('magic', 'the first wrap has no magic', flipped(two, RING.wrap + 4))
notLive('type', 'type 2 in the first wrap', patched(two, RING.wrap + 4 + 5, [2]))
notLive('suite', 'suite 0x0402 in the first wrap', patched(two, RING.wrap + 4 + 6, [4, 2]))
notLive('owner', 'another owner of the first wrap', flipped(two, RING.wrap + 4 + 40))
notLive('generation', 'another generation of the first wrap', patched(two, RING.wrap, u32(2)))
/** The second wrap with this A-key in it, or in another place. */
function secondWrap(more: {
  key?: Uint8Array
  ownerId?: Uint8Array
  of?: Uint8Array
  type?: number
  at?: number
}): Bytes {
  const place = {
    type: more.type ?? ObjectType.dataKeyWrap,
    ownerId: more.ownerId ?? vaultId,
    context: concat(lengthPrefixed(more.of ?? vaultId), u32(more.at ?? 4)),
  }
  const key = more.key ?? withBytes(dataKey, (bytes) => new Uint8Array(bytes))
  return wraps(lower, u32(4), wrapSecret(keyOf(4).key, key, place))
}
keyring('again', 'the second wrap made again', secondWrap({}), both, { live: [3, 4] })
keyring('two-data-keys', 'wraps of two A-keys, under a right mac', secondWrap({ key: run(0x22, 32) }), both, refused)
keyring(
  'wrap-owner',
  'the header of the second wrap names another vault',
  secondWrap({ ownerId: run(0xb2, 16) }),
  both,
  {
    live: [3],
  },
)
keyring('wrap-context', 'the context of the second wrap names another vault', secondWrap({ of: run(0xb2, 16) }), both, {
  live: [3],
})
keyring('wrap-type', 'the second wrap is of type 2', secondWrap({ type: 2 }), both, { live: [3] })
keyring('wrap-generation', 'the second wrap is of another generation', secondWrap({ at: 5 }), both, {
  live: [3],
})
const foreign = new SecretKey('data', run(0x22, 32))
const foreignWrap = wrapSecret(keyOf(1).key, run(0x22, 32), {
  ...{ type: ObjectType.dataKeyWrap, ownerId: vaultId, context: concat(lengthPrefixed(vaultId), u32(1)) },
})
keyring(
  'foreign-data-key',
  'another A-key and its mac, under the key id of the right one',
  keyringRemacked(patched(one, RING.wrap + 4, foreignWrap), foreign),
  [keyOf(1)],
  refused,
)
// Two faults.
keyring(
  'order-type-count',
  'type 12, and no wraps',
  keyringResigned(patched(patched(one, 5, [12]), RING.count, u16(0))),
  [keyOf(1)],
  unsupported,
)
keyring('order-checksum-type', 'a wrong checksum, and type 12', patched(one, 5, [12]), [keyOf(1)], malformed)
keyring('order-cut-vault', 'a byte short, and another vault', resummed(one.subarray(0, -1)), [keyOf(1)], {
  ...{ vaultId: hex(run(0xb2, 16)), ...malformed },
})
append('keyring.json', keyrings)
