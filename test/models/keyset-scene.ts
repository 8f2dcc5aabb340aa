// Several machines change one stored keyset with changeKeyset, and the explorer lets everything go wrong that a store
// may do. No acknowledged change may be lost, none may be made twice, and no machine may get an alarm that is false.
import { changeKeyset, type Keyset, KeystrataError, loadKeyset } from '../../src/index.ts'
import { openKeyset, parseKeyset } from '../../src/keyset/exports.ts'
import { insidesOf, unlocked } from '../../src/keyset/keyset.ts'
import { descendsFrom, parseRevision } from '../../src/keyset/revision.ts'
import { keyIdOf } from '../../src/core/wrap.ts'
import type { StateStore } from '../../src/stores.ts'
import { CHEAP, hex, makeKeyset, PASSWORD, quickly } from '../fixtures.ts'
import { type Actor, type Bounds, explore, type Machine, type Report, type Run } from './explorer.ts'
import { type Scenario, scenariosOf } from './scenario.ts'
import { ModelState } from './stores.ts'

const NEXT = 'another password'
const base = await quickly(async () => {
  let keyset = await makeKeyset({ encryption: 'x25519' })
  for (let share = 0; share < 3; share++) keyset = keyset.createShare().keyset
  return keyset
})

type Changed = Keyset | { keyset: Keyset }
export type ChangeKeyset = (
  store: StateStore,
  keyset: Keyset,
  change: (newest: Keyset) => Changed | Promise<Changed>,
) => Promise<Changed>

export const keysetOf = (changed: Changed): Keyset => ('keyset' in changed ? changed.keyset : changed)

export type Kind = 'nothing' | 'regenerate' | 'revoke' | 'share' | 'master'

/** What a machine does to the keyset. `place` is the number of the machine. */
const CHANGES: Record<Kind, (newest: Keyset, place: number) => Changed | Promise<Changed>> = {
  nothing: (newest) => newest.forgetRetired('unchecked'),
  regenerate: (newest) => newest.regenerate(),
  revoke: (newest, place) => newest.revokeShare(base.shares[place]!),
  share: (newest) => newest.createShare(),
  master: (newest) => newest.changePassword(NEXT, { newMaster: true, costs: CHEAP }),
}

/** A machine that changes the keyset, and what it made in all tries of its last change. */
interface Changer {
  readonly actor: Actor
  readonly kind: Kind
  readonly place: number
  readonly made: { readonly revision: string; readonly shares: readonly string[] }[]
}

/** One run: the machines, and the store that they share. */
class Changing {
  readonly run: Run
  readonly state: ModelState
  readonly changers: Changer[] = []
  /** Every master key of the keyset, by its key id. */
  readonly masters: Map<string, Keyset> = new Map([[keyIdIn(base), base]])
  readonly #names: Map<string, string> = new Map([[base.revision.split('-')[1]!, 'the first keyset']])

