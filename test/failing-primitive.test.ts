// A primitive may fail at any call: out of memory, a module that was unloaded. Whatever is going on then throws that very error,
// and everything that was there before still works.
import { type Client, deriveClient, openSavedClient } from '../src/client.ts'
import {
  ALICE,
  all,
  DESKTOP,
  expectSame,
  makeKeyset,
  MemoryVaultStore,
  PASSWORD,
  quick,
  quickly,
  sample,
  streamOf,
} from './fixtures.ts'
import { createDeviceKey, openDeviceKey } from '../src/device.ts'
import { createProfile, openProfile, deriveLogin, resetProfile } from '../src/vault.ts'
import { afterEach, describe, expect, it } from 'vitest'
import { encodeBlock, openPackMember, openWriter, parseBlock, unlockKeyset } from '../src/index.ts'
import { useBackend } from '../src/primitives/choice.ts'

class Failure extends Error {}

/** A vault is made anew for each call that fails. */
const EVERY = process.env['SLOW'] === '1' ? 1 : 7

/**
 * The backend, whose nth call throws; counts the calls. Those of key agreements are left out: what platforms throw for a public key
 * that is none has no common form, so whatever they throw means that.
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

/** Lets an operation fail at each of its calls in turn; gives how many there are. */
async function failsAtEach(operation: () => unknown): Promise<number> {
  for (let nth = 1; ; nth++) {
    const { backend, calls } = failingAt(nth)
    useBackend(backend)
    try {
      await operation()
      expect(calls()).toBe(nth - 1)
      return nth - 1
    } catch (error) {
      if (!(error instanceof Failure)) throw new Error(`at call ${nth}`, { cause: error })
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

describe.each(['hybrid', 'x25519'] as const)('a keyset under %s', async (encryption) => {
  const [keyset, friend] = await quickly(() => Promise.all([makeKeyset({ encryption }), makeKeyset()]))
  const { keyset: owner, share } = keyset.regenerate().createShare()
  const [host, card, friendCard] = [owner.export('host'), owner.card(), friend.card()]
  const writer = openWriter(owner.export('host'))
  const block = await writer.seal(content, { shares: [share.id] })
  const [old, oldRecord] = [
    await openWriter(keyset.export('host')).seal(content),
    (await openWriter(keyset.export('host')).sealRecord(content, 'start')).record,
  ]
  const { record } = await writer.sealRecord(content, 'start')
  const { content: pack, members } = await writer.pack([content])
  const invite = share.invite(friendCard)
  const accepted = friend.acceptShare(invite, card)
  const shared = { ...block, envelope: share.add(block) }

  it.each<[string, () => unknown]>([
    ['making one', () => makeKeyset({ encryption })],
    ['unlocking', () => unlockKeyset(host, PASSWORD)],
    ['opening a writer', async () => openWriter(host).seal(content, { shares: [share.id] })],
    ['sealing', () => writer.seal(content)],
    ['sealing off', () => openWriter(owner.export('host'), { dedup: 'off' }).seal(content)],
    ['sealing global', () => openWriter(owner.export('host'), { dedup: 'global' }).seal(content)],
    ['opening', () => owner.open(block)],
    ['opening under a key of the past', () => owner.open(old)],
    ['rekeying', () => owner.rekey(old)],
    ['a record', () => writer.sealRecord(content, record)],
    ['opening a record', () => owner.openRecord(record, { after: 'start' })],
    ['resealing', () => all(owner.resealRecords(streamOf([oldRecord])))],
    ['packing', () => writer.pack([content])],
    ['opening a member', () => openPackMember(pack, members[0]!)],
    ['a new password', () => owner.changePassword('next')],
    ['a new master key', () => owner.changePassword('next', { newMaster: true })],
    ['regenerating', () => owner.regenerate()],
    ['forgetting', () => owner.forgetRetired({ blocksRekeyed: true, recordsResealed: true })],
    ['a card', () => owner.card()],
    ['sharing', () => owner.createShare()],
    ['sharing with a card', () => owner.createShare({ to: friendCard })],
    ['a share', () => owner.share(share.id)],
    ['revoking', () => owner.revokeShare(share.id)],
    ['adding', () => share.add(block)],
    ['inviting', () => share.invite(friendCard)],
    ['accepting', () => friend.acceptShare(invite, card)],
    ['opening what is shared', () => accepted.open(shared)],
    ['a record of a share', () => share.sealRecord(content, 'start')],
  ])('%s', async (_, operation) => {
    expect(await failsAtEach(operation)).toBeGreaterThan(0)
    expectSame(await owner.open(parseBlock(encodeBlock(block), block.label)), content)
    expectSame(await accepted.open(shared), content)
  })
})

describe('a vault', async () => {
  const admin = await quickly(makeKeyset)
  const [login, next] = await quickly(() => Promise.all([deriveLogin(PASSWORD, ALICE), deriveLogin('next', ALICE)]))
  const made = async () => {
    const store = new MemoryVaultStore()
    const { profile, vault } = await createProfile(login, { admin: admin.card() }).createVault(store)
    return { store, profile, vault }
  }
  const { store, profile, vault } = await made()
  const block = await vault.seal(content)

  it.each<[string, () => unknown]>([
    ['logging in', () => deriveLogin(PASSWORD, ALICE)],
    ['a profile', () => createProfile(login, { admin: admin.card() })],
    ['a profile without an admin', () => createProfile(login, { zeroTrust: true })],
    ['opening a profile', () => openProfile(profile.record, login).record],
    ['a new password', () => profile.changePassword(next)],
    ['resetting', () => resetProfile(profile.record, admin, next)],
    ['opening', async () => (await profile.openVault(store, vault.id)).open(block)],
    ['sealing', () => vault.seal(content)],
  ])('%s', async (_, operation) => {
    expect(await failsAtEach(operation)).toBeGreaterThan(0)
    expectSame(await vault.open(block), content)
  })

  it.each<[string, (it: Awaited<ReturnType<typeof made>>) => unknown]>([
    ['making one', (it) => it.profile.createVault(it.store)],
    ['rotating', (it) => it.profile.rotate(it.store)],
    ['turning zero trust on', (it) => it.profile.changeRecovery(it.store, { zeroTrust: true })],
  ])('%s leaves it whole', async (_, operation) => {
    for (let nth = 1; ; nth += EVERY) {
      const old = await quickly(made)
      const kept = await old.vault.seal(content)
      useBackend(failingAt(nth).backend)
      const error: unknown = await Promise.resolve(operation(old)).then(
        () => undefined,
        (reason: unknown) => reason,
      )
      useBackend(undefined)
      const newest = openProfile((await old.store.readProfile())!, login)
      expectSame(await (await newest.openVault(old.store, old.vault.id)).open(kept), content)
      if (error === undefined) break
      if (!(error instanceof Failure)) throw new Error(`at call ${nth}`, { cause: error })
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

  it.each<[string, () => unknown]>([
    ['making one', make],
    ['an account key', () => alone.withAccountKey(accountKey)],
    ['enrolling', () => client.enrolment()],
    ['safeguarding', () => client.safeguard()],
    ['sealing', () => client.scope('account').seal(content)],
    ...blocks.map((block, index): [string, () => unknown] => [`opening ${index}`, () => client.open(block)]),
    ['saving', () => client.save(device)],
    ['opening what was saved', () => openSavedClient(saved, device, DESKTOP)],
    ['protecting a device key', () => device.export('a passphrase')],
    ['unlocking a device key', () => openDeviceKey(protectedKey, 'a passphrase')],
    ['sealing a text', () => device.sealText('a secret', place)],
    ['opening a text', () => device.openText(text, place)],
  ])('%s', async (_, operation) => {
    expect(await failsAtEach(operation)).toBeGreaterThan(0)
    for (const block of blocks) expectSame(await client.open(block), content)
  })
})
