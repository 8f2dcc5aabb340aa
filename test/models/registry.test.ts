// Several servers over one store, with the real registry: they enrol, connect, commit, deposit, clear and remove one
// client at the same time, and the explorer lets everything go wrong that a store may do. A locked key never changes
// unless the client is removed, no acknowledged change is lost, an escrow that was cleared is in no version, and no
// challenge is accepted twice.
import { afterAll, beforeAll, describe, it, vi } from 'vitest'
import { type Client, deriveClient } from '../../src/client.ts'
import { decode } from '../../src/core/codec.ts'
import { type Connection, type KeyRegistry, openKeyRegistry } from '../../src/server.ts'
import { accountRow, ClientState, type KnownClient } from '../../src/server/account-row.ts'
import { memoryStateStore, type RegistryStore } from '../../src/stores.ts'
import { hex, numRuns, quickly } from '../fixtures.ts'
import { connectionOf, OWN, rowName } from '../registry-fixtures.ts'
import {
  type Actor,
  type Bounds,
  expectCaught,
  expectSound,
  explore,
  type Machine,
  type Run,
  TIMEOUT,
} from './explorer.ts'
import { ModelState, type Stored } from './stores.ts'

const NOW = Date.UTC(2030, 0, 1)
const ROW = rowName('acme')
const ACME = { account: 'acme' }
const DESKTOP = { account: 'acme', name: 'desktop' }
const REALM = { realm: 'tests', ...OWN, safeguarding: 'optional' } as const

// The clock stands still, so that what is prepared here is valid in all runs.
beforeAll(() => void vi.useFakeTimers({ now: NOW, toFake: ['Date'] }))
afterAll(() => void vi.useRealTimers())

const make = (text: string): Promise<Client> =>
  quickly(() => deriveClient({ realm: 'tests', ...DESKTOP, platform: 'linux', privateKey: { type: 'AES-256', text } }))
const CLIENTS = { one: await make('one'), two: await make('two') }
type Key = keyof typeof CLIENTS
const CONNECTIONS: Record<Key, Connection> = { one: connectionOf(CLIENTS.one), two: connectionOf(CLIENTS.two) }

/** What is sent to the servers, made once: the challenges, and the answers to them. */
const prepared = await (async () => {
  vi.useFakeTimers({ now: NOW, toFake: ['Date'] })
  const store = memoryStateStore()
  const registry = openKeyRegistry(store, REALM)
  const answers = async (client: Client) => {
    const challenge = () => registry.challenge()
    const enrolments = [client.enrolment(await challenge(), OWN), client.enrolment(await challenge(), OWN)]
    return { enrolments, proof: client.prove(await challenge(), OWN), escrow: client.safeguard().escrow }
  }
  const sent = { one: await answers(CLIENTS.one), two: await answers(CLIENTS.two) }
  const { bytes: key } = (await store.read('registry'))!
  vi.useRealTimers()
  return { key, sent }
})()

/** A model of a store that remembers the keys of `once`. */
class ModelRegistry extends ModelState {
  readonly taken: Set<string> = new Set()

  take(key: string): boolean {
    if (this.taken.has(key)) return false
    this.taken.add(key)
    return true
  }

  /** Returns the store as one machine sees it. */
  override as(machine: Machine): RegistryStore {
    return {
      ...super.as(machine),
      once: (key) =>
        machine.call({
          shown: () => `once ${key.slice(0, 6)}…`,
          object: `once/${key}`,
          isWrite: true,
          apply: () => this.take(key),
          succeeds: () => !this.taken.has(key),
        }),
    }
  }
}

/** Shows the client in a row. */
function shown(bytes: Uint8Array): string {
  const known = clientIn(bytes)
  if (known === undefined) return 'nobody'
  const state = known.state === ClientState.locked ? 'locked' : 'provisional'
  return `${keyOf(known)} ${state}${known.escrow ? ' with escrow' : ''}`
}

const clientIn = (bytes: Uint8Array): KnownClient | undefined => decode(accountRow, bytes, 'row').clients[0]
const keyOf = ({ privateKey }: KnownClient): Key => (hex(privateKey.hash) === CONNECTIONS.one.key ? 'one' : 'two')

/** What a server does. */
const DEEDS = {
  enrol: (registry, key) => registry.enrol(prepared.sent[key].enrolments[0]!, ACME),
  'enrol again': (registry, key) => registry.enrol(prepared.sent[key].enrolments[1]!, ACME),
  connect: (registry, key) => registry.connect(prepared.sent[key].proof),
  commit: (registry, key) => registry.commitFirstBackup(CONNECTIONS[key]),
  safeguard: (registry, key) => registry.safeguard(prepared.sent[key].escrow, ACME),
  clear: (registry) => registry.clearEscrow(DESKTOP),
  remove: (registry) => registry.removeClient(DESKTOP),
} satisfies Record<string, (registry: KeyRegistry, key: Key) => Promise<unknown>>

