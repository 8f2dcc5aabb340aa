// keystrata/stores/folder: a store in a folder (SPEC §6.3), for one machine or several processes. There are no lock
// files: a process that is killed at any point blocks nobody. Every file is synced before it gets its name. This does
// not protect against anyone who can write to the folder, nor against a disk that lies about what it has stored. Whether
// it holds on a network file system depends on whether all machines see every change at once.
import { readdir, rmdir, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { copyOf, EMPTY, equalBytes, utf8 } from '../core/bytes.ts'
import { randomBytes } from '../primitives/random.ts'
import { pauseBeforeRetry } from '../state/compare-and-set.ts'
import { assertName, assertNameStart, assertVersion } from '../state/name.ts'
import type { BlobStore, StateStore, StoredObject } from '../state/store.ts'
import {
  assertNoLooseLink,
  Folder,
  interrupted,
  isThere,
  readIfThere,
  syncFolder,
  TRIES,
  unless,
} from './folder-files.ts'

/** Returns the lowest version that is not dropped. */
function floorIn(file: Uint8Array | undefined, path: string): number {
  if (file === undefined) return 1
  const text = new TextDecoder().decode(file).trim()
  const floor = /^[1-9]\d*$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(floor)) throw new Error(`${path} is damaged: it does not contain a version`)
  return floor
}

const fileOf = (version: number): string => `_${version}`

/**
 * Creates a store in a folder, which several processes may use at the same time. A process that is killed loses nothing
 * that was written, and blocks nobody. `write` returns true once the version and its name are synced to the disk. The
 * folder is created at the first write. It must be on a file system with hard links; if several machines share it, on
 * one that shows each of them every change at once.
 * @param path the folder. Nothing else may write to it, but a BlobStore may be in it too
 * @returns a store whose `write` throws a TypeError if the file system has no hard links
 * @throws TypeError if the path is empty
 * @example
 * ```ts
 * import { loadKeyset } from 'keystrata'
 * import { folderStateStore } from 'keystrata/stores/folder'
 *
 * async function keysetIn(folder: string, password: string) {
 *   return loadKeyset(folderStateStore(folder), password)
 * }
 * ```
 */
export function folderStateStore(path: string): StateStore {
  return new FolderStateStore(new Folder(path))
}

/**
 * Version n is the file `_<n>`. It appears by link, after it was synced, and its bytes never change.
 *
 * Dropped numbers are free again as file names. So a writer that was slow could link a version that was dropped long ago.
 * It notices, because the floor is raised before anything is deleted: a writer that finds a dropped name free finds the floor
 * above it afterwards. Until it has deleted its file, nobody takes that for a version, because readers check the floor
 * after they have read. The floor is raised by {@link Folder.exchange}, so two drops at once cannot lower it. All versions
 * from the floor to the newest are there at any time. If a file is lost nevertheless, its version is missing and no other.
 */
class FolderStateStore implements StateStore {
  readonly #folder: Folder

  constructor(folder: Folder) {
    this.#folder = folder
  }

  async read(name: string): Promise<StoredObject | undefined> {
    assertName(name)
    const folder = this.#folder.pathOf(name)
    for (;;) {
      const version = await this.#newest(folder)
      if (version === 0) return undefined
      const bytes = await this.#versionIn(folder, version)
      if (bytes !== undefined) return { version, bytes }
      // If it was dropped meanwhile, there is a newer one.
      await assertNoLooseLink(join(folder, fileOf(version)))
    }
  }

  async readVersion(name: string, version: number): Promise<Uint8Array | undefined> {
    assertName(name)
    return this.#versionIn(this.#folder.pathOf(name), version)
  }

  async *readVersions(name: string, from: number): AsyncGenerator<StoredObject> {
    assertName(name)
    const folder = this.#folder.pathOf(name)
    let next = from
    for (;;) {
      // Until nothing is left: versions may have been written meanwhile.
      const versions = (await versionsIn(folder)).filter((version) => version >= next)
      if (versions.length === 0) return
      for (const version of versions.sort((one, other) => one - other)) {
        const bytes = await this.#versionIn(folder, version)
        if (bytes !== undefined) yield { version, bytes }
        next = version + 1
      }
    }
  }

