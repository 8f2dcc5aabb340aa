// Copies replaced by somebody who has the host's keys and can write to the store (SPEC §7.4): no reader that begins before
// the close takes them for the owner's, and no owner reseals them without having been told.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openWriter } from '../../src/index.ts'
import { withoutPauses } from '../pauses.ts'
import { all, failure, hex, sample } from '../fixtures.ts'
import {
  bytesOf,
  closedTwice,
  epochName,
  fieldsOf,
  filled,
  forgeRecord,
  LOG_ID,
  logIn,
  type OpenStore,
  quickKeyset,
  sha256,
  textOf,
  textsIn,
} from './log-fixtures.ts'

withoutPauses()

const ZEROS = '0'.repeat(32)
const owner = await quickKeyset({ encryption: 'x25519' })
const host = openWriter(owner.export('host'))
const name = epochName(1)
const logOf = (store: OpenStore) => logIn(store, owner)

/** Puts a record of the host in place of a version. It follows what is now in front of it. Returns its position. */
async function plant(store: OpenStore, sequence: number, number: number, id: Uint8Array = sample(16, sequence)) {
  const previous = sequence === 1 ? new Uint8Array(32) : sha256(store.at(name, sequence - 1))
  store.set(name, sequence, await forgeRecord(host, { epoch: 1, sequence, number, id, previous }, bytesOf('planted')))
  return `${number}-${hex(id)}`
}

const idOf = (position: string) => new Uint8Array(Buffer.from(position.split('-')[1]!, 'hex'))

/** The position of the record at a version, as it says itself. */
function ownPosition(store: OpenStore, version: number): string {
  const { number, id } = fieldsOf(store.at(name, version))
  return `${number}-${id}`
}

async function readAll(store: OpenStore) {
  const damaged: [position: string, version: unknown][] = []
  const onDamaged = (error: { detail: Readonly<Record<string, unknown>> }, position: string) =>
    void damaged.push([position, error.detail['version']])
  return { texts: await textsIn(logOf(store), { onDamaged }), damaged }
}

/** Copies with the numbers 2 to 5, in versions 1 to 4 of epoch 1, then the close, and a record behind it. */
async function closed() {
  const { store, log, positions } = await filled(['1', '2', '3', '4', '5'], owner)
  await log.reseal({ atLeast: positions[4]!, leaveOut: [positions[0]!] })
  return { store, positions, last: await log.append(bytesOf('6')) }
}
const CLOSE = 5

