// Which record counts (SPEC §13.4), for clients and for the server alike.
import { describe, expect, it } from 'vitest'
import { createKeyset, KeystrataError } from '../../src/index.ts'
import { guardProfiles, saveCredential, verifyCredential } from '../../src/server.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import { createProfile, deriveLogin, loadProfile, openProfile, parseProfile, saveProfile } from '../../src/vault.ts'
import { CheckedStore } from '../../src/state/checked.ts'
import { readStoredRecord } from '../../src/vault/stored-profile.ts'
import { ALICE, CHEAP, failure, flipped, hex, KeepingStore, PASSWORD, patched, resummed, sample } from '../fixtures.ts'
import { withoutPauses } from '../pauses.ts'
import { INSTANT } from '../server/instant-bcrypt.ts'
import { rewritten } from './forged.ts'

withoutPauses()
const [login, next] = await Promise.all([deriveLogin(PASSWORD, ALICE), deriveLogin('another', ALICE)])
const admin = await createKeyset('admin', { costs: CHEAP })

/** The records of a profile that was changed three times: by new passwords, and the third by a change of recovery. */
const first = createProfile(login, { admin: admin.card() })
const second = first.changePassword(login)
const third = second.changePassword(login)
const written = new KeepingStore()
await saveProfile(written, third)
const fourth = await third.changeRecovery(written, { zeroTrust: true })
const [one, two, three, four] = [first, second, third, fourth].map(({ record }) => record) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
  Uint8Array,
]
const foreign = createProfile(login, { admin: admin.card() }).record

/** Each kind of damage to a record. */
const damaged: readonly [string, (record: Uint8Array) => Uint8Array][] = [
  ['is empty', () => new Uint8Array(0)],
  ['is cut', (record) => record.subarray(0, 300)],
  ['has zeros', (record) => patched(record, 500, new Uint8Array(64))],
  ['has a flipped bit', (record) => flipped(record, 99)],
  ['is something else', () => sample(2000)],
  ['is too large', () => new Uint8Array(2 ** 20 + 1)],
  ['claims 65,535 vaults', (record) => resummed(patched(record, 281 + 1776, [0xff, 0xff]))],
  ['has no valid signature', (record) => resummed(flipped(record, 60))],
  ['was altered, with the checksum corrected', (record) => resummed(flipped(record, 20))],
  ['says that it has a recovery key, and has none', (record) => resummed(patched(record, 280, [2]))],
]
const newer: readonly [string, (record: Uint8Array) => Uint8Array][] = [
  ['of another format version', (record) => resummed(patched(record, 4, [2]))],
  ['of another type', () => admin.export('host')],
  ['of another generation', (record) => resummed(patched(record, 11, [2]))],
  ['with an unknown flag', (record) => resummed(patched(record, 15, [2]))],
  ['of another suite', (record) => resummed(patched(record, 6, [4, 1]))],
]

async function storeOf(...versions: readonly Uint8Array[]): Promise<StateStore> {
  const store = memoryStateStore()
  for (const [index, bytes] of versions.entries()) await store.write('profile', index + 1, bytes)
  return store
}

/** Returns the revision that counts for a client, after checking that it is also the one for a server. */
async function counting(...versions: readonly Uint8Array[]): Promise<string> {
  const store = await storeOf(...versions)
  const { revision, record } = await loadProfile(store, login)
  expect((await readStoredRecord(new CheckedStore(store)))!.record.bytes).toEqual(record)
  // The guard takes what follows it, behind the newest version, and nothing else counts from then on.
  const next = openProfile(record, login).changePassword(login)
  const session = guardProfiles(store)
  expect(await session.write('profile', versions.length + 1, next.record)).toBe(true)
  expect((await loadProfile(store, login)).revision).toBe(next.revision)
  // A client writes to the same place.
  const other = await storeOf(...versions)
  await saveProfile(other, next)
  expect(await other.read('profile')).toEqual({ version: versions.length + 1, bytes: next.record })
  expect((await loadProfile(other, login)).revision).toBe(next.revision)
  return revision
}

