// The index of a vault's or a client's backups. These key models have no records, so the index is stored in blocks.
// The store says which backup is the newest: it can offer an older one, but it cannot forge one. A real tool keeps the
// label of the last backup in a place that the store does not control.
import { join } from 'node:path'
import type { BlockReader, BlockWriter } from 'keystrata'
import { getContent, Kind, newTally, putContent, withKind } from './blocks.ts'
import { type Folder, type IndexWriter, type Listing, type Snapshot, toListing } from './listing.ts'
import { putVersion, type Store } from './store.ts'

/** The content of a snapshot block: the snapshot and the labels of its listings. */
interface Top {
  snapshot: Snapshot
  listings: string[]
}

const SNAPSHOTS = 'snapshots'

export class BlockIndex implements IndexWriter {
  readonly #writer: BlockWriter
  readonly #store: Store
  readonly #folder: string
  readonly #beforeFinish: () => Promise<void>
  #listings: string[] = []

  /**
   * Prepares the index of a new backup.
   * @param beforeFinish runs before the snapshot is stored as the newest
   */
  constructor(
    writer: BlockWriter,
    store: Store,
    folder: string = SNAPSHOTS,
    beforeFinish = async (): Promise<void> => undefined,
  ) {
    this.#beforeFinish = beforeFinish
    this.#writer = writer
    this.#store = store
    this.#folder = folder
  }

  async add(folders: readonly Folder[]): Promise<void> {
    this.#listings.push(await this.#put(Kind.listing, folders))
  }

  async finish(snapshot: Snapshot): Promise<void> {
    const top: Top = { snapshot, listings: this.#listings }
    const label = await this.#put(Kind.snapshot, top)
    await this.#beforeFinish()
    await putVersion(this.#store, this.#folder, Buffer.from(label))
    this.#listings = []
  }

  #put(kind: Kind, value: object): Promise<string> {
    return putContent(withKind(kind, Buffer.from(JSON.stringify(value))), this.#writer, this.#store, newTally())
  }
}

/** Reads the listing of the backup with number `wanted`, or of the newest. */
export async function readBlockIndex(
  store: Store,
  reader: BlockReader,
  wanted?: number,
  folder: string = SNAPSHOTS,
): Promise<Listing> {
  const names = await store.versions(folder)
  const name = wanted === undefined ? names.at(-1) : names.find((each) => Number(each.slice(-8)) === wanted)
  if (name === undefined) throw new Error(`${store.root} does not hold this backup`)
  const label = Buffer.from((await store.get(name)) ?? []).toString()
  const get = async (kind: Kind, each: string): Promise<unknown> =>
    JSON.parse(Buffer.from(await getContent(kind, each, { reader, store }, newTally())).toString())
  try {
    const { snapshot, listings } = (await get(Kind.snapshot, label)) as Top
    const folders: Folder[] = []
    for (const each of listings) folders.push(...((await get(Kind.listing, each)) as Folder[]))
    return toListing(snapshot, folders)
  } catch (error) {
    const message = `${join(store.root, name)}: ${(error as Error).message}; --snapshot N restores an older backup`
    throw new Error(message, { cause: error })
  }
}
