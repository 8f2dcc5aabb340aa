// Several servers over one store, with the real registry: they enrol, connect, commit, deposit, clear and remove one
// client at the same time, and the explorer lets everything go wrong that a store may do. A locked key never changes
// unless the client is removed, no acknowledged change is lost, an escrow that was cleared is in no version, and no
// challenge is accepted twice.
import { type Client, deriveClient } from '../../src/client.ts'
import { decode } from '../../src/core/codec.ts'
import { type Connection, type KeyRegistry, openKeyRegistry } from '../../src/server.ts'
import { accountRow, ClientState, type KnownClient } from '../../src/server/account-row.ts'
import { memoryStateStore, type RegistryStore } from '../../src/stores.ts'
import { hex, quickly } from '../fixtures.ts'
import { connectionOf, OWN, rowName } from '../registry-fixtures.ts'
import { type Actor, type Bounds, explore, type Machine, type Report, type Run, withoutTime } from './explorer.ts'
import { type Scenario, scenariosOf } from './scenario.ts'
import { ModelState } from './stores.ts'

const ROW = rowName('acme')
const ACME = { account: 'acme' }
const DESKTOP = { account: 'acme', name: 'desktop' }
const REALM = { realm: 'tests', ...OWN, safeguarding: 'optional' } as const

const make = (text: string): Promise<Client> =>
  quickly(() => deriveClient({ realm: 'tests', ...DESKTOP, platform: 'linux', privateKey: { type: 'AES-256', text } }))
const CLIENTS = { one: await make('one'), two: await make('two') }
type Key = 'one' | 'two'
const CONNECTIONS: Record<Key, Connection> = { one: connectionOf(CLIENTS.one), two: connectionOf(CLIENTS.two) }

/** What is sent to the servers, made once: the challenges, and the answers to them. */
const prepared = await (async () => {
  // The clock stands still, so that what is prepared here is valid in all runs.
  const restore = withoutTime()
  const store = memoryStateStore()
  const registry = openKeyRegistry(store, REALM)
  const answers = async (client: Client) => {
    const challenge = () => registry.challenge()
    const enrolments = [client.enrolment(await challenge(), OWN), client.enrolment(await challenge(), OWN)]
    return { enrolments, proof: client.prove(await challenge(), OWN), escrow: client.safeguard().escrow }
  }
  const sent = { one: await answers(CLIENTS.one), two: await answers(CLIENTS.two) }
  const { bytes: key } = (await store.read('registry'))!
  restore()
  return { key, sent }
})()

