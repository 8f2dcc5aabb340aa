import { describe, expect, it } from 'vitest'
import { registryStoreLaws, stateStoreLaws } from '../../src/stores/contract.ts'
import {
  checkStore,
  memoryStateStore,
  prefixed,
  type RegistryStore,
  routed,
  type StateStore,
} from '../../src/stores.ts'
import { all } from '../fixtures.ts'

const one = Uint8Array.of(1)
const two = Uint8Array.of(2)
const later = (): Date => new Date(Date.now() + 60_000)

/** A store that has only what every StateStore must have. */
function plain(store: RegistryStore = memoryStateStore()): StateStore {
  const { read, readVersion, write, drop } = store
  return { read, readVersion, write, drop }
}

describe('a part of a store', () => {
  it.each(registryStoreLaws(() => prefixed(memoryStateStore(), 'user-4711/')))('keeps the law: $name', ({ check }) =>
    check(),
  )
  it.each(stateStoreLaws(() => prefixed(plain(), 'a/b/')))(
    'keeps the law without optional methods: $name',
    ({ check }) => check(),
  )

  it('puts the prefix before every name', async () => {
    const store = memoryStateStore()
    const part = prefixed(store, 'user-1/')
    await part.write('keyset', 1, one)
    await part.write('keyset', 2, two)
    expect(await store.read('user-1/keyset')).toEqual({ version: 2, bytes: two })
    expect(await store.read('keyset')).toBeUndefined()
    expect(await part.readVersion('keyset', 1)).toEqual(one)
    expect(await all(part.readVersions!('keyset', 1))).toEqual([
      { version: 1, bytes: one },
      { version: 2, bytes: two },
    ])
    await part.drop('keyset', 2)
    expect(await store.readVersion('user-1/keyset', 1)).toBeUndefined()
  })

  it('is apart from the other parts', async () => {
    const store = memoryStateStore()
    const [first, second] = [prefixed(store, 'user-1/'), prefixed(store, 'user-11/')]
    await first.write('1/keyset', 1, one)
    expect(await second.read('keyset')).toBeUndefined()
    const key = 'challenge'
    expect([await first.once(key, later()), await second.once(key, later()), await first.once(key, later())]).toEqual([
      true,
      true,
      false,
    ])
  })

  it('can be a part of a part, and passes checkStore', async () => {
    const store = memoryStateStore()
    const inner = prefixed(prefixed(store, 'a/'), 'b/')
    await inner.write('keyset', 1, one)
    expect((await store.read('a/b/keyset'))?.version).toBe(1)
    await checkStore(inner)
    expect((await store.read('a/b/check'))?.version).toBe(2)
  })

  it('has the optional methods that the store has', () => {
    expect('once' in prefixed(plain(), 'a/')).toBe(false)
    expect(prefixed(plain(), 'a/').readVersions).toBeUndefined()
    expect(prefixed(memoryStateStore(), 'a/').readVersions).toBeTypeOf('function')
    expect(prefixed(memoryStateStore(), 'a/').once).toBeTypeOf('function')
  })

  it.each([[''], ['a'], ['/'], ['A/'], ['a b/'], ['../'], ['müller/'], [undefined]])(
    'cannot begin with %j',
    (prefix) => {
      expect(() => prefixed(memoryStateStore(), prefix!)).toThrow(/invalid prefix/)
    },
  )

  it("calls the store's methods as methods", async () => {
    class Store implements StateStore {
      readonly #inner = memoryStateStore()
      read = undefined as never
      readVersion = undefined as never
      write = undefined as never
      drop = undefined as never
      static {
        for (const method of ['read', 'readVersion', 'write', 'drop'] as const) {
          Object.defineProperty(this.prototype, method, {
            value(this: Store, ...args: [string, never, never]) {
              return this.#inner[method](...args)
            },
          })
        }
      }
      constructor() {
        for (const method of ['read', 'readVersion', 'write', 'drop']) Reflect.deleteProperty(this, method)
      }
    }
    const part = prefixed(new Store(), 'a/')
    expect(await part.write('b', 1, one)).toBe(true)
    expect((await part.read('b'))?.version).toBe(1)
  })
})

describe('a routed store', () => {
  const make = () => {
    const [server, bucket, logs] = [memoryStateStore(), memoryStateStore(), memoryStateStore()]
    return { server, bucket, logs, store: routed({ profile: server, 'keyring/': bucket, 'keyring/logs/': logs }) }
  }

  it.each(
    stateStoreLaws(() => {
      const laws = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`law-${index}/`, memoryStateStore()]))
      return routed(laws)
    }),
  )('keeps the law: $name', ({ check }) => check())

  it('finds the store by the name, or by the longest prefix', async () => {
    const { server, bucket, logs, store } = make()
    for (const name of ['profile', 'keyring/1', 'keyring/logs/1', 'keyring/logs-1']) await store.write(name, 1, one)
    expect((await server.read('profile'))?.version).toBe(1)
    expect((await bucket.read('keyring/1'))?.version).toBe(1)
    expect((await bucket.read('keyring/logs-1'))?.version).toBe(1)
    expect((await logs.read('keyring/logs/1'))?.version).toBe(1)
    expect(await bucket.read('keyring/logs/1')).toBeUndefined()
    expect(await store.readVersion('keyring/1', 1)).toEqual(one)
    expect(await all(store.readVersions!('keyring/1', 1))).toEqual([{ version: 1, bytes: one }])
    await store.write('keyring/1', 2, two)
    await store.drop('keyring/1', 2)
    expect(await bucket.readVersion('keyring/1', 1)).toBeUndefined()
  })

  it('prefers an exact name to a prefix that is as long', async () => {
    const [exact, under] = [memoryStateStore(), memoryStateStore()]
    const store = routed({ 'a/': under, 'a/b': exact })
    await store.write('a/b', 1, one)
    await store.write('a/b/c', 1, two)
    expect([await exact.read('a/b'), await under.read('a/b/c')].map((found) => found?.version)).toEqual([1, 1])
    expect(await under.read('a/b')).toBeUndefined()
  })

  it.each(['profile/1', 'profiles', 'keyring', 'check', ''])(
    'throws a TypeError for %j, which has no route',
    async (name) => {
      const { store } = make()
      await expect(store.read(name)).rejects.toThrow(`no store is routed for ${name}`)
      await expect(store.readVersion(name, 1)).rejects.toThrow(TypeError)
      await expect(store.write(name, 1, one)).rejects.toThrow(TypeError)
      await expect(store.drop(name, 1)).rejects.toThrow(TypeError)
      await expect(all(store.readVersions!(name, 1))).rejects.toThrow(TypeError)
    },
  )

  it.each([['A'], [''], ['a//'], ['/'], ['a_b'], ['../']])('refuses the route %j', (route) => {
    expect(() => routed({ [route]: memoryStateStore() })).toThrow(TypeError)
  })

  it('streams versions only if all its stores do', () => {
    expect(routed({ a: memoryStateStore(), b: plain() }).readVersions).toBeUndefined()
    expect(routed({ a: memoryStateStore() }).readVersions).toBeTypeOf('function')
  })
})