describe('copies that a host has replaced', () => {
  it.each([[[1]], [[2]], [[1, 2]], [[4]], [[1, 2, 3, 4]]])(
    'at versions %j are noticed behind them',
    async (versions) => {
      const { store, last } = await closed()
      let planted = ''
      for (const version of versions) planted = await plant(store, version, version + 1)
      const version = versions.at(-1)! + 1
      // A close has no position of its own. That of the copy which it does not follow stands for it.
      const position = version === CLOSE ? planted : ownPosition(store, version)
      const detail = { position, epoch: 1, version, log: LOG_ID }
      for (const options of [{}, { atLeast: last }])
        expect((await failure(() => all(logOf(store).read(options)), 'authentication-failed')).detail).toEqual(detail)
      const { texts, damaged } = await readAll(store)
      expect(damaged).toEqual([[position, version]])
      const numbers = [2, 3, 4, 5, 6].filter((number) => version === CLOSE || number !== version + 1)
      expect(texts).toEqual(numbers.map((number) => (versions.includes(number - 1) ? 'planted' : String(number))))
      // Whoever begins behind it does not need it.
      expect(await textsIn(logOf(store), { after: last })).toEqual([])

      const first = ownPosition(store, 1)
      const needed = first === position ? [] : [first]
      const error = await failure(
        () => logOf(store).reseal({ atLeast: last, leaveOut: needed, upTo: last }),
        'authentication-failed',
      )
      expect(error.detail).toEqual(detail)
      await logOf(store).reseal({ atLeast: last, leaveOut: [position] })
      const left = version === CLOSE ? texts.toSpliced(versions.at(-1)! - 1, 1) : texts
      expect(await textsIn(logOf(store), { atLeast: last })).toEqual(left)
    },
  )

  it('cannot take the numbers of others, so that one seems to have been a close', async () => {
    const { store, last } = await closed()
    await plant(store, 1, 3)
    store.set(name, 2, sample(200))
    expect(await readAll(store)).toEqual({
      texts: ['4', '5', '6'],
      damaged: [
        [`2-${ZEROS}`, 1],
        [`3-${ZEROS}`, 2],
      ],
    })
    const leaveOut = [`2-${ZEROS}`]
    const error = await failure(() => logOf(store).reseal({ atLeast: last, leaveOut }), 'malformed')
    expect(error.detail).toEqual({ position: `3-${ZEROS}`, epoch: 1, version: 2, log: LOG_ID })
  })

  it('do not hide behind the damaged close of an earlier attempt', async () => {
    const { store, last } = await closedTwice(['1', '2', '3'], owner)
    for (const version of [1, 2]) await plant(store, version, version + 1)
    const planted = ownPosition(store, 2)
    expect(await readAll(store)).toEqual({ texts: ['planted', 'planted', '4'], damaged: [[planted, 3]] })
    store.rot(name, 3)
    expect(await readAll(store)).toEqual({ texts: ['planted', 'planted', '4'], damaged: [[`3-${ZEROS}`, 3]] })
    await failure(() => all(logOf(store).read()), 'authentication-failed')
    const leaveOut = [ownPosition(store, 1)]
    const error = await failure(() => logOf(store).reseal({ atLeast: last, leaveOut }), 'authentication-failed')
    expect(error.detail).toEqual({ position: `3-${ZEROS}`, epoch: 1, version: 3, log: LOG_ID })
  })

  it('are not the last content of a log that has reached a known position', async () => {
    const { store, log, positions } = await filled(['1', '2', '3'], owner)
    await log.reseal({ atLeast: positions[2]!, leaveOut: [positions[0]!] })
    expect(textOf((await logOf(store).last({ atLeast: positions[2]! }))!.content)).toBe('3')
    const genuine = store.at(name, 2)
    await plant(store, 2, 3, idOf(positions[2]!))
    const error = await failure(() => logOf(store).last({ atLeast: positions[2]! }), 'authentication-failed')
    expect(error.detail).toEqual({ position: positions[2], epoch: 1, version: 3, log: LOG_ID })
    // Without a floor, every host is trusted that can write.
    expect(textOf((await logOf(store).last())!.content)).toBe('planted')
    // Nor if the store has the genuine one again when the close is read.
    const { readVersion } = store
    let reads = 0
    store.readVersion = async (...of) =>
      of[0] === name && of[1] === 2 && ++reads >= 4 ? genuine : readVersion.apply(store, of)
    const found = await logOf(store)
      .last({ atLeast: positions[2]! })
      .catch(() => undefined)
    expect(found && textOf(found.content)).not.toBe('planted')
  })

  it('are not returned by a reader that goes on in the next epoch', async () => {
    const { store, positions, last } = await closed()
    const replaced = store.copy()
    for (const version of [1, 2]) await plant(replaced, version, version + 1)
    await logOf(store).reseal({ atLeast: last, leaveOut: [positions[4]!] })
    // The log is resealed while it is read, before the close is reached.
    const { readVersion } = replaced
    const texts: string[] = []
    replaced.readVersion = async (...of) => {
      if (texts.length === 2 && of[0] === name && of[1] >= 3)
        for (const [each, versions] of store.objects) replaced.objects.set(each, new Map(versions))
      return readVersion.apply(replaced, of)
    }
    const seen: string[] = []
    const onDamaged = (_: unknown, position: string) => void seen.push(position)
    for await (const { content } of logOf(replaced).read({ atLeast: last, onDamaged })) texts.push(textOf(content))
    expect([texts, seen]).toEqual([
      ['planted', 'planted', '6'],
      [positions[3], ...positions.slice(1, 3)],
    ])
  })

  it('are not resealed because upTo leaves out the copy behind them', async () => {
    const { store, positions, last } = await closed()
    for (const version of [1, 2]) await plant(store, version, version + 1, idOf(positions[version]!))
    const options = { atLeast: last, upTo: positions[2]! }
    const error = await failure(() => logOf(store).reseal(options), 'authentication-failed')
    expect(error.detail).toEqual({ position: positions[3], epoch: 1, version: 3, log: LOG_ID })
  })

  it('are not resealed because the damaged copy behind them is left out by its own position', async () => {
    const { store, positions, last } = await closed()
    for (const version of [1, 2, 3]) await plant(store, version, version + 1)
    store.rot(name, 4)
    const leaveOut = [positions[4]!]
    const error = await failure(() => logOf(store).reseal({ atLeast: last, leaveOut }), 'authentication-failed')
    expect(error.detail).toEqual({ position: `5-${ZEROS}`, epoch: 1, version: 4, log: LOG_ID })
  })

  it('do not make a reader skip others that were there while it searched', async () => {
    const { store, positions } = await closed()
    const replaced = store.copy()
    for (const version of [3, 4]) await plant(replaced, version, 2)
    const { readVersion } = store
    let reads = 0
    store.readVersion = async (...of) => readVersion.apply(++reads <= 7 && of[0] === name ? replaced : store, of)
    await failure(() => all(logOf(store).read({ after: positions[1]! })), 'authentication-failed')
  })

  it('have no position that a reseal returns', async () => {
    const { store, log, positions } = await filled(['1', '2', '3'], owner)
    await log.reseal({ atLeast: positions[2]!, leaveOut: [positions[0]!] })
    await plant(store, 2, 3)
    await failure(() => logOf(store).reseal({ atLeast: positions[1]! }), 'authentication-failed')
  })

  it('do not make a log seem empty', async () => {
    const { store, log, positions } = await filled(['1', '2', '3'], owner)
    await log.reseal({ atLeast: positions[2]!, leaveOut: [positions[2]!] })
    for (const version of [1, 2]) store.rot(name, version)
    await failure(() => logOf(store).last({ atLeast: positions[2]! }), 'authentication-failed')
  })

  it('with the numbers of others do not keep the owner from resealing', async () => {
    const { store, positions, last } = await closed()
    await plant(store, 3, 2)
    await logOf(store.copy()).reseal({ atLeast: positions[2]!, leaveOut: [`4-${ZEROS}`] })
    await plant(store, 2, 5)
    const { texts, damaged } = await readAll(store)
    await logOf(store).reseal({ atLeast: last, leaveOut: damaged.map(([position]) => position) })
    expect(await textsIn(logOf(store), { atLeast: last })).toEqual(texts)
  })
})

