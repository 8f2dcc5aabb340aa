// The key registry of a server: every rule and every documented error of enrolling and connecting.
import { type Client, type ClientOptions, deriveClient, type TypedKey } from '../../src/client.ts'
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { KeystrataError } from '../../src/index.ts'
import { decode, encode } from '../../src/core/codec.ts'
import { storedEnrolment } from '../../src/client/layout.ts'
import { type Connection, openKeyRegistry } from '../../src/server.ts'
import { failure, flipped, hex, patched, quickly, sample } from '../fixtures.ts'
import { commitFor, connectionOf, connectTo, enrolIn, OWN, rowName, WatchedStore } from '../registry-fixtures.ts'

const ACCOUNT: TypedKey = { type: 'AES-128', text: 'of the account' }
const SECRET = 'of one client'
const key = (text: string): TypedKey => ({ type: 'AES-256', text })
const NAMES = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
const ROW = rowName('acme')
const ACME = { account: 'acme' }

function make(more: Partial<ClientOptions> = {}): Promise<Client> {
  return quickly(() => deriveClient({ ...NAMES, privateKey: key(SECRET), ...more }))
}
function newRegistry(realm = 'tests') {
  const store = new WatchedStore()
  return { store, registry: openKeyRegistry(store, { realm, ...OWN }) }
}

const desktop = await make()
const changed = await make({ privateKey: key('another') })
const withAccount = await make({ accountKey: ACCOUNT })
const laptop = await make({ name: 'laptop', privateKey: key('laptop'), accountKey: ACCOUNT })
const otherAccountKey = await make({ name: 'laptop', accountKey: { type: 'AES-128', text: 'different' } })
const lone = await make({ name: 'laptop' })
const phone = await make({ name: 'phone', platform: 'ios', accountKey: ACCOUNT })

describe('an enrolled client', () => {
  it('can connect any number of times, and is locked by its first backup', async () => {
    const { registry } = newRegistry()
    await enrolIn(registry, desktop)
    const expected = {
      account: 'acme',
      name: 'desktop',
      safeguarded: false,
      key: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    }
    for (let time = 0; time < 2; time++) {
      expect(await connectTo(registry, desktop)).toEqual({ ...expected, state: 'provisional' })
    }
    await commitFor(registry, desktop)
    await commitFor(registry, desktop)
    expect(await connectTo(registry, desktop)).toEqual({ ...expected, state: 'locked' })
    // From another machine with the same key text.
    expect(await connectTo(registry, await make())).toEqual({ ...expected, state: 'locked' })
    await enrolIn(registry, desktop)
    expect((await connectTo(registry, desktop)).state).toBe('locked')
  })

  it('may change its private key before its first backup, but not after', async () => {
    const { registry } = newRegistry()
    await enrolIn(registry, desktop)
    await failure(() => connectTo(registry, changed), 'key-changed')
    await enrolIn(registry, changed)
    await failure(() => connectTo(registry, desktop), 'key-changed')
    await commitFor(registry, changed)
    expect((await failure(() => enrolIn(registry, desktop), 'key-changed')).detail['role']).toBe('private')
    await failure(() => connectTo(registry, desktop), 'key-changed')
    expect((await connectTo(registry, changed)).state).toBe('locked')
  })

  it('is known only in its own account and under its own name', async () => {
    const { registry } = newRegistry()
    await enrolIn(registry, desktop)
    await failure(async () => connectTo(registry, await make({ account: 'other' })), 'key-not-found')
    await failure(() => connectTo(registry, lone), 'key-not-found')
    await failure(() => registry.commitFirstBackup(connectionOf(lone)), 'key-not-found')
    await failure(() => registry.commitFirstBackup({ ...connectionOf(desktop), account: '' }), 'invalid-text')
  })

  it('must connect from the platform that it was enrolled on', async () => {
    const { registry } = newRegistry()
    await enrolIn(registry, desktop)
    const moved = await make({ platform: 'windows' })
    expect((await failure(() => connectTo(registry, moved), 'policy')).detail['rule']).toBe('platform')
    await enrolIn(registry, moved)
    await connectTo(registry, moved)
  })
})

