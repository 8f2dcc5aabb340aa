import { beforeAll, describe, expect, it } from 'vitest'
import { createKeyset } from '../../src/index.ts'
import { deriveRecoveryKey } from '../../src/recovery.ts'
import { guardProfiles, saveCredential } from '../../src/server.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import {
  createProfile,
  deriveLogin,
  type Login,
  openProfile,
  parseProfile,
  type Profile,
  resetProfile,
  saveProfile,
} from '../../src/vault.ts'
import { readCard } from '../../src/core/card.ts'
import { generateSigningPair } from '../../src/core/key-pairs.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { HandoverBy } from '../../src/vault/layout.ts'
import { parseProfileRecord, type ProfileContents } from '../../src/vault/profile-record.ts'
import {
  ALICE,
  CHEAP,
  failure,
  flipped,
  hex,
  KeepingStore,
  newestBytes,
  PASSWORD,
  patched,
  resummed,
  sample,
} from '../fixtures.ts'
import { INSTANT } from '../server/instant-bcrypt.ts'
import { BEHIND_SIGNATURE, contentsOf, recordOf, resigned } from './forged.ts'

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
  const store = new KeepingStore()
  const made = await profile.createVault(store)
  return { store, ...made, block: await made.vault.seal(content) }
}
const withAdmin = await withVault(createProfile(login, { admin: admin.card() }))
const zeroTrust = await withVault(createProfile(login, { zeroTrust: true }))

/** Where a record says who may reset it (SPEC §13.1). The number of vaults follows, unless there is a card. */
const RECOVERY_AT = 280

describe('createProfile', () => {
  it('gives a profile without vaults, under zero trust or with an admin', () => {
    for (const recovery of [{ zeroTrust: true } as const, { admin: admin.card() }]) {
      const profile = createProfile(login, recovery)
      expect([profile.revision, profile.zeroTrust, profile.vaults]).toEqual(['1', 'zeroTrust' in recovery, []])
      expect(profile.identity).toMatch(/^[\da-f]{64}$/)
      const opened = openProfile(profile.record, login)
      expect(opened.record).toEqual(profile.record)
      expect([opened.revision, opened.zeroTrust, opened.identity]).toEqual(['1', profile.zeroTrust, profile.identity])
    }
  })

  it('gives every profile an id and an identity of its own', () => {
    const [one, other] = [createProfile(login, { zeroTrust: true }), createProfile(login, { zeroTrust: true })]
    expect(one.identity).not.toBe(other.identity)
    expect(one.record.subarray(32, 48)).not.toEqual(other.record.subarray(32, 48))
  })

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['an empty object', {}],
    ['zero trust that is false', { zeroTrust: false }],
    ['zero trust that is a text', { zeroTrust: 'yes' }],
    ['zero trust and an admin', { admin: admin.card(), zeroTrust: true }],
    ['an admin, and zero trust that is false', { admin: admin.card(), zeroTrust: false }],
    ['an admin that is null', { admin: null }],
    ['an admin that is a number', { admin: 1 }],
    ['the bytes of a card', { admin: admin.card().bytes }],
    ['a recovery key beside zero trust, as a later release has it', { zeroTrust: true, recoveryKey: sample(32) }],
    ['a recovery key beside an admin', { admin: admin.card(), recoveryKey: sample(32) }],
    ['a misspelt option beside a right one', { admin: admin.card(), zerotrust: true }],
    ['a misspelt option', { zerotrust: true }],
  ])('refuses %s as recovery with a TypeError, and so does changeRecovery before it reads', async (_, recovery) => {
    expect(() => createProfile(login, recovery as never)).toThrow(TypeError)
    const untouched: StateStore = new Proxy(memoryStateStore(), {
      get: () => () => {
        throw new Error('the store was used')
      },
    })
    const profile = openProfile(withAdmin.profile.record, login)
    await expect(profile.changeRecovery(untouched, recovery as never)).rejects.toThrow(TypeError)
  })

  it('refuses an invalid card', async () => {
    const [one, other] = [admin.card(), otherAdmin.card()]
    // The bytes of the card must match the fingerprint.
    await failure(() => createProfile(login, { admin: { ...one, bytes: other.bytes } }), 'key-changed')
    const of = (bytes: Uint8Array) => createProfile(login, { admin: { ...one, bytes: new Uint8Array(bytes) } })
    await failure(() => of(flipped(one.bytes, 60)), 'authentication-failed')
    await failure(() => of(one.bytes.subarray(1)), 'malformed')
    await failure(() => of(patched(one.bytes, 4, [9])), 'unsupported')
  })

  it('refuses a login that was disposed of, or is not from this copy of the library', async () => {
    const gone = await deriveLogin(PASSWORD, ALICE)
    gone.dispose()
    await failure(() => createProfile(gone, { zeroTrust: true }), 'disposed')
    expect(() => createProfile({ ...login }, { zeroTrust: true })).toThrow(TypeError)
    await failure(() => openProfile(zeroTrust.profile.record, gone), 'disposed')
    expect(() => openProfile(zeroTrust.profile.record, { ...login })).toThrow(TypeError)
  })
})

