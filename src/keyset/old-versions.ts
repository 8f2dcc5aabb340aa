// Dropping old versions of a stored keyset (SPEC §9.5): all but the last few, and those that an old password opens. What
// recovery slots still need stays, until `renewSlots` has run.
import { equalBytes } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { keyIdIn, ObjectType, parseMagic } from '../core/header.ts'
import { wiping } from '../core/secret.ts'
import { type CheckedStore, RefusedByStore, StoreMistake, UnroutedName } from '../state/checked.ts'
import { KEYSET_NAME, SLOTS_NAME } from '../state/name.ts'
import { dropSettled, readUntil, withNote } from '../state/settle.ts'
import { parseKeyset } from './exports.ts'
import type { Keyset } from './keyset.ts'
import { isUnder, masterIdOf, readNewest } from './read-keyset.ts'

/** How many versions a store keeps. */
const KEPT_VERSIONS = 8

/**
 * Drops old versions: all but the last few, and all that are under another master key, because old passwords open those.
 * Versions that recovery slots open stay until `renewSlots` has run. The keyset is stored already, so a
 * store that cannot drop now is an error only if an old password would go on opening what it keeps. The next change drops
 * again.
 * @param isNewMaster whether this version has another master key than the one before it
 */
export async function dropOld(
  store: CheckedStore,
  newest: number,
  keyset: Keyset,
  isNewMaster: boolean,
): Promise<void> {
  const progress = { isOtherMaster: isNewMaster }
  try {
    await dropSettled(store, KEYSET_NAME, async () => {
      const below = await lowestToKeep(store, newest, keyset)
      progress.isOtherMaster ||= below > keptBelow(newest)
      return below
    })
  } catch (error) {
    if (progress.isOtherMaster) {
      throw withNote(error, ` (the keyset is stored, but not all versions were dropped that an old password opens)`)
    }
    if (error instanceof StoreMistake) throw error
  }
}

/**
 * Drops the versions of a keyset that are under another master key, after its slots were sealed anew: old passwords, and old
 * copies of the slots, open those.
 * @throws the store's own error if it cannot drop; the message says what is left
 */
export async function dropOtherMasters(store: CheckedStore, keyset: Keyset): Promise<void> {
  try {
    await dropSettled(store, KEYSET_NAME, async () => {
      const { version, parsed } = await readNewest(store, keyset)
      using _ = wiping(parsed.bytes)
      // The caller was late: the next master key has its own owner, who drops.
      return isUnder(parsed, keyset) ? await lowestUnder(store, version, keyset) : 1
    })
  } catch (error) {
    throw withNote(error, ' (the slots are stored, but not all keysets were dropped that an old password opens)')
  }
}

/** Returns the lowest of the last few versions. */
const keptBelow = (newest: number): number => Math.max(1, newest - KEPT_VERSIONS + 1)

/** Returns the lowest version that must stay, where nobody knows whether recovery slots need one. */
async function lowestToKeep(store: CheckedStore, newest: number, keyset: Keyset): Promise<number> {
  const lowest = keptBelow(newest)
  const without = await lowestUnder(store, newest, keyset)
  // A read that finds no slots may be late. Only where it matters, read again.
  const matters = without > lowest
  const slots = await readUntil(
    () => masterOfSlots(store),
    (found) => found !== undefined || !matters,
  )
  if (slots === 'damaged') return lowest
  if (slots === undefined || equalBytes(slots, masterIdOf(keyset))) return without
  return (await newestUnder(store, newest, slots, lowest)) ?? lowest
}

/** Returns the lowest of the last versions that are all under the master key of this keyset. */
async function lowestUnder(store: CheckedStore, newest: number, keyset: Keyset): Promise<number> {
  const lowest = keptBelow(newest)
  for (let version = newest - 1; version >= lowest; version--) {
    const bytes = await store.readVersion(KEYSET_NAME, version)
    if (bytes === undefined) return lowest
    if (!isReadable(bytes, masterIdOf(keyset))) return version + 1
  }
  return lowest
}

/** Returns the newest version under a master key, or `lowest` if that is lower. Returns undefined if there is none. */
async function newestUnder(
  store: CheckedStore,
  newest: number,
  masterId: Uint8Array,
  lowest: number,
): Promise<number | undefined> {
  for (let version = newest; version >= 1; version--) {
    const bytes = await store.readVersion(KEYSET_NAME, version)
    if (bytes === undefined) return undefined
    if (isReadable(bytes, masterId)) return Math.min(version, lowest)
  }
  return undefined
}

/**
 * Returns the key id of the master key that the recovery slots in a store open. It is stored in plain. Returns undefined if
 * there are no slots, and `damaged` if nobody can tell.
 */
async function masterOfSlots(store: CheckedStore): Promise<Uint8Array | 'damaged' | undefined> {
  const bytes = await readSlotsIn(store)
  if (bytes === undefined) return undefined
  try {
    if (parseMagic(bytes, 'slot list').type !== ObjectType.slotList || bytes.length < 50) return 'damaged'
  } catch {
    return 'damaged'
  }
  const isEmpty = bytes[48] === 0 && bytes[49] === 0
  return isEmpty ? undefined : keyIdIn(bytes)
}

/** Reads the slots. A store that refuses their name has none. */
async function readSlotsIn(store: CheckedStore): Promise<Uint8Array | undefined> {
  try {
    return (await store.read(SLOTS_NAME))?.bytes
  } catch (error) {
    if (error instanceof UnroutedName || error instanceof RefusedByStore || error instanceof KeystrataError)
      return undefined
    throw error
  }
}

/** Returns whether stored bytes are a keyset under this master key. */
function isReadable(bytes: Uint8Array, masterId: Uint8Array): boolean {
  try {
    const { bytes: copy, header } = parseKeyset(bytes)
    using _ = wiping(copy)
    return equalBytes(header.keyId, masterId)
  } catch (error) {
    if (error instanceof KeystrataError) return false
    throw error
  }
}
