// The examples of docs/services.md run, and what it says of answers, limits and rows is true.
import { describe, expect, it, vi } from 'vitest'
import { changeKeyset, KeystrataError, loadKeyset, saveKeyset } from '../../src/index.ts'
import { deriveRecoveryKey, generateRecoveryCode } from '../../src/recovery.ts'
import { type Bcrypt, type BcryptOptions, guardProfiles, saveCredential } from '../../src/server.ts'
import { memoryStateStore, prefixed, type StateStore } from '../../src/stores.ts'
import { httpStateStore, serveStateStore } from '../../src/stores/http.ts'
import { createProfile, deriveLogin, loadProfile, resetProfile, saveProfile } from '../../src/vault.ts'
import { all, ALICE, failure, makeKeyset, PASSWORD } from '../fixtures.ts'
import { functionsOf, noting, textOf, writeExamples } from './guide.ts'

const { paths } = writeExamples(['services.md'])

interface ServicesGuide {
  logIn(
    database: StateStore,
    id: string,
    credential: string,
    options?: BcryptOptions,
  ): Promise<{ status: number; session?: { id: string; passwordId: string | undefined } }>
  passwordOf(database: StateStore, id: string): Promise<string | undefined>
  setPassword(store: StateStore, record: Uint8Array, credential: string, options?: BcryptOptions): Promise<void>
  answerTo(error: unknown): Response
}

const guide = textOf('services.md')
const url = 'https://service.example/state/_/keyset'
const statusOf = async (store: StateStore, init: RequestInit, options: Parameters<typeof serveStateStore>[2] = {}) =>
  (await serveStateStore(store, new Request(url, init), options)).status

