// Stores made of other stores: a part of one, and several behind one.
import { UnroutedName } from '../state/checked.ts'
import { assertName, assertPrefix } from '../state/name.ts'
import type { RegistryStore, StateStore } from '../state/store.ts'

/**
 * Returns the part of a store whose names begin with `prefix`. So one store holds the objects of many users.
 * @param prefix parts of `a-z`, `0-9` and `-`, each followed by `/`. Use an id of your own, never a name that somebody
 *   chose
 * @throws TypeError if the prefix has other characters, or does not end with `/`
 * @example
 * ```ts
 * import { memoryStateStore, prefixed } from 'keystrata/stores'
 *
 * const store = memoryStateStore()
 * await prefixed(store, 'user-4711/').write('keyset', 1, Uint8Array.of(1))
 * console.log((await store.read('user-4711/keyset'))?.version) // 1
 * ```
 */
export function prefixed(store: RegistryStore, prefix: string): RegistryStore
export function prefixed(store: StateStore, prefix: string): StateStore
export function prefixed(store: StateStore | RegistryStore, prefix: string): StateStore {
  assertPrefix(prefix)
  return {
    ...view((name) => ({ store, name: prefix + name }), store.readVersions !== undefined),
    ...('once' in store && { once: (key: string, until: Date) => store.once(prefix + key, until) }),
  }
}

/**
 * Returns a store that puts objects in different places: for example profiles on a server, and keyrings in a bucket.
 * @param routes a store for each name, or for each prefix that ends with `/`. The longest prefix decides
 * @returns a store whose methods throw a TypeError for a name without a route
 * @throws TypeError if a route is neither a name nor a prefix
 * @example
 * ```ts
 * import { memoryStateStore, routed } from 'keystrata/stores'
 *
 * const [server, bucket] = [memoryStateStore(), memoryStateStore()]
 * const store = routed({ profile: server, 'keyring/': bucket })
 * await store.write('profile', 1, Uint8Array.of(1))
 * console.log((await server.read('profile'))?.version) // 1
 * ```
 */
export function routed(routes: Readonly<Record<string, StateStore>>): StateStore {
  const byLength = Object.entries(routes).sort(([a], [b]) => b.length - a.length)
  for (const [route] of byLength) (route.endsWith('/') ? assertPrefix : assertName)(route)
  const find = (name: string) => {
    const found = byLength.find(([route]) => (route.endsWith('/') ? name.startsWith(route) : name === route))
    if (found === undefined) throw new UnroutedName(`no store is routed for ${name}`)
    return { store: found[1], name }
  }
  return view(
    find,
    byLength.every(([, store]) => store.readVersions !== undefined),
  )
}

/** Returns a store whose methods call the store that `find` returns, under the name that it returns. */
function view(find: (name: string) => { store: StateStore; name: string }, streams: boolean): StateStore {
  const at = async <T>(name: string, use: (store: StateStore, name: string) => Promise<T>): Promise<T> => {
    const found = find(name)
    return use(found.store, found.name)
  }
  return {
    read: (name) => at(name, (store, inner) => store.read(inner)),
    readVersion: (name, version) => at(name, (store, inner) => store.readVersion(inner, version)),
    ...(streams && {
      async *readVersions(name: string, from: number) {
        const found = find(name)
        yield* found.store.readVersions?.(found.name, from) ?? []
      },
    }),
    write: (name, version, bytes) => at(name, (store, inner) => store.write(inner, version, bytes)),
    drop: (name, below) => at(name, (store, inner) => store.drop(inner, below)),
  }
}
