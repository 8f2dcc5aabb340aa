// The steps of SPEC §14.3, one by one. test/properties/rotation.test.ts searches for other sequences that fail.
import { describe, expect, it } from 'vitest'
import { createKeyset, KeystrataError, type SealedBlock } from '../../src/index.ts'
import { guardProfiles, saveCredential } from '../../src/server.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import { createProfile, deriveLogin, loadProfile, openProfile, resetProfile, saveProfile } from '../../src/vault.ts'
import { withBytes } from '../../src/core/secret.ts'
import { fillTrailer, macUnder } from '../../src/core/trailer.ts'
import { encodeKeyring, openKeyring, parseKeyring } from '../../src/vault/keyring.ts'
import { parseProfileRecord, type VaultEntry } from '../../src/vault/profile-record.ts'
import { dyingStore, PowerCut } from '../dying-store.ts'
import {
  ALICE,
  CHEAP,
  failure,
  flipped,
  hex,
  KeepingStore,
  newestBytes,
  PASSWORD,
  patched,
  resummed,
  sample,
} from '../fixtures.ts'
import { withoutPauses } from '../pauses.ts'
import { INSTANT } from '../server/instant-bcrypt.ts'
import { contentsOf as contentsUnder } from './forged.ts'
import { altered, versionsOf, watched } from './watched.ts'

withoutPauses()
const [login, next] = await Promise.all([deriveLogin(PASSWORD, ALICE), deriveLogin('another', ALICE)])
const [admin, successor] = await Promise.all(['admin', 'successor'].map((name) => createKeyset(name, { costs: CHEAP })))
const content = sample(500)

async function makeVault(recovery: Parameters<typeof createProfile>[1] = { zeroTrust: true }) {
  const store = new KeepingStore()
  const { profile, vault } = await createProfile(login, recovery).createVault(store)
  return { store, profile, vault, block: await vault.seal(content) }
}

const byAdmin = { admin: admin!.card() }
const newestRecord = (store: StateStore) => newestBytes(store, 'profile')
const newestKeyring = async (store: StateStore, vaultId: string) =>
  parseKeyring(await newestBytes(store, `keyring/${vaultId}`))
const reopen = (store: StateStore) => loadProfile(store, login)
const contentsOf = (record: Uint8Array) => contentsUnder(record, login)

/** Rotates, and checks that one E-key and one keyring are left. */
async function expectWhole(store: StateStore, vaultId: string, block: SealedBlock) {
  const rotated = await (await reopen(store)).rotate(store)
  await expectOpens(store, vaultId, block)
  const [vault] = contentsOf(rotated.record).vaults
  expect(vault!.keys).toHaveLength(1)
  expect(rotated.rotationDue).toEqual([])
  expect(await versionsOf(store, `keyring/${vaultId}`)).toHaveLength(1)
  expect(await versionsOf(store, 'profile')).toHaveLength(2)
}

async function expectOpens(store: StateStore, vaultId: string, block: SealedBlock) {
  const vault = await (await reopen(store)).openVault(store, vaultId)
  expect(await vault.open(block)).toEqual(content)
}

