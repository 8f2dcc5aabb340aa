// The rows of SECURITY.md about logins, profiles and vaults.
import { describe, expect, it } from 'vitest'
import {
  createKeyset,
  createProfile,
  deriveLogin,
  type KeysetReader,
  openProfile,
  resetProfile,
  type UnlockedProfile,
} from '../../src/index.ts'
import { checkProfile } from '../../src/server.ts'
import { openKeyring } from '../../src/keys/hierarchy.ts'
import { ownerOf } from '../../src/keys/login.ts'
import { openProfileRecord, parseProfile } from '../../src/keys/profile-record.ts'
import { withBytes } from '../../src/secret.ts'
import {
  ALICE,
  CHEAP,
  failure,
  flipped,
  MemoryVaultStore,
  patched,
  resummed,
  sample,
  cardIdentityOf,
} from '../fixtures.ts'

const PASSWORD = 'a password that nobody guesses'
const [alice, renewed, bob] = await Promise.all([
  deriveLogin(PASSWORD, ALICE),
  deriveLogin('a new one', ALICE),
  deriveLogin(PASSWORD, { ...ALICE, user: 'bob' }),
])
const [admin, other] = await Promise.all([createKeyset('admin', { costs: CHEAP }), createKeyset('x', { costs: CHEAP })])

async function enrol(login: typeof alice, recovery: Parameters<typeof createProfile>[1] = { admin: admin.card() }) {
  const store = new MemoryVaultStore()
  const { profile, vault } = await createProfile(login, recovery).createVault(store)
  return { store, profile, vault }
}

describe('thief of the server’s database', () => {
  it('finds no key, no credential and no password in it', async () => {
    const { store, profile, vault } = await enrol(alice)
    await vault.seal(sample(100))
    await profile.rotate(store)
    const { rootKey } = ownerOf(alice)
    const contents = openProfileRecord(parseProfile((await store.readProfile())!), rootKey)
    const [entry] = contents.vaults
    const { dataKey } = openKeyring((await store.readKeyring(vault.id))!, entry!, entry!.keys)!
    const secrets = [
      withBytes(rootKey, (bytes) => Buffer.from(bytes)),
      withBytes(entry!.keys[0]!.key, (bytes) => Buffer.from(bytes)),
      withBytes(dataKey, (bytes) => Buffer.from(bytes)),
      Buffer.from(alice.credential, 'base64url'),
      Buffer.from(alice.credential),
      Buffer.from(PASSWORD),
    ]
    expect(store.history.length).toBeGreaterThan(6)
    for (const record of store.history) {
      for (const secret of secrets) {
        expect(Buffer.from(record).includes(secret)).toBe(false)
        expect(Buffer.from(record).includes(secret.subarray(0, 12))).toBe(false)
      }
    }
  })
})

describe('active server', () => {
  it('cannot change a field of a profile', async () => {
    const { store } = await enrol(alice)
    const record = (await store.readProfile())!
    for (let index = 0; index < record.length - 8; index += index > 70 && index < 1800 ? 29 : 1) {
      await failure(
        () => openProfile(resummed(flipped(record, index, index % 8)), alice),
        'authentication-failed',
        'malformed',
        'limit-exceeded',
        'unsupported',
        'wrong-password',
      )
    }
  })

  it('cannot put in its own admin', async () => {
    const { store } = await enrol(alice)
    const record = (await store.readProfile())!
    await failure(() => openProfile(resummed(patched(record, 58, other.card().bytes)), alice), 'authentication-failed')
  })

  it('cannot swap the slots of two users, or of two vaults', async () => {
    const [mine, theirs] = [await enrol(alice), await enrol(bob)]
    const [record, foreign] = [(await mine.store.readProfile())!, (await theirs.store.readProfile())!]
    const [slotAt, recoveryAt] = [record.length - 72 - 1716 - 2 - 148, record.length - 72 - 1716]
    const swap = (at: number, length: number) => resummed(patched(record, at, foreign.subarray(at, at + length)))
    await failure(() => openProfile(swap(slotAt, 148), alice), 'authentication-failed')
    // The admin, who has no mac to go by, meets the names in the slot.
    await failure(() => resetProfile(swap(recoveryAt, 1716), admin, renewed), 'authentication-failed')
    await failure(() => resetProfile(foreign, admin, renewed), 'authentication-failed')
    expect(resetProfile(record, admin, renewed).vaults).toEqual([mine.vault.id])

    const { profile: both } = await mine.profile.createVault(mine.store)
    const [first, second] = parseProfile(both.record).vaults
    const swapped = new Uint8Array(both.record)
    const [one, two] = [first!.slots[0]!.bytes, second!.slots[0]!.bytes]
    const at = (part: Uint8Array) => Buffer.from(both.record).indexOf(part)
    swapped.set(two, at(one))
    swapped.set(one, at(two))
    await failure(() => openProfile(resummed(swapped), alice), 'authentication-failed')
  })

  it('cannot bring back an old state', async () => {
    const { store, profile } = await enrol(alice)
    const rotated = await profile.rotate(store)
    for (const [version, record] of store.profiles) {
      if (version < rotated.version) {
        await failure(() => openProfile(record, alice, { atLeast: rotated.version }), 'rollback')
        await failure(() => resetProfile(record, admin, renewed, { atLeast: rotated.version }), 'rollback')
        await failure(() => checkProfile(record, rotated.record), 'conflict')
      }
    }
    expect(openProfile(rotated.record, alice, { atLeast: rotated.version }).version).toBe(rotated.version)
  })
})

