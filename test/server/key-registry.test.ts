// The key registry of a server: every rule and every documented error of enrolling and connecting.
import { type Client, type ClientOptions, deriveClient, type TypedKey } from '../../src/client.ts'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { KeystrataError } from '../../src/index.ts'
import { decode, encode } from '../../src/core/codec.ts'
import { storedEnrolment } from '../../src/client/layout.ts'
import { openKeyRegistry, type KeyRegistry } from '../../src/server.ts'
import { failure, flipped, hex, MemoryRegistryStore, patched, quickly, sample } from '../fixtures.ts'

const ACCOUNT: TypedKey = { type: 'AES-128', text: 'of the account' }
const SECRET = 'of one client'
const key = (text: string): TypedKey => ({ type: 'AES-256', text })
const NAMES = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
const SERVER = { server: 'storage-1' }

function make(more: Partial<ClientOptions> = {}): Promise<Client> {
  return quickly(() => deriveClient({ ...NAMES, privateKey: key(SECRET), ...more }))
}
function newRegistry(realm = 'tests') {
  const store = new MemoryRegistryStore()
  return { store, registry: openKeyRegistry(store, { realm, ...SERVER }) }
}
async function connect(registry: KeyRegistry, client: Client) {
  return registry.connect(client.prove(await registry.challenge(), SERVER))
}

const desktop = await make()
const changed = await make({ privateKey: key('another') })
const withAccount = await make({ accountKey: ACCOUNT })
const laptop = await make({ name: 'laptop', privateKey: key('laptop'), accountKey: ACCOUNT })
const otherAccountKey = await make({ name: 'laptop', accountKey: { type: 'AES-128', text: 'different' } })
const lone = await make({ name: 'laptop' })
const phone = await make({ name: 'phone', platform: 'ios', accountKey: ACCOUNT })

afterEach(() => void vi.useRealTimers())

describe('an enrolled client', () => {
  it('can connect any number of times, and is locked by its first backup', async () => {
    const { registry } = newRegistry()
    await registry.enrol(desktop.enrolment())
    const expected = {
      account: 'acme',
      name: 'desktop',
      safeguarded: false,
      key: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    }
    for (let time = 0; time < 2; time++) {
      expect(await connect(registry, desktop)).toEqual({ ...expected, state: 'provisional' })
    }
    await registry.commitFirstBackup('acme', 'desktop')
    await registry.commitFirstBackup('acme', 'desktop')
    expect(await connect(registry, desktop)).toEqual({ ...expected, state: 'locked' })
    // From another machine with the same key text.
    expect(await connect(registry, await make())).toEqual({ ...expected, state: 'locked' })
    await registry.enrol(desktop.enrolment())
    expect((await connect(registry, desktop)).state).toBe('locked')
  })

  it('may change its private key before its first backup, but not after', async () => {
    const { registry } = newRegistry()
    await registry.enrol(desktop.enrolment())
    await failure(() => connect(registry, changed), 'key-changed')
    await registry.enrol(changed.enrolment())
    await failure(() => connect(registry, desktop), 'key-changed')
    await connect(registry, changed)
    await registry.commitFirstBackup('acme', 'desktop')
    expect((await failure(() => registry.enrol(desktop.enrolment()), 'key-changed')).detail['role']).toBe('private')
    await failure(() => connect(registry, desktop), 'key-changed')
    expect((await connect(registry, changed)).state).toBe('locked')
  })

  it('is known only in its own account and under its own name', async () => {
    const { registry } = newRegistry()
    await registry.enrol(desktop.enrolment())
    await failure(async () => connect(registry, await make({ account: 'other' })), 'key-not-found')
    await failure(() => connect(registry, lone), 'key-not-found')
    await failure(() => registry.commitFirstBackup('acme', 'laptop'), 'key-not-found')
    await failure(() => registry.commitFirstBackup('', 'laptop'), 'limit-exceeded')
  })

  it('must connect from the platform that it was enrolled on', async () => {
    const { registry } = newRegistry()
    await registry.enrol(desktop.enrolment())
    const moved = await make({ platform: 'windows' })
    expect((await failure(() => connect(registry, moved), 'policy')).detail['rule']).toBe('platform')
    await registry.enrol(moved.enrolment())
    await connect(registry, moved)
  })
})

