// The clients of an account over time: listing and removing them, clearing what they left, and stores that lose answers,
// read late, answer wrongly, or cannot drop.
import { describe, expect, it, vi } from 'vitest'
import { type Client, type ClientOptions, deriveClient, openRegistration, type TypedKey } from '../../src/client.ts'
import { KeystrataError } from '../../src/index.ts'
import { openKeyRegistry } from '../../src/server.ts'
import { StoreMistake } from '../../src/state/checked.ts'
import { prefixed } from '../../src/stores.ts'
import { expectSame, failure, makeKeyset, patched, quickly, sample } from '../fixtures.ts'
import {
  commitFor,
  connectionOf,
  connectTo,
  depositIn,
  enrolIn,
  OWN,
  rowName,
  WatchedStore,
} from '../registry-fixtures.ts'

const ACCOUNT: TypedKey = { type: 'AES-128', text: 'of the account' }
const OTHER: TypedKey = { type: 'AES-128', text: 'another one' }
const NAMES = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
const ACME = { account: 'acme' }
const ROW = rowName('acme')
const DESKTOP = { account: 'acme', name: 'desktop' }

const make = (more: Partial<ClientOptions> = {}): Promise<Client> =>
  quickly(() => deriveClient({ ...NAMES, privateKey: { type: 'AES-256', text: 'of the desktop' }, ...more }))
const registryOn = (store: WatchedStore, safeguarding: 'off' | 'optional' | 'mandatory' = 'optional') =>
  openKeyRegistry(store, { realm: 'tests', ...OWN, safeguarding })
function newRegistry() {
  const store = new WatchedStore()
  return { store, registry: registryOn(store) }
}

const desktop = await make()
const changed = await make({ privateKey: { type: 'AES-256', text: 'another key' } })
const withAccount = await make({ accountKey: ACCOUNT })
const laptop = await make({ name: 'laptop', platform: 'mac', accountKey: ACCOUNT })
const phone = await make({ name: 'phone', platform: 'ios', accountKey: ACCOUNT })

describe('listClients', () => {
  it('lists clients in the order in which they were enrolled', async () => {
    const { registry } = newRegistry()
    expect(await registry.listClients('acme')).toEqual([])
    await enrolIn(registry, phone)
    await enrolIn(registry, withAccount)
    await enrolIn(registry, laptop)
    await commitFor(registry, withAccount)
    await depositIn(registry, laptop)
    expect(await registry.listClients('acme')).toEqual([
      { account: 'acme', name: 'phone', platform: 'ios', state: 'provisional', safeguarded: false },
      { account: 'acme', name: 'desktop', platform: 'linux', state: 'locked', safeguarded: false },
      { account: 'acme', name: 'laptop', platform: 'mac', state: 'provisional', safeguarded: true },
    ])
    expect(await registry.listClients('Acme')).toEqual([])
    await failure(() => registry.listClients(''), 'invalid-text')
    await expect(registry.listClients(undefined as never)).rejects.toThrow(TypeError)
  })

  it('gives a plain Error for a row with a name that no client can have', async () => {
    const { registry, store } = newRegistry()
    await enrolIn(registry, desktop)
    const { bytes } = (await store.read(ROW))!
    await store.write(
      ROW,
      2,
      Buffer.from(Buffer.from(bytes).toString('latin1').replace('desktop', '\xffesktop'), 'latin1'),
    )
    await expect(registry.listClients('acme')).rejects.toThrow('the row of an account in the registry is damaged')
    await expect(registry.listClients('acme')).rejects.not.toBeInstanceOf(KeystrataError)
  })
})

