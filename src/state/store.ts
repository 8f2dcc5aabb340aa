// What keystrata expects of the stores that a product gives it: one for small objects that change, and one for blobs.
// `src/stores/` has adapters; products may bring their own. Every answer is checked in `checked.ts` before it is used.

/** An object as it is stored. */
export interface StoredObject {
  readonly version: number
  readonly bytes: Uint8Array
}

/**
 * A store of small objects that change, such as keysets. Each object has versions 1, 2, 3 and so on, without gaps. Names
 * have parts of `a-z`, `0-9` and `-`, joined by `/`, at most 200 characters. The names that keystrata uses are in SPEC
 * §6.1; give objects of your own a prefix. The store copies the bytes that it is given, and the bytes that it returns. `stateStoreLaws` of `keystrata/stores/contract` tests
 * an implementation, and {@link checkStore} tests a store when a program starts.
 * @example
 * ```ts
 * import type { StateStore } from 'keystrata/stores'
 *
 * async function newestVersionOf(name: string, store: StateStore) {
 *   return (await store.read(name))?.version ?? 0
 * }
 * ```
 */
export interface StateStore {
  /** Reads the newest version. Returns undefined if there is none. A read may be late: it may miss the latest writes. */
  read(name: string): Promise<{ version: number; bytes: Uint8Array } | undefined>
  /**
   * Reads one version. Returns undefined if it does not exist, or was dropped. If `read` has returned this version, return
   * its bytes or throw; return undefined only if it was dropped since.
   */
  readVersion(name: string, version: number): Promise<Uint8Array | undefined>
  /** Reads all versions from `from` on, in order. Optional: a faster way than to call `readVersion` for each. */
  readVersions?(name: string, from: number): AsyncIterable<{ version: number; bytes: Uint8Array }>
  /**
   * Writes the next version by compare-and-set: only if the newest version is `version - 1`, and version 1 only if there
   * is none. It must be linearisable. Of two writers of one version, at most one may get true.
   * @returns true if this call wrote it, and it is durable; false if nothing was written. After a lost response it may
   *   throw, or return false although it wrote: keystrata finds out by reading
   */
  write(name: string, version: number, bytes: Uint8Array): Promise<boolean>
  /**
   * Deletes the versions below `below`, but never the newest. A dropped number is never free again. A store that cannot
   * delete does nothing.
   */
  drop(name: string, below: number): Promise<void>
}

/**
 * A {@link StateStore} that can also remember keys for a while, for a server that must accept something only once.
 * @example
 * ```ts
 * import { memoryStateStore, type RegistryStore } from 'keystrata/stores'
 *
 * const store: RegistryStore = memoryStateStore()
 * const inAnHour = new Date(Date.now() + 3_600_000)
 * console.log(await store.once('a1b2', inAnHour), await store.once('a1b2', inAnHour)) // true false
 * ```
 */
export interface RegistryStore extends StateStore {
  /** Returns true for the first caller with this key, and false for all others until that date. */
  once(key: string, until: Date): Promise<boolean>
}

/**
 * A store of blobs, for blocks: files in a folder, objects in a bucket. `blobStoreLaws` of `keystrata/stores/contract`
 * tests an implementation, and {@link checkStore} tests a store when a program starts.
 * @example
 * ```ts
 * import type { BlobStore } from 'keystrata/stores'
 *
 * async function bytesUsed(blobs: BlobStore) {
 *   let bytes = 0
 *   for await (const { size } of blobs.list('data/')) bytes += size
 *   return bytes
 * }
 * ```
 */
export interface BlobStore {
  /** Reads a blob. Returns undefined if there is none. */
  get(name: string): Promise<Uint8Array | undefined>
  /**
   * Writes a blob only if there is none with this name.
   * @returns true if it was written and is durable; false if there is one
   */
  put(name: string, bytes: Uint8Array): Promise<boolean>
  /**
   * Replaces a blob by compare-and-set: only if its bytes are `expected`.
   * @returns true if it was replaced; false if the bytes are others, or there is no such blob
   */
  replace(name: string, expected: Uint8Array, next: Uint8Array): Promise<boolean>
  /** Deletes a blob. Does nothing if there is none. */
  delete(name: string): Promise<void>
  /** Lists the blobs whose names begin with `prefix`, each once. */
  list(prefix: string): AsyncIterable<{ name: string; size: number; modified: Date }>
  /**
   * Optional. True if the store keeps no reference to the bytes that it was given once a call has settled, and if nothing
   * else holds the bytes that it returns. Streams then use that memory again. `blobStoreLaws` tests
   * every store for this.
   */
  readonly copiesBytes?: boolean
}
