// Row 25. The thief has the credential of a user, and so a session with the guarded store. They have read everything that
// was ever stored there. A former admin also knows an identity, and a server that was restored from a backup has forgotten
// what came after. None of them may lose or change anything that the user, or the admin, can see.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type KeystrataError, openLog } from '../../src/index.ts'
import { concat, domain, toHex } from '../../src/core/bytes.ts'
import { signingPairOf } from '../../src/core/key-pairs.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { sha256 } from '../../src/primitives/hash.ts'
import { sign } from '../../src/primitives/signature.ts'
import { guardProfiles, saveCredential, verifyCredential } from '../../src/server.ts'
import { logIdOf } from '../../src/state/record-layout.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import {
  createProfile,
  deriveLogin,
  type Login,
  loadProfile,
  parseProfile,
  type Profile,
  resetProfile,
  saveProfile,
} from '../../src/vault.ts'
import { openProfileRecord, parseProfileRecord } from '../../src/vault/profile-record.ts'
import { ownerOf } from '../../src/vault/login.ts'
import { encodeKeyring, generateDataKey, generateKeyringKey } from '../../src/vault/keyring.ts'
import {
  ALICE,
  all,
  failure,
  flipped,
  hex,
  KeepingStore,
  newestBytes,
  numRuns,
  PASSWORD,
  patched,
  resummed,
  sample,
} from '../fixtures.ts'
import { withoutPauses } from '../pauses.ts'
import { quickKeyset } from './known.ts'

withoutPauses()

const [alice, renewed, third, bob] = await Promise.all([
  deriveLogin(PASSWORD, ALICE),
  deriveLogin('chosen by the admin', ALICE),
  deriveLogin('chosen by the user', ALICE),
  deriveLogin(PASSWORD, { ...ALICE, user: 'bob' }),
])
const admin = await quickKeyset()
const content = sample(100)
const cheap = { cost: 10 }

/** Saves a profile as a product does: the credential, and then the record through the guard. */
async function save(store: StateStore, profile: Profile, login: Login): Promise<void> {
  await saveCredential(store, profile.record, login.credential, cheap)
  await saveProfile(guardProfiles(store), profile)
}

/** A user with a vault, a block and a log, whose keys were rotated. Everything was written through the guard. */
async function enrol(login = alice) {
  const store = new KeepingStore()
  const guarded = guardProfiles(store)
  const created = createProfile(login, { admin: admin.card() })
  await save(store, created, login)
  const { profile, vault } = await created.createVault(guarded)
  const block = await vault.seal(content)
  const position = await openLog(guarded, 'backups', vault).append(content)
  const rotated = await profile.rotate(guarded)
  return { store, guarded, profile: rotated, vaultId: vault.id, block, position }
}
type Enrolled = Awaited<ReturnType<typeof enrol>>

/** Checks that the user, and the admin who has pinned the identity, still see what they saw. */
async function expectUnchanged(enrolled: Enrolled, login = alice): Promise<void> {
  const { store, guarded, profile, vaultId, block, position } = enrolled
  expect(await verifyCredential(store, login.credential, cheap)).toBe(true)
  const loaded = await loadProfile(guarded, login, { atLeast: profile.revision })
  expect([loaded.record, loaded.rotationDue]).toEqual([profile.record, []])
  const vault = await loaded.openVault(guarded, vaultId)
  expect(await vault.open(block)).toEqual(content)
  const reset = resetProfile(await newestBytes(store, 'profile'), admin, renewed, { identity: profile.identity })
  expect(reset.vaults).toEqual(profile.vaults)
  // A thief can add records to a log that do not open. What the user has written is still read.
  const log = openLog(guarded, 'backups', vault)
  const read: string[] = []
  for await (const record of log.read({ onDamaged: () => undefined })) read.push(record.position)
  expect(read).toContain(position)
}

const attacker = signingPairOf(new SecretKey('signing', new Uint8Array(32).fill(9)))

/** Signs a record as another identity. */
function signedByAnother(record: Uint8Array): Uint8Array {
  const forged = patched(record, 88, attacker.publicKey)
  const at = forged.length - 136
  forged.set(sign(attacker.seed, concat(domain('sign/profile'), forged.subarray(0, at))), at)
  return resummed(forged)
}

