import { strict as assert } from 'node:assert'
import { createKeyset, encodeBlock, KeystrataError, openWriter, parseBlock, unlockKeyset } from 'keystrata'
import { createProfile, deriveLogin } from 'keystrata/vault'
import { deriveLegacyClient } from 'keystrata/legacy'
import { createPool } from 'keystrata/pool'
import { checkProfile, createVerifier, verifyLogin } from 'keystrata/server'

const costs = { iterations: 2, memoryKiB: 19_456, lanes: 1 }
const keyset = await createKeyset('password', { costs })
const writer = openWriter(keyset.export('host'))
const block = await writer.seal(Buffer.from('content'))
const reader = await unlockKeyset(keyset.export('storage'), 'password')
const content = await reader.open(parseBlock(encodeBlock(block), block.label))
assert.equal(Buffer.from(content).toString(), 'content')
await assert.rejects(unlockKeyset(keyset.export('host'), 'wrong'), (error) => {
  return error instanceof KeystrataError && error.code === 'wrong-password'
})

const login = await deriveLogin('password', { realm: 'package', user: 'user' })
const profiles = []
const keyrings = []
const store = {
  readProfile: async () => profiles.at(-1),
  writeProfile: async (record, version) =>
    checkProfile(record, profiles.at(-1)).version === version && profiles.push(record) > 0,
  readKeyring: async () => keyrings.at(-1),
  writeKeyring: async (_vaultId, keyring, version) => version === keyrings.length + 1 && keyrings.push(keyring) > 0,
  dropKeyrings: async () => undefined,
}
const { profile, vault } = await createProfile(login, { admin: keyset.card() }).createVault(store)
const sealed = await vault.seal(Buffer.from('content'))
const rotated = await profile.rotate(store)
const opened = await rotated.openVault(vault.id, store)
assert.equal(Buffer.from(await opened.open(sealed)).toString(), 'content')
assert.equal(await verifyLogin(await createVerifier(login.credential), login.credential), true)

const names = { realm: 'package', account: 'account', name: 'old' }
const legacy = await deriveLegacyClient({ ...names, key: { type: 'DES-56', text: 'x' }, dangerouslyAllowDes: true })
const old = await legacy.scope('private').seal(Buffer.from('content'))
assert.equal(Buffer.from(await legacy.open(parseBlock(encodeBlock(old), old.label))).toString(), 'content')

const pool = createPool({ threads: 2 })
const inWorker = await pool.writer(writer).seal(Buffer.from('content'))
assert.equal(inWorker.label, block.label)
assert.equal(Buffer.from(await pool.reader(reader).open(inWorker)).toString(), 'content')
await pool.close()
