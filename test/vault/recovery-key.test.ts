// Profiles under zero trust with a recovery key (SPEC §13.1, §13.2).
import { describe, expect, it } from 'vitest'
import { createKeyset } from '../../src/index.ts'
import { deriveRecoveryKey, generateRecoveryCode } from '../../src/recovery.ts'
import { guardProfiles, saveCredential } from '../../src/server.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import {
  createProfile,
  deriveLogin,
  loadProfile,
  type Login,
  openProfile,
  parseProfile,
  type Profile,
  resetProfile,
  saveProfile,
} from '../../src/vault.ts'
import { parseProfileRecord } from '../../src/vault/profile-record.ts'
import {
  ALICE,
  CHEAP,
  expectSame,
  failure,
  flipped,
  newestBytes,
  PASSWORD,
  quickly,
  resummed,
  sample,
} from '../fixtures.ts'
import { dyingStore, PowerCut } from '../dying-store.ts'
import { withoutPauses } from '../pauses.ts'
import { INSTANT } from '../server/instant-bcrypt.ts'
import { BEHIND_SIGNATURE, contentsOf, recordOf } from './forged.ts'

withoutPauses()

const [login, next, third, bob] = await quickly(() =>
  Promise.all([
    deriveLogin(PASSWORD, ALICE),
    deriveLogin('next', ALICE),
    deriveLogin('third', ALICE),
    deriveLogin('next', { ...ALICE, user: 'bob' }),
  ]),
)
const admin = await quickly(() => createKeyset('of the admin', { costs: CHEAP }))
const code = generateRecoveryCode()
const recoveryKey = await deriveRecoveryKey({ code })
const other = await deriveRecoveryKey({ secret: sample(32) })
const byKey = { zeroTrust: true, recoveryKey } as const
const content = sample(200)

/** Saves a profile as a product does: the credential, and then the record through the guard. */
async function save(store: StateStore, profile: Profile, of: Login): Promise<void> {
  await saveCredential(store, profile.record, of.credential, INSTANT)
  await saveProfile(guardProfiles(store), profile)
}

async function enrolled(recovery: Parameters<typeof createProfile>[1] = byKey) {
  const store = memoryStateStore()
  await save(store, createProfile(login, recovery), login)
  const guarded = guardProfiles(store)
  const { profile, vault } = await (await loadProfile(guarded, login)).createVault(guarded)
  const block = await vault.seal(content)
  return { store, guarded, profile, vault, block }
}

