// How the stores in a folder handle files (SPEC §6.3): staged and synced before they get a name, and replaced by a
// compare-and-set that needs no lock file. It does not protect against anyone who can write to the folder, nor against a
// disk that lies about what it has stored.
import { constants, link, lstat, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { toHex } from '../core/bytes.ts'
import { randomBytes } from '../primitives/random.ts'
import { StoreMistake } from '../state/checked.ts'
import { pauseBeforeRetry } from '../state/compare-and-set.ts'

const FILE_MODE = 0o600
const FOLDER_MODE = 0o700
const DAY = 86_400_000

/** How often to look for temporary files that killed processes left behind. */
const CLEANING_INTERVAL = DAY / 24

/** How often a change starts again after others interrupted it. */
export const TRIES = 100

/** How many folders to remember as durable. Forgetting one costs a sync. */
const MOST_DURABLE = 10_000

/** What link(2) fails with on a file system without hard links. EISDIR is what Windows says on FAT. */
const NO_HARD_LINKS: ReadonlySet<unknown> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EISDIR'])

const codeOf = (error: unknown): unknown => (error as { code?: unknown } | null)?.code

/** Returns what `use` returns, or undefined if it fails with this code. */
export async function unless<T>(code: string, use: () => Promise<T>): Promise<T | undefined> {
  try {
    return await use()
  } catch (error) {
    if (codeOf(error) === code) return undefined
    throw error
  }
}

/** Returns whether `use` succeeds. Returns false if it fails with this code. */
export const isDone = async (code: string, use: () => Promise<void>): Promise<boolean> =>
  (await unless(code, async () => (await use(), true))) ?? false

/** Without O_NONBLOCK, which Windows does not have, opening a pipe waits until another process writes to it. */
const READ = constants.O_RDONLY | ((constants as { readonly O_NONBLOCK?: number }).O_NONBLOCK ?? 0)

/** Reads a file. Returns undefined if there is none. */
export async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  const file = await unless('ENOENT', () => open(path, READ))
  if (file === undefined) return undefined
  try {
    if (!(await file.stat()).isFile()) throw new Error(`${path} is not a file`)
    return await file.readFile()
  } finally {
    await file.close()
  }
}

/** Throws if a name is a symbolic link to nothing: a caller that waits until the name is gone would wait forever. */
export async function assertNoLooseLink(path: string): Promise<void> {
  const found = await unless('ENOENT', () => lstat(path))
  if (found?.isSymbolicLink()) throw new Error(`${path} is a symbolic link to a file that does not exist`)
}

export const isThere = async (path: string): Promise<boolean> =>
  (await unless('ENOENT', () => stat(path))) !== undefined

/** Makes the names in a folder durable. Windows cannot do that, and has no need to. */
export async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  } catch (error) {
    if (sep === '\\' && ['EPERM', 'EISDIR', 'EACCES'].includes(String(codeOf(error)))) return
    throw error
  }
}

/**
 * What both stores need of a folder.
 *
 * A file gets its name in one of two ways. `create` links it, which fails if the name is taken. `exchange` gives it a
 * name by a compare-and-set, which no system call does. It works like this:
 *
 * 1. A writer announces itself: its synced file gets the name `_tmp/<object>_<kind>_<random>`.
 * 2. It cancels the announcements of its rivals for this object, by deleting their files.
 * 3. It looks at what is there, and decides.
 * 4. It renames its own file to the name. If it was cancelled, there is nothing to rename, and it starts again.
 *
 * So of two rivals that decided on the same view, at most one succeeds. Say that A and B both passed step 3, and B began
 * step 2 last. A had announced itself by then, so B deletes A's file, unless A has renamed it; then B sees that in step 3.
 * A killed or paused writer leaves an announcement that the next one deletes.
 */
export class Folder {
  readonly root: string
  readonly #temporary: string
  /** Folders whose own names are durable. */
  readonly #durable: Set<string> = new Set()
  /** The highest folder whose names this process may have to sync. */
  #top: string
  #nextCleaning = 0

  constructor(path: string) {
    if (typeof path !== 'string' || path === '') throw new TypeError('the path of a folder must be a text')
    this.root = resolve(path)
    this.#temporary = join(this.root, '_tmp')
    this.#top = dirname(this.root)
  }

  pathOf(name: string): string {
    return join(this.root, ...name.split('/'))
  }

