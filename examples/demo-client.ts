// The demo with clients: a storage server that checks the keys of its clients on every connection, and two clients of
// one account. Identical files of the two are stored once. File names and folders are sealed under each client's
// private key, contents under the account key.
import { type Client, deriveClient, generateTypedKey, openSavedClient } from 'keystrata/client'
import { createDeviceKey, type DeviceKey, openDeviceKey } from 'keystrata/device'
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import type { Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { BlockIndex, readBlockIndex } from './block-index.ts'
import type { Demo } from './demo.ts'
import { custodyStory } from './demo-custody.ts'
import { legacyStory } from './demo-legacy.ts'
import { close, listen } from './http.ts'
import { refused } from './refused.ts'
import { enrol, logIn, RemoteStore } from './storage-client.ts'
import { createStorageService, createStorageTables, REALM, snapshotsOf } from './storage-service.ts'
import { type FolderStore, putVersion } from './store.ts'
import { say } from './terminal.ts'

/** The end of the folder name for the second client's restore. */
export const LAPTOP = 'of the laptop'

export const ACCOUNT = 'demo-account'
/** At most how many files both clients have in common. */
const COMMON_FILES = 20

export async function clientDemo(demo: Demo): Promise<void> {
  const { store, password, restoreOnly, snapshot } = demo
  // In real life the server and the clients are on different machines.
  const root = join(store.root, 'server')
  await mkdir(root, { recursive: true })
  const database = await PGlite.create(join(root, 'database'))
  await createStorageTables(database)
  const servers: Server[] = []
  const serve = (safeguarding: 'off' | 'optional' | 'mandatory') => {
    const server = createStorageService(database, root, safeguarding)
    servers.push(server)
    return listen(server)
  }
  try {
    const url = await serve('off')
    using device = await ownDevice(store, `${password}, of the machine`)
    if (restoreOnly) {
      using desktop = await savedClient(store, device, 'desktop')
      if (desktop === undefined) throw new Error(`${store.root} holds no client: run the demo with this store first`)
      await restore(demo, desktop, await RemoteStore.connect(url, desktop), { snapshot })
    } else {
      const clients = await ownClients(store, device)
      const second = await foldersOfLaptop(demo.folder)
      try {
        await story(demo, url, device, clients, second)
        await legacyStory(demo, url, device, second)
        await custodyStory(demo, { database, serve }, clients, second)
      } finally {
        await rm(second, { recursive: true })
      }
    }
  } finally {
    for (const server of servers) await close(server)
    await database.close()
  }
}

async function story(
  demo: Demo,
  url: string,
  device: DeviceKey,
  [desktop, laptop]: [Client, Client],
  second: string,
): Promise<void> {
  const { store, password } = demo
  const customer = await logIn(url, ACCOUNT, password)
  for (const client of [desktop, laptop]) {
    await enrol(url, customer, client)
    const { state } = await RemoteStore.connect(url, client)
    say(`${client.name} has enrolled and proved its keys; its state on the server is ${state}`)
  }
  await backUp(demo, desktop, url)
  await backUp(demo, laptop, url, second)
  say('files that both clients have are stored once: contents use the account key, names each client’s private key')

  // Like a new process that has only what the client's own database holds.
  const again = (await savedClient(store, device, 'desktop'))!
  const remote = await RemoteStore.connect(url, again)
  say(`${again.name} has connected again with the keys from its own database; its state is now ${remote.state}`)
  await restore(demo, again, remote)
  await restore(demo, laptop, await RemoteStore.connect(url, laptop), { into: LAPTOP, of: second })

  const changed = await newClient('desktop', generateTypedKey('AES-128'))
  await refused('key-changed', () => enrol(url, customer, changed))
  await refused('key-changed', () => RemoteStore.connect(url, changed))
  say('a desktop with another key is refused: a client cannot change its keys after its first backup')
  const place = { table: 'source', row: 'file server', column: 'password', version: 1 }
  const sealed = device.sealText('a password of what is backed up', place)
  await refused('authentication-failed', async () => device.openText(sealed, { ...place, row: 'another server' }))
  say('a sealed source password opens only in the database row for which it was sealed')
}

async function backUp(demo: Demo, client: Client, url: string, what?: string): Promise<void> {
  const remote = await RemoteStore.connect(url, client)
  const index = new BlockIndex(client.scope('private'), remote, snapshotsOf(client.name), () => remote.commit())
  await demo.backUp(client.scope('account'), index, { store: remote, ...(what !== undefined && { what }) })
}

export async function restore(
  demo: Demo,
  client: Client,
  store: RemoteStore,
  { snapshot, ...again }: { snapshot?: number | undefined; into?: string; of?: string } = {},
): Promise<void> {
  // The scopes matter: the store names the labels, and must not lead us to a public block, which anyone can create, or
  // to a block of another client.
  const listing = await readBlockIndex(store, client.scope('private'), snapshot, snapshotsOf(client.name))
  const { into, of } = again
  await demo.restore(
    { reader: client.scope('account'), store },
    listing,
    into === undefined ? undefined : { into, ...(of && { of }) },
  )
}

/**
 * Opens or creates the device key. A real client keeps it on its own machine, or in the operating system's keystore.
 */
async function ownDevice(store: FolderStore, password: string): Promise<DeviceKey> {
  const name = (await store.versions('device')).at(-1)
  if (name !== undefined) return openDeviceKey((await store.get(name))!, password)
  const device = createDeviceKey()
  await putVersion(store, 'device', await device.export(password))
  return device
}

/** Opens both clients from what they saved, or creates them. */
async function ownClients(store: FolderStore, device: DeviceKey): Promise<[Client, Client]> {
  const saved = [await savedClient(store, device, 'desktop'), await savedClient(store, device, 'laptop')]
  const [desktop, laptop] = saved
  if (desktop !== undefined && laptop !== undefined) return [desktop, laptop]
  // People type these keys or write them down. Without them, nothing can be restored on another machine.
  const accountKey = generateTypedKey('AES-128')
  const made = [await newClient('desktop', accountKey), await newClient('laptop', accountKey)] as const
  for (const client of made) await putVersion(store, `saved-${client.name}`, client.save(device))
  return [...made]
}

function newClient(client: string, accountKey: ReturnType<typeof generateTypedKey>): Promise<Client> {
  const names = { realm: REALM, account: ACCOUNT, name: client, platform: 'linux' } as const
  return deriveClient({ ...names, privateKey: generateTypedKey('AES-256'), accountKey })
}

export async function savedClient(
  store: FolderStore,
  device: DeviceKey,
  client: string,
  account: string = ACCOUNT,
): Promise<Client | undefined> {
  const name = (await store.versions(`saved-${client}`)).at(-1)
  if (name === undefined) return undefined
  return openSavedClient((await store.get(name))!, device, { account, name: client })
}

/** Creates a folder for the second client: some files of the first client, and one of its own. */
async function foldersOfLaptop(folder: string): Promise<string> {
  const own = await mkdtemp(join(tmpdir(), 'keystrata-laptop-'))
  const files = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isFile())
  for (const { name } of files.slice(0, COMMON_FILES)) await cp(join(folder, name), join(own, name))
  await writeFile(join(own, 'only on the laptop'), `written at ${new Date().toISOString()}`)
  return own
}
