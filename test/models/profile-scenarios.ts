// What the explorer plays with profiles, with signatures that are quicker.
import type { Bounds, Run } from './explorer.ts'
import type { ProfileScene, Scene } from './profile-scene.ts'
import { rebuilt } from './rebuilt.ts'
import { type Faults, type Scenario, scenariosOf } from './scenario.ts'

let built: Promise<ProfileScene> | undefined

const explore = async (name: string, bounds: Bounds, scene: Scene | ((run: Run) => Scene)) =>
  (await (built ??= rebuilt<ProfileScene>('profile-scene.ts'))).exploreProfile(name, bounds, scene)

/** Faults are rare enough to occur anywhere in a run. */
const THREE: Faults = { faults: 3, oneIn: 12, late: { back: 2, reads: 3 } }
const HARDER: Faults = { faults: 5, oneIn: 14, late: { back: 3, reads: 5 } }

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

const scenario = scenariosOf('profile', explore)

/** One device does something, and one thing goes wrong anywhere. */
const alone = (name: string, scene: Scene, runs: number, reached: readonly RegExp[]): Scenario =>
  scenario(scene, {
    name: `one device ${name}`,
    sentence: `one device ${name}, and one thing goes wrong anywhere`,
    bounds: { faults: 1 },
    harder: HARDER,
    reached,
    test: { runs: 5000, atLeast: runs, isExhaustive: true },
  })

const EVERYBODY: Scene = { devices: 3, newPassword: 'once', reset: true, recovery: 'another admin', newVault: true }

/** A user with a recovery key, which stays: zero trust is permanent, so nobody could set an admin. */
const withRecoveryKey = (run: Run): Scene => ({
  devices: 1 + run.choose(3),
  begun: run.choose(3) === 0,
  newVault: run.choose(3) === 0,
  ...(run.choose(2) === 1 && { newPassword: 'once' as const }),
  recoveryKey: true,
  reset: true,
  thefts: 2,
})

export const PROFILE: readonly Scenario[] = [
  alone('rotates', { devices: 1, guard: 'nowhere' }, 91, [/device done/, /device no answer/]),
  alone('rotates through a guard', { devices: 1 }, 162, [/device done/, /device no answer/]),
  alone('finishes a rotation', { devices: 1, guard: 'nowhere', begun: true }, 156, [/device done/, /device no answer/]),
  alone('changes the password', { newPassword: 'once' }, 69, [/password done/, /password no answer/]),
  alone('sets zero trust', { recovery: 'zero trust' }, 240, [/recovery done/, /recovery no answer/]),
  alone('creates a vault', { newVault: true }, 50, [/vault done/, /vault no answer/, /vault crashed/]),
  alone('recovers with a recovery key', { reset: true, recoveryKey: true }, 20, [/admin done/]),
  scenario(
    { devices: 2, guard: 'nowhere', zeroTrust: true },
    {
      name: 'two devices',
      sentence: 'two devices rotate, in every order',
      bounds: {},
      harder: HARDER,
      reached: [/device done/],
      test: { runs: 60, slow: 20_000 },
    },
  ),
  scenario(
    { devices: 1, newPassword: 'once', guard: 'nowhere', zeroTrust: true },
    {
      name: 'a device and a new password',
      sentence: 'two devices rotate, and change the password, in every order',
      bounds: {},
      harder: HARDER,
      reached: [/device done/, /password done/],
      test: { runs: 60, slow: 20_000 },
    },
  ),
  scenario(mixed({ guard: 'nowhere' }), {
    name: 'no guard',
    sentence: 'many machines, three faults and late reads, without a guard',
    bounds: THREE,
    harder: HARDER,
    isRandom: true,
    reached: [/device done/, /no answer/, /crashed/, /wrong-password/],
    test: { runs: 30, slow: 4000, seed: 1 },
  }),
  scenario(mixed({ guard: 'server' }), {
    name: 'a guarded server',
    sentence: 'many machines, three faults and late reads, with a guard in front of the server',
    bounds: THREE,
    harder: HARDER,
    isRandom: true,
    reached: [/device done/, /no answer/, /crashed/, /wrong-password/],
    test: { runs: 30, slow: 4000, seed: 2 },
  }),
  scenario(mixed({ thefts: 4 }), {
    name: 'a thief',
    sentence: 'many machines, three faults and late reads, with a guard in front of both places, and a thief',
    bounds: THREE,
    harder: HARDER,
    isRandom: true,
    reached: [/device done/, /no answer/, /crashed/, /wrong-password/, /thief done/, /key-changed/],
    test: { runs: 40, slow: 8000, seed: 3 },
  }),
  scenario(mixed({ ...EVERYBODY, thefts: 4 }), {
    name: 'everybody',
    sentence: 'everybody at once, with three faults and late reads',
    bounds: THREE,
    harder: HARDER,
    isRandom: true,
    reached: [/device done/, /admin done/, /recovery done/, /vault done/],
    test: { runs: 15, slow: 3000, seed: 4 },
  }),
  scenario(withRecoveryKey, {
    name: 'a recovery key',
    sentence: 'a user recovers with their own key, beside many machines and a thief',
    bounds: THREE,
    harder: HARDER,
    isRandom: true,
    reached: [/admin done/],
    test: { runs: 20, slow: 3000, seed: 6 },
  }),
  // Without late reads: one could find the damaged version after the versions below it were dropped.
  scenario(mixed({ rotten: true, thefts: 2 }), {
    name: 'rotten',
    sentence: 'many machines, with newest versions that cannot be read',
    bounds: { faults: 3, oneIn: 12 },
    harder: { faults: 4, oneIn: 12 },
    isRandom: true,
    reached: [/device done/],
    test: { runs: 20, slow: 2000, seed: 5 },
  }),
]
