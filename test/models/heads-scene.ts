// Hosts back up while owners, and workers of a fleet, replace the keys of blocks, and one owner then forgets the retired
// keys. Whatever is left must open, unless the host that wrote it was told that its export is out of date.
import {
  changeKeyset,
  checkRetired,
  checkWriter,
  type Keyset,
  KeystrataError,
  type KeysetWriter,
  openWriter,
  rekeyBlocks,
  saveKeyset,
  type SealedBlock,
} from '../../src/index.ts'
import { delegate, type Delegation, openDelegation } from '../../src/fleet.ts'
import { type Blocks, blocksIn, type StateStore } from '../../src/stores.ts'
import { makeKeyset, quickly, sample } from '../fixtures.ts'
import { type Actor, type Bounds, explore, NoAnswer, type Report, type Run } from './explorer.ts'
import { type Faults, type Scenario, scenariosOf } from './scenario.ts'
import { digest, ModelBlobs, ModelState } from './stores.ts'

const k0 = await quickly(() => makeKeyset({ encryption: 'x25519' }))
const k1 = k0.regenerate()
const k2 = k1.regenerate()
const KEYSETS = { k0, k1, k2 }
const EXPORTS = { k0: openWriter(k0.export('host')), k1: openWriter(k1.export('host')) }
const fleet = await quickly(() => makeKeyset())
const DELEGATIONS = [k1, k2].map((keyset) => {
  const delegation = delegate(keyset, fleet.card(), { until: new Date(8.64e15) })
  return openDelegation(delegation, fleet, { from: keyset.card() })
}) as [Delegation, Delegation]
const contents = [sample(40, 1), sample(40, 2), sample(40, 3)]
const OLD = await EXPORTS.k0.seal(contents[0]!)
const OTHER = await EXPORTS.k0.seal(contents[2]!)
const NEW = { k0: await EXPORTS.k0.seal(contents[1]!), k1: await EXPORTS.k1.seal(contents[1]!) }

/** Shows whose key pair a head is under. Other blobs are shown by their hash. */
function shown(bytes: Uint8Array): string {
  for (const [name, keyset] of Object.entries(KEYSETS)) {
    try {
      if (keyset.isCurrent(bytes.subarray(4, -32))) return `(under ${name})`
    } catch (error) {
      if (!(error instanceof KeystrataError)) throw error
    }
  }
  return digest(bytes)
}

/** How a program uses the library. The broken programs below leave a step out. */
interface Habits {
  /** Whether hosts call checkWriter before and after a run. */
  readonly before: boolean
  readonly after: boolean
  /** Whether the owner replaces keys until a pass has nothing left to do. */
  readonly repeats: boolean
  /** Whether the owner calls checkRetired. */
  readonly checks: boolean
}
export const CAREFUL: Habits = { before: true, after: true, repeats: true, checks: true }

/** Replaces the keys of all blocks, until a pass has nothing left to do. Passes over what a newer keyset has replaced. */
async function rekeyAll(blocks: Blocks, keyset: Keyset, repeats = true): Promise<void> {
  let left: number
  do {
    left = 0
    for await (const head of blocks.heads()) {
      if (keyset.isCurrent(head.envelope)) continue
      try {
        if (!(await blocks.replaceEnvelope(head, keyset.rekey(head)))) left++
      } catch (error) {
        if (error instanceof NoAnswer) left++
        else if (!(error instanceof KeystrataError && error.code === 'key-not-found')) throw error
      }
    }
  } while (left > 0 && repeats)
}

/** A host that tries again the next night if a store does not answer. */
async function backUp(store: StateStore, blocks: Blocks, writer: KeysetWriter, block: SealedBlock, habits: Habits) {
  for (let night = 0; ; night++) {
    try {
      if (habits.before) await checkWriter(store, writer)
      if (!(await blocks.has(block.label))) await blocks.put(block)
      if (habits.after) await checkWriter(store, writer)
      return
    } catch (error) {
      if (!(error instanceof NoAnswer) || night === 1) throw error
    }
  }
}

/** A worker of a fleet, with one job for each block. A job that gets no answer runs once more. */
async function work(store: StateStore, blocks: Blocks, delegation: Delegation, labels: readonly string[]) {
  for (const label of labels) {
    for (let tries = 0; ; tries++) {
      try {
        await checkWriter(store, delegation)
        await rekeyBlocks(blocks, delegation, { prefix: label.slice(0, 8) })
        await checkWriter(store, delegation)
        break
      } catch (error) {
        if (!(error instanceof NoAnswer) || tries === 1) throw error
      }
    }
  }
}

