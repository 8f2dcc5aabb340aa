// Reads many versions of one object, ahead of the code that uses them.
import { type CheckedStore, StoreMistake } from './checked.ts'

/** How many versions are read at once, and how many bytes (64 MiB; bundlers keep a product). */
const VERSIONS_AHEAD = 32
const BYTES_AHEAD = 67_108_864

/** A version of an object. One that is not there has no bytes. */
export interface ReadVersion {
  readonly version: number
  readonly bytes: Uint8Array | undefined
}

/**
 * Reads each version from the first to the last, in order.
 * @throws TypeError if the store yields something else than versions and bytes, in order
 */
export async function* versionsOf(
  store: CheckedStore,
  name: string,
  first: number,
  last: number,
): AsyncGenerator<ReadVersion> {
  let next = first
  for await (const { version, bytes } of (last > first ? store.readVersions(name, first) : undefined) ?? []) {
    if (version < next) throw new StoreMistake('readVersions of the store yielded versions that are not in order')
    if (version > last) break
    // A listing may miss versions that are there.
    for (; next < version; next++) yield { version: next, bytes: await store.readVersion(name, next) }
    next++
    yield { version, bytes }
    if (next > last) return
  }
  yield* oneByOne(store, name, next, last)
}

async function* oneByOne(store: CheckedStore, name: string, first: number, last: number): AsyncGenerator<ReadVersion> {
  const waiting: { version: number; reading: Promise<Uint8Array | undefined> }[] = []
  let next = first
  let ahead = 1
  for (;;) {
    for (; next <= last && waiting.length < ahead; next++) {
      const reading = store.readVersion(name, next)
      // The error is thrown when its turn comes, even if the caller stops before that.
      reading.catch(() => undefined)
      waiting.push({ version: next, reading })
    }
    const oldest = waiting.shift()
    if (oldest === undefined) return
    const bytes = await oldest.reading
    // Records of a log have similar sizes, so the last one tells how many fit into memory.
    const fitting = Math.floor(BYTES_AHEAD / Math.max(bytes?.length ?? 1, 1))
    ahead = Math.max(1, Math.min(VERSIONS_AHEAD, 2 * ahead, fitting))
    yield { version: oldest.version, bytes }
  }
}
