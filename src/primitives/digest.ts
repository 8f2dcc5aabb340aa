// Hashes content while it is copied, chunk by chunk. A chunk that was just copied is still in the processor's cache.
import type { Bytes } from '../core/bytes.ts'
import type { ContentDigest } from './backend.ts'

export interface HashState {
  update(chunk: Uint8Array): unknown
  digest(): Bytes
}

export type CreateHash<Name> = (hash: Name) => HashState

const CHUNK = 128 * 1024

/** Hashes the concatenation of the parts, without joining them. */
export function digestParts<Name>(create: CreateHash<Name>, hash: Name, parts: readonly Uint8Array[]): Bytes {
  const state = create(hash)
  for (const part of parts) state.update(part)
  return state.digest()
}

export function digestInChunks(
  create: CreateHash<ContentDigest['hash']>,
  content: Uint8Array,
  wanted: readonly ContentDigest[],
  copy?: Uint8Array,
): Bytes[] {
  const states = wanted.map(({ hash }) => create(hash))
  for (let start = 0; start < content.length; start += CHUNK) {
    let chunk = content.subarray(start, start + CHUNK)
    if (copy !== undefined) {
      copy.set(chunk, start)
      chunk = copy.subarray(start, start + chunk.length)
    }
    for (const state of states) state.update(chunk)
  }
  return states.map((state, index) => {
    const suffix = wanted[index]?.suffix
    if (suffix !== undefined) state.update(suffix)
    return state.digest()
  })
}