describe('a profile with a recovery key', () => {
  it('is under zero trust, and says that it can be recovered', async () => {
    const { profile } = await enrolled()
    expect(profile).toMatchObject({ zeroTrust: true, hasRecoveryKey: true })
    expect(parseProfile(profile.record)).toMatchObject({ zeroTrust: true, hasRecoveryKey: true })
    expect(createProfile(login, { zeroTrust: true })).toMatchObject({ zeroTrust: true, hasRecoveryKey: false })
    expect(createProfile(login, { admin: admin.card() })).toMatchObject({ zeroTrust: false, hasRecoveryKey: false })
  })

  it('is reset by it, without a pin, and through the guard of a server', async () => {
    const { store, guarded, profile, vault, block } = await enrolled()
    const record = await newestBytes(store, 'profile')
    using again = await deriveRecoveryKey({ code })
    const reset = resetProfile(record, again, next, { atLeast: profile.revision })
    expect(reset.identity).not.toBe(profile.identity)
    expect(reset).toMatchObject({ hasRecoveryKey: true, zeroTrust: true, vaults: [vault.id] })
    expect(parseProfileRecord(reset.record).identityDue).toBe(false)
    await save(store, reset, next)
    using opened = await (await loadProfile(guarded, next)).openVault(guarded, vault.id)
    expectSame(await opened.open(block), content)
    await failure(() => loadProfile(guarded, login), 'wrong-password')
    // And once more: the recovery key has signed the new identity.
    const second = resetProfile(await newestBytes(store, 'profile'), recoveryKey, third)
    await save(store, second, third)
    expect((await loadProfile(guarded, third)).vaults).toEqual([vault.id])
  })

  it('is reset after rotations and new passwords, which keep its recovery slots up to date', async () => {
    const { store, guarded, profile, vault, block } = await enrolled()
    const rotated = await profile.rotate(guarded)
    const changed = rotated.changePassword(next)
    await save(store, changed, next)
    const more = await changed.createVault(guarded)
    const reset = resetProfile(more.profile.record, recoveryKey, third)
    await save(store, reset, third)
    const loaded = await loadProfile(guarded, third)
    expect(loaded.vaults).toEqual([vault.id, more.vault.id])
    expectSame(await (await loaded.openVault(guarded, vault.id)).open(block), content)
    await (await loaded.rotate(guarded)).openVault(guarded, more.vault.id)
  })

  it('can change its recovery key, or give it up, and never gets an admin', async () => {
    const { store, guarded, profile, vault } = await enrolled()
    const changed = await profile.changeRecovery(guarded, { zeroTrust: true, recoveryKey: other })
    expect(changed.identity).not.toBe(profile.identity)
    await failure(() => resetProfile(changed.record, recoveryKey, next), 'key-not-found')
    expect(resetProfile(changed.record, other, next).vaults).toEqual([vault.id])
    await failure(() => changed.changeRecovery(guarded, { admin: admin.card() }), 'policy')
    const none = await changed.changeRecovery(guarded, { zeroTrust: true })
    expect(none.hasRecoveryKey).toBe(false)
    await failure(() => resetProfile(none.record, other, next), 'policy')
    const record = await newestBytes(store, 'profile')
    expect(parseProfileRecord(record).vaults[0]!.recoverySlots).toEqual([])
  })

  it('replaces an admin: their old recovery slots open nothing that counts', async () => {
    const { guarded, profile } = await enrolled({ admin: admin.card() })
    const changed = await profile.changeRecovery(guarded, byKey)
    expect(changed).toMatchObject({ zeroTrust: true, hasRecoveryKey: true, rotationDue: [] })
    const { message } = await failure(
      () => resetProfile(changed.record, admin, next, { identity: 'unpinned' }),
      'policy',
    )
    expect(message).toContain('recovery key')
    expect(resetProfile(changed.record, recoveryKey, next).vaults).toEqual(profile.vaults)
  })

  it('is good at once, even if the change of recovery is interrupted before any rotation', async () => {
    const { store, guarded, profile, vault, block } = await enrolled({ admin: admin.card() })
    await expect(profile.changeRecovery(dyingStore(guarded, 0), byKey)).rejects.toThrow(PowerCut)
    const record = await newestBytes(store, 'profile')
    expect(openProfile(record, login)).toMatchObject({ hasRecoveryKey: true, rotationDue: [vault.id] })
    const reset = resetProfile(record, recoveryKey, next)
    await save(store, reset, next)
    const loaded = await loadProfile(guarded, next)
    expectSame(await (await loaded.openVault(guarded, vault.id)).open(block), content)
    expect(await loaded.rotate(guarded)).toMatchObject({ rotationDue: [] })
    await failure(() => resetProfile(record, admin, third, { identity: 'unpinned' }), 'policy')
  })

  it('cannot be set while an admin may know the password', async () => {
    const { store, guarded, profile } = await enrolled({ admin: admin.card() })
    const reset = resetProfile(profile.record, admin, next, { identity: profile.identity })
    await save(store, reset, next)
    const { detail } = await failure(() => reset.changeRecovery(guarded, byKey), 'policy')
    expect(detail).toMatchObject({ rule: 'change-password' })
    const changed = reset.changePassword(third)
    await save(store, changed, third)
    expect(await changed.changeRecovery(guarded, byKey)).toMatchObject({ hasRecoveryKey: true })
  })

  it.each([
    ['no recovery key', { admin: undefined }],
    ['a card in its place', { zeroTrust: true, recoveryKey: admin.card() }],
    ['undefined in its place', { zeroTrust: true, recoveryKey: undefined }],
    ['an admin beside it', { admin: admin.card(), recoveryKey }],
    ['no zero trust', { recoveryKey }],
    ['zero trust that is off', { zeroTrust: false, recoveryKey }],
  ])('is not created with %s', (_, recovery) => {
    expect(() => createProfile(login, recovery as never)).toThrow(TypeError)
  })

  it('needs a recovery key that is still there', async () => {
    const gone = await deriveRecoveryKey({ code })
    gone.dispose()
    await failure(() => createProfile(login, { zeroTrust: true, recoveryKey: gone }), 'disposed')
    const { profile } = await enrolled()
    await failure(() => resetProfile(profile.record, gone, next), 'disposed')
  })
})

