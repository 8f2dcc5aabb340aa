// Devices rotate, create vaults, change passwords and the recovery at once, beside the admin who resets the password and
// a reader, over a guarded store, with a crash or a lost answer at any write, in any order that the scheduler chooses.
// Nothing is lost, every state can be finished, nobody is locked out, and the reader always opens its vault.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Keyset, KeystrataError, type SealedBlock } from '../../src/index.ts'
import { guardProfiles, saveCredential, verifyCredential } from '../../src/server.ts'
import type { StateStore } from '../../src/stores.ts'
import {
  createProfile,
  deriveLogin,
  type Login,
  openProfile,
  type Profile,
  resetProfile,
  saveProfile,
} from '../../src/vault.ts'
import { keyIdIn, ObjectType } from '../../src/core/header.ts'
import { disposeKeys, withBytes } from '../../src/core/secret.ts'
import { openKeyring, openRecoverySlot, parseKeyring } from '../../src/vault/keyring.ts'
import { parseProfileRecord, type ProfileContents } from '../../src/vault/profile-record.ts'
import {
  ALICE,
  cardIdentityOf,
  hex,
  KeepingStore,
  makeKeyset,
  newestBytes,
  numRuns,
  opening,
  PASSWORD,
  sample,
  unhex,
} from '../fixtures.ts'
import { withoutPauses } from '../pauses.ts'
import { INSTANT } from '../server/instant-bcrypt.ts'
import { contentsOf } from '../vault/forged.ts'
import { versionsOf } from '../vault/watched.ts'

withoutPauses()
const logins = await Promise.all(['', '2', '3'].map((more) => deriveLogin(PASSWORD + more, ALICE)))
const [login] = logins as [Login, Login, Login]
const admins = await Promise.all([1, 2].map(() => makeKeyset()))
const content = sample(100)

class Crash extends Error {}

/** The store as one device sees it: every call waits for its turn, and the device crashes at one of its writes. */
interface Crashing {
  /** The number of the device's last write. */
  readonly at: number
  readonly after: boolean
  /** The number of a write that succeeds but reports failure, as when a store repeats a request after a lost answer. */
  readonly lost: number
}
const alive: Crashing = { at: 1000, after: false, lost: 1000 }

function deviceStore(session: StateStore, database: StateStore, scheduler: fc.Scheduler, crash: Crashing): StateStore {
  let writes = 0
  let isDead = false
  async function turn<T>(name: string, call: () => Promise<T>): Promise<T> {
    await scheduler.schedule(Promise.resolve(), name)
    if (isDead) throw new Crash()
    return call()
  }
  return {
    read: (name) => turn(`read ${name}`, () => session.read(name)),
    readVersion: (name, version) => turn(`read ${name} ${version}`, () => session.readVersion(name, version)),
    drop: (name, below) => turn(`drop ${name} ${below}`, () => session.drop(name, below)),
    write: (name, version, bytes) =>
      turn(`write ${name} ${version}`, async () => {
        const number = writes++
        isDead = number === crash.at
        if (isDead && !crash.after) throw new Crash()
        const answer = await session.write(name, version, bytes)
        await assertNothingLost(database)
        if (isDead) throw new Crash()
        return number === crash.lost ? false : answer
      }),
  }
}

/** The key ids of the logins, as records name them. */
const keyIds = logins.map((each) => hex(keyIdIn(createProfile(each, { zeroTrust: true }).record)))

/** Returns the login that a record is under. */
function loginOf(record: Uint8Array): Login {
  return logins[keyIds.indexOf(hex(keyIdIn(record)))]!
}

/** Checks the main invariants: every vault has a live E-key at every moment, and the user's password works. */
async function assertNothingLost(database: StateStore): Promise<void> {
  const record = await newestBytes(database, 'profile')
  const own = loginOf(record)
  const profile = contentsOf(record, own)
  for (const vault of profile.vaults) {
    const keyring = parseKeyring(await newestBytes(database, `keyring/${hex(vault.id)}`))
    const opened = openKeyring(keyring, vault, vault.keys)
    if (opened === undefined) throw new Error('no E-key is live')
    opened.dataKey.dispose()
  }
  disposeKeys(profile)
  if (!(await verifyCredential(database, own.credential, INSTANT))) throw new Error('the user is locked out')
}

