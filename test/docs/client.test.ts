// The examples of docs/client.md run, and what it says is true.
import { describe, expect, it } from 'vitest'
import {
  checkTypedKey,
  type Client,
  type ClientOptions,
  deriveClient,
  generateTypedKey,
  openSavedClient,
  type TypedKey,
} from '../../src/client.ts'
import { createDeviceKey } from '../../src/device.ts'
import { openLog } from '../../src/index.ts'
import { type Connection, openKeyRegistry } from '../../src/server.ts'
import { memoryStateStore, type RegistryStore } from '../../src/stores.ts'
import { failure, sample } from '../fixtures.ts'
import { connectTo, enrolIn } from '../registry-fixtures.ts'
import { functionsOf, noting, printed, quietly, textOf, writeExamples } from './guide.ts'

const { paths } = writeExamples(['client.md'])
const names = { realm: 'com.example.backup', account: 'customer-17', name: 'desktop', platform: 'linux' } as const

interface ClientGuide {
  install(
    options: ClientOptions,
    deviceKey: Uint8Array,
    challenge: Uint8Array,
  ): Promise<{ enrolment: Uint8Array; saved: Uint8Array }>
  start(
    saved: Uint8Array,
    deviceKey: Uint8Array,
    names: { account: string; name: string },
    row: Uint8Array,
  ): Promise<{ client: Client; password: string }>
  createServer(store: RegistryStore): {
    enrol: (enrolment: Uint8Array, account: string) => Promise<unknown>
    challenge: () => Promise<Uint8Array>
    connect: (proof: Uint8Array) => Promise<Connection>
    committed: (connection: Connection) => Promise<void>
    remove: (account: string, name: string) => Promise<boolean>
  }
}

const guideFunctions = () => quietly(() => functionsOf<ClientGuide>(paths))

