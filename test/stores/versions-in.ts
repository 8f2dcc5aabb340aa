import type { StateStore } from '../../src/stores.ts'

/** Reads all versions of an object from one on. Returns each as its number and its text, such as `2 text`. */
export async function versionsIn(store: StateStore, name: string, from: number): Promise<string[]> {
  const found: string[] = []
  for await (const { version, bytes } of store.readVersions!(name, from)) {
    found.push(`${version} ${new TextDecoder().decode(bytes)}`)
  }
  return found
}
