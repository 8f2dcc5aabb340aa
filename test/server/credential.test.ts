// Verifiers of logins in a store (SPEC §12.2): whoever is entitled can set a new password at any moment, and at no moment a
// user is locked out.
import { describe, expect, it } from 'vitest'
import { createKeyset, KeystrataError } from '../../src/index.ts'
import { type BcryptOptions, guardProfiles, saveCredential, verifyCredential } from '../../src/server.ts'
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
import { keyIdIn } from '../../src/core/header.ts'
import { CheckedStore } from '../../src/state/checked.ts'
import { readStoredRecord } from '../../src/vault/stored-profile.ts'
import { ALICE, CHEAP, failure, flipped, hex, newestBytes, PASSWORD, patched, resummed, sample } from '../fixtures.ts'
import { withoutPauses } from '../pauses.ts'
import { rewritten } from '../vault/forged.ts'
import { altered, versionsOf, watched } from '../vault/watched.ts'
import { INSTANT, InstantBcrypt } from './instant-bcrypt.ts'

withoutPauses()
const [alice, second, third] = await Promise.all(['', '2', '3'].map((more) => deriveLogin(PASSWORD + more, ALICE)))
const logins = [alice, second, third] as [Login, Login, Login]
const [A, B, C] = logins
const admin = await createKeyset('admin', { costs: CHEAP })
const byAdmin = { admin: admin.card() }
/** How many calls lie between two interruptions. With SLOW=1 every call is interrupted. */
const EVERY = process.env['SLOW'] === '1' ? 1 : 7
const nameOf = (record: Uint8Array) => `login/${hex(keyIdIn(record))}`

/** Saves a profile as a product does. */
async function save(database: StateStore, profile: Profile, login: Login, options: BcryptOptions = INSTANT) {
  await saveCredential(database, profile.record, login.credential, options)
  await saveProfile(guardProfiles(database), profile)
  return profile
}

async function signedUp(options: BcryptOptions = INSTANT) {
  const database = memoryStateStore()
  const profile = await save(database, createProfile(A, byAdmin), A, options)
  return { database, profile, name: nameOf(profile.record) }
}
const accepts = (database: StateStore, { credential }: Login, options: BcryptOptions = INSTANT) =>
  verifyCredential(database, credential, options)

