// Hosts append to a log, and owners reseal it and may be stopped anywhere, while others read it. No acknowledged record may
// be lost, none may be there twice, and no reader may see less than before.
import { afterAll, beforeAll, describe, it } from 'vitest'
import { useBackend } from '../../src/primitives/choice.ts'
import { makeKeyset, numRuns, quickly } from '../fixtures.ts'
import { ALL_FAULTS, type Bounds, expectSound, type Run, TIMEOUT } from './explorer.ts'
import { keysetPeople } from './log-keys.ts'
import { exploreLog, type HalfMade, type Scene } from './log-scene.ts'
import { remembering } from './remembering.ts'

beforeAll(() => useBackend(remembering))
afterAll(() => useBackend(undefined))

/** Random runs. Faults are rare enough to occur anywhere in a run. */
const random = (seed: number, runs: number, long: number, faults = 3): Bounds => ({
  seed,
  runs: numRuns(runs, long),
  faults,
  oneIn: 12,
  late: { back: 2, reads: 2 },
})

const one = <T>(run: Run, choices: readonly T[]): T => choices[run.choose(choices.length)]!

const HALF_MADE: readonly HalfMade[] = ['none', 'copies', 'closed']
/** Late, damaged, too high, and last those that name an epoch which is only half made. */
const POINTERS = [undefined, [0, 0, 0, 0], [0, 0, 7], [0, 0, 0, 7], [0, 0, 0, 1], [0, 0, 0, 2]]

/** A log of which everything is random. */
const mixed =
  (more: Scene = {}) =>
  (run: Run): Scene => {
    // Where a seal-off is damaged, the pointer counts: nobody may point too high, and write garbage there.
    const pointer = one(run, more.garbage === undefined ? POINTERS : POINTERS.slice(0, 3))
    return {
      records: 1 + run.choose(3),
      hosts: one(run, [[1], [2], [1, 1], [2, 1]]),
      owners: one(run, [[{}], [{}, {}], [{}, { pair: 2 }]]),
      readers: run.choose(2),
      halfMade: one(run, HALF_MADE),
      ...(pointer && { pointer }),
      warm: run.choose(2) === 1,
      ...more,
    }
  }

describe('a log that is resealed while a host appends', { timeout: TIMEOUT }, () => {
  const small: Scene = { records: 1, hosts: [1], owners: [{}], warm: true }

  it('loses nothing in any order', async () => {
    const report = await exploreLog('every order', { runs: numRuns(1000, 100_000) }, small)
    expectSound(report, { runs: 80, reached: [/done/, /resealed/] })
  })

  it('has no record twice if an answer is lost, in any order', async () => {
    const bounds: Bounds = { faults: 1, kinds: ['repeated'], runs: numRuns(2000, 100_000) }
    expectSound(await exploreLog('a lost answer', bounds, small), { runs: 200, reached: [/done/, /resealed/] })
  })

  it('loses nothing if one thing goes wrong', async () => {
    const bounds: Bounds = { faults: 1, kinds: ALL_FAULTS, runs: numRuns(300, 20_000) }
    expectSound(await exploreLog('one fault', bounds, small), { runs: 300, reached: [/done/] })
    const anywhere = { ...random(1, 150, 10_000, 1), oneIn: 30 }
    const report = await exploreLog('one fault anywhere', anywhere, small)
    expectSound(report, { runs: 150, reached: [/done/, /no answer/, /resealed/] })
  })
})

describe('a log with several hosts, owners and readers', { timeout: TIMEOUT }, () => {
  it('loses nothing, with three faults, late reads, half-made epochs and any pointer', async () => {
    const report = await exploreLog('everything', random(2, 300, 40_000), mixed())
    expectSound(report, { runs: 300, reached: [/done/, /no answer/, /crashed/, /resealed/] })
  })

  it('leaves out what an owner was told to, and nothing else', async () => {
    const cuts = (run: Run): Scene => {
      const cut = one(run, [{ upTo: 1 }, { upTo: 2 }, { leaveOut: 1 }, { upTo: 2, leaveOut: 1 }])
      return { ...mixed({ records: 2 + run.choose(2) })(run), owners: one(run, [[cut], [cut, { pair: 2 }]]) }
    }
    const report = await exploreLog('cuts', random(3, 150, 15_000), cuts)
    expectSound(report, { runs: 150, reached: [/done/, /no answer/, /crashed/, /left out/] })
  })

  it('goes over to a keyset that has adopted the old one', async () => {
    const report = await exploreLog('an adopter', random(4, 150, 15_000), mixed({ adopted: true, warm: false }))
    expectSound(report, { runs: 150, reached: [/done/, /no answer/, /crashed/, /policy/, /resealed/] })
  })

  it('loses nothing if somebody writes garbage into it', async () => {
    const report = await exploreLog('garbage', random(5, 150, 15_000), mixed({ garbage: 2 }))
    expectSound(report, { runs: 150, reached: [/done/, /no answer/, /crashed/, /resealed/] })
  })

  it('loses nothing with the keys of a keyset', async () => {
    const people = await quickly(async () =>
      keysetPeople(await makeKeyset({ encryption: 'x25519' }), await makeKeyset({ encryption: 'x25519' })),
    )
    const more = { people, records: 1, readers: 0, owners: [{}, {}] }
    const own = await exploreLog('keysets', random(6, 2, 300), mixed(more))
    expectSound(own, { runs: 2, reached: [/done/, /resealed/] })
    const adopted = await exploreLog(
      'keysets, an adopter',
      random(7, 2, 300),
      mixed({ ...more, adopted: true, warm: false }),
    )
    expectSound(adopted, { runs: 2, reached: [/done/, /resealed/] })
  })
})
