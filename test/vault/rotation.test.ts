// The steps of SPEC §10.3, one by one. test/properties/rotation.test.ts searches for other sequences that fail.
import { createProfile, openProfile, deriveLogin, resetProfile, type VaultStore } from '../../src/vault.ts'
import { ownerOf } from '../../src/vault/login.ts'
import { describe, expect, it } from 'vitest'
import { createKeyset } from '../../src/index.ts'
import { encodeKeyring, openKeyring, parseKeyring } from '../../src/vault/keyring.ts'
import { openProfileRecord, parseProfile } from '../../src/vault/profile-record.ts'
import { withBytes } from '../../src/core/secret.ts'
import { ALICE, CHEAP, failure, flipped, hex, MemoryVaultStore, PASSWORD, sample } from '../fixtures.ts'
import { dyingStore, PowerCut } from '../dying-store.ts'

const login = await deriveLogin(PASSWORD, ALICE)
const admin = await createKeyset('admin', { costs: CHEAP })
const content = sample(500)

async function makeVault(recovery: Parameters<typeof createProfile>[1] = { zeroTrust: true }) {
  const store = new MemoryVaultStore()
  const { profile, vault } = await createProfile(login, recovery).createVault(store)
  return { store, profile, vault, block: await vault.seal(content) }
}

const newestProfile = (store: MemoryVaultStore) => store.profiles.get(Math.max(...store.profiles.keys()))!
const reopen = (store: MemoryVaultStore) => openProfile(newestProfile(store), login)
const contentsOf = (record: Uint8Array) => openProfileRecord(parseProfile(record), ownerOf(login).rootKey)

/** Returns a store that calls `before` before every operation. */
function watched(store: VaultStore, before: (call: string) => unknown): VaultStore {
  return {
    async readProfile() {
      await before('readProfile')
      return store.readProfile()
    },
    async writeProfile(record, version) {
      await before(`writeProfile ${version}`)
      return store.writeProfile(record, version)
    },
    async readKeyring(vaultId) {
      await before('readKeyring')
      return store.readKeyring(vaultId)
    },
    async writeKeyring(vaultId, keyring, version) {
      await before(`writeKeyring ${version}`)
      return store.writeKeyring(vaultId, keyring, version)
    },
    async dropKeyrings(vaultId, below) {
      await before(`dropKeyrings ${below}`)
      await store.dropKeyrings(vaultId, below)
    },
  }
}

async function expectWhole(store: MemoryVaultStore, vaultId: string, block: Parameters<typeof expectOpens>[2]) {
  const rotated = await reopen(store).rotate(store)
  await expectOpens(store, vaultId, block)
  const [vault] = contentsOf(rotated.record).vaults
  expect(vault!.keys).toHaveLength(1)
  expect(rotated.rotationDue).toEqual([])
  expect(store.keyrings.get(vaultId)!.size).toBe(1)
}

async function expectOpens(
  store: MemoryVaultStore,
  vaultId: string,
  block: Awaited<ReturnType<typeof makeVault>>['block'],
) {
  const vault = await reopen(store).openVault(store, vaultId)
  expect(await vault.open(block)).toEqual(content)
}