describe('a client that is removed', () => {
  it('is refused from then on, and returns false the second time', async () => {
    const { registry } = newRegistry()
    await enrolIn(registry, desktop)
    await commitFor(registry, desktop)
    const connection = await connectTo(registry, desktop)
    expect(await registry.removeClient(DESKTOP)).toBe(true)
    expect(await registry.removeClient(DESKTOP)).toBe(false)
    await failure(() => connectTo(registry, desktop), 'key-not-found')
    await failure(() => registry.commitFirstBackup(connection), 'key-not-found')
    await failure(() => depositIn(registry, desktop), 'key-not-found')
    expect(await registry.listClients('acme')).toEqual([])
  })

  it('was renamed: the same key texts under the new name open everything from before', async () => {
    const { registry } = newRegistry()
    await enrolIn(registry, desktop)
    await commitFor(registry, desktop)
    const block = await desktop.scope('private').seal(sample(50))
    await registry.removeClient(DESKTOP)
    const renamed = await make({ name: 'workstation' })
    await enrolIn(registry, renamed)
    expect((await connectTo(registry, renamed)).state).toBe('provisional')
    expectSame(await renamed.open(block), sample(50))
  })

  it('was sold or stolen: its name is free for another key, and the old one stays refused', async () => {
    const { registry } = newRegistry()
    await enrolIn(registry, desktop)
    await commitFor(registry, desktop)
    await failure(() => enrolIn(registry, changed), 'key-changed')
    const before = desktop.enrolment(await registry.challenge(), OWN)
    await registry.removeClient(DESKTOP)
    await enrolIn(registry, changed)
    await commitFor(registry, changed)
    await failure(() => connectTo(registry, desktop), 'key-changed')
    await failure(() => registry.enrol(before, ACME), 'key-changed')
    await failure(() => registry.commitFirstBackup(connectionOf(desktop)), 'key-changed')
  })

  it('leaves the other clients and the account key', async () => {
    const { registry } = newRegistry()
    for (const each of [withAccount, laptop, phone]) await enrolIn(registry, each)
    await registry.removeClient({ account: 'acme', name: 'laptop' })
    await connectTo(registry, withAccount)
    await connectTo(registry, phone)
    await registry.removeClient(DESKTOP)
    await registry.removeClient({ account: 'acme', name: 'phone' })
    await failure(() => enrolIn(registry, desktop), 'account-key-required')
    await enrolIn(registry, withAccount)
  })

  it('loses its escrow, but not the registration files that were built before', async () => {
    const { registry, store } = newRegistry()
    const provider = await makeKeyset()
    await enrolIn(registry, desktop)
    const activationCode = await depositIn(registry, desktop)
    const expires = new Date(Date.now() + 60_000)
    const file = await registry.buildRegistration(DESKTOP, provider, { expires })
    await registry.removeClient(DESKTOP)
    expect(await store.kept(ROW)).toEqual([3])
    await failure(() => registry.buildRegistration(DESKTOP, provider, { expires }), 'key-not-found')
    using back = openRegistration(file, { provider: provider.card(), account: 'acme', activationCode })
    await failure(() => connectTo(registry, back), 'key-not-found')
    await enrolIn(registry, back)
    await connectTo(registry, back)
    await failure(() => registry.buildRegistration(DESKTOP, provider, { expires }), 'safeguarding-required')
  })

  it('must have a valid name', async () => {
    const { registry } = newRegistry()
    for (const method of ['removeClient', 'clearEscrow'] as const) {
      await failure(() => registry[method]({ account: '', name: 'x' }), 'invalid-text')
      await failure(() => registry[method]({ account: 'x', name: 'x'.repeat(256) }), 'invalid-text')
      await expect(registry[method]({ account: 'x' } as never)).rejects.toThrow(TypeError)
    }
  })
})

