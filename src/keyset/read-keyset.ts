// What a store has as `keyset` (SPEC §9.5): reading and checking it, before anything is changed.
import { equalBytes, toHex } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { keyNotFound } from '../core/header.ts'
import { type SecretKey, wiping } from '../core/secret.ts'
import { keyIdOf } from '../core/wrap.ts'
import type { CheckedStore } from '../state/checked.ts'
import { KEYSET_NAME } from '../state/name.ts'
import { readSettled } from '../state/settle.ts'
import type { StoredObject } from '../state/store.ts'
import { type KeysetContents, openKeyset, type ParsedKeyset, parseKeyset } from './exports.ts'
import { insidesOf, type Keyset } from './keyset.ts'
import { assertDescends, type Revision, revisionOf, revisionText } from './revision.ts'

/** A keyset as it is stored: its version in the store, and its parsed export. */
export interface StoredKeyset {
  readonly version: number
  readonly parsed: ParsedKeyset
}

/** @throws KeystrataError `missing`, `policy` unless it is a `storage` export, and as {@link parseKeyset} */
export function parseStored(stored: StoredObject | undefined): StoredKeyset {
  if (stored === undefined)
    throw new KeystrataError(
      'missing',
      'the store has no keyset: pass the folder, bucket or prefix that holds the object `keyset`',
      { object: KEYSET_NAME },
    )
  const parsed = parseKeyset(stored.bytes)
  // Another export lacks keys, or would show the dedup secrets to anyone who reads the store.
  if (parsed.destination !== 'storage') {
    const message = `the stored keyset is an export to ${parsed.destination}, and must be one to storage`
    throw new KeystrataError('policy', message, { rule: 'storage-export' })
  }
  return { version: stored.version, parsed }
}

/**
 * Reads the newest keyset, which must descend from `atLeast`. The caller wipes its bytes.
 * @param mustExist whether a read that finds none may have been late
 * @throws KeystrataError `missing`, `rollback`, `forked`, and as {@link parseKeyset}
 */
export function readKeyset(
  store: CheckedStore,
  atLeast: Revision | undefined,
  forked?: (parsed: ParsedKeyset) => KeystrataError,
  mustExist: boolean = atLeast !== undefined,
): Promise<StoredKeyset> {
  return readSettled(store, KEYSET_NAME, mustExist, (stored) => {
    const found = parseStored(stored)
    assertDescends(found.parsed, atLeast, forked && (() => forked(found.parsed)))
    return found
  })
}

/** Returns the error for a stored keyset that is on another branch than this one, or is another one. */
export function forkedFrom(parsed: ParsedKeyset, contents: KeysetContents): KeystrataError {
  const [stored, own] = [parsed.header.ownerId, contents.id]
  const message = equalBytes(stored, own)
    ? 'two machines changed the keyset independently: load the stored one, let it adopt this one, and save the result'
    : `the store has the keyset ${toHex(stored)}, not ${toHex(own)}: check the store and its prefix`
  return new KeystrataError('forked', message, comparison(parsed, contents))
}

/**
 * Reads the newest version of this keyset, which must descend from the handle. The caller wipes its bytes.
 * @throws KeystrataError as {@link readKeyset}
 */
export async function readNewest(store: CheckedStore, keyset: Keyset): Promise<StoredKeyset> {
  const { contents } = insidesOf(keyset, 'keyset')
  return readKeyset(store, revisionOf(contents), (parsed) => forkedFrom(parsed, contents))
}

/**
 * Returns the key id of the master key of the newest keyset. It is stored in plain.
 * @throws KeystrataError `missing`, `policy`, and as {@link parseKeyset}
 */
export async function storedMasterId(store: CheckedStore): Promise<Uint8Array> {
  return parseStored(await store.read(KEYSET_NAME)).parsed.header.keyId
}

/**
 * Checks that a keyset is stored, in this version or in a newer one, under the master key of this handle.
 * @throws KeystrataError `wrong-password` if the master key was replaced
 * @throws KeystrataError as {@link readKeyset}
 */
export async function assertStored(store: CheckedStore, keyset: Keyset): Promise<void> {
  const { parsed } = await readNewest(store, keyset)
  using _ = wiping(parsed.bytes)
  if (!isUnder(parsed, keyset)) throw otherMaster()
}

export const comparison = (stored: ParsedKeyset, own: KeysetContents): { revision: string; stored: string } => ({
  revision: revisionText(revisionOf(own)),
  stored: revisionText(revisionOf(stored)),
})

/** Returns whether an export is under the master key of this keyset. */
export function isUnder({ header }: ParsedKeyset, keyset: Keyset): boolean {
  return equalBytes(header.keyId, masterIdOf(keyset))
}

export const masterIdOf = (keyset: Keyset): Uint8Array => keyIdOf(insidesOf(keyset, 'keyset').master)

export function otherMaster(written?: Revision): KeystrataError {
  const message = 'the master key was replaced meanwhile: unlock the keyset with the current password'
  return new KeystrataError('wrong-password', message, {
    rule: 'new-master',
    ...(written !== undefined && { written: revisionText(written) }),
  })
}

/** A stored keyset that a master key opens. */
export interface OpenedByMaster {
  readonly contents: KeysetContents
  /** Whether it is the newest one. */
  readonly isNewest: boolean
}

/**
 * Opens the newest keyset that is under this master key. If the newest of all is under another one, because its slots were not
 * renewed yet, that is an older version. The caller owns the keys in the result.
 * @throws KeystrataError `key-not-found` if no stored version is under this master key; `authentication-failed`
 * @throws KeystrataError `missing`, `rollback`, `forked`, and as {@link parseKeyset}
 */
export async function openByMaster(
  store: CheckedStore,
  master: SecretKey<'master'>,
  atLeast: Revision | undefined,
): Promise<OpenedByMaster> {
  const { version: newest, parsed } = await readKeyset(store, atLeast, undefined, true)
  const masterId = keyIdOf(master)
  let found: ParsedKeyset | undefined = parsed
  for (let version = newest; found !== undefined; found = await readOlder(store, --version)) {
    if (!equalBytes(found.header.keyId, masterId)) continue
    assertDescends(found, atLeast)
    return { contents: openKeyset(found, master), isNewest: version === newest }
  }
  const message =
    'no stored keyset is under the master key in this slot: slots were not renewed after a new one, or both are not from one backup'
  throw keyNotFound(KEYSET_NAME, { ownerId: parsed.header.ownerId, keyId: masterId }, message)
}

async function readOlder(store: CheckedStore, version: number): Promise<ParsedKeyset | undefined> {
  const bytes = version < 1 ? undefined : await store.readVersion(KEYSET_NAME, version)
  try {
    return bytes && parseStored({ version, bytes }).parsed
  } catch (error) {
    if (!(error instanceof KeystrataError)) throw error
    // A damaged version hides none of those below it.
    return readOlder(store, version - 1)
  }
}
