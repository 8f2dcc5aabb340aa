// Randomness, from the platform's generator alone; nothing in this library can make it predictable.
import type { Bytes } from '../bytes.ts'

/** Fresh random bytes, at most 65,536. */
export function randomBytes(length: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(length))
}
