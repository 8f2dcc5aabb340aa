// Uses every entry from CommonJS, by require of ES modules. They must give the same objects as import.
const { strict: assert } = require('node:assert')
const { dirname, join } = require('node:path')
const keystrata = require('keystrata')
const client = require('keystrata/client')
const device = require('keystrata/device')
const legacy = require('keystrata/legacy')
const pool = require('keystrata/pool')
const server = require('keystrata/server')
const stores = require('keystrata/stores')
const vault = require('keystrata/vault')

const manifest = require('keystrata/package.json')
assert.equal(manifest.name, 'keystrata')
assert.match(require.resolve('keystrata/pool/worker'), /worker\.js$/)
for (const hidden of ['dist/index.js', 'dist/errors.js', 'errors', 'worker'])
  assert.throws(() => require(`keystrata/${hidden}`), 'a path that is not exported must not resolve')

// Tools that do not know `exports` read `main`. So does Node, for the path of a folder.
const folder = dirname(require.resolve('keystrata/package.json'))
assert.equal(require(folder).createKeyset, keystrata.createKeyset)
assert.equal(join(folder, manifest.main), require.resolve('keystrata'))

async function main() {
  for (const [name, required] of Object.entries({ client, device, legacy, pool, server, stores, vault })) {
    const imported = await import(`keystrata/${name}`)
    for (const [key, value] of Object.entries(imported))
      if (key !== 'default' && key !== 'module.exports') assert.equal(required[key], value, `${name} ${key}`)
    assert.equal('KeystrataError' in required, false, 'only the main entry exports KeystrataError')
  }
  assert.equal((await import('keystrata')).KeystrataError, keystrata.KeystrataError)

  const keyset = await keystrata.createKeyset('password', { costs: { iterations: 2, memoryKiB: 19_456, lanes: 1 } })
  const block = await keyset.seal(Buffer.from('content'))
  assert.equal(Buffer.from(await keyset.open(block)).toString(), 'content')

  const login = await vault.deriveLogin('password', { realm: 'package', user: 'user' })
  const { record } = vault.createProfile(login, { zeroTrust: true })
  const database = stores.memoryStateStore()
  await server.saveCredential(database, record, login.credential)
  assert.equal(await server.guardProfiles(database).write('profile', 1, record), true)
  assert.equal(await server.verifyCredential(database, login.credential), true)
  const key = device.createDeviceKey()
  const names = { realm: 'package', user: 'user' }
  assert.equal(vault.openSavedLogin(login.save(key), key, names).credential, login.credential)

  const account = { realm: 'package', account: 'account', name: 'desktop', platform: 'linux' }
  const typed = await client.deriveClient({ ...account, privateKey: client.generateTypedKey('AES-128') })
  const own = await typed.scope('private').seal(Buffer.from('content'))
  assert.equal(Buffer.from(await typed.open(own)).toString(), 'content')
  assert.ok(await legacy.deriveLegacyClient({ ...account, privateKey: { type: 'DES-56', text: 'x' } }))

  // What any entry throws is of the one class of the main entry.
  const refuses = (work) => assert.rejects(async () => work(), keystrata.KeystrataError)
  const junk = new Uint8Array(64)
  await refuses(() => vault.openProfile(junk, login))
  await refuses(() => client.parseRegistration(junk, { provider: keyset.card() }))
  await refuses(() => device.openDeviceKey(junk))
  await refuses(() => vault.parseProfile(junk))
  await refuses(() => server.saveCredential(database, junk, login.credential))
  await refuses(() => legacy.deriveLegacyClient({ ...account, privateKey: { type: 'DES-56', text: '' } }))

  const threads = pool.createPool({ threads: 1 })
  assert.equal(Buffer.from(await threads.reader(keyset).open(block)).toString(), 'content')
  await threads.close()
  await refuses(() => threads.reader(keyset).open(block))
}

main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
