// Row 3. The admin could reset until zero trust was turned on. They have their keyset, every record that was ever
// written, and the E-keys that they took out of those records.
import { cardHolderOf } from '../../src/core/card.ts'
import { createProfile, openProfile, deriveLogin, resetProfile } from '../../src/vault.ts'
import { describe, expect, it } from 'vitest'
import { openRecoverySlot } from '../../src/vault/keyring.ts'
import { parseProfile } from '../../src/vault/profile-record.ts'
import { withBytes } from '../../src/core/secret.ts'
import { checkProfile } from '../../src/server.ts'
import { ALICE, cardIdentityOf, failure, MemoryVaultStore, PASSWORD, patched, resummed, sample } from '../fixtures.ts'
import { dyingStore, PowerCut } from '../dying-store.ts'
import { quickKeyset } from './known.ts'

const alice = await deriveLogin(PASSWORD, ALICE)
const renewed = await deriveLogin('a new one', ALICE)
const admin = await quickKeyset()
const content = sample(100)

async function enrol(recovery: Parameters<typeof createProfile>[1] = { admin: admin.card() }) {
  const store = new MemoryVaultStore()
  const { profile, vault } = await createProfile(alice, recovery).createVault(store)
  return { store, profile, vault, block: await vault.seal(content) }
}

/** Counts the records that contain the key id of the admin's card: something in them is sealed to the admin. */
function sealedToAdmin(records: readonly Uint8Array[]): number {
  const { keyId } = cardIdentityOf(admin)
  return records.filter((record) => Buffer.from(record).includes(Buffer.from(keyId))).length
}

/** Returns the bytes of the E-key that the admin can take out of a record. */
function recoveredKey(record: Uint8Array): Buffer {
  const { header, vaults } = parseProfile(record)
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
    for (const record of store.profiles.values()) await failure(() => resetProfile(record, admin, renewed), 'policy')
    // Control: with an admin, the record has their slot, and the scan finds it.
    const withAdmin = await enrol()
    expect(sealedToAdmin([withAdmin.profile.record])).toBe(1)
    expect(recoveredKey(withAdmin.profile.record)).toHaveLength(16)
  })

  it('opens nothing with what they kept, once zero trust is on and the old keyrings are gone', async () => {
    const { store, profile, vault } = await enrol()
    const kept = resetProfile(profile.record, admin, renewed)
    const before = store.history.length
    const changed = await profile.changeRecovery(store, { zeroTrust: true })
    const written = store.history.slice(before)
    expect(written.length).toBeGreaterThan(4)
    expect(sealedToAdmin(written)).toBe(0)
    await failure(() => resetProfile(changed.record, admin, renewed), 'policy')
    const stolen = new MemoryVaultStore()
    await stolen.writeProfile(kept.record, kept.version)
    await stolen.writeKeyring(vault.id, (await store.readKeyring(vault.id))!, 9)
    await failure(() => kept.openVault(stolen, vault.id), 'authentication-failed')
  })

  it('cannot have zero trust turned off, by a server that clears the flag or by the user', async () => {
    const { profile } = await enrol({ zeroTrust: true })
    const off = resummed(patched(profile.record, 56, [0]))
    await failure(() => openProfile(off, alice), 'malformed')
    await failure(() => resetProfile(off, admin, renewed), 'malformed')
    await failure(() => profile.changeRecovery(new MemoryVaultStore(), { admin: admin.card() }), 'policy')
    // An honest server does not accept such a record from anybody.
    const withAdmin = createProfile(alice, { admin: admin.card() }).changePassword(alice)
    const zeroTrust = createProfile(alice, { zeroTrust: true })
    await failure(() => checkProfile(withAdmin.record, zeroTrust.record), 'policy')
  })
})

describe('an admin under zero trust wants a reset after a crash in the middle of turning it on', () => {
  // Write 0 is the change itself; the other six are those of a rotation.
  it.each([0, 1, 2, 3, 4, 5, 6])(
    'after write %i: a reset throws, the zero-trust flag stays, and a rotation finishes the change',
    async (last) => {
      const { store, profile, vault, block } = await enrol()
      const kept = resetProfile(profile.record, admin, renewed)
      const known = recoveredKey(profile.record)
      const before = store.history.length
      await expect(profile.changeRecovery(dyingStore(store, last), { zeroTrust: true })).rejects.toThrow(PowerCut)
      const left = (await store.readProfile())!
      await failure(() => resetProfile(left, admin, renewed), 'policy')
      expect(sealedToAdmin(store.history.slice(before))).toBe(0)
      // Until the last profile is written, `rotationDue` tells the user that the admin may still have a key.
      const reopened = openProfile(left, alice)
      expect(reopened.rotationDue).toEqual(last < 5 ? [vault.id] : [])
      expect(await (await reopened.openVault(store, vault.id)).open(block)).toEqual(content)

      const finished = await reopened.rotate(store)
      expect([finished.zeroTrust, finished.rotationDue]).toEqual([true, []])
      expect(await (await finished.openVault(store, vault.id)).open(block)).toEqual(content)
      const stolen = new MemoryVaultStore()
      await stolen.writeProfile(kept.record, kept.version)
      await stolen.writeKeyring(vault.id, (await store.readKeyring(vault.id))!, 9)
      await failure(() => kept.openVault(stolen, vault.id), 'authentication-failed')
      for (const record of store.history) expect(Buffer.from(record).includes(known)).toBe(false)
    },
  )

  it('before the first write nothing has changed: the admin can still reset', async () => {
    const { store, profile, vault, block } = await enrol()
    await expect(profile.changeRecovery(dyingStore(store, 0, 'before'), { zeroTrust: true })).rejects.toThrow(PowerCut)
    const reset = resetProfile((await store.readProfile())!, admin, renewed)
    expect(await (await reset.openVault(store, vault.id)).open(block)).toEqual(content)
  })
})