describe('saveCredential', () => {
  it('writes a verifier that counts once the record is stored', async () => {
    const database = memoryStateStore()
    const profile = createProfile(A, byAdmin)
    await saveCredential(database, profile.record, A.credential, INSTANT)
    const stored = await newestBytes(database, nameOf(profile.record))
    expect(hex(stored.subarray(0, 8))).toBe('0000000000000001')
    expect(Buffer.from(stored.subarray(8)).toString()).toMatch(/^\$2b\$10\$.{53}$/)
    expect(await accepts(database, A)).toBe(false)
    await saveProfile(guardProfiles(database), profile)
    expect([await accepts(database, A), await accepts(database, B)]).toEqual([true, false])
  })

  it('works with the real bcrypt, at its default cost', async () => {
    const { database, profile } = await signedUp({})
    expect(Buffer.from(await newestBytes(database, nameOf(profile.record))).toString('latin1')).toContain('$2b$12$')
    expect([await accepts(database, A, {}), await accepts(database, B, {})]).toEqual([true, false])
  })

  it('leaves the old password valid until the record is stored', async () => {
    const { database, profile } = await signedUp()
    const changed = profile.changePassword(B)
    await saveCredential(database, changed.record, B.credential, INSTANT)
    expect([await accepts(database, A), await accepts(database, B)]).toEqual([true, false])
    await saveProfile(guardProfiles(database), changed)
    expect([await accepts(database, A), await accepts(database, B)]).toEqual([false, true])
  })

  it('can be repeated, and raises the version for which it holds, but never lowers it', async () => {
    const { database, profile } = await signedUp()
    const changed = profile.changePassword(B)
    const name = nameOf(changed.record)
    await saveCredential(database, changed.record, B.credential, INSTANT)
    const first = await database.read(name)
    await saveCredential(database, changed.record, B.credential, INSTANT)
    expect(await database.read(name)).toEqual(first)
    const { profile: grown } = await profile.createVault(guardProfiles(database))
    const later = grown.changePassword(B)
    await saveCredential(database, later.record, B.credential, INSTANT)
    const raised = (await database.read(name))!
    expect(hex(raised.bytes.subarray(0, 8))).toBe('0000000000000003')
    // The verifier itself is the same.
    expect(raised.bytes.subarray(8)).toEqual(first!.bytes.subarray(8))
    // A record of a lower version cannot come any more, and does not lower the version.
    await failure(() => saveCredential(database, changed.record, B.credential, INSTANT), 'conflict')
    expect(await database.read(name)).toEqual(raised)
  })

  it('never replaces a credential by another one', async () => {
    const { database, profile, name } = await signedUp()
    const before = await database.read(name)
    const next = profile.changePassword(A)
    await failure(() => saveCredential(database, next.record, B.credential, INSTANT), 'conflict')
    expect(await database.read(name)).toEqual(before)
    const waiting = profile.changePassword(B)
    await saveCredential(database, waiting.record, B.credential, INSTANT)
    await failure(() => saveCredential(database, waiting.record, C.credential, INSTANT), 'conflict')
    await saveProfile(guardProfiles(database), waiting)
    expect(await accepts(database, B)).toBe(true)
  })

  it('takes only a record that may follow, or the first', async () => {
    const { database, profile } = await signedUp()
    const of =
      (record: Uint8Array, credential: string = B.credential) =>
      () =>
        saveCredential(database, record, credential, INSTANT)
    const changed = profile.changePassword(B)
    await failure(of(profile.record, A.credential), 'conflict')
    await failure(of(changed.changePassword(B).record), 'conflict')
    await failure(of(createProfile(B, byAdmin).changePassword(B).record), 'policy')
    // Signed by the wrong one, or by nobody.
    await failure(of(resummed(flipped(changed.record, 90))), 'authentication-failed')
    await failure(of(resummed(flipped(changed.record, 20))), 'authentication-failed')
    await failure(of(sample(400)), 'malformed')
    await failure(of(flipped(changed.record, 300)), 'malformed')
    await failure(of(resummed(patched(changed.record, 11, [2]))), 'unsupported')
    await failure(of(new Uint8Array(2 ** 20 + 1)), 'limit-exceeded')
    const trusting = await profile.changeRecovery(guardProfiles(database), { zeroTrust: true })
    const back = rewritten(trusting.changePassword(B).record, B, {
      recovery: { kind: 'card', value: admin.card().bytes },
    })
    expect((await failure(of(back), 'policy')).detail).toEqual({ rule: 'zero-trust' })
    expect(await database.read(nameOf(changed.record))).toBeUndefined()
    // A reset by the admin whose card is stored is a record that may follow. One by a stranger is not.
    const { database: other, profile: hers } = await signedUp()
    const reset = resetProfile(hers.record, admin, C, { identity: hers.identity })
    await saveCredential(other, reset.record, C.credential, INSTANT)
    await saveProfile(guardProfiles(other), reset)
    expect(await accepts(other, C)).toBe(true)
  })

  it('refuses what is not a credential before it hashes anything, and invalid options', async () => {
    const { database, profile } = await signedUp()
    const { record } = profile.changePassword(B)
    const bcrypt = new InstantBcrypt()
    for (const wrong of ['', 'x', 'x'.repeat(31), 'x'.repeat(33), '*'.repeat(32), `${'x'.repeat(31)}=`]) {
      await failure(() => saveCredential(database, record, wrong, { bcrypt, cost: 10 }), 'malformed')
    }
    for (const wrong of [undefined, null, 7, new Uint8Array(24)] as never[]) {
      await expect(saveCredential(database, record, wrong, { bcrypt })).rejects.toThrow(TypeError)
    }
    for (const cost of [9, 16, 10.5, Number.NaN]) {
      await failure(() => saveCredential(database, record, B.credential, { bcrypt, cost }), 'limit-exceeded')
    }
    expect([bcrypt.hashes, bcrypt.compares]).toEqual([0, 0])
    for (const wrong of [{}, { hash: 1, compare: 2 }, null] as never[]) {
      await expect(saveCredential(database, record, B.credential, { bcrypt: wrong })).rejects.toThrow(TypeError)
    }
    await expect(saveCredential(database, 'x' as never, B.credential, INSTANT)).rejects.toThrow(TypeError)
    for (const wrong of [undefined, {}] as never[]) {
      await expect(saveCredential(wrong, record, B.credential, INSTANT)).rejects.toThrow(TypeError)
    }
    const answers = altered(database, { write: async () => 1 as never })
    await expect(saveCredential(answers, record, B.credential, INSTANT)).rejects.toThrow(TypeError)
    // An error of the store does not tell the name, which tests passwords.
    const down = altered(database, { write: () => Promise.reject(new Error('down')) })
    const error: unknown = await saveCredential(down, record, B.credential, INSTANT).catch((reason: unknown) => reason)
    expect(String(error)).toContain('down')
    expect(String(error)).not.toContain(hex(keyIdIn(record)))
  })

  it('reads again if the store shows something older', async () => {
    const { database, profile } = await signedUp()
    const grown = await save(database, profile.changePassword(A), A)
    let late = 3
    const lagging = altered(database, {
      read: async (name) =>
        name === 'profile' && late-- > 0 ? { version: 1, bytes: profile.record } : database.read(name),
    })
    const changed = grown.changePassword(B)
    await saveCredential(lagging, changed.record, B.credential, INSTANT)
    await saveProfile(guardProfiles(database), changed)
    expect(await accepts(database, B)).toBe(true)
  })

  it('by two sign-ups at once: one of them gets the account, and its password works', async () => {
    for (const [one, other] of [
      [A, B],
      [A, A],
    ] as const) {
      const database = memoryStateStore()
      const profiles = [createProfile(one, byAdmin), createProfile(other, byAdmin)] as const
      const outcomes = await Promise.allSettled([save(database, profiles[0], one), save(database, profiles[1], other)])
      expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') expect((outcome.reason as KeystrataError).code).toBe('policy')
      }
      const winner = outcomes[0].status === 'fulfilled' ? 0 : 1
      expect(await newestBytes(database, 'profile')).toEqual(profiles[winner].record)
      expect(await accepts(database, [one, other][winner]!)).toBe(true)
      if (one !== other) expect(await accepts(database, [other, one][winner]!)).toBe(false)
    }
  })

  it('by two devices at once for one new password works, and for two new passwords one of them wins', async () => {
    const { database, profile } = await signedUp()
    const same = [profile.changePassword(B), profile.changePassword(B)] as const
    await Promise.all(same.map(({ record }) => saveCredential(database, record, B.credential, INSTANT)))
    const changes = [same[0], profile.changePassword(C)] as const
    await saveCredential(database, changes[1].record, C.credential, INSTANT)
    const session = guardProfiles(database)
    const outcomes = await Promise.allSettled(changes.map((each) => saveProfile(session, each)))
    const winner = outcomes.findIndex(({ status }) => status === 'fulfilled')
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect([await accepts(database, B), await accepts(database, C)]).toEqual([winner === 0, winner === 1])
  })
})

