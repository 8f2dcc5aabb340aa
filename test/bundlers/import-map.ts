// No bundler at all: the files of the package as they are, and an import map.
import { assertRoundTrips } from './outcome.ts'
import { resultOfFolder } from './servers.ts'

export async function checkImportMap(folder: string): Promise<string[]> {
  assertRoundTrips(await resultOfFolder(folder), ['pool'])
  return ['page in Chromium: works; the pool works by itself']
}
