// Every function that takes options, or another small object: a misspelt name, an explicit undefined, and null.
import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { deriveClient, openRegistration, openSavedClient, parseRegistration } from '../src/client.ts'
import { createDeviceKey, openDeviceKey } from '../src/device.ts'
import {
  calibrateArgon2,
  checkRetired,
  createKeyset,
  cut,
  loadKeyset,
  openFrom,
  openLog,
  openSavedKeyset,
  openWriter,
  packInto,
  parseCard,
  rekeyBlocks,
  saveKeyset,
  sealInto,
  shareFrom,
  unlockKeyset,
  verifyBlocks,
} from '../src/index.ts'
import { delegate, openDelegation } from '../src/fleet.ts'
import { deriveLegacyClient } from '../src/legacy.ts'
import { createPool } from '../src/pool.ts'
import {
  addSlot,
  deriveRecoveryKey,
  generateRecoveryCode,
  recoverKeyset,
  recoverySheet,
  renewSlots,
  splitRecoveryCode,
} from '../src/recovery.ts'
import { openKeyRegistry, saveCredential, verifyCredential } from '../src/server.ts'
import { blocksIn, checkBlocks, memoryBlobStore, memoryStateStore } from '../src/stores.ts'
import { httpStateStore, serveStateStore } from '../src/stores/http.ts'
import { postgresSchema, postgresStateStore } from '../src/stores/postgres.ts'
import { s3BlobStore, s3StateStore } from '../src/stores/s3.ts'
import {
  createProfile,
  deriveLogin,
  loadProfile,
  openProfile,
  openSavedLogin,
  resetProfile,
  saveProfile,
} from '../src/vault.ts'
import { worker } from './pool/source-pool.ts'
import { ALICE, anywhere, atStart, CHEAP, makeKeyset, PASSWORD, quickly, sample } from './fixtures.ts'

const keyset = await makeKeyset()
const hostExport = keyset.export('host')
const writer = openWriter(hostExport)
const store = memoryStateStore()
await saveKeyset(store, keyset)
const card = keyset.card()
const login = await deriveLogin(PASSWORD, ALICE)
const profile = createProfile(login, { zeroTrust: true })
const adminProfile = createProfile(login, { admin: card })
await saveProfile(store, profile)
const friend = await makeKeyset()
const delegation = delegate(keyset, friend.card(), { until: new Date(Date.now() + 86_400_000) })
const recoveryKey = await deriveRecoveryKey({ secret: sample(32) })
const ownProfile = createProfile(login, { zeroTrust: true, recoveryKey })
const withSlots = memoryStateStore()
await saveKeyset(withSlots, keyset)
await addSlot(withSlots, keyset, recoveryKey, { label: 'x' })
await addSlot(withSlots, keyset, friend.card(), { label: 'x' })
const { profile: withVault, vault } = await profile.createVault(memoryStateStore())
const privateKey = { type: 'AES-256', text: 'a long secret' } as const
const names = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
const client = await quickly(() => deriveClient({ ...names, privateKey }))
const device = createDeviceKey()
const newRegistry = () => openKeyRegistry(memoryStateStore(), { realm: 'tests', server: 's', safeguarding: 'optional' })
const registry = newRegistry()
await registry.enrol(client.enrolment(await registry.challenge(), { server: 's' }), { account: 'acme' })
const { escrow, activationCode } = client.safeguard()
await registry.safeguard(escrow, { account: 'acme' })
const clientName = { account: 'acme', name: 'desktop' }
const registration = await registry.buildRegistration(clientName, keyset, { expires: new Date(Date.now() + 1e9) })
const log = openLog(store, 'backups', keyset)
const position = await log.append(sample(10))
const { record } = await keyset.sealRecord(sample(10), atStart)
const credentials = memoryStateStore()
await saveCredential(credentials, profile.record, login.credential, { cost: 10 })
await credentials.write('profile', 1, profile.record)
const pool = createPool({ threads: 1, worker })
const place = { table: 'sources', row: '1', column: 'password', version: 1 }
const sealedText = device.sealText('a text', place)
const blocks = blocksIn(memoryBlobStore())
const { share } = keyset.createShare()
const dbStub = { query: () => Promise.reject(new Error('not called')) }
const s3 = { client: { send: () => Promise.reject(new Error('not called')) }, bucket: 'x' }

