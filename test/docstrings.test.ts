// Every export of the entries below has an example in its docstring. Each example type-checks, runs, and prints
// what its comments say.
import {
  createKeyset,
  encodeBlock,
  type Keyset,
  type KeysetWriter,
  openLog,
  openWriter,
  saveKeyset,
  type SealedBlock,
  type SealedContent,
  type SealedRecord,
  unlockKeyset,
} from '../src/index.ts'
import { type Client, deriveClient, generateTypedKey, parseRegistration } from '../src/client.ts'
import { deriveLegacyClient } from '../src/legacy.ts'
import {
  addSlot,
  armor,
  dearmor,
  deriveRecoveryKey,
  generateRecoveryCode,
  listSlots,
  type Slot,
} from '../src/recovery.ts'
import { delegate, type Delegation, openDelegation } from '../src/fleet.ts'
import { type KeyRegistry, openKeyRegistry, saveCredential } from '../src/server.ts'
import { createDeviceKey, type Place } from '../src/device.ts'
import { blocksIn, memoryBlobStore, memoryStateStore, type StateStore } from '../src/stores.ts'
import { stateStoreLaws } from '../src/stores/contract.ts'
import { folderStateStore } from '../src/stores/folder.ts'
import { createProfile, deriveLogin, type Login, openProfile, type Vault } from '../src/vault.ts'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { format } from 'node:util'
import * as bcrypt from 'bcryptjs'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Backend } from '../src/primitives/backend.ts'
import { useBackend } from '../src/primitives/choice.ts'
import { loginName } from '../src/state/name.ts'
import { parseProfileRecord } from '../src/vault/profile-record.ts'
import { all, backends, failure, hex, PASSWORD } from './fixtures.ts'
import { createPool } from './pool/source-pool.ts'
import { errorsIn, programOf } from './type-check.ts'

const folder = join(import.meta.dirname, '.docstrings')
const adapters = ['contract', 'folder', 'http', 'indexeddb', 'postgres', 's3'].map((name) => `stores/${name}`)
const entries = [
  'index',
  'vault',
  'client',
  'device',
  'server',
  'legacy',
  'pool',
  'recovery',
  'fleet',
  'stores',
  ...adapters,
].map((name) => join(import.meta.dirname, `../src/${name}.ts`))

interface Example {
  readonly name: string
  readonly code: string
  readonly path: string
  /** The names of the values and of the functions that it declares. */
  readonly declared: readonly string[]
  readonly functions: readonly string[]
}

const program = programOf(entries)
const checker = program.getTypeChecker()
const exported = new Set(
  entries
    .flatMap((path) => checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(path)!)!))
    .map((symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol)),
)
const textsOf = (symbol: ts.Symbol): string[] =>
  symbol
    .getJsDocTags(checker)
    .filter(({ name }) => name === 'example')
    .map(({ text }) => ts.displayPartsToString(text))
const examples = [...exported]
  .flatMap((symbol) => textsOf(symbol).map((text) => ({ name: symbol.name, text })))
  .map(({ name, text }, index): Example => {
    const code = /^```ts\n(.*)\n```$/s.exec(text)?.[1] ?? text
    return { name, code, path: join(folder, `${name}-${index}.ts`), ...declarationsIn(code) }
  })

/** Returns what an example declares. A variable declared by `using` is left out: it stays private to its module. */
function declarationsIn(code: string): Pick<Example, 'declared' | 'functions'> {
  const declared: string[] = []
  const functions: string[] = []
  for (const statement of ts.createSourceFile('', code, ts.ScriptTarget.Latest).statements) {
    if (ts.isFunctionDeclaration(statement)) functions.push(statement.name!.text)
    if (!ts.isVariableStatement(statement) || statement.declarationList.flags & ts.NodeFlags.Using) continue
    for (const { name, initializer } of statement.declarationList.declarations) {
      if (!ts.isIdentifier(name)) continue
      const isFunction = initializer !== undefined && ts.isArrowFunction(initializer)
      ;(isFunction ? functions : declared).push(name.text)
    }
  }
  return { declared, functions }
}

