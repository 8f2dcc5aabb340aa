// Escrow with a provider who cannot read the keys, and registration files: every rule and every documented error.
import {
  armRegistration,
  type Client,
  type ClientOptions,
  deriveClient,
  openRegistration,
  parseRegistration,
  type TypedKey,
} from '../../src/client.ts'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { parseBlock, encodeBlock, unlockKeyset } from '../../src/index.ts'
import { readEscrow } from '../../src/client/escrow.ts'
import { openKeyRegistry, type KeyRegistry } from '../../src/server.ts'
import {
  expectSame,
  failure,
  flipped,
  makeKeyset,
  MemoryRegistryStore,
  PASSWORD,
  quickly,
  sample,
} from '../fixtures.ts'

const NAMES = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
const SERVER = { server: 'storage-1' }
const DAY = 86_400_000
const ACCOUNT: TypedKey = { type: 'AES-128', text: 'of the account' }
const make = (more: Partial<ClientOptions> = {}): Promise<Client> =>
  quickly(() => deriveClient({ ...NAMES, privateKey: { type: 'AES-256', text: 'desktop' }, ...more }))
function newRegistry(safeguarding?: 'off' | 'optional' | 'mandatory', store = new MemoryRegistryStore()) {
  return {
    store,
    registry: openKeyRegistry(store, {
      realm: 'tests',
      ...SERVER,
      ...(safeguarding !== undefined && { safeguarding }),
    }),
  }
}
const connect = async (registry: KeyRegistry, client: Client) =>
  registry.connect(client.prove(await registry.challenge(), SERVER))

const desktop = await make()
const changed = await make({ privateKey: { type: 'AES-256', text: 'another' } })
const withAccount = await make({ accountKey: ACCOUNT })
const laptop = await make({ name: 'laptop', accountKey: ACCOUNT })
const deposit = desktop.safeguard()
const provider = await makeKeyset()
const card = { provider: provider.card() }
const stranger = await makeKeyset()
const soon = () => ({ expires: new Date(Date.now() + DAY) })

afterEach(() => void vi.useRealTimers())

describe('safeguarding', () => {
  it('that is off accepts no escrow, and clients can connect', async () => {
    const { registry } = newRegistry()
    await registry.enrol(desktop.enrolment())
    expect((await failure(() => registry.safeguard(deposit.escrow), 'policy')).detail['rule']).toBe('safeguarding')
    expect((await connect(registry, desktop)).safeguarded).toBe(false)
    await failure(
      () => registry.buildRegistration({ account: 'acme', name: 'desktop' }, provider, soon()),
      'safeguarding-required',
    )
  })

  it('that is optional lets clients connect with and without an escrow', async () => {
    const { registry } = newRegistry('optional')
    await registry.enrol(desktop.enrolment())
    expect((await connect(registry, desktop)).safeguarded).toBe(false)
    await registry.commitFirstBackup('acme', 'desktop')
    await registry.safeguard(deposit.escrow)
    expect((await connect(registry, desktop)).safeguarded).toBe(true)
  })

  it('that is mandatory refuses connections and backups until the keys are in escrow', async () => {
    const { registry } = newRegistry('mandatory')
    await registry.enrol(desktop.enrolment())
    await failure(() => connect(registry, desktop), 'safeguarding-required')
    await failure(() => registry.commitFirstBackup('acme', 'desktop'), 'safeguarding-required')
    await registry.safeguard(deposit.escrow)
    expect((await connect(registry, desktop)).state).toBe('provisional')
    await registry.commitFirstBackup('acme', 'desktop')
    await registry.clearEscrow({ account: 'acme', name: 'desktop' })
    await registry.clearEscrow({ account: 'acme', name: 'desktop' })
    await failure(() => connect(registry, desktop), 'safeguarding-required')
    await failure(
      () => registry.buildRegistration({ account: 'acme', name: 'desktop' }, provider, soon()),
      'safeguarding-required',
    )
    await registry.safeguard(deposit.escrow)
    expect(await connect(registry, desktop)).toMatchObject({ state: 'locked', safeguarded: true })
  })

  it('that becomes mandatory refuses enrolled clients without an escrow until it is off again', async () => {
    const { registry, store } = newRegistry()
    await registry.enrol(desktop.enrolment())
    await connect(registry, desktop)
    await failure(() => connect(newRegistry('mandatory', store).registry, desktop), 'safeguarding-required')
    await newRegistry('optional', store).registry.safeguard(deposit.escrow)
    await connect(newRegistry('mandatory', store).registry, desktop)
    expect((await connect(newRegistry('off', store).registry, desktop)).safeguarded).toBe(true)
  })

  it('reports other errors of a client before it asks for an escrow', async () => {
    const { registry } = newRegistry('mandatory')
    await registry.enrol(desktop.enrolment())
    await failure(() => connect(registry, changed), 'key-changed')
    await failure(() => connect(registry, laptop), 'key-not-found')
    await failure(() => registry.commitFirstBackup('acme', 'laptop'), 'key-not-found')
  })

  it('must be off, optional or mandatory', () => {
    for (const safeguarding of ['on', '', 1, null, 'toString']) {
      const make = () => newRegistry(safeguarding as 'off' | 'optional' | 'mandatory')
      expect(make).toThrow(TypeError)
    }
  })
})

