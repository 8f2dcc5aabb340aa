// State stores that each break one law, in ways that real stores have been broken: by a column of text, a driver's
// result object, a condition that the server ignores, a replica that lags.
import { memoryStateStore, type RegistryStore } from '../../src/stores.ts'
import { newestOf, type Row, rowStore } from './row-store.ts'

/** A store with one fault. */
export interface Fault<S> {
  readonly name: string
  /** Creates a store, or a handle of one. */
  readonly make: () => S
  /** One law that it breaks. */
  readonly law: string
  /** What checkStore says about it. Undefined if only the laws can find the fault. */
  readonly said?: RegExp
}

type Overrides = Partial<Record<keyof RegistryStore, unknown>>

/** A correct store, except for some methods. What they return may have a wrong type: that is the point. */
const faulty = (change: (store: Required<RegistryStore>) => Overrides): RegistryStore => {
  const store = memoryStateStore() as Required<RegistryStore>
  return { ...store, ...change(store) } as RegistryStore
}

/** A store whose versions lie at `<name>/<n>`, where the object `<name>/<n>` keeps its newest version too. */
function collidingStore(): RegistryStore {
  const blobs: Map<string, { version: number; bytes: Uint8Array }> = new Map()
  const copy = (row: Row | undefined) => row && { version: row.version, bytes: new Uint8Array(row.bytes) }
  return {
    once: memoryStateStore().once,
    read: async (name) => copy(blobs.get(name)),
    async readVersion(name, version) {
      const newest = blobs.get(name)
      return copy(newest?.version === version ? newest : blobs.get(`${name}/${version}`))?.bytes
    },
    async write(name, version, bytes) {
      const newest = blobs.get(name)
      if (version !== (newest?.version ?? 0) + 1) return false
      if (newest !== undefined) blobs.set(`${name}/${newest.version}`, newest)
      blobs.set(name, { version, bytes: new Uint8Array(bytes) })
      return true
    },
    async drop(name, below) {
      for (let version = 1; version < below && version < 1000; version++) blobs.delete(`${name}/${version}`)
    },
  }
}

/** Handles of one store, each of which writes a version only when the next one comes. */
function writeBehind(): () => RegistryStore {
  const shared = memoryStateStore()
  return () => {
    const own = memoryStateStore()
    const late: Map<string, () => Promise<unknown>> = new Map()
    return {
      ...own,
      async read(name) {
        const [mine, theirs] = [await own.read(name), await shared.read(name)]
        return (mine?.version ?? 0) > (theirs?.version ?? 0) ? mine : theirs
      },
      readVersion: async (name, version) =>
        (await own.readVersion(name, version)) ?? (await shared.readVersion(name, version)),
      async write(name, version, bytes) {
        if (!(await own.write(name, version, bytes))) return false
        await late.get(name)?.()
        const copy = new Uint8Array(bytes)
        late.set(name, () => shared.write(name, version, copy))
        return true
      },
    }
  }
}

/** Handles of one store of objects, each of which remembers the keys of `once` by itself. */
function forgetfulOnce(): () => RegistryStore {
  const shared = memoryStateStore()
  return () => ({ ...shared, once: memoryStateStore().once })
}

const ORDER = 'versions are ordered as numbers'
const ABSENT = 'an object that was never written is undefined'
const FIRST = 'version 1 is the first'
const ONE = 'of several writers of one version, one gets true'
const BYTES = 'bytes come back as they were written'
const FRESH = 'a read after true is not older'
const NAMES = 'objects whose names begin alike are different'
const STREAM = 'readVersions streams the versions in order, if the store has it'
const KEEPS = 'drop keeps the newest version, and all that are not below'
const NEVER_FREE = 'a dropped version is never free again'
const ONCE = 'once returns true to the first caller only'
const OTHERS = 'what one connection writes, another one reads'
export const DELETES = 'drop deletes what is below'

const byText = (rows: readonly Row[]) =>
  rows.toSorted((a, b) => (String(a.version) < String(b.version) ? -1 : 1)).at(-1)

/** Returns a store whose `write` answers with something else than true or false. */
const answering = (answer: (written: boolean) => unknown) => () =>
  faulty((store) => ({
    write: async (...args: Parameters<RegistryStore['write']>) => answer(await store.write(...args)),
  }))

