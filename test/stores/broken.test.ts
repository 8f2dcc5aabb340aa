// Every broken store breaks a law, and checkStore finds it if a short test can. Correct stores of several kinds break
// none: see also memory.test.ts.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { blobStoreLaws, type Law, registryStoreLaws, stateStoreLaws } from '../../src/stores/contract.ts'
import {
  type BlobStore,
  checkStore,
  memoryBlobStore,
  memoryStateStore,
  prefixed,
  type RegistryStore,
} from '../../src/stores.ts'
import { brokenBlobs } from './broken-blobs.ts'
import { brokenStates, DELETES } from './broken-states.ts'
import { instantTimers } from './instant.ts'
import { rowStore } from './row-store.ts'

beforeEach(() => void instantTimers())
afterEach(() => void vi.restoreAllMocks())

/** Returns the names of the laws that a store breaks. */
async function brokenLaws(laws: readonly Law[]): Promise<string[]> {
  const broken: string[] = []
  for (const { name, check } of laws) {
    try {
      await check()
    } catch (error) {
      expect(error).toBeInstanceOf(Error)
      expect(error).not.toBeInstanceOf(ReferenceError)
      broken.push(name)
    }
  }
  return broken
}

async function complaint(store: RegistryStore | BlobStore): Promise<string> {
  try {
    await checkStore(store)
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError)
    return (error as Error).message
  }
  throw new Error('checkStore found nothing')
}

describe('a broken StateStore', () => {
  it.each(brokenStates)('$name: a law finds it', async ({ make, law }) => {
    expect(await brokenLaws(registryStoreLaws(make))).toContain(law)
  })

  it.each(brokenStates.filter(({ said }) => said))('$name: checkStore names the rule', async ({ make, said }) => {
    expect(await complaint(make())).toMatch(said!)
  })

  it('that cannot delete breaks one law only, and may be used', async () => {
    const { make } = brokenStates.find(({ law }) => law === DELETES)!
    expect(await brokenLaws(registryStoreLaws(make))).toEqual([DELETES])
    await checkStore(make())
  })
})

describe('a broken BlobStore', () => {
  it.each(brokenBlobs)('$name: a law finds it', async ({ make, law }) => {
    expect(await brokenLaws(blobStoreLaws(make))).toContain(law)
  })

  it.each(brokenBlobs.filter(({ said }) => said))('$name: checkStore names the rule', async ({ make, said }) => {
    expect(await complaint(make())).toMatch(said!)
  })
})

/** The bytes as a view of a larger buffer, as Node's Buffers are. */
function viewOf(bytes: Uint8Array): Uint8Array {
  const pool = Buffer.alloc(bytes.length + 24, 0x55)
  pool.set(bytes, 17)
  return pool.subarray(17, 17 + bytes.length)
}

const pause = () => Promise.resolve().then(() => undefined)

/** A store that answers late, in another order, with Buffers, and has nothing that is optional. */
function oddState(): RegistryStore {
  const store = memoryStateStore()
  return {
    once: store.once,
    drop: store.drop,
    async read(name) {
      const found = await store.read(name)
      await pause()
      return found && { version: found.version, bytes: viewOf(found.bytes) }
    },
    async readVersion(name, version) {
      const found = await store.readVersion(name, version)
      return found && viewOf(found)
    },
    async write(name, version, bytes) {
      await pause()
      return store.write(name, version, bytes)
    },
  }
}

function oddBlobs(): BlobStore {
  const store = memoryBlobStore()
  return {
    ...store,
    async get(name) {
      const found = await store.get(name)
      await pause()
      return found && viewOf(found)
    },
    async *list(prefix) {
      const found = []
      for await (const each of store.list(prefix)) found.push(each)
      yield* found.reverse()
    },
  }
}

/** Hands out one store again and again, as connections to one server do. */
const connecting =
  <S extends object>(store: S) =>
  () => ({ ...store })

describe('a correct store', () => {
  it.each([
    ['of rows', () => rowStore({})],
    ['that is late, and returns Buffers', oddState],
    ['with several connections', connecting(memoryStateStore())],
    ['that is a part of another one', () => prefixed(memoryStateStore(), 'user-4711/')],
  ])('of objects %s breaks no law, and passes checkStore', async (_, make) => {
    expect(await brokenLaws(registryStoreLaws(make))).toEqual([])
    const store = make()
    for (let start = 0; start < 12; start++) await checkStore(store)
  })

  it.each([
    ['that returns Buffers, and lists backwards', oddBlobs],
    ['with several connections', connecting(memoryBlobStore())],
  ])('of blobs %s breaks no law, and passes checkStore', async (_, make) => {
    expect(await brokenLaws(blobStoreLaws(make))).toEqual([])
    await checkStore(make())
  })

  it('passes checkStore while eight other programs check it', async () => {
    for (const store of [memoryStateStore(), oddState(), memoryBlobStore(), oddBlobs()])
      await Promise.all(Array.from({ length: 8 }, () => checkStore(store)))
  })

  it('may lose some answers while checkStore runs', async () => {
    const store = memoryStateStore()
    let writes = 0
    const forgetful: RegistryStore = {
      ...store,
      write: async (...args) => (await store.write(...args)) && ++writes % 7 !== 0,
    }
    for (let start = 0; start < 5; start++) await checkStore(forgetful)
  })
})

describe('laws', () => {
  it('have names that differ, so that one can be left out by its name', () => {
    for (const laws of [registryStoreLaws(memoryStateStore), blobStoreLaws(memoryBlobStore)]) {
      expect(new Set(laws.map(({ name }) => name)).size).toBe(laws.length)
    }
    expect(stateStoreLaws(memoryStateStore).map(({ name }) => name)).toContain(DELETES)
  })
})
