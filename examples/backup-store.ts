// What the demos need of a store: blocks, and small objects that change. Also one in a folder, and how to write the next
// version of an object when others may write too.
import { createHash } from 'node:crypto'
import { type BlobStore, type Blocks, blocksIn, type SharedBlocks, type StateStore } from 'keystrata/stores'
import { folderBlobStore, folderStateStore } from 'keystrata/stores/folder'

export interface BackupStore {
  /** Where the store is, for messages. */
  readonly address: string
  readonly blocks: Pick<Blocks, 'has' | 'get' | 'put'>
  readonly state: StateStore
}

export interface FolderStore extends BackupStore {
  readonly blocks: SharedBlocks
  readonly blobs: BlobStore
}

/** Opens a folder that holds both blocks and state. Their names never collide. */
export function folderStore(path: string): FolderStore {
  const blobs = folderBlobStore(path)
  return { address: path, blobs, blocks: blocksIn(blobs), state: folderStateStore(path) }
}

/** How often to start again when other writers are quicker. */
const TRIES = 100

/**
 * Writes the next version of an object. If another writer is quicker, it starts again from what that one wrote.
 * @param next returns the bytes to write behind the newest version. It may be called more than once
 * @returns the number of the version
 */
export async function writeNext(
  state: StateStore,
  name: string,
  next: (newest: Uint8Array | undefined) => Uint8Array | Promise<Uint8Array>,
): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const newest = await state.read(name)
    const version = (newest?.version ?? 0) + 1
    const bytes = await next(newest?.bytes)
    if (await state.write(name, version, bytes)) return version
    // A store that repeats a request may find its own write, and return false for it.
    const stored = await state.readVersion(name, version)
    if (stored !== undefined && Buffer.compare(stored, bytes) === 0) return version
  }
  throw new Error(`other writers changed ${name} first on ${TRIES} tries: try again later`)
}

/** Returns the SHA-256 of a text, in hex. Names of objects hold the hash of what people chose, never the text itself. */
export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