describe('the account of the customer who is logged in', () => {
  it('must be that of the enrolment', async () => {
    const { registry, store } = newRegistry()
    const enrolment = desktop.enrolment(await registry.challenge(), OWN)
    const error = await failure(() => registry.enrol(enrolment, { account: 'mallory' }), 'policy')
    expect(error.detail).toEqual({ rule: 'own-account', account: 'acme' })
    expect([store.writes, store.taken]).toEqual([['registry'], []])
    await registry.enrol(enrolment, { account: 'acme' })
    await connectTo(registry, desktop)
  })

  it.each([undefined, {}, { account: undefined }, { account: null }, { account: 7 }])(
    'must be passed: %j is a TypeError',
    async (options) => {
      const { registry, store } = newRegistry()
      const enrolment = desktop.enrolment(await registry.challenge(), OWN)
      const enrol = registry.enrol(enrolment, options as never)
      await expect(enrol).rejects.toThrow(TypeError)
      await expect(enrol).rejects.toThrow('account')
      expect(store.taken).toEqual([])
    },
  )
})

describe('a connection', () => {
  it('locks only the key that it has proven', async () => {
    const { registry } = newRegistry()
    await enrolIn(registry, desktop)
    const before = await connectTo(registry, desktop)
    await enrolIn(registry, changed)
    await failure(() => registry.commitFirstBackup(before), 'key-changed')
    await commitFor(registry, changed)
    expect((await connectTo(registry, changed)).state).toBe('locked')
  })

  it('is taken as it was kept in a session, as JSON', async () => {
    const { registry } = newRegistry()
    await enrolIn(registry, desktop)
    const kept = JSON.stringify(await connectTo(registry, desktop))
    await registry.commitFirstBackup(JSON.parse(kept) as Connection)
    expect((await connectTo(registry, desktop)).state).toBe('locked')
  })

  it.each([
    undefined,
    null,
    'acme',
    {},
    { account: 'acme', name: 'desktop' },
    { ...connectionOf(desktop), key: undefined },
    { ...connectionOf(desktop), key: 'ab' },
    { ...connectionOf(desktop), key: 'AB'.repeat(32) },
    { ...connectionOf(desktop), state: 'open' },
    { ...connectionOf(desktop), safeguarded: 1 },
    { ...connectionOf(desktop), name: undefined },
    { ...connectionOf(desktop), account: 7 },
  ])('must have the form that connect gives: %j is a TypeError', async (given) => {
    const { registry, store } = newRegistry()
    const commit = registry.commitFirstBackup(given as never)
    await expect(commit).rejects.toThrow(TypeError)
    await expect(commit).rejects.toThrow('the connection that connect returned')
    expect([store.reads, store.writes]).toEqual([0, []])
  })
})

describe('a damaged row', () => {
  it('is a plain Error', async () => {
    const { registry, store } = newRegistry()
    await enrolIn(registry, desktop)
    await store.write(ROW, 2, sample(10))
    await expect(connectTo(registry, desktop)).rejects.toThrow('the row of an account in the registry is damaged')
    await expect(enrolIn(registry, desktop)).rejects.not.toBeInstanceOf(KeystrataError)
  })
})

it('a refused enrolment changes nothing, even if the client is locked meanwhile', async () => {
  const { registry, store } = newRegistry()
  await enrolIn(registry, desktop)
  const other = await make({ privateKey: key('another'), accountKey: ACCOUNT })
  const enrolment = other.enrolment(await registry.challenge(), OWN)
  // The client is locked while somebody enrols it with another private key and a first account key.
  const beside = openKeyRegistry(store.inner, { realm: 'tests', ...OWN })
  store.changed.read = async (name) => {
    const found = await store.inner.read(name)
    delete store.changed.read
    await beside.commitFirstBackup(connectionOf(desktop))
    return found
  }
  await failure(() => registry.enrol(enrolment, { account: 'acme' }), 'key-changed')
  expect((await connectTo(registry, desktop)).state).toBe('locked')
})

