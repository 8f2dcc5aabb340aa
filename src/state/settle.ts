// Writing by compare-and-set when answers can get lost. `false` or an exception says nothing about one attempt, because
// drivers, proxies and SDKs repeat requests by themselves. So every write goes through writeSettled.
import { equalBytes } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import type { CheckedStore } from './checked.ts'
import { RefusedByStore, StoreMistake } from './checked.ts'
import { pauseBeforeRetry } from './compare-and-set.ts'
import { LOGIN_NAME } from './name.ts'
import type { StoredObject } from './store.ts'

/** How often to offer a write to a store that throws. */
const ATTEMPTS = 6

/** The longest time that a store can ask to wait before the next attempt, in seconds. */
const LONGEST_WAIT = 60

/** How often to read again when a read may have been late. */
export const READS = 6

/**
 * What became of a write. `written`: it is stored. `taken`: something else is stored at this version, so it never will
 * be. `unknown`: it may have been stored and dropped since, or it may still arrive. Then only what the object itself
 * remembers can tell.
 */
export type Outcome = 'written' | 'taken' | 'unknown'

/**
 * Writes a version and finds out what became of it. It offers the same bytes at the same version until the store
 * answers, and after `false` compares what is stored at that version. Its bytes must be unique, as those of anything with
 * a random part are; otherwise use {@link writeShared}.
 * @throws the store's own error if it never answers. The write may have happened, and the message says so
 * @throws KeystrataError if the store throws one: it refuses the write
 * @throws TypeError if the store returns an invalid answer
 */
export async function writeSettled(
  store: CheckedStore,
  name: string,
  version: number,
  bytes: Uint8Array,
): Promise<Outcome> {
  const outcome = await writeShared(store, name, version, bytes)
  return outcome === 'same' ? 'written' : outcome
}

/**
 * Does the same as {@link writeSettled} for an object of which two writers may write the same bytes. `same`: these bytes
 * are stored at this version, but perhaps another writer wrote them, and newer versions may be there. So only `written`
 * proves that the version before was the newest.
 * @throws as {@link writeSettled}
 */
export function writeShared(
  store: CheckedStore,
  name: string,
  version: number,
  bytes: Uint8Array,
): Promise<Outcome | 'same'> {
  return answered(
    async () => ((await store.write(name, version, bytes)) ? 'written' : outcomeOf(store, name, version, bytes)),
    (error) => mayHaveHappened(error, name, version),
  )
}

/**
 * Drops the versions below what `below` returns. It repeats both until the store answers.
 * @throws the store's own error if it never answers, and as {@link writeSettled}
 */
export function dropSettled(store: CheckedStore, name: string, below: () => Promise<number>): Promise<void> {
  return answered(
    async () => {
      const lowest = await below()
      if (lowest > 1) await store.drop(name, lowest)
    },
    (error) => error,
  )
}

/**
 * Calls a store until it answers, with growing pauses. A store that is busy can ask to wait, by `retryAfter` in its error. If
 * it asks for longer than a minute, this ends at once: the caller sees the error, and decides.
 * @param failed returns what to throw after the last try
 */
async function answered<T>(call: () => Promise<T>, failed: (error: unknown) => unknown): Promise<T> {
  const started = Date.now()
  for (let attempt = 1; ; attempt++) {
    try {
      return await call()
    } catch (error) {
      if (isFinal(error)) throw error
      const wait = secondsToWait(error)
      if (attempt === ATTEMPTS || wait > LONGEST_WAIT) throw failed(error)
      if (wait > 0) await new Promise((resolve) => void setTimeout(resolve, wait * 1000))
    }
    await pauseBeforeRetry(attempt, (Date.now() - started) / attempt)
  }
}

/** Returns how many seconds a store asks to wait, in its error. */
function secondsToWait(error: unknown): number {
  const { retryAfter } = Object(error) as { retryAfter?: unknown }
  return typeof retryAfter === 'number' && retryAfter > 0 ? retryAfter : 0
}

