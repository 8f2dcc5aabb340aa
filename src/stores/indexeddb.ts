// keystrata/stores/indexeddb: stores in a browser's IndexedDB (SPEC §6.3). Every write is one transaction, and counts
// when the browser says that the transaction is complete. IndexedDB does not protect what is stored: scripts of the same
// origin can read, change and delete all of it.
import { copyOf, equalBytes } from '../core/bytes.ts'
import { nameOf } from '../core/realms.ts'
import { StoreMistake } from '../state/checked.ts'
import { assertName, assertNameStart, assertVersion } from '../state/name.ts'
import type { BlobStore, StateStore, StoredObject } from '../state/store.ts'
import { copyingBytes } from '../state/copies-bytes.ts'

/** The version of the layout below. */
const LAYOUT = 1

/** Name → newest version; [name, version] → bytes. */
const [HEAD, VERSION] = ['head', 'version']
/** Name → size and date, so that listing reads no contents; name → bytes. */
const [BLOB, CONTENT] = ['blob', 'content']
/** State and blobs may share a database, so every database has all of them. */
const OBJECT_STORES = [HEAD, VERSION, BLOB, CONTENT]

/** How many versions, or names, are read in one transaction. */
const VERSIONS_AHEAD = 16
const NAMES_AHEAD = 500

// The parts of IndexedDB that are used here. The library is not compiled with the types of browsers.

interface Request<T> {
  readonly result: T
  readonly error: Error | null
  onsuccess: (() => void) | null
  onerror: (() => void) | null
}

interface OpenRequest extends Request<Database> {
  onupgradeneeded: (() => void) | null
  onblocked: (() => void) | null
}

type Key = string | readonly [name: string, version: number]
type KeyRange = object

interface ObjectStore {
  get(key: Key): Request<unknown>
  getKey(key: Key): Request<unknown>
  getAll(range: KeyRange | null, count: number): Request<unknown[]>
  getAllKeys(range: KeyRange | null, count: number): Request<unknown[]>
  put(value: unknown, key: Key): Request<unknown>
  delete(key: Key | KeyRange): Request<unknown>
}

interface Transaction {
  readonly error: Error | null
  oncomplete: (() => void) | null
  onabort: (() => void) | null
  objectStore(name: string): ObjectStore
  abort(): void
}

interface Database {
  readonly objectStoreNames: { contains(name: string): boolean }
  onversionchange: (() => void) | null
  onclose: (() => void) | null
  createObjectStore(name: string): unknown
  transaction(stores: readonly string[], mode: Mode, options: { durability: 'strict' }): Transaction
  close(): void
}

interface Browser {
  readonly indexedDB?: { open(name: string, version: number): OpenRequest }
  readonly IDBKeyRange: {
    bound(lower: Key, upper: Key, isLowerOpen: boolean, isUpperOpen: boolean): KeyRange
  }
}

type Mode = 'readonly' | 'readwrite'

const browser = (): Browser => globalThis as Partial<Browser> as Browser

/** Waits for a request. In a transaction, no other promise may be awaited: the browser would end the transaction. */
function done<T>(request: Request<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error ?? new Error('the browser refused a request to IndexedDB'))
  })
}

/** A database that is opened at first use, and again after the browser or another tab closed it. */
class Connection {
  readonly #name: string
  #opening: Promise<Database> | undefined

  constructor(name: string) {
    if (typeof name !== 'string' || name === '') throw new TypeError('the name of a database must be a string')
    this.#name = name
  }

