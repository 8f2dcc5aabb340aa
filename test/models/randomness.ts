// Random bytes that are the same in every process. `npm run models` installs them before it loads the library, so that a
// seed repeats a run exactly: ids, and with them the order in which a store lists names, are the same. Tests do not.
import { sample } from '../fixtures.ts'

let isInstalled = false
let seed = 0
let calls = 0

/** Replaces the platform's generator in this process. */
export function installRandomness(): void {
  isInstalled = true
  crypto.getRandomValues = ((bytes: Uint8Array) => {
    bytes.set(sample(bytes.length, (Math.imul(seed, 0x0100_0193) ^ Math.imul(++calls, 0x9e37_79b9)) | 0))
    return bytes
  }) as typeof crypto.getRandomValues
}

/** Begins again with another seed. Does nothing if the generator is the platform's. */
export function reseed(next: number): void {
  if (!isInstalled) return
  seed = next + 1
  calls = 0
}