afterAll(() => pool.close())

const none = () => new ReadableStream({ start: (controller) => controller.close() }) as AsyncIterable<never>

/** Challenges are answered once, so each call needs another. */
const challenged = async (call: (challenge: Uint8Array) => unknown) => call(await registry.challenge())

interface Row {
  /** As the messages name it. */
  what: string
  /** A call with this object. */
  call: (options: never) => unknown
  /** What is required. */
  given?: Record<string, unknown>
  /** Where `undefined` means the default. */
  defaults?: string[]
  /** What may be left out, but not be undefined. */
  strict?: string[]
}

const hashing = ['onProgress', 'signal', 'argon2']

const rows: Row[] = [
  {
    what: 'createKeyset',
    call: (o: object) => createKeyset(PASSWORD, { ...o, costs: CHEAP }),
    defaults: [...hashing, 'encryption', 'dedup', 'dedupWith'],
  },
  {
    what: 'unlockKeyset',
    call: (o: never) => unlockKeyset(hostExport, PASSWORD, o),
    defaults: [...hashing, 'costs', 'allowWeaker'],
    strict: ['atLeast'],
  },
  {
    what: 'loadKeyset',
    call: (o: never) => loadKeyset(store, PASSWORD, o),
    defaults: [...hashing, 'costs', 'allowWeaker'],
    strict: ['atLeast'],
  },
  {
    what: 'expected',
    call: (o: never) => openSavedKeyset(keyset.save(device), device, o),
    given: { id: keyset.id },
    defaults: ['allowWeaker'],
    strict: ['atLeast'],
  },
  { what: 'costs', call: (costs: never) => createKeyset(PASSWORD, { costs }), given: CHEAP },
  { what: 'costs', call: (costs: never) => unlockKeyset(hostExport, PASSWORD, { costs }), given: CHEAP },
  { what: 'costs', call: (costs: never) => keyset.changePassword(PASSWORD, { costs }), given: CHEAP },
  {
    what: 'changePassword',
    call: (o: object) => keyset.changePassword(PASSWORD, { ...o, costs: CHEAP }),
    defaults: [...hashing, 'newMaster'],
  },
  { what: 'regenerate', call: (o: never) => keyset.regenerate(o), defaults: ['encryption'] },
  { what: 'createShare', call: (o: never) => keyset.createShare(o), strict: ['to'] },
  { what: 'openWriter', call: (o: never) => openWriter(hostExport, o), defaults: ['encryption', 'dedup'] },
  { what: 'seal', call: (o: never) => keyset.seal(sample(3), o), defaults: ['shares'] },
  { what: 'seal', call: (o: never) => writer.seal(sample(3), o), defaults: ['shares'] },
  { what: 'seal', call: (o: never) => vault.seal(sample(3), o), defaults: ['shares'] },
  { what: 'seal', call: (o: never) => client.scope('private').seal(sample(3), o), defaults: ['shares'] },
  { what: 'seal', call: async (o: never) => (await writer.prepare(sample(3))).seal(o), defaults: ['shares'] },
  {
    what: 'checkRetired',
    call: (o: never) => checkRetired(blocksIn(memoryBlobStore()), keyset, o),
    given: { logs: [] },
    defaults: ['ahead', 'signal'],
  },
  {
    what: 'calibrateArgon2',
    call: (o: never) => quickly(() => calibrateArgon2(1, o)),
    defaults: [...hashing, 'memoryKiB'],
  },
  { what: 'parseCard', call: (o: never) => parseCard(card.bytes, o), strict: ['fingerprint'] },
  { what: 'last', call: (o: never) => log.last(o), strict: ['atLeast'] },
  { what: 'read', call: (o: never) => log.read(o).next(), defaults: ['after', 'onDamaged'], strict: ['atLeast'] },
  {
    what: 'reseal',
    call: (o: never) => log.reseal(o),
    given: { atLeast: position },
    defaults: ['leaveOut'],
    strict: ['upTo'],
  },
  { what: 'place', call: (o: never) => keyset.sealRecord(sample(3), o), given: { log: 'x', after: 'start' } },
  { what: 'place', call: (o: never) => writer.sealRecord(sample(3), o), given: { log: 'x', after: 'start' } },
  { what: 'place', call: (o: never) => vault.sealRecord(sample(3), o), given: { log: 'x', after: 'start' } },
  { what: 'place', call: (o: never) => keyset.openRecord(record, o), given: { ...anywhere } },
  { what: 'account', call: (o: never) => quickly(() => deriveLogin(PASSWORD, o)), given: ALICE },
  {
    what: 'deriveLogin',
    call: (o: never) => quickly(() => deriveLogin(PASSWORD, ALICE, o)),
    defaults: ['onProgress', 'signal'],
  },
  { what: 'expected', call: (o: never) => openSavedLogin(login.save(device), device, o), given: ALICE },
  {
    what: 'recovery',
    call: (o: object) => createProfile(login, { zeroTrust: true, ...o }),
    strict: ['admin', 'recoveryKey'],
  },
  {
    what: 'resetProfile',
    call: (o: never) => resetProfile(ownProfile.record, recoveryKey, login, o),
    strict: ['atLeast'],
  },
  { what: 'from', call: (o: never) => deriveRecoveryKey(o), given: { secret: sample(32) }, strict: ['code', 'parts'] },
  {
    what: 'splitRecoveryCode',
    call: (o: never) => splitRecoveryCode(generateRecoveryCode(), o),
    given: { parts: 3, needed: 2 },
  },
  { what: 'addSlot', call: (o: never) => addSlot(withSlots, keyset, recoveryKey, o), given: { label: 'x' } },
  { what: 'renewSlots', call: (o: never) => renewSlots(withSlots, keyset, o), strict: ['only'] },
  {
    what: 'recoverKeyset',
    call: (o: never) => recoverKeyset(withSlots, recoveryKey, o),
    defaults: ['allowWeaker'],
    strict: ['atLeast'],
  },
  {
    what: 'recoverKeyset',
    call: (o: never) => recoverKeyset(withSlots, friend, o),
    given: { from: card },
    defaults: ['allowWeaker'],
    strict: ['atLeast'],
  },
  {
    what: 'recoverySheet',
    call: (o: never) => recoverySheet(o),
    given: { code: generateRecoveryCode(), title: 'x', text: 'x', facts: {} },
  },
  { what: 'recovery', call: (o: object) => createProfile(login, { admin: card, ...o }), strict: ['zeroTrust'] },
  {
    what: 'delegate',
    call: (o: never) => delegate(keyset, friend.card(), o),
    given: { until: new Date(Date.now() + 86_400_000) },
  },
  { what: 'openDelegation', call: (o: never) => openDelegation(delegation, friend, o), given: { from: card } },
  { what: 'openProfile', call: (o: never) => openProfile(profile.record, login, o), strict: ['atLeast'] },
  { what: 'loadProfile', call: (o: never) => loadProfile(store, login, o), strict: ['atLeast'] },
  {
    what: 'resetProfile',
    call: (o: never) => resetProfile(adminProfile.record, keyset, login, o),
    given: { identity: 'unpinned' },
    strict: ['atLeast'],
  },
  {
    what: 'deriveClient',
    call: (o: never) => quickly(() => deriveClient(o)),
    given: { ...names, privateKey },
    defaults: [...hashing, 'accountKey'],
  },
  {
    what: 'privateKey',
    call: (key: never) => quickly(() => deriveClient({ ...names, privateKey: key })),
    given: privateKey,
  },
  {
    what: 'accountKey',
    call: (accountKey: never) => quickly(() => deriveClient({ ...names, privateKey, accountKey })),
    given: privateKey,
  },
  { what: 'the account key', call: (key: never) => quickly(() => client.withAccountKey(key)), given: privateKey },
  {
    what: 'withAccountKey',
    call: (o: never) => quickly(() => client.withAccountKey(privateKey, o)),
    defaults: hashing,
  },
  {
    what: 'enrolment',
    call: (o: never) => challenged((challenge) => client.enrolment(challenge, o)),
    given: { server: 's' },
  },
  {
    what: 'prove',
    call: (o: never) => challenged((challenge) => client.prove(challenge, o)),
    given: { server: 's' },
  },
  {
    what: 'expected',
    call: (o: never) => openSavedClient(client.save(device), device, o),
    given: clientName,
  },
  { what: 'parseRegistration', call: (o: never) => parseRegistration(registration, o), given: { provider: card } },
  {
    what: 'openRegistration',
    call: (o: object) => openRegistration(registration, { activationCode, ...o } as never),
    given: { provider: card, account: 'acme' },
    strict: ['activationCode'],
  },
  {
    what: 'deriveLegacyClient',
    call: (o: never) => quickly(() => deriveLegacyClient(o)),
    given: { ...names, privateKey: { type: 'DES-56', text: 'x' } },
    defaults: [...hashing, 'dangerouslyAllowDes'],
  },
  {
    what: 'privateKey',
    call: (key: never) => quickly(() => deriveLegacyClient({ ...names, privateKey: key })),
    given: { type: 'DES-56', text: 'x' },
  },
  { what: 'export', call: (o: never) => quickly(() => device.export('a passphrase', o)), defaults: hashing },
  {
    what: 'openDeviceKey',
    call: (o: never) => openDeviceKey(device.exportUnprotected(), undefined, o),
    defaults: hashing,
  },
  { what: 'place', call: (o: never) => device.sealText('a text', o), given: place },
  { what: 'place', call: (o: never) => device.openText(sealedText, o), given: place },
  {
    what: 'saveCredential',
    call: (o: never) => saveCredential(memoryStateStore(), profile.record, login.credential, o),
    defaults: ['cost', 'bcrypt'],
  },
  {
    what: 'verifyCredential',
    call: (o: never) => verifyCredential(credentials, login.credential, o),
    defaults: ['cost', 'bcrypt'],
  },
  {
    what: 'openKeyRegistry',
    call: (o: never) => openKeyRegistry(memoryStateStore(), o),
    given: { realm: 'tests', server: 's' },
    strict: ['safeguarding'],
  },
  {
    what: 'enrol',
    call: (o: never) => challenged((given) => registry.enrol(client.enrolment(given, { server: 's' }), o)),
    given: { account: 'acme' },
  },
  { what: 'safeguard', call: (o: never) => registry.safeguard(escrow, o), given: { account: 'acme' } },
  {
    what: 'buildRegistration',
    call: (o: never) => registry.buildRegistration(clientName, keyset, o),
    given: { expires: new Date() },
  },
  { what: 'createPool', call: (o: never) => createPool(o).close(), defaults: ['threads', 'worker'] },
  { what: 'seal', call: (o: never) => pool.writer(writer).seal(sample(3), o), defaults: ['shares'] },
  { what: 'cut', call: (o: never) => cut(none(), o), defaults: ['size'] },
  { what: 'sealInto', call: (o: never) => sealInto(blocks, writer, [], o), defaults: ['ahead', 'signal', 'shares'] },
  { what: 'packInto', call: (o: never) => packInto(blocks, writer, [], o), defaults: ['ahead', 'signal', 'shares'] },
  { what: 'openFrom', call: (o: never) => openFrom(blocks, keyset, [], o), defaults: ['ahead', 'signal'] },
  { what: 'shareFrom', call: (o: never) => shareFrom(blocks, share, [], o), defaults: ['ahead', 'signal'] },
  { what: 'verifyBlocks', call: (o: never) => verifyBlocks(blocks, keyset, [], o), defaults: ['ahead', 'signal'] },
  { what: 'rekeyBlocks', call: (o: never) => rekeyBlocks(blocks, keyset, o), defaults: ['ahead', 'signal', 'prefix'] },
  {
    what: 'checkBlocks',
    call: (o: never) => checkBlocks(memoryBlobStore(), o),
    defaults: ['prefix', 'readData', 'signal'],
  },
  {
    what: 'heads',
    call: (o: never) => blocksIn(memoryBlobStore()).heads(o)[Symbol.asyncIterator]().next(),
    defaults: ['prefix'],
  },
  { what: 'postgresSchema', call: (o: never) => postgresSchema(o), defaults: ['table'] },
  { what: 'postgresStateStore', call: (o: never) => postgresStateStore(dbStub, o), defaults: ['table'] },
  { what: 'httpStateStore', call: (o: never) => httpStateStore('https://example.com', o), defaults: ['fetch'] },
  {
    what: 'serveStateStore',
    call: (o: never) => serveStateStore(store, new Request('https://example.com/_/x'), o),
    defaults: ['allowDrop', 'maxBytes', 'onError'],
  },
  { what: 's3StateStore', call: (o: never) => s3StateStore(o), given: s3, strict: ['prefix'] },
  { what: 's3BlobStore', call: (o: never) => s3BlobStore(o), given: s3, strict: ['prefix'] },
]

