// Makes, uses and disposes of every kind of key, as a program would. What the library hands over in the clear, such as
// a host export, is wiped, because it belongs to the caller.
import { readFileSync } from 'node:fs'
import { armRegistration, deriveClient, openRegistration, openSavedClient } from '../../src/client.ts'
import { type Role, SecretKey } from '../../src/core/secret.ts'
import { createDeviceKey, openDeviceKey } from '../../src/device.ts'
import {
  changeKeyset,
  createKeyset,
  type Handle,
  type Keyset,
  openLog,
  openPackMember,
  openSavedKeyset,
  openWriter,
  parseBlock,
  saveKeyset,
  unlockKeyset,
} from '../../src/index.ts'
import { delegate, openDelegation } from '../../src/fleet.ts'
import { deriveLegacyClient } from '../../src/legacy.ts'
import { createPool } from '../../src/pool.ts'
import {
  addSlot,
  deriveRecoveryKey,
  generateRecoveryCode,
  recoverKeyset,
  renewSlots,
  testSlot,
} from '../../src/recovery.ts'
import { openKeyRegistry, saveCredential, verifyCredential } from '../../src/server.ts'
import { memoryStateStore } from '../../src/stores.ts'
import {
  createProfile,
  deriveLogin,
  loadProfile,
  openProfile,
  openSavedLogin,
  resetProfile,
  restoreProfile,
  saveProfile,
} from '../../src/vault.ts'

/** Every role. A role that no kind uses fails the search. */
export const ROLES: Readonly<Record<Role, true>> = {
  root: true,
  keyring: true,
  data: true,
  master: true,
  block: true,
  dedup: true,
  'block-salt': true,
  x25519: true,
  'ml-kem-1024': true,
  signing: true,
  agreed: true,
  label: true,
  lock: true,
  cipher: true,
  login: true,
  client: true,
  device: true,
  passphrase: true,
  activation: true,
  recovery: true,
  member: true,
  mac: true,
  hedge: true,
}

const PASSWORD = 'correct horse battery staple'
/** The lowest costs for a new hash. */
const COSTS = { iterations: 2, memoryKiB: 19_456, lanes: 1 }
const ALICE = { realm: 'tests', user: 'alice' }
const DESKTOP = { account: 'acme', name: 'desktop' }
const NAMES = { ...DESKTOP, realm: 'tests', platform: 'linux' } as const
const PLACE = { log: 'log', after: 'start' } as const

let made = 0

/** Returns content that no other call returns. */
function content(length = 1000): Uint8Array {
  made++
  return new Uint8Array(length).map((_, index) => (index * 7 + (index >>> 8) + made) & 0xff)
}

const newKeyset = (): Promise<Keyset> => createKeyset(PASSWORD, { costs: COSTS })

function disposeAll(...handles: readonly Handle[]): void {
  for (const handle of handles) handle.dispose()
}

function hostOf(keyset: Keyset) {
  const host = keyset.export('host')
  return { host, [Symbol.dispose]: () => void host.fill(0) }
}

/** A keyset and one of its blocks, from test/vectors. */
export interface Frozen {
  /** An export in which everything is sealed. */
  readonly stored: string
  readonly password: string
  readonly label: string
  readonly block: string
}

/** What the process that lists the secrets adds to the global object. */
export interface Listing {
  recordKey?: (role: string, bytes: Uint8Array) => void
}

/** Stays in memory, to show that the search finds what is there. */
const kept: unknown[] = []

