// A store of rows whose rules can be changed one by one.
import { memoryStateStore, type RegistryStore } from '../../src/stores.ts'

export interface Row {
  readonly version: number
  readonly bytes: Uint8Array
}

/** How a store of rows goes about it. Without changes it is correct. */
interface Rules {
  /** Decides whether a version may be written. */
  mayWrite(rows: readonly Row[], version: number): boolean | Promise<boolean>
  newest(rows: readonly Row[]): Row | undefined
  /** Returns the rows that remain. */
  drop(rows: readonly Row[], below: number): readonly Row[]
}

export const newestOf = (rows: readonly Row[]): Row | undefined => rows.toSorted((a, b) => a.version - b.version).at(-1)

/** A store of rows in memory, as somebody might write it. */
export function rowStore(change: Partial<Rules>): RegistryStore {
  const rules: Rules = {
    mayWrite: (rows, version) => version === (newestOf(rows)?.version ?? 0) + 1,
    newest: newestOf,
    drop: (rows, below) => rows.filter(({ version }) => version >= below || version === newestOf(rows)?.version),
    ...change,
  }
  const objects: Map<string, readonly Row[]> = new Map()
  const rowsOf = (name: string) => objects.get(name) ?? []
  return {
    once: memoryStateStore().once,
    async read(name) {
      const row = rules.newest(rowsOf(name))
      return row && { version: row.version, bytes: new Uint8Array(row.bytes) }
    },
    async readVersion(name, version) {
      const row = rowsOf(name).find((each) => each.version === version)
      return row && new Uint8Array(row.bytes)
    },
    async write(name, version, bytes) {
      const answer = rules.mayWrite(rowsOf(name), version)
      if (!(answer instanceof Promise ? await answer : answer)) return false
      const others = rowsOf(name).filter((each) => each.version !== version)
      objects.set(name, [...others, { version, bytes: new Uint8Array(bytes) }])
      return true
    },
    async drop(name, below) {
      objects.set(name, rules.drop(rowsOf(name), below))
    },
  }
}
