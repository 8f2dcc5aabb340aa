// A counter in a store, for tests in which several tabs or workers count at once. It runs in a worker too.
import type { StateStore } from '../../src/stores.ts'

/** Adds 1 to the counter, `times` times. */
export async function add(store: StateStore, times: number): Promise<void> {
  for (let left = times; left > 0;) {
    const newest = await store.read('counter')
    const bytes = Uint8Array.of((newest?.bytes[0] ?? 0) + 1)
    if (await store.write('counter', (newest?.version ?? 0) + 1, bytes)) left--
  }
}
