// Two or three branches of a keyset change, split, and adopt each other in random orders. A model of sets says which
// blocks each must open, which shares it must have, and which revisions it must accept as a floor.
import { changeKeyset, type Keyset, loadKeyset, saveKeyset, type SealedBlock } from '../../src/index.ts'
import { assertComplete } from '../../src/keyset/changes.ts'
import { insidesOf } from '../../src/keyset/keyset.ts'
import { descendsFrom, parseRevision } from '../../src/keyset/revision.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { hex, makeKeyset, PASSWORD, quickly, sample } from '../fixtures.ts'
import { type Bounds, explore, type Report, type Run } from './explorer.ts'
import { type Scenario, scenariosOf } from './scenario.ts'

const content = sample(100)
const first = await quickly(() => makeKeyset({ encryption: 'x25519' }))

export type Adopt = (own: Keyset, other: Keyset) => Keyset
const real: Adopt = (own, other) => own.adopt(other)

/** What one branch must be able to do. Pairs are numbers: each has one block. */
interface Branch {
  readonly keyset: Keyset
  readonly pairs: ReadonlySet<number>
  readonly current: number
  readonly shares: ReadonlySet<string>
  readonly revoked: ReadonlySet<string>
  /** All revisions that it descends from, and its own. */
  readonly floors: ReadonlySet<string>
}

class Forks {
  readonly run: Run
  readonly branches: Branch[] = []
  readonly #adopt: Adopt
  readonly #blocks: SealedBlock[] = []
  readonly #occurred: Set<string> = new Set()

  private constructor(run: Run, adopt: Adopt) {
    this.run = run
    this.#adopt = adopt
  }

  static async start(run: Run, adopt: Adopt, branches: number): Promise<Forks> {
    const forks = new Forks(run, adopt)
    forks.#blocks.push(await first.seal(content))
    const { revision } = first
    const none: ReadonlySet<string> = new Set()
    const branch = {
      keyset: first,
      pairs: new Set([0]),
      current: 0,
      shares: none,
      revoked: none,
      floors: new Set([revision]),
    }
    for (let each = 0; each < branches; each++) forks.branches.push(branch)
    return forks
  }

  /** Makes one random change to one branch. */
  async change(place: number): Promise<void> {
    const branch = this.branches[place]!
    const { keyset, pairs, current, shares, revoked } = branch
    const others = this.branches.map((_, other) => other).filter((other) => other !== place)
    switch (this.run.choose(7)) {
      case 0:
      case 1: {
        const created = keyset.createShare()
        this.#next('create share', place, created.keyset, { shares: union(shares, [created.share.id]) })
        return
      }
      case 2:
      case 3: {
        const id = [...shares][this.run.choose(shares.size)]
        if (id === undefined) return
        const gone = new Set([id])
        const sets = { shares: without(shares, gone), revoked: union(revoked, gone) }
        this.#next('revoke', place, keyset.revokeShare(id), sets)
        return
      }
      case 4: {
        const regenerated = keyset.regenerate()
        const pair = this.#blocks.push(await regenerated.seal(content)) - 1
        this.#next('regenerate', place, regenerated, { pairs: union(pairs, [pair]), current: pair })
        return
      }
      case 5:
        this.#next('forget', place, keyset.forgetRetired('unchecked'), { pairs: new Set([current]) })
        return
      default:
        await this.adopt(place, others[this.run.choose(others.length)]!)
    }
  }

  async adopt(place: number, from: number): Promise<void> {
    const own = this.branches[place]!
    const other = this.branches[from]!
    const revoked = union(own.revoked, other.revoked)
    const adopted = this.#adopt(own.keyset, other.keyset)
    const current = currentOf(own, other) ?? this.#blocks.push(await adopted.seal(content)) - 1
    const isSuperseded = current === other.current && current !== own.current
    const sets = {
      pairs: union(union(own.pairs, other.pairs), [current]),
      current,
      shares: without(union(own.shares, other.shares), revoked),
      revoked,
      floors: union(own.floors, other.floors),
    }
    if (own.revoked.size < revoked.size && own.shares.size > sets.shares.size) this.#occurred.add('revoked elsewhere')
    if (isSuperseded) this.#occurred.add('superseded')
    if (current !== own.current && !isSuperseded) this.#occurred.add('new pair')
    this.#next(`adopt ${from}`, place, adopted, sets)
    await this.check(place)
  }

  #next(what: string, place: number, keyset: Keyset, sets: Partial<Branch>): void {
    const before = this.branches[place]!
    const floors = union(sets.floors ?? before.floors, [keyset.revision])
    this.branches[place] = { ...before, ...sets, keyset, floors }
    this.#occurred.add(what.split(' ')[0]!)
    this.run.log(() => `branch ${place}: ${what} -> ${keyset.revision.slice(0, 8)}`)
  }

  /** Compares a branch with what it must be able to do. */
  async check(place: number, { keyset, ...sets }: Branch = this.branches[place]!): Promise<void> {
    const { additional, ...contents } = assertComplete(insidesOf(keyset, '').contents, '')
    const wrong = (what: string) => this.run.violation(`branch ${place} ${what}`)
    for (const [pair, block] of this.#blocks.entries()) {
      const isOpen = await keyset.open(block).then(
        () => true,
        () => false,
      )
      if (isOpen !== sets.pairs.has(pair)) wrong(isOpen ? 'opens what it forgot' : 'cannot open a block')
      if (keyset.isCurrent(block.envelope) !== (pair === sets.current)) wrong('uses another key pair')
    }
    if (!isSame(new Set(keyset.shares), sets.shares)) wrong('has other shares')
    for (const id of sets.shares) keyset.share(id).dispose()
    if (!isSame(new Set(additional.revoked.map((id) => hex(id))), sets.revoked)) wrong('remembers other revoked shares')
    for (const floor of sets.floors)
      if (!descendsFrom(contents, parseRevision(floor, ''))) wrong('does not descend from one of its floors')
    if (contents.history.length !== sets.floors.size - 1) wrong('has a history that is too long')
  }

  get occurred(): readonly string[] {
    return [...this.#occurred]
  }
}

