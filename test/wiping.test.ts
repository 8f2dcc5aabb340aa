// Buffers that held secrets hold only zeros afterwards, also after an error. Every secret passes through the backend,
// so the tests capture the buffers there.
import { encodeKeyset } from '../src/keyset/exports.ts'
import {
  createProfile,
  deriveLogin,
  loadProfile,
  openProfile,
  openSavedLogin,
  resetProfile,
  restoreProfile,
  saveProfile,
} from '../src/vault.ts'
import { armRegistration, deriveClient, openRegistration, openSavedClient } from '../src/client.ts'
import {
  ALICE,
  anywhere,
  atStart,
  backends,
  cheap,
  CHEAP,
  DESKTOP,
  failure,
  flipped,
  isNode,
  makeKeyset,
  PASSWORD,
  patched,
  resummed,
  sample,
  withBackend,
  ofEveryScope,
} from './fixtures.ts'
import { memoryStateStore, type StateStore } from '../src/stores.ts'
import {
  changeKeyset,
  createKeyset,
  KeystrataError,
  openLog,
  openPackMember,
  openSavedKeyset,
  openWriter,
  saveKeyset,
  unlockKeyset,
} from '../src/index.ts'
import { delegate, openDelegation } from '../src/fleet.ts'
import { deriveLegacyClient } from '../src/legacy.ts'
import {
  addSlot,
  deriveRecoveryKey,
  generateRecoveryCode,
  recoverKeyset,
  renewSlots,
  splitRecoveryCode,
  testSlot,
} from '../src/recovery.ts'
import { openKeyRegistry, verifyCredential } from '../src/server.ts'
import { createDeviceKey, openDeviceKey } from '../src/device.ts'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { unlocked } from '../src/keyset/keyset.ts'
import { createMaster } from '../src/keyset/master.ts'
import { type Backend, type Kem, type X25519Encapsulator } from '../src/primitives/backend.ts'
import { useBackend } from '../src/primitives/choice.ts'
import { SecretKey } from '../src/core/secret.ts'
import { type MadeArray, stopWatching, watchArrays } from './arrays.ts'
import { planted, plantedContents, plantedMaster } from './keyset/planted.ts'
import { delegated, delegationOf, ownerCard, sealOf } from './vectors/make-delegation.ts'

/** Arrays of at most 96 bytes in memory of their own. Every key of the library that copies its bytes holds one. */
let copies: readonly MadeArray[] = []

/** The memory of every key that adopted the result of a primitive. */
let adopted: Uint8Array[] = []

// Objects made before a test starts to capture use the same cheap hashes.
beforeEach(() => useBackend(cheap(backends[0]!)))
afterEach(() => {
  vi.restoreAllMocks()
  stopWatching()
  useBackend(undefined)
})

