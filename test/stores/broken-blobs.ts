// Blob stores that each break one law, in ways that real stores have been broken.
import { equalBytes } from '../../src/core/bytes.ts'
import { type BlobStore, memoryBlobStore } from '../../src/stores.ts'
import type { Fault } from './broken-states.ts'

type Overrides = Partial<Record<keyof BlobStore, unknown>>

/** A correct store, except for some methods. What they return may have a wrong type. */
const faulty = (change: (store: BlobStore) => Overrides): BlobStore => {
  const store = memoryBlobStore()
  return { ...store, ...change(store) } as BlobStore
}

/** Returns the bytes of a blob, and deletes it, so that it can be written again. */
async function overwrite(store: BlobStore, name: string, bytes: Uint8Array): Promise<void> {
  await store.delete(name)
  await store.put(name, bytes)
}

interface Listed {
  name: string
  size: number
  modified: Date
}

async function listed(store: BlobStore, prefix: string): Promise<Listed[]> {
  const found: Listed[] = []
  for await (const each of store.list(prefix)) found.push(each)
  return found
}

/** Returns a store whose `list` changes what it yields. */
const listing = (change: (found: Listed[], prefix: string) => Iterable<unknown>) => () =>
  faulty((store) => ({
    async *list(prefix: string) {
      yield* change(await listed(store, prefix), prefix)
    },
  }))

/** Returns a store that changes the bytes that it is given. */
const storing = (change: (bytes: Uint8Array) => Uint8Array) => () =>
  faulty((store) => ({
    put: async (name: string, bytes: Uint8Array) => store.put(name, change(bytes)),
    replace: async (name: string, expected: Uint8Array, next: Uint8Array) =>
      store.replace(name, change(expected), change(next)),
  }))

/** A store that does not copy what it is given, or what it returns. */
function mutable(kept: 'put' | 'replace' | 'get'): BlobStore {
  const blobs: Map<string, Uint8Array> = new Map()
  const copy = (bytes: Uint8Array, where: typeof kept) => (kept === where ? bytes : new Uint8Array(bytes))
  return {
    async get(name) {
      const bytes = blobs.get(name)
      return bytes && copy(bytes, 'get')
    },
    async put(name, bytes) {
      if (blobs.has(name)) return false
      blobs.set(name, copy(bytes, 'put'))
      return true
    },
    async replace(name, expected, next) {
      const found = blobs.get(name)
      if (found === undefined || !equalBytes(found, expected)) return false
      blobs.set(name, copy(next, 'replace'))
      return true
    },
    delete: async (name) => void blobs.delete(name),
    async *list(prefix) {
      for (const [name, { length }] of blobs)
        if (name.startsWith(prefix)) yield { name, size: length, modified: new Date() }
    },
  }
}

/** Handles of one store, each of which has the last blob that it wrote still in its own memory. */
function writeBehind(): () => BlobStore {
  const shared = memoryBlobStore()
  return () => {
    let late: { name: string; bytes: Uint8Array } | undefined
    return {
      ...shared,
      get: async (name) => (late?.name === name ? new Uint8Array(late.bytes) : shared.get(name)),
      async put(name, bytes) {
        if (late?.name === name || (await shared.get(name)) !== undefined) return false
        if (late !== undefined) await shared.put(late.name, late.bytes)
        late = { name, bytes: new Uint8Array(bytes) }
        return true
      },
    }
  }
}

const ABSENT = 'a blob that was never written is undefined'
const PUT = 'put never replaces'
const BYTES = 'bytes come back as they were written'
const REPLACE = 'replace is a compare-and-set'
const ONE = 'of several writers of one blob, one gets true'
const DELETE = 'a deleted blob is gone, and its name is free'
const LIST = 'list yields every blob with this prefix once, with its size'
const PAGES = 'list yields more blobs than fit on one page'
const OTHERS = 'what one connection writes, another one reads'

