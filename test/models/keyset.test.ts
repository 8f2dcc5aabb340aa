// Several machines change one stored keyset with changeKeyset, and the explorer lets everything go wrong that a store
// may do. No acknowledged change may be lost, none may be made twice, and no machine may get an alarm that is false.
import { afterAll, beforeAll, describe, it } from 'vitest'
import { changeKeyset, type Keyset, KeystrataError, loadKeyset } from '../../src/index.ts'
import { openKeyset, parseKeyset } from '../../src/keyset/exports.ts'
import { insidesOf, unlocked } from '../../src/keyset/keyset.ts'
import { descendsFrom, parseRevision } from '../../src/keyset/revision.ts'
import { keyIdOf } from '../../src/core/wrap.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import type { StateStore } from '../../src/stores.ts'
import { CHEAP, hex, makeKeyset, numRuns, PASSWORD, quickly } from '../fixtures.ts'
import {
  type Actor,
  type Bounds,
  expectCaught,
  expectSound,
  explore,
  type Machine,
  NoAnswer,
  type Run,
  TIMEOUT,
} from './explorer.ts'
import { remembering } from './remembering.ts'
import { ModelState } from './stores.ts'

beforeAll(() => useBackend(remembering))
afterAll(() => useBackend(undefined))

const NEXT = 'another password'
const base = await quickly(async () => {
  let keyset = await makeKeyset({ encryption: 'x25519' })
  for (let share = 0; share < 3; share++) keyset = keyset.createShare().keyset
  return keyset
})

type Changed = Keyset | { keyset: Keyset }
type ChangeKeyset = (
  store: StateStore,
  keyset: Keyset,
  change: (newest: Keyset) => Changed | Promise<Changed>,
) => Promise<Changed>

const keysetOf = (changed: Changed): Keyset => ('keyset' in changed ? changed.keyset : changed)

/** What a machine does to the keyset. `place` is the number of the machine. */
const CHANGES = {
  nothing: (newest) => newest.forgetRetired('unchecked'),
  regenerate: (newest) => newest.regenerate(),
  revoke: (newest, place) => newest.revokeShare(base.shares[place]!),
  share: (newest) => newest.createShare(),
  master: (newest) => newest.changePassword(NEXT, { newMaster: true, costs: CHEAP }),
} satisfies Record<string, (newest: Keyset, place: number) => Changed | Promise<Changed>>

type Kind = keyof typeof CHANGES

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

const keyIdIn = (keyset: Keyset) => hex(keyIdOf(insidesOf(keyset, '').master))

function outcomeText({ outcome = '', error }: Actor): string {
  const written = error instanceof KeystrataError && error.detail['written'] !== undefined
  return written ? `${outcome}, written` : outcome
}

const explored = (name: string, bounds: Bounds, kinds: readonly Kind[], how?: ChangeKeyset, make?: typeof ModelState) =>
  explore(`changeKeyset, ${name}`, bounds, (run) => {
    const changing = new Changing(run, make)
    for (const kind of kinds) changing.add(kind, how)
    return changing.outcome()
  })

/** Tries everything with SLOW=1, and otherwise random runs. */
const sampled = (bounds: Omit<Bounds, 'runs'>, runs: number, seed: number): Bounds =>
  process.env['SLOW'] === '1' ? { ...bounds, runs: 6000 } : { ...bounds, seed, runs: numRuns(runs, runs) }

describe('changeKeyset by several machines', { timeout: TIMEOUT }, () => {
  it('two or three, and nothing goes wrong', async () => {
    const two = await explored('two machines', { runs: 1000 }, ['revoke', 'nothing'])
    expectSound(two, { runs: 10, reached: [/done/] })
    const three = await explored('three machines', { seed: 8, runs: numRuns(40, 2000) }, [
      'revoke',
      'nothing',
      'regenerate',
    ])
    expectSound(three, { runs: 40, reached: [/done/] })
  })

  it('two, and one thing goes wrong', async () => {
    const report = await explored('one fault', sampled({ faults: 1 }, 300, 5), ['revoke', 'nothing'])
    expectSound(report, { runs: 300, reached: [/done/, /no answer/, /crashed/] })
  })

  it('two, with two faults and late reads', async () => {
    const bounds = { faults: 2, late: { back: 2, reads: 2 }, seed: 1, runs: numRuns(120, 2000) }
    const report = await explored('two faults, late reads', bounds, ['revoke', 'nothing'])
    expectSound(report, { runs: 120, reached: [/done/, /no answer/, /crashed/] })
  })

  it('three, with three faults', async () => {
    const bounds = { faults: 3, late: { back: 1, reads: 1 }, seed: 2, runs: numRuns(80, 1000) }
    const report = await explored('three machines, three faults', bounds, ['revoke', 'share', 'regenerate'])
    expectSound(report, { runs: 80, reached: [/done/, /no answer/, /crashed/] })
  })
})