describe('admin under zero trust', () => {
  /** The recovery slots of all records that were ever written, which an admin opens. */
  function recoverable(records: readonly Uint8Array[], who: KeysetReader): number {
    const { keyId } = cardIdentityOf(who)
    return records.filter((record) => Buffer.from(record).includes(Buffer.from(keyId))).length
  }

  it('finds no recovery slot in any record', async () => {
    const { store, profile } = await enrol(alice, { zeroTrust: true })
    const rotated = await (await profile.createVault(store)).profile.rotate(store)
    expect(rotated.zeroTrust).toBe(true)
    expect(recoverable(store.history, admin)).toBe(0)
    await failure(() => resetProfile(rotated.record, admin, renewed), 'policy')
  })

  it('opens nothing with what he kept, once zero trust is on and the old keyrings are gone', async () => {
    const { store, profile, vault } = await enrol(alice)
    const kept = resetProfile(profile.record, admin, renewed)
    const changed = await profile.changeRecovery({ zeroTrust: true }, store)
    expect(recoverable([changed.record], admin)).toBe(0)
    await failure(() => resetProfile(changed.record, admin, renewed), 'policy')
    const keyring = (await store.readKeyring(vault.id))!
    const stolen = new MemoryVaultStore()
    await stolen.writeProfile(kept.record, kept.version)
    await stolen.writeKeyring(vault.id, keyring, 9)
    await failure(() => kept.openVault(vault.id, stolen), 'authentication-failed')
  })

  it('cannot have zero trust turned off by a server that forgets it', async () => {
    const { profile } = await enrol(alice, { zeroTrust: true })
    const off = resummed(patched(profile.record, 56, [0]))
    await failure(() => openProfile(off, alice), 'malformed')
    await failure(() => resetProfile(off, admin, renewed), 'malformed')
    await failure(() => profile.changeRecovery({ admin: admin.card() }, new MemoryVaultStore()), 'policy')
  })
})

describe('writer of storage', () => {
  it('cannot pass an object of one kind for another', async () => {
    const { store, profile, vault } = await enrol(alice)
    const keyring = (await store.readKeyring(vault.id))!
    await failure(() => openProfile(keyring, alice), 'malformed')
    await failure(() => openProfile(resummed(keyring), alice), 'unsupported', 'malformed')
    const lying = async (bytes: Uint8Array) => {
      const forged = new MemoryVaultStore()
      await forged.writeProfile(profile.record, profile.version)
      await forged.writeKeyring(vault.id, bytes, 1)
      return profile.openVault(vault.id, forged)
    }
    await failure(() => lying(profile.record), 'unsupported')
    await failure(() => lying(admin.card().bytes), 'unsupported')
    // A slot is a WRAP like that in a keyring, of another type and under another key.
    const slot = parseProfile(profile.record).vaults[0]!.slots[0]!.bytes
    await failure(() => lying(patched(keyring, 62, slot)), 'authentication-failed')
  })
})

describe('a user who changed his password', () => {
  it('is still open to whoever kept the old record, until he rotates', async () => {
    const { store, profile, vault } = await enrol(alice)
    const block = await vault.seal(sample(100))
    const changed: UnlockedProfile = profile.changePassword(renewed)
    await store.writeProfile(changed.record, changed.version)
    const thief = new MemoryVaultStore()
    await thief.writeProfile(profile.record, profile.version)
    await thief.writeKeyring(vault.id, (await store.readKeyring(vault.id))!, 1)
    const old = openProfile(profile.record, alice)
    expect(await (await old.openVault(vault.id, thief)).open(block)).toEqual(sample(100))
    await changed.rotate(store)
    await thief.writeKeyring(vault.id, (await store.readKeyring(vault.id))!, 3)
    await failure(() => old.openVault(vault.id, thief), 'authentication-failed')
  })
})