export const brokenBlobs: readonly Fault<BlobStore>[] = [
  {
    name: 'ignores If-None-Match, so that put overwrites and says true',
    make: () =>
      faulty((store) => ({
        put: async (name: string, bytes: Uint8Array) => {
          await overwrite(store, name, bytes)
          return true
        },
      })),
    law: PUT,
    said: /put does not return true to exactly one of several writers: it ignores the condition/,
  },
  {
    name: 'answers false to put, and overwrites nevertheless',
    make: () =>
      faulty((store) => ({
        put: async (name: string, bytes: Uint8Array) => {
          if (await store.put(name, bytes)) return true
          await overwrite(store, name, bytes)
          return false
        },
      })),
    law: PUT,
    said: /put replaces a blob that exists/,
  },
  {
    name: 'returns nothing from put',
    make: () =>
      faulty((store) => ({
        put: async (name: string, bytes: Uint8Array) => {
          await store.put(name, bytes)
        },
      })),
    law: PUT,
    said: /put of the store returned undefined/,
  },
  {
    name: 'returns the answer of an S3 server from put',
    make: () =>
      faulty((store) => ({
        put: async (name: string, bytes: Uint8Array) => ((await store.put(name, bytes)) ? { ETag: '"a"' } : undefined),
      })),
    law: PUT,
    said: /put of the store returned an object/,
  },
  {
    name: 'checks, waits, and then puts',
    make: () =>
      faulty((store) => ({
        put: async (name: string, bytes: Uint8Array) => {
          if ((await store.get(name)) !== undefined) return false
          await overwrite(store, name, bytes)
          return true
        },
      })),
    law: ONE,
    said: /put does not return true to exactly one/,
  },
  {
    name: 'answers false to every put',
    make: () =>
      faulty((store) => ({
        put: async (name: string, bytes: Uint8Array) => {
          await store.put(name, bytes)
          return false
        },
      })),
    law: PUT,
    said: /put does not return true to exactly one/,
  },
  {
    name: 'ignores what replace expects',
    make: () =>
      faulty((store) => ({
        replace: async (name: string, _expected: Uint8Array, next: Uint8Array) => {
          if ((await store.get(name)) === undefined) return false
          await overwrite(store, name, next)
          return true
        },
      })),
    law: REPLACE,
    said: /replace returns true although the blob has other bytes/,
  },
  {
    name: 'answers false to replace, and replaces nevertheless',
    make: () =>
      faulty((store) => ({
        replace: async (name: string, expected: Uint8Array, next: Uint8Array) => {
          if (await store.replace(name, expected, next)) return true
          if ((await store.get(name)) !== undefined) await overwrite(store, name, next)
          return false
        },
      })),
    law: REPLACE,
    said: /replace ignores the bytes that were expected/,
  },
  {
    name: 'compares only the length of what replace expects',
    make: () =>
      faulty((store) => ({
        replace: async (name: string, expected: Uint8Array, next: Uint8Array) => {
          if ((await store.get(name))?.length !== expected.length) return false
          await overwrite(store, name, next)
          return true
        },
      })),
    law: REPLACE,
    said: /replace returns true although the blob has other bytes/,
  },
  {
    name: 'creates a blob by replace',
    make: () =>
      faulty((store) => ({
        replace: async (name: string, expected: Uint8Array, next: Uint8Array) =>
          (await store.replace(name, expected, next)) || (await store.put(name, next)),
      })),
    law: ABSENT,
    said: /replace creates a blob/,
  },
  {
    name: 'compares, waits, and then replaces',
    make: () =>
      faulty((store) => ({
        replace: async (name: string, expected: Uint8Array, next: Uint8Array) => {
          const found = await store.get(name)
          if (found === undefined || !equalBytes(found, expected)) return false
          await overwrite(store, name, next)
          return true
        },
      })),
    law: ONE,
    said: /replace does not return true to exactly one/,
  },
  {
    name: 'answers true to replace although it replaced nothing',
    make: () =>
      faulty((store) => ({
        replace: async (name: string, expected: Uint8Array) => {
          const found = await store.get(name)
          return found !== undefined && equalBytes(found, expected)
        },
      })),
    law: REPLACE,
    said: /replace does not return true to exactly one/,
  },
  { name: 'lists the first 1,000 blobs only', make: listing((found) => found.slice(0, 1000)), law: PAGES },
  {
    name: 'lists every blob twice',
    make: listing((found) => [...found, ...found]),
    law: LIST,
    said: /list does not yield the blob once, with its size/,
  },
  {
    name: 'lists a size of 0',
    make: listing((found) => found.map((each) => ({ ...each, size: 0 }))),
    law: LIST,
    said: /list does not yield the blob once, with its size/,
  },
  {
    name: 'lists sizes as text',
    make: listing((found) => found.map((each) => ({ ...each, size: String(each.size) }))),
    law: LIST,
    said: /list does not yield the blob once, with its size/,
  },
  {
    name: 'lists dates as text',
    make: listing((found) => found.map((each) => ({ ...each, modified: each.modified.toISOString() }))),
    law: LIST,
    said: /list does not yield a Date/,
  },
  {
    name: 'lists sizes that were cached before a blob was replaced',
    make: () => {
      const sizes: Map<string, number> = new Map()
      return faulty((store) => ({
        put: async (name: string, bytes: Uint8Array) => {
          if (!(await store.put(name, bytes))) return false
          sizes.set(name, bytes.length)
          return true
        },
        async *list(prefix: string) {
          for (const each of await listed(store, prefix)) yield { ...each, size: sizes.get(each.name) }
        },
      }))
    },
    law: LIST,
    said: /list does not yield the blob once, with its size/,
  },
  {
    name: 'takes a prefix for a folder',
    make: listing((found, prefix) => found.filter(({ name }) => prefix.endsWith('/') || name.startsWith(`${prefix}/`))),
    law: LIST,
    said: /list does not yield the blob once, with its size/,
  },
  {
    name: 'does not list what lies in a deeper folder',
    make: listing((found, prefix) => found.filter(({ name }) => !name.slice(prefix.length + 1).includes('/'))),
    law: LIST,
  },
  {
    name: 'lists names without their prefix',
    make: listing((found, prefix) => found.map((each) => ({ ...each, name: each.name.slice(prefix.length) }))),
    law: LIST,
    said: /list of the store yielded a name that does not begin with check\//,
  },
  {
    name: 'lists pages by their offset, and leaves some out while others are deleted',
    make: () =>
      faulty((store) => ({
        async *list(prefix: string) {
          for (let offset = 0; ; offset += 100) {
            const page = (await listed(store, prefix)).slice(offset, offset + 100)
            if (page.length === 0) return
            yield* page
          }
        },
      })),
    law: PAGES,
  },
  {
    name: 'does nothing on delete',
    make: () => faulty(() => ({ delete: async () => undefined })),
    law: DELETE,
    said: /a deleted blob is still there/,
  },
  {
    name: 'deletes a blob but still lists it',
    make: () => {
      const ever: Map<string, Listed> = new Map()
      return faulty((store) => ({
        async *list(prefix: string) {
          for (const each of await listed(store, prefix)) ever.set(each.name, each)
          for (const each of ever.values()) if (each.name.startsWith(prefix)) yield each
        },
        put: async (name: string, bytes: Uint8Array) => {
          const answer = await store.put(name, bytes)
          for (const each of await listed(store, name)) ever.set(each.name, each)
          return answer
        },
      }))
    },
    law: DELETE,
    said: /list yields a deleted blob/,
  },
  {
    name: 'keeps the name of a deleted blob taken',
    make: () => {
      const taken: Set<string> = new Set()
      return faulty((store) => ({
        put: async (name: string, bytes: Uint8Array) => !taken.has(name) && store.put(name, bytes),
        delete: async (name: string) => {
          taken.add(name)
          await store.delete(name)
        },
      }))
    },
    law: DELETE,
  },
  {
    name: 'throws when a blob that is not there is deleted',
    make: () =>
      faulty((store) => ({
        delete: async (name: string) => {
          if ((await store.get(name)) === undefined) throw new Error('404')
          await store.delete(name)
        },
      })),
    law: ABSENT,
  },
  {
    name: 'returns null for a blob that is not there',
    make: () => faulty((store) => ({ get: async (name: string) => (await store.get(name)) ?? null })),
    law: ABSENT,
    said: /get of the store returned null/,
  },
  {
    name: 'returns an empty blob for one that is not there',
    make: () => faulty((store) => ({ get: async (name: string) => (await store.get(name)) ?? new Uint8Array(0) })),
    law: ABSENT,
    said: /get returns something for a blob that does not exist/,
  },
  {
    name: 'returns an ArrayBuffer',
    make: () => faulty((store) => ({ get: async (name: string) => (await store.get(name))?.buffer })),
    law: PUT,
    said: /get of the store returned an object/,
  },
  { name: 'returns its own buffer', make: () => mutable('get'), law: BYTES },
  { name: "keeps the caller's buffer of put", make: () => mutable('put'), law: BYTES },
  { name: "keeps the caller's buffer of replace", make: () => mutable('replace'), law: BYTES },
  {
    name: 'cuts bytes after 65,535',
    make: storing((bytes) => bytes.subarray(0, 65_535)),
    law: BYTES,
    said: /does not return what was just written/,
  },
  {
    name: 'keeps bytes in a column of text',
    make: storing((bytes) => new TextEncoder().encode(new TextDecoder().decode(bytes))),
    law: BYTES,
    said: /put replaces a blob that exists|other bytes/,
  },
  {
    name: 'answers true before a blob is durable',
    make: writeBehind(),
    law: OTHERS,
  },
]
