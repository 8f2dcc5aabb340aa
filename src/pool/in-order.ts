// Several at once, and the results in the order of what came in; neither end is waited for needlessly.
import { KeystrataError } from '../core/errors.ts'

interface Work<T, A, R> {
  /** Takes over what came, before the source goes on and may use its memory again. */
  readonly arrive: (item: T) => A
  readonly task: (items: A[]) => Promise<readonly R[]>
  /** How many tasks are under way at once. */
  readonly most: number
  /** How many items one task takes at most: those that came while all places were taken. */
  readonly lot: number
  readonly signal: AbortSignal | undefined
}

interface Running<R> {
  readonly results: Promise<readonly R[]>
  isDone: boolean
}

/**
 * What the source or an arrival throws comes after the results of all before it.
 * @throws KeystrataError `aborted`
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
  // Whatever happens wakes the loop, which looks at everything again. Racing the same promises each time would remember every race.
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
      // A source that hangs would not hear of its end before it goes on; and what it says of its end must not hide why it ended.
      if (reading.isUnderWay || isFailing) ended.catch(() => undefined)
      else await ended
    }
  }
}