  constructor(run: Run, make: new (shown: (bytes: Uint8Array) => string) => ModelState = ModelState) {
    this.run = run
    this.state = new make((bytes) => this.#names.get(hex(parseKeyset(bytes).revision)) ?? 'unknown')
    this.state.write('keyset', 1, base.export('storage'))
  }

  add(kind: Kind, how: ChangeKeyset = changeKeyset, restart?: (store: StateStore) => Promise<[Keyset, Kind]>): void {
    const place = this.changers.length
    const name = 'ABC'[place]!
    const made: Changer['made'] = []
    const body = async (machine: Machine, restarts: number) => {
      const store = this.state.as(machine)
      // A machine that starts again makes another change. The first one may be in as well.
      made.length = 0
      const [start, what] = restarts === 0 || restart === undefined ? [base, kind] : await restart(store)
      const changed = keysetOf(await how(store, start, (newest) => this.#change(name, what, place, made, newest)))
      return changed.revision
    }
    const restarts = restart === undefined ? 0 : 1
    this.changers.push({ actor: this.run.add(name, body, { restarts }), kind, place, made })
  }

  async #change(name: string, kind: Kind, place: number, made: Changer['made'], newest: Keyset): Promise<Changed> {
    const changed = await CHANGES[kind](newest, place)
    const { revision, shares } = keysetOf(changed)
    made.push({ revision, shares: shares.filter((id) => !newest.shares.includes(id)) })
    this.#names.set(revision.split('-')[1]!, `${name}'s try ${made.length}, from ${newest.revision.split('-')[0]}`)
    // The library disposes of tries that lost. This keeps their master key, to open what is stored.
    if (kind === 'master') {
      const { master } = insidesOf(keysetOf(changed), 'changed')
      const parsed = parseKeyset(keysetOf(changed).export('storage'))
      this.masters.set(hex(keyIdOf(master)), unlocked(openKeyset(parsed, master), master.copy(), undefined))
    }
    return changed
  }

  /** Plays the run, and checks everything that must hold at its end. */
  async outcome(): Promise<readonly string[]> {
    await this.run.play()
    const stored = this.#final()
    const { parsed, contents } = stored
    const ids = contents.additional!.shares.map(({ id }) => hex(id))
    for (const { actor, kind, place, made } of this.changers) {
      const arrived = made.filter(({ revision }) => descendsFrom(parsed, parseRevision(revision, '')))
      const isIn = arrived.length === 1
      if (arrived.length > 1) this.run.violation(`${actor.name}'s change is in twice`)
      if (actor.outcome === 'done' && arrived[0]?.revision !== actor.value)
        this.run.violation(`${actor.name}'s acknowledged change is lost`)
      this.#checkError(actor, isIn, arrived[0]?.revision)
      if (kind === 'revoke' && ids.includes(base.shares[place]!) === isIn)
        this.run.violation(`${actor.name}'s share is ${isIn ? 'still there' : 'gone without a change'}`)
      const created = made.flatMap(({ shares }) => shares).filter((id) => ids.includes(id))
      if (kind === 'share' && created.length !== (isIn ? 1 : 0))
        this.run.violation(`${actor.name} has ${created.length} shares, not ${isIn ? 1 : 0}`)
    }
    this.#checkOldVersions()
    return this.changers.map(({ actor }) => outcomeText(actor))
  }

  /** What is stored must always open, with the newest master key. */
  #final() {
    const bytes = this.state.read('keyset')!.bytes
    const parsed = parseKeyset(bytes)
    const keyset = this.masters.get(hex(parsed.header.keyId))
    if (keyset === undefined) return this.run.violation('nobody has the master key of what is stored')
    return { parsed, contents: openKeyset(parsed, insidesOf(keyset, '').master) }
  }

  #checkError({ name, outcome, error }: Actor, isIn: boolean, revision: string | undefined): void {
    switch (outcome) {
      case 'done':
      case 'crashed':
      case 'no answer':
        return
      case 'conflict':
        return isIn ? this.run.violation(`${name} was told conflict, but its change is in`) : undefined
      case 'wrong-password': {
        if (this.masters.size === 1)
          this.run.violation(`${name} was told wrong-password, but the master key is the same`)
        const { written } = (error as KeystrataError).detail
        if (written !== revision)
          this.run.violation(`${name} was told wrong-password, written ${String(written)}, but in is ${revision}`)
        return
      }
      default:
        this.run.violation(`${name} got a false alarm: ${outcome}`)
    }
  }

  /** Once a new master key is acknowledged, nothing opens with the old password any more. */
  #checkOldVersions(): void {
    const kept = this.state.kept('keyset').map(({ bytes }) => hex(parseKeyset(bytes).header.keyId))
    const isClean = this.changers.some(({ actor, kind }) => kind === 'master' && actor.outcome === 'done')
    if (isClean && kept.some((keyId) => keyId !== kept.at(-1)))
      this.run.violation('an old version is left, which opens with the old password')
  }
}

export const keyIdIn = (keyset: Keyset): string => hex(keyIdOf(insidesOf(keyset, '').master))

function outcomeText({ outcome = '', error }: Actor): string {
  const written = error instanceof KeystrataError && error.detail['written'] !== undefined
  return written ? `${outcome}, written` : outcome
}

export const exploreKeyset = (
  name: string,
  bounds: Bounds,
  kinds: readonly Kind[],
  how?: ChangeKeyset,
  make?: typeof ModelState,
): Promise<Report> =>
  explore(`changeKeyset, ${name}`, bounds, (run) => {
    const changing = new Changing(run, make)
    for (const kind of kinds) changing.add(kind, how)
    return changing.outcome()
  })

