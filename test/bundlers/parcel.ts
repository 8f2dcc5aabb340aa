// Parcel: it adds a replacement of 27 kB, or of hundreds, for each global of Node that a library names.
import { strict as assert } from 'node:assert'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { assertRoundTrip, output, resultOfPage } from './outcome.ts'

/** The page of this folder took 171 kB when this was written, and 27 kB more with a Buffer. */
const MOST_BYTES = 190_000

export async function checkParcel(folder: string): Promise<string[]> {
  const parcel = join(folder, 'node_modules/parcel/lib/bin.js')
  const options = ['--no-cache', '--no-source-maps', '--no-autoinstall']
  const log = await output(folder, process.execPath, [parcel, 'build', 'index.html', ...options])
  assert.doesNotMatch(log, /polyfill/i)
  assert.equal(existsSync(join(folder, 'node_modules/buffer')), false)

  const dist = join(folder, 'dist')
  const scripts = readdirSync(dist).filter((name) => name.endsWith('.js'))
  const [bytes, gzipped] = [0, 1].map((zip) =>
    scripts
      .map((name) => readFileSync(join(dist, name)))
      .reduce((sum, file) => sum + (zip ? gzipSync(file) : file).length, 0),
  ) as [number, number]
  assert.ok(bytes <= MOST_BYTES, `the page has ${bytes} bytes of scripts: more than ${MOST_BYTES}`)

  const server = createServer(({ url = '/' }, response) => {
    const name = url === '/' ? 'index.html' : url.slice(1)
    const found = readdirSync(dist).includes(name)
    const type = name.endsWith('.js') ? 'text/javascript' : 'text/html; charset=utf-8'
    response.writeHead(found ? 200 : 404, { 'content-type': type })
    response.end(found ? readFileSync(join(dist, name)) : '')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    assertRoundTrip(await resultOfPage(`http://localhost:${(server.address() as AddressInfo).port}/`))
  } finally {
    server.close()
    server.closeAllConnections()
  }
  return [`page in Chromium: seals, opens, refuses damage; ${bytes} bytes of scripts, ${gzipped} gzipped`]
}
