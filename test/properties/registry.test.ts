// A registry and its clients, with events in any order. A model of what the registry should know runs beside it. No
// sequence of events may let in a client whose locked key differs, lose an enrolment or an escrow, or accept a proof or an
// enrolment twice, or at another server.
import { type Client, deriveClient, type TypedKey } from '../../src/client.ts'
import { PGlite } from '@electric-sql/pglite'
import fc from 'fast-check'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { type ErrorCode, KeystrataError } from '../../src/index.ts'
import { openKeyRegistry, type KeyRegistry } from '../../src/server.ts'
import { memoryStateStore, type RegistryStore } from '../../src/stores.ts'
import { postgresSchema, postgresStateStore } from '../../src/stores/postgres.ts'
import { makeKeyset, numRuns, quickly } from '../fixtures.ts'
import { connectionOf, OWN } from '../registry-fixtures.ts'

const CLIENTS = ['desktop', 'laptop', 'phone'] as const
const PLATFORMS = { desktop: 'linux', laptop: 'windows', phone: 'ios' } as const
const PRIVATE = ['one', 'two'] as const
const ACCOUNT = { none: undefined, short: { type: 'AES-128', text: 'short' }, long: { type: 'AES-256', text: 'long' } }
type Name = (typeof CLIENTS)[number]
type AccountKey = keyof typeof ACCOUNT
const ACME = { account: 'acme' }
const provider = await makeKeyset()

interface Keys {
  name: Name
  privateKey: (typeof PRIVATE)[number]
  accountKey: AccountKey
}

/** Every client with every choice of keys, derived once. */
const clients: Map<string, Client> = new Map()
const nameOf = ({ name, privateKey, accountKey }: Keys) => `${name} ${privateKey} ${accountKey}`
for (const name of CLIENTS) {
  for (const text of PRIVATE) {
    for (const [accountKey, key] of Object.entries(ACCOUNT) as [AccountKey, TypedKey | undefined][]) {
      const names = { realm: 'tests', account: 'acme', name: name, platform: PLATFORMS[name] }
      const options = {
        ...names,
        privateKey: { type: 'AES-256', text: `${name} ${text}` },
        ...(key && { accountKey: key }),
      }
      const client = await quickly(() => deriveClient(options as Parameters<typeof deriveClient>[0]))
      clients.set(nameOf({ name, privateKey: text, accountKey }), client)
    }
  }
}
const clientOf = (keys: Keys) => clients.get(nameOf(keys))!

/** The escrow of each client. All are made at the same instant, so that none is older than another. */
const escrows: Map<string, Uint8Array> = new Map()
vi.useFakeTimers({ now: Date.now() })
for (const [name, client] of clients) escrows.set(name, client.safeguard().escrow)
vi.useRealTimers()

/** What the registry should know. */
class Model {
  accountKey: AccountKey = 'none'
  readonly enrolled: Map<Name, { privateKey: string; locked: boolean; escrow?: AccountKey | undefined }> = new Map()
  /** Whether the server under test makes safeguarding mandatory. The second server over the same rows does not. */
  readonly mandatory: boolean

  constructor(mandatory: boolean) {
    this.mandatory = mandatory
  }

  enrol({ name, privateKey, accountKey }: Keys): ErrorCode | 'ok' {
    const known = this.accountKey
    const names = new Set([...this.enrolled.keys(), name])
    if (names.has('phone') && accountKey === 'long') return 'policy'
    if (accountKey === 'none' && (known !== 'none' || names.size > 1 || names.has('phone')))
      return 'account-key-required'
    if (known !== 'none' && accountKey !== known) return 'key-changed'
    const before = this.enrolled.get(name)
    if (before?.locked === true && before.privateKey !== privateKey) return 'key-changed'
    this.accountKey = accountKey
    const escrow = before?.privateKey === privateKey ? before.escrow : undefined
    this.enrolled.set(name, { privateKey, locked: before?.locked ?? false, escrow })
    return 'ok'
  }

  commit({ name, privateKey }: Keys): ErrorCode | 'ok' {
    const known = this.enrolled.get(name)
    if (known === undefined) return 'key-not-found'
    if (known.privateKey !== privateKey) return 'key-changed'
    if (!this.isComplete) return 'account-key-required'
    if (this.mandatory && !this.isSafeguarded(name)) return 'safeguarding-required'
    known.locked = true
    return 'ok'
  }

