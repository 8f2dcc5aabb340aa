import { createProfile, deriveLogin, openProfile, type Profile, resetProfile } from '../../src/vault.ts'
import { ownerOf } from '../../src/vault/login.ts'
import { describe, expect, it } from 'vitest'
import { createKeyset, unlockKeyset } from '../../src/index.ts'
import { u32 } from '../../src/core/bytes.ts'
import { type Slot } from '../../src/vault/layout.ts'
import { readCard } from '../../src/core/card.ts'
import { encodeKeyring, sealRecoverySlot } from '../../src/vault/keyring.ts'
import { Recipient } from '../../src/core/key-pairs.ts'
import { encodeProfile, parseProfile } from '../../src/vault/profile-record.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { checkProfile } from '../../src/server.ts'
import { ALICE, CHEAP, failure, flipped, MemoryVaultStore, PASSWORD, patched, resummed, sample } from '../fixtures.ts'

const [login, next, bob] = await Promise.all([
  deriveLogin(PASSWORD, ALICE),
  deriveLogin('another', ALICE),
  deriveLogin(PASSWORD, { ...ALICE, user: 'bob' }),
])
const [admin, otherAdmin] = await Promise.all([
  createKeyset('admin', { costs: CHEAP }),
  createKeyset('other', { costs: CHEAP }),
])
const content = sample(300)

async function withVault(profile: Profile) {
  const store = new MemoryVaultStore()
  const made = await profile.createVault(store)
  return { store, ...made, block: await made.vault.seal(content) }
}
const withAdmin = await withVault(createProfile(login, { admin: admin.card() }))
const zeroTrust = await withVault(createProfile(login, { zeroTrust: true }))

/** Returns the stored bytes of slots. */
const slotBytes = (slots: readonly Slot[]) =>
  slots.flatMap(({ generation, due, bytes }) => [u32(generation), Uint8Array.of(Number(due)), bytes])

describe('createProfile and openProfile', () => {
  it('give a profile without vaults, under zero trust or with an admin', () => {
    for (const recovery of [{ zeroTrust: true } as const, { admin: admin.card() }]) {
      const profile = createProfile(login, recovery)
      expect([profile.version, profile.zeroTrust, profile.vaults]).toEqual([1, 'zeroTrust' in recovery, []])
      const opened = openProfile(profile.record, login)
      expect(opened.record).toEqual(profile.record)
      expect([opened.version, opened.zeroTrust]).toEqual([1, profile.zeroTrust])
    }
  })

  it('open a stored profile whose vaults open', async () => {
    const { store, profile, vault, block } = withAdmin
    expect(profile.version).toBe(2)
    expect(profile.vaults).toEqual([vault.id])
    const opened = openProfile((await store.readProfile())!, login)
    expect(await (await opened.openVault(store, vault.id)).open(block)).toEqual(content)
  })

  it('distinguish a wrong password from damage and from tampering', async () => {
    const { record } = withAdmin.profile
    await failure(() => openProfile(record, next), 'wrong-password')
    await failure(() => openProfile(record, bob), 'wrong-password')
    for (let index = 0; index < record.length; index += index < 60 || index > 1800 ? 1 : 13) {
      await failure(() => openProfile(flipped(record, index, index % 8), login), 'malformed')
    }
    // An attacker can recompute the checksum, but not the MAC.
    for (let index = 48; index < record.length - 8; index += index < 60 || index > 1800 ? 1 : 13) {
      await failure(
        () => openProfile(resummed(flipped(record, index, index % 8)), login),
        'authentication-failed',
        'malformed',
        'limit-exceeded',
      )
    }
    await failure(() => openProfile(resummed(flipped(record, 20)), login), 'wrong-password')
    await failure(() => openProfile(resummed(flipped(record, 40)), login), 'authentication-failed')
  })

  it('refuse bytes that are not a profile', async () => {
    const { record } = zeroTrust.profile
    await failure(() => openProfile(new Uint8Array(0), login), 'malformed')
    await failure(() => openProfile(record.subarray(0, 55), login), 'malformed')
    await failure(() => openProfile(resummed(patched(record, 5, [13])), login), 'unsupported')
    await failure(() => openProfile(resummed(patched(record, 4, [2])), login), 'unsupported')
    await failure(() => openProfile(admin.export('host'), login), 'unsupported')
    await failure(() => openProfile(resummed(patched(record, 48, new Uint8Array(8))), login), 'malformed')
    await failure(() => openProfile(resummed(patched(record, 56, [2])), login), 'malformed')
    // Zero trust is turned off without a card, then turned on with one.
    await failure(() => openProfile(resummed(patched(record, 56, [0])), login), 'malformed')
    await failure(() => openProfile(resummed(patched(withAdmin.profile.record, 56, [1])), login), 'malformed')
    await failure(() => openProfile(new Uint8Array(2 ** 20 + 1), login), 'limit-exceeded')
    expect(() => openProfile('record' as never, login)).toThrow(TypeError)
  })

  it('refuse a version below atLeast', async () => {
    const { record } = withAdmin.profile
    expect(openProfile(record, login, { atLeast: 2 }).version).toBe(2)
    const error = await failure(() => openProfile(record, login, { atLeast: 3 }), 'rollback')
    expect(error.detail).toEqual({ version: 2, atLeast: 3 })
    expect(() => openProfile(record, login, { atLeast: -1 })).toThrow(RangeError)
  })

  it('refuse an invalid recovery', async () => {
    for (const recovery of [{}, { zeroTrust: false }, { admin: admin.card(), zeroTrust: true }, { admin: 1 }]) {
      expect(() => createProfile(login, recovery as never)).toThrow(TypeError)
    }
    const [one, other] = [admin.card(), otherAdmin.card()]
    // The bytes of the card must match the fingerprint.
    await failure(() => createProfile(login, { admin: { ...one, bytes: other.bytes } }), 'key-changed')
    await failure(
      () => createProfile(login, { admin: { ...one, bytes: flipped(one.bytes, 60) } }),
      'authentication-failed',
    )
  })
})

