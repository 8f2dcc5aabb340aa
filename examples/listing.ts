// What a backup is made of, apart from contents: files, folders and links, with what restores each of them. How a listing is
// kept is up to the key model: log.ts does it in records, block-index.ts in blocks.

export type Entry = { name: string; mode: number; mtimeMs: number } & (
  ({ type: 'file'; size: number } & (Pieces | Packed)) | { type: 'folder' } | { type: 'link'; target: string }
)

/** A file by the labels of its pieces. */
interface Pieces {
  pieces: string[]
}

/** A small file, in a pack with others. */
export interface Packed {
  /** The label of the pack. */
  pack: string
  /** What opens this file of it: as secret as the file. */
  member: string
}

/** Entries of one folder; a large folder has several of these. */
export interface Folder {
  /** The names on the way to it, with / between; the top is empty. */
  path: string
  entries: Entry[]
}

export interface Snapshot {
  created: string
  files: number
  bytes: number
}

/** A whole backup. */
export interface Listing {
  snapshot: Snapshot
  /** The entries of each folder, by its path. */
  folders: ReadonlyMap<string, readonly Entry[]>
}

/** Where the listing of a new backup goes. */
export interface IndexWriter {
  add(folders: readonly Folder[]): Promise<void>
  /** The end: from then on the backup is there. */
  finish(snapshot: Snapshot): Promise<void>
}

export function toListing(snapshot: Snapshot, folders: readonly Folder[]): Listing {
  const map: Map<string, Entry[]> = new Map()
  for (const { path, entries } of folders) map.set(path, [...(map.get(path) ?? []), ...entries])
  return { snapshot, folders: map }
}

export const joinPath = (path: string, name: string): string => (path === '' ? name : `${path}/${name}`)

/** The part of a listing that is in one folder, as a listing of its own. */
export function partOf({ snapshot, folders }: Listing, folder: string): Listing {
  const inside = [...folders].flatMap(([path, entries]): [string, readonly Entry[]][] =>
    path === folder ? [['', entries]] : path.startsWith(`${folder}/`) ? [[path.slice(folder.length + 1), entries]] : [],
  )
  if (inside.length === 0) throw new Error(`the backup has no folder ${folder}`)
  const files = inside.flatMap(([, entries]) => entries.filter((entry) => entry.type === 'file'))
  const bytes = files.reduce((sum, { size }) => sum + size, 0)
  return { snapshot: { ...snapshot, files: files.length, bytes }, folders: new Map(inside) }
}

const filesOf = ({ folders }: Listing) => [...folders.values()].flat().filter((entry) => entry.type === 'file')

/** The labels of all blocks that a listing needs. */
export const labelsOf = (listing: Listing): Set<string> =>
  new Set(filesOf(listing).flatMap((file) => ('pack' in file ? [file.pack] : file.pieces)))

/** The files of a listing that are in packs. */
export const packedIn = (listing: Listing): Packed[] => filesOf(listing).filter((file) => 'pack' in file)
