// What the explorer plays with logs: with cheap keys, with those of keysets, and with those of a share.
import type { Bounds, Report, Run } from './explorer.ts'
import { quickly, makeKeyset } from '../fixtures.ts'
import { keysetPeople, type People, sharePeople } from './log-keys.ts'
import { exploreLog, type HalfMade, type Scene } from './log-scene.ts'
import { type Faults, type Scenario, scenariosOf } from './scenario.ts'

/** Faults are rare enough to occur anywhere in a run. */
const THREE: Faults = { faults: 3, oneIn: 12, late: { back: 2, reads: 2 } }
const HARDER: Faults = { faults: 5, oneIn: 14, late: { back: 3, reads: 4 } }

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

const SMALL: Scene = { records: 1, hosts: [1], owners: [{}], warm: true }

const scenario = scenariosOf('log', exploreLog)

/** Makes the people when they are first needed, because keysets take time. */
const withPeople =
  (make: () => Promise<People>, scene: (people: People) => Scene | ((run: Run) => Scene)) =>
  async (name: string, bounds: Bounds): Promise<Report> =>
    exploreLog(name, bounds, scene(await make()))

let keysets: Promise<People> | undefined
const ofKeysets = (): Promise<People> =>
  (keysets ??= quickly(async () =>
    keysetPeople(await makeKeyset({ encryption: 'x25519' }), await makeKeyset({ encryption: 'x25519' })),
  ))

let shares: Promise<People> | undefined
const ofShare = (): Promise<People> =>
  (shares ??= quickly(async () => sharePeople(await makeKeyset({ encryption: 'x25519' }), await makeKeyset())))

const KEYSETS = { records: 1, readers: 0, owners: [{}, {}] }

const CUTS = [{ upTo: 1 }, { upTo: 2 }, { leaveOut: 1 }, { upTo: 2, leaveOut: 1 }]

export const LOG_SCENARIOS: readonly Scenario[] = [
  scenario(SMALL, {
    name: 'every order',
    sentence: 'loses nothing in any order of a host and an owner',
    bounds: {},
    harder: HARDER,
    reached: [/done/, /resealed/],
    test: { runs: 500, slow: 100_000, atLeast: 80 },
  }),
  scenario(SMALL, {
    name: 'a repeated request',
    sentence: 'has no record twice if a request is sent twice, in any order',
    bounds: { faults: 1, kinds: ['repeated'] },
    harder: { faults: 3, kinds: ['repeated', 'late', 'lost'], oneIn: 8 },
    reached: [/done/, /resealed/],
    test: { runs: 500, slow: 100_000, atLeast: 200 },
  }),
  scenario(SMALL, {
    name: 'one fault',
    sentence: 'loses nothing if one thing goes wrong',
    bounds: { faults: 1 },
    harder: HARDER,
    reached: [/done/],
    test: { runs: 100, slow: 20_000 },
  }),
  scenario(SMALL, {
    name: 'one fault anywhere',
    sentence: 'loses nothing if one thing goes wrong anywhere',
    bounds: { ...THREE, faults: 1, oneIn: 30 },
    harder: { ...THREE, faults: 2, oneIn: 30 },
    isRandom: true,
    reached: [/done/, /no answer/, /resealed/],
    test: { runs: 100, slow: 10_000, seed: 1 },
  }),
  scenario(mixed(), {
    name: 'everything',
    sentence: 'loses nothing with several hosts, owners and readers, three faults, half-made epochs and any pointer',
    bounds: THREE,
    harder: HARDER,
    isRandom: true,
    reached: [/done/, /no answer/, /crashed/, /resealed/],
    test: { runs: 120, slow: 40_000, seed: 2 },
  }),
  scenario(
    (run) => {
      const cut = one(run, CUTS)
      return { ...mixed({ records: 2 + run.choose(2) })(run), owners: one(run, [[cut], [cut, { pair: 2 }]]) }
    },
    {
      name: 'cuts',
      sentence: 'leaves out what an owner was told to, and nothing else',
      bounds: THREE,
      harder: HARDER,
      isRandom: true,
      reached: [/done/, /no answer/, /crashed/, /left out/],
      test: { runs: 150, slow: 15_000, seed: 3 },
    },
  ),
  scenario(mixed({ adopted: true, warm: false }), {
    name: 'an adopter',
    sentence: 'goes over to a keyset that has adopted the old one',
    bounds: THREE,
    harder: HARDER,
    isRandom: true,
    reached: [/done/, /no answer/, /crashed/, /policy/, /resealed/],
    test: { runs: 150, slow: 15_000, seed: 4 },
  }),
  scenario(mixed({ garbage: 2 }), {
    name: 'garbage',
    sentence: 'loses nothing if somebody writes garbage into it',
    bounds: THREE,
    isRandom: true,
    reached: [/done/, /no answer/, /crashed/, /resealed/],
    test: { runs: 150, slow: 15_000, seed: 5 },
  }),
  scenario(mixed({ hosts: [2, 2, 1], owners: [{}, { pair: 2 }, {}], readers: 2 }), {
    name: 'eight machines',
    sentence: 'loses nothing with three hosts, three owners and two readers',
    bounds: THREE,
    harder: HARDER,
    isRandom: true,
    reached: [/done/],
  }),
  {
    protocol: 'log',
    name: 'keysets',
    sentence: 'loses nothing with the keys of a keyset',
    bounds: THREE,
    harder: THREE,
    isRandom: true,
    reached: [/done/, /resealed/],
    explore: (bounds) => withPeople(ofKeysets, (people) => mixed({ ...KEYSETS, people }))('keysets', bounds),
    test: { runs: 2, slow: 300, seed: 6 },
  },
  {
    protocol: 'log',
    name: 'keysets, an adopter',
    sentence: 'loses nothing with the keys of a keyset that has adopted the old one',
    bounds: THREE,
    harder: THREE,
    isRandom: true,
    reached: [/done/, /resealed/],
    explore: (bounds) =>
      withPeople(ofKeysets, (people) => mixed({ ...KEYSETS, people, adopted: true, warm: false }))('adopter', bounds),
    test: { runs: 2, slow: 300, seed: 7 },
  },
]

const SHARE: Scene = { isShared: true, records: 1, hosts: [1, 1], owners: [], warm: false }

export const SHARE_LOG: readonly Scenario[] = [
  {
    protocol: 'share log',
    name: 'two hosts',
    sentence: 'two hosts append to the log of a share, and one thing goes wrong',
    bounds: { faults: 1 },
    reached: [/done/],
    explore: (bounds) => withPeople(ofShare, (people) => ({ ...SHARE, people }))('two hosts', bounds),
    test: { runs: 15, slow: 2000 },
  },
  {
    protocol: 'share log',
    name: 'hosts and readers',
    sentence: 'hosts append to the log of a share, and its recipients read it, with faults and late reads',
    bounds: THREE,
    harder: HARDER,
    isRandom: true,
    reached: [/done/, /no answer|crashed/],
    explore: (bounds) =>
      withPeople(ofShare, (people) => ({ ...SHARE, people, hosts: [2, 1], readers: 2 }))('hosts and readers', bounds),
    test: { runs: 15, slow: 2000, seed: 8 },
  },
]