describe('a product that passes the account and the key', () => {
  it('prevents enrolments into another account', async () => {
    const { registry, store } = newRegistry()
    const error = await failure(() => registry.enrol(desktop.enrolment(), { account: 'mallory' }), 'policy')
    expect(error.detail).toEqual({ rule: 'own-account', account: 'acme' })
    expect(store.rows.size).toBe(0)
    await registry.enrol(desktop.enrolment(), { account: 'acme' })
    await connect(registry, desktop)
  })

  it('locks only the key that the backup is sealed under', async () => {
    const { registry } = newRegistry()
    await registry.enrol(desktop.enrolment())
    const { key: proven } = await connect(registry, desktop)
    await registry.enrol(changed.enrolment())
    await failure(() => registry.commitFirstBackup('acme', 'desktop', { key: proven }), 'key-changed')
    const { key: now } = await connect(registry, changed)
    await registry.commitFirstBackup('acme', 'desktop', { key: now })
    expect((await connect(registry, changed)).state).toBe('locked')
  })

  it('gets a plain Error for a damaged row', async () => {
    const { registry, store } = newRegistry()
    await registry.enrol(desktop.enrolment())
    await store.write('acme', '', sample(10), 2)
    await expect(connect(registry, desktop)).rejects.toThrow('the row of an account in the registry is damaged')
    await expect(registry.enrol(desktop.enrolment())).rejects.not.toBeInstanceOf(KeystrataError)
  })
})

it('a refused enrolment changes nothing, even if the client is locked meanwhile', async () => {
  const { registry, store } = newRegistry()
  await registry.enrol(desktop.enrolment())
  // The client is locked while somebody enrols it with another private key and a first account key.
  const twin = Object.assign(new MemoryRegistryStore(), { rows: store.rows, challenges: store.challenges })
  const beside = openKeyRegistry(twin, { realm: 'tests', ...SERVER })
  const read = store.read.bind(store)
  let reads = 0
  store.read = async (...row) => {
    const found = await read(...row)
    if (reads++ === 0) await beside.commitFirstBackup('acme', 'desktop')
    return found
  }
  const other = await make({ privateKey: key('another'), accountKey: ACCOUNT })
  await failure(() => registry.enrol(other.enrolment()), 'key-changed')
  expect((await connect(registry, desktop)).state).toBe('locked')
  // An enrolment that changes nothing is not written.
  const before = [...store.rows.values()].flat().length
  await registry.enrol(desktop.enrolment())
  expect([...store.rows.values()].flat()).toHaveLength(before)
})

it('an account has at most 4,096 clients', async () => {
  const { registry, store } = newRegistry()
  await registry.enrol(withAccount.enrolment())
  const { row } = (await store.read('acme', ''))!
  const one = row.subarray(-(2 + 7 + 2 + 33 + 1 + 8))
  const count = row.length - one.length - 2
  const many = Array.from({ length: 4096 }, (_, index) => patched(one, 2, Buffer.from(String(index).padStart(7, '0'))))
  await store.write('acme', '', Buffer.concat([row.subarray(0, count), Buffer.from([16, 0]), ...many]), 2)
  await failure(() => registry.enrol(laptop.enrolment()), 'limit-exceeded')
})

