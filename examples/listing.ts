// The listing of a backup: its files, folders and links, and where the content of each file is. backup-log.ts stores it.

export type Entry = { name: string; mode: number; mtimeMs: number } & (
  Content | { type: 'folder' } | { type: 'link'; target: string }
)

interface Content {
  type: 'file'
  size: number
  /** Where its pieces are, in order. A small file is whole, in a pack with others. Refs are as secret as the file. */
  refs: string[]
}

export type File = Extract<Entry, Content>

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
  /** Where the index ends. Keep it where the store cannot change it: anyone who knows it notices if the end is cut off. */
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

/** Returns the folders of a listing, as an index takes them. */
export const foldersOf = ({ folders }: Listing): Folder[] =>
  [...folders].map(([path, entries]) => ({ path, entries: [...entries] }))

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

/** Returns all refs of a listing, each one once. Those of one pack mostly follow each other. */
export const refsOf = ({ folders }: Listing): string[] => [
  ...new Set([...folders.values()].flat().flatMap((entry) => (entry.type === 'file' ? entry.refs : []))),
]

/**
 * Returns the same listing with other refs, such as those of a share.
 * @param replace returns one ref for each that it gets, in their order
 */
export async function withRefs(
  listing: Listing,
  replace: (refs: readonly string[]) => AsyncIterable<string>,
): Promise<Listing> {
  const refs = refsOf(listing)
  const others: Map<string, string> = new Map()
  for await (const other of replace(refs)) others.set(refs[others.size]!, other)
  const replaced = (entry: Entry): Entry =>
    entry.type === 'file' ? { ...entry, refs: entry.refs.map((ref) => others.get(ref)!) } : entry
  const folders = [...listing.folders].map(([path, entries]) => [path, entries.map(replaced)] as const)
  return { snapshot: listing.snapshot, folders: new Map(folders) }
}
