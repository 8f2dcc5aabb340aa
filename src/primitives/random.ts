// Randomness, from the platform's generator alone; nothing in this library can make it predictable.
import type { Bytes } from '../core/bytes.ts'

/** Fresh random bytes, at most 65,536. */
export function randomBytes(length: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(length))
}

/** Random letters of an alphabet, which must have a power of two of them: 256 at most. */
export function randomLetters(alphabet: string, length: number): string {
  return Array.from(randomBytes(length), (byte) => alphabet[byte % alphabet.length]).join('')
}
