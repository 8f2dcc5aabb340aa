// The laws of a BlobStore.
import { allocate, copyOf, filled } from '../core/bytes.ts'
import { checkedFlag, readBlob } from '../state/checked.ts'
import type { BlobStore } from '../state/store.ts'
import { assert, assertBytes, type Check, content, longNames, MAX_TRIES, numberIn, WRITERS } from './laws.ts'

async function mustHaveBlob(store: BlobStore, name: string, bytes: Uint8Array | undefined): Promise<void> {
  const found = await readBlob(store, name)
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

export const blobLaws: Readonly<Record<string, Check<BlobStore>>> = {
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
    const bytes = filled(100_003, (index) => index % 251)
    const given = copyOf(bytes)
    assert(await put(store, `${name}/1`, given), 'put returned false, although there was no blob')
    given.fill(1)
    ;(await store.get(`${name}/1`))?.fill(2)
    await mustHaveBlob(store, `${name}/1`, bytes)
    assert(await put(store, `${name}/2`, allocate(0)), 'put returned false for an empty blob')
    await mustHaveBlob(store, `${name}/2`, allocate(0))
    const next = copyOf(bytes).reverse()
    const givenNext = copyOf(next)
    assert(await replace(store, `${name}/1`, bytes, givenNext), 'replace returned false, although nobody else wrote')
    givenNext.fill(1)
    ;(await store.get(`${name}/1`))?.fill(2)
    await mustHaveBlob(store, `${name}/1`, next)
  },

  'what one connection writes, another one reads': async (store, name, another) => {
    await put(store, name, content(0))
    await put(store, `${name}/last`, content(1))
    const other = await another()
    // `make` may create a new store for each law. Then there is nothing to compare.
    if ((await other.get(name)) === undefined) return
    await mustHaveBlob(other, `${name}/last`, content(1))
    assert(!(await put(other, name, content(2))), 'put returned true for a blob of another connection')
    for (let number = 0; number < 5; number++) {
      const answers = await Promise.all(
        [store, other, store, other].map((each) => replace(each, name, content(number), content(number + 1))),
      )
      const winners = answers.filter(Boolean).length
      assert(winners === 1, `${winners} of ${answers.length} callers of replace on two connections got true`)
      for (const each of [store, other]) await mustHaveBlob(each, name, content(number + 1))
    }
    await other.delete(name)
    await mustHaveBlob(store, name, undefined)
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
      for (let left = 5, tries = 0; left > 0; tries++) {
        assert(tries < MAX_TRIES, `a writer got false ${tries} times`)
        const found = await store.get(name)
        assert(found !== undefined, 'a blob is missing while it is replaced')
        const count = numberIn(found)
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
    const names = [name, `${name}/a`, `${name}/ab`, `${name}/ab/c`, `${name}/b`, `${name}-other`, ...longNames(name)]
    for (const [index, each] of names.entries()) await put(store, each, allocate(index))
    for (const prefix of [name, `${name}/`, `${name}/a`, `${name}/ab/`, `${name}/x`]) {
      const wanted = names.filter((each) => each.startsWith(prefix))
      const found = await listed(store, prefix)
      assert(
        [...found.keys()].sort().join() === [...wanted].sort().join(),
        `list(${prefix}) yielded ${[...found.keys()].join()}`,
      )
      for (const [each, size] of found) assert(size === names.indexOf(each), `list says that ${each} has ${size} bytes`)
    }
    await replace(store, name, allocate(0), allocate(77))
    const size = (await listed(store, name)).get(name)
    assert(size === 77, `list says that a replaced blob has ${size ?? 'no'} bytes, not 77`)
  },

  'list yields more blobs than fit on one page': async (store, name) => {
    const names = Array.from({ length: 1100 }, (_, index) => `${name}/${index}`)
    for (let from = 0; from < names.length; from += 50)
      await Promise.all(names.slice(from, from + 50).map((each) => put(store, each, content(1))))
    assert((await listed(store, `${name}/`)).size === names.length, 'list did not yield all of 1,100 blobs')
    // Rekeying replaces heads while it lists them, and other programs delete.
    const left = new Set(names)
    let count = 0
    for await (const { name: each } of store.list(`${name}/`)) {
      assert(left.delete(each), `list yielded ${each} twice while blobs were replaced and deleted`)
      if (++count % 20 === 0) await replace(store, each, content(1), content(2))
      if (count % 20 === 10) await store.delete(each)
    }
    assert(left.size === 0, `list left ${left.size} blobs out while others were replaced and deleted`)
  },
}
