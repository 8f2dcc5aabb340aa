// Row 1. The thief has everything that a server has ever stored: verifiers, profiles, keyrings. Each password guess
// must cost one PBKDF2 computation, and a separate one for each user. bcrypt adds nothing to that cost, but must not
// reduce it either.
import { createProfile, deriveLogin, openProfile, saveProfile } from '../../src/vault.ts'
import { ownerOf } from '../../src/vault/login.ts'
import { compare, hash } from 'bcryptjs'
import { createHash, pbkdf2Sync } from 'node:crypto'
import { describe, expect, it, vi } from 'vitest'
import { concat, domain, lengthPrefixed, utf8 } from '../../src/core/bytes.ts'
import { openKeyring, parseKeyring } from '../../src/vault/keyring.ts'
import { openProfileRecord, parseProfileRecord } from '../../src/vault/profile-record.ts'
import { type Backend } from '../../src/primitives/backend.ts'
import { withBytes } from '../../src/core/secret.ts'
import { saveCredential } from '../../src/server.ts'
import { createVerifier, matchesVerifier } from '../../src/server/bcrypt.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { ALICE, backends, failure, KeepingStore, newestBytes, PASSWORD, sample, withBackend } from '../fixtures.ts'
import { quickKeyset } from './known.ts'

const alice = await deriveLogin(PASSWORD, ALICE)
const admin = await quickKeyset()

async function enrol() {
  const store = new KeepingStore()
  const created = createProfile(alice, { admin: admin.card() })
  await saveCredential(store, created.record, alice.credential, { cost: 10 })
  await saveProfile(store, created)
  const { profile, vault } = await created.createVault(store)
  return { store, profile, vault }
}

describe('a thief of the server’s database wants passwords: each guess costs one PBKDF2 computation', () => {
  it('gives known answers: both keys come from one PBKDF2 of 600,000 iterations salted with realm, user', async () => {
    // The expected value comes from Python's hashlib (test/reference.py); OpenSSL computes it again below.
    expect(alice.credential).toBe('l6fqLSxnRMThTPhEsamWBEC-3WBhfqIS')
    const names = [ALICE.realm, ALICE.user].map((name) => lengthPrefixed(utf8(name)))
    const salt = createHash('sha512')
      .update(concat(domain('login-salt'), ...names))
      .digest()
      .subarray(0, 32)
    const both = pbkdf2Sync(PASSWORD, salt, 600_000, 48, 'sha512')
    expect(alice.credential).toBe(both.subarray(0, 24).toString('base64url'))
    expect(withBytes(ownerOf(alice).rootKey, (key) => Buffer.from(key))).toEqual(both.subarray(24))
  })

  it('cannot make a guess cheaper: one call of one output block gives both keys, for any arguments', async () => {
    const calls: number[][] = []
    const [native] = backends as [Backend]
    const watched: Backend = {
      ...native,
      pbkdf2Sha512(password, salt, iterations, length, wait) {
        calls.push([iterations, length])
        return native.pbkdf2Sha512(password, salt, iterations, length, wait)
      },
    }
    const cheaper = { iterations: 1, costs: { iterations: 1 } }
    await expect(deriveLogin(PASSWORD, ALICE, cheaper as never)).rejects.toThrow('deriveLogin has no option')
    const login = await withBackend(watched, () => deriveLogin(PASSWORD, { ...ALICE, ...cheaper }))
    expect(login.credential).toBe(alice.credential)
    // 48 bytes fit into one 64-byte block of SHA-512.
    expect(calls).toEqual([[600_000, 48]])
  })

  it('pays for each user separately: one password gives unrelated keys for two users or two realms', async () => {
    const others = [
      await deriveLogin(PASSWORD, { ...ALICE, user: 'bob' }),
      await deriveLogin(PASSWORD, { ...ALICE, realm: 'elsewhere' }),
    ]
    const keys = [alice, ...others].flatMap((login) => [
      login.credential,
      withBytes(ownerOf(login).rootKey, (key) => Buffer.from(key).toString('base64url')),
    ])
    expect(new Set(keys).size).toBe(6)
  })
})