// Password hashes always use the costs of the self-test, so that its known answers stay correct.
const [chosen] = backends as [Backend]
useBackend({
  ...chosen,
  argon2id: (password, salt, _costs, length, wait) =>
    chosen.argon2id(password, salt, { iterations: 2, memoryKiB: 256, lanes: 1 }, length, wait),
  pbkdf2Sha512: (password, salt, _iterations, length, wait) => chosen.pbkdf2Sha512(password, salt, 2, length, wait),
})

const content = new TextEncoder().encode('my file')

const keyset = await createKeyset(PASSWORD)
const writer = openWriter(keyset.export('host'))
const block = await writer.seal(content)
const stored = encodeBlock(block)
const record = await writer.sealRecord(content, { log: 'backups', after: 'start' })
const regenerated = keyset.regenerate()
const logs = memoryStateStore()
const position = await openLog(logs, 'backups', keyset).append(content)
const card = keyset.card()

const { keyset: sharing, share } = keyset.createShare()
const recipient = await createKeyset('of somebody else')
const shared = recipient.acceptShare(share.invite(recipient.card()), card)

const user = { realm: 'com.example.backup', user: 'user-4711' }
const login = await deriveLogin(PASSWORD, user)
const next = await deriveLogin('next', user)
const first = createProfile(login, { admin: card })
const vaults = memoryStateStore()
await saveCredential(vaults, first.record, login.credential, { cost: 10 })
const { profile, vault } = await first.createVault(vaults)
/** Returns another store with the same profile, its keyring and its verifier, behind a prefix. */
async function copyOfVaults(prefix: string): Promise<StateStore> {
  const copy = memoryStateStore()
  for (const name of [
    'profile',
    `keyring/${vault.id}`,
    loginName(hex(parseProfileRecord(profile.record).header.keyId)),
  ]) {
    await copy.write(prefix + name, 1, (await vaults.read(name))!.bytes)
  }
  return copy
}
const unsaved = createProfile(login, { zeroTrust: true })

const names = { realm: 'com.example.backup', account: 'customer-17', name: 'nas' }
const client = await deriveClient({ ...names, platform: 'linux', privateKey: generateTypedKey('AES-256') })
const desktop = await deriveClient({
  ...names,
  name: 'desktop',
  platform: 'linux',
  privateKey: generateTypedKey('AES-256'),
})
const registry = openKeyRegistry(memoryStateStore(), {
  realm: names.realm,
  server: 'storage-1',
  safeguarding: 'optional',
})
const own = { server: 'storage-1' }
await registry.enrol(client.enrolment(await registry.challenge(), own), { account: 'customer-17' })
const { escrow, activationCode } = client.safeguard()
await registry.safeguard(escrow, { account: 'customer-17' })
const registration = await registry.buildRegistration({ account: 'customer-17', name: 'nas' }, keyset, {
  expires: new Date(Date.now() + 60_000),
})
const legacy = { ...names, platform: 'linux', privateKey: { type: 'DES-56', text: 'asigra56' } } as const
const old = await deriveLegacyClient({ ...legacy, dangerouslyAllowDes: true })

const [device, spare] = [createDeviceKey(), createDeviceKey()]
const pool = createPool()
const state = memoryStateStore()
await saveKeyset(state, regenerated)
const blobs = memoryBlobStore()
const inStore = blocksIn(blobs)
await inStore.put(block)
const withBlock = blocksIn(memoryBlobStore())
const forSharing = blocksIn(memoryBlobStore())
for (const each of [withBlock, forSharing]) await each.put(block)
const delegation = delegate(regenerated, card, { until: new Date(Date.now() + 60_000) })
const delegator = openDelegation(delegation, keyset, { from: regenerated.card() })
const recoveryCode = generateRecoveryCode()
async function storeWith(stored: Keyset): Promise<StateStore> {
  const store = memoryStateStore()
  await saveKeyset(store, stored)
  return store
}
/** Returns a store with the keyset, and with a slot for the code. */
async function storeWithSlot(): Promise<StateStore> {
  const store = await storeWith(keyset)
  using key = await deriveRecoveryKey({ code: recoveryCode })
  await addSlot(store, keyset, key, { label: 'Sheet' })
  return store
}
const withSlots = await storeWithSlot()
const placeInFolder = mkdtempSync(join(tmpdir(), 'keystrata-docstrings-'))
await saveKeyset(folderStateStore(placeInFolder), keyset)

