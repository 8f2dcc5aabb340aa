// Changes to a keyset (SPEC §5.4, §12.1). Each function returns the contents of the keyset's next version. Keys that
// stay are copied, so the old contents remain usable. New keys are not copied: they become part of the new contents.
import type { KeyPair } from '../core/key-pairs.ts'
import { copyKeys, disposeKeys } from '../core/secret.ts'
import type { Strength } from '../core/suite.ts'
import { nextVersion } from '../state/version.ts'
import { type AdditionalKeys, incompleteFor, type KeysetContents } from './exports.ts'
import type { ActiveShare } from './layout.ts'

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

/** Copies the keys into contents with the next version number. */
export function nextContents<C extends KeysetContents>(contents: C): C {
  return copyKeys({ ...contents, version: nextVersion(contents.version) })
}

/** Replaces the block key pair. The old pair is retired, so stored blocks still open. */
export function withBlockPair(contents: CompleteContents, blockPair: KeyPair, encryption: Strength): KeysetContents {
  const { blockPair: old, additional, ...others } = nextFor(blockPair, contents)
  return {
    ...others,
    encryption,
    blockPair,
    additional: { ...additional, retired: [...additional.retired, old] },
  }
}

/** Drops the retired key pairs. */
export function withoutRetired(contents: CompleteContents): KeysetContents {
  return nextContents({ ...contents, additional: { ...contents.additional, retired: [] } })
}

export function withShare(contents: CompleteContents, share: ActiveShare): KeysetContents {
  const { additional, ...others } = nextFor(share, contents)
  return { ...others, additional: { ...additional, shares: [...additional.shares, share] } }
}

/** Returns the next contents, without the new keys: the caller adds those. If this throws, it wipes the new keys. */
function nextFor<C extends KeysetContents>(newKeys: KeyPair | ActiveShare, contents: C): C {
  try {
    return nextContents(contents)
  } catch (error) {
    disposeKeys(newKeys)
    throw error
  }
}

export function withoutShare(contents: CompleteContents, share: ActiveShare): KeysetContents {
  const shares = contents.additional.shares.filter((each) => each !== share)
  return nextContents({ ...contents, additional: { ...contents.additional, shares } })
}
