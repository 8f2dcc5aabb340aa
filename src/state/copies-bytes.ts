// The mark of stores that keep no bytes.
import type { BlobStore } from './store.ts'

/**
 * Says that a store copies bytes. Another object that is made of this one, such as `{ ...store, put }` or a proxy, does
 * not inherit the mark: its methods may keep the bytes.
 */
export const copyingBytes = <S extends BlobStore>(store: S): S =>
  Object.defineProperty(store, 'copiesBytes', {
    get(this: unknown) {
      return this === store
    },
  })
