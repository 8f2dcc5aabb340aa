// Tests user-service.ts and its clients: several processes of the service over one PostgreSQL, devices, an admin, and a
// thief.
import { readFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { argon2id } from '@noble/hashes/argon2.js'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { close, listen } from '../../examples/http.ts'
import { RateLimit } from '../../examples/rate-limit.ts'
import { call, passwordBody, ServiceError, ServiceSession } from '../../examples/service-session.ts'
import { AdminConsole } from '../../examples/user-admin.ts'
import { type Places, REALM, UserDevice } from '../../examples/user-client.ts'
import { createUserService, userServiceSchema } from '../../examples/user-service.ts'
import { type Keyset } from '../../src/index.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { hashPassword } from '../../src/server.ts'
import {
  type Blocks,
  blocksIn,
  memoryBlobStore,
  memoryStateStore,
  prefixed,
  type StateStore,
} from '../../src/stores.ts'
import { folderStateStore } from '../../src/stores/folder.ts'
import { httpStateStore } from '../../src/stores/http.ts'
import { postgresStateStore } from '../../src/stores/postgres.ts'
import { createProfile, deriveLogin, loadProfile, type Login, parseProfile, saveProfile } from '../../src/vault.ts'
import { failure, flipped, hex, makeKeyset, newestBytes, quick, resummed, sample } from '../fixtures.ts'
import { type Server, startPostgres } from '../stores/postgres-server.ts'
import { mayStart } from '../stores/servers.ts'
import { newFolder } from './tree.ts'
import { type Process, start, stop } from './user-processes.ts'

const ADMIN_PASSWORD = 'password of the admin'
const TAKEN = 'that name is already taken: choose another one'

let postgres: Server
let pool: pg.Pool
let adminHash = ''
let keyset: Keyset
/** Three processes of the service, and their URLs. */
let services: Process[] = []
let urls: [string, string, string] = ['', '', '']
/** All processes that this file has started. */
const started: Process[] = []

function run(...given: Parameters<typeof start>): Process {
  const process = start(...given)
  started.push(process)
  return process
}

const startService = (...dying: string[]): Process =>
  run('test/examples/user-service-process.ts', [JSON.stringify(postgres.config), adminHash, ...dying])

const source = join(newFolder(), 'source')

const isPossible = mayStart('postgres')

beforeAll(async () => {
  if (!isPossible) return
  mkdirSync(source)
  writeFileSync(join(source, 'diary'), sample(3000))
  postgres = await startPostgres()
  pool = new pg.Pool(postgres.config)
  // When the server stops, it ends connections that the pool has not closed yet.
  pool.on('error', () => undefined)
  pool.on('connect', (client) => void client.on('error', () => undefined))
  // Several processes may create the tables at the same time.
  await Promise.all(Array.from({ length: 4 }, () => pool.query(userServiceSchema())))
  keyset = await makeKeyset()
  adminHash = cheapHash(ADMIN_PASSWORD)
  services = [startService(), startService(), startService()]
  urls = (await Promise.all(services.map((service) => service.line()))) as typeof urls
  // The devices of this file derive their keys at once. The service has its real hashes.
  useBackend(quick)
})
afterAll(async () => {
  useBackend(undefined)
  if (!isPossible) return
  await Promise.all(started.map(stop))
  await pool.end()
  await postgres.stop()
})

const textOf = (target: string | URL | Request) => (target instanceof Request ? target.url : target.toString())

/** Hashes a password like `hashPassword`, at low costs. */
function cheapHash(password: string): string {
  const hash = argon2id(password, sample(16), { t: 1, m: 1024, p: 1, dkLen: 32 })
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64').replaceAll('=', '')
  return `$argon2id$v=19$m=1024,t=1,p=1$${base64(sample(16))}$${base64(hash)}`
}

let users = 0
const newName = () => `user-${users++}`

const placesAt = (url: string, blocks: Blocks = blocksIn(memoryBlobStore())): Places => ({
  url,
  blocks,
  device: memoryStateStore(),
})

/** Restores a vault and compares it with the source. Returns what is damaged in its log. */
async function restored(device: UserDevice, vaultId: string, atLeast?: string): Promise<Error[]> {
  const folder = join(newFolder(), 'restored')
  const damaged = await device.restore(folder, vaultId, atLeast)
  expect(readFileSync(join(folder, 'diary')).equals(readFileSync(join(source, 'diary')))).toBe(true)
  return damaged
}

/** Signs a user up, whose admin is the one with `keyset`, and makes a backup. */
async function newUser(url: string) {
  const [user, places] = [newName(), placesAt(url)]
  const device = await UserDevice.signUp(places, user, 'first', { admin: keyset.card() })
  const vaultId = await device.createVault()
  const position = await device.backUp(source, vaultId)
  /** Logs in another device, which has the same blocks. */
  const another = (password: string, at = url) => UserDevice.logIn(placesAt(at, places.blocks), user, password)
  return { user, places, device, vaultId, position, another }
}

/** Which of these passwords log in. */
async function valid(url: string, user: string, passwords: readonly string[]): Promise<string[]> {
  const tried = await Promise.allSettled(passwords.map((password) => UserDevice.logIn(placesAt(url), user, password)))
  for (const each of tried) {
    if (each.status === 'fulfilled') each.value.dispose()
    else expect(each.reason).toMatchObject({ status: 401, message: 'wrong name or password' })
  }
  return passwords.filter((_, index) => tried[index]!.status === 'fulfilled')
}

const idOf = async (user: string): Promise<string> =>
  ((await pool.query('SELECT id FROM app_user WHERE name = $1', [user])).rows as { id: string }[])[0]!.id

/** What the service stores of a user, read past the service. */
const storedOf = async (user: string): Promise<StateStore> =>
  prefixed(postgresStateStore(pool), `user/${await idOf(user)}/`)

/** Opens a session with nothing but a credential. Returns what sends requests in it. */
async function sessionOf(url: string, login: Pick<Login, 'user' | 'credential'>) {
  const body = JSON.stringify({ name: login.user, credential: login.credential })
  const { token } = (await (await call(`${url}/sessions`, { method: 'POST', body })).json()) as { token: string }
  return (path: string, init: RequestInit = {}) => {
    const headers = new Headers(init.headers)
    headers.set('authorization', `Bearer ${token}`)
    return fetch(url + path, { ...init, headers })
  }
}

describe.runIf(isPossible)('a service with users', () => {
  it('has one user of a name, even if two sign up at the same time at two processes', async () => {
    const names = [newName(), newName(), newName()]
    const races = names.map(async (user) => {
      const racers = ['one', 'two'].map((password, index) =>
        UserDevice.signUp(placesAt(urls[index]!), user, password, { zeroTrust: true }),
      )
      const outcomes = await Promise.allSettled(racers)
      expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
      const lost = outcomes.find(({ status }) => status === 'rejected') as PromiseRejectedResult
      expect(lost.reason).toBeInstanceOf(ServiceError)
      expect(lost.reason).toMatchObject({ status: 409, message: TAKEN })
      const winner = outcomes[0]!.status === 'fulfilled' ? 'one' : 'two'
      expect(await valid(urls[2], user, ['one', 'two'])).toEqual([winner])
    })
    await Promise.all(races)
    const again = UserDevice.signUp(placesAt(urls[2]), names[0]!, 'three', { zeroTrust: true })
    await expect(again).rejects.toMatchObject({ status: 409, message: TAKEN })
  })

  it('refuses names and records that it cannot use, and stores nothing of them', async () => {
    const user = newName()
    using login = await deriveLogin('password', { realm: REALM, user })
    using profile = createProfile(login, { zeroTrust: true })
    const signUp = (body: string) => fetch(`${urls[0]}/users`, { method: 'POST', body }).then(({ status }) => status)
    const { record } = profile
    const named = (name: string) => signUp(JSON.stringify({ ...JSON.parse(passwordBody(record, login)), name }))
    for (const name of ['', 'Alice', 'a b', '../x', 'a'.repeat(65), 'é']) expect(await named(name)).toBe(400)
    for (const body of ['', '{', '[]', 'null', '{"name":1}']) expect(await signUp(body)).toBe(400)
    expect(await signUp(passwordBody(flipped(record, 100), login))).toBe(422)
    expect(await signUp(passwordBody(resummed(flipped(record, 60)), login))).toBe(422)
    expect(await signUp(passwordBody(record, { ...login, user, credential: 'x' }))).toBe(422)
    expect(await signUp('x'.repeat(2_000_000))).toBe(413)
    const { rows } = await pool.query('SELECT 1 FROM app_user WHERE name = $1', [''])
    expect(rows).toEqual([])
    // A sign-up that was refused because of its credential takes no name.
    expect(await named(user)).toBe(201)
  })

  it('takes a new password at one process, which is valid at every other at once and ends the sessions', async () => {
    const { user, device, vaultId, position, another } = await newUser(urls[0])
    using old = await deriveLogin('first', { realm: REALM, user })
    const sessions = await Promise.all(urls.map((url) => sessionOf(url, old)))
    // A session that was opened at one process is open at all.
    const second = await another('first', urls[1])
    for (const send of sessions) expect((await send('/state/_/profile')).status).toBe(200)

    await device.changePassword('second')
    for (const send of sessions) expect((await send('/state/_/profile')).status).toBe(401)
    expect(await valid(urls[1], user, ['first', 'second'])).toEqual(['second'])
    expect(second.mustLogIn).toBe(false)
    await expect(second.rotate()).rejects.toThrow('401')
    expect(second.mustLogIn).toBe(true)
    const third = await another('second', urls[2])
    expect(await restored(third, vaultId, position)).toEqual([])
    await third.rotate()
    expect(await restored(device, vaultId)).toEqual([])
  })

  it('lets a password change go on behind another device, and of two at once only one', async () => {
    const { user, device, another } = await newUser(urls[0])
    const second = await another('first', urls[1])
    // The other device rotates just before the new password arrives.
    const real = globalThis.fetch
    const fetching = vi.spyOn(globalThis, 'fetch').mockImplementation(async (target, init) => {
      if (textOf(target).endsWith('/password')) {
        fetching.mockRestore()
        await second.rotate()
      }
      return real(target, init)
    })
    try {
      await device.changePassword('zeroth')
    } finally {
      fetching.mockRestore()
    }
    expect(await valid(urls[2], user, ['first', 'zeroth'])).toEqual(['zeroth'])
    const third = await another('zeroth', urls[1])
    const outcomes = await Promise.allSettled([device.changePassword('second'), third.changePassword('third')])
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    const winner = outcomes[0].status === 'fulfilled' ? 'second' : 'third'
    expect(await valid(urls[2], user, ['first', 'zeroth', 'second', 'third'])).toEqual([winner])
  })

  it('ends sessions after an hour, and a device opens the next one by itself', async () => {
    const { user, device, vaultId } = await newUser(urls[0])
    using login = await deriveLogin('first', { realm: REALM, user })
    const send = await sessionOf(urls[1], login)
    const id = await idOf(user)
    await pool.query("UPDATE app_session SET expires = now() - interval '1 second' WHERE who = $1", [id])
    expect((await send('/state/_/profile')).status).toBe(401)
    expect(await restored(device, vaultId)).toEqual([])
    expect(device.mustLogIn).toBe(false)
    // Opening a session deletes those that are over.
    const { rows } = await pool.query('SELECT 1 FROM app_session WHERE who = $1', [id])
    expect(rows).toHaveLength(1)
  })

  it('stores only the profile, if keyrings and logs are in another place', async () => {
    const user = newName()
    const elsewhere = folderStateStore(newFolder())
    const device = await UserDevice.signUp({ ...placesAt(urls[0]), elsewhere }, user, 'first', { zeroTrust: true })
    const vaultId = await device.createVault()
    await device.backUp(source, vaultId)
    await device.rotate()
    await device.changePassword('second')
    expect(await restored(device, vaultId)).toEqual([])
    const { rows } = await pool.query('SELECT name FROM keystrata_head WHERE name LIKE $1', [
      `user/${await idOf(user)}/%`,
    ])
    const names = (rows as { name: string }[]).map(({ name }) => name.split('/')[2])
    expect(names.sort()).toEqual(['login', 'login', 'profile'])
    expect((await elsewhere.read(`keyring/${vaultId}`))?.version).toBe(3)
  })

  it('locks nobody out if the newest record is damaged', async () => {
    const { user, device, vaultId, position, another } = await newUser(urls[0])
    await device.rotate()
    const stored = await storedOf(user)
    const { version, bytes } = (await stored.read('profile'))!
    await pool.query('UPDATE keystrata_version SET bytes = $1 WHERE name = $2 AND version = $3', [
      ...[Buffer.from(flipped(bytes, 100)), `user/${await idOf(user)}/profile`, version],
    ])
    expect(await valid(urls[1], user, ['first', 'second'])).toEqual(['first'])
    const second = await another('first', urls[2])
    expect(await restored(second, vaultId, position)).toEqual([])
    await second.rotate()
    await second.changePassword('second')
    expect(await restored(second, vaultId)).toEqual([])
    expect(await valid(urls[1], user, ['first', 'second'])).toEqual(['second'])
  })

  it('keeps devices safe from an older profile', async () => {
    const { user, device, places } = await newUser(urls[0])
    const stored = await storedOf(user)
    const old = await newestBytes(stored, 'profile')
    await device.changePassword('second')
    await device.changePassword('first')
    // The service puts back an older database.
    await pool.query('UPDATE keystrata_version SET bytes = $1 WHERE name = $2', [
      Buffer.from(old),
      `user/${await idOf(user)}/profile`,
    ])
    await failure(() => UserDevice.logIn(places, user, 'first'), 'rollback')
  })
})

describe.runIf(isPossible)('the admin', () => {
  const logIn = (url: string) => AdminConsole.logIn(url, ADMIN_PASSWORD, keyset, memoryStateStore())

  it('pins an identity at one process, resets at another, and must compare again after the user has changed the password', async () => {
    const { user, device, vaultId, position, another } = await newUser(urls[0])
    const machine = memoryStateStore()
    const [at, elsewhere] = await Promise.all(
      [urls[0], urls[1]].map((url) => AdminConsole.logIn(url, ADMIN_PASSWORD, keyset, machine)),
    )
    expect(await at!.users()).toContain(user)
    await expect(at!.reset(user, 'reset')).rejects.toThrow('no identity')
    await at!.pin(user, device.identity)
    expect(await elsewhere!.show(user)).toMatchObject({ compare: false, identity: device.identity, zeroTrust: false })

    await elsewhere!.reset(user, 'from the admin')
    await expect(device.rotate()).rejects.toThrow('401')
    expect(await valid(urls[2], user, ['first', 'from the admin'])).toEqual(['from the admin'])
    const back = await another('from the admin', urls[2])
    expect(await restored(back, vaultId, position)).toEqual([])
    expect(await at!.show(user)).toMatchObject({ compare: false, identity: back.identity })

    await back.changePassword('second')
    await back.rotate()
    expect(await at!.show(user)).toMatchObject({ compare: true, identity: back.identity })
    await failure(() => at!.reset(user, 'again'), 'key-changed')
    await at!.pin(user, back.identity)
    await at!.reset(user, 'again')
    expect(await valid(urls[0], user, ['first', 'from the admin', 'second', 'again'])).toEqual(['again'])
  })

  it('refuses to pin, and to reset, what the service shows in the place of the profile of a user', async () => {
    const { user, device } = await newUser(urls[0])
    const admin = await logIn(urls[0])
    await admin.pin(user, device.identity)
    // Whoever runs the service knows the card, and makes a profile for this user.
    using login = await deriveLogin('of the service', { realm: REALM, user })
    using forged = createProfile(login, { admin: keyset.card() })
    const own = memoryStateStore()
    await saveProfile(own, forged)
    for (let vaults = 0; vaults < 4; vaults++) {
      using profile = await loadProfile(own, login)
      using _ = await profile.createVault(own)
    }
    const stored = await storedOf(user)
    const { version, bytes } = (await stored.read('profile'))!
    await stored.write('profile', version + 1, await newestBytes(own, 'profile'))
    await stored.write('profile', version + 2, await newestBytes(own, 'profile'))
    await stored.drop('profile', version + 2)
    expect(await admin.show(user)).toMatchObject({ compare: true, identity: forged.identity })
    await failure(() => admin.reset(user, 'reset'), 'key-changed')
    await expect(admin.pin(user, device.identity)).rejects.toThrow('another identity')
    // The right record again.
    await stored.write('profile', version + 3, bytes)
    await stored.write('profile', version + 4, bytes)
    await stored.drop('profile', version + 4)
    await admin.reset(user, 'reset')
    expect(await valid(urls[0], user, ['first', 'reset'])).toEqual(['reset'])
  })

  it('cannot reset a user under zero trust', async () => {
    const { user, device } = await newUser(urls[0])
    const admin = await logIn(urls[1])
    await admin.pin(user, device.identity)
    await device.changeRecovery({ zeroTrust: true })
    expect(await admin.show(user)).toMatchObject({ compare: true, zeroTrust: true })
    await admin.pin(user, device.identity)
    await failure(() => admin.reset(user, 'reset'), 'policy')
    expect(await valid(urls[0], user, ['first', 'reset'])).toEqual(['first'])
  })

  it('alone may use the routes of the admin, and only with the password', async () => {
    const { user } = await newUser(urls[0])
    const id = await idOf(user)
    using login = await deriveLogin('first', { realm: REALM, user })
    const send = await sessionOf(urls[1], login)
    const record = await newestBytes(await storedOf(user), 'profile')
    const routes = [
      ['GET', '/users'],
      ['GET', `/records/${id}`],
      ['PUT', `/passwords/${id}`],
    ] as const
    for (const [method, path] of routes) {
      const init = { method, ...(method === 'PUT' && { body: passwordBody(record, login) }) }
      expect((await send(path, init)).status).toBe(403)
      expect((await fetch(urls[0] + path, init)).status).toBe(401)
    }
    await expect(AdminConsole.logIn(urls[0], 'guess', keyset, memoryStateStore())).rejects.toThrow('wrong password')
    // The admin has no session of a user.
    const admin = await ServiceSession.ofAdmin(urls[2], ADMIN_PASSWORD)
    expect((await admin.fetch(`${urls[2]}/state/_/profile`)).status).toBe(403)
    for (const unknown of ['0'.repeat(32), id.toUpperCase(), 'x', '..%2f..']) {
      await expect(admin.get(`/records/${unknown}`)).rejects.toMatchObject({ status: 404 })
    }
    // The admin cannot put a record that the user has not signed, nor one of the admin's own making.
    using other = createProfile(login, { admin: keyset.card() })
    await failure(() => admin.setPassword(`/passwords/${id}`, other.record, login), 'policy')
    await failure(() => admin.setPassword(`/passwords/${id}`, record, login), 'conflict')
  })
})

/** Everything that the service stores, but the records of logs. */
async function everything(): Promise<string[]> {
  const { rows } = await pool.query(
    "SELECT name || ' ' || version || ' ' || encode(bytes, 'hex') AS row FROM keystrata_version WHERE name NOT LIKE '%/log/%' ORDER BY 1",
  )
  const { rows: known } = await pool.query("SELECT id || ' ' || name AS row FROM app_user ORDER BY 1")
  return [...(rows as { row: string }[]), ...(known as { row: string }[])].map(({ row }) => row)
}

describe.runIf(isPossible)('a thief with a stolen credential', () => {
  it('changes nothing, whatever they send, and leaves only records in logs that do not open', async () => {
    const { user, device, vaultId, position, another } = await newUser(urls[0])
    const stored = await storedOf(user)
    // What the thief may have kept of earlier days.
    const records: Uint8Array[] = []
    const keyrings: Uint8Array[] = []
    const keep = async () => {
      records.push(await newestBytes(stored, 'profile'))
      keyrings.push(await newestBytes(stored, `keyring/${vaultId}`))
    }
    await keep()
    await device.rotate()
    await keep()
    await device.changePassword('second')
    await keep()
    const otherVault = await device.createVault()
    await device.rotate()
    await keep()
    keyrings.push(await newestBytes(stored, `keyring/${otherVault}`))
    const mallory = await newUser(urls[1])
    const mallorys = await storedOf(mallory.user)
    records.push(await newestBytes(mallorys, 'profile'))
    keyrings.push(await newestBytes(mallorys, `keyring/${mallory.vaultId}`))

    using login = await deriveLogin('second', { realm: REALM, user })
    using former = await deriveLogin('first', { realm: REALM, user })
    using wanted = await deriveLogin('wanted', { realm: REALM, user })
    const send = await sessionOf(urls[2], { user, credential: login.credential })
    const before = await everything()
    const answers: string[] = []
    const attempts: (() => Promise<unknown>)[] = []
    const attempt = (path: string, init: RequestInit) => {
      attempts.push(async () => {
        const { status } = await send(path, init)
        answers.push(`${init.method} ${path.replaceAll(/[\da-f]{32}/g, '…')} ${status}`)
      })
    }
    const put = async (name: string, bytes: Uint8Array) => {
      const newest = (await stored.read(name))?.version ?? 0
      for (const version of new Set([1, newest, newest + 1, newest + 2])) {
        const headers = version === 1 ? { 'If-None-Match': '*' } : { 'If-Match': `"${version - 1}"` }
        attempt(`/state/_/${name}`, { method: 'PUT', headers, body: new Uint8Array(bytes) })
      }
    }

    const current = records[3]!
    using own = createProfile(wanted, { zeroTrust: true })
    const garbage = [new Uint8Array(0), sample(10), sample(1000), current.subarray(0, -1), current.subarray(0, 300)]
    const altered = [48, 60, 100, 300, current.length - 100].map((at) => resummed(flipped(current, at)))
    for (const bytes of [...records, ...garbage, ...altered, own.record]) await put('profile', bytes)
    for (const bytes of [...keyrings, ...garbage, flipped(keyrings[3]!, 70)]) {
      for (const vault of [vaultId, otherVault, 'ab'.repeat(16)]) await put(`keyring/${vault}`, bytes)
    }
    for (const name of ['profile', `keyring/${vaultId}`, `keyring/${otherVault}`]) {
      for (const below of [2, 1000]) attempt(`/state/_/${name}?below=${below}`, { method: 'DELETE' })
    }
    // Whoever has the record knows the names of its verifier, and of the one before.
    const verifiers = records.map((record) => `login/${hex(record.subarray(16, 32))}`)
    for (const name of [
      ...verifiers,
      'login/x',
      'login',
      'keyset',
      'slots',
      'registry',
      'admin',
      'keyring/x',
      'other',
    ]) {
      attempt(`/state/_/${name}`, { method: 'GET' })
      attempt(`/state/_/${name}?version=1`, { method: 'GET' })
      attempt(`/state/_/${name}?below=2`, { method: 'DELETE' })
      await put(name, current)
    }
    const id = await idOf(mallory.user)
    for (const path of [
      `../${id}/profile`,
      `..%2f${id}%2fprofile`,
      `user/${id}/profile`,
      'LOGIN/x',
      'log%69n/x',
      '_/profile/../admin',
    ])
      attempt(`/state/_/${path}`, { method: 'GET' })
    for (const record of [...records, ...garbage, ...altered, own.record]) {
      for (const by of [login, former, wanted]) {
        const body = passwordBody(record, by)
        attempt('/password', { method: 'PUT', body })
        attempt(`/passwords/${id}`, { method: 'PUT', body })
        attempt('/users', { method: 'POST', body })
      }
    }

    // Several at a time, because the guard reads again before it refuses.
    const next = async () => {
      for (let mine = attempts.pop(); mine !== undefined; mine = attempts.pop()) await mine()
    }
    await Promise.all(Array.from({ length: 8 }, next))

    // A client error each, and no failure of the service.
    const accepted = answers.filter((answer) => !/ (400|403|404|409|412|422)$/.test(answer))
    expect(accepted).toEqual([])
    expect(answers.length).toBeGreaterThan(400)
    expect(await everything()).toEqual(before)
    expect(await valid(urls[0], user, ['first', 'second', 'wanted'])).toEqual(['second'])

    // In logs they can add what does not open.
    const { rows } = await pool.query('SELECT name, version FROM keystrata_head WHERE name LIKE $1', [
      `user/${await idOf(user)}/log/%`,
    ])
    const logs = (rows as { name: string; version: string }[]).map(({ name, version }) => ({
      name: name.split('/').slice(2).join('/'),
      version: Number(version),
    }))
    expect(logs).toHaveLength(1)
    const store = httpStateStore(`${urls[2]}/state`, {
      fetch: (url, init) => send(textOf(url).slice(urls[2].length), init),
    })
    const [log, pointer] = [logs[0]!, logs[0]!.name.replace(/\/\d+$/, '')]
    await failure(() => store.write(log.name, log.version + 1, sample(300)), 'malformed')
    // Only the MAC is wrong, which the service cannot verify.
    const { bytes } = (await store.read(log.name))!
    const forged = flipped(bytes, bytes.length - 1)
    for (let added = 1; added <= 3; added++) {
      expect(await store.write(log.name, log.version + added, forged)).toBe(true)
    }
    for (const [version, epoch] of [
      [1, 0],
      [2, 7],
      [3, 0xffff_ffff],
    ] as const) {
      expect(
        await store.write(pointer, version, new Uint8Array([epoch >>> 24, epoch >>> 16, epoch >>> 8, epoch])),
      ).toBe(true)
    }
    expect(await store.write(`${pointer}/7`, 1, forged)).toBe(true)
    const laptop = await another('second', urls[1])
    expect(await restored(laptop, vaultId, position)).toHaveLength(3)
    const later = await laptop.backUp(source, vaultId)
    expect(await restored(await another('second', urls[0]), vaultId, later)).toHaveLength(3)
  })
})

describe.runIf(isPossible)('devices in processes of their own', () => {
  it('rotate at once, six of them at three processes of the service, and nothing is lost', async () => {
    const { user, device, vaultId, position, another } = await newUser(urls[0])
    const second = await device.createVault()
    await device.backUp(source, second)
    const path = 'test/examples/user-device-process.ts'
    const devices = Array.from({ length: 6 }, (_, index) => run(path, [urls[index % 3]!, user, 'first', newFolder()]))
    for (const each of devices) expect(await each.line()).toBe('ready')
    for (const { child } of devices) child.stdin!.write('go\n')
    const revisions = await Promise.all(devices.map((each) => each.line()))
    const ends = await Promise.all(devices.map((each) => each.ended()))
    expect(ends).toEqual([0, 0, 0, 0, 0, 0])
    const last = await another('first', urls[1])
    expect(Number(last.revision)).toBeGreaterThanOrEqual(Math.max(...revisions.map(Number)))
    expect([...last.vaults].sort()).toEqual([vaultId, second].sort())
    for (const each of [last, device]) expect(await restored(each, vaultId, position)).toEqual([])
    await last.rotate()
    expect(await restored(last, second, await last.backUp(source, second))).toEqual([])
    // One key is left in each keyring.
    using login = await deriveLogin('first', { realm: REALM, user })
    using profile = await loadProfile(await storedOf(user), login)
    expect(profile.rotationDue).toEqual([])
  })

  it('play the whole story of the examples', async () => {
    const story = run('examples/users.ts', [urls[1]], { ADMIN_PASSWORD })
    expect(await story.ended()).toBe(0)
    expect(story.said()).toMatch('the admin must compare again: true')
    expect(story.said()).toMatch('another user has only the profile on the service')
  })
})

describe.runIf(isPossible)('a process of the service that is killed in the middle of a password change', () => {
  // The change writes the new verifier, the record, and then an empty object over the verifier of an older password.
  const moments: [write: string, when: string, expected: 'second' | 'third'][] = [
    ['1', 'before', 'second'],
    ['1', 'after', 'second'],
    ['2', 'before', 'second'],
    ['2', 'after', 'third'],
    ['3', 'after', 'third'],
  ]

  it('leaves exactly one password, which opens everything, and the change can be repeated', async () => {
    const kill = async (write: string, when: string, expected: string) => {
      const service = startService(write, when)
      const [url, owner] = await Promise.all([service.line(), newUser(urls[0])])
      const { user, vaultId, position, another } = owner
      await owner.device.changePassword('second')
      const device = await another('second', url)
      await expect(device.changePassword('third')).rejects.toThrow('fetch failed')
      expect(await service.ended()).toBe('SIGKILL')
      const passwords = ['first', 'second', 'third', 'fourth']
      expect(await valid(urls[1], user, passwords), `${when} write ${write}`).toEqual([expected])
      const back = await another(expected, urls[2])
      expect(await restored(back, vaultId, position)).toEqual([])
      // The same change again, or another one, goes through.
      const next = expected === 'second' ? 'third' : 'fourth'
      await back.changePassword(next)
      expect(await valid(urls[1], user, passwords)).toEqual([next])
      expect(await restored(back, vaultId)).toEqual([])
    }
    await Promise.all(moments.map((moment) => kill(...moment)))
  }, 180_000)
})

describe('limits', () => {
  it('refill over time, and are separate for each key', () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    try {
      const limit = new RateLimit({ burst: 2, perMinute: 6 })
      const takes = (key: string) => {
        try {
          limit.take(key)
          return true
        } catch (error) {
          expect(error).toMatchObject({ status: 429 })
          return false
        }
      }
      expect(['a', 'a', 'a', 'b'].map(takes)).toEqual([true, true, false, true])
      vi.advanceTimersByTime(9_000)
      expect(takes('a')).toBe(false)
      vi.advanceTimersByTime(1_500)
      expect(['a', 'a'].map(takes)).toEqual([true, false])
      // A full bucket is forgotten, and one that is not full stays.
      vi.advanceTimersByTime(60_000)
      expect(['a', 'a', 'a'].map(takes)).toEqual([true, true, false])
    } finally {
      vi.useRealTimers()
    }
  })
})

