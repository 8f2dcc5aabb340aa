// What has happened in a soak, in numbers.
import type { Op } from './tasks.ts'

interface Count {
  ok: number
  refused: number
  lost: number
  killed: number
  ms: number
}

export class Tally {
  readonly ops: Map<Op, Count> = new Map()
  readonly errors: Map<string, number> = new Map()
  readonly faults: Map<string, number> = new Map()
  kills = 0
  audits = 0
  /** How many logs the audits have read whole. */
  audited = 0

  of(op: Op): Count {
    const count = this.ops.get(op) ?? { ok: 0, refused: 0, lost: 0, killed: 0, ms: 0 }
    this.ops.set(op, count)
    return count
  }

  error(what: string): void {
    add(this.errors, what, 1)
  }

  fault(what: string, count = 1): void {
    add(this.faults, what, count)
  }

  get total(): number {
    return [...this.ops.values()].reduce((sum, { ok, refused, lost, killed }) => sum + ok + refused + lost + killed, 0)
  }
}

function add(map: Map<string, number>, key: string, count: number): void {
  map.set(key, (map.get(key) ?? 0) + count)
}
