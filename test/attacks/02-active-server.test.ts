// Row 2. The server can change what it stores and lie about it. A device relies only on the password, a MAC under a
// key from it, and the last revision that it saw. An admin who resets does not have the MAC, but the identity that they
// have pinned.
import { createProfile, deriveLogin, openProfile, parseProfile, resetProfile } from '../../src/vault.ts'
import { ownerOf } from '../../src/vault/login.ts'
import { describe, expect, it } from 'vitest'
import { decode, encode } from '../../src/core/codec.ts'
import { storedProfile } from '../../src/vault/layout.ts'
import { assertFollows, parseProfileRecord } from '../../src/vault/profile-record.ts'
import { signingPairOf } from '../../src/core/key-pairs.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { type Bytes, concat, domain } from '../../src/core/bytes.ts'
import { sign } from '../../src/primitives/signature.ts'
import type { StateStore } from '../../src/stores.ts'
import { fillTrailer, macUnder } from '../../src/core/trailer.ts'
import { ALICE, failure, flipped, KeepingStore, PASSWORD, patched, resummed } from '../fixtures.ts'
import { quickKeyset } from './known.ts'

const alice = await deriveLogin(PASSWORD, ALICE)
const renewed = await deriveLogin('a new one', ALICE)
const bob = await deriveLogin(PASSWORD, { ...ALICE, user: 'bob' })
const [admin, other] = [await quickKeyset(), await quickKeyset()]

async function enrol(login: typeof alice) {
  const store = new KeepingStore()
  const { profile, vault } = await createProfile(login, { admin: admin.card() }).createVault(store)
  return { store, profile, vault, record: profile.record }
}

/** The fields of a profile with one vault and an admin, in their order (SPEC §13.1). */
const FIELDS: readonly (readonly [string, number])[] = [
  ['magic', 4],
  ['format version', 1],
  ['type', 1],
  ['suite', 2],
  ['generation', 4],
  ['flags', 4],
  ['key id', 16],
  ['profile id', 16],
  ['version', 8],
  ['hash of the record before', 32],
  ['identity', 32],
  ['seed of the identity', 160],
  ['whether there is an admin', 1],
  ['the admin’s card', admin.card().bytes.length],
  ['number of vaults', 2],
  ['vault id', 16],
  ['data key id', 16],
  ['number of slots', 2],
  ['generation of the slot', 4],
  ['rotation due', 1],
  ['slot', 144],
  ['number of recovery slots', 2],
  ['generation of the recovery slot', 4],
  ['recovery slot', 1712],
  ['handover', 1],
  ['signature', 64],
  ['mac', 64],
]

const enrolled = await enrol(alice)

const attacker = signingPairOf(new SecretKey('signing', new Uint8Array(32).fill(7)))

/** Returns a record with a server's own identity, which has signed it. */
function signedByAnother(record: Uint8Array): Bytes {
  const forged = patched(record, 88, attacker.publicKey)
  const at = forged.length - 136
  forged.set(sign(attacker.seed, concat(domain('sign/profile'), forged.subarray(0, at))), at)
  return resummed(forged)
}

describe('an active server wants a weaker KDF, or to change any other field', () => {
  it('has nowhere to put parameters: the list below has every field, and a login needs nothing from it', async () => {
    const { record } = enrolled
    expect(FIELDS.reduce((sum, [, length]) => sum + length, 0) + 8).toBe(record.length)
    // 01-database-thief.test.ts checks that a login takes no parameters from its caller either.
    const again = await deriveLogin(PASSWORD, ALICE)
    expect(openProfile(record, again).vaults).toHaveLength(1)
  })

  it.each(FIELDS.map(([name], index) => [name, index] as const))('cannot change a field: %s', async (_, index) => {
    const { record } = enrolled
    const start = FIELDS.slice(0, index).reduce((sum, [, length]) => sum + length, 0)
    const length = FIELDS[index]![1]
    // Flips every bit of short fields; in long fields, one bit in every 13th byte and in the last bytes.
    for (let at = 0; at < length; at += length > 16 && at + 13 < length ? 13 : 1) {
      for (const bit of length > 16 ? [at % 8] : [0, 1, 2, 3, 4, 5, 6, 7]) {
        const codes = ['authentication-failed', 'malformed', 'limit-exceeded', 'unsupported', 'wrong-password'] as const
        await failure(() => openProfile(resummed(flipped(record, start + at, bit)), alice), ...codes)
      }
    }
  })
})

