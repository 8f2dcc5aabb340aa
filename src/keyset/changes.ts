// Changes to a keyset (SPEC §9.4, §11.1). Each function returns the contents of the keyset's next version, which has no
// revision yet. Keys that stay are copied, so the old contents remain usable. New keys are not copied: they become part
// of the new contents.
import { equalBytes, toHex } from '../core/bytes.ts'
import { generateKeyPair, type KeyPair, samePair } from '../core/key-pairs.ts'
import { KeystrataError } from '../core/errors.ts'
import { copyKeys, disposeKeys } from '../core/secret.ts'
import type { Strength } from '../core/suite.ts'
import { drawUntil } from '../primitives/random.ts'
import { nextVersion } from '../state/version.ts'
import { type AdditionalKeys, type DraftContents, incompleteFor, type KeysetContents } from './exports.ts'
import { type ActiveShare, MAX_REVOKED } from './layout.ts'
import { historyAfter } from './revision.ts'
import { noSuchShare } from './share.ts'

/** The contents of a keyset that holds all of its keys. */
export type CompleteContents = KeysetContents & { readonly additional: AdditionalKeys }

/**
 * Returns the contents if they include all keys.
 * @param purpose what the caller needs the keys for; the error names it
 * @throws KeystrataError `policy` if the contents came from a source definition
 */
export function assertComplete(contents: KeysetContents, purpose: string): CompleteContents {
  const { additional } = contents
  if (additional === undefined) throw incompleteFor(purpose)
  return { ...contents, additional }
}

/** Copies the keys into contents with the next version number, which descend from these. */
export function nextContents<C extends KeysetContents>({ revision, ...contents }: C): Omit<C, 'revision'> {
  const { version, history } = contents
  const past = historyAfter({ version, revision, history })
  return copyKeys({ ...contents, version: nextVersion(version), history: past })
}

/** Replaces the block key pair with a fresh one. The old pair is retired, so stored blocks still open. */
export function withNewBlockPair(contents: CompleteContents, encryption: Strength): DraftContents {
  const blockPair = generateNewPair(contents, encryption)
  const { blockPair: old, additional, ...others } = nextFor(blockPair, contents)
  return {
    ...others,
    encryption,
    blockPair,
    additional: { ...additional, retired: [...additional.retired, old] },
  }
}

/**
 * Generates a pair that the keyset does not have. A cloned machine could draw one again that was retired: then nothing
 * would have changed for anyone with that pair.
 */
function generateNewPair({ blockPair, additional }: CompleteContents, minimum: Strength): KeyPair {
  const known = [blockPair, additional.sharing, ...additional.retired].map(({ publicHalves }) => publicHalves)
  return drawUntil(() => {
    const pair = generateKeyPair(minimum)
    if (!known.some((each) => samePair(each, pair.publicHalves))) return pair
    disposeKeys(pair)
    return undefined
  })
}

/** Returns the ids of all shares, revoked ones too. */
export const shareIds = ({ additional }: CompleteContents): readonly Uint8Array[] => [
  ...additional.shares.map(({ id }) => id),
  ...additional.revoked,
]

/** Drops the retired key pairs. */
export function withoutRetired(contents: CompleteContents): DraftContents {
  return nextContents({ ...contents, additional: { ...contents.additional, retired: [] } })
}

export function withShare(contents: CompleteContents, share: ActiveShare): DraftContents {
  const { additional, ...others } = nextFor(share, contents)
  return { ...others, additional: { ...additional, shares: [...additional.shares, share] } }
}

/** Returns the next contents, without the new keys: the caller adds those. If this throws, it wipes the new keys. */
function nextFor(newKeys: KeyPair | ActiveShare, contents: CompleteContents): Omit<CompleteContents, 'revision'> {
  try {
    return nextContents(contents)
  } catch (error) {
    disposeKeys(newKeys)
    throw error
  }
}

/**
 * Returns the active share with this id.
 * @throws KeystrataError `key-not-found` if there is none
 */
export function findShare({ additional }: CompleteContents, id: string): ActiveShare {
  const share = additional.shares.find((each) => toHex(each.id) === id)
  if (share === undefined) throw noSuchShare(id)
  return share
}

export function withoutShare(contents: CompleteContents, share: ActiveShare): DraftContents {
  const { additional } = contents
  const shares = additional.shares.filter(({ id }) => !equalBytes(id, share.id))
  const revoked = [share.id, ...additional.revoked].slice(0, MAX_REVOKED)
  return nextContents({ ...contents, additional: { ...additional, shares, revoked } })
}

/**
 * What `checkRetired` returns: nothing that it looked at needs the retired key pairs of this keyset.
 * @example
 * ```ts
 * import { changeKeyset, type Keyset, type RetiredCheck } from 'keystrata'
 * import type { StateStore } from 'keystrata/stores'
 *
 * const forget = (store: StateStore, keyset: Keyset, checked: RetiredCheck) =>
 *   changeKeyset(store, keyset, (newest) => newest.forgetRetired(checked))
 * ```
 */
export interface RetiredCheck {
  /** The id of the keyset. */
  readonly keyset: string
  /** The revision of the keyset that was checked. The check is worth nothing for any other. */
  readonly revision: string
  /** How many heads of blocks were looked at. */
  readonly heads: number
}

/**
 * Checks that a result of `checkRetired` belongs to this revision.
 * @throws KeystrataError `policy` if it was made for another keyset, or the keyset has changed since
 * @throws TypeError if it is not a check
 */
export function assertCheckOf(keyset: { id: string; revision: string }, checked: RetiredCheck): void {
  const { keyset: id, revision } = Object(checked) as Partial<Record<keyof RetiredCheck, unknown>>
  if (typeof id !== 'string' || typeof revision !== 'string') {
    throw new TypeError("forgetRetired takes what checkRetired returned, or 'unchecked'")
  }
  if (id === keyset.id && revision === keyset.revision) return
  throw new KeystrataError('policy', 'the keyset has changed since the retired key pairs were checked: check again', {
    rule: 'retired-check',
    checked: revision,
    revision: keyset.revision,
  })
}
