// Kills real processes right after each of their calls that change a store: devices that work on a profile in a folder
// and in PostgreSQL, with a guard and without one, and the server behind which a device works. Each time every vault must
// open, the user must be able to log in, and the next rotation must finish what was begun. No test on a running machine
// can show what a power cut leaves after the last fsync.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDeviceKey } from '../../src/device.ts'
import { createKeyset, KeystrataError } from '../../src/index.ts'
import { saveCredential, verifyCredential } from '../../src/server.ts'
import { httpStateStore } from '../../src/stores/http.ts'
import { postgresSchema } from '../../src/stores/postgres.ts'
import type { StateStore } from '../../src/stores.ts'
import { createProfile, deriveLogin, loadProfile, type Login, type Profile, saveProfile } from '../../src/vault.ts'
import { parseProfileRecord } from '../../src/vault/profile-record.ts'
import { CHEAP, hex, sample } from '../fixtures.ts'
import { Reports } from '../stores/adding.ts'
import { type Server, startPostgres } from '../stores/postgres-server.ts'
import { mayStart } from '../stores/servers.ts'
import { bundled } from './bundle.ts'
import type { Place } from './log-job.ts'
import { act, HASHING, type Job, placeOf, seenBy, USER, type Work } from './user.ts'

// A killed process loses no bytes of a file, synced or not, so the faster place shows more.
const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'keystrata-crash-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const device = await bundled('device', root)
const server = await bundled('server', root)

const admin = await createKeyset('admin', { costs: CHEAP })
const logins: readonly [Login, Login] = [await deriveLogin('password', USER), await deriveLogin('next', USER)]
using key = createDeviceKey()
const saved = {
  device: hex(key.exportUnprotected()),
  logins: [hex(logins[0].save(key)), hex(logins[1].save(key))] as const,
}
const CONTENT = sample(1000)

/** How many calls of each work change the store. */
const CALLS: readonly (readonly [Work, { readonly bare: number; readonly guarded: number }])[] = [
  ['rotate', { bare: 7, guarded: 7 }],
  ['createVault', { bare: 3, guarded: 3 }],
  ['changeRecovery', { bare: 9, guarded: 9 }],
  ['changePassword', { bare: 3, guarded: 3 }],
]

/** The works during which a server is killed. A new password changes the most at a server. */
const OF_SERVERS = process.env['SLOW'] === '1' ? CALLS : CALLS.filter(([work]) => work === 'changePassword')

/** A user with a vault, and a block in it. */
interface World {
  readonly store: StateStore
  readonly vaultId: string
  readonly block: Parameters<Awaited<ReturnType<Profile['openVault']>>['open']>[0]
}

async function newWorld(job: Pick<Job, 'place' | 'prefix'>): Promise<World> {
  const store = placeOf(job)
  using profile = createProfile(logins[0], { admin: admin.card() })
  await saveCredential(store, profile.record, logins[0].credential, HASHING)
  await saveProfile(store, profile)
  using created = await profile.createVault(store)
  return { store, vaultId: created.vault.id, block: await created.vault.seal(CONTENT) }
}

/** Opens the profile with whichever password it is under. */
async function loaded(store: StateStore): Promise<{ profile: Profile; login: Login }> {
  for (const login of logins) {
    try {
      return { profile: await loadProfile(store, login), login }
    } catch (error) {
      if (!(error instanceof KeystrataError) || error.code !== 'wrong-password') throw error
    }
  }
  throw new Error('no password opens the profile')
}

/** Every vault opens, the old block as well, and after a new password exactly the profile's logs in. */
async function assertWhole({ store, vaultId, block }: World, seen: StateStore, work: Work): Promise<Profile> {
  const { profile, login } = await loaded(seen)
  for (const each of profile.vaults) (await profile.openVault(seen, each)).dispose()
  using vault = await profile.openVault(seen, vaultId)
  expect(await vault.open(block)).toEqual(CONTENT)
  if (work === 'changePassword') {
    for (const each of logins) expect(await verifyCredential(store, each.credential, HASHING)).toBe(each === login)
  }
  return profile
}

/** What is left of the work is done, the next rotation succeeds, and nothing is left behind. */
async function assertFinishes(world: World, seen: StateStore, work: Work): Promise<void> {
  const { profile } = await loaded(seen)
  if (work === 'changePassword' && (await loaded(seen)).login === logins[0]) await act(work, world.store, seen, logins)
  if (work === 'changeRecovery' && !profile.zeroTrust) await act(work, world.store, seen, logins)
  const { profile: opened } = await loaded(seen)
  using rotated = await opened.rotate(seen)
  expect(rotated.rotationDue).toEqual([])
  expect(rotated.zeroTrust).toBe(work === 'changeRecovery')
  for (const { slots, recoverySlots } of parseProfileRecord(rotated.record).vaults) {
    expect([slots.length, recoverySlots.length]).toEqual([1, rotated.zeroTrust ? 0 : 1])
  }
  for (const name of ['profile', ...rotated.vaults.map((id) => `keyring/${id}`)]) {
    const { version } = (await world.store.read(name))!
    const isKept = name === 'profile' ? version - 2 : version - 1
    expect(await world.store.readVersion(name, isKept), name).toBeUndefined()
  }
  await assertWhole(world, seen, work)
}