type What = keyof typeof DEEDS
type Deed = readonly [What, Key]

/** A deed that was acknowledged, and how many versions the row had when it began and when it was acknowledged. */
interface Done {
  readonly deed: Deed
  readonly answer: unknown
  readonly began: number
  readonly ended: number
}

type Wrap = (store: RegistryStore) => RegistryStore

/** One run: servers that do their deeds one after the other, over one store. */
class Serving {
  readonly run: Run
  readonly state: ModelRegistry
  readonly actors: Actor[] = []
  readonly done: Done[] = []
  readonly #wrap: Wrap

  constructor(run: Run, state: ModelRegistry, wrap: Wrap) {
    this.run = run
    this.state = state
    this.#wrap = wrap
    state.write('registry', 1, prepared.key)
  }

  /** Makes a change before the servers start. */
  async before(deeds: readonly Deed[]): Promise<void> {
    const once = async (key: string) => this.state.take(key)
    const registry = openKeyRegistry({ ...this.state.direct(), once }, REALM)
    for (const [what, key] of deeds) await DEEDS[what](registry, key)
  }

  add(deeds: readonly Deed[]): void {
    const name = 'ABC'[this.actors.length]!
    const body = async (machine: Machine) => {
      const registry = openKeyRegistry(this.#wrap(this.state.as(machine)), REALM)
      for (const deed of deeds) {
        const began = this.#versions.length
        const answer: unknown = await DEEDS[deed[0]](registry, deed[1])
        this.done.push({ deed, answer, began, ended: this.#versions.length })
        this.run.log(() => `${name}: ${deed.join(' ')} is acknowledged: ${String(answer)}`)
      }
    }
    this.actors.push(this.run.add(name, body))
  }

  get #versions(): readonly Uint8Array[] {
    return this.state.object(ROW).versions
  }

  /** Plays the run, and checks everything that must hold at its end. */
  async outcome(): Promise<readonly string[]> {
    await this.run.play()
    this.#checkLocks()
    for (const done of this.done) this.#checkArrived(done)
    for (const what of ['enrol', 'enrol again', 'connect'] as const) {
      for (const key of ['one', 'two'] as const) {
        const times = this.done.filter(({ deed }) => deed[0] === what && deed[1] === key).length
        if (times > 1) this.run.violation(`the challenge of ${what} ${key} was accepted ${times} times`)
      }
    }
    return this.actors.map(({ outcome = '' }) => outcome)
  }

  /** A locked client stays locked with its key, until it is removed. */
  #checkLocks(): void {
    for (const [index, bytes] of this.#versions.entries()) {
      const known = clientIn(bytes)
      const next = this.#versions[index + 1]
      if (known?.state !== ClientState.locked || next === undefined) continue
      const after = clientIn(next)
      if (after === undefined) continue
      if (after.state !== ClientState.locked || keyOf(after) !== keyOf(known))
        this.run.violation(`the locked key has changed: ${shown(bytes)}, then ${shown(next)}`)
    }
  }

  /** An acknowledged change is in a version that was written while it was made. */
  #checkArrived({ deed, answer, began, ended }: Done): void {
    const [what, key] = deed
    const isIn = (known: KnownClient | undefined): boolean => {
      switch (what) {
        case 'enrol':
        case 'enrol again':
          return known !== undefined && keyOf(known) === key
        case 'commit':
          return known?.state === ClientState.locked && keyOf(known) === key
        case 'safeguard':
          return known?.escrow !== undefined && keyOf(known) === key
        case 'clear':
          return known?.escrow === undefined
        case 'remove':
          return known === undefined
        case 'connect':
          return true
      }
    }
    if (what === 'connect') return
    const during = this.#versions.slice(began, ended)
    // Without a row there is nothing to clear or to remove, and nothing is written.
    const isNothing = answer === false && began === 0
    const at = isNothing ? 0 : during.findIndex((bytes) => isIn(clientIn(bytes)))
    if (at < 0) return void this.run.violation(`the acknowledged change is lost: ${deed.join(' ')}`)
    if (what !== 'clear' && what !== 'remove') return
    const left = this.state.kept(ROW).filter(({ version }) => version <= began + at)
    if (left.some(({ bytes }) => clientIn(bytes)?.escrow !== undefined))
      this.run.violation(`an older version still has the escrow, after ${what}`)
  }
}

interface Scene {
  readonly before?: readonly Deed[]
  readonly servers: readonly (readonly Deed[])[]
  readonly make?: new (shown: (bytes: Uint8Array) => string) => ModelRegistry
  readonly wrap?: Wrap
}

