// Tests the storage server of the client demo in several processes at once, on a real PostgreSQL server.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { challengeFrom, enrol, listClients, logIn, RemoteStore, removeClient } from '../../examples/storage-client.ts'
import { REALM, SERVER } from '../../examples/storage-service.ts'
import { type Client, deriveClient } from '../../src/client.ts'
import { KeystrataError } from '../../src/index.ts'
import { postgresSchema } from '../../src/stores/postgres.ts'
import { failure, quickly } from '../fixtures.ts'
import { type Server as Postgres, startPostgres } from '../stores/postgres-server.ts'
import { mayStart } from '../stores/servers.ts'
import { newFolder } from './tree.ts'

const make = (account: string, name: string): Promise<Client> =>
  quickly(() =>
    deriveClient({
      ...{ realm: REALM, account, name, platform: 'linux' },
      privateKey: { type: 'AES-256', text: name },
      accountKey: { type: 'AES-128', text: account },
    }),
  )

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
