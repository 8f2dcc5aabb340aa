// Tests the storage server of the client demo, including customers who try to use the accounts of others.
import { type Client, deriveClient } from '../../src/client.ts'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Server } from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { close, listen } from '../../examples/http.ts'
import { challengeFrom, enrol, listClients, logIn, RemoteStore, removeClient } from '../../examples/storage-client.ts'
import { createStorageService, REALM, SERVER } from '../../examples/storage-service.ts'
import { KeystrataError } from '../../src/index.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { postgresSchema, postgresStateStore } from '../../src/stores/postgres.ts'
import { expectSame, failure, quick, sample } from '../fixtures.ts'
import { type Server as Postgres, startPostgres } from '../stores/postgres-server.ts'
import { mayStart } from '../stores/servers.ts'
import { newFolder } from './tree.ts'

const database = new PGlite()
const root = newFolder()
let server: Server
let url = ''

const make = (account: string, name: string, text = name): Promise<Client> =>
  deriveClient({
    ...{ realm: REALM, account, name, platform: 'linux' },
    privateKey: { type: 'AES-256', text },
    accountKey: { type: 'AES-128', text: account },
  })

beforeAll(async () => {
  useBackend(quick)
  await database.exec(postgresSchema())
  server = createStorageService(postgresStateStore(database), root)
  url = await listen(server)
})
afterAll(async () => {
  useBackend(undefined)
  await close(server)
  await database.close()
})

