// A keyset in a store that several machines share (SPEC §9.5). Every change is made to the newest version and written by
// compare-and-set. So no machine overwrites a change of another that it has not seen.
import { equalBytes } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { disposable, DISPOSE, disposeKeys, wiping } from '../core/secret.ts'
import { CheckedStore } from '../state/checked.ts'
import { pauseBeforeRetry, TRIES, untilDone } from '../state/compare-and-set.ts'
import { KEYSET_NAME } from '../state/name.ts'
import { readSettled, writeSettled } from '../state/settle.ts'
import type { StateStore } from '../state/store.ts'
import { openKeyset, type ParsedKeyset } from './exports.ts'
import { insidesOf, type Keyset, unlocked } from './keyset.ts'
import type { PasswordOptions } from './master.ts'
import { dropOld } from './old-versions.ts'
import {
  comparison,
  forkedFrom,
  isUnder,
  masterIdOf,
  otherMaster,
  parseStored,
  readKeyset,
  readNewest,
  type StoredKeyset,
} from './read-keyset.ts'
import { descendsFrom, type Revision, revisionOf, revisionText } from './revision.ts'
import { type OpenOptions, parseUnlockOptions, unlockParsed } from './unlock.ts'

/**
 * Reads and unlocks the newest keyset in a store: the object `keyset`.
 * @param store the store; use `prefixed` if it holds the keysets of several users
 * @param options as for {@link unlockKeyset}
 * @throws KeystrataError `missing` if the store has no keyset
 * @throws KeystrataError `rollback` if the store still returns an older one than `atLeast` after several reads
 * @throws KeystrataError `forked` if what is stored does not descend from `atLeast`
 * @throws KeystrataError as {@link unlockKeyset}
 * @throws TypeError if the store returns an invalid answer; the store's own errors
 * @throws TypeError for an unknown option
 * @example
 * ```ts
 * import { createKeyset, loadKeyset, saveKeyset } from 'keystrata'
 * import { memoryStateStore } from 'keystrata/stores'
 *
 * const store = memoryStateStore()
 * using created = await createKeyset('correct horse battery staple')
 * await saveKeyset(store, created)
 * using keyset = await loadKeyset(store, 'correct horse battery staple', { atLeast: created.revision })
 * console.log(keyset.id === created.id) // true
 * ```
 */
export async function loadKeyset(
  store: StateStore,
  password: string,
  options?: PasswordOptions & OpenOptions,
): Promise<Keyset> {
  const accepted = parseUnlockOptions(options, 'loadKeyset')
  const { parsed } = await readKeyset(new CheckedStore(store), accepted.atLeast)
  using _ = wiping(parsed.bytes)
  return await unlockParsed(parsed, password, accepted)
}

/**
 * Stores a keyset: if there is none, or behind the one that it descends from. Does nothing if this revision is stored
 * already. Use {@link changeKeyset} to change what is stored.
 * @throws KeystrataError `conflict` if the stored keyset descends from this one: it is newer
 * @throws KeystrataError `forked` if two machines changed the keyset independently. Nothing is lost: load what is stored,
 *   let it adopt this one, and save the result. It keeps the stored password. `forked` is also thrown for another keyset,
 *   and where the history of 255 revisions does not reach back so far
 * @throws KeystrataError `policy` if the keyset was unlocked from a `definition`, which lacks keys, or if something else
 *   than a `storage` export is stored
 * @throws KeystrataError `malformed` or `unsupported` if what is stored is not a keyset of this release
 * @throws KeystrataError `disposed` if this handle was disposed of
 * @throws TypeError if `keyset` is not a keyset from this copy of the library, or the store returns an invalid answer;
 *   the store's own errors. If it never answered a write, the message says that it may have happened: call this again
 * @example
 * ```ts
 * import { createKeyset, saveKeyset } from 'keystrata'
 * import { memoryStateStore, prefixed } from 'keystrata/stores'
 *
 * const store = prefixed(memoryStateStore(), 'user-4711/')
 * using keyset = await createKeyset('correct horse battery staple')
 * await saveKeyset(store, keyset)
 * console.log((await store.read('keyset'))?.version) // 1
 * ```
 */
export async function saveKeyset(store: StateStore, keyset: Keyset): Promise<void> {
  const checked = new CheckedStore(store)
  const { contents, master } = insidesOf(keyset, 'keyset')
  const bytes = keyset.export('storage')
  const attempt = async (): Promise<true | undefined> => {
    const newest = await readBefore(checked, keyset)
    if (newest !== undefined && equalBytes(newest.parsed.revision, contents.revision)) {
      // It may be the result of an earlier call that could not drop what is older.
      disposeKeys(openKeyset(newest.parsed, master))
      await dropOld(checked, newest.version, keyset, false)
      return true
    }
    const version = (newest?.version ?? 0) + 1
    if ((await writeSettled(checked, KEYSET_NAME, version, bytes)) !== 'written') return undefined
    await dropOld(checked, version, keyset, newest !== undefined && !isUnder(newest.parsed, keyset))
    return true
  }
  await untilDone(attempt, () => tooManyTries(true))
}

