// Two or three branches of a keyset change, split, and adopt each other in random orders. A model of sets says which
// blocks each must open, which shares it must have, and which revisions it must accept as a floor.
import { afterAll, beforeAll, describe, it } from 'vitest'
import { changeKeyset, type Keyset, loadKeyset, saveKeyset, type SealedBlock } from '../../src/index.ts'
import { withAdopted } from '../../src/keyset/adopt.ts'
import { assertComplete, type CompleteContents } from '../../src/keyset/changes.ts'
import type { DraftContents } from '../../src/keyset/exports.ts'
import { insidesOf, unlockedNext } from '../../src/keyset/keyset.ts'
import { descendsFrom, historyAfter, parseRevision } from '../../src/keyset/revision.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { hex, makeKeyset, numRuns, PASSWORD, quickly, sample } from '../fixtures.ts'
import { expectCaught, expectSound, explore, type Run, TIMEOUT } from './explorer.ts'
import { remembering } from './remembering.ts'

beforeAll(() => useBackend(remembering))
afterAll(() => useBackend(undefined))

const content = sample(100)
const first = await quickly(() => makeKeyset({ encryption: 'x25519' }))

type Adopt = (own: Keyset, other: Keyset) => Keyset
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

const explored = (name: string, runs: number, branches: number, adopt = real, violations = Infinity) =>
  explore(`adopt, ${name}`, { seed: branches, runs, violations }, async (run) => {
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

describe('adopt', { timeout: TIMEOUT }, () => {
  it('loses no pair, no share and no floor of two branches, and brings back no revoked share', async () => {
    const report = await explored('two branches', numRuns(60, 500), 2)
    expectSound(report, { runs: 60, reached: [/adopt/, /revoked elsewhere/, /superseded/, /forget/, /new pair/] })
  })

  it('does so with three branches', async () => {
    const report = await explored('three branches', numRuns(30, 200), 3)
    expectSound(report, { runs: 30, reached: [/adopt/, /revoked elsewhere/, /superseded/, /forget/] })
  })

  it('of a keyset that was saved elsewhere can be stored in both stores, and each accepts its floor', async () => {
    const report = await explore('adopt, two stores', { seed: 9, runs: numRuns(30, 200) }, async (run) => {
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
    expectSound(report, { runs: 30, reached: [/adopt/, /revoke/, /regenerate/] })
  })
})

describe('the explorer notices', { timeout: TIMEOUT }, () => {
  /** An adopt that leaves something out of the other keyset, or spoils the result. */
  const lacking =
    (
      other: (contents: CompleteContents) => CompleteContents,
      result: (draft: DraftContents, own: CompleteContents) => DraftContents = (draft) => draft,
    ): Adopt =>
    (own, given) => {
      const { contents, master, allowWeaker } = insidesOf(own, '')
      const complete = assertComplete(contents, '')
      const draft = withAdopted(complete, other(assertComplete(insidesOf(given, '').contents, '')))
      return unlockedNext(result(draft, complete), master.copy(), allowWeaker)
    }

  it.each<[string, Adopt, RegExp]>([
    [
      'a share that comes back',
      lacking((other) => ({ ...other, additional: { ...other.additional, revoked: [] } })),
      /other shares|other revoked/,
    ],
    [
      'a share that is lost',
      lacking((other) => ({ ...other, additional: { ...other.additional, shares: [] } })),
      /other shares/,
    ],
    [
      'a pair that is lost',
      lacking((other) => ({ ...other, additional: { ...other.additional, retired: [] } })),
      /cannot open a block|another key pair/,
    ],
    [
      'a history of one branch alone',
      lacking(
        (other) => other,
        (draft, own) => ({ ...draft, history: historyAfter(own) }),
      ),
      /does not descend/,
    ],
  ])('%s', async (name, adopt, message) => {
    expectCaught(await explored(name, 40, 2, adopt, 3), message)
  })
})
