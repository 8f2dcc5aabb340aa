// Explores what several machines can do to one store. The machines run the real library. Every call of a store waits
// until the explorer chooses it, and chooses what goes wrong with it. It tries every order and every fault within
// bounds (depth first, by replaying choices), or random ones from a seed. Pauses take no time.
//
// It does not run two machines at the same instant: a call is atomic, and machines only meet in the stores. Of orders
// that differ only in calls which cannot influence each other, it tries one. So a check may look at the stores and at
// what the machines returned, but not at when.
import { KeystrataError } from '../../src/index.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { reseed } from './randomness.ts'
import { remembering } from './remembering.ts'

/** A rule that a run broke. */
export class Violation extends Error {}

/** What a machine gets when its store does not answer. */
export class NoAnswer extends Error {
  constructor() {
    super('no answer')
  }
}

/**
 * What can go wrong with a call. `lost`: a write is done, and throws. `failed`: a write is not done, and throws.
 * `repeated`: a write is done, and answers false, because the transport had sent it twice. `late`: a write throws, and
 * lands later. `unread`: a read throws. `down`: this call and all later ones of this machine throw. `cut`: the same,
 * but this write is done. `crash`: the machine stops before this call. `crash-after`: it stops after this write.
 */
export type Fault = 'lost' | 'failed' | 'repeated' | 'late' | 'unread' | 'down' | 'cut' | 'crash' | 'crash-after'

const OF_WRITES: readonly Fault[] = ['lost', 'failed', 'repeated', 'late', 'cut', 'crash-after']

export const ALL_FAULTS: readonly Fault[] = [...OF_WRITES, 'unread', 'down', 'crash']

export interface Bounds {
  /** How many faults a run may have. A machine that is down has one. */
  readonly faults?: number
  readonly kinds?: readonly Fault[]
  /** How many versions a late read may be behind, and how many reads of a run may be late. */
  readonly late?: { readonly back: number; readonly reads: number }
  /** In random runs, something goes wrong with one of so many calls, while there are faults left. 4 if omitted. */
  readonly oneIn?: number
  /** Where to stop. */
  readonly runs: number
  /** A seed makes the runs random. The first run uses the seed itself. Without it they are exhaustive, unless cut off. */
  readonly seed?: number
  /** Repeats the exhaustive run that made these choices, and no other. */
  readonly choices?: readonly number[]
  /** Stops after this many seconds. */
  readonly seconds?: number
  /** Where to stop after violations. */
  readonly violations?: number
}

/** A call of a store, on its way. */
export interface Call {
  readonly shown: () => string
  /** The name that it reads or writes, or the beginning of all names that it lists. */
  readonly object: string
  readonly isList?: boolean
  readonly isWrite: boolean
  /** Carries it out on the modelled store, and returns its answer. */
  readonly apply: () => unknown
  /** Whether a write would succeed now. */
  readonly succeeds?: () => boolean
  /** The answers that a late read may give instead. */
  readonly lateAnswers?: (back: number) => readonly unknown[]
  readonly showAnswer?: (answer: unknown) => string
}

interface Waiting {
  readonly call: Call
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: unknown) => void
}

const setTimeoutOfPlatform = globalThis.setTimeout
const turn = () => new Promise<void>((resolve) => void setImmediate(resolve))

/** A machine from its start to its end or crash. */
export class Machine {
  readonly name: string
  readonly waiting: Waiting[] = []
  ended = false
  #wake: (() => void) | undefined

  constructor(name: string) {
    this.name = name
  }

  /** Lets a call wait until the explorer chooses it. */
  call<T>(call: Call): Promise<T> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ call, resolve: resolve as (answer: unknown) => void, reject })
      this.#wake?.()
    })
  }

  end(): void {
    this.ended = true
    this.#wake?.()
  }

  /** Waits until the machine can do nothing more without an answer. */
  async untilBlocked(): Promise<void> {
    while (!this.ended && this.waiting.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve))
    // More calls of this machine may follow in the same turn.
    await turn()
  }
}

/** A machine over all of its restarts. */
export interface Actor {
  readonly name: string
  /** How it ended: `done`, `crashed`, `no answer`, or the code of a KeystrataError. Undefined while it runs. */
  outcome?: string
  value?: unknown
  error?: unknown
  /** How many of its calls went wrong since its last start. */
  faults: number
}

interface Player extends Actor {
  readonly body: (machine: Machine, restarts: number) => Promise<unknown>
  readonly crashes: boolean
  readonly restarts: number
  starts: number
  machine: Machine
}

/** A run that only repeats another one in a different order. */
class Redundant extends Error {}

