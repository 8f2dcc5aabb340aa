// Row 22. The attacker writes a file that a program will read, and wants the program to crash, hang, or use all
// memory. This test gives a fixed list of damaged inputs to every reader; test/fuzz/ searches at random without a
// limit.
import {
  armRegistration,
  deriveClient,
  openRegistration,
  openSavedClient,
  parseRegistration,
} from '../../src/client.ts'
import {
  ALICE,
  anywhere,
  atStart,
  DESKTOP,
  failure,
  flipped,
  newestBytes,
  PASSWORD,
  patched,
  quick,
  quickly,
  resummed,
  sample,
} from '../fixtures.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { createProfile, deriveLogin, openProfile, openSavedLogin, parseProfile, resetProfile } from '../../src/vault.ts'
import {
  encodeBlock,
  KeystrataError,
  openPackMember,
  openSavedKeyset,
  openWriter,
  parseBlock,
  parseCard,
  unlockKeyset,
} from '../../src/index.ts'
import { guardProfiles, openKeyRegistry, saveCredential, verifyPassword } from '../../src/server.ts'
import { createDeviceKey, openDeviceKey } from '../../src/device.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Backend } from '../../src/primitives/backend.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { memoryInUse } from '../memory.ts'
import { commitFor, enrolIn, OWN, WatchedStore } from '../registry-fixtures.ts'
import { quickKeyset } from './known.ts'

const keyset = await quickKeyset()
const card = keyset.card()
const { keyset: sharing, share } = keyset.createShare()
const regenerated = sharing.regenerate()
const block = await openWriter(keyset.export('host')).seal(sample(64))
const shared = { ...block, envelope: share.add(block) }
const invite = share.invite(card)
const reader = keyset.acceptShare(invite, card)
const { record } = await openWriter(keyset.export('host')).sealRecord(sample(64), atStart)
const { content: pack, members } = await openWriter(keyset.export('host')).pack([sample(40), sample(20, 2)])

const login = await deriveLogin(PASSWORD, ALICE)
const store = memoryStateStore()
const { profile, vault } = await createProfile(login, { admin: card }).createVault(store)
const vaultBlock = await vault.seal(sample(64))
const keyring = await newestBytes(store, `keyring/${vault.id}`)
const nextRecord = profile.changePassword(login).record
const openBy = async (bytes: Uint8Array) => {
  const hostile = memoryStateStore()
  await hostile.write('profile', 1, profile.record)
  await hostile.write(`keyring/${vault.id}`, 1, bytes)
  return profile.openVault(hostile, vault.id)
}