describe('an escrow', () => {
  it('must be from an enrolled client, with its keys, account, realm and platform', async () => {
    const { registry } = newRegistry('optional')
    await failure(() => registry.safeguard(deposit.escrow), 'key-not-found')
    await registry.enrol(desktop.enrolment())
    await failure(() => registry.safeguard(laptop.safeguard().escrow), 'key-not-found')
    await failure(() => registry.safeguard(changed.safeguard().escrow), 'key-changed')
    await failure(() => registry.safeguard(withAccount.safeguard().escrow), 'key-not-found')
    await failure(() => registry.clearEscrow({ account: 'acme', name: 'laptop' }), 'key-not-found')
    const elsewhere = await make({ realm: 'elsewhere' })
    await failure(() => registry.safeguard(elsewhere.safeguard().escrow), 'authentication-failed')
    const moved = await make({ platform: 'windows' })
    expect((await failure(() => registry.safeguard(moved.safeguard().escrow), 'policy')).detail['rule']).toBe(
      'platform',
    )
    const error = await failure(() => registry.safeguard(deposit.escrow, { account: 'mallory' }), 'policy')
    expect(error.detail).toEqual({ rule: 'own-account', account: 'acme' })
    await registry.safeguard(deposit.escrow, { account: 'acme' })
    await failure(() => registry.safeguard(desktop.enrolment()), 'unsupported')
    await failure(() => registry.safeguard(sample(5000)), 'limit-exceeded')
  })

  it('lacks an account key that was set later, and must be created again', async () => {
    const { registry } = newRegistry('mandatory')
    await registry.enrol(desktop.enrolment())
    await registry.safeguard(deposit.escrow)
    await registry.enrol(laptop.enrolment())
    await registry.safeguard(laptop.safeguard().escrow)
    await failure(() => connect(registry, withAccount), 'safeguarding-required')
    await failure(() => registry.safeguard(deposit.escrow), 'account-key-required')
    // The stored escrow still recovers the private key.
    const file = await registry.buildRegistration({ account: 'acme', name: 'desktop' }, provider, soon())
    using back = openRegistration(file, { account: 'acme', ...card, activationCode: deposit.activationCode })
    await failure(() => back.scope('account'), 'account-key-required')
    await registry.safeguard(withAccount.safeguard().escrow)
    expect((await connect(registry, withAccount)).safeguarded).toBe(true)
  })

  it('is dropped if its keys are replaced before the first backup', async () => {
    const { registry } = newRegistry('optional')
    await registry.enrol(desktop.enrolment())
    await registry.safeguard(deposit.escrow)
    await registry.enrol(desktop.enrolment())
    expect((await connect(registry, desktop)).safeguarded).toBe(true)
    await registry.enrol(changed.enrolment())
    expect((await connect(registry, changed)).safeguarded).toBe(false)
    // It stays if only the platform changes. The client from its registration file must then enrol again.
    const moved = await make({ platform: 'windows' })
    await registry.enrol(desktop.enrolment())
    await registry.safeguard(deposit.escrow)
    await registry.enrol(moved.enrolment())
    expect((await connect(registry, moved)).safeguarded).toBe(true)
    const file = await registry.buildRegistration({ account: 'acme', name: 'desktop' }, provider, soon())
    using back = openRegistration(file, { account: 'acme', ...card, activationCode: deposit.activationCode })
    await failure(() => connect(registry, back), 'policy')
    await registry.enrol(back.enrolment())
    await connect(registry, back)
  })

  it('never replaces a newer one, even after it was cleared; the latest one can be stored again', async () => {
    vi.useFakeTimers({ now: Date.UTC(2030, 0, 1) })
    const { registry } = newRegistry('optional')
    await registry.enrol(desktop.enrolment())
    const first = desktop.safeguard()
    vi.advanceTimersByTime(1)
    const second = desktop.safeguard()
    await registry.safeguard(first.escrow)
    await registry.safeguard(second.escrow)
    await failure(() => registry.safeguard(first.escrow), 'rollback')
    await registry.clearEscrow({ account: 'acme', name: 'desktop' })
    await failure(() => registry.safeguard(first.escrow), 'rollback')
    // Not even after other keys were enrolled in between.
    await registry.enrol(changed.enrolment())
    await registry.enrol(desktop.enrolment())
    await failure(() => registry.safeguard(first.escrow), 'rollback')
    await registry.safeguard(second.escrow)
    const file = await registry.buildRegistration({ account: 'acme', name: 'desktop' }, provider, soon())
    await failure(
      () => openRegistration(file, { account: 'acme', ...card, activationCode: first.activationCode }),
      'authentication-failed',
    )
    openRegistration(file, { account: 'acme', ...card, activationCode: second.activationCode }).dispose()
    expect(parseRegistration(file, card).depositedAt).toEqual(new Date(Date.UTC(2030, 0, 1) + 1))
    expect(parseRegistration(file, card).hasAccountKey).toBe(false)
  })

  it('cannot be dated in the future', async () => {
    vi.useFakeTimers({ now: Date.UTC(2030, 0, 1) })
    const { registry } = newRegistry('optional')
    await registry.enrol(desktop.enrolment())
    vi.setSystemTime(Date.UTC(2030, 0, 1, 0, 6))
    const { escrow } = desktop.safeguard()
    vi.setSystemTime(Date.UTC(2030, 0, 1))
    expect((await failure(() => registry.safeguard(escrow), 'policy')).detail['rule']).toBe('clock')
    vi.setSystemTime(-5)
    expect(readEscrow(desktop.safeguard().escrow).issuedAt).toBe(0)
  })

  it('that is damaged in the server’s database gives a plain Error', async () => {
    const { registry, store } = newRegistry('optional')
    await registry.enrol(desktop.enrolment())
    await registry.safeguard(deposit.escrow)
    const { row, version } = (await store.read('acme', ''))!
    await store.write('acme', '', flipped(row, row.length - 8 - 66), version + 1)
    await expect(connect(registry, desktop)).rejects.toThrow('the row of an account in the registry is damaged')
  })

  it('is accepted from 30 clients of one account at the same time', async () => {
    // One after the other: the first to finish would switch off the cheap Argon2id of the test for the others.
    const many: Client[] = []
    for (let index = 0; index < 30; index++) many.push(await make({ name: `client ${index}`, accountKey: ACCOUNT }))
    const { registry, store } = newRegistry('mandatory')
    const wait = () => new Promise((resolve) => setTimeout(resolve, 3))
    const [read, write] = [store.read.bind(store), store.write.bind(store)]
    store.read = async (...row) => wait().then(() => read(...row))
    store.write = async (...row) => wait().then(() => write(...row))
    for (const each of many) await registry.enrol(each.enrolment())
    await Promise.all(many.map((each) => registry.safeguard(each.safeguard().escrow)))
    for (const each of many) expect((await connect(registry, each)).safeguarded).toBe(true)
  })

  it('cannot be created by a disposed client', async () => {
    const client = await make()
    client.dispose()
    await failure(() => client.safeguard(), 'disposed')
  })
})