/** Makes the choices of one run. */
interface Chooser {
  choose(of: number, isRare: boolean): number
}

export class Run {
  readonly #chooser: Chooser
  readonly #bounds: Bounds
  readonly #players: Player[] = []
  readonly #trace: (() => string)[] = []
  /** What went wrong, in order. */
  readonly #faulty: (Fault | 'late read')[] = []
  #flying: Call[] = []
  #faults: number
  #lateReads: number

  constructor(chooser: Chooser, bounds: Bounds) {
    this.#chooser = chooser
    this.#bounds = bounds
    this.#faults = bounds.faults ?? 0
    this.#lateReads = bounds.late?.reads ?? 0
  }

  get trace(): readonly string[] {
    return this.#trace.map((show) => show())
  }

  get faulty(): readonly (Fault | 'late read')[] {
    return this.#faulty
  }

  /** Chooses a number below `of`. A rare choice is 0 in most random runs. */
  choose(of: number, isRare = false): number {
    return of <= 1 ? 0 : this.#chooser.choose(of, isRare)
  }

  log(show: string | (() => string)): void {
    this.#trace.push(typeof show === 'string' ? () => show : show)
  }

  violation(message: string): never {
    throw new Violation(message)
  }

  /** Adds a machine. `play` starts it. */
  add(
    name: string,
    body: (machine: Machine, restarts: number) => Promise<unknown>,
    { crashes = true, restarts = 0 }: { crashes?: boolean; restarts?: number } = {},
  ): Actor {
    const player: Player = { name, body, crashes, restarts, starts: 0, faults: 0, machine: new Machine(name) }
    this.#players.push(player)
    return player
  }

  /** Runs all machines to their ends. Late writes that are still on their way land at the end. */
  async play(): Promise<void> {
    for (const player of this.#players) await this.#start(player)
    let last: { order: number; call: Call } | undefined
    for (;;) {
      const choices = this.#choices()
      if (choices.every(({ player }) => player === undefined)) break
      const open = this.#isExhaustive ? choices.filter((each) => !isRepetition(last, each)) : choices
      if (open.length === 0) throw new Redundant()
      const chosen = this.#chooseNext(open, last)
      if (chosen.player === undefined) this.#land()
      else await this.#step(chosen.player)
      last = chosen
    }
    while (this.#flying.length > 0) this.#land()
  }

  /** In random runs, half of the time the last machine goes on. So one may do much while another waits. */
  #chooseNext<T extends { order: number }>(open: readonly T[], last: { order: number } | undefined): T {
    const again = open.find(({ order }) => order === last?.order)
    if (!this.#isExhaustive && again !== undefined && this.choose(2) === 1) return again
    return open[this.choose(open.length)]!
  }

  get #isExhaustive(): boolean {
    return this.#bounds.seed === undefined
  }

  /** The calls of which one comes next: the first of each machine, and of the late ones. */
  #choices(): { order: number; call: Call; player?: Player }[] {
    const ofMachines = this.#players.flatMap((player, order) => {
      const [first] = player.machine.waiting
      return first === undefined || player.machine.ended ? [] : [{ order, call: first.call, player }]
    })
    const [flying] = this.#flying
    return flying === undefined ? ofMachines : [...ofMachines, { order: this.#players.length, call: flying }]
  }

  async #start(player: Player): Promise<void> {
    const machine = new Machine(player.name)
    player.machine = machine
    player.faults = 0
    void player
      .body(machine, player.starts++)
      .then(
        (value) => Object.assign(player, { outcome: 'done', value }),
        (error: unknown) => Object.assign(player, { outcome: outcomeOf(error), error }),
      )
      .finally(() => machine.end())
    await machine.untilBlocked()
    this.#rethrow(player)
  }

  /** An error that no store and no rule explains ends the run. */
  #rethrow({ outcome, error }: Player): void {
    if (outcome === 'unexpected') throw error
  }

  #land(): void {
    const call = this.#flying.shift()!
    const answer = call.apply()
    this.log(() => `  (late) ${call.shown()} -> ${String(answer)}`)
  }

  async #step(player: Player): Promise<void> {
    const { machine } = player
    const { call, resolve, reject } = machine.waiting.shift()!
    const fault = this.#chooseFault(call, player)
    const tell = (what: string) => this.log(() => `${player.name}: ${call.shown()} -> ${what}`)
    if (fault !== undefined) {
      this.#faults--
      this.#faulty.push(fault)
      player.faults++
    }
    switch (fault) {
      case 'crash':
      case 'crash-after':
        if (fault === 'crash-after') call.apply()
        tell(fault === 'crash' ? 'not done, and CRASH' : 'done, then CRASH')
        machine.ended = true
        player.outcome = 'crashed'
        if (player.starts <= player.restarts) await this.#start(player)
        return
      case 'late':
        this.#flying.push(call)
        break
      case 'lost':
      case 'cut':
        call.apply()
        break
    }
    if (fault === undefined || fault === 'repeated') {
      const answer = fault === 'repeated' ? (call.apply(), false) : this.#answer(call, player)
      tell(fault === 'repeated' ? 'false, but done' : (call.showAnswer ?? String)(answer))
      resolve(answer)
    } else {
      tell(`throws (${fault === 'lost' || fault === 'cut' ? 'done' : fault === 'late' ? 'on its way' : 'not done'})`)
      reject(new NoAnswer())
    }
    await machine.untilBlocked()
    if (fault === 'down' || fault === 'cut') await this.#refuseAll(player)
    this.#rethrow(player)
  }

  /** Answers no more calls of a machine. They have no effect, so their order does not matter. */
  async #refuseAll({ name, machine }: Player): Promise<void> {
    while (!machine.ended) {
      for (const { call, reject } of machine.waiting.splice(0)) {
        this.log(() => `${name}: ${call.shown()} -> throws (down)`)
        reject(new NoAnswer())
      }
      await machine.untilBlocked()
    }
  }

  #chooseFault(call: Call, { crashes }: Player): Fault | undefined {
    if (this.#faults <= 0) return undefined
    const possible = (this.#bounds.kinds ?? ALL_FAULTS).filter((fault) => {
      if (fault === 'crash') return crashes
      if (fault === 'crash-after') return crashes && call.isWrite
      if (fault === 'unread') return !call.isWrite
      if (fault === 'repeated') return call.succeeds?.() === true
      return fault === 'down' || call.isWrite
    })
    return [undefined, ...possible][this.choose(possible.length + 1, true)]
  }

  #answer(call: Call, player: Player): unknown {
    const { late } = this.#bounds
    const others = late === undefined || this.#lateReads <= 0 ? [] : (call.lateAnswers?.(late.back) ?? [])
    const chosen = this.choose(others.length + 1, true)
    if (chosen === 0) return call.apply()
    this.#lateReads--
    this.#faulty.push('late read')
    player.faults++
    this.log('  (a late read)')
    return others[chosen - 1]
  }
}

