// Waiting before a retry, when several machines change one object.
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