describe('an account key that was lost', () => {
  it('is cleared once no locked client uses it', async () => {
    const { registry } = newRegistry()
    expect(await registry.clearAccountKey('acme')).toBe(false)
    for (const each of [withAccount, laptop]) await enrolIn(registry, each)
    for (const each of [withAccount, laptop]) await commitFor(registry, each)
    const error = await failure(() => registry.clearAccountKey('acme'), 'policy')
    expect(error.detail).toEqual({ rule: 'account-key-in-use', locked: 2 })
    await registry.removeClient(DESKTOP)
    expect((await failure(() => registry.clearAccountKey('acme'), 'policy')).detail['locked']).toBe(1)
    await registry.removeClient({ account: 'acme', name: 'laptop' })
    expect([await registry.clearAccountKey('acme'), await registry.clearAccountKey('acme')]).toEqual([true, false])
    const [first, second] = [await make({ accountKey: OTHER }), await make({ name: 'laptop', accountKey: OTHER })]
    for (const each of [first, second]) {
      await enrolIn(registry, each)
      await commitFor(registry, each)
    }
    await failure(() => connectTo(registry, withAccount), 'key-changed')
  })

  it('may be cleared while provisional clients exist, which must then enrol again', async () => {
    const { registry } = newRegistry()
    await enrolIn(registry, withAccount)
    await enrolIn(registry, phone)
    const connection = await connectTo(registry, withAccount)
    expect(await registry.clearAccountKey('acme')).toBe(true)
    await failure(() => connectTo(registry, withAccount), 'key-not-found')
    // Two clients need an account key, so neither may go on without one.
    for (const action of [
      () => connectTo(registry, desktop),
      () => registry.commitFirstBackup(connection),
      () => depositIn(registry, desktop),
    ]) {
      await failure(action, 'account-key-required')
    }
    await registry.removeClient({ account: 'acme', name: 'phone' })
    await registry.commitFirstBackup(connection)
    await connectTo(registry, desktop)
  })

  it('is required for a lone phone, also after it was cleared', async () => {
    const { registry } = newRegistry()
    await enrolIn(registry, phone)
    const connection = await connectTo(registry, phone)
    await registry.clearAccountKey('acme')
    await failure(() => registry.commitFirstBackup(connection), 'account-key-required')
    const without = await make({ name: 'phone', platform: 'ios' })
    await failure(() => connectTo(registry, without), 'account-key-required')
    await failure(() => enrolIn(registry, without), 'account-key-required')
    await enrolIn(registry, phone)
    await commitFor(registry, phone)
  })

  it('must be of a valid account', async () => {
    const { registry } = newRegistry()
    await failure(() => registry.clearAccountKey(''), 'invalid-text')
    await expect(registry.clearAccountKey(undefined as never)).rejects.toThrow(TypeError)
  })
})

describe('what an unknown client asks for in a loop', () => {
  it('leaves no row, and no key in `once`', async () => {
    const { registry, store } = newRegistry()
    await registry.challenge()
    const stranger = await make({ account: 'nobody' })
    const nobody = { account: 'nobody', name: 'desktop' }
    for (let round = 0; round < 5; round++) {
      await failure(() => connectTo(registry, stranger), 'key-not-found')
      await failure(() => depositIn(registry, stranger), 'key-not-found')
      await failure(() => registry.commitFirstBackup(connectionOf(stranger)), 'key-not-found')
      expect(await registry.removeClient(nobody)).toBe(false)
      expect(await registry.clearEscrow(nobody)).toBe(false)
      expect(await registry.clearAccountKey('nobody')).toBe(false)
      expect(await registry.listClients('nobody')).toEqual([])
    }
    expect([store.writes, store.taken]).toEqual([['registry'], []])
  })
})

describe('the name of a row', () => {
  it('has no text that people chose, and separates accounts and realms', async () => {
    const store = new WatchedStore()
    const odd = await make({ account: '../Ä cme/' })
    await enrolIn(registryOn(store), odd)
    const elsewhere = await make({ realm: 'elsewhere', account: '../Ä cme/' })
    await enrolIn(openKeyRegistry(store, { realm: 'elsewhere', ...OWN }), elsewhere)
    const rows = store.writes.filter((name) => name !== 'registry')
    expect(rows).toEqual([rowName('../Ä cme/'), rowName('../Ä cme/', 'elsewhere')])
    for (const name of rows) expect(name).toMatch(/^account\/[\da-f]{64}$/)
  })

  it('is under the prefix of the store', async () => {
    const store = new WatchedStore()
    const registry = openKeyRegistry(prefixed(store, 'clients/'), { realm: 'tests', ...OWN })
    await enrolIn(registry, desktop)
    await connectTo(registry, desktop)
    expect(store.writes).toEqual(['clients/registry', `clients/${ROW}`])
    expect(store.taken.every(({ key }) => /^clients\/[\da-f]{64}$/.test(key))).toBe(true)
  })
})

/** Every change, ready to be made to an account whose desktop has an escrow. */
const CHANGES: [string, (registry: ReturnType<typeof openKeyRegistry>) => Promise<unknown>][] = [
  ['enrol', (registry) => enrolIn(registry, desktop)],
  ['commitFirstBackup', (registry) => registry.commitFirstBackup(connectionOf(desktop))],
  ['safeguard', (registry) => depositIn(registry, desktop).then(() => undefined)],
  ['clearEscrow', (registry) => registry.clearEscrow(DESKTOP)],
  ['removeClient', (registry) => registry.removeClient(DESKTOP)],
  ['clearAccountKey', (registry) => registry.clearAccountKey('acme')],
]

