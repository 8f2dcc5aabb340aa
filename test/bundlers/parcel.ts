// Parcel: it adds a replacement of 27 kB, or of hundreds, for each global of Node that a library names.
import { strict as assert } from 'node:assert'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { assertRoundTrips, output } from './outcome.ts'
import { resultOfFolder } from './servers.ts'

/** The page of this folder took 192 kB when this was written, and 27 kB more with a Buffer. */
const MOST_BYTES = 210_000

export async function checkParcel(folder: string): Promise<string[]> {
  const parcel = join(folder, 'node_modules/parcel/lib/bin.js')
  const options = ['--no-cache', '--no-source-maps', '--no-autoinstall']
  const log = await output(folder, process.execPath, [parcel, 'build', 'index.html', ...options])
  assert.doesNotMatch(log, /polyfill/i)
  assert.equal(existsSync(join(folder, 'node_modules/buffer')), false)

  const dist = join(folder, 'dist')
  const scripts = readdirSync(dist).filter((name) => name.endsWith('.js') && !name.startsWith('worker.'))
  const files = scripts.map((name) => readFileSync(join(dist, name)))
  const bytes = files.reduce((sum, file) => sum + file.length, 0)
  const gzipped = files.reduce((sum, file) => sum + gzipSync(file).length, 0)
  assert.ok(bytes <= MOST_BYTES, `the page has ${bytes} bytes of scripts: more than ${MOST_BYTES}`)

  assertRoundTrips(await resultOfFolder(dist), ['pool', 'given'])
  return [
    'page in Chromium: works; the pool works by itself, and with a function',
    `${bytes} bytes of scripts without the worker, ${gzipped} gzipped`,
  ]
}
