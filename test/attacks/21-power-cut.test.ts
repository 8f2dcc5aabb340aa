// Row 21. Nobody is malicious here: the power fails at any write while the user's other devices do the same work.
// These tests run in memory. test/crash/ kills real processes, and test/properties/rotation.test.ts runs longer
// random searches.
import { createProfile, deriveLogin, loadProfile } from '../../src/vault.ts'
import { ownerOf } from '../../src/vault/login.ts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KeystrataError } from '../../src/index.ts'
import { openKeyring, parseKeyring } from '../../src/vault/keyring.ts'
import { openProfileRecord, parseProfileRecord } from '../../src/vault/profile-record.ts'
import { withBytes } from '../../src/core/secret.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import { ALICE, expectSame, hex, newestBytes, PASSWORD, sample } from '../fixtures.ts'
import { dyingStore, PowerCut } from '../dying-store.ts'
import { withoutPauses } from '../pauses.ts'

withoutPauses()

const login = await deriveLogin(PASSWORD, ALICE)
const { rootKey } = ownerOf(login)
const content = sample(100)

async function makeVault() {
  const store = memoryStateStore()
  const { profile, vault } = await createProfile(login, { zeroTrust: true }).createVault(store)
  return { store, profile, vaultId: vault.id, block: await vault.seal(content) }
}
type Made = Awaited<ReturnType<typeof makeVault>>

/** Opens the profile as a device that knows only the password. */
const device = (store: StateStore) => loadProfile(store, login)

async function expectOpens(store: StateStore, { vaultId, block }: Made) {
  const vault = await (await device(store)).openVault(store, vaultId)
  expectSame(await vault.open(block), content)
}

/** Returns the E-keys that are in both the slots and the keyring of the store. Without one, the vault is lost. */
async function liveKeys(store: StateStore, vaultId: string): Promise<string[]> {
  const { vaults } = openProfileRecord(parseProfileRecord(await newestBytes(store, 'profile')), rootKey)
  const entry = vaults.find(({ id }) => hex(id) === vaultId)!
  const opened = openKeyring(parseKeyring(await newestBytes(store, `keyring/${vaultId}`)), entry, entry.keys)
  return (opened?.live ?? []).map(({ key }) => withBytes(key, hex))
}

/** Rotates without interruption, and expects that one new key is left. */
async function expectFinished(store: StateStore, made: Made) {
  const before = await liveKeys(store, made.vaultId)
  const rotated = await (await device(store)).rotate(store)
  const [slots] = parseProfileRecord(rotated.record).vaults.map((vault) => vault.slots)
  expect(slots).toHaveLength(1)
  const { version, bytes } = (await store.read(`keyring/${made.vaultId}`))!
  expect(parseKeyring(bytes).wraps).toHaveLength(1)
  // The keyrings below are gone: an E-key that was replaced could open them.
  for (let below = version - 1; below > 0; below--) {
    expect(await store.readVersion(`keyring/${made.vaultId}`, below)).toBeUndefined()
  }
  const [live, ...others] = await liveKeys(store, made.vaultId)
  expect(others).toEqual([])
  expect(before).not.toContain(live)
  await expectOpens(store, made)
}

function expectCut(error: unknown): void {
  expect(error).toBeInstanceOf(PowerCut)
}

