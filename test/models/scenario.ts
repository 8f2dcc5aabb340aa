// What the explorer plays. The tests play each scenario for a fixed number of runs, and `npm run models` as long as one says.
import type { Bounds, Report } from './explorer.ts'

/** What may go wrong, without where to stop. */
export type Faults = Pick<Bounds, 'faults' | 'kinds' | 'late' | 'oneIn'>

export interface Scenario {
  /** Whose scenario it is, such as `log`. */
  readonly protocol: string
  readonly name: string
  /** What a test of it says. */
  readonly sentence: string
  readonly bounds: Faults
  /**
   * What may go wrong in random runs of `npm run models`. If omitted, one fault more than in `bounds`, at least two, of all
   * kinds, and three late reads.
   */
  readonly harder?: Faults
  /** Whether every run is random, because the scenario is. Otherwise `npm run models` tries every order first. */
  readonly isRandom?: boolean
  /** Patterns of outcomes that the runs of a test must reach. */
  readonly reached: readonly RegExp[]
  readonly explore: (bounds: Bounds) => Promise<Report>
  /** How a test plays it. Without it, only `npm run models` does. */
  readonly test?: {
    /** How many runs, and with SLOW=1. */
    readonly runs: number
    readonly slow?: number
    /** With a seed, the runs are random. */
    readonly seed?: number
    /** Bounds with SLOW=1, without the seed: every order. */
    readonly slowBounds?: Faults
    /** How many runs there are at least: `runs` if omitted. */
    readonly atLeast?: number
    /** Whether all of its runs must be tried. */
    readonly isExhaustive?: boolean
  }
}

export const nameOf = ({ protocol, name }: Pick<Scenario, 'protocol' | 'name'>): string => `${protocol}: ${name}`

/** Returns what may go wrong in random runs. */
export const harderOf = ({ bounds, harder }: Scenario): Faults =>
  harder ?? { faults: Math.max(2, (bounds.faults ?? 0) + 1), late: { back: 2, reads: 3 }, oneIn: 12 }

/** Returns what makes scenarios of a protocol. */
export const scenariosOf =
  <S>(protocol: string, explore: (name: string, bounds: Bounds, scene: S) => Promise<Report>) =>
  (scene: S, rest: Omit<Scenario, 'protocol' | 'explore'>): Scenario => ({
    protocol,
    explore: (bounds) => explore(rest.name, bounds, scene),
    ...rest,
  })
