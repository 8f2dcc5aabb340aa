// The demo with a keyset: backs up with its host export alone, restores from the store and the password alone.
import { join } from 'node:path'
import { createKeyset, KeystrataError, type KeysetReader, openWriter, unlockKeyset } from 'keystrata'
import type { Demo } from './demo.ts'
import type { FolderStore } from './store.ts'

export async function keysetDemo({ store, password, restoreOnly, backUp, restore }: Demo): Promise<void> {
  if (!restoreOnly) {
    const writer = openWriter(await hostExport(store, password))
    await backUp(writer)
    writer.dispose()
  }
  const reader = await unlockNewest(store, password)
  if (reader === undefined) throw new Error(`${store.root} holds no keyset`)
  await restore(reader)
  reader.dispose()
}

/**
 * The export that backs up without the password. A real tool keeps it on the machine that it backs up, and asks for the
 * password once, when it is set up; this demo makes it anew for each run.
 */
async function hostExport(store: FolderStore, password: string): Promise<Uint8Array> {
  let keyset = await unlockNewest(store, password)
  if (keyset === undefined) {
    keyset = await createKeyset(password)
    await store.putVersion('keyset', keyset.export('source-storage'))
  }
  const host = keyset.export('host')
  keyset.dispose()
  return host
}

async function unlockNewest(store: FolderStore, password: string): Promise<KeysetReader | undefined> {
  const name = (await store.versions('keyset')).at(-1)
  if (name === undefined) return undefined
  try {
    return await unlockKeyset((await store.get(name)) ?? new Uint8Array(0), password)
  } catch (error) {
    if (!(error instanceof KeystrataError)) throw error
    throw new Error(`${join(store.root, name)}: ${error.message}`, { cause: error })
  }
}
