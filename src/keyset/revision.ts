// Revisions of a keyset (SPEC §9.2). Every version has one, and knows those that it descends from. So two machines that
// change one keyset, without knowing of each other, cannot overwrite each other's change unseen.
import { type Bytes, equalBytes, fromHex, toHex } from '../core/bytes.ts'
import { type Codec, list, ownBytes, struct, validated, version } from '../core/codec.ts'
import { KeystrataError } from '../core/errors.ts'
import { hedgedId } from '../core/hedge.ts'
import type { SecretKey } from '../core/secret.ts'
import { sha256 } from '../primitives/hash.ts'

const REVISION_BYTES = 16

/** How many revisions a keyset remembers. */
const MAX_HISTORY = 255
/** Of these, the newest ones have no gap. The others may be the revisions of two keysets that were merged. */
const WITHOUT_GAP = 253

/** One version of a keyset. */
export interface Revision {
  readonly version: number
  readonly id: Bytes
}

export const revisionId: Codec<Bytes> = ownBytes(REVISION_BYTES)

/** The revisions that a keyset descends from, the newest first. */
export const history: Codec<readonly Revision[]> = validated(
  list(struct<Revision>({ version, id: revisionId }), MAX_HISTORY),
  (revisions) => revisions.every((each, index) => index === 0 || isBefore(revisions[index - 1], each)),
)

/** What two keysets are compared by. */
export interface Descent {
  readonly version: number
  readonly revision: Bytes
  readonly history: readonly Revision[]
}

/** Returns the order of two revisions in a history: newer versions first, equal versions by their bytes. */
function order(a: Revision, b: Revision): number {
  if (a.version !== b.version) return b.version - a.version
  return toHex(a.id) < toHex(b.id) ? -1 : toHex(a.id) === toHex(b.id) ? 0 : 1
}

const isBefore = (a: Revision | undefined, b: Revision): boolean => a !== undefined && order(a, b) < 0

const isSame = (a: Revision, b: Revision): boolean => a.version === b.version && equalBytes(a.id, b.id)

/** Returns the revision of a keyset itself. */
export const revisionOf = ({ version, revision: id }: Descent): Revision => ({ version, id })

/**
 * Returns the history of a keyset that follows these. It always has their own revisions, so that the result can be stored
 * behind each of them.
 */
export function historyAfter(...keysets: readonly Descent[]): readonly Revision[] {
  const parents = keysets.map(revisionOf)
  const sorted = [...parents, ...keysets.flatMap((keyset) => keyset.history)].sort(order)
  const all = sorted.filter((each, index) => index === 0 || isBefore(sorted[index - 1], each))
  const rest = all.slice(WITHOUT_GAP)
  const isParent = (each: Revision) => parents.some((parent) => isSame(parent, each))
  const kept = [...rest.filter(isParent), ...rest.filter((each) => !isParent(each))].slice(0, MAX_HISTORY - WITHOUT_GAP)
  return [...all.slice(0, WITHOUT_GAP), ...kept.sort(order)]
}

/**
 * Creates the revision of a keyset with these contents. It is hedged: a cloned machine that repeats its random bytes
 * does not repeat a revision, unless the contents are the same too.
 */
export function createRevision(master: SecretKey<'master'>, contents: Uint8Array): Bytes {
  return hedgedId(master, 'revision', sha256(contents))
}

/** Returns a revision as text: `<version>-<32 hex digits>`. */
export function revisionText({ version, id }: Revision): string {
  return `${version}-${toHex(id)}`
}

/**
 * Parses the text of a revision.
 * @throws TypeError if it is not one
 */
export function parseRevision(text: string, what: string): Revision {
  const [digits = '', hex = '', ...more] = typeof text === 'string' ? text.split('-') : []
  const id = fromHex(hex, REVISION_BYTES)
  const version = /^[1-9]\d*$/.test(digits) ? Number(digits) : Number.NaN
  if (id === undefined || more.length > 0 || !Number.isSafeInteger(version)) {
    throw new TypeError(`${what} must be the revision of a keyset, a text such as 3-${'0'.repeat(2 * REVISION_BYTES)}`)
  }
  return { version, id }
}

/** Returns whether a keyset has this revision, or descends from it. */
export function descendsFrom(keyset: Descent, revision: Revision): boolean {
  return [revisionOf(keyset), ...keyset.history].some((each) => isSame(each, revision))
}

/**
 * Returns whether a keyset would know this revision if it descended from it. Its history may be too short for that.
 */
export function reachesTo({ version, history }: Descent, revision: Revision): boolean {
  const oldest = history[WITHOUT_GAP - 1]
  if (version === revision.version || history.length < MAX_HISTORY || oldest === undefined) return true
  return oldest.version < revision.version
}

/**
 * Checks that a keyset is not older than this revision, and not on another branch.
 * @param forked returns a better error for another branch
 * @throws KeystrataError `rollback`, `forked`
 */
export function assertDescends(keyset: Descent, atLeast: Revision | undefined, forked?: () => KeystrataError): void {
  if (atLeast === undefined || descendsFrom(keyset, atLeast)) return
  const detail = { revision: revisionText(revisionOf(keyset)), atLeast: revisionText(atLeast) }
  if (keyset.version < atLeast.version) {
    throw new KeystrataError(
      'rollback',
      `this keyset (version ${keyset.version}) is older than ${detail.atLeast}`,
      detail,
    )
  }
  if (!reachesTo(keyset, atLeast)) return
  if (forked !== undefined) throw forked()
  const message = `this keyset, ${detail.revision}, does not descend from ${detail.atLeast}: it is another one, or two machines changed it; or the floor is mistyped`
  throw new KeystrataError('forked', message, detail)
}
