// Row 3. The admin could reset until zero trust was turned on. He has his keyset, every record that was ever written, and the
// E-keys that he took out of them.
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

/** The records in which something is sealed to the admin: his card's key id is in front of it. */
function sealedToAdmin(records: readonly Uint8Array[]): number {
  const { keyId } = cardIdentityOf(admin)
  return records.filter((record) => Buffer.from(record).includes(Buffer.from(keyId))).length
}

/** The E-key that the admin takes out of a record, as bytes to look for. */
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
  it('reset throws: there is no recovery slot, and the canary scan finds none in any record', async () => {
    const { store, profile } = await enrol({ zeroTrust: true })
    const rotated = await (await profile.createVault(store)).profile.rotate(store)
    expect(rotated.zeroTrust).toBe(true)
    expect(sealedToAdmin(store.history)).toBe(0)
    for (const record of store.profiles.values()) await failure(() => resetProfile(record, admin, renewed), 'policy')
    // The scan scans something: with an admin every record has his slot.
    const withAdmin = await enrol()
    expect(sealedToAdmin([withAdmin.profile.record])).toBe(1)
    expect(recoveredKey(withAdmin.profile.record)).toHaveLength(16)
  })

  it('opens nothing with what he kept, once zero trust is on and the old keyrings are gone', async () => {
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

  it('cannot have zero trust turned off by a server that forgets it, or by its user', async () => {
    const { profile } = await enrol({ zeroTrust: true })
    const off = resummed(patched(profile.record, 56, [0]))
    await failure(() => openProfile(off, alice), 'malformed')
    await failure(() => resetProfile(off, admin, renewed), 'malformed')
    await failure(() => profile.changeRecovery(new MemoryVaultStore(), { admin: admin.card() }), 'policy')
    // An honest server takes no such record, whoever made it.
    const withAdmin = createProfile(alice, { admin: admin.card() }).changePassword(alice)
    const zeroTrust = createProfile(alice, { zeroTrust: true })
    await failure(() => checkProfile(withAdmin.record, zeroTrust.record), 'policy')
  })
})

describe('an admin under zero trust wants a reset after a crash in the middle of turning it on', () => {
  // The change itself, and the six writes of a rotation.
  it.each([0, 1, 2, 3, 4, 5, 6])(
    'after write %i: reset throws, the mark stays, and rotating finishes',
    async (last) => {
      const { store, profile, vault, block } = await enrol()
      const kept = resetProfile(profile.record, admin, renewed)
      const known = recoveredKey(profile.record)
      const before = store.history.length
      await expect(profile.changeRecovery(dyingStore(store, last), { zeroTrust: true })).rejects.toThrow(PowerCut)
      const left = (await store.readProfile())!
      await failure(() => resetProfile(left, admin, renewed), 'policy')
      expect(sealedToAdmin(store.history.slice(before))).toBe(0)
      // Until the last profile is written the user is told that the admin may still have a key.
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

  it('before its first write nothing has changed: the reset that was allowed still is', async () => {
    const { store, profile, vault, block } = await enrol()
    await expect(profile.changeRecovery(dyingStore(store, 0, 'before'), { zeroTrust: true })).rejects.toThrow(PowerCut)
    const reset = resetProfile((await store.readProfile())!, admin, renewed)
    expect(await (await reset.openVault(store, vault.id)).open(block)).toEqual(content)
  })
})
