// A store in a plain folder. It sees names and bytes, and is trusted with nothing but not to lose them.
import { randomUUID } from 'node:crypto'
import { link, mkdir, open, opendir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'

const HASH = /^[0-9a-f]{64}$/

/** What backing up and restoring need of a store. Names are `folder/name`. */
export interface Store {
  /** Where it is, for messages. */
  readonly root: string
  has(name: string): Promise<boolean>
  /** Undefined if there is no such object. */
  get(name: string): Promise<Uint8Array | undefined>
  /** Writes an object, all of it or nothing, and never over another: false if the name is taken. */
  put(name: string, bytes: Uint8Array): Promise<boolean>
  /** The names of all versions of an object, the newest last. */
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

  /** Undefined if there is no such object. */
  async get(name: string): Promise<Uint8Array | undefined> {
    try {
      return await readFile(this.#path(name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  /**
   * Writes an object, all of it or nothing, and never over another: false if the name is taken. A hard link is the one
   * call that fails when the name exists and that no crash leaves half done.
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

  /** Writes an object over the one of that name, all of it or nothing: until then the old one is there. */
  replace(name: string, bytes: Uint8Array): Promise<void> {
    return this.#write(name, bytes, rename)
  }

  /** Writes under a name of its own, and gives the whole its right name in one step. */
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

  /** The hashes that objects of a folder are called by, one after the other however many there are. */
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

  /** The folders whose names begin so, in order. */
  async folders(beginning: string): Promise<string[]> {
    const names = await readdir(this.root).catch(() => [])
    return names.filter((name) => name.startsWith(beginning)).sort()
  }

  /** The names of all versions of an object, the newest last. */
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

  /** Where an object is: names are `folder/name`; hashes are spread over 256 folders, as file systems like it. */
  #path(name: string): string {
    const [folder = '', file = ''] = name.split('/')
    return HASH.test(file) ? join(this.root, folder, file.slice(0, 2), file) : join(this.root, folder, file)
  }

  /** Tells whether an object was written since: its size, its place on the disk, and the time. */
  async stamp(name: string): Promise<{ bytes: number; stamp: string }> {
    const { size, ino, mtimeMs } = await stat(this.#path(name))
    return { bytes: size, stamp: `${size} ${ino} ${mtimeMs}` }
  }
}

/** Writes the next version of an object: they are numbered, and who comes second takes the next number. */
export async function putVersion(store: Store, folder: string, bytes: Uint8Array): Promise<void> {
  for (;;) {
    const newest = (await store.versions(folder)).at(-1) ?? `${folder}/0`
    const next = Number(newest.slice(folder.length + 1)) + 1
    if (await store.put(versionName(folder, next), bytes)) return
  }
}

/** The name of one version of an object: names sort as versions do. */
export function versionName(folder: string, version: number): string {
  if (version >= 1e8) throw new RangeError(`${folder}: too many versions`)
  return `${folder}/${String(version).padStart(8, '0')}`
}

/** Makes a folder last: a name is durable when the folder that it is in was synced. */
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
