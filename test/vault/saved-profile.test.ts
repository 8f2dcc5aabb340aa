import { describe, expect, it } from 'vitest'
import { createKeyset, KeystrataError } from '../../src/index.ts'
import { guardProfiles, saveCredential } from '../../src/server.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import {
  createProfile,
  deriveLogin,
  loadProfile,
  loadRecord,
  openProfile,
  type Profile,
  resetProfile,
  restoreProfile,
  saveProfile,
} from '../../src/vault.ts'
import {
  ALICE,
  CHEAP,
  failure,
  flipped,
  KeepingStore,
  newestBytes,
  PASSWORD,
  patched,
  resummed,
  sample,
} from '../fixtures.ts'
import { dyingStore, PowerCut } from '../dying-store.ts'
import { withoutPauses } from '../pauses.ts'
import { INSTANT } from '../server/instant-bcrypt.ts'
import { contentsOf, recordOf, rewritten } from './forged.ts'
import { altered, versionsOf } from './watched.ts'

withoutPauses()
const [login, next, third, bob] = await Promise.all([
  deriveLogin(PASSWORD, ALICE),
  deriveLogin('another', ALICE),
  deriveLogin('a third', ALICE),
  deriveLogin(PASSWORD, { ...ALICE, user: 'bob' }),
])
const admin = await createKeyset('admin', { costs: CHEAP })
const content = sample(100)

/** Returns a store with a profile at revision 1. */
async function saved(recovery: Parameters<typeof createProfile>[1] = { zeroTrust: true }) {
  const store = new KeepingStore()
  const profile = createProfile(login, recovery)
  await saveProfile(store, profile)
  return { store, profile }
}

/** Returns a store in which these are the versions of the profile. */
async function storeOf(...records: readonly Uint8Array[]): Promise<StateStore> {
  const store = memoryStateStore()
  for (const [index, record] of records.entries()) await store.write('profile', index + 1, record)
  return store
}

/** Returns a store whose first reads of the profile return something older, and a count of all of them. */
function lagging(store: StateStore, times: number, old: Awaited<ReturnType<StateStore['read']>>) {
  const count = { reads: 0 }
  const read: StateStore['read'] = async (name) =>
    name === 'profile' && count.reads++ < times ? old : store.read(name)
  return { count, store: altered(store, { read }) }
}

describe('loadProfile', () => {
  it('opens what is stored', async () => {
    const { store, profile } = await saved()
    expect((await loadProfile(store, login)).record).toEqual(profile.record)
    const { vault, profile: grown } = await profile.createVault(store)
    const loaded = await loadProfile(store, login, { atLeast: grown.revision })
    expect([loaded.revision, loaded.vaults]).toEqual(['2', [vault.id]])
  })

  it('says that there is no profile, after one read if none is required', async () => {
    const { count, store } = lagging(memoryStateStore(), 0, undefined)
    expect((await failure(() => loadProfile(store, login), 'missing')).detail).toEqual({ object: 'profile' })
    expect(count.reads).toBe(1)
    // A floor says that there was one. So the read may have been late.
    await failure(() => loadProfile(store, login, { atLeast: '1' }), 'missing')
    expect(count.reads).toBe(7)
  })

  it('reads again while the store returns less than the floor, and then gives up', async () => {
    const { store, profile } = await saved()
    await profile.createVault(store)
    for (const old of [undefined, { version: 1, bytes: profile.record }]) {
      const late = lagging(store, 3, old)
      expect((await loadProfile(late.store, login, { atLeast: '2' })).revision).toBe('2')
      expect(late.count.reads).toBe(4)
    }
    const always = lagging(store, Infinity, { version: 1, bytes: profile.record })
    const error = await failure(() => loadProfile(always.store, login, { atLeast: '2' }), 'rollback')
    expect(error.detail).toEqual({ version: 1, atLeast: 2 })
    expect(always.count.reads).toBe(6)
    // Without a floor nobody can notice.
    expect((await loadProfile(always.store, login)).revision).toBe('1')
    await failure(() => loadProfile(store, login, { atLeast: '3' }), 'rollback')
  })

  it('passes on what is wrong with the profile', async () => {
    const { store, profile } = await saved()
    await failure(() => loadProfile(store, next), 'wrong-password')
    await failure(() => loadProfile(store, bob), 'wrong-password')
    const { record } = profile
    const of = (bytes: Uint8Array) => async () => loadProfile(await storeOf(bytes), login)
    await failure(of(sample(100)), 'malformed')
    await failure(of(resummed(flipped(record, 60))), 'authentication-failed')
    await failure(of(resummed(flipped(record, record.length - 20))), 'authentication-failed')
    await failure(of(resummed(patched(record, 4, [2]))), 'unsupported')
    await failure(of(new Uint8Array(2 ** 20 + 1)), 'limit-exceeded')
  })

  it('tells mistakes of the program before it reads', async () => {
    const untouched = new Proxy(memoryStateStore(), {
      get: () => () => {
        throw new Error('the store was used')
      },
    })
    for (const atLeast of [undefined, null, 1, '', '0', 'two']) {
      await expect(loadProfile(untouched, login, { atLeast: atLeast as never })).rejects.toThrow(TypeError)
    }
    await expect(loadProfile(untouched, { ...login })).rejects.toThrow(TypeError)
    const gone = openLoginCopy()
    gone.dispose()
    await failure(() => loadProfile(untouched, gone), 'disposed')
    await expect(loadProfile(undefined as never, login)).rejects.toThrow(TypeError)
    await expect(loadProfile({} as never, login)).rejects.toThrow(TypeError)
  })

  it("passes on a store's own errors, and refuses invalid answers", async () => {
    const { store } = await saved()
    const down = altered(store, { read: () => Promise.reject(new RangeError('down')) })
    await expect(loadProfile(down, login)).rejects.toThrow(new RangeError('down'))
    for (const wrong of [null, 7, { version: 0, bytes: sample(1) }, { version: 1, bytes: 'x' }]) {
      const store = altered(memoryStateStore(), { read: async () => wrong as never })
      await expect(loadProfile(store, login)).rejects.toThrow(TypeError)
    }
  })
})

