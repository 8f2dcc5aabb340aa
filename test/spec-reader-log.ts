// The second reader, continued: a whole log in a store (SPEC §7.4). Like spec-reader.ts, it was written from SPEC.md
// alone, and the notes there apply. It never looks at the pointer, which is a hint.
import { cat, check, equal, hash } from './spec-reader.ts'
import {
  decryptRecord,
  type Former,
  logIdOf,
  type ParsedRecord,
  parseRecord,
  readClose,
  readSealOff,
} from './spec-reader-record.ts'
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
  recordAt(epoch: number, version: number, owner?: Buffer): ParsedRecord | string {
    try {
      if (!this.mayStand(parseRecord(this.versions(epoch).get(version)!), owner)) return 'authentication-failed'
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
    const record = this.recordAt(epoch, version, ownerId)
    if (typeof record === 'string' || record.kind !== 'seal-off' || version <= start) return undefined
    if (record.number < base + version - 1 - start) return undefined
    try {
      return { ...record, next: readSealOff(decryptRecord(record, this.logId, this.by.keys), epoch) }
    } catch {
      return undefined
    }
  }

  /** The owner of epoch 0: that of version 1, or of the first authentic record after it that is no seal-off */
  ownerOfFirst(): Buffer | undefined {
    const versions = ordered(this.versions(0))
    const lowest = versions[0]
    if (lowest === undefined) return undefined
    if (lowest > 1) {
      const record = this.recordAt(0, lowest)
      // Only a seal-off is left, which may be damaged.
      if (typeof record === 'string' || record.kind === 'seal-off') return undefined
    }
    const errors: string[] = []
    for (const version of versions) {
      const record = this.recordAt(0, version)
      if (typeof record === 'string') errors.push(record)
      else if (record.kind !== 'seal-off') return record.header.ownerId
    }
    check(!errors.includes('key-not-found'), 'policy')
    return undefined
  }

  /** The seal-off of an epoch: the newest version, or the first one; what lies at the lowest version if version 1 is gone */
  endOf(entry: Entry): (ParsedRecord & { next: SealOff }) | undefined {
    const versions = ordered(this.versions(entry.epoch))
    const lowest = versions[0]
    if (lowest === undefined) return undefined
    if (lowest > 1) {
      const sealOff = this.sealOffAt(entry, lowest)
      if (sealOff !== undefined) return sealOff
      // The store has lost version 1. If this version is damaged, this reader does not look for the next epoch.
      check(typeof this.stepAt(entry, lowest) !== 'string', 'authentication-failed')
    }
    const newestFirst = [versions.at(-1)!, ...versions]
    return newestFirst.map((version) => this.sealOffAt(entry, version)).find((record) => record !== undefined)
  }

  /** Steps 1 to 7 of §7.4: the record at a version of the current epoch, or the error of a damaged version */
  stepAt({ epoch, start, base, ownerId }: Entry, version: number): ParsedRecord | string {
    const bytes = this.versions(epoch).get(version)
    if (bytes === undefined) return 'missing'
    const record = this.recordAt(epoch, version, ownerId)
    if (typeof record === 'string') return record
    const { kind, number } = record
    const due = base + version - start
    const fits =
      version < start
        ? number <= base
        : version === start
          ? kind === 'close' && number === base
          : kind === 'seal-off'
            ? number >= due - 1
            : kind === 'content' && number === due
    if (!fits) return 'authentication-failed'
    try {
      if (kind === 'seal-off') readSealOff(decryptRecord(record, this.logId, this.by.keys), epoch)
      if (version === start) readClose(decryptRecord(record, this.logId, this.by.keys))
    } catch (error) {
      return (error as Error).message
    }
    return record
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

/** A version of the current epoch: a record, or the error of a damaged version */
interface Step {
  version: number
  record: ParsedRecord | undefined
  error: string
}

/**
 * Reads a log. The error of the first damaged version ends it: damaged records have no content here. A damaged seal-off
 * is not followed.
 */
export function readLog(objects: Objects, name: string, by: LogKeys, atLeast?: string): ReadLog {
  const logId = logIdOf(name)
  const walk = new Walk(logId, objects, by)
  const entry = walk.current()
  const { epoch, start, base, former } = entry
  const newest = ordered(walk.versions(epoch)).at(-1) ?? 0
  check(newest >= start, 'missing')
  const steps: Step[] = []
  for (let version = 1; version <= newest; version++) {
    const found = walk.stepAt(entry, version)
    if (typeof found === 'string') steps.push({ version, record: undefined, error: found })
    else steps.push({ version, record: found, error: '' })
  }
  const closing = steps[start - 1]?.record
  const leftOut = closing && rangesOf(decryptRecord(closing, logId, by.keys))
  const end = base + newest - start
  // The position first: what is wrong with the log is that it lacks what it must have.
  if (atLeast !== undefined) checkPosition(atLeast, entry, steps, leftOut, end)

  const read: ParsedRecord[] = []
  let number = 0
  for (const { version, record, error } of steps) {
    check(record !== undefined, error)
    const before = version === 1 ? Buffer.alloc(32) : hashOf(steps[version - 2])
    check(record.predecessorDamaged || equal(record.previous, before!), 'authentication-failed')
    if (record.kind !== 'content') continue
    if (version < start) {
      const highest = leftOut === undefined ? base : nextBehind(number, leftOut)
      check(record.number > number && record.number <= highest, 'authentication-failed')
    }
    number = record.number
    read.push(record)
  }
  const copies = read.filter(({ sequence }) => sequence < start)
  if (closing !== undefined) {
    check(former !== undefined, 'authentication-failed')
    checkClose(epoch, decryptRecord(closing, logId, by.keys), copies, former, base)
  }
  const records = read.map((record) => ({
    position: record.position,
    content: decryptRecord(record, logId, by.keys),
  }))
  return { epoch, records, leftOut: leftOut ?? [], end }
}

const isContent = ({ record }: Step) => record?.kind === 'content'
const hashOf = (step: Step | undefined) => step?.record && hash('sha256', step.record.bytes)

/** The numbers that a close leaves out, of all former epochs together */
const rangesOf = (P: Buffer): Former['leftOut'] => readClose(P).former.flatMap((one) => one.leftOut)

/** The first number behind this one that is in no range */
function nextBehind(number: number, leftOut: Former['leftOut']): number {
  let next = number + 1
  for (;;) {
    const range = leftOut.find(({ first, last }) => first <= next && next <= last)
    if (range === undefined) return next
    next = range.last + 1
  }
}

/** A position that the log must have: its record is there, or its number was left out */
function checkPosition(
  text: string,
  { start, base }: Entry,
  steps: Step[],
  leftOut: Former['leftOut'] | undefined,
  end: number,
): void {
  const number = Number(text.split('-')[0])
  check(number <= end, 'rollback')
  if (number > base) {
    const { record, error } = steps[start + number - base - 1]!
    check(record !== undefined, error)
    check(record.kind === 'content' && record.position === text, 'forked')
    return
  }
  const copies = steps.slice(0, Math.max(0, start - 1))
  const copy = copies.find((step) => isContent(step) && step.record!.number === number)
  if (copy !== undefined) {
    check(copy.record!.position === text, 'forked')
    return
  }
  const closing = steps[start - 1]!
  check(closing.record !== undefined, closing.error)
  if (leftOut?.some(({ first, last }) => first <= number && number <= last) === true) return
  // It is damaged: it stands between the copy with a lower number and the one with a higher number.
  const above = copies.find((step) => isContent(step) && step.record!.number > number)?.version ?? start
  const damaged = copies.slice(0, above - 1).findLast((step) => step.record === undefined || isContent(step))
  if (damaged !== undefined) check(damaged.record !== undefined, damaged.error)
  check(false, 'forked')
}

/** The close at the start of an epoch. */
function checkClose(
  own: number,
  P: Buffer,
  copies: ParsedRecord[],
  former: { epoch: number; count: number },
  base: number,
): void {
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
}