/** Finds out what became of a write that the store answered with false. */
async function outcomeOf(
  store: CheckedStore,
  name: string,
  version: number,
  bytes: Uint8Array,
): Promise<'same' | 'taken' | 'unknown'> {
  const started = Date.now()
  for (let read = 0; read < READS; read++) {
    if (read > 0) await pauseBeforeRetry(read, (Date.now() - started) / read)
    const there = await store.readVersion(name, version)
    if (there !== undefined) return compared(there, bytes)
    const newest = await store.read(name)
    if (newest === undefined || newest.version < version) continue
    if (newest.version === version) return compared(newest.bytes, bytes)
    // The first read may have been late. This one is not, because a newer version was read.
    const again = await store.readVersion(name, version)
    return again === undefined ? 'unknown' : compared(again, bytes)
  }
  return 'unknown'
}

const compared = (there: Uint8Array, bytes: Uint8Array): 'same' | 'taken' =>
  equalBytes(there, bytes) ? 'same' : 'taken'

/** Returns whether calling the store again cannot help. */
const isFinal = (error: unknown): boolean =>
  error instanceof KeystrataError || error instanceof StoreMistake || error instanceof RefusedByStore

/** Adds to the message of a store's error that its write may have happened. Services write such messages into logs. */
function mayHaveHappened(error: unknown, name: string, version: number): unknown {
  const object = name.startsWith(LOGIN_NAME) ? 'a verifier' : name
  return withNote(error, ` (version ${version} of ${object} may have been written nevertheless)`)
}

/** Adds a note to the message of an error that a store has thrown, and returns the error. */
export function withNote(error: unknown, note: string): unknown {
  // An error of another realm is not an instance of this realm's class.
  const { message } = (error ?? {}) as Partial<Error>
  if (typeof error !== 'object' || typeof message !== 'string' || message.endsWith(note)) return error
  try {
    // A DOMException inherits its message, and refuses an assignment.
    Object.defineProperty(error, 'message', { value: message + note, configurable: true, writable: true })
  } catch {
    // An error that cannot be changed stays as it is.
  }
  return error
}

/**
 * Reads the newest version of an object and passes it to `use`. A read may be late. So while `use` throws `rollback` or
 * `forked`, or `missing` if `mustExist` is true, this reads again, with pauses.
 * @throws what `use` throws at last, and the store's own errors
 */
export async function readSettled<T>(
  store: CheckedStore,
  name: string,
  mustExist: boolean,
  use: (stored: StoredObject | undefined) => T,
): Promise<T> {
  return repeatedly(
    async () => use(await store.read(name)),
    (error) => mayBeLate(error, mustExist),
  )
}

/** Reads again, with pauses, while the error may come from a late read. Throws the last error. */
export async function repeatedly<T>(read: () => Promise<T>, isLate: (error: unknown) => boolean): Promise<T> {
  const attempt = async (): Promise<{ readonly value: T } | { readonly error: unknown }> => {
    try {
      return { value: await read() }
    } catch (error) {
      return { error }
    }
  }
  const outcome = await readUntil(attempt, (found) => 'value' in found || !isLate(found.error))
  if ('error' in outcome) throw outcome.error
  return outcome.value
}

/** Reads again, with pauses, until the answer is final. Returns the last answer, final or not. */
export async function readUntil<T>(read: () => Promise<T>, isFinal: (answer: T) => boolean): Promise<T> {
  const started = Date.now()
  for (let reads = 1; ; reads++) {
    const answer = await read()
    if (reads === READS || isFinal(answer)) return answer
    await pauseBeforeRetry(reads, (Date.now() - started) / reads)
  }
}

/** Returns whether an error may come from a late read. `missing` counts only if something must be there. */
export function mayBeLate(error: unknown, mustExist: boolean): boolean {
  if (!(error instanceof KeystrataError)) return false
  return error.code === 'rollback' || error.code === 'forked' || (mustExist && error.code === 'missing')
}