  /** Returns the error for keys that differ from the enrolled ones. */
  mismatch({ name, privateKey, accountKey }: Keys): ErrorCode | undefined {
    const known = this.enrolled.get(name)
    if (known === undefined) return 'key-not-found'
    if (known.privateKey !== privateKey) return 'key-changed'
    if (this.accountKey === 'none' && accountKey !== 'none') return 'key-not-found'
    if (this.accountKey !== 'none' && accountKey === 'none') return 'account-key-required'
    if (this.accountKey !== accountKey) return 'key-changed'
    return this.isComplete ? undefined : 'account-key-required'
  }

  /** Whether the account has an account key, or needs none. */
  get isComplete(): boolean {
    return this.accountKey !== 'none' || (this.enrolled.size <= 1 && !this.enrolled.has('phone'))
  }

  safeguard(keys: Keys): ErrorCode | 'ok' {
    const mismatch = this.mismatch(keys)
    if (mismatch !== undefined) return mismatch
    this.enrolled.get(keys.name)!.escrow = keys.accountKey
    return 'ok'
  }

  clear(name: Name): boolean {
    const known = this.enrolled.get(name)
    if (known?.escrow === undefined) return false
    known.escrow = undefined
    return true
  }

  clearAccountKey(): ErrorCode | boolean {
    if (this.accountKey === 'none') return false
    if ([...this.enrolled.values()].some(({ locked }) => locked)) return 'policy'
    this.accountKey = 'none'
    return true
  }

  /** Returns the clients as the registry lists them. */
  list(): string {
    const clients = [...this.enrolled].map(
      ([name, { locked }]) =>
        `${name} ${PLATFORMS[name]} ${locked ? 'locked' : 'provisional'} ${this.isSafeguarded(name)}`,
    )
    return clients.join()
  }

  isSafeguarded(name: Name): boolean {
    const escrow = this.enrolled.get(name)?.escrow
    return escrow !== undefined && (this.accountKey === 'none' || escrow === this.accountKey)
  }

  /** Returns the keys that a registration file holds, or the error. */
  build(name: Name): string {
    const known = this.enrolled.get(name)
    if (known === undefined) return 'key-not-found'
    return known.escrow === undefined ? 'safeguarding-required' : `${known.privateKey} ${known.escrow}`
  }

  do(deed: Deed): string {
    switch (deed.what) {
      case 'enrol':
        return this.enrol(deed)
      case 'commit':
        return this.commit(deed)
      case 'safeguard':
        return this.safeguard(deed)
      case 'clear':
        return String(this.clear(deed.name))
      case 'remove':
        return String(this.enrolled.delete(deed.name))
      case 'clear-key':
        return String(this.clearAccountKey())
    }
  }

  connect(keys: Keys): string {
    const mismatch = this.mismatch(keys)
    if (mismatch !== undefined) return mismatch
    const safeguarded = this.isSafeguarded(keys.name)
    if (this.mandatory && !safeguarded) return 'safeguarding-required'
    const { locked } = this.enrolled.get(keys.name)!
    return `${locked ? 'locked' : 'provisional'}${safeguarded ? ', safeguarded' : ''}`
  }
}

class Real {
  readonly registry: KeyRegistry
  readonly elsewhere: KeyRegistry
  /** Everything that was sent, and whether it was accepted. */
  readonly sent: {
    readonly what: 'proof' | 'enrolment'
    keys: Keys
    bytes: Uint8Array
    isTaken: boolean | 'perhaps'
  }[] = []

  constructor(store: RegistryStore, mandatory: boolean) {
    const safeguarding = mandatory ? 'mandatory' : 'optional'
    this.registry = openKeyRegistry(store, { realm: 'tests', ...OWN, safeguarding })
    // Another server over the same database, which issues its own challenges.
    this.elsewhere = openKeyRegistry(store, { realm: 'tests', server: 'storage-2' })
  }

  async do(deed: Deed): Promise<string> {
    const { what, name } = deed
    switch (what) {
      case 'enrol':
        await this.#send('enrolment', deed)
        return 'ok'
      case 'commit':
        await this.registry.commitFirstBackup(connectionOf(clientOf(deed)))
        return 'ok'
      case 'safeguard':
        await this.registry.safeguard(escrows.get(nameOf(deed))!, ACME)
        return 'ok'
      case 'clear':
        return String(await this.registry.clearEscrow({ account: 'acme', name }))
      case 'remove':
        return String(await this.registry.removeClient({ account: 'acme', name }))
      case 'clear-key':
        return String(await this.registry.clearAccountKey('acme'))
    }
  }