describe('a storage server', () => {
  it('creates one customer for a name, even if two sign up at the same time', async () => {
    const logins = await Promise.allSettled(['one', 'two'].map((password) => logIn(url, 'race', password)))
    expect(logins.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    await logIn(url, 'acme', 'password')
    await expect(logIn(url, 'acme', 'guess')).rejects.toThrow('wrong password')
  })

  it('enrols clients only into the account of the customer who is logged in', async () => {
    const token = await logIn(url, 'mallory', 'password')
    await failure(async () => enrol(url, token, await make('acme', 'spy')), 'policy')
    await failure(async () => RemoteStore.connect(url, await make('acme', 'spy')), 'key-not-found')
    await expect(enrol(url, 'no token', await make('acme', 'spy'))).rejects.toThrow('log in first')
  })

  it('separates accounts, and the small objects of clients', async () => {
    const connect = async (account: string, name: string) => {
      const client = await make(account, name)
      await enrol(url, await logIn(url, account, 'password'), client)
      return { client, store: await RemoteStore.connect(url, client) }
    }
    const laptop = await connect('acme', 'my laptop/../x')
    const desktop = await connect('acme', 'desktop')
    const mallory = await connect('mallory', 'desktop')
    const block = await desktop.client.scope('account').seal(sample(1000))
    const { label } = block
    expect(await desktop.store.blocks.put(block)).toBe(true)
    expect(await desktop.store.blocks.put(block)).toBe(false)
    expect(await laptop.store.blocks.has(label)).toBe(true)
    const shared = (await laptop.store.blocks.get(label))!
    expectSame(await laptop.client.scope('account').open(shared), sample(1000))
    expect([await mallory.store.blocks.has(label), await mallory.store.blocks.get(label)]).toEqual([false, undefined])

    expect(await desktop.store.state.write('snapshots', 1, sample(10))).toBe(true)
    expect(await desktop.store.state.write('snapshots', 1, sample(20))).toBe(false)
    expectSame((await desktop.store.state.read('snapshots'))!.bytes, sample(10))
    for (const { store } of [laptop, mallory]) expect(await store.state.read('snapshots')).toBeUndefined()
  })

  it('takes whole blocks only, and no names that lead elsewhere', async () => {
    const client = await make('acme', 'desktop')
    const { blocks, address } = await RemoteStore.connect(url, client)
    const block = await client.scope('account').seal(sample(100))
    await failure(() => blocks.put({ ...block, ciphertext: new Uint8Array(0), envelope: sample(40) }), 'malformed')
    await failure(() => blocks.put({ ...block, label: '..%2f..%2fdatabase' }), 'malformed')
    await failure(() => blocks.get('x'), 'malformed')
    for (const path of ['/blocks/x', '/state/_/snapshots', '/nothing']) {
      expect((await fetch(address + path)).status).toBe(401)
    }
  })

  it('locks the key that a backup was made with', async () => {
    const [first, second] = [await make('acme', 'phone'), await make('acme', 'phone', 'another')]
    const token = await logIn(url, 'acme', 'password')
    await enrol(url, token, first)
    const remote = await RemoteStore.connect(url, first)
    await enrol(url, token, second)
    await failure(() => remote.commit(), 'key-changed')
    const now = await RemoteStore.connect(url, second)
    await now.commit()
    expect((await RemoteStore.connect(url, second)).keyState).toBe('locked')
    await failure(() => enrol(url, token, first), 'key-changed')
  })

  it('removes a client whose machine was sold, and ends its session', async () => {
    const token = await logIn(url, 'acme', 'password')
    const sold = await make('acme', 'sold')
    await enrol(url, token, sold)
    const { blocks } = await RemoteStore.connect(url, sold)
    expect(await listClients(url, token)).toContain('sold')
    const mallory = await logIn(url, 'mallory', 'password')
    expect(await removeClient(url, mallory, 'sold')).toBe(false)
    expect([await removeClient(url, token, 'sold'), await removeClient(url, token, 'sold')]).toEqual([true, false])
    expect(await listClients(url, token)).not.toContain('sold')
    await failure(() => blocks.has('f'.repeat(64)), 'key-not-found')
    await failure(() => RemoteStore.connect(url, sold), 'key-not-found')
    await expect(removeClient(url, 'no token', 'desktop')).rejects.toThrow('log in first')
  })

  it('lets a backup take longer than a session lasts', async () => {
    const client = await make('acme', 'slow')
    await enrol(url, await logIn(url, 'acme', 'password'), client)
    const remote = await RemoteStore.connect(url, client)
    const block = await client.scope('account').seal(sample(10))
    vi.useFakeTimers({ now: Date.now() + 2 * 3_600_000, toFake: ['Date'] })
    try {
      expect(await remote.blocks.has('f'.repeat(64))).toBe(false)
      expect(await remote.blocks.put(block)).toBe(true)
      expect(await remote.state.write('snapshots', 1, sample(10))).toBe(true)
    } finally {
      vi.useRealTimers()
    }
  })
})

describe.skipIf(!mayStart('postgres'))('three processes of a storage server, on one PostgreSQL server', () => {
  const processes: ChildProcess[] = []
  let postgres: Postgres
  let pool: pg.Pool
  let urls: [string, string, string]

  /** Starts a process. Returns its URL. */
  async function start(folder: string): Promise<string> {
    const program = join(import.meta.dirname, 'storage-process.ts')
    const child = spawn(process.execPath, ['--import', 'tsx', program, JSON.stringify(postgres.config), folder], {
      cwd: join(import.meta.dirname, '../..'),
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    processes.push(child)
    for await (const line of createInterface({ input: child.stdout })) return line
    throw new Error('the storage server has ended')
  }

  const prove = async (client: Client, of: string) => client.prove(await challengeFrom(of), { server: SERVER })
  /** Sends a proof to a process. Returns `accepted`, or the code of the error. */
  async function answer(to: string, body: Uint8Array<ArrayBuffer>): Promise<string> {
    const response = await fetch(`${to}/connections`, { method: 'POST', body })
    if (response.ok) return 'accepted'
    return KeystrataError.from(await response.json())?.code ?? `status ${response.status}`
  }
  const rows = async (table: string): Promise<number> => {
    const { rows } = await pool.query<{ count: string }>(`SELECT count(*) FROM ${table}`)
    return Number(rows[0]!.count)
  }

  beforeAll(async () => {
    postgres = await startPostgres()
    pool = new pg.Pool({ ...postgres.config, max: 2 })
    // The server cuts connections when it stops.
    pool.on('error', () => undefined)
    pool.on('connect', (client) => void client.on('error', () => undefined))
    await pool.query(postgresSchema())
    const folder = newFolder()
    urls = await Promise.all([start(folder), start(folder), start(folder)])
  })
  afterAll(async () => {
    for (const child of processes) {
      child.stdin?.end()
      if (child.exitCode === null) await once(child, 'exit')
    }
    await pool.end()
    await postgres.stop()
  })

  it('agree on the key of the registry, although all create it at once', async () => {
    const [a, b, c] = urls
    const challenges = await Promise.all(urls.map((each) => challengeFrom(each)))
    expect(await rows("keystrata_version WHERE name = 'registry'")).toBe(1)
    const desktop = await make('acme', 'desktop')
    await enrol(a, await logIn(a, 'acme', 'password'), desktop)
    // Each process accepts the challenge of another.
    for (const [challenge, to] of [
      [challenges[0]!, b],
      [challenges[1]!, c],
      [challenges[2]!, a],
    ] as const) {
      expect(await answer(to, desktop.prove(challenge, { server: SERVER }))).toBe('accepted')
    }
  })

  it('accept a proof once, however many get it at the same time', async () => {
    const desktop = await make('acme', 'desktop')
    for (let round = 0; round < 10; round++) {
      const proof = await prove(desktop, urls[round % 3]!)
      const answers = await Promise.all([...urls, ...urls].map((each) => answer(each, proof)))
      expect(answers.sort()).toEqual(['accepted', ...Array<string>(5).fill('expired')])
    }
  })

  it('accept an enrolment once', async () => {
    const desktop = await make('acme', 'desktop')
    const tokens = await Promise.all(urls.map((each) => logIn(each, 'acme', 'password')))
    const body = desktop.enrolment(await challengeFrom(urls[0]), { server: SERVER })
    const statuses = await Promise.all(
      urls.map(async (each, index) => {
        const headers = { authorization: `Bearer ${tokens[index]}` }
        return (await fetch(`${each}/enrolments`, { method: 'POST', headers, body })).status
      }),
    )
    expect(statuses.sort()).toEqual([201, 422, 422])
  })

  it('enrol many clients of one account at the same time, and lose none', async () => {
    const clients: Client[] = []
    for (let index = 0; index < 12; index++) clients.push(await make('many', `client ${index}`))
    const token = await logIn(urls[0], 'many', 'password')
    const tokens = [token, ...(await Promise.all([urls[1], urls[2]].map((each) => logIn(each, 'many', 'password'))))]
    const inAll = (client: Client, index: number) => enrol(urls[index % 3]!, tokens[index % 3]!, client)
    await Promise.all(clients.map(inAll))
    expect((await listClients(urls[1], tokens[1]!)).sort()).toEqual(clients.map(({ name }) => name).sort())
    // A client that is removed at one process is unknown to all.
    expect(await removeClient(urls[2], tokens[2]!, 'client 5')).toBe(true)
    for (const each of urls) await failure(() => RemoteStore.connect(each, clients[5]!), 'key-not-found')
    const remote = await RemoteStore.connect(urls[0], clients[4]!)
    await remote.commit()
    expect((await RemoteStore.connect(urls[1], clients[4]!)).keyState).toBe('locked')
  })

  it('keep nothing of an unknown client that asks in a loop', async () => {
    const stranger = await make('nobody', 'stranger')
    const before = [await rows('keystrata_once'), await rows('keystrata_version'), await rows('keystrata_head')]
    for (let round = 0; round < 60; round++) {
      const [of, to] = [urls[round % 3]!, urls[(round + 1) % 3]!]
      expect(await answer(to, await prove(stranger, of))).toBe('key-not-found')
    }
    const after = [await rows('keystrata_once'), await rows('keystrata_version'), await rows('keystrata_head')]
    expect(after).toEqual(before)
  })
})
