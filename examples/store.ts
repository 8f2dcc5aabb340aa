// A store in a plain folder. It sees only names and bytes. The demo trusts it only not to lose them.
import { randomUUID } from 'node:crypto'
import { link, mkdir, open, opendir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'

const HASH = /^[0-9a-f]{64}$/

/** A store as backup and restore use it. Names have the form `folder/name`. */
export interface Store {
  /** The address of the store, for messages. */
  readonly root: string
  has(name: string): Promise<boolean>
  /** Returns undefined if there is no such object. */
  get(name: string): Promise<Uint8Array | undefined>
  /** Writes an object completely or not at all. Never overwrites: returns false if the name is taken. */
  put(name: string, bytes: Uint8Array): Promise<boolean>
  /** Returns the names of all versions of an object, the newest last. */
  versions(folder: string): Promise<string[]>
}

export class FolderStore implements Store {
  readonly root: string

  constructor(root: string) {
    this.root = root
  }

  async has(name: string): Promise<boolean> {
    return stat(this.#path(name)).then(
      () => true,
      () => false,
    )
  }

  /** Returns undefined if there is no such object. */
  async get(name: string): Promise<Uint8Array | undefined> {
    try {
      return await readFile(this.#path(name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  /**
   * Writes an object completely or not at all. Never overwrites: returns false if the name is taken. It uses a hard
   * link, because that call fails if the name exists and a crash never leaves it half done.
   */
  async put(name: string, bytes: Uint8Array): Promise<boolean> {
    try {
      await this.#write(name, bytes, link)
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
      throw error
    }
  }

  /** Replaces an object completely or not at all: until the new one is complete, the old one stays. */
  replace(name: string, bytes: Uint8Array): Promise<void> {
    return this.#write(name, bytes, rename)
  }

  /** Writes to a temporary file, then gives the complete file its name in one step. */
  async #write(name: string, bytes: Uint8Array, place: (from: string, to: string) => Promise<void>): Promise<void> {
    const path = this.#path(name)
    const temporary = join(this.root, 'tmp', randomUUID())
    await makeFolder(dirname(temporary))
    await makeFolder(dirname(path))
    try {
      const file = await open(temporary, 'wx', 0o600)
      try {
        await file.writeFile(bytes)
        await file.sync()
      } finally {
        await file.close()
      }
      await place(temporary, path)
      await syncFolder(dirname(path))
    } finally {
      await rm(temporary, { force: true })
    }
  }

  async drop(name: string): Promise<void> {
    await rm(this.#path(name), { force: true })
  }

  /** Yields the hashes that name the objects of a folder, one at a time, so a large folder needs little memory. */
  async *hashes(folder: string): AsyncGenerator<string> {
    const path = join(this.root, folder)
    const exists = await stat(path).then(
      () => true,
      () => false,
    )
    if (!exists) return
    for await (const entry of await opendir(path, { recursive: true })) {
      if (entry.isFile() && HASH.test(entry.name)) yield entry.name
    }
  }

  /** Returns the names of the folders that start with `beginning`, sorted. */
  async folders(beginning: string): Promise<string[]> {
    const names = await readdir(this.root).catch(() => [])
    return names.filter((name) => name.startsWith(beginning)).sort()
  }

  /** Returns the names of all versions of an object, the newest last. */
  async versions(folder: string): Promise<string[]> {
    const names = await readdir(join(this.root, folder)).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    })
    return names
      .filter((name) => /^\d{8}$/.test(name))
      .sort()
      .map((name) => `${folder}/${name}`)
  }

  /** Returns the path of an object. Hashes are spread over 256 folders, because large folders are slow. */
  #path(name: string): string {
    const [folder = '', file = ''] = name.split('/')
    return HASH.test(file) ? join(this.root, folder, file.slice(0, 2), file) : join(this.root, folder, file)
  }

  /** Returns the size of an object and a stamp (size, inode and time) that changes when the object is rewritten. */
  async stamp(name: string): Promise<{ bytes: number; stamp: string }> {
    const { size, ino, mtimeMs } = await stat(this.#path(name))
    return { bytes: size, stamp: `${size} ${ino} ${mtimeMs}` }
  }
}

/** Writes the next version of an object. If another writer takes that number first, it tries the next one. */
export async function putVersion(store: Store, folder: string, bytes: Uint8Array): Promise<void> {
  for (;;) {
    const newest = (await store.versions(folder)).at(-1) ?? `${folder}/0`
    const next = Number(newest.slice(folder.length + 1)) + 1
    if (await store.put(versionName(folder, next), bytes)) return
  }
}

/** Returns the name of one version of an object. Names sort in the order of versions. */
export function versionName(folder: string, version: number): string {
  if (version >= 1e8) throw new RangeError(`${folder}: too many versions, the limit is 99,999,999`)
  return `${folder}/${String(version).padStart(8, '0')}`
}

/** Creates a folder durably: a new name survives a crash only after its parent folder is synced. */
async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true })
  if (first === undefined) return
  for (let made = path; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made))
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