it('a change keeps one version of the row, and is written even if it makes no difference', async () => {
  const { registry, store } = newRegistry()
  for (const version of [1, 2, 3]) {
    await enrolIn(registry, desktop)
    expect(await store.kept(ROW)).toEqual([version])
  }
})

it('an account has at most 4,096 clients', async () => {
  const { registry, store } = newRegistry()
  await enrolIn(registry, withAccount)
  const { bytes: row } = (await store.read(ROW))!
  const one = row.subarray(-(2 + 7 + 2 + 33 + 1 + 8))
  const count = row.length - one.length - 2
  const many = Array.from({ length: 4096 }, (_, index) => patched(one, 2, Buffer.from(String(index).padStart(7, '0'))))
  await store.write(ROW, 2, Buffer.concat([row.subarray(0, count), Buffer.from([16, 0]), ...many]))
  await failure(() => enrolIn(registry, laptop), 'limit-exceeded')
})

describe('an account key', () => {
  it('is required for a second client and for phones', async () => {
    const { registry } = newRegistry()
    await enrolIn(registry, desktop)
    await failure(() => enrolIn(registry, lone), 'account-key-required')
    await failure(async () => enrolIn(registry, await make({ platform: 'android' })), 'account-key-required')
    // The second client brings the account key. The first one needs it from then on, locked or not.
    await commitFor(registry, desktop)
    await enrolIn(registry, laptop)
    await connectTo(registry, laptop)
    await failure(() => connectTo(registry, desktop), 'account-key-required')
    await failure(() => enrolIn(registry, desktop), 'account-key-required')
    const later = await quickly(() => desktop.withAccountKey(ACCOUNT))
    expect((await connectTo(registry, later)).state).toBe('locked')
  })

  it('cannot be replaced after the first one was enrolled', async () => {
    const { registry } = newRegistry()
    await enrolIn(registry, withAccount)
    const error = await failure(() => enrolIn(registry, otherAccountKey), 'key-changed')
    expect(error.detail['role']).toBe('account')
    await failure(() => connectTo(registry, desktop), 'account-key-required')
    await enrolIn(registry, laptop)
    await connectTo(registry, withAccount)
    await connectTo(registry, laptop)
  })

  it('is refused on connecting until it is enrolled', async () => {
    const { registry } = newRegistry()
    await enrolIn(registry, desktop)
    await failure(() => connectTo(registry, withAccount), 'key-not-found')
    await enrolIn(registry, withAccount)
    await connectTo(registry, withAccount)
  })

  it('must be AES-128 if a client is a phone, in any order of enrolment', async () => {
    const strong = { accountKey: { type: 'AES-256', text: 'a strong one' } } as const
    for (const order of [
      [{ ...strong }, { ...strong, name: 'phone', platform: 'ios' }],
      [{ ...strong, name: 'phone', platform: 'android' }, { ...strong }],
    ] as const) {
      const { registry } = newRegistry()
      const [first, second] = [await make(order[0]), await make(order[1])]
      const isPhone = order[0] !== order[1] && 'platform' in order[0]
      if (isPhone) {
        expect((await failure(() => enrolIn(registry, first), 'policy')).detail['rule']).toBe('phone-account-key')
        await enrolIn(registry, second)
        continue
      }
      await enrolIn(registry, first)
      expect((await failure(() => enrolIn(registry, second), 'policy')).detail['rule']).toBe('phone-account-key')
      await connectTo(registry, first)
    }
    const { registry } = newRegistry()
    await enrolIn(registry, phone)
    const other = await make({ name: 'laptop', accountKey: { type: 'AES-256', text: 'of the account' } })
    await failure(() => enrolIn(registry, other), 'policy')
    await enrolIn(registry, laptop)
    // A client cannot turn into a phone unnoticed.
    const { registry: plain } = newRegistry()
    const [desk, same] = [await make(strong), await make({ ...strong, platform: 'ios' })]
    await enrolIn(plain, desk)
    await failure(() => connectTo(plain, same), 'policy')
    await failure(() => enrolIn(plain, same), 'policy')
  })
})