/** Lets other servers be quicker at every write: they change the date of the latest escrow. */
async function crowd(store: WatchedStore): Promise<void> {
  const { bytes: row } = (await store.read(ROW))!
  store.changed.write = async (name, version) => {
    await store.inner.write(name, version, patched(row, row.length - 8, [0, 0, 0, 0, 0, 0, 0, version % 256]))
    return false
  }
}

async function withEscrow() {
  const { registry, store } = newRegistry()
  await enrolIn(registry, desktop)
  await depositIn(registry, desktop)
  return { registry, store }
}

describe('a store', () => {
  it.each(CHANGES)('that throws after it has written: %s is done, one time', async (_, change) => {
    const [{ registry, store }, control] = [await withEscrow(), await withEscrow()]
    const expected = await change(control.registry)
    store.changed.write = async (...given) => {
      delete store.changed.write
      await store.inner.write(...given)
      throw new Error('the answer was lost')
    }
    expect(await change(registry)).toEqual(expected)
    expect(await registry.listClients('acme')).toEqual(await control.registry.listClients('acme'))
    // The row has no mark of who wrote it, so the change was made again, to the newest version.
    expect(await store.kept(ROW)).toEqual([4])
  })

  it.each(CHANGES)('that answers false after it has written: %s is done, one time', async (_, change) => {
    const [{ registry, store }, control] = [await withEscrow(), await withEscrow()]
    const expected = await change(control.registry)
    store.changed.write = async (...given) => {
      delete store.changed.write
      await store.inner.write(...given)
      return false
    }
    expect(await change(registry)).toEqual(expected)
    expect(await registry.listClients('acme')).toEqual(await control.registry.listClients('acme'))
  })

  it.each(CHANGES.filter(([name]) => name !== 'enrol'))(
    'that does not say what became of a write: %s tries again, and says true if it may have been its own',
    async (name, change) => {
      const { registry, store } = await withEscrow()
      // The write is done, and dropped at once by another server that changes the row.
      store.changed.write = async (...given) => {
        delete store.changed.write
        await store.inner.write(...given)
        await store.inner.write(given[0], given[1] + 1, given[2])
        await store.inner.drop(given[0], given[1] + 1)
        return false
      }
      const answer = await change(registry)
      expect(answer).toBe({ clearEscrow: true, removeClient: true, clearAccountKey: false }[name])
    },
  )

  it.each(CHANGES)('that never answers a write: %s passes its error on', async (_, change) => {
    const { registry, store } = await withEscrow()
    store.changed.write = async () => {
      throw new Error('the database is down')
    }
    await expect(change(registry)).rejects.toThrow(
      new RegExp(`the database is down \\(version 3 of ${ROW} may have been written nevertheless\\)`),
    )
  })

  it.each(CHANGES)('whose reads are late: %s is made to the newest version', async (_, change) => {
    const [{ registry, store }, control] = [await withEscrow(), await withEscrow()]
    const old = await store.read(ROW)
    for (const each of [registry, control.registry]) await registryOnly(each)
    const expected = await change(control.registry)
    let late = 3
    store.changed.read = async (name) => (name === ROW && late-- > 0 ? old : store.inner.read(name))
    expect(await change(registry)).toEqual(expected)
    expect(await registry.listClients('acme')).toEqual(await control.registry.listClients('acme'))
  })

  it('whose reads are late does not make a client believe that it is enrolled, or that an escrow is gone', async () => {
    const { registry, store } = await withEscrow()
    const enrolled = await store.read(ROW)
    await registry.removeClient(DESKTOP)
    const late = (stored: typeof enrolled) => {
      let reads = 2
      store.changed.read = async (name) => (name === ROW && reads-- > 0 ? stored : store.inner.read(name))
    }
    // The late row has the client already, with the same keys.
    late(enrolled)
    await enrolIn(registry, desktop)
    store.changed = {}
    await connectTo(registry, desktop)
    // The late row has no escrow.
    const without = await store.read(ROW)
    await depositIn(registry, desktop)
    late(without)
    expect(await registry.clearEscrow(DESKTOP)).toBe(true)
    // The late read finds no row at all.
    await depositIn(registry, desktop)
    late(undefined)
    expect(await registry.removeClient(DESKTOP)).toBe(true)
  })

  it.each(CHANGES)('in which others are always quicker: %s ends with conflict', async (_, change) => {
    const { registry, store } = await withEscrow()
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    try {
      await crowd(store)
      const refused = failure(() => change(registry), 'conflict')
      await vi.runAllTimersAsync()
      expect((await refused).detail).toEqual({ object: 'account', tries: 16 })
    } finally {
      vi.useRealTimers()
    }
  })

  it('waits at most one second before each of 15 retries', async () => {
    const { registry, store } = await withEscrow()
    await crowd(store)
    const waits: number[] = []
    let now = Date.now()
    const slow = vi.spyOn(Date, 'now').mockImplementation(() => (now += 10_000))
    const timer = vi.spyOn(globalThis, 'setTimeout').mockImplementation(((run: () => void, wait: number) => {
      waits.push(wait)
      queueMicrotask(run)
    }) as never)
    try {
      await failure(() => registry.clearEscrow(DESKTOP), 'conflict')
    } finally {
      slow.mockRestore()
      timer.mockRestore()
    }
    expect(waits).toHaveLength(15)
    for (const wait of waits) expect(wait).toBeLessThanOrEqual(1000)
  })

  it.each(['clearEscrow', 'removeClient'] as const)(
    'that cannot drop: %s says that the change is stored',
    async (name) => {
      const { registry, store } = await withEscrow()
      store.changed.drop = async () => {
        throw new Error('no permission to delete')
      }
      await expect(registry[name](DESKTOP)).rejects.toThrow(
        /no permission to delete \(the change is stored, but older versions of the row were not dropped/,
      )
      expect((await registry.listClients('acme')).filter(({ safeguarded }) => safeguarded)).toEqual([])
      // The escrow is still in an older version. Trying again drops it, although there is nothing else to do.
      await expect(registry[name](DESKTOP)).rejects.toThrow('no permission to delete')
      expect((await store.kept(ROW)).length).toBeGreaterThan(1)
      store.changed = {}
      expect(await registry[name](DESKTOP)).toBe(false)
      expect(await store.kept(ROW)).toHaveLength(1)
    },
  )

  it('that cannot drop is an error for whatever replaces an escrow, and for nothing else', async () => {
    const { registry, store } = await withEscrow()
    store.changed.drop = async () => {
      throw new Error('no permission to delete')
    }
    await commitFor(registry, desktop)
    await enrolIn(registry, desktop)
    await expect(depositIn(registry, desktop)).rejects.toThrow('no permission to delete (the change is stored')
    store.changed = {}
    await enrolIn(registry, desktop)
    expect(await store.kept(ROW)).toHaveLength(1)
  })

  it.each(CHANGES)(
    'that must not be used as it is says so when it drops: %s passes its error on',
    async (_, change) => {
      const { registry, store } = await withEscrow()
      store.changed.drop = async () => {
        throw new StoreMistake('the client is inside a transaction')
      }
      await expect(change(registry)).rejects.toThrow(StoreMistake)
    },
  )

  it.each<['read' | 'write' | 'drop', () => Promise<unknown>]>([
    ['read', async () => ({ version: '1', bytes: sample(3) })],
    ['read', async () => null],
    ['read', async () => ({ version: 1, bytes: 'text' })],
    ['write', async () => ({ rowCount: 1 })],
    ['write', async () => undefined],
    ['drop', () => Promise.reject(new TypeError('drop is not a function'))],
  ])('whose %s answers wrongly gives a TypeError that names it', async (method, wrong) => {
    const { registry, store } = await withEscrow()
    store.changed[method] = wrong as never
    await expect(registry.removeClient(DESKTOP)).rejects.toThrow(TypeError)
    await expect(registry.removeClient(DESKTOP)).rejects.toThrow(method)
  })
})

/** Changes something that none of the changes touch: another client comes and goes. */
async function registryOnly(registry: ReturnType<typeof openKeyRegistry>): Promise<void> {
  expect(await registry.removeClient({ account: 'acme', name: 'nobody' })).toBe(false)
}