/** Returns the error of a call that must fail. */
async function mistake(action: () => unknown): Promise<Error> {
  try {
    await action()
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError)
    return error as Error
  }
  throw new Error('expected a TypeError')
}

/** Objects that are no options. If nothing in them can be left out, a product may pass a row of its database. */
const OBJECTS = new Set(['costs', 'place', 'account', 'expected', 'privateKey', 'accountKey', 'the account key'])

describe.each(rows.map((row, index) => [index, row.what, row] as const))('%i: %s', (_, what, row) => {
  const { given = {}, defaults = [], strict = [] } = row
  const call = row.call as (options: object) => unknown
  const all = [...Object.keys(given), ...defaults, ...strict]

  it('names the right name for each misspelt one', async () => {
    for (const name of all) {
      const others = Object.fromEntries(Object.entries(given).filter(([each]) => each !== name))
      const misspelt = name.length < 4 ? `${name}s` : name.replace(/(.)(?=.$)/, '')
      const { message } = await mistake(() => call({ ...others, [misspelt]: 1 }))
      expect(message).toContain(`${what} has no `)
      expect(message).toContain(`\`${misspelt}\`: did you mean \`${name}\`?`)
    }
  })

  // A row has a test only for what it has.
  const when = (holds: boolean, name: string, check: () => Promise<void>) => {
    if (holds) it(name, check)
  }
  const isRow = OBJECTS.has(what) && all.length === Object.keys(given).length

  when(!isRow, 'lists all names if it is not close to any of them', async () => {
    const { message } = await mistake(() => call({ ...given, somethingElse: undefined }))
    expect(message).toContain(`${what} has no `)
    for (const name of all) expect(message).toContain(`\`${name}\``)
  })

  when(isRow, 'takes an object with other properties beside those that are all required', async () => {
    await call({ ...given, id: 7, somethingElse: undefined })
  })

  it('refuses null, and a missing or lost value that is required', async () => {
    for (const name of all) expect((await mistake(() => call({ ...given, [name]: null }))).message).toContain(name)
    for (const name of Object.keys(given)) {
      const { [name]: lost, ...others } = given
      expect(lost).toBeDefined()
      expect((await mistake(() => call(others))).message).toContain(name)
      expect((await mistake(() => call({ ...given, [name]: undefined }))).message).toContain(name)
    }
  })

  when(strict.length > 0, 'refuses an undefined that would switch off a check', async () => {
    for (const name of strict)
      expect((await mistake(() => call({ ...given, [name]: undefined }))).message).toContain(`${name} in ${what} is`)
  })

  when(defaults.length > 0, 'takes undefined where it means the default', async () => {
    await call({ ...given, ...Object.fromEntries(defaults.map((name) => [name, undefined])) })
  })
})

