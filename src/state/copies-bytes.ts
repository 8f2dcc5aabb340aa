// The mark of stores that keep no bytes.
import type { BlobStore } from './store.ts'

/**
 * Says that a store copies bytes. Whoever makes another store of its methods, as `{ ...store, put }`, does not inherit
 * this: the methods of that one may keep the bytes.
 */
export const copyingBytes = <S extends BlobStore>(store: S): S =>
  Object.defineProperty(store, 'copiesBytes', { value: true })