/**
 * Returns whether a call after the last one repeats an order that is tried anyway: if two calls cannot influence each
 * other, only the order in which the first machine comes first is needed.
 */
function isRepetition(last: { order: number; call: Call } | undefined, next: { order: number; call: Call }): boolean {
  return last !== undefined && next.order < last.order && !influences(last.call, next.call)
}

function influences(a: Call, b: Call): boolean {
  if (!a.isWrite && !b.isWrite) return false
  const isIn = (list: Call, other: Call) => list.isList === true && other.object.startsWith(list.object)
  return a.object === b.object || isIn(a, b) || isIn(b, a)
}

function outcomeOf(error: unknown): string {
  if (error instanceof NoAnswer) return 'no answer'
  return error instanceof KeystrataError ? error.code : 'unexpected'
}

export interface Report {
  readonly name: string
  readonly runs: number
  readonly isExhaustive: boolean
  readonly outcomes: ReadonlyMap<string, number>
  /** How often each fault occurred. */
  readonly faults: ReadonlyMap<string, number>
  /** Processor time. */
  readonly seconds: number
  readonly violations: number
  /** The violation with the shortest trace. */
  readonly shortest?: Found
}

/** A violation, and what repeats it. */
export interface Found {
  readonly message: string
  readonly trace: readonly string[]
  /** The seed of a random run. */
  readonly seed?: number
  /** The choices of an exhaustive run. */
  readonly choices?: readonly number[]
}

/** Replays choices up to a point, and takes the first choice after it. */
class Replay implements Chooser {
  readonly taken: { chosen: number; of: number }[] = []
  readonly #prefix: readonly { chosen: number; of?: number }[]

  /** @param prefix the choices, and of how many each was, if that is known */
  constructor(prefix: readonly { chosen: number; of?: number }[]) {
    this.#prefix = prefix
  }

  /** The choices that were made, without those at the end that are made anyway. */
  get choices(): number[] {
    const choices = this.taken.map(({ chosen }) => chosen)
    return choices.slice(0, choices.findLastIndex((chosen) => chosen > 0) + 1)
  }

  choose(of: number): number {
    const planned = this.#prefix[this.taken.length]
    if (planned?.of !== undefined && planned.of !== of) {
      throw new Error(`the run is not deterministic: choice ${this.taken.length} is of ${of}, and was of ${planned.of}`)
    }
    const chosen = planned?.chosen ?? 0
    this.taken.push({ chosen, of })
    return chosen
  }

