// The demo with a keyset. It backs up with only the host export, and restores with only the store and the password.
// On request it also regenerates the keys and shares a folder.
import { checkWriter, createKeyset, type Keyset, KeystrataError, loadKeyset, openWriter, saveKeyset } from 'keystrata'
import type { StateStore } from 'keystrata/stores'
import type { Demo } from './demo.ts'
import { regenerate } from './demo-regenerate.ts'
import { shareFolder } from './demo-share.ts'
import { LogWriter, readLog } from './log.ts'
import { say } from './terminal.ts'
import { newPool } from './threads.ts'

export async function keysetDemo(demo: Demo): Promise<void> {
  const { store, password } = demo
  if (demo.restoreOnly) {
    using keyset = await loadKeyset(store.state, password)
    await restore(demo, keyset)
    return
  }
  using keyset = await ownKeyset(store.state, password)
  await backUp(demo, keyset.id, keyset.export('host'))
  using newest = demo.regenerate ? await regenerate(store, keyset) : undefined

  // Like another machine, which has only the store and the password. A machine that remembers the revision passes it
  // too: then nobody can put back an older keyset.
  using reader = await loadKeyset(store.state, password, { atLeast: (newest ?? keyset).revision })
  const listing = await restore(demo, reader)
  if (demo.share !== undefined) await shareFolder(demo, reader, listing, demo.share)
}

/**
 * Backs up with the host export, which holds no key that could restore. A real tool keeps it on the machine that it backs
 * up. So it asks for the password only once, during setup.
 */
async function backUp({ store, backUp: run }: Demo, id: string, hostExport: Uint8Array): Promise<void> {
  using writer = openWriter(hostExport)
  const index = await LogWriter.open(writer, store.state, id)
  // If somebody changes the keyset, the host needs a new export. Its old one may seal for keys that are then forgotten.
  await checkWriter(store.state, writer)
  {
    await using pool = newPool()
    await run(pool.writer(writer), index, { pack: (files) => writer.pack(files) })
  }
  await checkWriter(store.state, writer)
}

async function restore(demo: Demo, reader: Keyset) {
  const { store, snapshot } = demo
  const { listing, records, name } = await readLog(store.state, reader.id, reader, snapshot)
  if (listing === undefined) throw new Error(`${store.address} does not hold this backup`)
  say(`the index ${name} has ${records} records; note this number, because only it shows if the end was cut off`)
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
