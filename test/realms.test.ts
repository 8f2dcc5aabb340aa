// Values of another realm, as they come from an iframe, node:vm, or Jest's environments, are taken wherever the library
// takes such values.
import { runInNewContext } from 'node:vm'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { armRegistration, deriveClient, openRegistration, openSavedClient, parseRegistration } from '../src/client.ts'
import { createDeviceKey, openDeviceKey } from '../src/device.ts'
import {
  createKeyset,
  encodeBlock,
  loadKeyset,
  openLog,
  openPackMember,
  openSavedKeyset,
  openWriter,
  parseBlock,
  parseCard,
  saveKeyset,
  unlockKeyset,
} from '../src/index.ts'
import { delegate, openDelegation } from '../src/fleet.ts'
import { createPool } from '../src/pool.ts'
import { guardProfiles, openKeyRegistry, saveCredential } from '../src/server.ts'
import { blocksIn, checkStore, memoryBlobStore, memoryStateStore, type StateStore } from '../src/stores.ts'
import { createProfile, deriveLogin, openProfile, openSavedLogin, parseProfile, resetProfile } from '../src/vault.ts'
import {
  ALICE,
  atStart,
  CHEAP,
  expectSame,
  failure,
  flipped,
  isNode,
  makeKeyset,
  PASSWORD,
  quickly,
  sample,
} from './fixtures.ts'
import { portableBackend } from './platforms.ts'
import { worker } from './pool/source-pool.ts'

afterEach(() => vi.unstubAllGlobals())

const realm = runInNewContext('globalThis') as typeof globalThis

/** Copies bytes into an array of another realm. */
const foreign = (bytes: Uint8Array): Uint8Array => new realm.Uint8Array(bytes)

/** Copies bytes into the middle of a larger buffer of another realm. */
function foreignView(bytes: Uint8Array): Uint8Array {
  const view = new realm.Uint8Array(new realm.ArrayBuffer(bytes.length + 20), 10, bytes.length)
  view.set(bytes)
  return view
}

const kinds: [string, (bytes: Uint8Array) => Uint8Array][] = [
  ['a Uint8Array of another realm', foreign],
  ['a view of a buffer of another realm', foreignView],
  ['a Buffer', (bytes) => Buffer.from(bytes)],
]

it('the arrays and dates of these tests are of another realm', () => {
  expect(foreign(sample(3))).not.toBeInstanceOf(Uint8Array)
  expect(foreignView(sample(3)).buffer).not.toBeInstanceOf(ArrayBuffer)
  expect(new realm.Date()).not.toBeInstanceOf(Date)
})

const admin = await makeKeyset()
const keyset = await makeKeyset()
const bob = await makeKeyset()
const writer = openWriter(keyset.export('host'))
const block = await writer.seal(sample(300))
const pack = await keyset.pack([sample(10), sample(20)])
const record = await keyset.sealRecord(sample(30), atStart)
const { share } = keyset.createShare()
const device = await openDeviceKey(createDeviceKey().exportUnprotected())
const names = { realm: 'tests', account: 'acme', name: 'desktop' }
const client = await quickly(() =>
  deriveClient({ ...names, platform: 'linux', privateKey: { type: 'AES-128', text: 'x' } }),
)
const login = await deriveLogin(PASSWORD, ALICE)
const first = createProfile(login, { admin: admin.card() })
const { profile, vault } = await first.createVault(memoryStateStore())
const expires = new Date(Date.now() + 3_600_000)
const server = { server: 'storage-1' }

const registryOf = () => openKeyRegistry(memoryStateStore(), { realm: 'tests', ...server, safeguarding: 'optional' })
let registration: Uint8Array
let activationCode: string
beforeAll(async () => {
  const registry = registryOf()
  await registry.enrol(client.enrolment(await registry.challenge(), server), { account: 'acme' })
  const made = client.safeguard()
  activationCode = made.activationCode
  await registry.safeguard(made.escrow, { account: 'acme' })
  registration = await registry.buildRegistration({ account: 'acme', name: 'desktop' }, admin, { expires })
})

/** A store whose objects come from another realm. */
function foreignStore(convert: (bytes: Uint8Array) => Uint8Array): StateStore {
  const store = memoryStateStore()
  return {
    ...store,
    async read(key) {
      const found = await store.read(key)
      return found && { ...found, bytes: convert(found.bytes) }
    },
    async readVersion(...which) {
      const found = await store.readVersion(...which)
      return found && convert(found)
    },
    async *readVersions(...range) {
      for await (const each of store.readVersions!(...range)) yield { ...each, bytes: convert(each.bytes) }
    },
  }
}

