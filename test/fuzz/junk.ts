// Stores that sometimes answer with junk: wrong types, other versions, other objects, damaged bytes, errors. An input of
// the fuzzer is the script of such a store. Byte 0 says whether the store keeps to a lie. Each other byte decides about
// one call: 0 is an honest answer. So an input of zeros is an honest store.
import { KeystrataError } from '../../src/index.ts'
import { RefusedByStore, StoreMistake } from '../../src/state/checked.ts'
import { type BlobStore, type Blocks, blocksIn, type RegistryStore, type SharedBlocks } from '../../src/stores.ts'

/** What a junk store throws. */
export class JunkError extends Error {}

/** More calls than any operation needs, however the store answers. */
const MOST_CALLS = 4000

/** Honest scripts. The second one is for operations with many calls. */
export const honestScripts: readonly Uint8Array[] = [new Uint8Array(24), new Uint8Array(120)]

/** The errors of a store: its own, and those that say what is wrong with its answer. */
export function storeError(error: unknown): string | undefined {
  if (error instanceof JunkError) return 'the error of the store'
  if (error instanceof StoreMistake) return 'a mistake of the store'
  if (error instanceof RefusedByStore) return 'refused by the store'
  // The store threw something that is not an Error.
  return error === undefined || error === 'thrown' ? 'the error of the store' : undefined
}

/** The objects of a store, by name: the bytes of each version from 1 on, or undefined for one that was dropped. */
export type Objects = ReadonlyMap<string, readonly (Uint8Array | undefined)[]>

/** Returns everything that is in a store. */
export async function objectsIn(store: RegistryStore, ...names: readonly string[]): Promise<Objects> {
  const objects: Map<string, (Uint8Array | undefined)[]> = new Map()
  for (const name of names) {
    const newest = (await store.read(name))?.version ?? 0
    const versions: (Uint8Array | undefined)[] = []
    for (let version = 1; version <= newest; version++) versions.push(await store.readVersion(name, version))
    objects.set(name, versions)
  }
  return objects
}