/** Reads the stored keyset behind which this one is to be written. Returns undefined if there is none. */
async function readBefore(store: CheckedStore, keyset: Keyset): Promise<StoredKeyset | undefined> {
  const { contents } = insidesOf(keyset, 'keyset')
  return readSettled(store, KEYSET_NAME, false, (stored) => {
    if (stored === undefined) return undefined
    const newest = parseStored(stored)
    const { parsed } = newest
    if (equalBytes(parsed.revision, contents.revision) || descendsFrom(contents, revisionOf(parsed))) return newest
    if (descendsFrom(parsed, revisionOf(contents))) {
      const message = 'the stored keyset is newer than this one, and descends from it'
      throw new KeystrataError('conflict', message, comparison(parsed, contents))
    }
    throw forkedFrom(parsed, contents)
  })
}

/**
 * Changes the keyset in a store. It reads the newest one, opens it with the keys of `keyset`, passes it to `change`, and
 * writes what that returns. If another machine was quicker, it starts again. So nothing that another machine did is
 * lost, and no change is made twice, even if answers of the store get lost. After a new master key, call `renewSlots` of
 * `keystrata/recovery` if the keyset has recovery slots.
 * @param keyset any unlocked handle of this keyset, of a version that is stored
 * @param change makes the change, and returns a keyset, or an object with one, such as `createShare` does. It may be
 *   called more than once. It must start from the keyset that it is given, which is disposed of afterwards
 * @returns what `change` returned; dispose of it. Other machines may have changed the keyset again by then
 * @throws KeystrataError `conflict` if other machines were quicker on every try: nothing was changed. But if the store does
 *   not say what became of a write, `detail.unsettled` is the revision that may be stored
 * @throws KeystrataError `wrong-password` if the master key was replaced meanwhile: unlock the keyset again. If the
 *   change was stored before that, `detail.written` is its revision. Nothing but the store's word proves that
 * @throws KeystrataError `missing`, `rollback` or `forked` if what is stored does not descend from `keyset`
 * @throws KeystrataError `policy` if the result was unlocked from a `definition`
 * @throws KeystrataError `malformed` or `unsupported` if what is stored is not a keyset of this release
 * @throws KeystrataError `authentication-failed` if what is stored was altered
 * @throws TypeError if the result does not descend from what `change` was given; if the store returns an invalid answer
 * @throws whatever `change` throws; the store's own errors. If it never answered a write, the message says that it may
 *   have happened
 * @example
 * ```ts
 * import { changeKeyset, createKeyset, saveKeyset } from 'keystrata'
 * import { memoryStateStore } from 'keystrata/stores'
 *
 * const store = memoryStateStore()
 * using keyset = await createKeyset('correct horse battery staple')
 * await saveKeyset(store, keyset)
 * using regenerated = await changeKeyset(store, keyset, (newest) => newest.regenerate())
 * console.log(regenerated.retired) // 1
 * ```
 */
export async function changeKeyset<R extends Keyset | { keyset: Keyset }>(
  store: StateStore,
  keyset: Keyset,
  change: (newest: Keyset) => R | Promise<R>,
): Promise<R> {
  const changing = new Change(new CheckedStore(store), keyset, change)
  using _ = disposable({}, () => changing.dispose())
  for (let tries = 1; tries <= TRIES; tries++) {
    const started = Date.now()
    const done = await changing.attempt()
    if (done !== undefined) return done
    await pauseBeforeRetry(tries, Date.now() - started)
  }
  return await changing.last()
}

/** What one try to change a keyset has produced. It may still arrive in the store, so it is kept until the end. */
interface Tried<R> {
  readonly result: R
  readonly keyset: Keyset
  readonly revision: Revision
}

/** One change of a stored keyset, over all of its tries. */
class Change<R extends Keyset | { keyset: Keyset }> {
  readonly #store: CheckedStore
  readonly #start: Keyset
  readonly #change: (newest: Keyset) => R | Promise<R>
  readonly #tried: Tried<R>[] = []
  /** Whether nobody knows what became of one of the tries. */
  #isUnsettled = false
  /** What the caller gets, and disposes of. */
  #given: R | undefined

  constructor(store: CheckedStore, start: Keyset, change: (newest: Keyset) => R | Promise<R>) {
    insidesOf(start, 'keyset')
    this.#store = store
    this.#start = start
    this.#change = change
  }

