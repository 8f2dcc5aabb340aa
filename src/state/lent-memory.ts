// Memory that a stream uses again and again: content is read into it, sealed where it lies, and stored. New memory for
// each block would cost a tenth of the time. It may serve again only when nobody else can still read it.
import { type Bytes, wipe } from '../core/bytes.ts'
import { allocateWithRoom, bytesWithRoom, contentIn } from '../core/content.ts'
import { disposable, type Handle } from '../core/secret.ts'

export class LentMemory {
  readonly #most: number
  readonly #free: ArrayBuffer[] = []
  #isOver = false

  /** @param most how many buffers to keep */
  constructor(most: number) {
    this.#most = most
  }

  /** Returns a buffer for content of at least this length, with room around it. What is in it is old. */
  takeWhole(length: number): Bytes {
    const at = this.#free.findIndex(({ byteLength }) => bytesWithRoom(byteLength) >= length)
    const [buffer] = at < 0 ? [] : this.#free.splice(at, 1)
    return buffer === undefined ? allocateWithRoom(length) : new Uint8Array(buffer)
  }

  /**
   * Takes a buffer back. If this library seals in it, no content may be left in it: a store sees the whole buffer behind
   * its next ciphertext. A buffer that has moved to another thread is empty, and is not kept.
   */
  give(buffer: ArrayBuffer | undefined): void {
    if (buffer === undefined || buffer.byteLength === 0) return
    this.#free.push(buffer)
    // Keep the largest.
    this.#free.sort((one, other) => other.byteLength - one.byteLength)
    this.#wipeBeyond(this.#isOver ? 0 : this.#most)
  }

  /** Wipes what it holds, and later whatever comes back. */
  end(): void {
    this.#isOver = true
    this.#wipeBeyond(0)
  }

  #wipeBeyond(most: number): void {
    for (const buffer of this.#free.splice(most)) wipe(new Uint8Array(buffer))
  }
}

/** Returns memory that ends with a `using` block. It keeps this many buffers. */
export function lentMemory(most: number): LentMemory & Handle {
  const memory = new LentMemory(most)
  return disposable(memory, () => memory.end())
}

/** Returns a buffer with room whose content ends after `length` bytes. */
export const shortened = (buffer: Bytes, length: number): Bytes =>
  buffer.subarray(0, buffer.length - contentIn(buffer).length + length)