describe('a thief of a credential wants to lose or change something', () => {
  const timeout = process.env['SLOW'] === '1' ? 600_000 : 240_000
  it('cannot, by any sequence of reads, writes and drops over the guarded store', { timeout }, async () => {
    const enrolled = await enrol()
    const { store, guarded, vaultId } = enrolled
    const other = await enrol(bob)
    const log = (await openNames(store)).filter((name) => name.startsWith('log/'))
    const names = ['profile', `keyring/${vaultId}`, `keyring/${'0'.repeat(32)}`, ...log]
    const known = [...store.history, ...other.store.history].map(({ bytes }) => bytes)
    const forge = (bytes: Uint8Array, how: number): Uint8Array => {
      if (how === 0 || bytes.length < 200) return bytes
      if (how === 1) return resummed(flipped(bytes, (how * 7919 + bytes.length) % (bytes.length - 8)))
      if (how === 2) return signedByAnother(bytes)
      // What follows these bytes, which nobody has signed, or a thief as another identity.
      const version = [0, 0, 0, 0, 0, 0, 0, bytes[55]! + 1]
      const next = resummed(patched(patched(bytes, 48, version), 56, sha256(bytes)))
      return how === 3 ? signedByAnother(next) : next
    }
    const call = fc.record({
      name: fc.constantFrom(...names),
      what: fc.nat(known.length - 1),
      how: fc.nat(5),
      /** How far from the next version. */
      off: fc.constantFrom(0, 0, 0, -1, 1),
      method: fc.constantFrom('write', 'write', 'write', 'drop', 'read'),
    })
    // The newest of each, followed by something that fits but is not signed.
    for (const name of ['profile', `keyring/${vaultId}`]) {
      const { version, bytes } = (await store.read(name))!
      await failure(() => guarded.write(name, version + 1, forge(bytes, 4)), 'authentication-failed', 'policy')
      await failure(() => guarded.write(name, version + 1, forge(bytes, 3)), 'policy', 'malformed')
    }
    await fc.assert(
      fc.asyncProperty(fc.array(call, { maxLength: 12 }), async (calls) => {
        for (const { name, what, how, off, method } of calls) {
          const version = ((await store.read(name))?.version ?? 0) + 1 + off
          try {
            if (method === 'read') await guarded.read(name)
            else if (method === 'drop') await guarded.drop(name, version + 5)
            else {
              const written = await guarded.write(name, Math.max(1, version), forge(known[what]!, how))
              // Whoever writes a log may add to it. Nothing else is taken.
              if (!name.startsWith('log/')) expect(written).toBe(false)
            }
          } catch (error) {
            expect(error).toHaveProperty('code')
          }
        }
        await expectUnchanged(enrolled)
      }),
      { numRuns: numRuns(25, 500) },
    )
  })

  it('appends junk to a log: readers report it, and everything that the user writes stays', async () => {
    const { store, guarded, profile, vaultId, position } = await enrol()
    const [name] = (await openNames(store)).filter((each) => /^log\/[\da-f]{32}\/0$/.test(each))
    const own = await newestBytes(store, name!)
    // It has the form of a record of the vault, which is all that a server can check.
    const junk = [flipped(own, 100), own, flipped(own, own.length - 1)]
    for (const bytes of junk)
      expect(await guarded.write(name!, (await store.read(name!))!.version + 1, bytes)).toBe(true)
    const vault = await profile.openVault(guarded, vaultId)
    const log = openLog(guarded, 'backups', vault)
    await failure(() => all(log.read()), 'authentication-failed')
    expect((await log.last({ atLeast: position }))!.position).toBe(position)
    const next = await log.append(sample(9))
    const damaged: string[] = []
    const read = await all(log.read({ onDamaged: (_, where) => void damaged.push(where) }))
    expect(read.map((each) => each.position)).toEqual([position, next])
    expect(damaged).toHaveLength(junk.length)
    // Resealing leaves the junk out, and nothing else.
    await log.reseal({ atLeast: next, leaveOut: damaged })
    expect((await all(log.read({ atLeast: next }))).map((each) => each.position)).toEqual([position, next])
  })

  it('begins no log under another owner, in which the user could not append', async () => {
    const { guarded, profile, vaultId } = await enrol()
    const { store: theirs } = await enrol(bob)
    const [name] = (await openNames(theirs)).filter((each) => /^log\/[\da-f]{32}\/0$/.test(each))
    const planted = await newestBytes(theirs, name!)
    const fresh = name!.replace(/[\da-f]{32}/, hex(logIdOf('another log')))
    await failure(() => guarded.write(fresh, 1, planted), 'policy')
    const vault = await profile.openVault(guarded, vaultId)
    expect(await openLog(guarded, 'another log', vault).append(sample(3))).toMatch(/^1-/)
  })

  it('cannot reach a verifier, another object, or another user, under any name', async () => {
    const { store, guarded, profile } = await enrol()
    const login = `login/${toHex(parseProfileRecord(profile.record).header.keyId)}`
    expect(await store.read(login)).toBeDefined()
    const names = [
      login,
      'keyset',
      'slots',
      'registry',
      `account/${'0'.repeat(64)}`,
      'check',
      'profile/1',
      'log',
      'log/',
    ]
    for (const name of [
      ...names,
      '../profile',
      'PROFILE',
      `log/../${login}`,
      `keyring/${'0'.repeat(31)}`,
      '',
      'profile\0',
    ]) {
      await failure(() => guarded.read(name), 'policy')
      await failure(() => guarded.readVersion(name, 1), 'policy')
      await failure(() => guarded.write(name, 1, sample(10)), 'policy')
      await failure(() => guarded.drop(name, 9), 'policy')
    }
    for (const version of [0, -1, 1.5, NaN]) {
      await expect(guarded.write('profile', version, profile.record)).rejects.toThrow(RangeError)
    }
  })

  it('cannot sign up again, or save a verifier of their own', async () => {
    const enrolled = await enrol()
    const { store } = enrolled
    const theirs = createProfile(renewed, { zeroTrust: true })
    await failure(() => saveCredential(store, theirs.record, renewed.credential, cheap), 'policy')
    await failure(() => saveProfile(enrolled.guarded, theirs), 'policy')
    // Not for a record that the user has signed earlier, and not for a copy of the newest one.
    for (const { name, bytes } of store.history) {
      if (name !== 'profile') continue
      await failure(() => saveCredential(store, bytes, renewed.credential, cheap), 'conflict')
    }
    await expectUnchanged(enrolled)
  })

  it('cannot use what was signed before the server was restored from a backup', async () => {
    const enrolled = await enrol()
    const { store, vaultId } = enrolled
    // The database of an earlier day: the first two records, and the first keyring.
    const restored = new KeepingStore()
    const name = `keyring/${vaultId}`
    for (const [object, version] of [
      ['profile', 1],
      ['profile', 2],
      [name, 1],
    ] as const) {
      const kept = store.history.find((each) => each.name === object && each.version === version)!
      await restored.write(object, version, kept.bytes)
    }
    const guarded = guardProfiles(restored)
    const loaded = await loadProfile(guarded, alice)
    const { profile, vault: second } = await loaded.createVault(guarded)
    const rotated = await profile.rotate(guarded)
    // The thief has the later records and keyrings of the first life.
    for (const { name: object, bytes } of store.history) {
      const version = ((await restored.read(object))?.version ?? 0) + 1
      if (object !== 'profile' && object !== name) continue
      const written = await guarded
        .write(object, version, bytes)
        .catch((error: unknown) => (error as KeystrataError).code)
      expect(['conflict', 'policy', false]).toContain(written)
    }
    expect(rotated.vaults).toEqual([vaultId, second.id])
    for (const id of rotated.vaults) await (await loadProfile(guarded, alice)).openVault(guarded, id)
  })
})