describe('the record that counts', () => {
  it('is the newest, if each follows the one before', async () => {
    expect(await counting(one)).toBe('1')
    expect(await counting(one, two)).toBe('2')
    expect(await counting(one, two, three)).toBe('3')
    // Records below the two newest are dropped.
    const store = await storeOf(one, two, three)
    await store.drop('profile', 3)
    expect((await loadProfile(store, login)).revision).toBe('3')
  })

  it.each(damaged)('is the one below, if the newest %s', async (_, damage) => {
    expect(await counting(one, damage(two))).toBe('1')
    expect(await counting(one, two, damage(three))).toBe('2')
    // Two in a row.
    expect(await counting(one, damage(two), damage(two))).toBe('1')
    // What is written behind the damage goes on from what counted.
    expect(await counting(one, damage(two), two)).toBe('2')
    expect(await counting(one, damage(two), two, damage(three), three)).toBe('3')
  })

  it.each(damaged)('is the newest, if the only one below %s', async (_, damage) => {
    expect(await counting(damage(one), three)).toBe('3')
    expect(await counting(damage(one), damage(two), three)).toBe('3')
  })

  it.each(damaged)('is the newest, if the one below %s, though an older one was not dropped', async (_, damage) => {
    expect(await counting(one, damage(two), three)).toBe('3')
    expect(await counting(one, two, damage(three), damage(three), four)).toBe('4')
    // Nobody can see whether it follows what is damaged. So it must be of the same owner, and later.
    expect(await counting(three, damage(two), two)).toBe('3')
    expect(await counting(two, damage(three), two)).toBe('2')
    expect(await counting(two, damage(three), foreign)).toBe('2')
    const strangers = rewritten(foreign, login, { id: two.slice(32, 48), version: 9 })
    expect(await counting(two, damage(three), strangers)).toBe('2')
    const withAdmin = rewritten(four, login, { version: 9, recovery: { kind: 'card', value: admin.card().bytes } })
    expect(await counting(four, damage(three), withAdmin)).toBe('4')
  })

  it.each(damaged)('is an error of the client and of the server, if the only one %s', async (_, damage) => {
    const codes = ['malformed', 'authentication-failed', 'limit-exceeded'] as const
    const store = await storeOf(damage(one))
    const { code } = await failure(() => loadProfile(store, login), ...codes)
    await failure(() => saveProfile(store, second), code)
    await failure(() => saveCredential(store, two, login.credential, INSTANT), code)
    await failure(() => verifyCredential(store, login.credential, INSTANT), code)
    await failure(() => guardProfiles(store).write('profile', 2, two), code)
    // The server never takes a first record over one that is damaged.
    expect((await store.read('profile'))!.version).toBe(1)
  })

  it('is the error of the oldest, if all are damaged', async () => {
    const store = await storeOf(resummed(flipped(one, 60)), sample(300), new Uint8Array(0))
    await failure(() => loadProfile(store, login), 'authentication-failed')
    const other = await storeOf(sample(300), resummed(flipped(two, 60)))
    await failure(() => loadProfile(other, login), 'malformed')
  })

  it.each(newer)('is never skipped, if it is %s', async (_, change) => {
    const store = await storeOf(one, two, change(three))
    await failure(() => loadProfile(store, login), 'unsupported')
    await failure(() => saveProfile(store, third), 'unsupported')
    await failure(() => guardProfiles(store).write('profile', 4, three), 'unsupported')
    await failure(() => saveCredential(store, three, login.credential, INSTANT), 'unsupported')
    await failure(() => verifyCredential(store, login.credential, INSTANT), 'unsupported')
    // Below a damaged one it is not skipped either.
    const hidden = await storeOf(one, change(two), sample(100))
    await failure(() => loadProfile(hidden, login), 'unsupported')
  })

  it('is not an old record that somebody has written again', async () => {
    expect(await counting(one, two, one)).toBe('2')
    expect(await counting(one, two, three, two)).toBe('3')
    expect(await counting(one, two, two)).toBe('2')
    expect(await counting(one, two, one, one, one)).toBe('2')
  })

  it('is neither the record of another profile, nor one that skips a version', async () => {
    expect(await counting(one, two, foreign)).toBe('2')
    expect(await counting(one, three)).toBe('1')
    expect(await counting(one, two, foreign, three)).toBe('3')
  })

  it('is not a record that another identity has signed, nor one without zero trust behind zero trust', async () => {
    const strangers = rewritten(foreign, login, { id: two.slice(32, 48), version: 3 })
    expect(parseProfile(strangers).revision).toBe('3')
    expect(await counting(one, two, strangers)).toBe('2')
    const withAdmin = rewritten(four, login, { version: 5, recovery: { kind: 'card', value: admin.card().bytes } })
    expect(await counting(three, four, withAdmin)).toBe('4')
  })

  it('is one with another identity only behind the record that handed the profile over', async () => {
    expect(await counting(three, four)).toBe('4')
    const [handedOver] = written.history.filter(({ version }) => version === 2)
    expect(await counting(three, handedOver!.bytes)).toBe('4')
    // The same record behind another revision 3, which has not handed anything over.
    const other = second.changePassword(login).record
    expect(await counting(two, other, handedOver!.bytes)).toBe('3')
  })

  it('is the same for client and server, whatever four versions there are', async () => {
    const kinds = { one, two, three, foreign, damaged: sample(100) }
    const names = Object.keys(kinds) as (keyof typeof kinds)[]
    for (const a of names) {
      for (const b of names) {
        for (const c of names) {
          const versions = [kinds[a], kinds[b], kinds[c]]
          const store = await storeOf(...versions)
          const stored = await readStoredRecord(new CheckedStore(store)).catch((error: unknown) => error)
          const expected = expectedOf(versions)
          if (expected === undefined) expect(stored, `${a} ${b} ${c}`).toBeInstanceOf(KeystrataError)
          else
            expect(hex((stored as { record: { bytes: Uint8Array } }).record.bytes), `${a} ${b} ${c}`).toBe(
              hex(expected),
            )
        }
      }
    }
  })
})