export interface Setting {
  /** The keysets whose exports the hosts have. The stored one is k1 at first. */
  readonly hosts?: readonly ('k0' | 'k1')[]
  /** How many blocks are stored at first, under k0. */
  readonly old?: number
  readonly habits?: Habits
  readonly Blobs?: typeof ModelBlobs
  /** Whether the second owner forgets the retired keys. */
  readonly forgets?: boolean
  /** Whether another owner replaces keys by those of k1 meanwhile. */
  readonly hasSlowOwner?: boolean
  /** How many workers of a fleet do the same under a delegation of k1. */
  readonly staleWorkers?: number
  /** How many workers rekey for the owner, under a delegation of k2. */
  readonly workers?: number
}

const rotating =
  ({ hosts = [], old = 1, habits = CAREFUL, Blobs = ModelBlobs, forgets = true, ...others }: Setting) =>
  async (run: Run): Promise<readonly string[]> => {
    const { hasSlowOwner = true, staleWorkers = 0, workers = 0 } = others
    const state = new ModelState()
    const blobs = new Blobs(shown)
    state.write('keyset', 1, k1.export('storage'))
    const direct = blocksIn(blobs.direct())
    for (const block of [OTHER, OLD].slice(0, old)) await direct.put(block)
    let forgotten: Keyset | undefined
    if (hasSlowOwner) run.add('slow', (machine) => rekeyAll(blocksIn(blobs.as(machine)), k1), { restarts: 1 })
    const [stale, today] = DELEGATIONS
    const labels = [OTHER, OLD].slice(0, old).map(({ label }) => label)
    const addWorker = (name: string, delegation: Delegation) =>
      run.add(name, (machine) => work(state.as(machine), blocksIn(blobs.as(machine)), delegation, labels), {
        restarts: 1,
      })
    for (let worker = 0; worker < staleWorkers; worker++) addWorker(`stale worker ${worker}`, stale)
    for (let worker = 0; worker < workers; worker++) addWorker(`worker ${worker}`, today)
    const owner = run.add(
      'owner',
      async (machine) => {
        const store = state.as(machine)
        const blocks = blocksIn(blobs.as(machine))
        if (state.object('keyset').versions.length === 1) await saveKeyset(store, k2)
        await rekeyAll(blocks, k2, habits.repeats)
        if (!forgets) return
        const checked = habits.checks ? await checkRetired(blocks, k2, { logs: [] }) : 'unchecked'
        forgotten = await changeKeyset(store, k2, (newest) => newest.forgetRetired(checked))
      },
      { restarts: 1 },
    )
    const writers = hosts.map((name, place) => {
      const block = place === 0 ? NEW[name] : OLD
      const body = () =>
        run.add(
          `host ${place}`,
          (machine) => backUp(state.as(machine), blocksIn(blobs.as(machine)), EXPORTS[name], block, habits),
          { restarts: 1 },
        )
      return { block, actor: body() }
    })
    await run.play()
    await checkBlocks(run, blobs, forgotten, writers)
    const current = blobs.list('head/').every(({ name }) => k2.isCurrent(blobs.get(name)!.subarray(4, -32)))
    if (owner.outcome === 'done' && writers.length === 0 && !current)
      run.violation('a block is under an older key pair again')
    const caught = writers.some(({ actor }) => actor.outcome === 'stale-export') ? ['a host was told'] : []
    return [`owner ${String(owner.outcome)}`, ...caught, ...(forgotten ? ['forgotten'] : [])]
  }

/** Every block must be whole, and open with all keys, and with those that are left. */
async function checkBlocks(
  run: Run,
  blobs: ModelBlobs,
  forgotten: Keyset | undefined,
  writers: readonly { block: SealedBlock; actor: Actor }[],
): Promise<void> {
  const blocks = blocksIn(blobs.direct())
  const isStored = async ({ label }: SealedBlock) => blocks.has(label)
  for (const { block, actor } of writers)
    if (actor.outcome === 'done' && !(await isStored(block))) run.violation(`the block of ${actor.name} is not stored`)
  for await (const { label } of blocks.heads()) {
    const block = await blocks.get(label).catch(() => run.violation('the ciphertext of a block is missing'))
    const content = contents[label === OLD.label ? 0 : label === OTHER.label ? 2 : 1]!
    const opens = (keyset: Keyset) =>
      keyset.open(block!).then(
        (opened) => Buffer.compare(opened, content) === 0,
        () => false,
      )
    if (!(await opens(k2))) run.violation('a block does not open with all keys')
    if (forgotten === undefined || (await opens(forgotten))) continue
    // It is lost, unless its host knows that it has to store it again.
    const writer = writers.find((each) => each.block.label === label)
    if (writer === undefined || writer.actor.outcome === 'done') run.violation('a block is lost, and nobody was told')
  }
}

