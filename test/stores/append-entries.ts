// Adds entries to one object of a store that others write too, as the library does: read the newest version, append,
// and settle. Whoever counts the entries afterwards sees whether one was lost or applied twice.
import { setTimeout as pause } from 'node:timers/promises'
import { CheckedStore } from '../../src/state/checked.ts'
import { writeSettled } from '../../src/state/settle.ts'
import type { StateStore } from '../../src/state/store.ts'

export interface Appended {
  readonly written: number
  /** How often another writer was faster. */
  taken: number
  /** How often only the object itself could tell. */
  unknown: number
  /** How often the store never answered, though it was asked again and again. */
  failed: number
}

const ENTRY_BYTES = 4

/**
 * Appends `count` entries, each with the number of the writer and its own, and drops old versions now and then.
 * Returns only when each entry is known to be there.
 */
export async function appendEntries(given: StateStore, name: string, writer: number, count: number): Promise<Appended> {
  const store = new CheckedStore(given)
  const appended: Appended = { written: count, taken: 0, unknown: 0, failed: 0 }
  for (let number = 0; number < count; number++) {
    const entry = Uint8Array.of(writer, number >>> 16, number >>> 8, number)
    for (;;) {
      try {
        const newest = await store.read(name)
        const before = newest?.bytes ?? new Uint8Array(0)
        // After an unknown outcome, or a failure, the entry may be there already.
        if (entriesOf(before).includes(shown(entry))) break
        const version = (newest?.version ?? 0) + 1
        const outcome = await writeSettled(store, name, version, Uint8Array.of(...before, ...entry))
        if (outcome === 'written') {
          if (version % 5 === 0) await store.drop(name, version - 1)
          break
        }
        appended[outcome]++
      } catch {
        appended.failed++
        if (appended.failed > 20 * count) throw new Error('the store never works')
      }
      await pause(20 * Math.random())
    }
  }
  return appended
}

const shown = (entry: Uint8Array): string => [...entry].join('.')

export function entriesOf(bytes: Uint8Array): string[] {
  return Array.from({ length: bytes.length / ENTRY_BYTES }, (_, index) =>
    shown(bytes.subarray(index * ENTRY_BYTES, (index + 1) * ENTRY_BYTES)),
  )
}

/** All entries that these writers append, in an order that does not depend on who was faster. */
export function allEntries(writers: number, count: number): string[] {
  return Array.from({ length: writers * count }, (_, index) =>
    shown(Uint8Array.of(Math.floor(index / count), 0, 0, index % count)),
  ).sort()
}
