import { expect } from 'vitest'
import type { StateStore } from '../../src/stores.ts'

/** Reads all versions of an object from one on. Returns each as its number and its text, such as `2 text`. */
export async function versionsIn(store: StateStore, name: string, from: number): Promise<string[]> {
  const found: string[] = []
  for await (const { version, bytes } of store.readVersions!(name, from)) {
    found.push(`${version} ${new TextDecoder().decode(bytes)}`)
  }
  return found
}

/** Checks that a store which reads versions in pages of sixteen goes on behind a drop, with the next page. */
export async function assertReadsBesideDrop(store: StateStore): Promise<void> {
  for (let version = 1; version <= 40; version++) await store.write('pages', version, new Uint8Array([118]))
  const found: number[] = []
  for await (const { version } of store.readVersions!('pages', 2)) {
    found.push(version)
    if (version === 10) await store.drop('pages', 30)
  }
  const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)
  expect(found).toEqual([...numbers(2, 17), ...numbers(30, 40)])
}
