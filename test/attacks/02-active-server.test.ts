// Row 2. The server can change what it stores and lie about it. A device relies only on the password, a MAC under a
// key from it, and the last version that it saw. An admin who resets does not even have the MAC.
import { createProfile, openProfile, deriveLogin, resetProfile, type VaultStore } from '../../src/vault.ts'
import { ownerOf } from '../../src/vault/login.ts'
import { describe, expect, it } from 'vitest'
import { decode, encode } from '../../src/core/codec.ts'
import { storedProfile } from '../../src/vault/layout.ts'
import { parseProfile } from '../../src/vault/profile-record.ts'
import { fillTrailer, macUnder } from '../../src/core/trailer.ts'
import { checkProfile } from '../../src/server.ts'
import { ALICE, failure, flipped, MemoryVaultStore, PASSWORD, patched, resummed } from '../fixtures.ts'
import { quickKeyset } from './known.ts'

const alice = await deriveLogin(PASSWORD, ALICE)
const renewed = await deriveLogin('a new one', ALICE)
const bob = await deriveLogin(PASSWORD, { ...ALICE, user: 'bob' })
const [admin, other] = [await quickKeyset(), await quickKeyset()]

async function enrol(login: typeof alice) {
  const store = new MemoryVaultStore()
  const { profile, vault } = await createProfile(login, { admin: admin.card() }).createVault(store)
  return { store, profile, vault, record: profile.record }
}

/** The fields of a profile with one vault and an admin, in their order (SPEC §9). */
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
  ['zero trust', 1],
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
  ['mac', 64],
]

const enrolled = await enrol(alice)

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
    const theirs = resummed(patched(record, 58, other.card().bytes))
    await failure(() => openProfile(theirs, alice), 'authentication-failed')
    // An admin who resets cannot check the MAC: the new record gets their own card, never the one in the old record.
    await failure(() => resetProfile(theirs, other, renewed), 'key-not-found')
    const reset = resetProfile(theirs, admin, renewed)
    expect(parseProfile(reset.record).admin).toEqual(admin.card().bytes)
  })
})

describe('an active server wants another user’s slot', () => {
  it('cannot swap the slots of two users', async () => {
    const [mine, theirs] = [await enrol(alice), await enrol(bob)]
    const { record } = mine
    const [slotAt, recoveryAt] = [record.length - 72 - 1716 - 2 - 148, record.length - 72 - 1716]
    const swap = (at: number, length: number) => resummed(patched(record, at, theirs.record.subarray(at, at + length)))
    await failure(() => openProfile(swap(slotAt, 148), alice), 'authentication-failed')
    // The admin has no MAC to check, but the slot is bound to realm and user.
    await failure(() => resetProfile(swap(recoveryAt, 1716), admin, renewed), 'authentication-failed')
    await failure(() => resetProfile(theirs.record, admin, renewed), 'authentication-failed')
    expect(resetProfile(record, admin, renewed).vaults).toEqual([mine.vault.id])
    // Two users with the same password still have different keys: one cannot open the profile of the other.
    await failure(() => openProfile(theirs.record, alice), 'wrong-password')
  })

  it('cannot swap the slots of two vaults, or move one to another generation, even with a valid MAC', async () => {
    const { profile, store } = await enrol(alice)
    const { record } = (await profile.createVault(store)).profile
    const [first, second] = parseProfile(record).vaults
    const at = (part: Uint8Array) => Buffer.from(record).indexOf(part)
    const swapped = (one: Uint8Array, two: Uint8Array) => patched(patched(record, at(one), two), at(two), one)
    const slots = swapped(first!.slots[0]!.bytes, second!.slots[0]!.bytes)
    const moved = patched(record, at(first!.slots[0]!.bytes) - 5, [0, 0, 0, 2])
    for (const altered of [slots, moved]) {
      await failure(() => openProfile(resummed(altered), alice), 'authentication-failed')
      // With a valid MAC, the slot's own context still rejects it.
      fillTrailer(altered, (part) => macUnder(ownerOf(alice).rootKey, 'profile-mac', [], part))
      await failure(() => openProfile(altered, alice), 'authentication-failed')
    }
    const recovery = swapped(first!.recoverySlots[0]!.bytes, second!.recoverySlots[0]!.bytes)
    await failure(() => resetProfile(resummed(recovery), admin, renewed), 'authentication-failed')
  })
})

describe('an active server wants a vault not to be rotated', () => {
  it('cannot hide a vault from a rotation of all vaults, or claim another version', async () => {
    const { store, profile } = await enrol(alice)
    const { profile: both } = await profile.createVault(store)
    const fields = decode(storedProfile, both.record, 'profile')
    const forgeries = [{ vaults: fields.vaults.slice(0, 1) }, { vaults: [] }, { version: both.version + 5 }]
    for (const forgery of forgeries) {
      const forged = resummed(encode(storedProfile, { ...fields, ...forgery }))
      let reads = 0
      const lying = new Proxy(store, {
        get: (_, name: keyof MemoryVaultStore) =>
          // The first read asks whether a profile exists; the second reads its content.
          name === 'readProfile'
            ? async () => (reads++ === 1 ? forged : store.readProfile())
            : (store[name] as (...args: unknown[]) => unknown).bind(store),
      })
      await failure(() => both.rotate(lying), 'authentication-failed')
      expect(reads).toBe(2)
    }
    expect(store.profiles.size).toBe(both.version)
  })
})

describe('an active server wants an old state', () => {
  it('cannot replay version − 1, or an earlier one, to a caller who passes the last version seen', async () => {
    const { store, profile } = await enrol(alice)
    const rotated = await profile.rotate(store)
    const atLeast = rotated.version
    expect([...store.profiles.keys()]).toContain(atLeast - 1)
    for (const [version, record] of store.profiles) {
      if (version === atLeast) continue
      await failure(() => openProfile(record, alice, { atLeast }), 'rollback')
      await failure(() => resetProfile(record, admin, renewed, { atLeast }), 'rollback')
      // An honest server does not accept an older version either.
      await failure(() => checkProfile(record, rotated.record), 'conflict')
    }
    expect(openProfile(rotated.record, alice, { atLeast }).version).toBe(atLeast)
  })

  it('cannot replay version − 1 to an open handle: the version of the handle is the floor', async () => {
    const { store, profile } = await enrol(alice)
    const rotated = await profile.rotate(store)
    const replaying: VaultStore = {
      readProfile: async () => store.profiles.get(rotated.version - 1),
      writeProfile: async () => true,
      readKeyring: (vaultId) => store.readKeyring(vaultId),
      writeKeyring: (...keyring) => store.writeKeyring(...keyring),
      dropKeyrings: async () => undefined,
    }
    await failure(() => rotated.rotate(replaying), 'rollback')
    await failure(() => rotated.createVault(replaying), 'rollback')
    await failure(() => rotated.changeRecovery(replaying, { zeroTrust: true }), 'rollback')
  })
})
