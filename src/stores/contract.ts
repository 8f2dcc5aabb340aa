// keystrata/stores/contract: what a store must do, as checks that are bound to no test runner. Run each law of an
// adapter against the real thing, with as many processes and connections as a product will use.
import { equalBytes, u32 } from '../core/bytes.ts'
import { checkedBytes, checkedFlag, checkedObject, CheckedStore } from '../state/checked.ts'
import type { BlobStore, RegistryStore, StateStore } from '../state/store.ts'

/**
 * One thing that every store must do.
 * @example
 * ```ts
 * import type { Law } from 'keystrata/stores/contract'
 *
 * async function broken(laws: readonly Law[]) {
 *   const results = await Promise.allSettled(laws.map((law) => law.check()))
 *   return laws.filter((_, index) => results[index]?.status === 'rejected').map(({ name }) => name)
 * }
 * ```
 */
export interface Law {
  /** The law, as a sentence. */
  readonly name: string
  /** Checks it on a store of its own. Throws an Error that says what the store did instead. */
  check(): Promise<void>
}

/** What is stored in an object or a blob. Contents with different numbers differ. */
const content = (number: number): Uint8Array => u32(number)

function assert(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise)
}

function assertBytes(found: Uint8Array | undefined, expected: Uint8Array, what: string): void {
  assert(found !== undefined, `${what} is missing`)
  assert(equalBytes(found, expected), `${what} has other bytes than were written`)
}

/** Calls a store and checks the type of every answer, as the library does. */
class Asked extends CheckedStore {
  readonly store: StateStore

  constructor(store: StateStore) {
    super(store)
    this.store = store
  }

  /** Writes a version that nobody else writes. */
  async mustWrite(name: string, version: number, bytes: Uint8Array): Promise<void> {
    const written = await this.write(name, version, bytes)
    assert(written, `write returned false for version ${version}, although nobody else wrote`)
  }

  async mustRefuse(name: string, version: number, why: string): Promise<void> {
    const written = await this.write(name, version, content(9999))
    assert(!written, `write returned true for version ${version}, ${why}`)
  }

  async mustHold(name: string, version: number, bytes: Uint8Array): Promise<void> {
    const newest = await this.read(name)
    assert(newest?.version === version, `read returned version ${newest?.version ?? 'none'}, not ${version}`)
    assertBytes(newest.bytes, bytes, `what read returned for version ${version}`)
    assertBytes(await this.readVersion(name, version), bytes, `what readVersion returned for version ${version}`)
  }

  /** Writes versions 1 to `newest`. The content of each is its number. */
  async fill(name: string, newest: number): Promise<void> {
    for (let version = 1; version <= newest; version++) await this.mustWrite(name, version, content(version))
  }
}

type StateCheck = (store: Asked, name: string) => Promise<void>

const WRITERS = 8

