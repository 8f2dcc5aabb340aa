// Uses every entry from JavaScript modules.
import { strict as assert } from 'node:assert'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  changeKeyset,
  createKeyset,
  encodeBlock,
  KeystrataError,
  loadKeyset,
  openSavedKeyset,
  openWriter,
  parseBlock,
  saveKeyset,
  unlockKeyset,
} from 'keystrata'
import { armRegistration, deriveClient, generateTypedKey, openRegistration, openSavedClient } from 'keystrata/client'
import { createDeviceKey, openDeviceKey } from 'keystrata/device'
import { deriveLegacyClient } from 'keystrata/legacy'
import { createPool } from 'keystrata/pool'
import {
  addSlot,
  armor,
  dearmor,
  deriveRecoveryKey,
  generateRecoveryCode,
  recoverKeyset,
  recoverySheet,
  splitRecoveryCode,
} from 'keystrata/recovery'
import { delegate, openDelegation } from 'keystrata/fleet'
import { guardProfiles, openKeyRegistry, saveCredential, verifyCredential } from 'keystrata/server'
import { blocksIn, checkStore, memoryStateStore } from 'keystrata/stores'
import { stateStoreLaws } from 'keystrata/stores/contract'
import { folderBlobStore, folderStateStore } from 'keystrata/stores/folder'
import { httpStateStore, serveStateStore } from 'keystrata/stores/http'
import { indexedDbStateStore } from 'keystrata/stores/indexeddb'
import { postgresSchema } from 'keystrata/stores/postgres'
import { createProfile, deriveLogin, loadProfile, openSavedLogin, saveProfile } from 'keystrata/vault'

const text = (bytes) => Buffer.from(bytes).toString()
const folder = mkdtempSync(join(tmpdir(), 'keystrata-stores-'))
const failsWith = (code) => (error) => error instanceof KeystrataError && error.code === code

// keystrata
const costs = { iterations: 2, memoryKiB: 19_456, lanes: 1 }
const keyset = await createKeyset('password', { costs })
const writer = openWriter(keyset.export('host'))
const block = await writer.seal(Buffer.from('content'))
const reader = await unlockKeyset(keyset.export('storage'), 'password')
assert.equal(text(await reader.open(parseBlock(encodeBlock(block), block.label))), 'content')
await assert.rejects(unlockKeyset(keyset.export('host'), 'wrong'), failsWith('wrong-password'))

// keystrata/stores
const state = folderStateStore(join(folder, 'state'))
await checkStore(state)
await saveKeyset(state, keyset)
const changed = await changeKeyset(state, keyset, (newest) => newest.regenerate())
assert.equal((await loadKeyset(state, 'password')).revision, changed.revision)
for (const { check } of stateStoreLaws(memoryStateStore)) await check()
const blobs = folderBlobStore(join(folder, 'blobs'))
await blocksIn(blobs).put(block)
assert.equal(text(await changed.open(await blocksIn(blobs).get(block.label))), 'content')
assert.equal(typeof postgresSchema(), 'string')
const request = (url, init) => serveStateStore(state, new Request(url, init))
assert.equal((await httpStateStore('http://package/state', { fetch: request }).read('keyset')).version, 2)
await assert.rejects(indexedDbStateStore('package').read('keyset'))
rmSync(folder, { recursive: true })

// keystrata/vault, with keystrata/server
const login = await deriveLogin('password', { realm: 'package', user: 'user' })
const database = memoryStateStore()
const store = guardProfiles(database)
const created = createProfile(login, { admin: keyset.card() })
await assert.rejects(saveProfile(store, created), failsWith('policy'))
await saveCredential(database, created.record, login.credential)
await saveProfile(store, created)
const { profile, vault } = await created.createVault(store)
const sealed = await vault.seal(Buffer.from('content'))
const rotated = await profile.rotate(store)
const opened = await rotated.openVault(store, vault.id)
assert.equal(text(await opened.open(sealed)), 'content')
assert.equal((await loadProfile(store, login)).revision, rotated.revision)
assert.equal(await verifyCredential(database, login.credential), true)

