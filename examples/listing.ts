// The listing of a backup: its files, folders and links, and where the content of each file is. backup-log.ts stores it.

export type Entry = { name: string; mode: number; mtimeMs: number } & (
  ({ type: 'file'; size: number } & (Pieces | Packed)) | { type: 'folder' } | { type: 'link'; target: string }
)

/** A file that is stored as pieces. Each piece is a block. */
interface Pieces {
  /** The labels of the pieces, in order. */
  pieces: string[]
}

/** A small file in a pack with others. */
export interface Packed {
  /** The label of the pack. */
  pack: string
  /** The member string, which opens this file in the pack. It is as secret as the file. */
  member: string
}

/** Entries of one folder. A large folder is split over several of these. */
export interface Folder {
  /** The path of the folder, with `/` between names; empty for the top folder. */
  path: string
  entries: Entry[]
}

export interface Snapshot {
  created: string
  files: number
  bytes: number
}

/** The listing of a whole backup. */
export interface Listing {
  snapshot: Snapshot
  /** The entries of each folder, by its path. */
  folders: ReadonlyMap<string, readonly Entry[]>
}

/** Stores the listing of a new backup. */
export interface IndexWriter {
  /** Where the index ends. Keep it where the store cannot change it: whoever knows it notices if the end is cut off. */
  readonly position: string | undefined
  add(folders: readonly Folder[]): Promise<void>
  /** Completes the backup: from now on it can be restored. */
  finish(snapshot: Snapshot): Promise<void>
}

export function toListing(snapshot: Snapshot, folders: readonly Folder[]): Listing {
  const map: Map<string, Entry[]> = new Map()
  for (const { path, entries } of folders) map.set(path, [...(map.get(path) ?? []), ...entries])
  return { snapshot, folders: map }
}

export const joinPath = (path: string, name: string): string => (path === '' ? name : `${path}/${name}`)

/** Returns the listing of one folder of a backup. Its paths are relative to that folder. */
export function partOf({ snapshot, folders }: Listing, folder: string): Listing {
  const inside = [...folders].flatMap(([path, entries]): [string, readonly Entry[]][] =>
    path === folder ? [['', entries]] : path.startsWith(`${folder}/`) ? [[path.slice(folder.length + 1), entries]] : [],
  )
  if (inside.length === 0) throw new Error(`the backup has no folder named ${folder}`)
  const files = inside.flatMap(([, entries]) => entries.filter((entry) => entry.type === 'file'))
  const bytes = files.reduce((sum, { size }) => sum + size, 0)
  return { snapshot: { ...snapshot, files: files.length, bytes }, folders: new Map(inside) }
}

const filesOf = ({ folders }: Listing) => [...folders.values()].flat().filter((entry) => entry.type === 'file')

/** Returns the labels of all blocks that a listing needs. */
export const labelsOf = (listing: Listing): Set<string> =>
  new Set(filesOf(listing).flatMap((file) => ('pack' in file ? [file.pack] : file.pieces)))

/** Returns the files of a listing that are in packs. */
export const packedIn = (listing: Listing): Packed[] => filesOf(listing).filter((file) => 'pack' in file)