describe('proofs and enrolments', () => {
  it('are refused with any byte flipped', async () => {
    const { registry } = newRegistry()
    await enrolIn(registry, withAccount)
    const enrolment = withAccount.enrolment(await registry.challenge(), OWN)
    for (let index = 0; index < enrolment.length; index++) {
      await failure(
        () => registry.enrol(flipped(enrolment, index, index % 8), ACME),
        'authentication-failed',
        'malformed',
        'unsupported',
      )
    }
    const challenge = await registry.challenge()
    const proof = withAccount.prove(challenge, OWN)
    for (let index = 0; index < proof.length; index++) {
      // The platform is not signed, but it must be the enrolled one.
      await failure(
        () => registry.connect(flipped(proof, index, index % 8)),
        ...(['authentication-failed', 'malformed', 'unsupported', 'expired', 'policy', 'key-changed'] as const),
      )
    }
    for (const bytes of [enrolment, proof, challenge]) {
      await failure(() => registry.enrol(bytes.subarray(1), ACME), 'malformed')
      await failure(() => registry.connect(new Uint8Array([...bytes, 0])), 'malformed', 'unsupported')
      await failure(() => withAccount.prove(new Uint8Array([...bytes, 0]), OWN), 'malformed', 'unsupported')
      await failure(() => registry.enrol(new Uint8Array(5000), ACME), 'limit-exceeded')
    }
  })

  it('are valid for one client only', async () => {
    const { registry } = newRegistry()
    await enrolIn(registry, withAccount)
    await enrolIn(registry, laptop)
    const proof = withAccount.prove(await registry.challenge(), OWN)
    // The same proof with another client's name.
    const text = Buffer.from(proof)
    const renamed = patched(proof, text.lastIndexOf('desktop'), Buffer.from('Desktop'))
    await failure(() => registry.connect(renamed), 'authentication-failed')
  })

  it('write no key and nothing that reveals one to the database', async () => {
    const { registry, store } = newRegistry()
    await enrolIn(registry, withAccount)
    const stored = store.history.map(hex).join()
    const enrolment = withAccount.enrolment(await registry.challenge(), OWN)
    const { keys, signatures } = decode(storedEnrolment, enrolment, 'enrolment')
    // The store has hashes of the public keys, but no key text and no public key.
    for (const secret of [...keys.map(({ publicKey }) => publicKey), ...signatures].map(hex)) {
      for (let at = 0; at + 32 <= secret.length; at += 2) expect(stored).not.toContain(secret.slice(at, at + 32))
    }
    expect(stored).toContain(hex(createHash('sha256').update(keys[0]!.publicKey).digest()))
    for (const text of [SECRET, ACCOUNT.text]) expect(stored).not.toContain(hex(Buffer.from(text)))
  })
})

it('an enrolment without signatures is malformed in any realm', async () => {
  const { registry: issuer } = newRegistry()
  const enrolment = desktop.enrolment(await issuer.challenge(), OWN)
  const fields = decode(storedEnrolment, enrolment, 'enrolment')
  const unsigned = encode(storedEnrolment, { ...fields, signatures: [] })
  for (const realm of ['tests', 'elsewhere']) {
    const { registry } = newRegistry(realm)
    await failure(() => registry.enrol(unsigned, ACME), 'malformed')
  }
})

it('two enrolments at once cannot both be the only client of an account without an account key', async () => {
  const { registry } = newRegistry()
  const outcomes = await Promise.allSettled([enrolIn(registry, desktop), enrolIn(registry, lone)])
  expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
})

it('refuses invalid names of realm and server', () => {
  const store = new WatchedStore()
  expect(() => openKeyRegistry(store, { realm: '', server: 'x' })).toThrow('the realm is empty')
  expect(() => openKeyRegistry(store, { realm: 'x', server: 7 as never })).toThrow(TypeError)
})
