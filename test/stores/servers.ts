// The servers that tests start. Where one is not installed, its tests are skipped, and the test run says so. With
// REQUIRE_SERVERS=1, as in CI, they fail instead, and say which Debian package to install. With WITHOUT_SERVERS=1, as in
// the mutation run, they are skipped.
import { existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const inPath = () => (process.env['PATH'] ?? '').split(delimiter)

const PLACES: Readonly<Record<'postgres' | 'radosgw' | 'redis-server' | 'spin' | 'gcc', () => readonly string[]>> = {
  postgres: () => {
    const versions = '/usr/lib/postgresql'
    return existsSync(versions) ? readdirSync(versions).map((version) => join(versions, version, 'bin')) : []
  },
  radosgw: inPath,
  'redis-server': inPath,
  spin: inPath,
  gcc: inPath,
}

/** Returns whether a test may start this program: it is installed, or its absence must be an error. */
export function mayStart(program: keyof typeof PLACES): boolean {
  if (process.env['WITHOUT_SERVERS'] === '1') return false
  if (process.env['REQUIRE_SERVERS'] === '1') return true
  return PLACES[program]().some((folder) => existsSync(join(folder, program)))
}