/** Returns a store whose `read` changes what it returns. */
const reading = (change: (row: Row | undefined, name: string) => unknown) => () =>
  faulty((store) => ({ read: async (name: string) => change(await store.read(name), name) }))

/** Returns a store that changes the bytes of a write. */
const storing = (change: (bytes: Uint8Array) => Uint8Array) => () =>
  faulty((store) => ({
    write: async (name: string, version: number, bytes: Uint8Array) => store.write(name, version, change(bytes)),
  }))

function padded(bytes: Uint8Array): Uint8Array {
  const wide = new Uint8Array(Math.max(bytes.length, 1000))
  wide.set(bytes)
  return wide
}

/** A store that does not copy what it is given, or what it returns. */
function mutable(kept: 'given' | 'read' | 'readVersion'): RegistryStore {
  const objects: Map<string, Uint8Array[]> = new Map()
  const copy = (bytes: Uint8Array | undefined, where: typeof kept) =>
    bytes && (kept === where ? bytes : new Uint8Array(bytes))
  return {
    once: memoryStateStore().once,
    async read(name) {
      const versions = objects.get(name) ?? []
      const bytes = copy(versions.at(-1), 'read')
      return bytes && { version: versions.length, bytes }
    },
    readVersion: async (name, version) => copy(objects.get(name)?.[version - 1], 'readVersion'),
    async write(name, version, bytes) {
      const versions = objects.get(name) ?? []
      if (version !== versions.length + 1) return false
      objects.set(name, [...versions, copy(bytes, 'given')!])
      return true
    },
    drop: async () => undefined,
  }
}

