// Every example in README.md type-checks and runs.
import {
  armRegistration,
  type Client,
  type ClientOptions,
  deriveClient,
  generateTypedKey,
  openSavedClient,
} from '../src/client.ts'
import { all, CHEAP, failure, PASSWORD, quick } from './fixtures.ts'
import { Destination } from '../src/keyset/layout.ts'
import {
  type BlockHead,
  type BlockReader,
  type BlockWriter,
  type Card,
  createKeyset,
  type Keys,
  type Keyset,
  type KeysetWriter,
  openFrom,
  openLog,
  openWriter,
  type PreparedBlock,
  loadKeyset,
  saveKeyset,
  type SealedBlock,
  type Share,
  type SharedReader,
  unlockKeyset,
} from '../src/index.ts'
import {
  type BlobStore,
  type Blocks,
  blocksIn,
  memoryBlobStore,
  memoryStateStore,
  type RegistryStore,
  type StateStore,
  type SharedBlocks,
} from '../src/stores.ts'
import { httpStateStore } from '../src/stores/http.ts'
import { deriveLogin, loadProfile, type Login, parseProfile, type Profile, type Vault } from '../src/vault.ts'
import { deriveLegacyClient } from '../src/legacy.ts'
import { createDeviceKey } from '../src/device.ts'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Connection, openKeyRegistry, type KeyRegistry } from '../src/server.ts'
import { useBackend } from '../src/primitives/choice.ts'
import { connectTo, enrolIn } from './registry-fixtures.ts'
import { errorsIn, programOf } from './type-check.ts'

const root = join(import.meta.dirname, '..')
const folder = join(import.meta.dirname, '.readme')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const examples = [...readme.matchAll(/```ts\n(.*?)```/gs)].map((match) => match[1]!)
// Appended to each example, so that the tests can call what it declares.
const exported = [
  '',
  'export { backUp, restore }',
  'export { backUpSmall, restoreSmall }',
  'export { moveToNewPairs }',
  'export { share, accept }',
  'export { backUpShared, shareStored, openShared }',
  'export { signUp, openVault }',
  'export { changePassword, reset }',
  'export { serviceOf }',
  '',
  'export { install, start }',
  'export { createServer }',
  'export { safeguard, buildForCustomer, becomeClient }',
  'export { moveToAes }',
  'export { sealFile, rekeyInThreads }',
  'export { backUpInto, newKeyPairs }',
  'export { addSheet, recover }',
  'export { unlock }',
]
const paths = examples.map((_, index) => join(folder, `${index}.ts`))

beforeAll(() => {
  // The examples use the default costs, which would be slow here.
  useBackend(quick)
  mkdirSync(folder, { recursive: true })
  examples.forEach((code, index) => writeFileSync(paths[index]!, `${code}${exported[index] ?? ''}\n`))
})
afterAll(() => {
  useBackend(undefined)
  rmSync(folder, { recursive: true })
})

const run = <T>(index: number) => import(paths[index]!) as Promise<T>