/** Every function of the package that takes bytes, called with `as(bytes)`. */
const calls: Record<string, (as: (bytes: Uint8Array) => Uint8Array) => unknown> = {
  unlockKeyset: async (as) => expect((await unlockKeyset(as(keyset.export('storage')), PASSWORD)).id).toBe(keyset.id),
  openWriter: (as) => expect(openWriter(as(keyset.export('host'))).revision).toBe(keyset.revision),
  seal: async (as) => expect((await writer.seal(as(sample(300)))).label).toBe(block.label),
  prepare: async (as) => expect((await writer.prepare(as(sample(300)))).label).toBe(block.label),
  pack: async (as) => expect((await writer.pack([as(sample(10)), as(sample(20))])).members).toEqual(pack.members),
  openPackMember: async (as) => expectSame(await openPackMember(as(pack.content), pack.members[1]!), sample(20)),
  parseBlock: async (as) => expectSame(await keyset.open(parseBlock(as(encodeBlock(block)), block.label)), sample(300)),
  encodeBlock: (as) => expectSame(encodeBlock(converted(as)), encodeBlock(block)),
  open: async (as) => expectSame(await keyset.open(converted(as)), sample(300)),
  isCurrent: (as) => expect(keyset.isCurrent(as(block.envelope))).toBe(true),
  rekey: async (as) => {
    const envelope = keyset.regenerate().rekey(converted(as))
    expect(envelope.length).toBe(block.envelope.length)
  },
  sealRecord: async (as) => {
    const next = await keyset.sealRecord(as(sample(31)), { log: 'log', after: as(record.record) })
    expect((await keyset.openRecord(next.record, { log: 'log', after: record.record })).content.length).toBe(31)
  },
  openRecord: async (as) => expectSame((await keyset.openRecord(as(record.record), atStart)).content, sample(30)),
  parseCard: (as) => expect(parseCard(as(keyset.card().bytes)).fingerprint).toBe(keyset.card().fingerprint),
  'share.add': (as) => expect(share.add(converted(as)).length).toBe(block.envelope.length),
  acceptShare: (as) => expect(bob.acceptShare(as(share.invite(bob.card())), keyset.card()).id).toBe(share.id),
  openSavedKeyset: (as) =>
    expect(openSavedKeyset(as(keyset.save(device)), device, { id: keyset.id }).id).toBe(keyset.id),
  openDeviceKey: async (as) => {
    const made = createDeviceKey()
    const opened = await openDeviceKey(as(made.exportUnprotected()))
    expectSame(opened.exportUnprotected(), made.exportUnprotected())
  },
  openSavedLogin: (as) =>
    expect(openSavedLogin(as(login.save(device)), device, ALICE).credential).toBe(login.credential),
  openSavedClient: (as) =>
    expect(openSavedClient(as(client.save(device)), device, { account: 'acme', name: 'desktop' }).name).toBe('desktop'),
  openText: (as) => {
    const place = { table: 't', row: 'r', column: 'c', version: 1 }
    expect(device.openText(as(device.sealText('text', place)), place)).toBe('text')
  },
  parseProfile: (as) => expect(parseProfile(as(profile.record)).identity).toBe(profile.identity),
  openProfile: (as) => expect(openProfile(as(profile.record), login).revision).toBe(profile.revision),
  resetProfile: async (as) => {
    const next = await deriveLogin('another password', ALICE)
    const reset = resetProfile(as(first.record), admin, next, { identity: first.identity })
    expect(openProfile(as(reset.record), next).revision).toBe(reset.revision)
  },
  'vault.seal, vault.open': async (as) => {
    const sealed = await vault.seal(as(sample(9)))
    const { label, envelope, ciphertext } = sealed
    expectSame(await vault.open({ label, envelope: as(envelope), ciphertext: as(ciphertext) }), sample(9))
  },
  'scope.seal, client.open': async (as) => {
    const { label, envelope, ciphertext } = await client.scope('private').seal(as(sample(9)))
    expectSame(await client.open({ label, envelope: as(envelope), ciphertext: as(ciphertext) }), sample(9))
  },
  'enrol, connect, safeguard': async (as) => {
    const registry = registryOf()
    await registry.enrol(as(client.enrolment(as(await registry.challenge()), server)), { account: 'acme' })
    const proof = client.prove(as(await registry.challenge()), server)
    expect((await registry.connect(as(proof))).name).toBe('desktop')
    await registry.safeguard(as(client.safeguard().escrow), { account: 'acme' })
  },
  parseRegistration: (as) =>
    expect(parseRegistration(as(registration), { provider: admin.card() }).server).toBe('storage-1'),
  'armRegistration, openRegistration': (as) => {
    const armed = armRegistration(as(registration), activationCode)
    const opened = openRegistration(as(armed), { provider: admin.card(), account: 'acme' })
    expect(opened.name).toBe('desktop')
  },
  saveCredential: async (as) => {
    const database = memoryStateStore()
    await saveCredential(database, as(first.record), login.credential)
    expect(await guardProfiles(database).write('profile', 1, as(first.record))).toBe(true)
  },
  'a store': async (as) => {
    const store = foreignStore(as)
    await checkStore(store)
    await saveKeyset(store, keyset)
    expect((await loadKeyset(store, PASSWORD)).id).toBe(keyset.id)
    const log = openLog(store, 'backups', keyset)
    const position = await log.append(as(sample(5)))
    expectSame((await log.last({ atLeast: position }))!.content, sample(5))
  },
  blocks: async (as) => {
    const blocks = blocksIn(memoryBlobStore())
    await blocks.put(converted(as))
    expectSame(await keyset.open((await blocks.get(block.label))!), sample(300))
  },
  argon2: async (as) => {
    const { argon2id } = portableBackend
    const argon2: typeof argon2id = async (...input) => as(await argon2id(...input)) as Uint8Array<ArrayBuffer>
    const slow = (password: Uint8Array, salt: Uint8Array, costs: typeof CHEAP, length: number) =>
      argon2(password, salt, costs, length, {})
    const made = await createKeyset(PASSWORD, { costs: CHEAP, argon2: slow })
    expect((await unlockKeyset(made.export('storage'), PASSWORD)).id).toBe(made.id)
  },
}