  /** Writes a temporary file and syncs it. Returns its path. The caller deletes the file in the end. */
  async stage(bytes: Uint8Array): Promise<string> {
    const path = join(this.#temporary, toHex(randomBytes(16)))
    await mkdir(this.#temporary, { recursive: true, mode: FOLDER_MODE })
    await this.#clean()
    const file = await open(path, 'wx', FILE_MODE)
    try {
      await file.writeFile(bytes)
      await file.sync()
    } catch (error) {
      await this.discard(path)
      throw error
    } finally {
      await file.close()
    }
    return path
  }

  /** Deletes a temporary file. If that fails, a later write does it. */
  async discard(path: string): Promise<void> {
    await unlink(path).catch(() => undefined)
  }

  /**
   * Links a staged file to its name.
   * @returns false if the name is taken
   * @throws StoreMistake if the file system has no hard links
   */
  async create(staged: string, path: string): Promise<boolean> {
    try {
      await link(staged, path)
      return true
    } catch (error) {
      const code = codeOf(error)
      if (code === 'EEXIST') return false
      if (NO_HARD_LINKS.has(code)) {
        throw new StoreMistake(
          `this file system has no hard links, so two writers could overwrite each other: use another folder than ${this.root} (${String(code)})`,
        )
      }
      if (code === 'EXDEV') throw new StoreMistake(`all of ${this.root} must be on one file system (EXDEV)`)
      throw error
    }
  }

  /**
   * Gives a file its name by a compare-and-set, and makes the name durable.
   * @param rivals what must not happen between the decision and the change
   * @param decide looks at what is there, and returns the path that the file gets, or undefined if it must not get one
   * @returns false if it did not get one
   */
  async exchange(
    name: string,
    kind: Kind,
    rivals: readonly Kind[],
    bytes: Uint8Array,
    decide: () => Promise<string | undefined>,
  ): Promise<boolean> {
    for (let tries = 1; tries <= TRIES; tries++) {
      const own = await this.announce(name, kind, bytes)
      try {
        await this.cancel(name, rivals, own)
        const path = await decide()
        if (path === undefined) return false
        if (await isDone('ENOENT', () => rename(own, path))) {
          // If the folder is gone, the file was deleted since.
          await isDone('ENOENT', () => this.sync(dirname(path)))
          return true
        }
      } finally {
        await this.discard(own)
      }
      await pauseBeforeRetry(tries, 1)
    }
    throw interrupted(name)
  }

  /** Announces a change of an object. Returns the path of the announcement, which is gone once somebody cancelled it. */
  async announce(name: string, kind: Kind, bytes: Uint8Array): Promise<string> {
    const staged = await this.stage(bytes)
    const path = join(this.#temporary, beginningOf(name, kind) + toHex(randomBytes(8)))
    await rename(staged, path)
    return path
  }

  /** Cancels what others have announced for an object. */
  async cancel(name: string, kinds: readonly Kind[], except?: string): Promise<void> {
    const beginnings = kinds.map((kind) => beginningOf(name, kind))
    for (const file of await readdir(this.#temporary)) {
      const path = join(this.#temporary, file)
      if (path === except || !beginnings.some((beginning) => file.startsWith(beginning))) continue
      await unless('ENOENT', () => unlink(path))
    }
  }

  /** Creates a folder. {@link sync} makes its name durable. */
  async enter(path: string): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        const first = await mkdir(path, { recursive: true, mode: FOLDER_MODE })
        if (first === undefined) return
        this.#durable.clear()
        if (first.length <= this.root.length) this.#top = dirname(first)
        return
      } catch (error) {
        // Somebody deletes an empty folder at this moment.
        if (codeOf(error) !== 'ENOENT' || tries === TRIES) throw error
      }
    }
  }

  /**
   * Makes the names in a folder durable, and its own name. Another process may have created the folder and been killed
   * before it synced it, so it does not matter who created it.
   * @param isLasting whether nobody ever deletes this folder, so that its own name needs to be synced only once
   */
  async sync(folder: string, isLasting = false): Promise<void> {
    await syncFolder(folder)
    const synced: string[] = []
    for (let child = folder; child !== this.#top && !this.#durable.has(child); child = dirname(child)) {
      const parent = dirname(child)
      if (parent === child) break
      // What lies above the store may belong to another user.
      if (parent.length >= this.root.length) await syncFolder(parent)
      else await unless('EACCES', () => syncFolder(parent))
      if (child !== folder || isLasting) synced.push(child)
    }
    if (this.#durable.size + synced.length > MOST_DURABLE) this.#durable.clear()
    for (const each of synced) this.#durable.add(each)
  }

  /** Deletes temporary files that are older than a day, now and then, as far as possible. */
  async #clean(): Promise<void> {
    const now = Date.now()
    if (now < this.#nextCleaning) return
    this.#nextCleaning = now + CLEANING_INTERVAL
    for (const file of await readdir(this.#temporary)) {
      const path = join(this.#temporary, file)
      const found = await stat(path).catch(() => undefined)
      if (found !== undefined && now - found.mtimeMs > DAY) await this.discard(path)
    }
  }
}

export type Kind = 'put' | 'replace' | 'delete'

/** Returns how the names of announcements begin. `_` is in no name, so none is taken for one of another object. */
const beginningOf = (name: string, kind: Kind): string => `${name.replaceAll('/', '.')}_${kind}_`

export const interrupted = (name: string): Error =>
  new Error(`other processes interrupted this change of ${name} ${TRIES} times`)