export const brokenStates: readonly Fault<RegistryStore>[] = [
  {
    name: 'compares versions as text, so that 9 comes after 11',
    make: () => rowStore({ newest: byText, mayWrite: (rows, version) => version === (byText(rows)?.version ?? 0) + 1 }),
    law: ORDER,
    said: /does not compare versions as numbers/,
  },
  {
    name: 'adds 1 to a text, so that versions grow 1, 11, 111',
    make: () => rowStore({ mayWrite: (rows, version) => version === Number(`${newestOf(rows)?.version ?? ''}1`) }),
    law: 'a version is written once',
    said: /does not return what was just written/,
  },
  {
    name: 'returns a version as text, as drivers return a BIGINT',
    make: reading((row) => row && { ...row, version: String(row.version) }),
    law: FIRST,
    said: /version of the store returned a string/,
  },
  {
    name: 'returns a version as a bigint',
    make: reading((row) => row && { ...row, version: BigInt(row.version) }),
    law: FIRST,
    said: /returned the bigint 1,/,
  },
  {
    name: 'returns NaN as a version',
    make: reading((row) => row && { ...row, version: Number('v1') }),
    law: FIRST,
    said: /returned NaN/,
  },
  {
    name: 'returns version 0 for an object that is not there',
    make: reading((row) => row ?? { version: 0, bytes: new Uint8Array(0) }),
    law: ABSENT,
    said: /returned 0, but it must return an integer/,
  },
  {
    name: 'returns null for an object that is not there',
    make: reading((row) => row ?? null),
    law: ABSENT,
    said: /read of the store returned null/,
  },
  {
    name: 'returns null for a version that is not there',
    make: () =>
      faulty((store) => ({
        readVersion: async (name: string, version: number) => (await store.readVersion(name, version)) ?? null,
      })),
    law: ABSENT,
    said: /readVersion of the store returned null/,
  },
  {
    name: 'returns bytes as hex digits',
    make: reading((row) => row && { ...row, bytes: Buffer.from(row.bytes).toString('hex') }),
    law: FIRST,
    said: /bytes of the store returned a string/,
  },
  {
    name: "returns PostgreSQL's result object from write",
    make: answering((written) => ({ rowCount: written ? 1 : 0 })),
    law: FIRST,
    said: /write of the store returned an object, but it must return true or false/,
  },
  {
    name: "returns MongoDB's result object from write",
    make: answering((written) => ({ acknowledged: true, matchedCount: written ? 1 : 0 })),
    law: FIRST,
    said: /write of the store returned an object/,
  },
  {
    name: 'returns the number of rows from write',
    make: answering(Number),
    law: FIRST,
    said: /write of the store returned 1/,
  },
  {
    name: 'returns nothing from write',
    make: answering(() => undefined),
    law: FIRST,
    said: /write of the store returned undefined/,
  },
  {
    name: 'writes whatever the condition says, so that the last writer wins',
    make: () => rowStore({ mayWrite: () => true }),
    law: FIRST,
    said: /although the previous one is missing/,
  },
  {
    name: 'replaces the newest version',
    make: () =>
      rowStore({
        mayWrite: (rows, version) => [0, 1].includes(version - (newestOf(rows)?.version ?? 0)),
      }),
    law: 'a version is written once',
    said: /several writers of one version get true/,
  },
  {
    name: 'checks, waits, and then writes',
    make: () =>
      rowStore({
        mayWrite: async (rows, version) => {
          await Promise.resolve()
          return version === (newestOf(rows)?.version ?? 0) + 1
        },
      }),
    law: ONE,
    said: /several writers of one version get true/,
  },
  {
    name: 'accepts gaps',
    make: () => rowStore({ mayWrite: (rows, version) => version > (newestOf(rows)?.version ?? 0) }),
    law: FIRST,
    said: /although the previous one is missing/,
  },
  {
    name: 'answers false for a gap, and stores it',
    make: () =>
      faulty((store) => {
        const refused: Map<string, Uint8Array> = new Map()
        return {
          write: async (name: string, version: number, bytes: Uint8Array) => {
            if (await store.write(name, version, bytes)) return true
            refused.set(`${name} ${version}`, bytes)
            return false
          },
          readVersion: async (name: string, version: number) =>
            (await store.readVersion(name, version)) ?? refused.get(`${name} ${version}`),
        }
      }),
    law: 'versions have no gaps',
    said: /stores a version that it refused/,
  },
  {
    name: 'writes every version that has no row, and so a dropped one again',
    make: () =>
      rowStore({
        mayWrite: (rows, version) => {
          const has = (wanted: number) => rows.some((each) => each.version === wanted)
          return !has(version) && (version === 1 || has(version - 1))
        },
      }),
    law: NEVER_FREE,
    said: /writes a dropped version again/,
  },
  {
    name: 'counts the rows for the newest version',
    make: () => rowStore({ mayWrite: (rows, version) => version === rows.length + 1 }),
    law: KEEPS,
    said: /writes a dropped version again/,
  },
  {
    name: 'drops the newest version too',
    make: () => rowStore({ drop: (rows, below) => rows.filter(({ version }) => version >= below + 1) }),
    law: KEEPS,
    said: /writes a dropped version again/,
  },
  {
    name: 'drops the bytes of the newest version, and keeps its number',
    make: () =>
      faulty((store) => {
        const lost: Set<string> = new Set()
        return {
          read: async (name: string) => (lost.has(name) ? undefined : store.read(name)),
          drop: async (name: string, below: number) => {
            if (below >= ((await store.read(name))?.version ?? 0)) lost.add(name)
          },
        }
      }),
    law: KEEPS,
    said: /dropping old versions loses the newest/,
  },
  {
    name: 'drops one version too many',
    make: () =>
      rowStore({
        drop: (rows, below) => rows.filter(({ version }) => version > below || version === newestOf(rows)?.version),
      }),
    law: KEEPS,
  },
  {
    name: 'does nothing on drop, which a store may do that cannot delete',
    make: () => rowStore({ drop: (rows) => rows }),
    law: DELETES,
  },
  {
    name: 'keeps version 1 of an object where another object lies',
    make: collidingStore,
    law: NAMES,
    said: /names begin alike get mixed up/,
  },
  {
    name: 'cuts names after 64 characters',
    make: () =>
      faulty((store) => ({
        read: async (name: string) => store.read(name.slice(0, 64).replace(/\/$/, '')),
        readVersion: async (name: string, version: number) =>
          store.readVersion(name.slice(0, 64).replace(/\/$/, ''), version),
        write: async (name: string, version: number, bytes: Uint8Array) =>
          store.write(name.slice(0, 64).replace(/\/$/, ''), version, bytes),
      })),
    law: NAMES,
  },
  { name: "keeps the caller's buffer", make: () => mutable('given'), law: BYTES },
  { name: 'returns its own buffer from read', make: () => mutable('read'), law: BYTES },
  { name: 'returns its own buffer from readVersion', make: () => mutable('readVersion'), law: BYTES },
  {
    name: 'cuts bytes after 65,535',
    make: storing((bytes) => bytes.subarray(0, 65_535)),
    law: BYTES,
    said: /returns other bytes than the successful write.* of 70272 bytes/,
  },
  {
    name: 'keeps bytes in a column of text',
    make: storing((bytes) => new TextEncoder().encode(new TextDecoder().decode(bytes))),
    law: BYTES,
    said: /returns other bytes than the successful write/,
  },
  {
    name: 'pads bytes with zeros, as a column of a fixed length does',
    make: storing((bytes) => padded(bytes)),
    law: FIRST,
    said: /returns other bytes than the successful write/,
  },
  {
    name: 'reads from a replica that lags by one version',
    make: () =>
      faulty((store) => ({
        read: async (name: string) => {
          const version = ((await store.read(name))?.version ?? 0) - 1
          const bytes = await store.readVersion(name, version)
          return bytes && { version, bytes }
        },
      })),
    law: FRESH,
    said: /does not return what was just written/,
  },
  {
    name: 'reads from two servers in turn, of which one lags',
    make: () =>
      faulty((store) => {
        let reads = 0
        return {
          read: async (name: string) => {
            const newest = await store.read(name)
            if (newest === undefined || reads++ % 2 === 0) return newest
            const bytes = await store.readVersion(name, newest.version - 1)
            return bytes && { version: newest.version - 1, bytes }
          },
        }
      }),
    law: FRESH,
    said: /does not return what was just written|loses the newest/,
  },
  { name: 'answers true before a write is durable', make: writeBehind(), law: OTHERS },
  {
    name: 'answers false although it wrote, always',
    make: answering(() => false),
    law: FIRST,
    said: /write returns false every time/,
  },
  {
    name: 'answers true although it wrote nothing',
    make: () => faulty(() => ({ write: async (_name: string, version: number) => version < 1000 })),
    law: FIRST,
    said: /does not return what was just written/,
  },
  {
    name: 'streams versions in the order of their text',
    make: () =>
      faulty((store) => ({
        async *readVersions(name: string, from: number) {
          const rows: Row[] = []
          for await (const row of store.readVersions(name, from)) rows.push(row)
          yield* rows.sort((a, b) => (String(a.version) < String(b.version) ? -1 : 1))
        },
      })),
    law: STREAM,
  },
  {
    name: 'streams the first five versions only',
    make: () =>
      faulty((store) => ({
        async *readVersions(name: string, from: number) {
          let left = 5
          for await (const row of store.readVersions(name, from)) if (left-- > 0) yield row
        },
      })),
    law: STREAM,
  },
  {
    name: 'streams from the first version on',
    make: () =>
      faulty((store) => ({
        readVersions: (name: string) => store.readVersions(name, 1),
        drop: async () => undefined,
      })),
    law: STREAM,
  },
  {
    name: 'returns true from once to everybody',
    make: () => faulty(() => ({ once: async () => true })),
    law: ONCE,
    said: /once returns true to 4 of 4 callers/,
  },
  {
    name: 'returns true from once to nobody',
    make: () => faulty(() => ({ once: async () => false })),
    law: ONCE,
    said: /once returns true to 0 of 4 callers/,
  },
  {
    name: 'checks, waits, and then remembers a key',
    make: () =>
      faulty((store) => {
        const known: Set<string> = new Set()
        return {
          once: async (key: string, until: Date) => {
            if (known.has(key)) return false
            await store.read('any')
            known.add(key)
            return until.getTime() > 0
          },
        }
      }),
    law: ONCE,
    said: /once returns true to 4 of 4 callers/,
  },
  {
    name: 'forgets a key because it takes the date for seconds that remain',
    make: () =>
      faulty((store) => ({
        once: async (key: string, until: Date) => store.once(key, new Date(until.getTime() / 1000)),
      })),
    law: ONCE,
    said: /once returns true to 4 of 4 callers/,
  },
  {
    name: 'returns true from once to one caller altogether',
    make: () => faulty((store) => ({ once: async (_key: string, until: Date) => store.once('key', until) })),
    law: ONCE,
  },
  { name: 'remembers the keys of once in each process by itself', make: forgetfulOnce(), law: ONCE },
  {
    name: "returns Redis's answer to SET NX from once",
    make: () =>
      faulty((store) => ({ once: async (key: string, until: Date) => ((await store.once(key, until)) ? 'OK' : null) })),
    law: ONCE,
    said: /once of the store returned a string/,
  },
]