describe('a former admin who knows an identity wants to stay', () => {
  it('cannot sign anything once the user has chosen a new password', async () => {
    const enrolled = await enrol()
    const { store, guarded, vaultId } = enrolled
    const before = await newestBytes(store, 'profile')
    const reset = resetProfile(before, admin, renewed, { identity: enrolled.profile.identity })
    await save(store, reset, renewed)
    // The admin knows the password, and so the seed of this identity.
    const { rootKey } = ownerOf(renewed)
    const { identity } = openProfileRecord(parseProfileRecord(reset.record), rootKey)
    const changed = (await loadProfile(guarded, renewed)).changePassword(third)
    expect(changed.identity).not.toBe(reset.identity)
    await save(store, changed, third)

    const forged = patched(changed.record, 88, identity.publicKey)
    forged.set([0, 0, 0, 0, 0, 0, 0, Number(changed.revision) + 1], 48)
    const at = forged.length - 136
    forged.set(sign(identity.seed, concat(domain('sign/profile'), forged.subarray(0, at))), at)
    const next = (await store.read('profile'))!.version + 1
    await failure(() => guarded.write('profile', next, resummed(forged)), 'conflict', 'policy')
    // A whole record of their own, made from what is stored before the change, is not the next one.
    await failure(() => saveProfile(guarded, reset.changePassword(alice)), 'conflict')
    // A keyring of their own, signed by the former identity, is refused without an error, as that of a late device.
    const dataKey = generateDataKey()
    const keyring = `keyring/${vaultId}`
    const newest = (await store.read(keyring))!
    const theirs = encodeKeyring(
      newest.bytes.subarray(32, 48),
      4,
      dataKey,
      [generateKeyringKey(9)],
      identity,
      newest.bytes,
    )
    expect(await guarded.write(keyring, newest.version + 1, theirs)).toBe(false)
    const loaded = await loadProfile(guarded, third)
    expect(await (await loaded.openVault(guarded, vaultId)).open(enrolled.block)).toEqual(content)
  })

  it('is not forgotten by a change to the same password, nor by a change of recovery before the new one', async () => {
    for (const path of ['same password', 'recovery first'] as const) {
      const { store, guarded, profile } = await enrol()
      const reset = resetProfile(profile.record, admin, renewed, { identity: profile.identity })
      await save(store, reset, renewed)
      const loaded = await loadProfile(guarded, renewed)
      const between = path === 'same password' ? loaded.changePassword(renewed) : undefined
      if (between !== undefined) await save(store, between, renewed)
      const known = between ?? (await loaded.changeRecovery(guarded, { zeroTrust: true }))
      const changed = (await loadProfile(guarded, renewed)).changePassword(third)
      expect(changed.identity).not.toBe(known.identity)
    }
  })
})