const explored = (name: string, bounds: Bounds, { before = [], servers, make: Make = ModelRegistry, wrap }: Scene) =>
  explore(`registry, ${name}`, bounds, async (run) => {
    const serving = new Serving(run, new Make(shownObject), wrap ?? ((store) => store))
    await serving.before(before)
    for (const deeds of servers) serving.add(deeds)
    return serving.outcome()
  })

const shownObject = (bytes: Uint8Array): string => (bytes.length === 32 ? 'the key' : shown(bytes))

/** Tries everything with SLOW=1, and otherwise random runs. */
const sampled = (bounds: Omit<Bounds, 'runs'>, runs: number, seed: number): Bounds =>
  process.env['SLOW'] === '1' ? { ...bounds, runs: 20_000 } : { ...bounds, seed, runs: numRuns(runs, runs) }

const RACE: Scene = {
  servers: [
    [
      ['enrol', 'one'],
      ['commit', 'one'],
    ],
    [
      ['enrol', 'two'],
      ['commit', 'two'],
    ],
  ],
}

describe('two servers that enrol and lock one client with two keys', { timeout: TIMEOUT }, () => {
  it('in any order', async () => {
    const report = await explored('in any order', sampled({}, 200, 1), RACE)
    expectSound(report, { runs: 200, reached: [/done/, /key-changed/] })
  })

  it('with lost answers', async () => {
    const report = await explored('lost answers', sampled({ faults: 2 }, 400, 2), RACE)
    expectSound(report, { runs: 400, reached: [/done/, /key-changed/, /expired/, /no answer/, /crashed/] })
  })

  it('with lost answers and late reads', async () => {
    const bounds = { faults: 2, late: { back: 2, reads: 3 }, seed: 3, runs: numRuns(400, 10_000) }
    expectSound(await explored('lost answers, late reads', bounds, RACE), {
      runs: 400,
      reached: [/done/, /key-changed/],
    })
  })
})

describe('a server that removes a client while others lock it', { timeout: TIMEOUT }, () => {
  const scene: Scene = {
    before: [
      ['enrol', 'one'],
      ['commit', 'one'],
    ],
    servers: [
      [['remove', 'one']],
      [
        ['enrol again', 'one'],
        ['commit', 'one'],
      ],
      [
        ['enrol', 'two'],
        ['commit', 'two'],
      ],
    ],
  }

  it('never changes a locked key, and loses nothing that it acknowledged', async () => {
    const bounds = { faults: 2, late: { back: 2, reads: 3 }, seed: 4, runs: numRuns(400, 10_000) }
    const report = await explored('removing', bounds, scene)
    expectSound(report, { runs: 400, reached: [/done/, /key-changed/, /key-not-found/, /no answer/, /crashed/] })
  })

  it('and two servers that remove it at once', async () => {
    const twice = { ...scene, servers: [[['remove', 'one']], [['remove', 'one']], [['enrol again', 'one']]] } as const
    const bounds = { faults: 2, late: { back: 2, reads: 2 }, seed: 5, runs: numRuns(300, 10_000) }
    expectSound(await explored('removing twice', bounds, twice), { runs: 300, reached: [/done/, /no answer/] })
  })
})

describe('servers that deposit and clear an escrow', { timeout: TIMEOUT }, () => {
  const scene: Scene = {
    before: [['enrol', 'one']],
    servers: [
      [
        ['safeguard', 'one'],
        ['clear', 'one'],
      ],
      [['commit', 'one']],
      [
        ['safeguard', 'one'],
        ['remove', 'one'],
      ],
    ],
  }

  it('leave it in no version after it was cleared', async () => {
    const bounds = { faults: 2, late: { back: 2, reads: 3 }, seed: 6, runs: numRuns(400, 10_000) }
    const report = await explored('escrows', bounds, scene)
    expectSound(report, { runs: 400, reached: [/done/, /key-not-found/, /no answer/, /crashed/] })
  })
})

describe('two servers that get the same proof or enrolment', { timeout: TIMEOUT }, () => {
  const scene: Scene = {
    before: [['enrol again', 'one']],
    servers: [
      [
        ['connect', 'one'],
        ['enrol', 'one'],
      ],
      [
        ['connect', 'one'],
        ['enrol', 'one'],
      ],
      [
        ['enrol', 'one'],
        ['connect', 'one'],
      ],
    ],
  }

  it('accept it once', async () => {
    const bounds = { faults: 2, late: { back: 1, reads: 1 }, seed: 7, runs: numRuns(400, 10_000) }
    const report = await explored('one challenge', bounds, scene)
    expectSound(report, { runs: 400, reached: [/done/, /expired/, /no answer/, /crashed/] })
  })
})

