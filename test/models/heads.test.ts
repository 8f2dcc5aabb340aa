// Hosts back up while owners, and workers of a fleet, replace the keys of blocks, and one owner then forgets the retired
// keys. Whatever is left must open, unless the host that wrote it was told that its export is out of date.
import { afterAll, beforeAll, describe, it } from 'vitest'
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
import { useBackend } from '../../src/primitives/choice.ts'
import { type Blocks, blocksIn, type StateStore } from '../../src/stores.ts'
import { makeKeyset, numRuns, quickly, sample } from '../fixtures.ts'
import { type Actor, type Bounds, expectCaught, expectSound, explore, NoAnswer, type Run, TIMEOUT } from './explorer.ts'
import { remembering } from './remembering.ts'
import { digest, ModelBlobs, ModelState } from './stores.ts'

beforeAll(() => useBackend(remembering))
afterAll(() => useBackend(undefined))

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
const CAREFUL: Habits = { before: true, after: true, repeats: true, checks: true }

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

interface Setting {
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
    const labels = [OLD.label, OTHER.label].slice(0, old)
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

const explored = (name: string, bounds: Bounds, setting: Setting) =>
  explore(`heads, ${name}`, bounds, rotating(setting))

describe('replacing the keys of blocks', { timeout: TIMEOUT }, () => {
  it('beside a slower owner with older keys never goes back', async () => {
    const setting = { forgets: false, old: 2 }
    const report = await explored('two owners', { runs: numRuns(300, 100_000) }, setting)
    expectSound(report, { runs: 20, reached: [/owner done/] })
    const bounds = { faults: 2, seed: 1, runs: numRuns(200, 3000) }
    const faulty = await explored('two owners, two faults', bounds, setting)
    expectSound(faulty, { runs: 200, reached: [/owner done/, /owner no answer/] })
  })

  it('beside a backup loses nothing, if the host looks at its export again after it', async () => {
    const setting: Setting = { hosts: ['k1'], hasSlowOwner: false }
    const report = await explored('a host', { faults: 1, seed: 2, runs: numRuns(150, 3000) }, setting)
    expectSound(report, { runs: 150, reached: [/forgotten/, /a host was told/, /owner policy/] })
  })

  it('beside a host with an old export, and a slower owner, with crashes and lost answers', async () => {
    const setting: Setting = { hosts: ['k1', 'k0'], habits: { ...CAREFUL, before: false, repeats: false } }
    const report = await explored('two hosts, two owners', { faults: 2, seed: 3, runs: numRuns(150, 3000) }, setting)
    expectSound(report, { runs: 150, reached: [/forgotten/, /a host was told/, /owner policy/, /owner no answer/] })
  })
})

describe('a fleet', { timeout: TIMEOUT }, () => {
  it('of workers with the delegation of an earlier revision never goes back, and loses nothing', async () => {
    const setting: Setting = { hasSlowOwner: false, staleWorkers: 2, old: 2 }
    const report = await explored('stale workers', { faults: 2, seed: 5, runs: numRuns(150, 3000) }, setting)
    expectSound(report, { runs: 150, reached: [/forgotten/, /owner policy|owner no answer/] })
  })

  it('rekeys beside the owner, a stale worker and a backup, with crashes and lost answers', async () => {
    const setting: Setting = { hosts: ['k1'], hasSlowOwner: false, staleWorkers: 1, workers: 1 }
    const report = await explored('a fleet', { faults: 2, seed: 6, runs: numRuns(150, 3000) }, setting)
    expectSound(report, { runs: 150, reached: [/forgotten/, /a host was told/, /owner policy/] })
  })
})

describe('the explorer notices', { timeout: TIMEOUT }, () => {
  const bounds = { seed: 4, runs: 2000, violations: 3 }

  it('a host that does not check its export after its run', async () => {
    const setting: Setting = { hosts: ['k1'], hasSlowOwner: false, habits: { ...CAREFUL, after: false } }
    expectCaught(await explored('no checkWriter', bounds, setting), /lost, and nobody was told/)
  })

  it('an owner that forgets without a check', async () => {
    const setting: Setting = { hosts: ['k1'], habits: { ...CAREFUL, repeats: false, checks: false } }
    // One pass leaves a block that the slow owner replaced meanwhile. checkRetired finds it.
    expectCaught(await explored('no checkRetired', bounds, setting), /lost, and nobody was told/)
  })

  it('a store whose reads are late, where checkWriter cannot help', async () => {
    const late = { ...bounds, late: { back: 1, reads: 3 } }
    const report = await explored('late reads', late, { hosts: ['k1'], hasSlowOwner: false })
    expectCaught(report, /lost, and nobody was told/)
  })

  it('a store that replaces without a comparison', async () => {
    class Blind extends ModelBlobs {
      override holds(): boolean {
        return true
      }
    }
    const report = await explored('a blind store', bounds, { forgets: false, Blobs: Blind })
    expectCaught(report, /under an older key pair again/)
  })

  it('a store that writes heads of which the ciphertext is not there yet', async () => {
    class Forgetful extends ModelBlobs {
      override put(name: string, bytes: Uint8Array): boolean {
        return name.startsWith('data/') && this.blobs.size > 1 ? true : super.put(name, bytes)
      }
    }
    const report = await explored('a forgetful store', bounds, { hosts: ['k1'], Blobs: Forgetful })
    expectCaught(report, /ciphertext of a block is missing|is not stored/)
  })
})