function converted(as: (bytes: Uint8Array) => Uint8Array) {
  return { label: block.label, envelope: as(block.envelope), ciphertext: as(block.ciphertext) }
}

describe.each(kinds)('%s is taken by', (_, as) => {
  it.each(Object.entries(calls))('%s', async (_name, call) => {
    await call(as)
  })

  it.runIf(isNode)('a pool', async () => {
    await using pool = createPool({ threads: 1, worker })
    const sealed = await pool.writer(keyset).seal(as(sample(300)))
    expect(sealed.label).toBe(block.label)
    expectSame(await pool.reader(keyset).open(converted(as)), sample(300))
  })
})

describe('another realm', () => {
  it('gives dates, and an invalid one is refused', async () => {
    const registry = registryOf()
    await registry.enrol(client.enrolment(await registry.challenge(), server), { account: 'acme' })
    await registry.safeguard(client.safeguard().escrow, { account: 'acme' })
    const build = (when: Date) =>
      registry.buildRegistration({ account: 'acme', name: 'desktop' }, admin, { expires: when })
    const file = await build(new realm.Date(expires.getTime()))
    expect(parseRegistration(file, { provider: admin.card() }).expires).toEqual(expires)
    for (const wrong of [new realm.Date(NaN), { getTime: () => 1 }, expires.getTime()]) {
      await expect(build(wrong as Date)).rejects.toThrow(RangeError)
    }
    await expect(build(undefined as never)).rejects.toThrow(TypeError)
  })

  it('gives the date of a delegation, and an invalid one is refused', () => {
    const delegated = (until: Date) => delegate(keyset, admin.card(), { until })
    using opened = openDelegation(delegated(new realm.Date(expires.getTime())), admin, { from: keyset.card() })
    expect(opened.until).toEqual(expires)
    for (const wrong of [new realm.Date(NaN), { getTime: () => 1 }, expires.getTime()])
      expect(() => delegated(wrong as Date)).toThrow(RangeError)
    expect(() => delegated(undefined as never)).toThrow(TypeError)
  })

  it('gives dates of blobs', async () => {
    const store = memoryBlobStore()
    await checkStore({
      ...store,
      async *list(prefix) {
        for await (const each of store.list(prefix)) yield { ...each, modified: new realm.Date(each.modified) }
      },
    })
  })

  it('gives promises, which are mistakes that the error names', async () => {
    const promised = realm.Promise.resolve() as never
    expect(() => keyset.isCurrent(promised)).toThrow('await it')
    expect(() => encodeBlock(promised)).toThrow('await it')
    expect(() => encodeBlock(foreign(sample(3)) as never)).toThrow('use parseBlock')
  })

  it('gives arrays of other types, which are refused', async () => {
    for (const given of [
      new realm.Uint8ClampedArray(3),
      new realm.ArrayBuffer(3),
      new realm.DataView(new realm.ArrayBuffer(3)),
    ]) {
      await expect(writer.seal(given as never)).rejects.toThrow(TypeError)
    }
  })

  it('gives signals, of which only what React Native has too is used', async () => {
    const listeners: Set<() => void> = new Set()
    const signal = {
      aborted: false,
      addEventListener: (_: string, listener: () => void, ...options: unknown[]) => {
        expect(options).toEqual([])
        listeners.add(listener)
      },
      removeEventListener: (_: string, listener: () => void) => listeners.delete(listener),
    }
    await deriveLogin(PASSWORD, ALICE, { signal: signal as never })
    expect(listeners.size).toBe(0)
    const deriving = failure(() => deriveLogin(PASSWORD, ALICE, { signal: signal as never }), 'aborted')
    signal.aborted = true
    for (const listener of listeners) listener()
    await deriving
    await failure(
      () => portableBackend.pbkdf2Sha512(sample(3), sample(16), 1, 32, { signal: signal as never }),
      'aborted',
    )
  })

  it('is where Next runs edge routes: errors there are not of the global class', () => {
    vi.stubGlobal('Error', new Proxy(Error, {}))
    const [key, iv, aad] = [sample(32), sample(12), sample(1)]
    const sealed = portableBackend.gcmSeal(key, iv, aad, sample(40))
    expectSame(portableBackend.gcmOpen(key, iv, aad, sealed)!, sample(40))
    expect(portableBackend.gcmOpen(key, iv, aad, flipped(sealed, 3))).toBeUndefined()
  })
})
