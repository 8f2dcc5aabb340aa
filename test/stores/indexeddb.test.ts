// IndexedDB in a real browser: `npm run test:chromium` runs this file, and `npm run test:firefox` runs the laws, and
// fills a disk, in Firefox. Node has no IndexedDB: there, vitest reports all but the first tests as skipped.
import { afterEach, describe, expect, it, vi } from 'vitest'
import { StoreMistake } from '../../src/state/checked.ts'
import { indexedDbBlobStore, indexedDbStateStore } from '../../src/stores/indexeddb.ts'
import { blobStoreLaws, stateStoreLaws } from '../../src/stores/contract.ts'
import { blocksIn, checkStore, type StateStore } from '../../src/stores.ts'
import { all, makeKeyset, sample } from '../fixtures.ts'
import { add } from './counter.ts'

interface Opening {
  result: Connection
  error: Error | null
  onsuccess: (() => void) | null
  onerror: (() => void) | null
  onblocked: (() => void) | null
  onupgradeneeded: (() => void) | null
}

interface Connection {
  readonly version: number
  close(): void
  createObjectStore(name: string): unknown
}

interface Putting {
  readonly transaction: { abort(): void; addEventListener(type: string, listener: () => void): void }
}

interface Realm {
  readonly indexedDB: {
    open(name: string, version?: number): Opening
    deleteDatabase(name: string): Opening
    databases(): Promise<{ name: string }[]>
  }
  readonly IDBObjectStore: { prototype: { put(this: Putting, ...args: unknown[]): unknown } }
  readonly IDBFactory: { prototype: { open(this: unknown, ...args: unknown[]): Opening } }
  readonly location: { readonly origin: string }
}

const realm = globalThis as unknown as Realm
const isHere = 'indexedDB' in globalThis

/** The databases of this run, each with a name of its own. */
const databases: string[] = []
const newName = (): string => {
  const name = `keystrata-${crypto.randomUUID()}`
  databases.push(name)
  return name
}

const settled = (request: Opening): Promise<Connection> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error ?? new Error('no error'))
    request.onblocked = () => reject(new Error('blocked'))
  })

afterEach(async () => {
  vi.restoreAllMocks()
  for (const name of databases.splice(0)) await settled(realm.indexedDB.deleteDatabase(name))
})

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const one = Uint8Array.of(1)
const two = Uint8Array.of(2)

describe('a store in IndexedDB, wherever it is created', () => {
  it.each([['', undefined, 7, null]].flat())('refuses %s as the name of a database', (name) => {
    expect(() => indexedDbStateStore(name as string)).toThrow(TypeError)
    expect(() => indexedDbBlobStore(name as string)).toThrow(TypeError)
  })

  it('checks names and versions before it opens a database', async () => {
    const state = indexedDbStateStore('never opened')
    const blobs = indexedDbBlobStore('never opened')
    for (const name of ['', 'A', 'a//b', '../a', 'a/_/1', 'a b']) {
      await expect(state.read(name)).rejects.toThrow(/invalid object name/)
      await expect(state.readVersion(name, 1)).rejects.toThrow(/invalid object name/)
      await expect(all(state.readVersions!(name, 1))).rejects.toThrow(/invalid object name/)
      await expect(state.write(name, 1, one)).rejects.toThrow(/invalid object name/)
      await expect(state.drop(name, 1)).rejects.toThrow(/invalid object name/)
      await expect(blobs.get(name)).rejects.toThrow(/invalid object name/)
      await expect(blobs.put(name, one)).rejects.toThrow(/invalid object name/)
      await expect(blobs.replace(name, one, two)).rejects.toThrow(/invalid object name/)
      await expect(blobs.delete(name)).rejects.toThrow(/invalid object name/)
    }
    await expect(all(blobs.list('a//'))).rejects.toThrow(/invalid beginning/)
    for (const version of [0, -1, 1.5, NaN, Infinity]) {
      await expect(state.write('a', version, one)).rejects.toThrow(RangeError)
      await expect(state.readVersion('a', version)).rejects.toThrow(RangeError)
      await expect(all(state.readVersions!('a', version))).rejects.toThrow(RangeError)
    }
  })

  it.skipIf(isHere)('says so on a runtime without IndexedDB', async () => {
    await expect(indexedDbStateStore('a').read('a')).rejects.toThrow(StoreMistake)
    await expect(indexedDbBlobStore('a').get('a')).rejects.toThrow(/no IndexedDB/)
  })
})

