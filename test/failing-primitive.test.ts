// A primitive may fail at any call, for example when memory runs out. The operation then throws that same error, and
// everything that existed before still works.
import { type Client, deriveClient, openSavedClient } from '../src/client.ts'
import {
  ALICE,
  atStart,
  following,
  hex,
  DESKTOP,
  expectSame,
  makeKeyset,
  PASSWORD,
  quick,
  quickly,
  sample,
  ofEveryScope,
} from './fixtures.ts'
import { createDeviceKey, openDeviceKey } from '../src/device.ts'
import {
  createProfile,
  deriveLogin,
  loadProfile,
  openProfile,
  resetProfile,
  restoreProfile,
  saveProfile,
} from '../src/vault.ts'
import { afterEach, describe, expect, it } from 'vitest'
import { encodeBlock, openLog, openPackMember, openWriter, parseBlock, unlockKeyset } from '../src/index.ts'
import { logIdOf } from '../src/state/record-layout.ts'
import { openKeyRegistry } from '../src/server.ts'
import { memoryStateStore } from '../src/stores.ts'
import { useBackend } from '../src/primitives/choice.ts'

class Failure extends Error {}

/** Only every seventh call fails, or every call with SLOW=1: each failing call needs a new vault. */
const EVERY = process.env['SLOW'] === '1' ? 1 : 7

/**
 * Returns a backend whose nth call throws, and a function that counts its calls. Calls of key agreements never
 * fail: platforms throw different errors for an invalid public key, so the library treats any error from them as one.
 */
function failingAt(nth: number) {
  let calls = 0
  const backend = new Proxy(quick, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      return (...args: unknown[]): unknown => {
        if (++calls === nth) throw new Failure()
        return (value as (...args: unknown[]) => unknown).apply(target, args)
      }
    },
  })
  return { backend, calls: () => calls }
}

/** Runs an operation again and again, and lets each of its calls fail in turn. Returns how many calls there are. */
async function failsAtEach(operation: () => unknown): Promise<number> {
  for (let nth = 1; ; nth++) {
    const { backend, calls } = failingAt(nth)
    useBackend(backend)
    try {
      await operation()
      expect(calls()).toBe(nth - 1)
      return nth - 1
    } catch (error) {
      if (!(error instanceof Failure)) throw new Error(`unexpected error when call ${nth} fails`, { cause: error })
      expect(calls()).toBe(nth)
    } finally {
      useBackend(undefined)
    }
  }
}
afterEach(() => useBackend(undefined))

const content = sample(100)
const names = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
const privateKey = { type: 'AES-256', text: 'a long secret' } as const
const accountKey = { type: 'AES-128', text: 'a secret of all' } as const

describe.each(['hybrid', 'x25519'] as const)('a keyset with %s encryption', async (encryption) => {
  const [keyset, friend] = await quickly(() => Promise.all([makeKeyset({ encryption }), makeKeyset()]))
  const { keyset: owner, share } = keyset.regenerate().createShare()
  const [host, card, friendCard] = [owner.export('host'), owner.card(), friend.card()]
  const writer = openWriter(owner.export('host'))
  const block = await writer.seal(content, { shares: [share.id] })
  const old = await openWriter(keyset.export('host')).seal(content)
  const log = memoryStateStore()
  const position = await openLog(log, 'log', openWriter(keyset.export('host'))).append(content)
  /** Returns a log under the old key pair. Each time another one, because resealing goes on where it had failed. */
  const oldLog = async () => {
    const store = memoryStateStore()
    const name = `log/${hex(logIdOf('log'))}/0`
    await store.write(name, 1, (await log.readVersion(name, 1))!)
    return openLog(store, 'log', owner)
  }
  const { record } = await writer.sealRecord(content, atStart)
  const { content: pack, members } = await writer.pack([content])
  const invite = share.invite(friendCard)
  const accepted = friend.acceptShare(invite, card)
  const shared = { ...block, envelope: share.add(block) }

  it.each<[string, () => unknown]>([
    ['creating a keyset', () => makeKeyset({ encryption })],
    ['unlocking a keyset', () => unlockKeyset(host, PASSWORD)],
    ['opening a writer and sealing', async () => openWriter(host).seal(content, { shares: [share.id] })],
    ['sealing a block', () => writer.seal(content)],
    ['sealing with dedup off', () => openWriter(owner.export('host'), { dedup: 'off' }).seal(content)],
    ['sealing with global dedup', () => openWriter(owner.export('host'), { dedup: 'global' }).seal(content)],
    ['opening a block', () => owner.open(block)],
    ['opening with a retired key pair', () => owner.open(old)],
    ['rekeying a block', () => owner.rekey(old)],
    ['sealing a record', () => writer.sealRecord(content, following(record))],
    ['opening a record', () => owner.openRecord(record, atStart)],
    ['reading a log', () => openLog(log, 'log', owner).last({ atLeast: position })],
    ['resealing a log', async () => (await oldLog()).reseal({ atLeast: position })],
    ['building a pack', () => writer.pack([content])],
    ['opening a pack member', () => openPackMember(pack, members[0]!)],
    ['changing the password', () => owner.changePassword('next')],
    ['changing the master key', () => owner.changePassword('next', { newMaster: true })],
    ['regenerating the key pairs', () => owner.regenerate()],
    ['forgetting retired key pairs', () => owner.forgetRetired('unchecked')],
    ['creating a card', () => owner.card()],
    ['creating a share', () => owner.createShare()],
    ['creating a direct share', () => owner.createShare({ to: friendCard })],
    ['getting a share', () => owner.share(share.id)],
    ['revoking a share', () => owner.revokeShare(share.id)],
    ['adding a block to a share', () => share.add(block)],
    ['creating an invite', () => share.invite(friendCard)],
    ['accepting an invite', () => friend.acceptShare(invite, card)],
    ['opening a shared block', () => accepted.open(shared)],
    ['sealing a record of a share', () => share.sealRecord(content, atStart)],
  ])('%s throws the error of the failed call, and existing objects still work', async (_, operation) => {
    expect(await failsAtEach(operation)).toBeGreaterThan(0)
    expectSame(await owner.open(parseBlock(encodeBlock(block), block.label)), content)
    expectSame(await accepted.open(shared), content)
  })
})

