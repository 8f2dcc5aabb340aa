// The examples of docs/vault.md run, and what it says is true.
import { describe, expect, it } from 'vitest'
import { createDeviceKey } from '../../src/device.ts'
import { type Card, KeystrataError, type Keyset, openLog } from '../../src/index.ts'
import { saveCredential } from '../../src/server.ts'
import { memoryStateStore, prefixed, type StateStore } from '../../src/stores.ts'
import { httpStateStore } from '../../src/stores/http.ts'
import {
  createProfile,
  deriveLogin,
  loadProfile,
  type Login,
  openProfile,
  openSavedLogin,
  parseProfile,
  type Profile,
  resetProfile,
  saveProfile,
  type Vault,
} from '../../src/vault.ts'
import { failure, makeKeyset, PASSWORD, sample } from '../fixtures.ts'
import { functionsOf, noting, printed, quietly, writeExamples } from './guide.ts'

const { paths } = writeExamples(['vault.md'])
const account = { realm: 'com.example.backup', user: 'user-4711' }

type LogIn = (credential: string) => Promise<StateStore>
type Send = (record: Uint8Array, credential: string) => Promise<void>
interface VaultGuide {
  signUp(password: string, admin: Card, send: Send, logIn: LogIn): Promise<{ profile: Profile; vault: Vault }>
  openVault(
    password: string,
    vaultId: string,
    logIn: LogIn,
    atLeast: string,
  ): Promise<{ revision: string; vault: Vault }>
  serviceOf(database: StateStore): {
    logIn: (user: string, credential: string) => Promise<boolean>
    setPassword: (user: string, record: Uint8Array, credential: string) => Promise<boolean>
    state: (user: string, request: Request) => Promise<Response>
  }
  changePassword(profile: Profile, next: Login, send: Send): Promise<string>
  reset(
    record: Uint8Array,
    admin: Keyset,
    next: string,
    account: Pick<Login, 'realm' | 'user'>,
    pin: string,
    send: Send,
  ): Promise<{ pin: string; revision: string }>
  lockOut(changed: Profile, store: StateStore, admin: Card): Promise<{ revision: string; identity: string }>
}

const guideFunctions = () => quietly(() => functionsOf<VaultGuide>(paths))

/** The guide's service, with one user who has signed up. A session ends with its password, as the guide says. */
async function signedUp() {
  const of = await guideFunctions()
  const [user, database] = ['17', memoryStateStore()]
  const server = of.serviceOf(database)
  const passwordId = async () =>
    parseProfile((await database.read(`user/${user}/profile`))?.bytes ?? new Uint8Array()).passwordId
  const logIn: LogIn = async (credential) => {
    if (!(await server.logIn(user, credential))) throw new Error('unknown credential')
    const session = await passwordId()
    return httpStateStore('https://service.example/state', {
      fetch: async (...request) =>
        session === (await passwordId())
          ? server.state(user, new Request(...request))
          : new Response('log in first', { status: 401 }),
    })
  }
  const send: Send = async (record, credential) => {
    if (!(await server.setPassword(user, record, credential))) throw new KeystrataError('conflict', 'read it again')
  }
  const admin = await makeKeyset()
  const { profile, vault } = await of.signUp(PASSWORD, admin.card(), send, logIn)
  const store = await logIn((await deriveLogin(PASSWORD, account)).credential)
  return { of, database: prefixed(database, `user/${user}/`), store, logIn, send, admin, profile, vault }
}

