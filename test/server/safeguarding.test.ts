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
import { openKeyRegistry } from '../../src/server.ts'
import { expectSame, failure, flipped, makeKeyset, PASSWORD, quickly, sample, ofEveryScope } from '../fixtures.ts'
import {
  commitFor,
  connectionOf,
  connectTo,
  depositIn,
  enrolIn,
  OWN,
  rowName,
  WatchedStore,
} from '../registry-fixtures.ts'

const NAMES = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
const ACME = { account: 'acme' }
const MINUTE = 60_000
const DAY = 86_400_000
const ROW = rowName('acme')
const ACCOUNT: TypedKey = { type: 'AES-128', text: 'of the account' }
const make = (more: Partial<ClientOptions> = {}): Promise<Client> =>
  quickly(() => deriveClient({ ...NAMES, privateKey: { type: 'AES-256', text: 'desktop' }, ...more }))
function newRegistry(safeguarding?: 'off' | 'optional' | 'mandatory', store = new WatchedStore()) {
  return {
    store,
    registry: openKeyRegistry(store, {
      realm: 'tests',
      ...OWN,
      ...(safeguarding !== undefined && { safeguarding }),
    }),
  }
}
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
    await enrolIn(registry, desktop)
    expect((await failure(() => registry.safeguard(deposit.escrow, ACME), 'policy')).detail['rule']).toBe(
      'safeguarding',
    )
    expect((await connectTo(registry, desktop)).safeguarded).toBe(false)
    await failure(
      () => registry.buildRegistration({ account: 'acme', name: 'desktop' }, provider, soon()),
      'safeguarding-required',
    )
  })

  it('that is optional lets clients connect with and without an escrow', async () => {
    const { registry } = newRegistry('optional')
    await enrolIn(registry, desktop)
    expect((await connectTo(registry, desktop)).safeguarded).toBe(false)
    await commitFor(registry, desktop)
    await registry.safeguard(deposit.escrow, ACME)
    expect((await connectTo(registry, desktop)).safeguarded).toBe(true)
  })

  it('that is mandatory refuses connections and backups until the keys are in escrow', async () => {
    const { registry } = newRegistry('mandatory')
    await enrolIn(registry, desktop)
    await failure(() => connectTo(registry, desktop), 'safeguarding-required')
    await failure(() => registry.commitFirstBackup(connectionOf(desktop)), 'safeguarding-required')
    await registry.safeguard(deposit.escrow, ACME)
    expect((await connectTo(registry, desktop)).state).toBe('provisional')
    await commitFor(registry, desktop)
    expect(await registry.clearEscrow({ account: 'acme', name: 'desktop' })).toBe(true)
    expect(await registry.clearEscrow({ account: 'acme', name: 'desktop' })).toBe(false)
    await failure(() => connectTo(registry, desktop), 'safeguarding-required')
    await failure(
      () => registry.buildRegistration({ account: 'acme', name: 'desktop' }, provider, soon()),
      'safeguarding-required',
    )
    await registry.safeguard(deposit.escrow, ACME)
    expect(await connectTo(registry, desktop)).toMatchObject({ state: 'locked', safeguarded: true })
  })

  it('that becomes mandatory refuses enrolled clients without an escrow until it is off again', async () => {
    const { registry, store } = newRegistry()
    await enrolIn(registry, desktop)
    await connectTo(registry, desktop)
    await failure(() => connectTo(newRegistry('mandatory', store).registry, desktop), 'safeguarding-required')
    await newRegistry('optional', store).registry.safeguard(deposit.escrow, ACME)
    await connectTo(newRegistry('mandatory', store).registry, desktop)
    expect((await connectTo(newRegistry('off', store).registry, desktop)).safeguarded).toBe(true)
  })

  it('reports other errors of a client before it asks for an escrow', async () => {
    const { registry } = newRegistry('mandatory')
    await enrolIn(registry, desktop)
    await failure(() => connectTo(registry, changed), 'key-changed')
    await failure(() => connectTo(registry, laptop), 'key-not-found')
    await failure(() => registry.commitFirstBackup(connectionOf(laptop)), 'key-not-found')
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
    await failure(() => registry.safeguard(deposit.escrow, ACME), 'key-not-found')
    await enrolIn(registry, desktop)
    await failure(() => registry.safeguard(laptop.safeguard().escrow, ACME), 'key-not-found')
    await failure(() => registry.safeguard(changed.safeguard().escrow, ACME), 'key-changed')
    await failure(() => registry.safeguard(withAccount.safeguard().escrow, ACME), 'key-not-found')
    expect(await registry.clearEscrow({ account: 'acme', name: 'laptop' })).toBe(false)
    const elsewhere = await make({ realm: 'elsewhere' })
    await failure(() => registry.safeguard(elsewhere.safeguard().escrow, ACME), 'authentication-failed')
    const moved = await make({ platform: 'windows' })
    expect((await failure(() => registry.safeguard(moved.safeguard().escrow, ACME), 'policy')).detail['rule']).toBe(
      'platform',
    )
    const error = await failure(() => registry.safeguard(deposit.escrow, { account: 'mallory' }), 'policy')
    expect(error.detail).toEqual({ rule: 'own-account', account: 'acme' })
    await registry.safeguard(deposit.escrow, ACME)
    const enrolment = desktop.enrolment(await registry.challenge(), OWN)
    await failure(() => registry.safeguard(enrolment, ACME), 'unsupported')
    await failure(() => registry.safeguard(sample(5000), ACME), 'limit-exceeded')
  })

  it('lacks an account key that was set later, and must be created again', async () => {
    const { registry } = newRegistry('mandatory')
    await enrolIn(registry, desktop)
    await registry.safeguard(deposit.escrow, ACME)
    await enrolIn(registry, laptop)
    await registry.safeguard(laptop.safeguard().escrow, ACME)
    await failure(() => connectTo(registry, withAccount), 'safeguarding-required')
    await failure(() => registry.safeguard(deposit.escrow, ACME), 'account-key-required')
    // The stored escrow still recovers the private key.
    const file = await registry.buildRegistration({ account: 'acme', name: 'desktop' }, provider, soon())
    using back = openRegistration(file, { account: 'acme', ...card, activationCode: deposit.activationCode })
    await failure(() => back.scope('account'), 'account-key-required')
    await registry.safeguard(withAccount.safeguard().escrow, ACME)
    expect((await connectTo(registry, withAccount)).safeguarded).toBe(true)
  })

  it('is dropped if its keys are replaced before the first backup', async () => {
    const { registry } = newRegistry('optional')
    await enrolIn(registry, desktop)
    await registry.safeguard(deposit.escrow, ACME)
    await enrolIn(registry, desktop)
    expect((await connectTo(registry, desktop)).safeguarded).toBe(true)
    await enrolIn(registry, changed)
    expect((await connectTo(registry, changed)).safeguarded).toBe(false)
    // It stays if only the platform changes. The client from its registration file must then enrol again.
    const moved = await make({ platform: 'windows' })
    await enrolIn(registry, desktop)
    await registry.safeguard(deposit.escrow, ACME)
    await enrolIn(registry, moved)
    expect((await connectTo(registry, moved)).safeguarded).toBe(true)
    const file = await registry.buildRegistration({ account: 'acme', name: 'desktop' }, provider, soon())
    using back = openRegistration(file, { account: 'acme', ...card, activationCode: deposit.activationCode })
    await failure(() => connectTo(registry, back), 'policy')
    await enrolIn(registry, back)
    await connectTo(registry, back)
  })

  it('never replaces a newer one, even after it was cleared; the latest one can be stored again', async () => {
    vi.useFakeTimers({ now: Date.UTC(2030, 0, 1) })
    const { registry } = newRegistry('optional')
    await enrolIn(registry, desktop)
    const first = desktop.safeguard()
    vi.advanceTimersByTime(1)
    const second = desktop.safeguard()
    await registry.safeguard(first.escrow, ACME)
    await registry.safeguard(second.escrow, ACME)
    await failure(() => registry.safeguard(first.escrow, ACME), 'rollback')
    await registry.clearEscrow({ account: 'acme', name: 'desktop' })
    await failure(() => registry.safeguard(first.escrow, ACME), 'rollback')
    // Not even after other keys were enrolled in between.
    await enrolIn(registry, changed)
    await enrolIn(registry, desktop)
    await failure(() => registry.safeguard(first.escrow, ACME), 'rollback')
    await registry.safeguard(second.escrow, ACME)
    const file = await registry.buildRegistration({ account: 'acme', name: 'desktop' }, provider, soon())
    await failure(
      () => openRegistration(file, { account: 'acme', ...card, activationCode: first.activationCode }),
      'authentication-failed',
    )
    openRegistration(file, { account: 'acme', ...card, activationCode: second.activationCode }).dispose()
    expect(parseRegistration(file, card).depositedAt).toEqual(new Date(Date.UTC(2030, 0, 1) + 1))
    expect(parseRegistration(file, card).hasAccountKey).toBe(false)
  })

  it('says until when it is refused, after a clock that ran four minutes ahead was set right', async () => {
    vi.useFakeTimers({ now: Date.UTC(2030, 0, 1) + 4 * MINUTE })
    const { registry } = newRegistry('optional')
    const ahead = desktop.safeguard()
    vi.setSystemTime(Date.UTC(2030, 0, 1))
    await enrolIn(registry, desktop)
    await registry.safeguard(ahead.escrow, ACME)
    vi.advanceTimersByTime(1000)
    const error = await failure(() => depositIn(registry, desktop), 'rollback')
    expect(error.detail).toEqual({ until: '2030-01-01T00:04:00.000Z' })
    expect(error.message).toContain('2030-01-01T00:04:00.000Z')
    vi.setSystemTime(new Date(String(error.detail['until'])))
    await depositIn(registry, desktop)
  })

  it.each([undefined, {}, { account: undefined }, { account: null }])(
    'needs the account of the customer who is logged in: %j is a TypeError',
    async (options) => {
      const { registry, store } = newRegistry('optional')
      const safeguard = registry.safeguard(deposit.escrow, options as never)
      await expect(safeguard).rejects.toThrow(TypeError)
      await expect(safeguard).rejects.toThrow('account')
      expect(store.reads).toBe(0)
    },
  )

  it('cannot be dated in the future', async () => {
    vi.useFakeTimers({ now: Date.UTC(2030, 0, 1) })
    const { registry } = newRegistry('optional')
    await enrolIn(registry, desktop)
    vi.setSystemTime(Date.UTC(2030, 0, 1, 0, 5) + 1)
    const { escrow } = desktop.safeguard()
    vi.setSystemTime(Date.UTC(2030, 0, 1))
    expect((await failure(() => registry.safeguard(escrow, ACME), 'policy')).detail['rule']).toBe('clock')
    vi.setSystemTime(-5)
    expect(readEscrow(desktop.safeguard().escrow).issuedAt).toBe(0)
  })

  it('that is damaged in the server’s database gives a plain Error', async () => {
    const { registry, store } = newRegistry('optional')
    await enrolIn(registry, desktop)
    await registry.safeguard(deposit.escrow, ACME)
    const { bytes: row, version } = (await store.read(ROW))!
    await store.write(ROW, version + 1, flipped(row, row.length - 8 - 66))
    await expect(connectTo(registry, desktop)).rejects.toThrow('the row of an account in the registry is damaged')
  })

  it('is accepted from 30 clients of one account at the same time', async () => {
    // One after the other: the first to finish would switch off the cheap Argon2id of the test for the others.
    const many: Client[] = []
    for (let index = 0; index < 30; index++) many.push(await make({ name: `client ${index}`, accountKey: ACCOUNT }))
    const { registry, store } = newRegistry('mandatory')
    const wait = () => new Promise((resolve) => setTimeout(resolve, 3))
    store.changed.read = async (...given) => wait().then(() => store.inner.read(...given))
    store.changed.write = async (...given) => wait().then(() => store.inner.write(...given))
    for (const each of many) await enrolIn(registry, each)
    await Promise.all(many.map((each) => depositIn(registry, each)))
    for (const each of many) expect((await connectTo(registry, each)).safeguarded).toBe(true)
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
    await enrolIn(registry, withAccount)
    await commitFor(registry, withAccount)
    const { escrow, activationCode } = withAccount.safeguard()
    await registry.safeguard(escrow, ACME)
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
      expect((await connectTo(registry, back)).state).toBe('locked')
      for (const block of blocks) expectSame(await ofEveryScope(back).open(block), sample(50))
      const anew = await back.scope('account').seal(sample(60))
      expectSame(await withAccount.open(parseBlock(encodeBlock(anew), anew.label)), sample(60))
      expect(back.safeguard().activationCode).not.toBe(activationCode)
    }
  })

  it('can be read without the activation code', async () => {
    const { file, activationCode } = await deposited()
    const facts = parseRegistration(file, card)
    expect(facts).toEqual({
      ...{ realm: 'tests', account: 'acme', name: 'desktop', ...OWN, hasAccountKey: true, armed: false },
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
    await failure(() => openRegistration(file, { account: 'acme', ...card, activationCode: 'x' }), 'invalid-text')
    await failure(() => armRegistration(file, options.activationCode.slice(1)), 'invalid-text')
  })

  it('is refused if it is from another provider or any byte was changed', async () => {
    const { registry, file, options, activationCode } = await deposited()
    const theirs = { ...options, provider: stranger.card() }
    await failure(() => openRegistration(file, theirs), 'authentication-failed')
    await failure(() => parseRegistration(file, { provider: theirs.provider }), 'authentication-failed')
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
