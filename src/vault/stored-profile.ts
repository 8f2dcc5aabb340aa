// A profile in a store that several devices share (SPEC §13.4): which record counts, and writing the next one without
// overwriting another device.
import { equalBytes } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { disposeKeys, disposing } from '../core/secret.ts'
import { type CheckedStore, StoreMistake } from '../state/checked.ts'
import { TRIES, untilDone } from '../state/compare-and-set.ts'
import { PROFILE_NAME } from '../state/name.ts'
import { dropSettled, mayBeLate, repeatedly, writeSettled } from '../state/settle.ts'
import { assertNotOlder, nextVersion } from '../state/version.ts'
import type { ProfileOwner } from './login.ts'
import {
  anotherProfile,
  assertComesAfter,
  assertFollows,
  encodeProfile,
  type HandoverSigner,
  openProfileRecord,
  type ParsedProfile,
  parseProfileRecord,
  type ProfileContents,
  readProfileRecord,
} from './profile-record.ts'

/** The effective record, and where it is. */
export interface StoredRecord {
  /** The newest version of the object in the store, behind which the next record goes. */
  readonly version: number
  /** The version of the effective record. It is lower if the versions above it are not effective. */
  readonly at: number
  readonly record: ParsedProfile
}

type Counting = Omit<StoredRecord, 'version'>

/**
 * Reads the effective record (SPEC §13.4): the newest that is undamaged, and that its predecessor allows. Returns
 * undefined if the store has none.
 * @throws KeystrataError `malformed`, `authentication-failed`, `limit-exceeded` if every version is damaged
 * @throws KeystrataError `unsupported` if the newest undamaged one needs a later release
 */
export async function readStoredRecord(store: CheckedStore): Promise<StoredRecord | undefined> {
  const newest = await store.read(PROFILE_NAME)
  if (newest === undefined) return undefined
  return { version: newest.version, ...(await countingFrom(store, newest.version, newest.bytes)) }
}

/** Returns the effective record among this version and those below. */
async function countingFrom(store: CheckedStore, version: number, bytes: Uint8Array): Promise<Counting> {
  const below = version === 1 ? undefined : await store.readVersion(PROFILE_NAME, version - 1)
  const record = attempted(() => readProfileRecord(bytes))
  if (record instanceof KeystrataError) {
    if (below === undefined) throw record
    return countingFrom(store, version - 1, below)
  }
  const own = { at: version, record }
  if (below === undefined) return own
  const before = attempted(() => readProfileRecord(below))
  const isDamaged = before instanceof KeystrataError
  if (!isDamaged && holds(() => assertFollows(record, before))) return own
  const counting = await countingFrom(store, version - 1, below).catch(damageOf)
  if (counting instanceof KeystrataError) return own
  // If the version below is damaged, nobody can see whether this record follows it. Its owner has signed it later.
  const assertAllowed = isDamaged ? assertComesAfter : assertFollows
  return holds(() => assertAllowed(record, counting.record)) ? own : counting
}

/** Reads a version of the record. Returns undefined if it is not there, or damaged. */
export async function readRecordBelow(store: CheckedStore, version: number): Promise<ParsedProfile | undefined> {
  const bytes = version < 1 ? undefined : await store.readVersion(PROFILE_NAME, version)
  const record = bytes && attempted(() => readProfileRecord(bytes))
  return record instanceof KeystrataError ? undefined : record
}

const holds = (check: () => void): boolean => !(attempted(check) instanceof KeystrataError)

function attempted<T>(read: () => T): T | KeystrataError {
  try {
    return read()
  } catch (error) {
    return damageOf(error)
  }
}

/** Returns an error that means damage. Throws any other: a record that needs a later release is not damaged. */
export function damageOf(error: unknown): KeystrataError {
  if (error instanceof KeystrataError && error.code !== 'unsupported') return error
  throw error
}

/** Checks a record that was read. While it throws `rollback` or `missing`, the read may have been late: this reads again. */
export async function readRecordAgain<T>(
  store: CheckedStore,
  use: (stored: StoredRecord | undefined) => T,
  mustExist: boolean,
): Promise<T> {
  return repeatedly(
    async () => use(await readStoredRecord(store)),
    (error) => mayBeLate(error, mustExist),
  )
}

/**
 * Returns a record that must be there, and not older than a floor.
 * @throws KeystrataError `missing`, `rollback`
 */
export function presentRecord(stored: StoredRecord | undefined, atLeast: number): StoredRecord {
  if (stored === undefined)
    throw new KeystrataError('missing', 'the store has no profile: save it first', { object: PROFILE_NAME })
  assertNotOlder(stored.record, atLeast, 'the store returned an old profile, or this one was never saved:')
  return stored
}