describe('an active server wants its own admin key', () => {
  it('cannot insert its own admin', async () => {
    const { record } = await enrol(alice)
    const pin = parseProfile(record).identity
    const theirs = resummed(patched(record, 281, other.card().bytes))
    await failure(() => openProfile(theirs, alice), 'authentication-failed')
    // An admin who resets cannot check the MAC, but the signature covers the card.
    for (const keyset of [admin, other]) {
      await failure(() => resetProfile(theirs, keyset, renewed, { identity: 'unpinned' }), 'authentication-failed')
    }
    // A server can sign it as an identity of its own. Then the pin notices, or the admin's card is another one.
    const forged = signedByAnother(theirs)
    await failure(() => openProfile(forged, alice), 'authentication-failed')
    await failure(() => resetProfile(forged, admin, renewed, { identity: pin }), 'key-changed')
    await failure(() => resetProfile(forged, admin, renewed, { identity: 'unpinned' }), 'key-not-found')
  })
})

describe('an active server wants a reset to give the admin vaults that the server made', () => {
  it('cannot: the record must be signed by the identity that the admin has pinned', async () => {
    const { record } = await enrol(alice)
    const { identity } = parseProfile(record)
    // The server can create a whole profile in the place of the user's, with E-keys that it knows.
    const invented = (await createProfile(alice, { admin: admin.card() }).createVault(new KeepingStore())).profile
    await failure(() => resetProfile(invented.record, admin, renewed, { identity }), 'key-changed')
    // Or put a vault of its own into the user's record, and sign that as another identity, or not at all.
    const fields = decode(storedProfile, record, 'profile')
    const vaults = [...fields.vaults, ...decode(storedProfile, invented.record, 'profile').vaults]
    const added = resummed(encode(storedProfile, { ...fields, vaults }))
    await failure(() => resetProfile(added, admin, renewed, { identity }), 'authentication-failed')
    await failure(() => resetProfile(signedByAnother(added), admin, renewed, { identity }), 'key-changed')
    // Control: the pinned record is reset, and so is the invented one by an admin who has pinned nothing.
    expect(resetProfile(record, admin, renewed, { identity }).vaults).toHaveLength(1)
    expect(resetProfile(invented.record, admin, renewed, { identity: 'unpinned' }).vaults).toHaveLength(1)
  })
})