  connect(keys: Keys): Promise<string> {
    return this.#send('proof', keys)
  }

  async #send(what: 'proof' | 'enrolment', keys: Keys): Promise<string> {
    const challenge = await this.registry.challenge()
    const client = clientOf(keys)
    const bytes = what === 'proof' ? client.prove(challenge, OWN) : client.enrolment(challenge, OWN)
    const sent: Real['sent'][number] = { what, keys, bytes, isTaken: false }
    this.sent.push(sent)
    return this.deliver(sent)
  }

  /** Sends something, for the first time or again. */
  async deliver(sent: Real['sent'][number], to: KeyRegistry = this.registry): Promise<string> {
    if (sent.what === 'enrolment') {
      await to.enrol(sent.bytes, ACME)
      sent.isTaken = true
      return 'ok'
    }
    const { state, safeguarded } = await to.connect(sent.bytes)
    sent.isTaken = true
    return `${state}${safeguarded ? ', safeguarded' : ''}`
  }

  async list(): Promise<string> {
    const clients = await this.registry.listClients('acme')
    return clients.map(({ name, platform, state, safeguarded }) => `${name} ${platform} ${state} ${safeguarded}`).join()
  }
}

async function outcome<T>(action: () => Promise<T>): Promise<T | ErrorCode> {
  try {
    return await action()
  } catch (error) {
    if (error instanceof KeystrataError) return error.code
    throw error
  }
}

type Command = fc.AsyncCommand<Model, Real>

/** A call that changes the registry. */
class Do implements Command {
  readonly deed: Deed
  constructor(deed: Deed) {
    this.deed = deed
  }
  check = () => true
  async run(model: Model, real: Real) {
    expect(await outcome(() => real.do(this.deed))).toBe(model.do(this.deed))
    expect(await real.list()).toBe(model.list())
  }
  toString = () => `${this.deed.what} ${nameOf(this.deed)}`
}

class Connect implements Command {
  readonly keys: Keys
  constructor(keys: Keys) {
    this.keys = keys
  }
  check = () => true
  async run(model: Model, real: Real) {
    expect(await outcome(() => real.connect(this.keys))).toBe(model.connect(this.keys))
  }
  toString = () => `connect ${nameOf(this.keys)}`
}

/** Checks that a registration file holds the latest escrow. */
class Build implements Command {
  readonly name: Name
  constructor(name: Name) {
    this.name = name
  }
  check = () => true
  async run(model: Model, real: Real) {
    const built = await outcome(async () => {
      const file = await real.registry.buildRegistration({ account: 'acme', name: this.name }, provider, {
        expires: new Date(1),
      })
      const [holder] = [...escrows].find(([, escrow]) => Buffer.from(file).includes(Buffer.from(escrow)))!
      return holder.slice(this.name.length + 1)
    })
    expect(built).toBe(model.build(this.name))
  }
  toString = () => `build ${this.name}`
}

/** Sends an earlier proof or enrolment again, and sends it to another server. */
class Replay implements Command {
  readonly which: number
  constructor(which: number) {
    this.which = which
  }
  check = () => true
  async run(model: Model, real: Real) {
    const sent = real.sent[this.which % Math.max(real.sent.length, 1)]
    if (sent === undefined) return
    expect(await outcome(() => real.deliver(sent, real.elsewhere))).toBe('authentication-failed')
    // What breaks a rule is told so. What was accepted before is expired. What was refused before may be accepted now.
    const { what, keys, isTaken } = sent
    const after = copyOf(model)
    const allowed = what === 'proof' ? after.connect(keys) : after.enrol(keys)
    const isAllowed = /^(?:ok|locked|provisional)/.test(allowed)
    const said = await outcome(() => real.deliver(sent))
    const wanted = isTaken !== false && isAllowed ? ['expired'] : []
    expect(isTaken === true && isAllowed ? wanted : [...wanted, allowed]).toContain(said)
    if (what === 'enrolment' && said === 'ok') model.enrol(keys)
  }
  toString = () => `replay ${this.which}`
}

interface Deed extends Keys {
  what: 'enrol' | 'commit' | 'safeguard' | 'clear' | 'remove' | 'clear-key'
}

/**
 * Several calls at once. A call that loses a race starts again, so the result is as if they had run one after the
 * other.
 */