describe('limits', () => {
  const { rootKey } = ownerOf(login)
  const contents = { id: new Uint8Array(16), version: 1, admin: undefined, vaults: [] }
  const vaultsOf = (count: number) =>
    Array.from({ length: count }, (_, index) => ({
      id: Uint8Array.from({ length: 16 }, (_, at) => index >> (8 * at)),
      dataKeyId: new Uint8Array(16),
      keys: [{ generation: 1, due: false, key: new SecretKey('keyring', new Uint8Array(16)) }],
      recoverySlots: [],
    }))

  it('a profile has at most 256 vaults', async () => {
    const full = encodeProfile({ ...contents, vaults: vaultsOf(256) }, rootKey)
    const profile = openProfile(full, login)
    expect(profile.vaults).toHaveLength(256)
    await failure(() => encodeProfile({ ...contents, vaults: vaultsOf(257) }, rootKey), 'limit-exceeded')
    await failure(() => profile.createVault(new MemoryVaultStore()), 'limit-exceeded')
  })

  it('a profile with the last version cannot be changed', async () => {
    const last = openProfile(encodeProfile({ ...contents, version: Number.MAX_SAFE_INTEGER }, rootKey), login)
    await failure(() => last.changePassword(next), 'limit-exceeded')
    await failure(() => last.changeRecovery(new MemoryVaultStore(), { zeroTrust: true }), 'limit-exceeded')
  })
})

describe('changePassword', () => {
  it('gives one new record with the same vaults, which refuses the old password', async () => {
    const { store, vault, block } = await withVault(createProfile(login, { admin: admin.card() }))
    const before = openProfile((await store.readProfile())!, login)
    const after = before.changePassword(next)
    expect(after.version).toBe(before.version + 1)
    expect(checkProfile(after.record, before.record)).toEqual({ version: 3, zeroTrust: false })
    await failure(() => openProfile(after.record, login), 'wrong-password')
    expect(await store.writeProfile(after.record, after.version)).toBe(true)
    const opened = openProfile(after.record, next)
    expect(await (await opened.openVault(store, vault.id)).open(block)).toEqual(content)
    // An old record still opens with the old password. Rotating ends that.
    expect(await (await before.openVault(store, vault.id)).open(block)).toEqual(content)
    await opened.rotate(store)
    await failure(() => before.openVault(store, vault.id), 'wrong-password')
    // The admin can still reset.
    const reset = resetProfile((await store.readProfile())!, admin, login)
    expect(await (await reset.openVault(store, vault.id)).open(block)).toEqual(content)
  })

  it('accepts only a login of the same user', () => {
    expect(() => withAdmin.profile.changePassword(bob)).toThrow(RangeError)
    expect(() => withAdmin.profile.changePassword({ ...next })).toThrow(TypeError)
  })
})

