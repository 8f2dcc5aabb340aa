// Mistakes that new users are likely to make. Each message must say what to do instead.
import {
  createKeyset,
  encodeBlock,
  openLog,
  openSavedKeyset,
  openWriter,
  parseBlock,
  parseCard,
  unlockKeyset,
} from '../src/index.ts'
import { createDeviceKey, openDeviceKey } from '../src/device.ts'
import { armRegistration, deriveClient, openRegistration } from '../src/client.ts'
import { createProfile, deriveLogin, loadProfile, openProfile, resetProfile } from '../src/vault.ts'
import { describe, expect, it } from 'vitest'
import { delegate, openDelegation } from '../src/fleet.ts'
import { openKeyRegistry } from '../src/server.ts'
import { memoryStateStore } from '../src/stores.ts'
import { ALICE, atStart, CHEAP, failure, makeKeyset, PASSWORD, quickly, sample } from './fixtures.ts'

const keyset = await makeKeyset()
const login = await deriveLogin(PASSWORD, ALICE)
const block = await openWriter(keyset.export('host')).seal(sample(10))
const stored = encodeBlock(block)
const registry = openKeyRegistry(memoryStateStore(), { realm: ALICE.realm, server: 'storage-1' })
const client = await quickly(() =>
  deriveClient({
    ...{ realm: ALICE.realm, account: 'acme', name: 'desktop', platform: 'linux' },
    privateKey: { type: 'AES-256', text: 'x' },
  }),
)
const challenge = await registry.challenge()
const fleet = await makeKeyset()

describe('one object in place of another', () => {
  it('is named if its header says what it is', async () => {
    const card = keyset.card().bytes
    const damaged = await failure(() => unlockKeyset(card, PASSWORD), 'malformed')
    expect(damaged.message).toContain('it says card')
    const wrong = await failure(() => parseBlock(card, block.label), 'unsupported')
    expect(wrong.message).toBe('expected envelope, but this is card')
    const { record } = await openWriter(keyset.export('host')).sealRecord(sample(4), atStart)
    expect((await failure(() => parseBlock(record, block.label), 'unsupported')).message).toContain('record')
  })

  it('is named if it is a block of another key model', async () => {
    const { vault } = await createProfile(login, { zeroTrust: true }).createVault(memoryStateStore())
    const foreign = await vault.seal(sample(10))
    expect((await failure(() => keyset.open(foreign), 'unsupported')).message).toContain('belongs to a vault')
    expect((await failure(() => vault.open(block), 'unsupported')).message).toContain('belongs to a keyset')
  })

  it('has its size in the detail', async () => {
    const { detail } = await failure(() => parseBlock(sample(3000), block.label), 'malformed')
    expect(detail).toMatchObject({ bytes: 3000 })
  })
})

describe('a delegation', () => {
  const until = new Date(Date.now() + 86_400_000)
  const from = keyset.card()
  const bytes = delegate(keyset, fleet.card(), { until })

  it('of a keyset that has not regenerated yet is allowed: nothing needs rekeying', () => {
    using delegation = openDelegation(bytes, fleet, { from })
    expect(delegation.isCurrent(block.envelope)).toBe(true)
  })

  it('is not an export of the keyset, and its error says what it is', async () => {
    const error = await failure(() => openDelegation(keyset.export('host'), fleet, { from }), 'unsupported')
    expect(error.message).toBe('expected delegation, but this is keyset')
    const other = await failure(() => unlockKeyset(bytes, PASSWORD), 'unsupported')
    expect(other.message).toBe('expected keyset, but this is delegation')
  })

  it('does not open if fleet and owner are swapped', async () => {
    await failure(() => openDelegation(bytes, keyset, { from: fleet.card() }), 'authentication-failed')
    await failure(() => openDelegation(bytes, keyset, { from }), 'key-not-found')
    const swapped = delegate(fleet, keyset.card(), { until })
    await failure(() => openDelegation(swapped, fleet, { from }), 'authentication-failed')
  })

  it('needs a card, not its bytes or its keyset, and a Date', () => {
    expect(() => openDelegation(bytes, fleet, { from: from.bytes as never })).toThrow('card()')
    expect(() => openDelegation(bytes, fleet, { from: keyset as never })).toThrow(TypeError)
    expect(() => delegate(keyset, fleet as never, { until })).toThrow(TypeError)
    expect(() => delegate(keyset, fleet.card(), { until: until.getTime() as never })).toThrow('valid Date')
  })
})