/** Returns a login that can be disposed of. */
function openLoginCopy() {
  return logins.pop()!
}
const logins = [await deriveLogin(PASSWORD, ALICE)]

describe('loadRecord', () => {
  it('returns a copy of the record that counts, and undefined if there is none', async () => {
    const store = memoryStateStore()
    expect(await loadRecord(store)).toBeUndefined()
    const first = createProfile(login, { zeroTrust: true })
    await saveProfile(store, first)
    expect(await loadRecord(store)).toEqual(first.record)
    await store.write('profile', 2, flipped(first.changePassword(login).record, 100))
    expect(await loadRecord(store)).toEqual(first.record)
  })

  it('throws what is wrong if there is nothing else', async () => {
    const store = memoryStateStore()
    await store.write('profile', 1, sample(100))
    await failure(() => loadRecord(store), 'malformed')
    await expect(loadRecord({} as never)).rejects.toThrow(TypeError)
  })
})

describe('saveProfile', () => {
  it('stores the first record, and the next ones, and keeps two', async () => {
    const { store, profile } = await saved()
    expect(await newestBytes(store, 'profile')).toEqual(profile.record)
    const second = profile.changePassword(next)
    await saveProfile(store, second)
    expect((await loadProfile(store, next)).revision).toBe('2')
    expect(await versionsOf(store, 'profile')).toEqual([1, 2])
    await saveProfile(store, second.changePassword(login))
    expect(await versionsOf(store, 'profile')).toEqual([2, 3])
  })

  it('does nothing if the profile is stored already', async () => {
    const { store, profile } = await saved()
    const second = profile.changePassword(next)
    await saveProfile(store, second)
    const { length } = store.history
    await saveProfile(store, second)
    await saveProfile(store, await loadProfile(store, next))
    await saveProfile(store, openProfile(second.record, next))
    expect(store.history).toHaveLength(length)
  })

  it('refuses another profile', async () => {
    const { store } = await saved()
    const { length } = store.history
    const other = createProfile(login, { zeroTrust: true })
    for (const each of [other, other.changePassword(next), openProfile(other.record, login)]) {
      expect((await failure(() => saveProfile(store, each), 'policy')).detail).toEqual({ rule: 'same-profile' })
    }
    expect(store.history).toHaveLength(length)
  })

  it('refuses the second of two devices that changed the same record', async () => {
    const { store, profile } = await saved()
    const [one, other] = [openProfile(profile.record, login), openProfile(profile.record, login)]
    await saveProfile(store, one.changePassword(next))
    const { length } = store.history
    const error = await failure(() => saveProfile(store, other.changePassword(third)), 'conflict')
    expect(error.detail).toEqual({ object: 'profile', version: 2, expected: 3 })
    expect(store.history).toHaveLength(length)
    // It loads the profile and makes the change again.
    await saveProfile(store, (await loadProfile(store, next)).changePassword(third))
    expect((await loadProfile(store, third)).revision).toBe('3')
  })

  it('refuses a change of a record that was never stored, though its revision is the next one', async () => {
    const { store, profile } = await saved()
    // This device changes the password twice while it is offline.
    const offline = profile.changePassword(third).changePassword(next)
    expect(offline.revision).toBe('3')
    await failure(() => saveProfile(store, offline), 'conflict')
    // Another device stores another revision 2. What is stored now is not what the change was made from.
    await saveProfile(store, profile.changePassword(login))
    const { message } = await failure(() => saveProfile(store, offline), 'conflict')
    expect(message).toContain('was made from another one')
    // The same from bytes alone, as after a restart of the device.
    await failure(() => saveProfile(store, openProfile(offline.record, next)), 'conflict')
    expect(await versionsOf(store, 'profile')).toEqual([1, 2])
  })

  it('stores two changes that were made offline, one after the other', async () => {
    const { store, profile } = await saved()
    const second = profile.changePassword(next)
    const thirdRecord = second.changePassword(third)
    await saveProfile(store, second)
    await saveProfile(store, thirdRecord)
    expect((await loadProfile(store, third)).revision).toBe('3')
  })

  it('refuses to put a change behind what is newer', async () => {
    const { store, profile } = await saved()
    const changed = profile.changePassword(next)
    await profile.createVault(store)
    await profile.createVault(store)
    const error = await failure(() => saveProfile(store, changed), 'conflict')
    expect(error.detail).toEqual({ object: 'profile', version: 2, expected: 4 })
    await failure(() => saveProfile(store, profile), 'conflict')
  })

  it('refuses a reset if the user has changed the profile since', async () => {
    const { store, profile } = await saved({ admin: admin.card() })
    const reset = resetProfile(profile.record, admin, next, { identity: profile.identity })
    await profile.createVault(store)
    await failure(() => saveProfile(store, reset), 'conflict')
    const again = resetProfile(await newestBytes(store, 'profile'), admin, next, { identity: profile.identity })
    await saveProfile(store, again)
    expect((await loadProfile(store, next)).revision).toBe('3')
  })

  it('stores an opened record that may follow the stored one, and refuses one that may not', async () => {
    const { store, profile } = await saved({ admin: admin.card() })
    const second = profile.changePassword(next)
    await saveProfile(store, openProfile(second.record, next))
    expect((await loadProfile(store, next)).revision).toBe('2')
    // Nobody has handed the profile over to this identity.
    const stranger = contentsOf(createProfile(next, { admin: admin.card() }).record, next)
    const foreign = recordOf({ ...stranger, id: second.record.slice(32, 48), version: 3 }, next, second)
    const error = await failure(() => saveProfile(store, openProfile(foreign, next)), 'policy')
    expect(error.detail).toEqual({ rule: 'identity' })
    const trusting = await (await loadProfile(store, next)).changeRecovery(store, { zeroTrust: true })
    const contents = contentsOf(trusting.record, next)
    const back = recordOf(
      { ...contents, version: 4, recovery: { kind: 'card', value: admin.card().bytes } },
      next,
      trusting,
    )
    const refused = await failure(() => saveProfile(store, openProfile(back, next)), 'policy')
    expect(refused.detail).toEqual({ rule: 'zero-trust' })
  })

  it('stores an opened record of any revision in an empty store', async () => {
    const { profile } = await saved()
    const later = profile.changePassword(next).changePassword(login)
    const store = memoryStateStore()
    await saveProfile(store, openProfile(later.record, login))
    expect(await store.read('profile')).toEqual({ version: 1, bytes: later.record })
    expect((await loadProfile(store, login, { atLeast: '3' })).revision).toBe('3')
    // A handle whose record the store has lost saves it again, after it has looked several times.
    const { count, store: emptied } = lagging(memoryStateStore(), 0, undefined)
    await saveProfile(emptied, later)
    expect(count.reads).toBe(6)
    expect((await loadProfile(emptied, login)).revision).toBe('3')
  })

  it('reads again while the store returns something older', async () => {
    const { store, profile } = await saved()
    const second = profile.changePassword(next)
    await saveProfile(store, second)
    const changed = second.changePassword(third)
    for (const old of [undefined, { version: 1, bytes: profile.record }]) {
      const copy = await storeOf(profile.record, second.record)
      const late = lagging(copy, 3, old)
      await saveProfile(late.store, changed)
      expect(await copy.read('profile')).toEqual({ version: 3, bytes: changed.record })
    }
    const always = lagging(store, Infinity, { version: 1, bytes: profile.record })
    const error = await failure(() => saveProfile(always.store, changed), 'conflict')
    expect(error.detail).toEqual({ object: 'profile', version: 3, expected: 2 })
  })

  it('notices that a write is stored although its answer was lost', async () => {
    for (const answer of ['false', 'error'] as const) {
      const { store, profile } = await saved()
      const changed = profile.changePassword(next)
      let isLost = false
      const losing = altered(store, {
        async write(...write) {
          const isDone = await store.write(...write)
          if (isLost) return isDone
          isLost = true
          if (answer === 'false') return false
          throw new Error('connection reset')
        },
      })
      await saveProfile(losing, changed)
      expect(await newestBytes(store, 'profile')).toEqual(changed.record)
      expect(await versionsOf(store, 'profile')).toEqual([1, 2])
    }
  })

  it('does nothing if another device has built on it already, whatever became of the answer', async () => {
    const { store, profile } = await saved()
    const changed = profile.changePassword(next)
    const losing = altered(store, {
      async write(...write) {
        const isDone = await store.write(...write)
        if (isDone) await changed.createVault(store)
        return false
      },
    })
    await saveProfile(losing, changed)
    const { length } = store.history
    await saveProfile(store, changed)
    expect(store.history).toHaveLength(length)
    expect((await loadProfile(store, next)).vaults).toHaveLength(1)
  })

  it('says conflict if it cannot find out whether its write was stored, because others went on', async () => {
    const { store, profile } = await saved()
    const changed = profile.changePassword(next)
    const losing = altered(store, {
      async write(...write) {
        const isDone = await store.write(...write)
        if (!isDone) return false
        // Others write twice, so that the record which was written is dropped.
        await changed.createVault(store)
        await changed.createVault(store)
        return false
      },
    })
    await failure(() => saveProfile(losing, changed), 'conflict')
    // Nothing is lost: the change is stored, and the device finds out when it loads the profile.
    expect((await loadProfile(store, next, { atLeast: changed.revision })).revision).toBe('4')
  })

  it('gives up if every write is refused, and if the store never answers', async () => {
    const { store, profile } = await saved()
    const changed = profile.changePassword(next)
    let writes = 0
    const refusing = altered(store, {
      async write() {
        writes++
        return false
      },
    })
    await failure(() => saveProfile(refusing, changed), 'conflict')
    expect(writes).toBe(12)
    const down = altered(store, { write: () => Promise.reject(new Error('down')) })
    await expect(saveProfile(down, changed)).rejects.toThrow('down (version 2 of profile may have been written')
    const server = altered(store, { write: () => Promise.reject(new KeystrataError('policy', 'refused', {})) })
    await failure(() => saveProfile(server, changed), 'policy')
    // All the time the old password works.
    expect((await loadProfile(store, login)).revision).toBe('1')
    await saveProfile(store, changed)
  })

  it('goes behind a damaged newest version', async () => {
    const { store, profile } = await saved()
    await store.write('profile', 2, sample(200))
    await saveProfile(store, profile.changePassword(next))
    expect((await store.read('profile'))!.version).toBe(3)
    expect((await loadProfile(store, next)).revision).toBe('2')
  })

  it('passes on what is wrong with what is stored', async () => {
    const { profile } = await saved()
    const changed = profile.changePassword(next)
    const to = (bytes: Uint8Array) => async () => saveProfile(await storeOf(bytes), changed)
    await failure(to(sample(100)), 'malformed')
    await failure(to(resummed(flipped(profile.record, 60))), 'authentication-failed')
    await failure(to(resummed(patched(profile.record, 11, [2]))), 'unsupported')
  })

  it('refuses a handle that was disposed of, something else, and an invalid store', async () => {
    const { store, profile } = await saved()
    for (const wrong of [{ ...profile }, undefined, profile.record]) {
      await expect(saveProfile(store, wrong as never)).rejects.toThrow(TypeError)
    }
    for (const wrong of [undefined, {}]) await expect(saveProfile(wrong as never, profile)).rejects.toThrow(TypeError)
    const changed = profile.changePassword(next)
    const wrong = altered(store, { write: async () => undefined as never })
    await expect(saveProfile(wrong, changed)).rejects.toThrow(TypeError)
    changed.dispose()
    await failure(() => saveProfile(store, changed), 'disposed')
  })
})