describe('a power cut wants the vault', () => {
  // Four write: 0 a keyring, 1 a profile, 3 a keyring, 4 a profile. The others drop what is old.
  const WRITES = 7

  it('a rotation has four writes, and three drops, which may fail without an error', async () => {
    for (const last of [0, 1, 3, 4]) {
      const { store, profile } = await makeVault()
      await expect(profile.rotate(dyingStore(store, last))).rejects.toThrow(PowerCut)
    }
    for (const last of [6, WRITES]) {
      const { store, profile } = await makeVault()
      await profile.rotate(dyingStore(store, last))
    }
  })

  it.each(Array.from({ length: WRITES }, (_, write) => write))(
    'cut before or after write %i of a rotation: another device opens the vault, and finishes',
    async (write) => {
      for (const when of ['before', 'after'] as const) {
        const made = await makeVault()
        const { store, profile } = made
        await profile.rotate(dyingStore(store, write, when)).catch(expectCut)
        expect((await liveKeys(store, made.vaultId)).length).toBeGreaterThan(0)
        await expectOpens(store, made)
        // A reader with an older handle still opens the vault.
        expectSame(await (await profile.openVault(store, made.vaultId)).open(made.block), content)
        await expectFinished(store, made)
      }
    },
  )

  it.each([0, 1, 3])('cut after write %i, and a second device is cut at any write while it finishes', async (first) => {
    for (let second = 0; second < WRITES + 3; second++) {
      const made = await makeVault()
      await expect(made.profile.rotate(dyingStore(made.store, first))).rejects.toThrow(PowerCut)
      const finishing = (await device(made.store)).rotate(dyingStore(made.store, second))
      await finishing.catch(expectCut)
      await expectOpens(made.store, made)
      await expectFinished(made.store, made)
    }
  })

  it.each([0, 1])(
    'cut before or after write %i of a new vault: every vault that the profile names exists',
    async (write) => {
      for (const when of ['before', 'after'] as const) {
        const made = await makeVault()
        const { store } = made
        const creating = (await device(store)).createVault(dyingStore(store, write, when))
        await expect(creating).rejects.toThrow(PowerCut)
        const profile = await device(store)
        for (const vaultId of profile.vaults) await profile.openVault(store, vaultId)
        await expectOpens(store, made)
      }
    },
  )
})

describe('a second and third device want the vault', () => {
  /**
   * Returns the store as one device sees it. Every call waits for its turn. After every write, at least one E-key must
   * be live.
   */
  function inTurns(store: StateStore, vaultId: string, scheduler: fc.Scheduler): StateStore {
    const turn = async <T>(call: () => Promise<T>): Promise<T> => {
      await scheduler.schedule(Promise.resolve())
      return call()
    }
    const write = <T>(call: () => Promise<T>) =>
      turn(async () => {
        const answer = await call()
        if ((await liveKeys(store, vaultId)).length === 0) throw new Error('no E-key is live')
        return answer
      })
    return {
      read: (name) => turn(() => store.read(name)),
      readVersion: (name, version) => turn(() => store.readVersion(name, version)),
      write: (name, version, bytes) => write(() => store.write(name, version, bytes)),
      drop: (name, below) => write(() => store.drop(name, below)),
    }
  }

  it('three devices rotate at once and some are cut off; a concurrent reader always opens', async () => {
    const cuts = fc.tuple(...[1, 2, 3].map(() => fc.option(fc.nat(8))))
    const outcomes: Set<string> = new Set()
    await fc.assert(
      fc.asyncProperty(cuts, fc.scheduler(), async (lastWrites, scheduler) => {
        const made = await makeVault()
        const { store, profile, vaultId, block } = made
        const rotating = lastWrites.map(async (last) => {
          const own = inTurns(store, vaultId, scheduler)
          try {
            await (await device(own)).rotate(last === null ? own : dyingStore(own, last))
            outcomes.add('rotated')
          } catch (error) {
            // Three devices at once can keep each other from finishing; no other error is allowed.
            outcomes.add(error instanceof PowerCut ? 'cut' : (error as KeystrataError).code)
            expect(error instanceof PowerCut || (error as KeystrataError).code === 'conflict').toBe(true)
          }
        })
        const reader = async () => {
          const own = inTurns(store, vaultId, scheduler)
          for (let reading = 0; reading < 3; reading++) {
            for (const from of [profile, await device(own)]) {
              expectSame(await (await from.openVault(own, vaultId)).open(block), content)
            }
          }
        }
        await scheduler.waitFor(Promise.all([...rotating, reader()]))
        await expectOpens(store, made)
        await expectFinished(store, made)
      }),
      { numRuns: 20 },
    )
    expect([...outcomes]).toEqual(expect.arrayContaining(['rotated', 'cut']))
  })
})
