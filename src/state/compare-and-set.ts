// Changing what several machines keep in one store: what a store may answer, and how long to wait before another try.
import { randomBytes } from '../primitives/random.ts'

/**
 * Whether a store wrote what it was given.
 * @param method the method of the store that answered, for the error
 * @throws TypeError if the store answers neither true nor false: the result object of a database driver would count as true
 */
export function wasWritten(answer: boolean, method: string): boolean {
  if (typeof answer === 'boolean') return answer
  throw new TypeError(`${method} of the store must answer true or false`)
}

/**
 * Waits for a random time of up to a second, which grows with the number of tries and with the time that one try took. Without the wait,
 * machines that collided would collide again.
 */
export function pauseBeforeRetry(tries: number, took: number): Promise<void> {
  const [random = 0] = randomBytes(1)
  const longest = Math.min(Math.max(took, 1) * 2 ** Math.min(tries, 7), 1000)
  return new Promise((resolve) => void setTimeout(resolve, (random / 256) * longest))
}
