// Every example of the README type-checks and runs.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  type BlockHead,
  type Card,
  type Client,
  createClient,
  createDeviceKey,
  createKeyset,
  deriveLogin,
  generateTypedKey,
  type KeysetReader,
  type KeysetWriter,
  openProfile,
  type SealedBlock,
  type TypedKey,
  type UnlockedProfile,
  type Vault,
  type VaultStore,
} from '../src/index.ts'
import { createLegacyClient } from '../src/legacy.ts'
import { createVerifier, KeyRegistry, type RegistryStore, verifyLogin } from '../src/server.ts'
import { useBackend } from '../src/primitives/backend.ts'
import { CHEAP, MemoryRegistryStore, MemoryVaultStore, PASSWORD, quick } from './fixtures.ts'

const root = join(import.meta.dirname, '..')
const folder = join(import.meta.dirname, '.readme')
const examples = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/```ts\n(.*?)```/gs)].map(
  (match) => match[1]!,
)
// What an example declares, so that it can be called.
const exported = [
  '',
  'export { backUp, restore }',
  'export { rekeyAll }',
  'export { share, openShared }',
  'export { signUp, openVault }',
  'export { changePassword }',
  'export { install, backUp }',
  'export { createServer }',
  'export { safeguard, recover }',
  'export { moveToAes }',
  'export { sealAll, rekeyInThreads }',
  'export { unlock }',
]
const paths = examples.map((_, index) => join(folder, `${index}.ts`))

