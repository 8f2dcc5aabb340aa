// Tests the storage server of the client demo, including customers who try to use the accounts of others.
import { type Client, deriveClient } from '../../src/client.ts'
import type { Server } from 'node:http'
import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { close, listen } from '../../examples/http.ts'
import { enrol, listClients, logIn, RemoteStore, removeClient } from '../../examples/storage-client.ts'
import { createStorageService, REALM } from '../../examples/storage-service.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { postgresSchema, postgresStateStore } from '../../src/stores/postgres.ts'
import { expectSame, failure, quick, sample } from '../fixtures.ts'
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