describe('verifyCredential', () => {
  it('asks the same of the store and of bcrypt, whether the user exists or not', async () => {
    const { database: fresh, profile } = await signedUp()
    const { database: old } = await signedUp()
    let current = await loadProfile(old, A)
    for (const login of [B, A, B]) current = await save(old, current.changePassword(login), login)
    const { database: unverified, name } = await signedUp()
    await unverified.write(name, 2, new Uint8Array(0))
    const cases: [StateStore, string, boolean][] = [
      [memoryStateStore(), A.credential, false],
      [fresh, B.credential, false],
      [fresh, 'not a credential', false],
      [fresh, A.credential, true],
      [old, A.credential, false],
      [old, B.credential, true],
      [unverified, A.credential, false],
      [memoryStateStore(), 'not a credential', false],
    ]
    for (const [store, credential, expected] of cases) {
      const calls: string[] = []
      const bcrypt = new InstantBcrypt()
      const asked = watched(store, (call) => calls.push(call.replace(/ \d+$/, '')))
      expect(await verifyCredential(asked, credential, { bcrypt, cost: 10 })).toBe(expected)
      expect(calls).toEqual(['read profile', 'readVersion profile', 'read login'])
      expect([bcrypt.compares, bcrypt.hashes]).toEqual([1, 0])
    }
    expect(profile.revision).toBe('1')
  })

  it('refuses what is not a text, and passes on limits', async () => {
    const { database } = await signedUp()
    for (const store of [database, memoryStateStore()]) {
      for (const wrong of [undefined, null, 7, {}] as never[]) {
        await expect(verifyCredential(store, wrong, INSTANT)).rejects.toThrow(TypeError)
      }
      for (const cost of [9, 16]) {
        await failure(() => verifyCredential(store, A.credential, { ...INSTANT, cost }), 'limit-exceeded')
      }
    }
    await expect(verifyCredential({} as never, A.credential, INSTANT)).rejects.toThrow(TypeError)
    const down = altered(database, { read: () => Promise.reject(new Error('down')) })
    await expect(accepts(down, A)).rejects.toThrow('down')
    const wrong = altered(database, { read: async () => null as never })
    await expect(accepts(wrong, A)).rejects.toThrow(TypeError)
  })

  it('says what is wrong with the stored profile', async () => {
    const { profile } = await signedUp()
    for (const [record, code] of [
      [sample(300), 'malformed'],
      [resummed(flipped(profile.record, 90)), 'authentication-failed'],
      [resummed(patched(profile.record, 11, [2])), 'unsupported'],
    ] as const) {
      const database = memoryStateStore()
      await database.write('profile', 1, record)
      await failure(() => accepts(database, A), code)
    }
  })

  it.each<[string, (stored: Uint8Array) => Uint8Array]>([
    ['is cut', (stored) => stored.subarray(0, -1)],
    ['is longer', (stored) => new Uint8Array([...stored, 0])],
    ['is one byte', () => new Uint8Array(1)],
    ['has version 0', (stored) => patched(stored, 0, new Uint8Array(8))],
    ['has a version that is too high', (stored) => patched(stored, 0, [0xff])],
    ['is not bcrypt', (stored) => patched(stored, 8, [0x24, 0x39])],
    ['has a cost of 9', (stored) => patched(stored, 12, [0x30, 0x39])],
    ['has a cost of 31', (stored) => patched(stored, 12, [0x33, 0x31])],
    ['has a character that bcrypt does not use', (stored) => patched(stored, 30, [0x21])],
  ])('throws a plain Error if the stored verifier %s, and so do the others', async (_, damage) => {
    const { database, profile, name } = await signedUp()
    await database.write(name, 2, damage(await newestBytes(database, name)))
    const { record } = profile.changePassword(A)
    const back = profile.changePassword(B)
    await save(database, back, B)
    const again = back.changePassword(A)
    for (const call of [
      () => accepts(altered(database, { read: readingProfile(profile.record) }), A),
      () => saveCredential(database, again.record, A.credential, INSTANT),
      () => guardProfiles(database).write('profile', 3, again.record),
    ]) {
      const error: unknown = await Promise.resolve(call()).catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(Error)
      // It is damage in the server's own database, and must not look like a client's mistake.
      expect(error).not.toBeInstanceOf(KeystrataError)
      expect(String(error)).toContain('restore it from a backup')
    }
    expect(record).toBeInstanceOf(Uint8Array)

    /** The database while the first record counts. */
    function readingProfile(first: Uint8Array): StateStore['read'] {
      return async (each) => (each === 'profile' ? { version: 1, bytes: first } : database.read(each))
    }
  })

  it('replaces a verifier of another cost when its user logs in, and not otherwise', async () => {
    const { database, name } = await signedUp()
    const costOf = async () => Buffer.from((await newestBytes(database, name)).subarray(12, 14)).toString()
    const at = (cost: number) => ({ ...INSTANT, cost })
    expect(await accepts(database, B, at(12))).toBe(false)
    expect(await verifyCredential(database, A.credential, { bcrypt: INSTANT.bcrypt })).toBe(true)
    expect(await costOf()).toBe('10')
    for (const cost of [12, 11]) {
      expect(await accepts(database, A, at(cost))).toBe(true)
      expect(await costOf()).toBe(String(cost))
      // The weaker one is gone.
      expect(await versionsOf(database, name)).toHaveLength(1)
      expect(hex((await newestBytes(database, name)).subarray(0, 8))).toBe('0000000000000001')
    }
    expect([await accepts(database, A, at(11)), await accepts(database, B, at(11))]).toEqual([true, false])
  })

  it('logs the user in even if the verifier cannot be replaced now', async () => {
    const { database, name } = await signedUp()
    const before = await database.read(name)
    const down = altered(database, { write: () => Promise.reject(new Error('down')) })
    expect(await accepts(down, A, { ...INSTANT, cost: 12 })).toBe(true)
    const failing = {
      compare: INSTANT.bcrypt.compare.bind(INSTANT.bcrypt),
      hash: () => Promise.reject(new Error('memory')),
    }
    expect(await accepts(database, A, { bcrypt: failing, cost: 12 })).toBe(true)
    expect(await database.read(name)).toEqual(before)
    const wrong = altered(database, { write: async () => 'yes' as never })
    await expect(accepts(wrong, A, { ...INSTANT, cost: 12 })).rejects.toThrow(TypeError)
  })

  it('does not bring back a verifier that was cleared meanwhile', async () => {
    const { database, profile, name } = await signedUp()
    let isBusy = false
    // While the server computes the new verifier, the user changes the password twice, and the old one is cleared.
    const bcrypt = {
      compare: INSTANT.bcrypt.compare.bind(INSTANT.bcrypt),
      hash: async (password: string, cost: number) => {
        if (!isBusy) {
          isBusy = true
          const changed = await save(database, profile.changePassword(B), B)
          await save(database, changed.changePassword(C), C)
        }
        return INSTANT.bcrypt.hash(password, cost)
      },
    }
    expect(await accepts(database, A, { bcrypt, cost: 12 })).toBe(true)
    expect(await newestBytes(database, name)).toEqual(new Uint8Array(0))
  })
})