describe('misuse that JavaScript users learn of only at run time', () => {
  it.each([
    ['a promise instead of a block', () => encodeBlock(Promise.resolve(block) as never), 'await it'],
    ['stored bytes instead of a block', () => keyset.open(stored as never), 'parseBlock'],
    ['bytes instead of a card', () => keyset.createShare().share.invite(keyset.card().bytes as never), 'card()'],
    ['a missing card', () => openRegistration(stored, { account: 'acme', provider: undefined as never }), 'parseCard'],
    ['bytes instead of an admin card', () => createProfile(login, { admin: keyset.card().bytes as never }), 'card()'],
    ['a missing recovery option', () => createProfile(login, undefined as never), '{ zeroTrust: true }'],
    ['a missing store', () => createProfile(login, { zeroTrust: true }).createVault(undefined as never), 'StateStore'],
    [
      'a missing previous record',
      () => openWriter(keyset.export('host')).sealRecord(stored, undefined as never),
      "'start'",
    ],
    [
      'a string instead of a key',
      () => deriveClient({ realm: 'r', account: 'a', name: 'c', platform: 'linux', privateKey: 'x' as never }),
      '{ type, text }',
    ],
    [
      'bytes instead of the text of a key',
      () =>
        deriveClient({
          realm: 'r',
          account: 'a',
          name: 'c',
          platform: 'linux',
          privateKey: { type: 'AES-256', text: stored as never },
        }),
      '{ type, text }',
    ],
    ['an enrolment without its challenge', () => client.enrolment(undefined as never, { server: 'x' }), 'challenge'],
    ['a missing name of the server', () => client.prove(challenge, undefined as never), 'the name of the server'],
    [
      'an enrolment without the account',
      () => registry.enrol(client.enrolment(challenge, { server: 'storage-1' }), undefined as never),
      'pass the account of the customer who is logged in',
    ],
    [
      'an account that is undefined',
      () => registry.safeguard(client.safeguard().escrow, { account: undefined as never }),
      'pass the account of the customer who is logged in',
    ],
    [
      'names instead of a connection',
      () => registry.commitFirstBackup({ account: 'acme', name: 'desktop' } as never),
      'the connection that connect returned',
    ],
    ['a name instead of a client', () => registry.removeClient('desktop' as never), 'account must be a string'],
    [
      'a store without `once` under a registry',
      () => openKeyRegistry({ ...memoryStateStore(), once: undefined as never }, { realm: 'r', server: 's' }),
      'it has no method once',
    ],
  ])('%s is a TypeError that says what is expected', async (_, action, wanted) => {
    const made = new Promise((resolve) => resolve(action()))
    await expect(made).rejects.toBeInstanceOf(TypeError)
    await expect(new Promise((resolve) => resolve(action()))).rejects.toThrow(wanted)
  })

  it('a stored object as base64 or hex digits must be decoded, and only content may be encoded from text', async () => {
    const bytes = { host: keyset.export('host'), card: keyset.card().bytes }
    const base64 = (object: Uint8Array) => Buffer.from(object).toString('base64') as never
    const digits = (object: Uint8Array) => Buffer.from(object).toString('hex') as never
    const device = createDeviceKey()
    const vault = createProfile(login, { zeroTrust: true })
    const attempts: (() => unknown)[] = [base64, digits].flatMap((encoded) => [
      () => unlockKeyset(encoded(bytes.host), PASSWORD),
      () => openWriter(encoded(bytes.host)),
      () => parseCard(encoded(bytes.card)),
      () => parseBlock(encoded(stored), block.label),
      () => keyset.open({ ...block, ciphertext: encoded(block.ciphertext) }),
      () => keyset.rekey({ ...block, envelope: encoded(block.envelope) }),
      () => openSavedKeyset(encoded(keyset.save(device)), device, { id: keyset.id }),
      () => openDeviceKey(encoded(device.exportUnprotected())),
      () => device.openText(encoded(stored), { table: 't', row: 'r', column: 'c', version: 1 }),
      () => openProfile(encoded(vault.record), login),
      () => client.prove(encoded(challenge), { server: 'storage-1' }),
      () => registry.connect(encoded(challenge)),
      () => armRegistration(encoded(stored), client.safeguard().activationCode),
      () => keyset.openRecord(encoded(stored), atStart),
    ])
    for (const attempt of attempts) {
      const made = new Promise((resolve) => resolve(attempt()))
      await expect(made).rejects.toThrow(
        "check the order of the arguments, or decode the string first, by Buffer.from(text, 'base64') or Buffer.from(text, 'hex')",
      )
      await expect(made).rejects.toBeInstanceOf(TypeError)
    }
    const text = 'my file' as never
    const log = openLog(memoryStateStore(), 'x', keyset)
    for (const call of [
      () => keyset.seal(text),
      () => keyset.prepare(text),
      () => keyset.pack([text]),
      () => log.append(text),
    ])
      await expect(call()).rejects.toThrow('use new TextEncoder().encode(text)')
    await expect(keyset.seal(new ArrayBuffer(3) as never)).rejects.toThrow('use new Uint8Array(buffer)')
  })

  it('a store that returns neither true nor false gets an error that says so', async () => {
    const profile = createProfile(login, { zeroTrust: true })
    for (const wrong of ['profile', 'keyring/']) {
      const store = memoryStateStore()
      const write: typeof store.write = async (name, version, bytes) => {
        const written = await store.write(name, version, bytes)
        return name.startsWith(wrong) ? (undefined as never) : written
      }
      await expect(profile.createVault({ ...store, write })).rejects.toThrow('it must return true or false')
    }
  })

  it('a store that returns null for a missing profile gets an error that says what to return', async () => {
    const store = { ...memoryStateStore(), read: async () => null as never }
    await expect(loadProfile(store, login)).rejects.toThrow('returned null, but it must return { version, bytes }')
  })

  it('a number instead of a revision, and a reset without an identity, are TypeErrors that say what to pass', () => {
    const { record } = createProfile(login, { admin: keyset.card() })
    expect(() => openProfile(record, login, { atLeast: 1 as never })).toThrow('a text such as "3"')
    expect(() => resetProfile(record, keyset, login, undefined as never)).toThrow("or 'unpinned'")
  })

  it('the message about incomplete costs names the numbers, and the one about low costs their range', async () => {
    const incomplete = createKeyset(PASSWORD, { costs: { memoryKiB: CHEAP.memoryKiB } as never })
    await expect(incomplete).rejects.toThrow(TypeError)
    await expect(incomplete).rejects.toThrow('costs needs { iterations, memoryKiB, lanes }')
    const error = await failure(() => createKeyset(PASSWORD, { costs: { ...CHEAP, iterations: 0 } }), 'limit-exceeded')
    expect(error.message).toContain('iterations 1–64')
  })

  it('a wrong user gives `wrong-password`, and the message also names the user and the realm', async () => {
    const bob = await deriveLogin(PASSWORD, { ...ALICE, user: 'bob' })
    const { record } = createProfile(login, { zeroTrust: true })
    expect((await failure(() => openProfile(record, bob), 'wrong-password')).message).toContain('user or realm')
  })
})
