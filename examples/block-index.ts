// The index of a vault's or a client's backups. These key models have no records, so the index is stored in blocks.
// Version n of the object `snapshots` is the label of backup n. The store can offer an older backup, but it cannot forge
// one. A real tool keeps the label of the last backup in a place that the store does not control.
import type { BlockReader, BlockWriter } from 'keystrata'
import { type BackupStore, writeNext } from './backup-store.ts'
import { getContent, Kind, newTally, putContent, withKind } from './blocks.ts'
import { type Folder, type IndexWriter, type Listing, type Snapshot, toListing } from './listing.ts'

/** The content of a snapshot block: the snapshot and the labels of its listings. */
interface Top {
  snapshot: Snapshot
  listings: string[]
}

const SNAPSHOTS = 'snapshots'

export class BlockIndex implements IndexWriter {
  readonly #writer: BlockWriter
  readonly #store: BackupStore
  readonly #beforeFinish: () => Promise<void>
  #listings: string[] = []

  /**
   * Prepares the index of a new backup.
   * @param beforeFinish runs before the snapshot is stored as the newest
   */
  constructor(writer: BlockWriter, store: BackupStore, beforeFinish: () => Promise<void> = async () => undefined) {
    this.#writer = writer
    this.#store = store
    this.#beforeFinish = beforeFinish
  }

  async add(folders: readonly Folder[]): Promise<void> {
    this.#listings.push(await this.#put(Kind.listing, folders))
  }

  async finish(snapshot: Snapshot): Promise<void> {
    const top: Top = { snapshot, listings: this.#listings }
    const label = await this.#put(Kind.snapshot, top)
    await this.#beforeFinish()
    await writeNext(this.#store.state, SNAPSHOTS, () => Buffer.from(label))
    this.#listings = []
  }

  #put(kind: Kind, value: object): Promise<string> {
    return putContent(withKind(kind, Buffer.from(JSON.stringify(value))), this.#writer, this.#store.blocks, newTally())
  }
}

/** Reads the listing of the backup with number `wanted`, or of the newest. */
export async function readBlockIndex(store: BackupStore, reader: BlockReader, wanted?: number): Promise<Listing> {
  const { address, state } = store
  const stored =
    wanted === undefined ? (await state.read(SNAPSHOTS))?.bytes : await state.readVersion(SNAPSHOTS, wanted)
  if (stored === undefined) throw new Error(`${address} does not hold this backup`)
  const get = async (kind: Kind, label: string): Promise<unknown> =>
    JSON.parse(Buffer.from(await getContent(kind, label, { reader, store }, newTally())).toString())
  try {
    const { snapshot, listings } = (await get(Kind.snapshot, Buffer.from(stored).toString())) as Top
    const folders: Folder[] = []
    for (const label of listings) folders.push(...((await get(Kind.listing, label)) as Folder[]))
    return toListing(snapshot, folders)
  } catch (error) {
    const message = `the index in ${address}: ${(error as Error).message}; --snapshot N restores an older backup`
    throw new Error(message, { cause: error })
  }
}
