// The second reader, continued: a whole log in a store (SPEC §7.4). Like spec-reader.ts, it was written from SPEC.md
// alone, and the notes there apply. It never looks at the pointer, which is a hint.
import { cat, check, equal, hash } from './spec-reader.ts'
import { decryptRecord, type Former, logIdOf, type ParsedRecord, readClose, readSealOff } from './spec-reader-record.ts'
import { type RecordKeys, type SealOff, verifyRecord } from './spec-reader-record.ts'
import { u64 } from './spec-reader-vault.ts'

/** name → version → bytes */
export type Objects = Map<string, Map<number, Uint8Array>>

export interface ReadLog {
  epoch: number // the current one
  records: { position: string; content: Buffer }[]
  leftOut: Former['leftOut'] // numbers that no record has any more
  end: number // the highest number
}

/** Where an epoch starts: by what it is entered */
interface Entry {
  epoch: number
  start: number
  base: number
  ownerId: Buffer | undefined // of epoch 0 its first record says it
  former: { epoch: number; count: number } | undefined
}

/** The keys, and which ownerIds are adopted. In a share, a vault and a scope none is. */
export interface LogKeys {
  keys: RecordKeys
  own: Buffer
  adopted: Buffer[]
}

const isOne = (id: Buffer, of: Buffer[]) => of.some((one) => equal(id, one))
const ordered = (versions: Map<number, Uint8Array>) => [...versions.keys()].sort((a, b) => a - b)

class Walk {
  readonly logId: Buffer
  readonly objects: Objects
  readonly by: LogKeys
  constructor(logId: Buffer, objects: Objects, by: LogKeys) {
    this.logId = logId
    this.objects = objects
    this.by = by
  }

  versions = (epoch: number): Map<number, Uint8Array> =>
    this.objects.get(`log/${this.logId.toString('hex')}/${epoch}`) ?? new Map<number, Uint8Array>()

  /** A record at its version of an epoch, verified. If it is damaged, the name of the error. */
  recordAt(epoch: number, version: number): ParsedRecord | string {
    try {
      const record = verifyRecord(this.versions(epoch).get(version)!, this.logId, this.by.keys)
      return record.epoch === epoch && record.sequence === version ? record : 'authentication-failed'
    } catch (error) {
      const { message } = error as Error
      check(message !== 'policy', 'policy') // keys that a definition does not have
      return message
    }
  }

  /** Whether the ownerId of a record may stand in an epoch of that owner */
  mayStand({ kind, header }: ParsedRecord, owner: Buffer | undefined): boolean {
    if (owner === undefined || equal(header.ownerId, owner)) return true
    const { own, adopted } = this.by
    return kind === 'seal-off' && isOne(owner, adopted) && isOne(header.ownerId, [own, ...adopted])
  }

  /** The seal-off at a version. Its number follows from the version. */
  sealOffAt({ epoch, start, base, ownerId }: Entry, version: number): (ParsedRecord & { next: SealOff }) | undefined {
    const record = this.recordAt(epoch, version)
    if (typeof record === 'string' || record.kind !== 'seal-off' || version <= start) return undefined
    if (record.number < base + version - 1 - start || !this.mayStand(record, ownerId)) return undefined
    try {
      return { ...record, next: readSealOff(decryptRecord(record, this.logId, this.by.keys), epoch) }
    } catch {
      return undefined
    }
  }

  /** The owner of epoch 0: that of version 1, or of the first authentic record after it that is no seal-off */
  ownerOfFirst(): Buffer | undefined {
    const versions = ordered(this.versions(0))
    if (versions[0] !== 1) return undefined // dropped: only a seal-off is left
    const records = versions.map((version) => this.recordAt(0, version))
    const first = records.find((record) => typeof record !== 'string' && record.kind !== 'seal-off')
    if (typeof first === 'object') return first.header.ownerId
    check(!records.includes('key-not-found'), 'policy')
    return undefined
  }

  /** The seal-off of an epoch: the newest version, or the first one; what lies at the lowest version if version 1 is gone */
  endOf(entry: Entry): (ParsedRecord & { next: SealOff }) | undefined {
    const versions = ordered(this.versions(entry.epoch))
    const lowest = versions[0]
    if (lowest === undefined) return undefined
    if (lowest > 1) {
      const sealOff = this.sealOffAt(entry, lowest)
      check(sealOff !== undefined, 'authentication-failed') // this reader does not look for the next epoch otherwise
      return sealOff
    }
    const newestFirst = [versions.at(-1)!, ...versions]
    return newestFirst.map((version) => this.sealOffAt(entry, version)).find((record) => record !== undefined)
  }