it('the table has a row for each function of the source that reads options', () => {
  const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  const text = files.map((name) => readFileSync(`src/${name}`, 'utf8')).join('\n')
  // The third argument of each call, unless it is a parameter.
  const found = [
    ...text.matchAll(/(?:optionsFrom|fieldsFrom)(?:<.*?>)?\(\s*\w+(?:\.\w+)?,\s*(?:\{[^}]*\}|\w+),\s*'([^']+)'/g),
  ]
  expect(found.length).toBeGreaterThan(25)
  const named = new Set(rows.map(({ what }) => what))
  for (const [, what] of found) expect(named).toContain(what)
})

it('objects of the library may have more properties than a function needs', async () => {
  // A session keeps a connection, and a product may add to it.
  const connection = {
    ...(await registry.connect(client.prove(await registry.challenge(), { server: 's' }))),
    since: 1,
  }
  await registry.commitFirstBackup(connection)
  expect(await registry.clearEscrow(connection)).toBe(true)
  expect(await registry.removeClient(connection)).toBe(true)
  const block = await writer.seal(sample(5))
  expect(await keyset.open({ ...block, size: 5 } as never)).toEqual(sample(5))
  expect(keyset.rekey({ ...block, size: 5 } as never)).toHaveLength(block.envelope.length)
  expect(keyset.createShare({ to: { ...card, comparedBy: 'telephone' } as never }).keyset.shares).toHaveLength(1)
  expect(withVault.vaults).toEqual([vault.id])
})
