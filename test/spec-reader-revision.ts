// The second reader, continued: the revision and the history of a keyset, and the floor of a caller (SPEC §9.2). Like
// spec-reader.ts, it was written from SPEC.md alone, and the notes there apply.
import { check, EMPTY, equal, type Fields, hash, hmac, KDF } from './spec-reader.ts'

export interface Revision {
  version: number
  revision: Buffer
}
export interface Placed extends Revision {
  history: Revision[]
}

/** Reads the history of a keyset of that version. The count, the order and the versions are checked: malformed. */
export function readHistory(fields: Fields, own: bigint): Revision[] {
  const count = fields.take(2).readUInt16BE()
  check(count <= 255, 'malformed')
  const history: Revision[] = []
  let last: { version: bigint; revision: Buffer } | undefined
  for (let i = 0; i < count; i++) {
    const entry = { version: fields.take(8).readBigUInt64BE(), revision: fields.take(16) }
    check(entry.version >= 1n && entry.version < own, 'malformed')
    const falls = !last || entry.version < last.version
    const rises = last?.version === entry.version && Buffer.compare(last.revision, entry.revision) < 0
    check(falls || rises, 'malformed') // equal entries neither fall nor rise
    history.push({ version: Number(entry.version), revision: entry.revision })
    last = entry
  }
  return history
}

/** The text of a revision: `<version>-<32 hex digits>` */
export const textOf = ({ version, revision }: Revision): string => `${version}-${revision.toString('hex')}`
export function parseRevision(text: string): Revision {
  const [, version, revision] = /^([1-9][0-9]*)-([0-9a-f]{32})$/.exec(text) ?? []
  if (version === undefined || revision === undefined) throw new TypeError('not a revision') // a bug in the program
  return { version: Number(version), revision: Buffer.from(revision, 'hex') }
}

const isSame = (a: Revision, b: Revision) => a.version === b.version && equal(a.revision, b.revision)
export const descendsFrom = (keyset: Placed, revision: Revision): boolean =>
  keyset.history.some((entry) => isSame(entry, revision))

/** Step 5: the lowest revision that a caller accepts */
export function checkFloor(keyset: Placed, floor: Revision): void {
  check(keyset.version >= floor.version, 'rollback')
  if (isSame(keyset, floor) || descendsFrom(keyset, floor)) return
  const { history } = keyset
  const reaches = history.length < 255 || history[252]!.version < floor.version || keyset.version === floor.version
  check(!reaches, 'forked')
}

/** The revision of these contents under a master key; `random` are 32 bytes */
export const revisionOf = (M: Buffer, random: Buffer, contents: Buffer): Buffer =>
  hmac('sha256', KDF(M, EMPTY, 'revision', [], 32), random, hash('sha256', contents)).subarray(0, 16)