/** Kills a device after its first call, another one, with a user of its own, after its second, and so on. */
async function killAfterEachCall(place: Place, work: Work, guarded: boolean): Promise<number> {
  for (let calls = 1; ; calls++) {
    const prefix = `${work.toLowerCase()}-${guarded ? 'guarded' : 'bare'}-${calls}/`
    const world = await newWorld({ place, prefix })
    const reports = new Reports()
    const job: Job = { ...saved, place, prefix, guarded, work, calls }
    await reports.start(device, [JSON.stringify(job)]).ended
    expect(reports.wrong).toEqual([])
    const seen = seenBy(world.store, guarded)
    await assertWhole(world, seen, work)
    await assertFinishes(world, seen, work)
    if (reports.counted.size > 0) return calls - 1
  }
}

/** Runs a server that is killed after some calls, and then another one that is not. */
class MortalServer {
  readonly #job: Job
  #reports = new Reports()
  #port: Promise<number>
  #isStopped = false
  kills = 0

  constructor(job: Job) {
    this.#job = job
    this.#port = this.#start(job.calls)
  }

  /** Sends a request to the server that is running now. */
  readonly fetch: typeof fetch = async (input, init) => {
    const url = new URL(input)
    url.port = String(await this.#port)
    return fetch(url, init)
  }

  async #start(calls: number): Promise<number> {
    const reports = new Reports()
    this.#reports = reports
    const running = reports.start(server, [JSON.stringify({ ...this.#job, calls })])
    await running.spoken
    if (calls > 0) {
      void running.ended.then(() => {
        if (this.#isStopped) return
        this.kills++
        this.#port = this.#start(0)
      })
    }
    const [said = ''] = reports.counted.keys()
    return Number(said.split(' ')[1])
  }

  async stop(): Promise<void> {
    await this.#port
    expect(this.#reports.wrong).toEqual([])
    this.#isStopped = true
    await this.#reports.killAll()
  }
}

/** The records that follow a new password make the server clear the former verifier. */
async function assertClears({ store }: World, seen: StateStore): Promise<void> {
  const { version } = (await store.read('profile'))!
  const former = parseProfileRecord((await store.readVersion('profile', version - 1))!)
  const name = `login/${hex(former.header.keyId)}`
  expect((await store.read(name))?.bytes.length).toBeGreaterThan(0)
  const { profile } = await loaded(seen)
  using _ = await profile.rotate(seen)
  expect((await store.read(name))?.bytes.length).toBe(0)
}

/** Kills the server after each of its calls, and returns after how many. The device notices nothing. */
async function killTheServer(place: Place, work: Work): Promise<number> {
  for (let calls = 1; ; calls++) {
    const prefix = `${work.toLowerCase()}-server-${calls}/`
    const world = await newWorld({ place, prefix })
    const mortal = new MortalServer({ ...saved, place, prefix, guarded: true, work, calls })
    const seen = httpStateStore('http://127.0.0.1', { fetch: mortal.fetch })
    await act(work, world.store, seen, logins)
    await assertWhole(world, seen, work)
    if (work === 'changePassword') await assertClears(world, seen)
    const { kills } = mortal
    if (kills === 0) await mortal.stop()
    await assertFinishes(world, seenBy(world.store, true), work)
    if (kills === 0) return calls - 1
    await mortal.stop()
  }
}

describe('in a folder', () => {
  it.each(CALLS)('%s can be killed after any call, and what was begun is finished', async (work, { bare }) => {
    expect(await killAfterEachCall({ folder: mkdtempSync(join(root, 'store-')) }, work, false)).toBe(bare)
  })
})

describe.skipIf(!mayStart('postgres'))('in PostgreSQL', () => {
  let database: Server
  const table = 'crash'
  let place: Place
  beforeAll(async () => {
    database = await startPostgres()
    const client = new pg.Client(database.config)
    await client.connect()
    await client.query(postgresSchema({ table }))
    await client.end()
    place = { config: database.config, table }
  })
  afterAll(() => database.stop())

  it.each(CALLS)('%s can be killed after any call, and what was begun is finished', async (work, { guarded }) => {
    expect(await killAfterEachCall(place, work, true)).toBe(guarded)
  })

  it.each(OF_SERVERS)('%s succeeds although the server is killed after any of its calls', async (work, { guarded }) => {
    // The credential is saved by another process. A rotation follows, during which the former verifier is cleared.
    const after = CALLS[0]![1].guarded + 2
    expect(await killTheServer(place, work)).toBe(work === 'changePassword' ? guarded - 1 + after : guarded)
  })
})
