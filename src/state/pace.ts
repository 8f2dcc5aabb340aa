// What the streams over blocks have in common: their options, and the many kinds of sources that they take.
import type { Rules } from '../core/options.ts'
import { isBytes } from '../core/realms.ts'

/**
 * How a stream runs.
 * @example
 * ```ts
 * import { type Ahead, type BlockReader, openFrom } from 'keystrata'
 * import type { Blocks } from 'keystrata/stores'
 *
 * const pace: Ahead = { ahead: 8, signal: AbortSignal.timeout(3_600_000) }
 * const restore = (blocks: Blocks, reader: BlockReader, refs: string[]) => openFrom(blocks, reader, refs, pace)
 * ```
 */
export interface Ahead {
  /**
   * How many blocks are under way at once, 1 to 1,024; 4 unless said. What the stream gave you does not count. With a
   * pool, say at least twice the number of its threads. Where only heads are read, 64 of them count as one block.
   */
  ahead?: number | undefined
  /** Ends the stream at once: it throws `aborted`. What is under way may still be stored. */
  signal?: AbortSignal | undefined
}

export const AHEAD: Rules<Ahead> = { ahead: 'optional', signal: 'optional' }

/**
 * Items that are there already, or come one after the other.
 * @example
 * ```ts
 * import type { Each } from 'keystrata'
 *
 * async function countOf(items: Each<unknown>) {
 *   let count = 0
 *   for await (const _ of items) count++
 *   return count
 * }
 * ```
 */
export type Each<T> = Iterable<T> | AsyncIterable<T>

const DEFAULT_AHEAD = 4
const MOST_AHEAD = 1024

/** How many heads count as one block. */
export const HEADS_PER_BLOCK = 64

/**
 * Returns how many blocks may be in memory at once, and the signal.
 * @throws RangeError if `ahead` is not an integer from 1 to 1,024
 * @throws TypeError if `signal` is not an AbortSignal
 */
export function paceFrom({ ahead = DEFAULT_AHEAD, signal }: Ahead): { most: number; signal: AbortSignal | undefined } {
  if (!Number.isSafeInteger(ahead) || ahead < 1 || ahead > MOST_AHEAD)
    throw new RangeError(`ahead must be an integer from 1 to ${MOST_AHEAD}`)
  if (signal !== undefined && typeof (signal as Partial<AbortSignal> | null)?.addEventListener !== 'function')
    throw new TypeError('signal must be an AbortSignal')
  return { most: ahead, signal }
}

/**
 * Returns a source as one kind.
 * @param what the name of the parameter
 * @throws TypeError if it is not a source, or is a single item
 */
export function sourceFrom<T>(given: Each<T>, what: string): AsyncIterable<T> {
  const found = Object(given) as Partial<AsyncIterable<T> & Iterable<T>>
  const isItem = typeof given === 'string' || isBytes(given)
  if (!isItem && typeof found[Symbol.asyncIterator] === 'function') return given as AsyncIterable<T>
  if (isItem || typeof found[Symbol.iterator] !== 'function')
    throw new TypeError(
      `${what} must be an array, an iterable or a stream${isItem ? `, not one of them: pass [${what}]` : ''}`,
    )
  return oneByOne(given as Iterable<T>)
}

async function* oneByOne<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items
}
