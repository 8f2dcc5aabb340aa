// The page of indexeddb.ts: it runs the laws of the stores in IndexedDB, and what needs several tabs or a restart.
import { indexedDbBlobStore, indexedDbStateStore } from '../../src/stores/indexeddb.ts'
import { blobStoreLaws, type Law, stateStoreLaws } from '../../src/stores/contract.ts'
import { checkStore } from '../../src/stores.ts'
import { add } from '../stores/counter.ts'

/** What became of each check: its name, and what went wrong. */
export type Results = [name: string, problem?: string][]

const LAWS = 'laws'
const SHARED = 'shared'
const FULL = 'full'

async function tried(checks: readonly Law[]): Promise<Results> {
  const results: Results = []
  for (const { name, check } of checks) {
    try {
      await check()
      results.push([name])
    } catch (error) {
      results.push([name, String(error)])
    }
  }
  return results
}

const named = (prefix: string, laws: readonly Law[]): Law[] =>
  laws.map(({ name, check }) => ({ name: `${prefix}: ${name}`, check }))

function mustBe(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise)
}

const removed = (database: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(database)
    request.onsuccess = () => resolve()
    request.onerror = () => reject(request.error ?? new Error('deleting failed'))
    request.onblocked = () => reject(new Error('a connection does not make way'))
  })

/** What the script calls, from outside. Each returns JSON. */
export const page = {
  async laws(): Promise<string> {
    const results = await tried([
      ...named(
        'state',
        stateStoreLaws(() => indexedDbStateStore(LAWS)),
      ),
      ...named(
        'blobs',
        blobStoreLaws(() => indexedDbBlobStore(LAWS)),
      ),
      { name: 'state: checkStore, four times at once', check: () => fourTimes(() => indexedDbStateStore(LAWS)) },
      { name: 'blobs: checkStore, four times at once', check: () => fourTimes(() => indexedDbBlobStore(LAWS)) },
      { name: 'every connection makes way when the database is deleted', check: () => removed(LAWS) },
    ])
    return JSON.stringify(results)
  },

  /** Adds to a counter, while another tab does the same. */
  async add(times: number): Promise<string> {
    return JSON.stringify(
      await tried([{ name: `a tab adds ${times}`, check: () => add(indexedDbStateStore(SHARED), times) }]),
    )
  },

  async total(expected: number): Promise<string> {
    const check = async () => {
      const counter = await indexedDbStateStore(SHARED).read('counter')
      mustBe(counter?.version === expected, `the counter has version ${counter?.version ?? 'none'}`)
      mustBe(counter.bytes[0] === expected, `the counter is ${counter.bytes[0] ?? 'empty'}`)
    }
    return JSON.stringify(await tried([{ name: `${expected} additions are there`, check }]))
  },

  /** Fills the disk, as far as the browser allows. */
  async fill(): Promise<string> {
    const store = indexedDbBlobStore(FULL)
    const check = async () => {
      const state = indexedDbStateStore(FULL)
      mustBe(await state.write('a', 1, Uint8Array.of(1)), 'a first write failed')
      let error: unknown
      let count = 0
      const megabyte = crypto.getRandomValues(new Uint8Array(65_536))
      for (; error === undefined && count < 200; count++) {
        const bytes = new Uint8Array(1_048_576)
        for (let offset = 0; offset < bytes.length; offset += megabyte.length) bytes.set(megabyte, offset)
        await store.put(`data/${count}`, bytes).catch((reason: unknown) => (error = reason))
      }
      mustBe(error instanceof Error && error.name === 'QuotaExceededError', `no quota error, but ${String(error)}`)
      mustBe(!(error instanceof TypeError), 'the error would not be retried')
      const last = `data/${count - 1}`
      mustBe((await store.get(last)) === undefined, 'the blob that did not fit is there')
      for (let index = 0; index < count - 1; index++) {
        const found = await store.get(`data/${index}`)
        mustBe(found?.length === 1_048_576, `blob ${index} of ${count} is not there`)
      }
      for await (const { name } of store.list('data/')) mustBe(name !== last, 'the blob that did not fit is listed')
      await store.delete('data/0')
      await store.delete('data/1')
      mustBe((await state.read('a'))?.version === 1, 'an object is gone')
    }
    return JSON.stringify(await tried([{ name: 'a full disk is a QuotaExceededError, and loses nothing', check }]))
  },
}

async function fourTimes(make: () => Parameters<typeof checkStore>[0]): Promise<void> {
  await Promise.all([1, 2, 3, 4].map(() => checkStore(make())))
  await checkStore(make())
}

Object.assign(globalThis, { page })
