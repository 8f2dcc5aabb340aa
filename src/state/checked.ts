// The one place that checks the answers of a store. Everything in the library reads and writes through a CheckedStore.
import { bytesFrom } from '../core/bytes.ts'
import type { StateStore, StoredObject } from './store.ts'

/**
 * A mistake in a store, or in how it is used. Calling the store again would not help, so nothing retries after this.
 */
export class StoreMistake extends TypeError {}

/** A store has refused a request for good. Nothing was written, and calling it again would not help. */
export class RefusedByStore extends Error {}

/** There is no store for an object of this name. */
export class UnroutedName extends StoreMistake {}

/** A {@link StateStore} whose answers are checked before anything uses them. */
export class CheckedStore {
  readonly #store: StateStore

  /** @throws TypeError if a method is missing */
  constructor(store: StateStore) {
    for (const method of ['read', 'readVersion', 'write', 'drop'] as const) {
      if (typeof (store as Partial<StateStore> | undefined)?.[method] !== 'function') {
        throw new TypeError(`this is not a StateStore: it has no method ${method}`)
      }
    }
    this.#store = store
  }

  /** @throws TypeError if the store returns something else than an object, or undefined */
  async read(name: string): Promise<StoredObject | undefined> {
    const answer: unknown = await this.#store.read(name)
    return answer === undefined ? undefined : checkedObject(answer, 'read')
  }

  /** @throws TypeError if the store returns something else than bytes, or undefined */
  async readVersion(name: string, version: number): Promise<Uint8Array | undefined> {
    const answer: unknown = await this.#store.readVersion(name, version)
    return answer === undefined ? undefined : checkedBytes(answer, 'readVersion', 'bytes, or undefined')
  }

  /** @throws TypeError if the store returns something else than true or false */
  async write(name: string, version: number, bytes: Uint8Array): Promise<boolean> {
    const answer: unknown = await this.#store.write(name, version, new Uint8Array(bytes))
    return checkedFlag(answer, 'write')
  }

  async drop(name: string, below: number): Promise<void> {
    await this.#store.drop(name, below)
  }

  /**
   * Reads versions in order, from the first to the last, each of them. It reads ahead, but holds no more than about 64
   * MiB. A version that is not there has no bytes.
   * @throws TypeError if the store yields something else than versions and bytes, in order
   */
  async *versions(
    name: string,
    first: number,
    last: number,
  ): AsyncGenerator<{ version: number; bytes: Uint8Array | undefined }> {
    let next = first
    if (this.#store.readVersions !== undefined && last > first) {
      for await (const answer of this.#store.readVersions(name, first)) {
        const { version, bytes } = checkedObject(answer, 'readVersions')
        if (version < next) throw new StoreMistake('readVersions of the store yielded versions that are not in order')
        if (version > last) break
        // A listing may miss versions that are there.
        for (; next < version; next++) yield { version: next, bytes: await this.readVersion(name, next) }
        next++
        yield { version, bytes }
        if (next > last) return
      }
    }
    yield* this.#versionsAhead(name, next, last)
  }

  async *#versionsAhead(
    name: string,
    first: number,
    last: number,
  ): AsyncGenerator<{ version: number; bytes: Uint8Array | undefined }> {
    const waiting: { version: number; reading: Promise<Uint8Array | undefined> }[] = []
    let next = first
    let ahead = 1
    for (;;) {
      for (; next <= last && waiting.length < ahead; next++) {
        const reading = this.readVersion(name, next)
        // The error is thrown when its turn comes, even if the caller stops before that.
        reading.catch(() => undefined)
        waiting.push({ version: next, reading })
      }
      const first = waiting.shift()
      if (first === undefined) return
      const { version, reading } = first
      const bytes = await reading
      // Records of a log have similar sizes, so the last one tells how many fit into memory.
      ahead = Math.max(
        1,
        Math.min(VERSIONS_AHEAD, 2 * ahead, Math.floor(BYTES_AHEAD / Math.max(bytes?.length ?? 1, 1))),
      )
      yield { version, bytes }
    }
  }
}

/** How many versions are read at once, and how many bytes. */
const VERSIONS_AHEAD = 32
const BYTES_AHEAD = 64 * 1024 * 1024

/**
 * Checks the answer of a store to a write, and returns it.
 * @throws TypeError if it is not a boolean. The result object of a database driver, for example, would count as true
 */
export function checkedFlag(answer: unknown, method: string): boolean {
  if (typeof answer === 'boolean') return answer
  throw unexpected(method, answer, 'true or false')
}

/** @throws TypeError if a store returned something else than bytes */
export function checkedBytes(answer: unknown, method: string, expected: string): Uint8Array {
  try {
    return bytesFrom(answer, '')
  } catch {
    throw unexpected(method, answer, expected)
  }
}

/** @throws TypeError if a store returned something else than a version and its bytes */
export function checkedObject(answer: unknown, method: string): StoredObject {
  const expected = '{ version, bytes }, or undefined'
  if (typeof answer !== 'object' || answer === null) throw unexpected(method, answer, expected)
  const { version, bytes } = answer as { version?: unknown; bytes?: unknown }
  if (!Number.isSafeInteger(version) || (version as number) < 1) {
    throw unexpected(
      `${method}().version`,
      version,
      'an integer from 1 to 2⁵³ − 1; convert a BIGINT column to a number',
    )
  }
  return { version: version as number, bytes: checkedBytes(bytes, `${method}().bytes`, 'a Uint8Array') }
}

function unexpected(method: string, answer: unknown, expected: string): StoreMistake {
  return new StoreMistake(`${method} of the store returned ${shown(answer)}, but it must return ${expected}`)
}

/** Describes an answer without showing its contents. */
function shown(answer: unknown): string {
  switch (typeof answer) {
    case 'number':
    case 'bigint':
    case 'boolean':
    case 'undefined':
      return typeof answer === 'bigint' ? `the bigint ${answer}` : String(answer)
    case 'object':
      return answer === null ? 'null' : 'an object'
    default:
      return `a ${typeof answer}`
  }
}
