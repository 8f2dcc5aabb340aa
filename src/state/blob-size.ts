// The size of a blob, without reading it.
import { listBlobs, StoreMistake } from './checked.ts'
import type { BlobStore } from './store.ts'

/** @returns undefined if there is no such blob */
export async function sizeOfBlob(blobs: Pick<BlobStore, 'list'>, name: string): Promise<number | undefined> {
  for await (const found of listBlobs(blobs, name)) if (found.name === name) return checkedSize(found.size)
  return undefined
}

/** @throws TypeError if it is no number. A size as text would make every block look cut, and be written again */
function checkedSize(size: unknown): number {
  if (typeof size === 'number') return size
  throw new StoreMistake(`list of the store yielded a size that is not a number, but a ${typeof size}`)
}