/** Decides from a script how each call is answered. */
export class Script {
  readonly #bytes: Uint8Array
  #calls = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** @returns 0 for an honest answer, and what the answer depends on beside that */
  next(call: string): { kind: number; more: number } {
    if (++this.#calls > MOST_CALLS) throw new Error(`more than ${MOST_CALLS} calls of a store`)
    const [sticky = 0] = this.#bytes
    const at = 1 + (sticky & 1 ? hashOf(call) % Math.max(this.#bytes.length - 1, 1) : this.#calls - 1)
    return { kind: this.#bytes[at] ?? 0, more: this.#bytes[at + 1] ?? 0 }
  }
}

function hashOf(text: string): number {
  let hash = 7
  for (const character of text) hash = (Math.imul(hash, 31) + (character.codePointAt(0) ?? 0)) >>> 0
  return hash
}

/** What is neither bytes, nor an object, nor a flag. A getter that throws is what a proxy object of a driver may do. */
const wrongTypes: readonly (() => unknown)[] = [
  () => undefined,
  () => null,
  () => 'text',
  () => '',
  () => 1,
  () => 0,
  () => -1,
  () => NaN,
  () => true,
  () => false,
  () => 7n,
  () => Symbol('junk'),
  () => [],
  () => [1, 2, 3],
  () => ({}),
  () => new ArrayBuffer(8),
  () => new Uint16Array(4),
  () => () => 1,
  () => ({ then: (take: (value: unknown) => void) => take('text') }),
  () => Promise.reject(new JunkError('later')),
  () => {
    throw new JunkError('at once')
  },
  () => Promise.reject(new KeystrataError('conflict', 'of the store', { object: 'x', tries: 1 })),
  () => Promise.reject(new RefusedByStore('of the store')),
  // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- a store may throw anything
  () => Promise.reject('thrown'),
  // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- a store may throw anything
  () => Promise.reject(undefined),
  () =>
    Object.defineProperty({}, 'version', {
      get: () => {
        throw new JunkError('in a getter')
      },
    }),
]
const wrongType = (kind: number): unknown => wrongTypes[kind % wrongTypes.length]!()
/** What can stand inside an answer: none of these throws, or rejects when nobody awaits it. */
export const wrongValue = (kind: number): unknown => wrongTypes[kind % 18]!()

const VERSIONS = [0, -1, 1.5, NaN, Infinity, 2 ** 53, 2 ** 53 - 1, 2 ** 32, 1_000_000, '1', 1n, null]

/** Bytes that are not those of the version. */
function otherBytes(honest: Uint8Array | undefined, more: number, objects: Objects): Uint8Array {
  const bytes = honest ?? new Uint8Array(0)
  switch (more % 6) {
    case 0:
      return bytes.subarray(0, Math.floor((bytes.length * more) / 256))
    case 1:
      return bytes.map((byte, index) => (index === (more * 7) % Math.max(bytes.length, 1) ? byte ^ 1 : byte))
    case 2:
      return new Uint8Array(more)
    case 3:
      return bytes.map((byte, index) => byte ^ (index * more))
    case 4:
      return new Uint8Array([...bytes, more])
    default: {
      const all = [...objects.values()].flat().filter((each) => each !== undefined)
      return all[more % Math.max(all.length, 1)] ?? bytes
    }
  }
}

/** Returns a store with copies of these objects, which answers by a script. */
export function junkStore(objects: Objects, bytes: Uint8Array, hasListing = true): RegistryStore {
  const script = new Script(bytes)
  const stored = new Map([...objects].map(([name, versions]) => [name, [...versions]]))
  const taken: Set<string> = new Set()
  const newest = (name: string) => {
    const versions = stored.get(name) ?? []
    const last = versions.at(-1)
    return last && { version: versions.length, bytes: last }
  }
  const object = (name: string) => {
    const honest = newest(name)
    const { kind, more } = script.next(`read ${name}`)
    if (kind === 0) return honest
    const version = honest?.version ?? 1
    switch (kind % 6) {
      case 0:
        return wrongType(more)
      case 1:
        return { version: VERSIONS[more % VERSIONS.length], bytes: honest?.bytes ?? new Uint8Array(more) }
      case 2:
        return { version: version + (more % 9) - 4, bytes: honest?.bytes ?? new Uint8Array(more) }
      case 3:
        return { version, bytes: otherBytes(honest?.bytes, more, objects) }
      case 4:
        return { version, bytes: wrongValue(more) }
      default: {
        const before = (more % version) + 1
        return { version: before, bytes: stored.get(name)?.[before - 1] ?? new Uint8Array(more) }
      }
    }
  }
  const version = (name: string, number: number) => {
    const honest = stored.get(name)?.[number - 1]
    const { kind, more } = script.next(`readVersion ${name} ${number}`)
    if (kind === 0) return honest
    if (kind % 3 === 0) return wrongType(more)
    return kind % 3 === 1 ? undefined : otherBytes(honest, more, objects)
  }
  const flag = (call: string, honest: () => boolean) => {
    const { kind, more } = script.next(call)
    if (kind === 0) return honest()
    if (kind % 4 === 0) return wrongType(more)
    // A lost answer: it was written, or it was not.
    if (kind % 4 === 1) return honest() && false
    if (kind % 4 === 2) return false
    return more % 2 === 0 ? wrongType(19) : (honest(), wrongType(20))
  }
  async function* versions(name: string, from: number): AsyncGenerator {
    const list = (stored.get(name) ?? []).flatMap((each, index) =>
      each === undefined || index + 1 < from ? [] : [{ version: index + 1, bytes: each } as unknown],
    )
    const { kind, more } = script.next(`readVersions ${name}`)
    const edits: readonly (() => unknown[])[] = [
      () => [wrongType(more)],
      () => list.toReversed(),
      () => [...list, ...list],
      () => list.filter((_, index) => index !== more % Math.max(list.length, 1)),
      () => [{ version: VERSIONS[more % VERSIONS.length], bytes: new Uint8Array(3) }, ...list],
      () => [...list, { version: 2 ** 53 - 1, bytes: new Uint8Array(more) }],
      () => list.slice(more % Math.max(list.length, 1)),
      () => [],
    ]
    for (const each of kind === 0 ? list : edits[kind % edits.length]!()) {
      await Promise.resolve()
      yield each
    }
  }
  return {
    read: async (name) => object(name) as Awaited<ReturnType<RegistryStore['read']>>,
    readVersion: async (name, number) => version(name, number) as Uint8Array,
    ...(hasListing && { readVersions: (name: string, from: number) => versions(name, from) as AsyncGenerator<never> }),
    write: async (name, number, next) =>
      flag(`write ${name}`, () => {
        const list = stored.get(name) ?? []
        if (number !== list.length + 1) return false
        stored.set(name, [...list, new Uint8Array(next)])
        return true
      }) as boolean,
    drop: async (name, below) => {
      const list = stored.get(name) ?? []
      const { kind, more } = script.next(`drop ${name}`)
      if (kind % 2 === 1) return wrongType(more) as undefined
      stored.set(
        name,
        list.map((each, index) => (index + 1 < Math.min(below, list.length) ? undefined : each)),
      )
      return undefined
    },
    once: async (key) =>
      flag('once', () => {
        const isFirst = !taken.has(key)
        taken.add(key)
        return isFirst
      }) as boolean,
  }
}

/** Returns a store with copies of these blobs, which answers by a script. */
export function junkBlobs(blobs: ReadonlyMap<string, Uint8Array>, bytes: Uint8Array, copies = false): BlobStore {
  const script = new Script(bytes)
  const stored = new Map(blobs)
  const objects: Objects = new Map([...blobs].map(([name, each]) => [name, [each]]))
  const flag = (call: string, honest: () => boolean) => {
    const { kind, more } = script.next(call)
    if (kind === 0) return honest()
    return kind % 3 === 0 ? wrongType(more) : kind % 3 === 1 ? honest() && false : more % 2 === 0
  }
  async function* list(prefix: string): AsyncGenerator {
    const found = [...stored]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, { length }]): unknown => ({ name, size: length, modified: new Date(0) }))
    const { kind, more } = script.next(`list ${prefix}`)
    const sizes = [-1, NaN, 2 ** 53, '5', null, 0]
    const edits: readonly (() => unknown[])[] = [
      () => [wrongType(more)],
      () => [...found, ...found],
      () => [],
      () => [...found, { name: wrongValue(more), size: 1, modified: new Date(0) }],
      () => [{ name: `${prefix}x`, size: 1, modified: new Date(0) }, ...found],
      () => [{ name: prefix, size: sizes[more % sizes.length], modified: wrongValue(more) }],
      () => [...stored.keys()].map((name) => ({ name, size: more, modified: new Date(NaN) })),
      () => found.map((each) => ({ ...(each as object), size: sizes[more % sizes.length] })),
    ]
    for (const each of kind === 0 ? found : edits[kind % edits.length]!()) {
      await Promise.resolve()
      yield each
    }
  }
  return {
    ...(copies && { copiesBytes: true }),
    get: async (name) => {
      const honest = stored.get(name)
      const { kind, more } = script.next(`get ${name}`)
      // A store that copies bytes owes its callers memory of their own.
      if (kind === 0) return copies && honest ? new Uint8Array(honest) : honest
      if (kind % 3 === 0) return wrongType(more) as Uint8Array
      return kind % 3 === 1 ? undefined : new Uint8Array(otherBytes(honest, more, objects))
    },
    put: async (name, next) =>
      flag(`put ${name}`, () => {
        if (stored.has(name)) return false
        stored.set(name, new Uint8Array(next))
        return true
      }) as boolean,
    replace: async (name, expected, next) =>
      flag(`replace ${name}`, () => {
        if (Buffer.compare(stored.get(name) ?? new Uint8Array(0), expected) !== 0) return false
        stored.set(name, new Uint8Array(next))
        return true
      }) as boolean,
    delete: async (name) => {
      const { kind, more } = script.next(`delete ${name}`)
      if (kind % 2 === 1) return wrongType(more) as undefined
      stored.delete(name)
      return undefined
    },
    list: (prefix) => list(prefix) as AsyncGenerator<never>,
  }
}

/** Returns a store of blocks, as a product implements it itself, which answers by a script. */
export function junkBlocks(blobs: ReadonlyMap<string, Uint8Array>, bytes: Uint8Array): SharedBlocks {
  const script = new Script(bytes)
  const own = blocksIn(junkBlobs(blobs, new Uint8Array(0)))
  const around = (blocks: Blocks, where: string): Blocks => {
    const answer = async <T>(call: string, honest: () => Promise<T>): Promise<T> => {
      const { kind, more } = script.next(where + call)
      if (kind === 0) return honest()
      if (kind % 3 === 0) return wrongType(more) as T
      const found = await honest()
      if (typeof found !== 'object' || found === null) return (kind % 3 === 1) as T
      const names = Object.keys(found)
      const junk = kind % 3 === 1 ? wrongValue(more) : new Uint8Array(more)
      return { ...found, [names[more % names.length]!]: junk }
    }
    return {
      has: (label) => answer(`has ${label}`, () => blocks.has(label)),
      get: (label) => answer(`get ${label}`, () => blocks.get(label)),
      put: (block) => answer(`put ${block.label}`, () => blocks.put(block)),
      async *heads(options) {
        for await (const head of blocks.heads(options)) yield await answer(`head ${head.label}`, async () => head)
      },
      replaceEnvelope: (head, next) => answer(`replace ${head.label}`, () => blocks.replaceEnvelope(head, next)),
      delete: (label) => answer(`delete ${label}`, () => blocks.delete(label)),
      head: (label) => answer(`head ${label}`, async () => blocks.head?.(label)),
      putHead: (head) => answer(`putHead ${head.label}`, async () => (await blocks.putHead?.(head)) ?? false),
    }
  }
  return { ...around(own, ''), shared: (share) => around(own.shared(share), share) }
}