describe('a rotation', () => {
  it('writes in the order of SPEC §10.3', async () => {
    const { store, profile } = await makeVault()
    const calls: string[] = []
    const rotated = await profile.rotate(watched(store, (call) => calls.push(call)))
    expect(calls.filter((call) => call.startsWith('write') || call.startsWith('drop'))).toEqual([
      'dropKeyrings 1',
      'writeKeyring 2',
      'writeProfile 3',
      'writeKeyring 3',
      'writeProfile 4',
      'dropKeyrings 3',
    ])
    expect(calls.slice(calls.indexOf('writeKeyring 2') + 1, calls.indexOf('writeProfile 3'))).toEqual(['readKeyring'])
    const five = calls.slice(calls.indexOf('writeProfile 3') + 1, calls.indexOf('writeKeyring 3'))
    expect(five).toEqual(['readProfile', 'readKeyring'])
    expect(rotated.version).toBe(4)
    expect(rotated.record).toEqual(newestProfile(store))
  })

  it('replaces the E-key and keeps the A-key: old blocks open, the old E-key opens no keyring', async () => {
    const { store, profile, vault, block } = await makeVault()
    const [old] = contentsOf(profile.record).vaults
    const before = openKeyring((await store.readKeyring(vault.id))!, old!, old!.keys)!
    const rotated = await profile.rotate(store, vault.id)
    const after = (await store.readKeyring(vault.id))!
    expect(openKeyring(after, old!, old!.keys)).toBeUndefined()
    const [next] = contentsOf(rotated.record).vaults
    const opened = openKeyring(after, next!, next!.keys)!
    expect(withBytes(opened.dataKey, hex)).toBe(withBytes(before.dataKey, hex))
    expect(withBytes(next!.keys[0]!.key, hex)).not.toBe(withBytes(old!.keys[0]!.key, hex))
    expect(next!.keys[0]!.generation).toBe(2)
    // Handles from before and after the rotation, and a vault that was opened before it.
    for (const handle of [profile, rotated]) {
      expect(await (await handle.openVault(store, vault.id)).open(block)).toEqual(content)
    }
    expect(await vault.open(block)).toEqual(content)
    await failure(async () => {
      const past = new MemoryVaultStore()
      await past.writeProfile(profile.record, profile.version)
      await past.writeKeyring(vault.id, after, 3)
      return profile.openVault(past, vault.id)
    }, 'authentication-failed')
  })

  it('rotates every vault, or only the given one', async () => {
    const { store, profile, vault } = await makeVault()
    const { profile: both, vault: second } = await profile.createVault(store)
    const generations = (record: Uint8Array) =>
      Object.fromEntries(contentsOf(record).vaults.map(({ id, keys }) => [hex(id), keys[0]!.generation]))
    const one = await both.rotate(store, second.id)
    expect(generations(one.record)).toEqual({ [vault.id]: 1, [second.id]: 2 })
    const all = await one.rotate(store)
    expect(generations(all.record)).toEqual({ [vault.id]: 2, [second.id]: 3 })
    expect(all.version).toBe(both.version + 6)
  })

  it('of a profile without vaults returns the newest profile', async () => {
    const store = new MemoryVaultStore()
    const profile = createProfile(login, { zeroTrust: true })
    const same = await profile.rotate(store)
    expect(same.version).toBe(1)
    expect(store.profiles.get(1)).toEqual(profile.record)
  })

  it('starts again three times after refused writes, then gives up, and loses nothing', async () => {
    const { store, profile, vault, block } = await makeVault()
    let writes = 0
    const refusing: VaultStore = {
      ...watched(store, () => undefined),
      writeKeyring: async () => {
        writes++
        return false
      },
    }
    await failure(() => profile.rotate(refusing), 'conflict')
    expect(writes).toBe(4)
    await failure(
      () => profile.rotate({ ...watched(store, () => undefined), writeProfile: async () => false }),
      'conflict',
    )
    await expectWhole(store, vault.id, block)
  })
})

