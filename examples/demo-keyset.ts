// The demo with a keyset. It backs up with only the host export, and restores with only the store and the password.
// On request it also regenerates the keys and shares a folder.
import {
  checkWriter,
  createKeyset,
  type Keyset,
  KeystrataError,
  loadKeyset,
  openLog,
  openWriter,
  saveKeyset,
} from 'keystrata'
import type { StateStore } from 'keystrata/stores'
import { BackupLog, BACKUPS, readListing } from './backup-log.ts'
import type { Demo } from './demo.ts'
import { regenerate } from './demo-regenerate.ts'
import { shareFolder } from './demo-share.ts'
import type { Listing } from './listing.ts'
import { newPool } from './threads.ts'

export async function keysetDemo(demo: Demo): Promise<void> {
  const { store, password } = demo
  if (demo.restoreOnly) {
    using keyset = await loadKeyset(store.state, password)
    await restore(demo, keyset, demo.atLeast)
    return
  }
  using keyset = await ownKeyset(store.state, password)
  const position = await backUp(demo, keyset.export('host'))
  using newest = demo.regenerate ? await regenerate(store, keyset, position) : undefined

  // Like another machine, which has only the store and the password. A machine that remembers the revision and the
  // position passes them too: then nobody can put back an older keyset, or an older index.
  using reader = await loadKeyset(store.state, password, { atLeast: (newest ?? keyset).revision })
  const listing = await restore(demo, reader, position)
  if (demo.share !== undefined) await shareFolder(demo, reader, listing, demo.share)
}

/**
 * Backs up with the host export, which holds no key that could restore. A real tool keeps it on the machine that it backs
 * up. So it asks for the password only once, during setup.
 * @returns the position of the last record of the index, which the machine keeps too
 */
export async function backUp({ store, backUp: run }: Demo, hostExport: Uint8Array): Promise<string> {
  using writer = openWriter(hostExport)
  const index = new BackupLog(openLog(store.state, BACKUPS, writer))
  // If somebody changes the keyset, the host needs a new export. Its old one may seal for keys that are then forgotten.
  await checkWriter(store.state, writer)
  {
    await using pool = newPool()
    await run(pool.writer(writer), index, { pack: true })
  }
  await checkWriter(store.state, writer)
  return index.position!
}

export async function restore(demo: Demo, reader: Keyset, atLeast: string | undefined): Promise<Listing> {
  const { store, snapshot } = demo
  const listing = await readListing(openLog(store.state, BACKUPS, reader), { snapshot, atLeast })
  await demo.restore({ reader, store }, listing)
  return listing
}

/** Loads the keyset of a store, or creates it at the first run. */
export async function ownKeyset(state: StateStore, password: string): Promise<Keyset> {
  try {
    return await loadKeyset(state, password)
  } catch (error) {
    if (!(error instanceof KeystrataError && error.code === 'missing')) throw error
  }
  const keyset = await createKeyset(password)
  await saveKeyset(state, keyset)
  return keyset
}
