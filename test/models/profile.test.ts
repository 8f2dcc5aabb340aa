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
import { ALICE, numRuns, quickly } from '../fixtures.ts'
import { type Bounds, expectSound, type Run, TIMEOUT } from './explorer.ts'
import type { ProfileScene, Scene } from './profile-scene.ts'
import { rebuilt } from './rebuilt.ts'

const { exploreProfile } = await rebuilt<ProfileScene>('profile-scene.ts')

/** Random runs. Faults are rare enough to occur anywhere in a run. */
const random = (seed: number, runs: number, long: number): Bounds => ({
  seed,
  runs: numRuns(runs, long),
  faults: 3,
  oneIn: 12,
  late: { back: 2, reads: 3 },
})

const one = <T>(run: Run, choices: readonly T[]): T => choices[run.choose(choices.length)]!

/** A scene of which everything is random. */
const mixed =
  (more: Scene = {}) =>
  (run: Run): Scene => {
    const [newPassword, recovery] = [one(run, [undefined, 'once', 'and back'] as const), run.choose(4)]
    return {
      vaults: 1 + run.choose(2),
      begun: run.choose(3) === 0,
      devices: 1 + run.choose(3),
      ...(newPassword !== undefined && { newPassword }),
      reset: run.choose(3) === 0,
      ...(recovery > 1 && { recovery: recovery === 2 ? ('another admin' as const) : ('zero trust' as const) }),
      newVault: run.choose(3) === 0,
      network: run.choose(2) === 0,
      ...more,
    }
  }

describe('one device, one thing goes wrong anywhere', { timeout: TIMEOUT }, () => {
  const bounds: Bounds = { faults: 1, runs: 5000 }

  it.each<[string, Scene, number, readonly RegExp[]]>([
    ['rotates', { devices: 1, guard: 'nowhere' }, 91, [/device done/, /device no answer/]],
    ['rotates through a guard', { devices: 1 }, 162, [/device done/, /device no answer/]],
    ['finishes a rotation', { devices: 1, guard: 'nowhere', begun: true }, 156, [/device done/, /device no answer/]],
    ['changes the password', { newPassword: 'once' }, 69, [/password done/, /password no answer/]],
    ['sets zero trust', { recovery: 'zero trust' }, 240, [/recovery done/, /recovery no answer/]],
    ['creates a vault', { newVault: true }, 50, [/vault done/, /vault no answer/, /vault crashed/]],
  ])('%s', async (name, scene, runs, reached) => {
    const report = await exploreProfile(`one device ${name}`, bounds, scene)
    expectSound(report, { runs, reached })
    expect(report.isExhaustive).toBe(true)
  })
})

describe('two machines in every order', { timeout: TIMEOUT }, () => {
  it('rotate', async () => {
    const scene: Scene = { devices: 2, guard: 'nowhere', zeroTrust: true }
    const report = await exploreProfile('two devices', { runs: numRuns(60, 20_000) }, scene)
    expectSound(report, { runs: 60, reached: [/device done/] })
  })

  it('rotate, and change the password', async () => {
    const scene: Scene = { devices: 1, newPassword: 'once', guard: 'nowhere', zeroTrust: true }
    const report = await exploreProfile('a device and a new password', { runs: numRuns(60, 20_000) }, scene)
    expectSound(report, { runs: 60, reached: [/device done/, /password done/] })
  })
})

describe('many machines, three faults, late reads', { timeout: TIMEOUT }, () => {
  it('without a guard', async () => {
    const report = await exploreProfile('no guard', random(1, 30, 4000), mixed({ guard: 'nowhere' }))
    expectSound(report, { runs: 30, reached: [/device done/, /no answer/, /crashed/, /wrong-password/] })
  })

  it('with a guard in front of the server', async () => {
    const report = await exploreProfile('a guarded server', random(2, 30, 4000), mixed({ guard: 'server' }))
    expectSound(report, { runs: 30, reached: [/device done/, /no answer/, /crashed/, /wrong-password/] })
  })

  it('with a guard in front of both places, and a thief', async () => {
    const report = await exploreProfile('a thief', random(3, 40, 8000), mixed({ thefts: 4 }))
    const reached = [/device done/, /no answer/, /crashed/, /wrong-password/, /thief done/, /key-changed/]
    expectSound(report, { runs: 40, reached })
  })

  it('with everybody at once', async () => {
    const all: Scene = { devices: 3, newPassword: 'once', reset: true, recovery: 'another admin', newVault: true }
    const report = await exploreProfile('everybody', random(4, 15, 3000), mixed({ ...all, thefts: 4 }))
    expectSound(report, { runs: 15, reached: [/device done/, /admin done/, /recovery done/, /vault done/] })
  })

  it('with newest versions that cannot be read', async () => {
    // A late read may find the damaged version when the ones below it are dropped already. So there are none here.
    const bounds: Bounds = { seed: 5, runs: numRuns(20, 2000), faults: 3, oneIn: 12 }
    const report = await exploreProfile('rotten', bounds, mixed({ rotten: true, thefts: 2 }))
    expectSound(report, { runs: 20, reached: [/device done/] })
  })
})

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

async function twoVaults() {
  const store = memoryStateStore()
  const login = await deriveLogin('password', ALICE)
  let profile = createProfile(login, { zeroTrust: true })
  await saveProfile(store, profile)
  for (let vault = 0; vault < 2; vault++) profile = (await profile.createVault(store)).profile
  return { store, guard: guardProfiles(store), profile, another: await loadProfile(store, login) }
}