describe.skipIf(!isHere)('a StateStore in IndexedDB (needs a browser)', () => {
  it.each(stateStoreLaws(() => indexedDbStateStore(newName())))('keeps the law: $name', ({ check }) => check())

  describe('with a connection for each handle', () => {
    const name = `keystrata-laws-${crypto.randomUUID()}`
    it.each(stateStoreLaws(() => indexedDbStateStore(name)))('keeps the law: $name', ({ check }) => check())
    it('passes checkStore, several times at once', async () => {
      await Promise.all(Array.from({ length: 4 }, () => checkStore(indexedDbStateStore(name))))
      await checkStore(indexedDbStateStore(name))
    })
    it('is deleted with its database', async () => {
      await settled(realm.indexedDB.deleteDatabase(name))
      expect(await indexedDbStateStore(name).read('check')).toBeUndefined()
      databases.push(name)
    })
  })

  it('has its objects in a new connection', async () => {
    const name = newName()
    const store = indexedDbStateStore(name)
    expect(await store.write('keyset', 1, one)).toBe(true)
    expect(await store.write('keyset', 2, two)).toBe(true)
    const again = indexedDbStateStore(name)
    expect(await again.read('keyset')).toEqual({ version: 2, bytes: two })
    expect(await again.readVersion('keyset', 1)).toEqual(one)
  })

  it('stores a part of a large buffer, and only that', async () => {
    const store = indexedDbStateStore(newName())
    const large = sample(100_000)
    await store.write('a', 1, large.subarray(500, 510))
    const bytes = (await store.read('a'))?.bytes
    expect(bytes).toEqual(large.slice(500, 510))
    expect(bytes!.buffer.byteLength).toBe(10)
    const shared = new Uint8Array(new SharedArrayBuffer(8)).fill(7)
    expect(await store.write('a', 2, shared)).toBe(true)
    expect(await store.readVersion('a', 2)).toEqual(new Uint8Array(8).fill(7))
  })

  it('streams versions while the caller takes its time, and while others write', async () => {
    const store = indexedDbStateStore(newName())
    for (let version = 1; version <= 40; version++) await store.write('log/a', version, Uint8Array.of(version))
    const found: number[] = []
    for await (const { version, bytes } of store.readVersions!('log/a', 2)) {
      expect(bytes).toEqual(Uint8Array.of(version))
      found.push(version)
      if (version === 20) await store.write('log/a', 41, Uint8Array.of(41))
      if (version % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(found).toEqual(Array.from({ length: 40 }, (_, index) => index + 2))
  })

  it('drops nothing below the first version, and nothing of an object that is not there', async () => {
    const store = indexedDbStateStore(newName())
    await store.write('a', 1, one)
    for (const below of [-3, 0, 1, 2, NaN, Infinity]) await store.drop('a', below)
    await store.drop('b', 5)
    expect(await store.read('a')).toEqual({ version: 1, bytes: one })
    expect(await store.read('b')).toBeUndefined()
  })

  it('answers an aborted transaction with an error, and has stored nothing', async () => {
    const store = indexedDbStateStore(newName())
    await store.write('a', 1, one)
    const { put } = realm.IDBObjectStore.prototype
    let puts = 0
    vi.spyOn(realm.IDBObjectStore.prototype, 'put').mockImplementation(function (this: Putting, ...args: unknown[]) {
      const request = put.apply(this, args)
      // After the last request, as when the disk is full at the commit.
      if (++puts === 2) (request as Opening & EventTarget).addEventListener('success', () => this.transaction.abort())
      return request
    })
    await expect(store.write('a', 2, two)).rejects.toThrow(/aborted/)
    vi.restoreAllMocks()
    expect(puts).toBe(2)
    expect(await store.read('a')).toEqual({ version: 1, bytes: one })
    expect(await store.readVersion('a', 2)).toBeUndefined()
    expect(await store.write('a', 2, two)).toBe(true)
  })
})

describe.skipIf(!isHere)('a BlobStore in IndexedDB (needs a browser)', () => {
  const name = `keystrata-blobs-${crypto.randomUUID()}`
  it.each(blobStoreLaws(() => indexedDbBlobStore(name)))('keeps the law: $name', ({ check }) => check())

  it('passes checkStore, several times at once, and keeps nothing of it', async () => {
    const store = indexedDbBlobStore(name)
    await Promise.all(Array.from({ length: 3 }, () => checkStore(indexedDbBlobStore(name))))
    expect(await all(store.list('check/'))).toEqual([])
    await settled(realm.indexedDB.deleteDatabase(name))
  })

  it('lists names in order, with the date of the last change', async () => {
    const store = indexedDbBlobStore(newName())
    const names = ['a/b', 'a', 'a-b', 'b/1', 'a/b/c', '0']
    for (const each of names) await store.put(each, sample(each.length))
    const start = Date.now()
    const listed = await all(store.list(''))
    expect(listed.map((each) => each.name)).toEqual([...names].sort())
    for (const each of listed) {
      expect(each.size).toBe(each.name.length)
      expect(Math.abs(each.modified.getTime() - start)).toBeLessThan(60_000)
    }
    expect((await all(store.list('a/'))).map((each) => each.name)).toEqual(['a/b', 'a/b/c'])
  })

  it('keeps blocks that a keyset opens, beside its state in the same database', async () => {
    const database = newName()
    const blocks = blocksIn(indexedDbBlobStore(database))
    const state = indexedDbStateStore(database)
    using keyset = await makeKeyset()
    const block = await keyset.seal(utf8('my file'))
    expect(await blocks.has(block.label)).toBe(false)
    expect(await blocks.put(block)).toBe(true)
    expect(await blocks.put(block)).toBe(false)
    expect(await blocks.has(block.label)).toBe(true)
    expect(await state.write('keyset', 1, keyset.export('storage'))).toBe(true)
    const again = blocksIn(indexedDbBlobStore(database))
    expect(await keyset.open((await again.get(block.label))!)).toEqual(utf8('my file'))
    expect((await state.read('keyset'))?.version).toBe(1)
  })
})

/** Remembers every connection that is opened from now on. */
function watchConnections(): Connection[] {
  const connections: Connection[] = []
  const { open } = realm.IDBFactory.prototype
  vi.spyOn(realm.IDBFactory.prototype, 'open').mockImplementation(function (this: unknown, ...args: unknown[]) {
    const request = open.apply(this, args) as Opening & EventTarget
    request.addEventListener('success', () => connections.push(request.result))
    return request
  })
  return connections
}

describe.skipIf(!isHere)('a connection to IndexedDB (needs a browser)', () => {
  it('is opened again after the browser closed it', async () => {
    const connections = watchConnections()
    const store = indexedDbStateStore(newName())
    await store.write('a', 1, one)
    await store.read('a')
    expect(connections.length).toBe(1)
    connections[0]!.close()
    expect(await store.write('a', 2, two)).toBe(true)
    expect(connections.length).toBe(2)
    ;(connections[1] as Connection & EventTarget).dispatchEvent(new Event('close'))
    expect(await store.read('a')).toEqual({ version: 2, bytes: two })
    expect(connections.length).toBe(3)
  })

  it('makes way when another tab deletes the database, and starts an empty one', async () => {
    const name = newName()
    const [state, blobs] = [indexedDbStateStore(name), indexedDbBlobStore(name)]
    await state.write('a', 1, one)
    await blobs.put('a', one)
    await settled(realm.indexedDB.deleteDatabase(name))
    expect(await state.read('a')).toBeUndefined()
    expect(await blobs.get('a')).toBeUndefined()
    expect(await state.write('a', 1, two)).toBe(true)
  })

  it('makes way when another tab upgrades the database, and then asks for a reload', async () => {
    const name = newName()
    const store = indexedDbStateStore(name)
    await store.write('a', 1, one)
    const newer = await settled(realm.indexedDB.open(name, 2))
    expect(newer.version).toBe(2)
    const error: unknown = await store.read('a').catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(StoreMistake)
    expect((error as Error).message).toMatch(/newer release of keystrata: reload/)
    newer.close()
  })

  it('refuses the database of another program', async () => {
    const name = newName()
    const opening = realm.indexedDB.open(name, 1)
    opening.onupgradeneeded = () => opening.result.createObjectStore('notes')
    ;(await settled(opening)).close()
    await expect(indexedDbStateStore(name).write('a', 1, one)).rejects.toThrow(/belongs to another program/)
    await expect(indexedDbBlobStore(name).get('a')).rejects.toThrow(StoreMistake)
  })

  it('reports a tab that blocks it, tries again at the next call, and leaves no connection behind', async () => {
    const name = newName()
    const connections = watchConnections()
    const open = realm.IDBFactory.prototype.open.bind(realm.indexedDB)
    vi.spyOn(realm.IDBFactory.prototype, 'open').mockImplementationOnce((...args: unknown[]) => {
      const request = open(...args) as Opening & EventTarget
      queueMicrotask(() => request.dispatchEvent(new Event('blocked')))
      return request
    })
    const store = indexedDbStateStore(name)
    await expect(store.write('a', 1, one)).rejects.toThrow(/another tab keeps the database .* open/)
    expect(await store.write('a', 1, one)).toBe(true)
    // The first connection was closed, so only the second has to make way.
    expect(connections.length).toBe(2)
    expect(() => (connections[0] as unknown as { transaction(name: string): unknown }).transaction('head')).toThrow(
      /clos/,
    )
  })

  it('can fail to open once, and open later', async () => {
    const store: StateStore = indexedDbStateStore(newName())
    vi.spyOn(realm.IDBFactory.prototype, 'open').mockImplementationOnce(() => {
      throw new Error('the profile is on a disk that is gone')
    })
    await expect(store.read('a')).rejects.toThrow(/disk that is gone/)
    expect(await store.write('a', 1, one)).toBe(true)
  })

  it('shares the database with a worker, and neither loses what the other adds', async () => {
    const name = newName()
    const store = indexedDbStateStore(name)
    const { origin } = realm.location
    const source = `
      import { indexedDbStateStore } from '${origin}/src/stores/indexeddb.ts'
      import { add } from '${origin}/test/stores/counter.ts'
      add(indexedDbStateStore('${name}'), 40).then(() => postMessage('done'), (error) => postMessage(String(error)))`
    const { Worker } = globalThis as unknown as { Worker: new (url: string, options: object) => EventTarget }
    const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }))
    const worker = new Worker(url, { type: 'module' }) as EventTarget & { terminate(): void }
    const ended: Promise<unknown> = new Promise((resolve, reject) => {
      worker.addEventListener('message', (event) => resolve((event as MessageEvent).data))
      worker.addEventListener('error', (event) =>
        reject(new Error(String((event as unknown as { message: unknown }).message))),
      )
    })
    await add(store, 40)
    expect(await ended).toBe('done')
    worker.terminate()
    const newest = await store.read('counter')
    expect(newest?.version).toBe(80)
    expect(newest?.bytes).toEqual(Uint8Array.of(80))
  })
})