  /** Follows the seal-offs from epoch 0. */
  current(): Entry {
    const first = { epoch: 0, start: 0, base: 0, ownerId: this.ownerOfFirst(), former: undefined }
    let entry: Entry = first
    for (;;) {
      const end = this.endOf(entry)
      if (end === undefined) return entry
      const { epoch, sequence: start } = end.next
      const former = { epoch: entry.epoch, count: end.sequence - 1 }
      entry = { epoch, start, base: end.number, ownerId: end.header.ownerId, former }
    }
  }
}

/** Every number up to the base is that of a copy, or in a range of the close; none is both. */
function checkComplete(copies: number[], leftOut: Former['leftOut'], base: number): void {
  const numbers = [...copies.map((number) => ({ first: number, last: number })), ...leftOut]
  numbers.sort((a, b) => a.first - b.first)
  let next = 1
  for (const { first, last } of numbers) {
    check(first === next, 'authentication-failed')
    next = last + 1
  }
  check(next === base + 1, 'authentication-failed')
}

/** Reads a log that has no damage. Any damaged record in the current epoch is authentication-failed. */
export function readLog(objects: Objects, name: string, by: LogKeys, atLeast?: string): ReadLog {
  const logId = logIdOf(name)
  const walk = new Walk(logId, objects, by)
  const { epoch, start, base, ownerId, former } = walk.current()
  const versions = walk.versions(epoch)
  check(versions.size >= start, 'missing')
  const copies: ParsedRecord[] = []
  const later: ParsedRecord[] = []
  let leftOut: Former['leftOut'] = []
  let previous: Buffer = Buffer.alloc(32)
  ordered(versions).forEach((version, i) => {
    const bytes = versions.get(version)!
    const record = verifyRecord(bytes, logId, by.keys)
    const placed = version === i + 1 && record.epoch === epoch && record.sequence === version
    check(placed && walk.mayStand(record, ownerId), 'authentication-failed')
    check(record.predecessorDamaged || equal(record.previous, previous), 'authentication-failed')
    previous = hash('sha256', bytes)
    if (version < start && record.kind === 'content') {
      check(record.number > (copies.at(-1)?.number ?? 0) && record.number <= base, 'authentication-failed')
      copies.push(record)
    }
    if (version === start) {
      const isClose = record.kind === 'close' && record.number === base
      check(isClose && former !== undefined, 'authentication-failed')
      leftOut = checkClose(record.epoch, decryptRecord(record, logId, by.keys), copies, former, base)
    }
    if (version > start) {
      // A seal-off that did not end the epoch is damaged, and so is a close behind the start.
      if (record.kind === 'seal-off') readSealOff(decryptRecord(record, logId, by.keys), epoch)
      check(record.kind === 'content' && record.number === base + version - start, 'authentication-failed')
      later.push(record)
    }
  })
  const end = base + versions.size - start
  if (atLeast !== undefined) checkPosition(atLeast, [...copies, ...later], leftOut, end)
  const records = [...copies, ...later].map((record) => ({
    position: record.position,
    content: decryptRecord(record, logId, by.keys),
  }))
  return { epoch, records, leftOut, end }
}

/** A position that the log must have: its record is there, or its number was left out */
function checkPosition(text: string, records: ParsedRecord[], leftOut: Former['leftOut'], end: number): void {
  const number = Number(text.split('-')[0])
  if (records.some(({ position }) => position === text)) return
  if (leftOut.some(({ first, last }) => first <= number && number <= last)) return
  check(number <= end, 'rollback')
  check(false, 'forked')
}

/** The close at the start of an epoch. Returns the numbers that were left out, of all former epochs together. */
function checkClose(
  own: number,
  P: Buffer,
  copies: ParsedRecord[],
  former: { epoch: number; count: number },
  base: number,
): Former['leftOut'] {
  const { former: named, last } = readClose(P)
  const newest = named.at(-1)
  check(newest?.epoch === former.epoch && newest.count === former.count, 'authentication-failed')
  check(
    named.every(({ epoch }, i) => epoch > (named[i - 1]?.epoch ?? -1) && epoch < own),
    'authentication-failed',
  )
  const copy = copies.at(-1)
  const expected = copy ? cat(u64(copy.number), copy.id) : Buffer.alloc(24)
  check(equal(cat(u64(last.number), last.id), expected), 'authentication-failed')
  const leftOut = named.flatMap((one) => one.leftOut)
  checkComplete(
    copies.map(({ number }) => number),
    leftOut,
    base,
  )
  return leftOut
}