  /** Returns the choices to replay next, or undefined if all were tried. */
  next(): { chosen: number; of: number }[] | undefined {
    const choices = [...this.taken]
    for (;;) {
      const last = choices.pop()
      if (last === undefined) return undefined
      if (last.chosen + 1 < last.of) return [...choices, { chosen: last.chosen + 1, of: last.of }]
    }
  }
}

/** Random choices that are the same for the same seed (xorshift32; Marsaglia 2003). */
class Seeded implements Chooser {
  readonly #oneIn: number
  #state: number

  constructor(seed: number, oneIn = 4) {
    this.#oneIn = oneIn
    this.#state = Math.imul(seed, 2_654_435_761) | 1
  }

  choose(of: number, isRare: boolean): number {
    return isRare && this.#next() % this.#oneIn !== 0 ? 0 : this.#next() % of
  }

  #next(): number {
    this.#state ^= this.#state << 13
    this.#state ^= this.#state >>> 17
    this.#state ^= this.#state << 5
    return this.#state >>> 0
  }
}

/** Returns the seed of a run. It is a number of 32 bits (finaliser of MurmurHash3; Appleby 2011). */
export function seedOfRun(seed: number, run: number): number {
  if (run === 0) return seed
  let mixed = (seed + Math.imul(run, 0x9e37_79b9)) | 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** What many runs had in common. */
class Tally {
  readonly outcomes: Map<string, number> = new Map()
  readonly faults: Map<string, number> = new Map()
  runs = 0
  violations = 0
  shortest: Found | undefined

  add(counts: Map<string, number>, names: Iterable<string>): void {
    for (const each of names) counts.set(each, (counts.get(each) ?? 0) + 1)
  }

  found(found: Found): void {
    this.violations++
    if (this.shortest === undefined || found.trace.length < this.shortest.trace.length) this.shortest = found
  }
}

/** Runs a scenario again and again. It returns what occurred, which is counted once a run. */
export async function explore(
  name: string,
  bounds: Bounds,
  scenario: (run: Run) => Promise<readonly string[]>,
): Promise<Report> {
  const { seed, choices } = bounds
  const [started, until] = [process.cpuUsage(), performance.now() + 1000 * (bounds.seconds ?? Infinity)]
  const tally = new Tally()
  let isExhaustive = false
  let replay = new Replay((choices ?? []).map((chosen) => ({ chosen })))
  const restore = withoutTime()
  useBackend(remembering)
  try {
    while (
      tally.runs < bounds.runs &&
      tally.violations < (bounds.violations ?? Infinity) &&
      performance.now() < until
    ) {
      const runSeed = seed === undefined ? undefined : seedOfRun(seed, tally.runs)
      reseed(runSeed ?? 0)
      const run = new Run(runSeed === undefined ? replay : new Seeded(runSeed, bounds.oneIn), bounds)
      try {
        tally.add(tally.outcomes, new Set(await scenario(run)))
        tally.runs++
      } catch (error) {
        if (error instanceof Violation) {
          tally.runs++
          const repeats = runSeed === undefined ? { choices: replay.choices } : { seed: runSeed }
          tally.found({ message: error.message, trace: run.trace, ...repeats })
        } else if (!(error instanceof Redundant)) {
          const repeats = runSeed === undefined ? `choices ${replay.choices.join('.')}` : `seed ${runSeed}`
          throw new Error(`${name}: a machine failed, ${repeats}\n${run.trace.join('\n')}`, { cause: error })
        }
      }
      tally.add(tally.faults, run.faulty)
      if (seed !== undefined) continue
      const next = choices === undefined ? replay.next() : undefined
      isExhaustive = next === undefined && choices === undefined
      if (next === undefined) break
      replay = new Replay(next)
    }
  } finally {
    useBackend(undefined)
    restore()
  }
  const { user, system } = process.cpuUsage(started)
  const { runs, outcomes, faults, violations, shortest } = tally
  const seconds = (user + system) / 1e6
  return { name, runs, isExhaustive, outcomes, faults, seconds, violations, ...(shortest && { shortest }) }
}

/** What `Date.now` returns during runs. */
const NOW = Date.UTC(2030, 0, 1)

/** Makes every timer end at once, and stops the clock. Returns what undoes it. */
export function withoutTime(): () => void {
  const { now } = Date
  const instant = (callback: () => void) => {
    queueMicrotask(callback)
  }
  globalThis.setTimeout = instant as unknown as typeof setTimeout
  Date.now = () => NOW
  return () => {
    Date.now = now
    globalThis.setTimeout = setTimeoutOfPlatform
  }
}
