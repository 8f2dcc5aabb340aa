// Tests the contract of VaultStore in memory, on a folder and on PGlite, which is PostgreSQL in the same process.
import { createProfile, openProfile, deriveLogin } from '../../src/vault.ts'
import { PGlite } from '@electric-sql/pglite'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { StateVaultStore } from '../../examples/vault-store.ts'
import { createVerifier, verifyLogin } from '../../src/server.ts'
import { memoryStateStore, prefixed } from '../../src/stores.ts'
import { folderStateStore } from '../../src/stores/folder.ts'
import { postgresSchema, postgresStateStore } from '../../src/stores/postgres.ts'
import { ALICE, failure, makeKeyset, sample } from '../fixtures.ts'
import { newFolder } from './tree.ts'

const [login, next] = await Promise.all([deriveLogin('password', ALICE), deriveLogin('another', ALICE)])
const [verifier, nextVerifier] = await Promise.all(
  [login, next].map(({ credential }) => createVerifier(credential, { cost: 10 })),
)
const admin = await makeKeyset()
const content = sample(1000)

const sql = new PGlite()
await sql.exec(postgresSchema())
afterAll(() => sql.close())
let users = 0

describe.each([
  ['memory', () => memoryStateStore()],
  ['a folder', () => folderStateStore(newFolder())],
  ['a SQL database', () => prefixed(postgresStateStore(sql), `user-${users++}/`)],
] as const)('%s', (_, newState) => {
  const newStore = () => new StateVaultStore(newState())

  async function signedUp() {
    const store = newStore()
    const first = createProfile(login, { admin: admin.card() })
    expect(await store.writeAccount(verifier!, first.record, 1)).toBe(true)
    return { store, first, ...(await first.createVault(store)) }
  }

  it('never overwrites a version, and returns the newest', async () => {
    const { store, first, profile, vault } = await signedUp()
    expect(Buffer.from((await store.readProfile())!)).toEqual(Buffer.from(profile.record))
    for (const version of [1, 2]) expect(await store.writeProfile(first.record, version)).toBe(false)
    expect(await store.writeProfile(profile.changePassword(login).record, 3)).toBe(true)
    const keyring = (await store.readKeyring(vault.id))!
    expect(await store.writeKeyring(vault.id, Uint8Array.of(1), 1)).toBe(false)
    expect(Buffer.from((await store.readKeyring(vault.id))!)).toEqual(Buffer.from(keyring))
    for (const version of [2, 3, 4]) {
      expect(await store.writeKeyring(vault.id, Uint8Array.of(version), version)).toBe(true)
    }
    expect([...(await store.readKeyring(vault.id))!]).toEqual([4])
    // The newest version always stays, and a dropped version cannot be written again.
    await store.dropKeyrings(vault.id, 1000)
    expect([...(await store.readKeyring(vault.id))!]).toEqual([4])
    for (const version of [1, 3, 4]) {
      expect(await store.writeKeyring(vault.id, Uint8Array.of(version), version)).toBe(false)
    }
    const stranger = newStore()
    await stranger.dropKeyrings(vault.id, 1000)
    expect(await stranger.readKeyring(vault.id)).toBeUndefined()
    expect([...(await store.readKeyring(vault.id))!]).toEqual([4])
    expect(await store.readKeyring('0'.repeat(32))).toBeUndefined()
    expect(await newStore().readProfile()).toBeUndefined()
  })

  it('supports rotation, a new password and zero trust', async () => {
    const { store, profile, vault } = await signedUp()
    const block = await vault.seal(content)
    const rotated = await profile.rotate(store)
    const changed = rotated.changePassword(next)
    // The verifier and the record change together or not at all.
    expect(await store.writeAccount(nextVerifier!, changed.record, changed.version)).toBe(true)
    expect(await store.writeAccount(verifier!, changed.record, changed.version)).toBe(false)
    expect(await verifyLogin(await store.verifier(), login.credential)).toBe(false)
    expect(await verifyLogin(await store.verifier(), next.credential)).toBe(true)
    const trusted = await openProfile((await store.readProfile())!, next).changeRecovery(store, { zeroTrust: true })
    expect(await verifyLogin(await store.verifier(), next.credential)).toBe(true)
    expect(await (await trusted.openVault(store, vault.id)).open(block)).toEqual(content)
    // The store refuses a profile that turns zero trust off again, as a server must.
    const off = createProfile(next, { admin: admin.card() })
    expect(await store.writeProfile(off.record, off.version)).toBe(false)
  })

  it('refuses a profile or a vault before anybody has signed up', async () => {
    const store = newStore()
    const profile = createProfile(login, { zeroTrust: true })
    await expect(store.writeProfile(profile.record, 1)).rejects.toThrow('signed up')
    await expect(profile.createVault(store)).rejects.toThrow('signed up')
    expect(await store.verifier()).toBeUndefined()
  })

  it('lets three devices rotate at the same time', async () => {
    const { store, profile, vault } = await signedUp()
    const block = await vault.seal(content)
    const devices = Array.from({ length: 3 }, () => openProfile(profile.record, login))
    const outcomes = await Promise.allSettled(devices.map((device) => device.rotate(store)))
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') await failure(() => Promise.reject(outcome.reason as Error), 'conflict')
    }
    expect(outcomes.some(({ status }) => status === 'fulfilled')).toBe(true)
    const last = await openProfile((await store.readProfile())!, login).rotate(store)
    expect(await (await last.openVault(store, vault.id)).open(block)).toEqual(content)
  })
})

describe('a folder', () => {
  it('holds only complete versions, and deletes dropped ones', async () => {
    const root = newFolder()
    const store = new StateVaultStore(folderStateStore(root))
    const first = createProfile(login, { zeroTrust: true })
    await store.writeAccount(verifier!, first.record, 1)
    const { profile, vault } = await first.createVault(store)
    await profile.rotate(store)
    expect(readdirSync(join(root, 'account')).sort()).toEqual(['_1', '_2', '_3', '_4'])
    expect(readdirSync(join(root, 'keyring', vault.id)).sort()).toEqual(['_3', '_floor'])
    expect(readdirSync(join(root, '_tmp'))).toEqual([])
  })
})
