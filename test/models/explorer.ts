// Explores what several machines can do to one store. The machines run the real library. Every call of a store waits
// until the explorer chooses it, and chooses what goes wrong with it. It tries every order and every fault within
// bounds (depth first, by replaying choices), or random ones from a seed. Pauses take no time.
//
// It does not run two machines at the same instant: a call is atomic, and machines only meet in the stores. Of orders
// that differ only in calls which cannot influence each other, it tries one. So a check may look at the stores and at
// what the machines returned, but not at when.
import { expect } from 'vitest'
import { KeystrataError } from '../../src/index.ts'

/** How long a test may take. The machine may be busy, and SLOW=1 tries a lot. */
export const TIMEOUT = 1_800_000

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
  /** A seed makes the runs random. Without it they are exhaustive, unless `runs` cuts them off. */
  readonly seed?: number
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
  readonly violations: number
  /** The violation with the shortest trace. */
  readonly shortest?: { readonly message: string; readonly trace: readonly string[] }
}

/** Replays choices up to a point, and takes the first choice after it. */
class Replay implements Chooser {
  readonly taken: { chosen: number; of: number }[] = []
  readonly #prefix: readonly { chosen: number; of: number }[]

  constructor(prefix: readonly { chosen: number; of: number }[]) {
    this.#prefix = prefix
  }

  choose(of: number): number {
    const planned = this.#prefix[this.taken.length]
    if (planned !== undefined && planned.of !== of) {
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

/** Runs a scenario again and again. It returns what occurred, which is counted once a run. */
export async function explore(
  name: string,
  bounds: Bounds,
  scenario: (run: Run) => Promise<readonly string[]>,
): Promise<Report> {
  const started = process.cpuUsage()
  const outcomes: Map<string, number> = new Map()
  const random = bounds.seed === undefined ? undefined : new Seeded(bounds.seed, bounds.oneIn)
  let [runs, violations, isExhaustive] = [0, 0, false]
  let shortest: Report['shortest']
  let replay: Replay | undefined = new Replay([])
  const restore = withoutTime()
  try {
    while (runs < bounds.runs && violations < (bounds.violations ?? Infinity)) {
      const run = new Run(random ?? replay, bounds)
      try {
        for (const each of new Set(await scenario(run))) outcomes.set(each, (outcomes.get(each) ?? 0) + 1)
        runs++
      } catch (error) {
        if (error instanceof Violation) {
          runs++
          violations++
          const { trace } = run
          if (shortest === undefined || trace.length < shortest.trace.length)
            shortest = { message: error.message, trace }
        } else if (!(error instanceof Redundant)) {
          throw new Error(`${name}: a machine failed\n${run.trace.join('\n')}`, { cause: error })
        }
      }
      if (random !== undefined) continue
      const next = replay.next()
      isExhaustive = next === undefined
      if (next === undefined) break
      replay = new Replay(next)
    }
  } finally {
    restore()
  }
  const { user, system } = process.cpuUsage(started)
  const how = isExhaustive ? 'exhaustive' : random === undefined ? 'cut off' : 'random'
  const shown = [...outcomes].sort(([, a], [, b]) => b - a).map(([outcome, count]) => `${outcome} ${count}`)
  const bad = violations > 0 ? [`VIOLATIONS ${violations}`] : []
  const seconds = ((user + system) / 1e6).toFixed(1)
  console.log(`${name}: ${runs} runs, ${how}, ${seconds} s CPU: ${[...shown, ...bad].join(', ')}`)
  return { name, runs, isExhaustive, outcomes, violations, ...(shortest && { shortest }) }
}

/** Makes every timer end at once. Returns what undoes it. */
function withoutTime(): () => void {
  const instant = (callback: () => void) => {
    queueMicrotask(callback)
  }
  globalThis.setTimeout = instant as unknown as typeof setTimeout
  return () => {
    globalThis.setTimeout = setTimeoutOfPlatform
  }
}

const traceOf = ({ shortest }: Report) => (shortest ? [shortest.message, ...shortest.trace].join('\n  ') : '')

/** Expects a report without violations, that has tried enough. Each pattern must match an outcome that occurred. */
export function expectSound(report: Report, { runs, reached }: { runs: number; reached: readonly RegExp[] }): void {
  if (report.violations > 0)
    throw new Error(`${report.name}: ${report.violations} violations, such as\n${traceOf(report)}`)
  // Mutation tests make a tenth of the runs.
  if ('__stryker__' in globalThis) return
  expect(report.runs).toBeGreaterThanOrEqual(runs)
  const outcomes = [...report.outcomes.keys()]
  expect(reached.filter((pattern) => !outcomes.some((each) => pattern.test(each)))).toEqual([])
}

/** Expects that the explorer has found a fault which was built in. */
export function expectCaught(report: Report, message: RegExp): void {
  expect(report.shortest?.message ?? 'no violation').toMatch(message)
  expect(report.shortest?.trace.length).toBeGreaterThan(0)
}