describe('README', () => {
  it('has eighteen examples of at most eighteen lines of code each', () => {
    expect(examples).toHaveLength(exported.length)
    for (const code of examples) expect(code.split('\n').filter((line) => line !== '').length).toBeLessThanOrEqual(18)
  })

  it('type-checks', () => {
    expect(errorsIn(programOf(paths), paths)).toEqual([])
  })

  it('seals and opens', async () => {
    const log = vi.spyOn(console, 'log').mockReturnValue()
    await run(0)
    expect(log).toHaveBeenCalledExactlyOnceWith('my file')
    log.mockRestore()
  })

  it('says what each export can do', async () => {
    using keyset = await createKeyset(PASSWORD, { costs: CHEAP })
    const block = await openWriter(keyset.export('host')).seal(Buffer.from('before'))
    using next = keyset.regenerate()
    const later = await openWriter(next.export('host')).seal(Buffer.from('later'))
    const rows = [...readme.matchAll(/^\| `(host|definition|storage)` \|.*$/gm)]
    expect(rows).toHaveLength(3)
    for (const [row, name] of rows as unknown as [string, Destination][]) {
      const bytes = next.export(name)
      using unlocked = await unlockKeyset(bytes, PASSWORD)
      expect(Buffer.from(await unlocked.open(later)).toString()).toBe('later')
      const policy = expect.objectContaining({ code: 'policy' }) as Error
      if (!row.includes('`openWriter`')) expect(() => openWriter(bytes)).toThrow(policy)
      else expect(openWriter(bytes).id).toBe(keyset.id)
      if (row.includes('`policy`')) {
        for (const action of [() => unlocked.card(), () => unlocked.createShare(), () => unlocked.regenerate()]) {
          expect(action).toThrow(policy)
        }
        await expect(unlocked.open(block)).rejects.toHaveProperty('code', 'key-not-found')
      } else {
        expect(unlocked.card()).toEqual(keyset.card())
        expect(unlocked.createShare().keyset.shares).toHaveLength(1)
        expect(unlocked.regenerate().revision).toMatch(/^3-/)
        expect(Buffer.from(await unlocked.open(block)).toString()).toBe('before')
      }
    }
  })

  it('backs up and restores', async () => {
    const { backUp, restore } = await run<{
      backUp: (content: Uint8Array, writer: BlockWriter, store: Map<string, Uint8Array>) => Promise<string>
      restore: (label: string, reader: BlockReader, store: Map<string, Uint8Array>) => Promise<Uint8Array | undefined>
    }>(1)
    const keyset = await createKeyset(PASSWORD, { costs: CHEAP })
    const store: Map<string, Uint8Array> = new Map()
    using writer = openWriter(keyset.export('host'))
    const prepared: PreparedBlock[] = []
    const watched: BlockWriter = {
      seal: (content) => writer.seal(content),
      pack: (files) => writer.pack(files),
      prepare: async (content) => {
        const block = await writer.prepare(content)
        prepared.push(block)
        return block
      },
    }
    const label = await backUp(Buffer.from('content'), watched, store)
    expect(await backUp(Buffer.from('content'), watched, store)).toBe(label)
    expect(store.size).toBe(1)
    // The second block was never sealed, but backUp disposed of it.
    expect(prepared).toHaveLength(2)
    for (const each of prepared) await expect(each.seal()).rejects.toHaveProperty('code', 'disposed')
    expect(Buffer.from((await restore(label, keyset, store))!).toString()).toBe('content')
    expect(await restore('0'.repeat(64), keyset, store)).toBeUndefined()
  })

  it('needs `return await`: without it, `using` disposes of the writer before it seals', async () => {
    using keyset = await createKeyset(PASSWORD, { costs: CHEAP })
    const forgotten = async () => {
      using writer = openWriter(keyset.export('host'))
      // eslint-disable-next-line @typescript-eslint/return-await -- the mistake that this test shows
      return writer.seal(Buffer.from('content'))
    }
    const awaited = async () => {
      using writer = openWriter(keyset.export('host'))
      return await writer.seal(Buffer.from('content'))
    }
    await expect(forgotten()).rejects.toHaveProperty('code', 'disposed')
    expect(Buffer.from(await keyset.open(await awaited())).toString()).toBe('content')
  })

  it('packs, logs, rekeys and reseals', async () => {
    const { backUpSmall, restoreSmall } = await run<{
      backUpSmall: (files: Uint8Array[], keys: KeysetWriter, blocks: Blocks, state: StateStore) => Promise<string>
      restoreSmall: (keys: Keys, blocks: Blocks, state: StateStore, atLeast: string) => Promise<Uint8Array[]>
    }>(2)
    const { moveToNewPairs } = await run<{
      moveToNewPairs: (
        regenerated: Keyset,
        blocks: Blocks,
        state: StateStore,
        atLeast: string,
      ) => Promise<{ position: string; keyset: Keyset }>
    }>(3)
    const [blocks, state] = [blocksIn(memoryBlobStore()), memoryStateStore()]
    const keyset = await createKeyset(PASSWORD, { costs: CHEAP })
    const backUp = (by: Keyset, ...texts: string[]) =>
      backUpSmall(
        texts.map((text) => Buffer.from(text)),
        openWriter(by.export('host')),
        blocks,
        state,
      )
    const textsIn = async (by: Keyset, atLeast: string) =>
      (await restoreSmall(by, blocks, state, atLeast)).map((file) => Buffer.from(file).toString())
    await backUp(keyset, 'one', 'two')
    const position = await backUp(keyset, 'three')
    expect(await textsIn(keyset, position)).toEqual(['one', 'two', 'three'])

    const moved = await moveToNewPairs(keyset.regenerate(), blocks, state, position)
    expect([moved.position, moved.keyset.retired]).toEqual([position, 0])
    const later = await backUp(moved.keyset, 'four')
    expect(await textsIn(moved.keyset, later)).toEqual(['one', 'two', 'three', 'four'])
    await expect(textsIn(keyset, later)).rejects.toHaveProperty('code', 'key-not-found')
    await expect(textsIn(moved.keyset, `4${later.slice(1)}`)).rejects.toHaveProperty('code', 'rollback')
  })

  it('says what the calls of a log cost', async () => {
    const table = /^\| call \| calls of the store .*\n.*\n((?:\|.*\n)+)/m.exec(readme)![1]!
    const rows = table.trim().split('\n')
    const said = Object.fromEntries(rows.map((row) => row.split(' | ').slice(0, 2) as [string, string]))
    expect(said).toEqual({
      '| `append`': '1 read, 1 write',
      '| `last`': '1 read',
      '| `read` of n records': 'n + 4 reads',
      '| `reseal` of n records': 'about n reads, n + 3 writes, 1 drop',
    })
    const inner = memoryStateStore()
    let calls = { reads: 0, writes: 0, drops: 0 }
    const store: StateStore = {
      read: async (name) => (calls.reads++, inner.read(name)),
      readVersion: async (name, version) => (calls.reads++, inner.readVersion(name, version)),
      write: async (...given) => (calls.writes++, inner.write(...given)),
      drop: async (...given) => (calls.drops++, inner.drop(...given)),
    }
    const during = async (work: () => Promise<unknown>) => {
      calls = { reads: 0, writes: 0, drops: 0 }
      await work()
      return calls
    }
    using keyset = await createKeyset(PASSWORD, { costs: CHEAP })
    const log = openLog(store, 'backups', keyset)
    const n = 100
    let position = await log.append(Buffer.from('first'))
    for (let record = 2; record < n; record++) position = await log.append(Buffer.from('content'))
    const appending = await during(async () => (position = await log.append(Buffer.from('last'))))
    expect(appending).toEqual({ reads: 1, writes: 1, drops: 0 })
    expect(await during(() => log.last())).toEqual({ reads: 1, writes: 0, drops: 0 })
    const reading = await during(() => all(openLog(store, 'backups', keyset).read()))
    expect(reading).toEqual({ reads: n + 4, writes: 0, drops: 0 })
    using regenerated = keyset.regenerate()
    const resealing = await during(() => openLog(store, 'backups', regenerated).reseal({ atLeast: position }))
    expect({ ...resealing, reads: Math.floor(resealing.reads / n) }).toEqual({ reads: 1, writes: n + 3, drops: 1 })
  })

  it('shares', async () => {
    interface Sharing {
      share: (
        owner: Keyset,
        head: BlockHead,
        card: Uint8Array,
        fingerprint: string,
      ) => { keyset: Keyset; shareId: string; envelope: Uint8Array; invite: Uint8Array }
      accept: (recipient: Keyset, invite: Uint8Array, card: Uint8Array, fingerprint: string) => SharedReader
    }
    interface Streaming {
      backUpShared: (
        file: ReadableStream<Uint8Array>,
        writer: KeysetWriter,
        id: string,
        blocks: SharedBlocks,
        state: StateStore,
      ) => Promise<void>
      shareStored: (stored: string[], share: Share, blocks: SharedBlocks, state: StateStore) => Promise<void>
      openShared: (reader: SharedReader, blocks: SharedBlocks, state: StateStore) => Promise<AsyncIterable<Uint8Array>>
    }
    const [{ share, accept }, { backUpShared, shareStored, openShared }] = [
      await run<Sharing>(4),
      await run<Streaming>(5),
    ]
    const [alice, bob] = [await createKeyset('alice', { costs: CHEAP }), await createKeyset('bob', { costs: CHEAP })]
    const [aliceCard, bobCard] = [alice.card(), bob.card()]
    const block = await openWriter(alice.export('host')).seal(Buffer.from('shared'))
    const { keyset, shareId, envelope, invite } = share(alice, block, bobCard.bytes, bobCard.fingerprint)
    expect(keyset.shares).toEqual([shareId])
    const shared = accept(bob, invite, aliceCard.bytes, aliceCard.fingerprint)
    expect(Buffer.from(await shared.open({ ...block, envelope })).toString()).toBe('shared')
    const changed = expect.objectContaining({ code: 'key-changed' }) as Error
    expect(() => share(alice, block, aliceCard.bytes, bobCard.fingerprint)).toThrow(changed)

    const [blocks, state] = [blocksIn(memoryBlobStore()), memoryStateStore()]
    using writer = openWriter(keyset.export('host'))
    const openedText = async () => {
      const parts = await all(await openShared(shared, blocks, state))
      return Buffer.concat(parts).toString()
    }
    // A second time, it is stored already.
    for (let night = 0; night < 2; night++) {
      await backUpShared(new Blob(['every night']).stream(), writer, shareId, blocks, state)
      expect(await openedText()).toBe('every night')
    }
    await blocks.put(block)
    using owned = keyset.share(shareId)
    await shareStored([block.label], owned, blocks, state)
    expect(await openedText()).toBe('shared')
    const planted = await writer.seal(Buffer.from('planted'), { shares: [shareId] })
    const theirs = blocks.shared(shareId)
    await theirs.delete(block.label)
    await theirs.put({ label: block.label, envelope: planted.shared!.get(shareId)!, ciphertext: planted.ciphertext })
    await expect(openedText()).rejects.toHaveProperty('code', 'authentication-failed')
  })

  it('signs up, opens the vault, changes and resets the password', async () => {
    type Service = (credential: string, record?: Uint8Array) => Promise<StateStore>
    type Send = (record: Uint8Array, credential: string) => Promise<void>
    type Names = Pick<Login, 'realm' | 'user'>
    interface Openers {
      signUp: (password: string, admin: Card, service: Service) => Promise<{ profile: Profile; vault: Vault }>
      openVault: (
        password: string,
        vaultId: string,
        service: Service,
        atLeast: string,
      ) => Promise<{ revision: string; vault: Vault }>
    }
    interface Changers {
      changePassword: (profile: Profile, next: Login, store: StateStore, send: Send) => Promise<string>
      reset: (
        record: Uint8Array,
        admin: Keyset,
        next: string,
        account: Names,
        pin: string,
        send: Send,
      ) => Promise<{ pin: string; revision: string }>
    }
    interface Server {
      logIn: (user: string, credential: string) => Promise<boolean>
      setPassword: (user: string, record: Uint8Array, credential: string) => Promise<void>
      state: (user: string, request: Request) => Promise<Response>
    }
    const { signUp, openVault } = await run<Openers>(6)
    const client = await run<Changers>(7)
    const { serviceOf } = await run<{ serviceOf: (database: StateStore) => Server }>(8)
    const account = { realm: 'com.example.backup', user: 'user-4711' }
    const [user, server] = ['17', serviceOf(memoryStateStore())]
    const store = httpStateStore('https://service.example/state', {
      fetch: async (...request) => server.state(user, new Request(...request)),
    })
    const service: Service = async (credential, record) => {
      if (record !== undefined) await server.setPassword(user, record, credential)
      else if (!(await server.logIn(user, credential))) throw new Error('unknown credential')
      return store
    }
    const admin = await createKeyset('admin', { costs: CHEAP })
    const signedUp = await signUp(PASSWORD, admin.card(), service)
    const { revision, identity } = signedUp.profile
    const vaultId = signedUp.vault.id
    const block = await signedUp.vault.seal(Buffer.from('my file'))
    const opened = await openVault(PASSWORD, vaultId, service, revision)
    expect(opened.revision).toBe(revision)
    expect(Buffer.from(await opened.vault.open(block)).toString()).toBe('my file')
    await expect(openVault('wrong', vaultId, service, revision)).rejects.toThrow('unknown credential')
    await expect(openVault(PASSWORD, vaultId, service, String(Number(revision) + 1))).rejects.toHaveProperty(
      'code',
      'rollback',
    )

    const send: Send = (record, credential) => server.setPassword(user, record, credential)
    const profile = await loadProfile(store, await deriveLogin(PASSWORD, account))
    const nextLogin = await deriveLogin('next', account)
    expect(await client.changePassword(profile, nextLogin, store, send)).toBe(String(Number(revision) + 1))
    const late = client.changePassword(profile, await deriveLogin('later', account), store, send)
    await expect(late).rejects.toHaveProperty('code', 'conflict')
    await expect(openVault(PASSWORD, vaultId, service, revision)).rejects.toThrow('unknown credential')

    const stored = (await store.read('profile'))!
    const sendAndStore: Send = async (record, credential) => {
      await send(record, credential)
      expect(await store.write('profile', stored.version + 1, record)).toBe(true)
    }
    const reset = await client.reset(stored.bytes, admin, 'reset', account, identity, sendAndStore)
    const again = await openVault('reset', vaultId, service, reset.revision)
    expect(Buffer.from(await again.vault.open(block)).toString()).toBe('my file')
    expect(parseProfile((await store.read('profile'))!.bytes).identity).toBe(reset.pin)
  })

  it('seals and opens as a client', async () => {
    const log = vi.spyOn(console, 'log').mockReturnValue()
    await run(9)
    expect(log).toHaveBeenCalledExactlyOnceWith('my file')
    log.mockRestore()
  })

  it('installs a client, and accepts it on the server', async () => {
    interface Names {
      account: string
      name: string
    }
    interface Installing {
      install: (
        options: ClientOptions,
        deviceKey: Uint8Array,
        challenge: Uint8Array,
      ) => Promise<{ enrolment: Uint8Array; saved: Uint8Array }>
      start: (
        saved: Uint8Array,
        deviceKey: Uint8Array,
        names: Names,
        sealedText: Uint8Array,
      ) => Promise<{ client: Client; password: string }>
    }
    interface Serving {
      createServer: (store: RegistryStore) => {
        enrol: (enrolment: Uint8Array, account: string) => Promise<unknown>
        challenge: () => Promise<Uint8Array>
        connect: (proof: Uint8Array) => Promise<Connection>
        committed: (connection: Connection) => Promise<void>
        remove: (account: string, name: string) => Promise<boolean>
      }
    }
    const [{ install, start }, { createServer }] = [await run<Installing>(10), await run<Serving>(11)]
    const [device, server] = [createDeviceKey(), createServer(memoryStateStore())]
    const deviceKey = device.exportUnprotected()
    const names = { realm: 'com.example.backup', account: 'customer-17', name: 'desktop', platform: 'linux' } as const
    const accountKey = generateTypedKey('AES-128')
    const options = () => ({ ...names, privateKey: generateTypedKey('AES-256'), accountKey })
    const { enrolment, saved } = await install(options(), deviceKey, await server.challenge())
    await server.enrol(enrolment, 'customer-17')
    const sealedText = device.sealText('of the nas', { table: 'source', row: 'nas', column: 'password', version: 1 })
    const { client, password } = await start(saved, deviceKey, names, sealedText)
    expect(password).toBe('of the nas')
    const swapped = start(saved, deviceKey, { ...names, name: 'laptop' }, sealedText)
    await expect(swapped).rejects.toMatchObject({ code: 'policy', detail: { rule: 'expected-handle' } })
    const elsewhere = device.sealText('of the nas', { table: 'source', row: 'pc', column: 'password', version: 1 })
    await expect(start(saved, deviceKey, names, elsewhere)).rejects.toHaveProperty('code', 'authentication-failed')

    const prove = async (by: Client) => server.connect(by.prove(await server.challenge(), { server: 'storage-1' }))
    const connection = await prove(client)
    expect(connection.state).toBe('provisional')
    await server.committed(connection)
    expect((await prove(client)).state).toBe('locked')
    const another = await install(options(), deviceKey, await server.challenge())
    const other = openSavedClient(another.saved, device, names)
    await expect(prove(other)).rejects.toHaveProperty('code', 'key-changed')
    expect(await server.remove('customer-17', 'desktop')).toBe(true)
    await expect(prove(client)).rejects.toHaveProperty('code', 'key-not-found')
  })

  it('requires the account key of every client after one client has enrolled with it', async () => {
    const registry = openKeyRegistry(memoryStateStore(), { realm: 'tests', server: 'storage-1' })
    const names = { realm: 'tests', account: 'customer-17', platform: 'linux' } as const
    const connect = (by: Client) => connectTo(registry, by)
    const accountKey = generateTypedKey('AES-128')
    const first = await deriveClient({ ...names, name: 'first', privateKey: generateTypedKey('AES-256') })
    const keys = { privateKey: generateTypedKey('AES-256'), accountKey }
    const second = await deriveClient({ ...names, name: 'second', ...keys })
    await enrolIn(registry, first)
    expect((await connect(first)).name).toBe('first')
    await enrolIn(registry, second)
    await expect(connect(first)).rejects.toHaveProperty('code', 'account-key-required')
    expect((await connect(await first.withAccountKey(accountKey))).name).toBe('first')
    const capitals = await deriveClient({ ...names, account: 'Customer-17', name: 'second', ...keys })
    await expect(connect(capitals)).rejects.toHaveProperty('code', 'key-not-found')
  })

  it('restores a client from its registration file', async () => {
    const { safeguard, buildForCustomer, becomeClient } = await run<{
      safeguard: (client: Client, registry: KeyRegistry, account: string) => Promise<string>
      buildForCustomer: (
        registry: KeyRegistry,
        provider: Keyset,
        of: { account: string; name: string },
      ) => Promise<Uint8Array>
      becomeClient: (
        file: Uint8Array,
        card: Card,
        code: string,
        account: string,
      ) => { client: Client; prove: (challenge: Uint8Array) => Uint8Array }
    }>(12)
    const names = { realm: 'com.example.backup', account: 'customer-17', name: 'desktop', platform: 'linux' } as const
    const client = await deriveClient({ ...names, privateKey: generateTypedKey('AES-256') })
    const server = { realm: 'com.example.backup', server: 'storage-1', safeguarding: 'mandatory' } as const
    const registry = openKeyRegistry(memoryStateStore(), server)
    await enrolIn(registry, client)
    const earlier = (await safeguard(client, registry, 'customer-17')).split(',')[0]!
    const paper = await safeguard(client, registry, 'customer-17')
    expect(paper).toMatch(/^(\w{5}-){5}\w{5}, deposited \d{4}-/)
    const code = paper.split(',')[0]!
    const provider = await createKeyset(PASSWORD, { costs: CHEAP })
    const card = provider.card()
    const file = await buildForCustomer(registry, provider, names)
    const block = await client.scope('private').seal(Buffer.from('my file'))
    for (const each of [file, armRegistration(file, code)]) {
      const back = becomeClient(each, card, code.toLowerCase(), 'customer-17')
      expect(Buffer.from(await back.client.open(block)).toString()).toBe('my file')
      expect(await registry.connect(back.prove(await registry.challenge()))).toMatchObject({ safeguarded: true })
    }
    const failures = [
      [earlier, 'customer-17', 'authentication-failed'],
      ['typed wrongly', 'customer-17', 'invalid-text'],
      [code, 'customer-18', 'policy'],
    ] as const
    for (const [typed, account, expected] of failures) {
      expect(() => becomeClient(file, card, typed, account)).toThrow(expect.objectContaining({ code: expected }))
    }
  })

  it('moves data from DES to AES', async () => {
    type Keep = (old: string, block: SealedBlock) => Promise<void>
    const { moveToAes } = await run<{
      moveToAes: (key: string, blocks: AsyncIterable<SealedBlock>, modern: Client, keep: Keep) => Promise<void>
    }>(13)
    const names = { realm: 'com.example.backup', account: 'customer-17', platform: 'linux' } as const
    const key = { type: 'DES-56', text: 'asigra56' } as const
    const [old, modern] = await Promise.all([
      deriveLegacyClient({ ...names, name: 'old', privateKey: key, dangerouslyAllowDes: true }),
      deriveClient({ ...names, name: 'new', privateKey: generateTypedKey('AES-256') }),
    ])
    const stored = await Promise.all(['one', 'two'].map((text) => old.scope('private').seal(Buffer.from(text))))
    const blocks = async function* () {
      yield* stored
    }
    const moved: Map<string, SealedBlock> = new Map()
    await moveToAes('asigra56', blocks(), modern, async (label, block) => void moved.set(label, block))
    const texts = await Promise.all(stored.map(({ label }) => modern.open(moved.get(label)!)))
    expect(texts.map((text) => Buffer.from(text).toString())).toEqual(['one', 'two'])
    // The sizes that the docstring of BlockHead.envelope gives.
    const open = await modern.scope('public').seal(Buffer.from('three'))
    const lengths = [stored[0]!, moved.get(stored[0]!.label)!, open].map(({ envelope }) => envelope.length)
    expect(lengths).toEqual([88, 112, 49])
  })

  it('seals and rekeys in threads', async () => {
    const { sealFile, rekeyInThreads } = await run<{
      sealFile: (file: ReadableStream<Uint8Array>, writer: KeysetWriter, blocks: Blocks) => Promise<string[]>
      rekeyInThreads: (next: Keyset, blocks: Blocks) => Promise<number>
    }>(14)
    const keyset = await createKeyset(PASSWORD, { costs: CHEAP })
    const blocks = blocksIn(memoryBlobStore())
    const [first] = await sealFile(new Blob(['one']).stream(), openWriter(keyset.export('host')), blocks)
    await sealFile(new Blob(['two']).stream(), openWriter(keyset.export('host')), blocks)
    expect(Buffer.concat(await all(openFrom(blocks, keyset, [first!]))).toString()).toBe('one')
    const next = keyset.regenerate()
    expect(await rekeyInThreads(next, blocks)).toBe(2)
    expect((await all(blocks.heads())).every(({ envelope }) => next.isCurrent(envelope))).toBe(true)
    expect(await rekeyInThreads(next, blocks)).toBe(0)
  })

  it('keeps keys and blocks in stores, and puts them under new key pairs', async () => {
    const { backUpInto, newKeyPairs } = await run<{
      backUpInto: (
        state: StateStore,
        blobs: BlobStore,
        file: ReadableStream<Uint8Array>,
        writer: KeysetWriter,
      ) => Promise<string[]>
      newKeyPairs: (state: StateStore, blobs: BlobStore, password: string, atLeast: string) => Promise<Keyset>
    }>(15)
    const [state, blobs] = [memoryStateStore(), memoryBlobStore()]
    const keyset = await createKeyset(PASSWORD, { costs: CHEAP })
    await saveKeyset(state, keyset)
    const writer = openWriter(keyset.export('host'))
    const file = () => new Blob(['a file']).stream()
    const refs = await backUpInto(state, blobs, file(), writer)
    expect(await backUpInto(state, blobs, file(), writer)).toEqual(refs)

    const position = await openLog(state, 'backups', writer).append(Buffer.from(refs[0]!))
    const last = await newKeyPairs(state, blobs, PASSWORD, position)
    expect(last.retired).toBe(0)
    expect((await openLog(state, 'backups', last).last({ atLeast: position }))?.position).toBe(position)
    expect(Buffer.concat(await all(openFrom(blocksIn(blobs), last, refs))).toString()).toBe('a file')
    await failure(() => all(openFrom(blocksIn(blobs), keyset, refs)), 'key-not-found')
    await failure(() => backUpInto(state, blobs, file(), writer), 'stale-export')
    expect(await backUpInto(state, blobs, file(), openWriter(last.export('host')))).toEqual(refs)
  })

  it('opens a keyset by the code on its sheet', async () => {
    const { addSheet, recover } = await run<{
      addSheet: (store: StateStore, keyset: Keyset) => Promise<string>
      recover: (store: StateStore, typed: string, password: string) => Promise<Keyset>
    }>(16)
    const store = memoryStateStore()
    const keyset = await createKeyset(PASSWORD, { costs: CHEAP })
    await saveKeyset(store, keyset)
    const html = await addSheet(store, keyset)
    expect(html).toContain(keyset.revision)
    const typed = [...html.matchAll(/<li>(\w{5})<\/li>/g)].map(([, group]) => group!.toLowerCase()).join(' ')
    const changed = await recover(store, typed, 'remembered')
    using loaded = await loadKeyset(store, 'remembered', { atLeast: changed.revision })
    expect(loaded.id).toBe(keyset.id)
  })

  it('handles each error code', async () => {
    const { unlock } = await run<{ unlock: (stored: Uint8Array, password: string, last: string) => Promise<unknown> }>(
      17,
    )
    const keyset = await createKeyset(PASSWORD, { costs: CHEAP })
    const stored = keyset.export('storage')
    expect(await unlock(stored, PASSWORD, keyset.revision)).toHaveProperty('revision', keyset.revision)
    expect(await unlock(stored, 'wrong', keyset.revision)).toBe('ask again')
    expect(await unlock(stored, PASSWORD, keyset.regenerate().revision)).toMatch('old keyset')
    expect(await unlock(keyset.regenerate().export('storage'), PASSWORD, keyset.regenerate().revision)).toMatch('adopt')
    expect(await unlock(stored.subarray(1), PASSWORD, keyset.revision)).toMatch('damaged')
  })
})