describe('a crash', () => {
  it('at any write of a rotation leaves a vault that opens, and a rotation that can be finished', async () => {
    for (let at = 0; at < 6; at++) {
      for (const after of [false, true]) {
        const { store, profile, vault, block } = await makeVault()
        await expect(profile.rotate(dyingStore(store, at, after ? 'after' : 'before'))).rejects.toThrow(PowerCut)
        await expectOpens(store, vault.id, block)
        await expectWhole(store, vault.id, block)
      }
    }
  })

  it('while zero trust is turned on: rotationDue lists the vault until its old key is gone', async () => {
    for (let at = 0; at < 7; at++) {
      const { store, profile, vault, block } = await makeVault({ admin: admin.card() })
      const before = contentsOf(profile.record).vaults[0]!.keys[0]!
      await expect(profile.changeRecovery(dyingStore(store, at), { zeroTrust: true })).rejects.toThrow(PowerCut)
      const { zeroTrust, vaults } = parseProfile(newestProfile(store))
      expect(zeroTrust).toBe(true)
      expect(vaults[0]!.recoverySlots).toEqual([])
      // Before step 7 the slot is marked as due. After it the old key is gone.
      const isDone = at >= 5
      expect(vaults[0]!.slots[0]!.due).toBe(!isDone)
      expect(reopen(store).rotationDue).toEqual(isDone ? [] : [vault.id])
      await failure(() => resetProfile(newestProfile(store), admin, login), 'policy')
      await expectOpens(store, vault.id, block)
      const again = await reopen(store).changeRecovery(store, { zeroTrust: true })
      expect(contentsOf(again.record).vaults[0]!.keys.map(({ generation }) => generation > before.generation)).toEqual([
        true,
      ])
      await expectWhole(store, vault.id, block)
    }
  })

  it('in a rotation before a change of recovery: both keys are replaced, as the admin may have them', async () => {
    const { store, profile, vault, block } = await makeVault({ admin: admin.card() })
    // The rotation stops once E′ is in a slot, a recovery slot and the keyring.
    await expect(profile.rotate(dyingStore(store, 2))).rejects.toThrow(PowerCut)
    const known = contentsOf(newestProfile(store)).vaults[0]!.keys
    expect(known.map(({ generation }) => generation)).toEqual([1, 2])
    const changed = await reopen(store).changeRecovery(store, { zeroTrust: true })
    const [now] = contentsOf(changed.record).vaults
    expect(now!.keys.map(({ generation }) => generation)).toEqual([3])
    expect(openKeyring((await store.readKeyring(vault.id))!, now!, known)).toBeUndefined()
    await expectWhole(store, vault.id, block)
  })

  it('while the admin is changed: neither admin can reset until a rotation finishes it', async () => {
    const { store, profile, vault, block } = await makeVault({ admin: admin.card() })
    const successor = await createKeyset('successor', { costs: CHEAP })
    await expect(profile.changeRecovery(dyingStore(store, 3), { admin: successor.card() })).rejects.toThrow(PowerCut)
    const [marked] = parseProfile(newestProfile(store)).vaults
    expect(marked!.slots.map(({ generation }) => generation)).toEqual([1, 2])
    expect(marked!.recoverySlots.map(({ generation }) => generation)).toEqual([2])
    for (const who of [admin, successor]) {
      await failure(() => resetProfile(newestProfile(store), who, login), 'key-not-found')
    }
    await expectWhole(store, vault.id, block)
    const reset = resetProfile(newestProfile(store), successor, login)
    expect(await (await reset.openVault(store, vault.id)).open(block)).toEqual(content)
  })

  it('in a rotation that a later one finishes: the key of the interrupted rotation is replaced too', async () => {
    const { store, profile, vault, block } = await makeVault()
    await expect(profile.rotate(dyingStore(store, 2))).rejects.toThrow(PowerCut)
    const known = contentsOf(newestProfile(store)).vaults[0]!
    expect(known.keys.map(({ generation }) => generation)).toEqual([1, 2])
    const rotated = await reopen(store).rotate(store)
    expect(contentsOf(rotated.record).vaults[0]!.keys.map(({ generation }) => generation)).toEqual([3])
    expect(openKeyring((await store.readKeyring(vault.id))!, known, known.keys)).toBeUndefined()
    await expectOpens(store, vault.id, block)
  })

  it('at any write of createVault leaves no vault or a usable one', async () => {
    for (let at = 0; at < 3; at++) {
      for (const after of [false, true]) {
        const store = new MemoryVaultStore()
        const profile = createProfile(login, { zeroTrust: true })
        await expect(profile.createVault(dyingStore(store, at, after ? 'after' : 'before'))).rejects.toThrow(PowerCut)
        const { profile: next, vault } = await profile.createVault(store)
        for (const vaultId of next.vaults) await next.openVault(store, vaultId)
        expect(next.vaults).toContain(vault.id)
        expect(next.vaults).toHaveLength(at === 2 && after ? 2 : 1)
      }
    }
  })
})

