// Several at once, and the results in the order of what came in; neither end is waited for needlessly.
import { KeystrataError } from '../errors.ts'

/**
 * @param most how many are under way at once
 * @throws KeystrataError `aborted`
 */
export async function* inOrder<T, R>(
  source: AsyncIterable<T>,
  most: number,
  task: (item: T) => Promise<R>,
  signal: AbortSignal | undefined,
): AsyncGenerator<R> {
  const listening = new AbortController()
  const aborted: Promise<never> = new Promise((_, reject) => {
    const stop = () => reject(new KeystrataError('aborted'))
    if (signal?.aborted === true) stop()
    signal?.addEventListener('abort', stop, { once: true, signal: listening.signal })
  })
  aborted.catch(() => undefined)
  const iterator = source[Symbol.asyncIterator]()
  const running: Promise<R>[] = []
  let next: Promise<IteratorResult<T>> | undefined
  let isOver = false
  try {
    for (;;) {
      if (!isOver && running.length < most) next ??= iterator.next()
      const [first] = running
      if (first === undefined && next === undefined) return
      const done = first?.then(() => 'done' as const)
      const came = next?.then((result) => result)
      const event = await Promise.race([aborted, ...[came, done].filter((each) => each !== undefined)])
      if (event === 'done') {
        yield (await running.shift()) as R
        continue
      }
      next = undefined
      isOver = event.done === true
      if (event.done !== true) {
        const started = task(event.value)
        // Heard when its turn comes.
        started.catch(() => undefined)
        running.push(started)
      }
    }
  } finally {
    listening.abort()
    await Promise.allSettled(running)
    if (!isOver) {
      const ended = Promise.resolve(iterator.return?.())
      // A source that hangs would not hear of its end before it goes on.
      if (next === undefined) await ended
      else for (const each of [next, ended]) each.catch(() => undefined)
    }
  }
}