const client = await quickly(() =>
  deriveClient({
    ...{ realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' },
    privateKey: { type: 'AES-256', text: 'of the client' },
  }),
)
const clientBlock = await client.scope('private').seal(sample(64))
const ACME = { account: 'acme' }
const registry = openKeyRegistry(new WatchedStore(), { realm: 'tests', ...OWN, safeguarding: 'optional' })
await enrolIn(registry, client)
const challenge = await registry.challenge()
const { escrow, activationCode } = client.safeguard()
await registry.safeguard(escrow, ACME)
await commitFor(registry, client)
const file = await registry.buildRegistration({ account: 'acme', name: 'desktop' }, keyset, {
  expires: new Date(Date.now() + 1e9),
})
const device = createDeviceKey()
const locked = await quickly(() => device.export(PASSWORD))
const place = { table: 'source', row: '1', column: 'password', version: 1 }
const phc = '$argon2id$v=19$m=65536,t=3,p=4$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw'
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

/** Every function that reads a file or network input, with a valid input for it. */
const READERS: readonly (readonly [string, Uint8Array, (bytes: Uint8Array) => unknown])[] = [
  ['openWriter', keyset.export('host'), (b) => openWriter(b)],
  ['unlockKeyset', keyset.export('storage'), (b) => unlockKeyset(b, PASSWORD)],
  ['parseCard', card.bytes, (b) => parseCard(b)],
  ['acceptShare', invite, (b) => keyset.acceptShare(b, card)],
  ['parseBlock and open', encodeBlock(block), (b) => keyset.open(parseBlock(b, block.label))],
  ['rekey', block.envelope, (envelope) => regenerated.rekey({ ...block, envelope })],
  ['add', block.envelope, (envelope) => share.add({ ...block, envelope })],
  ['open of a share', encodeBlock(shared), (b) => reader.open(parseBlock(b, shared.label))],
  ['openRecord', record, (b) => keyset.openRecord(b, anywhere)],
  ['openPackMember, a pack', pack, (b) => openPackMember(b, members[1]!)],
  ['openPackMember, a string', Buffer.from(members[0]!), (b) => openPackMember(pack, text(b))],
  ['openProfile', profile.record, (b) => openProfile(b, login)],
  ['resetProfile', profile.record, (b) => resetProfile(b, keyset, login, { identity: 'unpinned' })],
  ['parseProfile', profile.record, (b) => parseProfile(b)],
  ['guardProfiles, profile', nextRecord, (b) => guardProfiles(store).write('profile', 99, b)],
  ['guardProfiles, keyring', keyring, (b) => guardProfiles(store).write(`keyring/${vault.id}`, 99, b)],
  ['saveCredential', nextRecord, (b) => saveCredential(store, b, login.credential, { cost: 10 })],
  ['openVault', keyring, openBy],
  ['open of a vault', encodeBlock(vaultBlock), (b) => vault.open(parseBlock(b, vaultBlock.label))],
  ['open of a client', encodeBlock(clientBlock), (b) => client.open(parseBlock(b, clientBlock.label))],
  ['enrol', client.enrolment(challenge, OWN), (b) => registry.enrol(b, ACME)],
  ['enrolment', challenge, (b) => client.enrolment(b, OWN)],
  ['prove', challenge, (b) => client.prove(b, OWN)],
  ['connect', client.prove(challenge, OWN), (b) => registry.connect(b)],
  ['safeguard', escrow, (b) => registry.safeguard(b, ACME)],
  ['parseRegistration', file, (b) => parseRegistration(b, { provider: card })],
  ['openRegistration', file, (b) => openRegistration(b, { account: 'acme', provider: card, activationCode })],
  ['armRegistration', file, (b) => armRegistration(b, activationCode)],
  ['openDeviceKey', device.exportUnprotected(), (b) => openDeviceKey(b)],
  ['openDeviceKey, protected', locked, (b) => openDeviceKey(b, PASSWORD)],
  ['openClient', client.save(device), (b) => openSavedClient(b, device, DESKTOP)],
  ['openLogin', login.save(device), (b) => openSavedLogin(b, device, ALICE)],
  ['openKeyset', keyset.save(device), (b) => openSavedKeyset(b, device, { id: keyset.id })],
  ['openText', device.sealText('x', place), (b) => device.openText(b, place)],
  ['verifyPassword, a hash', Buffer.from(phc), (b) => verifyPassword(text(b), PASSWORD)],
]

/** Returns whether a reader accepts the bytes. Any error other than a KeystrataError without a cause fails the test. */
async function isTaken(read: (bytes: Uint8Array) => unknown, bytes: Uint8Array): Promise<boolean> {
  const copy = new Uint8Array(bytes)
  try {
    await read(bytes)
    return true
  } catch (error) {
    expect(error).toBeInstanceOf(KeystrataError)
    expect((error as KeystrataError).cause).toBeUndefined()
    return false
  } finally {
    expect(Buffer.compare(bytes, copy)).toBe(0)
  }
}

/** Limit values, written to places that may hold a length, a count or a number. */
const EDGES = [
  [0xff, 0xff],
  [0x7f, 0xff, 0xff, 0xff],
  [0xff, 0xff, 0xff, 0xff],
  [0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
]
const summed = new Set([
  ...['openWriter', 'unlockKeyset', 'openProfile', 'resetProfile', 'parseProfile'],
  ...['guardProfiles, profile', 'saveCredential'],
  ...['openDeviceKey', 'openDeviceKey, protected', 'openClient', 'openLogin', 'openKeyset'],
])

// The objects set their own Argon2id costs; this backend ignores them.
beforeAll(() => useBackend(quick))
afterAll(() => useBackend(undefined))

describe.each(READERS)('a hostile file wants to break the process, through %s', (name, honest, read) => {
  const mended = (bytes: Uint8Array) => (summed.has(name) && bytes.length > 8 ? resummed(bytes) : bytes)

  it('random bytes', async () => {
    for (const [seed, length] of [0, 1, 47, 48, 100, 1000].entries()) {
      const noise = sample(length, seed + 1)
      expect((await isTaken(read, noise)) && !name.startsWith('verify')).toBe(false)
      await isTaken(
        read,
        mended(
          patched(
            new Uint8Array(Math.max(length, 48)).map((_, at) => noise[at] ?? 0),
            0,
            honest.subarray(0, 48),
          ),
        ),
      )
    }
  })

  it('mutated and truncated bytes', async () => {
    const step = Math.max(1, Math.floor(honest.length / 8))
    for (let at = 0; at < honest.length; at += step) {
      await isTaken(read, mended(flipped(honest, at, at % 8)))
      await isTaken(read, mended(new Uint8Array(honest.subarray(0, at))))
    }
    await isTaken(read, Buffer.concat([honest, honest]))
  })

  it('huge lengths inside, and megabytes appended', async () => {
    // After the header, where counts and lengths begin, and before the end.
    const places = [0, 8, 48, 50, 57, 60, honest.length - 80]
    for (const at of places) {
      for (const edge of EDGES) {
        if (at < 0 || at + edge.length > honest.length) continue
        const bytes = mended(patched(honest, at, edge))
        const before = memoryInUse()
        await isTaken(read, bytes)
        // Allows for normal heap growth; a trusted length would cost gigabytes.
        expect(memoryInUse() - before).toBeLessThan(32 * 1024 * 1024)
      }
    }
    const long = new Uint8Array(8 * 1024 * 1024)
    long.set(honest)
    expect((await isTaken(read, long)) && !name.startsWith('verify')).toBe(false)
  })
})

it('a hostile file wants memory for Argon2id: excessive costs are refused before any memory is allocated', async () => {
  const asked: number[] = []
  const watched: Backend = {
    ...quick,
    argon2id(password, salt, costs, length, wait) {
      asked.push(costs.memoryKiB)
      return quick.argon2id(password, salt, costs, length, wait)
    },
  }
  useBackend(watched)
  const stored = keyset.export('host')
  // Finds the costs: three consecutive numbers.
  const costsAt = Buffer.from(stored).indexOf(Buffer.from('0000000200004c00', 'hex'))
  expect(costsAt).toBeGreaterThan(48)
  for (const [at, bytes] of [
    [costsAt, [0, 0, 0, 65]],
    [costsAt, [0xff, 0xff, 0xff, 0xff]],
    [costsAt + 4, [0, 0x10, 0, 1]],
    [costsAt + 4, [0xff, 0xff, 0xff, 0xff]],
  ] as const) {
    await failure(() => unlockKeyset(resummed(patched(stored, at, bytes)), PASSWORD), 'limit-exceeded')
  }
  for (const costs of ['m=1048577,t=1,p=1', 'm=4294967295,t=1,p=1', 'm=65536,t=65,p=1', 'm=65536,t=3,p=17']) {
    await failure(() => verifyPassword(phc.replace('m=65536,t=3,p=4', costs), PASSWORD), 'limit-exceeded')
  }
  expect(asked).toEqual([])
  useBackend(quick)
})
