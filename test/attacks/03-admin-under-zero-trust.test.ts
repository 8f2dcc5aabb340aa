// Row 3. The admin could reset until zero trust was turned on. They have their keyset, every record that was ever
// written, and the E-keys that they took out of those records.
import { cardHolderOf } from '../../src/core/card.ts'
import { createProfile, deriveLogin, openProfile, parseProfile, resetProfile, saveProfile } from '../../src/vault.ts'
import { describe, expect, it } from 'vitest'
import { openRecoverySlot } from '../../src/vault/keyring.ts'
import { assertFollows, parseProfileRecord } from '../../src/vault/profile-record.ts'
import { withBytes } from '../../src/core/secret.ts'
import { memoryStateStore } from '../../src/stores.ts'
import {
  ALICE,
  cardIdentityOf,
  failure,
  KeepingStore,
  newestBytes,
  PASSWORD,
  patched,
  resummed,
  sample,
} from '../fixtures.ts'
import { dyingStore, PowerCut } from '../dying-store.ts'
import { withoutPauses } from '../pauses.ts'
import { quickKeyset } from './known.ts'

withoutPauses()

const alice = await deriveLogin(PASSWORD, ALICE)
const renewed = await deriveLogin('a new one', ALICE)
const admin = await quickKeyset()
const content = sample(100)

async function enrol(recovery: Parameters<typeof createProfile>[1] = { admin: admin.card() }) {
  const store = new KeepingStore()
  const { profile, vault } = await createProfile(alice, recovery).createVault(store)
  return { store, profile, vault, block: await vault.seal(content) }
}

/** Counts the records that contain the key id of the admin's card: something in them is sealed to the admin. */
function sealedToAdmin(written: readonly { bytes: Uint8Array }[]): number {
  const { keyId } = cardIdentityOf(admin)
  return written.filter(({ bytes: record }) => Buffer.from(record).includes(Buffer.from(keyId))).length
}

/** Resets as the admin who has pinned the identity in the record. */
const reset = (record: Uint8Array) => resetProfile(record, admin, renewed, { identity: parseProfile(record).identity })

/** Returns a store with what the admin kept and the newest keyring, as if they had stolen it. */
async function stolenStore(kept: Uint8Array, vaultId: string, store: KeepingStore) {
  const stolen = memoryStateStore()
  await stolen.write('profile', 1, kept)
  await stolen.write(`keyring/${vaultId}`, 1, await newestBytes(store, `keyring/${vaultId}`))
  return stolen
}

/** Returns the bytes of the E-key that the admin can take out of a record. */
function recoveredKey(record: Uint8Array): Buffer {
  const { header, vaults } = parseProfileRecord(record)
  const [vault] = vaults
  const { key } = openRecoverySlot(
    cardHolderOf(admin, 'admin', 'a test'),
    header.ownerId,
    ALICE,
    vault!.id,
    vault!.recoverySlots[0]!,
  )
  return withBytes(key, (bytes) => Buffer.from(bytes))
}

describe('an admin under zero trust wants a reset', () => {
  it('a reset throws: no record has a recovery slot, and a scan finds the admin’s key id in none', async () => {
    const { store, profile } = await enrol({ zeroTrust: true })
    const rotated = await (await profile.createVault(store)).profile.rotate(store)
    expect(rotated.zeroTrust).toBe(true)
    expect(sealedToAdmin(store.history)).toBe(0)
    for (const { name, bytes } of store.history) {
      if (name === 'profile') await failure(() => reset(bytes), 'policy')
    }
    // Control: with an admin, the record has their slot, and the scan finds it.
    const withAdmin = await enrol()
    expect(sealedToAdmin([{ bytes: withAdmin.profile.record }])).toBe(1)
    expect(recoveredKey(withAdmin.profile.record)).toHaveLength(16)
  })

  it('opens nothing with what they kept, once zero trust is on and the old keyrings are gone', async () => {
    const { store, profile, vault } = await enrol()
    const kept = reset(profile.record)
    const before = store.history.length
    const changed = await profile.changeRecovery(store, { zeroTrust: true })
    const written = store.history.slice(before)
    expect(written.length).toBeGreaterThan(4)
    expect(sealedToAdmin(written)).toBe(0)
    await failure(() => reset(changed.record), 'policy')
    const stolen = await stolenStore(kept.record, vault.id, store)
    await failure(() => kept.openVault(stolen, vault.id), 'authentication-failed')
  })

  it('cannot have zero trust turned off, by a server that writes a card into the record or by the user', async () => {
    const { profile, store } = await enrol({ zeroTrust: true })
    const { record } = profile
    const card = Uint8Array.of(1, ...admin.card().bytes)
    const off = resummed(Uint8Array.of(...record.subarray(0, 280), ...card, ...record.subarray(281)))
    await failure(() => openProfile(off, alice), 'authentication-failed')
    await failure(() => resetProfile(off, admin, renewed, { identity: 'unpinned' }), 'authentication-failed')
    await failure(() => openProfile(resummed(patched(record, 280, [1])), alice), 'malformed')
    await failure(() => profile.changeRecovery(store, { admin: admin.card() }), 'policy')
    // An honest server does not accept a record with an admin behind it from anybody, the user included.
    const before = parseProfileRecord(record)
    const changed = parseProfileRecord(profile.changePassword(alice).record)
    assertFollows(changed, before)
    await failure(
      () => assertFollows({ ...changed, recovery: { kind: 'card', value: admin.card().bytes } }, before),
      'policy',
    )
  })
})

describe('an admin under zero trust wants a reset after a crash in the middle of turning it on', () => {
  // Write 0 is the change itself. 2, 3, 5 and 6 are those of a rotation. 1 and 4 drop old records.
  it.each([0, 1, 2, 3, 4, 5, 6])(
    'after write %i: a reset throws, the zero-trust flag stays, and a rotation finishes the change',
    async (last) => {
      const { store, profile, vault, block } = await enrol()
      const kept = reset(profile.record)
      const known = recoveredKey(profile.record)
      const before = store.history.length
      await expect(profile.changeRecovery(dyingStore(store, last), { zeroTrust: true })).rejects.toThrow(PowerCut)
      const left = await newestBytes(store, 'profile')
      await failure(() => reset(left), 'policy')
      expect(sealedToAdmin(store.history.slice(before))).toBe(0)
      // Until the last profile is written, `rotationDue` tells the user that the admin may still have a key.
      const reopened = openProfile(left, alice)
      expect(reopened.rotationDue).toEqual(last < 6 ? [vault.id] : [])
      expect(await (await reopened.openVault(store, vault.id)).open(block)).toEqual(content)

      const finished = await reopened.rotate(store)
      expect([finished.zeroTrust, finished.rotationDue]).toEqual([true, []])
      expect(await (await finished.openVault(store, vault.id)).open(block)).toEqual(content)
      const stolen = await stolenStore(kept.record, vault.id, store)
      await failure(() => kept.openVault(stolen, vault.id), 'authentication-failed')
      for (const { bytes } of store.history) expect(Buffer.from(bytes).includes(known)).toBe(false)
    },
  )

  it('before the first write nothing has changed: the admin can still reset', async () => {
    const { store, profile, vault, block } = await enrol()
    await expect(profile.changeRecovery(dyingStore(store, 0, 'before'), { zeroTrust: true })).rejects.toThrow(PowerCut)
    const done = reset(await newestBytes(store, 'profile'))
    await saveProfile(store, done)
    expect(await (await done.openVault(store, vault.id)).open(block)).toEqual(content)
  })
})