export const exploreHeads = (name: string, bounds: Bounds, setting: Setting): Promise<Report> =>
  explore(`heads, ${name}`, bounds, rotating(setting))

const scenario = scenariosOf('heads', exploreHeads)

/** No read is late: checkWriter and checkRetired rely on that. */
const HARDER: Faults = { faults: 4, oneIn: 8 }

export const HEADS: readonly Scenario[] = [
  scenario(
    { forgets: false, old: 2 },
    {
      name: 'two owners',
      sentence: 'replacing the keys of blocks beside a slower owner with older keys never goes back',
      bounds: {},
      harder: HARDER,
      reached: [/owner done/],
      test: { runs: 300, slow: 100_000, atLeast: 20 },
    },
  ),
  scenario(
    { forgets: false, old: 2 },
    {
      name: 'two owners, two faults',
      sentence: 'replacing them beside a slower owner never goes back, with two faults',
      bounds: { faults: 2 },
      harder: HARDER,
      isRandom: true,
      reached: [/owner done/, /owner no answer/],
      test: { runs: 200, slow: 3000, seed: 1 },
    },
  ),
  scenario(
    { hosts: ['k1'], hasSlowOwner: false },
    {
      name: 'a host',
      sentence: 'replacing them beside a backup loses nothing, if the host looks at its export again after it',
      bounds: { faults: 1 },
      harder: HARDER,
      reached: [/forgotten/, /a host was told/, /owner policy/],
      test: { runs: 150, slow: 3000, seed: 2 },
    },
  ),
  scenario(
    { hosts: ['k1', 'k0'], habits: { ...CAREFUL, before: false, repeats: false } },
    {
      name: 'two hosts, two owners',
      sentence: 'replacing them beside a host with an old export, and a slower owner, with crashes and lost answers',
      bounds: { faults: 2 },
      harder: HARDER,
      isRandom: true,
      reached: [/forgotten/, /a host was told/, /owner policy/, /owner no answer/],
      test: { runs: 150, slow: 3000, seed: 3 },
    },
  ),
]

const ofFleet = scenariosOf('fleet', exploreHeads)

export const FLEET: readonly Scenario[] = [
  ofFleet(
    { hasSlowOwner: false, workers: 1 },
    {
      name: 'one worker',
      sentence: 'one worker rekeys beside the owner',
      bounds: { faults: 1 },
      harder: HARDER,
      reached: [/forgotten/],
    },
  ),
  ofFleet(
    { hasSlowOwner: false, staleWorkers: 2, old: 2 },
    {
      name: 'stale workers',
      sentence: 'of workers with the delegation of an earlier revision never goes back, and loses nothing',
      bounds: { faults: 2 },
      harder: HARDER,
      isRandom: true,
      reached: [/forgotten/, /owner policy|owner no answer/],
      test: { runs: 150, slow: 3000, seed: 5 },
    },
  ),
  ofFleet(
    { hosts: ['k1'], hasSlowOwner: false, staleWorkers: 1, workers: 1 },
    {
      name: 'beside the owner',
      sentence: 'rekeys beside the owner, a stale worker and a backup, with crashes and lost answers',
      bounds: { faults: 2 },
      harder: HARDER,
      isRandom: true,
      reached: [/forgotten/, /a host was told/, /owner policy/],
      test: { runs: 150, slow: 3000, seed: 6 },
    },
  ),
  ofFleet(
    { hosts: ['k1', 'k0'], staleWorkers: 2, workers: 2, old: 2 },
    {
      name: 'everybody',
      sentence: 'rekeys with four workers beside two owners and two hosts',
      bounds: { faults: 3 },
      harder: { faults: 5, oneIn: 12 },
      isRandom: true,
      reached: [/owner/],
    },
  ),
]