/** Returns the E-keys of a vault in the slots of a record, lowest generation first. */
function keysOf(record: Uint8Array, vaultId: string): string[] {
  const { vaults } = contentsOf(record, loginOf(record))
  const keys = vaults.find(({ id }) => hex(id) === vaultId)?.keys ?? []
  return keys.map(({ key }) => withBytes(key, hex))
}

/** Returns the E-keys of a vault that an admin can recover from records. */
function recoveredKeys(records: readonly Uint8Array[], vaultId: string, admin: Keyset): string[] {
  const identity = cardIdentityOf(admin)
  return records.flatMap((bytes) => {
    if (bytes[5] !== ObjectType.profile) return []
    const { header, vaults } = parseProfileRecord(bytes)
    return vaults
      .filter(({ id }) => hex(id) === vaultId)
      .flatMap(({ recoverySlots }) => recoverySlots)
      .filter(({ bytes: slot }) => Buffer.from(slot.subarray(16, 32)).equals(identity.keyId))
      .map((slot) => openRecoverySlot(opening(identity), header.ownerId, ALICE, unhex(vaultId), slot))
      .map(({ key }) => withBytes(key, hex))
  })
}

type Work = 'rotate' | 'rotate one' | 'new admin' | 'zero trust' | 'create' | 'new password' | 'reset'

interface Plan {
  readonly works: readonly Work[]
  readonly crash: Crashing
}

const plan = (works: readonly Work[]): fc.Arbitrary<Plan> =>
  fc.record({
    works: fc.array(fc.constantFrom(...works), { minLength: 1, maxLength: 2 }),
    crash: fc.record({
      at: fc.oneof(fc.nat(10), fc.constant(1000)),
      after: fc.boolean(),
      lost: fc.oneof(fc.nat(10), fc.constant(1000)),
    }),
  })

/** Loads the profile with whatever password it is under now. */
async function loaded(store: StateStore): Promise<{ profile: Profile; own: Login }> {
  const record = await newestBytes(store, 'profile')
  const own = loginOf(record)
  return { profile: openProfile(record, own), own }
}