/** The arguments of an example's function, the expected result, and a step that converts the result for comparison. */
type Call = readonly [given: readonly unknown[], expected: unknown, follow?: (given: never) => unknown]

const calls: Readonly<Record<string, Call>> = {
  checkTypedKey: [
    [{ type: 'AES-128', text: generateTypedKey('AES-128').text.toLowerCase() }],
    'This looks like a generated key with a typing mistake. Compare it with your paper.',
  ],
  StateStore: [['keyset', state], expect.any(Number)],
  BlobStore: [[blobs], 55],
  Blocks: [[content, writer, inStore], block.label],
  SharedBlocks: [[block.label, shared, inStore], undefined],
  RetiredCheck: [
    [state, regenerated, { keyset: regenerated.id, revision: regenerated.revision, heads: 0 }],
    0,
    ({ retired }: Keyset) => retired,
  ],
  Law: [[stateStoreLaws(memoryStateStore)], []],
  indexedDbStateStore: [[PASSWORD], new TypeError('this runtime has no IndexedDB: use another store')],
  indexedDbBlobStore: [[block.label], new TypeError('this runtime has no IndexedDB: use another store')],
  folderStateStore: [[placeInFolder, PASSWORD], keyset.id, ({ id }: Keyset) => id],
  folderBlobStore: [[placeInFolder, block.label], false],
  postgresStateStore: [['postgres://localhost/none'], 'function', (store: StateStore) => typeof store.write],
  serveStateStore: [
    [state, () => 'user-1'],
    204,
    async (handle: (request: Request) => Promise<Response>) =>
      (await handle(new Request('https://backup.example/state/_/keyset'))).status,
  ],
  BlockHead: [[block, regenerated], content, (rekeyed: SealedBlock) => regenerated.open(rekeyed)],
  StoredBlock: [[block], stored.length],
  SealedBlock: [[block, new Map()], stored, (files: Map<string, Uint8Array>) => files.get(block.label)],
  SealOptions: [[openWriter(sharing.export('host'))], { shares: [share.id] }],
  BlockWriter: [[content, writer], block.label],
  PreparedBlock: [[await writer.prepare(content), new Set()], content, (sealed: SealedBlock) => keyset.open(sealed)],
  BlockReader: [[block, keyset], 'my file'],
  parseBlock: [[block.label, async () => stored, keyset], content],
  SealedRecord: [[record], 'records/1'],
  RecordPlace: [[record.record], { log: 'backups', after: record.record }],
  LogWriter: [['a note', openLog(memoryStateStore(), 'notes', writer)], expect.stringMatching(/^1-[\da-f]{32}$/)],
  LogReader: [[openLog(memoryStateStore(), 'empty', keyset)], undefined],
  Log: [[openLog(logs, 'backups', regenerated), position], position],
  Pack: [[await keyset.pack([content])], content],
  Keys: [[content, keyset, inStore, memoryStateStore()], expect.stringMatching(/^1-/)],
  armRegistration: [
    [registration, activationCode],
    true,
    (armed: Uint8Array) => parseRegistration(armed, { provider: card }).armed,
  ],
  Client: [
    [client, await registry.challenge(), (proof: Uint8Array) => registry.connect(proof)],
    expect.objectContaining({ name: 'nas', safeguarded: true }),
  ],
  DeviceKey: [[keyset, device], keyset.id, (opened: Keyset) => opened.id],
  Keyset: [
    [keyset, 'next'],
    keyset.id,
    async ({ storage }: { storage: Uint8Array }) => (await unlockKeyset(storage, 'next')).id,
  ],
  RecordWriter: [['a line', writer, record.record], '2', ({ position }: SealedRecord) => position.split('-')[0]],
  RecordReader: [[record.record, 'start', keyset], record.position],
  Encryption: [[true], 'x25519'],
  WriterOptions: [[keyset.export('host')], keyset.id, ({ id }: KeysetWriter) => id],
  KeysetWriter: [[block.envelope, openWriter(regenerated.export('host'))], true],
  Profile: [[profile, vaults], '4'],
  ProfileFacts: [[profile], `identity ${profile.identity}`],
  saveProfile: [[memoryStateStore(), unsaved], '1'],
  loadRecord: [[await copyOfVaults(''), profile], true],
  restoreProfile: [[await copyOfVaults(''), profile.record, login], '3'],
  resetProfile: [
    [profile.record, keyset, next, profile.identity],
    { vaults: profile.vaults, isPinned: true },
    ({ record, pin }: { record: Uint8Array; pin: string }) => {
      const { vaults, identity } = openProfile(record, next)
      return { vaults, isPinned: identity === pin }
    },
  ],
  guardProfiles: [
    [await copyOfVaults('user/4711/'), '4711', new Request('https://backup.example/state/_/profile')],
    200,
    ({ status }: Response) => status,
  ],
  saveCredential: [[memoryStateStore(), unsaved.record, login.credential], true],
  verifyCredential: [[await copyOfVaults('user/4711/'), '4711', login.credential], 200],
  Bcrypt: [[bcrypt, vaults, login.credential], true],
  Recovery: [[card.bytes, card.fingerprint], { admin: card }],
  RegistrationFacts: [
    [parseRegistration(registration, { provider: card })],
    expect.stringMatching(/of nas, deposited 20.*Z:$/),
  ],
  parseRegistration: [[registration, card], false],
  openRegistration: [[registration, card, activationCode], 'nas', (opened: Client) => opened.name],
  Share: [
    [[block], share],
    content,
    ([head]: [{ label: string; envelope: Uint8Array }]) => shared.open({ ...block, ...head }),
  ],
  SharedReader: [[stored, block.label, share.add(block), shared], content],
  Vault: [[profile, vaults], [vault.id], (opened: Vault[]) => opened.map(({ id }) => id)],
  Card: [[card], expect.stringContaining(card.fingerprint)],
  Place: [
    ['a text', { table: 'source', row: 'nas', column: 'password', version: 1 }, device],
    ['a text', 2],
    ({ place, sealed }: { place: Place; sealed: Uint8Array }) => [device.openText(sealed, place), place.version],
  ],
  Login: [[login], JSON.stringify({ user: 'user-4711', credential: login.credential })],
  TypedKey: [['typed'], { type: 'AES-256', text: 'typed' }],
  // The inputs and the answer are those of the self-test.
  Argon2: [
    [
      ...['password', 'somesalt'].map((text) => new TextEncoder().encode(text)),
      { iterations: 2, memoryKiB: 256, lanes: 1 },
      32,
    ],
    '9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe',
    hex,
  ],
  Handle: [[[spare]], 'disposed', async () => (await failure(() => spare.exportUnprotected(), 'disposed')).code],
  Connection: [[{ ...names, state: 'provisional', safeguarded: false, key: '' }], true],
  KeyRegistry: [
    [registry, client.enrolment(await registry.challenge(), own), 'customer-17'],
    expect.any(Uint8Array),
    (challenge: Uint8Array) => client.prove(challenge, own),
  ],
  LegacyKey: [['asigra56'], legacy.privateKey],
  deriveLegacyClient: [[await old.scope('private').seal(content), legacy.privateKey.text], content],
  RecoveryKey: [
    [withSlots, keyset, await deriveRecoveryKey({ code: generateRecoveryCode() })],
    'Sheet in the safe',
    ({ label }: Slot) => label,
  ],
  Slot: [[(await listSlots(withSlots))[0]], expect.stringMatching(/^Sheet \(code, 20/)],
  addSlot: [[withSlots, keyset, generateRecoveryCode()], 'Sheet in the safe', ({ label }: Slot) => label],
  removeSlot: [[withSlots, keyset, 'no such label'], undefined],
  renewSlots: [
    [await storeWithSlot(), keyset, 'next'],
    [true],
    (slots: readonly Slot[]) => slots.map(({ isCurrent }) => isCurrent),
  ],
  recoverKeyset: [[withSlots, recoveryCode], keyset.id, ({ id }: Keyset) => id],
  testSlot: [[withSlots, recoveryCode], 'Sheet opens the keyset'],
  Delegation: [
    [await storeWith(regenerated), blocksIn(memoryBlobStore()), delegator, ''],
    { rekeyed: 0, current: 0, failed: [] },
  ],
  delegate: [[card, await storeWith(keyset), keyset], 21, (given: Uint8Array) => given[5]],
  openDelegation: [
    [delegation, keyset, regenerated.card()],
    regenerated.revision,
    ({ revision }: Delegation) => revision,
  ],
  armor: [[keyset], card.bytes, dearmor],
  dearmor: [[armor(card.bytes), card.fingerprint], card],
  openKeyRegistry: [[memoryStateStore()], expect.any(Uint8Array), (opened: KeyRegistry) => opened.challenge()],
  openSavedLogin: [[login.save(device), device], 'user-4711', ({ user }: Login) => user],
  openSavedClient: [[desktop.save(device), device], 'desktop', ({ name }: Client) => name],
  Rekeyer: [[block, keyset], block.envelope],
  SealedContent: [[{ ref: block.label, size: 7, isNew: true }], `${block.label} 7 new`],
  Ahead: [[inStore, keyset, [block.label]], [content], (opened: AsyncGenerator<Uint8Array>) => all(opened)],
  Each: [[[1, 2, 3]], 3],
  labelOf: [[withBlock, []], 0, async () => (await all(withBlock.heads())).length],
  openFrom: [[[block.label], inStore, keyset, async () => undefined], undefined],
  verifyBlocks: [[[block.label], inStore, keyset], undefined],
  shareFrom: [[[block.label], share, forSharing, memoryStateStore()], undefined],
  packInto: [[[content], keyset, forSharing], [expect.stringMatching(/^[\da-f]{64}\.k\.0\./)]],
  StoredHead: [[{ ...block, hash: 'ab', size: 3 }], 'data/ab'],
  BlockProblem: [[{ label: block.label, problem: 'missing' }], `${block.label}: missing`],
  Pool: [
    [inStore, keyset, new Blob([content]).stream(), pool],
    [block.label],
    async (sealed: AsyncGenerator<SealedContent>) => (await all(sealed)).map(({ ref }) => ref),
  ],
}

beforeAll(() => {
  mkdirSync(folder, { recursive: true })
  for (const { code, path, declared, functions } of examples)
    writeFileSync(path, `${code}\nexport { ${[...declared, ...functions].join(', ')} }\n`)
})
afterAll(async () => {
  useBackend(undefined)
  rmSync(folder, { recursive: true })
  rmSync(placeInFolder, { recursive: true })
  await pool.close()
})

describe('docstrings', () => {
  it('have an example for every function and class', () => {
    expect(exported.size).toBeGreaterThan(70)
    const values = [...exported].filter((symbol) => symbol.flags & ts.SymbolFlags.Value)
    const without = values.filter((symbol) => textsOf(symbol).length === 0)
    expect(without.map(({ name }) => name)).toEqual([])
  })

  it('have short examples that name the export they belong to', () => {
    for (const { name, code } of examples) {
      expect(code.split('\n').filter((line) => line !== '').length, name).toBeLessThanOrEqual(7)
      expect(code, name).toMatch(/ from 'keystrata/)
      expect(code, name).toMatch(new RegExp(`\\b${name}\\b`))
    }
  })

  it('have examples that type-check', () => {
    const paths = examples.map(({ path }) => path)
    expect(errorsIn(programOf(paths, program), paths)).toEqual([])
  })

  it('have every function of an example called by this test', () => {
    const called = examples.filter(({ functions }) => functions.length > 0)
    expect(called.map(({ name }) => name).sort()).toEqual(Object.keys(calls).sort())
  })

  it.each(examples)(
    'have an example of $name that runs and prints what its comments say',
    async ({ name, code, path, functions }) => {
      const printed: string[] = []
      const log = vi.spyOn(console, 'log').mockImplementation((...given) => void printed.push(format(...given)))
      try {
        const module = (await import(path)) as Readonly<Record<string, (...given: readonly unknown[]) => unknown>>
        for (const each of functions) {
          const [given, expected, follow = (result: unknown) => result] = calls[name]!
          const called = Promise.resolve(module[each]!(...given))
          const result = await (expected instanceof Error ? called.catch((error: unknown) => error) : called)
          expect(await follow(result as never)).toEqual(expected)
        }
      } finally {
        log.mockRestore()
      }
      expect(printed).toEqual([...code.matchAll(/console\.log\(.*\) \/\/ (.*)$/gm)].map((match) => match[1]))
    },
  )
})