/** Sends a log-in from an address of this machine. Returns the status and the body. */
function logInFrom(localAddress: string, url: string, name: string, credential: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(`${url}/sessions`, { method: 'POST', localAddress }, (response) => {
      let body = ''
      response
        .setEncoding('utf8')
        .on('data', (text: string) => (body += text))
        .on('end', () => resolve(`${response.statusCode} ${body}`))
    })
    outgoing.on('error', reject)
    outgoing.end(JSON.stringify({ name, credential }))
  })
}

describe.runIf(isPossible)('guesses and logs', () => {
  it('guessing is limited for each user and each address, and an unknown user looks like a known one', async () => {
    const { user } = await newUser(urls[0])
    const often = { burst: 1000, perMinute: 1 }
    const limits = { address: { burst: 12, perMinute: 1 }, user: { burst: 4, perMinute: 1 }, writes: often }
    const server = createUserService(pool, { adminHash, limits, cost: 10 })
    const url = await listen(server)
    try {
      const wrong = 'A'.repeat(32)
      const guesses = async (address: string, name: string, times: number) => {
        const answers: string[] = []
        for (let guess = 0; guess < times; guess++) answers.push(await logInFrom(address, url, name, wrong))
        return answers
      }
      const known = await guesses('127.0.0.2', user, 5)
      expect(known.slice(0, 4)).toEqual(Array(4).fill('401 {"error":"wrong name or password"}'))
      expect(known[4]).toMatch(/^429 /)
      expect(await guesses('127.0.0.2', 'nobody', 5)).toEqual(known)
      // The user is limited at every address, and the address for every user.
      expect(await guesses('127.0.0.3', user, 1)).toEqual([known[4]])
      expect(await guesses('127.0.0.2', 'others', 3)).toEqual([known[0], known[0], known[4]])
      expect(await guesses('127.0.0.3', 'others', 1)).toEqual([known[0]])
      using login = await deriveLogin('first', { realm: REALM, user })
      expect(await logInFrom('127.0.0.3', url, user, login.credential)).toBe(known[4])
    } finally {
      await close(server)
    }
  })

  it('an unknown user takes as long as a known one', async () => {
    const { user } = await newUser(urls[0])
    const measured = async (): Promise<number> => {
      const times: Record<string, number[]> = { [user]: [], nobody: [] }
      for (let round = 0; round < 12; round++) {
        for (const name of Object.keys(times)) {
          const began = performance.now()
          expect(await logInFrom('127.0.0.1', urls[0], name, 'A'.repeat(32))).toMatch(/^401 /)
          times[name]!.push(performance.now() - began)
        }
      }
      return Math.min(...times['nobody']!) / Math.min(...times[user]!)
    }
    const isAlike = (ratio: number) => ratio > 0.5 && ratio < 2
    const ratios = [await measured()]
    // Other programs on this machine may disturb a measurement. A difference that the service makes is in each of them.
    while (!isAlike(ratios.at(-1)!) && ratios.length < 3) ratios.push(await measured())
    expect(ratios.some(isAlike), `unknown ÷ known: ${ratios.join(', ')}`).toBe(true)
  })

  it('names of verifiers and people are in no URL and in no log, though the database fails', async () => {
    const logged: unknown[][] = []
    const [errors, requests] = [
      vi.spyOn(console, 'error').mockImplementation((...given) => void logged.push(given)),
      vi.spyOn(globalThis, 'fetch'),
    ]
    let isDown = false
    const inner = postgresStateStore(pool)
    const state: StateStore = {
      read: (name) => inner.read(name),
      readVersion: (name, version) => inner.readVersion(name, version),
      drop: (name, below) => inner.drop(name, below),
      async write(...written) {
        if (isDown) throw new Error('the database is down')
        return inner.write(...written)
      },
    }
    const server = createUserService(pool, { adminHash: await hashPassword(ADMIN_PASSWORD), cost: 10, state })
    try {
      const user = newName()
      const url = await listen(server)
      const device = await UserDevice.signUp(placesAt(url), user, 'first', { admin: keyset.card() })
      const vaultId = await device.createVault()
      await device.backUp(source, vaultId)
      isDown = true
      await expect(device.changePassword('second')).rejects.toMatchObject({
        status: 500,
        message: 'internal server error',
      })
      isDown = false
      await device.changePassword('second')
      const admin = await AdminConsole.logIn(url, ADMIN_PASSWORD, keyset, memoryStateStore())
      await admin.pin(user, device.identity)
      await admin.reset(user, 'third')

      const output = logged.flat().map((each) => (each instanceof Error ? `${each.stack}` : String(each)))
      expect(output.join()).toMatch('the database is down (version 1 of a verifier may have been written nevertheless)')
      const sent = requests.mock.calls.map(([target]) => textOf(target))
      expect(sent.length).toBeGreaterThan(20)
      const keyIds = ['first', 'second', 'third'].map(async (password) => {
        using login = await deriveLogin(password, { realm: REALM, user })
        using made = createProfile(login, { zeroTrust: true })
        return [hex(made.record.subarray(16, 32)), login.credential]
      })
      const secrets = ['login/', user, ...(await Promise.all(keyIds)).flat()]
      for (const secret of secrets) {
        expect(output.filter((line) => line.includes(secret))).toEqual([])
        expect(sent.filter((line) => line.includes(secret))).toEqual([])
      }
    } finally {
      errors.mockRestore()
      requests.mockRestore()
      await close(server)
    }
    // The processes of the service print their URLs and the errors of killed connections, and nothing else.
    for (const [index, service] of services.entries()) expect(service.said()).toBe(`${urls[index]}\n`)
    expect(parseProfile(await newestBytes(await storedOf('user-0'), 'profile')).vaults).toEqual([])
  })
})
