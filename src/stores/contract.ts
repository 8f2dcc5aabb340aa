// keystrata/stores/contract: what a store must do, as checks that are bound to no test runner. Run each law of an
// adapter against the real thing, with as many processes and connections as a product will use.
import { allocate, copyOf, filled } from '../core/bytes.ts'
import { checkedFlag, checkedObject, CheckedStore } from '../state/checked.ts'
import type { BlobStore, RegistryStore, StateStore } from '../state/store.ts'
import { blobLaws } from './blob-laws.ts'
import {
  assert,
  assertBytes,
  type Check,
  content,
  type Law,
  lawsOf,
  longNames,
  MAX_TRIES,
  numberIn,
  WRITERS,
} from './laws.ts'

export type { Law } from './laws.ts'

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

const stateLaws: Readonly<Record<string, Check<Asked>>> = {
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
    const contents = [allocate(0), filled(256, (index) => index), allocate(1_000_000).fill(0xa7)]
    for (const [index, bytes] of contents.entries()) {
      const given = copyOf(bytes)
      assert(await store.store.write(name, index + 1, given), 'write returned false, although nobody else wrote')
      given.fill(1)
      ;(await store.read(name))?.bytes.fill(2)
      ;(await store.readVersion(name, index + 1))?.fill(3)
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
      for (let left = 5, tries = 0; left > 0; tries++) {
        assert(tries < MAX_TRIES, `a writer got false ${tries} times`)
        const newest = await store.read(name)
        const version = newest?.version ?? 0
        const count = newest === undefined ? 0 : numberIn(newest.bytes)
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

  'what one connection writes, another one reads': async (store, name, another) => {
    await store.fill(name, 3)
    const other = await another()
    // `make` may create a new store for each law. Then there is nothing to compare.
    if ((await other.read(name)) === undefined) return
    await other.mustHold(name, 3, content(3))
    await other.mustWrite(name, 4, content(4))
    await store.mustHold(name, 4, content(4))
    await store.mustRefuse(name, 4, 'although another connection wrote it')
    for (let version = 5; version <= 8; version++) {
      const answers = await Promise.all(
        Array.from({ length: WRITERS }, (_, writer) =>
          (writer % 2 === 0 ? store : other).write(name, version, content(100 * version + writer)),
        ),
      )
      const winners = answers.filter(Boolean).length
      assert(winners === 1, `${winners} of ${WRITERS} writers on two connections got true for version ${version}`)
      for (const each of [store, other])
        await each.mustHold(name, version, content(100 * version + answers.indexOf(true)))
    }
  },

  'drop keeps the newest version, and all that are not below': async (store, name) => {
    await store.fill(name, 5)
    await store.drop(name, 3)
    for (const version of [3, 4])
      assertBytes(await store.readVersion(name, version), content(version), `version ${version}`)
    await store.mustHold(name, 5, content(5))
    await store.drop(name, 1000)
    await store.mustHold(name, 5, content(5))
    await store.drop(name, 2)
    await store.mustWrite(name, 6, content(6))
    await store.mustHold(name, 6, content(6))
  },

  'drop deletes what is below': async (store, name) => {
    await store.fill(name, 5)
    await store.drop(name, 3)
    for (const version of [1, 2]) {
      assert((await store.readVersion(name, version)) === undefined, `version ${version} is there after drop(3)`)
    }
    await store.drop(name, 1000)
    assert((await store.readVersion(name, 4)) === undefined, 'version 4 is there after drop(1000)')
  },

  'a dropped version is never free again': async (store, name) => {
    await store.fill(name, 5)
    await store.drop(name, 5)
    for (const version of [1, 2, 3, 4, 5]) await store.mustRefuse(name, version, 'although it was dropped')
    await store.mustHold(name, 5, content(5))
    // A store that cannot delete still has it.
    const dropped = await store.readVersion(name, 3)
    assert(dropped === undefined || numberIn(dropped) === 3, 'a refused write of a dropped version was stored')
  },

  'objects whose names begin alike are different': async (store, name) => {
    const names = [name, `${name}/1`, `${name}/1/1`, `${name}-1`, `${name}1`, ...longNames(name)]
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

const registryLaws: Readonly<Record<string, Check<RegistryStore>>> = {
  'once returns true to the first caller only': async (store, key, another) => {
    const until = new Date(Date.now() + 600_000)
    const answers = await Promise.all(Array.from({ length: WRITERS }, () => store.once(key, until)))
    const first = answers.map((answer: unknown) => checkedFlag(answer, 'once')).filter(Boolean)
    assert(first.length === 1, `${first.length} of ${WRITERS} callers got true`)
    assert(!(await store.once(key, until)), 'a later caller got true')
    assert(await store.once(`${key}0`, until), 'the first caller with another key got false')
    const other = await another()
    await store.write(key, 1, content(1))
    const isSame = (await other.read(key)) !== undefined
    assert(!isSame || !(await other.once(key, until)), 'a later caller on another connection got true')
  },
}

/**
 * Returns the laws of a {@link StateStore}. Each check uses names of its own, so `make` may return one store for all.
 * A store that cannot delete breaks one law, `drop deletes what is below`. Leave that law out by its name, and know that
 * an old version of a keyset still opens with its old password.
 * @param make creates or connects a store. If each call opens a connection of its own to the same store, a law tests
 *   that connections see each other's writes
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
 * @param make creates or connects a store, as for {@link stateStoreLaws}
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
 * @param make creates or connects a store, as for {@link stateStoreLaws}
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
