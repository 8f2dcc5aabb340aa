// Objects of the page itself, beside those of keystrata in the store.
import type { StateStore } from 'keystrata/stores'

/** Their names begin with this, so that they never meet a name of keystrata. */
type OwnName = `page/${string}`

export const readOwn = async (store: StateStore, name: OwnName): Promise<Uint8Array | undefined> =>
  (await store.read(name))?.bytes

/**
 * Changes an object, and starts again if another tab wrote first. Keeps no older version.
 * @param change returns the new bytes. It may be called more than once
 */
export async function changeOwn(
  store: StateStore,
  name: OwnName,
  change: (found: Uint8Array | undefined) => Uint8Array,
): Promise<void> {
  for (;;) {
    const found = await store.read(name)
    const next = (found?.version ?? 0) + 1
    if (!(await store.write(name, next, change(found?.bytes)))) continue
    await store.drop(name, next)
    return
  }
}