async function runDevices(plans: readonly Plan[], scheduler: fc.Scheduler, zeroTrust: boolean): Promise<void> {
  const database = new KeepingStore()
  const guarded = guardProfiles(database)
  const first = createProfile(login, zeroTrust ? { zeroTrust } : { admin: admins[0]!.card() })
  await saveCredential(database, first.record, login.credential, INSTANT)
  const { profile, vault } = await first.createVault(guarded)
  const blocks: Map<string, SealedBlock> = new Map([[vault.id, await vault.seal(content)]])

  /** Saves a profile under a new password: the credential first. */
  const save = async (own: StateStore, changed: Profile, next: Login) => {
    await saveCredential(database, changed.record, next.credential, INSTANT)
    await saveProfile(own, changed)
  }
  const device = async ({ works, crash }: Plan) => {
    const own = deviceStore(guarded, database, scheduler, crash)
    for (const work of works) {
      try {
        const { profile: mine, own: password } = await loaded(own)
        switch (work) {
          case 'create': {
            const made = await mine.createVault(own)
            blocks.set(made.vault.id, await made.vault.seal(content))
            break
          }
          case 'new password': {
            const next = logins[(logins.indexOf(password) + 1) % logins.length]!
            await save(own, mine.changePassword(next), next)
            break
          }
          case 'reset': {
            const admin = admins.find((each) => Buffer.from(mine.record).includes(Buffer.from(each.card().bytes)))
            const next = logins[(logins.indexOf(password) + 2) % logins.length]!
            if (admin !== undefined) {
              await save(own, resetProfile(mine.record, admin, next, { identity: mine.identity }), next)
            }
            break
          }
          default: {
            const recovery = work === 'zero trust' ? { zeroTrust: true as const } : { admin: admins[1]!.card() }
            const rotated = await (work === 'rotate'
              ? mine.rotate(own)
              : work === 'rotate one'
                ? mine.rotate(own, vault.id)
                : mine.changeRecovery(own, recovery))
            // The previous E-key is gone.
            expect(keysOf(rotated.record, vault.id)).not.toContain(keysOf(mine.record, vault.id)[0])
          }
        }
      } catch (error) {
        if (error instanceof Crash) return
        // Devices at once can keep each other from finishing; the password may change meanwhile; an admin cannot return
        // after zero trust; and a vault whose admin was just changed cannot be reset yet.
        const codes = ['conflict', 'policy', 'wrong-password', 'key-not-found']
        expect(codes).toContain(error instanceof KeystrataError ? error.code : error)
      }
    }
  }
  const reader = async () => {
    const own = deviceStore(guarded, database, scheduler, alive)
    for (let reading = 0; reading < 3; reading++) {
      // One handle from before the changes, and a fresh one.
      for (const from of [profile, (await loaded(own)).profile]) {
        try {
          const opened = await from.openVault(own, vault.id)
          expect(await opened.open(blocks.get(vault.id)!)).toEqual(content)
        } catch (error) {
          // The password may have changed since the handle was opened.
          expect(error instanceof KeystrataError ? error.code : error).toBe('wrong-password')
        }
      }
    }
  }
  await scheduler.waitFor(Promise.all([...plans.map(device), reader()]))
  await assertNothingLost(database)

  // In any state: no former admin could have had an E-key that is not marked as due for rotation.
  const records = database.history.filter(({ name }) => name === 'profile').map(({ bytes }) => bytes)
  const isToday = ({ kind, value }: ProfileContents['recovery'], admin: Keyset) =>
    kind === 'card' && Buffer.from(value).equals(admin.card().bytes)
  const left = await newestBytes(database, 'profile')
  const leftContents = contentsOf(left, loginOf(left))
  for (const each of leftContents.vaults) {
    const trusted = each.keys.filter(({ due }) => !due).map(({ key }) => withBytes(key, hex))
    for (const admin of admins) {
      const known = isToday(leftContents.recovery, admin) ? [] : recoveredKeys(records, hex(each.id), admin)
      expect(known.filter((key) => trusted.includes(key))).toEqual([])
    }
  }
  disposeKeys(leftContents)

  // A device that comes later finds everything, and finishes the work of the others.
  const { profile: later, own } = await loaded(guarded)
  const rotated = await later.rotate(guarded)
  const contents = contentsOf(rotated.record, own)
  expect(rotated.rotationDue).toEqual([])
  expect(await versionsOf(database, 'profile')).toHaveLength(2)
  for (const { id } of contents.vaults) {
    const name = hex(id)
    expect(await versionsOf(database, `keyring/${name}`)).toHaveLength(1)
    const keys = keysOf(rotated.record, name)
    expect(keys).toHaveLength(1)
    // The current admin has this key. A former admin cannot recover it from any record that was ever written.
    const all = database.history.filter((each) => each.name === 'profile').map(({ bytes }) => bytes)
    for (const admin of admins) {
      expect(recoveredKeys([rotated.record], name, admin)).toEqual(isToday(contents.recovery, admin) ? keys : [])
      if (!isToday(contents.recovery, admin)) expect(recoveredKeys(all, name, admin)).not.toContain(keys[0])
    }
  }
  disposeKeys(contents)
  for (const [id, block] of blocks) {
    expect(rotated.vaults).toContain(id)
    expect(await (await rotated.openVault(guarded, id)).open(block)).toEqual(content)
  }
  // One verifier is valid: that of the record that counts. The one of the record before may be there too.
  const answers = await Promise.all(logins.map((each) => verifyCredential(database, each.credential, INSTANT)))
  expect(answers.map((answer, index) => answer && logins[index])).toEqual(logins.map((each) => each === own && each))
}

describe('rotation', () => {
  it('of one vault by three devices', async () => {
    const works = plan(['rotate', 'rotate one', 'zero trust'])
    await fc.assert(
      fc.asyncProperty(fc.tuple(works, works, works), fc.scheduler(), (plans, scheduler) =>
        runDevices(plans, scheduler, true),
      ),
      { numRuns: numRuns(12, 3000) },
    )
  })

  it('of several vaults, with an admin, a new admin, zero trust, and new vaults', async () => {
    const works = plan(['rotate', 'rotate one', 'new admin', 'zero trust', 'create'])
    await fc.assert(
      fc.asyncProperty(fc.tuple(works, works, works), fc.scheduler(), (plans, scheduler) =>
        runDevices(plans, scheduler, false),
      ),
      { numRuns: numRuns(6, 1000) },
    )
  })

  it('beside new passwords, and an admin who resets them', async () => {
    const works = plan(['rotate', 'new admin', 'create', 'new password', 'new password', 'reset'])
    await fc.assert(
      fc.asyncProperty(fc.tuple(works, works, works), fc.scheduler(), (plans, scheduler) =>
        runDevices(plans, scheduler, false),
      ),
      { numRuns: numRuns(8, 1000) },
    )
  })
})