describe('nobody in particular wants to lock the user out: a version rots', () => {
  it('a damaged newest record is skipped, and the user goes on with the one before', async () => {
    const { store, guarded, profile, vaultId, block } = await enrol()
    const { version } = (await store.read('profile'))!
    for (const rotten of [flipped(profile.record, 100), profile.record.subarray(0, 90), sample(50)]) {
      const damaged = memoryStateStore()
      const names = await openNames(store)
      for (const name of names.filter((each) => each !== 'profile')) {
        await damaged.write(name, 1, await newestBytes(store, name))
      }
      await damaged.write('profile', 1, (await store.readVersion('profile', version - 1))!)
      await damaged.write('profile', 2, rotten)
      expect(await verifyCredential(damaged, alice.credential, cheap)).toBe(true)
      const loaded = await loadProfile(guardProfiles(damaged), alice)
      expect(Number(loaded.revision)).toBe(Number(profile.revision) - 1)
      const rotated = await loaded.rotate(guardProfiles(damaged))
      expect(await (await rotated.openVault(guardProfiles(damaged), vaultId)).open(block)).toEqual(content)
      expect(parseProfile(await newestBytes(damaged, 'profile')).revision).toBe(rotated.revision)
    }
    await failure(() => loadProfile(guarded, alice, { atLeast: String(Number(profile.revision) + 1) }), 'rollback')
  })
})

/** Returns the names of all objects that were written. */
async function openNames(store: KeepingStore): Promise<string[]> {
  return [...new Set(store.history.map(({ name }) => name))]
}
