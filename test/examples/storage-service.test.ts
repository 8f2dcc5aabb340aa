// Tests the storage server of the client demo, including customers who try to use the accounts of others.
import { type Client, deriveClient } from '../../src/client.ts'
import { existsSync } from 'node:fs'
import type { Server } from 'node:http'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { close, listen } from '../../examples/http.ts'
import { enrol, logIn, RemoteStore } from '../../examples/storage-client.ts'
import { createStorageService, createStorageTables, REALM, snapshotsOf } from '../../examples/storage-service.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { failure, quick, sample } from '../fixtures.ts'
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
  await createStorageTables(database)
  server = createStorageService(database, root)
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

  it('separates accounts, and the snapshots of clients', async () => {
    const stores: RemoteStore[] = []
    for (const [account, name] of [
      ['acme', 'my laptop/../x'],
      ['acme', 'desktop'],
      ['mallory', 'desktop'],
    ] as const) {
      const client = await make(account, name)
      await enrol(url, await logIn(url, account, 'password'), client)
      stores.push(await RemoteStore.connect(url, client))
    }
    const [laptop, desktop, mallory] = stores as [RemoteStore, RemoteStore, RemoteStore]
    const [object, snapshots] = [`blocks/${'a'.repeat(64)}`, snapshotsOf('desktop')]
    expect(await desktop.put(object, sample(10))).toBe(true)
    expect(await desktop.put(object, sample(20))).toBe(false)
    expect(await desktop.put(`${snapshots}/00000001`, sample(10))).toBe(true)
    expect(Buffer.compare((await laptop.get(object))!, sample(10))).toBe(0)
    expect([await mallory.has(object), await mallory.get(object), await mallory.versions(snapshots)]).toEqual([
      false,
      undefined,
      [],
    ])
    await expect(laptop.versions(snapshots)).rejects.toThrow('no such folder')
    await expect(laptop.put(`${snapshots}/00000002`, sample(1))).rejects.toThrow('no such folder')
    for (const name of ['keyset/00000001', 'blocks/..%2f..%2fdatabase', 'blocks/x']) {
      await expect(laptop.put(name, sample(1))).rejects.toThrow('no such')
    }
    expect(existsSync(join(root, 'database'))).toBe(false)
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
    expect((await RemoteStore.connect(url, second)).state).toBe('locked')
    await failure(() => enrol(url, token, first), 'key-changed')
  })

  it('lets a backup take longer than a session lasts', async () => {
    const client = await make('acme', 'slow')
    await enrol(url, await logIn(url, 'acme', 'password'), client)
    const remote = await RemoteStore.connect(url, client)
    vi.useFakeTimers({ now: Date.now() + 2 * 3_600_000, toFake: ['Date'] })
    try {
      expect(await remote.has(`blocks/${'f'.repeat(64)}`)).toBe(false)
      expect(await remote.put(`blocks/${'e'.repeat(64)}`, sample(10))).toBe(true)
    } finally {
      vi.useRealTimers()
    }
  })
})