/** The laws of a StateStore. `name` is the name of an object that is not there yet. */
const stateLaws: Readonly<Record<string, StateCheck>> = {
  'an object that was never written is undefined': async (store, name) => {
    assert((await store.read(name)) === undefined, 'read returned something')
    assert((await store.readVersion(name, 1)) === undefined, 'readVersion returned something')
    await store.drop(name, 5)
    assert((await store.read(name)) === undefined, 'read returned something after drop')
  },

  'version 1 is the first': async (store, name) => {
    await store.mustRefuse(name, 2, 'although there is no version 1')
    assert((await store.read(name)) === undefined, 'a refused write was stored')
    await store.mustWrite(name, 1, content(1))
    await store.mustHold(name, 1, content(1))
  },

  'a version is written once': async (store, name) => {
    await store.fill(name, 2)
    await store.mustRefuse(name, 2, 'although it was there')
    await store.mustRefuse(name, 1, 'although it was there')
    await store.mustHold(name, 2, content(2))
    assertBytes(await store.readVersion(name, 1), content(1), 'version 1')
  },

  'versions have no gaps': async (store, name) => {
    await store.fill(name, 2)
    await store.mustRefuse(name, 4, 'although the newest is 2')
    await store.mustHold(name, 2, content(2))
    assert((await store.readVersion(name, 4)) === undefined, 'a refused write was stored')
  },

  'versions are ordered as numbers': async (store, name) => {
    await store.fill(name, 12)
    await store.mustHold(name, 12, content(12))
    assertBytes(await store.readVersion(name, 2), content(2), 'version 2')
  },

  'bytes come back as they were written': async (store, name) => {
    const contents = [
      new Uint8Array(0),
      Uint8Array.from({ length: 256 }, (_, byte) => byte),
      new Uint8Array(1_000_000).fill(0xa7),
    ]
    for (const [index, bytes] of contents.entries()) {
      const given = new Uint8Array(bytes)
      assert(await store.store.write(name, index + 1, given), 'write returned false, although nobody else wrote')
      given.fill(1)
      ;(await store.read(name))?.bytes.fill(2)
      await store.mustHold(name, index + 1, bytes)
    }
  },

  'of several writers of one version, one gets true': async (store, name) => {
    for (let version = 1; version <= 6; version++) {
      const answers = await Promise.all(
        Array.from({ length: WRITERS }, (_, writer) => store.write(name, version, content(100 * version + writer))),
      )
      const winners = answers.filter(Boolean).length
      assert(winners === 1, `${winners} of ${WRITERS} writers of version ${version} got true`)
      await store.mustHold(name, version, content(100 * version + answers.indexOf(true)))
    }
  },

  'what several writers add is all there': async (store, name) => {
    let acknowledged = 0
    const add = async () => {
      for (let left = 5; left > 0;) {
        const newest = await store.read(name)
        const version = newest?.version ?? 0
        const count = newest === undefined ? 0 : new DataView(newest.bytes.slice().buffer).getUint32(0)
        if (!(await store.write(name, version + 1, content(count + 1)))) continue
        acknowledged++
        left--
        if (version % 4 === 0) await store.drop(name, version)
      }
    }
    await Promise.all(Array.from({ length: 4 }, add))
    await store.mustHold(name, acknowledged, content(acknowledged))
  },

  'a read after true is not older': async (store, name) => {
    for (let version = 1; version <= 20; version++) {
      await store.mustWrite(name, version, content(version))
      await store.mustHold(name, version, content(version))
    }
  },

  'drop deletes what is below, and never the newest': async (store, name) => {
    await store.fill(name, 5)
    await store.drop(name, 3)
    for (const version of [1, 2]) {
      assert((await store.readVersion(name, version)) === undefined, `version ${version} is there after drop(3)`)
    }
    for (const version of [3, 4])
      assertBytes(await store.readVersion(name, version), content(version), `version ${version}`)
    await store.drop(name, 1000)
    assert((await store.readVersion(name, 4)) === undefined, 'version 4 is there after drop(1000)')
    await store.mustHold(name, 5, content(5))
    await store.drop(name, 2)
    await store.mustWrite(name, 6, content(6))
    await store.mustHold(name, 6, content(6))
  },

  'a dropped version is never free again': async (store, name) => {
    await store.fill(name, 5)
    await store.drop(name, 5)
    for (const version of [1, 2, 3, 4, 5]) await store.mustRefuse(name, version, 'although it was dropped')
    await store.mustHold(name, 5, content(5))
    assert((await store.readVersion(name, 3)) === undefined, 'a refused write of a dropped version was stored')
  },

  'objects whose names begin alike are different': async (store, name) => {
    const names = [name, `${name}/1`, `${name}/1/1`, `${name}-1`, `${name}1`]
    for (const [index, each] of names.entries()) {
      assert((await store.read(each)) === undefined, `writing ${names[index - 1] ?? ''} created ${each}`)
      await store.fill(each, index + 1)
    }
    for (const [index, each] of names.entries()) await store.mustHold(each, index + 1, content(index + 1))
    for (const [index, each] of names.entries()) await store.drop(each, index + 1)
    for (const [index, each] of names.entries()) await store.mustHold(each, index + 1, content(index + 1))
  },

  'readVersions streams the versions in order, if the store has it': async (store, name) => {
    if (store.store.readVersions === undefined) return
    await store.fill(name, 12)
    await store.drop(name, 3)
    const found: number[] = []
    for await (const each of store.store.readVersions(name, 3)) {
      const { version, bytes } = checkedObject(each, 'readVersions')
      assertBytes(bytes, content(version), `version ${version}`)
      found.push(version)
    }
    assert(found.join() === '3,4,5,6,7,8,9,10,11,12', `readVersions yielded versions ${found.join()}`)
    for await (const { version } of store.store.readVersions(name, 13))
      throw new Error(`readVersions yielded version ${version}, which is below 13 or was never written`)
  },
}

const registryLaws: Readonly<Record<string, (store: RegistryStore, key: string) => Promise<void>>> = {
  'once returns true to the first caller only': async (store, key) => {
    const until = new Date(Date.now() + 600_000)
    const answers = await Promise.all(Array.from({ length: WRITERS }, () => store.once(key, until)))
    const first = answers.map((answer: unknown) => checkedFlag(answer, 'once')).filter(Boolean)
    assert(first.length === 1, `${first.length} of ${WRITERS} callers got true`)
    assert(!(await store.once(key, until)), 'a later caller got true')
    assert(await store.once(`${key}0`, until), 'the first caller with another key got false')
  },
}

