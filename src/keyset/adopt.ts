// Taking in another keyset (SPEC §9.4): the other branch of a fork, or the keyset of a host that was broken into. What
// either opens, the result opens. It descends from both, so it can be stored behind either.
import { equalBytes, toHex } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { generateKeyPair, type KeyPair, publicKeyId, samePair } from '../core/key-pairs.ts'
import { copyKeys, disposing } from '../core/secret.ts'
import type { Strength } from '../core/suite.ts'
import { nextVersion } from '../state/version.ts'
import type { CompleteContents } from './changes.ts'
import type { DraftContents } from './exports.ts'
import { type AdoptedSource, MAX_ADOPTED, MAX_REVOKED } from './layout.ts'
import { descendsFrom, historyAfter, revisionOf } from './revision.ts'

/**
 * The highest version that can be adopted. Versions follow the higher one, so a keyset with the last possible version
 * would be the end of every keyset that adopts it. No keyset reaches this by changing.
 */
const MAX_ADOPTED_VERSION = 0x1_0000_0000_0000

/**
 * Returns the contents of the keyset that takes in another one. Master key, password and dedup mode are the adopter's.
 * @throws KeystrataError `limit-exceeded` if there are more than 16 adopted sources, or a version is above 2⁴⁸
 */
export function withAdopted(own: CompleteContents, other: CompleteContents): DraftContents {
  const merged = equalBytes(own.id, other.id) ? withBranch(own, other) : withKeyset(own, other)
  // Everything is copied in the end, a new key pair too.
  using _ = disposing(
    merged.blockPair === own.blockPair || merged.blockPair === other.blockPair ? [] : merged.blockPair,
  )
  if (merged.adopted.length > MAX_ADOPTED) {
    throw new KeystrataError('limit-exceeded', `a keyset can adopt at most ${MAX_ADOPTED} others`, {
      object: 'keyset',
      adopted: merged.adopted.length,
    })
  }
  const newest = Math.max(own.version, other.version)
  if (newest > MAX_ADOPTED_VERSION) {
    throw new KeystrataError('limit-exceeded', 'the version of this keyset is too high to be adopted', {
      object: 'keyset',
      version: newest,
    })
  }
  const version = nextVersion(newest)
  return copyKeys({ ...merged, version, history: historyAfter(own, other) })
}

type Merged = Omit<DraftContents, 'version' | 'history'>

/** Takes in another branch of the same keyset. */
function withBranch(own: CompleteContents, other: CompleteContents): Merged {
  const { id, argon2, dedup, blockSalt, dedupKey, sourceSigning, cardSigningKey, additional } = own
  const blockPair = currentOf(own, other)
  const revoked = distinct(alternating(additional.revoked, other.additional.revoked), toHex)
  const isRevoked = new Set(revoked.map(toHex))
  return {
    ...{ id, argon2, dedup, blockSalt, dedupKey, sourceSigning, cardSigningKey },
    // A pair that the other branch created may demand more than the adopter's writers used until now.
    encryption: blockPair === own.blockPair || own.encryption > other.encryption ? own.encryption : other.encryption,
    blockPair,
    adopted: distinct([...own.adopted, ...other.adopted], idOf),
    additional: {
      ...additional,
      retired: retiredOf(blockPair, own, other),
      shares: distinct([...additional.shares, ...other.additional.shares], idOf).filter(
        ({ id }) => !isRevoked.has(toHex(id)),
      ),
      revoked: revoked.slice(0, MAX_REVOKED),
    },
  }
}

/**
 * Decides which key pair is current in a merged keyset. Regenerating in one branch must not be undone by merging. If the
 * branches have no key pair in common, one of them has regenerated and forgotten, and nobody can tell which. Then a new
 * pair is generated.
 */
function currentOf(own: CompleteContents, other: CompleteContents): KeyPair {
  if (descendsFrom(own, revisionOf(other))) return own.blockPair
  if (descendsFrom(other, revisionOf(own))) return other.blockPair
  const otherPairs = pairsOf(other)
  if (!pairsOf(own).some((pair) => holds(otherPairs, pair))) {
    const minimums = [own, other].map(({ blockPair }) => blockPair.publicHalves.minimum)
    return generateKeyPair(Math.max(...minimums) as Strength)
  }
  const isSuperseded = holds(other.additional.retired, own.blockPair) && !holds(own.additional.retired, other.blockPair)
  return isSuperseded ? other.blockPair : own.blockPair
}

/** Takes in another keyset: its key pairs, and its source. Its shares stay behind. */
function withKeyset(own: CompleteContents, other: CompleteContents): Merged {
  const { id, argon2, dedup, encryption, blockPair, blockSalt, dedupKey, additional } = own
  const { sourceSigning, cardSigningKey } = own
  const { sharing, cardSigning } = other.additional
  const source: AdoptedSource = {
    id: other.id,
    blockSalt: other.blockSalt,
    dedupKey: other.dedupKey,
    keys: { sourceSigning: other.sourceSigning.publicKey, sharing, cardSigning },
  }
  const others = [source, ...other.adopted].filter((each) => !equalBytes(each.id, id))
  return {
    ...{ id, argon2, dedup, encryption, blockPair, blockSalt, dedupKey, sourceSigning, cardSigningKey },
    adopted: distinct([...own.adopted, ...others], idOf),
    additional: { ...additional, retired: retiredOf(blockPair, own, other) },
  }
}

/** Returns all key pairs of two keysets, apart from the current one. */
function retiredOf(current: KeyPair, ...keysets: readonly CompleteContents[]): readonly KeyPair[] {
  return distinct(keysets.flatMap(pairsOf), ({ publicHalves }) => toHex(publicKeyId(publicHalves))).filter(
    (pair) => !samePair(pair.publicHalves, current.publicHalves),
  )
}

/** Returns all key pairs for blocks, the current one last. */
const pairsOf = ({ blockPair, additional }: CompleteContents): readonly KeyPair[] => [...additional.retired, blockPair]

const holds = (pairs: readonly KeyPair[], pair: KeyPair): boolean =>
  pairs.some((each) => samePair(each.publicHalves, pair.publicHalves))

const idOf = ({ id }: { readonly id: Uint8Array }): string => toHex(id)

/** Returns the elements of two lists in turn, so that the first ones of both are among the first ones. */
function alternating<T>(first: readonly T[], second: readonly T[]): T[] {
  const longest = Math.max(first.length, second.length)
  return Array.from({ length: longest }, (_, index) => [first[index], second[index]])
    .flat()
    .filter((each) => each !== undefined)
}

/** Returns the elements of a list, each name once: the first that has it. */
function distinct<T>(elements: readonly T[], nameOf: (element: T) => string): T[] {
  const found: Map<string, T> = new Map()
  for (const each of elements) {
    const name = nameOf(each)
    if (!found.has(name)) found.set(name, each)
  }
  return [...found.values()]
}
