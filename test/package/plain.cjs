// Uses every entry from CommonJS, by require of ES modules. They must give the same objects as import.
const { strict: assert } = require('node:assert')
const keystrata = require('keystrata')
const legacy = require('keystrata/legacy')
const pool = require('keystrata/pool')
const server = require('keystrata/server')

assert.equal(require('keystrata/package.json').name, 'keystrata')
for (const entry of [legacy, server]) assert.equal(entry.KeystrataError, keystrata.KeystrataError)
assert.match(require.resolve('keystrata/pool/worker'), /worker\.js$/)
assert.throws(() => require('keystrata/dist/index.js'), 'a path that is not exported must not resolve')

async function main() {
  assert.equal((await import('keystrata')).KeystrataError, keystrata.KeystrataError)
  const keyset = await keystrata.createKeyset('password', { costs: { iterations: 2, memoryKiB: 19_456, lanes: 1 } })
  const block = await keyset.writer().seal(Buffer.from('content'))
  assert.equal(Buffer.from(await keyset.open(block)).toString(), 'content')
  const login = await keystrata.deriveLogin('password', { realm: 'package', user: 'user' })
  assert.equal(await server.verifyLogin(await server.createVerifier(login.credential), login.credential), true)
  const names = { realm: 'package', account: 'account', client: 'old' }
  assert.ok(await legacy.createLegacyClient({ ...names, key: { type: 'DES-56', text: 'x' } }))
  const threads = pool.createPool({ threads: 1 })
  assert.equal(Buffer.from(await threads.reader(keyset).open(block)).toString(), 'content')
  await threads.close()
}

main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