class AtOnce implements Command {
  readonly all: readonly Deed[]
  constructor(all: readonly Deed[]) {
    this.all = all
  }
  check = () => true
  async run(model: Model, real: Real) {
    const before = real.sent.length
    const outcomes = await Promise.all(this.all.map((deed) => outcome(() => real.do(deed))))
    // One that lost a race may have been refused after its challenge was taken.
    for (const sent of real.sent.slice(before)) if (sent.isTaken === false) sent.isTaken = 'perhaps'
    // Some order of the calls must give the same outcomes and the same states afterwards.
    const states = await Promise.all(this.all.map((keys) => outcome(() => real.connect(keys))))
    const listed = await real.list()
    const holds = orders(this.all.length).find((order) => {
      const trial = copyOf(model)
      const given: string[] = []
      for (const index of order) given[index] = trial.do(this.all[index]!)
      const after = this.all.map((keys) => trial.connect(keys))
      return this.#explains(given, outcomes) && after.join() === states.join() && trial.list() === listed
    })
    expect(holds, `${outcomes.join()}, then ${states.join()}, then ${listed}`).toBeDefined()
    for (const index of holds!) model.do(this.all[index]!)
  }
  /** Two calls that clear or remove the same thing may both say that they did it: their writes look the same. */
  #explains(given: readonly string[], outcomes: readonly string[]): boolean {
    const target = ({ what, name }: Deed) => (what === 'clear-key' ? what : `${what} ${name}`)
    return outcomes.every((said, index) => {
      if (said === given[index]) return true
      const twin = this.all.findIndex(
        (each, other) => given[other] === 'true' && target(each) === target(this.all[index]!),
      )
      return said === 'true' && given[index] === 'false' && twin >= 0
    })
  }

  toString = () => `at once: ${this.all.map((deed) => `${deed.what} ${nameOf(deed)}`).join(', ')}`
}

function copyOf(model: Model): Model {
  const copy = new Model(model.mandatory)
  copy.accountKey = model.accountKey
  for (const [name, known] of model.enrolled) copy.enrolled.set(name, { ...known })
  return copy
}

function orders(length: number): number[][] {
  if (length === 0) return [[]]
  return orders(length - 1).flatMap((order) =>
    Array.from({ length }, (_, at) => [...order.slice(0, at), length - 1, ...order.slice(at)]),
  )
}

const keys = fc.record<Keys>({
  name: fc.constantFrom(...CLIENTS),
  privateKey: fc.constantFrom(...PRIVATE),
  // Use mostly the same key. Otherwise the server would refuse almost every client.
  accountKey: fc.constantFrom<AccountKey>('short', 'short', 'short', 'none', 'long'),
})
const deed: fc.Arbitrary<Deed> = fc
  .record({
    each: keys,
    what: fc.constantFrom<Deed['what']>(
      ...(['enrol', 'enrol', 'enrol', 'commit', 'commit', 'safeguard', 'safeguard'] as const),
      ...(['clear', 'remove', 'clear-key'] as const),
    ),
  })
  .map(({ each, what }) => ({ ...each, what }))
const commands = [
  deed.map((each) => new Do(each)),
  deed.map((each) => new Do(each)),
  keys.map((each) => new Connect(each)),
  fc.constantFrom(...CLIENTS).map((name) => new Build(name)),
  fc.nat(20).map((which) => new Replay(which)),
  fc.array(deed, { minLength: 2, maxLength: 3 }).map((all) => new AtOnce(all)),
]

async function explore(newStore: () => Promise<RegistryStore>, runs: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.commands(commands, { maxCommands: 20 }), fc.boolean(), async (plan, mandatory) => {
      const store = await newStore()
      await fc.asyncModelRun(() => ({ model: new Model(mandatory), real: new Real(store, mandatory) }), plan)
    }),
    { numRuns: runs },
  )
}

const database = new PGlite()
afterAll(() => database.close())

describe('a registry behaves like its model', { timeout: 600_000 }, () => {
  it('in memory', () => explore(async () => memoryStateStore(), numRuns(25, 600)))

  it('in a real database', async () => {
    await database.exec(postgresSchema())
    const emptied = async () => {
      await database.query('TRUNCATE keystrata_head, keystrata_version, keystrata_once')
      return postgresStateStore(database)
    }
    await explore(emptied, numRuns(8, 60))
  })
})
