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
import { openLog } from 'keystrata'
import type { StateStore } from 'keystrata/stores'
import { folderStateStore } from 'keystrata/stores/folder'
import { postgresSchema, postgresStateStore } from 'keystrata/stores/postgres'
import { BackupLog, BACKUPS, readListing } from './backup-log.ts'
import { writeNext } from './backup-store.ts'
import type { Demo } from './demo.ts'
import { custodyStory } from './demo-custody.ts'
import { legacyStory } from './demo-legacy.ts'
import { close, listen } from './http.ts'
import { refused } from './refused.ts'
import { enrol, logIn, RemoteStore } from './storage-client.ts'
import { createStorageService, REALM } from './storage-service.ts'
import { say } from './terminal.ts'

/** The end of the folder name for the second client's restore. */
export const LAPTOP = 'of the laptop'

export const ACCOUNT = 'demo-account'

/** The folder in the store for what the clients keep on their own machine. */
export const MACHINE = 'machine'
/** At most how many files both clients have in common. */
const COMMON_FILES = 20

export async function clientDemo(demo: Demo): Promise<void> {
  const { password, restoreOnly, snapshot, atLeast } = demo
  const { address } = demo.store
  // In real life the server and the clients are on different machines.
  const machine = folderStateStore(join(address, MACHINE))
  const root = join(address, 'server')
  await mkdir(root, { recursive: true })
  const database = await PGlite.create(join(root, 'database'))
  await database.exec(postgresSchema())
  const state = postgresStateStore(database)
  const servers: Server[] = []
  const serve = (safeguarding: 'off' | 'optional' | 'mandatory') => {
    const server = createStorageService(state, join(root, 'blocks'), safeguarding)
    servers.push(server)
    return listen(server)
  }
  try {
    const url = await serve('off')
    using device = await ownDevice(machine, `${password}, of the machine`)
    if (restoreOnly) {
      using desktop = await savedClient(machine, device, 'desktop')
      if (desktop === undefined) throw new Error(`${address} holds no client: run the demo with this store first`)
      await restore(demo, desktop, await RemoteStore.connect(url, desktop), { snapshot, atLeast })
    } else {
      const clients = await ownClients(machine, device)
      const second = await foldersOfLaptop(demo.folder)
      try {
        await story(demo, url, { device, machine }, clients, second)
        await legacyStory(demo, url, { device, machine }, second)
        await custodyStory(demo, { state, serve }, clients, second)
      } finally {
        await rm(second, { recursive: true })
      }
    }
  } finally {
    for (const server of servers) await close(server)
    await database.close()
  }
}

/** What the clients keep on their own machine. */
export interface Machine {
  device: DeviceKey
  machine: StateStore
}

async function story(
  demo: Demo,
  url: string,
  { device, machine }: Machine,
  [desktop, laptop]: [Client, Client],
  second: string,
): Promise<void> {
  const customer = await logIn(url, ACCOUNT, demo.password)
  for (const client of [desktop, laptop]) {
    await enrol(url, customer, client)
    const { keyState } = await RemoteStore.connect(url, client)
    say(`${client.name} has enrolled and proved its keys; its state on the server is ${keyState}`)
  }
  const ends = { desktop: await backUp(demo, desktop, url), laptop: await backUp(demo, laptop, url, second) }
  say('files that both clients have are stored once: contents use the account key, names each client’s private key')

  // Like a new process that has only what the client's own database holds.
  const again = (await savedClient(machine, device, 'desktop'))!
  const remote = await RemoteStore.connect(url, again)
  say(`${again.name} has connected again with the keys from its own database; its state is now ${remote.keyState}`)
  await restore(demo, again, remote, { atLeast: ends.desktop })
  const more = { into: LAPTOP, of: second, atLeast: ends.laptop }
  await restore(demo, laptop, await RemoteStore.connect(url, laptop), more)

  const changed = await newClient('desktop', generateTypedKey('AES-128'))
  await refused('key-changed', () => enrol(url, customer, changed))
  await refused('key-changed', () => RemoteStore.connect(url, changed))
  say('a desktop with another key is refused: a client cannot change its keys after its first backup')
  const place = { table: 'source', row: 'file server', column: 'password', version: 1 }
  const sealed = device.sealText('a password of what is backed up', place)
  await refused('authentication-failed', async () => device.openText(sealed, { ...place, row: 'another server' }))
  say('a sealed source password opens only in the database row for which it was sealed')
}