describe('a rotation', () => {
  it('writes in the order of SPEC §14.3, and reads nothing between its writes', async () => {
    const { store, profile } = await makeVault()
    const calls: string[] = []
    const rotated = await profile.rotate(watched(store, (call) => calls.push(call)))
    expect(calls.slice(calls.indexOf('write keyring 2'))).toEqual([
      'write keyring 2',
      'write profile 3',
      'drop profile 2',
      'write keyring 3',
      'write profile 4',
      'drop profile 3',
      'drop keyring 3',
    ])
    expect(calls.slice(0, calls.indexOf('write keyring 2')).every((call) => call.startsWith('read'))).toBe(true)
    expect(rotated.revision).toBe('4')
    expect(rotated.record).toEqual(await newestRecord(store))
    // Step 2 has both keys, step 4 the new one alone, and both say versions that count up inside too.
    const keyrings = store.history
      .filter(({ name }) => name.startsWith('keyring'))
      .map(({ bytes }) => parseKeyring(bytes))
    expect(keyrings.map(({ wraps }) => wraps.map(({ generation }) => generation))).toEqual([[1], [1, 2], [2]])
    expect(keyrings.map(({ version }) => version)).toEqual([1, 2, 3])
  })

  it('replaces the E-key and keeps the A-key: old blocks open, the old E-key opens no keyring', async () => {
    const { store, profile, vault, block } = await makeVault()
    const [old] = contentsOf(profile.record).vaults
    const before = openKeyring(await newestKeyring(store, vault.id), old!, old!.keys)!
    const rotated = await profile.rotate(store, vault.id)
    const after = await newestKeyring(store, vault.id)
    expect(openKeyring(after, old!, old!.keys)).toBeUndefined()
    const [now] = contentsOf(rotated.record).vaults
    const opened = openKeyring(after, now!, now!.keys)!
    expect(withBytes(opened.dataKey, hex)).toBe(withBytes(before.dataKey, hex))
    expect(withBytes(now!.keys[0]!.key, hex)).not.toBe(withBytes(old!.keys[0]!.key, hex))
    expect(now!.keys[0]!.generation).toBe(2)
    // Handles from before and after the rotation, and a vault that was opened before it.
    for (const handle of [profile, rotated]) {
      expect(await (await handle.openVault(store, vault.id)).open(block)).toEqual(content)
    }
    expect(await vault.open(block)).toEqual(content)
    const past = memoryStateStore()
    await past.write('profile', 1, profile.record)
    await past.write(`keyring/${vault.id}`, 1, await newestBytes(store, `keyring/${vault.id}`))
    await failure(() => profile.openVault(past, vault.id), 'authentication-failed')
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
    expect(Number(all.revision)).toBe(Number(both.revision) + 6)
  })

  it('of a profile without vaults writes nothing, and returns the newest', async () => {
    const store = new KeepingStore()
    const profile = createProfile(login, { zeroTrust: true })
    await failure(() => profile.rotate(store), 'missing')
    await saveProfile(store, profile)
    const same = await profile.rotate(store)
    expect(same.revision).toBe('1')
    expect(await newestRecord(store)).toEqual(profile.record)
    expect((await profile.rotate(store)).revision).toBe('1')
    expect(store.history).toHaveLength(1)
  })

  it('starts again eleven times after refused writes, then gives up, and loses nothing', async () => {
    const { store, profile, vault, block } = await makeVault()
    for (const refused of ['keyring', 'profile']) {
      let writes = 0
      const refusing = altered(store, {
        async write(name, version, bytes) {
          if (!name.startsWith(refused)) return store.write(name, version, bytes)
          writes++
          return false
        },
      })
      const { detail } = await failure(() => profile.rotate(refusing), 'conflict')
      expect(detail).toEqual({ object: 'profile', tries: 12 })
      expect(writes).toBe(12)
      await failure(() => profile.createVault(refusing), 'conflict')
      expect(writes).toBe(24)
    }
    await expectWhole(store, vault.id, block)
  })

  it('passes on the error of a store that never answers, and says that the write may have happened', async () => {
    const { store, profile, vault, block } = await makeVault()
    const down = altered(store, {
      async write() {
        throw new Error('down')
      },
    })
    await expect(profile.rotate(down)).rejects.toThrow(`down (version 2 of keyring/${vault.id} may have been written`)
    await expectWhole(store, vault.id, block)
  })

  it('does not start again if a server refuses a keyring for good', async () => {
    const { store, profile } = await makeVault()
    let writes = 0
    const refusing = altered(store, {
      async write() {
        writes++
        throw new KeystrataError('policy', 'refused', { rule: 'identity' })
      },
    })
    await failure(() => profile.rotate(refusing), 'policy')
    expect(writes).toBe(1)
  })
})