/** A store, and what one profile handle requires of the profiles in it. */
export interface ProfileView {
  readonly store: CheckedStore
  readonly owner: ProfileOwner
  /** The id of the handle's profile, 16 bytes. It detects another profile under the same password. */
  readonly profileId: Uint8Array
  /** The version of the handle. Older profiles are refused. */
  readonly atLeast: number
}

/** A profile that was read or written: the effective record, and what is in it. */
export interface ProfileState extends StoredRecord {
  readonly contents: ProfileContents
}

/**
 * Reads and opens the effective record. The caller disposes of the keys in the result.
 * @throws KeystrataError `missing` if the store has no profile
 * @throws KeystrataError `rollback` if it is older than the handle
 * @throws KeystrataError `policy` if it is another profile
 * @throws KeystrataError `wrong-password` if the password was changed on another device
 * @throws KeystrataError `authentication-failed` if it was altered
 */
export async function readProfileState({ store, owner, profileId, atLeast }: ProfileView): Promise<ProfileState> {
  const stored = await readRecordAgain(store, (found) => presentRecord(found, atLeast), true)
  if (!equalBytes(stored.record.header.ownerId, profileId)) throw anotherProfile()
  return { ...stored, contents: openProfileRecord(stored.record, owner.rootKey) }
}

/**
 * Reads and verifies the effective record.
 * @throws KeystrataError as in {@link readProfileState}
 */
export async function readVerifiedRecord(view: ProfileView): Promise<ParsedProfile> {
  const { record, contents } = await readProfileState(view)
  disposeKeys(contents)
  return record
}

/**
 * Writes the record that follows `state`.
 * @param handover hands the profile over, if its identity is a new one
 * @returns the new state, with the keys in `contents`; undefined if the write was refused, or nobody knows
 */
export async function writeNext(
  { store, owner }: ProfileView,
  state: StoredRecord,
  contents: ProfileContents,
  handover?: HandoverSigner,
): Promise<ProfileState | undefined> {
  const next = { ...contents, version: nextVersion(state.record.version) }
  const bytes = encodeProfile(next, owner.rootKey, { record: state.record.bytes, ...(handover && { handover }) })
  if (!(await writeRecord(store, state, bytes))) return undefined
  const version = state.version + 1
  return { version, at: version, record: parseProfileRecord(bytes), contents: next }
}

/**
 * Writes a record behind what is stored, and drops what lies below the record that it follows. That one stays, because it
 * shows that the new one counts.
 * @returns whether it was written; false if nobody knows
 */
export async function writeRecord(
  store: CheckedStore,
  after: Pick<StoredRecord, 'version' | 'at'> | undefined,
  bytes: Uint8Array,
): Promise<boolean> {
  const { version, at } = after ?? { version: 0, at: 0 }
  if ((await writeSettled(store, PROFILE_NAME, version + 1, bytes)) !== 'written') return false
  await dropBelow(store, PROFILE_NAME, at)
  return true
}

/**
 * Drops versions that are not needed any more. The next write drops again, so a store that cannot drop now is no error.
 * @throws TypeError if the store breaks its contract
 */
export async function dropBelow(store: CheckedStore, name: string, below: number): Promise<void> {
  try {
    await dropSettled(store, name, () => Promise.resolve(below))
  } catch (error) {
    if (error instanceof StoreMistake) throw error
  }
}

/**
 * Runs `attempt` until it returns something, with growing random pauses.
 * @throws KeystrataError `conflict` if other devices were quicker every time
 */
export const untilWritten = <T>(attempt: () => Promise<T | undefined>): Promise<T> => untilDone(attempt, lost)

const lost = (): KeystrataError =>
  new KeystrataError('conflict', 'other devices wrote first on every try: wait a random time and try again', {
    object: PROFILE_NAME,
    tries: TRIES,
  })

/** What to write next: contents, and who hands the profile over if its identity is a new one. */
export interface NextProfile {
  readonly contents: ProfileContents
  readonly handover?: HandoverSigner
}

/**
 * Changes the effective profile record, and tries again if another device wrote first.
 * @param change returns what to write, or undefined if an earlier try is stored after all. The caller owns the keys that
 *   it creates
 * @returns the record that was written
 * @throws KeystrataError `conflict` if other devices write first on every try
 */
export async function changeProfile(
  view: ProfileView,
  change: (state: ProfileState) => NextProfile | undefined,
): Promise<ParsedProfile> {
  return untilWritten(async () => {
    const state = await readProfileState(view)
    using _ = disposing(state.contents)
    const next = change(state)
    if (next === undefined) return state.record
    return (await writeNext(view, state, next.contents, next.handover))?.record
  })
}
