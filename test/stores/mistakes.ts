// What callers may get wrong at every store.
import { expect } from 'vitest'
import type { BlobStore, StateStore } from '../../src/stores.ts'
import { all } from '../fixtures.ts'

/** Checks that names and versions which break the rules are errors of both stores, whatever the method. */
export async function assertRefusesMistakes(state: StateStore, blobs: BlobStore): Promise<void> {
  const content = new Uint8Array()
  const bad = '../a'
  for (const call of [
    () => state.read(bad),
    () => state.readVersion(bad, 1),
    () => all(state.readVersions!(bad, 1)),
    () => state.write(bad, 1, content),
    () => state.drop(bad, 2),
    () => blobs.get(bad),
    () => blobs.put(bad, content),
    () => blobs.replace(bad, content, content),
    () => blobs.delete(bad),
    () => all(blobs.list(bad)),
  ])
    await expect(call()).rejects.toThrow(TypeError)
  for (const call of [
    () => state.readVersion('a', 0),
    () => state.write('a', 1.5, content),
    () => state.drop('a', Number.NaN),
    () => all(state.readVersions!('a', -1)),
  ])
    await expect(call()).rejects.toThrow(RangeError)
}
