// Several servers over one store, with the real registry: they enrol, connect, commit, deposit, clear and remove one
// client at the same time, and the explorer lets everything go wrong that a store may do. A locked key never changes
// unless the client is removed, no acknowledged change is lost, an escrow that was cleared is in no version, and no
// challenge is accepted twice.
import { describe, it } from 'vitest'
import { expectCaught, expectSound, testScenarios, TIMEOUT } from './expecting.ts'
import { type Deed, exploreRegistry, ModelRegistry, RACE, REGISTRY, type Scene, type Wrap } from './registry-scene.ts'
import type { Stored } from './stores.ts'

describe('servers over one registry', () => testScenarios(REGISTRY))

describe('the explorer notices', { timeout: TIMEOUT }, () => {
  const bounds = { faults: 1, runs: 600, seed: 9, violations: 3 }

  it('a store that writes without a look at the version', async () => {
    class Blind extends ModelRegistry {
      override succeeds(): boolean {
        return true
      }
    }
    const report = await exploreRegistry('a blind store', { ...bounds, faults: 0 }, { ...RACE, make: Blind })
    expectCaught(report, /the locked key has changed/)
  })

  it('a store that keeps what it was told to drop', async () => {
    class Hoarding extends ModelRegistry {
      override drop(): void {
        // It says that it dropped the versions, but keeps them.
      }
    }
    const servers: Scene['servers'] = [[['clear', 'one']], [['commit', 'one']]]
    const before: readonly Deed[] = [
      ['enrol', 'one'],
      ['safeguard', 'one'],
    ]
    const report = await exploreRegistry(
      'a hoarding store',
      { ...bounds, faults: 0 },
      { before, servers, make: Hoarding },
    )
    expectCaught(report, /an older version still has the escrow/)
  })

  it('a store that forgets what it was given by once', async () => {
    class Forgetful extends ModelRegistry {
      override take(): boolean {
        return true
      }
    }
    const servers: Scene['servers'] = [[['connect', 'one']], [['connect', 'one']]]
    const report = await exploreRegistry(
      'a forgetful store',
      { ...bounds, faults: 0 },
      { before: [['enrol', 'one']], servers, make: Forgetful },
    )
    expectCaught(report, /the challenge of connect one was accepted 2 times/)
  })

  it('a change that is acknowledged without a write, because a late read shows it already', async () => {
    const before: readonly Deed[] = [
      ['enrol', 'one'],
      ['commit', 'one'],
      ['remove', 'one'],
    ]
    const servers: Scene['servers'] = [
      [
        ['enrol again', 'one'],
        ['commit', 'one'],
      ],
      [['enrol', 'two']],
    ]
    const late = { ...bounds, faults: 0, late: { back: 2, reads: 2 } }
    expectCaught(
      await exploreRegistry('no write', late, { before, servers, wrap: lazy }),
      /the acknowledged change is lost/,
    )
    // Control: the registry writes also what changes nothing.
    expectSound(await exploreRegistry('always a write', { ...late, runs: 300 }, { before, servers }), {
      runs: 300,
      reached: [/done/],
    })
  })

  it('an adapter that takes equal bytes for its own', async () => {
    const before: readonly Deed[] = [
      ['enrol', 'one'],
      ['commit', 'one'],
    ]
    const servers: Scene['servers'] = [
      [
        ['enrol again', 'one'],
        ['commit', 'one'],
      ],
      [['remove', 'one']],
    ]
    const late = { ...bounds, faults: 0, late: { back: 2, reads: 2 } }
    const report = await exploreRegistry('equal bytes', late, { before, servers, wrap: comparing })
    expectCaught(report, /the acknowledged change is lost/)
  })
})

/** Answers true if another machine has written the same bytes. */
const comparing: Wrap = (store) => ({
  ...store,
  write: async (name, version, bytes) => {
    if (await store.write(name, version, bytes)) return true
    const there = await store.readVersion(name, version)
    return there !== undefined && Buffer.compare(there, bytes) === 0
  },
})

/** Acknowledges a write of what it has read, without writing it. */
const lazy: Wrap = (store) => {
  let last: Stored
  return {
    ...store,
    read: async (name) => (last = await store.read(name)),
    write: async (name, version, bytes) =>
      last !== undefined && Buffer.compare(last.bytes, bytes) === 0 ? true : store.write(name, version, bytes),
  }
}