describe('a crash', () => {
  it('at any write of a rotation leaves a vault that opens, and a rotation that can be finished', async () => {
    for (let at = 0; at < 7; at++) {
      for (const when of ['before', 'after'] as const) {
        const { store, profile, vault, block } = await makeVault()
        const rotating = profile.rotate(dyingStore(store, at, when))
        // The last two calls drop what is old. Whether they succeed does not matter.
        if (at < 5) await expect(rotating).rejects.toThrow(PowerCut)
        else expect((await rotating).revision).toBe('4')
        await expectOpens(store, vault.id, block)
        await expectWhole(store, vault.id, block)
      }
    }
  })

  it('while zero trust is turned on: rotationDue lists the vault until its old key is gone', async () => {
    for (let at = 0; at < 8; at++) {
      const { store, profile, vault, block } = await makeVault(byAdmin)
      const before = contentsOf(profile.record).vaults[0]!.keys[0]!
      await profile.changeRecovery(dyingStore(store, at), { zeroTrust: true }).catch((error: unknown) => {
        expect(error).toBeInstanceOf(PowerCut)
      })
      const record = await newestRecord(store)
      const { recovery, vaults } = parseProfileRecord(record)
      const card = recovery.kind === 'card' ? recovery.value : undefined
      expect(card).toBeUndefined()
      expect(vaults[0]!.recoverySlots).toEqual([])
      // Until step 5 the old slot is there, and marked as due. Then the old key is gone.
      const isDone = at >= 6
      expect(vaults[0]!.slots.map(({ due }) => due)).toEqual(isDone ? [false] : at < 3 ? [true] : [true, false])
      expect((await reopen(store)).rotationDue).toEqual(isDone ? [] : [vault.id])
      await failure(() => resetProfile(record, admin!, login, { identity: 'unpinned' }), 'policy')
      await expectOpens(store, vault.id, block)
      const again = await (await reopen(store)).changeRecovery(store, { zeroTrust: true })
      expect(contentsOf(again.record).vaults[0]!.keys.map(({ generation }) => generation > before.generation)).toEqual([
        true,
      ])
      await expectWhole(store, vault.id, block)
    }
  })

  it('in a rotation before a change of recovery: both keys are replaced, as the admin may have them', async () => {
    const { store, profile, vault, block } = await makeVault(byAdmin)
    // The rotation stops once E′ is in a slot, a recovery slot and the keyring.
    await expect(profile.rotate(dyingStore(store, 1))).rejects.toThrow(PowerCut)
    const known = contentsOf(await newestRecord(store)).vaults[0]!.keys
    expect(known.map(({ generation }) => generation)).toEqual([1, 2])
    const changed = await (await reopen(store)).changeRecovery(store, { zeroTrust: true })
    const [now] = contentsOf(changed.record).vaults
    expect(now!.keys.map(({ generation }) => generation)).toEqual([3])
    expect(openKeyring(await newestKeyring(store, vault.id), now!, known)).toBeUndefined()
    await expectWhole(store, vault.id, block)
  })

  it('while the admin is changed: neither admin can reset until a rotation finishes it', async () => {
    const { store, profile, vault, block } = await makeVault(byAdmin)
    const changing = profile.changeRecovery(dyingStore(store, 3), { admin: successor!.card() })
    await expect(changing).rejects.toThrow(PowerCut)
    const record = await newestRecord(store)
    const [marked] = parseProfileRecord(record).vaults
    expect(marked!.slots.map(({ generation }) => generation)).toEqual([1, 2])
    expect(marked!.recoverySlots.map(({ generation }) => generation)).toEqual([2])
    for (const who of [admin, successor]) {
      await failure(() => resetProfile(record, who!, login, { identity: 'unpinned' }), 'key-not-found')
    }
    await expectWhole(store, vault.id, block)
    const whole = await newestRecord(store)
    const reset = resetProfile(whole, successor!, login, { identity: 'unpinned' })
    await saveProfile(store, reset)
    expect(await (await reset.openVault(store, vault.id)).open(block)).toEqual(content)
  })

  it('in a rotation that a later one finishes: the key of the interrupted rotation is replaced too', async () => {
    const { store, profile, vault, block } = await makeVault()
    await expect(profile.rotate(dyingStore(store, 1))).rejects.toThrow(PowerCut)
    const known = contentsOf(await newestRecord(store)).vaults[0]!
    expect(known.keys.map(({ generation }) => generation)).toEqual([1, 2])
    const rotated = await (await reopen(store)).rotate(store)
    expect(contentsOf(rotated.record).vaults[0]!.keys.map(({ generation }) => generation)).toEqual([3])
    expect(openKeyring(await newestKeyring(store, vault.id), known, known.keys)).toBeUndefined()
    await expectOpens(store, vault.id, block)
  })

  it('at any write of createVault leaves no vault or a usable one', async () => {
    for (let at = 0; at < 3; at++) {
      for (const when of ['before', 'after'] as const) {
        const store = new KeepingStore()
        const profile = createProfile(login, { zeroTrust: true })
        await expect(profile.createVault(dyingStore(store, at, when))).rejects.toThrow(PowerCut)
        const { profile: grown, vault } = await profile.createVault(store)
        for (const vaultId of grown.vaults) await grown.openVault(store, vaultId)
        expect(grown.vaults).toContain(vault.id)
        expect(grown.vaults).toHaveLength(at === 2 && when === 'after' ? 2 : 1)
      }
    }
  })

  it('at any write of a change of recovery through a guard leaves a profile that can be changed further', async () => {
    for (let at = 0; at < 9; at++) {
      const { database, session, profile, vault, block } = await guarded(byAdmin)
      await profile.changeRecovery(dyingStore(session, at), { zeroTrust: true }).catch((error: unknown) => {
        expect(error).toBeInstanceOf(PowerCut)
      })
      const again = await (await reopen(session)).rotate(session)
      expect([again.zeroTrust, again.rotationDue]).toEqual([true, []])
      await expectOpens(database, vault.id, block)
    }
  })
})

