// A store in a plain folder. It sees names and bytes, and is trusted with nothing but not to lose them.
import { randomUUID } from 'node:crypto'
import { link, mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'

export class FolderStore {
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
      await link(temporary, path)
      await syncFolder(dirname(path))
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
      throw error
    } finally {
      await rm(temporary, { force: true })
    }
  }

  /** Writes the next version of an object: they are numbered, and who comes second takes the next number. */
  async putVersion(folder: string, bytes: Uint8Array): Promise<void> {
    for (;;) {
      const newest = (await this.versions(folder)).at(-1) ?? `${folder}/0`
      const next = Number(newest.slice(folder.length + 1)) + 1
      if (await this.put(versionName(folder, next), bytes)) return
    }
  }

  async drop(name: string): Promise<void> {
    await rm(this.#path(name), { force: true })
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

  /** Names are `folder/name`; blocks are spread over 256 folders, as file systems like it. */
  #path(name: string): string {
    const [folder = '', file = ''] = name.split('/')
    return folder === 'blocks' ? join(this.root, folder, file.slice(0, 2), file) : join(this.root, folder, file)
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
