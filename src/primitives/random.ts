// Random bytes, only from the platform's generator. Nothing in this library can make them predictable.
import { allocate, type Bytes } from '../core/bytes.ts'

/** Returns fresh random bytes, at most 65,536. */
export function randomBytes(length: number): Bytes {
  return crypto.getRandomValues(allocate(length))
}

/** Returns random letters of an alphabet. The number of its letters must be a power of two, at most 256. */
export function randomLetters(alphabet: string, length: number): string {
  return Array.from(randomBytes(length), (byte) => alphabet[byte % alphabet.length]).join('')
}