type BlobCheck = (store: BlobStore, name: string) => Promise<void>

async function mustHaveBlob(store: BlobStore, name: string, bytes: Uint8Array | undefined): Promise<void> {
  const answer: unknown = await store.get(name)
  const found = answer === undefined ? undefined : checkedBytes(answer, 'get', 'bytes, or undefined')
  if (bytes === undefined) assert(found === undefined, `get returned something for ${name}`)
  else assertBytes(found, bytes, name)
}

const put = async (store: BlobStore, name: string, bytes: Uint8Array): Promise<boolean> =>
  checkedFlag(await store.put(name, bytes), 'put')

const replace = async (store: BlobStore, name: string, expected: Uint8Array, next: Uint8Array): Promise<boolean> =>
  checkedFlag(await store.replace(name, expected, next), 'replace')

async function listed(store: BlobStore, prefix: string): Promise<Map<string, number>> {
  const found: Map<string, number> = new Map()
  for await (const { name, size, modified } of store.list(prefix)) {
    assert(name.startsWith(prefix), `list(${prefix}) yielded ${name}`)
    assert(!found.has(name), `list yielded ${name} twice`)
    const age = Date.now() - modified.getTime()
    assert(age > -3_600_000 && age < 3_600_000, `list says that ${name} was modified at ${modified.toISOString()}`)
    found.set(name, size)
  }
  return found
}

const blobLaws: Readonly<Record<string, BlobCheck>> = {
  'a blob that was never written is undefined': async (store, name) => {
    await mustHaveBlob(store, name, undefined)
    await store.delete(name)
    assert(!(await replace(store, name, content(1), content(2))), 'replace returned true without a blob')
    await mustHaveBlob(store, name, undefined)
    assert((await listed(store, name)).size === 0, 'list yielded something')
  },

  'put never replaces': async (store, name) => {
    assert(await put(store, name, content(1)), 'put returned false, although there was no blob')
    assert(!(await put(store, name, content(2))), 'put returned true, although there was a blob')
    await mustHaveBlob(store, name, content(1))
  },

  'bytes come back as they were written': async (store, name) => {
    const bytes = Uint8Array.from({ length: 100_003 }, (_, index) => index % 251)
    const given = new Uint8Array(bytes)
    assert(await put(store, `${name}/1`, given), 'put returned false, although there was no blob')
    given.fill(1)
    ;(await store.get(`${name}/1`))?.fill(2)
    await mustHaveBlob(store, `${name}/1`, bytes)
    assert(await put(store, `${name}/2`, new Uint8Array(0)), 'put returned false for an empty blob')
    await mustHaveBlob(store, `${name}/2`, new Uint8Array(0))
  },

  'replace is a compare-and-set': async (store, name) => {
    await put(store, name, content(1))
    assert(
      !(await replace(store, name, content(2), content(3))),
      'replace returned true, although other bytes were expected',
    )
    await mustHaveBlob(store, name, content(1))
    assert(
      await replace(store, name, content(1), content(2)),
      'replace returned false, although the bytes were as expected',
    )
    await mustHaveBlob(store, name, content(2))
    assert(!(await put(store, name, content(3))), 'put returned true for a blob that had been replaced')
    assert(
      !(await replace(store, name, content(1), content(4))),
      'replace returned true for bytes that had been replaced',
    )
    for (let number = 3; number <= 12; number++)
      assert(await replace(store, name, content(number - 1), content(number)), `replacement ${number} returned false`)
    await mustHaveBlob(store, name, content(12))
    assert((await listed(store, name)).size === 1, 'replacing left a second blob')
  },

  'of several writers of one blob, one gets true': async (store, name) => {
    const puts = await Promise.all(Array.from({ length: WRITERS }, (_, writer) => put(store, name, content(writer))))
    assert(puts.filter(Boolean).length === 1, `${puts.filter(Boolean).length} of ${WRITERS} callers of put got true`)
    let current = content(puts.indexOf(true))
    for (let round = 1; round <= 4; round++) {
      await mustHaveBlob(store, name, current)
      const expected = current
      const answers = await Promise.all(
        Array.from({ length: WRITERS }, (_, writer) => replace(store, name, expected, content(100 * round + writer))),
      )
      const winners = answers.filter(Boolean).length
      assert(winners === 1, `${winners} of ${WRITERS} callers of replace got true`)
      current = content(100 * round + answers.indexOf(true))
    }
    await mustHaveBlob(store, name, current)
  },

  'what several writers add is all there': async (store, name) => {
    await put(store, name, content(0))
    let acknowledged = 0
    const add = async () => {
      for (let left = 5; left > 0;) {
        const found = await store.get(name)
        assert(found !== undefined, 'a blob is missing while it is replaced')
        const count = new DataView(found.slice().buffer).getUint32(0)
        if (!(await replace(store, name, found, content(count + 1)))) continue
        acknowledged++
        left--
      }
    }
    await Promise.all(Array.from({ length: 4 }, add))
    await mustHaveBlob(store, name, content(acknowledged))
  },

  'a deleted blob is gone, and its name is free': async (store, name) => {
    await put(store, name, content(1))
    await replace(store, name, content(1), content(2))
    await store.delete(name)
    await mustHaveBlob(store, name, undefined)
    assert((await listed(store, name)).size === 0, 'list yielded a deleted blob')
    assert(!(await replace(store, name, content(2), content(3))), 'replace returned true for a deleted blob')
    assert(await put(store, name, content(4)), 'put returned false for a deleted blob')
    await mustHaveBlob(store, name, content(4))
  },

  'list yields every blob with this prefix once, with its size': async (store, name) => {
    const names = [name, `${name}/a`, `${name}/ab`, `${name}/ab/c`, `${name}/b`, `${name}-other`]
    for (const [index, each] of names.entries()) await put(store, each, new Uint8Array(index))
    const expected: readonly (readonly [prefix: string, names: readonly string[]])[] = [
      [name, names],
      [`${name}/`, names.slice(1, 5)],
      [`${name}/a`, names.slice(1, 4)],
      [`${name}/ab/`, [`${name}/ab/c`]],
      [`${name}/x`, []],
    ]
    for (const [prefix, wanted] of expected) {
      const found = await listed(store, prefix)
      assert(
        [...found.keys()].sort().join() === [...wanted].sort().join(),
        `list(${prefix}) yielded ${[...found.keys()].join()}`,
      )
      for (const [each, size] of found) assert(size === names.indexOf(each), `list says that ${each} has ${size} bytes`)
    }
  },

  'list yields more blobs than fit on one page': async (store, name) => {
    const names = Array.from({ length: 1100 }, (_, index) => `${name}/${index}`)
    for (let from = 0; from < names.length; from += 50)
      await Promise.all(names.slice(from, from + 50).map((each) => put(store, each, content(1))))
    assert((await listed(store, `${name}/`)).size === names.length, 'list did not yield all of 1,100 blobs')
  },
}