/** Returns a backend that records every secret buffer that it receives or returns. */
function capturing(whole: Backend): { backend: Backend; captured: Map<string, Uint8Array[]> } {
  copies = watchArrays((bytes, [given]) => given instanceof ArrayBuffer && bytes.length <= 96)
  adopted = []
  const adopt = SecretKey.adopt.bind(SecretKey)
  vi.spyOn(SecretKey, 'adopt').mockImplementation((role, bytes) => {
    adopted.push(bytes)
    return adopt(role, bytes)
  })
  const backend = cheap(whole)
  const captured: Map<string, Uint8Array[]> = new Map()
  const keep = (what: string, ...buffers: Uint8Array[]) => {
    captured.set(what, [...(captured.get(what) ?? []), ...buffers])
  }
  return {
    captured,
    backend: {
      ...backend,
      hmac(hash, key, parts) {
        keep('hmac key', key)
        return backend.hmac(hash, key, parts)
      },
      hkdf(hash, ikm, salt, info, length) {
        const output = backend.hkdf(hash, ikm, salt, info, length)
        keep('hkdf key', ikm)
        if (length > 16) keep('hkdf output', output)
        return output
      },
      gcmSeal(key, iv, aad, text) {
        keep('gcm key', key)
        keep('gcm text', text)
        return backend.gcmSeal(key, iv, aad, text)
      },
      gcmOpen(key, iv, aad, sealed) {
        const text = backend.gcmOpen(key, iv, aad, sealed)
        keep('gcm key', key)
        if (text !== undefined) keep('gcm text', text)
        return text
      },
      async copyAndDigest(content, copy, digests) {
        const results = await backend.copyAndDigest(content, copy, digests)
        keep('content digest', ...results)
        return results
      },
      gcmSealContent(key, iv, aad, buffer) {
        keep('content key', key)
        return backend.gcmSealContent(key, iv, aad, buffer)
      },
      async gcmOpenContent(key, iv, aad, sealed) {
        const text = await backend.gcmOpenContent(key, iv, aad, sealed)
        keep('content key', key)
        if (text !== undefined) keep('content', text)
        return text
      },
      ctr(key, counter, buffer) {
        keep('ctr key', key)
        return backend.ctr(key, counter, buffer)
      },
      chachaPolyTag(key, parts) {
        keep('poly1305 key', key)
        return backend.chachaPolyTag(key, parts)
      },
      async pbkdf2Sha512(password, salt, _iterations, length, wait) {
        keep('password', password)
        // One iteration keeps the test fast.
        const derived = await backend.pbkdf2Sha512(password, salt, 1, length, wait)
        keep('pbkdf2 output', derived)
        return derived
      },
      x25519: capturingKem(backend.x25519, keep),
      mlKem1024: capturingKem(backend.mlKem1024, keep),
      async argon2id(password, salt, costs, length, wait) {
        keep('password', password)
        const hash = await backend.argon2id(password, salt, costs, length, wait)
        keep('argon2 hash', hash)
        return hash
      },
    },
  }
}

function capturingKem(
  kem: Kem<X25519Encapsulator>,
  keep: (what: string, ...buffers: Uint8Array[]) => void,
): Kem<X25519Encapsulator> {
  return {
    encapsulator(publicKey) {
      const encapsulator = kem.encapsulator(publicKey)
      return {
        encapsulate(ephemeral?: Uint8Array) {
          if (ephemeral !== undefined) keep('ephemeral key', ephemeral)
          const sent = encapsulator.encapsulate(ephemeral)
          keep('shared secret', sent.shared)
          return sent
        },
      }
    },
    decapsulator(privateKey) {
      keep('private key', privateKey)
      const decapsulator = kem.decapsulator(privateKey)
      return {
        ...decapsulator,
        decapsulate(ciphertext) {
          const shared = decapsulator.decapsulate(ciphertext)
          keep('shared secret', shared)
          return shared
        },
      }
    },
  }
}

/** The constructor in a stack. Firefox writes no `new`. */
const MAKES_KEY = /\bnew SecretKey\b|^SecretKey@/m

function expectWiped(captured: Map<string, Uint8Array[]>, except: readonly string[] = []): void {
  expect(captured.size).toBeGreaterThan(0)
  // A registry keeps its key as long as its server runs.
  const keys = copies.filter(({ stack }) => MAKES_KEY.test(stack) && !stack.includes('server/challenge.ts'))
  expect(keys.length + adopted.length).toBeGreaterThan(0)
  expect(adopted.filter((bytes) => bytes.some((byte) => byte !== 0))).toEqual([])
  const left = keys.filter(({ bytes }) => bytes.some((byte) => byte !== 0))
  expect(left.map(({ stack }) => stack)).toEqual([])
  for (const [what, buffers] of captured) {
    if (except.includes(what)) continue
    for (const buffer of buffers)
      expect(
        buffer.every((byte) => byte === 0),
        what,
      ).toBe(true)
  }
}

