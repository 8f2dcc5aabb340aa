// Devices rotate a profile's vaults, change its password and its recovery, and create vaults, while an admin resets it
// and a thief has a session. No vault may be lost, nobody may be locked out, and no acknowledged change may be lost.
//
// The rotation does not read back what it wrote, and drops nothing before it begins. The exhaustive runs show that it
// needs neither.
import { describe, expect, it } from 'vitest'
import { guardProfiles } from '../../src/server.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import { createProfile, deriveLogin, loadProfile, saveProfile } from '../../src/vault.ts'
import { dyingStore, PowerCut } from '../dying-store.ts'
import { ALICE, quickly } from '../fixtures.ts'
import { testScenarios } from './expecting.ts'
import { PROFILE } from './profile-scenarios.ts'

describe('a profile', () => testScenarios(PROFILE))

describe('a keyring that a guard refuses, because the identity has changed', () => {
  it('is written again, although the device reads the change late', async () => {
    const { guard, profile, another, store } = await quickly(twoVaults)
    const [first, second] = profile.vaults
    const before = (await store.read('profile'))!
    let [writes, lateReads] = [0, 0]
    const seen: StateStore = {
      ...guard,
      async read(name) {
        if (name !== 'profile' || writes !== 1 || lateReads > 0) return guard.read(name)
        lateReads++
        return before
      },
      async write(name, version, bytes) {
        if (name === `keyring/${second}` && writes++ === 0) {
          // Another device changes the recovery, and stops after it has begun to rotate the other vault.
          const stopped = another.changeRecovery(dyingStore(guard, 3), { zeroTrust: true })
          await expect(stopped).rejects.toThrow(PowerCut)
        }
        return guard.write(name, version, bytes)
      },
    }
    using rotated = await profile.rotate(seen, second)
    expect([lateReads, writes, rotated.zeroTrust, rotated.rotationDue]).toEqual([1, 3, true, [first]])
  })
})

describe('a device that was overtaken before it dropped the former slot', () => {
  it('drops no slot that is live in a keyring which it reads late', async () => {
    const { store, profile, another } = await quickly(twoVaults)
    const [vaultId] = profile.vaults
    const keyring = `keyring/${vaultId}`
    const isDone = aSignal()
    const hasBegun = aSignal()
    let [records, keyrings] = [0, 0]
    // The other device adds its key to both places, and waits before it gives up the former key.
    const waiting: StateStore = {
      ...store,
      async write(name, version, bytes) {
        if (name === keyring && ++keyrings === 2) {
          hasBegun.give()
          await isDone.given
        }
        return store.write(name, version, bytes)
      },
    }
    let others: Promise<unknown> = Promise.resolve()
    let late: Awaited<ReturnType<StateStore['read']>>
    const overtaken: StateStore = {
      ...store,
      async read(name) {
        if (name !== keyring || late === undefined) return store.read(name)
        const answer = late
        late = undefined
        return answer
      },
      async write(name, version, bytes) {
        if (name === 'profile' && ++records === 2) {
          const before = await store.read(keyring)
          others = another.rotate(waiting, vaultId)
          await hasBegun.given
          late = before
        }
        return store.write(name, version, bytes)
      },
    }
    using _ = await profile.rotate(overtaken, vaultId)
    expect([records > 2, late]).toEqual([true, undefined])
    isDone.give()
    await others
    using opened = await loadProfile(store, await quickly(() => deriveLogin('password', ALICE)))
    for (const each of opened.vaults) (await opened.openVault(store, each)).dispose()
  })
})

function aSignal() {
  let give: () => void = () => undefined
  const given: Promise<void> = new Promise((resolve) => {
    give = resolve
  })
  return { given, give: () => give() }
}

async function twoVaults() {
  const store = memoryStateStore()
  const login = await deriveLogin('password', ALICE)
  let profile = createProfile(login, { zeroTrust: true })
  await saveProfile(store, profile)
  for (let vault = 0; vault < 2; vault++) profile = (await profile.createVault(store)).profile
  return { store, guard: guardProfiles(store), profile, another: await loadProfile(store, login) }
}