  /**
   * Runs `body` in one transaction, and returns its result when the transaction is complete.
   * @throws the browser's error, for example a DOMException QuotaExceededError. It says nothing about the write
   * @throws TypeError if the database belongs to another program, or to another release
   */
  async run<T>(mode: Mode, stores: readonly string[], body: (transaction: Transaction) => Promise<T>): Promise<T> {
    const transaction = await this.#begin(mode, stores)
    const completed: Promise<void> = new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve()
      transaction.onabort = () =>
        reject(transaction.error ?? new Error('the browser aborted a transaction of IndexedDB'))
    })
    const result = body(transaction).catch((error: unknown) => {
      abort(transaction)
      throw error
    })
    const [value] = await Promise.all([result, completed])
    return value
  }

  async #begin(mode: Mode, stores: readonly string[]): Promise<Transaction> {
    const begin = async () => (await this.#open()).transaction(stores, mode, { durability: 'strict' })
    try {
      return await begin()
    } catch (error) {
      // The browser closed the database, perhaps while this waited for it. The event comes later.
      if (nameOf(error) !== 'InvalidStateError') throw error
      this.#opening = undefined
      return begin()
    }
  }

  #open(): Promise<Database> {
    if (this.#opening !== undefined) return this.#opening
    const forget = () => {
      if (this.#opening === opening) this.#opening = undefined
    }
    const opening = open(this.#name, forget)
    this.#opening = opening
    opening.catch(forget)
    return opening
  }
}

function abort(transaction: Transaction): void {
  try {
    transaction.abort()
  } catch {
    // It is aborted already, because a request failed.
  }
}

/** Opens a database, and creates its object stores. Calls `forget` when it is closed. */
async function open(name: string, forget: () => void): Promise<Database> {
  const { indexedDB } = browser()
  if (indexedDB === undefined) throw new StoreMistake('this runtime has no IndexedDB: use another store')
  const request = indexedDB.open(name, LAYOUT)
  request.onupgradeneeded = () => {
    for (const store of OBJECT_STORES) request.result.createObjectStore(store)
  }
  let isGivenUp = false
  const blocked: Promise<never> = new Promise((_, reject) => {
    request.onblocked = () => {
      isGivenUp = true
      reject(new Error(`another tab keeps the database ${name} open in another version: close or reload that tab`))
    }
  })
  const opened = done(request).then((database) => {
    if (isGivenUp) database.close()
    return database
  })
  const database = await Promise.race([opened, blocked]).catch((error: unknown) => {
    throw nameOf(error) === 'VersionError'
      ? new StoreMistake(`the database ${name} was written by a newer release of keystrata: reload this page`)
      : error
  })
  database.onversionchange = () => {
    // Another tab wants to delete or upgrade the database, and waits for this. Running transactions end first.
    database.close()
    forget()
  }
  database.onclose = forget
  if (OBJECT_STORES.every((store) => database.objectStoreNames.contains(store))) return database
  database.close()
  throw new StoreMistake(`the database ${name} belongs to another program: choose another name`)
}

/** The versions of an object from `from` to below `end`. */
const versionsFrom = (name: string, from: number, end: number): KeyRange =>
  browser().IDBKeyRange.bound([name, from], [name, end], false, true)

/**
 * Returns a store of objects in a database of IndexedDB. It creates the database at first use. Tabs and workers of one
 * origin may use one database at the same time, for state and for blobs. A write that got true has been written to the
 * disk (`durability: 'strict'`; Firefox before release 126 and Safari before 15 ignore this).
 *
 * Browsers delete such databases when the disk is full, when a user clears the data of a site, and in private windows.
 * Call `navigator.storage.persist()`, and do not keep the only copy of a keyset here.
 *
 * Its methods throw a TypeError if this runtime has no IndexedDB, or if the database belongs to another program or a
 * newer release. They throw the browser's own error otherwise, for example a DOMException `QuotaExceededError`.
 * @param database the name of a database. No other program of this origin may use it
 * @throws TypeError if the name is not a string, or is empty
 * @example
 * ```ts
 * import { loadKeyset } from 'keystrata'
 * import { indexedDbStateStore } from 'keystrata/stores/indexeddb'
 *
 * const store = indexedDbStateStore('my-backup')
 * const unlock = (password: string) => loadKeyset(store, password)
 * ```
 */
export function indexedDbStateStore(database: string): StateStore {
  const connection = new Connection(database)
  return {
    async read(name) {
      assertName(name)
      return connection.run('readonly', [HEAD, VERSION], async (transaction) => {
        const version = (await done(transaction.objectStore(HEAD).get(name))) as number | undefined
        if (version === undefined) return undefined
        return { version, bytes: (await done(transaction.objectStore(VERSION).get([name, version]))) as Uint8Array }
      })
    },
    async readVersion(name, version) {
      assertName(name)
      assertVersion(version)
      return connection.run(
        'readonly',
        [VERSION],
        async (transaction) =>
          (await done(transaction.objectStore(VERSION).get([name, version]))) as Uint8Array | undefined,
      )
    },
    async *readVersions(name, from) {
      assertName(name)
      assertVersion(from)
      for (let next = from; ;) {
        // A transaction ends while the caller works on what it has read. So this reads ahead, in several of them.
        const found = await connection.run('readonly', [VERSION], async (transaction) => {
          const store = transaction.objectStore(VERSION)
          const range = versionsFrom(name, next, Infinity)
          const reads = [done(store.getAllKeys(range, VERSIONS_AHEAD)), done(store.getAll(range, VERSIONS_AHEAD))]
          const [keys, contents] = (await Promise.all(reads)) as [[name: string, version: number][], Uint8Array[]]
          return keys.map(([, version], index) => ({ version, bytes: contents[index] }) as StoredObject)
        })
        for (const object of found) {
          yield object
          next = object.version + 1
        }
        if (found.length < VERSIONS_AHEAD) return
      }
    },
    async write(name, version, bytes) {
      assertName(name)
      assertVersion(version)
      const copy = copyOf(bytes)
      return connection.run('readwrite', [HEAD, VERSION], async (transaction) => {
        const head = transaction.objectStore(HEAD)
        const newest = ((await done(head.get(name))) ?? 0) as number
        if (newest !== version - 1) return false
        await done(transaction.objectStore(VERSION).put(copy, [name, version]))
        await done(head.put(version, name))
        return true
      })
    },
    async drop(name, below) {
      assertName(name)
      if (!(below > 1)) return
      await connection.run('readwrite', [HEAD, VERSION], async (transaction) => {
        const newest = (await done(transaction.objectStore(HEAD).get(name))) as number | undefined
        if (newest === undefined) return
        const end = Math.min(below, newest)
        // From 0, because a range must not be empty.
        await done(transaction.objectStore(VERSION).delete(versionsFrom(name, 0, end)))
      })
    },
  }
}

interface BlobInfo {
  readonly size: number
  readonly modified: Date
}

/**
 * Returns a store of blobs in a database of IndexedDB, which may be the one of {@link indexedDbStateStore}. What is said
 * there holds here too. Each blob is read and written as a whole.
 * @param database the name of a database. No other program of this origin may use it
 * @throws TypeError if the name is not a string, or is empty
 * @example
 * ```ts
 * import { blocksIn } from 'keystrata/stores'
 * import { indexedDbBlobStore } from 'keystrata/stores/indexeddb'
 *
 * const blocks = blocksIn(indexedDbBlobStore('my-backup'))
 * const hasBlock = (label: string) => blocks.has(label)
 * ```
 */
export function indexedDbBlobStore(database: string): BlobStore {
  const connection = new Connection(database)
  const both = [BLOB, CONTENT]
  const keep = async (transaction: Transaction, name: string, bytes: Uint8Array) => {
    const info: BlobInfo = { size: bytes.length, modified: new Date() }
    await done(transaction.objectStore(BLOB).put(info, name))
    await done(transaction.objectStore(CONTENT).put(bytes, name))
  }
  return copyingBytes<BlobStore>({
    async get(name) {
      assertName(name)
      return connection.run(
        'readonly',
        [CONTENT],
        async (transaction) => (await done(transaction.objectStore(CONTENT).get(name))) as Uint8Array | undefined,
      )
    },
    async put(name, bytes) {
      assertName(name)
      const copy = copyOf(bytes)
      return connection.run('readwrite', both, async (transaction) => {
        if ((await done(transaction.objectStore(BLOB).getKey(name))) !== undefined) return false
        await keep(transaction, name, copy)
        return true
      })
    },
    async replace(name, expected, next) {
      assertName(name)
      const [before, after] = [copyOf(expected), copyOf(next)]
      return connection.run('readwrite', both, async (transaction) => {
        const found = (await done(transaction.objectStore(CONTENT).get(name))) as Uint8Array | undefined
        if (found === undefined || !equalBytes(found, before)) return false
        await keep(transaction, name, after)
        return true
      })
    },
    async delete(name) {
      assertName(name)
      await connection.run('readwrite', both, async (transaction) => {
        await done(transaction.objectStore(BLOB).delete(name))
        await done(transaction.objectStore(CONTENT).delete(name))
      })
    },
    async *list(prefix) {
      assertNameStart(prefix)
      const { IDBKeyRange } = browser()
      for (let last: string | undefined; ;) {
        const found = await connection.run('readonly', [BLOB], async (transaction) => {
          const store = transaction.objectStore(BLOB)
          // The end lies behind all names that begin with the prefix: no name contains `~`.
          const range = IDBKeyRange.bound(last ?? prefix, `${prefix}~`, last !== undefined, true)
          const reads = [done(store.getAllKeys(range, NAMES_AHEAD)), done(store.getAll(range, NAMES_AHEAD))]
          const [names, infos] = (await Promise.all(reads)) as [string[], BlobInfo[]]
          return names.map((name, index) => ({ name, ...infos[index] }) as BlobInfo & { name: string })
        })
        for (const { name, size, modified } of found) {
          yield { name, size, modified }
          last = name
        }
        if (found.length < NAMES_AHEAD) return
      }
    },
  })
}