describe.each(backends)('keysets on $name', (backend) => {
  it('creating, exporting, unlocking and disposing leave no secrets in memory', async () => {
    const { backend: watched, captured } = capturing(backend)
    useBackend(watched)
    const created = await createKeyset(PASSWORD, { costs: CHEAP })
    const host = created.export('host')
    created.dispose()
    ;(await unlockKeyset(host, PASSWORD)).dispose()
    // The verifier of the master key also comes from HKDF. It is stored in the clear, so it is not a secret.
    const verifiers = captured.get('hkdf output')!.filter((output) => output.some((byte) => byte !== 0))
    expect(verifiers.every((output) => Buffer.from(host).includes(Buffer.from(output)))).toBe(true)
    expectWiped(captured, ['hkdf output'])
    expect([...captured.keys()].sort()).toEqual(
      ['argon2 hash', 'gcm key', 'gcm text', 'hkdf key', 'hkdf output', 'hmac key', 'password', 'private key'].sort(),
    )
  })

  it('a wrong password, an empty password and an aborted unlock leave no secrets', async () => {
    const keyset = await makeKeyset()
    const { backend: watched, captured } = capturing(backend)
    useBackend(watched)
    await failure(() => unlockKeyset(keyset.export('host'), 'wrong'), 'wrong-password')
    await failure(() => createKeyset('', { costs: CHEAP }), 'invalid-text')
    const controller = new AbortController()
    const aborted = unlockKeyset(keyset.export('host'), PASSWORD, { signal: controller.signal })
    controller.abort()
    await failure(() => aborted, 'aborted')
    keyset.dispose()
    expectWiped(captured, ['hkdf output'])
  })

  it.each(['scoped', 'global', 'off'] as const)(
    'sealing and opening leave no secrets except the content (%s)',
    async (dedup) => {
      const host = (await makeKeyset()).export('host')
      const { backend: watched, captured } = capturing(backend)
      useBackend(watched)
      const keyset = await unlockKeyset(host, PASSWORD)
      const writer = openWriter(host, { dedup })
      const block = await writer.seal(sample(1000))
      const content = await keyset.open(block)
      const { content: pack, members } = await writer.pack([sample(20)])
      expect(await openPackMember(pack, members[0]!)).toEqual(sample(20))
      writer.dispose()
      keyset.dispose()
      expect(content).toEqual(sample(1000))
      expect(captured.get('shared secret')!.length).toBeGreaterThanOrEqual(5)
      expectWiped(captured, ['content', 'content digest', 'hkdf output'])
      const digests = captured.get('content digest')!
      expect(digests.every((digest) => digest.every((byte) => byte === 0))).toBe(true)
    },
  )

  it('changing keys, rekeying and resealing leave no secrets except the opened content', async () => {
    const host = (await makeKeyset()).export('host')
    const { backend: watched, captured } = capturing(backend)
    useBackend(watched)
    const keyset = await unlockKeyset(host, PASSWORD)
    const writer = openWriter(keyset.export('host'))
    const block = await writer.seal(sample(100))
    const changed = await keyset.changePassword('another')
    const other = await changed.changePassword('a third', { newMaster: true })
    const next = other.regenerate()
    const envelope = next.rekey(block)
    const log = memoryStateStore()
    const position = await openLog(log, 'log', writer).append(sample(100))
    await openLog(log, 'log', next).reseal({ atLeast: position })
    await openLog(log, 'log', next).last({ atLeast: position })
    const last = next.forgetRetired('unchecked')
    expect(await last.open({ ...block, envelope })).toEqual(sample(100))
    await failure(() => next.rekey({ ...block, envelope: flipped(envelope, 1700) }), 'authentication-failed')
    for (const handle of [keyset, writer, changed, other, next, last]) handle.dispose()
    expectWiped(captured, ['content', 'hkdf output'])
  })

  it('sharing leaves no secrets except the opened content', async () => {
    const [alice, bob] = [await makeKeyset(), await makeKeyset()]
    const { backend: watched, captured } = capturing(backend)
    useBackend(watched)
    const { keyset: owner, share } = alice.createShare()
    const straight = owner.createShare({ to: bob.card() })
    const again = owner.share(share.id)
    const writer = openWriter(owner.export('host'))
    const block = await writer.seal(sample(100), { shares: [share.id] })
    const prepared = await writer.prepare(sample(100))
    await prepared.envelopesFor([share.id])
    prepared.dispose()
    const invite = share.invite(bob.card())
    const [reader, other] = [
      bob.acceptShare(invite, alice.card()),
      bob.acceptShare(straight.share.invite(bob.card()), alice.card()),
    ]
    const shared = { ...block, envelope: share.add(block) }
    expect(await reader.open(shared)).toEqual(sample(100))
    const { record } = await share.sealRecord(sample(100), atStart)
    await reader.openRecord(record, anywhere)
    await failure(() => reader.open({ ...shared, envelope: flipped(shared.envelope, 1700) }), 'authentication-failed')
    await failure(() => bob.acceptShare(flipped(invite, 2000), alice.card()), 'authentication-failed')
    await failure(() => alice.acceptShare(invite, alice.card()), 'key-not-found')
    await failure(() => writer.seal(sample(100), { shares: ['x'] }), 'key-not-found')
    const revoked = owner.revokeShare(share.id)
    for (const handle of [
      alice,
      bob,
      owner,
      share,
      straight.keyset,
      straight.share,
      again,
      writer,
      reader,
      other,
      revoked,
    ]) {
      handle.dispose()
    }
    expectWiped(captured, ['content', 'hkdf output'])
  })

  it('a block that fails to open leaves no secrets and no content', async () => {
    const keyset = await makeKeyset()
    const [one, other] = [
      await openWriter(keyset.export('host'), { dedup: 'global' }).seal(sample(100)),
      await openWriter(keyset.export('host')).seal(sample(90)),
    ]
    const { backend: watched, captured } = capturing(backend)
    useBackend(watched)
    await failure(() => keyset.open({ ...one, ciphertext: flipped(one.ciphertext, 3) }), 'authentication-failed')
    await failure(() => keyset.open({ ...one, ciphertext: other.ciphertext }), 'authentication-failed')
    await failure(() => keyset.open({ ...one, label: other.label }), 'authentication-failed')
    keyset.dispose()
    expectWiped(captured)
  })

  it('a prepared block that is never sealed is wiped', async () => {
    const keyset = await makeKeyset()
    const copies: Uint8Array[] = []
    useBackend({
      ...backend,
      copyAndDigest(content, copy, digests) {
        copies.push(copy)
        return backend.copyAndDigest(content, copy, digests)
      },
    })
    const prepared = await openWriter(keyset.export('host')).prepare(sample(100))
    expect(copies[0]).toEqual(sample(100))
    prepared.dispose()
    expect(copies[0]).toEqual(new Uint8Array(100))

    const writer = openWriter(keyset.export('host'))
    const orphan = await writer.prepare(sample(100))
    writer.dispose()
    await failure(() => orphan.seal(), 'disposed')
    expect(copies[1]).toEqual(new Uint8Array(100))
  })

  it('content is wiped when hashing or sealing it fails', async () => {
    const keyset = await makeKeyset()
    const copies: Uint8Array[] = []
    const broken = () => Promise.reject(new Error('broken'))
    useBackend({
      ...backend,
      async copyAndDigest(content, copy, digests) {
        copies.push(copy)
        await backend.copyAndDigest(content, copy, digests)
        return broken()
      },
    })
    await expect(openWriter(keyset.export('host')).prepare(sample(100))).rejects.toThrow('broken')
    expect(copies[0]).toEqual(new Uint8Array(100))

    let buffer: Uint8Array | undefined
    useBackend({
      ...backend,
      gcmSealContent(_key, _iv, _aad, text) {
        buffer = text
        return broken()
      },
    })
    await expect(openWriter(keyset.export('host')).seal(sample(100))).rejects.toThrow('broken')
    expect(buffer?.every((byte) => byte === 0)).toBe(true)
    await expect(openWriter(keyset.export('host')).sealRecord(sample(100), atStart)).rejects.toThrow('broken')
    expect(buffer?.every((byte) => byte === 0)).toBe(true)
  })
})