/** Returns a profile with a vault behind a guard. */
async function guarded(recovery: Parameters<typeof createProfile>[1]) {
  const database = memoryStateStore()
  const session = guardProfiles(database)
  const created = createProfile(login, recovery)
  await saveCredential(database, created.record, login.credential, INSTANT)
  const { profile, vault } = await created.createVault(session)
  return { database, session, profile, vault, block: await vault.seal(content) }
}

describe('another device', () => {
  it('that rotates between any two calls of a rotation causes a restart, and no key is lost', async () => {
    const { store: quiet, profile: alone } = await makeVault()
    let expected = 0
    await alone.rotate(watched(quiet, () => expected++))
    let interruptions = 0
    for (let at = 0; interruptions === at; at++) {
      const { store, profile, vault, block } = await makeVault()
      let calls = 0
      const interrupting = watched(store, async () => {
        if (calls++ !== at) return
        interruptions++
        await (await reopen(store)).rotate(store)
        await (await reopen(store)).rotate(store)
      })
      const rotated = await profile.rotate(interrupting)
      expect(contentsOf(rotated.record).vaults[0]!.keys).toHaveLength(1)
      await expectOpens(store, vault.id, block)
      await expectWhole(store, vault.id, block)
    }
    expect(interruptions).toBe(expected)
  })

  it.each([
    ['rotation', 'rotate'],
    ['creation of a vault', 'create'],
  ] as const)(
    'that changes the recovery between any two calls of a %s behind a guard causes a restart',
    async (_, work) => {
      let interruptions = 0
      for (let at = 0; interruptions === at; at++) {
        const { session, profile, vault, block } = await guarded(byAdmin)
        let calls = 0
        const interrupting = watched(session, async () => {
          if (calls++ !== at) return
          interruptions++
          await (await reopen(session)).changeRecovery(session, { admin: successor!.card() })
        })
        if (work === 'rotate') expect((await profile.rotate(interrupting)).rotationDue).toEqual([])
        else {
          const made = await profile.createVault(interrupting)
          expect(made.profile.vaults).toEqual([vault.id, made.vault.id])
          // The former admin knows no key of the new vault.
          const [, created] = parseProfileRecord(await newestRecord(session)).vaults
          expect(created!.slots.map(({ due }) => due)).toEqual([false])
        }
        await expectOpens(session, vault.id, block)
      }
      expect(interruptions).toBe(work === 'rotate' ? 12 : 5)
    },
  )

  it('that changed the password makes a rotation fail with wrong-password', async () => {
    const { store, profile, vault, block } = await makeVault()
    const changed = profile.changePassword(next)
    await saveProfile(store, changed)
    await failure(() => profile.rotate(store), 'wrong-password')
    await failure(() => profile.createVault(store), 'wrong-password')
    await failure(() => profile.changeRecovery(store, { zeroTrust: true }), 'wrong-password')
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
  it('that returns an old profile gives rollback, and one without a profile gives missing', async () => {
    const { store, profile, vault } = await makeVault()
    const rotated = await profile.rotate(store)
    const past = memoryStateStore()
    await past.write('profile', 1, profile.record)
    const changed = rotated.changePassword(login)
    for (const handle of [rotated, changed]) {
      await failure(() => handle.rotate(past), 'rollback')
      await failure(() => handle.createVault(past), 'rollback')
      await failure(() => handle.changeRecovery(past, { zeroTrust: true }), 'rollback')
    }
    // A handle that was changed and not saved is newer than the store.
    await failure(() => changed.rotate(store), 'rollback')
    for (const work of [
      () => rotated.rotate(memoryStateStore()),
      () => rotated.createVault(memoryStateStore()),
      () => rotated.openVault(memoryStateStore(), vault.id),
      () => rotated.changeRecovery(memoryStateStore(), { zeroTrust: true }),
    ]) {
      expect((await failure(work, 'missing')).detail).toEqual({ object: 'profile' })
    }
  })

  it('whose reads are late for a while is read again', async () => {
    const { store, profile, vault, block } = await makeVault()
    const rotated = await profile.rotate(store)
    let late = 3
    const old = { version: 2, bytes: profile.record }
    const lagging = altered(store, {
      read: async (name) => (name === 'profile' && late-- > 0 ? old : store.read(name)),
    })
    expect((await rotated.rotate(lagging)).revision).toBe('6')
    late = 3
    const missing = altered(store, {
      read: async (name) => (name === 'profile' && late-- > 0 ? undefined : store.read(name)),
    })
    expect((await rotated.rotate(missing)).revision).toBe('8')
    await expectOpens(store, vault.id, block)
  })

  it('that is empty gets a new profile with its first vault. Other changes say that it is missing', async () => {
    const store = new KeepingStore()
    const profile = createProfile(login, byAdmin)
    await failure(() => profile.rotate(store), 'missing')
    await failure(() => profile.changeRecovery(store, { zeroTrust: true }), 'missing')
    await failure(() => profile.changePassword(next).createVault(store), 'missing')
    expect(store.history).toEqual([])
    await profile.createVault(store)
    expect(store.history[0]).toEqual({ name: 'profile', version: 1, bytes: profile.record })
  })

  it('that returns another profile under the same password is refused', async () => {
    const { store, profile } = await makeVault()
    const other = await makeVault(byAdmin)
    const { length } = other.store.history
    const unsaved = createProfile(login, { zeroTrust: true })
    for (const handle of [profile, unsaved]) {
      for (const work of [
        () => handle.createVault(other.store),
        () => handle.rotate(other.store),
        () => handle.changeRecovery(other.store, { zeroTrust: true }),
      ]) {
        expect((await failure(work, 'policy')).detail).toEqual({ rule: 'same-profile' })
      }
    }
    expect(other.store.history).toHaveLength(length)
    expect((await profile.rotate(store)).zeroTrust).toBe(true)
  })

  it('that reports a write as refused although it succeeded does no harm', async () => {
    for (const lost of [0, 1, 2, 3, 4]) {
      const { store, profile } = await makeVault()
      let writes = 0
      const repeating = altered(store, {
        write: async (...write) => {
          const isDone = await store.write(...write)
          return writes++ === lost ? false : isDone
        },
      })
      const { profile: grown, vault } = await profile.createVault(repeating)
      expect(grown.vaults).toEqual([...profile.vaults, vault.id])
      const rotated = await grown.rotate(repeating)
      expect((await reopen(store)).vaults).toEqual(rotated.vaults)
      for (const vaultId of rotated.vaults) await rotated.openVault(store, vaultId)
    }
  })

  it('whose answers get lost, while another device writes on, does no harm', async () => {
    for (const lost of [0, 1, 2, 3, 4]) {
      const { store, profile, vault, block } = await makeVault()
      let writes = 0
      const repeating = altered(store, {
        write: async (...write) => {
          const isDone = await store.write(...write)
          if (writes++ !== lost) return isDone
          // Others go on so far that the versions which were written are dropped: nobody knows what became of them.
          await (await reopen(store)).rotate(store)
          await (await reopen(store)).rotate(store)
          return false
        },
      })
      const { profile: grown, vault: made } = await profile.createVault(repeating)
      // A try that arrived after all is found, and no second vault is created.
      expect(grown.vaults).toEqual([vault.id, made.id])
      await grown.rotate(repeating)
      await expectWhole(store, vault.id, block)
      expect((await reopen(store)).vaults.slice(0, 2)).toEqual([vault.id, made.id])
    }
  })

  it('that cannot delete works, but keeps old keyrings and records', async () => {
    for (const drop of [
      async () => undefined,
      async () => {
        throw new Error('not allowed')
      },
    ]) {
      const { store, profile, vault, block } = await makeVault()
      const keeping = altered(store, { drop })
      const rotated = await (await profile.rotate(keeping)).rotate(keeping)
      expect(await (await rotated.openVault(keeping, vault.id)).open(block)).toEqual(content)
      expect(await versionsOf(store, `keyring/${vault.id}`)).toEqual([1, 2, 3, 4, 5])
      expect(await versionsOf(store, 'profile')).toEqual([1, 2, 3, 4, 5, 6])
    }
  })

  it('that lost a keyring is read ten times more, then refused as missing', async () => {
    const { store, profile, vault } = await makeVault()
    let reads = 0
    const losing = altered(store, {
      async read(name) {
        if (name === 'profile') return store.read(name)
        reads++
        return undefined
      },
    })
    expect((await failure(() => profile.openVault(losing, vault.id), 'missing')).detail).toEqual({
      object: `keyring/${vault.id}`,
    })
    expect(reads).toBe(11)
    await failure(() => profile.rotate(losing), 'missing')
    expect(reads).toBe(21)
  })

  it('that damages any byte of a keyring is refused, and nothing is written', async () => {
    const { store, profile, vault } = await makeVault()
    const keyring = await newestBytes(store, `keyring/${vault.id}`)
    const [entry] = contentsOf(profile.record).vaults
    const { length } = store.history
    // The checksum is the last 8 bytes. Whoever corrects it undoes the damage to it.
    for (let index = 0; index < keyring.length - 8; index++) {
      const bit = flipped(keyring, index, index % 8)
      await failure(() => parseKeyring(bit), 'malformed')
      // Somebody corrects the checksum.
      const damaged = resummed(bit)
      const outcome = await Promise.resolve()
        .then(() => openKeyring(parseKeyring(damaged), entry!, entry!.keys))
        .catch((error: unknown) => (error instanceof KeystrataError ? error.code : error))
      expect(['authentication-failed', 'malformed', 'unsupported', undefined]).toContain(outcome)
      if (index % 60 !== 0) continue
      const damaging = altered(store, {
        read: async (name) => (name === 'profile' ? store.read(name) : { version: 1, bytes: damaged }),
      })
      const codes = ['authentication-failed', 'malformed', 'unsupported'] as const
      await failure(() => profile.openVault(damaging, vault.id), ...codes)
      await failure(() => profile.rotate(damaging), ...codes)
    }
    expect(store.history).toHaveLength(length)
  })

  it('that swaps the keyrings of two vaults is refused', async () => {
    const { store, profile, vault } = await makeVault()
    const { profile: both, vault: other } = await profile.createVault(store)
    const swapping = altered(store, {
      read: (name) =>
        store.read(name === 'profile' ? name : `keyring/${name.endsWith(vault.id) ? other.id : vault.id}`),
    })
    await failure(() => both.openVault(swapping, vault.id), 'authentication-failed')
    await failure(() => both.openVault(swapping, other.id), 'authentication-failed')
  })

  it('that returns invalid answers is a TypeError, and nothing is tried again', async () => {
    const { store, profile, vault } = await makeVault()
    let calls = 0
    const wrong = (value: unknown) =>
      (async () => {
        calls++
        return value
      }) as never
    for (const changes of [{ read: wrong(null) }, { read: wrong({ version: '1' }) }, { write: wrong(1) }]) {
      calls = 0
      await expect(profile.rotate(altered(store, changes))).rejects.toThrow(TypeError)
      await expect(profile.createVault(altered(store, changes))).rejects.toThrow(TypeError)
      expect(calls).toBe(2)
    }
    await expect(profile.openVault(altered(store, { read: wrong('x') }), vault.id)).rejects.toThrow(TypeError)
  })
})

describe('a keyring', () => {
  it('that does not parse is skipped, and the next one goes behind it', async () => {
    const { store, profile, vault, block } = await makeVault()
    const name = `keyring/${vault.id}`
    const good = await newestBytes(store, name)
    for (const damaged of [new Uint8Array(0), good.subarray(0, 100), patched(good, 0, [0]), new Uint8Array(65_537)]) {
      const { version } = (await store.read(name))!
      await store.write(name, version + 1, damaged)
      await expectOpens(store, vault.id, block)
      await (await reopen(store)).rotate(store)
      expect(await versionsOf(store, name)).toEqual([version + 3])
    }
    await expectOpens(store, vault.id, block)
    expect(profile.vaults).toEqual([vault.id])
  })

  it('that parses is never skipped, and neither is one of a later release', async () => {
    const { store, profile, vault } = await makeVault()
    const name = `keyring/${vault.id}`
    const good = await newestBytes(store, name)
    const codes = [
      [resummed(patched(good, 11, [2])), 'unsupported'],
      [resummed(patched(good, 4, [2])), 'unsupported'],
      [resummed(flipped(good, good.length - 20)), 'authentication-failed'],
      [resummed(flipped(good, 200)), 'authentication-failed'],
    ] as const
    for (const [bytes, code] of codes) {
      const changed = memoryStateStore()
      await changed.write('profile', 1, profile.record)
      await changed.write(name, 1, good)
      await changed.write(name, 2, bytes)
      await failure(() => profile.openVault(changed, vault.id), code)
      await failure(() => profile.rotate(changed), code)
      expect((await changed.read(name))!.version).toBe(2)
    }
  })

  it('of which two versions do not parse is malformed', async () => {
    const { store, profile, vault } = await makeVault()
    const name = `keyring/${vault.id}`
    await store.write(name, 2, sample(40))
    await store.write(name, 3, sample(40))
    await failure(() => profile.openVault(store, vault.id), 'malformed')
    const large = memoryStateStore()
    await large.write('profile', 1, profile.record)
    await large.write(name, 1, new Uint8Array(65_537))
    await failure(() => profile.openVault(large, vault.id), 'limit-exceeded')
  })

  it('opens whoever has signed it, because readers may meet one of a former identity', async () => {
    const { store, profile, vault, block } = await makeVault(byAdmin)
    // The change stops before the first keyring: that one is still signed by the former identity.
    await expect(profile.changeRecovery(dyingStore(store, 0), { zeroTrust: true })).rejects.toThrow(PowerCut)
    expect((await reopen(store)).identity).not.toBe(profile.identity)
    await expectOpens(store, vault.id, block)
  })

  it('whose wraps hold different A-keys is refused, even though its MAC is right for one of them', async () => {
    const { store, profile, vault } = await makeVault()
    const { profile: both, vault: other } = await profile.createVault(store)
    const { vaults, identity } = contentsOf(both.record)
    const [one, two] = vaults
    const open = async (name: string, entry: VaultEntry) =>
      openKeyring(await newestKeyring(store, name), entry, entry.keys)!
    const [first, second] = [await open(vault.id, one!), await open(other.id, two!)]
    const key = { ...two!.keys[0]!, generation: 2 }
    const both1 = encodeKeyring(one!.id, 2, first.dataKey, [...one!.keys, key], identity, undefined)
    const both2 = encodeKeyring(one!.id, 2, second.dataKey, [...one!.keys, key], identity, undefined)
    const macked = (bytes: Uint8Array) => {
      const whole = new Uint8Array(bytes)
      fillTrailer(whole, (part) => macUnder(first.dataKey, 'keyring-mac', [one!.id], part))
      return whole
    }
    expect(macked(both1)).toEqual(both1)
    // Replace the second wrap with that of the other keyring.
    const wrapAt = 48 + 8 + 32 + 2 + 4 + 160
    const mixed = macked(patched(both1, wrapAt, both2.subarray(wrapAt, wrapAt + 164)))
    expect(parseKeyring(mixed).wraps).toHaveLength(2)
    expect(openKeyring(parseKeyring(mixed), one!, one!.keys)!.live).toHaveLength(1)
    expect(openKeyring(parseKeyring(both1), one!, [...one!.keys, key])!.live).toHaveLength(2)
    await failure(() => openKeyring(parseKeyring(mixed), one!, [...one!.keys, key]), 'authentication-failed')
  })
})

describe('openVault', () => {
  it('needs no profile in the store while the known keys open the keyring', async () => {
    const { store, profile, vault, block } = await makeVault()
    const keyrings = altered(store, {
      read: (name) => (name === 'profile' ? Promise.reject(new Error('no')) : store.read(name)),
    })
    expect(await (await profile.openVault(keyrings, vault.id)).open(block)).toEqual(content)
    expect(await (await openProfile(profile.record, login).openVault(keyrings, vault.id)).open(block)).toEqual(content)
  })
})
