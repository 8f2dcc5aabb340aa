// Cuts a stream into contents of one size.
import { allocate, type Bytes, bytesFrom, wipe } from '../core/bytes.ts'
import { contentIn } from '../core/content.ts'
import { MAX_CONTENT_BYTES } from '../core/envelope.ts'
import { optionsFrom } from '../core/options.ts'
import { isBytes } from '../core/realms.ts'
import { type LentMemory, shortened } from './lent-memory.ts'

/** 8 MiB and 64 KiB. */
const DEFAULT_BYTES = 8_388_608
const FIRST_BYTES = 65_536

/** Where contents are read to. */
interface Target {
  /** Returns a buffer for content of at least this length. */
  take(length: number): Bytes
  /** Returns the part of a buffer in which the content lies. */
  contentIn(buffer: Bytes): Bytes
  /** Returns a buffer whose content ends after `length` bytes. */
  shortened(buffer: Bytes, length: number): Bytes
  /** Takes back a buffer that was too small. */
  give(buffer: Bytes): void
}

/** Memory of its own for each content, because the caller that gets the content may keep it. */
const own: Target = {
  take: (length) => allocate(length),
  contentIn: (buffer) => buffer,
  shortened: (buffer, length) => buffer.subarray(0, length),
  give: (buffer) => wipe(buffer),
}

/** The cuts that nobody has begun to read, so that a stream can read them into its own memory. */
const unread: WeakMap<object, (target: Target) => AsyncGenerator<Bytes>> = /* @__PURE__ */ new WeakMap()

/**
 * Cuts a stream into contents of one size; the last one may be shorter. A stream without any bytes gives no content.
 * Pass the result to `sealInto` as it is, which then reads into memory that it uses again and again. If you iterate over
 * it yourself, each content is yours to keep.
 * @param source a readable stream of Node or of the web, or any other async iterable of chunks. It is read only as fast
 *   as contents are taken, and is closed when they are no longer taken
 * @param options `size`: the bytes of each content, 1 to 64 MiB; 8 MiB unless said. Equal contents are found only if
 *   they are cut in the same way, so never change it
 * @throws RangeError if `size` is not an integer from 1 to 67,108,864
 * @throws TypeError if the source is not a stream, or a chunk of it is not a Uint8Array
 * @throws TypeError for an unknown option
 * @example
 * ```ts
 * import { cut } from 'keystrata'
 *
 * const sizes: number[] = []
 * for await (const content of cut(new Blob(['0123456789']).stream(), { size: 4 })) sizes.push(content.length)
 * console.log(sizes) // [ 4, 4, 2 ]
 * ```
 */
export function cut(
  source: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
  options?: { size?: number | undefined },
): AsyncGenerator<Uint8Array> {
  const { size = DEFAULT_BYTES } = optionsFrom(options, { size: 'optional' }, 'cut')
  if (!Number.isSafeInteger(size) || size < 1 || size > MAX_CONTENT_BYTES)
    throw new RangeError(`size must be an integer from 1 to ${MAX_CONTENT_BYTES}`)
  const chunks = chunksOf(source)
  async function* alone(): AsyncGenerator<Uint8Array> {
    if (unread.delete(contents)) yield* contentsOf(chunks, size, own)
  }
  const contents = alone()
  unread.set(contents, (target) => contentsOf(chunks, size, target))
  return contents
}

/**
 * Returns the contents of a cut, in buffers of this memory.
 * @returns undefined if `contents` is not a cut, or somebody has begun to read it
 */
export function readCut(contents: object, memory: LentMemory): AsyncGenerator<Bytes> | undefined {
  const read = unread.get(contents)
  unread.delete(contents)
  return read?.({
    take: (length) => memory.takeWhole(length),
    contentIn,
    shortened,
    give(buffer) {
      wipe(buffer)
      memory.give(buffer.buffer)
    },
  })
}

async function* contentsOf(chunks: AsyncIterable<Uint8Array>, size: number, target: Target): AsyncGenerator<Bytes> {
  // A short stream takes little memory: its first buffer grows with it.
  let least = Math.min(FIRST_BYTES, size)
  let buffer: Bytes | undefined
  let length = 0
  const finished = (full: Bytes): Bytes => {
    const content = target.shortened(full, length)
    buffer = undefined
    length = 0
    return content
  }
  try {
    for await (const chunk of chunks) {
      let rest = bytesFrom(chunk, 'chunk of the stream')
      while (rest.length > 0) {
        const part = rest.subarray(0, size - length)
        const wanted = length + part.length
        least = Math.max(least, wanted)
        if (buffer === undefined || target.contentIn(buffer).length < wanted) {
          buffer = replaced(target, buffer, length, least)
          least = Math.min(4 * least, size)
        }
        target.contentIn(buffer).set(part, length)
        length = wanted
        rest = rest.subarray(part.length)
        if (length === size) yield finished(buffer)
      }
    }
    if (buffer !== undefined) yield finished(buffer)
  } finally {
    if (buffer !== undefined) wipe(buffer)
  }
}

/** Returns a buffer for `least` bytes, with the bytes that are in the smaller one. */
function replaced(target: Target, smaller: Bytes | undefined, length: number, least: number): Bytes {
  const buffer = target.take(least)
  if (smaller === undefined) return buffer
  target.contentIn(buffer).set(target.contentIn(smaller).subarray(0, length))
  target.give(smaller)
  return buffer
}

function chunksOf(source: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>): AsyncIterable<Uint8Array> {
  const found = Object(source) as Partial<AsyncIterable<Uint8Array> & ReadableStream<Uint8Array>>
  if (typeof found[Symbol.asyncIterator] === 'function') return source as AsyncIterable<Uint8Array>
  if (typeof found.getReader === 'function') return readAll(source as ReadableStream<Uint8Array>)
  const hint = isBytes(source) ? ': content that is in memory is cut already, so pass [content] to sealInto' : ''
  throw new TypeError(`source must be a readable stream or an async iterable of bytes${hint}`)
}

/** Reads a stream of the web in browsers where it is not iterable. */
async function* readAll(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader()
  let isOver = false
  try {
    for (;;) {
      const { done, value } = await reader.read()
      isOver = done
      if (done) return
      yield value
    }
  } finally {
    if (!isOver) await reader.cancel()
  }
}