describe('an account key', () => {
  it('is required for a second client and for phones', async () => {
    const { registry } = newRegistry()
    await registry.enrol(desktop.enrolment())
    await failure(() => registry.enrol(lone.enrolment()), 'account-key-required')
    await failure(async () => registry.enrol((await make({ platform: 'android' })).enrolment()), 'account-key-required')
    // The second client brings the account key. The first one needs it from then on, locked or not.
    await registry.commitFirstBackup('acme', 'desktop')
    await registry.enrol(laptop.enrolment())
    await connect(registry, laptop)
    await failure(() => connect(registry, desktop), 'account-key-required')
    await failure(() => registry.enrol(desktop.enrolment()), 'account-key-required')
    const later = await quickly(() => desktop.withAccountKey(ACCOUNT))
    expect((await connect(registry, later)).state).toBe('locked')
  })

  it('cannot be replaced after the first one was enrolled', async () => {
    const { registry } = newRegistry()
    await registry.enrol(withAccount.enrolment())
    const error = await failure(() => registry.enrol(otherAccountKey.enrolment()), 'key-changed')
    expect(error.detail['role']).toBe('account')
    await failure(() => connect(registry, desktop), 'account-key-required')
    await registry.enrol(laptop.enrolment())
    await connect(registry, withAccount)
    await connect(registry, laptop)
  })

  it('is refused on connecting until it is enrolled', async () => {
    const { registry } = newRegistry()
    await registry.enrol(desktop.enrolment())
    await failure(() => connect(registry, withAccount), 'key-not-found')
    await registry.enrol(withAccount.enrolment())
    await connect(registry, withAccount)
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
        expect((await failure(() => registry.enrol(first.enrolment()), 'policy')).detail['rule']).toBe(
          'phone-account-key',
        )
        await registry.enrol(second.enrolment())
        continue
      }
      await registry.enrol(first.enrolment())
      expect((await failure(() => registry.enrol(second.enrolment()), 'policy')).detail['rule']).toBe(
        'phone-account-key',
      )
      await connect(registry, first)
    }
    const { registry } = newRegistry()
    await registry.enrol(phone.enrolment())
    const other = await make({ name: 'laptop', accountKey: { type: 'AES-256', text: 'of the account' } })
    await failure(() => registry.enrol(other.enrolment()), 'policy')
    await registry.enrol(laptop.enrolment())
    // A client cannot turn into a phone unnoticed.
    const { registry: plain } = newRegistry()
    const [desk, same] = [await make(strong), await make({ ...strong, platform: 'ios' })]
    await plain.enrol(desk.enrolment())
    await failure(() => connect(plain, same), 'policy')
    await failure(() => plain.enrol(same.enrolment()), 'policy')
  })
})

describe('a challenge', () => {
  it('can be answered once', async () => {
    const { registry } = newRegistry()
    await registry.enrol(desktop.enrolment())
    const proof = desktop.prove(await registry.challenge(), SERVER)
    await registry.connect(proof)
    await failure(() => registry.connect(proof), 'expired')
    // A failed attempt uses the challenge up too.
    const challenge = await registry.challenge()
    await failure(() => registry.connect(changed.prove(challenge, SERVER)), 'key-changed')
    await failure(() => registry.connect(desktop.prove(challenge, SERVER)), 'expired')
  })

  it('can be answered for one minute', async () => {
    const { registry } = newRegistry()
    await registry.enrol(desktop.enrolment())
    vi.useFakeTimers({ now: 1_000_000_000_000, toFake: ['Date'] })
    const [early, late] = [await registry.challenge(), await registry.challenge()]
    vi.setSystemTime(1_000_000_059_000)
    await registry.connect(desktop.prove(early, SERVER))
    vi.setSystemTime(1_000_000_060_001)
    await failure(() => registry.connect(desktop.prove(late, SERVER)), 'expired')
  })

  it('can be answered for one server and one realm only', async () => {
    const { registry, store } = newRegistry()
    await registry.enrol(desktop.enrolment())
    const relay = openKeyRegistry(new MemoryRegistryStore(), { realm: 'tests', server: 'evil' })
    // The relay passes the real server's challenge to its victim. A client that knows whom it talks to refuses.
    const challenge = await registry.challenge()
    await failure(() => desktop.prove(challenge, { server: 'evil' }), 'authentication-failed')
    // The real server refuses a challenge that the relay created.
    const foreign = desktop.prove(await relay.challenge(), { server: 'evil' })
    await failure(() => registry.connect(foreign), 'authentication-failed')
    const elsewhere = openKeyRegistry(store, { realm: 'elsewhere', ...SERVER })
    const proof = desktop.prove(challenge, SERVER)
    await failure(() => elsewhere.connect(proof), 'authentication-failed')
    await failure(async () => desktop.prove(await elsewhere.challenge(), SERVER), 'authentication-failed')
    await failure(() => elsewhere.enrol(desktop.enrolment()), 'authentication-failed')
    await registry.connect(proof)
    // A challenge that was never issued does not work either.
    const made = patched(challenge, challenge.length - 32, sample(32))
    await failure(() => registry.connect(desktop.prove(made, SERVER)), 'expired')
  })
})

