// Three devices rotate at once beside a reader, with a crash at any write, in any order that the scheduler chooses.
// Nothing is lost, every state can be finished, and the reader always opens its vault.
import {
  ALICE,
  cardIdentityOf,
  CHEAP,
  hex,
  MemoryVaultStore,
  numRuns,
  opening,
  PASSWORD,
  sample,
  unhex,
} from '../fixtures.ts'
import { createKeyset, type Keyset, KeystrataError, type SealedBlock } from '../../src/index.ts'
import { createProfile, openProfile, deriveLogin } from '../../src/vault.ts'
import { ownerOf } from '../../src/vault/login.ts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ObjectType } from '../../src/core/header.ts'
import { openKeyring, openRecoverySlot } from '../../src/vault/keyring.ts'
import { openProfileRecord, parseProfile } from '../../src/vault/profile-record.ts'
import { disposeKeys, withBytes } from '../../src/core/secret.ts'

const login = await deriveLogin(PASSWORD, ALICE)
const rootKey = ownerOf(login).rootKey
const admins = await Promise.all([1, 2].map(() => createKeyset('admin', { costs: CHEAP })))
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

function deviceStore(store: MemoryVaultStore, scheduler: fc.Scheduler, crash: Crashing) {
  let writes = 0
  async function turn<T>(name: string, call: () => Promise<T>): Promise<T> {
    await scheduler.schedule(Promise.resolve(), name)
    return call()
  }
  async function write<T>(name: string, call: () => Promise<T>): Promise<T> {
    await scheduler.schedule(Promise.resolve(), name)
    const number = writes++
    if (number === crash.at && !crash.after) throw new Crash()
    const answer = await call()
    assertNothingLost(store)
    if (number === crash.at) throw new Crash()
    return number === crash.lost && typeof answer === 'boolean' ? (false as T) : answer
  }
  return {
    readProfile: () => turn('readProfile', () => store.readProfile()),
    readKeyring: (id: string) => turn('readKeyring', () => store.readKeyring(id)),
    writeProfile: (record: Uint8Array, version: number) =>
      write(`writeProfile ${version}`, () => store.writeProfile(record, version)),
    writeKeyring: (id: string, keyring: Uint8Array, version: number) =>
      write(`writeKeyring ${version}`, () => store.writeKeyring(id, keyring, version)),
    dropKeyrings: (id: string, below: number) => write(`dropKeyrings ${below}`, () => store.dropKeyrings(id, below)),
  }
}

/** Checks the main invariant: at every moment, every vault that the newest profile names has a live E-key. */
function assertNothingLost(store: MemoryVaultStore): void {
  const newest = <T>(versions: ReadonlyMap<number, T>) => versions.get(Math.max(...versions.keys()))
  const profile = openProfileRecord(parseProfile(newest(store.profiles)!), rootKey)
  for (const vault of profile.vaults) {
    const keyring = openKeyring(newest(store.keyrings.get(hex(vault.id))!)!, vault, vault.keys)
    if (keyring === undefined) throw new Error('no E-key is live')
    keyring.dataKey.dispose()
  }
  disposeKeys(profile)
}

/** Returns the E-keys of a vault in the slots of a record, lowest generation first. */
function keysOf(record: Uint8Array, vaultId: string): string[] {
  const { vaults } = openProfileRecord(parseProfile(record), rootKey)
  const keys = vaults.find(({ id }) => hex(id) === vaultId)?.keys ?? []
  return keys.map(({ key }) => withBytes(key, hex))
}

/** Returns the E-keys of a vault that an admin can recover from records. */
function recoveredKeys(records: readonly Uint8Array[], vaultId: string, admin: Keyset): string[] {
  const identity = cardIdentityOf(admin)
  return records.flatMap((bytes) => {
    if (bytes[5] !== ObjectType.profile) return []
    const { header, vaults } = parseProfile(bytes)
    return vaults
      .filter(({ id }) => hex(id) === vaultId)
      .flatMap(({ recoverySlots }) => recoverySlots)
      .filter(({ bytes: slot }) => Buffer.from(slot.subarray(16, 32)).equals(identity.keyId))
      .map((slot) => openRecoverySlot(opening(identity), header.ownerId, ALICE, unhex(vaultId), slot))
      .map(({ key }) => withBytes(key, hex))
  })
}

type Work = 'rotate' | 'rotate one' | 'new admin' | 'zero trust' | 'create'

interface Plan {
  readonly works: readonly Work[]
  readonly crash: Crashing
}

const plan = (works: readonly Work[]): fc.Arbitrary<Plan> =>
  fc.record({
    works: fc.array(fc.constantFrom(...works), { minLength: 1, maxLength: 2 }),
    crash: fc.record({
      at: fc.oneof(fc.nat(14), fc.constant(1000)),
      after: fc.boolean(),
      lost: fc.oneof(fc.nat(14), fc.constant(1000)),
    }),
  })