/** Returns a name that no other law uses, so that all laws may run on one store. */
const nameOf = (index: number): string => `law-${index}/${crypto.randomUUID()}`

function lawsOf<S>(
  laws: Readonly<Record<string, (store: S, name: string) => Promise<void>>>,
  make: () => S | Promise<S>,
): readonly Law[] {
  return Object.entries(laws).map(([name, check], index) => ({
    name,
    check: async () => check(await make(), nameOf(index)),
  }))
}

/**
 * Returns the laws of a {@link StateStore}. Each check uses names of its own, so `make` may return one store for all.
 * @param make creates or connects a store
 * @example
 * ```ts
 * import { memoryStateStore } from 'keystrata/stores'
 * import { stateStoreLaws } from 'keystrata/stores/contract'
 *
 * for (const law of stateStoreLaws(memoryStateStore)) await law.check() // it(law.name, law.check) in a test runner
 * ```
 */
export function stateStoreLaws(make: () => StateStore | Promise<StateStore>): readonly Law[] {
  return lawsOf(stateLaws, async () => new Asked(await make()))
}

/**
 * Returns the laws of a {@link RegistryStore}: those of a {@link StateStore}, and of `once`.
 * @param make creates or connects a store
 * @example
 * ```ts
 * import { memoryStateStore } from 'keystrata/stores'
 * import { registryStoreLaws } from 'keystrata/stores/contract'
 *
 * for (const law of registryStoreLaws(memoryStateStore)) await law.check()
 * ```
 */
export function registryStoreLaws(make: () => RegistryStore | Promise<RegistryStore>): readonly Law[] {
  return [...stateStoreLaws(make), ...lawsOf(registryLaws, make)]
}

/**
 * Returns the laws of a {@link BlobStore}. Each check uses names of its own, so `make` may return one store for all.
 * @param make creates or connects a store
 * @example
 * ```ts
 * import { memoryBlobStore } from 'keystrata/stores'
 * import { blobStoreLaws } from 'keystrata/stores/contract'
 *
 * for (const law of blobStoreLaws(memoryBlobStore)) await law.check()
 * ```
 */
export function blobStoreLaws(make: () => BlobStore | Promise<BlobStore>): readonly Law[] {
  return lawsOf(blobLaws, make)
}
