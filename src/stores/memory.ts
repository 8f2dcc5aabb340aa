// Stores in memory, for tests and for programs that keep their state elsewhere.
import { copyOf, equalBytes } from '../core/bytes.ts'
import { assertName, assertNameStart, assertVersion } from '../state/name.ts'
import type { BlobStore, RegistryStore } from '../state/store.ts'
import { copyingBytes } from '../state/copies-bytes.ts'

/**
 * Creates a store in memory. It is empty, and gone when the program ends: for tests, and for trying things out.
 * @example
 * ```ts
 * import { createKeyset, loadKeyset, saveKeyset } from 'keystrata'
 * import { memoryStateStore } from 'keystrata/stores'
 *
 * const store = memoryStateStore()
 * using created = await createKeyset('correct horse battery staple')
 * await saveKeyset(store, created)
 * using keyset = await loadKeyset(store, 'correct horse battery staple')
 * console.log(keyset.revision === created.revision) // true
 * ```
 */
export function memoryStateStore(): RegistryStore {
  const objects: Map<string, { newest: number; versions: Map<number, Uint8Array> }> = new Map()
  const keys: Map<string, number> = new Map()
  const stored = (name: string, version: number) => {
    const bytes = objects.get(name)?.versions.get(version)
    return bytes && copyOf(bytes)
  }
  return {
    async read(name) {
      assertName(name)
      const version = objects.get(name)?.newest ?? 0
      const bytes = stored(name, version)
      return bytes && { version, bytes }
    },
    async readVersion(name, version) {
      assertName(name)
      return stored(name, version)
    },
    async *readVersions(name, from) {
      assertName(name)
      for (let version = from; version <= (objects.get(name)?.newest ?? 0); version++) {
        const bytes = stored(name, version)
        if (bytes !== undefined) yield { version, bytes }
      }
    },
    async write(name, version, bytes) {
      assertName(name)
      assertVersion(version)
      const object = objects.get(name) ?? { newest: 0, versions: new Map<number, Uint8Array>() }
      if (version !== object.newest + 1) return false
      object.versions.set(version, copyOf(bytes))
      object.newest = version
      objects.set(name, object)
      return true
    },
    async drop(name, below) {
      assertName(name)
      const object = objects.get(name)
      if (object === undefined) return
      for (const version of object.versions.keys())
        if (version < Math.min(below, object.newest)) object.versions.delete(version)
    },
    async once(key, until) {
      const now = Date.now()
      for (const [each, end] of keys) if (end <= now) keys.delete(each)
      if (keys.has(key)) return false
      keys.set(key, until.getTime())
      return true
    },
  }
}

/**
 * Creates a store of blobs in memory. It is empty, and gone when the program ends.
 * @example
 * ```ts
 * import { blocksIn, memoryBlobStore } from 'keystrata/stores'
 *
 * const blocks = blocksIn(memoryBlobStore())
 * console.log(await blocks.has('00'.repeat(32))) // false
 * ```
 */
export function memoryBlobStore(): BlobStore {
  const blobs: Map<string, { bytes: Uint8Array; modified: Date }> = new Map()
  const keep = (name: string, bytes: Uint8Array) => void blobs.set(name, { bytes: copyOf(bytes), modified: new Date() })
  return copyingBytes<BlobStore>({
    async get(name) {
      assertName(name)
      const blob = blobs.get(name)
      return blob && copyOf(blob.bytes)
    },
    async put(name, bytes) {
      assertName(name)
      if (blobs.has(name)) return false
      keep(name, bytes)
      return true
    },
    async replace(name, expected, next) {
      assertName(name)
      const blob = blobs.get(name)
      if (blob === undefined || !equalBytes(blob.bytes, expected)) return false
      keep(name, next)
      return true
    },
    async delete(name) {
      assertName(name)
      blobs.delete(name)
    },
    async *list(prefix) {
      assertNameStart(prefix)
      const names = [...blobs.keys()].filter((name) => name.startsWith(prefix)).sort()
      for (const name of names) {
        const blob = blobs.get(name)
        if (blob !== undefined) yield { name, size: blob.bytes.length, modified: new Date(blob.modified) }
      }
    },
  })
}