/** Backs up a folder. Returns the position of the last record of the index, which a real client keeps in its database. */
async function backUp(demo: Demo, client: Client, url: string, what?: string): Promise<string | undefined> {
  const remote = await RemoteStore.connect(url, client)
  const index = new BackupLog(openLog(remote.state, BACKUPS, client.scope('private')), () => remote.commit())
  await demo.backUp(client.scope('account'), index, { store: remote, ...(what !== undefined && { what }) })
  return index.position
}

export async function restore(
  demo: Demo,
  client: Client,
  store: RemoteStore,
  {
    into,
    of,
    ...wanted
  }: { snapshot?: number | undefined; atLeast?: string | undefined; into?: string; of?: string } = {},
): Promise<void> {
  const listing = await readListing(openLog(store.state, BACKUPS, client.scope('private')), wanted)
  await demo.restore(
    { reader: client.scope('account'), store },
    listing,
    into === undefined ? undefined : { into, ...(of && { of }) },
  )
}

/**
 * Opens or creates the device key. A real client keeps it on its own machine, or in the operating system's keystore.
 */
async function ownDevice(machine: StateStore, password: string): Promise<DeviceKey> {
  const stored = await machine.read('device')
  if (stored !== undefined) return openDeviceKey(stored.bytes, password)
  const device = createDeviceKey()
  const isStored = await machine.write('device', 1, await device.export(password))
  if (!isStored) throw new Error('another program created the device key first: run the demo again')
  return device
}

/** Opens both clients from what they saved, or creates them. */
async function ownClients(machine: StateStore, device: DeviceKey): Promise<[Client, Client]> {
  const [desktop, laptop] = [
    await savedClient(machine, device, 'desktop'),
    await savedClient(machine, device, 'laptop'),
  ]
  if (desktop !== undefined && laptop !== undefined) return [desktop, laptop]
  // People type these keys or write them down. Without them, nothing can be restored on another machine.
  const accountKey = generateTypedKey('AES-128')
  const made = [await newClient('desktop', accountKey), await newClient('laptop', accountKey)] as const
  await saveClient(machine, device, 'desktop', made[0])
  await saveClient(machine, device, 'laptop', made[1])
  return [...made]
}

function newClient(client: string, accountKey: ReturnType<typeof generateTypedKey>): Promise<Client> {
  const names = { realm: REALM, account: ACCOUNT, name: client, platform: 'linux' } as const
  return deriveClient({ ...names, privateKey: generateTypedKey('AES-256'), accountKey })
}

/** The clients of the demo. In real life each is on a machine of its own. */
type SavedName = 'desktop' | 'laptop' | 'modern'

export async function saveClient(
  machine: StateStore,
  device: DeviceKey,
  name: SavedName,
  client: Client,
): Promise<void> {
  await writeNext(machine, `client/${name}`, () => client.save(device))
}

export async function savedClient(
  machine: StateStore,
  device: DeviceKey,
  name: SavedName,
  account: string = ACCOUNT,
): Promise<Client | undefined> {
  const stored = await machine.read(`client/${name}`)
  return stored && openSavedClient(stored.bytes, device, { account, name })
}

/** Creates a folder for the second client: some files of the first client, and one of its own. */
async function foldersOfLaptop(folder: string): Promise<string> {
  const own = await mkdtemp(join(tmpdir(), 'keystrata-laptop-'))
  const files = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isFile())
  for (const { name } of files.slice(0, COMMON_FILES)) await cp(join(folder, name), join(own, name))
  await writeFile(join(own, 'only on the laptop'), `written at ${new Date().toISOString()}`)
  return own
}
