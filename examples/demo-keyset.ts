// The demo with a keyset. It backs up with only the host export, and restores with only the store and the password.
// On request it also regenerates the keys and shares a folder.
import { createKeyset, type Keyset, KeystrataError, openWriter, unlockKeyset } from 'keystrata'
import { join } from 'node:path'
import type { Demo } from './demo.ts'
import { regenerate } from './demo-regenerate.ts'
import { shareFolder } from './demo-share.ts'
import { LogWriter, readIndex } from './log.ts'
import { type FolderStore, putVersion } from './store.ts'
import { say } from './terminal.ts'
import { newPool } from './threads.ts'

export async function keysetDemo(demo: Demo): Promise<void> {
  const { store, password, restoreOnly } = demo
  if (!restoreOnly) {
    await backUp(demo, (await unlockNewest(store, password)) ?? (await createStored(store, password)))
    if (demo.regenerate) await regenerate(store, () => unlocked(store, password))
  }
  const reader = await unlocked(store, password)
  const { listing, sequence, folder } = await readIndex(store, reader, demo.snapshot)
  if (listing === undefined) throw new Error(`${store.root} does not hold this backup`)
  say(`the index ${folder} has ${sequence} records; note this number, because only it shows if the end was cut off`)
  await demo.restore({ reader, store }, listing)
  if (demo.share !== undefined) await shareFolder(demo, reader, listing, demo.share)
  reader.dispose()
}

async function backUp({ store, backUp: run }: Demo, keyset: Keyset): Promise<void> {
  const { folder, last } = await readIndex(store, keyset)
  // A real tool keeps the host export and the last record of the index on the machine that it backs up. So it asks for
  // the password only once, during setup.
  using writer = openWriter(keyset.export('host'))
  keyset.dispose()
  await using pool = newPool()
  await run(pool.writer(writer), new LogWriter(writer, store, folder, last), { pack: (files) => writer.pack(files) })
}

async function createStored(store: FolderStore, password: string): Promise<Keyset> {
  const keyset = await createKeyset(password)
  await putVersion(store, 'keyset', keyset.export('storage'))
  return keyset
}

async function unlocked(store: FolderStore, password: string): Promise<Keyset> {
  const keyset = await unlockNewest(store, password)
  if (keyset === undefined) throw new Error(`${store.root} holds no keyset: run the demo with this store first`)
  return keyset
}

async function unlockNewest(store: FolderStore, password: string): Promise<Keyset | undefined> {
  const name = (await store.versions('keyset')).at(-1)
  if (name === undefined) return undefined
  try {
    return await unlockKeyset((await store.get(name)) ?? new Uint8Array(0), password)
  } catch (error) {
    if (!(error instanceof KeystrataError)) throw error
    throw new Error(`${join(store.root, name)}: ${error.message}`, { cause: error })
  }
}