describe('changeKeyset beside a new master key', { timeout: TIMEOUT }, () => {
  it('says wrong-password, and whether the change is in', async () => {
    const bounds = { faults: 1, kinds: ['lost'] as const, runs: 10_000 }
    const report = await explored('a new master key, a lost answer', bounds, ['nothing', 'master'])
    expectSound(report, { runs: 50, reached: [/done/, /^wrong-password$/, /^wrong-password, written$/] })
    const others = sampled({ faults: 1, kinds: ['repeated', 'late', 'unread', 'down', 'cut', 'crash-after'] }, 200, 6)
    const second = await explored('a new master key, another fault', others, ['nothing', 'master'])
    expectSound(second, { runs: 200, reached: [/done/, /^wrong-password$/, /crashed/, /no answer/] })
  })

  it('with three machines, two faults and late reads', async () => {
    const bounds = { faults: 2, late: { back: 1, reads: 1 }, seed: 3, runs: numRuns(100, 1000) }
    const report = await explored('a new master key, three machines', bounds, ['revoke', 'master', 'nothing'])
    expectSound(report, { runs: 100, reached: [/done/, /^wrong-password$/, /no answer/, /crashed/] })
  })

  it('removes the old versions, although a machine stopped before it did, and was started again', async () => {
    const restart = async (store: StateStore): Promise<[Keyset, Kind]> => {
      const renewed = await loadKeyset(store, NEXT).catch(() => undefined)
      return renewed ? [renewed, 'nothing'] : [await loadKeyset(store, PASSWORD), 'master']
    }
    const bounds = sampled({ faults: 1, kinds: ['crash', 'crash-after'] }, 150, 7)
    const report = await explore('changeKeyset, a new master key, a crash and a restart', bounds, (run) => {
      const changing = new Changing(run)
      changing.add('nothing')
      changing.add('master', changeKeyset, restart)
      return changing.outcome()
    })
    expectSound(report, { runs: 100, reached: [/done/, /^wrong-password$/, /crashed/] })
  })
})

describe('the explorer notices', { timeout: TIMEOUT }, () => {
  const bounds = { faults: 1, runs: 200, seed: 4, violations: 3 }

  /** Changes a keyset as a program would that does not remember what it tried, and checks nothing. */
  const forgetful =
    (captured = false): ChangeKeyset =>
    async (store, keyset, change) => {
      for (;;) {
        const { version, bytes } = (await store.read('keyset'))!
        const parsed = parseKeyset(bytes)
        const { master } = insidesOf(keyset, '')
        if (hex(parsed.header.keyId) !== keyIdIn(keyset)) throw new KeystrataError('wrong-password')
        const changed = await change(captured ? keyset : unlocked(openKeyset(parsed, master), master.copy(), undefined))
        try {
          if (await store.write('keyset', version + 1, keysetOf(changed).export('storage'))) {
            await store.drop('keyset', version + 1)
            return changed
          }
        } catch (error) {
          if (!(error instanceof NoAnswer)) throw error
        }
      }
    }

  it('a machine that tries again without a look at the history', async () => {
    const lossy = { ...bounds, kinds: ['lost', 'repeated'] as const }
    expectCaught(await explored('a forgetful machine', lossy, ['regenerate', 'regenerate'], forgetful()), /is in twice/)
  })

  it('a machine that makes its change to a handle from before', async () => {
    const report = await explored('a captured handle', { ...bounds, faults: 0 }, ['revoke', 'revoke'], forgetful(true))
    expectCaught(report, /acknowledged change is lost/)
  })

  it('a machine that does not say that its change is in', async () => {
    const lossy = { ...bounds, kinds: ['lost'] as const, runs: 1000 }
    expectCaught(
      await explored('wrong-password without written', lossy, ['nothing', 'master'], forgetful()),
      /wrong-password, written undefined, but in is/,
    )
  })

  it('a store that writes without a look at the version', async () => {
    class Blind extends ModelState {
      override succeeds(): boolean {
        return true
      }
    }
    const report = await explored('a blind store', { ...bounds, faults: 0 }, ['revoke', 'revoke'], changeKeyset, Blind)
    expectCaught(report, /acknowledged change is lost/)
  })

  it('a store that keeps what it was told to drop', async () => {
    class Hoarding extends ModelState {
      override drop(): void {
        // It says that it dropped the versions, but keeps them.
      }
    }
    const report = await explored(
      'a hoarding store',
      { ...bounds, faults: 0 },
      ['nothing', 'master'],
      changeKeyset,
      Hoarding,
    )
    expectCaught(report, /an old version is left/)
  })
})