describe('docs/services.md', () => {
  it('logs in, ends sessions with the password, and answers errors', async () => {
    const functions = await functionsOf<ServicesGuide>(paths)
    const { of, called } = noting(functions)
    const database = memoryStateStore()
    const store = prefixed(database, 'user/17/')
    const [first, next] = [await deriveLogin(PASSWORD, ALICE), await deriveLogin('next', ALICE)]
    const profile = createProfile(first, { zeroTrust: true })
    await of.setPassword(store, profile.record, first.credential, { cost: 10 })

    const { status, session } = await of.logIn(database, '17', first.credential)
    expect(status).toBe(201)
    expect(session).toEqual({ id: '17', passwordId: profile.passwordId })
    expect(await of.logIn(database, '17', next.credential)).toEqual({ status: 401 })
    expect(await of.logIn(database, '18', first.credential)).toEqual({ status: 401 })
    expect(await of.passwordOf(database, '17')).toBe(session?.passwordId)

    const changed = profile.changePassword(next)
    await of.setPassword(store, changed.record, next.credential, { cost: 10 })
    await failure(() => of.setPassword(store, changed.record, next.credential, { cost: 10 }), 'conflict')
    expect((await loadProfile(guardProfiles(store), next, { atLeast: profile.revision })).revision).toBe(
      changed.revision,
    )
    expect(await of.passwordOf(database, '17')).not.toBe(session?.passwordId)
    expect(await of.logIn(database, '17', first.credential)).toEqual({ status: 401 })
    expect((await of.logIn(database, '17', next.credential)).status).toBe(201)

    // A recovery key resets a password without a session.
    using code = await deriveRecoveryKey({ code: generateRecoveryCode() })
    const other = prefixed(database, 'user/19/')
    const forgotten = createProfile(first, { zeroTrust: true, recoveryKey: code })
    await of.setPassword(other, forgotten.record, first.credential, { cost: 10 })
    await of.setPassword(other, resetProfile(forgotten.record, code, next).record, next.credential, { cost: 10 })
    expect((await of.logIn(database, '19', next.credential)).status).toBe(201)
    expect(await of.logIn(database, '19', first.credential)).toEqual({ status: 401 })

    const json = await of.answerTo(new KeystrataError('conflict')).json()
    expect(KeystrataError.from(json)).toMatchObject({ code: 'conflict' })
    const log = vi.spyOn(console, 'error').mockReturnValue()
    expect(of.answerTo(new Error('a damaged row')).status).toBe(500)
    expect(log).toHaveBeenCalledOnce()
    log.mockRestore()
    expect([...called].sort()).toEqual(Object.keys(functions).sort())
  })

  it('answers 503 while 100 hashes are not finished', async () => {
    const { logIn } = await functionsOf<ServicesGuide>(paths)
    let finish: (isRight: boolean) => void = () => undefined
    const finished: Promise<boolean> = new Promise((resolve) => (finish = resolve))
    const bcrypt: Bcrypt = { hash: async () => '', compare: () => finished }
    const logIns = Array.from({ length: 100 }, () => logIn(memoryStateStore(), '17', 'A'.repeat(32), { bcrypt }))
    await vi.waitFor(async () => {
      expect(await logIn(memoryStateStore(), '17', 'A'.repeat(32), { bcrypt })).toEqual({ status: 503 })
    })
    finish(false)
    for (const each of logIns) expect((await each).status).toBe(401)
  })

  it('is right about the statuses of a store', async () => {
    const store = memoryStateStore()
    const put = (ifMatch?: string) => ({
      method: 'PUT',
      body: 'x',
      headers: ifMatch === undefined ? { 'If-None-Match': '*' } : { 'If-Match': ifMatch },
    })
    expect(await statusOf(store, {})).toBe(204)
    expect(await statusOf(store, put())).toBe(204)
    expect(await statusOf(store, {})).toBe(200)
    expect(await statusOf(store, put())).toBe(412)
    expect(await statusOf(store, put('"1"'), { maxBytes: 0 })).toBe(413)
    expect(await statusOf(store, put('1'))).toBe(400)
    expect(await statusOf(store, { method: 'POST' })).toBe(405)
    expect(await statusOf(store, { method: 'DELETE' })).toBe(400)
    const dropping = await serveStateStore(store, new Request(`${url}?below=2`, { method: 'DELETE' }))
    expect(dropping.status).toBe(403)
    expect(await statusOf(guardProfiles(store), {})).toBe(422)
    const failing = { ...store, read: () => Promise.reject(new Error('the database is down')) }
    const onError = vi.fn()
    expect(await statusOf(failing, {}, { onError })).toBe(500)
    expect(onError).toHaveBeenCalledOnce()
    for (const status of ['200, 204', '412', '422', '400, 401, 403, 404, 405, 413', '429, 500, 502, 503'])
      expect(guide).toContain(`| ${status} |`)
  })

  it('is right about what a device does with a status', async () => {
    const store = memoryStateStore()
    let answers: number[] = []
    const device = httpStateStore('https://service.example/state', {
      fetch: async (...request) => {
        const status = request[1]?.method === 'PUT' ? answers.shift() : undefined
        if (status !== undefined) return new Response('', { status })
        return serveStateStore(store, new Request(...request))
      },
    })
    const keyset = await makeKeyset()
    for (const status of [429, 500, 502, 503]) {
      answers = [status, status]
      await (status === 429
        ? saveKeyset(device, keyset)
        : changeKeyset(device, await loadKeyset(device, PASSWORD), (newest) => newest.regenerate()))
      expect(answers).toEqual([])
    }
    for (const status of [400, 401, 403, 404, 405, 413]) {
      answers = [status, status]
      await expect(
        changeKeyset(device, await loadKeyset(device, PASSWORD), (newest) => newest.regenerate()),
      ).rejects.toThrow(String(status))
      expect(answers).toEqual([status])
    }
  })

  it('is right about the verifiers that stay, and about a restored database', async () => {
    const store = memoryStateStore()
    let login = await deriveLogin(PASSWORD, ALICE)
    let profile = createProfile(login, { zeroTrust: true })
    const written: Set<string> = new Set()
    const noted: StateStore = {
      ...store,
      write: async (name, ...rest) => {
        written.add(name)
        return store.write(name, ...rest)
      },
    }
    await saveCredential(noted, profile.record, login.credential, { cost: 10 })
    await saveProfile(guardProfiles(noted), profile)
    for (const next of ['second', 'third', 'fourth']) {
      login = await deriveLogin(next, ALICE)
      profile = profile.changePassword(login)
      await saveCredential(noted, profile.record, login.credential, { cost: 10 })
      await saveProfile(guardProfiles(noted), profile)
    }
    const verifiers = [...written].filter((name) => name.startsWith('login/'))
    expect(verifiers).toHaveLength(4)
    const sizes = await Promise.all(verifiers.map(async (name) => (await store.read(name))!.bytes.length))
    // The password before the last keeps its verifier, because its record counts if the newest is damaged.
    expect(sizes).toEqual([0, 0, 68, 68])

    const restored = memoryStateStore()
    await restored.write('profile', 1, (await store.read('profile'))!.bytes)
    expect((await all(restored.readVersions!('profile', 1))).length).toBe(1)
    await failure(() => loadProfile(restored, login, { atLeast: String(Number(profile.revision) + 1) }), 'rollback')
    expect((await loadProfile(restored, login, { atLeast: profile.revision })).revision).toBe(profile.revision)
  })
})
