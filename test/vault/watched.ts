// Stores that tell a test what is asked of them.
import type { StateStore } from '../../src/stores.ts'

/**
 * Returns a store that calls `before` before every operation, with a text such as `read profile`, `write keyring 2` or
 * `drop profile 3`. The ids of vaults are left out.
 */
export function watched(store: StateStore, before: (call: string) => unknown): StateStore {
  const kind = (name: string) => name.replace(/\/.*/, '')
  return {
    async read(name) {
      await before(`read ${kind(name)}`)
      return store.read(name)
    },
    async readVersion(name, version) {
      await before(`readVersion ${kind(name)} ${version}`)
      return store.readVersion(name, version)
    },
    async write(name, version, bytes) {
      await before(`write ${kind(name)} ${version}`)
      return store.write(name, version, bytes)
    },
    async drop(name, below) {
      await before(`drop ${kind(name)} ${below}`)
      return store.drop(name, below)
    },
  }
}

/** Returns a store with some of its operations replaced. A class instance cannot be spread. */
export const altered = (store: StateStore, changes: Partial<StateStore>): StateStore => ({
  ...watched(store, () => undefined),
  ...changes,
})

/** Returns the versions of an object that a store still has. */
export async function versionsOf(store: StateStore, name: string): Promise<number[]> {
  const newest = (await store.read(name))?.version ?? 0
  const versions: number[] = []
  for (let version = 1; version <= newest; version++) {
    if ((await store.readVersion(name, version)) !== undefined) versions.push(version)
  }
  return versions
}