  async write(name: string, version: number, bytes: Uint8Array): Promise<boolean> {
    assertName(name)
    assertVersion(version)
    const folder = this.#folder.pathOf(name)
    // A number whose file was lost is not free.
    if ((await this.#newest(folder)) !== version - 1) return false
    const path = join(folder, fileOf(version))
    const staged = await this.#folder.stage(bytes)
    try {
      await this.#folder.enter(folder)
      const isNew = await this.#folder.create(staged, path)
      if (isNew && (await this.#floor(folder)) > version) {
        await unless('ENOENT', () => unlink(path))
        return false
      }
      // Also before false: if an earlier attempt of the caller created the name, it must be durable when the caller finds it.
      await this.#folder.sync(folder, true)
      return isNew
    } finally {
      await this.#folder.discard(staged)
    }
  }

  async drop(name: string, below: number): Promise<void> {
    assertName(name)
    const folder = this.#folder.pathOf(name)
    const floor = Math.min(Math.ceil(below), await this.#newest(folder))
    if (!(floor > 1)) return
    if ((await this.#floor(folder)) < floor) {
      const path = join(folder, '_floor')
      const bytes = utf8(String(floor))
      await this.#folder.exchange(name, 'replace', ['replace'], bytes, async () =>
        (await this.#floor(folder)) < floor ? path : undefined,
      )
    }
    // Another process may have raised the floor and not synced it.
    await this.#folder.sync(folder, true)
    await this.#deleteBelow(folder, await this.#floor(folder))
  }

  /** Deletes the versions below the floor, also those that a killed process left. */
  async #deleteBelow(folder: string, floor: number): Promise<void> {
    let deleted = 0
    for (const version of await versionsIn(folder)) {
      if (version >= floor) continue
      await unless('ENOENT', () => unlink(join(folder, fileOf(version))))
      deleted++
    }
    if (deleted > 0) await syncFolder(folder)
  }

  /** Reads a version. Returns undefined if there is none, or it was dropped. */
  async #versionIn(folder: string, version: number): Promise<Uint8Array | undefined> {
    if (!Number.isSafeInteger(version) || version < 1) return undefined
    const bytes = await readIfThere(join(folder, fileOf(version)))
    if (bytes === undefined || (await this.#floor(folder)) > version) return undefined
    return copyOf(bytes)
  }

  async #floor(folder: string): Promise<number> {
    const path = join(folder, '_floor')
    return floorIn(await readIfThere(path), path)
  }

  /**
   * Returns the newest version, or 0 if there is none. It lists the folder: a file that was lost must not hide the
   * versions above it.
   */
  async #newest(folder: string): Promise<number> {
    for (;;) {
      const floor = await this.#floor(folder)
      const newest = (await versionsIn(folder)).reduce((one, other) => Math.max(one, other), 0)
      if (newest >= floor || (floor === 1 && newest === 0)) return newest
      // It may have been raised past what the list had.
      if ((await this.#floor(folder)) === floor)
        throw new Error(
          `files are missing in ${folder}: _floor says ${floor}, but there is no _${floor} and no higher version`,
        )
    }
  }
}

/** Returns the versions of which a folder has files, in no order. Some may be below the floor. */
async function versionsIn(folder: string): Promise<number[]> {
  const files = (await unless('ENOENT', () => readdir(folder))) ?? []
  return files
    .filter((file) => /^_[1-9]\d*$/.test(file))
    .map((file) => Number(file.slice(1)))
    .filter(Number.isSafeInteger)
}

/**
 * Creates a store of blobs in a folder, which several processes may use at the same time. A process that is killed loses
 * nothing that was written, and blocks nobody. `put` and `replace` return true once the blob and its name are synced to
 * the disk. The folder is created at the first write. If several machines share it, it must be on a file system that
 * shows each of them every change at once.
 * @param path the folder. Nothing else may write to it, but a StateStore may be in it too
 * @throws TypeError if the path is empty
 * @example
 * ```ts
 * import { blocksIn } from 'keystrata/stores'
 * import { folderBlobStore } from 'keystrata/stores/folder'
 *
 * async function hasBlock(folder: string, label: string) {
 *   return blocksIn(folderBlobStore(folder)).has(label)
 * }
 * ```
 */
export function folderBlobStore(path: string): BlobStore {
  return new FolderBlobStore(new Folder(path))
}

/**
 * A blob is one file, `_<n>`. `put` chooses an n that no blob of this name had ({@link unusedNumber} says how sure that
 * is), and `replace` keeps it, so an n stands for what happened to a blob since it was put. Both are exchanges ({@link Folder}). Why nothing acknowledged is lost when two
 * programs meet, each paused or killed anywhere:
 *
 * - *put and put*: rivals that both saw no file, so one succeeds.
 * - *replace and replace*: rivals that both saw the same bytes, so one succeeds. A file is replaced by rename, so `get`
 *   reads whole blobs.
 * - *delete and replace*: a replace that compared before the deletion must not bring the blob back. `delete` announces
 *   itself, cancels all replaces, deletes, and looks whether its announcement is still there. A replace that announced
 *   itself before was cancelled, or came first. One that announced itself later cancelled the deletion before it compared;
 *   then `delete` deletes the same n again.
 * - *delete and put*: `delete` deletes only the files that it saw when it began, so nothing that was put since.
 * - *replace, delete and put*: a replace that compared before the deletion has the n of the deleted blob, so it does not
 *   touch what was put after it. Until `delete` has deleted its file again, both are there. The higher n is the blob,
 *   and n is a timestamp. If a clock went back, the file of the replace hides what was put. So `put` cancels the
 *   replaces that are left, and looks again: if a higher n is there, it takes its own file back and returns false.
 * - *delete and delete*: each may do the work of the other. The lowest n goes first, so none comes to light again.
 */
class FolderBlobStore implements BlobStore {
  readonly #folder: Folder

  constructor(folder: Folder) {
    this.#folder = folder
  }

  /** False for every other object that is made of this one: its methods may keep the bytes. */
  get copiesBytes(): boolean {
    return #folder in this
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    assertName(name)
    for (;;) {
      const path = await this.#find(name)
      if (path === undefined) return undefined
      const bytes = await readIfThere(path)
      if (bytes !== undefined) return copyOf(bytes)
      // If it was deleted meanwhile, there may be another one.
      await assertNoLooseLink(path)
    }
  }

  async put(name: string, bytes: Uint8Array): Promise<boolean> {
    assertName(name)
    const folder = this.#folder.pathOf(name)
    let own = ''
    const isFirst = await this.#folder.exchange(name, 'put', ['put'], bytes, async () => {
      await this.#folder.enter(folder)
      if ((await this.#find(name)) !== undefined) return undefined
      own = join(folder, fileOf(unusedNumber()))
      return own
    })
    if (isFirst) {
      await this.#folder.cancel(name, ['replace'])
      const found = await this.#find(name)
      if (found === own || found === undefined) return true
      if (numberOf(found) < numberOf(own)) return true
      await unless('ENOENT', () => unlink(own))
    }
    // The caller relies on the blob that is there, so it must be durable. It may be deleted by now.
    await unless('ENOENT', () => this.#folder.sync(folder))
    return false
  }

  async replace(name: string, expected: Uint8Array, next: Uint8Array): Promise<boolean> {
    assertName(name)
    const find = async () => {
      const path = await this.#find(name)
      const bytes = path && (await readIfThere(path))
      return bytes && equalBytes(bytes, expected) ? path : undefined
    }
    // Most refusals need no file to be written.
    if ((await find()) === undefined) return false
    return this.#folder.exchange(name, 'replace', ['replace', 'delete'], next, find)
  }

  async delete(name: string): Promise<void> {
    assertName(name)
    const folder = this.#folder.pathOf(name)
    const files = await this.#filesOf(name)
    for (let tries = 1; files.length > 0; tries++) {
      const announced = await this.#folder.announce(name, 'delete', EMPTY)
      await this.#folder.cancel(name, ['replace'])
      for (const file of files) await unless('ENOENT', () => unlink(file))
      const wasUndisturbed = await isThere(announced)
      await this.#folder.discard(announced)
      if (wasUndisturbed) break
      if (tries === TRIES) throw interrupted(name)
      await pauseBeforeRetry(tries, 1)
    }
    if (files.length === 0) return
    // Blobs whose names begin with this one may be in the folder too.
    await rmdir(folder).catch(() => undefined)
    await unless('ENOENT', () => syncFolder(folder))
    await unless('ENOENT', () => syncFolder(dirname(folder)))
  }

  async *list(prefix: string): AsyncGenerator<ListedBlob> {
    assertNameStart(prefix)
    const end = prefix.lastIndexOf('/') + 1
    // The first in order, and often all that the caller looks for.
    if (end < prefix.length) yield* this.#described(prefix)
    yield* this.#walk(prefix.slice(0, end), prefix.slice(end))
  }

  /**
   * Yields the blobs below a path, in order of their names.
   * @param path a path that ends with a slash, or is empty
   * @param start how their next part begins. A blob with just this part is left out
   */
  async *#walk(path: string, start: string): AsyncGenerator<ListedBlob> {
    const parts = await namesIn(join(this.#folder.root, path))
    const found = parts.filter((part) => part.startsWith(start) && /^[a-z\d-]+$/.test(part))
    // "a-b" comes before "a/b", and "a1" after it.
    const steps = found.flatMap((part) => (part === start ? [`${part}/`] : [part, `${part}/`])).sort()
    for (const step of steps) {
      if (step.endsWith('/')) yield* this.#walk(path + step, '')
      else yield* this.#described(path + step)
    }
  }

  async *#described(name: string): AsyncGenerator<ListedBlob> {
    const path = await this.#find(name)
    const found = path && (await unless('ENOENT', () => stat(path)))
    if (found) yield { name, size: found.size, modified: found.mtime }
  }

  /** Returns the path of the file that is the blob, or undefined if there is none. */
  async #find(name: string): Promise<string | undefined> {
    return (await this.#filesOf(name)).at(-1)
  }

  /** Returns the paths of the files of a blob, in order. More than one are there only while others delete it. */
  async #filesOf(name: string): Promise<string[]> {
    const folder = this.#folder.pathOf(name)
    const files = (await namesIn(folder)).filter((file) => /^_\d+$/.test(file)).map((file) => join(folder, file))
    return files.sort((a, b) => numberOf(a) - numberOf(b))
  }
}

interface ListedBlob {
  readonly name: string
  readonly size: number
  readonly modified: Date
}

const namesIn = async (folder: string): Promise<string[]> => (await unless('ENOENT', () => readdir(folder))) ?? []

const numberOf = (path: string): number => Number(path.slice(path.lastIndexOf('_') + 1))

/** The last number that {@link unusedNumber} has returned. All stores of this process share it. */
let lastNumber = 0

/**
 * Returns a number for a new blob: the microseconds since 1970, the last three digits random. It is higher than all that
 * this process has drawn before, although the clock may stop or go back. Two processes (or threads) draw the same number
 * only if their clocks have shown the same millisecond, and then once in about 1,000 times. That does harm only if both
 * put a blob of one name, the first of them was deleted, and a replace that compared before the deletion renames its file
 * after the second put: it overwrites what was put.
 */
function unusedNumber(): number {
  const [high = 0, low = 0] = randomBytes(2)
  lastNumber = Math.max(lastNumber + 1, Date.now() * 1000 + ((high * 256 + low) % 1000))
  return lastNumber
}
