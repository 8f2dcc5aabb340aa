// Runs several tasks over a stream at once, and returns their results in the order of the stream. A slow source does
// not hold back results, and a slow consumer holds back the source.
import { KeystrataError } from './errors.ts'

/** How a stream runs. */
interface Pace<T, R> {
  /** How many items are under way at once, from the moment when they are read until their results are taken. */
  readonly most: number
  readonly signal: AbortSignal | undefined
  /** Wipes an item that came when the stream had ended, so that no task got it. */
  readonly dropItem?: (item: T) => void
  /** Wipes a result that nobody took before the stream ended. */
  readonly dropResult?: (result: R) => void
}

interface Running<R> {
  readonly result: Promise<R>
  isDone: boolean
}

/**
 * Runs a task for each item of a source and yields the results in the order of the items. A task starts as soon as its
 * item is there, and must read the item before it first waits, because the source may reuse its memory. If the source
 * throws, the results of all earlier items come first, and then the error. When the stream ends early, the source is
 * closed. Unless it was aborted, it ends only when no task is running any more.
 * @throws KeystrataError `aborted` as soon as the signal is aborted
 */
export async function* inOrder<T, R>(
  source: AsyncIterable<T>,
  task: (item: T) => Promise<R>,
  { most, signal, dropItem, dropResult }: Pace<T, R>,
): AsyncGenerator<R> {
  const iterator = source[Symbol.asyncIterator]()
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
  const woken = () =>
    new Promise<void>((resolve) => {
      sleeping.end = resolve
      if (sleeping.isOver) resolve()
    })

  let isEnding = false
  const assertWanted = () => {
    if (signal?.aborted === true) throw new KeystrataError('aborted')
  }
  const hasRoom = () => !isEnding && running.length < most
  const isReadable = () => !reading.isOver && reading.fault === undefined
  const readOn = () => {
    if (isReadable() && !reading.isUnderWay && hasRoom()) void read()
  }
  const start = (item: T) => {
    const started: Running<R> = { result: task(item), isDone: false }
    const done = () => {
      started.isDone = true
      wake()
    }
    started.result.then(done, done)
    running.push(started)
  }
  const read = async () => {
    reading.isUnderWay = true
    try {
      while (hasRoom()) {
        const next = await iterator.next()
        reading.isOver = next.done === true
        if (next.done === true) break
        if (isEnding) {
          dropItem?.(next.value)
          break
        }
        start(next.value)
      }
    } catch (error) {
      reading.fault = { error }
    }
    reading.isUnderWay = false
    wake()
  }

  let isFailing = true
  try {
    for (;;) {
      sleeping.isOver = false
      assertWanted()
      readOn()
      const [first] = running
      if (first?.isDone === true) {
        running.shift()
        readOn()
        const result = await first.result
        isFailing = false
        yield result
        isFailing = true
      } else if (first === undefined && !isReadable()) {
        if (reading.fault !== undefined) throw reading.fault.error
        return
      } else {
        await woken()
      }
    }
  } finally {
    isEnding = true
    for (const { result } of running) result.then(dropResult, () => undefined)
    for (;;) {
      sleeping.isOver = false
      // What was aborted may hang, such as a request that is never answered.
      if (signal?.aborted === true || running.every(({ isDone }) => isDone)) break
      await woken()
    }
    signal?.removeEventListener('abort', wake)
    if (!reading.isOver) {
      const ended = (async () => iterator.return?.())()
      // Do not wait for a source that hangs: it handles `return` only after its pending `next`. Also, an error from
      // `return` must not hide the error that ended the stream.
      if (reading.isUnderWay || isFailing) ended.catch(() => undefined)
      else await ended
    }
  }
}
