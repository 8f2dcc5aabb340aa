// Runs several tasks over a stream at once, and returns their results in the order of the stream. A slow source does
// not hold back results, and a slow consumer does not stop the tasks that are running.
import { KeystrataError } from '../core/errors.ts'

interface Work<T, A, R> {
  /** Copies an item before the source goes on, because the source may reuse its memory. */
  readonly arrive: (item: T) => A
  readonly task: (items: A[]) => Promise<readonly R[]>
  /** How many tasks may run at once. */
  readonly most: number
  /** How many items one task takes at most. Items that arrive while all tasks are running wait and become one task. */
  readonly lot: number
  readonly signal: AbortSignal | undefined
}

interface Running<R> {
  readonly results: Promise<readonly R[]>
  isDone: boolean
}

/**
 * Runs tasks over the items of a source and yields the results in the order of the items. If the source or `arrive`
 * throws, the results of all earlier items come first, and then the error.
 * @throws KeystrataError `aborted` if the signal was aborted
 */
export async function* inOrder<T, A, R>(
  source: AsyncIterable<T>,
  { arrive, task, most, lot, signal }: Work<T, A, R>,
): AsyncGenerator<R> {
  const iterator = source[Symbol.asyncIterator]()
  const waiting: A[] = []
  const running: Running<R>[] = []
  const reading: { isUnderWay: boolean; isOver: boolean; fault?: { readonly error: unknown } } = {
    isUnderWay: false,
    isOver: false,
  }
  // Every event wakes the loop, which then checks everything again. Calling Promise.race on the same promises each time
  // would leak memory, because a pending promise keeps the handlers of every race.
  const sleeping: { isOver: boolean; end: () => void } = { isOver: false, end: () => undefined }
  const wake = () => {
    sleeping.isOver = true
    sleeping.end()
  }
  signal?.addEventListener('abort', wake)

  let isEnding = false
  const assertWanted = () => {
    if (signal?.aborted === true) throw new KeystrataError('aborted')
  }
  const hasRoom = () => !isEnding && (lot > 1 || running.length < most) && waiting.length < lot
  const read = async () => {
    reading.isUnderWay = true
    try {
      while (hasRoom()) {
        const next = await iterator.next()
        reading.isOver = next.done === true
        if (next.done === true) break
        waiting.push(arrive(next.value))
        wake()
      }
    } catch (error) {
      reading.fault = { error }
    }
    reading.isUnderWay = false
    wake()
  }
  const start = (items: A[]) => {
    const started: Running<R> = { results: task(items), isDone: false }
    const done = () => {
      started.isDone = true
      wake()
    }
    started.results.then(done, done)
    running.push(started)
  }

  let isFailing = true
  try {
    for (;;) {
      sleeping.isOver = false
      assertWanted()
      if (waiting.length > 0 && running.length < most) start(waiting.splice(0))
      const isReadable = !reading.isOver && reading.fault === undefined
      if (isReadable && !reading.isUnderWay && hasRoom()) void read()
      const [first] = running
      if (first?.isDone === true) {
        running.shift()
        for (const result of await first.results) {
          assertWanted()
          isFailing = false
          yield result
          isFailing = true
        }
      } else if (first === undefined && waiting.length === 0 && !isReadable) {
        if (reading.fault !== undefined) throw reading.fault.error
        return
      } else {
        await new Promise<void>((resolve) => {
          sleeping.end = resolve
          if (sleeping.isOver) resolve()
        })
      }
    }
  } finally {
    isEnding = true
    signal?.removeEventListener('abort', wake)
    await Promise.allSettled(running.map(({ results }) => results))
    if (!reading.isOver) {
      const ended = (async () => iterator.return?.())()
      // Do not wait for a source that hangs: it handles `return` only after its pending `next`. Also, an error from
      // `return` must not hide the error that ended the stream.
      if (reading.isUnderWay || isFailing) ended.catch(() => undefined)
      else await ended
    }
  }
}