describe('a registration file', () => {
  const deposited = async () => {
    const { registry } = newRegistry('optional')
    await registry.enrol(withAccount.enrolment())
    await registry.commitFirstBackup('acme', 'desktop')
    const { escrow, activationCode } = withAccount.safeguard()
    await registry.safeguard(escrow)
    const file = await registry.buildRegistration({ account: 'acme', name: 'desktop' }, provider, soon())
    return { registry, file, activationCode, options: { account: 'acme', ...card, activationCode } }
  }

  it('recreates the client, which connects, opens its old blocks and seals new ones', async () => {
    const { registry, file, activationCode, options } = await deposited()
    const blocks = await Promise.all(
      (['private', 'account', 'public'] as const).map((which) => withAccount.scope(which).seal(sample(50))),
    )
    for (const open of [
      () => openRegistration(file, options),
      () => openRegistration(armRegistration(file, activationCode), { ...card, account: 'acme' }),
      () => openRegistration(armRegistration(file, activationCode), { ...options, account: 'acme' }),
      // Arming twice changes nothing.
      () =>
        openRegistration(armRegistration(armRegistration(file, activationCode), activationCode), {
          ...card,
          account: 'acme',
        }),
    ]) {
      using back = open()
      expect([back.account, back.name]).toEqual(['acme', 'desktop'])
      expect((await connect(registry, back)).state).toBe('locked')
      for (const block of blocks) expectSame(await back.open(block), sample(50))
      const anew = await back.scope('account').seal(sample(60))
      expectSame(await withAccount.open(parseBlock(encodeBlock(anew), anew.label)), sample(60))
      expect(back.safeguard().activationCode).not.toBe(activationCode)
    }
  })

  it('can be read without the activation code', async () => {
    const { file, activationCode } = await deposited()
    const facts = parseRegistration(file, card)
    expect(facts).toEqual({
      ...{ realm: 'tests', account: 'acme', name: 'desktop', ...SERVER, hasAccountKey: true, armed: false },
      expires: expect.any(Date) as Date,
      depositedAt: expect.any(Date) as Date,
    })
    expect(parseRegistration(armRegistration(file, activationCode), card).armed).toBe(true)
    vi.useFakeTimers({ now: facts.expires.getTime() })
    expect(parseRegistration(file, card)).toEqual(facts)
  })

  it('is refused after it expires', async () => {
    const { file, options } = await deposited()
    const { expires } = parseRegistration(file, card)
    vi.useFakeTimers({ now: expires.getTime() - 1 })
    openRegistration(file, options).dispose()
    vi.setSystemTime(expires)
    expect((await failure(() => openRegistration(file, options), 'expired')).detail['expires']).toBe(
      expires.toISOString(),
    )
  })

  it('is refused for another account, with another code, and without a code', async () => {
    const { file, options } = await deposited()
    const error = await failure(() => openRegistration(file, { ...options, account: 'other' }), 'policy')
    expect(error.detail).toEqual({ rule: 'own-account', account: 'acme' })
    const { activationCode } = deposit
    await failure(() => openRegistration(file, { account: 'acme', ...card, activationCode }), 'authentication-failed')
    await failure(() => armRegistration(file, activationCode), 'authentication-failed')
    const missing = await failure(() => openRegistration(file, { ...card, account: 'acme' }), 'authentication-failed')
    expect(missing.message).toContain('activation code')
    await failure(() => openRegistration(file, { account: 'acme', ...card, activationCode: 'x' }), 'malformed')
    await failure(() => armRegistration(file, options.activationCode.slice(1)), 'malformed')
  })

  it('is refused if it is from another provider or any byte was changed', async () => {
    const { registry, file, options, activationCode } = await deposited()
    const theirs = { ...options, provider: stranger.card() }
    await failure(() => openRegistration(file, theirs), 'authentication-failed')
    await failure(() => parseRegistration(file, theirs), 'authentication-failed')
    openRegistration(
      await registry.buildRegistration({ account: 'acme', name: 'desktop' }, stranger, soon()),
      theirs,
    ).dispose()
    const armed = armRegistration(file, activationCode)
    // Every byte of the header and the end, but only some of the escrow: its own test covers all of its bytes.
    for (let index = 0; index < armed.length; index += index > 70 && index < armed.length - 110 ? 11 : 1) {
      await failure(
        () => openRegistration(flipped(armed, index), { ...card, account: 'acme' }),
        'authentication-failed',
        'malformed',
        'unsupported',
      )
    }
    const swapped = { bytes: provider.card().bytes, fingerprint: stranger.card().fingerprint }
    await failure(() => openRegistration(file, { ...options, provider: swapped }), 'key-changed')
  })

  it('can only be built with a whole keyset and a valid date', async () => {
    const { registry } = await deposited()
    const build = (keyset: typeof provider, expires: Date) =>
      registry.buildRegistration({ account: 'acme', name: 'desktop' }, keyset, { expires })
    const partial = await unlockKeyset(provider.export('definition'), PASSWORD)
    await failure(() => build(partial, new Date()), 'policy')
    for (const date of [new Date(NaN), new Date(-1)]) {
      await expect(build(provider, date)).rejects.toBeInstanceOf(RangeError)
    }
    await expect(build({ ...provider }, new Date())).rejects.toBeInstanceOf(TypeError)
    await failure(
      () => registry.buildRegistration({ account: 'acme', name: 'laptop' }, provider, soon()),
      'key-not-found',
    )
    await failure(
      () => registry.buildRegistration({ account: 'other', name: 'desktop' }, provider, soon()),
      'key-not-found',
    )
    const gone = await makeKeyset()
    gone.dispose()
    await failure(() => build(gone, new Date()), 'disposed')
  })
})