describe.each(backends)('profiles and vaults on $name', (backend) => {
  it('creating, rotating and resetting a vault leave no secrets except the content', async () => {
    const admin = await makeKeyset()
    const { backend: watched, captured } = capturing(backend)
    useBackend(watched)
    const login = await deriveLogin(PASSWORD, ALICE)
    const next = await deriveLogin('another', ALICE)
    const store = memoryStateStore()
    const first = createProfile(login, { admin: admin.card() })
    const { profile, vault } = await first.createVault(store)
    const block = await vault.seal(sample(1000))
    const rotated = await profile.rotate(store)
    const reopened = await rotated.openVault(store, vault.id)
    expect(await reopened.open(block)).toEqual(sample(1000))
    const changed = rotated.changePassword(next)
    const reset = resetProfile(changed.record, admin, next, { identity: changed.identity })
    const own = reset.changePassword(login)
    await saveProfile(store, changed)
    const loaded = await loadProfile(store, next)
    const restored = await restoreProfile(store, loaded)
    const trusted = await changed.changeRecovery(store, { zeroTrust: true })
    expect(await verifyCredential(memoryStateStore(), login.credential, { cost: 10 })).toBe(false)
    const handles = [
      login,
      next,
      first,
      profile,
      vault,
      rotated,
      reopened,
      changed,
      reset,
      own,
      loaded,
      restored,
      trusted,
    ]
    for (const handle of [...handles, admin]) handle.dispose()
    expect([...captured.keys()].sort()).toEqual(
      [
        ...['content digest', 'ctr key', 'gcm key', 'gcm text', 'hkdf key', 'hkdf output', 'hmac key', 'password'],
        ...['ephemeral key', 'pbkdf2 output', 'poly1305 key', 'private key', 'shared secret'],
      ].sort(),
    )
    expectWiped(captured)
  })

  it('a callback that throws leaves no secrets, and the caller gets its error', async () => {
    const { backend: watched, captured } = capturing(backend)
    useBackend(watched)
    for (const at of [0, 1]) {
      const onProgress = (fraction: number) => {
        if (fraction >= at) throw new Error('from the callback')
      }
      await expect(deriveLogin(PASSWORD, ALICE, { onProgress })).rejects.toThrow('from the callback')
      await expect(createKeyset(PASSWORD, { costs: CHEAP, onProgress })).rejects.toThrow('from the callback')
    }
    expectWiped(captured)
  })

  it('failed operations leave no secrets', async () => {
    const admin = await makeKeyset()
    const { backend: watched, captured } = capturing(backend)
    useBackend(watched)
    const login = await deriveLogin(PASSWORD, ALICE)
    const next = await deriveLogin('another', ALICE)
    const bob = await deriveLogin(PASSWORD, { ...ALICE, user: 'bob' })
    const store = memoryStateStore()
    const first = createProfile(login, { admin: admin.card() })
    const { profile, vault } = await first.createVault(store)
    const block = await vault.seal(sample(100))
    await failure(() => openProfile(profile.record, next), 'wrong-password')
    await failure(() => resetProfile(profile.record, admin, bob, { identity: 'unpinned' }), 'authentication-failed')
    await failure(() => vault.open({ ...block, ciphertext: flipped(block.ciphertext, 3) }), 'authentication-failed')
    const refusing: StateStore = {
      ...store,
      write: async (name, version, bytes) => {
        if (name === 'profile') throw new KeystrataError('policy', 'refused')
        return store.write(name, version, bytes)
      },
    }
    await failure(() => profile.rotate(refusing), 'policy')
    await failure(() => profile.createVault(refusing), 'policy')
    await failure(() => profile.changeRecovery(refusing, { zeroTrust: true }), 'policy')
    await failure(() => loadProfile(store, next), 'wrong-password')
    await failure(() => restoreProfile(memoryStateStore(), profile), 'missing')
    const damaged: StateStore = {
      ...store,
      read: async (name) => {
        const { version, bytes } = (await store.read(name))!
        // A byte of the wrapped A-key.
        return { version, bytes: name === 'profile' ? bytes : resummed(flipped(bytes, 200)) }
      },
    }
    await failure(() => profile.openVault(damaged, vault.id), 'authentication-failed')
    const rotated = await profile.rotate(store)
    await failure(() => restoreProfile(store, profile), 'policy')
    for (const handle of [login, next, bob, first, profile, rotated, vault, admin]) handle.dispose()
    expectWiped(captured)
  })
})

