import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { CheckedRegistryStore, CheckedStore, listBlobs, StoreMistake } from '../../src/state/checked.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import { all, failure, streamOf } from '../fixtures.ts'

const bytes = Uint8Array.of(1, 2, 3)

/** Returns a checked store whose method returns `answer`. */
const answering = (method: keyof StateStore, answer: unknown): CheckedStore =>
  new CheckedStore({ ...memoryStateStore(), [method]: async () => answer })

/** Returns the error that an answer causes. */
async function complaint(method: 'read' | 'readVersion' | 'write', answer: unknown): Promise<string> {
  const store = answering(method, answer)
  const calls = {
    read: () => store.read('a'),
    readVersion: () => store.readVersion('a', 1),
    write: () => store.write('a', 1, bytes),
  }
  const error: unknown = await calls[method]().then(
    () => expect.unreachable(),
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(StoreMistake)
  expect(error).toBeInstanceOf(TypeError)
  return (error as Error).message
}

describe('CheckedStore', () => {
  it('passes correct answers through', async () => {
    const store = new CheckedStore(memoryStateStore())
    expect(await store.read('a')).toBeUndefined()
    expect(await store.readVersion('a', 1)).toBeUndefined()
    expect(await store.write('a', 1, bytes)).toBe(true)
    expect(await store.write('a', 1, bytes)).toBe(false)
    expect(await store.read('a')).toEqual({ version: 1, bytes })
    expect(await store.readVersion('a', 1)).toEqual(bytes)
    await store.write('a', 2, bytes)
    await store.drop('a', 2)
    expect(await store.readVersion('a', 1)).toBeUndefined()
  })

  it('writes nothing behind the last version', async () => {
    const last = Number.MAX_SAFE_INTEGER
    const written: number[] = []
    const store = new CheckedStore({
      ...memoryStateStore(),
      write: async (_, version) => {
        written.push(version)
        return true
      },
    })
    expect(await store.write('a', last, bytes)).toBe(true)
    const { detail } = await failure(() => store.write('a', last + 1, bytes), 'limit-exceeded')
    expect(detail).toMatchObject({ version: last })
    expect(written).toEqual([last])
  })

  it.each(['read', 'readVersion', 'write', 'drop'] as const)('names the method %s if it is missing', (method) => {
    expect(() => new CheckedStore({ ...memoryStateStore(), [method]: undefined })).toThrow(
      `this is not a StateStore: it has no method ${method}`,
    )
  })

  it.each([[undefined], [null], [7], ['a path'], [new Map()]])('refuses %s as a store', (store) => {
    expect(() => new CheckedStore(store as never)).toThrow(TypeError)
  })

  it("calls the store's methods as methods, so that a class can be a store", async () => {
    class Counted {
      calls = 0
      readonly #inner = memoryStateStore()
      async read(name: string) {
        this.calls++
        return this.#inner.read(name)
      }
      readVersion = async () => undefined
      write = async () => true
      drop = async () => undefined
    }
    const counted = new Counted()
    await new CheckedStore(counted).read('a')
    expect(counted.calls).toBe(1)
  })

  it.each([
    [1, 'write of the store returned 1, but it must return true or false'],
    [0, 'write of the store returned 0'],
    [1n, 'write of the store returned the bigint 1'],
    [undefined, 'write of the store returned undefined'],
    [null, 'write of the store returned null'],
    [{ rowCount: 0 }, 'write of the store returned an object'],
    [[], 'write of the store returned an object'],
    ['secret', 'write of the store returned a string'],
    [Object(true), 'write of the store returned an object'],
  ])('refuses %s as the answer to a write', async (answer, message) => {
    expect(await complaint('write', answer)).toContain(message)
  })

  it.each([
    [null, 'read of the store returned null, but it must return { version, bytes }, or undefined'],
    [false, 'read of the store returned false'],
    [0, 'read of the store returned 0'],
    ['secret', 'read of the store returned a string'],
    [bytes, 'read().version of the store returned undefined'],
    [{ version: '1', bytes }, 'read().version of the store returned a string'],
    [{ version: 1n, bytes }, 'read().version of the store returned the bigint 1, but it must return an integer'],
    [{ version: NaN, bytes }, 'read().version of the store returned NaN'],
    [{ version: 0, bytes }, 'read().version of the store returned 0'],
    [{ version: -1, bytes }, 'read().version of the store returned -1'],
    [{ version: 1.5, bytes }, 'read().version of the store returned 1.5'],
    [{ version: 2 ** 53, bytes }, 'convert a BIGINT column to a number'],
    [{ version: 1 }, 'read().bytes of the store returned undefined'],
    [{ version: 1, bytes: '\\x010203' }, 'read().bytes of the store returned a string'],
    [{ version: 1, bytes: bytes.buffer }, 'read().bytes of the store returned an object'],
    [{ version: 1, bytes: [1, 2, 3] }, 'read().bytes of the store returned an object'],
  ])('refuses %s as the answer to a read', async (answer, message) => {
    expect(await complaint('read', answer)).toContain(message)
  })

  it.each([
    [null, 'readVersion of the store returned null, but it must return bytes, or undefined'],
    [{ version: 1, bytes }, 'readVersion of the store returned an object'],
    [new Uint16Array(2), 'readVersion of the store returned an object'],
    ['secret', 'readVersion of the store returned a string'],
    [Symbol('secret'), 'readVersion of the store returned a symbol'],
    [() => bytes, 'readVersion of the store returned a function'],
  ])('refuses %s as the answer to a read of one version', async (answer, message) => {
    const said = await complaint('readVersion', answer)
    expect(said).toContain(message)
    expect(said).not.toContain('secret')
  })

  it('accepts Buffers, and bytes of another realm, as plain bytes', async () => {
    const buffer = Buffer.from(bytes)
    const found = await answering('read', { version: 1, bytes: buffer, updated: new Date() }).read('a')
    expect(found).toEqual({ version: 1, bytes })
    expect(Object.getPrototypeOf(found!.bytes)).toBe(Uint8Array.prototype)
    const foreign: unknown = runInNewContext('Uint8Array.of(1, 2, 3)')
    expect(await answering('readVersion', foreign).readVersion('a', 1)).toEqual(bytes)
  })

  it('gives the store a copy of the bytes', async () => {
    const given: Uint8Array[] = []
    const store: StateStore = {
      ...memoryStateStore(),
      write: async (_name, _version, each) => {
        given.push(each)
        each.fill(9)
        return true
      },
    }
    await new CheckedStore(store).write('a', 1, bytes)
    expect(given[0]).not.toBe(bytes)
    expect(bytes).toEqual(Uint8Array.of(1, 2, 3))
  })

  it("lets the store's own errors through", async () => {
    const error = new Error('no connection')
    const fail = async () => {
      throw error
    }
    const store = new CheckedStore({ read: fail, readVersion: fail, write: fail, drop: fail })
    await expect(store.read('a')).rejects.toBe(error)
    await expect(store.readVersion('a', 1)).rejects.toBe(error)
    await expect(store.write('a', 1, bytes)).rejects.toBe(error)
    await expect(store.drop('a', 1)).rejects.toBe(error)
  })
})

describe('CheckedRegistryStore', () => {
  const until = new Date(Date.now() + 60_000)

  it('passes correct answers through, and calls once as a method', async () => {
    const store = new CheckedRegistryStore(memoryStateStore())
    expect([await store.once('a', until), await store.once('a', until)]).toEqual([true, false])
    expect(await store.write('a', 1, bytes)).toBe(true)
    const own = {
      ...memoryStateStore(),
      keys: new Set<string>(),
      async once(this: { keys: Set<string> }, key: string) {
        return this.keys.size < this.keys.add(key).size
      },
    }
    expect(await new CheckedRegistryStore(own).once('a', until)).toBe(true)
    expect([...own.keys]).toEqual(['a'])
  })

  it.each([undefined, null, 1, 'true', { rowCount: 1 }])('refuses %s as the answer of once', async (answer) => {
    const store = new CheckedRegistryStore({ ...memoryStateStore(), once: async () => answer as never })
    await expect(store.once('a', until)).rejects.toThrow(StoreMistake)
    await expect(store.once('a', until)).rejects.toThrow('once of the store returned')
  })

  it('names the method that is missing', () => {
    expect(() => new CheckedRegistryStore({ ...memoryStateStore(), once: undefined as never })).toThrow(
      'this is not a RegistryStore: it has no method once',
    )
    expect(() => new CheckedRegistryStore({} as never)).toThrow('this is not a StateStore: it has no method read')
  })
})

describe('listBlobs', () => {
  it.each([[undefined], [null], [7], ['a/1'], [true]])('refuses a list with %j in it', async (found) => {
    const list = () => streamOf([{ name: 'a/1', size: 1, modified: new Date() }, found as never])
    const listing = () => all(listBlobs({ list }, 'a/'))
    await expect(listing()).rejects.toThrow(StoreMistake)
    await expect(listing()).rejects.toThrow(/^list of the store returned .* must return \{ name, size, modified \}$/)
  })
})
