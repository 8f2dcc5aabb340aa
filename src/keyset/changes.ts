// Changes of a keyset (SPEC §5.4, §12.1): the contents of its next version. Keys that stay are copied, so the old contents live on; new
// keys become part of the new contents.
import type { KeyPair } from '../core/key-pairs.ts'
import { copyKeys, disposeKeys } from '../core/secret.ts'
import type { Strength } from '../core/suite.ts'
import { nextVersion } from '../state/version.ts'
import { type AdditionalKeys, incompleteFor, type KeysetContents } from './exports.ts'
import type { ActiveShare } from './layout.ts'

/** The contents of a keyset that has all of its keys. */
export type CompleteContents = KeysetContents & { readonly additional: AdditionalKeys }

/**
 * The contents, if they have all keys.
 * @param purpose what the keys are needed for, for the error
 * @throws KeystrataError `policy` if the contents came from a source definition
 */
export function assertComplete(contents: KeysetContents, purpose: string): CompleteContents {
  const { additional } = contents
  if (additional === undefined) throw incompleteFor(purpose)
  return { ...contents, additional }
}

/** The same keys, with the next version. */
export function nextContents<C extends KeysetContents>(contents: C): C {
  return copyKeys({ ...contents, version: nextVersion(contents.version) })
}

/** With a new key pair for blocks. The old one is retired, so that stored blocks still open. */
export function withBlockPair(contents: CompleteContents, blockPair: KeyPair, encryption: Strength): KeysetContents {
  const { blockPair: old, additional, ...others } = nextFor(blockPair, contents)
  return {
    ...others,
    encryption,
    blockPair,
    additional: { ...additional, retired: [...additional.retired, old] },
  }
}

/** Without the retired key pairs. */
export function withoutRetired(contents: CompleteContents): KeysetContents {
  return nextContents({ ...contents, additional: { ...contents.additional, retired: [] } })
}

export function withShare(contents: CompleteContents, share: ActiveShare): KeysetContents {
  const { additional, ...others } = nextFor(share, contents)
  return { ...others, additional: { ...additional, shares: [...additional.shares, share] } }
}

/** The contents that new keys become part of. If they cannot be made, the new keys are wiped. */
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