/** A model of a store that remembers the keys of `once`. */
export class ModelRegistry extends ModelState {
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

type What = 'enrol' | 'enrol again' | 'connect' | 'commit' | 'safeguard' | 'clear' | 'remove'

/** What a server does. */
const DEEDS: Record<What, (registry: KeyRegistry, key: Key) => Promise<unknown>> = {
  enrol: (registry, key) => registry.enrol(prepared.sent[key].enrolments[0]!, ACME),
  'enrol again': (registry, key) => registry.enrol(prepared.sent[key].enrolments[1]!, ACME),
  connect: (registry, key) => registry.connect(prepared.sent[key].proof),
  commit: (registry, key) => registry.commitFirstBackup(CONNECTIONS[key]),
  safeguard: (registry, key) => registry.safeguard(prepared.sent[key].escrow, ACME),
  clear: (registry) => registry.clearEscrow(DESKTOP),
  remove: (registry) => registry.removeClient(DESKTOP),
}

export type Deed = readonly [What, Key]

/** A deed that was acknowledged, and how many versions the row had when it began and when it was acknowledged. */
interface Done {
  readonly deed: Deed
  readonly answer: unknown
  readonly began: number
  readonly ended: number
}

export type Wrap = (store: RegistryStore) => RegistryStore

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

export interface Scene {
  readonly before?: readonly Deed[]
  readonly servers: readonly (readonly Deed[])[]
  readonly make?: new (shown: (bytes: Uint8Array) => string) => ModelRegistry
  readonly wrap?: Wrap
}

export const exploreRegistry = (name: string, bounds: Bounds, scene: Scene): Promise<Report> => {
  const { before = [], servers, make: Make = ModelRegistry, wrap } = scene
  return explore(`registry, ${name}`, bounds, async (run) => {
    const serving = new Serving(run, new Make(shownObject), wrap ?? ((store) => store))
    await serving.before(before)
    for (const deeds of servers) serving.add(deeds)
    return serving.outcome()
  })
}

const shownObject = (bytes: Uint8Array): string => (bytes.length === 32 ? 'the key' : shown(bytes))

export const RACE: Scene = {
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

/** Servers create the key of the registry at once. */
const exploreFirstKey = (name: string, bounds: Bounds): Promise<Report> =>
  explore(`registry, ${name}`, bounds, async (run) => {
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

const scenario = scenariosOf('registry', exploreRegistry)
const ofFirstKey = scenariosOf('registry', exploreFirstKey)

/** A server removes a client while others lock it. */
const REMOVING: Scene = {
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

/** Servers deposit and clear an escrow. */
const ESCROWS: Scene = {
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

/** Servers get the same proof or enrolment. */
const ONE_CHALLENGE: Scene = {
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

const LATE = { faults: 2, late: { back: 2, reads: 3 } } as const

export const REGISTRY: readonly Scenario[] = [
  scenario(RACE, {
    name: 'in any order',
    sentence: 'two servers enrol and lock one client with two keys, in any order',
    bounds: {},
    reached: [/done/, /key-changed/],
    test: { runs: 200, slow: 20_000, seed: 1, slowBounds: {} },
  }),
  scenario(RACE, {
    name: 'lost answers',
    sentence: 'two servers enrol and lock one client with two keys, with lost answers',
    bounds: { faults: 2 },
    isRandom: true,
    reached: [/done/, /key-changed/, /expired/, /no answer/, /crashed/],
    test: { runs: 120, slow: 20_000, seed: 2, slowBounds: {} },
  }),
  scenario(RACE, {
    name: 'lost answers, late reads',
    sentence: 'two servers enrol and lock one client with two keys, with lost answers and late reads',
    bounds: LATE,
    isRandom: true,
    reached: [/done/, /key-changed/],
    test: { runs: 120, slow: 10_000, seed: 3 },
  }),
  scenario(REMOVING, {
    name: 'removing',
    sentence: 'a server removes a client while others lock it: a locked key never changes, and nothing is lost',
    bounds: LATE,
    isRandom: true,
    reached: [/done/, /key-changed/, /key-not-found/, /no answer/, /crashed/],
    test: { runs: 120, slow: 10_000, seed: 4 },
  }),
  scenario(
    { ...REMOVING, servers: [[['remove', 'one']], [['remove', 'one']], [['enrol again', 'one']]] },
    {
      name: 'removing twice',
      sentence: 'two servers remove a client at once',
      bounds: { faults: 2, late: { back: 2, reads: 2 } },
      isRandom: true,
      reached: [/done/, /no answer/],
      test: { runs: 120, slow: 10_000, seed: 5 },
    },
  ),
  scenario(ESCROWS, {
    name: 'escrows',
    sentence: 'servers deposit and clear an escrow, and leave it in no version after it was cleared',
    bounds: LATE,
    isRandom: true,
    reached: [/done/, /key-not-found/, /no answer/, /crashed/],
    test: { runs: 120, slow: 10_000, seed: 6 },
  }),
  scenario(ONE_CHALLENGE, {
    name: 'one challenge',
    sentence: 'servers get the same proof or enrolment, and accept it once',
    bounds: { faults: 2, late: { back: 1, reads: 1 } },
    isRandom: true,
    reached: [/done/, /expired/, /no answer/, /crashed/],
    test: { runs: 120, slow: 10_000, seed: 7 },
  }),
  ofFirstKey(undefined, {
    name: 'the first key',
    sentence: 'servers create the key of the registry at once, and accept all challenges',
    bounds: { faults: 2, late: { back: 1, reads: 2 } },
    isRandom: true,
    reached: [/done/, /no answer/, /crashed/],
    test: { runs: 120, slow: 20_000, seed: 8, slowBounds: {}, atLeast: 100 },
  }),
]