/** One machine sets a new master key, and goes on after a crash. The other one changes nothing. */
const exploreRestart = (name: string, bounds: Bounds): Promise<Report> => {
  const restart = async (store: StateStore): Promise<[Keyset, Kind]> => {
    const renewed = await loadKeyset(store, NEXT).catch(() => undefined)
    return renewed ? [renewed, 'nothing'] : [await loadKeyset(store, PASSWORD), 'master']
  }
  return explore(`changeKeyset, ${name}`, bounds, (run) => {
    const changing = new Changing(run)
    changing.add('nothing')
    changing.add('master', changeKeyset, restart)
    return changing.outcome()
  })
}

const scenario = scenariosOf('keyset', exploreKeyset)
const ofRestart = scenariosOf('keyset', exploreRestart)

export const KEYSET: readonly Scenario[] = [
  scenario(['revoke', 'nothing'], {
    name: 'two machines',
    sentence: 'two change it, and nothing goes wrong',
    bounds: {},
    reached: [/done/],
    test: { runs: 1000, atLeast: 10 },
  }),
  scenario(['revoke', 'nothing', 'regenerate'], {
    name: 'three machines',
    sentence: 'three change it, and nothing goes wrong',
    bounds: {},
    reached: [/done/],
    test: { runs: 40, slow: 2000, seed: 8 },
  }),
  scenario(['revoke', 'nothing'], {
    name: 'one fault',
    sentence: 'two change it, and one thing goes wrong',
    bounds: { faults: 1 },
    reached: [/done/, /no answer/, /crashed/],
    test: { runs: 300, slow: 6000, seed: 5, slowBounds: {} },
  }),
  scenario(['revoke', 'nothing'], {
    name: 'two faults, late reads',
    sentence: 'two change it, with two faults and late reads',
    bounds: { faults: 2, late: { back: 2, reads: 2 } },
    isRandom: true,
    reached: [/done/, /no answer/, /crashed/],
    test: { runs: 120, slow: 2000, seed: 1 },
  }),
  scenario(['revoke', 'share', 'regenerate'], {
    name: 'three machines, three faults',
    sentence: 'three change it, with three faults',
    bounds: { faults: 3, late: { back: 1, reads: 1 } },
    isRandom: true,
    reached: [/done/, /no answer/, /crashed/],
    test: { runs: 80, slow: 1000, seed: 2 },
  }),
  scenario(['nothing', 'master'], {
    name: 'a new master key, a lost answer',
    sentence: 'beside a new master key, wrong-password says whether the change is in',
    bounds: { faults: 1, kinds: ['lost'] },
    reached: [/done/, /^wrong-password$/, /^wrong-password, written$/],
    test: { runs: 10_000, atLeast: 50 },
  }),
  scenario(['nothing', 'master'], {
    name: 'a new master key, another fault',
    sentence: 'beside a new master key, wrong-password says so after any other fault',
    bounds: { faults: 1, kinds: ['repeated', 'late', 'unread', 'down', 'cut', 'crash-after'] },
    reached: [/done/, /^wrong-password$/, /crashed/, /no answer/],
    test: { runs: 200, slow: 6000, seed: 6, slowBounds: {} },
  }),
  scenario(['revoke', 'master', 'nothing'], {
    name: 'a new master key, three machines',
    sentence: 'beside a new master key, with three machines, two faults and late reads',
    bounds: { faults: 2, late: { back: 1, reads: 1 } },
    isRandom: true,
    reached: [/done/, /^wrong-password$/, /no answer/, /crashed/],
    test: { runs: 100, slow: 1000, seed: 3 },
  }),
  ofRestart(undefined, {
    name: 'a new master key, a crash and a restart',
    sentence: 'the old versions go, although a machine stopped before it dropped them, and was started again',
    bounds: { faults: 1, kinds: ['crash', 'crash-after'] },
    harder: { faults: 2, kinds: ['crash', 'crash-after', 'late', 'repeated'], oneIn: 6 },
    reached: [/done/, /^wrong-password$/, /crashed/],
    test: { runs: 150, slow: 6000, seed: 7, slowBounds: {}, atLeast: 100 },
  }),
]