describe('resetProfile by a recovery key', () => {
  it('refuses another key, an admin, nobody, and another user', async () => {
    const { profile } = await enrolled()
    const { detail } = await failure(() => resetProfile(profile.record, other, next), 'key-not-found')
    expect(detail).toMatchObject({ object: 'profile' })
    await failure(
      () => resetProfile(createProfile(login, { admin: admin.card() }).record, recoveryKey, next),
      'key-not-found',
    )
    await failure(() => resetProfile(createProfile(login, { zeroTrust: true }).record, recoveryKey, next), 'policy')
    await failure(() => resetProfile(profile.record, recoveryKey, bob), 'authentication-failed')
    await failure(() => resetProfile(profile.record, recoveryKey, next, { atLeast: '99' }), 'rollback')
    expect(resetProfile(profile.record, recoveryKey, next, { identity: profile.identity }).vaults).toEqual(
      profile.vaults,
    )
    await failure(() => resetProfile(profile.record, recoveryKey, next, { identity: '00'.repeat(32) }), 'key-changed')
    await failure(() => resetProfile(profile.record, recoveryKey, next, { identity: 'x' }), 'invalid-text')
    expect(() => resetProfile(profile.record, {} as never, next, { identity: 'unpinned' })).toThrow(TypeError)
  })

  it('refuses an identity that the recovery key has not signed: a record of the server', async () => {
    const { profile } = await enrolled()
    // The server copies the public keys and the signature into a profile of its own.
    const { recovery } = parseProfileRecord(profile.record)
    const own = createProfile(login, { zeroTrust: true })
    const forged = recordOf({ ...contentsOf(own.record, login), recovery }, login)
    await failure(() => resetProfile(forged, recoveryKey, next), 'authentication-failed')
    // Not even with the id of the profile.
    const { ownerId } = parseProfileRecord(profile.record).header
    const same = recordOf({ ...contentsOf(own.record, login), recovery, id: ownerId }, login)
    await failure(() => resetProfile(same, recoveryKey, next), 'authentication-failed')
  })

  it('refuses a record whose signature does not hold, and one without a recovery slot', async () => {
    const { profile } = await enrolled()
    const contents = contentsOf(profile.record, login)
    const without = recordOf(
      { ...contents, vaults: contents.vaults.map((vault) => ({ ...vault, recoverySlots: [] })) },
      login,
    )
    await failure(() => resetProfile(without, recoveryKey, next), 'key-not-found')
    const altered = resummed(flipped(profile.record, profile.record.length - BEHIND_SIGNATURE - 5))
    await failure(() => resetProfile(altered, recoveryKey, next), 'authentication-failed')
  })
})

describe('a record with a recovery key', () => {
  it('is malformed with the mark that its identity must be replaced', async () => {
    const { profile } = await enrolled()
    expect(() => recordOf({ ...contentsOf(profile.record, login), identityDue: true }, login)).toThrow(/contradict/)
  })

  it('does not open with invalid public keys', async () => {
    const { profile } = await enrolled()
    const contents = contentsOf(profile.record, login)
    if (contents.recovery.kind !== 'recoveryKey') throw new Error('no recovery key')
    const { value } = contents.recovery
    const recovery = {
      kind: 'recoveryKey',
      value: { ...value, keys: { ...value.keys, x25519: new Uint8Array(32) } },
    } as const
    const record = recordOf({ ...contents, recovery, vaults: [] }, login)
    await failure(() => openProfile(record, login), 'authentication-failed')
  })
})
