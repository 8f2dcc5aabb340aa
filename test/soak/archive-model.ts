// The model of a log and of what its records name. It says what a reader must find, and checks what one has found.
import { type Line, now } from './journal.ts'

interface Entry {
  readonly sha: string
  readonly intentAt: number
  /** When its task was given out. */
  readonly taskAt: number
  ackAt?: number
  position?: string
  /** Where a reader has found it, and when the first one had. */
  seenAt?: string
  seenSince?: number
}

export type Reading = Extract<Line, { kind: 'reading' }>

const numberOf = (position: string): number => Number(position.split('-')[0])

export class ArchiveModel {
  readonly #entries: Map<string, Entry> = new Map()
  /** The newest acknowledged position: every reader may expect it. */
  floor: string | undefined
  /** When a share was revoked: no task that was given out later may add a record. */
  closedAt: number
  /** When it was last read as a whole, and every block opened. */
  auditedAt: number
  blocks = 0
  readonly createdAt: number = now()

  constructor() {
    this.closedAt = Infinity
    this.auditedAt = -Infinity
  }

  get size(): number {
    return this.#entries.size
  }

  get acknowledged(): number {
    return [...this.#entries.values()].filter(({ ackAt }) => ackAt !== undefined).length
  }

  begin(id: string, sha: string, at: number, taskAt: number): void {
    this.#entries.set(id, { sha, intentAt: at, taskAt })
  }

  /** @returns what is wrong with the position, if anything is */
  acknowledge(id: string, position: string, at: number): string | undefined {
    const entry = this.#entries.get(id)
    if (entry === undefined) return `the record ${id} was acknowledged, but nobody began it`
    entry.ackAt = at
    entry.position = position
    if (entry.seenAt !== undefined && entry.seenAt !== position)
      return `the record ${id} was acknowledged at ${position}, but was read at ${entry.seenAt}`
    if (this.floor === undefined || numberOf(position) > numberOf(this.floor)) this.floor = position
    return undefined
  }

  /** Returns everything that is wrong with what a reader has found. */
  check({ since, at, records, opened }: Reading): string[] {
    const wrong: string[] = []
    const found: Set<string> = new Set()
    let [last, latestIntent, latestId] = [0, -Infinity, '']
    for (const [position, id, sha] of records) {
      const number = numberOf(position)
      if (number <= last) wrong.push(`the record ${id} at ${position} comes after number ${last}`)
      last = number
      const entry = this.#entries.get(id)
      if (entry === undefined) {
        wrong.push(`nobody wrote the record ${id} at ${position}`)
        continue
      }
      if (found.has(id)) wrong.push(`the record ${id} is there twice, the second time at ${position}`)
      found.add(id)
      if (entry.sha !== sha) wrong.push(`the record ${id} at ${position} has another content than was written`)
      if (entry.taskAt > this.closedAt) wrong.push(`the record ${id} at ${position} was written after the end`)
      const known = entry.position ?? entry.seenAt
      if (known !== undefined && known !== position)
        wrong.push(`the record ${id} was at ${known}, and is at ${position}`)
      entry.seenAt ??= position
      entry.seenSince ??= at
      if (entry.ackAt !== undefined && entry.ackAt < latestIntent)
        wrong.push(`the record ${id} at ${position} was acknowledged before ${latestId} began, but comes after it`)
      if (entry.intentAt > latestIntent) [latestIntent, latestId] = [entry.intentAt, id]
    }
    for (const [id, { ackAt, position, seenAt, seenSince }] of this.#entries) {
      const isThere = Math.min(ackAt ?? Infinity, seenSince ?? Infinity) < since
      if (isThere && !found.has(id)) wrong.push(`the record ${id} at ${position ?? seenAt ?? ''} is lost`)
    }
    if (opened) this.auditedAt = at
    return wrong
  }
}