describe.each(backends)('recovery on $name', (backend) => {
  it('keys, slots and recoveries leave no secrets, also after errors', async () => {
    const keyset = await makeKeyset()
    const friend = await makeKeyset()
    const login = await deriveLogin(PASSWORD, ALICE)
    // The package that splits secrets refuses arrays of a class that is watched, so parts are put together before.
    const code = generateRecoveryCode()
    const byParts = await deriveRecoveryKey({ parts: await splitRecoveryCode(code, { parts: 3, needed: 2 }) })
    const { backend: watched, captured } = capturing(backend)
    useBackend(watched)
    const store = memoryStateStore()
    await saveKeyset(store, keyset)
    const bySecret = await deriveRecoveryKey({ secret: sample(32) })
    const keys = [await deriveRecoveryKey({ code }), byParts, bySecret] as const
    await addSlot(store, keyset, keys[1], { label: 'Sheet' })
    await addSlot(store, keyset, friend.card(), { label: 'Friend' })
    await failure(() => addSlot(store, keyset, keyset.card(), { label: 'own' }), 'policy')
    const changed = await changeKeyset(store, keyset, (newest) =>
      newest.changePassword('next', { newMaster: true, costs: CHEAP }),
    )
    const handles = [await recoverKeyset(store, keys[0])]
    await renewSlots(store, changed)
    await testSlot(store, keys[0])
    handles.push(await recoverKeyset(store, friend, { from: keyset.card() }))
    await failure(() => recoverKeyset(store, friend, { from: friend.card() }), 'key-changed')
    await failure(() => recoverKeyset(store, keys[0], { id: friend.id }), 'policy')
    await failure(() => testSlot(store, keys[2]), 'key-not-found')
    const { bytes, version } = (await store.read('slots'))!
    await store.write('slots', version + 1, resummed(flipped(bytes, bytes.length - 100)))
    await testSlot(store, keys[0])
    const profile = createProfile(login, { zeroTrust: true, recoveryKey: keys[2] })
    const reset = resetProfile(profile.record, keys[2], login)
    await failure(() => resetProfile(profile.record, keys[0], login), 'key-not-found')
    for (const handle of [keyset, friend, login, changed, profile, reset, ...keys, ...handles]) handle.dispose()
    expectWiped(captured, ['hkdf output'])
  })
})