describe('positions without an id in leaveOut', () => {
  it('leave out nothing that can be read, and a second call does nothing', async () => {
    const { store, positions, last } = await closed()
    store.rot(name, 2)
    const options = { atLeast: last, leaveOut: [`3-${ZEROS}`, `4-${ZEROS}`] }
    expect((await logOf(store).reseal(options)).copied).toBe(4)
    expect((await logOf(store).reseal(options)).copied).toBe(0)
    expect(await textsIn(logOf(store), { atLeast: positions[2]! })).toEqual(['2', '4', '5', '6'])
  })

  it('name a damaged copy and the damaged close at once', async () => {
    const { store, log, positions } = await filled(['1', '2'], owner)
    await log.reseal({ atLeast: positions[1]!, leaveOut: [positions[0]!] })
    const last = await log.append(bytesOf('3'))
    for (const version of [1, 2]) store.rot(name, version)
    // Without the close, nothing says that number 1 was left out.
    const { damaged } = await readAll(store)
    expect(damaged).toEqual([
      [`1-${ZEROS}`, 1],
      [`2-${ZEROS}`, 2],
    ])
    await logOf(store).reseal({ atLeast: last, leaveOut: damaged.map(([position]) => position) })
    expect(await textsIn(logOf(store), { atLeast: last })).toEqual(['3'])
  })

  it('are behind the end of a shorter log', async () => {
    const { store, last } = await closed()
    await failure(() => logOf(store).reseal({ atLeast: last, leaveOut: [`7-${ZEROS}`] }), 'rollback')
  })
})