describe('docs/client.md', () => {
  it('opens a file in its first example', async () => {
    expect(await printed(() => import(`${paths[0]!}?again`))).toEqual(['my file'])
  })

  it('installs a client, and accepts it on the server', async () => {
    const functions = await guideFunctions()
    const { of, called } = noting(functions)
    const [device, server] = [createDeviceKey(), of.createServer(memoryStateStore())]
    const deviceKey = device.exportUnprotected()
    const accountKey = generateTypedKey('AES-128')
    const options = () => ({ ...names, privateKey: generateTypedKey('AES-256'), accountKey })
    const { enrolment, saved } = await of.install(options(), deviceKey, await server.challenge())
    await server.enrol(enrolment, 'customer-17')
    const row = device.sealText('of the nas', { table: 'source', row: 'nas', column: 'password', version: 1 })
    const { client, password } = await of.start(saved, deviceKey, names, row)
    expect(password).toBe('of the nas')
    const swapped = await failure(() => of.start(saved, deviceKey, { ...names, name: 'laptop' }, row), 'policy')
    expect(swapped.detail).toMatchObject({ rule: 'expected-handle' })
    const elsewhere = device.sealText('of the nas', { table: 'source', row: 'pc', column: 'password', version: 1 })
    await failure(() => of.start(saved, deviceKey, names, elsewhere), 'authentication-failed')
    await failure(() => openSavedClient(saved, createDeviceKey(), names), 'key-not-found')

    const proofOf = async (by: Client) => by.prove(await server.challenge(), { server: 'storage-1' })
    const prove = async (by: Client) => server.connect(await proofOf(by))
    const proof = await proofOf(client)
    const connection = await server.connect(proof)
    await failure(() => server.connect(proof), 'expired')
    expect(connection.state).toBe('provisional')
    await server.committed(connection)
    expect((await prove(client)).state).toBe('locked')
    const another = await of.install(options(), deviceKey, await server.challenge())
    await failure(() => server.enrol(another.enrolment, 'customer-17'), 'key-changed')
    const other = openSavedClient(another.saved, device, names)
    await failure(() => prove(other), 'key-changed')
    expect(await server.remove('customer-17', 'desktop')).toBe(true)
    await failure(() => prove(client), 'key-not-found')
    expect([...called].sort()).toEqual(Object.keys(functions).sort())
  })

  it('requires the account key of every client after one client has enrolled with it', async () => {
    const registry = openKeyRegistry(memoryStateStore(), { realm: 'tests', server: 'storage-1' })
    const account = { realm: 'tests', account: 'customer-17', platform: 'linux' } as const
    const connect = (by: Client) => connectTo(registry, by)
    const accountKey = generateTypedKey('AES-128')
    const first = await deriveClient({ ...account, name: 'first', privateKey: generateTypedKey('AES-256') })
    const keys = { privateKey: generateTypedKey('AES-256'), accountKey }
    const second = await deriveClient({ ...account, name: 'second', ...keys })
    await failure(() => first.scope('account'), 'account-key-required')
    await enrolIn(registry, first)
    expect((await connect(first)).name).toBe('first')
    await enrolIn(registry, second)
    await failure(() => connect(first), 'account-key-required')
    expect((await connect(await first.withAccountKey(accountKey))).name).toBe('first')
    const capitals = await deriveClient({ ...account, account: 'Customer-17', name: 'second', ...keys })
    await failure(() => connect(capitals), 'key-not-found')
    const otherKey = await first.withAccountKey(generateTypedKey('AES-128'))
    await failure(() => enrolIn(registry, otherKey), 'key-changed')
  })

  it('says when a machine leaves: renamed, stolen, and with a lost account key', async () => {
    const registry = openKeyRegistry(memoryStateStore(), { realm: names.realm, server: 'storage-1' })
    const accountKey = generateTypedKey('AES-128')
    const privateKey = generateTypedKey('AES-256')
    const desktop = await deriveClient({ ...names, privateKey, accountKey })
    await enrolIn(registry, desktop)
    const [block, ours] = [
      await desktop.scope('private').seal(sample(10)),
      await desktop.scope('account').seal(sample(20)),
    ]
    const { account } = names
    expect(await registry.removeClient({ account, name: 'desktop' })).toBe(true)
    const renamed = await deriveClient({ ...names, name: 'office', privateKey, accountKey })
    await enrolIn(registry, renamed)
    expect(await renamed.open(block)).toEqual(sample(10))
    // The keys of the removed client are not revoked.
    expect(await desktop.open(ours)).toEqual(sample(20))

    await registry.commitFirstBackup(await connectTo(registry, renamed))
    await failure(() => registry.clearAccountKey(account), 'policy')
    await registry.removeClient({ account, name: 'office' })
    expect(await registry.clearAccountKey(account)).toBe(true)
    const next = await deriveClient({ ...names, privateKey, accountKey: generateTypedKey('AES-128') })
    await enrolIn(registry, next)
    await failure(() => next.open(ours), 'key-not-found')
    expect(await next.open(block)).toEqual(sample(10))
  })

  it('says what a scope is', async () => {
    const keys = { privateKey: generateTypedKey('AES-256'), accountKey: generateTypedKey('AES-128') }
    const client = await deriveClient({ ...names, ...keys })
    const laptop = await deriveClient({ ...names, name: 'laptop', ...keys, privateKey: generateTypedKey('AES-256') })
    const stranger = await deriveClient({ ...names, account: 'other', ...keys })
    const same: [scope: 'private' | 'account' | 'public', inAccount: boolean, inRealm: boolean][] = [
      ['private', false, false],
      ['account', true, false],
      ['public', true, true],
    ]
    for (const [scope, inAccount, inRealm] of same) {
      const labels = await Promise.all(
        [client, client, laptop, stranger].map(async (by) => (await by.scope(scope).seal(sample(10))).label),
      )
      expect(labels[1]).toBe(labels[0])
      expect([labels[2] === labels[0], labels[3] === labels[0]]).toEqual([inAccount, inRealm])
    }
    const open = await client.scope('public').seal(sample(10))
    await failure(() => client.open(open), 'policy')
    expect(await stranger.scope('public').open(open)).toEqual(sample(10))
    await failure(() => openLog(memoryStateStore(), 'backups', client.scope('public')), 'policy')
    const sealed = await client.scope('private').seal(sample(10))
    await failure(() => laptop.open(sealed), 'key-not-found')
    expect([sealed.envelope.length, open.envelope.length]).toEqual([112, 49])
    // Two clients with one private text read each other's blocks.
    const twin = await deriveClient({ ...names, name: 'twin', ...keys })
    expect(await twin.open(sealed)).toEqual(sample(10))
  })

  it('says how long typed keys are, and what is random in generated ones', async () => {
    const rows = [...textOf('client.md').matchAll(/^\| `(AES-\d+)` \| (\d+) characters \| (\d+) random bits \|$/gm)]
    expect(rows).toHaveLength(3)
    for (const [, name, characters, bits] of rows) {
      const type = name as TypedKey['type']
      const { text } = generateTypedKey(type)
      expect(text).toHaveLength(Number(characters))
      // Each character has one of 31 letters and digits. The last one checks the others.
      expect(Math.floor((text.length - 1) * Math.log2(31))).toBe(Number(bits))
      const tooLong = deriveClient({ ...names, privateKey: { type, text: `${text}A` } })
      expect((await failure(() => tooLong, 'invalid-text')).detail).toMatchObject({ reason: 'too-long' })
      const mistyped = text[3] === 'A' ? 'B' : 'A'
      expect(checkTypedKey({ type, text })).toBe(true)
      expect(checkTypedKey({ type, text: text.slice(0, 3) + mistyped + text.slice(4) })).toBe(false)
    }
    const phone = { ...names, platform: 'ios', privateKey: generateTypedKey('AES-256') } as const
    const registry = openKeyRegistry(memoryStateStore(), { realm: names.realm, server: 'storage-1' })
    const wide = await deriveClient({ ...phone, accountKey: generateTypedKey('AES-256') })
    await failure(() => enrolIn(registry, wide), 'policy')
  })
})