describe('an active server wants another user’s slot', () => {
  it('cannot swap the slots of two users, even if it signs the result as an identity of its own', async () => {
    const [mine, theirs] = [await enrol(alice), await enrol(bob)]
    const { record } = mine
    const { slots, recoverySlots } = parseProfileRecord(record).vaults[0]!
    const at = (part: Uint8Array) => Buffer.from(record).indexOf(part)
    const [slotAt, recoveryAt] = [at(slots[0]!.bytes), at(recoverySlots[0]!.bytes)]
    const swap = (at: number, length: number) => resummed(patched(record, at, theirs.record.subarray(at, at + length)))
    await failure(() => openProfile(swap(slotAt, 144), alice), 'authentication-failed')
    const unpinned = { identity: 'unpinned' }
    // The admin who has pinned nothing still has the slot's context: it is bound to realm and user.
    await failure(
      () => resetProfile(signedByAnother(swap(recoveryAt, 1712)), admin, renewed, unpinned),
      'authentication-failed',
    )
    await failure(() => resetProfile(theirs.record, admin, renewed, unpinned), 'authentication-failed')
    await failure(
      () => resetProfile(theirs.record, admin, renewed, { identity: parseProfile(record).identity }),
      'key-changed',
    )
    expect(resetProfile(record, admin, renewed, unpinned).vaults).toEqual([mine.vault.id])
    // Two users with the same password still have different keys: one cannot open the profile of the other.
    await failure(() => openProfile(theirs.record, alice), 'wrong-password')
  })

  it('cannot swap the slots of two vaults, or move one to another generation, even with a valid MAC', async () => {
    const { profile, store } = await enrol(alice)
    const { record } = (await profile.createVault(store)).profile
    const [first, second] = parseProfileRecord(record).vaults
    const at = (part: Uint8Array) => Buffer.from(record).indexOf(part)
    const swapped = (one: Uint8Array, two: Uint8Array) => patched(patched(record, at(one), two), at(two), one)
    const slots = swapped(first!.slots[0]!.bytes, second!.slots[0]!.bytes)
    const moved = patched(record, at(first!.slots[0]!.bytes) - 5, [0, 0, 0, 2])
    for (const altered of [slots, moved]) {
      await failure(() => openProfile(resummed(altered), alice), 'authentication-failed')
      // With a valid MAC and signature, the slot's own context still rejects it.
      const signed = signedByAnother(altered)
      fillTrailer(signed, (part) => macUnder(ownerOf(alice).rootKey, 'profile-mac', [], part))
      await failure(() => openProfile(signed, alice), 'authentication-failed')
    }
    const recovery = signedByAnother(swapped(first!.recoverySlots[0]!.bytes, second!.recoverySlots[0]!.bytes))
    await failure(() => resetProfile(recovery, admin, renewed, { identity: 'unpinned' }), 'authentication-failed')
  })
})

describe('an active server wants a vault not to be rotated', () => {
  it('cannot hide a vault from a rotation of all vaults, or claim another version', async () => {
    const { store, profile } = await enrol(alice)
    const { profile: both } = await profile.createVault(store)
    const fields = decode(storedProfile, both.record, 'profile')
    const forgeries = [{ vaults: fields.vaults.slice(0, 1) }, { vaults: [] }, { version: fields.version + 5 }]
    const written = store.history.length
    for (const forgery of forgeries) {
      const forged = signedByAnother(resummed(encode(storedProfile, { ...fields, ...forgery })))
      const lying: StateStore = {
        read: async (name) => (name === 'profile' ? { version: 9, bytes: forged } : store.read(name)),
        readVersion: async () => undefined,
        write: (...write) => store.write(...write),
        drop: (...drop) => store.drop(...drop),
      }
      await failure(() => both.rotate(lying), 'authentication-failed')
    }
    expect(store.history).toHaveLength(written)
  })
})

describe('an active server wants an old state', () => {
  it('cannot replay the record before, or an earlier one, to a caller who passes the last revision seen', async () => {
    const { store, profile } = await enrol(alice)
    const rotated = await profile.rotate(store)
    const atLeast = rotated.revision
    const old = store.history.filter(({ name }) => name === 'profile').slice(0, -1)
    expect(old.length).toBeGreaterThan(2)
    for (const { bytes: record } of old) {
      await failure(() => openProfile(record, alice, { atLeast }), 'rollback')
      await failure(() => resetProfile(record, admin, renewed, { identity: rotated.identity, atLeast }), 'rollback')
      // An honest server does not accept an older version either.
      await failure(() => assertFollows(parseProfileRecord(record), parseProfileRecord(rotated.record)), 'conflict')
    }
    expect(openProfile(rotated.record, alice, { atLeast }).revision).toBe(atLeast)
  })

  it('cannot replay the record before to an open handle: the revision of the handle is the floor', async () => {
    const { store, profile } = await enrol(alice)
    const rotated = await profile.rotate(store)
    const before = store.history.filter(({ name }) => name === 'profile').at(-2)!
    const replaying: StateStore = {
      read: async (name) => (name === 'profile' ? before : store.read(name)),
      readVersion: async () => undefined,
      write: async () => true,
      drop: async () => undefined,
    }
    await failure(() => rotated.rotate(replaying), 'rollback')
    await failure(() => rotated.createVault(replaying), 'rollback')
    await failure(() => rotated.changeRecovery(replaying, { zeroTrust: true }), 'rollback')
  })
})
