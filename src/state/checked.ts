// The one place that checks the answers of a store. Everything in the library reads and writes through a CheckedStore.
import { bytesFrom, copyOf } from '../core/bytes.ts'
import type { BlobStore, RegistryStore, StateStore, StoredObject } from './store.ts'
import { nextVersion } from './version.ts'

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

  /**
   * @throws KeystrataError `limit-exceeded` if the version before it was the last one, 2⁵³ − 1
   * @throws TypeError if the store returns something else than true or false
   */
  async write(name: string, version: number, bytes: Uint8Array): Promise<boolean> {
    if (version > Number.MAX_SAFE_INTEGER) nextVersion(version - 1)
    const answer: unknown = await this.#store.write(name, version, copyOf(bytes))
    return checkedFlag(answer, 'write')
  }

  async drop(name: string, below: number): Promise<void> {
    await this.#store.drop(name, below)
  }

  /** Reads versions in order, if the store has a way to read many. A listing may miss some. */
  readVersions(name: string, from: number): AsyncGenerator<StoredObject> | undefined {
    const answers = this.#store.readVersions?.(name, from)
    return answers === undefined ? undefined : checkedObjects(answers)
  }
}

/** A {@link RegistryStore} whose answers are checked before anything uses them. */
export class CheckedRegistryStore extends CheckedStore {
  readonly #registry: RegistryStore

  /** @throws TypeError if a method is missing */
  constructor(store: RegistryStore) {
    super(store)
    if (typeof (store as Partial<RegistryStore>).once !== 'function') {
      throw new TypeError('this is not a RegistryStore: it has no method once')
    }
    this.#registry = store
  }

  /** @throws TypeError if the store returns something else than true or false */
  async once(key: string, until: Date): Promise<boolean> {
    const answer: unknown = await this.#registry.once(key, until)
    return checkedFlag(answer, 'once')
  }
}

/** @throws TypeError if a store yields something else than versions and bytes */
async function* checkedObjects(answers: AsyncIterable<unknown>): AsyncGenerator<StoredObject> {
  for await (const answer of answers) yield checkedObject(answer, 'readVersions')
}

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

/**
 * Lists the blobs whose names begin with `start`.
 * @throws TypeError if the store yields something else than blobs with such names
 */
export async function* listBlobs(
  blobs: Pick<BlobStore, 'list'>,
  start: string,
): AsyncGenerator<{ readonly name: string; readonly size: unknown; readonly modified: unknown }> {
  for await (const found of blobs.list(start) as AsyncIterable<unknown>) {
    if (typeof found !== 'object' || found === null) throw unexpected('list', found, '{ name, size, modified }')
    const { name, size, modified } = found as { name?: unknown; size?: unknown; modified?: unknown }
    if (typeof name !== 'string' || !name.startsWith(start))
      throw new StoreMistake(`list of the store yielded a name that does not begin with ${start}`)
    yield { name, size, modified }
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

/**
 * Reads a blob.
 * @throws TypeError if the store returns something else than bytes, or undefined
 */
export async function readBlob(blobs: Pick<BlobStore, 'get'>, name: string): Promise<Uint8Array | undefined> {
  const answer: unknown = await blobs.get(name)
  return answer === undefined ? undefined : checkedBytes(answer, 'get', 'bytes, or undefined')
}