describe('a vault', async () => {
  const admin = await quickly(makeKeyset)
  const [login, next] = await quickly(() => Promise.all([deriveLogin(PASSWORD, ALICE), deriveLogin('next', ALICE)]))
  const made = async () => {
    const store = memoryStateStore()
    const { profile, vault } = await createProfile(login, { admin: admin.card() }).createVault(store)
    return { store, profile, vault }
  }
  const { store, profile, vault } = await made()
  const block = await vault.seal(content)

  it.each<[string, () => unknown]>([
    ['deriving a login', () => deriveLogin(PASSWORD, ALICE)],
    ['creating a profile', () => createProfile(login, { admin: admin.card() })],
    ['creating a profile with zero trust', () => createProfile(login, { zeroTrust: true })],
    ['opening a profile', () => openProfile(profile.record, login).record],
    ['changing the password', () => profile.changePassword(next)],
    ['loading and saving a profile', async () => saveProfile(memoryStateStore(), await loadProfile(store, login))],
    ['going back to a record', () => restoreProfile(store, profile)],
    ['resetting a profile', () => resetProfile(profile.record, admin, next, { identity: profile.identity })],
    ['opening a vault and a block', async () => (await profile.openVault(store, vault.id)).open(block)],
    ['sealing a block', () => vault.seal(content)],
  ])('%s throws the error of the failed call, and existing objects still work', async (_, operation) => {
    expect(await failsAtEach(operation)).toBeGreaterThan(0)
    expectSame(await vault.open(block), content)
  })

  it.each<[string, (it: Awaited<ReturnType<typeof made>>) => unknown]>([
    ['creating another vault', (it) => it.profile.createVault(it.store)],
    ['rotating the keys', (it) => it.profile.rotate(it.store)],
    ['turning zero trust on', (it) => it.profile.changeRecovery(it.store, { zeroTrust: true })],
  ])('%s leaves a vault that opens its old blocks', async (_, operation) => {
    for (let nth = 1; ; nth += EVERY) {
      const old = await quickly(made)
      const kept = await old.vault.seal(content)
      useBackend(failingAt(nth).backend)
      const error: unknown = await Promise.resolve(operation(old)).then(
        () => undefined,
        (reason: unknown) => reason,
      )
      useBackend(undefined)
      const newest = await loadProfile(old.store, login)
      expectSame(await (await newest.openVault(old.store, old.vault.id)).open(kept), content)
      if (error === undefined) break
      if (!(error instanceof Failure)) throw new Error(`unexpected error when call ${nth} fails`, { cause: error })
    }
  })
})

describe('a client', async () => {
  const make = () => deriveClient({ ...names, privateKey, accountKey })
  const client: Client = await quickly(make)
  const alone = await quickly(() => deriveClient({ ...names, privateKey }))
  const device = createDeviceKey()
  const protectedKey = await quickly(() => device.export('a passphrase'))
  const saved = client.save(device)
  const blocks = await Promise.all(
    (['private', 'account', 'public'] as const).map((scope) => client.scope(scope).seal(content)),
  )
  const place = { table: 't', row: 'r', column: 'c', version: 1 }
  const text = device.sealText('a secret', place)
  const server = { server: 'storage-1' }
  const challenge = await openKeyRegistry(memoryStateStore(), { realm: names.realm, ...server }).challenge()

  it.each<[string, () => unknown]>([
    ['deriving a client', make],
    ['adding an account key', () => alone.withAccountKey(accountKey)],
    ['creating an enrolment', () => client.enrolment(challenge, server)],
    ['creating a proof', () => client.prove(challenge, server)],
    ['creating an escrow', () => client.safeguard()],
    ['sealing a block', () => client.scope('account').seal(content)],
    ...blocks.map((block, index): [string, () => unknown] => [
      `opening block ${index}`,
      () => ofEveryScope(client).open(block),
    ]),
    ['saving a client', () => client.save(device)],
    ['opening a saved client', () => openSavedClient(saved, device, DESKTOP)],
    ['protecting a device key', () => device.export('a passphrase')],
    ['unlocking a device key', () => openDeviceKey(protectedKey, 'a passphrase')],
    ['sealing a text', () => device.sealText('a secret', place)],
    ['opening a text', () => device.openText(text, place)],
  ])('%s throws the error of the failed call, and existing objects still work', async (_, operation) => {
    expect(await failsAtEach(operation)).toBeGreaterThan(0)
    for (const block of blocks) expectSame(await ofEveryScope(client).open(block), content)
  })
})