/** SPEC §13.4, read literally. All records here have one identity each, so that an id and a version decide what follows. */
function expectedOf(versions: readonly Uint8Array[]): Uint8Array | undefined {
  const newest = versions.at(-1)
  if (newest === undefined) return undefined
  const below = versions.slice(0, -1)
  if (!parses(newest)) return expectedOf(below)
  if (below.length === 0) return newest
  const before = below.at(-1)!
  if (parses(before) && follows(newest, before)) return newest
  const counted = expectedOf(below)
  if (counted === undefined || follows(newest, counted)) return newest
  return !parses(before) && isLater(newest, counted) ? newest : counted
}

const parses = (record: Uint8Array) => record.length > 100
const ahead = (record: Uint8Array, before: Uint8Array) =>
  hex(record.subarray(32, 48)) === hex(before.subarray(32, 48))
    ? Number(parseProfile(record).revision) - Number(parseProfile(before).revision)
    : Number.NaN
const follows = (record: Uint8Array, before: Uint8Array) => ahead(record, before) === 1
const isLater = (record: Uint8Array, before: Uint8Array) => ahead(record, before) >= 1

it('a new password is taken after the newest record was damaged, and the old one ends', async () => {
  const database = memoryStateStore()
  const session = guardProfiles(database)
  await saveCredential(database, one, login.credential, INSTANT)
  await saveProfile(session, first)
  await database.write('profile', 2, sample(500))
  expect(await verifyCredential(database, login.credential, INSTANT)).toBe(true)
  const changed = (await loadProfile(session, login)).changePassword(next)
  await saveCredential(database, changed.record, next.credential, INSTANT)
  await saveProfile(session, changed)
  expect(await verifyCredential(database, next.credential, INSTANT)).toBe(true)
  expect(await verifyCredential(database, login.credential, INSTANT)).toBe(false)
})
