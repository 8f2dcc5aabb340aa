// What keystrata/pool is on React Native, which has no worker threads. An app that also runs on the web can import it,
// and do without a pool on phones.
import type { createPool as create } from './pool.ts'

/**
 * Throws: there are no threads.
 * @throws TypeError always
 */
export const createPool: typeof create = () => {
  throw new TypeError('React Native has no worker threads: seal and open without a pool')
}