describe('nobody is locked out', () => {
  /** Checks that the password of the record that counts works. */
  async function assertOpen(database: StateStore): Promise<void> {
    const { record } = (await readStoredRecord(new CheckedStore(database)))!
    const own = logins.find((login) => {
      try {
        openProfile(record.bytes, login).dispose()
        return true
      } catch {
        return false
      }
    })
    expect(await accepts(database, own!)).toBe(true)
  }

  /** Returns a store that runs something before call number `at`, and checks after every write that nobody is locked out. */
  function interrupted(database: StateStore, at: number, meanwhile: () => Promise<void>) {
    const state = { calls: 0, isReached: false }
    const before = async () => {
      if (state.calls++ !== at) return
      state.isReached = true
      await meanwhile()
      await assertOpen(database)
    }
    const store = watched(database, before)
    return {
      state,
      store: altered(store, {
        async write(...write) {
          const isDone = await store.write(...write)
          if (await database.read('profile')) await assertOpen(database)
          return isDone
        },
      }),
    }
  }

  /** Repeats a change until it is saved, as a product does after a conflict or a missing verifier. */
  async function changeTo(database: StateStore, from: Login, to: Login): Promise<void> {
    for (let tries = 0; ; tries++) {
      const current = await loadProfile(database, from)
      try {
        await save(database, current.changePassword(to), to)
        return
      } catch (error) {
        expect(['conflict', 'policy']).toContain((error as KeystrataError).code)
        expect(tries).toBeLessThan(5)
      }
    }
  }

  it('if the user goes back to the first password, however slow the server clears up', async () => {
    // A → B → C is stored, with which the server clears A. It is slow, and meanwhile the user goes back to A.
    for (let at = 0, isReached = true; isReached; at++) {
      const { database, profile } = await signedUp()
      const changed = await save(database, profile.changePassword(B), B)
      const again = changed.changePassword(C)
      await saveCredential(database, again.record, C.credential, INSTANT)
      const slow = interrupted(database, at, async () => {
        // Before the record is stored, there is nothing to go back from.
        if ((await database.read('profile'))!.version < 3) return
        await changeTo(database, C, A)
      })
      const went = await guardProfiles(slow.store).write('profile', 3, again.record)
      expect(went).toBe(true)
      await assertOpen(database)
      isReached = slow.state.isReached
      if (!isReached) expect(at).toBeGreaterThan(6)
    }
  })

  it('if the server clears up while the first password is saved again, at any point', async () => {
    for (let at = 0, isReached = true; isReached; at++) {
      const { database, profile } = await signedUp()
      const changed = await save(database, profile.changePassword(B), B)
      const last = await save(database, changed.changePassword(C), C)
      const back = last.changePassword(A)
      // Somebody repeats the last request, so that the server tidies once more; and a vault is created, if it may.
      const slow = interrupted(database, at, async () => {
        const { version, bytes } = (await database.read('profile'))!
        await guardProfiles(database).write('profile', version, bytes)
      })
      await save(slow.store, back, A)
      await assertOpen(database)
      expect(await accepts(database, A)).toBe(true)
      isReached = slow.state.isReached
      if (!isReached) expect(at).toBeGreaterThan(8)
    }
  })

  it('if another device writes while the password changes back and forth, at any point', async () => {
    for (let at = 0, isReached = true; isReached; at += EVERY) {
      const { database } = await signedUp()
      const slow = interrupted(database, at, async () => {
        const { bytes } = (await database.read('profile'))!
        const own = logins.find((login) => keyIdOf(login) === hex(keyIdIn(bytes)))!
        await (await loadProfile(database, own)).createVault(guardProfiles(database))
      })
      for (const [from, to] of [
        [A, B],
        [B, A],
        [A, B],
      ] as const) {
        await changeTo(slow.store, from, to)
        await assertOpen(database)
      }
      expect([await accepts(database, A), await accepts(database, B)]).toEqual([false, true])
      expect(parseProfile(await newestBytes(database, 'profile')).vaults.length).toBe(slow.state.isReached ? 1 : 0)
      isReached = slow.state.isReached
      if (!isReached) expect(at).toBeGreaterThan(30)
    }
  })
})

/** Returns the key id of a login's R-key, as records name it. */
function keyIdOf(login: Login): string {
  return hex(keyIdIn(createProfile(login, { zeroTrust: true }).record))
}