// keystrata/client, with keystrata/server
const names = { realm: 'package', account: 'account', name: 'desktop' }
const client = await deriveClient({ ...names, platform: 'linux', privateKey: generateTypedKey('AES-256') })
const own = await client.scope('private').seal(Buffer.from('content'))
const server = { server: 'server.example' }
const registry = openKeyRegistry(memoryStateStore(), { realm: 'package', ...server, safeguarding: 'optional' })
await registry.enrol(client.enrolment(await registry.challenge(), server), { account: 'account' })
const connection = await registry.connect(client.prove(await registry.challenge(), server))
assert.equal(connection.name, 'desktop')
await registry.commitFirstBackup(connection)
const [listed] = await registry.listClients('account')
assert.deepEqual([listed.name, listed.platform, listed.state], ['desktop', 'linux', 'locked'])
const { escrow, activationCode } = client.safeguard()
await registry.safeguard(escrow, { account: 'account' })
const expires = new Date(Date.now() + 3_600_000)
const registration = await registry.buildRegistration({ account: 'account', name: 'desktop' }, keyset, { expires })
const armed = armRegistration(registration, activationCode)
const restored = openRegistration(armed, { provider: keyset.card(), account: 'account' })
assert.equal(text(await restored.open(own)), 'content')
assert.throws(
  () => openRegistration(registration.subarray(1), { provider: keyset.card(), account: 'account' }),
  KeystrataError,
)

// keystrata/device
const device = await openDeviceKey(createDeviceKey().exportUnprotected())
const savedLogin = openSavedLogin(login.save(device), device, { realm: 'package', user: 'user' })
assert.equal(savedLogin.credential, login.credential)
const savedKeyset = openSavedKeyset(keyset.save(device), device, { id: keyset.id })
assert.equal(text(await savedKeyset.open(block)), 'content')
const savedClient = openSavedClient(client.save(device), device, { account: 'account', name: 'desktop' })
assert.equal(text(await savedClient.open(own)), 'content')
assert.throws(
  () => openSavedClient(client.save(device), device, { account: 'account', name: 'other' }),
  failsWith('policy'),
)
const place = { table: 'table', row: 'row', column: 'column', version: 1 }
assert.equal(device.openText(device.sealText('text', place), place), 'text')

// keystrata/recovery
const withSlots = memoryStateStore()
await saveKeyset(withSlots, keyset)
const code = generateRecoveryCode()
await addSlot(withSlots, keyset, await deriveRecoveryKey({ code }), { label: 'Sheet' })
const parts = await splitRecoveryCode(code, { parts: 3, needed: 2 })
const recovered = await recoverKeyset(withSlots, await deriveRecoveryKey({ parts }), { id: keyset.id })
assert.equal(text(await recovered.open(block)), 'content')
await assert.rejects(deriveRecoveryKey({ parts: parts.slice(2) }), failsWith('invalid-text'))
const card = keyset.card().bytes
assert.deepEqual(dearmor(armor(card)), card)
assert.match(recoverySheet({ code, title: 'Sheet', text: 'text', facts: {} }), /<svg /)

// keystrata/fleet
const fleet = await createKeyset('fleet', { costs: { iterations: 2, memoryKiB: 19_456, lanes: 1 } })
const regenerated = keyset.regenerate()
const delegated = delegate(regenerated, fleet.card(), { until: new Date(Date.now() + 3_600_000) })
const delegation = openDelegation(delegated, fleet, { from: regenerated.card() })
assert.equal(delegation.revision, regenerated.revision)
const head = { label: block.label, envelope: delegation.rekey(block) }
assert.equal(delegation.isCurrent(head.envelope), true)
assert.equal(text(await regenerated.open({ ...block, ...head })), 'content')
assert.throws(() => openDelegation(delegated, keyset, { from: regenerated.card() }), failsWith('key-not-found'))
assert.deepEqual(dearmor(armor(delegated)), delegated)

// keystrata/legacy
const privateKey = { type: 'DES-56', text: 'x' }
const old = { ...names, name: 'old', platform: 'windows', privateKey }
const legacy = await deriveLegacyClient({ ...old, dangerouslyAllowDes: true })
const oldBlock = await legacy.scope('private').seal(Buffer.from('content'))
assert.equal(text(await legacy.open(parseBlock(encodeBlock(oldBlock), oldBlock.label))), 'content')
await assert.rejects(
  async () => (await deriveLegacyClient(old)).scope('private').seal(Buffer.of(1)),
  failsWith('policy'),
)

// keystrata/pool
const pool = createPool({ threads: 2 })
const inWorker = await pool.writer(writer).seal(Buffer.from('content'))
assert.equal(inWorker.label, block.label)
assert.equal(text(await pool.reader(reader).open(inWorker)), 'content')
assert.equal(text(await pool.reader(vault).open(sealed)), 'content')
assert.equal(text(await pool.reader(client).open(own)), 'content')
await pool.close()