describe('openProfile', () => {
  it('opens a stored profile whose vaults open', async () => {
    const { store, profile, vault, block } = withAdmin
    expect([profile.revision, profile.vaults]).toEqual(['2', [vault.id]])
    const opened = openProfile(await newestBytes(store, 'profile'), login)
    expect(await (await opened.openVault(store, vault.id)).open(block)).toEqual(content)
  })

  it('distinguishes a wrong password from damage and from tampering', async () => {
    const { record } = withAdmin.profile
    await failure(() => openProfile(record, next), 'wrong-password')
    await failure(() => openProfile(record, bob), 'wrong-password')
    const step = (index: number) => (index < 290 || index > record.length - 220 ? 1 : 13)
    for (let index = 0; index < record.length; index += step(index)) {
      await failure(() => openProfile(flipped(record, index, index % 8), login), 'malformed')
    }
    // An attacker can recompute the checksum, but not the MAC.
    for (let index = 48; index < record.length - 8; index += step(index)) {
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

  it('refuses bytes that are not a profile', async () => {
    const { record } = zeroTrust.profile
    const open = (bytes: Uint8Array) => () => openProfile(bytes, login)
    await failure(open(new Uint8Array(0)), 'malformed')
    await failure(open(record.subarray(0, 55)), 'malformed')
    await failure(open(resummed(patched(record, 5, [13]))), 'unsupported')
    await failure(open(resummed(patched(record, 4, [2]))), 'unsupported')
    await failure(open(admin.export('host')), 'unsupported')
    await failure(open(resummed(patched(record, 48, new Uint8Array(8)))), 'malformed')
    // There is no such kind of recovery.
    await failure(open(resummed(patched(record, RECOVERY_AT, [4]))), 'malformed')
    // A card and a recovery key that are not there, and a card that is too much.
    await failure(open(resummed(patched(record, RECOVERY_AT, [1]))), 'malformed')
    await failure(open(resummed(patched(record, RECOVERY_AT, [2]))), 'malformed')
    await failure(open(resummed(patched(withAdmin.profile.record, RECOVERY_AT, [0]))), 'malformed', 'limit-exceeded')
    await failure(open(new Uint8Array(2 ** 20 + 1)), 'limit-exceeded')
    expect(() => openProfile('record' as never, login)).toThrow(TypeError)
    expect(() => openProfile(undefined as never, login)).toThrow(TypeError)
  })

  it('refuses what a later release writes, before it looks at anything behind it', async () => {
    const { record } = zeroTrust.profile
    // Version 2 of the format, a flag that is not known, and generation 2.
    const later = resummed(patched(record, 4, [2]))
    const { detail } = await failure(() => openProfile(later, login), 'unsupported')
    expect(detail).toMatchObject({ object: 'profile', field: 'version' })
    await failure(() => parseProfile(later), 'unsupported')
    await failure(() => resetProfile(later, admin, next, { identity: 'unpinned' }), 'unsupported')
    // The fields behind it are those of the later release.
    const cut = resummed(new Uint8Array([...later.subarray(0, RECOVERY_AT + 40), ...sample(8)]))
    await failure(() => openProfile(cut, login), 'unsupported')
    const otherFields = resummed(patched(later, RECOVERY_AT, [4, 255, 255]))
    await failure(() => openProfile(otherFields, login), 'unsupported')
    for (const flags of [2, 3, 4, 255]) {
      const changed = resummed(patched(record, 15, [flags]))
      const { detail: flag } = await failure(() => openProfile(changed, login), 'unsupported')
      expect(flag).toMatchObject({ object: 'profile', field: 'flags' })
    }
    for (const generation of [0, 2]) {
      const changed = resummed(patched(record, 11, [generation]))
      const { detail: other } = await failure(() => openProfile(changed, login), 'unsupported')
      expect(other).toMatchObject({ object: 'profile', field: 'generation' })
    }
  })

  it('refuses a handover that the record cannot have', async () => {
    const handedOver = await handedOverByIdentity()
    const byAt = handedOver.length - BEHIND_SIGNATURE - 64 - 65
    expect(handedOver[byAt]).toBe(HandoverBy.identity)
    // By a recovery key that is not in the record, and by what no release knows.
    for (const by of [3, 4]) {
      await failure(() => openProfile(resummed(patched(handedOver, byAt, [by])), login), 'malformed')
      await failure(() => parseProfile(resummed(patched(handedOver, byAt, [by]))), 'malformed')
    }
  })

  it('refuses a revision below atLeast, before it looks at the password', async () => {
    const { record } = withAdmin.profile
    expect(openProfile(record, login, { atLeast: '2' }).revision).toBe('2')
    for (const by of [login, bob]) {
      const error = await failure(() => openProfile(record, by, { atLeast: '3' }), 'rollback')
      expect(error.detail).toEqual({ version: 2, atLeast: 3 })
    }
    for (const atLeast of [undefined, null, 2, '', '0', '-1', '02', '1.0', '9007199254740992', 'two']) {
      expect(() => openProfile(record, login, { atLeast: atLeast as never }), String(atLeast)).toThrow(TypeError)
    }
  })

  const forgeries: [string, (contents: ProfileContents, record: Uint8Array) => Uint8Array][] = [
    ['is signed by another key than its identity', (_, record) => resigned(record, generateSigningPair().seed, login)],
    [
      'holds the seed of another identity',
      (contents) => {
        const other = generateSigningPair()
        const signed = recordOf({ ...contents, identity: { ...contents.identity, seed: other.seed } }, login)
        return resigned(signed, contents.identity.seed, login)
      },
    ],
    [
      'has an invalid card',
      (contents) => recordOf({ ...contents, recovery: { kind: 'card', value: brokenCard() } }, login),
    ],
    [
      'has a slot of another vault',
      (contents, record) => {
        const at = Buffer.from(record).indexOf(contents.vaults[0]!.id)
        return resigned(flipped(record, at, 1), contents.identity.seed, login)
      },
    ],
    [
      'has a slot of another generation',
      (contents, record) => {
        const at = Buffer.from(record).indexOf(contents.vaults[0]!.id) + 34
        return resigned(patched(record, at, [0, 0, 0, 2]), contents.identity.seed, login)
      },
    ],
    [
      'has the seed of an identity under another context',
      (_, record) => {
        const other = generateSigningPair()
        return resigned(patched(record, 88, other.publicKey), other.seed, login)
      },
    ],
  ]
  it.each(forgeries)('refuses a record that %s, though its MAC holds', async (_, forge) => {
    const { record } = withAdmin.profile
    const forged = forge(contentsOf(record, login), record)
    expect(parseProfileRecord(forged).version).toBe(2)
    const { message } = await failure(() => openProfile(forged, login), 'authentication-failed')
    const plain = await failure(() => openProfile(resummed(flipped(record, 40)), login), 'authentication-failed')
    expect(message).toBe(plain.message)
  })

  it('refuses fields that contradict each other', async () => {
    const { profile } = withAdmin
    const contents = contentsOf(profile.record, login)
    const [vault] = contents.vaults
    // The encoder refuses them, so change the bytes of a record with two vaults.
    const twice = { ...vault!, id: sample(16) }
    const record = recordOf({ ...contents, vaults: [vault!, twice] }, login)
    const at = Buffer.from(record).indexOf(twice.id)
    await failure(
      () => openProfile(resigned(patched(record, at, vault!.id), contents.identity.seed, login), login),
      'malformed',
    )
    await failure(() => recordOf({ ...contents, vaults: [vault!, vault!] }, login), 'malformed')
    await failure(() => recordOf({ ...contents, recovery: { kind: 'nobody', value: {} } }, login), 'malformed')
    await failure(() => recordOf({ ...contents, vaults: [{ ...vault!, keys: [] }] }, login), 'malformed')
  })
})

describe('parseProfile', () => {
  it('shows without a key what the handle shows', async () => {
    using recoveryKey = await deriveRecoveryKey({ secret: sample(32) })
    using withKey = createProfile(login, { zeroTrust: true, recoveryKey })
    for (const [profile, ...who] of [
      [withAdmin.profile, false, false],
      [zeroTrust.profile, true, false],
      [withKey, true, true],
    ] as const) {
      const { revision, identity, zeroTrust, hasRecoveryKey, vaults, passwordId } = profile
      const shown = { revision, identity, zeroTrust, hasRecoveryKey, vaults, passwordId }
      expect(parseProfile(profile.record)).toEqual(shown)
      expect([zeroTrust, hasRecoveryKey]).toEqual(who)
    }
  })

  it('refuses damage, tampering, and what is not a profile', async () => {
    const { record } = withAdmin.profile
    for (let index = 0; index < record.length; index += 41) {
      await failure(() => parseProfile(flipped(record, index, index % 8)), 'malformed')
      const part = index > 47 && index < record.length - BEHIND_SIGNATURE
      if (part) {
        await failure(
          () => parseProfile(resummed(flipped(record, index, index % 8))),
          ...(['authentication-failed', 'malformed', 'limit-exceeded'] as const),
        )
      }
    }
    // The key id and the flag are signed too. The MAC is for those who have the key.
    await failure(() => parseProfile(resummed(flipped(record, 20))), 'authentication-failed')
    await failure(
      () => parseProfile(resummed(flipped(record, record.length - BEHIND_SIGNATURE - 1))),
      'authentication-failed',
    )
    expect(parseProfile(resummed(flipped(record, record.length - 20))).revision).toBe('2')
    await failure(() => parseProfile(admin.card().bytes), 'malformed')
    await failure(() => parseProfile(admin.export('host')), 'unsupported')
    await failure(() => parseProfile(new Uint8Array(2 ** 20 + 1)), 'limit-exceeded')
    expect(() => parseProfile('x' as never)).toThrow(TypeError)
  })
})

describe('limits', () => {
  const contents = contentsOf(createProfile(login, { zeroTrust: true }).record, login)
  const vaultsOf = (count: number) =>
    Array.from({ length: count }, (_, index) => ({
      id: Uint8Array.from({ length: 16 }, (_, at) => index >> (8 * at)),
      dataKeyId: new Uint8Array(16),
      keys: [{ generation: 1, due: false, key: new SecretKey('keyring', new Uint8Array(16)) }],
      recoverySlots: [],
    }))

  it('a profile has at most 256 vaults', async () => {
    const profile = openProfile(recordOf({ ...contents, vaults: vaultsOf(256) }, login), login)
    expect(profile.vaults).toHaveLength(256)
    await failure(() => recordOf({ ...contents, vaults: vaultsOf(257) }, login), 'limit-exceeded')
    await failure(() => profile.createVault(memoryStateStore()), 'limit-exceeded')
  })

  it('a profile with the last version cannot be changed', async () => {
    const last = openProfile(recordOf({ ...contents, version: Number.MAX_SAFE_INTEGER }, login), login)
    const store = memoryStateStore()
    await saveProfile(store, last)
    await failure(() => last.changePassword(next), 'limit-exceeded')
    await failure(() => last.changeRecovery(store, { zeroTrust: true }), 'limit-exceeded')
    await failure(() => last.createVault(store), 'limit-exceeded')
  })
})

describe('changePassword', () => {
  it('gives one new record with the same vaults, which refuses the old password', async () => {
    const { store, vault, block } = await withVault(createProfile(login, { admin: admin.card() }))
    const before = openProfile(await newestBytes(store, 'profile'), login)
    const after = before.changePassword(next)
    expect([after.revision, after.identity, after.zeroTrust]).toEqual(['3', before.identity, false])
    await failure(() => openProfile(after.record, login), 'wrong-password')
    await saveProfile(store, after)
    const opened = openProfile(after.record, next)
    expect(await (await opened.openVault(store, vault.id)).open(block)).toEqual(content)
    // An old record still opens with the old password. Rotating ends that.
    expect(await (await before.openVault(store, vault.id)).open(block)).toEqual(content)
    await opened.rotate(store)
    await failure(() => before.openVault(store, vault.id), 'wrong-password')
    // The admin can still reset.
    const record = await newestBytes(store, 'profile')
    const reset = resetProfile(record, admin, login, { identity: after.identity })
    expect(await (await reset.openVault(store, vault.id)).open(block)).toEqual(content)
  })

  it('accepts only a login of the same user that can be used, and works only on a handle that can be used', async () => {
    expect(() => withAdmin.profile.changePassword(bob)).toThrow(RangeError)
    expect(() => withAdmin.profile.changePassword({ ...next })).toThrow(TypeError)
    const otherRealm = await deriveLogin(PASSWORD, { ...ALICE, realm: 'tests2' })
    expect(() => withAdmin.profile.changePassword(otherRealm)).toThrow(RangeError)
    otherRealm.dispose()
    await failure(() => withAdmin.profile.changePassword(otherRealm), 'disposed')
  })
})

describe('passwordId', () => {
  it('changes with a new password only, so that a server can end the sessions of the old one', async () => {
    const { store, profile } = await withVault(createProfile(login, { admin: admin.card() }))
    expect(profile.passwordId).toMatch(/^[\da-f]{32}$/)
    const rotated = await profile.rotate(store)
    const recovered = await rotated.changeRecovery(store, { admin: otherAdmin.card() })
    const again = recovered.changePassword(login)
    for (const each of [rotated, recovered, again]) expect(each.passwordId).toBe(profile.passwordId)
    const changed = recovered.changePassword(next)
    const reset = resetProfile(recovered.record, otherAdmin, next, { identity: recovered.identity })
    expect(changed.passwordId).not.toBe(profile.passwordId)
    expect([parseProfile(reset.record).passwordId, parseProfile(again.record).passwordId]).toEqual([
      changed.passwordId,
      profile.passwordId,
    ])
    // It is not the name of the verifier, which must not get into the memory of sessions.
    expect(profile.passwordId).not.toBe(hex(profile.record.subarray(16, 32)))
  })
})

describe('changeRecovery', () => {
  it('turns zero trust on for good', async () => {
    const { store, profile, vault, block } = await withVault(createProfile(login, { admin: admin.card() }))
    const changed = await profile.changeRecovery(store, { zeroTrust: true })
    expect(changed.zeroTrust).toBe(true)
    expect(await (await changed.openVault(store, vault.id)).open(block)).toEqual(content)
    await failure(() => resetProfile(changed.record, admin, next, { identity: 'unpinned' }), 'policy')
    const error = await failure(() => changed.changeRecovery(store, { admin: admin.card() }), 'policy')
    expect(error.detail).toEqual({ rule: 'zero-trust' })
    expect((await changed.changeRecovery(store, { zeroTrust: true })).zeroTrust).toBe(true)
  })

  it('gives access to another admin, and ends the access of the former one', async () => {
    const { store, profile, vault, block } = await withVault(createProfile(login, { admin: admin.card() }))
    const changed = await profile.changeRecovery(store, { admin: otherAdmin.card() })
    const pinned = { identity: changed.identity }
    await failure(() => resetProfile(changed.record, admin, next, pinned), 'key-not-found')
    const reset = resetProfile(changed.record, otherAdmin, next, pinned)
    expect(await (await reset.openVault(store, vault.id)).open(block)).toEqual(content)
    // The former admin can still reset an old record. But its keys open no current keyring.
    const old = resetProfile(profile.record, admin, next, { identity: profile.identity })
    await failure(() => old.openVault(store, vault.id), 'rollback', 'wrong-password', 'authentication-failed')
  })

  it('refuses an invalid card before anything is written', async () => {
    const { store, profile } = await withVault(createProfile(login, { admin: admin.card() }))
    const { length } = store.history
    const card = { ...admin.card(), bytes: flipped(admin.card().bytes, 60) }
    await failure(() => profile.changeRecovery(store, { admin: card }), 'authentication-failed')
    expect(store.history).toHaveLength(length)
  })
})

describe('the identity', () => {
  /** A user whose records all go through a guard. Keeps who handed over each record. */
  class Guarded {
    readonly store = memoryStateStore()
    readonly session = guardProfiles(this.store)
    profile!: Profile
    readonly identities: string[] = []

    /** Saves a profile as a product does, and returns who handed it over, and whether the identity is due. */
    async save(profile: Profile, own: Login) {
      await saveCredential(this.store, profile.record, own.credential, INSTANT)
      await saveProfile(this.session, profile)
      return this.use(profile)
    }

    use(profile: Profile) {
      const isNew = profile.identity !== this.identities.at(-1)
      this.identities.push(profile.identity)
      this.profile = profile
      const { handover, identityDue } = parseProfileRecord(profile.record)
      return { isNew, by: handover?.by, due: identityDue }
    }

    async reset(own: Login) {
      const record = await newestBytes(this.store, 'profile')
      return this.save(resetProfile(record, admin, own, { identity: this.profile.identity }), own)
    }

    async createVault() {
      return this.use((await this.profile.createVault(this.session)).profile)
    }
  }
  const kept = { isNew: false, by: undefined, due: false }
  const keptDue = { ...kept, due: true }
  const byReset = { isNew: true, by: HandoverBy.card, due: true }
  const renewed = { isNew: true, by: HandoverBy.identity, due: false }
  let user: Guarded

  const started = async () => {
    user = new Guarded()
    expect(await user.save(createProfile(login, { admin: admin.card() }), login)).toEqual({ ...kept, isNew: true })
    expect(await user.createVault()).toEqual(kept)
  }
  beforeAll(started)

  it('stays over new passwords, new vaults and rotations', async () => {
    await started()
    expect(await user.save(user.profile.changePassword(next), next)).toEqual(kept)
    expect(await user.save(user.profile.changePassword(login), login)).toEqual(kept)
    expect(await user.createVault()).toEqual(kept)
    expect(user.use(await user.profile.rotate(user.session))).toEqual(kept)
    expect(new Set(user.identities).size).toBe(1)
  })

  it('changes with the recovery, by the former identity', async () => {
    await started()
    // A rotation follows the handover, so the newest record has none.
    expect(user.use(await user.profile.changeRecovery(user.session, { admin: otherAdmin.card() }))).toEqual({
      ...kept,
      isNew: true,
    })
    expect(user.use(await user.profile.changeRecovery(user.session, { zeroTrust: true })).isNew).toBe(true)
    expect(user.use(await user.profile.changeRecovery(user.session, { zeroTrust: true })).isNew).toBe(true)
    const handedOver = await handedOverByIdentity()
    expect(parseProfileRecord(handedOver).handover?.by).toBe(HandoverBy.identity)
  })

  it('changes with a reset, by the card, and with the first new password after it', async () => {
    await started()
    expect(await user.reset(next)).toEqual(byReset)
    expect(await user.save(user.profile.changePassword(login), login)).toEqual(renewed)
    expect(await user.save(user.profile.changePassword(next), next)).toEqual(kept)
    expect(new Set(user.identities).size).toBe(3)
  })

  it('is renewed with the first new password, though vaults were created and rotated since the reset', async () => {
    await started()
    expect(await user.reset(next)).toEqual(byReset)
    expect(await user.createVault()).toEqual(keptDue)
    expect(user.use(await user.profile.rotate(user.session))).toEqual(keptDue)
    expect(user.use(openProfile(user.profile.record, next))).toEqual(keptDue)
    expect(await user.save(user.profile.changePassword(login), login)).toEqual(renewed)
  })

  it('is not renewed while the password that the admin chose stays the same', async () => {
    await started()
    expect(await user.reset(next)).toEqual(byReset)
    expect(await user.save(user.profile.changePassword(next), next)).toEqual(keptDue)
    expect(await user.save(user.profile.changePassword(login), login)).toEqual(renewed)
  })

  it('is renewed with the first new password, though the recovery was changed since the reset', async () => {
    await started()
    expect(await user.reset(next)).toEqual(byReset)
    expect(user.use(await user.profile.changeRecovery(user.session, { admin: otherAdmin.card() }))).toEqual({
      ...keptDue,
      isNew: true,
    })
    expect(await user.save(user.profile.changePassword(login), login)).toEqual(renewed)
    expect(await user.save(user.profile.changePassword(next), next)).toEqual(kept)
  })

  it('changes with each of two resets', async () => {
    await started()
    expect(await user.reset(next)).toEqual(byReset)
    expect(await user.reset(login)).toEqual(byReset)
    expect(await user.save(user.profile.changePassword(next), next)).toEqual(renewed)
    expect(await user.reset(login)).toEqual(byReset)
    expect(new Set(user.identities).size).toBe(5)
  })

  it('signs keyrings after each of these changes, so that the guard takes them', async () => {
    await started()
    for (const step of [() => user.reset(next), () => user.save(user.profile.changePassword(login), login)]) {
      await step()
      user.use(await user.profile.rotate(user.session))
      expect(user.profile.vaults).toHaveLength(1)
    }
  })
})

describe('a profile handle', () => {
  it('exposes no secrets, and cannot be used after it is disposed of', async () => {
    const { store, profile, vault } = await withVault(createProfile(login, { zeroTrust: true }))
    expect(() => JSON.stringify(profile)).toThrow(TypeError)
    expect(() => structuredClone(profile)).toThrow()
    profile.record.fill(0)
    expect(openProfile(profile.record, login).revision).toBe('2')
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
    const { length } = store.history
    await failure(() => profile.openVault(store, '0'.repeat(32)), 'key-not-found')
    await failure(() => profile.rotate(store, '0'.repeat(32)), 'key-not-found')
    for (const id of ['', 'x', 'A'.repeat(32)]) {
      await expect(profile.openVault(store, id)).rejects.toThrow(RangeError)
      await expect(profile.rotate(store, id)).rejects.toThrow(RangeError)
    }
    await expect(profile.openVault(store, 7 as never)).rejects.toThrow(TypeError)
    await expect(profile.rotate(store, 7 as never)).rejects.toThrow(TypeError)
    for (const wrong of [undefined, {}, { read: async () => 'x' }] as never[]) {
      await expect(profile.openVault(wrong, profile.vaults[0]!)).rejects.toThrow(TypeError)
      await expect(profile.rotate(wrong)).rejects.toThrow(TypeError)
      await expect(profile.createVault(wrong)).rejects.toThrow(TypeError)
      await expect(profile.changeRecovery(wrong, { zeroTrust: true })).rejects.toThrow(TypeError)
    }
    expect(store.history).toHaveLength(length)
  })
})

/** Returns the record that changes the recovery: the first of its writes. */
async function handedOverByIdentity(): Promise<Uint8Array> {
  const { store, profile } = await withVault(createProfile(login, { admin: admin.card() }))
  await profile.changeRecovery(store, { admin: otherAdmin.card() })
  return store.history.filter(({ name }) => name === 'profile')[2]!.bytes
}

/** Returns a card whose signature does not hold. */
function brokenCard(): Uint8Array {
  const card = flipped(admin.card().bytes, 1776 - 1)
  expect(() => readCard(card)).toThrow()
  return card
}