describe('another device', () => {
  it('that rotates between any two calls of a rotation causes a restart, and no key is lost', async () => {
    let interruptions = 0
    for (let at = 0; interruptions === at; at++) {
      const { store, profile, vault, block } = await makeVault()
      let calls = 0
      const interrupting = watched(store, async () => {
        if (calls++ !== at) return
        interruptions++
        await reopen(store).rotate(store)
        await reopen(store).rotate(store)
      })
      const rotated = await profile.rotate(interrupting)
      expect(contentsOf(rotated.record).vaults[0]!.keys).toHaveLength(1)
      await expectOpens(store, vault.id, block)
      await expectWhole(store, vault.id, block)
    }
    expect(interruptions).toBe(16)
  })

  it('that changed the password makes a rotation fail with wrong-password', async () => {
    const { store, profile, vault, block } = await makeVault()
    const next = await deriveLogin('another', ALICE)
    const changed = profile.changePassword(next)
    await store.writeProfile(changed.record, changed.version)
    await failure(() => profile.rotate(store), 'wrong-password')
    await failure(() => profile.createVault(store), 'wrong-password')
    const rotated = await changed.rotate(store)
    expect(await (await rotated.openVault(store, vault.id)).open(block)).toEqual(content)
  })

  it('that created a vault keeps it when this device creates another', async () => {
    const { store, profile } = await makeVault()
    const [first, second] = [await profile.createVault(store), await profile.createVault(store)]
    expect(second.profile.vaults).toEqual([...first.profile.vaults, second.vault.id])
    // An old handle that does not list the vault finds it in the store.
    expect((await profile.openVault(store, second.vault.id)).id).toBe(second.vault.id)
  })
})