describe.each(backends)('delegations on $name', (backend) => {
  it('leave no secrets, also when opening fails at each step', async () => {
    const [keyset, friend] = [await makeKeyset(), await makeKeyset()]
    const [fleet, stranger] = [await makeKeyset(), await makeKeyset()]
    const owner = keyset.adopt(friend).regenerate()
    const block = await keyset.seal(sample(10))
    const reader = unlocked(plantedContents(), plantedMaster.copy(), undefined)
    const P = delegated({ adopted: [sample(16)] })
    // The SEAL, DELEGATED up to the retired pair, behind it, and the current pair.
    const bad = [
      delegationOf({ sealed: flipped(sealOf(), 3390) }),
      delegationOf({ P: P.slice(0, 2000) }),
      delegationOf({ P: P.slice(0, -1) }),
      delegationOf({ P: patched(P, 1602, [0, 2]) }),
      delegationOf({ P: patched(P, 2, new Uint8Array(32)) }),
    ]
    const { backend: watched, captured } = capturing(backend)
    useBackend(watched)
    const until = new Date(Date.now() + 86_400_000)
    const from = owner.card()
    const bytes = delegate(owner, fleet.card(), { until })
    const delegation = openDelegation(bytes, fleet, { from })
    expect(delegation.isCurrent(delegation.rekey(block))).toBe(true)
    const altered = { ...block, envelope: flipped(block.envelope, 1700) }
    await failure(() => delegation.rekey(altered), 'authentication-failed')
    await failure(() => openDelegation(bytes, stranger, { from }), 'key-not-found')
    await failure(() => openDelegation(bytes, fleet, { from: stranger.card() }), 'authentication-failed')
    await failure(() => openDelegation(flipped(bytes, 99), fleet, { from }), 'malformed')
    const expired = delegate(owner, fleet.card(), { until: new Date(1) })
    await failure(() => openDelegation(expired, fleet, { from }), 'expired')
    for (const made of bad)
      await failure(() => openDelegation(made, reader, { from: ownerCard() }), 'authentication-failed')
    for (const handle of [delegation, owner, keyset, friend, fleet, stranger, reader]) handle.dispose()
    expectWiped(captured)
  })
})