/**
 * Returns the pair that must be current after adopting, or undefined if it must be a new one. A branch that descends from
 * the other knows better. Otherwise a pair that the other branch has retired is not used again, unless both have retired
 * the pair of the other. Branches without a common pair cannot tell which is newer.
 */
function currentOf(own: Branch, other: Branch): number | undefined {
  if (own.floors.has(other.keyset.revision)) return own.current
  if (other.floors.has(own.keyset.revision)) return other.current
  if (![...own.pairs].some((pair) => other.pairs.has(pair))) return undefined
  return retired(other).has(own.current) && !retired(own).has(other.current) ? other.current : own.current
}

const retired = ({ pairs, current }: Branch) => without(pairs, new Set([current]))
const union = <T>(a: ReadonlySet<T>, b: Iterable<T>): ReadonlySet<T> => new Set([...a, ...b])
const without = <T>(a: ReadonlySet<T>, b: ReadonlySet<T>): ReadonlySet<T> =>
  new Set([...a].filter((each) => !b.has(each)))
const isSame = <T>(a: ReadonlySet<T>, b: ReadonlySet<T>) => a.size === b.size && without(a, b).size === 0

export const exploreAdopt = (
  name: string,
  bounds: Bounds,
  { branches, adopt = real }: { branches: number; adopt?: Adopt },
): Promise<Report> =>
  explore(`adopt, ${name}`, bounds, async (run) => {
    const forks = await Forks.start(run, adopt, branches)
    for (let step = 0; step < 8; step++) await forks.change(run.choose(branches))
    // Then all take in all others, twice. After that they must agree on everything but their history.
    for (let round = 0; round < 2; round++)
      for (let place = 0; place < branches; place++)
        for (let from = 0; from < branches; from++) if (from !== place) await forks.adopt(place, from)
    const [one, ...others] = forks.branches
    for (const other of others)
      if (!isSame(one!.shares, other.shares) || !isSame(one!.pairs, other.pairs))
        run.violation('the branches do not agree')
    return forks.occurred
  })

const exploreTwoStores = (name: string, bounds: Bounds): Promise<Report> =>
  explore(`adopt, ${name}`, bounds, async (run) => {
    const forks = await Forks.start(run, real, 2)
    const stores = [memoryStateStore(), memoryStateStore()]
    for (const store of stores) await saveKeyset(store, first)
    for (let step = 0; step < 6; step++) {
      const place = run.choose(2)
      await forks.change(place)
      await saveKeyset(stores[place]!, forks.branches[place]!.keyset)
    }
    const floors = forks.branches.map(({ keyset }) => keyset.revision)
    const [one, two] = forks.branches
    // Each side adopts the other one, at the same time, and then the results meet again.
    await forks.adopt(0, 1)
    const merged = forks.branches[0]!
    forks.branches[0] = one!
    await forks.adopt(1, 0)
    forks.branches[0] = merged
    for (const [place, store] of stores.entries()) await saveKeyset(store, forks.branches[place]!.keyset)
    await forks.adopt(0, 1)
    for (const [place, store] of stores.entries()) {
      await saveKeyset(store, forks.branches[0].keyset)
      for (const atLeast of [...floors, merged.keyset.revision]) {
        using loaded = await loadKeyset(store, PASSWORD, { atLeast })
        await forks.check(place, { ...forks.branches[0], keyset: loaded })
      }
      using _ = await changeKeyset(store, [one!, two!][place]!.keyset, (newest) => newest.regenerate())
    }
    return forks.occurred
  })

const scenario = scenariosOf('adopt', exploreAdopt)
const ofStores = scenariosOf('adopt', exploreTwoStores)

export const ADOPT: readonly Scenario[] = [
  scenario(
    { branches: 2 },
    {
      name: 'two branches',
      sentence: 'loses no pair, no share and no floor of two branches, and brings back no revoked share',
      bounds: {},
      isRandom: true,
      reached: [/adopt/, /revoked elsewhere/, /superseded/, /forget/, /new pair/],
      test: { runs: 60, slow: 500, seed: 2 },
    },
  ),
  scenario(
    { branches: 3 },
    {
      name: 'three branches',
      sentence: 'does so with three branches',
      bounds: {},
      isRandom: true,
      reached: [/adopt/, /revoked elsewhere/, /superseded/, /forget/],
      test: { runs: 30, slow: 200, seed: 7 },
    },
  ),
  scenario(
    { branches: 4 },
    {
      name: 'four branches',
      sentence: 'does so with four branches',
      bounds: {},
      isRandom: true,
      reached: [/adopt/],
    },
  ),
  ofStores(undefined, {
    name: 'two stores',
    sentence: 'of a keyset that was saved elsewhere can be stored in both stores, and each accepts its floor',
    bounds: {},
    isRandom: true,
    reached: [/adopt/, /revoke/, /regenerate/],
    test: { runs: 30, slow: 200, seed: 9 },
  }),
]