it('reports what is missing at the end before what is damaged', async () => {
  const { store, positions } = await filled(['1', '2', '3'], owner)
  store.rot(epochName(0), 1)
  store.lose(epochName(0), 3)
  const [first = '', , third = ''] = positions
  await failure(() => all(logOf(store).read({ after: first, atLeast: third })), 'rollback')
  await failure(() => logOf(store).reseal({ atLeast: first, upTo: third }), 'rollback')
})

/** What somebody who can write to the store does to one version. */
interface Act {
  readonly kind: 'rot' | 'lose' | 'junk' | 'plant'
  readonly shift?: number
  readonly takesId?: boolean
}
const acts = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.constant(undefined) },
    { weight: 3, arbitrary: fc.record<Act>({ kind: fc.constantFrom('rot', 'lose', 'junk') }) },
    {
      weight: 3,
      arbitrary: fc.record<Act>({
        kind: fc.constant('plant'),
        shift: fc.constantFrom(0, 0, 1, 2, -1),
        takesId: fc.boolean(),
      }),
    },
  ),
  { minLength: 1, maxLength: 6 },
)

async function act(store: OpenStore, version: number, { kind, shift = 0, takesId = false }: Act): Promise<void> {
  const { number, id } = fieldsOf(store.at(name, version))
  if (kind === 'rot') store.rot(name, version)
  else if (kind === 'junk') store.set(name, version, sample(200, version))
  // If version 1 is gone, the epoch counts as dropped.
  else if (kind === 'lose' && version > 1) store.lose(name, version)
  else if (kind === 'plant' && store.versionsOf(name).has(Math.max(1, version - 1)))
    await plant(store, version, Math.max(1, number + shift), takesId ? idOf(`${number}-${id}`) : undefined)
}

it('whatever is done to copies and closes is reported, and resealing can go on without what was reported', async () => {
  const twice = await closedTwice(['1', '2', '3', '4'], owner)
  const logs = [await closed(), { ...twice, last: await logOf(twice.store).append(bytesOf('6')) }]
  let reported = 0
  const run = async (which: number, done: readonly (Act | undefined)[]) => {
    const { last } = logs[which]!
    const store = logs[which]!.store.copy()
    const truth = await textsIn(logOf(store))
    const start = [CLOSE, CLOSE + 1][which]!
    for (const [index, each] of done.slice(0, start).entries())
      if (each !== undefined) await act(store, index + 1, each)
    const { texts, damaged } = await readAll(store)
    const strict = await textsIn(logOf(store)).catch(() => 'reported')
    expect(strict).toEqual(damaged.length > 0 ? 'reported' : truth)
    expect(textOf((await logOf(store).last({ atLeast: last }))!.content)).toBe('6')
    if (damaged.length === 0) return
    reported++
    await logOf(store).reseal({ atLeast: last, leaveOut: damaged.map(([position]) => position) })
    const kept = await textsIn(logOf(store), { atLeast: last })
    expect(texts).toEqual(expect.arrayContaining([...kept]))
    expect(kept.at(-1)).toBe('6')
  }
  await fc.assert(fc.asyncProperty(fc.nat({ max: 1 }), acts, run), { numRuns: 25 })
  expect(reported).toBeGreaterThan(8)
})