async function runDevices(plans: readonly Plan[], scheduler: fc.Scheduler, zeroTrust: boolean): Promise<void> {
  const store = new MemoryVaultStore()
  const first = createProfile(login, zeroTrust ? { zeroTrust } : { admin: admins[0]!.card() })
  const { profile, vault } = await first.createVault(store)
  const blocks: Map<string, SealedBlock> = new Map([[vault.id, await vault.seal(content)]])

  const device = async ({ works, crash }: Plan) => {
    const own = deviceStore(store, scheduler, crash)
    for (const work of works) {
      try {
        const mine = openProfile((await own.readProfile())!, login)
        if (work === 'create') {
          const made = await mine.createVault(own)
          blocks.set(made.vault.id, await made.vault.seal(content))
          continue
        }
        const rotated = await (work === 'rotate'
          ? mine.rotate(own)
          : work === 'rotate one'
            ? mine.rotate(own, vault.id)
            : mine.changeRecovery(own, work === 'zero trust' ? { zeroTrust: true } : { admin: admins[1]!.card() }))
        // The previous E-key is gone.
        expect(keysOf(rotated.record, vault.id)).not.toContain(keysOf(mine.record, vault.id)[0])
      } catch (error) {
        if (error instanceof Crash) return
        // Three devices at once can keep each other from finishing, and an admin cannot return after zero trust.
        expect(['conflict', 'policy']).toContain(error instanceof KeystrataError ? error.code : error)
      }
    }
  }
  const reader = async () => {
    const own = deviceStore(store, scheduler, alive)
    for (let reading = 0; reading < 4; reading++) {
      // One handle from before the changes, and a fresh one.
      for (const from of [profile, openProfile((await own.readProfile())!, login)]) {
        const opened = await from.openVault(own, vault.id)
        expect(await opened.open(blocks.get(vault.id)!)).toEqual(content)
      }
    }
  }
  await scheduler.waitFor(Promise.all([...plans.map(device), reader()]))

  // In any state: no former admin could have had an E-key that is not marked as due for rotation.
  const left = (await store.readProfile())!
  const leftContents = openProfileRecord(parseProfile(left), rootKey)
  for (const vault of leftContents.vaults) {
    const trusted = vault.keys.filter(({ due }) => !due).map(({ key }) => withBytes(key, hex))
    for (const admin of admins) {
      const isToday = leftContents.admin !== undefined && Buffer.from(leftContents.admin).equals(admin.card().bytes)
      const known = isToday ? [] : recoveredKeys(store.history, hex(vault.id), admin)
      expect(known.filter((key) => trusted.includes(key))).toEqual([])
    }
  }
  disposeKeys(leftContents)

  // A device that comes later finds everything, and finishes the work of the others.
  const later = openProfile((await store.readProfile())!, login)
  const rotated = await later.rotate(store)
  const contents = openProfileRecord(parseProfile(rotated.record), rootKey)
  expect(rotated.rotationDue).toEqual([])
  for (const { id } of contents.vaults) {
    const name = hex(id)
    expect(store.keyrings.get(name)!.size).toBe(1)
    const keys = keysOf(rotated.record, name)
    expect(keys).toHaveLength(1)
    // The current admin has this key. A former admin cannot recover it from any record that was ever written.
    for (const admin of admins) {
      const isToday = contents.admin !== undefined && Buffer.from(contents.admin).equals(admin.card().bytes)
      expect(recoveredKeys([rotated.record], name, admin)).toEqual(isToday ? keys : [])
      if (!isToday) expect(recoveredKeys(store.history, name, admin)).not.toContain(keys[0])
    }
  }
  disposeKeys(contents)
  for (const [id, block] of blocks) {
    expect(rotated.vaults).toContain(id)
    expect(await (await rotated.openVault(store, id)).open(block)).toEqual(content)
  }
}

describe('rotation', () => {
  it('of one vault by three devices', async () => {
    const works = plan(['rotate', 'rotate one', 'zero trust'])
    await fc.assert(
      fc.asyncProperty(fc.tuple(works, works, works), fc.scheduler(), (plans, scheduler) =>
        runDevices(plans, scheduler, true),
      ),
      { numRuns: numRuns(60, 5000) },
    )
  })

  it('of several vaults, with an admin, a new admin, zero trust, and new vaults', async () => {
    const works = plan(['rotate', 'rotate one', 'new admin', 'zero trust', 'create'])
    await fc.assert(
      fc.asyncProperty(fc.tuple(works, works, works), fc.scheduler(), (plans, scheduler) =>
        runDevices(plans, scheduler, false),
      ),
      { numRuns: numRuns(10, 1000) },
    )
  })
})
