// What the laws of all stores have in common: the contents that they store, their assertions, and how they are run.
import { equalBytes, u32 } from '../core/bytes.ts'

/**
 * One thing that every store must do.
 * @example
 * ```ts
 * import type { Law } from 'keystrata/stores/contract'
 *
 * async function broken(laws: readonly Law[]) {
 *   const results = await Promise.allSettled(laws.map((law) => law.check()))
 *   return laws.filter((_, index) => results[index]?.status === 'rejected').map(({ name }) => name)
 * }
 * ```
 */
export interface Law {
  /** The law, as a sentence. */
  readonly name: string
  /** Checks it on a store of its own. Throws an Error that says what the store did instead. */
  check(): Promise<void>
}

/** What is stored in an object or a blob. Contents with different numbers differ. */
export const content = (number: number): Uint8Array => u32(number)

/** Returns the number of a content. */
export const numberIn = ({ buffer, byteOffset }: Uint8Array): number => new DataView(buffer, byteOffset).getUint32(0)

export function assert(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise)
}

export function assertBytes(found: Uint8Array | undefined, expected: Uint8Array, what: string): void {
  assert(found !== undefined, `${what} is missing`)
  assert(equalBytes(found, expected), `${what} has other bytes than were written`)
}

/** How many callers try the same thing at once. */
export const WRITERS = 8

/** How often one of several writers may fail before a law gives up. With a correct store, some writer always succeeds. */
export const MAX_TRIES = 500

/** Names that are as long as those of keystrata, and differ in the last character. */
export const longNames = (name: string): readonly string[] => ['0', '1'].map((end) => `${name}/${'0'.repeat(63)}${end}`)

/**
 * Checks one law. `name` is the name of an object that is not there yet. `another` returns one more handle, of the same
 * store or of another one.
 */
export type Check<S> = (store: S, name: string, another: () => Promise<S>) => Promise<void>

/** Returns a name that no other law uses, so that all laws may run on one store. */
const nameOf = (index: number): string => `law-${index}/${crypto.randomUUID()}`

export function lawsOf<S>(laws: Readonly<Record<string, Check<S>>>, make: () => S | Promise<S>): readonly Law[] {
  return Object.entries(laws).map(([name, check], index) => ({
    name,
    check: async () => check(await make(), nameOf(index), async () => make()),
  }))
}
