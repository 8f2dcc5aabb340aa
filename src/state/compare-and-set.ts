// Changing the objects of a store that several machines share: checking the store's answers, and waiting before a
// retry.
import { randomBytes } from '../primitives/random.ts'

/**
 * Checks the answer of a store to a write, and returns it.
 * @param method the name of the store's method, for the error message
 * @throws TypeError if the answer is not a boolean. The result object of a database driver, for example, would count as
 *   true
 */
export function wasWritten(answer: boolean, method: string): boolean {
  if (typeof answer === 'boolean') return answer
  throw new TypeError(`${method} of the store must return true or false`)
}

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