beforeAll(() => {
  // Examples have the default costs.
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
  it('has twelve examples, each of at most twelve lines of code or so', () => {
    expect(examples).toHaveLength(12)
    for (const code of examples) expect(code.split('\n').filter((line) => line !== '').length).toBeLessThanOrEqual(16)
  })

  it('type-checks', () => {
    const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
      config: object
    }
    const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
    const program = ts.createProgram(paths, { ...options, isolatedDeclarations: false, declaration: false })
    const messages = ts
      .getPreEmitDiagnostics(program)
      .map((each) => ts.flattenDiagnosticMessageText(each.messageText, '\n'))
    expect(messages).toEqual([])
  })

  it('seals and opens', async () => {
    const log = vi.spyOn(console, 'log').mockReturnValue()
    await run(0)
    expect(log).toHaveBeenCalledExactlyOnceWith('my file')
    log.mockRestore()
  })

  it('backs up and restores', async () => {
    const { backUp, restore } = await run<{
      backUp: (content: Uint8Array, hostExport: Uint8Array, store: Map<string, Uint8Array>) => Promise<string>
      restore: (label: string, reader: KeysetReader, store: Map<string, Uint8Array>) => Promise<Uint8Array | undefined>
    }>(1)
    const keyset = await createKeyset(PASSWORD, { costs: CHEAP })
    const store: Map<string, Uint8Array> = new Map()
    const label = await backUp(Buffer.from('content'), keyset.export('host'), store)
    expect(await backUp(Buffer.from('content'), keyset.export('host'), store)).toBe(label)
    expect(store.size).toBe(1)
    expect(Buffer.from((await restore(label, keyset, store))!).toString()).toBe('content')
    expect(await restore('0'.repeat(64), keyset, store)).toBeUndefined()
  })

  it('rekeys', async () => {
    type Replace = (head: BlockHead) => Promise<void>
    const { rekeyAll } = await run<{
      rekeyAll: (next: KeysetReader, heads: AsyncIterable<BlockHead>, replace: Replace) => Promise<KeysetReader>
    }>(2)
    const keyset = await createKeyset(PASSWORD, { costs: CHEAP })
    const stored = await Promise.all(['one', 'two'].map((text) => keyset.writer().seal(Buffer.from(text))))
    const blocks = new Map(stored.map((block) => [block.label, block]))
    const replace: Replace = async ({ label, envelope }) => {
      blocks.set(label, { ...blocks.get(label)!, envelope })
    }
    const heads = async function* () {
      yield* [...blocks.values()]
    }
    const forgotten = await rekeyAll(keyset.regenerate(), heads(), replace)
    const texts = await Promise.all([...blocks.values()].map((block) => forgotten.open(block)))
    expect(texts.map((bytes) => Buffer.from(bytes).toString())).toEqual(['one', 'two'])
    await expect(forgotten.open(stored[0]!)).rejects.toHaveProperty('code', 'key-not-found')
  })

  it('shares', async () => {
    interface Sharing {
      share: (
        owner: KeysetReader,
        head: BlockHead,
        card: Uint8Array,
        fingerprint: string,
      ) => { reader: KeysetReader; shareId: string; envelope: Uint8Array; invite: Uint8Array }
      openShared: (
        recipient: KeysetReader,
        invite: Uint8Array,
        card: Uint8Array,
        fingerprint: string,
        block: SealedBlock,
      ) => Promise<Uint8Array>
    }
    const { share, openShared } = await run<Sharing>(3)
    const [alice, bob] = [await createKeyset('alice', { costs: CHEAP }), await createKeyset('bob', { costs: CHEAP })]
    const [aliceCard, bobCard] = [alice.card(), bob.card()]
    const block = await alice.writer().seal(Buffer.from('shared'))
    const { reader, shareId, envelope, invite } = share(alice, block, bobCard.bytes, bobCard.fingerprint)
    expect(reader.shares).toEqual([shareId])
    const opened = await openShared(bob, invite, aliceCard.bytes, aliceCard.fingerprint, { ...block, envelope })
    expect(Buffer.from(opened).toString()).toBe('shared')
    expect(() => share(alice, block, aliceCard.bytes, bobCard.fingerprint)).toThrow('not the one')
  })

  it('signs up, opens the vault, changes the password', async () => {
    interface Openers {
      signUp: (
        password: string,
        admin: Card,
        api: (credential: string, record: Uint8Array) => Promise<VaultStore>,
      ) => Promise<{ profile: UnlockedProfile; vault: Vault }>
      openVault: (password: string, vaultId: string, store: VaultStore, last: number) => Promise<Vault>
    }
    const { signUp, openVault } = await run<Openers>(4)
    const store = new MemoryVaultStore()
    const admin = (await createKeyset('admin', { costs: CHEAP })).card()
    let credential = ''
    const signedUp = await signUp(PASSWORD, admin, async (sent, record) => {
      credential = sent
      await store.writeProfile(record, 1)
      return store
    })
    const { version } = signedUp.profile
    const vaultId = signedUp.vault.id
    const block = await signedUp.vault.seal(Buffer.from('my file'))
    const vault = await openVault(PASSWORD, vaultId, store, version)
    expect(Buffer.from(await vault.open(block)).toString()).toBe('my file')
    await expect(openVault('wrong', vaultId, store, version)).rejects.toHaveProperty('code', 'wrong-password')
    await expect(openVault(PASSWORD, vaultId, store, version + 1)).rejects.toHaveProperty('code', 'rollback')

    interface Stored {
      verifier: string
      record: Uint8Array
    }
    const { changePassword } = await run<{
      changePassword: (
        stored: Stored | undefined,
        credential: string,
        next: { credential: string; record: Uint8Array },
      ) => Promise<(Stored & { version: number }) | undefined>
    }>(5)
    const stored = { verifier: await createVerifier(credential), record: (await store.readProfile())! }
    const account = { realm: 'com.example.backup', user: 'user-4711' }
    const [login, nextLogin] = [await deriveLogin(PASSWORD, account), await deriveLogin('next', account)]
    const { record } = openProfile(stored.record, login).changePassword(nextLogin)
    const next = { credential: nextLogin.credential, record }
    expect(await changePassword(undefined, credential, next)).toBeUndefined()
    expect(await changePassword(stored, nextLogin.credential, next)).toBeUndefined()
    const changed = (await changePassword(stored, credential, next))!
    expect(changed.version).toBe(version + 1)
    expect(await verifyLogin(changed.verifier, nextLogin.credential)).toBe(true)
    await expect(changePassword(changed, nextLogin.credential, next)).rejects.toHaveProperty('code', 'conflict')
  })

  it('installs a client, and serves it', async () => {
    interface Installing {
      install: (
        privateKey: TypedKey,
        accountKey: TypedKey,
        deviceKey: Uint8Array,
      ) => Promise<{ enrolment: Uint8Array; saved: Uint8Array }>
      backUp: (client: Client, mine: Uint8Array, common: Uint8Array) => Promise<SealedBlock[]>
    }
    interface Serving {
      createServer: (store: RegistryStore) => {
        enrol: (enrolment: Uint8Array, account: string) => Promise<unknown>
        challenge: () => Promise<Uint8Array>
        connect: (proof: Uint8Array) => Promise<{ state: string; key: string }>
        committed: (account: string, client: string, key: string) => Promise<void>
      }
    }
    const [{ install, backUp }, { createServer }] = [await run<Installing>(6), await run<Serving>(7)]
    const [device, server] = [createDeviceKey(), createServer(new MemoryRegistryStore())]
    const accountKey = generateTypedKey('AES-128')
    const installed = () => install(generateTypedKey('AES-256'), accountKey, device.exportUnprotected())
    const { enrolment, saved } = await installed()
    await server.enrol(enrolment, 'customer-17')
    const client = device.openClient(saved)
    const prove = async (by: Client) => server.connect(by.prove(await server.challenge(), { server: 'storage-1' }))
    const { state, key } = await prove(client)
    expect(state).toBe('provisional')
    const blocks = await backUp(client, Buffer.from('mine'), Buffer.from('common'))
    await server.committed('customer-17', 'desktop', key)
    expect((await prove(client)).state).toBe('locked')
    const texts = await Promise.all(blocks.map((block) => client.open(block)))
    expect(texts.map((text) => Buffer.from(text).toString())).toEqual(['mine', 'common'])
    const other = device.openClient((await installed()).saved)
    await expect(prove(other)).rejects.toHaveProperty('code', 'key-changed')
  })

  it('brings a client back from its registration file', async () => {
    const { safeguard, recover } = await run<{
      safeguard: (client: Client, registry: KeyRegistry, account: string) => Promise<string>
      recover: (registry: KeyRegistry, provider: KeysetReader, card: Card, typed: string) => Promise<Client[]>
    }>(8)
    const names = { realm: 'com.example.backup', account: 'customer-17', client: 'desktop', platform: 'linux' } as const
    const client = await createClient({ ...names, privateKey: generateTypedKey('AES-256') })
    const server = { realm: 'com.example.backup', server: 'storage-1', safeguarding: 'mandatory' } as const
    const registry = new KeyRegistry(new MemoryRegistryStore(), server)
    await registry.enrol(client.enrolment())
    const code = await safeguard(client, registry, 'customer-17')
    expect(code).toMatch(/^(\w{5}-){5}\w{5}$/)
    const provider = await createKeyset(PASSWORD, { costs: CHEAP })
    const block = await client.scope('private').seal(Buffer.from('my file'))
    for (const back of await recover(registry, provider, provider.card(), code.toLowerCase())) {
      expect(Buffer.from(await back.open(block)).toString()).toBe('my file')
      await registry.connect(back.prove(await registry.challenge(), { server: 'storage-1' }))
    }
    await expect(recover(registry, provider, provider.card(), 'typed wrongly')).rejects.toHaveProperty(
      'code',
      'malformed',
    )
  })

  it('moves data from DES to AES', async () => {
    type Keep = (old: string, block: SealedBlock) => Promise<void>
    const { moveToAes } = await run<{
      moveToAes: (key: string, blocks: AsyncIterable<SealedBlock>, modern: Client, keep: Keep) => Promise<void>
    }>(9)
    const names = { realm: 'com.example.backup', account: 'customer-17' }
    const key = { type: 'DES-56', text: 'asigra56' } as const
    const [old, modern] = await Promise.all([
      createLegacyClient({ ...names, client: 'old', key, dangerouslyAllowDes: true }),
      createClient({ ...names, client: 'new', platform: 'linux', privateKey: generateTypedKey('AES-256') }),
    ])
    const stored = await Promise.all(['one', 'two'].map((text) => old.scope('private').seal(Buffer.from(text))))
    const blocks = async function* () {
      yield* stored
    }
    const moved: Map<string, SealedBlock> = new Map()
    await moveToAes('asigra56', blocks(), modern, async (label, block) => void moved.set(label, block))
    const texts = await Promise.all(stored.map(({ label }) => modern.open(moved.get(label)!)))
    expect(texts.map((text) => Buffer.from(text).toString())).toEqual(['one', 'two'])
  })

  it('seals and rekeys in threads', async () => {
    const { sealAll, rekeyInThreads } = await run<{
      sealAll: (writer: KeysetWriter, contents: Uint8Array[]) => Promise<SealedBlock[]>
      rekeyInThreads: (
        next: KeysetReader,
        heads: AsyncIterable<BlockHead>,
        store: (head: BlockHead) => Promise<void>,
      ) => Promise<void>
    }>(10)
    const keyset = await createKeyset(PASSWORD, { costs: CHEAP })
    const blocks = await sealAll(
      keyset.writer(),
      ['one', 'two', 'three'].map((text) => Buffer.from(text)),
    )
    const texts = await Promise.all(blocks.map((block) => keyset.open(block)))
    expect(texts.map((text) => Buffer.from(text).toString())).toEqual(['one', 'two', 'three'])
    const [next, stored] = [keyset.regenerate(), [] as BlockHead[]]
    const heads = async function* () {
      yield* blocks
    }
    await rekeyInThreads(next, heads(), async (head) => void stored.push(head))
    expect(stored.map(({ label }) => label)).toEqual(blocks.map(({ label }) => label))
    expect(stored.every(({ envelope }) => next.isCurrent(envelope))).toBe(true)
  })

  it('tells errors apart', async () => {
    const { unlock } = await run<{ unlock: (stored: Uint8Array, password: string, last: number) => Promise<unknown> }>(
      11,
    )
    const stored = (await createKeyset(PASSWORD, { costs: CHEAP })).export('source-storage')
    expect(await unlock(stored, PASSWORD, 1)).toHaveProperty('version', 1)
    expect(await unlock(stored, 'wrong', 1)).toBe('ask again')
    expect(await unlock(stored, PASSWORD, 2)).toMatch('old keyset')
    expect(await unlock(stored.subarray(1), PASSWORD, 1)).toMatch('damaged')
  })
})