export const kinds: Readonly<Record<string, () => Promise<void>>> = {
  async 'control: a key that is not disposed of'() {
    kept.push(new SecretKey('mac', crypto.getRandomValues(new Uint8Array(32))))
  },

  async 'control: strings of a key'() {
    const bytes = crypto.getRandomValues(new Uint8Array(32))
    new SecretKey('mac', bytes).dispose()
    kept.push(...(['hex', 'base64', 'base64url', 'latin1'] as const).map((each) => Buffer.from(bytes).toString(each)))
  },

  async 'passwords, which stay as strings until they are collected'() {
    const random = crypto.getRandomValues(new Uint8Array(16))
    const password = `pass ${Buffer.from(random).toString('hex')}`
    ;(globalThis as Listing).recordKey?.('password', new TextEncoder().encode(password))
    const keyset = await createKeyset(password, { costs: COSTS })
    disposeAll(keyset, await unlockKeyset(keyset.export('storage'), password), await deriveLogin(password, ALICE))
  },

  async keyset() {
    const created = await newKeyset()
    using out = hostOf(created)
    const unlocked = await unlockKeyset(out.host, PASSWORD)
    const storage = await unlockKeyset(unlocked.export('storage'), PASSWORD)
    const definition = await unlockKeyset(unlocked.export('definition'), PASSWORD)
    const changed = await unlocked.changePassword('another')
    const renewed = await changed.changePassword('a third', { newMaster: true })
    disposeAll(created, unlocked, storage, definition, changed, renewed)
  },

  async 'regenerated and adopting keysets'() {
    const [first, other] = [await newKeyset(), await newKeyset()]
    using out = hostOf(first)
    const writer = openWriter(out.host)
    const block = await writer.seal(content())
    const next = first.regenerate()
    const envelope = next.rekey(block)
    await next.open({ ...block, envelope })
    const last = next.forgetRetired('unchecked')
    const adopter = other.adopt(last)
    await adopter.open({ ...block, envelope })
    disposeAll(first, other, writer, next, last, adopter)
  },

  async 'host writer, blocks and packs'() {
    const keyset = await newKeyset()
    using out = hostOf(keyset)
    for (const dedup of ['scoped', 'global', 'off'] as const) {
      const writer = openWriter(out.host, { dedup })
      const block = await writer.seal(content())
      await keyset.open(block)
      keyset.rekey(block)
      ;(await writer.prepare(content())).dispose()
      const { content: packed, members } = await writer.pack([content(20)])
      await openPackMember(packed, members[0]!)
      writer.dispose()
    }
    keyset.dispose()
  },

  async 'X25519 alone'() {
    const keyset = await createKeyset(PASSWORD, { costs: COSTS, encryption: 'x25519' })
    using out = hostOf(keyset)
    const writer = openWriter(out.host)
    await keyset.open(await writer.seal(content()))
    disposeAll(writer, keyset)
  },

  // On new releases of Node, OpenSSL draws the ephemeral keys of blocks. The keys of a frozen block are known anyway.
  async 'a frozen block'() {
    const frozen = new URL('frozen.json', import.meta.url)
    const { stored, password, label, block } = JSON.parse(readFileSync(frozen, 'utf8')) as Frozen
    const keyset = await unlockKeyset(Buffer.from(stored, 'hex'), password)
    await keyset.open(parseBlock(Buffer.from(block, 'hex'), label))
    keyset.dispose()
  },

  async 'records and logs'() {
    const keyset = await newKeyset()
    using out = hostOf(keyset)
    const writer = openWriter(out.host)
    await keyset.openRecord((await writer.sealRecord(content(), PLACE)).record, PLACE)
    const store = memoryStateStore()
    const position = await openLog(store, 'log', writer).append(content())
    const next = keyset.regenerate()
    await openLog(store, 'log', next).reseal({ atLeast: position })
    await openLog(store, 'log', next).last({ atLeast: position })
    disposeAll(writer, keyset, next)
  },

  async shares() {
    const [alice, bob] = [await newKeyset(), await newKeyset()]
    const { keyset: owner, share } = alice.createShare()
    const again = owner.share(share.id)
    using out = hostOf(owner)
    const writer = openWriter(out.host)
    const block = await writer.seal(content(), { shares: [share.id] })
    const reader = bob.acceptShare(share.invite(bob.card()), alice.card())
    await reader.open({ ...block, envelope: share.add(block) })
    await reader.openRecord((await share.sealRecord(content(), PLACE)).record, PLACE)
    disposeAll(alice, bob, owner, share, again, writer, reader, owner.revokeShare(share.id))
  },

  async 'device key, text values, saved keyset'() {
    const [keyset, device] = [await newKeyset(), createDeviceKey()]
    const unprotected = device.exportUnprotected()
    const again = await openDeviceKey(unprotected)
    unprotected.fill(0)
    const other = await openDeviceKey(await device.export('a passphrase'), 'a passphrase')
    const place = { table: 't', row: 'r', column: 'c', version: 1 }
    other.openText(again.sealText('text', place), place)
    const opened = openSavedKeyset(keyset.save(device), other, { id: keyset.id })
    disposeAll(keyset, device, again, other, opened)
  },

  async login() {
    const [login, device] = [await deriveLogin(PASSWORD, ALICE), createDeviceKey()]
    disposeAll(login, openSavedLogin(login.save(device), device, ALICE), device)
  },

  async 'profiles and vaults'() {
    const admin = await newKeyset()
    const [login, next] = [await deriveLogin(PASSWORD, ALICE), await deriveLogin('another', ALICE)]
    const store = memoryStateStore()
    const first = createProfile(login, { admin: admin.card() })
    const { profile, vault } = await first.createVault(store)
    const block = await vault.seal(content())
    const { content: packed, members } = await vault.pack([content(20)])
    await openPackMember(packed, members[0]!)
    await openLog(memoryStateStore(), 'log', vault).append(content())
    const rotated = await profile.rotate(store)
    const reopened = await rotated.openVault(store, vault.id)
    await reopened.open(block)
    const changed = rotated.changePassword(next)
    const opened = openProfile(changed.record, next)
    const reset = resetProfile(changed.record, admin, next, { identity: changed.identity })
    const own = reset.changePassword(login)
    await saveProfile(store, changed)
    const loaded = await loadProfile(store, next)
    const restored = await restoreProfile(store, loaded)
    const trusted = await changed.changeRecovery(store, { zeroTrust: true })
    disposeAll(admin, login, next, first, profile, vault, rotated, reopened, changed)
    disposeAll(opened, reset, own, loaded, restored, trusted)
  },

  async 'recovery keys and slots'() {
    const keyset = await newKeyset()
    const friend = await newKeyset()
    const store = memoryStateStore()
    await saveKeyset(store, keyset)
    const byCode = await deriveRecoveryKey({ code: generateRecoveryCode() })
    const bySecret = await deriveRecoveryKey({ secret: content(32) })
    await addSlot(store, keyset, byCode, { label: 'Sheet' })
    await addSlot(store, keyset, friend.card(), { label: 'Friend' })
    const recovered = await recoverKeyset(store, byCode)
    const byFriend = await recoverKeyset(store, friend, { from: keyset.card() })
    const changed = await changeKeyset(store, recovered, (newest) =>
      newest.changePassword('another', { newMaster: true }),
    )
    await renewSlots(store, changed)
    await testSlot(store, byCode)
    const login = await deriveLogin(PASSWORD, ALICE)
    const profile = createProfile(login, { zeroTrust: true, recoveryKey: bySecret })
    const reset = resetProfile(profile.record, bySecret, login)
    disposeAll(keyset, friend, byCode, bySecret, recovered, byFriend, changed, login, profile, reset)
  },

  async delegations() {
    const keyset = await newKeyset()
    const fleet = await newKeyset()
    const block = await keyset.seal(content())
    const regenerated = keyset.regenerate()
    const bytes = delegate(regenerated, fleet.card(), { until: new Date(Date.now() + 86_400_000) })
    const delegation = openDelegation(bytes, fleet, { from: regenerated.card() })
    delegation.rekey(block)
    try {
      openDelegation(bytes, regenerated, { from: regenerated.card() })
    } catch {
      // It is sealed to another card.
    }
    disposeAll(keyset, fleet, regenerated, delegation)
  },

  async clients() {
    const privateKey = { type: 'AES-256', text: 'a typed key' } as const
    const client = await deriveClient({ ...NAMES, privateKey })
    const both = await client.withAccountKey({ type: 'AES-128', text: 'an account key' })
    for (const scope of ['private', 'account', 'public'] as const) {
      await both.scope(scope).open(await both.scope(scope).seal(content()))
    }
    for (const scope of ['private', 'account'] as const) {
      const { content: packed, members } = await both.scope(scope).pack([content(20)])
      await openPackMember(packed, members[0]!)
      await openLog(memoryStateStore(), 'log', both.scope(scope)).append(content())
    }
    const device = createDeviceKey()
    disposeAll(client, both, openSavedClient(both.save(device), device, DESKTOP), device)
  },

  async 'escrows and registration files'() {
    const keyset = await newKeyset()
    const privateKey = { type: 'AES-256', text: 'a typed key' } as const
    const client = await deriveClient({ ...NAMES, privateKey })
    const registry = openKeyRegistry(memoryStateStore(), { realm: 'tests', server: 's', safeguarding: 'optional' })
    await registry.enrol(client.enrolment(await registry.challenge(), { server: 's' }), { account: 'acme' })
    const { escrow, activationCode } = client.safeguard()
    await registry.safeguard(escrow, { account: 'acme' })
    const file = await registry.buildRegistration(DESKTOP, keyset, { expires: new Date(8.64e15) })
    const armed = armRegistration(file, activationCode)
    disposeAll(keyset, client, openRegistration(armed, { account: 'acme', provider: keyset.card() }))
    // It holds the code in the clear.
    armed.fill(0)
  },

  async 'credentials on a server'() {
    const login = await deriveLogin(PASSWORD, ALICE)
    const store = memoryStateStore()
    const profile = createProfile(login, { zeroTrust: true })
    await saveCredential(store, profile.record, login.credential, { cost: 10 })
    await verifyCredential(store, login.credential, { cost: 10 })
    disposeAll(login, profile)
  },

  async 'clients under DES'() {
    const privateKey = { type: 'DES-56', text: 'typed' } as const
    const client = await deriveLegacyClient({ ...NAMES, privateKey, dangerouslyAllowDes: true })
    await client.open(await client.scope('private').seal(content()))
    client.dispose()
  },

  async pool() {
    const keyset = await newKeyset()
    using out = hostOf(keyset)
    const writer = openWriter(out.host)
    const pool = createPool({ worker: new URL('worker.js', import.meta.url), threads: 1 })
    await pool.reader(keyset).open(await pool.writer(writer).seal(content()))
    await pool.close()
    disposeAll(keyset, writer)
  },
}