  /** Disposes of what this made and did not give to the caller. */
  dispose(): void {
    for (const { result } of this.#tried) if (result !== this.#given) disposeResult(result)
  }

  /**
   * Looks once more after the last try.
   * @throws KeystrataError `conflict` if the change is not in what is stored
   */
  async last(): Promise<R> {
    const { version, parsed } = await this.#read()
    using _ = wiping(parsed.bytes)
    const stored = this.#storedIn(parsed)
    if (stored === undefined) throw tooManyTries(this.#isUnsettled, this.#tried.at(-1)?.revision)
    return await this.#arrived(stored, version, parsed)
  }

  #read(): Promise<StoredKeyset> {
    return readNewest(this.#store, this.#start)
  }

  /** Returns the try that a stored keyset descends from. */
  #storedIn(parsed: ParsedKeyset): Tried<R> | undefined {
    return this.#tried.find(({ revision }) => descendsFrom(parsed, revision))
  }

  /** Returns the result if the change is stored. Returns undefined if another machine was quicker, or nobody knows. */
  async attempt(): Promise<R | undefined> {
    const { master, allowWeaker } = insidesOf(this.#start, 'keyset')
    const { version, parsed } = await this.#read()
    using _ = wiping(parsed.bytes)
    const stored = this.#storedIn(parsed)
    if (stored !== undefined) return await this.#arrived(stored, version, parsed)
    if (!isUnder(parsed, this.#start)) throw otherMaster()
    using newest = unlocked(openKeyset(parsed, master), master.copy(), allowWeaker)
    const tried = await this.#make(newest)
    const outcome = await writeSettled(this.#store, KEYSET_NAME, version + 1, tried.keyset.export('storage'))
    if (outcome === 'unknown') this.#isUnsettled = true
    return outcome === 'written' ? await this.#finished(tried, version + 1) : undefined
  }

  /**
   * Makes the change, and checks that its result is the successor of what it was given. A handle that the caller captured
   * earlier would silently undo what another machine did meanwhile.
   */
  async #make(newest: Keyset): Promise<Tried<R>> {
    const before = revisionOf(insidesOf(newest, 'keyset').contents)
    const result = await this.#change(newest)
    const keyset = keysetOf(result)
    const { contents } = insidesOf(keyset, 'the result of change')
    const revision = revisionOf(contents)
    if (keyset.revision === newest.revision || !descendsFrom(contents, before)) {
      throw new TypeError('change must return a keyset that it made from the one it was given, in one step or more')
    }
    const tried = { result, keyset, revision }
    this.#tried.push(tried)
    return tried
  }

  /** Another read shows that an earlier try is stored. */
  async #arrived(tried: Tried<R>, version: number, parsed: ParsedKeyset): Promise<R> {
    if (!isUnder(parsed, tried.keyset)) throw otherMaster(tried.revision)
    // A store could claim anything about the past in plain. Only a holder of the master key could write this MAC.
    const { master, allowWeaker } = insidesOf(tried.keyset, 'keyset')
    unlocked(openKeyset(parsed, master), master.copy(), allowWeaker).dispose()
    return this.#finished(tried, version)
  }

  async #finished(tried: Tried<R>, version: number): Promise<R> {
    const isNewMaster = !equalBytes(masterIdOf(this.#start), masterIdOf(tried.keyset))
    await dropOld(this.#store, version, tried.keyset, isNewMaster)
    return (this.#given = tried.result)
  }
}

/**
 * Returns the keyset in what `change` returned.
 * @throws TypeError if there is none
 */
function keysetOf(result: Keyset | { keyset: Keyset }): Keyset {
  const given = result as Keyset | { keyset: Keyset } | null
  const keyset = typeof given === 'object' && given !== null && 'keyset' in given ? given.keyset : result
  insidesOf(keyset as Keyset, 'the result of change')
  return keyset as Keyset
}

/** Disposes of everything in what `change` returned. */
function disposeResult(result: Keyset | ({ keyset: Keyset } & Partial<Disposable>)): void {
  const dispose: unknown = Reflect.get(result, DISPOSE)
  if (typeof dispose === 'function') dispose.call(result)
  else if ('keyset' in result) result.keyset.dispose()
}

/** @param isUnsettled whether the keyset with this revision may still arrive in the store, or be there already */
function tooManyTries(isUnsettled: boolean, revision?: Revision): KeystrataError {
  const detail = { tries: TRIES }
  if (!isUnsettled || revision === undefined) {
    return new KeystrataError('conflict', 'other machines wrote first on every try: try again later', detail)
  }
  const message =
    'the store does not say whether it has this change: look for the revision in `detail` before a new try'
  return new KeystrataError('conflict', message, { ...detail, unsettled: revisionText(revision) })
}