describe('resetProfile', () => {
  it('puts the same vaults under a new password', async () => {
    const { store, vault, block, profile } = withAdmin
    const reset = resetProfile(profile.record, admin, next)
    expect([reset.version, reset.zeroTrust, reset.vaults]).toEqual([3, false, [vault.id]])
    expect(await (await reset.openVault(store, vault.id)).open(block)).toEqual(content)
    expect(openProfile(reset.record, next).version).toBe(3)
    expect(checkProfile(reset.record, profile.record).version).toBe(3)
    // A second reset works, because the recovery slots stay.
    const again = resetProfile(reset.record, admin, login)
    expect(await (await again.openVault(store, vault.id)).open(block)).toEqual(content)
  })

  it('is refused under zero trust, before any key is used', async () => {
    const error = await failure(() => resetProfile(zeroTrust.profile.record, admin, next), 'policy')
    expect(error.detail).toEqual({ rule: 'zero-trust' })
    await failure(() => resetProfile(zeroTrust.profile.record, null as never, next), 'policy')
  })

  it('is refused for another admin or user, an older version, and a keyset from a source definition', async () => {
    const { record } = withAdmin.profile
    await failure(() => resetProfile(record, otherAdmin, next), 'key-not-found')
    await failure(() => resetProfile(record, admin, bob), 'authentication-failed')
    await failure(() => resetProfile(record, admin, next, { atLeast: 3 }), 'rollback')
    const definition = await unlockKeyset(admin.export('definition'), 'admin')
    await failure(() => resetProfile(record, definition, next), 'policy')
    expect(() => resetProfile(record, {} as never, next)).toThrow(TypeError)
    expect(() => resetProfile(record, admin, {} as never)).toThrow(TypeError)
  })

  it('drops a recovery slot that does not belong to a slot', async () => {
    const { record } = withAdmin.profile
    const [vault] = parseProfile(record).vaults
    const recoveryAt = record.length - 72 - 1716 - 2
    // Beside the genuine recovery slot, the server plants one for a future generation. It needs only public keys for
    // that.
    const planted = { generation: 2, key: new SecretKey('keyring', sample(16)) }
    const sharing = new Recipient(readCard(admin.card().bytes).sharing)
    const id = parseProfile(record).header.ownerId
    const forged = sealRecoverySlot(sharing, id, ALICE, vault!.id, planted).bytes
    const withSlot = resummed(
      Buffer.concat([
        record.subarray(0, recoveryAt),
        Uint8Array.of(0, 2),
        record.subarray(recoveryAt + 2, -72),
        Uint8Array.of(0, 0, 0, 2),
        forged,
        record.subarray(-72),
      ]),
    )
    expect(parseProfile(withSlot).vaults[0]!.recoverySlots).toHaveLength(2)
    const reset = resetProfile(withSlot, admin, next)
    expect(parseProfile(reset.record).vaults[0]!.recoverySlots).toHaveLength(1)
  })

  it('does not let the server replace a keyring with its own', async () => {
    const { store, profile, vault, block } = await withVault(createProfile(login, { admin: admin.card() }))
    const { record } = profile
    const [entry] = parseProfile(record).vaults
    const { ownerId } = parseProfile(record).header
    // Beside the genuine slot, the server plants a second one with a key that it knows.
    const own = { generation: 2, due: false, key: new SecretKey('keyring', sample(16)) }
    const sharing = new Recipient(readCard(admin.card().bytes).sharing)
    const slots = Buffer.concat([Uint8Array.of(0, 2), ...slotBytes(entry!.slots), u32(2), Buffer.alloc(145)])
    const forgedSlot = sealRecoverySlot(sharing, ownerId, ALICE, entry!.id, own)
    const recoverySlots = Buffer.concat([
      Uint8Array.of(0, 2),
      ...[...entry!.recoverySlots, forgedSlot].flatMap(({ generation, bytes }) => [u32(generation), bytes]),
    ])
    const vaultAt = Buffer.from(record).indexOf(entry!.id)
    const forged = resummed(
      Buffer.concat([record.subarray(0, vaultAt + 32), slots, recoverySlots, record.subarray(-72)]),
    )
    const reset = resetProfile(forged, admin, next)
    await store.writeProfile(reset.record, reset.version)
    expect(await (await reset.openVault(store, vault.id)).open(block)).toEqual(content)
    // Later it offers a keyring that wraps its own data key under that key.
    const dataKey = new SecretKey('data', sample(32))
    const swapped = new MemoryVaultStore()
    await swapped.writeProfile(reset.record, reset.version)
    await swapped.writeKeyring(vault.id, encodeKeyring(entry!.id, 7, dataKey, [own]), 7)
    await failure(() => reset.openVault(swapped, vault.id), 'authentication-failed')
    await failure(() => reset.rotate(swapped), 'authentication-failed')
    const rotated = await reset.rotate(store)
    expect(parseProfile(rotated.record).vaults[0]!.slots).toHaveLength(1)
    // The new key has the same generation as the planted one, but its own recovery slot.
    const again = resetProfile(rotated.record, admin, login)
    expect(await (await again.openVault(store, vault.id)).open(block)).toEqual(content)
  })

  it('writes the card of the admin who resets, not the one in the record', async () => {
    const { record } = withAdmin.profile
    // The server puts another card into the record. The admin cannot check the MAC, so only this rule protects here.
    const forged = resummed(patched(record, 58, otherAdmin.card().bytes))
    const reset = resetProfile(forged, admin, next)
    expect(Buffer.from(reset.record).includes(Buffer.from(admin.card().bytes))).toBe(true)
    expect(Buffer.from(reset.record).includes(Buffer.from(otherAdmin.card().bytes))).toBe(false)
  })

  it('refuses a recovery slot with any byte changed', async () => {
    const { record } = withAdmin.profile
    const slotAt = record.length - 72 - 1712
    for (let index = slotAt; index < slotAt + 1712; index += index < slotAt + 48 ? 1 : 41) {
      const damaged = resummed(flipped(record, index, index % 8))
      await failure(
        () => resetProfile(damaged, admin, next),
        'authentication-failed',
        'key-not-found',
        'malformed',
        'unsupported',
      )
    }
  })
})