describe('proofs and enrolments', () => {
  it('are refused with any byte flipped', async () => {
    const { registry } = newRegistry()
    await registry.enrol(withAccount.enrolment())
    const enrolment = withAccount.enrolment()
    for (let index = 0; index < enrolment.length; index++) {
      await failure(
        () => registry.enrol(flipped(enrolment, index, index % 8)),
        'authentication-failed',
        'malformed',
        'unsupported',
      )
    }
    const challenge = await registry.challenge()
    const proof = withAccount.prove(challenge, SERVER)
    for (let index = 0; index < proof.length; index++) {
      // The platform is not signed, but it must be the enrolled one.
      await failure(
        () => registry.connect(flipped(proof, index, index % 8)),
        ...(['authentication-failed', 'malformed', 'unsupported', 'expired', 'policy', 'key-changed'] as const),
      )
    }
    for (const bytes of [enrolment, proof, challenge]) {
      await failure(() => registry.enrol(bytes.subarray(1)), 'malformed')
      await failure(() => registry.connect(new Uint8Array([...bytes, 0])), 'malformed', 'unsupported')
      await failure(() => withAccount.prove(new Uint8Array([...bytes, 0]), SERVER), 'malformed', 'unsupported')
      await failure(() => registry.enrol(new Uint8Array(5000)), 'limit-exceeded')
    }
  })

  it('are valid for one client only', async () => {
    const { registry } = newRegistry()
    await registry.enrol(withAccount.enrolment())
    await registry.enrol(laptop.enrolment())
    const proof = withAccount.prove(await registry.challenge(), SERVER)
    // The same proof with another client's name.
    const text = Buffer.from(proof)
    const renamed = patched(proof, text.lastIndexOf('desktop'), Buffer.from('Desktop'))
    await failure(() => registry.connect(renamed), 'authentication-failed')
  })

  it('write no key and nothing that reveals one to the database', async () => {
    const { registry, store } = newRegistry()
    await registry.enrol(withAccount.enrolment())
    const stored = [...store.rows.values()].flat().map(hex).join()
    const enrolment = hex(withAccount.enrolment())
    // Neither the key texts nor the public keys, only hashes of the public keys.
    for (let at = 96 + 2 * 40; at + 64 <= enrolment.length; at += 2) {
      expect(stored.includes(enrolment.slice(at, at + 32))).toBe(false)
    }
    for (const text of [SECRET, ACCOUNT.text]) expect(stored).not.toContain(hex(Buffer.from(text)))
  })
})

it('an enrolment without signatures is malformed in any realm', async () => {
  const fields = decode(storedEnrolment, desktop.enrolment(), 'enrolment')
  const unsigned = encode(storedEnrolment, { ...fields, signatures: [] })
  for (const realm of ['tests', 'elsewhere']) {
    const { registry } = newRegistry(realm)
    await failure(() => registry.enrol(unsigned), 'malformed')
  }
})

describe('a write that comes second', () => {
  it('waits at most one second before each retry, and does not wait after the last one', async () => {
    const { registry, store } = newRegistry()
    store.write = async () => false
    const waits: number[] = []
    let now = 0
    const slow = vi.spyOn(Date, 'now').mockImplementation(() => (now += 10_000))
    const timer = vi.spyOn(globalThis, 'setTimeout').mockImplementation(((run: () => void, wait: number) => {
      waits.push(wait)
      queueMicrotask(run)
    }) as never)
    try {
      await failure(() => registry.enrol(desktop.enrolment()), 'conflict')
    } finally {
      slow.mockRestore()
      timer.mockRestore()
    }
    expect(waits).toHaveLength(15)
    for (const wait of waits) expect(wait).toBeLessThanOrEqual(1000)
  })

  it('is tried again, and ends with conflict if other writers keep writing first', async () => {
    const { registry, store } = newRegistry()
    let refusals = 3
    const write = store.write.bind(store)
    store.write = async (...row) => (refusals-- > 0 ? false : write(...row))
    await registry.enrol(desktop.enrolment())
    await connect(registry, desktop)
    store.write = async () => false
    await failure(() => registry.enrol(changed.enrolment()), 'conflict')
    await failure(() => registry.commitFirstBackup('acme', 'desktop'), 'conflict')
  })

  it('is refused if both would enrol the only client of an account without an account key', async () => {
    const { registry } = newRegistry()
    const outcomes = await Promise.allSettled([registry.enrol(desktop.enrolment()), registry.enrol(lone.enrolment())])
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })
})

it('refuses invalid names of realm and server', () => {
  const store = new MemoryRegistryStore()
  expect(() => openKeyRegistry(store, { realm: '', server: 'x' })).toThrow('realm must have 1 to 255 bytes')
  expect(() => openKeyRegistry(store, { realm: 'x', server: 7 as never })).toThrow(TypeError)
})