describe.each(backends)('clients and device keys on $name', (backend) => {
  it('leave no secrets except the content, also after errors', async () => {
    const keyset = await makeKeyset()
    const { backend: watched, captured } = capturing(backend)
    useBackend(watched)
    const names = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
    const [privateKey, accountKey] = [
      { type: 'AES-256', text: 'x' },
      { type: 'AES-128', text: 'y' },
    ] as const
    const client = await deriveClient({ ...names, privateKey })
    const both = await client.withAccountKey(accountKey)
    await failure(
      () => deriveClient({ ...names, privateKey, accountKey: { type: 'AES-128', text: '' } }),
      'invalid-text',
    )
    const opened = []
    for (const scope of ['private', 'account', 'public'] as const) {
      const block = await both.scope(scope).seal(sample(100))
      opened.push(await ofEveryScope(both).open(block))
      const damaged = { ...block, ciphertext: flipped(block.ciphertext, 3) }
      await failure(() => ofEveryScope(both).open(damaged), 'authentication-failed')
    }
    expect(opened).toEqual([sample(100), sample(100), sample(100)])
    const login = await deriveLogin(PASSWORD, ALICE)
    const device = createDeviceKey()
    const again = await openDeviceKey(await device.export('a passphrase'), 'a passphrase')
    const handles = [
      openSavedLogin(login.save(device), again, ALICE),
      openSavedClient(both.save(device), again, DESKTOP),
    ]
    const reopened = openSavedKeyset(keyset.save(device), again, { id: keyset.id })
    const place = { table: 't', row: 'r', column: 'c', version: 1 }
    expect(again.openText(device.sealText('text', place), place)).toBe('text')
    const stored = both.save(device)
    await failure(() => openSavedClient(resummed(flipped(stored, 200)), again, DESKTOP), 'authentication-failed')
    const registry = openKeyRegistry(memoryStateStore(), {
      realm: 'tests',
      server: 's',
      safeguarding: 'optional',
    })
    // A registry uses its key as long as its server runs, so it runs unwatched.
    const challenge = await withBackend(backend, () => registry.challenge())
    useBackend(watched)
    const enrolment = both.enrolment(challenge, { server: 's' })
    await withBackend(backend, () => registry.enrol(enrolment, { account: 'acme' }))
    useBackend(watched)
    const { escrow, activationCode } = both.safeguard()
    await registry.safeguard(escrow, { account: 'acme' })
    const file = await registry.buildRegistration({ account: 'acme', name: 'desktop' }, keyset, {
      expires: new Date(8.64e15),
    })
    const back = openRegistration(armRegistration(file, activationCode), { account: 'acme', provider: keyset.card() })
    const other = client.safeguard().activationCode
    await failure(
      () => openRegistration(file, { account: 'acme', provider: keyset.card(), activationCode: other }),
      'authentication-failed',
    )
    const legacyKey = { privateKey: { type: 'DES-56', text: 'x' }, dangerouslyAllowDes: true } as const
    const legacy = await deriveLegacyClient({ ...names, name: 'old', ...legacyKey })
    const old = await legacy.scope('private').seal(sample(100))
    opened.push(await legacy.open(old))
    await failure(() => legacy.open({ ...old, ciphertext: flipped(old.ciphertext, 3) }), 'authentication-failed')
    const all = [client, both, login, device, again, ...handles, reopened, keyset, back, legacy]
    for (const handle of all) handle.dispose()
    for (const content of opened) content.fill(0)
    expectWiped(captured, ['hkdf output'])
  })
})

it('no array that any code created still holds a key of a keyset', async () => {
  const contents = plantedContents()
  const { master, record } = await createMaster(PASSWORD, CHEAP, {})
  const host = encodeKeyset({ ...contents, argon2: record }, master, 'host')
  master.dispose()
  const made = watchArrays(() => true)
  const writer = openWriter(host)
  const reader = await unlockKeyset(host, PASSWORD)
  const { content, members } = await writer.pack([sample(4)])
  expect(await openPackMember(await reader.open(await writer.seal(content)), members[0]!)).toEqual(sample(4))
  const prepared = await writer.prepare(sample(10))
  prepared.dispose()
  const { record: log } = await writer.sealRecord(sample(10), atStart)
  expect((await reader.openRecord(log, anywhere)).content).toEqual(sample(10))
  const device = createDeviceKey()
  const again = openSavedKeyset(reader.save(device), device, { id: reader.id })
  const next = again.regenerate()
  const changed = await next.changePassword('another')
  for (const destination of ['host', 'definition', 'storage'] as const) {
    const stored = changed.export(destination)
    ;(await unlockKeyset(stored, 'another')).dispose()
    // A host export holds the host's own keys in the clear.
    stored.fill(0)
  }
  await failure(() => unlockKeyset(host, 'wrong'), 'wrong-password')
  for (const handle of [writer, reader, device, again, next, changed]) handle.dispose()
  stopWatching()
  const secrets = Object.values(planted).map((byte) => Buffer.alloc(16, byte))
  const left = made.filter(({ bytes: { buffer } }) => secrets.some((secret) => Buffer.from(buffer).includes(secret)))
  // Two kinds may stay: views of the caller's export, and copies that portable primitives make internally.
  const stays = ({ bytes, stack }: MadeArray) =>
    bytes.buffer === host.buffer || (!isNode && madeBy(stack).includes('/node_modules/'))
  expect(left.filter((array) => !stays(array)).map(({ stack }) => stack)).toEqual([])
  expect(left.length).toBeGreaterThan(0)
})