describe('changeRecovery', () => {
  it('turns zero trust on for good', async () => {
    const { store, profile, vault, block } = await withVault(createProfile(login, { admin: admin.card() }))
    const changed = await profile.changeRecovery(store, { zeroTrust: true })
    expect(changed.zeroTrust).toBe(true)
    expect(await (await changed.openVault(store, vault.id)).open(block)).toEqual(content)
    await failure(() => resetProfile(changed.record, admin, next), 'policy')
    const error = await failure(() => changed.changeRecovery(store, { admin: admin.card() }), 'policy')
    expect(error.detail).toEqual({ rule: 'zero-trust' })
    expect((await changed.changeRecovery(store, { zeroTrust: true })).zeroTrust).toBe(true)
    await failure(
      () => checkProfile(resummed(patched(profile.record, 55, [changed.version + 1])), changed.record),
      'policy',
    )
  })

  it('gives access to another admin, and ends the access of the former one', async () => {
    const { store, profile, vault, block } = await withVault(createProfile(login, { admin: admin.card() }))
    const changed = await profile.changeRecovery(store, { admin: otherAdmin.card() })
    await failure(() => resetProfile(changed.record, admin, next), 'key-not-found')
    const reset = resetProfile(changed.record, otherAdmin, next)
    expect(await (await reset.openVault(store, vault.id)).open(block)).toEqual(content)
    // The former admin can still reset an old record. But its keys open no current keyring.
    const old = resetProfile(profile.record, admin, next)
    await failure(() => old.openVault(store, vault.id), 'rollback', 'wrong-password', 'authentication-failed')
  })

  it('refuses an invalid recovery before anything is written', async () => {
    const { store, profile } = await withVault(createProfile(login, { admin: admin.card() }))
    await expect(profile.changeRecovery(store, {} as never)).rejects.toThrow(TypeError)
    expect(store.profiles.size).toBe(2)
  })
})