describe('a faulty or malicious store', () => {
  it('that claims a write is detected before anything relies on the write', async () => {
    const { store, profile, vault, block } = await makeVault()
    const forgetful: VaultStore = { ...watched(store, () => undefined), writeKeyring: async () => true }
    await failure(() => profile.rotate(forgetful), 'authentication-failed')
    await failure(() => profile.createVault(forgetful), 'authentication-failed')
    let writes = 0
    const later: VaultStore = {
      ...watched(store, () => undefined),
      writeKeyring: async (...write) => (writes++ === 0 ? store.writeKeyring(...write) : true),
    }
    await failure(() => profile.rotate(later), 'authentication-failed')
    await expectWhole(store, vault.id, block)
  })

  it('that returns an old profile gives rollback, and a profile that was never stored is stored first', async () => {
    const { store, profile } = await makeVault()
    const rotated = await profile.rotate(store)
    const past: VaultStore = { ...watched(store, () => undefined), readProfile: async () => profile.record }
    await failure(() => rotated.rotate(past), 'rollback')
    await failure(() => rotated.createVault(past), 'rollback')
    await failure(() => rotated.changeRecovery(past, { zeroTrust: true }), 'rollback')
    const empty = new MemoryVaultStore()
    await createProfile(login, { zeroTrust: true }).createVault(empty)
    expect([...empty.profiles.keys()]).toEqual([1, 2])
    const nothing: VaultStore = { ...watched(store, () => undefined), readProfile: async () => undefined }
    await failure(() => rotated.rotate(nothing), 'key-not-found')
  })

  it('that returns another profile under the same password is refused', async () => {
    const { store, profile } = await makeVault()
    const other = await makeVault({ admin: admin.card() })
    await failure(() => profile.createVault(other.store), 'authentication-failed')
    await failure(() => profile.rotate(other.store), 'authentication-failed')
    await failure(() => profile.changeRecovery(other.store, { zeroTrust: true }), 'authentication-failed')
    expect(other.store.profiles.size).toBe(2)
    expect((await profile.rotate(store)).zeroTrust).toBe(true)
  })

  it('that reports a write as refused although it succeeded does no harm', async () => {
    for (const lost of [0, 1, 2]) {
      const { store, profile } = await makeVault()
      let writes = 0
      const answer = (done: Promise<boolean>) => done.then((isDone) => (writes++ === lost ? false : isDone))
      const repeating: VaultStore = {
        ...watched(store, () => undefined),
        writeProfile: (record, version) => answer(store.writeProfile(record, version)),
        writeKeyring: (vaultId, keyring, version) => answer(store.writeKeyring(vaultId, keyring, version)),
      }
      const { profile: next, vault } = await profile.createVault(repeating)
      expect(next.vaults).toEqual([...profile.vaults, vault.id])
      expect(reopen(store).vaults).toEqual(next.vaults)
    }
  })

  it('that cannot delete works, but keeps old keyrings', async () => {
    const { store, profile, vault, block } = await makeVault()
    const keeping: VaultStore = { ...watched(store, () => undefined), dropKeyrings: async () => undefined }
    const rotated = await (await profile.rotate(keeping)).rotate(keeping)
    expect(await (await rotated.openVault(keeping, vault.id)).open(block)).toEqual(content)
    expect(store.keyrings.get(vault.id)!.size).toBe(5)
  })

  it('that lost a keyring is read ten times more, then refused with key-not-found', async () => {
    const { store, profile, vault } = await makeVault()
    let reads = 0
    const losing: VaultStore = {
      ...watched(store, () => undefined),
      async readKeyring() {
        reads++
        return undefined
      },
    }
    await failure(() => profile.openVault(losing, vault.id), 'key-not-found')
    expect(reads).toBe(11)
    await failure(() => profile.rotate(losing), 'key-not-found')
  })

  it('that damages any byte of a keyring is refused, and no keyring is dropped', async () => {
    const { store, profile, vault } = await makeVault()
    const keyring = (await store.readKeyring(vault.id))!
    let dropped = 0
    for (let index = 0; index < keyring.length; index++) {
      const damaged: VaultStore = {
        ...watched(store, () => undefined),
        readKeyring: async () => flipped(keyring, index, index % 8),
        async dropKeyrings() {
          dropped++
        },
      }
      await failure(() => profile.openVault(damaged, vault.id), 'authentication-failed', 'malformed', 'unsupported')
      if (index % 16 === 0) {
        await failure(() => profile.rotate(damaged), 'authentication-failed', 'malformed', 'unsupported')
      }
    }
    expect(dropped).toBe(0)
  })

  it('that swaps the keyrings of two vaults is refused', async () => {
    const { store, profile, vault } = await makeVault()
    const { profile: both, vault: other } = await profile.createVault(store)
    const swapping: VaultStore = {
      ...watched(store, () => undefined),
      readKeyring: (vaultId) => store.readKeyring(vaultId === vault.id ? other.id : vault.id),
    }
    await failure(() => both.openVault(swapping, vault.id), 'authentication-failed')
    await failure(() => both.openVault(swapping, other.id), 'authentication-failed')
  })
})

describe('a keyring', () => {
  it('whose wraps hold different A-keys is refused, even though its MAC is right for one of them', async () => {
    const { store, profile, vault } = await makeVault()
    const { profile: both, vault: other } = await profile.createVault(store)
    const [one, two] = contentsOf(both.record).vaults
    const open = async (name: string, entry: typeof one & object) =>
      openKeyring((await store.readKeyring(name))!, entry, entry.keys)!
    const [first, second] = [await open(vault.id, one!), await open(other.id, two!)]
    const key = { ...two!.keys[0]!, generation: 2 }
    const both1 = encodeKeyring(one!.id, 2, first.dataKey, [...one!.keys, key])
    const both2 = encodeKeyring(one!.id, 2, second.dataKey, [...one!.keys, key])
    // Replace the second wrap with that of the other keyring.
    const mixed = new Uint8Array(both1)
    const wrapAt = 48 + 8 + 2 + 4 + 160
    mixed.set(both2.subarray(wrapAt, wrapAt + 164), wrapAt)
    expect(parseKeyring(mixed).wraps).toHaveLength(2)
    expect(openKeyring(both1, one!, [...one!.keys, key])!.live).toHaveLength(2)
    await failure(() => openKeyring(mixed, one!, [...one!.keys, key]), 'authentication-failed')
  })
})