it.runIf(isNode)('the library makes no array that the engine may keep in its heap, except of integers', async () => {
  const host = (await makeKeyset()).export('host')
  const made = watchArrays((_, [given]) => !(given instanceof ArrayBuffer || given instanceof SharedArrayBuffer))
  const [writer, reader] = [openWriter(host), await unlockKeyset(host, PASSWORD)]
  await reader.open(await writer.seal(sample(10)))
  const { content, members } = await writer.pack([sample(4)])
  await openPackMember(content, members[0]!)
  await reader.openRecord((await writer.sealRecord(sample(10), atStart)).record, anywhere)
  const device = createDeviceKey()
  const again = openSavedKeyset(reader.save(device), await openDeviceKey(device.exportUnprotected()), { id: reader.id })
  const login = await deriveLogin(PASSWORD, ALICE)
  const store = memoryStateStore()
  const { profile, vault } = await createProfile(login, { zeroTrust: true }).createVault(store)
  await vault.open(await vault.seal(sample(10)))
  const names = { ...DESKTOP, realm: 'tests', platform: 'linux' } as const
  const client = await deriveClient({ ...names, privateKey: { type: 'AES-256', text: 'x' } })
  await client.open(await client.scope('private').seal(sample(10)))
  client.safeguard()
  for (const handle of [writer, reader, device, again, login, profile, vault, client]) handle.dispose()
  new Uint8Array(1)
  stopWatching()
  const places = made.map(({ stack }) => madeBy(stack))
  expect(places.filter((line) => line.includes('/src/') && !/ u(?:8|16|32) /.test(line))).toEqual([])
  expect(places.some((line) => line.includes('wiping.test.ts'))).toBe(true)
})

/** Returns the line of a stack where an array was made. */
const madeBy = (stack: string): string =>
  stack.split('\n').find((line, index) => index > 0 && !/arrays\.ts|Proxy\.|<anonymous>/.test(line)) ?? ''

// Only Node's Buffers share a pool.
describe.runIf(isNode)('the shared pool of small Buffers', () => {
  const inPool = (secret: Uint8Array) => {
    // Allocated outside the pool: Buffer.from would itself put the secret into the pool.
    const needle = Buffer.allocUnsafeSlow(secret.length)
    needle.set(secret)
    return Buffer.from(Buffer.allocUnsafe(1).buffer).includes(needle)
  }

  it('holds no X25519 key, of a keyset or of a block', () => {
    const { x25519 } = backends[0]!
    const recipient = x25519.encapsulator(x25519.decapsulator(sample(32, 99)).publicKey)
    // If the library generates the ephemeral key itself, these are its bytes.
    const random = vi.spyOn(globalThis.crypto, 'getRandomValues').mockImplementation((bytes) => {
      ;(bytes as unknown as Uint8Array).set(sample(32, 98))
      return bytes
    })
    try {
      recipient.encapsulate()
    } finally {
      random.mockRestore()
    }
    expect(inPool(sample(32, 99))).toBe(false)
    expect(inPool(sample(32, 98))).toBe(false)
    Buffer.from(sample(32, 97))
    expect(inPool(sample(32, 97)), 'the search finds a secret that is in the pool').toBe(true)
  })
})