describe('a profile handle', () => {
  it('exposes no secrets, and cannot be used after it is disposed of', async () => {
    const { store, profile, vault } = await withVault(createProfile(login, { zeroTrust: true }))
    expect(() => JSON.stringify(profile)).toThrow(TypeError)
    expect(() => structuredClone(profile)).toThrow()
    profile.record.fill(0)
    expect(openProfile(profile.record, login).version).toBe(2)
    const opened = await profile.openVault(store, vault.id)
    profile.dispose()
    profile.dispose()
    await failure(() => profile.changePassword(next), 'disposed')
    await failure(() => profile.openVault(store, vault.id), 'disposed')
    await failure(() => profile.createVault(store), 'disposed')
    await failure(() => profile.rotate(store), 'disposed')
    await failure(() => profile.changeRecovery(store, { zeroTrust: true }), 'disposed')
    // A vault is independent of the profile that opened it.
    expect(await opened.open(await opened.seal(content))).toEqual(content)
  })

  it('finishes a rotation even if it is disposed of meanwhile', async () => {
    const { store, profile, vault, block } = await withVault(createProfile(login, { zeroTrust: true }))
    const rotating = profile.rotate(store)
    profile.dispose()
    const rotated = await rotating
    expect(await (await rotated.openVault(store, vault.id)).open(block)).toEqual(content)
  })

  it('refuses unknown and invalid vault ids, and an invalid store', async () => {
    const { store, profile } = zeroTrust
    await failure(() => profile.openVault(store, '0'.repeat(32)), 'key-not-found')
    await failure(() => profile.rotate(store, '0'.repeat(32)), 'key-not-found')
    for (const id of ['', 'x', 'A'.repeat(32)]) {
      await expect(profile.openVault(store, id)).rejects.toThrow(RangeError)
      await expect(profile.rotate(store, id)).rejects.toThrow(RangeError)
    }
    await expect(profile.openVault(store, 7 as never)).rejects.toThrow(TypeError)
    await expect(profile.openVault({ readKeyring: async () => 'x' } as never, profile.vaults[0]!)).rejects.toThrow(
      TypeError,
    )
  })
})

describe('checkProfile', () => {
  it('accepts only the next version, without a key', async () => {
    const { profile, store } = withAdmin
    const [first, second] = [store.profiles.get(1)!, store.profiles.get(2)!]
    expect(checkProfile(first)).toEqual({ version: 1, zeroTrust: false })
    expect(checkProfile(second, first)).toEqual({ version: 2, zeroTrust: false })
    await failure(() => checkProfile(second), 'conflict')
    await failure(() => checkProfile(first, first), 'conflict')
    await failure(() => checkProfile(first, second), 'conflict')
    const error = await failure(() => checkProfile(profile.changePassword(next).record, first), 'conflict')
    expect(error.detail).toEqual({ version: 3, expected: 2 })
  })

  it('refuses a damaged record, another profile, and turning zero trust off', async () => {
    const { store } = withAdmin
    const [first, second] = [store.profiles.get(1)!, store.profiles.get(2)!]
    await failure(() => checkProfile(flipped(second, 100), first), 'malformed')
    await failure(() => checkProfile(second, flipped(first, 100)), 'malformed')
    const foreign = (await withVault(createProfile(login, { admin: admin.card() }))).store
    await failure(() => checkProfile(foreign.profiles.get(2)!, first), 'policy')
    const error = await failure(() => checkProfile(second, zeroTrust.store.profiles.get(1)), 'policy')
    expect(error.detail).toEqual({ rule: 'zero-trust' })
    expect(() => checkProfile('x' as never)).toThrow(TypeError)
  })
})