describe('servers that create the key of the registry at once', { timeout: TIMEOUT }, () => {
  it('issue challenges that all of them accept', async () => {
    const bounds = sampled({ faults: 2, late: { back: 1, reads: 2 } }, 400, 8)
    const report = await explore('registry, the first key', bounds, async (run) => {
      const state = new ModelRegistry(() => 'a key')
      const issued: Uint8Array[] = []
      const actors = ['A', 'B', 'C'].map((name) =>
        run.add(name, async (machine) => {
          issued.push(await openKeyRegistry(state.as(machine), REALM).challenge())
        }),
      )
      await run.play()
      const once = async () => true
      const other = openKeyRegistry({ ...state.direct(), once }, REALM)
      for (const challenge of issued) {
        // The client is not enrolled, but the challenge is accepted.
        const outcome: unknown = await other.connect(CLIENTS.one.prove(challenge, OWN)).catch((error: unknown) => error)
        if ((outcome as { code?: string }).code !== 'key-not-found') run.violation('two servers have different keys')
      }
      return actors.map(({ outcome = '' }) => outcome)
    })
    expectSound(report, { runs: 200, reached: [/done/, /no answer/, /crashed/] })
  })
})

describe('the explorer notices', { timeout: TIMEOUT }, () => {
  const bounds = { faults: 1, runs: 600, seed: 9, violations: 3 }

  it('a store that writes without a look at the version', async () => {
    class Blind extends ModelRegistry {
      override succeeds(): boolean {
        return true
      }
    }
    const report = await explored('a blind store', { ...bounds, faults: 0 }, { ...RACE, make: Blind })
    expectCaught(report, /the locked key has changed/)
  })

  it('a store that keeps what it was told to drop', async () => {
    class Hoarding extends ModelRegistry {
      override drop(): void {
        // It says that it dropped the versions, but keeps them.
      }
    }
    const servers: Scene['servers'] = [[['clear', 'one']], [['commit', 'one']]]
    const before: readonly Deed[] = [
      ['enrol', 'one'],
      ['safeguard', 'one'],
    ]
    const report = await explored('a hoarding store', { ...bounds, faults: 0 }, { before, servers, make: Hoarding })
    expectCaught(report, /an older version still has the escrow/)
  })

  it('a store that forgets what it was given by once', async () => {
    class Forgetful extends ModelRegistry {
      override take(): boolean {
        return true
      }
    }
    const servers: Scene['servers'] = [[['connect', 'one']], [['connect', 'one']]]
    const report = await explored(
      'a forgetful store',
      { ...bounds, faults: 0 },
      { before: [['enrol', 'one']], servers, make: Forgetful },
    )
    expectCaught(report, /the challenge of connect one was accepted 2 times/)
  })

  it('a change that is acknowledged without a write, because a late read shows it already', async () => {
    const before: readonly Deed[] = [
      ['enrol', 'one'],
      ['commit', 'one'],
      ['remove', 'one'],
    ]
    const servers: Scene['servers'] = [
      [
        ['enrol again', 'one'],
        ['commit', 'one'],
      ],
      [['enrol', 'two']],
    ]
    const late = { ...bounds, faults: 0, late: { back: 2, reads: 2 } }
    expectCaught(await explored('no write', late, { before, servers, wrap: lazy }), /the acknowledged change is lost/)
    // Control: the registry writes also what changes nothing.
    expectSound(await explored('always a write', late, { before, servers }), { runs: 600, reached: [/done/] })
  })

  it('an adapter that takes equal bytes for its own', async () => {
    const before: readonly Deed[] = [
      ['enrol', 'one'],
      ['commit', 'one'],
    ]
    const servers: Scene['servers'] = [
      [
        ['enrol again', 'one'],
        ['commit', 'one'],
      ],
      [['remove', 'one']],
    ]
    const late = { ...bounds, faults: 0, late: { back: 2, reads: 2 } }
    const report = await explored('equal bytes', late, { before, servers, wrap: comparing })
    expectCaught(report, /the acknowledged change is lost/)
  })
})

/** Answers true if another machine has written the same bytes. */
const comparing: Wrap = (store) => ({
  ...store,
  write: async (name, version, bytes) => {
    if (await store.write(name, version, bytes)) return true
    const there = await store.readVersion(name, version)
    return there !== undefined && Buffer.compare(there, bytes) === 0
  },
})

/** Acknowledges a write of what it has read, without writing it. */
const lazy: Wrap = (store) => {
  let last: Stored
  return {
    ...store,
    read: async (name) => (last = await store.read(name)),
    write: async (name, version, bytes) =>
      last !== undefined && Buffer.compare(last.bytes, bytes) === 0 ? true : store.write(name, version, bytes),
  }
}
