// Random bytes, only from the platform's generator. Nothing in this library can make them predictable.
import { allocate, type Bytes } from '../core/bytes.ts'

/** Returns fresh random bytes, at most 65,536. */
export function randomBytes(length: number): Bytes {
  return crypto.getRandomValues(allocate(length))
}

/** Overwrites bytes with fresh random ones, at most 65,536. */
export function fillRandomly(bytes: Bytes): void {
  crypto.getRandomValues(bytes)
}

/** How often to draw before giving up. A working generator never comes near. */
const MAX_DRAWS = 256

/**
 * Draws until `accept` returns a result.
 * @throws Error if it never does, because the platform's generator repeats itself
 */
export function drawUntil<T>(accept: () => T | undefined): T {
  for (let draw = 0; draw < MAX_DRAWS; draw++) {
    const result = accept()
    if (result !== undefined) return result
  }
  throw new Error('the random generator of this platform is broken: it repeats itself')
}

/** Returns random letters of an alphabet, each equally likely. The alphabet has at most 256 letters. */
export function randomLetters(alphabet: string, length: number): string {
  // Bytes from here on would make the first letters of the alphabet more likely.
  const fair = 256 - (256 % alphabet.length)
  const letters: string[] = []
  return drawUntil(() => {
    for (const byte of randomBytes(length)) {
      if (byte < fair) letters.push(alphabet.charAt(byte % alphabet.length))
    }
    return letters.length < length ? undefined : letters.slice(0, length).join('')
  })
}
