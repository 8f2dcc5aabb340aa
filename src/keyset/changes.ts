// What a change of keys makes of a keyset (SPEC §5.4, §12.1): the contents of its next version, with copies of the keys that
// stay. The old contents are borrowed; new keys are taken over.
import type { KeyPair } from '../core/key-pairs.ts'
import { copyKeys, disposeKeys } from '../core/secret.ts'
import { nextVersion } from '../state/version.ts'
import { type AdditionalKeys, incompleteFor, type KeysetContents } from './exports.ts'
import type { ActiveShare } from './layout.ts'

/** The contents of a keyset that has all of its keys. */
export type CompleteContents = KeysetContents & { readonly additional: AdditionalKeys }

/** @throws KeystrataError `policy` for what came from a source definition, which has not all keys: no `purpose` */
export function assertComplete(contents: KeysetContents, purpose: string): CompleteContents {
  const { additional } = contents
  if (additional === undefined) throw incompleteFor(purpose)
  return { ...contents, additional }
}

/** The same keys, one version on. */
export function nextContents<C extends KeysetContents>(contents: C): C {
  return copyKeys({ ...contents, version: nextVersion(contents.version) })
}

/** A new key pair for blocks; the old one is kept for what is stored. */
export function withBlockPair(contents: CompleteContents, blockPair: KeyPair, encryption: number): KeysetContents {
  const { blockPair: old, additional, ...others } = nextFor(blockPair, contents)
  return {
    ...others,
    encryption,
    blockPair,
    additional: { ...additional, retired: [...additional.retired, old] },
  }
}

/** No key pairs of the past. */
export function withoutRetired(contents: CompleteContents): KeysetContents {
  return nextContents({ ...contents, additional: { ...contents.additional, retired: [] } })
}

export function withShare(contents: CompleteContents, share: ActiveShare): KeysetContents {
  const { additional, ...others } = nextFor(share, contents)
  return { ...others, additional: { ...additional, shares: [...additional.shares, share] } }
}

/** The contents that new keys go into; if they cannot be made, nobody else will wipe the keys. */
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
