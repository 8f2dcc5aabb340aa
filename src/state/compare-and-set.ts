// Trying again, when several machines change one object.
import { randomBytes } from '../primitives/random.ts'

/**
 * Waits for a random time of up to one second. The limit doubles with every try, starting from the time that one try
 * took. Without this wait, machines that collided once would collide again.
 * @param tries the number of tries so far
 * @param took the time that one try took, in milliseconds
 */
export function pauseBeforeRetry(tries: number, took: number): Promise<void> {
  const [random = 0] = randomBytes(1)
  const longest = Math.min(Math.max(took, 1) * 2 ** Math.min(tries, 7), 1000)
  return new Promise((resolve) => void setTimeout(resolve, (random / 256) * longest))
}

/** How often to start a change again that other machines were quicker with. */
export const TRIES = 12

/**
 * Runs `attempt` until it returns something, with growing random pauses.
 * @param lost returns the error to throw after the last try
 */
export async function untilDone<T>(attempt: () => Promise<T | undefined>, lost: () => Error): Promise<T> {
  for (let tries = 1; ; tries++) {
    const started = Date.now()
    const done = await attempt()
    if (done !== undefined) return done
    if (tries === TRIES) throw lost()
    await pauseBeforeRetry(tries, Date.now() - started)
  }
}