describe('restoreProfile', () => {
  /** Returns a store with a vault, and the profile at revision 2. */
  async function withVault(recovery?: Parameters<typeof createProfile>[1]) {
    const { store, profile } = await saved(recovery)
    const { vault, profile: old } = await profile.createVault(store)
    return { store, old, vault, block: await vault.seal(content) }
  }
  const restoring = (store: StateStore, profile: Profile) => () => restoreProfile(store, profile)

  it('goes back to an older record, which then follows what is stored', async () => {
    const { store, old, vault, block } = await withVault()
    const changed = old.changePassword(next)
    await saveProfile(store, changed)
    const restored = await restoreProfile(store, openProfile(old.record, login))
    expect([restored.revision, restored.vaults, restored.identity]).toEqual(['4', [vault.id], old.identity])
    // Nothing is stored before the caller saves it.
    expect((await loadProfile(store, next)).revision).toBe('3')
    await saveProfile(store, restored)
    const loaded = await loadProfile(store, login, { atLeast: restored.revision })
    expect(await (await loaded.openVault(store, vault.id)).open(block)).toEqual(content)
    await failure(() => loadProfile(store, next), 'wrong-password')
  })

  it('is accepted by a guard, with the credential first', async () => {
    const database = memoryStateStore()
    const session = guardProfiles(database)
    const created = createProfile(login, { zeroTrust: true })
    await saveCredential(database, created.record, login.credential, INSTANT)
    const { profile: old } = await created.createVault(session)
    const changed = old.changePassword(next)
    await saveCredential(database, changed.record, next.credential, INSTANT)
    await saveProfile(session, changed)
    const restored = await restoreProfile(session, old)
    expect((await failure(() => saveProfile(session, restored), 'policy')).detail).toEqual({ rule: 'verifier' })
    await saveCredential(database, restored.record, login.credential, INSTANT)
    await saveProfile(session, restored)
    expect((await loadProfile(session, login)).revision).toBe('4')
  })

  it('helps after the database was restored to an older record than the device has', async () => {
    const { store, old, vault, block } = await withVault()
    const backup = await storeOf(await newestBytes(store, 'profile'))
    const keyring = `keyring/${vault.id}`
    await backup.write(keyring, 1, await newestBytes(store, keyring))
    const newer = old.changePassword(next).changePassword(third).changePassword(next)
    expect(newer.revision).toBe('5')
    await failure(() => newer.openVault(memoryStateStore(), vault.id), 'missing')
    const restored = await restoreProfile(backup, newer)
    expect(restored.revision).toBe('3')
    await saveProfile(backup, restored)
    expect(await (await (await loadProfile(backup, next)).openVault(backup, vault.id)).open(block)).toEqual(content)
    // Other devices refuse it until they accept its revision.
    await failure(() => loadProfile(backup, next, { atLeast: newer.revision }), 'rollback')
  })

  it('refuses a record whose vaults were rotated since, and says which', async () => {
    const { store, old } = await withVault()
    const { profile: both, vault: second } = await old.createVault(store)
    await both.rotate(store, second.id)
    const { detail } = await failure(restoring(store, both), 'policy')
    expect(detail).toEqual({ rule: 'keyring', vaultId: second.id })
  })

  it('refuses a record from before a vault was created, because its keys would be lost', async () => {
    const { store, old } = await withVault()
    const { vault: second } = await old.createVault(store)
    const { detail } = await failure(restoring(store, old), 'policy')
    expect(detail).toEqual({ rule: 'vaults', vaultId: second.id })
  })

  it('refuses while a rotation is under way, also a record that has the keys of both sides', async () => {
    for (const at of [0, 1, 3]) {
      const { store, old, vault, block } = await withVault()
      await expect(old.rotate(dyingStore(store, at))).rejects.toThrow(PowerCut)
      const { detail } = await failure(restoring(store, old), 'policy')
      expect(detail).toEqual({ rule: 'keyring', vaultId: vault.id })
      // What the message says helps.
      const rotated = await (await loadProfile(store, login)).rotate(store)
      await failure(restoring(store, old), 'policy')
      const restored = await restoreProfile(store, rotated)
      await saveProfile(store, restored)
      expect(await (await restored.openVault(store, vault.id)).open(block)).toEqual(content)
    }
  })

  it('refuses if a keyring is missing, damaged or altered', async () => {
    const { store, old, vault } = await withVault()
    const name = `keyring/${vault.id}`
    const keyring = await newestBytes(store, name)
    const lost = await storeOf(old.record)
    expect((await failure(restoring(lost, old), 'policy')).detail).toEqual({ rule: 'keyring', vaultId: vault.id })
    for (const [bytes, code] of [
      [sample(300), 'malformed'],
      [new Uint8Array(65_537), 'limit-exceeded'],
      [flipped(keyring, 200), 'malformed'],
      [resummed(patched(keyring, 11, [2])), 'unsupported'],
      [resummed(flipped(keyring, keyring.length - 20)), 'authentication-failed'],
      [resummed(flipped(keyring, 40)), 'authentication-failed'],
    ] as const) {
      const changed = await storeOf(old.record)
      await changed.write(name, 1, bytes)
      await failure(restoring(changed, old), code)
    }
  })

  it('refuses a record of a former identity, in both directions', async () => {
    const { store, old } = await withVault({ admin: admin.card() })
    const before = await storeOf(old.record)
    const changed = await old.changeRecovery(store, { zeroTrust: true })
    expect((await failure(restoring(store, old), 'policy')).detail).toEqual({ rule: 'identity' })
    expect((await failure(restoring(before, changed), 'policy')).detail).toEqual({ rule: 'identity' })
  })

  it('refuses another profile, and an empty store', async () => {
    const { store, old } = await withVault()
    const other = createProfile(login, { zeroTrust: true })
    expect((await failure(restoring(store, other), 'policy')).detail).toEqual({ rule: 'same-profile' })
    expect((await failure(restoring(memoryStateStore(), old), 'missing')).detail).toEqual({ object: 'profile' })
    const late = lagging(store, 3, undefined)
    expect((await restoreProfile(late.store, old)).revision).toBe('3')
  })

  it('passes on what is wrong with what is stored', async () => {
    const { old } = await withVault()
    await failure(restoring(await storeOf(sample(90)), old), 'malformed')
    await failure(restoring(await storeOf(resummed(flipped(old.record, 60))), old), 'authentication-failed')
    await failure(restoring(await storeOf(resummed(patched(old.record, 11, [2]))), old), 'unsupported')
    await failure(restoring(await storeOf(new Uint8Array(2 ** 20 + 1)), old), 'limit-exceeded')
    const last = rewritten(old.record, login, { version: Number.MAX_SAFE_INTEGER, vaults: [] })
    const empty = openProfile(rewritten(old.record, login, { vaults: [] }), login)
    await failure(restoring(await storeOf(last), empty), 'limit-exceeded')
  })

  it('refuses what is not a profile handle, and one that was disposed of', async () => {
    const { store, old } = await withVault()
    await expect(restoreProfile(store, { ...old })).rejects.toThrow(TypeError)
    await expect(restoreProfile(undefined as never, old)).rejects.toThrow(TypeError)
    const wrong = altered(store, { read: async () => 7 as never })
    await expect(restoreProfile(wrong, old)).rejects.toThrow(TypeError)
    old.dispose()
    await failure(restoring(store, old), 'disposed')
  })

  it('gives a profile that is independent of the older one, and conflicts with what others store meanwhile', async () => {
    const { store, old, vault, block } = await withVault()
    const restored = await restoreProfile(store, old)
    old.dispose()
    expect(await (await restored.openVault(store, vault.id)).open(block)).toEqual(content)
    await (await loadProfile(store, login)).createVault(store)
    await failure(() => saveProfile(store, restored), 'conflict')
  })
})