describe('a thief of the server’s database wants logins: a verifier is bcrypt over SHA-512(L)', () => {
  const digestOf = (credential: string) => createHash('sha512').update(Buffer.from(credential, 'base64url')).digest()
  const base64Of = (credential: string) => digestOf(credential).toString('base64')
  const credentials = Array.from({ length: 2000 }, (_, index) => Buffer.from(sample(24, index)).toString('base64url'))
  // In this thread, so that the tests see what bcrypt gets.
  const watched = { hash: vi.fn((password: string, cost: number) => hash(password, cost)), compare }
  const cheap = { cost: 10, bcrypt: watched }

  it('digests that contain NUL: a digest that begins with NUL does not verify other credentials', async () => {
    const [one, other] = credentials.filter((credential) => digestOf(credential)[0] === 0)
    watched.hash.mockClear()
    // Over the raw digest, bcrypt would stop at the first NUL, so all these credentials would share one password: the
    // empty one.
    const empty = await hash('', '$2b$10$abcdefghijklmnopqrstuu')
    const verifier = await createVerifier(one!, cheap)
    expect(await matchesVerifier(verifier, one!, cheap)).toBe(true)
    expect(await matchesVerifier(verifier, other!, cheap)).toBe(false)
    expect(await matchesVerifier(empty, one!, cheap)).toBe(false)
    // Two digests with a NUL after the first byte do not verify each other either.
    const later = credentials.filter((credential) => digestOf(credential).includes(0)).slice(2, 4)
    expect(await matchesVerifier(await createVerifier(later[0]!, cheap), later[1]!, cheap)).toBe(false)
    const hashed = watched.hash.mock.calls.map(([password]) => password)
    expect(hashed).toEqual([one!, later[0]!].map((credential) => base64Of(credential).slice(0, 72)))
  })

  it('characters 72 and 73: the 72nd counts, and the 73rd never reaches bcrypt', async () => {
    const [credential] = credentials as [string]
    const text = base64Of(credential)
    expect(text).toHaveLength(88)
    watched.hash.mockClear()
    await createVerifier(credential, cheap)
    expect(watched.hash.mock.calls.map(([password]) => password)).toEqual([text.slice(0, 72)])

    const salt = '$2b$10$abcdefghijklmnopqrstuu'
    const swapped = (index: number) =>
      `${text.slice(0, index)}${text[index] === 'A' ? 'B' : 'A'}${text.slice(index + 1)}`
    expect(await matchesVerifier(await hash(text.slice(0, 71), salt), credential, cheap)).toBe(false)
    expect(await matchesVerifier(await hash(text.slice(0, 72), salt), credential, cheap)).toBe(true)
    expect(await matchesVerifier(await hash(swapped(71), salt), credential, cheap)).toBe(false)
    // A bcrypt that truncates by itself gives one verifier for all inputs that differ only after character 72.
    expect(await matchesVerifier(await hash(swapped(72), salt), credential, cheap)).toBe(true)
  })

  it('is salted: verifiers of two services do not reveal that the login is the same', async () => {
    const [credential] = credentials as [string]
    expect(await createVerifier(credential, cheap)).not.toBe(await createVerifier(credential, cheap))
  })
})

describe('a thief of the server’s database wants keys', () => {
  it('finds no key, no credential and no password in anything that a server has ever stored', async () => {
    const { store, profile, vault } = await enrol()
    await vault.seal(sample(100))
    await profile.rotate(store)
    const { rootKey } = ownerOf(alice)
    const contents = openProfileRecord(parseProfileRecord(await newestBytes(store, 'profile')), rootKey)
    const [entry] = contents.vaults
    const { dataKey } = openKeyring(parseKeyring(await newestBytes(store, `keyring/${vault.id}`)), entry!, entry!.keys)!
    const secrets = [
      withBytes(rootKey, (bytes) => Buffer.from(bytes)),
      withBytes(entry!.keys[0]!.key, (bytes) => Buffer.from(bytes)),
      withBytes(dataKey, (bytes) => Buffer.from(bytes)),
      Buffer.from(alice.credential, 'base64url'),
      Buffer.from(alice.credential),
      Buffer.from(PASSWORD),
    ]
    // The verifier, three profiles and three keyrings of a new vault and a rotation, and the first profile.
    expect(store.history).toHaveLength(8)
    const seen = store.history.map(({ bytes }) => Buffer.from(bytes))
    for (const record of seen) {
      for (const secret of secrets) expect(record.includes(secret.subarray(0, 12))).toBe(false)
    }
  })

  it('with an old record and its password, opens what that record opened, until its user rotates', async () => {
    const { store, profile, vault } = await enrol()
    const block = await vault.seal(sample(100))
    const changed = profile.changePassword(await deriveLogin('a new one', ALICE))
    await saveProfile(store, changed)
    const thief = memoryStateStore()
    const name = `keyring/${vault.id}`
    await thief.write('profile', 1, profile.record)
    await thief.write(name, 1, await newestBytes(store, name))
    const old = openProfile(profile.record, alice)
    expect(await (await old.openVault(thief, vault.id)).open(block)).toEqual(sample(100))
    await changed.rotate(store)
    await thief.write(name, 2, await newestBytes(store, name))
    await failure(() => old.openVault(thief, vault.id), 'authentication-failed')
  })
})
