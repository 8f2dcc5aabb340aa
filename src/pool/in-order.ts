// Several at once, and the results in the order of what came in; neither end is waited for needlessly.
import { KeystrataError } from '../errors.ts'

interface Limits {
  /** How many tasks are under way at once. */
  readonly most: number
  /** How many items one task takes at most, if they came while all places were taken. */
  readonly batch: number
  readonly signal: AbortSignal | undefined
}

interface Running<R> {
  readonly results: Promise<readonly R[]>
  isDone: boolean
}

/** @throws KeystrataError `aborted` */
export async function* inOrder<T, R>(
  source: AsyncIterable<T>,
  task: (items: T[]) => Promise<readonly R[]>,
  { most, batch, signal }: Limits,
): AsyncGenerator<R> {
  const iterator = source[Symbol.asyncIterator]()
  const waiting: T[] = []
  const running: Running<R>[] = []
  const reading: { isWaiting: boolean; isOver: boolean; fault?: { readonly error: unknown } } = {
    isWaiting: false,
    isOver: false,
  }
  // Whatever happens wakes the loop, which looks at everything again. Racing the same promises each time would remember every race.
  let wake = (): void => undefined
  const onAbort = () => wake()
  signal?.addEventListener('abort', onAbort)

  const assertRunning = () => {
    if (signal?.aborted === true) throw new KeystrataError('aborted')
    if (reading.fault !== undefined) throw reading.fault.error
  }
  const read = async () => {
    reading.isWaiting = true
    try {
      const next = await iterator.next()
      if (next.done === true) reading.isOver = true
      else waiting.push(next.value)
    } catch (error) {
      reading.isOver = true
      reading.fault = { error }
    }
    reading.isWaiting = false
    wake()
  }
  const start = (items: T[]) => {
    const started: Running<R> = { results: task(items), isDone: false }
    const done = () => {
      started.isDone = true
      wake()
    }
    started.results.then(done, done)
    running.push(started)
  }

  try {
    for (;;) {
      assertRunning()
      if (waiting.length > 0 && running.length < most) start(waiting.splice(0))
      const hasRoom = running.length < most || waiting.length + 1 < batch
      if (hasRoom && !reading.isOver && !reading.isWaiting) void read()
      const [first] = running
      if (first?.isDone === true) {
        running.shift()
        for (const result of await first.results) {
          assertRunning()
          yield result
        }
      } else if (reading.isOver && first === undefined && waiting.length === 0) {
        return
      } else {
        await new Promise<void>((resolve) => (wake = resolve))
      }
    }
  } finally {
    signal?.removeEventListener('abort', onAbort)
    await Promise.allSettled(running.map(({ results }) => results))
    if (!reading.isOver) {
      const ended = Promise.resolve(iterator.return?.())
      // A source that hangs would not hear of its end before it goes on.
      if (reading.isWaiting) ended.catch(() => undefined)
      else await ended
    }
  }
}