describe('docs/vault.md', () => {
  it('opens a file on a second device in its first example', async () => {
    expect(await printed(() => import(`${paths[0]!}?again`))).toEqual(['my file'])
  })

  it('signs up, opens the vault, changes and resets the password', async () => {
    const parts = await signedUp()
    const { of, called } = noting(parts.of)
    const { database, store, logIn, send, admin, vault } = parts
    const { revision, identity } = parts.profile
    const block = await vault.seal(Buffer.from('my file'))
    const opened = await of.openVault(PASSWORD, vault.id, logIn, revision)
    expect(opened.revision).toBe(revision)
    expect(Buffer.from(await opened.vault.open(block)).toString()).toBe('my file')
    await expect(of.openVault('wrong', vault.id, logIn, revision)).rejects.toThrow('unknown credential')
    await failure(() => of.openVault(PASSWORD, vault.id, logIn, String(Number(revision) + 1)), 'rollback')

    // The old password stays valid until the profile is stored.
    const profile = await loadProfile(store, await deriveLogin(PASSWORD, account))
    const nextLogin = await deriveLogin('next', account)
    using unsaved = profile.changePassword(nextLogin)
    await saveCredential(database, unsaved.record, nextLogin.credential)
    await of.openVault(PASSWORD, vault.id, logIn, revision)
    expect(await of.changePassword(profile, nextLogin, send)).toBe(String(Number(revision) + 1))
    const late = await deriveLogin('later', account)
    await failure(() => of.changePassword(profile, late, send), 'conflict')
    await expect(of.openVault(PASSWORD, vault.id, logIn, revision)).rejects.toThrow('unknown credential')
    // The sessions of the old password have ended.
    await expect(store.read('profile')).rejects.toThrow('401')

    const { bytes: record } = (await database.read('profile'))!
    const other = parts.profile.identity.replace(/^./, (digit) => (digit === '0' ? '1' : '0'))
    await failure(() => of.reset(record, admin, 'x', account, other, send), 'key-changed')
    const reset = await of.reset(record, admin, 'reset', account, identity, send)
    const again = await of.openVault('reset', vault.id, logIn, reset.revision)
    expect(Buffer.from(await again.vault.open(block)).toString()).toBe('my file')
    expect(parseProfile((await database.read('profile'))!.bytes).identity).toBe(reset.pin)

    // The user's own password makes another identity, and so does a change of recovery.
    const load = async (password: string) => {
      const login = await deriveLogin(password, account)
      const session = await logIn(login.credential)
      return { session, profile: await loadProfile(session, login) }
    }
    await of.changePassword((await load('reset')).profile, await deriveLogin('my own', account), send)
    const mine = await load('my own')
    expect(new Set([identity, reset.pin, mine.profile.identity])).toHaveLength(3)
    const locked = await of.lockOut(mine.profile, mine.session, admin.card())
    expect([identity, reset.pin, mine.profile.identity]).not.toContain(locked.identity)
    const last = await of.openVault('my own', vault.id, logIn, locked.revision)
    expect(Buffer.from(await last.vault.open(block)).toString()).toBe('my file')
    called.add('serviceOf').add('signUp')
    expect([...called].sort()).toEqual(Object.keys(parts.of).sort())
  })

  it('is right about an old record after a new password, and after a change of recovery', async () => {
    const { of, database, logIn, send, admin, profile, vault } = await signedUp()
    const oldRecord = (await database.read('profile'))!.bytes
    const oldLogin = await deriveLogin(PASSWORD, account)
    const next = await deriveLogin('next', account)
    await of.changePassword(profile, next, send)
    const store = await logIn(next.credential)
    using changed = await loadProfile(store, next)
    // The thief opens the old record with the old password, and gets at the vault's keyring of today.
    const keyring = (await store.read(`keyring/${vault.id}`))!.bytes
    const stolen = async (withKeyring: Uint8Array) => {
      const theirs = memoryStateStore()
      await theirs.write('profile', 1, oldRecord)
      await theirs.write(`keyring/${vault.id}`, 1, withKeyring)
      return openProfile(oldRecord, oldLogin).openVault(theirs, vault.id)
    }
    const block = await vault.seal(sample(10))
    expect(await (await stolen(keyring)).open(block)).toEqual(sample(10))
    await of.lockOut(changed, store, admin.card())
    await failure(async () => stolen((await store.read(`keyring/${vault.id}`))!.bytes), 'authentication-failed')
    // But who kept the old keyring still has the A-key.
    expect(await (await stolen(keyring)).open(await vault.seal(sample(20)))).toEqual(sample(20))
  })

  it('is right about what a session and a stolen credential can do', async () => {
    const { store, profile, vault } = await signedUp()
    await failure(() => store.write('login/anything', 1, sample(10)), 'policy')
    const stranger = await deriveLogin('x', account)
    using forged = createProfile(stranger, { zeroTrust: true })
    const { version } = (await store.read('profile'))!
    await failure(() => store.write('profile', version + 1, forged.record), 'policy', 'conflict')
    // A new password is refused until its credential was saved.
    const next = await deriveLogin('next', account)
    using changed = profile.changePassword(next)
    await failure(() => saveProfile(store, changed), 'policy')
    await failure(() => store.write(`keyring/${vault.id}`, 2, sample(100)), 'malformed')
    expect((await store.read('profile'))!.version).toBe(version)
  })

  it('is right about zero trust', async () => {
    const { store, profile, admin, vault } = await signedUp()
    using closed = await profile.changeRecovery(store, { zeroTrust: true })
    const next = await deriveLogin('next', account)
    await failure(() => resetProfile(closed.record, admin, next, { identity: closed.identity }), 'policy')
    await failure(() => closed.changeRecovery(store, { admin: admin.card() }), 'policy')
    expect((await closed.openVault(store, vault.id)).id).toBe(vault.id)
  })

  it('is right about the next start, logs and blocks of other vaults', async () => {
    const { store, profile, vault } = await signedUp()
    using device = createDeviceKey()
    using login = await deriveLogin(PASSWORD, account)
    using opened = openSavedLogin(login.save(device), device, account)
    expect((await loadProfile(store, opened)).revision).toBe(profile.revision)
    await failure(() => openSavedLogin(login.save(device), device, { ...account, user: 'other' }), 'policy')

    using second = await profile.createVault(store)
    await failure(async () => second.vault.open(await vault.seal(sample(10))), 'authentication-failed')
    const log = openLog(store, `backups of ${vault.id}`, vault)
    const first = await log.append(sample(10))
    const last = await log.append(sample(20))
    // Whoever has a vault can shorten its logs, and no position shows it: the vault itself says so.
    await log.reseal({ atLeast: first, upTo: first })
    const fresh = openLog(store, `backups of ${vault.id}`, vault)
    expect((await fresh.last({ atLeast: last }))?.position).toBe(first)
  })

  it('says what an envelope costs', async () => {
    const { vault } = await signedUp()
    expect((await vault.seal(sample(10))).envelope).toHaveLength(128)
  })

  it('gives `missing` for a keyring that is gone, and `conflict` for a profile that another device changed', async () => {
    const state = memoryStateStore()
    using login = await deriveLogin(PASSWORD, account)
    await failure(() => loadProfile(state, login), 'missing')
    using first = createProfile(login, { zeroTrust: true })
    await saveProfile(state, first)
    using created = await first.createVault(state)
    const other = memoryStateStore()
    await other.write('profile', 1, first.record)
    await other.write('profile', 2, created.profile.record)
    using loaded = await loadProfile(other, login)
    await failure(() => loaded.openVault(other, created.vault.id), 'missing')
    const next = await deriveLogin('next', account)
    using changed = first.changePassword(next)
    await failure(() => saveProfile(state, changed), 'conflict')
  })
})
